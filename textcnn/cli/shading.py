"""What the n-grams of an explanation add, for the whole of each and for each character of the text."""

from __future__ import annotations

from typing import Any


def shares(explanation: Any) -> list[float]:
    """What each n-gram adds for the predicted label, less its mean over all labels."""
    best = int(explanation.logits.argmax())
    return [float(n.contributions[best] - n.contributions.mean()) for n in explanation.ngrams]


def strongest(explanation: Any, n: int) -> list[tuple[Any, float]]:
    """The `n` n-grams that add most for or against the label, with what they add, from for to against."""
    pairs = list(zip(explanation.ngrams, shares(explanation), strict=True))
    chosen = sorted(range(len(pairs)), key=lambda i: -abs(pairs[i][1]))[:n]
    return sorted((pairs[i] for i in chosen), key=lambda pair: -pair[1])


def character_shares(text: str, explanation: Any) -> list[float]:
    """For each character the sum over the n-grams across it; each n-gram is spread over its tokens."""
    changes = [0.0] * (len(text) + 1)
    for ngram, share in zip(explanation.ngrams, shares(explanation), strict=True):
        if ngram.span is not None and ngram.start < ngram.end:
            begin, end = ngram.span
            changes[begin] += share / (ngram.end - ngram.start)
            changes[end] -= share / (ngram.end - ngram.start)
    sums, total = [], 0.0
    for change in changes[:-1]:
        total += change
        sums.append(total)
    return sums


def shade_runs(text: str, explanation: Any, n_levels: int) -> list[tuple[str, int, float]]:
    """Pieces of the text with a shade from ``-n_levels`` to `n_levels`, and the share behind it.

    Blanks between tokens of one shade belong to it; the darkest shade is the largest share of the text.
    """
    values = character_shares(text, explanation)
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
