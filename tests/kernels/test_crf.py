"""Linear-chain CRF: loss and gradients, best paths, marginals, probabilities of segments.

Two oracles: the reference, with recursions on logarithms, and the sum over all paths one by one.
"""

import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import pairwise, product

import numpy as np
import pytest
from checks import (
    DTYPES,
    THREADS,
    assert_close,
    assert_gradient,
    assert_same_bits,
    both_dtypes,
    garbage,
    read_only,
)
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import generators

from textcnn import _reference as reference
from textcnn._kernels import _crf

RTOL = {np.float32: 1e-6, np.float64: 1e-10}


def arrays(record):
    """Fields of a dataclass, themselves and not copies as by `dataclasses.astuple`."""
    return tuple(vars(record).values())


@dataclass
class Model:
    """Emissions of a packed batch, and the parameters."""

    emissions: np.ndarray
    transitions: np.ndarray
    start: np.ndarray
    stop: np.ndarray


@dataclass
class Masks:
    """What a path may do: 1 for what is allowed."""

    start: np.ndarray
    transitions: np.ndarray
    stop: np.ndarray


@dataclass
class Problem:
    """A batch with its gold tags and weights."""

    model: Model
    masks: Masks
    tags: np.ndarray
    offsets: np.ndarray
    sample_weight: np.ndarray

    @property
    def n_tags(self):
        return len(self.model.start)

    @property
    def n_sentences(self):
        return max(0, len(self.offsets) - 1)

    @property
    def decoding(self):
        """Arguments of the functions that know masks."""
        return *arrays(self.model), *arrays(self.masks), self.offsets

    def astype(self, dtype):
        return replace(
            self,
            model=Model(*(x.astype(dtype) for x in arrays(self.model))),
            sample_weight=self.sample_weight.astype(dtype),
        )

    def only(self, i):
        """The same with a batch of sentence i alone."""
        tokens = slice(self.offsets[i], self.offsets[i + 1])
        return replace(
            self,
            model=replace(self.model, emissions=self.model.emissions[tokens]),
            tags=self.tags[tokens],
            offsets=np.array([0, tokens.stop - tokens.start], np.intp),
            sample_weight=self.sample_weight[i : i + 1],
        )


def everything_allowed(n_tags):
    return Masks(np.ones(n_tags, np.uint8), np.ones((n_tags, n_tags), np.uint8), np.ones(n_tags, np.uint8))


def random_masks(rng, n_tags, share):
    """Masks that forbid a share of everything but what has to do with one tag: there always is a path."""
    drawn = everything_allowed(n_tags)
    masks = Masks(*((rng.random(x.shape) >= share).astype(np.uint8) for x in arrays(drawn)))
    tag = rng.integers(n_tags)
    masks.start[tag] = masks.transitions[tag, tag] = masks.stop[tag] = 1
    return masks


def problem(lengths, n_tags, rng=0, scale=1.0, share=0.0, emission_scale=None):
    """Problem of random numbers; `rng` is a generator or a seed, `share` of the transitions is forbidden."""
    rng = np.random.default_rng(rng)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
    t = int(offsets[-1])
    model = Model(
        rng.normal(scale=emission_scale or scale, size=(t, n_tags)),
        rng.normal(scale=scale, size=(n_tags, n_tags)),
        rng.normal(scale=scale, size=n_tags),
        rng.normal(scale=scale, size=n_tags),
    )
    tags = rng.integers(0, n_tags, t).astype(np.int32)
    masks = random_masks(rng, n_tags, share) if share else everything_allowed(n_tags)
    return Problem(model, masks, tags, offsets, rng.uniform(0, 2, len(lengths)))


@st.composite
def problems(draw, max_tokens=7, max_tags=11):
    """Problems with parameters and emissions of any size, with masks or without."""
    return problem(
        draw(st.lists(st.integers(0, max_tokens), max_size=5)),
        draw(st.integers(1, max_tags)),
        draw(generators()),
        scale=draw(st.sampled_from([1e-3, 1.0, 30.0, 1e4])),
        share=draw(st.sampled_from([0, 0.4, 0.9])),
        emission_scale=draw(st.sampled_from([1e-3, 1.0, 30.0, 1e4])),
    )


def loss(case, n_threads=1, gradient_dtype=None):
    """loss, d_emissions, d_transitions, d_start, d_stop"""
    model, c = case.model, case.n_tags
    dtype = gradient_dtype or model.emissions.dtype
    out = (
        garbage(case.n_sentences, np.float64),
        garbage(model.emissions.shape, model.emissions.dtype),
        garbage((c, c), dtype),
        garbage(c, dtype),
        garbage(c, dtype),
    )
    _crf.crf_loss(*arrays(model), case.tags, case.offsets, case.sample_weight, *out, n_threads)
    return out


def viterbi(case, n_threads=1):
    tags, scores = garbage(len(case.tags), np.int32), garbage(case.n_sentences, np.float64)
    _crf.crf_viterbi(*case.decoding, tags, scores, n_threads)
    return tags, scores


