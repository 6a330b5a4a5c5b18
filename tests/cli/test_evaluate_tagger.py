"""textcnn evaluate and info with taggers."""

import json

import numpy as np
import pytest
from textcnn.data import load_entities

import textcnn
from textcnn.metrics import conlleval_report, span_scores, token_accuracy
from textcnn.text.columns import read_columns
from textcnn.text.tags import convert


def test_the_table_is_that_of_conlleval(command, tagger, entities):
    finished = command("evaluate", tagger, entities / "test.conll")
    sentences, tags = load_entities("test")
    scores = span_scores(tags, textcnn.load(tagger).predict(sentences))
    assert finished == (0, conlleval_report(scores), "")
    assert scores.f1 > 0.3
    stdin = (entities / "test.conll").read_bytes()
    assert command("evaluate", tagger, "-", stdin=stdin).out == finished.out


def test_json_of_spans(command, tagger, entities):
    found = json.loads(command("evaluate", tagger, entities / "test.conll", "--json").out)
    sentences, tags = load_entities("test")
    scores = span_scores(tags, textcnn.load(tagger).predict(sentences))
    assert (found["sentences"], found["tokens"]) == (96, 1133)
    assert (found["precision"], found["recall"], found["f1"]) == (scores.precision, scores.recall, scores.f1)
    assert found["accuracy"] == scores.accuracy
    assert [row["label"] for row in found["types"]] == list(scores.by_type)
    for row in found["types"]:
        expected = scores.by_type[row["label"]]
        assert row["f1"] == expected.f1
        assert (row["true_spans"], row["predicted_spans"], row["correct_spans"]) == (
            expected.n_true,
            expected.n_pred,
            expected.n_correct,
        )


@pytest.mark.parametrize("scheme", ["BIOES", "BMES", "IOB1"])
def test_a_file_in_another_scheme(command, tagger, tmp_path, scheme):
    sentences, tags = load_entities("test")
    rows = ["".join(f"{w} {t}\n" for w, t in zip(s, convert(y, "BIO", scheme), strict=True))
            for s, y in zip(sentences, tags, strict=True)]  # fmt: skip
    (tmp_path / "t.conll").write_text("\n".join(rows))
    found = json.loads(command("evaluate", tagger, tmp_path / "t.conll", "--json").out)
    scores = span_scores(tags, textcnn.load(tagger).predict(sentences))
    assert (found["f1"], found["true_spans"]) == (scores.f1, scores.n_true)


def test_tags_that_the_model_wrote_itself_are_told(command, tagger, plain_tagger, entities, tmp_path):
    for model in (tagger, plain_tagger):
        tagged = command("tag", model, "--input", "conll", entities / "test.conll").out.encode()
        finished = command("evaluate", model, "-", stdin=tagged)
        assert finished.status == 0
        assert finished.err.startswith(
            "every tag of standard input is what the model predicts; if textcnn tag"
        )
        assert finished.err.count("\n") == 1
    # The column of the true tags, asked for: nothing to tell.
    (tmp_path / "t.conll").write_bytes(
        command("tag", tagger, "--input", "conll", entities / "test.conll").out.encode()
    )
    finished = command("evaluate", tagger, tmp_path / "t.conll", "--column", 2)
    assert finished == command("evaluate", tagger, entities / "test.conll")
    assert finished.err == ""


def test_plain_tags(command, plain_tagger, plain_columns):
    read = list(read_columns(plain_columns))
    predicted = textcnn.load(plain_tagger).predict([each.tokens for each in read])
    accuracy = token_accuracy([each.tags for each in read], predicted)
    lines = command("evaluate", plain_tagger, plain_columns).out.splitlines()
    assert lines[0] == f"accuracy {accuracy:.4f} on 1,133 tokens"
    assert lines[2].split() == ["precision", "recall", "F1", "tokens"]
    assert "confusion matrix" in lines
    found = json.loads(command("evaluate", plain_tagger, plain_columns, "--json").out)
    assert found["accuracy"] == pytest.approx(accuracy)
    assert found["tokens"] == 1133
    assert [row["label"] for row in found["labels"]] == ["/", "LOW", "UP"]
    matrix = np.array(found["confusion_matrix"])
    assert matrix.trace() / matrix.sum() == pytest.approx(accuracy)


