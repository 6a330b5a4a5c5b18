"""Pooling: over windows, over the whole time axis, over the bins of a pyramid; and the k largest.

Every pooling here is one over ranges of rows. Output row w pools the rows ``starts[w]:ends[w]`` of the packed
batch; windows are clipped to their text, so that padding is never stored and a pad never wins a maximum.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

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
    as_real,
    common_dtype,
    integer_array,
    offsets_of,
    regular_offsets,
    result_offsets,
    unmasked,
)
from textcnn.ops.arithmetic import MOST, as_pads, as_size, window_count

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

# Parts in which the gradient of the weights is summed: fixed, so that threads do not change the sum.
N_PARTS = 64

# For the kernels: every weight is 1.
NO_WEIGHTS = np.zeros(0)


# ---- the ranges -----------------------------------------------------------------------------------


class Ranges(NamedTuple):
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
    size = as_size(kernel_size, "kernel_size")
    step = size if stride is None else as_size(stride, "stride")
    left, right = _as_padding(padding, size)

    offsets, length = result_offsets(
        batch.offsets, batch.length, lambda rows: window_count(rows, left + right - size, step)
    )
    counts = np.diff(offsets) if batch.length is None else length
    origins, ends_of_text = np.repeat(batch.offsets[:-1], counts), np.repeat(batch.offsets[1:], counts)
    window = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
    nominal = origins + window * step - left
    starts = np.minimum(np.maximum(nominal, origins), ends_of_text)
    ends = np.minimum(np.maximum(nominal + size, origins), ends_of_text)
    return Ranges(starts, ends, nominal, origins, offsets, length)


def _whole_texts(batch: Batch) -> Ranges:
    """One range a text: all of it."""
    starts, ends = batch.offsets[:-1], batch.offsets[1:]
    return Ranges(starts, ends, starts, starts, regular_offsets(batch.n_texts, 1), 1)


def _bins(offsets: Array, levels: tuple[int, ...]) -> Ranges:
    """Bin i of m covers the rows floor(i L / m) to ceil((i + 1) L / m) of a text of length L."""
    n, length = len(offsets) - 1, sum(levels)
    numbers, divisors = np.concatenate([[np.arange(m), np.full(m, m)] for m in levels], axis=1)
    first, lengths = offsets[:-1, None], np.diff(offsets)[:, None]
    starts = (first + numbers * lengths // divisors).ravel()
    ends = (first - -(numbers + 1) * lengths // divisors).ravel()
    origins = np.repeat(offsets[:-1], length)
    return Ranges(starts, ends, starts, origins, regular_offsets(n, length), length)


def _as_padding(padding: Padding, kernel_size: int) -> tuple[int, int]:
    left, right = as_pads(padding)
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
    _check_packed(d_out, length, out_offsets)
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

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

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

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

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


def _check_packed(d_out: ArrayLike, length: int | None, out_offsets: ArrayLike | None) -> None:
    """The rows of a packed gradient come with their offsets."""
    if length is None and out_offsets is None and np.ndim(d_out) == 2:
        raise ValueError(
            f"d_out has shape {np.shape(d_out)}, rows of a packed batch, but out_offsets is missing; give "
            "the offsets that the pooling returned last"
        )


def _route(
    d_out: ArrayLike,
    argmax: ArrayLike,
    length: int | None,
    offsets: ArrayLike | None,
    out_offsets: ArrayLike | None,
    n_jobs: int | None,
) -> Array:
    """Each value of `d_out` added to the row of its text that `argmax` names."""
    if length is not None and out_offsets is not None:
        raise ValueError("found length and out_offsets, but a packed d_out needs the offsets of x as well")
    gradient = as_batch(d_out, out_offsets, common_dtype(d_out), "d_out")
    n, n_channels = gradient.n_texts, gradient.n_channels
    rows = _offsets_of_x(n, length, offsets)
    positions = integer_array(argmax, "argmax")
    if positions.dtype.kind not in "iu" or positions.shape != np.shape(d_out):
        raise ValueError(
            f"argmax has shape {positions.shape} and dtype {positions.dtype}, "
            f"but expected integers of the shape {np.shape(d_out)} of d_out"
        )
    positions = np.ascontiguousarray(positions, np.intp).reshape(gradient.rows.shape)
    d_x = np.empty((rows[-1], n_channels), gradient.rows.dtype)
    _pooling.max_backward(gradient.rows, positions, gradient.offsets, rows, d_x, effective_n_threads(n_jobs))
    return d_x if length is None else d_x.reshape(n, length, n_channels)


def _offsets_of_x(n: int, length: int | None, offsets: ArrayLike | None) -> Array:
    """Offsets of n texts, of which either the one length or the offsets are given."""
    if length is not None:
        if offsets is not None:
            raise ValueError("found both length and offsets, but only one of them can say how long x was")
        return regular_offsets(n, as_size(length, "length", 0))
    if offsets is None:
        raise ValueError("found neither length nor offsets, but one of them must say how long x was")
    array = as_offsets(offsets, None, "x")
    if len(array) != n + 1:
        raise ValueError(f"offsets has {len(array)} values, but the {n} texts of d_out need {n + 1}")
    return array


def _as_rows(array: ArrayLike, name: str) -> Array:
    result = unmasked(array, name)
    if result.ndim != 2:
        raise ValueError(f"{name} has shape {result.shape}, but expected (n, channels)")
    return result


# ---- weighted sums ----------------------------------------------------------------------------------


def _linear(
    batch: Batch, ranges: Ranges, scales: Array, n_jobs: int | None, weights: Array = NO_WEIGHTS
) -> Array:
    """Rows ``scales[w] * sum of weights[r - nominal[w]] * x[r]`` over the rows r of each range w."""
    out = np.empty((len(ranges.starts), batch.n_channels), batch.rows.dtype)
    _pooling.sum_forward(
        batch.rows,
        ranges.starts,
        ranges.ends,
        scales,
        weights,
        ranges.nominal,
        out,
        effective_n_threads(n_jobs),
    )
    return out


def _linear_backward(
    d_out: Array,
    n_rows: int,
    ranges: Ranges,
    scales: Array,
    n_jobs: int | None,
    weights: Array = NO_WEIGHTS,
) -> Array:
    """The transpose of `_linear`."""
    d_x = np.empty((n_rows, d_out.shape[1]), d_out.dtype)
    _pooling.sum_backward(
        d_out,
        ranges.starts,
        ranges.ends,
        scales,
        weights,
        ranges.nominal,
        d_x,
        effective_n_threads(n_jobs),
    )
    return d_x


def _ones(ranges: Ranges) -> Array:
    return np.ones(len(ranges.starts))


def _shares(ranges: Ranges) -> Array:
    """1 / size of each range, float64."""
    return 1 / np.maximum(ranges.sizes, 1)


def _mean_scales(ranges: Ranges, kernel_size: int, count_include_pad: bool) -> Array:
    if not isinstance(count_include_pad, bool | np.bool_):
        raise TypeError(f"count_include_pad is {count_include_pad!r}, but it must be True or False")
    return np.full(len(ranges.starts), 1 / kernel_size) if count_include_pad else _shares(ranges)


def _batch_of(d_out: ArrayLike, x: ArrayLike, offsets: ArrayLike | None, *others: ArrayLike | None) -> Batch:
    return as_batch(x, offsets, common_dtype(d_out, x, *others))


def _text_rows(d_out: ArrayLike, batch: Batch) -> Array:
    """Gradient of a result with one row a text."""
    return as_array(d_out, "d_out", (batch.n_texts, batch.n_channels), batch.rows.dtype)


def _window_rows(d_out: ArrayLike, batch: Batch, ranges: Ranges) -> Array:
    """Gradient of a result with one row a range, in the form of the batch."""
    return as_gradient(d_out, batch, ranges.offsets, ranges.length, batch.n_channels)


def mean_pool1d(
    x: ArrayLike,
    kernel_size: int,
    *,
    stride: int | None = None,
    padding: Padding = 0,
    count_include_pad: bool = False,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Array | tuple[Array, Array]:
    """Mean over windows: ``out[t, c] = sum_k x[t * stride + k - left, c] / (rows in the window)``.

    Parameters
    ----------
    x, kernel_size, stride, padding, offsets, n_jobs
        As in `max_pool1d`.
    count_include_pad : bool, default False
        Divide by the rows of the text in the window; if True by `kernel_size`, which counts the padding as
        zeros.

    Returns
    -------
    out : ndarray of shape (n, n_windows, channels), or (n_out_rows, channels)
        A window without a row of its text gives 0.
    out_offsets : intp ndarray of shape (n + 1,)
        Only with `offsets`.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    LeCun et al. 1998, Gradient-based learning applied to document recognition (subsampling).

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import mean_pool1d
    >>> x = np.array([[[1.0], [5.0], [2.0]]])
    >>> mean_pool1d(x, 2, stride=1, padding=(0, 1))[0, :, 0]
    array([3. , 3.5, 2. ])
    >>> mean_pool1d(x, 2, stride=1, padding=(0, 1), count_include_pad=True)[0, :, 0]
    array([3. , 3.5, 1. ])
    """
    batch = as_batch(x, offsets, common_dtype(x))
    ranges = _windows(batch, kernel_size, stride, padding)
    out = _linear(batch, ranges, _mean_scales(ranges, kernel_size, count_include_pad), n_jobs)
    return batch.results(out, ranges.offsets, ranges.length)


def mean_pool1d_backward(
    d_out: ArrayLike,
    x: ArrayLike,
    kernel_size: int,
    *,
    stride: int | None = None,
    padding: Padding = 0,
    count_include_pad: bool = False,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Array:
    """Gradient of `mean_pool1d`: each window's gradient is spread equally over its rows.

    Parameters
    ----------
    d_out : array-like of the shape of the result
    x : array-like
        Of which the shape alone matters.
    kernel_size, stride, padding, count_include_pad, offsets, n_jobs
        As in `mean_pool1d`.

    Returns
    -------
    d_x : ndarray of the shape of x

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import mean_pool1d_backward
    >>> d_out = np.array([[[4.0], [6.0]]])
    >>> mean_pool1d_backward(d_out, np.zeros((1, 4, 1)), 2)[0, :, 0]
    array([2., 2., 3., 3.])
    """
    batch = _batch_of(d_out, x, offsets)
    ranges = _windows(batch, kernel_size, stride, padding)
    gradient = _window_rows(d_out, batch, ranges)
    scales = _mean_scales(ranges, kernel_size, count_include_pad)
    return batch.gradient(_linear_backward(gradient, len(batch.rows), ranges, scales, n_jobs))


def global_mean_pool1d(x: ArrayLike, *, offsets: ArrayLike | None = None, n_jobs: int | None = None) -> Array:
    """Mean over the whole time axis: ``out[i, c] = sum_t x[i, t, c] / L_i`` (global average pooling).

    Parameters
    ----------
    x, offsets, n_jobs
        As in `max_pool1d`.

    Returns
    -------
    out : ndarray of shape (n, channels)
        0 for an empty text.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    Lin, Chen & Yan 2014, Network in Network, section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import global_mean_pool1d
    >>> global_mean_pool1d(np.array([[1.0], [3.0], [8.0]]), offsets=[0, 2, 3])
    array([[2.],
           [8.]])
    """
    batch = as_batch(x, offsets, common_dtype(x))
    ranges = _whole_texts(batch)
    return _linear(batch, ranges, _shares(ranges), n_jobs)


def global_mean_pool1d_backward(
    d_out: ArrayLike, x: ArrayLike, *, offsets: ArrayLike | None = None, n_jobs: int | None = None
) -> Array:
    """Gradient of `global_mean_pool1d`: ``d_x[i, t, c] = d_out[i, c] / L_i``.

    Parameters
    ----------
    d_out : array-like of shape (n, channels)
    x : array-like
        Of which the shape alone matters.
    offsets, n_jobs
        As in `max_pool1d`.

    Returns
    -------
    d_x : ndarray of the shape of x

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import global_mean_pool1d_backward
    >>> global_mean_pool1d_backward([[6.0]], np.zeros((1, 3, 1)))[0, :, 0]
    array([2., 2., 2.])
    """
    batch = _batch_of(d_out, x, offsets)
    ranges = _whole_texts(batch)
    gradient = _text_rows(d_out, batch)
    return batch.gradient(_linear_backward(gradient, len(batch.rows), ranges, _shares(ranges), n_jobs))


global_average_pool1d = global_mean_pool1d
global_average_pool1d_backward = global_mean_pool1d_backward


def sum_pool1d(
    x: ArrayLike,
    kernel_size: int,
    *,
    stride: int | None = None,
    padding: Padding = 0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Array | tuple[Array, Array]:
    """Sum over windows: ``out[t, c] = sum_k x[t * stride + k - left, c]``; padding counts as zeros.

    Parameters
    ----------
    x, kernel_size, stride, padding, offsets, n_jobs
        As in `max_pool1d`.

    Returns
    -------
    out : ndarray of shape (n, n_windows, channels), or (n_out_rows, channels)
    out_offsets : intp ndarray of shape (n + 1,)
        Only with `offsets`.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    LeCun et al. 1998, Gradient-based learning applied to document recognition (subsampling before its
    trainable coefficient).

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import sum_pool1d
    >>> sum_pool1d(np.array([[[1.0], [5.0], [2.0], [2.0]]]), 2)[0, :, 0]
    array([6., 4.])
    """
    batch = as_batch(x, offsets, common_dtype(x))
    ranges = _windows(batch, kernel_size, stride, padding)
    return batch.results(_linear(batch, ranges, _ones(ranges), n_jobs), ranges.offsets, ranges.length)


def sum_pool1d_backward(
    d_out: ArrayLike,
    x: ArrayLike,
    kernel_size: int,
    *,
    stride: int | None = None,
    padding: Padding = 0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Array:
    """Gradient of `sum_pool1d`: each row gets the gradients of all windows that it lies in.

    Parameters
    ----------
    d_out : array-like of the shape of the result
    x : array-like
        Of which the shape alone matters.
    kernel_size, stride, padding, offsets, n_jobs
        As in `sum_pool1d`.

    Returns
    -------
    d_x : ndarray of the shape of x

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import sum_pool1d_backward
    >>> sum_pool1d_backward([[[4.0], [6.0]]], np.zeros((1, 3, 1)), 2, stride=1)[0, :, 0]
    array([ 4., 10.,  6.])
    """
    batch = _batch_of(d_out, x, offsets)
    ranges = _windows(batch, kernel_size, stride, padding)
    gradient = _window_rows(d_out, batch, ranges)
    return batch.gradient(_linear_backward(gradient, len(batch.rows), ranges, _ones(ranges), n_jobs))


def global_sum_pool1d(x: ArrayLike, *, offsets: ArrayLike | None = None, n_jobs: int | None = None) -> Array:
    """Sum over the whole time axis: ``out[i, c] = sum_t x[i, t, c]``.

    Parameters
    ----------
    x, offsets, n_jobs
        As in `max_pool1d`.

    Returns
    -------
    out : ndarray of shape (n, channels)

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    As `sum_pool1d`.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import global_sum_pool1d
    >>> global_sum_pool1d(np.array([[[1.0], [5.0], [2.0]]]))
    array([[8.]])
    """
    batch = as_batch(x, offsets, common_dtype(x))
    ranges = _whole_texts(batch)
    return _linear(batch, ranges, _ones(ranges), n_jobs)


def global_sum_pool1d_backward(
    d_out: ArrayLike, x: ArrayLike, *, offsets: ArrayLike | None = None, n_jobs: int | None = None
) -> Array:
    """Gradient of `global_sum_pool1d`: ``d_x[i, t, c] = d_out[i, c]``.

    Parameters
    ----------
    d_out : array-like of shape (n, channels)
    x : array-like
        Of which the shape alone matters.
    offsets, n_jobs
        As in `max_pool1d`.

    Returns
    -------
    d_x : ndarray of the shape of x

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import global_sum_pool1d_backward
    >>> global_sum_pool1d_backward([[6.0]], np.zeros((1, 3, 1)))[0, :, 0]
    array([6., 6., 6.])
    """
    batch = _batch_of(d_out, x, offsets)
    ranges = _whole_texts(batch)
    gradient = _text_rows(d_out, batch)
    return batch.gradient(_linear_backward(gradient, len(batch.rows), ranges, _ones(ranges), n_jobs))


def weighted_pool1d(
    x: ArrayLike,
    kernel_size: int,
    *,
    weights: ArrayLike | None = None,
    stride: int | None = None,
    padding: Padding = 0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Array | tuple[Array, Array]:
    """Weighted sum over windows: ``out[t, c] = sum_k weights[k] * x[t * stride + k - left, c]``.

    All channels have the same weights; padding counts as zeros.

    Parameters
    ----------
    x, kernel_size, stride, padding, offsets, n_jobs
        As in `max_pool1d`.
    weights : array-like of shape (kernel_size,), optional
        By default they fall with the distance from the centre, ``min(k + 1, kernel_size - k)`` divided by
        the sum of all: (1, 2, 1) / 4 for a `kernel_size` of 3.

    Returns
    -------
    out : ndarray of shape (n, n_windows, channels), or (n_out_rows, channels)
    out_offsets : intp ndarray of shape (n + 1,)
        Only with `offsets`.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    Goodfellow, Bengio & Courville 2016, Deep Learning, section 9.3 (a weighted
    average based on the distance from the centre).

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import weighted_pool1d
    >>> x = np.array([[[0.0], [4.0], [8.0], [0.0]]])
    >>> weighted_pool1d(x, 3, stride=1)[0, :, 0]
    array([4., 5.])
    >>> weighted_pool1d(x, 2, weights=[1.0, 10.0])[0, :, 0]
    array([40.,  8.])
    """
    batch = as_batch(x, offsets, common_dtype(x, weights))
    ranges = _windows(batch, kernel_size, stride, padding)
    taps = _as_weights(weights, kernel_size)
    return batch.results(_linear(batch, ranges, _ones(ranges), n_jobs, taps), ranges.offsets, ranges.length)


def weighted_pool1d_backward(
    d_out: ArrayLike,
    x: ArrayLike,
    kernel_size: int,
    *,
    weights: ArrayLike | None = None,
    stride: int | None = None,
    padding: Padding = 0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> tuple[Array, Array]:
    """Gradients of `weighted_pool1d`.

    ``d_x[r, c] = sum_t weights[r - t * stride + left] * d_out[t, c]`` and
    ``d_weights[k] = sum_{t, c} d_out[t, c] * x[t * stride + k - left, c]``, over all texts.

    Parameters
    ----------
    d_out : array-like of the shape of the result
    x, kernel_size, weights, stride, padding, offsets, n_jobs
        As in `weighted_pool1d`.

    Returns
    -------
    d_x : ndarray of the shape of x
    d_weights : ndarray of shape (kernel_size,)

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import weighted_pool1d_backward
    >>> x = np.array([[[1.0], [2.0], [3.0], [4.0]]])
    >>> d_x, d_weights = weighted_pool1d_backward([[[1.0], [5.0]]], x, 2, weights=[1.0, 10.0])
    >>> d_x[0, :, 0], d_weights
    (array([ 1., 10.,  5., 50.]), array([16., 22.]))
    """
    batch = _batch_of(d_out, x, offsets, weights)
    ranges = _windows(batch, kernel_size, stride, padding)
    taps = _as_weights(weights, kernel_size)
    gradient = _window_rows(d_out, batch, ranges)
    d_x = _linear_backward(gradient, len(batch.rows), ranges, _ones(ranges), n_jobs, taps)
    parts = np.empty((min(N_PARTS, max(1, len(gradient))), len(taps)))
    _pooling.weights_backward(
        gradient,
        batch.rows,
        ranges.starts,
        ranges.ends,
        ranges.nominal,
        parts,
        effective_n_threads(n_jobs),
    )
    return batch.gradient(d_x), parts.sum(axis=0).astype(batch.rows.dtype)


def global_weighted_pool1d(
    x: ArrayLike, *, offsets: ArrayLike | None = None, n_jobs: int | None = None
) -> Array:
    """Sum over the time axis with weights that fall with the distance from the middle of the text.

    ``out[i, c] = sum_t w_t x[i, t, c]`` with ``w_t = min(t + 1, L - t) / sum_s min(s + 1, L - s)`` for a text
    of length L: a triangle over the text, of sum 1.

    Parameters
    ----------
    x, offsets, n_jobs
        As in `max_pool1d`.

    Returns
    -------
    out : ndarray of shape (n, channels)
        0 for an empty text.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    As `weighted_pool1d`.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import global_weighted_pool1d
    >>> global_weighted_pool1d(np.array([[[4.0], [8.0], [0.0]]]))
    array([[5.]])
    """
    batch = as_batch(x, offsets, common_dtype(x))
    ranges = _whole_texts(batch)
    return _linear(batch, _from_row_0(ranges), _ones(ranges), n_jobs, _triangles(batch.offsets))


def global_weighted_pool1d_backward(
    d_out: ArrayLike, x: ArrayLike, *, offsets: ArrayLike | None = None, n_jobs: int | None = None
) -> Array:
    """Gradient of `global_weighted_pool1d`: ``d_x[i, t, c] = w_t d_out[i, c]``.

    Parameters
    ----------
    d_out : array-like of shape (n, channels)
    x : array-like
        Of which the shape alone matters.
    offsets, n_jobs
        As in `max_pool1d`.

    Returns
    -------
    d_x : ndarray of the shape of x

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import global_weighted_pool1d_backward
    >>> global_weighted_pool1d_backward([[8.0]], np.zeros((1, 3, 1)))[0, :, 0]
    array([2., 4., 2.])
    """
    batch = _batch_of(d_out, x, offsets)
    ranges = _from_row_0(_whole_texts(batch))
    gradient, weights = _text_rows(d_out, batch), _triangles(batch.offsets)
    d_x = _linear_backward(gradient, len(batch.rows), ranges, _ones(ranges), n_jobs, weights)
    return batch.gradient(d_x)


def _as_weights(weights: ArrayLike | None, kernel_size: int) -> Array:
    """Weights of a window, float64."""
    if weights is None:
        return _triangles(np.array([0, kernel_size], np.intp))
    return as_array(weights, "weights", (kernel_size,), np.dtype(np.float64))


def _triangles(offsets: Array) -> Array:
    """Weights of every row, which fall with the distance from the middle of its text and have the sum 1."""
    lengths = np.diff(offsets)
    t = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    heights = np.minimum(t + 1, np.repeat(lengths, lengths) - t)
    sums = ((lengths + 1) // 2) * ((lengths + 2) // 2)
    return heights / np.repeat(sums, lengths)


def _from_row_0(ranges: Ranges) -> Ranges:
    """The same ranges, with weights that are those of the rows of the batch."""
    return ranges._replace(nominal=np.zeros_like(ranges.starts))


# ---- norms ------------------------------------------------------------------------------------------


def lp_pool1d(
    x: ArrayLike,
    kernel_size: int,
    *,
    p: float = 2.0,
    stride: int | None = None,
    padding: Padding = 0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Array | tuple[Array, Array]:
    """p-norm over windows: ``out[t, c] = (sum_k |x[t * stride + k - left, c]| ** p) ** (1 / p)``.

    p = 1 is the sum of the absolute values, p = 2 the Euclidean norm; a large p comes near the maximum.
    Powers are taken relative to the largest value: they neither overflow nor vanish. Padding counts as zeros.

    Parameters
    ----------
    x, kernel_size, stride, padding, offsets, n_jobs
        As in `max_pool1d`.
    p : float, default 2
        Finite and at least 1; for infinity take `max_pool1d` of the absolute values.

    Returns
    -------
    out : ndarray of shape (n, n_windows, channels), or (n_out_rows, channels)
    out_offsets : intp ndarray of shape (n + 1,)
        Only with `offsets`.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    Sermanet, Chintala & LeCun 2012, Convolutional neural networks applied to house numbers digit
    classification, section 2.2.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import lp_pool1d
    >>> lp_pool1d(np.array([[[3.0], [-4.0], [0.0], [2.0]]]), 2)[0, :, 0]
    array([5., 2.])
    """
    batch = as_batch(x, offsets, common_dtype(x))
    ranges = _windows(batch, kernel_size, stride, padding)
    return batch.results(_norms(batch, ranges, p, batch.rows.dtype, n_jobs), ranges.offsets, ranges.length)


def lp_pool1d_backward(
    d_out: ArrayLike,
    x: ArrayLike,
    kernel_size: int,
    *,
    p: float = 2.0,
    stride: int | None = None,
    padding: Padding = 0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Array:
    """Gradient of `lp_pool1d`: ``d_x[r] = sum_t d_out[t] * sign(x[r]) * (|x[r]| / out[t]) ** (p - 1)``.

    The sum runs over the windows t with row r. Where x is 0 the gradient is 0, also where the norm is, and
    whatever `d_out` is, be it infinite.

    Parameters
    ----------
    d_out : array-like of the shape of the result
    x, kernel_size, p, stride, padding, offsets, n_jobs
        As in `lp_pool1d`.

    Returns
    -------
    d_x : ndarray of the shape of x

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import lp_pool1d_backward
    >>> x = np.array([[[3.0], [-4.0], [0.0], [0.0]]])
    >>> lp_pool1d_backward([[[10.0], [10.0]]], x, 2)[0, :, 0]
    array([ 6., -8.,  0.,  0.])
    """
    batch = _batch_of(d_out, x, offsets)
    ranges = _windows(batch, kernel_size, stride, padding)
    return _norms_backward(_window_rows(d_out, batch, ranges), batch, ranges, p, n_jobs)


def global_lp_pool1d(
    x: ArrayLike, *, p: float = 2.0, offsets: ArrayLike | None = None, n_jobs: int | None = None
) -> Array:
    """p-norm over the whole time axis: ``out[i, c] = (sum_t |x[i, t, c]| ** p) ** (1 / p)``.

    Parameters
    ----------
    x, p, offsets, n_jobs
        As in `lp_pool1d`.

    Returns
    -------
    out : ndarray of shape (n, channels)

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    As `lp_pool1d`.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import global_lp_pool1d
    >>> global_lp_pool1d(np.array([[[3.0], [-4.0]]]))
    array([[5.]])
    """
    batch = as_batch(x, offsets, common_dtype(x))
    return _norms(batch, _whole_texts(batch), p, batch.rows.dtype, n_jobs)


def global_lp_pool1d_backward(
    d_out: ArrayLike,
    x: ArrayLike,
    *,
    p: float = 2.0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Array:
    """Gradient of `global_lp_pool1d`: ``d_out[i] * sign(x[i, t]) * (|x[i, t]| / out[i]) ** (p - 1)``.

    Parameters
    ----------
    d_out : array-like of shape (n, channels)
    x, p, offsets, n_jobs
        As in `lp_pool1d`.

    Returns
    -------
    d_x : ndarray of the shape of x
        0 where x is 0.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import global_lp_pool1d_backward
    >>> global_lp_pool1d_backward([[10.0]], np.array([[[3.0], [-4.0]]]))[0, :, 0]
    array([ 6., -8.])
    """
    batch = _batch_of(d_out, x, offsets)
    return _norms_backward(_text_rows(d_out, batch), batch, _whole_texts(batch), p, n_jobs)


def _norms(batch: Batch, ranges: Ranges, p: float, dtype: DTypeLike, n_jobs: int | None) -> Array:
    """Rows of the norms."""
    out = np.empty((len(ranges.starts), batch.n_channels), dtype)
    n_threads = effective_n_threads(n_jobs)
    _pooling.lp_forward(batch.rows, ranges.starts, ranges.ends, _as_exponent(p), out, n_threads)
    return out


def _norms_backward(gradient: Array, batch: Batch, ranges: Ranges, p: float, n_jobs: int | None) -> Array:
    norms = _norms(batch, ranges, p, np.float64, n_jobs)
    d_x = np.empty_like(batch.rows)
    _pooling.lp_backward(
        gradient, batch.rows, norms, ranges.starts, ranges.ends, p, d_x, effective_n_threads(n_jobs)
    )
    return batch.gradient(d_x)


def _as_exponent(p: Any) -> float:
    exponent = as_real(p, "p")
    if exponent < 1:
        raise ValueError(f"p is {p}, but it must be at least 1")
    return exponent


# ---- the k largest ----------------------------------------------------------------------------------


def k_max_pool1d(
    x: ArrayLike,
    k: int | ArrayLike,
    *,
    kernel_size: int | None = None,
    stride: int | None = None,
    padding: Padding = 0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> tuple[Array, ...]:
    """The k largest of each channel, in the order of their positions.

    ``out[:, c] = x[p_1, c], ..., x[p_k, c]`` with ``p_1 < ... < p_k`` the positions of the k largest. Of
    equal values the first count; NaN is above every number. Fewer than k rows are followed by zeros.

    Parameters
    ----------
    x, offsets, n_jobs
        As in `max_pool1d`.
    k : int, or array-like of int of shape (n,)
        At least 1; one for all texts or one a text (`dynamic_k`).
    kernel_size : int, optional
        Rows of a window; the windows' results follow each other. By default one window is the whole text.
    stride, padding
        Of the windows, as in `max_pool1d`.

    Returns
    -------
    out : ndarray of shape (n, k, channels)
        With windows ``(n, n_windows * k, channels)``. If x is packed and there are windows, or one k a text,
        the result is packed too: ``(n_out_rows, channels)``.
    argmax : intp ndarray of the shape of `out`
        Position of each value within its text; -1 for the zeros at the end.
    out_offsets : intp ndarray of shape (n + 1,)
        Only if the result is packed.

    Raises
    ------
    ValueError
        If a shape or an option is not as described, or x is not packed and the texts' k are unequal.

    References
    ----------
    Kalchbrenner, Grefenstette & Blunsom 2014, A convolutional neural network for modelling sentences,
    section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import k_max_pool1d
    >>> out, argmax = k_max_pool1d(np.array([[[3.0], [9.0], [1.0], [5.0]]]), 2)
    >>> out[0, :, 0], argmax[0, :, 0]
    (array([9., 5.]), array([1, 3]))
    """
    batch = as_batch(x, offsets, common_dtype(x))
    if kernel_size is None and (stride is not None or as_pads(padding) != (0, 0)):
        raise ValueError("found stride or padding without kernel_size, but they are those of its windows")
    whole = kernel_size is None
    ranges = _whole_texts(batch) if kernel_size is None else _windows(batch, kernel_size, stride, padding)
    places = offsets_of(np.repeat(_k_of_texts(k, batch), np.diff(ranges.offsets)))
    out_offsets = places[ranges.offsets]
    out = np.empty((places[-1], batch.n_channels), batch.rows.dtype)
    argmax = np.empty(out.shape, np.intp)
    _pooling.k_max_forward(
        batch.rows,
        ranges.starts,
        ranges.ends,
        ranges.origins,
        places,
        out,
        argmax,
        effective_n_threads(n_jobs),
    )
    if batch.length is None and not (whole and np.ndim(k) == 0):
        return out, argmax, out_offsets
    shape = batch.n_texts, ranges.length * _common_k(k), batch.n_channels
    return out.reshape(shape), argmax.reshape(shape)


def _k_of_texts(k: int | ArrayLike, batch: Batch) -> Array:
    """One k for each text, intp ``(n,)``."""
    if np.ndim(k) == 0:
        return np.full(batch.n_texts, as_size(k, "k"), np.intp)
    array = integer_array(k, "k")
    if array.shape != (batch.n_texts,) or array.dtype.kind not in "iu":
        raise ValueError(
            f"k has shape {array.shape} and dtype {array.dtype}, "
            f"but expected an integer, or one for each of the {batch.n_texts} texts"
        )
    if (array < 1).any() or (array > MOST).any():
        raise ValueError(f"k runs from {array.min()} to {array.max()}, but every k must be from 1 to {MOST}")
    if batch.length is not None and (array != array[:1]).any():
        raise ValueError(
            f"k runs from {array.min()} to {array.max()}, but texts (n, length, channels) need the same k; "
            "pack them and give offsets"
        )
    return array.astype(np.intp)


def _common_k(k: int | ArrayLike) -> int:
    """The k of all texts; 0 if there is neither a text nor a k."""
    return int(np.max(k, initial=0))


def k_max_pool1d_backward(
    d_out: ArrayLike,
    argmax: ArrayLike,
    *,
    length: int | None = None,
    offsets: ArrayLike | None = None,
    out_offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Array:
    """Gradient of `k_max_pool1d`: each value's gradient goes to the row that it came from.

    Parameters
    ----------
    d_out : array-like of the shape of the result
    argmax : array-like of int of the shape of `d_out`
        As `k_max_pool1d` gave it.
    length, offsets, n_jobs
        As in `max_pool1d_backward`: one of `length` and `offsets`.
    out_offsets : array-like of int of shape (n + 1,), optional
        Offsets of `d_out`, if it is packed.

    Returns
    -------
    d_x : ndarray of shape (n, length, channels), or (n_rows, channels)

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import k_max_pool1d_backward
    >>> d_out, argmax = np.array([[[7.0], [3.0]]]), np.array([[[1], [3]]])
    >>> k_max_pool1d_backward(d_out, argmax, length=4)[0, :, 0]
    array([0., 7., 0., 3.])
    """
    _check_packed(d_out, length, out_offsets)
    return _route(d_out, argmax, length, offsets, out_offsets, n_jobs)


def dynamic_k(layer: int, n_layers: int, length: int | ArrayLike, k_top: int) -> Any:
    """How many values k-max pooling keeps: ``max(k_top, ceil((n_layers - layer) / n_layers * length))``.

    Parameters
    ----------
    layer : int
        Number of the layer, from 1 to `n_layers`.
    n_layers : int
        Convolutional layers of the network.
    length : int, or array-like of int
        Rows of the input of the network; of each text, if there are several.
    k_top : int
        Values that the topmost layer keeps, at least 1.

    Returns
    -------
    k : int, or intp ndarray of the shape of `length`

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    Kalchbrenner, Grefenstette & Blunsom 2014, equation 5.

    Examples
    --------
    >>> from textcnn.ops.pooling import dynamic_k
    >>> dynamic_k(1, 3, 18, 3), dynamic_k(2, 3, 18, 3), dynamic_k(3, 3, 18, 3)
    (12, 6, 3)
    >>> dynamic_k(1, 3, [18, 4, 0], 3)
    array([12,  3,  3])
    """
    n_layers = as_integer(n_layers, "n_layers", 1)
    layer = as_integer(layer, "layer", 1)
    if layer > n_layers:
        raise ValueError(f"layer is {layer}, but it must be at most n_layers, which is {n_layers}")
    k_top = as_integer(k_top, "k_top", 1)
    if np.ndim(length) == 0:
        return max(k_top, -(-(n_layers - layer) * as_integer(length, "length", 0) // n_layers))
    lengths = integer_array(length, "length")
    if lengths.dtype.kind not in "iu" or (lengths < 0).any():
        raise ValueError(f"length is {length!r}, but every length must be an integer of at least 0")
    return np.maximum(k_top, -(-(n_layers - layer) * lengths.astype(np.intp) // n_layers))


# ---- pyramids ---------------------------------------------------------------------------------------


def spatial_pyramid_pool1d(
    x: ArrayLike,
    *,
    levels: Sequence[int] = (1, 2, 4),
    mode: str = "max",
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Array | tuple[Array, Array]:
    """Pooling over the bins of a pyramid: as many rows for a text of any length.

    A level of m bins divides a text of length L so that bin i covers the rows ``floor(i L / m)`` to
    ``ceil((i + 1) L / m)``, the last not included; the bins of all levels follow each other.

    Parameters
    ----------
    x, offsets, n_jobs
        As in `max_pool1d`.
    levels : sequence of int, default (1, 2, 4)
        Bins of each level.
    mode : {"max", "mean"}, default "max"
        How each bin is pooled.

    Returns
    -------
    out : ndarray of shape (n, sum(levels), channels)
        0 for an empty text.
    argmax : intp ndarray of the shape of `out`
        Only for ``mode="max"`` (with ``mode="mean"`` `out` is returned alone): position of the first maximum
        within the text; -1 for an empty text.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    He, Zhang, Ren & Sun 2014, Spatial pyramid pooling in deep convolutional networks for visual recognition,
    section 2.2.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import spatial_pyramid_pool1d
    >>> x = np.array([[[3.0], [9.0], [1.0], [5.0]]])
    >>> out, argmax = spatial_pyramid_pool1d(x, levels=(1, 2))
    >>> out[0, :, 0], argmax[0, :, 0]
    (array([9., 9., 5.]), array([1, 1, 3]))
    >>> spatial_pyramid_pool1d(x, levels=(1, 2), mode="mean")[0, :, 0]
    array([4.5, 6. , 3. ])
    """
    mode = as_choice(mode, "mode", ("max", "mean"))
    batch = as_batch(x, offsets, common_dtype(x))
    ranges = _bins(batch.offsets, _as_levels(levels))
    shape = batch.n_texts, ranges.length, batch.n_channels
    if mode == "mean":
        return _linear(batch, ranges, _shares(ranges), n_jobs).reshape(shape)
    out, argmax = _max(batch, ranges, n_jobs)
    return out.reshape(shape), argmax.reshape(shape)


def spatial_pyramid_pool1d_backward(
    d_out: ArrayLike,
    argmax: ArrayLike | None = None,
    *,
    levels: Sequence[int] = (1, 2, 4),
    mode: str = "max",
    length: int | None = None,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Array:
    """Gradient of `spatial_pyramid_pool1d`: routed to the maxima, or spread equally over each bin's rows.

    Parameters
    ----------
    d_out : array-like of shape (n, sum(levels), channels)
    argmax : array-like of int of the shape of `d_out`
        As `spatial_pyramid_pool1d` gave it; None for ``mode="mean"``.
    levels, mode, n_jobs
        As in `spatial_pyramid_pool1d`.
    length, offsets
        As in `max_pool1d_backward`: one of the two.

    Returns
    -------
    d_x : ndarray of shape (n, length, channels), or (n_rows, channels)

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import spatial_pyramid_pool1d_backward
    >>> d_out = np.array([[[4.0], [2.0], [6.0]]])
    >>> spatial_pyramid_pool1d_backward(d_out, levels=(1, 2), mode="mean", length=4)[0, :, 0]
    array([2., 2., 4., 4.])
    >>> spatial_pyramid_pool1d_backward(d_out, [[[1], [1], [3]]], levels=(1, 2), length=4)[0, :, 0]
    array([0., 6., 0., 6.])
    """
    mode = as_choice(mode, "mode", ("max", "mean"))
    sizes = _as_levels(levels)
    gradient = as_array(d_out, "d_out", ("n", sum(sizes), "channels"), common_dtype(d_out))
    if mode == "max":
        if argmax is None:
            raise ValueError('argmax is None, but the gradient of mode="max" is routed by it')
        return _route(gradient, argmax, length, offsets, None, n_jobs)
    if argmax is not None:
        raise ValueError('argmax is given, but mode="mean" has none; pass None')
    n, _, n_channels = gradient.shape
    rows = _offsets_of_x(n, length, offsets)
    ranges = _bins(rows, sizes)
    d_out_rows = gradient.reshape(len(ranges.starts), n_channels)
    d_x = _linear_backward(d_out_rows, int(rows[-1]), ranges, _shares(ranges), n_jobs)
    return d_x if length is None else d_x.reshape(n, length, n_channels)


def adaptive_max_pool1d(
    x: ArrayLike, n_bins: int, *, offsets: ArrayLike | None = None, n_jobs: int | None = None
) -> tuple[Array, Array]:
    """Maximum over `n_bins` bins of each text: a pyramid of one level (`spatial_pyramid_pool1d`).

    Parameters
    ----------
    x, offsets, n_jobs
        As in `max_pool1d`.
    n_bins : int
        Rows of the result.

    Returns
    -------
    out : ndarray of shape (n, n_bins, channels)
    argmax : intp ndarray of shape (n, n_bins, channels)

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    As `spatial_pyramid_pool1d`.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import adaptive_max_pool1d
    >>> out, argmax = adaptive_max_pool1d(np.array([[[3.0], [9.0], [1.0]]]), 2)
    >>> out[0, :, 0], argmax[0, :, 0]
    (array([9., 9.]), array([1, 1]))
    """
    levels = (as_size(n_bins, "n_bins"),)
    out, argmax = spatial_pyramid_pool1d(x, levels=levels, offsets=offsets, n_jobs=n_jobs)
    return out, argmax


def adaptive_max_pool1d_backward(
    d_out: ArrayLike,
    argmax: ArrayLike,
    *,
    length: int | None = None,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Array:
    """Gradient of `adaptive_max_pool1d`: each maximum's gradient goes to the row that it came from.

    Parameters
    ----------
    d_out : array-like of shape (n, n_bins, channels)
    argmax : array-like of int of the shape of `d_out`
    length, offsets, n_jobs
        As in `max_pool1d_backward`: one of `length` and `offsets`.

    Returns
    -------
    d_x : ndarray of shape (n, length, channels), or (n_rows, channels)

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import adaptive_max_pool1d_backward
    >>> adaptive_max_pool1d_backward([[[7.0], [3.0]]], [[[1], [1]]], length=3)[0, :, 0]
    array([ 0., 10.,  0.])
    """
    return _route(d_out, argmax, length, offsets, None, n_jobs)


def adaptive_mean_pool1d(
    x: ArrayLike, n_bins: int, *, offsets: ArrayLike | None = None, n_jobs: int | None = None
) -> Array:
    """Mean over `n_bins` bins of each text: a pyramid of one level (`spatial_pyramid_pool1d`).

    Parameters
    ----------
    x, offsets, n_jobs
        As in `max_pool1d`.
    n_bins : int
        Rows of the result.

    Returns
    -------
    out : ndarray of shape (n, n_bins, channels)

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    As `spatial_pyramid_pool1d`.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import adaptive_mean_pool1d
    >>> adaptive_mean_pool1d(np.array([[[3.0], [9.0], [1.0]]]), 2)[0, :, 0]
    array([6., 5.])
    """
    levels = (as_size(n_bins, "n_bins"),)
    out = spatial_pyramid_pool1d(x, levels=levels, mode="mean", offsets=offsets, n_jobs=n_jobs)
    return np.asarray(out)


def adaptive_mean_pool1d_backward(
    d_out: ArrayLike,
    x: ArrayLike,
    n_bins: int,
    *,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Array:
    """Gradient of `adaptive_mean_pool1d`: each bin's gradient is spread equally over its rows.

    Parameters
    ----------
    d_out : array-like of shape (n, n_bins, channels)
    x : array-like
        Of which the shape alone matters.
    n_bins, offsets, n_jobs
        As in `adaptive_mean_pool1d`.

    Returns
    -------
    d_x : ndarray of the shape of x

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.pooling import adaptive_mean_pool1d_backward
    >>> adaptive_mean_pool1d_backward([[[4.0], [6.0]]], np.zeros((1, 3, 1)), 2)[0, :, 0]
    array([2., 5., 3.])
    """
    batch = _batch_of(d_out, x, offsets)
    size = as_size(n_bins, "n_bins")
    gradient = as_array(d_out, "d_out", (batch.n_texts, size, batch.n_channels), batch.rows.dtype)
    ranges = _bins(batch.offsets, (size,))
    rows = gradient.reshape(len(ranges.starts), batch.n_channels)
    return batch.gradient(_linear_backward(rows, len(batch.rows), ranges, _shares(ranges), n_jobs))


def _as_levels(levels: Sequence[int]) -> tuple[int, ...]:
    if isinstance(levels, str) or not isinstance(levels, Iterable):
        raise TypeError(f"levels is {levels!r}, but it must be a sequence of integers such as (1, 2, 4)")
    sizes = tuple(as_size(level, "a level") for level in levels)
    if not sizes:
        raise ValueError("levels is empty, but a pyramid has at least one level")
    return sizes
