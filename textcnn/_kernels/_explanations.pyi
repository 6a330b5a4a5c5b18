from typing import Any

from numpy.typing import NDArray

def rank_places(
    offsets: NDArray[Any],
    pooled: NDArray[Any],
    argmax: NDArray[Any],
    widths: NDArray[Any],
    weights: NDArray[Any],
    texts: NDArray[Any],
    starts: NDArray[Any],
    ends: NDArray[Any],
    shares: NDArray[Any],
    n_network: int,
    share: float,
    scale: NDArray[Any],
    directions: NDArray[Any] | None,
    n_threads: int = 1,
) -> list[tuple[NDArray[Any], NDArray[Any]]]: ...
