"""The linear part: features, ratios, training, growth, arrays."""

import copy
import pickle
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from checks import assert_close, assert_same_bits
from samples import cased, reviews

from textcnn import _reference as reference
from textcnn._kernels._ngrams import gram_keys
from textcnn.nn import ngram_linear
from textcnn.nn.ngram_linear import LinearOptions, NGramLinear, checked_range
from textcnn.text.analyzers import shape
from textcnn.text.vocabulary import Vocabulary

TEXTS, LABELS = reviews(20)
TEXTS = [*cased(TEXTS, 0), "", "na\xefve \u4e2d\u6587 na\xefvet\xe9", "a a A a", "The 3 plays: 7 p.m.!"]
TARGETS = np.array([["bad", "good"].index(label) for label in LABELS] + [0, 1, 0, 1])
NEW = [
    *cased(reviews(20, seed=1)[0], 1),
    "",
    "Splendidly naive DULLNESS",
    "zebra Zebra",
    "XX the play was 9 yy!",
]
EXACT = {"share": 0.5, "shape_ngrams": True, "C": 1.0, "tol": 1e-7, "max_iter": 5000}


@pytest.fixture(autouse=True)
def words_are_soon_frequent(monkeypatch):
    """Some words of these few texts stand for themselves, and others are shapes."""
    monkeypatch.setattr(ngram_linear, "FREQUENT_USES", 8)


def options(ngram_range=(1, 2), char_ngram_range=(3, 4), **changes):
    settings = {"ngram_range": ngram_range, "char_ngram_range": char_ngram_range, **EXACT}
    return LinearOptions(**(settings | changes))


def fitted(options, texts=TEXTS, targets=TARGETS, weight=None, n_threads=1, **build):
    """(linear part, vocabulary)."""
    vocabulary, ids, offsets = Vocabulary.build(texts, **build)
    weight = np.ones(len(texts)) if weight is None else weight
    n_classes = int(np.max(targets)) + 1
    linear = NGramLinear.fit(
        vocabulary, ids, offsets, vocabulary.shapes(texts), np.asarray(targets, np.intp), weight, n_classes,
        options, n_threads,
    )  # fmt: skip
    return linear, vocabulary


def scores(linear, vocabulary, texts=NEW, n_threads=1):
    return linear.scores(vocabulary.encode_fully(texts, n_threads), n_threads)


def frequent_words(texts, vocabulary):
    """The words with enough uses, in lower case."""
    uses = Counter(token for text in texts for token in vocabulary.tokens(text))
    return {token for token in vocabulary.to_dict() if uses[token] >= ngram_linear.FREQUENT_USES}


def features_of(text, vocabulary, options, frequent, with_unknown):
    """The features of a text with their counts, spelled out; None stands for a word that is unknown."""
    tokens = vocabulary.tokens(text)
    known = [token if token in vocabulary.to_dict() else None for token in tokens]
    found = Counter(("word", token) for token in known)
    written = Vocabulary(lowercase=False).tokens(text)
    symbols = [
        token if token in frequent else (shape(before),)
        for token, before in zip(tokens, written, strict=True)
    ]
    families = {"words": known} | ({"shapes": symbols} if options.shape_ngrams else {})
    for family, sequence in families.items():
        for n in range(max(2, options.ngram_range[0]), options.ngram_range[1] + 1):
            grams = reference.ngrams(["<begin>", *sequence, "<end>"], n)
            found.update((family, *gram) for gram in grams)
    for token in (tokens if with_unknown else filter(None, known)) if options.char_ngram_range else ():
        shortest, longest = options.char_ngram_range
        for n in range(shortest, min(longest, len(token) + 1) + 1 if len(token) > 1 else 0):
            found.update(("chars", *gram) for gram in reference.ngrams(["<", *token, ">"], n))
    return found


