"""Convolutions in one dimension: shared, transposed, locally connected and tiled, and their gradients.

Letters: L length of a text, C channels in, F channels out, K kernel size, S stride, D dilation, G groups,
T kernels in turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from textcnn._kernels import _convolution
from textcnn._threads import effective_n_threads
from textcnn.ops._arrays import (
    KERNEL,
    Array,
    Batch,
    as_array,
    as_batch,
    as_gradient,
    common_dtype,
    result_offsets,
    unmasked,
)
from textcnn.ops.arithmetic import (
    Padding,
    as_size,
    conv_transpose_output_length,
    effective_kernel_size,
    resolve_padding,
    window_count,
)
from textcnn.ops.padding import pad1d, pad1d_backward, resolve_mode

__all__ = [
    "conv1d",
    "conv1d_backward",
    "conv_transpose1d",
    "conv_transpose1d_backward",
    "convolve1d",
    "convolve1d_backward",
    "locally_connected1d",
    "locally_connected1d_backward",
    "tiled_conv1d",
    "tiled_conv1d_backward",
]


# ---- what all of them share ---------------------------------------------------------------------------


class Geometry(NamedTuple):
    """How the taps of a kernel lie over a text.

    Attributes
    ----------
    kernel_size, stride, dilation, groups : int
    left, right : int
        Rows of padding.
    room : int
        left + right, less the effective kernel size.
    mode : str
        Padding mode; `value` is that of the mode "constant".
    value : float
    """

    kernel_size: int
    stride: int
    dilation: int
    groups: int
    left: int
    right: int
    room: int
    mode: str
    value: float

    @classmethod
    def of(
        cls,
        kernel_size: int,
        stride: int,
        dilation: int,
        groups: int,
        padding: Padding,
        mode: str = "zeros",
        value: float = 0.0,
    ) -> Geometry:
        """Checked options of a call."""
        if kernel_size == 0:
            raise ValueError("the weights have a kernel size of 0, but it must be at least 1")
        left, right = resolve_padding(padding, kernel_size, dilation=dilation)
        resolve_mode(mode, value)
        return cls(
            kernel_size, as_size(stride, "stride"), as_size(dilation, "dilation"), as_size(groups, "groups"),
            left, right, left + right - effective_kernel_size(kernel_size, dilation=dilation), mode, value,
        )  # fmt: skip

    def output_length(self, length: Any) -> Any:
        return window_count(length, self.room, self.stride)

    def results_of(self, batch: Batch) -> tuple[Array, int]:
        """Offsets of the results of all texts, and their common length (0 for a packed batch)."""
        return result_offsets(batch.offsets, batch.length, self.output_length)

    def padded(self, batch: Batch, n_threads: int) -> tuple[Batch, int]:
        """The texts as the kernel takes them, and the rows of zeros that it shall add before each."""
        if self.mode == "zeros":
            return batch, self.left
        rows, offsets = pad1d(
            batch.rows, (self.left, self.right), padding_mode=self.mode, padding_value=self.value,
            offsets=batch.offsets, n_jobs=n_threads,
        )  # fmt: skip
        return Batch(rows, offsets, None), 0

    def unpadded(self, d_rows: Array, batch: Batch, n_threads: int) -> Array:
        """Gradient of the rows of `batch` from that of the rows of its padded form."""
        if self.mode == "zeros":
            return d_rows
        return pad1d_backward(
            d_rows, batch.rows, (self.left, self.right), padding_mode=self.mode, padding_value=self.value,
            offsets=batch.offsets, n_jobs=n_threads,
        )  # fmt: skip

    def windows(
        self, offsets: Array, out_offsets: Array, left: int, weights: Array, adjoint: bool = False
    ) -> _convolution.Windows:
        """Which rows meet; `weights` are (T, K, C / G, F)."""
        n_kernels, _, c, f = weights.shape
        minimal = _convolution.prefers_minimal_filtering(
            self.kernel_size, self.stride, n_kernels, self.groups, c, f, weights.itemsize
        )
        return _convolution.Windows(
            offsets,
            out_offsets,
            self.kernel_size,
            self.stride,
            self.dilation,
            left,
            n_kernels,
            adjoint,
            minimal,
        )


def _check_channels(weights: Array, channels: int, groups: int, axis: str) -> None:
    """Weights (T, K, C / G, F) fit a batch of this number of channels."""
    c, f = weights.shape[2:]
    if channels % groups or f % groups:
        raise ValueError(f"groups is {groups}, but it must divide the {channels} and {f} channels in and out")
    if c != channels // groups:
        raise ValueError(
            f"the weights have {c} {axis} channels in each group, but x has {channels} in {groups} "
            f"group{'s' * (groups > 1)}, which needs {channels // groups}; the last axis of x is "
            "that of its channels, and weights are (kernel_size, in_channels // groups, out_channels)"
        )


def _forward(
    x: ArrayLike,
    weights: Array,
    bias: Array | None,
    geometry: Geometry,
    offsets: ArrayLike | None,
    n_jobs: int | None,
) -> Any:
    """Convolution with weights (T, K, C / G, F) and bias (T, F) of the dtype of the result."""
    batch = as_batch(x, offsets, weights.dtype)
    _check_channels(weights, batch.n_channels, geometry.groups, "input")
    n_threads = effective_n_threads(n_jobs)
    out_offsets, out_length = geometry.results_of(batch)
    padded, left = geometry.padded(batch, n_threads)
    out = np.empty((out_offsets[-1], weights.shape[3]), weights.dtype)
    windows = geometry.windows(padded.offsets, out_offsets, left, weights)
    _convolution.convolve(windows, padded.rows, weights, out, bias, geometry.groups, n_threads)
    return batch.results(out, out_offsets, out_length)


def _backward(
    d_out: ArrayLike,
    x: ArrayLike,
    weights: Array,
    geometry: Geometry,
    offsets: ArrayLike | None,
    n_jobs: int | None,
) -> tuple[Array, Array, Array]:
    """Gradients of x, of weights (T, K, C / G, F) and of the bias (T, F)."""
    batch = as_batch(x, offsets, weights.dtype)
    _check_channels(weights, batch.n_channels, geometry.groups, "input")
    n_threads = effective_n_threads(n_jobs)
    out_offsets, out_length = geometry.results_of(batch)
    d_rows = as_gradient(d_out, batch, out_offsets, out_length, weights.shape[3])
    padded, left = geometry.padded(batch, n_threads)
    d_padded = np.empty_like(padded.rows)
    d_weights = np.empty_like(weights)
    d_bias = np.empty((len(weights), weights.shape[3]), weights.dtype)
    adjoint = geometry.windows(padded.offsets, out_offsets, left, weights, adjoint=True)
    _convolution.convolve(adjoint, d_rows, weights, d_padded, None, geometry.groups, n_threads)
    windows = geometry.windows(padded.offsets, out_offsets, left, weights)
    _convolution.weight_gradient(windows, padded.rows, d_rows, d_weights, d_bias, geometry.groups, n_threads)
    return batch.gradient(geometry.unpadded(d_padded, batch, n_threads)), d_weights, d_bias


# ---- one kernel -----------------------------------------------------------------------------------------


def conv1d(
    x: ArrayLike,
    weights: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    padding: Padding = "valid",
    padding_mode: str = "zeros",
    padding_value: float = 0.0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Any:
    """Convolution as networks have it: cross-correlation, the kernel not flipped.

    ``out[t, f] = bias[f] + sum_k sum_c x[t S + k D - left, c] weights[k, c, f]``

    (Goodfellow, Bengio & Courville 2016, equation 9.8, of an image; dilation: Yu & Koltun 2016, arXiv
    1511.07122; groups: Krizhevsky et al. 2012). The result has
    ``max(0, (L + left + right - D (K - 1) - 1) // S + 1)`` rows; a kernel wider than the padded text gives
    none. A kernel of width 1 is the dense layer at every position.

    Parameters
    ----------
    x : array-like of shape (n, length, C), or (n_rows, C) with `offsets`
    weights : array-like of shape (K, C / groups, F)
        With groups, the g-th C / groups channels of x make the g-th F / groups channels of the result.
    bias : array-like of shape (F,), optional
    stride : int, default 1
        Distance S of two neighbouring windows.
    dilation : int, default 1
        Distance D of two neighbouring taps.
    groups : int, default 1
        Groups of channels that do not see each other; C of them are the depthwise convolution.
    padding : {"valid", "same", "full"}, int or (int, int), default "valid"
        Rows (left, right) added to each text. "valid": none. "same": D (K - 1) in all, the smaller half left,
        so that the length is ceil(L / S). "full": D (K - 1) on both sides.
    padding_mode : {"zeros", "constant", "reflect", "replicate", "circular"}, default "zeros"
        What the added rows hold, see `pad1d`.
    padding_value : float, default 0.0
        Of the mode "constant".
    offsets : array-like of int of shape (n + 1,), optional
        Where each text of a packed batch begins.
    n_jobs : int, optional
        Number of threads; by default all that this process may use.

    Returns
    -------
    out : ndarray of shape (n, out_length, F), or (out, out_offsets) for a packed batch

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit or an option is out of range.

    Notes
    -----
    In float32 a kernel of width 3 with stride 1, one group and 32 or more channels in and out is computed by
    minimal filtering F(4, 3) (Lavin & Gray 2015, arXiv 1509.09308): half the multiplications, with an error
    of about 1e-6 of the largest result, as of the direct sum. Four results, a dilation apart, are made
    together, and what is not finite in a row that one of them reads may show in all four. float64 is always
    the direct sum.

    Examples
    --------
    The edge detector: the difference of neighbours answers where a step is.

    >>> import numpy as np
    >>> from textcnn.ops import conv1d
    >>> step = np.array([0.0, 0, 0, 1, 1, 1]).reshape(1, 6, 1)
    >>> edge = np.array([-1.0, 1]).reshape(2, 1, 1)
    >>> conv1d(step, edge).ravel()
    array([0., 0., 1., 0., 0.])

    Two texts, packed:

    >>> out, offsets = conv1d(np.ones((5, 1)), np.ones((3, 1, 1)), padding="same", offsets=[0, 2, 5])
    >>> out.ravel(), offsets
    (array([2., 2., 2., 3., 2.]), array([0, 2, 5]))
    """
    dtype = common_dtype(x, weights, bias)
    kernel = as_array(weights, "weights", KERNEL, dtype)
    geometry = Geometry.of(len(kernel), stride, dilation, groups, padding, padding_mode, padding_value)
    row = None if bias is None else as_array(bias, "bias", kernel.shape[2:], dtype)[np.newaxis]
    return _forward(x, kernel[np.newaxis], row, geometry, offsets, n_jobs)


def conv1d_backward(
    d_out: ArrayLike,
    x: ArrayLike,
    weights: ArrayLike,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    padding: Padding = "valid",
    padding_mode: str = "zeros",
    padding_value: float = 0.0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> tuple[Array, Array, Array]:
    """Gradients of `conv1d`.

    ``d_x[t S + k D - left] += d_out[t] weights[k]'``: with stride 1 and no padding the full convolution of
    the error with the flipped kernel; ``d_weights[k] = sum_t x[t S + k D - left]' d_out[t]``;
    ``d_bias = sum_t d_out[t]``. (Goodfellow, Bengio & Courville 2016: equation 9.13 for x, 9.11 for the
    weights.) Where `conv1d` takes minimal filtering, so does the gradient of x, and what is not finite in
    `d_out` may show in four rows of it that are a dilation apart.

    Parameters
    ----------
    d_out : array-like of the shape of the result (its rows, for a packed batch)
        Gradient of the loss by the result of `conv1d`.
    x, weights, stride, dilation, groups, padding, padding_mode, padding_value, offsets, n_jobs
        As in `conv1d`.

    Returns
    -------
    d_x : ndarray of the shape of x
    d_weights : ndarray of shape (K, C / groups, F)
    d_bias : ndarray of shape (F,)

    Raises
    ------
    ValueError, TypeError
        As in `conv1d`, and if the shape of `d_out` is not that of the result.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops import conv1d_backward
    >>> x = np.array([1.0, 2, 3]).reshape(1, 3, 1)
    >>> kernel = np.array([10.0, 1]).reshape(2, 1, 1)
    >>> d_out = np.array([1.0, 2]).reshape(1, 2, 1)
    >>> d_x, d_weights, d_bias = conv1d_backward(d_out, x, kernel)
    >>> d_x.ravel(), d_weights.ravel(), d_bias
    (array([10., 21.,  2.]), array([5., 8.]), array([3.]))
    """
    dtype = common_dtype(d_out, x, weights)
    kernel = as_array(weights, "weights", KERNEL, dtype)
    geometry = Geometry.of(len(kernel), stride, dilation, groups, padding, padding_mode, padding_value)
    d_x, d_weights, d_bias = _backward(d_out, x, kernel[np.newaxis], geometry, offsets, n_jobs)
    return d_x, d_weights[0], d_bias[0]


def convolve1d(
    x: ArrayLike,
    weights: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    padding: Padding = "valid",
    padding_mode: str = "zeros",
    padding_value: float = 0.0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Any:
    """Convolution as mathematics has it, the kernel flipped: `conv1d` with ``weights[::-1]``.

    With ``padding="full"`` it is ``out[t] = sum_k x[t - k] weights[k]`` (Goodfellow, Bengio & Courville 2016,
    equation 9.3), and one channel in and out gives what `numpy.convolve` gives.

    Parameters
    ----------
    x, weights, bias, stride, dilation, groups, padding, padding_mode, padding_value, offsets, n_jobs
        As in `conv1d`. The padding counts for the flipped kernel: with "same" an even kernel has its extra
        row on the right, where `numpy.convolve` has it on the left.

    Returns
    -------
    out : ndarray of shape (n, out_length, F), or (out, out_offsets) for a packed batch

    Raises
    ------
    ValueError, TypeError
        As in `conv1d`.

    Examples
    --------
    The sum of two dice is distributed as the convolution of the two:

    >>> import numpy as np
    >>> from textcnn.ops import convolve1d
    >>> die = np.full(6, 1 / 6)
    >>> total = convolve1d(die.reshape(1, 6, 1), die.reshape(6, 1, 1), padding="full").ravel()
    >>> print((36 * total).round().astype(int))  # of a sum of 2, 3, ..., 12
    [1 2 3 4 5 6 5 4 3 2 1]
    """
    return conv1d(
        x, _flipped(weights), bias, stride=stride, dilation=dilation, groups=groups, padding=padding,
        padding_mode=padding_mode, padding_value=padding_value, offsets=offsets, n_jobs=n_jobs,
    )  # fmt: skip


def convolve1d_backward(
    d_out: ArrayLike,
    x: ArrayLike,
    weights: ArrayLike,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    padding: Padding = "valid",
    padding_mode: str = "zeros",
    padding_value: float = 0.0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> tuple[Array, Array, Array]:
    """Gradients of `convolve1d`: those of `conv1d` with the flipped kernel, flipped back.

    Parameters
    ----------
    d_out : array-like of the shape of the result (its rows, for a packed batch)
    x, weights, stride, dilation, groups, padding, padding_mode, padding_value, offsets, n_jobs
        As in `convolve1d`.

    Returns
    -------
    d_x, d_weights, d_bias : ndarrays of the shapes of x, of the weights, and (F,)

    Raises
    ------
    ValueError, TypeError
        As in `conv1d_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops import convolve1d_backward
    >>> x, kernel = np.array([1.0, 2, 3]).reshape(1, 3, 1), np.array([1.0, 10]).reshape(2, 1, 1)
    >>> convolve1d_backward(np.array([1.0, 2]).reshape(1, 2, 1), x, kernel)[1].ravel()
    array([8., 5.])
    """
    d_x, d_weights, d_bias = conv1d_backward(
        d_out, x, _flipped(weights), stride=stride, dilation=dilation, groups=groups, padding=padding,
        padding_mode=padding_mode, padding_value=padding_value, offsets=offsets, n_jobs=n_jobs,
    )  # fmt: skip
    return d_x, np.ascontiguousarray(d_weights[::-1]), d_bias


def _flipped(weights: ArrayLike) -> Array:
    array = unmasked(weights, "weights")
    return array[::-1] if array.ndim else array


# ---- transposed -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Transposed:
    """Checked arguments of a transposed convolution."""

    batch: Batch
    weights: Array
    geometry: Geometry
    out_offsets: Array
    out_length: int

    @classmethod
    def of(
        cls,
        x: ArrayLike,
        weights: ArrayLike,
        dtype: np.dtype,
        stride: int,
        dilation: int,
        groups: int,
        padding: Padding,
        output_padding: int,
        offsets: ArrayLike | None,
    ) -> _Transposed:
        kernel = as_array(weights, "weights", KERNEL, dtype)
        geometry = Geometry.of(len(kernel), stride, dilation, groups, padding)
        batch = as_batch(x, offsets, dtype)
        if batch.n_channels != kernel.shape[2]:
            raise ValueError(
                f"x has {batch.n_channels} channels, but the last axis of the weights, x's axis, has "
                f"{kernel.shape[2]}"
            )
        if kernel.shape[2] % geometry.groups:
            raise ValueError(f"groups is {groups}, but it must divide the {kernel.shape[2]} channels of x")
        if as_size(output_padding, "output_padding", 0) >= max(stride, dilation):
            raise ValueError(
                f"output_padding is {output_padding}, but it must be less than the stride, {stride}, or the "
                f"dilation, {dilation}"
            )

        def output_length(length: Any) -> Any:
            return conv_transpose_output_length(
                length, geometry.kernel_size, stride=stride, dilation=dilation,
                padding=(geometry.left, geometry.right), output_padding=output_padding,
            )  # fmt: skip

        out_offsets, out_length = result_offsets(batch.offsets, batch.length, output_length)
        return cls(batch, kernel[np.newaxis], geometry, out_offsets, out_length)

    @property
    def out_channels(self) -> int:
        return self.weights.shape[2] * self.geometry.groups

    def windows(self, adjoint: bool) -> _convolution.Windows:
        """The windows of the convolution that goes from the result back to x, or of its adjoint."""
        return self.geometry.windows(
            self.out_offsets, self.batch.offsets, self.geometry.left, self.weights, adjoint
        )


def conv_transpose1d(
    x: ArrayLike,
    weights: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    padding: Padding = "valid",
    output_padding: int = 0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Any:
    """Transposed convolution: the adjoint of `conv1d` with the same weights and options.

    ``out[t S + k D - left, c] += sum_f x[t, f] weights[k, c, f]``, plus the bias

    so that ``<conv1d(a), b> = <a, conv_transpose1d(b)>`` (Dumoulin & Visin 2016, arXiv 1603.07285, section
    4). A stride S lengthens the text S times ("fractional stride" 1 / S). The result has
    ``max(0, (L - 1) S + D (K - 1) + 1 - left - right + output_padding)`` rows.

    Parameters
    ----------
    x : array-like of shape (n, length, F), or (n_rows, F) with `offsets`
    weights : array-like of shape (K, C / groups, F)
        Those of the convolution that this one transposes: the last axis is that of x.
    bias : array-like of shape (C,), optional
    stride, dilation, groups : int, default 1
        Those of the convolution.
    padding : {"valid", "same", "full"}, int or (int, int), default "valid"
        The padding of the convolution, with zeros: rows that are cut off here.
    output_padding : int, default 0
        Rows more on the right: S lengths have a convolution of L rows, and this picks one of them. Less than
        the stride or the dilation.
    offsets : array-like of int of shape (n + 1,), optional
        Where each text of a packed batch begins.
    n_jobs : int, optional
        Number of threads; by default all that this process may use.

    Returns
    -------
    out : ndarray of shape (n, out_length, C), or (out, out_offsets) for a packed batch

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit or an option is out of range.

    Examples
    --------
    Each value puts down a copy of the kernel, two rows from the last:

    >>> import numpy as np
    >>> from textcnn.ops import conv_transpose1d
    >>> x = np.array([1.0, 10]).reshape(1, 2, 1)
    >>> conv_transpose1d(x, np.array([1.0, 2, 3]).reshape(3, 1, 1), stride=2).ravel()
    array([ 1.,  2., 13., 20., 30.])
    """
    dtype = common_dtype(x, weights, bias)
    call = _Transposed.of(x, weights, dtype, stride, dilation, groups, padding, output_padding, offsets)
    row = None if bias is None else as_array(bias, "bias", (call.out_channels,), dtype)[np.newaxis]
    out = np.empty((call.out_offsets[-1], call.out_channels), dtype)
    _convolution.convolve(
        call.windows(adjoint=True), call.batch.rows, call.weights, out, row, call.geometry.groups,
        effective_n_threads(n_jobs),
    )  # fmt: skip
    return call.batch.results(out, call.out_offsets, call.out_length)


def conv_transpose1d_backward(
    d_out: ArrayLike,
    x: ArrayLike,
    weights: ArrayLike,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    padding: Padding = "valid",
    output_padding: int = 0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> tuple[Array, Array, Array]:
    """Gradients of `conv_transpose1d`: the one of x is `conv1d` of the error.

    ``d_x[t] = sum_k d_out[t S + k D - left] weights[k]``,
    ``d_weights[k] = sum_t d_out[t S + k D - left]' x[t]``, ``d_bias = sum_t d_out[t]``

    Parameters
    ----------
    d_out : array-like of the shape of the result (its rows, for a packed batch)
    x, weights, stride, dilation, groups, padding, output_padding, offsets, n_jobs
        As in `conv_transpose1d`.

    Returns
    -------
    d_x : ndarray of the shape of x
    d_weights : ndarray of shape (K, C / groups, F)
    d_bias : ndarray of shape (C,)

    Raises
    ------
    ValueError, TypeError
        As in `conv_transpose1d`, and if the shape of `d_out` is not that of the result.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops import conv_transpose1d_backward
    >>> x, kernel = np.array([1.0, 10]).reshape(1, 2, 1), np.array([1.0, 2, 3]).reshape(3, 1, 1)
    >>> d_out = np.array([1.0, 0, 0, 0, 1]).reshape(1, 5, 1)
    >>> d_x, d_weights, d_bias = conv_transpose1d_backward(d_out, x, kernel, stride=2)
    >>> d_x.ravel(), d_weights.ravel(), d_bias
    (array([1., 3.]), array([ 1.,  0., 10.]), array([2.]))
    """
    dtype = common_dtype(d_out, x, weights)
    call = _Transposed.of(x, weights, dtype, stride, dilation, groups, padding, output_padding, offsets)
    d_rows = as_gradient(d_out, call.batch, call.out_offsets, call.out_length, call.out_channels)
    n_threads = effective_n_threads(n_jobs)
    d_x, d_weights = np.empty_like(call.batch.rows), np.empty_like(call.weights)
    d_bias = np.empty(call.out_channels, dtype)
    windows = call.windows(adjoint=False)
    _convolution.convolve(windows, d_rows, call.weights, d_x, None, call.geometry.groups, n_threads)
    _convolution.weight_gradient(
        windows, d_rows, call.batch.rows, d_weights, None, call.geometry.groups, n_threads
    )
    _convolution.column_sums(d_rows, d_bias, n_threads)
    return call.batch.gradient(d_x), d_weights[0], d_bias


# ---- weights that change along the text ------------------------------------------------------------------


def tiled_conv1d(
    x: ArrayLike,
    weights: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    padding: Padding = "valid",
    padding_mode: str = "zeros",
    padding_value: float = 0.0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Any:
    """Tiled convolution: T kernels in turn along the text.

    ``out[t, f] = bias[t % T, f] + sum_k sum_c x[t S + k D - left, c] weights[t % T, k, c, f]``

    (Goodfellow, Bengio & Courville 2016, equation 9.10; Le et al. 2010, "Tiled convolutional neural
    networks"). One kernel is `conv1d`; as many as the result has rows are `locally_connected1d`.

    Parameters
    ----------
    x : array-like of shape (n, length, C), or (n_rows, C) with `offsets`
    weights : array-like of shape (T, K, C / groups, F)
    bias : array-like of shape (T, F), optional
    stride, dilation, groups, padding, padding_mode, padding_value, offsets, n_jobs
        As in `conv1d`.

    Returns
    -------
    out : ndarray of shape (n, out_length, F), or (out, out_offsets) for a packed batch

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit or an option is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops import tiled_conv1d
    >>> x = np.array([1.0, 2, 3, 4]).reshape(1, 4, 1)
    >>> tiled_conv1d(x, np.array([1.0, 10]).reshape(2, 1, 1, 1)).ravel()
    array([ 1., 20.,  3., 40.])
    """
    dtype = common_dtype(x, weights, bias)
    kernels = _several_kernels(weights, dtype)
    geometry = Geometry.of(kernels.shape[1], stride, dilation, groups, padding, padding_mode, padding_value)
    rows = None if bias is None else as_array(bias, "bias", (len(kernels), kernels.shape[3]), dtype)
    return _forward(x, kernels, rows, geometry, offsets, n_jobs)


def _several_kernels(weights: ArrayLike, dtype: np.dtype) -> Array:
    kernels = as_array(weights, "weights", ("n_kernels", *KERNEL), dtype)
    if len(kernels) == 0:
        raise ValueError("the weights hold 0 kernels, but at least 1 is needed")
    return kernels


def tiled_conv1d_backward(
    d_out: ArrayLike,
    x: ArrayLike,
    weights: ArrayLike,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    padding: Padding = "valid",
    padding_mode: str = "zeros",
    padding_value: float = 0.0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> tuple[Array, Array, Array]:
    """Gradients of `tiled_conv1d`: each kernel's from the rows of the result that are its own.

    Parameters
    ----------
    d_out : array-like of the shape of the result (its rows, for a packed batch)
    x, weights, stride, dilation, groups, padding, padding_mode, padding_value, offsets, n_jobs
        As in `tiled_conv1d`.

    Returns
    -------
    d_x, d_weights, d_bias : ndarrays of the shapes of x, of the weights, and (T, F)

    Raises
    ------
    ValueError, TypeError
        As in `tiled_conv1d`, and if the shape of `d_out` is not that of the result.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops import tiled_conv1d_backward
    >>> x, kernels = np.array([1.0, 2, 3, 4]).reshape(1, 4, 1), np.array([1.0, 10]).reshape(2, 1, 1, 1)
    >>> d_x, d_weights, d_bias = tiled_conv1d_backward(np.ones((1, 4, 1)), x, kernels)
    >>> d_x.ravel(), d_weights.ravel(), d_bias.ravel()
    (array([ 1., 10.,  1., 10.]), array([4., 6.]), array([2., 2.]))
    """
    kernels = _several_kernels(weights, common_dtype(d_out, x, weights))
    geometry = Geometry.of(kernels.shape[1], stride, dilation, groups, padding, padding_mode, padding_value)
    return _backward(d_out, x, kernels, geometry, offsets, n_jobs)


def locally_connected1d(
    x: ArrayLike,
    weights: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    padding: Padding = "valid",
    padding_mode: str = "zeros",
    padding_value: float = 0.0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Any:
    """Locally connected layer, or unshared convolution: each position has a kernel of its own.

    ``out[t, f] = bias[t, f] + sum_k sum_c x[t S + k D - left, c] weights[t, k, c, f]``

    (Goodfellow, Bengio & Courville 2016, equation 9.9; LeCun 1989).

    Parameters
    ----------
    x : array-like of shape (n, length, C), or (n_rows, C) with `offsets`
    weights : array-like of shape (out_length, K, C / groups, F)
        One kernel for each row of the result; for a packed batch, for those of its longest text.
    bias : array-like of shape (out_length, F), optional
    stride, dilation, groups, padding, padding_mode, padding_value, offsets, n_jobs
        As in `conv1d`.

    Returns
    -------
    out : ndarray of shape (n, out_length, F), or (out, out_offsets) for a packed batch

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, the number of kernels is not that of the rows, or an option is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops import locally_connected1d
    >>> x = np.array([1.0, 2, 3]).reshape(1, 3, 1)
    >>> locally_connected1d(x, np.array([[1.0, 1], [10, 1]]).reshape(2, 2, 1, 1)).ravel()
    array([ 3., 23.])
    """
    dtype = common_dtype(x, weights, bias)
    kernels = as_array(weights, "weights", ("n_kernels", *KERNEL), dtype)
    geometry = Geometry.of(kernels.shape[1], stride, dilation, groups, padding, padding_mode, padding_value)
    rows = None if bias is None else as_array(bias, "bias", (len(kernels), kernels.shape[3]), dtype)
    _check_positions(as_batch(x, offsets, dtype), kernels, geometry)
    if len(kernels) == 0:  # no rows in the result: any one kernel will do
        kernels, rows = np.zeros((1, *kernels.shape[1:]), dtype), None
    return _forward(x, kernels, rows, geometry, offsets, n_jobs)


def _check_positions(batch: Batch, kernels: Array, geometry: Geometry) -> None:
    """There is a kernel for each row of the result."""
    lengths = batch.lengths if batch.length is None else np.array([batch.length])
    needed = geometry.output_length(lengths).max(initial=0)
    if len(kernels) != needed and not (batch.length is None and len(kernels) > needed):
        raise ValueError(
            f"the weights hold {len(kernels)} kernels, but the result has {needed} rows, each with its own"
        )


def locally_connected1d_backward(
    d_out: ArrayLike,
    x: ArrayLike,
    weights: ArrayLike,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    padding: Padding = "valid",
    padding_mode: str = "zeros",
    padding_value: float = 0.0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> tuple[Array, Array, Array]:
    """Gradients of `locally_connected1d`; kernels that no text reaches get zeros.

    Parameters
    ----------
    d_out : array-like of the shape of the result (its rows, for a packed batch)
    x, weights, stride, dilation, groups, padding, padding_mode, padding_value, offsets, n_jobs
        As in `locally_connected1d`.

    Returns
    -------
    d_x, d_weights, d_bias : ndarrays of the shapes of x, of the weights, and (out_length, F)

    Raises
    ------
    ValueError, TypeError
        As in `locally_connected1d`, and if the shape of `d_out` is not that of the result.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops import locally_connected1d_backward
    >>> x, kernels = np.array([1.0, 2, 3]).reshape(1, 3, 1), np.array([[1.0, 1], [10, 1]]).reshape(2, 2, 1, 1)
    >>> d_x, d_weights, d_bias = locally_connected1d_backward(np.ones((1, 2, 1)), x, kernels)
    >>> d_x.ravel(), d_weights.ravel(), d_bias.ravel()
    (array([ 1., 11.,  1.]), array([1., 2., 2., 3.]), array([1., 1.]))
    """
    dtype = common_dtype(d_out, x, weights)
    kernels = as_array(weights, "weights", ("n_kernels", *KERNEL), dtype)
    geometry = Geometry.of(kernels.shape[1], stride, dilation, groups, padding, padding_mode, padding_value)
    _check_positions(as_batch(x, offsets, dtype), kernels, geometry)
    some = kernels if len(kernels) else np.zeros((1, *kernels.shape[1:]), dtype)
    d_x, d_weights, d_bias = _backward(d_out, x, some, geometry, offsets, n_jobs)
    return d_x, d_weights[: len(kernels)], d_bias[: len(kernels)]
