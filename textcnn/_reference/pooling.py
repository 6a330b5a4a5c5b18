"""Plain form of the pooling kernels, one text at a time.

A window is the list of the rows of the text that lie in it. The functions compute in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[Any]
IntArray = NDArray[Any]
Windows = list[list[int]]
Weights = list[list[float]]


def sliding_windows(length: int, kernel_size: int, stride: int, left: int, right: int) -> Windows:
    """Rows of every window that fits into the text and its padding."""
    return [
        [row for row in range(start, start + kernel_size) if 0 <= row < length]
        for start in range(-left, length + right - kernel_size + 1, stride)
    ]


def sliding_weights(length: int, weights: FloatArray, stride: int, left: int, right: int) -> Weights:
    """Weights of the rows of `sliding_windows`."""
    return [
        [float(weights[row - start]) for row in range(start, start + len(weights)) if 0 <= row < length]
        for start in range(-left, length + right - len(weights) + 1, stride)
    ]


def bins(length: int, n_bins: int) -> Windows:
    """Rows of the bins of one level of a pyramid."""
    return [
        list(range(int(np.floor(i * length / n_bins)), int(np.ceil((i + 1) * length / n_bins))))
        for i in range(n_bins)
    ]


def triangle(length: int) -> FloatArray:
    """Weights that fall with the distance from the centre, of sum 1."""
    centre = (length - 1) / 2
    heights = np.array([(length + 1) / 2 - abs(t - centre) for t in range(length)])
    return heights / heights.sum()


def max_pool(x: FloatArray, windows: Windows) -> tuple[FloatArray, IntArray]:
    """Maximum of each window and its row; 0 and -1 for an empty one.

    Parameters
    ----------
    x : array of shape (length, c)
    windows : list of lists of int

    Returns
    -------
    out, argmax : arrays of shape (n_windows, c)
    """
    return k_max_pool(x, windows, 1)


def k_max_pool(x: FloatArray, windows: Windows, k: int) -> tuple[FloatArray, IntArray]:
    """The k largest of each window in the order of their rows, then zeros; and their rows, then -1.

    Returns
    -------
    out, argmax : arrays of shape (n_windows * k, c)
    """
    out = np.zeros((len(windows) * k, x.shape[1]))
    argmax = np.full(out.shape, -1)
    for w, rows in enumerate(windows):
        for j in range(x.shape[1]):
            falling = sorted(rows, key=lambda row: (not np.isnan(x[row, j]), -x[row, j], row))
            for i, row in enumerate(sorted(falling[:k])):
                out[w * k + i, j] = x[row, j]
                argmax[w * k + i, j] = row
    return out, argmax


def max_pool_backward(d_out: FloatArray, argmax: IntArray, length: int) -> FloatArray:
    """``d_x[argmax[w, j], j] += d_out[w, j]`` wherever argmax is not -1."""
    d_x = np.zeros((length, d_out.shape[1]))
    for w, j in np.ndindex(d_out.shape):
        if argmax[w, j] >= 0:
            d_x[argmax[w, j], j] += d_out[w, j]
    return d_x


def sum_pool(x: FloatArray, windows: Windows, weights: Weights) -> FloatArray:
    """``out[w] = sum over the rows r of window w of their weight * x[r]``."""
    out = np.zeros((len(windows), x.shape[1]))
    for w, rows in enumerate(windows):
        for row, weight in zip(rows, weights[w], strict=True):
            out[w] += weight * x[row].astype(float)
    return out


def sum_pool_backward(d_out: FloatArray, windows: Windows, weights: Weights, length: int) -> FloatArray:
    """``d_x[r] = sum over the windows w with row r of their weight for r * d_out[w]``."""
    d_x = np.zeros((length, d_out.shape[1]))
    for w, rows in enumerate(windows):
        for row, weight in zip(rows, weights[w], strict=True):
            d_x[row] += weight * d_out[w].astype(float)
    return d_x


def lp_pool(x: FloatArray, windows: Windows, p: float) -> FloatArray:
    """``out[w] = (sum over the rows r of window w of |x[r]| ** p) ** (1 / p)``."""
    out = np.zeros((len(windows), x.shape[1]))
    for w, rows in enumerate(windows):
        for row in rows:
            out[w] += np.abs(x[row].astype(float)) ** p
    return out ** (1 / p)


def lp_pool_backward(d_out: FloatArray, x: FloatArray, windows: Windows, p: float) -> FloatArray:
    """``d_x[r] = sum over windows w of d_out[w] * sign(x[r]) * (|x[r]| / out[w]) ** (p - 1)``, or 0."""
    d_x = np.zeros(x.shape)
    out = lp_pool(x, windows, p)
    for w, rows in enumerate(windows):
        for row, j in np.ndindex(x.shape):
            if row in rows and out[w, j] > 0:
                ratio = abs(float(x[row, j])) / out[w, j]
                d_x[row, j] += d_out[w, j] * np.sign(x[row, j]) * ratio ** (p - 1)
    return d_x
