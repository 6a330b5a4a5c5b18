"""Column files for the commands: in any encoding, packed or not, and from standard input."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any, NamedTuple

from textcnn.cli.lines import InputError, read_chunks, shown_name


class Sentences(NamedTuple):
    """The sentences of a column file with their tags, and the line of the first token of each."""

    name: str
    tokens: list[list[str]]
    tags: list[list[str]]
    lines: list[int]
    is_conllu: bool

    @property
    def n_tokens(self) -> int:
        """Tokens of all sentences."""
        return sum(map(len, self.tokens))

    def first_uses(self) -> dict[str, tuple[int, int]]:
        """For each tag the sentence and the token that has it first."""
        found: dict[str, tuple[int, int]] = {}
        for i, tags in enumerate(self.tags):
            for j, tag in enumerate(tags):
                if tag not in found:
                    found[tag] = i, j
        return found


def read_sentences(path: str, args: argparse.Namespace) -> Sentences:
    """All sentences of a file, with the options of the command line; raises if there are none."""
    from textcnn.text.columns import is_conllu_row, read_column_lines

    found = Sentences(shown_name(path), [], [], [], False)
    source: Any = _lines(path, args.encoding)
    for sentence in read_column_lines(source, args.column, args.token_column, name=found.name):
        if not sentence.tokens:
            continue
        if not found.tokens:
            found = found._replace(is_conllu=is_conllu_row(sentence.lines[sentence.rows[0]]))
        found.tokens.append(sentence.tokens)
        found.tags.append(sentence.tags)
        found.lines.append(sentence.line)
    if not found.tokens:
        raise InputError(f"{found.name} has no tokens, but lines with a token and a tag were expected")
    return found


def _lines(path: str, encoding: str) -> Iterator[str]:
    for chunk in read_chunks(path, encoding):
        yield from chunk.lines
