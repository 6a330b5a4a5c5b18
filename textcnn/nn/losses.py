"""Losses of the sentence network: each fills the loss of every text and the gradient of its outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from textcnn._kernels import _softmax

# f(outputs (n, k), targets, sample_weight, loss (n,), d_outputs (n, k), n_threads) fills loss and d_outputs.
Loss: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, int], None]

# Where the loss of Huber turns from a square into a line, in the units of the network's outputs.
HUBER_DELTA = 0.5


def softmax_cross_entropy(
    outputs: np.ndarray,
    targets: np.ndarray,
    sample_weight: np.ndarray,
    loss: np.ndarray,
    d_outputs: np.ndarray,
    n_threads: int,
    smoothing: float = 0.0,
) -> None:
    """``- w_i sum_k t_ik log softmax(outputs)_ik``, for texts of one class out of several.

    With `smoothing` e the target of the class of a text is 1 - e + e / k, that of the others e / k (Szegedy
    et al. 2016, section 7).

    Parameters
    ----------
    outputs : ndarray of shape (n, k)
    targets : intp ndarray of shape (n,)
    sample_weight : ndarray of shape (n,)
    loss : float64 ndarray of shape (n,)
    d_outputs : ndarray of shape (n, k)
    n_threads : int
    smoothing : float
    """
    _softmax.softmax_cross_entropy(outputs, targets, sample_weight, loss, d_outputs, n_threads)
    if smoothing:
        share = sample_weight * outputs.dtype.type(smoothing)
        rows = np.arange(len(targets))
        loss += share * (outputs[rows, targets] - outputs.mean(axis=1, dtype=np.float64))
        d_outputs -= (share / outputs.shape[1])[:, np.newaxis]
        d_outputs[rows, targets] += share


def sigmoid_cross_entropy(
    outputs: np.ndarray,
    targets: np.ndarray,
    sample_weight: np.ndarray,
    loss: np.ndarray,
    d_outputs: np.ndarray,
    n_threads: int,
    smoothing: float = 0.0,
) -> None:
    """``- sum_k w_ik (t_ik log p_ik + (1 - t_ik) log(1 - p_ik))``, p = sigmoid(outputs), for several labels.

    With `smoothing` e targets of 0 and 1 become e / 2 and 1 - e / 2.

    Parameters
    ----------
    outputs : ndarray of shape (n, k)
    targets : float ndarray of shape (n, k)
        1 where a text has a label, else 0.
    sample_weight : ndarray of shape (n,) or (n, k)
    loss : float64 ndarray of shape (n,)
    d_outputs : ndarray of shape (n, k)
    n_threads : int
        Not used: there is little to do.
    smoothing : float
    """
    z = outputs.astype(np.float64)
    goal = targets * (1.0 - smoothing) + 0.5 * smoothing
    weight = _by_output(sample_weight)
    loss[:] = (weight * (np.logaddexp(0.0, z) - goal * z)).sum(axis=1)
    d_outputs[:] = weight * (sigmoid(z) - goal)


def squared_error(
    outputs: np.ndarray,
    targets: np.ndarray,
    sample_weight: np.ndarray,
    loss: np.ndarray,
    d_outputs: np.ndarray,
    n_threads: int,
) -> None:
    """``w_i / 2 * sum_k (outputs_ik - targets_ik)^2``; shapes as in `sigmoid_cross_entropy`."""
    weight = _by_output(sample_weight)
    error = outputs.astype(np.float64) - targets
    loss[:] = (0.5 * weight * error**2).sum(axis=1)
    d_outputs[:] = weight * error


def huber(
    outputs: np.ndarray,
    targets: np.ndarray,
    sample_weight: np.ndarray,
    loss: np.ndarray,
    d_outputs: np.ndarray,
    n_threads: int,
) -> None:
    """The same with ``d (|e| - d/2)`` in place of ``e^2 / 2`` for errors e beyond +-d, 1/2 (Huber 1964).

    A few wild targets then count no more than others that are missed.
    """
    weight = _by_output(sample_weight)
    error = outputs.astype(np.float64) - targets
    near = np.clip(error, -HUBER_DELTA, HUBER_DELTA)
    loss[:] = (weight * near * (error - 0.5 * near)).sum(axis=1)
    d_outputs[:] = weight * near


def sigmoid(z: np.ndarray) -> np.ndarray:
    """``1 / (1 + exp(-z))``, with the full number of digits for large negative z too."""
    return np.exp(log_sigmoid(z))


def log_sigmoid(z: np.ndarray) -> np.ndarray:
    """``log sigmoid(z)``, without overflow."""
    return -np.logaddexp(0.0, -z)


def _by_output(sample_weight: np.ndarray) -> np.ndarray:
    """Weights of texts, or of texts and outputs, as a matrix."""
    return sample_weight[:, np.newaxis] if sample_weight.ndim == 1 else sample_weight
