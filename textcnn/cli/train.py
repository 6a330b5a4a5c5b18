"""Train a TextCNNClassifier on labelled texts, or a TextCNNTagger on tagged tokens, and write a model file.

The file shows which of the two: tagged tokens come one a line in columns, with blank lines between sentences.
--task multilabel trains a classifier of several labels a text, --task regress a TextCNNRegressor of numbers.
Nothing is written unless training ends well: an older model under the same name stays until then.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from math import isfinite
from typing import Any, NamedTuple, NoReturn

from textcnn.cli import options, tables
from textcnn.cli.lines import InputError, first_lines
from textcnn.cli.output import (
    check_distinct,
    check_picture,
    check_writable,
    counted,
    naming,
    note,
    printable,
    shortened,
)

EPILOG = f"""\
{tables.FORMAT_HELP}
examples:
  textcnn train reviews.tsv -o reviews.textcnn
  textcnn train reviews.csv --text-column body --label-column stars -o reviews.textcnn --dev dev.csv
  textcnn train reviews.tsv -o reviews.textcnn --set n_filters=200 --set kernel_sizes=2,3,4 --seed 1
  textcnn train reviews.tsv -o reviews.textcnn --set embeddings=vectors.txt.gz --plot curve.png
  zcat all.jsonl.gz | textcnn train - --format jsonl -o reviews.textcnn --stream
  textcnn train train.conll --dev dev.conll -o ner.textcnn
  textcnn train news.tsv -o news.textcnn --task multilabel      lines of world|sport<TAB>text
  textcnn train stars.tsv -o stars.textcnn --task regress       lines of 3.5<TAB>text
  textcnn train huge.tsv -o huge.textcnn --checkpoint state     after a kill: the same command once more
  textcnn train en-train.conllu --column xpos -o tags.textcnn --set dilations=1,2,4

column files: CoNLL-2000, CoNLL-2003, CoNLL-U and others with columns between tabs or spaces. Tags of IOB1,
BIO, BIOES, BMES and BILOU are recognised. --task says what to train where the file does not show it.

