"""What the other modules find, drawn with matplotlib into Axes that are given or new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from textcnn.inspection.errors import ConfusionMatrix, Predictions
from textcnn.inspection.filters import ActivationMap, IdealNGram, TopNGrams
from textcnn.inspection.tagging import ReceptiveField
from textcnn.inspection.training import LearningCurves
from textcnn.inspection.words import Neighbour

BLUE = "#2a6fb0"
ORANGE = "#c8641e"
GREY = "#666666"

LONGEST_NAME = 24

# With more labels than this numbers would not fit into the cells.
MOST_NUMBERS = 25


def plot_top_ngrams(found: TopNGrams, ax: Any = None) -> Any:
    """Draw the n-grams that activate a filter most as bars; a dot stands for a place outside the text.

    Parameters
    ----------
    found : TopNGrams
        Of one filter: an element of what `top_ngrams` gives.
    ax : matplotlib Axes, default=None
        None for a new figure.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> from textcnn import TextCNNClassifier
    >>> from textcnn.inspection import plot_top_ngrams, top_ngrams
    >>> texts = ["good film", "bad film"]
    >>> clf = TextCNNClassifier(random_state=0).fit(texts, [1, 0])
    >>> plot_top_ngrams(top_ngrams(clf, texts, features=[0])[0]).get_title("left")
    'w3_f0'
    """
    names = [
        " ".join(["·"] * ngram.padding[0] + list(map(_shown, ngram.tokens)) + ["·"] * ngram.padding[1])
        for ngram in found.ngrams
    ]
    return _bars(names, [ngram.activation for ngram in found.ngrams], found.name, "activation", ax)


def plot_ideal_ngram(found: IdealNGram, ax: Any = None) -> Any:
    """Draw the best words for each tap of a filter, a column for each tap, shaded by their dot products.

    Parameters
    ----------
    found : IdealNGram
        Of one filter: an element of what `ideal_ngrams` gives.
    ax : matplotlib Axes, default=None
        None for a new figure.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> from textcnn import TextCNNClassifier
    >>> from textcnn.inspection import ideal_ngrams, plot_ideal_ngram
    >>> clf = TextCNNClassifier(random_state=0).fit(["good film", "bad film"], [1, 0])
    >>> plot_ideal_ngram(ideal_ngrams(clf, n=2, features=[0])[0]).get_xlabel()
    'tap'
    """
    cells = found.scores.T
    n, width = cells.shape
    ax = _axes(ax, 1.6 + 1.4 * width, 1.3 + 0.4 * n)
    largest = float(np.abs(cells).max(initial=0)) or 1.0
    image = ax.imshow(cells, cmap="RdBu", vmin=-largest, vmax=largest, aspect="auto")
    for tap, words in enumerate(found.words):
        for place, word in enumerate(words):
            color = "white" if abs(cells[place, tap]) > 0.6 * largest else "#1a1a1a"
            ax.text(tap, place, _shown(word), ha="center", va="center", color=color)
    ax.set_xticks(range(width), list(map(str, range(1, width + 1))))
    ax.set_yticks(range(n), [f"{place}." for place in range(1, n + 1)])
    ax.set_xlabel("tap")
    ax.set_title(f"{found.name}: {found.activation:.2f}", loc="left", fontsize=11)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    bar = ax.figure.colorbar(image, ax=ax)
    bar.set_label("dot product", color=GREY)
    bar.outline.set_visible(False)
    return ax


def plot_nearest_words(found: Sequence[Neighbour], word: str = "", ax: Any = None) -> Any:
    """Draw the similarities of the nearest words as bars.

    Parameters
    ----------
    found : sequence of Neighbour
        What `nearest_words` gives.
    word : str, default=""
        The word whose neighbours they are, for the title.
    ax : matplotlib Axes, default=None
        None for a new figure.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> from textcnn import TextCNNClassifier
    >>> from textcnn.inspection import nearest_words, plot_nearest_words
    >>> clf = TextCNNClassifier(random_state=0).fit(["good film", "bad film"], [1, 0])
    >>> plot_nearest_words(nearest_words(clf, "good"), "good").get_xlabel()
    'cosine'
    """
    names = [_shown(each.word) for each in found]
    return _bars(names, [each.similarity for each in found], _shown(word), "cosine", ax)


def plot_predictions(found: Predictions, ax: Any = None) -> Any:
    """Draw predicted numbers against the true ones; on the diagonal they are equal.

    Parameters
    ----------
    found : Predictions
    ax : matplotlib Axes, default=None
        None for a new figure.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> from textcnn import TextCNNRegressor
    >>> from textcnn.inspection import plot_predictions, predictions
    >>> stars = TextCNNRegressor(random_state=0).fit(["good film", "bad film"], [4.5, 1.5])
    >>> plot_predictions(predictions(stars, ["good", "bad"], [4, 2])).get_ylabel()
    'predicted'
    """
    ax = _axes(ax, 5.2, 4.8)
    numbers = np.concatenate([found.true, found.predicted])
    low, high = (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 1.0)
    margin = 0.05 * (high - low) or 0.5
    ends = [low - margin, high + margin]
    ax.plot(ends, ends, color=GREY, linewidth=0.8, linestyle=":")
    n_targets = found.true.shape[1]
    for k in range(n_targets):
        color = BLUE if n_targets == 1 else f"C{k}"
        ax.plot(
            found.true[:, k], found.predicted[:, k], "o", color=color, ms=4, alpha=0.6, label=f"target {k}"
        )
    if n_targets > 1:
        ax.legend(frameon=False, fontsize=9)
    ax.set_xlim(ends)
    ax.set_ylim(ends)
    ax.set_xlabel("true")
    ax.set_ylabel("predicted")
    ax.set_title(f"R2 {found.r2:.4f}", loc="left", fontsize=11)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_activation_map(activation_map: ActivationMap, n_filters: int = 20, ax: Any = None) -> Any:
    """Draw the activations of a text: a row for each filter, a column for the token a window begins with.

    White is where the ReLU gives zero.

    Parameters
    ----------
    activation_map : ActivationMap
    n_filters : int, default=20
        Filters, those with the largest activations of the text.
    ax : matplotlib Axes, default=None
        None for a new figure.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> from textcnn import TextCNNClassifier
    >>> from textcnn.inspection import activation_map, plot_activation_map
    >>> clf = TextCNNClassifier(random_state=0).fit(["good film", "bad film"], [1, 0])
    >>> plot_activation_map(activation_map(clf, "a good film")).get_xlabel()
    'first token of the n-gram'
    """
    first = min((int(starts[0]) for starts in activation_map.starts if len(starts)), default=0)
    stop = max((int(starts[-1]) + 1 for starts in activation_map.starts if len(starts)), default=1)
    rows, names = [], []
    for width, starts, values in zip(
        activation_map.kernel_sizes, activation_map.starts, activation_map.activations, strict=True
    ):
        block = np.full((values.shape[1], stop - first), np.nan)
        block[:, starts - first] = np.maximum(values, 0).T
        rows.append(block)
        names += [f"w{width}_f{i}" for i in range(values.shape[1])]
    cells = np.concatenate(rows)
    chosen = np.argsort(-np.nan_to_num(cells).max(axis=1), kind="stable")[:n_filters]
    ax = _axes(ax, 2.2 + 0.5 * (stop - first), 1.4 + 0.24 * len(chosen))
    image = ax.imshow(cells[chosen], cmap="Blues", vmin=0, vmax=_largest(cells), aspect="auto")
    tokens = [
        _shown(activation_map.tokens[i]) if 0 <= i < len(activation_map.tokens) else "·"
        for i in range(first, stop)
    ]
    ax.set_xticks(range(stop - first), tokens, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(chosen)), [names[i] for i in chosen])
    ax.set_xlabel("first token of the n-gram")
    ax.set_ylabel("filter")
    ax.set_facecolor("#eeeeee")  # where no window of that width begins
    bar = ax.figure.colorbar(image, ax=ax)
    bar.set_label("activation")
    return ax


def plot_receptive_field(field: ReceptiveField, ax: Any = None) -> Any:
    """Draw how much each token speaks for the tag (blue) or against it (orange), and which are visible.

    Parameters
    ----------
    field : ReceptiveField
    ax : matplotlib Axes, default=None
        None for a new figure.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> from textcnn import TextCNNTagger
    >>> from textcnn.inspection import plot_receptive_field, receptive_field
    >>> tagger = TextCNNTagger(max_iter=3, random_state=0).fit([["Ms.", "Haag"]] * 4, [["O", "B-PER"]] * 4)
    >>> plot_receptive_field(receptive_field(tagger, ["Ms.", "Haag"], 1)).get_ylabel()
    'change of log probability'
    """
    n = len(field.tokens)
    ax = _axes(ax, 1.8 + 0.55 * n, 3.2)
    colors = np.where(field.effects >= 0, BLUE, ORANGE)
    places = np.flatnonzero(field.visible)
    for place in places.tolist():
        ax.axvspan(place - 0.5, place + 0.5, color="#f1f4f7", linewidth=0, zorder=0)
    ax.bar(range(n), field.effects, color=colors, width=0.7)
    ax.axhline(0, color=GREY, linewidth=0.8)
    labels = ax.set_xticks(range(n), list(map(_shown, field.tokens)), rotation=45, ha="right")
    for label, is_visible in zip(labels, field.visible.tolist(), strict=True):
        label.label1.set_color("#1a1a1a" if is_visible else "#a8a8a8")
        label.label1.set_rotation_mode("anchor")
    labels[field.position].label1.set_fontweight("bold")
    ax.set_xlim(-0.5, n - 0.5)
    ax.set_ylabel("change of log probability")
    ax.set_title(f"{_shown(field.tokens[field.position])}: {_shown(field.tag)}", loc="left", fontsize=11)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_learning_curves(curves: LearningCurves, ax: Any = None) -> Any:
    """Draw the training loss by epoch, and the validation score against an axis on the right.

    Parameters
    ----------
    curves : LearningCurves
    ax : matplotlib Axes, default=None
        None for a new figure.

    Returns
    -------
    matplotlib Axes
        Of the loss.

    Examples
    --------
    >>> from textcnn import TextCNNClassifier
    >>> from textcnn.inspection import learning_curves, plot_learning_curves
    >>> clf = TextCNNClassifier(max_iter=3, random_state=0).fit(["good", "bad"], [1, 0])
    >>> plot_learning_curves(learning_curves(clf)).get_ylabel()
    'training loss'
    """
    from matplotlib.ticker import MaxNLocator

    ax = _axes(ax, 7, 3.8)
    epochs = np.arange(1, len(curves.loss) + 1)
    ax.plot(epochs, curves.loss, "o-", color=BLUE, markersize=4)
    ax.set_ylim(0, 1.06 * max(curves.loss, default=1) or 1)
    ax.set_xlabel("epoch")
    ax.set_ylabel("training loss", color=BLUE)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.spines[["top", "right"]].set_visible(False)
    if curves.validation is not None:
        right = ax.twinx()
        right.plot(np.arange(1, len(curves.validation) + 1), curves.validation, "s-", color=ORANGE, ms=4)
        right.set_ylabel("validation score", color=ORANGE)
        right.spines[["top", "left"]].set_visible(False)
        best = curves.validation.max()
        right.axvline(curves.best_epoch, color=GREY, linewidth=0.8, linestyle=":")
        ax.set_title(f"best: {best:.4f} in epoch {curves.best_epoch}", loc="right", fontsize=9, color=GREY)
    return ax


def plot_confusion_matrix(matrix: ConfusionMatrix | Sequence[ConfusionMatrix], ax: Any = None) -> Any:
    """Draw a confusion matrix: counts, shaded by their share of the row.

    Parameters
    ----------
    matrix : ConfusionMatrix, or those of several labels
        Of several labels each has a row: texts without it, rightly and wrongly labelled, and texts with it.
    ax : matplotlib Axes, default=None
        None for a new figure.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> from textcnn import TextCNNClassifier
    >>> from textcnn.inspection import confusion_matrix, plot_confusion_matrix
    >>> clf = TextCNNClassifier(random_state=0).fit(["good", "bad"], ["yes", "no"])
    >>> found = confusion_matrix(clf, ["good", "bad"], ["yes", "no"])
    >>> plot_confusion_matrix(found).get_title("left")
    'accuracy 1.0000'
    """
    if not isinstance(matrix, ConfusionMatrix):
        return _plot_label_counts(matrix, ax)
    counts, n = matrix.counts, len(matrix.labels)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax = _axes(ax, 3 + 0.5 * n, 2.4 + 0.45 * n)
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [_shown(str(label)) for label in matrix.labels]
    is_long = max(map(len, names)) > 9
    ax.set_xticks(range(n), names, rotation=40 if is_long else 0, ha="right" if is_long else "center")
    ax.set_yticks(range(n), names)
    ax.set_xlabel("predicted")
    ax.set_ylabel("true")
    ax.set_title(f"accuracy {matrix.accuracy:.4f}", loc="left", fontsize=11)
    if n <= MOST_NUMBERS:
        _write_counts(ax, counts, shares)
    _finish_counts(ax, image, "share of the row")
    return ax


def _plot_label_counts(matrices: Sequence[ConfusionMatrix], ax: Any) -> Any:
    """The four counts of each label in a row; the two of texts without it add up to 1, and those with it."""
    counts = np.array([matrix.counts for matrix in matrices], np.intp).reshape(-1, 2, 2)
    n = len(counts)
    shares = counts / np.maximum(counts.sum(axis=2, keepdims=True), 1)
    ax = _axes(ax, 6.4, 1.9 + 0.42 * n)
    image = ax.imshow(shares.reshape(n, 4), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(4), ["true\nnegative", "false\npositive", "false\nnegative", "true\npositive"])
    ax.set_yticks(range(n), [_shown(str(matrix.name)) for matrix in matrices])
    ax.axvline(1.5, color="white", linewidth=3)
    _write_counts(ax, counts.reshape(n, 4), shares.reshape(n, 4))
    _finish_counts(ax, image, "share of those without, with the label")
    return ax


def _write_counts(ax: Any, counts: np.ndarray, shares: np.ndarray) -> None:
    for (i, j), count in np.ndenumerate(counts):
        color = "white" if shares[i, j] > 0.55 else "#1a1a1a" if count else "#b5b5b5"
        ax.text(j, i, f"{count}", ha="center", va="center", color=color)


def _finish_counts(ax: Any, image: Any, what: str) -> None:
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    bar = ax.figure.colorbar(image, ax=ax, fraction=0.046, pad=0.04)
    bar.set_label(what, color=GREY)
    bar.outline.set_visible(False)


def _bars(names: list[str], values: list[float], title: str, unit: str, ax: Any) -> Any:
    """Bars from left to right, the first on top; orange ones are below zero."""
    n = len(names)
    ax = _axes(ax, 6.4, 1.2 + 0.34 * max(n, 1))
    colors = [BLUE if value >= 0 else ORANGE for value in values]
    ax.barh(range(n), values, color=colors, height=0.7)
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.set_yticks(range(n), names)
    ax.set_ylim(max(n, 1) - 0.5, -0.5)
    ax.set_xlabel(unit)
    ax.set_title(title, loc="left", fontsize=11)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _axes(ax: Any, width: float, height: float) -> Any:
    """The given Axes, or those of a new figure of about this size in inches."""
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError(
            "drawing needs matplotlib, which is not installed; python -m pip install matplotlib"
        ) from None
    return plt.subplots(figsize=(min(width, 24), min(height, 24)), layout="constrained")[1]


def _largest(cells: np.ndarray) -> float:
    """The largest number, or 1 where all are zero."""
    return float(np.nan_to_num(cells).max(initial=0)) or 1.0


def _shown(name: str) -> str:
    """A name as it is drawn: not too long, without control characters, and not taken for a formula."""
    name = "".join(char if char.isprintable() else "\ufffd" for char in name)
    name = name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
    return name.replace("$", r"\$")
