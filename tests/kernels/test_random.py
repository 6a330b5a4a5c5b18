"""Random numbers: the published words of Philox, and dropout masks that depend on nothing but their place."""

import numpy as np
import pytest
from checks import THREADS, assert_same_bits, both_dtypes, garbage
from hypothesis import given
from hypothesis import strategies as st

from textcnn import _reference as reference
from textcnn._kernels import _random

words32 = st.integers(0, 2**32 - 1)


def philox(counter, key):
    words = _random.philox4x32(np.array(counter, np.uint32), np.array(key, np.uint32))
    return tuple(int(word) for word in words)


def dropout_mask(seed, step, rate, shape, dtype, n_threads=1):
    out = garbage(shape, dtype)
    _random.dropout_mask(seed, step, rate, out, n_threads)
    return out


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [  # kat_vectors of Random123
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_words(counter, key, words):
    assert philox(counter, key) == words


@given(counter=st.tuples(*[words32] * 4), key=st.tuples(*[words32] * 2))
def test_philox_equals_the_reference(counter, key):
    assert philox(counter, key) == tuple(reference.philox4x32(counter, key))


@both_dtypes
@given(
    seed=st.integers(0, 2**64 - 1),
    step=st.integers(0, 2**64 - 1),
    rate=st.floats(0, 0.999),
    n=st.integers(0, 6),
    c=st.integers(0, 21),
)
def test_dropout_mask_equals_the_reference_to_the_bit(dtype, seed, step, rate, n, c):
    mask = dropout_mask(seed, step, rate, (n, c), dtype)
    assert_same_bits(mask, reference.dropout_mask(seed, step, rate, (n, c), dtype))


@both_dtypes
@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
def test_dropout_keeps_the_share_it_should(dtype, rate):
    mask = dropout_mask(3, 14, rate, (300, 100), dtype)
    assert set(np.unique(mask)) == {0, np.dtype(dtype).type(1 / (1 - rate))}
    # Five standard errors of a share of 30,000.
    assert abs((mask == 0).mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / 30000)


@both_dtypes
def test_rate_zero_keeps_everything(dtype):
    assert_same_bits(dropout_mask(1, 2, 0.0, (7, 9), dtype), np.ones((7, 9), dtype))


@both_dtypes
def test_an_element_depends_on_its_place_alone(dtype):
    whole = dropout_mask(5, 6, 0.5, (20, 30), dtype)
    for n, c in [(1, 30), (20, 1), (7, 13), (20, 29)]:
        part = np.ascontiguousarray(whole[:n, :c])
        assert_same_bits(dropout_mask(5, 6, 0.5, (n, c), dtype), part)


@both_dtypes
def test_seed_and_step_change_the_mask_in_all_their_bits(dtype):
    seen = {
        dropout_mask(seed, step, 0.5, (9, 11), dtype).tobytes()
        for seed, step in [(0, 0), (1, 0), (2**32, 0), (2**63, 0), (0, 1), (0, 2**32), (0, 2**63)]
    }
    assert len(seen) == 7


@both_dtypes
def test_bits_do_not_depend_on_threads(dtype):
    shape = 2501, 170  # enough work for a team of threads
    one = dropout_mask(8, 9, 0.3, shape, dtype, n_threads=1)
    for n_threads in (*THREADS[1:], 16):
        assert_same_bits(dropout_mask(8, 9, 0.3, shape, dtype, n_threads=n_threads), one)


@both_dtypes
@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, np.inf, np.nan])
def test_rate_outside_its_range_is_refused(dtype, rate):
    with pytest.raises(ValueError, match=r"."):
        dropout_mask(0, 0, rate, (2, 3), dtype)


@both_dtypes
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_sizes_of_zero(dtype, shape):
    assert dropout_mask(0, 0, 0.5, shape, dtype, n_threads=2).shape == shape


@pytest.mark.parametrize(("n_counter", "n_key"), [(3, 2), (5, 2), (4, 1), (4, 3), (0, 0)])
def test_wrong_number_of_words_is_refused(n_counter, n_key):
    with pytest.raises(ValueError, match=r"."):
        _random.philox4x32(np.zeros(n_counter, np.uint32), np.zeros(n_key, np.uint32))
