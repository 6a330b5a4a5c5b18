"""`TagPredictor`: spans and their probabilities, text in, model files, threads, forks."""

import copy
import multiprocessing
import os
import pickle
import random
import subprocess
import sys
import threading
from itertools import pairwise, product

import numpy as np
import pytest
from numpy.testing import assert_allclose

import textcnn
from textcnn import ModelFileError, TaggedText, TagPredictor, TextCNNTagger, TokenSpan
from textcnn.io import load_arrays, save_arrays
from textcnn.nn.crf import CHAIN
from textcnn.tag_predictor import _line_bounds, _split_bounds
from textcnn.text.tags import allowed_transitions, convert, spans
from textcnn.text.tokenizer import tokenize

X = [
    ["Ms.", "Haag", "plays", "Elianti", "."],
    ["The", "dog", "saw", "Ms.", "Haag", "in", "New", "York"],
    ["New", "York", "City", "Hall", "is", "large"],
    [],
    ["Paris", "New", "York"],
] * 4
Y = [
    ["O", "B-PER", "O", "B-PER", "O"],
    ["O", "O", "O", "O", "B-PER", "O", "B-LOC", "I-LOC"],
    ["B-LOC", "I-LOC", "I-LOC", "I-LOC", "O", "O"],
    [],
    ["B-LOC", "B-LOC", "I-LOC"],
] * 4
NEW = [["Unheard", "words", "saw", "New", "Haag"], [], ["x" * 70_000], ["", "\ud800", "\0", "é"], ["Ms."]]
PARAMS = {
    "embedding_dim": 6,
    "char_dim": 4,
    "n_char_filters": 4,
    "affix_dim": 3,
    "n_channels": 8,
    "n_iterations": 2,
    "max_iter": 4,
    "linear_max_iter": 3,
    "random_state": 0,
}
SCHEMES = ["IOB1", "BIO", "BIOES", "BMES", "BIOS", "BILOU"]
TEXT = "Ms. Haag saw New York.\nIs Paris large?  The dog\tsaw Elianti in  Paris!"


def fitted_on(y, **params):
    return TextCNNTagger(**(PARAMS | params)).fit(X, y)


def scrambled(tagger, seed=0, scale=3.0):
    """The same model with random numbers everywhere."""
    rng = np.random.default_rng(seed)
    predictor = copy.deepcopy(tagger.predictor_)
    for part in filter(None, (predictor.network, predictor.linear)):
        for name, array in part.arrays.items():
            if name in CHAIN and predictor.network.layout.head == "softmax":
                continue  # zeros
            array[...] = rng.normal(size=array.shape) * scale / max(1, array.shape[-1]) ** 0.5
    return pickle.loads(pickle.dumps(predictor))


@pytest.fixture(scope="module")
def fitted():
    return fitted_on(Y)


