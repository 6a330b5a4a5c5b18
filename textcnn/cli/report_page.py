"""The page of `textcnn report`, part by part: tables, bars and curves without scripts or pictures."""

from __future__ import annotations

import math
from typing import Any

from textcnn.cli.evaluate import WIDEST_LABEL, WIDEST_MATRIX, Scores, averages, confusions
from textcnn.cli.html import EXPLANATION_STYLE, N_LEVELS, details, shaded, shades, value_table
from textcnn.cli.output import counted, printable, shortened
from textcnn.cli.shading import Reading, number_reading, output_names
from textcnn.cli.tables import label_text
from textcnn.display import PAGE_STYLE, page_head, safe

# Characters of a name or a word in a table.
LONGEST_NAME = 100
LONGEST_WORD = 40

# Tokens of a long sentence that are shown to either side of a wrong one.
MOST_TOKENS = 100

# More epochs are drawn without a dot for each.
MOST_DOTS = 60

# Of more texts the scatter plot shows so many, at even distances in the file.
MOST_POINTS = 2000

END = "</body>\n</html>\n"

_STYLE = """\
h1 { overflow-wrap: anywhere; }
section > h2 { margin: 2rem 0 .6rem; font-size: 1.15rem; }
section > p { margin: .2rem 0 .8rem; color: var(--soft); font-size: .9rem; }
.figures { display: flex; flex-wrap: wrap; gap: .6rem 2.4rem; }
.figures div { font-size: .85rem; color: var(--soft); }
.figures b { display: block; font-size: 1.5rem; color: var(--ink); font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
table.numbers { width: auto; table-layout: auto; margin: 1rem 0 0; }
.numbers td { text-align: right; font-variant-numeric: tabular-nums; padding: .18rem .3rem .18rem 1.2rem;
  overflow-wrap: normal; }
.numbers thead th { text-align: right; padding-left: 1.2rem; color: var(--soft); border: 0;
  overflow-wrap: normal; }
.numbers th:first-child { text-align: left; padding-left: 0; max-width: 22rem; }
.numbers td.name { text-align: left; max-width: 22rem; overflow-wrap: anywhere; }
.numbers .rule > * { border-top: 2px solid var(--line); }
table.matrix { width: auto; table-layout: auto; }
.matrix th { overflow-wrap: break-word; }
.matrix td { text-align: center; min-width: 3rem; padding: .4rem .5rem; border: 1px solid var(--line);
  font-variant-numeric: tabular-nums; overflow-wrap: normal; }
.matrix td.none { color: var(--soft); }
.matrix thead th { text-align: center; border: 0; padding: .3rem .5rem; max-width: 8rem;
  vertical-align: bottom; }
.matrix tbody th { border: 0; padding-right: .7rem; text-align: right; max-width: 14rem; }
.curves { display: grid; gap: 1.2rem 2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(22rem, 100%), 1fr)); }
figure { margin: 0; }
figcaption { font-size: .9rem; }
figcaption span { color: var(--soft); }
svg { display: block; width: 100%; height: auto; }
svg text { font-size: 11px; fill: var(--soft); font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .loss { stroke: rgb(var(--for)); }
svg .score { stroke: rgb(var(--against)); }
svg .equal { stroke: var(--soft); stroke-width: 1.2; stroke-dasharray: 3 4; }
svg .point { fill: rgb(var(--for) / 0.55); }
.scatter { max-width: 30rem; }
svg circle.loss { fill: rgb(var(--for)); }
svg circle.score { fill: rgb(var(--against)); }
.filters { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); }
.filters article { margin: 0; padding: .8rem 1rem 1rem; }
.filters h3 { margin: 0; font-size: 1rem; }
.filters h3 span, .ideal { color: var(--soft); font-weight: 400; font-size: .88rem; }
.filters p { margin: .3rem 0 .5rem; overflow-wrap: anywhere; }
.pad { color: var(--soft); }
article > .text:last-child { margin-bottom: .2rem; }
.wrong { color: var(--soft); font-weight: 400; font-size: .9rem; }
.token { padding: .16em .1em; border-radius: 2px; unicode-bidi: isolate; }
.token.unseen { color: var(--soft); }
.token.at { outline: 2px solid var(--ink); outline-offset: 1px; font-weight: 600; }
"""


