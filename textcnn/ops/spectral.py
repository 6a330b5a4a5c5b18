"""Convolution by the discrete Fourier transform."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from textcnn.ops._arrays import (
    KERNEL,
    Array,
    Batch,
    as_array,
    as_batch,
    as_gradient,
    common_dtype,
    result_offsets,
)
from textcnn.ops.arithmetic import Padding, resolve_padding, window_count
from textcnn.ops.convolution import locally_connected1d

__all__ = ["fft_convolve1d", "fft_convolve1d_backward"]


def fft_convolve1d(
    x: ArrayLike,
    weights: ArrayLike,
    *,
    padding: Padding = "valid",
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Any:
    """Convolution (with the kernel flipped) as a product of spectra.

    ``y[t, f] = sum_k sum_c x[t - k, c] weights[k, c, f]`` for t from 0 to L + K - 2. By the convolution
    theorem the Fourier transform of y is the product of the transforms of x and of the weights, once both
    are followed by enough zeros that nothing wraps round. The cost does not grow with K as that of the
    direct sum does, which pays for kernels of hundreds of taps. Everything is computed in float64 and rounded
    once to the dtype of the result; it equals the direct sum up to rounding, relative to the largest values
    of the text. Each row of the result is made from the whole text: what is not finite shows in all of them.

    `padding` picks the rows of y: ``out[t] = y[t + K - 1 - left]``, zeros where y has no such row. The result
    and the options are those of `textcnn.ops.convolve1d`, for which this function can stand.

    Parameters
    ----------
    x : array-like of shape (n, length, in_channels), or (n_rows, in_channels) with `offsets`
    weights : array-like of shape (kernel_size, in_channels, out_channels)
    padding : {"valid", "same", "full"}, int or (int, int), default "valid"
        See `textcnn.ops.arithmetic.resolve_padding`. (`numpy.convolve` and `scipy.signal.fftconvolve` give
        the full convolution by default.)
    offsets : array-like of int of shape (n_texts + 1,), optional
        Where each text of a packed batch begins.
    n_jobs : int, optional
        Number of threads; by default all that this process may use.

    Returns
    -------
    ndarray of shape (n, length + left + right - kernel_size + 1, out_channels)
        Or (rows, offsets) for a packed batch.

    Raises
    ------
    ValueError, TypeError
        If a shape or option is not as above.

    References
    ----------
    Mathieu, Henaff & LeCun 2014, Fast training of convolutional networks through FFTs, arXiv 1312.5851.

    Examples
    --------
    The sum of two dice: 4 comes up 3 times in 36.

    >>> import numpy as np
    >>> from textcnn.ops.spectral import fft_convolve1d
    >>> die = np.full(6, 1 / 6)
    >>> total = fft_convolve1d(die.reshape(1, 6, 1), die.reshape(6, 1, 1), padding="full").ravel()
    >>> np.round(36 * total).astype(int)
    array([1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1])
    """
    dtype = common_dtype(x, weights)
    taps = as_array(weights, "weights", KERNEL, np.dtype(np.float64))
    kernel_size, channels, filters = taps.shape
    batch = as_batch(x, offsets, dtype, channels=channels)
    left, out_offsets, out_length = _layout(batch, kernel_size, padding)
    out = np.zeros((out_offsets[-1], filters), dtype)
    for size, texts in _texts_by_size(batch, kernel_size):
        spectra = np.fft.rfft(_gathered(batch.rows, batch.offsets, texts, size), axis=1)
        full = np.fft.irfft(_products(spectra, np.fft.rfft(taps, size, axis=0), n_jobs), size, axis=1)
        row, place = _overlap(batch, texts, out_offsets, kernel_size, left)
        out[row] = full[place]
    return batch.results(out, out_offsets, out_length)


def fft_convolve1d_backward(
    d_out: ArrayLike,
    x: ArrayLike,
    weights: ArrayLike,
    *,
    padding: Padding = "valid",
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> tuple[Array, Array]:
    """Gradients of `fft_convolve1d`: cross-correlations, as products with a conjugate spectrum.

    ``d_x[s, c] = sum_k sum_f d_y[s + k, f] weights[k, c, f]`` and
    ``d_weights[k, c, f] = sum_s x[s, c] d_y[s + k, f]``, summed over the texts.

    Parameters
    ----------
    d_out : array-like of the shape of the result (its rows, for a packed batch)
    x, weights, padding, offsets, n_jobs
        As in `fft_convolve1d`.

    Returns
    -------
    d_x : ndarray of the shape of `x`
    d_weights : ndarray of the shape of `weights`

    Raises
    ------
    ValueError, TypeError
        As in `fft_convolve1d`, and if the shape of `d_out` is not that of the result.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.spectral import fft_convolve1d_backward
    >>> x, weights = np.array([[[1.0], [2.0]]]), np.array([[[3.0]], [[4.0]]])
    >>> d_x, d_weights = fft_convolve1d_backward(np.ones((1, 3, 1)), x, weights, padding="full")
    >>> d_x.round(12).ravel(), d_weights.round(12).ravel()
    (array([7., 7.]), array([3., 3.]))
    """
    dtype = common_dtype(d_out, x, weights)
    taps = as_array(weights, "weights", KERNEL, np.dtype(np.float64))
    kernel_size, channels, filters = taps.shape
    batch = as_batch(x, offsets, dtype, channels=channels)
    left, out_offsets, out_length = _layout(batch, kernel_size, padding)
    d_rows = as_gradient(d_out, batch, out_offsets, out_length, filters)
    d_x, d_weights = np.zeros_like(batch.rows), np.zeros(taps.shape)
    for size, texts in _texts_by_size(batch, kernel_size):
        d_full = np.zeros((len(texts), size, filters))
        row, place = _overlap(batch, texts, out_offsets, kernel_size, left)
        d_full[place] = d_rows[row]
        d_spectra = np.fft.rfft(d_full, axis=1)
        conjugate = np.fft.rfft(taps, size, axis=0).conj().swapaxes(1, 2)
        d_texts = np.fft.irfft(_products(d_spectra, conjugate, n_jobs), size, axis=1)
        row, text, position = _rows_of(batch.offsets, texts)
        d_x[row] = d_texts[text, position]
        spectra = np.fft.rfft(_gathered(batch.rows, batch.offsets, texts, size), axis=1)
        products = _products(spectra.conj().T, d_spectra.swapaxes(0, 1), n_jobs)
        d_weights += np.fft.irfft(products, size, axis=1)[:, :kernel_size].swapaxes(0, 1)
    return batch.gradient(d_x), d_weights.astype(dtype)


def _layout(batch: Batch, kernel_size: int, padding: Padding) -> tuple[int, Array, int]:
    """Rows of padding on the left, offsets of the result, and its length for an array."""
    left, right = resolve_padding(padding, kernel_size)
    room = left + right - kernel_size
    return left, *result_offsets(batch.offsets, batch.length, lambda rows: window_count(rows, room, 1))


def _texts_by_size(batch: Batch, kernel_size: int) -> list[tuple[int, Array]]:
    """The texts of at least one row that have the same size of transform, and that size."""
    lengths, which = np.unique(batch.lengths, return_inverse=True)
    sizes = np.array([_fast_size(int(length) + kernel_size - 1) if length else 0 for length in lengths])
    return [(int(size), np.flatnonzero(sizes[which] == size)) for size in np.unique(sizes) if size]


def _rows_of(offsets: Array, texts: Array) -> tuple[Array, Array, Array]:
    """Of each row of the texts: its number, the place of its text among these, and its position in it."""
    lengths = offsets[texts + 1] - offsets[texts]
    text = np.repeat(np.arange(len(texts)), lengths)
    position = np.arange(len(text)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return offsets[texts][text] + position, text, position


def _gathered(rows: Array, offsets: Array, texts: Array, size: int) -> Array:
    """The texts, each followed by zeros: float64 (n_texts, size, channels)."""
    out = np.zeros((len(texts), size, rows.shape[1]))
    row, text, position = _rows_of(offsets, texts)
    out[text, position] = rows[row]
    return out


def _overlap(
    batch: Batch, texts: Array, out_offsets: Array, kernel_size: int, left: int
) -> tuple[Array, tuple[Array, Array]]:
    """Rows of the result that a full convolution has, and where: the place of the text, and the position."""
    row, text, position = _rows_of(out_offsets, texts)
    position = position + (kernel_size - 1 - left)
    inside = (position >= 0) & (position < batch.lengths[texts][text] + kernel_size - 1)
    return row[inside], (text[inside], position[inside])


def _fast_size(least: int) -> int:
    """The smallest product of powers of 2, 3 and 5 that is at least `least`."""
    best = 1 << (least - 1).bit_length()
    five = 1
    while five < best:
        three = five
        while three < best:
            best = min(best, three << max(0, (-(-least // three) - 1).bit_length()))
            three *= 3
        five *= 5
    return best


def _products(a: Array, b: Array, n_jobs: int | None) -> Array:
    """Complex product at each frequency m, (n, m, C) and (m, C, F) to (n, m, F).

    It is a layer with weights of its own for each frequency, in which a row's bits depend on that row alone.
    A complex number there is the pair [Re, Im], and a weight the matrix [[Re, Im], [-Im, Re]].
    """
    frequencies, channels, filters = b.shape
    matrices = np.empty((frequencies, 1, channels, 2, filters, 2))
    matrices[:, 0, :, 0, :, 0] = matrices[:, 0, :, 1, :, 1] = b.real
    matrices[:, 0, :, 0, :, 1] = b.imag
    matrices[:, 0, :, 1, :, 0] = -b.imag
    pairs = np.ascontiguousarray(a).view(np.float64)
    out = locally_connected1d(
        pairs, matrices.reshape(frequencies, 1, 2 * channels, 2 * filters), n_jobs=n_jobs
    )
    return out.view(np.complex128)
