"""Convolutions in one dimension: values, gradients, both forms of a batch, and what is refused."""

import numpy as np
import pytest
from checks import (
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
from packed import assert_same_alone, assert_same_on_any_number_of_threads, joined, random_rows, texts_of
from strategies import generators, text_lengths

from textcnn.ops.arithmetic import conv_output_length, resolve_padding
from textcnn.ops.convolution import (
    conv1d,
    conv1d_backward,
    conv_transpose1d,
    conv_transpose1d_backward,
    convolve1d,
    convolve1d_backward,
    locally_connected1d,
    locally_connected1d_backward,
    tiled_conv1d,
    tiled_conv1d_backward,
)
from textcnn.ops.padding import PADDING_MODES

NUMPY_MODES = {
    "zeros": {"mode": "constant"},
    "constant": {"mode": "constant", "constant_values": 2.5},
    "reflect": {"mode": "reflect"},
    "replicate": {"mode": "edge"},
    "circular": {"mode": "wrap"},
}
FUNCTIONS = {
    "conv1d": (conv1d, conv1d_backward, (3, 2, 4)),
    "convolve1d": (convolve1d, convolve1d_backward, (3, 2, 4)),
    "tiled_conv1d": (tiled_conv1d, tiled_conv1d_backward, (2, 3, 2, 4)),
    "locally_connected1d": (locally_connected1d, locally_connected1d_backward, (5, 3, 2, 4)),
    "conv_transpose1d": (conv_transpose1d, conv_transpose1d_backward, (3, 4, 2)),
}
"""Function, its backward, and weights that fit x (n, 7, 2); the result has 4 channels."""

all_functions = pytest.mark.parametrize("name", FUNCTIONS)
all_modes = pytest.mark.parametrize("mode", PADDING_MODES)
paddings = (
    st.sampled_from(["valid", "same", "full"]) | st.integers(0, 5) | st.tuples(*[st.integers(0, 9)] * 2)
)


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def mode_options(mode):
    return {"padding_mode": mode} | ({"padding_value": 2.5} if mode == "constant" else {})


def padded(text, left, right, mode):
    if len(text) == 0:
        return np.full((left + right, text.shape[1]), 2.5 if mode == "constant" else 0.0)
    return np.pad(text, ((left, right), (0, 0)), **NUMPY_MODES[mode])


def by_definition(text, kernels, biases, stride, dilation, groups, padding, mode="zeros"):
    """Result for one text (length, c) of kernels (m, k, c / groups, f) in turn, window by window."""
    kernel_size, c, f = kernels.shape[1], text.shape[1] // groups, kernels.shape[3] // groups
    text = padded(text, *resolve_padding(padding, kernel_size, dilation=dilation), mode)
    extent = dilation * (kernel_size - 1) + 1
    out = []
    for t, begin in enumerate(range(0, len(text) - extent + 1, stride)):
        window, kernel = text[begin : begin + extent : dilation], kernels[t % len(kernels)]
        row = biases[t % len(biases)].copy()
        for g in range(groups):
            ins, outs = window[:, g * c : (g + 1) * c], kernel[:, :, g * f : (g + 1) * f]
            row[g * f : (g + 1) * f] += np.einsum("kc,kcf->f", ins, outs)
        out.append(row)
    return np.array(out).reshape(len(out), kernels.shape[3])


@st.composite
def calls(draw, least_kernels=1, most_kernels=1):
    """Rows, offsets, kernels (m, k, c / groups, f), biases (m, f) and options."""
    groups = draw(st.integers(1, 3))
    c, f = draw(st.sampled_from([(1, 1), (2, 3), (3, 1), (5, 18)]))
    rng = draw(generators())
    rows, offsets = random_rows(draw(text_lengths(max_texts=4)), c * groups, rng)
    shape = (draw(st.integers(least_kernels, most_kernels)), draw(st.integers(1, 5)), c, f * groups)
    options = {
        "stride": draw(st.integers(1, 4)),
        "dilation": draw(st.integers(1, 4)),
        "groups": groups,
        "padding": draw(paddings),
    }
    return rows, offsets, rng.normal(size=shape), rng.normal(size=(shape[0], shape[3])), options


# ---- values -----------------------------------------------------------------------------------------------


@both_dtypes
@all_modes
@given(call=calls())
def test_conv1d_is_its_definition(dtype, mode, call):
    rows, offsets, kernels, biases, options = call
    arguments = [array.astype(dtype) for array in (rows, kernels[0], biases[0])]
    out, out_offsets = conv1d(*arguments, offsets=offsets, **options, **mode_options(mode))
    expected = [by_definition(t, kernels, biases, **options, mode=mode) for t in texts_of(rows, offsets)]
    assert_close(out, joined(expected, kernels.shape[3], dtype))
    assert_array_equal(np.diff(out_offsets), [len(text) for text in expected])


@both_dtypes
@all_modes
@given(call=calls())
def test_convolve1d_flips_the_kernel(dtype, mode, call):
    rows, offsets, kernels, biases, options = call
    arguments = [array.astype(dtype) for array in (rows, kernels[0], biases[0])]
    out, _ = convolve1d(*arguments, offsets=offsets, **options, **mode_options(mode))
    flipped = kernels[:, ::-1]
    expected = [by_definition(t, flipped, biases, **options, mode=mode) for t in texts_of(rows, offsets)]
    assert_close(out, joined(expected, kernels.shape[3], dtype))


@both_dtypes
@all_modes
@given(call=calls(most_kernels=6))
def test_tiled_conv1d_is_its_definition(dtype, mode, call):
    rows, offsets, kernels, biases, options = call
    arguments = [array.astype(dtype) for array in (rows, kernels, biases)]
    out, _ = tiled_conv1d(*arguments, offsets=offsets, **options, **mode_options(mode))
    expected = [by_definition(t, kernels, biases, **options, mode=mode) for t in texts_of(rows, offsets)]
    assert_close(out, joined(expected, kernels.shape[3], dtype))


@both_dtypes
@all_modes
@given(call=calls(least_kernels=40, most_kernels=42))
def test_locally_connected1d_has_a_kernel_for_each_row(dtype, mode, call):
    rows, offsets, kernels, biases, options = call
    options["padding"] = min(options["padding"], 5) if isinstance(options["padding"], int) else "same"
    arguments = [array.astype(dtype) for array in (rows, kernels, biases)]
    out, _ = locally_connected1d(*arguments, offsets=offsets, **options, **mode_options(mode))
    expected = [by_definition(t, kernels, biases, **options, mode=mode) for t in texts_of(rows, offsets)]
    assert_close(out, joined(expected, kernels.shape[3], dtype))


def transposed_by_definition(text, kernel, bias, stride, dilation, groups, padding, output_padding):
    """Result for one text (length, f) of a kernel (k, c / groups, f): copies of it, put down and cut off."""
    kernel_size, c, f = kernel.shape[0], kernel.shape[1], kernel.shape[2] // groups
    n_rows = max((len(text) - 1) * stride + dilation * (kernel_size - 1) + 1 + output_padding, 0)
    out = np.tile(bias, (n_rows, 1))
    for t in range(len(text)):
        for k in range(kernel_size):
            for g in range(groups):
                ins, outs = slice(g * f, (g + 1) * f), slice(g * c, (g + 1) * c)
                out[t * stride + k * dilation, outs] += kernel[k][:, ins] @ text[t, ins]
    left, right = resolve_padding(padding, kernel_size, dilation=dilation)
    return out[left : max(left, n_rows - right)]


@both_dtypes
@given(call=calls(), output_padding=st.integers(0, 3))
def test_conv_transpose1d_is_its_definition(dtype, call, output_padding):
    rows, offsets, kernels, _, options = call
    if output_padding < max(options["stride"], options["dilation"]):
        options["output_padding"] = output_padding
    else:
        options["output_padding"] = 0
    kernel = kernels[0]
    x, bias = random(len(rows), kernel.shape[2]), random(kernel.shape[1] * options["groups"], seed=1)
    expected = [transposed_by_definition(text, kernel, bias, **options) for text in texts_of(x, offsets)]
    arguments = [array.astype(dtype) for array in (x, kernel, bias)]
    out, out_offsets = conv_transpose1d(*arguments, offsets=offsets, **options)
    assert_close(out, joined(expected, len(bias), dtype))
    assert_array_equal(np.diff(out_offsets), [len(text) for text in expected])


@pytest.mark.parametrize("mode", ["full", "valid", "same"])
@pytest.mark.parametrize(("length", "kernel_size"), [(7, 3), (5, 5), (9, 1), (6, 4)])
def test_convolve1d_is_that_of_numpy(mode, length, kernel_size):
    # NumPy has the extra row of an even kernel on the left.
    padding = (kernel_size // 2, (kernel_size - 1) // 2) if mode == "same" else mode
    x, kernel = random(length), random(kernel_size, seed=1)
    out = convolve1d(x.reshape(1, -1, 1), kernel.reshape(-1, 1, 1), padding=padding)
    assert_allclose(out.ravel(), np.convolve(x, kernel, mode), rtol=1e-12, atol=1e-14)


@both_dtypes
def test_minimal_filtering_keeps_the_precision(dtype):
    # Wide enough for minimal filtering in float32.
    x, kernel, bias = random(3, 50, 64).astype(dtype), random(3, 64, 40, seed=1).astype(dtype), random(40)
    for dilation in (1, 2, 3):
        options = {"stride": 1, "dilation": dilation, "groups": 1, "padding": "same"}
        wide = kernel[np.newaxis].astype(float)
        expected = [by_definition(text.astype(float), wide, bias[np.newaxis], **options) for text in x]
        out = conv1d(x, kernel, bias.astype(dtype), **options)
        assert_close(out, np.array(expected).astype(dtype), 2e-5 if dtype == np.float32 else None)


# ---- relations between the functions -----------------------------------------------------------------------


@both_dtypes
@given(call=calls())
def test_one_tile_is_conv1d_and_its_gradient(dtype, call):
    rows, offsets, kernels, biases, options = call
    rows, kernels, biases = (array.astype(dtype) for array in (rows, kernels, biases))
    out, out_offsets = tiled_conv1d(rows, kernels, biases, offsets=offsets, **options)
    expected, expected_offsets = conv1d(rows, kernels[0], biases[0], offsets=offsets, **options)
    assert_same_bits(out, expected)
    assert_array_equal(out_offsets, expected_offsets)
    gradients = tiled_conv1d_backward(out, rows, kernels, offsets=offsets, **options)
    d_x, d_weights, d_bias = conv1d_backward(out, rows, kernels[0], offsets=offsets, **options)
    for actual, expected in zip(gradients, (d_x, d_weights[np.newaxis], d_bias[np.newaxis]), strict=True):
        assert_same_bits(actual, expected)


@both_dtypes
@pytest.mark.parametrize("n_kernels", [5, 6, 20])
def test_as_many_tiles_as_rows_are_locally_connected(dtype, n_kernels):
    x, kernels = random(3, 7, 2).astype(dtype), random(n_kernels, 3, 2, 4, seed=1).astype(dtype)
    bias = random(n_kernels, 4, seed=2).astype(dtype)
    out = tiled_conv1d(x, kernels, bias)
    assert_same_bits(locally_connected1d(x, kernels[:5], bias[:5]), out)
    d_x, d_weights, d_bias = tiled_conv1d_backward(out, x, kernels)
    own = locally_connected1d_backward(out, x, kernels[:5])
    for actual, expected in zip(own, (d_x, d_weights[:5], d_bias[:5]), strict=True):
        assert_same_bits(actual, expected)
    assert not d_weights[5:].any()
    assert not d_bias[5:].any()


def test_equal_kernels_make_tiles_and_local_connections_a_convolution():
    x, kernel = random(2, 9, 3), random(3, 3, 4, seed=1)
    expected = conv1d(x, kernel, padding="same")
    assert_close(tiled_conv1d(x, np.stack([kernel] * 4), padding="same"), expected)
    assert_close(locally_connected1d(x, np.stack([kernel] * 9), padding="same"), expected)


def test_a_kernel_of_width_1_is_the_dense_layer():
    x, kernel, bias = random(2, 5, 3), random(1, 3, 4, seed=1), random(4, seed=2)
    assert_close(conv1d(x, kernel, bias), x @ kernel[0] + bias)


def test_groups_are_convolutions_side_by_side():
    x, kernel = random(2, 9, 6), random(3, 2, 9, seed=1)
    parts = [conv1d(x[..., 2 * g : 2 * g + 2], kernel[..., 3 * g : 3 * g + 3]) for g in range(3)]
    assert_close(conv1d(x, kernel, groups=3), np.concatenate(parts, axis=2))


@given(call=calls(), extra=st.integers(0, 12))
def test_conv_transpose1d_is_the_adjoint_of_conv1d(call, extra):
    rows, _, kernels, _, options = call
    kernel, stride = kernels[0], options["stride"]
    length = len(rows) + extra
    n_out = conv_output_length(length, len(kernel), **{k: v for k, v in options.items() if k != "groups"})
    if n_out == 0:
        return
    left, right = resolve_padding(options["padding"], len(kernel), dilation=options["dilation"])
    output_padding = (length + left + right - options["dilation"] * (len(kernel) - 1) - 1) % stride
    x, y = random(2, length, rows.shape[1]), random(2, n_out, kernel.shape[2], seed=1)
    back = conv_transpose1d(y, kernel, output_padding=output_padding, **options)
    assert back.shape == x.shape
    assert_adjoint(
        lambda x: conv1d(x, kernel, **options),
        lambda y: conv_transpose1d(y, kernel, output_padding=output_padding, **options),
        x,
        y,
    )
    d_x, d_weights, _ = conv1d_backward(y, x, kernel, **options)
    assert_close(back, d_x)
    d_back, d_kernel, _ = conv_transpose1d_backward(x, y, kernel, output_padding=output_padding, **options)
    assert_close(d_back, conv1d(x, kernel, **options))
    assert_close(d_kernel, d_weights)


@all_modes
@given(call=calls(most_kernels=3))
def test_gradients_are_transposes(mode, call):
    rows, offsets, kernels, _, options = call
    if mode == "constant":
        mode = "replicate"  # a constant is added: the map is not linear
    options = options | {"offsets": offsets, "padding_mode": mode}
    d_out = random(*tiled_conv1d(rows, kernels, **options)[0].shape)
    assert_adjoint(
        lambda rows: tiled_conv1d(rows, kernels, **options)[0],
        lambda d_out: tiled_conv1d_backward(d_out, rows, kernels, **options)[0],
        rows,
        d_out,
    )
    assert_adjoint(
        lambda kernels: tiled_conv1d(rows, kernels, **options)[0],
        lambda d_out: tiled_conv1d_backward(d_out, rows, kernels, **options)[1],
        kernels,
        d_out,
    )


@given(call=calls())
def test_gradients_of_the_flipped_and_of_local_kernels_are_transposes(call):
    rows, offsets, kernels, _, options = call
    options = options | {"offsets": offsets}
    out, out_offsets = convolve1d(rows, kernels[0], **options)
    d_out, longest = random(*out.shape), np.diff(out_offsets).max(initial=0)
    for forward, backward, weights in (
        (convolve1d, convolve1d_backward, kernels[0]),
        (locally_connected1d, locally_connected1d_backward, random(longest, *kernels.shape[1:], seed=1)),
    ):
        for place in (0, 1):  # of x and of the weights in the arguments
            arguments = [rows, weights]

            def result(array, place=place, forward=forward, arguments=arguments):
                return forward(*arguments[:place], array, *arguments[place + 1 :], **options)[0]

            def gradient(d_out, place=place, backward=backward, arguments=arguments):
                return backward(d_out, *arguments, **options)[place]

            assert_adjoint(result, gradient, arguments[place], d_out)


def test_a_fractional_stride_lengthens_the_text():
    # i = (o - 1) s + k - 2 p, Dumoulin & Visin 2016, relationship 13.
    for n_rows, stride, kernel_size, padding in [(3, 2, 3, 0), (3, 2, 3, 1), (5, 3, 4, 2), (1, 4, 1, 0)]:
        out = conv_transpose1d(
            np.ones((1, n_rows, 1)), np.ones((kernel_size, 1, 1)), stride=stride, padding=padding
        )
        assert out.shape[1] == (n_rows - 1) * stride + kernel_size - 2 * padding


# ---- gradients --------------------------------------------------------------------------------------------


def assert_gradients(forward, backward, x, weights, bias, **options):
    """All three gradients are central differences of <forward, d_out>."""
    packed = "offsets" in options

    def result(x, weights, bias):
        out = forward(x, weights, bias, **options)
        return out[0] if packed else out

    d_out = random(*result(x, weights, bias).shape, seed=9)
    d_x, d_weights, d_bias = backward(d_out, x, weights, **options)
    assert_gradient(d_x, lambda x: np.vdot(result(x, weights, bias), d_out), x)
    assert_gradient(d_weights, lambda weights: np.vdot(result(x, weights, bias), d_out), weights)
    assert_gradient(d_bias, lambda bias: np.vdot(result(x, weights, bias), d_out), bias)


def random_bias(name, weights):
    shape = weights.shape[1:2] if name == "conv_transpose1d" else (*weights.shape[:-3], weights.shape[-1])
    return random(*shape, seed=2)


@all_functions
def test_gradients_are_central_differences(name):
    forward, backward, shape = FUNCTIONS[name]
    weights = random(*shape, seed=1)
    assert_gradients(forward, backward, random(2, 7, 2), weights, random_bias(name, weights))


@all_functions
@pytest.mark.parametrize("padding", ["same", "full", 2, (0, 3)])
def test_gradients_with_stride_dilation_groups_and_packed_texts(name, padding):
    forward, backward, shape = FUNCTIONS[name]
    lengths = [4, 0, 1, 6]
    x, offsets = random_rows(lengths, 4, rng=3)
    options = {"stride": 2, "dilation": 3, "groups": 2, "padding": padding, "offsets": offsets}
    if name == "locally_connected1d":
        shape = (12, *shape[1:])
    if name == "conv_transpose1d":
        shape, options["output_padding"] = (3, 3, 4), 1
    weights = random(*shape, seed=1)
    bias = random(6, seed=2) if name == "conv_transpose1d" else random_bias(name, weights)
    assert_gradients(forward, backward, x, weights, bias, **options)


@all_modes
@pytest.mark.parametrize("name", ["conv1d", "convolve1d", "tiled_conv1d", "locally_connected1d"])
def test_gradients_in_every_padding_mode(mode, name):
    forward, backward, shape = FUNCTIONS[name]
    options = {"padding": (4, 5), "stride": 2, **mode_options(mode)}
    length = conv_output_length(4, 3, stride=2, padding=(4, 5))
    weights = random(*((length, *shape[1:]) if name == "locally_connected1d" else shape), seed=1)
    assert_gradients(forward, backward, random(2, 4, 2), weights, random_bias(name, weights), **options)


def test_gradients_of_minimal_filtering_equal_those_in_float64():
    x, kernel = random(3, 40, 48), random(3, 48, 33, seed=1)
    for dilation, padding in [(1, "same"), (2, "valid"), (5, (3, 9))]:
        options = {"dilation": dilation, "padding": padding}
        d_out = random(*conv1d(x, kernel, **options).shape, seed=2)
        exact = conv1d_backward(d_out, x, kernel, **options)
        single = conv1d_backward(*(array.astype(np.float32) for array in (d_out, x, kernel)), **options)
        for actual, expected in zip(single, exact, strict=True):
            assert_close(actual, expected.astype(np.float32), 2e-5)


# ---- the two forms of a batch -----------------------------------------------------------------------------


def flat(array):
    return array.reshape(-1, array.shape[-1])


@all_functions
def test_a_dense_batch_is_a_packed_one_of_equal_lengths(name):
    forward, backward, shape = FUNCTIONS[name]
    x, weights = random(3, 7, 2), random(*shape, seed=1)
    offsets = np.arange(4) * 7
    dense = forward(x, weights)
    rows, out_offsets = forward(flat(x), weights, offsets=offsets)
    assert_same_bits(rows, flat(dense))
    assert_array_equal(out_offsets, np.arange(4) * dense.shape[1])
    gradients = backward(dense, x, weights)
    packed = backward(rows, flat(x), weights, offsets=list(offsets))
    for actual, expected in zip(packed, (flat(gradients[0]), *gradients[1:]), strict=True):
        assert_same_bits(actual, expected)


@both_dtypes
@all_functions
def test_threads_and_batch_change_no_bit(dtype, name):
    forward, backward, _ = FUNCTIONS[name]
    lengths = [300, 0, 1, 2, 700, 5, 40]
    rows, offsets = random_rows(lengths, 40)
    rows = rows.astype(dtype)
    n_kernels = {"tiled_conv1d": (3,), "locally_connected1d": (700,)}.get(name, ())
    weights = random(*n_kernels, 3, 40, 40, seed=1).astype(dtype)
    options = {"padding": "same"}
    assert_same_alone(lambda x, offsets: forward(x, weights, offsets=offsets, **options), rows, offsets)
    d_out, out_offsets = forward(rows, weights, offsets=offsets, **options)
    assert_same_on_any_number_of_threads(
        lambda n_jobs: forward(rows, weights, offsets=offsets, n_jobs=n_jobs, **options)[0]
    )
    for i in range(3):
        assert_same_on_any_number_of_threads(
            lambda n_jobs, i=i: backward(d_out, rows, weights, offsets=offsets, n_jobs=n_jobs, **options)[i]
        )
    d_x = backward(d_out, rows, weights, offsets=offsets, **options)[0]
    for text, d_text, expected in zip(
        texts_of(rows, offsets), texts_of(d_out, out_offsets), texts_of(d_x, offsets), strict=True
    ):
        alone = backward(d_text, text, weights, offsets=np.array([0, len(text)]), **options)[0]
        assert_same_bits(alone, expected)


# ---- kinds of arrays --------------------------------------------------------------------------------------


@all_functions
def test_any_layout_of_memory_and_read_only_arrays(name):
    forward, backward, shape = FUNCTIONS[name]
    x, weights = random(3, 7, 2), random(*shape, seed=1)
    bias = random_bias(name, weights)
    out = forward(x, weights, bias)
    expected = [out, *backward(out, x, weights)]
    strided = [np.repeat(array, 2, axis=-1)[..., ::2] for array in (x, weights, bias, out)]
    reversed_ = [array[::-1].copy()[::-1] for array in (x, weights, bias, out)]
    fortran = [np.asfortranarray(array) for array in (x, weights, bias, out)]
    frozen = [read_only(array) for array in (x, weights, bias, out)]
    big_endian = [array.astype(">f8") for array in (x, weights, bias, out)]
    lists = [array.tolist() for array in (x, weights, bias, out)]
    for x_, weights_, bias_, out_ in (strided, reversed_, fortran, frozen, big_endian, lists):
        results = [forward(x_, weights_, bias_), *backward(out_, x_, weights_)]
        for actual, wanted in zip(results, expected, strict=True):
            assert_same_bits(actual, wanted)


@all_functions
def test_arguments_are_not_changed_and_results_are_new(name):
    forward, backward, shape = FUNCTIONS[name]
    x, weights = random(3, 7, 2), random(*shape, seed=1)
    bias = random_bias(name, weights)
    out = forward(x, weights, bias)
    copies = [array.copy() for array in (x, weights, bias, out)]
    results = [forward(x, weights, bias), *backward(out, x, weights)]
    for array, copy in zip((x, weights, bias, out), copies, strict=True):
        assert_same_bits(array, copy)
        assert not any(np.shares_memory(array, result) for result in results)
    assert all(result.flags.c_contiguous and result.flags.writeable for result in results)


@all_functions
def test_dtypes(name):
    forward, backward, shape = FUNCTIONS[name]
    x, weights = random(3, 7, 2), random(*shape, seed=1)
    bias = random_bias(name, weights)
    out = forward(x, weights, bias)

    def dtypes(x_type, weights_type, bias_type):
        types = (x_type, weights_type, bias_type)
        results = [forward(*(a.astype(t) for a, t in zip((x, weights, bias), types, strict=True)))]
        results += backward(out.astype(x_type), x.astype(x_type), weights.astype(weights_type))
        return {str(result.dtype) for result in results}

    assert dtypes("f4", "f4", "f4") == {"float32"}
    assert dtypes("f2", "f2", "f2") == {"float32"}
    assert dtypes("f4", "f2", "i1") == {"float32"}
    assert dtypes("f8", "f4", "f4") == {"float64"}
    assert dtypes("i8", "f4", "f4") == {"float64"}
    assert dtypes("i8", "i8", "?") == {"float64"}
    assert forward(x.astype("f4"), weights.astype("f4"), bias).dtype == np.float64


def test_integers_are_counted_exactly():
    out = conv1d(np.arange(6).reshape(1, 6, 1), np.ones((2, 1, 1), int), np.array([10]))
    assert_array_equal(out.ravel(), [11, 13, 15, 17, 19])
    d_x, d_weights, d_bias = conv1d_backward(
        np.ones((1, 5, 1), int), np.arange(6).reshape(1, 6, 1), np.ones((2, 1, 1), int)
    )
    assert_array_equal(d_x.ravel(), [1, 2, 2, 2, 2, 1])
    assert_array_equal(d_weights.ravel(), [10, 15])
    assert_array_equal(d_bias, [5])


# ---- borders ----------------------------------------------------------------------------------------------


@both_dtypes
@pytest.mark.parametrize("shape", [(0, 7, 2), (0, 0, 2), (3, 0, 2), (2, 1, 2), (2, 2, 2)])
@pytest.mark.parametrize("name", ["conv1d", "convolve1d", "tiled_conv1d", "locally_connected1d"])
def test_a_kernel_wider_than_the_text_gives_no_rows(dtype, shape, name):
    forward, backward, weights_shape = FUNCTIONS[name]
    if name == "locally_connected1d":
        weights_shape = (max(0, shape[1] - 2), *weights_shape[1:])
    x, weights = random(*shape).astype(dtype), random(*weights_shape).astype(dtype)
    bias = random_bias(name, weights).astype(dtype)
    out = forward(x, weights, bias)
    assert out.shape == (shape[0], max(0, shape[1] - 2), 4)
    assert out.dtype == dtype
    d_x, d_weights, d_bias = backward(out, x, weights)
    assert_same_bits(d_x, np.zeros(shape, dtype))
    assert_same_bits(d_weights, np.zeros(weights_shape, dtype))
    assert_same_bits(d_bias, np.zeros_like(bias))


@all_modes
def test_padding_alone_makes_rows_of_an_empty_text(mode):
    kernel, bias = random(3, 2, 4), random(4, seed=1)
    out = conv1d(np.zeros((2, 0, 2)), kernel, bias, padding=2, **mode_options(mode))
    value = 2.5 if mode == "constant" else 0.0
    assert_close(out, np.broadcast_to(value * kernel.sum(axis=(0, 1)) + bias, (2, 2, 4)))
    d_x, d_weights, d_bias = conv1d_backward(
        np.ones((2, 2, 4)), np.zeros((2, 0, 2)), kernel, padding=2, **mode_options(mode)
    )
    assert d_x.shape == (2, 0, 2)
    assert_close(d_weights, np.full((3, 2, 4), 4 * value))
    assert_close(d_bias, np.full(4, 4.0))


def test_transposed_convolution_of_short_texts():
    kernel, bias = random(3, 4, 2), random(4, seed=1)
    assert conv_transpose1d(np.zeros((2, 0, 2)), kernel).shape == (2, 2, 4)
    assert_same_bits(conv_transpose1d(np.zeros((1, 0, 2)), kernel, bias)[0], np.stack([bias, bias]))
    assert conv_transpose1d(np.zeros((2, 0, 2)), kernel, stride=5).shape == (2, 0, 4)
    assert conv_transpose1d(np.zeros((0, 4, 2)), kernel).shape == (0, 6, 4)
    assert conv_transpose1d(np.zeros((2, 1, 2)), kernel, padding=9).shape == (2, 0, 4)
    x = random(1, 1, 2)
    assert_close(conv_transpose1d(x, kernel)[0], kernel @ x[0, 0])
    d_x, d_weights, d_bias = conv_transpose1d_backward(
        np.zeros((2, 0, 4)), np.ones((2, 1, 2)), kernel, padding=9
    )
    assert not d_x.any()
    assert not d_weights.any()
    assert not d_bias.any()


@both_dtypes
def test_no_channels(dtype):
    x, bias = np.zeros((2, 5, 0), dtype), np.arange(4, dtype=dtype)
    out = conv1d(x, np.zeros((3, 0, 4), dtype), bias)
    assert_same_bits(out, np.ascontiguousarray(np.broadcast_to(bias, (2, 3, 4))))
    d_x, d_weights, d_bias = conv1d_backward(out, x, np.zeros((3, 0, 4), dtype))
    assert d_x.shape == x.shape
    assert d_weights.shape == (3, 0, 4)
    assert_same_bits(d_bias, 6 * bias)
    x = np.ones((2, 5, 2), dtype)
    assert conv1d(x, np.zeros((3, 2, 0), dtype)).shape == (2, 3, 0)
    d_x, d_weights, d_bias = conv1d_backward(np.zeros((2, 3, 0), dtype), x, np.zeros((3, 2, 0), dtype))
    assert_same_bits(d_x, np.zeros_like(x))
    assert (d_weights.shape, d_bias.shape) == ((3, 2, 0), (0,))


@all_functions
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_shows_in_the_results_that_it_reaches(name, value):
    forward, backward, shape = FUNCTIONS[name]
    x, weights = np.ones((1, 7, 2)), np.ones(shape)
    reached = forward(np.where(np.arange(7) == 3, 1.0, 0.0)[None, :, None] * np.ones(2), weights)[0, :, 0] > 0
    x[0, 3, 1] = value
    out = forward(x, weights)[0]
    assert_array_equal(np.isfinite(out), np.repeat(~reached[:, None], out.shape[1], axis=1))
    assert_array_equal(out[reached], np.full((reached.sum(), out.shape[1]), value))
    d_out = np.ones((1, *out.shape))
    _, d_weights, d_bias = backward(d_out, x, weights)
    assert np.isfinite(d_weights).any()
    assert not np.isfinite(d_weights).all()
    assert np.isfinite(d_bias).all()
    d_out[0, 2, 1] = value
    d_x, _, d_bias = backward(d_out, np.ones((1, 7, 2)), weights)
    assert (~np.isfinite(d_x)).any()
    assert np.isfinite(d_x).any()
    assert (~np.isfinite(d_bias)).sum() == 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_minimal_filtering_hides_nothing_and_keeps_to_the_text(value):
    x, kernel = np.ones((3, 20, 32), np.float32), np.ones((3, 32, 32), np.float32)
    x[1, 9, 5] = value
    out = conv1d(x, kernel)
    assert not np.isfinite(out[1, 7:10]).any()
    assert np.isfinite(out[[0, 2]]).all()
    in_no_tile = [*range(4), *range(12, 18)]  # rows 7 to 9 are made in the fours 4 to 7 and 8 to 11
    assert np.isfinite(out[1, in_no_tile]).all()
    d_x, d_weights, d_bias = conv1d_backward(out, x, kernel)
    assert not np.isfinite(d_x[1, 7:12]).any()
    assert np.isfinite(d_x[[0, 2]]).all()
    assert not np.isfinite(d_weights[:, 5]).any()
    assert not np.isfinite(d_bias).any()


# ---- refused ----------------------------------------------------------------------------------------------


@all_functions
@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        (option, value, error)
        for option in ("stride", "dilation", "groups")
        for value, error in [
            (0, ValueError),
            (-1, ValueError),
            (10**12, ValueError),
            (10**40, ValueError),
            (True, TypeError),
            (1.0, TypeError),
            ("1", TypeError),
            (None, TypeError),
        ]
    ],
)
def test_options_that_are_no_sizes_are_refused(name, option, value, error):
    forward, backward, shape = FUNCTIONS[name]
    x, weights = random(2, 7, 2), random(*shape)
    message = rf"{option} is .*, but it must be"
    with pytest.raises(error, match=message):
        forward(x, weights, **{option: value})
    with pytest.raises(error, match=message):
        backward(random(2, 5, 4), x, weights, **{option: value})


