from typing import Any

from numpy.typing import NDArray

NO_WINDOW: int

def conv_max_forward(
    projected: NDArray[Any],
    bias: NDArray[Any],
    slots: NDArray[Any],
    offsets: NDArray[Any],
    kernel_sizes: NDArray[Any],
    pads: NDArray[Any],
    n_filters: int,
    relu: bool,
    out: NDArray[Any],
    argmax: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def look_up_rows(
    ids: NDArray[Any],
    state: NDArray[Any],
    missing: NDArray[Any],
) -> int: ...
def store_rows(
    ids: NDArray[Any],
    rows: NDArray[Any],
    cached: NDArray[Any],
    state: NDArray[Any],
) -> None: ...
def conv_max_cached(
    cached: NDArray[Any],
    extra: NDArray[Any],
    slots: NDArray[Any],
    bias: NDArray[Any],
    offsets: NDArray[Any],
    kernel_sizes: NDArray[Any],
    pads: NDArray[Any],
    n_filters: int,
    out: NDArray[Any],
    argmax: NDArray[Any],
    n_threads: int = 1,
    relu: bool = True,
) -> None: ...
def conv_max_backward(
    d_out: NDArray[Any],
    argmax: NDArray[Any],
    rows: NDArray[Any],
    weights: NDArray[Any],
    slots: NDArray[Any],
    offsets: NDArray[Any],
    kernel_sizes: NDArray[Any],
    pads: NDArray[Any],
    n_filters: int,
    d_weights: NDArray[Any],
    d_bias: NDArray[Any],
    d_rows: NDArray[Any] | None = None,
    n_threads: int = 1,
) -> None: ...
def conv_same_forward(
    projected: NDArray[Any],
    bias: NDArray[Any],
    slots: NDArray[Any],
    offsets: NDArray[Any],
    kernel_size: int,
    relu: bool,
    out: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def conv_same_backward(
    d_out: NDArray[Any],
    slots: NDArray[Any],
    offsets: NDArray[Any],
    kernel_size: int,
    d_projected: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
