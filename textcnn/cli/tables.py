"""Texts and their labels from .tsv, .csv, .jsonl and plain text, also gzipped, in batches."""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from textcnn.cli.lines import Chunk, InputError, checked_encoding, read_chunks, shown_name
from textcnn.cli.output import printable, shortened

FORMATS = ("tsv", "csv", "jsonl", "txt")

_EXTENSIONS = {".tsv": "tsv", ".tab": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}

# Characters; more are a text in the wrong column.
LONGEST_LABEL = 1000

SPACES_FOR_TABS = "replace tabs inside texts by spaces"

# csv refuses fields of more than 131072 characters unless it is told otherwise.
_LONGEST_FIELD = 2**31 - 1

FORMAT_HELP = """\
input formats, told by the extension (also with .gz behind it) or by --format; names of columns are
matched in any case:
  .tsv     label<TAB>text, without quoting; the first line is a header if it has the fields "label" and
           "text", or with --text-column or --label-column
  .csv     a first line with names; the columns "text" and "label", or --text-column and --label-column;
           quoted fields may hold commas and newlines
  .jsonl   one JSON object a line with the keys "text" and "label", or those of the two options
  - is standard input. Text is UTF-8 unless --encoding says otherwise.
  Several labels of one text stand between bars, as in news|sport, or in a list in .jsonl; there may be none.
"""

# Between several labels of one text.
BAR = "|"

# The tasks of models of texts, as --task names them, by the name that a predictor has for them.
TASKS = {"classification": "classify", "multilabel": "multilabel", "regression": "regress"}


class Batch(NamedTuple):
    """Texts, their labels (None if none were asked for), and the line on which each begins."""

    texts: list[str]
    labels: list[str] | None
    lines: Any


class Table(NamedTuple):
    """A file of texts and how to read it.

    Parameters
    ----------
    path : str
        ``-`` for standard input.
    format : {"tsv", "csv", "jsonl", "txt"}
    encoding : str
    text_column, label_column : str or None
        Names of the columns; None for those of the format.
    with_labels : bool
        Whether every text must have a label.
    task : {"classify", "multilabel", "regress"}
        What a label is: the name of a class, names of labels, or a number.
    is_task_open : bool
        Whether no option named the task, so that messages may advise another one.
    """

    path: str
    format: str
    encoding: str = "utf-8"
    text_column: str | None = None
    label_column: str | None = None
    with_labels: bool = True
    task: str = "classify"
    is_task_open: bool = False

    @property
    def name(self) -> str:
        """How messages call the file."""
        return shown_name(self.path)

    def batches(self) -> Iterator[Batch]:
        """The texts, as many at a time as one read gave; raises InputError where something is wrong."""
        chunks = read_chunks(self.path, self.encoding)
        return _READERS[self.format](self, chunks)

    def not_one_label(self, line: int, message: str, what: str) -> InputError:
        """An error on a line with `what` in place of one label, which may be right with another task."""
        if self.is_task_open:
            message += f"; {what} is for --task multilabel, where a text has any number of labels"
        return self.error(line, message)

    def error(self, line: int, message: str) -> InputError:
        """An error on a line of the file."""
        return InputError(f"{self.name}, line {line}: {message}")


def add_arguments(parser: argparse.ArgumentParser, formats: tuple[str, ...], title: str = "input") -> None:
    """The options that tell how a table is read."""
    group = parser.add_argument_group(title)
    group.add_argument("--format", choices=formats, help="the format, whatever the extension says")
    group.add_argument("--text-column", metavar="NAME", help='column or key of the texts (default: "text")')
    group.add_argument("--label-column", metavar="NAME", help='that of the labels (default: "label")')
    group.add_argument(
        "--encoding", metavar="NAME", type=checked_encoding, default="utf-8", help="default: utf-8"
    )


