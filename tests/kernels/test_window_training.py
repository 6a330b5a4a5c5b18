"""Training of the linear part of a tagger: many batches in one call."""

import numpy as np
import pytest
from checks import THREADS, assert_close, assert_gradient, assert_same_bits, both_dtypes, read_only
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import generators

from textcnn import _reference as reference
from textcnn._kernels import _window_linear

WIDTH, PAIR_WIDTH = 3, 2
# A large epsilon: where a gradient is all rounding, Adam's step must not be.
ADAM = {"beta1": 0.9, "beta2": 0.99, "epsilon": 1e-2}
HEADS = pytest.mark.parametrize("head", ["crf", "softmax"])


def problem(
    lengths, batches, head, dtype=np.float64, rng=0, n_tags=3, n_attributes=2, n_grams=2, sizes=(7, 6, 5)
):
    """Arguments of the kernel but for those of Adam, with sentences of these lengths in these batches."""
    rng = np.random.default_rng(rng)
    n_types, n_rows, n_pairs = sizes
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
    n = offsets[-1]
    shapes = [(n_rows, WIDTH * n_tags), (n_pairs, PAIR_WIDTH * n_tags)]
    if head == "crf":
        shapes += [(n_tags, n_tags), (1, n_tags), (1, n_tags)]
    return {
        "types": rng.integers(0, n_types, n).astype(np.int32),
        "targets": rng.integers(0, n_tags, n).astype(np.int32),
        "offsets": offsets,
        "sample_weight": rng.uniform(0.5, 2, len(lengths)).astype(dtype),
        "type_rows": rng.integers(0, n_rows, (n_types, n_attributes)).astype(np.int32),
        "token_rows": rng.integers(0, n_pairs, (n, n_grams)).astype(np.int32),
        "width": WIDTH,
        "pair_width": PAIR_WIDTH,
        "params": [
            (
                rng.normal(size=shape).astype(dtype),
                np.zeros(shape, dtype),
                np.zeros(shape, dtype),
                np.zeros(shape[0], np.int32),
            )
            for shape in shapes
        ],
        "order": np.array([s for batch in batches for s in batch], np.intp),
        "batch_offsets": np.cumsum([0, *map(len, batches)]).astype(np.intp),
        "rates": rng.uniform(0.01, 0.1, len(batches)),
        "alpha": 0.1,
    } | ADAM


def trained(arguments, n_threads=1, **changed):
    """The number of steps, the parameters after them, and the losses; the arguments stay as they are."""
    arguments = arguments | changed
    params = [tuple(array.copy() for array in param) for param in arguments["params"]]
    loss = np.full(len(arguments["rates"]), np.nan)
    done = _window_linear.train_batches(**arguments | {"params": params}, loss=loss, n_threads=n_threads)
    return done, params, loss


def first_gradients(arguments, batch):
    """Gradients of all parameters on one batch, from the first moments after a step, and the loss."""
    one = {
        "order": np.array(batch, np.intp),
        "batch_offsets": np.array([0, len(batch)], np.intp),
        "rates": np.ones(1),
        "alpha": 0.0,
    }
    _, params, loss = trained(arguments, **one)
    return [moment / (1 - ADAM["beta1"]) for _, moment, _, _ in params], loss[0]


@st.composite
def lengths_and_batches(draw):
    """Lengths of sentences, and batches of some of them, twice or not at all, of which each has a token."""
    lengths = [*draw(st.lists(st.integers(0, 7), min_size=1, max_size=6)), draw(st.integers(1, 7))]
    picked = st.lists(st.integers(0, len(lengths) - 1), max_size=4).map(
        lambda batch: [*batch, len(lengths) - 1]
    )
    return lengths, draw(st.lists(picked, max_size=3))


@both_dtypes
@HEADS
@given(
    given_=lengths_and_batches(), rng=generators(), n_attributes=st.integers(0, 3), n_grams=st.integers(0, 3)
)
def test_steps_equal_the_reference(dtype, head, given_, rng, n_attributes, n_grams):
    arguments = problem(*given_, head, dtype, rng, n_attributes=n_attributes, n_grams=n_grams)
    done, params, loss = trained({k: read_only(v) if isinstance(v, np.ndarray) else v
                                  for k, v in arguments.items()})  # fmt: skip
    expected, expected_loss = reference.train_batches(**arguments)
    assert done == len(expected_loss) == len(arguments["rates"])
    assert_allclose(loss, expected_loss, rtol=1e-5 if dtype == np.float32 else 1e-12)
    for param, wanted in zip(params, expected, strict=True):
        assert_array_equal(param[3], wanted[3])
        for array, want in zip(param[:3], wanted[:3], strict=True):
            assert_close(array, want, 1e-4 if dtype == np.float32 else 1e-11)