def head(model: str, data: str) -> str:
    """The beginning of the page: what it is about."""
    style = f"{PAGE_STYLE}{EXPLANATION_STYLE}{shades()}{_STYLE}"
    return (
        f"{page_head(f'{model} on {data}', style)}<header>\n<h1><bdi>{safe(model)}</bdi></h1>\n"
        f"<p>on <bdi>{safe(data)}</bdi></p>\n</header>\n"
    )


# Name, precision, recall and F1, number.
_Row = tuple[str, list[float], int]

# ---- scores ------------------------------------------------------------------------------------------


def text_scores(scores: Scores) -> str:
    """Accuracy, and precision, recall and F1 of each label."""
    total = int(scores.support.sum())
    means = averages(scores)
    figures = _figures(
        [
            (f"{scores.accuracy:.1%}", "accuracy"),
            (f"{means['macro average'][2]:.3f}", "F1, macro average"),
            (f"{total:,}", f"{scores.unit}s"),
        ]
    )
    rows = [
        (scores.names[i], [scores.precision[i], scores.recall[i], scores.f1[i]], int(scores.support[i]))
        for i in range(len(scores.names))
    ]
    return _scores_section(
        figures, rows, [(name, list(values), total) for name, values in means.items()], f"{scores.unit}s"
    )


def label_scores(figures: dict[str, Any]) -> str:
    """How many texts have all labels right, and precision, recall and F1 of each label."""
    heads = _figures(
        [
            (f"{figures['subset_accuracy']:.1%}", "texts with all labels right"),
            (f"{figures['micro_average']['f1']:.3f}", "F1, micro average"),
            (f"{figures['macro_average']['f1']:.3f}", "F1, macro average"),
            (f"{figures['texts']:,}", "texts"),
        ]
    )

    def values(row: dict[str, float]) -> list[float]:
        return [row["precision"], row["recall"], row["f1"]]

    rows = [(row["label"], values(row), row["texts"]) for row in figures["labels"]]
    means = [
        (f"{name} average", values(figures[f"{name}_average"]), figures["texts"])
        for name in ("micro", "macro")
    ]
    return _scores_section(heads, rows, means, "texts")


def number_scores(figures: dict[str, Any]) -> str:
    """R2 and the mean errors."""
    heads = _figures(
        [
            ("–" if figures["r2"] is None else f"{figures['r2']:.4f}", "R2"),
            (f"{figures['mean_absolute_error']:.5g}", "mean absolute error"),
            (f"{figures['root_mean_squared_error']:.5g}", "root mean squared error"),
            (f"{figures['texts']:,}", "texts"),
        ]
    )
    return f"<section>\n<h2>Scores</h2>\n{heads}</section>\n"


def span_scores(scores: Any) -> str:
    """F1, and precision, recall and F1 of each type of spans."""
    figures = _figures(
        [
            (f"{100 * scores.f1:.2f}", "F1 of spans"),
            (f"{scores.accuracy:.1%}", "accuracy of tokens"),
            (f"{scores.n_true:,}", "spans"),
            (f"{scores.n_tokens:,}", "tokens"),
        ]
    )
    rows = [
        (name or "spans", [found.precision, found.recall, found.f1], found.n_true)
        for name, found in scores.by_type.items()
    ]
    means = [("all", [scores.precision, scores.recall, scores.f1], scores.n_true)]
    return _scores_section(figures, rows, means, "spans")


def _scores_section(figures: str, rows: list[_Row], means: list[_Row], unit: str) -> str:
    body = "".join(_score_row(*row) for row in rows)
    for i, row in enumerate(means):
        body += _score_row(*row, style=' class="rule"' if i == 0 else "")
    return (
        f'<section>\n<h2>Scores</h2>\n{figures}<div class="wide"><table class="numbers">\n<thead><tr>'
        f"<th></th><th>precision</th><th>recall</th><th>F1</th><th>{unit}</th></tr></thead>\n<tbody>\n{body}</tbody>\n"
        "</table></div>\n</section>\n"
    )


def _score_row(name: str, values: list[float], count: int, style: str = "") -> str:
    cells = "".join(f"<td>{value:.3f}</td>" for value in values)
    return f'<tr{style}><th scope="row">{_name(name)}</th>{cells}<td>{count:,}</td></tr>\n'


def _figures(figures: list[tuple[str, str]]) -> str:
    items = "".join(f"<div><b>{figure}</b>{what}</div>" for figure, what in figures)
    return f'<div class="figures">{items}</div>\n'


