"""`Predictor`: model files, start-up without scikit-learn, threads, forks."""

import multiprocessing
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from samples import reviews, same_bits

import textcnn
from textcnn import ModelFileError, TextCNNClassifier
from textcnn.io import encode_classes, load_arrays, save_arrays
from textcnn.predictor import TOKENS_PER_PIECE, pieces

X, Y = reviews()
PARAMS = {"embedding_dim": 8, "n_filters": 4, "kernel_sizes": (1, 3), "max_iter": 3, "random_state": 0}


@pytest.fixture(scope="module")
def fitted():
    return TextCNNClassifier(**PARAMS).fit(X, Y)


@pytest.fixture(scope="module")
def path(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.textcnn"
    fitted.save(path)
    return path


def test_three_ways_to_the_same_bits(fitted, path):
    expected = fitted.predict_proba(X)
    loaded = TextCNNClassifier.load(path)
    assert (textcnn.load(path).predict_proba(X) == expected).all()
    assert (textcnn.load(path, mmap=True).predict_proba(X) == expected).all()
    assert (loaded.predict_proba(X) == expected).all()
    assert same_bits(loaded, fitted)
    assert loaded.get_params() == fitted.get_params()
    assert loaded.loss_curve_ == fitted.loss_curve_
    assert loaded.n_iter_ == 3
    assert loaded.vocabulary_ == fitted.vocabulary_


def test_a_loaded_classifier_can_be_trained_on(path):
    loaded = TextCNNClassifier.load(path)
    loaded.partial_fit(X, Y)
    assert loaded.fit(X, Y).n_iter_ == 3


def test_a_predictor_saves_itself(path, tmp_path):
    textcnn.load(path).save(tmp_path / "again.textcnn")
    again = textcnn.load(tmp_path / "again.textcnn")
    assert (again.predict_proba(X) == textcnn.load(path).predict_proba(X)).all()
    with pytest.raises(ModelFileError, match="holds a Predictor, not a TextCNNClassifier"):
        TextCNNClassifier.load(tmp_path / "again.textcnn")


@pytest.mark.parametrize(
    "labels",
    [[0, 1], [-5, 2**40], [True, False], ["é", "\ud800"], [0.5, 2.0], np.array([3, 7], np.int8)],
    ids=str,
)
def test_labels_keep_their_type(labels, tmp_path):
    labels = np.asarray(labels)
    if labels.dtype.kind == "f":
        labels = labels.astype(int).astype(float)
    model = TextCNNClassifier(**PARAMS).fit(["a", "b"], labels)
    model.save(tmp_path / "m.textcnn")
    loaded = textcnn.load(tmp_path / "m.textcnn").predict(["a", "b"])
    assert loaded.dtype == model.predict(["a", "b"]).dtype
    assert loaded.tolist() == model.predict(["a", "b"]).tolist()


def test_parameters_that_json_does_not_know(tmp_path):
    model = TextCNNClassifier(**PARAMS).set_params(
        class_weight={0: 1.0, 1: np.float64(2.5)},
        random_state=np.random.RandomState(0),
        embeddings={"dull": [0.1, 0.2]},
        n_filters=np.int64(4),
    )
    model.fit(X, [int(label == "good") for label in Y]).save(tmp_path / "m.textcnn")
    loaded = TextCNNClassifier.load(tmp_path / "m.textcnn")
    assert loaded.class_weight == {0: 1.0, 1: 2.5}
    assert loaded.random_state is None
    assert loaded.kernel_sizes == (1, 3)
    with pytest.raises(ValueError, match="embedding_mode is 'fine-tuned', but embeddings is None"):
        loaded.fit(X, Y)


def test_a_callable_analyzer_refuses_to_be_saved(tmp_path):
    model = TextCNNClassifier(**PARAMS).set_params(analyzer=str.split).fit(X, Y)
    with pytest.raises(ValueError, match="callable analyzer"):
        model.save(tmp_path / "m.textcnn")
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_leaves_the_old_one(fitted, tmp_path, monkeypatch):
    target = tmp_path / "m.textcnn"
    fitted.save(target)
    before = target.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *args: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        fitted.save(target)
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_cut_anywhere_is_refused(path, tmp_path):
    content = path.read_bytes()
    broken = tmp_path / "m.textcnn"
    for n in [*range(0, 600, 7), *np.linspace(600, len(content) - 1, 60, dtype=int)]:
        broken.write_bytes(content[:n])
        with pytest.raises(ModelFileError):
            textcnn.load(broken)


def test_a_file_altered_anywhere_is_refused(path, tmp_path):
    content = bytearray(path.read_bytes())
    broken = tmp_path / "m.textcnn"
    for n in [*range(0, 900, 11), *np.linspace(900, len(content) - 1, 60, dtype=int)]:
        content[n] ^= 0x10
        broken.write_bytes(content)
        with pytest.raises(ModelFileError):
            textcnn.load(broken)
        content[n] ^= 0x10


def test_other_files_are_refused(tmp_path):
    for name, content in {
        "empty": b"",
        "text": b"label\ttext\n" * 99,
        "pickle": b"\x80\x04" + b"K" * 200,
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelFileError, match=name):
            TextCNNClassifier.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        textcnn.load(tmp_path / "missing")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("embedding", lambda a: a[:-1]),
        ("filters", lambda a: a[:, :-1]),
        ("weights", lambda a: a.astype(np.float64)),
        ("bias", lambda a: a * np.nan),
        ("filter_bias", lambda a: a[np.newaxis]),
        ("vocabulary.offsets", lambda a: a[::-1].copy()),
        ("vocabulary.bytes", lambda a: a[:-2]),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(path, tmp_path, name, change):
    arrays, config = load_arrays(path)
    arrays[name] = change(arrays[name])
    save_arrays(tmp_path / "m.textcnn", arrays, config)
    with pytest.raises(ModelFileError, match="no valid model file"):
        textcnn.load(tmp_path / "m.textcnn")


@pytest.mark.parametrize(
    "change",
    [
        {"kernel_sizes": [0]},
        {"kernel_sizes": "13"},
        {"n_filters": 2**40},
        {"padding": "odd"},
        {"analyzer": "line"},
        {"n_frozen": 99},
        {"classes": None},
        {"params": 3},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(path, tmp_path, change):
    arrays, config = load_arrays(path)
    save_arrays(tmp_path / "m.textcnn", arrays, config | change)
    with pytest.raises(ModelFileError):
        textcnn.load(tmp_path / "m.textcnn")


NEW_TEXTS = [*X, "", "splendidly zebra", "zebra", "the SPLENDID Zebra, 3rd!"]


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    ("char_ngram_range", "shape_ngrams"), [(None, True), ((2, 4), True), ((2, 4), False)]
)
def test_the_linear_part_survives_a_model_file(tmp_path, n_classes, char_ngram_range, shape_ngrams):
    model = TextCNNClassifier(
        **PARAMS, char_ngram_range=char_ngram_range, shape_ngrams=shape_ngrams, linear=0.3, ngram_range=[1, 2]
    )
    model.fit(X, np.arange(80) % n_classes).save(tmp_path / "m.textcnn")
    expected = model.predict_proba(NEW_TEXTS)
    for loaded in (
        textcnn.load(tmp_path / "m.textcnn"),
        textcnn.load(tmp_path / "m.textcnn", mmap=True),
        TextCNNClassifier.load(tmp_path / "m.textcnn"),
        pickle.loads(pickle.dumps(textcnn.load(tmp_path / "m.textcnn", mmap=True))),
    ):
        assert (loaded.predict_proba(NEW_TEXTS) == expected).all()
        logits = np.array([explanation.logits for explanation in loaded.explain(NEW_TEXTS)])
        assert (logits.argmax(axis=1) == expected.argmax(axis=1)).all()
    params = TextCNNClassifier.load(tmp_path / "m.textcnn").get_params()
    assert (params["ngram_range"], params["char_ngram_range"]) == ((1, 2), char_ngram_range)
    assert (params["linear"], params["shape_ngrams"]) == (0.3, shape_ngrams)


def test_a_model_without_a_linear_part_survives_a_model_file(path, tmp_path):
    model = TextCNNClassifier(**PARAMS, linear=0).fit(X, Y)
    model.save(tmp_path / "m.textcnn")
    loaded = textcnn.load(tmp_path / "m.textcnn")
    assert loaded.linear is None
    assert (loaded.predict_proba(NEW_TEXTS) == model.predict_proba(NEW_TEXTS)).all()
    # A file from before there were linear parts does not speak of them.
    arrays, config = load_arrays(tmp_path / "m.textcnn")
    del config["linear"]
    save_arrays(tmp_path / "old.textcnn", arrays, config)
    old = textcnn.load(tmp_path / "old.textcnn")
    assert (old.predict_proba(NEW_TEXTS) == model.predict_proba(NEW_TEXTS)).all()


def test_several_members_survive_a_model_file(tmp_path):
    model = TextCNNClassifier(**PARAMS, n_members=2).fit(X, Y)
    model.save(tmp_path / "m.textcnn")
    loaded = TextCNNClassifier.load(tmp_path / "m.textcnn")
    assert (loaded.predict_proba(NEW_TEXTS) == model.predict_proba(NEW_TEXTS)).all()
    assert loaded.n_members == 2


def with_nan(array):
    array = array.copy()
    array.flat[-1] = np.nan
    return array


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *[
            (name, change)
            for name in ("word_scores", "coef")
            for change in (
                lambda a: a[:-1],
                lambda a: a[:0],
                lambda a: a[:, 0],
                lambda a: np.hstack([a, a]),
                lambda a: a[:, :0],
                lambda a: a.astype(np.float64),
                lambda a: a.astype(np.int32),
                with_nan,
            )
        ],
        ("frequent", lambda a: a[:-1]),
        ("frequent", lambda a: np.append(a, a)),
        ("frequent", lambda a: a[:, np.newaxis]),
        ("frequent", lambda a: a[0]),
        ("frequent", lambda a: a.astype(np.uint8)),
        ("frequent", lambda a: a.astype(np.float32)),
        ("frequent", lambda a: a[:0].astype(np.int32)),
        ("keys", lambda a: a[:-1]),
        ("keys", lambda a: a[:0]),
        ("keys", lambda a: a[:, np.newaxis]),
        ("keys", lambda a: a[0]),
        ("keys", lambda a: a.astype(np.float64)),
        ("keys", lambda a: a.astype(np.int32)),
        ("keys", lambda a: a.view(np.uint8)),
        ("intercept", lambda a: a[:0]),
        ("intercept", lambda a: np.append(a, a)),
        ("intercept", lambda a: a[0]),
        ("intercept", lambda a: a.astype(np.float32)),
        ("intercept", lambda a: a * np.nan),
        ("intercept", lambda a: a + np.inf),
    ],
)
def test_arrays_of_the_linear_part_that_do_not_fit_are_refused(path, tmp_path, name, change):
    arrays, config = load_arrays(path)
    arrays[f"linear.{name}"] = change(arrays[f"linear.{name}"])
    save_arrays(tmp_path / "m.textcnn", arrays, config)
    for load in (textcnn.load, TextCNNClassifier.load):
        with pytest.raises(ModelFileError, match="no valid model file"):
            load(tmp_path / "m.textcnn")


