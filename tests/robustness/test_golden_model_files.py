"""Model files of every format version load for ever and predict what they predicted."""

import json
from pathlib import Path

import numpy as np
import pytest

import textcnn
from textcnn import ModelFileError, io

FOLDER = Path(__file__).parents[1] / "data" / "model_files"
VERSIONS = range(1, io._FORMAT_VERSION + 1)
EXPECTED = {
    FOLDER / f"v{version}" / file: results
    for version in VERSIONS
    for file, results in json.loads((FOLDER / f"v{version}" / "expected.json").read_text()).items()
}


def assert_predicts(model, results):
    X = results["X"]
    if X and isinstance(X[0], list) and X[0] and not isinstance(X[0][0], str):
        X = [np.array(x) for x in X] if isinstance(X[0][0], list) else np.array(X)
    for method in results.keys() - {"X"}:
        found, wanted = getattr(model, method)(X), results[method]
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            if np.asarray(one).dtype.kind == "f":
                # other instruction sets give other last bits
                assert np.size(one) == np.size(other)  # of an empty sentence JSON tells no number of columns
                np.testing.assert_allclose(one, np.reshape(other, np.shape(one)), rtol=1e-4, atol=1e-5)
            else:
                assert np.array_equal(one, other)


@pytest.mark.parametrize("path", EXPECTED, ids=lambda path: f"{path.parent.name}-{path.stem}")
@pytest.mark.parametrize("mmap", [False, True])
def test_a_file_of_any_version_predicts_what_it_did(path, mmap):
    assert_predicts(textcnn.load(path, mmap=mmap), EXPECTED[path])


@pytest.mark.parametrize("path", EXPECTED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_estimator_of_any_version_goes_on(path, tmp_path):
    _, config = io.load_arrays(path)
    estimator = getattr(textcnn, config["kind"]).load(path)
    estimator.save(tmp_path / "again.textcnn")
    assert_predicts(getattr(textcnn, config["kind"]).load(tmp_path / "again.textcnn"), EXPECTED[path])


def test_every_kind_of_model_is_there():
    kinds = {type(textcnn.load(path)).__name__ for path in EXPECTED}
    assert kinds == {"MultilabelPredictor", "Predictor", "RegressionPredictor", "TagPredictor"}
    for version in VERSIONS:
        folder = FOLDER / f"v{version}"
        assert {path for path in EXPECTED if path.parent == folder} == set(folder.glob("*.textcnn"))


@pytest.mark.parametrize(
    "reader", [textcnn.load, textcnn.TextCNNClassifier.load, textcnn.TextCNNTagger.load, io.load_arrays]
)
def test_a_file_of_the_future_is_refused_with_what_to_do(reader):
    sentence = (
        rf"newer version of textcnn \(format 999, this one reads up to {VERSIONS[-1]}\): upgrade textcnn"
    )
    with pytest.raises(ModelFileError, match=sentence):
        reader(FOLDER / "newer.textcnn")
