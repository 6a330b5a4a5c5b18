"""The interface of a peer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

# The network of the mode "matched" (Kim 2014), the same for textcnn and PyTorch.
N_DIMS, WIDTHS, N_FILTERS, BATCH_SIZE = 300, (3, 4, 5), 100, 50
DROPOUT, EMBEDDING_LIMIT, LEARNING_RATE = 0.5, 0.05, 0.001


@dataclass(frozen=True)
class Settings:
    """What a run asks of a peer.

    Parameters
    ----------
    mode : {"matched", "default"}
        The same network and the same number of epochs for all; or each peer's own settings.
    epochs : int
        In the mode "matched".
    threads : int
    seed : int
    chinese : bool
        Characters are the tokens.
    params : dict
        Of textcnn's estimator, beside its defaults, in the mode "default".
    """

    mode: str
    epochs: int
    threads: int
    seed: int
    chinese: bool
    params: dict[str, Any] = field(default_factory=dict)


class FailedByChance(RuntimeError):
    """Training broke off in a way that another try may not."""


class Peer(ABC):
    """A text classifier: raw strings in, labels out.

    Attributes
    ----------
    ready : str or None
        What the peer can start from that is readier than raw text: see `ReadyPeer`.
    seeded : bool
        Another seed gives another model.
    epoch_seconds : list of float
        Wall time of each epoch of the last `fit`, if the peer has epochs that can be timed.
    """

    ready: ClassVar[str | None] = None
    seeded: ClassVar[bool] = True

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.epoch_seconds: list[float] = []

    @abstractmethod
    def fit(self, texts: list[str], labels: list[str]) -> None:
        """Train from raw text: cutting it into tokens, the vocabulary, all epochs."""

    @abstractmethod
    def predict(self, texts: list[str]) -> list[str]:
        """The label of each raw text."""

    def predict_one(self, text: str) -> str:
        """The label of one raw text, by the peer's fastest call for it."""
        return self.predict([text])[0]

    def use_threads(self, n_threads: int) -> bool:
        """Predict on so many threads from now on; False if the peer cannot."""
        return n_threads == 1


class ReadyPeer(Peer):
    """A peer that can also predict from something readier than raw text."""

    @abstractmethod
    def prepare(self, texts: list[str]) -> Any:
        """What `predict_prepared` starts from."""

    @abstractmethod
    def predict_prepared(self, prepared: Any) -> Any:
        """Predict from `prepare`'s result; only timed, so the order of the result is free."""
