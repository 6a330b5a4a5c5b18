"""PyTorch in the fastest form found: what textcnn does, as far as whole-tensor operations can do it.

- Each distinct token of a batch is projected once, by one matrix product for all taps of all filters; the
  taps of a window are added by `embedding_bag`.
- The gradient of the maximum over time goes to one window of each filter, so the backward pass is written
  by hand: a scatter of that many numbers and two matrix products.
- Adam touches the embedding rows of the batch alone.
- Prediction gathers from a table in which all words are projected.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from peers.base import DROPOUT, EMBEDDING_LIMIT, LEARNING_RATE, N_DIMS, N_FILTERS, WIDTHS
from peers.pytorch_common import PADDING, PyTorchPeer, fused_adam

REACH = max(WIDTHS) - 1
N_TAPS = sum(WIDTHS)
FIRST_TAP = [sum(WIDTHS[:i]) for i in range(len(WIDTHS))]
BETAS, EPSILON = (0.9, 0.999), 1e-8


def windows_of(places: Tensor) -> list[Tensor]:
    """For each width the rows of a projection that each window adds: (n_texts, n_windows, width).

    `places` are rows of tokens, (n_texts, n_columns), with `REACH` columns of padding at both ends; a
    token's projection has one row for each tap.
    """
    first_rows = places * N_TAPS
    windows = []
    for width, first_tap in zip(WIDTHS, FIRST_TAP, strict=True):
        skipped = REACH - (width - 1)
        window = first_rows[:, skipped : places.shape[1] - skipped].unfold(1, width, 1)
        windows.append(window + torch.arange(first_tap, first_tap + width))
    return windows


def summed(projected: Tensor, window: Tensor) -> Tensor:
    """The sum of the rows of each window: (n_texts, n_windows, n_filters)."""
    bags = nn.functional.embedding_bag(window.reshape(-1, window.shape[2]), projected, mode="sum")
    return bags.view(*window.shape[:2], -1)


class ProjectedMax(torch.autograd.Function):
    """Largest window sum of each filter, (n_texts, n_widths * n_filters), before bias and ReLU."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, filters: Tensor, *windows: Tensor) -> Tensor:
        projected = (rows @ filters).view(-1, N_FILTERS)
        pooled, places = zip(*(summed(projected, window).max(dim=1) for window in windows), strict=True)
        ctx.save_for_backward(rows, filters, *windows, *places)
        return torch.cat(pooled, dim=1)

    @staticmethod
    def backward(ctx: Any, d_pooled: Tensor) -> tuple:
        rows, filters, *saved = ctx.saved_tensors
        d_projected = torch.zeros(len(rows) * N_TAPS * N_FILTERS)
        columns = torch.arange(N_FILTERS).unsqueeze(1)
        texts = torch.arange(len(d_pooled)).unsqueeze(1)
        n_widths = len(saved) // 2
        for window, place, d_width in zip(
            saved[:n_widths], saved[n_widths:], d_pooled.split(N_FILTERS, dim=1), strict=True
        ):
            chosen = window[texts, place] * N_FILTERS + columns  # (n_texts, n_filters, width)
            d_taps = d_width.unsqueeze(2).expand_as(chosen)
            d_projected.scatter_add_(0, chosen.view(-1), d_taps.reshape(-1))
        d_projected = d_projected.view(len(rows), -1)
        return d_projected @ filters.T, rows.T @ d_projected, *([None] * n_widths)


class BestNetwork(nn.Module):
    """The same function as `UsualNetwork`."""

    table: Tensor
    mean: Tensor
    square: Tensor

    def __init__(self, n_tokens: int, n_classes: int) -> None:
        super().__init__()
        table = torch.empty(n_tokens, N_DIMS).uniform_(-EMBEDDING_LIMIT, EMBEDDING_LIMIT)
        table[PADDING] = 0
        self.register_buffer("table", table)
        self.register_buffer("mean", torch.zeros_like(table), persistent=False)
        self.register_buffer("square", torch.zeros_like(table), persistent=False)
        # columns by tap, then filter; limits as nn.Conv1d has them
        filters = [
            torch.empty(N_DIMS, width * N_FILTERS).uniform_(-1, 1) / (width * N_DIMS) ** 0.5
            for width in WIDTHS
        ]
        self.filters = nn.Parameter(torch.cat(filters, dim=1))
        self.bias = nn.Parameter(torch.zeros(N_FILTERS * len(WIDTHS)))
        self.dropout = nn.Dropout(DROPOUT)
        self.dense = nn.Linear(N_FILTERS * len(WIDTHS), n_classes)
        self.optimizer = fused_adam(self.parameters(), LEARNING_RATE)
        self.n_steps = 0
        self.projected: Tensor | None = None

    def train(self, mode: bool = True) -> BestNetwork:
        self.projected = None
        return super().train(mode)

    def prepared(self, padded: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Distinct tokens of a batch and the windows over them."""
        ends = nn.functional.pad(padded, (REACH, REACH), value=PADDING)
        tokens, places = torch.unique(ends, return_inverse=True)
        return tokens, windows_of(places)

    def training_logits(self, rows: Tensor, windows: list[Tensor]) -> Tensor:
        """Scores of a batch from the embedding rows of its distinct tokens."""
        pooled = ProjectedMax.apply(rows, self.filters, *windows)
        return self.dense(self.dropout((pooled + self.bias).relu()))

    def logits(self, padded: Tensor) -> Tensor:
        """Scores by the projected table."""
        if self.projected is None:
            self.projected = (self.table @ self.filters).view(-1, N_FILTERS)
        windows = windows_of(nn.functional.pad(padded, (REACH, REACH), value=PADDING))
        pooled = [summed(self.projected, window).amax(dim=1) for window in windows]
        return self.dense((torch.cat(pooled, dim=1) + self.bias).relu())

    def step(self, batch: tuple[Tensor, list[Tensor]], targets: Tensor) -> None:
        """One update."""
        tokens, windows = batch
        self.optimizer.zero_grad(set_to_none=True)
        rows = self.table[tokens].requires_grad_()
        nn.functional.cross_entropy(self.training_logits(rows, windows), targets).backward()
        self.optimizer.step()
        self.n_steps += 1
        self._update_rows(tokens, rows.detach(), rows.grad)

    @torch.no_grad()
    def _update_rows(self, tokens: Tensor, rows: Tensor, gradient: Tensor) -> None:
        """Lazy Adam: moments and embeddings of these rows only."""
        gradient[0] = 0  # distinct tokens are sorted, so padding comes first
        mean = self.mean[tokens].lerp_(gradient, 1 - BETAS[0])
        square = self.square[tokens].mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        self.mean[tokens], self.square[tokens] = mean, square
        rate = LEARNING_RATE / (1 - BETAS[0] ** self.n_steps)
        root = (square / (1 - BETAS[1] ** self.n_steps)).sqrt_().add_(EPSILON)
        self.table[tokens] = rows.addcdiv_(mean, root, value=-rate)


class BestPyTorch(PyTorchPeer):
    """Distinct words, lazy rows, a projected table."""

    def build(self, n_tokens: int, n_classes: int) -> BestNetwork:
        return BestNetwork(n_tokens, n_classes)
