"""The sentence network around layers: gradients, and what it refuses."""

import copy

import numpy as np
import pytest
from checks import assert_gradient, assert_same_bits

from textcnn import nn
from textcnn.nn.layer_cnn import LayerCNN
from textcnn.nn.losses import softmax_cross_entropy

IDS = np.array([1, 4, 2, 0, 3, 3, 1], np.int32)
OFFSETS = np.array([0, 2, 2, 7], np.intp)


def network(body, n_frozen=0):
    rng = np.random.RandomState(0)
    return LayerCNN.initialized(rng, rng.normal(size=(5, 4)).astype(np.float32), body, 3, n_frozen)


def in_double(net):
    for layer in net.body.layers().values():
        layer.arrays = {name: array.astype(np.float64) for name, array in layer.arrays.items()}
    for name in ("embedding", "weights", "bias"):
        setattr(net, name, getattr(net, name).astype(np.float64))
    return net


def loss_and_gradients(net):
    weight = np.array([1.0, 2.0, 0.5], net.weights.dtype)
    targets = np.array([0, 2, 1], np.intp)
    return net.loss_and_gradients(IDS, OFFSETS, targets, weight, 0.3, 7, 1, 1, softmax_cross_entropy)


def body():
    return nn.Sequential(nn.Conv1d(5, 3, activation="tanh"), nn.Pool1d("mean"))


@pytest.mark.parametrize("n_frozen", [0, 2])
def test_gradient_of_every_parameter(n_frozen):
    net = in_double(network(body(), n_frozen))
    gradients = {name: copy.copy(g) for name, g in loss_and_gradients(net)[1].items()}
    kept = {name: g.value.copy() for name, g in gradients.items()}
    assert kept.keys() == net.parameters().keys()
    for name, array in net.parameters().items():
        rows = gradients[name].rows
        rows = np.arange(len(array)) if rows is None else rows
        before = array.copy()

        def loss(value, array=array, rows=rows, before=before):
            array[...] = before
            array[rows] = value
            return loss_and_gradients(net)[0]

        assert_gradient(kept[name], loss, before[rows], step=1e-4)
        array[...] = before


def test_frozen_embedding_has_no_gradient():
    gradients = loss_and_gradients(network(body(), n_frozen=4))[1]
    assert "embedding" not in gradients
    assert "body.0.weights" in gradients


def test_weights_are_penalised_and_biases_are_not():
    assert network(body()).PENALIZED == ("weights", "body.0.weights")


def test_restored_arrays_are_the_old_ones():
    net = network(body())
    before, arrays = net.logits(IDS, OFFSETS, 1).copy(), net.copy_arrays()
    for array in net.arrays().values():
        array += 1
    assert (net.logits(IDS, OFFSETS, 1) != before).any()
    net.restore_arrays(arrays)
    assert_same_bits(net.logits(IDS, OFFSETS, 1).copy(), before)


def test_copy_does_not_share():
    net = network(body())
    other = net.copy()
    other.body.layers()["0"].arrays["weights"][...] = 0
    assert net.body.layers()["0"].arrays["weights"].any()


def test_body_with_a_row_for_each_token_is_refused():
    net = network(nn.Conv1d(5, 3))
    with pytest.raises(ValueError, match="end it with a Pool1d over whole texts"):
        net.logits(IDS, OFFSETS, 1)


def test_not_finite_is_seen():
    net = network(body())
    assert net.is_finite()
    net.body.layers()["0"].arrays["bias"][0] = np.nan
    assert not net.is_finite()