def table(
    args: argparse.Namespace,
    path: str,
    with_labels: bool = True,
    fallback: str = "",
    task: str = "classify",
    is_task_open: bool = False,
) -> Table:
    """The table at `path` with the options of the command line.

    `fallback` is the format of standard input and of unknown extensions; without one they are errors.
    """
    if os.path.isdir(path):
        raise InputError(f"{path} is a folder, but a file was expected")
    found = args.format or format_of(path) or fallback
    if not found:
        raise InputError(
            f"the name {path} does not tell the format; give --format tsv, csv or jsonl, or a name that ends "
            "with one of these"
        )
    if found == "txt" and (args.text_column or args.label_column):
        raise InputError(
            f"{shown_name(path)} is read as plain text, which has no columns; give --format tsv, csv or jsonl"
        )
    if with_labels and (args.text_column or "text") == (args.label_column or "label"):
        both = args.text_column or args.label_column
        raise InputError(
            f'texts and labels are both to be read from "{both}"; give --text-column and --label-column '
            "different names"
        )
    columns = args.text_column, args.label_column
    return Table(path, found, args.encoding, *columns, with_labels, task, is_task_open)


def format_of(path: str) -> str | None:
    """The format that the name of a file tells, if any."""
    stem = path.lower().removesuffix(".gz")
    return _EXTENSIONS.get(os.path.splitext(stem)[1])


def label_text(label: Any) -> str:
    """A label as it is written in files: strings as they are, everything else as JSON."""
    return label if isinstance(label, str) else json.dumps(label)


# ---- one reader for each format ---------------------------------------------------------------------


def _read_txt(source: Table, chunks: Iterator[Chunk]) -> Iterator[Batch]:
    for first, lines in chunks:
        yield Batch(lines, None, range(first, first + len(lines)))


def _read_tsv(source: Table, chunks: Iterator[Chunk]) -> Iterator[Batch]:
    """Fields between tabs; quotes are characters like others."""
    columns: _Columns | None = None
    for first, lines in chunks:
        records = [(number, line.split("\t")) for number, line in enumerate(lines, first)]
        if columns is None:
            columns = _tsv_columns(source, records)
        yield _batch(source, columns, records)


def _read_csv(source: Table, chunks: Iterator[Chunk]) -> Iterator[Batch]:
    """Fields as RFC 4180 describes them; a record may go over several lines."""
    csv.field_size_limit(_LONGEST_FIELD)
    feed = _Feed(chunks)
    reader = csv.reader(feed, strict=True)
    columns: _Columns | None = None
    records: list[tuple[int, list[str]]] = []
    while True:
        first = feed.number
        try:
            record = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise _csv_error(source, first, feed, error) from None
        records.append((first, record))
        if feed.at_edge:
            columns = columns or _header_columns(source, records)
            yield _batch(source, columns, records)
            records = []
    if columns is None:
        raise InputError(
            f"{source.name} is empty, but a .csv needs a first line with the names of its columns"
        )


def _csv_error(source: Table, first: int, feed: _Feed, error: csv.Error) -> InputError:
    if "unexpected end" in str(error):
        return source.error(
            first, "a quoted field begins here and never ends; close the quotes, or double them"
        )
    return source.error(feed.number - 1, f"this is no CSV ({error}); quotes inside a field must be doubled")


def _read_jsonl(source: Table, chunks: Iterator[Chunk]) -> Iterator[Batch]:
    """One JSON object a line."""
    text_key = source.text_column or "text"
    label_key = source.label_column or "label"
    for first, lines in chunks:
        texts, labels, numbers = [], [], []
        for number, line in enumerate(lines, first):
            if not line.strip():
                if not source.with_labels:  # a line for each line, whatever it is
                    texts.append("")
                    numbers.append(number)
                continue
            item = _json_object(source, number, line)
            texts.append(_json_text(source, number, item, text_key))
            numbers.append(number)
            if source.with_labels:
                labels.append(_json_label(source, number, item, label_key))
        yield Batch(texts, labels if source.with_labels else None, numbers)


def _json_object(source: Table, number: int, line: str) -> dict[str, Any]:
    try:
        item = json.loads(line)
    except RecursionError:
        raise source.error(number, "the JSON is nested too deeply; give one flat object a line") from None
    except ValueError as error:
        reason = getattr(error, "msg", "a number of too many digits")
        column = f" at character {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise source.error(number, f"this is no JSON ({reason}{column}); give one object a line") from None
    if not isinstance(item, dict):
        raise source.error(number, f"an object {{...}} was expected, but this is {_kind(item)}")
    return item