def expected_scores(options, texts, targets, new, weight, **build):
    """Scores of new texts by the formulas, with dictionaries and Newton's method.

    The n-grams of characters of an unknown word count in prediction, but not in training.
    """
    vocabulary, _, _ = Vocabulary.build(texts, **build)
    frequent = frequent_words(texts, vocabulary)
    counted = [features_of(text, vocabulary, options, frequent, with_unknown=False) for text in texts]
    columns = {feature: i for i, feature in enumerate(dict.fromkeys(f for found in counted for f in found))}

    def matrix(counters):
        x = np.zeros((len(counters), len(columns)))
        for row, found in zip(x, counters, strict=True):
            for feature in found.keys() & columns.keys():
                row[columns[feature]] = found[feature]
        return x

    x, n_classes = matrix(counted), max(targets) + 1
    positive = [1] if n_classes == 2 else range(n_classes)
    ratios = np.zeros((x.shape[1], len(positive)))
    for k, number in enumerate(positive):
        p = weight[targets == number] @ x[targets == number] + ngram_linear.SMOOTHING
        q = weight[targets != number] @ x[targets != number] + ngram_linear.SMOOTHING
        ratios[:, k] = np.log((p / p.sum()) / (q / q.sum()))
    if options.ngram_range[0] > 1:
        ratios[[column for feature, column in columns.items() if feature[0] == "word"]] = 0
    coef, intercept = reference.fit_logistic(x, targets, options.C * weight, positive, ratios)
    out = matrix([features_of(text, vocabulary, options, frequent, True) for text in new]) @ coef + intercept
    return np.hstack([-out, out]) if n_classes == 2 else out


@pytest.mark.parametrize(
    ("ngram_range", "char_ngram_range"),
    [((1, 1), None), ((1, 3), None), ((1, 1), (3, 5)), ((1, 2), (1, 2)), ((2, 3), (3, 20)), ((3, 3), None)],
)
@pytest.mark.parametrize("shape_ngrams", [True, False])
@pytest.mark.parametrize("min_df", [1, 2])
def test_scores_follow_the_formulas(ngram_range, char_ngram_range, min_df, shape_ngrams):
    chosen = options(ngram_range, char_ngram_range, shape_ngrams=shape_ngrams, C=0.7)
    texts, targets = TEXTS[-16:], TARGETS[-16:]  # few, as the time of the formulas is cubic
    weight = np.random.default_rng(0).choice([0.5, 1.0, 3.0], 16)
    linear, vocabulary = fitted(chosen, texts, targets, weight, min_df=min_df)
    assert 0 < linear.frequent.sum() < len(vocabulary) / 2 or not shape_ngrams
    expected = expected_scores(chosen, texts, targets, NEW, weight, min_df=min_df)
    if ngram_range[0] > 1 and char_ngram_range is None:
        assert not linear.word_scores.any()
    assert_close(scores(linear, vocabulary), expected, 1e-4)


def test_scores_of_many_classes_follow_the_formulas():
    texts, targets, weight = TEXTS[-14:], np.arange(14) % 4, np.ones(14)
    chosen = options((1, 2), None)
    linear, vocabulary = fitted(chosen, texts, targets)
    assert linear.frequent.any()
    assert linear.coef.shape[1] == 4
    assert_close(scores(linear, vocabulary), expected_scores(chosen, texts, targets, NEW, weight), 1e-4)


def test_same_bits_for_any_number_of_threads():
    targets = np.arange(len(TEXTS) * 60) % 5
    linear, vocabulary = fitted(options(tol=0.1, max_iter=5), TEXTS * 60, targets)
    for n_threads in (2, 3):
        other, _ = fitted(options(tol=0.1, max_iter=5), TEXTS * 60, targets, n_threads=n_threads)
        for name, array in linear.to_arrays().items():
            assert_same_bits(getattr(other, name).view(array.dtype), array)
        assert_same_bits(
            scores(linear, vocabulary, NEW * 50, n_threads), scores(linear, vocabulary, NEW * 50)
        )


def test_memory_mapped_ids_give_the_same_bits(tmp_path):
    vocabulary, ids, offsets = Vocabulary.build(TEXTS)
    shapes = vocabulary.shapes(TEXTS)
    mapped = []
    for name, array in (("ids", ids), ("shapes", shapes)):
        np.save(tmp_path / f"{name}.npy", array)
        mapped.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
        assert isinstance(mapped[-1], np.memmap)
    others = TARGETS.astype(np.intp), np.ones(len(TEXTS)), 2, options(), 1
    expected = NGramLinear.fit(vocabulary, ids, offsets, shapes, *others).to_arrays()
    actual = NGramLinear.fit(vocabulary, mapped[0], offsets, mapped[1], *others).to_arrays()
    for name, array in actual.items():
        assert_same_bits(array, expected[name])


