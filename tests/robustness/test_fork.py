"""Forked children predict and train, though GNU OpenMP would hang there once the parent has used threads."""

import os
from pathlib import Path

import pytest
from robustness.processes import output_of_python

SCRIPT = Path(__file__).with_name("forking.py")
WAYS = ["os.fork", "multiprocessing", "concurrent.futures", "joblib", "thread", "others", "grandchild"]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@pytest.mark.parametrize("way", WAYS)
def test_a_forked_child_predicts_and_trains_as_its_parent(way):
    output = output_of_python("-W", "ignore", SCRIPT, way, timeout=120)
    assert output.splitlines()[-1:] == ["the same"], output
