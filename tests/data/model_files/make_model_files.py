"""Makes the model files of this folder: one of every kind, and what each predicts.

    python tests/data/model_files/make_model_files.py

Files that are there already stay as they are: they were made when the version of the format was new, and must
load for ever. ``newer.textcnn`` says that it is of a format of the future.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1])]

from robustness.model_files import MAKERS, signed  # noqa: E402

import textcnn  # noqa: E402
from textcnn import io  # noqa: E402

TEXTS = ["a good film", "the bad bad plot", "", "an unknown story, so it is"]
SENTENCES = [["Ms.", "Lee", "plays", "."], ["Rome"], []]


def inputs_of(predictor: Any) -> Any:
    """Texts for a model, as JSON can hold them."""
    if hasattr(predictor, "tag"):
        return SENTENCES
    if predictor.vocabulary is not None:
        return TEXTS
    n_dims, n_features = predictor.network.embedding.shape[1], predictor.network.n_features
    if n_features is not None:
        return [[0.5 * i - j for j in range(n_features)] for i in range(3)]
    return [[[0.25 * (t - d) for d in range(n_dims)] for t in range(n)] for n in (1, 4)]


def results_of(predictor: Any, X: Any) -> dict[str, Any]:
    """What a model makes of texts, by the name of the method."""
    names = ["predict", "predict_marginals"] if hasattr(predictor, "tag") else ["predict", "predict_proba"]
    found = {name: getattr(predictor, name)(X) for name in names if hasattr(predictor, name)}
    return json.loads(json.dumps(found, default=lambda array: array.tolist()))


def main() -> None:
    folder = HERE / f"v{io._FORMAT_VERSION}"
    folder.mkdir(exist_ok=True)
    table = folder / "expected.json"
    expected = json.loads(table.read_text()) if table.exists() else {}
    for name, make in MAKERS.items():
        file = f"{name.replace(' ', '-')}.textcnn"
        if file in expected:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = make()
        model.save(folder / file)
        predictor = textcnn.load(folder / file)
        X = inputs_of(predictor)
        rows = np.array(results_of(predictor, X).get("predict_proba", [[0, 1]]))
        margins = np.diff(np.sort(rows, axis=1)[:, -2:], axis=1)
        # labels must not hang on the last bits, which differ from processor to processor
        assert type(predictor).__name__ == "MultilabelPredictor" or margins.min() > 1e-5, (name, margins)
        expected[file] = {"X": X, **results_of(predictor, X)}
    lines = (f"{json.dumps(file)}: {json.dumps(results)}" for file, results in expected.items())
    table.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    version = f'"format_version":"{io._FORMAT_VERSION}"'.encode()
    content = (folder / "binary.textcnn").read_bytes()
    (HERE / "newer.textcnn").write_bytes(signed(content.replace(version, b'"format_version":"999"')))


if __name__ == "__main__":
    main()
