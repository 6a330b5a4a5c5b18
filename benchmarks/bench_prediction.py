"""How fast is prediction, from raw text to label, beside PyTorch from ids that are ready?

Trained on MR with 300 dimensions and 3 x 100 filters. Three questions:

- tokens per second of all of MR with a warm table of projected tokens, on 1 and 2 threads;
- microseconds for one text, by `TextCNNClassifier.predict` and by the predictor of `textcnn.load`, as many
  threads as they choose;
- seconds of a new process that imports textcnn, loads the model and predicts a first label. The process
  checks that scikit-learn was not imported.

PyTorch (optional) has the same weights in `nn.Embedding` and `nn.Conv1d`. Its padded batches of 200 texts of
similar length, or its one row of ids, are made outside its times. "score" is the share of labels that are
those of `TextCNNClassifier`. Each block of passes is a new process, the contenders in turns, with its own
peak memory. "x textcnn" says how many times as fast textcnn is, median to median.

    python benchmarks/bench_prediction.py --data DIR [--rounds 3] [--passes 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import best_and_median, in_own_process, read_labelled, report

BATCH_SIZE = 200

FIRST_LABEL = """
import sys
import textcnn
label = textcnn.load(sys.argv[1]).predict(["a quiet little film"])
assert len(label) == 1
assert "sklearn" not in sys.modules, "prediction imported scikit-learn"
"""


def train(data: str, folder: str) -> dict:
    """Write the model, the ids of all texts and its labels into `folder`."""
    from textcnn import TextCNNClassifier

    texts, labels = read_labelled(Path(data) / "sentences" / "mr.tsv")
    classifier = TextCNNClassifier(embedding_dim=300, max_iter=2, early_stopping=False, random_state=0)
    classifier.fit(texts, labels).save(Path(folder) / "mr.textcnn")
    ids, offsets = classifier.predictor_.vocabulary.encode(texts)
    network = classifier.predictor_.network
    np.savez(
        Path(folder) / "network.npz",
        ids=ids,
        offsets=offsets,
        labels=classifier.predict(texts),
        **{name: getattr(network, name) for name in network.ARRAYS},
    )
    return {"n_tokens": len(ids), "kernel_sizes": network.layout.kernel_sizes}


def seconds_of(function: Callable, *args: Any) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


def textcnn_model(name: str, folder: str, threads: int | None) -> Any:
    """The saved model as an estimator or as a predictor."""
    if name == "TextCNNClassifier":
        from textcnn import TextCNNClassifier

        return TextCNNClassifier.load(Path(folder) / "mr.textcnn").set_params(n_jobs=threads)
    import textcnn

    return textcnn.load(Path(folder) / "mr.textcnn", n_jobs=threads)


def run_textcnn(
    name: str, data: str, folder: str, sizes: tuple, threads: int | None, passes: int, singles: int
) -> dict:
    """Times of passes over all texts, or of `singles` single texts, with a warm table."""
    texts, _ = read_labelled(Path(data) / "sentences" / "mr.tsv")
    model = textcnn_model(name, folder, threads)
    score = float((model.predict(texts) == np.load(Path(folder) / "network.npz")["labels"]).mean())
    if singles:
        times = [seconds_of(model.predict, [text]) for text in texts[:singles]]
    else:
        times = [seconds_of(model.predict, texts) for _ in range(passes)]
    return {"times": times, "score": score}


def run_pytorch(
    name: str, data: str, folder: str, sizes: tuple, threads: int | None, passes: int, singles: int
) -> dict:
    """The same of the same network in PyTorch, from ids."""
    import torch
    from torch import nn

    if threads:
        torch.set_num_threads(threads)
    arrays = np.load(Path(folder) / "network.npz")
    n_filters = len(arrays["filter_bias"]) // len(sizes)
    padding, n_dims = arrays["embedding"].shape
    table = torch.from_numpy(np.vstack([arrays["embedding"], np.zeros((1, n_dims), np.float32)]))
    embedding = nn.Embedding.from_pretrained(table)
    dense = nn.Linear(len(arrays["filter_bias"]), len(arrays["bias"]))
    dense.load_state_dict(
        {"weight": torch.from_numpy(arrays["weights"]), "bias": torch.from_numpy(arrays["bias"])}
    )
    convolutions, row = [], 0
    for i, width in enumerate(sizes):
        taps = arrays["filters"][row : row + width * n_filters].reshape(width, n_filters, n_dims)
        row += width * n_filters
        convolution = nn.Conv1d(n_dims, n_filters, width, padding=width - 1)
        bias = arrays["filter_bias"][i * n_filters : (i + 1) * n_filters]
        convolution.load_state_dict(
            {
                "weight": torch.from_numpy(np.ascontiguousarray(taps.transpose(1, 2, 0))),
                "bias": torch.from_numpy(bias),
            }
        )
        convolutions.append(convolution)

    @torch.inference_mode()
    def predict(batches: list) -> list:
        labels = []
        for batch in batches:
            embedded = embedding(batch).transpose(1, 2)
            pooled = [convolution(embedded).relu().amax(dim=2) for convolution in convolutions]
            labels.append(dense(torch.cat(pooled, dim=1)).argmax(dim=1).numpy())
        return labels

    all_ids, all_offsets = arrays["ids"].astype(np.int64), arrays["offsets"]  # read from the file once
    rows = np.split(all_ids, all_offsets[1:-1])
    order = np.argsort([len(ids) for ids in rows], kind="stable")
    batches = [
        nn.utils.rnn.pad_sequence(
            [torch.from_numpy(rows[i]) for i in order[first : first + BATCH_SIZE]],
            batch_first=True,
            padding_value=padding,
        )
        for first in range(0, len(order), BATCH_SIZE)
    ]
    expected = np.unique(arrays["labels"], return_inverse=True)[1]
    score = float((np.concatenate(predict(batches)) == expected[order]).mean())
    if singles:
        texts = [[torch.from_numpy(ids).unsqueeze(0)] for ids in rows[:singles]]
        times = [seconds_of(predict, text) for text in texts]
    else:
        times = [seconds_of(predict, batches) for _ in range(passes)]
    return {"times": times, "score": score}


CONTENDERS = {
    "TextCNNClassifier": run_textcnn,
    "textcnn.load": run_textcnn,
    "PyTorch from ids": run_pytorch,
}


def measure(names: list[str], args: argparse.Namespace, *options: Any) -> dict[str, dict]:
    """All times, the score and the peak memory of each contender, the contenders in turns."""
    results: dict[str, dict] = {}
    for _ in range(args.rounds):
        for name in names:
            try:
                run = in_own_process(CONTENDERS[name], name, args.data, *options)
            except ModuleNotFoundError as error:
                if error.name != "torch":
                    raise
                continue
            known = results.setdefault(name, {"times": [], "score": run["score"], "peak_mb": 0.0})
            known["times"] += run["times"]
            known["peak_mb"] = max(known["peak_mb"], run["peak_mb"])
    return results


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="folder with sentences/mr.tsv")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each contender")
    parser.add_argument("--passes", type=int, default=5, help="over all texts, in each process")
    parser.add_argument("--singles", type=int, default=2000, help="single texts, in each process")
    parser.add_argument("--starts", type=int, default=15, help="new processes to a first label")
    parser.add_argument("--json")
    args = parser.parse_args()
    names = list(CONTENDERS)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        model = in_own_process(train, args.data, folder)
        sizes = model["kernel_sizes"]
        for threads in (2, 1):
            results = measure(names[::2], args, folder, sizes, threads, args.passes, 0)
            own = best_and_median(results[names[0]]["times"])["median"]
            for name, result in results.items():
                times = best_and_median(result["times"])
                rows.append(
                    {
                        "what": f"{name}, all texts, {threads} thread(s)",
                        "unit": "M tokens/s",
                        **{key: model["n_tokens"] / value / 1e6 for key, value in times.items()},
                        "x textcnn": times["median"] / own,
                        "score": result["score"],
                        "peak MB": result["peak_mb"],
                    }
                )
        results = measure(names, args, folder, sizes, None, 0, args.singles)
        own = best_and_median(results["textcnn.load"]["times"])["median"]
        for name, result in results.items():
            times = best_and_median(result["times"])
            rows.append(
                {
                    "what": f"{name}, one text",
                    "unit": "us",
                    **{key: value * 1e6 for key, value in times.items()},
                    "90th percentile": float(np.percentile(result["times"], 90)) * 1e6,
                    "x textcnn": times["median"] / own,
                    "score": result["score"],
                    "peak MB": result["peak_mb"],
                }
            )
        command = [sys.executable, "-c", FIRST_LABEL, str(Path(folder) / "mr.textcnn")]
        starts = [seconds_of(lambda: subprocess.run(command, check=True)) for _ in range(args.starts)]
        empty = [sys.executable, "-c", "import numpy"]
        bare = [seconds_of(lambda: subprocess.run(empty, check=True)) for _ in range(args.starts)]
        for what, times in (
            ("new process, textcnn.load, first label", starts),
            ("new process, import numpy alone", bare),
        ):
            rows.append({"what": what, "unit": "s", **best_and_median(times)})
    report(rows, args.json)
    if names[-1] not in results:
        print("PyTorch is not installed, so its rows are left out.")


if __name__ == "__main__":
    main()