@pytest.mark.parametrize("n_tokens", [1, 7, 100])
def test_pieces_do_not_change_a_bit(monkeypatch, n_tokens):
    expected = fitted(options((1, 3)))[0].to_arrays()
    monkeypatch.setattr(ngram_linear, "NGRAMS_PER_PIECE", n_tokens)
    for name, array in fitted(options((1, 3)))[0].to_arrays().items():
        assert_same_bits(array, expected[name])


@pytest.mark.parametrize(("shape_ngrams", "n_frequent"), [(False, 10), (True, 22)])
@pytest.mark.parametrize("n_tokens", [1 << 22, 100])
def test_of_too_many_ngrams_the_most_frequent_stay(monkeypatch, n_tokens, shape_ngrams, n_frequent):
    monkeypatch.setattr(ngram_linear, "MAX_NGRAMS", n_frequent)
    monkeypatch.setattr(ngram_linear, "NGRAMS_PER_PIECE", n_tokens)
    # Ten pairs stand in every piece, so that none of them is forgotten on the way; the others come once.
    # With shapes, the same ten come again, and two with the shape of the rare words.
    texts = [text for i in range(40) for text in ("the play was late", "a dull story", f"rare{i} the play")]
    targets = np.arange(len(texts)) % 3 % 2
    chosen = options((1, 2), (3, 4), shape_ngrams=shape_ngrams, tol=0.1)
    linear, vocabulary = fitted(chosen, texts, targets)
    _, ids, offsets = Vocabulary.build(texts)
    symbols = np.where(linear.frequent[ids], ids, np.int32(-1)) if shape_ngrams else None
    grams, counts = np.unique(gram_keys(ids, offsets, 2, 2, symbols)[0], return_counts=True)
    assert (counts >= 40).sum() == n_frequent
    assert len(grams) > 80
    assert len(linear.keys) == 2 * n_frequent  # so many of each kind
    np.testing.assert_array_equal(linear.keys[:n_frequent], grams[counts >= 40])
    assert (scores(linear, vocabulary, texts).argmax(axis=1) == targets).all()


def test_many_classes_leave_fewer_ngrams(monkeypatch):
    monkeypatch.setattr(ngram_linear, "MAX_COEFFICIENTS", 40)
    targets = np.arange(len(TEXTS)) % 4
    linear, vocabulary = fitted(options(tol=0.1), targets=targets)
    assert linear.coef.shape == (20, 4)  # ten of each kind
    assert np.isfinite(scores(linear, vocabulary)).all()


def test_of_too_many_subwords_the_most_frequent_stay(monkeypatch):
    monkeypatch.setattr(ngram_linear, "MAX_NGRAMS", 3)
    vocabulary = Vocabulary(["abcd", "abce", "abcf", "zq", "x"])
    keys, places, offsets = ngram_linear._subwords(vocabulary, (3, 4), ngram_linear.MAX_NGRAMS)
    whole, whole_offsets = reference.subword_keys(*vocabulary.to_arrays().values(), 3, 4)
    counts = Counter(whole.tolist())
    assert sorted(counts[key] for key in keys.tolist()) == [3, 3, 3]  # "<ab", "abc" and "<abc"
    for i, (first, last) in enumerate(pairwise(offsets)):
        mine = [key for key in whole[whole_offsets[i] : whole_offsets[i + 1]].tolist() if key in keys]
        assert keys[places[first:last]].tolist() == mine


def test_weight_two_is_the_text_twice_and_zero_is_absence():
    weight = np.ones(len(TEXTS) + 2)
    weight[[0, 3]] = 2
    weight[-2:] = 0
    # The texts without weight have words of their own, which must not count either.
    odd = [*TEXTS, "words that were never seen", "splendid zebra"]
    weighted = fitted(options(), odd, [*TARGETS, 0, 1], weight)
    twice = fitted(options(), [*TEXTS, TEXTS[0], TEXTS[3]], [*TARGETS, TARGETS[0], TARGETS[3]])
    new = TEXTS + reviews(20, seed=1)[0]
    assert_close(scores(*weighted, new), scores(*twice, new), 1e-4)


