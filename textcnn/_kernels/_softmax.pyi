from typing import Any

from numpy.typing import NDArray

def softmax(
    logits: NDArray[Any],
    out: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def log_softmax(
    logits: NDArray[Any],
    out: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def softmax_cross_entropy(
    logits: NDArray[Any],
    targets: NDArray[Any],
    sample_weight: NDArray[Any],
    loss: NDArray[Any],
    d_logits: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
