"""Pooling against PyTorch, where that is installed."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from textcnn.ops import pooling

torch = pytest.importorskip("torch")
functional = torch.nn.functional

WINDOWS = [(2, 2, 0), (3, 1, 0), (3, 1, 1), (4, 3, 2), (5, 2, 2), (7, 7, 0), (1, 1, 0)]
RTOL = 1e-12

windows = pytest.mark.parametrize(("kernel_size", "stride", "padding"), WINDOWS)


def numbers(length=23):
    return np.random.default_rng(0).normal(size=(3, length, 5))


def channels_first(array):
    return torch.tensor(np.ascontiguousarray(array.transpose(0, 2, 1)))


def channels_last(tensor):
    return tensor.detach().numpy().transpose(0, 2, 1)


def assert_equal_to_torch(x, result, gradient, operation):
    """`result` is operation(x), and gradient(d_out) its gradient for a random d_out."""
    tensor = channels_first(x).requires_grad_()
    expected = operation(tensor)
    assert_allclose(result, channels_last(expected), rtol=RTOL, atol=RTOL)
    d_out = np.random.default_rng(1).normal(size=result.shape)
    (d_x,) = torch.autograd.grad(expected, tensor, channels_first(d_out))
    assert_allclose(gradient(d_out), channels_last(d_x), rtol=RTOL, atol=RTOL)


@windows
def test_max(kernel_size, stride, padding):
    x, options = numbers(), {"stride": stride, "padding": padding}
    out, argmax = pooling.max_pool1d(x, kernel_size, **options)
    _, expected = functional.max_pool1d(channels_first(x), kernel_size, return_indices=True, **options)
    assert_array_equal(argmax, channels_last(expected))
    assert_equal_to_torch(
        x,
        out,
        lambda d_out: pooling.max_pool1d_backward(d_out, argmax, length=x.shape[1]),
        lambda tensor: functional.max_pool1d(tensor, kernel_size, **options),
    )


@windows
@pytest.mark.parametrize("count_include_pad", [False, True])
def test_mean(kernel_size, stride, padding, count_include_pad):
    x = numbers()
    options = {"stride": stride, "padding": padding, "count_include_pad": count_include_pad}
    assert_equal_to_torch(
        x,
        pooling.mean_pool1d(x, kernel_size, **options),
        lambda d_out: pooling.mean_pool1d_backward(d_out, x, kernel_size, **options),
        lambda tensor: functional.avg_pool1d(tensor, kernel_size, **options),
    )


@pytest.mark.parametrize(("kernel_size", "stride"), sorted({window[:2] for window in WINDOWS}))
@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
def test_lp(kernel_size, stride, p):
    x = np.abs(numbers()) + 0.1  # PyTorch does not take the absolute value of x for an odd p
    assert_equal_to_torch(
        x,
        pooling.lp_pool1d(x, kernel_size, p=p, stride=stride),
        lambda d_out: pooling.lp_pool1d_backward(d_out, x, kernel_size, p=p, stride=stride),
        lambda tensor: functional.lp_pool1d(tensor, p, kernel_size, stride),
    )


@pytest.mark.parametrize("length", [1, 2, 5, 23, 64])
@pytest.mark.parametrize("n_bins", [1, 2, 3, 7, 64])
def test_adaptive(length, n_bins):
    x = numbers(length)
    out, argmax = pooling.adaptive_max_pool1d(x, n_bins)
    _, expected = functional.adaptive_max_pool1d(channels_first(x), n_bins, return_indices=True)
    assert_array_equal(argmax, channels_last(expected))
    assert_equal_to_torch(
        x,
        out,
        lambda d_out: pooling.adaptive_max_pool1d_backward(d_out, argmax, length=length),
        lambda tensor: functional.adaptive_max_pool1d(tensor, n_bins),
    )
    assert_equal_to_torch(
        x,
        pooling.adaptive_mean_pool1d(x, n_bins),
        lambda d_out: pooling.adaptive_mean_pool1d_backward(d_out, x, n_bins),
        lambda tensor: functional.adaptive_avg_pool1d(tensor, n_bins),
    )


@pytest.mark.parametrize("k", [1, 3, 23, 30])
def test_k_max(k):
    x = numbers()
    out, argmax = pooling.k_max_pool1d(x, k)

    def largest_in_order(tensor):
        places = tensor.topk(min(k, tensor.shape[2]), dim=2).indices.sort(dim=2).values
        return functional.pad(tensor.gather(2, places), (0, max(0, k - tensor.shape[2])))

    assert_equal_to_torch(
        x, out, lambda d_out: pooling.k_max_pool1d_backward(d_out, argmax, length=23), largest_in_order
    )


@windows
def test_sum_and_weighted(kernel_size, stride, padding):
    x, options = numbers(), {"stride": stride, "padding": padding}
    weights = np.random.default_rng(2).normal(size=kernel_size)
    for taps in (np.ones(kernel_size), weights):
        filters = torch.tensor(taps).repeat(5, 1, 1)
        assert_equal_to_torch(
            x,
            pooling.weighted_pool1d(x, kernel_size, weights=taps, **options),
            lambda d_out, taps=taps: pooling.weighted_pool1d_backward(
                d_out, x, kernel_size, weights=taps, **options
            )[0],
            lambda tensor, filters=filters: functional.conv1d(
                tensor, filters, stride=stride, padding=padding, groups=5
            ),
        )
    filters = torch.ones(5, 1, kernel_size, dtype=torch.float64)
    assert_equal_to_torch(
        x,
        pooling.sum_pool1d(x, kernel_size, **options),
        lambda d_out: pooling.sum_pool1d_backward(d_out, x, kernel_size, **options),
        lambda tensor: functional.conv1d(tensor, filters, stride=stride, padding=padding, groups=5),
    )


def test_over_the_whole_text():
    x = numbers()
    maxima, argmax = pooling.global_max_pool1d(x)
    for result, gradient, operation in (
        (
            maxima,
            lambda d_out: pooling.global_max_pool1d_backward(d_out, argmax, length=23),
            lambda tensor: tensor.amax(dim=2),
        ),
        (
            pooling.global_mean_pool1d(x),
            lambda d_out: pooling.global_mean_pool1d_backward(d_out, x),
            lambda tensor: tensor.mean(dim=2),
        ),
        (
            pooling.global_sum_pool1d(x),
            lambda d_out: pooling.global_sum_pool1d_backward(d_out, x),
            lambda tensor: tensor.sum(dim=2),
        ),
        (
            pooling.global_lp_pool1d(x, p=3),
            lambda d_out: pooling.global_lp_pool1d_backward(d_out, x, p=3),
            lambda tensor: torch.linalg.vector_norm(tensor, ord=3, dim=2),
        ),
    ):
        assert_equal_to_torch(
            x,
            result[:, np.newaxis],
            lambda d_out, gradient=gradient: gradient(d_out[:, 0]),
            lambda tensor, operation=operation: operation(tensor)[:, :, None],
        )


@pytest.mark.parametrize("levels", [(1,), (1, 2, 4), (3, 7)])
def test_pyramid(levels):
    x = numbers()
    out, places = pooling.spatial_pyramid_pool1d(x, levels=levels)
    for mode, result, argmax, peer in (
        ("max", out, places, functional.adaptive_max_pool1d),
        (
            "mean",
            pooling.spatial_pyramid_pool1d(x, levels=levels, mode="mean"),
            None,
            functional.adaptive_avg_pool1d,
        ),
    ):
        assert_equal_to_torch(
            x,
            result,
            lambda d_out, argmax=argmax, mode=mode: pooling.spatial_pyramid_pool1d_backward(
                d_out, argmax, levels=levels, mode=mode, length=23
            ),
            lambda tensor, peer=peer: torch.cat([peer(tensor, m) for m in levels], dim=2),
        )
