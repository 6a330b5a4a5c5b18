"""The operations of `textcnn.ops` that PyTorch has too, each with the numbers that both compute with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from textcnn import ops

Array = NDArray[Any]
Call = Callable[[], Any]
Layout = Callable[[Array], Array]


# ---- layouts: from ours to that of PyTorch -------------------------------------------------------------


def same(array: Array) -> Array:
    """One for both."""
    return array


def text(array: Array) -> Array:
    """(n, length, channels) to (n, channels, length)."""
    return array.swapaxes(1, 2)


def reverse(array: Array) -> Array:
    """Weights (K, C, F) to (F, C, K), and (C, F) to (F, C)."""
    return array.T


def windows(kernel_size: int) -> Layout:
    """Columns (n, windows, K C) to (n, C K, windows)."""

    def layout(array: Array) -> Array:
        n, n_windows, width = array.shape
        taps = array.reshape(n, n_windows, kernel_size, width // kernel_size)
        return taps.transpose(0, 3, 2, 1).reshape(n, width, n_windows)

    return layout


# ---- a case -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One operation on both sides.

    Attributes
    ----------
    operation, variant : str
        Name of the function, and with what options or sizes.
    arrays : tuple of float32 ndarrays
        The arguments that have gradients.
    layouts : tuple of functions
        Of the arguments; the last one is that of the result.
    ours : function of the arrays
        The result, or a tuple that begins with it.
    ours_backward : function of the gradient of the result, of what `ours` gave, and of the arrays
        The gradients, one or a tuple.
    theirs : function of the tensors
        The result, or a tuple that begins with it.
    """

    operation: str
    variant: str
    arrays: tuple[Array, ...]
    layouts: tuple[Layout, ...]
    ours: Callable[..., Any]
    ours_backward: Callable[..., Any]
    theirs: Callable[..., Any]

    def parts(self) -> Iterator[tuple[str, Call, Call, tuple[Layout, ...]]]:
        """Name, calls of both sides, and layouts of the results of each part that is measured."""
        arrays, gradients = self.arrays, self.layouts[:-1]
        tensors = [as_tensor(layout(array)) for layout, array in zip(gradients, arrays, strict=True)]
        with torch.no_grad():
            shape = as_tuple(self.theirs(*tensors))[0].shape
        kept = self.ours(*arrays)
        out = np.asarray(as_tuple(kept)[0])
        d_out = np.random.default_rng(1).standard_normal(out.shape, np.float32)
        d_theirs = as_tensor(self.layouts[-1](d_out)).reshape(shape)

        def their_forward() -> Any:
            with torch.no_grad():
                return self.theirs(*tensors)

        yield "forward", partial(self.ours, *arrays), their_forward, self.layouts[-1:]

        inputs = [tensor.requires_grad_() for tensor in tensors]
        graph = as_tuple(self.theirs(*inputs))[0]
        yield (
            "backward",
            partial(self.ours_backward, d_out, kept, *arrays),
            lambda: written_out(torch.autograd.grad(graph, inputs, d_theirs, retain_graph=True)),
            gradients,
        )

        def our_both() -> Any:
            return self.ours_backward(d_out, self.ours(*arrays), *arrays)

        def their_both() -> Any:
            return written_out(torch.autograd.grad(as_tuple(self.theirs(*inputs))[0], inputs, d_theirs))

        yield "fwd+bwd", our_both, their_both, gradients


def as_tuple(results: Any) -> tuple[Any, ...]:
    return tuple(results) if isinstance(results, tuple | list) else (results,)


