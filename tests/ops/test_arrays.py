"""What every operation says of arrays that it cannot take."""

import inspect
import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from textcnn import ops
from textcnn.ops._arrays import as_integer, common_dtype

X = np.ones((1, 4, 1))


def test_result_of_several_parts_is_no_array():
    with pytest.raises(TypeError, match="found a tuple of 2, but expected one array"):
        ops.relu(ops.max_pool1d(X, 2))


def test_kernel_without_channels_is_told_its_axes():
    with pytest.raises(
        ValueError, match=r"weights has shape \(3,\), but expected \(kernel_size, in_channels // groups"
    ):
        ops.conv1d(X, ops.kernels.mean(3))


def with_padding(operation, *arguments):
    return lambda x, value: operation(
        x, *arguments, padding="same", padding_mode="constant", padding_value=value
    )


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("slope", lambda x, value: ops.leaky_relu(x, slope=value)),
        ("slope", lambda x, value: ops.leaky_relu_backward(x, x, slope=value)),
        ("padding_value", lambda x, value: ops.pad1d(x, 1, padding_mode="constant", padding_value=value)),
        ("padding_value", with_padding(ops.im2col, 3)),
        ("padding_value", with_padding(ops.conv1d, np.ones((3, 1, 1), np.float32))),
        ("padding_value", with_padding(ops.tiled_conv1d, np.ones((2, 3, 1, 1), np.float32))),
    ],
)
def test_numbers_that_float32_cannot_hold_are_refused_for_it(name, call):
    call(X.astype(np.float32), 3.4e38)
    call(X, -1e39)
    for number in (1e39, -1e39):
        said = re.escape(f"{name} is {number}, but float32 holds numbers up to 3.403e+38 only")
        with pytest.raises(ValueError, match=said):
            call(X.astype(np.float32), number)


def test_an_infinite_padding_value_that_was_asked_for_is_taken():
    padded = ops.pad1d(X.astype(np.float32), 1, padding_mode="constant", padding_value=-np.inf)
    assert_array_equal(padded.ravel(), [-np.inf, 1, 1, 1, 1, -np.inf])


@pytest.mark.parametrize("value", [True, 1.0, "1", None, np.array([1, 2]), np.bool_(True)])
def test_what_is_no_integer_is_refused(value):
    with pytest.raises(TypeError, match=r"stride is .*, but it must be an integer of at least 1"):
        as_integer(value, "stride", 1)


def test_integer_of_any_kind_is_taken():
    assert [as_integer(value, "k", 0) for value in (3, np.int8(3), np.uint64(3), np.array(3))] == [3] * 4


@pytest.mark.parametrize("dtype", [complex, object, str, "datetime64[s]"])
def test_arrays_of_anything_but_real_numbers_are_refused(dtype):
    with pytest.raises(TypeError, match="the operations take real numbers"):
        common_dtype(np.zeros(2, dtype))


def test_what_is_masked_would_be_read_as_it_is():
    masked = np.ma.array(X, mask=X > 0)
    with pytest.raises(TypeError, match="an array is masked, but the operations do not read masks"):
        ops.conv1d(masked, np.ones((2, 1, 1)))


INTEGERS = {
    "offsets": (lambda a: ops.relu(ops.im2col(X[0], 1, offsets=a)[0]), [0, 2, 4]),
    "offsets of x": (lambda a: ops.col2im(X[0], 1, offsets=a), [0, 2, 4]),
    "argmax": (lambda a: ops.max_pool1d_backward(np.ones((1, 2, 1)), a, length=4), [[[1], [2]]]),
    "argmax of a text": (lambda a: ops.global_max_pool1d_backward(np.ones((1, 1)), a, length=4), [[1]]),
    "k": (lambda a: ops.k_max_pool1d(X, a)[0], [2]),
    "length": (lambda a: ops.dynamic_k(1, 2, a, 1), [4]),
    "lengths": (lambda a: ops.conv_output_length(a, 2), [4]),
    "targets": (lambda a: ops.cross_entropy(np.zeros((2, 3)), a), [0, 2]),
}
all_integers = pytest.mark.parametrize(("operation", "values"), INTEGERS.values(), ids=INTEGERS)


@all_integers
def test_masks_of_integers_are_refused_as_those_of_x(operation, values):
    array = np.array(values)
    masked = np.ma.array(array, mask=np.zeros(array.shape, bool))
    with pytest.raises(TypeError, match="is masked, but the operations do not read masks; fill it first"):
        operation(masked)
    assert_array_equal(operation(array), operation(masked.filled()))


@all_integers
def test_integers_beyond_those_of_an_index_are_refused(operation, values):
    array = np.array(values, np.uint64)
    assert_array_equal(operation(array), operation(values))
    array.reshape(-1)[-1] = 2**64 - 1  # the bits of -1
    with pytest.raises(ValueError, match="18446744073709551615"):
        operation(array)


