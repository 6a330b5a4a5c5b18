"""Scores of the tags by a fitted tagger: the network and the linear part beside it, in bounded memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import pairwise
from math import lcm
from typing import Any

import numpy as np

from textcnn._kernels import _conv, _dilated
from textcnn._kernels._blas import PackedMatrix
from textcnn.nn.tagging_cnn import KERNEL_SIZE, TaggingCNN, TokenNetwork
from textcnn.nn.window_linear import WINDOW, WindowLinear

# Tokens that go through the network at once, about.
TOKENS_PER_GROUP = 8192

# Longest part of a sentence that goes through the network as a whole.
LONGEST_PART = 2048

# Tokens between two places at which it may be cut without a change of the last bits, at most.
LONGEST_STEP = 4096


class TokenInference(ABC):
    """Emissions of a network that is not trained any more, mixed with those of a `WindowLinear`.

    ``emissions = (1 - share) * network + share * linear``. May be shared by any number of threads.

    Parameters
    ----------
    network : TokenNetwork
    linear : WindowLinear or None
    share : float
        Of the linear part; 0 without one.
    """

    def __init__(self, network: TokenNetwork, linear: WindowLinear | None, share: float) -> None:
        self.network = network
        self.linear = linear
        self.share = np.float32(share if linear is not None else 0)
        self._weights = PackedMatrix(network.arrays["weights"].T)

    def chain(self, name: str) -> np.ndarray:
        """Transitions, start or stop scores of both parts together."""
        scores = self.network.arrays[name]
        if self.linear is None:
            return scores
        return (1 - self.share) * scores + self.share * self.linear.arrays[name]

    def emissions(self, types: np.ndarray, offsets: np.ndarray, features: Any, n_threads: int) -> np.ndarray:
        """Scores of the tags at each token.

        Parameters
        ----------
        types : int32 ndarray of shape (n_tokens,)
        offsets : intp ndarray of shape (n_sentences + 1,)
        features : TypeFeatures
        n_threads : int

        Returns
        -------
        emissions : float32 ndarray of shape (n_tokens, n_tags)
        """
        out = np.empty((len(types), self.network.layout.n_tags), np.float32)
        return self._by_groups(self._group_emissions, types, offsets, features, n_threads, out)

    def outputs(self, types: np.ndarray, offsets: np.ndarray, features: Any, n_threads: int) -> np.ndarray:
        """What the output layer of the network sees at each token, float32 (n_tokens, n_inputs).

        Arguments and bits as those of `emissions`.
        """
        out = np.empty((len(types), self.network.arrays["weights"].shape[1]), np.float32)
        return self._by_groups(self._group_outputs, types, offsets, features, n_threads, out)

    def _by_groups(
        self,
        compute: Callable[[np.ndarray, np.ndarray, Any, int], np.ndarray],
        types: np.ndarray,
        offsets: np.ndarray,
        features: Any,
        n_threads: int,
        out: np.ndarray,
    ) -> np.ndarray:
        """Fill `out`, which has a row for each token, and return it."""
        for parts in self._groups(offsets):
            index = np.concatenate([np.arange(begin, end) for begin, end, _, _ in parts])
            lengths = [end - begin for begin, end, _, _ in parts]
            part_offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
            rows = compute(types[index], part_offsets, features, n_threads)
            for (begin, _, first, last), at in zip(parts, part_offsets[:-1], strict=True):
                out[first:last] = rows[at + first - begin : at + last - begin]
        return out

    def _groups(self, offsets: np.ndarray) -> Iterator[list[tuple[int, int, int, int]]]:
        """Lists of parts (begin, end, first and last token whose scores are wanted)."""
        parts: list[tuple[int, int, int, int]] = []
        size = 0
        for begin, end in pairwise(offsets.tolist()):
            for part in self._parts(begin, end):
                parts.append(part)
                size += part[1] - part[0]
                if size >= TOKENS_PER_GROUP:
                    yield parts
                    parts, size = [], 0
        if size:
            yield parts

    @abstractmethod
    def _parts(self, begin: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """The parts in which the sentence of the tokens begin to end - 1 is taken."""

    @abstractmethod
    def _group_outputs(
        self, types: np.ndarray, offsets: np.ndarray, features: Any, n_threads: int
    ) -> np.ndarray:
        """`outputs` of parts that go through the network at once."""

    def _group_emissions(
        self, types: np.ndarray, offsets: np.ndarray, features: Any, n_threads: int
    ) -> np.ndarray:
        output = self._group_outputs(types, offsets, features, n_threads)
        scores = np.empty((len(types), self.network.layout.n_tags), np.float32)
        self._weights.left_multiply(output, scores, self.network.arrays["bias"], False, n_threads)
        if self.linear is not None:
            scores *= 1 - self.share
            scores += self.share * self.linear.emissions(types, offsets, features, n_threads)
        return scores


class TaggingInference(TokenInference):
    """Emissions of a `TaggingCNN`.

    A sentence of any length is taken in parts with as much of their neighbours as a score's bits can depend
    on, so that memory beside the result does not grow with it and the result is that of the whole sentence.

    Parameters
    ----------
    network : TaggingCNN
    linear, share
        As in `TokenInference`.
    """

    network: TaggingCNN

    def __init__(self, network: TaggingCNN, linear: WindowLinear | None, share: float) -> None:
        super().__init__(network, linear, share)
        arrays = network.arrays
        self._first = PackedMatrix(arrays["first"].T)
        self._panels = []
        for weights in arrays["block"]:
            panels = np.empty(_dilated.filters_size(weights), np.float32)
            _dilated.pack_filters(weights, panels)
            self._panels.append(panels)

    def _parts(self, begin: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        if end - begin <= LONGEST_PART:
            yield begin, end, begin, end
            return
        layout = self.network.layout
        # Parts begin where a tile of every dilation begins, so that their tiles are those of the whole. With
        # dilations of which that asks too much, results are those of the whole up to rounding.
        step = 4 * lcm(*layout.layer_dilations)
        if step > LONGEST_STEP:
            step = 1
        halo = -(-max(layout.halo, WINDOW) // step) * step
        kept = -(-LONGEST_PART // step) * step
        for first in range(begin, end, kept):
            last = min(first + kept, end)
            yield max(begin, first - halo), min(last + halo, end), first, last

    def _group_outputs(
        self, types: np.ndarray, offsets: np.ndarray, features: Any, n_threads: int
    ) -> np.ndarray:
        network, layout = self.network, self.network.layout
        arrays = network.arrays
        distinct, slots = np.unique(types, return_inverse=True)
        slots = slots.astype(np.int32)
        rows = network.token_features(features, distinct, n_threads)
        projected = np.empty((len(rows), len(arrays["first"])), np.float32)
        self._first.left_multiply(rows, projected, None, False, n_threads)
        first = np.empty((len(types), layout.n_channels), np.float32)
        _conv.conv_same_forward(
            projected, arrays["first_bias"], slots, offsets, KERNEL_SIZE, True, first, n_threads
        )
        return self._stack(first, offsets, n_threads)

    def _stack(self, first: np.ndarray, offsets: np.ndarray, n_threads: int) -> np.ndarray:
        """What the output layer scores."""
        layout = self.network.layout
        if layout.n_layers == 0:
            return first
        tiling = _dilated.Tiling(offsets, layout.layer_dilations, KERNEL_SIZE, first.itemsize)
        output = np.empty((len(first), layout.n_joined), np.float32)
        levels: list[np.ndarray | None] = [None] * layout.n_layers
        if layout.join == "concat":
            for i, level in enumerate(layout.scored_levels):
                levels[level] = output[:, i * layout.n_channels : (i + 1) * layout.n_channels]
        else:
            levels[-1] = output
        biases = self.network.arrays["block_bias"]
        _dilated.conv_stack_forward(
            tiling, first, levels, [self._panels[k] for k in layout.layer_sets],
            [biases[k] for k in layout.layer_sets], n_threads,
        )  # fmt: skip
        return output