@pytest.mark.parametrize("name", ["word_scores", "frequent", "keys", "coef", "intercept"])
def test_a_linear_part_that_lacks_an_array_is_refused(path, tmp_path, name):
    arrays, config = load_arrays(path)
    del arrays[f"linear.{name}"]
    save_arrays(tmp_path / "m.textcnn", arrays, config)
    with pytest.raises(ModelFileError, match=name):
        textcnn.load(tmp_path / "m.textcnn")


@pytest.mark.parametrize(
    "change",
    [
        *[{"share": share} for share in (0.0, 1.0, -0.5, 2.0, 1, "0.5", None, [0.5], True)],
        *[{"n_known": n_known} for n_known in (0, -1, 10**6, 2**70, 2.0, "2", None, True)],
        *[
            {name: value}
            for name in ("ngram_range", "char_ngram_range")
            for value in ([0, 1], [2, 1], [1, 21], [1], [1, 2, 3], [1.0, 2.0], ["1", "2"], "12", 3, {}, True)
        ],
        {"ngram_range": None},
        {"ngram_range": [1, 2**70]},
        *[{"linear": value} for value in (3, 0, "linear", [], {}, True, False, {"share": 0.5})],
    ],
    ids=str,
)
def test_settings_of_the_linear_part_that_make_no_sense_are_refused(path, tmp_path, change):
    arrays, config = load_arrays(path)
    config["linear"] = change.get("linear", {**config["linear"], **change})
    save_arrays(tmp_path / "m.textcnn", arrays, config)
    with pytest.raises(ModelFileError, match="no valid model file"):
        textcnn.load(tmp_path / "m.textcnn")


