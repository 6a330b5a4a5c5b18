"""Losses of `textcnn.ops`: values by hand, gradients, reductions, errors."""

import numpy as np
import pytest
from checks import THREADS, assert_gradient, assert_same_bits, both_dtypes, read_only
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import generators

from textcnn._reference import activations as reference
from textcnn.ops import losses as ops

REDUCTIONS = ["mean", "sum", "none"]
ELEMENTWISE = {
    "mse": (ops.mse, ops.mse_backward, {}),
    "huber": (ops.huber, ops.huber_backward, {"delta": 0.7}),
    "binary_cross_entropy": (ops.binary_cross_entropy, ops.binary_cross_entropy_backward, {}),
    "weighted": (
        ops.binary_cross_entropy,
        ops.binary_cross_entropy_backward,
        {"pos_weight": [0.5, 0.0, 3.0]},
    ),
}
every_loss = pytest.mark.parametrize(("loss", "backward", "options"), ELEMENTWISE.values(), ids=ELEMENTWISE)
every_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)
OPTIONS = [
    {},
    {"label_smoothing": 0.2},
    {"class_weight": [0.5, 2.0, 1.0]},
    {"class_weight": [0.5, 2.0, 1.0], "label_smoothing": 0.2},
    {"label_smoothing": 1.0},
]


def problem(shape=(5, 3), dtype=float):
    rng = np.random.default_rng(0)
    return rng.normal(size=shape).astype(dtype), rng.uniform(0.1, 0.9, size=shape).astype(dtype)


@every_loss
@given(n=st.integers(0, 9), rng=generators())
def test_loss_equals_the_reference(loss, backward, options, n, rng):
    x, targets = rng.normal(size=(n, 3)), rng.uniform(size=(n, 3))
    if loss is ops.binary_cross_entropy:
        weights = np.broadcast_to(options.get("pos_weight", 1.0), x.shape)
        expected = reference.binary_cross_entropy(x, targets, weights)
    elif loss is ops.huber:
        expected = reference.huber(x, targets, 0.7)
    else:
        expected = reference.mse(x, targets)
    assert_allclose(loss(x, targets, reduction="none", **options), expected, rtol=1e-13, atol=1e-15)
    total = loss(x, targets, reduction="sum", **options)
    assert isinstance(total, float)
    assert_allclose(total, expected.sum(), rtol=1e-13)
    assert_allclose(loss(x, targets, **options), expected.mean() if n else np.nan, rtol=1e-13)
    assert backward(1.0, x, targets, **options)[0].shape == x.shape


@every_loss
@every_reduction
def test_gradients_are_central_differences(loss, backward, options, reduction):
    x, targets = problem()
    d_loss = np.random.default_rng(1).normal(size=x.shape) if reduction == "none" else 1.7

    def value(x, targets):
        return float(np.sum(d_loss * loss(x, targets, reduction=reduction, **options)))

    d_x, d_targets = backward(d_loss, x, targets, reduction=reduction, **options)
    assert_gradient(d_x, lambda moved: value(moved, targets), x)
    assert_gradient(d_targets, lambda moved: value(x, moved), targets)


@pytest.mark.parametrize("options", OPTIONS)
@every_reduction
def test_cross_entropy_gradients_are_central_differences(options, reduction):
    x, p = problem()
    d_loss = np.random.default_rng(1).normal(size=5) if reduction == "none" else 1.7

    def value(x, targets):
        return float(np.sum(d_loss * ops.cross_entropy(x, targets, reduction=reduction, **options)))

    d_x, d_p = ops.cross_entropy_backward(d_loss, x, p, reduction=reduction, **options)
    assert_gradient(d_x, lambda moved: value(moved, p), x)
    assert_gradient(d_p, lambda moved: value(x, moved), p)
    classes = np.array([0, 2, 1, 1, 2])
    d_x = ops.cross_entropy_backward(d_loss, x, classes, reduction=reduction, **options)
    assert_gradient(d_x, lambda moved: value(moved, classes), x)


