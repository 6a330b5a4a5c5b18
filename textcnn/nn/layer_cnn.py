"""A sentence network around layers of the user's choice: embedding -> body -> dropout -> dense."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from textcnn._kernels import _optim, _packing
from textcnn._kernels._blas import PackedMatrix
from textcnn.nn import layers
from textcnn.nn.body_limits import body_of, check_work
from textcnn.nn.losses import Loss
from textcnn.nn.modules import (
    Conv1d,
    Layer,
    LocallyConnected1d,
    MinLength,
    Packed,
    Parallel,
    Pool1d,
    Sequential,
    dropout_states,
    set_dropout_states,
    storable_config,
)
from textcnn.nn.optimizers import Gradient
from textcnn.nn.packed import FeatureWindows, WindowShares, pieces
from textcnn.nn.sentence_cnn import checked_array, checked_frozen, checked_width, drop_words
from textcnn.nn.training import Examples, TrainingOptions
from textcnn.nn.workspace import Workspace
from textcnn.ops.arithmetic import resolve_padding
from textcnn.text.embedded import EmbeddedTexts

# Lengths of the texts on which the body of a model file is tried, one after the other behind a 0.
TRIED_LENGTHS = (0, 0, 1, 2, 3, 5, 9)

# Numbers at once of the gradients that explain outputs, about.
GRADIENT_CELLS = 1 << 22


class LayerCNN:
    """embedding -> body -> dropout -> dense.

    Parameters
    ----------
    embedding : float32 ndarray of shape (n_ids, n_dims)
        One row for each id; row 0 is the unknown token. Without any rows the network takes embedded text:
        float rows (n_tokens, n_dims) wherever methods have ids, of its own dtype, float32 or float64.
    body : Layer
        Built for n_dims channels; gives one row for each text.
    weights : float32 ndarray of shape (n_outputs, body.out_channels)
    bias : float32 ndarray of shape (n_outputs,)
    n_frozen : int
        The first columns of the embedding that training leaves alone.
    n_features : int, default=None
        Length that all embedded texts have, if they came as a table of numbers.
    """

    def __init__(
        self,
        embedding: np.ndarray,
        body: Layer,
        weights: np.ndarray,
        bias: np.ndarray,
        n_frozen: int = 0,
        n_features: int | None = None,
    ) -> None:
        self.embedding = embedding
        self.body = body
        self.weights = weights
        self.bias = bias
        self.n_frozen = n_frozen
        self.n_features = n_features
        self._prepare()

    def _prepare(self) -> None:
        self.work = Workspace()
        self.marks = np.full(len(self.embedding), -1, np.int32)

    @classmethod
    def initialized(
        cls,
        rng: np.random.RandomState,
        embedding: np.ndarray,
        body: Layer,
        n_outputs: int,
        n_frozen: int = 0,
    ) -> LayerCNN:
        """A network around `embedding` and a body, which is built here."""
        width = body.build(embedding.shape[1], rng).out_channels
        weights = layers.glorot_uniform(rng, (n_outputs, width), width, n_outputs)
        return cls(embedding, body, weights, np.zeros(n_outputs, np.float32), n_frozen)

    @classmethod
    def of_embedded_text(
        cls, rng: np.random.RandomState, texts: EmbeddedTexts, body: Layer, n_outputs: int
    ) -> LayerCNN:
        """A network that takes rows such as those of `texts` in place of ids, and computes in their dtype."""
        n_dims, dtype = texts.rows.shape[1], texts.rows.dtype
        network = cls.initialized(rng, np.empty((0, n_dims), dtype), body, n_outputs, n_frozen=n_dims)
        network.n_features = texts.n_features
        network.weights, network.bias = network.weights.astype(dtype), network.bias.astype(dtype)
        for layer in body.layers().values():
            layer.arrays = {name: array.astype(dtype) for name, array in layer.arrays.items()}
        return network

    @property
    def takes_ids(self) -> bool:
        """Whether texts come as ids, not embedded."""
        return len(self.embedding) > 0

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """The rows that the body gets for the ids of tokens; embedded text is rows already."""
        return self.embedding[ids] if self.takes_ids else ids

    @property
    def PENALIZED(self) -> tuple[str, ...]:
        """The weights of the body and of the outputs."""
        return ("weights", *(name for name in self._body_parameters() if name.endswith("weights")))

    def _body_parameters(self) -> dict[str, np.ndarray]:
        return {f"body.{name}": array for name, array in self.body.parameters().items()}

    def parameters(self) -> dict[str, np.ndarray]:
        """The trained parameters as matrices that share memory with the network."""
        parameters = {name: _as_matrix(array) for name, array in self._body_parameters().items()}
        parameters |= {"weights": self.weights, "bias": self.bias[np.newaxis]}
        if self.n_frozen < self.embedding.shape[1]:
            parameters["embedding"] = self.embedding[:, self.n_frozen :]
        return parameters

    def add_rows(self, rows: np.ndarray) -> None:
        """Append embedding rows for new ids."""
        self.embedding = np.concatenate([self.embedding, rows])
        self._prepare()

    def features(
        self, ids: np.ndarray, offsets: np.ndarray, n_threads: int, train: bool = False
    ) -> np.ndarray:
        """What the body makes of each text, (n_texts, body.out_channels).

        Raises
        ------
        ValueError
            If the body gives other than one row for each text.
        """
        out = self.body.forward(Packed(self.rows(ids), offsets), train, n_threads)
        if not np.array_equal(out.offsets, np.arange(len(offsets))):
            raise ValueError(
                f"the body gives {len(out.rows)} rows for {len(offsets) - 1} texts, but it must give one for "
                "each; end it with a Pool1d over whole texts"
            )
        return out.rows

    def logits(self, ids: np.ndarray, offsets: np.ndarray, n_threads: int) -> np.ndarray:
        """Outputs (n_texts, n_outputs) before a softmax, without dropout; valid until the next call."""
        features = self.features(ids, offsets, n_threads)
        return layers.dense(features, self.weights, self.bias, self.work, n_threads)

    def batch_gradients(
        self, batch: Examples, weight: float, options: TrainingOptions, seed: int, step: int
    ) -> tuple[float, dict[str, Gradient]]:
        """Loss of a batch divided by `weight`, and the gradient of every trained parameter."""
        ids = batch.ids
        if self.takes_ids:
            ids = drop_words(ids, options.word_dropout, seed, step, self.work)
        sample_weight = (batch.sample_weight / weight).astype(self.weights.dtype)
        return self.loss_and_gradients(
            ids, batch.offsets, batch.targets, sample_weight, options.dropout, seed, step, options.n_threads,
            options.loss,
        )  # fmt: skip

    def loss_and_gradients(
        self,
        ids: np.ndarray,
        offsets: np.ndarray,
        targets: np.ndarray,
        sample_weight: np.ndarray,
        dropout: float,
        seed: int,
        step: int,
        n_threads: int,
        loss_function: Loss,
    ) -> tuple[float, dict[str, Gradient]]:
        """Loss of a batch, summed with the weights, and the gradient of every parameter.

        The arguments are those of `SentenceCNN.loss_and_gradients`.
        """
        work = self.work
        self.body.zero_gradients()
        features = self.features(ids, offsets, n_threads, train=True)
        dropped, mask = layers.dropout(features, dropout, seed, step, work, n_threads)
        logits = layers.dense(dropped, self.weights, self.bias, work, n_threads)
        loss = work.array("loss", (len(targets),), np.float64)
        d_logits = work.array("d_logits", logits.shape, logits.dtype)
        loss_function(logits, targets, sample_weight, loss, d_logits, n_threads)

        d_weights, d_bias, d_features = layers.dense_backward(
            d_logits, dropped, self.weights, work, n_threads
        )
        if mask is not None:
            np.multiply(d_features, mask, out=d_features)
        d_rows = self.body.backward(d_features, n_threads)
        gradients = {
            f"body.{name}": Gradient(_as_matrix(array)) for name, array in self.body.all_gradients().items()
        }
        gradients |= {"weights": Gradient(d_weights), "bias": Gradient(d_bias[np.newaxis])}
        if self.n_frozen < self.embedding.shape[1]:
            gradients["embedding"] = self._embedding_gradient(ids, d_rows)
        return float(loss.sum()), gradients

    def _embedding_gradient(self, ids: np.ndarray, d_rows: np.ndarray) -> Gradient:
        """Sums over the places of each distinct token."""
        distinct, slots = layers.distinct_tokens(ids, self.marks, self.work)
        sums = self.work.array("d_rows", (len(distinct), d_rows.shape[1] - self.n_frozen), d_rows.dtype)
        _packing.scatter_sums(d_rows[:, self.n_frozen :], slots, sums)
        return Gradient(sums, distinct)

    def limit_norms(self, options: TrainingOptions) -> None:
        """Limit the norm of each output's weights to `max_norm`."""
        if options.max_norm is not None:
            _optim.limit_row_norms(self.weights, options.max_norm, options.n_threads)

    def copy(self) -> LayerCNN:
        """A network with arrays of its own."""
        return copy.deepcopy(self)

    def arrays(self) -> dict[str, np.ndarray]:
        """Every array by name, shared."""
        outer = {"embedding": self.embedding, "weights": self.weights, "bias": self.bias}
        return outer | self._body_parameters()

    def config(self) -> dict[str, Any]:
        """What a model file needs beside the arrays, as JSON values."""
        config = {
            "body": storable_config(self.body),
            "dropout_states": dropout_states(self.body),
            "n_frozen": self.n_frozen,
        }
        return config if self.takes_ids else {**config, "n_features": self.n_features}

    @classmethod
    def from_file(
        cls, arrays: dict[str, np.ndarray], config: dict[str, Any], n_ids: int, n_outputs: int
    ) -> LayerCNN:
        """The network of a model file; raises ValueError if its parts do not fit together."""
        n_dims = checked_width(arrays["embedding"])
        dtype = (
            arrays["weights"].dtype if n_ids == 0 and arrays["weights"].dtype == np.float64 else np.float32
        )
        body = body_of(config["body"])
        width = body.make(n_dims, None)
        body.set_parameters(
            {name.removeprefix("body."): array for name, array in arrays.items() if name.startswith("body.")},
            dtype,
        )
        if "dropout_states" in config:  # older files have none
            set_dropout_states(body, config["dropout_states"])
        shapes = {"embedding": (n_ids, n_dims), "weights": (n_outputs, width), "bias": (n_outputs,)}
        checked = {name: checked_array(arrays[name], name, shape, dtype) for name, shape in shapes.items()}
        n_frozen = checked_frozen(config["n_frozen"], n_dims, n_outputs)
        n_features = config.get("n_features")
        if n_ids == 0 and (n_frozen < n_dims or not (n_features is None or type(n_features) is int)):
            raise ValueError(f"{n_frozen} frozen columns of {n_dims}, and {n_features!r:.100} features")
        if n_features is not None and (n_ids or n_dims != 1 or n_features < 1):
            raise ValueError(f"{n_features!r:.100} features of {n_dims} channels")
        check_work(body, n_dims)
        network = cls(**checked, body=body, n_frozen=n_frozen, n_features=n_features)
        # One row for each text? Layers with a kernel for each position take texts up to a length only.
        has_length = any(isinstance(layer, LocallyConnected1d) for layer in body.layers().values())
        offsets = np.cumsum([0, 0] if has_length else TRIED_LENGTHS, dtype=np.intp)
        texts = np.zeros((offsets[-1], n_dims), dtype)
        network.features(texts[:, 0].astype(np.int32) if network.takes_ids else texts, offsets, 1)
        return network

    def feature_names(self) -> list[str]:
        """``f0``, ``f1``, ...: the channels that the body ends with."""
        return [f"f{i}" for i in range(self.weights.shape[1])]

    def inference(self, cache_bytes: int) -> LayerInference:
        """The forward passes of this network when it is not trained any more; it has nothing to cache."""
        return LayerInference(self)

    def copy_arrays(self) -> dict[str, np.ndarray]:
        """A copy of every array, to come back to with `restore_arrays`."""
        return {name: array.copy() for name, array in self.arrays().items()}

    def restore_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the values of `copy_arrays` back."""
        for name, array in self.arrays().items():
            array[...] = arrays[name]

    def is_finite(self) -> bool:
        """True if no array holds NaN or infinity."""
        return all(np.isfinite(array).all() for array in self.arrays().values())

    def __getstate__(self) -> dict[str, Any]:
        """Without the scratch memory."""
        return {name: value for name, value in self.__dict__.items() if name not in ("marks", "work")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()


class LayerInference:
    """Features, logits and their explanation of a `LayerCNN` that is not trained any more.

    Parameters
    ----------
    network : LayerCNN
    """

    def __init__(self, network: LayerCNN) -> None:
        self.network = network
        is_single = network.weights.dtype == np.float32
        self._weights = PackedMatrix(network.weights.T) if is_single else None

    def features(self, ids: np.ndarray, offsets: np.ndarray, n_threads: int) -> np.ndarray:
        """What the body makes of each text, (n_texts, n_features)."""
        return self.network.features(ids, offsets, n_threads)

    def logits(self, features: np.ndarray, n_threads: int) -> np.ndarray:
        """Outputs (n_texts, n_outputs) of features, the scores before a softmax."""
        network = self.network
        if self._weights is None:
            return layers.dense(features, network.weights, network.bias, Workspace(), n_threads)
        out = np.empty((len(features), len(network.bias)), np.float32)
        self._weights.left_multiply(np.ascontiguousarray(features), out, network.bias, False, n_threads)
        return out

    def contributions(
        self, ids: np.ndarray, offsets: np.ndarray, n_threads: int
    ) -> tuple[np.ndarray, FeatureWindows, WindowShares]:
        """Logits of texts, and what windows of tokens add to them; none is that of one feature alone.

        Pooling over a whole text is homogeneous in the activations a, p(c a) = c p(a), so that
        p = sum_t a_t dp / da_t (Euler): each window counts activation x gradient, and with the bias the sum
        is the logits.

        Raises
        ------
        ValueError
            If the body is not convolutions side by side, each with a pooling over the whole text.
        """
        columns = pooled_convolutions(self.network.body)
        logits = self.logits(self.features(ids, offsets, n_threads), n_threads).astype(np.float64)
        weights = np.split(self.network.weights, np.cumsum([c.pool.out_channels for c in columns[:-1]]), 1)
        n_tokens = max(1, GRADIENT_CELLS // max(part.size for part in weights))
        found, n_done = [], 0
        for piece_ids, piece_offsets in pieces(ids, offsets, n_tokens):
            x = Packed(self.network.rows(piece_ids), piece_offsets)
            for column, part in zip(columns, weights, strict=True):
                windows = column.shares(x, part, n_threads)
                found.append(replace(windows, texts=windows.texts + n_done))
            n_done += len(piece_offsets) - 1
        return logits, FeatureWindows.none(*logits.shape), WindowShares.joined(found)


@dataclass(frozen=True)
class PooledConvolution:
    """A convolution with zeros around the text and what pools its results over the whole text."""

    layers: list[Layer]
    conv: Conv1d
    pool: Layer

    def shares(self, x: Packed, weights: np.ndarray, n_threads: int) -> WindowShares:
        """What each result of the convolution adds to the outputs; those that add nothing are left out.

        Parameters
        ----------
        x : Packed
            Texts.
        weights : ndarray of shape (n_outputs, n_channels)
            Of what is pooled.
        n_threads : int
        """
        n_outputs, n_texts, lengths = len(weights), len(x.offsets) - 1, np.diff(x.offsets)
        for layer in self.layers:
            x = layer.forward(x, False, n_threads)
        a, offsets = x.rows, x.offsets
        # each text once for each output, since a layer's gradient is that of one direction
        firsts = (np.arange(n_outputs) * len(a))[:, np.newaxis] + offsets[:-1]
        repeated = Packed(np.tile(a, (n_outputs, 1)), np.append(firsts, n_outputs * len(a)).astype(np.intp))
        pool = copy.deepcopy(self.pool)
        pool.forward(repeated, True, n_threads)
        d_a = pool.backward(np.repeat(weights, n_texts, axis=0), n_threads).reshape(n_outputs, *a.shape)
        shares = np.einsum("ktf,tf->tk", d_a.astype(np.float64), a.astype(np.float64))
        some = np.flatnonzero(shares.any(axis=1))
        texts = np.repeat(np.arange(n_texts), np.diff(offsets))[some]
        return WindowShares(texts, *self._windows(some - offsets[texts], lengths[texts]), shares[some])

    def _windows(self, t: np.ndarray, n_tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The tokens start to end - 1 that result t sees, of texts of so many tokens."""
        conv = self.conv
        start = t * conv.stride - resolve_padding(conv.padding, conv.kernel_size, dilation=conv.dilation)[0]
        end = start + conv.dilation * (conv.kernel_size - 1) + 1
        return np.clip(start, 0, n_tokens), np.clip(end, 0, n_tokens)


def pooled_convolutions(body: Layer) -> list[PooledConvolution]:
    """The convolutions of a body that stand side by side, each with its pooling of whole texts.

    Raises
    ------
    ValueError
        If the body is something else.
    """
    columns = body.layer_list if isinstance(body, Parallel) and body.join == "concat" else [body]
    found = []
    for column in columns:
        parts: list[Any] = column.layer_list if isinstance(column, Sequential) else []
        *before, conv, pool = parts if len(parts) > 1 else (None, None)
        pools = pool.layer_list if isinstance(pool, Parallel) and pool.join == "concat" else [pool]
        if (
            type(conv) is not Conv1d
            or conv.padding_mode != "zeros"
            or not all(isinstance(layer, MinLength) for layer in before)
            or not all(isinstance(one, Pool1d) and one.kernel_size is None for one in pools)
        ):
            raise ValueError(
                "the body is no set of convolutions with zeros around the text, each pooled over the whole "
                "text, so its outputs are no sum over n-grams that explain could give"
            )
        found.append(PooledConvolution(parts[:-1], conv, parts[-1]))
    return found


def _as_matrix(array: np.ndarray) -> np.ndarray:
    """A view with two dimensions, the last kept."""
    return array.reshape(-1, array.shape[-1])
