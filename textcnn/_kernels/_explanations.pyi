from typing import Any

from numpy.typing import NDArray

def rank_places(
    texts: NDArray[Any],
    starts: NDArray[Any],
    ends: NDArray[Any],
    shares: NDArray[Any],
    n_network: int,
    share: float,
    scale: NDArray[Any],
    n: int,
    directions: NDArray[Any] | None,
    n_threads: int = 1,
) -> list[tuple[NDArray[Any], NDArray[Any]]]: ...
