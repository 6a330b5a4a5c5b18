"""Activation functions, softmax and its logarithm, and their gradients.

The functions of single elements take arrays of any shape. float32 stays float32; everything else is computed
in float64. An element's result depends on its value alone, to the last bit: not on its place in the array,
on the shape, or on the number of threads. NaN gives NaN.

Errors are given in units in the last place (ulp) of the result, measured at the lowest and the highest
instruction-set level against 40 digits on 2,100 numbers of all magnitudes (softmax: normal logits, up to
1000 classes). Those of a gradient are below 5 ulp, those of the gradient of gelu below 3 ulp of 1, for it
passes through 0, and those of the gradients of softmax and its logarithm some ulp of the largest term.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from textcnn._kernels import _activations
from textcnn._threads import effective_n_threads
from textcnn.ops._arrays import Array, as_choice, as_real, check_range, common_dtype

__all__ = [
    "gelu",
    "gelu_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "log_softmax",
    "log_softmax_backward",
    "relu",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "softmax",
    "softmax_backward",
    "tanh",
    "tanh_backward",
]

_NUMBERS = {name: number for number, name in enumerate(_activations.ACTIVATIONS)}


def _forward(name: str, x: ArrayLike, n_jobs: int | None, parameter: float = 0.0) -> Array:
    array = np.asarray(x, common_dtype(x), order="C")
    out = np.empty_like(array)
    n_threads = effective_n_threads(n_jobs)
    _activations.activation(_NUMBERS[name], array.reshape(-1), parameter, out.reshape(-1), n_threads)
    return out


def _backward(name: str, d_out: ArrayLike, x: ArrayLike, n_jobs: int | None, parameter: float = 0.0) -> Array:
    d_out, x = _same_shape(d_out, x)
    d_x = np.empty_like(x)
    _activations.activation_backward(
        _NUMBERS[name],
        d_out.reshape(-1),
        x.reshape(-1),
        parameter,
        d_x.reshape(-1),
        effective_n_threads(n_jobs),
    )
    return d_x


def _same_shape(d_out: ArrayLike, x: ArrayLike) -> tuple[Array, Array]:
    """Both as C-contiguous arrays of their common dtype."""
    dtype = common_dtype(d_out, x)
    d_out, x = np.asarray(d_out, dtype, order="C"), np.asarray(x, dtype, order="C")
    if d_out.shape != x.shape:
        raise ValueError(f"d_out has shape {d_out.shape}, but expected that of x, {x.shape}")
    return d_out, x


def relu(x: ArrayLike, *, n_jobs: int | None = None) -> Array:
    """Rectifier, ``max(x, 0)``.

    Parameters
    ----------
    x : array-like of any shape
    n_jobs : int, optional
        Threads; see `textcnn._threads.effective_n_threads`.

    Returns
    -------
    out : ndarray of the shape of `x`
        Exact; -0.0 becomes 0.0.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    Glorot, Bordes & Bengio 2011, "Deep sparse rectifier neural networks", AISTATS.

    Examples
    --------
    >>> from textcnn.ops.activations import relu
    >>> relu([-1.5, 0.0, 2.0])
    array([0., 0., 2.])
    """
    return _forward("relu", x, n_jobs)


def relu_backward(d_out: ArrayLike, x: ArrayLike, *, n_jobs: int | None = None) -> Array:
    """Gradient of `relu`: ``d_out`` where ``x > 0``, else 0.

    Parameters
    ----------
    d_out : array-like of the shape of `x`
        Gradient of the result. Where the gradient is 0 its value does not matter, be it infinite.
    x : array-like of any shape
    n_jobs : int, optional

    Returns
    -------
    d_x : ndarray of the shape of `x`

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> from textcnn.ops.activations import relu_backward
    >>> relu_backward([5.0, 5.0, 5.0], [-1.5, 0.0, 2.0])
    array([0., 0., 5.])
    """
    return _backward("relu", d_out, x, n_jobs)


def leaky_relu(x: ArrayLike, *, slope: float = 0.01, n_jobs: int | None = None) -> Array:
    """Leaky rectifier: ``x`` where ``x >= 0``, else ``slope * x``.

    Parameters
    ----------
    x : array-like of any shape
    slope : float, default=0.01
        Any finite number.
    n_jobs : int, optional

    Returns
    -------
    out : ndarray of the shape of `x`
        Correctly rounded for a slope that is a number of the dtype.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    Maas, Hannun & Ng 2013, "Rectifier nonlinearities improve neural network acoustic models", ICML.

    Examples
    --------
    >>> from textcnn.ops.activations import leaky_relu
    >>> leaky_relu([-2.0, 0.0, 2.0], slope=0.25)
    array([-0.5,  0. ,  2. ])
    """
    number = as_real(slope, "slope")
    check_range(number, "slope", common_dtype(x))
    return _forward("leaky_relu", x, n_jobs, number)


def leaky_relu_backward(
    d_out: ArrayLike, x: ArrayLike, *, slope: float = 0.01, n_jobs: int | None = None
) -> Array:
    """Gradient of `leaky_relu`: ``d_out`` where ``x > 0``, else ``slope * d_out``.

    Parameters
    ----------
    d_out : array-like of the shape of `x`
    x : array-like of any shape
    slope : float, default=0.01
    n_jobs : int, optional

    Returns
    -------
    d_x : ndarray of the shape of `x`

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> from textcnn.ops.activations import leaky_relu_backward
    >>> leaky_relu_backward([1.0, 1.0], [-2.0, 2.0], slope=0.25)
    array([0.25, 1.  ])
    """
    number = as_real(slope, "slope")
    check_range(number, "slope", common_dtype(d_out, x))
    return _backward("leaky_relu", d_out, x, n_jobs, number)


def gelu(x: ArrayLike, *, approximate: str = "none", n_jobs: int | None = None) -> Array:
    """Gaussian error linear unit, ``x * Phi(x)`` with the distribution function of the normal distribution.

    ``Phi(x) = (1 + erf(x / sqrt(2))) / 2``. With ``approximate="tanh"``::

        x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2

    Parameters
    ----------
    x : array-like of any shape
    approximate : {"none", "tanh"}, default="none"
    n_jobs : int, optional

    Returns
    -------
    out : ndarray of the shape of `x`
        Error in float32 below ``3e-7 * abs(x)``: to the left the result has few digits as it vanishes. In
        float64 below 6 ulp, also far to the left, where 1 + erf cancels.

        The approximation by tanh: below 10 ulp for x > -3; to the left the error grows as the result
        vanishes (70 ulp in float32, where the result is below 1e-20; 1000 ulp in float64).

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    Hendrycks & Gimpel 2016, "Gaussian error linear units (GELUs)", arXiv:1606.08415.

    Examples
    --------
    >>> from textcnn.ops.activations import gelu
    >>> gelu([-1.0, 0.0, 1.0]).round(6)
    array([-0.158655,  0.      ,  0.841345])
    >>> gelu([-1.0, 0.0, 1.0], approximate="tanh").round(6)
    array([-0.158808,  0.      ,  0.841192])
    """
    return _forward(_gelu_name(approximate), x, n_jobs)


def gelu_backward(
    d_out: ArrayLike, x: ArrayLike, *, approximate: str = "none", n_jobs: int | None = None
) -> Array:
    """Gradient of `gelu`: ``d_out * (Phi(x) + x * phi(x))`` with the normal density phi.

    With ``approximate="tanh"`` it is the exact derivative of the approximation.

    Parameters
    ----------
    d_out : array-like of the shape of `x`
    x : array-like of any shape
    approximate : {"none", "tanh"}, default="none"
    n_jobs : int, optional

    Returns
    -------
    d_x : ndarray of the shape of `x`

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> from textcnn.ops.activations import gelu_backward
    >>> gelu_backward([1.0, 1.0], [0.0, 1.0]).round(6)
    array([0.5     , 1.083315])
    """
    return _backward(_gelu_name(approximate), d_out, x, n_jobs)


def _gelu_name(approximate: Any) -> str:
    return "gelu" if as_choice(approximate, "approximate", ("none", "tanh")) == "none" else "gelu_tanh"


def tanh(x: ArrayLike, *, n_jobs: int | None = None) -> Array:
    """Hyperbolic tangent, ``(exp(x) - exp(-x)) / (exp(x) + exp(-x))``.

    Parameters
    ----------
    x : array-like of any shape
    n_jobs : int, optional

    Returns
    -------
    out : ndarray of the shape of `x`
        Error below 6 ulp in float32, 4 ulp in float64.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.3.2.

    Examples
    --------
    >>> from textcnn.ops.activations import tanh
    >>> tanh([-1.0, 0.0, 100.0]).round(6)
    array([-0.761594,  0.      ,  1.      ])
    """
    return _forward("tanh", x, n_jobs)


def tanh_backward(d_out: ArrayLike, x: ArrayLike, *, n_jobs: int | None = None) -> Array:
    """Gradient of `tanh`: ``d_out * (1 - tanh(x)**2)``, computed without that cancellation.

    Parameters
    ----------
    d_out : array-like of the shape of `x`
    x : array-like of any shape
        What went into `tanh`, not its result.
    n_jobs : int, optional

    Returns
    -------
    d_x : ndarray of the shape of `x`

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> from textcnn.ops.activations import tanh_backward
    >>> tanh_backward([1.0, 2.0], [1.0, 0.0]).round(6)
    array([0.419974, 2.      ])
    """
    return _backward("tanh", d_out, x, n_jobs)


def sigmoid(x: ArrayLike, *, n_jobs: int | None = None) -> Array:
    """Logistic function, ``1 / (1 + exp(-x))``, without overflow.

    Parameters
    ----------
    x : array-like of any shape
    n_jobs : int, optional

    Returns
    -------
    out : ndarray of the shape of `x`
        Error below 4 ulp in either dtype.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    Goodfellow, Bengio & Courville 2016, Deep Learning, section 3.10.

    Examples
    --------
    >>> from textcnn.ops.activations import sigmoid
    >>> sigmoid([-1000.0, 0.0, 1.0]).round(6)
    array([0.      , 0.5     , 0.731059])
    """
    return _forward("sigmoid", x, n_jobs)


def sigmoid_backward(d_out: ArrayLike, x: ArrayLike, *, n_jobs: int | None = None) -> Array:
    """Gradient of `sigmoid`: ``d_out * sigmoid(x) * sigmoid(-x)``.

    Parameters
    ----------
    d_out : array-like of the shape of `x`
    x : array-like of any shape
        What went into `sigmoid`, not its result.
    n_jobs : int, optional

    Returns
    -------
    d_x : ndarray of the shape of `x`

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> from textcnn.ops.activations import sigmoid_backward
    >>> sigmoid_backward([1.0, 1.0], [0.0, 1.0]).round(6)
    array([0.25    , 0.196612])
    """
    return _backward("sigmoid", d_out, x, n_jobs)


def softmax(x: ArrayLike, *, n_jobs: int | None = None) -> Array:
    """Softmax over the last axis, ``exp(x[..., k]) / sum over l of exp(x[..., l])``.

    Parameters
    ----------
    x : array-like of shape (..., n_classes)
        Logits. -inf gives probability 0; a row of -inf alone, or with +inf, gives NaN. A last axis of
        length 0 gives an empty result.
    n_jobs : int, optional

    Returns
    -------
    out : ndarray of the shape of `x`
        Large logits do not overflow. Error of each element below 5 ulp in float64. In float32 it is
        below ``5e-7 + 6e-8 * (max(x) - x)`` times the element, for that difference is rounded.

    Raises
    ------
    ValueError
        If `x` has no axis.

    References
    ----------
    Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.2.2.3.

    Examples
    --------
    >>> from textcnn.ops.activations import softmax
    >>> softmax([[0.0, 0.0, 1000.0], [1.0, 1.0, 1.0]]).round(6)
    array([[0.      , 0.      , 1.      ],
           [0.333333, 0.333333, 0.333333]])
    """
    return _softmax_rows(x, n_jobs, log=False)


def softmax_backward(
    d_out: ArrayLike, x: ArrayLike, *, out: ArrayLike | None = None, n_jobs: int | None = None
) -> Array:
    """Gradient of `softmax`: with ``p = softmax(x)`` it is ``p * (d_out - sum of d_out * p)``.

    Parameters
    ----------
    d_out : array-like of shape (..., n_classes)
    x : array-like of shape (..., n_classes)
        The logits, not the probabilities.
    out : array-like of shape (..., n_classes), optional
        The probabilities ``softmax(x)``, which need not be computed again then: the same result in half
        the time.
    n_jobs : int, optional

    Returns
    -------
    d_x : ndarray of shape (..., n_classes)

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above, or `d_out` or `out` has another shape than `x`.

    Examples
    --------
    >>> from textcnn.ops.activations import softmax, softmax_backward
    >>> x = [0.0, 0.0]
    >>> softmax_backward([1.0, 0.0], x)
    array([ 0.25, -0.25])
    >>> softmax_backward([1.0, 0.0], x, out=softmax(x))
    array([ 0.25, -0.25])
    """
    dtype = common_dtype(d_out, x)
    p = None if out is None else np.asarray(out, common_dtype(out), order="C")
    if p is not None and p.shape != np.shape(x):
        raise ValueError(f"out has shape {p.shape}, but expected that of x, {np.shape(x)}")
    if p is not None and p.dtype != dtype:
        raise ValueError(f"out has dtype {p.dtype}, but expected {dtype}, as of d_out and x")
    return _softmax_rows_backward(d_out, x, p, n_jobs, log=False)


def log_softmax(x: ArrayLike, *, n_jobs: int | None = None) -> Array:
    """Logarithm of `softmax`, ``x[..., k] - log(sum over l of exp(x[..., l]))``.

    Parameters
    ----------
    x : array-like of shape (..., n_classes)
        Logits; infinities and an empty last axis as in `softmax`.
    n_jobs : int, optional

    Returns
    -------
    out : ndarray of the shape of `x`
        Error in float64 below 4 ulp of each element, in float32 below 4 ulp of it or of 1, whichever is
        larger.

    Raises
    ------
    ValueError
        If `x` has no axis.

    References
    ----------
    Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.2.2.3.

    Examples
    --------
    >>> from textcnn.ops.activations import log_softmax
    >>> log_softmax([0.0, 0.0, 1000.0])
    array([-1000., -1000.,     0.])
    """
    return _softmax_rows(x, n_jobs, log=True)


def log_softmax_backward(d_out: ArrayLike, x: ArrayLike, *, n_jobs: int | None = None) -> Array:
    """Gradient of `log_softmax`: ``d_out - softmax(x) * sum of d_out``.

    Parameters
    ----------
    d_out : array-like of shape (..., n_classes)
    x : array-like of shape (..., n_classes)
        The logits, not their logarithms of probability.
    n_jobs : int, optional

    Returns
    -------
    d_x : ndarray of shape (..., n_classes)

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> from textcnn.ops.activations import log_softmax_backward
    >>> log_softmax_backward([1.0, 0.0], [0.0, 0.0])
    array([ 0.5, -0.5])
    """
    return _softmax_rows_backward(d_out, x, None, n_jobs, log=True)


def _softmax_rows(x: ArrayLike, n_jobs: int | None, log: bool) -> Array:
    array = np.asarray(x, common_dtype(x), order="C")
    out = np.empty_like(array)
    _activations.softmax(_as_rows(array), _as_rows(out), log, effective_n_threads(n_jobs))
    return out


def _softmax_rows_backward(
    d_out: ArrayLike, x: ArrayLike, out: Array | None, n_jobs: int | None, log: bool
) -> Array:
    d_out, x = _same_shape(d_out, x)
    d_x = np.empty_like(x)
    rows = None if out is None else _as_rows(out)
    n_threads = effective_n_threads(n_jobs)
    _activations.softmax_backward(_as_rows(d_out), _as_rows(x), rows, _as_rows(d_x), log, n_threads)
    return d_x


def _as_rows(x: Array) -> Array:
    """The same elements as (n, n_classes)."""
    if x.ndim == 0:
        raise ValueError("x is a single number, but softmax needs an axis of classes, (..., n_classes)")
    return x.reshape(x.size // x.shape[-1] if x.shape[-1] else 0, x.shape[-1])
