"""Train on data that ships with textcnn: the accuracy in cross-validation, and predictions explained.

textcnn demo            English messages: complaint, praise, question or request?
textcnn demo chinese    Chinese comments: satisfied or not?
"""

from __future__ import annotations

import argparse
import time
from typing import Any, NamedTuple

from textcnn.cli import options
from textcnn.cli.output import counted
from textcnn.cli.shading import ngram_text, shares


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

N_FOLDS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("data", nargs="?", choices=sorted(DEMOS), default="english", help="default: english")
    parser.add_argument(
        "--seed", type=int, default=0, help="random state of the folds and the model (default: 0)"
    )
    options.add_threads(parser)


def run(args: argparse.Namespace) -> None:
    """Cross-validate, train on everything, explain."""
    print("Loading ...", flush=True)
    from sklearn.model_selection import StratifiedKFold

    import textcnn.data
    from textcnn import TextCNNClassifier
    from textcnn._threads import effective_n_threads

    demo = DEMOS[args.data]
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
        classifier = TextCNNClassifier(**settings).fit([texts[i] for i in train], [labels[i] for i in train])
        predicted = classifier.predict([texts[i] for i in test]).tolist()
        right = sum(label == labels[i] for label, i in zip(predicted, test.tolist(), strict=True))
        n_right += right
        print(f" {right / len(test):.1%}", end="", flush=True)
    print(f"\nAccuracy held out, all parts together: {n_right / len(texts):.1%}\n")

    print(f"Training on all of them with {counted(n_threads, 'thread')}", flush=True)
    start = time.perf_counter()
    classifier = TextCNNClassifier(**settings, verbose=True).fit(texts, labels)
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
        "for the other data set; help(textcnn.TextCNNClassifier) for every parameter."
    )


def _deciding(text: str, explanation: Any, n: int = 3) -> str:
    """The first `n` n-grams of an explanation, as they stand in the text, with what each adds."""
    return ", ".join(
        f'"{ngram_text(text, ngram)}" {share:+.2f}'
        for ngram, share in list(zip(explanation.ngrams, shares(explanation), strict=True))[:n]
    )
