"""Trainable layers to build networks from: small classes over `textcnn.ops`, on packed batches.

A layer is built for a number of channels, which draws its first weights; ``forward(x, train)`` gives the
result and, in training, keeps what ``backward(d_out)`` needs; ``backward`` gives the gradient of the input
and adds those of the parameters to `gradients`. A layer that stands in a network twice shares its weights:
its forward passes are undone in reverse order, and their gradients add up.
"""

from __future__ import annotations

import copy
import inspect
import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textcnn import ops
from textcnn._kernels import _packing, _random
from textcnn._threads import effective_n_threads
from textcnn.ops._arrays import as_choice, as_integer, as_real, offsets_of, regular_offsets
from textcnn.ops.arithmetic import (
    conv_output_length,
    conv_transpose_output_length,
    effective_kernel_size,
    resolve_padding,
)
from textcnn.ops.initializers import glorot_uniform

Array = NDArray[Any]
Rng = np.random.RandomState | None
"""Where first weights come from; None if they will be set."""


class Field(NamedTuple):
    """The rows of the input that a row of a result depends on.

    Row t depends on at most `size` of the rows ``first + step t`` to ``last + step t``.
    """

    size: float
    step: float
    first: float
    last: float

    def through(self, size: float, stride: float, left: float) -> Field:
        """That behind windows of `size` rows, `stride` apart, the first of which begins `left` rows early."""
        if np.isinf(self.step):
            return self
        return Field(
            self.size + (size - 1) * self.step,
            self.step * stride,
            self.first - left * self.step,
            self.last + (size - 1 - left) * self.step,
        )


ONE_ROW = Field(1.0, 1.0, 0.0, 0.0)
WHOLE_TEXT = Field(np.inf, np.inf, -np.inf, np.inf)

ACTIVATIONS = ("identity", "relu", "leaky_relu", "gelu", "tanh", "sigmoid")
POOLINGS = ("max", "mean", "sum", "l2", "weighted", "kmax", "pyramid")
JOINS = ("concat", "sum")
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")
MOST_REPEATS = 1000

# Taps of a kernel, rows from window to window, and such sizes, at most; and rows that padding and MinLength
# add to a text, each of which takes memory however short the text is.
MOST_ROWS, MOST_ADDED_ROWS = 100_000, 10_000

# Weights of a layer at most: a gigabyte.
MOST_WEIGHTS = 1 << 28

# Numbers that one layer may make of a batch: so many, and so many more for each of its rows. Without a limit
# a few layers with strides or padding, one behind the other, make any amount of rows out of one.
MOST_NUMBERS, MOST_NUMBERS_OF_ROW = 1 << 24, 1 << 15

# Layers of a body in a model file or of a DilatedBlock at most, itself included, those that stand there twice
# counted twice.
MOST_LAYERS = 5_000


@dataclass(frozen=True)
class Packed:
    """Texts of any lengths end to end.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_channels), or int32 ids of shape (n_rows,)
    offsets : intp ndarray of shape (n_texts + 1,)
        Where each text begins.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.nn import Packed
    >>> Packed.of(np.zeros((2, 5, 3))).rows.shape
    (10, 3)
    """

    rows: Array
    offsets: Array

    @classmethod
    def of(cls, array: Array) -> Packed:
        """The batch in an array (n_texts, length, n_channels)."""
        n, length, channels = array.shape
        return cls(array.reshape(n * length, channels), regular_offsets(n, length))

    @property
    def n_texts(self) -> int:
        return len(self.offsets) - 1


