"""`textcnn evaluate` for classifiers of several labels, and for regressors."""

from __future__ import annotations

import argparse
import json
from typing import Any, NamedTuple

from textcnn.cli import options, tables
from textcnn.cli.evaluate import WIDEST_LABEL, unknown_label
from textcnn.cli.lines import InputError
from textcnn.cli.output import aligned, counted, printable, shortened


def evaluate(predictor: Any, source: tables.Table, args: argparse.Namespace) -> None:
    """Predict, compare, print."""
    if predictor.TASK == "multilabel":
        labels = compare_labels(predictor, source, args.allow_unknown_labels)
        figures, lines = label_figures(labels), _label_report
        if args.plot:  # before anything is printed, for the reader of that may go away
            from textcnn.cli.plots import plot_labels

            plot_labels(labels.names, labels.true, labels.predicted, args.plot)
    else:
        names = ["allow_unknown_labels"]
        options.check_unused(args, names, f"for classifiers, but {args.model} holds a regressor")
        numbers = compare_numbers(predictor, source, args.model)
        figures, lines = number_figures(numbers), _number_report
        if args.plot:
            from textcnn.cli.plots import plot_numbers

            plot_numbers(numbers.true, numbers.predicted, args.plot)
    print(json.dumps(figures, ensure_ascii=False, indent=1) if args.json else "\n".join(lines(figures)))


class Labels(NamedTuple):
    """Texts with several labels: which they have, and which were predicted.

    The model has the first `n_known` of the names. Arrays have the shape (n_texts, n_names), that of the
    probabilities (n_texts, n_known).
    """

    names: list[str]
    n_known: int
    texts: list[str]
    true: Any
    predicted: Any
    probabilities: Any


def compare_labels(predictor: Any, source: tables.Table, allow_unknown: bool) -> Labels:
    """Predict the texts of a table; raises if there are none, or a label is unknown."""
    import numpy as np

    names = [tables.label_text(label) for label in predictor.classes_.tolist()]
    n_known = len(names)
    known = set(names)
    labels: list[str] = []
    texts: list[str] = []
    probabilities = [np.empty((0, n_known), np.float32)]
    for batch in source.batches():
        for label, line in zip(batch.labels or [], batch.lines, strict=True):
            for name in tables.names_of(label):
                if name not in known and not allow_unknown:
                    raise source.error(line, unknown_label(name, names[:n_known]))
                if name not in known:
                    known.add(name)
                    names.append(name)
            labels.append(label)
        if batch.texts:
            probabilities.append(predictor.predict_proba(batch.texts))
            texts += batch.texts
    _check_texts(source, labels)
    true = tables.targets(labels, "multilabel", names)
    found = np.zeros_like(true)
    values = np.concatenate(probabilities)
    found[:, :n_known] = values > predictor.threshold
    return Labels(names, n_known, texts, true, found, values)


def label_figures(labels: Labels) -> dict[str, Any]:
    """Scores of each label, their averages, and how many texts have all labels right."""
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    names, true, found = labels.names, labels.true, labels.predicted

    def averaged(average: str) -> dict[str, float]:
        values = precision_recall_fscore_support(true, found, average=average, zero_division=0.0)[:3]
        return dict(zip(("precision", "recall", "f1"), map(float, values), strict=True))

    columns = precision_recall_fscore_support(true, found, average=None, zero_division=0.0)
    return {
        "subset_accuracy": float(accuracy_score(true, found)),
        "texts": len(true),
        "micro_average": averaged("micro"),
        "macro_average": averaged("macro"),
        "labels": [
            {"label": name, "precision": p, "recall": r, "f1": f, "texts": n}
            for name, p, r, f, n in zip(names, *(column.tolist() for column in columns), strict=True)
        ],
    }


def _label_report(figures: dict[str, Any]) -> list[str]:
    rows = [["", "precision", "recall", "F1", "texts"]]
    for row in figures["labels"]:
        rows.append([shortened(printable(row["label"]), WIDEST_LABEL), *_decimals(row), str(row["texts"])])
    averages = [
        [name, *_decimals(figures[name.replace(" ", "_")]), str(figures["texts"])]
        for name in ("micro average", "macro average")
    ]
    lines = aligned(rows + averages)
    n_texts = counted(figures["texts"], "text")
    return [
        f"all labels right {figures['subset_accuracy']:.4f} on {n_texts}",
        "",
        *lines[: len(rows)],
        "",
        *lines[len(rows) :],
    ]


def _decimals(row: dict[str, float]) -> list[str]:
    return [f"{row[name]:.3f}" for name in ("precision", "recall", "f1")]


class Numbers(NamedTuple):
    """Texts with their own number and the predicted one."""

    texts: list[str]
    true: Any
    predicted: Any


def compare_numbers(predictor: Any, source: tables.Table, path: str) -> Numbers:
    """Predict the texts of a table; raises if there are none, or the model at `path` has several targets."""
    import numpy as np

    if len(predictor.target_mean) > 1:
        raise InputError(
            f"{path} predicts {len(predictor.target_mean)} numbers, but a file has one for each text; "
            "compare them in Python, with textcnn.inspection.predictions"
        )
    labels: list[str] = []
    texts: list[str] = []
    predicted = [np.empty(0)]
    for batch in source.batches():
        labels += batch.labels or []
        if batch.texts:
            predicted.append(predictor.predict(batch.texts).reshape(-1))
            texts += batch.texts
    _check_texts(source, labels)
    return Numbers(texts, tables.targets(labels, "regress", []), np.concatenate(predicted))


def number_figures(numbers: Numbers) -> dict[str, Any]:
    """R2, where there are two texts or more, and the mean errors."""
    import numpy as np
    from sklearn.metrics import r2_score

    true, found = numbers.true, numbers.predicted
    errors = found - true
    return {
        "r2": float(r2_score(true, found)) if len(true) > 1 else None,
        "mean_absolute_error": float(np.abs(errors).mean()),
        "root_mean_squared_error": float(np.sqrt((errors**2).mean())),
        "texts": len(true),
    }


def _number_report(figures: dict[str, Any]) -> list[str]:
    r2 = "-" if figures["r2"] is None else f"{figures['r2']:.4f}"
    rows = [
        ["mean absolute error", f"{figures['mean_absolute_error']:.6g}"],
        ["root mean squared error", f"{figures['root_mean_squared_error']:.6g}"],
    ]
    return [f"R2 {r2} on {counted(figures['texts'], 'text')}", "", *aligned(rows)]


def _check_texts(source: tables.Table, labels: list[str]) -> None:
    if not labels:
        raise InputError(f"{source.name} has no texts, so there is nothing to evaluate")
