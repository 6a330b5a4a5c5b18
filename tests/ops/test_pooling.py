"""Pooling and its gradients: against the plain form, central differences and numbers by hand."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from checks import (
    THREADS,
    assert_adjoint,
    assert_close,
    assert_gradient,
    assert_same_bits,
    both_dtypes,
    read_only,
)
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import generators, numbers, text_lengths

from textcnn._kernels import _pooling
from textcnn._reference import pooling as reference
from textcnn.ops import pooling


@dataclass
class Window:
    """Options of a sliding window."""

    kernel_size: int = 3
    stride: int = 2
    padding: tuple[int, int] = (1, 2)

    @property
    def options(self):
        return {"kernel_size": self.kernel_size, "stride": self.stride, "padding": self.padding}

    def rows(self, length):
        return reference.sliding_windows(length, self.kernel_size, self.stride, *self.padding)

    def weights(self, length, weights):
        return reference.sliding_weights(length, np.asarray(weights), self.stride, *self.padding)


@st.composite
def windows(draw):
    kernel_size = draw(st.integers(1, 6))
    side = st.integers(0, kernel_size - 1)
    return Window(kernel_size, draw(st.integers(1, 7)), (draw(side), draw(side)))


@dataclass
class Pool:
    """One pooling: the operation, its gradient, and the rows that each window pools."""

    forward: Any
    backward: Any
    rows: Any
    fixed: bool = False  # as many result rows for every text, with no offsets
    options: dict[str, Any] | None = None
    weights: Any = None  # of the rows of the windows, for a linear pooling
    k: int = 0  # of a pooling that keeps the k largest
    p: float = 0  # of a norm
    columns_only: bool = False  # the result is (n, channels)

    def __call__(self, x, **batch):
        """(out, argmax or None, out_offsets or None)."""
        result = self.forward(x, **(self.options or {}), **batch)
        result = list(result) if isinstance(result, tuple) else [result]
        argmax = result.pop(1) if self.k else None
        out_offsets = result.pop() if len(result) == 2 else None
        assert (out_offsets is None) == (self.fixed or "offsets" not in batch)
        return result[0], argmax, out_offsets

    def gradient(self, d_out, x, argmax, out_offsets, **batch):
        if self.k:
            if "offsets" not in batch:
                batch["length"] = x.shape[1]
            if out_offsets is not None:
                batch["out_offsets"] = out_offsets
            return self.backward(d_out, argmax, **batch)
        result = self.backward(d_out, x, **(self.options or {}), **batch)
        return result[0] if isinstance(result, tuple) else result

    def reference(self, x):
        """(out, argmax or None) of one text."""
        rows = self.rows(len(x))
        if self.k:
            return reference.k_max_pool(x, rows, self.k)
        if self.p:
            return reference.lp_pool(x, rows, self.p), None
        return reference.sum_pool(x, rows, self.weights(len(x))), None

    def reference_gradient(self, d_out, x, argmax):
        rows = self.rows(len(x))
        if self.k:
            return reference.max_pool_backward(d_out, argmax, len(x))
        if self.p:
            return reference.lp_pool_backward(d_out, x, rows, self.p)
        return reference.sum_pool_backward(d_out, rows, self.weights(len(x)), len(x))


def pools(window=None):
    """All poolings, the sliding ones with these windows."""
    window = window or Window()
    size = window.kernel_size
    sliding = {"rows": window.rows, "options": window.options}

    def whole(length):
        return [list(range(length))]

    def shares(rows):
        return lambda length: [[1 / max(len(r), 1)] * len(r) for r in rows(length)]

    def ones(rows):
        return lambda length: [[1.0] * len(r) for r in rows(length)]

    def level(*levels):
        return lambda length: [r for m in levels for r in reference.bins(length, m)]

    def mean_pyramid_backward(d_out, x, offsets=None, n_jobs=None):
        shape = {"length": x.shape[1]} if offsets is None else {"offsets": offsets}
        return pooling.spatial_pyramid_pool1d_backward(
            d_out, levels=(1, 2, 5), mode="mean", n_jobs=n_jobs, **shape
        )

    weights = np.cos(np.arange(size) + 1.0).astype(np.float32)
    everywhere = {"rows": whole, "fixed": True, "columns_only": True}
    return {
        "max": Pool(pooling.max_pool1d, pooling.max_pool1d_backward, k=1, **sliding),
        "mean": Pool(
            pooling.mean_pool1d, pooling.mean_pool1d_backward, weights=shares(window.rows), **sliding
        ),
        "mean with padding": Pool(
            pooling.mean_pool1d,
            pooling.mean_pool1d_backward,
            rows=window.rows,
            weights=lambda length: [[1 / size] * len(r) for r in window.rows(length)],
            options=window.options | {"count_include_pad": True},
        ),
        "sum": Pool(pooling.sum_pool1d, pooling.sum_pool1d_backward, weights=ones(window.rows), **sliding),
        "l1": Pool(
            pooling.lp_pool1d,
            pooling.lp_pool1d_backward,
            window.rows,
            p=1,
            options=window.options | {"p": 1},
        ),
        "l2": Pool(pooling.lp_pool1d, pooling.lp_pool1d_backward, p=2, **sliding),
        "l2.5": Pool(
            pooling.lp_pool1d,
            pooling.lp_pool1d_backward,
            window.rows,
            p=2.5,
            options=window.options | {"p": 2.5},
        ),
        "weighted": Pool(
            pooling.weighted_pool1d,
            pooling.weighted_pool1d_backward,
            weights=lambda length: window.weights(length, reference.triangle(size)),
            **sliding,
        ),
        "weighted by": Pool(
            pooling.weighted_pool1d,
            pooling.weighted_pool1d_backward,
            rows=window.rows,
            weights=lambda length: window.weights(length, weights),
            options=window.options | {"weights": weights},
        ),
        "k max": Pool(
            pooling.k_max_pool1d,
            pooling.k_max_pool1d_backward,
            whole,
            fixed=True,
            k=3,
            options={"k": 3},
        ),
        "k max of windows": Pool(
            pooling.k_max_pool1d,
            pooling.k_max_pool1d_backward,
            window.rows,
            k=2,
            options=window.options | {"k": 2},
        ),
        "global max": Pool(pooling.global_max_pool1d, pooling.global_max_pool1d_backward, k=1, **everywhere),
        "global mean": Pool(
            pooling.global_mean_pool1d,
            pooling.global_mean_pool1d_backward,
            weights=shares(whole),
            **everywhere,
        ),
        "global sum": Pool(
            pooling.global_sum_pool1d, pooling.global_sum_pool1d_backward, weights=ones(whole), **everywhere
        ),
        "global l2": Pool(pooling.global_lp_pool1d, pooling.global_lp_pool1d_backward, p=2, **everywhere),
        "global l3": Pool(
            pooling.global_lp_pool1d,
            pooling.global_lp_pool1d_backward,
            p=3,
            options={"p": 3},
            **everywhere,
        ),
        "global weighted": Pool(
            pooling.global_weighted_pool1d,
            pooling.global_weighted_pool1d_backward,
            weights=lambda length: [list(reference.triangle(length))],
            **everywhere,
        ),
        "pyramid of maxima": Pool(
            pooling.spatial_pyramid_pool1d,
            lambda d_out, argmax, **batch: pooling.spatial_pyramid_pool1d_backward(
                d_out, argmax, levels=(1, 2, 5), **batch
            ),
            level(1, 2, 5),
            fixed=True,
            k=1,
            options={"levels": (1, 2, 5)},
        ),
        "pyramid of means": Pool(
            lambda x, **batch: pooling.spatial_pyramid_pool1d(x, levels=(1, 2, 5), mode="mean", **batch),
            mean_pyramid_backward,
            level(1, 2, 5),
            fixed=True,
            weights=shares(level(1, 2, 5)),
        ),
        "adaptive max": Pool(
            pooling.adaptive_max_pool1d,
            pooling.adaptive_max_pool1d_backward,
            level(3),
            fixed=True,
            k=1,
            options={"n_bins": 3},
        ),
        "adaptive mean": Pool(
            pooling.adaptive_mean_pool1d,
            pooling.adaptive_mean_pool1d_backward,
            level(3),
            fixed=True,
            weights=shares(level(3)),
            options={"n_bins": 3},
        ),
    }


NAMES = list(pools())
LINEAR = [name for name, pool in pools().items() if pool.weights]
KEEPING = [name for name, pool in pools().items() if pool.k]
every_pool = pytest.mark.parametrize("name", NAMES)


def pack(texts, channels, dtype):
    """Rows and offsets of a list of texts."""
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.intp)
    return np.concatenate([np.zeros((0, channels)), *texts]).astype(dtype), offsets


def split_result(result, pool, n_texts):
    """The rows of each text of a packed result, argmax alike."""
    out, argmax, out_offsets = result
    if out_offsets is not None:
        cuts = out_offsets[1:-1]
        return np.split(out, cuts)[:n_texts], None if argmax is None else np.split(argmax, cuts)[:n_texts]
    if pool.columns_only:
        out, argmax = out[:, None], None if argmax is None else argmax[:, None]
    return list(out), argmax


@st.composite
def batches(draw, max_texts=5, max_tokens=12, max_channels=20):
    """Texts of equal or different lengths, a number of channels, and a generator."""
    rng, channels = draw(generators()), draw(st.integers(0, max_channels))
    lengths = draw(text_lengths(max_texts, max_tokens) | st.just([7] * 3))
    integers = draw(st.booleans())
    return [numbers(rng, (length, channels), integers) for length in lengths], channels, rng


@both_dtypes
@every_pool
@given(batch=batches(), window=windows())
def test_a_packed_batch_equals_the_reference(dtype, name, batch, window):
    texts, channels, rng = batch
    pool = pools(window)[name]
    x, offsets = pack(texts, channels, dtype)
    result = pool(x, offsets=offsets)
    d_out = rng.normal(size=result[0].shape).astype(dtype)
    d_x = pool.gradient(d_out, x, *result[1:], offsets=offsets)
    assert d_x.shape == x.shape
    assert d_x.dtype == result[0].dtype == dtype
    outs, argmaxes = split_result(result, pool, len(texts))
    d_outs, _ = split_result((d_out, None, result[2]), pool, len(texts))
    for i in range(len(texts)):
        text = x[offsets[i] : offsets[i + 1]]
        out, argmax = pool.reference(text)
        assert_close(outs[i], out.astype(dtype))
        if argmax is not None:
            assert_array_equal(argmaxes[i], argmax)
        expected = pool.reference_gradient(d_outs[i], text, argmax)
        assert_close(d_x[offsets[i] : offsets[i + 1]], expected.astype(dtype))


@both_dtypes
@every_pool
@given(
    n=st.integers(0, 3),
    length=st.integers(0, 9),
    channels=st.integers(0, 19),
    window=windows(),
    rng=generators(),
)
def test_a_dense_batch_equals_a_packed_one(dtype, name, n, length, channels, window, rng):
    pool = pools(window)[name]
    x = rng.normal(size=(n, length, channels)).astype(dtype)
    rows, offsets = x.reshape(n * length, channels), np.arange(n + 1) * length
    dense, packed = pool(x), pool(rows, offsets=offsets)
    assert len(dense[0]) == n
    assert_same_bits(dense[0].reshape(packed[0].shape), packed[0])
    if pool.k:
        assert_array_equal(dense[1].reshape(packed[1].shape), packed[1])
    d_out = rng.normal(size=dense[0].shape).astype(dtype)
    d_x = pool.gradient(d_out, x, *dense[1:])
    expected = pool.gradient(d_out.reshape(packed[0].shape), rows, *packed[1:], offsets=offsets)
    assert_same_bits(d_x, expected.reshape(x.shape))


@every_pool
@pytest.mark.parametrize("window", [Window(), Window(2, 2, (0, 0)), Window(4, 1, (3, 3))], ids=str)
def test_the_gradient_is_a_central_difference(name, window):
    pool, rng = pools(window)[name], np.random.default_rng(0)
    # Values that differ by 0.1 and more, none near 0: away from the ties of maxima and the corners of norms.
    x = (rng.permutation(2 * 9 * 3) - 26.5).reshape(2, 9, 3) / 10
    result = pool(x)
    d_out = rng.normal(size=result[0].shape)
    assert_gradient(pool.gradient(d_out, x, *result[1:]), lambda moved: np.vdot(pool(moved)[0], d_out), x)


@pytest.mark.parametrize("name", LINEAR)
@given(batch=batches(), window=windows())
def test_the_gradient_of_a_linear_pooling_is_its_adjoint(name, batch, window):
    texts, channels, rng = batch
    pool = pools(window)[name]
    x, offsets = pack(texts, channels, float)
    y = rng.normal(size=pool(x, offsets=offsets)[0].shape)
    assert_adjoint(
        lambda x: pool(x, offsets=offsets)[0],
        lambda y: pool.gradient(y, x, None, None, offsets=offsets),
        x,
        y,
    )


@given(batch=batches(), window=windows(), seed=st.integers(0, 99))
def test_the_gradient_of_the_weights_is_the_adjoint(batch, window, seed):
    texts, channels, rng = batch
    x, offsets = pack(texts, channels, float)

    def forward(weights):
        return pooling.weighted_pool1d(x, weights=weights, offsets=offsets, **window.options)[0]

    weights = np.random.default_rng(seed).normal(size=window.kernel_size)
    y = rng.normal(size=forward(weights).shape)
    assert_adjoint(
        forward,
        lambda y: pooling.weighted_pool1d_backward(y, x, offsets=offsets, **window.options)[1],
        weights,
        y,
    )


@pytest.mark.parametrize(
    "name", ["max", "sum", "mean", "k max", "k max of windows", "global max", "global mean", "adaptive max"]
)
def test_the_sum_of_the_gradient_is_preserved(name):
    rng = np.random.default_rng(0)
    pool = pools(Window(3, 3, (0, 0)))[name]
    x = rng.normal(size=(4, 12, 5))
    result = pool(x)
    d_out = rng.normal(size=result[0].shape)
    factor = 3 if name == "sum" else 1  # every row of a window gets all of it
    d_x = pool.gradient(d_out, x, *result[1:])
    assert_allclose(d_x.sum(axis=1), factor * d_out.reshape(4, -1, 5).sum(axis=1), rtol=1e-12, atol=1e-12)


def texts_of_many_lengths(dtype, rng, channels):
    lengths = [0, 1, 200, 3, 2, 0, 77, 1000, 5]
    return pack([rng.normal(size=(length, channels)) for length in lengths], channels, dtype)


@both_dtypes
@every_pool
@pytest.mark.parametrize("channels", [5, 70, 300])
def test_bits_do_not_depend_on_threads(dtype, name, channels):
    rng = np.random.default_rng(0)
    x, offsets = texts_of_many_lengths(dtype, rng, channels)
    pool = pools(Window(3, 1, (2, 2)))[name]
    one = pool(x, offsets=offsets, n_jobs=1)
    d_out = rng.normal(size=one[0].shape).astype(dtype)
    d_x = pool.gradient(d_out, x, *one[1:], offsets=offsets, n_jobs=1)
    for n_jobs in THREADS[1:]:
        result = pool(x, offsets=offsets, n_jobs=n_jobs)
        assert_same_bits(result[0], one[0])
        if pool.k:
            assert_array_equal(result[1], one[1])
        assert_same_bits(pool.gradient(d_out, x, *one[1:], offsets=offsets, n_jobs=n_jobs), d_x)


@both_dtypes
def test_bits_of_the_weights_do_not_depend_on_threads(dtype):
    x, offsets = texts_of_many_lengths(dtype, np.random.default_rng(0), 70)
    d_out, out_offsets = pooling.sum_pool1d(x, 3, stride=1, offsets=offsets)
    assert out_offsets[-1] > 1000
    one, two, three = (
        pooling.weighted_pool1d_backward(d_out, x, 3, stride=1, offsets=offsets, n_jobs=n)[1] for n in THREADS
    )
    assert_same_bits(two, one)
    assert_same_bits(three, one)


@both_dtypes
@every_pool
def test_a_text_alone_has_the_bits_that_it_has_in_a_batch(dtype, name):
    rng = np.random.default_rng(0)
    x, offsets = texts_of_many_lengths(dtype, rng, 37)
    pool = pools(Window(4, 3, (3, 1)))[name]
    whole = pool(x, offsets=offsets)
    d_out = rng.normal(size=whole[0].shape).astype(dtype)
    d_x = pool.gradient(d_out, x, *whole[1:], offsets=offsets)
    outs, argmaxes = split_result(whole, pool, len(offsets) - 1)
    d_outs, _ = split_result((d_out, None, whole[2]), pool, len(offsets) - 1)
    for i in range(len(offsets) - 1):
        text = x[None, offsets[i] : offsets[i + 1]]
        out, argmax, _ = pool(text)
        assert_same_bits(out.reshape(outs[i].shape), outs[i])
        if pool.k:
            assert_array_equal(argmax.reshape(outs[i].shape), argmaxes[i])
        assert_same_bits(
            pool.gradient(d_outs[i].reshape(out.shape), text, argmax, None)[0],
            d_x[offsets[i] : offsets[i + 1]],
        )


@both_dtypes
@every_pool
@pytest.mark.parametrize("shape", [(0, 5, 3), (2, 0, 3), (2, 1, 3), (2, 5, 0), (0, 0, 0), (1, 2, 1)])
def test_empty_and_short_texts(dtype, name, shape):
    pool = pools(Window(6, 1, (0, 0)))[name]  # wider than the texts: no window
    x = np.ones(shape, dtype)
    out, argmax, _ = pool(x)
    n_rows = len(pool.rows(shape[1])) * max(pool.k, 1)
    assert out.shape == ((shape[0], shape[2]) if pool.columns_only else (shape[0], n_rows, shape[2]))
    assert n_rows > 0 or not pool.fixed
    if shape[1] == 0:
        assert_array_equal(out, 0)
        if pool.k:
            assert_array_equal(argmax, -1)
    d_x = pool.gradient(np.ones(out.shape, dtype), x, argmax, None)
    assert d_x.shape == shape
    assert d_x.dtype == dtype


@both_dtypes
@every_pool
def test_input_may_be_read_only_and_of_any_layout(dtype, name):
    rng = np.random.default_rng(0)
    pool = pools()[name]
    x = rng.normal(size=(3, 8, 6)).astype(dtype)
    result = pool(x)
    d_out = rng.normal(size=result[0].shape).astype(dtype)
    d_x = pool.gradient(d_out, x, *result[1:])
    for layout in (read_only, np.asfortranarray, lambda array: np.repeat(array, 2, axis=-1)[..., ::2]):
        other = pool(layout(x))
        assert_same_bits(other[0], result[0])
        argmax = None if other[1] is None else layout(other[1])
        assert_same_bits(pool.gradient(layout(d_out), layout(x), argmax, None), d_x)


@every_pool
def test_lists_and_integers_are_computed_in_float64(name):
    pool = pools()[name]
    x = np.arange(24).reshape(2, 4, 3)
    if name == "weighted by":
        pool.options["weights"] = pool.options["weights"].tolist()
    assert_same_bits(pool(x.tolist())[0], pool(x.astype(float))[0])


# ---- maxima -----------------------------------------------------------------------------------------


@both_dtypes
def test_the_first_of_equal_maxima_counts(dtype):
    x = np.array([[1, 3, 3, 2, 3, 0, -0.0, 0]], dtype)[..., None]
    out, argmax = pooling.max_pool1d(x, 4)
    assert_array_equal(out[0, :, 0], [3, 3])
    assert_array_equal(argmax[0, :, 0], [1, 4])
    assert_array_equal(pooling.max_pool1d(x, 2)[1][0, :, 0], [1, 2, 4, 6])
    assert_array_equal(pooling.global_max_pool1d(x)[1], [[1]])
    values, positions = pooling.k_max_pool1d(x, 4)
    assert_array_equal(values[0, :, 0], [3, 3, 2, 3])
    assert_array_equal(positions[0, :, 0], [1, 2, 3, 4])
    assert_array_equal(pooling.k_max_pool1d(x, 2)[1][0, :, 0], [1, 2])


@both_dtypes
@pytest.mark.parametrize("channels", [1, 9, 300])
def test_nan_is_above_everything(dtype, channels):
    column = np.array([1, np.nan, np.inf, np.nan, 7, -np.inf], dtype)
    x = np.tile(column[None, :, None], (1, 1, channels))
    out, argmax = pooling.max_pool1d(x, 3)
    assert_array_equal(out[0], np.tile([[np.nan], [np.nan]], channels))
    assert_array_equal(argmax[0], np.tile([[1], [3]], channels))
    out, argmax = pooling.global_max_pool1d(x[:, 2:])
    assert np.isnan(out).all()
    assert_array_equal(argmax, 1)
    values, positions = pooling.k_max_pool1d(x, 3)
    assert_array_equal(values[0], np.tile([[np.nan], [np.inf], [np.nan]], channels))
    assert_array_equal(positions[0], np.tile([[1], [2], [3]], channels))
    assert_array_equal(pooling.k_max_pool1d(x, 1)[1], 1)
    for other in (pooling.mean_pool1d, pooling.sum_pool1d, pooling.lp_pool1d, pooling.weighted_pool1d):
        assert np.isnan(other(x, 6)).all()
        assert_array_equal(np.isnan(other(x, 2)).all(axis=2), [[True, True, False]])


@both_dtypes
def test_minus_infinity_is_a_maximum_and_a_pad_is_not(dtype):
    x = np.full((1, 3, 2), -np.inf, dtype)
    out, argmax = pooling.max_pool1d(x, 2, stride=1, padding=1)
    assert_array_equal(out, np.full((1, 4, 2), -np.inf))
    assert_array_equal(argmax[0, :, 0], [0, 0, 1, 2])
    out, argmax = pooling.max_pool1d(np.full((1, 2, 1), -5, dtype), 3, stride=1, padding=2)
    assert_array_equal(out[0, :, 0], [-5, -5, -5, -5])
    assert_array_equal(argmax[0, :, 0], [0, 0, 0, 1])
    out, argmax = pooling.max_pool1d(np.zeros((1, 0, 1), dtype), 3, stride=1, padding=2)
    assert_array_equal(out, [[[0], [0]]])
    assert_array_equal(argmax, [[[-1], [-1]]])


@both_dtypes
@given(k=st.integers(1, 40), length=st.integers(0, 60), distinct=st.integers(1, 9), rng=generators())
def test_k_max_with_ties_equals_the_reference(dtype, k, length, distinct, rng):
    x = rng.integers(0, distinct, (length, 18)).astype(dtype)
    x[rng.random(x.shape) < 0.1] = np.nan
    out, argmax = pooling.k_max_pool1d(x[None], k)
    expected, positions = reference.k_max_pool(x, [list(range(length))], k)
    assert_array_equal(out[0], expected)
    assert_array_equal(argmax[0], positions)


@both_dtypes
def test_one_k_for_each_text(dtype):
    rng = np.random.default_rng(0)
    lengths = [0, 1, 9, 4]
    x, offsets = pack([rng.normal(size=(length, 5)) for length in lengths], 5, dtype)
    k = pooling.dynamic_k(1, 3, lengths, 2)
    assert_array_equal(k, [2, 2, 6, 3])
    out, argmax, out_offsets = pooling.k_max_pool1d(x, k, offsets=offsets)
    assert_array_equal(out_offsets, [0, 2, 4, 10, 13])
    d_out = rng.normal(size=out.shape).astype(dtype)
    d_x = pooling.k_max_pool1d_backward(d_out, argmax, offsets=offsets, out_offsets=out_offsets)
    for i in range(4):
        text, rows = slice(offsets[i], offsets[i + 1]), slice(out_offsets[i], out_offsets[i + 1])
        one, positions = pooling.k_max_pool1d(x[None, text], int(k[i]))
        assert_same_bits(out[rows], one[0])
        assert_array_equal(argmax[rows], positions[0])
        d_one = pooling.k_max_pool1d_backward(d_out[None, rows], positions, length=lengths[i])
        assert_same_bits(d_x[text], d_one[0])


def test_one_k_for_each_text_of_windows_and_of_texts_of_one_length():
    x = np.random.default_rng(0).normal(size=(2, 6, 3))
    rows, offsets = x.reshape(12, 3), [0, 6, 12]
    out, argmax, out_offsets = pooling.k_max_pool1d(rows, [1, 2], kernel_size=3, offsets=offsets)
    assert_array_equal(out_offsets, [0, 2, 6])
    assert_same_bits(out[:2], pooling.k_max_pool1d(x[:1], 1, kernel_size=3)[0][0])
    assert_array_equal(argmax[2:], pooling.k_max_pool1d(x[1:], 2, kernel_size=3)[1][0])
    assert_same_bits(pooling.k_max_pool1d(x, [2, 2])[0], pooling.k_max_pool1d(x, 2)[0])
    assert pooling.k_max_pool1d(np.zeros((0, 6, 3)), np.zeros(0, int))[0].shape == (0, 0, 3)


# ---- norms, sums ------------------------------------------------------------------------------------


@both_dtypes
@pytest.mark.parametrize("p", [1, 1.5, 2, 3, 50])
def test_norms_neither_overflow_nor_vanish(dtype, p):
    info = np.finfo(dtype)
    for size in (float(info.max) / 8, float(info.tiny), float(info.smallest_subnormal) * 4096):
        x = np.array([[[3.0], [-4.0], [0.0]]], dtype) * dtype(size / 4)
        expected = size / 4 * reference.lp_pool(np.array([[3.0], [4.0]]), [[0, 1]], p)[0, 0]
        out = pooling.lp_pool1d(x, 3, p=p)
        assert_allclose(out, [[[expected]]], rtol=1e-3)
        d_x = pooling.lp_pool1d_backward(np.ones_like(out), x, 3, p=p)
        unit = pooling.lp_pool1d_backward([[[1.0]]], [[[3.0], [-4.0], [0.0]]], 3, p=p)
        assert_allclose(d_x, unit, rtol=1e-3)


@both_dtypes
@pytest.mark.parametrize("p", [1, 2, 3])
def test_norms_of_zeros_and_infinities(dtype, p):
    zeros = np.zeros((1, 4, 2), dtype)
    assert_array_equal(pooling.lp_pool1d(zeros, 2, p=p), 0)
    assert_array_equal(pooling.lp_pool1d_backward(np.ones((1, 2, 2), dtype), zeros, 2, p=p), 0)
    x = np.array([[[1], [-np.inf], [2]]], dtype)
    assert_array_equal(pooling.global_lp_pool1d(x, p=p), [[np.inf]])


@both_dtypes
@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_gradient_of_a_norm_is_zero_at_zero_whatever_comes_back(dtype, p, value):
    x = np.array([[[0], [0], [0], [3]]], dtype)
    d_out = np.full((1, 2, 1), value, dtype)
    d_x = pooling.lp_pool1d_backward(d_out, x, 2, p=p)[0, :, 0]
    assert_array_equal(d_x, [0, 0, 0, value])
    x[0, 2] = np.nan
    assert np.isnan(pooling.lp_pool1d_backward(np.ones_like(d_out), x, 2, p=p)[0, 2, 0])


@both_dtypes
def test_sums_of_long_texts_keep_their_digits(dtype):
    x = np.random.default_rng(0).uniform(0.5, 1.5, (1, 100_003, 3)).astype(dtype)
    expected = x.astype(np.longdouble).sum(axis=1)
    tolerance = 4 * np.finfo(dtype).eps if dtype == np.float32 else 1e-13
    assert_allclose(pooling.global_sum_pool1d(x), expected, rtol=tolerance)
    assert_allclose(pooling.global_mean_pool1d(x), expected / 100_003, rtol=tolerance)


def test_a_mean_does_not_overflow():
    largest = np.finfo(np.float32).max
    x = np.full((1, 19, 5), largest, np.float32)
    assert_allclose(pooling.global_mean_pool1d(x), largest, rtol=1e-6)
    assert_array_equal(pooling.global_sum_pool1d(x), np.inf)
    x[:, 9:] *= -1
    x[:, 18] = 0
    assert_allclose(pooling.global_sum_pool1d(x), 0, atol=0)


# ---- numbers by hand --------------------------------------------------------------------------------


@both_dtypes
def test_unpooling_of_a_delta_by_max_and_by_mean(dtype):
    """A window of 2 and the errors (2, 8, 4, 6)."""
    delta = np.array([[2, 8, 4, 6]], dtype)[..., None]
    x = np.array([[1, 3, 5, 2, 4, 9, 7, 6]], dtype)[..., None]
    out, argmax = pooling.max_pool1d(x, 2)
    assert_array_equal(out[0, :, 0], [3, 5, 9, 7])
    d_x = pooling.max_pool1d_backward(delta, argmax, length=8)
    assert_array_equal(d_x[0, :, 0], [0, 2, 8, 0, 0, 4, 6, 0])
    d_x = pooling.mean_pool1d_backward(delta, x, 2)
    assert_array_equal(d_x[0, :, 0], [1, 1, 4, 4, 2, 2, 3, 3])


def test_overlapping_windows_add_their_gradients():
    x = np.array([[[0.0], [9.0], [0.0], [1.0]]])
    _, argmax = pooling.max_pool1d(x, 3, stride=1, padding=1)
    assert_array_equal(argmax[0, :, 0], [1, 1, 1, 3])
    d_x = pooling.max_pool1d_backward([[[1.0], [10.0], [100.0], [1000.0]]], argmax, length=4)
    assert_array_equal(d_x[0, :, 0], [0, 111, 0, 1000])


def test_default_weights_by_hand():
    x = np.eye(5)[None]
    assert_allclose(pooling.weighted_pool1d(x, 5)[0, 0], np.array([1, 2, 3, 2, 1]) / 9)
    assert_allclose(pooling.weighted_pool1d(x[:, :4, :4], 4)[0, 0], np.array([1, 2, 2, 1]) / 6)
    assert_allclose(pooling.global_weighted_pool1d(x)[0], np.array([1, 2, 3, 2, 1]) / 9)
    assert_allclose(pooling.weighted_pool1d(x, 5, stride=1, padding=1)[0, 0], np.array([2, 3, 2, 1, 0]) / 9)


def test_pyramid_by_hand():
    """Five rows in bins of 1, 2 and 4: the middle row lies in both halves."""
    x = np.array([[1.0], [2.0], [6.0], [4.0], [5.0]])
    out = pooling.spatial_pyramid_pool1d(x, mode="mean", offsets=[0, 5])
    assert_allclose(out[0, :, 0], [3.6, 3, 5, 1.5, 4, 5, 4.5])
    out, argmax = pooling.spatial_pyramid_pool1d(x, offsets=[0, 5])
    assert_array_equal(out[0, :, 0], [6, 6, 6, 2, 6, 6, 5])
    assert_array_equal(argmax[0, :, 0], [2, 2, 2, 1, 2, 2, 4])


def test_dynamic_k_by_hand():
    """The example of the paper: a sentence of 18 words, three layers, 3 at the top: 12 and 6."""
    assert [pooling.dynamic_k(layer, 3, 18, 3) for layer in (1, 2, 3)] == [12, 6, 3]
    assert pooling.dynamic_k(1, 2, 7, 3) == 4
    assert pooling.dynamic_k(1, 2, 0, 3) == 3
    assert_array_equal(pooling.dynamic_k(1, 2, np.array([0, 7, 100]), 3), [3, 4, 50])


def test_global_average_is_another_name():
    assert pooling.global_average_pool1d is pooling.global_mean_pool1d
    assert pooling.global_average_pool1d_backward is pooling.global_mean_pool1d_backward


# ---- wrong calls ------------------------------------------------------------------------------------

X = np.zeros((2, 5, 3))


@pytest.mark.parametrize("function", [
    pooling.max_pool1d, pooling.mean_pool1d, pooling.sum_pool1d, pooling.lp_pool1d, pooling.weighted_pool1d,
])  # fmt: skip
def test_wrong_windows_are_refused(function):
    for wrong in (0, -1):
        with pytest.raises(ValueError, match=f"kernel_size is {wrong}, but it must be at least 1"):
            function(X, wrong)
        with pytest.raises(ValueError, match=f"stride is {wrong}, but it must be at least 1"):
            function(X, 2, stride=wrong)
    for wrong in (2.0, "2", None, True):
        with pytest.raises(TypeError, match=r"kernel_size is .*, but it must be an integer of at least 1"):
            function(X, wrong)
    with pytest.raises(ValueError, match=r"kernel_size is .*, but it must be at most 2147483647"):
        function(X, 2**60)
    for wrong in (2, (0, 2), (5, 0)):
        with pytest.raises(
            ValueError, match=r"padding is .*, but each side must be less than the kernel_size 2"
        ):
            function(X, 2, padding=wrong)
    with pytest.raises(ValueError, match="padding is -1, but it must be at least 0"):
        function(X, 2, padding=-1)
    with pytest.raises(ValueError, match=r"padding is \(1, 1, 1\), but it must be an integer or a pair"):
        function(X, 2, padding=(1, 1, 1))
    for wrong in (1.0, None, "same"):
        with pytest.raises(ValueError, match=r"padding is .*, but it must be an integer or a pair"):
            function(X, 2, padding=wrong)
    for pair in ([1, 0], np.array([1, 0])):
        assert_array_equal(function(X, 2, padding=pair)[0], function(X, 2, padding=(1, 0))[0])


@every_pool
def test_wrong_batches_are_refused(name):
    pool = pools()[name]
    with pytest.raises(ValueError, match=r"x has shape \(5, 3\), but expected \(n, length, channels\)"):
        pool(X[0])
    with pytest.raises(ValueError, match=r"offsets run from 0 to 4"):
        pool(X[0], offsets=[0, 4])
    with pytest.raises(TypeError, match="dtype"):
        pool(X.astype(complex))
    with pytest.raises(ValueError, match="n_jobs is 0"):
        pool(X, n_jobs=0)


@every_pool
def test_wrong_gradients_are_refused(name):
    pool = pools()[name]
    out, argmax, _ = pool(X)
    # The mean of a pyramid does not take x, with whose texts and channels d_out could disagree.
    for wrong in (out[None], out[0]) if name == "pyramid of means" else (out[None], out[:1], out[..., :2]):
        with pytest.raises(ValueError, match="shape"):
            pool.gradient(wrong, X, argmax, None)


@pytest.mark.parametrize("name", KEEPING)
def test_wrong_positions_are_refused(name):
    pool = pools()[name]
    out, argmax, _ = pool(X)
    for wrong in (5, -2, 2**40, -(2**40)):
        bad = argmax.copy()
        bad[1, ..., 2] = wrong
        with pytest.raises(ValueError, match="values of argmax lie outside their text"):
            pool.gradient(out, X, bad, None)
    with pytest.raises(ValueError, match="argmax has shape"):
        pool.gradient(out, X, argmax.astype(float), None)
    with pytest.raises(ValueError, match="argmax has shape"):
        pool.gradient(out, X, argmax[:1], None)
    with pytest.raises(ValueError, match="found neither length nor offsets"):
        pool.backward(out, argmax)
    with pytest.raises(ValueError, match="found both length and offsets"):
        pool.backward(out, argmax, length=5, offsets=[0, 5, 10])
    with pytest.raises(ValueError, match="offsets has 2 values, but the 2 texts of d_out need 3"):
        pool.backward(out, argmax, offsets=[0, 10])
    with pytest.raises(ValueError, match="length is -1"):
        pool.backward(out, argmax, length=-1)
    with pytest.raises(ValueError, match=r"length is .*, but it must be at most 2147483647"):
        pool.backward(out, argmax, length=2**62)


def test_wrong_options_are_refused():
    with pytest.raises(TypeError, match="count_include_pad is 1"):
        pooling.mean_pool1d(X, 2, count_include_pad=1)
    with pytest.raises(ValueError, match=r"weights has shape \(3,\), but expected \(2,\)"):
        pooling.weighted_pool1d(X, 2, weights=[1.0, 2.0, 3.0])
    for wrong in (0.5, 0, -1, np.inf, np.nan):
        with pytest.raises(ValueError, match=r"p is .*, but it must be (finite|at least 1)"):
            pooling.lp_pool1d(X, 2, p=wrong)
    for wrong in ("2", None, True):
        with pytest.raises(TypeError, match=r"p is .*, but it must be a real number"):
            pooling.global_lp_pool1d(X, p=wrong)
    with pytest.raises(ValueError, match="found length and out_offsets"):
        pooling.max_pool1d_backward(X[0], X[0].astype(int), length=5, out_offsets=[0, 5])


def test_wrong_k_is_refused():
    with pytest.raises(ValueError, match="k is 0, but it must be at least 1"):
        pooling.k_max_pool1d(X, 0)
    with pytest.raises(TypeError, match=r"k is 1\.5"):
        pooling.k_max_pool1d(X, 1.5)
    with pytest.raises(ValueError, match=r"k runs from 1 to 2, .* pack them and give offsets"):
        pooling.k_max_pool1d(X, [1, 2])
    with pytest.raises(ValueError, match="every k must be from 1"):
        pooling.k_max_pool1d(X, [1, 0])
    with pytest.raises(ValueError, match="one for each of the 2 texts"):
        pooling.k_max_pool1d(X, [1, 1, 1])
    for options in ({"stride": 2}, {"padding": 1}, {"padding": np.array([0, 1])}):
        with pytest.raises(ValueError, match="stride or padding without kernel_size"):
            pooling.k_max_pool1d(X, 1, **options)
    with pytest.raises(ValueError, match="every k must be from 1 to 2147483647"):
        pooling.k_max_pool1d(X, [2**40, 2**40])
    with pytest.raises(ValueError, match="layer is 4, but it must be at most n_layers"):
        pooling.dynamic_k(4, 3, 18, 3)
    with pytest.raises(ValueError, match="every length must be an integer of at least 0"):
        pooling.dynamic_k(1, 3, [18, -1], 3)


def test_wrong_pyramids_are_refused():
    with pytest.raises(ValueError, match="levels is empty"):
        pooling.spatial_pyramid_pool1d(X, levels=())
    with pytest.raises(TypeError, match="levels is 4, but it must be a sequence"):
        pooling.spatial_pyramid_pool1d(X, levels=4)
    with pytest.raises(ValueError, match="a level is 0"):
        pooling.spatial_pyramid_pool1d(X, levels=(1, 0))
    with pytest.raises(ValueError, match="mode is 'min', but it must be one of 'max', 'mean'"):
        pooling.spatial_pyramid_pool1d(X, mode="min")
    out, argmax = pooling.spatial_pyramid_pool1d(X)
    with pytest.raises(ValueError, match="argmax is None"):
        pooling.spatial_pyramid_pool1d_backward(out, length=5)
    with pytest.raises(ValueError, match="argmax is given"):
        pooling.spatial_pyramid_pool1d_backward(out, argmax, mode="mean", length=5)


@both_dtypes
def test_the_kernels_refuse_ranges_beyond_their_rows(dtype):
    x, out, ones = np.zeros((4, 2), dtype), np.zeros((1, 2), dtype), np.ones(1)
    argmax = np.zeros((1, 2), np.intp)
    zero, none, five = np.zeros(1, np.intp), np.zeros(0), np.full(1, 5)
    for starts, ends in [(zero, five), (zero - 1, zero), (five - 3, five - 4)]:
        for call in (
            lambda s, e: _pooling.max_forward(x, s, e, zero, out, argmax),
            lambda s, e: _pooling.sum_forward(x, s, e, ones, none, zero, out),
            lambda s, e: _pooling.sum_backward(out, s, e, ones, none, zero, x),
            lambda s, e: _pooling.weights_backward(out, x, s, e, zero, np.zeros((1, 9))),
            lambda s, e: _pooling.lp_forward(x, s, e, 2, out),
            lambda s, e: _pooling.lp_backward(out, x, np.zeros((1, 2)), s, e, 2, x.copy()),
            lambda s, e: _pooling.k_max_forward(x, s, e, zero, np.array([0, 1]), out, argmax),
        ):
            with pytest.raises(ValueError, match="range 0 is"):
                call(starts, ends)
    with pytest.raises(ValueError, match="needs weights 0:4 of 3"):
        _pooling.sum_forward(x, zero, zero + 4, ones, np.zeros(3), zero, out)
    with pytest.raises(ValueError, match=r"out is \(1, 2\), but must be \(2, 2\)"):
        _pooling.max_forward(x, np.zeros(2, np.intp), np.ones(2, np.intp), np.zeros(2, np.intp), out, argmax)
    with pytest.raises(ValueError, match=r"p is 0\.5"):
        _pooling.lp_forward(x, zero, zero + 4, 0.5, out)


def test_overflow_in_one_channel_changes_no_bit_of_another():
    x = np.random.default_rng(0).normal(size=(40, 50, 200)).astype(np.float32)
    x[3, 5, 7], x[3, :2, 9], x[3, 2, 9] = np.inf, 3e38, -3e38
    together, alone = pooling.global_sum_pool1d(x), pooling.global_sum_pool1d(x[3:4])
    assert_same_bits(together[3:4], alone)
    assert np.isinf(alone[0, 7])
    assert np.isfinite(alone[0, 9])
    windows, one = pooling.sum_pool1d(x, 25, stride=5), pooling.sum_pool1d(x[3:4], 25, stride=5)
    assert_same_bits(windows[3:4], one)
