"""The iterated dilated convolutional network for sequence tagging (Strubell et al. 2017)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from textcnn._kernels import _blas, _conv, _dilated, _packing
from textcnn._kernels._random import dropout_mask
from textcnn.nn import layers
from textcnn.nn.array_model import ArrayModel
from textcnn.nn.crf import CHAIN, chain_arrays, sequence_loss
from textcnn.nn.layers import ConvLayout
from textcnn.nn.optimizers import Gradient
from textcnn.nn.training import WORD_DROPOUT_KEY, TrainingOptions
from textcnn.nn.workspace import Workspace

if TYPE_CHECKING:
    from textcnn.nn.tagging_inference import TaggingInference, TokenInference
    from textcnn.nn.window_linear import WindowLinear

JOINS = ("concat", "last", "every")

# Width of all convolutions over tokens.
KERNEL_SIZE = 3

# Share of random weights in the dilated layers as they start.
BLOCK_NOISE = np.float32(0.3)

# Keep the masks of the features apart from those of the last layer.
FEATURE_DROPOUT_KEY = 0x5851F42D4C957F2D
RARE_WORD_DROPOUT_KEY = 0x14057B7EF767814F


@dataclass(frozen=True)
class TokenLayout:
    """Shape of what stands before and behind the layers of a tagging network.

    Parameters
    ----------
    n_tags : int
    word_dim : int
        Dimensions of the word embeddings; 0 for none.
    char_dim, char_kernel_sizes, n_char_filters : int, tuple of int, int
        The character network of a token; `n_char_filters` 0 for none.
    hashed_dim, n_attributes : int
        Dimensions of the embedding of each hashed attribute (prefix, suffix, shape).
    head : {"crf", "softmax"}
    """

    n_tags: int
    word_dim: int
    char_dim: int
    char_kernel_sizes: tuple[int, ...]
    n_char_filters: int
    hashed_dim: int
    n_attributes: int
    head: str

    @property
    def char_outputs(self) -> int:
        """Features of a token's characters."""
        return len(self.char_kernel_sizes) * self.n_char_filters

    @property
    def hashed_outputs(self) -> int:
        """Features of a token's attributes."""
        return self.n_attributes * self.hashed_dim

    @property
    def n_features(self) -> int:
        """Features of a token, the channels of the first convolution."""
        return self.word_dim + self.char_outputs + self.hashed_outputs

    @cached_property
    def char_layout(self) -> ConvLayout:
        """The filters over characters."""
        return ConvLayout(self.char_kernel_sizes, self.n_char_filters, "same")


@dataclass(frozen=True)
class TaggerLayout(TokenLayout):
    """Shape of a `TaggingCNN`.

    Parameters
    ----------
    n_tags, word_dim, char_dim, char_kernel_sizes, n_char_filters, hashed_dim, n_attributes, head
        As in `TokenLayout`.
    n_channels : int
    dilations : tuple of int
        Of the layers of the block; with none there is the first convolution alone.
    n_iterations : int
        How often the block is applied.
    share_weights : bool
        Whether all iterations use the same weights.
    join : {"concat", "last", "every"}
        What is scored: the outputs of all iterations side by side; that of the last one; or each by
        itself in training, and the last one in prediction.
    """

    n_channels: int
    dilations: tuple[int, ...]
    n_iterations: int
    share_weights: bool
    join: str

    @property
    def n_layers(self) -> int:
        """Dilated layers, all iterations together."""
        return len(self.dilations) * self.n_iterations

    @property
    def n_sets(self) -> int:
        """Layers with weights of their own."""
        return len(self.dilations) if self.share_weights else self.n_layers

    @property
    def layer_dilations(self) -> tuple[int, ...]:
        """Dilation of each layer."""
        return self.dilations * self.n_iterations

    @cached_property
    def layer_sets(self) -> list[int]:
        """Number of the weights of each layer."""
        return [layer % self.n_sets for layer in range(self.n_layers)]

    @cached_property
    def scored_levels(self) -> list[int]:
        """Layers whose outputs are scored, or [-1] for the first convolution if there are no others."""
        depth = len(self.dilations)
        ends = [depth * (i + 1) - 1 for i in range(self.n_iterations)] if depth else [-1]
        return ends[-1:] if self.join == "last" else ends

    @property
    def n_joined(self) -> int:
        """Inputs of the output layer."""
        return self.n_channels * (len(self.scored_levels) if self.join == "concat" else 1)

    @property
    def halo(self) -> int:
        """Tokens on each side that an emission's bits can depend on, counted generously.

        A tile spans six rows, in steps of the dilation, so a result can depend on four to either side.
        """
        return 1 + 4 * sum(self.layer_dilations)

    @property
    def receptive_field(self) -> int:
        """Tokens that the scores of one token depend on: 1 + 2 (1 + sum of dilations) for width 3."""
        return 1 + 2 * (1 + sum(self.layer_dilations))


