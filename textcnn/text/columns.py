"""Column files: one token a line, tags in a column, a blank line between sentences."""

from __future__ import annotations

import gzip
import io
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import IO, NamedTuple, TextIO, TypeAlias

from textcnn.text.tags import OUTSIDE, detect_scheme

__all__ = [
    "ColumnFileError",
    "ColumnSentence",
    "TaggedSentence",
    "append_column",
    "looks_like_columns",
    "read_column_lines",
    "read_columns",
    "write_columns",
]

Source: TypeAlias = str | os.PathLike[str] | Iterable[str]
Column: TypeAlias = int | str | None

_CONLLU_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_CONLLU_ID = re.compile(r"[0-9]+(?:[-.][0-9]+)?")
_DOCUMENT = "-DOCSTART-"
_GZIP = b"\x1f\x8b"


class ColumnFileError(ValueError):
    """What is wrong with a column file, with its name and line."""


class TaggedSentence(NamedTuple):
    """Tokens, their tags, and the line of the first token, counted from 1."""

    tokens: list[str]
    tags: list[str]
    line: int


class ColumnSentence(NamedTuple):
    """A sentence and the lines it was read from.

    `lines` are the lines as they are in the file, without their ends, up to the blank line: with the
    comments and the multiword tokens of CoNLL-U. The token i is on ``lines[rows[i]]``. A line that
    begins a document is a sentence of its own without tokens.
    """

    tokens: list[str]
    tags: list[str]
    line: int
    lines: list[str]
    rows: list[int]


def read_columns(
    source: Source,
    column: Column = None,
    token_column: Column = None,
    *,
    with_tags: bool = True,
    name: str | None = None,
) -> Iterator[TaggedSentence]:
    """Read the sentences of a column file, one after the other.

    Columns are divided by tabs if the first row has one, else by spaces (of ASCII: a token may be
    U+3000). A file whose first row has ten columns or more between tabs and begins with a number is CoNLL-U:
    lines that begin with "#" are comments, and rows of multiword tokens (3-4) and empty nodes (8.1) are
    left out. A row that begins with ``-DOCSTART-`` ends a sentence and is no token.

    Parameters
    ----------
    source : str, path or iterable of str
        The name of a file in UTF-8, also packed with gzip; or lines, with or without their ends.
    column : int or str, default=None
        The column of the tags: a number from 1, or from -1 for the last; for CoNLL-U also a name, such
        as "upos", "xpos" or "deprel". None is the last column, and "upos" for CoNLL-U.
    token_column : int or str, default=None
        That of the tokens. None is the first column, and "form" for CoNLL-U.
    with_tags : bool, default=True
        Whether tags are read. If not, one column is enough, `tags` stays empty and a file without rows
        is no error.
    name : str, default=None
        How messages call the source; None is the name of the file.

    Yields
    ------
    TaggedSentence

    Raises
    ------
    ColumnFileError
        If a row has other columns than the first, a token or tag is empty, there are no rows, the column
        does not exist, or the file is not UTF-8 or a damaged gzip file.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> from textcnn.text.columns import read_columns
    >>> for sentence in read_columns(["Kim NNP B-PER", "left VBD O", "", "Rain NN O"]):
    ...     print(sentence)
    TaggedSentence(tokens=['Kim', 'left'], tags=['B-PER', 'O'], line=1)
    TaggedSentence(tokens=['Rain'], tags=['O'], line=4)
    """
    found = read_column_lines(source, column, token_column, with_tags=with_tags, name=name)
    return (TaggedSentence(*sentence[:3]) for sentence in found if sentence.tokens)


def read_column_lines(
    source: Source,
    column: Column = None,
    token_column: Column = None,
    *,
    with_tags: bool = True,
    name: str | None = None,
) -> Iterator[ColumnSentence]:
    """Read the sentences of a column file together with their lines, to be written back.

    Parameters
    ----------
    source, column, token_column, with_tags, name
        As for `read_columns`.

    Yields
    ------
    ColumnSentence
        Also those without tokens: lines that begin a document, comments between blank lines.

    Raises
    ------
    ColumnFileError, OSError
        As for `read_columns`.

    Examples
    --------
    >>> from textcnn.text.columns import append_column, read_column_lines
    >>> [sentence] = read_column_lines(["Kim B-PER", "left O"])
    >>> append_column(sentence, ["B-PER", "B-LOC"])
    ['Kim B-PER B-PER', 'left O B-LOC']
    """
    if isinstance(source, (str, os.PathLike)):
        name = name or os.fspath(source)
        lines = _file_lines(os.fspath(source), name)
    else:
        lines = (line.rstrip("\r\n") for line in source)
    reader = _Reader(name or "the input", column, token_column, with_tags)
    return _sentences(reader, _without_mark(lines))


