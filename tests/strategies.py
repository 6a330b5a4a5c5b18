"""Hypothesis strategies: packed batches and what the kernels take with them.

Shapes are drawn by hypothesis, so that it can shrink them; the numbers come from a generator whose seed
is drawn. They are normal, or small integers, with which sums are exact and ties abound.
"""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from textcnn import _reference as reference


def generators():
    """Random generators with a seed of hypothesis' choice."""
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)


@dataclass
class PackedBatch:
    """Texts end to end, and where each begins."""

    ids: np.ndarray
    offsets: np.ndarray

    @property
    def n_texts(self):
        return len(self.offsets) - 1

    def text(self, i):
        return self.ids[self.offsets[i] : self.offsets[i + 1]]


def pack(lengths, n_ids, rng):
    """Packed batch of texts of these lengths, of random ids below `n_ids`."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
    ids = rng.integers(0, max(n_ids, 1), offsets[-1]).astype(np.int32)
    return PackedBatch(ids, offsets)


def text_lengths(max_texts=6, max_tokens=12):
    """Lengths of the texts of a batch; empty texts and empty batches are ordinary."""
    return st.lists(st.integers(0, max_tokens), max_size=max_texts)


@st.composite
def packed_batches(draw, max_texts=6, max_tokens=12, max_ids=9):
    """Packed batches of random ids."""
    lengths = draw(text_lengths(max_texts, max_tokens))
    return pack(lengths, draw(st.integers(1, max_ids)), draw(generators()))


def numbers(rng, shape, integers=False):
    """Normal numbers; or small integers, most of them zero."""
    if integers:
        return rng.integers(-1, 2, shape).astype(float)
    return rng.normal(size=shape)


def paddings(kernel_sizes, padding):
    """Positions of padding (left, right) of each width for the padding named."""
    pads = {
        "valid": lambda w: (0, 0),
        "same": lambda w: ((w - 1) // 2, w // 2),
        "full": lambda w: (w - 1, w - 1),
    }[padding]
    return np.array([pads(w) for w in kernel_sizes], np.intp).reshape(len(kernel_sizes), 2)


@dataclass
class ConvProblem:
    """The arguments of the convolution kernels."""

    rows: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    slots: np.ndarray
    offsets: np.ndarray
    kernel_sizes: np.ndarray
    pads: np.ndarray
    n_filters: int
    relu: bool

    @property
    def n_texts(self):
        return len(self.offsets) - 1

    @property
    def n_out(self):
        return len(self.kernel_sizes) * self.n_filters

    @property
    def projected(self):
        """Projected tokens; each element is summed in order, so that equal sums are equal bits."""
        return reference.matmul(self.rows, self.weights.T)

    @property
    def forward_arguments(self):
        return (
            self.projected,
            self.bias,
            self.slots,
            self.offsets,
            self.kernel_sizes,
            self.pads,
            self.n_filters,
            self.relu,
        )

    @property
    def layout(self):
        """The last arguments of the backward pass."""
        return self.slots, self.offsets, self.kernel_sizes, self.pads, self.n_filters

    def astype(self, dtype):
        return replace(
            self,
            rows=self.rows.astype(dtype),
            weights=self.weights.astype(dtype),
            bias=self.bias.astype(dtype),
        )

    def only(self, texts):
        """The same with a batch of these texts alone."""
        slots, offsets = reference.take_texts(self.slots, self.offsets, np.asarray(texts, np.intp))
        return replace(self, slots=slots, offsets=offsets)

    def window_outputs(self, i, width):
        """Outputs of one width for every window of text i: (n_windows, n_filters).

        Computed as the textbooks draw it: the text padded with zeros, windows over it, one product.
        """
        kernel_size = int(self.kernel_sizes[width])
        left, right = self.pads[width]
        text = self.rows[self.slots[self.offsets[i] : self.offsets[i + 1]]]
        if len(text) == 0:
            return np.zeros((0, self.n_filters), self.rows.dtype)
        n_positions = max(left + len(text) + right, kernel_size)
        padded = np.zeros((n_positions, text.shape[1]), text.dtype)
        padded[left : left + len(text)] = text
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel_size, axis=0)
        start = self.n_filters * int(self.kernel_sizes[:width].sum())
        block = self.weights[start : start + kernel_size * self.n_filters]
        taps = block.reshape(kernel_size, self.n_filters, -1)
        bias = self.bias[width * self.n_filters : (width + 1) * self.n_filters]
        return np.einsum("pdj,jfd->pf", windows, taps) + bias

    def clear_of_ties(self, margin=0.05):
        """Where the maximum is ahead of the other windows, and of the ReLU's 0, by a margin: (n, n_out)."""
        clear = np.ones((self.n_texts, self.n_out), bool)
        for i in range(self.n_texts):
            for width in range(len(self.kernel_sizes)):
                z = np.sort(self.window_outputs(i, width), axis=0)
                columns = slice(width * self.n_filters, (width + 1) * self.n_filters)
                if len(z) > 1:
                    clear[i, columns] &= z[-1] - z[-2] > margin
                if len(z) > 0 and self.relu:
                    clear[i, columns] &= np.abs(z[-1]) > margin
        return clear


