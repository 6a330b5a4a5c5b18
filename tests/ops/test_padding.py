"""Padding of texts in the five modes, and its transpose."""

import numpy as np
import pytest
from checks import assert_adjoint, assert_close, assert_gradient, assert_same_bits, both_dtypes, read_only
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from packed import (
    assert_same_alone,
    assert_same_on_any_number_of_threads,
    joined,
    packed_rows,
    random_rows,
    texts_of,
)

from textcnn._kernels import _windows
from textcnn._reference import windows as reference
from textcnn.ops.padding import PADDING_MODES, pad1d, pad1d_backward

NUMPY_MODES = {
    "zeros": {"mode": "constant"},
    "constant": {"mode": "constant", "constant_values": 2.5},
    "reflect": {"mode": "reflect"},
    "replicate": {"mode": "edge"},
    "circular": {"mode": "wrap"},
}

all_modes = pytest.mark.parametrize("mode", PADDING_MODES)
pads = st.integers(0, 15)


def options(mode):
    return {"padding_mode": mode, "padding_value": 2.5} if mode == "constant" else {"padding_mode": mode}


@both_dtypes
@all_modes
@given(batch=packed_rows(), left=pads, right=pads)
def test_equals_the_reference(dtype, mode, batch, left, right):
    rows, offsets = batch[0].astype(dtype), batch[1]
    out, out_offsets = pad1d(rows, (left, right), offsets=offsets, **options(mode))
    expected = [
        reference.pad1d(text, left, right, *options(mode).values()) for text in texts_of(rows, offsets)
    ]
    assert_same_bits(out, joined(expected, rows.shape[1], dtype))
    assert_array_equal(np.diff(out_offsets), [len(text) for text in expected])


@all_modes
@pytest.mark.parametrize("length", [1, 2, 3, 4, 7])
def test_equals_numpy_for_pads_of_any_width(mode, length):
    x = np.random.default_rng(length).normal(size=(2, length, 3))
    for left in range(0, 20):
        for right in (0, 1, 2, 3, 5, 8, 13, 21):
            if mode == "reflect" and max(left, right) >= length and np.__version__.startswith("1."):
                continue  # NumPy 1 turned round at the wrong places
            expected = np.pad(x, ((0, 0), (left, right), (0, 0)), **NUMPY_MODES[mode])
            assert_same_bits(pad1d(x, (left, right), **options(mode)), expected)


@both_dtypes
@all_modes
@given(batch=packed_rows(), left=pads, right=pads, seed=st.integers(0, 99))
def test_gradient_equals_the_reference(dtype, mode, batch, left, right, seed):
    rows, offsets = batch[0].astype(dtype), batch[1]
    out, out_offsets = pad1d(rows, (left, right), offsets=offsets, **options(mode))
    d_out = np.random.default_rng(seed).normal(size=out.shape).astype(dtype)
    d_x = pad1d_backward(d_out, rows, (left, right), offsets=offsets, **options(mode))
    expected = [
        reference.pad1d_backward(d_text, left, length, mode)
        for d_text, length in zip(texts_of(d_out, out_offsets), np.diff(offsets), strict=True)
    ]
    assert_close(d_x, joined(expected, rows.shape[1], dtype))


@all_modes
@pytest.mark.parametrize("length", [1, 2, 3, 6])
@pytest.mark.parametrize("padding", [(0, 0), (1, 0), (0, 1), (2, 2), (9, 14)])
def test_gradient_is_the_transpose(mode, length, padding):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3, length, 2)), rng.normal(size=(3, length + sum(padding), 2))
    assert_adjoint(
        lambda x: pad1d(x, padding, padding_mode=mode, padding_value=0.0),
        lambda y: pad1d_backward(y, x, padding, padding_mode=mode),
        x,
        y,
    )


@all_modes
def test_gradient_is_a_central_difference(mode):
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(1, 4, 2)), rng.normal(size=(1, 16, 2))
    gradient = pad1d_backward(weights, x, (5, 7), **options(mode))
    assert_gradient(gradient, lambda x: np.vdot(pad1d(x, (5, 7), **options(mode)), weights), x)


@both_dtypes
@all_modes
def test_threads_and_batch_change_no_bit(dtype, mode):
    # More than a team is started for; one text far longer than a piece.
    rows, offsets = random_rows([3000, 0, 1, 200, 2, 9], 130)
    rows = rows.astype(dtype)
    padding = (700, 900)

    def forward(rows, offsets, n_jobs=2):
        return pad1d(rows, padding, offsets=offsets, n_jobs=n_jobs, **options(mode))

    assert_same_alone(forward, rows, offsets)
    assert_same_on_any_number_of_threads(lambda n_jobs: forward(rows, offsets, n_jobs)[0])
    padded, padded_offsets = forward(rows, offsets)

    def backward(d_rows, rows, offsets, n_jobs=2):
        return pad1d_backward(d_rows, rows, padding, offsets=offsets, n_jobs=n_jobs, **options(mode))

    assert_same_on_any_number_of_threads(lambda n_jobs: backward(padded, rows, offsets, n_jobs))
    whole = backward(padded, rows, offsets)
    for text, d_text, expected in zip(
        texts_of(rows, offsets), texts_of(padded, padded_offsets), texts_of(whole, offsets), strict=True
    ):
        assert_same_bits(backward(d_text, text, np.array([0, len(text)])), expected)


