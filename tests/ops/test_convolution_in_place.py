"""Windows multiplied where they lie and blocks of rows that must be gathered give the same sums."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from textcnn.ops import conv1d, conv1d_backward, conv_transpose1d

LENGTHS = (250, 0, 1, 130)  # more rows than a block has, and edges within one
OFFSETS = np.concatenate([[0], np.cumsum(LENGTHS)])


def naive(x, weights, bias, stride, left):
    """One text at a time, one product for each row of the result."""
    kernel_size, results = len(weights), []
    for begin, end in pairwise(OFFSETS):
        padded = np.pad(x[begin:end], ((left, left), (0, 0)))
        for t in range(0, len(padded) - kernel_size + 1, stride):
            results.append(bias + np.einsum("kc,kcf->f", padded[t : t + kernel_size], weights))
    return np.array(results)


@pytest.mark.parametrize("left", [0, 2])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel_size", [1, 4])
def test_blocks_in_place_and_gathered(kernel_size, stride, left):
    rng = np.random.default_rng(0)
    x, bias = rng.standard_normal((OFFSETS[-1], 5)), rng.standard_normal(40)
    weights = rng.standard_normal((kernel_size, 5, 40))
    options = {"stride": stride, "padding": left, "offsets": OFFSETS}
    out, out_offsets = conv1d(x, weights, bias, **options)
    assert_allclose(out, naive(x, weights, bias, stride, left), rtol=1e-10, atol=1e-10)
    # a text alone lies in other blocks
    alone = conv1d(x[np.newaxis, : LENGTHS[0]], weights, bias, stride=stride, padding=left)[0]
    assert_array_equal(alone, out[: out_offsets[1]])

    d_out = rng.standard_normal(out.shape)
    d_x = conv1d_backward(d_out, x, weights, **options)[0]
    assert_allclose(np.vdot(d_x, x), np.vdot(d_out, out - bias), rtol=1e-10)
    d_alone = conv1d_backward(
        d_out[np.newaxis, : out_offsets[1]], x[np.newaxis, : LENGTHS[0]], weights, stride=stride, padding=left
    )[0]
    assert_array_equal(d_alone[0], d_x[: LENGTHS[0]])


def test_half_a_panel_of_channels():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 100, 400)).astype(np.float32)  # deeper than one inner block
    weights = rng.standard_normal((1, 400, 70)).astype(np.float32)
    whole = conv1d(x, weights)
    for n_filters in (1, 3, 4, 5, 8, 9, 16, 17, 32, 33):
        # a column's bits do not depend on the panel that it falls into
        assert_array_equal(conv1d(x, weights[:, :, :n_filters]), whole[:, :, :n_filters])
    assert_allclose(whole[0], x[0] @ weights[0], rtol=1e-4, atol=1e-3)
    transposed = conv_transpose1d(whole, weights)
    assert_array_equal(conv_transpose1d(whole, weights[:, :7]), transposed[:, :, :7])
