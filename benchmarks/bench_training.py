"""How long does an epoch on MR take, beside PyTorch?

300 dimensions, widths 3, 4, 5 with 100 filters each, batches of 50, Adam, dropout 0.5, on the training part
of the first of ten folds. PyTorch is used in the usual way: `nn.Embedding`, `nn.Conv1d`, fused Adam, padded
batches of texts of similar length. Each contender trains in a process of its own, in turns.

    python benchmarks/bench_training.py --data DIR [--epochs 3] [--rounds 3] [--threads 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from pathlib import Path

from common import in_own_process, read_labelled, report


def first_fold(data: str) -> tuple:
    """Training and test part of the first fold."""
    import numpy as np
    from sklearn.model_selection import StratifiedKFold

    texts, labels = read_labelled(Path(data) / "sentences" / "mr.tsv")
    y = np.array(labels)
    train, test = next(StratifiedKFold(10, shuffle=True, random_state=0).split(texts, y))
    return [texts[i] for i in train], y[train], [texts[i] for i in test], y[test]


def run_textcnn(data: str, epochs: int, threads: int) -> dict:
    """Seconds per epoch and accuracy of textcnn."""
    from textcnn import TextCNNClassifier

    X, y, X_test, y_test = first_fold(data)
    options = {"embedding_dim": 300, "random_state": 0, "n_jobs": threads, "early_stopping": False}
    TextCNNClassifier(max_iter=1, **options).fit(X[::20], y[::20])
    start = time.perf_counter()
    classifier = TextCNNClassifier(max_iter=epochs, **options).fit(X, y)
    seconds = (time.perf_counter() - start) / epochs
    return {"seconds": seconds, "accuracy": classifier.score(X_test, y_test)}


def run_pytorch(data: str, epochs: int, threads: int) -> dict:
    """Seconds per epoch and accuracy of the usual PyTorch network."""
    import numpy as np
    import torch
    from torch import nn

    torch.manual_seed(0)
    torch.set_num_threads(threads)
    X, y, X_test, y_test = first_fold(data)
    words = re.compile(r"\w+(?:'\w+)*|[^\w\s]")
    vocabulary: dict[str, int] = {}
    ids = [[vocabulary.setdefault(w, len(vocabulary) + 2) for w in words.findall(t.lower())] for t in X]
    test_ids = [[vocabulary.get(w, 1) for w in words.findall(t.lower())] for t in X_test]
    targets = torch.tensor([int(label) for label in y])

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(len(vocabulary) + 2, 300, padding_idx=0)
            nn.init.uniform_(self.embedding.weight, -0.05, 0.05)
            self.convolutions = nn.ModuleList(nn.Conv1d(300, 100, w, padding=w - 1) for w in (3, 4, 5))
            self.dropout = nn.Dropout(0.5)
            self.dense = nn.Linear(300, 2)

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            embedded = self.embedding(batch).transpose(1, 2)
            pooled = [conv(embedded).relu().amax(dim=2) for conv in self.convolutions]
            return self.dense(self.dropout(torch.cat(pooled, dim=1)))

    def padded(rows: list[list[int]]) -> torch.Tensor:
        return nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)

    order = np.argsort([len(row) for row in ids], kind="stable")
    batches = [order[i : i + 50] for i in range(0, len(order), 50)]
    batches = [(padded([ids[i] for i in batch]), targets[torch.as_tensor(batch)]) for batch in batches]
    network = Network()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001, fused=True)
    shuffle = np.random.RandomState(0)

    def epoch(chosen: list) -> None:
        network.train()
        for batch, target in chosen:
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(network(batch), target).backward()
            optimizer.step()

    epoch(batches[:5])
    start = time.perf_counter()
    for _ in range(epochs):
        epoch([batches[i] for i in shuffle.permutation(len(batches))])
    seconds = (time.perf_counter() - start) / epochs
    network.eval()
    with torch.inference_mode():
        right = sum(
            int(network(padded([row])).argmax()) == int(label)
            for row, label in zip(test_ids, y_test, strict=True)
        )
    return {"seconds": seconds, "accuracy": right / len(y_test)}


CONTENDERS = {"textcnn": run_textcnn, "PyTorch, usual": run_pytorch}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json")
    args = parser.parse_args()
    results: dict[str, list[dict]] = {name: [] for name in CONTENDERS}
    for _ in range(args.rounds):
        for name, run in CONTENDERS.items():
            try:
                results[name].append(in_own_process(run, args.data, args.epochs, args.threads))
            except ImportError as error:
                print(f"{name}: left out ({error})")
    rows = []
    for name, runs in results.items():
        if runs:
            seconds = [run["seconds"] for run in runs]
            rows.append(
                {
                    "contender": name,
                    "best s/epoch": min(seconds),
                    "median s/epoch": statistics.median(seconds),
                    "times textcnn": min(seconds) / min(run["seconds"] for run in results["textcnn"]),
                    "accuracy": runs[0]["accuracy"],
                    "peak MB": max(run["peak_mb"] for run in runs),
                }
            )
    report(rows, args.json)


if __name__ == "__main__":
    main()
