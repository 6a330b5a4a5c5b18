"""First values of weights."""

import numpy as np
import pytest
from checks import assert_same_bits, both_dtypes

from textcnn.ops import initializers
from textcnn.ops.initializers import constant, glorot_normal, glorot_uniform, he_normal, he_uniform, uniform

SHAPES = [((300, 500), 300, 500), ((5, 60, 400), 300, 2000)]

with_fans = pytest.mark.parametrize(("shape", "fan_in", "fan_out"), SHAPES)
RANDOM = [glorot_uniform, glorot_normal, he_uniform, he_normal, uniform]


@with_fans
def test_variances_are_those_of_the_papers(shape, fan_in, fan_out):
    variances = {
        glorot_uniform: 2 / (fan_in + fan_out),
        glorot_normal: 2 / (fan_in + fan_out),
        he_uniform: 2 / fan_in,
        he_normal: 2 / fan_in,
    }
    for function, variance in variances.items():
        weights = function(shape, random_state=0, dtype=np.float64)
        # Four standard errors of the variance and of the mean of so many normal numbers.
        assert weights.var() == pytest.approx(variance, rel=4 * np.sqrt(2 / weights.size))
        assert abs(weights.mean()) < 4 * np.sqrt(variance / weights.size)


def test_a_channel_of_a_group_goes_to_the_channels_of_its_group():
    shape, groups = (5, 60, 400), 4  # 240 channels in, of which each goes to 100 of the 400
    for function in (glorot_uniform, glorot_normal):
        weights = function(shape, groups=groups, random_state=0, dtype=np.float64)
        assert weights.var() == pytest.approx(2 / (5 * 60 + 5 * 100), rel=4 * np.sqrt(2 / weights.size))


def test_groups_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="groups is 3, but the shape is"):
        glorot_uniform((3, 4, 8), groups=3)
    with pytest.raises(ValueError, match="groups are those of a convolution"):
        glorot_normal((4, 8), groups=2)


def test_what_float32_cannot_hold_is_refused():
    with pytest.raises(
        ValueError, match=r"value holds 1e\+39, but float32 holds numbers up to 3.403e\+38 only"
    ):
        constant((3,), value=1e39)
    with pytest.raises(ValueError, match="a bound holds -1e\\+39"):
        uniform((3,), low=-1e39)
    assert_same_bits(constant((1,), value=1e39, dtype=np.float64), np.array([1e39]))


@with_fans
def test_uniform_values_fill_their_interval(shape, fan_in, fan_out):
    for function, bound in [
        (glorot_uniform, np.sqrt(6 / (fan_in + fan_out))),
        (he_uniform, np.sqrt(6 / fan_in)),
        (uniform, 0.05),
    ]:
        weights = function(shape, random_state=0, dtype=np.float64)
        assert weights.min() == pytest.approx(-bound, rel=1e-3)
        assert weights.max() == pytest.approx(bound, rel=1e-3)
        assert np.abs(weights).max() <= bound


@both_dtypes
@pytest.mark.parametrize("function", RANDOM)
def test_a_seed_fixes_the_weights(function, dtype):
    weights = function((3, 4, 5), random_state=7, dtype=dtype)
    assert weights.dtype == dtype
    assert weights.shape == (3, 4, 5)
    assert_same_bits(function((3, 4, 5), random_state=7, dtype=dtype), weights)
    assert_same_bits(function((3, 4, 5), random_state=np.random.default_rng(7), dtype=dtype), weights)
    assert (function((3, 4, 5), random_state=8, dtype=dtype) != weights).any()
    assert (function((3, 4, 5), dtype=dtype) != weights).any()
    state = np.random.RandomState(7)
    first, second = (function((3, 4, 5), random_state=state, dtype=dtype) for _ in range(2))
    assert (first != second).any()


def test_constant_and_uniform_take_any_number_of_axes():
    assert_same_bits(constant((2, 3, 4, 5), value=0.5), np.full((2, 3, 4, 5), 0.5, np.float32))
    assert_same_bits(constant((3,), dtype=np.float64), np.zeros(3))
    assert uniform((7,), low=2.0, high=3.0, random_state=0).min() >= 2
    assert_same_bits(uniform((3,), low=1, high=1), np.ones(3, np.float32))


@pytest.mark.parametrize("function", [glorot_uniform, glorot_normal, he_uniform, he_normal])
def test_empty_weights(function):
    assert function((0, 5)).shape == (0, 5)
    assert function((3, 0, 0)).shape == (3, 0, 0)


@pytest.mark.parametrize("function", [glorot_uniform, glorot_normal, he_uniform, he_normal])
def test_bad_arguments_are_refused(function):
    for shape in [(3,), (2, 3, 4, 5), ()]:
        with pytest.raises(ValueError, match="expected \\(in, out\\)"):
            function(shape)
    with pytest.raises(TypeError, match="a tuple of integers"):
        function(3)
    with pytest.raises(TypeError, match="an axis of the shape"):
        function((3, 4.0))
    with pytest.raises(ValueError, match="an axis of the shape is -1"):
        function((3, -1))
    with pytest.raises(ValueError, match="dtype is int64"):
        function((3, 4), dtype=np.int64)


def test_bad_values_are_refused():
    with pytest.raises(ValueError, match="low must not be above high"):
        uniform((3,), low=1, high=0)
    with pytest.raises(ValueError, match="nor the distance infinite"):
        uniform((3,), low=-1e308, high=1e308)
    with pytest.raises(ValueError, match="high is an integer that no float can hold"):
        uniform((3,), high=10**400)
    with pytest.raises(ValueError, match="value is nan"):
        constant((3,), value=np.nan)
    with pytest.raises(TypeError, match="value is '1'"):
        constant((3,), value="1")


def test_public_names():
    assert all(callable(getattr(initializers, name)) for name in initializers.__all__)