@all_functions
@pytest.mark.parametrize(
    ("padding", "error"),
    [
        (-1, ValueError),
        ((1, -1), ValueError),
        ((1, 2, 3), ValueError),
        ("SAME", ValueError),
        (1.5, ValueError),
        ((1.0, 1), TypeError),
        (True, TypeError),
        (None, ValueError),
        (10**10, ValueError),
        ((0, 10**40), ValueError),
    ],
)
def test_bad_padding_is_refused(name, padding, error):
    forward, backward, shape = FUNCTIONS[name]
    x, weights = random(2, 7, 2), random(*shape)
    with pytest.raises(error, match=r"padding is .*, but it must be"):
        forward(x, weights, padding=padding)
    with pytest.raises(error, match=r"padding is .*, but it must be"):
        backward(random(2, 5, 4), x, weights, padding=padding)


@pytest.mark.parametrize("name", ["conv1d", "convolve1d", "tiled_conv1d", "locally_connected1d"])
def test_bad_padding_modes_are_refused(name):
    forward, backward, shape = FUNCTIONS[name]
    x, weights = random(2, 7, 2), random(*shape)
    for options, error, message in [
        ({"padding_mode": "edge"}, ValueError, "padding_mode is 'edge'"),
        ({"padding_mode": None}, ValueError, "padding_mode is None"),
        ({"padding_value": 1.0}, ValueError, "only the padding_mode 'constant' takes one"),
        ({"padding_mode": "constant", "padding_value": "1"}, TypeError, "must be a real number"),
    ]:
        with pytest.raises(error, match=message):
            forward(x, weights, **options)
        with pytest.raises(error, match=message):
            backward(random(2, 5, 4), x, weights, **options)


