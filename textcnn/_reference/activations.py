"""Plain NumPy form of the activations and losses of `textcnn.ops`.

Everything is computed in float64, element by element after the formula, and returned in float64.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[Any]


def _each(function: Callable[..., float], *arrays: FloatArray) -> FloatArray:
    """`function` of every element."""
    out = np.empty(np.shape(arrays[0]))
    for place in np.ndindex(out.shape):
        out[place] = function(*(float(array[place]) for array in arrays))
    return out


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _softplus(x: float) -> float:
    """log(1 + exp(x))"""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def relu(x: FloatArray) -> FloatArray:
    """``max(x, 0)``"""
    return _each(lambda v: max(v, 0.0), x)


def leaky_relu(x: FloatArray, slope: float) -> FloatArray:
    """``x`` where ``x >= 0``, else ``slope * x``"""
    return _each(lambda v: v if v >= 0 else slope * v, x)


def gelu(x: FloatArray) -> FloatArray:
    """``x Phi(x)``; ``Phi(x) = erfc(-x / sqrt(2)) / 2`` does not cancel where x is negative."""
    return _each(lambda v: v * math.erfc(-v / math.sqrt(2)) / 2, x)


def gelu_tanh(x: FloatArray) -> FloatArray:
    """``x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2``; ``(1 + tanh(u)) / 2 = sigmoid(2 u)``."""
    return _each(lambda v: v * _sigmoid(2 * math.sqrt(2 / math.pi) * (v + 0.044715 * v**3)), x)


def tanh(x: FloatArray) -> FloatArray:
    """Hyperbolic tangent."""
    return _each(math.tanh, x)


def sigmoid(x: FloatArray) -> FloatArray:
    """``1 / (1 + exp(-x))``"""
    return _each(_sigmoid, x)


def relu_backward(d_out: FloatArray, x: FloatArray) -> FloatArray:
    """``d_out`` where ``x > 0``"""
    return _each(lambda d, v: d if v > 0 else 0.0, d_out, x)


def leaky_relu_backward(d_out: FloatArray, x: FloatArray, slope: float) -> FloatArray:
    """``d_out`` where ``x > 0``, else ``slope * d_out``"""
    return _each(lambda d, v: d if v > 0 else slope * d, d_out, x)


def gelu_backward(d_out: FloatArray, x: FloatArray) -> FloatArray:
    """``d_out (Phi(x) + x phi(x))``"""

    def slope(v: float) -> float:
        density = math.exp(-v * v / 2) / math.sqrt(2 * math.pi)
        return math.erfc(-v / math.sqrt(2)) / 2 + v * density

    return _each(lambda d, v: d * slope(v), d_out, x)


def gelu_tanh_backward(d_out: FloatArray, x: FloatArray) -> FloatArray:
    """With ``s = sigmoid(u(x))`` as in `gelu_tanh`: ``d_out (s + x s (1 - s) u'(x))``."""

    def slope(v: float) -> float:
        factor = 2 * math.sqrt(2 / math.pi)
        u, d_u = factor * (v + 0.044715 * v**3), factor * (1 + 3 * 0.044715 * v**2)
        return _sigmoid(u) + v * _sigmoid(u) * _sigmoid(-u) * d_u

    return _each(lambda d, v: d * slope(v), d_out, x)


def tanh_backward(d_out: FloatArray, x: FloatArray) -> FloatArray:
    """``d_out (1 - tanh(x)^2) = 4 d_out sigmoid(2 x) sigmoid(-2 x)``"""
    return _each(lambda d, v: 4 * d * _sigmoid(2 * v) * _sigmoid(-2 * v), d_out, x)


def sigmoid_backward(d_out: FloatArray, x: FloatArray) -> FloatArray:
    """``d_out sigmoid(x) sigmoid(-x)``"""
    return _each(lambda d, v: d * _sigmoid(v) * _sigmoid(-v), d_out, x)


def softmax(x: FloatArray) -> FloatArray:
    """``exp(x[k]) / sum over l of exp(x[l])`` over the last axis."""
    powers = np.exp(np.asarray(x, float) - np.max(x, axis=-1, keepdims=True, initial=-np.inf))
    return powers / powers.sum(axis=-1, keepdims=True)


def log_softmax(x: FloatArray) -> FloatArray:
    """``x[k] - log(sum over l of exp(x[l]))`` over the last axis."""
    shifted = np.asarray(x, float) - np.max(x, axis=-1, keepdims=True, initial=-np.inf)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def softmax_backward(d_out: FloatArray, x: FloatArray) -> FloatArray:
    """The Jacobian ``diag(p) - p p'``, ``p = softmax(x)``, times `d_out`."""
    p = softmax(x)
    return p * (d_out - (d_out * p).sum(axis=-1, keepdims=True))


def log_softmax_backward(d_out: FloatArray, x: FloatArray) -> FloatArray:
    """``d_out[k] - softmax(x)[k] sum over l of d_out[l]``"""
    return d_out - softmax(x) * np.sum(d_out, axis=-1, keepdims=True, dtype=float)


def mse(predictions: FloatArray, targets: FloatArray) -> FloatArray:
    """``(predictions - targets)^2`` of each element."""
    return _each(lambda p, t: (p - t) ** 2, predictions, targets)


def huber(predictions: FloatArray, targets: FloatArray, delta: float) -> FloatArray:
    """``e^2 / 2`` where ``e = |predictions - targets| <= delta``, else ``delta (e - delta / 2)``."""

    def loss(p: float, t: float) -> float:
        e = abs(p - t)
        return e * e / 2 if e <= delta else delta * (e - delta / 2)

    return _each(loss, predictions, targets)


def binary_cross_entropy(logits: FloatArray, targets: FloatArray, pos_weight: FloatArray) -> FloatArray:
    """``pos_weight t log(1 + exp(-logit)) + (1 - t) log(1 + exp(logit))`` of each element."""
    return _each(
        lambda x, t, w: w * t * _softplus(-x) + (1 - t) * _softplus(x), logits, targets, pos_weight
    )


def cross_entropy(
    logits: FloatArray, probabilities: FloatArray, class_weight: FloatArray, label_smoothing: float
) -> FloatArray:
    """``-sum over k of class_weight[k] q[i, k] log softmax(logits[i])[k]`` of each row i.

    ``q = (1 - label_smoothing) probabilities + label_smoothing / n_classes``
    """
    losses = np.zeros(len(logits))
    n_classes = logits.shape[1]
    log_p = log_softmax(logits)
    for i in range(len(logits)):
        for k in range(n_classes):
            q = (1 - label_smoothing) * float(probabilities[i, k]) + label_smoothing / n_classes
            if q != 0:
                losses[i] -= float(class_weight[k]) * q * log_p[i, k]
    return losses
