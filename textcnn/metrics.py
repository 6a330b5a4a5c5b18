"""Scores of tagged sentences: spans as the script conlleval counts them, and single tags.

The rules are those of conlleval.pl, version 2004-01-26, by Erik Tjong Kim Sang, the script of the shared
tasks CoNLL-2000 to CoNLL-2003, with which published figures are made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textcnn.text.tags import OUTSIDE, InnerTags, detect_scheme

__all__ = ["SpanScores", "TypeScores", "conlleval_report", "span_scores", "token_accuracy"]


@dataclass(frozen=True)
class TypeScores:
    """Scores of the spans of one type.

    Attributes
    ----------
    precision, recall, f1 : float
        Between 0 and 1; 0 where there is nothing to divide by.
    n_true, n_pred : int
        Spans in `y_true` and in `y_pred`.
    n_correct : int
        Spans in both, with the same tokens and the same type.
    """

    precision: float
    recall: float
    f1: float
    n_true: int
    n_pred: int
    n_correct: int


@dataclass(frozen=True)
class SpanScores(TypeScores):
    """Scores of all spans (micro average), by type, and of single tags.

    Attributes
    ----------
    accuracy : float
        Share of tokens with the right tag, between 0 and 1.
    n_tokens, n_correct_tokens : int
    by_type : dict of str to TypeScores
        In the order of the types, which is that of their code points. The type of typeless tags is "".
    """

    accuracy: float
    n_tokens: int
    n_correct_tokens: int
    by_type: dict[str, TypeScores]


def span_scores(
    y_true: Iterable[Sequence[str]], y_pred: Iterable[Sequence[str]], scheme: str | None = None
) -> SpanScores:
    """Score predicted spans by the rules of conlleval.

    A predicted span is right if one of `y_true` has the same tokens and type. Sequences that break
    their scheme, such as I-X after "O", are read as conlleval reads them.

    conlleval knows the letters B, I, E, O and brackets. Tags with letters for single or last tokens
    that begin and end spans by themselves (BIOES, BMES, BIOS, BILOU) are taken to BIO first, so that
    spans which touch each other stay apart; all others are read letter by letter, as the script does.

    Parameters
    ----------
    y_true, y_pred : iterable of sequences of str
        Tags of sentences; those at one place are of equal length.
    scheme : str, default=None
        The scheme of the tags, one of `textcnn.text.tags.SCHEMES`; None tells it from the tags of both.
        "BIO" reads any tags letter by letter.

    Returns
    -------
    SpanScores

    Raises
    ------
    ValueError
        If the numbers of sentences or of tokens in a sentence differ, there are no tokens at all, the
        scheme is unknown or does not have one of the tags.
    TypeError
        If a sentence is no sequence of str.

    References
    ----------
    E. F. Tjong Kim Sang and S. Buchholz, Introduction to the CoNLL-2000 shared task: chunking, 2000.

    Examples
    --------
    >>> from textcnn.metrics import span_scores
    >>> y_true = [["B-PER", "I-PER", "O", "B-LOC"]]
    >>> y_pred = [["B-PER", "I-PER", "O", "B-ORG"]]
    >>> scores = span_scores(y_true, y_pred)
    >>> scores.f1, scores.accuracy, scores.by_type["PER"].f1
    (0.5, 0.75, 1.0)
    """
    true, pred = _checked_pair(y_true, y_pred)
    index, true_ids, pred_ids = _numbered(true, pred)
    n_correct_tokens = int((true_ids == pred_ids).sum()) - len(true)
    if scheme is None:
        scheme = detect_scheme([list(index)])
    if scheme not in _READ_BY_LETTER:
        true, pred = _as_bio(true, pred, index, scheme)
        index, true_ids, pred_ids = _numbered(true, pred)
    types, counts = _count(list(index), true_ids, pred_ids)
    present = sorted((name, i) for i, name in enumerate(types) if counts[:2, i].any())
    n_tokens = len(true_ids) - len(true)
    return SpanScores(
        *_figures(*counts.sum(axis=1).tolist()),
        accuracy=n_correct_tokens / n_tokens,
        n_tokens=n_tokens,
        n_correct_tokens=n_correct_tokens,
        by_type={name: TypeScores(*_figures(*counts[:, i].tolist())) for name, i in present},
    )


def conlleval_report(scores: SpanScores) -> str:
    """Write scores as conlleval does, to the character.

    That holds for two oddities of the script too: the last column counts predicted spans, and the line
    of typeless tags comes twice if there are such spans on both sides. One slip is not repeated: the
    script shows no name for a type called "0".

    Parameters
    ----------
    scores : SpanScores

    Returns
    -------
    str
        Some lines, each with its line end.

    Examples
    --------
    >>> from textcnn.metrics import conlleval_report, span_scores
    >>> y_true = [["B-PER", "I-PER", "O", "B-LOC"]]
    >>> y_pred = [["B-PER", "I-PER", "O", "B-ORG"]]
    >>> print(conlleval_report(span_scores(y_true, y_pred)), end="")
    processed 4 tokens with 2 phrases; found: 2 phrases; correct: 1.
    accuracy:  75.00%; precision:  50.00%; recall:  50.00%; FB1:  50.00
                  LOC: precision:   0.00%; recall:   0.00%; FB1:   0.00  0
                  ORG: precision:   0.00%; recall:   0.00%; FB1:   0.00  1
                  PER: precision: 100.00%; recall: 100.00%; FB1: 100.00  1
    """
    accuracy = 100 * scores.n_correct_tokens / scores.n_tokens
    lines = [
        f"processed {scores.n_tokens} tokens with {scores.n_true} phrases; "
        f"found: {scores.n_pred} phrases; correct: {scores.n_correct}.",
        f"accuracy: {accuracy:6.2f}%; {_percentages(scores)}",
    ]
    for name, found in scores.by_type.items():
        blanks = " " * (17 - len(name.encode("utf-8", "surrogatepass")))  # the script counts bytes
        line = f"{blanks}{name}: {_percentages(found)}  {found.n_pred}"
        twice = name == "" and found.n_true > 0 and found.n_pred > 0
        lines += [line, line] if twice else [line]
    return "\n".join(lines) + "\n"


def token_accuracy(y_true: Iterable[Sequence[str]], y_pred: Iterable[Sequence[str]]) -> float:
    """Share of tokens that have the right tag.

    Parameters
    ----------
    y_true, y_pred : iterable of sequences of str
        Tags of sentences; those at one place are of equal length.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If the numbers of sentences or of tokens in a sentence differ, or there are no tokens at all.
    TypeError
        If a sentence is no sequence of str.

    Examples
    --------
    >>> from textcnn.metrics import token_accuracy
    >>> token_accuracy([["DET", "NOUN"], ["VERB"]], [["DET", "VERB"], ["VERB"]]) == 2 / 3
    True
    """
    true, pred = _checked_pair(y_true, y_pred)
    _, true_ids, pred_ids = _numbered(true, pred)
    n_breaks = len(true)
    return (int((true_ids == pred_ids).sum()) - n_breaks) / (len(true_ids) - n_breaks)


# ---- arguments --------------------------------------------------------------------------------------


def _checked_pair(
    y_true: Iterable[Sequence[str]], y_pred: Iterable[Sequence[str]]
) -> tuple[list[Sequence[str]], list[Sequence[str]]]:
    true, pred = _checked(y_true, "y_true"), _checked(y_pred, "y_pred")
    if len(true) != len(pred):
        raise ValueError(
            f"y_true has {len(true)} sentences, but y_pred has {len(pred)}; give the same sentences"
        )
    for i, (first, second) in enumerate(zip(true, pred, strict=True)):
        if len(first) != len(second):
            raise ValueError(
                f"sentence {i} has {len(first)} tags in y_true, but {len(second)} in y_pred; "
                "give one tag a token"
            )
    if not any(len(tags) for tags in true):
        raise ValueError("y_true has no tokens, but at least one is needed for a score")
    return true, pred


def _checked(y: Any, name: str) -> list[Sequence[str]]:
    expected = "expected a list with a list of tags for each sentence"
    if isinstance(y, (str, bytes)):
        raise ValueError(f"{name} is a single string, but {expected}")
    sentences = list(y)
    for i, tags in enumerate(sentences):
        if isinstance(tags, (str, bytes)) or not hasattr(tags, "__len__"):
            raise TypeError(f"{name}[{i}] is {tags!r:.50}, but {expected}")
        for j, tag in enumerate(tags):
            if not isinstance(tag, str):
                raise TypeError(f"{name}[{i}][{j}] is {tag!r:.50}, but every tag must be a str")
    return sentences


def _numbered(
    true: Sequence[Sequence[str]], pred: Sequence[Sequence[str]]
) -> tuple[dict[str, int], NDArray[np.intp], NDArray[np.intp]]:
    """The tags and their ids, sentences end to end, with an "O" of its own behind each."""
    sides = [list(chain.from_iterable((*tags, OUTSIDE) for tags in y)) for y in (true, pred)]
    index = {tag: i for i, tag in enumerate(dict.fromkeys(chain(*sides)))}
    true_ids, pred_ids = (np.array([index[tag] for tag in side], np.intp) for side in sides)
    return index, true_ids, pred_ids


def _as_bio(
    true: list[Sequence[str]], pred: list[Sequence[str]], index: Iterable[str], scheme: str | None
) -> list[list[Sequence[str]]]:
    """The tags in the scheme BIO."""
    inner = InnerTags(index, scheme, "BIO")
    sides: list[list[Sequence[str]]] = []
    for y in (true, pred):
        ids, offsets = inner.encode(y)
        names = [inner.inner_tags[i] for i in ids.tolist()]
        sides.append([names[offsets[i] : offsets[i + 1]] for i in range(len(y))])
    return sides


# ---- the rules of conlleval -------------------------------------------------------------------------

_READ_BY_LETTER = (None, "BIO", "IOB1", "typeless BIO", "typeless IOB1")
_KNOWN = "OBIE[]."  # the letters that the rules name; all others are alike
_N_LETTERS = len(_KNOWN) + 1


def _rule(*pairs: str) -> NDArray[np.bool_]:
    """Whether a rule applies to a pair of letters: [before, this]."""
    table = np.zeros((_N_LETTERS, _N_LETTERS), bool)
    for pair in pairs:
        table[_KNOWN.index(pair[0]), _KNOWN.index(pair[1])] = True
    return table


_STARTS = _rule("BB", "IB", "OB", "OI", "EE", "EI", "OE")
_STARTS[:, [_KNOWN.index("["), _KNOWN.index("]")]] = True
_ENDS = _rule("BB", "BO", "IB", "IO", "EE", "EI", "EO")
_ENDS[[_KNOWN.index("["), _KNOWN.index("]")], :] = True
# A new type also starts a span, and ends the one before; not so at these letters.
_NEVER = np.array([letter in "O." for letter in _KNOWN + " "])


def _count(
    tags: Sequence[str], true_ids: NDArray[np.intp], pred_ids: NDArray[np.intp]
) -> tuple[list[str], NDArray[np.intp]]:
    """Types, and how many true, predicted and right spans each has: (3, n_types)."""
    places = {letter: i for i, letter in enumerate(_KNOWN)}
    parts = [tag.partition("-") for tag in tags]
    letters = np.array([places.get(part[0], len(_KNOWN)) for part in parts], np.intp)
    index: dict[str, int] = {}
    types = np.array([index.setdefault(part[2], len(index)) for part in parts], np.intp)
    true_type, pred_type = types[true_ids], types[pred_ids]
    true_starts, true_ends = _edges(letters[true_ids], true_type, index[""])
    pred_starts, pred_ends = _edges(letters[pred_ids], pred_type, index[""])
    right = _right_spans(true_starts, true_ends, pred_starts, pred_ends, true_type == pred_type)
    found = (true_type[true_starts], pred_type[pred_starts], true_type[right])
    return list(index), np.array([np.bincount(of, minlength=len(index)) for of in found])


def _edges(
    letter: NDArray[np.intp], kind: NDArray[np.intp], no_type: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where a span starts, and where one has ended before."""
    before = np.concatenate([[_KNOWN.index("O")], letter[:-1]])
    changes = np.concatenate([[no_type], kind[:-1]]) != kind
    starts = _STARTS[before, letter] | (changes & ~_NEVER[letter])
    ends = _ENDS[before, letter] | (changes & ~_NEVER[before])
    return starts, ends


