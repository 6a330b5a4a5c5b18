"""Explanations of texts of any number and length: a plain slow loop, ties, and the sequence of n-grams."""

import copy
import pickle
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from samples import reviews

from textcnn import NGram, TextCNNClassifier, TextCNNRegressor
from textcnn._kernels._conv import NO_WINDOW
from textcnn._kernels._ngrams import gram_keys
from textcnn.predictor import NGrams

X, Y = reviews()
LABELS = np.random.RandomState(0).rand(len(X), 3) < 0.5
NUMBERS = np.random.RandomState(0).rand(len(X), 2)
WORDS = [*" ".join(X).split(), "zebra", "NASA"]
LONG = " ".join(np.random.RandomState(1).choice(WORDS, size=1500)) + " good film" * 20
TEXTS = ["", LONG, "good", "zebra NASA zebra", "", "a good film , a good film", ""]
KINDS = {
    "classes": (TextCNNClassifier, np.arange(len(X)) % 3),
    "two classes": (TextCNNClassifier, Y),
    "labels": (TextCNNClassifier, LABELS),
    "numbers": (TextCNNRegressor, NUMBERS),
}


def fitted(kind, **options):
    estimator, y = KINDS[kind]
    small = {"embedding_dim": 8, "n_filters": 6, "max_iter": 3, "random_state": 0, "n_jobs": 1}
    return estimator(**small | options).fit(X, y).predictor_


def fields(ngram):
    """What can be compared."""
    return (
        ngram.text, ngram.start, ngram.end, ngram.span, ngram.contributions.tolist(), ngram.linear.tolist()
    )  # fmt: skip


def all_fields(explanations):
    return [
        (
            found.label,
            found.logits.tolist(),
            found.bias.tolist(),
            found.tokens,
            list(map(fields, found.ngrams)),
        )
        for found in explanations
    ]


