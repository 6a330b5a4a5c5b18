"""Scores of taggers: F1 of spans as `conlleval` counts them, and the share of right tags."""

from __future__ import annotations

Span = tuple[int, int, str]


def score(expected: list[list[str]], found: list[list[str]], spans: bool) -> float:
    """F1 of spans, or the share of right tags."""
    return span_f1(expected, found) if spans else tag_accuracy(expected, found)


def tag_accuracy(expected: list[list[str]], found: list[list[str]]) -> float:
    """Share of tokens with the right tag."""
    pairs = [pair for tags in zip(expected, found, strict=True) for pair in zip(*tags, strict=True)]
    return sum(one == other for one, other in pairs) / len(pairs)


def span_f1(expected: list[list[str]], found: list[list[str]]) -> float:
    """Harmonic mean of precision and recall of spans; 0 if none is right."""
    n_expected = n_found = n_right = 0
    for tags, other in zip(expected, found, strict=True):
        spans, other_spans = set(spans_of(tags)), set(spans_of(other))
        n_expected += len(spans)
        n_found += len(other_spans)
        n_right += len(spans & other_spans)
    return 2 * n_right / (n_expected + n_found) if n_right else 0.0


def spans_of(tags: list[str]) -> list[Span]:
    """First token, token after the last one, and label of each span; BIO, BIOES or BMES.

    A tag that cannot follow the one before it begins a span, as in `conlleval`.
    """
    spans = []
    start, last, last_label = 0, "O", ""
    for i, tag in enumerate([*tags, "O"]):
        prefix, label = tag[0], tag[2:]
        continues = prefix not in "BSO" and last not in "ESO" and label == last_label
        if not continues:
            if last != "O":
                spans.append((start, i, last_label))
            start = i
        last, last_label = prefix, label
    return spans
