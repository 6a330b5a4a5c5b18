"""What the n-grams of an explanation add, for the whole of each and for each character of the text.

Everywhere `output` is the label or target that is looked at; None in a classifier of one label a text, for
the predicted label in comparison with the others.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from textcnn.cli.tables import label_text


def shares(explanation: Any, output: int | None = None) -> list[float]:
    """What each n-gram adds to an output; or for the predicted label, less its mean over all labels."""
    if output is not None:
        return [float(n.contributions[output]) for n in explanation.ngrams]
    best = int(explanation.logits.argmax())
    return [float(n.contributions[best] - n.contributions.mean()) for n in explanation.ngrams]


def strongest(explanation: Any, n: int, output: int | None = None) -> list[tuple[Any, float]]:
    """The `n` n-grams that add most for or against, with what they add, from for to against."""
    pairs = list(zip(explanation.ngrams, shares(explanation, output), strict=True))
    chosen = sorted(range(len(pairs)), key=lambda i: -abs(pairs[i][1]))[:n]
    return sorted((pairs[i] for i in chosen), key=lambda pair: -pair[1])


def character_shares(text: str, explanation: Any, output: int | None = None) -> list[float]:
    """For each character the sum over the n-grams across it; each n-gram is spread over its tokens."""
    changes = [0.0] * (len(text) + 1)
    for ngram, share in zip(explanation.ngrams, shares(explanation, output), strict=True):
        if ngram.span is not None and ngram.start < ngram.end:
            begin, end = ngram.span
            changes[begin] += share / (ngram.end - ngram.start)
            changes[end] -= share / (ngram.end - ngram.start)
    sums, total = [], 0.0
    for change in changes[:-1]:
        total += change
        sums.append(total)
    return sums


def shade_runs(
    text: str, explanation: Any, n_levels: int, output: int | None = None
) -> list[tuple[str, int, float]]:
    """Pieces of the text with a shade from ``-n_levels`` to `n_levels`, and the share behind it.

    Blanks between tokens of one shade belong to it; the darkest shade is the largest share of the text.
    """
    values = character_shares(text, explanation, output)
    largest = max(map(abs, values), default=0.0)
    # Sums of many floats leave dust where the exact result is zero.
    levels = [round(value / largest * n_levels) if largest > 1e-9 else 0 for value in values]
    runs: list[tuple[str, int, float]] = []
    begin = 0
    for end in range(1, len(text) + 1):
        if end == len(text) or levels[end] != levels[begin]:
            run = values[begin:end]
            runs.append((text[begin:end], levels[begin], max(run, key=abs)))
            begin = end
    return runs


def ngram_text(text: str, ngram: Any) -> str:
    """An n-gram as it stands in the text; that of the ends of an empty text is named."""
    if ngram.start == ngram.end:
        return "(an empty text)"
    return ngram.text if ngram.span is None else text[ngram.span[0] : ngram.span[1]]


class Reading(NamedTuple):
    """One output of a model for a text: its name, if it needs one, and its probability or number.

    Of a number, `decimals` of it and of its parts are shown.
    """

    output: int | None
    name: str
    figure: str
    decimals: int | None = None

    @property
    def is_number(self) -> bool:
        """Whether it is the number of a regressor."""
        return self.decimals is not None

    def share(self, value: float) -> str:
        """What an n-gram adds, as it is written: in the unit of a number, or to a logit."""
        return f"{value:+.{2 if self.decimals is None else self.decimals}f}"


def number_reading(predictor: Any, output: int, name: str, value: float) -> Reading:
    """That of a predicted number, to a thousandth or less of the standard deviation of the training texts."""
    decimals = max(0, 3 - math.floor(math.log10(predictor.target_scale[output])))
    return Reading(output, name, f"{value:.{decimals}f}", decimals)


def figures(predictor: Any, texts: list[str]) -> list[list[float]]:
    """For each text the probability of every label, or the number of every target."""
    if predictor.TASK == "regression":
        return predictor.predict(texts).reshape(len(texts), -1).tolist()
    return predictor.predict_proba(texts).tolist()


def output_names(predictor: Any) -> list[str]:
    """What the outputs are called; the only target of a regressor has no name."""
    if predictor.TASK == "regression":
        n = len(predictor.target_mean)
        return [f"target {k + 1}" if n > 1 else "" for k in range(n)]
    return [label_text(label) for label in predictor.classes_.tolist()]


def predicted_labels(predictor: Any, values: list[float]) -> list[int]:
    """The labels that probabilities give a text, the likeliest first; none may be."""
    order = sorted(range(len(values)), key=lambda k: -values[k])
    if predictor.TASK == "classification":
        return order[:1]
    return [k for k in order if values[k] > predictor.threshold[k]]


def readings(predictor: Any, values: list[float], names: list[str]) -> list[Reading]:
    """What to explain of a text: the predicted label, all that were predicted, or every target.

    Of several labels, none of which was predicted, the likeliest.
    """
    if predictor.TASK == "regression":
        return [number_reading(predictor, k, names[k], value) for k, value in enumerate(values)]
    chosen = predicted_labels(predictor, values) or [max(range(len(values)), key=values.__getitem__)]
    one_label = predictor.TASK == "classification"
    return [Reading(None if one_label else k, names[k], f"{values[k]:.1%}") for k in chosen]
