"""N-grams: keys, index, the solver of logistic regression, scores."""

from dataclasses import astuple, dataclass, replace

import numpy as np
import pytest
from checks import THREADS, assert_close, assert_same_bits, garbage, read_only
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import optimize, special
from sklearn.linear_model import LogisticRegression
from strategies import generators, pack, packed_batches, text_lengths

from textcnn import _reference as reference
from textcnn._kernels import _ngrams
from textcnn._kernels._ngrams import NGramFeatures, NGramIndex

# Characters of one to four bytes, and lone surrogates.
CHARACTERS = "abcxyz'\xe9\xdf\u4e2d\uffff\U0001f600\U0010ffff\ud800\udfff\0"
words = st.lists(st.text(CHARACTERS, max_size=8), max_size=8)
orders = st.tuples(st.integers(2, 6), st.integers(1, 7))
lengths_of_subwords = st.tuples(st.integers(1, 6), st.integers(1, 20))


def packed_words(words):
    """Words in UTF-8, end to end, and their offsets."""
    encoded = [word.encode("utf-8", "surrogatepass") for word in words]
    offsets = np.concatenate([[0], np.cumsum([len(word) for word in encoded])]).astype(np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8), offsets


def assert_equal_keys(actual, expected):
    for array, wanted, dtype in zip(actual, expected, (np.uint64, np.intp), strict=True):
        assert array.dtype == dtype
        assert_array_equal(array, wanted)


# Keys


@given(batch=packed_batches(max_tokens=6), orders=orders)
def test_gram_keys_equal_the_reference(batch, orders):
    expected = reference.gram_keys(batch.ids, batch.offsets, *orders)
    assert_equal_keys(_ngrams.gram_keys(batch.ids, batch.offsets, *orders), expected)


@given(batch=packed_batches(max_tokens=6), orders=orders, n_families=st.integers(1, 2))
def test_offsets_are_those_of_the_keys(batch, orders, n_families):
    symbols = batch.ids if n_families == 2 else None
    _, expected = reference.gram_keys(batch.ids, batch.offsets, *orders, symbols)
    found = _ngrams.gram_offsets(batch.offsets, *orders, n_families)
    assert found.dtype == np.intp
    assert_array_equal(found, expected)
    n_tokens = np.diff(batch.offsets)
    counts = [sum(max(0, n + 3 - order) for order in range(orders[0], orders[1] + 1)) for n in n_tokens]
    assert (n_families * np.array(counts)).tolist() == np.diff(found).tolist()


def symbols_for(ids, rng):
    """Some of the ids, and shapes for the others."""
    return np.where(rng.random(len(ids)) < 0.5, ids, -1 - rng.integers(0, 6, len(ids))).astype(np.int32)


@given(batch=packed_batches(max_tokens=6), orders=orders, rng=generators())
def test_gram_keys_with_symbols_equal_the_reference(batch, orders, rng):
    symbols = symbols_for(batch.ids, rng)
    expected = reference.gram_keys(batch.ids, batch.offsets, *orders, symbols)
    assert_equal_keys(_ngrams.gram_keys(batch.ids, batch.offsets, *orders, symbols), expected)


def test_keys_of_symbols_follow_those_of_ids_in_each_text():
    ids, offsets = np.array([1, 2, 3], np.int32), np.array([0, 2, 3], np.intp)
    plain, plain_offsets = _ngrams.gram_keys(ids, offsets, 2, 2)
    keys, key_offsets = _ngrams.gram_keys(ids, offsets, 2, 2, ids)
    assert key_offsets.tolist() == [0, 6, 10] == (2 * plain_offsets).tolist()
    assert_array_equal(np.concatenate([keys[:3], keys[6:8]]), plain)
    # The same codes, but keys of another family.
    assert not set(keys.tolist()[3:6] + keys.tolist()[8:]) & set(plain.tolist())


def test_gram_keys_of_extreme_symbols():
    ids, offsets = np.zeros(4, np.int32), np.array([0, 4], np.intp)
    symbols = np.array([-(2**31), 2**31 - 1, -1, 0], np.int32)
    expected = reference.gram_keys(ids, offsets, 2, 20, symbols)
    keys = _ngrams.gram_keys(read_only(ids), read_only(offsets), 2, 20, read_only(symbols))
    assert_equal_keys(keys, expected)


@pytest.mark.parametrize("n_symbols", [0, 1, 3])
def test_symbols_of_another_length_are_refused(n_symbols):
    ids, offsets = np.zeros(2, np.int32), np.array([0, 2], np.intp)
    index, coef, out = NGramIndex(np.zeros(1, np.uint64)), np.zeros((1, 1), np.float32), np.zeros((1, 1))
    symbols = np.zeros(n_symbols, np.int32)
    with pytest.raises(ValueError, match=f"2 tokens need as many symbols, not {n_symbols}"):
        _ngrams.gram_keys(ids, offsets, 2, 3, symbols)
    with pytest.raises(ValueError, match=f"2 tokens need as many symbols, not {n_symbols}"):
        _ngrams.text_scores(ids, offsets, coef, np.zeros((2, 1)), 2, 3, index, coef, out, 1, symbols)


def test_gram_keys_of_the_largest_ids_and_the_highest_order():
    ids, offsets = np.array([2**31 - 1, 0, 2**31 - 2], np.int32), np.array([0, 0, 3, 3], np.intp)
    expected = reference.gram_keys(ids, offsets, 2, 20)
    assert_equal_keys(_ngrams.gram_keys(read_only(ids), read_only(offsets), 2, 20), expected)


@given(words=words, lengths=lengths_of_subwords)
def test_subword_keys_equal_the_reference(words, lengths):
    packed = packed_words(words)
    assert_equal_keys(_ngrams.subword_keys(*packed, *lengths), reference.subword_keys(*packed, *lengths))