def _json_text(source: Table, number: int, item: dict[str, Any], key: str) -> str:
    found = _same_name(item, key)
    if found is None:
        raise source.error(
            number, f'no key "{key}" among {_listed(item)}; name the right one with --text-column'
        )
    text = item[found]
    if not isinstance(text, str):
        raise source.error(number, f'"{key}" is {_kind(text)}, but a text in quotes was expected')
    return text


def _json_label(source: Table, number: int, item: dict[str, Any], key: str) -> str:
    found = _same_name(item, key)
    if found is None:
        raise source.error(
            number,
            f'the label is missing: no "{key}" among {_listed(item)}; name its key with --label-column',
        )
    label = item[found]
    if source.task == "multilabel" and isinstance(label, list):
        return _joined(source, number, found, label)
    if isinstance(label, list):
        raise source.not_one_label(
            number, f'"{found}" is a list, but a string or a number was expected', "a list"
        )
    if label is None or isinstance(label, dict):
        raise source.error(number, f'"{found}" is {_kind(label)}, but a string or a number was expected')
    return _checked_label(source, number, label_text(label))


def _joined(source: Table, number: int, key: str, labels: list[Any]) -> str:
    """A list of labels as it stands in other formats."""
    for label in labels:
        if label is None or isinstance(label, (list, dict)) or BAR in label_text(label):
            raise source.error(
                number, f'"{key}" holds {_kind(label)} {label!a}, but labels without {BAR} were expected'
            )
    return _checked_label(source, number, BAR.join(map(label_text, labels)))


