"""Text with coloured spans as HTML: for notebooks, and as one page that needs nothing else."""

from __future__ import annotations

import colorsys
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from html import escape
from typing import Any, NamedTuple

__all__ = ["page", "spans_to_html"]

# No HTML may hold these, not even escaped; and two that would turn the text after them round.
_FORBIDDEN = re.compile(
    "[\u202d\u202e\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)

# Hues in degrees of labels that stand side by side; others get one from their letters.
_HUES = {
    **dict.fromkeys(["PER", "PERSON", "NAME", "NR", "VERB", "VP", "V"], 212),
    **dict.fromkeys(["LOC", "GPE", "LOCATION", "NS", "NOUN", "NP", "N"], 142),
    **dict.fromkeys(["ORG", "ORGANIZATION", "NT", "PROPN", "PP"], 32),
    **dict.fromkeys(["MISC", "PRON", "ADVP"], 282),
    **dict.fromkeys(["DATE", "TIME", "ADJ", "ADJP"], 338),
}
_N_HUES = 24

# Before a label, so that no line ends between it and its text.
JOINER = "&NoBreak;"

# What every page of textcnn has.
PAGE_STYLE = """\
:root { color-scheme: light dark; --ink: #1c2126; --soft: #5d6770; --line: #dde2e6; --page: #f6f7f8;
  --card: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8eb; --soft: #9aa5ae; --line: #343b41;
  --page: #15181b; --card: #1e2327; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 62rem;
  color: var(--ink); background: var(--page);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", sans-serif; }
h1 { font-size: 1.35rem; margin: 0 0 .3rem; }
header p { margin: .3rem 0; color: var(--soft); font-size: .9rem; }
article { margin: 1.2rem 0; padding: 1.1rem 1.3rem 1.2rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 10px; }
"""


class Colors(NamedTuple):
    """Colours of a label as ``#rrggbb``; they do not depend on what lies around the span."""

    ink: str
    background: str
    label_ink: str
    label_background: str


def spans_to_html(text: str, spans: Iterable[Any]) -> str:
    """A text with its spans in colour, each with its label behind it, as a piece of HTML.

    The piece brings its own styles and no others, and is readable on light and dark ground. Line breaks
    and blanks stay as they are; characters that HTML forbids become U+FFFD.

    Parameters
    ----------
    text : str
    spans : iterable of TaggedSpan
        Objects with `label`, `start` and `stop` in characters and `probability`, in the order of the text.
        None lies over another.

    Returns
    -------
    str

    Examples
    --------
    >>> from textcnn import TaggedSpan
    >>> from textcnn.display import spans_to_html
    >>> html = spans_to_html("Haag & Co.", [TaggedSpan("PER", 0, 4, "Haag", 0.98)])
    >>> html.startswith("<div"), "Haag" in html, "PER 98.0%" in html, "&amp; Co." in html
    (True, True, True, True)
    """
    parts, done = [], 0
    for span in spans:
        parts.append(safe(text[done : span.start]))
        parts.append(_mark(text[span.start : span.stop], span.label, span.probability))
        done = span.stop
    parts.append(safe(text[done:]))
    # An empty line keeps its height, as in a text.
    return f'<div dir="auto" style="{_TEXT_STYLE}">{"".join(parts) or "<br>"}</div>'


def page(title: str, fragments: Iterable[str], legend: Sequence[str] = ()) -> Iterator[str]:
    """A page around pieces of HTML, in parts, so that it may be longer than memory.

    Parameters
    ----------
    title : str
    fragments : iterable of str
        Pieces as from `spans_to_html`, one below the other.
    legend : sequence of str, default=()
        Labels, shown in their colours at the head.

    Yields
    ------
    str

    Examples
    --------
    >>> from textcnn.display import page, spans_to_html
    >>> html = "".join(page("A story", [spans_to_html("It rains.", [])], ["PER", "LOC"]))
    >>> html.startswith("<!DOCTYPE html>"), "It rains." in html, html.count("<h1>")
    (True, True, 1)
    """
    yield page_head(title, PAGE_STYLE)
    labels = " ".join(_styled(label)[1] for label in legend if label)
    yield f"<header>\n<h1><bdi>{safe(title)}</bdi></h1>\n" + (f"<p>{labels}</p>\n" if labels else "")
    yield "</header>\n<article>\n"
    for fragment in fragments:
        yield f"{fragment}\n"
    yield "</article>\n</body>\n</html>\n"


def page_head(title: str, style: str) -> str:
    """The beginning of a page, up to its body."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{safe(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
    )


def safe(text: str) -> str:
    """Text as HTML; characters that HTML forbids become the replacement character."""
    return escape(_FORBIDDEN.sub("\ufffd", text))


def label_colors(label: str) -> Colors:
    """Colours of a label, always the same: dark on pale for the text, white on dark for the label."""
    hue = _HUES.get(label.upper())
    if hue is None:
        hue = zlib.crc32(label.encode("utf-8", "surrogatepass")) % _N_HUES * (360 // _N_HUES)
    return Colors("#14191e", _rgb(hue, 0.72, 0.86), "#ffffff", _rgb(hue, 0.55, 0.28))


# What a style sheet of the page around may set for mark and span is set here, so that it does not matter.
_TEXT_STYLE = "white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate;line-height:2"
_MARK_STYLE = (
    "color:{0};background:{1};padding:.14em .3em;border-radius:.3em;"
    "box-decoration-break:clone;-webkit-box-decoration-break:clone"
)
_LABEL_STYLE = (
    "color:{2};background:{3};margin-inline-start:.35em;padding:.08em .35em;border-radius:.25em;"
    "font-size:.68em;font-weight:600;line-height:1;vertical-align:.12em;white-space:nowrap;"
    "unicode-bidi:isolate;user-select:none"
)


def _mark(text: str, label: str, probability: float) -> str:
    style, chip = _styled(label)
    title = f"{safe(label)} {probability:.1%}".lstrip()
    return f'<mark style="{style}" title="{title}">{safe(text)}{chip}</mark>'


@lru_cache(maxsize=1024)
def _styled(label: str) -> tuple[str, str]:
    """The style of a span, and its label as a chip; the label of typeless tags is "" and has none."""
    colors = label_colors(label)
    chip = f'<span style="{_LABEL_STYLE.format(*colors)}">{JOINER}{safe(label)}</span>' if label else ""
    return _MARK_STYLE.format(*colors), chip


def _rgb(hue: float, saturation: float, lightness: float) -> str:
    """A colour of the HSL cylinder as ``#rrggbb``."""
    channels = colorsys.hls_to_rgb(hue / 360, lightness, saturation)
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in channels)
