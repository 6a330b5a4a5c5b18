"""Train on data that ships with textcnn, report the accuracy on texts held out, and explain predictions.

textcnn demo            English messages: complaint, praise, question or request?
textcnn demo chinese    Chinese comments: satisfied or not?
"""

from __future__ import annotations

import argparse
import time
from typing import Any, NamedTuple


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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("data", nargs="?", choices=sorted(DEMOS), default="english", help="default: english")
    parser.add_argument(
        "--seed", type=int, default=0, help="random state of the split and the model (default: 0)"
    )
    parser.add_argument("--threads", type=int, default=None, help="threads to use (default: all processors)")


def run(args: argparse.Namespace) -> None:
    """Train, evaluate, explain."""
    print("Loading ...", flush=True)
    from sklearn.model_selection import train_test_split

    import textcnn.data
    from textcnn import TextCNNClassifier
    from textcnn._threads import effective_n_threads

    demo = DEMOS[args.data]
    texts, labels = getattr(textcnn.data, demo.loader)()
    X_train, X_test, y_train, y_test = train_test_split(
        texts, labels, test_size=0.25, stratify=labels, random_state=args.seed
    )
    n_threads = effective_n_threads(args.threads)
    print(f"{len(texts)} {demo.what}: {', '.join(sorted(set(labels)))}")
    print(f"Training on {len(X_train)} of them with {n_threads} thread(s)\n", flush=True)

    start = time.perf_counter()
    # The set is small, so each of its texts is shown more often than by default.
    classifier = TextCNNClassifier(
        max_iter=30, batch_size=20, random_state=args.seed, n_jobs=args.threads, verbose=True
    )
    classifier.fit(X_train, y_train)
    seconds = time.perf_counter() - start
    print(
        f"\nTrained in {seconds:.1f} s. Accuracy on {len(X_test)} texts held out: "
        f"{classifier.score(X_test, y_test):.1%}\n"
    )
    print("New texts, and the n-grams that decided:\n")
    probabilities = classifier.predict_proba(demo.new_texts).max(axis=1)
    for text, probability, explanation in zip(
        demo.new_texts, probabilities, classifier.explain(demo.new_texts), strict=True
    ):
        print(f"  {text}")
        print(f"    {explanation.label} ({probability:.0%}): {_deciding(classifier, text, explanation)}\n")
    print(
        "Next: your own texts, with TextCNNClassifier().fit(texts, labels) in Python; `textcnn demo --help`\n"
        "for the other data set; help(textcnn.TextCNNClassifier) for every parameter."
    )


def _deciding(classifier: Any, text: str, explanation: Any, n: int = 3) -> str:
    """The first `n` n-grams of an explanation, as they stand in the text, with their share."""
    best = list(classifier.classes_).index(explanation.label)
    return ", ".join(
        f'"{text[ngram.span[0] : ngram.span[1]]}" {ngram.contributions[best]:+.2f}'
        for ngram in explanation.ngrams[:n]
    )
