"""How much memory does training on MR with default parameters take, imports included?

python benchmarks/bench_memory.py --data DIR
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common import in_own_process, read_labelled, report


def fit(data: str) -> dict:
    """Train on all of MR."""
    from textcnn import TextCNNClassifier

    classifier = TextCNNClassifier(random_state=0).fit(*read_labelled(Path(data) / "sentences" / "mr.tsv"))
    return {"what": "fit on MR, default parameters", "epochs": classifier.n_iter_}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--json")
    args = parser.parse_args()
    report([in_own_process(fit, args.data)], args.json)


if __name__ == "__main__":
    main()
