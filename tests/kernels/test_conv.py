"""Convolution over embeddings and maximum over time, forward and backward."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from checks import (
    THREADS,
    TOLERANCE,
    assert_close,
    assert_gradient,
    assert_same_bits,
    both_dtypes,
    garbage,
    read_only,
    run_python,
)
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import conv_problem, conv_problems, generators

from textcnn import _reference as reference
from textcnn._kernels import _conv

NO_WINDOW = reference.NO_WINDOW


def forward(problem, n_threads=1):
    shape = problem.n_texts, problem.n_out
    out, argmax = garbage(shape, problem.rows.dtype), garbage(shape, np.int32)
    _conv.conv_max_forward(*problem.forward_arguments, out, argmax, n_threads)
    return out, argmax


def backward(problem, d_out, argmax, weights=None, with_rows=True, n_threads=1):
    """(d_weights, d_bias, d_rows) of the kernel; `weights` if only some of their columns are trained."""
    weights = problem.weights if weights is None else weights
    dtype = problem.rows.dtype
    d_weights = garbage(problem.weights.shape, dtype)
    d_bias = garbage(problem.n_out, dtype)
    d_rows = garbage((len(problem.rows), weights.shape[1]), dtype) if with_rows else None
    _conv.conv_max_backward(
        d_out,
        argmax,
        problem.rows,
        weights,
        *problem.layout,
        d_weights,
        d_bias,
        d_rows,
        n_threads,
    )
    return d_weights, d_bias, d_rows


def gradient_of_out(problem, rng, dtype):
    """Random gradient of the output, a third of it zero."""
    shape = problem.n_texts, problem.n_out
    return (rng.normal(size=shape) * (rng.random(shape) < 2 / 3)).astype(dtype)


def batch_of_many(dtype, relu=True, seed=0):
    """Problem with enough work for several threads, texts of very different lengths among it."""
    lengths = np.random.default_rng(seed).integers(0, 30, 150)
    lengths[[3, 77]] = 0, 400
    problem = conv_problem(
        lengths, [1, 3, 4, 5], "same", n_filters=37, relu=relu, n_dims=21, n_rows=170, rng=seed
    )
    return problem.astype(dtype)


# Forward


@both_dtypes
@given(problem=conv_problems())
def test_forward_equals_the_reference_to_the_bit(dtype, problem):
    # Sums of the same numbers in the same order: there is no rounding to differ in.
    problem = problem.astype(dtype)
    out, _ = forward(problem)
    expected, _ = reference.conv_max_forward(*problem.forward_arguments)
    assert out.dtype == expected.dtype
    assert_array_equal(out, expected)


@both_dtypes
@given(problem=conv_problems())
def test_forward_is_the_maximum_over_padded_windows(dtype, problem):
    problem = problem.astype(dtype)
    out, _ = forward(problem)
    for i in range(problem.n_texts):
        for width in range(len(problem.kernel_sizes)):
            z = problem.window_outputs(i, width)
            best = z.max(axis=0) if len(z) else np.zeros(problem.n_filters, dtype)
            columns = slice(width * problem.n_filters, (width + 1) * problem.n_filters)
            assert_close(
                out[i, columns], best.clip(0) if problem.relu else best, 20 * TOLERANCE[np.dtype(dtype)]
            )


def windows_in_order(problem, i, width):
    """Outputs of every window (n_windows, n_filters), summed as the kernel promises to."""
    left, right = problem.pads[width]
    text = problem.slots[problem.offsets[i] : problem.offsets[i + 1]]
    kernel_size = int(problem.kernel_sizes[width])
    n_filters = problem.n_filters
    start = reference.block_starts(problem.kernel_sizes, n_filters)[width]
    projected = problem.projected
    z = []
    for p in range(reference.n_windows(len(text), kernel_size, left, right)):
        total = problem.bias[width * n_filters : (width + 1) * n_filters].copy()
        for tap in range(kernel_size):
            if 0 <= p - left + tap < len(text):
                columns = slice(start + tap * n_filters, start + (tap + 1) * n_filters)
                total += projected[text[p - left + tap], columns]
        z.append(total)
    return np.array(z, problem.rows.dtype).reshape(-1, n_filters)


@both_dtypes
@given(problem=conv_problems())
def test_argmax_is_the_first_window_that_attains_the_maximum(dtype, problem):
    problem = problem.astype(dtype)
    out, argmax = forward(problem)
    for i in range(problem.n_texts):
        for width, (left, _) in enumerate(problem.pads):
            z = windows_in_order(problem, i, width)
            for f in range(problem.n_filters):
                column = width * problem.n_filters + f
                window = argmax[i, column]
                if window == NO_WINDOW:
                    assert out[i, column] == 0
                    assert len(z) == 0 or (problem.relu and z[:, f].max() <= 0)
                else:
                    assert z[window + left, f] == out[i, column]
                    assert (z[: window + left, f] < out[i, column]).all()
                    assert out[i, column] > 0 or not problem.relu


@both_dtypes
@given(problem=conv_problems(integers=True))
def test_ties_go_to_the_first_window(dtype, problem):
    problem = problem.astype(dtype)
    _, argmax = forward(problem)
    _, expected = reference.conv_max_forward(*problem.forward_arguments)
    assert_array_equal(argmax, expected)


@both_dtypes
@pytest.mark.parametrize("relu", [False, True])
def test_a_text_of_one_repeated_token_ties_everywhere(dtype, relu):
    problem = conv_problem([9, 40], [1, 3], "valid", n_filters=33, relu=relu, n_rows=1, rng=1).astype(dtype)
    out, argmax = forward(problem)
    assert_array_equal(argmax, np.where(out > 0, 0, NO_WINDOW) if relu else 0)


@both_dtypes
@pytest.mark.parametrize("padding", ["valid", "same", "full"])
@pytest.mark.parametrize("first_width", [1, 11, 21, 31, 41])
def test_widths_from_1_to_50(dtype, padding, first_width):
    for width in range(first_width, first_width + 10):
        lengths = [0, 1, max(width - 1, 0), width, width + 1, 55]
        problem = conv_problem(lengths, [width], padding, n_filters=5, relu=False, n_dims=2, rng=width)
        problem = problem.astype(dtype)
        out, argmax = forward(problem)
        expected, expected_argmax = reference.conv_max_forward(*problem.forward_arguments)
        assert_array_equal(out, expected)
        assert_array_equal(argmax, expected_argmax)


@both_dtypes
def test_kernel_wider_than_the_text_leaves_the_taps_outside_out(dtype):
    problem = conv_problem([1], [4], "valid", n_filters=3, relu=False, rng=0).astype(dtype)
    out, argmax = forward(problem)
    token = problem.projected[problem.slots[0]]
    assert_array_equal(out[0], problem.bias + token[:3])
    assert_array_equal(argmax, 0)


@both_dtypes
@pytest.mark.parametrize("n_filters", [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 130])
def test_any_number_of_filters(dtype, n_filters):
    problem = conv_problem([5, 2, 12], [2, 3], "same", n_filters, n_dims=2, rng=n_filters).astype(dtype)
    out, argmax = forward(problem)
    expected, expected_argmax = reference.conv_max_forward(*problem.forward_arguments)
    assert_array_equal(out, expected)
    assert_array_equal(argmax, expected_argmax)


@both_dtypes
@pytest.mark.parametrize("relu", [False, True])
def test_a_text_alone_has_the_bits_it_has_in_a_batch(dtype, relu):
    problem = conv_problem(
        [3, 0, 17, 1, 5, 8, 2], [1, 2, 5], "same", n_filters=21, relu=relu, n_dims=7, n_rows=30, rng=0
    ).astype(dtype)
    out, argmax = forward(problem)
    for i in range(problem.n_texts):
        out_alone, argmax_alone = forward(problem.only([i]))
        assert_same_bits(out_alone[0], out[i])
        assert_same_bits(argmax_alone[0], argmax[i])
    order = [4, 4, 1, 6, 0, 2, 3]
    out_moved, argmax_moved = forward(problem.only(order))
    assert_same_bits(out_moved, out[order])
    assert_same_bits(argmax_moved, argmax[order])


@both_dtypes
@pytest.mark.parametrize("relu", [False, True])
def test_forward_bits_do_not_depend_on_threads(dtype, relu):
    problem = batch_of_many(dtype, relu)
    out, argmax = forward(problem, n_threads=1)
    for n_threads in (*THREADS[1:], 16):
        other_out, other_argmax = forward(problem, n_threads=n_threads)
        assert_same_bits(other_out, out)
        assert_same_bits(other_argmax, argmax)


@both_dtypes
def test_adding_the_bias_after_the_maximum_would_be_the_same(dtype):
    # Integers, so that the sums are exact in any order.
    problem = conv_problem([5, 8, 1], [2, 3], "full", 6, relu=False, rng=0, integers=True).astype(dtype)
    out, argmax = forward(problem)
    without, argmax_without = forward(replace(problem, bias=np.zeros_like(problem.bias)))
    assert_array_equal(out, without + problem.bias)
    assert_array_equal(argmax, argmax_without)


# Backward


@both_dtypes
@given(problem=conv_problems(), rng=generators())
def test_backward_equals_the_reference(dtype, problem, rng):
    problem = problem.astype(dtype)
    _, argmax = forward(problem)
    d_out = gradient_of_out(problem, rng, dtype)
    expected = reference.conv_max_backward(d_out, argmax, problem.rows, problem.weights, *problem.layout)
    for actual, wanted in zip(backward(problem, d_out, argmax), expected, strict=True):
        assert_close(actual, wanted)


@both_dtypes
@pytest.mark.parametrize("n_dims", [1, 2, 7, 8, 9, 15, 16, 17, 33, 64, 100, 131])
def test_backward_with_any_number_of_dimensions(dtype, n_dims):
    problem = conv_problem([5, 2, 12, 0, 1], [2, 3], "same", 6, n_dims=n_dims, rng=n_dims).astype(dtype)
    _, argmax = forward(problem)
    d_out = gradient_of_out(problem, np.random.default_rng(1), dtype)
    expected = reference.conv_max_backward(d_out, argmax, problem.rows, problem.weights, *problem.layout)
    for actual, wanted in zip(backward(problem, d_out, argmax), expected, strict=True):
        assert_close(actual, wanted)


@both_dtypes
def test_backward_of_a_large_batch_equals_the_reference(dtype):
    problem = batch_of_many(dtype)
    _, argmax = forward(problem)
    d_out = gradient_of_out(problem, np.random.default_rng(1), dtype)
    expected = reference.conv_max_backward(d_out, argmax, problem.rows, problem.weights, *problem.layout)
    for actual, wanted in zip(backward(problem, d_out, argmax, n_threads=2), expected, strict=True):
        assert_close(actual, wanted)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("padding", ["valid", "same", "full"])
def test_gradients_are_central_differences(padding, relu):
    problem = conv_problem(
        [4, 0, 1, 9, 2], [1, 2, 3, 6], padding, n_filters=3, relu=relu, n_dims=4, n_rows=8, rng=2
    )
    clear = problem.clear_of_ties()
    assert clear.mean() > 0.7
    d_out = np.random.default_rng(4).normal(size=clear.shape) * clear

    def total(**changed):
        out, _ = forward(replace(problem, **changed))
        return (out * d_out).sum()

    _, argmax = forward(problem)
    d_weights, d_bias, d_rows = backward(problem, d_out, argmax)
    assert_gradient(d_weights, lambda x: total(weights=x), problem.weights)
    assert_gradient(d_bias, lambda x: total(bias=x), problem.bias)
    assert_gradient(d_rows, lambda x: total(rows=x), problem.rows)


@both_dtypes
@given(problem=conv_problems(), rng=generators())
def test_adjoint_with_the_windows_fixed(dtype, problem, rng):
    # Once the windows are chosen the output is linear in the weights (less the bias), and in the rows:
    # <out, d_out> = <weights, d_weights> + <bias, d_bias> = <rows, d_rows> + <bias, d_bias>.
    problem = problem.astype(dtype)
    out, argmax = forward(problem)
    d_out = gradient_of_out(problem, rng, dtype)
    d_weights, d_bias, d_rows = backward(problem, d_out, argmax)

    def inner(x, y):
        return (x.astype(float) * y).sum()

    wanted = inner(out, d_out)
    scale = np.abs(problem.weights).sum() * np.abs(d_out).sum() * np.abs(problem.rows).max() + 1
    tolerance = (1e-13 if dtype == np.float64 else 1e-5) * scale
    assert abs(inner(problem.weights, d_weights) + inner(problem.bias, d_bias) - wanted) <= tolerance
    assert abs(inner(problem.rows, d_rows) + inner(problem.bias, d_bias) - wanted) <= tolerance


@both_dtypes
@given(problem=conv_problems(), rng=generators(), data=st.data())
def test_only_the_last_columns_of_the_weights_are_trained(dtype, problem, rng, data):
    # Multichannel embeddings: the first dimensions are static, and get no gradient.
    problem = problem.astype(dtype)
    n_static = data.draw(st.integers(0, problem.rows.shape[1]))
    _, argmax = forward(problem)
    d_out = gradient_of_out(problem, rng, dtype)
    d_weights, d_bias, d_rows = backward(problem, d_out, argmax)
    part = backward(problem, d_out, argmax, weights=problem.weights[:, n_static:])
    assert_same_bits(part[0], d_weights)
    assert_same_bits(part[1], d_bias)
    assert_close(part[2], np.ascontiguousarray(d_rows[:, n_static:]))


@both_dtypes
@given(problem=conv_problems(), rng=generators())
def test_static_embeddings_need_no_gradient(dtype, problem, rng):
    problem = problem.astype(dtype)
    _, argmax = forward(problem)
    d_out = gradient_of_out(problem, rng, dtype)
    d_weights, d_bias, _ = backward(problem, d_out, argmax)
    without = backward(problem, d_out, argmax, with_rows=False)
    assert_same_bits(without[0], d_weights)
    assert_same_bits(without[1], d_bias)


@both_dtypes
@pytest.mark.parametrize("relu", [False, True])
def test_backward_bits_do_not_depend_on_threads(dtype, relu):
    problem = batch_of_many(dtype, relu)
    _, argmax = forward(problem)
    d_out = gradient_of_out(problem, np.random.default_rng(1), dtype)
    one = backward(problem, d_out, argmax, n_threads=1)
    for n_threads in (*THREADS[1:], 16):
        for actual, expected in zip(backward(problem, d_out, argmax, n_threads=n_threads), one, strict=True):
            assert_same_bits(actual, expected)


@both_dtypes
def test_entries_without_gradient_or_window_are_skipped(dtype):
    problem = conv_problem([4, 3], [2], "valid", n_filters=3, relu=False, n_rows=7, rng=0).astype(dtype)
    # Texts of different tokens, so that the second alone meets the rows that are not numbers.
    problem.slots[:] = [0, 1, 2, 3, 4, 5, 6]
    _, argmax = forward(problem)
    problem.rows[4:] = np.nan
    d_out = np.ones((2, 3), dtype)
    d_out[1, :2] = 0
    argmax[1, 2] = NO_WINDOW
    d_weights, d_bias, d_rows = backward(problem, d_out, argmax)
    assert np.isfinite(d_weights).all()
    assert_array_equal(d_bias, [1, 1, 1])
    assert_array_equal(d_rows[4:], 0)


@both_dtypes
def test_weights_that_are_not_finite_do_not_spread_to_skipped_rows(dtype):
    problem = conv_problem([4], [2], "valid", n_filters=2, relu=False, rng=0).astype(dtype)
    _, argmax = forward(problem)
    problem.weights[1::2] = np.inf  # both taps of the second filter
    d_out = np.array([[1, 0]], dtype)
    _, _, d_rows = backward(problem, d_out, argmax)
    assert np.isfinite(d_rows).all()


@both_dtypes
def test_gradient_of_a_filter_cut_by_the_relu_is_zero(dtype):
    problem = conv_problem([6, 2], [3], "same", n_filters=4, relu=True, rng=0).astype(dtype)
    problem.bias[2] = -1000
    out, argmax = forward(problem)
    assert_array_equal(out[:, 2], 0)
    assert_array_equal(argmax[:, 2], NO_WINDOW)
    d_weights, d_bias, _ = backward(problem, np.ones_like(out), argmax)
    assert d_bias[2] == 0
    assert_array_equal(d_weights[2::4], 0)


# Both


@both_dtypes
def test_inputs_may_be_read_only(dtype):
    problem = conv_problem([3, 1, 6], [2, 3], "same", n_filters=5, n_rows=9, rng=0).astype(dtype)
    out, argmax = forward(problem)
    d_out = np.ones_like(out)
    frozen = replace(
        problem,
        **{
            name: read_only(getattr(problem, name))
            for name in ("rows", "weights", "bias", "slots", "offsets", "kernel_sizes", "pads")
        },
    )
    again = garbage(out.shape, dtype)
    arguments = [read_only(x) if isinstance(x, np.ndarray) else x for x in frozen.forward_arguments]
    _conv.conv_max_forward(*arguments, again, garbage(out.shape, np.int32), 1)
    assert_same_bits(again, out)
    expected = backward(problem, d_out, argmax)
    for actual, wanted in zip(backward(frozen, read_only(d_out), read_only(argmax)), expected, strict=True):
        assert_same_bits(actual, wanted)


@both_dtypes
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("lengths", [[], [0], [0, 0, 0], [0, 3, 0], [1], [1, 1]])
def test_empty_batches_and_texts(dtype, lengths, n_threads):
    problem = conv_problem(lengths, [1, 3], "full", n_filters=4, relu=False, rng=0).astype(dtype)
    out, argmax = forward(problem, n_threads)
    expected, expected_argmax = reference.conv_max_forward(*problem.forward_arguments)
    assert_array_equal(out, expected)
    assert_array_equal(argmax, expected_argmax)
    empty = np.array(lengths, int) == 0
    assert_array_equal(out[empty], 0)
    assert_array_equal(argmax[empty], NO_WINDOW)
    d_out = np.ones_like(out)
    expected = reference.conv_max_backward(d_out, argmax, problem.rows, problem.weights, *problem.layout)
    for actual, wanted in zip(backward(problem, d_out, argmax, n_threads=n_threads), expected, strict=True):
        assert_close(actual, wanted)


@both_dtypes
def test_no_distinct_tokens_and_no_dimensions(dtype):
    problem = conv_problem([0, 0], [2], "valid", n_filters=3, n_rows=0, n_dims=0, rng=0).astype(dtype)
    out, argmax = forward(problem)
    assert_array_equal(out, np.zeros((2, 3)))
    d_weights, d_bias, d_rows = backward(problem, np.ones_like(out), argmax)
    assert d_weights.shape == (6, 0)
    assert d_rows.shape == (0, 0)
    assert_array_equal(d_bias, 0)


@both_dtypes
def test_more_threads_than_texts(dtype):
    problem = conv_problem([3], [2], "valid", n_filters=1, n_dims=1, rng=0).astype(dtype)
    out, argmax = forward(problem, n_threads=1)
    assert_same_bits(forward(problem, n_threads=40)[0], out)
    one = backward(problem, np.ones_like(out), argmax, n_threads=1)
    for actual, expected in zip(backward(problem, np.ones_like(out), argmax, n_threads=40), one, strict=True):
        assert_same_bits(actual, expected)


# Wrong calls: (name of the argument, its wrong value), for a batch of texts of 3, 0 and 4 tokens,
# widths 2 and 3, 5 filters, 9 distinct tokens, 4 dimensions.

N_WEIGHTS = 5 * (2 + 3)

WRONG_LAYOUT = [
    ("slots", np.array([0, 1, 2, 3, 4, 5, 9], np.int32)),
    ("slots", np.array([-1, 1, 2, 3, 4, 5, 6], np.int32)),
    ("slots", np.array([0, 1, 2, 2**31 - 1, 4, 5, 6], np.int32)),
    ("slots", np.array([0, 1, 2, -(2**31), 4, 5, 6], np.int32)),
    ("slots", np.zeros(6, np.int32)),
    ("slots", np.zeros(8, np.int32)),
    ("offsets", np.zeros(0, np.intp)),
    ("offsets", np.array([0, 3, 7], np.intp)),
    ("offsets", np.array([0, 3, 3, 7, 7], np.intp)),
    ("offsets", np.array([0, 3, 3, 8], np.intp)),
    ("offsets", np.array([0, 3, 3, 6], np.intp)),
    ("offsets", np.array([1, 3, 3, 7], np.intp)),
    ("offsets", np.array([-1, 3, 3, 7], np.intp)),
    ("offsets", np.array([0, 5, 3, 7], np.intp)),
    ("offsets", np.array([0, 100, 3, 7], np.intp)),
    ("offsets", np.array([0, -100, 3, 7], np.intp)),
    ("kernel_sizes", np.array([2, 4], np.intp)),
    ("kernel_sizes", np.array([2], np.intp)),
    ("kernel_sizes", np.array([5, 0], np.intp)),
    ("kernel_sizes", np.array([6, -1], np.intp)),
    ("kernel_sizes", np.array([2**62, 5 - 2**62], np.intp)),
    ("pads", np.zeros((1, 2), np.intp)),
    ("pads", np.zeros((3, 2), np.intp)),
    ("pads", np.zeros((2, 1), np.intp)),
    ("pads", np.zeros((2, 3), np.intp)),
    ("pads", np.array([[0, 0], [-1, 0]], np.intp)),
    ("pads", np.array([[0, -1], [0, 0]], np.intp)),
    ("n_filters", 4),
    ("n_filters", 6),
    ("n_filters", -5),
]
WRONG_FORWARD = [
    *WRONG_LAYOUT,
    ("projected", np.zeros((9, N_WEIGHTS - 1))),
    ("projected", np.zeros((9, N_WEIGHTS + 1))),
    ("projected", np.zeros((0, N_WEIGHTS))),
    ("bias", np.zeros(9)),
    ("bias", np.zeros(11)),
    ("out", np.zeros((2, 10))),
    ("out", np.zeros((3, 9))),
    ("out", np.zeros((3, 11))),
    ("argmax", np.zeros((4, 10), np.int32)),
    ("argmax", np.zeros((3, 9), np.int32)),
]
WRONG_BACKWARD = [
    *WRONG_LAYOUT,
    ("d_out", np.zeros((2, 10))),
    ("d_out", np.zeros((3, 9))),
    ("argmax", np.zeros((2, 10), np.int32)),
    ("argmax", np.zeros((3, 11), np.int32)),
    ("rows", np.zeros((8, 4))),
    ("rows", np.zeros((9, 3))),
    ("rows", np.zeros((0, 4))),
    ("weights", np.zeros((N_WEIGHTS - 1, 4))),
    ("weights", np.zeros((N_WEIGHTS + 1, 4))),
    ("weights", np.zeros((N_WEIGHTS, 3))),
    ("d_weights", np.zeros((N_WEIGHTS, 5))),
    ("d_weights", np.zeros((N_WEIGHTS + 1, 4))),
    ("d_bias", np.zeros(9)),
    ("d_bias", np.zeros(11)),
    ("d_rows", np.zeros((8, 4))),
    ("d_rows", np.zeros((10, 4))),
    ("d_rows", np.zeros((9, 5))),
]


def right_arguments():
    """Arguments of both kernels that are right, by name."""
    problem = conv_problem([3, 0, 4], [2, 3], "same", n_filters=5, n_dims=4, n_rows=9, rng=0)
    arguments = {
        name: getattr(problem, name)
        for name in (
            "projected", "bias", "rows", "weights", "slots", "offsets", "kernel_sizes", "pads", "n_filters",
            "relu",
        )
    }  # fmt: skip
    arguments["out"], arguments["argmax"] = forward(problem)
    arguments["d_out"] = np.ones((3, 10))
    arguments["d_weights"], arguments["d_bias"] = np.zeros((N_WEIGHTS, 4)), np.zeros(10)
    arguments["d_rows"] = np.zeros((9, 4))
    return arguments


FORWARD_NAMES = [
    "projected",
    "bias",
    "slots",
    "offsets",
    "kernel_sizes",
    "pads",
    "n_filters",
    "relu",
    "out",
    "argmax",
]
BACKWARD_NAMES = [
    "d_out",
    "argmax",
    "rows",
    "weights",
    "slots",
    "offsets",
    "kernel_sizes",
    "pads",
    "n_filters",
    "d_weights",
    "d_bias",
    "d_rows",
]


def call(kernel, names, **changed):
    arguments = right_arguments() | changed
    kernel(*(arguments[name] for name in names), 1)


@pytest.mark.parametrize(("name", "value"), WRONG_FORWARD)
def test_wrong_forward_arguments_are_refused(name, value):
    with pytest.raises(ValueError, match=r"."):
        call(_conv.conv_max_forward, FORWARD_NAMES, **{name: value})


@pytest.mark.parametrize(("name", "value"), WRONG_BACKWARD)
def test_wrong_backward_arguments_are_refused(name, value):
    with pytest.raises(ValueError, match=r"."):
        call(_conv.conv_max_backward, BACKWARD_NAMES, **{name: value})


def test_the_arguments_next_to_the_wrong_ones_are_right():
    assert call(_conv.conv_max_forward, FORWARD_NAMES) is None
    assert call(_conv.conv_max_backward, BACKWARD_NAMES) is None


def test_backward_of_trained_columns_checks_the_width_of_the_gradient():
    weights = right_arguments()["weights"]
    call(_conv.conv_max_backward, BACKWARD_NAMES, weights=weights[:, 1:], d_rows=np.zeros((9, 3)))
    with pytest.raises(ValueError, match=r"."):
        call(_conv.conv_max_backward, BACKWARD_NAMES, weights=weights[:, 1:], d_rows=np.zeros((9, 4)))


@pytest.mark.parametrize("start", [-(2**31) + 1, -100, -3, 4, 100, 2**31 - 2, 2**31 - 1])
def test_windows_outside_the_text_do_no_harm(start):
    # Either refused, or their taps outside the text are left out like any others.
    arguments = right_arguments()
    argmax = np.full((3, 10), start, np.int32)
    try:
        call(_conv.conv_max_backward, BACKWARD_NAMES, argmax=argmax, d_weights=arguments["d_weights"])
    except ValueError:
        return
    expected = reference.conv_max_backward(
        arguments["d_out"],
        argmax,
        *(arguments[name] for name in BACKWARD_NAMES[2:9]),
    )
    assert_close(arguments["d_weights"], expected[0])


ABSURD_SIZES = """
import numpy as np
from textcnn._kernels._conv import conv_max_forward
n_filters, kernel_size, pad = {n_filters}, {kernel_size}, {pad}
n_weights = n_filters * kernel_size % 2**64
out, argmax = np.zeros((1, n_filters)), np.zeros((1, n_filters), np.int32)
try:
    conv_max_forward(
        np.zeros((1, n_weights)), np.zeros(n_filters), np.zeros(1, np.int32), np.array([0, 1]),
        np.array([kernel_size]), np.array([[pad, pad]]), n_filters, True, out, argmax, 1,
    )
