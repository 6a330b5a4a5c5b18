"""The trainable layers: gradients, names, sharing, files."""

import copy
import json
import pickle

import numpy as np
import pytest
from checks import assert_close, assert_gradient, assert_same_bits

from textcnn import nn, ops
from textcnn.nn.body_limits import body_of
from textcnn.nn.modules import (
    MOST_LAYERS,
    ONE_ROW,
    dropout_states,
    from_config,
    set_dropout_states,
)

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
    "min-length": lambda: nn.MinLength(5),
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


def shared():
    """A network in which a convolution stands four times, and a block of two twice."""
    conv = nn.Conv1d(C, 3, activation="tanh")
    block = nn.Sequential(conv, nn.Dense(C, "tanh"))
    return nn.Sequential(conv, nn.Parallel(block, conv), nn.Dense(C), block, nn.Residual(conv), nn.Dense(C))


def test_shared_layers_stay_shared_in_a_config():
    layer = shared().build(C, random_state=0)
    again = from_config(json.loads(json.dumps(layer.config())))
    again.make(C, None)
    assert again.parameters().keys() == layer.parameters().keys()
    again.set_parameters(layer.parameters())
    x = texts(np.random.default_rng(0))
    x = nn.Packed(x.rows.astype(np.float32), x.offsets)
    assert_same_bits(again.forward(x).rows, layer.forward(x).rows)
    assert again.layer_list[0] is again.layer_list[1].layer_list[1]
    assert again.layer_list[3] is again.layer_list[1].layer_list[0]


@pytest.mark.parametrize("number", [1, -1, "0", None, True])
def test_a_layer_that_stands_nowhere_before_cannot_stand_there_again(number):
    config = nn.Sequential(nn.Dense(C), nn.Dense(C)).config()
    config["layers"][1] = {"kind": "Again", "number": number}
    with pytest.raises(ValueError, match="stands there again, but there are 1 before it"):
        from_config(config)


def test_a_file_cannot_ask_for_endless_work():
    body = nn.Activation()
    for _ in range(60):  # 2^60 steps in a few lines
        body = nn.Sequential(body, body)
    with pytest.raises(ValueError, match=f"found more than {MOST_LAYERS} layers"):
        body_of(json.loads(json.dumps(body.config())))


def test_layers_of_a_file_are_counted_as_often_as_they_are_applied():
    conv = nn.Activation()
    block = nn.Sequential(conv, conv, nn.DilatedBlock(C, dilations=[1, 2], n_repeats=2))  # 3 + 7
    tenfold = nn.Sequential(*[block] * 9, nn.Residual(conv))  # 1 + 9 * 10 + 2
    layers = [tenfold] * 53 + [nn.Activation()] * 70  # 4999
    most = nn.Sequential(*layers).config()
    assert MOST_LAYERS == 5000
    assert json.dumps(body_of(most).config()) == json.dumps(most)
    with pytest.raises(ValueError, match="found more than 5000 layers"):
        body_of(nn.Sequential(*layers, nn.Activation()).config())


def test_repr_makes_the_layer_again():
    names = {name: getattr(nn, name) for name in nn.__all__}
    joined = nn.Parallel(nn.Dense(2), join="sum")
    for layer in (nn.Residual(nn.Dense(3)), joined, nn.DilatedBlock(C), shared()):
        before = repr(layer)
        assert repr(eval(before, names)) == before
        assert repr(layer.build(C)) == before


class Forgetful(nn.Activation):
    """It does not keep its argument."""

    def __init__(self, secret=1):
        super().__init__("tanh")


def test_a_layer_must_keep_its_arguments():
    assert repr(Forgetful()) == "Forgetful()"
    with pytest.raises(TypeError, match="a Forgetful does not keep its argument secret"):
        nn.Sequential(Forgetful()).config()


def test_dropout_goes_on_where_it_was():
    x = nn.Packed(np.ones((20, C), np.float32), np.array([0, 20], np.intp))
    layer = nn.Sequential(nn.Dropout(0.5), nn.Dense(2), nn.Dropout(0.2)).build(C, random_state=0)
    layer.forward(x, train=True)
    again = from_config(layer.config())
    again.make(C, None)
    again.set_parameters(layer.parameters())
    set_dropout_states(again, json.loads(json.dumps(dropout_states(layer))))
    assert_same_bits(again.forward(x, train=True).rows, layer.forward(x, train=True).rows)
    for wrong in ([], [[1, 2]], [[1, 2], [1]], [[1, 2], [1, -1]], [[1, 2], [1, 2**62]], [[1, 2], [1.0, 2]]):
        with pytest.raises(ValueError, match=r"states, not|must be a seed and a number of steps"):
            set_dropout_states(again, wrong)


