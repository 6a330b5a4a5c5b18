"""Tag texts: entities, chunks or parts of speech, line by line and in order, as soon as a line is read.

Each line of plain text is tagged by itself. Files of any size need little memory.
"""

from __future__ import annotations

import argparse
import copy
import os
import select
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple

from textcnn.cli import options, tagged
from textcnn.cli.lines import InputError, checked_encoding, first_lines, read_chunks, shown_name
from textcnn.cli.models import load_tagger
from textcnn.cli.output import check_distinct, check_writable, counted, note, note_terminal, write_file
from textcnn.cli.predict import tsv_text

EPILOG = """\
examples:
  textcnn tag ner.textcnn story.txt > story.conll
  textcnn tag ner.textcnn story.txt --format html -o story.html
  textcnn tag ner.textcnn part1.txt.gz part2.txt.gz --format jsonl -o all.jsonl
  cat huge.txt | textcnn tag ner.textcnn - --format inline | less
  textcnn tag ner.textcnn test.conll --input conll > predicted.conll

output, in UTF-8:
  conll    token<TAB>tag, and with --probabilities <TAB> the probability of the span that the token is in ("_"
           if in none), or of a plain tag; the tag is then no more in the last column, but in column 2, which
           textcnn evaluate reads with --column 2. A blank line ends each sentence, and one more each line of
           text: an empty line of text is a blank line, and there are as many blank lines behind a blank
           line, or at the beginning, as there are lines of text.
  jsonl    an object a line: "text"; "spans" with "label", "start", "stop" (characters), "text" and
           "probability"; "tokens" and their "tags"; "sentences", each as [first token, token behind the last]
  inline   the text with its spans as [text](LABEL) or [text](LABEL 0.98); a backslash stands before [, ] and
           \\ of the text. Plain tags, such as parts of speech: word/TAG word/TAG, a backslash before / and \\
  html     one web page that needs nothing else, with the spans in colour; several files have headings

input:
  text     plain text; with --sentences split (default) sentences are found inside the lines, with line
           every line is one sentence
  conll    one token a line, a blank line between sentences; also CoNLL-U. Every line comes back with the
           predicted tag as one more column at its end, as conlleval reads it: comments and blank lines stay
           as they are, -DOCSTART- gets "O", other lines without a token of their own "_".
  Files packed with gzip are unpacked. Text is UTF-8 unless --encoding says otherwise.
"""

# Characters and tokens that are tagged at once, about; a longer line or sentence is taken as a whole.
BATCH_CHARS = 1 << 18
BATCH_TOKENS = 50_000

