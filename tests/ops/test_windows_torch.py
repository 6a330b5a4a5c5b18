"""The same numbers as PyTorch, where it has the operation."""

import numpy as np
import pytest
from checks import assert_close, both_dtypes

from textcnn.ops.columns import col2im, im2col
from textcnn.ops.dense import dense, dense_backward
from textcnn.ops.padding import pad1d, pad1d_backward
from textcnn.ops.resampling import upsample, upsample_backward

torch = pytest.importorskip("torch")
F = torch.nn.functional


def channels_first(x):
    """A tensor (n, channels, length) that asks for a gradient."""
    return torch.tensor(np.ascontiguousarray(x.swapaxes(1, 2)), requires_grad=True)


def channels_last(tensor):
    return tensor.detach().numpy().swapaxes(1, 2)


def gradient(out, d_out, x):
    out.backward(torch.tensor(np.ascontiguousarray(d_out.swapaxes(1, 2))))
    return channels_last(x.grad)


def normal(shape, dtype):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


@both_dtypes
@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [(0, 0), (1, 3), (4, 2)])
def test_padding(dtype, mode, padding):
    x = normal((3, 5, 4), dtype)
    tensor = channels_first(x)
    options = {"padding_value": 2.5} if mode == "constant" else {}
    expected = F.pad(tensor, padding, mode=mode, value=options.get("padding_value"))
    assert_close(pad1d(x, padding, padding_mode=mode, **options), channels_last(expected), 0)
    d_out = normal((3, 5 + sum(padding), 4), dtype)
    found = pad1d_backward(d_out, x, padding, padding_mode=mode, **options)
    assert_close(found, gradient(expected, d_out, tensor))


@both_dtypes
@pytest.mark.parametrize(("stride", "dilation", "padding"), [(1, 1, 0), (2, 1, 1), (1, 3, 2), (3, 2, 4)])
def test_columns(dtype, stride, dilation, padding):
    n, length, channels, kernel_size = 2, 9, 4, 3
    x = normal((n, length, channels), dtype)
    options = {"stride": stride, "dilation": dilation, "padding": padding}
    columns = im2col(x, kernel_size, **options)
    # PyTorch's columns have the channel first, then the tap, and are those of an image.
    image = channels_first(x)[:, :, None]
    arguments = {k: (0 if k == "padding" else 1, v) for k, v in options.items()}
    expected = F.unfold(image, (1, kernel_size), **arguments)
    tap_major = expected.reshape(n, channels, kernel_size, -1).permute(0, 3, 2, 1)
    assert_close(columns, tap_major.reshape(columns.shape).detach().numpy(), 0)
    folded = F.fold(expected, (1, length), (1, kernel_size), **arguments)[:, :, 0]
    assert_close(col2im(columns, kernel_size, length=length, **options), channels_last(folded))


@both_dtypes
@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("factor", [1, 2, 3, 5])
@pytest.mark.parametrize("length", [1, 2, 7])
def test_upsampling(dtype, mode, factor, length):
    x = normal((2, length, 3), dtype)
    tensor = channels_first(x)
    expected = F.interpolate(tensor, scale_factor=factor, mode=mode)
    assert_close(upsample(x, factor, mode=mode), channels_last(expected))
    d_out = normal((2, length * factor, 3), dtype)
    assert_close(upsample_backward(d_out, x, factor, mode=mode), gradient(expected, d_out, tensor))


@both_dtypes
@pytest.mark.parametrize("leading", [(), (7,), (2, 7)])
def test_dense(dtype, leading):
    arrays = [normal(shape, dtype) for shape in [(*leading, 6), (6, 5), (5,)]]
    x, weights, bias = (torch.tensor(array, requires_grad=True) for array in arrays)
    expected = F.linear(x, weights.T, bias)
    assert_close(dense(*arrays), expected.detach().numpy())
    d_out = normal((*leading, 5), dtype)
    expected.backward(torch.tensor(d_out))
    for found, wanted in zip(dense_backward(d_out, *arrays[:2]), (x, weights, bias), strict=True):
        assert_close(found, wanted.grad.numpy())