def test_subwords_of_a_word_worked_out_by_hand():
    # "né": the marks and both characters, and of them all pairs and triples, but never all four.
    keys, offsets = _ngrams.subword_keys(*packed_words(["n\xe9"]), 2, 4)
    spelled = [b"\xfen", b"\xfen\xc3\xa9", b"n\xc3\xa9", b"n\xc3\xa9\xff", b"\xc3\xa9\xff"]
    expected = []
    for gram in spelled:
        key = 0xA0761D6478BD642F
        for byte in gram:
            key = reference.mixed(key, byte)
        expected.append(reference.finished(key))
    assert keys.tolist() == expected
    assert offsets.tolist() == [0, 5]


def test_words_of_one_character_have_no_subwords():
    keys, offsets = _ngrams.subword_keys(*packed_words(["a", "", "\U0001f600", "\ud800"]), 1, 20)
    assert len(keys) == 0
    assert offsets.tolist() == [0] * 5


GOLDEN_GRAMS = [
    "95c7a37c6fb4707c",
    "284d2814dd63baa2",
    "b1181fb21f44a17b",
    "33f53c5ae105840b",
    "316eb78322e2ae80",
    "78e139598b3e52e5",
    "f04884a0f8ec6b1b",
]
GOLDEN_SHAPES = [
    "e7b0a65950ede196",
    "eec6288b2cc9d2e0",
    "9d1ee5c765374645",
    "61a3afbb341567d3",
    "74f648a79448ab0f",
    "298467ae4335a187",
    "114aa807c3d6e5ed",
]
GOLDEN_SUBWORDS = [
    "88dad05d867dc95c",
    "954b5bcd398d5a73",
    "37bb290bc9e8fedd",
    "f77ea2510344d5aa",
    "091576902c4e4b72",
    "26dc1e4437f5b91f",
    "84fd6b44ce4b2edc",
    "93c55916e167dd01",
    "6f10b041bab8ee44",
]


def test_keys_are_those_of_saved_models():
    # Model files hold keys: another hash would make them useless without any error.
    ids, offsets = np.array([1, 0, 7], np.int32), np.array([0, 3], np.intp)
    grams, _ = _ngrams.gram_keys(ids, offsets, 2, 3)
    assert [f"{key:016x}" for key in grams.tolist()] == GOLDEN_GRAMS
    both, _ = _ngrams.gram_keys(ids, offsets, 2, 3, np.array([1, -1, -6], np.int32))
    assert [f"{key:016x}" for key in both.tolist()] == GOLDEN_GRAMS + GOLDEN_SHAPES
    subwords, _ = _ngrams.subword_keys(*packed_words(["caf\xe9"]), 3, 5)
    assert [f"{key:016x}" for key in subwords.tolist()] == GOLDEN_SUBWORDS


@pytest.mark.parametrize(
    "offsets", [[0, 2, 4], [0, 2, 6], [1, 2, 5], [0, 4, 2, 5], [0, -1, 5], [0, 2**40, 5], [], [0]], ids=str
)
def test_offsets_that_do_not_fit_are_refused(offsets):
    ids, words = np.zeros(5, np.int32), np.full(5, ord("a"), np.uint8)
    with pytest.raises(ValueError, match="offsets of a batch must"):
        _ngrams.gram_keys(ids, np.array(offsets, np.intp), 2, 3)
    with pytest.raises(ValueError, match="offsets of words must"):
        _ngrams.subword_keys(words, np.array(offsets, np.int64), 3, 5)
    index, coef = NGramIndex(np.zeros(1, np.uint64)), np.zeros((1, 1), np.float32)
    out = np.zeros((max(len(offsets) - 1, 0), 1))
    with pytest.raises(ValueError, match="offsets of words must"):
        _ngrams.subword_scores(words, np.array(offsets, np.int64), 3, 5, index, coef, out, 1)
    with pytest.raises(ValueError, match="offsets of a batch must"):
        _ngrams.text_scores(
            ids, np.array(offsets, np.intp), coef, np.zeros((5, 1)), 2, 3, index, coef, out, 1
        )  # fmt: skip


def test_lengths_that_are_none_are_refused():
    ids, offsets = np.zeros(2, np.int32), np.array([0, 2], np.intp)
    index, coef, out = NGramIndex(np.zeros(1, np.uint64)), np.zeros((1, 1), np.float32), np.zeros((1, 1))
    for lowest in (1, 0, -3):
        with pytest.raises(ValueError, match="order of at least 2"):
            _ngrams.gram_keys(ids, offsets, lowest, 3)
        with pytest.raises(ValueError, match="order of at least 2"):
            _ngrams.text_scores(ids, offsets, coef, np.zeros((2, 1)), lowest, 3, index, coef, out, 1)
    for shortest in (0, -3):
        with pytest.raises(ValueError, match="at least 1 character"):
            _ngrams.subword_keys(*packed_words(["word"]), shortest, 3)
        with pytest.raises(ValueError, match="at least 1 character"):
            _ngrams.subword_scores(*packed_words(["word"]), shortest, 3, index, coef, out, 1)


# Index


@given(rng=generators(), n=st.integers(0, 300))
def test_index_rows_equal_the_reference(rng, n):
    keys = rng.integers(0, 2**64, n, dtype=np.uint64)
    index = np.concatenate([keys, keys[::3]])  # of equal keys the first one counts
    asked = rng.permutation(np.concatenate([keys, rng.integers(0, 2**64, 20, dtype=np.uint64)]))
    made = NGramIndex(read_only(index))
    assert made.n_rows == len(index)
    rows = made.rows(read_only(asked), 1)
    assert rows.dtype == np.int32
    assert_array_equal(rows, reference.index_rows(index, asked))


