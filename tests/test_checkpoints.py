"""Training that is ended and goes on from a checkpoint, in one process."""

import os

import numpy as np
import pytest
from samples import reviews
from textcnn.data import load_entities

from textcnn import TextCNNClassifier, TextCNNRegressor, TextCNNTagger
from textcnn.nn import Conv1d, Dropout, Pool1d, Sequential
from textcnn.nn.checkpoints import Checkpoint, fingerprint
from textcnn.nn.optimizers import SGD
from textcnn.nn.training import Trainer
from textcnn.text.corpus import Corpus

SMALL = {"n_filters": 4, "embedding_dim": 8, "kernel_sizes": (2, 3), "max_iter": 6, "batch_size": 10}
SMALL_TAGGER = {"n_channels": 12, "embedding_dim": 12, "n_iterations": 1, "max_iter": 4, "linear_max_iter": 3}
TEXTS, LABELS = reviews()
STARS = np.where(np.array(LABELS) == LABELS[0], 1.0, 4.0) + np.linspace(0, 1, len(LABELS))
SENTENCES, TAGS = (part[:60] for part in load_entities("train"))


def a_body():
    return Sequential(Conv1d(6, 3, activation="relu"), Dropout(0.4), Pool1d("max"))


class Killed(BaseException):
    """What ends a training in these tests."""


def killed_at(save_number, monkeypatch):
    """Let the process end with the writing of a certain state; every state is written."""
    n_saved, save = 0, Checkpoint.save

    def counted(self, trainer, progress, is_last):
        nonlocal n_saved
        save(self, trainer, progress, True)
        n_saved += 1
        if n_saved == save_number:
            raise Killed

    monkeypatch.setattr(Checkpoint, "save", counted)


def fitted(make, data, checkpoint=None):
    """The bytes of the model file of a fitted estimator, and its history."""
    estimator = make().fit(*data(), checkpoint=checkpoint)
    arrays = estimator.predictor_.network.copy_arrays()
    return {name: array.tobytes() for name, array in arrays.items()}, vars(estimator)["loss_curve_"]


CASES = {
    "classifier": (lambda: TextCNNClassifier(**SMALL, random_state=0), lambda: (TEXTS, LABELS)),
    "classifier, validation": (
        lambda: TextCNNClassifier(**SMALL, early_stopping=True, learning_rate="adaptive", random_state=0),
        lambda: (TEXTS, LABELS),
    ),
    "classifier, members": (
        lambda: TextCNNClassifier(**SMALL, n_members=2, solver="adadelta", random_state=0),
        lambda: (TEXTS, LABELS),
    ),
    "classifier, corpus": (
        lambda: TextCNNClassifier(**SMALL, solver="sgd", random_state=0),
        lambda: (Corpus([(TEXTS, LABELS)]), None),
    ),
    "classifier, body": (
        lambda: TextCNNClassifier(**SMALL, body=a_body, random_state=0),
        lambda: (TEXTS, LABELS),
    ),
    "classifier, embedded": (
        lambda: TextCNNClassifier(**SMALL, random_state=np.random.RandomState(3)),
        lambda: (np.random.RandomState(0).rand(len(LABELS), 7), LABELS),
    ),
    "regressor": (
        lambda: TextCNNRegressor(**SMALL, loss="huber", random_state=0),
        lambda: (TEXTS, STARS),
    ),
    "tagger": (lambda: TextCNNTagger(**SMALL_TAGGER, random_state=0), lambda: (SENTENCES, TAGS)),
    "tagger, body": (
        lambda: TextCNNTagger(
            **SMALL_TAGGER, body=Sequential(Conv1d(6, 3), Dropout(0.2)), early_stopping=True, random_state=0
        ),
        lambda: (SENTENCES, TAGS),
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("save_number", [1, 4])
def test_the_same_call_ends_with_the_same_bits(case, save_number, tmp_path, monkeypatch):
    make, data = CASES[case]
    expected = fitted(make, data)
    with monkeypatch.context() as patched:
        killed_at(save_number, patched)
        with pytest.raises(Killed):
            fitted(make, data, tmp_path)
    assert fitted(make, data, tmp_path) == expected
    assert fitted(make, data, tmp_path) == expected  # from the state of the end


def test_states_are_written_for_a_small_share_of_the_time(tmp_path, monkeypatch):
    clock = iter(np.arange(0, 1000, 0.25))  # writing takes a quarter of a second, an epoch at least as much
    monkeypatch.setattr("textcnn.nn.checkpoints.time.monotonic", lambda: float(next(clock)))
    saved = []
    monkeypatch.setattr("textcnn.nn.checkpoints.save_arrays", lambda path, *rest: saved.append(path))
    TextCNNClassifier(**{**SMALL, "max_iter": 60}, random_state=0).fit(TEXTS, LABELS, checkpoint=tmp_path)
    assert len(saved) == 4  # after the first epoch, then every 5 seconds, 20 times the cost, and at the end


def test_without_a_seed_nothing_could_be_repeated(tmp_path):
    for estimator, X, y in (
        (TextCNNClassifier(), TEXTS, LABELS),
        (TextCNNTagger(), SENTENCES, TAGS),
    ):
        with pytest.raises(ValueError, match="random_state is None"):
            estimator.fit(X, y, checkpoint=tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_what_differs_is_refused(tmp_path):
    TextCNNClassifier(**SMALL, random_state=0).fit(TEXTS, LABELS, checkpoint=tmp_path)
    for parameters, X, y in (
        ({"dropout": 0.4}, TEXTS, LABELS),
        ({"label_smoothing": 0.1}, TEXTS, LABELS),
        ({"solver": "sgd"}, TEXTS, LABELS),
        ({"random_state": 1}, TEXTS, LABELS),
        ({}, TEXTS[::-1], LABELS),
        ({}, TEXTS, LABELS[::-1]),
    ):
        estimator = TextCNNClassifier(**{**SMALL, "random_state": 0, **parameters})
        with pytest.raises(ValueError, match="of another training"):
            estimator.fit(X, y, checkpoint=tmp_path)
    fitted = TextCNNClassifier(**SMALL, random_state=0, n_jobs=1).fit(TEXTS, LABELS, checkpoint=tmp_path)
    assert fitted.n_iter_ == SMALL["max_iter"]


def test_a_damaged_state_is_refused(tmp_path):
    estimator = TextCNNClassifier(**SMALL, random_state=0).fit(TEXTS, LABELS, checkpoint=tmp_path)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="altered or damaged"):
        estimator.fit(TEXTS, LABELS, checkpoint=tmp_path)


def test_what_a_kill_in_the_midst_of_writing_leaves_is_removed(tmp_path):
    for name in (".textcnn-0123.tmp", "other.txt"):
        (tmp_path / name).write_bytes(b"half a state")
    TextCNNClassifier(**SMALL, random_state=0).fit(TEXTS, LABELS, checkpoint=tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["network-0.checkpoint", "other.txt"]


def test_fingerprints_tell_values_of_another_type_or_grouping_apart():
    estimator = TextCNNClassifier(**SMALL, random_state=0).fit(TEXTS, LABELS)
    options = estimator._training_options(False, batch_size=1, max_norm=None)
    trainer = Trainer(estimator.predictor_.network, SGD(), options, np.random.RandomState(0))
    values = [
        ["ab", "c"],
        ["a", "bc"],
        [["ab"], "c"],
        [1],
        [1.0],
        ["1"],
        [None],
        [True],
        np.ones(2),
        [1.0, 1.0],
    ]
    assert len({fingerprint(trainer, [value]) for value in values}) == len(values)