def append_column(sentence: ColumnSentence, tags: Sequence[str]) -> list[str]:
    """The lines of a sentence with a tag at the end of each row.

    Rows that are no token get "_", a line that begins a document "O", comments nothing.

    Parameters
    ----------
    sentence : ColumnSentence
    tags : sequence of str
        One for each token.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If there are more or fewer tags than tokens.

    Examples
    --------
    >>> from textcnn.text.columns import append_column, read_column_lines
    >>> document, sentence = read_column_lines(["-DOCSTART- O", "", "Kim I-PER"])
    >>> append_column(document, []), append_column(sentence, ["O"])
    (['-DOCSTART- O O'], ['Kim I-PER O'])
    """
    if len(tags) != len(sentence.tokens):
        raise ValueError(
            f"{len(tags)} tags were given for a sentence of {len(sentence.tokens)} tokens; give one a token"
        )
    added = dict(zip(sentence.rows, tags, strict=True))
    out = []
    for i, line in enumerate(sentence.lines):
        separator = "\t" if "\t" in line else " "
        if i in added:
            out.append(f"{line.rstrip(' ')}{separator}{added[i]}")
        elif _is_document(line):
            out.append(f"{line.rstrip(' ')}{separator}{OUTSIDE}")
        else:
            out.append(line if line.startswith("#") else f"{line.rstrip(' ')}{separator}_")
    return out


def write_columns(sentences: Iterable[Sequence[str]], tags: Iterable[Sequence[str]], out: TextIO) -> None:
    """Write tokens and tags in two columns divided by a space, a blank line behind each sentence.

    Parameters
    ----------
    sentences : iterable of sequences of str
        Tokens.
    tags : iterable of sequences of str
        As many as there are tokens.
    out : text stream

    Raises
    ------
    ValueError
        If numbers of sentences or tokens differ, or a token or tag is empty or holds a blank.

    Examples
    --------
    >>> import sys
    >>> from textcnn.text.columns import write_columns
    >>> write_columns([["Kim", "left"]], [["B-PER", "O"]], sys.stdout)
    Kim B-PER
    left O
    <BLANKLINE>
    """
    for i, (tokens, row) in enumerate(zip(sentences, tags, strict=True)):
        if len(tokens) != len(row):
            raise ValueError(f"sentence {i} has {len(tokens)} tokens, but {len(row)} tags; give one a token")
        for field in chain(tokens, row):
            if not field or any(blank in field for blank in " \t\r\n"):
                raise ValueError(
                    f"sentence {i} holds {field!r}, but a column has neither blanks nor nothing in it"
                )
        out.writelines(f"{token} {tag}\n" for token, tag in zip(tokens, row, strict=True))
        out.write("\n")


def looks_like_columns(first_lines: Sequence[str]) -> bool:
    """Tell a column file from a table of texts and from plain text, by its first lines.

    It is one if it is CoNLL-U, or if its first row is ``-DOCSTART-``. Otherwise all rows must have as
    many columns, two or more, divided by tabs (then no field but a blank token has a space in it) or by
    spaces, and either

    - the last column must have tags of a span scheme in it (`textcnn.text.tags.detect_scheme`), or
    - blank lines must divide three or more rows into sentences, one of two or more rows.

    Parameters
    ----------
    first_lines : sequence of str
        Whole lines from the beginning of a file; about a hundred are enough.

    Returns
    -------
    bool

    Examples
    --------
    >>> from textcnn.text.columns import looks_like_columns
    >>> looks_like_columns(["Kim NNP B-PER", "left VBD O"])
    True
    >>> looks_like_columns(["good\\ta bright film", "bad\\ta dull film"])
    False
    """
    lines = list(_without_mark(line.rstrip("\r\n") for line in first_lines))
    if _is_document(next((line for line in lines if not _is_blank(line)), "")):
        return True
    reader = _Reader("", None, None, with_tags=True)
    try:
        blocks = [block for block in _sentences(reader, lines) if block.tokens]
    except ColumnFileError:
        return reader.is_conllu
    if reader.is_conllu:
        return True
    rows = [block.lines[i] for block in blocks for i in block.rows]
    if any(" " in field.strip(" ") for row in rows for field in reader.split(row)):
        return False
    if all(row.startswith("{") for row in rows):  # JSON lines
        return False
    if detect_scheme(block.tags for block in blocks) is not None:
        return True
    return len(rows) >= 3 and 2 <= len(blocks) < len(rows)


