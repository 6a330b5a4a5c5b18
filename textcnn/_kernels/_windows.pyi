from typing import Any

from numpy.typing import NDArray

def im2col(
    rows: NDArray[Any],
    offsets: NDArray[Any],
    out_offsets: NDArray[Any],
    kernel_size: int,
    stride: int,
    dilation: int,
    left: int,
    mode: int,
    value: float,
    out: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def col2im(
    columns: NDArray[Any],
    column_offsets: NDArray[Any],
    offsets: NDArray[Any],
    kernel_size: int,
    stride: int,
    dilation: int,
    left: int,
    mode: int,
    out: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def upsample(
    rows: NDArray[Any],
    offsets: NDArray[Any],
    out_offsets: NDArray[Any],
    factor: int,
    mode: int,
    out: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def upsample_backward(
    d_out: NDArray[Any],
    out_offsets: NDArray[Any],
    offsets: NDArray[Any],
    factor: int,
    mode: int,
    d_rows: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
