"""The command ``textcnn``; each subcommand has a module of its own, imported when it runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from textcnn._version import __version__

# name -> one line of help; the module textcnn.cli.<name> has add_arguments(parser) and run(args).
COMMANDS = {
    "demo": "train on the data that ships with textcnn, and explain a few predictions",
    "versions": "print versions and how textcnn was built, for a bug report",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, default=None
        Arguments after the program's name; None for those of the process.

    Returns
    -------
    status : int
        0 if all went well, 1 after an error, 2 for a wrong call, 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog="textcnn",
        description="Convolutional networks for text. Start with: textcnn demo",
    )
    parser.add_argument("--version", action="version", version=f"textcnn {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    modules = {name: import_module(f"textcnn.cli.{name}") for name in COMMANDS}
    for name, help_line in COMMANDS.items():
        description = modules[name].__doc__
        subparser = subparsers.add_parser(
            name,
            help=help_line,
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        modules[name].add_arguments(subparser)
    args = parser.parse_args(argv)
    try:
        modules[args.command].run(args)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` say, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("textcnn: interrupted", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError) as error:
        print(f"textcnn: error: {error}", file=sys.stderr)
        return 1
    return 0
