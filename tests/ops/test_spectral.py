"""Convolution by the Fourier transform."""

from functools import partial

import numpy as np
import pytest
from checks import assert_adjoint, assert_close, assert_gradient, assert_same_bits, both_dtypes
from hypothesis import given
from hypothesis import strategies as st
from packed import (
    assert_same_alone,
    assert_same_on_any_number_of_threads,
    joined,
    packed_rows,
    random_rows,
    texts_of,
)

from textcnn._reference import windows as reference
from textcnn.ops import convolve1d, convolve1d_backward
from textcnn.ops.spectral import _fast_size, fft_convolve1d, fft_convolve1d_backward

paddings = (
    st.sampled_from(["valid", "same", "full"]) | st.integers(0, 9) | st.tuples(*[st.integers(0, 15)] * 2)
)


def weights_of(rng, kernel_size, channels, filters=3):
    return np.random.default_rng(rng).normal(size=(kernel_size, channels, filters))


@both_dtypes
@given(batch=packed_rows(), kernel_size=st.integers(1, 15))
def test_full_convolution_equals_the_reference(dtype, batch, kernel_size):
    rows, offsets = batch[0].astype(dtype), batch[1]
    weights = weights_of(kernel_size, kernel_size, rows.shape[1]).astype(dtype)
    out, _ = fft_convolve1d(rows, weights, padding="full", offsets=offsets)
    expected = [
        reference.convolve_full(text.astype(float), weights.astype(float)) for text in texts_of(rows, offsets)
    ]
    assert_close(out, joined(expected, 3, dtype), 1e-6 if dtype == np.float32 else 1e-12)


@given(batch=packed_rows(), kernel_size=st.integers(1, 7), padding=paddings)
def test_equals_the_direct_sum_for_every_padding(batch, kernel_size, padding):
    rows, offsets = batch
    weights = weights_of(kernel_size, kernel_size, rows.shape[1])
    out, out_offsets = fft_convolve1d(rows, weights, padding=padding, offsets=offsets)
    expected, expected_offsets = convolve1d(rows, weights, padding=padding, offsets=offsets)
    np.testing.assert_array_equal(out_offsets, expected_offsets)
    assert_close(out, expected, 1e-12)

    d_out = np.random.default_rng(0).normal(size=out.shape)
    gradients = fft_convolve1d_backward(d_out, rows, weights, padding=padding, offsets=offsets)
    direct = convolve1d_backward(d_out, rows, weights, padding=padding, offsets=offsets)
    for found, wanted in zip(gradients, direct, strict=False):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12 * max(1, np.abs(wanted).max(initial=0)))


@pytest.mark.parametrize("length", [1, 2, 5, 16, 31])
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 8, 40])
def test_equals_numpy_on_one_channel(length, kernel_size):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=length), rng.normal(size=kernel_size)
    out = fft_convolve1d(x.reshape(1, -1, 1), kernel.reshape(-1, 1, 1), padding="full")
    assert_close(out.ravel(), np.convolve(x, kernel), 1e-12)
    valid = fft_convolve1d(x.reshape(1, -1, 1), kernel.reshape(-1, 1, 1), padding="valid")
    if kernel_size <= length:
        assert_close(valid.ravel(), np.convolve(x, kernel, mode="valid"), 1e-12)
    else:
        assert valid.shape == (1, 0, 1)


def test_convolution_theorem():
    """The transform of a convolution is the product of the transforms, summed over the channels."""
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(1, 20, 3)), rng.normal(size=(7, 3, 4))
    size = 20 + 7 - 1
    product = np.einsum("ec,ecf->ef", np.fft.rfft(x[0], size, axis=0), np.fft.rfft(weights, size, axis=0))
    for convolution in (f(x, weights, padding="full") for f in (fft_convolve1d, convolve1d)):
        assert_close(np.fft.rfft(convolution[0], size, axis=0), product, 1e-12)


def test_sum_of_two_dice():
    die = np.full(6, 1 / 6)
    total = fft_convolve1d(die.reshape(1, 6, 1), die.reshape(6, 1, 1), padding="full").ravel()
    assert total[4 - 2] == pytest.approx(3 / 36)
    assert total.sum() == pytest.approx(1)


@given(batch=packed_rows(), kernel_size=st.integers(1, 7), padding=paddings)
def test_gradients_are_transposes(batch, kernel_size, padding):
    rows, offsets = batch
    weights = weights_of(kernel_size, kernel_size, rows.shape[1])
    options = {"padding": padding, "offsets": offsets}
    d_out = np.random.default_rng(0).normal(size=fft_convolve1d(rows, weights, **options)[0].shape)
    assert_adjoint(
        lambda rows: fft_convolve1d(rows, weights, **options)[0],
        lambda d_out: fft_convolve1d_backward(d_out, rows, weights, **options)[0],
        rows,
        d_out,
    )
    assert_adjoint(
        lambda weights: fft_convolve1d(rows, weights, **options)[0],
        lambda d_out: fft_convolve1d_backward(d_out, rows, weights, **options)[1],
        weights,
        d_out,
    )


