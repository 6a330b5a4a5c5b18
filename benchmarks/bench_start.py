"""How long does a new process take to its first label, and a loaded model for one text?

- Seconds of a new process that imports textcnn, loads a model file and predicts a label, beside one that
  imports NumPy alone. The process checks that scikit-learn was not imported.
- Microseconds of one text by the predictor of `textcnn.load`, which has none of the estimator's checks.

The model is trained on MR with default parameters, for one epoch. `compare.py` has the other times.

    python benchmarks/bench_start.py --data DIR [--starts 15] [--singles 2000] [--json FILE]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import best_and_median, in_own_process, read_labelled, report

# -P: the package that is installed is measured, whatever folder this is started in.
PYTHON = (sys.executable, "-P", "-c")

FIRST_LABEL = """
import sys
import textcnn
label = textcnn.load(sys.argv[1]).predict(["a quiet little film"])
assert len(label) == 1
assert "sklearn" not in sys.modules, "prediction imported scikit-learn"
"""


def train(data: str, path: str) -> dict:
    """Write a model file."""
    from textcnn import TextCNNClassifier

    texts, labels = read_labelled(Path(data) / "sentences" / "mr.tsv")
    TextCNNClassifier(max_iter=1, random_state=0).fit(texts, labels).save(path)
    return {}


def times_of_single_texts(data: str, path: str, n_texts: int) -> dict:
    """Microseconds of each text, after all have been seen once."""
    import textcnn

    texts = read_labelled(Path(data) / "sentences" / "mr.tsv")[0][:n_texts]
    predictor = textcnn.load(path)
    predictor.predict(texts)
    times = []
    for text in texts:
        start = time.perf_counter()
        predictor.predict([text])
        times.append((time.perf_counter() - start) * 1e6)
    return {"times": times}


def times_of_processes(command: list[str], n_starts: int) -> list[float]:
    """Seconds from start to end of each."""
    times = []
    for _ in range(n_starts):
        start = time.perf_counter()
        subprocess.run(command, check=True)
        times.append(time.perf_counter() - start)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="folder with sentences/mr.tsv")
    parser.add_argument("--starts", type=int, default=15, help="processes of each kind")
    parser.add_argument("--singles", type=int, default=2000, help="texts one by one")
    parser.add_argument("--json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "mr.textcnn")
        in_own_process(train, args.data, path)
        singles = in_own_process(times_of_single_texts, args.data, path, args.singles)
        first_label = times_of_processes([*PYTHON, FIRST_LABEL, path], args.starts)
    numpy_alone = times_of_processes([*PYTHON, "import numpy"], args.starts)
    rows = [
        {"what": "new process, textcnn.load, first label", "unit": "s", **best_and_median(first_label)},
        {"what": "new process, import numpy alone", "unit": "s", **best_and_median(numpy_alone)},
        {"what": "textcnn.load, one text", "unit": "us", **best_and_median(singles["times"])},
    ]
    report(rows, args.json)


if __name__ == "__main__":
    main()