def test_index_tells_keys_of_one_place_apart():
    # They differ in the upper half only, so that they queue for one slot.
    keys = (np.arange(1, 200, dtype=np.uint64) << np.uint64(32)) + np.uint64(5)
    index = NGramIndex(keys)
    assert_array_equal(index.rows(keys, 1), np.arange(199))
    assert_array_equal(index.rows(keys + np.uint64(1 << 50), 1), -1)


def test_index_gives_the_same_rows_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 2**64, 20_000, dtype=np.uint64)
    index = NGramIndex(keys[:15_000])
    expected = np.where(np.arange(20_000) < 15_000, np.arange(20_000), -1)
    for n_threads in THREADS:
        assert_array_equal(index.rows(keys, n_threads), expected)


# Features and training


@dataclass
class Features:
    """The arguments of `NGramFeatures`."""

    ids: np.ndarray
    offsets: np.ndarray
    features: np.ndarray
    feature_offsets: np.ndarray
    grams: np.ndarray
    gram_offsets: np.ndarray
    n_features: int

    @property
    def n_texts(self):
        return len(self.offsets) - 1

    @property
    def kernel(self):
        return NGramFeatures(*astuple(self))

    @property
    def x(self):
        return reference.count_features(*astuple(self))


def features_of(lengths, n_ids, n_features, rng, max_per_word=3, max_grams=4):
    """Random features: some words have none or one twice, and some n-grams are none."""
    batch = pack(lengths, n_ids, rng)
    per_word = rng.integers(0, max_per_word + 1, n_ids)
    per_text = rng.integers(0, max_grams + 1, len(lengths))
    return Features(
        batch.ids,
        batch.offsets,
        rng.integers(0, n_features, per_word.sum()).astype(np.int32),
        np.concatenate([[0], np.cumsum(per_word)]).astype(np.intp),
        rng.integers(-1, n_features, per_text.sum()).astype(np.int32),
        np.concatenate([[0], np.cumsum(per_text)]).astype(np.intp),
        n_features,
    )


@st.composite
def feature_sets(draw, max_texts=8):
    """Features of a few texts, empty ones among them."""
    lengths = draw(text_lengths(max_texts, 6))
    return features_of(lengths, draw(st.integers(1, 6)), draw(st.integers(1, 9)), draw(generators()))


@dataclass
class Training:
    """Features, and the other arguments of `fit_logistic`."""

    features: Features
    targets: np.ndarray
    cost: np.ndarray
    positive: np.ndarray
    scales: np.ndarray

    def fit(self, tolerance=1e-9, max_iter=200_000, seed=1, n_threads=1):
        """(coef, intercept, passes) of the kernel."""
        coef, intercept = garbage(self.scales.shape, np.float32), garbage(len(self.positive), np.float64)
        passes = self.features.kernel.fit_logistic(
            self.targets, self.cost, self.positive, self.scales, tolerance, max_iter, seed, coef, intercept,
            n_threads,
        )  # fmt: skip
        return coef, intercept, passes

    def optimum(self):
        return reference.fit_logistic(self.features.x, self.targets, self.cost, self.positive, self.scales)


def training(features, n_classes, rng, costs=(0.0, 0.3, 1.0, 5.0)):
    """Random classes, costs and scales; a scale of 0 switches its feature off."""
    positive = np.arange(n_classes, dtype=np.intp) if n_classes > 2 else np.array([1], np.intp)
    scales = rng.normal(scale=1.5, size=(features.n_features, len(positive))).astype(np.float32)
    scales[rng.random(scales.shape) < 0.1] = 0
    return Training(
        features,
        rng.integers(0, n_classes, features.n_texts).astype(np.intp),
        rng.choice(costs, features.n_texts),
        positive,
        scales,
    )


@given(features=feature_sets(), n_classes=st.integers(1, 4), rng=generators())
def test_count_by_class_equals_the_reference(features, n_classes, rng):
    targets = rng.integers(0, n_classes, features.n_texts).astype(np.intp)
    weights = rng.integers(0, 8, features.n_texts) / 4
    before = rng.integers(0, 5, (features.n_features, n_classes)).astype(float)
    counts = before.copy()
    features.kernel.count_by_class(targets, weights, counts)
    expected = before + reference.count_by_class(features.x, targets, weights, n_classes)
    assert_array_equal(counts, expected)  # multiples of 1/4: sums are exact


@given(features=feature_sets(), n_classes=st.integers(2, 4), rng=generators())
def test_solver_finds_the_optimum(features, n_classes, rng):
    problem = training(features, n_classes, rng)
    coef, intercept, passes = problem.fit()
    expected_coef, expected_intercept = problem.optimum()
    assert (passes < 200_000).all()
    assert_close(coef, expected_coef.astype(np.float32), 1e-5)
    assert_allclose(intercept, expected_intercept, rtol=1e-6, atol=1e-6)


@given(rng=generators())
def test_gradient_vanishes_at_the_solution(rng):
    features = features_of(rng.integers(0, 12, 30), 20, 40, rng)
    problem = training(features, 3, rng)
    coef, intercept, _ = problem.fit()
    for k in range(3):
        r = problem.scales[:, k].astype(float)
        rows = np.hstack([features.x * r, np.ones((30, 1))])
        u = np.append(np.divide(coef[:, k], r, out=np.zeros(40), where=r != 0), intercept[k])
        y = np.where(problem.targets == k, 1.0, -1.0)
        gradient = reference.logistic_gradient(rows, y, problem.cost, u)
        at_zero = reference.logistic_gradient(rows, y, problem.cost, 0 * u)
        assert np.abs(gradient).max() <= 1e-5 * np.abs(at_zero).max(initial=1)