@all_functions
def test_options_may_be_integers_of_numpy(name):
    forward, _, shape = FUNCTIONS[name]
    x, weights = random(2, 7, 2), random(*shape)
    options = {"stride": np.int64(1), "dilation": np.uint8(1), "groups": np.int32(1)}
    for padding in (np.int16(0), (np.int64(0), 0), [0, 0]):
        assert_same_bits(forward(x, weights, padding=padding, **options), forward(x, weights))


@pytest.mark.parametrize(
    ("x", "weights", "bias", "options", "message"),
    [
        ((7, 2), (3, 2, 4), None, {}, r"x has shape \(7, 2\), but expected \(n, length, channels\)"),
        ((2, 7, 2), (3, 2, 4), None, {"offsets": [0, 7]}, r"expected \(n_rows, channels\) beside offsets"),
        (
            (7, 2),
            (3, 2, 4),
            None,
            {"offsets": [0, 6]},
            "offsets run from 0 to 6, but must rise from 0 to the 7",
        ),
        ((7, 2), (3, 2, 4), None, {"offsets": [0, 8, 7]}, "must rise"),
        ((7, 2), (3, 2, 4), None, {"offsets": [1, 7]}, "offsets run from 1"),
        ((7, 2), (3, 2, 4), None, {"offsets": [[0, 7]]}, "offsets has shape"),
        ((7, 2), (3, 2, 4), None, {"offsets": [0.0, 7.0]}, "expected integers"),
        ((2, 7, 2), (3, 2), None, {}, r"weights has shape \(3, 2\), but expected \(kernel_size, in_channels"),
        ((2, 7, 2), (1, 3, 2, 4), None, {}, "weights has shape"),
        ((2, 7, 2), (), None, {}, "weights has shape"),
        ((2, 7, 2), (0, 2, 4), None, {}, "the weights have a kernel size of 0, but it must be at least 1"),
        (
            (2, 7, 3),
            (3, 2, 4),
            None,
            {},
            "the weights have 2 input channels in each group, but x has 3 in 1 group,",
        ),
        ((2, 7, 4), (3, 4, 4), None, {"groups": 2}, "but x has 4 in 2 groups, which needs 2"),
        ((2, 7, 4), (3, 2, 3), None, {"groups": 2}, "groups is 2, but it must divide the 4 and 3 channels"),
        ((2, 7, 3), (3, 2, 4), None, {"groups": 2}, "groups is 2, but it must divide the 3 and 4 channels"),
        ((2, 7, 2), (3, 2, 4), (3,), {}, r"bias has shape \(3,\), but expected \(4,\)"),
        ((2, 7, 2), (3, 2, 4), (1, 4), {}, "bias has shape"),
        ((2, 7, 2), (3, 2, 4), (), {}, "bias has shape"),
        ((2, 7, 2), (3, 2, 4), None, {"dilation": 2**31 - 1}, "the effective kernel size is"),
        ((2, 7, 2), (3, 2, 4), None, {"n_jobs": 0}, "n_jobs is 0"),
    ],
)
@pytest.mark.parametrize("function", [conv1d, convolve1d])
def test_arrays_that_do_not_fit_are_refused(function, x, weights, bias, options, message):
    with pytest.raises(ValueError, match=message):
        function(np.ones(x), np.ones(weights), None if bias is None else np.ones(bias), **options)