# ---- rows -------------------------------------------------------------------------------------------


class _Reader:
    """How the rows of one file are read; known from its first row on."""

    def __init__(self, name: str, column: Column, token_column: Column, with_tags: bool) -> None:
        self.name = name
        self.column = column
        self.token_column = token_column
        self.with_tags = with_tags
        self.is_conllu = False
        self._separator = " "
        self._n_columns = 0
        self._first = 0
        self._may_be_comment = False  # the first row, until another has as many columns
        self._token = self._tag = 0

    def error(self, number: int, message: str) -> ColumnFileError:
        """An error on a line."""
        return ColumnFileError(f"{self.name}, line {number}: {message}")

    def split(self, row: str) -> list[str]:
        """The fields of a row."""
        if self._separator == "\t":
            return row.rstrip(" ").split("\t")
        return [field for field in row.split(" ") if field]

    def start(self, number: int, row: str) -> None:
        """Take the layout from the first row."""
        self._separator = "\t" if "\t" in row else " "
        self.is_conllu = is_conllu_row(row)
        fields = self.split(row)
        self._n_columns, self._first = len(fields), number
        self._may_be_comment = row.startswith("# ")
        self._token = self._place(number, self.token_column, "form" if self.is_conllu else 1)
        if not self.with_tags:
            return
        if len(fields) < 2:
            raise self.error(
                number, f"one column ({row.strip()!r:.50}), but a token and a tag were expected; add the tags"
            )
        self._tag = self._place(number, self.column, "upos" if self.is_conllu else -1)
        if self._tag == self._token:
            raise self.error(
                number, f"tokens and tags are both to be read from column {self._tag + 1}; name two columns"
            )

    def _place(self, number: int, column: Column, default: int | str) -> int:
        """The place of a column, counted from 0."""
        column = default if column is None else column
        n = self._n_columns
        try:
            wanted = int(column)
        except ValueError:
            if self.is_conllu and str(column).lower() in _CONLLU_COLUMNS:
                return _CONLLU_COLUMNS.index(str(column).lower())
            known = f"one of {', '.join(_CONLLU_COLUMNS)}" if self.is_conllu else "only CoNLL-U has names"
            raise self.error(
                number, f"there is no column {column!r}: {known}; or give a number from 1 to {n}"
            ) from None
        if not 1 <= abs(wanted) <= n:
            raise self.error(
                number,
                f"there is no column {wanted}, for the row has {_columns(n)}; "
                f"give a number from 1 to {n}, or from -1 to -{n}",
            )
        return wanted - 1 if wanted > 0 else n + wanted

    def read(self, number: int, row: str) -> tuple[str, str] | None:
        """Token and tag of a row, None if it is no token; the tag is "" if none are read."""
        fields = self.split(row)
        if len(fields) != self._n_columns:
            raise self._other_columns(number, row, len(fields))
        self._may_be_comment = self._may_be_comment and number == self._first
        if self.is_conllu and not fields[0].isdecimal():
            if _CONLLU_ID.fullmatch(fields[0]) is None:
                raise self.error(
                    number, f"the id is {fields[0]!r}, but a number such as 3, 3-4 or 8.1 was expected"
                )
            return None
        token, tag = fields[self._token], fields[self._tag] if self.with_tags else ""
        if not token:
            raise self.error(number, "the token is empty; fill it in")
        if self.with_tags and not tag:
            raise self._no_tag(number)
        if " " in tag:
            raise self.error(number, f"the tag is {tag!r}, but a tag has no spaces; divide columns by tabs")
        return token, tag

    def _other_columns(self, number: int, row: str, count: int) -> ColumnFileError:
        """An error for a row with other columns than the first; one of the two may be a comment."""
        divided = "tabs" if self._separator == "\t" else "spaces"
        advice = "give every row as many, and a blank line between sentences"
        if self._may_be_comment or row.startswith("# "):
            advice = 'comments, lines that begin with "# ", are allowed in CoNLL-U only; take them out'
        if self._may_be_comment:
            return self.error(
                self._first,
                f"{_columns(self._n_columns)} between {divided}, but line {number} has {count}; {advice}",
            )
        return self.error(
            number,
            f"{_columns(count)} between {divided}, but line {self._first} has {self._n_columns}; {advice}",
        )

    def _no_tag(self, number: int) -> ColumnFileError:
        """An error for an empty tag; a tab at the end of every line makes a column of nothing."""
        place, n = self._tag + 1, self._n_columns
        if place < n:
            return self.error(number, f"the tag, in column {place} of {n}, is empty; fill it in")
        if self._token == n - 2:
            return self.error(number, f"column {n}, the last, is empty; fill the tag in")
        return self.error(number, f"column {n}, the last, is empty; --column {n - 1} names another")