def test_a_text_without_features_has_the_bias():
    linear, vocabulary = fitted(options(), TEXTS[:20], TARGETS[:20])
    assert_same_bits(scores(linear, vocabulary, [""])[0], linear.bias())
    assert linear.bias()[0] == -linear.bias()[1]


@pytest.mark.parametrize("shape_ngrams", [True, False])
def test_terms_sum_to_the_scores(shape_ngrams):
    for targets in (TARGETS, np.arange(len(TEXTS)) % 3):
        linear, vocabulary = fitted(options((1, 3), (2, 4), shape_ngrams=shape_ngrams), targets=targets)
        for text in NEW:
            encoded = vocabulary.encode_fully([text])
            terms = linear.scores_and_terms(encoded, 1)[1]
            total = linear.bias() + terms.shares.sum(axis=0)
            np.testing.assert_allclose(total, linear.scores(encoded, 1)[0], rtol=1e-12, atol=1e-12)
            assert ((terms.starts >= 0) & (terms.starts <= terms.ends)).all()
            assert (terms.ends <= len(encoded.ids)).all()
            assert not terms.texts.any()


@pytest.mark.parametrize("shape_ngrams", [True, False])
def test_terms_stand_where_their_ngrams_are(shape_ngrams):
    texts = ["one two three", "three two one", "two", ""] * 3
    linear, vocabulary = fitted(options((1, 3), None, shape_ngrams=shape_ngrams), texts, [0, 1, 0, 1] * 3)
    terms = linear.scores_and_terms(vocabulary.encode_fully(["one two three"]), 1)[1]
    places = Counter(zip(terms.starts.tolist(), terms.ends.tolist(), strict=True))
    # Single words; pairs and triples, those with a mark cut to the words that they hold.
    single = Counter([(0, 1), (1, 2), (2, 3)])
    pairs = Counter([(0, 1), (0, 2), (1, 3), (2, 3)])
    triples = Counter([(0, 2), (0, 3), (1, 3)])
    longer = pairs + triples
    assert places == single + longer + (longer if shape_ngrams else Counter())


@pytest.mark.parametrize(("ngram_range", "min_df"), [((1, 2), 1), ((1, 1), 3), ((1, 3), 3)])
def test_new_words_score_as_they_did_when_unknown(ngram_range, min_df):
    linear, vocabulary = fitted(options(ngram_range, (3, 5)), min_df=min_df)
    assert linear.word_scores[0].any() == (min_df > 1)
    texts = [*NEW, "splendidish dullards", "\ud800x"]
    before = scores(linear, vocabulary, texts)
    grown = copy.deepcopy(vocabulary)
    assert grown.extend(["splendidish zebra xx", ["\ud800x"]]) == 4
    extended = linear.extended(grown)
    assert len(extended.word_scores) == len(grown)
    assert_close(scores(extended, grown, texts), before, 1e-6)
    for text in texts:
        terms = extended.scores_and_terms(grown.encode_fully([text]), 1)[1]
        total = extended.bias() + terms.shares.sum(axis=0)
        np.testing.assert_allclose(total, scores(extended, grown, [text])[0], rtol=1e-12, atol=1e-12)
    again = NGramLinear.from_arrays(extended.to_arrays(), extended.config(), len(grown), 2)
    assert_same_bits(scores(again, grown, texts), scores(extended, grown, texts))
    later = copy.deepcopy(grown)
    later.extend(["yy zzz"])
    assert_close(scores(extended.extended(later), later, texts), before, 1e-6)
    assert_same_bits(extended.coef, linear.coef)
    assert len(linear.word_scores) == len(vocabulary)


