"""Free-threaded CPython runs the package without the GIL."""

import pkgutil
import sysconfig
from pathlib import Path

import pytest
from robustness.processes import output_of_python

import textcnn
import textcnn._kernels

ALL = [
    name
    for _, name, _ in pkgutil.walk_packages(textcnn.__path__, "textcnn.")
    if not name.endswith("__main__")
]

IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    assert not sys._is_gil_enabled(), f"importing {name} has turned the GIL on"
print("no GIL")
"""


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has a GIL")
def test_no_module_turns_the_gil_on():
    output = output_of_python("-c", IMPORT_ALL, *ALL, timeout=120, PYTHON_GIL="")
    assert output.splitlines()[-1:] == ["no GIL"], output


def test_every_compiled_module_says_that_it_needs_no_gil():
    """CPython reads the slot Py_mod_gil when it imports a module; Cython writes it for the directive."""
    setup = Path(__file__).resolve().parents[2] / "setup.py"
    if not setup.is_file():
        pytest.skip("the source is not beside the tests")
    assert '"freethreading_compatible": True' in setup.read_text()
    sources = (setup.parent / "src_pyx").rglob("*.pyx")
    assert not [path for path in sources if "freethreading_compatible" in path.read_text()]
