from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

class Tiling:
    dilations: tuple[int, ...]
    n_rows: int
    kernel_size: int
    n_pieces: int
    n_outputs: int
    n_products: int
    def __init__(
        self,
        offsets: NDArray[Any],
        dilations: Iterable[int],
        kernel_size: int,
        dtype_size: int,
    ) -> None: ...

def filters_size(weights: NDArray[Any], transposed: bool = False) -> int: ...
def pack_filters(
    weights: NDArray[Any],
    panels: NDArray[Any],
    transposed: bool = False,
    n_threads: int = 1,
) -> None: ...
def conv_stack_forward(
    tiling: Tiling,
    x: NDArray[Any],
    levels: list[Any],
    panels: list[NDArray[Any]],
    biases: list[NDArray[Any]],
    n_threads: int = 1,
) -> None: ...
def conv_stack_backward(
    tiling: Tiling,
    x: NDArray[Any],
    levels: list[NDArray[Any]],
    d_levels: list[Any],
    panels: list[NDArray[Any]],
    deltas: list[NDArray[Any]],
    d_x: NDArray[Any] | None = None,
    gate: bool = False,
    n_threads: int = 1,
) -> None: ...
def conv_stack_weight_gradients(
    tiling: Tiling,
    x: NDArray[Any],
    levels: list[NDArray[Any]],
    deltas: list[NDArray[Any]],
    sets: list[int],
    d_weights: list[NDArray[Any]],
    d_biases: list[NDArray[Any]],
    n_threads: int = 1,
) -> None: ...
