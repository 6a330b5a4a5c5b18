"""Plain NumPy form of the operations that pad texts, cut windows from them, and stretch them.

One text ``(length, channels)`` at a time, in float64.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[Any]


def source_row(p: int, length: int, mode: str) -> int | None:
    """The row of a text that position p of the padded text is a copy of; None for the constant."""
    if 0 <= p < length:
        return p
    if length == 0 or mode in ("zeros", "constant"):
        return None
    if mode == "replicate":
        return min(max(p, 0), length - 1)
    if mode == "circular":
        return p % length
    # Walk from the first row, turning round at both ends.
    row, step = 0, 1
    for _ in range(abs(p)):
        if length > 1:
            step = -step if not 0 <= row + step < length else step
            row += step
    return row


def pad1d(text: FloatArray, left: int, right: int, mode: str, value: float = 0.0) -> FloatArray:
    """The text with rows before and after it: see `textcnn.ops.padding.pad1d`."""
    fill = value if mode == "constant" else 0.0
    out = np.full((left + len(text) + right, text.shape[1]), fill)
    for t in range(len(out)):
        row = source_row(t - left, len(text), mode)
        if row is not None:
            out[t] = text[row]
    return out


def pad1d_backward(d_out: FloatArray, left: int, length: int, mode: str) -> FloatArray:
    """The transpose of `pad1d`: each row's gradient goes to the row that it is a copy of."""
    d_text = np.zeros((length, d_out.shape[1]))
    for t in range(len(d_out)):
        row = source_row(t - left, length, mode)
        if row is not None:
            d_text[row] += d_out[t]
    return d_text


def windows_of(
    length: int, kernel_size: int, stride: int, dilation: int, left: int, right: int
) -> list[list[int]]:
    """Positions of the taps of every window that fits into the padded text; position 0 is its first row."""
    windows, start = [], 0
    while start + dilation * (kernel_size - 1) < left + length + right:
        windows.append([start + k * dilation - left for k in range(kernel_size)])
        start += stride
    return windows


def im2col(
    text: FloatArray,
    kernel_size: int,
    stride: int,
    dilation: int,
    left: int,
    right: int,
    mode: str,
    value: float = 0.0,
) -> FloatArray:
    """Windows as rows: see `textcnn.ops.columns.im2col`."""
    channels = text.shape[1]
    windows = windows_of(len(text), kernel_size, stride, dilation, left, right)
    out = np.full((len(windows), kernel_size * channels), value if mode == "constant" else 0.0)
    for t, taps in enumerate(windows):
        for k, p in enumerate(taps):
            row = source_row(p, len(text), mode)
            if row is not None:
                out[t, k * channels : (k + 1) * channels] = text[row]
    return out


def col2im(
    columns: FloatArray,
    length: int,
    kernel_size: int,
    stride: int,
    dilation: int,
    left: int,
    right: int,
    mode: str,
) -> FloatArray:
    """The transpose of `im2col`: what was read from a row is added to it."""
    channels = columns.shape[1] // kernel_size
    out = np.zeros((length, channels))
    for t, taps in enumerate(windows_of(length, kernel_size, stride, dilation, left, right)):
        for k, p in enumerate(taps):
            row = source_row(p, length, mode)
            if row is not None:
                out[row] += columns[t, k * channels : (k + 1) * channels]
    return out


def upsampling_matrix(length: int, factor: int, mode: str) -> FloatArray:
    """The matrix (out_length, length) that `textcnn.ops.resampling.upsample` multiplies a text with."""
    if mode == "zeros":
        matrix = np.zeros((max(0, (length - 1) * factor + 1), length))
        for row in range(length):
            matrix[row * factor, row] = 1
        return matrix
    matrix = np.zeros((length * factor, length))
    for t in range(len(matrix)):
        if mode == "nearest":
            matrix[t, t // factor] = 1
        else:
            position = min(max((t + 0.5) / factor - 0.5, 0.0), length - 1.0)
            for row in range(length):
                matrix[t, row] = max(0.0, 1 - abs(position - row))
    return matrix


def convolve_full(text: FloatArray, weights: FloatArray) -> FloatArray:
    """``y[t, f] = sum_k sum_c x[t - k, c] weights[k, c, f]`` for every t with a term."""
    out = np.zeros((max(0, len(text) + len(weights) - 1), weights.shape[2]))
    for s in range(len(text)):
        for k in range(len(weights)):
            out[s + k] += text[s] @ weights[k]
    return out
