"""Print the versions of textcnn, Python and the packages it uses, the compiler, OpenMP, the instruction
level and the number of threads."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are none."""


def run(args: argparse.Namespace) -> None:
    """Print the versions."""
    from textcnn._show_versions import show_versions

    show_versions()