@HEADS
def test_every_gradient_is_a_central_difference(head):
    batch = [3, 0, 2, 0]
    arguments = problem([4, 0, 1, 6], [batch], head)
    gradients, _ = first_gradients(arguments, batch)
    for i, gradient in enumerate(gradients):

        def loss(value, i=i):
            params = list(arguments["params"])
            params[i] = (value, *params[i][1:])
            return first_gradients(arguments | {"params": params}, batch)[1]

        value = arguments["params"][i][0]
        if i == 1:
            assert not gradient[0].any()  # unknown n-grams
            fixed = value[0].copy()
            assert_gradient(
                gradient[1:], lambda rest, f=fixed, loss=loss: loss(np.vstack([f, rest])), value[1:].copy()
            )
        else:
            assert_gradient(gradient, loss, value)


@HEADS
def test_a_weight_of_two_is_a_sentence_twice_and_zero_is_none(head):
    arguments = problem([4, 3, 1, 6], [], head)
    arguments["sample_weight"][:] = [1, 2, 1, 0]
    weighted, loss = first_gradients(arguments, [0, 1, 2, 3])
    arguments["sample_weight"][:] = 1
    repeated, other_loss = first_gradients(arguments, [0, 1, 1, 2])
    # both are over the tokens of their batch
    assert loss * 14 == pytest.approx(other_loss * 11)
    for one, other in zip(weighted, repeated, strict=True):
        assert_allclose(one * 14, other * 11, atol=1e-12)


@HEADS
def test_rows_that_no_batch_has_stay_as_they_are(head):
    arguments = problem([4, 3, 5], [[0], [1, 0]], head, sizes=(40, 60, 50))
    _, params, _ = trained(arguments)
    tokens = np.arange(arguments["offsets"][2])
    used = [arguments["type_rows"][arguments["types"][tokens]], arguments["token_rows"][tokens]]
    for i, (rows, fixed) in enumerate(zip(used, (-1, 0), strict=True)):
        touched = np.setdiff1d(rows, [fixed])
        changed = np.any(params[i][0] != arguments["params"][i][0], axis=1)
        assert_array_equal(np.flatnonzero(changed), touched)
        assert_array_equal(np.flatnonzero(params[i][3]), touched)
    assert not changed[0]


@both_dtypes
@HEADS
def test_bits_do_not_depend_on_threads_or_calls(dtype, head):
    lengths = np.random.default_rng(0).integers(0, 40, 90)
    batches = np.array_split(np.random.default_rng(1).permutation(90), 3)
    arguments = problem(lengths, batches, head, dtype, n_tags=9, n_attributes=6, sizes=(300, 500, 400))
    expected = trained(arguments)
    for n_threads in THREADS[1:]:
        found = trained(arguments, n_threads)
        for one, other in zip(found[1], expected[1], strict=True):
            for array, want in zip(one, other, strict=True):
                assert_same_bits(array, want)
        assert_same_bits(found[2], expected[2])
    params = arguments["params"]
    for i, batch in enumerate(batches):
        one = {"order": batch, "batch_offsets": np.array([0, len(batch)], np.intp)}
        _, params, _ = trained(arguments, params=params, rates=arguments["rates"][i : i + 1], **one)
    for one, other in zip(params, expected[1], strict=True):
        assert_same_bits(one[0], other[0])


@HEADS
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_ends_training_before_its_step(head, bad):
    arguments = problem([4, 3, 5], [[0], [1], [2]], head)
    _, expected, losses = trained(arguments, order=np.array([0]), batch_offsets=np.array([0, 1]),
                                  rates=arguments["rates"][:1])  # fmt: skip
    arguments["sample_weight"][1] = bad
    done, params, loss = trained(arguments)
    assert done == 1
    assert loss[0] == losses[0]
    assert not np.isfinite(loss[1])
    for one, other in zip(params, expected, strict=True):
        for array, want in zip(one, other, strict=True):
            assert_same_bits(array, want)


