"""Lengths, paddings, receptive fields and numbers of parameters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from textcnn.ops import arithmetic
from textcnn.ops.arithmetic import (
    conv_output_length,
    conv_transpose_output_length,
    effective_kernel_size,
    n_parameters,
    receptive_field,
    resolve_padding,
)

small = st.integers(1, 6)
paddings = (
    st.sampled_from(["valid", "same", "full"]) | st.integers(0, 9) | st.tuples(*[st.integers(0, 9)] * 2)
)


@given(kernel_size=small, dilation=small)
def test_effective_kernel_size_counts_the_rows_between_the_outer_taps(kernel_size, dilation):
    taps = [k * dilation for k in range(kernel_size)]
    size = effective_kernel_size(kernel_size, dilation=dilation)
    assert size == taps[-1] - taps[0] + 1
    assert size == kernel_size + (kernel_size - 1) * (dilation - 1)


@given(length=st.integers(0, 30), kernel_size=small, stride=small, dilation=small, padding=paddings)
def test_output_length_counts_the_windows_that_fit(length, kernel_size, stride, dilation, padding):
    left, right = resolve_padding(padding, kernel_size, dilation=dilation)
    last_tap = dilation * (kernel_size - 1)
    starts = [t for t in range(0, length + left + right, stride) if t + last_tap < length + left + right]
    options = {"stride": stride, "dilation": dilation, "padding": padding}
    found = conv_output_length(length, kernel_size, **options)
    assert found == len(starts)
    assert type(found) is int
    lengths = conv_output_length(np.array([length, 0]), kernel_size, **options)
    assert_array_equal(lengths, [found, conv_output_length(0, kernel_size, **options)])
    assert lengths.dtype == np.intp


@given(length=st.integers(0, 30), kernel_size=small, stride=small, dilation=small)
def test_named_paddings(length, kernel_size, stride, dilation):
    options = {"stride": stride, "dilation": dilation}
    size = effective_kernel_size(kernel_size, dilation=dilation)
    assert conv_output_length(length, kernel_size, padding="same", **options) == -(-length // stride)
    assert conv_output_length(length, kernel_size, padding="full", dilation=dilation) == length + size - 1
    assert resolve_padding("valid", kernel_size, dilation=dilation) == (0, 0)
    left, right = resolve_padding("same", kernel_size, dilation=dilation)
    assert left + right == size - 1
    assert right - left in (0, 1)


def test_examples_of_dumoulin_and_visin():
    # Figures 2.1 to 2.7 and 4.1 to 4.7 of arXiv 1603.07285, along one axis: i, k, s, p -> o.
    for i, k, s, p, o in [
        (4, 3, 1, 0, 2),
        (5, 4, 1, 2, 6),
        (5, 3, 1, 1, 5),
        (5, 3, 1, 2, 7),
        (5, 3, 2, 0, 2),
    ]:
        assert conv_output_length(i, k, stride=s, padding=p) == o
        assert conv_transpose_output_length(o, k, stride=s, padding=p) == i
    assert conv_output_length(6, 3, stride=2, padding=1) == 3
    assert conv_transpose_output_length(3, 3, stride=2, padding=1, output_padding=1) == 6
    assert conv_output_length(7, 3, dilation=2) == 3


@given(
    length=st.integers(1, 30),
    kernel_size=small,
    stride=small,
    dilation=small,
    padding=st.tuples(*[st.integers(0, 9)] * 2),
)
def test_transposed_length_leads_back(length, kernel_size, stride, dilation, padding):
    options = {"stride": stride, "dilation": dilation, "padding": padding}
    for extra in range(stride):
        longer = conv_transpose_output_length(length, kernel_size, output_padding=extra, **options)
        unclipped = (length - 1) * stride - sum(padding) + dilation * (kernel_size - 1) + extra + 1
        assert longer == max(0, unclipped)
        if unclipped >= 0:
            assert conv_output_length(longer, kernel_size, **options) == length


@given(layers=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3)), max_size=4))
def test_receptive_field_is_what_an_output_depends_on(layers):
    rows = {0}
    for kernel_size, stride, dilation in reversed(layers):
        rows = {row * stride + k * dilation for row in rows for k in range(kernel_size)}
    assert receptive_field(layers) == max(rows) + 1


def test_receptive_fields_of_dilations_1_2_4():
    layers = [(3, 1, 1), (3, 1, 2), (3, 1, 4)]
    assert [receptive_field(layers[:n]) for n in range(4)] == [1, 3, 7, 15]


def test_parameters_of_a_convolution():
    assert n_parameters(5, 3, 6) == 5 * 3 * 6 + 6
    assert n_parameters(5, 3, 6, bias=False) == 90
    assert n_parameters(3, 8, 4, groups=4) == 3 * 2 * 4 + 4


@pytest.mark.parametrize(
    "call",
    [
        lambda: conv_output_length(-1, 3),
        lambda: conv_output_length(np.array([1, -1]), 3),
        lambda: conv_output_length(5, 0),
        lambda: conv_output_length(5, 3, stride=0),
        lambda: conv_output_length(5, 3, dilation=0),
        lambda: conv_output_length(5, 3, padding="wide"),
        lambda: conv_output_length(5, 3, padding=-1),
        lambda: conv_output_length(5, 3, padding=(1,)),
        lambda: conv_output_length(2**31, 3),
        lambda: effective_kernel_size(2**31 - 1, dilation=2),
        lambda: effective_kernel_size(2**31),
        lambda: conv_transpose_output_length(5, 3, output_padding=-1),
        lambda: receptive_field([(3, 1)]),
        lambda: receptive_field(["abc"]),
        lambda: receptive_field([(3, 0, 1)]),
        lambda: n_parameters(3, 4, 6, groups=4),
        lambda: n_parameters(3, 0, 6),
    ],
)
def test_values_out_of_range_are_refused(call):
    with pytest.raises(ValueError, match=r"must|expected"):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: conv_output_length(5.0, 3),
        lambda: conv_output_length(np.array([5.0]), 3),
        lambda: conv_output_length(5, 3.0),
        lambda: conv_output_length(5, 3, stride=True),
        lambda: receptive_field([(3, 1, 1.0)]),
    ],
)
def test_numbers_that_are_no_integers_are_refused(call):
    with pytest.raises(TypeError, match="integer"):
        call()


def test_public_names():
    assert all(callable(getattr(arithmetic, name)) for name in arithmetic.__all__)


def test_array_of_pads_is_a_pair_and_nothing_else():
    assert arithmetic.resolve_padding(np.array([1, 2]), 3) == (1, 2)
    with pytest.raises(ValueError, match=r"must be an integer\s+or a pair"):
        arithmetic.resolve_padding(np.array([1, 2, 3]), 3)
