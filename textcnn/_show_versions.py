"""What a bug report needs to know about this installation."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from textcnn._kernels import _openmp, _simd
from textcnn._threads import effective_n_threads, n_processors
from textcnn._version import __version__

PACKAGES = ("numpy", "scikit-learn", "scipy", "joblib", "tqdm")


def show_versions() -> None:
    """Print the versions of textcnn, Python and the packages it uses, and how it was built.

    Examples
    --------
    >>> import textcnn
    >>> textcnn.show_versions()  # doctest: +ELLIPSIS
    textcnn: ...
    """
    print("\n".join(f"{name}: {value}" for name, value in versions().items()))


def versions() -> dict[str, str]:
    """The lines of `show_versions`."""
    openmp = _openmp.openmp_version()
    return {
        "textcnn": __version__,
        "python": f"{sys.version.split()[0]} ({platform.python_implementation()})",
        "platform": platform.platform(),
        **{name: _installed(name) for name in PACKAGES},
        "compiler": _openmp.compiler(),
        "OpenMP": f"{openmp}" if openmp else "no (one thread)",
        "instruction level": f"{_simd.active_level()} (of {', '.join(_simd.available_levels())})",
        "threads": f"{effective_n_threads(None)} (of {n_processors()} processors)",
    }


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
