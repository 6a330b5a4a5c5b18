"""The short form of leaks.py, and whether it can see a leak."""

import os

import numpy as np
import pytest
from robustness import leaks

pytestmark = [
    pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="only Linux has /proc"),
    pytest.mark.skipif(
        "ASAN_OPTIONS" in os.environ, reason="AddressSanitizer keeps freed memory for a while"
    ),
]


@pytest.mark.parametrize("share", [0.01, pytest.param(1.0, marks=pytest.mark.long)])
def test_memory_stays_flat(share):
    rises = {course.what: course.rise for course in leaks.courses(share)}
    assert len(rises) == 14
    assert {what: rise for what, rise in rises.items() if rise > leaks.ALLOWED} == {}


def test_a_leak_is_seen():
    kept = []
    course = leaks.course_of("a leak", lambda i: kept.append(np.ones(50_000)), 100)
    assert course.rise > leaks.ALLOWED
    assert 390_000 < course.slope < 410_000


def test_memory_that_is_given_back_is_no_leak():
    course = leaks.course_of("no leak", lambda i: np.ones(50_000), 100)
    assert abs(course.rise) < leaks.ALLOWED