def test_what_is_not_finite_spoils_its_text_alone():
    x, weights = np.random.default_rng(0).normal(size=(3, 5, 2)), weights_of(0, 4, 2)
    x[1, 4, 0] = np.inf
    with np.errstate(invalid="ignore"):
        out = fft_convolve1d(x, weights)
    assert out.shape == (3, 2, 3)
    assert not np.isfinite(out[1]).any()
    assert_same_bits(out[::2], fft_convolve1d(x[::2], weights))


@given(batch=packed_rows(), kernel_size=st.integers(1, 7))
def test_options_have_the_defaults_of_the_direct_sum(batch, kernel_size):
    rows, offsets = batch
    weights = weights_of(kernel_size, kernel_size, rows.shape[1])
    out, out_offsets = fft_convolve1d(rows, weights, offsets=offsets)
    expected, expected_offsets = convolve1d(rows, weights, offsets=offsets)
    np.testing.assert_array_equal(out_offsets, expected_offsets)
    assert_close(out, expected, 1e-12)


def test_texts_of_one_size_share_a_transform(monkeypatch):
    """Lengths of 23 and 24 and a kernel of 4 all need a transform of 27 = 3**3."""
    sizes, rfft = [], np.fft.rfft
    monkeypatch.setattr(
        np.fft, "rfft", lambda a, *args, **named: sizes.append(a.shape) or rfft(a, *args, **named)
    )
    rows, offsets = random_rows([23, 24, 23, 0, 24], 2)
    fft_convolve1d(rows, weights_of(0, 4, 2), offsets=offsets)
    assert sizes == [(4, 27, 2), (4, 2, 3)]


def test_gradients_are_central_differences():
    rng = np.random.default_rng(0)
    rows, offsets = random_rows([4, 0, 1, 4], 2)
    weights = rng.normal(size=(3, 2, 2))
    out, _ = fft_convolve1d(rows, weights, padding=(1, 4), offsets=offsets)
    d_out = rng.normal(size=out.shape)
    d_x, d_weights = fft_convolve1d_backward(d_out, rows, weights, padding=(1, 4), offsets=offsets)

    def loss(rows, weights):
        return np.vdot(fft_convolve1d(rows, weights, padding=(1, 4), offsets=offsets)[0], d_out)

    assert_gradient(d_x, lambda x: loss(x, weights), rows)
    assert_gradient(d_weights, lambda w: loss(rows, w), weights)


@both_dtypes
def test_threads_and_batch_change_no_bit(dtype):
    rows, offsets = random_rows([40, 0, 1, 40, 300, 40], 30)
    rows, weights = rows.astype(dtype), weights_of(1, 9, 30, 60).astype(dtype)
    assert_same_alone(
        lambda rows, offsets: fft_convolve1d(rows, weights, padding="full", offsets=offsets), rows, offsets
    )
    options = {"padding": "full", "offsets": offsets}
    assert_same_on_any_number_of_threads(
        lambda n_jobs: fft_convolve1d(rows, weights, **options, n_jobs=n_jobs)[0]
    )
    d_out = random_rows([sum(length + 8 for length in (40, 0, 1, 40, 300, 40))], 60)[0].astype(dtype)
    for k in (0, 1):
        assert_same_on_any_number_of_threads(
            lambda n_jobs, k=k: fft_convolve1d_backward(d_out, rows, weights, **options, n_jobs=n_jobs)[k]
        )


def test_dense_batches_and_degenerate_shapes():
    x, weights = np.random.default_rng(0).normal(size=(3, 5, 2)), weights_of(0, 4, 2)
    rows, _ = fft_convolve1d(x.reshape(15, 2), weights, padding="full", offsets=[0, 5, 10, 15])
    full = partial(fft_convolve1d, padding="full")
    assert_same_bits(full(x, weights), rows.reshape(3, 8, 3))
    assert full(x[:0], weights).shape == (0, 8, 3)
    np.testing.assert_array_equal(full(x[:, :0], weights), np.zeros((3, 3, 3)))
    assert full(x, weights[:, :, :0]).shape == (3, 8, 0)
    np.testing.assert_array_equal(full(x[:, :, :0], weights[:, :0]), np.zeros((3, 8, 3)))
    d_x, d_weights = fft_convolve1d_backward(np.zeros((3, 3, 3)), x[:, :0], weights, padding="full")
    assert d_x.shape == (3, 0, 2)
    np.testing.assert_array_equal(d_weights, np.zeros((4, 2, 3)))


def test_sizes_have_small_prime_factors():
    def is_smooth(size):
        for prime in (2, 3, 5):
            while size % prime == 0:
                size //= prime
        return size == 1

    for least in range(1, 700):
        assert _fast_size(least) == next(size for size in range(least, 2 * least + 1) if is_smooth(size))


def test_bad_arguments_are_refused():
    x, weights = np.zeros((1, 5, 2)), np.zeros((3, 2, 4))
    with pytest.raises(ValueError, match="x has shape"):
        fft_convolve1d(np.zeros((1, 5, 3)), weights)
    with pytest.raises(ValueError, match="weights has shape"):
        fft_convolve1d(x, weights[0])
    with pytest.raises(ValueError, match="kernel_size is 0"):
        fft_convolve1d(x, weights[:0])
    with pytest.raises(ValueError, match="d_out has shape"):
        fft_convolve1d_backward(np.zeros((1, 5, 4)), x, weights)
