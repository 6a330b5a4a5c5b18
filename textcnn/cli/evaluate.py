"""Compare the predictions of a model with labelled texts, or tagged tokens.

For a classifier: the accuracy, precision, recall and F1 of each label, and the confusion matrix: a row for
each label of the file, a column for each prediction. For a tagger of spans: the table of conlleval. For a
tagger of plain tags, such as parts of speech: as for a classifier, by tokens. For a classifier of several
labels: precision, recall and F1 of each label, and their micro and macro averages. For a regressor: R2 and
the mean absolute and root mean squared errors.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable
from typing import Any, NamedTuple

from textcnn.cli import options, tables
from textcnn.cli.lines import InputError, first_lines
from textcnn.cli.models import is_tagger, load_any
from textcnn.cli.output import aligned, check_distinct, check_picture, counted, printable, shortened

EPILOG = f"""\
{tables.FORMAT_HELP}
examples:
  textcnn evaluate reviews.textcnn test.tsv
  textcnn evaluate reviews.textcnn test.tsv --json > scores.json
  textcnn evaluate reviews.textcnn test.csv.gz --plot confusion.png
  textcnn evaluate ner.textcnn test.conll
  textcnn evaluate tags.textcnn en-test.conllu --column xpos --json

A file of textcnn tag --input conll has the predicted tags in one more column: --column -1 reads them. In
CoNLL-U the tags that were there are still the default, upos.

A label that the model does not know is an error, since it is a slip more often than not. With
--allow-unknown-labels such texts count as wrong and their labels get rows of their own.

