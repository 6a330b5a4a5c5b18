"""What README.md and docs/sklearn.md show runs as written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from textcnn.data import load_entities, load_messages

import textcnn

ROOT = Path(__file__).parents[1]


def snippets(page):
    return re.findall(
        r"^ *```python\n(.*?)^ *```", (ROOT / page).read_text("utf-8"), re.DOTALL | re.MULTILINE
    )


def run_snippet(code, names):
    indent = re.match(" *", code)[0]
    exec(re.sub(f"^{indent}", "", code, flags=re.MULTILINE), names)


def test_the_page_on_scikit_learn_runs(capsys):
    names = {"__name__": "page"}
    for code in snippets("docs/sklearn.md"):
        run_snippet(code, names)
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        "(2, 60) ['w3_f0' 'w3_f1']",
        "True",
        "5",
        "(1, 4)",
        "(1, 8)",
        "['n_filters', 'pooling']",
        "True",
        "3",
        "(2, 2) (2, 2)",
        "(2, 2)",
        "8 8",
    ]


def test_the_page_on_scikit_learn_names_the_checks_that_differ():
    page = (ROOT / "docs" / "sklearn.md").read_text("utf-8")
    tests = (ROOT / "tests" / "test_sklearn_checks.py").read_text("utf-8")
    assert set(re.findall(r"`(check_\w+)`", page)) - {"check_estimator"} == set(
        re.findall(r'"(check_\w+)"', tests)
    )


def test_the_snippets_of_the_readme_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    X, y = load_messages()
    sentences, tags = load_entities("train")
    names = {"texts": X[:60], "labels": y[:60], "token_lists": sentences[:60], "tag_lists": tags[:60]}
    for code in snippets("README.md"):
        run_snippet(code, names)
    printed = capsys.readouterr().out
    assert float(printed.splitlines()[0]) > 0.6
    assert "processed 1133 tokens with 113 phrases" in printed
    assert "[0. 1. 0.]" in printed
    assert (tmp_path / "messages.textcnn").exists()


@pytest.fixture
def folder(tmp_path):
    """The files that the commands of the README name, and `textcnn` as a command."""
    texts, labels = load_messages()

    def table(name, labels, texts):
        lines = [f"{label}\t{text}\n" for label, text in zip(labels, texts, strict=True)]
        (tmp_path / name).write_text("".join(lines), encoding="utf-8")

    for name, part in (
        ("reviews.tsv", slice(0, 80)),
        ("dev.tsv", slice(80, 120)),
        ("test.tsv", slice(120, 160)),
    ):
        table(name, labels[part], texts[part])
    table("news.tsv", [f"{'world|' * (i % 3 == 0)}sport" for i in range(60)], texts[:60])
    table("stars.tsv", [i % 9 / 2 for i in range(60)], texts[:60])
    (tmp_path / "new.txt").write_text("".join(f"{text}\n" for text in texts[160:170]), encoding="utf-8")
    for name, part in (("train", "train"), ("dev", "test"), ("test", "test")):
        blocks = [
            "".join(f"{token}\t{tag}\n" for token, tag in zip(*pair, strict=True)) + "\n"
            for pair in zip(*load_entities(part), strict=True)
        ][:40]
        (tmp_path / f"{name}.conll").write_text("".join(blocks), encoding="utf-8")
    for name in ("story.txt", "huge.txt"):
        (tmp_path / name).write_text("Ms. Haag plays Elianti in Paris.\n" * 20)
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "textcnn"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m textcnn "$@"\n')
    command.chmod(0o755)
    return tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="the commands are those of a Unix shell")
def test_the_commands_of_the_readme_run(folder):
    page = (ROOT / "README.md").read_text("utf-8").split("## On the command line")[1].split("## Figures")[0]
    commands = re.findall(r"^    (\S.*)$", page, re.MULTILINE)
    assert len(commands) >= 14
    python_path = os.pathsep.join(
        [str(Path(textcnn.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    environment = os.environ | {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": python_path,
        "MPLBACKEND": "agg",
    }
    for command in commands:
        done = subprocess.run(
            command, shell=True, cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
    written = {path.name for path in folder.iterdir()}
    assert {"labels.tsv", "page.html", "report.html", "story.conll", "story.html", "stars.textcnn"} <= written
    assert len((folder / "labels.tsv").read_text("utf-8").splitlines()) == 10
