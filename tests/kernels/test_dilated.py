"""Dilated convolution through a stack of layers, forward and backward, by minimal filtering or directly."""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest
from checks import (
    DTYPES,
    THREADS,
    assert_gradient,
    assert_same_bits,
    both_dtypes,
    garbage,
    read_only,
)
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import generators, text_lengths

from textcnn import _reference as reference
from textcnn._kernels import _dilated

# Rounding of one layer, relative to the largest element.
LAYER_TOLERANCE = {np.float32: 2e-6, np.float64: 1e-12}

CHANNELS = [1, 5, 17, 33, 100]


@dataclass
class Stack:
    """Layers, their input and the gradients of their outputs; several layers may share their weights."""

    x: np.ndarray
    offsets: np.ndarray
    dilations: tuple
    weights: list
    biases: list
    sets: list
    d_levels: list

    @property
    def kernel_size(self):
        return self.weights[0].shape[0]

    @property
    def n_layers(self):
        return len(self.dilations)

    @property
    def layer_weights(self):
        return [self.weights[k] for k in self.sets]

    @property
    def layer_biases(self):
        return [self.biases[k] for k in self.sets]

    @property
    def tiling(self):
        return _dilated.Tiling(self.offsets, self.dilations, self.kernel_size, self.x.itemsize)

    def astype(self, dtype):
        return replace(
            self,
            x=self.x.astype(dtype),
            weights=[w.astype(dtype) for w in self.weights],
            biases=[b.astype(dtype) for b in self.biases],
            d_levels=[d if d is None else d.astype(dtype) for d in self.d_levels],
        )

    def only(self, sentences):
        """The same with a batch of these sentences alone, and the rows that they had."""
        parts = [np.arange(self.offsets[i], self.offsets[i + 1]) for i in sentences]
        rows = np.concatenate([np.zeros(0, int), *parts])
        offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.intp)
        d_levels = [d if d is None else np.ascontiguousarray(d[rows]) for d in self.d_levels]
        return replace(self, x=np.ascontiguousarray(self.x[rows]), offsets=offsets, d_levels=d_levels), rows


def stack(lengths, dilations, channels=(3, 4), kernel_size=3, shared=False, rng=0):
    """Stack in float64; `channels` are those of each level, or of the first one and all others."""
    rng = np.random.default_rng(rng)
    n_layers = len(dilations)
    if len(channels) != n_layers + 1:
        channels = [channels[0], *[channels[-1]] * n_layers]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
    sets = [0] * n_layers if shared else list(range(n_layers))
    shapes = list(itertools.pairwise(channels))[: 1 if shared else n_layers]
    return Stack(
        x=rng.normal(size=(offsets[-1], channels[0])),
        offsets=offsets,
        dilations=tuple(dilations),
        weights=[rng.normal(size=(kernel_size, c, f)) * (2 / (kernel_size * c)) ** 0.5 for c, f in shapes],
        biases=[rng.normal(size=f) * 0.3 for _, f in shapes],
        sets=sets,
        d_levels=[rng.normal(size=(offsets[-1], f)) for f in channels[1:]],
    )


@st.composite
def stacks(draw):
    n_layers = draw(st.integers(1, 3))
    kernel_size = draw(st.sampled_from([3, 3, 1, 2, 4, 5]))
    shared = draw(st.booleans())
    sizes = st.sampled_from([1, 2, 4, 7, 9, 16, 17, 20])
    size = draw(sizes)
    channels = [size] * (n_layers + 1) if shared else [draw(sizes) for _ in range(n_layers + 1)]
    problem = stack(
        draw(text_lengths(5, 14)),
        draw(st.lists(st.integers(1, 5), min_size=n_layers, max_size=n_layers)),
        channels,
        kernel_size,
        shared,
        draw(generators()),
    )
    for layer in range(n_layers):
        if draw(st.booleans()):
            problem.d_levels[layer] = None
    return problem


def packed(problem, transposed=False, n_threads=1):
    filters = []
    for weights in problem.weights:
        panels = garbage(_dilated.filters_size(weights, transposed), weights.dtype)
        _dilated.pack_filters(weights, panels, transposed, n_threads)
        filters.append(panels)
    return [filters[k] for k in problem.sets]


