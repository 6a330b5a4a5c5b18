"""What both PyTorch forms share: ids, the iterated dilated CNN, the CRF, the loop over epochs."""

from __future__ import annotations

import copy
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from tagging_datasets import Tags, Tokens
from tagging_scores import score
from torch import Tensor, nn

from tagging_peers.base import DROPOUT, N_CHANNELS, N_DIMS, N_ITERATIONS, ReadyTaggingPeer, TaggingSettings

PADDING, UNKNOWN = 0, 1
PREDICT_BATCH_SIZE = 64

# Words that occur once are taken as unknown this often in training, which trains the unknown vector.
UNKNOWN_RATE = 0.5

# Mode "default": the development part decides when to stop.
MAX_EPOCHS, PATIENCE = 30, 4

# ids, tags and mask of sentences, padded to the longest of them
Batch = tuple[Tensor, Tensor, Tensor]


class CRF(nn.Module):
    """Linear-chain CRF over padded batches.

    Emissions are (n_sentences, n_tokens, n_tags); `mask` is true where there is a token, and every sentence
    has one at least.
    """

    def __init__(self, n_tags: int) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.empty(n_tags, n_tags).uniform_(-0.1, 0.1))  # from, to
        self.start = nn.Parameter(torch.empty(n_tags).uniform_(-0.1, 0.1))
        self.end = nn.Parameter(torch.empty(n_tags).uniform_(-0.1, 0.1))

    def loss(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """Mean negative log-likelihood of the sentences."""
        return (self._log_partition(emissions, mask) - self._path_score(emissions, tags, mask)).mean()

    def _path_score(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        on_path = emissions.gather(2, tags.unsqueeze(2)).squeeze(2)
        steps = self.transitions[tags[:, :-1], tags[:, 1:]]
        last = tags.gather(1, mask.sum(1, keepdim=True) - 1).squeeze(1)
        ends = self.start[tags[:, 0]] + self.end[last]
        return (on_path * mask).sum(1) + (steps * mask[:, 1:]).sum(1) + ends

    def _log_partition(self, emissions: Tensor, mask: Tensor) -> Tensor:
        first, *others = emissions.unbind(1)
        alpha = self.start + first
        for emission, is_token in zip(others, mask.unsqueeze(2).unbind(1)[1:], strict=True):
            step = torch.logsumexp(alpha.unsqueeze(2) + self.transitions, dim=1) + emission
            alpha = torch.where(is_token, step, alpha)
        return torch.logsumexp(alpha + self.end, dim=1)

    def viterbi(self, emissions: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Scores of the best path to each tag of the last token, and a pointer to the tag before each tag."""
        first, *others = emissions.unbind(1)
        tags = torch.arange(len(self.start))
        best, pointers = self.start + first, []
        for emission, is_token in zip(others, mask.unsqueeze(2).unbind(1)[1:], strict=True):
            step, pointer = (best.unsqueeze(2) + self.transitions).max(dim=1)
            best = torch.where(is_token, step + emission, best)
            # pointers of padding hand the last tag on
            pointers.append(torch.where(is_token, pointer, tags))
        return best + self.end, pointers


class IDCNN(nn.Module):
    """Emissions of padded ids: (n_sentences, n_tokens) to (n_sentences, n_tokens, n_tags).

    A form of it supplies the convolutions of the same length as their input and the layout between them.
    """

    def __init__(self, n_tokens: int, n_tags: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_tokens, N_DIMS, padding_idx=PADDING)
        # PyTorch's own start, of variance 1, cost five points of F1 on the development part of CoNLL-2003
        reach = (3 / N_DIMS) ** 0.5
        nn.init.uniform_(self.embedding.weight[1:], -reach, reach)
        self.dropout = nn.Dropout(DROPOUT)
        self.dense = nn.Linear(N_ITERATIONS * N_CHANNELS, n_tags)
        self.crf = CRF(n_tags)
        self.first: nn.Module
        self.block: nn.ModuleList

    def embedded(self, ids: Tensor) -> Tensor:
        """Word vectors: (n_sentences, n_tokens, n_dims)."""
        return self.dropout(self.embedding(ids))

    def iterated(self, x: Tensor, mask: Tensor) -> Tensor:
        """Outputs of all iterations side by side along the axis 1; `mask` has as many axes as `x`."""
        # without it, padding would reach the words beside it in the next layer
        keep = mask.to(x.dtype)
        x = torch.relu(self.first(x)) * keep
        joined = []
        for _ in range(N_ITERATIONS):
            for convolution in self.block:
                x = torch.relu(convolution(x)) * keep
            joined.append(x)
        return torch.cat(joined, dim=1)


class PyTorchTagger(ReadyTaggingPeer):
    """An ID-CNN-CRF; a form of it says how batches are made and computed."""

    ready = "ids in padded batches"
    optimizer: torch.optim.Optimizer

    def __init__(self, settings: TaggingSettings) -> None:
        super().__init__(settings)
        torch.set_num_threads(settings.threads)
        torch.manual_seed(settings.seed)
        self.random = np.random.RandomState(settings.seed)
        self.vocabulary: dict[str, int] = {}
        self.tags: list[str] = []
        self.network: Any

    @abstractmethod
    def build(self, n_tokens: int, n_tags: int) -> None:
        """Set `network` and `optimizer`."""

    @abstractmethod
    def training_batches(self, rows: list[np.ndarray], targets: list[np.ndarray]) -> Iterable[Batch]:
        """What each epoch iterates over, in a new order every time."""

    @abstractmethod
    def prediction_batches(self, rows: list[np.ndarray]) -> tuple[np.ndarray, list[tuple[Tensor, Tensor]]]:
        """The order of the sentences in batches of ids and mask, and these batches."""

    @abstractmethod
    def best_tags(self, emissions: Tensor, mask: Tensor) -> list[np.ndarray]:
        """The tags of each sentence of a batch."""

    def fit(self, X: Tokens, y: Tags, X_dev: Tokens, y_dev: Tags) -> None:
        counts = Counter(word for sentence in X for word in sentence)
        self.vocabulary = {word: i for i, word in enumerate(counts, start=2)}
        self.rare = torch.tensor([False, False, *(count == 1 for count in counts.values())])
        self.tags = sorted({tag for tags in y for tag in tags})
        number = {tag: i for i, tag in enumerate(self.tags)}
        self.build(len(self.vocabulary) + 2, len(self.tags))
        targets = [np.array([number[tag] for tag in tags]) for tags in y]
        batches = self.training_batches(self.encode(X), targets)
        if self.settings.mode == "matched":
            for _ in range(self.settings.epochs):
                self._train_epoch(batches)
        else:
            self._fit_with_early_stopping(batches, X_dev, y_dev)
        self.network.eval()

    def _fit_with_early_stopping(self, batches: Iterable[Batch], X_dev: Tokens, y_dev: Tags) -> None:
        best, best_state, n_stalled = -1.0, None, 0
        for _ in range(MAX_EPOCHS):
            self._train_epoch(batches)
            self.network.eval()
            reached = score(y_dev, self.predict(X_dev), self.settings.spans)
            n_stalled = 0 if reached > best else n_stalled + 1
            if reached > best:
                best, best_state = reached, copy.deepcopy(self.network.state_dict())
            if n_stalled == PATIENCE:
                break
        self.network.load_state_dict(best_state)

    def _train_epoch(self, batches: Iterable[Batch]) -> None:
        start = time.perf_counter()
        self.network.train()
        for ids, tags, mask in batches:
            unknown = self.rare[ids] & (torch.rand(ids.shape) < UNKNOWN_RATE)
            self.optimizer.zero_grad()
            emissions = self.network(ids.masked_fill(unknown, UNKNOWN), mask)
            self.network.crf.loss(emissions, tags, mask).backward()
            self.optimizer.step()
        self.epoch_seconds.append(time.perf_counter() - start)

    def use_threads(self, n_threads: int) -> bool:
        torch.set_num_threads(n_threads)
        return True

    def encode(self, X: Tokens) -> list[np.ndarray]:
        """Ids of known words; 1 for others."""
        get = self.vocabulary.get
        return [np.array([get(word, UNKNOWN) for word in sentence]) for sentence in X]

    def prepare(self, X: Tokens) -> list[tuple[Tensor, Tensor]]:
        return self.prediction_batches(self.encode(X))[1]

    @torch.inference_mode()
    def predict_prepared(self, prepared: list[tuple[Tensor, Tensor]]) -> list[np.ndarray]:
        return [tags for ids, mask in prepared for tags in self.best_tags(self.network(ids, mask), mask)]

    def predict(self, X: Tokens) -> Tags:
        order, batches = self.prediction_batches(self.encode(X))
        found: Tags = [[] for _ in X]
        for i, numbers in zip(order, self.predict_prepared(batches), strict=True):
            found[i] = [self.tags[number] for number in numbers]
        return found


def padded(rows: list[np.ndarray]) -> Tensor:
    """Rows as one tensor, zeros after their end."""
    return nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True)


def batches_of(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """An order in pieces."""
    for first in range(0, len(order), size):
        yield order[first : first + size]
