"""Show what a model file holds: labels or tags, vocabulary, sizes, parameters, and what filters like best.

The n-gram that a filter of a classifier likes best has, at each place, the word with the largest dot product.
"""

from __future__ import annotations

import argparse
import json
import os
from math import isfinite
from typing import Any, NamedTuple

from textcnn.cli import options
from textcnn.cli.models import has_filters, is_tagger, load_any
from textcnn.cli.output import aligned, counted, ljust, printable, shortened
from textcnn.cli.tables import TASKS, label_text
from textcnn.cli.train import SCORES

EPILOG = """\
examples:
  textcnn info reviews.textcnn
  textcnn info reviews.textcnn --filters 10
  textcnn info reviews.textcnn --filters all --json > model.json
  textcnn info ner.textcnn

Filters are ordered by the size of their weights in the output layer; "for" is the label they favour most.
"""

DEFAULT_FILTERS = 5
ALL = "all"
N_TOKENS = 12
WIDEST_TOKEN = 20
WIDEST_VALUE = 100


class Filter(NamedTuple):
    """A filter and the n-gram that it likes best."""

    name: str
    width: int
    label: str
    size: float
    activation: float
    ngram: list[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("model", metavar="MODEL", help="a model file, written by textcnn train")
    parser.add_argument(
        "--filters",
        metavar="N",
        type=filter_count,
        default=None,
        help="filters of each width of a classifier to show, or all (default: 5)",
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(args: argparse.Namespace) -> None:
    """Read the file and print."""
    from textcnn.io import load_arrays

    arrays, config = load_arrays(args.model)
    model = load_any(args.model)
    if is_tagger(model):
        _run_tagger(args, arrays, config, model)
        return
    check_filters(args, model)
    wanted = DEFAULT_FILTERS if args.filters is None else args.filters
    n_filters = None if wanted == ALL else wanted
    facts = _facts(args.model, arrays, config, _labels(model))
    tokens = model.vocabulary.id_to_token[1:]
    facts["vocabulary"] = {"tokens": len(tokens), "most_frequent": tokens[:N_TOKENS]}
    filters = favourites(model, n_filters)
    if args.json:
        facts["filters"] = [found._asdict() for found in filters]
        print(json.dumps(facts, ensure_ascii=False, indent=1))
    else:
        score = SCORES[TASKS[model.TASK]]
        what = "target" if model.TASK == "regression" else "label"
        print("\n".join([*_lines(facts, what, score), *_filter_lines(filters, n_filters)]))


def _run_tagger(
    args: argparse.Namespace, arrays: dict[str, Any], config: dict[str, Any], tagger: Any
) -> None:
    options.check_unused(args, ["filters"], f"for classifiers, but {args.model} holds a tagger")
    tokens = tagger.encoder.vocabulary.id_to_token[1:]
    facts = _facts(args.model, arrays, config, tagger.classes_.tolist())
    facts["vocabulary"] = {"tokens": len(tokens), "most_frequent": tokens[:N_TOKENS]}
    facts["tags"] = facts.pop("labels")
    facts["scheme"] = tagger.scheme
    facts["network"] = _shape(tagger, config)
    if args.json:
        print(json.dumps(facts, ensure_ascii=False, indent=1))
        return
    score = "accuracy" if tagger.scheme is None else "F1"
    print("\n".join(_lines({**facts, "labels": facts["tags"]}, "tag", score)))


def _shape(tagger: Any, config: dict[str, Any]) -> dict[str, Any]:
    """Sizes of the network of a tagger."""
    network = tagger.network
    return {
        **config["layout"],
        "n_words": tagger.encoder.n_words,
        "analyzer": tagger.analyzer,
        "inner_scheme": config["inner_scheme"],
        **({"body": str(network.body)} if "body" in config else {}),
        "layers": network.n_layers,
        "receptive_field": network.receptive_field if isfinite(network.receptive_field) else "whole sentence",
        "linear_share": tagger.share,
    }


def _labels(predictor: Any) -> list[str]:
    """Names of the outputs: labels, or what is known of targets."""
    if predictor.TASK != "regression":
        return [label_text(label) for label in predictor.classes_.tolist()]
    pairs = zip(predictor.target_mean.tolist(), predictor.target_scale.tolist(), strict=True)
    return [f"mean {mean:.6g}, standard deviation {scale:.6g}" for mean, scale in pairs]


def _favoured(predictor: Any, weights: Any) -> str:
    """What a filter with these output weights speaks for."""
    if predictor.TASK != "regression":
        best = int(weights.argmax())
        return label_text(predictor.classes_[best : best + 1].tolist()[0])
    place = int(abs(weights).argmax())
    direction = "more" if weights[place] > 0 else "less"
    return direction if len(weights) == 1 else f"{direction} of target {place + 1}"


def _facts(path: str, arrays: dict[str, Any], config: dict[str, Any], labels: list[str]) -> dict[str, Any]:
    params = dict(config["params"])
    fitted = params.pop("fitted", {})
    return {
        "file": path,
        "bytes": os.path.getsize(path),
        "kind": config["kind"],
        "labels": labels,
        "vocabulary": {},
        "arrays": {
            name: {"type": str(array.dtype), "shape": list(array.shape), "bytes": array.nbytes}
            for name, array in arrays.items()
        },
        "training": fitted,
        "parameters": params,
    }


def _lines(facts: dict[str, Any], label: str, score: str) -> list[str]:
    labels, vocabulary = facts["labels"], facts["vocabulary"]
    names = [shortened(printable(label), WIDEST_VALUE) for label in labels]
    words = ", ".join(printable(token) for token in vocabulary["most_frequent"])
    n_numbers = sum(
        _product(array["shape"])
        for name, array in facts["arrays"].items()
        if not name.startswith(("vocabulary", "encoder", "linear.pairs"))
    )
    lines = [
        f"{printable(facts['file'])}: {facts['kind']}, {facts['bytes'] / 1e6:.1f} MB, {n_numbers:,} weights",
        "",
        f"{counted(len(labels), label)}: {', '.join(names)}",
        *([f"scheme: {facts['scheme']}"] if facts.get("scheme") else []),
        f"{counted(vocabulary['tokens'], 'token')}: {words}"
        + (", ..." if vocabulary["tokens"] > N_TOKENS else ""),
        *_training_lines(facts["training"], score),
        *_table("network", facts.get("network", {})),
        "",
        "arrays",
    ]
    rows = [
        [name, " x ".join(map(str, array["shape"])), array["type"], f"{array['bytes'] / 1e6:.2f} MB"]
        for name, array in facts["arrays"].items()
    ]
    lines += aligned(rows, indent="  ")
    return lines + _table("parameters", facts["parameters"])


def _table(title: str, values: dict[str, Any]) -> list[str]:
    """Names and values below a title; nothing if there are none."""
    if not values:
        return []
    width = max(map(len, values))
    lines = ["", title]
    for name, value in values.items():
        shown = shortened(printable(json.dumps(value, ensure_ascii=False)), WIDEST_VALUE)
        lines.append(f"  {ljust(name, width)}  {shown}")
    return lines


def _training_lines(fitted: dict[str, Any], score: str) -> list[str]:
    if not fitted.get("n_iter"):
        return []
    line = f"trained {counted(fitted['n_iter'], 'epoch')}"
    if fitted.get("loss_curve"):
        line += f", loss {fitted['loss_curve'][-1]:.4f}"
    scores = fitted.get("validation_scores")
    if scores:
        line += f", validation {score} {max(scores):.4f} in epoch {scores.index(max(scores)) + 1}"
    return [line]


def check_filters(args: argparse.Namespace, predictor: Any) -> None:
    """Refuse --filters for a model without filters over words."""
    if not has_filters(predictor):
        options.check_unused(
            args, ["filters"], f"for filters over words, but {args.model} has layers in their place"
        )


def favourites(predictor: Any, n_filters: int | None) -> list[Filter]:
    """The filters of each width with the largest output weights (None: all), and what they like."""
    import numpy as np

    from textcnn.inspection import ideal_ngrams

    if not has_filters(predictor):
        return []
    network = predictor.network
    chosen = heaviest(network, n_filters)
    sizes = np.linalg.norm(network.weights, axis=0)
    if len(predictor.vocabulary) < 2:  # no known word
        return []
    return [
        Filter(
            found.name,
            found.width,
            _favoured(predictor, network.weights[:, feature]),
            float(sizes[feature]),
            found.activation,
            list(found.tokens),
        )
        for feature, found in zip(chosen, ideal_ngrams(predictor, features=chosen), strict=True)
    ]


def heaviest(network: Any, n_filters: int | None) -> list[int]:
    """For each width the filters with the largest output weights, as columns of `transform`."""
    import numpy as np

    sizes = np.linalg.norm(network.weights, axis=0).reshape(len(network.layout.kernel_sizes), -1)
    order = np.argsort(-sizes, axis=1, kind="stable")[:, :n_filters]
    return (order + np.arange(len(sizes))[:, np.newaxis] * sizes.shape[1]).ravel().tolist()


def _filter_lines(filters: list[Filter], n_filters: int | None) -> list[str]:
    if not filters:
        return []
    how_many = "all filters" if n_filters is None else "filters with the largest output weights"
    rows = [["  filter", "size", "for", "n-gram it likes best"]]
    for found in filters:
        words = " ".join(shortened(printable(token), WIDEST_TOKEN) for token in found.ngram)
        rows.append([f"  {found.name}", f"{found.size:.2f}", shortened(printable(found.label), 24), words])
    fronts = aligned([row[:3] for row in rows])
    return ["", how_many, *(f"{front}  {row[3]}" for front, row in zip(fronts, rows, strict=True))]


def _product(shape: list[int]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product


def filter_count(text: str) -> int | str:
    """A number of filters, or all; the type of --filters."""
    if text == ALL:
        return ALL
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of filters nor all")
    return number
