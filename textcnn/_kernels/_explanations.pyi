from typing import Any

import numpy as np
from numpy.typing import NDArray

class RankedPlaces:
    def __len__(self) -> int: ...
    def arrays(self) -> tuple[NDArray[np.intp], NDArray[np.float64]]: ...

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
) -> list[RankedPlaces]: ...
