"""The ID-CNN-CRF as a PyTorch user writes it.

`Conv1d` layers, sentences shuffled into batches which are padded as they come, the default form of Adam, and
the decoding of the package pytorch-crf, which follows the pointers of each sentence by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from tagging_peers.base import BATCH_SIZE, DILATIONS, LEARNING_RATE, N_CHANNELS, N_DIMS, WIDTH
from tagging_peers.pytorch_common import (
    IDCNN,
    PADDING,
    PREDICT_BATCH_SIZE,
    Batch,
    PyTorchTagger,
    batches_of,
    padded,
)


def convolution(n_in: int, dilation: int) -> nn.Conv1d:
    """Width 3, zeros outside of the sentence."""
    return nn.Conv1d(n_in, N_CHANNELS, WIDTH, padding=dilation, dilation=dilation)


class UsualIDCNN(IDCNN):
    """Channels before tokens, as `Conv1d` has them."""

    def __init__(self, n_tokens: int, n_tags: int) -> None:
        super().__init__(n_tokens, n_tags)
        self.first = convolution(N_DIMS, 1)
        self.block = nn.ModuleList(convolution(N_CHANNELS, dilation) for dilation in DILATIONS)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        x = self.embedded(ids).transpose(1, 2)
        x = self.iterated(x, mask.unsqueeze(1)).transpose(1, 2)
        return self.dense(self.dropout(x))


class ShuffledBatches:
    """Sentences in a new order in each iteration, padded to the longest of their batch."""

    def __init__(
        self, rows: list[np.ndarray], targets: list[np.ndarray], random: np.random.RandomState
    ) -> None:
        self.rows, self.targets, self.random = rows, targets, random

    def __iter__(self) -> Iterator[Batch]:
        for chosen in batches_of(self.random.permutation(len(self.rows)), BATCH_SIZE):
            ids = padded([self.rows[i] for i in chosen])
            yield ids, padded([self.targets[i] for i in chosen]), ids != PADDING


class UsualPyTorch(PyTorchTagger):
    """Nothing is done for speed beyond whole batches and threads."""

    def build(self, n_tokens: int, n_tags: int) -> None:
        self.network = UsualIDCNN(n_tokens, n_tags)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=LEARNING_RATE)

    def training_batches(self, rows: list[np.ndarray], targets: list[np.ndarray]) -> Iterable[Batch]:
        return ShuffledBatches(rows, targets, self.random)

    def prediction_batches(self, rows: list[np.ndarray]) -> tuple[np.ndarray, list[tuple[Tensor, Tensor]]]:
        order = np.arange(len(rows))
        batches = [padded([rows[i] for i in chosen]) for chosen in batches_of(order, PREDICT_BATCH_SIZE)]
        return order, [(ids, ids != PADDING) for ids in batches]

    def best_tags(self, emissions: Tensor, mask: Tensor) -> list[np.ndarray]:
        last, pointers = self.network.crf.viterbi(emissions, mask)
        found = []
        for i, length in enumerate(mask.sum(1).tolist()):
            tags = [int(last[i].argmax())]
            for pointer in reversed(pointers[: length - 1]):
                tags.append(int(pointer[i, tags[-1]]))
            found.append(np.array(tags[::-1]))
        return found
