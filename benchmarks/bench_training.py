"""How long does an epoch on MR take, beside PyTorch, in how much memory and how well?

300 dimensions, widths 3, 4, 5 with 100 filters each, batches of 50, Adam, dropout 0.5, on the training part
of the first of ten folds; the accuracy is that of the last epoch on the rest. Contenders:

- textcnn: `TextCNNClassifier` from raw strings, other parameters at their defaults. An epoch is one pass of
  its trainer; "fit s/epoch" is the whole of `fit` (text to ids included) divided by the epochs.
- PyTorch, usual: `nn.Embedding`, `nn.Conv1d`, fused Adam, padded batches of texts of similar length.
- PyTorch, best: each distinct token of a batch projected once, taps added by `embedding_bag`, and Adam on
  the embedding rows of the batch alone, as textcnn does.

PyTorch gets ids, padded batches and (best form) distinct tokens made beforehand, outside its times, and keeps
the same texts in a batch in all epochs. It is optional. Each run is a new process, the contenders in turns;
the first of its epochs counts like the others, after a warm-up of a few steps.

    python benchmarks/bench_training.py --data DIR [--epochs 4] [--rounds 3] [--threads 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import best_and_median, in_own_process, read_labelled, report

N_DIMS, WIDTHS, N_FILTERS, BATCH_SIZE = 300, (3, 4, 5), 100, 50
REACH = max(WIDTHS) - 1
RATE, BETAS, EPSILON = 0.001, (0.9, 0.999), 1e-8
WORDS = re.compile(r"\w+(?:'\w+)*|[^\w\s]")


def first_fold(data: str) -> tuple[list[str], np.ndarray, list[str], np.ndarray]:
    """Training and test part of the first fold."""
    from sklearn.model_selection import StratifiedKFold

    texts, labels = read_labelled(Path(data) / "sentences" / "mr.tsv")
    y = np.array(labels)
    train, test = next(StratifiedKFold(10, shuffle=True, random_state=0).split(texts, y))
    return [texts[i] for i in train], y[train], [texts[i] for i in test], y[test]


def run_textcnn(fold: tuple, epochs: int, threads: int) -> dict:
    """Times of epochs and accuracy of textcnn."""
    from textcnn import TextCNNClassifier
    from textcnn.nn.training import Trainer

    X, y, X_test, y_test = fold
    options = {
        "embedding_dim": N_DIMS,
        "kernel_sizes": WIDTHS,
        "n_filters": N_FILTERS,
        "batch_size": BATCH_SIZE,
        "dropout": 0.5,
        "solver": "adam",
        "early_stopping": False,
        "random_state": 0,
        "n_jobs": threads,
    }
    TextCNNClassifier(max_iter=1, **options).fit(X[::20], y[::20])
    times = []
    train_epoch = Trainer._epoch

    def timed_epoch(self: Trainer, *args: Any) -> float:
        start = time.perf_counter()
        loss = train_epoch(self, *args)
        times.append(time.perf_counter() - start)
        return loss

    Trainer._epoch = timed_epoch
    start = time.perf_counter()
    classifier = TextCNNClassifier(max_iter=epochs, **options).fit(X, y)
    fit = (time.perf_counter() - start) / epochs
    return {"times": times, "fit": fit, "accuracy": classifier.score(X_test, y_test)}


def run_pytorch(fold: tuple, epochs: int, threads: int, form: str) -> dict:
    """Times of epochs and accuracy of a PyTorch network in its "usual" or "best" form."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(threads)
    X, y, X_test, y_test = fold
    vocabulary: dict[str, int] = {}  # row 0 is padding, row 1 the unknown token
    ids = [[vocabulary.setdefault(w, len(vocabulary) + 2) for w in WORDS.findall(t.lower())] for t in X]
    test_ids = [[vocabulary.get(w, 1) for w in WORDS.findall(t.lower())] for t in X_test]
    network = (_usual if form == "usual" else _best)(torch, len(vocabulary) + 2)

    def batches_of(rows: list[list[int]], labels: np.ndarray) -> list[tuple]:
        targets = torch.tensor([int(label) for label in labels])
        order = np.argsort([len(row) for row in rows], kind="stable")
        batches = []
        for first in range(0, len(order), BATCH_SIZE):
            batch = order[first : first + BATCH_SIZE]
            tensors = [torch.tensor(rows[i], dtype=torch.int64) for i in batch]
            padded = torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True)
            batches.append((network.prepared(padded), targets[torch.as_tensor(batch)]))
        return batches

    batches = batches_of(ids, y)
    shuffle = np.random.RandomState(0)

    def epoch(chosen: list[tuple]) -> float:
        start = time.perf_counter()
        network.train()
        for batch, target in chosen:
            network.step(batch, target)
        return time.perf_counter() - start

    epoch(batches[::40])
    times = [epoch([batches[i] for i in shuffle.permutation(len(batches))]) for _ in range(epochs)]
    network.eval()
    with torch.inference_mode():
        right = sum(int((network(b).argmax(1) == t).sum()) for b, t in batches_of(test_ids, y_test))
    return {"times": times, "fit": None, "accuracy": right / len(y_test)}


