"""Show why texts got their labels: the n-grams that decided, and what each adds to the label's score.

On the terminal, or with --html as one web page that needs nothing else.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from typing import Any

from textcnn.cli import options, tables
from textcnn.cli.lines import InputError
from textcnn.cli.models import load_classifier
from textcnn.cli.output import (
    check_distinct,
    check_writable,
    counted,
    display_width,
    ljust,
    note,
    note_terminal,
    printable,
    shortened,
    write_file,
)
from textcnn.cli.shading import ngram_text, shade_runs, strongest

EPILOG = f"""\
{tables.FORMAT_HELP}\
  Other names are plain text, one text a line.

examples:
  textcnn explain reviews.textcnn new.txt
  textcnn explain reviews.textcnn new.txt --html page.html
  echo "What a lovely surprise" | textcnn explain reviews.textcnn

A model adds up what its filters found and what its linear part knows. What an n-gram adds for a label is its
exact share in that label's score, less the mean of its shares in all labels' scores: only differences count.
The n-grams with the largest of these figures are shown, for the label (+) as well as against it (-).
"""

# Texts on a page, unless --limit says otherwise; a browser is slow with very many.
TEXTS_ON_A_PAGE = 200
WIDEST_NGRAM = 48
WIDEST_LABEL = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("model", metavar="MODEL", help="a model file, written by textcnn train")
    parser.add_argument(
        "file", metavar="FILE", nargs="?", default="-", help="texts (default: standard input)"
    )
    parser.add_argument(
        "--html", metavar="FILE.html", type=options.output_name, help="write a page instead of printing"
    )
    parser.add_argument(
        "--top",
        metavar="N",
        type=_count,
        default=None,
        help="n-grams for each text, the strongest for or against (default: 5; 10 on a page)",
    )
    parser.add_argument(
        "--limit",
        metavar="N",
        type=_count,
        default=None,
        help=f"stop after so many texts (default: all; {TEXTS_ON_A_PAGE} on a page)",
    )
    parser.add_argument("--quiet", action="store_true", help="print no notes")
    options.add_threads(parser)
    tables.add_arguments(parser, tables.FORMATS)


def run(args: argparse.Namespace) -> None:
    """Explain texts one by one."""
    source = tables.table(args, args.file, with_labels=False, fallback="txt")
    if args.html:
        check_writable(args.html)
        check_distinct(args.html, [args.file, args.model])

    instead = 'explain its predictions in Python, with textcnn.load("MODEL").explain(texts)'
    predictor = load_classifier(args.model, instead, args.threads)
    if not args.quiet:
        note_terminal([args.file])
    if args.html:
        _write_page(predictor, source, args)
        return
    colored = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    names = _names(predictor)
    for text, explanation, probabilities in explained(predictor, source, args.limit):
        block = _block(text, explanation, probabilities, names, args.top or 5, colored)
        print("\n".join(block), flush=True)


def _names(predictor: Any) -> list[str]:
    """The labels, none longer than a line or two."""
    return [shortened(tables.label_text(label), WIDEST_LABEL) for label in predictor.classes_.tolist()]


def _write_page(predictor: Any, source: tables.Table, args: argparse.Namespace) -> None:
    from textcnn.cli.html import page

    limit = args.limit or TEXTS_ON_A_PAGE
    items = list(explained(predictor, source, limit + 1))
    if not items:
        raise InputError(f"{source.name} has no texts, so there is nothing to explain")
    if len(items) > limit and not args.limit:
        note(args, f"the page shows the first {limit} texts; --limit N shows more")
    items = items[:limit]
    names = _names(predictor)
    write_file(args.html, (part.encode("utf-8", "replace") for part in page(items, names, args.top or 10)))
    note(args, f"wrote {args.html} with {counted(len(items), 'text')}")


def explained(
    predictor: Any, source: tables.Table, limit: int | None
) -> Iterator[tuple[str, Any, list[float]]]:
    """Text, explanation and probabilities, one text after the other."""
    n_done = 0
    for batch in source.batches():
        for text in batch.texts:
            yield text, predictor.explain([text])[0], predictor.predict_proba([text])[0].tolist()
            n_done += 1
            if n_done == limit:
                return


# ---- on the terminal --------------------------------------------------------------------------------

# Backgrounds of the 256 colours of terminals with black on them, from faint to strong: towards the label
# blue, against it orange.
_TOWARDS = (195, 159, 117, 75)
_AGAINST = (230, 223, 216, 208)


def _block(
    text: str, explanation: Any, probabilities: list[float], names: list[str], top: int, colored: bool
) -> list[str]:
    best = int(explanation.logits.argmax())
    others = sorted((i for i in range(len(names)) if i != best), key=lambda i: -probabilities[i])[:3]
    scores = ", ".join(f"{printable(names[i])} {probabilities[i]:.1%}" for i in others)
    lines = [
        _colored(text, explanation) if colored else printable(text),
        f"  {printable(names[best])} {probabilities[best]:.1%}" + (f" ({scores})" if scores else ""),
    ]
    rows = [
        (shortened(printable(ngram_text(text, ngram)), WIDEST_NGRAM), f"{share:+.2f}")
        for ngram, share in strongest(explanation, top)
    ]
    width = max((display_width(row[0]) for row in rows), default=0)
    lines += [f"    {ljust(ngram, width)}  {share:>6}" for ngram, share in rows]
    return [*lines, ""]


def _colored(text: str, explanation: Any) -> str:
    parts = []
    for run, level, _ in shade_runs(text, explanation, len(_TOWARDS)):
        shades = _TOWARDS if level > 0 else _AGAINST
        color = f"\x1b[30;48;5;{shades[abs(level) - 1]}m" if level else ""
        parts.append(f"{color}{printable(run)}\x1b[0m" if level else printable(run))
    return "".join(parts)


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 1 or more")
    return number
