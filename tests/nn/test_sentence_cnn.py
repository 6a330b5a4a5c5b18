"""The network as a whole, and what trains it."""

from itertools import pairwise

import numpy as np
import pytest

from textcnn.nn.inference import Inference
from textcnn.nn.layers import ACTIVATIONS, ConvLayout
from textcnn.nn.losses import squared_error
from textcnn.nn.optimizers import SGD, Adadelta, Adam, Gradient, clip_scale
from textcnn.nn.sentence_cnn import SentenceCNN, drop_words, side_by_side
from textcnn.nn.training import Examples, History, Trainer, TrainingOptions, mean_history

IDS = np.array([1, 2, 3, 4, 2, 5, 1, 6, 3], np.int32)
OFFSETS = np.array([0, 4, 4, 5, 9], np.intp)
TARGETS = np.array([0, 2, 1, 0], np.intp)
WEIGHT = np.array([0.1, 0.2, 0.3, 0.4])


def network(padding="full", n_frozen=0, dtype=np.float64, kernel_sizes=(1, 3), seed=0, activation="relu"):
    """A small network with weights so large that hardly anything is near a tie or a corner."""
    rng = np.random.RandomState(seed)
    layout = ConvLayout(kernel_sizes, 5, padding, activation)
    arrays = {
        "embedding": rng.normal(size=(8, 6)),
        "filters": rng.normal(size=(layout.n_rows, 6)),
        "filter_bias": rng.normal(size=layout.n_outputs),
        "weights": rng.normal(size=(3, layout.n_outputs)),
        "bias": rng.normal(size=3),
    }
    arrays = {name: array.astype(dtype) for name, array in arrays.items()}
    return SentenceCNN(**arrays, layout=layout, n_frozen=n_frozen)


def loss_and_gradients(model, dropout=0.0):
    return model.loss_and_gradients(IDS, OFFSETS, TARGETS, WEIGHT, dropout, 7, 3, 1)


def assert_gradients(model, loss_and_gradients):
    """The gradients of a network are central differences of its loss."""
    _, gradients = loss_and_gradients(model)
    gradients = {name: (grad.value.copy(), grad.rows) for name, grad in gradients.items()}
    step = 1e-4
    for name, param in model.parameters().items():
        value, rows = gradients[name]
        dense = np.zeros(param.shape)
        dense[slice(None) if rows is None else rows] = value
        for index in np.ndindex(param.shape):
            kept, losses = param[index], {}
            for k in (-2, -1, 1, 2):
                param[index] = kept + k * step
                losses[k] = loss_and_gradients(model)[0]
            param[index] = kept
            numeric = (8 * (losses[1] - losses[-1]) - (losses[2] - losses[-2])) / (12 * step)
            assert dense[index] == pytest.approx(numeric, rel=1e-6, abs=1e-9), (name, index)


@pytest.mark.parametrize("padding", ["full", "same", "valid"])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("n_frozen", [0, 3, 6])
def test_every_gradient_is_a_central_difference(padding, dropout, n_frozen):
    model = network(padding, n_frozen)
    assert ("embedding" in loss_and_gradients(model, dropout)[1]) == (n_frozen < 6)
    assert_gradients(model, lambda model: loss_and_gradients(model, dropout))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_has_its_gradient(activation):
    assert_gradients(network(activation=activation), loss_and_gradients)


def test_the_gradient_of_another_loss():
    values = np.random.RandomState(1).normal(size=(4, 3))
    assert_gradients(
        network(activation="tanh"),
        lambda model: model.loss_and_gradients(IDS, OFFSETS, values, WEIGHT, 0.4, 7, 3, 1, squared_error),
    )


FORMULAS = {
    "relu": lambda z: np.maximum(z, 0),
    "identity": lambda z: z,
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, np.exp(z) - 1),
    "softplus": lambda z: np.log(1 + np.exp(z)),
    "tanh": np.tanh,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_of_filters_before_the_maximum(activation):
    model = network("valid", kernel_sizes=(1,), activation=activation, dtype=np.float32)
    features, _ = Inference(model, 10**6).pooled(IDS, OFFSETS, 1)
    outputs = model.embedding[IDS] @ model.filters.T + model.filter_bias
    texts = pairwise(OFFSETS)
    expected = [
        FORMULAS[activation](outputs[first:last]).max(axis=0) if last > first else np.zeros(5)
        for first, last in texts
    ]
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-6)
    assert features.dtype == np.float32
    logits = model.logits(IDS, OFFSETS, 1)
    np.testing.assert_allclose(logits, features @ model.weights.T + model.bias, rtol=1e-4, atol=1e-5)


def test_texts_that_are_not_in_the_batch_have_no_gradient():
    _, gradients = loss_and_gradients(network())
    assert sorted(gradients["embedding"].rows.tolist()) == [1, 2, 3, 4, 5, 6]


