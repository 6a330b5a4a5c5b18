"""Rows before and after each text, in the five modes of the convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from textcnn._kernels import _windows
from textcnn._threads import effective_n_threads
from textcnn.ops._arrays import (
    Array,
    as_batch,
    as_choice,
    as_gradient,
    check_range,
    common_dtype,
    result_offsets,
)
from textcnn.ops.arithmetic import as_pads

__all__ = ["pad1d", "pad1d_backward"]

_NUMBERS = {"zeros": 0, "constant": 0, "reflect": 1, "replicate": 2, "circular": 3}
"""Numbers of the modes in the kernels."""

PADDING_MODES = tuple(_NUMBERS)


def resolve_mode(mode: str, value: float) -> tuple[int, float]:
    """The kernels' number of a padding mode, and the value that stands for no row."""
    number = _NUMBERS[as_choice(mode, "padding_mode", PADDING_MODES)]
    if not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"padding_value is {value!r}, but it must be a real number")
    if mode != "constant" and value != 0:
        raise ValueError(
            f"padding_value is {value}, but only the padding_mode 'constant' takes one, not {mode!r}"
        )
    try:
        return number, float(value)
    except OverflowError:
        raise ValueError("padding_value is an integer that no float can hold") from None


def pad1d(
    x: ArrayLike,
    padding: int | tuple[int, int],
    *,
    padding_mode: str = "zeros",
    padding_value: float = 0.0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Any:
    """Add rows before and after each text.

    Row t of the result is row ``p = t - left`` of the text; where there is no such row, with length L:

    ============= ===========================================================================
    ``zeros``     0
    ``constant``  `padding_value`
    ``reflect``   the text mirrored at its first and last row, which are not repeated:
                  ``r = p mod 2 (L - 1)``, and ``2 (L - 1) - r`` if ``r >= L``
    ``replicate`` the first or the last row: ``min(max(p, 0), L - 1)``
    ``circular``  the text over and over: ``p mod L``
    ============= ===========================================================================

    Pads may be wider than the text. A text of one row reflects to itself, and an empty one is padded with
    zeros in every mode but ``constant``. These are NumPy's modes "constant", "reflect", "edge" and "wrap"
    (`numpy.pad`), and PyTorch's (`torch.nn.functional.pad`), which takes narrow pads only.

    Parameters
    ----------
    x : array-like of shape (n, length, channels), or (n_rows, channels) with `offsets`
    padding : int or (int, int)
        Rows on both sides, or (left, right).
    padding_mode : {"zeros", "constant", "reflect", "replicate", "circular"}, default "zeros"
    padding_value : float, default 0.0
        For the mode ``constant`` alone.
    offsets : array-like of int of shape (n_texts + 1,), optional
        Where each text of a packed batch begins.
    n_jobs : int, optional
        Number of threads; by default all that this process may use.

    Returns
    -------
    ndarray of shape (n, left + length + right, channels), or (rows, offsets) for a packed batch

    Raises
    ------
    ValueError, TypeError
        If a shape or option is not as above.

    References
    ----------
    Goodfellow, Bengio & Courville 2016, Deep Learning, section 9.5 (zeros).

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.padding import pad1d
    >>> x = np.array([1.0, 2, 3]).reshape(1, 3, 1)
    >>> pad1d(x, (2, 1), padding_mode="reflect").ravel()
    array([3., 2., 1., 2., 3., 2.])
    >>> pad1d(x, 2, padding_mode="circular").ravel()
    array([2., 3., 1., 2., 3., 1., 2.])
    """
    batch = as_batch(x, offsets, common_dtype(x))
    left, right = as_pads(padding)
    number, fill = resolve_mode(padding_mode, padding_value)
    check_range(fill, "padding_value", batch.rows.dtype)
    out_offsets, out_length = result_offsets(batch.offsets, batch.length, lambda rows: rows + left + right)
    out = np.empty((out_offsets[-1], batch.n_channels), batch.rows.dtype)
    n_threads = effective_n_threads(n_jobs)
    _windows.im2col(batch.rows, batch.offsets, out_offsets, 1, 1, 1, left, number, fill, out, n_threads)
    return batch.results(out, out_offsets, out_length)


def pad1d_backward(
    d_out: ArrayLike,
    x: ArrayLike,
    padding: int | tuple[int, int],
    *,
    padding_mode: str = "zeros",
    padding_value: float = 0.0,
    offsets: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Array:
    """Gradient of `pad1d`: its transpose.

    A row's gradient is the sum of the gradients of all positions that are copies of it; those of zeros and
    of the constant are dropped.

    Parameters
    ----------
    d_out : array-like of the shape of the result (its rows, for a packed batch)
    x, padding, padding_mode, padding_value, offsets, n_jobs
        As in `pad1d`.

    Returns
    -------
    d_x : ndarray of the shape of `x`

    Raises
    ------
    ValueError, TypeError
        As in `pad1d`, and if the shape of `d_out` is not that of the result.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.padding import pad1d_backward
    >>> x, d_out = np.zeros((1, 3, 1)), np.ones((1, 6, 1))
    >>> pad1d_backward(d_out, x, (2, 1), padding_mode="replicate").ravel()
    array([3., 1., 2.])
    >>> pad1d_backward(d_out, x, (2, 1)).ravel()
    array([1., 1., 1.])
    """
    batch = as_batch(x, offsets, common_dtype(d_out, x))
    left, right = as_pads(padding)
    number, _ = resolve_mode(padding_mode, padding_value)
    out_offsets, out_length = result_offsets(batch.offsets, batch.length, lambda rows: rows + left + right)
    d_padded = as_gradient(d_out, batch, out_offsets, out_length, batch.n_channels)
    d_rows = np.empty_like(batch.rows)
    n_threads = effective_n_threads(n_jobs)
    _windows.col2im(d_padded, out_offsets, batch.offsets, 1, 1, 1, left, number, d_rows, n_threads)
    return batch.gradient(d_rows)
