"""textcnn explain."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import textcnn
from textcnn import TextCNNClassifier
from textcnn.cli import explain, shading

HOSTILE = '<script>alert("1")</script> & <b>bold</b> \x00\x1b[31m \u202e </style> good'


class Page(HTMLParser):
    """Collects tags, attributes, styles and the text of paragraphs and headings."""

    VOID = ("meta",)

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open, self.parts = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> where another tag is open"

    def handle_data(self, data):
        if "style" not in self.open:
            self.parts.append(data)

    @property
    def text(self):
        return "".join(self.parts)


@pytest.fixture
def hostile_model(tmp_path):
    """A model whose labels are markup."""
    labels = ['<script>alert("label")</script>', "</table>&amp;", "映画"]
    model = TextCNNClassifier(n_filters=4, max_iter=20, random_state=0)
    model.fit(["good", "bad", "fair"] * 10, labels * 10).save(tmp_path / "m")
    return tmp_path / "m"


def page_of(command, model, tmp_path, texts, *arguments):
    (tmp_path / "t.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    finished = command("explain", model, tmp_path / "t.jsonl", "--html", tmp_path / "page.html", *arguments)
    assert finished.status == 0
    return finished, (tmp_path / "page.html").read_text("utf-8")


def test_the_terminal_shows_label_and_ngrams(command, model):
    finished = command("explain", model, "--top", "2", stdin=b"a witty story\n\nthe noisy town\n")
    assert finished.status == 0
    blocks = finished.out.split("\n\n")
    assert blocks[0].startswith("a witty story\n  good ")
    ngrams = textcnn.load(model).explain(["a witty story"])[0].ngrams
    assert blocks[0].splitlines()[2].split("  ")[2] == ngrams[0].text
    assert len(blocks[0].splitlines()) == 4
    assert "the noisy town\n  bad " in finished.out
    assert "\x1b" not in finished.out  # colours are for terminals


def test_control_characters_do_not_reach_the_terminal(command, model):
    out = command("explain", model, stdin=HOSTILE.encode() + b"\n").out
    assert "\x1b" not in out
    assert "\x00" not in out
    assert "\u202e" not in out
    assert "\\x1b[31m" in out


def test_limit_stops(command, model):
    assert command("explain", model, "--limit", "2", stdin=b"witty\n" * 9).out.count("good") == 2


def test_character_shares_add_up_to_those_of_the_ngrams():
    texts = ["what a film", "what a bore", "a lovely film", "a long bore"]
    model = TextCNNClassifier(random_state=0, max_iter=20).fit(texts, ["good", "bad", "good", "bad"])
    text = "lovely  film, dull plot"
    explanation = model.explain([text])[0]
    shares = shading.shares(explanation)
    # What the n-grams add makes up the logit less the mean over the classes.
    logits, bias = explanation.logits, explanation.bias
    best = logits.argmax()
    expected = (logits[best] - bias[best]) - (logits - bias).mean()
    assert sum(shares) == pytest.approx(expected, rel=1e-4)
    values = shading.character_shares(text, explanation)
    assert len(values) == len(text)
    by_hand = np.zeros(len(text))
    for ngram, share in zip(explanation.ngrams, shares, strict=True):
        by_hand[slice(*ngram.span)] += share / (ngram.end - ngram.start)
    np.testing.assert_allclose(values, by_hand, atol=1e-12)


def test_shades_cover_the_text_and_the_largest_is_the_darkest(model):
    text = "the witty  but noisy story"
    runs = shading.shade_runs(text, textcnn.load(model).explain([text])[0], 8)
    assert "".join(run for run, _, _ in runs) == text
    assert max(abs(level) for _, level, _ in runs) == 8
    for _, level, share in runs:
        assert level == 0 or (level > 0) == (share > 0)
    assert shading.shade_runs("", textcnn.load(model).explain([""])[0], 8) == []


def test_the_page_is_sound_and_needs_nothing_else(command, model, tmp_path):
    finished, text = page_of(command, model, tmp_path, ["a witty story", "", "the noisy\ntown"])
    assert finished.out == ""
    assert finished.err == f"wrote {tmp_path / 'page.html'} with 3 texts\n"
    page = Page(text)
    assert page.open == []
    assert text.startswith("<!DOCTYPE html>")
    assert page.tags.count("article") == 3
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not {"src", "href", "onclick"} & {name for name, _ in page.attributes}
    assert "url(" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text
    assert "a witty story" in page.text
    assert "an empty text" in page.text
    classes = {value for name, value in page.attributes if name == "class"}
    assert classes & {f"f{level}" for level in range(1, 9)}
    for value in (value for name, value in page.attributes if name == "style"):
        assert 0 <= float(value.removeprefix("width:").removesuffix("%")) <= 100


def test_hostile_texts_and_labels_are_only_shown(command, hostile_model, tmp_path):
    _, text = page_of(command, hostile_model, tmp_path, [HOSTILE, "half a pair \ud800 good", "'\"><i>"])
    page = Page(text)
    assert page.open == []
    assert not {"script", "b", "i"} & set(page.tags)
    assert page.tags.count("style") == 1
    assert '<script>alert("1")</script> & <b>bold</b> \ufffd\ufffd[31m' in page.text
    assert '<script>alert("label")</script>' in page.text
    assert not {"\x00", "\x1b", "\u202e"} & set(text)


def test_a_page_has_a_first_part_of_many_texts(command, model, tmp_path):
    finished, text = page_of(command, model, tmp_path, ["witty"] * (explain.TEXTS_ON_A_PAGE + 1))
    assert "the page shows the first 200 texts; --limit N shows more" in finished.err
    assert text.count("<article>") == explain.TEXTS_ON_A_PAGE
    finished, text = page_of(command, model, tmp_path, ["witty"] * 300, "--limit", "250", "--quiet")
    assert finished.err == ""
    assert text.count("<article>") == 250


def test_top_limits_the_table(command, model, tmp_path):
    for top in (1, 3):
        _, text = page_of(command, model, tmp_path, ["a witty and tender story"], "--top", top)
        table = text.split("<table>")[1].split("</table>")[0]
        assert table.count("<tr>") == top


def test_the_strongest_ngrams_are_shown_for_and_against(command, model, tmp_path):
    text = "a witty story in the noisy town"
    explanation = textcnn.load(model).explain([text])[0]
    all_shares = shading.shares(explanation)
    pairs = shading.strongest(explanation, 4)
    figures = [share for _, share in pairs]
    assert figures == sorted(figures, reverse=True)
    assert sorted(map(abs, figures)) == sorted(map(abs, all_shares))[-4:]
    assert figures[0] > 0 > figures[-1]
    out = command("explain", model, "--top", "4", stdin=text.encode() + b"\n").out
    assert re.findall(r"  ([+-]\d+\.\d\d)$", out, re.MULTILINE) == [f"{share:+.2f}" for share in figures]
    _, page = page_of(command, model, tmp_path, [text], "--top", "4")
    assert f"4 of {len(all_shares)} n-grams, the strongest" in page
    assert '<div class="for"' in page
    assert '<div class="against"' in page
    _, page = page_of(command, model, tmp_path, [text], "--top", "1000")
    assert f"all {len(all_shares)} n-grams" in page


def test_each_label_that_a_text_gets_is_explained(command, labels_model, tmp_path):
    model = textcnn.load(labels_model)
    out = command("explain", labels_model, "--top", "2", stdin=b"good film\nbad book\n").out
    both, none = out.split("\n\n")[:2]
    probabilities = model.predict_proba(["good film"])[0]
    lines = both.splitlines()
    order = np.argsort(-probabilities)
    names = model.classes_[order]
    assert lines[1] == "  " + ", ".join(f"{names[i]} {probabilities[order[i]]:.1%}" for i in range(2))
    assert [line for line in lines if line.endswith(":")] == [f"  {name}:" for name in names]
    explanation = model.explain(["good film"])[0]
    for label, output in (("film", 0), ("<good>", 1)):
        shown = lines[lines.index(f"  {label}:") + 1 :][:2]
        expected = shading.strongest(explanation, 2, output)
        assert [float(line.split()[-1]) for line in shown] == pytest.approx(
            [ngram.contributions[output] for ngram, _ in expected], abs=0.006
        )
        assert sum(shading.shares(explanation, output)) == pytest.approx(
            explanation.logits[output] - explanation.bias[output]
        )
    assert none.splitlines()[1].startswith("  no label (")
    assert sum(line.endswith(":") for line in none.splitlines()) == 1  # the likeliest
    _, text = page_of(command, labels_model, tmp_path, ["good film", "bad book", ""])
    page = Page(text)
    assert page.open == []
    assert page.tags.count("article") == 3
    assert page.tags.count("h3") == 2
    assert page.text.count("probabilities") == 3
    assert "no label likeliest: " in page.text


def test_a_number_is_the_sum_of_its_parts(command, numbers_model, tmp_path):
    model = textcnn.load(numbers_model)
    explanation = model.explain(["good film"])[0]
    value = model.predict(["good film"])[0]
    lines = command("explain", numbers_model, "--top", "100", stdin=b"good film\n").out.splitlines()
    assert lines[1] == f"  {value:.1f} ({explanation.bias[0]:.1f} without any n-gram)"
    parts = [float(line.split()[-1]) for line in lines[2:-1]]
    assert len(parts) == len(explanation.ngrams) > 2
    assert explanation.bias[0] + sum(parts) == pytest.approx(value, abs=0.1 * len(parts))
    _, text = page_of(command, numbers_model, tmp_path, ["good film", ""])
    page = Page(text)
    assert page.open == []
    assert "lower  higher" in page.text
    assert f"without any n-gram{explanation.bias[0]:.1f}" in page.text
    assert f"predicted{value:.1f}" in page.text


def test_long_labels_are_shortened(command, tmp_path):
    model = TextCNNClassifier(n_filters=2, max_iter=1, random_state=0)
    model.fit(["good", "bad"] * 4, ["g" * 1000, "b" * 1000] * 4).save(tmp_path / "m")
    _, page = page_of(command, tmp_path / "m", tmp_path, ["good"])
    outputs = [page, command("explain", tmp_path / "m", stdin=b"good\n").out]
    outputs.append(command("info", tmp_path / "m").out)
    for output in outputs:
        assert "g" * 50 in output
        assert "g" * 101 not in output


def test_errors(command, fails, model, tmp_path):
    (tmp_path / "empty.txt").touch()
    (tmp_path / "page.html").write_text("old")
    sentence = fails("explain", model, tmp_path / "empty.txt", "--html", tmp_path / "page.html")
    assert "has no texts, so there is nothing to explain" in sentence
    assert (tmp_path / "page.html").read_text() == "old"
    assert command("explain", model, tmp_path / "empty.txt") == (0, "", "")
    assert "is a folder" in fails("explain", model, tmp_path / "empty.txt", "--html", tmp_path)
    assert "is named twice" in fails("explain", model, "--html", model)
    fails("explain", model, "--top", "0", status=2)
    fails("explain", model, "--html", "", status=2)
