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
        self._last: dict[tuple[str, np.dtype], np.ndarray] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
        """An uninitialised C-contiguous array, valid until `name` is asked for again."""
        key = (name, np.dtype(dtype))
        last = self._last.get(key)
        if last is not None and last.shape == shape:
            return last
        size = math.prod(shape)
        buffer = self._buffers.get(key)
        if buffer is None or buffer.size < size:
            buffer = self._buffers[key] = np.empty(size + size // 4, dtype)
        last = self._last[key] = buffer[:size].reshape(shape)
        return last

    def release(self) -> None:
        """Give all memory back; arrays that were asked for before stay valid as long as they are held."""
        self._buffers.clear()
        self._last.clear()