except (ValueError, OverflowError):
    print("refused")
else:
    print("accepted")
"""


def test_sizes_in_range_are_accepted_by_the_same_script():
    finished = run_python("-c", ABSURD_SIZES.format(n_filters=16, kernel_size=2, pad=1), timeout=30)
    assert finished.stdout == "accepted\n", finished.stderr


@pytest.mark.parametrize(
    ("n_filters", "kernel_size", "pad"),
    [(16, 2**60, 0), (64, 2**58, 0), (16, 2, 2**62)],
    ids=["columns", "more columns", "padding"],
)
def test_absurd_sizes_are_refused(n_filters, kernel_size, pad):
    # n_filters * kernel_size is 0 in 64 bits, as many columns as there are: the kernel would read beyond
    # them. Nor may padding make more windows than can be counted.
    code = ABSURD_SIZES.format(n_filters=n_filters, kernel_size=kernel_size, pad=pad)
    finished = run_python("-c", code, timeout=30)
    assert finished.stdout == "refused\n", finished.stderr


NO_THREADS = """
import numpy as np
from textcnn._kernels._conv import conv_max_backward
rng = np.random.default_rng(0)
rows, weights = rng.normal(size=(1000, 50)), rng.normal(size=(1200, 50))
slots, offsets = rng.integers(0, 1000, 6000).astype(np.int32), np.arange(0, 6001, 20)
d_out, argmax = rng.normal(size=(300, 300)), rng.integers(0, 17, (300, 300)).astype(np.int32)
def gradients(n_threads):
    results = np.zeros_like(weights), np.zeros(300), np.zeros_like(rows)
    conv_max_backward(d_out, argmax, rows, weights, slots, offsets, np.array([4, 4, 4]),
                      np.zeros((3, 2), np.intp), 100, *results, n_threads)
    return results
