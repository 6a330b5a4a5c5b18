"""textcnn report."""

import json
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from textcnn.data import load_entities

import textcnn
from textcnn import TextCNNClassifier
from textcnn.cli import report_page

HOSTILE = '<script>alert("1")</script> & <b>bold</b> \x00\x1b[31m \u202e </style></svg> good'


class Page(HTMLParser):
    """Collects tags, attributes, and the text outside of styles; fails on tags that do not match."""

    VOID = ("meta", "line", "polyline")

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open, self.parts = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag in self.VOID
        self.handle_starttag(tag, attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> where another tag is open"

    def handle_data(self, data):
        if "style" not in self.open:
            self.parts.append(data)

    @property
    def text(self):
        return "".join(self.parts)


def page_of(command, model, data, tmp_path, *arguments):
    finished = command("report", model, data, "-o", tmp_path / "report.html", *arguments)
    assert finished.status == 0, finished.err
    assert finished.out == ""
    text = (tmp_path / "report.html").read_text("utf-8")
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    names = {name for name, _ in page.attributes}
    assert not {"src", "href"} & names
    assert not any(name.startswith("on") for name in names)
    assert page.tags.count("style") == 1
    for word in ("url(", "@import", "http:", "https:"):
        assert word not in text.split("<body>")[0]
    assert "prefers-color-scheme: dark" in text
    return page, text


def headings(text):
    return re.findall(r"<section>\n<h2>(.*?)</h2>", text)


@pytest.fixture
def hard(tmp_path):
    """Reviews of which some have the wrong label."""
    path = tmp_path / "hard.tsv"
    path.write_text(
        "good\ta witty story\nbad\tthe noisy town\ngood\ta dull and grim play\nbad\tfresh and tender\n"
    )
    return path


def test_a_page_about_a_classifier(command, model, hard, tmp_path):
    page, text = page_of(command, model, hard, tmp_path)
    assert headings(text) == ["Scores", "Confusion matrix", "Learning curves", "Filters", "Worst errors"]
    assert "50.0%accuracy" in page.text
    scores = json.loads(command("evaluate", model, hard, "--json").out)
    assert scores["confusion_matrix"] == [[1, 1], [1, 1]]
    for label in scores["labels"]:
        row = f"{label['label']}{label['precision']:.3f}{label['recall']:.3f}{label['f1']:.3f}2\n"
        assert row in page.text
    assert page.tags.count("svg") == 1
    assert page.tags.count("circle") == 25
    # 4 filters of each of 3 widths, and 2 errors.
    assert page.tags.count("article") == 12 + 2
    assert "12 of 24 filters" in page.text
    assert "All 2 wrong texts" in page.text
    assert sorted(re.findall(r"but it is (\w+), loss \d\.\d\d", page.text)) == ["bad", "good"]


def test_the_errors_come_by_falling_loss_with_their_explanations(command, model, table, tmp_path):
    lines = table.read_text("utf-8").splitlines()
    swapped = [f"{'good' if line.startswith('bad') else 'bad'}\t{line.split(chr(9))[1]}\n" for line in lines]
    swapped_file = tmp_path / "swapped.tsv"
    swapped_file.write_text("".join(swapped))
    _, text = page_of(command, model, swapped_file, tmp_path, "--errors", "7", "--filters", "0")
    assert headings(text) == ["Scores", "Confusion matrix", "Learning curves", "Worst errors"]
    losses = [float(loss) for loss in re.findall(r"loss (\d+\.\d\d)</span>", text)]
    assert len(losses) == 7
    assert losses == sorted(losses, reverse=True)
    texts = [line.split("\t")[1].strip() for line in swapped]
    own = [line.split("\t")[0] for line in swapped]
    predictor = textcnn.load(model)
    probabilities = predictor.predict_proba(texts)[
        np.arange(len(texts)), [predictor.classes_.tolist().index(label) for label in own]
    ]
    worst = int(probabilities.argmin())
    assert losses[0] == pytest.approx(-np.log(probabilities[worst]), abs=0.006)
    first = Page(text[text.index("<article>") : text.index("</article>") + 10])
    assert texts[worst] in first.text
    _, text = page_of(command, model, swapped_file, tmp_path, "--errors", "0", "--filters", "all")
    assert headings(text)[-1] == "Filters"
    assert text.count("<article>") == 24


def test_the_filters_show_their_ngrams(command, model, table, tmp_path):
    page, text = page_of(command, model, table, tmp_path, "--filters", "1")
    favourites = json.loads(command("info", model, "--filters", "1", "--json").out)["filters"]
    assert re.findall(r"<h3>(\S+) ", text) == [each["name"] for each in favourites]
    for each in favourites:
        assert f"ideal: {' '.join(each['ngram'])}" in page.text
    from textcnn.inspection import top_ngrams

    names = textcnn.load(model).get_feature_names_out().tolist()
    texts = [line.split("\t")[1] for line in table.read_text("utf-8").splitlines()]
    columns = [names.index(each["name"]) for each in favourites]
    for found in top_ngrams(textcnn.load(model), texts, 5, columns):
        for ngram in found.ngrams:
            padded = ["·"] * ngram.padding[0] + list(ngram.tokens) + ["·"] * ngram.padding[1]
            assert f"{' '.join(padded)}{ngram.activation:.2f}".replace("-", "\u2212") in page.text


def test_a_page_without_errors(command, model, tmp_path):
    (tmp_path / "one.tsv").write_text("good\ta witty story\n")  # of one class only
    page, _ = page_of(command, model, tmp_path / "one.tsv", tmp_path)
    assert "100.0%accuracy" in page.text
    assert "Every text has its own label." in page.text


def test_a_page_about_a_tagger(command, tagger, entities, tmp_path):
    page, text = page_of(command, tagger, entities / "test.conll", tmp_path, "--errors", "3")
    assert headings(text) == ["Scores", "Confusion matrix", "Learning curves", "Worst errors"]
    scores = json.loads(command("evaluate", tagger, entities / "test.conll", "--json").out)
    assert f"{100 * scores['f1']:.2f}F1 of spans" in page.text
    for found in scores["types"]:
        row = f"{found['label']}{found['precision']:.3f}{found['recall']:.3f}{found['f1']:.3f}"
        assert f"{row}{found['true_spans']}\n" in page.text
    assert page.tags.count("article") == 3
    assert text.count('class="token') > 15
    assert len(re.findall(r'class="token[^"]* at"', text)) == 3
    losses = [float(loss) for loss in re.findall(r"loss (\d+\.\d\d)</span>", text)]
    assert losses == sorted(losses, reverse=True)
    sentences, tags = load_entities("test")
    predicted = textcnn.load(tagger).predict(sentences)
    wrong = sum(own != found for own, found in zip(tags, predicted, strict=True))
    assert f"3 of {wrong} wrong sentences" in page.text


def test_a_page_about_a_tagger_of_plain_tags(command, plain_tagger, plain_columns, tmp_path):
    page, text = page_of(command, plain_tagger, plain_columns, tmp_path)
    assert headings(text)[:3] == ["Scores", "Confusion matrix", "Learning curves"]
    scores = json.loads(command("evaluate", plain_tagger, plain_columns, "--json").out)
    assert f"{scores['accuracy']:.1%}accuracy" in page.text
    assert f"{scores['tokens']:,}tokens" in page.text


def test_a_page_about_a_classifier_of_several_labels(command, labels_model, tmp_path):
    (tmp_path / "t.tsv").write_text("film|<good>\tgood film\n<good>\tbad book\n\tgood book\nfilm\tbad film\n")
    page, text = page_of(command, labels_model, tmp_path / "t.tsv", tmp_path)
    assert headings(text) == [
        "Scores", "Confusions of each label", "Learning curves", "Filters", "Worst errors",
    ]  # fmt: skip
    scores = json.loads(command("evaluate", labels_model, tmp_path / "t.tsv", "--json").out)
    assert scores["subset_accuracy"] == 0.5
    assert "50.0%texts with all labels right" in page.text
    for label in scores["labels"]:
        row = f"{label['label']}{label['precision']:.3f}{label['recall']:.3f}{label['f1']:.3f}"
        assert f"{row}{label['texts']}\n" in page.text
    for name, value in (("micro", scores["micro_average"]), ("macro", scores["macro_average"])):
        assert f"{name} average{value['precision']:.3f}{value['recall']:.3f}{value['f1']:.3f}4\n" in page.text
    # has it and predicted, missed; without it and predicted, not predicted
    assert "film2002\n<good>1111\n" in page.text
    assert "All 2 wrong decisions on a text and a label" in page.text
    kinds = re.findall(r"(missed, but the text has it|predicted, but the text does not)", page.text)
    assert sorted(kinds) == ["missed, but the text has it", "predicted, but the text does not"]
    losses = [float(loss) for loss in re.findall(r"loss (\d+\.\d\d)</span>", text)]
    assert losses == sorted(losses, reverse=True)
    assert len(losses) == 2


def test_labels_that_a_model_of_several_lacks(command, fails, labels_model, tmp_path):
    (tmp_path / "t.tsv").write_text("film|new\tgood film\n<good>\tgood book\n")
    arguments = ("report", labels_model, tmp_path / "t.tsv", "-o", tmp_path / "r.html")
    assert 'the label "new" is unknown to the model' in fails(*arguments)
    page, _ = page_of(command, labels_model, tmp_path / "t.tsv", tmp_path, "--allow-unknown-labels")
    assert "new0101\n" in page.text


def test_a_page_about_a_regressor(command, numbers_model, tmp_path):
    texts, numbers = ["good film", "bad book", "bad film"], [400.0, 150.0, 375.0]
    lines = "".join(f"{number}\t{text}\n" for number, text in zip(numbers, texts, strict=True))
    (tmp_path / "t.tsv").write_text(lines)
    page, text = page_of(command, numbers_model, tmp_path / "t.tsv", tmp_path, "--errors", "2")
    assert headings(text) == [
        "Scores", "Predicted and true numbers", "Learning curves", "Filters", "Worst errors",
    ]  # fmt: skip
    scores = json.loads(command("evaluate", numbers_model, tmp_path / "t.tsv", "--json").out)
    assert f"{scores['r2']:.4f}R2" in page.text
    assert f"{scores['mean_absolute_error']:.5g}mean absolute error" in page.text
    assert text.count('<circle class="point"') == 3
    predicted = textcnn.load(numbers_model).predict(texts)
    sizes = np.abs(predicted - numbers)
    found = re.findall(r"but it is (\d[.\d]*), ([+\u2212]\d+\.\d+)", page.text)
    worst = np.argsort(-sizes)[:2]
    assert [float(own) for own, _ in found] == [numbers[i] for i in worst]
    assert [float(error.replace("\u2212", "-")) for _, error in found] == pytest.approx(
        (predicted - numbers)[worst], abs=0.06
    )
    assert "2 of 3 texts" in page.text
    assert "without any n-gram" in page.text


@pytest.mark.parametrize("numbers", [[0.0], [1.0, 1.0], [-1e12, 1e12], [1e-9, 2e-9], list(range(5000))])
def test_any_numbers_can_be_drawn(numbers):
    text = report_page.scatter(numbers, numbers[::-1])
    page = Page(text)
    points = [float(value) for name, value in page.attributes if name in ("cx", "cy")]
    assert 2 * min(len(numbers), 1) <= len(points) <= 2 * report_page.MOST_POINTS
    assert all(0 <= point <= 420 for point in points)
    assert 3 <= text.count('class="grid"') <= 8


def test_hostile_texts_labels_and_tags_are_only_shown(command, tmp_path):
    labels = ['<script>alert("label")</script>', "</table>&amp;", "映画"]
    model = TextCNNClassifier(n_filters=4, max_iter=5, random_state=0)
    texts = ["good <i>x</i>", "bad </td>", "fair &amp;"]
    model.fit(texts * 10, labels * 10).save(tmp_path / "m")
    items = [
        HOSTILE,
        "half a pair \ud800 good",
        "'\"><i>",
        "",
        "x" * 5000 + " good",
        "שלום עולם good",
        "👩‍👩‍👧 bad",
    ]
    rows = [{"text": text, "label": labels[i % 2]} for i, text in enumerate(items)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page, text = page_of(command, tmp_path / "m", tmp_path / "t.jsonl", tmp_path, "--filters", "all")
    assert "i" not in page.tags
    assert page.tags.count("b") == 3  # the figures
    assert '<script>alert("label")</script>' in page.text
    assert not {"\x00", "\x1b", "\u202e"} & set(text)
    assert "\ud800" not in text


def test_hostile_tokens_are_only_shown(command, tagger, tmp_path):
    tokens = ["<script>", "\u202eabc", "x" * 3000, "שלום", "👩‍👩‍👧", "</p>", "Haag"]
    (tmp_path / "t.conll").write_text("".join(f"{token}\tB-PER\n\n" for token in tokens), encoding="utf-8")
    page, text = page_of(command, tagger, tmp_path / "t.conll", tmp_path)
    assert "<script>" in page.text
    assert "</p>" in page.text
    assert "\u202e" not in text
    assert page.tags.count("article") > 3  # each token a sentence, most of them errors


def test_of_a_long_sentence_the_part_around_the_error_is_shown(command, tagger, tmp_path):
    rows = [f"word{i}\tO\n" for i in range(500)]
    rows[250] = "word250\tB-PER\n"
    (tmp_path / "t.conll").write_text("".join(rows))
    page, text = page_of(command, tagger, tmp_path / "t.conll", tmp_path, "--errors", "1")
    assert text.count('class="token') == 201
    assert "… word150 word151" in page.text
    assert "word349 word350 …" in page.text


def test_labels_that_the_model_lacks(command, fails, model, tagger, tmp_path):
    (tmp_path / "t.tsv").write_text("good\ta witty story\nawful\ta dull play\n")
    arguments = ("report", model, tmp_path / "t.tsv", "-o", tmp_path / "r.html")
    assert 'the label "awful" is unknown to the model' in fails(*arguments)
    assert not (tmp_path / "r.html").exists()
    page, _ = page_of(command, model, tmp_path / "t.tsv", tmp_path, "--allow-unknown-labels")
    assert "but it is awful, which the model does not know" in page.text
    (tmp_path / "t.conll").write_text("Haag\tB-XYZ\nplays\tO\n")
    assert 'the tag "B-XYZ" is unknown' in fails(
        "report", tagger, tmp_path / "t.conll", "-o", tmp_path / "r.html"
    )
    page, _ = page_of(command, tagger, tmp_path / "t.conll", tmp_path, "--allow-unknown-labels")
    assert "but it is B-XYZ, which the model does not know" in page.text


def test_many_labels_become_a_list_of_confusions(command, tmp_path):
    labels = [f"<i>label {i}</p>" for i in range(25)]
    model = TextCNNClassifier(n_filters=2, max_iter=1, random_state=0)
    model.fit([f"word{i}" for i in range(25)] * 2, labels * 2).save(tmp_path / "m")
    (tmp_path / "t.tsv").write_text("".join(f"{label}\tword1\n" for label in labels))
    page, text = page_of(command, tmp_path / "m", tmp_path / "t.tsv", tmp_path)
    assert "Most frequent confusions" in headings(text)
    assert "of 25." in page.text
    assert "<i>label 7</p>" in page.text
    assert "i" not in page.tags


def test_numbers_as_labels(command, tmp_path):
    model = TextCNNClassifier(n_filters=2, max_iter=20, random_state=0)
    model.fit(["good", "bad"] * 5, [1, 0] * 5).predictor_.save(tmp_path / "m")
    (tmp_path / "t.tsv").write_text("1\tgood\n1\tbad\n")
    page, text = page_of(command, tmp_path / "m", tmp_path / "t.tsv", tmp_path)
    assert "but it is 1, loss" in page.text
    assert "Learning curves" not in headings(text)  # a Predictor knows nothing of its training


def test_a_model_without_words(command, tmp_path):
    TextCNNClassifier(n_filters=2, max_iter=1).fit(["", " "], ["a", "b"]).save(tmp_path / "m")
    (tmp_path / "t.tsv").write_text("a\tgood\nb\tbad\n")
    _, text = page_of(command, tmp_path / "m", tmp_path / "t.tsv", tmp_path)
    assert "Filters" not in headings(text)


@pytest.mark.parametrize("values", [[0.5], [0.0, 0.0], [np.nan, 1.0], list(range(300)), [-2.0, 1, np.inf]])
def test_any_curve_can_be_drawn(values):
    text = report_page.curves(values, values, "accuracy")
    Page(text)
    points = re.findall(r'<polyline class="line loss" points="(.*?)"', text)[0].split()
    assert len(points) == np.isfinite(values).sum()
    for x, y in (point.split(",") for point in points):
        assert 0 <= float(x) <= 420
        assert 0 <= float(y) <= 190
    assert report_page.curves([], [], "F1") == report_page.curves([np.nan], [np.inf], "F1") == ""


def test_the_page_needs_no_matplotlib(command, model, hard, tmp_path, monkeypatch):
    for name in ("matplotlib", "matplotlib.pyplot"):
        monkeypatch.setitem(sys.modules, name, None)
    page, _ = page_of(command, model, hard, tmp_path)
    assert page.tags.count("svg") == 1


def test_standard_input(command, model, hard, tmp_path):
    finished = command("report", model, "-", "-o", tmp_path / "r.html", stdin=hard.read_bytes())
    assert finished.status == 0
    assert finished.err == f"wrote {tmp_path / 'r.html'}\n"
    assert command("report", model, hard, "-o", tmp_path / "r.html", "--quiet").err == ""
    assert "standard input" not in (tmp_path / "r.html").read_text("utf-8")


def test_any_number_of_threads_gives_the_same_page(command, model, tagger, table, entities, tmp_path):
    for each, data in ((model, table), (tagger, entities / "test.conll")):
        pages = {page_of(command, each, data, tmp_path, "--threads", n)[1] for n in (1, 2, 3)}
        assert len(pages) == 1


def test_errors(fails, model, tagger, table, entities, tmp_path):
    out = tmp_path / "r.html"
    out.write_text("old")
    (tmp_path / "empty.tsv").touch()
    assert "has no texts" in fails("report", model, tmp_path / "empty.tsv", "-o", out)
    (tmp_path / "empty.conll").touch()
    assert "has no rows" in fails("report", tagger, tmp_path / "empty.conll", "-o", out)
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    assert 'no column "text" among "a", "b"' in fails("report", model, tmp_path / "wrong.csv", "-o", out)
    assert "is a column file" in fails("report", model, entities / "test.conll", "-o", out)
    assert "is named twice" in fails("report", model, table, "-o", model)
    assert "is named twice" in fails("report", model, table, "-o", table)
    assert "there is no file" in fails("report", tmp_path / "none", table, "-o", out)
    assert "is a folder" in fails("report", model, table, "-o", tmp_path)
    assert "--filters is for classifiers" in fails(
        "report", tagger, entities / "test.conll", "-o", out, "--filters", "3"
    )
    assert "--column is for taggers" in fails("report", model, table, "-o", out, "--column", "2")
    assert out.read_text() == "old"
    fails("report", model, table, status=2)
    fails("report", model, table, "-o", out, "--errors", "-1", status=2)
    fails("report", model, table, "-o", out, "--filters", "some", status=2)
