"""The page of `textcnn explain --html`: one file without scripts, fonts or pictures from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from textcnn.cli.output import counted
from textcnn.cli.shading import Reading, ngram_text, predicted_labels, readings, shade_runs, strongest
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
h3 { margin: 1.2rem 0 0; font-size: .95rem; }
h3 .sure { color: var(--soft); font-weight: 400; }
h3 bdi { overflow-wrap: anywhere; }
bdi { white-space: pre-wrap; }
"""


def page(
    predictor: Any, items: list[tuple[str, Any, list[float]]], names: list[str], top: int
) -> Iterator[str]:
    """The page in parts.

    Parameters
    ----------
    predictor : SentencePredictor
    items : list of (text, Explanation, probabilities or numbers)
    names : list of str
        The labels or targets.
    top : int
        N-grams in the table of each text.

    Yields
    ------
    str
    """
    titles = {"classification": "labels", "multilabel": "labels", "regression": "numbers"}
    yield page_head(f"Why these {titles[predictor.TASK]}?", f"{PAGE_STYLE}{EXPLANATION_STYLE}{shades()}")
    yield _header(predictor.TASK, len(items))
    for number, (text, explanation, values) in enumerate(items, 1):
        yield _article(predictor, number, text, explanation, values, names, top)
    yield "</body>\n</html>\n"


def shades() -> str:
    """A class for each shade: f1 to f8 for the label, a1 to a8 against it."""
    color = "rgb(var(--{}) / calc(var(--strength) * {:.3f}))"
    return "".join(
        f".{letter}{level} {{ background: {color.format(name, level / N_LEVELS)}; }}\n"
        for letter, name in (("f", "for"), ("a", "against"))
        for level in range(1, N_LEVELS + 1)
    )


_WHAT_FIGURES_ARE = {
    "classification": "Each n-gram that the model knows adds a share to the score of each label. Figures are "
    "the share of the predicted label less the mean over all labels.",
    "multilabel": "Each n-gram that the model knows adds a share to the score of each label, its log-odds. "
    "Explained are the labels that a text gets, or the likeliest if it gets none.",
    "regression": "Each n-gram that the model knows adds to the predicted number or takes from it: these "
    "figures and the number without any n-gram add up to the prediction.",
}


def _header(task: str, n_texts: int) -> str:
    thing = "number" if task == "regression" else "label"
    key = "".join(f'<span class="a{level}"></span>' for level in range(N_LEVELS, 0, -1))
    key += "".join(f'<span class="f{level}"></span>' for level in range(1, N_LEVELS + 1))
    ends = ("lower", "higher") if task == "regression" else ("against the label", "for the label")
    title = f"this {thing}" if n_texts == 1 else f"these {n_texts:,} {thing}s"
    if task == "multilabel":
        title = "these labels" if n_texts == 1 else f"the labels of these {n_texts:,} texts"
    return (
        f"<header>\n<h1>Why {title}?</h1>\n"
        f'<p class="key">{ends[0]} {key} {ends[1]}</p>\n'
        f"<p>{_WHAT_FIGURES_ARE[task]} A character is shaded by the n-grams "
        "across it, each spread evenly over its tokens; the strongest shade is the largest of its text.</p>\n"
        "</header>\n"
    )


def _article(
    predictor: Any, number: int, text: str, explanation: Any, values: list[float], names: list[str], top: int
) -> str:
    chosen = readings(predictor, values, names)
    parts = [
        f'<article>\n<h2><span class="number">{number}</span> {_title(predictor, values, chosen)}</h2>\n'
    ]
    for i, reading in enumerate(chosen):
        if len(chosen) > 1:
            parts.append(
                f'<h3><bdi>{safe(reading.name)}</bdi> <span class="sure">{reading.figure}</span></h3>\n'
            )
        parts.append(f"{shaded(text, explanation, reading)}\n")
        has_table = i == 0 or reading.is_number  # the probabilities once, below the first label
        beside = value_table(predictor, explanation, values, names, reading) if has_table else ""
        parts.append(details(text, explanation, reading, top, beside))
    return "".join([*parts, "</article>\n"])


def _title(predictor: Any, values: list[float], chosen: list[Reading]) -> str:
    """What was predicted for a text."""
    first = chosen[0]
    if predictor.TASK == "multilabel" and not predicted_labels(predictor, values):
        return f'no label <span class="sure">likeliest: {safe(first.name)} {first.figure}</span>'
    if len(chosen) > 1:
        return f"<bdi>{safe(', '.join(reading.name for reading in chosen))}</bdi>"
    if not first.name:
        return f"<bdi>{first.figure}</bdi>"
    return f'<bdi>{safe(first.name)}</bdi> <span class="sure">{first.figure}</span>'


