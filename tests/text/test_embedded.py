"""What counts as embedded text, and how it is packed."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from textcnn.text.embedded import as_embedded, embedded_axes


class OnlyAnArray:
    def __repr__(self):
        return "OnlyAnArray()"

    def __array__(self, dtype=None, copy=None):
        return np.ones((2, 3))


@pytest.mark.parametrize(
    ("X", "axes"),
    [
        (np.array(1.0), 0),
        (np.ones(3), 1),
        (np.ones((2, 3)), 2),
        (np.ones((2, 3), dtype=np.int8), 2),
        (np.ones((2, 3)).astype(object), 2),
        (np.ones((2, 3, 4)), 3),
        (np.ones((0, 3)), 2),
        ([np.ones((2, 3)), np.ones((1, 3))], 3),
        ([[], np.ones((1, 3))], 3),
        ((np.ones(3),), 2),
        ([[1, 2], [3, 4]], 2),
        ([[[1.5]], [[2.5]]], 3),
        (OnlyAnArray(), 2),
    ],
    ids=str,
)
def test_numbers_are_seen(X, axes):
    assert embedded_axes(X) == axes


@pytest.mark.parametrize(
    "X",
    [
        [],
        [[], []],
        ["a text"],
        [["a", "b"]],
        [[], ["a"]],
        (("a", "b"),),
        np.array("a"),
        np.array(None),
        np.array([[1, "a"], [2, "b"]], dtype=object),
        np.array(["a", "b"]),
        np.array([["a"], ["b"]]),
        np.array([["a", "b"]], dtype=object),
        np.array([["a"], [None]], dtype=object),
        np.array([None, "a"]),
        np.array([np.nan, "a"], dtype=object),
        np.array([]),
        [np.str_("a")],
        [1.0, 2.0],
        [None],
        [b"a"],
        None,
        3,
        "a text",
        b"a text",
        {"a": [1.0]},
        iter(["a"]),
    ],
    ids=lambda X: "iterator" if hasattr(X, "__next__") else str(X),
)
def test_all_else_is_text(X):
    assert embedded_axes(X) is None


def test_a_series_is_judged_by_its_first_text():
    pandas = pytest.importorskip("pandas")
    assert embedded_axes(pandas.Series(["a", "b"])) is None
    assert embedded_axes(pandas.Series([None, "b"])) is None
    assert embedded_axes(pandas.Series([["a"], []])) is None
    assert embedded_axes(pandas.DataFrame({"text": ["a", "b"]})) is None
    assert embedded_axes(pandas.Series([np.ones((2, 3))])) == 3


def test_rows_stand_end_to_end():
    first, second = np.arange(6.0).reshape(2, 3), np.arange(3.0).reshape(1, 3)
    texts = as_embedded([first, [], second])
    assert_array_equal(texts.rows, np.concatenate([first, second]))
    assert_array_equal(texts.offsets, [0, 2, 2, 3])
    assert len(texts) == 3
    assert texts.n_features is None


def test_a_table_has_one_channel():
    texts = as_embedded([[1, 2], [3, 4]])
    assert_array_equal(texts.rows, [[1], [2], [3], [4]])
    assert_array_equal(texts.offsets, [0, 2, 4])
    assert texts.n_features == 2


@pytest.mark.parametrize(
    ("types", "dtype"),
    [
        ([np.float32, np.float32], np.float32),
        ([np.float16, np.float32], np.float32),
        ([np.float32, np.float64], np.float64),
        ([np.float32, np.int32], np.float64),
        ([bool, bool], np.float64),
    ],
)
def test_numbers_stay_float32_if_all_are(types, dtype):
    assert as_embedded([np.ones((2, 2), dtype=each) for each in types]).rows.dtype == dtype


def test_take_keeps_the_order_that_is_asked_for():
    lengths = np.array([2, 0, 3, 1])
    arrays = [np.full((n, 2), i, dtype=np.float32) for i, n in enumerate(lengths)]
    taken = as_embedded(arrays).take(np.array([3, 1, 2, 3]))
    assert_array_equal(taken.rows[:, 0], [3, 2, 2, 2, 3])
    assert_array_equal(taken.offsets, [0, 1, 1, 4, 5])
    assert taken.rows.dtype == np.float32
