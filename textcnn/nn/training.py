"""The training loop: batches, learning-rate schedules, early stopping, Ctrl-C."""

from __future__ import annotations

import copy
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from textcnn._kernels import _packing
from textcnn.nn.losses import Loss, softmax_cross_entropy
from textcnn.nn.optimizers import Gradient, Optimizer, clip_scale
from textcnn.text.embedded import EmbeddedTexts

if TYPE_CHECKING:
    from textcnn.nn.checkpoints import Checkpoint

SCHEDULES = ("constant", "linear", "cosine", "invscaling", "adaptive")

# Those that need to know how many steps there will be.
PLANNED_SCHEDULES = ("linear", "cosine")

# Keeps the masks of word dropout apart from those of dropout.
WORD_DROPOUT_KEY = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Examples:
    """Encoded texts with what they are to be mapped to, and weights.

    Parameters
    ----------
    ids : int32 ndarray of shape (n_tokens,), or rows of embedded text of shape (n_tokens, n_dims)
    offsets : intp ndarray of shape (n_texts + 1,)
    targets : intp ndarray of shape (n_texts,), or float ndarray of shape (n_texts, n_outputs)
        Classes; or labels, 0 or 1; or numbers.
    sample_weight : float32 ndarray of shape (n_texts,) or (n_texts, n_outputs)
    """

    ids: np.ndarray
    offsets: np.ndarray
    targets: np.ndarray
    sample_weight: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def n_tokens(self) -> int:
        """Tokens of all texts."""
        return len(self.ids)

    @property
    def loss_weight(self) -> float:
        """What the loss is divided by, so that it is a mean over texts."""
        n_columns = 1 if self.sample_weight.ndim == 1 else self.sample_weight.shape[1]
        return float(self.sample_weight.sum(dtype=np.float64)) / n_columns

    @property
    def step_weight(self) -> float:
        """What the loss of a batch is divided by in training: the same."""
        return self.loss_weight

    def take(self, index: np.ndarray) -> Examples:
        """The examples `index`, in that order."""
        index = np.ascontiguousarray(index, dtype=np.intp)
        targets, sample_weight = self.targets[index], self.sample_weight[index]
        if self.ids.ndim == 2:
            taken = EmbeddedTexts(self.ids, self.offsets).take(index)
            return Examples(taken.rows, taken.offsets, targets, sample_weight)
        lengths = self.offsets[index + 1] - self.offsets[index]
        ids = np.empty(int(lengths.sum()), np.int32)
        offsets = np.empty(len(index) + 1, np.intp)
        _packing.take_texts(self.ids, self.offsets, index, ids, offsets)
        return Examples(ids, offsets, targets, sample_weight)


@dataclass(frozen=True)
class TrainingOptions:
    """Settings of a training run; their meaning stands in `TextCNNClassifier`."""

    max_iter: int
    batch_size: int
    shuffle: bool
    dropout: float
    word_dropout: float
    max_norm: float | None
    max_grad_norm: float | None
    alpha: float
    learning_rate: str
    learning_rate_init: float
    tol: float
    n_iter_no_change: int
    early_stopping: bool
    n_threads: int
    feature_dropout: float = 0.0
    rare_word_dropout: float = 0.0
    warmup_steps: int = 0
    loss: Loss = softmax_cross_entropy