def test_a_linear_part_beside_a_network_of_one_class_is_refused(path, tmp_path):
    arrays, config = load_arrays(path)
    arrays["weights"], arrays["bias"] = arrays["weights"][:1], arrays["bias"][:1]
    config["classes"] = encode_classes(np.array(["good"]))
    save_arrays(tmp_path / "m.textcnn", arrays, config)
    with pytest.raises(ModelFileError, match="two or more classes"):
        textcnn.load(tmp_path / "m.textcnn")


def test_any_keys_and_coefficients_are_safe(path, tmp_path):
    # Keys that are all equal are odd but no danger; very many that lead to one place would cost hours.
    arrays, config = load_arrays(path)
    n = len(arrays["linear.keys"])
    for keys in (np.zeros(n, np.int64), np.minimum(np.arange(n), 900) << 32, np.full(n, -1)):
        arrays["linear.keys"] = keys.astype(np.int64)
        save_arrays(tmp_path / "m.textcnn", arrays, config)
        assert np.isfinite(textcnn.load(tmp_path / "m.textcnn").predict_proba(NEW_TEXTS)).all()
    arrays["linear.keys"] = np.arange(n) << 32
    save_arrays(tmp_path / "m.textcnn", arrays, config)
    with pytest.raises(ModelFileError, match="lead to one place"):
        textcnn.load(tmp_path / "m.textcnn")


