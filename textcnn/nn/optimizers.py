"""Optimisers over named parameters, whole or by the rows that a batch touched."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from textcnn._kernels import _optim


@dataclass
class Gradient:
    """The gradient of one parameter, a matrix.

    Parameters
    ----------
    value : ndarray of shape (n_rows, n_columns)
    rows : int32 ndarray of shape (n_rows,) or None
        Rows of the parameter that `value` belongs to; None for all.
    alpha : float
        Weight of the l2 penalty, alpha / 2 * ||parameter||^2, for this step.
    """

    value: np.ndarray
    rows: np.ndarray | None = None
    alpha: float = 0.0


class Optimizer(ABC):
    """State for each parameter by name, arrays with one row for each row of the parameter.

    Rows that a batch does not touch keep their value and their state (lazy updates).
    """

    def __init__(self) -> None:
        self.state: dict[str, list[np.ndarray]] = {}

    @abstractmethod
    def new_state(self, n_rows: int, param: np.ndarray) -> list[np.ndarray]:
        """The state of `n_rows` rows of a parameter before their first update."""

    @abstractmethod
    def apply(self, updates: list[tuple[Any, ...]], rate: float, scale: float, n_threads: int) -> None:
        """One call of the kernel for all `updates`."""

    def step(
        self,
        params: dict[str, np.ndarray],
        gradients: dict[str, Gradient],
        rate: float,
        scale: float,
        n_threads: int,
    ) -> None:
        """Update all of `params` in place with learning rate `rate` and their gradients times `scale`."""
        self.apply(self.updates(params, gradients), rate, scale, n_threads)

    def updates(self, params: dict[str, np.ndarray], gradients: dict[str, Gradient]) -> list[tuple[Any, ...]]:
        """What the kernels take of each parameter: itself, its gradient and its state."""
        found = []
        for name, param in params.items():
            grad = gradients[name]
            found.append((param, grad.value, grad.rows, grad.alpha, *self.slots(name, param)))
        return found

    def get_state(self) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """The arrays by ``parameter/number`` and the counts by parameter, shared, for `set_state`."""
        arrays = {f"{name}/{i}": slot for name, slots in self.state.items() for i, slot in enumerate(slots)}
        return arrays, {}

    def set_state(self, arrays: dict[str, np.ndarray], counts: dict[str, int]) -> None:
        """Take the state of `get_state` back."""
        self.state = {}
        for name in arrays:  # in the order of `get_state` or not: the numbers tell
            self.state.setdefault(name.rpartition("/")[0], [])
        for name, slots in self.state.items():
            while f"{name}/{len(slots)}" in arrays:
                slots.append(arrays[f"{name}/{len(slots)}"])

    def slots(self, name: str, param: np.ndarray) -> list[np.ndarray]:
        """The state of a parameter; rows that were added to it start anew."""
        slots = self.state.get(name)
        if slots is None:
            slots = self.state[name] = self.new_state(len(param), param)
        elif len(slots[0]) < len(param):
            added = self.new_state(len(param) - len(slots[0]), param)
            slots = self.state[name] = [np.concatenate(pair) for pair in zip(slots, added, strict=True)]
        return slots


def zeros_like_rows(n_rows: int, param: np.ndarray, n_slots: int) -> list[np.ndarray]:
    """`n_slots` arrays of zeros with `n_rows` rows as wide as those of `param`."""
    return [np.zeros((n_rows, *param.shape[1:]), param.dtype) for _ in range(n_slots)]


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015), with a step count of its own for each row."""

    beta_1 = 0.9
    beta_2 = 0.999
    epsilon = 1e-8

    def new_state(self, n_rows: int, param: np.ndarray) -> list[np.ndarray]:
        """Both moments and the step counts."""
        return [*zeros_like_rows(n_rows, param, 2), np.zeros(n_rows, np.int32)]

    def apply(self, updates: list[tuple[Any, ...]], rate: float, scale: float, n_threads: int) -> None:
        """One call of the kernel for all `updates`."""
        _optim.adam_step(updates, rate, self.beta_1, self.beta_2, self.epsilon, scale, n_threads)


class LazyAdam(Adam):
    """Adam with one step count for all rows of a parameter.

    A row that is touched late or seldom then makes larger steps, up to 3.2 times at first, since its
    moments count as if they had been filled from the begin.
    """

    def __init__(self) -> None:
        super().__init__()
        self.n_steps: dict[str, int] = {}

    def new_state(self, n_rows: int, param: np.ndarray) -> list[np.ndarray]:
        """Both moments."""
        return zeros_like_rows(n_rows, param, 2)

    def get_state(self) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """The arrays, and the number of steps of each parameter."""
        return super().get_state()[0], dict(self.n_steps)

    def set_state(self, arrays: dict[str, np.ndarray], counts: dict[str, int]) -> None:
        """Take the state of `get_state` back."""
        super().set_state(arrays, counts)
        self.n_steps = dict(counts)

    def updates(self, params: dict[str, np.ndarray], gradients: dict[str, Gradient]) -> list[tuple[Any, ...]]:
        """What the kernel takes of each parameter, with the number of its next step."""
        updates = super().updates(params, gradients)
        steps = [self.n_steps.get(name, 0) + 1 for name in params]
        return [(*update, number) for update, number in zip(updates, steps, strict=True)]

    def step(
        self,
        params: dict[str, np.ndarray],
        gradients: dict[str, Gradient],
        rate: float,
        scale: float,
        n_threads: int,
    ) -> None:
        """Update all of `params` in place, and count the step."""
        super().step(params, gradients, rate, scale, n_threads)
        for name in params:
            self.n_steps[name] = self.n_steps.get(name, 0) + 1


class Adadelta(Optimizer):
    """Adadelta (Zeiler 2012) with the constants of Kim 2014."""

    rho = 0.95
    epsilon = 1e-6

    def new_state(self, n_rows: int, param: np.ndarray) -> list[np.ndarray]:
        """The running means of squared gradients and of squared updates."""
        return zeros_like_rows(n_rows, param, 2)

    def apply(self, updates: list[tuple[Any, ...]], rate: float, scale: float, n_threads: int) -> None:
        """One call of the kernel for all `updates`."""
        _optim.adadelta_step(updates, rate, self.rho, self.epsilon, scale, n_threads)


class SGD(Optimizer):
    """Stochastic gradient descent with Nesterov's momentum, as scikit-learn's perceptron has it."""

    momentum = 0.9

    def new_state(self, n_rows: int, param: np.ndarray) -> list[np.ndarray]:
        """The velocity."""
        return zeros_like_rows(n_rows, param, 1)

    def apply(self, updates: list[tuple[Any, ...]], rate: float, scale: float, n_threads: int) -> None:
        """One call of the kernel for all `updates`."""
        _optim.sgd_step(updates, rate, self.momentum, True, scale, n_threads)


SOLVERS: dict[str, type[Optimizer]] = {"adam": Adam, "adadelta": Adadelta, "sgd": SGD}

# First learning rates: Adam's by cross-validation, the others as usual.
DEFAULT_RATES = {"adam": 0.002, "adadelta": 1.0, "sgd": 0.1}


def clip_scale(gradients: list[Gradient], max_norm: float | None, n_threads: int) -> float:
    """The factor that limits the l2 norm of all gradients together to `max_norm` (Pascanu et al. 2013)."""
    if max_norm is None:
        return 1.0
    norm = math.sqrt(_optim.sum_of_squares([grad.value for grad in gradients], n_threads))
    return max_norm / norm if norm > max_norm else 1.0
