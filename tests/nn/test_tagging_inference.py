"""Scores of a fitted tagger: equal to the plain network, in parts of long sentences, in bounded memory."""

import threading
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from checks import assert_same_bits
from numpy.testing import assert_allclose
from taggers import (
    LAYOUT,
    N_HASHED_ROWS,
    N_WORDS,
    plain_emissions,
    random_batch,
    random_network,
)

from textcnn.nn import tagging_inference
from textcnn.nn.tagging_inference import TaggingInference
from textcnn.nn.window_linear import WindowLinear

DILATIONS = [(1, 1, 2), (1, 2, 4), (3,), ()]


def linear_of(batch, seed=0):
    linear = WindowLinear.initialized(batch, N_WORDS, N_HASHED_ROWS, LAYOUT.n_tags, "crf")
    rng = np.random.default_rng(seed)
    for array in linear.arrays.values():
        array[...] = rng.normal(size=array.shape)
    return linear


def emissions_of(inference, batch, n_threads=1):
    return inference.emissions(batch.types, batch.offsets, batch.features, n_threads)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"join": "last"},
        {"join": "every"},
        {"share_weights": False},
        {"dilations": ()},
        {"dilations": (), "join": "every"},
        {"n_char_filters": 0},
        {"n_attributes": 0},
        {"n_char_filters": 0, "n_attributes": 0},
        {"word_dim": 0},
        {"n_channels": 37, "n_tags": 11},
    ],
    ids=str,
)
def test_emissions_equal_the_plain_network(changed):
    layout = replace(LAYOUT, **changed)
    network, batch = random_network(layout, np.float32), random_batch(layout, (9, 1, 0, 30))
    expected = plain_emissions(network, batch.types, batch.offsets, batch.features)
    actual = emissions_of(TaggingInference(network, None, 0.0), batch)
    assert actual.dtype == np.float32
    assert_allclose(actual, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("changed", [{}, {"join": "last"}, {"join": "every"}, {"dilations": ()}], ids=str)
def test_outputs_are_what_the_output_layer_scores(monkeypatch, changed):
    monkeypatch.setattr(tagging_inference, "LONGEST_PART", 16)
    layout = replace(LAYOUT, **changed)
    network, batch = random_network(layout, np.float32), random_batch(layout, (9, 1, 0, 70))
    inference = TaggingInference(network, linear_of(batch), 0.4)
    features = inference.outputs(batch.types, batch.offsets, batch.features, 1)
    assert features.shape == (80, layout.n_joined)
    logits = features @ network.arrays["weights"].T + network.arrays["bias"]
    plain = emissions_of(TaggingInference(network, None, 0.0), batch)
    assert_allclose(logits, plain, rtol=1e-4, atol=1e-4)
    assert_same_bits(inference.outputs(batch.types, batch.offsets, batch.features, 3), features)


def test_the_linear_part_has_its_share():
    batch = random_batch(LAYOUT, (9, 1, 0, 30))
    network, linear = random_network(LAYOUT, np.float32), linear_of(batch)
    alone = emissions_of(TaggingInference(network, None, 0.4), batch)
    assert_same_bits(alone, emissions_of(TaggingInference(network, None, 0.0), batch))
    inference = TaggingInference(network, linear, 0.25)
    of_linear = linear.emissions(batch.types, batch.offsets, batch.features, 1)
    assert_allclose(emissions_of(inference, batch), 0.75 * alone + 0.25 * of_linear, rtol=1e-5, atol=1e-5)
    for name in ("transitions", "start", "stop"):
        expected = 0.75 * network.arrays[name] + 0.25 * linear.arrays[name]
        assert_allclose(inference.chain(name), expected, rtol=1e-6)


def test_sentences_alone_or_in_a_permuted_batch_have_the_same_bits():
    lengths = [5, 0, 1, 300, 17, 2]
    batch = random_batch(LAYOUT, lengths)
    inference = TaggingInference(random_network(LAYOUT, np.float32), linear_of(batch), 0.5)
    expected = emissions_of(inference, batch)
    for order in (range(5, -1, -1), [3], [1], [2, 4]):
        taken = batch.take(np.array(order))
        rows = np.concatenate([np.arange(batch.offsets[i], batch.offsets[i + 1]) for i in order])
        assert_same_bits(emissions_of(inference, taken), expected[rows])


def test_any_number_of_threads_gives_the_same_bits():
    layout = replace(LAYOUT, n_channels=40)
    batch = random_batch(layout, [200] * 10)
    inference = TaggingInference(random_network(layout, np.float32), linear_of(batch), 0.5)
    for n_threads in (2, 3):
        assert_same_bits(emissions_of(inference, batch, n_threads), emissions_of(inference, batch))


def test_several_threads_may_share_it():
    layout = replace(LAYOUT, n_channels=20)
    batch = random_batch(layout, [50] * 20)
    inference = TaggingInference(random_network(layout, np.float32), linear_of(batch), 0.5)
    expected, results = emissions_of(inference, batch), [None] * 6

    def score(i):
        results[i] = [emissions_of(inference, batch) for _ in range(5)]

    threads = [threading.Thread(target=score, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        for emissions in result:
            assert_same_bits(emissions, expected)


# Long sentences


@pytest.mark.parametrize("dilations", DILATIONS, ids=str)
@pytest.mark.parametrize("join", ["concat", "last"])
@pytest.mark.parametrize("longest", [1, 64, 100])
def test_a_long_sentence_in_parts_has_the_bits_of_the_whole(monkeypatch, dilations, join, longest):
    layout = replace(LAYOUT, dilations=dilations, n_channels=8, n_iterations=4, join=join)
    batch = random_batch(layout, [3, 10_000 if longest > 1 else 500, 70, 65, 64, 63, 0], n_types=50)
    inference = TaggingInference(random_network(layout, np.float32), linear_of(batch), 0.5)
    monkeypatch.setattr(tagging_inference, "LONGEST_PART", 20_000)
    monkeypatch.setattr(tagging_inference, "TOKENS_PER_GROUP", 40_000)
    whole = emissions_of(inference, batch)
    monkeypatch.setattr(tagging_inference, "LONGEST_PART", longest)
    monkeypatch.setattr(tagging_inference, "TOKENS_PER_GROUP", 300)
    assert_same_bits(emissions_of(inference, batch), whole)


@pytest.mark.parametrize("dilations", [*DILATIONS, (2, 3), (7,)], ids=str)
def test_parts_cover_a_sentence_and_begin_with_its_tiles(monkeypatch, dilations):
    monkeypatch.setattr(tagging_inference, "LONGEST_PART", 50)
    layout = replace(LAYOUT, dilations=dilations)
    inference = TaggingInference(random_network(layout, np.float32), None, 0.0)
    for length in (1, 49, 50, 51, 1000):
        parts = list(inference._parts(7, 7 + length))
        kept = [token for _, _, first, last in parts for token in range(first, last)]
        assert kept == list(range(7, 7 + length))
        for begin, end, first, last in parts:
            assert all((begin - 7) % (4 * dilation) == 0 for dilation in dilations)
            assert begin == 7 or first - begin >= layout.halo
            assert end == 7 + length or end - last >= layout.halo


def test_groups_hold_every_token_once_and_are_bounded():
    inference = TaggingInference(random_network(LAYOUT, np.float32), None, 0.0)
    offsets = np.concatenate([[0], np.cumsum([0, 30_000, 5, 0, 9000, 1, 0])])
    groups = list(inference._groups(offsets))
    kept = [token for parts in groups for _, _, first, last in parts for token in range(first, last)]
    assert kept == list(range(offsets[-1]))
    largest = max(sum(end - begin for begin, end, _, _ in parts) for parts in groups)
    longest = tagging_inference.LONGEST_PART + 2 * LAYOUT.halo + 2 * 4 * 4
    assert largest <= tagging_inference.TOKENS_PER_GROUP + longest
    assert list(inference._groups(np.array([0]))) == []


def test_memory_does_not_grow_with_channels_times_tokens():
    layout = replace(LAYOUT, n_channels=64, n_iterations=4)
    network = random_network(layout, np.float32)
    batch = random_batch(layout, [200_000], n_types=50)
    inference = TaggingInference(network, linear_of(batch), 0.5)

    def peak(n_tokens):
        types, offsets = batch.types[:n_tokens], np.array([0, n_tokens])
        tracemalloc.start()
        try:
            emissions = inference.emissions(types, offsets, batch.features, 1)
            return tracemalloc.get_traced_memory()[1] - emissions.nbytes
        finally:
            tracemalloc.stop()

    short, long = peak(50_000), peak(200_000)
    # One channel of one level would be 800,000 bytes more.
    assert long - short < 600_000
