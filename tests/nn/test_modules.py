"""The trainable layers: gradients, names, sharing, files."""

import copy
import json
import pickle

import numpy as np
import pytest
from checks import assert_close, assert_gradient, assert_same_bits

from textcnn import nn
from textcnn.nn.modules import from_config

C = 4
LENGTHS = [0, 1, 7, 4]


def double(layer):
    """The layer with parameters in float64, so that differences are exact enough."""
    for inner in layer.layers().values():
        inner.arrays = {name: array.astype(np.float64) for name, array in inner.arrays.items()}
    layer.zero_gradients()
    return layer


def texts(rng, channels=C, lengths=LENGTHS):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
    return nn.Packed(rng.normal(size=(offsets[-1], channels)), offsets)


LAYERS = {
    "activation": lambda: nn.Activation("tanh"),
    "conv": lambda: nn.Conv1d(3, 3, activation="tanh"),
    "conv-options": lambda: nn.Conv1d(
        6, 2, stride=2, dilation=2, groups=2, padding=(2, 1), padding_mode="reflect", activation="gelu"
    ),
    "tiled": lambda: nn.TiledConv1d(3, 2, n_kernels=3, activation="sigmoid"),
    "local": lambda: nn.LocallyConnected1d(3, 3, length=7, activation="tanh"),
    "transposed": lambda: nn.ConvTranspose1d(3, 3, stride=2, padding=1, output_padding=1, activation="tanh"),
    "dense": lambda: nn.Dense(5, activation="leaky_relu"),
    "norm": lambda: nn.LayerNorm(),
    "pool-max": lambda: nn.Pool1d("max"),
    "pool-max-windows": lambda: nn.Pool1d("max", 3, stride=2, padding=1),
    "pool-mean": lambda: nn.Pool1d("mean"),
    "pool-mean-windows": lambda: nn.Pool1d("mean", 2),
    "pool-sum": lambda: nn.Pool1d("sum"),
    "pool-sum-windows": lambda: nn.Pool1d("sum", 2),
    "pool-l2": lambda: nn.Pool1d("l2"),
    "pool-l2-windows": lambda: nn.Pool1d("l2", 2),
    "pool-weighted": lambda: nn.Pool1d("weighted"),
    "pool-weighted-windows": lambda: nn.Pool1d("weighted", 3, stride=1, padding=1),
    "pool-kmax": lambda: nn.Pool1d("kmax", k=2),
    "pool-kmax-flat": lambda: nn.Pool1d("kmax", k=2, flatten=True),
    "pool-kmax-windows": lambda: nn.Pool1d("kmax", 3, k=2),
    "pool-pyramid": lambda: nn.Pool1d("pyramid", levels=(1, 3)),
    "sequential": lambda: nn.Sequential(
        nn.Conv1d(3, 3, activation="tanh"), nn.Pool1d("mean", 2), nn.Dense(2)
    ),
    "parallel": lambda: nn.Parallel(nn.Conv1d(3, 3, activation="tanh"), nn.Conv1d(2, 2, padding="full")),
    "parallel-sum": lambda: nn.Parallel(nn.Dense(3), nn.Conv1d(3, 3, stride=2), join="sum"),
    "residual": lambda: nn.Residual(nn.Conv1d(C, 3, activation="tanh")),
    "residual-projected": lambda: nn.Residual(nn.Conv1d(C + 1, 3, activation="tanh")),
    "block": lambda: nn.DilatedBlock(C, n_repeats=2, activation="tanh"),
    "block-concat": lambda: nn.DilatedBlock(C, n_repeats=3, join="concat", activation="tanh"),
    "block-unshared": lambda: nn.DilatedBlock(3, n_repeats=2, shared=False, causal=True, activation="tanh"),
    "u-net": lambda: nn.Parallel(
        nn.Activation("identity"),
        nn.Sequential(
            nn.Conv1d(5, 3, stride=2, activation="tanh"),
            nn.ConvTranspose1d(3, 2, stride=2, activation="tanh"),
        ),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_gradients(name):
    rng = np.random.default_rng(3)
    layer = double(LAYERS[name]().build(C, random_state=1))
    x = texts(rng)
    out = layer.forward(x, train=True)
    assert out.rows.shape[1] == layer.out_channels
    direction = rng.normal(size=out.rows.shape)
    d_x = layer.backward(direction)

    def loss_of_input(rows):
        return np.vdot(layer.forward(nn.Packed(rows, x.offsets)).rows, direction)

    assert_gradient(d_x, loss_of_input, x.rows, step=1e-4)
    gradients = layer.all_gradients()
    assert gradients.keys() == layer.parameters().keys()
    for key, array in layer.parameters().items():
        kept = array.copy()

        def loss_of_parameter(value, array=array):
            array[...] = value
            return np.vdot(layer.forward(x).rows, direction)

        assert_gradient(gradients[key], loss_of_parameter, kept, step=1e-4)
        array[...] = kept


@pytest.mark.parametrize("name", LAYERS)
def test_config_makes_the_layer_again(name):
    layer = LAYERS[name]().build(C, random_state=1)
    again = from_config(json.loads(json.dumps(layer.config()))).build(C, random_state=1)
    x = texts(np.random.default_rng(0))
    x = nn.Packed(x.rows.astype(np.float32), x.offsets)
    assert_same_bits(again.forward(x).rows, layer.forward(x).rows)
    assert repr(again) == repr(layer)


@pytest.mark.parametrize("name", LAYERS)
def test_copies_and_threads_give_the_same_bits(name):
    layer = LAYERS[name]().build(C, random_state=1)
    x = texts(np.random.default_rng(0))
    x = nn.Packed(x.rows.astype(np.float32), x.offsets)
    expected = layer.forward(x, n_jobs=1).rows
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert_same_bits(other.forward(x, n_jobs=3).rows, expected)


def test_embedding_looks_up_and_adds_up():
    layer = nn.Embedding(5, 2).build(0, random_state=0)
    x = nn.Packed(np.array([1, 3, 1], np.int32), np.array([0, 2, 3], np.intp))
    out = layer.forward(x, train=True)
    assert_same_bits(out.rows, layer.arrays["table"][[1, 3, 1]])
    layer.backward(np.array([[1, 2], [3, 4], [5, 6]], np.float32))
    expected = np.zeros((5, 2), np.float32)
    expected[1], expected[3] = [6, 8], [3, 4]
    assert_close(layer.gradients["table"], expected)


def test_embedding_refuses_ids_beyond_the_table():
    layer = nn.Embedding(5, 2).build(0)
    with pytest.raises(ValueError, match=r"ids run from 0 to 5, but the table has 5 rows"):
        layer.forward(nn.Packed(np.array([0, 5], np.int32), np.array([0, 2], np.intp)))


def test_shared_layer_counts_its_weights_once_and_adds_its_gradients():
    conv = nn.Conv1d(C, 3, activation="tanh")
    layer = double(nn.Sequential(conv, conv).build(C, random_state=0))
    assert list(layer.parameters()) == ["0.weights", "0.bias"]
    x = texts(np.random.default_rng(1))
    direction = np.ones((len(x.rows), C))
    layer.forward(x, train=True)
    layer.backward(direction)
    kept = conv.arrays["weights"].copy()

    def loss(value):
        conv.arrays["weights"][...] = value
        return np.vdot(layer.forward(x).rows, direction)

    assert_gradient(layer.all_gradients()["0.weights"], loss, kept, step=1e-4)


def test_dropout_drops_in_training_alone_and_never_twice_alike():
    layer = nn.Dropout(0.5).build(C, random_state=0)
    x = nn.Packed(np.ones((1000, C), np.float32), np.array([0, 1000], np.intp))
    assert_same_bits(layer.forward(x).rows, x.rows)
    first, second = layer.forward(x, train=True).rows, layer.forward(x, train=True).rows
    assert set(np.unique(first)) == {0.0, 2.0}
    assert 0.4 < np.mean(first == 0) < 0.6
    assert (first != second).any()
    assert_same_bits(layer.backward(x.rows), second)
    assert_same_bits(layer.backward(x.rows), first)


def test_causal_block_sees_no_later_row():
    layer = nn.DilatedBlock(C, causal=True, n_repeats=2).build(C, random_state=0)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(12, C)).astype(np.float32)
    offsets = np.array([0, 12], np.intp)
    changed = rows.copy()
    changed[6:] += 1
    before = layer.forward(nn.Packed(rows, offsets)).rows
    after = layer.forward(nn.Packed(changed, offsets)).rows
    assert_same_bits(after[:6], before[:6])
    assert (after[6:] != before[6:]).any()


def test_summary_gives_the_receptive_field_of_the_tagger():
    layer = nn.Sequential(nn.Conv1d(C, 3), nn.DilatedBlock(C)).build(C, random_state=0)
    lines = layer.summary(length=40).splitlines()
    assert lines[3].split()[-1] == "35"  # 1 + 2 (1 + 4 (1 + 1 + 2))
    assert lines[-1].split() == ["total", str(4 * (3 * C * C + C))]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Activation("swish"), "the activation is 'swish'"),
        (lambda: nn.Dropout(1), "dropout rate is 1"),
        (lambda: nn.Pool1d("pyramid", 2), "a pyramid pools whole texts"),
        (lambda: nn.Parallel(), "needs at least one"),
        (lambda: nn.Parallel(nn.Dense(2), nn.Dense(3), join="sum").build(C), r"\[2, 3\] channels"),
        (lambda: nn.DilatedBlock(C + 1).build(C), "repeats that share weights need n_filters"),
        (lambda: nn.Conv1d(2, 3, groups=3).build(C), "groups is 3"),
        (lambda: nn.Dense(2).build(C).build(C + 1), "built for 4 channels, but gets 5"),
        (lambda: nn.Dense(2).summary(), "call build"),
        (lambda: nn.Dense(2).build(C).backward(np.ones((1, 2))), "forward pass with train=True"),
        (lambda: from_config({"kind": "os.system"}), "found a layer of the kind 'os.system'"),
        (lambda: from_config({"kind": "Dense", "colour": 1}), "the arguments of a Dense do not fit"),
    ],
)
def test_wrong_use_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
