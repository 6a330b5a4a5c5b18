"""Windows of texts by place: sums, and those most in favour first."""

import pickle

import numpy as np
import pytest
from checks import THREADS, assert_same_bits, read_only
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import generators

from textcnn import _reference as reference
from textcnn._kernels import _explanations

NO_WINDOW = reference.NO_WINDOW


def rank_places(**arguments):
    return [ranked.arrays() for ranked in _explanations.rank_places(**arguments)]


def windows(n_texts, n_features, n_others, n_outputs, rng, n_tokens=4, with_directions=True):
    """Arguments of `rank_places`; all are small whole numbers: sums are exact, and many of them equal."""
    argmax = rng.integers(-1, n_tokens, (n_texts, n_features)).astype(np.int32)
    argmax[rng.random(argmax.shape) < 0.2] = NO_WINDOW
    starts = rng.integers(0, n_tokens, n_others)
    return {
        "offsets": np.append(0, np.cumsum(rng.integers(0, n_tokens + 1, n_texts))),
        "pooled": rng.integers(-2, 3, (n_texts, n_features)).astype(np.float32),
        "argmax": argmax,
        "widths": rng.integers(1, 4, n_features).astype(np.int32),
        "weights": rng.integers(-2, 3, (n_outputs, n_features)).astype(np.float32),
        "texts": rng.integers(0, max(1, n_texts), n_others),
        "starts": starts,
        "ends": starts + rng.integers(0, 3, n_others),
        "shares": rng.integers(-2, 3, (n_others, n_outputs)).astype(np.float64),
        "n_network": int(rng.integers(0, n_others + 1)),
        "share": 0.25,
        "scale": 2.0 ** rng.integers(-2, 3, n_outputs),
        "directions": rng.integers(-1, 2, (n_texts, n_outputs)).astype(float) if with_directions else None,
    }


def assert_equal_results(actual, expected):
    assert len(actual) == len(expected)
    for (places, sums), (wanted_places, wanted_sums) in zip(actual, expected, strict=True):
        assert (places.dtype, sums.dtype) == (np.intp, np.float64)
        assert_array_equal(places, wanted_places)
        assert_array_equal(sums, wanted_sums)


@given(
    n_texts=st.integers(1, 5),
    n_features=st.integers(0, 12),
    n_others=st.integers(0, 60),
    n_outputs=st.integers(1, 4),
    rng=generators(),
    with_directions=st.booleans(),
)
def test_places_equal_the_reference(n_texts, n_features, n_others, n_outputs, rng, with_directions):
    arguments = windows(n_texts, n_features, n_others, n_outputs, rng, with_directions=with_directions)
    assert_equal_results(rank_places(**arguments), reference.rank_places(**arguments))


def test_sums_of_numbers_that_are_rounded():
    rng = np.random.default_rng(0)
    arguments = windows(3, 40, 500, 3, rng) | {"shares": rng.normal(size=(500, 3)), "share": 0.3}
    arguments |= {"directions": rng.normal(size=(3, 3)), "scale": rng.normal(size=3)}
    arguments["pooled"] = rng.normal(size=(3, 40)).astype(np.float32)
    for found, expected in zip(rank_places(**arguments), reference.rank_places(**arguments), strict=True):
        assert_array_equal(found[0], expected[0])
        assert_allclose(found[1], expected[1], rtol=1e-12, atol=1e-12)


def test_no_texts_and_texts_without_windows():
    rng = np.random.default_rng(0)
    assert rank_places(**windows(0, 3, 0, 2, rng)) == []
    results = rank_places(**windows(2, 0, 0, 3, rng))
    assert [(places.shape, sums.shape) for places, sums in results] == [((0, 2), (0, 2, 3))] * 2