@pytest.fixture(scope="module")
def path(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.textcnn"
    fitted.save(path)
    return path


def assert_same_predictions(model, other, sentences=None):
    sentences = X + NEW if sentences is None else sentences
    assert model.predict(sentences) == other.predict(sentences)
    pairs = zip(model.predict_marginals(sentences), other.predict_marginals(sentences), strict=True)
    assert all(a.tobytes() == b.tobytes() and a.shape == b.shape for a, b in pairs)
    assert model.spans(sentences) == other.spans(sentences)


# Marginals and probabilities of spans


def all_sequences(predictor, sentence):
    """Every allowed sequence of inner tags of a sentence and its probability."""
    tags = predictor.tags
    encoded = predictor.encoder.encode([sentence])
    emissions = predictor._inference.emissions(encoded.types, encoded.offsets, encoded.features, 1).astype(
        float
    )
    transitions, start, stop = (predictor._inference.chain(name) for name in ("transitions", "start", "stop"))
    may_start, may_follow, may_stop = allowed_transitions(tags.inner_tags, tags.inner_scheme)
    weights = {}
    for ids in product(range(len(tags.inner_tags)), repeat=len(sentence)):
        if may_start[ids[0]] and may_stop[ids[-1]]:
            steps = list(pairwise(ids))
            if all(may_follow[step] for step in steps):
                score = start[ids[0]] + stop[ids[-1]] + sum(emissions[i, tag] for i, tag in enumerate(ids))
                names = tuple(tags.inner_tags[i] for i in ids)
                weights[names] = float(score) + sum(float(transitions[step]) for step in steps)
    highest = max(weights.values())
    weights = {names: np.exp(score - highest) for names, score in weights.items()}
    total = sum(weights.values())
    return {names: weight / total for names, weight in weights.items()}


@pytest.mark.parametrize("head", ["crf", "softmax"])
@pytest.mark.parametrize("tag_scheme", ["BIO", "BIOES"])
@pytest.mark.parametrize("scheme", ["IOB1", "BIO", "BMES"])
def test_predictions_equal_all_sequences_counted_out(head, tag_scheme, scheme):
    y = [convert(tags, "BIO", scheme) for tags in Y]
    predictor = scrambled(fitted_on(y, head=head, tag_scheme=tag_scheme), 1, scale=0.5)
    assert predictor.scheme == scheme
    names = predictor.marginal_tags
    for sentence in (["Haag"], ["New", "York", "saw"], ["Paris", "Paris", "Elianti", "."]):
        found = all_sequences(predictor, sentence)
        best = list(max(found, key=found.get))
        assert found[tuple(best)] < 0.99
        assert predictor.predict([sentence]) == [convert(best, tag_scheme, scheme)]
        outer = scheme if set(names) == set(predictor.classes_) and scheme != "IOB1" else "BIO"
        expected = np.zeros((len(sentence), len(names)))
        for tags, probability in found.items():
            for i, tag in enumerate(convert(list(tags), tag_scheme, outer)):
                expected[i, names.index(tag)] += probability
        (marginals,) = predictor.predict_marginals([sentence])
        assert_allclose(marginals, expected, atol=2e-6)
        (found_spans,) = predictor.spans([sentence])
        assert [span[:3] for span in found_spans] == [tuple(span) for span in spans(best, tag_scheme)]
        for span in found_spans:
            wanted = sum(
                p for tags, p in found.items() if tuple(span[:3]) in map(tuple, spans(tags, tag_scheme))
            )
            assert span.probability == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("head", ["crf", "softmax"])
def test_marginals_and_span_probabilities_are_probabilities(head):
    predictor = scrambled(fitted_on(Y, head=head), 2, scale=8.0)
    for marginals, sentence in zip(predictor.predict_marginals(X + NEW), X + NEW, strict=True):
        assert marginals.shape == (len(sentence), len(predictor.marginal_tags))
        assert marginals.dtype == np.float32
        assert_allclose(marginals.sum(axis=1), 1, atol=1e-5)
        assert (marginals >= 0).all()
        assert (marginals <= 1).all()
    probabilities = [span.probability for found in predictor.spans(X + NEW) for span in found]
    assert len(probabilities) > 5
    assert all(0 <= probability <= 1 for probability in probabilities)


def test_transform_gives_features_of_each_token(tmp_path):
    tagger = fitted_on(Y, join="last", n_channels=6)
    sentences = [*X, [], ["zebra"], *NEW]
    features = tagger.transform(sentences)
    assert [rows.shape for rows in features] == [(len(sentence), 6) for sentence in sentences]
    assert {rows.dtype for rows in features} == {np.dtype(np.float32)}
    alone = [tagger.transform([sentence])[0] for sentence in sentences]
    assert all(a.tobytes() == b.tobytes() for a, b in zip(features, alone, strict=True))
    tagger.save(tmp_path / "m.textcnn")
    loaded = textcnn.load(tmp_path / "m.textcnn").transform(sentences)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(features, loaded, strict=True))


def test_plain_tags_make_every_token_a_span():
    y = [["NAME" if tag != "O" else "OTHER" for tag in tags] for tags in Y]
    predictor = fitted_on(y).predictor_
    assert predictor.scheme is None
    assert predictor.labels == predictor.marginal_tags == ["NAME", "OTHER"]
    for tags, found, marginals in zip(
        predictor.predict(X), predictor.spans(X), predictor.predict_marginals(X), strict=True
    ):
        assert [span.label for span in found] == tags
        assert [(span.start, span.stop) for span in found] == [(i, i + 1) for i in range(len(tags))]
        for i, span in enumerate(found):
            assert span.probability == marginals[i, ["NAME", "OTHER"].index(span.label)]


# What the scheme forbids


