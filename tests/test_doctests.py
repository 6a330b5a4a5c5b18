"""The examples in the docstrings run as written."""

import doctest
import importlib
import pkgutil

import pytest

import textcnn

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(textcnn.__path__, "textcnn.")
    if not module.name.endswith("__main__")
)


def test_the_modules_with_examples_are_found():
    assert {"textcnn.classifier", "textcnn.predictor", "textcnn.text.vectors"} <= set(MODULES)


@pytest.mark.parametrize("name", [*MODULES, "textcnn.data"])
def test_examples_run(name):
    module = importlib.import_module(name)
    results = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0