def empty_levels(problem):
    n_rows = len(problem.x)
    return [garbage((n_rows, w.shape[2]), problem.x.dtype) for w in problem.layer_weights]


def forward(problem, n_threads=1, levels=None):
    levels = empty_levels(problem) if levels is None else levels
    _dilated.conv_stack_forward(
        problem.tiling, problem.x, levels, packed(problem, False, n_threads), problem.layer_biases, n_threads
    )
    return levels


def backward(problem, levels, gate=False, n_threads=1):
    deltas, d_x = empty_levels(problem), garbage(problem.x.shape, problem.x.dtype)
    _dilated.conv_stack_backward(
        problem.tiling, problem.x, levels, problem.d_levels, packed(problem, True, n_threads), deltas, d_x,
        gate, n_threads,
    )  # fmt: skip
    return deltas, d_x


def weight_gradients(problem, levels, deltas, n_threads=1):
    d_weights = [garbage(w.shape, w.dtype) for w in problem.weights]
    d_biases = [garbage(b.shape, b.dtype) for b in problem.biases]
    _dilated.conv_stack_weight_gradients(
        problem.tiling, problem.x, levels, deltas, problem.sets, d_weights, d_biases, n_threads
    )
    return d_weights, d_biases


def everything(problem, n_threads=1, gate=False):
    """All results of forward and backward passes as one list."""
    levels = forward(problem, n_threads)
    deltas, d_x = backward(problem, levels, gate, n_threads)
    d_weights, d_biases = weight_gradients(problem, levels, deltas, n_threads)
    return [*levels, *deltas, d_x, *d_weights, *d_biases]


def assert_near(actual, expected, tolerance):
    """Equal but for rounding, relative to the largest element."""
    assert actual.shape == expected.shape
    assert_allclose(actual, expected, rtol=0, atol=tolerance * max(1e-3, np.abs(expected).max(initial=0)))


def assert_equals_the_reference(problem, gate=False):
    """Layer by layer, so that errors of the layers before do not count, nor ReLUs that they turn."""
    dtype = problem.x.dtype.type
    tolerance = LAYER_TOLERANCE[dtype]
    levels = forward(problem)
    assert all(level.dtype == dtype for level in levels)
    for layer, level in enumerate(levels):
        before = levels[layer - 1] if layer else problem.x
        (expected,) = reference.conv_stack_forward(
            before, [problem.layer_weights[layer]], [problem.layer_biases[layer]], problem.offsets,
            problem.dilations[layer : layer + 1],
        )  # fmt: skip
        assert_near(level, expected, tolerance)
    deltas, d_x = backward(problem, levels, gate)
    for layer in range(problem.n_layers - 1, -1, -1):
        # The gradient of the level before, by this layer's delta alone.
        before = levels[layer - 1] if layer else problem.x
        other = np.ones_like(levels[layer])
        (_, d_before) = reference.conv_stack_backward(
            before, [other], [deltas[layer]], [problem.layer_weights[layer]], problem.offsets,
            problem.dilations[layer : layer + 1],
        )  # fmt: skip
        if layer:
            added = problem.d_levels[layer - 1]
            d_before = np.where(before > 0, d_before if added is None else d_before + added, 0)
            assert_near(deltas[layer - 1], d_before, tolerance)
        else:
            assert_near(d_x, np.where(before > 0, d_before, 0) if gate else d_before, tolerance)
    top = problem.d_levels[-1]
    assert_array_equal(deltas[-1], 0 if top is None else np.where(levels[-1] > 0, top, 0))
    actual = weight_gradients(problem, levels, deltas)
    expected = reference.conv_stack_weight_gradients(
        problem.x, levels, deltas, problem.sets, problem.kernel_size, problem.offsets, problem.dilations
    )
    for some, wanted in zip(actual, expected, strict=True):
        for array, right in zip(some, wanted, strict=True):
            assert_near(array, right, 2 * tolerance)


# Equal to the reference


