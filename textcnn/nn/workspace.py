"""Buffers that live as long as a training run, so that a step allocates nothing large."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


class Workspace:
    """Named scratch arrays; each grows to the largest size asked for.

    Examples
    --------
    >>> from textcnn.nn.workspace import Workspace
    >>> Workspace().array("logits", (2, 3)).shape
    (2, 3)
    """

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, np.dtype], np.ndarray] = {}
        self._last: dict[str, tuple[tuple[int, ...], Any, np.ndarray]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
        """An uninitialised C-contiguous array, valid until `name` is asked for again."""
        last = self._last.get(name)
        if last is not None and last[0] == shape and last[1] is dtype:  # without a look at what dtype means
            return last[2]
        key, size = (name, np.dtype(dtype)), math.prod(shape)
        buffer = self._buffers.get(key)
        if buffer is None or buffer.size < size:
            buffer = self._buffers[key] = np.empty(size + size // 4, dtype)
        array = buffer[:size].reshape(shape)
        self._last[name] = shape, dtype, array
        return array

    def release(self) -> None:
        """Give all memory back; arrays that were asked for before stay valid as long as they are held."""
        self._buffers.clear()
        self._last.clear()
