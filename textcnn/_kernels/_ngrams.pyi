from typing import Any

import numpy as np
from numpy.typing import NDArray

def gram_offsets(
    offsets: NDArray[np.intp], lowest: int, highest: int, n_families: int
) -> NDArray[np.intp]: ...
def gram_keys(
    ids: NDArray[np.int32],
    offsets: NDArray[np.intp],
    lowest: int,
    highest: int,
    symbols: NDArray[np.int32] | None = None,
) -> tuple[NDArray[np.uint64], NDArray[np.intp]]: ...
def subword_keys(
    token_bytes: NDArray[np.uint8], offsets: NDArray[np.int64], shortest: int, longest: int
) -> tuple[NDArray[np.uint64], NDArray[np.intp]]: ...

class NGramIndex:
    n_rows: int
    def __init__(self, keys: NDArray[np.uint64]) -> None: ...
    def rows(self, keys: NDArray[np.uint64], n_threads: int) -> NDArray[np.int32]: ...

class NGramFeatures:
    n_texts: int
    n_features: int
    def __init__(
        self,
        ids: NDArray[np.int32],
        offsets: NDArray[np.intp],
        features: NDArray[np.int32],
        feature_offsets: NDArray[np.intp],
        grams: NDArray[np.int32],
        gram_offsets: NDArray[np.intp],
        n_features: int,
    ) -> None: ...
    def count_by_class(
        self, targets: NDArray[np.intp], weights: NDArray[np.float64], counts: NDArray[np.float64]
    ) -> None: ...
    def fit_logistic(
        self,
        targets: NDArray[np.intp],
        cost: NDArray[np.float64],
        positive: NDArray[np.intp],
        scales: NDArray[np.float32],
        tolerance: float,
        max_iter: int,
        seed: int,
        coef: NDArray[np.float32],
        intercept: NDArray[np.float64],
        n_threads: int,
    ) -> NDArray[np.int32]: ...
    def fit_columns(
        self,
        goals: NDArray[np.float32],
        cost: NDArray[np.float64],
        logistic: bool,
        scales: NDArray[np.float32],
        tolerance: float,
        max_iter: int,
        seed: int,
        coef: NDArray[np.float32],
        intercept: NDArray[np.float64],
        n_threads: int,
        delta: float = ...,
    ) -> NDArray[np.int32]: ...

def subword_scores(
    token_bytes: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    shortest: int,
    longest: int,
    index: NGramIndex,
    coef: NDArray[np.float32],
    out: NDArray[np.float64],
    n_threads: int,
) -> None: ...
def text_scores(
    ids: NDArray[np.int32],
    offsets: NDArray[np.intp],
    word_scores: NDArray[np.float32],
    unknown: NDArray[Any],
    lowest: int,
    highest: int,
    index: NGramIndex,
    coef: NDArray[np.float32],
    out: NDArray[np.float64],
    n_threads: int,
    symbols: NDArray[np.int32] | None = None,
) -> None: ...
def text_terms(
    ids: NDArray[np.int32],
    offsets: NDArray[np.intp],
    word_scores: NDArray[np.float32],
    unknown: NDArray[Any],
    lowest: int,
    highest: int,
    index: NGramIndex,
    coef: NDArray[np.float32],
    n_threads: int,
    symbols: NDArray[np.int32] | None = None,
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]: ...