def marginals(case, n_threads=1):
    out = garbage(case.model.emissions.shape, case.model.emissions.dtype)
    log_z = garbage(case.n_sentences, np.float64)
    _crf.crf_marginals(*case.decoding, out, log_z, n_threads)
    return out, log_z


def path_probabilities(case, segments, n_threads=1):
    probabilities = garbage(len(segments[0]), np.float64)
    _crf.crf_path_probabilities(*case.decoding, *segments, probabilities, n_threads)
    return probabilities


def pack_segments(segments):
    """Arguments for segments (sentence, first, tags, not_next)."""
    lengths = [len(tags) for _, _, tags, _ in segments]
    return (
        np.array([sentence for sentence, _, _, _ in segments], np.intp),
        np.array([first for _, first, _, _ in segments], np.intp),
        np.array([first + len(tags) for _, first, tags, _ in segments], np.intp),
        np.array([tag for _, _, tags, _ in segments for tag in tags], np.int32),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp),
        np.array([not_next for _, _, _, not_next in segments], np.int32),
    )


def random_segments(rng, case, m):
    """Segments anywhere, of random tags, for the sentences that have tokens."""
    lengths = np.diff(case.offsets)
    segments = []
    for sentence in rng.choice(np.flatnonzero(lengths), m) if lengths.any() else []:
        first = rng.integers(lengths[sentence])
        last = rng.integers(first, lengths[sentence]) + 1
        segments.append(
            (sentence, first, rng.integers(0, case.n_tags, last - first), rng.integers(-1, case.n_tags))
        )
    return pack_segments(segments)


def all_paths(case, i):
    """Every allowed path of sentence i with its score."""
    tokens = slice(case.offsets[i], case.offsets[i + 1])
    rows = case.model.emissions[tokens].astype(float)
    found = []
    for path in product(range(case.n_tags), repeat=len(rows)):
        if path and not path_is_allowed(case.masks, path):
            continue
        score = 0.0
        if path:
            score += float(case.model.start[path[0]]) + float(case.model.stop[path[-1]])
        for k, tag in enumerate(path):
            score += rows[k, tag]
            if k > 0:
                score += float(case.model.transitions[path[k - 1], tag])
        found.append((path, score))
    return found


def path_is_allowed(masks, path):
    steps = all(masks.transitions[a, b] for a, b in pairwise(path))
    return bool(masks.start[path[0]] and steps and masks.stop[path[-1]])


def log_sum(scores):
    return np.logaddexp.reduce(np.array(scores))


def magnitude(case):
    """About how large the scores of the longest sentence are, for the rounding of their sums."""
    largest = max(float(np.abs(x).max(initial=0)) for x in arrays(case.model))
    return max(1.0, largest) * max(1, int(np.diff(case.offsets).max(initial=0)))


def assert_tags_allowed(case, tags):
    for i in range(case.n_sentences):
        path = tags[case.offsets[i] : case.offsets[i + 1]]
        assert (path >= 0).all()
        assert (path < case.n_tags).all()
        assert len(path) == 0 or path_is_allowed(case.masks, path)


# Against the oracles


@both_dtypes
@given(case=problems())
def test_loss_equals_the_reference(dtype, case):
    case = case.astype(dtype)
    expected = reference.crf_loss(*arrays(case.model), case.tags, case.offsets, case.sample_weight)
    for gradient_dtype in DTYPES:
        actual = loss(case, gradient_dtype=gradient_dtype)
        rounding = 1e-14 * magnitude(case)
        assert_allclose(actual[0], expected[0], rtol=1e-10, atol=10 * rounding)
        assert (actual[0] >= 0).all()
        assert_allclose(actual[1], expected[1], rtol=RTOL[dtype], atol=RTOL[dtype] + rounding)
        for gradient, right in zip(actual[2:], expected[2:], strict=True):
            assert gradient.dtype == gradient_dtype
            assert_allclose(gradient, right, rtol=RTOL[gradient_dtype], atol=10 * RTOL[gradient_dtype])


@both_dtypes
@given(case=problems())
def test_viterbi_equals_the_reference(dtype, case):
    case = case.astype(dtype)
    for actual, expected in zip(viterbi(case), reference.crf_viterbi(*case.decoding), strict=True):
        assert_same_bits(actual, expected)


@both_dtypes
@given(case=problems())
def test_marginals_equal_the_reference(dtype, case):
    case = case.astype(dtype)
    actual, log_z = marginals(case)
    expected, expected_log_z = reference.crf_marginals(*case.decoding)
    assert_allclose(log_z, expected_log_z, rtol=1e-12, atol=1e-13 * magnitude(case))
    assert_allclose(actual, expected, rtol=RTOL[dtype], atol=1e-10)
    assert_allclose(actual.sum(axis=1), 1, atol=1e-6)
    assert (actual >= 0).all()
    assert (actual <= 1).all()


@both_dtypes
@given(case=problems(), rng=generators())
def test_path_probabilities_equal_the_reference(dtype, case, rng):
    case = case.astype(dtype)
    segments = random_segments(rng, case, 12)
    actual = path_probabilities(case, segments)
    expected = reference.crf_path_probabilities(*case.decoding, *segments)
    assert_allclose(actual, expected, rtol=1e-10 * magnitude(case), atol=1e-10)
    assert (actual >= 0).all()
    assert (actual <= 1).all()