@both_dtypes
@given(problem=stacks(), gate=st.booleans())
def test_every_pass_equals_the_reference(dtype, problem, gate):
    assert_equals_the_reference(problem.astype(dtype), gate)


@given(problem=stacks())
def test_the_whole_stack_equals_the_reference(problem):
    levels = forward(problem)
    expected = reference.conv_stack_forward(
        problem.x, problem.layer_weights, problem.layer_biases, problem.offsets, problem.dilations
    )
    for level, wanted in zip(levels, expected, strict=True):
        assert_near(level, wanted, 1e-12)
    deltas, d_x = backward(problem, levels)
    expected, expected_d_x = reference.conv_stack_backward(
        problem.x, levels, problem.d_levels, problem.layer_weights, problem.offsets, problem.dilations
    )
    for delta, wanted in zip([*deltas, d_x], [*expected, expected_d_x], strict=True):
        assert_near(delta, wanted, 1e-12)


@both_dtypes
@pytest.mark.parametrize("dilation", [1, 2, 4])
@pytest.mark.parametrize("length", range(1, 10))
def test_short_sentences(dtype, dilation, length):
    assert_equals_the_reference(stack([length], [dilation] * 2, (5, 6), rng=length).astype(dtype))


@both_dtypes
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5])
@pytest.mark.parametrize("dilation", [1, 2, 4])
def test_kernel_widths(dtype, kernel_size, dilation):
    problem = stack([7, 1, 0, 12, 2], [dilation] * 2, (4, 9), kernel_size, rng=kernel_size)
    assert_equals_the_reference(problem.astype(dtype))


@both_dtypes
@pytest.mark.parametrize("n_in", CHANNELS)
@pytest.mark.parametrize("n_out", CHANNELS)
def test_channels_that_are_no_multiple_of_a_vector(dtype, n_in, n_out):
    assert_equals_the_reference(stack([9, 4], [2], (n_in, n_out), rng=n_in).astype(dtype))


@both_dtypes
@pytest.mark.parametrize("channels", [(3, 40, 1, 17), (33, 5, 64, 2), (1, 1, 1, 1)])
def test_channels_that_change_between_the_layers(dtype, channels):
    assert_equals_the_reference(stack([11, 3], [1, 2, 1], channels, rng=1).astype(dtype), gate=True)


@both_dtypes
@pytest.mark.parametrize("shared", [False, True])
def test_more_tiles_than_a_block_and_than_a_sum_hold(dtype, shared):
    # 1,100 tiles of float32 are two inner sums of the weight gradient.
    problem = stack([4500, 10, 300], [1, 3], (2, 2), shared=shared, rng=2).astype(dtype)
    levels = forward(problem)
    deltas, _ = backward(problem, levels)
    expected = reference.conv_stack_forward(
        problem.x, problem.layer_weights, problem.layer_biases, problem.offsets, problem.dilations
    )
    assert_near(levels[1], expected[1], 4 * LAYER_TOLERANCE[dtype])
    actual = weight_gradients(problem, levels, deltas)
    wanted = reference.conv_stack_weight_gradients(
        problem.x, levels, deltas, problem.sets, 3, problem.offsets, problem.dilations
    )
    for some, right in zip([*actual[0], *actual[1]], [*wanted[0], *wanted[1]], strict=True):
        # Thousands of terms: errors grow with the root of their number.
        assert_near(some, right, 30 * LAYER_TOLERANCE[dtype])


@pytest.mark.parametrize("dilation", [5, 100, 2**28])
def test_dilations_wider_than_the_sentence_see_the_middle_tap_alone(dilation):
    problem = stack([5, 2], [dilation], (3, 4), rng=0)
    (level,) = forward(problem)
    assert_near(level, np.maximum(problem.x @ problem.weights[0][1] + problem.biases[0], 0), 1e-12)


def test_thirteen_layers_in_single_precision_keep_six_digits():
    problem = stack([40, 7, 33], [1, 2, 4] * 4 + [1], (64, 64), rng=3)
    exact, rounded = forward(problem), forward(problem.astype(np.float32))
    assert_near(rounded[-1], exact[-1], 1e-5)