def test_pieces_do_not_change_scores(fitted, monkeypatch):
    texts = [*NEW_TEXTS, "unheard words here", "", "and others there"] * 3
    expected = fitted.predict_proba(texts)
    for n_tokens in (1, 5, 20):
        monkeypatch.setattr("textcnn.predictor.TOKENS_PER_PIECE", n_tokens)
        assert (fitted.predict_proba(texts) == expected).all()


def test_explain_asks_a_callable_analyzer_once():
    calls = []

    def analyzer(text):
        calls.append(text)
        return text.split()[: 1 + len(calls) % 3]  # never the same twice

    model = TextCNNClassifier(analyzer=analyzer, random_state=0, max_iter=1).fit(
        ["good film now", "bad film now"] * 3, [1, 0] * 3
    )
    calls.clear()
    for explanation in model.explain(["good film now", "bad film today"] * 3):
        assert all(ngram.end <= len(explanation.tokens) for ngram in explanation.ngrams)
    assert len(calls) == 6


def test_scores_do_not_depend_on_company(fitted):
    together = fitted.predict_proba(NEW_TEXTS)
    alone = np.concatenate([fitted.predict_proba([text]) for text in NEW_TEXTS])
    assert (alone == together).all()


def test_unknown_parameters_are_refused(path, tmp_path):
    arrays, config = load_arrays(path)
    config["params"]["colour"] = "red"
    save_arrays(tmp_path / "m.textcnn", arrays, config)
    with pytest.raises(ModelFileError, match="colour"):
        TextCNNClassifier.load(tmp_path / "m.textcnn")


def test_prediction_starts_without_scikit_learn_and_scipy(path):
    code = (
        "import sys, textcnn\n"
        f"model = textcnn.load({str(path)!r})\n"
        "assert model.linear is not None\n"
        "print(model.predict(['a splendid play'])[0])\n"
        "model.explain(['a zebra'])\n"
        "print(sorted({'sklearn', 'scipy', 'joblib', 'tqdm'} & set(sys.modules)))"
    )
    finished = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines()[1] == "[]"
    assert finished.stdout.splitlines()[0] in {"good", "bad"}


def test_packages_are_there_without_an_import_of_their_own():
    source = (
        "import sys, textcnn\n"
        "print('textcnn.ops' in sys.modules, textcnn.ops.relu(-1.0), len(textcnn.data.load_messages()[0]))\n"
        "print(callable(textcnn.metrics.span_scores), callable(textcnn.inspection.top_ngrams))"
    )
    result = subprocess.run([sys.executable, "-P", "-c", source], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "0.0", "704", "True", "True"]
    with pytest.raises(AttributeError, match="module 'textcnn' has no attribute 'opps'"):
        textcnn.opps  # noqa: B018


def test_eight_threads_on_a_cold_cache_see_what_one_sees(fitted, path):
    texts = X * 20
    expected = fitted.predict_proba(texts)
    for _ in range(5):
        predictor = textcnn.load(path)
        results = [None] * 8
        start = threading.Barrier(8)

        def work(i, predictor=predictor, results=results, start=start):
            start.wait()
            results[i] = predictor.predict_proba(texts)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all((result == expected).all() for result in results)


def in_child(model, queue):
    again = TextCNNClassifier(**PARAMS, n_jobs=2).fit(X, Y)
    queue.put((model.predict(X).tolist(), again.predict(X).tolist()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_predicts_and_trains_after_threads_in_the_parent(fitted):
    wide = TextCNNClassifier(**(PARAMS | {"n_filters": 200, "embedding_dim": 200}), n_jobs=2).fit(
        X * 5, Y * 5
    )
    expected = wide.predict(X).tolist()
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
    assert trained == fitted.predict(X).tolist()


def test_batches_are_cut_between_texts():
    lengths = np.array([3, 0, TOKENS_PER_PIECE + 5, 1, TOKENS_PER_PIECE // 2, TOKENS_PER_PIECE // 2, 7, 0])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
    ids = np.arange(offsets[-1], dtype=np.int32)
    parts = pieces(ids, offsets, TOKENS_PER_PIECE)
    assert len(parts) > 1
    assert np.concatenate([np.diff(part[1]) for part in parts]).tolist() == lengths.tolist()
    assert (np.concatenate([part[0] for part in parts]) == ids).all()
    assert all(part[1][0] == 0 and part[1][-1] == len(part[0]) for part in parts)
