"""The output formats of `textcnn tag`: what becomes of a tagged line of text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from textcnn.cli.predict import tsv_text

FORMATS = ("conll", "jsonl", "inline", "html")

# Of probabilities, in the formats that people read.
DECIMALS = 4

Writer = Callable[[Any], str]

_INLINE_TEXT = re.compile(r"[\\\[\]]")
_INLINE_LABEL = re.compile(r"[\\)]")
_INLINE_WORD = re.compile(r"[\\/]")


def writer(name: str, scheme: str | None, with_probabilities: bool) -> Writer:
    """A function from a TaggedText to the lines of a format, with their ends.

    Parameters
    ----------
    name : one of FORMATS
    scheme : str or None
        That of the tags; None for plain tags.
    with_probabilities : bool
        For "conll" and "inline"; the others have them always.
    """
    if name == "conll":
        return lambda tagged: conll_lines(tagged, with_probabilities)
    if name == "jsonl":
        return json_line
    if name == "html":
        return html_fragment
    if scheme is None:
        return lambda tagged: word_line(tagged, with_probabilities)
    return lambda tagged: inline_line(tagged, with_probabilities)


def conll_lines(tagged: Any, with_probabilities: bool = False) -> str:
    """Token, tab, tag; a blank line behind each sentence, and one more behind the text."""
    tags = [tsv_text(tag) for tag in tagged.tags]
    if with_probabilities:
        figures = _token_probabilities(tagged)
        rows = [f"{w}\t{t}\t{p}\n" for w, t, p in zip(tagged.tokens, tags, figures, strict=True)]
    else:
        rows = [f"{w}\t{t}\n" for w, t in zip(tagged.tokens, tags, strict=True)]
    blocks = ["".join(rows[first:stop]) + "\n" for first, stop in tagged.sentences if first < stop]
    return "".join(blocks) + "\n"


def _token_probabilities(tagged: Any) -> list[str]:
    """For each token the probability of the span that it belongs to, "_" outside of spans."""
    figures = ["_"] * len(tagged.tokens)
    token = 0
    for span in tagged:
        while tagged.token_starts[token] < span.start:
            token += 1
        figure = f"{span.probability:.{DECIMALS}f}"
        while token < len(figures) and tagged.token_stops[token] <= span.stop:
            figures[token] = figure
            token += 1
    return figures


def json_line(tagged: Any) -> str:
    """One JSON object; places are characters, those of sentences tokens."""
    item = {
        "text": tagged.text,
        "spans": [
            {
                "label": span.label,
                "start": span.start,
                "stop": span.stop,
                "text": span.text,
                "probability": float(f"{span.probability:.6g}"),
            }
            for span in tagged
        ],
        "tokens": tagged.tokens,
        "tags": tagged.tags,
        "sentences": [[first, stop] for first, stop in tagged.sentences if first < stop],
    }
    return json.dumps(item, ensure_ascii=False) + "\n"


def inline_line(tagged: Any, with_probabilities: bool = False) -> str:
    """The text with each span as ``[text](LABEL)``."""
    return inline(tagged, DECIMALS if with_probabilities else 0) + "\n"


def inline(tagged: Any, decimals: int) -> str:
    """`inline_line` without its end, and with so many digits of each probability; 0 for none."""
    text, parts, done = tagged.text, [], 0
    for span in tagged:
        note = _note(_INLINE_LABEL, span.label)
        if decimals:
            note = f"{note} {span.probability:.{decimals}f}".lstrip()
        before, inside = text[done : span.start], text[span.start : span.stop]
        parts.append(f"{_escaped(_INLINE_TEXT, before)}[{_escaped(_INLINE_TEXT, inside)}]({note})")
        done = span.stop
    parts.append(_escaped(_INLINE_TEXT, text[done:]))
    return "".join(parts)


def word_line(tagged: Any, with_probabilities: bool = False) -> str:
    """Plain tags: ``word/TAG`` for each token, divided by blanks."""
    notes = [_note(_INLINE_WORD, tag) for tag in tagged.tags]
    if with_probabilities:
        notes = [f"{note}/{span.probability:.{DECIMALS}f}" for note, span in zip(notes, tagged, strict=True)]
    words = [_escaped(_INLINE_WORD, token) for token in tagged.tokens]
    return " ".join(f"{word}/{note}" for word, note in zip(words, notes, strict=True)) + "\n"


def html_fragment(tagged: Any) -> str:
    """The text in colour, for a page around it."""
    from textcnn.display import spans_to_html

    return spans_to_html(tagged.text, tagged) + "\n"


def html_title(name: str) -> str:
    """The name of a file above its texts."""
    from textcnn.display import safe

    return f'<h2 style="font-size:1.1rem;margin:1.2rem 0 .4rem"><bdi>{safe(name)}</bdi></h2>\n'


def _note(signs: re.Pattern[str], label: str) -> str:
    """A label in one line, with a backslash before signs that would end it."""
    escaped = _escaped(signs, label)
    return escaped.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _escaped(signs: re.Pattern[str], text: str) -> str:
    """`text` with a backslash before each of the signs."""
    return signs.sub(r"\\\g<0>", text)
