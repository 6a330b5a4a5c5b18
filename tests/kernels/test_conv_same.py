"""Convolution over projected tokens with one result a token, and its gradient."""

import numpy as np
import pytest
from checks import THREADS, assert_close, assert_gradient, assert_same_bits, both_dtypes, garbage, read_only
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import generators, pack, text_lengths

from textcnn import _reference as reference
from textcnn._kernels import _conv


def problem(lengths, kernel_size=3, n_filters=5, n_rows=6, rng=0, dtype=np.float64):
    """projected, bias, slots, offsets, kernel size."""
    rng = np.random.default_rng(rng)
    batch = pack(lengths, n_rows, rng)
    projected = rng.normal(size=(n_rows, kernel_size * n_filters)).astype(dtype)
    return projected, rng.normal(size=n_filters).astype(dtype), batch.ids, batch.offsets, kernel_size


@st.composite
def problems(draw):
    return problem(
        draw(text_lengths()),
        draw(st.integers(1, 6)),
        draw(st.sampled_from([1, 3, 7, 8, 16, 17, 33, 100])),
        draw(st.integers(1, 9)),
        draw(generators()),
    )


def astype(arguments, dtype):
    projected, bias, *rest = arguments
    return projected.astype(dtype), bias.astype(dtype), *rest


def forward(arguments, relu=False, n_threads=1):
    projected, bias, slots, offsets, kernel_size = arguments
    out = garbage((len(slots), len(bias)), projected.dtype)
    _conv.conv_same_forward(projected, bias, slots, offsets, kernel_size, relu, out, n_threads)
    return out


def backward(d_out, arguments, n_threads=1):
    projected, _, slots, offsets, kernel_size = arguments
    d_projected = garbage(projected.shape, projected.dtype)
    _conv.conv_same_backward(d_out, slots, offsets, kernel_size, d_projected, n_threads)
    return d_projected


def gradient_of(arguments, seed=0):
    projected, bias, slots, *_ = arguments
    return np.random.default_rng(seed).normal(size=(len(slots), len(bias))).astype(projected.dtype)


@both_dtypes
@given(arguments=problems(), relu=st.booleans())
def test_forward_equals_the_reference_to_the_bit(dtype, arguments, relu):
    arguments = astype(arguments, dtype)
    assert_array_equal(forward(arguments, relu), reference.conv_same_forward(*arguments, relu))


@both_dtypes
@given(arguments=problems())
def test_backward_equals_the_reference(dtype, arguments):
    arguments = astype(arguments, dtype)
    d_out = gradient_of(arguments)
    _, _, slots, offsets, kernel_size = arguments
    expected = reference.conv_same_backward(d_out, slots, offsets, kernel_size, len(arguments[0]))
    assert_close(backward(d_out, arguments), expected)


@given(arguments=problems())
def test_backward_is_the_adjoint_of_forward(arguments):
    projected, bias, *rest = arguments
    d_out = gradient_of(arguments)
    out = forward((projected, np.zeros_like(bias), *rest))
    assert (out * d_out).sum() == pytest.approx((projected * backward(d_out, arguments)).sum(), abs=1e-11)


def test_the_projection_of_embeddings_is_the_convolution_over_them():
    rng = np.random.default_rng(0)
    slots, offsets = np.array([2, 0, 1, 2, 2], np.int32), np.array([0, 3, 3, 5])
    rows, weights, bias = rng.normal(size=(3, 4)), rng.normal(size=(3, 4, 6)), rng.normal(size=6)
    projected = np.concatenate([rows @ w for w in weights], axis=1)
    expected = reference.dilated_conv(rows[slots], weights, bias, offsets, 1)
    np.testing.assert_allclose(forward((projected, bias, slots, offsets, 3)), expected, rtol=1e-12)


def test_gradient_is_a_central_difference():
    arguments = problem([4, 0, 1, 3], 4, 3)
    d_out = gradient_of(arguments)
    projected, *rest = arguments
    assert_gradient(backward(d_out, arguments), lambda p: (forward((p, *rest)) * d_out).sum(), projected)


@both_dtypes
def test_any_number_of_threads_gives_the_same_bits(dtype):
    lengths = np.random.default_rng(0).integers(0, 50, 100)
    arguments = problem(lengths, 5, 70, 90, dtype=dtype)
    out, d_projected = forward(arguments, True), backward(gradient_of(arguments), arguments)
    for n_threads in THREADS[1:]:
        assert_same_bits(forward(arguments, True, n_threads), out)
        assert_same_bits(backward(gradient_of(arguments), arguments, n_threads), d_projected)


