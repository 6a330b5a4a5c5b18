"""Windows of a text as the rows of a matrix, and back: a convolution as one matrix product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from textcnn._kernels import _windows
from textcnn._threads import effective_n_threads
from textcnn.ops._arrays import (
    Array,
    Batch,
    as_array,
    as_batch,
    as_gradient,
    as_offsets,
    check_range,
    common_dtype,
    regular_offsets,
    result_offsets,
)
from textcnn.ops.arithmetic import Padding, as_size, effective_kernel_size, resolve_padding, window_count
from textcnn.ops.padding import resolve_mode

__all__ = ["col2im", "col2im_backward", "im2col", "im2col_backward"]


@dataclass(frozen=True)
class _Windows:
    """Checked options of windows."""

    kernel_size: int
    stride: int
    dilation: int
    left: int
    room: int
    mode: int
    value: float

    @classmethod
    def of(
        cls,
        kernel_size: int,
        stride: int,
        dilation: int,
        padding: Padding,
        padding_mode: str,
        padding_value: float = 0.0,
    ) -> _Windows:
        left, right = resolve_padding(padding, kernel_size, dilation=dilation)
        room = left + right - effective_kernel_size(kernel_size, dilation=dilation)
        number, value = resolve_mode(padding_mode, padding_value)
        return cls(int(kernel_size), as_size(stride, "stride"), int(dilation), left, room, number, value)

    def count(self, lengths: Any) -> Any:
        """Number of windows of texts of these lengths."""
        return window_count(lengths, self.room, self.stride)

    def copies(self, batch: Batch, n_jobs: int | None, value: float) -> tuple[Array, Array, int]:
        """The windows of the rows, their offsets, and their number in each text of an array."""
        out_offsets, out_length = result_offsets(batch.offsets, batch.length, self.count)
        out = np.empty((out_offsets[-1], self.kernel_size * batch.n_channels), batch.rows.dtype)
        _windows.im2col(
            batch.rows,
            batch.offsets,
            out_offsets,
            self.kernel_size,
            self.stride,
            self.dilation,
            self.left,
            self.mode,
            value,
            out,
            effective_n_threads(n_jobs),
        )
        return out, out_offsets, out_length

    def sums(self, columns: Array, offsets: Array, length: int | None, n_jobs: int | None) -> Array:
        """The rows of the texts, each the sum of all that was copied from it."""
        out = np.empty((offsets[-1], columns.shape[1] // self.kernel_size), columns.dtype)
        _windows.col2im(
            columns,
            result_offsets(offsets, length, self.count)[0],
            offsets,
            self.kernel_size,
            self.stride,
            self.dilation,
            self.left,
            self.mode,
            out,
            effective_n_threads(n_jobs),
        )
        return out


def im2col(
    x: ArrayLike,
    kernel_size: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    padding: Padding = "valid",
    padding_mode: str = "zeros",
    padding_value: float = 0.0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Any:
    """Windows of each text as the rows of a matrix.

    ``out[t, k C + c] = x[t stride + k dilation - left, c]`` for the taps k and channels c. A convolution is
    then one matrix product: ``im2col(x, K) @ weights.reshape(K * C, F)``.

    Parameters
    ----------
    x : array-like of shape (n, length, channels), or (n_rows, channels) with `offsets`
    kernel_size : int
        Number of taps K.
    stride : int, default 1
        Distance of two neighbouring windows.
    dilation : int, default 1
        Distance of two neighbouring taps.
    padding : {"valid", "same", "full"}, int or (int, int), default "valid"
        Rows before and after each text; see `textcnn.ops.arithmetic.resolve_padding`.
    padding_mode : {"zeros", "constant", "reflect", "replicate", "circular"}, default "zeros"
        See `textcnn.ops.padding.pad1d`.
    padding_value : float, default 0.0
        For the mode ``constant`` alone.
    offsets : array-like of int of shape (n_texts + 1,), optional
        Where each text of a packed batch begins.
    n_jobs : int, optional
        Number of threads; by default all that this process may use.

    Returns
    -------
    ndarray of shape (n, out_length, kernel_size * channels), or (rows, offsets) for a packed batch
        With ``out_length = conv_output_length(length, ...)``.

    Raises
    ------
    ValueError, TypeError
        If a shape or option is not as above.

    References
    ----------
    Chellapilla, Puri & Simard 2006, High performance convolutional neural networks for document processing.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.columns import im2col
    >>> im2col(np.arange(4.0).reshape(1, 4, 1), 3)
    array([[[0., 1., 2.],
            [1., 2., 3.]]])
    """
    batch = as_batch(x, offsets, common_dtype(x))
    windows = _Windows.of(kernel_size, stride, dilation, padding, padding_mode, padding_value)
    check_range(windows.value, "padding_value", batch.rows.dtype)
    return batch.results(*windows.copies(batch, n_jobs, windows.value))


def im2col_backward(
    d_out: ArrayLike,
    x: ArrayLike,
    kernel_size: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    padding: Padding = "valid",
    padding_mode: str = "zeros",
    padding_value: float = 0.0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Array:
    """Gradient of `im2col`: its transpose, which is `col2im`.

    Parameters
    ----------
    d_out : array-like of the shape of the result (its rows, for a packed batch)
    x, kernel_size, stride, dilation, padding, padding_mode, padding_value, offsets, n_jobs
        As in `im2col`.

    Returns
    -------
    d_x : ndarray of the shape of `x`

    Raises
    ------
    ValueError, TypeError
        As in `im2col`, and if the shape of `d_out` is not that of the result.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.columns import im2col_backward
    >>> im2col_backward(np.ones((1, 2, 3)), np.zeros((1, 4, 1)), 3).ravel()
    array([1., 2., 2., 1.])
    """
    batch = as_batch(x, offsets, common_dtype(d_out, x))
    windows = _Windows.of(kernel_size, stride, dilation, padding, padding_mode, padding_value)
    columns = _as_columns(d_out, batch, windows, batch.n_channels)
    return batch.gradient(windows.sums(columns, batch.offsets, batch.length, n_jobs))


def col2im(
    columns: ArrayLike,
    kernel_size: int,
    *,
    length: int | None = None,
    stride: int = 1,
    dilation: int = 1,
    padding: Padding = "valid",
    padding_mode: str = "zeros",
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Array:
    """Sum windows back into texts: the transpose of `im2col`, not its inverse.

    Row r of the result is the sum of ``columns[t, k C : (k + 1) C]`` over all windows t and taps k at which
    `im2col` reads row r. Where windows overlap, what they hold is added.

    Parameters
    ----------
    columns : array-like of shape (n, out_length, kernel_size * channels)
        Or packed, of shape (n_windows, kernel_size * channels), with `offsets`.
    kernel_size : int
        Number of taps.
    length : int
        Rows of each text of the result; with `offsets` it must be left out.
    stride, dilation, padding, padding_mode, n_jobs
        As in `im2col`. What lies on zeros or on a constant is dropped.
    offsets : array-like of int of shape (n_texts + 1,), optional
        Where each text of the result begins, for packed columns.

    Returns
    -------
    ndarray of shape (n, length, channels), or (n_rows, channels) for packed columns

    Raises
    ------
    ValueError, TypeError
        If a shape or option is not as above, or not exactly one of `length` and `offsets` is given.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.columns import col2im, im2col
    >>> columns = im2col(np.array([[[1.0], [2.0], [3.0], [4.0]]]), 2)
    >>> col2im(columns, 2, length=4).ravel()
    array([1., 4., 6., 4.])
    """
    windows = _Windows.of(kernel_size, stride, dilation, padding, padding_mode)
    array, text_offsets = _as_batch_of_columns(columns, windows, length, offsets, common_dtype(columns))
    rows = windows.sums(array, text_offsets, length, n_jobs)
    return rows if length is None else rows.reshape(len(text_offsets) - 1, int(length), rows.shape[1])


def col2im_backward(
    d_out: ArrayLike,
    columns: ArrayLike,
    kernel_size: int,
    *,
    length: int | None = None,
    stride: int = 1,
    dilation: int = 1,
    padding: Padding = "valid",
    padding_mode: str = "zeros",
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Array:
    """Gradient of `col2im`: its transpose, which is `im2col` (with zeros in place of a constant).

    Parameters
    ----------
    d_out : array-like of the shape of the result
    columns, kernel_size, length, stride, dilation, padding, padding_mode, offsets, n_jobs
        As in `col2im`.

    Returns
    -------
    d_columns : ndarray of the shape of `columns`

    Raises
    ------
    ValueError, TypeError
        As in `col2im`, and if the shape of `d_out` is not that of the result.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.columns import col2im_backward
    >>> d_out = np.array([[[1.0], [2.0], [3.0]]])
    >>> col2im_backward(d_out, np.zeros((1, 2, 2)), 2, length=3)
    array([[[1., 2.],
            [2., 3.]]])
    """
    windows = _Windows.of(kernel_size, stride, dilation, padding, padding_mode)
    dtype = common_dtype(d_out, columns)
    array, text_offsets = _as_batch_of_columns(columns, windows, length, offsets, dtype)
    channels = array.shape[1] // windows.kernel_size
    n, n_rows = len(text_offsets) - 1, int(text_offsets[-1])
    shape = (n_rows, channels) if length is None else (n, int(length), channels)
    d_rows = as_array(d_out, "d_out", shape, dtype).reshape(n_rows, channels)
    d_columns, _, _ = windows.copies(Batch(d_rows, text_offsets, length), n_jobs, 0.0)
    return d_columns.reshape(np.shape(columns))


def _as_columns(d_out: ArrayLike, batch: Batch, windows: _Windows, channels: int) -> Array:
    """Rows of the gradient of the windows of a batch."""
    offsets, length = result_offsets(batch.offsets, batch.length, windows.count)
    return as_gradient(d_out, batch, offsets, length, windows.kernel_size * channels)


def _as_batch_of_columns(
    columns: ArrayLike, windows: _Windows, length: int | None, offsets: ArrayLike | None, dtype: np.dtype
) -> tuple[Array, Array]:
    """Rows of all windows, and the offsets of the texts that they are to be summed into."""
    if (length is None) == (offsets is None):
        raise ValueError("exactly one of length and offsets must be given: offsets for packed columns only")
    array = np.asarray(columns, dtype, order="C")
    if array.ndim != (3 if offsets is None else 2) or array.shape[-1] % windows.kernel_size:
        form = "(n, out_length, columns)" if offsets is None else "(n_windows, columns) beside offsets"
        raise ValueError(
            f"columns has shape {array.shape}, but expected {form}, "
            f"with a multiple of {windows.kernel_size} as the number of columns"
        )
    if offsets is not None:
        text_offsets = as_offsets(offsets, None, "the result")
        n_windows = int(np.sum(windows.count(np.diff(text_offsets))))
        shape: tuple[int, ...] = (n_windows, array.shape[1])
    else:
        rows = as_size(length, "length", 0)
        text_offsets = regular_offsets(len(array), rows)
        shape = (len(array), windows.count(rows), array.shape[2])
    if array.shape != shape:
        raise ValueError(f"columns has shape {array.shape}, but expected {shape} for these windows")
    return array.reshape(int(np.prod(shape[:-1])), shape[-1]), text_offsets
