"""The layers of the sentence network: forward gives the output and what backward needs.

All arrays are float32 (or all float64) and C-contiguous; a batch is packed: ``ids`` int32
``(n_tokens,)`` and ``offsets`` intp ``(n_texts + 1,)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from textcnn._kernels import _blas, _conv, _packing, _random
from textcnn.nn.workspace import Workspace

PADDINGS = ("valid", "same", "full")

LEAK = 0.01


class Activation(NamedTuple):
    """A function that never falls, and its slope as a function of its value.

    The maximum over time of such a function is the function of the maximum, so it is applied once, to what
    was pooled.
    """

    value: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]


# Those beside ReLU, which the kernels have inside.
_PLAIN_ACTIVATIONS = {
    "identity": Activation(lambda z: z, np.ones_like),
    "leaky_relu": Activation(lambda z: np.where(z > 0, z, LEAK * z), lambda a: np.where(a > 0, 1, LEAK)),
    "elu": Activation(
        lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))), lambda a: np.where(a > 0, 1, a + 1)
    ),
    "softplus": Activation(lambda z: np.logaddexp(z.dtype.type(0), z), lambda a: -np.expm1(-a)),
    "tanh": Activation(np.tanh, lambda a: 1 - a * a),
    "logistic": Activation(lambda z: (1 + np.tanh(z / 2)) / 2, lambda a: a * (1 - a)),
}
ACTIVATIONS = ("relu", *_PLAIN_ACTIVATIONS)


@dataclass(frozen=True)
class ConvLayout:
    """Widths, numbers and padding of the filters over the embeddings.

    Parameters
    ----------
    kernel_sizes : tuple of int
        Widths of the filters, in tokens.
    n_filters : int
        Filters of each width.
    padding : {"valid", "same", "full"}
        Positions of zeros around a text: none (a shorter text is padded on the right to the width),
        as many as keep the length (the extra one of an even width on the right), or width - 1 on
        both sides, so that every token meets every tap (Kim 2014).
    activation : {"relu", "identity", "leaky_relu", "elu", "softplus", "tanh", "logistic"}
        Applied to the output of the filters.

    Examples
    --------
    >>> from textcnn.nn.layers import ConvLayout
    >>> layout = ConvLayout((2, 3), 10, "same")
    >>> layout.n_outputs, layout.n_rows, layout.pads.tolist()
    (20, 50, [[0, 1], [1, 1]])
    """

    kernel_sizes: tuple[int, ...]
    n_filters: int
    padding: str
    activation: str = "relu"

    @property
    def n_outputs(self) -> int:
        """Filters of all widths."""
        return len(self.kernel_sizes) * self.n_filters

    @property
    def n_rows(self) -> int:
        """Rows of the weights: one for each tap of each filter."""
        return sum(self.kernel_sizes) * self.n_filters

    @cached_property
    def sizes(self) -> np.ndarray:
        """`kernel_sizes` as the kernels take them."""
        return np.array(self.kernel_sizes, dtype=np.intp)

    @cached_property
    def pads(self) -> np.ndarray:
        """Padding (left, right) of each width, intp of shape (n_widths, 2)."""
        extra = self.sizes - 1
        if self.padding == "valid":
            left = right = np.zeros_like(extra)
        elif self.padding == "same":
            left = extra // 2
            right = extra - left
        else:
            left = right = extra
        return np.ascontiguousarray(np.stack([left, right], axis=1), dtype=np.intp)


@dataclass
class ConvCache:
    """What the backward pass of `conv_max` needs."""

    distinct: np.ndarray
    rows: np.ndarray
    slots: np.ndarray
    offsets: np.ndarray
    argmax: np.ndarray
    pooled: np.ndarray


def activate(pooled: np.ndarray, argmax: np.ndarray, activation: str) -> None:
    """Apply an activation, in place, to what was pooled; a text without tokens has zeros."""
    if activation != "relu":
        pooled[...] = _PLAIN_ACTIVATIONS[activation].value(pooled)
        pooled[argmax == _conv.NO_WINDOW] = 0


def distinct_tokens(ids: np.ndarray, marks: np.ndarray, work: Workspace) -> tuple[np.ndarray, np.ndarray]:
    """Distinct ids in order of appearance, and the place of each token among them."""
    found = work.array("distinct", (min(len(ids), len(marks)),), np.int32)
    slots = work.array("slots", (len(ids),), np.int32)
    return found[: _packing.distinct(ids, marks, found, slots)], slots


def conv_max(
    embedding: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
    ids: np.ndarray,
    offsets: np.ndarray,
    layout: ConvLayout,
    marks: np.ndarray,
    work: Workspace,
    n_threads: int,
) -> tuple[np.ndarray, ConvCache]:
    """Embedding, convolution, activation and max over time (Kim 2014, equations 2 and 3).

    Returns the pooled features (n_texts, layout.n_outputs) and the cache of `conv_max_backward`.
    """
    dtype = embedding.dtype
    n = len(offsets) - 1
    distinct, slots = distinct_tokens(ids, marks, work)
    rows = work.array("rows", (len(distinct), embedding.shape[1]), dtype)
    np.take(embedding, distinct, axis=0, out=rows, mode="clip")
    projected = work.array("projected", (len(distinct), layout.n_rows), dtype)
    _blas.matmul(rows, weights.T, projected, None, False, n_threads)
    pooled = work.array("pooled", (n, layout.n_outputs), dtype)
    argmax = work.array("argmax", (n, layout.n_outputs), np.int32)
    _conv.conv_max_forward(
        projected, bias, slots, offsets, layout.sizes, layout.pads, layout.n_filters,
        layout.activation == "relu", pooled, argmax, n_threads,
    )  # fmt: skip
    activate(pooled, argmax, layout.activation)
    return pooled, ConvCache(distinct, rows, slots, offsets, argmax, pooled)


def conv_max_backward(
    d_pooled: np.ndarray,
    cache: ConvCache,
    weights: np.ndarray,
    layout: ConvLayout,
    n_frozen: int,
    work: Workspace,
    n_threads: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Gradients of the weights, the bias and the embedding rows ``cache.distinct``.

    The first `n_frozen` columns of the embedding are not trained and get no gradient.
    """
    dtype = d_pooled.dtype
    if layout.activation != "relu":
        slope = _PLAIN_ACTIVATIONS[layout.activation].slope(cache.pooled)
        d_pooled = (d_pooled * slope).astype(dtype, copy=False)
    d_weights = work.array("d_weights", weights.shape, dtype)
    d_bias = work.array("d_bias", (layout.n_outputs,), dtype)
    n_trained = weights.shape[1] - n_frozen
    d_rows = work.array("d_rows", (len(cache.distinct), n_trained), dtype) if n_trained else None
    _conv.conv_max_backward(
        d_pooled, cache.argmax, cache.rows, weights[:, n_frozen:], cache.slots, cache.offsets, layout.sizes,
        layout.pads, layout.n_filters, d_weights, d_bias, d_rows, n_threads,
    )  # fmt: skip
    return d_weights, d_bias, d_rows