@dataclass(frozen=True)
class WindowRows:
    """Rows of the coefficients of a `WindowLinear`, which stay the same all through its training.

    Parameters
    ----------
    of_types : int32 ndarray of shape (n_types, 1 + n_attributes)
        Of the word and the attributes of each distinct token.
    of_tokens : int32 ndarray of shape (n_tokens, n_ngrams)
        Of the n-grams that each token ends.
    """

    of_types: np.ndarray
    of_tokens: np.ndarray


@dataclass(frozen=True)
class TaggedExamples:
    """Encoded sentences with their tags and weights.

    Parameters
    ----------
    types : int32 ndarray of shape (n_tokens,)
        Number of the distinct token.
    offsets : intp ndarray of shape (n_sentences + 1,)
    targets : int32 ndarray of shape (n_tokens,)
    sample_weight : float32 ndarray of shape (n_sentences,)
        With a mean of one over the tokens of all training sentences.
    features : TypeFeatures
        Of the distinct tokens (`textcnn.text.token_features`).
    rare : bool ndarray of shape (n_types,), default=None
        Distinct tokens whose word has one use in the training sentences.
    window_rows : WindowRows, default=None
        What `WindowLinear.prepared` adds.
    """

    types: np.ndarray
    offsets: np.ndarray
    targets: np.ndarray
    sample_weight: np.ndarray
    features: Any
    rare: np.ndarray | None = None
    window_rows: WindowRows | None = None

    def __len__(self) -> int:
        return len(self.sample_weight)

    @property
    def n_tokens(self) -> int:
        """Tokens of all sentences."""
        return len(self.types)

    @property
    def loss_weight(self) -> float:
        """The tokens, each with the weight of its sentence: the loss divided by it is a weighted mean."""
        return float(np.diff(self.offsets) @ self.sample_weight.astype(np.float64))

    @property
    def step_weight(self) -> float:
        """What the loss of a batch is divided by in training: the tokens.

        Not their weights: those of a batch would then count among themselves alone, and a batch of one
        sentence the same whatever its weight.
        """
        return float(self.n_tokens)

    def take(self, index: np.ndarray) -> TaggedExamples:
        """The sentences `index`, in that order, without their `window_rows`."""
        index = np.ascontiguousarray(index, dtype=np.intp)
        n_tokens = int((self.offsets[index + 1] - self.offsets[index]).sum())
        types, targets = np.empty(n_tokens, np.int32), np.empty(n_tokens, np.int32)
        offsets = np.empty(len(index) + 1, np.intp)
        _packing.take_texts(self.types, self.offsets, index, types, offsets)
        _packing.take_texts(self.targets, self.offsets, index, targets, offsets)
        return TaggedExamples(types, offsets, targets, self.sample_weight[index], self.features, self.rare)


@dataclass
class _TokenFeatures:
    """Feature rows of the distinct tokens of a batch, and what their gradient needs."""

    rows: np.ndarray  # (m, n_features), after dropout
    mask: np.ndarray | None
    words: np.ndarray
    hashed: np.ndarray
    chars: layers.ConvCache | None


