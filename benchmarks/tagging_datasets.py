"""The data sets of the comparison of taggers: which files, which splits, which tags."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

Tokens = list[list[str]]
Tags = list[list[str]]


@dataclass(frozen=True)
class Source:
    """Where a set lies and how it is read.

    Parameters
    ----------
    files : tuple of str
        Training, development and test part under ``tagging/``; without development part the second is empty.
    spans : bool
        The tags say where spans begin and end; otherwise each tag stands for itself.
    column : int
        Of the tag.
    conllu : bool
        Tabs, comments, multiword tokens and empty nodes (https://universaldependencies.org/format.html).
    iob1 : bool
        The tags are IOB1, and become BIO.
    chinese : bool
        The tokens are characters.
    """

    files: tuple[str, str, str]
    spans: bool = True
    column: int = -1
    conllu: bool = False
    iob1: bool = False
    chinese: bool = False


SOURCES = {
    "conll2003": Source(
        ("conll2003/eng.train", "conll2003/eng.testa", "conll2003/eng.testb"),
        iob1=True,
    ),
    "conll2000": Source(("conll2000/train.txt", "", "conll2000/test.txt")),
    "ewt": Source(
        (
            "ud_en_ewt/en_ewt-ud-train.conllu",
            "ud_en_ewt/en_ewt-ud-dev.conllu",
            "ud_en_ewt/en_ewt-ud-test.conllu",
        ),
        spans=False,
        column=3,
        conllu=True,
    ),
    "resume": Source(
        ("resumener/train.char.bmes", "resumener/dev.char.bmes", "resumener/test.char.bmes"),
        chinese=True,
    ),
}
NAMES = tuple(SOURCES)

# of the training part, where no development part is given
HELD_OUT = 0.1


@dataclass(frozen=True)
class TaggingSplit:
    """Training, development and test sentences with their tags.

    Parameters
    ----------
    name : str
    spans, chinese : bool
        As in `Source`.
    X_train, X_dev, X_test : list of list of str
    y_train, y_dev, y_test : list of list of str
        BIO, BMES, or tags without spans.
    """

    name: str
    spans: bool
    chinese: bool
    X_train: Tokens
    y_train: Tags
    X_dev: Tokens
    y_dev: Tags
    X_test: Tokens
    y_test: Tags

    def speed_sentences(self, most_words: int) -> Tokens:
        """Sentences on which tagging is timed: test, then training ones, up to the limit."""
        chosen: Tokens = []
        n_words = 0
        for sentence in (*self.X_test, *self.X_train):
            n_words += len(sentence)
            if chosen and n_words > most_words:
                break
            chosen.append(sentence)
        return chosen


def read_tagging_split(data: str | Path, name: str) -> TaggingSplit:
    """The given split of a set.

    Training sentences are shuffled, so that every peer meets them in the same order; a fixed tenth of them
    is the development part where none is given.
    """
    source = SOURCES[name]
    parts = [read_part(Path(data) / "tagging" / file, source) for file in source.files if file]
    rows = list(zip(*parts[0], strict=True))
    random.Random(0).shuffle(rows)
    n_held_out = round(HELD_OUT * len(rows)) if len(parts) == 2 else 0
    train, dev = unzipped(rows[n_held_out:]), unzipped(rows[:n_held_out])
    if len(parts) == 3:
        dev = parts[1]
    return TaggingSplit(name, source.spans, source.chinese, *train, *dev, *parts[-1])


def unzipped(rows: list[tuple[list[str], list[str]]]) -> tuple[Tokens, Tags]:
    """Sentences and tags of pairs."""
    return [tokens for tokens, _ in rows], [tags for _, tags in rows]


def read_part(path: Path, source: Source) -> tuple[Tokens, Tags]:
    """Sentences and tags of a column file."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise SystemExit(f"there is no file {path}; --data must name the folder with tagging/") from None
    X, y = unzipped(
        [
            ([row[1 if source.conllu else 0] for row in block], [row[source.column] for row in block])
            for block in blocks(rows_of(lines, source.conllu))
        ]
    )
    return X, [bio_of_iob1(tags) for tags in y] if source.iob1 else y


def rows_of(lines: Iterable[str], conllu: bool) -> Iterator[list[str]]:
    """The columns of each line that has a token; empty ones stand between sentences."""
    for line in lines:
        row = line.split("\t") if conllu else line.split()
        if line.startswith("-DOCSTART-") or (conllu and line and not row[0].isdigit()):
            continue
        yield row if line.strip() else []


def blocks(rows: Iterable[list[str]]) -> Iterator[list[list[str]]]:
    """Runs of rows between empty ones."""
    block: list[list[str]] = []
    for row in rows:
        if row:
            block.append(row)
        elif block:
            yield block
            block = []
    if block:
        yield block


def bio_of_iob1(tags: list[str]) -> list[str]:
    """BIO tags, in which the first token of every span has ``B-``."""
    before = ["O", *tags[:-1]]
    return [
        f"B-{tag[2:]}" if tag[0] == "I" and last[1:] != tag[1:] else tag
        for last, tag in zip(before, tags, strict=True)
    ]


def count_words(sentences: Tokens) -> int:
    """Number of tokens."""
    return sum(map(len, sentences))
