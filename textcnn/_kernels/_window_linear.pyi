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
def window_gradient(
    d_out: NDArray[Any],
    rows: NDArray[Any],
    offsets: NDArray[Any],
    width: int,
    fixed: int,
    marks: NDArray[Any],
    found: NDArray[Any],
    d_rows: NDArray[Any],
) -> int: ...