@pytest.mark.parametrize(
    ("x", "weights", "bias", "options", "message"),
    [
        (
            (2, 7, 3),
            (3, 4, 2),
            None,
            {},
            "x has 3 channels, but the last axis of the weights, x's axis, has 2",
        ),
        ((2, 7, 3), (3, 4, 3), None, {"groups": 2}, "groups is 2, but it must divide the 3 channels of x"),
        ((2, 7, 2), (0, 4, 2), None, {}, "kernel size of 0"),
        ((2, 7, 2), (4, 2), None, {}, "weights has shape"),
        ((2, 7, 2), (3, 4, 2), (2,), {}, r"bias has shape \(2,\), but expected \(4,\)"),
        ((2, 7, 2), (3, 4, 2), (4,), {"groups": 2}, r"bias has shape \(4,\), but expected \(8,\)"),
        ((2, 7, 2), (3, 4, 2), None, {"output_padding": 1}, "less than the stride, 1, or the dilation, 1"),
        ((2, 7, 2), (3, 4, 2), None, {"output_padding": 3, "stride": 3}, "output_padding is 3"),
        (
            (2, 7, 2),
            (3, 4, 2),
            None,
            {"output_padding": -1},
            "output_padding is -1, but it must be at least 0",
        ),
    ],
)
def test_arrays_that_do_not_fit_a_transposed_convolution_are_refused(x, weights, bias, options, message):
    x, weights = np.ones(x), np.ones(weights)
    with pytest.raises(ValueError, match=message):
        conv_transpose1d(x, weights, None if bias is None else np.ones(bias), **options)


