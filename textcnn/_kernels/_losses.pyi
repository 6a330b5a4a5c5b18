from typing import Any

from numpy.typing import NDArray

LOSSES: tuple[str, ...]

def all_within(
    x: NDArray[Any],
    least: float,
    most: float,
    n_threads: int = 1,
) -> bool: ...
def n_pieces(n: int) -> int: ...
def loss(
    number: int,
    predictions: NDArray[Any],
    targets: NDArray[Any],
    weights: NDArray[Any] | None,
    parameter: float,
    out: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def loss_sums(
    number: int,
    predictions: NDArray[Any],
    targets: NDArray[Any],
    weights: NDArray[Any] | None,
    parameter: float,
    sums: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def loss_backward(
    number: int,
    predictions: NDArray[Any],
    targets: NDArray[Any],
    weights: NDArray[Any] | None,
    d_loss: NDArray[Any] | None,
    scale: float,
    parameter: float,
    d_predictions: NDArray[Any],
    d_targets: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def first_no_class(targets: NDArray[Any], n_classes: int) -> int: ...
def cross_entropy(
    logits: NDArray[Any],
    probabilities: NDArray[Any] | None,
    scale: NDArray[Any] | None,
    shift: NDArray[Any] | None,
    targets: NDArray[Any] | None,
    target_weights: NDArray[Any] | None,
    loss: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def cross_entropy_backward(
    d_loss: NDArray[Any],
    logits: NDArray[Any],
    probabilities: NDArray[Any] | None,
    scale: NDArray[Any] | None,
    shift: NDArray[Any] | None,
    targets: NDArray[Any] | None,
    target_weights: NDArray[Any] | None,
    d_logits: NDArray[Any],
    d_probabilities: NDArray[Any] | None,
    n_threads: int = 1,
) -> None: ...
