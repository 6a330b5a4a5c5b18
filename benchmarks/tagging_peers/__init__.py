"""The contenders of `compare_tagging.py`, under one interface (`tagging_peers.base.TaggingPeer`)."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec

from tagging_peers.base import ReadyTaggingPeer, TaggingPeer, TaggingSettings

# name -> module and class; a module is imported in the process that measures, not before
PEERS = {
    "textcnn": ("tagging_peers.ours", "TextCNNPeer"),
    "pytorch-usual": ("tagging_peers.pytorch_usual", "UsualPyTorch"),
    "pytorch-best": ("tagging_peers.pytorch_best", "BestPyTorch"),
    "crfsuite": ("tagging_peers.crfsuite_peer", "CRFSuitePeer"),
    "spacy": ("tagging_peers.spacy_peer", "SpacyPeer"),
}

LABELS = {
    "textcnn": "textcnn",
    "pytorch-usual": "PyTorch ID-CNN-CRF, usual",
    "pytorch-best": "PyTorch ID-CNN-CRF, best",
    "crfsuite": "sklearn-crfsuite",
    "spacy": "spaCy",
}

# what a peer needs beyond textcnn's own dependencies: first part of its name -> module and its name
OPTIONAL = {
    "pytorch": ("torch", "PyTorch"),
    "crfsuite": ("sklearn_crfsuite", "sklearn-crfsuite"),
    "spacy": ("spacy", "spaCy"),
}

# spaCy's layers load PyTorch if they find it, which would count in the peak of memory; nothing here uses it
UNWANTED = {"spacy": "torch"}

# the same network with the same training can only be asked of those that have such a network
MATCHED = ("textcnn", "pytorch-usual", "pytorch-best")


def peer_class(name: str) -> type[TaggingPeer]:
    """The class of a peer; imports what it needs, and keeps this process from importing what it does not."""
    if name in UNWANTED:
        sys.modules[UNWANTED[name]] = None  # type: ignore[assignment]
    module, cls = PEERS[name]
    return getattr(import_module(module), cls)


def what_is_missing(name: str) -> str | None:
    """The library without which a peer cannot run here."""
    module, library = OPTIONAL.get(name.split("-")[0], ("", ""))
    return library if module and find_spec(module) is None else None


__all__ = [
    "LABELS",
    "MATCHED",
    "PEERS",
    "ReadyTaggingPeer",
    "TaggingPeer",
    "TaggingSettings",
    "peer_class",
    "what_is_missing",
]
