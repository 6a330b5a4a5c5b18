"""`textcnn evaluate` for taggers."""

from __future__ import annotations

import argparse
import json
import sys
from itertools import chain
from typing import Any

from textcnn.cli import options
from textcnn.cli.columns import Sentences, read_sentences
from textcnn.cli.evaluate import Comparison, report, scores_of
from textcnn.cli.lines import InputError


def evaluate(tagger: Any, args: argparse.Namespace) -> None:
    """Read a column file, tag its tokens, compare, print."""
    sentences = tagged_sentences(tagger, args)
    predicted = tagger.predict(sentences.tokens)
    note_own_tags(sentences, predicted, args)
    if tagger.scheme is None:
        report(scores_of(comparison(tagger, sentences, predicted), "token"), args)
    else:
        _report_spans(sentences, predicted, tagger.scheme, args)


def note_own_tags(sentences: Sentences, predicted: list[list[str]], args: argparse.Namespace) -> None:
    """Say so where the model may be compared with itself: `textcnn tag` appends its tags as last column.

    In CoNLL-U that is not the column that is read.
    """
    if args.column is None and not sentences.is_conllu and predicted == sentences.tags:
        print(
            f"every tag of {sentences.name} is what the model predicts; if textcnn tag wrote them, --column "
            "names the column of the true tags",
            file=sys.stderr,
            flush=True,
        )


def tagged_sentences(tagger: Any, args: argparse.Namespace) -> Sentences:
    """The column file that a command line names, in the scheme of the tagger; raises for unknown tags."""
    names = ["format", "text_column", "label_column"]
    options.check_unused(args, names, f"for classifiers, but {args.model} holds a tagger")
    sentences = read_sentences(args.file, args)
    if not set(sentences.first_uses()) <= set(tagger.classes_.tolist()):
        sentences = _in_scheme(sentences, tagger.scheme)
    if not args.allow_unknown_labels:
        _check_known(sentences, tagger.classes_.tolist())
    return sentences


def _in_scheme(sentences: Sentences, scheme: str | None) -> Sentences:
    """The sentences with their tags in a scheme, if they have another one with the same kind of labels."""
    from textcnn.text.tags import convert, detect_scheme

    found = detect_scheme(sentences.tags)
    if found is None or scheme is None or found == scheme:
        return sentences
    if found.startswith("typeless") != scheme.startswith("typeless"):
        return sentences
    return sentences._replace(tags=[convert(tags, found, scheme) for tags in sentences.tags])


def _check_known(sentences: Sentences, names: list[str]) -> None:
    known = set(names)
    for tag, (i, j) in sentences.first_uses().items():
        if tag not in known:
            shown = ", ".join(f'"{name}"' for name in names[:10]) + (", ..." if len(names) > 10 else "")
            raise InputError(
                f"{sentences.name}, sentence from line {sentences.lines[i]}, token {j + 1}: the tag "
                f'"{tag}" is unknown to the model, which has {shown}; mend it, name another '
                "column with --column, or count such tags as wrong with --allow-unknown-labels"
            )


def comparison(tagger: Any, sentences: Sentences, predicted: list[list[str]]) -> Comparison:
    """Token by token the own and the predicted tag."""
    import numpy as np

    names = tagger.classes_.tolist()
    names += sorted(set(sentences.first_uses()) - set(names))
    place = {name: i for i, name in enumerate(names)}
    true = [place[tag] for tag in chain.from_iterable(sentences.tags)]
    return Comparison(names, np.array(true), np.array([place[tag] for tag in chain.from_iterable(predicted)]))


def _report_spans(
    sentences: Sentences, predicted: list[list[str]], scheme: str, args: argparse.Namespace
) -> None:
    from textcnn.metrics import conlleval_report, span_scores

    scores = span_scores(sentences.tags, predicted, scheme)
    if args.plot:
        from textcnn.cli.plots import plot_spans

        rows = {name or "spans": found for name, found in scores.by_type.items()} | {"all": scores}
        plot_spans(
            list(rows),
            [(row.precision, row.recall, row.f1) for row in rows.values()],
            f"F1 {scores.f1:.4f} on {scores.n_true:,} spans",
            args.plot,
        )
    if args.json:
        print(json.dumps(_as_json(scores, len(sentences.tokens)), ensure_ascii=False, indent=1))
    else:
        print(conlleval_report(scores), end="")


def _as_json(scores: Any, n_sentences: int) -> dict[str, Any]:
    return {
        "sentences": n_sentences,
        "tokens": scores.n_tokens,
        "accuracy": scores.accuracy,
        **_figures(scores),
        "types": [{"label": name, **_figures(found)} for name, found in scores.by_type.items()],
    }


def _figures(scores: Any) -> dict[str, Any]:
    return {
        "precision": scores.precision,
        "recall": scores.recall,
        "f1": scores.f1,
        "true_spans": scores.n_true,
        "predicted_spans": scores.n_pred,
        "correct_spans": scores.n_correct,
    }