def details(text: str, explanation: Any, reading: Reading, top: int, beside: str) -> str:
    """The table of n-grams below a text, and what stands beside it."""
    return f'<div class="details">\n{_ngram_table(text, explanation, reading, top)}{beside}</div>\n'


def value_table(
    predictor: Any, explanation: Any, values: list[float], names: list[str], reading: Reading
) -> str:
    """The probabilities of the labels; or how a number comes about."""
    if predictor.TASK == "regression":
        return _sum_table(explanation, reading)
    return _label_table(values, names, predicted_labels(predictor, values), reading.output)


def shaded(text: str, explanation: Any, reading: Reading) -> str:
    """A text, each character shaded by the n-grams across it."""
    if not text.strip():
        return '<p class="text empty">an empty text</p>'
    parts = []
    for run, level, share in shade_runs(text, explanation, N_LEVELS, reading.output):
        if level:
            name = f"{'f' if level > 0 else 'a'}{abs(level)}"
            title = reading.share(share) if reading.is_number else f"{share:+.3f}"
            parts.append(f'<span class="{name}" title="{title}">{safe(run)}</span>')
        else:
            parts.append(safe(run))
    return f'<p class="text" dir="auto">{"".join(parts)}</p>'


def _ngram_table(text: str, explanation: Any, reading: Reading, top: int) -> str:
    chosen = strongest(explanation, top, reading.output)
    largest = max((abs(share) for _, share in chosen), default=0.0) or 1.0
    n_all = len(explanation.ngrams)
    rows = []
    for ngram, share in chosen:
        words = safe(ngram_text(text, ngram))
        side = "for" if share >= 0 else "against"
        rows.append(
            f'<tr><th scope="row"><bdi>{words}</bdi></th><td class="bar"><div class="{side}" '
            f'style="width:{abs(share) / largest:.1%}"></div></td>'
            f'<td class="figure">{_signed(reading.share(share))}</td></tr>\n'
        )
    if not rows:
        thing = "number" if reading.is_number else "label"
        return f'<p class="empty">Nothing was found: the {thing} follows from the bias alone.</p>\n'
    what = f"{len(rows)} of {counted(n_all, 'n-gram')}, the strongest"
    if len(rows) == n_all:
        what = f"all {counted(n_all, 'n-gram')}" if n_all > 1 else "the only n-gram"
    return f"<table>\n<caption>{what}</caption>\n{''.join(rows)}</table>\n"


def _sum_table(explanation: Any, reading: Reading) -> str:
    """How a predicted number comes about."""
    start, end = float(explanation.bias[reading.output]), float(explanation.logits[reading.output])
    rows = [
        ("without any n-gram", f"{start:.{reading.decimals}f}"),
        (f"all {counted(len(explanation.ngrams), 'n-gram')}", reading.share(end - start)),
    ]
    cells = "".join(
        f'<tr><th scope="row">{what}</th><td class="figure">{_signed(figure)}</td></tr>\n'
        for what, figure in rows
    )
    return (
        f'<table>\n<caption>the sum</caption>\n{cells}<tr class="chosen"><th scope="row">predicted</th>'
        f'<td class="figure">{_signed(f"{end:.{reading.decimals}f}")}</td></tr>\n</table>\n'
    )


def _label_table(
    probabilities: list[float], names: list[str], chosen: list[int], explained: int | None
) -> str:
    """The likeliest labels, below the chosen ones and the one that is explained."""
    first = {*chosen, *([] if explained is None else [explained])}
    order = sorted(range(len(names)), key=lambda i: (i != explained, i not in first, -probabilities[i]))
    order = order[:MOST_LABELS]
    rows = [
        f'<tr class="{"chosen" if i in chosen else "other"}"><th scope="row"><bdi>{safe(names[i])}</bdi></th>'
        f'<td class="bar"><div class="for" style="width:{probabilities[i]:.1%}"></div></td>'
        f'<td class="figure">{probabilities[i]:.1%}</td></tr>\n'
        for i in order
    ]
    more = len(names) - len(order)
    what = "probabilities" + (f", {more} smaller ones left out" if more else "")
    return f"<table>\n<caption>{what}</caption>\n{''.join(rows)}</table>\n"


def _signed(figure: str) -> str:
    """A figure with a minus of its own width; none for zero."""
    return figure.lstrip("+-") if not float(figure) else figure.replace("-", "\u2212")