@pytest.mark.parametrize("head", ["crf", "softmax"])
@pytest.mark.parametrize("tag_scheme", ["BIO", "BIOES"])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("typeless", [False, True])
def test_random_weights_never_give_an_invalid_sequence(head, tag_scheme, scheme, typeless):
    y = [convert(tags, "BIO", scheme) for tags in Y]
    if typeless:
        y = [[tag[:1] for tag in tags] for tags in y]
    tagger = fitted_on(y, head=head, tag_scheme=tag_scheme, max_iter=1, linear_max_iter=1)
    assert tagger.scheme_ == ("typeless " + scheme if typeless else scheme)
    sentences = [[random.Random(i).choice("abcdefgh") for _ in range(12)] for i in range(30)]
    for seed in range(2):
        predictor = scrambled(tagger, seed)
        start, between, stop = allowed_transitions(predictor.classes_.tolist(), predictor.scheme)
        n_spans = 0
        for tags in predictor.predict(sentences):
            ids = [predictor.tags.tags.index(tag) for tag in tags]
            assert start[ids[0]]
            assert stop[ids[-1]]
            assert all(between[a, b] for a, b in pairwise(ids))
            assert convert(tags, predictor.scheme, predictor.scheme) == tags
            n_spans += len(spans(tags, predictor.scheme))
        assert n_spans > 20


# Text in


@pytest.mark.parametrize("sentences", ["split", "line"])
def test_tag_gives_character_offsets(fitted, sentences):
    predictor = scrambled(fitted, 3)
    texts = [TEXT, "", " \n ", "é" * 3, "北京 Paris 👍🏽 don't", "a" * 10_000]
    for text, tagged in zip(texts, predictor.tag(texts, sentences), strict=True):
        assert isinstance(tagged, TaggedText)
        assert tagged.text == text
        for span in tagged:
            assert text[span.start : span.stop] == span.text
            assert 0 <= span.probability <= 1
        bounds = list(zip(tagged.token_starts, tagged.token_stops, strict=True))
        assert [text[start:stop] for start, stop in bounds] == tagged.tokens
        assert len(tagged.tags) == len(tagged.tokens)
        cut = [tagged.tokens[first:last] for first, last in tagged.sentences]
        assert [tag for tags in predictor.predict(cut) for tag in tags] == tagged.tags
        assert [span.probability for found in predictor.spans(cut) for span in found] == [
            span.probability for span in tagged
        ]


def test_sentences_are_cut_or_not(fitted):
    assert len(fitted.tag(TEXT).sentences) > 1
    assert len(fitted.tag(TEXT, sentences="line").sentences) == TEXT.count("\n") + 1
    with pytest.raises(ValueError, match="sentences is 'no', but it must be one of split, line"):
        fitted.tag(TEXT, sentences="no")


def test_tagged_text_is_a_sequence_of_spans(fitted):
    tagged = fitted.tag("Ms. Haag saw New York.")
    assert len(tagged) == len(tagged.spans) == len(list(tagged))
    assert len(tagged) > 0
    assert tagged[0] is tagged.spans[0]
    assert tagged[-1:] == tagged.spans[-1:]
    assert repr(tagged) == repr(tagged.spans)
    assert "Haag" in tagged._repr_html_()


def test_tag_takes_a_str_or_any_container_of_str(fitted):
    expected = fitted.tag(["Ms. Haag", "Paris"])
    for texts in (("Ms. Haag", "Paris"), iter(["Ms. Haag", "Paris"]), np.array(["Ms. Haag", "Paris"])):
        assert [tagged.spans for tagged in fitted.tag(texts)] == [tagged.spans for tagged in expected]
    assert fitted.tag([]) == []
    assert fitted.tag("").spans == []


@pytest.mark.parametrize("text", [None, 5, b"Paris", [b"Paris"], [["Paris"]], ["a", None], [1.5]], ids=str)
def test_tag_refuses_other_things(fitted, text):
    with pytest.raises(TypeError, match="tag takes a str or a list of str"):
        fitted.tag(text)


# Input


def test_nothing_and_empty_sentences(fitted):
    assert fitted.predict([]) == fitted.predict_marginals([]) == fitted.spans([]) == []
    assert fitted.predict([[]]) == fitted.spans([[]]) == [[]]
    assert fitted.predict([""]) == [[]]
    assert [m.shape for m in fitted.predict_marginals([[], ["a"]])] == [(0, 5), (1, 5)]


def test_strings_are_cut_into_tokens(fitted):
    assert fitted.predict(["Ms. Haag plays."]) == fitted.predict([["Ms.", "Haag", "plays", "."]])


