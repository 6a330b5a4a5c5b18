from typing import Any

from numpy.typing import NDArray

ACTIVATIONS: tuple[str, ...]

def activation(
    number: int,
    x: NDArray[Any],
    parameter: float,
    out: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def activation_backward(
    number: int,
    d_out: NDArray[Any],
    x: NDArray[Any],
    parameter: float,
    d_x: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def softmax(
    x: NDArray[Any],
    out: NDArray[Any],
    log: bool = False,
    n_threads: int = 1,
) -> None: ...
def softmax_backward(
    d_out: NDArray[Any],
    x: NDArray[Any],
    out: NDArray[Any] | None,
    d_x: NDArray[Any],
    log: bool = False,
    n_threads: int = 1,
) -> None: ...