def test_extending_by_nothing_changes_nothing():
    linear, vocabulary = fitted(options())
    assert_same_bits(linear.extended(vocabulary).word_scores, linear.word_scores)


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_mixing_is_a_weighted_mean(share):
    linear, vocabulary = fitted(options(share=share))
    logits = np.random.default_rng(0).normal(size=(len(NEW), 2)).astype(np.float32)
    mixed = logits.copy()
    linear.mix_into(mixed, scores(linear, vocabulary))
    assert mixed.dtype == np.float32
    expected = (1 - share) * logits + share * scores(linear, vocabulary)
    np.testing.assert_allclose(mixed, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda linear: pickle.loads(pickle.dumps(linear))])
def test_copies_score_alike(twin):
    linear, vocabulary = fitted(options())
    assert_same_bits(scores(twin(linear), vocabulary), scores(linear, vocabulary))


@pytest.mark.parametrize("char_ngram_range", [None, (2, 3)])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_arrays_and_settings_round_trip(char_ngram_range, n_classes):
    targets = np.arange(len(TEXTS)) % n_classes
    linear, vocabulary = fitted(options((1, 2), char_ngram_range, share=0.25), targets=targets)
    again = NGramLinear.from_arrays(linear.to_arrays(), linear.config(), len(vocabulary), n_classes)
    assert_same_bits(scores(again, vocabulary), scores(linear, vocabulary))
    assert (again.ngram_range, again.char_ngram_range, again.share) == ((1, 2), char_ngram_range, 0.25)


def test_a_linear_part_of_one_class_is_refused():
    linear, vocabulary = fitted(options())
    with pytest.raises(ValueError, match="two or more classes"):
        NGramLinear.from_arrays(linear.to_arrays(), linear.config(), len(vocabulary), 1)


def test_numbers_that_are_not_finite_are_noticed():
    linear, _ = fitted(options())
    assert linear.is_finite()
    for name in ("word_scores", "coef", "intercept"):
        other = copy.deepcopy(linear)
        getattr(other, name).flat[0] = np.nan
        assert not other.is_finite()


@pytest.mark.parametrize(
    ("value", "expected"), [((1, 3), (1, 3)), ([2, 2], (2, 2)), ((np.int64(1), 20), (1, 20))]
)
def test_ranges(value, expected):
    assert checked_range(value, "ngram_range") == expected
    assert all(type(end) is int for end in checked_range(value, "ngram_range"))


@pytest.mark.parametrize(
    "value",
    [(0, 1), (2, 1), (1, 21), (1,), (1, 2, 3), (), (1.0, 2), (True, 2), ("1", "2"), (None, 2), "12", 3, None],
    ids=repr,
)
def test_ranges_that_are_none(value):
    with pytest.raises(ValueError, match=r"ngram_range is .* two integers"):
        checked_range(value, "ngram_range")


def test_the_penalty_and_the_passes_are_obeyed():
    weak, vocabulary = fitted(options(C=0.001))
    strong, _ = fitted(options(C=10.0))
    assert np.abs(scores(weak, vocabulary)).max() < 0.5 * np.abs(scores(strong, vocabulary)).max()
    one, _ = fitted(options(tol=0.0, max_iter=1))
    assert not np.array_equal(one.coef, fitted(options())[0].coef)


def test_the_defaults_are_near_the_optimum():
    # Training stops early by default; the classes must not depend on that.
    quick = LinearOptions(share=0.5, ngram_range=(1, 3), char_ngram_range=(3, 5), shape_ngrams=True, C=1.0)
    linear, vocabulary = fitted(quick)
    exact, _ = fitted(options((1, 3), (3, 5)))
    assert_close(scores(linear, vocabulary), scores(exact, vocabulary), 0.1)


# N-grams with shapes


@pytest.mark.parametrize("n_tokens", [1 << 20, 5])
def test_frequent_words_have_enough_uses(monkeypatch, n_tokens):
    monkeypatch.setattr(ngram_linear, "NGRAMS_PER_PIECE", n_tokens)
    linear, vocabulary = fitted(options(tol=0.1), min_df=2)
    found = {name for name, flag in zip(vocabulary.id_to_token, linear.frequent, strict=True) if flag}
    assert found == frequent_words(TEXTS, vocabulary)
    assert 2 < len(found) < len(vocabulary) - 2
    assert linear.frequent.dtype == bool
    # Unknown words are often many, but are different ones.
    assert not linear.frequent[0]


