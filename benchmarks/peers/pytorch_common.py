"""What both PyTorch forms share: ids, padded batches, the loop over epochs, prediction."""

from __future__ import annotations

import copy
import time
from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from datasets import TOKEN
from torch import Tensor

from peers.base import BATCH_SIZE, ReadyPeer, Settings

PADDING, UNKNOWN = 0, 1
PREDICT_BATCH_SIZE = 200

# Mode "default": Kim's protocol, one tenth of the training texts decides when to stop.
MAX_EPOCHS, PATIENCE, HELD_OUT = 10, 3, 0.1

Batch = tuple[Any, Tensor]


class PyTorchPeer(ReadyPeer):
    """A sentence CNN in PyTorch; a form of it says how a batch is prepared and computed."""

    ready = "ids in padded batches"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        torch.set_num_threads(settings.threads)
        torch.manual_seed(settings.seed)
        self.random = np.random.RandomState(settings.seed)
        self.vocabulary: dict[str, int] = {}
        self.classes: np.ndarray
        self.network: Any

    @abstractmethod
    def build(self, n_tokens: int, n_classes: int) -> Any:
        """A new network of this form."""

    def fit(self, texts: list[str], labels: list[str]) -> None:
        vocabulary = self.vocabulary
        rows = [
            [vocabulary.setdefault(word, len(vocabulary) + 2) for word in TOKEN.findall(text.lower())]
            for text in texts
        ]
        self.classes, targets = np.unique(labels, return_inverse=True)
        self.network = self.build(len(vocabulary) + 2, len(self.classes))
        if self.settings.mode == "matched":
            batches = self._training_batches(rows, targets)
            for _ in range(self.settings.epochs):
                self._train_epoch(batches)
        else:
            self._fit_with_early_stopping(rows, targets)
        self.network.eval()

    def _fit_with_early_stopping(self, rows: list[list[int]], targets: np.ndarray) -> None:
        order = self.random.permutation(len(rows))
        n_held_out = max(1, round(HELD_OUT * len(rows)))
        held_out, kept = order[:n_held_out], order[n_held_out:]
        batches = self._training_batches([rows[i] for i in kept], targets[kept])
        validation_order, validation = padded_batches([rows[i] for i in held_out], PREDICT_BATCH_SIZE)
        expected = targets[held_out][validation_order]
        best, best_state, n_stalled = -1.0, None, 0
        for _ in range(MAX_EPOCHS):
            self._train_epoch(batches)
            self.network.eval()
            accuracy = float((self.predict_prepared(validation) == expected).mean())
            n_stalled = 0 if accuracy > best else n_stalled + 1
            if accuracy > best:
                best, best_state = accuracy, copy.deepcopy(self.network.state_dict())
            if n_stalled == PATIENCE:
                break
        self.network.load_state_dict(best_state)
        self.network.eval()

    def _training_batches(self, rows: list[list[int]], targets: np.ndarray) -> list[Batch]:
        """Batches of texts of similar length, made once: the same texts stay together in all epochs."""
        order, batches = padded_batches(rows, BATCH_SIZE)
        chosen = torch.as_tensor(targets[order]).split(BATCH_SIZE)
        return [(self.network.prepared(batch), y) for batch, y in zip(batches, chosen, strict=True)]

    def _train_epoch(self, batches: list[Batch]) -> None:
        start = time.perf_counter()
        self.network.train()
        for i in self.random.permutation(len(batches)):
            self.network.step(*batches[i])
        self.epoch_seconds.append(time.perf_counter() - start)

    def use_threads(self, n_threads: int) -> bool:
        torch.set_num_threads(n_threads)
        return True

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Ids of known words; 1 for others."""
        get = self.vocabulary.get
        return [[get(word, UNKNOWN) for word in TOKEN.findall(text.lower())] for text in texts]

    def prepare(self, texts: list[str]) -> list[Tensor]:
        return padded_batches(self.encode(texts), PREDICT_BATCH_SIZE)[1]

    @torch.inference_mode()
    def predict_prepared(self, prepared: list[Tensor]) -> np.ndarray:
        return torch.cat([self.network.logits(batch).argmax(1) for batch in prepared]).numpy()

    def predict(self, texts: list[str]) -> list[str]:
        order, batches = padded_batches(self.encode(texts), PREDICT_BATCH_SIZE)
        numbers = np.empty(len(texts), np.intp)
        numbers[order] = self.predict_prepared(batches)
        return self.classes[numbers].tolist()


def padded_batches(rows: list[list[int]], size: int) -> tuple[np.ndarray, list[Tensor]]:
    """Rows sorted by length, in batches padded to their longest row; and the order that sorts them."""
    lengths = np.fromiter(map(len, rows), np.intp, len(rows))
    order = np.argsort(lengths, kind="stable")
    batches = []
    for first in range(0, len(order), size):
        chosen = order[first : first + size]
        n_columns = max(1, lengths[chosen[-1]])
        padded = np.full((len(chosen), n_columns), PADDING, np.int64)
        padded[np.arange(n_columns) < lengths[chosen, None]] = np.concatenate([rows[i] for i in chosen])
        batches.append(torch.from_numpy(padded))
    return order, batches


def fused_adam(parameters: Any, rate: float) -> torch.optim.Optimizer:
    """Adam as PyTorch's own fused CPU kernel."""
    return torch.optim.Adam(parameters, lr=rate, fused=True)


__all__ = ["PyTorchPeer", "fused_adam", "padded_batches"]