@both_dtypes
@pytest.mark.parametrize("share", [0, 0.4])
@pytest.mark.parametrize(("n_tags", "scale"), [(1, 1), (2, 1), (3, 0.1), (4, 2), (4, 300), (3, 1e4)])
def test_all_paths_one_by_one(dtype, share, n_tags, scale):
    case = problem([0, 1, 2, 3, 4, 5], n_tags, rng=n_tags, scale=scale, share=share).astype(dtype)
    losses = loss(replace(case, sample_weight=np.ones(6, dtype)))[0]
    tags, scores = viterbi(case)
    probabilities, log_z = marginals(case)
    every_path = replace(case, masks=everything_allowed(n_tags))
    for i in range(6):
        tokens = slice(case.offsets[i], case.offsets[i + 1])
        paths = all_paths(case, i)
        assert_allclose(log_z[i], log_sum([score for _, score in paths]), rtol=1e-13, atol=1e-12)
        best_path, best_score = max(paths, key=lambda pair: pair[1])
        assert_array_equal(tags[tokens], best_path)
        assert_allclose(scores[i], best_score, rtol=1e-13)
        expected = np.zeros((i, n_tags))
        for path, score in paths:
            expected[np.arange(i), path] += np.exp(score - log_z[i])
        assert_allclose(probabilities[tokens], expected, rtol=1e-6, atol=1e-7)
        gold = dict(all_paths(every_path, i))
        right = log_sum(list(gold.values())) - gold[tuple(case.tags[tokens])]
        assert_allclose(losses[i], right, rtol=1e-9, atol=1e-12 * scale)


@pytest.mark.parametrize("scale", [1, 1000])
def test_path_probabilities_by_counting_paths(scale):
    case = problem([5, 4], 3, rng=7, scale=scale, share=0.3)
    segments, expected = [], []
    for i, first, length in [(0, 0, 1), (0, 1, 2), (0, 2, 3), (0, 0, 5), (1, 1, 2), (1, 3, 1)]:
        paths = all_paths(case, i)
        log_z = log_sum([score for _, score in paths])
        for tags in product(range(3), repeat=length):
            for not_next in range(-1, 3):
                segments.append((i, first, tags, not_next))
                last = first + length
                expected.append(
                    sum(
                        np.exp(score - log_z)
                        for path, score in paths
                        if path[first:last] == tags and (last == len(path) or path[last] != not_next)
                    )
                )
    assert_allclose(path_probabilities(case, pack_segments(segments)), expected, rtol=1e-9, atol=1e-12)


# Gradients


@pytest.mark.parametrize("scale", [1, 100])
def test_gradients_are_central_differences(scale):
    # With the larger scale the sentences go the way of the logarithms.
    case = problem([3, 1, 0, 4], 3, rng=1, scale=scale)
    case.model.emissions[:] /= scale
    case = replace(case, sample_weight=np.array([1.0, 0.5, 2.0, 1.5]))
    _, d_emissions, d_transitions, d_start, d_stop = loss(case)

    def total(**changed):
        return loss(replace(case, model=replace(case.model, **changed)))[0].sum()

    assert_gradient(d_emissions, lambda x: total(emissions=x), case.model.emissions)
    assert_gradient(d_transitions, lambda x: total(transitions=x), case.model.transitions)
    assert_gradient(d_start, lambda x: total(start=x), case.model.start)
    assert_gradient(d_stop, lambda x: total(stop=x), case.model.stop)


def test_weights_multiply():
    case = problem([3, 1, 4], 3, rng=2)
    case = replace(case, sample_weight=np.array([0.0, 1.0, 2.5]))
    plain = [loss(replace(case.only(i), sample_weight=np.ones(1))) for i in range(3)]
    whole = loss(case)
    assert_allclose(whole[0], [w * out[0][0] for w, out in zip(case.sample_weight, plain, strict=True)])
    for k in (2, 3, 4):
        expected = sum(w * out[k] for w, out in zip(case.sample_weight, plain, strict=True))
        assert_allclose(whole[k], expected, rtol=1e-12, atol=1e-13)
    assert_array_equal(whole[1][:3], 0)
    # d loss / d weight
    weights_gradient = np.array([out[0][0] for out in plain])
    assert_gradient(
        weights_gradient, lambda w: loss(replace(case, sample_weight=w))[0].sum(), case.sample_weight
    )


@pytest.mark.parametrize("share", [0, 0.5])
def test_marginals_are_the_gradient_of_log_z(share):
    case = problem([4, 1, 3], 4, rng=3, share=share)
    out, _ = marginals(case)

    def total(x):
        return marginals(replace(case, model=replace(case.model, emissions=x)))[1].sum()

    assert_gradient(out, total, case.model.emissions)


