"""Packed batches: sub-batches, the distinct ids of a batch, and sums of rows of a table."""

import numpy as np
import pytest
from checks import assert_same_bits, both_dtypes, garbage, read_only
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import generators, pack, packed_batches

from textcnn import _reference as reference
from textcnn._kernels import _packing


def take_texts(ids, offsets, index):
    index = np.asarray(index, np.intp)
    n_tokens = int((offsets[1:] - offsets[:-1])[index].sum())
    out_ids, out_offsets = garbage(n_tokens, np.int32), garbage(len(index) + 1, np.intp)
    _packing.take_texts(ids, offsets, index, out_ids, out_offsets)
    return out_ids, out_offsets


def distinct(ids, n_ids, marks=None):
    marks = np.full(n_ids, -1, np.int32) if marks is None else marks
    ids_out, slots = garbage(min(len(ids), n_ids), np.int32), garbage(len(ids), np.int32)
    n_distinct = _packing.distinct(ids, marks, ids_out, slots)
    assert_array_equal(marks, -1)
    return ids_out[:n_distinct], slots


@given(batch=packed_batches(), data=st.data())
def test_take_texts_equals_the_reference(batch, data):
    texts = st.integers(0, max(batch.n_texts - 1, 0))
    index = data.draw(st.lists(texts, max_size=8 if batch.n_texts else 0))
    expected = reference.take_texts(batch.ids, batch.offsets, index)
    for actual, wanted in zip(take_texts(batch.ids, batch.offsets, index), expected, strict=True):
        assert_array_equal(actual, wanted)


def test_take_texts_of_no_texts():
    batch = pack([2, 0, 3], 9, np.random.default_rng(0))
    ids, offsets = take_texts(batch.ids, batch.offsets, [])
    assert len(ids) == 0
    assert_array_equal(offsets, [0])


def test_take_texts_inputs_may_be_read_only():
    batch = pack([2, 0, 3], 9, np.random.default_rng(0))
    ids, _ = take_texts(read_only(batch.ids), read_only(batch.offsets), read_only(np.array([2, 0])))
    assert_array_equal(ids, np.concatenate([batch.text(2), batch.text(0)]))


@pytest.mark.parametrize(
    "changed",
    [
        {"index": [0, 3]},
        {"index": [-1, 0]},
        {"index": [0, 2**40]},
        {"out_ids": np.zeros(4, np.int32)},
        {"out_ids": np.zeros(6, np.int32)},
        {"out_ids": np.zeros(0, np.int32)},
        {"out_offsets": np.zeros(2, np.intp)},
        {"out_offsets": np.zeros(4, np.intp)},
        {"out_offsets": np.zeros(0, np.intp)},
        {"offsets": np.array([0, 2, 2, 6], np.intp)},
        {"offsets": np.array([0, 2, -1, 5], np.intp)},
        {"offsets": np.array([-1, 2, 2, 5], np.intp)},
        {"offsets": np.array([0, 4, 2, 5], np.intp)},
        {"offsets": np.zeros(0, np.intp)},
        {"offsets": np.array([0], np.intp)},
    ],
)
def test_take_texts_refuses_wrong_arguments(changed):
    arguments = {
        "ids": np.arange(5, dtype=np.int32),
        "offsets": np.array([0, 2, 2, 5], np.intp),
        "index": [2, 0],
        "out_ids": np.zeros(5, np.int32),
        "out_offsets": np.zeros(3, np.intp),
    }
    _packing.take_texts(*(arguments | {"index": np.array([2, 0])}).values())
    arguments |= changed
    arguments["index"] = np.asarray(arguments["index"], np.intp)
    with pytest.raises(ValueError, match=r"."):
        _packing.take_texts(*arguments.values())


@given(batch=packed_batches(max_ids=40))
def test_distinct_equals_the_reference(batch):
    expected = reference.distinct(batch.ids)
    for actual, wanted in zip(distinct(batch.ids, 40), expected, strict=True):
        assert_array_equal(actual, wanted)


def test_distinct_uses_its_marks_again():
    marks = np.full(7, -1, np.int32)
    for ids in ([3, 3, 0], [6, 0, 3, 6], [], [1]):
        ids = np.array(ids, np.int32)
        found, slots = distinct(ids, 7, marks)
        assert_array_equal(found[slots], ids)


