"""The interface of a tagger in the comparison."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from tagging_datasets import Tags, Tokens

# The network of the mode "matched" (Strubell et al. 2017), the same for textcnn and PyTorch: random word
# vectors, a convolution, one block of dilations applied `N_ITERATIONS` times with the same weights, the
# outputs of the iterations side by side, dropout, a dense layer, a CRF.
N_DIMS, N_CHANNELS, WIDTH, DILATIONS, N_ITERATIONS = 100, 128, 3, (1, 1, 2), 4
BATCH_SIZE, DROPOUT, LEARNING_RATE = 32, 0.5, 0.001


@dataclass(frozen=True)
class TaggingSettings:
    """What a run asks of a peer.

    Parameters
    ----------
    mode : {"matched", "default"}
        The same network and the same number of epochs for all; or each peer's own settings.
    epochs : int
        In the mode "matched".
    threads : int
    seed : int
    spans : bool
        The tags say where spans begin and end.
    chinese : bool
        The tokens are characters.
    """

    mode: str
    epochs: int
    threads: int
    seed: int
    spans: bool
    chinese: bool


class TaggingPeer(ABC):
    """A sequence tagger: lists of tokens in, lists of tags out. Nothing but the tokens is given.

    Attributes
    ----------
    ready : str or None
        What the peer can start from that is readier than tokens: see `ReadyTaggingPeer`.
    epoch_seconds : list of float
        Wall time of each epoch of the last `fit`, if the peer has epochs that can be timed.
    """

    ready: ClassVar[str | None] = None

    def __init__(self, settings: TaggingSettings) -> None:
        self.settings = settings
        self.epoch_seconds: list[float] = []

    @abstractmethod
    def fit(self, X: Tokens, y: Tags, X_dev: Tokens, y_dev: Tags) -> None:
        """Train from tokens; the development part may decide when to stop, and nothing else."""

    @abstractmethod
    def predict(self, X: Tokens) -> Tags:
        """The tags of each sentence, in the scheme of the training data or in BIO."""

    def use_threads(self, n_threads: int) -> bool:
        """Tag on so many threads from now on; False if the peer cannot."""
        return n_threads == 1


class ReadyTaggingPeer(TaggingPeer):
    """A peer that can also tag something readier than tokens."""

    @abstractmethod
    def prepare(self, X: Tokens) -> Any:
        """What one `predict_prepared` starts from."""

    @abstractmethod
    def predict_prepared(self, prepared: Any) -> Any:
        """Tag `prepare`'s result; only timed, so the form and the order of the result are free."""
