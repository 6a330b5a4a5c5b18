from typing import Any

from numpy.typing import NDArray

def adam_step(
    updates: list[tuple[Any, ...]],
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    scale: float = 1.0,
    n_threads: int = 1,
) -> None: ...
def adadelta_step(
    updates: list[tuple[Any, ...]],
    lr: float,
    rho: float,
    epsilon: float,
    scale: float = 1.0,
    n_threads: int = 1,
) -> None: ...
def sgd_step(
    updates: list[tuple[Any, ...]],
    lr: float,
    momentum: float,
    nesterov: bool = False,
    scale: float = 1.0,
    n_threads: int = 1,
) -> None: ...
def limit_row_norms(
    weights: NDArray[Any],
    max_norm: float,
    n_threads: int = 1,
) -> None: ...
def sum_of_squares(
    matrices: list[NDArray[Any]],
    n_threads: int = 1,
) -> float: ...