@all_modes
def test_a_dense_batch_is_a_packed_one_of_equal_lengths(mode):
    x = np.random.default_rng(0).normal(size=(4, 5, 3))
    dense = pad1d(x, (3, 1), **options(mode))
    rows, offsets = pad1d(x.reshape(20, 3), (3, 1), offsets=np.arange(5) * 5, **options(mode))
    assert_same_bits(dense, rows.reshape(4, 9, 3))
    assert_array_equal(offsets, np.arange(5) * 9)


@all_modes
def test_empty_texts_and_empty_batches(mode):
    fill = 2.5 if mode == "constant" else 0.0
    assert_array_equal(pad1d(np.zeros((2, 0, 3)), (1, 2), **options(mode)), np.full((2, 3, 3), fill))
    assert pad1d(np.zeros((0, 4, 3)), 2, **options(mode)).shape == (0, 8, 3)
    assert pad1d(np.zeros((2, 4, 0)), 2, **options(mode)).shape == (2, 8, 0)
    d_x = pad1d_backward(np.ones((2, 3, 3)), np.zeros((2, 0, 3)), (1, 2), **options(mode))
    assert d_x.shape == (2, 0, 3)


def test_the_input_is_not_changed_and_the_result_is_new():
    x = read_only(np.ones((1, 3, 2), np.float32))
    out = pad1d(x, 0)
    assert_same_bits(out, x)
    assert not np.shares_memory(out, x)


def test_integers_and_mixed_precision_become_float64():
    assert pad1d([[[1], [2]]], 1).dtype == np.float64
    assert pad1d_backward(np.ones((1, 4, 1)), np.ones((1, 2, 1), np.float32), 1).dtype == np.float64


@pytest.mark.parametrize(
    ("padding", "error"),
    [
        (-1, ValueError),
        ((1, -1), ValueError),
        ((1, 2, 3), ValueError),
        ("same", ValueError),
        (1.5, ValueError),
        ((1.5, 1), TypeError),
        (None, ValueError),
        (2**40, ValueError),
    ],
)
def test_bad_padding_is_refused(padding, error):
    with pytest.raises(error, match="padding is"):
        pad1d(np.zeros((1, 3, 2)), padding)


def test_bad_modes_and_values_are_refused():
    x = np.zeros((1, 3, 2))
    with pytest.raises(ValueError, match="padding_mode is 'edge'"):
        pad1d(x, 1, padding_mode="edge")
    with pytest.raises(ValueError, match="only the padding_mode 'constant' takes one"):
        pad1d(x, 1, padding_mode="reflect", padding_value=1.0)
    with pytest.raises(TypeError, match="must be a real number"):
        pad1d(x, 1, padding_mode="constant", padding_value="1")
    with pytest.raises(ValueError, match="d_out has shape"):
        pad1d_backward(np.zeros((1, 3, 2)), x, 1)
    with pytest.raises(TypeError, match="real numbers"):
        pad1d(x * 1j, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": [0, 3, 4]}, "offsets end with 4, but there are 5 rows"),
        ({"offsets": [0, 6, 5]}, "offsets fall from 6 to 5 at text 1"),
        ({"offsets": []}, "offsets must start with 0"),
        ({"out_offsets": [0, 9]}, "windows of 2 texts"),
        ({"out_offsets": [0, 5, 8]}, "offsets end with 8, but there are"),
        ({"kernel_size": 0}, "must be positive"),
        ({"stride": 0}, "must be positive"),
        ({"left": -1}, "must be positive"),
        ({"mode": 7}, "mode is 7"),
        ({"kernel_size": 2}, "4 columns each"),
    ],
)
def test_kernels_check_their_arguments(change, message):
    arguments = {"kernel_size": 1, "stride": 1, "dilation": 1, "left": 1, "mode": 0}
    arrays = {"offsets": [0, 2, 5], "out_offsets": [0, 4, 9]}
    arguments.update({k: v for k, v in change.items() if k in arguments})
    arrays.update({k: v for k, v in change.items() if k in arrays})
    offsets, out_offsets = (np.array(arrays[k], np.intp) for k in ("offsets", "out_offsets"))
    rows, out = np.zeros((5, 2)), np.zeros((9, 2))
    with pytest.raises(ValueError, match=message):
        _windows.im2col(rows, offsets, out_offsets, *arguments.values(), 0.0, out)
    with pytest.raises(ValueError, match=message):
        _windows.col2im(out, out_offsets, offsets, *arguments.values(), rows)