def test_solver_agrees_with_liblinear():
    rng = np.random.default_rng(0)
    problem = training(features_of(rng.integers(3, 15, 80), 30, 50, rng), 2, rng, costs=[0.5, 2.0])
    coef, intercept, _ = problem.fit()
    model = LogisticRegression(solver="liblinear", dual=True, tol=1e-10, max_iter=100_000)
    scaled = problem.features.x * problem.scales[:, 0]
    model.fit(scaled, problem.targets, sample_weight=problem.cost)
    assert_allclose(coef[:, 0], model.coef_[0] * problem.scales[:, 0], rtol=1e-4, atol=1e-5)
    assert_allclose(intercept, model.intercept_, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("costs", [(1e20, 1.0), (1.0, 1e20), (1e30, 1e-30), (1.0, 1e-20), (3.0, 2.0)])
def test_equal_texts_of_opposite_classes_and_unequal_costs(costs):
    # The dual variable of the light text can be its cost but for one part in 10^20.
    features = Features(
        np.zeros(2, np.int32), np.array([0, 1, 2], np.intp), np.array([0], np.int32),
        np.array([0, 1], np.intp), np.zeros(0, np.int32), np.zeros(3, np.intp), 1,
    )  # fmt: skip
    problem = Training(
        features, np.array([1, 0]), np.array(costs), np.array([1]), np.ones((1, 1), np.float32)
    )
    coef, intercept, passes = problem.fit(tolerance=1e-6, max_iter=500)
    # The coefficient and the intercept are equal, so the optimum is the root of a function of one number.
    expected = optimize.brentq(
        lambda u: u - costs[0] * special.expit(-2 * u) + costs[1] * special.expit(2 * u), -99, 99, xtol=1e-12
    )
    assert_allclose([coef[0, 0], intercept[0]], expected, rtol=1e-6)
    assert passes[0] < 500


@pytest.mark.parametrize("cost", [1e-300, 1e-30, 1e-9, 1e9, 1e30])
def test_tiny_and_huge_costs_give_finite_coefficients(cost):
    rng = np.random.default_rng(0)
    problem = training(features_of(rng.integers(0, 12, 40), 20, 30, rng), 3, rng, costs=[cost])
    for tolerance, max_iter in ((0.1, 20), (1e-6, 200)):
        coef, intercept, _ = problem.fit(tolerance, max_iter)
        assert np.isfinite(coef).all()
        assert np.isfinite(intercept).all()
    if cost < 1e-6:
        # Near 0 the logistic function is a half: u is half the cost times the sum of y_i r x_i.
        y = np.where(problem.targets[:, np.newaxis] == np.arange(3), 1, -1)
        expected = cost / 2 * problem.scales.astype(float) ** 2 * (problem.features.x.T @ y)
        assert_allclose(coef, expected, rtol=1e-5, atol=max(cost * 1e-5, 1e-44))


def test_weight_two_is_the_text_twice_and_zero_is_absence():
    rng = np.random.default_rng(3)
    problem = training(features_of(rng.integers(0, 9, 20), 10, 15, rng), 3, rng, costs=[1.0])
    n = len(problem.cost)

    def taken(index, cost):
        index = np.asarray(index)
        f = problem.features
        ids, offsets = reference.take_texts(f.ids, f.offsets, index)
        grams, gram_offsets = reference.take_texts(f.grams, f.gram_offsets, index)
        features = Features(ids, offsets, f.features, f.feature_offsets, grams, gram_offsets, f.n_features)
        return Training(features, problem.targets[index], cost, problem.positive, problem.scales)

    weights = np.array([2.0, 2.0] + [1.0] * (n - 4) + [0.0, 0.0])
    weighted = taken(np.arange(n), weights).fit()
    doubled = taken([0, 0, 1, 1, *range(2, n - 2)], np.ones(n)).fit()
    absent = taken(np.arange(n - 2), weights[:-2]).fit()
    assert_close(weighted[0], doubled[0], 1e-5)
    assert_same_bits(weighted[0], absent[0])
    assert_same_bits(weighted[1], absent[1])


def test_solver_gives_the_same_bits_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    problem = training(features_of(rng.integers(0, 30, 300), 200, 400, rng), 7, rng)
    expected = problem.fit(0.01, 50)
    for n_threads in [*THREADS, 16]:
        for actual, wanted in zip(problem.fit(0.01, 50, n_threads=n_threads), expected, strict=True):
            assert_same_bits(actual, wanted)


def test_the_seed_moves_the_path_but_not_the_optimum():
    rng = np.random.default_rng(0)
    problem = training(features_of(rng.integers(0, 12, 60), 20, 30, rng), 2, rng)
    assert (problem.fit(0.1, 3, seed=1)[0] != problem.fit(0.1, 3, seed=2)[0]).any()
    assert_close(problem.fit(seed=1)[0], problem.fit(seed=2)[0], 1e-5)


def test_one_text_alone_is_solved_at_once():
    # Along its only variable the first pass finds the minimum, if the squared norm is right.
    rng = np.random.default_rng(0)
    problem = training(features_of([9], 5, 6, rng), 2, rng, costs=[1.0])
    problem.scales *= np.float32(0.1)
    coef, _, passes = problem.fit(0.02, 50)
    assert passes.tolist() == [2]
    assert_close(coef, problem.optimum()[0].astype(np.float32), 0.02)


@pytest.mark.parametrize("max_iter", [0, 1, 4])
def test_solver_stops_after_max_iter_passes(max_iter):
    rng = np.random.default_rng(0)
    problem = training(features_of(rng.integers(0, 12, 60), 20, 30, rng), 3, rng)
    assert problem.fit(0.0, max_iter)[2].tolist() == [max_iter] * 3
    assert problem.fit(1e9, 4)[2].tolist() == [1] * 3


def test_training_without_texts_or_costs_or_features():
    rng = np.random.default_rng(0)
    for lengths, costs in (([], [1.0]), ([3, 0], [0.0])):
        coef, intercept, _ = training(features_of(lengths, 4, 5, rng), 3, rng, costs).fit()
        assert not coef.any()
        assert not intercept.any()
    # Without features there is the intercept alone: a root of b = C n (sigma(-b) - share of the class).
    empty = np.zeros(0, np.int32)
    features = Features(
        empty, np.zeros(4, np.intp), empty, np.zeros(1, np.intp), empty, np.zeros(4, np.intp), 0
    )
    problem = Training(features, np.array([0, 1, 1]), np.ones(3), np.array([1]), np.zeros((0, 1), np.float32))
    coef, intercept, _ = problem.fit()
    assert coef.shape == (0, 1)
    assert_allclose(intercept, 2 - 3 / (1 + np.exp(-intercept)), atol=1e-8)


def test_inputs_of_training_may_be_read_only():
    rng = np.random.default_rng(0)
    problem = training(features_of([3, 5], 4, 5, rng), 2, rng)
    fields = [read_only(a) if isinstance(a, np.ndarray) else a for a in astuple(problem.features)]
    frozen = Training(
        Features(*fields),
        *(read_only(a) for a in (problem.targets, problem.cost, problem.positive, problem.scales)),
    )
    assert_same_bits(frozen.fit()[0], problem.fit()[0])


VALID = {
    "ids": np.array([0, 1, 2, 1], np.int32),
    "offsets": np.array([0, 2, 4], np.intp),
    "features": np.array([0, 1, 2, 3], np.int32),
    "feature_offsets": np.array([0, 1, 2, 4], np.intp),
    "grams": np.array([-1, 4, 0], np.int32),
    "gram_offsets": np.array([0, 1, 3], np.intp),
    "n_features": 5,
}


def column_fit(features, goals, cost, scales, logistic, n_threads=1, tolerance=1e-9, delta=np.inf):
    """(coef, intercept, passes) of `fit_columns`."""
    coef, intercept = garbage(scales.shape, np.float32), garbage(goals.shape[1], np.float64)
    passes = features.kernel.fit_columns(
        goals, cost, logistic, scales, tolerance, 200_000, 1, coef, intercept, n_threads, delta
    )
    return coef, intercept, passes


@given(features=feature_sets(), n_classes=st.integers(2, 4), rng=generators())
def test_columns_of_classes_have_the_bits_of_one_against_the_rest(features, n_classes, rng):
    problem = training(features, n_classes, rng)
    goals = np.where(problem.targets[:, np.newaxis] == problem.positive, 1, -1).astype(np.float32)
    for cost in (problem.cost[np.newaxis], np.tile(problem.cost, (goals.shape[1], 1))):
        found = column_fit(features, goals, cost, problem.scales, True)
        for actual, expected in zip(found, problem.fit(), strict=True):
            assert_array_equal(actual, expected)


@given(features=feature_sets(), rng=generators())
def test_columns_of_numbers_are_ridge_regressions(features, rng):
    goals = rng.normal(size=(features.n_texts, 2)).astype(np.float32)
    cost = rng.choice([0.0, 0.3, 1.0, 5.0], (2, features.n_texts))
    scales = rng.normal(size=(features.n_features, 2)).astype(np.float32)
    coef, intercept, _ = column_fit(features, goals, cost, scales, False)
    for k in range(2):
        expected = reference.fit_ridge(features.x, goals[:, k], cost[k], scales[:, k])
        assert_allclose(np.append(coef[:, k], intercept[k]), expected, rtol=1e-4, atol=1e-5)


@given(features=feature_sets(), rng=generators(), delta=st.sampled_from([0.1, 1.0, 30.0]))
def test_columns_with_a_delta_have_the_loss_of_huber(features, rng, delta):
    goals = rng.standard_t(1, (features.n_texts, 2)).astype(np.float32)
    cost = rng.choice([0.0, 0.3, 1.0, 5.0], (2, features.n_texts))
    scales = rng.normal(size=(features.n_features, 2)).astype(np.float32)
    coef, intercept, _ = column_fit(features, goals, cost, scales, False, delta=delta)
    for k in range(2):
        found = objective(features, goals[:, k], cost[k], scales[:, k], coef[:, k], intercept[k], delta)
        best = reference.fit_huber(features.x, goals[:, k], cost[k], scales[:, k], delta)
        least = objective(features, goals[:, k], cost[k], scales[:, k], best[:-1], best[-1], delta)
        assert found <= least * (1 + 1e-5) + 1e-6


def objective(features, goals, cost, scales, coef, intercept, delta):
    """The penalised loss of Huber, with the penalty on the coefficients before they are scaled."""
    errors = goals - features.x @ coef - intercept
    u = np.append(coef / scales, intercept)
    return u @ u / 2 + (cost * special.huber(delta, errors)).sum()


def test_a_column_with_a_delta_by_hand():
    # Targets 0 and 100, no features: b + b - 1 = 0 if an error counts 1 at most, else b + b + b - 100 = 0.
    none = np.zeros(0, np.int32)
    features = Features(none, np.zeros(3, np.intp), none, np.zeros(1, np.intp), none, np.zeros(3, np.intp), 0)
    goals, cost, scales = np.array([[0], [100]], np.float32), np.ones((1, 2)), np.zeros((0, 1), np.float32)
    assert_allclose(column_fit(features, goals, cost, scales, False, delta=1.0)[1], [0.5], atol=1e-8)
    assert_allclose(column_fit(features, goals, cost, scales, False)[1], [100 / 3], atol=1e-6)


@pytest.mark.parametrize("logistic", [True, False])
def test_columns_have_the_same_bits_for_any_number_of_threads(logistic):
    rng = np.random.default_rng(3)
    features = features_of([5] * 60, 30, 40, rng)
    goals = rng.choice([-1, 1], (60, 5)).astype(np.float32)
    cost, scales = np.ones((1, 60)), rng.normal(size=(40, 5)).astype(np.float32)
    alone = column_fit(features, goals, cost, scales, logistic, tolerance=0.1)
    for n_threads in THREADS:
        together = column_fit(features, goals, cost, scales, logistic, n_threads, 0.1)
        assert all((one == other).all() for one, other in zip(alone, together, strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"goals": np.ones((2, 2), np.float32)}, "3 texts need as many targets and weights, not 2 and 3"),
        ({"goals": np.full((3, 2), np.nan, np.float32)}, "targets must be finite"),
        ({"goals": np.zeros((3, 2), np.float32), "logistic": True}, "-1 or 1 for the logistic loss"),
        ({"cost": np.ones((3, 3))}, "2 problems need one row of weights or as many, not 3"),
        ({"cost": np.full((1, 3), -1.0)}, "the weight of text 0 is -1"),
        ({"scales": np.ones((4, 1), np.float32)}, "scales is 4 x 1, not 4 x 2"),
    ],
)
def test_arguments_of_columns_that_do_not_fit_are_refused(change, message):
    features = features_of([2, 0, 1], 3, 4, np.random.default_rng(0))
    arguments = {
        "goals": np.ones((3, 2), np.float32),
        "cost": np.ones((1, 3)),
        "logistic": False,
        "scales": np.ones((4, 2), np.float32),
    } | change
    coef, intercept = np.empty((4, 2), np.float32), np.empty(2)
    with pytest.raises(ValueError, match=message):
        features.kernel.fit_columns(*arguments.values(), 0.1, 9, 1, coef, intercept, 1)


