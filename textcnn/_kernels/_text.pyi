from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNICODE_VERSION: str
ANALYZERS: tuple[str, ...]

def char_class(code: int) -> int: ...
def simple_lower(code: int) -> int: ...
def count_tokens(
    texts: Iterable[str | Sequence[str]],
    analyzer: str,
    lowercase: bool,
    n_threads: int,
) -> tuple[
    NDArray[np.uint8],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int32],
    NDArray[np.intp],
]: ...
def token_shapes(
    texts: Iterable[str | Sequence[str]], analyzer: str, n_threads: int
) -> NDArray[np.int32]: ...
def token_spans(text: str, analyzer: str) -> NDArray[np.intp]: ...
def siphash13(token: bytes, key_0: int, key_1: int) -> int: ...
def split_tokens(text: str, analyzer: str, lowercase: bool) -> list[str]: ...

class TokenTable:
    def __init__(self, token_bytes: NDArray[np.uint8], offsets: NDArray[np.int64]) -> None: ...
    def __len__(self) -> int: ...
    def find(self, token: Any) -> int: ...
    def to_list(self) -> list[str]: ...
    def to_arrays(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]: ...
    def encode(
        self,
        texts: Iterable[str | Sequence[str]],
        analyzer: str,
        lowercase: bool,
        n_threads: int,
    ) -> tuple[NDArray[np.int32], NDArray[np.intp]]: ...
    def encode_with_unknown(
        self,
        texts: Iterable[str | Sequence[str]],
        analyzer: str,
        lowercase: bool,
        n_threads: int,
    ) -> tuple[NDArray[np.int32], NDArray[np.intp], NDArray[np.uint8], NDArray[np.int64]]: ...