def _usual(torch: Any, n_tokens: int) -> Any:
    nn = torch.nn

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(n_tokens, N_DIMS, padding_idx=0)
            nn.init.uniform_(self.embedding.weight, -0.05, 0.05)
            nn.init.zeros_(self.embedding.weight[0].detach())
            self.convolutions = nn.ModuleList(
                nn.Conv1d(N_DIMS, N_FILTERS, width, padding=width - 1) for width in WIDTHS
            )
            self.dropout = nn.Dropout(0.5)
            self.dense = nn.Linear(N_FILTERS * len(WIDTHS), 2)
            self.optimizer = torch.optim.Adam(self.parameters(), RATE, BETAS, EPSILON, fused=True)

        def prepared(self, padded: Any) -> Any:
            return padded

        def forward(self, batch: Any) -> Any:
            embedded = self.embedding(batch).transpose(1, 2)
            pooled = [convolution(embedded).relu().amax(dim=2) for convolution in self.convolutions]
            return self.dense(self.dropout(torch.cat(pooled, dim=1)))

        def step(self, batch: Any, target: Any) -> None:
            self.optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(self(batch), target).backward()
            self.optimizer.step()

    return Network()


def _best(torch: Any, n_tokens: int) -> Any:
    nn = torch.nn
    n_taps = sum(WIDTHS)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.empty(n_tokens, N_DIMS).uniform_(-0.05, 0.05)
            self.table[0] = 0
            self.mean, self.square = torch.zeros_like(self.table), torch.zeros_like(self.table)
            filters = [  # as nn.Conv1d starts them
                torch.empty(N_DIMS, width * N_FILTERS).uniform_(-1, 1) / (width * N_DIMS) ** 0.5
                for width in WIDTHS
            ]
            self.filters = nn.Parameter(torch.cat(filters, dim=1))
            self.bias = nn.Parameter(torch.zeros(N_FILTERS * len(WIDTHS)))
            self.dropout = nn.Dropout(0.5)
            self.dense = nn.Linear(N_FILTERS * len(WIDTHS), 2)
            self.optimizer = torch.optim.Adam(self.parameters(), RATE, BETAS, EPSILON, fused=True)
            self.n_steps = 0

        def prepared(self, padded: Any) -> Any:
            """Distinct tokens, and for each width the rows of the projection that a window adds."""
            tokens, places = torch.unique(nn.functional.pad(padded, (REACH, REACH)), return_inverse=True)
            windows, first = [], 0
            for width in WIDTHS:
                skipped = REACH - (width - 1)
                window = places[:, skipped : places.shape[1] - skipped].unfold(1, width, 1)
                windows.append((window * n_taps + first + torch.arange(width)).reshape(-1, width))
                first += width
            return tokens, windows, len(padded)

        def forward(self, batch: Any, rows: Any = None) -> Any:
            tokens, windows, n_texts = batch
            rows = self.table[tokens] if rows is None else rows
            projected = (rows @ self.filters).view(-1, N_FILTERS)
            pooled = [
                nn.functional.embedding_bag(window, projected, mode="sum")
                .view(n_texts, -1, N_FILTERS)
                .amax(dim=1)
                for window in windows
            ]
            return self.dense(self.dropout((torch.cat(pooled, dim=1) + self.bias).relu()))

        def step(self, batch: Any, target: Any) -> None:
            self.optimizer.zero_grad(set_to_none=True)
            tokens = batch[0]
            rows = self.table[tokens].requires_grad_()
            nn.functional.cross_entropy(self(batch, rows), target).backward()
            self.optimizer.step()
            self.n_steps += 1
            with torch.no_grad():  # lazy Adam; distinct tokens are sorted, so padding comes first
                gradient = rows.grad
                gradient[0] = 0
                mean = self.mean[tokens].lerp_(gradient, 1 - BETAS[0])
                square = self.square[tokens].mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
                self.mean[tokens], self.square[tokens] = mean, square
                rate = RATE / (1 - BETAS[0] ** self.n_steps)
                root = (square / (1 - BETAS[1] ** self.n_steps)).sqrt_().add_(EPSILON)
                self.table[tokens] = rows.detach().addcdiv_(mean, root, value=-rate)

    return Network()


CONTENDERS = {
    "textcnn": (run_textcnn,),
    "PyTorch, usual": (run_pytorch, "usual"),
    "PyTorch, best": (run_pytorch, "best"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="folder with sentences/mr.tsv")
    parser.add_argument("--epochs", type=int, default=4, help="in each run")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contender")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json")
    args = parser.parse_args()
    fold = first_fold(args.data)
    results: dict[str, list[dict]] = {name: [] for name in CONTENDERS}
    missing: set[str] = set()
    for _ in range(args.rounds):
        for name, (run, *form) in CONTENDERS.items():
            if run.__name__ in missing:
                continue
            try:
                results[name].append(in_own_process(run, fold, args.epochs, args.threads, *form))
            except ModuleNotFoundError as error:
                if error.name != "torch":
                    raise
                missing.add(run.__name__)
                print("PyTorch is not installed, so its rows are left out.")
    rows = []
    own = best_and_median([t for run in results["textcnn"] for t in run["times"]])
    for name, runs in results.items():
        if runs:
            figures = best_and_median([t for run in runs for t in run["times"]])
            row = {"contender": name} | {f"{key} s/epoch": value for key, value in figures.items()}
            row |= {f"x {key}": value / own[key] for key, value in figures.items()}
            if runs[0]["fit"]:
                row["fit s/epoch"] = min(run["fit"] for run in runs)
            row["accuracy"] = runs[0]["accuracy"]
            row["peak MB"] = max(run["peak_mb"] for run in runs)
            rows.append(row)
    report(rows, args.json)


if __name__ == "__main__":
    main()
