from typing import Any

from numpy.typing import NDArray

def crf_loss(
    emissions: NDArray[Any],
    transitions: NDArray[Any],
    start: NDArray[Any],
    stop: NDArray[Any],
    tags: NDArray[Any],
    offsets: NDArray[Any],
    sample_weight: NDArray[Any],
    loss: NDArray[Any],
    d_emissions: NDArray[Any],
    d_transitions: NDArray[Any],
    d_start: NDArray[Any],
    d_stop: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def crf_viterbi(
    emissions: NDArray[Any],
    transitions: NDArray[Any],
    start: NDArray[Any],
    stop: NDArray[Any],
    allowed_start: NDArray[Any],
    allowed: NDArray[Any],
    allowed_stop: NDArray[Any],
    offsets: NDArray[Any],
    tags: NDArray[Any],
    scores: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def crf_marginals(
    emissions: NDArray[Any],
    transitions: NDArray[Any],
    start: NDArray[Any],
    stop: NDArray[Any],
    allowed_start: NDArray[Any],
    allowed: NDArray[Any],
    allowed_stop: NDArray[Any],
    offsets: NDArray[Any],
    marginals: NDArray[Any],
    log_z: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
def crf_path_probabilities(
    emissions: NDArray[Any],
    transitions: NDArray[Any],
    start: NDArray[Any],
    stop: NDArray[Any],
    allowed_start: NDArray[Any],
    allowed: NDArray[Any],
    allowed_stop: NDArray[Any],
    offsets: NDArray[Any],
    sentence: NDArray[Any],
    first: NDArray[Any],
    last: NDArray[Any],
    path: NDArray[Any],
    path_offsets: NDArray[Any],
    not_next: NDArray[Any],
    probabilities: NDArray[Any],
    n_threads: int = 1,
) -> None: ...
