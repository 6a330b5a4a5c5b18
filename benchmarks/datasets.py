"""The data sets of the comparison: which files, which splits, what counts as a token."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common import read_labelled

CROSS_VALIDATED = {"mr": "mr.tsv", "cr": "cr.tsv"}
GIVEN_SPLITS = {
    "trec": ("trec.train.tsv", "trec.test.tsv"),
    "sst2": ("sst2.train.tsv", "sst2.test.tsv"),
    "imdb": ("imdb.train.tsv.gz", "imdb.test.tsv.gz"),
    "agnews": ("agnews.train10k.tsv.gz", "agnews.test.tsv.gz"),
    "thucnews": ("thucnews.train45k.tsv.gz", "thucnews.test.tsv.gz"),
}
NAMES = (*CROSS_VALIDATED, *GIVEN_SPLITS)
CHINESE = ("thucnews",)
N_FOLDS = 10

# Words with inner apostrophes, single punctuation marks, single Chinese characters.
_HAN = "㐀-䶿一-鿿"
TOKEN = re.compile(rf"[{_HAN}]|[^\W{_HAN}]+(?:'[^\W{_HAN}]+)*|[^\w\s]")


@dataclass(frozen=True)
class Split:
    """Training and test texts with their labels.

    Parameters
    ----------
    name : str
    X_train, X_test : list of str
    y_train, y_test : list of str
    chinese : bool
        The text has no spaces between words.
    """

    name: str
    X_train: list[str]
    y_train: list[str]
    X_test: list[str]
    y_test: list[str]
    chinese: bool = False

    def speed_texts(self, most_texts: int, most_characters: int) -> list[str]:
        """Texts on which prediction is timed: test, then training texts, up to the limits."""
        chosen, length = [], 0
        for text in self._all_texts():
            length += len(text)
            if len(chosen) == most_texts or (chosen and length > most_characters):
                break
            chosen.append(text)
        return chosen

    def _all_texts(self) -> Iterator[str]:
        yield from self.X_test
        yield from self.X_train


def read_split(data: str | Path, name: str, round_number: int, n_folds: int = N_FOLDS) -> Split:
    """The split of one round.

    MR and CR have no test part: round i has fold ``i % n_folds`` of
    ``StratifiedKFold(10, shuffle=True, random_state=0)``. The other sets have the given split. Training
    rows are shuffled, since some files are in the order of their labels; every peer gets the same order.
    """
    folder = Path(data) / "sentences"
    if name in CROSS_VALIDATED:
        return _fold_as_split(name, *read_labelled(folder / CROSS_VALIDATED[name]), round_number % n_folds)
    train_file, test_file = GIVEN_SPLITS[name]
    train = _shuffled(*read_labelled(folder / train_file))
    return Split(name, *train, *read_labelled(folder / test_file), name in CHINESE)


def development_split(data: str | Path, name: str, fold: int, n_folds: int) -> Split:
    """A stratified fold of the training part, for choosing parameters without looking at the test part."""
    path = Path(data) / "sentences" / GIVEN_SPLITS[name][0]
    return _fold_as_split(name, *read_labelled(path), fold, n_folds)


def _fold_as_split(name: str, X: list[str], y: list[str], number: int, n_folds: int = N_FOLDS) -> Split:
    # imported here, since measured processes read this module and must not carry scikit-learn along
    from sklearn.model_selection import StratifiedKFold

    folds = StratifiedKFold(n_folds, shuffle=True, random_state=0).split(y, y)
    train, test = list(folds)[number]
    parts = _shuffled([X[i] for i in train], [y[i] for i in train])
    return Split(name, *parts, [X[i] for i in test], [y[i] for i in test], name in CHINESE)


def _shuffled(X: list[str], y: list[str]) -> tuple[list[str], list[str]]:
    order = list(range(len(X)))
    random.Random(0).shuffle(order)
    return [X[i] for i in order], [y[i] for i in order]


def count_tokens(texts: list[str]) -> int:
    """Number of tokens by `TOKEN`: one count for all peers, whatever they take as tokens."""
    return sum(len(TOKEN.findall(text)) for text in texts)
