"""Steps of the optimisers, of all rows or of some, and what goes with them."""

import numpy as np
import pytest
from checks import THREADS, assert_close, assert_same_bits, both_dtypes, read_only
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import generators, row_updates

from textcnn import _reference as reference
from textcnn._kernels import _optim

# One rounding or two of each number; the state itself is rounded at every step.
TOLERANCE = {np.float32: 2e-6, np.float64: 1e-14}

ADAM = {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "scale": 1.0, "l2": 0.0}
ADADELTA = {"lr": 1.0, "rho": 0.95, "epsilon": 1e-6, "scale": 1.0, "l2": 0.0}
SGD = {"lr": 0.1, "momentum": 0.9, "nesterov": False, "scale": 1.0, "l2": 0.0}
NESTEROV = SGD | {"nesterov": True}
WITH_SCALE_AND_L2 = {"scale": 0.3, "l2": 0.02}

# Each entry: kernel, reference, number of accumulators as large as the parameter, whether steps are counted,
# and the numbers that follow `rows` in the reference, of which "l2" is the parameter's own.
STEPS = {
    "adam": (_optim.adam_step, reference.adam_step, 2, True, ADAM),
    "adam_scale_l2": (_optim.adam_step, reference.adam_step, 2, True, ADAM | WITH_SCALE_AND_L2),
    "adadelta": (_optim.adadelta_step, reference.adadelta_step, 2, False, ADADELTA),
    "adadelta_scale_l2": (
        _optim.adadelta_step,
        reference.adadelta_step,
        2,
        False,
        ADADELTA | WITH_SCALE_AND_L2,
    ),
    "sgd": (_optim.sgd_step, reference.sgd_step, 1, False, SGD),
    "sgd_plain": (_optim.sgd_step, reference.sgd_step, 1, False, SGD | {"momentum": 0.0}),
    "sgd_scale_l2": (_optim.sgd_step, reference.sgd_step, 1, False, SGD | WITH_SCALE_AND_L2),
    "nesterov": (_optim.sgd_step, reference.sgd_step, 1, False, NESTEROV),
    "nesterov_scale_l2": (_optim.sgd_step, reference.sgd_step, 1, False, NESTEROV | WITH_SCALE_AND_L2),
}
every_step = pytest.mark.parametrize("name", STEPS)


def new_state(name, param, rng=None):
    """Accumulators of one optimiser: zeros, or as after some steps if a generator is given."""
    _, _, n_accumulators, counts, _ = STEPS[name]
    shape, dtype = param.shape, param.dtype
    if rng is None:
        state = [np.zeros(shape, dtype) for _ in range(n_accumulators)]
    else:
        state = [rng.uniform(0.01, 0.1, shape).astype(dtype) for _ in range(n_accumulators)]
        if n_accumulators == 1 or counts:  # velocity and first moment have either sign
            state[0] *= rng.choice([-1, 1], shape).astype(dtype)
    if counts:
        state.append(np.zeros(shape[0], np.int32))
        if rng is not None:
            state[-1] += rng.integers(0, 50, shape[0], dtype=np.int32)
    return state


def step(name, param, grad, state, rows, n_threads=1, **changed):
    """Copies of (param, *state) after one step of the kernel."""
    kernel, numbers = STEPS[name][0], STEPS[name][4] | changed
    param, state = param.copy(), [x.copy() for x in state]
    l2 = numbers.pop("l2")
    kernel([(param, grad, rows, l2, *state)], **numbers, n_threads=n_threads)
    return param, *state


def reference_step(name, param, grad, state, rows):
    _, function, _, _, numbers = STEPS[name]
    return function(param, grad, *state, rows, *numbers.values())


@every_step
@both_dtypes
@given(update=row_updates())
def test_steps_equal_the_reference(name, dtype, update):
    param, grad = update.param.astype(dtype), update.grad.astype(dtype)
    state = new_state(name, param, update.rng)
    expected = reference_step(name, param, grad, state, update.rows)
    for actual, wanted in zip(step(name, param, grad, state, update.rows), expected, strict=True):
        if wanted.dtype == np.int32:
            assert_array_equal(actual, wanted)
        else:
            assert_close(actual, wanted, TOLERANCE[dtype])


