"""Plain NumPy form of the operations that pad texts, cut windows from them, and stretch them.

One text ``(length, channels)`` at a time, in float64.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[Any]


def source_row(p: int, length: int, mode: str) -> int | None:
    """The row of a text that position p of the padded text is a copy of; None for the constant."""
    if 0 <= p < length:
        return p
    if length == 0 or mode in ("zeros", "constant"):
        return None
    if mode == "replicate":
        return min(max(p, 0), length - 1)
    if mode == "circular":
        return p % length
    # Walk from the first row, turning round at both ends.
    row, step = 0, 1
    for _ in range(abs(p)):
        if length > 1:
            step = -step if not 0 <= row + step < length else step
            row += step
    return row


def pad1d(text: FloatArray, left: int, right: int, mode: str, value: float = 0.0) -> FloatArray:
    """The text with rows before and after it: see `textcnn.ops.padding.pad1d`."""
    fill = value if mode == "constant" else 0.0
    out = np.full((left + len(text) + right, text.shape[1]), fill)
    for t in range(len(out)):
        row = source_row(t - left, len(text), mode)
        if row is not None:
            out[t] = text[row]
    return out


def pad1d_backward(d_out: FloatArray, left: int, length: int, mode: str) -> FloatArray:
    """The transpose of `pad1d`: each row's gradient goes to the row that it is a copy of."""
    d_text = np.zeros((length, d_out.shape[1]))
    for t in range(len(d_out)):
        row = source_row(t - left, length, mode)
        if row is not None:
            d_text[row] += d_out[t]
    return d_text
