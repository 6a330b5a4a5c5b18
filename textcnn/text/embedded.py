"""Texts that come as numbers: an array of rows for each, one row a token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import NDArray

EXPECTED = "float arrays of shape (n_tokens, n_dims), a 3-D array, or a 2-D array of one-channel sequences"


@dataclass(frozen=True)
class EmbeddedTexts:
    """Embedded texts end to end.

    Parameters
    ----------
    rows : float32 or float64 ndarray of shape (n_tokens, n_dims)
    offsets : intp ndarray of shape (n_texts + 1,)
        Where each text begins.
    n_features : int, default=None
        Numbers of each text if they came as a 2-D array.
    """

    rows: NDArray[Any]
    offsets: NDArray[np.intp]
    n_features: int | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, index: NDArray[Any]) -> EmbeddedTexts:
        """The texts `index`, in that order."""
        lengths = np.diff(self.offsets)[index]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[index] - offsets[:-1], lengths)
        return EmbeddedTexts(self.rows[places], offsets, self.n_features)


def embedded_axes(X: Any) -> int | None:
    """How many axes X has as numbers; None if it does not hold numbers, and so should hold texts.

    The first text that is not empty tells, so that a long list of strings costs nothing.

    Parameters
    ----------
    X : object

    Returns
    -------
    int or None
        2 for a table of numbers, 3 for arrays (n_tokens, n_dims), be they of one length or not.

    Raises
    ------
    ValueError
        If the numbers are complex.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.text.embedded import embedded_axes
    >>> embedded_axes([np.zeros((3, 4)), np.zeros((2, 4))]), embedded_axes([[1.0, 2.0]])
    (3, 2)
    >>> embedded_axes(["so it goes"]) is None
    True
    """
    if isinstance(X, list | tuple):
        return _axes_around(next((item for item in X if not _is_empty_list(item)), None))
    if isinstance(X, str | np.generic) or hasattr(X, "tocsr") or not hasattr(X, "__array__"):
        return None
    head = _as_list(_first_row(X))
    if isinstance(head, list):
        return _axes_around(head[0]) if head else None
    array = np.asarray(head)
    _check_real(array)
    if array.dtype.kind in "biuf":
        return None if array.shape == (0,) else array.ndim
    if array.dtype.kind != "O" or not array.size or array.ndim == 0:
        return None
    if array.ndim == 1:
        return _axes_around(array[0])
    # a single column of objects is one of texts, some of them missing
    has_columns = array.shape[1] > 1 and all(isinstance(value, Number) for value in array[0].flat)
    return array.ndim if has_columns else None


def _first_row(X: Any) -> Any:
    if hasattr(X, "iloc"):
        return X.iloc[:1]
    return X[:1] if hasattr(X, "__getitem__") and getattr(X, "shape", None) != () else X


def _as_list(X: Any) -> Any:
    """A Series or an Arrow array as a list; other containers, and tables, as they are."""
    if len(getattr(X, "shape", ())) == 2:
        return X
    for method in ("to_pylist", "to_list"):
        if hasattr(X, method):
            return getattr(X, method)()
    return X


def _is_empty_list(item: Any) -> bool:
    return isinstance(item, list | tuple) and not item


def _axes_around(item: Any) -> int | None:
    """Axes of a list of items such as this one; None for texts, and for plain numbers in a list."""
    axes = _axes_of(item)
    return axes + 1 if axes else None


def _axes_of(item: Any) -> int | None:
    if isinstance(item, str):
        return None
    if isinstance(item, list | tuple):
        inner = _axes_of(item[0]) if item else None
        return None if inner is None else inner + 1
    if not isinstance(item, Number) and not hasattr(item, "__array__"):
        return None
    array = np.asarray(item)
    _check_real(array)
    if isinstance(item, Number):
        return 0
    return array.ndim if array.dtype.kind in "biuf" else None


def _check_real(array: NDArray[Any]) -> None:
    if array.dtype.kind == "c":
        raise ValueError(
            "Complex data not supported: X holds complex numbers, but texts or real numbers were expected; "
            "give their real and imaginary parts as two dimensions"
        )


def as_embedded(X: Any, name: str = "X", dtype: Any = None) -> EmbeddedTexts:
    """Embedded texts in any form as packed rows.

    Parameters
    ----------
    X : list of arrays (n_tokens, n_dims), array (n_texts, n_tokens, n_dims) or (n_texts, n_tokens)
        A 2-D array has sequences of one channel. Also nested lists, a Series of arrays, a frame of numbers.
    name : str, default="X"
        How error messages call it.
    dtype : {float32, float64}, default=None
        What the numbers shall be; None for float32 if all of them are, else float64.

    Returns
    -------
    EmbeddedTexts

    Raises
    ------
    ValueError
        If the shapes do not fit together, or a number is not finite.
    TypeError
        If X does not hold numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.text.embedded import as_embedded
    >>> texts = as_embedded([np.zeros((3, 4)), np.zeros((2, 4))])
    >>> texts.rows.shape, texts.offsets.tolist()
    ((5, 4), [0, 3, 5])
    """
    axes = embedded_axes(X)
    if axes is None:
        raise TypeError(f"{name} is a {type(X).__name__} without numbers, but expected {EXPECTED}")
    if axes not in (2, 3):
        raise ValueError(
            f"{name} has {axes} axes, but expected {EXPECTED}. Reshape your data with reshape(-1, 1) if each "
            "number is a text, or reshape(1, -1) if they are one"
        )
    X = _as_list(X)
    array = X if isinstance(X, list | tuple) else np.asarray(X)
    if isinstance(array, np.ndarray) and array.ndim == axes:
        return _from_array(_as_floats(array, name, dtype), name)
    arrays = _arrays(list(array), axes, name, dtype)
    return _from_array(np.stack(arrays), name) if axes == 2 else _from_arrays(arrays, name)


def as_embedded_like(
    X: Any, n_dims: int, n_features: int | None, dtype: Any, name: str = "X"
) -> EmbeddedTexts:
    """Embedded texts for a model that was fitted to others.

    Parameters
    ----------
    X, name : as in `as_embedded`
    n_dims : int
        Channels of the model.
    n_features : int or None
        Numbers of each text if the model was fitted to a 2-D array.
    dtype : {float32, float64}
        What the model computes in.

    Returns
    -------
    EmbeddedTexts

    Raises
    ------
    ValueError, TypeError
        As `as_embedded`, or if the texts are other than the model's.
    """
    if embedded_axes(X) is None:
        raise TypeError(
            f"{name} is a {type(X).__name__} without numbers, but the model was fitted to embedded text; "
            f"give {EXPECTED}"
        )
    texts = as_embedded(X, name, dtype)
    if texts.rows.shape[1] != n_dims:
        raise ValueError(
            f"{name} has {texts.rows.shape[1]} channels, but the model was fitted to {n_dims}; give as many"
        )
    if n_features is not None and texts.n_features != n_features:
        found = "no 2-D array" if texts.n_features is None else f"an array with {texts.n_features} features"
        raise ValueError(
            f"{name} is {found}, but the model was fitted to a 2-D array with {n_features} features"
        )
    return texts


def _from_array(array: NDArray[Any], name: str) -> EmbeddedTexts:
    """The texts in an array of two or three axes."""
    n, length = array.shape[:2]
    n_dims = 1 if array.ndim == 2 else array.shape[2]
    rows = np.ascontiguousarray(array).reshape(n * length, n_dims)
    _check_finite(rows, np.arange(n + 1) * length, name)
    _check_channels(n_dims, name)
    return EmbeddedTexts(rows, np.arange(n + 1, dtype=np.intp) * length, length if array.ndim == 2 else None)


def _from_arrays(arrays: list[NDArray[Any]], name: str) -> EmbeddedTexts:
    """The texts in arrays (n_tokens, n_dims)."""
    n_dims = max(array.shape[1] for array in arrays)
    _check_channels(n_dims, name)
    offsets = np.concatenate([[0], np.cumsum([len(array) for array in arrays])]).astype(np.intp)
    rows = np.concatenate([array.reshape(len(array), n_dims) for array in arrays])
    _check_finite(rows, offsets, name)
    return EmbeddedTexts(np.ascontiguousarray(rows), offsets)


def _arrays(items: Sequence[Any], axes: int, name: str, dtype: Any) -> list[NDArray[Any]]:
    """An array for each text, all with as many axes, and with as many channels or numbers."""
    arrays = []
    for i, item in enumerate(items):
        where = f"{name}[{i}]"
        if isinstance(item, str) or (isinstance(item, list | tuple) and item and isinstance(item[0], str)):
            raise TypeError(f"{where} is a text, but {name} began with numbers; expected {EXPECTED}")
        empty = np.empty((0,) * (axes - 1), np.float32)
        array = empty if _is_empty_list(item) else _as_floats(item, where, dtype)
        if array.ndim != axes - 1:
            raise ValueError(
                f"{where} has {array.ndim} axes, but {name} began with arrays of {axes - 1}; give {EXPECTED}"
            )
        arrays.append(array)
    _check_widths(arrays, axes, name)
    common = np.result_type(*arrays)
    return [array.astype(common, copy=False) for array in arrays]


def _check_widths(arrays: list[NDArray[Any]], axes: int, name: str) -> None:
    """Rows of a table need one length, tokens one number of channels; a text without tokens has any."""
    first: int | None = None
    for i, array in enumerate(arrays):
        width = array.shape[-1]
        if axes == 3 and width == 0 and not len(array):
            continue
        if first is None:
            first = i
        elif width != arrays[first].shape[-1]:
            found = f"{width} {'numbers' if axes == 2 else 'channels'}"
            remedy = (
                "give sequences of different lengths as arrays (n_tokens, 1)"
                if axes == 2
                else "give all tokens as many"
            )
            raise ValueError(
                f"{name}[{i}] has {found}, but {name}[{first}] has {arrays[first].shape[-1]}; {remedy}"
            )


def _as_floats(array: Any, name: str, dtype: Any) -> NDArray[Any]:
    """An array as `dtype`; None for float32 if it is that or float16, else float64."""
    try:
        numbers = np.asarray(array)
        if numbers.dtype.kind not in "biufO":
            raise ValueError(f"of the type {numbers.dtype}")
        if dtype is None:
            dtype = np.float32 if numbers.dtype in (np.float16, np.float32) else np.float64
        with np.errstate(over="ignore"):  # infinity is an error of its own
            return numbers.astype(dtype, copy=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is no array of numbers ({error}); expected {EXPECTED}") from None


def _check_channels(n_dims: int, name: str) -> None:
    if n_dims == 0:
        raise ValueError(f"the texts of {name} have no channels, but every token needs at least one number")


def _check_finite(rows: NDArray[Any], offsets: NDArray[Any], name: str) -> None:
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        text = int(np.searchsorted(offsets, int(finite.argmin()), side="right")) - 1
        raise ValueError(
            f"{name}[{text}] has NaN or infinity, but every number must be finite; replace it, or drop the "
            "text"
        )
