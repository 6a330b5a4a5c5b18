"""Checks of arguments that the operations share, and the two forms of a batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


def common_dtype(*arrays: ArrayLike | None) -> np.dtype:
    """float32 if that holds every array without loss, else float64.

    Raises
    ------
    ValueError
        If an array is a list of lists of different lengths.
    TypeError
        If there is none, or one holds anything but real numbers, is masked, or is a tuple: the results of a
        function that gives several, such as the maxima and their places.
    """
    dtypes = {
        array.dtype if type(array) is np.ndarray else _dtype_of(array)
        for array in arrays
        if array is not None
    }
    if not dtypes:
        raise TypeError("found None, but expected an array")
    for dtype in dtypes:
        if dtype.kind not in "fiub":
            raise TypeError(f"an array has dtype {dtype}, but the operations take real numbers")
    result = np.result_type(*dtypes)
    return FLOAT32 if result == FLOAT32 or result == np.float16 else FLOAT64


FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


def _dtype_of(array: ArrayLike) -> np.dtype:
    """dtype of anything but a plain array."""
    if isinstance(array, tuple):
        raise TypeError(f"found a tuple of {len(array)}, but expected one array; pass the first of them")
    try:
        return unmasked(array, "an array").dtype
    except ValueError:  # lists of different lengths
        raise ValueError(
            "an array has rows of different lengths; put texts of different lengths end to end, and say "
            "with offsets where each begins"
        ) from None


def unmasked(array: ArrayLike, name: str) -> Array:
    """The array, of whatever shape and type, unless it has a mask, which NumPy would drop without a word."""
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{name} is masked, but the operations do not read masks; fill it first")
    return np.asarray(array)


KERNEL = "kernel_size", "in_channels // groups", "out_channels"
"""Axes of the weights of a convolution."""


def as_array(array: ArrayLike, name: str, shape: tuple[int | str, ...], dtype: np.dtype) -> Array:
    """C-contiguous array of this dtype; an axis of `shape` that is a name may have any length."""
    result = np.asarray(array, dtype, order="C")
    fits = result.ndim == len(shape)
    for found, expected in zip(result.shape, shape, strict=False):
        fits = fits and (found == expected or isinstance(expected, str))
    if not fits:
        wanted = ", ".join(map(str, shape)) + "," * (len(shape) == 1)
        raise ValueError(f"{name} has shape {np.shape(array)}, but expected ({wanted})")
    return result


def integer_array(values: ArrayLike, name: str) -> Array:
    """An array as it is, neither masked nor with numbers that are too large for an index.

    Its shape, and whether it holds integers at all, are the caller's to check.
    """
    array = unmasked(values, name)
    if array.dtype == np.uint64 and array.size and array.max() > _MOST_INDEX:
        raise ValueError(f"{name} holds {array.max()}, but an integer must be at most {_MOST_INDEX}")
    return array


_MOST_INDEX = np.iinfo(np.intp).max


def as_integer(value: Any, name: str, least: int) -> int:
    """An integer of at least `least`."""
    number = value if type(value) is int else _index(value, name, least)
    if number < least:
        raise ValueError(f"{name} is {value}, but it must be at least {least}")
    return number


def _index(value: Any, name: str, least: int) -> int:
    """The integer that something else than an `int` is."""
    is_number = hasattr(value, "__index__") and np.ndim(value) == 0
    if not is_number or isinstance(value, bool | np.bool_):
        found = (
            f"an array of shape {value.shape}" if np.ndim(value) and hasattr(value, "shape") else repr(value)
        )
        raise TypeError(f"{name} is {found}, but it must be an integer of at least {least}")
    return value.__index__()


def as_real(value: Any, name: str) -> float:
    """A finite real number."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}, but it must be a real number")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{name} is an integer that no float can hold") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} is {value}, but it must be finite")
    return number


def within_range(values: Array, name: str, dtype: np.dtype) -> Array:
    """float64 values as this dtype, which must be able to hold every finite one of them."""
    beyond = values[np.isfinite(values) & (np.abs(values) > np.finfo(dtype).max)]
    if beyond.size:
        raise ValueError(f"{name} holds {beyond[0]}, {_beyond(dtype)}")
    return values.astype(dtype)


def check_range(number: float, name: str, dtype: np.dtype) -> None:
    """Raise ValueError if a finite number would be an infinity in arrays of this dtype."""
    if dtype == FLOAT32 and _MOST_FLOAT32 < abs(number) < math.inf:
        raise ValueError(f"{name} is {number}, {_beyond(dtype)}")


_MOST_FLOAT32 = float(np.finfo(np.float32).max)


def _beyond(dtype: np.dtype) -> str:
    most = np.finfo(dtype).max
    return f"but {dtype} holds numbers up to {most:.4g} only; scale it down, or compute in float64"