def test_gold_path_with_a_forbidden_transition_has_a_finite_loss():
    case = problem([4], 3, rng=0)
    case = replace(case, tags=np.array([1, 0, 1, 2], np.int32))
    case.masks.transitions[1, 0] = 0
    assert not path_is_allowed(case.masks, case.tags)
    assert np.isfinite(loss(case)[0]).all()


def test_parameters_may_be_minus_infinity():
    case = problem([4, 1, 300], 3, rng=0)
    case.model.transitions[1, 0] = case.model.start[2] = case.model.stop[1] = -np.inf
    case.tags[:] = 0
    expected = reference.crf_loss(*arrays(case.model), case.tags, case.offsets, case.sample_weight)
    for actual, right in zip(loss(case), expected, strict=True):
        assert np.isfinite(actual).all()
        assert_allclose(actual, right, rtol=1e-9, atol=1e-12)
    assert (viterbi(case)[0].reshape(-1)[[0, 4, 5]] != 2).all()
    case.tags[:2] = 1, 0
    assert_allclose(loss(case)[0], [np.inf, *expected[0][1:]], rtol=1e-9)


def test_loss_falls_to_zero_on_its_gradient():
    case = problem([5, 2, 7], 4, rng=5)
    case = replace(case, sample_weight=np.ones(3))
    before = loss(case)[0].sum()
    for _ in range(400):
        gradients = loss(case)[1:]
        pairs = zip(arrays(case.model), gradients, strict=True)
        case = replace(case, model=Model(*(x - 0.5 * g for x, g in pairs)))
    assert loss(case)[0].sum() < 0.05 < before
    assert_array_equal(viterbi(case)[0], case.tags)


# Segments


@both_dtypes
@given(case=problems(max_tokens=5, max_tags=4), rng=generators())
def test_probabilities_of_all_tags_of_a_segment_add_up_to_one(dtype, case, rng):
    case = case.astype(dtype)
    lengths = np.diff(case.offsets)
    for i in np.flatnonzero(lengths):
        first = rng.integers(lengths[i])
        length = min(3, rng.integers(1, lengths[i] - first + 1))
        segments = [(i, first, tags, -1) for tags in product(range(case.n_tags), repeat=length)]
        total = path_probabilities(case, pack_segments(segments)).sum()
        assert_allclose(total, 1, rtol=1e-8 * magnitude(case))


def test_segment_of_one_token_is_its_marginal():
    case = problem([6], 4, rng=1, share=0.3)
    expected, _ = marginals(case)
    segments = pack_segments([(0, i, [k], -1) for i in range(6) for k in range(4)])
    assert_allclose(path_probabilities(case, segments).reshape(6, 4), expected, rtol=1e-12, atol=1e-15)


def test_what_may_not_follow_takes_its_share():
    case = problem([6], 4, rng=1)
    pair = pack_segments([(0, 2, [1, 3], -1), (0, 2, [1, 3], 2), (0, 2, [1, 3, 2], -1)])
    any_next, not_two, two = path_probabilities(case, pair)
    assert_allclose(not_two + two, any_next, rtol=1e-12)
    assert min(not_two, two) > 1e-4
    # Nothing follows the last token, so nothing is taken away there.
    ends = path_probabilities(case, pack_segments([(0, 4, [1, 3], k) for k in range(-1, 4)]))
    assert_array_equal(ends, ends[0])


def test_forbidden_segment_has_probability_zero():
    case = problem([3], 3, rng=0)
    case.masks.transitions[0, 2] = case.masks.start[1] = case.masks.stop[1] = 0
    segments = pack_segments([(0, 0, [0, 2], -1), (0, 0, [1], -1), (0, 1, [0, 1], -1), (0, 1, [0], -1)])
    probabilities = path_probabilities(case, segments)
    assert_array_equal(probabilities[:3], 0)
    assert probabilities[3] > 0


def test_many_segments_of_many_sentences_in_any_order():
    case = problem([7, 0, 1, 12, 5] * 30, 5, rng=3)
    segments = random_segments(np.random.default_rng(1), case, 500)
    expected = reference.crf_path_probabilities(*case.decoding, *segments)
    for n_threads in THREADS:
        assert_allclose(path_probabilities(case, segments, n_threads), expected, rtol=1e-10)
    # Alone or among others: the same bits.
    whole = path_probabilities(case, segments)
    for s in range(0, 500, 50):
        path = segments[3][segments[4][s] : segments[4][s + 1]]
        alone = pack_segments([(segments[0][s], segments[1][s], path, segments[5][s])])
        assert_same_bits(path_probabilities(case, alone), whole[s : s + 1])


def test_no_segments():
    case = problem([3, 0], 4)
    assert path_probabilities(case, pack_segments([])).shape == (0,)
    assert path_probabilities(problem([], 4), pack_segments([])).shape == (0,)


# Range


