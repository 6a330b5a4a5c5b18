"""Plain NumPy form of the convolutions of packed batches: one, tiled, their adjoint and their gradients.

Letters: t rows of all texts, c channels in, f channels out, k kernel width, m kernels in turn.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def taps(
    offsets: Array,
    out_offsets: Array,
    kernel_size: int,
    stride: int,
    dilation: int,
    left: int,
    n_kernels: int,
) -> Iterator[tuple[int, int, int, int]]:
    """Every (row of the result, row of the input, kernel, tap) that meet inside a text."""
    for text in range(len(offsets) - 1):
        length = offsets[text + 1] - offsets[text]
        for o in range(out_offsets[text + 1] - out_offsets[text]):
            for k in range(kernel_size):
                position = o * stride + k * dilation - left
                if 0 <= position < length:
                    yield out_offsets[text] + o, offsets[text] + position, o % n_kernels, k


def groups_of(c: int, f: int, groups: int) -> list[tuple[slice, slice]]:
    """The channels in and out of each group."""
    c_size, f_size = c // groups, f // groups
    return [(slice(g * c_size, (g + 1) * c_size), slice(g * f_size, (g + 1) * f_size)) for g in range(groups)]


def convolve(
    x: Array,
    offsets: Array,
    weights: Array,
    out_offsets: Array,
    bias: Array | None = None,
    stride: int = 1,
    dilation: int = 1,
    left: int = 0,
    groups: int = 1,
) -> Array:
    """out[o] = bias[o mod m] + sum_k x[o stride + k dilation - left] weights[o mod m, k].

    Parameters
    ----------
    x : array of shape (t, c)
    weights : array of shape (m, k, c / groups, f)
    bias : array of shape (m, f), optional

    Returns
    -------
    out : array of shape (t', f), of the dtype of x
    """
    n_kernels, kernel_size, _, n_filters = weights.shape
    out = np.zeros((out_offsets[-1], n_filters))
    if bias is not None:
        for text in range(len(out_offsets) - 1):
            for o in range(out_offsets[text + 1] - out_offsets[text]):
                out[out_offsets[text] + o] = bias[o % n_kernels]
    wide = weights.astype(np.float64)
    for row, source, kernel, k in taps(offsets, out_offsets, kernel_size, stride, dilation, left, n_kernels):
        for ins, outs in groups_of(x.shape[1], n_filters, groups):
            out[row, outs] += x[source, ins] @ wide[kernel, k][:, outs]
    return out.astype(x.dtype)


def convolve_adjoint(
    d_out: Array,
    out_offsets: Array,
    weights: Array,
    offsets: Array,
    n_channels: int,
    bias: Array | None = None,
    stride: int = 1,
    dilation: int = 1,
    left: int = 0,
    groups: int = 1,
) -> Array:
    """Transpose of `convolve` as a map of x: x[...] += weights[o mod m, k] d_out[o], plus bias (1, c)."""
    n_kernels, kernel_size, _, n_filters = weights.shape
    x = np.zeros((offsets[-1], n_channels))
    if bias is not None:
        x += bias
    wide = weights.astype(np.float64)
    for row, source, kernel, k in taps(offsets, out_offsets, kernel_size, stride, dilation, left, n_kernels):
        for ins, outs in groups_of(n_channels, n_filters, groups):
            x[source, ins] += wide[kernel, k][:, outs] @ d_out[row, outs]
    return x.astype(d_out.dtype)


def weight_gradient(
    x: Array,
    offsets: Array,
    d_out: Array,
    out_offsets: Array,
    n_kernels: int,
    kernel_size: int,
    stride: int = 1,
    dilation: int = 1,
    left: int = 0,
    groups: int = 1,
) -> tuple[Array, Array]:
    """Gradients (m, k, c / groups, f) and (m, f) of the weights and the bias of `convolve`."""
    n_channels, n_filters = x.shape[1], d_out.shape[1]
    d_weights = np.zeros((n_kernels, kernel_size, n_channels // groups, n_filters))
    d_bias = np.zeros((n_kernels, n_filters))
    for row, source, kernel, k in taps(offsets, out_offsets, kernel_size, stride, dilation, left, n_kernels):
        for ins, outs in groups_of(n_channels, n_filters, groups):
            d_weights[kernel, k][:, outs] += np.outer(x[source, ins].astype(np.float64), d_out[row, outs])
    for text in range(len(out_offsets) - 1):
        for o in range(out_offsets[text + 1] - out_offsets[text]):
            d_bias[o % n_kernels] += d_out[out_offsets[text] + o]
    return d_weights.astype(x.dtype), d_bias.astype(x.dtype)
