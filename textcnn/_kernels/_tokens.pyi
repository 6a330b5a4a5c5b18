import numpy as np
from numpy.typing import NDArray

from textcnn._kernels._text import TokenTable

FIRST_CHAR_ID: int

def token_features(
    token_bytes: NDArray[np.uint8],
    token_offsets: NDArray[np.int64],
    table: TokenTable,
    lowercase: bool,
    char_codes: NDArray[np.int32],
    max_chars: int,
    prefix_lengths: NDArray[np.int32],
    suffix_lengths: NDArray[np.int32],
    shape: bool,
    n_buckets: int,
    n_threads: int = 1,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.intp], NDArray[np.int32]]: ...