# Batches in work at once. A quarter of the work is Python's, which runs one thread at a time.
MOST_WORKERS = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("model", metavar="MODEL", help="a tagger's model file, written by textcnn train")
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="*",
        default=[],
        help="texts; - for standard input, which is also the default",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=options.output_name,
        help="write to this file instead of standard output",
    )
    parser.add_argument(
        "--format",
        choices=tagged.FORMATS,
        help="of the output (default: conll, the only one with --input conll)",
    )
    parser.add_argument(
        "--probabilities",
        action="store_true",
        help="write them too, in the formats conll (as column 3: the tag is then column 2, for textcnn "
        "evaluate --column 2) and inline; jsonl and html have them anyway; not with --input conll",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no notes")
    options.add_threads(parser)
    group = parser.add_argument_group("input")
    group.add_argument("--input", choices=("text", "conll"), default="text", help="default: text")
    group.add_argument(
        "--sentences",
        choices=("split", "line"),
        help="of plain text: find sentences in each line, or take it as one (default: split)",
    )
    options.add_token_column(group)
    group.add_argument(
        "--encoding", metavar="NAME", type=checked_encoding, default="utf-8", help="default: utf-8"
    )


def run(args: argparse.Namespace) -> None:
    """Read, tag and write, a batch at a time."""
    _check_options(args)
    paths = args.files or ["-"]
    _check_files(paths)
    to_file = args.output not in (None, "-")
    if to_file:
        check_writable(args.output, or_device=True)
        check_distinct(args.output, [*paths, args.model])
    predictor = load_tagger(args.model, args.threads)
    if args.input != "conll":
        _note_column_files(paths, args)
    if not args.quiet:
        note_terminal(paths)
    with ExitStack() as stack:
        source = _Source(paths, args.encoding)
        # On one terminal with the output the bar would stand between its lines.
        if not args.quiet and _on_terminal(sys.stderr) and (to_file or not _on_terminal(sys.stdout)):
            source.bar = stack.enter_context(_progress_bar(paths))
        parts = _output(predictor, source, args)
        if to_file:
            write_file(args.output, parts)
        else:
            stream = sys.stdout.buffer
            for part in parts:
                stream.write(part)
                stream.flush()
    if to_file:
        note(args, f"wrote {args.output}, {counted(source.n_lines, 'line')} read")


def _check_options(args: argparse.Namespace) -> None:
    if args.input == "conll":
        if args.format not in (None, "conll"):
            raise InputError(
                f"--format {args.format} is for plain text, but --input conll gives the rows of the file "
                "back; leave one of them out"
            )
        if args.probabilities:
            raise InputError(
                "--probabilities is for plain text; --input conll adds the column of tags and no other"
            )
        if args.sentences:
            raise InputError("--sentences is for plain text; a column file has its sentences")
        return
    if args.token_column is not None:
        raise InputError("--token-column is for column files; give --input conll too, or leave it out")
    if args.probabilities and args.format in ("jsonl", "html"):
        raise InputError(f"--format {args.format} has the probabilities anyway; leave --probabilities out")


def _note_column_files(paths: list[str], args: argparse.Namespace) -> None:
    """Say so where tokens and tags of a column file would be tagged as words of a text."""
    from textcnn.text.columns import looks_like_columns

    for path in paths:
        if path == "-" or stat.S_ISFIFO(os.stat(path).st_mode):
            continue
        if looks_like_columns(first_lines(path, args.encoding)):
            note(args, f"{path} looks like a column file; --input conll keeps its tokens")


def _check_files(paths: list[str]) -> None:
    """Raise for files that cannot be read, before hours are spent on others."""
    if paths.count("-") > 1:
        raise InputError("standard input is named twice, but can be read only once; name it once")
    for path in paths:
        if path == "-":
            continue
        if stat.S_ISFIFO(os.stat(path).st_mode):
            continue  # what is read to see whether it can be would be lost
        with open(path, "rb"):
            pass


# ---- input ------------------------------------------------------------------------------------------


class _Source:
    """The lines of several files, and whether more can be had without waiting."""

    def __init__(self, paths: list[str], encoding: str) -> None:
        self.paths = paths
        self.encoding = encoding
        self.bar: Any = None
        self.n_lines = 0
        self._stream: Any = None
        self._done = 0  # bytes of the files before this one

    def begin(self, path: str) -> None:
        """Take note that the next read is the first one of a file, for which a pipe may keep us waiting."""
        if path == "-" or not os.path.isfile(path):
            self._stream = None

    def chunks(self, path: str) -> Iterator[list[str]]:
        """The lines of a file as they come; an empty list where a read brought no whole line."""
        for chunk in read_chunks(path, self.encoding, self._on_read, with_partial=True):
            self.n_lines += len(chunk.lines)
            yield chunk.lines

    def may_wait(self) -> bool:
        """Whether the next read may have to wait for whoever writes the input."""
        try:
            number = self._stream.fileno()
            if stat.S_ISREG(os.fstat(number).st_mode):
                return False
            return not select.select([number], [], [], 0)[0]
        except (
            OSError,
            ValueError,
            AttributeError,
        ):  # not begun, or nothing that the system could tell about
            return True

    def _on_read(self, stream: Any, n_bytes: int) -> None:
        self._stream = stream
        if self.bar is None:
            return
        if self.bar.total is None:
            self.bar.update(n_bytes)
            return
        place = getattr(stream, "fileobj", stream).tell()  # packed bytes, for a gzip file
        self.bar.update(self._done + place - self.bar.n)
        if not n_bytes:
            self._done += place


def _on_terminal(stream: Any) -> bool:
    return bool(stream.isatty())


def _progress_bar(paths: list[str]) -> Any:
    from tqdm import tqdm

    return tqdm(total=_total_bytes(paths), unit="B", unit_scale=True, desc="tagging", dynamic_ncols=True)


def _total_bytes(paths: list[str]) -> int | None:
    """Bytes of all files, None if one is no regular file."""
    total = 0
    for path in paths:
        try:
            found = os.stat(sys.stdin.fileno() if path == "-" else path)
        except (OSError, ValueError):  # standard input may be anything
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        total += found.st_size
    return total


# ---- plain text -------------------------------------------------------------------------------------


def _output(predictor: Any, source: _Source, args: argparse.Namespace) -> Iterator[bytes]:
    team = _Team(predictor)
    if args.input == "conll":
        parts = _in_order(_Columns(team), _column_batches(source, args.token_column), source, team.n_workers)
        return (part.encode("utf-8", "backslashreplace") for part in parts)
    write = tagged.writer(args.format or "conll", predictor.scheme, args.probabilities)
    with_titles = args.format == "html" and len(source.paths) > 1
    work = _Text(team, write, args.sentences or "split")
    parts = _in_order(work, _text_batches(source, with_titles), source, team.n_workers)
    if args.format == "html":
        from textcnn.display import page

        parts = page(", ".join(map(shown_name, source.paths)), parts, predictor.labels)
        return (part.encode("utf-8", "replace") for part in parts)
    return (part.encode("utf-8", "backslashreplace") for part in parts)


class _Team:
    """The predictor for several batches at once, and for a long one alone.

    Reading, cutting into tokens and writing keep one processor busy while others run kernels, so a batch for
    each processor is better than all processors for one batch.
    """

    def __init__(self, predictor: Any) -> None:
        from textcnn._threads import effective_n_threads

        n_threads = effective_n_threads(predictor.n_jobs)
        self.n_workers = min(n_threads, MOST_WORKERS)
        self._whole = predictor
        self._part = copy.copy(predictor)
        self._part.n_jobs = -(-n_threads // self.n_workers)

    def predictor(self, size: int, usual: int) -> Any:
        """The one for a batch of a size, where so much is usual."""
        return self._whole if size > 4 * usual else self._part


class _Title(list[str]):
    """The name of the file that begins, in place of a batch of its lines."""


@dataclass(frozen=True)
class _Text:
    """Tags lines of text and writes them."""

    team: _Team
    write: tagged.Writer
    sentences: str

    def __call__(self, lines: list[str]) -> str:
        if isinstance(lines, _Title):
            return tagged.html_title(lines[0])
        predictor = self.team.predictor(sum(map(len, lines)), BATCH_CHARS)
        return "".join(map(self.write, predictor.tag(lines, sentences=self.sentences)))


def _text_batches(source: _Source, with_titles: bool) -> Iterator[list[str]]:
    for path in source.paths:
        source.begin(path)
        yield _Title([shown_name(path)] if with_titles else [])
        for lines in source.chunks(path):
            yield from _batches(lines, len, BATCH_CHARS)


def _batches(items: list[Any], size_of: Callable[[Any], int], most: int) -> Iterator[list[Any]]:
    """Items in groups of about one size, in order; an empty group if there are none."""
    first = size = 0
    for i, item in enumerate(items, 1):
        size += size_of(item)
        if size >= most:
            yield items[first:i]
            first, size = i, 0
    if first < len(items) or not items:
        yield items[first:]


def _in_order(
    work: Callable[[list[Any]], str], batches: Iterable[list[Any]], source: _Source, n_workers: int
) -> Iterator[str]:
    """What becomes of each batch, in their order; nothing is held back while we wait for more input.

    An empty batch is a chance to look whether we shall wait.
    """
    pool = ThreadPoolExecutor(n_workers)
    pending: deque[Future[str]] = deque()
    failure = None
    try:
        try:
            for batch in batches:
                if batch:
                    pending.append(pool.submit(work, batch))
                while len(pending) > n_workers or (pending and source.may_wait()):
                    yield pending.popleft().result()
        except InputError as error:  # what came before the wrong line is sound
            failure = error
        while pending:
            yield pending.popleft().result()
        if failure is not None:
            raise failure
    finally:
        pool.shutdown(cancel_futures=True)


# ---- column files -----------------------------------------------------------------------------------


class _Block(NamedTuple):
    """A sentence of a column file, and the blank lines around it that no other block has."""

    n_before: int
    sentence: Any
    n_after: int


@dataclass(frozen=True)
class _Columns:
    """Tags sentences of a column file and writes their lines with one more column."""

    team: _Team

    def __call__(self, blocks: list[_Block]) -> str:
        from textcnn.text.columns import append_column

        tokens = [block.sentence.tokens for block in blocks if block.sentence and block.sentence.tokens]
        predictor = self.team.predictor(sum(map(len, tokens)), BATCH_TOKENS)
        found = iter(predictor.predict(tokens))
        parts = []
        for n_before, sentence, n_after in blocks:
            parts.append("\n" * n_before)
            if sentence:
                tags = [tsv_text(tag) for tag in next(found)] if sentence.tokens else []
                parts += [f"{line}\n" for line in append_column(sentence, tags)]
            parts.append("\n" * n_after)
        return "".join(parts)


class _Lines:
    """The lines of a column file one by one, counting the blank ones, which its reader leaves out."""

    def __init__(self, chunks: Iterator[list[str]]) -> None:
        self._chunks = chunks
        self._left: deque[str] = deque()
        self._ends = 0  # blank lines among those left
        self._gaps: deque[int] = deque()  # blank lines before each other line that is in no block yet
        self.n_blank = 0  # since the last other line

    @property
    def has_end(self) -> bool:
        """Whether a sentence ends in what has been read."""
        return self._ends > 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        while not self._left:
            self._left.extend(next(self._chunks))
            self._ends = sum(map(_is_blank, self._left))
        line = self._left.popleft()
        if _is_blank(line):
            self._ends -= 1
            self.n_blank += 1
        else:
            self._gaps.append(self.n_blank)
            self.n_blank = 0
        return line

    def block(self, sentence: Any) -> _Block:
        """The sentence that the reader has just given, with its blank lines."""
        n_before = sum(self._gaps.popleft() for _ in sentence.lines)
        n_after, self.n_blank = (0, self.n_blank) if self._gaps else (self.n_blank, 0)
        return _Block(n_before, sentence, n_after)


def _is_blank(line: str) -> bool:
    return not line.strip(" \t\r")


def _column_batches(source: _Source, token_column: int | str | None) -> Iterator[list[_Block]]:
    n_after = 1
    for path in source.paths:
        source.begin(path)
        # The last sentence of one file and the first of the next are two.
        yield [] if n_after else [_Block(1, None, 0)]
        for blocks in _file_blocks(source, path, token_column):
            if blocks:
                n_after = blocks[-1].n_after
            yield blocks


def _file_blocks(source: _Source, path: str, token_column: int | str | None) -> Iterator[list[_Block]]:
    from textcnn.text.columns import ColumnFileError, read_column_lines

    lines = _Lines(source.chunks(path))
    blocks: list[_Block] = []
    size = 0
    try:
        for sentence in read_column_lines(
            lines, token_column=token_column, with_tags=False, name=shown_name(path)
        ):
            blocks.append(lines.block(sentence))
            size += len(sentence.tokens)
            if size >= BATCH_TOKENS or not lines.has_end:
                yield blocks
                blocks, size = [], 0
    except ColumnFileError as error:
        yield blocks
        raise InputError(str(error)) from None
    yield [*blocks, _Block(lines.n_blank, None, 0)] if lines.n_blank else blocks
