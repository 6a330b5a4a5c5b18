"""textcnn info."""

import json
import re

import numpy as np
import pytest

import textcnn
from textcnn import TextCNNClassifier
from textcnn.cli import info
from textcnn.inspection import filters


def test_the_usual_facts(command, model):
    finished = command("info", model)
    assert finished.status == 0
    assert finished.out.startswith(f"{model}: TextCNNClassifier, 0.0 MB, ")
    assert "\n2 labels: bad, good\n" in finished.out
    assert "\n22 tokens: " in finished.out
    assert "trained 25 epochs, loss 0." in finished.out
    rows = [line.split() for line in finished.out.splitlines()]
    assert ["embedding", "23", "x", "16", "float32", "0.00", "MB"] in rows
    assert ["n_filters", "8"] in rows
    assert ["kernel_sizes", "[3,", "4,", "5]"] in rows


@pytest.mark.parametrize("words_per_block", [3, 1000])
def test_the_favourite_ngram_has_the_largest_activation(model, words_per_block, monkeypatch):
    monkeypatch.setattr(filters, "WORDS_PER_BLOCK", words_per_block)
    predictor = textcnn.load(model)
    found = info.favourites(predictor, None)
    assert len(found) == 24
    names = predictor.get_feature_names_out().tolist()
    # The n-gram as a text: the filter finds it there, and nothing activates it more.
    features = predictor.transform([list(each.ngram) for each in found])
    others = predictor.transform(
        [["the", "noisy", "witty", "town", "a"], ["dull", "dull", "fresh", "play", "in"]]
    )
    for row, each in zip(features, found, strict=True):
        column = names.index(each.name)
        assert len(each.ngram) == each.width
        # With padding a filter may also find a part of the n-gram, but never more than all of it.
        assert (
            row[column] == pytest.approx(max(each.activation, 0), abs=1e-5) or row[column] > each.activation
        )
        assert others[:, column].max() <= max(row[column], 0) + 1e-5


@pytest.mark.parametrize("command_name", ["info", "report"])
def test_layers_in_place_of_filters_have_no_ngrams(command_name, command, fails, table, small, tmp_path):
    path = tmp_path / "layers.textcnn"
    assert command("train", table, "-o", path, "--set", "pooling=mean", *small).status == 0
    page = tmp_path / "page.html"
    arguments = [path] if command_name == "info" else [path, table, "-o", page]
    finished = command(command_name, *arguments)
    assert finished.status == 0, finished.err
    shown = finished.out if command_name == "info" else page.read_text("utf-8")
    assert ("trained 25 epochs" if command_name == "info" else "Worst errors") in shown
    assert "likes best" not in shown
    assert "<h2>Filters" not in shown
    assert "has layers in their place; leave it out" in fails(command_name, *arguments, "--filters", "3")


def test_filters_come_by_the_size_of_their_output_weights(command, model):
    facts = json.loads(command("info", model, "--json", "--filters", "2").out)
    assert [each["width"] for each in facts["filters"]] == [3, 3, 4, 4, 5, 5]
    weights = TextCNNClassifier.load(model).predictor_.network.weights
    sizes = np.linalg.norm(weights[:, :8], axis=0)
    assert [each["size"] for each in facts["filters"][:2]] == pytest.approx(sorted(sizes)[:-3:-1])
    assert facts["filters"][0]["name"] == f"w3_f{sizes.argmax()}"
    assert facts["labels"] == ["bad", "good"]
    assert facts["vocabulary"]["tokens"] == 22


def test_how_many_filters(command, fails, model):
    for number, shown in (("all", 24), ("100", 24), ("1", 3), ("0", 0)):
        out = command("info", model, "--filters", number).out
        assert len(re.findall(r"^  w\d_f\d ", out, re.MULTILINE)) == shown
    fails("info", model, "--filters", "few", status=2)


def test_a_model_without_words(command, tmp_path):
    TextCNNClassifier(n_filters=2, max_iter=1).fit(["", " "], [0, 1]).save(tmp_path / "m")
    out = command("info", tmp_path / "m").out
    assert "0 tokens: " in out
    assert "n-gram it likes best" not in out


def test_models_saved_by_python(command, tmp_path):
    model = TextCNNClassifier(n_filters=2, max_iter=1).fit(["a\x1b b", "c"], [0, 1])
    model.predictor_.save(tmp_path / "m")
    out = command("info", tmp_path / "m").out
    assert ": Predictor, " in out
    assert "2 labels: 0, 1" in out
    assert "\x1b" not in out


def test_errors(fails, table, tmp_path):
    assert "is not a textcnn model file" in fails("info", table)
    assert "there is no file" in fails("info", tmp_path / "none")
    assert "is a folder" in fails("info", tmp_path)
