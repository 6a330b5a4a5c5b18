"""Texts that are read once and kept as token ids on disk, for training on more than fits into memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np

from textcnn._kernels import _packing
from textcnn._kernels._text import count_tokens
from textcnn.text.inputs import Text, as_texts
from textcnn.text.vocabulary import UNKNOWN_ID, Analyzer, EncodedTexts, UnknownWords, Vocabulary, _selection

# Characters that are cut into tokens at a time, and tokens that are moved at a time.
CHARACTERS_PER_BLOCK = 1 << 23
TOKENS_PER_BLOCK = 1 << 20

# A token on disk is an int32 with its shape in the lowest bits.
SHAPE_BITS = 3
MAX_TOKENS = 1 << (31 - SHAPE_BITS)


class Corpus:
    """Labelled texts for `TextCNNClassifier.fit` that need not fit into memory.

    `fit` reads the texts once and keeps their token ids in a temporary file, which is gone when training
    is over. In memory are the vocabulary, the network and some tens of bytes for each text. The result is
    the same, to the bit, as with the texts in a list. A Corpus may also be the validation texts. It starts a
    model; to go on with a fitted one (`warm_start`, `partial_fit`) takes texts in a list, some at a time.

    Parameters
    ----------
    batches : iterable of (texts, labels)
        Some texts at a time, in any form that `fit` takes, and as many labels. A list, or an object
        whose `__iter__` starts anew, can be read by each `fit`; an iterator or a generator by one only.
    folder : str or path-like, default=None
        Where the temporary files lie; None for the system's choice.

    Examples
    --------
    >>> from textcnn import TextCNNClassifier
    >>> from textcnn.text.corpus import Corpus
    >>> batches = [(["what a film", "what a bore"], ["good", "bad"]), (["a lovely film"], ["good"])]
    >>> clf = TextCNNClassifier(random_state=0).fit(Corpus(batches), None)
    >>> clf.classes_.tolist()
    ['bad', 'good']
    """

    def __init__(
        self, batches: Iterable[tuple[Any, Any]], folder: str | os.PathLike[str] | None = None
    ) -> None:
        self.batches = batches
        self.folder = folder
        self._was_read = False

    def scan(
        self, analyzer: Analyzer, lowercase: bool, n_threads: int, y: Any = None, name: str = "X"
    ) -> StoredTexts:
        """Read all texts, cut them into tokens and store these.

        Parameters
        ----------
        analyzer, lowercase : as in `Vocabulary`
        n_threads : int
        y : None
            Labels given in another place are refused.
        name : str, default="X"
            How error messages call the corpus: an item of its first batch is ``X.batches[0][0][0]``.

        Returns
        -------
        StoredTexts

        Raises
        ------
        ValueError, TypeError
            If something does not fit; the message names the batch.
        """
        if y is not None:
            y_name = name.replace("X", "y")
            raise ValueError(
                f"{name} is a Corpus, which has its labels, but {y_name} is a {type(y).__name__}; "
                f"give {y_name}=None"
            )
        # Also after a scan that failed: an iterator would go on in the middle, without the first texts.
        if self._was_read and isinstance(self.batches, Iterator):
            raise ValueError(
                f"{name} is a Corpus whose batches are an iterator, which was used up when it was first "
                "read; give a list of batches or a new Corpus"
            )
        self._was_read = True
        with _Store(self.folder) as store:
            scanner = _Scanner(Vocabulary(analyzer=analyzer, lowercase=lowercase), store, n_threads)
            for texts, labels in _blocks(_checked(self.batches, name)):
                scanner.add(texts, labels)
            stored = scanner.finished(self.folder)
        if not len(stored):
            used_up = (
                "; if its iterator was used up, give a list" if isinstance(self.batches, Iterator) else ""
            )
            raise ValueError(f"{name}: the Corpus has no texts, but at least one is needed{used_up}")
        return stored


@dataclass
class StoredTexts:
    """Encoded texts on disk, or a selection of them.

    Their ids are provisional, by first use; `build` gives those of a vocabulary.

    Attributes
    ----------
    tokens : list of str
        The token of the provisional id 0, 1, ...
    codes : int32 ndarray of shape (n_tokens,)
        A memory map of all texts, those left out too: ``provisional id << SHAPE_BITS | shape``.
    offsets : intp ndarray
    rows : intp ndarray of shape (n_texts,) or None
        The texts selected, in their order; None for all.
    classes : ndarray of shape (n_classes,)
    targets : intp ndarray of shape (n_texts,)
        The class number of each text.
    """

    tokens: list[str]
    codes: np.ndarray
    offsets: np.ndarray
    rows: np.ndarray | None
    classes: np.ndarray
    targets: np.ndarray
    analyzer: Analyzer
    lowercase: bool
    folder: str | os.PathLike[str] | None

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, index: np.ndarray) -> StoredTexts:
        """The texts `index`, in that order; nothing is copied."""
        rows = index if self.rows is None else self.rows[index]
        return StoredTexts(
            self.tokens,
            self.codes,
            self.offsets,
            np.ascontiguousarray(rows, dtype=np.intp),
            self.classes,
            self.targets[index],
            self.analyzer,
            self.lowercase,
            self.folder,
        )

    def build(
        self, min_df: int | float, max_features: int | None
    ) -> tuple[Vocabulary, np.ndarray, np.ndarray, np.ndarray]:
        """As `Vocabulary.build`: vocabulary, ids and offsets, and the shapes; the arrays are memory maps."""
        counts, text_counts = self._counts(
            by_text=not (isinstance(min_df, (int, np.integer)) and min_df == 1)
        )
        # Tokens by falling number of uses, ties by code point; those of texts left out are not used.
        used = np.flatnonzero(counts)
        order = np.array(sorted(used.tolist(), key=lambda i: (-counts[i], self.tokens[i])), dtype=np.intp)
        kept = order[_selection(text_counts[order], len(self), min_df, max_features)]
        vocabulary = Vocabulary(
            (self.tokens[i] for i in kept.tolist()), analyzer=self.analyzer, lowercase=self.lowercase
        )
        final = np.zeros(len(self.tokens), np.int32)
        final[kept] = np.arange(1, len(kept) + 1, dtype=np.int32)
        return vocabulary, *self._stored(final)

    def encoded(self, vocabulary: Vocabulary) -> EncodedTexts:
        """As `encode_fully` of another vocabulary; ids and shapes are memory maps."""
        final, _ = vocabulary._table.encode([self.tokens], "word", False, 1)
        unknown = [np.empty(0, np.int32), *(ids[final[ids] == UNKNOWN_ID] for ids, _, _ in self._blocks())]
        ids, offsets, shapes = self._stored(final)
        return EncodedTexts(ids, offsets, shapes, self._words(np.concatenate(unknown)))

    def saved(self, chunks: Iterable[np.ndarray], size: int) -> np.ndarray:
        """Pieces of an int32 array of shape (size,), end to end in a memory map beside that of the texts."""
        with _Store(self.folder) as store:
            for chunk in chunks:
                store.append(chunk)
            return store.mapped()

    def _words(self, places: np.ndarray) -> UnknownWords:
        """The words of provisional ids, in their order."""
        words = {i: self.tokens[i].encode("utf-8", "surrogatepass") for i in np.unique(places).tolist()}
        found = [words[i] for i in places.tolist()]
        offsets = np.zeros(len(found) + 1, np.int64)
        np.cumsum([len(word) for word in found], out=offsets[1:])
        return UnknownWords(np.frombuffer(b"".join(found), np.uint8), offsets)

    def _blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Provisional ids, offsets and shapes of the texts in their order, some at a time."""
        rows = np.arange(len(self), dtype=np.intp) if self.rows is None else self.rows
        ends = np.cumsum(self.offsets[rows + 1] - self.offsets[rows])
        n_tokens = int(ends[-1]) if len(ends) else 0
        cuts = np.searchsorted(ends, np.arange(TOKENS_PER_BLOCK, n_tokens, TOKENS_PER_BLOCK))
        edges = np.unique([0, *cuts, len(rows)])
        for first, last in pairwise(edges):
            index = rows[first:last]
            offsets = np.zeros(len(index) + 1, np.intp)
            codes = np.empty(int((self.offsets[index + 1] - self.offsets[index]).sum()), np.int32)
            _packing.take_texts(self.codes, self.offsets, index, codes, offsets)
            yield codes >> SHAPE_BITS, offsets, codes & ((1 << SHAPE_BITS) - 1)

    def _counts(self, by_text: bool) -> tuple[np.ndarray, np.ndarray]:
        """How often each provisional id is used, and in how many texts (or 1 for any, which is faster)."""
        counts = np.zeros(len(self.tokens), np.int64)
        text_counts = np.zeros(len(self.tokens), np.int64)
        for ids, offsets, _ in self._blocks():
            counts += np.bincount(ids, minlength=len(counts))
            if by_text:
                texts = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
                pairs = np.unique(texts * len(counts) + ids)
                text_counts += np.bincount(pairs % len(counts), minlength=len(counts))
        return counts, text_counts if by_text else np.minimum(counts, 1)

    def _stored(self, final: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The texts with the ids ``final[provisional id]``, their offsets, and their shapes."""
        lengths = [np.zeros(1, np.intp)]
        with _Store(self.folder) as id_store, _Store(self.folder) as shape_store:
            for ids, offsets, shapes in self._blocks():
                id_store.append(final[ids])
                shape_store.append(shapes)
                lengths.append(np.diff(offsets))
            return (
                id_store.mapped(),
                np.cumsum(np.concatenate(lengths), dtype=np.intp),
                shape_store.mapped(),
            )


# Texts as the estimator passes them on: in memory or on disk.
Texts: TypeAlias = list[Text] | StoredTexts


class _Store:
    """An int32 array that grows in a temporary file without a name."""

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__
        self._length = 0

    def __enter__(self) -> _Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def append(self, ids: np.ndarray) -> None:
        self._file.write(ids.data)
        self._length += len(ids)

    def mapped(self) -> np.ndarray:
        """The array; it outlives the store, and the file goes with it."""
        if not self._length:  # an empty file cannot be mapped
            return np.empty(0, np.int32)
        self._file.flush()
        return np.memmap(self._file, np.int32, "r", shape=(self._length,))


class _Scanner:
    """Cuts texts into tokens, stores these under provisional ids, and collects the labels."""

    def __init__(self, cutter: Vocabulary, store: _Store, n_threads: int) -> None:
        self._cutter = cutter
        self._store = store
        self._n_threads = n_threads
        self._places: dict[str, int] = {}
        self._label_places: dict[Any, int] = {}
        self._lengths = [np.zeros(1, np.intp)]
        self._labels: list[np.ndarray] = []

    def add(self, texts: list[Text], labels: list[Any]) -> None:
        analyzed = self._cutter.analyzed(texts)
        if callable(self._cutter.analyzer):
            for kind in {type(token) for tokens in analyzed for token in tokens}:
                # The compiled code would name the place among the joined batches, which tells nothing.
                if not issubclass(kind, str):
                    raise TypeError(
                        "the analyzer must return an iterable of str, but "
                        f"{self._cutter.analyzer!r} returned one with a {kind.__name__}"
                    )
        token_bytes, token_offsets, _, _, ids, offsets = count_tokens(
            *self._cutter._prepared(analyzed), self._n_threads
        )
        shapes = self._cutter.shapes(analyzed, self._n_threads)
        tokens = Vocabulary.from_arrays(
            token_bytes, token_offsets, analyzer="word", lowercase=False
        ).id_to_token[1:]
        places = self._places
        provisional = [places.setdefault(token, len(places)) for token in tokens]
        if len(places) > MAX_TOKENS:
            raise OverflowError(f"a Corpus can have at most {MAX_TOKENS} distinct tokens; give fewer texts")
        self._store.append(np.array([-1, *provisional], np.int32)[ids] << SHAPE_BITS | shapes)
        self._lengths.append(np.diff(offsets))
        numbers = self._label_places
        codes = [numbers.setdefault(label, len(numbers)) for label in labels]
        self._labels.append(np.array(codes, np.min_scalar_type(len(numbers))))

    def finished(self, folder: str | os.PathLike[str] | None) -> StoredTexts:
        classes, ranks = np.unique(np.array(list(self._label_places)), return_inverse=True)
        codes = np.concatenate([np.empty(0, np.uint8), *self._labels])
        targets = ranks.astype(np.intp)[codes] if len(codes) else np.empty(0, np.intp)
        return StoredTexts(
            list(self._places),
            self._store.mapped(),
            np.cumsum(np.concatenate(self._lengths), dtype=np.intp),
            None,
            classes,
            targets,
            self._cutter.analyzer,
            self._cutter.lowercase,
            folder,
        )


def _checked(batches: Any, name: str) -> Iterator[tuple[list[Text], list[Any]]]:
    """Each batch as two lists of one length; whatever training could not use is refused."""
    if isinstance(batches, (str, bytes, Mapping)) or not _can_iterate(batches):
        raise TypeError(
            f"{name}.batches is a {type(batches).__name__}, but it must be a list or an iterator of pairs "
            "(texts, labels)"
        )
    known: dict[Any, None] = {}
    for number, batch in enumerate(batches):
        where = f"{name}.batches[{number}]"
        given_texts, given_labels = _pair(batch, where)
        texts = _batch_texts(given_texts, f"{where}[0]")
        labels = _batch_labels(given_labels, f"{where}[1]")
        # Before batches are joined: too many labels in one could make up for too few in another.
        if len(texts) != len(labels):
            raise ValueError(
                f"{where} has {len(texts)} texts, but {len(labels)} labels; give one label for each text"
            )
        for place in _new_labels(labels, known):
            _check_label(labels[place], f"{where}[1][{place}]", known)
            known[labels[place]] = None
        yield texts, labels


def _can_iterate(value: Any) -> bool:
    """Does a loop over the value work? Also true with `__getitem__` alone, unlike with `Iterable`."""
    try:
        iter(value)
    except TypeError:
        return False
    return True


def _pair(batch: Any, where: str) -> tuple[Any, Any]:
    """Texts and labels of a batch."""
    found = f"a {type(batch).__name__}"
    if not isinstance(batch, (str, bytes, Mapping, Set)) and _can_iterate(batch):
        parts = tuple(batch)
        if len(parts) == 2:
            return parts[0], parts[1]
        found += f" of length {len(parts)}"
    raise TypeError(f"{where} is {found}, but every batch must be a pair (texts, labels)")


def _batch_texts(given: Any, where: str) -> list[Text]:
    if isinstance(given, (str, bytes)):
        raise TypeError(
            f"{where} is a single {type(given).__name__}, but the texts of a batch must be a list; give "
            "([text], [label])"
        )
    texts = as_texts(given, where)
    for place, text in enumerate(texts):
        if not isinstance(text, str) and not all(issubclass(kind, str) for kind in set(map(type, text))):
            wrong = next(i for i, token in enumerate(text) if not isinstance(token, str))
            raise TypeError(
                f"{where}[{place}][{wrong}] is of type {type(text[wrong]).__name__}, but every token must "
                "be a str"
            )
    return texts


def _batch_labels(given: Any, where: str) -> list[Any]:
    expected = "the labels of a batch must be a list with a label for each text"
    # A set has no order, so its labels belong to no text.
    if isinstance(given, (str, bytes, Mapping, Set)) or not _can_iterate(given):
        single = "single " if isinstance(given, (str, bytes)) else ""
        raise TypeError(f"{where} is a {single}{type(given).__name__}, but {expected}")
    shape = getattr(given, "shape", None)
    if shape is not None and len(shape) != 1:
        if len(shape) != 2 or shape[1] != 1:
            raise ValueError(f"{where} has shape {tuple(shape)}, but {expected}; choose one column")
        given = np.asarray(given).ravel()
    # Items of NumPy's arrays keep their type, so that classes have it as well; Arrow's are no labels.
    return list(given.to_pylist() if hasattr(given, "to_pylist") else given)


def _new_labels(labels: list[Any], known: dict[Any, None]) -> list[int]:
    """Where labels stand that no batch before had; all places if a label cannot be looked up."""
    first: dict[Any, int] = {}
    try:
        for place, label in enumerate(labels):
            first.setdefault(label, place)
    except TypeError:
        return list(range(len(labels)))
    return [place for label, place in first.items() if label not in known]


def _check_label(label: Any, where: str, known: dict[Any, None]) -> None:
    """Refuse a label that cannot be a class beside the known ones."""
    if _is_missing(label):
        raise ValueError(f"{where} is {label}, but every label must be given; drop its text")
    if isinstance(label, (float, np.floating)) and not float(label).is_integer():
        raise ValueError(
            f"{where} is {label}, but labels must be classes: str or whole numbers; put the numbers into "
            "ranges"
        )
    if _kind(label) == "other":
        raise TypeError(
            f"{where} is a {type(label).__name__}, but every label must be a str or a whole number; give "
            "each text one such label"
        )
    first = next(iter(known), label)
    if _kind(label) != _kind(first):
        raise ValueError(
            f"{where} is a label of type {type(label).__name__}, but the Corpus began with the type "
            f"{type(first).__name__}; use one type"
        )


def _is_missing(label: Any) -> bool:
    """None, NaN and their like, which differ from themselves."""
    try:
        return label is None or bool(label != label)
    except TypeError:  # the NA of pandas is not even unlike itself
        return True
    except ValueError:  # an array
        return False


def _kind(label: Any) -> str:
    """Labels of one kind can be sorted."""
    if isinstance(label, str):
        return "str"
    if isinstance(label, np.datetime64):
        return "date"
    return "number" if isinstance(label, (Integral, np.bool_, float, np.floating)) else "other"


def _blocks(batches: Iterable[tuple[list[Text], list[Any]]]) -> Iterator[tuple[list[Text], list[Any]]]:
    """The batches, small ones joined: counting many texts at once is faster."""
    texts: list[Text] = []
    labels: list[Any] = []
    size = 0
    for more_texts, more_labels in batches:
        texts.extend(more_texts)
        labels.extend(more_labels)
        size += sum(map(len, more_texts)) + len(more_texts)
        if size >= CHARACTERS_PER_BLOCK:
            yield texts, labels
            texts, labels, size = [], [], 0
    if texts:
        yield texts, labels