def test_mask_of_flipped_weights_is_refused():
    weights = np.ma.array(np.ones((2, 1, 1)), mask=True)
    with pytest.raises(TypeError, match="is masked"):
        ops.convolve1d(X, weights)
    with pytest.raises(TypeError, match="is masked"):
        ops.convolve1d_backward(np.ones((1, 3, 1)), X, weights)


def test_mask_of_gradients_of_maxima_is_refused():
    with pytest.raises(TypeError, match="d_out is masked"):
        ops.global_max_pool1d_backward(np.ma.array([[1.0]], mask=True), [[0]], length=4)


@pytest.mark.parametrize("name", [name for name in ops.__all__ if inspect.isfunction(getattr(ops, name))])
def test_what_has_a_default_is_given_by_name(name):
    """But an array: the bias, and the places of the maxima, which stand beside the other arrays."""
    parameters = inspect.signature(getattr(ops, name)).parameters.values()
    by_place = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is not p.empty]
    assert set(by_place) <= {"bias", "argmax"}


def test_nothing_is_no_array():
    with pytest.raises(TypeError, match="found None, but expected an array"):
        ops.relu(None)
    with pytest.raises(TypeError, match="found None, but expected an array"):
        ops.mse_backward(None, [1.0], [2.0])


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ([1, 4], "offsets run from 1 to 4, but must rise from 0 to the 4 rows of x"),
        ([0, 5], "offsets run from 0 to 5, but must rise from 0 to the 4 rows of x"),
        ([0, 2, 3, 1, 4], "offsets fall from 3 to 1 at text 2, but must rise from 0 to the 4 rows of x"),
        ([], r"offsets has shape \(0,\) and dtype float64, but expected integers"),
        (4, r"offsets has shape \(\) and dtype int64, but expected integers"),
        ("ab", r"offsets has shape \(\) and dtype <U2, but expected integers"),
    ],
)
def test_offsets_that_cannot_be_are_refused(offsets, message):
    with pytest.raises(ValueError, match=message):
        ops.im2col(X[0], 1, offsets=offsets)


@pytest.mark.parametrize("offsets", [[1, 4], [0, 5, 4], [], 4, "ab", [0.0, 4.0]])
def test_offsets_that_alone_say_how_many_rows_there_are_are_refused_too(offsets):
    with pytest.raises(ValueError, match=r"offsets (run|fall|has)"):
        ops.col2im(X[0], 1, offsets=offsets)
    with pytest.raises(ValueError, match=r"offsets (run|fall|has)"):
        ops.global_max_pool1d_backward(np.ones((1, 1)), np.zeros((1, 1), int), offsets=offsets)


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        ((np.float32, np.float16), np.float32),
        ((np.float32, np.float64), np.float64),
        ((np.float16,), np.float32),
        ((np.int64,), np.float64),
        ((bool,), np.float64),
    ],
)
def test_float32_stays_and_everything_else_is_float64(dtypes, expected):
    assert common_dtype(*(np.zeros(2, dtype) for dtype in dtypes), None) == expected


def test_threads_are_a_number():
    with pytest.raises(TypeError, match="n_jobs is array"):
        ops.relu(X, n_jobs=np.array([1, 2]))


def test_pooling_takes_no_padding_by_name():
    with pytest.raises(ValueError, match=r"padding is 'same', but it must be an integer or a pair"):
        ops.max_pool1d(X, 2, padding="same")


def test_texts_of_different_lengths_are_packed():
    with pytest.raises(
        ValueError, match="rows of different lengths; put texts of different lengths end to end"
    ):
        ops.relu([[1.0, 2.0], [3.0]])


def test_rows_without_offsets_are_told_both_forms():
    with pytest.raises(
        ValueError,
        match=r"\(4, 1\), but expected \(n, length, channels\), or \(n_rows, channels\) with offsets",
    ):
        ops.global_mean_pool1d(X[0])


@pytest.mark.parametrize(
    ("pool", "backward"),
    [(ops.max_pool1d, ops.max_pool1d_backward), (ops.k_max_pool1d, ops.k_max_pool1d_backward)],
)
def test_packed_gradient_of_picked_rows_needs_the_offsets_of_the_result(pool, backward):
    offsets = [0, 1, 4]
    options = {"kernel_size": 1} if pool is ops.k_max_pool1d else {}
    out, argmax, out_offsets = pool(X[0], 1, offsets=offsets, **options)
    with pytest.raises(ValueError, match="but out_offsets is missing; give the offsets that the pooling"):
        backward(out, argmax, offsets=offsets)
    np.testing.assert_array_equal(backward(out, argmax, offsets=offsets, out_offsets=out_offsets), X[0])


def test_array_in_place_of_an_integer_is_told_by_its_shape():
    with pytest.raises(TypeError, match=r"kernel_size is an array of shape \(3, 1, 1\), but it must be"):
        ops.im2col(X, np.ones((3, 1, 1)))
