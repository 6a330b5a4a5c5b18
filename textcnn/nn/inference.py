"""Forward passes of a fitted network, with a cache of projected tokens.

The cache changes no result: a projected row has the same bits whenever and with whichever batch it
is computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from textcnn._kernels import _conv
from textcnn._kernels._blas import PackedMatrix
from textcnn.nn.layers import activate
from textcnn.nn.packed import FeatureWindows, WindowShares

if TYPE_CHECKING:
    from textcnn.nn.sentence_cnn import SentenceCNN


# Outputs beyond this are as good as infinite: differences of them may be.
LARGEST_OUTPUT = 1e37


def check_outputs(outputs: np.ndarray, of_what: str = "texts") -> None:
    """Raise ValueError if outputs are NaN or infinite, or so large that differences of them might be.

    Parameters
    ----------
    outputs : float ndarray of shape (n, n_outputs)
    of_what : str
        What its rows are of.
    """
    if outputs.size and not (outputs.min() > -LARGEST_OUTPUT and outputs.max() < LARGEST_OUTPUT):
        n_wrong = len(outputs) - int((np.abs(outputs) < LARGEST_OUTPUT).all(axis=1).sum())
        raise ValueError(
            f"the model's outputs for {n_wrong} of {len(outputs)} {of_what} are not finite, or above "
            f"{LARGEST_OUTPUT:g}; its weights, or the numbers that it is given, are too large"
        )


class Inference:
    """Pooled features and logits of a `SentenceCNN` that is not trained any more.

    May be shared by any number of threads.

    Parameters
    ----------
    network : SentenceCNN
    cache_bytes : int
        Memory for projected tokens. The first ids, which are the most frequent words, are kept, each
        from its first use on; others are projected again in each call.
    """

    def __init__(self, network: SentenceCNN, cache_bytes: int) -> None:
        layout = network.layout
        self.network = network
        self._sizes, self._pads = layout.sizes, layout.pads
        self._widths = np.repeat(np.array(layout.kernel_sizes, np.int32), layout.n_filters)
        self._filters = PackedMatrix(network.filters.T)
        self._weights = PackedMatrix(network.weights.T)
        n_cached = min(len(network.embedding), cache_bytes // (4 * max(1, layout.n_rows)))
        self._cached = np.empty((n_cached, layout.n_rows), np.float32)
        self._state = np.zeros(n_cached, np.uint8)
        self._no_rows = np.empty((0, layout.n_rows), np.float32)

    def pooled(self, ids: np.ndarray, offsets: np.ndarray, n_threads: int) -> tuple[np.ndarray, np.ndarray]:
        """Pooled features and the window starts they come from.

        Parameters
        ----------
        ids : int32 ndarray of shape (n_tokens,)
        offsets : intp ndarray of shape (n_texts + 1,)
        n_threads : int

        Returns
        -------
        pooled : float32 ndarray of shape (n_texts, n_features)
        argmax : int32 ndarray of shape (n_texts, n_features)
        """
        layout = self.network.layout
        slots, extra = self._projected(ids, n_threads)
        shape = (len(offsets) - 1, layout.n_outputs)
        pooled, argmax = np.empty(shape, np.float32), np.empty(shape, np.int32)
        _conv.conv_max_cached(
            self._cached, extra, slots, self.network.filter_bias, offsets, self._sizes, self._pads,
            layout.n_filters, pooled, argmax, n_threads, layout.activation == "relu",
        )  # fmt: skip
        activate(pooled, argmax, layout.activation)
        return pooled, argmax

    def features(self, ids: np.ndarray, offsets: np.ndarray, n_threads: int) -> np.ndarray:
        """Pooled features alone."""
        return self.pooled(ids, offsets, n_threads)[0]

    def contributions(
        self, ids: np.ndarray, offsets: np.ndarray, n_threads: int
    ) -> tuple[np.ndarray, FeatureWindows, WindowShares]:
        """Logits of texts, and what windows of tokens add to them: activation x weight.

        A filter counts for the window at which it was largest. With the bias the sum is the logits. There are
        no windows but those of filters.
        """
        weights = self.network.weights
        pooled, argmax = self.pooled(ids, offsets, n_threads)
        features = FeatureWindows(pooled, argmax, self._widths, weights)
        logits = self.logits(pooled, n_threads).astype(np.float64)
        return logits, features, WindowShares.none(len(weights))

    def logits(self, pooled: np.ndarray, n_threads: int) -> np.ndarray:
        """Outputs (n_texts, n_outputs) of pooled features, the scores before a softmax."""
        out = np.empty((len(pooled), len(self.network.bias)), np.float32)
        self._weights.left_multiply(pooled, out, self.network.bias, False, n_threads)
        return out

    def _projected(self, ids: np.ndarray, n_threads: int) -> tuple[np.ndarray, np.ndarray]:
        """For each token the row of the cache, or n_cached + the row of the second result."""
        missing = np.empty(len(ids), np.int32)
        n_missing = _conv.look_up_rows(ids, self._state, missing)
        if n_missing == 0:
            return ids, self._no_rows
        missing = missing[:n_missing]
        absent, inverse = np.unique(ids[missing], return_inverse=True)
        extra = np.empty((len(absent), self.network.layout.n_rows), np.float32)
        self._filters.left_multiply(self.network.embedding[absent], extra, None, False, n_threads)
        _conv.store_rows(absent, extra, self._cached, self._state)
        slots = ids.copy()
        slots[missing] = len(self._cached) + inverse
        return slots, extra