one = gradients(1)
for _ in range(5):
    try:
        other = gradients({n_threads})
    except ValueError:
        continue
    assert all((x == y).all() for x, y in zip(one, other))
"""


@pytest.mark.parametrize("n_threads", [0, -1])
def test_no_threads_do_no_harm(n_threads):
    # Refused, or one thread; never memory that was not asked for.
    finished = run_python("-c", NO_THREADS.format(n_threads=n_threads), timeout=30)
    assert finished.returncode == 0, finished.stderr


@both_dtypes
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("n_filters", [2, 33])
def test_not_a_number_is_not_hidden(dtype, relu, n_filters):
    # When training diverges the loss must show it.
    problem = conv_problem([3, 2], [2], "same", n_filters, relu, rng=0).astype(dtype)
    problem.weights[:] = np.nan
    out, _ = forward(problem)
    assert np.isnan(out).all()


def test_wrong_dtypes_are_refused():
    arguments = right_arguments()
    for changed in (
        {"slots": arguments["slots"].astype(np.int64)},
        {"bias": arguments["bias"].astype(np.float32)},
        {"out": arguments["out"].astype(np.float32)},
        {"argmax": arguments["argmax"].astype(np.int64)},
    ):
        with pytest.raises((ValueError, TypeError)):
            call(_conv.conv_max_forward, FORWARD_NAMES, **changed)


# Projected rows from a cache and from the batch


def cached_case(seed=0, n_cached=6):
    """A float32 problem, and its projected rows in two pieces."""
    problem = conv_problem([4, 0, 1, 25], [1, 3], "same", n_filters=21, n_rows=11, rng=seed).astype(
        np.float32
    )
    return problem, problem.projected[:n_cached].copy(), problem.projected[n_cached:].copy()


def forward_cached(problem, cached, extra, n_threads=1, relu=True):
    out, argmax = (
        garbage((problem.n_texts, problem.n_out), np.float32),
        garbage((problem.n_texts, problem.n_out), np.int32),
    )
    _conv.conv_max_cached(
        cached, extra, problem.slots, problem.bias, *problem.layout[1:], out, argmax, n_threads, relu
    )
    return out, argmax


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("n_cached", [0, 1, 6, 11])
def test_rows_from_the_cache_give_the_bits_of_the_forward_pass(n_cached, relu):
    problem, cached, extra = cached_case(n_cached=n_cached)
    expected = forward(replace(problem, relu=relu))
    for n_threads in THREADS:
        for actual, wanted in zip(
            forward_cached(problem, read_only(cached), read_only(extra), n_threads, relu),
            expected,
            strict=True,
        ):
            assert_same_bits(actual, wanted)


def test_rows_from_the_cache_on_many_threads():
    problem = batch_of_many(np.float32)
    expected = forward(problem)
    for n_threads in THREADS:
        result = forward_cached(problem, problem.projected[:100], problem.projected[100:], n_threads)
        for actual, wanted in zip(result, expected, strict=True):
            assert_same_bits(actual, wanted)


def test_wrong_cached_arguments_are_refused():
    problem, cached, extra = cached_case()
    for wrong_cached, wrong_extra in [
        (cached[:, 1:].copy(), extra),
        (cached, extra[:, 1:].copy()),
        (cached[1:], extra),
        (cached, extra[1:]),
        (cached[:0], extra[:0]),
    ]:
        with pytest.raises(ValueError, match=r"."):
            forward_cached(problem, wrong_cached, wrong_extra)
    for changed in ({"bias": problem.bias[1:]}, {"n_filters": 20}, {"offsets": problem.offsets[:-1]}):
        with pytest.raises(ValueError, match=r"."):
            forward_cached(replace(problem, **changed), cached, extra)


def missing_positions(ids, state):
    missing = garbage(len(ids), np.int32)
    return missing[: _conv.look_up_rows(ids, state, missing)]


def test_rows_are_stored_once_and_found_again():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4, 5)).astype(np.float32)
    cached, state = np.zeros((8, 5), np.float32), np.zeros(8, np.uint8)
    ids = np.array([3, 9, 0, -1], np.int32)  # two of them are beyond the cache
    assert_array_equal(missing_positions(ids, state), [0, 1, 2, 3])
    _conv.store_rows(read_only(ids), read_only(rows), cached, state)
    assert_array_equal(missing_positions(read_only(ids), read_only(state)), [1, 3])
    assert_array_equal(cached[[3, 0]], rows[[0, 2]])
    assert_array_equal(cached[[1, 2, 4, 5, 6, 7]], 0)
    _conv.store_rows(np.array([3], np.int32), np.ones((1, 5), np.float32), cached, state)
    assert_array_equal(cached[3], rows[0])
    assert_array_equal(missing_positions(np.array([3, 7, 3, 0, 7], np.int32), state), [1, 4])


def test_threads_that_store_the_same_rows_leave_whole_ones():
    n_cached, n_columns = 500, 300
    rows = np.repeat(np.arange(n_cached, dtype=np.float32)[:, np.newaxis], n_columns, axis=1)
    for repeat in range(5):
        cached, state = np.zeros((n_cached, n_columns), np.float32), np.zeros(n_cached, np.uint8)

        def store(seed, cached=cached, state=state):
            ids = np.random.default_rng(seed).permutation(n_cached).astype(np.int32)
            _conv.store_rows(ids, rows[ids], cached, state)
            # What is ready for this thread must be whole, whoever stored it.
            absent = ids[missing_positions(ids, state)]
            ready = np.setdiff1d(ids, absent)
            return bool((cached[ready] == rows[ready]).all())

        with ThreadPoolExecutor(3) as pool:
            assert all(pool.map(store, range(10 * repeat, 10 * repeat + 3)))
        assert_array_equal(cached, rows)


def test_wrong_arguments_of_the_cache_are_refused():
    ids, rows = np.array([0, 1], np.int32), np.zeros((2, 5), np.float32)
    cached, state = np.zeros((3, 5), np.float32), np.zeros(3, np.uint8)
    for arguments in [
        (ids, rows[:1], cached, state),
        (ids, rows[:, 1:].copy(), cached, state),
        (ids, rows, cached, state[1:]),
        (ids, rows, cached[1:], state),
    ]:
        with pytest.raises(ValueError, match=r"."):
            _conv.store_rows(*arguments)
    with pytest.raises(ValueError, match=r"."):
        _conv.look_up_rows(ids, state, np.zeros(1, np.int32))