The macro average is the plain mean over the labels that texts (or tokens) of the file have; labels without
any are left out. In the weighted average each label counts by its texts.
"""

# With more labels than this the matrix is wider than a page; its largest entries are listed instead.
WIDEST_MATRIX = 20
WIDEST_LABEL = 24
N_CONFUSIONS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("model", metavar="MODEL", help="a model file, written by textcnn train")
    parser.add_argument(
        "file", metavar="FILE", help="labelled texts, or tokens with tags; - for standard input"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--plot",
        metavar="FILE.png",
        type=options.output_name,
        help="draw the confusion matrix; for spans precision, recall and F1 by type; for numbers predicted "
        "beside true ones",
    )
    parser.add_argument(
        "--allow-unknown-labels",
        action="store_true",
        help="count labels and tags that the model lacks as wrong",
    )
    options.add_threads(parser)
    tables.add_arguments(parser, ("tsv", "csv", "jsonl"), "input of classifiers")
    options.add_columns(parser)


def run(args: argparse.Namespace) -> None:
    """Predict, compare, print."""
    if args.plot:
        check_picture(args.plot)
        check_distinct(args.plot, [args.file, args.model])
    model = load_any(args.model, args.threads)
    if is_tagger(model):
        from textcnn.cli.evaluate_tagger import evaluate

        evaluate(model, args)
        return
    task = tables.TASKS[model.TASK]
    source = labelled_texts(args, task)
    if task != "classify":
        from textcnn.cli import evaluate_values

        evaluate_values.evaluate(model, source, args)
        return
    report(scores_of(compare(model, source, source.batches(), args.allow_unknown_labels), "text"), args)


def labelled_texts(args: argparse.Namespace, task: str = "classify") -> tables.Table:
    """The table that a command line names for a model of texts; a column file raises."""
    options.check_unused(
        args, ["column", "token_column"], f"for taggers, but {args.model} holds a classifier"
    )
    is_unknown = not args.format and not tables.format_of(args.file)
    if is_unknown and os.path.isfile(args.file):
        from textcnn.text.columns import looks_like_columns

        if looks_like_columns(first_lines(args.file, args.encoding)):
            raise InputError(
                f"{args.model} holds a classifier, but {args.file} is a column file; give a tagger's model"
            )
    return tables.table(args, args.file, fallback="tsv" if args.file == "-" else "", task=task)


def report(scores: Scores, args: argparse.Namespace) -> None:
    """Draw if asked to, and print."""
    if args.plot:  # before anything is printed, for the reader of that may go away
        from textcnn.cli.plots import plot_confusion

        plot_confusion(scores.names, scores.confusion, scores.accuracy, args.plot, f"{scores.unit}s")
    print(
        json.dumps(_as_json(scores), ensure_ascii=False, indent=1)
        if args.json
        else "\n".join(_report(scores))
    )


class Comparison(NamedTuple):
    """Names of labels, and for each text or token the place of its own and of the predicted one."""

    names: list[str]
    true: Any
    predicted: Any


class Scores(NamedTuple):
    """All figures; arrays by label in the order of `names`; `unit` is "text" or "token"."""

    unit: str
    names: list[str]
    accuracy: float
    precision: Any
    recall: Any
    f1: Any
    support: Any
    confusion: Any


def compare(
    predictor: Any, source: tables.Table, batches: Iterable[tables.Batch], allow_unknown: bool
) -> Comparison:
    """Predict the texts of batches of `source`; raises if there are none, or a label is unknown."""
    import numpy as np

    names = [tables.label_text(label) for label in predictor.classes_.tolist()]
    known = len(names)
    place_of_class = {label: i for i, label in enumerate(predictor.classes_.tolist())}
    place_of_text = {name: i for i, name in enumerate(names)}
    true, predicted = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
    for batch in batches:
        if not batch.texts:
            continue
        for label, line in zip(batch.labels or [], batch.lines, strict=True):
            if label in place_of_text:
                continue
            if not allow_unknown:
                raise source.error(line, unknown_label(label, names[:known]))
            place_of_text[label] = len(names)
            names.append(label)
        true.append(np.array([place_of_text[label] for label in batch.labels or []], np.int32))
        labels = predictor.predict(batch.texts).tolist()
        predicted.append(np.array([place_of_class[label] for label in labels], np.int32))
    comparison = Comparison(names, np.concatenate(true), np.concatenate(predicted))
    if not len(comparison.true):
        raise InputError(f"{source.name} has no texts, so there is nothing to evaluate")
    return comparison


def unknown_label(label: str, names: list[str]) -> str:
    shown = ", ".join(f'"{name}"' for name in names[:10]) + (", ..." if len(names) > 10 else "")
    return (
        f'the label "{label}" is unknown to the model, which has {shown}; mend it, or count such texts '
        "as wrong with --allow-unknown-labels"
    )


def scores_of(comparison: Comparison, unit: str) -> Scores:
    """Accuracy, figures by label and the confusion matrix."""
    import numpy as np
    from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

    places = np.arange(len(comparison.names))
    precision, recall, f1, support = precision_recall_fscore_support(
        comparison.true, comparison.predicted, labels=places, zero_division=0.0
    )
    return Scores(
        unit,
        comparison.names,
        float(accuracy_score(comparison.true, comparison.predicted)),
        precision,
        recall,
        f1,
        support,
        confusion_matrix(comparison.true, comparison.predicted, labels=places),
    )


def averages(scores: Scores) -> dict[str, tuple[float, float, float]]:
    """Means of precision, recall and F1 over the labels of the file, plain and weighted by their texts."""
    import numpy as np

    figures = np.stack([scores.precision, scores.recall, scores.f1])
    occurs = scores.support > 0
    plain = figures[:, occurs].mean(axis=1)
    weighted = np.average(figures, axis=1, weights=scores.support)
    return {"macro average": tuple(plain.tolist()), "weighted average": tuple(weighted.tolist())}


def _report(scores: Scores) -> list[str]:
    names = [shortened(printable(name), WIDEST_LABEL) for name in scores.names]
    n_texts = int(scores.support.sum())
    rows = [["", "precision", "recall", "F1", f"{scores.unit}s"]]
    for i, name in enumerate(names):
        rows.append([name, *_decimals(scores, i), str(scores.support[i])])
    means = [
        [name, *(f"{value:.3f}" for value in figures), str(n_texts)]
        for name, figures in averages(scores).items()
    ]
    lines = aligned(rows + means)
    return [
        f"accuracy {scores.accuracy:.4f} on {counted(n_texts, scores.unit)}",
        "",
        *lines[: len(rows)],
        "",
        *lines[len(rows) :],
        "",
        *_confusion_lines(scores, names),
    ]


def _decimals(scores: Scores, i: int) -> list[str]:
    return [f"{figures[i]:.3f}" for figures in (scores.precision, scores.recall, scores.f1)]


def _confusion_lines(scores: Scores, names: list[str]) -> list[str]:
    if len(names) <= WIDEST_MATRIX:
        rows = [["true \\ predicted", *names]]
        rows += [[name, *map(str, row)] for name, row in zip(names, scores.confusion.tolist(), strict=True)]
        return ["confusion matrix", "", *aligned(rows)]
    rows = [["true", "predicted", f"{scores.unit}s"]]
    rows += [[names[i], names[j], str(count)] for count, i, j in confusions(scores)]
    return ["most frequent confusions (the whole matrix: --json)", "", *aligned(rows)]


def confusions(scores: Scores) -> list[tuple[int, int, int]]:
    """The most frequent confusions: how often, the true label, the predicted one."""
    pairs = [
        (count, i, j)
        for i, row in enumerate(scores.confusion.tolist())
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(pairs, key=lambda pair: -pair[0])[:N_CONFUSIONS]


def _as_json(scores: Scores) -> dict[str, Any]:
    means = {
        name.replace(" ", "_"): dict(zip(("precision", "recall", "f1"), figures, strict=True))
        for name, figures in averages(scores).items()
    }
    labels = [
        {
            "label": name,
            "precision": float(scores.precision[i]),
            "recall": float(scores.recall[i]),
            "f1": float(scores.f1[i]),
            f"{scores.unit}s": int(scores.support[i]),
        }
        for i, name in enumerate(scores.names)
    ]
    return {
        "accuracy": scores.accuracy,
        f"{scores.unit}s": int(scores.support.sum()),
        **means,
        "labels": labels,
        "confusion_matrix": scores.confusion.tolist(),
    }
