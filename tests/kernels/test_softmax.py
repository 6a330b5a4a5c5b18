"""Softmax, its logarithm, and the cross-entropy with its gradient."""

import numpy as np
import pytest
from checks import THREADS, assert_close, assert_gradient, assert_same_bits, both_dtypes, garbage, read_only
from hypothesis import given
from numpy.testing import assert_allclose, assert_array_equal
from strategies import logits_and_targets

from textcnn import _reference as reference
from textcnn._kernels import _softmax

# Relative error of a single exp, log and sum of a few terms.
RTOL = {np.float32: 2e-6, np.float64: 1e-14}


def softmax(logits, n_threads=1):
    out = garbage(logits.shape, logits.dtype)
    _softmax.softmax(logits, out, n_threads)
    return out


def log_softmax(logits, n_threads=1):
    out = garbage(logits.shape, logits.dtype)
    _softmax.log_softmax(logits, out, n_threads)
    return out


def cross_entropy(logits, targets, sample_weight, n_threads=1):
    loss, d_logits = garbage(len(logits), np.float64), garbage(logits.shape, logits.dtype)
    _softmax.softmax_cross_entropy(logits, targets, sample_weight, loss, d_logits, n_threads)
    return loss, d_logits


@both_dtypes
@given(case=logits_and_targets())
def test_softmax_equals_the_reference(dtype, case):
    logits = case[0].astype(dtype)
    out = softmax(logits)
    # Relative to each element, small ones too.
    scale = max(1.0, float(np.abs(logits).max(initial=0)))
    assert_allclose(out, reference.softmax(logits), rtol=RTOL[dtype] * scale)
    assert_allclose(out.sum(axis=1), 1, rtol=RTOL[dtype] * 5)


@both_dtypes
@given(case=logits_and_targets())
def test_log_softmax_equals_the_reference(dtype, case):
    logits = case[0].astype(dtype)
    assert_close(log_softmax(logits), reference.log_softmax(logits), RTOL[dtype])


@both_dtypes
@given(case=logits_and_targets())
def test_cross_entropy_equals_the_reference(dtype, case):
    logits, targets, weights = case[0].astype(dtype), case[1], case[2].astype(dtype)
    loss, d_logits = cross_entropy(logits, targets, weights)
    expected_loss, expected_gradient = reference.softmax_cross_entropy(logits, targets, weights)
    scale = max(1.0, float(np.abs(logits).max(initial=0)))
    assert_close(loss, expected_loss, RTOL[dtype] * scale)
    assert_close(d_logits, expected_gradient, RTOL[dtype] * scale)
    assert (loss >= 0).all()


def test_gradient_is_a_central_difference():
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(5, 6)), rng.integers(0, 6, 5)
    weights = np.array([1.0, 0.5, 2.0, 0.0, 1.5])
    _, d_logits = cross_entropy(logits, targets, weights)
    assert_gradient(d_logits, lambda x: cross_entropy(x, targets, weights)[0].sum(), logits)
    assert_array_equal(d_logits[3], 0)


