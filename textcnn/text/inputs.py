"""The forms in which texts may be given."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np

# One text: a string, or its tokens.
Text: TypeAlias = str | list[str] | tuple[str, ...]

_EXPECTED = "expected a list (or Series, array, iterator) of texts, each a str or a list of str tokens"


def as_texts(X: Any, name: str = "X") -> list[Text]:
    """Turn any usual container of texts into a list; the texts themselves are not copied.

    Parameters
    ----------
    X : list, tuple, ndarray, pandas or polars Series, Arrow array, one-column frame, or iterable
    name : str, default="X"
        How error messages call it.

    Returns
    -------
    list of str or of list of str

    Raises
    ------
    ValueError
        If X is a single string, or a table with more than one column.
    TypeError
        If X is no container, is sparse, or holds anything but texts (the message tells which item).

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.text.inputs import as_texts
    >>> as_texts(np.array(["so", "it", "goes"]))
    ['so', 'it', 'goes']
    """
    if type(X) is list:
        texts = X
    elif isinstance(X, (str, bytes)):
        raise ValueError(f"{name} is a single string, but {_EXPECTED}; put it in a list: [text]")
    elif hasattr(X, "tocsr"):
        raise TypeError(f"{name} is a {type(X).__name__}, but sparse input is not supported; {_EXPECTED}")
    elif isinstance(X, dict):
        raise TypeError(f"{name} is a {type(X).__name__}, but {_EXPECTED}")
    else:
        texts = _from_container(X, name)
    if set(map(type, texts)) <= {str, list, tuple}:  # no step of the interpreter for each text
        return texts
    has_arrays = False
    for position, text in enumerate(texts):
        if not isinstance(text, (str, list, tuple)):
            if not _is_array_of_tokens(text):
                raise TypeError(_not_a_text(f"{name}[{position}]", text))
            has_arrays = True
    if has_arrays:
        return [text.tolist() if isinstance(text, np.ndarray) else text for text in texts]
    return texts


def _is_array_of_tokens(text: Any) -> bool:
    """Whether a text is an array, in which columnar files give its tokens."""
    return isinstance(text, np.ndarray) and text.ndim == 1 and (text.dtype.kind in "UOT" or not text.size)


def _from_container(X: Any, name: str) -> list[Any]:
    shape = getattr(X, "shape", None)
    if shape is not None and len(shape) != 1:
        if len(shape) != 2 or shape[1] != 1:
            raise ValueError(f"{name} has shape {tuple(shape)}, but {_EXPECTED}; choose one column")
        return list(np.asarray(X).ravel().tolist())
    for method in ("to_pylist", "to_list", "tolist"):  # Arrow arrays, Series, NumPy arrays
        if hasattr(X, method):
            return list(getattr(X, method)())
    if isinstance(X, Iterable):
        return list(X)
    raise TypeError(f"{name} is a {type(X).__name__}, but {_EXPECTED}")


def _not_a_text(where: str, text: Any) -> str:
    if isinstance(text, np.ndarray):
        return (
            f"{where} is an array of {text.dtype} of shape {text.shape}, but every text must be a str or a "
            "list of str; embedded text comes as a list or an array of nothing else, to a model of such"
        )
    found = repr(text) if text is None or isinstance(text, float) else f"of type {type(text).__name__}"
    return f"{where} is {found}, but every text must be a str or a list of str; replace or drop it"


def as_sentences(X: Any, name: str = "X") -> list[Any]:
    """Turn any usual container of sentences into a list; a two-dimensional array has one a row.

    Parameters
    ----------
    X : as in `as_texts`, or an array of shape (n_sentences, n_tokens)
    name : str, default="X"
        How error messages call it.

    Returns
    -------
    list of str or of list of str

    Raises
    ------
    ValueError, TypeError
        As `as_texts`.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.text.inputs import as_sentences
    >>> as_sentences(np.array([["so", "it"], ["goes", "on"]]))
    [['so', 'it'], ['goes', 'on']]
    """
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "UOT":
        return list(X.tolist())
    if type(X) is not list and not isinstance(X, (str, bytes, dict)) and not hasattr(X, "tocsr"):
        X = _from_container(X, name)
    return as_texts(X, name)