# Minimal filtering


def test_the_matrices_of_minimal_filtering_make_a_convolution():
    # (A' diag(G[:, j]) B')[i, r] is 1 where r = i + j, for every tap j.
    for j in range(3):
        product = reference.FILTER_OUTPUT @ np.diag(reference.FILTER_WEIGHTS[:, j]) @ reference.FILTER_INPUT
        assert_allclose(product, np.eye(4, 6, j), atol=1e-14)


@given(lengths=text_lengths(4, 14), dilation=st.integers(1, 5), rng=generators())
def test_the_reference_in_tiles_is_the_convolution(lengths, dilation, rng):
    problem = stack(lengths, [dilation], (3, 2), rng=rng)
    arguments = problem.x, problem.weights[0], problem.biases[0], problem.offsets, dilation
    assert_allclose(
        reference.dilated_conv_in_tiles(*arguments), reference.dilated_conv(*arguments), rtol=0, atol=1e-12
    )
    expected, _ = reference.conv_stack_weight_gradients(
        problem.x, problem.d_levels, problem.d_levels, [0], 3, problem.offsets, [dilation]
    )
    in_tiles = reference.weight_gradient_in_tiles(problem.x, problem.d_levels[0], problem.offsets, dilation)
    assert_allclose(in_tiles, expected[0], rtol=0, atol=1e-11)


@given(lengths=text_lengths(4, 14), dilation=st.integers(1, 5))
def test_every_row_is_the_result_of_one_tile(lengths, dilation):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
    results = [
        first + i * dilation
        for first, _, end in reference.tiles(offsets, dilation)
        for i in range(4)
        if first + i * dilation < end
    ]
    assert sorted(results) == list(range(offsets[-1]))


def test_filters_in_panels_are_the_transformed_weights():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(3, 2, 3)).astype(np.float32)
    expected = np.einsum("pj,jcf->pcf", reference.FILTER_WEIGHTS, weights.astype(float))
    flipped = np.einsum("pj,jcf->pfc", reference.FILTER_WEIGHTS, weights[::-1].astype(float))
    for transposed, wanted in ((False, expected), (True, flipped)):
        panels = garbage(_dilated.filters_size(weights, transposed), np.float32)
        _dilated.pack_filters(weights, panels, transposed)
        width = len(panels) // (6 * wanted.shape[1])
        found = panels.reshape(6, wanted.shape[1], width)
        assert_allclose(found[:, :, : wanted.shape[2]], wanted, rtol=1e-6, atol=1e-7)
        assert_array_equal(found[:, :, wanted.shape[2] :], 0)


# Rows do not depend on their neighbours


@both_dtypes
@pytest.mark.parametrize("length", [*range(10), 300])
def test_a_sentence_alone_and_between_two_others_has_the_same_bits(dtype, length):
    problem = stack([6, length, 9], [1, 2, 4], (5, 20), rng=length).astype(dtype)
    alone, rows = problem.only([1])
    levels, levels_alone = forward(problem), forward(alone)
    for level, other in zip(levels, levels_alone, strict=True):
        assert_same_bits(other, level[rows])
    results, results_alone = backward(problem, levels), backward(alone, levels_alone)
    for delta, other in zip([*results[0], results[1]], [*results_alone[0], results_alone[1]], strict=True):
        assert_same_bits(other, delta[rows])


@both_dtypes
def test_a_permuted_batch_has_the_same_rows(dtype):
    lengths = np.random.default_rng(0).integers(0, 40, 60)
    problem = stack(lengths, [1, 1, 2], (17, 17), rng=1).astype(dtype)
    permuted, rows = problem.only(np.random.default_rng(1).permutation(60))
    levels, others = forward(problem), forward(permuted)
    for level, other in zip(levels, others, strict=True):
        assert_same_bits(other, level[rows])
    results, others = backward(problem, levels), backward(permuted, others)
    for delta, other in zip([*results[0], results[1]], [*others[0], others[1]], strict=True):
        assert_same_bits(other, delta[rows])


