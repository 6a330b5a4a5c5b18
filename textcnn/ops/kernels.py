"""The classic filters of image processing, in one dimension.

Each is a float64 array ``(kernel_size,)``, to be used as the weights of a cross-correlation (`conv1d`) of one
channel: ``kernel.reshape(-1, 1, 1)``. The centre is tap ``(kernel_size - 1) // 2``, where ``padding="same"``
has it. Gonzalez & Woods (2018), "Digital Image Processing", 4th edition, chapter 3.
"""

from __future__ import annotations

import numpy as np

from textcnn.ops._arrays import Array, as_real
from textcnn.ops.arithmetic import as_size

__all__ = ["gaussian", "identity", "laplacian", "mean", "prewitt", "sharpening", "sobel"]


def identity(kernel_size: int = 1) -> Array:
    """1 at the centre and 0 elsewhere: leaves a signal as it is.

    Parameters
    ----------
    kernel_size : int, default 1

    Returns
    -------
    float64 ndarray of shape (kernel_size,)

    Raises
    ------
    ValueError, TypeError
        If `kernel_size` is no positive integer.

    Examples
    --------
    >>> from textcnn.ops import kernels
    >>> kernels.identity(3)
    array([0., 1., 0.])
    """
    kernel = np.zeros(as_size(kernel_size, "kernel_size"))
    kernel[(kernel_size - 1) // 2] = 1
    return kernel


def mean(kernel_size: int) -> Array:
    """``1 / K`` at each of the K taps: the moving average.

    Parameters
    ----------
    kernel_size : int

    Returns
    -------
    float64 ndarray of shape (kernel_size,)

    Raises
    ------
    ValueError, TypeError
        If `kernel_size` is no positive integer.

    Examples
    --------
    >>> from textcnn.ops import kernels
    >>> kernels.mean(4)
    array([0.25, 0.25, 0.25, 0.25])
    """
    return np.full(as_size(kernel_size, "kernel_size"), 1 / kernel_size)


def gaussian(kernel_size: int, *, sigma: float | None = None) -> Array:
    """``exp(-d^2 / (2 sigma^2))`` at the distance d from the middle, divided by the sum.

    Parameters
    ----------
    kernel_size : int
        K. The middle is ``(K - 1) / 2``, between two taps if K is even.
    sigma : float, optional
        Standard deviation in taps, positive. By default ``0.3 ((K - 1) / 2 - 1) + 0.8``, as OpenCV's
        `getGaussianKernel` has it.

    Returns
    -------
    float64 ndarray of shape (kernel_size,)
        Sums to 1.

    Raises
    ------
    ValueError, TypeError
        If `kernel_size` is no positive integer or `sigma` no positive number.

    Examples
    --------
    >>> from textcnn.ops import kernels
    >>> kernels.gaussian(3, sigma=1.0).round(4)
    array([0.2741, 0.4519, 0.2741])
    """
    half = (as_size(kernel_size, "kernel_size") - 1) / 2
    deviation = 0.3 * (half - 1) + 0.8 if sigma is None else as_real(sigma, "sigma")
    if deviation <= 0:
        raise ValueError(f"sigma is {sigma}, but it must be positive")
    # Below some 1 / 40 of a tap the deviation changes nothing, but the squares must not overflow.
    distance = np.abs(np.arange(kernel_size) - half) / max(deviation, 1e-100)
    # Subtracting the least keeps the sum positive for a deviation far below one tap.
    exponent = distance**2 / 2
    weights = np.exp(exponent.min() - exponent)
    return weights / weights.sum()


def sharpening(kernel_size: int = 3, *, amount: float | None = None) -> Array:
    """Unsharp mask: the identity, and `amount` times what the moving average takes away.

    ``identity + amount * (identity - mean)``. With 3 taps and the default amount of 3 this is [-1, 3, -1],
    the identity minus the Laplacian.

    Parameters
    ----------
    kernel_size : int, default 3
        Odd.
    amount : float, optional
        `kernel_size` by default, which makes the weights whole numbers: -1, and `kernel_size` at the centre.

    Returns
    -------
    float64 ndarray of shape (kernel_size,)
        Sums to 1.

    Raises
    ------
    ValueError, TypeError
        If `kernel_size` is no odd positive integer or `amount` no finite number.

    Examples
    --------
    >>> from textcnn.ops import kernels
    >>> kernels.sharpening()
    array([-1.,  3., -1.])
    """
    if as_size(kernel_size, "kernel_size") % 2 == 0:
        raise ValueError(f"kernel_size is {kernel_size}, but it must be odd, for the mask has a centre")
    strength = float(kernel_size) if amount is None else as_real(amount, "amount")
    return (1 + strength) * identity(kernel_size) - strength / kernel_size


def laplacian() -> Array:
    """[1, -2, 1], the second difference ``x[t - 1] - 2 x[t] + x[t + 1]``: 0 on a line.

    Returns
    -------
    float64 ndarray of shape (3,)

    Examples
    --------
    >>> from textcnn.ops import kernels
    >>> kernels.laplacian()
    array([ 1., -2.,  1.])
    """
    return np.array([1.0, -2.0, 1.0])


def prewitt() -> Array:
    """[-1, 0, 1], the central difference ``x[t + 1] - x[t - 1]``: twice the slope of a line.

    In two dimensions Prewitt's operator is this difference along one axis and the sum of three rows,
    [1, 1, 1], along the other. In one dimension there is no other axis and the difference alone is left, not
    halved, as in `scipy.ndimage.prewitt` of a one-dimensional signal.

    Returns
    -------
    float64 ndarray of shape (3,)

    Examples
    --------
    >>> from textcnn.ops import kernels
    >>> kernels.prewitt()
    array([-1.,  0.,  1.])
    """
    return np.array([-1.0, 0.0, 1.0])


def sobel() -> Array:
    """[-1, 0, 1], as `prewitt`: the two differ only in how they smooth along the other axis.

    Sobel's operator weighs the three rows [1, 2, 1]; in one dimension the same central difference is left, as
    in `scipy.ndimage.sobel` of a one-dimensional signal.

    Returns
    -------
    float64 ndarray of shape (3,)

    Examples
    --------
    >>> from textcnn.ops import kernels
    >>> kernels.sobel()
    array([-1.,  0.,  1.])
    """
    return prewitt()
