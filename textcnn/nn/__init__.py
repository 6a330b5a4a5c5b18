"""Layers, losses, optimisers and the training loop: arrays, not strings."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textcnn.nn.modules import (
        Activation,
        Conv1d,
        ConvTranspose1d,
        Dense,
        DilatedBlock,
        Dropout,
        Embedding,
        Layer,
        LayerNorm,
        LocallyConnected1d,
        MinLength,
        Packed,
        Parallel,
        Pool1d,
        Residual,
        Sequential,
        TiledConv1d,
    )

__all__ = [
    "Activation",
    "Conv1d",
    "ConvTranspose1d",
    "Dense",
    "DilatedBlock",
    "Dropout",
    "Embedding",
    "Layer",
    "LayerNorm",
    "LocallyConnected1d",
    "MinLength",
    "Packed",
    "Parallel",
    "Pool1d",
    "Residual",
    "Sequential",
    "TiledConv1d",
]


def __getattr__(name: str) -> Any:
    """The layers, imported when they are first asked for: prediction does without."""
    if name in __all__:
        return getattr(import_module("textcnn.nn.modules"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
