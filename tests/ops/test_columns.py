"""Windows of texts as the rows of a matrix, and back."""

import numpy as np
import pytest
from checks import assert_adjoint, assert_close, assert_gradient, assert_same_bits, both_dtypes
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

from textcnn._reference import windows as reference
from textcnn.ops import conv1d, conv_output_length
from textcnn.ops.arithmetic import resolve_padding
from textcnn.ops.columns import col2im, col2im_backward, im2col, im2col_backward
from textcnn.ops.padding import PADDING_MODES

paddings = (
    st.sampled_from(["valid", "same", "full"])
    | st.integers(0, 4)
    | st.tuples(st.integers(0, 15), st.integers(0, 15))
)


@st.composite
def windows(draw):
    """Options of `im2col`, and the arguments of the reference that mean the same."""
    kernel_size, stride, dilation = (draw(st.integers(1, 4)) for _ in range(3))
    padding, mode = draw(paddings), draw(st.sampled_from(PADDING_MODES))
    options = {"stride": stride, "dilation": dilation, "padding": padding, "padding_mode": mode}
    left, right = resolve_padding(padding, kernel_size, dilation=dilation)
    return kernel_size, options, (kernel_size, stride, dilation, left, right, mode)


@both_dtypes
@given(batch=packed_rows(), window=windows(), value=st.sampled_from([0.0, 2.5]))
def test_im2col_equals_the_reference(dtype, batch, window, value):
    rows, offsets = batch[0].astype(dtype), batch[1]
    kernel_size, options, arguments = window
    value = value if options["padding_mode"] == "constant" else 0.0
    out, out_offsets = im2col(rows, kernel_size, **options, padding_value=value, offsets=offsets)
    expected = [reference.im2col(text, *arguments, value) for text in texts_of(rows, offsets)]
    assert_same_bits(out, joined(expected, kernel_size * rows.shape[1], dtype))
    assert_array_equal(np.diff(out_offsets), [len(text) for text in expected])


@both_dtypes
@given(batch=packed_rows(), window=windows(), seed=st.integers(0, 99))
def test_col2im_equals_the_reference(dtype, batch, window, seed):
    rows, offsets = batch
    kernel_size, options, arguments = window
    lengths = np.diff(offsets)
    columns_of = {k: v for k, v in options.items() if k != "padding_mode"}
    counts = [conv_output_length(int(length), kernel_size, **columns_of) for length in lengths]
    columns, column_offsets = random_rows(counts, kernel_size * rows.shape[1], seed)
    columns = columns.astype(dtype)
    out = col2im(columns, kernel_size, **options, offsets=offsets)
    expected = [
        reference.col2im(text, length, *arguments)
        for text, length in zip(texts_of(columns, column_offsets), lengths, strict=True)
    ]
    assert_close(out, joined(expected, rows.shape[1], dtype))
    # It is the gradient of im2col.
    assert_same_bits(
        im2col_backward(columns, rows.astype(dtype), kernel_size, **options, offsets=offsets), out
    )


@given(window=windows(), length=st.integers(0, 9), seed=st.integers(0, 99))
def test_each_is_the_transpose_of_the_other(window, length, seed):
    kernel_size, options, _ = window
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, length, 3))
    columns = rng.normal(size=im2col(x, kernel_size, **options).shape)
    to_columns, to_rows = {**options}, {**options, "length": length}
    assert_adjoint(
        lambda x: im2col(x, kernel_size, **to_columns),
        lambda y: im2col_backward(y, x, kernel_size, **to_columns),
        x,
        columns,
    )
    assert_adjoint(
        lambda y: col2im(y, kernel_size, **to_rows),
        lambda x: col2im_backward(x, columns, kernel_size, **to_rows),
        columns,
        x,
    )
    assert_same_bits(col2im_backward(x, columns, kernel_size, **to_rows), im2col(x, kernel_size, **options))


def test_gradients_are_central_differences():
    rng = np.random.default_rng(0)
    options = {"stride": 2, "dilation": 2, "padding": (3, 4), "padding_mode": "reflect"}
    x = rng.normal(size=(1, 5, 2))
    weights = rng.normal(size=im2col(x, 3, **options).shape)
    gradient = im2col_backward(weights, x, 3, **options)
    assert_gradient(gradient, lambda x: np.vdot(im2col(x, 3, **options), weights), x)
    columns = rng.normal(size=weights.shape)
    gradient = col2im_backward(x, columns, 3, length=5, **options)
    assert_gradient(gradient, lambda c: np.vdot(col2im(c, 3, length=5, **options), x), columns)


