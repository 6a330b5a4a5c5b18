"""The classic filters in one dimension."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage

from textcnn.ops import conv1d, kernels

LINE = 2.0 * np.arange(12) + 1
sizes = st.integers(1, 30)


def apply(kernel, signal, padding="valid", **options):
    return conv1d(signal.reshape(1, -1, 1), kernel.reshape(-1, 1, 1), padding=padding, **options).ravel()


@given(kernel_size=sizes)
def test_identity_leaves_a_signal(kernel_size):
    assert_array_equal(apply(kernels.identity(kernel_size), LINE, "same"), LINE)


@given(kernel_size=sizes)
def test_blurs_keep_a_constant(kernel_size):
    for kernel in (
        kernels.mean(kernel_size),
        kernels.gaussian(kernel_size),
        kernels.gaussian(kernel_size, sigma=0.01),
    ):
        assert kernel.shape == (kernel_size,)
        assert kernel.dtype == np.float64
        assert kernel.sum() == pytest.approx(1)
        assert (kernel >= 0).all()
        assert_allclose(kernel, kernel[::-1])


def test_mean_is_the_moving_average():
    assert_allclose(apply(kernels.mean(3), LINE), [LINE[t : t + 3].mean() for t in range(10)])


def test_gaussian_is_its_formula():
    d = np.arange(5) - 2
    weights = np.exp(-(d**2) / (2 * 1.5**2))
    assert_allclose(kernels.gaussian(5, sigma=1.5), weights / weights.sum(), rtol=1e-14)
    assert_allclose(kernels.gaussian(4, sigma=1e6), [0.25] * 4)
    # The default deviation of 5 taps is 0.3 (2 - 1) + 0.8.
    assert_array_equal(kernels.gaussian(5), kernels.gaussian(5, sigma=1.1))
    assert_allclose(kernels.gaussian(9, sigma=1e-300), kernels.identity(9))
    # SciPy cuts the filter off at `radius` and normalises it as well.
    signal = np.random.default_rng(0).normal(size=20)
    expected = ndimage.gaussian_filter1d(signal, 1.5, radius=3, mode="nearest")
    assert_allclose(apply(kernels.gaussian(7, sigma=1.5), signal, "same", padding_mode="replicate"), expected)


def test_a_deviation_far_below_a_tap_is_the_identity():
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        for sigma in (1e-3, 1e-200, 5e-324):
            assert_array_equal(kernels.gaussian(5, sigma=sigma), kernels.identity(5))
            assert_array_equal(kernels.gaussian(4, sigma=sigma), [0, 0.5, 0.5, 0])


def test_sharpening_is_the_identity_and_what_a_blur_takes():
    assert_array_equal(kernels.sharpening(), [-1, 3, -1])
    assert_array_equal(kernels.sharpening(), kernels.identity(3) - kernels.laplacian())
    assert_allclose(kernels.sharpening(5), [-1, -1, 5, -1, -1])
    expected = kernels.identity(5) + 0.5 * (kernels.identity(5) - kernels.mean(5))
    assert_allclose(kernels.sharpening(5, amount=0.5), expected)
    assert_allclose(apply(kernels.sharpening(7, amount=2.0), LINE), LINE[3:-3])
    # An edge gets steeper: the rows beside it overshoot.
    assert_array_equal(apply(kernels.sharpening(), np.array([0.0, 0, 0, 1, 1, 1])), [0, -1, 2, 1])


def test_derivatives():
    assert_array_equal(apply(kernels.laplacian(), LINE), np.zeros(10))
    assert_array_equal(apply(kernels.laplacian(), np.arange(6.0) ** 2), [2, 2, 2, 2])
    assert_array_equal(apply(kernels.prewitt(), LINE), np.full(10, 2 * 2.0))
    signal = np.random.default_rng(0).normal(size=20)
    for kernel, function in [
        (kernels.prewitt(), ndimage.prewitt),
        (kernels.sobel(), ndimage.sobel),
        (kernels.laplacian(), ndimage.laplace),
    ]:
        found = apply(kernel, signal, "same", padding_mode="replicate")
        assert_allclose(found, function(signal, mode="nearest"), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("function", [kernels.identity, kernels.mean, kernels.gaussian, kernels.sharpening])
def test_bad_sizes_are_refused(function):
    with pytest.raises(ValueError, match="kernel_size is 0"):
        function(0)
    with pytest.raises(TypeError, match=r"kernel_size is 3\.0"):
        function(3.0)


def test_bad_values_are_refused():
    for sigma in (0, -1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match="sigma is"):
            kernels.gaussian(3, sigma=sigma)
    with pytest.raises(TypeError, match="sigma is"):
        kernels.gaussian(3, sigma="1")
    with pytest.raises(ValueError, match="must be odd"):
        kernels.sharpening(4)
    with pytest.raises(ValueError, match="amount is"):
        kernels.sharpening(3, amount=np.nan)