def _kind(value: Any) -> str:
    """A JSON value in words."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


# ---- columns ----------------------------------------------------------------------------------------


class _Columns(NamedTuple):
    """Where text and label stand among so many fields, and what to say to a line with fewer or more."""

    text: int
    label: int | None
    n_fields: int
    expected: str
    if_fewer: str
    if_more: str

    def mistake(self, n_fields: int) -> str:
        """What is wrong with a line of so many fields."""
        advice = self.if_fewer if n_fields < self.n_fields else self.if_more
        return f"{_fields(n_fields)}, but {self.expected}; {advice}"


class _Feed:
    """The lines of chunks for the csv reader, with their ends, and where the reader has got to."""

    def __init__(self, chunks: Iterator[Chunk]) -> None:
        self._chunks = chunks
        self._lines: list[str] = []
        self._next = 0
        self.number = 1

    @property
    def at_edge(self) -> bool:
        """Whether another line would need another read."""
        return self._next == len(self._lines)

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        while self.at_edge:
            self._lines = next(self._chunks).lines
            self._next = 0
        line = self._lines[self._next]
        self._next += 1
        self.number += 1
        return line + "\n"


def _header_columns(source: Table, records: list[tuple[int, list[str]]]) -> _Columns:
    """Find the columns by the names in the first record that is not empty, and take it off."""
    place = next((i for i, (_, record) in enumerate(records) if record not in ([], [""])), 0)
    number, names = records[place]
    del records[: place + 1]
    text = _place(source, number, names, source.text_column or "text", "--text-column")
    label = None
    if source.with_labels:
        label = _place(source, number, names, source.label_column or "label", "--label-column")
    if text == label:  # two names that differ in case only
        raise source.error(
            number, f'texts and labels are both to be read from "{names[text]}"; give two columns'
        )
    expected = f"the header on line {number} has {_fields(len(names))}"
    more = "quote texts that hold commas" if source.format == "csv" else SPACES_FOR_TABS
    return _Columns(text, label, len(names), expected, "give every line as many", more)


def _place(source: Table, number: int, names: list[str], name: str, option: str) -> int:
    if names.count(name) > 1:
        raise source.error(number, f'two columns have the name "{name}"; rename one')
    found = _same_name(names, name)
    if found is not None:
        return names.index(found)
    advice = f"name the right one with {option}"
    other = next((sign for sign in ";\t|" if sign in names[0]), None) if len(names) == 1 else None
    if other and source.format == "csv":
        advice = f"the fields of a .csv are divided by commas, but here it seems to be {other!a}"
    raise source.error(number, f'no column "{name}" among {_listed(names)}; {advice}')


def _same_name(names: Iterable[str], name: str) -> str | None:
    """`name` as it stands among names: so, or the only one that differs in case or blanks around it."""
    if name in names:
        return name
    close = [other for other in names if _plain(other) == _plain(name)]
    return close[0] if len(close) == 1 else None


def _plain(name: str) -> str:
    return name.strip().casefold()


def _tsv_columns(source: Table, records: list[tuple[int, list[str]]]) -> _Columns:
    first = next((record for _, record in records if record != [""]), [""])
    if source.text_column or source.label_column or {"label", "text"} <= set(map(_plain, first)):
        return _header_columns(source, records)
    more = SPACES_FOR_TABS
    if len(first) > 2:
        more += "; for a file with a header give --text-column and --label-column"
    whole = "--format txt takes whole lines as texts"
    line = "a line is a label, a tab and a text"
    if source.with_labels:
        return _Columns(1, 0, 2, line, "put label and tab before the text", more)
    # Texts to predict may come with labels or without.
    if len(first) > 2:
        return _Columns(1, None, 2, f"{line}, or a text alone", whole, more)
    if len(first) == 2:
        return _Columns(1, None, 2, "the first line has a label, a tab and a text", whole, more)
    return _Columns(0, None, 1, "the first line has no tab", whole, whole)


def _batch(source: Table, columns: _Columns, records: list[tuple[int, list[str]]]) -> Batch:
    """Texts and labels of records; empty lines are left out where labels are needed."""
    texts, labels, lines = [], [], []
    for number, record in records:
        if len(record) != columns.n_fields:
            if record in ([], [""]):
                if source.with_labels:
                    continue
                record = [""] * columns.n_fields
            else:
                raise source.error(number, columns.mistake(len(record)))
        texts.append(record[columns.text])
        lines.append(number)
        if columns.label is not None:
            labels.append(_checked_label(source, number, record[columns.label]))
    return Batch(texts, labels if columns.label is not None else None, lines)


def _checked_label(source: Table, number: int, label: str) -> str:
    """A label without blanks around it; what can be no label is refused."""
    label = label.strip()
    if source.task == "multilabel":
        names = [_checked_name(source, number, name.strip()) for name in label.split(BAR)] if label else []
        return BAR.join(names)
    if not label:
        message = "the label is missing; give one, or take the line out"
        raise source.not_one_label(number, message, "a blank label")
    if source.task == "regress":
        return _checked_number(source, number, label)
    return _checked_name(source, number, label)


def names_of(label: str) -> list[str]:
    """The names in a checked label of a table with several labels for a text."""
    return label.split(BAR) if label else []


def targets(labels: list[str], task: str, names: list[str]) -> Any:
    """Checked labels as `fit` takes them: as they are, a matrix with a column for each name, or numbers."""
    if task == "classify":
        return labels
    import numpy as np

    if task == "regress":
        return np.array([float(label) for label in labels])
    place = {name: k for k, name in enumerate(names)}
    matrix = np.zeros((len(labels), len(names)), np.int64)
    for row, label in zip(matrix, labels, strict=True):
        row[[place[name] for name in names_of(label)]] = 1
    return matrix


def _checked_number(source: Table, number: int, label: str) -> str:
    try:
        value = float(label)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise source.error(number, f'"{shortened(printable(label), 40)}" is no finite number; give one')
    return label


def _checked_name(source: Table, number: int, label: str) -> str:
    if not label:
        raise source.error(number, f"an empty label stands beside {BAR}; give its name, or take {BAR} out")
    if len(label) > LONGEST_LABEL:  # NumPy gives every label the room of the longest
        raise source.error(number, f"the label has {len(label):,} characters; is it the text?")
    if not label.isascii() and any("\ud800" <= char <= "\udfff" for char in label):
        raise source.error(number, f"the label {label!a} holds half a surrogate pair; give whole characters")
    if label.endswith("\0"):  # NumPy would cut it off
        raise source.error(number, "the label ends with a NUL character; take it out")
    return label


def _listed(names: Any) -> str:
    names = list(names)
    shown = ", ".join(f'"{name}"' for name in names[:10])
    return (shown or "none") + (", ..." if len(names) > 10 else "")


def _fields(count: int) -> str:
    return f"{count} field" + ("s" if count != 1 else "")


_READERS: dict[str, Callable[[Table, Iterator[Chunk]], Iterator[Batch]]] = {
    "tsv": _read_tsv,
    "csv": _read_csv,
    "jsonl": _read_jsonl,
    "txt": _read_txt,
}
