"""Write one web page about a model and labelled data: how good it is, what it looks for, where it goes wrong.

For a classifier: scores, confusion matrix, learning curves, the filters with the n-grams that they find, and
the worst errors with the n-grams that decided; with several labels a text, scores, confusions and errors are
those of each label. For a regressor: R2 and mean errors, predicted beside true numbers, curves, filters, and
the texts that are farthest off. For a tagger: scores of spans, confusion of tags, learning curves, and the
worst errors with what each token says for the tag.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import chain
from typing import Any

from textcnn.cli import evaluate, evaluate_tagger, evaluate_values, info, options, tables
from textcnn.cli.models import has_filters, is_tagger, load_any
from textcnn.cli.output import check_distinct, check_writable, note, write_file

EPILOG = f"""\
{tables.FORMAT_HELP}
examples:
  textcnn report reviews.textcnn test.tsv -o report.html
  textcnn report reviews.textcnn test.tsv -o report.html --filters 20 --errors 50
  textcnn report ner.textcnn test.conll -o report.html

The task is that of the model: with several labels in the form news|sport, or numbers, as in textcnn train.
The page needs nothing else: no scripts, no fonts, no network. It holds texts of the data.

An error is the worse, the lower the probability of the own label is, or the farther off a number. The n-grams
of a filter are those of the data that activate it most, and the ideal one, with the best word of the
vocabulary for each of its taps.
"""

FILTERS = 4
ERRORS = 20
NGRAMS = 5  # of each filter
NGRAMS_OF_ERROR = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("model", metavar="MODEL", help="a model file, written by textcnn train")
    parser.add_argument(
        "file", metavar="FILE", help="labelled texts, or tokens with tags; - for standard input"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE.html", type=options.output_name, required=True, help="the page"
    )
    parser.add_argument(
        "--filters",
        metavar="N",
        type=info.filter_count,
        help="filters of each width of a classifier, those with the largest output weights, or all "
        f"(default: {FILTERS})",
    )
    parser.add_argument(
        "--errors", metavar="N", type=_error_count, default=ERRORS, help=f"worst errors (default: {ERRORS})"
    )
    parser.add_argument(
        "--allow-unknown-labels",
        action="store_true",
        help="count labels and tags that the model lacks as wrong",
    )
    parser.add_argument("--quiet", action="store_true", help="print no notes")
    options.add_threads(parser)
    tables.add_arguments(parser, ("tsv", "csv", "jsonl"), "input of classifiers")
    options.add_columns(parser)


def run(args: argparse.Namespace) -> None:
    """Predict, compare, write the page."""
    check_writable(args.output)
    check_distinct(args.output, [args.file, args.model])
    model = load_any(args.model, args.threads)
    parts = _tagger_parts(model, args) if is_tagger(model) else _sentence_parts(model, args)
    write_file(args.output, (part.encode("utf-8", "replace") for part in list(parts)))
    note(args, f"wrote {args.output}")


def _sentence_parts(predictor: Any, args: argparse.Namespace) -> Iterator[str]:
    info.check_filters(args, predictor)
    task = tables.TASKS[predictor.TASK]
    source = evaluate.labelled_texts(args, task)
    yield from {
        "classify": _classifier_parts,
        "multilabel": _label_parts,
        "regress": _number_parts,
    }[task](predictor, source, args)


def _classifier_parts(predictor: Any, source: tables.Table, args: argparse.Namespace) -> Iterator[str]:
    from textcnn.cli import report_page
    from textcnn.inspection import worst_errors

    batches = list(source.batches())
    comparison = evaluate.compare(predictor, source, batches, args.allow_unknown_labels)
    scores = evaluate.scores_of(comparison, "text")
    texts = list(chain.from_iterable(batch.texts for batch in batches))

    yield report_page.head(args.model, source.name)
    yield report_page.text_scores(scores)
    yield report_page.confusion(scores)
    yield from _curves_and_filters(predictor, texts, args, "accuracy")
    if args.errors:
        classes = predictor.classes_.tolist()
        labels = [classes[i] if i < len(classes) else scores.names[i] for i in comparison.true.tolist()]
        errors: Any = worst_errors(predictor, texts, labels, args.errors)
        probabilities = predictor.predict_proba([error.text for error in errors]).tolist() if errors else []
        n_errors = int((comparison.true != comparison.predicted).sum())
        yield report_page.text_errors(predictor, errors, probabilities, n_errors, NGRAMS_OF_ERROR)
    yield report_page.END


def _label_parts(predictor: Any, source: tables.Table, args: argparse.Namespace) -> Iterator[str]:
    from textcnn.cli import report_page
    from textcnn.inspection import worst_errors

    labels = evaluate_values.compare_labels(predictor, source, args.allow_unknown_labels)
    yield report_page.head(args.model, source.name)
    yield report_page.label_scores(evaluate_values.label_figures(labels))
    yield report_page.label_confusion(labels.names, labels.true, labels.predicted)
    yield from _curves_and_filters(predictor, labels.texts, args, "subset accuracy")
    if args.errors:
        known = labels.true[:, : labels.n_known]
        errors: Any = worst_errors(predictor, labels.texts, known, args.errors)
        places = [error.index for error in errors]
        n_errors = int((known != labels.predicted[:, : labels.n_known]).sum())
        yield report_page.label_errors(
            predictor, errors, labels.probabilities[places].tolist(), n_errors, NGRAMS_OF_ERROR
        )
    yield report_page.END


def _number_parts(predictor: Any, source: tables.Table, args: argparse.Namespace) -> Iterator[str]:
    from textcnn.cli import report_page
    from textcnn.inspection import worst_errors

    names = ["allow_unknown_labels"]
    options.check_unused(args, names, f"for classifiers, but {args.model} holds a regressor")
    numbers = evaluate_values.compare_numbers(predictor, source, args.model)
    yield report_page.head(args.model, source.name)
    yield report_page.number_scores(evaluate_values.number_figures(numbers))
    yield report_page.scatter(numbers.true.tolist(), numbers.predicted.tolist())
    yield from _curves_and_filters(predictor, numbers.texts, args, "R2")
    if args.errors:
        errors: Any = worst_errors(predictor, numbers.texts, numbers.true, args.errors)
        yield report_page.number_errors(predictor, errors, len(numbers.texts), NGRAMS_OF_ERROR)
    yield report_page.END


def _curves_and_filters(
    predictor: Any, texts: list[str], args: argparse.Namespace, score: str
) -> Iterator[str]:
    from textcnn.cli import report_page

    yield _curves(args.model, score)
    count = FILTERS if args.filters is None else args.filters
    if count and has_filters(predictor):
        yield report_page.filters(*_filters(predictor, texts, None if count == info.ALL else count))


def _filters(predictor: Any, texts: list[str], count: int | None) -> tuple[Any, ...]:
    """The filters with what they like, their strongest n-grams of the texts, and the number of all."""
    from textcnn.inspection import top_ngrams

    favourites = info.favourites(predictor, count)
    columns = info.heaviest(predictor.network, count)[: len(favourites)]
    return favourites, top_ngrams(predictor, texts, NGRAMS, columns), predictor.network.layout.n_outputs


def _tagger_parts(tagger: Any, args: argparse.Namespace) -> Iterator[str]:
    from textcnn.cli import report_page
    from textcnn.inspection import worst_tag_errors
    from textcnn.metrics import span_scores

    options.check_unused(args, ["filters"], f"for classifiers, but {args.model} holds a tagger")
    sentences = evaluate_tagger.tagged_sentences(tagger, args)
    predicted = tagger.predict(sentences.tokens)
    evaluate_tagger.note_own_tags(sentences, predicted, args)
    scores = evaluate.scores_of(evaluate_tagger.comparison(tagger, sentences, predicted), "token")

    yield report_page.head(args.model, sentences.name)
    if tagger.scheme is None:
        yield report_page.text_scores(scores)
    else:
        yield report_page.span_scores(span_scores(sentences.tags, predicted, tagger.scheme))
    yield report_page.confusion(scores)
    yield _curves(args.model, "accuracy" if tagger.scheme is None else "F1")
    if args.errors:
        errors = worst_tag_errors(tagger, sentences.tokens, sentences.tags, args.errors)
        n_wrong = sum(own != found for own, found in zip(sentences.tags, predicted, strict=True))
        yield report_page.tag_errors(errors, n_wrong, tagger.network.receptive_field)
    yield report_page.END


def _curves(path: str, score: str) -> str:
    """The learning curves that a model file holds; "" without any."""
    from textcnn.cli import report_page
    from textcnn.io import load_arrays

    fitted = load_arrays(path, mmap=True)[1]["params"].get("fitted", {})
    return report_page.curves(fitted.get("loss_curve") or [], fitted.get("validation_scores") or [], score)


def _error_count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of errors; give 0 or more")
    return number