@pytest.mark.parametrize("with_directions", [False, True])
def test_places_are_the_same_bits_for_any_number_of_threads(with_directions):
    rng = np.random.default_rng(1)
    arguments = windows(50, 200, 60_000, 3, rng, n_tokens=300, with_directions=with_directions)
    arguments["shares"] = rng.normal(size=(60_000, 3))
    expected = rank_places(**arguments)
    for n_threads in [*THREADS, 16]:
        for found, wanted in zip(rank_places(**arguments, n_threads=n_threads), expected, strict=True):
            assert_same_bits(found[0], wanted[0])
            assert_same_bits(found[1], wanted[1])


def test_ranked_places_give_arrays_of_their_own_and_are_no_pickle():
    first, _ = _explanations.rank_places(**windows(2, 9, 50, 2, np.random.default_rng(2)))
    places, sums = first.arrays()
    assert len(first) == len(places) == len(sums) > 3
    sums[:] = np.nan
    assert np.isfinite(first.arrays()[1]).all()
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(first)


def test_not_a_number_comes_last_and_the_largest_numbers_are_ordered():
    shares = np.array([np.nan, 1, np.inf, -np.inf, np.nan, 1e308, -1e308, 0, np.nan])[:, np.newaxis]
    arguments = windows(1, 0, 9, 1, np.random.default_rng(0)) | {
        "starts": np.arange(9),
        "ends": np.arange(9) + 1,
        "shares": shares,
        "n_network": 9,
        "share": 0.0,
        "directions": np.ones((1, 1)),
    }
    ((places, _),) = rank_places(**arguments)
    assert places[:, 0].tolist() == [2, 5, 1, 7, 6, 0, 3, 4, 8]


def test_places_far_apart():
    far = np.iinfo(np.intp).max
    starts = np.array([0, far - 1, far // 2, 0, far - 1])
    arguments = windows(1, 3, 5, 2, np.random.default_rng(3)) | {"starts": starts, "ends": starts + 1}
    assert_equal_results(rank_places(**arguments), reference.rank_places(**arguments))


def test_arguments_may_be_read_only():
    arguments = windows(3, 4, 20, 2, np.random.default_rng(4))
    fixed = {k: read_only(v) if isinstance(v, np.ndarray) else v for k, v in arguments.items()}
    assert_equal_results(rank_places(**fixed), rank_places(**arguments))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"offsets": np.array([0, 2])}, "as many offsets, places, widths and weights"),
        ({"offsets": np.array([0, 2, 1])}, "offsets of texts fall"),
        ({"argmax": np.zeros((1, 4), np.int32)}, "as many offsets, places, widths and weights"),
        ({"argmax": np.zeros((2, 3), np.int32)}, "as many offsets, places, widths and weights"),
        ({"widths": np.ones(3, np.int32)}, "as many offsets, places, widths and weights"),
        ({"weights": np.ones((2, 3), np.float32)}, "as many offsets, places, widths and weights"),
        ({"texts": np.array([0, 1])}, "as many texts, starts, ends and shares"),
        ({"starts": np.array([0, 1])}, "as many texts, starts, ends and shares"),
        ({"ends": np.array([0, 1])}, "as many texts, starts, ends and shares"),
        ({"shares": np.zeros((2, 2))}, "as many texts, starts, ends and shares"),
        ({"n_network": 4}, "as many texts, starts, ends and shares"),
        ({"n_network": -1}, "as many texts, starts, ends and shares"),
        ({"shares": np.zeros((3, 1))}, "as many shares and scales"),
        ({"scale": np.ones(3)}, "as many shares and scales"),
        (
            {"weights": np.ones((0, 4), np.float32), "shares": np.zeros((3, 0)), "scale": np.ones(0)},
            "at least",
        ),
        ({"directions": np.ones((2, 1))}, "directions of the shape"),
        ({"directions": np.ones((3, 2))}, "directions of the shape"),
        ({"texts": np.array([0, 2, 1])}, "window 1 is of text 2, but there are 2 texts"),
        ({"texts": np.array([0, 1, -1])}, "window 2 is of text -1, but there are 2 texts"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(changed, message):
    good = windows(2, 4, 3, 2, np.random.default_rng(5))
    rank_places(**good)
    with pytest.raises(ValueError, match=message):
        rank_places(**good | changed)
