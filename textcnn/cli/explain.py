"""Show why texts got their labels or numbers: the n-grams that decided, and what each adds.

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
from textcnn.cli.models import load_sentence_model
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
from textcnn.cli.shading import (
    Reading,
    figures,
    ngram_text,
    output_names,
    predicted_labels,
    readings,
    shade_runs,
    strongest,
)

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

With several labels a text each label that it gets is explained, or the likeliest if it gets none: what an
n-gram adds to the score (log-odds) of that label. Of a regressor the figures are in the unit of its numbers.
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

    predictor = load_sentence_model(args.model, args.threads)
    if not args.quiet:
        note_terminal([args.file])
    if args.html:
        _write_page(predictor, source, args)
        return
    colored = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    names = _names(predictor)
    for text, explanation, values in explained(predictor, source, args.limit):
        chosen = readings(predictor, values, names)
        first = _headline(predictor, explanation, values, chosen, names)
        block = _block(text, explanation, first, chosen, args.top or 5, colored)
        print("\n".join(block), flush=True)


def _names(predictor: Any) -> list[str]:
    """The outputs, none longer than a line or two."""
    return [shortened(name, WIDEST_LABEL) for name in output_names(predictor)]


def _write_page(predictor: Any, source: tables.Table, args: argparse.Namespace) -> None:
    from textcnn.cli.html import page

    limit = args.limit or TEXTS_ON_A_PAGE
    items = list(explained(predictor, source, limit + 1))
    if not items:
        raise InputError(f"{source.name} has no texts, so there is nothing to explain")
    if len(items) > limit and not args.limit:
        note(args, f"the page shows the first {limit} texts; --limit N shows more")
    items = items[:limit]
    parts = page(predictor, items, _names(predictor), args.top or 10)
    write_file(args.html, (part.encode("utf-8", "replace") for part in parts))
    note(args, f"wrote {args.html} with {counted(len(items), 'text')}")


def explained(
    predictor: Any, source: tables.Table, limit: int | None
) -> Iterator[tuple[str, Any, list[float]]]:
    """Text, explanation, and probabilities or numbers, one text after the other."""
    n_done = 0
    for batch in source.batches():
        for text in batch.texts:
            yield text, predictor.explain([text])[0], figures(predictor, [text])[0]
            n_done += 1
            if n_done == limit:
                return


# ---- on the terminal --------------------------------------------------------------------------------

# Backgrounds of the 256 colours of terminals with black on them, from faint to strong: towards the label
# blue, against it orange.
_TOWARDS = (195, 159, 117, 75)
_AGAINST = (230, 223, 216, 208)


def _headline(
    predictor: Any, explanation: Any, values: list[float], chosen: list[Reading], names: list[str]
) -> str:
    """What was predicted, and beside it the likeliest other labels, or the number without any n-gram."""
    if predictor.TASK == "regression":
        parts = [
            f"{reading.name} {reading.figure} ({start:.{reading.decimals}f} without any n-gram)".strip()
            for reading, start in zip(chosen, explanation.bias.tolist(), strict=True)
        ]
        return "; ".join(parts)
    found = predicted_labels(predictor, values)
    said = [f"{printable(names[k])} {values[k]:.1%}" for k in found]
    order = sorted(range(len(values)), key=lambda k: -values[k])
    others = [f"{printable(names[k])} {values[k]:.1%}" for k in order if k not in found][:3]
    return (", ".join(said) or "no label") + (f" ({', '.join(others)})" if others else "")


def _block(
    text: str, explanation: Any, first: str, chosen: list[Reading], top: int, colored: bool
) -> list[str]:
    """The lines about a text; coloured for the first of what is explained."""
    shown = _colored(text, explanation, chosen[0]) if colored else printable(text)
    lines = [shown, f"  {first}"]
    for reading in chosen:
        if reading.output is not None and reading.name:
            lines.append(f"  {printable(reading.name)}:")
        rows = [
            (shortened(printable(ngram_text(text, ngram)), WIDEST_NGRAM), reading.share(share))
            for ngram, share in strongest(explanation, top, reading.output)
        ]
        width = max((display_width(row[0]) for row in rows), default=0)
        lines += [f"    {ljust(ngram, width)}  {share:>6}" for ngram, share in rows]
    return [*lines, ""]


def _colored(text: str, explanation: Any, reading: Reading) -> str:
    parts = []
    for run, level, _ in shade_runs(text, explanation, len(_TOWARDS), reading.output):
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