def as_choice(value: Any, name: str, choices: tuple[str, ...]) -> str:
    """One of the strings in `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} is {value!r}, but it must be one of {', '.join(map(repr, choices))}")
    return value


class Batch(NamedTuple):
    """Rows of all texts end to end, whichever form the batch came in.

    Attributes
    ----------
    rows : ndarray of shape (n_rows, channels), C-contiguous
    offsets : intp ndarray of shape (n_texts + 1,)
    length : int or None
        Rows of every text of an array ``(n, length, channels)``; None for a packed batch.
    """

    rows: Array
    offsets: Array
    length: int | None

    @property
    def n_texts(self) -> int:
        return len(self.offsets) - 1

    @property
    def n_channels(self) -> int:
        return self.rows.shape[1]

    @property
    def lengths(self) -> Array:
        """Rows of each text, intp ``(n_texts,)``."""
        return np.diff(self.offsets)

    def results(self, rows: Array, offsets: Array, length: int) -> Array | tuple[Array, Array]:
        """`rows` in the form in which this batch came.

        ``(n, length, ...)``, or ``(rows, offsets)`` for a packed batch. `length` is the number of result
        rows of every text; it is not read for a packed batch.
        """
        if self.length is None:
            return rows, offsets
        return rows.reshape(self.n_texts, length, *rows.shape[1:])

    def gradient(self, rows: Array) -> Array:
        """`rows`, a gradient of this batch's rows, in the form in which the batch came."""
        return rows if self.length is None else rows.reshape(self.n_texts, self.length, *rows.shape[1:])


def as_batch(
    x: ArrayLike, offsets: ArrayLike | None, dtype: np.dtype, name: str = "x", channels: int | None = None
) -> Batch:
    """The batch in `x`, in one of its two forms.

    Parameters
    ----------
    x : array-like of shape (n, length, channels), or (n_rows, channels) with `offsets`
    offsets : array-like of int of shape (n_texts + 1,), or None
    dtype : dtype
    name : str
        For messages.
    channels : int, optional
        How many there must be; any number by default.

    Raises
    ------
    ValueError
        If the shape is another, or the offsets do not begin with 0, fall, or end elsewhere than with the
        number of rows.
    """
    array = np.asarray(x, dtype, order="C")
    expected = 3 if offsets is None else 2
    if array.ndim != expected or (channels is not None and array.shape[-1] != channels):
        last = "channels" if channels is None else str(channels)
        form = f"(n, length, {last})" if offsets is None else f"(n_rows, {last}) beside offsets"
        if offsets is None and array.ndim == 2 and name != "d_out":
            form += f", or (n_rows, {last}) with offsets"
        raise ValueError(f"{name} has shape {np.shape(x)}, but expected {form}")
    if offsets is None:
        n, length = array.shape[:2]
        return Batch(array.reshape(n * length, array.shape[2]), regular_offsets(n, length), length)
    return Batch(array, as_offsets(offsets, len(array), name), None)


def as_offsets(offsets: ArrayLike, n_rows: int | None, name: str) -> Array:
    """Checked offsets of a packed batch of `n_rows` rows, or of as many as they say."""
    array = integer_array(offsets, "offsets")
    if array.ndim != 1 or len(array) == 0 or array.dtype.kind not in "iu":
        raise ValueError(
            f"offsets has shape {array.shape} and dtype {array.dtype}, but expected integers (n_texts + 1,)"
        )
    array = np.ascontiguousarray(array, np.intp)
    if n_rows is None:
        n_rows = array[-1]
    if array[0] != 0 or array[-1] != n_rows:
        raise ValueError(
            f"offsets run from {array[0]} to {array[-1]}, but must rise from 0 to the {n_rows} rows of {name}"
        )
    falls = array[1:] < array[:-1]
    if falls.any():
        text = int(falls.argmax())
        raise ValueError(
            f"offsets fall from {array[text]} to {array[text + 1]} at text {text}, but must rise "
            f"from 0 to the {n_rows} rows of {name}"
        )
    return array


def regular_offsets(n: int, length: int) -> Array:
    """Offsets of n texts of the same length."""
    return np.arange(0, n * length + 1, length, dtype=np.intp) if length else np.zeros(n + 1, np.intp)


def offsets_of(lengths: Array) -> Array:
    """Offsets of texts of these lengths, intp ``(n_texts + 1,)``."""
    offsets = np.zeros(len(lengths) + 1, np.intp)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def result_offsets(
    offsets: Array, length: int | None, output_length: Callable[[Any], Any]
) -> tuple[Array, int]:
    """Offsets of the results of texts, and the one length of all results, 0 for a packed batch.

    `output_length` is the length of the result as a function of that of the text, or of an array of them.
    """
    if length is None:
        return offsets_of(output_length(offsets[1:] - offsets[:-1])), 0
    # one length for all: a call with one short text takes half the time
    rows = int(output_length(length))
    return regular_offsets(len(offsets) - 1, rows), rows


def as_gradient(d_out: ArrayLike, batch: Batch, offsets: Array, length: int, channels: int) -> Array:
    """Rows ``(n_result_rows, channels)`` of the gradient of what ``batch.results`` gave."""
    n_rows = int(offsets[-1])
    shape = (n_rows, channels) if batch.length is None else (batch.n_texts, length, channels)
    return as_array(d_out, "d_out", shape, batch.rows.dtype).reshape(n_rows, channels)