@pytest.mark.parametrize("delta", [0.0, -1.0, np.nan])
def test_a_delta_must_be_positive(delta):
    features = features_of([2], 3, 4, np.random.default_rng(0))
    arrays = np.ones((1, 1), np.float32), np.ones((1, 1)), np.ones((4, 1), np.float32)
    with pytest.raises(ValueError, match=r"delta is .* positive"):
        column_fit(features, *arrays, False, delta=delta)


def test_columns_without_texts_are_zero():
    features = features_of([], 3, 4, np.random.default_rng(0))
    empty = np.empty((0, 2), np.float32), np.empty((1, 0)), np.ones((4, 2), np.float32)
    coef, intercept, _ = column_fit(features, *empty, False)
    assert not coef.any()
    assert not intercept.any()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ids", [0, 1, 3, 1]),
        ("ids", [0, 1, -1, 1]),
        ("ids", [0, 1, 2]),
        ("offsets", [0, 3, 2, 4]),
        ("offsets", [0, 2, 3]),
        ("offsets", [1, 2, 4]),
        ("offsets", []),
        ("features", [0, 1, 2, 5]),
        ("features", [0, 1, 2, -1]),
        ("features", [0, 1, 2]),
        ("feature_offsets", [0, 2, 1, 4]),
        ("feature_offsets", [0, 4]),
        ("feature_offsets", []),
        ("grams", [-2, 4, 0]),
        ("grams", [-1, 5, 0]),
        ("grams", [-1, 4]),
        ("gram_offsets", [0, 3]),
        ("gram_offsets", [0, 1, 2, 3]),
        ("gram_offsets", [0, 4, 3]),
        ("gram_offsets", []),
        ("n_features", 3),
        ("n_features", -1),
    ],
)
def test_features_that_do_not_fit_are_refused(name, value):
    NGramFeatures(*VALID.values())
    value = value if name == "n_features" else np.array(value, VALID[name].dtype)
    with pytest.raises(ValueError, match=r"."):
        NGramFeatures(*(VALID | {name: value}).values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("targets", np.array([0, -1])),
        ("targets", np.array([0, 2**40])),
        ("targets", np.array([0])),
        ("cost", np.array([1.0, -1.0])),
        ("cost", np.array([1.0, np.nan])),
        ("cost", np.array([1.0, np.inf])),
        ("cost", np.ones(3)),
        ("positive", np.array([0])),
        ("scales", np.ones((4, 2), np.float32)),
        ("scales", np.ones((5, 3), np.float32)),
        ("coef", np.ones((5, 1), np.float32)),
        ("coef", np.ones((6, 2), np.float32)),
        ("intercept", np.ones(3)),
    ],
)
def test_arguments_of_the_solver_that_do_not_fit_are_refused(name, value):
    arguments = {
        "targets": np.array([0, 1]),
        "cost": np.ones(2),
        "positive": np.array([0, 1]),
        "scales": np.ones((5, 2), np.float32),
        "tolerance": 0.1,
        "max_iter": 5,
        "seed": 1,
        "coef": np.ones((5, 2), np.float32),
        "intercept": np.ones(2),
        "n_threads": 1,
    }
    features = NGramFeatures(*VALID.values())
    features.fit_logistic(*arguments.values())
    with pytest.raises(ValueError, match=r"."):
        features.fit_logistic(*(arguments | {name: value}).values())


