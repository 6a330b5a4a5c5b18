"""Lines of text from files, gzip files and standard input, a chunk at a time."""

from __future__ import annotations

import argparse
import codecs
import contextlib
import gzip
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

# Bytes asked for in one read. A pipe gives what it has, so that its reader gets answers in time.
CHUNK_SIZE = 1 << 20


# Bytes that tell what a file holds.
BEGINNING = 1 << 16

# What a gzip file with deflated data, the only kind in use, begins with.
_GZIP = b"\x1f\x8b\x08"


class InputError(ValueError):
    """What is wrong with a file, with its name and line."""


class Chunk(NamedTuple):
    """Some lines, without their ends, and the number of the first."""

    first: int
    lines: list[str]


def shown_name(path: str) -> str:
    """How messages call an input."""
    return "standard input" if path == "-" else path


def checked_encoding(name: str) -> str:
    """An encoding that Python knows; the type of ``--encoding``."""
    try:
        codecs.getincrementaldecoder(name)
        with contextlib.suppress(UnicodeError):
            b"a".decode(name)  # refuses codecs that are no encoding of text, such as "rot13"
    except (LookupError, ValueError):
        raise argparse.ArgumentTypeError(
            f"{name!r} is no encoding that Python knows; try utf-8, latin-1, cp1252 or gb18030"
        ) from None
    return name


def read_chunks(
    path: str,
    encoding: str = "utf-8",
    on_read: Callable[[Any, int], None] | None = None,
    with_partial: bool = False,
) -> Iterator[Chunk]:
    """The lines of a file, decoded, in chunks as they come; a byte order mark is left out.

    Lines end with LF or CR LF, the last one also without.

    Parameters
    ----------
    path : str
        A file, also one packed with gzip, or ``-`` for standard input.
    encoding : str, default="utf-8"
    on_read : callable, default=None
        Called after each read with the stream and the number of bytes that came.
    with_partial : bool, default=False
        Give a chunk without lines for a read that brought no end of a line, so that the caller can do
        something else before the next read.

    Yields
    ------
    chunk : Chunk

    Raises
    ------
    InputError
        If bytes do not fit the encoding, or the file is no whole gzip file.
    OSError
        If the file cannot be read.
    """
    decoder = _decoder(encoding)
    number = 1
    pieces: list[str] = []  # of a line whose end has not come yet
    with opened(path) as file:
        at_end = False
        while not at_end:
            block = _read(file, path)
            at_end = not block
            if on_read is not None:
                on_read(file, len(block))
            text = _decoded(decoder, block, at_end, path, encoding, number)
            pieces.append(text)
            if "\n" not in text:
                if with_partial:
                    yield Chunk(number, [])
                continue
            lines = "".join(pieces).split("\n")
            pieces = [lines.pop()]
            yield Chunk(number, _without_returns(lines))
            number += len(lines)
    rest = "".join(pieces)
    if rest:
        yield Chunk(number, _without_returns([rest]))


def first_lines(path: str, encoding: str = "utf-8") -> list[str]:
    """Whole lines from the beginning of a file, without taking them from standard input or a pipe.

    Bytes that are no text become U+FFFD: whoever reads the file will name them.
    """
    if path == "-":
        block = _beginning(sys.stdin.buffer)
    elif stat.S_ISFIFO(os.stat(path).st_mode):
        return []
    else:
        with open(path, "rb") as file:
            block = file.read(BEGINNING)
    if block.startswith(_GZIP):
        with contextlib.suppress(zlib.error):
            block = zlib.decompressobj(wbits=31).decompress(block, BEGINNING)
    lines = block.decode(codecs.lookup(encoding).name, "replace").split("\n")
    # The last line may have been cut.
    return _without_returns(lines[:-1] if len(lines) > 1 else lines)


def _beginning(file: Any) -> bytes:
    """What a stream begins with, which stays in it."""
    if hasattr(file, "peek"):
        return bytes(file.peek(1))
    return b""


@contextlib.contextmanager
def opened(path: str) -> Iterator[Any]:
    """A binary stream with `read1`; standard input stays open."""
    if path == "-":
        yield _unpacked(sys.stdin.buffer)
        return
    with open(path, "rb") as file:
        yield gzip.GzipFile(fileobj=file) if _is_named_gz(path) else _unpacked(file)


def _is_named_gz(path: str) -> bool:
    return path.lower().endswith(".gz")


def _unpacked(file: Any) -> Any:
    """The file, or what is in it if it begins like a gzip file, whatever its name says."""
    begin = file.peek(3)[:3] if hasattr(file, "peek") else b""
    return gzip.GzipFile(fileobj=file) if begin == _GZIP else file


def _read(file: Any, path: str) -> bytes:
    try:
        return file.read(CHUNK_SIZE) if isinstance(file, gzip.GzipFile) else file.read1(CHUNK_SIZE)
    except EOFError:
        raise InputError(
            f"{shown_name(path)} ends in the middle of its gzip data; get the file again"
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        other = ", or take .gz from its name" if _is_named_gz(path) else ""
        raise InputError(
            f"{shown_name(path)} is no gzip file, or a damaged one ({error}); get it again{other}"
        ) from None


def _decoder(encoding: str) -> codecs.IncrementalDecoder:
    name = codecs.lookup(encoding).name
    return codecs.getincrementaldecoder("utf-8-sig" if name == "utf-8" else name)()


def _decoded(
    decoder: codecs.IncrementalDecoder, block: bytes, at_end: bool, path: str, encoding: str, number: int
) -> str:
    """The text of a block; bytes that do not fit raise with the number of their line."""
    state = decoder.getstate()
    try:
        return decoder.decode(block, at_end)
    except UnicodeError as error:
        start = getattr(error, "start", 0)
        found = getattr(error, "object", b"")[start : start + 1]
        decoder.setstate(state)
        with contextlib.suppress(UnicodeError):  # what comes before it is sound
            number += decoder.decode(block[: max(0, start - len(state[0]))]).count("\n")
        what = f"the byte 0x{found.hex()}" if found else "the end of the file"
        raise InputError(
            f"{shown_name(path)}, line {number}: {what} is not {encoding.upper()} text; "
            "name the encoding of the file with --encoding, such as latin-1"
        ) from None


def _without_returns(lines: list[str]) -> list[str]:
    """The lines without the CR of CR LF."""
    return [line[:-1] if line.endswith("\r") else line for line in lines]
