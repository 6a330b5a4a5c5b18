"""textcnn itself."""

from __future__ import annotations

import time
from typing import Any

from peers.base import (
    BATCH_SIZE,
    DROPOUT,
    LEARNING_RATE,
    N_DIMS,
    N_FILTERS,
    WIDTHS,
    Peer,
    Settings,
)
from textcnn import TextCNNClassifier
from textcnn.nn.training import Trainer

MATCHED_PARAMS = {
    "embedding_dim": N_DIMS,
    "kernel_sizes": WIDTHS,
    "n_filters": N_FILTERS,
    "batch_size": BATCH_SIZE,
    "dropout": DROPOUT,
    "solver": "adam",
    "learning_rate": "constant",
    "learning_rate_init": LEARNING_RATE,
    # the PyTorch forms have none of these
    "word_dropout": 0.0,
    "max_norm": None,
    "early_stopping": False,
    "linear": 0,
}


class TextCNNPeer(Peer):
    """`TextCNNClassifier`, with default parameters or those of the matched network."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.model = TextCNNClassifier(random_state=settings.seed, n_jobs=settings.threads)
        if settings.mode == "default":
            self.model.set_params(**settings.params)
        else:
            known = self.model.get_params()
            matched = {name: value for name, value in MATCHED_PARAMS.items() if name in known}
            self.model.set_params(**matched, max_iter=settings.epochs)

    def fit(self, texts: list[str], labels: list[str]) -> None:
        # the estimator has no callback, so its trainer's epochs are timed from outside
        train_epoch = Trainer._epoch

        def timed_epoch(trainer: Trainer, *args: Any) -> float:
            start = time.perf_counter()
            loss = train_epoch(trainer, *args)
            self.epoch_seconds.append(time.perf_counter() - start)
            return loss

        Trainer._epoch = timed_epoch
        try:
            self.model.fit(texts, labels)
        finally:
            Trainer._epoch = train_epoch

    def use_threads(self, n_threads: int) -> bool:
        self.model.set_params(n_jobs=n_threads)
        return True

    def predict(self, texts: list[str]) -> list[str]:
        return self.model.predict(texts).tolist()
