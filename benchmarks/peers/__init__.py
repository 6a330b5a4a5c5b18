"""The contenders of `compare.py`, under one interface (`peers.base.Peer`)."""

from __future__ import annotations

from importlib import import_module

from peers.base import Peer

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

# what a peer needs beyond textcnn's own dependencies: module -> name in the message
OPTIONAL = {"pytorch": ("torch", "PyTorch"), "fasttext": ("fasttext", "fastText")}

# the same network with the same training can only be asked of those that have such a network
MATCHED = ("textcnn", "pytorch-usual", "pytorch-best")


def peer_class(name: str) -> type[Peer]:
    """The class of a peer; imports what it needs."""
    module, cls = PEERS[name]
    return getattr(import_module(module), cls)


__all__ = ["MATCHED", "OPTIONAL", "PEERS", "Peer", "peer_class"]
