"""Train on data that ships with textcnn, measure on texts held out, and show predictions.

textcnn demo            English messages: complaint, praise, question or request?
textcnn demo chinese    Chinese comments: satisfied or not?
textcnn demo tag        names of persons, organisations and places and dates in an English story
"""

from __future__ import annotations

import argparse
import sys
import textwrap
import time
from typing import Any, NamedTuple

from textcnn.cli import options
from textcnn.cli.output import counted
from textcnn.cli.shading import ngram_text, shares
from textcnn.cli.tagged import inline
from textcnn.cli.train import plain_interrupt


class Demo(NamedTuple):
    """One data set of the demo."""

    loader: str
    what: str
    new_texts: list[str]


DEMOS = {
    "english": Demo(
        "load_messages",
        "messages to service desks",
        [
            "Could somebody bring a second pillow up to my room?",
            "Our guide was a delight, and the children still talk about her.",
            "The lift has been out of order since Monday and nobody seems to care.",
            "Until what time can I check in on a Sunday",
        ],
    ),
    "chinese": Demo(
        "load_comments",
        "comments of customers, in Chinese",
        ["面条很香，下次还来", "等了一个小时菜还没上，太失望了", "房间干净，老板也热情"],
    ),
}

# Other names of the demo: by what it shows.
TASKS = {"classify": "english"}

N_FOLDS = 5

N_PARAGRAPHS = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    choices = [*TASKS, *sorted(DEMOS), "tag"]
    parser.add_argument("data", nargs="?", choices=choices, default="english", help="default: english")
    parser.add_argument(
        "--seed", type=int, default=0, help="random state of the folds and the model (default: 0)"
    )
    options.add_threads(parser)


def run(args: argparse.Namespace) -> None:
    """Train and show."""
    print("Loading ...", flush=True)
    if args.data == "tag":
        _tag(args)
    else:
        _classify(args)


def _classify(args: argparse.Namespace) -> None:
    """Cross-validate, train on everything, explain."""
    from sklearn.model_selection import StratifiedKFold

    import textcnn.data
    from textcnn import TextCNNClassifier
    from textcnn._threads import effective_n_threads

    demo = DEMOS[TASKS.get(args.data, args.data)]
    texts, labels = getattr(textcnn.data, demo.loader)()
    n_threads = effective_n_threads(args.threads)
    print(f"{len(texts)} {demo.what}: {', '.join(sorted(set(labels)))}")

    # The set is small, so each of its texts is shown more often than by default.
    settings = {"max_iter": 30, "batch_size": 20, "random_state": args.seed, "n_jobs": args.threads}
    # One part of so small a set says little, so every text is held out once.
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=args.seed)
    print(f"Accuracy on each of {N_FOLDS} parts held out, trained on the others:", end="", flush=True)
    n_right = 0
    for train, test in folds.split(texts, labels):
        classifier = TextCNNClassifier(**settings)
        with plain_interrupt():
            classifier.fit([texts[i] for i in train], [labels[i] for i in train])
        predicted = classifier.predict([texts[i] for i in test]).tolist()
        right = sum(label == labels[i] for label, i in zip(predicted, test.tolist(), strict=True))
        n_right += right
        print(f" {right / len(test):.1%}", end="", flush=True)
    print(f"\nAccuracy held out, all parts together: {n_right / len(texts):.1%}\n")

    print(f"Training on all of them with {counted(n_threads, 'thread')}", flush=True)
    start = time.perf_counter()
    classifier = TextCNNClassifier(**settings, verbose=sys.stderr.isatty())
    with plain_interrupt():
        classifier.fit(texts, labels)
    print(f"Trained in {time.perf_counter() - start:.1f} s\n")
    print("New texts, and the n-grams that decided, each with what it adds for the label:\n")
    probabilities = classifier.predict_proba(demo.new_texts).max(axis=1)
    for text, probability, explanation in zip(
        demo.new_texts, probabilities, classifier.explain(demo.new_texts), strict=True
    ):
        print(f"  {text}")
        print(f"    {explanation.label} ({probability:.0%}): {_deciding(text, explanation)}\n")
    print(
        "Next: your own texts, with TextCNNClassifier().fit(texts, labels) in Python; `textcnn demo --help`\n"
        "for the other data sets; help(textcnn.TextCNNClassifier) for every parameter."
    )


def _tag(args: argparse.Namespace) -> None:
    """Train on one part, measure on the other, tag a story."""
    import textcnn.data
    from textcnn import TextCNNTagger
    from textcnn._threads import effective_n_threads
    from textcnn.metrics import conlleval_report, span_scores

    sentences, tags = textcnn.data.load_entities("train")
    n_tokens = sum(map(len, sentences))
    n_threads = effective_n_threads(args.threads)
    print(f"{len(sentences)} sentences, {n_tokens:,} tokens: persons, organisations, places and dates")
    print(f"Training with {counted(n_threads, 'thread')}", flush=True)
    start = time.perf_counter()
    tagger = TextCNNTagger(random_state=args.seed, n_jobs=args.threads, verbose=sys.stderr.isatty())
    with plain_interrupt():
        tagger.fit(sentences, tags)
    print(f"Trained in {time.perf_counter() - start:.1f} s\n")

    test, true = textcnn.data.load_entities("test")
    print(f"{len(test)} other sentences, counted as conlleval does:\n")
    print(conlleval_report(span_scores(true, tagger.predict(test), tagger.scheme_)))

    print("A story, with the label and the exact probability of each span:\n")
    paragraphs = textcnn.data.load_story()[1 : N_PARAGRAPHS + 1]
    for found in tagger.tag(paragraphs):
        print(textwrap.fill(inline(found, 2), 100, initial_indent="  ", subsequent_indent="  ") + "\n")
    print(
        "Next: your own sentences, with TextCNNTagger().fit(X, y) in Python, X of tokens and y of tags,\n"
        "or `textcnn train train.conll -o ner.textcnn` and `textcnn tag ner.textcnn story.txt`;\n"
        "help(textcnn.TextCNNTagger) for every parameter."
    )


def _deciding(text: str, explanation: Any, n: int = 3) -> str:
    """The first `n` n-grams of an explanation, as they stand in the text, with what each adds."""
    return ", ".join(
        f'"{ngram_text(text, ngram)}" {share:+.2f}'
        for ngram, share in list(zip(explanation.ngrams, shares(explanation), strict=True))[:n]
    )