@pytest.mark.parametrize("options", OPTIONS)
@given(n=st.integers(1, 9), rng=generators())
def test_cross_entropy_equals_the_reference(options, n, rng):
    x, p, classes = rng.normal(size=(n, 3)), rng.dirichlet(np.ones(3), n), rng.integers(0, 3, n)
    weights, smoothing = np.array(options.get("class_weight", [1, 1, 1])), options.get("label_smoothing", 0.0)
    for targets, q, divisor in [(p, p, n), (classes, np.eye(3)[classes], weights[classes].sum())]:
        expected = reference.cross_entropy(x, q, weights, smoothing)
        assert_allclose(ops.cross_entropy(x, targets, reduction="none", **options), expected, rtol=1e-12)
        assert_allclose(ops.cross_entropy(x, targets, reduction="sum", **options), expected.sum(), rtol=1e-12)
        assert_allclose(ops.cross_entropy(x, targets, **options), expected.sum() / divisor, rtol=1e-12)


def test_worked_examples():
    assert ops.mse([1.0, 4.0], [0.0, 2.0]) == 2.5
    assert ops.huber([0.5, -3.0], [0.0, 0.0], reduction="sum") == 0.125 + 2.5
    assert ops.huber([0.5, -3.0], [0.0, 0.0], delta=2.0, reduction="sum") == 0.125 + 4.0
    assert_allclose(ops.binary_cross_entropy([0.0], [0.5]), np.log(2), rtol=1e-15)
    assert_allclose(ops.cross_entropy(np.zeros((4, 5)), [0, 1, 2, 4]), np.log(5), rtol=1e-15)
    logits = np.log([[0.5, 0.25, 0.25]])
    assert_allclose(ops.cross_entropy(logits, [1]), np.log(4), rtol=1e-15)
    assert_allclose(ops.cross_entropy_backward(1.0, logits, [1]), [[0.5, -0.75, 0.25]], rtol=1e-15)


@both_dtypes
def test_large_logits_stay_finite(dtype):
    x = np.array([[1e4, -1e4, 0], [-1e4, 1e4, 0]], dtype)
    assert_allclose(ops.cross_entropy(x, [1, 1], reduction="none"), [2e4, 0])
    assert_array_equal(ops.cross_entropy_backward(1.0, x, [1, 1], reduction="sum"), [[1, -1, 0], [0, 0, 0]])
    targets = np.array([[1, 0, 1], [1, 0, 0]], dtype)
    loss = ops.binary_cross_entropy(x, targets, reduction="none")
    assert_allclose(loss, [[0, 0, np.log(2)], [1e4, 1e4, np.log(2)]], rtol=1e-6)
    assert np.isfinite(ops.binary_cross_entropy_backward(1.0, x, targets)).all()


@both_dtypes
def test_infinite_logits(dtype):
    x = np.array([np.inf, -np.inf, np.inf, -np.inf], dtype)
    targets = np.array([1, 0, 0, 1], dtype)
    assert_array_equal(ops.binary_cross_entropy(x, targets, reduction="none"), [0, 0, np.inf, np.inf])
    row = np.array([[-np.inf, 0.0, 0.0]], dtype)
    half = np.log(2)
    assert_allclose(ops.cross_entropy(row, [1]), half, rtol=1e-6)
    assert_allclose(ops.cross_entropy(row, [[0.0, 0.5, 0.5]]), half, rtol=1e-6)
    assert ops.cross_entropy(row, [0]) == np.inf


def test_small_losses_keep_their_digits():
    assert_allclose(ops.cross_entropy([[50.0, 0.0]], [0]), np.exp(-50.0), rtol=1e-14)
    assert_allclose(ops.binary_cross_entropy([-50.0], [0.0]), np.exp(-50.0), rtol=1e-14)


@both_dtypes
def test_not_a_number_shows(dtype):
    x, targets = problem((4, 3), dtype)
    x[2, 1] = np.nan
    for loss, _, options in ELEMENTWISE.values():
        assert np.isnan(loss(x, targets, **options)) or options.get("pos_weight")
        assert_array_equal(np.isnan(loss(x, targets, reduction="none", **options)), np.isnan(x))
    assert_array_equal(np.isnan(ops.cross_entropy(x, [0, 0, 0, 0], reduction="none")), [0, 0, 1, 0])