def test_output_padding_must_be_an_integer():
    for value in (True, 0.0, "0", None):
        with pytest.raises(TypeError, match="output_padding is"):
            conv_transpose1d(np.ones((2, 7, 2)), np.ones((3, 4, 2)), output_padding=value)


@pytest.mark.parametrize(
    ("function", "weights", "bias", "message"),
    [
        (
            tiled_conv1d,
            (3, 2, 4),
            None,
            r"weights has shape \(3, 2, 4\), but expected \(n_kernels, kernel_size, in_channels",
        ),
        (tiled_conv1d, (0, 3, 2, 4), None, "the weights hold 0 kernels, but at least 1 is needed"),
        (tiled_conv1d, (2, 0, 2, 4), None, "kernel size of 0"),
        (tiled_conv1d, (2, 3, 2, 4), (4,), "bias has shape"),
        (tiled_conv1d, (2, 3, 2, 4), (3, 4), "bias has shape"),
        (locally_connected1d, (3, 2, 4), None, "weights has shape"),
        (locally_connected1d, (4, 3, 2, 4), None, "the weights hold 4 kernels, but the result has 5 rows"),
        (locally_connected1d, (6, 3, 2, 4), None, "the weights hold 6 kernels"),
        (locally_connected1d, (0, 3, 2, 4), None, "the weights hold 0 kernels"),
        (locally_connected1d, (5, 0, 2, 4), None, "kernel size of 0"),
        (locally_connected1d, (5, 3, 2, 4), (4,), "bias has shape"),
        (locally_connected1d, (5, 3, 2, 4), (1, 4), "bias has shape"),
    ],
)
def test_kernels_that_do_not_fit_are_refused(function, weights, bias, message):
    with pytest.raises(ValueError, match=message):
        function(np.ones((2, 7, 2)), np.ones(weights), None if bias is None else np.ones(bias))


