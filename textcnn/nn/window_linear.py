"""A linear tagger over windows of tokens, beside the network: a random field of the usual kind.

The score of a tag at a token is a sum of coefficients of what stands in a window around it: words with
their hashed affixes and shapes, two tokens to either side, and n-grams: pairs of neighbouring words, pairs
and triples of neighbouring shapes, from those that end with the token before it to those that end two
tokens to its right. It is trained apart from the network: the two share no coefficient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from textcnn._kernels import _window_linear
from textcnn.nn.array_model import ArrayModel
from textcnn.nn.crf import CHAIN, chain_arrays
from textcnn.nn.optimizers import Adam
from textcnn.nn.tagging_cnn import TaggedExamples, WindowRows
from textcnn.nn.training import TrainingLoop, TrainingOptions

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

# Work of one call, after which Ctrl-C is heard, some 50 ms: tokens times the square of the number of tags,
# and what a token costs besides.
WORK_PER_CALL = 25_000_000
WORK_PER_TOKEN = 500


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

    def __init__(
        self, n_hashed_rows: int, pairs: np.ndarray, arrays: dict[str, np.ndarray], head: str,
        has_shapes: bool = False,
    ) -> None:  # fmt: skip
        self.n_hashed_rows = n_hashed_rows
        self.pairs = pairs
        self.arrays = arrays
        self.head = head
        self.has_shapes = has_shapes

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

    def cover_words(self, n_words: int) -> None:
        """Coefficients of zero for the words up to `n_words` that have none yet."""
        rows = self.arrays["rows"]
        added = np.zeros((self.n_hashed_rows + n_words - len(rows), rows.shape[1]), np.float32)
        self.arrays["rows"] = np.concatenate([rows, added])

    def copy(self) -> WindowLinear:
        """Coefficients of its own."""
        return WindowLinear(self.n_hashed_rows, self.pairs, self.copy_arrays(), self.head, self.has_shapes)


class WindowTrainer(TrainingLoop):
    """Trains a `WindowLinear` with Adam, many batches in one call of the kernel.

    A step takes some 50 microseconds. One by one, in Python, they would take three times as long, most of it
    with the interpreter's lock held, so that other threads wait.

    Parameters
    ----------
    network : WindowLinear
    options : TrainingOptions
        Its `alpha` is the l2 penalty of the coefficients that a batch touches; there is no dropout, and no
        limit of norms.
    rng : RandomState
    """

    network: WindowLinear
    optimizer: Adam

    def __init__(self, network: WindowLinear, options: TrainingOptions, rng: np.random.RandomState) -> None:
        super().__init__(network, Adam(), options, rng)

    @property
    def remedy(self) -> str:
        """What helps where numbers become too large."""
        return f"lower linear_alpha (now {self.options.alpha / self.options.batch_size:g}) or set linear=0"

    def _epoch(self, examples: TaggedExamples, on_step: Callable[[int], object] | None) -> float:
        """One pass over examples of `WindowLinear.prepared`."""
        order = self._order(len(examples))
        starts = np.arange(0, len(order), self.options.batch_size)
        lengths = np.diff(examples.offsets)[order]
        tokens = _sums(lengths, starts)
        weights = _sums(lengths * examples.sample_weight[order].astype(np.float64), starts)
        batches = np.split(order, starts[1:])
        total_loss = total_weight = 0.0
        for span in np.split(np.arange(len(starts)), self._cuts(tokens)):
            counted = span[weights[span] > 0]
            losses = self._train(examples, [batches[i] for i in counted])
            total_loss += float(tokens[counted] @ losses)
            total_weight += float(weights[counted].sum())
            if on_step:
                on_step(int(tokens[span].sum()))
            if self.stop_requested:
                break
        return total_loss / total_weight if total_weight else 0.0

    def _cuts(self, tokens: np.ndarray) -> np.ndarray:
        """First batches of all calls but the first: those in which another WORK_PER_CALL begins."""
        work = np.cumsum(tokens) * (WORK_PER_TOKEN + self.network.n_tags**2)
        return np.flatnonzero(np.diff(work // WORK_PER_CALL)) + 1

    def _train(self, examples: TaggedExamples, batches: list[np.ndarray]) -> np.ndarray:
        """A step for each batch of sentences, in one call; returns their losses."""
        network, rates, losses = self.network, np.empty(len(batches)), np.empty(len(batches))
        if not batches:
            return losses
        if examples.window_rows is None:
            raise ValueError("the examples have no window_rows; give those of WindowLinear.prepared")
        n_before = self.n_steps
        for i in range(len(batches)):
            rates[i] = self._scheduled_rate()
            self.n_steps += 1
        params = network.parameters().items()
        n_done = _window_linear.train_batches(
            examples.types, examples.targets, examples.offsets, examples.sample_weight,
            examples.window_rows.of_types, examples.window_rows.of_tokens, WINDOW, PAIR_WINDOW,
            [(param, *self.optimizer.slots(name, param)) for name, param in params],
            np.concatenate(batches).astype(np.intp), np.cumsum([0, *map(len, batches)], dtype=np.intp), rates,
            self.options.alpha,
            Adam.beta_1, Adam.beta_2, Adam.epsilon, losses, self.options.n_threads,
        )  # fmt: skip
        self.n_steps = n_before + n_done
        if n_done < len(batches):
            raise ValueError(self._why_not_finite(losses[n_done]))
        return losses


def _sums(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sums of the values from each start to the next."""
    return np.add.reduceat(values, starts) if len(starts) else values


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