def conv_problem(
    lengths, kernel_sizes, pads, n_filters, relu=True, n_dims=3, n_rows=9, rng=0, integers=False
):
    """Problem with random numbers; `rng` is a generator or a seed."""
    rng = np.random.default_rng(rng)
    kernel_sizes = np.array(kernel_sizes, np.intp)
    if isinstance(pads, str):
        pads = paddings(kernel_sizes, pads)
    batch = pack(lengths, n_rows, rng)
    n_weights = n_filters * int(kernel_sizes.sum())
    return ConvProblem(
        rows=numbers(rng, (n_rows, n_dims), integers),
        weights=numbers(rng, (n_weights, n_dims), integers),
        bias=numbers(rng, len(kernel_sizes) * n_filters, integers),
        slots=batch.ids,
        offsets=batch.offsets,
        kernel_sizes=kernel_sizes,
        pads=np.array(pads, np.intp).reshape(len(kernel_sizes), 2),
        n_filters=n_filters,
        relu=relu,
    )


@st.composite
def conv_problems(draw, integers=None, max_texts=6, max_tokens=12, max_filters=19, max_dims=5):
    """Problems in float64 of any widths and paddings, the usual ones and others."""
    kernel_sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    pads = draw(
        st.sampled_from(["valid", "same", "full"])
        | st.tuples(*(st.tuples(st.integers(0, w), st.integers(0, w)) for w in kernel_sizes))
    )
    return conv_problem(
        draw(text_lengths(max_texts, max_tokens)),
        kernel_sizes,
        pads,
        n_filters=draw(st.integers(1, max_filters)),
        relu=draw(st.booleans()),
        n_dims=draw(st.integers(1, max_dims)),
        n_rows=draw(st.integers(1, 9)),
        rng=draw(generators()),
        integers=draw(st.booleans()) if integers is None else integers,
    )


@st.composite
def logits_and_targets(draw, max_texts=9, max_classes=20):
    """Logits (n, c), targets (n,) and weights (n,), in float64."""
    rng = draw(generators())
    n = draw(st.integers(0, max_texts))
    n_classes = draw(st.integers(1, max_classes))
    logits = rng.normal(scale=draw(st.sampled_from([0.1, 1.0, 10.0])), size=(n, n_classes))
    targets = rng.integers(0, n_classes, n).astype(np.intp)
    return logits, targets, rng.uniform(0, 2, n)


@dataclass
class Rows:
    """A parameter, a gradient of some of its rows, and which ones."""

    param: np.ndarray
    grad: np.ndarray
    rows: np.ndarray | None
    rng: np.random.Generator

    @property
    def touched(self):
        """True for each row of the parameter that the step may change."""
        marks = np.zeros(len(self.param), bool)
        marks[slice(None) if self.rows is None else self.rows] = True
        return marks


@st.composite
def row_updates(draw, max_rows=9, max_dims=20):
    """Updates of all rows, of some in any order, or of none; in float64."""
    rng = draw(generators())
    v, d = draw(st.integers(0, max_rows)), draw(st.integers(0, max_dims))
    rows = None
    r = v
    if draw(st.booleans()):
        r = draw(st.integers(0, v))
        rows = rng.permutation(v)[:r].astype(np.int32)
    return Rows(rng.normal(size=(v, d)), rng.normal(size=(r, d)), rows, rng)