@pytest.mark.parametrize(
    "container", [tuple, iter, lambda x: np.array(x, dtype=object), lambda x: [tuple(s) for s in x],
                  lambda x: [np.array(s, dtype=str) for s in x]]
)  # fmt: skip
def test_containers_of_sentences(fitted, container):
    assert fitted.predict(container(X)) == fitted.predict(X)


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        ("Ms. Haag", "single string"),
        ([["Ms.", 5]], r"X\[0\]\[1\]"),
        ([["a"], None], r"X\[1\] is None"),
        ([["a"], 7], r"X\[1\]"),
        ([["a", ["b"]]], r"X\[0\]\[1\]"),
        (None, "NoneType"),
        (5, "int"),
        ({"a": "b"}, "dict"),
    ],
    ids=str,
)
def test_other_input_is_refused(fitted, sentences, message):
    for function in (fitted.predict, fitted.predict_marginals, fitted.spans):
        with pytest.raises((ValueError, TypeError), match=message):
            function(sentences)


def test_a_sentence_has_the_same_bits_alone_and_in_a_batch(fitted, monkeypatch):
    together = fitted.predict_marginals(X + NEW)
    for sentence, expected in zip(X + NEW, together, strict=True):
        assert fitted.predict_marginals([sentence])[0].tobytes() == expected.tobytes()
    monkeypatch.setattr("textcnn.tag_predictor.TOKENS_PER_CHUNK", 5)
    for marginals, expected in zip(fitted.predict_marginals(X + NEW), together, strict=True):
        assert marginals.tobytes() == expected.tobytes()


def test_long_sentences_are_tagged_in_parts(fitted, monkeypatch):
    sentence = [token for tokens in X * 20 for token in tokens]
    expected = fitted.predict([sentence])
    monkeypatch.setattr("textcnn.nn.tagging_inference.LONGEST_PART", 40)
    assert fitted.predict([sentence]) == expected


# Model files


def test_ways_to_the_same_bits(fitted, path, tmp_path):
    for other in (
        textcnn.load(path),
        textcnn.load(path, mmap=True),
        TextCNNTagger.load(path),
        TextCNNTagger.load(path, mmap=True),
        pickle.loads(pickle.dumps(fitted)),
        copy.deepcopy(fitted),
    ):
        assert_same_predictions(other, fitted)
    textcnn.load(path).save(tmp_path / "again.textcnn")
    again = textcnn.load(tmp_path / "again.textcnn")
    assert isinstance(again, TagPredictor)
    assert_same_predictions(again, fitted)
    with pytest.raises(ModelFileError, match="holds a TagPredictor, not a TextCNNTagger"):
        TextCNNTagger.load(tmp_path / "again.textcnn")


@pytest.mark.parametrize(
    "params",
    [
        {"linear": 0},
        {"head": "softmax"},
        {"join": "every"},
        {"dilations": ()},
        {"n_char_filters": 0},
        {"prefix_lengths": (), "suffix_lengths": (), "shapes": False},
        {"share_weights": False},
        {"embeddings": {"haag": [1.0, 2.0]}, "embedding_mode": "static"},
        {"tag_scheme": "BIO"},
        {"lowercase": False},
    ],
    ids=str,
)
def test_every_kind_of_network_comes_back_from_its_file(params, tmp_path):
    tagger = fitted_on(Y, **params, max_iter=1)
    tagger.save(tmp_path / "m.textcnn")
    assert_same_predictions(textcnn.load(tmp_path / "m.textcnn"), tagger)


@pytest.mark.parametrize("scheme", [*SCHEMES, None])
def test_every_scheme_comes_back_from_its_file(scheme, tmp_path):
    y = [["N" if tag != "O" else "V" for tag in tags] for tags in Y]
    if scheme:
        y = [convert(tags, "BIO", scheme) for tags in Y]
    tagger = fitted_on(y, max_iter=1)
    tagger.save(tmp_path / "m.textcnn")
    loaded = textcnn.load(tmp_path / "m.textcnn")
    assert loaded.scheme == tagger.scheme_
    assert loaded.classes_.tolist() == tagger.classes_.tolist()
    assert_same_predictions(loaded, tagger)


def test_files_of_a_classifier_and_of_a_tagger_are_told_apart(path, tmp_path):
    classifier = textcnn.TextCNNClassifier(max_iter=1).fit(["a b", "c d"], [0, 1])
    classifier.save(tmp_path / "c.textcnn")
    with pytest.raises(ModelFileError, match="holds a TextCNNClassifier"):
        TextCNNTagger.load(tmp_path / "c.textcnn")
    with pytest.raises(ModelFileError, match="holds a TextCNNTagger"):
        textcnn.TextCNNClassifier.load(path)