def test_a_way_that_would_underflow_is_not_lost():
    # Tags 0 and 1 never meet. Tag 1 begins at exp(-800), and is ahead of tag 0 by exp(10) at each token.
    emissions = np.zeros((101, 2))
    emissions[1:, 1] = 10
    transitions = np.array([[0, -1e4], [-1e4, 0]])
    model = Model(emissions, transitions, np.array([0.0, -800.0]), np.zeros(2))
    tags, offsets = np.ones(101, np.int32), np.array([0, 101], np.intp)
    case = Problem(model, everything_allowed(2), tags, offsets, np.ones(1))
    assert_allclose(loss(case)[0], 0, atol=1e-9)
    # The same by masks, with the start such that no single row is out of range.
    masks = replace(case.masks, transitions=np.eye(2, dtype=np.uint8))
    emissions = np.tile([[0.0, -100.0]], (16, 1))
    emissions[8:, 1] = 110
    case = Problem(
        Model(emissions, np.zeros((2, 2)), np.zeros(2), np.zeros(2)),
        masks, tags[:16], np.array([0, 16], np.intp), np.ones(1),
    )  # fmt: skip
    probabilities, log_z = marginals(case)
    assert_allclose(log_z, 80, rtol=1e-12)
    assert_allclose(probabilities[:, 1], 1, rtol=1e-12)
    assert_allclose(path_probabilities(case, pack_segments([(0, 3, [1] * 9, 0)])), 1, rtol=1e-12)


@both_dtypes
@pytest.mark.parametrize("scale", [1e-3, 1, 150, 250, 1e4])
def test_two_kinds_of_recursion_agree(dtype, scale):
    # Tags 0 to 3 with numbers of order one; a fifth one of a score so low that it is out of all of it.
    case = problem([40, 3, 1], 4, rng=2).astype(dtype)
    wide = problem([40, 3, 1], 5, rng=2).astype(dtype)
    for narrow_array, wide_array in zip(arrays(case.model), arrays(wide.model), strict=True):
        wide_array[:] = -scale * 100
        wide_array[tuple(slice(n) for n in narrow_array.shape)] = narrow_array
    expected, expected_log_z = marginals(case)
    masks = everything_allowed(5)
    masks.start[4] = masks.stop[4] = 0
    masks.transitions[4] = masks.transitions[:, 4] = 0
    actual, log_z = marginals(replace(wide, masks=masks))
    assert_allclose(actual[:, :4], expected, rtol=RTOL[dtype])
    assert_array_equal(actual[:, 4], 0)
    assert_allclose(log_z, expected_log_z, rtol=1e-12)
    if scale >= 1:
        actual, log_z = marginals(replace(wide, masks=everything_allowed(5)))
        assert_allclose(actual[:, :4], expected, rtol=RTOL[dtype])
        assert_allclose(log_z, expected_log_z, rtol=1e-12)


@both_dtypes
@given(
    rng=generators(),
    n_tags=st.integers(1, 9),
    scale=st.sampled_from([1e-3, 1, 1e4, 3e38]),
    bad=st.sampled_from([np.nan, np.inf, -np.inf, 3e38]),
    share=st.sampled_from([0, 0.1, 1]),
    masked=st.sampled_from([0, 0.5, 1]),
)
def test_viterbi_never_takes_what_is_forbidden(dtype, rng, n_tags, scale, bad, share, masked):
    case = problem([0, 1, 2, 9, 30], n_tags, rng, scale=min(scale, 1e4), share=masked)
    for array in arrays(case.model):
        array *= scale / min(scale, 1e4) / 10
        array[rng.random(array.shape) < share] = bad
    with np.errstate(over="ignore"):
        case = case.astype(dtype)
    tags, scores = viterbi(case)
    assert_tags_allowed(case, tags)
    assert np.isfinite(scores).all()
    expected_tags, expected_scores = reference.crf_viterbi(*case.decoding)
    assert_same_bits(tags, expected_tags)
    assert_same_bits(scores, expected_scores)


@both_dtypes
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_a_number_is_not_hidden(dtype, bad):
    case = problem([3, 4, 2], 3, rng=0).astype(dtype)
    case.model.emissions[5, 1] = bad
    losses, d_emissions, *_ = loss(case)
    assert_array_equal(np.isfinite(losses), [True, False, True])
    assert np.isfinite(d_emissions[[0, 1, 2, 7, 8]]).all()
    probabilities, log_z = marginals(case)
    assert_array_equal(np.isfinite(log_z), [True, False, True])
    assert np.isnan(probabilities[5]).any()
    assert np.isfinite(probabilities[[0, 1, 2, 7, 8]]).all()


@both_dtypes
def test_tag_of_minus_infinity_has_probability_zero(dtype):
    case = problem([4], 3, rng=0).astype(dtype)
    case.model.emissions[2, 1] = -np.inf
    without = replace(case, model=replace(case.model, emissions=case.model.emissions.copy()))
    without.model.emissions[2, 1] = -5000
    expected, expected_log_z = marginals(without)
    actual, log_z = marginals(case)
    assert actual[2, 1] == 0
    assert_close(actual, expected, 1e-6)
    assert_allclose(log_z, expected_log_z, rtol=1e-12)


