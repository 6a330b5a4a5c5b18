"""Pooling: over windows, over the whole time axis, over the bins of a pyramid; and the k largest.

Every pooling here is one over ranges of rows. Output row w pools the rows ``starts[w]:ends[w]`` of the packed
batch; windows are clipped to their text, so that padding is never stored and a pad never wins a maximum.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from textcnn._kernels import _pooling
from textcnn._threads import effective_n_threads
from textcnn.ops._arrays import (
    Array,
    Batch,
    as_array,
    as_batch,
    as_choice,
    as_gradient,
    as_integer,
    as_offsets,
    common_dtype,
    offsets_of,
    regular_offsets,
)

__all__ = [
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_backward",
    "adaptive_mean_pool1d",
    "adaptive_mean_pool1d_backward",
    "dynamic_k",
    "global_average_pool1d",
    "global_average_pool1d_backward",
    "global_lp_pool1d",
    "global_lp_pool1d_backward",
    "global_max_pool1d",
    "global_max_pool1d_backward",
    "global_mean_pool1d",
    "global_mean_pool1d_backward",
    "global_sum_pool1d",
    "global_sum_pool1d_backward",
    "global_weighted_pool1d",
    "global_weighted_pool1d_backward",
    "k_max_pool1d",
    "k_max_pool1d_backward",
    "lp_pool1d",
    "lp_pool1d_backward",
    "max_pool1d",
    "max_pool1d_backward",
    "mean_pool1d",
    "mean_pool1d_backward",
    "spatial_pyramid_pool1d",
    "spatial_pyramid_pool1d_backward",
    "sum_pool1d",
    "sum_pool1d_backward",
    "weighted_pool1d",
    "weighted_pool1d_backward",
]

Padding = int | tuple[int, int]

# Parts in which the gradient of the weights is summed: fixed, so that the sum is the same on any number of threads.
N_PARTS = 64

# Above this a window could not lie in an array, and its bounds could overflow.
LARGEST_SIZE = 2**48


# ---- the ranges -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ranges:
    """Rows that are pooled into each row of the result.

    Attributes
    ----------
    starts, ends : intp ndarrays of shape (m,)
        Range w is the rows ``starts[w]:ends[w]`` of the packed batch.
    nominal : intp ndarray of shape (m,)
        Where each range would begin if it were not clipped to its text.
    origins : intp ndarray of shape (m,)
        First row of the text of each range.
    offsets : intp ndarray of shape (n_texts + 1,)
        Where the ranges of each text begin.
    length : int
        Ranges of every text, where all have the same number; otherwise not read.
    """

    starts: Array
    ends: Array
    nominal: Array
    origins: Array
    offsets: Array
    length: int

    @property
    def sizes(self) -> Array:
        """Rows of each range, intp ``(m,)``."""
        return self.ends - self.starts


def _windows(batch: Batch, kernel_size: int, stride: int | None, padding: Padding) -> Ranges:
    """Windows of `kernel_size` rows that slide over each text."""
    size = _as_size(kernel_size, "kernel_size")
    step = size if stride is None else _as_size(stride, "stride")
    left, right = _as_padding(padding, size)

    def n_windows(length: Any) -> Any:
        return (length + left + right - size) // step + 1

    counts = np.maximum(n_windows(batch.lengths), 0)
    offsets = offsets_of(counts)
    length = 0 if batch.length is None else max(n_windows(batch.length), 0)
    origins, ends_of_text = np.repeat(batch.offsets[:-1], counts), np.repeat(batch.offsets[1:], counts)
    window = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
    nominal = origins + window * step - left
    starts = np.minimum(np.maximum(nominal, origins), ends_of_text)
    ends = np.minimum(np.maximum(nominal + size, origins), ends_of_text)
    return Ranges(starts, ends, nominal, origins, offsets, length)


def _whole_texts(batch: Batch) -> Ranges:
    """One range a text: all of it."""
    starts = np.ascontiguousarray(batch.offsets[:-1])
    ends = np.ascontiguousarray(batch.offsets[1:])
    return Ranges(starts, ends, starts, starts, regular_offsets(batch.n_texts, 1), 1)


def _bins(offsets: Array, levels: tuple[int, ...]) -> Ranges:
    """Bin i of m covers the rows floor(i L / m) to ceil((i + 1) L / m) of a text of length L."""
    n, length = len(offsets) - 1, sum(levels)
    numbers = np.concatenate([np.arange(m) for m in levels])
    divisors = np.repeat(levels, levels)
    lengths = np.diff(offsets)[:, None]
    origins = np.repeat(offsets[:-1], length)
    starts = origins + (numbers * lengths // divisors).ravel()
    ends = origins + (-((numbers + 1) * -lengths // -divisors) if False else -(-(numbers + 1) * lengths // divisors)).ravel()
    return Ranges(starts, ends, starts, origins, regular_offsets(n, length), length)


def _as_size(value: Any, name: str) -> int:
    size = as_integer(value, name, 1)
    if size > LARGEST_SIZE:
        raise ValueError(f"{name} is {size}, but it must be at most 2**48")
    return size


def _as_padding(padding: Padding, kernel_size: int) -> tuple[int, int]:
    pair = padding if isinstance(padding, tuple | list) else (padding, padding)
    if len(pair) != 2:
        raise ValueError(f"padding is {padding!r}, but it must be an integer or a pair (left, right)")
    left, right = (as_integer(side, "padding", 0) for side in pair)
    if max(left, right) >= kernel_size:
        raise ValueError(
            f"padding is {padding!r}, but each side must be less than the kernel_size {kernel_size}: "
            "a window on padding alone has nothing to pool"
        )
    return left, right


# ---- maximum ----------------------------------------------------------------------------------------


def max_pool1d(
    x: ArrayLike,
    kernel_size: int,
    *,
    stride: int | None = None,
    padding: Padding = 0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> tuple[Array, ...]:
    """Maximum over windows: ``out[t, c] = max_k x[t * stride + k - left, c]`` for k below `kernel_size`.

    A text of length L gives ``floor((L + left + right - kernel_size) / stride) + 1`` rows, at least 0. A pad
    never wins. The first of equal maxima counts; NaN is above every number.

    Parameters
    ----------
    x : array-like of shape (n, length, channels), or (n_rows, channels) with `offsets`
    kernel_size : int
        Rows of a window.
    stride : int, optional
        Rows from one window to the next; `kernel_size` by default.
    padding : int or (int, int), default 0
        Rows of padding on both sides, or on the left and on the right, each less than `kernel_size`.
    offsets : array-like of int of shape (n + 1,), optional
        Where each text of a packed batch begins.
    n_jobs : int, optional
        Threads; None uses what OpenMP may use, -1 all processors.

    Returns
    -------
    out : ndarray of shape (n, n_windows, channels), or (n_out_rows, channels)
        A window without a row of its text gives 0.
    argmax : intp ndarray of the shape of `out`
        Position of each maximum within its text; -1 for a window without a row.
    out_offsets : intp ndarray of shape (n + 1,)
        Only with `offsets`.

    Raises
    ------
    ValueError
        If a shape or an option is not as described.

    References
    ----------
    Goodfellow, Bengio & Courville 2016, Deep Learning, section 9.3.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import max_pool1d
    >>> out, argmax = max_pool1d(np.array([[[1.0], [5.0], [2.0], [2.0]]]), 2)
    >>> out[0, :, 0], argmax[0, :, 0]
    (array([5., 2.]), array([1, 2]))
    """
    batch = as_batch(x, offsets, common_dtype(x))
    ranges = _windows(batch, kernel_size, stride, padding)
    return _both(batch, ranges, *_max(batch, ranges, n_jobs))


def max_pool1d_backward(
    d_out: ArrayLike,
    argmax: ArrayLike,
    *,
    length: int | None = None,
    offsets: ArrayLike | None = None,
    out_offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Array:
    """Gradient of `max_pool1d`: each maximum's gradient goes to the row that it came from.

    ``d_x[r, c] = sum of d_out[t, c] over all t with argmax[t, c] == r``.

    Parameters
    ----------
    d_out : array-like of shape (n, n_windows, channels), or (n_out_rows, channels) with the offsets
    argmax : array-like of int of the shape of `d_out`
        As `max_pool1d` gave it.
    length : int, optional
        Rows of each text of x; for the form ``(n, length, channels)``.
    offsets : array-like of int of shape (n + 1,), optional
        Offsets of x; for a packed batch.
    out_offsets : array-like of int of shape (n + 1,), optional
        Offsets of `d_out`, as `max_pool1d` gave them; for a packed batch.
    n_jobs : int, optional
        Threads, as in `max_pool1d`.

    Returns
    -------
    d_x : ndarray of shape (n, length, channels), or (n_rows, channels)

    Raises
    ------
    ValueError
        If a shape is not as described, or `argmax` points outside its text.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import max_pool1d_backward
    >>> d_out, argmax = np.array([[[7.0], [3.0]]]), np.array([[[1], [2]]])
    >>> max_pool1d_backward(d_out, argmax, length=4)[0, :, 0]
    array([0., 7., 3., 0.])
    """
    return _route(d_out, argmax, length, offsets, out_offsets, n_jobs)


def global_max_pool1d(
    x: ArrayLike, *, offsets: ArrayLike | None = None, n_jobs: int | None = None
) -> tuple[Array, Array]:
    """Maximum over the whole time axis: ``out[i, c] = max_t x[i, t, c]`` (max-over-time pooling).

    Parameters
    ----------
    x, offsets, n_jobs
        As in `max_pool1d`.

    Returns
    -------
    out : ndarray of shape (n, channels)
        0 for an empty text.
    argmax : intp ndarray of shape (n, channels)
        Position of the first maximum; -1 for an empty text.

    References
    ----------
    Collobert et al. 2011, Natural Language Processing (Almost) from Scratch, section 3.3.2; Kim 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import global_max_pool1d
    >>> global_max_pool1d(np.array([[[1.0, 8.0], [5.0, 2.0]]]))
    (array([[5., 8.]]), array([[1, 0]]))
    """
    batch = as_batch(x, offsets, common_dtype(x))
    return _max(batch, _whole_texts(batch), n_jobs)


def global_max_pool1d_backward(
    d_out: ArrayLike,
    argmax: ArrayLike,
    *,
    length: int | None = None,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Array:
    """Gradient of `global_max_pool1d`: all of it goes to the row of the maximum.

    Parameters
    ----------
    d_out : array-like of shape (n, channels)
    argmax : array-like of int of shape (n, channels)
    length, offsets, n_jobs
        As in `max_pool1d_backward`: one of `length` and `offsets`.

    Returns
    -------
    d_x : ndarray of shape (n, length, channels), or (n_rows, channels)

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import global_max_pool1d_backward
    >>> global_max_pool1d_backward([[7.0]], [[1]], length=3)[0, :, 0]
    array([0., 7., 0.])
    """
    gradient, positions = _as_rows(d_out, "d_out"), _as_rows(argmax, "argmax")
    return _route(gradient[:, None], positions[:, None], length, offsets, None, n_jobs)


def _max(batch: Batch, ranges: Ranges, n_jobs: int | None) -> tuple[Array, Array]:
    """Rows of the maxima, and their positions."""
    shape = len(ranges.starts), batch.n_channels
    out, argmax = np.empty(shape, batch.rows.dtype), np.empty(shape, np.intp)
    _pooling.max_forward(
        batch.rows, ranges.starts, ranges.ends, ranges.origins, out, argmax, effective_n_threads(n_jobs)
    )
    return out, argmax


def _both(batch: Batch, ranges: Ranges, out: Array, argmax: Array) -> tuple[Array, ...]:
    """A result and its positions in the form of the batch."""
    if batch.length is None:
        return out, argmax, ranges.offsets
    shape = batch.n_texts, ranges.length, batch.n_channels
    return out.reshape(shape), argmax.reshape(shape)


def _route(
    d_out: ArrayLike,
    argmax: ArrayLike,
    length: int | None,
    offsets: ArrayLike | None,
    out_offsets: ArrayLike | None,
    n_jobs: int | None,
) -> Array:
    """Each value of `d_out` added to the row of its text that `argmax` names."""
    if (length is None) == (offsets is None):
        found = "neither" if length is None else "both"
        raise ValueError(f"found {found} of length and offsets, but exactly one of them must say how long x was")
    if length is not None and out_offsets is not None:
        raise ValueError("found length and out_offsets, but a packed d_out needs the offsets of x as well")
    gradient = as_batch(d_out, out_offsets, common_dtype(d_out), "d_out")
    rows = offsets_alone(offsets) if length is None else regular_offsets(gradient.n_texts, as_integer(length, "length", 0))
    if len(rows) != len(gradient.offsets):
        raise ValueError(f"d_out has {gradient.n_texts} texts, but offsets has {len(rows) - 1}")
    positions = np.asarray(argmax)
    if positions.dtype.kind not in "iu" or positions.shape != np.shape(d_out):
        raise ValueError(
            f"argmax has shape {positions.shape} and dtype {positions.dtype}, "
            f"but expected integers of the shape {np.shape(d_out)} of d_out"
        )
    d_x = np.empty((rows[-1], gradient.n_channels), gradient.rows.dtype)
    positions = np.ascontiguousarray(positions, np.intp).reshape(gradient.rows.shape)
    _pooling.max_backward(gradient.rows, positions, gradient.offsets, rows, d_x, effective_n_threads(n_jobs))
    return d_x if length is None else d_x.reshape(gradient.n_texts, -1 if gradient.n_texts else length, d_x.shape[1])
