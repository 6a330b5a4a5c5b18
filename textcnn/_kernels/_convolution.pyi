from typing import Any

from numpy.typing import NDArray

class Windows:
    n_in_rows: int
    n_out_rows: int
    n_phases: int
    adjoint: bool
    def __init__(
        self,
        offsets: NDArray[Any],
        out_offsets: NDArray[Any],
        kernel_size: int,
        stride: int = 1,
        dilation: int = 1,
        left: int = 0,
        n_kernels: int = 1,
        adjoint: bool = False,
        minimal: bool = False,
    ) -> None: ...

def convolve(
    windows: Windows,
    x: NDArray[Any],
    weights: NDArray[Any],
    out: NDArray[Any],
    bias: NDArray[Any] | None = None,
    groups: int = 1,
    n_threads: int = 1,
) -> None: ...
def weight_gradient(
    windows: Windows,
    x: NDArray[Any],
    d_out: NDArray[Any],
    d_weights: NDArray[Any],
    d_bias: NDArray[Any] | None = None,
    groups: int = 1,
    n_threads: int = 1,
) -> None: ...
def column_sums(x: NDArray[Any], out: NDArray[Any], n_threads: int = 1) -> None: ...
def prefers_minimal_filtering(
    kernel_size: int, stride: int, n_kernels: int, groups: int, c: int, f: int, dtype_size: int
) -> bool: ...