def windows_of_network(predictor, ids):
    """Windows in the order of the filters, with activation x weight."""
    pooled, argmax = predictor._inference.pooled(ids, np.array([0, len(ids)], np.intp), 1)
    layout = predictor.network.layout
    for feature, start in enumerate(argmax[0].tolist()):
        width = layout.kernel_sizes[feature // layout.n_filters]
        if start != NO_WINDOW:
            share = float(pooled[0, feature]) * predictor.network.weights[:, feature].astype(float)
            yield max(0, start), min(len(ids), start + width), share


def windows_of_linear_part(linear, encoded):
    """Words, then n-grams order by order, once for words and once for shapes, with their coefficients."""
    ids, both = encoded.ids, 2 if linear.needs_shapes else 1
    unknown = iter(linear._subword_scores(encoded.unknown, 1))
    for t, id_ in enumerate(ids.tolist()):
        row = linear.word_scores[id_].astype(float)
        yield t, t + 1, row + next(unknown) if id_ == 0 else row
    symbols = np.where(linear.frequent[ids], ids, -1 - encoded.shapes).astype(np.int32) if both == 2 else None
    rows = iter(linear._index.rows(gram_keys(ids, encoded.offsets, *linear.orders, symbols)[0], 1).tolist())
    for _ in range(both):
        for order in range(linear.orders[0], linear.orders[1] + 1):
            for start in range(-1, len(ids) + 2 - order):
                row = next(rows)
                if row >= 0:
                    yield max(0, start), min(len(ids), start + order), linear.coef[row].astype(float)


def slow_ngrams(predictor, text):
    """Place, contributions and linear share of each n-gram, in the order in which windows first have it."""
    encoded = predictor.vocabulary.encode_fully([text])
    sums = defaultdict(lambda: np.zeros((2, len(predictor.network.bias))))
    share = predictor.linear.share
    for start, end, added in windows_of_network(predictor, encoded.ids):
        sums[start, end][0] += (1 - share) * added
    for start, end, row in windows_of_linear_part(predictor.linear, encoded):
        added = np.concatenate([-row, row]) if predictor.linear.two_classes else row
        sums[start, end][1] += share * added
    return [
        (*place, predictor._scale * (network + linear), predictor._scale * linear)
        for place, (network, linear) in sums.items()
    ]


def in_favour(kind, predictor, found, contributions):
    if kind == "numbers":
        return np.abs(contributions / predictor.target_scale).sum()
    if kind == "labels":
        chosen = [label in found.label for label in predictor.classes_]
        return contributions[chosen].sum() if any(chosen) else contributions[found.logits.argmax()]
    return contributions[found.logits.argmax()] - contributions.mean()


@pytest.mark.parametrize("options", [{}, {"ngram_range": (1, 3)}, {"ngram_range": (2, 4)}, {"linear": 0.9}])
@pytest.mark.parametrize("kind", KINDS)
def test_ngrams_are_those_of_a_plain_slow_loop(kind, options):
    predictor = fitted(kind, **options)
    for text, found in zip(TEXTS, predictor.explain(TEXTS), strict=True):
        expected = slow_ngrams(predictor, text)
        expected.sort(key=lambda each: -in_favour(kind, predictor, found, each[2]))
        assert [(ngram.start, ngram.end) for ngram in found.ngrams] == [each[:2] for each in expected]
        for ngram, (start, end, contributions, linear) in zip(found.ngrams, expected, strict=True):
            assert ngram.text == " ".join(found.tokens[start:end])
            np.testing.assert_allclose(ngram.contributions, contributions, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(ngram.linear, linear, rtol=1e-9, atol=1e-12)
        total = found.bias + sum(ngram.contributions for ngram in found.ngrams)
        np.testing.assert_allclose(total, found.logits, rtol=1e-5, atol=1e-4)


def test_equal_ngrams_come_in_the_order_of_the_text():
    (found,) = fitted("classes").explain([LONG])
    starts = defaultdict(list)
    for ngram in found.ngrams:
        starts[ngram.text, ngram.contributions.tobytes()].append(ngram.start)
    assert max(map(len, starts.values())) > 10
    assert all(places == sorted(places) for places in starts.values())


@pytest.mark.parametrize("options", [{}, {"linear": 0}, {"pooling": "mean"}, {"analyzer": "char"}], ids=str)
def test_pieces_threads_and_company_do_not_change_explanations(options, monkeypatch):
    predictor = fitted("classes", **options)
    texts = [text[:300] for text in TEXTS]
    expected = all_fields(predictor.explain(texts))
    assert all_fields(found for text in texts for found in predictor.explain([text])) == expected
    predictor.n_jobs = 3
    for n in (1, 100, 2000):
        monkeypatch.setattr("textcnn.predictor.CONTRIBUTIONS_PER_PIECE", n)
        monkeypatch.setattr("textcnn.nn.layer_cnn.GRADIENT_CELLS", n)
        assert all_fields(predictor.explain(texts)) == expected


@pytest.mark.parametrize("options", [{}, {"linear": 0}, {"pooling": "mean"}], ids=str)
def test_no_texts_have_no_explanations(options):
    assert fitted("classes", **options).explain([]) == []


@pytest.fixture(scope="module")
def ngrams():
    return fitted("classes").explain(["a good film now"])[0].ngrams


def test_the_sequence_of_ngrams_reads_like_a_list(ngrams):
    made = list(ngrams)
    assert len(ngrams) == len(made) > 5
    assert isinstance(made[0], NGram)
    assert ngrams[:3] == made[:3]
    assert ngrams[::-2] == made[::-2]
    assert (ngrams[0], ngrams[-1], ngrams[np.int64(1)]) == (made[0], made[-1], made[1])
    assert made[2] in ngrams
    assert ngrams.index(made[2]) == 2
    assert list(reversed(ngrams)) == made[::-1]
    assert repr(ngrams) == repr(made)
    for index in (len(made), -len(made) - 1):
        with pytest.raises(IndexError):
            ngrams[index]
    with pytest.raises(TypeError):
        ngrams["0"]


def test_sequences_of_equal_ngrams_are_equal(ngrams):
    made = list(ngrams)
    again = pickle.loads(pickle.dumps(ngrams))
    assert isinstance(again, NGrams)
    assert ngrams == again == made == ngrams
    assert ngrams != made[1:]
    assert ngrams != made[::-1]
    assert ngrams != tuple(made)
    assert made[0] != made[1]
    assert made[0] != made[0].text


def test_a_kept_explanation_does_not_keep_those_of_other_texts():
    short, long = fitted("classes").explain(["good", LONG])
    assert len(pickle.dumps(short)) < len(pickle.dumps(long)) / 50
    assert len(short.ngrams[0].contributions.base) == len(short.ngrams)
    assert short.logits.base is short.bias.base is None


class Shouting(str):
    def lower(self):
        return self.upper()


def test_what_happens_to_texts_after_explain_does_not_matter():
    predictor, tokens = fitted("classes"), ["good", "film"]
    plain, of_tokens, of_subclass = predictor.explain(["Good film", tokens, Shouting("Good film")])
    tokens[:] = ["bad", "plot", "twist"]
    assert of_tokens.tokens == ["good", "film"]
    assert all_fields([of_subclass]) == all_fields([plain])
    assert [ngram.text for ngram in of_tokens.ngrams] == [ngram.text for ngram in plain.ngrams]


def test_threads_may_look_at_one_explanation_at_once():
    predictor = fitted("classes")
    expected = all_fields(predictor.explain(TEXTS))
    for _ in range(5):
        explanations = predictor.explain(TEXTS)
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(all_fields, [explanations] * 8)) == [expected] * 8


def test_ngrams_of_a_text_need_what_cuts_it():
    with pytest.raises(ValueError, match="a text needs `cut`"):
        NGrams("good film", (np.array([[0, 1]]), np.zeros((1, 2, 2))))


def test_explanations_may_be_written_to_one_by_one():
    first, second = fitted("classes").explain(["good film", "good film"])
    first.bias[:] = first.logits[:] = np.nan
    first.ngrams[0].contributions[:] = np.nan
    assert np.isfinite(second.bias).all()
    assert np.isfinite(second.logits).all()
    assert np.isfinite(second.ngrams[0].contributions).all()
    assert np.isnan(first.ngrams[0].contributions).all()


def test_copies_and_pickles_of_explanations_need_not_be_looked_at_first():
    expected = all_fields(fitted("classes").explain(TEXTS))
    assert all_fields(copy.deepcopy(fitted("classes").explain(TEXTS))) == expected
    assert all_fields(pickle.loads(pickle.dumps(fitted("classes").explain(TEXTS)))) == expected