@pytest.mark.parametrize("char_ngram_range", [None, (3, 4)])
def test_case_counts_with_shapes_only(char_ngram_range):
    texts = ["see Anna", "see house", "see NATO", "see Peter", "see bread", "see NASA"]
    targets = [1, 0, 0, 1, 0, 0]
    pairs = (["see Zoe", "see zoe"], ["see ANNA", "see Anna"], ["SEE House", "see house"])
    for shape_ngrams in (True, False):
        chosen = options((1, 2), char_ngram_range, shape_ngrams=shape_ngrams)
        linear, vocabulary = fitted(chosen, texts, targets)
        for pair in pairs:
            written, lower = scores(linear, vocabulary, pair)
            assert np.array_equal(written, lower) != shape_ngrams
        if shape_ngrams:  # of words never seen, the capital letter alone tells the class
            assert scores(linear, vocabulary, ["see Zoe", "see zoe"]).argmax(axis=1).tolist() == [1, 0]
        else:
            assert len(linear.frequent) == 0


def test_the_case_of_frequent_words_does_not_count():
    linear, vocabulary = fitted(options((1, 3)))
    frequent = sorted(frequent_words(TEXTS, vocabulary))
    pair = " ".join(frequent), " ".join(frequent).upper()
    assert_same_bits(scores(linear, vocabulary, pair[:1]), scores(linear, vocabulary, pair[1:]))
    rare = "dull" if "dull" not in frequent else "grim"
    assert (
        len({scores(linear, vocabulary, [f"the {word} play"]).tobytes() for word in (rare, rare.upper())})
        == 2
    )


def test_without_shapes_there_are_half_as_many_ngrams():
    # No word is frequent, none comes twice, and all shapes are the same: two pairs are added, not four.
    texts = ["one", "two"]
    assert len(fitted(options((1, 2), None, shape_ngrams=False), texts, [0, 1])[0].keys) == 4
    linear, vocabulary = fitted(options((1, 2), None), texts, [0, 1])
    assert len(linear.keys) == 6
    assert not linear.frequent.any()
    assert len(linear.frequent) == len(vocabulary) == 3


def test_a_single_word_has_no_shape():
    linear, vocabulary = fitted(options((1, 1), None))
    assert len(linear.keys) == 0
    texts = ["the DULL play", "the dull play"]
    assert_same_bits(scores(linear, vocabulary, texts[:1]), scores(linear, vocabulary, texts[1:]))


def test_new_words_are_never_frequent():
    linear, vocabulary = fitted(options((1, 3)))
    grown = copy.deepcopy(vocabulary)
    grown.extend(["zebra"] * 100)
    extended = linear.extended(grown)
    assert extended.frequent.tolist() == [*linear.frequent.tolist(), False]
    assert extended.frequent.dtype == bool
    plain, _ = fitted(options((1, 3), shape_ngrams=False))
    assert len(plain.extended(grown).frequent) == 0
    for old, new in ((linear, extended), (plain, plain.extended(grown))):
        texts = ["the zebra play", "the ZEBRA play", "Zebra"]
        assert_close(scores(new, grown, texts), scores(old, vocabulary, texts), 1e-6)


@pytest.mark.parametrize("shape_ngrams", [True, False])
def test_the_words_with_shapes_round_trip(shape_ngrams):
    linear, vocabulary = fitted(options(shape_ngrams=shape_ngrams, tol=0.1))
    again = NGramLinear.from_arrays(linear.to_arrays(), linear.config(), len(vocabulary), 2)
    assert_same_bits(again.frequent, linear.frequent)
    assert_same_bits(scores(again, vocabulary), scores(linear, vocabulary))
    assert len(linear.frequent) == (len(vocabulary) if shape_ngrams else 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a[:-1],
        lambda a: np.append(a, a),
        lambda a: a[:, np.newaxis],
        lambda a: a[:0, np.newaxis],
        lambda a: a.astype(np.uint8),
        lambda a: a[:0].astype(np.int32),
    ],
)
def test_flags_of_words_that_do_not_fit_are_refused(change):
    linear, vocabulary = fitted(options(tol=0.1))
    arrays = linear.to_arrays()
    arrays["frequent"] = change(arrays["frequent"])
    with pytest.raises(ValueError, match=r"linear\.frequent is .*, not bool"):
        NGramLinear.from_arrays(arrays, linear.config(), len(vocabulary), 2)