class Layer(ABC):
    """One step of a network.

    Attributes
    ----------
    arrays : dict of str to ndarray
        The parameters by name; empty until `build`.
    gradients : dict of str to ndarray
        Sums of the gradients since `zero_gradients`, by the same names.
    out_channels : int
        Channels of the result; set by `build`.
    """

    in_channels: int
    out_channels: int

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}
        self._tape: list[Any] = []

    # ---- what a layer defines ---------------------------------------------------------------------

    @abstractmethod
    def _build(self, in_channels: int, rng: Rng) -> int:
        """Make the parameters and return the number of channels of the result."""

    @abstractmethod
    def _forward(self, x: Packed, train: bool, n_jobs: int | None) -> tuple[Packed, Any]:
        """The result, and what `_backward` needs."""

    @abstractmethod
    def _backward(self, d_out: Array, kept: Any, n_jobs: int | None) -> Array:
        """Gradient of the input; those of the parameters go to `_add`."""

    def field(self, field: Field) -> Field:
        """Receptive field of the result, given that of the input.

        `Field.through` gives that of windows; a layer that looks at all rows gives `WHOLE_TEXT`.
        """
        return field

    def _n_numbers(self, lengths: Array) -> int:
        """Numbers in the result for texts of these lengths; 0 if it is no larger than the input."""
        return 0

    def children(self) -> Iterator[tuple[str, Layer]]:
        """The layers inside, by name."""
        return iter(())

    # ---- what users call ----------------------------------------------------------------------------

    def build(self, in_channels: int, random_state: int | np.random.RandomState | None = None) -> Layer:
        """Draw first weights for inputs of this many channels; a second call must ask for as many.

        Parameters
        ----------
        in_channels : int
        random_state : int, RandomState or None, default=None

        Returns
        -------
        self : Layer
        """
        rng = (
            random_state
            if isinstance(random_state, np.random.RandomState)
            else np.random.RandomState(random_state)
        )
        self.make(in_channels, rng)
        self.zero_gradients()
        return self

    def make(self, in_channels: int, rng: Rng) -> int:
        """`build` for the layers around this one; without `rng` the weights wait for `set_parameters`."""
        if not hasattr(self, "out_channels"):
            self.in_channels = in_channels
            self.out_channels = self._build(in_channels, rng)
        elif in_channels != self.in_channels:
            raise ValueError(
                f"a {type(self).__name__} was built for {self.in_channels} channels, but gets {in_channels}; "
                "make another one, or a copy"
            )
        return self.out_channels

    def set_parameters(self, arrays: dict[str, Array], dtype: Any = np.float32) -> None:
        """Take the values of all `parameters` from arrays of the same names and shapes, which are shared.

        Raises
        ------
        ValueError
            If one is missing, has another shape, or is not finite and of the `dtype`.
        """
        for prefix, layer in self.layers().items():
            for key, own in layer.arrays.items():
                name = f"{prefix}.{key}" if prefix else key
                array = arrays.get(name)
                if array is None:
                    raise ValueError(f"the array {name} is missing")
                if array.shape != own.shape or array.dtype != dtype or not np.isfinite(array).all():
                    raise ValueError(
                        f"{name} is {array.dtype} {array.shape}, not finite {np.dtype(dtype)} {own.shape}"
                    )
                layer.arrays[key] = array

    def forward(self, x: Packed, train: bool = False, n_jobs: int | None = None) -> Packed:
        """The result for a batch; with `train`, `backward` can follow, and dropout drops."""
        if not hasattr(self, "out_channels"):
            raise ValueError(
                f"this {type(self).__name__} has no weights yet; call build(in_channels, random_state) first"
            )
        if x.rows.ndim == 2 and x.rows.shape[1] != self.in_channels:
            raise ValueError(
                f"a {type(self).__name__} was built for {self.in_channels} channels, but x has "
                f"{x.rows.shape[1]}"
            )
        is_outermost = getattr(_limit, "numbers", None) is None
        if is_outermost:
            _limit.numbers = MOST_NUMBERS + MOST_NUMBERS_OF_ROW * len(x.rows)
        try:
            self._check_size(self._n_numbers(np.diff(x.offsets)))
            out, kept = self._forward(x, train, n_jobs)
        finally:
            if is_outermost:
                _limit.numbers = None
        if train:
            self._tape.append(kept)
        return out

    def _check_size(self, n_numbers: int) -> None:
        if n_numbers > _limit.numbers:
            raise ValueError(
                f"a {type(self).__name__} makes {n_numbers} numbers of this batch, more than the "
                f"{_limit.numbers} that are allowed for it; lower its sizes, or give fewer texts at a time"
            )

    def backward(self, d_out: Array, n_jobs: int | None = None) -> Array:
        """Gradient (n_rows, in_channels) of the input of the last forward pass with ``train=True``.

        Parameters
        ----------
        d_out : ndarray of shape (n_result_rows, out_channels)
        n_jobs : int or None, default=None
        """
        if not self._tape:
            raise ValueError(
                f"backward of a {type(self).__name__} needs a forward pass with train=True before it"
            )
        return self._backward(np.ascontiguousarray(d_out), self._tape.pop(), n_jobs)

    def layers(self) -> dict[str, Layer]:
        """This layer and all inside it, each once, by dotted name; the layer itself is ``""``."""
        found: dict[str, Layer] = {}
        known: set[int] = set()

        def visit(name: str, layer: Layer) -> None:
            if id(layer) not in known:
                known.add(id(layer))
                found[name] = layer
                for child, inner in layer.children():
                    visit(f"{name}.{child}" if name else child, inner)

        visit("", self)
        return found

    def parameters(self) -> dict[str, Array]:
        """All parameters by dotted name, shared with the layers."""
        return {
            f"{name}.{key}" if name else key: array
            for name, layer in self.layers().items()
            for key, array in layer.arrays.items()
        }

    def all_gradients(self) -> dict[str, Array]:
        """The gradients of `parameters`, by the same names."""
        return {
            f"{name}.{key}" if name else key: array
            for name, layer in self.layers().items()
            for key, array in layer.gradients.items()
        }

    def zero_gradients(self) -> None:
        """Start the sums of gradients anew, here and inside."""
        for layer in self.layers().values():
            layer.gradients = {name: np.zeros_like(array) for name, array in layer.arrays.items()}

    def summary(self, length: int = 10) -> str:
        """A table of the layers: rows and channels of the result, parameters, receptive field.

        Parameters
        ----------
        length : int, default=10
            Rows of the text that is sent through.

        Returns
        -------
        str
        """
        if not hasattr(self, "out_channels"):
            raise ValueError(f"this {type(self).__name__} has no weights yet; call build(in_channels) first")
        x = Packed.of(np.zeros((1, length, self.in_channels), np.float32))
        lines: list[tuple[str, ...]] = [("layer", "rows", "channels", "parameters", "receptive field")]
        lines.append(("input", str(length), str(self.in_channels), "0", "1"))
        self.trace("", x, ONE_ROW, lines)
        n_parameters = sum(array.size for array in self.parameters().values())
        lines.append(("total", "", "", str(n_parameters), ""))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    def trace(self, name: str, x: Packed, field: Field, lines: list[tuple[str, ...]]) -> tuple[Packed, Field]:
        """Send a batch through and note a line of `summary` for every layer without layers inside."""
        out, field = self.forward(x), self.field(field)
        size = sum(array.size for array in self.arrays.values())
        lines.append(self._line(name, out, size, field))
        return out, field

    def _line(self, name: str, out: Packed, n_parameters: int, field: Field) -> tuple[str, ...]:
        """A line of `summary`."""
        title = f"{name} {type(self).__name__}".strip()
        seen = "whole text" if np.isinf(field.size) else f"{field.size:g}"
        return title, str(len(out.rows)), str(out.rows.shape[1]), str(n_parameters), seen

    def config(self, before: list[Layer] | None = None) -> dict[str, Any]:
        """The arguments that make this layer again, with its kind: JSON values, for model files.

        Parameters
        ----------
        before : list of Layer, default=None
            The layers that were described already; those described here are added.
        """
        names = [name for name in inspect.signature(type(self)).parameters if name != "layers"]
        missing = [name for name in names if not hasattr(self, name)]
        if missing:
            raise TypeError(
                f"a {type(self).__name__} does not keep its argument {missing[0]} under that name; a layer "
                "must keep all of its arguments, so that it can be made again"
            )
        return {"kind": type(self).__name__, **{name: as_json(getattr(self, name)) for name in names}}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._shown())})"

    def _shown(self) -> list[str]:
        """The arguments, as `repr` shows them."""
        names = [name for name in inspect.signature(type(self)).parameters if name in vars(self)]
        return [f"{name}={getattr(self, name)!r}" for name in names]

    def __getstate__(self) -> dict[str, Any]:
        """Without what a training step left behind."""
        return {**self.__dict__, "_tape": [], "gradients": {}}

    def _add(self, name: str, gradient: Array) -> None:
        if name in self.gradients:
            self.gradients[name] += gradient
        else:
            self.gradients[name] = gradient


# What the outermost forward pass of a thread allows the layers inside.
_limit = threading.local()