def test_a_packed_batch_without_texts_needs_no_kernel():
    x, kernels = np.zeros((0, 2)), np.zeros((0, 3, 2, 4))
    out, out_offsets = locally_connected1d(x, kernels, padding=3, offsets=[0])
    assert out.shape == (0, 4)
    assert out_offsets.tolist() == [0]
    gradients = locally_connected1d_backward(out, x, kernels, padding=3, offsets=[0])
    assert [gradient.shape for gradient in gradients] == [(0, 2), (0, 3, 2, 4), (0, 4)]


def test_a_packed_batch_needs_a_kernel_for_each_row_of_its_longest_text():
    x, offsets = np.ones((10, 2)), [0, 7, 10]
    with pytest.raises(ValueError, match="the weights hold 4 kernels, but the result has 5 rows"):
        locally_connected1d(x, np.ones((4, 3, 2, 4)), offsets=offsets)
    out, _ = locally_connected1d(x, np.ones((8, 3, 2, 4)), np.ones((8, 4)), offsets=offsets)
    assert_same_bits(out, np.full((6, 4), 7.0))


@all_functions
def test_a_gradient_of_another_shape_is_refused(name):
    _, backward, shape = FUNCTIONS[name]
    x, weights = np.ones((2, 7, 2)), np.ones(shape)
    n_rows = 9 if name == "conv_transpose1d" else 5
    for wrong in [(2, n_rows + 1, 4), (2, n_rows, 3), (1, n_rows, 4), (2 * n_rows, 4), ()]:
        with pytest.raises(ValueError, match="d_out has shape"):
            backward(np.ones(wrong), x, weights)
    with pytest.raises(ValueError, match="d_out has shape"):
        backward(np.ones((2, n_rows, 4)), x.reshape(14, 2), weights, offsets=[0, 7, 14])


