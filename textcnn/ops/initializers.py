"""First values of weights.

The variance is chosen from the numbers of connections of a unit: `fan_in`, the inputs that it sums, and
`fan_out`, the units that an input goes to. They are ``(in, out)`` for dense weights ``(in, out)``, and
``(K C / G, K F / G)`` for the weights ``(K, C / G, F)`` of a convolution with G groups: the shape tells
`fan_in`, but not that a channel goes to ``F / G`` channels only. PyTorch and Keras take ``K F`` for `fan_out`
whatever the groups, which makes the weights of a depthwise convolution too small.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike

from textcnn.ops._arrays import Array, as_real, within_range
from textcnn.ops.arithmetic import as_size

__all__ = ["constant", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "uniform"]

RandomState = int | np.random.Generator | np.random.RandomState | None
Shape = tuple[int, ...]


def glorot_uniform(
    shape: Shape, *, groups: int = 1, random_state: RandomState = None, dtype: DTypeLike = np.float32
) -> Array:
    """Uniform between -a and a, ``a = sqrt(6 / (fan_in + fan_out))``.

    Glorot & Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks",
    equation 16: the compromise between keeping the variance of activations and that of gradients.

    Parameters
    ----------
    shape : tuple of int
        (in, out) of dense weights, or (kernel_size, in_channels // groups, out_channels) of a convolution.
    groups : int, default 1
        Groups of a convolution.
    random_state : int, Generator, RandomState or None
        Seed or generator; None draws a new seed.
    dtype : float32 or float64, default float32

    Returns
    -------
    ndarray of shape `shape`

    Raises
    ------
    ValueError, TypeError
        If the shape or dtype is not as above, or the groups do not divide the out_channels.

    Examples
    --------
    >>> from textcnn.ops import initializers
    >>> weights = initializers.glorot_uniform((3, 128, 64), random_state=0)
    >>> weights.shape, bool(abs(weights).max() <= (6 / (3 * 128 + 3 * 64)) ** 0.5)
    ((3, 128, 64), True)
    """
    fan_in, fan_out = _fans(shape, groups)
    bound = math.sqrt(6 / max(1, fan_in + fan_out))
    return _as_weights(_generator(random_state).uniform(-bound, bound, shape), dtype)


def glorot_normal(
    shape: Shape, *, groups: int = 1, random_state: RandomState = None, dtype: DTypeLike = np.float32
) -> Array:
    """Normal with mean 0 and variance ``2 / (fan_in + fan_out)``.

    Glorot & Bengio (2010), equation 12.

    Parameters
    ----------
    shape, groups, random_state, dtype
        As in `glorot_uniform`.

    Returns
    -------
    ndarray of shape `shape`

    Raises
    ------
    ValueError, TypeError
        As `glorot_uniform`.

    Examples
    --------
    >>> from textcnn.ops import initializers
    >>> weights = initializers.glorot_normal((100, 100), random_state=0)
    >>> round(float(weights.std()), 2)
    0.1
    """
    fan_in, fan_out = _fans(shape, groups)
    deviation = math.sqrt(2 / max(1, fan_in + fan_out))
    return _as_weights(_generator(random_state).normal(0, deviation, shape), dtype)


def he_uniform(shape: Shape, *, random_state: RandomState = None, dtype: DTypeLike = np.float32) -> Array:
    """Uniform between -a and a, ``a = sqrt(6 / fan_in)``: the variance of `he_normal`.

    Parameters
    ----------
    shape, random_state, dtype
        As in `glorot_uniform`.

    Returns
    -------
    ndarray of shape `shape`

    Raises
    ------
    ValueError, TypeError
        As `glorot_uniform`.

    Examples
    --------
    >>> from textcnn.ops import initializers
    >>> weights = initializers.he_uniform((3, 2, 64), random_state=0)
    >>> bool(abs(weights).max() <= 1)
    True
    """
    bound = math.sqrt(6 / max(1, _fans(shape)[0]))
    return _as_weights(_generator(random_state).uniform(-bound, bound, shape), dtype)


def he_normal(shape: Shape, *, random_state: RandomState = None, dtype: DTypeLike = np.float32) -> Array:
    """Normal with mean 0 and variance ``2 / fan_in``, for layers that a ReLU follows.

    He et al. (2015), "Delving deep into rectifiers", arXiv 1502.01852, equation 10. Groups change nothing:
    `fan_in` is that of the shape.

    Parameters
    ----------
    shape, random_state, dtype
        As in `glorot_uniform`.

    Returns
    -------
    ndarray of shape `shape`

    Raises
    ------
    ValueError, TypeError
        As `glorot_uniform`.

    Examples
    --------
    >>> from textcnn.ops import initializers
    >>> weights = initializers.he_normal((50, 1000), random_state=0)
    >>> round(float(weights.std()), 2)
    0.2
    """
    deviation = math.sqrt(2 / max(1, _fans(shape)[0]))
    return _as_weights(_generator(random_state).normal(0, deviation, shape), dtype)


def uniform(
    shape: Shape,
    *,
    low: float = -0.05,
    high: float = 0.05,
    random_state: RandomState = None,
    dtype: DTypeLike = np.float32,
) -> Array:
    """Uniform between `low` and `high`.

    Parameters
    ----------
    shape : tuple of int
        Of any number of axes.
    low, high : float, default -0.05 and 0.05
    random_state : int, Generator, RandomState or None
    dtype : float32 or float64, default float32

    Returns
    -------
    ndarray of shape `shape`

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above, or `low` is above `high`.

    Examples
    --------
    >>> from textcnn.ops import initializers
    >>> weights = initializers.uniform((2, 3), low=0, high=1, random_state=0)
    >>> weights.shape, bool((weights >= 0).all() and (weights <= 1).all())
    ((2, 3), True)
    """
    bounds = as_real(low, "low"), as_real(high, "high")
    if not 0 <= bounds[1] - bounds[0] < math.inf:
        raise ValueError(
            f"low is {low} and high is {high}, but low must not be above high, nor the distance infinite"
        )
    _within_range(bounds, "a bound", dtype)
    return _as_weights(_generator(random_state).uniform(*bounds, _as_shape(shape)), dtype)


def constant(shape: Shape, *, value: float = 0.0, dtype: DTypeLike = np.float32) -> Array:
    """The same value everywhere.

    Right for a bias, wrong for weights: units that begin alike get the same gradient and stay alike for ever.

    Parameters
    ----------
    shape : tuple of int
        Of any number of axes.
    value : float, default 0.0
    dtype : float32 or float64, default float32

    Returns
    -------
    ndarray of shape `shape`

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> from textcnn.ops import initializers
    >>> initializers.constant((2,), value=0.5)
    array([0.5, 0.5], dtype=float32)
    """
    number = as_real(value, "value")
    _within_range((number,), "value", dtype)
    return _as_weights(np.full(_as_shape(shape), number), dtype)


def _fans(shape: Shape, groups: int = 1) -> tuple[int, int]:
    """Inputs of a unit, and units of an input."""
    axes = _as_shape(shape)
    if len(axes) not in (2, 3):
        raise ValueError(f"shape is {shape}, but expected (in, out) or (kernel_size, in, out)")
    parts = as_size(groups, "groups")
    if axes[-1] % parts or (parts > 1 and len(axes) == 2):
        raise ValueError(
            f"groups is {parts}, but the shape is {shape}; groups are those of a convolution, (kernel_size, "
            "in_channels // groups, out_channels), and divide its out_channels"
        )
    taps = axes[0] if len(axes) == 3 else 1
    return taps * axes[-2], taps * axes[-1] // parts


def _as_shape(shape: object) -> Shape:
    if not isinstance(shape, tuple | list):
        raise TypeError(f"shape is {shape!r}, but it must be a tuple of integers")
    return tuple(as_size(length, "an axis of the shape", 0) for length in shape)


def _generator(random_state: RandomState) -> np.random.Generator | np.random.RandomState:
    if isinstance(random_state, np.random.RandomState):
        return random_state
    return np.random.default_rng(random_state)


def _within_range(numbers: tuple[float, ...], name: str, dtype: DTypeLike) -> None:
    within_range(np.array(numbers), name, _as_dtype(dtype))


def _as_weights(values: Array, dtype: DTypeLike) -> Array:
    return values.astype(_as_dtype(dtype))


def _as_dtype(dtype: DTypeLike) -> np.dtype:
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise ValueError(f"dtype is {np.dtype(dtype)}, but it must be float32 or float64")
    return np.dtype(dtype)