# ---- confusion ---------------------------------------------------------------------------------------


def confusion(scores: Scores) -> str:
    """The matrix, shaded by the share of the row; with many labels the most frequent confusions."""
    what = "Labels" if scores.unit == "text" else "Tags"
    if len(scores.names) > WIDEST_MATRIX:
        found = confusions(scores)
        rows = "".join(
            f'<tr><th scope="row">{_name(scores.names[i])}</th><td class="name">{_name(scores.names[j])}</td>'
            f"<td>{count:,}</td></tr>\n"
            for count, i, j in found
        )
        return (
            f"<section>\n<h2>Most frequent confusions</h2>\n"
            f"<p>{what} that were predicted for others, of {len(scores.names)}.</p>\n"
            f'<div class="wide"><table class="numbers">\n<thead><tr><th>true</th><th>predicted</th>'
            f"<th>{scores.unit}s</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n</section>\n"
        )
    heads = "".join(f'<th scope="col">{_name(name, WIDEST_LABEL)}</th>' for name in scores.names)
    rows = ""
    for name, counts in zip(scores.names, scores.confusion.tolist(), strict=True):
        total = sum(counts) or 1
        cells = "".join(_cell(count, count / total) for count in counts)
        rows += f'<tr><th scope="row">{_name(name, WIDEST_LABEL)}</th>{cells}</tr>\n'
    return (
        "<section>\n<h2>Confusion matrix</h2>\n"
        f"<p>A row for each true label, a column for each prediction; shaded by the share of the row.</p>\n"
        f'<div class="wide"><table class="matrix">\n<thead><tr><th></th>{heads}</tr></thead>\n<tbody>\n{rows}'
        "</tbody>\n</table></div>\n</section>\n"
    )


def _cell(count: int, share: float, whole: str = "of the row") -> str:
    if not count:
        return '<td class="none">0</td>'
    color = f"rgb(var(--for) / calc(var(--strength) * {share:.3f}))"
    return f'<td style="background:{color}" title="{share:.1%} {whole}">{count:,}</td>'


def label_confusion(names: list[str], true: Any, predicted: Any) -> str:
    """For each label the texts without it and with it, by what was predicted."""
    rows = ""
    for k, name in enumerate(names):
        own, found = true[:, k] > 0, predicted[:, k] > 0
        cells = ""
        for side, whole in ((own, "of the texts with the label"), (~own, "of the texts without it")):
            total = int(side.sum()) or 1
            counts = [int((side & found).sum()), int((side & ~found).sum())]
            cells += "".join(_cell(count, count / total, whole) for count in counts)
        rows += f'<tr><th scope="row">{_name(name, WIDEST_LABEL)}</th>{cells}</tr>\n'
    heads = "".join(
        f'<th scope="col">{head}</th>'
        for head in ("has it, predicted", "has it, missed", "without, predicted", "without, not predicted")
    )
    return (
        "<section>\n<h2>Confusions of each label</h2>\n"
        "<p>Texts with the label, then texts without it; each pair is shaded by its shares.</p>\n"
        f'<div class="wide"><table class="matrix labels">\n<thead><tr><th></th>{heads}</tr></thead>\n'
        f"<tbody>\n{rows}</tbody>\n</table></div>\n</section>\n"
    )


# ---- predicted and true numbers ----------------------------------------------------------------------


