"""Compiled kernels: `nogil` loops over typed memoryviews.

Each module has a `.pyi` stub with its signatures; `textcnn/_reference/` states in NumPy what each
kernel computes.
"""

import os
from importlib import import_module
from importlib.util import find_spec

if find_spec("textcnn._kernels._simd") is None:
    raise ImportError(
        f"textcnn was imported from {__path__[0]!r}, where its compiled modules are missing; "
        "start Python in another folder to use the installed package, or build them here "
        "with: python -m pip install -e ."
    )


def _load_openmp() -> None:
    """Load OpenMP so that its idle threads sleep, unless the user's environment says otherwise.

    By default they spin, and beside another busy process the end of every parallel region then waits
    for a thread that the system has put aside: on two cores a fit took three times as long beside one
    busy process, and with sleeping threads as long as on one core. Alone it costs a tenth. The
    runtime reads the variable when it is loaded, so it is set for that moment only.
    """
    if "OMP_WAIT_POLICY" in os.environ or "GOMP_SPINCOUNT" in os.environ:
        return
    os.environ["OMP_WAIT_POLICY"] = "passive"
    try:
        import_module("textcnn._kernels._openmp")
    finally:
        del os.environ["OMP_WAIT_POLICY"]


_load_openmp()