@pytest.mark.parametrize(
    ("targets", "weights", "shape"),
    [
        ([0, 3], [1, 1], (5, 3)),
        ([0, -1], [1, 1], (5, 3)),
        ([0], [1, 1], (5, 3)),
        ([0, 1], [1], (5, 3)),
        ([0, 1], [1, np.nan], (5, 3)),
        ([0, 1], [1, 1], (4, 3)),
        ([0, 1], [1, 1], (6, 3)),
        ([0, 0], [1, 1], (5, 0)),
    ],
)
def test_arguments_of_counting_that_do_not_fit_are_refused(targets, weights, shape):
    features = NGramFeatures(*VALID.values())
    with pytest.raises(ValueError, match=r"."):
        features.count_by_class(np.array(targets, np.intp), np.array(weights, float), np.zeros(shape))


def test_counts_go_beyond_what_float32_can_count():
    features = NGramFeatures(*VALID.values())
    counts = np.full((5, 3), 2.0**24)
    features.count_by_class(np.array([0, 1], np.intp), np.ones(2), counts)
    assert counts.max() > 2**24


def test_keys_that_all_lead_to_one_place_are_refused():
    keys = (np.arange(5000, dtype=np.uint64) << np.uint64(32)) | np.uint64(5)
    with pytest.raises(ValueError, match="more than 1000 keys of n-grams lead to one place"):
        NGramIndex(keys)


