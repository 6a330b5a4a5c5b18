"""Rows between the rows of a text."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from textcnn._kernels import _windows
from textcnn._threads import effective_n_threads
from textcnn.ops._arrays import (
    Array,
    Batch,
    as_batch,
    as_choice,
    as_gradient,
    common_dtype,
    result_offsets,
)
from textcnn.ops.arithmetic import as_size

__all__ = ["upsample", "upsample_backward"]

_MODES = ("nearest", "linear", "zeros")
"""In the order of the kernels' numbers."""


def upsample(
    x: ArrayLike,
    factor: int,
    *,
    mode: str = "nearest",
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Any:
    """Make each text longer by a whole factor.

    =========== ===============================================================================
    ``nearest`` each row `factor` times: ``out[t] = x[t // factor]``
    ``linear``  the line through the centres of the rows, level before the first centre and after
                the last: with ``p = min(max((t + 1/2) / factor - 1/2, 0), L - 1)`` and its whole
                part i, ``out[t] = (1 - p + i) x[i] + (p - i) x[i + 1]``
    ``zeros``   ``factor - 1`` rows of zeros between two neighbours, none at the ends: what a
                transposed convolution with that stride convolves
    =========== ===============================================================================

    The first two are PyTorch's `interpolate` with the modes "nearest" and "linear" (``align_corners=False``).

    Parameters
    ----------
    x : array-like of shape (n, length, channels), or (n_rows, channels) with `offsets`
    factor : int
        At least 1.
    mode : {"nearest", "linear", "zeros"}, default "nearest"
    offsets : array-like of int of shape (n_texts + 1,), optional
        Where each text of a packed batch begins.
    n_jobs : int, optional
        Number of threads; by default all that this process may use.

    Returns
    -------
    ndarray of shape (n, length * factor, channels), or (rows, offsets) for a packed batch
        For ``zeros`` the length is ``(length - 1) * factor + 1``, and 0 for an empty text.

    Raises
    ------
    ValueError, TypeError
        If a shape or option is not as above.

    References
    ----------
    Dumoulin & Visin 2016, arXiv 1603.07285, section 4 (zeros); Odena, Dumoulin & Olah 2016, Deconvolution and
    checkerboard artifacts, Distill (the others).

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.resampling import upsample
    >>> x = np.array([[[4.0], [8.0]]])
    >>> for mode in ("nearest", "linear", "zeros"):
    ...     print(upsample(x, 2, mode=mode).ravel())
    [4. 4. 8. 8.]
    [4. 5. 7. 8.]
    [4. 0. 8.]
    """
    batch = as_batch(x, offsets, common_dtype(x))
    times = as_size(factor, "factor")
    number = _MODES.index(as_choice(mode, "mode", _MODES))
    out_offsets, length = _layout(batch, times, mode)
    out = np.empty((out_offsets[-1], batch.n_channels), batch.rows.dtype)
    n_threads = effective_n_threads(n_jobs)
    _windows.upsample(batch.rows, batch.offsets, out_offsets, times, number, out, n_threads)
    return batch.results(out, out_offsets, length)


def upsample_backward(
    d_out: ArrayLike,
    x: ArrayLike,
    factor: int,
    *,
    mode: str = "nearest",
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Array:
    """Gradient of `upsample`: its transpose.

    The gradient of a row is the sum of the gradients of the rows made from it, with the same weights.

    Parameters
    ----------
    d_out : array-like of the shape of the result (its rows, for a packed batch)
    x, factor, mode, offsets, n_jobs
        As in `upsample`.

    Returns
    -------
    d_x : ndarray of the shape of `x`

    Raises
    ------
    ValueError, TypeError
        As in `upsample`, and if the shape of `d_out` is not that of the result.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.resampling import upsample_backward
    >>> upsample_backward(np.arange(4.0).reshape(1, 4, 1), np.zeros((1, 2, 1)), 2).ravel()
    array([1., 5.])
    """
    batch = as_batch(x, offsets, common_dtype(d_out, x))
    times = as_size(factor, "factor")
    number = _MODES.index(as_choice(mode, "mode", _MODES))
    out_offsets, length = _layout(batch, times, mode)
    d_upsampled = as_gradient(d_out, batch, out_offsets, length, batch.n_channels)
    d_rows = np.empty_like(batch.rows)
    n_threads = effective_n_threads(n_jobs)
    _windows.upsample_backward(d_upsampled, out_offsets, batch.offsets, times, number, d_rows, n_threads)
    return batch.gradient(d_rows)


def _layout(batch: Batch, factor: int, mode: str) -> tuple[Array, int]:
    """Offsets of the upsampled texts, and their length for an array."""
    missing = factor - 1 if mode == "zeros" else 0
    return result_offsets(batch.offsets, batch.length, lambda rows: np.maximum(rows * factor - missing, 0))