def scatter(true: list[float], predicted: list[float]) -> str:
    """A point for each text, at its own number and the predicted one; on the diagonal they are equal."""
    size, left, top, bottom = 420, 52, 10, 40
    numbers = [*true, *predicted]
    low, high = min(numbers), max(numbers)
    margin = 0.04 * (high - low) or 0.5
    low, high = low - margin, high + margin
    span = size - left - top

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * span

    def y(value: float) -> float:
        return top + (high - value) / (high - low) * span

    parts = []
    for value in _round_numbers(low, high):
        parts.append(
            f'<line class="grid" x1="{left}" x2="{left + span}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
            f'<text x="{left - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
            f'<text x="{x(value):.1f}" y="{top + span + 16}" text-anchor="middle">{value:g}</text>'
        )
    parts.append(
        f'<line class="equal" x1="{x(low):.1f}" y1="{y(low):.1f}" x2="{x(high):.1f}" y2="{y(high):.1f}"/>'
    )
    step = max(1, -(-len(true) // MOST_POINTS))
    pairs = list(zip(true, predicted, strict=True))[::step]
    parts += [
        f'<circle class="point" cx="{x(own):.1f}" cy="{y(found):.1f}" r="3"><title>true {own:.6g}, predicted '
        f"{found:.6g}</title></circle>"
        for own, found in pairs
    ]
    parts.append(
        f'<text x="{left + span / 2:.1f}" y="{top + span + bottom - 8}" text-anchor="middle">true</text>'
        f'<text x="12" y="{top + span / 2:.1f}" text-anchor="middle" '
        f'transform="rotate(-90 12 {top + span / 2:.1f})">predicted</text>'
    )
    shown = counted(len(true), "text")
    if step > 1:
        shown = f"{len(pairs):,} of {shown}, one of every {step} in the file"
    return (
        "<section>\n<h2>Predicted and true numbers</h2>\n"
        f"<p>{shown}; on the dotted line a prediction is right.</p>\n"
        f'<figure class="scatter">\n<svg viewBox="0 0 {size} {top + span + bottom}" role="img" '
        f'aria-label="predicted and true numbers">{"".join(parts)}</svg>\n</figure>\n</section>\n'
    )


def _round_numbers(low: float, high: float) -> list[float]:
    """Three to eight multiples of 1, 2 or 5 times a power of ten from `low` to `high`."""
    power = 10.0 ** math.floor(math.log10((high - low) / 3))
    step = max((m * power for m in (1, 2, 5) if m * power <= (high - low) / 3), default=power)
    digits = max(0, 1 - math.floor(math.log10(step)))
    return [round(k * step, digits) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


# ---- learning curves ---------------------------------------------------------------------------------


def curves(loss: list[float], scores: list[float], score: str) -> str:
    """Training loss and validation score by epoch; "" if the model file has neither."""
    drawn = ""
    if any(map(math.isfinite, loss)):
        drawn += _curve(loss, "training loss", f"{loss[-1]:.4f} at the end", "loss")
    if any(map(math.isfinite, scores)):
        best = max(filter(math.isfinite, scores))
        note = f"best {best:.4f} in epoch {scores.index(best) + 1}"
        drawn += _curve(scores, f"validation {score}", note, "score")
    if not drawn:
        return ""
    return f'<section>\n<h2>Learning curves</h2>\n<div class="curves">\n{drawn}</div>\n</section>\n'


def _curve(values: list[float], title: str, note: str, style: str) -> str:
    """A figure with one line; values that are no numbers are left out."""
    points = [(epoch, value) for epoch, value in enumerate(values, 1) if math.isfinite(value)]
    width, height, left, right, top, bottom = 420, 190, 48, 12, 10, 24
    low, high = min(value for _, value in points), max(value for _, value in points)
    if style == "loss" or low == high:
        low, high = min(low, 0), max(high, 0) or 1.0

    def x(epoch: float) -> float:
        return left + (epoch - 1) / max(len(values) - 1, 1) * (width - left - right)

    def y(value: float) -> float:
        return top + (high - value) / (high - low) * (height - top - bottom)

    parts = []
    for k in range(4):
        value = low + (high - low) * k / 3
        parts.append(
            f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
            f'<text x="{left - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        )
    for epoch in sorted({1, (len(values) + 1) // 2, len(values)}):
        parts.append(f'<text x="{x(epoch):.1f}" y="{height - 6}" text-anchor="middle">{epoch}</text>')
    line = " ".join(f"{x(epoch):.1f},{y(value):.1f}" for epoch, value in points)
    parts.append(f'<polyline class="line {style}" points="{line}"/>')
    if len(points) <= MOST_DOTS:
        parts += [
            f'<circle class="{style}" cx="{x(epoch):.1f}" cy="{y(value):.1f}" r="3"><title>epoch {epoch}: '
            f"{value:.4f}</title></circle>"
            for epoch, value in points
        ]
    return (
        f"<figure>\n<figcaption>{title} by epoch <span>{note}</span></figcaption>\n"
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{title} by epoch">'
        f"{''.join(parts)}</svg>\n</figure>\n"
    )


# ---- filters -----------------------------------------------------------------------------------------


def filters(favourites: list[Any], top: list[Any], n_filters: int) -> str:
    """The filters with their ideal n-gram and the strongest ones of the data."""
    if not favourites:
        return ""
    cards = "".join(_filter(*pair) for pair in zip(favourites, top, strict=True))
    shown = f"{len(favourites)} of {counted(n_filters, 'filter')}, those with the largest output weights"
    if len(favourites) == n_filters:
        shown = f"All {counted(n_filters, 'filter')}"
    return (
        f"<section>\n<h2>Filters</h2>\n<p>{shown}. Below each its ideal n-gram over the vocabulary, which no "
        "text need hold, and the n-grams of the data that activate it most.</p>\n"
        f'<div class="filters">\n{cards}</div>\n</section>\n'
    )


def _filter(favourite: Any, top: Any) -> str:
    ideal = " ".join(_word(word) for word in favourite.ngram)
    largest = max([favourite.activation, *(ngram.activation for ngram in top.ngrams)]) or 1.0
    rows = "".join(
        f'<tr><th scope="row">{_ngram(ngram)}</th>{_bar(ngram.activation, largest)}</tr>\n'
        for ngram in top.ngrams
    )
    return (
        f"<article>\n<h3>{favourite.name} <span>for {_name(favourite.label)}, weight {favourite.size:.2f}"
        '</span></h3>\n<table>\n<tr class="ideal">'
        f'<th scope="row">ideal: {ideal}</th>{_bar(favourite.activation, largest)}</tr>\n'
        f"{rows}</table>\n</article>\n"
    )


def _ngram(ngram: Any) -> str:
    left, right = ngram.padding
    pad = '<span class="pad">·</span>'
    return " ".join([pad] * left + [_word(token) for token in ngram.tokens] + [pad] * right)


def _bar(activation: float, largest: float) -> str:
    """A bar for what passes the ReLU, and the figure."""
    share = min(max(activation / largest, 0), 1) if largest > 0 else 0
    figure = f"{activation:.2f}".replace("-", "\u2212")
    bar = f'<td class="bar"><div class="for" style="width:{share:.1%}"></div></td>'
    return f'{bar}<td class="figure">{figure}</td>'


# ---- worst errors ------------------------------------------------------------------------------------


def text_errors(
    predictor: Any, errors: list[Any], probabilities: list[list[float]], n_errors: int, top: int
) -> str:
    """The texts with the largest losses, shaded by what spoke for the predicted label."""
    if not errors:
        return _no_errors("Every text has its own label.")
    names = _shown_names(predictor)
    cards = ""
    for number, (error, row) in enumerate(zip(errors, probabilities, strict=True), 1):
        best = int(error.explanation.logits.argmax())
        reading = Reading(None, names[best], f"{row[best]:.1%}")
        wrong = f"but it is {_name(label_text(error.label))}, {_loss(error.loss)}"
        cards += _card(predictor, number, error, row, reading, names, wrong, top)
    return _errors_section(
        f"{_of_all(len(errors), n_errors, 'wrong text')}, by falling loss: the negative logarithm of the "
        "probability of the own label. Shades and tables tell why the predicted label was chosen, as in "
        "<code>textcnn explain</code>.",
        cards,
    )


def label_errors(
    predictor: Any, errors: list[Any], probabilities: list[list[float]], n_errors: int, top: int
) -> str:
    """The wrong decisions on a label with the largest losses, shaded by what spoke for the label."""
    if not errors:
        return _no_errors("Every text has its own labels.")
    names = _shown_names(predictor)
    cards = ""
    for number, (error, row) in enumerate(zip(errors, probabilities, strict=True), 1):
        reading = Reading(error.output, names[error.output], f"{error.probability:.1%}")
        wrong = "missed, but the text has it" if error.is_true else "predicted, but the text does not have it"
        cards += _card(predictor, number, error, row, reading, names, f"{wrong}, {_loss(error.loss)}", top)
    return _errors_section(
        f"{_of_all(len(errors), n_errors, 'wrong decision')} on a text and a label, by falling loss: the "
        "negative logarithm of the probability of what is true. Blue speaks for the label, orange against "
        "it; figures are shares in its log-odds, as in <code>textcnn explain</code>.",
        cards,
    )


def number_errors(predictor: Any, errors: list[Any], n_texts: int, top: int) -> str:
    """The texts whose number is farthest off, shaded by what raised and what lowered it."""
    cards = ""
    for number, error in enumerate(errors, 1):
        reading = number_reading(predictor, error.output, "", error.predicted)
        wrong = f"but it is {error.target:.6g}, {reading.share(error.error)}".replace("-", "\u2212")
        cards += _card(predictor, number, error, [error.predicted], reading, [""], wrong, top)
    return _errors_section(
        f"{_of_all(len(errors), n_texts, 'text')}, those whose prediction is farthest off. Blue makes the "
        "number higher, orange lower; figures are in its unit, as in <code>textcnn explain</code>.",
        cards,
    )


def _shown_names(predictor: Any) -> list[str]:
    return [shortened(name, LONGEST_NAME) for name in output_names(predictor)]


def _card(
    predictor: Any,
    number: int,
    error: Any,
    values: list[float],
    reading: Reading,
    names: list[str],
    wrong: str,
    top: int,
) -> str:
    """An error: what was predicted, what is true, and the explanation."""
    name = f'<bdi>{safe(reading.name)}</bdi> <span class="sure">{reading.figure}</span>'
    if not reading.name:
        name = f"<bdi>{reading.figure}</bdi>".replace("-", "\u2212")
    beside = value_table(predictor, error.explanation, values, names, reading)
    return (
        f'<article>\n<h2><span class="number">{number}</span> {name} '
        f'<span class="wrong">{wrong}</span></h2>\n'
        f"{shaded(error.text, error.explanation, reading)}\n"
        f"{details(error.text, error.explanation, reading, top, beside)}</article>\n"
    )


def _errors_section(what: str, cards: str) -> str:
    return f"<section>\n<h2>Worst errors</h2>\n<p>{what}</p>\n{cards}</section>\n"


def tag_errors(errors: list[Any], n_wrong: int, receptive_field: float) -> str:
    """The sentences with the largest losses, each token shaded by what it says for the tag."""
    if not errors:
        return _no_errors("Every token has its own tag.")
    seen = f"{receptive_field:g} tokens" if math.isfinite(receptive_field) else "the whole sentence"
    cards = ""
    for number, error in enumerate(errors, 1):
        cards += (
            f'<article>\n<h2><span class="number">{number}</span> {_word(error.tokens[error.position])} '
            f'<span class="sure">{_name(error.predicted)}</span> <span class="wrong">but it is '
            f"{_name(error.tag)}, {_loss(error.loss)}</span></h2>\n"
            f'<p class="text" dir="auto">{_shaded_tokens(error.field)}</p>\n</article>\n'
        )
    return (
        f"<section>\n<h2>Worst errors</h2>\n<p>{_of_all(len(errors), n_wrong, 'wrong sentence')}, the worst "
        "token of each, by falling loss: the negative logarithm of the probability of the own tag. Blue "
        "tokens speak for the predicted tag, orange ones against it: the strength is the change of the "
        "logarithm of its local probability when the token is erased. Grey tokens are out of sight: the "
        f"network sees {seen}.</p>\n{cards}</section>\n"
    )


def _shaded_tokens(field: Any) -> str:
    largest = float(abs(field.effects).max()) or 1.0
    first = max(0, field.position - MOST_TOKENS)
    stop = min(len(field.tokens), field.position + MOST_TOKENS + 1)
    parts = ["…"] if first else []
    for j in range(first, stop):
        effect = float(field.effects[j])
        level = round(effect / largest * N_LEVELS)
        styles = ["token"]
        if level:
            styles.append(f"{'f' if level > 0 else 'a'}{abs(level)}")
        if not field.visible[j]:
            styles.append("unseen")
        if j == field.position:
            styles.append("at")
        parts.append(f'<span class="{" ".join(styles)}" title="{effect:+.3f}">{safe(field.tokens[j])}</span>')
    return " ".join([*parts, *(["…"] if stop < len(field.tokens) else [])])


def _no_errors(sentence: str) -> str:
    return f"<section>\n<h2>Worst errors</h2>\n<p>{sentence}</p>\n</section>\n"


def _of_all(shown: int, total: int, thing: str) -> str:
    if shown == total:
        return f"All {counted(total, thing)}" if total > 1 else f"The only {thing}"
    return f"{shown:,} of {counted(total, thing)}"


def _loss(loss: float) -> str:
    return f"loss {loss:.2f}" if math.isfinite(loss) else "which the model does not know"


def _name(name: str, width: int = LONGEST_NAME) -> str:
    return f"<bdi>{safe(shortened(name, width))}</bdi>"


def _word(word: str) -> str:
    return f"<bdi>{safe(shortened(printable(word), LONGEST_WORD))}</bdi>"