class Trainable(Protocol):
    """What the training loop asks of a model."""

    def parameters(self) -> dict[str, np.ndarray]:
        """The trained parameters, matrices that share memory with the model."""

    def copy_arrays(self) -> dict[str, np.ndarray]:
        """A copy of every array."""

    def restore_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the values of `copy_arrays` back."""

    def is_finite(self) -> bool:
        """True if no array holds NaN or infinity, and no finite input gives either where that can be told."""


class Network(Trainable, Protocol):
    """What a step of training asks of a network."""

    @property
    def PENALIZED(self) -> tuple[str, ...]:
        """Parameters that the l2 penalty applies to: weights, not biases or embeddings."""

    def batch_gradients(
        self, batch: Any, weight: float, options: TrainingOptions, seed: int, step: int
    ) -> tuple[float, dict[str, Gradient]]:
        """Loss of a batch divided by `weight`, and the gradient of every trained parameter."""

    def limit_norms(self, options: TrainingOptions) -> None:
        """Bring weights back inside their limits after a step."""


@dataclass
class History:
    """What a training run saw."""

    loss_curve: list[float] = field(default_factory=list)
    validation_scores: list[float] = field(default_factory=list)
    n_epochs: int = 0
    interrupted: bool = False
    converged: bool = False


@dataclass
class Progress:
    """How far a training run has come.

    Parameters
    ----------
    history : History
    best : float
        The best validation score, or without early stopping the smallest loss, negated.
    n_stalled : int
        Epochs since one that was better by `tol`.
    best_arrays : dict of str to ndarray, or None
        With early stopping the weights of the best epoch.
    """

    history: History = field(default_factory=History)
    best: float = -np.inf
    n_stalled: int = 0
    best_arrays: dict[str, np.ndarray] | None = None


def mean_history(histories: list[History]) -> History:
    """The history of networks trained one after another: means over those that reached each epoch."""
    if len(histories) == 1:
        return histories[0]

    def means(curves: list[list[float]]) -> list[float]:
        epochs = zip_longest(*curves)
        return [float(np.mean([x for x in epoch if x is not None])) for epoch in epochs]

    return History(
        loss_curve=means([history.loss_curve for history in histories]),
        validation_scores=means([history.validation_scores for history in histories]),
        n_epochs=max(history.n_epochs for history in histories),
        interrupted=histories[-1].interrupted,
        converged=all(history.converged for history in histories),
    )


class TrainingLoop(ABC):
    """Minimises the mean loss of a model over examples, epoch by epoch.

    Parameters
    ----------
    network : Trainable
    optimizer : Optimizer
    options : TrainingOptions
    rng : RandomState
        Order of the examples and key of the dropout masks.
    """

    def __init__(
        self, network: Trainable, optimizer: Optimizer, options: TrainingOptions, rng: np.random.RandomState
    ) -> None:
        self.network = network
        self.optimizer = optimizer
        self.options = options
        self.rng = rng
        self.seed = int(rng.randint(2**62, dtype=np.int64))
        self.rate = options.learning_rate_init
        self.n_steps = 0
        self.n_planned_steps = 0
        self.stop_requested = False

    def continued(self, network: Trainable, options: TrainingOptions) -> Self:
        """This trainer with its optimiser's state and count of steps, for a copy of its network.

        The options are those of today: a forked process, for one, must not use the threads of its parent.
        """
        other = copy.deepcopy(self, {id(self.network): network, id(self.rng): self.rng})
        other.options, other.rate = options, options.learning_rate_init
        other.stop_requested = False
        return other

    def fit(
        self,
        examples: Any,
        validate: Callable[[], float] | None = None,
        on_step: Callable[[int], object] | None = None,
        on_epoch: Callable[[History], None] | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> History:
        """Train for up to `max_iter` epochs.

        Parameters
        ----------
        examples : Examples or TaggedExamples
        validate : callable, optional
            Returns the validation score of the network as it is; called after every epoch.
        on_step : callable, optional
            Called with the number of tokens of each batch, or of those that are trained at once.
        on_epoch : callable, optional
            Called with the history after every epoch.
        checkpoint : Checkpoint, optional
            Where the state is kept; training goes on from the state that is found there.

        Returns
        -------
        history : History
            With early stopping the network is left with the weights of its best epoch, of equal ones
            the last. After Ctrl-C training ends with the steps at hand, and `interrupted` is set.
        """
        self.n_planned_steps = self.options.max_iter * -(-len(examples) // self.options.batch_size)
        progress = checkpoint.restore(self) if checkpoint else Progress()
        history = progress.history
        if history.n_epochs and on_step:
            on_step(history.n_epochs * examples.n_tokens)
        with self._stop_on_interrupt():
            while not self._is_done(history):
                loss = self._epoch(examples, on_step)
                if self.stop_requested:
                    history.interrupted = True
                    break
                history.n_epochs += 1
                history.loss_curve.append(loss)
                if validate:
                    history.validation_scores.append(validate())
                self._take_stock(progress)
                if on_epoch:
                    on_epoch(history)
                if checkpoint:
                    checkpoint.save(self, progress, is_last=self._is_done(history))
        if progress.best_arrays is not None:
            self.network.restore_arrays(progress.best_arrays)
        return history

    def _is_done(self, history: History) -> bool:
        return history.converged or history.n_epochs >= self.options.max_iter

    def _take_stock(self, progress: Progress) -> None:
        """After an epoch: keep the weights if they are the best, lower the rate or end without progress."""
        history, early_stopping = progress.history, self.options.early_stopping
        objective = history.validation_scores[-1] if early_stopping else -history.loss_curve[-1]
        progress.n_stalled = 0 if objective > progress.best + self.options.tol else progress.n_stalled + 1
        if objective >= progress.best:  # of equal epochs the one that was trained longer
            progress.best = objective
            if early_stopping:
                progress.best_arrays = self.network.copy_arrays()
        if progress.n_stalled >= self.options.n_iter_no_change:
            progress.n_stalled = 0
            history.converged = not self._lower_rate()

    def _lower_rate(self) -> bool:
        """With the adaptive schedule divide the rate by 5, as long as it is above 1e-6."""
        if self.options.learning_rate != "adaptive" or self.rate <= 1e-6:
            return False
        self.rate /= 5
        return True

    def _scheduled_rate(self) -> float:
        """The learning rate of the step at hand: rising during the first ones, then by the schedule."""
        schedule, warmup = self.options.learning_rate, self.options.warmup_steps
        if self.n_steps < warmup:
            return self.rate * (self.n_steps + 1) / (warmup + 1)
        n_done = self.n_steps - warmup
        if schedule in PLANNED_SCHEDULES:
            share = n_done / (self.n_planned_steps - warmup)
            return self.rate * (1 - share if schedule == "linear" else (1 + np.cos(np.pi * share)) / 2)
        if schedule == "invscaling":
            return self.rate / np.sqrt(n_done + 1)
        return self.rate

    @property
    @abstractmethod
    def remedy(self) -> str:
        """What helps where numbers become too large, for the end of an error message."""

    @abstractmethod
    def _epoch(self, examples: Any, on_step: Callable[[int], object] | None) -> float:
        """One pass over the examples; returns the weighted mean of their losses while training."""

    def _order(self, n: int) -> np.ndarray:
        """The examples in the order of an epoch."""
        return self.rng.permutation(n) if self.options.shuffle else np.arange(n)

    def _why_not_finite(self, loss: float) -> str:
        if self.n_steps == 0:
            return (
                f"the loss of the first batch is {loss}, so nothing can be learnt; bring the numbers in X, "
                "or the vectors in embeddings, to lengths near 1"
            )
        return f"the loss became {loss} after {self.n_steps} steps, so training was stopped; {self.remedy}"

    @contextmanager
    def _stop_on_interrupt(self) -> Iterator[None]:
        """The first Ctrl-C asks the loop to stop after its steps; a second one interrupts at once."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        if not in_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            yield
            return

        def request_stop(signum: int, frame: object) -> None:
            self.stop_requested = True
            signal.signal(signal.SIGINT, signal.default_int_handler)

        signal.signal(signal.SIGINT, request_stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)


