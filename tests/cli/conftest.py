"""The command line called in this process, and a small model for it."""

import io
import sys
from typing import NamedTuple

import pytest
from samples import reviews

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
