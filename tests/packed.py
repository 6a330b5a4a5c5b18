"""Packed batches of float rows for the tests of `textcnn.ops`, and what every operation on them must keep."""

from itertools import pairwise

import numpy as np
from checks import THREADS, assert_same_bits
from hypothesis import strategies as st
from strategies import generators, text_lengths


@st.composite
def packed_rows(draw, max_channels=5):
    """Rows and offsets of a packed batch in float64; empty texts, batches and channels are ordinary."""
    lengths = draw(text_lengths())
    rng = draw(generators())
    return random_rows(lengths, draw(st.integers(0, max_channels)), rng)


def random_rows(lengths, n_channels, rng=0):
    """Rows and offsets of a packed batch of texts of these lengths."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
    return np.random.default_rng(rng).normal(size=(offsets[-1], n_channels)), offsets


def texts_of(rows, offsets):
    """The rows of each text."""
    return [rows[begin:end] for begin, end in pairwise(offsets)]


def joined(texts, n_channels, dtype=np.float64):
    """Rows of texts end to end."""
    return np.concatenate([np.zeros((0, n_channels)), *texts]).astype(dtype)


def assert_same_on_any_number_of_threads(operation):
    """`operation(n_jobs)`, one array, has the same bits for every number of threads."""
    expected = operation(1)
    for n_jobs in THREADS[1:]:
        assert_same_bits(operation(n_jobs), expected)


def assert_same_alone(operation, rows, offsets):
    """`operation(rows, offsets)` gives (rows, offsets) with the bits that each text has alone."""
    out, out_offsets = operation(rows, offsets)
    for text, expected in zip(texts_of(rows, offsets), texts_of(out, out_offsets), strict=True):
        alone, alone_offsets = operation(text, np.array([0, len(text)]))
        assert_same_bits(alone, np.ascontiguousarray(expected))
        assert list(alone_offsets) == [0, len(expected)]