@both_dtypes
@pytest.mark.parametrize("kernel_size", [2, 3])
def test_any_number_of_threads_gives_the_same_bits(dtype, kernel_size):
    lengths = np.random.default_rng(0).integers(0, 60, 80)
    problem = stack(lengths, [1, 2, 1, 2], (20, 33), kernel_size, rng=1)
    problem = replace(
        problem, weights=problem.weights[:2], biases=problem.biases[:2], sets=[0, 1, 1, 1]
    ).astype(dtype)
    assert problem.tiling.n_pieces > 3
    expected = everything(problem)
    for n_threads in THREADS[1:]:
        for array, other in zip(everything(problem, n_threads), expected, strict=True):
            assert_same_bits(array, other)


@both_dtypes
@pytest.mark.parametrize("kept", [[3], [0, 3], [1, 2], [0, 1, 2], []])
def test_levels_that_nobody_keeps_change_nothing(dtype, kept):
    lengths = [300, 2, 0, 290, 5, 8, 400]
    problem = stack(lengths, [1, 2, 4, 1], (6, 10, 3, 21, 5), rng=1).astype(dtype)
    expected = forward(problem)
    levels = [level if i in kept else None for i, level in enumerate(empty_levels(problem))]
    for n_threads in THREADS:
        forward(problem, n_threads, levels)
        for i in kept:
            assert_same_bits(levels[i], expected[i])


@both_dtypes
def test_levels_may_be_columns_of_a_wider_array(dtype):
    problem = stack([5, 0, 30, 1], [1, 2], (4, 9), rng=1).astype(dtype)
    expected = everything(problem)
    wide = garbage((36, 40), dtype)
    levels = [wide[:, 3:12], wide[:, 20:29]]
    forward(problem, levels=levels)
    untouched = np.delete(wide, [*range(3, 12), *range(20, 29)], axis=1)
    assert np.isnan(untouched).all()
    columns = garbage((36, 60), dtype)
    strided = replace(
        problem,
        x=columns[:, 1:5],
        d_levels=[columns[:, 10:19], columns[:, 30:39]],
    )
    for view, values in zip([strided.x, *strided.d_levels], [problem.x, *problem.d_levels], strict=True):
        view[...] = values
    for array, other in zip(
        [*forward(strided), *(level.copy() for level in levels)], [*expected[:2], *expected[:2]], strict=True
    ):
        assert_same_bits(array, other)
    deltas = [wide[:, 12:21][:, :9], wide[:, 29:38]]
    levels = [level.copy() for level in levels]
    d_x = columns[:, 50:54]
    _dilated.conv_stack_backward(
        strided.tiling, strided.x, levels, strided.d_levels, packed(strided, True), deltas, d_x
    )
    d_weights, d_biases = weight_gradients(strided, levels, deltas)
    for array, other in zip([*deltas, d_x, *d_weights, *d_biases], expected[2:], strict=True):
        assert_same_bits(np.ascontiguousarray(array), other)


@both_dtypes
def test_read_only_input(dtype):
    problem = stack([4, 7], [1, 2], (3, 5), rng=1).astype(dtype)
    expected = everything(problem)
    frozen = replace(
        problem,
        x=read_only(problem.x),
        weights=[read_only(w) for w in problem.weights],
        biases=[read_only(b) for b in problem.biases],
        d_levels=[read_only(d) for d in problem.d_levels],
        offsets=read_only(problem.offsets),
    )
    levels = [read_only(level) for level in forward(frozen)]
    deltas, d_x = backward(frozen, levels)
    gradients = weight_gradients(frozen, levels, [read_only(delta) for delta in deltas])
    for array, other in zip([*levels, *deltas, d_x, *gradients[0], *gradients[1]], expected, strict=True):
        assert_same_bits(array, other)


@both_dtypes
@pytest.mark.parametrize("lengths", [[], [0], [0, 0, 0]])
def test_batches_without_tokens(dtype, lengths):
    problem = stack(lengths, [1, 2], (3, 5)).astype(dtype)
    *rows, w0, w1, b0, b1 = everything(problem)
    assert all(len(array) == 0 for array in rows)
    for gradient in (w0, w1, b0, b1):
        assert_array_equal(gradient, 0)