def as_json(value: Any) -> Any:
    """An argument of a layer as a JSON value."""
    if isinstance(value, tuple | list):
        return [as_json(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


# ---- elementwise ----------------------------------------------------------------------------------


class Activation(Layer):
    """An elementwise function: `textcnn.ops.relu` and its kind.

    Parameters
    ----------
    name : {"relu", "leaky_relu", "gelu", "tanh", "sigmoid", "identity"}, default="relu"
    """

    def __init__(self, name: str = "relu") -> None:
        super().__init__()
        self.name = as_choice(name, "the activation", ACTIVATIONS)

    def _build(self, in_channels: int, rng: Rng) -> int:
        return in_channels

    def _forward(self, x: Packed, train: bool, n_jobs: int | None) -> tuple[Packed, Any]:
        return Packed(activate(self.name, x.rows, n_jobs), x.offsets), x.rows

    def _backward(self, d_out: Array, kept: Any, n_jobs: int | None) -> Array:
        return activate_backward(self.name, d_out, kept, n_jobs)


def activate(name: str, x: Array, n_jobs: int | None) -> Array:
    """An activation by name."""
    return x if name == "identity" else getattr(ops, name)(x, n_jobs=n_jobs)


def activate_backward(name: str, d_out: Array, x: Array, n_jobs: int | None) -> Array:
    """The gradient of `activate`."""
    return d_out if name == "identity" else getattr(ops, f"{name}_backward")(d_out, x, n_jobs=n_jobs)


class Dropout(Layer):
    """In training, elements are zeroed at `rate` and the others scaled by 1 / (1 - rate).

    The masks depend on the seed that `build` draws, on the number of the step and on the element, not on
    threads (Srivastava et al. 2014).

    Parameters
    ----------
    rate : float, default=0.5
        From 0 to below 1.
    """

    def __init__(self, rate: float = 0.5) -> None:
        super().__init__()
        if not 0 <= as_real(rate, "the dropout rate") < 1:
            raise ValueError(f"the dropout rate is {rate}, but it must be from 0 to below 1")
        self.rate = rate
        self.n_steps = 0

    def _build(self, in_channels: int, rng: Rng) -> int:
        self.seed = 0 if rng is None else int(rng.randint(2**62, dtype=np.int64))
        return in_channels

    @property
    def state(self) -> list[int]:
        """Seed and number of the next step, which a model file keeps so that training can go on."""
        return [self.seed, self.n_steps]

    @state.setter
    def state(self, state: list[int]) -> None:
        if len(state) != 2 or not all(type(number) is int and 0 <= number < 2**62 for number in state):
            raise ValueError(f"the state of a Dropout is {state!r}, but must be a seed and a number of steps")
        self.seed, self.n_steps = state

    def _forward(self, x: Packed, train: bool, n_jobs: int | None) -> tuple[Packed, Any]:
        if not train or self.rate == 0:
            return x, None
        mask = np.empty_like(x.rows)
        _random.dropout_mask(self.seed, self.n_steps, self.rate, mask, effective_n_threads(n_jobs))
        self.n_steps += 1
        return Packed(x.rows * mask, x.offsets), mask

    def _backward(self, d_out: Array, kept: Any, n_jobs: int | None) -> Array:
        return d_out if kept is None else d_out * kept


class LayerNorm(Layer):
    """Each row to mean 0 and variance 1, then a scale and a shift for each channel.

    ``out = (x - mean) / sqrt(variance + epsilon) * scale + shift`` (Ba et al. 2016, arXiv 1607.06450)

    Parameters
    ----------
    epsilon : float, default=1e-5
    """

    def __init__(self, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = as_real(epsilon, "epsilon")
        numbers = np.finfo(np.float32)
        if not float(numbers.tiny) <= self.epsilon <= float(numbers.max):
            raise ValueError(
                f"epsilon is {epsilon}, but it must be from {numbers.tiny:.3g} to {numbers.max:.3g}, as the "
                "normal numbers of float32 are"
            )

    def _build(self, in_channels: int, rng: Rng) -> int:
        self.arrays = {"scale": filled((in_channels,), 1, rng), "shift": filled((in_channels,), 0, rng)}
        return in_channels

    def _forward(self, x: Packed, train: bool, n_jobs: int | None) -> tuple[Packed, Any]:
        with np.errstate(over="ignore", invalid="ignore"):
            normal, spread = self._standardised(x.rows)
            large = ~np.isfinite(spread[:, 0])
            if large.any():  # squares beyond the type; what is not finite itself stays so
                wider = np.float64 if x.rows.dtype == np.float32 else np.longdouble
                normal[large], spread[large] = self._standardised(x.rows[large].astype(wider))
        out = normal * self.arrays["scale"] + self.arrays["shift"]
        return Packed(out, x.offsets), (normal, spread)

    def _standardised(self, rows: Array) -> tuple[Array, Array]:
        """Rows less their mean over their standard deviation, and this."""
        centred = rows - rows.mean(axis=1, keepdims=True)
        spread = np.sqrt((centred * centred).mean(axis=1, keepdims=True) + self.epsilon)
        return centred / spread, spread

    def _backward(self, d_out: Array, kept: Any, n_jobs: int | None) -> Array:
        normal, spread = kept
        self._add("scale", (d_out * normal).sum(axis=0))
        self._add("shift", d_out.sum(axis=0))
        d_normal = d_out * self.arrays["scale"]
        along = (d_normal * normal).mean(axis=1, keepdims=True)
        return (d_normal - d_normal.mean(axis=1, keepdims=True) - normal * along) / spread


# ---- weights on rows ------------------------------------------------------------------------------


class Embedding(Layer):
    """One row of a table for each id; its input is ``Packed(ids, offsets)``.

    Parameters
    ----------
    n_ids : int
    n_dims : int
    """

    def __init__(self, n_ids: int, n_dims: int) -> None:
        super().__init__()
        self.n_ids, self.n_dims = as_integer(n_ids, "n_ids", 1), as_integer(n_dims, "n_dims", 1)

    def _build(self, in_channels: int, rng: Rng) -> int:
        shape = self.n_ids, self.n_dims
        table = filled(shape, 0, rng) if rng is None else rng.uniform(-0.25, 0.25, shape)
        self.arrays = {"table": table.astype(np.float32, copy=False)}
        return self.n_dims

    def _forward(self, x: Packed, train: bool, n_jobs: int | None) -> tuple[Packed, Any]:
        ids = x.rows
        if ids.ndim != 1 or ids.dtype.kind not in "iu":
            raise ValueError(f"x has shape {ids.shape} and dtype {ids.dtype}, but expected ids (n_tokens,)")
        if ids.size and not 0 <= ids.min() <= ids.max() < self.n_ids:
            raise ValueError(f"ids run from {ids.min()} to {ids.max()}, but the table has {self.n_ids} rows")
        return Packed(self.arrays["table"][ids], x.offsets), ids

    def _backward(self, d_out: Array, kept: Any, n_jobs: int | None) -> Array:
        """The ids have no gradient: an empty array."""
        sums = np.zeros_like(self.arrays["table"])
        _packing.scatter_sums(d_out, kept.astype(np.int32), sums)
        self._add("table", sums)
        return np.zeros((len(kept), 0), d_out.dtype)


class Dense(Layer):
    """``activation(x weights + bias)`` at every row: a convolution of width 1.

    Parameters
    ----------
    n_outputs : int
    activation : str, default="identity"
        See `Activation`.
    """

    def __init__(self, n_outputs: int, activation: str = "identity") -> None:
        super().__init__()
        self.n_outputs = as_integer(n_outputs, "n_outputs", 1)
        self.activation = as_choice(activation, "the activation", ACTIVATIONS)

    def _build(self, in_channels: int, rng: Rng) -> int:
        self.arrays = {
            "weights": drawn((in_channels, self.n_outputs), rng),
            "bias": filled((self.n_outputs,), 0, rng),
        }
        return self.n_outputs

    def _n_numbers(self, lengths: Array) -> int:
        return int(lengths.sum()) * self.n_outputs

    def _forward(self, x: Packed, train: bool, n_jobs: int | None) -> tuple[Packed, Any]:
        linear = ops.dense(x.rows, self.arrays["weights"], self.arrays["bias"], n_jobs=n_jobs)
        return Packed(activate(self.activation, linear, n_jobs), x.offsets), (x.rows, linear)

    def _backward(self, d_out: Array, kept: Any, n_jobs: int | None) -> Array:
        x, linear = kept
        d_linear = activate_backward(self.activation, d_out, linear, n_jobs)
        d_x, d_weights, d_bias = ops.dense_backward(d_linear, x, self.arrays["weights"], n_jobs=n_jobs)
        self._add("weights", d_weights)
        self._add("bias", d_bias)
        return d_x


class MinLength(Layer):
    """Texts shorter than `length` get zero rows on the right; empty ones stay empty.

    Parameters
    ----------
    length : int
    """

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = as_rows(length, "length", 1, MOST_ADDED_ROWS)

    def _build(self, in_channels: int, rng: Rng) -> int:
        return in_channels

    def _n_numbers(self, lengths: Array) -> int:
        return int(np.where(lengths, np.maximum(lengths, self.length), 0).sum()) * self.in_channels

    def _forward(self, x: Packed, train: bool, n_jobs: int | None) -> tuple[Packed, Any]:
        lengths = np.diff(x.offsets)
        if (lengths >= self.length).all():
            return x, (x.offsets, x.offsets)
        offsets = offsets_of(np.where(lengths, np.maximum(lengths, self.length), 0))
        return Packed(fitted(x.rows, x.offsets, offsets), offsets), (offsets, x.offsets)

    def _backward(self, d_out: Array, kept: Any, n_jobs: int | None) -> Array:
        longer, offsets = kept
        return fitted(d_out, longer, offsets)


def filled(shape: tuple[int, ...], value: float, rng: Rng) -> Array:
    """A float32 array of one value; without `rng` a stand-in that takes no memory."""
    if rng is None:
        return np.broadcast_to(np.float32(value), shape)
    return np.full(shape, value, np.float32)


def drawn(shape: tuple[int, ...], rng: Rng, groups: int = 1) -> Array:
    """Weights after Glorot & Bengio (2010), float32; more than three axes count as several kernels."""
    if math.prod(shape) > MOST_WEIGHTS:
        raise ValueError(
            f"a layer of these sizes has weights of shape {shape}, more than {MOST_WEIGHTS} numbers; lower "
            "them"
        )
    if rng is None:
        return filled(shape, 0, rng)
    kernels = [
        glorot_uniform(shape[-3:], groups=groups, random_state=rng, dtype=np.float32)
        for _ in range(int(np.prod(shape[:-3])))
    ]
    return np.stack(kernels).reshape(shape)


def as_rows(value: Any, name: str, least: int = 0, most: int = MOST_ROWS) -> int:
    """A number of rows or taps, of which there is a most."""
    number = as_integer(value, name, least)
    if number > most:
        raise ValueError(f"{name} is {value}, but it must be at most {most}")
    return number


def as_padding(padding: Any) -> Any:
    """A checked padding: a name, a number of rows, or a pair of them, which as from a file may be a list."""
    sides = resolve_padding(padding, 1)
    if isinstance(padding, str):
        return padding
    for side in sides:
        as_rows(side, "padding", most=MOST_ADDED_ROWS)
    return sides if np.ndim(padding) else sides[0]


# ---- convolutions ---------------------------------------------------------------------------------


class _Convolution(Layer):
    """What the convolutions share: weights, a bias, an activation, and an operation of `textcnn.ops`."""

    operation: str
    n_filters: int
    kernel_size: int
    groups: int = 1
    activation: str

    @abstractmethod
    def _options(self) -> dict[str, Any]:
        """Options of the operation."""

    @abstractmethod
    def _shape(self, in_channels: int) -> tuple[int, ...]:
        """Shape of the weights."""

    @abstractmethod
    def _out_lengths(self, lengths: Array) -> Array:
        """Rows of the results for texts of these lengths."""

    def _build(self, in_channels: int, rng: Rng) -> int:
        shape = self._shape(in_channels)
        self.arrays = {
            "weights": drawn(shape, rng, self.groups),
            "bias": filled((*shape[:-3], self.n_filters), 0, rng),
        }
        return self.n_filters

    def _n_numbers(self, lengths: Array) -> int:
        return int(self._out_lengths(lengths).sum()) * self.n_filters

    def _forward(self, x: Packed, train: bool, n_jobs: int | None) -> tuple[Packed, Any]:
        linear, offsets = getattr(ops, self.operation)(
            x.rows,
            self.arrays["weights"],
            self.arrays["bias"],
            offsets=x.offsets,
            n_jobs=n_jobs,
            **self._options(),
        )
        kept_offsets = _without_empty(x.offsets, offsets)
        linear = fitted(linear, offsets, kept_offsets)
        return Packed(activate(self.activation, linear, n_jobs), kept_offsets), (x, linear, offsets)

    def _backward(self, d_out: Array, kept: Any, n_jobs: int | None) -> Array:
        x, linear, offsets = kept
        d_linear = activate_backward(self.activation, d_out, linear, n_jobs)
        d_linear = fitted(d_linear, _without_empty(x.offsets, offsets), offsets)
        d_x, d_weights, d_bias = getattr(ops, f"{self.operation}_backward")(
            d_linear, x.rows, self.arrays["weights"], offsets=x.offsets, n_jobs=n_jobs, **self._options()
        )
        self._add("weights", d_weights)
        self._add("bias", d_bias)
        return d_x


def _without_empty(offsets: Array, out_offsets: Array) -> Array:
    """Offsets of a result in which a text without rows has none, whatever is padded around it."""
    lengths = np.diff(offsets)
    return out_offsets if lengths.all() else offsets_of(np.where(lengths, np.diff(out_offsets), 0))


class Conv1d(_Convolution):
    """`textcnn.ops.conv1d` with trained weights, and an activation.

    Parameters
    ----------
    n_filters : int
    kernel_size : int
    stride, dilation, groups : int, default=1
    padding : {"same", "valid", "full"}, int or (int, int), default="same"
    padding_mode : {"zeros", "reflect", "replicate", "circular"}, default="zeros"
    activation : str, default="relu"
        See `Activation`.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.nn import Conv1d, Packed
    >>> layer = Conv1d(8, 3).build(4, random_state=0)
    >>> layer.forward(Packed.of(np.zeros((2, 5, 4), np.float32))).rows.shape
    (10, 8)
    """

    operation = "conv1d"

    def __init__(
        self,
        n_filters: int,
        kernel_size: int,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        padding: Any = "same",
        padding_mode: str = "zeros",
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.n_filters = as_integer(n_filters, "n_filters", 1)
        self.kernel_size = as_rows(kernel_size, "kernel_size", 1)
        self.stride, self.dilation = as_rows(stride, "stride", 1), as_rows(dilation, "dilation", 1)
        self.groups = as_integer(groups, "groups", 1)
        self.padding = as_padding(padding)
        self.padding_mode = as_choice(padding_mode, "padding_mode", PADDING_MODES)
        self.activation = as_choice(activation, "the activation", ACTIVATIONS)

    def _shape(self, in_channels: int) -> tuple[int, ...]:
        if in_channels % self.groups:
            raise ValueError(f"groups is {self.groups}, but it must divide the {in_channels} channels")
        return self.kernel_size, in_channels // self.groups, self.n_filters

    def _options(self) -> dict[str, Any]:
        return {
            "stride": self.stride,
            "dilation": self.dilation,
            "groups": self.groups,
            "padding": self.padding,
            "padding_mode": self.padding_mode,
        }

    def _out_lengths(self, lengths: Array) -> Array:
        return conv_output_length(
            lengths, self.kernel_size, stride=self.stride, dilation=self.dilation, padding=self.padding
        )

    def field(self, field: Field) -> Field:
        if self.padding_mode == "circular":
            return WHOLE_TEXT._replace(step=field.step * self.stride)
        left, right = resolve_padding(self.padding, self.kernel_size, dilation=self.dilation)
        found = field.through(
            effective_kernel_size(self.kernel_size, dilation=self.dilation), self.stride, left
        )
        if self.padding_mode == "zeros" or np.isinf(field.step):
            return found
        # beyond an end stand rows from within the text
        first, last = field.first - right * field.step, field.last + left * field.step
        return found._replace(first=min(first, found.first), last=max(last, found.last))


class TiledConv1d(Conv1d):
    """`textcnn.ops.tiled_conv1d`: `n_kernels` kernels in turn along the text.

    Parameters
    ----------
    n_filters, kernel_size : int
    n_kernels : int, default=2
    stride, dilation, groups, padding, padding_mode, activation
        As in `Conv1d`.
    """

    operation = "tiled_conv1d"

    def __init__(
        self,
        n_filters: int,
        kernel_size: int,
        n_kernels: int = 2,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        padding: Any = "same",
        padding_mode: str = "zeros",
        activation: str = "relu",
    ) -> None:
        super().__init__(n_filters, kernel_size, stride, dilation, groups, padding, padding_mode, activation)
        self.n_kernels = as_rows(n_kernels, "n_kernels", 1)

    def _shape(self, in_channels: int) -> tuple[int, ...]:
        return self.n_kernels, *super()._shape(in_channels)


class LocallyConnected1d(Conv1d):
    """`textcnn.ops.locally_connected1d`: each position has a kernel of its own.

    Parameters
    ----------
    n_filters, kernel_size : int
    length : int
        Rows of the longest result, for which there are kernels.
    stride, dilation, groups, padding, padding_mode, activation
        As in `Conv1d`.
    """

    operation = "locally_connected1d"

    def __init__(
        self,
        n_filters: int,
        kernel_size: int,
        length: int,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        padding: Any = "same",
        padding_mode: str = "zeros",
        activation: str = "relu",
    ) -> None:
        super().__init__(n_filters, kernel_size, stride, dilation, groups, padding, padding_mode, activation)
        self.length = as_rows(length, "length", 1)

    def _shape(self, in_channels: int) -> tuple[int, ...]:
        return self.length, *super()._shape(in_channels)


class ConvTranspose1d(_Convolution):
    """`textcnn.ops.conv_transpose1d`: a stride lengthens the text.

    Parameters
    ----------
    n_filters : int
    kernel_size : int
    stride, dilation : int, default=1
    padding : {"valid", "same", "full"}, int or (int, int), default="valid"
    output_padding : int, default=0
    activation : str, default="relu"
        See `Activation`.
    """

    operation = "conv_transpose1d"

    def __init__(
        self,
        n_filters: int,
        kernel_size: int,
        stride: int = 1,
        dilation: int = 1,
        padding: Any = "valid",
        output_padding: int = 0,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.n_filters = as_integer(n_filters, "n_filters", 1)
        self.kernel_size = as_rows(kernel_size, "kernel_size", 1)
        self.stride, self.dilation = as_rows(stride, "stride", 1), as_rows(dilation, "dilation", 1)
        self.padding, self.output_padding = as_padding(padding), as_rows(output_padding, "output_padding")
        self.activation = as_choice(activation, "the activation", ACTIVATIONS)

    def _shape(self, in_channels: int) -> tuple[int, ...]:
        return self.kernel_size, self.n_filters, in_channels

    def _options(self) -> dict[str, Any]:
        return {
            "stride": self.stride,
            "dilation": self.dilation,
            "padding": self.padding,
            "output_padding": self.output_padding,
        }

    def _out_lengths(self, lengths: Array) -> Array:
        return conv_transpose_output_length(lengths, self.kernel_size, **self._options())

    def field(self, field: Field) -> Field:
        if np.isinf(field.step):
            return field
        width = effective_kernel_size(self.kernel_size, dilation=self.dilation)
        left, _ = resolve_padding(self.padding, self.kernel_size, dilation=self.dilation)
        step = field.step / self.stride
        return Field(
            # a row of the result meets at most ceil(E / S) rows, S rows of the result apart
            field.size + (-(-width // self.stride) - 1) * field.step,
            step,
            field.first + (left - width + 1) * step,
            field.last + left * step,
        )


# ---- pooling --------------------------------------------------------------------------------------


class Pool1d(Layer):
    """Pooling over windows, or over the whole text.

    Parameters
    ----------
    mode : {"max", "mean", "sum", "l2", "weighted", "kmax", "pyramid"}, default="max"
    kernel_size : int or None, default=None
        Rows of a window; None pools the whole text to one row ("kmax" to `k` rows). "pyramid" has none.
    stride : int or None, default=None
        Rows from one window to the next; None for `kernel_size`.
    padding : int or (int, int), default=0
    k : int, default=3
        Of "kmax".
    levels : sequence of int, default=(1, 2, 4)
        Of "pyramid"; its bins stand side by side in one row.
    flatten : bool, default=False
        "kmax" over the whole text: put the k rows side by side in one.
    """

    def __init__(
        self,
        mode: str = "max",
        kernel_size: int | None = None,
        stride: int | None = None,
        padding: Any = 0,
        k: int = 3,
        levels: Sequence[int] = (1, 2, 4),
        flatten: bool = False,
    ) -> None:
        super().__init__()
        self.mode = as_choice(mode, "the pooling", POOLINGS)
        if mode == "pyramid" and kernel_size is not None:
            raise ValueError(f"kernel_size is {kernel_size}, but a pyramid pools whole texts; leave it None")
        if flatten and (mode != "kmax" or kernel_size is not None):
            raise ValueError("flatten is for k-max pooling of whole texts, which alone gives k rows for each")
        self.kernel_size = None if kernel_size is None else as_rows(kernel_size, "kernel_size", 1)
        self.stride = None if stride is None else as_rows(stride, "stride", 1)
        self.padding = as_padding(padding)
        self.k, self.flatten = as_rows(k, "k", 1), flatten
        self.levels = tuple(as_rows(level, "a level", 1) for level in levels)

    def _build(self, in_channels: int, rng: Rng) -> int:
        if self.mode == "pyramid":
            return in_channels * sum(self.levels)
        return in_channels * (self.k if self.flatten else 1)

    def field(self, field: Field) -> Field:
        if self.kernel_size is None:
            return WHOLE_TEXT
        left, _ = resolve_padding(self.padding, 1)
        return field.through(self.kernel_size, self.stride or self.kernel_size, left)

    def _n_numbers(self, lengths: Array) -> int:
        if self.kernel_size is not None:
            windows = conv_output_length(
                lengths, self.kernel_size, stride=self.stride or self.kernel_size, padding=self.padding
            )
            return int(windows.sum()) * self.in_channels * (self.k if self.mode == "kmax" else 1)
        rows = self.k if self.mode == "kmax" and not self.flatten else 1
        return len(lengths) * rows * self.out_channels

    def _windows(self) -> dict[str, Any]:
        return {"kernel_size": self.kernel_size, "stride": self.stride, "padding": self.padding}

    def _forward(self, x: Packed, train: bool, n_jobs: int | None) -> tuple[Packed, Any]:
        options: dict[str, Any] = {"offsets": x.offsets, "n_jobs": n_jobs}
        if self.mode == "pyramid":
            out, argmax = ops.spatial_pyramid_pool1d(x.rows, levels=self.levels, **options)
            return self._one_row(out, x), (x, argmax)
        if self.mode == "kmax":
            windows = self._windows() if self.kernel_size is not None else {}
            out, argmax, *offsets = ops.k_max_pool1d(x.rows, self.k, **windows, **options)
            if self.flatten:
                return self._one_row(out, x), (x, argmax, *offsets)
            places = offsets[0] if offsets else regular_offsets(x.n_texts, self.k)
            return Packed(out.reshape(-1, self.in_channels), places), (x, argmax, *offsets)
        if self.kernel_size is None:
            out = getattr(ops, f"global_{self._operation}")(x.rows, **options)
            out, kept = (out[0], (x, out[1])) if self.mode == "max" else (out, (x,))
            return self._one_row(out, x), kept
        out, *kept, offsets = getattr(ops, self._operation)(x.rows, **self._windows(), **options)
        return Packed(out, offsets), (x, *kept, offsets)

    @property
    def _operation(self) -> str:
        return "lp_pool1d" if self.mode == "l2" else f"{self.mode}_pool1d"

    def _one_row(self, out: Array, x: Packed) -> Packed:
        """A row for each text."""
        return Packed(out.reshape(x.n_texts, self.out_channels), regular_offsets(x.n_texts, 1))

    def _backward(self, d_out: Array, kept: Any, n_jobs: int | None) -> Array:
        x, *rest = kept
        options: dict[str, Any] = {"offsets": x.offsets, "n_jobs": n_jobs}
        if self.mode == "pyramid":
            (argmax,) = rest
            return ops.spatial_pyramid_pool1d_backward(
                d_out.reshape(argmax.shape), argmax, levels=self.levels, **options
            )
        if self.mode == "kmax":
            argmax, *offsets = rest
            places = {"out_offsets": offsets[0]} if offsets else {}
            return ops.k_max_pool1d_backward(d_out.reshape(argmax.shape), argmax, **places, **options)
        if self.kernel_size is None:
            second = rest[0] if self.mode == "max" else x.rows
            return getattr(ops, f"global_{self._operation}_backward")(d_out, second, **options)
        if self.mode == "max":
            return ops.max_pool1d_backward(d_out, rest[0], out_offsets=rest[1], **options)
        result = getattr(ops, f"{self._operation}_backward")(d_out, x.rows, **self._windows(), **options)
        return result[0] if isinstance(result, tuple) else result


# ---- layers of layers -----------------------------------------------------------------------------


class _Container(Layer):
    """A layer of layers."""

    layer_list: list[Layer]

    def children(self) -> Iterator[tuple[str, Layer]]:
        return ((str(i), layer) for i, layer in enumerate(self.layer_list))

    def config(self, before: list[Layer] | None = None) -> dict[str, Any]:
        before = [] if before is None else before
        return {**super().config(), "layers": [described(layer, before) for layer in self.layer_list]}

    def _shown(self) -> list[str]:
        return [*map(repr, self.layer_list), *super()._shown()]


def checked_layers(layers: Sequence[Any], name: str) -> list[Layer]:
    """The arguments of a layer of layers as a list; raises TypeError if one is no layer."""
    for layer in layers:
        if not isinstance(layer, Layer):
            raise TypeError(
                f"a {name} was given {layer!r:.50}, but its arguments must be layers, such as Conv1d(64, 3)"
            )
    return list(layers)


AGAIN = "Again"
"""What stands in a `config` for a layer that stands in the network twice."""


def described(layer: Layer, before: list[Layer]) -> dict[str, Any]:
    """The `config` of a layer; or, if it is among those `before`, its number there."""
    for number, known in enumerate(before):
        if known is layer:
            return {"kind": AGAIN, "number": number}
    config = layer.config(before)
    before.append(layer)
    return config


class Sequential(_Container):
    """Layers one after another.

    Parameters
    ----------
    *layers : Layer

    Examples
    --------
    >>> from textcnn.nn import Conv1d, Pool1d, Sequential
    >>> net = Sequential(Conv1d(16, 3), Pool1d("max", 2), Conv1d(8, 3, dilation=2), Pool1d("max"))
    >>> print(net.build(4, random_state=0).summary(length=10))
    layer     rows  channels  parameters  receptive field
    input       10         4           0                1
    0 Conv1d    10        16         208                3
    1 Pool1d     5        16           0                4
    2 Conv1d     5         8         392               12
    3 Pool1d     1         8           0       whole text
    total                            600
    """

    def __init__(self, *layers: Layer) -> None:
        super().__init__()
        self.layer_list = checked_layers(layers, "Sequential")

    def _build(self, in_channels: int, rng: Rng) -> int:
        for layer in self.layer_list:
            in_channels = layer.make(in_channels, rng)
        return in_channels

    def _forward(self, x: Packed, train: bool, n_jobs: int | None) -> tuple[Packed, Any]:
        for layer in self.layer_list:
            x = layer.forward(x, train, n_jobs)
        return x, None

    def _backward(self, d_out: Array, kept: Any, n_jobs: int | None) -> Array:
        for layer in reversed(self.layer_list):
            d_out = layer.backward(d_out, n_jobs)
        return d_out

    def field(self, field: Field) -> Field:
        for layer in self.layer_list:
            field = layer.field(field)
        return field

    def trace(self, name: str, x: Packed, field: Field, lines: list[tuple[str, ...]]) -> tuple[Packed, Field]:
        for i, layer in enumerate(self.layer_list):
            x, field = layer.trace(f"{name}.{i}" if name else str(i), x, field, lines)
        return x, field


class Parallel(_Container):
    """Layers that see the same input; their results side by side, or their sum.

    A result that is longer than that of the first layer is cut on the right, a shorter one gets zero rows
    there: a decoder that lengthens by a stride meets its skip connection so.

    Parameters
    ----------
    *layers : Layer
    join : {"concat", "sum"}, default="concat"
    """

    def __init__(self, *layers: Layer, join: str = "concat") -> None:
        super().__init__()
        if not layers:
            raise ValueError("Parallel has no layers, but it needs at least one")
        self.layer_list = checked_layers(layers, type(self).__name__)
        self.join = as_choice(join, "join", JOINS)

    def _build(self, in_channels: int, rng: Rng) -> int:
        widths = [layer.make(in_channels, rng) for layer in self.layer_list]
        if self.join == "concat":
            return sum(widths)
        if len(set(widths)) > 1:
            raise ValueError(f"the layers give {widths} channels, but a sum needs as many of each")
        return widths[0]

    def _forward(self, x: Packed, train: bool, n_jobs: int | None) -> tuple[Packed, Any]:
        results = [layer.forward(x, train, n_jobs) for layer in self.layer_list]
        self._check_size(int(results[0].offsets[-1]) * self.out_channels)
        return self._joined(results), [result.offsets for result in results]

    def _joined(self, results: list[Packed]) -> Packed:
        offsets = results[0].offsets
        rows = [fitted(result.rows, result.offsets, offsets) for result in results]
        return Packed(
            np.concatenate(rows, axis=1) if self.join == "concat" else np.sum(rows, axis=0), offsets
        )

    def _backward(self, d_out: Array, kept: Any, n_jobs: int | None) -> Array:
        if self.join == "concat":
            edges = np.cumsum([layer.out_channels for layer in self.layer_list])[:-1]
            parts = np.split(d_out, edges, axis=1)
        else:
            parts = [d_out] * len(self.layer_list)
        d_x: Any = 0
        # in reverse: a layer that stands here twice undoes its last pass first
        for layer, part, offsets in reversed(list(zip(self.layer_list, parts, kept, strict=True))):
            d_x = d_x + layer.backward(fitted(part, kept[0], offsets), n_jobs)
        return d_x

    def field(self, field: Field) -> Field:
        fields = [layer.field(field) for layer in self.layer_list]
        step = fields[0].step
        first, last = min(one.first for one in fields), max(one.last for one in fields)
        if any(not np.isclose(one.step, step) for one in fields):  # they drift apart along the text
            return WHOLE_TEXT._replace(step=step)
        is_nested = any(one.first == first and one.last == last for one in fields)
        return Field(max(one.size for one in fields) if is_nested else last - first + 1, step, first, last)

    def trace(self, name: str, x: Packed, field: Field, lines: list[tuple[str, ...]]) -> tuple[Packed, Field]:
        results = []
        for i, layer in enumerate(self.layer_list):
            results.append(layer.trace(f"{name}.{i}" if name else str(i), x, field, lines)[0])
        return self._joined(results), self.field(field)


def fitted(rows: Array, offsets: Array, wanted: Array) -> Array:
    """Each text cut, or continued with zero rows, to the length that it has in `wanted`."""
    if np.array_equal(offsets, wanted):
        return rows
    out = np.zeros((wanted[-1], rows.shape[1]), rows.dtype)
    lengths = np.minimum(np.diff(offsets), np.diff(wanted))
    steps = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    out[np.repeat(wanted[:-1], lengths) + steps] = rows[np.repeat(offsets[:-1], lengths) + steps]
    return out


class Residual(Parallel):
    """``x + layer(x)`` (He et al. 2016, arXiv 1512.03385); with other numbers of channels x is projected.

    Parameters
    ----------
    layer : Layer
    """

    def __init__(self, layer: Layer) -> None:
        super().__init__(Activation("identity"), layer, join="sum")

    def _build(self, in_channels: int, rng: Rng) -> int:
        width = self.layer_list[1].make(in_channels, rng)
        if width != in_channels:
            self.layer_list[0] = Dense(width)
        return super()._build(in_channels, rng)

    def config(self, before: list[Layer] | None = None) -> dict[str, Any]:
        return {
            "kind": "Residual",
            "layers": [described(self.layer_list[1], [] if before is None else before)],
        }

    def _shown(self) -> list[str]:
        return [repr(self.layer_list[1])]


class DilatedBlock(_Container):
    """The same block of dilated convolutions over and over (Strubell et al. 2017, arXiv 1702.02098).

    Parameters
    ----------
    n_filters : int
    kernel_size : int, default=3
    dilations : sequence of int, default=(1, 1, 2)
    n_repeats : int, default=4
    shared : bool, default=True
        The repeats share their weights; the input then needs `n_filters` channels.
    join : {"last", "concat"}, default="last"
        The result of the last repeat, or those of all side by side.
    causal : bool, default=False
        Pad on the left alone, so that no row sees a later one.
    activation : str, default="relu"
        See `Activation`.
    """

    def __init__(
        self,
        n_filters: int,
        kernel_size: int = 3,
        dilations: Sequence[int] = (1, 1, 2),
        n_repeats: int = 4,
        shared: bool = True,
        join: str = "last",
        causal: bool = False,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.n_filters, self.kernel_size = n_filters, as_rows(kernel_size, "kernel_size", 1)
        self.dilations = tuple(as_rows(dilation, "a dilation", 1) for dilation in dilations)
        self.n_repeats, self.shared, self.causal = as_integer(n_repeats, "n_repeats", 1), shared, causal
        if n_repeats > MOST_REPEATS:
            raise ValueError(f"n_repeats is {n_repeats}, but it must be at most {MOST_REPEATS}")
        if 1 + n_repeats * (1 + len(self.dilations)) > MOST_LAYERS:
            raise ValueError(
                f"{n_repeats} repeats of {len(self.dilations)} convolutions and their block are more than "
                f"{MOST_LAYERS} layers; lower n_repeats"
            )
        self.join, self.activation = as_choice(join, "join", ("last", "concat")), activation
        block = self._block()
        self.layer_list = [block if shared else self._block() for _ in range(self.n_repeats)]

    def _block(self) -> Sequential:
        def padding(dilation: int) -> Any:
            return (dilation * (self.kernel_size - 1), 0) if self.causal else "same"

        return Sequential(
            *(
                Conv1d(
                    self.n_filters,
                    self.kernel_size,
                    dilation=d,
                    padding=padding(d),
                    activation=self.activation,
                )
                for d in self.dilations
            )
        )

    def config(self, before: list[Layer] | None = None) -> dict[str, Any]:
        return Layer.config(self)

    def _shown(self) -> list[str]:
        return Layer._shown(self)

    def _build(self, in_channels: int, rng: Rng) -> int:
        if self.shared and self.n_repeats > 1 and in_channels != self.n_filters:
            raise ValueError(
                f"the input has {in_channels} channels, but repeats that share weights need n_filters, "
                f"{self.n_filters}; put a Conv1d({self.n_filters}, ...) before them or set shared=False"
            )
        for block in self.layer_list:
            in_channels = block.make(in_channels, rng)
        return self.n_filters * (self.n_repeats if self.join == "concat" else 1)

    def _n_numbers(self, lengths: Array) -> int:
        return int(lengths.sum()) * self.out_channels

    def _forward(self, x: Packed, train: bool, n_jobs: int | None) -> tuple[Packed, Any]:
        results = []
        for block in self.layer_list:
            x = block.forward(x, train, n_jobs)
            results.append(x.rows)
        return (x if self.join == "last" else Packed(np.concatenate(results, axis=1), x.offsets)), None

    def _backward(self, d_out: Array, kept: Any, n_jobs: int | None) -> Array:
        n = self.n_repeats
        parts = [d_out] if self.join == "last" else np.split(d_out, n, axis=1)
        d_rows = np.ascontiguousarray(parts[-1])
        for i in range(n - 1, -1, -1):
            d_rows = self.layer_list[i].backward(d_rows, n_jobs)
            if self.join == "concat" and i > 0:
                d_rows = d_rows + parts[i - 1]
        return d_rows

    def field(self, field: Field) -> Field:
        for block in self.layer_list:
            field = block.field(field)
        return field

    def trace(self, name: str, x: Packed, field: Field, lines: list[tuple[str, ...]]) -> tuple[Packed, Field]:
        out, field = self.forward(x), self.field(field)
        size = sum(array.size for array in self.parameters().values())
        lines.append(self._line(name, out, size, field))
        return out, field


# ---- from and to files ----------------------------------------------------------------------------

KINDS: dict[str, type[Layer]] = {
    kind.__name__: kind
    for kind in (
        Activation, Conv1d, ConvTranspose1d, Dense, DilatedBlock, Dropout, Embedding, LayerNorm,
        LocallyConnected1d, MinLength, Parallel, Pool1d, Residual, Sequential, TiledConv1d,
    )
}  # fmt: skip


def storable_config(body: Layer) -> dict[str, Any]:
    """The `config` of layers that a model file can hold.

    Raises
    ------
    ValueError
        If one of them is not the library's.
    """
    strange = [
        layer for layer in body.layers().values() if KINDS.get(type(layer).__name__) is not type(layer)
    ]
    if strange:
        raise ValueError(
            f"the body has a {type(strange[0]).__name__}, but a model file holds the library's layers only; "
            "use pickle"
        )
    return body.config()


def new_layer(body: Any) -> Layer:
    """A copy of a layer, or the one that a function makes.

    Raises
    ------
    TypeError
        If the function makes something else.
    """
    layer = copy.deepcopy(body) if isinstance(body, Layer) else body()
    if not isinstance(layer, Layer):
        raise TypeError(
            f"body made a {type(layer).__name__}, but it must make a layer of textcnn.nn, such as a "
            "Sequential"
        )
    return layer


def from_config(config: dict[str, Any]) -> Layer:
    """The layer whose `config` this is, without weights; that of a file goes through `body_limits.body_of`.

    Raises
    ------
    ValueError
        If the kind is not one of the library's, or an argument does not fit.
    """
    return _from_config(config, [])


def _from_config(config: dict[str, Any], before: list[Layer]) -> Layer:
    """The same inside a body, of which some layers were made `before`."""
    arguments = dict(config)
    kind = arguments.pop("kind", None)
    if kind == AGAIN:
        number = arguments.get("number")
        if type(number) is not int or not 0 <= number < len(before):
            raise ValueError(f"layer {number!r} stands there again, but there are {len(before)} before it")
        return before[number]
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"found a layer of the kind {kind!r}, but expected one of {', '.join(KINDS)}")
    layers = [_from_config(inner, before) for inner in arguments.pop("layers", [])]
    try:
        layer = KINDS[kind](*layers, **arguments)
    except TypeError as error:
        raise ValueError(f"the arguments of a {kind} do not fit: {error}") from error
    before.append(layer)
    return layer


def dropout_states(body: Layer) -> list[list[int]]:
    """The `state` of every Dropout of a body, in the order of `layers`."""
    return [layer.state for layer in body.layers().values() if isinstance(layer, Dropout)]


def set_dropout_states(body: Layer, states: list[list[int]]) -> None:
    """Take what `dropout_states` gave; raises ValueError if there are not as many."""
    layers = [layer for layer in body.layers().values() if isinstance(layer, Dropout)]
    if len(layers) != len(states):
        raise ValueError(f"{len(layers)} Dropout layers need as many states, not {len(states)}")
    for layer, state in zip(layers, states, strict=True):
        layer.state = state
