"""Pictures of training and evaluation; the only module that needs matplotlib."""

from __future__ import annotations

import io
import os
import warnings
from typing import Any

from textcnn.cli.output import display_width, printable, shortened, write_file

BLUE = "#2a6fb0"
LIGHT_BLUE = "#9fc3e4"
ORANGE = "#c8641e"
GREY = "#666666"

# Fonts with East Asian characters that systems commonly have; the first one found stands in for
# characters that the usual font lacks.
WIDE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "PingFang SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "SimHei",
    "Malgun Gothic",
    "Arial Unicode MS",
)

LONGEST_NAME = 24


def plot_training(estimator: Any, path: str, score: str = "accuracy") -> None:
    """Draw training loss, and the validation score if there is one, by epoch."""
    from matplotlib.ticker import MaxNLocator

    scores = estimator.validation_scores_
    figure = _figure(7, 5.6 if scores else 3.6)
    axes = figure.subplots(2 if scores else 1, sharex=True, squeeze=False)[:, 0]
    _curve(axes[0], estimator.loss_curve_, "training loss", BLUE)
    axes[0].set_ylim(0, 1.06 * max(estimator.loss_curve_) or 1)
    if scores:
        _curve(axes[1], scores, f"validation {score}", ORANGE)
        best = max(scores)
        epoch = scores.index(best) + 1
        for axis in axes:
            axis.axvline(epoch, color=GREY, linewidth=0.8, linestyle=":")
        axes[1].plot([epoch], [best], "o", color=ORANGE, markersize=9, markerfacecolor="none")
        axes[1].set_title(f"best: {best:.4f} in epoch {epoch}", loc="right", fontsize=9, color=GREY)
    axes[-1].set_xlabel("epoch")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    _save(figure, path)


def plot_confusion(
    names: list[str], confusion: Any, accuracy: float, path: str, units: str = "texts"
) -> None:
    """Draw a confusion matrix: counts, shaded by their share of the row."""
    from textcnn.inspection import ConfusionMatrix, plot_confusion_matrix

    n = len(names)
    shown = [shortened(printable(name), LONGEST_NAME) for name in names]
    widest = max(map(display_width, shown))
    slanted = widest > 9
    side = min(max(2.2, 0.62 * n), 16)
    size = min(10, 0.6 * 72 * side / n)  # points; never higher than a cell
    figure = _figure(side + 1.8 + 0.08 * widest, side + (1 + 0.06 * widest if slanted else 1))
    axes = plot_confusion_matrix(ConfusionMatrix(shown, confusion), figure.subplots())
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels(), *axes.texts):
        text.set_fontsize(size)
    for text in axes.get_xticklabels():
        text.set(rotation=40 if slanted else 0, ha="right" if slanted else "center")
    axes.set_title(f"accuracy {accuracy:.4f} on {confusion.sum():,} {units}", fontsize=11, loc="left")
    _save(figure, path)


def plot_labels(names: list[str], true: Any, predicted: Any, path: str) -> None:
    """Draw for each of several labels how many texts have it, and for how many it was predicted."""
    import numpy as np

    from textcnn.inspection import ConfusionMatrix, plot_confusion_matrix

    shown = [shortened(printable(name), LONGEST_NAME) for name in names]
    counts = [
        np.bincount(2 * own + found, minlength=4).reshape(2, 2)
        for own, found in zip(true.T, predicted.T, strict=True)
    ]
    matrices = [ConfusionMatrix([0, 1], *pair) for pair in zip(counts, shown, strict=True)]
    figure = _figure(6.4 + 0.08 * max(map(display_width, shown)), min(1.9 + 0.42 * len(names), 24))
    axes = plot_confusion_matrix(matrices, figure.subplots())
    axes.set_title(f"{len(true):,} texts", fontsize=11, loc="left")
    _save(figure, path)


def plot_numbers(true: Any, predicted: Any, path: str) -> None:
    """Draw predicted numbers against true ones."""
    from textcnn.inspection import Predictions, plot_predictions

    figure = _figure(5.6, 5.2)
    found = Predictions(true.reshape(-1, 1), predicted.reshape(-1, 1))
    axes = plot_predictions(found, figure.subplots())
    axes.set_title(f"R2 {found.r2:.4f} on {len(true):,} texts", fontsize=11, loc="left")
    _save(figure, path)


def plot_spans(names: list[str], figures: list[tuple[float, float, float]], title: str, path: str) -> None:
    """Draw precision, recall and F1 of each type of spans as bars."""
    import numpy as np

    n = len(names)
    shown = _shown(names)
    widest = max(map(display_width, shown), default=0)
    figure = _figure(5.2 + 0.08 * widest, 1.4 + 0.62 * max(n, 1))
    axes = figure.subplots()
    places = np.arange(n)
    for k, (what, color) in enumerate((("precision", LIGHT_BLUE), ("recall", ORANGE), ("F1", BLUE))):
        values = [row[k] for row in figures]
        axes.barh(places + 0.26 * (k - 1), values, 0.24, color=color, label=what)
        for place, value in zip(places + 0.26 * (k - 1), values, strict=True):
            axes.text(value + 0.01, place, f"{value:.3f}", va="center", fontsize=8, color=GREY)
    axes.set_yticks(places, shown)
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_xlim(0, 1.12)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    _save(figure, path)


def _shown(names: list[str]) -> list[str]:
    """Names as they are drawn, none too long and none taken for a formula."""
    return [shortened(printable(name), LONGEST_NAME).replace("$", r"\$") for name in names]


def _figure(width: float, height: float) -> Any:
    """An empty figure without pyplot, which would look for a screen."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.font_manager import get_font_names

    installed = set(get_font_names())
    wide = [name for name in WIDE_FONTS if name in installed][:1]
    matplotlib.rcParams["font.family"] = ["DejaVu Sans", *wide]
    return Figure(figsize=(width, height), layout="constrained")


def _curve(axis: Any, values: list[float], title: str, color: str) -> None:
    axis.plot(range(1, len(values) + 1), values, "o-", color=color, markersize=4, linewidth=1.6)
    axis.set_title(title, loc="left", fontsize=11)
    axis.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def _save(figure: Any, path: str) -> None:
    """Write the picture as a whole."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.savefig(buffer, format=os.path.splitext(path)[1][1:].lower(), dpi=150)
    if any("missing from" in str(warning.message) for warning in caught):
        warnings.warn(
            f"{path} shows boxes for characters that no font here has; install one, such as Noto Sans CJK",
            UserWarning,
            stacklevel=2,
        )
    write_file(path, [buffer.getvalue()])
