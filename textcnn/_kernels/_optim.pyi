from typing import Any

from numpy.typing import NDArray

def adam_step(
    param: NDArray[Any],
    grad: NDArray[Any],
    first: NDArray[Any],
    second: NDArray[Any],
    steps: NDArray[Any],
    rows: NDArray[Any] | None,
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    scale: float = 1.0,
    l2: float = 0.0,
    n_threads: int = 1,
) -> None: ...
def adadelta_step(
    param: NDArray[Any],
    grad: NDArray[Any],
    acc_grad: NDArray[Any],
    acc_update: NDArray[Any],
    rows: NDArray[Any] | None,
    lr: float,
    rho: float,
    epsilon: float,
    scale: float = 1.0,
    l2: float = 0.0,
    n_threads: int = 1,
) -> None: ...
def sgd_step(
    param: NDArray[Any],
    grad: NDArray[Any],
    velocity: NDArray[Any],
    rows: NDArray[Any] | None,
    lr: float,
    momentum: float,
    nesterov: bool = False,
    scale: float = 1.0,
    l2: float = 0.0,
    n_threads: int = 1,
) -> None: ...
def limit_row_norms(
    weights: NDArray[Any],
    max_norm: float,
    n_threads: int = 1,
) -> None: ...
def sum_of_squares(
    x: NDArray[Any],
    n_threads: int = 1,
) -> float: ...