# Several labels and numbers


def fitted_columns(targets, options, weight=None, n_threads=1):
    """(linear part, vocabulary) for targets with a column for each output."""
    vocabulary, ids, offsets = Vocabulary.build(TEXTS)
    weight = np.ones(len(TEXTS)) if weight is None else weight
    linear = NGramLinear.fit(
        vocabulary,
        ids,
        offsets,
        vocabulary.shapes(TEXTS),
        targets,
        weight,
        targets.shape[1],
        options,
        n_threads,
    )
    return linear, vocabulary


def test_each_label_is_fitted_as_the_second_of_two_classes():
    weight = np.random.RandomState(0).uniform(0, 2, (len(TEXTS), 2))
    columns = np.stack([TARGETS == 1, np.arange(len(TEXTS)) % 3 == 0], axis=1)
    for given in (weight, weight[:, 0]):
        linear, vocabulary = fitted_columns(columns, options(), given)
        for k in range(2):
            alone, _ = fitted(
                options(), targets=columns[:, k], weight=given if given.ndim == 1 else given[:, k]
            )
            expected = scores(alone, vocabulary)[:, 1]
            np.testing.assert_allclose(scores(linear, vocabulary)[:, k], expected, rtol=1e-5, atol=1e-5)


def test_numbers_are_fitted_by_ridge_regression_on_scaled_counts(monkeypatch):
    monkeypatch.setattr(ngram_linear, "RIDGE_TOLERANCE", 1e-9)
    monkeypatch.setattr(ngram_linear, "RIDGE_PASSES", 100_000)
    rng = np.random.RandomState(0)
    y = rng.normal(size=(len(TEXTS), 2)).astype(np.float32)
    weight = rng.uniform(0, 2, len(TEXTS))
    words = options((1, 1), None, shape_ngrams=False)
    linear, vocabulary = fitted_columns(y, words, weight)
    ids, offsets = vocabulary.encode(TEXTS)
    x = np.zeros((len(TEXTS), len(vocabulary)))
    np.add.at(x, (np.repeat(np.arange(len(TEXTS)), np.diff(offsets)), ids), 1)
    for k in range(2):
        counts = (weight[:, np.newaxis] * x).sum(axis=0)
        means = (weight * y[:, k]) @ x / (counts + ngram_linear.SMOOTHING)
        expected = reference.fit_ridge(x, y[:, k], weight, means)
        actual = np.append(linear.word_scores[:, k], linear.intercept[k])
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_columns", [1, 2, 3])
def test_columns_keep_their_number_in_files_pickles_and_explanations(n_columns):
    rng = np.random.RandomState(0)
    for targets in (rng.rand(len(TEXTS), n_columns) < 0.5, rng.normal(size=(len(TEXTS), n_columns))):
        linear, vocabulary = fitted_columns(targets, options())
        expected = scores(linear, vocabulary)
        assert expected.shape == (len(NEW), n_columns)
        again = NGramLinear.from_arrays(
            linear.to_arrays(), linear.config(), len(vocabulary), n_columns, of_classes=False
        )
        for twin in (again, pickle.loads(pickle.dumps(linear))):
            assert_same_bits(scores(twin, vocabulary), expected)
        encoded = vocabulary.encode_fully([NEW[0]])
        total = linear.bias() + linear.scores_and_terms(encoded, 1)[1].shares.sum(axis=0)
        np.testing.assert_allclose(total, expected[0], rtol=1e-10)
        assert_same_bits(scores(fitted_columns(targets, options(), n_threads=3)[0], vocabulary), expected)


def test_pickles_from_before_several_labels_are_read():
    """They have no `two_classes`: one column was always that of the second of two classes."""
    for n_classes in (2, 3):
        linear, vocabulary = fitted(options(), targets=np.arange(len(TEXTS)) % n_classes)
        state = linear.__getstate__()
        del state["two_classes"]
        old = NGramLinear.__new__(NGramLinear)
        old.__setstate__(state)
        assert_same_bits(scores(old, vocabulary), scores(linear, vocabulary))
