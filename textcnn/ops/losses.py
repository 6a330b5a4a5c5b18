"""Losses and their gradients.

Every loss reduces in one of three ways: ``"mean"``, ``"sum"``, or ``"none"``, which gives an array. Sums run
in float64 in a fixed order and come back as a Python float: the same bits for any number of threads. The
mean of nothing is NaN.

``..._backward`` takes the gradient of the loss, a number (an array for ``"none"``), and the arguments of the
loss. Weights of classes are constants: they have no gradient.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from textcnn._kernels import _losses
from textcnn._threads import effective_n_threads
from textcnn.ops._arrays import Array, as_array, as_choice, as_real, common_dtype, unmasked, within_range

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "huber",
    "huber_backward",
    "mse",
    "mse_backward",
]

_NUMBERS = {name: number for number, name in enumerate(_losses.LOSSES)}


def mse(
    predictions: ArrayLike, targets: ArrayLike, *, reduction: str = "mean", n_jobs: int | None = None
) -> float | Array:
    """Squared error, ``(predictions - targets) ** 2``, its mean by default.

    Parameters
    ----------
    predictions : array-like of any shape
    targets : array-like of the same shape
    reduction : {"mean", "sum", "none"}, default="mean"
    n_jobs : int, optional
        Threads; see `textcnn._threads.effective_n_threads`.

    Returns
    -------
    loss : float, or ndarray of the shape of `predictions` for "none"

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    Goodfellow, Bengio & Courville 2016, Deep Learning, section 5.1.4.

    Examples
    --------
    >>> from textcnn.ops.losses import mse
    >>> mse([1.0, 4.0], [0.0, 2.0])
    2.5
    """
    return _elementwise("mse", predictions, targets, None, 0.0, reduction, n_jobs)


def mse_backward(
    d_loss: ArrayLike,
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: str = "mean",
    n_jobs: int | None = None,
) -> tuple[Array, Array]:
    """Gradients of `mse`: ``2 * (predictions - targets) * d_loss``, and its negative.

    Parameters
    ----------
    d_loss : float, or array-like of the shape of `predictions` for "none"
    predictions : array-like of any shape
    targets : array-like of the same shape
    reduction : {"mean", "sum", "none"}, default="mean"
        The mean divides by the number of elements.
    n_jobs : int, optional

    Returns
    -------
    d_predictions, d_targets : ndarrays of the shape of `predictions`

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> from textcnn.ops.losses import mse_backward
    >>> mse_backward(1.0, [1.0, 4.0], [0.0, 2.0])
    (array([1., 2.]), array([-1., -2.]))
    """
    return _elementwise_backward("mse", d_loss, predictions, targets, None, 0.0, reduction, n_jobs)


def huber(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    delta: float = 1.0,
    reduction: str = "mean",
    n_jobs: int | None = None,
) -> float | Array:
    """Huber's loss: half the squared error near the target, linear beyond.

    With ``e = |predictions - targets|`` it is ``e**2 / 2`` where ``e <= delta``, else
    ``delta * (e - delta / 2)``.

    Parameters
    ----------
    predictions : array-like of any shape
    targets : array-like of the same shape
    delta : float, default=1.0
        Positive.
    reduction : {"mean", "sum", "none"}, default="mean"
    n_jobs : int, optional

    Returns
    -------
    loss : float, or ndarray of the shape of `predictions` for "none"

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    Huber 1964, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35.

    Examples
    --------
    >>> from textcnn.ops.losses import huber
    >>> huber([0.5, 3.0], [0.0, 0.0], reduction="none")
    array([0.125, 2.5  ])
    """
    return _elementwise("huber", predictions, targets, None, _as_delta(delta), reduction, n_jobs)


def huber_backward(
    d_loss: ArrayLike,
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    delta: float = 1.0,
    reduction: str = "mean",
    n_jobs: int | None = None,
) -> tuple[Array, Array]:
    """Gradients of `huber`: the difference, cut to [-delta, delta], times `d_loss`; and its negative.

    Parameters
    ----------
    d_loss : float, or array-like of the shape of `predictions` for "none"
    predictions : array-like of any shape
    targets : array-like of the same shape
    delta : float, default=1.0
    reduction : {"mean", "sum", "none"}, default="mean"
        The mean divides by the number of elements.
    n_jobs : int, optional

    Returns
    -------
    d_predictions, d_targets : ndarrays of the shape of `predictions`

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> from textcnn.ops.losses import huber_backward
    >>> huber_backward(1.0, [0.5, 3.0], [0.0, 0.0], reduction="sum")
    (array([0.5, 1. ]), array([-0.5, -1. ]))
    """
    return _elementwise_backward(
        "huber", d_loss, predictions, targets, None, _as_delta(delta), reduction, n_jobs
    )


def _as_delta(delta: Any) -> float:
    number = as_real(delta, "delta")
    if number <= 0:
        raise ValueError(f"delta is {delta!r}, but it must be a positive number")
    return number


def binary_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    pos_weight: ArrayLike | None = None,
    reduction: str = "mean",
    n_jobs: int | None = None,
) -> float | Array:
    """Cross-entropy of independent labels, from their logits.

    With target t, ``-(pos_weight * t * log(sigmoid(logit)) + (1 - t) * log(1 - sigmoid(logit)))``, computed
    as a sum of positive terms: large logits give neither overflow nor cancellation.

    Parameters
    ----------
    logits : array-like of any shape
    targets : array-like of the same shape
        Probabilities, from 0 to 1.
    pos_weight : array-like of a shape that broadcasts to that of `logits`, optional
        Weights of the positive labels, such as one for each label of ``logits (n, n_labels)``; constants.
    reduction : {"mean", "sum", "none"}, default="mean"
        The mean divides by the number of elements, whatever their weights.
    n_jobs : int, optional

    Returns
    -------
    loss : float, or ndarray of the shape of `logits` for "none"

    Raises
    ------
    ValueError
        If a target lies outside of [0, 1], a weight is negative or not finite, or the shapes differ.

    References
    ----------
    Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.2.2.2.

    Examples
    --------
    >>> from textcnn.ops.losses import binary_cross_entropy
    >>> binary_cross_entropy([0.0, 1e4, -1e4], [1.0, 1.0, 1.0], reduction="none").round(6)
    array([6.93147e-01, 0.00000e+00, 1.00000e+04])
    """
    return _elementwise("binary_cross_entropy", logits, targets, pos_weight, 0.0, reduction, n_jobs)


def binary_cross_entropy_backward(
    d_loss: ArrayLike,
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    pos_weight: ArrayLike | None = None,
    reduction: str = "mean",
    n_jobs: int | None = None,
) -> tuple[Array, Array]:
    """Gradients of `binary_cross_entropy`.

    Times `d_loss`, that of a logit is ``(1 - t) * sigmoid(logit) - pos_weight * t * sigmoid(-logit)``, that
    of a target ``log(1 - sigmoid(logit)) - pos_weight * log(sigmoid(logit))``.

    Parameters
    ----------
    d_loss : float, or array-like of the shape of `logits` for "none"
    logits : array-like of any shape
    targets : array-like of the same shape
    pos_weight : array-like of a shape that broadcasts to that of `logits`, optional
    reduction : {"mean", "sum", "none"}, default="mean"
    n_jobs : int, optional

    Returns
    -------
    d_logits, d_targets : ndarrays of the shape of `logits`

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> from textcnn.ops.losses import binary_cross_entropy_backward
    >>> binary_cross_entropy_backward(1.0, [0.0, 2.0], [1.0, 0.0], reduction="sum")[0].round(6)
    array([-0.5     ,  0.880797])
    """
    return _elementwise_backward(
        "binary_cross_entropy", d_loss, logits, targets, pos_weight, 0.0, reduction, n_jobs
    )


def _elementwise(
    name: str,
    predictions: ArrayLike,
    targets: ArrayLike,
    weights: ArrayLike | None,
    parameter: float,
    reduction: str,
    n_jobs: int | None,
) -> float | Array:
    as_choice(reduction, "reduction", ("mean", "sum", "none"))
    n_threads = effective_n_threads(n_jobs)
    shape, arrays = _flat_arguments(name, predictions, targets, weights, n_threads)
    predictions = arrays[0]
    if reduction == "none":
        out = np.empty_like(predictions)
        _losses.loss(_NUMBERS[name], *arrays, parameter, out, n_threads)
        return out.reshape(shape)
    sums = np.empty(_losses.n_pieces(predictions.size))
    _losses.loss_sums(_NUMBERS[name], *arrays, parameter, sums, n_threads)
    return _ratio(float(sums.sum()), predictions.size if reduction == "mean" else 1)


def _elementwise_backward(
    name: str,
    d_loss: ArrayLike,
    predictions: ArrayLike,
    targets: ArrayLike,
    weights: ArrayLike | None,
    parameter: float,
    reduction: str,
    n_jobs: int | None,
) -> tuple[Array, Array]:
    as_choice(reduction, "reduction", ("mean", "sum", "none"))
    n_threads = effective_n_threads(n_jobs)
    shape, arrays = _flat_arguments(name, predictions, targets, weights, n_threads)
    predictions = arrays[0]
    d_array, scale = None, 1.0
    if reduction == "none":
        common_dtype(d_loss)
        d_array = as_array(d_loss, "d_loss", shape, predictions.dtype).reshape(-1)
    else:
        scale = _ratio(_as_scalar(d_loss), predictions.size if reduction == "mean" else 1)
    d_predictions, d_targets = np.empty_like(predictions), np.empty_like(predictions)
    _losses.loss_backward(
        _NUMBERS[name], *arrays, d_array, scale, parameter, d_predictions, d_targets, n_threads
    )
    return d_predictions.reshape(shape), d_targets.reshape(shape)


def _flat_arguments(
    name: str, predictions: ArrayLike, targets: ArrayLike, weights: ArrayLike | None, n_threads: int
) -> tuple[tuple[int, ...], tuple[Array, Array, Array | None]]:
    """The shape, and predictions, targets and weights as flat arrays of one dtype."""
    dtype = common_dtype(predictions, targets)
    predictions = np.asarray(predictions, dtype, order="C")
    targets = np.asarray(targets, dtype, order="C")
    shape = predictions.shape
    if targets.shape != shape:
        raise ValueError(f"targets has shape {targets.shape}, but the predictions have shape {shape}")
    if name == "binary_cross_entropy":
        _check_probabilities(targets, n_threads)
    flat = None if weights is None else _as_pos_weight(weights, shape, dtype)
    return shape, (predictions.reshape(-1), targets.reshape(-1), flat)


def _check_probabilities(targets: Array, n_threads: int) -> None:
    if not _losses.all_within(targets.reshape(-1), 0.0, 1.0, n_threads):
        wrong = targets[~((targets >= 0) & (targets <= 1))][0]
        raise ValueError(f"targets holds {wrong}, but probabilities must lie between 0 and 1")


def _as_pos_weight(weights: ArrayLike, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """Weight of every element, flat."""
    common_dtype(weights)
    array = _as_weights(weights, "pos_weight", dtype)
    try:
        return np.ascontiguousarray(np.broadcast_to(array, shape)).reshape(-1)
    except ValueError:
        raise ValueError(
            f"pos_weight has shape {array.shape}, which does not broadcast to that of the logits, {shape}"
        ) from None


def cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    class_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    n_jobs: int | None = None,
) -> float | Array:
    """Cross-entropy of the softmax of the logits.

    Row i has the loss ``-sum over k of class_weight[k] * q[i, k] * log(softmax(logits[i])[k])``, where
    ``q = (1 - label_smoothing) * p + label_smoothing / n_classes`` and p is the target: probabilities, or 1
    at the class given and 0 elsewhere.

    Parameters
    ----------
    logits : array-like of shape (n, n_classes)
    targets : array-like of int of shape (n,), or of float of shape (n, n_classes)
        Classes; or probabilities of the classes, from 0 to 1.
    class_weight : array-like of shape (n_classes,), optional
        Non-negative constants; ones by default.
    label_smoothing : float, default=0.0
        From 0 to 1.
    reduction : {"mean", "sum", "none"}, default="mean"
        For classes the mean divides by the sum of the weights of the targets, for probabilities by n.
    n_jobs : int, optional

    Returns
    -------
    loss : float, or ndarray of shape (n,) for "none"

    Raises
    ------
    TypeError
        If classes are no integers.
    ValueError
        If there is no such class, a probability lies outside of [0, 1], or shapes do not fit.

    References
    ----------
    Szegedy et al. 2016, "Rethinking the Inception architecture", arXiv:1512.00567, section 7 (smoothing).

    Examples
    --------
    >>> from textcnn.ops.losses import cross_entropy
    >>> logits = [[2.0, 0.0], [0.0, 0.0]]
    >>> round(cross_entropy(logits, [0, 1]), 6)
    0.410038
    >>> round(cross_entropy(logits, [[1.0, 0.0], [0.5, 0.5]]), 6)
    0.410038
    >>> cross_entropy(logits, [0, 1], class_weight=[1.0, 3.0], reduction="none").round(6)
    array([0.126928, 2.079442])
    """
    problem = _CrossEntropy(logits, targets, class_weight, label_smoothing, reduction, n_jobs)
    losses = np.empty(len(problem.logits))
    _losses.cross_entropy(problem.logits, *problem.distribution, losses, problem.n_threads)
    if reduction == "none":
        return losses.astype(problem.logits.dtype)
    return _ratio(float(losses.sum()), problem.divisor)


def cross_entropy_backward(
    d_loss: ArrayLike,
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    class_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    n_jobs: int | None = None,
) -> Array | tuple[Array, Array]:
    """Gradient of `cross_entropy`.

    With ``c[i, k] = class_weight[k] * q[i, k]`` and ``s = softmax(logits[i])``, that of a logit is
    ``d_loss[i] * (s[k] * sum over l of c[i, l] - c[i, k])``; that of a target probability is
    ``-d_loss[i] * class_weight[k] * (1 - label_smoothing) * log(s[k])``.

    Parameters
    ----------
    d_loss : float, or array-like of shape (n,) for "none"
    logits : array-like of shape (n, n_classes)
    targets : array-like of int of shape (n,), or of float of shape (n, n_classes)
    class_weight : array-like of shape (n_classes,), optional
    label_smoothing : float, default=0.0
    reduction : {"mean", "sum", "none"}, default="mean"
    n_jobs : int, optional

    Returns
    -------
    d_logits : ndarray of shape (n, n_classes)
    d_targets : ndarray of shape (n, n_classes)
        Only if the targets are probabilities; classes have no gradient.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> from textcnn.ops.losses import cross_entropy_backward
    >>> cross_entropy_backward(1.0, [[2.0, 0.0], [0.0, 0.0]], [0, 1]).round(6)
    array([[-0.059601,  0.059601],
           [ 0.25    , -0.25    ]])
    """
    problem = _CrossEntropy(logits, targets, class_weight, label_smoothing, reduction, n_jobs)
    n = len(problem.logits)
    if reduction == "none":
        common_dtype(d_loss)
        d_losses = as_array(d_loss, "d_loss", (n,), np.dtype(np.float64))
    else:
        d_losses = np.full(n, _ratio(_as_scalar(d_loss), problem.divisor))
    d_logits = np.empty_like(problem.logits)
    d_targets = None if problem.classes is not None else np.empty_like(problem.logits)
    _losses.cross_entropy_backward(
        d_losses, problem.logits, *problem.distribution, d_logits, d_targets, problem.n_threads
    )
    return d_logits if d_targets is None else (d_logits, d_targets)


_Distribution = tuple[Array | None, Array | None, Array | None, Array | None, Array | None]


class _CrossEntropy:
    """Checked arguments of the cross-entropy.

    Attributes
    ----------
    logits : ndarray of shape (n, n_classes)
    classes : intp ndarray of shape (n,), or None if the targets are probabilities
    distribution : tuple
        Probabilities, their scale and shift, classes and their weights, as the kernels take them.
    divisor : float
        What the sum of the losses is divided by.
    """

    def __init__(
        self,
        logits: ArrayLike,
        targets: ArrayLike,
        class_weight: ArrayLike | None,
        label_smoothing: float,
        reduction: str,
        n_jobs: int | None,
    ):
        as_choice(reduction, "reduction", ("mean", "sum", "none"))
        if not isinstance(label_smoothing, Real) or not 0 <= label_smoothing <= 1:
            raise ValueError(f"label_smoothing is {label_smoothing!r}, but it must lie between 0 and 1")
        self.n_threads: int = effective_n_threads(n_jobs)
        targets = unmasked(targets, "targets")
        probabilities = targets.ndim == 2
        dtype = common_dtype(logits, targets) if probabilities else common_dtype(logits)
        self.logits: Array = as_array(logits, "logits", ("n", "n_classes"), dtype)
        n, n_classes = self.logits.shape
        if n and not n_classes:
            raise ValueError(f"logits has shape {self.logits.shape}, but there must be at least one class")
        weights = None if class_weight is None else _as_class_weight(class_weight, n_classes, dtype)
        smoothed = None
        if label_smoothing:
            smoothed = _weighted(weights, label_smoothing / max(n_classes, 1), n_classes).astype(dtype)
        self.classes: Array | None = None
        self.divisor: float = float(n) if reduction == "mean" else 1.0
        if probabilities:
            p = as_array(targets, "targets", (n, n_classes), dtype)
            _check_probabilities(p, self.n_threads)
            scale = None
            if weights is not None or label_smoothing:
                scale = _weighted(weights, 1 - label_smoothing, n_classes).astype(dtype)
            self.distribution: _Distribution = p, scale, smoothed, None, None
            return
        self.classes = _as_classes(targets, n, n_classes)
        target_weights = None if weights is None else weights[self.classes]
        if reduction == "mean" and target_weights is not None:
            self.divisor = float(target_weights.sum())
        if target_weights is not None or label_smoothing:
            target_weights = _weighted(target_weights, 1 - label_smoothing, n)
        self.distribution = None, None, smoothed, self.classes, target_weights


def _weighted(weights: Array | None, factor: float, n: int) -> Array:
    """`factor` times the n weights, which are ones by default."""
    return np.full(n, factor) if weights is None else weights * factor


def _as_weights(weights: ArrayLike, name: str, dtype: np.dtype) -> Array:
    """Weights of at least 0 that the dtype can hold."""
    exact = np.asarray(weights, np.float64)
    wrong = exact[~(np.isfinite(exact) & (exact >= 0))]
    if wrong.size:
        raise ValueError(f"{name} holds {wrong[0]}, but weights must be finite numbers of at least 0")
    return within_range(exact, name, dtype)


def _as_class_weight(class_weight: ArrayLike, n_classes: int, dtype: np.dtype) -> Array:
    common_dtype(class_weight)
    _as_weights(class_weight, "class_weight", dtype)
    return as_array(class_weight, "class_weight", (n_classes,), np.dtype(np.float64))


def _as_classes(targets: Array, n: int, n_classes: int) -> Array:
    if targets.shape != (n,):
        raise ValueError(
            f"targets has shape {targets.shape}, but expected classes ({n},) or probabilities "
            f"({n}, {n_classes})"
        )
    if n == 0:
        return np.zeros(0, np.intp)
    if targets.dtype.kind not in "iu":
        raise TypeError(f"targets has dtype {targets.dtype}, but classes must be integers")
    classes = np.ascontiguousarray(targets, np.intp)  # what is too large for intp becomes negative
    wrong = _losses.first_no_class(classes, n_classes)
    if wrong >= 0:
        raise ValueError(f"target {wrong} is {targets[wrong]}, but there are {n_classes} classes, from 0 on")
    return classes


def _as_scalar(d_loss: ArrayLike) -> float:
    common_dtype(d_loss)
    if np.ndim(d_loss) != 0:
        raise ValueError(f"d_loss has shape {np.shape(d_loss)}, but the loss is a single number")
    return float(np.asarray(d_loss))


def _ratio(total: float, divisor: float) -> float:
    """The quotient; NaN for a divisor of 0, the mean of nothing."""
    return total / divisor if divisor else float("nan")
