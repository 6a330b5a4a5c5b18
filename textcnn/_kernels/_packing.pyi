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
def scatter_sums(
    values: NDArray[Any],
    slots: NDArray[Any],
    out: NDArray[Any],
) -> None: ...