@all_functions
def test_what_is_no_number_is_refused(name):
    forward, backward, shape = FUNCTIONS[name]
    x, weights = np.ones((2, 7, 2)), np.ones(shape)
    for wrong in (x * 1j, x.astype(str), x.astype(object)):
        with pytest.raises(TypeError, match="the operations take real numbers"):
            forward(wrong, weights)
        with pytest.raises(TypeError, match="the operations take real numbers"):
            backward(wrong, x, weights)
    for x_, weights_ in [(None, weights), (x, None), ([[1], [1, 2]], weights)]:
        with pytest.raises((ValueError, TypeError)):
            forward(x_, weights_)


@pytest.mark.parametrize("options", [{"stride": 2**28}, {"stride": 2**28, "padding": (2**28, 2**28)}])
def test_a_stride_wider_than_the_text_costs_nothing(options):
    # A table with an entry for each row of the stride would take gigabytes.
    x, kernel = random(2, 7, 2), random(3, 2, 4, seed=1)
    out = conv1d(x, kernel, **options)
    assert out.shape == (2, 3 if "padding" in options else 1, 4)
    gradients = conv1d_backward(np.ones_like(out), x, kernel, **options)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    back = conv_transpose1d(random(1, 1, 4), kernel, stride=2**28)
    assert back.shape == (1, 3, 2)


@pytest.mark.parametrize(
    "options", [{"stride": 10**9}, {"padding": (2**28 + 1, 0), "stride": 2**28}, {"dilation": 10**9}]
)
def test_distances_that_the_kernels_do_not_take_are_refused(options):
    x, kernel = random(2, 7, 2), random(1, 2, 4)
    with pytest.raises(ValueError, match=r"but it must be \d to 268435456"):
        conv1d(x, kernel, **options)