def assert_refused_or_harmless(file):
    """A file is refused, or gives a model that predicts."""
    try:
        predictor = textcnn.load(file, n_jobs=1)
    except ModelFileError:
        loaded = False
    else:
        loaded = True
        for tags, sentence in zip(predictor.predict(X[:5] + NEW), X[:5] + NEW, strict=True):
            assert len(tags) == len(sentence)
            assert all(type(tag) is str for tag in tags)
        assert len(predictor.predict_marginals(X[:5])) == 5
        predictor.spans(X[:5])
    try:
        tagger = TextCNNTagger.load(file)
    except ModelFileError:
        return loaded
    assert tagger.predict(X[:2]) == predictor.predict(X[:2])
    assert isinstance(tagger.loss_, float)
    assert tagger.best_validation_score_ is None or isinstance(tagger.best_validation_score_, float)
    return loaded


VALUES = [
    None, True, False, 0, 1, -1, 2, 7, 2**24, 2**31, 2**40, 2**70, 0.5, -0.5, 1e300, float("inf"), "", "BIO",
    "IOB1", "crf", "softmax", "last", "typeless BIO", "x", [], [0], [1], [1, 2], [1, 1], [-1], [2**40], ["a"],
    ["O"], [[1]], {}, {"a": 1}, [None], "char", "TagPredictor", [0.5], [True],
]  # fmt: skip


def places(value, prefix=()):
    """Paths to every value inside a JSON value."""
    found = [prefix] if prefix else []
    if isinstance(value, dict):
        for key, item in value.items():
            found += places(item, (*prefix, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            found += places(item, (*prefix, i))
    return found


def altered_config(config, rng):
    config = copy.deepcopy(config)
    *way, last = rng.choice(places(config))
    target = config
    for step in way:
        target = target[step]
    if rng.random() < 0.15:
        del target[last]
    else:
        target[last] = copy.deepcopy(rng.choice(VALUES))
    return config


def altered_arrays(arrays, rng):
    arrays = dict(arrays)
    name = rng.choice(sorted(arrays))
    array = arrays[name]
    numbers = np.random.default_rng(rng.randrange(2**32))
    changes = [
        lambda: array[:-1],
        lambda: array[..., :-1],
        lambda: np.concatenate([array, array]),
        lambda: array[np.newaxis],
        lambda: array.reshape(-1),
        lambda: array.T,
        lambda: array[::-1],
        lambda: array[:0],
        lambda: array.astype(np.float64),
        lambda: array.astype(np.int32),
        lambda: array.astype(np.int64),
        lambda: array.astype(np.uint8),
        lambda: -array if array.dtype.kind != "u" else ~array,
        lambda: array * 0 + (np.nan if array.dtype.kind == "f" else 1),
        lambda: numbers.permutation(array),
        lambda: numbers.integers(0, 256, array.shape).astype(array.dtype),
        lambda: (numbers.random(array.shape) * 2**31).astype(array.dtype),
    ]
    if rng.random() < 0.05:
        del arrays[name]
    else:
        arrays[name] = np.ascontiguousarray(rng.choice(changes)())
    return arrays


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seed", range(6))
def test_altered_configurations_and_arrays_never_crash(path, tmp_path, seed):
    arrays, config = load_arrays(path)
    rng, n_refused = random.Random(seed), 0
    for i in range(70):
        changed = (arrays, altered_config(config, rng)) if i % 2 else (altered_arrays(arrays, rng), config)
        save_arrays(tmp_path / "m.textcnn", *changed)
        n_refused += not assert_refused_or_harmless(tmp_path / "m.textcnn")
    assert n_refused > 20


@pytest.mark.parametrize(
    "change",
    [
        {"tags": ["O", 5]}, {"tags": "OBI"}, {"tags": []}, {"tags": None}, {"scheme": "XYZ"},
        {"scheme": None},
        {"inner_scheme": "BIO"}, {"inner_scheme": 3}, {"analyzer": "line"}, {"share": 2.0}, {"share": -1},
        {"share": "a"}, {"share": None, "layout": {}}, {"encoder": {}}, {"params": None},
        {"frozen_words": []},
    ],
    ids=str,
)  # fmt: skip
def test_settings_that_do_not_fit_are_refused(path, tmp_path, change):
    arrays, config = load_arrays(path)
    save_arrays(tmp_path / "m.textcnn", arrays, config | change)
    with pytest.raises(ModelFileError, match="no valid model file"):
        textcnn.load(tmp_path / "m.textcnn")


@pytest.mark.parametrize(
    "change",
    [
        {"n_iter": "x"}, {"n_iter": None}, {"loss_curve": 5}, {"loss_curve": "abc"}, {"loss_curve": ["a"]},
        {"validation_scores": "abc"}, {"validation_scores": [None]}, {"validation_scores": 5},
    ],
    ids=str,
)  # fmt: skip
def test_a_history_that_makes_no_sense_is_refused(path, tmp_path, change):
    arrays, config = load_arrays(path)
    config["params"]["fitted"] |= change
    save_arrays(tmp_path / "m.textcnn", arrays, config)
    with pytest.raises(ModelFileError, match="is no valid model file"):
        TextCNNTagger.load(tmp_path / "m.textcnn")


def test_a_file_cut_short_or_altered_anywhere_is_refused(path, tmp_path):
    content = bytearray(path.read_bytes())
    broken = tmp_path / "m.textcnn"
    for n in [*range(0, 600, 31), *np.linspace(600, len(content) - 1, 30, dtype=int)]:
        broken.write_bytes(content[:n])
        with pytest.raises(ModelFileError):
            textcnn.load(broken)
        content[n] ^= 0x10
        broken.write_bytes(content)
        with pytest.raises(ModelFileError):
            textcnn.load(broken)
        content[n] ^= 0x10


# Processes and threads


def test_prediction_imports_neither_sklearn_nor_scipy(path):
    code = (
        "import sys, textcnn\n"
        f"model = textcnn.load({str(path)!r})\n"
        "print(model.predict([['Ms.', 'Haag']])[0], len(model.tag('Ms. Haag').tokens))\n"
        "print(sorted({'sklearn', 'scipy', 'joblib', 'tqdm'} & set(sys.modules)))"
    )
    paths = [str(os.path.dirname(os.path.dirname(textcnn.__file__)))]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])}
    finished = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert finished.stdout.splitlines()[1] == "[]"
    assert finished.stdout.splitlines()[0].endswith("2")


