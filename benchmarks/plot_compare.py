"""Draw what `compare.py` found.

    python benchmarks/plot_compare.py RESULTS.json [--out docs] [--format svg]

Writes compare-speed (training and prediction, memory) and compare-accuracy (accuracy against seconds of
training). Dots are medians over the runs and lines go from the smallest to the largest.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from results import LABELS, Spread, Summary, counted, load, summaries

# A colour for each family of peers, a shape for each member; colours that the colour-blind can tell apart.
STYLES = {
    "textcnn": ("#c8452d", "o"),
    "pytorch-usual": ("#2a6f97", "s"),
    "pytorch-best": ("#2a6f97", "D"),
    "fasttext-1gram": ("#8a6d1d", "^"),
    "fasttext-2gram": ("#8a6d1d", "v"),
    "tfidf-lr": ("#6b6b6b", "P"),
    "nbsvm": ("#6b6b6b", "X"),
}

STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "svg.hashsalt": "textcnn",  # the same results give the same file
    "svg.fonttype": "none",  # text stays text: small, and found by a search
}

Value = Callable[[Summary], "Spread | None"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", help="JSON of compare.py")
    parser.add_argument("--out", default="docs", help="folder")
    parser.add_argument("--format", default="svg", choices=["svg", "png"])
    args = parser.parse_args()
    found = load(args.results)
    plt.rcParams.update(STYLE)
    Path(args.out).mkdir(parents=True, exist_ok=True)
    for name, draw in (("compare-speed", draw_speed), ("compare-accuracy", draw_accuracy)):
        figure = draw(found)
        path = Path(args.out) / f"{name}.{args.format}"
        figure.savefig(path, dpi=110, metadata={"Date": None} if args.format == "svg" else None)
        plt.close(figure)
        print(path)


def draw_speed(found: dict) -> plt.Figure:
    """Four questions in columns, a row for each set."""
    sets, n = list(found["sets"]), found["settings"]["threads"]
    # title, mode, value, unit, is a large value good
    panels: list[tuple[str, str, Value, str, bool]] = [
        ("Training, same network", "matched", lambda s: s.epoch_s, "seconds an epoch", False),
        ("Raw text to label", "default", lambda s: s.raw.get(n) or s.raw.get(1), "tokens a second", True),
        ("One text to label", "default", lambda s: s.one_text, "microseconds", False),
        ("Peak memory", "default", lambda s: s.peak_mb, "MB", False),
    ]
    figure, axes = plt.subplots(
        len(sets), len(panels), figsize=(12, 0.9 + 2.5 * len(sets)), layout="constrained", squeeze=False
    )
    for axes_row, data in zip(axes, sets, strict=True):
        for column, (axis, (title, mode, value, unit, large_is_good)) in enumerate(
            zip(axes_row, panels, strict=True)
        ):
            figures = [(each.peer, value(each)) for each in summaries(found, data, mode)]
            draw_ranking(axis, [(peer, spread) for peer, spread in figures if spread])
            if column > 1:
                axis.tick_params(axis="y", labelleft=False)  # the rows are those of the panel at the left
            better = "more is better" if large_is_good else "less is better"
            axis.set_title(f"{data.upper()}: {title}" if column == 0 else title)
            axis.set_xlabel(f"{unit}, log scale; {better}", fontsize=8)
    machine, settings = found["machine"], found["settings"]
    figure.supxlabel(
        f"{machine['cpu']}, {counted(settings['threads'], 'thread')}, {found['date']}. Dots: medians; lines: "
        "smallest to largest; in grey, times textcnn's median.",
        fontsize=8,
        color="#555555",
    )
    return figure


def draw_ranking(axis: Axes, figures: list[tuple[str, Spread]]) -> None:
    """One row for each peer, in the fixed order, on a logarithmic axis."""
    ours = dict(figures).get("textcnn")
    if not figures:
        return
    for row, (peer, spread) in enumerate(figures):
        color, marker = STYLES[peer]
        axis.plot([spread.low, spread.high], [row, row], color=color, linewidth=2, alpha=0.45)
        axis.plot(spread.median, row, marker, color=color, markersize=6)
        if ours and peer != "textcnn":
            axis.annotate(
                times(spread.median / ours.median),
                (spread.high, row),
                xytext=(7, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color="#777777",
            )
    axis.set_xscale("log")
    widen(axis, figures)
    axis.set_yticks(range(len(figures)), [LABELS[peer] for peer, _ in figures])
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(len(figures) - 0.4, -0.6)
    axis.grid(axis="x", color="#e4e4e4", linewidth=0.8)
    axis.set_axisbelow(True)
    plain_ticks(axis)


def widen(axis: Axes, figures: list[tuple[str, Spread]]) -> None:
    """Room at the right for the ratios, and a sensible width for values close together."""
    low = min(spread.low for _, spread in figures)
    high = max(spread.high for _, spread in figures)
    factor = max(high / low, 4.0)
    axis.set_xlim(low / factor**0.08, low * factor**1.35)


def plain_ticks(axis: Axes) -> None:
    """Numbers instead of powers of ten."""
    low, high = axis.get_xlim()
    subs = (1.0, 2.0, 5.0) if high / low < 30 else (1.0, 3.0) if high / low < 300 else (1.0,)
    axis.xaxis.set_major_locator(LogLocator(subs=subs))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.xaxis.set_minor_formatter(NullFormatter())


def short(value: float) -> str:
    """A number with k and M."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"


def times(ratio: float) -> str:
    """A ratio to two digits."""
    return f"× {ratio:.0f}" if ratio >= 10 else f"× {ratio:.1f}" if ratio >= 0.95 else f"× {ratio:.2f}"


def draw_accuracy(found: dict) -> plt.Figure:
    """Accuracy against seconds of training, each peer as its users run it."""
    sets = list(found["sets"])
    figure, axes = plt.subplots(
        1, len(sets), figsize=(0.6 + 4.7 * len(sets), 3.9), layout="constrained", squeeze=False
    )
    for axis, data in zip(axes[0], sets, strict=True):
        for each in summaries(found, data, "default"):
            if each.runs:
                draw_point(axis, each)
        axis.set_xscale("log")
        axis.margins(x=0.25, y=0.15)
        axis.set_title(f"{data.upper()}: {found['sets'][data]['train_texts']:,} texts to train on")
        axis.set_xlabel("seconds of training from raw text (log scale)")
        axis.grid(color="#e4e4e4", linewidth=0.8)
        axis.tick_params(axis="y", length=0)
        plain_ticks(axis)
    axes[0, 0].set_ylabel("accuracy on the test part, %")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 7), frameon=False)
    return figure


def draw_point(axis: Axes, each: Summary) -> None:
    """Median, with the ranges of both figures as a cross."""
    color, marker = STYLES[each.peer]
    fit, accuracy = each.fit_s, each.accuracy
    axis.plot([fit.low, fit.high], [100 * accuracy.median] * 2, color=color, linewidth=1.5, alpha=0.45)
    axis.plot(
        [fit.median] * 2, [100 * accuracy.low, 100 * accuracy.high], color=color, linewidth=1.5, alpha=0.45
    )
    size = 9 if each.peer == "textcnn" else 7
    axis.plot(
        fit.median, 100 * accuracy.median, marker, color=color, markersize=size, label=LABELS[each.peer]
    )


if __name__ == "__main__":
    main()
