"""Label texts: exactly one line of output for each text, in order, as soon as it is read.

Plain text has one text a line; an empty line is a text too. Files of any size need little memory.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from textcnn.cli import options, tables
from textcnn.cli.models import load_sentence_model
from textcnn.cli.output import check_distinct, check_writable, note_terminal, write_file

EPILOG = f"""\
{tables.FORMAT_HELP}\
  Other names are plain text, one text a line. Labels in the input are not needed and not looked at.

examples:
  textcnn predict reviews.textcnn new.txt > labels.tsv
  textcnn predict reviews.textcnn new.txt --proba --header > labels.tsv
  textcnn predict reviews.textcnn new.csv.gz --text-column body --jsonl -o labels.jsonl
  tail -f messages.log | textcnn predict messages.textcnn
  textcnn predict reviews.textcnn new.txt | paste - new.txt

output, in UTF-8:
  label                               by default; tab, newline and backslash in a label become \\t, \\n, \\\\
  label<TAB>probability<TAB>...       with --proba, one of each label in the order of `textcnn info`
  label|label, or nothing             by a model of several labels; with --jsonl {{"labels": [...]}}
  number                              by a regressor, several targets between tabs; {{"value": ...}}
  {{"label": ...}}                      with --jsonl, and "probabilities" by label with --proba
"""

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("model", metavar="MODEL", help="a model file, written by textcnn train")
    parser.add_argument(
        "file", metavar="FILE", nargs="?", default="-", help="texts (default: standard input)"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=options.output_name,
        help="write to this file instead of standard output",
    )
    parser.add_argument("--proba", action="store_true", help="the probability of every label too")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--header", action="store_true", help="begin with a line of column names")
    form.add_argument("--jsonl", action="store_true", help="one JSON object a line")
    options.add_threads(parser)
    tables.add_arguments(parser, tables.FORMATS)


def run(args: argparse.Namespace) -> None:
    """Read, predict and write, a chunk at a time."""
    source = tables.table(args, args.file, with_labels=False, fallback="txt")
    to_file = args.output not in (None, "-")
    if to_file:
        check_writable(args.output, or_device=True)
        check_distinct(args.output, [args.file, args.model])

    predictor = load_sentence_model(args.model, args.threads)
    if predictor.TASK == "regression":
        options.check_unused(args, ["proba"], f"for classifiers, but {args.model} holds a regressor")
    note_terminal([args.file])
    lines = _output(predictor, source, args)
    if to_file:
        write_file(args.output, lines)
        return
    stream = sys.stdout.buffer
    for block in lines:
        stream.write(block)
        stream.flush()


def _output(predictor: Any, source: tables.Table, args: argparse.Namespace) -> Iterator[bytes]:
    form = _FORMS[predictor.TASK](predictor)
    if args.header:
        columns = [*form.columns, *(map(tsv_text, form.names) if args.proba else ())]
        yield ("\t".join(columns) + "\n").encode("utf-8", "backslashreplace")
    formatted = _json_lines if args.jsonl else _tsv_lines
    for batch in source.batches():
        if not batch.texts:
            continue
        found = form.items(predictor.predict(batch.texts))
        probabilities = predictor.predict_proba(batch.texts).tolist() if args.proba else None
        yield "".join(formatted(form, found, probabilities)).encode("utf-8", "backslashreplace")


def tsv_text(label: Any) -> str:
    """A label as it stands in a line of fields between tabs."""
    return tables.label_text(label).translate(_ESCAPES)


class _Form(NamedTuple):
    """How predictions are written."""

    columns: list[str]
    """Heads of the columns of predictions."""
    key: str
    """The key of predictions in JSON."""
    names: list[Any]
    """Labels, in the order of probabilities."""
    items: Callable[[Any], list[Any]]
    """What `predict` gives, as JSON values."""
    shown: Callable[[Any], str]
    """Such a value between tabs."""


def _class_form(predictor: Any) -> _Form:
    names = predictor.classes_.tolist()
    shown = {name: tsv_text(name) for name in names}
    return _Form(["label"], "label", names, lambda labels: labels.tolist(), shown.__getitem__)


def _labels_form(predictor: Any) -> _Form:
    names = predictor.classes_.tolist()

    def items(matrix: Any) -> list[Any]:
        return [[name for name, has in zip(names, row, strict=True) if has] for row in matrix.tolist()]

    return _Form(["labels"], "labels", names, items, lambda labels: tables.BAR.join(map(tsv_text, labels)))


def _numbers_form(predictor: Any) -> _Form:
    n_targets = len(predictor.target_mean)

    def items(values: Any) -> list[Any]:
        rows = [[float(f"{value:.9g}") for value in row] for row in values.reshape(-1, n_targets).tolist()]
        return [row[0] for row in rows] if n_targets == 1 else rows

    def shown(values: Any) -> str:
        return "\t".join(f"{value:.9g}" for value in ([values] if n_targets == 1 else values))

    columns = ["value"] if n_targets == 1 else [f"value_{k + 1}" for k in range(n_targets)]
    return _Form(columns, "value" if n_targets == 1 else "values", [], items, shown)


_FORMS = {"classification": _class_form, "multilabel": _labels_form, "regression": _numbers_form}


def _tsv_lines(form: _Form, found: list[Any], probabilities: list[list[float]] | None) -> Iterator[str]:
    if probabilities is None:
        return (f"{form.shown(item)}\n" for item in found)
    return (
        "\t".join([form.shown(item), *(f"{value:.6g}" for value in row)]) + "\n"
        for item, row in zip(found, probabilities, strict=True)
    )


def _json_lines(form: _Form, found: list[Any], probabilities: list[list[float]] | None) -> Iterator[str]:
    keys = [tables.label_text(name) for name in form.names]
    for place, item in enumerate(found):
        line: dict[str, Any] = {form.key: item}
        if probabilities is not None:
            row = [float(f"{value:.6g}") for value in probabilities[place]]
            line["probabilities"] = dict(zip(keys, row, strict=True))
        yield json.dumps(line, ensure_ascii=False) + "\n"