@both_dtypes
@pytest.mark.parametrize("length", [0, 1, 2, 9])
def test_a_sentence_alone_and_between_two_others_has_the_same_bits(dtype, length):
    projected, bias, slots, offsets, kernel_size = problem([4, length, 3], 5, 9, dtype=dtype)
    alone = np.ascontiguousarray(slots[4 : 4 + length]), np.array([0, length])
    out = forward((projected, bias, slots, offsets, kernel_size))
    assert_same_bits(forward((projected, bias, *alone, kernel_size)), out[4 : 4 + length])


@both_dtypes
def test_read_only_input_and_empty_batches(dtype):
    arguments = problem([3, 2], dtype=dtype)
    frozen = tuple(read_only(a) if isinstance(a, np.ndarray) else a for a in arguments)
    assert_same_bits(forward(frozen), forward(arguments))
    d_out = gradient_of(arguments)
    assert_same_bits(backward(read_only(d_out), frozen), backward(d_out, arguments))
    for lengths in ([], [0, 0]):
        empty = problem(lengths, dtype=dtype)
        assert forward(empty).shape == (0, 5)
        assert_array_equal(backward(gradient_of(empty), empty), 0)


def test_rows_that_no_token_has_get_a_gradient_of_zero():
    arguments = problem([3], n_rows=50)
    unused = np.setdiff1d(np.arange(50), arguments[2])
    assert_array_equal(backward(gradient_of(arguments), arguments)[unused], 0)


@both_dtypes
def test_not_a_number_is_not_hidden_by_the_relu(dtype):
    arguments = problem([3], dtype=dtype)
    arguments[0][arguments[2][1]] = np.nan
    assert np.isnan(forward(arguments, True)[1]).all()


WRONG = [
    {"kernel_size": 2},
    {"kernel_size": 0},
    {"kernel_size": -3},
    {"kernel_size": 2**40},
    {"bias": np.zeros(4)},
    {"bias": np.zeros(0)},
    {"bias": None},
    {"projected": np.zeros((2, 15))},
    {"projected": np.zeros((6, 14))},
    {"projected": np.zeros((6, 15), np.float32)},
    {"projected": None},
    {"slots": np.array([0, 1, 2, 6, 0], np.int32)},
    {"slots": np.array([0, 1, 2, -1, 0], np.int32)},
    {"slots": np.zeros(4, np.int32)},
    {"slots": np.zeros(5, np.int64)},
    {"slots": None},
    {"offsets": np.array([0, 3])},
    {"offsets": np.array([0, 6])},
    {"offsets": np.array([1, 5])},
    {"offsets": np.array([0, 4, 3, 5])},
    {"offsets": np.array([0, -1, 5])},
    {"offsets": np.zeros(0, np.intp)},
    {"offsets": None},
    {"out": np.zeros((4, 5))},
    {"out": np.zeros((5, 4))},
    {"out": np.zeros((5, 5), np.float32)},
    {"out": read_only(np.zeros((5, 5)))},
    {"out": None},
]


@pytest.mark.parametrize("changed", WRONG, ids=lambda changed: next(iter(changed)))
def test_wrong_arguments_are_refused(changed):
    projected, bias, slots, offsets, kernel_size = problem([3, 2])
    good = {
        "projected": projected,
        "bias": bias,
        "slots": slots,
        "offsets": offsets,
        "kernel_size": kernel_size,
        "relu": True,
        "out": np.zeros((5, 5)),
    }
    _conv.conv_same_forward(**good)
    with pytest.raises((ValueError, TypeError), match=r"."):
        _conv.conv_same_forward(**good | changed)
    good = {
        "d_out": good["out"],
        "slots": slots,
        "offsets": offsets,
        "kernel_size": kernel_size,
        "d_projected": projected,
    }
    _conv.conv_same_backward(**good)
    changed = {{"out": "d_out", "projected": "d_projected"}.get(k, k): v for k, v in changed.items()}
    if "bias" in changed or (changed.get("d_out") is not None and not changed["d_out"].flags.writeable):
        return
    with pytest.raises((ValueError, TypeError), match=r"."):
        _conv.conv_same_backward(**good | changed)
