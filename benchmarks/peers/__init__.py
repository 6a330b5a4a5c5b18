"""The contenders of `compare.py`, under one interface (`peers.base.Peer`)."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from peers.base import FailedByChance, Peer, Settings

# name -> module and class; a module is imported in the process that measures, not before
PEERS = {
    "textcnn": ("peers.ours", "TextCNNPeer"),
    "pytorch-usual": ("peers.pytorch_usual", "UsualPyTorch"),
    "pytorch-best": ("peers.pytorch_best", "BestPyTorch"),
    "fasttext-1gram": ("peers.fasttext_peer", "FastTextWords"),
    "fasttext-2gram": ("peers.fasttext_peer", "FastTextBigrams"),
    "tfidf-lr": ("peers.sklearn_peers", "TfidfLogistic"),
    "nbsvm": ("peers.sklearn_peers", "NBSVM"),
}

# what a peer needs beyond textcnn's own dependencies: first part of its name -> module and its name
OPTIONAL = {"pytorch": ("torch", "PyTorch"), "fasttext": ("fasttext", "fastText")}

# the same network with the same training can only be asked of those that have such a network
MATCHED = ("textcnn", "pytorch-usual", "pytorch-best")


def peer_class(name: str) -> type[Peer]:
    """The class of a peer; imports what it needs."""
    module, cls = PEERS[name]
    return getattr(import_module(module), cls)


def what_is_missing(name: str) -> str | None:
    """The library without which a peer cannot run here."""
    module, library = OPTIONAL.get(name.split("-")[0], ("", ""))
    return library if module and find_spec(module) is None else None


__all__ = ["MATCHED", "PEERS", "FailedByChance", "Peer", "Settings", "peer_class", "what_is_missing"]