# Layers that make much out of five rows of four channels.
GREEDY = {
    "stride on stride": lambda: nn.Sequential(*(nn.ConvTranspose1d(2, 1, stride=1000) for _ in range(4))),
    "two and two": lambda: nn.Sequential(*(nn.ConvTranspose1d(2, 1, stride=2) for _ in range(60))),
    "dilation": lambda: nn.ConvTranspose1d(2, 10**4, dilation=10**5),
    "full": lambda: nn.Conv1d(2, 1000, dilation=10**5, padding="full"),
    "padding": lambda: nn.Sequential(nn.Conv1d(2, 1, padding=10**4), nn.Conv1d(2000, 1)),
    "rows": lambda: nn.Sequential(nn.MinLength(10**4), nn.Dense(10**4)),
    "k": lambda: nn.Sequential(nn.Dense(500), nn.Pool1d("kmax", k=10**5)),
    "k of windows": lambda: nn.Sequential(nn.MinLength(10**4), nn.Pool1d("kmax", 2, 1, k=10**4)),
    "levels": lambda: nn.Sequential(nn.Dense(100), nn.Pool1d("pyramid", levels=(10**5,) * 10)),
    "repeats": lambda: nn.Sequential(nn.MinLength(10**4), nn.DilatedBlock(C, n_repeats=900, join="concat")),
    "side by side": lambda: nn.Sequential(
        nn.MinLength(10**4), nn.Parallel(*(nn.Activation() for _ in range(600)))
    ),
}


@pytest.mark.parametrize("name", GREEDY)
def test_layers_do_not_ask_for_gigabytes(name):
    layer = GREEDY[name]().build(C, random_state=0)
    x = nn.Packed(np.ones((5, C), np.float32), np.array([0, 5], np.intp))
    for _ in range(2):  # the second call has the limits of the first
        with pytest.raises(ValueError, match=r"makes \d+ numbers of this batch, more than the"):
            layer.forward(x)
    assert nn.Dense(2).build(C).forward(x).rows.shape == (5, 2)


def test_weights_of_groups_are_drawn_as_the_initializer_draws_them():
    conv = nn.Conv1d(8, 3, groups=4).build(C, random_state=0)
    expected = ops.initializers.glorot_uniform((3, 1, 8), groups=4, random_state=np.random.RandomState(0))
    assert_same_bits(conv.arrays["weights"], expected)


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


def smooth(*arguments, **options):
    return nn.Conv1d(2, *arguments, activation="tanh", **options)


def lengthen(*arguments, **options):
    return nn.ConvTranspose1d(2, *arguments, activation="tanh", **options)


FIELDS = {
    "conv": lambda: smooth(3),
    "even": lambda: smooth(4, dilation=2),
    "strides": lambda: nn.Sequential(smooth(3, stride=2), smooth(3)),
    "pool": lambda: nn.Sequential(nn.Pool1d("mean", 3, 2, padding=1), smooth(3, dilation=2)),
    "transposed": lambda: lengthen(4, stride=3, padding=1),
    "transposed-dilated": lambda: lengthen(3, stride=2, dilation=3),
    "down-and-up": lambda: nn.Sequential(smooth(3, stride=2), lengthen(4, stride=2), smooth(3)),
    "u-net": lambda: nn.Sequential(
        smooth(3),
        nn.Parallel(
            nn.Activation("identity"),
            nn.Sequential(nn.Pool1d("mean", 2, padding=(0, 1)), smooth(3), lengthen(2, stride=2)),
        ),
        smooth(3),
    ),
    "past-and-future": lambda: nn.Parallel(smooth(3, padding=(2, 0)), smooth(3, padding=(0, 2))),
    "far-past": lambda: nn.Parallel(nn.Activation("identity"), smooth(3, padding=(10, 0))),
    "full": lambda: nn.Residual(nn.Sequential(smooth(3, padding="full"), smooth(3, padding="full"))),
    "reflect": lambda: smooth(5, padding_mode="reflect"),
    "causal": lambda: nn.DilatedBlock(C, 3, (1, 2, 4), 1, causal=True, activation="tanh"),
    "block": lambda: nn.DilatedBlock(C, n_repeats=2, activation="tanh"),
    "circular": lambda: smooth(3, padding_mode="circular"),
    "drifting": lambda: nn.Parallel(nn.Activation("identity"), smooth(3, stride=2)),
    "whole": lambda: nn.Sequential(nn.Pool1d("kmax"), smooth(1), smooth(3)),
}