@both_dtypes
def test_one_token_sees_the_middle_tap(dtype):
    problem = stack([1], [1], (3, 4), rng=4).astype(dtype)
    (level,) = forward(problem)
    expected = np.maximum(problem.x.astype(float) @ problem.weights[0][1] + problem.biases[0], 0)
    assert_near(level, expected, LAYER_TOLERANCE[dtype])


def test_a_stack_without_layers_does_nothing():
    problem = stack([3], [1], (2, 2))
    tiling = _dilated.Tiling(problem.offsets, (), 3, 8)
    assert _dilated.conv_stack_forward(tiling, problem.x, [], [], []) is None
    with pytest.raises(ValueError, match="at least one layer"):
        _dilated.conv_stack_backward(tiling, problem.x, [], [], [], [], problem.x)


@both_dtypes
def test_not_a_number_is_not_hidden(dtype):
    problem = stack([6, 6], [1, 2], (3, 5), rng=1).astype(dtype)
    clean = forward(problem)
    problem.x[8, 1] = np.nan
    levels = forward(problem)
    for level, other in zip(levels, clean, strict=True):
        assert np.isnan(level[8]).all()
        assert_same_bits(level[:6], other[:6])


# Gradients


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5])
@pytest.mark.parametrize("shared", [False, True])
def test_gradients_are_central_differences(kernel_size, shared):
    problem = stack([5, 1, 0, 6], [1, 2, 1], (3, 3), kernel_size, shared, rng=5)
    problem.d_levels[1] = None

    def loss(**changed):
        levels = forward(replace(problem, **changed))
        return sum(
            (level * d).sum() for level, d in zip(levels, problem.d_levels, strict=True) if d is not None
        )

    levels = forward(problem)
    # No activation so near to 0 that a difference could cross it.
    zs = [
        reference.dilated_conv(x, w, b, problem.offsets, d)
        for x, w, b, d in zip(
            [problem.x, *levels], problem.layer_weights, problem.layer_biases, problem.dilations, strict=False
        )
    ]
    step = min(1e-3, min(np.abs(z).min() for z in zs) / 50)
    assert step > 1e-6
    deltas, d_x = backward(problem, levels)
    d_weights, d_biases = weight_gradients(problem, levels, deltas)
    assert_gradient(d_x, lambda x: loss(x=x), problem.x, step)
    for k in range(len(problem.weights)):

        def with_weights(w, k=k):
            return loss(weights=[*problem.weights[:k], w, *problem.weights[k + 1 :]])

        def with_bias(b, k=k):
            return loss(biases=[*problem.biases[:k], b, *problem.biases[k + 1 :]])

        assert_gradient(d_weights[k], with_weights, problem.weights[k], step)
        assert_gradient(d_biases[k], with_bias, problem.biases[k], step)


def test_with_a_gate_the_gradient_is_that_before_the_relu_of_the_input():
    problem = stack([5, 3], [1, 2], (4, 4), rng=5)
    levels = forward(problem)
    deltas, d_x = backward(problem, levels)
    gated, gated_d_x = backward(problem, levels, gate=True)
    assert_same_bits(gated[0], deltas[0])
    assert_array_equal(gated_d_x, np.where(problem.x > 0, d_x, 0))


@both_dtypes
@pytest.mark.parametrize("dilations", [(1,), (3,), (1, 2, 4)])
def test_backward_is_the_adjoint_of_the_linear_part(dtype, dilations):
    # Biases so large that every ReLU is open: the stack is then affine, A x + b.
    problem = stack([9, 1, 14], dilations, (5, 8), rng=6).astype(dtype)
    problem = replace(problem, biases=[bias + 10 ** (i + 1) for i, bias in enumerate(problem.biases)])
    levels = forward(problem)
    assert min(level.min() for level in levels) > 0
    zero = forward(replace(problem, x=np.zeros_like(problem.x)))
    problem.d_levels[:-1] = [None] * (len(dilations) - 1)
    _, d_x = backward(problem, levels)
    left = ((levels[-1].astype(float) - zero[-1]) * problem.d_levels[-1]).sum()
    right = (problem.x.astype(float) * d_x).sum()
    # The linear part is a difference of results up to some thousands.
    tolerance = float(50 * np.finfo(dtype).eps * np.abs(levels[-1]).max())
    assert abs(right) > 10 * tolerance
    assert left == pytest.approx(right, abs=tolerance)


