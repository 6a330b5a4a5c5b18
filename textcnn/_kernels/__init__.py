"""Compiled kernels: `nogil` loops over typed memoryviews.

Each module has a `.pyi` stub with its signatures; `textcnn/_reference.py` states in NumPy what each
kernel computes.
"""

from importlib.util import find_spec

if find_spec("textcnn._kernels._simd") is None:
    raise ImportError(
        f"textcnn was imported from {__path__[0]!r}, where its compiled modules are missing; "
        "start Python in another folder to use the installed package, or build them here "
        "with: python -m pip install -e ."
    )