@every_loss
def test_same_bits_for_any_number_of_threads(loss, backward, options):
    x, targets = problem((40_001, 3), np.float32)
    for n_jobs in THREADS:
        for reduction in ("mean", "sum"):
            arguments = {"reduction": reduction, **options}
            one = loss(x, targets, n_jobs=1, **arguments)
            assert loss(x, targets, n_jobs=n_jobs, **arguments) == one
        for actual, expected in zip(
            backward(1.0, x, targets, n_jobs=n_jobs, **options),
            backward(1.0, x, targets, n_jobs=1, **options),
            strict=True,
        ):
            assert_same_bits(actual, expected)


def test_cross_entropy_has_the_same_bits_for_any_number_of_threads():
    x, p = problem((40_001, 3), np.float32)
    classes = np.arange(40_001) % 3
    options = OPTIONS[3]
    for n_jobs in THREADS:
        for targets in (p, classes):
            assert ops.cross_entropy(x, targets, n_jobs=n_jobs, **options) == ops.cross_entropy(
                x, targets, n_jobs=1, **options
            )
        for actual, expected in zip(
            ops.cross_entropy_backward(1.0, x, p, n_jobs=n_jobs, **options),
            ops.cross_entropy_backward(1.0, x, p, n_jobs=1, **options),
            strict=True,
        ):
            assert_same_bits(actual, expected)


@both_dtypes
@every_loss
def test_forms_of_input(loss, backward, options, dtype):
    x, targets = problem((6, 3), dtype)
    out = loss(x, targets, reduction="none", **options)
    assert out.dtype == dtype
    assert backward(1.0, x, targets, **options)[0].dtype == dtype
    for form in (np.asfortranarray, read_only):
        assert_same_bits(loss(form(x), form(targets), reduction="none", **options), out)
    wide = np.zeros((6, 6), dtype)
    wide[:, ::2] = x
    assert_same_bits(loss(wide[:, ::2], targets, reduction="none", **options), out)


def test_single_numbers_and_empty_arrays():
    assert ops.mse(3.0, 1.0) == 4.0
    assert ops.mse(3.0, 1.0, reduction="none").shape == ()
    assert_array_equal(ops.mse_backward(1.0, 3.0, 1.0), [4.0, -4.0])
    assert np.isnan(ops.mse([], []))
    assert ops.mse([], [], reduction="sum") == 0
    assert np.isnan(ops.cross_entropy(np.zeros((0, 3)), []))
    assert ops.cross_entropy(np.zeros((0, 3)), [], reduction="none").shape == (0,)
    assert ops.cross_entropy_backward(1.0, np.zeros((0, 3)), []).shape == (0, 3)
    assert ops.cross_entropy_backward(1.0, np.zeros((0, 3)), np.zeros((0, 3)))[1].shape == (0, 3)


@pytest.mark.parametrize(
    ("targets", "error", "message"),
    [
        ([0, -1], ValueError, "target 1 is -1, but there are 3 classes"),
        ([3, 0], ValueError, "target 0 is 3"),
        (np.array([0, 2**63], np.uint64), ValueError, "target 1 is 9223372036854775808"),
        ([0, 1, 2], ValueError, r"targets has shape \(3,\)"),
        (0, ValueError, r"targets has shape \(\)"),
        ([0.0, 1.0], TypeError, "classes must be integers"),
        ([True, False], TypeError, "classes must be integers"),
        (["a", "b"], TypeError, "classes must be integers"),
        ([[0.5, 0.5], [0.5, 0.5]], ValueError, r"targets has shape \(2, 2\)"),
        ([[0.5, 0.5, 0.1], [-0.1, 0.5, 0.5]], ValueError, "targets holds -0.1"),
        ([[0.5, 0.5, 0.1], [1.1, 0.5, 0.5]], ValueError, "targets holds 1.1"),
        ([[0.5, 0.5, np.nan], [0, 0, 0]], ValueError, "targets holds nan"),
    ],
)
def test_wrong_targets_are_refused(targets, error, message):
    with pytest.raises(error, match=message):
        ops.cross_entropy(np.zeros((2, 3)), targets)
    with pytest.raises(error, match=message):
        ops.cross_entropy_backward(1.0, np.zeros((2, 3)), targets)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction": "average"}, "reduction is 'average'"),
        ({"label_smoothing": 1.5}, "label_smoothing is 1.5"),
        ({"label_smoothing": np.nan}, "label_smoothing is nan"),
        ({"label_smoothing": "a"}, "label_smoothing is 'a'"),
        ({"class_weight": [1.0, 2.0]}, r"class_weight has shape \(2,\)"),
        ({"class_weight": [1.0, 2.0, -1.0]}, "class_weight holds"),
        ({"class_weight": [1.0, 2.0, np.inf]}, "class_weight holds"),
    ],
)
def test_wrong_options_of_cross_entropy_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ops.cross_entropy(np.zeros((2, 3)), [0, 1], **options)


