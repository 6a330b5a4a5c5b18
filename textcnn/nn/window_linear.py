"""A linear tagger over windows of tokens, beside the network: a random field of the usual kind.

The score of a tag at a token is a sum of coefficients of what stands in a window around it: words with
their hashed affixes and shapes, two tokens to either side, and n-grams: pairs of neighbouring words, pairs
and triples of neighbouring shapes, from those that end with the token before it to those that end two
tokens to its right. It is trained by the loop that trains networks, but apart from the network: the two
share no coefficient.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from textcnn._kernels import _conv, _packing
from textcnn.nn.array_model import ArrayModel
from textcnn.nn.crf import CHAIN, chain_arrays, sequence_loss
from textcnn.nn.optimizers import Gradient
from textcnn.nn.tagging_cnn import TaggedExamples, WindowRows, row_gradient
from textcnn.nn.training import TrainingOptions
from textcnn.nn.workspace import Workspace

# Tokens, and n-grams by their last token, whose coefficients count at a token.
WINDOW = 5
PAIR_WINDOW = 4

# Pairs and triples with fewer uses in the training sentences are left out.
LEAST_PAIR_USES = 2

# Coefficients at most: 2 GB, and in training three times that. The system would end a process that asks for
# more than there is.
MOST_COEFFICIENTS = 1 << 29

# Keys of pairs and triples of shapes are sums of multiples of these odd numbers, modulo 2**62.
SHAPE_FACTORS = np.array([0x1E3779B97F4A7C15, 0x3F58476D1CE4E5B9, 0x14D049BB133111EB], np.uint64)
UNKNOWN = -1


class WindowLinear(ArrayModel):
    """Coefficients of window features and of tag pairs.

    Parameters
    ----------
    n_hashed_rows : int
        Rows of the encoder's hashed attributes.
    pairs : int64 ndarray, sorted
        Known pairs of words as `pair_keys` numbers them, and n-grams of shapes as `shape_keys` does.
    arrays : dict of str to float32 ndarray
        ``rows`` (n_hashed_rows + n_words, WINDOW * n_tags), of each attribute and word, by its place in the
        window, from the token two to the left to the one two to the right; ``pair_rows``
        (n_pairs + 1, PAIR_WINDOW * n_tags), row 0, of unknown pairs, being zero; ``transitions``, ``start``
        and ``stop``.
    head : {"crf", "softmax"}
    has_shapes : bool, default=False
        Whether the last attribute is the shape; if not, there are no n-grams of shapes.
    """

    ARRAYS: ClassVar[tuple[str, ...]] = ("rows", "pair_rows", *CHAIN)
    SCRATCH: ClassVar[tuple[str, ...]] = ("work", "_row_marks", "_pair_marks", "_type_marks")
    PENALIZED: ClassVar[tuple[str, ...]] = ("rows", "pair_rows")

    def __init__(
        self, n_hashed_rows: int, pairs: np.ndarray, arrays: dict[str, np.ndarray], head: str,
        has_shapes: bool = False,
    ) -> None:  # fmt: skip
        self.n_hashed_rows = n_hashed_rows
        self.pairs = pairs
        self.arrays = arrays
        self.head = head
        self.has_shapes = has_shapes
        self._prepare()

    def _prepare(self) -> None:
        self.work = Workspace()
        self._row_marks = np.full(len(self.arrays["rows"]), -1, np.int32)
        self._pair_marks = np.full(len(self.arrays["pair_rows"]), -1, np.int32)

    @classmethod
    def initialized(
        cls, examples: TaggedExamples, n_words: int, n_hashed_rows: int, n_tags: int, head: str,
        has_shapes: bool = False,
    ) -> WindowLinear:  # fmt: skip
        """Coefficients of zero for the words, attributes, pairs and triples of training sentences.

        Raises ValueError if there would be more than `MOST_COEFFICIENTS`.
        """
        keys, uses = np.unique(_ngram_keys(examples, has_shapes), return_counts=True)
        pairs = keys[(uses >= LEAST_PAIR_USES) & (keys != UNKNOWN)]
        n_rows = n_hashed_rows + n_words
        size = (n_rows * WINDOW + len(pairs) * PAIR_WINDOW) * n_tags
        if size > MOST_COEFFICIENTS:
            raise ValueError(
                f"the linear part would have {size:,} coefficients for {n_tags} tags, {n_rows:,} words and "
                f"affixes and {len(pairs):,} pairs, but may have {MOST_COEFFICIENTS:,} at most; "
                "set linear=0, or a larger min_count"
            )
        arrays = {
            "rows": np.zeros((n_rows, WINDOW * n_tags), np.float32),
            "pair_rows": np.zeros((len(pairs) + 1, PAIR_WINDOW * n_tags), np.float32),
            **chain_arrays(n_tags),
        }
        return cls(n_hashed_rows, pairs, arrays, head, has_shapes)

    @property
    def n_tags(self) -> int:
        """Tags that are scored."""
        return len(self.arrays["start"])

    def parameters(self) -> dict[str, np.ndarray]:
        """The coefficients as matrices that share memory with the model."""
        names = self.ARRAYS if self.head == "crf" else ("rows", "pair_rows")
        return {name: self.arrays[name].reshape(-1, self.arrays[name].shape[-1]) for name in names}

    def prepared(self, examples: TaggedExamples) -> TaggedExamples:
        """The examples with the rows of their coefficients, so that no step has to look them up."""
        types = np.arange(len(examples.features))
        rows = WindowRows(self._feature_rows(examples.features, types), self._pair_rows(examples))
        return replace(examples, window_rows=rows)

    def batch_gradients(
        self, batch: TaggedExamples, weight: float, options: TrainingOptions, seed: int, step: int
    ) -> tuple[float, dict[str, Gradient]]:
        """Loss of a batch divided by `weight`, and the gradient of every coefficient; no dropout."""
        work, n_threads = self.work, options.n_threads
        marks = getattr(self, "_type_marks", None)
        if marks is None or len(marks) < len(batch.features):
            marks = self._type_marks = np.full(len(batch.features), -1, np.int32)
        found = work.array("types", (min(batch.n_tokens, len(marks)),), np.int32)
        slots = work.array("slots", (batch.n_tokens,), np.int32)
        found = found[: _packing.distinct(batch.types, marks, found, slots)]
        if batch.window_rows is None:
            rows, pairs = self._feature_rows(batch.features, found), self._pair_rows(batch)
        else:
            rows, pairs = batch.window_rows.of_types[found], batch.window_rows.of_tokens
        emissions = self._score(rows, slots, pairs, batch.offsets, n_threads)
        loss, d_emissions, chain = sequence_loss(
            self.head, emissions, self.arrays, batch.targets, batch.offsets,
            (batch.sample_weight / weight).astype(np.float32), work, n_threads,
        )  # fmt: skip
        d_sums = work.array("d_sums", (len(found), WINDOW * self.n_tags))
        _conv.conv_same_backward(d_emissions, slots, batch.offsets, WINDOW, d_sums, n_threads)
        gradients = {
            "rows": row_gradient("rows", rows, d_sums, self._row_marks, work),
            "pair_rows": self._pair_gradient(pairs, batch.offsets, d_emissions, n_threads),
        }
        for name, gradient in chain.items():
            gradients[name] = Gradient(gradient.reshape(-1, gradient.shape[-1]))
        return loss, gradients

    def emissions(self, types: np.ndarray, offsets: np.ndarray, features: Any, n_threads: int) -> np.ndarray:
        """Scores of the tags at each token, float32 of shape (n_tokens, n_tags)."""
        found, slots = np.unique(types, return_inverse=True)
        batch = TaggedExamples(types, offsets, types, np.empty(0, np.float32), features)
        rows = self._feature_rows(features, found)
        return self._score(rows, slots.astype(np.int32), self._pair_rows(batch), offsets, n_threads)

    def _feature_rows(self, features: Any, types: np.ndarray) -> np.ndarray:
        """Rows of the coefficients of each distinct token, int32 of shape (n_types, 1 + n_attributes)."""
        words = features.words[types][:, np.newaxis]
        # Words that are known from word vectors alone have no coefficients.
        words = np.where(words < len(self.arrays["rows"]) - self.n_hashed_rows, words, 0) + self.n_hashed_rows
        return np.concatenate([words, features.hashed[types]], axis=1).astype(np.int32)

    def _pair_rows(self, batch: TaggedExamples) -> np.ndarray:
        """Rows of the pairs and triples that each token ends, int32 of shape (n_tokens, 1 or 3)."""
        keys = _ngram_keys(batch, self.has_shapes)
        if len(self.pairs) == 0:
            return np.zeros(keys.shape, np.int32)
        places = np.minimum(np.searchsorted(self.pairs, keys), len(self.pairs) - 1)
        return np.where(self.pairs[places] == keys, places + 1, 0).astype(np.int32)

    def _score(
        self, rows: np.ndarray, slots: np.ndarray, pairs: np.ndarray, offsets: np.ndarray, n_threads: int
    ) -> np.ndarray:
        n_tags = self.n_tags
        sums = np.empty((len(rows), WINDOW * n_tags), np.float32)
        _packing.gather_sums(self.arrays["rows"], rows, sums, n_threads)
        emissions = np.empty((len(slots), n_tags), np.float32)
        zeros = np.zeros(n_tags, np.float32)
        _conv.conv_same_forward(sums, zeros, slots, offsets, WINDOW, False, emissions, n_threads)
        pair_sums = np.empty((len(pairs), PAIR_WINDOW * n_tags), np.float32)
        _packing.gather_sums(self.arrays["pair_rows"], pairs, pair_sums, n_threads)
        of_pairs = np.empty_like(emissions)
        tokens = np.arange(len(pairs), dtype=np.int32)
        _conv.conv_same_forward(pair_sums, zeros, tokens, offsets, PAIR_WINDOW, False, of_pairs, n_threads)
        emissions += of_pairs
        return emissions

    def _pair_gradient(
        self, pairs: np.ndarray, offsets: np.ndarray, d_emissions: np.ndarray, n_threads: int
    ) -> Gradient:
        d_sums = self.work.array("d_pair_sums", (len(pairs), PAIR_WINDOW * self.n_tags))
        tokens = np.arange(len(pairs), dtype=np.int32)
        _conv.conv_same_backward(d_emissions, tokens, offsets, PAIR_WINDOW, d_sums, n_threads)
        gradient = row_gradient("pair_rows", pairs, d_sums, self._pair_marks, self.work)
        assert gradient.rows is not None, "the rows that were looked up"
        known = gradient.rows > 0  # the row of unknown pairs stays zero
        return Gradient(gradient.value[known], gradient.rows[known])

    def cover_words(self, n_words: int) -> None:
        """Coefficients of zero for the words up to `n_words` that have none yet."""
        rows = self.arrays["rows"]
        added = np.zeros((self.n_hashed_rows + n_words - len(rows), rows.shape[1]), np.float32)
        self.arrays["rows"] = np.concatenate([rows, added])
        self._prepare()

    def copy(self) -> WindowLinear:
        """Coefficients of its own."""
        return WindowLinear(self.n_hashed_rows, self.pairs, self.copy_arrays(), self.head, self.has_shapes)


def pair_keys(batch: TaggedExamples) -> np.ndarray:
    """Number of the pair that each token ends, int64 of shape (n_tokens,).

    ``left * 2**32 + word``, where `left` is the word before, or 0 at the begin of a sentence; -1 if one of
    the two is unknown.
    """
    words = batch.features.words[batch.types].astype(np.int64)
    left = np.empty_like(words)
    left[1:] = words[:-1]
    known = (words > 0) & (left > 0)
    begins = batch.offsets[:-1][np.diff(batch.offsets) > 0]
    left[begins] = 0
    known[begins] = words[begins] > 0
    return np.where(known, (left << 32) + words, -1)


def shape_keys(batch: TaggedExamples) -> np.ndarray:
    """Numbers of the pair and of the triple of shapes that each token ends, int64 of shape (n_tokens, 2).

    Below -1; the shape, the last attribute, is 0 before the begin of a sentence. -1 if one is unknown.
    """
    shapes = batch.features.hashed[batch.types, -1].astype(np.int64)
    n, lengths = len(shapes), np.diff(batch.offsets)
    place = np.arange(n) - np.repeat(batch.offsets[:-1], lengths)
    known, total = shapes > 0, shapes.astype(np.uint64) * SHAPE_FACTORS[0]
    keys = np.empty((n, 2), np.int64)
    for back in (1, 2):
        before = np.zeros(n, np.int64)
        before[back:] = shapes[: n - back]
        before[place < back] = 0
        known = known & ((before > 0) | (place < back))
        total = total + before.astype(np.uint64) * SHAPE_FACTORS[back]
        mixed = (total & np.uint64(2**62 - 1)).astype(np.int64)
        # pairs above -2**62, triples below
        keys[:, back - 1] = np.where(known, -2 - mixed - (back - 1) * 2**62, UNKNOWN)
    return keys


def _ngram_keys(batch: TaggedExamples, has_shapes: bool) -> np.ndarray:
    """Keys of all n-grams that each token ends, int64 of shape (n_tokens, 1 or 3)."""
    words = pair_keys(batch)[:, np.newaxis]
    return np.concatenate([words, shape_keys(batch)], axis=1) if has_shapes else words
