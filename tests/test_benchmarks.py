"""The comparison benchmark runs on tiny data, and says what is missing."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import textcnn

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"

pytestmark = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="the benchmarks are not beside the tests")

# Runs a script that does not find some modules, as if they were not installed.
WITHOUT = """
import importlib.util, os, runpy, sys
script, hidden, *arguments = sys.argv[1:]
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in hidden.split(",") else found(name, *rest)
sys.path.insert(0, os.path.dirname(script))
sys.argv = [script, *arguments]
runpy.run_path(script, run_name="__main__")
"""

QUICK = [
    *("--rounds=1", "--epochs=1", "--passes=2", "--singles=5", "--threads=1"),
    *("--wait=0", "--repeats=0"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Made-up reviews and questions in the layout of the data sets."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "sentences").mkdir()
    rng = random.Random(0)
    words = {"0": ["dull", "slow", "weak"], "1": ["fresh", "warm", "witty"]}

    def write(name, n_texts):
        rows = []
        for i in range(n_texts):
            label = str(i % 2)
            chosen = [rng.choice(words[label]), rng.choice(["film", "plot", "cast"]), rng.choice(",.!")]
            rows.append(f"{label}\tthe {' '.join(chosen)}\n")
        (folder / "sentences" / name).write_text("".join(rows), encoding="utf-8")

    write("mr.tsv", 60)
    write("trec.train.tsv", 60)
    write("trec.test.tsv", 20)
    return folder


def run_script(name, *arguments, hidden=""):
    """Standard output of a script, which must succeed."""
    # the package that is tested here is the one that is measured there, installed or not
    environment = dict(os.environ, PYTHONPATH=str(Path(textcnn.__file__).resolve().parents[1]))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(BENCHMARKS / name), hidden, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        cwd=BENCHMARKS,  # in the checkout itself Python would find the sources first
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def results(data, tmp_path_factory):
    """A comparison of those peers that need nothing more than textcnn does."""
    path = tmp_path_factory.mktemp("results") / "found.json"
    printed = run_script("compare.py", "--data", data, "--json", path, *QUICK, hidden="torch,fasttext")
    return path, json.loads(path.read_text()), printed


def test_results_hold_each_run_and_no_name_of_the_machine(results):
    _, found, _ = results
    assert found.keys() == {"format", "date", "machine", "versions", "settings", "missing", "sets", "runs"}
    assert found["machine"].keys() == {"cpu", "cores", "system", "architecture"}
    assert found["versions"].keys() >= {"python", "numpy", "scikit-learn"}
    assert found["sets"]["trec"] == {
        "train_texts": 60,
        "test_texts": 20,
        "prediction_texts": 80,
        "prediction_tokens": 320,
        "fold": False,
    }
    done = {(run["set"], run["mode"], run["peer"]) for run in found["runs"]}
    systems = [("matched", "textcnn"), *(("default", peer) for peer in ("textcnn", "tfidf-lr", "nbsvm"))]
    assert done == {(name, *system) for name in ("mr", "trec") for system in systems}


def test_figures_of_a_run(results):
    for run in results[1]["runs"]:
        assert run["fit_s"] > 0
        assert 0 <= run["accuracy"] <= 1
        assert run["peak_mb"] > run["before_mb"] > 10
        assert run["failures"] == 0
        times = run["prediction"]["1"]
        assert len(times["raw_s"]) == 2
        assert 0 < times["one_text_us"]["median"] <= times["one_text_us"]["p99"]
        if run["peer"] == "textcnn":
            assert len(run["epoch_s"]) >= 1
            assert sum(run["epoch_s"]) <= run["fit_s"]


def test_missing_peer_is_a_line_and_no_failure(results):
    _, found, printed = results
    assert found["missing"] == {
        "pytorch-usual": "PyTorch",
        "pytorch-best": "PyTorch",
        "fasttext-1gram": "fastText",
        "fasttext-2gram": "fastText",
    }
    assert "PyTorch, usual is left out: PyTorch is not installed (pip install '.[bench]')" in printed


def test_results_are_shown_again_as_markdown(results):
    path, _, _ = results
    printed = run_script("compare.py", "--show", path, "--markdown")
    assert printed.count("|  | s/epoch |") == 4  # two sets in two modes
    assert "| NB-SVM |" in printed


def test_headings_and_ratios_are_plain(results):
    assert "TREC: the same network, 1 epoch for all" in results[2]
    assert "aim" not in results[2]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("compare.py", ["--data", "none", *QUICK], "mr.tsv; --data must name the folder with sentences/"),
        ("compare.py", ["--show", "none.json"], "error: none.json cannot be read (No such file"),
        ("compare.py", ["--show", "README.md"], "error: README.md holds no results ("),
        ("bench_start.py", ["--data", "none"], "mr.tsv; --data must name the folder with sentences/"),
    ],
)
def test_missing_data_is_a_sentence(name, arguments, message, tmp_path):
    (tmp_path / "README.md").write_text("no JSON")
    environment = dict(os.environ, PYTHONPATH=str(Path(textcnn.__file__).resolve().parents[1]))
    command = [sys.executable, str(BENCHMARKS / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_comparison_goes_on_where_it_stopped(results, data, tmp_path):
    _, found, _ = results
    kept = {**found, "runs": found["runs"][:-1]}
    copy = tmp_path / "found.json"
    copy.write_text(json.dumps(kept))
    run_script("compare.py", "--data", data, "--json", copy, "--add", *QUICK, hidden="torch,fasttext")
    again = json.loads(copy.read_text())
    assert again["runs"][:-1] == kept["runs"]
    assert len(again["runs"]) == len(found["runs"])


def test_plots(results, tmp_path):
    pytest.importorskip("matplotlib")
    run_script("plot_compare.py", results[0], "--out", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"compare-speed.svg", "compare-accuracy.svg"}


def test_accuracy_of_the_peers_on_the_same_splits(data, tmp_path):
    path = tmp_path / "accuracy.json"
    arguments = ["--data", data, "--sets", "mr,trec", "--seeds", "2", "--json", path, "--threads", "1"]
    params = ["--params", '{"max_iter": 2, "kernel_sizes": [2, 3]}', "--set", "embedding_dim=8"]
    printed = run_script(
        "bench_accuracy.py", *arguments, *params, "--peers", "nbsvm,fasttext-2gram", hidden="fasttext"
    )
    rows = json.loads(path.read_text())
    assert [(row["set"], row["peer"], len(row["scores"])) for row in rows] == [
        ("mr", "textcnn", 10),
        ("mr", "NB-SVM", 10),
        ("trec", "textcnn", 2),
        ("trec", "NB-SVM", 1),  # no randomness in it
    ]
    assert "fastText is not installed" in printed


def test_regression_with_clean_and_wild_targets(data, tmp_path):
    path = tmp_path / "regression.json"
    arguments = ["--data", data, "--sets", "mr", "--folds", "1", "--threads", "1", "--json", path]
    run_script("bench_regression.py", *arguments, "--set", "batch_size=5", "--set", "embedding_dim=16")
    rows = {(row["part"], row["loss"]): row for row in json.loads(path.read_text())}
    assert len(rows) == 6
    for part in ("network", "linear part", "both"):
        squared, huber = rows[part, "squared_error"], rows[part, "huber"]
        assert huber["wild"] < 0.2 * squared["wild"]
        assert squared["error"] < 0.5


def test_both_pytorch_forms_compute_the_same_network(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from peers.pytorch_best import BestNetwork
    from peers.pytorch_usual import UsualNetwork

    torch.manual_seed(0)
    usual, best = UsualNetwork(20, 3).eval(), BestNetwork(20, 3).eval()
    with torch.no_grad():
        best.table.copy_(usual.embedding.weight)
        taps = [c.weight.permute(1, 2, 0).reshape(300, -1) for c in usual.convolutions]
        best.filters.copy_(torch.cat(taps, dim=1))
        best.bias.copy_(torch.cat([c.bias for c in usual.convolutions]))
    best.dense.load_state_dict(usual.dense.state_dict())
    padded = torch.tensor([[3, 4, 5, 6, 7, 8], [9, 3, 9, 0, 0, 0], [2, 0, 0, 0, 0, 0]])
    targets = torch.tensor([0, 2, 1])

    expected = usual.logits(padded)
    np.testing.assert_allclose(best.logits(padded).detach(), expected.detach(), atol=1e-5)

    torch.nn.functional.cross_entropy(expected, targets).backward()
    tokens, windows = best.prepared(padded)
    rows = best.table[tokens].requires_grad_()
    torch.nn.functional.cross_entropy(best.training_logits(rows, windows), targets).backward()
    gradient = usual.embedding.weight.grad[tokens]
    np.testing.assert_allclose(rows.grad[1:], gradient[1:], atol=1e-6)  # row 0 is padding
    taps = [c.weight.grad.permute(1, 2, 0).reshape(300, -1) for c in usual.convolutions]
    np.testing.assert_allclose(best.filters.grad, torch.cat(taps, dim=1), atol=1e-6)
