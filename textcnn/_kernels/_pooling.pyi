from typing import Any

from numpy.typing import NDArray

def max_forward(
    x: NDArray[Any],
    starts: NDArray[Any],
    ends: NDArray[Any],
    origins: NDArray[Any],
    out: NDArray[Any],
    argmax: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def max_backward(
    d_out: NDArray[Any],
    argmax: NDArray[Any],
    out_offsets: NDArray[Any],
    offsets: NDArray[Any],
    d_x: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def sum_forward(
    x: NDArray[Any],
    starts: NDArray[Any],
    ends: NDArray[Any],
    scales: NDArray[Any],
    weights: NDArray[Any],
    shifts: NDArray[Any],
    out: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def sum_backward(
    d_out: NDArray[Any],
    starts: NDArray[Any],
    ends: NDArray[Any],
    scales: NDArray[Any],
    weights: NDArray[Any],
    shifts: NDArray[Any],
    d_x: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def weights_backward(
    d_out: NDArray[Any],
    x: NDArray[Any],
    starts: NDArray[Any],
    ends: NDArray[Any],
    shifts: NDArray[Any],
    parts: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def lp_forward(
    x: NDArray[Any],
    starts: NDArray[Any],
    ends: NDArray[Any],
    p: float,
    out: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def lp_backward(
    d_out: NDArray[Any],
    x: NDArray[Any],
    norms: NDArray[Any],
    starts: NDArray[Any],
    ends: NDArray[Any],
    p: float,
    d_x: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def k_max_forward(
    x: NDArray[Any],
    starts: NDArray[Any],
    ends: NDArray[Any],
    origins: NDArray[Any],
    places: NDArray[Any],
    out: NDArray[Any],
    argmax: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