@every_step
@both_dtypes
def test_many_steps_from_the_beginning_equal_the_reference(name, dtype):
    rng = np.random.default_rng(0)
    param = rng.normal(size=(4, 19)).astype(dtype)
    ours = theirs = param, *new_state(name, param)
    for _ in range(20):
        grad = rng.normal(size=param.shape).astype(dtype)
        ours = step(name, ours[0], grad, ours[1:], None)
        theirs = reference_step(name, theirs[0], grad, theirs[1:], None)
    for actual, wanted in zip(ours, theirs, strict=True):
        assert_allclose(actual, wanted, rtol=0, atol=50 * TOLERANCE[dtype] * np.abs(wanted).max())


@every_step
@both_dtypes
@pytest.mark.parametrize("n_dims", [1, 3, 4, 7, 8, 9, 15, 16, 17, 33, 300])
def test_any_number_of_dimensions(name, dtype, n_dims):
    rng = np.random.default_rng(n_dims)
    param, grad = rng.normal(size=(2, 5, n_dims)).astype(dtype)
    state = new_state(name, param, rng)
    expected = reference_step(name, param, grad, state, None)
    for actual, wanted in zip(step(name, param, grad, state, None), expected, strict=True):
        assert_allclose(actual, wanted, rtol=0, atol=TOLERANCE[dtype] * np.abs(wanted).max())


@every_step
@both_dtypes
@given(update=row_updates())
def test_rows_that_are_not_named_do_not_change(name, dtype, update):
    param = update.param.astype(dtype)
    state = new_state(name, param, update.rng)
    after = step(name, param, update.grad.astype(dtype), state, update.rows)
    untouched = ~update.touched
    for new, old in zip(after, (param, *state), strict=True):
        assert_same_bits(new[untouched], old[untouched])


@every_step
@both_dtypes
def test_lazy_step_is_the_dense_one_when_every_row_is_named(name, dtype):
    rng = np.random.default_rng(0)
    param, grad = rng.normal(size=(2, 30, 13)).astype(dtype)
    state = new_state(name, param, rng)
    dense = step(name, param, grad, state, None)
    for rows in (np.arange(30, dtype=np.int32), rng.permutation(30).astype(np.int32)):
        lazy = step(name, param, np.ascontiguousarray(grad[rows]), state, rows)
        for actual, wanted in zip(lazy, dense, strict=True):
            assert_same_bits(actual, wanted)


@every_step
@both_dtypes
def test_lazy_steps_of_a_row_are_dense_steps_of_that_row_alone(name, dtype):
    # A row that is touched now and then goes through the steps of a parameter of its own.
    rng = np.random.default_rng(1)
    param = rng.normal(size=(5, 7)).astype(dtype)
    whole = param, *new_state(name, param)
    alone = param[2:3], *new_state(name, param[2:3])
    for _ in range(12):
        rows = np.flatnonzero(rng.random(5) < 0.5).astype(np.int32)
        grad = rng.normal(size=(len(rows), 7)).astype(dtype)
        whole = step(name, whole[0], grad, whole[1:], rows)
        if 2 in rows:
            alone = step(name, alone[0], grad[rows == 2], alone[1:], None)
        for actual, wanted in zip(whole, alone, strict=True):
            assert_same_bits(actual[2:3], wanted)


@every_step
@both_dtypes
@pytest.mark.parametrize("lazy", [False, True])
def test_bits_do_not_depend_on_threads(name, dtype, lazy):
    rng = np.random.default_rng(0)
    param, grad = rng.normal(size=(2, 1501, 400)).astype(dtype)  # enough work for a team of threads
    state = new_state(name, param, rng)
    rows = None
    if lazy:
        rows = rng.permutation(1501)[:1300].astype(np.int32)
        grad = grad[:1300]
    one = step(name, param, grad, state, rows, n_threads=1)
    for n_threads in (*THREADS[1:], 16):
        for actual, expected in zip(step(name, param, grad, state, rows, n_threads), one, strict=True):
            assert_same_bits(actual, expected)


@every_step
@both_dtypes
def test_gradient_and_rows_may_be_read_only(name, dtype):
    rng = np.random.default_rng(0)
    param, grad = rng.normal(size=(2, 4, 5)).astype(dtype)
    rows = np.array([3, 0, 1, 2], np.int32)
    state = new_state(name, param)
    frozen = step(name, param, read_only(grad), state, read_only(rows))
    for actual, expected in zip(frozen, step(name, param, grad, state, rows), strict=True):
        assert_same_bits(actual, expected)


@every_step
@both_dtypes
@pytest.mark.parametrize(("v", "d", "r"), [(0, 3, None), (4, 0, None), (0, 0, None), (4, 3, 0), (0, 3, 0)])
def test_sizes_of_zero(name, dtype, v, d, r):
    param = np.ones((v, d), dtype)
    rows = None if r is None else np.zeros(r, np.int32)
    state = new_state(name, param)
    after = step(name, param, np.zeros((v if r is None else r, d), dtype), state, rows, n_threads=2)
    assert_same_bits(after[0], param)


