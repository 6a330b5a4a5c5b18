"""Matrix products: equal to the reference, in the order promised, and each row by itself."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from checks import (
    THREADS,
    assert_close,
    assert_gradient,
    assert_same_bits,
    both_dtypes,
    garbage,
    read_only,
)
from hypothesis import given
from hypothesis import strategies as st
from strategies import generators

from textcnn import _reference as reference
from textcnn._kernels import _blas


def matmul(a, b, bias=None, relu=False, n_threads=1):
    out = garbage((a.shape[0], b.shape[1]), a.dtype)
    _blas.matmul(a, b, out, bias, relu, n_threads)
    return out


def problem(m, k, n, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(m, k)).astype(dtype),
        rng.normal(size=(k, n)).astype(dtype),
        rng.normal(size=n).astype(dtype),
    )


sizes = st.integers(0, 40)
DTYPES = (np.float32, np.float64)


@both_dtypes
@given(m=sizes, k=sizes, n=sizes, with_bias=st.booleans(), relu=st.booleans(), rng=generators())
def test_equals_the_reference(dtype, m, k, n, with_bias, relu, rng):
    a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
    bias = rng.normal(size=n).astype(dtype) if with_bias else None
    assert_close(matmul(a, b, bias, relu), reference.matmul(a, b, bias, relu))


@both_dtypes
@pytest.mark.parametrize(
    ("m", "k", "n"), [(1, 1, 1), (6, 300, 16), (50, 257, 100), (7, 1000, 33), (200, 30, 5), (3, 5, 700)]
)
def test_error_is_within_the_bound_of_a_sum(dtype, m, k, n):
    a, b, bias = problem(m, k, n, dtype)
    exact = a.astype(np.longdouble) @ b.astype(np.longdouble) + bias
    magnitude = np.abs(a).astype(float) @ np.abs(b).astype(float) + np.abs(bias)
    error = np.abs(matmul(a, b, bias) - exact)
    # Higham 2002, equation 3.5, with k products and k additions.
    assert (error <= (k + 2) * np.finfo(dtype).eps / 2 * magnitude * 1.01).all()


@both_dtypes
@pytest.mark.parametrize(("m", "k", "n"), [(13, 700, 37), (6, 64, 16), (5, 3, 50), (1, 1500, 1), (9, 4, 100)])
def test_sums_in_order_of_the_inner_index_and_adds_the_bias_last(dtype, m, k, n):
    # The elements of b are powers of two, so products are exact and the bits tell the order of the sum,
    # whether or not product and sum are fused.
    rng = np.random.default_rng(0)
    a = rng.normal(size=(m, k)).astype(dtype)
    b = (np.exp2(rng.integers(-3, 4, (k, n))) * rng.choice([-1, 1], (k, n))).astype(dtype)
    bias = rng.normal(size=n).astype(dtype)
    assert_same_bits(matmul(a, b, bias), reference.matmul(a, b, bias))


@both_dtypes
def test_a_row_depends_on_that_row_alone(dtype):
    a, b, bias = problem(29, 130, 45, dtype)
    whole = matmul(a, b, bias)
    for first in range(29):
        for last in {first + 1, min(first + 5, 29), min(first + 13, 29), 29}:
            assert_same_bits(matmul(a[first:last], b, bias), whole[first:last])
    order = np.random.default_rng(1).permutation(29)
    assert_same_bits(matmul(a[order], b, bias), whole[order])


@both_dtypes
def test_a_column_depends_on_that_column_alone(dtype):
    a, b, bias = problem(11, 70, 45, dtype)
    whole = matmul(a, b, bias)
    for first in range(45):
        for last in {first + 1, min(first + 16, 45), 45}:
            part = matmul(a, np.ascontiguousarray(b[:, first:last]), bias[first:last])
            assert_same_bits(part, np.ascontiguousarray(whole[:, first:last]))


@both_dtypes
def test_not_a_number_in_a_row_stays_there(dtype):
    a, b, _ = problem(13, 40, 21, dtype)
    expected = matmul(a, b)
    a[4, 7] = np.nan
    a[9, 3] = np.inf
    out = matmul(a, b)
    assert np.isnan(out[4]).all()
    assert not np.isfinite(out[9]).any()
    others = np.setdiff1d(np.arange(13), [4, 9])
    assert_same_bits(out[others], expected[others])


@both_dtypes
def test_relu_does_not_hide_not_a_number(dtype):
    a, b, bias = problem(7, 5, 19, dtype)
    a[3, 2] = np.nan
    out = matmul(a, b, bias, relu=True)
    assert np.isnan(out[3]).all()
    assert np.isfinite(np.delete(out, 3, axis=0)).all()


def strided_forms(x):
    """The same matrix in other memory layouts."""
    wide = np.zeros((2 * x.shape[0] + 1, 3 * x.shape[1] + 2), x.dtype)
    every_third = wide[1::2, 2::3]
    every_third[...] = x
    shifted = np.zeros(x.size + 1, x.dtype)[1:].reshape(x.shape)
    shifted[...] = x
    backwards = x[::-1, ::-1].copy()[::-1, ::-1]
    column_slice = np.concatenate([x, x, x], axis=1)[:, x.shape[1] : 2 * x.shape[1]]
    return {
        "fortran": np.asfortranarray(x),
        "strided": every_third,
        "shifted": shifted,
        "backwards": backwards,
        "columns": column_slice,
    }


@both_dtypes
def test_strides_change_no_bits(dtype):
    a, b, bias = problem(14, 33, 35, dtype)
    expected = matmul(a, b, bias)
    for form in strided_forms(a).values():
        assert_same_bits(matmul(form, b, bias), expected)
    for form in strided_forms(b).values():
        assert_same_bits(matmul(a, form, bias), expected)
        assert_same_bits(matmul(np.asfortranarray(a), form, bias), expected)


@both_dtypes
def test_strides_that_are_no_multiple_of_the_element(dtype):
    a, b, _ = problem(4, 5, 6, dtype)
    records = np.zeros(a.shape, [("x", dtype), ("y", np.int8)])
    records["x"] = a
    try:
        out = matmul(records["x"], b)
    except ValueError:
        return
    assert_same_bits(out, matmul(a, b))


@both_dtypes
def test_a_row_repeated_by_stride_zero(dtype):
    a, b, _ = problem(1, 8, 9, dtype)
    repeated = np.broadcast_to(a, (10, 8))
    assert_same_bits(matmul(repeated, b), matmul(np.repeat(a, 10, axis=0), b))


@both_dtypes
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(("m", "k", "n"), [(1501, 64, 70), (3, 500, 4000), (40, 7, 3)])
def test_bits_do_not_depend_on_threads(dtype, relu, m, k, n):
    a, b, bias = problem(m, k, n, dtype)
    one = matmul(a, b, bias, relu, n_threads=1)
    for n_threads in (*THREADS[1:], 16):
        assert_same_bits(matmul(a, b, bias, relu, n_threads=n_threads), one)


def test_memory_that_is_kept_for_the_next_product_changes_none():
    # Of sizes that rise and fall, some too large to be kept, by more threads than blocks are kept for.
    shapes = [(5, 3, 9), (40, 300, 200), (2, 1100, 1200), (3, 1, 1), (9, 64, 700), (4, 0, 8)]
    problems = [problem(*shape, dtype, seed) for seed, shape in enumerate(shapes) for dtype in DTYPES]
    expected = [matmul(*arguments) for arguments in problems]

    def again(seed):
        order = np.random.default_rng(seed).permutation(len(problems))
        return [(i, matmul(*problems[i])) for _ in range(5) for i in order]

    with ThreadPoolExecutor(8) as executor:
        for results in executor.map(again, range(8)):
            for i, result in results:
                assert_same_bits(result, expected[i])


@both_dtypes
def test_adjoint(dtype):
    a, x, _ = problem(30, 21, 4, dtype)
    y = np.random.default_rng(5).normal(size=(30, 4)).astype(dtype)
    left = (matmul(a, x).astype(float) * y).sum()
    right = (x.astype(float) * matmul(a.T, y)).sum()
    np.testing.assert_allclose(left, right, rtol=1e-12 if dtype == np.float64 else 1e-4)


def test_gradients_are_products_with_the_transposed():
    a, b, bias = problem(4, 3, 5, np.float64)
    d_out = np.random.default_rng(5).normal(size=(4, 5))
    assert_gradient(matmul(d_out, b.T), lambda x: (matmul(x, b, bias) * d_out).sum(), a)
    assert_gradient(matmul(a.T, d_out), lambda x: (matmul(a, x, bias) * d_out).sum(), b)


@both_dtypes
def test_inputs_may_be_read_only(dtype):
    a, b, bias = problem(8, 9, 10, dtype)
    assert_same_bits(matmul(read_only(a), read_only(b), read_only(bias)), matmul(a, b, bias))


@both_dtypes
@pytest.mark.parametrize(("m", "k", "n"), [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0), (3, 0, 0)])
def test_sizes_of_zero(dtype, m, k, n):
    a, b, bias = problem(m, k, n, dtype)
    out = matmul(a, b, bias, n_threads=2)
    assert_same_bits(out, np.broadcast_to(bias, (m, n)).copy() if k == 0 else np.zeros((m, n), dtype))
    assert_same_bits(matmul(a, b), np.zeros((m, n), dtype))


@both_dtypes
def test_arguments_after_out_have_defaults(dtype):
    a, b, _ = problem(4, 5, 6, dtype)
    out = garbage((4, 6), dtype)
    _blas.matmul(a, b, out)
    assert_same_bits(out, matmul(a, b))


@both_dtypes
@pytest.mark.parametrize(
    ("a_shape", "b_shape", "out_shape", "bias_shape"),
    [
        ((4, 5), (6, 3), (4, 3), None),
        ((4, 5), (5, 3), (5, 3), None),
        ((4, 5), (5, 3), (4, 4), None),
        ((4, 5), (5, 3), (3, 4), None),
        ((4, 5), (5, 3), (4, 3), (4,)),
        ((4, 5), (5, 3), (4, 3), (0,)),
        ((4, 0), (5, 3), (4, 3), None),
        ((0, 5), (5, 3), (4, 3), None),
    ],
)
def test_wrong_shapes_are_refused(dtype, a_shape, b_shape, out_shape, bias_shape):
    bias = None if bias_shape is None else np.zeros(bias_shape, dtype)
    with pytest.raises(ValueError, match=r"."):
        _blas.matmul(np.zeros(a_shape, dtype), np.zeros(b_shape, dtype), np.zeros(out_shape, dtype), bias)


def test_wrong_arrays_are_refused():
    a, b, _ = problem(4, 5, 6, np.float64)
    with pytest.raises((ValueError, TypeError)):
        _blas.matmul(a, b.astype(np.float32), np.zeros((4, 6)))
    with pytest.raises((ValueError, TypeError)):
        _blas.matmul(a.astype(int), b.astype(int), np.zeros((4, 6), int))
    with pytest.raises((ValueError, TypeError)):
        _blas.matmul(a[0], b, np.zeros((1, 6)))
    with pytest.raises(ValueError, match=r"."):
        _blas.matmul(a, b, np.zeros((4, 12))[:, ::2])
    with pytest.raises(ValueError, match=r"."):
        _blas.matmul(a, b, read_only(np.zeros((4, 6))))


# A float32 matrix packed once


def left_multiply(packed, a, bias=None, relu=False, n_threads=1):
    out = garbage((len(a), packed.n_columns), np.float32)
    packed.left_multiply(a, out, bias, relu, n_threads)
    return out


@given(m=sizes, k=sizes, n=sizes, with_bias=st.booleans(), relu=st.booleans(), rng=generators())
def test_packed_matrix_gives_the_bits_of_matmul(m, k, n, with_bias, relu, rng):
    a, b = rng.normal(size=(m, k)).astype(np.float32), rng.normal(size=(k, n)).astype(np.float32)
    bias = rng.normal(size=n).astype(np.float32) if with_bias else None
    packed = _blas.PackedMatrix(b)
    assert (packed.n_rows, packed.n_columns) == (k, n)
    expected = matmul(a, b, bias, relu)
    b[...] = np.nan  # the packed matrix is a copy
    assert_same_bits(left_multiply(packed, a, bias, relu), expected)


def test_packed_matrix_of_any_strides_and_threads():
    a, b, bias = problem(1500, 33, 70, np.float32)
    expected = matmul(a, b, bias)
    for form in strided_forms(b).values():
        packed = _blas.PackedMatrix(read_only(form) if form.flags.c_contiguous else form)
        for n_threads in THREADS:
            assert_same_bits(left_multiply(packed, a, bias, n_threads=n_threads), expected)


@pytest.mark.parametrize(
    ("a_shape", "out_shape", "bias_shape"),
    [((4, 6), (4, 3), None), ((4, 5), (4, 4), None), ((4, 5), (5, 3), None), ((4, 5), (4, 3), (4,))],
)
def test_packed_matrix_refuses_wrong_shapes(a_shape, out_shape, bias_shape):
    packed = _blas.PackedMatrix(np.zeros((5, 3), np.float32))
    a, out = np.zeros(a_shape, np.float32), np.zeros(out_shape, np.float32)
    bias = None if bias_shape is None else np.zeros(bias_shape, np.float32)
    with pytest.raises(ValueError, match=r"."):
        packed.left_multiply(a, out, bias)
