"""Label texts: exactly one line of output for each text, in order, as soon as it is read.

Plain text has one text a line; an empty line is a text too. Files of any size need little memory.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

from textcnn.cli import options, tables
from textcnn.cli.models import load_classifier
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

    predictor = load_classifier(args.model, args.threads)
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
    names = predictor.classes_.tolist()
    if args.header:
        columns = ["label", *(map(tsv_text, names) if args.proba else ())]
        yield ("\t".join(columns) + "\n").encode("utf-8", "backslashreplace")
    formatted = (_json_lines if args.jsonl else _tsv_lines)(names)
    for batch in source.batches():
        if not batch.texts:
            continue
        labels = predictor.predict(batch.texts).tolist()
        probabilities = predictor.predict_proba(batch.texts).tolist() if args.proba else None
        yield "".join(formatted(labels, probabilities)).encode("utf-8", "backslashreplace")


def tsv_text(label: Any) -> str:
    """A label as it stands in a line of fields between tabs."""
    return tables.label_text(label).translate(_ESCAPES)


_Formatter = Callable[[list[Any], list[list[float]] | None], Iterator[str]]


def _tsv_lines(names: list[Any]) -> _Formatter:
    shown = {name: tsv_text(name) for name in names}

    def lines(labels: list[Any], probabilities: list[list[float]] | None) -> Iterator[str]:
        if probabilities is None:
            return (f"{shown[label]}\n" for label in labels)
        return (
            "\t".join([shown[label], *(f"{value:.6g}" for value in row)]) + "\n"
            for label, row in zip(labels, probabilities, strict=True)
        )

    return lines


def _json_lines(names: list[Any]) -> _Formatter:
    keys = [tables.label_text(name) for name in names]

    def lines(labels: list[Any], probabilities: list[list[float]] | None) -> Iterator[str]:
        for place, label in enumerate(labels):
            item: dict[str, Any] = {"label": label}
            if probabilities is not None:
                row = [float(f"{value:.6g}") for value in probabilities[place]]
                item["probabilities"] = dict(zip(keys, row, strict=True))
            yield json.dumps(item, ensure_ascii=False) + "\n"

    return lines