def dropout(
    x: np.ndarray, rate: float, seed: int, step: int, work: Workspace, n_threads: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """x with elements zeroed at `rate` and the others scaled by 1 / (1 - rate), and the mask.

    The mask is a function of seed, step, row and column (Srivastava et al. 2014).
    """
    if rate == 0:
        return x, None
    mask = work.array("dropout_mask", x.shape, x.dtype)
    _random.dropout_mask(seed, step, rate, mask, n_threads)
    return np.multiply(x, mask, out=work.array("dropped", x.shape, x.dtype)), mask


def dense(
    x: np.ndarray, weights: np.ndarray, bias: np.ndarray, work: Workspace, n_threads: int
) -> np.ndarray:
    """x @ weights.T + bias, for weights (n_outputs, n_inputs)."""
    out = work.array("logits", (x.shape[0], weights.shape[0]), x.dtype)
    _blas.matmul(x, weights.T, out, bias, False, n_threads)
    return out


def dense_backward(
    d_out: np.ndarray, x: np.ndarray, weights: np.ndarray, work: Workspace, n_threads: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of the weights, the bias and x."""
    d_weights = work.array("d_dense_weights", weights.shape, x.dtype)
    _blas.matmul(d_out.T, x, d_weights, None, False, n_threads)
    d_x = work.array("d_x", x.shape, x.dtype)
    _blas.matmul(d_out, weights, d_x, None, False, n_threads)
    return d_weights, d_out.sum(axis=0), d_x


def glorot_uniform(rng: np.random.RandomState, shape: Sequence[int], fan_in: int, fan_out: int) -> np.ndarray:
    """Uniform float32 weights with variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010)."""
    limit = np.sqrt(6.0 / (fan_in + fan_out))
    return rng.uniform(-limit, limit, size=tuple(shape)).astype(np.float32)
