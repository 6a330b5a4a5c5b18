"""Limits of the layers that a model file may ask for, found out by arithmetic before any does its work.

A file of a few bytes can describe layers that make rows out of nothing (padding, strides of transposed
convolutions, windows of k rows) or that are applied thousands of times. The limits are those of readers: a
model is written only if it could be read, so that `save` refuses the same.
"""

from __future__ import annotations

from typing import Any

from textcnn.nn.modules import (
    AGAIN,
    MOST_LAYERS,
    Conv1d,
    ConvTranspose1d,
    Dense,
    DilatedBlock,
    Layer,
    MinLength,
    Parallel,
    Pool1d,
    Sequential,
    from_config,
)
from textcnn.ops._arrays import as_integer
from textcnn.ops.arithmetic import conv_output_length, conv_transpose_output_length, resolve_padding

# What a text of this many rows may take: numbers in the result of a layer, and multiplications altogether.
ROWS = 16
MOST_NUMBERS_OF_TEXT = 2**19
MOST_PRODUCTS = 2**30


def body_of(config: Any) -> Layer:
    """The layers with this `config`, without weights; ValueError if they are too many, or do not fit."""
    _count(config, [])
    return from_config(config)


def _count(config: Any, before: list[int]) -> int:
    """How many layers a forward pass runs; `before` has the numbers of those that may stand there again."""
    if type(config) is not dict or type(config.get("layers", [])) is not list:
        raise ValueError(f"a layer is {config!r:.100}, but it must be described by its kind and arguments")
    kind = config.get("kind")
    if kind == AGAIN:
        number = config.get("number")
        return before[number] if type(number) is int and 0 <= number < len(before) else 1
    n_layers = 1 + (_in_block(config) if kind == "DilatedBlock" else 0)
    n_layers += sum(_count(inner, before) for inner in config.get("layers", []))
    if n_layers > MOST_LAYERS:
        raise ValueError(f"found more than {MOST_LAYERS} layers, but a model file may have no more")
    before.append(n_layers)
    return n_layers


def _in_block(config: dict[str, Any]) -> int:
    """Layers inside of a DilatedBlock."""
    dilations, n_repeats = config.get("dilations", []), config.get("n_repeats", 1)
    if type(dilations) is not list:
        raise ValueError(f"dilations is {dilations!r:.100}, but it must be a list")
    return (len(dilations) + 1) * as_integer(n_repeats, "n_repeats", 1)


def check_work(body: Layer, in_channels: int) -> None:
    """Raise ValueError if a built body would take too much memory or time for a short text.

    Parameters
    ----------
    body : Layer
        Built for `in_channels`, with its weights.
    in_channels : int
    """
    _Work().of(body, ROWS, in_channels)


class _Work:
    """What a text takes, added up layer by layer."""

    def __init__(self) -> None:
        self.n_products = 0

    def of(self, layer: Layer, n_rows: int, n_channels: int) -> int:
        """Rows of the result of a layer for a text of `n_rows`."""
        if isinstance(layer, Sequential):
            for inner in layer.layer_list:
                n_rows, n_channels = self.of(inner, n_rows, n_channels), inner.out_channels
            return n_rows
        if isinstance(layer, DilatedBlock):
            for block in layer.layer_list:
                n_rows, n_channels = self.of(block, n_rows, n_channels), block.out_channels
            self._note(n_rows * layer.out_channels)
            return n_rows
        if isinstance(layer, Parallel):
            results = [self.of(inner, n_rows, n_channels) for inner in layer.layer_list]
            self._note(results[0] * sum(inner.out_channels for inner in layer.layer_list))
            return results[0]
        n_out = self._rows(layer, n_rows, n_channels)
        self._note(max(n_out, 1) * layer.out_channels, n_out * self._products(layer))
        return n_out

    def _note(self, n_numbers: int, n_products: int = 0) -> None:
        self.n_products += n_products
        if n_numbers > MOST_NUMBERS_OF_TEXT:
            raise ValueError(f"the layers make {n_numbers} numbers of a text of {ROWS} rows: too many")
        if self.n_products > MOST_PRODUCTS:
            raise ValueError(f"the layers take more than {MOST_PRODUCTS} products for a text of {ROWS} rows")

    def _rows(self, layer: Layer, n_rows: int, n_channels: int) -> int:
        """Rows of the result of a layer without layers inside."""
        if isinstance(layer, Conv1d):
            left, right = resolve_padding(layer.padding, layer.kernel_size, dilation=layer.dilation)
            if layer.padding_mode != "zeros":
                self._note((n_rows + left + right) * n_channels)
            return conv_output_length(
                n_rows, layer.kernel_size, stride=layer.stride, dilation=layer.dilation, padding=(left, right)
            )
        if isinstance(layer, ConvTranspose1d):
            return conv_transpose_output_length(n_rows, layer.kernel_size, **layer._options())
        if isinstance(layer, Pool1d):
            return self._pooled_rows(layer, n_rows)
        return max(n_rows, layer.length) if isinstance(layer, MinLength) else n_rows

    @staticmethod
    def _pooled_rows(layer: Pool1d, n_rows: int) -> int:
        if layer.kernel_size is None:
            return layer.k if layer.mode == "kmax" and not layer.flatten else 1
        size = as_integer(layer.kernel_size, "kernel_size", 1)
        stride = size if layer.stride is None else layer.stride
        n_windows = conv_output_length(n_rows, size, stride=stride, padding=layer.padding)
        return n_windows * (layer.k if layer.mode == "kmax" else 1)

    @staticmethod
    def _products(layer: Layer) -> int:
        """Multiplications for each row of the result."""
        if not isinstance(layer, (Conv1d, ConvTranspose1d, Dense)):
            return layer.out_channels
        weights = layer.arrays["weights"]
        return weights.shape[-3] * weights.shape[-2] * weights.shape[-1] if weights.ndim > 2 else weights.size
