"""Lengths, paddings, receptive fields and numbers of parameters of convolutions and poolings.

Dumoulin & Visin (2016), "A guide to convolution arithmetic for deep learning", arXiv 1603.07285.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from textcnn.ops._arrays import as_integer, integer_array

__all__ = [
    "conv_output_length",
    "conv_transpose_output_length",
    "effective_kernel_size",
    "n_parameters",
    "receptive_field",
    "resolve_padding",
]

Padding = str | int | tuple[int, int]
"""``"valid"``, ``"same"``, ``"full"``, a number of rows for each side, or a pair (left, right)."""

Lengths = TypeVar("Lengths", int, NDArray[np.intp])

MOST = 2**31 - 1
"""No size may be larger, so that sums of them fit in the integers of the kernels."""


def as_size(value: object, name: str, least: int = 1) -> int:
    """An integer of at least `least` and at most `MOST`."""
    if type(value) is int and least <= value <= MOST:
        return value
    size = as_integer(value, name, least)
    if size > MOST:
        raise ValueError(f"{name} is {size}, but it must be at most {MOST}")
    return size


def as_pads(padding: object) -> tuple[int, int]:
    """The pair (left, right) in an integer for both sides, or in a pair of integers."""
    if type(padding) is tuple and len(padding) == 2:
        return as_size(padding[0], "padding", 0), as_size(padding[1], "padding", 0)
    pads = (padding, padding) if np.ndim(padding) == 0 and hasattr(padding, "__index__") else padding  # type: ignore[arg-type]
    if isinstance(pads, str) or not isinstance(pads, Sequence | np.ndarray) or len(pads) != 2:
        raise ValueError(f"padding is {padding!r}, but it must be an integer or a pair (left, right)")
    return as_size(pads[0], "padding", 0), as_size(pads[1], "padding", 0)


def effective_kernel_size(kernel_size: int, *, dilation: int = 1) -> int:
    """Rows from the first to the last tap of a dilated kernel.

    ``K + (K - 1) (D - 1)``, which is ``D (K - 1) + 1``: D - 1 rows are skipped between two of the K taps
    (Yu & Koltun 2016, arXiv 1511.07122).

    Parameters
    ----------
    kernel_size : int
        Number of taps K, at least 1.
    dilation : int, default 1
        Distance D of two neighbouring taps, at least 1.

    Returns
    -------
    int

    Raises
    ------
    ValueError, TypeError
        If an argument, or the result, is no integer from 1 to 2**31 - 1.

    Examples
    --------
    >>> from textcnn.ops.arithmetic import effective_kernel_size
    >>> [effective_kernel_size(3, dilation=dilation) for dilation in (1, 2, 4)]
    [3, 5, 9]
    """
    taps, distance = as_size(kernel_size, "kernel_size"), as_size(dilation, "dilation")
    return as_size(distance * (taps - 1) + 1, "the effective kernel size")


def resolve_padding(padding: Padding, kernel_size: int, *, dilation: int = 1) -> tuple[int, int]:
    """Rows of padding (left, right) that a convolution's option `padding` means.

    Parameters
    ----------
    padding : {"valid", "same", "full"}, int or (int, int)
        With the effective kernel size E: ``"valid"`` is (0, 0). ``"same"`` is E - 1 rows altogether, the
        smaller half on the left, so that stride 1 keeps the length. ``"full"`` is E - 1 rows on each side.
        An integer counts for both sides, a pair is (left, right).
    kernel_size : int
    dilation : int, default 1

    Returns
    -------
    left, right : int

    Raises
    ------
    ValueError, TypeError
        If `padding` is something else or negative.

    Examples
    --------
    >>> from textcnn.ops.arithmetic import resolve_padding
    >>> resolve_padding("same", 4)
    (1, 2)
    >>> resolve_padding("full", 3, dilation=2)
    (4, 4)
    """
    total = effective_kernel_size(kernel_size, dilation=dilation) - 1
    if isinstance(padding, str):
        named = {"valid": (0, 0), "same": (total // 2, total - total // 2), "full": (total, total)}
        if padding not in named:
            raise ValueError(
                f"padding is {padding!r}, but it must be 'valid', 'same', 'full', an integer "
                "or a pair (left, right)"
            )
        return named[padding]
    return as_pads(padding)


def conv_output_length(
    length: Lengths, kernel_size: int, *, stride: int = 1, dilation: int = 1, padding: Padding = "valid"
) -> Lengths:
    """Rows that a convolution, or a pooling over windows, gives for a text.

    ``max(0, floor((L + left + right - D (K - 1) - 1) / S) + 1)``. With ``padding="same"`` this is
    ``ceil(L / S)``; a kernel wider than the padded text gives no rows.

    Parameters
    ----------
    length : int or ndarray of int
        Rows L of the text, or of each text.
    kernel_size : int
        Number of taps K.
    stride : int, default 1
        Distance S of two neighbouring windows.
    dilation : int, default 1
        Distance D of two neighbouring taps.
    padding : {"valid", "same", "full"}, int or (int, int), default "valid"
        See `resolve_padding`.

    Returns
    -------
    int, or intp ndarray of the shape of `length`

    Raises
    ------
    ValueError, TypeError
        If a length is negative or another argument is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.arithmetic import conv_output_length
    >>> conv_output_length(7, 3, stride=2)
    3
    >>> conv_output_length(np.array([0, 1, 7]), 3, padding="full")
    array([2, 3, 9])
    """
    left, right = resolve_padding(padding, kernel_size, dilation=dilation)
    step = as_size(stride, "stride")
    room = left + right - effective_kernel_size(kernel_size, dilation=dilation)
    return _each(length, lambda rows: window_count(rows, room, step))


def window_count(length: Lengths, room: int, stride: int) -> Lengths:
    """`conv_output_length` of checked numbers; `room` is the padding less the effective kernel size."""
    count = (length + room) // stride + 1
    return max(count, 0) if isinstance(count, int) else np.maximum(count, 0)


def conv_transpose_output_length(
    length: Lengths,
    kernel_size: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    padding: Padding = "valid",
    output_padding: int = 0,
) -> Lengths:
    """Rows that a transposed convolution gives for a text.

    ``max(0, (L - 1) S - left - right + D (K - 1) + output_padding + 1)``: a convolution with the same
    options turns that many rows back into L. With a stride there are S such numbers, of which
    `output_padding` from 0 to S - 1 picks one.

    Parameters
    ----------
    length : int or ndarray of int
        Rows L of the text, or of each text.
    kernel_size : int
    stride, dilation : int, default 1
    padding : {"valid", "same", "full"}, int or (int, int), default "valid"
        The padding of that convolution: rows which are cut off here.
    output_padding : int, default 0

    Returns
    -------
    int, or intp ndarray of the shape of `length`

    Raises
    ------
    ValueError, TypeError
        If a length is negative or another argument is out of range.

    Examples
    --------
    >>> from textcnn.ops.arithmetic import conv_output_length, conv_transpose_output_length
    >>> conv_transpose_output_length(4, 3, stride=2, padding=1, output_padding=1)
    8
    >>> conv_output_length(8, 3, stride=2, padding=1)
    4
    """
    left, right = resolve_padding(padding, kernel_size, dilation=dilation)
    step, extra = as_size(stride, "stride"), as_size(output_padding, "output_padding", 0)
    room = effective_kernel_size(kernel_size, dilation=dilation) + extra - left - right
    return _each(length, lambda rows: np.maximum((rows - 1) * step + room, 0))


def _each(length, formula):  # type: ignore[no-untyped-def]
    """The formula of an integer, or of each element of an array of integers."""
    if np.ndim(length) == 0:
        return int(formula(as_size(length, "length", 0)))
    lengths = integer_array(length, "length")
    if lengths.dtype.kind not in "iu":
        raise TypeError(f"length has dtype {lengths.dtype}, but it must hold integers")
    if lengths.size and not 0 <= lengths.min() <= lengths.max() <= MOST:
        raise ValueError(
            f"length runs from {lengths.min()} to {lengths.max()}, but it must lie between 0 and {MOST}"
        )
    return formula(lengths.astype(np.intp))


def receptive_field(layers: Sequence[tuple[int, int, int]]) -> int:
    """Rows of the input that one row of the output of a stack depends on.

    Starting with r = 1 and a jump of 1, each layer adds ``r += (E - 1) jump`` with its effective kernel
    size E, and then ``jump *= stride`` (Dumoulin & Visin 2016; Araujo et al. 2019, "Computing receptive
    fields of convolutional neural networks", Distill, equation 2).

    Parameters
    ----------
    layers : sequence of (kernel_size, stride, dilation)
        Convolutions and poolings, from the input to the output.

    Returns
    -------
    int

    Raises
    ------
    ValueError, TypeError
        If a layer is no such triple of positive integers.

    Examples
    --------
    >>> from textcnn.ops.arithmetic import receptive_field
    >>> [receptive_field([(3, 1, 1), (3, 1, 2), (3, 1, 4)][:n]) for n in (1, 2, 3)]
    [3, 7, 15]
    >>> receptive_field([(3, 1, 1), (2, 2, 1), (3, 1, 1)])
    8
    """
    rows, jump = 1, 1
    for layer in layers:
        if not isinstance(layer, Sequence) or isinstance(layer, str) or len(layer) != 3:
            raise ValueError(f"a layer is {layer!r}, but expected (kernel_size, stride, dilation)")
        kernel_size, stride, dilation = layer
        rows += (effective_kernel_size(kernel_size, dilation=dilation) - 1) * jump
        jump *= as_size(stride, "stride")
    return rows


def n_parameters(
    kernel_size: int, in_channels: int, out_channels: int, *, groups: int = 1, bias: bool = True
) -> int:
    """Parameters of a convolution: ``K (C / G) F`` weights and F biases.

    Parameters
    ----------
    kernel_size : int
        Number of taps K.
    in_channels, out_channels : int
        C and F; both must be divisible by `groups`.
    groups : int, default 1
        Groups G of channels that do not see each other.
    bias : bool, default True

    Returns
    -------
    int

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range or the groups do not divide the channels.

    Examples
    --------
    >>> from textcnn.ops.arithmetic import n_parameters
    >>> n_parameters(3, 128, 64)
    24640
    >>> n_parameters(3, 128, 64, groups=64, bias=False)
    384
    """
    taps, parts = as_size(kernel_size, "kernel_size"), as_size(groups, "groups")
    c, f = as_size(in_channels, "in_channels"), as_size(out_channels, "out_channels")
    if c % parts or f % parts:
        raise ValueError(f"groups is {parts}, but it must divide in_channels, {c}, and out_channels, {f}")
    return taps * (c // parts) * f + (f if bias else 0)