class TokenNetwork(ArrayModel, ABC):
    """Token features in front and the scores of the tags behind: what all networks for tagging share.

    Parameters
    ----------
    layout : TokenLayout
    arrays : dict of str to ndarray
        All of one dtype, float32 or float64:

        - ``words`` (n_words, word_dim), row 0 for unknown words;
        - ``chars`` (n_chars, char_dim), ``char_filters`` (rows of `char_layout`, char_dim), ``char_bias``;
        - ``hashed`` (n_rows, hashed_dim);
        - ``weights`` (n_tags, n_inputs), ``bias`` (n_tags,);
        - ``transitions`` (n_tags, n_tags), from row to column, ``start`` and ``stop`` (n_tags,); zeros with
          a softmax head;
        - those of the layers between.
    frozen_words : bool, default=False
        Leave the word embeddings as they are in training.
    """

    SCRATCH: ClassVar[tuple[str, ...]] = ("_marks", "work")
    ROW_WISE: ClassVar[tuple[str, ...]] = ("words", "hashed", "chars")

    def __init__(
        self, layout: TokenLayout, arrays: dict[str, np.ndarray], frozen_words: bool = False
    ) -> None:
        self.layout = layout
        self.arrays = arrays
        self.frozen_words = frozen_words
        self._prepare()

    def _prepare(self) -> None:
        self.work = Workspace()
        arrays = self.arrays
        self._marks = {name: np.full(len(arrays[name]), -1, np.int32) for name in self.ROW_WISE}

    @property
    @abstractmethod
    def PENALIZED(self) -> tuple[str, ...]:
        """Parameters that the l2 penalty applies to."""

    @property
    @abstractmethod
    def n_layers(self) -> int:
        """Layers with weights between token features and the output layer."""

    @property
    @abstractmethod
    def receptive_field(self) -> float:
        """Tokens that the scores of one token depend on; infinity for the whole sentence."""

    @property
    @abstractmethod
    def reach(self) -> tuple[float, float]:
        """The first and the last of these tokens, seen from the one: (-2, 0) for itself and two before it."""

    @abstractmethod
    def batch_gradients(
        self, batch: TaggedExamples, weight: float, options: TrainingOptions, seed: int, step: int
    ) -> tuple[float, dict[str, Gradient]]:
        """Loss of a batch divided by `weight`, and the gradient of every trained parameter.

        Parameters
        ----------
        batch : TaggedExamples
        weight : float
            ``batch.step_weight`` in training: the loss is then a mean over tokens.
        options : TrainingOptions
            Its `dropout`, `feature_dropout`, `word_dropout` and `n_threads` count here.
        seed, step : int
            Key of the dropout masks.

        Returns
        -------
        loss : float
        gradients : dict of Gradient
            Valid until the next call.
        """

    @abstractmethod
    def inference(self, linear: WindowLinear | None, share: float) -> TokenInference:
        """The forward passes when it is not trained any more, with a linear part beside it."""

    def config(self) -> dict[str, Any]:
        """What a model file needs beside the layout and the arrays, as JSON values."""
        return {}

    @abstractmethod
    def copy(self) -> TokenNetwork:
        """A network with arrays of its own."""

    def parameters(self) -> dict[str, np.ndarray]:
        """The trained parameters as matrices that share memory with the network."""
        parameters = {}
        unused = {
            "words": self.frozen_words,
            "chars": not self.layout.char_outputs,
            "hashed": not self.layout.hashed_outputs,
        }
        for name, array in self.arrays.items():
            if array.size and not unused.get(name, False):
                parameters[name] = array.reshape(-1, array.shape[-1])
        if self.layout.head == "softmax":
            for name in CHAIN:
                del parameters[name]
        return parameters

    def add_words(self, rows: np.ndarray) -> None:
        """Append word embeddings."""
        self.arrays["words"] = np.concatenate([self.arrays["words"], rows])
        self._prepare()

    def _distinct(
        self, batch: TaggedExamples, options: TrainingOptions, seed: int, step: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distinct tokens of a batch, whether their word is dropped, and the row of each token.

        A dropped word becomes the unknown one, which trains that; its characters and attributes stay.
        """
        n_types, types = len(batch.features), batch.types
        dropped = self._dropped(options.word_dropout, len(types), seed ^ WORD_DROPOUT_KEY, step)
        if batch.rare is not None:
            rare = batch.rare[types]
            dropped |= rare & self._dropped(
                options.rare_word_dropout, len(types), seed ^ RARE_WORD_DROPOUT_KEY, step
            )
        types = np.where(dropped, types + n_types, types).astype(np.int32)
        marks = self._marks.get("types")
        if marks is None or len(marks) < 2 * n_types:
            marks = self._marks["types"] = np.full(2 * n_types, -1, np.int32)
        distinct = self.work.array("types_distinct", (min(len(types), len(marks)),), np.int32)
        slots = self.work.array("types_slots", (len(types),), np.int32)
        distinct = distinct[: _packing.distinct(types, marks, distinct, slots)]
        return distinct % n_types if n_types else distinct, distinct >= n_types, slots

    def _token_features(
        self, features: Any, distinct: np.ndarray, dropped: np.ndarray, options: TrainingOptions, seed: int,
        step: int,
    ) -> _TokenFeatures:  # fmt: skip
        layout, work, arrays = self.layout, self.work, self.arrays
        dtype = arrays["weights"].dtype
        rows = work.array("features", (len(distinct), layout.n_features), dtype)
        words = np.where(dropped, 0, features.words[distinct]).astype(np.int32)
        rows[:, : layout.word_dim] = arrays["words"][words]
        cache = None
        if layout.char_outputs:
            lengths = features.char_offsets[distinct + 1] - features.char_offsets[distinct]
            chars = work.array("chars", (int(lengths.sum()),), np.int32)
            offsets = work.array("char_offsets", (len(distinct) + 1,), np.intp)
            _packing.take_texts(
                features.chars, features.char_offsets, distinct.astype(np.intp), chars, offsets
            )
            pooled, cache = layers.conv_max(
                arrays["chars"], arrays["char_filters"], arrays["char_bias"], chars, offsets,
                layout.char_layout, self._marks["chars"], work, options.n_threads,
            )  # fmt: skip
            rows[:, layout.word_dim : layout.word_dim + layout.char_outputs] = pooled
        hashed = np.ascontiguousarray(features.hashed[distinct], dtype=np.int32).reshape(-1)
        if layout.hashed_outputs:
            rows[:, layout.word_dim + layout.char_outputs :] = arrays["hashed"][hashed].reshape(
                -1, layout.hashed_outputs
            )
        mask = None
        if options.feature_dropout > 0:
            mask = work.array("feature_mask", rows.shape, dtype)
            dropout_mask(seed ^ FEATURE_DROPOUT_KEY, step, options.feature_dropout, mask, options.n_threads)
            np.multiply(rows, mask, out=rows)
        return _TokenFeatures(rows, mask, words, hashed, cache)

    def _dropped(self, rate: float, n: int, seed: int, step: int) -> np.ndarray:
        """True with probability `rate`, bool of shape (n,)."""
        if rate == 0 or n == 0:
            return np.zeros(n, bool)
        mask = self.work.array("word_mask", (1, n))
        dropout_mask(seed, step, rate, mask, 1)
        return mask[0] == 0

    def token_features(self, features: Any, types: np.ndarray, n_threads: int) -> np.ndarray:
        """Features of distinct tokens in prediction, float32 of shape (n_types, n_features).

        Uses no memory of the network's own, so that several threads may call it at once.
        """
        layout, arrays, work = self.layout, self.arrays, Workspace()
        parts = [arrays["words"][features.words[types]]]
        if layout.char_outputs:
            lengths = features.char_offsets[types + 1] - features.char_offsets[types]
            chars, offsets = np.empty(int(lengths.sum()), np.int32), np.empty(len(types) + 1, np.intp)
            _packing.take_texts(features.chars, features.char_offsets, types.astype(np.intp), chars, offsets)
            marks = np.full(len(arrays["chars"]), -1, np.int32)
            pooled, _ = layers.conv_max(
                arrays["chars"], arrays["char_filters"], arrays["char_bias"], chars, offsets,
                layout.char_layout, marks, work, n_threads,
            )  # fmt: skip
            parts.append(pooled)
        if layout.hashed_outputs:
            parts.append(
                arrays["hashed"][features.hashed[types].reshape(-1)].reshape(-1, layout.hashed_outputs)
            )
        return np.concatenate(parts, axis=1)

    def _head(
        self,
        batch: TaggedExamples,
        output: np.ndarray,
        sample_weight: np.ndarray,
        options: TrainingOptions,
        seed: int,
        step: int,
        name: str,
    ) -> tuple[float, dict[str, np.ndarray], np.ndarray]:
        """Dropout, the output layer and the loss: loss, gradients of the head's arrays and of `output`."""
        work, n_threads, arrays = self.work, options.n_threads, self.arrays
        dropped, mask = layers.dropout(output, options.dropout, seed, step, work, n_threads)
        emissions = layers.dense(dropped, arrays["weights"], arrays["bias"], work, n_threads)
        loss, d_emissions, chain = sequence_loss(
            self.layout.head, emissions, arrays, batch.targets, batch.offsets, sample_weight, work, n_threads
        )
        d_weights, d_bias, d_dropped = layers.dense_backward(
            d_emissions, dropped, arrays["weights"], work, n_threads
        )
        d_output = work.array(name, output.shape, output.dtype)
        if mask is None:
            d_output[...] = d_dropped
        else:
            np.multiply(d_dropped, mask, out=d_output)
        return loss, chain | {"weights": d_weights, "bias": d_bias}, d_output

    def _feature_gradients(
        self, tokens: _TokenFeatures, d_rows: np.ndarray, n_threads: int
    ) -> dict[str, Gradient]:
        """Gradients of everything that token features are made of, given that of their rows; changes it."""
        layout, work, arrays = self.layout, self.work, self.arrays
        if tokens.mask is not None:
            np.multiply(d_rows, tokens.mask, out=d_rows)
        gradients: dict[str, Gradient] = {}
        if layout.word_dim and not self.frozen_words:
            gradients["words"] = row_gradient(
                "words", tokens.words, d_rows[:, : layout.word_dim], self._marks["words"], work
            )
        if tokens.chars is not None:
            pooled = d_rows[:, layout.word_dim : layout.word_dim + layout.char_outputs]
            d_filters, d_bias, d_chars = layers.conv_max_backward(
                np.ascontiguousarray(pooled), tokens.chars, arrays["char_filters"], layout.char_layout, 0,
                work, n_threads,
            )  # fmt: skip
            assert d_chars is not None, "all columns are trained"
            gradients["char_filters"] = Gradient(d_filters)
            gradients["char_bias"] = Gradient(d_bias[np.newaxis])
            gradients["chars"] = Gradient(d_chars, tokens.chars.distinct)
        if layout.hashed_outputs:
            d_hashed = np.ascontiguousarray(d_rows[:, layout.word_dim + layout.char_outputs :])
            gradients["hashed"] = row_gradient(
                "hashed", tokens.hashed, d_hashed.reshape(-1, layout.hashed_dim), self._marks["hashed"], work
            )
        return gradients


class TaggingCNN(TokenNetwork):
    """Token features -> convolution -> iterated dilated block -> dropout -> linear -> CRF or softmax.

    Every convolution over tokens has width 3, "same" padding and a ReLU.

    Parameters
    ----------
    layout : TaggerLayout
    arrays : dict of str to ndarray
        All of one dtype, float32 or float64:

        - ``words`` (n_words, word_dim), row 0 for unknown words;
        - ``chars`` (n_chars, char_dim), ``char_filters`` (rows of `char_layout`, char_dim), ``char_bias``;
        - ``hashed`` (n_rows, hashed_dim);
        - ``first`` (3 * n_channels, n_features), tap j of filter q in row ``j * n_channels + q``, and
          ``first_bias`` (n_channels,);
        - ``block`` (n_sets, 3, n_channels, n_channels), tap, channel in, channel out, and ``block_bias``
          (n_sets, n_channels);
        - ``weights`` (n_tags, n_joined), ``bias`` (n_tags,);
        - ``transitions`` (n_tags, n_tags), from row to column, ``start`` and ``stop`` (n_tags,); zeros with
          a softmax head.
    frozen_words : bool, default=False
        Leave the word embeddings as they are in training.
    """

    PENALIZED = ("first", "block", "weights", "char_filters")

    layout: TaggerLayout

    @classmethod
    def initialized(
        cls,
        rng: np.random.RandomState,
        layout: TaggerLayout,
        words: np.ndarray,
        n_chars: int,
        n_hashed_rows: int,
        frozen_words: bool = False,
    ) -> TaggingCNN:
        """A network around the word embeddings `words`.

        Weights before a ReLU are uniform with variance 2 / fan-in (He et al. 2015), but those of the
        dilated layers are 0.3 of that plus the identity at the middle tap, so that a deep stack begins as
        hardly more than a copy of its input (Strubell et al. 2017, 5.1; one point of F1 on half of
        CoNLL-2003). The output weights are Glorot-uniform, characters uniform in +-sqrt(3 / char_dim).
        Hashed attributes, biases and transitions start at zero, so that an attribute never seen in training
        has no say.
        """
        c, f32 = layout.n_channels, np.float32
        n_sets = layout.n_sets
        block = BLOCK_NOISE * _he_uniform(rng, (n_sets, KERNEL_SIZE, c, c), KERNEL_SIZE * c)
        block[:, KERNEL_SIZE // 2] += np.eye(c, dtype=f32)
        arrays = {
            **feature_arrays(rng, layout, words, n_chars, n_hashed_rows),
            "first": _he_uniform(rng, (KERNEL_SIZE * c, layout.n_features), KERNEL_SIZE * layout.n_features),
            "first_bias": np.zeros(c, f32),
            "block": block,
            "block_bias": np.zeros((n_sets, c), f32),
            **head_arrays(rng, layout, layout.n_joined),
        }
        return cls(layout, arrays, frozen_words)

    @property
    def n_layers(self) -> int:
        """The first convolution and the dilated ones."""
        return self.layout.n_layers + 1

    @property
    def receptive_field(self) -> float:
        """Tokens that the scores of one token depend on."""
        return self.layout.receptive_field

    @property
    def reach(self) -> tuple[float, float]:
        """As many to either side."""
        half = self.receptive_field // 2
        return -half, half

    def inference(self, linear: WindowLinear | None, share: float) -> TaggingInference:
        """The forward passes when it is not trained any more, with a linear part beside it."""
        from textcnn.nn.tagging_inference import TaggingInference  # which imports this module

        return TaggingInference(self, linear, share)

    # ---- training -------------------------------------------------------------------------------

    def batch_gradients(
        self, batch: TaggedExamples, weight: float, options: TrainingOptions, seed: int, step: int
    ) -> tuple[float, dict[str, Gradient]]:
        """Loss of a batch divided by `weight`, and the gradient of every trained parameter."""
        layout, work, n_threads = self.layout, self.work, options.n_threads
        distinct, dropped, slots = self._distinct(batch, options, seed, step)
        tokens = self._token_features(batch.features, distinct, dropped, options, seed, step)
        first = self._first_level(tokens.rows, slots, batch.offsets, n_threads)
        tiling = _dilated.Tiling(batch.offsets, layout.layer_dilations, KERNEL_SIZE, first.itemsize)
        levels = self._training_levels(first)
        self._stack_forward(tiling, first, levels, n_threads)

        sample_weight = (batch.sample_weight / weight).astype(first.dtype)
        loss, gradients, d_levels, d_first = self._score(
            batch, first, levels, sample_weight, options, seed, step
        )

        deltas = list(work.array("deltas", (layout.n_layers, *first.shape), first.dtype))
        d_input = work.array("d_first", first.shape, first.dtype)
        if layout.n_layers:
            _dilated.conv_stack_backward(
                tiling, first, levels, d_levels, self._packed_filters(True, n_threads), deltas, d_input, True,
                n_threads,
            )  # fmt: skip
            gradients |= self._block_gradients(tiling, first, levels, deltas, n_threads)
        else:
            assert d_first is not None, "the first convolution is what is scored"
            np.multiply(d_first, first > 0, out=d_input)
        gradients |= self._first_gradients(tokens, slots, batch.offsets, d_input, n_threads)
        return loss, {name: gradients[name] for name in self.parameters()}

    def _first_level(
        self, rows: np.ndarray, slots: np.ndarray, offsets: np.ndarray, n_threads: int
    ) -> np.ndarray:
        """The first convolution, through projections of the distinct tokens."""
        first, work = self.arrays["first"], self.work
        projected = work.array("projected_tokens", (len(rows), len(first)), rows.dtype)
        _blas.matmul(rows, first.T, projected, None, False, n_threads)
        out = work.array("first", (len(slots), self.layout.n_channels), rows.dtype)
        _conv.conv_same_forward(
            projected, self.arrays["first_bias"], slots, offsets, KERNEL_SIZE, True, out, n_threads
        )
        return out

    def _training_levels(self, first: np.ndarray) -> list[np.ndarray]:
        """Room for the output of every layer; those that are joined lie side by side."""
        layout, shape = self.layout, first.shape
        levels = list(self.work.array("levels", (layout.n_layers, *shape), first.dtype))
        if layout.join == "concat" and layout.n_layers:
            joined = self.work.array("joined", (shape[0], layout.n_joined), first.dtype)
            for i, level in enumerate(layout.scored_levels):
                levels[level] = joined[:, i * layout.n_channels : (i + 1) * layout.n_channels]
        return levels

    def _packed_filters(self, transposed: bool, n_threads: int) -> list[np.ndarray]:
        """The weights of each layer as the kernel takes them."""
        block = self.arrays["block"]
        packed = []
        for i, weights in enumerate(block):
            size = _dilated.filters_size(weights, transposed)
            panels = self.work.array(f"panels{i}", (size,), block.dtype)
            _dilated.pack_filters(weights, panels, transposed, n_threads)
            packed.append(panels)
        return [packed[k] for k in self.layout.layer_sets]

    def _stack_forward(
        self, tiling: Any, first: np.ndarray, levels: list[np.ndarray], n_threads: int
    ) -> None:
        biases = self.arrays["block_bias"]
        _dilated.conv_stack_forward(
            tiling, first, levels, self._packed_filters(False, n_threads),
            [biases[k] for k in self.layout.layer_sets], n_threads,
        )  # fmt: skip

    def _score(
        self,
        batch: TaggedExamples,
        first: np.ndarray,
        levels: list[np.ndarray],
        sample_weight: np.ndarray,
        options: TrainingOptions,
        seed: int,
        step: int,
    ) -> tuple[float, dict[str, Gradient], list[np.ndarray | None], np.ndarray | None]:
        """Loss, gradients of the head, and the gradient of each level that is scored."""
        layout, work = self.layout, self.work
        outputs = [levels[i] if i >= 0 else first for i in layout.scored_levels]
        if layout.join == "concat":
            outputs = (
                [work.array("joined", (len(first), layout.n_joined), first.dtype)] if levels else [first]
            )
        total, gradients, d_outputs = 0.0, {}, []
        share = np.asarray(1 / len(outputs), first.dtype)
        for i, output in enumerate(outputs):
            # every iteration has masks of its own
            loss, parts, d_output = self._head(
                batch, output, sample_weight * share, options, seed + i, step, f"d_output{i}"
            )
            total += loss
            d_outputs.append(d_output)
            if i == 0:
                gradients = {name: part.copy() for name, part in parts.items()}
            else:
                for name, part in parts.items():
                    gradients[name] += part
        d_levels: list[np.ndarray | None] = [None] * layout.n_layers
        if not levels:
            return total, as_gradients(gradients), d_levels, d_outputs[0]
        for i, level in enumerate(layout.scored_levels):
            if layout.join == "concat":
                d_levels[level] = d_outputs[0][:, i * layout.n_channels : (i + 1) * layout.n_channels]
            else:
                d_levels[level] = d_outputs[i]
        return total, as_gradients(gradients), d_levels, None

    def _block_gradients(
        self,
        tiling: Any,
        first: np.ndarray,
        levels: list[np.ndarray],
        deltas: list[np.ndarray],
        n_threads: int,
    ) -> dict[str, Gradient]:
        block, biases = self.arrays["block"], self.arrays["block_bias"]
        d_block = self.work.array("d_block", block.shape, block.dtype)
        d_biases = self.work.array("d_block_bias", biases.shape, block.dtype)
        _dilated.conv_stack_weight_gradients(
            tiling, first, levels, deltas, self.layout.layer_sets, list(d_block), list(d_biases), n_threads
        )
        return {"block": Gradient(d_block.reshape(-1, block.shape[-1])), "block_bias": Gradient(d_biases)}

    def _first_gradients(
        self,
        tokens: _TokenFeatures,
        slots: np.ndarray,
        offsets: np.ndarray,
        d_first: np.ndarray,
        n_threads: int,
    ) -> dict[str, Gradient]:
        """Gradients of the first convolution and of everything before it."""
        work, arrays, rows, dtype = self.work, self.arrays, tokens.rows, d_first.dtype
        d_projected = work.array("d_projected_tokens", (len(rows), len(arrays["first"])), dtype)
        _conv.conv_same_backward(d_first, slots, offsets, KERNEL_SIZE, d_projected, n_threads)
        d_weights = work.array("d_first_weights", arrays["first"].shape, dtype)
        _blas.matmul(d_projected.T, rows, d_weights, None, False, n_threads)
        d_rows = work.array("d_features", rows.shape, dtype)
        _blas.matmul(d_projected, arrays["first"], d_rows, None, False, n_threads)
        gradients = {"first": Gradient(d_weights), "first_bias": Gradient(d_first.sum(axis=0, keepdims=True))}
        return gradients | self._feature_gradients(tokens, d_rows, n_threads)

    # ---- the state ------------------------------------------------------------------------------

    def copy(self) -> TaggingCNN:
        """A network with arrays of its own."""
        return TaggingCNN(self.layout, self.copy_arrays(), self.frozen_words)


def feature_arrays(
    rng: np.random.RandomState, layout: TokenLayout, words: np.ndarray, n_chars: int, n_hashed_rows: int
) -> dict[str, np.ndarray]:
    """First values of the arrays that token features are made of."""
    limit, widths = np.sqrt(3.0 / max(1, layout.char_dim)), layout.char_kernel_sizes
    return {
        "words": words,
        "chars": rng.uniform(-limit, limit, (n_chars, layout.char_dim)).astype(np.float32),
        "char_filters": np.concatenate(
            [_he_uniform(rng, (width * layout.n_char_filters, layout.char_dim), width * layout.char_dim)
             for width in widths]
        ),
        "char_bias": np.zeros(layout.char_outputs, np.float32),
        "hashed": np.zeros((n_hashed_rows, layout.hashed_dim), np.float32),
    }  # fmt: skip


def head_arrays(rng: np.random.RandomState, layout: TokenLayout, n_inputs: int) -> dict[str, np.ndarray]:
    """First values of the arrays of the output layer and of the random field."""
    return {
        "weights": layers.glorot_uniform(rng, (layout.n_tags, n_inputs), n_inputs, layout.n_tags),
        "bias": np.zeros(layout.n_tags, np.float32),
        **chain_arrays(layout.n_tags),
    }


def _he_uniform(rng: np.random.RandomState, shape: tuple[int, ...], fan_in: int) -> np.ndarray:
    """Uniform float32 weights with variance 2 / fan-in (He et al. 2015)."""
    limit = np.sqrt(6.0 / max(1, fan_in))
    return rng.uniform(-limit, limit, size=shape).astype(np.float32)


def row_gradient(
    name: str, ids: np.ndarray, d_values: np.ndarray, marks: np.ndarray, work: Workspace
) -> Gradient:
    """The gradient of a table of which row i of some values is the row ids[i].

    Parameters
    ----------
    name : str
        Of the table, for the scratch memory.
    ids : int32 ndarray of shape (m,)
    d_values : ndarray of shape (m, n_columns)
    marks : int32 ndarray of shape (n_rows,)
        All -1, before and after.
    work : Workspace

    Returns
    -------
    Gradient
        Of the distinct rows.
    """
    found = work.array(f"{name}_distinct", (min(len(ids), len(marks)),), np.int32)
    slots = work.array(f"{name}_slots", ids.shape, np.int32)
    found = found[: _packing.distinct(ids, marks, found, slots)]
    total = work.array(f"d_{name}", (len(found), d_values.shape[1]), d_values.dtype)
    _packing.scatter_sums(d_values, slots, total)
    return Gradient(total, found)


def as_gradients(arrays: dict[str, np.ndarray]) -> dict[str, Gradient]:
    return {name: Gradient(array.reshape(-1, array.shape[-1])) for name, array in arrays.items()}