@pytest.mark.parametrize("name", FIELDS)
def test_receptive_field_is_what_a_change_of_one_row_reaches(name):
    layer = double(FIELDS[name]().build(C, random_state=0))
    rng, n = np.random.default_rng(0), 41
    rows, offsets = rng.uniform(0.5, 1, (n, C)), np.array([0, n], np.intp)
    before = layer.forward(nn.Packed(rows, offsets)).rows
    sees = np.zeros((len(before), n), bool)
    for j in range(n):
        for _ in range(4):
            changed = rows.copy()
            changed[j] += rng.normal(0, 0.3, C)
            after = layer.forward(nn.Packed(changed, offsets)).rows
            sees[:, j] |= np.abs(after - before).max(axis=1) > 1e-10
    t, j = np.nonzero(sees)
    field = layer.field(ONE_ROW)
    widest = max(np.ptp(j[t == row]) + 1 for row in np.unique(t))
    if np.isinf(field.size):
        assert widest > 20
    else:
        assert widest == field.size
        assert (field.first + field.step * t <= j + 1e-9).all()
        assert (j <= field.last + field.step * t + 1e-9).all()
    last_line = layer.summary(n).splitlines()[-2]
    if not isinstance(layer, nn.Parallel):
        assert last_line.endswith("whole text" if np.isinf(field.size) else f" {field.size:g}")


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
        (lambda: nn.Conv1d(2, 10**6), "kernel_size is 1000000, but it must be at most 100000"),
        (lambda: nn.Conv1d(2, 3, stride=10**6), "stride is 1000000, but it must be at most"),
        (lambda: nn.Conv1d(2, 3, dilation=10**6), "dilation is 1000000, but it must be at most"),
        (lambda: nn.Conv1d(2, 3, padding=(0, 10_001)), "padding is 10001, but it must be at most 10000"),
        (lambda: nn.Conv1d(2, 3, padding="wide"), "padding is 'wide'"),
        (lambda: nn.Conv1d(2, 3, padding_mode="wrap"), "padding_mode is 'wrap'"),
        (lambda: nn.ConvTranspose1d(2, 3, output_padding=10**6), "output_padding is 1000000, but it must be"),
        (lambda: nn.Pool1d("max", 10**6), "kernel_size is 1000000, but it must be at most"),
        (lambda: nn.Pool1d("max", 0), "kernel_size is 0"),
        (lambda: nn.MinLength(10_001), "length is 10001, but it must be at most 10000"),
        (lambda: nn.DilatedBlock(2, dilations=[1] * 100, n_repeats=1000), "more than 5000 layers"),
        (lambda: nn.DilatedBlock(2, dilations=[1] * 4, n_repeats=1000), "more than 5000 layers"),
        (lambda: nn.Conv1d(10**9, 3).build(C), r"weights of shape \(3, 4, 1000000000\), more than"),
        (lambda: nn.LayerNorm(-1), "epsilon is -1"),
        (lambda: nn.LayerNorm(1e-50), "epsilon is 1e-50, but it must be from 1.18e-38"),
        (lambda: nn.LayerNorm(1e39), r"epsilon is 1e\+39, but it must be from 1.18e-38 to 3.4e\+38"),
        (lambda: nn.Dropout(float("nan")), "dropout rate is nan"),
        (lambda: from_config({"kind": "os.system"}), "found a layer of the kind 'os.system'"),
        (lambda: from_config({"kind": "Dense", "colour": 1}), "the arguments of a Dense do not fit"),
    ],
)
def test_wrong_use_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layer_normalisation_of_numbers_whose_squares_are_too_large(dtype):
    layer, large = nn.LayerNorm(), float(np.finfo(dtype).max)
    layer.build(2)
    numbers = [1.0, 1e10, large**0.6, large]
    rows = np.array([[v, -v] for v in numbers], dtype)
    out = layer.forward(nn.Packed(rows, np.array([0, len(rows)])), train=True)
    np.testing.assert_allclose(out.rows, np.sign(rows), rtol=1e-5)
    assert out.rows.dtype == dtype
    d_rows = layer.backward(np.ones_like(rows))
    assert np.isfinite(d_rows).all()


@pytest.mark.parametrize("wrong", [np.inf, np.nan])
def test_layer_normalisation_of_what_is_not_finite_is_not_finite(wrong):
    layer = nn.LayerNorm()
    layer.build(2)
    rows = np.array([[1, -1], [wrong, 0], [1e30, -1e30]], np.float32)
    out = layer.forward(nn.Packed(rows, np.array([0, 3]))).rows
    assert np.isfinite(out).all(axis=1).tolist() == [True, False, True]


@pytest.mark.parametrize("make", [nn.Sequential, nn.Parallel, nn.Residual])
def test_layers_of_layers_take_layers(make):
    with pytest.raises(TypeError, match="its arguments must be layers, such as"):
        make([nn.Dense(2)])