def test_pictures(command, tagger, entities, plain_tagger, plain_columns, tmp_path):
    for name, model, path in (("a", tagger, entities / "test.conll"), ("b", plain_tagger, plain_columns)):
        finished = command("evaluate", model, path, "--plot", tmp_path / f"{name}.png")
        assert finished.status == 0
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_tags_that_the_model_does_not_know(command, fails, tagger, plain_columns, tmp_path):
    (tmp_path / "t.conll").write_text("Anna B-PER\nleft O\n\nthe O\nTimes B-PAPER\n")
    message = fails("evaluate", tagger, tmp_path / "t.conll")
    assert 't.conll, sentence from line 4, token 2: the tag "B-PAPER" is unknown to the model' in message
    found = json.loads(
        command("evaluate", tagger, tmp_path / "t.conll", "--allow-unknown-labels", "--json").out
    )
    assert [row["true_spans"] for row in found["types"] if row["label"] == "PAPER"] == [1]
    assert 'the tag "UP" is unknown' in fails("evaluate", tagger, plain_columns)


def test_plain_tags_that_the_model_does_not_know(command, fails, plain_tagger, tmp_path):
    (tmp_path / "t.conll").write_text("Anna UP\nleft NEW\n")
    assert 'the tag "NEW" is unknown' in fails("evaluate", plain_tagger, tmp_path / "t.conll")
    found = json.loads(
        command("evaluate", plain_tagger, tmp_path / "t.conll", "--allow-unknown-labels", "--json").out
    )
    assert [row["label"] for row in found["labels"]] == ["/", "LOW", "UP", "NEW"]
    assert found["labels"][3]["recall"] == 0


def test_wrong_calls(fails, model, tagger, table, entities, tmp_path):
    conll = entities / "test.conll"
    for option in ("--format", "--text-column", "--label-column"):
        assert f"{option} is for classifiers, but {tagger} holds a tagger" in fails(
            "evaluate", tagger, conll, option, "tsv"
        )
    assert "--column is for taggers, but" in fails("evaluate", model, table, "--column", "2")
    (tmp_path / "empty").write_text("\n\n")
    assert "has no rows" in fails("evaluate", tagger, tmp_path / "empty")
    assert "line 1: one column" in fails("evaluate", tagger, "-", stdin=b"Anna\n")
    assert "there is no file" in fails("evaluate", tagger, tmp_path / "none")
    assert "is a folder" in fails("evaluate", tagger, tmp_path)
    assert "is no picture" in fails("evaluate", tagger, conll, "--plot", tmp_path / "c.txt")


# ---- info -------------------------------------------------------------------------------------------


def test_info_of_a_tagger(command, tagger):
    out = command("info", tagger).out
    assert out.startswith(f"{tagger}: TextCNNTagger, ")
    assert "\n9 tags: B-DATE, B-LOC, B-ORG, B-PER, I-DATE, I-LOC, I-ORG, I-PER, O\nscheme: BIO\n" in out
    assert "\ntrained 8 epochs, loss 0." in out
    rows = [line.split() for line in out.splitlines()]
    assert ["n_channels", "24"] in rows
    assert ["head", '"crf"'] in rows
    assert ["receptive_field", "11"] in rows
    facts = json.loads(command("info", tagger, "--json").out)
    assert facts["scheme"] == "BIO"
    assert len(facts["tags"]) == 9
    assert facts["vocabulary"]["tokens"] == textcnn.load(tagger).encoder.n_words - 1
    assert facts["network"]["layers"] == 4
    assert facts["parameters"]["n_channels"] == 24


def test_info_of_plain_tags(command, fails, plain_tagger):
    out = command("info", plain_tagger).out
    assert "3 tags: /, LOW, UP" in out
    assert "scheme:" not in out
    assert "--filters is for classifiers" in fails("info", plain_tagger, "--filters", "3")