def test_no_gradient_of_the_input_is_asked_for():
    problem = stack([5, 3], [1, 2], (4, 4), rng=5)
    levels, deltas = forward(problem), empty_levels(problem)
    _dilated.conv_stack_backward(
        problem.tiling, problem.x, levels, problem.d_levels, packed(problem, True), deltas
    )
    for delta, expected in zip(deltas, backward(problem, levels)[0], strict=True):
        assert_same_bits(delta, expected)


# Wrong arguments


@pytest.mark.parametrize(
    ("offsets", "dilations", "kernel_size", "dtype_size"),
    [
        ([], (1,), 3, 4),
        ([1, 2], (1,), 3, 4),
        ([0, 3, 2], (1,), 3, 4),
        ([0, -1], (1,), 3, 4),
        ([0, 3], (0,), 3, 4),
        ([0, 3], (1, -2), 3, 4),
        ([0, 3], (2**28 + 1,), 3, 4),
        ([0, 3], (2**70,), 3, 4),
        ([0, 3], (1.5,), 3, 4),
        ([0, 3], ("1",), 3, 4),
        ([0, 3], (None,), 3, 4),
        ([0, 3], 1, 3, 4),
        ([0, 3], (1,), 0, 4),
        ([0, 3], (1,), -3, 4),
        ([0, 3], (1,), 2**62, 4),
        ([0, 3], (1,), 3, 2),
        ([0, 3], (1,), 3, 0),
    ],
)
def test_tiling_refuses_wrong_arguments(offsets, dilations, kernel_size, dtype_size):
    with pytest.raises((ValueError, TypeError, OverflowError, BufferError), match=r"."):
        _dilated.Tiling(np.array(offsets, np.intp), dilations, kernel_size, dtype_size)


def test_tiling_refuses_other_offsets():
    for offsets in (
        None,
        [0, 3],
        np.array([0, 3], np.int32),
        np.array([[0, 3]], np.intp),
        np.array([0.0, 3]),
    ):
        with pytest.raises((ValueError, TypeError), match=r"."):
            _dilated.Tiling(offsets, (1,), 3, 4)


def wrong_arrays(array):
    """Arrays that do not fit where this one does."""
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    packed_rows = np.zeros(array.shape[0] + 9, np.dtype([("a", "u1"), ("b", array.dtype, array.shape[1:])]))
    other = np.float64 if array.dtype == np.float32 else np.float32
    return [
        array[:-1],
        np.concatenate([array, array]),
        array[..., :-1],
        array[..., :0],
        array.astype(other),
        array.astype(int),
        array[np.newaxis],
        array[0],
        wide[..., ::2],
        packed_rows["b"][: len(array)],
        "text",
        7,
        [],
        array.tolist(),
    ]


def calls(dtype):
    """Each function with good arguments by name."""
    problem = stack([5, 3], [1, 2], (4, 4), rng=5).astype(dtype)
    levels = forward(problem)
    deltas, d_x = backward(problem, levels)
    common = {"tiling": problem.tiling, "x": problem.x, "levels": levels}
    return {
        "conv_stack_forward": {**common, "panels": packed(problem), "biases": problem.layer_biases},
        "conv_stack_backward": {
            **common, "d_levels": problem.d_levels, "panels": packed(problem, True), "deltas": deltas,
            "d_x": d_x,
        },
        "conv_stack_weight_gradients": {
            **common, "deltas": deltas, "sets": [0, 1], "d_weights": problem.weights,
            "d_biases": problem.biases,
        },
    }  # fmt: skip


MAY_BE_NONE = {("conv_stack_forward", "levels"), ("conv_stack_backward", "d_levels")}