def test_eight_threads_share_one_predictor(path):
    predictor = textcnn.load(path)
    expected = predictor.spans(X + NEW)
    results, start = [None] * 8, threading.Barrier(8)

    def work(i):
        start.wait()
        results[i] = [predictor.spans(X + NEW) for _ in range(10)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found == expected for result in results for found in result)


def in_child(tagger, queue):
    queue.put((tagger.predict(X), TextCNNTagger(**PARAMS, n_jobs=2).fit(X, Y).predict(X)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_predicts_and_trains_after_threads_in_the_parent(fitted):
    wide = TextCNNTagger(**(PARAMS | {"n_channels": 100, "max_iter": 2}), n_jobs=2).fit(X * 10, Y * 10)
    expected = wide.predict(X)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=in_child, args=(wide, queue))
    child.start()
    try:
        predicted, trained = queue.get(timeout=60)
    finally:
        child.kill()
        child.join()
    assert predicted == expected
    assert trained == fitted.predict(X)


def test_repr_and_names(fitted):
    predictor = fitted.predictor_
    assert repr(predictor).startswith("<TagPredictor of 5 tags")
    assert predictor.labels == ["LOC", "PER"]
    assert predictor.marginal_tags == ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]
    assert isinstance(fitted.spans([["Haag"] * 3])[0], list)
    assert all(isinstance(span, TokenSpan) for found in fitted.spans(X) for span in found)


@pytest.mark.parametrize(
    ("text", "split", "line"),
    [
        ("Ann came\n\nBob went", [(0, 2), (2, 4)], [(0, 2), (2, 4)]),
        ("Ann came\r\n \r\nBob went", [(0, 2), (2, 4)], [(0, 2), (2, 4)]),
        ("Ann came to\nBob. He went.", [(0, 5), (5, 8)], [(0, 3), (3, 8)]),
        ("\n\n", [], []),
        ("", [], []),
        ("\nAnn\n", [(0, 1)], [(0, 1)]),
        ("Ann\n\n\n\nBob\nCy", [(0, 1), (1, 3)], [(0, 1), (1, 2), (2, 3)]),
        ("Ann \n\u2003\nBob \n\u200d\n Cy", [(0, 1), (1, 3)], [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_a_blank_line_ends_a_sentence_and_lines_may_be_sentences(text, split, line):
    words = tokenize(text)
    assert _split_bounds(text, words) == split
    assert _line_bounds(text, words) == line
