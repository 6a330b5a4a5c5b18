"""textcnn itself."""

from __future__ import annotations

import time
from typing import Any

from tagging_datasets import Tags, Tokens

from tagging_peers.base import (
    BATCH_SIZE,
    DILATIONS,
    DROPOUT,
    LEARNING_RATE,
    N_CHANNELS,
    N_DIMS,
    N_ITERATIONS,
    TaggingPeer,
    TaggingSettings,
)
from textcnn import TextCNNTagger
from textcnn.nn.tagging_cnn import TaggingCNN
from textcnn.nn.training import Trainer

# the PyTorch forms know the words and nothing of their characters
MATCHED_PARAMS = {
    "embedding_dim": N_DIMS,
    "n_channels": N_CHANNELS,
    "dilations": DILATIONS,
    "n_iterations": N_ITERATIONS,
    "share_weights": True,
    "join": "concat",
    "head": "crf",
    "batch_size": BATCH_SIZE,
    "dropout": DROPOUT,
    "solver": "adam",
    "learning_rate": "constant",
    "learning_rate_init": LEARNING_RATE,
    "early_stopping": False,
    "feature_dropout": DROPOUT,
    "word_dropout": 0.0,
    "rare_word_dropout": 0.5,
    "n_char_filters": 0,
    "prefix_lengths": (),
    "suffix_lengths": (),
    "shapes": False,
    "linear": 0.0,
}


class TextCNNPeer(TaggingPeer):
    """`TextCNNTagger`, with default parameters or those of the matched network."""

    def __init__(self, settings: TaggingSettings) -> None:
        super().__init__(settings)
        self.model = TextCNNTagger(random_state=settings.seed, n_jobs=settings.threads)
        if settings.mode == "matched":
            self.model.set_params(**MATCHED_PARAMS, max_iter=settings.epochs)

    def fit(self, X: Tokens, y: Tags, X_dev: Tokens, y_dev: Tags) -> None:
        # the estimator has no callback, so its trainer's epochs are timed from outside
        train_epoch = Trainer._epoch

        def timed_epoch(trainer: Trainer, *args: Any) -> float:
            start = time.perf_counter()
            loss = train_epoch(trainer, *args)
            if isinstance(trainer.network, TaggingCNN):  # not those of the linear part
                self.epoch_seconds.append(time.perf_counter() - start)
            return loss

        dev = {} if self.settings.mode == "matched" else {"X_val": X_dev, "y_val": y_dev}
        Trainer._epoch = timed_epoch
        try:
            self.model.fit(X, y, **dev)
        finally:
            Trainer._epoch = train_epoch

    def use_threads(self, n_threads: int) -> bool:
        self.model.set_params(n_jobs=n_threads)
        return True

    def predict(self, X: Tokens) -> Tags:
        return [list(tags) for tags in self.model.predict(X)]
