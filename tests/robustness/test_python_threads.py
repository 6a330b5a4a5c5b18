"""Python threads that share a model get the results of one thread."""

import copy
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from samples import reviews

from textcnn import TextCNNClassifier, TextCNNRegressor, TextCNNTagger
from textcnn.nn import Conv1d, Pool1d, Sequential
from textcnn.text.vocabulary import Vocabulary

TEXTS, LABELS = reviews(200)
SENTENCES = [text.split() for text in TEXTS]
TAGS = [["B-X" if len(word) == 5 else "O" for word in sentence] for sentence in SENTENCES]
UNKNOWN = ["an unheard of playwright", "", "9,99 for THAT?"]
SMALL = {"embedding_dim": 16, "max_iter": 2, "random_state": 0}
N_THREADS = 8


def fitted(n_jobs):
    """Models of every kind, by name."""
    params = SMALL | {"n_jobs": n_jobs}
    body = Sequential(Conv1d(16, 3), Pool1d())
    vectors = np.random.RandomState(0).randn(60, 5, 4).astype(np.float32)
    return {
        "classifier": TextCNNClassifier(**params).fit(TEXTS, LABELS),
        "labels": TextCNNClassifier(**params).fit(TEXTS, np.arange(400).reshape(200, 2) % 3 == 0),
        "layers": TextCNNClassifier(**params, body=body, linear=0).fit(TEXTS, LABELS),
        "characters": TextCNNClassifier(**params, analyzer="char").fit(TEXTS, LABELS),
        "embedded": TextCNNClassifier(max_iter=2, random_state=0, n_jobs=n_jobs).fit(vectors, LABELS[:60]),
        "regressor": TextCNNRegressor(**params).fit(TEXTS, np.arange(200)),
        "tagger": TextCNNTagger(**params).fit(SENTENCES, TAGS),
    }, vectors


def calls(models, vectors):
    """What each thread calls: functions without arguments whose results can be compared with ==."""
    some = TEXTS + UNKNOWN
    tagger = models["tagger"]
    found = [
        lambda: tagger.predict(SENTENCES),
        lambda: [[tuple(span) for span in text] for text in tagger.tag(some)],
        lambda: tagger.spans(SENTENCES[:40]),
        lambda: [rows.tobytes() for rows in tagger.predict_marginals(SENTENCES)],
        lambda: models["labels"].predict_proba(some).tobytes(),
        lambda: models["regressor"].predict(some).tobytes(),
        lambda: models["embedded"].predict_proba(vectors).tobytes(),
    ]
    for name in ("classifier", "layers", "characters"):
        model = models[name]
        found += [
            lambda model=model: model.predict_proba(some).tobytes(),
            lambda model=model: model.transform(some).tobytes(),
            lambda model=model: [explained(one) for one in model.explain(some[-20:])],
        ]
    return found


def explained(explanation):
    ngrams = [(ngram.text, ngram.span, ngram.contributions.tobytes()) for ngram in explanation.ngrams]
    return explanation.label, explanation.logits.tobytes(), ngrams


def assert_threads_agree(n_jobs, seconds):
    """8 threads call everything in orders of their own, on models whose caches are empty at first."""
    models, vectors = fitted(n_jobs)
    expected = [call() for call in calls(models, vectors)]
    end = time.monotonic() + seconds
    wrong, n_rounds = [], [0] * N_THREADS

    def work(which, functions, start):
        order = np.random.RandomState(which).permutation(len(functions))
        start.wait()
        try:
            for i in order:
                if functions[i]() != expected[i]:
                    wrong.append(i)
        except BaseException as error:
            wrong.append(error)
            raise
        n_rounds[which] += 1

    while not wrong and (time.monotonic() < end or not all(n_rounds)):
        fresh = calls(copy.deepcopy(models), vectors)
        start = threading.Barrier(N_THREADS)
        threads = [threading.Thread(target=work, args=(i, fresh, start)) for i in range(N_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong
    assert min(n_rounds) > 0


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_eight_threads_get_the_results_of_one(n_jobs):
    assert_threads_agree(n_jobs, 1)


@pytest.mark.long
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_eight_threads_get_the_results_of_one_for_a_minute(n_jobs):
    assert_threads_agree(n_jobs, 60)


def test_threads_that_change_places_often_get_the_results_of_one():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        assert_threads_agree(1, 1)
    finally:
        sys.setswitchinterval(interval)


def test_threads_may_fit_models_of_their_own():
    expected = fitted_arrays(1)
    with ThreadPoolExecutor(N_THREADS) as pool:
        assert list(pool.map(fitted_arrays, [1, 2] * N_THREADS)) == [expected] * (2 * N_THREADS)


def fitted_arrays(n_jobs):
    network = TextCNNClassifier(**SMALL, n_jobs=n_jobs).fit(TEXTS, LABELS).predictor_.network
    return [array.tobytes() for _, array in sorted(network.copy_arrays().items())]


def test_a_vocabulary_may_grow_while_others_use_it():
    vocabulary = Vocabulary(["good", "bad"])
    stop = threading.Event()

    def encoded():
        """What four words become; w1 and w299 are new, and known at some time."""
        found = set()
        while not stop.is_set():
            found.update(map(tuple, vocabulary.encode(["good w1 bad w299"] * 50)[0].reshape(50, 4).tolist()))
        return found

    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(encoded) for _ in range(4)]
        for i in range(300):
            vocabulary.extend([f"w{i}"])
        stop.set()
    ids = vocabulary.encode(["w1 w299"])[0].tolist()
    allowed = {(1, first, 2, second) for first in (0, ids[0]) for second in (0, ids[1])}
    assert all(result.result() <= allowed for result in results)
