"""The page of `textcnn explain --html`: one file without scripts, fonts or pictures from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from textcnn.cli.output import counted
from textcnn.cli.shading import ngram_text, shade_runs, strongest
from textcnn.display import PAGE_STYLE, page_head, safe

N_LEVELS = 8
MOST_LABELS = 8  # with a bar of their own, the likeliest ones

EXPLANATION_STYLE = """\
:root { --for: 31 111 190; --against: 214 106 20; --strength: 0.62; }
@media (prefers-color-scheme: dark) { :root { --for: 62 146 235; --against: 235 128 44; --strength: 0.66; } }
h2 { display: flex; gap: .6rem; align-items: baseline; margin: 0; font-size: 1rem; }
h2 bdi { min-width: 0; overflow-wrap: anywhere; }
h2 .number { color: var(--soft); font-weight: 400; font-size: .85rem; }
h2 .sure { color: var(--soft); font-weight: 400; }
.text { margin: .7rem 0 1.1rem; font-size: 1.12rem; line-height: 1.9; white-space: pre-wrap;
  overflow-wrap: anywhere; unicode-bidi: isolate; }
.text span { padding: .16em 0; border-radius: 2px; }
.key span { display: inline-block; width: .9rem; height: .9rem; vertical-align: -.12rem; }
.empty { color: var(--soft); font-style: italic; }
.details { display: grid; align-items: start; gap: 1.2rem 2.2rem;
  grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); }
@media (max-width: 44rem) { .details { grid-template-columns: minmax(0, 1fr); } }
table { width: 100%; border-collapse: collapse; font-size: .88rem; table-layout: fixed; }
caption { text-align: left; color: var(--soft); font-size: .8rem; padding-bottom: .35rem; }
td, th { padding: .18rem .3rem .18rem 0; border-top: 1px solid var(--line); vertical-align: middle;
  font-weight: 400; text-align: left; overflow-wrap: anywhere; }
td.figure { width: 4.6rem; text-align: right; font-variant-numeric: tabular-nums; padding-right: 0; }
td.bar { width: 30%; padding-right: .6rem; }
.bar div { display: block; height: .62rem; border-radius: 2px; }
.bar .for { background: rgb(var(--for)); }
.bar .against { background: rgb(var(--against)); }
.chosen th { font-weight: 600; }
bdi { white-space: pre-wrap; }
"""


def page(items: list[tuple[str, Any, list[float]]], names: list[str], top: int) -> Iterator[str]:
    """The page in parts.

    Parameters
    ----------
    items : list of (text, Explanation, probabilities)
    names : list of str
        The labels.
    top : int
        N-grams in the table of each text.

    Yields
    ------
    str
    """
    yield page_head("Why these labels?", f"{PAGE_STYLE}{EXPLANATION_STYLE}{shades()}")
    yield _header(len(items))
    for number, (text, explanation, probabilities) in enumerate(items, 1):
        yield _article(number, text, explanation, probabilities, names, top)
    yield "</body>\n</html>\n"


def shades() -> str:
    """A class for each shade: f1 to f8 for the label, a1 to a8 against it."""
    color = "rgb(var(--{}) / calc(var(--strength) * {:.3f}))"
    return "".join(
        f".{letter}{level} {{ background: {color.format(name, level / N_LEVELS)}; }}\n"
        for letter, name in (("f", "for"), ("a", "against"))
        for level in range(1, N_LEVELS + 1)
    )


def _header(n_texts: int) -> str:
    key = "".join(f'<span class="a{level}"></span>' for level in range(N_LEVELS, 0, -1))
    key += "".join(f'<span class="f{level}"></span>' for level in range(1, N_LEVELS + 1))
    return (
        f"<header>\n<h1>Why {'this label' if n_texts == 1 else f'these {n_texts:,} labels'}?</h1>\n"
        f'<p class="key">against the label {key} for the label</p>\n'
        "<p>Each n-gram that the model knows adds a share to the score of each label. Figures are the "
        "share of the predicted label less the mean over all labels. A character is shaded by the n-grams "
        "across it, each spread evenly over its tokens; the strongest shade is the largest of its text.</p>\n"
        "</header>\n"
    )


def _article(
    number: int, text: str, explanation: Any, probabilities: list[float], names: list[str], top: int
) -> str:
    best = int(explanation.logits.argmax())
    return (
        f'<article>\n<h2><span class="number">{number}</span> <bdi>{safe(names[best])}</bdi> '
        f'<span class="sure">{probabilities[best]:.1%}</span></h2>\n'
        f"{shaded(text, explanation)}\n"
        f"{details(text, explanation, probabilities, names, top)}</article>\n"
    )


def details(text: str, explanation: Any, probabilities: list[float], names: list[str], top: int) -> str:
    """The tables below a text: its n-grams, and the probabilities of the labels."""
    best = int(explanation.logits.argmax())
    return (
        f'<div class="details">\n{_ngram_table(text, explanation, top)}'
        f"{_label_table(probabilities, names, best)}</div>\n"
    )


def shaded(text: str, explanation: Any) -> str:
    """A text, each character shaded by the n-grams across it."""
    if not text.strip():
        return '<p class="text empty">an empty text</p>'
    parts = []
    for run, level, share in shade_runs(text, explanation, N_LEVELS):
        if level:
            name = f"{'f' if level > 0 else 'a'}{abs(level)}"
            parts.append(f'<span class="{name}" title="{share:+.3f}">{safe(run)}</span>')
        else:
            parts.append(safe(run))
    return f'<p class="text" dir="auto">{"".join(parts)}</p>'


def _ngram_table(text: str, explanation: Any, top: int) -> str:
    chosen = strongest(explanation, top)
    largest = max((abs(share) for _, share in chosen), default=0.0) or 1.0
    n_all = len(explanation.ngrams)
    rows = []
    for ngram, share in chosen:
        words = safe(ngram_text(text, ngram))
        side = "for" if share >= 0 else "against"
        rows.append(
            f'<tr><th scope="row"><bdi>{words}</bdi></th><td class="bar"><div class="{side}" '
            f'style="width:{abs(share) / largest:.1%}"></div></td>'
            f'<td class="figure">{_signed(share)}</td></tr>\n'
        )
    if not rows:
        return '<p class="empty">Nothing was found: the label follows from the bias alone.</p>\n'
    what = f"{len(rows)} of {counted(n_all, 'n-gram')}, the strongest"
    if len(rows) == n_all:
        what = f"all {counted(n_all, 'n-gram')}" if n_all > 1 else "the only n-gram"
    return f"<table>\n<caption>{what}</caption>\n{''.join(rows)}</table>\n"


def _label_table(probabilities: list[float], names: list[str], best: int) -> str:
    order = sorted(range(len(names)), key=lambda i: (i != best, -probabilities[i]))[:MOST_LABELS]
    rows = [
        f'<tr class="{"chosen" if i == best else "other"}"><th scope="row"><bdi>{safe(names[i])}</bdi></th>'
        f'<td class="bar"><div class="for" style="width:{probabilities[i]:.1%}"></div></td>'
        f'<td class="figure">{probabilities[i]:.1%}</td></tr>\n'
        for i in order
    ]
    more = len(names) - len(order)
    what = "probabilities" + (f", {more} smaller ones left out" if more else "")
    return f"<table>\n<caption>{what}</caption>\n{''.join(rows)}</table>\n"


def _signed(value: float) -> str:
    figure = f"{value:+.2f}"
    return "0.00" if figure in ("+0.00", "-0.00") else figure.replace("-", "\u2212")