def test_wrong_logits_are_refused():
    with pytest.raises(TypeError, match="dtype complex128, but the operations take real numbers"):
        ops.cross_entropy_backward(1j * np.ones(2), np.zeros((2, 3)), [0, 0], reduction="none")
    with pytest.raises(ValueError, match=r"logits has shape \(3,\)"):
        ops.cross_entropy(np.zeros(3), [0])
    with pytest.raises(ValueError, match="at least one class"):
        ops.cross_entropy(np.zeros((2, 0)), [0, 0])


@every_loss
def test_wrong_arguments_are_refused(loss, backward, options):
    x, targets = problem()
    with pytest.raises(ValueError, match="targets has shape"):
        loss(x, targets[:, :2], **options)
    with pytest.raises(ValueError, match="reduction is 'average'"):
        loss(x, targets, reduction="average", **options)
    with pytest.raises(ValueError, match=r"d_loss has shape \(5,\)"):
        backward(np.ones(5), x, targets, **options)
    with pytest.raises(ValueError, match="d_loss has shape"):
        backward(np.ones(5), x, targets, reduction="none", **options)
    with pytest.raises(TypeError, match="dtype complex128, but the operations take real numbers"):
        backward(1j * np.ones((5, 3)), x, targets, reduction="none", **options)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, np.nan])
def test_labels_outside_of_probabilities_are_refused(wrong):
    with pytest.raises(ValueError, match=f"targets holds {wrong}"):
        ops.binary_cross_entropy([0.0, 1.0], [1.0, wrong])
    with pytest.raises(ValueError, match=f"targets holds {wrong}"):
        ops.binary_cross_entropy_backward(1.0, [0.0, 1.0], [1.0, wrong])


@pytest.mark.parametrize(
    ("delta", "error"),
    [
        *((delta, ValueError) for delta in (0, -1.0, np.nan, np.inf, 10**400)),
        *((delta, TypeError) for delta in ("1", None, True)),
    ],
)
def test_wrong_delta_is_refused(delta, error):
    with pytest.raises(error, match="delta is"):
        ops.huber([1.0], [0.0], delta=delta)
    with pytest.raises(error, match="delta is"):
        ops.huber_backward(1.0, [1.0], [0.0], delta=delta)


@pytest.mark.parametrize(
    ("weight", "message"), [([1.0, 2.0], "does not broadcast"), ([-1.0], "pos_weight holds")]
)
def test_wrong_pos_weight_is_refused(weight, message):
    with pytest.raises(ValueError, match=message):
        ops.binary_cross_entropy(*problem(), pos_weight=weight)


def test_weight_that_float32_cannot_hold_is_called_so():
    logits, targets = np.zeros((2, 2), np.float32), np.eye(2, dtype=np.float32)
    for smoothing in (0.0, 0.1):
        with pytest.raises(
            ValueError, match=r"class_weight holds 1e\+39, but float32 holds numbers up to 3.403e\+38"
        ):
            ops.cross_entropy(logits, [0, 1], class_weight=[1e39, 1.0], label_smoothing=smoothing)
    with pytest.raises(
        ValueError, match=r"pos_weight holds 1e\+39, but float32 holds numbers up to 3.403e\+38"
    ):
        ops.binary_cross_entropy(logits, targets, pos_weight=1e39)
    assert ops.binary_cross_entropy(logits.astype(float), targets, pos_weight=1e39) == pytest.approx(
        (1e39 + 1) * np.log(2) / 2
    )