def test_ties_go_to_the_lowest_tag():
    case = problem([6, 1], 4)
    for array in arrays(case.model):
        array[:] = 0
    assert_array_equal(viterbi(case)[0], 0)
    case.masks.start[0] = case.masks.stop[0] = 0
    assert_array_equal(viterbi(case)[0], [1, 0, 0, 0, 0, 1, 1])
    rng = np.random.default_rng(0)
    for array in arrays(case.model):
        array[:] = rng.integers(-1, 2, array.shape)
    assert_same_bits(viterbi(case)[0], reference.crf_viterbi(*case.decoding)[0])


# Sizes and bits


@both_dtypes
@pytest.mark.parametrize("n_tags", [1, 2, 3, 4, 5, 8, 9, 16, 17, 50, 300])
def test_any_number_of_tags(dtype, n_tags):
    case = problem([3, 0, 1, 6], n_tags, rng=n_tags, share=0.3).astype(dtype)
    expected = reference.crf_loss(*arrays(case.model), case.tags, case.offsets, case.sample_weight)
    for actual, right in zip(loss(case, gradient_dtype=np.float64), expected, strict=True):
        assert_allclose(actual, right, rtol=1e-5, atol=1e-7)
    for actual, right in zip(viterbi(case), reference.crf_viterbi(*case.decoding), strict=True):
        assert_same_bits(actual, right)
    for actual, right in zip(marginals(case), reference.crf_marginals(*case.decoding), strict=True):
        assert_allclose(actual, right, rtol=1e-5, atol=1e-7)


@both_dtypes
@pytest.mark.parametrize("length", [255, 256, 257, 511, 512, 513, 700])
@pytest.mark.parametrize("scale", [1, 300])
def test_sentences_about_as_long_as_a_block(dtype, length, scale):
    case = problem([length, 3, 2 * length], 3, rng=length, scale=scale).astype(dtype)
    expected = reference.crf_loss(*arrays(case.model), case.tags, case.offsets, case.sample_weight)
    for actual, right in zip(loss(case, gradient_dtype=np.float64), expected, strict=True):
        assert_allclose(actual, right, rtol=1e-5, atol=1e-6)
    for actual, right in zip(viterbi(case), reference.crf_viterbi(*case.decoding), strict=True):
        assert_same_bits(actual, right)
    for actual, right in zip(marginals(case), reference.crf_marginals(*case.decoding), strict=True):
        assert_allclose(actual, right, rtol=1e-5, atol=1e-7)
    segments = random_segments(np.random.default_rng(0), case, 5)
    probabilities = path_probabilities(case, segments)
    assert_allclose(
        probabilities, reference.crf_path_probabilities(*case.decoding, *segments), rtol=1e-6, atol=1e-12
    )


def test_long_sentence():
    length = 100_000
    case = problem([length], 9, rng=0).astype(np.float32)
    rows = case.model.emissions.astype(float)
    alpha = reference.crf_alpha(
        rows, case.model.transitions.astype(float), case.model.start.astype(float)
    )  # float64 throughout
    expected = np.logaddexp.reduce(alpha[-1] + case.model.stop)
    probabilities, log_z = marginals(case)
    assert_allclose(log_z, expected, rtol=1e-9)
    assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    score = reference.crf_score(rows, *(x.astype(float) for x in arrays(case.model)[1:]), case.tags)
    losses, d_emissions, *_ = loss(replace(case, sample_weight=np.ones(1, np.float32)))
    assert_allclose(losses, expected - score, rtol=1e-9)
    gold = np.arange(length), case.tags
    assert_allclose(d_emissions[gold] + 1, probabilities[gold], atol=1e-6)
    tags, scores = viterbi(case)
    assert_tags_allowed(case, tags)
    own_score = reference.crf_score(rows, *(x.astype(float) for x in arrays(case.model)[1:]), tags)
    assert_allclose(scores, own_score, rtol=1e-12)


@pytest.mark.parametrize("scale", [1, 300])
def test_segments_longer_than_a_block(scale):
    case = problem([900], 3, rng=0, scale=scale)
    tags, _ = viterbi(case)
    places = [(0, 900), (0, 1), (899, 900), (100, 400), (255, 256), (255, 257), (256, 512), (250, 800)]
    segments = pack_segments([(0, first, tags[first:last], k) for first, last in places for k in (-1, 1)])
    expected = reference.crf_path_probabilities(*case.decoding, *segments)
    # The reference subtracts numbers of the size of log Z.
    assert_allclose(path_probabilities(case, segments), expected, rtol=1e-7, atol=1e-300)


def test_probabilities_of_segments_need_no_rows_of_the_whole_sentence():
    """What stays for each token is a few numbers, not a row of alpha and one of beta."""
    code = """
import resource
import numpy as np
from textcnn._kernels import _crf

t, c = 400_000, 24
allowed = [np.ones(shape, np.uint8) for shape in (c, (c, c), c)]
places = np.arange(0, t, 100)
def run(n):
    chosen = places[places < n]
    emissions = np.zeros((n, c), np.float32)
    arrays = [np.zeros(shape, np.float32) for shape in ((c, c), c, c)]
    count = len(chosen)
    _crf.crf_path_probabilities(
        emissions, *arrays, *allowed, np.array([0, n]), np.zeros(count, np.intp), chosen, chosen + 1,
        np.zeros(count, np.int32), np.arange(count + 1), np.full(count, -1, np.int32), np.empty(count), 1,
    )
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - emissions.nbytes
few = run(1000)
print((run(t) - few) / t)
"""
    found = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert float(found.stdout) < 100  # two rows of 24 numbers in double are 384 bytes


