"""What the kernels tell each other about the interpreter's lock (`_gil.h`)."""

import ctypes
import sys
import sysconfig
import threading
import time

import numpy as np
import pytest

from textcnn._kernels import _blas, _openmp, _packing, _softmax

pytestmark = pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")) or sys.platform == "win32",
    reason="there is no lock, or this compiler takes its calls as they are",
)

capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
capsule_pointer.restype = ctypes.c_void_p
capsule_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]


@pytest.fixture
def hint():
    name = b"textcnn._kernels._openmp.python_is_busy"
    return ctypes.c_int.from_address(capsule_pointer(_openmp.python_is_busy, name))


def take():
    ids, offsets = np.zeros(3, np.int32), np.array([0, 3])
    _packing.take_texts(ids, offsets, np.array([0]), np.empty(3, np.int32), np.empty(2, np.intp))


def multiply(n=3):
    x = np.ones((n, n), np.float32)
    _blas.matmul(x, x, np.empty_like(x), None, False, 1)


def softmax():
    _softmax.softmax(np.zeros((2, 3)), np.empty((2, 3)), 1)


@pytest.mark.parametrize("kernel", [take, multiply, softmax])
def test_all_modules_share_the_hint(kernel, hint):
    hint.value = 0
    kernel()
    assert hint.value == 1  # this thread has come out of a kernel, and is in Python


def test_a_thread_inside_a_kernel_is_seen(hint):
    multiply()
    assert hint.value == 1
    done, until = threading.Event(), time.monotonic() + 60

    def work():
        while not done.is_set():
            multiply(400)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        while hint.value and time.monotonic() < until:
            pass
        assert hint.value == 0
    finally:
        done.set()
        thread.join()


def test_a_hint_that_nobody_takes_back_stops_no_thread(hint):
    """As if threads came out of kernels all the time: whoever comes out of one spins, but not for ever."""
    done = threading.Event()

    def work():
        for _ in range(5):
            multiply(300)
        done.set()

    threading.Thread(target=work, daemon=True).start()
    until = time.monotonic() + 60
    while not done.is_set() and time.monotonic() < until:
        hint.value = 1
    assert done.is_set()