def good_arguments():
    arguments = problem([2, 0, 3], [[0], [2, 1]], "crf")
    return arguments | {"loss": np.zeros(2)}


def with_param(i, part, array):
    params = list(good_arguments()["params"])
    params[i] = tuple(array if j == part else old for j, old in enumerate(params[i]))
    return {"params": params}


@pytest.mark.parametrize(
    "changed",
    [
        {"types": np.full(5, 7, np.int32)},
        {"types": np.full(5, -1, np.int32)},
        {"types": np.zeros(4, np.int32)},
        {"types": np.zeros(5, np.int64)},
        {"types": None},
        {"targets": np.full(5, 3, np.int32)},
        {"targets": np.full(5, -1, np.int32)},
        {"targets": np.zeros(6, np.int32)},
        {"offsets": np.array([0, 2, 1, 5])},
        {"offsets": np.array([0, 2, 2, 4])},
        {"offsets": np.zeros(0, np.intp)},
        {"sample_weight": np.ones(2)},
        {"sample_weight": np.ones(3, np.float32)},
        {"type_rows": np.full((7, 2), 6, np.int32)},
        {"type_rows": np.full((7, 2), -1, np.int32)},
        {"type_rows": None},
        {"token_rows": np.full((5, 2), 5, np.int32)},
        {"token_rows": np.full((5, 2), -1, np.int32)},
        {"token_rows": np.zeros((4, 2), np.int32)},
        {"width": 2},
        {"width": 0},
        {"width": -3},
        {"width": 2**62},
        {"pair_width": 3},
        {"pair_width": 0},
        {"params": []},
        {"params": good_arguments()["params"][:3]},
        {"params": None},
        with_param(0, 0, np.zeros((6, 8))),
        with_param(0, 0, np.zeros((6, 9), np.float32)),
        with_param(0, 1, np.zeros((5, 9))),
        with_param(0, 2, np.zeros((6, 8))),
        with_param(0, 3, np.zeros(5, np.int32)),
        with_param(0, 3, np.zeros(6, np.int64)),
        with_param(1, 0, np.zeros((5, 9))),
        with_param(1, 0, read_only(np.zeros((5, 6)))),
        with_param(2, 0, np.zeros((3, 4))),
        with_param(3, 0, np.zeros((2, 3))),
        with_param(4, 0, np.zeros((1, 4))),
        {"params": [(), (), (), (), ()]},
        {"params": [param[:3] for param in good_arguments()["params"]]},
        {"params": [(*param, param[3]) for param in good_arguments()["params"]]},
        {"params": [None] * 5},
        with_param(0, 3, 5),
        with_param(4, 0, None),
        with_param(1, 1, None),
        {"sample_weight": None},
        {"token_rows": None},
        {"order": None},
        {"batch_offsets": None},
        {"rates": None},
        {"order": np.array([0, 2, 3])},
        {"order": np.array([0, 2, -1])},
        {"order": np.array([0, 2])},
        {"batch_offsets": np.array([0, 3])},
        {"batch_offsets": np.array([0, 2, 1, 3])},
        {"batch_offsets": np.array([0, 0, 3])},
        {"order": np.array([0, 1, 1])},
        {"rates": np.ones(3)},
        {"rates": np.ones(1)},
        {"loss": np.ones(1)},
        {"loss": None},
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(changed):
    good = good_arguments()
    before = [[array.copy() for array in param] for param in good["params"]]
    with pytest.raises((ValueError, TypeError), match=r"."):
        _window_linear.train_batches(**good | changed)
    for param, kept in zip(good["params"], before, strict=True):
        for array, want in zip(param, kept, strict=True):
            assert_array_equal(array, want)
    assert _window_linear.train_batches(**good) == 2


def test_only_the_tokens_of_the_batches_are_looked_at():
    """A call that looked at all would take as long for a few sentences as for a whole corpus."""
    arguments = problem([2, 3, 4], [[0, 2]], "crf")
    arguments["types"][2:5] = arguments["targets"][2:5] = arguments["token_rows"][2:5] = 99
    assert trained(arguments)[0] == 1


def test_no_batches_are_no_steps():
    done, params, loss = trained(problem([3], [], "crf"))
    assert done == len(loss) == 0
    assert not params[0][3].any()
