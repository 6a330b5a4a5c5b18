"""Loss and decoding of tag sequences: a linear-chain conditional random field, or independent tags.

Lafferty et al. 2001; Lample et al. 2016, section 2.2. With emissions e (n_tokens, n_tags) a tag sequence y
has the score start[y_0] + sum_i e[i, y_i] + sum_i transitions[y_(i-1), y_i] + stop[y_last].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from textcnn._kernels import _crf, _softmax
from textcnn.nn.workspace import Workspace

HEADS = ("crf", "softmax")

CHAIN = ("transitions", "start", "stop")
"""Names of the arrays of a random field."""


def chain_arrays(n_tags: int) -> dict[str, np.ndarray]:
    """Transitions, start and stop scores of zero."""
    return {
        "transitions": np.zeros((n_tags, n_tags), np.float32),
        "start": np.zeros(n_tags, np.float32),
        "stop": np.zeros(n_tags, np.float32),
    }


def sequence_loss(
    head: str,
    emissions: np.ndarray,
    arrays: dict[str, np.ndarray],
    targets: np.ndarray,
    offsets: np.ndarray,
    sample_weight: np.ndarray,
    work: Workspace,
    n_threads: int,
) -> tuple[float, np.ndarray, dict[str, np.ndarray]]:
    """Weighted negative log-likelihood of the tags of a batch.

    Parameters
    ----------
    head : {"crf", "softmax"}
    emissions : ndarray of shape (n_tokens, n_tags)
    arrays : dict
        With those named in `CHAIN`.
    targets : int32 ndarray of shape (n_tokens,)
    offsets : intp ndarray of shape (n_sentences + 1,)
    sample_weight : ndarray of shape (n_sentences,)
        Of the dtype of the emissions.
    work : Workspace
    n_threads : int

    Returns
    -------
    loss : float
    d_emissions : ndarray of shape (n_tokens, n_tags)
    gradients : dict of str to ndarray
        Those of the random field; empty with a softmax head.
    """
    d_emissions = work.array("d_emissions", emissions.shape, emissions.dtype)
    if head == "softmax":
        loss = work.array("loss", (len(targets),), np.float64)
        token_weight = np.repeat(sample_weight, np.diff(offsets))
        _softmax.softmax_cross_entropy(
            emissions, targets.astype(np.intp), token_weight, loss, d_emissions, n_threads
        )
        return float(loss.sum()), d_emissions, {}
    loss = work.array("loss", (len(offsets) - 1,), np.float64)
    gradients = {name: work.array(f"d_{name}", arrays[name].shape, emissions.dtype) for name in CHAIN}
    _crf.crf_loss(
        emissions, arrays["transitions"], arrays["start"], arrays["stop"], targets, offsets, sample_weight,
        loss, d_emissions, gradients["transitions"], gradients["start"], gradients["stop"], n_threads,
    )  # fmt: skip
    return float(loss.sum()), d_emissions, gradients


@dataclass(frozen=True)
class SequenceDecoder:
    """Best tags and exact probabilities among the sequences that a tag scheme allows.

    Parameters
    ----------
    head : {"crf", "softmax"}
        With "softmax" the scores of the random field are zeros, and what the scheme forbids is still
        never predicted.
    transitions : float32 ndarray of shape (n_tags, n_tags)
    start, stop : float32 ndarray of shape (n_tags,)
    allowed_start, allowed, allowed_stop : uint8 ndarray of shapes (n_tags,), (n_tags, n_tags), (n_tags,)
        1 where a sentence may begin with a tag, a tag follow another, a sentence end with a tag.
    """

    head: str
    transitions: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    allowed_start: np.ndarray
    allowed: np.ndarray
    allowed_stop: np.ndarray

    @property
    def _is_free(self) -> bool:
        """Whether each token's tag depends on nothing but its own scores."""
        return self.head == "softmax" and all(
            mask.all() for mask in (self.allowed_start, self.allowed, self.allowed_stop)
        )

    def best(self, emissions: np.ndarray, offsets: np.ndarray, n_threads: int) -> np.ndarray:
        """The most probable tag sequence of each sentence, int32 of shape (n_tokens,)."""
        if self._is_free:
            return emissions.argmax(axis=1).astype(np.int32)
        tags = np.empty(len(emissions), np.int32)
        _crf.crf_viterbi(
            emissions, self.transitions, self.start, self.stop, self.allowed_start, self.allowed,
            self.allowed_stop, offsets, tags, np.empty(len(offsets) - 1), n_threads,
        )  # fmt: skip
        return tags

    def marginals(self, emissions: np.ndarray, offsets: np.ndarray, n_threads: int) -> np.ndarray:
        """Probability of each tag at each token, float32 of shape (n_tokens, n_tags)."""
        marginals = np.empty(emissions.shape, np.float32)
        if self._is_free:
            _softmax.softmax(emissions, marginals, n_threads)
        else:
            _crf.crf_marginals(
                emissions, self.transitions, self.start, self.stop, self.allowed_start, self.allowed,
                self.allowed_stop, offsets, marginals, np.empty(len(offsets) - 1), n_threads,
            )  # fmt: skip
        return marginals

    def path_probabilities(
        self,
        emissions: np.ndarray,
        offsets: np.ndarray,
        sentence: np.ndarray,
        first: np.ndarray,
        last: np.ndarray,
        path: np.ndarray,
        path_offsets: np.ndarray,
        not_next: np.ndarray,
        n_threads: int,
    ) -> np.ndarray:
        """Exact probability that given tokens have given tags, float64 of shape (n_paths,).

        Parameters
        ----------
        emissions, offsets : as in `best`
        sentence, first, last : intp ndarray of shape (n_paths,)
            The tokens from `first` to ``last - 1`` of a sentence.
        path, path_offsets : packed int32 and intp arrays
            Their tags.
        not_next : int32 ndarray of shape (n_paths,)
            A tag that must not stand right behind; -1 for none.
        n_threads : int
        """
        probabilities = np.empty(len(sentence))
        _crf.crf_path_probabilities(
            emissions, self.transitions, self.start, self.stop, self.allowed_start, self.allowed,
            self.allowed_stop, offsets, sentence, first, last, path, path_offsets, not_next, probabilities,
            n_threads,
        )  # fmt: skip
        return probabilities