def test_distinct_with_more_tokens_than_ids():
    ids = np.array([1, 0] * 50, np.int32)
    found, slots = distinct(read_only(ids), 2)
    assert_array_equal(found, [1, 0])
    assert_array_equal(slots, [0, 1] * 50)


def test_distinct_of_nothing():
    for n_ids in (0, 5):
        found, slots = distinct(np.zeros(0, np.int32), n_ids)
        assert len(found) == len(slots) == 0


@pytest.mark.parametrize("wrong", [5, 6, -1, -5, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("position", [0, 2, 4])
def test_distinct_refuses_an_id_outside_the_vocabulary_and_restores_its_marks(wrong, position):
    ids = np.array([4, 1, 0, 4, 2], np.int32)
    ids[position] = wrong
    marks = np.full(5, -1, np.int32)
    with pytest.raises(ValueError, match=r"."):
        _packing.distinct(ids, marks, np.zeros(5, np.int32), np.zeros(5, np.int32))
    assert_array_equal(marks, -1)


def test_distinct_refuses_an_id_when_there_is_no_vocabulary():
    with pytest.raises(ValueError, match=r"."):
        _packing.distinct(
            np.zeros(1, np.int32), np.zeros(0, np.int32), np.zeros(1, np.int32), np.zeros(1, np.int32)
        )


@pytest.mark.parametrize(("n_out", "n_slots"), [(2, 4), (0, 4), (3, 3), (3, 5), (3, 0)])
def test_distinct_refuses_outputs_of_the_wrong_size(n_out, n_slots):
    ids, marks = np.array([0, 1, 2, 0], np.int32), np.full(3, -1, np.int32)
    with pytest.raises(ValueError, match=r"."):
        _packing.distinct(ids, marks, np.zeros(n_out, np.int32), np.zeros(n_slots, np.int32))
    assert_array_equal(marks, -1)


def scatter(values, slots, n_rows):
    out = garbage((n_rows, values.shape[1]), values.dtype)
    _packing.scatter_sums(values, slots, out)
    return out


@st.composite
def scattered(draw):
    """Values, the rows that each is added to, and the number of rows."""
    rng = draw(generators())
    v, d = draw(st.integers(1, 9)), draw(st.sampled_from([0, 1, 3, 8, 17, 100]))
    m = draw(st.integers(0, 30))
    return rng.normal(size=(m, d)), rng.integers(0, v, m).astype(np.int32), v


@both_dtypes
@given(case=scattered())
def test_sums_equal_the_reference_to_the_bit(dtype, case):
    values, slots, n_rows = case[0].astype(dtype), case[1], case[2]
    expected = reference.scatter_sums(values, slots, n_rows)
    assert_array_equal(scatter(read_only(values), read_only(slots), n_rows), expected)


@both_dtypes
def test_scatter_takes_columns_of_a_wider_array(dtype):
    rng = np.random.default_rng(0)
    wide, slots = rng.normal(size=(7, 20)).astype(dtype), rng.integers(0, 3, 7).astype(np.int32)
    assert_same_bits(scatter(wide[:, 4:11], slots, 3), scatter(wide[:, 4:11].copy(), slots, 3))
    with pytest.raises(ValueError, match="adjacent"):
        scatter(wide[:, ::2], slots, 3)


@pytest.mark.parametrize(
    "changed",
    [
        {"values": np.zeros((1, 3))},
        {"values": np.zeros((2, 4))},
        {"values": np.zeros((2, 3), np.float32)},
        {"values": None},
        {"slots": np.array([0, 5], np.int32)},
        {"slots": np.array([-1, 4], np.int32)},
        {"slots": np.zeros(3, np.int32)},
        {"slots": np.zeros(2, np.int64)},
        {"slots": np.zeros((2, 1), np.int32)},
        {"slots": None},
        {"out": np.zeros((4, 3))},
        {"out": np.zeros((5, 2))},
        {"out": np.zeros((0, 3))},
        {"out": read_only(np.zeros((5, 3)))},
        {"out": None},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_scatter_refuses_wrong_arguments(changed):
    good = {
        "values": np.zeros((2, 3)),
        "slots": np.array([0, 4], np.int32),
        "out": np.zeros((5, 3)),
    }
    _packing.scatter_sums(**good)
    with pytest.raises((ValueError, TypeError), match=r"."):
        _packing.scatter_sums(**good | changed)
