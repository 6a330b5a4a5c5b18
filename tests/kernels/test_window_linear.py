"""Scores that are sums of rows over a window of tokens."""

import numpy as np
import pytest
from checks import THREADS, assert_close, assert_same_bits, both_dtypes, garbage, read_only
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import generators, text_lengths

from textcnn import _reference as reference
from textcnn._kernels import _window_linear

TOLERANCE = {np.float32: 2e-6, np.float64: 1e-14}


def problem(lengths, width=3, n_outputs=5, n_picked=2, n_rows=6, rng=0):
    """Table, rows, offsets, width."""
    rng = np.random.default_rng(rng)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
    rows = rng.integers(0, n_rows, (offsets[-1], n_picked)).astype(np.int32)
    return rng.normal(size=(n_rows, width * n_outputs)), rows, offsets, width


@st.composite
def problems(draw):
    return problem(
        draw(text_lengths()),
        draw(st.integers(1, 6)),
        draw(st.sampled_from([1, 2, 3, 7, 8, 9, 17, 33])),
        draw(st.integers(0, 5)),
        draw(st.integers(1, 9)),
        draw(generators()),
    )


def scores(table, rows, offsets, width, n_threads=1, start=None):
    out = garbage((len(rows), table.shape[1] // width), table.dtype) if start is None else start.copy()
    _window_linear.window_scores(table, rows, offsets, width, start is not None, out, n_threads)
    return out


@both_dtypes
@given(arguments=problems())
def test_scores_equal_the_reference_to_the_bit(dtype, arguments):
    table, rows, offsets, width = arguments[0].astype(dtype), *arguments[1:]
    expected = reference.window_scores(table, rows, offsets, width)
    assert_array_equal(scores(read_only(table), read_only(rows), read_only(offsets), width), expected)


@both_dtypes
@given(arguments=problems())
def test_a_sum_goes_on_from_what_is_there(dtype, arguments):
    table, rows, offsets, width = arguments[0].astype(dtype), *arguments[1:]
    start = np.random.default_rng(0).normal(size=(len(rows), table.shape[1] // width)).astype(dtype)
    expected = start + reference.window_scores(table.astype(float), rows, offsets, width)
    found = scores(table, rows, offsets, width, start=start)
    assert_close(found, expected.astype(dtype), 4 * TOLERANCE[dtype])


@both_dtypes
def test_bits_do_not_depend_on_threads_or_neighbours(dtype):
    lengths = np.random.default_rng(0).integers(0, 60, 90)
    table, rows, offsets, width = problem(lengths, 5, 9, 10, 4000)
    table = table.astype(dtype)
    one = scores(table, rows, offsets, width)
    added = scores(table, rows, offsets, width, start=one)
    for n_threads in (*THREADS[1:], 16):
        assert_same_bits(scores(table, rows, offsets, width, n_threads), one)
        assert_same_bits(scores(table, rows, offsets, width, n_threads, start=one), added)
    for i in (3, 40):
        part = slice(offsets[i], offsets[i + 1])
        alone = scores(table, rows[part].copy(), np.array([0, lengths[i]], np.intp), width)
        assert_same_bits(alone, one[part])


@pytest.mark.parametrize(
    "changed",
    [
        {"table": np.zeros((4, 6))},
        {"table": np.zeros((5, 5))},
        {"table": np.zeros((0, 6))},
        {"table": np.zeros((5, 6), np.float32)},
        {"table": None},
        {"rows": np.array([[5], [0]], np.int32)},
        {"rows": np.array([[-1], [0]], np.int32)},
        {"rows": np.zeros((3, 1), np.int32)},
        {"rows": np.zeros((2, 1), np.int64)},
        {"rows": None},
        {"offsets": np.array([0, 1], np.intp)},
        {"offsets": np.array([0, 2, 1, 2], np.intp)},
        {"offsets": np.array([1, 2], np.intp)},
        {"offsets": np.zeros(0, np.intp)},
        {"width": 0},
        {"width": -1},
        {"width": 2},
        {"width": 2**61, "table": np.zeros((5, 0)), "out": np.zeros((2, 8))},
        {"width": 2**62, "table": np.zeros((5, 0)), "out": np.zeros((2, 0))},
        {"out": np.zeros((2, 3))},
        {"out": np.zeros((1, 2))},
        {"out": read_only(np.zeros((2, 2)))},
        {"out": None},
    ],
    ids=str,
)
def test_scores_refuse_wrong_arguments(changed):
    good = {
        "table": np.zeros((5, 6)),
        "rows": np.array([[0], [4]], np.int32),
        "offsets": np.array([0, 2], np.intp),
        "width": 3,
        "add": False,
        "out": np.zeros((2, 2)),
    }
    _window_linear.window_scores(**good)
    with pytest.raises((ValueError, TypeError), match=r"."):
        _window_linear.window_scores(**good | changed)
