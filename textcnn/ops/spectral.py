"""Convolution by the discrete Fourier transform."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from textcnn._kernels import _blas
from textcnn._threads import effective_n_threads
from textcnn.ops._arrays import (
    KERNEL,
    Array,
    Batch,
    as_array,
    as_batch,
    as_gradient,
    common_dtype,
    offsets_of,
)
from textcnn.ops.arithmetic import Padding, conv_output_length, resolve_padding

__all__ = ["fft_convolve1d", "fft_convolve1d_backward"]


def fft_convolve1d(
    x: ArrayLike,
    weights: ArrayLike,
    *,
    padding: Padding = "full",
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

    `padding` picks the rows of y: ``out[t] = y[t + K - 1 - left]``, zeros where y has no such row. This is
    what `textcnn.ops.convolve1d` gives for the same padding.

    Parameters
    ----------
    x : array-like of shape (n, length, in_channels), or (n_rows, in_channels) with `offsets`
    weights : array-like of shape (kernel_size, in_channels, out_channels)
    padding : {"full", "same", "valid"}, int or (int, int), default "full"
        See `textcnn.ops.arithmetic.resolve_padding`.
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
    >>> total = fft_convolve1d(die.reshape(1, 6, 1), die.reshape(6, 1, 1)).ravel()
    >>> np.round(36 * total).astype(int)
    array([1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1])
    """
    dtype = common_dtype(x, weights)
    taps = as_array(weights, "weights", KERNEL, np.dtype(np.float64))
    kernel_size, channels, filters = taps.shape
    batch = as_batch(x, offsets, dtype, channels=channels)
    left, out_offsets, out_length = _layout(batch, kernel_size, padding)
    out = np.zeros((out_offsets[-1], filters), dtype)
    for texts, length in _texts_of_a_length(batch):
        size = _fast_size(length + kernel_size - 1)
        rows = batch.rows[_rows_of(batch.offsets, texts, length)]
        spectrum = _products(_spectrum(rows, size), np.fft.rfft(taps, size, axis=0), n_jobs)
        full = np.fft.irfft(spectrum, size, axis=0)[: length + kernel_size - 1].swapaxes(0, 1)
        result, row = _overlap(full.shape[1], kernel_size - 1 - left, out_offsets, texts)
        out[_rows_of(out_offsets, texts, result.stop - result.start, result.start)] = full[:, row]
    return batch.results(out, out_offsets, out_length)


def fft_convolve1d_backward(
    d_out: ArrayLike,
    x: ArrayLike,
    weights: ArrayLike,
    *,
    padding: Padding = "full",
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
    >>> d_x, d_weights = fft_convolve1d_backward(np.ones((1, 3, 1)), x, weights)
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
    for texts, length in _texts_of_a_length(batch):
        size = _fast_size(length + kernel_size - 1)
        d_full = np.zeros((len(texts), length + kernel_size - 1, filters))
        result, row = _overlap(d_full.shape[1], kernel_size - 1 - left, out_offsets, texts)
        d_full[:, row] = d_rows[_rows_of(out_offsets, texts, result.stop - result.start, result.start)]
        d_spectrum = _spectrum(d_full, size)
        conjugate = np.fft.rfft(taps, size, axis=0).conj().swapaxes(1, 2)
        place = _rows_of(batch.offsets, texts, length)
        d_texts = np.fft.irfft(_products(d_spectrum, conjugate, n_jobs), size, axis=0)[:length]
        d_x[place] = d_texts.swapaxes(0, 1)
        conjugate = _spectrum(batch.rows[place], size).conj().swapaxes(1, 2)
        d_weights += np.fft.irfft(_products(conjugate, d_spectrum, n_jobs), size, axis=0)[:kernel_size]
    return batch.gradient(d_x), d_weights.astype(dtype)


def _layout(batch: Batch, kernel_size: int, padding: Padding) -> tuple[int, Array, int]:
    """Rows of padding on the left, offsets of the result, and its length for an array."""
    left, _ = resolve_padding(padding, kernel_size)
    out_offsets = offsets_of(conv_output_length(batch.lengths, kernel_size, padding=padding))
    return left, out_offsets, conv_output_length(batch.length or 0, kernel_size, padding=padding)


def _texts_of_a_length(batch: Batch) -> list[tuple[Array, int]]:
    """The texts of each length above 0, which share one transform."""
    lengths = batch.lengths
    return [(np.flatnonzero(lengths == length), int(length)) for length in np.unique(lengths) if length]


def _rows_of(offsets: Array, texts: Array, length: int, first: int = 0) -> Array:
    """Numbers of `length` rows of each of the texts, the first of them `first`: (n_texts, length)."""
    return offsets[texts, None] + np.arange(first, first + length)


def _overlap(n_full: int, start: int, out_offsets: Array, texts: Array) -> tuple[slice, slice]:
    """Rows of the result, and of the full convolution from row `start` on, that are the same."""
    n_out = int(out_offsets[texts[0] + 1] - out_offsets[texts[0]])
    first = max(0, -start)
    last = max(first, min(n_out, n_full - start))
    return slice(first, last), slice(first + start, last + start)


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


def _spectrum(texts: Array, size: int) -> Array:
    """Real Fourier transform along the rows of texts, frequencies first: (size // 2 + 1, n, channels)."""
    return np.fft.rfft(texts.astype(np.float64), size, axis=1).swapaxes(0, 1)


def _products(a: Array, b: Array, n_jobs: int | None) -> Array:
    """Complex product of two matrices for each frequency, in which a row's bits depend on that row alone.

    As a real product: ``[Re a, Im a] [[Re b, Im b], [-Im b, Re b]]`` is ``[Re ab, Im ab]``.
    """
    n_threads = effective_n_threads(n_jobs)
    out = np.empty((len(a), a.shape[1], b.shape[2]), np.complex128)
    parts = np.empty((a.shape[1], 2 * b.shape[2]))
    for frequency, (one, other) in enumerate(zip(a, b, strict=True)):
        _blas.matmul(
            np.hstack([one.real, one.imag]),
            np.block([[other.real, other.imag], [-other.imag, other.real]]),
            parts,
            n_threads=n_threads,
        )
        out[frequency].real, out[frequency].imag = np.hsplit(parts, 2)
    return out
