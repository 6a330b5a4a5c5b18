"""`textcnn train` for column files with tags."""

from __future__ import annotations

import argparse
import re
from itertools import chain
from typing import Any

from textcnn.cli import options
from textcnn.cli.columns import Sentences, read_sentences
from textcnn.cli.lines import InputError, shown_name
from textcnn.cli.output import counted, naming, note
from textcnn.cli.train import (
    Summary,
    check_outputs,
    check_two_inputs,
    finish,
    folder_of_checkpoints,
    plain_interrupt,
    show_progress,
)

OF_CLASSIFIERS = ("stream", "temporary_folder", "format", "text_column", "label_column")

# What a sentence hardly ever has, and so few tags that a small file may have as many words.
MOST_TOKENS = 200
FEWEST_TAGS = 10

# B_X, B/X, X-B, b-x: letters of a scheme beside a label, but not as the schemes have them.
_LIKE_SPANS = re.compile(r"[BIESMLU][-_/:|.].+|.+[-_/:|.][BIESMLU]", re.IGNORECASE)


def train(args: argparse.Namespace) -> None:
    """Check everything that can be checked, then read, train and write."""
    name = shown_name(args.file)
    options.check_unused(args, OF_CLASSIFIERS, f"for classifiers, but {name} is read as a column file")
    check_outputs(args)
    check_two_inputs(args)
    tagger = options.tagger(args)
    dev = read_sentences(args.dev, args) if args.dev else None
    sentences = read_sentences(args.file, args)
    _check_tags(sentences, dev, args)
    _note_traps(sentences, args)
    show_progress(tagger, args)
    validation = {"X_val": dev.tokens, "y_val": dev.tags} if dev else {}
    checkpoint = folder_of_checkpoints(args)
    with plain_interrupt(), naming(f"the checkpoint in {args.checkpoint}"):
        tagger.fit(sentences.tokens, sentences.tags, **validation, **checkpoint)
    finish(tagger, args, _summary(tagger, sentences))


def _check_tags(sentences: Sentences, dev: Sentences | None, args: argparse.Namespace) -> None:
    tags = sentences.first_uses()
    if len(tags) == 1:
        raise InputError(
            f'{sentences.name}: every token has the tag "{next(iter(tags))}", but training needs two or more '
            "tags; --column names another column"
        )
    unknown = sorted(set(dev.first_uses()) - set(tags)) if dev else []
    if unknown and not set(tags) & set(dev.first_uses() if dev else ()):
        raise InputError(
            f'{args.dev} has none of the tags of {sentences.name}, but "{unknown[0]}"; give a file with the '
            "same kind of tags"
        )
    if unknown:
        shown = ", ".join(f'"{tag}"' for tag in unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        note(args, f"{args.dev} has {counted(len(unknown), 'tag')} that {sentences.name} lacks: {shown}")


def _note_traps(sentences: Sentences, args: argparse.Namespace) -> None:
    """Say so where a file can be learnt, but hardly means what is read."""
    from textcnn.text.tags import detect_scheme

    if len(sentences.tokens) == 1 and sentences.n_tokens > MOST_TOKENS:
        note(
            args,
            f"{sentences.name} is one sentence of {counted(sentences.n_tokens, 'token')}; is there a blank "
            "line between sentences?",
        )
    tags = sorted(sentences.first_uses())
    n_words = len(set(chain.from_iterable(sentences.tokens)))
    if len(tags) > FEWEST_TAGS and 2 * len(tags) > n_words:
        note(
            args,
            f"{sentences.name} has {counted(len(tags), 'tag')}, but {counted(n_words, 'distinct token')}; "
            "have columns been swapped? --column and --token-column name them",
        )
    if detect_scheme(sentences.tags) is None:
        alike = [tag for tag in tags if _LIKE_SPANS.fullmatch(tag)]
        # One of a few such tags among parts of speech is a part of speech.
        if alike and 2 * len(alike) >= sum(tag.upper() != "O" for tag in tags):
            note(
                args,
                f"{sentences.name}: tags such as {alike[0]} are read as plain tags; tags of spans are "
                "written B-X, I-X, O",
            )


def _summary(tagger: Any, sentences: Sentences) -> Summary:
    n_sentences = counted(len(sentences.tokens), "sentence")
    what = f"{n_sentences}, {counted(sentences.n_tokens, 'token')}, {counted(len(tagger.classes_), 'tag')}"
    if tagger.scheme_ is None:
        return Summary(what, "accuracy", "whose weights are kept")
    return Summary(f"{what} ({tagger.scheme_})", "F1", "whose weights are kept")
