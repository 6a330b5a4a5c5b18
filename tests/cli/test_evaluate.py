"""textcnn evaluate."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from samples import reviews
from sklearn.metrics import classification_report, confusion_matrix

import textcnn
from textcnn import TextCNNClassifier
from textcnn.cli.output import display_width


@pytest.fixture
def labelled_file(tmp_path):
    """Reviews, some with a wrong label."""
    texts, labels = reviews(40, seed=1)
    labels[3:9] = ["good"] * 6
    path = tmp_path / "test.tsv"
    path.write_text("".join(f"{x}\t{t}\n" for t, x in zip(texts, labels, strict=True)))
    return path, texts, labels


def test_the_figures_are_those_of_scikit_learn(command, model, labelled_file):
    path, texts, labels = labelled_file
    finished = command("evaluate", model, path, "--json")
    assert finished.status == 0
    found = json.loads(finished.out)
    predicted = textcnn.load(model).predict(texts)
    expected = classification_report(labels, predicted, output_dict=True)
    assert found["accuracy"] == expected["accuracy"] == np.mean(predicted == labels)
    assert found["texts"] == 40
    assert [row["label"] for row in found["labels"]] == ["bad", "good"]
    for row in found["labels"]:
        figures = expected[row["label"]]
        assert row["precision"] == figures["precision"]
        assert row["recall"] == figures["recall"]
        assert row["f1"] == figures["f1-score"]
        assert row["texts"] == figures["support"]
    for name in ("macro", "weighted"):
        assert found[f"{name}_average"]["f1"] == pytest.approx(expected[f"{name} avg"]["f1-score"])
    assert found["confusion_matrix"] == confusion_matrix(labels, predicted).tolist()


def test_the_report(command, model, labelled_file):
    path, texts, labels = labelled_file
    out = command("evaluate", model, path).out
    matrix = confusion_matrix(labels, textcnn.load(model).predict(texts))
    lines = [line.split() for line in out.splitlines()]
    assert lines[0][:2] == ["accuracy", f"{np.trace(matrix) / 40:.4f}"]
    assert ["true", "\\", "predicted", "bad", "good"] in lines
    assert lines[-2:] == [["bad", *map(str, matrix[0])], ["good", *map(str, matrix[1])]]


def test_columns_are_aligned_for_wide_and_combining_labels(command, tmp_path):
    labels = [
        "好评",
        "e\u0301tonnant",
        "한국어 라벨",
        "plain",
        "nul\0l",
        "a very long label that goes on and on",
    ]
    texts = ["one", "two", "three", "four", "five", "six"]
    TextCNNClassifier(n_filters=4, max_iter=20, random_state=0).fit(texts * 5, labels * 5).save(
        tmp_path / "m"
    )
    (tmp_path / "t.tsv").write_text("".join(f"{x}\t{t}\n" for t, x in zip(texts, labels, strict=True)))
    finished = command("evaluate", tmp_path / "m", tmp_path / "t.tsv")
    assert finished.status == 0
    report, matrix = finished.out.split("confusion matrix")
    rows = [line for line in report.splitlines()[2:] if line]
    assert len(rows) == 9
    assert len({display_width(row) for row in rows}) == 1
    rows = [line for line in matrix.splitlines() if line]
    assert len(rows) == 7
    assert len({display_width(row) for row in rows}) == 1
    assert "\0" not in finished.out
    assert "nul\\x00l" in finished.out


def test_many_labels_get_a_list_of_confusions(command, tmp_path):
    labels = [f"label{i:02d}" for i in range(30)]
    texts = [f"word{i}" for i in range(30)]
    TextCNNClassifier(n_filters=4, max_iter=1, random_state=0).fit(texts * 2, labels * 2).save(tmp_path / "m")
    (tmp_path / "t.tsv").write_text("".join(f"{x}\t{t}\n" for t, x in zip(texts, labels, strict=True)))
    out = command("evaluate", tmp_path / "m", tmp_path / "t.tsv").out
    assert "most frequent confusions" in out
    assert max(map(len, out.splitlines())) < 80
    assert (
        len(json.loads(command("evaluate", tmp_path / "m", tmp_path / "t.tsv", "--json").out)["labels"]) == 30
    )


def test_labels_that_the_model_does_not_know(command, fails, model, tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("good\twitty\nGood\ttender\nfair\tdull\n")
    sentence = fails("evaluate", model, path)
    assert 't.tsv, line 2: the label "Good" is unknown to the model, which has "bad", "good"' in sentence
    found = json.loads(command("evaluate", model, path, "--allow-unknown-labels", "--json").out)
    assert [row["label"] for row in found["labels"]] == ["bad", "good", "Good", "fair"]
    assert found["accuracy"] == pytest.approx(1 / 3)
    assert found["labels"][2]["recall"] == 0
    assert found["confusion_matrix"] == [[0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0]]


def test_number_labels_of_python_models_are_found_in_files(command, tmp_path):
    model = TextCNNClassifier(n_filters=4, max_iter=20, random_state=0).fit(["good", "bad"] * 10, [1, 0] * 10)
    model.save(tmp_path / "m")
    (tmp_path / "t.tsv").write_text("1\tgood\n0\tbad\n")
    assert command("evaluate", tmp_path / "m", tmp_path / "t.tsv").out.startswith(
        "accuracy 1.0000 on 2 texts"
    )
    (tmp_path / "t.jsonl").write_text('{"label": 1, "text": "good"}')
    assert command("evaluate", tmp_path / "m", tmp_path / "t.jsonl").out.startswith(
        "accuracy 1.0000 on 1 text\n"
    )


def test_empty_files_and_missing_labels(fails, model, tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("\n\n")
    assert "t.tsv has no texts, so there is nothing to evaluate" in fails("evaluate", model, path)
    path.write_text("good\twitty\nwitty\n")
    assert "t.tsv, line 2: 1 field" in fails("evaluate", model, path)
    assert "does not tell the format" in fails("evaluate", model, tmp_path / "t.txt")


def test_plot_draws_the_matrix(command, fails, model, table, tmp_path, monkeypatch):
    assert command("evaluate", model, table, "--plot", tmp_path / "c.png").status == 0
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert "is no picture" in fails("evaluate", model, table, "--plot", tmp_path / "c.txt")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "--plot needs matplotlib" in fails("evaluate", model, table, "--plot", tmp_path / "d.png")


def test_the_picture_is_drawn_even_if_the_reader_of_the_report_goes_away(model, table, tmp_path):
    arguments = ["evaluate", str(model), str(table), "--plot", str(tmp_path / "c.png")]
    read_end, write_end = os.pipe()
    os.close(read_end)
    with open(write_end, "wb") as nobody:
        finished = subprocess.run([sys.executable, "-u", "-P", "-m", "textcnn", *arguments], stdout=nobody)
    assert finished.returncode == 0
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_labels_that_look_like_formulas_are_drawn_as_they_are(tmp_path):
    from textcnn.cli.plots import plot_confusion

    plot_confusion(["$x", "a$", "$\\frac$"], np.eye(3, dtype=int), 1.0, str(tmp_path / "c.svg"))
    assert (tmp_path / "c.svg").exists()


def test_a_column_file_needs_a_tagger(fails, model, entities):
    path = entities / "test.conll"
    assert f"holds a classifier, but {path} is a column file; give a tagger's model" in fails(
        "evaluate", model, path
    )
