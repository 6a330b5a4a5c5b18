"""Values and gradients of the convolutions, compared with PyTorch's where it is installed."""

import numpy as np
import pytest
from checks import assert_close, both_dtypes

from textcnn.ops.convolution import conv1d, conv1d_backward, conv_transpose1d, conv_transpose1d_backward

torch = pytest.importorskip("torch")
functional = torch.nn.functional

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}
TORCH_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def as_leaf(array):
    """Tensor of which a gradient is wanted."""
    return torch.tensor(array, requires_grad=True)


def channels_first(array):
    return np.ascontiguousarray(np.swapaxes(array, 1, 2))


def assert_equals(ours, backward, theirs, x, weights, bias, **options):
    """Our function of x (n, length, channels) and theirs of x (n, channels, length) agree, gradients too.

    PyTorch's weights (last, last but one, taps) are ours (taps, last but one, last).
    """
    leaves = (
        as_leaf(channels_first(x)),
        as_leaf(np.ascontiguousarray(weights.transpose(2, 1, 0))),
        as_leaf(bias),
    )
    expected = theirs(*leaves)
    out = ours(x, weights, bias, **options)
    tolerance = TOLERANCE[x.dtype.type]
    assert_close(out, channels_first(expected.detach().numpy()), tolerance)
    d_out = random(*out.shape, seed=7).astype(x.dtype)
    expected.backward(torch.tensor(channels_first(d_out)))
    d_x, d_weights, d_bias = backward(d_out, x, weights, **options)
    assert_close(d_x, channels_first(leaves[0].grad.numpy()), tolerance)
    assert_close(d_weights, np.ascontiguousarray(leaves[1].grad.numpy().transpose(2, 1, 0)), tolerance)
    assert_close(d_bias, leaves[2].grad.numpy(), tolerance)


@both_dtypes
@pytest.mark.parametrize(
    ("channels", "n_filters", "kernel_size", "options"),
    [
        (3, 4, 3, {}),
        (1, 1, 1, {}),
        (40, 48, 3, {"padding": 1}),
        (40, 48, 3, {"padding": 4, "dilation": 4}),
        (5, 7, 4, {"stride": 3}),
        (5, 7, 4, {"dilation": 3, "padding": 5}),
        (6, 9, 5, {"groups": 3, "padding": 2}),
        (8, 8, 3, {"groups": 8, "padding": 1, "stride": 2}),
        (8, 16, 3, {"groups": 8, "dilation": 2}),
        (16, 33, 7, {"stride": 4, "dilation": 2, "padding": 6}),
        (2, 3, 2, {"stride": 9}),
    ],
)
def test_conv1d(dtype, channels, n_filters, kernel_size, options):
    x = random(3, 21, channels).astype(dtype)
    weights = random(kernel_size, channels // options.get("groups", 1), n_filters, seed=1).astype(dtype)
    bias = random(n_filters, seed=2).astype(dtype)
    assert_equals(
        conv1d,
        conv1d_backward,
        lambda x, weights, bias: functional.conv1d(x, weights, bias, **options),
        x,
        weights,
        bias,
        **options,
    )


@both_dtypes
@pytest.mark.parametrize(("kernel_size", "dilation"), [(1, 1), (2, 1), (3, 2), (4, 1), (4, 3), (5, 2)])
@pytest.mark.filterwarnings("ignore:Using padding")
def test_same_padding_has_the_same_side_longer(dtype, kernel_size, dilation):
    x, weights = random(2, 15, 3).astype(dtype), random(kernel_size, 3, 4, seed=1).astype(dtype)
    options = {"padding": "same", "dilation": dilation}
    bias = random(4, seed=2).astype(dtype)
    assert_equals(
        conv1d,
        conv1d_backward,
        lambda x, weights, bias: functional.conv1d(x, weights, bias, **options),
        x,
        weights,
        bias,
        **options,
    )


@both_dtypes
@pytest.mark.parametrize("mode", TORCH_MODES)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [4, 36])
def test_padding_modes(dtype, mode, stride, channels):
    x, weights = random(2, 9, channels).astype(dtype), random(3, channels, 34, seed=1).astype(dtype)
    bias = random(34, seed=2).astype(dtype)

    def theirs(x, weights, bias):
        padded = functional.pad(x, (5, 3), mode=TORCH_MODES[mode])
        return functional.conv1d(padded, weights, bias, stride=stride)

    options = {"stride": stride, "padding": (5, 3), "padding_mode": mode}
    assert_equals(conv1d, conv1d_backward, theirs, x, weights, bias, **options)


@both_dtypes
@pytest.mark.parametrize(
    ("channels", "n_results", "kernel_size", "options"),
    [
        (4, 3, 3, {}),
        (1, 1, 1, {}),
        (48, 40, 3, {"padding": 1}),
        (48, 40, 3, {"dilation": 2, "padding": 2}),
        (4, 3, 3, {"stride": 2}),
        (4, 3, 3, {"stride": 2, "padding": 1, "output_padding": 1}),
        (4, 3, 2, {"stride": 5, "output_padding": 4}),
        (4, 3, 4, {"dilation": 3, "padding": 2, "output_padding": 2}),
        (9, 6, 4, {"groups": 3, "stride": 3, "padding": 2}),
        (8, 8, 5, {"groups": 8, "stride": 2, "dilation": 2, "padding": 3, "output_padding": 1}),
    ],
)
def test_conv_transpose1d(dtype, channels, n_results, kernel_size, options):
    x = random(3, 11, channels).astype(dtype)
    weights = random(kernel_size, n_results // options.get("groups", 1), channels, seed=1).astype(dtype)
    bias = random(n_results, seed=2).astype(dtype)
    assert_equals(
        conv_transpose1d,
        conv_transpose1d_backward,
        lambda x, weights, bias: functional.conv_transpose1d(x, weights, bias, **options),
        x,
        weights,
        bias,
        **options,
    )