@both_dtypes
@pytest.mark.parametrize("n_classes", [1, 2, 3, 7, 8, 9, 16, 17, 100, 1001])
def test_any_number_of_classes(dtype, n_classes):
    rng = np.random.default_rng(n_classes)
    logits = rng.normal(size=(3, n_classes)).astype(dtype)
    targets = np.array([0, n_classes - 1, n_classes // 2])
    weights = np.ones(3, dtype)
    assert_allclose(softmax(logits), reference.softmax(logits), rtol=5 * RTOL[dtype])
    assert_close(log_softmax(logits), reference.log_softmax(logits), 5 * RTOL[dtype])
    loss, d_logits = cross_entropy(logits, targets, weights)
    expected_loss, expected_gradient = reference.softmax_cross_entropy(logits, targets, weights)
    # One class has the loss 0, up to the rounding of exp and log.
    assert_allclose(loss, expected_loss, rtol=5 * RTOL[dtype], atol=RTOL[dtype])
    assert_allclose(d_logits, expected_gradient, rtol=5 * RTOL[dtype], atol=RTOL[dtype])


@both_dtypes
def test_large_logits_do_not_overflow(dtype):
    logits = np.array([[1e4, 0, -1e4], [-1e4, -1e4, -1e4], [3e38, 0, 0], [-3e38, -3e38, 0]], dtype)
    third = 1 / 3
    assert_allclose(
        softmax(logits), [[1, 0, 0], [third, third, third], [1, 0, 0], [0, 0, 1]], rtol=1e-6, atol=1e-30
    )
    assert_allclose(log_softmax(logits)[:2], [[0, -1e4, -2e4], [-np.log(3)] * 3], rtol=1e-6, atol=1e-30)
    loss, d_logits = cross_entropy(logits[:2], np.array([2, 0]), np.ones(2, dtype))
    assert_allclose(loss, [2e4, np.log(3)], rtol=1e-6)
    assert_allclose(d_logits, [[1, 0, -1], [third - 1, third, third]], rtol=1e-6, atol=1e-30)


@both_dtypes
def test_a_class_of_minus_infinity_has_probability_zero(dtype):
    logits = np.array([[0, -np.inf, 0] + [-np.inf] * 20], dtype)
    out = softmax(logits)
    assert_allclose(out[0, :3], [0.5, 0, 0.5], atol=1e-30)
    assert_array_equal(out[0, 3:], 0)
    assert_allclose(log_softmax(logits)[0, :3], [-np.log(2), -np.inf, -np.log(2)], rtol=1e-6)


@both_dtypes
@pytest.mark.parametrize("position", [0, 1, 9, 20])
def test_not_a_number_is_not_hidden(dtype, position):
    logits = np.zeros((3, 21), dtype)
    logits[1, position] = np.nan
    for function in (softmax, log_softmax):
        out = function(logits)
        assert np.isnan(out[1]).all()
        assert np.isfinite(out[[0, 2]]).all()
    loss, d_logits = cross_entropy(logits, np.full(3, 5), np.ones(3, dtype))
    assert_array_equal(np.isnan(loss), [False, True, False])
    assert np.isnan(d_logits[1]).all()
    assert np.isfinite(d_logits[[0, 2]]).all()


@both_dtypes
def test_a_row_depends_on_that_row_alone(dtype):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(23, 19)).astype(dtype)
    targets, weights = rng.integers(0, 19, 23), rng.uniform(0, 2, 23).astype(dtype)
    whole = softmax(logits), log_softmax(logits), *cross_entropy(logits, targets, weights)
    for i in range(23):
        row = slice(i, i + 1)
        alone = (
            softmax(logits[row]),
            log_softmax(logits[row]),
            *cross_entropy(logits[row], targets[row], weights[row]),
        )
        for actual, expected in zip(alone, whole, strict=True):
            assert_same_bits(actual, expected[row])


@both_dtypes
def test_bits_do_not_depend_on_threads(dtype):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(1003, 37)).astype(dtype)
    targets, weights = rng.integers(0, 37, 1003), rng.uniform(0, 2, 1003).astype(dtype)

    def everything(n_threads):
        return (
            softmax(logits, n_threads),
            log_softmax(logits, n_threads),
            *cross_entropy(logits, targets, weights, n_threads),
        )

    one = everything(1)
    for n_threads in (*THREADS[1:], 16):
        for actual, expected in zip(everything(n_threads), one, strict=True):
            assert_same_bits(actual, expected)


@both_dtypes
def test_inputs_may_be_read_only(dtype):
    logits = np.random.default_rng(0).normal(size=(4, 5)).astype(dtype)
    targets, weights = np.array([0, 4, 1, 1]), np.ones(4, dtype)
    assert_same_bits(softmax(read_only(logits)), softmax(logits))
    assert_same_bits(log_softmax(read_only(logits)), log_softmax(logits))
    frozen = cross_entropy(read_only(logits), read_only(targets), read_only(weights))
    for actual, expected in zip(frozen, cross_entropy(logits, targets, weights), strict=True):
        assert_same_bits(actual, expected)


@both_dtypes
@pytest.mark.parametrize("shape", [(0, 4), (0, 0), (3, 0)])
def test_sizes_of_zero(dtype, shape):
    logits = np.zeros(shape, dtype)
    assert softmax(logits, n_threads=2).shape == shape
    assert log_softmax(logits, n_threads=2).shape == shape
    if shape[0] == 0:
        loss, _ = cross_entropy(logits, np.zeros(0, np.intp), np.zeros(0, dtype))
        assert loss.shape == (0,)
    else:  # no class can be a target
        with pytest.raises(ValueError, match=r"."):
            cross_entropy(logits, np.zeros(3, np.intp), np.ones(3, dtype))


@both_dtypes
@pytest.mark.parametrize("target", [-1, 5, 6, 2**40, -(2**40)])
def test_target_that_is_no_class_is_refused(dtype, target):
    with pytest.raises(ValueError, match=r"."):
        cross_entropy(np.zeros((3, 5), dtype), np.array([0, target, 1]), np.ones(3, dtype))


@both_dtypes
def test_wrong_shapes_are_refused(dtype):
    logits = np.zeros((3, 5), dtype)
    for shape in [(2, 5), (3, 4), (4, 5), (5, 3)]:
        for function in (_softmax.softmax, _softmax.log_softmax):
            with pytest.raises(ValueError, match=r"."):
                function(logits, np.zeros(shape, dtype), 1)
    right = {
        "targets": np.zeros(3, np.intp),
        "sample_weight": np.ones(3, dtype),
        "loss": np.zeros(3),
        "d_logits": np.zeros((3, 5), dtype),
    }
    for name, wrong in [
        ("targets", np.zeros(2, np.intp)),
        ("targets", np.zeros(4, np.intp)),
        ("sample_weight", np.ones(2, dtype)),
        ("sample_weight", np.ones(4, dtype)),
        ("loss", np.zeros(2)),
        ("loss", np.zeros(4)),
        ("d_logits", np.zeros((3, 4), dtype)),
        ("d_logits", np.zeros((2, 5), dtype)),
    ]:
        with pytest.raises(ValueError, match=r"."):
            _softmax.softmax_cross_entropy(logits, *(right | {name: wrong}).values(), 1)
