from typing import Any

from numpy.typing import NDArray

def window_scores(
    table: NDArray[Any],
    rows: NDArray[Any],
    offsets: NDArray[Any],
    width: int,
    add: bool,
    out: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def train_batches(
    types: NDArray[Any],
    targets: NDArray[Any],
    offsets: NDArray[Any],
    sample_weight: NDArray[Any],
    type_rows: NDArray[Any],
    token_rows: NDArray[Any],
    width: int,
    pair_width: int,
    params: list[tuple[Any, ...]],
    order: NDArray[Any],
    batch_offsets: NDArray[Any],
    rates: NDArray[Any],
    alpha: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    loss: NDArray[Any],
    n_threads: int = 1,
) -> int: ...
