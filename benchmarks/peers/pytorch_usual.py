"""PyTorch in the form that tutorials teach: `nn.Embedding`, `nn.Conv1d`, the maximum over time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from peers.base import DROPOUT, EMBEDDING_LIMIT, LEARNING_RATE, N_DIMS, N_FILTERS, WIDTHS
from peers.pytorch_common import PADDING, PyTorchPeer, fused_adam


class UsualNetwork(nn.Module):
    """Sentence CNN over padded batches of ids."""

    def __init__(self, n_tokens: int, n_classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_tokens, N_DIMS, padding_idx=PADDING)
        nn.init.uniform_(self.embedding.weight, -EMBEDDING_LIMIT, EMBEDDING_LIMIT)
        with torch.no_grad():
            self.embedding.weight[PADDING] = 0
        self.convolutions = nn.ModuleList(
            nn.Conv1d(N_DIMS, N_FILTERS, width, padding=width - 1) for width in WIDTHS
        )
        self.dropout = nn.Dropout(DROPOUT)
        self.dense = nn.Linear(N_FILTERS * len(WIDTHS), n_classes)
        self.optimizer = fused_adam(self.parameters(), LEARNING_RATE)

    def prepared(self, padded: Tensor) -> Tensor:
        """What `step` wants of a padded batch."""
        return padded

    def logits(self, padded: Tensor) -> Tensor:
        """Scores of each text."""
        embedded = self.embedding(padded).transpose(1, 2)
        pooled = [convolution(embedded).amax(dim=2) for convolution in self.convolutions]
        return self.dense(self.dropout(torch.cat(pooled, dim=1).relu()))

    def step(self, padded: Tensor, targets: Tensor) -> None:
        """One update."""
        self.optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(self.logits(padded), targets).backward()
        self.optimizer.step()


class UsualPyTorch(PyTorchPeer):
    """`nn.Embedding`, `nn.Conv1d`, fused Adam."""

    def build(self, n_tokens: int, n_classes: int) -> UsualNetwork:
        return UsualNetwork(n_tokens, n_classes)