@both_dtypes
@pytest.mark.parametrize("lengths", [[], [0], [0, 0, 0], [1], [0, 1, 0]])
@pytest.mark.parametrize("n_tags", [1, 4])
def test_empty_sentences_and_batches(dtype, lengths, n_tags):
    case = problem(lengths, n_tags, rng=1).astype(dtype)
    empty = np.array(lengths, int) == 0
    losses, _, d_transitions, d_start, d_stop = loss(case)
    assert_array_equal(losses[empty], 0)
    assert_array_equal(d_transitions, 0)
    assert_allclose(d_start.sum(), 0, atol=1e-6)
    assert_allclose(d_stop, d_start)
    tags, scores = viterbi(case)
    assert_tags_allowed(case, tags)
    assert_array_equal(scores[empty], 0)
    probabilities, log_z = marginals(case)
    assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert_array_equal(log_z[empty], 0)
    if n_tags == 1:
        assert_allclose(losses, 0, atol=1e-12)
        assert_array_equal(probabilities, 1)


def results(case, n_threads=1):
    segments = random_segments(np.random.default_rng(0), case, 60)
    return (
        *loss(case, n_threads),
        *viterbi(case, n_threads),
        *marginals(case, n_threads),
        path_probabilities(case, segments, n_threads),
    )


@both_dtypes
@pytest.mark.parametrize("scale", [1, 200])
def test_bits_do_not_depend_on_threads(dtype, scale):
    lengths = np.random.default_rng(0).integers(0, 40, 150)
    lengths[77] = 700
    case = problem(lengths, 11, rng=0, scale=scale).astype(dtype)
    one = results(case)
    for n_threads in (*THREADS[1:], 16):
        for actual, expected in zip(results(case, n_threads), one, strict=True):
            assert_same_bits(actual, expected)


@both_dtypes
@pytest.mark.parametrize("scale", [1, 200])
def test_a_sentence_depends_on_that_sentence_alone(dtype, scale):
    case = problem([5, 0, 1, 300, 17] * 8, 6, rng=0, scale=scale, share=0.2).astype(dtype)
    whole = loss(case)[:2], viterbi(case), marginals(case)
    for i in range(case.n_sentences):
        tokens = slice(case.offsets[i], case.offsets[i + 1])
        alone = case.only(i)
        by_sentence, by_token = slice(i, i + 1), tokens
        for actual, expected, where in [
            (loss(alone)[0], whole[0][0], by_sentence),
            (loss(alone)[1], whole[0][1], by_token),
            (viterbi(alone)[0], whole[1][0], by_token),
            (viterbi(alone)[1], whole[1][1], by_sentence),
            (marginals(alone)[0], whole[2][0], by_token),
            (marginals(alone)[1], whole[2][1], by_sentence),
        ]:
            assert_same_bits(actual, expected[where])


@both_dtypes
def test_inputs_may_be_read_only(dtype):
    case = problem([5, 0, 3], 4, rng=0, share=0.3).astype(dtype)
    frozen = Problem(
        Model(*map(read_only, arrays(case.model))),
        Masks(*map(read_only, arrays(case.masks))),
        *map(read_only, (case.tags, case.offsets, case.sample_weight)),
    )
    for actual, expected in zip(results(frozen), results(case), strict=True):
        assert_same_bits(actual, expected)
    segments = random_segments(np.random.default_rng(0), case, 5)
    assert_same_bits(
        path_probabilities(frozen, tuple(map(read_only, segments))), path_probabilities(case, segments)
    )


# Errors


@both_dtypes
def test_wrong_shapes_are_refused(dtype):
    case = problem([3, 2], 4).astype(dtype)
    functions = [
        (_crf.crf_loss, (*arrays(case.model), case.tags, case.offsets, case.sample_weight, *loss(case))),
        (_crf.crf_viterbi, (*case.decoding, *viterbi(case))),
        (_crf.crf_marginals, (*case.decoding, *marginals(case))),
        (
            _crf.crf_path_probabilities,
            (*case.decoding, *pack_segments([(0, 0, [1], -1), (1, 0, [2, 1], 3)]), np.zeros(2)),
        ),
    ]
    for function, right in functions:
        function(*right, 1)
        for k, array in enumerate(right):
            if array is case.offsets:
                continue  # one sentence more is no wrong shape, see below
            longer = np.concatenate([array, array[-1:]])
            for wrong in [array[:-1], longer, *([array[:, :-1].copy()] if array.ndim == 2 else [])]:
                with pytest.raises(ValueError, match=r"\w+ .* \w+"):
                    function(*right[:k], wrong, *right[k + 1 :], 1)


