"""Where results go: files that appear when they are complete, and text that is safe to show."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import stat
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

# Not "printable" for Python, but no danger: blanks, and the joiners of Indic scripts and emoji.
_HARMLESS = "\u00a0\u2009\u202f\u3000\u200c\u200d"

# Errors of writing alone, so that they cannot come from an input that is read meanwhile.
_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))

PICTURES = (".png", ".svg", ".pdf")


def check_writable(path: str, or_device: bool = False) -> None:
    """Raise if no file can be written at `path`; called before any work that would be lost.

    With `or_device` a character device, such as /dev/null, will do too.
    """
    target = os.path.realpath(path)
    if or_device and _is_device(path):
        return
    folder = os.path.dirname(target)
    if os.path.isdir(target):
        raise ValueError(f"{path} is a folder; give the name of a file to write")
    if not os.path.isdir(folder):
        raise ValueError(f"{path} cannot be written, for there is no folder {folder}; make it first")
    if os.path.exists(target) and not os.path.isfile(target):
        raise ValueError(f"{path} is not a regular file; give the name of a file to write")
    probe = os.path.join(folder, f".textcnn-probe-{os.getpid()}.tmp")
    try:
        with open(probe, "xb"):
            pass
        os.unlink(probe)
    except OSError as error:
        raise ValueError(f"{path} cannot be written ({error.strerror}); give another place") from None


def check_picture(path: str) -> None:
    """Raise if no picture can be drawn into `path`: before the work, not after it."""
    if os.path.splitext(path)[1].lower() not in PICTURES:
        raise ValueError(f"{path} is no picture that can be drawn; end its name with {', '.join(PICTURES)}")
    if importlib.util.find_spec("matplotlib") is None:
        raise ValueError("--plot needs matplotlib, which is not installed; python -m pip install matplotlib")
    check_writable(path)


def check_distinct(output: str, inputs: Iterable[str | None]) -> None:
    """Raise if an output would overwrite an input, or another output."""
    for path in inputs:
        if path and path != "-" and os.path.realpath(path) == os.path.realpath(output):
            raise ValueError(f"{output} is named twice and would be overwritten; give another file to write")


def write_file(path: str, parts: Iterable[bytes]) -> None:
    """Write a file that is complete when it appears; an older one stays until then.

    A character device, such as /dev/null, is written directly.
    """
    from textcnn.io import _write_atomically

    with naming(path):
        if _is_device(path):
            with open(path, "wb") as device:
                for part in parts:
                    device.write(part)
                    device.flush()
        else:
            _write_atomically(path, parts)


def _is_device(path: str) -> bool:
    """Whether a path leads to a character device."""
    try:
        return stat.S_ISCHR(os.stat(path).st_mode)
    except OSError:
        return False


@contextlib.contextmanager
def naming(what: str, advice: str = "make room, or give another place") -> Iterator[None]:
    """Let errors of a full disk tell what could not be written: the system does not."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL or error.filename is not None:
            raise
        raise OSError(f"{what} cannot be written ({error.strerror}); {advice}") from None


def note(args: Any, message: str) -> None:
    """A line about the work on standard error, unless --quiet."""
    if not args.quiet:
        print(message, file=sys.stderr, flush=True)


def note_terminal(paths: Sequence[str]) -> None:
    """Say that a command waits for its user, where standard input is read and is a terminal."""
    if "-" in paths and sys.stdin.isatty():
        print("reading from the terminal, end with Ctrl-D", file=sys.stderr, flush=True)


def counted(number: int, thing: str) -> str:
    """``1 text``, ``2,000 texts``."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def printable(text: str) -> str:
    """A text for the terminal: control characters, which could steer it, are shown as escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in _HARMLESS else ascii(char)[1:-1] for char in text)


def display_width(text: str) -> int:
    """Columns that a text takes on a terminal: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(_char_width(char) for char in text)


def _char_width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def ljust(text: str, width: int) -> str:
    """`text` with blanks behind it, to a width on the terminal."""
    return text + " " * (width - display_width(text))


def rjust(text: str, width: int) -> str:
    """`text` with blanks before it, to a width on the terminal."""
    return " " * (width - display_width(text)) + text


def shortened(text: str, width: int) -> str:
    """`text`, cut with an ellipsis if it is wider than `width` on the terminal."""
    if display_width(text) <= width:
        return text
    kept, used = [], 1
    for char in text:
        used += _char_width(char)
        if used > width:
            break
        kept.append(char)
    return "".join(kept) + "…"


def aligned(rows: list[list[str]], indent: str = "") -> list[str]:
    """Lines of a table: the first column to the left, the others to the right."""
    widths = [max(display_width(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        (indent + "  ".join([ljust(row[0], widths[0]), *map(rjust, row[1:], widths[1:])])).rstrip()
        for row in rows
    ]
