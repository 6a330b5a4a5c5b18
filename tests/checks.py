"""Comparisons that the tests share."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import textcnn

DTYPES = [np.float32, np.float64]
THREADS = [1, 2, 3]

both_dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])

TOLERANCE = {np.dtype(np.float32): 5e-6, np.dtype(np.float64): 1e-13}
"""Allowed difference, relative to the largest element, after sums of a few hundred terms."""


def assert_close(actual, expected, tolerance=None):
    """Equal shapes and dtypes; elements equal but for rounding, relative to the largest of them."""
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    if expected.size == 0:
        return
    if tolerance is None:
        tolerance = TOLERANCE[expected.dtype]
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


def assert_same_bits(actual, expected):
    """Equal to the last bit: every byte, NaN and the sign of zero included."""
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    different = np.flatnonzero(
        np.ascontiguousarray(actual).reshape(-1).view(f"V{actual.dtype.itemsize}")
        != np.ascontiguousarray(expected).reshape(-1).view(f"V{expected.dtype.itemsize}")
    )
    assert different.size == 0, (
        f"{different.size} of {actual.size} elements differ, first at {different[0]}: "
        f"{actual.reshape(-1)[different[0]]!r} and {expected.reshape(-1)[different[0]]!r}"
    )


def read_only(array):
    """Copy of an array that cannot be written to, as a read-only memory map."""
    array = array.copy()
    array.flags.writeable = False
    return array


def garbage(shape, dtype):
    """Array for a kernel to overwrite, full of what must not survive."""
    dtype = np.dtype(dtype)
    return np.full(shape, np.nan if dtype.kind == "f" else 77, dtype)


def run_python(*arguments, timeout, **environment):
    """Python in a process of its own, with the same textcnn as here: for what may crash or never end."""
    paths = [str(Path(textcnn.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | environment | {"PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(
        [sys.executable, "-P", *arguments], env=environment, capture_output=True, text=True, timeout=timeout
    )


def central_difference(function, x, step):
    """Gradient of a scalar function at x, by the central difference of fourth order."""
    gradient = np.zeros(x.shape)
    for position in np.ndindex(x.shape):
        values = []
        for k in (-2, -1, 1, 2):
            moved = x.copy()
            moved[position] += k * step
            values.append(function(moved))
        gradient[position] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
    return gradient


def assert_gradient(gradient, function, x, step=1e-3):
    """`gradient` is that of a scalar function at the float64 array x, to a relative 1e-6."""
    expected = central_difference(function, x, step)
    assert gradient.shape == expected.shape
    scale = np.abs(expected).max(initial=0)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-9 * max(scale, 1))


def assert_adjoint(forward, backward, x, y):
    """<forward(x), y> equals <x, backward(y)> in float64: `backward` is the transpose of a linear map."""
    one, other = np.vdot(forward(x), y), np.vdot(x, backward(y))
    scale = np.linalg.norm(forward(x)) * np.linalg.norm(y) + np.linalg.norm(x) * np.linalg.norm(backward(y))
    assert abs(one - other) <= 1e-12 * max(scale, 1e-300)