def _right_spans(
    true_starts: NDArray[np.bool_],
    true_ends: NDArray[np.bool_],
    pred_starts: NDArray[np.bool_],
    pred_ends: NDArray[np.bool_],
    same: NDArray[np.bool_],
) -> NDArray[np.intp]:
    """The last tokens of the spans that are right.

    A span is under way from a place where both sides start one of the same type to the next place
    where one of them ends or the types differ; it is right if both end there. The script takes one
    that is still under way at the end of the file for right.
    """
    n = len(same)
    begin = np.append(true_starts & pred_starts & same, False)
    stop = np.append(true_ends | pred_ends | ~same, True)
    good = np.append(true_ends & pred_ends, True)
    place = np.arange(n + 1)
    last_begin = np.maximum.accumulate(np.where(begin, place, -2))
    last_stop = np.maximum.accumulate(np.where(stop, place, -1))
    under_way = np.concatenate([[False], last_begin[:-1] >= last_stop[:-1]])
    return np.flatnonzero(stop & good & under_way) - 1


def _figures(n_true: int, n_pred: int, n_correct: int) -> tuple[float, float, float, int, int, int]:
    """Precision, recall, F1 and the counts."""
    precision, recall, f1 = _ratios(n_true, n_pred, n_correct, 1)
    return precision, recall, f1, n_true, n_pred, n_correct


def _ratios(n_true: int, n_pred: int, n_correct: int, whole: int) -> tuple[float, float, float]:
    """Precision, recall and F1 as shares of `whole`, in the operations of the script."""
    precision = whole * n_correct / n_pred if n_pred else 0.0
    recall = whole * n_correct / n_true if n_true else 0.0
    f1 = 2 * precision * recall / (precision + recall) if n_correct else 0.0
    return precision, recall, f1


def _percentages(scores: TypeScores) -> str:
    precision, recall, f1 = _ratios(scores.n_true, scores.n_pred, scores.n_correct, 100)
    return f"precision: {precision:6.2f}%; recall: {recall:6.2f}%; FB1: {f1:6.2f}"