def test_weight_zero_is_absence_in_the_gradient():
    model = network()
    weight = np.array([0.5, 0.0, 0.0, 0.5])
    _, with_zero = model.loss_and_gradients(IDS, OFFSETS, TARGETS, weight, 0.0, 0, 0, 1)
    with_zero = {name: grad.value.copy() for name, grad in with_zero.items() if name != "embedding"}
    ids, offsets = np.delete(IDS, 4), np.array([0, 4, 8], np.intp)
    _, without = model.loss_and_gradients(ids, offsets, TARGETS[[0, 3]], weight[[0, 3]], 0.0, 0, 0, 1)
    for name, value in with_zero.items():
        np.testing.assert_allclose(value, without[name].value, rtol=1e-12, atol=1e-15)


def test_masks_depend_on_the_step():
    model = network()
    first = model.loss_and_gradients(IDS, OFFSETS, TARGETS, WEIGHT, 0.5, 7, 0, 1)[0]
    assert model.loss_and_gradients(IDS, OFFSETS, TARGETS, WEIGHT, 0.5, 7, 0, 1)[0] == first
    assert model.loss_and_gradients(IDS, OFFSETS, TARGETS, WEIGHT, 0.5, 7, 1, 1)[0] != first


@pytest.mark.parametrize(
    ("padding", "pads"),
    [("valid", [[0, 0], [0, 0]]), ("same", [[0, 1], [1, 1]]), ("full", [[1, 1], [2, 2]])],
)
def test_padding_of_even_widths_has_its_extra_column_on_the_right(padding, pads):
    assert ConvLayout((2, 3), 1, padding).pads.tolist() == pads


def test_optimizer_state_grows_with_the_parameter():
    for optimizer in (Adam(), Adadelta(), SGD()):
        param = np.ones((3, 2), np.float32)
        optimizer.step({"p": param}, {"p": Gradient(np.ones((3, 2), np.float32))}, 0.1, 1.0, 1)
        grown = np.concatenate([param, np.ones((2, 2), np.float32)])
        rows = np.array([4], np.int32)
        optimizer.step({"p": grown}, {"p": Gradient(np.ones((1, 2), np.float32), rows)}, 0.1, 1.0, 1)
        assert (grown[4] != 1).all()
        assert (grown[4] == param[0]).all()  # the first step of a new row is that of a new parameter
        assert (grown[:3] == param).all()


def test_clip_scale_limits_the_norm_of_all_gradients_together():
    gradients = [Gradient(np.full((1, 1), 3.0)), Gradient(np.full((1, 1), 4.0))]
    assert clip_scale(gradients, None, 1) == 1.0
    assert clip_scale(gradients, 6.0, 1) == 1.0
    assert clip_scale(gradients, 2.5, 1) == 0.5


def trainer(**options):
    defaults = {
        "max_iter": 1,
        "batch_size": 2,
        "shuffle": False,
        "dropout": 0.0,
        "word_dropout": 0.0,
        "max_norm": None,
        "max_grad_norm": None,
        "alpha": 0.0,
        "learning_rate": "constant",
        "learning_rate_init": 0.1,
        "tol": 1e-4,
        "n_iter_no_change": 10,
        "early_stopping": False,
        "n_threads": 1,
    }
    rng = np.random.RandomState(0)
    return Trainer(network(dtype=np.float32), SGD(), TrainingOptions(**(defaults | options)), rng)


EXAMPLES = Examples(IDS, OFFSETS, TARGETS, np.ones(4, np.float32))


def rates_of(run, monkeypatch):
    """Learning rates of the steps of a run over EXAMPLES."""
    rates, rule = [], run._scheduled_rate
    monkeypatch.setattr(run, "_scheduled_rate", lambda: rates.append(rule()) or rates[-1])
    run.fit(EXAMPLES)
    return rates


def test_schedules(monkeypatch):
    assert rates_of(trainer(max_iter=2), monkeypatch) == [0.1] * 4
    linear = rates_of(trainer(max_iter=2, learning_rate="linear"), monkeypatch)
    np.testing.assert_allclose(linear, [0.1, 0.075, 0.05, 0.025])
    inverse = rates_of(trainer(max_iter=2, learning_rate="invscaling"), monkeypatch)
    np.testing.assert_allclose(inverse, 0.1 / np.sqrt([1, 2, 3, 4]))
    options = {"learning_rate": "adaptive", "n_iter_no_change": 1, "tol": 1e9, "max_iter": 3}
    np.testing.assert_allclose(
        rates_of(trainer(**options), monkeypatch),
        [0.1, 0.1, 0.1, 0.1, 0.02, 0.02],  # the first epoch is progress
    )