class Trainer(TrainingLoop):
    """Minimises the mean loss of a network over examples, a step for each batch.

    Parameters
    ----------
    network : Network
    optimizer, options, rng : as in `TrainingLoop`
    """

    network: Network

    @property
    def remedy(self) -> str:
        """What helps where numbers become too large."""
        return f"lower learning_rate_init (now {self.options.learning_rate_init:g}) or set max_grad_norm"

    def _epoch(self, examples: Any, on_step: Callable[[int], object] | None) -> float:
        """One pass over the examples; returns the weighted mean of their losses while training."""
        n, size = len(examples), self.options.batch_size
        order = self._order(n)
        total_loss = total_weight = 0.0
        for first in range(0, n, size):
            batch = examples.take(order[first : first + size])
            loss_weight, step_weight = batch.loss_weight, batch.step_weight
            if loss_weight > 0:
                total_loss += step_weight * self._step(batch, step_weight)
                total_weight += loss_weight
            if on_step:
                on_step(batch.n_tokens)
            if self.stop_requested:
                break
        return total_loss / total_weight if total_weight else 0.0

    def _step(self, batch: Any, weight: float) -> float:
        """One update with the gradient of the mean loss of a batch; returns that loss."""
        options, network = self.options, self.network
        with np.errstate(over="ignore", invalid="ignore"):  # a loss that is not finite is an error below
            loss, gradients = network.batch_gradients(batch, weight, options, self.seed, self.n_steps)
        if not np.isfinite(loss):
            raise ValueError(self._why_not_finite(loss))
        for name in network.PENALIZED:
            if name in gradients:
                gradients[name].alpha = options.alpha / len(batch)
        rate = self._scheduled_rate()
        scale = clip_scale(list(gradients.values()), options.max_grad_norm, options.n_threads)
        self.optimizer.step(network.parameters(), gradients, rate, scale, options.n_threads)
        network.limit_norms(options)
        self.n_steps += 1
        return loss
