"""Give arbitrary bytes and strings to fit, predict, tag, the readers of files and every command.

    python tests/robustness/fuzz_texts.py --n 1000000 --seed 0 --jobs 2
    python tests/robustness/fuzz_texts.py --seed 0 --only 4711      # one case, in this process

Child processes do the work. Nothing may crash, take more than a second (fits and commands: ten) of processor
time, raise anything but ValueError, TypeError or OSError of one sentence (a UnicodeError is none), or give
probabilities that do not sum to 1. Prints what breaks a rule, and fails then.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from robustness.cases import BrokenRule, in_blocks, limit_seconds, run_cases
from textcnn.data import load_entities, load_messages

from textcnn import TextCNNClassifier, TextCNNRegressor, TextCNNTagger, load_vectors
from textcnn.cli import main as textcnn_command
from textcnn.text.columns import read_columns
from textcnn.text.tokenizer import sentence_bounds, tokenize
from textcnn.text.vocabulary import Vocabulary

SMALL = {"n_filters": 4, "embedding_dim": 8, "max_iter": 1, "random_state": 0}
SMALL_TAGGER = {
    "n_channels": 8, "embedding_dim": 8, "n_iterations": 1, "max_iter": 1, "linear_max_iter": 1,
    "random_state": 0,
}  # fmt: skip

# Of every kind that scanners, tables and terminals trip over.
ODD_CHARACTERS = [
    *"\0\t\n\r\v\f\x1b\x7f\x85\u2028\ufeff\ufffe\uffff\u200b\u200d\u202e\u0301\ud800\udfff\U0010ffff",
    *"\U0001f469ßİǆﬃ٣中の한ก\"',|\\{}<&-",
    "\U0001f469\u200d\U0001f680", "हि", "B-", "I-PER", "O", "-DOCSTART-", "1e999", "nan", "-1", "0" * 40,
]  # fmt: skip


class Models(NamedTuple):
    """What is asked."""

    classifier: Any
    labels: Any
    regressor: Any
    tagger: Any
    plain_tagger: Any
    embedded: Any
    folder: Path


def fitted_models(folder: Path) -> Models:
    """Small models, their files, and files that commands read."""
    texts, labels = load_messages()
    sentences, tags = load_entities("train")
    plain = [["UP" if token[:1].isupper() else "LOW" for token in sentence] for sentence in sentences]
    numbers = np.random.RandomState(0).randn(40, 6)
    models = Models(
        TextCNNClassifier(**SMALL).fit(texts[:80], labels[:80]),
        TextCNNClassifier(**SMALL, analyzer="char", shape_ngrams=False).fit(texts[:40], np.eye(40, 3)),
        TextCNNRegressor(**SMALL).fit(texts[:40], range(40)),
        TextCNNTagger(**SMALL_TAGGER).fit(sentences[:40], tags[:40]),
        TextCNNTagger(**SMALL_TAGGER, analyzer="char", linear=0).fit(sentences[:40], plain[:40]),
        TextCNNClassifier(**SMALL).fit(numbers, np.arange(40) % 2),
        folder,
    )
    for name in ("classifier", "labels", "regressor", "tagger"):
        getattr(models, name).save(folder / name)
    return models


# ---- inputs -----------------------------------------------------------------------------------------


def a_string(rng: random.Random) -> str:
    """Words, odd characters, anything that Unicode has, or one thing very often."""
    kind = rng.randrange(6)
    if kind == 0:
        return "".join(chr(rng.randrange(0x110000)) for _ in range(rng.randrange(20)))
    if kind == 1:
        return "".join(rng.choices(ODD_CHARACTERS, k=rng.randrange(12)))
    if kind == 2:
        return rng.choice(ODD_CHARACTERS) * rng.choice((1, 2, 63, 64, 65, 257, 5000))
    if kind == 3:
        return " ".join(rng.choices(ODD_CHARACTERS, k=rng.randrange(200)))
    if kind == 4:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(40))).decode("utf-8", "replace")
    words = ["The", "lift", "is", "out", "of", "order", "again", ".", "Ms.", "Haag", "Paris", *ODD_CHARACTERS]
    return rng.choice(("", " ", "\n")).join(rng.choices(words, k=rng.randrange(30)))


def a_line(rng: random.Random) -> str:
    """A line of some format, right or nearly right."""
    kind = rng.randrange(6)
    if kind == 0:
        return f"{rng.choice(['good', 'bad', '1.5', 'a|b', ''])}\t{a_string(rng)}"
    if kind == 1:
        return json.dumps(
            {rng.choice(("text", "label", "x")): a_string(rng), "label": rng.choice((1, "a", None))}
        )
    if kind == 2:
        return f'"{a_string(rng)}",{rng.choice(["good", "bad"])}'
    if kind == 3:
        return rng.choice((" ", "\t")).join(["Paris", rng.choice(["B-LOC", "O", "I-PER", "E-X", ""])])
    if kind == 4:
        return f"word{rng.randrange(5)} " + " ".join(
            str(rng.gauss(0, 1)) for _ in range(rng.choice((0, 3, 3, 3, 4)))
        )
    return a_string(rng)


def some_bytes(rng: random.Random) -> bytes:
    """What a file may hold: noise, or lines of a format, damaged or not, in some encoding, perhaps packed."""
    if rng.random() < 0.1:
        return rng.randbytes(rng.choice((0, 1, 2, 10, 100, 3000)))
    if rng.random() < 0.3:  # of one format
        state, n = rng.random(), rng.randrange(30)
        lines = [a_line(random.Random(f"{state}-{i}" if i % 2 else state)) for i in range(n)]
    else:
        lines = [a_line(rng) for _ in range(rng.randrange(12))]
    text = rng.choice(("\n", "\n", "\n", "\r\n", "\r")).join(lines)
    encoding = rng.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"))
    content = text.encode(encoding, "replace" if encoding == "latin-1" else "surrogatepass")
    if content and rng.random() < 0.3:
        damaged = bytearray(content)
        for _ in range(rng.randrange(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        content = bytes(damaged[: rng.randrange(len(damaged) + 1)])
    if rng.random() < 0.1:
        content = gzip.compress(content, 1)
        if rng.random() < 0.5:
            content = content[: rng.randrange(len(content) + 1)]
    return content


def a_value(rng: random.Random) -> Any:
    """Something that a caller may take for a text, a label or a list of them."""
    kind = rng.randrange(12)
    if kind < 4:
        return a_string(rng)
    if kind < 7:
        return [a_value(rng) for _ in range(rng.randrange(4))]
    return rng.choice(
        [
            None, True, 3, -1.5, float("nan"), float("inf"), b"bytes", bytearray(b"x"), (), {"a": 1}, {1, 2},
            np.str_("numpy"), np.float32(2), np.array(["a", None], object), np.array([["a"]]), np.array("x"),
            np.zeros((2, 0)), np.zeros((0, 3)), np.array([b"a"]), np.array([1 + 2j]), range(3), iter("ab"),
            object(),
        ]
    )  # fmt: skip


# ---- checks -----------------------------------------------------------------------------------------


def check_probabilities(p: np.ndarray) -> None:
    """Raise if rows are no probabilities."""
    if not (np.isfinite(p).all() and (p >= 0).all() and (p <= 1).all()):
        raise BrokenRule("probabilities are not in 0 to 1")
    if len(p) and abs(p.sum(axis=1) - 1).max() > 1e-6:
        raise BrokenRule("probabilities do not sum to 1")


def ask_classifier(models: Models, rng: random.Random) -> None:
    X = [a_string(rng) for _ in range(rng.randrange(3))]
    check_probabilities(models.classifier.predict_proba(X))
    if len(models.classifier.predict(X)) != len(X):
        raise BrokenRule("not one label for each text")


def ask_others(models: Models, rng: random.Random) -> None:
    X = [a_string(rng), a_string(rng)]
    if not np.isfinite(models.regressor.predict(X)).all():
        raise BrokenRule("a predicted number is not finite")
    p = models.labels.predict_proba(X)
    if not (np.isfinite(p).all() and (p >= 0).all() and (p <= 1).all()):
        raise BrokenRule("probabilities of labels are not in 0 to 1")
    if not np.isfinite(models.classifier.transform(X)).all():
        raise BrokenRule("features are not finite")


def ask_explanation(models: Models, rng: random.Random) -> None:
    model = rng.choice((models.classifier, models.labels, models.regressor))
    (explanation,) = model.explain([a_string(rng)])
    total = np.sum([ngram.contributions for ngram in explanation.ngrams], axis=0) + explanation.bias
    if not np.allclose(total, explanation.logits, rtol=1e-3, atol=1e-3):
        raise BrokenRule("contributions do not sum to the outputs")


def ask_tagger(models: Models, rng: random.Random) -> None:
    tagger = rng.choice((models.tagger, models.plain_tagger))
    text = a_string(rng)
    for span in tagger.tag(text) if tagger is models.tagger else []:
        if text[span.start : span.stop] != span.text or not 0 <= span.probability <= 1:
            raise BrokenRule("a span is not where it says")
    sentences = [text, [a_string(rng) for _ in range(rng.randrange(4))]]
    for tags, p in zip(tagger.predict(sentences), tagger.predict_marginals(sentences), strict=True):
        check_probabilities(p)
        if len(tags) != len(p):
            raise BrokenRule("not one tag for each token")


def ask_tokenizer(models: Models, rng: random.Random) -> None:
    text = a_string(rng)
    for analyzer in ("word", "char"):
        tokens = tokenize(text, analyzer)
        for token, start, stop in zip(tokens.words, tokens.starts, tokens.stops, strict=True):
            if text[start:stop] != token:
                raise BrokenRule("a token is not where it says")
        bounds = sentence_bounds(tokens)
        if [first for first, _ in bounds] != [0, *(last for _, last in bounds)][: len(bounds)]:
            raise BrokenRule("sentences do not follow each other")


def ask_vocabulary(models: Models, rng: random.Random) -> None:
    texts = [a_string(rng) for _ in range(3)]
    vocabulary, ids, offsets = Vocabulary.build(texts, analyzer=rng.choice(("word", "char")))
    if not (np.diff(offsets) >= 0).all() or (len(ids) and not 0 <= ids.min() <= ids.max() < len(vocabulary)):
        raise BrokenRule("ids outside of the vocabulary")


def ask_with_anything(models: Models, rng: random.Random) -> None:
    model = rng.choice((*models[:4], models.embedded))
    method = rng.choice(
        ("predict", "transform", "explain", "predict_proba", "predict_marginals", "spans", "tag")
    )
    if hasattr(model, method):
        getattr(model, method)(a_value(rng))


def fit_anything(models: Models, rng: random.Random) -> None:
    estimator, small = rng.choice(
        ((TextCNNClassifier, SMALL), (TextCNNRegressor, SMALL), (TextCNNTagger, SMALL_TAGGER))
    )
    n = rng.randrange(1, 12)
    if rng.random() < 0.3:
        X, y = a_value(rng), a_value(rng)
    elif estimator is TextCNNTagger:
        X = [[a_string(rng) for _ in range(rng.randrange(1, 4))] for _ in range(n)]
        y = [[rng.choice(("O", "B-X", "I-X", a_string(rng))) for _ in sentence] for sentence in X]
    else:
        X = [a_string(rng) for _ in range(n)]
        y = [rng.choice((0, 1, 2.5)) if estimator is TextCNNRegressor else a_string(rng)[:2] for _ in X]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = estimator(**small).fit(X, y)
    model.predict(["a b", "c"])


def read_vectors(models: Models, rng: random.Random) -> None:
    load_vectors(file_with(models, some_bytes(rng), rng.choice(("v.txt", "v.bin", "v.vec.gz"))))


def read_column_file(models: Models, rng: random.Random) -> None:
    for sentence in read_columns(str(file_with(models, some_bytes(rng), "c.conll"))):
        if len(sentence.tokens) != len(sentence.tags):
            raise BrokenRule("not one tag for each token")


def file_with(models: Models, content: bytes, name: str) -> Path:
    """A file of that content."""
    path = models.folder / name
    path.write_bytes(content)
    return path


def settings(*pairs: str) -> list[str]:
    return [word for pair in pairs for word in ("--set", pair)]


COMMANDS = [
    ["predict", "{classifier}", "{file}"],
    ["predict", "{classifier}", "{file}", "--proba", "--jsonl"],
    ["predict", "{labels}", "{file}"],
    ["predict", "{regressor}", "{file}"],
    ["evaluate", "{classifier}", "{file}"],
    ["evaluate", "{tagger}", "{file}"],
    ["explain", "{classifier}", "{file}"],
    ["explain", "{classifier}", "{file}", "--html", "{out}"],
    ["tag", "{tagger}", "{file}"],
    ["tag", "{tagger}", "{file}", "--input", "conll"],
    ["tag", "{tagger}", "{file}", "--format", "html", "-o", "{out}"],
    ["report", "{classifier}", "{file}", "-o", "{out}"],
    ["info", "{file}"],
    ["predict", "{file}", "{file}"],
    ["train", "{file}", "-o", "{out}", "--quiet", "{small}"],
    ["train", "{file}", "-o", "{out}", "--quiet", "--task", "tag", "{small_tags}"],
]
SETTINGS = {
    "{small}": settings("n_filters=4", "embedding_dim=8", "max_iter=1"),
    "{small_tags}": settings("n_channels=8", "embedding_dim=8", "max_iter=1", "n_iterations=1"),
}


def run_command(models: Models, rng: random.Random) -> None:
    name = rng.choice(("in.txt", "in.tsv", "in.csv", "in.jsonl", "in.conll", "in", "in.tsv.gz", "-"))
    content = some_bytes(rng)
    path = file_with(models, content, name) if name != "-" else name
    places = {
        "file": path,
        "out": models.folder / "out.html",
        **{n: models.folder / n for n in Models._fields},
    }
    words = [word.format(**places) for part in rng.choice(COMMANDS) for word in SETTINGS.get(part, [part])]
    out, err = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
    stdin, sys.stdin = sys.stdin, io.TextIOWrapper(io.BufferedReader(io.BytesIO(content)))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = textcnn_command(words)
    except SystemExit as stop:
        status = stop.code
    finally:
        sys.stdin = stdin
    err.seek(0)
    messages = err.read()
    if status not in (0, 1, 2) or "Traceback" in messages:
        raise BrokenRule(f"{words} ended with {status}: {messages}")
    if status == 1 and messages.splitlines()[-1].count("textcnn: error: ") != 1:
        raise BrokenRule(f"{words} gave no sentence: {messages}")


# What is asked, how often, and the seconds that it may take.
ASKED: list[tuple[Callable[[Models, random.Random], None], int, float]] = [
    (ask_classifier, 40, 1),
    (ask_others, 10, 1),
    (ask_explanation, 10, 1),
    (ask_tagger, 10, 1),
    (ask_tokenizer, 10, 1),
    (ask_vocabulary, 8, 1),
    (ask_with_anything, 5, 1),
    (read_vectors, 3, 1),
    (read_column_file, 3, 1),
    (fit_anything, 1, 10),
    (run_command, 2, 10),
]


def check_case(models: Models, seed: int, number: int) -> None:
    """Ask one thing; raises BrokenRule if a rule is broken."""
    rng = random.Random(f"{seed}-{number}")
    ((ask, _, seconds),) = rng.choices(ASKED, [weight for _, weight, _ in ASKED])
    limit_seconds(seconds)
    try:
        ask(models, rng)
    except BrokenRule as error:
        raise BrokenRule(f"{ask.__name__}: {error}") from None
    except UnicodeError as error:
        raise BrokenRule(f"{ask.__name__}: {type(error).__name__}: {error}") from error
    except (ValueError, TypeError, OSError) as error:
        message = str(error)
        if len(message) < 20 or "\n" in message.strip():
            raise BrokenRule(f"{ask.__name__}: no sentence: {type(error).__name__}: {message!r}") from error
    except Exception as error:
        raise BrokenRule(f"{ask.__name__}: {type(error).__name__}: {error}") from error
    finally:
        limit_seconds(0)


def run(n: int, seed: int, jobs: int, quiet: bool = False) -> int:
    """Run cases; the number of findings, which are printed."""
    begin, n_findings = time.monotonic(), 0
    for done, findings in in_blocks(__file__, ["--seed", str(seed)], n, jobs):
        n_findings += len(findings)
        for finding in findings:
            print(f"seed {seed}, number {finding.number}: {finding.message}", flush=True)
        if not quiet:
            minutes = (time.monotonic() - begin) / 60
            print(f"{done:,} inputs in {minutes:.1f} min, {n_findings} findings", flush=True)
    return n_findings


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=1_000_000, help="inputs (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="child processes at once")
    parser.add_argument("--only", type=int, help="run this case alone, in this process")
    parser.add_argument("--block", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.block is None and args.only is None:
        return int(run(args.n, args.seed, args.jobs) > 0)
    with tempfile.TemporaryDirectory() as folder:
        models = fitted_models(Path(folder))
        if args.only is not None:
            check_case(models, args.seed, args.only)
        else:
            first, last, state_file = args.block
            run_cases(lambda number: check_case(models, args.seed, number), int(first), int(last), state_file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