@both_dtypes
@pytest.mark.parametrize("tag", [-1, 4, 2**31 - 1, -(2**31)])
def test_tag_that_does_not_exist_is_refused(dtype, tag):
    case = problem([3, 2], 4).astype(dtype)
    segments = pack_segments([(1, 0, [tag], -1)])
    case.tags[3] = tag
    with pytest.raises(ValueError, match=rf"tag 3 is {tag}, but there are 4"):
        loss(case)
    with pytest.raises(ValueError, match=rf"tag 0 is {tag}, but there are 4"):
        path_probabilities(case, segments)
    if tag != -1:
        with pytest.raises(ValueError, match="not_next"):
            path_probabilities(case, pack_segments([(1, 0, [1], tag)]))


@pytest.mark.parametrize("offsets", [[], [0], [0, 3], [1, 5], [0, 4, 3, 5], [0, -1, 5], [0, 6, 5], [0, 3, 6]])
def test_wrong_offsets_are_refused(offsets):
    case = replace(problem([5], 3), offsets=np.array(offsets, np.intp))
    case = replace(case, sample_weight=np.ones(case.n_sentences))
    no_segments = pack_segments([])
    for function in (loss, viterbi, marginals, lambda x: path_probabilities(x, no_segments)):
        with pytest.raises(ValueError, match="offsets"):
            function(case)


def test_no_tags_are_refused():
    case = problem([], 1)
    case = replace(
        case,
        model=Model(np.zeros((0, 0)), np.zeros((0, 0)), np.zeros(0), np.zeros(0)),
        masks=Masks(np.zeros(0, np.uint8), np.zeros((0, 0), np.uint8), np.zeros(0, np.uint8)),
    )
    for function in (loss, viterbi, marginals):
        with pytest.raises(ValueError, match="0 columns"):
            function(case)


@pytest.mark.parametrize(
    ("segment", "match"),
    [
        ((2, 0, [1], -1), "sentence 2"),
        ((-1, 0, [1], -1), "sentence -1"),
        ((0, 0, [], -1), "at least one token"),
        ((0, 3, [1], -1), "from token 3 to 4"),
        ((0, -1, [1], -1), "from token -1 to 0"),
        ((1, 1, [1, 1], -1), "from token 1 to 3"),
    ],
)
def test_segment_outside_its_sentence_is_refused(segment, match):
    case = problem([3, 2], 4)
    with pytest.raises(ValueError, match=match):
        path_probabilities(case, pack_segments([segment]))


def test_tags_that_do_not_fit_their_segment_are_refused():
    case = problem([3, 2], 4)
    sentence, first, last, path, path_offsets, not_next = pack_segments([(0, 0, [1], 0), (0, 1, [2, 3], 0)])
    path_offsets[1] = 2
    with pytest.raises(ValueError, match="path_offsets"):
        path_probabilities(case, (sentence, first, last, path, path_offsets, not_next))


def test_masks_that_leave_no_path_are_refused():
    case = problem([3, 0, 1], 2)
    segments = pack_segments([(0, 0, [0], -1)])

    def assert_all_refuse(match, **masks):
        changed = replace(case, masks=replace(case.masks, **masks))
        for function in (viterbi, marginals, lambda x: path_probabilities(x, segments)):
            with pytest.raises(ValueError, match=match):
                function(changed)

    nothing = np.zeros(2, np.uint8)
    assert_all_refuse("allowed_start forbids", start=nothing)
    assert_all_refuse("allowed_stop forbids", stop=nothing)
    assert_all_refuse("allowed forbids", transitions=np.zeros((2, 2), np.uint8))
    # One tag to start, the other to stop: two tokens could be tagged, one cannot.
    one, other = np.array([1, 0], np.uint8), np.array([0, 1], np.uint8)
    assert_all_refuse("no path for the 1 tokens of sentence 2", start=one, stop=other)
    # To and fro: a path for every even number of tokens only.
    swap = np.array([[0, 1], [1, 0]], np.uint8)
    assert_all_refuse("no path for the 3 tokens of sentence 0", start=one, stop=other, transitions=swap)


def test_masks_may_forbid_what_no_sentence_needs():
    nothing = np.zeros((2, 2), np.uint8)
    one_token = replace(problem([1, 0, 1], 2), masks=replace(everything_allowed(2), transitions=nothing))
    assert_tags_allowed(one_token, viterbi(one_token)[0])
    probabilities, log_z = marginals(one_token)
    assert_allclose(probabilities.sum(axis=1), 1)
    assert_allclose(log_z, reference.crf_marginals(*one_token.decoding)[1])
    empty = replace(problem([0, 0], 2), masks=Masks(nothing[0], nothing, nothing[0]))
    assert_array_equal(marginals(empty)[1], 0)
    one, other = np.array([1, 0], np.uint8), np.array([0, 1], np.uint8)
    even = replace(problem([2, 400, 1000], 2), masks=Masks(one, 1 - np.eye(2, dtype=np.uint8), other))
    assert_array_equal(viterbi(even)[0], np.arange(1402) % 2)
    assert_allclose(marginals(even)[0][::2, 0], 1)