def test_the_cosine_schedule_and_warm_up(monkeypatch):
    cosine = rates_of(trainer(max_iter=2, learning_rate="cosine"), monkeypatch)
    np.testing.assert_allclose(cosine, 0.05 * (1 + np.cos(np.pi * np.arange(4) / 4)))
    warm = {"max_iter": 3, "warmup_steps": 2}
    for schedule, rest in {
        "constant": [0.1] * 4,
        "linear": [0.1, 0.075, 0.05, 0.025],
        "cosine": cosine,
        "invscaling": 0.1 / np.sqrt([1, 2, 3, 4]),
    }.items():
        rates = rates_of(trainer(**warm, learning_rate=schedule), monkeypatch)
        np.testing.assert_allclose(rates, [0.1 / 3, 0.2 / 3, *rest])
    rates = rates_of(trainer(max_iter=1, warmup_steps=9, learning_rate="linear"), monkeypatch)
    np.testing.assert_allclose(rates, [0.01, 0.02])


def test_training_stops_without_progress():
    history = trainer(max_iter=50, tol=1e9, n_iter_no_change=3).fit(EXAMPLES)
    # The first epoch is progress, from nothing.
    assert (history.n_epochs, history.converged) == (4, True)


def test_the_best_weights_come_back():
    scores = iter([0.2, 0.9, 0.1])
    run = trainer(max_iter=3, early_stopping=True, learning_rate_init=0.01)
    seen = []

    def validate():
        seen.append(run.network.weights.copy())
        return next(scores)

    history = run.fit(EXAMPLES, validate)
    assert history.validation_scores == [0.2, 0.9, 0.1]
    assert (run.network.weights == seen[1]).all()


def test_penalty_shrinks_weights_but_not_biases():
    free, tied = (
        trainer(max_iter=5, learning_rate_init=0.01),
        trainer(max_iter=5, learning_rate_init=0.01, alpha=20.0),
    )
    free.fit(EXAMPLES)
    tied.fit(EXAMPLES)
    assert np.abs(tied.network.filters).sum() < 0.9 * np.abs(free.network.filters).sum()
    assert np.abs(tied.network.weights).sum() < 0.9 * np.abs(free.network.weights).sum()


def test_word_dropout_replaces_tokens_by_the_unknown_one():
    run = trainer(word_dropout=0.5)
    ids = np.arange(1, 10_001, dtype=np.int32)
    dropped = drop_words(ids, 0.5, run.seed, 0, run.network.work)
    assert 0.47 < (dropped == 0).mean() < 0.53
    assert (dropped[dropped > 0] == ids[dropped > 0]).all()
    assert (drop_words(ids, 0.5, run.seed, 1, run.network.work) != dropped).any()
    assert (drop_words(ids, 0.0, run.seed, 0, run.network.work) == ids).all()


def test_a_loss_that_is_not_finite_stops_with_advice():
    run = trainer()
    run.network.bias[:] = np.nan
    with pytest.raises(ValueError, match="the loss of the first batch is nan"):
        run.fit(EXAMPLES)


def test_a_loss_that_ceases_to_be_finite_stops_with_advice():
    run = trainer()
    with pytest.raises(ValueError, match=r"the loss became .* lower learning_rate_init"):
        run.fit(EXAMPLES, on_step=lambda n_tokens: run.network.bias.fill(np.nan))


def test_a_batch_without_weight_is_skipped():
    weight = np.array([0, 0, 1, 1], np.float32)
    run = trainer()
    run.fit(Examples(IDS, OFFSETS, TARGETS, weight))
    assert run.n_steps == 1


@pytest.mark.parametrize("padding", ["full", "same", "valid"])
@pytest.mark.parametrize("n", [2, 3])
def test_networks_side_by_side_give_the_mean_of_their_logits(padding, n):
    networks = [
        network(padding, dtype=np.float32, kernel_sizes=(2, 1, 3), n_frozen=seed, seed=seed)
        for seed in range(n)
    ]
    logits = [member.logits(IDS, OFFSETS, 1).copy() for member in networks]
    together = side_by_side(networks)
    np.testing.assert_allclose(together.logits(IDS, OFFSETS, 1), np.mean(logits, axis=0), atol=1e-4)
    assert together.embedding.shape == (8, 6 * n)
    assert together.layout.n_filters == 5 * n
    assert together.n_frozen == 0
    assert all(getattr(together, name).dtype == np.float32 for name in together.ARRAYS)


def test_one_network_by_its_side_is_itself():
    alone = network()
    assert side_by_side([alone]) is alone


def test_mean_history():
    one = History([3.0, 1.0], [0.5, 0.7], 2, converged=True)
    two = History([1.0, 2.0, 5.0], [0.1, 0.9, 0.3], 3, converged=True)
    mean = mean_history([one, two])
    assert mean.loss_curve == [2.0, 1.5, 5.0]
    np.testing.assert_allclose(mean.validation_scores, [0.3, 0.8, 0.3])
    assert (mean.n_epochs, mean.converged, mean.interrupted) == (3, True, False)
    assert mean_history([one]) is one
    stopped = mean_history([one, History([], [], 0, interrupted=True)])
    assert stopped == History([3.0, 1.0], [0.5, 0.7], 2, interrupted=True, converged=False)
