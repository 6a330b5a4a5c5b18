"""What a forked child does with models whose parent has used threads; `test_fork.py` runs it.

    python tests/robustness/forking.py WAY

The parent fits and predicts with two threads; the child predicts, explains and tags, goes on with
`partial_fit` and fits again. "the same" is printed if all results have the bits of the parent's.
"""

import copy
import multiprocessing
import os
import sys
import threading
from concurrent.futures import ProcessPoolExecutor

import joblib
import numpy as np
from samples import reviews

from textcnn import TextCNNClassifier, TextCNNRegressor, TextCNNTagger
from textcnn._kernels import _openmp
from textcnn.nn import Conv1d, Pool1d, Sequential

TEXTS, LABELS = reviews(300)
SENTENCES = [text.split() for text in TEXTS]
TAGS = [["B-X" if len(word) == 5 else "O" for word in sentence] for sentence in SENTENCES]
MANY = TEXTS * 5
WIDE = {"embedding_dim": 100, "max_iter": 1, "random_state": 0, "n_jobs": 2}

_openmp.set_operations_per_team(2_000_000)  # a step of the models below is worth two threads


def fitted():
    """Models of whose kernels each uses two threads now and then."""
    return [
        TextCNNClassifier(**WIDE, n_filters=100).fit(TEXTS, LABELS),
        TextCNNClassifier(**WIDE, body=Sequential(Conv1d(64, 3), Pool1d()), linear=0).fit(TEXTS, LABELS),
        TextCNNRegressor(**WIDE).fit(TEXTS, np.arange(len(TEXTS))),
        TextCNNTagger(**WIDE).fit(SENTENCES, TAGS),
    ]


def predicted(models):
    """What the models say."""
    classifier, layers, regressor, tagger = models
    return [
        classifier.predict_proba(MANY).tobytes(),
        layers.predict_proba(MANY).tobytes(),
        regressor.predict(MANY).tobytes(),
        [array.tobytes() for array in tagger.predict_marginals(SENTENCES)],
        [explanation.logits.tobytes() for explanation in classifier.explain(MANY[:3])],
        [list(text) for text in tagger.tag(MANY[:50])],
    ]


def trained(models):
    """The arrays after another step of training, and of models that are fitted anew."""
    classifier, tagger = copy.deepcopy(models[0]), copy.deepcopy(models[3])
    classifier.partial_fit(TEXTS, LABELS)
    tagger.partial_fit(SENTENCES, TAGS)
    networks = [model.predictor_.network for model in (classifier, tagger, *fitted())]
    return [[array.tobytes() for _, array in sorted(network.copy_arrays().items())] for network in networks]


MODELS: list = []


def child(_=None):
    """All that the child does; the models came to it by the fork."""
    return predicted(MODELS), trained(MODELS)


# ---- ways to fork: each returns what children returned -----------------------------------------------------


def by_os_fork():
    """Through a pipe, which is read to its end before the child is waited for."""
    reader, writer = os.pipe()
    if not (pid := os.fork()):
        with os.fdopen(writer, "wb") as file:
            joblib.dump(child(), file)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        result = joblib.load(file)
    assert os.waitpid(pid, 0)[1] == 0
    return [result]


def by_multiprocessing():
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(child, range(2), chunksize=1)


def by_executor():
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as executor:
        return list(executor.map(child, range(2)))


def by_joblib():
    """joblib's backend of this name forks."""
    with joblib.parallel_config("multiprocessing"):
        return joblib.Parallel(2)(joblib.delayed(child)() for _ in range(2))


def in_a_thread():
    """The thread that forks has used no threads of OpenMP, but the process has."""
    results = []
    thread = threading.Thread(target=lambda: results.extend(by_os_fork()))
    thread.start()
    thread.join()
    return results


def while_others_predict():
    """Other threads of the parent are amid a prediction at the moment of the fork, caches half filled."""
    stop = threading.Event()

    def predict():
        while not stop.is_set():
            copies = copy.deepcopy(MODELS)  # their caches are empty
            copies[0].predict(MANY)
            copies[3].predict(SENTENCES)

    threads = [threading.Thread(target=predict) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        return [result for _ in range(3) for result in by_os_fork()]
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def grandchild():
    """A child forks in turn, as daemons do."""
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        return [executor.submit(by_os_fork).result()[0]]


WAYS = {
    "os.fork": by_os_fork,
    "multiprocessing": by_multiprocessing,
    "concurrent.futures": by_executor,
    "joblib": by_joblib,
    "thread": in_a_thread,
    "others": while_others_predict,
    "grandchild": grandchild,
}


def n_system_threads():
    """Threads of this process that Python did not start; 0 where it cannot be told."""
    if not os.path.isdir("/proc/self/task"):
        return 0
    return 1 + len(os.listdir("/proc/self/task")) - threading.active_count()


def main(way):
    n_before = n_system_threads()
    MODELS.extend(fitted())
    expected = child()
    if _openmp.openmp_version() and n_before:
        assert n_system_threads() > n_before, "the parent has used one thread only"
    results = WAYS[way]()
    print("the same" if results and all(result == expected for result in results) else "something else")


if __name__ == "__main__":
    main(sys.argv[1])