@both_dtypes
@pytest.mark.parametrize("name", ["conv_stack_forward", "conv_stack_backward", "conv_stack_weight_gradients"])
def test_wrong_arguments_are_refused(dtype, name):
    function, good = getattr(_dilated, name), calls(dtype)[name]
    function(**good)

    def assert_refused(**changed):
        with pytest.raises((ValueError, TypeError, OverflowError, BufferError), match=r"."):
            function(**good | changed)

    for argument, value in good.items():
        if argument == "tiling":
            for tiling in (None, 3, "tiling"):
                assert_refused(tiling=tiling)
        elif argument == "sets":
            for sets in ([0], [0, 1, 1], [0, 0], [1, 2], [0, -1], [0, 2**70], [0, None], ["a", "b"], None):
                assert_refused(sets=sets)
        elif isinstance(value, list):
            for wrong in (None, [], value[:1], [*value, value[0]], tuple(value), "ab", {0: value[0]}):
                assert_refused(**{argument: wrong})
            for place in range(len(value)):
                for item in wrong_arrays(value[place]):
                    changed = list(value)
                    changed[place] = item
                    assert_refused(**{argument: changed})
                if (name, argument) not in MAY_BE_NONE:
                    assert_refused(**{argument: [None if i == place else v for i, v in enumerate(value)]})
        else:
            for item in wrong_arrays(value):
                assert_refused(**{argument: item})
    assert_refused(x=None)


@pytest.mark.parametrize("name", ["conv_stack_forward", "conv_stack_backward", "conv_stack_weight_gradients"])
def test_tilings_of_another_batch_dtype_or_depth_are_refused(name):
    function, good = getattr(_dilated, name), calls(np.float32)[name]
    for offsets, dilations, kernel_size, dtype_size in (
        ([0, 5, 9], (1, 2), 3, 4),
        ([0, 5], (1, 2), 3, 4),
        ([0], (1, 2), 3, 4),
        ([0, 5, 8], (1, 2), 3, 8),
        ([0, 5, 8], (1, 2), 2, 4),
        ([0, 5, 8], (1, 2), 5, 4),
        ([0, 5, 8], (1, 2, 4), 3, 4),
        ([0, 5, 8], (1,), 3, 4),
        ([0, 5, 8], (), 3, 4),
    ):
        tiling = _dilated.Tiling(np.array(offsets, np.intp), dilations, kernel_size, dtype_size)
        with pytest.raises(ValueError, match=r"."):
            function(**good | {"tiling": tiling})


@pytest.mark.parametrize("name", ["conv_stack_forward", "conv_stack_backward", "conv_stack_weight_gradients"])
def test_results_must_be_writable(name):
    function, good = getattr(_dilated, name), calls(np.float32)[name]
    for argument in {
        "conv_stack_forward": ["levels"],
        "conv_stack_backward": ["deltas"],
        "conv_stack_weight_gradients": ["d_weights", "d_biases"],
    }[name]:
        with pytest.raises(ValueError, match="read-only"):
            function(**good | {argument: [read_only(array) for array in good[argument]]})


@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_channels_are_refused(dtype):
    x, empty = np.zeros((3, 0), dtype), np.zeros(0, dtype)
    tiling = _dilated.Tiling(np.array([0, 3]), (1,), 3, x.itemsize)
    with pytest.raises(ValueError, match="at least 1"):
        _dilated.conv_stack_forward(tiling, x, [None], [empty], [np.zeros(4, dtype)])
    with pytest.raises(ValueError, match="at least 1"):
        _dilated.conv_stack_forward(tiling, np.zeros((3, 4), dtype), [None], [empty], [empty])


@both_dtypes
@pytest.mark.parametrize("size", [-1, 1])
def test_packing_refuses_panels_of_another_size(dtype, size):
    weights = np.zeros((3, 4, 5), dtype)
    for transposed in (False, True):
        n = _dilated.filters_size(weights, transposed)
        with pytest.raises(ValueError, match="panels must have"):
            _dilated.pack_filters(weights, np.zeros(n + size, dtype), transposed)
