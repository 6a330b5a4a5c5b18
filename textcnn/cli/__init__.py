"""The command ``textcnn``; each subcommand has a module of its own, imported when it runs."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, NoReturn, cast

from textcnn._version import __version__
from textcnn.cli.output import naming, printable

# name -> one line of help; the module textcnn.cli.<name> has add_arguments(parser), run(args) and
# often EPILOG, examples for the end of its help. It imports nothing heavy before it runs.
COMMANDS = {
    "train": "train a model from a file of labelled texts, or of tokens with tags",
    "predict": "label texts, one line out for each line in",
    "tag": "find entities, chunks or parts of speech in texts",
    "evaluate": "compare a model with labelled texts or tags: accuracy, F1, confusion matrix",
    "explain": "show the n-grams that decided, on the terminal or as a web page",
    "report": "write a web page about a model and labelled data: scores, filters, worst errors",
    "info": "show what a model file holds and what its filters like best",
    "demo": "train on the data that ships with textcnn, and show a few predictions",
    "versions": "print versions and how textcnn was built, for a bug report",
}

EPILOG = """\
examples:
  textcnn demo                                       see it work on data that ships with it
  textcnn train reviews.tsv -o reviews.textcnn       lines of label<TAB>text in, a model file out
  textcnn evaluate reviews.textcnn test.tsv          how good is it?
  textcnn predict reviews.textcnn new.txt            one label a line
  textcnn explain reviews.textcnn new.txt --html page.html
  textcnn report reviews.textcnn test.tsv -o report.html

  textcnn demo tag                                   the same for entities in texts
  textcnn train train.conll -o ner.textcnn           tokens with tags in, one a line
  textcnn evaluate ner.textcnn test.conll            the table of conlleval
  textcnn tag ner.textcnn story.txt                  a tag for each token of a plain text

`textcnn COMMAND --help` tells about each, with examples.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, default=None
        Arguments after the program's name; None for those of the process.

    Returns
    -------
    status : int
        0 if all went well, 1 after an error, 2 for a wrong call, 130 after Ctrl-C, 143 after SIGTERM.
    """
    _replace_closed_streams()
    args = _arguments(argv)
    _speak_utf8()
    try:
        with warnings.catch_warnings(), _clean_end(), naming("standard output"):
            warnings.showwarning = _show_warning
            import_module(f"textcnn.cli.{args.command}").run(args)
            sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` say, has had enough
        _drop_output()
        return 0
    except KeyboardInterrupt:
        print("textcnn: interrupted", file=sys.stderr)
        return 130
    except _Ended as end:
        print("textcnn: terminated", file=sys.stderr)
        return 128 + end.signum
    except (ValueError, TypeError, OSError, MemoryError, ImportError) as error:
        try:
            sys.stdout.flush()
        except OSError:
            _drop_output()
        print(f"textcnn: error: {_sentence(error)}", file=sys.stderr)
        return 1
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    argv = sys.argv[1:] if argv is None else argv
    args, rest = parser.parse_known_args(argv)
    # Before Python 3.13 argparse takes optional FILEs for absent if options stand between them and MODEL.
    is_absent = getattr(args, "file", None) == "-" and "-" not in argv
    if len(rest) == 1 and not rest[0].startswith("-") and is_absent:
        args.file = rest.pop()
    if hasattr(args, "files") and not any(name.startswith("-") and name != "-" for name in rest):
        args.files, rest = [*args.files, *rest], []
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return args


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="textcnn",
        description="Convolutional networks for text. Start with: textcnn demo",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"textcnn {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, help_line in COMMANDS.items():
        module = import_module(f"textcnn.cli.{name}")
        subparser = subparsers.add_parser(
            name,
            help=help_line,
            description=module.__doc__,
            epilog=getattr(module, "EPILOG", None),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(subparser)
    return parser


class _ClosedStream(io.TextIOBase):
    """Standard input or output that the caller has closed: whoever needs it gets a sentence."""

    def __init__(self, name: str, advice: str) -> None:
        self.message = f"{name} is closed, but the command needs it; {advice}"

    @property
    def buffer(self) -> _ClosedStream:
        return self

    def read1(self, size: int = -1) -> NoReturn:
        raise OSError(self.message)

    def write(self, text: Any) -> NoReturn:
        raise OSError(self.message)


def _replace_closed_streams() -> None:
    """Python has None in place of streams that were closed before it started (`>&-`)."""
    # The null device takes their descriptors, which the next file opened would get otherwise.
    closed = [stream is None for stream in (sys.stdin, sys.stdout, sys.stderr)]
    while any(closed) and os.open(os.devnull, os.O_RDWR) < 2:
        pass
    if sys.stdin is None:
        sys.stdin = cast(Any, _ClosedStream("standard input", "name a file"))
    if sys.stdout is None:
        sys.stdout = cast(Any, _ClosedStream("standard output", "redirect it into a file, or to /dev/null"))
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the whole process


def _drop_output() -> None:
    """Let what is still buffered go nowhere, so that Python does not fail on it again at its end."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Ended(BaseException):
    """A signal asks the process to end."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


@contextlib.contextmanager
def _clean_end() -> Iterator[None]:
    """Turn the signals that end a process into an exception, so that no temporary file stays behind."""
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    in_main = threading.current_thread() is threading.main_thread()
    # Whoever ignores a signal (nohup) or handles it himself has his reasons.
    numbers = [number for number in numbers if in_main and signal.getsignal(number) == signal.SIG_DFL]

    def end(signum: int, frame: object) -> NoReturn:
        raise _Ended(signum)

    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _speak_utf8() -> None:
    """Write UTF-8 into files and pipes, and never fail on a character that a terminal lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                encoding=None if stream.isatty() else "utf-8", errors="backslashreplace", newline="\n"
            )


def _show_warning(message: Warning | str, *args: Any, **options: Any) -> None:
    print(f"textcnn: warning: {_one_line(str(message))}", file=sys.stderr)


def _sentence(error: BaseException) -> str:
    """What went wrong, in one line."""
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"there is no file {error.filename}"
    if isinstance(error, IsADirectoryError) and error.filename:
        return f"{error.filename} is a folder, but a file was expected"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        detail = _one_line(str(error))
        return "there is not enough memory" + (f": {detail[0].lower()}{detail[1:]}" if detail else "")
    return _one_line(str(error))


def _one_line(text: str) -> str:
    """A message in one line; what it quotes from a file can neither break the line nor steer the terminal."""
    return printable(" ".join(text.split("\n")))
