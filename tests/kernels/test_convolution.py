"""Convolution of packed batches with every option, its adjoint, and the gradients of its weights."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from checks import (
    THREADS,
    assert_adjoint,
    assert_close,
    assert_same_bits,
    both_dtypes,
    garbage,
    read_only,
)
from hypothesis import given
from hypothesis import strategies as st
from packed import random_rows
from strategies import generators, text_lengths

from textcnn._kernels import _convolution
from textcnn._reference import convolution as reference

MINIMAL_TOLERANCE = 2e-5
"""Of minimal filtering in float32, relative to the largest result."""


@dataclass
class Problem:
    """A packed batch, a gradient of the result, weights, biases, and how they meet."""

    rows: np.ndarray
    offsets: np.ndarray
    d_out: np.ndarray
    out_offsets: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    stride: int = 1
    dilation: int = 1
    left: int = 0
    groups: int = 1
    minimal: bool = False

    @property
    def options(self):
        return {"stride": self.stride, "dilation": self.dilation, "left": self.left, "groups": self.groups}

    @property
    def in_bias(self):
        """A bias of the adjoint, (1, c)."""
        return np.linspace(-1, 1, self.rows.shape[1]).astype(self.rows.dtype)[np.newaxis]

    @property
    def tolerance(self):
        return MINIMAL_TOLERANCE if self.minimal else None

    def windows(self, adjoint=False):
        n_kernels, kernel_size = self.weights.shape[:2]
        return _convolution.Windows(
            self.offsets,
            self.out_offsets,
            kernel_size,
            self.stride,
            self.dilation,
            self.left,
            n_kernels,
            adjoint,
            self.minimal,
        )

    def astype(self, dtype):
        names = ("rows", "d_out", "weights", "bias")
        return replace(self, **{name: getattr(self, name).astype(dtype) for name in names})

    def only(self, text):
        """The same with a batch of this text alone."""
        own, out = (slice(*at[text : text + 2]) for at in (self.offsets, self.out_offsets))
        rows, d_out = self.rows[own], self.d_out[out]
        return replace(
            self,
            rows=rows,
            d_out=d_out,
            offsets=np.array([0, len(rows)]),
            out_offsets=np.array([0, len(d_out)]),
        )


def problem(lengths, shape, *, stride=1, dilation=1, left=0, right=0, groups=1, minimal=False, rng=0):
    """Problem with normal numbers and weights of this shape (m, k, c / g, f)."""
    rng = np.random.default_rng(rng)
    rows, offsets = random_rows(lengths, shape[2] * groups, rng)
    room = np.diff(offsets) + left + right - dilation * (shape[1] - 1) - 1
    out_offsets = np.concatenate([[0], np.cumsum(np.maximum(room // stride + 1, 0))]).astype(np.intp)
    return Problem(
        rows,
        offsets,
        rng.normal(size=(out_offsets[-1], shape[3])),
        out_offsets,
        rng.normal(size=shape),
        rng.normal(size=(shape[0], shape[3])),
        stride,
        dilation,
        left,
        groups,
        minimal,
    )


@st.composite
def problems(draw):
    """Problems of any shape that the direct sum takes."""
    groups = draw(st.integers(1, 3))
    c, f = draw(st.sampled_from([(1, 1), (1, 2), (2, 1), (3, 5), (0, 2), (4, 17), (11, 3)]))
    return problem(
        draw(text_lengths(max_texts=4)),
        (draw(st.integers(1, 6)), draw(st.integers(1, 5)), c, f * groups),
        stride=draw(st.integers(1, 4)),
        dilation=draw(st.integers(1, 4)),
        left=draw(st.integers(0, 6)),
        right=draw(st.integers(0, 6)),
        groups=groups,
        rng=draw(generators()),
    )


@st.composite
def minimal_problems(draw):
    """Problems that minimal filtering takes."""
    channels = st.integers(1, 40)
    return problem(
        draw(text_lengths(max_texts=3)),
        (1, 3, draw(channels), draw(channels)),
        dilation=draw(st.integers(1, 4)),
        left=draw(st.integers(0, 6)),
        right=draw(st.integers(0, 6)),
        minimal=True,
        rng=draw(generators()),
    ).astype(np.float32)


def convolve(case, bias=True, n_threads=1):
    out = garbage(case.d_out.shape, case.d_out.dtype)
    biases = case.bias if bias else None
    _convolution.convolve(case.windows(), case.rows, case.weights, out, biases, case.groups, n_threads)
    return out


def convolve_adjoint(case, bias=True, n_threads=1):
    out = garbage(case.rows.shape, case.rows.dtype)
    biases = case.in_bias if bias else None
    windows = case.windows(adjoint=True)
    _convolution.convolve(windows, case.d_out, case.weights, out, biases, case.groups, n_threads)
    return out


def weight_gradient(case, bias=True, n_threads=1):
    """The gradient of the weights, and that of the bias if it is asked for."""
    outs = garbage(case.weights.shape, case.rows.dtype), garbage(case.bias.shape, case.rows.dtype)
    d_bias = outs[1] if bias else None
    _convolution.weight_gradient(
        case.windows(), case.rows, case.d_out, outs[0], d_bias, case.groups, n_threads
    )
    return outs if bias else outs[:1]


def column_sums(x, n_threads=1):
    out = garbage(x.shape[1], x.dtype)
    _convolution.column_sums(x, out, n_threads)
    return out


def assert_equals_the_reference(case):
    """All three products, with and without bias."""
    for bias in (False, True):
        expected = reference.convolve(
            case.rows,
            case.offsets,
            case.weights,
            case.out_offsets,
            case.bias if bias else None,
            **case.options,
        )
        assert_close(convolve(case, bias), expected, case.tolerance)
        expected = reference.convolve_adjoint(
            case.d_out,
            case.out_offsets,
            case.weights,
            case.offsets,
            case.rows.shape[1],
            case.in_bias if bias else None,
            **case.options,
        )
        assert_close(convolve_adjoint(case, bias), expected, case.tolerance)
        gradients = reference.weight_gradient(
            case.rows, case.offsets, case.d_out, case.out_offsets, *case.weights.shape[:2], **case.options
        )
        for actual, expected in zip(weight_gradient(case, bias), gradients, strict=False):
            assert_close(actual, expected, case.tolerance)


# ---- values ---------------------------------------------------------------------------------------------


@both_dtypes
@given(case=problems())
def test_products_equal_the_reference(dtype, case):
    assert_equals_the_reference(case.astype(dtype))


@given(case=minimal_problems())
def test_minimal_filtering_equals_the_reference(case):
    assert_equals_the_reference(case)


@both_dtypes
@pytest.mark.parametrize("minimal", [False, True])
def test_results_longer_or_shorter_than_the_formula_gives(dtype, minimal):
    # Any out_offsets are legal: rows of the result whose taps all lie outside the text are the bias.
    dtype = np.float32 if minimal else dtype
    case = problem([3, 5], (1, 3, 2, 4), minimal=minimal).astype(dtype)
    out_offsets = np.array([0, 20, 21])
    d_out = np.random.default_rng(1).normal(size=(21, 4)).astype(dtype)
    assert_equals_the_reference(replace(case, out_offsets=out_offsets, d_out=d_out))


@both_dtypes
@given(rows=st.integers(0, 700), columns=st.integers(0, 140), rng=generators())
def test_column_sums_equal_the_reference(dtype, rows, columns, rng):
    x = rng.normal(size=(rows, columns)).astype(dtype)
    assert_close(column_sums(x), x.sum(axis=0, dtype=np.float64).astype(dtype), 2e-5)


@given(case=problems())
def test_the_adjoint_is_the_transpose(case):
    assert_adjoint(
        lambda rows: convolve(replace(case, rows=rows), bias=False),
        lambda d_out: convolve_adjoint(replace(case, d_out=d_out), bias=False),
        case.rows,
        case.d_out,
    )
    assert_adjoint(
        lambda weights: convolve(replace(case, weights=weights), bias=False),
        lambda d_out: weight_gradient(replace(case, d_out=d_out))[0],
        case.weights,
        case.d_out,
    )


# ---- bits -------------------------------------------------------------------------------------------------

# More than a team is started for; more rows than a block or an inner sum holds; texts of all sizes.
LENGTHS = [900, 0, 1, 2, 700, 5, 40]
WIDE = {
    "one kernel": problem(LENGTHS, (1, 3, 24, 70), left=2, right=1),
    "stride": problem(LENGTHS, (1, 5, 48, 70), stride=2, left=2, dilation=3),
    "kernels in turn": problem(LENGTHS, (3, 3, 40, 36), left=1),
    "groups": problem(LENGTHS, (1, 4, 20, 75), groups=3, left=3),
    "depthwise": problem(LENGTHS, (1, 7, 1, 300), groups=300, left=3, right=3),
    "minimal": problem(LENGTHS, (1, 3, 40, 36), dilation=2, left=2, right=2, minimal=True),
}
wide_problems = pytest.mark.parametrize("name", WIDE)


def wide(name, dtype):
    case = WIDE[name].astype(dtype)
    if case.minimal and dtype == np.float64:
        pytest.skip("minimal filtering is of float32")
    return case


@both_dtypes
@wide_problems
def test_bits_do_not_depend_on_threads(dtype, name):
    case = wide(name, dtype)

    def everything(n_threads):
        return (
            convolve(case, n_threads=n_threads),
            convolve_adjoint(case, n_threads=n_threads),
            *weight_gradient(case, n_threads=n_threads),
        )

    one = everything(1)
    for n_threads in (*THREADS[1:], 16, 0, -1):
        for actual, expected in zip(everything(n_threads), one, strict=True):
            assert_same_bits(actual, expected)


@both_dtypes
def test_column_sums_do_not_depend_on_threads(dtype):
    x = np.random.default_rng(0).normal(size=(15001, 200)).astype(dtype)
    for n_threads in THREADS[1:]:
        assert_same_bits(column_sums(x, n_threads), column_sums(x))


@both_dtypes
@wide_problems
def test_a_text_depends_on_that_text_alone(dtype, name):
    case = wide(name, dtype)
    out, d_rows = convolve(case, n_threads=2), convolve_adjoint(case, n_threads=2)
    for text in range(len(LENGTHS)):
        alone = case.only(text)
        assert_same_bits(convolve(alone), out[slice(*case.out_offsets[text : text + 2])])
        assert_same_bits(convolve_adjoint(alone), d_rows[slice(*case.offsets[text : text + 2])])


# ---- borders ----------------------------------------------------------------------------------------------


@both_dtypes
def test_inputs_may_be_read_only(dtype):
    case = problem([4, 5], (2, 3, 2, 3), left=1).astype(dtype)
    names = ("rows", "offsets", "d_out", "out_offsets", "weights", "bias")
    frozen = replace(case, **{name: read_only(getattr(case, name)) for name in names})
    assert_same_bits(convolve(frozen), convolve(case))
    assert_same_bits(convolve_adjoint(frozen), convolve_adjoint(case))
    for actual, expected in zip(weight_gradient(frozen), weight_gradient(case), strict=True):
        assert_same_bits(actual, expected)
    assert_same_bits(column_sums(read_only(case.rows)), column_sums(case.rows))


@both_dtypes
@pytest.mark.parametrize("minimal", [False, True])
@pytest.mark.parametrize("lengths", [[], [0], [0, 0, 0], [1], [1, 0, 2]])
@pytest.mark.parametrize("channels", [(0, 0), (0, 3), (3, 0), (1, 1), (2, 3)])
def test_nothing_and_little(dtype, minimal, lengths, channels):
    dtype = np.float32 if minimal else dtype
    for left, right in [(0, 0), (5, 0), (0, 5), (2, 2)]:
        case = problem(lengths, (1, 3, *channels), left=left, right=right, minimal=minimal)
        assert_equals_the_reference(case.astype(dtype))


@pytest.mark.parametrize("adjoint", [False, True])
def test_distances_far_wider_than_the_texts_cost_nothing(adjoint):
    # With a table or a loop over a stride this would take gigabytes and minutes.
    most = 2**28
    case = problem([3, 4], (2, 3, 2, 2), left=most, right=most, stride=most, dilation=most)
    windows = case.windows(adjoint)
    assert windows.n_phases <= 4
    assert_equals_the_reference(case)


def test_many_kernels_over_many_texts_are_listed_at_once():
    # A loop over texts for each kernel would make 10**10 steps.
    case = problem([100_000, *[1] * 100_000], (100_000, 1, 1, 1))
    out = convolve(case, bias=False)
    expected = case.rows[:, 0] * case.weights.ravel()[np.r_[:100_000, [0] * 100_000]]
    assert_same_bits(out[:, 0], expected)


# ---- refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": []}, "offsets must start with 0"),
        ({"offsets": [1, 3, 5]}, "offsets must start with 0"),
        ({"offsets": [-1, 3, 5]}, "offsets must start with 0"),
        ({"offsets": [0, 6, 5]}, "offsets fall from 6 to 5 at text 1"),
        ({"out_offsets": []}, "out_offsets must start with 0"),
        ({"out_offsets": [0, -1, 5]}, "out_offsets fall from 0 to -1 at text 0"),
        ({"out_offsets": [0, 3]}, "2 texts in offsets, but 1 in out_offsets"),
        ({"kernel_size": 0}, "kernel_size is 0"),
        ({"kernel_size": -1}, "kernel_size is -1"),
        ({"kernel_size": 2**28 + 1}, "kernel_size is 268435457, but it must be 1 to 268435456"),
        ({"stride": 0}, "stride is 0"),
        ({"stride": 2**62}, "stride is"),
        ({"dilation": 0}, "dilation is 0"),
        ({"dilation": 2**62}, "dilation is"),
        ({"left": -1}, "left is -1"),
        ({"left": 2**62}, "left is"),
        ({"n_kernels": 0}, "n_kernels is 0"),
        ({"n_kernels": 2**28, "kernel_size": 2**28}, "are too many"),
        ({"minimal": True, "kernel_size": 2}, "minimal filtering needs"),
        ({"minimal": True, "stride": 2}, "minimal filtering needs"),
        ({"minimal": True, "n_kernels": 2}, "minimal filtering needs"),
    ],
)
@pytest.mark.parametrize("adjoint", [False, True])
def test_windows_that_cannot_be_are_refused(change, message, adjoint):
    arguments = {"offsets": [0, 3, 5], "out_offsets": [0, 3, 5], "kernel_size": 3, "adjoint": adjoint}
    arguments |= change
    for name in ("offsets", "out_offsets"):
        arguments[name] = np.array(arguments[name], np.intp)
    with pytest.raises(ValueError, match=message):
        _convolution.Windows(**arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": (4, 6)}, "4 rows of input and 5 of output, but the offsets tell of 5 and 5"),
        ({"x": (6, 6)}, "6 rows of input"),
        ({"out": (4, 9)}, "4 of output"),
        ({"x": (5, 7)}, "7 and 9 channels cannot be cut into 3 groups"),
        ({"x": (5, 9)}, "9 and 9 channels in 3 groups need"),
        ({"out": (5, 8)}, "6 and 8 channels cannot be cut into 3 groups"),
        ({"out": (5, 12)}, "6 and 12 channels in 3 groups need"),
        ({"weights": (2, 3, 3, 9)}, "the weights are"),
        ({"weights": (2, 3, 6, 9)}, "the weights are"),
        ({"weights": (2, 3, 2, 3)}, "the weights are"),
        ({"weights": (3, 3, 2, 9)}, "the windows are of 2 kernels of width 3, but the weights hold 3"),
        ({"weights": (2, 2, 2, 9)}, "of width 2"),
        ({"weights": (3, 2, 2, 9)}, "hold 3 of width 2"),
        ({"weights": (1, 6, 2, 9)}, "hold 1 of width 6"),
        ({"weights": (0, 3, 2, 9)}, "hold 0 of width 3"),
        ({"bias": (1, 9)}, "it must be \\(2, 9\\)"),
        ({"bias": (2, 8)}, "bias is \\(2, 8\\)"),
        ({"bias": (3, 9)}, "bias is \\(3, 9\\)"),
        ({"bias": (2, 0)}, "bias is \\(2, 0\\)"),
        ({"groups": 0}, "into 0 groups"),
        ({"groups": -3}, "into -3 groups"),
        ({"groups": 2**62}, "groups"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, message):
    shapes = {"x": (5, 6), "weights": (2, 3, 2, 9), "out": (5, 9), "bias": (2, 9), "groups": 3} | change
    groups = shapes.pop("groups")
    x, weights, out, bias = (np.zeros(shape) for shape in shapes.values())
    offsets = np.array([0, 2, 5])
    windows = _convolution.Windows(offsets, offsets, 3, 1, 1, 1, 2)
    with pytest.raises(ValueError, match=message):
        _convolution.convolve(windows, x, weights, out, bias, groups)
    with pytest.raises(ValueError, match=message):
        _convolution.weight_gradient(windows, x, out, weights, bias, groups)


def test_arrays_that_do_not_fit_the_adjoint_are_refused():
    offsets = np.array([0, 2, 5])
    windows = _convolution.Windows(offsets, offsets, 3, 1, 1, 1, 2, adjoint=True)
    x, weights, out = np.zeros((5, 9)), np.zeros((2, 3, 2, 9)), np.zeros((5, 6))
    with pytest.raises(ValueError, match=r"bias is \(2, 6\), but it must be \(1, 6\)"):
        _convolution.convolve(windows, x, weights, out, np.zeros((2, 6)), 3)
    with pytest.raises(ValueError, match="the weights are"):
        _convolution.convolve(windows, np.zeros((5, 6)), weights, np.zeros((5, 9)), None, 3)
    with pytest.raises(ValueError, match="hold 3 of width 2"):
        _convolution.convolve(windows, x, np.zeros((3, 2, 2, 9)), out, None, 3)
    with pytest.raises(ValueError, match="the windows are those of the adjoint"):
        _convolution.weight_gradient(windows, out, x, weights, None, 3)


def test_minimal_filtering_takes_float32_and_one_group():
    windows = problem([5], (1, 3, 4, 4), left=1, right=1, minimal=True).windows()
    for dtype, groups in [(np.float64, 1), (np.float32, 2)]:
        x, weights = np.zeros((5, 4), dtype), np.zeros((1, 3, 4 // groups, 4), dtype)
        with pytest.raises(ValueError, match="takes float32 and one group"):
            _convolution.convolve(windows, x, weights, np.zeros((5, 4), dtype), None, groups)
        with pytest.raises(ValueError, match="takes float32 and one group"):
            _convolution.weight_gradient(windows, x, x, weights, None, groups)


def test_column_sums_refuses_another_number_of_columns():
    for n in (0, 3, 5):
        with pytest.raises(ValueError, match=f"out has {n} values for 4 columns"):
            _convolution.column_sums(np.zeros((2, 4)), np.zeros(n))


def test_minimal_filtering_is_preferred_only_where_it_can_be_done():
    able = {
        "kernel_size": 3,
        "stride": 1,
        "n_kernels": 1,
        "groups": 1,
        "c": 32,
        "f": 32,
        "dtype_size": 4,
    }
    assert _convolution.prefers_minimal_filtering(**able)
    for change in [
        {"kernel_size": 2},
        {"stride": 2},
        {"n_kernels": 2},
        {"groups": 2},
        {"dtype_size": 8},
        {"c": 31},
        {"f": 31},
    ]:
        assert not _convolution.prefers_minimal_filtering(**able | change)
