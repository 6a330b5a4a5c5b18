"""A tagging network around layers of the user's choice: token features -> body -> dropout -> linear."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from math import ceil, floor
from typing import Any

import numpy as np

from textcnn._kernels import _packing
from textcnn.nn.modules import ONE_ROW, Layer, Packed, dropout_states, storable_config
from textcnn.nn.optimizers import Gradient
from textcnn.nn.tagging_cnn import (
    TaggedExamples,
    TokenLayout,
    TokenNetwork,
    as_gradients,
    feature_arrays,
    head_arrays,
)
from textcnn.nn.tagging_inference import TokenInference
from textcnn.nn.training import TrainingOptions
from textcnn.nn.window_linear import WindowLinear

# Lengths of the sentences on which a body is tried before it is trained.
TRIED_LENGTHS = (0, 1, 2, 3, 4, 5, 7, 12)


class LayerTaggingCNN(TokenNetwork):
    """Token features -> body -> dropout -> linear -> CRF or softmax.

    Parameters
    ----------
    layout : TokenLayout
    arrays : dict of str to ndarray
        Those of `TokenNetwork`.
    body : Layer
        Built for ``layout.n_features`` channels; gives one row for each token.
    frozen_words : bool, default=False
        Leave the word embeddings as they are in training.

    Raises
    ------
    ValueError
        If the body gives other than one row for each token.
    """

    def __init__(
        self, layout: TokenLayout, arrays: dict[str, np.ndarray], body: Layer, frozen_words: bool = False
    ) -> None:
        super().__init__(layout, arrays, frozen_words)
        self.body = body
        offsets = np.cumsum([0, *TRIED_LENGTHS], dtype=np.intp)
        self.body_rows(np.zeros((offsets[-1], layout.n_features), np.float32), offsets, 1)

    @classmethod
    def initialized(
        cls,
        rng: np.random.RandomState,
        layout: TokenLayout,
        words: np.ndarray,
        n_chars: int,
        n_hashed_rows: int,
        body: Layer,
        frozen_words: bool = False,
    ) -> LayerTaggingCNN:
        """A network around the word embeddings `words` and a body, which is built here."""
        features = feature_arrays(rng, layout, words, n_chars, n_hashed_rows)
        width = body.build(layout.n_features, rng).out_channels
        return cls(layout, features | head_arrays(rng, layout, width), body, frozen_words)

    @property
    def PENALIZED(self) -> tuple[str, ...]:
        """The weights of the body, of the outputs and of the filters over characters."""
        return (
            "weights",
            "char_filters",
            *(name for name in self._body_arrays() if name.endswith("weights")),
        )

    @property
    def n_layers(self) -> int:
        """Layers of the body that have weights."""
        return sum(bool(layer.arrays) for layer in self.body.layers().values())

    @property
    def receptive_field(self) -> float:
        """Tokens that the scores of one token depend on; infinity for the whole sentence."""
        size = self.body.field(ONE_ROW).size
        return np.inf if np.isinf(size) else ceil(size)

    @property
    def reach(self) -> tuple[float, float]:
        """The first and the last of these tokens, seen from the one: (-2, 0) for itself and two before it."""
        field = self.body.field(ONE_ROW)
        return (-np.inf, np.inf) if np.isinf(field.size) else (floor(field.first), ceil(field.last))

    def _body_arrays(self) -> dict[str, np.ndarray]:
        return {f"body.{name}": array for name, array in self.body.parameters().items()}

    def all_arrays(self) -> dict[str, np.ndarray]:
        """Every array by name, shared; those of the body begin with ``body.``."""
        return self.arrays | self._body_arrays()

    def parameters(self) -> dict[str, np.ndarray]:
        """The trained parameters as matrices that share memory with the network."""
        body = {name: array.reshape(-1, array.shape[-1]) for name, array in self._body_arrays().items()}
        return super().parameters() | body

    def body_rows(
        self, rows: np.ndarray, offsets: np.ndarray, n_threads: int, train: bool = False
    ) -> np.ndarray:
        """What the body makes of the features of each token, (n_tokens, body.out_channels).

        Raises
        ------
        ValueError
            If the body gives other than one row for each token.
        """
        out = self.body.forward(Packed(rows, offsets), train, n_threads)
        if not np.array_equal(out.offsets, offsets):
            given, wanted = np.diff(out.offsets), np.diff(offsets)
            i = np.flatnonzero(given != wanted)[0] if len(given) == len(wanted) else 0
            raise ValueError(
                f"the body gives {given[i]} rows for a sentence of {wanted[i]} tokens, but it must give one "
                'for each token; use padding="same" and no pooling, or a Parallel whose first layer keeps '
                "the length"
            )
        return np.ascontiguousarray(out.rows)

    def batch_gradients(
        self, batch: TaggedExamples, weight: float, options: TrainingOptions, seed: int, step: int
    ) -> tuple[float, dict[str, Gradient]]:
        """Loss of a batch divided by `weight`, and the gradient of every trained parameter."""
        n_threads = options.n_threads
        distinct, dropped, slots = self._distinct(batch, options, seed, step)
        tokens = self._token_features(batch.features, distinct, dropped, options, seed, step)
        self.body.zero_gradients()
        output = self.body_rows(tokens.rows[slots], batch.offsets, n_threads, train=True)
        sample_weight = (batch.sample_weight / weight).astype(output.dtype)
        loss, parts, d_output = self._head(batch, output, sample_weight, options, seed, step, "d_output")
        d_tokens = self.body.backward(d_output, n_threads)
        d_rows = self.work.array("d_features", tokens.rows.shape, tokens.rows.dtype)
        _packing.scatter_sums(d_tokens, slots, d_rows)
        body = {f"body.{name}": array for name, array in self.body.all_gradients().items()}
        gradients = as_gradients(parts | body) | self._feature_gradients(tokens, d_rows, n_threads)
        return loss, {name: gradients[name] for name in self.parameters()}

    def inference(self, linear: WindowLinear | None, share: float) -> LayerTaggingInference:
        """The forward passes when it is not trained any more, with a linear part beside it."""
        return LayerTaggingInference(self, linear, share)

    def config(self) -> dict[str, Any]:
        """What a model file needs beside the layout and the arrays, as JSON values."""
        return {"body": storable_config(self.body), "dropout_states": dropout_states(self.body)}

    def copy(self) -> LayerTaggingCNN:
        """A network with arrays of its own."""
        return copy.deepcopy(self)


class LayerTaggingInference(TokenInference):
    """Emissions of a `LayerTaggingCNN`.

    A body may look at the whole sentence, so that every sentence goes through it as a whole, however long.
    """

    network: LayerTaggingCNN

    def _parts(self, begin: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        yield begin, end, begin, end

    def _group_outputs(
        self, types: np.ndarray, offsets: np.ndarray, features: Any, n_threads: int
    ) -> np.ndarray:
        distinct, slots = np.unique(types, return_inverse=True)
        rows = self.network.token_features(features, distinct, n_threads)
        return self.network.body_rows(rows[slots], offsets, n_threads)