# Scores


def known_keys(keys, rng, n_columns):
    """An index of about half of some keys and of others, and coefficients for it."""
    keys = np.unique(keys)
    others = rng.integers(0, 2**64, 5, dtype=np.uint64)
    index = rng.permutation(np.concatenate([keys[rng.random(len(keys)) < 0.5], others]))
    return index, rng.normal(size=(len(index), n_columns)).astype(np.float32)


def subword_scores(packed, lengths, index, coef, n_threads=1):
    out = garbage((len(packed[1]) - 1, coef.shape[1]), np.float64)
    _ngrams.subword_scores(*packed, *lengths, NGramIndex(index), coef, out, n_threads)
    return out


@given(words=words, lengths=lengths_of_subwords, n_columns=st.integers(1, 4), rng=generators())
def test_subword_scores_equal_the_reference(words, lengths, n_columns, rng):
    packed = packed_words(words)
    index, coef = known_keys(reference.subword_keys(*packed, *lengths)[0], rng, n_columns)
    expected = reference.subword_scores(*packed, *lengths, index, coef)
    assert_close(subword_scores(packed, lengths, index, coef), expected)


@pytest.mark.parametrize("n_chars", [84, 85, 86, 87, 3000])
def test_words_of_very_many_subwords(n_chars):
    # With lengths 3 to 5 a word has 3 n_chars - 3 n-grams: 256 of them fit into the room on the stack.
    rng = np.random.default_rng(n_chars)
    packed = packed_words(["".join(rng.choice(list("ab\xe9\u4e2d\U0001f600"), n_chars)), "short"])
    index, coef = known_keys(reference.subword_keys(*packed, 3, 5)[0], rng, 2)
    expected = reference.subword_scores(*packed, 3, 5, index, coef)
    assert_close(subword_scores(packed, (3, 5), index, coef), expected)


def test_subword_scores_are_the_same_bits_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    packed = packed_words(["".join(rng.choice(list(CHARACTERS), rng.integers(0, 12))) for _ in range(5000)])
    index, coef = known_keys(_ngrams.subword_keys(*packed, 3, 5)[0], rng, 3)
    expected = subword_scores(packed, (3, 5), index, coef)
    for n_threads in THREADS:
        assert_same_bits(subword_scores(packed, (3, 5), index, coef, n_threads), expected)


@dataclass
class Scoring:
    """The arguments of `text_scores` and `text_terms`."""

    ids: np.ndarray
    offsets: np.ndarray
    word_scores: np.ndarray
    unknown: np.ndarray
    lowest: int
    highest: int
    index: np.ndarray
    coef: np.ndarray
    symbols: np.ndarray | None = None

    def scores(self, n_threads=1):
        out = garbage((len(self.offsets) - 1, self.coef.shape[1]), np.float64)
        *others, index, coef, symbols = astuple(self)
        _ngrams.text_scores(*others, NGramIndex(index), coef, out, n_threads, symbols)
        return out

    def terms(self, n_threads=1):
        *others, index, coef, symbols = astuple(self)
        return _ngrams.text_terms(*others, NGramIndex(index), coef, n_threads, symbols)


def scoring(batch, n_ids, orders, n_columns, rng, with_symbols=False):
    symbols = symbols_for(batch.ids, rng) if with_symbols else None
    keys, _ = _ngrams.gram_keys(batch.ids, batch.offsets, *orders, symbols)
    index, coef = known_keys(keys, rng, n_columns)
    return Scoring(
        batch.ids,
        batch.offsets,
        rng.normal(size=(n_ids, n_columns)).astype(np.float32),
        rng.normal(size=(int((batch.ids == 0).sum()), n_columns)),
        *orders,
        index,
        coef,
        symbols,
    )


@given(
    batch=packed_batches(max_ids=4),
    orders=orders,
    n_columns=st.integers(1, 4),
    rng=generators(),
    with_symbols=st.booleans(),
)
def test_text_scores_equal_the_reference(batch, orders, n_columns, rng, with_symbols):
    problem = scoring(batch, 4, orders, n_columns, rng, with_symbols)
    assert_close(problem.scores(), reference.text_scores(*astuple(problem)))


@pytest.mark.parametrize("with_symbols", [False, True])
@pytest.mark.parametrize("n_tokens", [61, 62, 63, 64, 65, 127, 200])
def test_texts_of_more_ngrams_than_a_block(n_tokens, with_symbols):
    rng = np.random.default_rng(n_tokens)
    problem = scoring(pack([n_tokens, 3], 5, rng), 5, (2, 4), 2, rng, with_symbols)
    assert_close(problem.scores(), reference.text_scores(*astuple(problem)))


