"""Other libraries with OpenMP threads in one process: scikit-learn, and PyTorch if it is installed."""

import importlib.util
import itertools
import re

import joblib
import pytest
import threadpoolctl
from robustness.processes import output_of_python

from textcnn._kernels import _openmp
from textcnn._threads import effective_n_threads

PARTS = {
    "textcnn": """
from textcnn import TextCNNClassifier
from samples import reviews
texts, labels = reviews(200)
def use_textcnn():
    model = TextCNNClassifier(n_jobs=2, embedding_dim=100, max_iter=2, random_state=0).fit(texts, labels)
    return model.predict_proba(texts * 5).tobytes()
""",
    "sklearn": """
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
def use_sklearn():
    X = np.random.RandomState(0).randn(2000, 20)
    return HistGradientBoostingClassifier(max_iter=5, random_state=0).fit(X, X[:, 0] > 0).predict(X).tobytes()
""",
    "torch": """
import torch
torch.set_num_threads(2)
def use_torch():
    x = torch.arange(1_000_000, dtype=torch.float32).reshape(1000, 1000) / 1e6
    return (x @ x).relu().sum(dim=1).numpy().tobytes()
""",
}

USE = """
before = [use() for use in USES]
import threading
for turn in range(3):
    for use, expected in zip(USES, before):
        assert use() == expected
results = {}
threads = [threading.Thread(target=lambda i=i: results.__setitem__(i, USES[i]())) for i in range(len(USES))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert [results[i] for i in range(len(USES))] == before
print(hash_of(use_textcnn()))
"""

HASH = "import hashlib\nhash_of = lambda data: hashlib.sha256(data).hexdigest()\n"


def outcome(*parts):
    """What the parts print when they are imported in this order and used in turns, then all at once."""
    uses = f"USES = [{', '.join(f'use_{part}' for part in parts)}]\n"
    return output_of_python(
        "-W", "ignore", "-c", HASH + "".join(PARTS[part] for part in parts) + uses + USE, timeout=120
    )


@pytest.fixture(scope="module")
def alone():
    printed = outcome("textcnn")
    assert re.fullmatch(r"[0-9a-f]{64}\n", printed)
    return printed


@pytest.mark.parametrize("order", list(itertools.permutations(["textcnn", "sklearn"])), ids="-".join)
def test_scikit_learn_in_one_process(order, alone):
    assert outcome(*order) == alone


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
@pytest.mark.parametrize("order", list(itertools.permutations(["textcnn", "sklearn", "torch"])), ids="-".join)
def test_pytorch_in_one_process(order, alone):
    assert outcome(*order) == alone


@pytest.mark.skipif(not _openmp.openmp_version(), reason="built without OpenMP")
def test_limits_of_threadpoolctl_and_joblib_hold():
    """`n_jobs=None` means what these leave; a number means itself."""
    assert "openmp" in {pool["user_api"] for pool in threadpoolctl.threadpool_info()}
    with threadpoolctl.threadpool_limits(1, user_api="openmp"):
        assert effective_n_threads(None) == 1
        assert effective_n_threads(2) == 2
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        assert joblib.Parallel(2)(joblib.delayed(effective_n_threads)(None) for _ in range(4)) == [1] * 4
