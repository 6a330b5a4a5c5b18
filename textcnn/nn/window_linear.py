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

from textcnn._kernels import _window_linear
from textcnn.nn.array_model import ArrayModel
from textcnn.nn.crf import CHAIN, chain_arrays, sequence_loss
from textcnn.nn.optimizers import Gradient
from textcnn.nn.tagging_cnn import TaggedExamples, WindowRows
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

# Rows whose coefficients stay zero.
NO_ROW, UNKNOWN_PAIR = -1, 0


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
    SCRATCH: ClassVar[tuple[str, ...]] = ("work", "_marks")
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
        tables = ("rows", "pair_rows")
        self._marks = {name: np.full(len(self.arrays[name]), -1, np.int32) for name in tables}

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
        if batch.window_rows is None:
            rows, pairs = self._feature_rows(batch.features, batch.types), self._pair_rows(batch)
        else:
            rows, pairs = batch.window_rows.of_types[batch.types], batch.window_rows.of_tokens
        emissions = work.array("emissions", (batch.n_tokens, self.n_tags))
        self._score(rows, pairs, batch.offsets, emissions, n_threads)
        loss, d_emissions, chain = sequence_loss(
            self.head, emissions, self.arrays, batch.targets, batch.offsets,
            (batch.sample_weight / weight).astype(np.float32), work, n_threads,
        )  # fmt: skip
        gradients = {
            "rows": self._gradient("rows", rows, WINDOW, NO_ROW, batch.offsets, d_emissions),
            "pair_rows": self._gradient(
                "pair_rows", pairs, PAIR_WINDOW, UNKNOWN_PAIR, batch.offsets, d_emissions
            ),
        }
        for name, gradient in chain.items():
            gradients[name] = Gradient(gradient.reshape(-1, gradient.shape[-1]))
        return loss, gradients

    def emissions(self, types: np.ndarray, offsets: np.ndarray, features: Any, n_threads: int) -> np.ndarray:
        """Scores of the tags at each token, float32 of shape (n_tokens, n_tags)."""
        batch = TaggedExamples(types, offsets, types, np.empty(0, np.float32), features)
        emissions = np.empty((len(types), self.n_tags), np.float32)
        self._score(
            self._feature_rows(features, types), self._pair_rows(batch), offsets, emissions, n_threads
        )
        return emissions

    def _feature_rows(self, features: Any, types: np.ndarray) -> np.ndarray:
        """Rows of the coefficients of tokens, int32 of shape (len(types), 1 + n_attributes)."""
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
        self, rows: np.ndarray, pairs: np.ndarray, offsets: np.ndarray, out: np.ndarray, n_threads: int
    ) -> None:
        """Scores of the tags at each token, of which `rows` and `pairs` name the coefficients."""
        _window_linear.window_scores(self.arrays["rows"], rows, offsets, WINDOW, False, out, n_threads)
        _window_linear.window_scores(
            self.arrays["pair_rows"], pairs, offsets, PAIR_WINDOW, True, out, n_threads
        )

    def _gradient(
        self, name: str, rows: np.ndarray, width: int, fixed: int, offsets: np.ndarray,
        d_emissions: np.ndarray,
    ) -> Gradient:  # fmt: skip
        """The gradient of a table, but for its row `fixed`."""
        marks, n_columns = self._marks[name], self.arrays[name].shape[1]
        most = min(rows.size, len(marks))
        found = self.work.array(f"{name}_found", (most,), np.int32)
        d_rows = self.work.array(f"d_{name}", (most, n_columns))
        count = _window_linear.window_gradient(d_emissions, rows, offsets, width, fixed, marks, found, d_rows)
        return Gradient(d_rows[:count], found[:count])

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
