"""Activations and losses against PyTorch, values and gradients."""

from itertools import product

import numpy as np
import pytest
from checks import both_dtypes
from numpy.testing import assert_allclose

from textcnn.ops import activations, losses

torch = pytest.importorskip("torch")
functional = torch.nn.functional

TOLERANCE = {np.float32: 2e-6, np.float64: 1e-12}
ACTIVATIONS = {
    "relu": (activations.relu, activations.relu_backward, {}, functional.relu),
    "leaky_relu": (
        activations.leaky_relu,
        activations.leaky_relu_backward,
        {"slope": 0.2},
        lambda x: functional.leaky_relu(x, 0.2),
    ),
    "gelu": (activations.gelu, activations.gelu_backward, {}, functional.gelu),
    "gelu_tanh": (
        activations.gelu,
        activations.gelu_backward,
        {"approximate": "tanh"},
        lambda x: functional.gelu(x, approximate="tanh"),
    ),
    "tanh": (activations.tanh, activations.tanh_backward, {}, torch.tanh),
    "sigmoid": (activations.sigmoid, activations.sigmoid_backward, {}, torch.sigmoid),
    "softmax": (activations.softmax, activations.softmax_backward, {}, lambda x: functional.softmax(x, -1)),
    "log_softmax": (
        activations.log_softmax,
        activations.log_softmax_backward,
        {},
        lambda x: functional.log_softmax(x, -1),
    ),
}
REDUCTIONS = ["mean", "sum", "none"]


def leaf(array):
    return torch.from_numpy(array).requires_grad_()


@both_dtypes
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(dtype, name):
    forward, backward, options, peer = ACTIVATIONS[name]
    rng = np.random.default_rng(0)
    x, d_out = (rng.normal(size=(7, 5, 37), scale=3).astype(dtype) for _ in range(2))
    x[0, 0, :2] = 0  # at the kink, too
    tensor = leaf(x)
    expected = peer(tensor)
    expected.backward(torch.from_numpy(d_out))
    tolerance = TOLERANCE[dtype]
    assert_allclose(forward(x, **options), expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    assert_allclose(backward(d_out, x, **options), tensor.grad.numpy(), rtol=tolerance, atol=5 * tolerance)


def assert_like_peer(dtype, loss, backward, peer, arrays):
    """Loss and gradients of `arrays` are those of the peer."""
    tensors = [leaf(array) for array in arrays]
    expected = peer(*tensors)
    d_loss = np.asarray(np.random.default_rng(9).normal(size=expected.shape), dtype)
    expected.backward(torch.from_numpy(d_loss))
    tolerance = 5 * TOLERANCE[dtype]
    assert_allclose(loss(*arrays), expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    gradients = backward(d_loss, *arrays)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    assert len(gradients) == len(tensors)
    for gradient, tensor in zip(gradients, tensors, strict=True):
        assert_allclose(gradient, tensor.grad.numpy(), rtol=tolerance, atol=tolerance)


@both_dtypes
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ["mse", "huber", "binary_cross_entropy", "weighted"])
def test_elementwise_loss(dtype, reduction, name):
    rng = np.random.default_rng(0)
    x, targets = (rng.normal(size=(9, 21)) * 2).astype(dtype), rng.uniform(size=(9, 21)).astype(dtype)
    weight = rng.uniform(0, 3, 21).astype(dtype)
    kernel = "binary_cross_entropy" if name == "weighted" else name
    options = {"huber": {"delta": 0.6}, "weighted": {"pos_weight": weight}}.get(name, {})
    peers = {
        "mse": lambda x, t: functional.mse_loss(x, t, reduction=reduction),
        "huber": lambda x, t: functional.huber_loss(x, t, delta=0.6, reduction=reduction),
        "binary_cross_entropy": lambda x, t: functional.binary_cross_entropy_with_logits(
            x, t, reduction=reduction
        ),
        "weighted": lambda x, t: functional.binary_cross_entropy_with_logits(
            x, t, pos_weight=torch.from_numpy(weight), reduction=reduction
        ),
    }
    assert_like_peer(
        dtype,
        lambda x, t: getattr(losses, kernel)(x, t, reduction=reduction, **options),
        lambda d, x, t: getattr(losses, f"{kernel}_backward")(d, x, t, reduction=reduction, **options),
        peers[name],
        [x, targets],
    )


@both_dtypes
@pytest.mark.parametrize(
    ("reduction", "weighted", "smoothing", "of_classes"),
    product(REDUCTIONS, [False, True], [0.0, 0.15], [False, True]),
)
def test_cross_entropy(dtype, reduction, weighted, smoothing, of_classes):
    rng = np.random.default_rng(0)
    x, p = (rng.normal(size=(11, 19)) * 3).astype(dtype), rng.dirichlet(np.ones(19), 11).astype(dtype)
    classes, weight = rng.integers(0, 19, 11), rng.uniform(0, 2, 19).astype(dtype)
    options = {"label_smoothing": smoothing, "reduction": reduction}
    ours = options | {"class_weight": weight if weighted else None}
    theirs = options | {"weight": torch.from_numpy(weight) if weighted else None}
    fixed = [classes] if of_classes else []
    assert_like_peer(
        dtype,
        lambda *arrays: losses.cross_entropy(*arrays, *fixed, **ours),
        lambda d, *arrays: losses.cross_entropy_backward(d, *arrays, *fixed, **ours),
        lambda *tensors: functional.cross_entropy(*tensors, *map(torch.from_numpy, fixed), **theirs),
        [x] if of_classes else [x, p],
    )