def written_out(gradients: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """The gradients as arrays with a place for each value, like ours.

    That of a sum is a view of `d_out` that repeats its values and computes nothing; all others stay as they
    are.
    """
    return tuple(tensor.contiguous() if 0 in tensor.stride() else tensor for tensor in gradients)


def as_tensor(array: Array) -> torch.Tensor:
    return torch.from_numpy(np.array(array, np.float32, order="C"))


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


# ---- the cases -------------------------------------------------------------------------------------------


def cases(shape: tuple[int, int, int], n_jobs: int) -> Iterator[Case]:
    """All of them; `shape` is that of a batch of texts, (n, length, channels)."""
    yield from convolutions(shape, n_jobs)
    yield from transposed_convolutions(shape, n_jobs)
    yield from paddings_and_columns(shape, n_jobs)
    yield from poolings(shape, n_jobs)
    rows = (shape[0] * shape[1], shape[2])
    yield from dense_layers(rows, n_jobs)
    yield from elementwise(rows, n_jobs)
    yield from loss_functions(rows, n_jobs)


def convolutions(shape: tuple[int, int, int], n_jobs: int) -> Iterator[Case]:
    n, length, channels = shape

    def case(variant: str, size: tuple[int, int, int], filters: int, width: int, **options: Any) -> Case:
        groups, mode = options.get("groups", 1), options.get("padding_mode", "zeros")
        arrays = (normal(*size), normal(width, size[2] // groups, filters, seed=1), normal(filters, seed=2))
        theirs = dict(options)
        theirs.pop("padding_mode", None)
        pad = theirs.pop("padding", 0) if mode != "zeros" else 0
        return Case(
            "conv1d",
            variant,
            arrays,
            (text, reverse, same, text),
            partial(ops.conv1d, **options, n_jobs=n_jobs),
            lambda d, out, x, w, b: ops.conv1d_backward(d, x, w, **options, n_jobs=n_jobs),
            lambda x, w, b: F.conv1d(F.pad(x, (pad, pad), mode) if pad else x, w, b, **theirs),
        )

    for width, dilation in ((3, 1), (3, 2), (1, 1), (5, 1)):
        pad = dilation * (width - 1) // 2
        variant = f"width {width}, dilation {dilation}"
        yield case(variant, shape, channels, width, dilation=dilation, padding=pad)
    yield case("width 3, stride 2", shape, channels, 3, stride=2, padding=1)
    yield case("width 3, groups 4", shape, channels, 3, groups=4, padding=1)
    yield case("width 3, depthwise", shape, channels, 3, groups=channels, padding=1)
    yield case("width 3, circular", shape, channels, 3, padding=1, padding_mode="circular")
    few, many, filters = max(1, channels // 8), 300 * channels // 128, 100 * channels // 128
    yield case(f"width 3, {few} channels", (n, length, few), few, 3, padding=1)
    yield case(f"width 4, {many} to {filters} channels", (n, length, many), filters, 4)
    yield case(f"width 3, one text of 20, {few} channels", (1, 20, few), few, 3, padding=1)


def transposed_convolutions(shape: tuple[int, int, int], n_jobs: int) -> Iterator[Case]:
    channels = shape[2]

    def case(variant: str, width: int, **options: Any) -> Case:
        arrays = (normal(*shape), normal(width, channels, channels, seed=1), normal(channels, seed=2))
        return Case(
            "conv_transpose1d",
            variant,
            arrays,
            (text, reverse, same, text),
            partial(ops.conv_transpose1d, **options, n_jobs=n_jobs),
            lambda d, out, x, w, b: ops.conv_transpose1d_backward(d, x, w, **options, n_jobs=n_jobs),
            partial(F.conv_transpose1d, **options),
        )

    yield case("width 3, stride 1", 3, padding=1)
    yield case("width 4, stride 2", 4, stride=2, padding=1)


def paddings_and_columns(shape: tuple[int, int, int], n_jobs: int) -> Iterator[Case]:
    x, length, width = normal(*shape), shape[1], 3

    def case(operation: str, variant: str, theirs: Callable[..., Any], *args: Any) -> Case:
        forward, backward = getattr(ops, operation), getattr(ops, f"{operation}_backward")
        options = {
            "im2col": {"padding": 1},
            "pad1d": {"padding_mode": variant},
            "upsample": {"mode": variant},
        }[operation]
        return Case(
            operation,
            variant,
            (x,),
            (text, windows(width) if operation == "im2col" else text),
            lambda x: forward(x, *args, **options, n_jobs=n_jobs),
            lambda d, out, x: backward(d, x, *args, **options, n_jobs=n_jobs),
            theirs,
        )

    for mode, name in (("constant", "zeros"), ("reflect",) * 2, ("replicate",) * 2, ("circular",) * 2):
        yield case("pad1d", name, partial(F.pad, pad=(2, 2), mode=mode), 2)
    for mode in ("nearest", "linear"):
        theirs = partial(F.interpolate, scale_factor=2, mode=mode)
        yield case("upsample", mode, theirs, 2)
    yield case(
        "im2col",
        "width 3",
        lambda x: F.unfold(x.unsqueeze(2), (1, width), padding=(0, 1)),
        width,
    )
    yield Case(
        "col2im",
        "width 3",
        (normal(shape[0], length, width * shape[2]),),
        (windows(width), text),
        lambda x: ops.col2im(x, width, length=length, padding=1, n_jobs=n_jobs),
        lambda d, out, x: ops.col2im_backward(d, x, width, length=length, padding=1, n_jobs=n_jobs),
        lambda x: F.fold(x, (1, length), (1, width), padding=(0, 1)).squeeze(2),
    )


def poolings(shape: tuple[int, int, int], n_jobs: int) -> Iterator[Case]:
    x, length, many = normal(*shape), shape[1], max(1, shape[1] // 16)

    def maximal(operation: str, variant: str, theirs: Callable[..., Any], *args: Any, **options: Any) -> Case:
        forward, backward = getattr(ops, operation), getattr(ops, f"{operation}_backward")
        return Case(
            operation,
            variant,
            (x,),
            (text, same if operation.startswith("global") else text),
            lambda x: forward(x, *args, **options, n_jobs=n_jobs),
            lambda d, out, x: backward(d, out[1], length=length, n_jobs=n_jobs),
            theirs,
        )

    def linear(operation: str, variant: str, theirs: Callable[..., Any], *args: Any, **options: Any) -> Case:
        forward, backward = getattr(ops, operation), getattr(ops, f"{operation}_backward")
        return Case(
            operation,
            variant,
            (x,),
            (text, same if operation.startswith("global") else text),
            lambda x: forward(x, *args, **options, n_jobs=n_jobs),
            lambda d, out, x: backward(d, x, *args, **options, n_jobs=n_jobs),
            theirs,
        )

    def summed(x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(x.unsqueeze(2), (1, 3), (1, 1), (0, 1), divisor_override=1).squeeze(2)

    def pyramid(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([F.adaptive_max_pool1d(x, level) for level in (1, 2, 4)], dim=2)

    def k_maximal(x: torch.Tensor) -> torch.Tensor:
        return x.gather(2, x.topk(4, dim=2).indices.sort(dim=2).values)

    for width, stride, pad in ((2, 2, 0), (3, 1, 1)):
        variant, options = f"width {width}, stride {stride}", {"stride": stride, "padding": pad}
        indexed = partial(F.max_pool1d, kernel_size=width, return_indices=True, **options)
        yield maximal("max_pool1d", variant, indexed, width, **options)
        mean = partial(F.avg_pool1d, kernel_size=width, count_include_pad=False, **options)
        yield linear("mean_pool1d", variant, mean, width, **options, count_include_pad=False)
    yield linear("lp_pool1d", "width 2, stride 2", lambda x: F.lp_pool1d(x, 2.0, 2), 2)
    yield linear("sum_pool1d", "width 3, stride 1", summed, 3, stride=1, padding=1)
    adaptive = partial(F.adaptive_max_pool1d, output_size=many, return_indices=True)
    yield maximal("adaptive_max_pool1d", f"{many} bins", adaptive, many)
    adaptive = partial(F.adaptive_avg_pool1d, output_size=many)
    yield linear("adaptive_mean_pool1d", f"{many} bins", adaptive, many)
    yield maximal("global_max_pool1d", "", partial(torch.max, dim=2))
    yield linear("global_mean_pool1d", "", partial(torch.mean, dim=2))
    yield linear("global_sum_pool1d", "", partial(torch.sum, dim=2))
    yield linear("global_lp_pool1d", "", partial(torch.linalg.vector_norm, ord=2, dim=2))
    yield maximal("k_max_pool1d", "k 4", k_maximal, 4)
    yield maximal("spatial_pyramid_pool1d", "levels 1, 2, 4", pyramid, levels=(1, 2, 4))


def dense_layers(rows: tuple[int, int], n_jobs: int) -> Iterator[Case]:
    for filters in (rows[1], 10):
        yield Case(
            "dense",
            f"{rows[1]} to {filters}",
            (normal(*rows), normal(rows[1], filters, seed=1), normal(filters, seed=2)),
            (same, reverse, same, same),
            partial(ops.dense, n_jobs=n_jobs),
            lambda d, out, x, w, b: ops.dense_backward(d, x, w, n_jobs=n_jobs),
            F.linear,
        )


def elementwise(rows: tuple[int, int], n_jobs: int) -> Iterator[Case]:
    def case(operation: str, theirs: Callable[..., Any], **options: Any) -> Case:
        forward, backward = getattr(ops, operation), getattr(ops, f"{operation}_backward")
        return Case(
            operation,
            str(options.get("approximate", "")),
            (3 * normal(*rows),),
            (same, same),
            partial(forward, **options, n_jobs=n_jobs),
            lambda d, out, x: backward(d, x, **options, n_jobs=n_jobs),
            theirs,
        )

    yield case("relu", torch.relu)
    yield case("leaky_relu", F.leaky_relu)
    for form in ("none", "tanh"):
        yield case("gelu", partial(F.gelu, approximate=form), approximate=form)
    yield case("tanh", torch.tanh)
    yield case("sigmoid", torch.sigmoid)
    yield Case(
        "softmax",
        "",
        (3 * normal(*rows),),
        (same, same),
        partial(ops.softmax, n_jobs=n_jobs),
        lambda d, out, x: ops.softmax_backward(d, x, out=out, n_jobs=n_jobs),
        partial(torch.softmax, dim=1),
    )
    yield case("log_softmax", partial(torch.log_softmax, dim=1))


def loss_functions(rows: tuple[int, int], n_jobs: int) -> Iterator[Case]:
    predictions, targets = normal(*rows), normal(*rows, seed=1)

    def pair(operation: str, targets: Array, theirs: Callable[..., Any]) -> Case:
        forward, backward = getattr(ops, operation), getattr(ops, f"{operation}_backward")
        return Case(
            operation,
            "",
            (predictions, targets),
            (same, same, same),
            partial(forward, n_jobs=n_jobs),
            lambda d, out, x, y: backward(d, x, y, n_jobs=n_jobs),
            theirs,
        )

    yield pair("mse", targets, F.mse_loss)
    yield pair("huber", targets, F.huber_loss)
    yield pair("binary_cross_entropy", (targets > 0).astype(np.float32), F.binary_cross_entropy_with_logits)
    classes = np.random.default_rng(2).integers(0, rows[1], rows[0])
    weights = np.random.default_rng(3).uniform(0.5, 2, rows[1]).astype(np.float32)
    index, weight = torch.from_numpy(classes), torch.from_numpy(weights)
    for variant, ours, theirs in (
        ("", {}, {}),
        (
            "class weights, smoothing",
            {"class_weight": weights, "label_smoothing": 0.1},
            {"weight": weight, "label_smoothing": 0.1},
        ),
    ):
        yield Case(
            "cross_entropy",
            variant,
            (predictions,),
            (same, same),
            partial(ops.cross_entropy, targets=classes, **ours, n_jobs=n_jobs),
            lambda d, out, x, o=ours: ops.cross_entropy_backward(d, x, classes, **o, n_jobs=n_jobs),
            partial(F.cross_entropy, target=index, **theirs),
        )
