"""Text with coloured spans as HTML."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textcnn import TaggedSpan
from textcnn.display import label_colors, page, safe, spans_to_html


class Reader(HTMLParser):
    """What a browser would show: the text, the labels, and whether all elements are closed."""

    def __init__(self, html):
        super().__init__()
        self.open, self.marked, self.labels, self.text, self.tags = [], [], [], "", []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("br", "meta"):
            self.open.append(tag)
        if tag == "mark":
            self.marked.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "span" in self.open:
            self.labels.append(data.removeprefix("\u2060"))
            return
        self.text += data
        if "mark" in self.open:
            self.marked[-1] += data


def some_spans(text, places, labels):
    """Spans between pairs of sorted places of a text."""
    places = sorted(set(places))
    pairs = zip(places[::2], places[1::2], labels, strict=False)
    return [TaggedSpan(label, a, b, text[a:b], 0.5) for a, b, label in pairs]


@given(st.text(max_size=40), st.lists(st.integers(0, 40)), st.lists(st.text(min_size=1, max_size=5)))
def test_the_text_and_its_spans_come_back(text, places, labels):
    spans = some_spans(text, [place for place in places if place <= len(text)], labels)
    read = Reader(spans_to_html(text, spans))
    # The parser reads CR as it is; browsers see a line break.
    assert read.text == safe_text(text)
    assert read.marked == [safe_text(span.text) for span in spans]
    assert read.labels == [safe_text(span.label) for span in spans]
    assert read.open == []


def safe_text(text):
    """A text without the characters that HTML forbids."""
    import html

    return html.unescape(safe(text))


def test_markup_in_text_and_labels_is_shown_and_not_obeyed():
    text = '<script>alert("&")</script>'
    html = spans_to_html(text, [TaggedSpan('<b title="x">', 0, 8, text[:8], 1.0)])
    assert "<script" not in html
    assert "<b" not in html
    assert Reader(html).text == text
    title = "".join(page("</title><b>", [html], ["<i>"]))
    assert "</title><b>" not in title
    assert "<i>" not in title


def test_the_title_tells_the_probability():
    html = spans_to_html("Paris", [TaggedSpan("LOC", 0, 5, "Paris", 0.98765)])
    assert 'title="LOC 98.8%"' in html


def test_spans_without_labels_have_no_chip():
    read = Reader(spans_to_html("Paris", [TaggedSpan("", 0, 5, "Paris", 0.5)]))
    assert read.marked == ["Paris"]
    assert read.labels == []


def test_no_line_ends_between_a_text_and_its_label():
    assert "either/or<span" in spans_to_html("either/or", [TaggedSpan("X", 0, 9, "either/or", 1.0)])
    assert ">&NoBreak;X</span>" in spans_to_html("either/or", [TaggedSpan("X", 0, 9, "either/or", 1.0)])


def test_an_empty_line_keeps_its_height():
    assert "<br>" in spans_to_html("", [])
    assert "<br>" not in spans_to_html("a", [])


def luminance(color):
    """Relative luminance of WCAG 2."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """Contrast ratio of WCAG 2."""
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("n", [500])
def test_every_colour_has_the_contrast_that_readers_need(n):
    found = [label_colors(f"LABEL{i}") for i in range(n)] + [label_colors("PER"), label_colors("LOC")]
    assert len(set(found)) > 20
    for colors in found:
        assert contrast(colors.ink, colors.background) >= 7
        assert contrast(colors.label_ink, colors.label_background) >= 4.5


def test_usual_labels_differ_in_colour():
    assert len({label_colors(label) for label in ("PER", "ORG", "LOC", "MISC", "DATE")}) == 5
    assert label_colors("per") == label_colors("PER")


def test_a_page_is_complete_and_needs_nothing_else():
    fragments = [spans_to_html("Haag sings.", [TaggedSpan("PER", 0, 4, "Haag", 0.9)]), spans_to_html("", [])]
    html = "".join(page("A story", fragments, ["PER", "LOC"]))
    assert html.startswith("<!DOCTYPE html>")
    read = Reader(html.removeprefix("<!DOCTYPE html>"))
    assert read.open == []
    assert read.labels == ["PER", "LOC", "PER"]
    assert not {"script", "link", "img", "iframe"} & set(read.tags)
    assert "http" not in html
    assert "url(" not in html


def test_a_notebook_shows_tagged_text_in_colour():
    from textcnn.tag_predictor import TaggedText

    spans = [TaggedSpan("PER", 0, 4, "Haag", 0.9)]
    tagged = TaggedText("Haag sings", spans, ["Haag", "sings"], [0, 5], [4, 10], ["B-PER", "O"], [(0, 2)])
    assert tagged._repr_html_() == spans_to_html("Haag sings", spans)