@every_step
@both_dtypes
def test_zero_gradient_from_the_beginning_changes_nothing(name, dtype):
    param = np.random.default_rng(0).normal(size=(3, 9)).astype(dtype)
    after = step(name, param, np.zeros_like(param), new_state(name, param), None, l2=0.0)
    assert_same_bits(after[0], param)


@every_step
@both_dtypes
def test_not_a_number_in_the_gradient_is_not_hidden(name, dtype):
    param, grad = np.ones((2, 3, 9), dtype)
    grad[1, 4] = np.nan
    after = step(name, param, grad, new_state(name, param), None)
    assert_array_equal(np.isnan(after[0]), np.isnan(grad))


@pytest.mark.parametrize("name", ["adam", "adadelta"])
def test_state_after_the_first_step_is_exact_to_a_few_roundings(name):
    # From zeros the second moment is (1 - beta2) g^2 alone: an error of the factor is one of the result.
    rng = np.random.default_rng(0)
    param, grad = np.zeros((3, 19), np.float32), rng.normal(size=(3, 19)).astype(np.float32)
    changed = {"rho": 0.999} if name == "adadelta" else {}
    _, function, _, _, numbers = STEPS[name]
    state = new_state(name, param)
    expected = function(param, grad, *state, None, *(numbers | changed).values())
    for actual, wanted in zip(step(name, param, grad, state, None, **changed), expected, strict=True):
        assert_allclose(actual, wanted, rtol=2e-6)


@both_dtypes
def test_first_step_of_adam_is_the_learning_rate(dtype):
    grad = np.array([[3.0, -0.2, 1e-3]], dtype)
    param = np.zeros_like(grad)
    after = step("adam", param, grad, new_state("adam", param), None)
    assert_allclose(after[0], -0.01 * np.sign(grad), rtol=2e-5)
    assert_array_equal(after[3], [1])


# Several parameters at once


