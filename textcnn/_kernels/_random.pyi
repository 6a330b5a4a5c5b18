from typing import Any

from numpy.typing import NDArray

def philox4x32(
    counter: NDArray[Any],
    key: NDArray[Any],
) -> tuple[int, int, int, int]: ...
def dropout_mask(
    seed: int,
    step: int,
    rate: float,
    out: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
