"""Machines on which the package refuses to be imported."""

import subprocess
import sys

import pytest

import textcnn


@pytest.mark.parametrize(
    ("byteorder", "largest_size", "found"),
    [("big", 2**63 - 1, "64-bit and big-endian"), ("little", 2**31 - 1, "32-bit and little-endian")],
)
def test_other_machines_are_refused_with_a_sentence(byteorder, largest_size, found):
    with pytest.raises(ImportError, match=found):
        textcnn._check_machine(byteorder, largest_size)


@pytest.mark.parametrize("change", ["sys.byteorder = 'big'", "sys.maxsize = 2**31 - 1"])
def test_the_import_asks(change):
    finished = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; {change}; import textcnn"], capture_output=True, text=True
    )
    assert finished.returncode == 1
    assert "needs a 64-bit little-endian one" in finished.stderr.splitlines()[-1]