@every_step
def test_parameters_together_take_the_steps_of_each_alone(name):
    # Of either dtype, of all widths, and whole or by rows, so that threads meet borders of every kind.
    rng = np.random.default_rng(0)
    shapes = [(1, 1), (0, 4), (40, 0), (3, 5), (700, 31), (9, 2000), (1300, 40), (1, 7)]
    kernel, numbers = STEPS[name][0], {key: x for key, x in STEPS[name][4].items() if key != "l2"}
    updates = []
    for dtype in (np.float32, np.float64):
        for i, (v, d) in enumerate(shapes):
            param = rng.normal(size=(v, d)).astype(dtype)
            rows = None if i % 2 else rng.permutation(v)[: v * 2 // 3].astype(np.int32)
            grad = rng.normal(size=(v if rows is None else len(rows), d)).astype(dtype)
            updates.append((param, grad, rows, 0.01 * i, *new_state(name, param, rng)))

    def copies():
        return [tuple(x.copy() if isinstance(x, np.ndarray) else x for x in update) for update in updates]

    alone = copies()
    for update in alone:
        kernel([update], **numbers)
    for n_threads in (*THREADS, 16):
        together = copies()
        kernel(together, **numbers, n_threads=n_threads)
        for ours, expected in zip(together, alone, strict=True):
            assert_same_bits(ours[0], expected[0])
            for state, wanted in zip(ours[4:], expected[4:], strict=True):
                assert_same_bits(state, wanted)


@every_step
@both_dtypes
def test_a_parameter_may_be_some_columns_of_a_wider_array(name, dtype):
    rng = np.random.default_rng(0)
    wide, grad = rng.normal(size=(9, 30)).astype(dtype), rng.normal(size=(9, 13)).astype(dtype)
    kernel, numbers = STEPS[name][0], {key: x for key, x in STEPS[name][4].items() if key != "l2"}
    after, state = wide.copy(), new_state(name, grad, rng)
    expected = step(name, wide[:, 7:20], grad, state, None, l2=0.1)[0]
    kernel([(after[:, 7:20], grad, None, 0.1, *state)], **numbers)
    assert_same_bits(np.ascontiguousarray(after[:, 7:20]), expected)
    assert_array_equal(after[:, :7], wide[:, :7])
    assert_array_equal(after[:, 20:], wide[:, 20:])
    with pytest.raises(ValueError, match="must be adjacent"):
        kernel([(wide[:, :26:2], grad, None, 0.1, *state)], **numbers)


@every_step
def test_nothing_changes_if_one_of_the_parameters_is_refused(name):
    param = np.ones((2, 3))
    good = param.copy(), np.ones((2, 3)), None, 0.0, *new_state(name, param)
    bad = param.copy(), np.ones((2, 4)), None, 0.0, *new_state(name, param)
    kernel, numbers = STEPS[name][0], {key: x for key, x in STEPS[name][4].items() if key != "l2"}
    with pytest.raises(ValueError, match="4 columns, but the parameter has 3"):
        kernel([good, bad], **numbers)
    assert_array_equal(good[0], 1)
    for state in good[4:]:
        assert_array_equal(state, 0)
    with pytest.raises(ValueError, match="state of parameter 1 has"):
        kernel([good, good[:4] + good[5:]], **numbers)
    kernel([], **numbers)


def test_adam_with_one_count_for_all_rows_is_that_with_equal_counts():
    rng = np.random.default_rng(0)
    param, grad = rng.normal(size=(2, 6, 5))
    first, second, counts = new_state("adam", param, rng)
    counts[:] = 11
    counted = step("adam", param, grad, (first, second, counts), None)
    numbers = {key: x for key, x in ADAM.items() if key != "l2"}
    _optim.adam_step([(param, grad, None, 0.0, first, second, 12)], **numbers)
    for actual, expected in zip((param, first, second), counted, strict=False):
        assert_same_bits(actual, expected)
    for n_steps in (0, -1):
        with pytest.raises(ValueError, match="at least 1"):
            _optim.adam_step([(param, grad, None, 0.0, first, second, n_steps)], **numbers)


@both_dtypes
def test_adam_after_a_million_steps(dtype):
    rng = np.random.default_rng(0)
    param, grad = rng.normal(size=(2, 3, 5)).astype(dtype)
    state = new_state("adam", param, rng)
    state[2][:] = 10**6
    expected = reference_step("adam", param, grad, state, None)
    assert_close(step("adam", param, grad, state, None)[0], expected[0], TOLERANCE[dtype])


@every_step
@both_dtypes
@pytest.mark.parametrize(
    ("rows", "grad_shape"),
    [
        (None, (5, 4)),
        (None, (7, 4)),
        (None, (6, 3)),
        (None, (6, 5)),
        ([0, 1, 2], (2, 4)),
        ([0, 1, 2], (4, 4)),
        ([0, 1, 2], (3, 5)),
        ([0, 1, 6], (3, 4)),
        ([0, -1, 2], (3, 4)),
        ([0, 2**31 - 1, 2], (3, 4)),
        ([0, -(2**31), 2], (3, 4)),
    ],
)
def test_wrong_rows_and_gradients_are_refused(name, dtype, rows, grad_shape):
    param = np.ones((6, 4), dtype)
    rows = None if rows is None else np.array(rows, np.int32)
    with pytest.raises(ValueError, match=r"."):
        step(name, param, np.ones(grad_shape, dtype), new_state(name, param), rows)


@every_step
@both_dtypes
def test_state_of_the_wrong_shape_is_refused(name, dtype):
    param = np.ones((6, 4), dtype)
    for position in range(len(new_state(name, param))):
        for wrong in [(5, 4), (7, 4), (6, 3), (6, 5)]:
            state = new_state(name, param)
            if state[position].ndim == 1:
                wrong = (wrong[0] if wrong[0] != 6 else 0,)
            state[position] = np.zeros(wrong, state[position].dtype)
            with pytest.raises(ValueError, match=r"."):
                step(name, param, np.ones((6, 4), dtype), state, None)


# Row norms


def limited(weights, max_norm, n_threads=1):
    weights = weights.copy()
    _optim.limit_row_norms(weights, max_norm, n_threads)
    return weights


@both_dtypes
@given(rng=generators(), n=st.integers(0, 9), c=st.integers(0, 40), max_norm=st.sampled_from([0.5, 3.0, 6.0]))
def test_limit_row_norms_equals_the_reference(dtype, rng, n, c, max_norm):
    weights = rng.normal(size=(n, c)).astype(dtype)
    assert_close(limited(weights, max_norm), reference.limit_row_norms(weights, max_norm), TOLERANCE[dtype])


@both_dtypes
def test_rows_within_the_norm_keep_their_bits(dtype):
    weights = np.array([[0.3, -0.4, 0.0], [0, 0, 0], [3, 4, 12], [0, 0.5, 0]], dtype)
    out = limited(weights, 0.75)
    assert_same_bits(out[[0, 1, 3]], weights[[0, 1, 3]])
    assert_allclose(np.linalg.norm(out[2]), 0.75, rtol=1e-6)
    assert_allclose(out[2], weights[2] * 0.75 / 13, rtol=1e-6)


@both_dtypes
def test_limit_row_norms_bits_do_not_depend_on_threads(dtype):
    weights = np.random.default_rng(0).normal(size=(1001, 400)).astype(dtype)
    one = limited(weights, 20.0, n_threads=1)
    assert 0 < (one != weights).any(axis=1).sum() < 1001
    for n_threads in (*THREADS[1:], 16):
        assert_same_bits(limited(weights, 20.0, n_threads), one)


@both_dtypes
def test_norms_whose_squares_overflow_the_dtype(dtype):
    weights = np.array([[3e30, 4e30], [3e-30, 4e-30]], dtype)
    out = limited(weights, 5.0)
    assert_allclose(out[0], [3, 4], rtol=1e-6)
    assert_same_bits(out[1], weights[1])


@pytest.mark.parametrize("max_norm", [0.0, -1.0, np.nan])
def test_norm_limit_that_is_not_positive_is_refused(max_norm):
    with pytest.raises(ValueError, match=r"."):
        limited(np.ones((2, 3)), max_norm)


@both_dtypes
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_limit_row_norms_of_sizes_of_zero(dtype, shape):
    assert limited(np.zeros(shape, dtype), 1.0, n_threads=2).shape == shape


# Sums of squares


@both_dtypes
@given(rng=generators(), n=st.integers(0, 20), c=st.integers(0, 40))
def test_sum_of_squares_equals_the_reference(dtype, rng, n, c):
    x = rng.normal(size=(n, c)).astype(dtype)
    total = _optim.sum_of_squares([x], 1)
    assert isinstance(total, float)
    # In double whatever the dtype.
    assert_allclose(total, reference.sum_of_squares(x), rtol=1e-13)


@both_dtypes
def test_sum_of_squares_bits_do_not_depend_on_threads(dtype):
    x = np.random.default_rng(0).normal(size=(1001, 401)).astype(dtype)
    one = _optim.sum_of_squares([read_only(x)], 1)
    for n_threads in (*THREADS[1:], 16):
        assert _optim.sum_of_squares([x], n_threads) == one


@both_dtypes
def test_sum_of_squares_adds_rows_in_order(dtype):
    # The sum of the rows so far, then the next row: so a matrix in two pieces gives the same bits as
    # a sum that goes on.
    x = np.random.default_rng(0).normal(size=(40, 9)).astype(dtype)
    rows = [_optim.sum_of_squares([x[i : i + 1]], 1) for i in range(40)]
    total = 0.0
    for square in rows:
        total += square
    assert _optim.sum_of_squares([x], 2) == total


def test_sum_of_squares_of_matrices_of_either_dtype_is_that_of_one_after_another():
    rng = np.random.default_rng(0)
    shapes = ((30, 7), (0, 3), (5, 0), (1, 1), (400, 301))
    matrices = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    matrices += [rng.normal(size=shape) for shape in shapes]
    total = 0.0
    for x in matrices:
        total += _optim.sum_of_squares([x])
    for n_threads in THREADS:
        assert _optim.sum_of_squares(matrices, n_threads) == total
    assert _optim.sum_of_squares([]) == 0


def test_sum_of_squares_does_not_overflow_in_float32():
    x = np.full((3, 5), 1e30, np.float32)
    assert_allclose(_optim.sum_of_squares([x], 1), 15e60, rtol=1e-6)


@both_dtypes
def test_sum_of_squares_of_not_a_number(dtype):
    x = np.ones((3, 17), dtype)
    x[1, 16] = np.nan
    assert np.isnan(_optim.sum_of_squares([x], 1))


@every_step
def test_wrong_dtypes_are_refused(name):
    param = np.ones((3, 4))
    with pytest.raises((ValueError, TypeError)):
        step(name, param, np.ones((3, 4), np.float32), new_state(name, param), None)
    with pytest.raises((ValueError, TypeError)):
        step(name, param, np.ones((3, 4)), new_state(name, param), np.arange(3))
    kernel, numbers = STEPS[name][0], {key: x for key, x in STEPS[name][4].items() if key != "l2"}
    with pytest.raises((ValueError, TypeError)):
        kernel([(read_only(param), np.ones((3, 4)), None, 0.0, *new_state(name, param))], **numbers)
