"""The command line called in this process, and a small model for it."""

import io
import sys
from typing import NamedTuple

import numpy as np
import pytest
from samples import reviews
from textcnn.data import load_entities

from textcnn import TextCNNClassifier, TextCNNRegressor
from textcnn.cli import main


class Finished(NamedTuple):
    """How a command ended and what it wrote."""

    status: int
    out: str
    err: str


@pytest.fixture
def command(capsys, monkeypatch):
    """Runs ``textcnn ARGUMENTS``; `stdin` is what it reads."""

    def run(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin))))
        capsys.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = stop.code
        return Finished(status, *capsys.readouterr())

    return run


@pytest.fixture
def fails(command):
    """Runs a command that must fail with one sentence and no traceback; returns the sentence."""

    def run(*arguments, stdin=b"", status=1):
        finished = command(*arguments, stdin=stdin)
        assert finished.status == status
        assert "Traceback" not in finished.err
        lines = finished.err.splitlines()
        if status == 1:
            assert len(lines) == 1
        assert "error: " in lines[-1]
        return lines[-1].split("error: ", 1)[1]

    return run


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """A .tsv of reviews."""
    path = tmp_path_factory.mktemp("table") / "reviews.tsv"
    texts, labels = reviews()
    lines = [f"{label}\t{text}\n" for text, label in zip(texts, labels, strict=True)]
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def model(table):
    """A model that knows bad reviews from good ones."""
    path = table.with_name("reviews.textcnn")
    assert main(["train", str(table), "-o", str(path), "--quiet", *SMALL]) == 0
    return path


# Settings with which a network of a few filters learns the reviews at once.
SMALL = [
    "--set",
    "n_filters=8",
    "--set",
    "embedding_dim=16",
    "--set",
    "max_iter=25",
    "--set",
    "batch_size=10",
]


@pytest.fixture
def small():
    """Arguments of a small and quick network."""
    return SMALL


# Texts of which each word tells something of its own, and settings with which a network learns them at once.
WORDS = ["good film", "bad film", "good book", "bad book"] * 6
SMALLEST = {"n_filters": 4, "embedding_dim": 16, "kernel_sizes": (1, 2), "max_iter": 20, "batch_size": 4}


@pytest.fixture(scope="session")
def labels_model(tmp_path_factory):
    """A classifier of the labels "film" and "<good>"."""
    Y = np.array([[text.endswith("film"), text.startswith("good")] for text in WORDS]).astype(int)
    model = TextCNNClassifier(**SMALLEST, random_state=0).fit(WORDS, Y)
    model.predictor_.classes_ = np.array(["film", "<good>"])
    path = tmp_path_factory.mktemp("labels") / "labels.textcnn"
    model.save(path)
    return path


@pytest.fixture(scope="session")
def numbers_model(tmp_path_factory):
    """A regressor: 400 for what is good, 200 for what is bad."""
    y = [400.0 if text.startswith("good") else 200.0 for text in WORDS]
    path = tmp_path_factory.mktemp("numbers") / "numbers.textcnn"
    TextCNNRegressor(**SMALLEST, random_state=0).fit(WORDS, y).save(path)
    return path


# Settings with which a small tagger learns the entities in about a second.
SMALL_TAGGER = [
    "--set",
    "n_channels=24",
    "--set",
    "embedding_dim=24",
    "--set",
    "n_iterations=1",
    "--set",
    "max_iter=8",
    "--set",
    "linear_max_iter=3",
]


@pytest.fixture
def small_tagger():
    """Arguments of a small and quick tagger."""
    return SMALL_TAGGER


def as_columns(sentences, tags):
    """The text of a column file."""
    blocks = [
        "".join(f"{token}\t{tag}\n" for token, tag in zip(*pair, strict=True))
        for pair in zip(sentences, tags, strict=True)
    ]
    return "\n".join(blocks)


@pytest.fixture(scope="session")
def entities(tmp_path_factory):
    """A folder with train.conll and test.conll, sentences with entities."""
    folder = tmp_path_factory.mktemp("entities")
    for part in ("train", "test"):
        (folder / f"{part}.conll").write_text(as_columns(*load_entities(part)), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tagger(entities):
    """A model that finds entities."""
    path = entities / "ner.textcnn"
    assert main(["train", str(entities / "train.conll"), "-o", str(path), "--quiet", *SMALL_TAGGER]) == 0
    return path


@pytest.fixture(scope="session")
def plain_columns(entities):
    """A column file with plain tags: what a token begins with."""
    sentences, _ = load_entities("test")
    tags = [["UP" if t[0].isupper() else "LOW" if t[0].islower() else "/" for t in s] for s in sentences]
    path = entities / "plain.conll"
    path.write_text(as_columns(sentences, tags), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def plain_tagger(plain_columns):
    """A model of plain tags."""
    path = plain_columns.with_name("plain.textcnn")
    assert main(["train", str(plain_columns), "-o", str(path), "--quiet", *SMALL_TAGGER]) == 0
    return path
