from typing import Any

from numpy.typing import NDArray

def take_texts(
    ids: NDArray[Any],
    offsets: NDArray[Any],
    index: NDArray[Any],
    out_ids: NDArray[Any],
    out_offsets: NDArray[Any],
) -> None: ...
def distinct(
    ids: NDArray[Any],
    marks: NDArray[Any],
    distinct_out: NDArray[Any],
    slots: NDArray[Any],
) -> int: ...
def gather_sums(
    table: NDArray[Any],
    rows: NDArray[Any],
    out: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def scatter_sums(
    values: NDArray[Any],
    slots: NDArray[Any],
    out: NDArray[Any],
) -> None: ...
