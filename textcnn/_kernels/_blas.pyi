from typing import Any

from numpy.typing import NDArray

def matmul(
    a: NDArray[Any],
    b: NDArray[Any],
    out: NDArray[Any],
    bias: NDArray[Any] | None = None,
    relu: bool = False,
    n_threads: int = 1,
) -> None: ...

class PackedMatrix:
    n_rows: int
    n_columns: int
    def __init__(self, b: NDArray[Any]) -> None: ...
    def left_multiply(
        self,
        a: NDArray[Any],
        out: NDArray[Any],
        bias: NDArray[Any] | None = None,
        relu: bool = False,
        n_threads: int = 1,
    ) -> None: ...
