"""The convolutional network for sentences (Kim 2014; Zhang & Wallace 2015)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from textcnn._kernels import _optim
from textcnn._kernels._random import dropout_mask
from textcnn.nn import layers
from textcnn.nn.inference import LARGEST_OUTPUT, Inference
from textcnn.nn.layers import ConvLayout
from textcnn.nn.losses import Loss, softmax_cross_entropy
from textcnn.nn.optimizers import Gradient
from textcnn.nn.training import WORD_DROPOUT_KEY, Examples, TrainingOptions
from textcnn.nn.workspace import Workspace


@dataclass
class SentenceCNN:
    """embedding -> filters of several widths -> activation -> max over time -> dropout -> dense.

    Parameters
    ----------
    embedding : float32 ndarray of shape (n_ids, n_dims)
        One row for each id; row 0 is the unknown token.
    filters : float32 ndarray of shape (layout.n_rows, n_dims)
        One row for each tap of each filter, in the order of `textcnn._kernels._conv`.
    filter_bias : float32 ndarray of shape (layout.n_outputs,)
    weights : float32 ndarray of shape (n_outputs, layout.n_outputs)
        An output for each class, label or target.
    bias : float32 ndarray of shape (n_outputs,)
    layout : ConvLayout
    n_frozen : int
        The first columns of the embedding that training leaves alone: none, all of them (static), or
        half (multichannel).
    """

    embedding: np.ndarray
    filters: np.ndarray
    filter_bias: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    layout: ConvLayout
    n_frozen: int = 0
    marks: np.ndarray = field(init=False, repr=False)
    work: Workspace = field(init=False, repr=False)

    ARRAYS: ClassVar[tuple[str, ...]] = ("embedding", "filters", "filter_bias", "weights", "bias")
    PENALIZED: ClassVar[tuple[str, ...]] = ("filters", "weights")

    def __post_init__(self) -> None:
        self.work = Workspace()
        self.marks = np.full(len(self.embedding), -1, np.int32)

    @classmethod
    def initialized(
        cls,
        rng: np.random.RandomState,
        embedding: np.ndarray,
        layout: ConvLayout,
        n_outputs: int,
        n_frozen: int = 0,
    ) -> SentenceCNN:
        """A network around `embedding` with Glorot-uniform weights and biases of zero."""
        n_dims = embedding.shape[1]
        blocks = [
            layers.glorot_uniform(rng, (width * layout.n_filters, n_dims), width * n_dims, layout.n_filters)
            for width in layout.kernel_sizes
        ]
        return cls(
            embedding=embedding,
            filters=np.concatenate(blocks),
            filter_bias=np.zeros(layout.n_outputs, np.float32),
            weights=layers.glorot_uniform(rng, (n_outputs, layout.n_outputs), layout.n_outputs, n_outputs),
            bias=np.zeros(n_outputs, np.float32),
            layout=layout,
            n_frozen=n_frozen,
        )

    def parameters(self) -> dict[str, np.ndarray]:
        """The trained parameters as matrices that share memory with the network."""
        parameters = {
            "filters": self.filters,
            "filter_bias": self.filter_bias[np.newaxis],
            "weights": self.weights,
            "bias": self.bias[np.newaxis],
        }
        if self.n_frozen < self.embedding.shape[1]:
            parameters["embedding"] = self.embedding[:, self.n_frozen :]
        return parameters

    def add_rows(self, rows: np.ndarray) -> None:
        """Append embedding rows for new ids."""
        self.embedding = np.concatenate([self.embedding, rows])
        self.marks = np.full(len(self.embedding), -1, np.int32)

    def batch_gradients(
        self, batch: Examples, weight: float, options: TrainingOptions, seed: int, step: int
    ) -> tuple[float, dict[str, Gradient]]:
        """Loss of a batch divided by `weight`, and the gradient of every trained parameter."""
        return self.loss_and_gradients(
            drop_words(batch.ids, options.word_dropout, seed, step, self.work),
            batch.offsets,
            batch.targets,
            (batch.sample_weight / weight).astype(np.float32),
            options.dropout,
            seed,
            step,
            options.n_threads,
            options.loss,
        )

    def limit_norms(self, options: TrainingOptions) -> None:
        """Limit the norm of each output's weights to `max_norm` (Kim 2014, 2.1)."""
        if options.max_norm is not None:
            _optim.limit_row_norms(self.weights, options.max_norm, options.n_threads)

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
        loss_function: Loss = softmax_cross_entropy,
    ) -> tuple[float, dict[str, Gradient]]:
        """Loss of a batch, summed with the weights, and the gradient of every parameter.

        Parameters
        ----------
        ids, offsets : packed batch
        targets, sample_weight : ndarrays
            As `loss_function` takes them.
        dropout : float
            Share of the pooled features set to zero.
        seed, step : int
            Key of the dropout mask.
        n_threads : int
        loss_function : Loss

        Returns
        -------
        loss : float
        gradients : dict of Gradient
            Valid until the next call.
        """
        work = self.work
        pooled, cache = layers.conv_max(
            self.embedding, self.filters, self.filter_bias, ids, offsets, self.layout, self.marks, work,
            n_threads,
        )  # fmt: skip
        dropped, mask = layers.dropout(pooled, dropout, seed, step, work, n_threads)
        logits = layers.dense(dropped, self.weights, self.bias, work, n_threads)

        loss = work.array("loss", (len(targets),), np.float64)
        d_logits = work.array("d_logits", logits.shape, logits.dtype)
        loss_function(logits, targets, sample_weight, loss, d_logits, n_threads)

        d_weights, d_bias, d_pooled = layers.dense_backward(d_logits, dropped, self.weights, work, n_threads)
        if mask is not None:
            np.multiply(d_pooled, mask, out=d_pooled)
        d_filters, d_filter_bias, d_rows = layers.conv_max_backward(
            d_pooled, cache, self.filters, self.layout, self.n_frozen, work, n_threads
        )
        gradients = {
            "filters": Gradient(d_filters),
            "filter_bias": Gradient(d_filter_bias[np.newaxis]),
            "weights": Gradient(d_weights),
            "bias": Gradient(d_bias[np.newaxis]),
        }
        if d_rows is not None:
            gradients["embedding"] = Gradient(d_rows, cache.distinct)
        return float(loss.sum()), gradients

    def logits(self, ids: np.ndarray, offsets: np.ndarray, n_threads: int) -> np.ndarray:
        """Outputs (n_texts, n_outputs) before a softmax, without dropout; valid until the next call."""
        pooled, _ = layers.conv_max(
            self.embedding, self.filters, self.filter_bias, ids, offsets, self.layout, self.marks, self.work,
            n_threads,
        )  # fmt: skip
        return layers.dense(pooled, self.weights, self.bias, self.work, n_threads)

    def copy(self) -> SentenceCNN:
        """A network with arrays of its own."""
        return SentenceCNN(**self.copy_arrays(), layout=self.layout, n_frozen=self.n_frozen)

    def arrays(self) -> dict[str, np.ndarray]:
        """Every array by name, shared."""
        return {name: getattr(self, name) for name in self.ARRAYS}

    def config(self) -> dict[str, Any]:
        """What a model file needs beside the arrays, as JSON values."""
        config = {
            "kernel_sizes": list(self.layout.kernel_sizes),
            "n_filters": self.layout.n_filters,
            "padding": self.layout.padding,
            "n_frozen": self.n_frozen,
        }
        if self.layout.activation != "relu":
            config["activation"] = self.layout.activation
        return config

    @classmethod
    def from_file(
        cls, arrays: dict[str, np.ndarray], config: dict[str, Any], n_ids: int, n_outputs: int
    ) -> SentenceCNN:
        """The network of a model file; raises ValueError if its parts do not fit together."""
        sizes, n_filters = config["kernel_sizes"], config["n_filters"]
        padding, activation = config["padding"], config.get("activation", "relu")
        if padding not in layers.PADDINGS or activation not in layers.ACTIVATIONS:
            raise ValueError(f"padding {padding!r:.100}, activation {activation!r:.100}")
        if (
            type(sizes) is not list
            or not sizes
            or not all(type(size) is int and 0 < size < 2**31 for size in [*sizes, n_filters])
        ):
            raise ValueError(f"kernel sizes {sizes!r:.100}, {n_filters!r:.100} filters")
        layout = ConvLayout(tuple(sizes), n_filters, padding, activation)
        n_dims = checked_width(arrays["embedding"])
        shapes = {
            "embedding": (n_ids, n_dims),
            "filters": (layout.n_rows, n_dims),
            "filter_bias": (layout.n_outputs,),
            "weights": (n_outputs, layout.n_outputs),
            "bias": (n_outputs,),
        }
        checked = {name: checked_array(arrays[name], name, shape) for name, shape in shapes.items()}
        n_frozen = checked_frozen(config["n_frozen"], n_dims, n_outputs)
        network = cls(**checked, layout=layout, n_frozen=n_frozen)
        if not network.largest_output() < LARGEST_OUTPUT:
            raise ValueError("weights so large that outputs would not be finite")
        return network

    def largest_output(self) -> float:
        """No output of any text is above this number, or below its opposite."""
        largest = np.maximum(self.embedding.max(axis=0), -self.embedding.min(axis=0)).astype(np.float64)
        rows = np.abs(self.filters) @ largest  # of each tap of each filter
        layout, pooled, first = self.layout, [], 0
        for size in layout.kernel_sizes:
            taps = rows[first : first + size * layout.n_filters]
            pooled.append(taps.reshape(size, layout.n_filters).sum(axis=0))
            first += len(taps)
        # 1 for softplus, the only activation that is farther from 0 than its argument
        bounds = np.concatenate(pooled) + np.abs(self.filter_bias) + 1
        return float((np.abs(self.weights) @ bounds + np.abs(self.bias)).max())

    def feature_names(self) -> list[str]:
        """``w3_f0`` is the first filter of width 3."""
        layout = self.layout
        return [f"w{width}_f{i}" for width in layout.kernel_sizes for i in range(layout.n_filters)]

    def copy_arrays(self) -> dict[str, np.ndarray]:
        """A copy of every array, to come back to with `restore_arrays`."""
        return {name: array.copy() for name, array in self.arrays().items()}

    def restore_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the values of `copy_arrays` back."""
        for name, value in arrays.items():
            getattr(self, name)[...] = value

    def __getstate__(self) -> dict[str, Any]:
        """Without the scratch memory."""
        return {name: value for name, value in self.__dict__.items() if name not in ("marks", "work")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()

    def is_finite(self) -> bool:
        """True if no array holds NaN or infinity, and no text can have outputs as good as infinite."""
        return all(map(is_finite, self.arrays().values())) and self.largest_output() < LARGEST_OUTPUT

    def inference(self, cache_bytes: int) -> Inference:
        """The forward passes of this network when it is not trained any more."""
        return Inference(self, cache_bytes)


def drop_words(ids: np.ndarray, rate: float, seed: int, step: int, work: Workspace) -> np.ndarray:
    """Each token becomes the unknown one with probability `rate`, which trains that one."""
    if rate == 0 or len(ids) == 0:
        return ids
    mask = work.array("word_mask", (1, len(ids)))
    dropout_mask(seed ^ WORD_DROPOUT_KEY, step, rate, mask, 1)
    return np.where(mask[0] > 0, ids, 0).astype(np.int32)


def checked_array(
    array: np.ndarray, name: str, shape: tuple[int, ...], dtype: Any = np.float32
) -> np.ndarray:
    """An array of a model file, finite and of this shape and type."""
    if array.shape != shape or array.dtype != dtype or not is_finite(array):
        raise ValueError(f"{name} is {array.dtype} {array.shape}, not finite {np.dtype(dtype)} {shape}")
    return array


def is_finite(array: np.ndarray) -> bool:
    """True if an array holds neither NaN nor infinity, found out without an array as large."""
    return array.size == 0 or bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def checked_width(embedding: np.ndarray) -> int:
    """Columns of an embedding in a model file; without any, nothing would tell how many rows others have."""
    if embedding.ndim != 2 or not embedding.shape[1]:
        raise ValueError(f"embedding has shape {embedding.shape}, not (n_ids, n_dims)")
    return embedding.shape[1]


def checked_frozen(n_frozen: Any, n_dims: int, n_outputs: int) -> int:
    """The number of frozen columns in a model file."""
    if type(n_frozen) is not int or not 0 <= n_frozen <= n_dims or not n_outputs:
        raise ValueError(f"{n_frozen} frozen columns of {n_dims}, {n_outputs} outputs")
    return n_frozen


def side_by_side(networks: list[SentenceCNN]) -> SentenceCNN:
    """One network whose logits are the mean of those of several networks of the same layout.

    The embeddings stand side by side, each filter is zero where the embeddings of the other networks
    are, and the output weights are divided by the number of networks.

    Parameters
    ----------
    networks : list of SentenceCNN
        If there is one only, it is returned itself.

    Returns
    -------
    SentenceCNN
        All of its columns count as trained.
    """
    if len(networks) == 1:
        return networks[0]
    layout, n = networks[0].layout, len(networks)
    n_dims, n_widths = networks[0].embedding.shape[1], len(layout.kernel_sizes)
    filters = []
    for k, network in enumerate(networks):
        padded = np.zeros((layout.n_rows, n * n_dims), np.float32)
        padded[:, k * n_dims : (k + 1) * n_dims] = network.filters
        filters.append(padded)
    return SentenceCNN(
        embedding=np.concatenate([network.embedding for network in networks], axis=1),
        filters=_by_block(filters, sum(layout.kernel_sizes)),
        filter_bias=_by_block([network.filter_bias for network in networks], n_widths),
        weights=np.ascontiguousarray(
            _by_block([network.weights.T for network in networks], n_widths).T / np.float32(n)
        ),
        bias=np.stack([network.bias for network in networks]).mean(axis=0),
        layout=replace(layout, n_filters=n * layout.n_filters),
    )


def _by_block(arrays: list[np.ndarray], n_blocks: int) -> np.ndarray:
    """Rows of the first block of each array, then those of the second blocks, and so on.

    Blocks are the taps of a width in `filters`, and the widths in arrays with a row for each filter.
    """
    tail = arrays[0].shape[1:]
    blocks = [array.reshape(n_blocks, -1, *tail) for array in arrays]
    return np.concatenate(blocks, axis=1).reshape(-1, *tail)