@pytest.mark.parametrize("with_symbols", [False, True])
def test_text_scores_are_the_same_bits_for_any_number_of_threads(with_symbols):
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, 40, 300)
    lengths[[0, 150]] = 0, 3000
    problem = scoring(pack(lengths, 9, rng), 9, (2, 3), 3, rng, with_symbols)
    expected = problem.scores()
    for n_threads in [*THREADS, 16]:
        assert_same_bits(problem.scores(n_threads), expected)


def test_a_score_does_not_depend_on_the_company():
    rng = np.random.default_rng(1)
    batch = pack([4, 0, 9, 1], 3, rng)
    problem = scoring(batch, 3, (2, 3), 2, rng, with_symbols=True)
    together, n_unknown = problem.scores(), 0
    for i in range(4):
        ids = batch.text(i)
        mine = problem.unknown[n_unknown : n_unknown + int((ids == 0).sum())]
        n_unknown += len(mine)
        symbols = problem.symbols[batch.offsets[i] : batch.offsets[i + 1]]
        alone = replace(problem, ids=ids, offsets=np.array([0, len(ids)]), unknown=mine, symbols=symbols)
        assert_same_bits(alone.scores()[0], together[i])


@given(
    batch=packed_batches(max_ids=4),
    orders=orders,
    n_columns=st.integers(1, 4),
    rng=generators(),
    with_symbols=st.booleans(),
)
def test_text_terms_equal_the_reference_to_the_bit(batch, orders, n_columns, rng, with_symbols):
    problem = scoring(batch, 4, orders, n_columns, rng, with_symbols)
    for found, expected in zip(problem.terms(), reference.text_terms(*astuple(problem)), strict=True):
        assert found.dtype == expected.dtype
        assert_array_equal(found, expected)


def test_arguments_of_text_terms_may_be_read_only():
    problem = scoring(
        pack([4, 0, 9], 3, np.random.default_rng(1)), 3, (2, 3), 2, np.random.default_rng(2), True
    )
    arrays = {k: read_only(v) for k, v in vars(problem).items() if isinstance(v, np.ndarray)}
    for found, expected in zip(replace(problem, **arrays).terms(), problem.terms(), strict=True):
        assert_same_bits(found, expected)


@pytest.mark.parametrize("with_symbols", [False, True])
def test_terms_add_up_to_the_scores_for_any_number_of_threads(with_symbols):
    rng = np.random.default_rng(0)
    problem = scoring(pack([40, 0, 3000, 1], 9, rng), 9, (2, 3), 3, rng, with_symbols)
    expected = problem.terms()
    sums = np.zeros((4, 3))
    np.add.at(sums, expected[0], expected[3])
    assert_close(sums, problem.scores())
    for n_threads in [*THREADS, 16]:
        for found, wanted in zip(problem.terms(n_threads), expected, strict=True):
            assert_same_bits(found, wanted)


GOOD_SCORING = {
    "ids": np.array([0, 2, 1], np.int32),
    "offsets": np.array([0, 2, 3], np.intp),
    "word_scores": np.zeros((3, 2), np.float32),
    "unknown": np.zeros((1, 2)),
    "lowest": 2,
    "highest": 3,
    "index": NGramIndex(np.arange(4, dtype=np.uint64)),
    "coef": np.zeros((4, 2), np.float32),
}
SCORING_THAT_DOES_NOT_FIT = [
    ("ids", np.array([0, 3, 1], np.int32)),
    ("ids", np.array([0, -1, 1], np.int32)),
    ("ids", np.array([1, 2, 1], np.int32)),
    ("ids", np.array([0, 0, 1], np.int32)),
    ("ids", np.array([0, 1], np.int32)),
    ("word_scores", np.zeros((3, 1), np.float32)),
    ("word_scores", np.zeros((0, 2), np.float32)),
    ("unknown", np.zeros((2, 2))),
    ("unknown", np.zeros((0, 2))),
    ("unknown", np.zeros((1, 3))),
    ("coef", np.zeros((3, 2), np.float32)),
    ("coef", np.zeros((4, 3), np.float32)),
    ("lowest", 1),
]


@pytest.mark.parametrize(("name", "value"), SCORING_THAT_DOES_NOT_FIT)
def test_arguments_of_text_terms_that_do_not_fit_are_refused(name, value):
    _ngrams.text_terms(**GOOD_SCORING, n_threads=1)
    with pytest.raises(ValueError, match=r"."):
        _ngrams.text_terms(**GOOD_SCORING | {name: value}, n_threads=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [*SCORING_THAT_DOES_NOT_FIT, ("out", np.zeros((1, 2))), ("out", np.zeros((2, 1)))],
)
def test_arguments_of_text_scores_that_do_not_fit_are_refused(name, value):
    arguments = {**GOOD_SCORING, "out": np.zeros((2, 2)), "n_threads": 1}
    _ngrams.text_scores(**arguments)
    with pytest.raises(ValueError, match=r"."):
        _ngrams.text_scores(**arguments | {name: value})


@pytest.mark.parametrize("wrong", [{"coef": (3, 2)}, {"out": (1, 2)}, {"out": (2, 1)}], ids=str)
def test_arguments_of_subword_scores_that_do_not_fit_are_refused(wrong):
    shapes = {"coef": (4, 2), "out": (2, 2)} | wrong
    packed, index = packed_words(["one", "two"]), NGramIndex(np.arange(4, dtype=np.uint64))
    with pytest.raises(ValueError, match=r"."):
        _ngrams.subword_scores(
            *packed, 3, 5, index, np.zeros(shapes["coef"], np.float32), np.zeros(shapes["out"]), 1
        )