With --dev the weights of the epoch with the best score on that file are kept. A file --config holds lines
such as `max_iter = 20` or `kernel_sizes = [3, 4, 5]`. Labels are read as strings.
"""


# What `score` gives, and so the validation score.
SCORES = {"classify": "accuracy", "multilabel": "subset accuracy", "regress": "R2"}

# More different numbers are hardly the names of classes.
MOST_NUMBERS = 10

WIDEST_LABEL = 60

KEPT_OF_MEMBERS = "each network keeping the weights of its best epoch"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument(
        "file", metavar="FILE", help="labelled texts, or tokens with tags; - for standard input"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="MODEL",
        type=options.output_name,
        required=True,
        help="the model file to write",
    )
    parser.add_argument("--dev", metavar="FILE", help="a file like it for validation")
    parser.add_argument(
        "--task",
        choices=("classify", "multilabel", "regress", "tag"),
        help="train a classifier, one of several labels, a regressor or a tagger",
    )
    parser.add_argument(
        "--stream",
        action="store_true",
        help="train from disk in bounded memory: token ids, those of --dev too, lie in temporary files; the "
        "model is the same",
    )
    parser.add_argument(
        "--temporary-folder",
        metavar="DIR",
        help="where --stream keeps such files, 8 to 20 bytes a token (default: TMPDIR or the system's)",
    )
    parser.add_argument(
        "--plot",
        metavar="FILE.png",
        type=options.output_name,
        help="draw the curves of loss and validation score",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="DIR",
        help="keep the state of training in this folder: after a kill the same command goes on from it and "
        "writes the same model",
    )
    options.add_threads(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")
    options.add_arguments(parser)
    tables.add_arguments(parser, ("tsv", "csv", "jsonl"), "input of classifiers")
    options.add_columns(parser)


def run(args: argparse.Namespace) -> None:
    """See what is to be trained, and train it."""
    if args.list_parameters:
        is_there = args.file and os.path.isfile(args.file)
        options.list_parameters(args.task or (_task(args) if is_there else "classify"))
        return
    task = _task(args)
    if task == "tag":
        from textcnn.cli.train_tagger import train

        train(args)
    else:
        with _naming_the_choice(args):
            _train_on_texts(args, task)


@contextmanager
def _naming_the_choice(args: argparse.Namespace) -> Iterator[None]:
    """Let errors in a column file tell which option made it a table of texts."""
    try:
        yield
    except InputError as error:
        option = _choice_of_classifier(args)
        if not option or not os.path.isfile(args.file):
            raise
        from textcnn.text.columns import looks_like_columns

        if not looks_like_columns(first_lines(args.file, args.encoding)):
            raise
        raise InputError(
            f"{error} ({args.file} looks like a column file, but {option} made it a table of texts for a "
            f"classifier; leave {option} out to train a tagger)"
        ) from None


def _choice_of_classifier(args: argparse.Namespace) -> str:
    """The option that asks for a classifier, "" if there is none."""
    if args.task:
        return f"--task {args.task}"
    if args.format:
        return f"--format {args.format}"
    return "--text-column" if args.text_column else "--label-column" if args.label_column else ""


def _task(args: argparse.Namespace) -> str:
    """What the options say, or the name of the file, or its first lines."""
    if args.task:
        return str(args.task)
    if args.column or args.token_column:
        return "tag"
    if args.format or args.text_column or args.label_column:
        return "classify"
    task = _task_of_name(args.file)
    if task is None:
        from textcnn.text.columns import looks_like_columns

        task = "tag" if looks_like_columns(first_lines(args.file, args.encoding)) else "classify"
        if task == "classify" and args.file != "-" and not tables.format_of(args.file):
            raise InputError(
                f"{args.file} does not begin like a column file with tags, and its name tells no other "
                "format; give --task tag, or --format tsv, csv or jsonl"
            )
    return task


# A .tsv may be either.
_TASKS = {
    **dict.fromkeys((".csv", ".jsonl", ".ndjson"), "classify"),
    **dict.fromkeys((".conll", ".conllu", ".iob", ".iob2", ".bio", ".bioes", ".bmes"), "tag"),
}


def _task_of_name(path: str) -> str | None:
    return _TASKS.get(os.path.splitext(path.lower().removesuffix(".gz"))[1])


def _train_on_texts(args: argparse.Namespace, task: str) -> None:
    """Check everything that can be checked, then read, train and write."""
    options.check_unused(args, ["column", "token_column"], "for taggers")
    if task != "classify":
        options.check_unused(args, ["stream"], "for --task classify")
    fallback = "tsv" if args.file == "-" else ""
    source = tables.table(args, args.file, fallback=fallback, task=task, is_task_open=not args.task)
    check_outputs(args)
    if args.temporary_folder and not args.stream:
        raise InputError("--temporary-folder is for --stream; give both or none")
    if args.temporary_folder and not os.path.isdir(args.temporary_folder):
        raise InputError(
            f"--temporary-folder {args.temporary_folder}: there is no such folder; make it first"
        )
    estimator = options.sentence_estimator(args, task)
    dev_source = _dev_table(args, task) if args.dev is not None else None
    show_progress(estimator, args)
    checkpoint = folder_of_checkpoints(args)
    dev = _read_dev(dev_source) if dev_source is not None and not args.stream else None
    reader = _TrainingReader(source, dev)
    with plain_interrupt(), naming(f"the checkpoint in {args.checkpoint}"):
        if args.stream:
            dev_reader = _DevReader(dev_source, reader) if dev_source is not None else None
            _fit_from_disk(estimator, reader, dev_reader, args, checkpoint)
        else:
            _fit(estimator, reader, dev, checkpoint)
    if not estimator.vocabulary_:
        raise InputError(_no_tokens(estimator, source.name))
    kept = "whose weights are kept" if estimator.n_members_ == 1 else KEPT_OF_MEMBERS
    read = counted(reader.n_texts, "text")
    if task != "regress":
        read += f" with {counted(len(reader.labels), 'label')}"
    if task == "classify" and not args.task:
        _note_task(args, reader.labels)
    finish(estimator, args, Summary(read, SCORES[task], kept))


def _note_task(args: argparse.Namespace, labels: set[str]) -> None:
    """Tell of the other tasks where the labels look as if they were meant for one."""
    counts = Counter(chain.from_iterable(set(tables.names_of(label)) for label in labels))
    joined = min((label for label in labels if _joins(label, counts)), default=None)
    if joined is not None:
        shown = shortened(printable(joined), WIDEST_LABEL)
        note(args, f'labels such as "{shown}" were taken as they are; --task multilabel takes them apart')
    elif len(labels) > MOST_NUMBERS and all(map(_is_number, labels)):
        note(args, f"{len(labels)} different numbers were taken as labels; --task regress predicts numbers")


def _joins(label: str, counts: Counter[str]) -> bool:
    """Whether a label has parts between bars, one of which is a label or a part of another one too."""
    parts = tables.names_of(label)
    return len(parts) > 1 and all(parts) and max(counts[part] for part in parts) > 1


def _is_number(label: str) -> bool:
    try:
        return isfinite(float(label))
    except ValueError:
        return False


def check_outputs(args: argparse.Namespace) -> None:
    """Raise if what is to be written cannot be, or would overwrite what is to be read."""
    check_writable(args.output)
    check_distinct(args.output, [args.file, args.dev, args.config])
    if args.plot:
        check_picture(args.plot)
        check_distinct(args.plot, [args.file, args.dev, args.config, args.output])


def folder_of_checkpoints(args: argparse.Namespace) -> dict[str, str]:
    """The argument of `fit` for --checkpoint; says so if training goes on from there."""
    if args.checkpoint is None:
        return {}
    from textcnn.nn.checkpoints import Checkpoints

    try:
        checkpoints = Checkpoints(args.checkpoint)
    except OSError as error:
        raise InputError(
            f"--checkpoint {args.checkpoint}: no such folder can be made ({error.strerror}); name another"
        ) from None
    check_writable(os.path.join(args.checkpoint, "state"))
    if checkpoints.are_there():
        note(args, f"going on from the checkpoint in {args.checkpoint}")
    return {"checkpoint": args.checkpoint}


def show_progress(estimator: Any, args: argparse.Namespace) -> None:
    """Let training show its progress on a terminal, unless --quiet."""
    if args.quiet or sys.stderr.isatty():
        estimator.set_params(verbose=not args.quiet)


class Summary(NamedTuple):
    """What was read, the name of the validation score, and which weights are kept."""

    read: str
    score: str
    kept: str


def finish(estimator: Any, args: argparse.Namespace, summary: Summary) -> None:
    """Write the model, tell about it, and draw."""
    # Neither the terminal nor the processors of this machine are part of the model.
    estimator.set_params(verbose=False, n_jobs=None)
    with naming(args.output):
        estimator.save(args.output)
    if args.checkpoint:
        from textcnn.nn.checkpoints import Checkpoints

        Checkpoints(args.checkpoint).clear()
    _summarize(estimator, args, summary)
    if args.plot:
        from textcnn.cli.plots import plot_training

        plot_training(estimator, args.plot, summary.score)
        note(args, f"drew {args.plot}")


class _Dev(NamedTuple):
    """The validation texts, and where each label stands first."""

    source: tables.Table
    texts: list[str]
    labels: list[str]
    first_lines: dict[str, int]


class _TrainingReader:
    """The batches of the training file, counted; checks at the end what only the whole can tell."""

    def __init__(self, source: tables.Table, dev: _Dev | None) -> None:
        self.source = source
        self.dev = dev
        self.n_texts = 0
        self.labels: set[str] = set()

    def __iter__(self) -> Iterator[tuple[list[str], list[str]]]:
        self.n_texts = 0
        self.labels.clear()
        for batch in self.source.batches():
            labels = batch.labels or []
            self.n_texts += len(labels)
            for label in labels:
                self.labels.update(_names(self.source, label))
            yield batch.texts, labels
        self._check()

    def _check(self) -> None:
        name, task = self.source.name, self.source.task
        if not self.n_texts:
            needs = "some" if task == "regress" else "texts of two or more labels"
            raise InputError(f"{name} has no texts, but training needs {needs}")
        if task == "multilabel" and len(self.labels) < 2:
            found = ", ".join(f'"{label}"' for label in self.labels) or "none"
            raise InputError(f"{name} has the labels {found}, but --task multilabel needs two or more")
        if task == "classify" and len(self.labels) == 1:
            only = next(iter(self.labels))
            raise InputError(
                f'{name}: every text has the label "{only}", but training needs texts of two or more labels'
            )
        if self.dev is None:
            return
        for label, line in self.dev.first_lines.items():
            if label not in self.labels:
                raise _no_such_label(self.dev.source, line, label, self.source)


def _names(source: tables.Table, label: str) -> list[str]:
    """The labels that a text has; none where they are numbers."""
    if source.task == "regress":
        return []
    return tables.names_of(label) if source.task == "multilabel" else [label]


class _DevReader:
    """The batches of the validation file, which is read behind the training file and has its labels."""

    def __init__(self, source: tables.Table, training: _TrainingReader) -> None:
        self.source = source
        self.training = training

    def __iter__(self) -> Iterator[tuple[list[str], list[str]]]:
        n_texts = 0
        for batch in self.source.batches():
            labels = batch.labels or []
            for label, line in zip(labels, batch.lines, strict=True):
                if label not in self.training.labels:
                    raise _no_such_label(self.source, line, label, self.training.source)
            n_texts += len(labels)
            yield batch.texts, labels
        if not n_texts:
            raise _no_dev_texts(self.source)


def _no_such_label(dev: tables.Table, line: int, label: str, training: tables.Table) -> InputError:
    return dev.error(line, f'the label "{label}" does not occur in {training.name}; mend it')


def _no_dev_texts(dev: tables.Table) -> InputError:
    return InputError(f"{dev.name} has no texts, but validation needs some; leave --dev out")


def _dev_table(args: argparse.Namespace, task: str) -> tables.Table:
    check_two_inputs(args)
    own = argparse.Namespace(**{**vars(args), "format": None})  # its name tells more than --format
    fallback = args.format or ("tsv" if args.dev == "-" else "")
    return tables.table(own, args.dev, fallback=fallback, task=task, is_task_open=not args.task)


def _read_dev(source: tables.Table) -> _Dev:
    texts: list[str] = []
    labels: list[str] = []
    first_lines: dict[str, int] = {}
    for batch in source.batches():
        texts += batch.texts
        for label, line in zip(batch.labels or [], batch.lines, strict=True):
            labels.append(label)
            for name in _names(source, label):
                first_lines.setdefault(name, line)
    if not texts:
        raise _no_dev_texts(source)
    return _Dev(source, texts, labels, first_lines)


def check_two_inputs(args: argparse.Namespace) -> None:
    """Raise if standard input is to be read twice."""
    if args.dev == args.file == "-":
        raise InputError(
            "the training texts and those of --dev are both to come from standard input; name a file for one"
        )


def _fit_from_disk(
    estimator: Any,
    reader: _TrainingReader,
    dev: _DevReader | None,
    args: argparse.Namespace,
    checkpoint: dict[str, str],
) -> None:
    import tempfile

    from textcnn.text.corpus import Corpus

    folder = args.temporary_folder or tempfile.gettempdir()
    advice = "--temporary-folder chooses another disk"
    with _temporary_folder(folder), naming(f"the temporary file of --stream in {folder}", advice):
        estimator.fit(Corpus(reader), None, X_val=Corpus(dev) if dev else None, **checkpoint)


def _fit(estimator: Any, reader: _TrainingReader, dev: _Dev | None, checkpoint: dict[str, str]) -> None:
    texts: list[str] = []
    labels: list[str] = []
    for more_texts, more_labels in reader:
        texts += more_texts
        labels += more_labels
    names = sorted(reader.labels)
    y = tables.targets(labels, reader.source.task, names)
    y_val = tables.targets(dev.labels, reader.source.task, names) if dev else None
    estimator.fit(texts, y, X_val=dev.texts if dev else None, y_val=y_val, **checkpoint)
    if reader.source.task == "multilabel":
        import numpy as np

        estimator.predictor_.classes_ = np.array(names)  # in place of the numbers of columns


@contextmanager
def _temporary_folder(folder: str) -> Iterator[None]:
    """Let all temporary files lie in a folder."""
    import tempfile

    before = tempfile.tempdir
    tempfile.tempdir = folder
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextmanager
def plain_interrupt() -> Iterator[None]:
    """Let Ctrl-C end training at once: `fit` would keep half a model, which must not replace a whole one."""

    def interrupt(signum: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _no_tokens(classifier: Any, name: str) -> str:
    """Why there is nothing that a network could learn from."""
    if classifier.min_df == 1:
        return f"{name}: the texts have no tokens, so there is nothing to learn from; give other texts"
    return (
        f"{name}: no token occurs in as many texts as min_df={classifier.min_df} asks for, so there is "
        "nothing to learn from; set a smaller min_df"
    )


def _summarize(estimator: Any, args: argparse.Namespace, summary: Summary) -> None:
    size = os.path.getsize(args.output) / 1e6
    note(args, f"read {summary.read}")
    parts = [f"trained {counted(estimator.n_iter_, 'epoch')}, loss {estimator.loss_:.4f}"]
    scores = estimator.validation_scores_
    if scores:
        best = max(scores)
        parts.append(f"validation {summary.score} {best:.4f} in epoch {scores.index(best) + 1}")
        if estimator.early_stopping is not False:
            # Each of several networks has a best epoch of its own.
            parts.append(summary.kept)
    note(args, ", ".join(parts))
    note(args, f"wrote {args.output} ({size:.1f} MB)")
