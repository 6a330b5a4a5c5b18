"""The ID-CNN-CRF in PyTorch in the fastest form found with its own layers.

- Sentences are sorted by length, so that batches have next to no padding, and batches are made once.
- Channels lie beside each other: `Conv2d` on one row in the format `channels_last`, which needs no copy after
  the embedding or before the dense layer.
- Adam is PyTorch's fused CPU kernel.
- The pointers of all sentences of a batch are followed together.
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


def convolution(n_in: int, dilation: int) -> nn.Conv2d:
    """Width 3 on images of one row, zeros outside of the sentence."""
    return nn.Conv2d(n_in, N_CHANNELS, (1, WIDTH), padding=(0, dilation), dilation=(1, dilation))


class BestIDCNN(IDCNN):
    """The same function as `UsualIDCNN`."""

    def __init__(self, n_tokens: int, n_tags: int) -> None:
        super().__init__(n_tokens, n_tags)
        self.first = convolution(N_DIMS, 1)
        self.block = nn.ModuleList(convolution(N_CHANNELS, dilation) for dilation in DILATIONS)
        self.to(memory_format=torch.channels_last)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        # (n_sentences, 1, n_tokens, n_channels) in memory
        x = self.embedded(ids).unsqueeze(1).permute(0, 3, 1, 2)
        x = self.iterated(x, mask[:, None, None, :]).permute(0, 2, 3, 1).squeeze(1)
        return self.dense(self.dropout(x))


class SortedBatches:
    """Batches of sentences of similar length: the same ones in each iteration, in a new order."""

    def __init__(self, batches: list[Batch], random: np.random.RandomState) -> None:
        self.batches, self.random = batches, random

    def __iter__(self) -> Iterator[Batch]:
        for i in self.random.permutation(len(self.batches)):
            yield self.batches[i]


class BestPyTorch(PyTorchTagger):
    """What can be done for speed without kernels of one's own."""

    def build(self, n_tokens: int, n_tags: int) -> None:
        self.network = BestIDCNN(n_tokens, n_tags)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=LEARNING_RATE, fused=True)

    def training_batches(self, rows: list[np.ndarray], targets: list[np.ndarray]) -> Iterable[Batch]:
        batches = []
        for chosen in batches_of(order_by_length(rows), BATCH_SIZE):
            ids = padded([rows[i] for i in chosen])
            batches.append((ids, padded([targets[i] for i in chosen]), ids != PADDING))
        return SortedBatches(batches, self.random)

    def prediction_batches(self, rows: list[np.ndarray]) -> tuple[np.ndarray, list[tuple[Tensor, Tensor]]]:
        order = order_by_length(rows)
        batches = [padded([rows[i] for i in chosen]) for chosen in batches_of(order, PREDICT_BATCH_SIZE)]
        return order, [(ids, ids != PADDING) for ids in batches]

    def best_tags(self, emissions: Tensor, mask: Tensor) -> list[np.ndarray]:
        last, pointers = self.network.crf.viterbi(emissions, mask)
        tags = np.empty(mask.shape, np.int64)
        tags[:, -1] = last.argmax(1).numpy()
        rows = np.arange(len(tags))
        for i in range(len(pointers) - 1, -1, -1):
            tags[:, i] = pointers[i].numpy()[rows, tags[:, i + 1]]
        return [row[:length] for row, length in zip(tags, mask.sum(1).tolist(), strict=True)]


def order_by_length(rows: list[np.ndarray]) -> np.ndarray:
    """The shortest first."""
    return np.argsort([len(row) for row in rows], kind="stable")