@given(window=windows(), length=st.integers(0, 9))
def test_a_convolution_is_one_product_with_the_columns(window, length):
    kernel_size, options, _ = window
    rng = np.random.default_rng(length)
    x, weights = rng.normal(size=(2, length, 3)), rng.normal(size=(kernel_size, 3, 4))
    product = im2col(x, kernel_size, **options) @ weights.reshape(-1, 4)
    assert_close(conv1d(x, weights, **options), product, 1e-12)


@both_dtypes
@pytest.mark.parametrize("mode", PADDING_MODES)
def test_threads_and_batch_change_no_bit(dtype, mode):
    rows, offsets = random_rows([5000, 0, 1, 300, 2], 70)
    rows = rows.astype(dtype)
    options = {"stride": 2, "dilation": 3, "padding": (40, 30), "padding_mode": mode}

    def forward(rows, offsets, n_jobs=2):
        return im2col(rows, 3, offsets=offsets, n_jobs=n_jobs, **options)

    assert_same_alone(forward, rows, offsets)
    assert_same_on_any_number_of_threads(lambda n_jobs: forward(rows, offsets, n_jobs)[0])
    columns, column_offsets = forward(rows, offsets)

    def backward(columns, offsets, n_jobs=2):
        return col2im(columns, 3, offsets=offsets, n_jobs=n_jobs, **options)

    assert_same_on_any_number_of_threads(lambda n_jobs: backward(columns, offsets, n_jobs))
    whole = backward(columns, offsets)
    for text, expected in zip(texts_of(columns, column_offsets), texts_of(whole, offsets), strict=True):
        assert_same_bits(backward(text, np.array([0, len(expected)])), expected)


def test_dense_batches_and_degenerate_shapes():
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    rows, offsets = im2col(x.reshape(10, 3), 2, offsets=[0, 5, 10])
    assert_same_bits(im2col(x, 2), rows.reshape(2, 4, 6))
    assert_array_equal(offsets, [0, 4, 8])
    assert im2col(x, 7).shape == (2, 0, 21)  # wider than the text
    assert im2col(x[:0], 2).shape == (0, 4, 6)
    assert im2col(x[:, :0], 2).shape == (2, 0, 6)
    assert im2col(x[:, :, :0], 2).shape == (2, 4, 0)
    assert_array_equal(col2im(np.zeros((2, 0, 21)), 7, length=5), np.zeros((2, 5, 3)))
    assert col2im(np.zeros((0, 4, 6)), 2, length=5).shape == (0, 5, 3)
    assert col2im(np.zeros((2, 4, 0)), 2, length=5).shape == (2, 5, 0)
    assert col2im_backward(np.zeros((2, 5, 3)), np.zeros((2, 0, 21)), 7, length=5).shape == (2, 0, 21)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: im2col(np.zeros((1, 3, 2)), 0), "kernel_size is 0"),
        (lambda: im2col(np.zeros((1, 3, 2)), 2, stride=0), "stride is 0"),
        (lambda: im2col(np.zeros((1, 3, 2)), 2, padding="wide"), "padding is 'wide'"),
        (lambda: im2col(np.zeros((1, 3, 2)), 2, padding_value=1.0), "only the padding_mode 'constant'"),
        (lambda: im2col(np.zeros((3, 2)), 2), "x has shape"),
        (lambda: im2col_backward(np.zeros((1, 3, 4)), np.zeros((1, 3, 2)), 2), "d_out has shape"),
        (lambda: col2im(np.zeros((1, 2, 4)), 2), "exactly one of length and offsets"),
        (lambda: col2im(np.zeros((2, 4)), 2, length=3, offsets=[0, 3]), "exactly one of length and offsets"),
        (lambda: col2im(np.zeros((1, 2, 5)), 2, length=3), "a multiple of 2"),
        (lambda: col2im(np.zeros((1, 3, 4)), 2, length=3), r"expected \(1, 2, 4\)"),
        (lambda: col2im(np.zeros((3, 4)), 2, offsets=[0, 3]), r"expected \(2, 4\)"),
        (lambda: col2im(np.zeros((2, 4)), 2, offsets=[0, 4, 3]), "rise from 0"),
        (lambda: col2im(np.zeros((2, 4)), 2, length=3), "columns has shape"),
        (lambda: col2im_backward(np.zeros((1, 4, 2)), np.zeros((1, 2, 4)), 2, length=3), "d_out has shape"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