def _sentences(reader: _Reader, lines: Iterable[str]) -> Iterator[ColumnSentence]:
    numbered = enumerate(lines, 1)
    begin = _start(reader, numbered)
    current = ColumnSentence([], [], 0, [], [])
    for number, line in chain(begin, numbered):
        is_document = _is_document(line)
        if is_document or _is_blank(line):
            if current.lines:
                yield current
                current = ColumnSentence([], [], 0, [], [])
            if is_document:
                yield ColumnSentence([], [], number, [line], [])
            continue
        current.lines.append(line)
        if reader.is_conllu and line.startswith("#"):
            continue
        found = reader.read(number, line)
        if found is not None:
            if not current.rows:
                current = current._replace(line=number)
            current.tokens.append(found[0])
            current.rows.append(len(current.lines) - 1)
            if reader.with_tags:
                current.tags.append(found[1])
    if current.lines:
        yield current


def _start(reader: _Reader, numbered: Iterator[tuple[int, str]]) -> list[tuple[int, str]]:
    """Read up to the row that tells the layout, and return the lines read."""
    begin: list[tuple[int, str]] = []
    first: tuple[int, str] | None = None
    for number, line in numbered:
        begin.append((number, line))
        if _is_blank(line) or _is_document(line):
            continue
        if not line.startswith("#"):
            # "#" begins comments in CoNLL-U alone; elsewhere it is a token like any other.
            first = (number, line) if first is None or is_conllu_row(line) else first
            break
        first = first or (number, line)
    if first is not None:
        reader.start(*first)
    elif reader.with_tags:
        raise ColumnFileError(
            f"{reader.name} has no rows, but lines with a token and a tag were expected; name another file"
        )
    return begin


def _is_blank(line: str) -> bool:
    return not line.strip(" \t\r\n")


def _is_document(line: str) -> bool:
    return line.startswith(_DOCUMENT) and line[len(_DOCUMENT) :][:1] in ("", " ", "\t")


def is_conllu_row(row: str) -> bool:
    """Ten columns, or more where some have been appended, the first one an id."""
    fields = row.split("\t")
    return len(fields) >= len(_CONLLU_COLUMNS) and _CONLLU_ID.fullmatch(fields[0]) is not None


def _columns(count: int) -> str:
    return f"{count} column" + ("s" if count != 1 else "")


# ---- files ------------------------------------------------------------------------------------------


def _file_lines(path: str, name: str) -> Iterator[str]:
    """The lines of a file in UTF-8, without their ends."""
    number = 0
    try:
        with _opened(path) as file:
            for line in file:
                number += 1
                yield line.rstrip(b"\r\n").decode()
    except UnicodeDecodeError as error:
        raise ColumnFileError(
            f"{name}, line {number}: the byte 0x{error.object[error.start]:02x} is not UTF-8 text; "
            "convert the file to UTF-8"
        ) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ColumnFileError(f"{name} is a damaged gzip file ({error}); get it again") from None


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    """A binary stream of the file, or of what is in it if it begins like a gzip file."""
    with open(path, "rb") as file:
        if file.peek(2)[:2] == _GZIP:
            yield io.BufferedReader(gzip.GzipFile(fileobj=file))
        else:
            yield file


def _without_mark(lines: Iterable[str]) -> Iterator[str]:
    """The lines without a byte order mark."""
    for i, line in enumerate(lines):
        yield line.removeprefix("\ufeff") if i == 0 else line
