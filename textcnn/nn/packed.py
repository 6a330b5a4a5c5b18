"""Packed batches: texts end to end in one array of ids, with the offsets of their starts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class WindowShares:
    """What windows of the texts of a packed batch add to each output; several may have the same place.

    Attributes
    ----------
    texts : intp ndarray of shape (n_windows,)
        Which text each window is of.
    starts, ends : intp ndarrays of shape (n_windows,)
        The tokens ``start`` to ``end - 1`` of the text.
    shares : float64 ndarray of shape (n_windows, n_outputs)
    """

    texts: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    shares: np.ndarray

    @classmethod
    def none(cls, n_outputs: int) -> WindowShares:
        """No windows."""
        places = np.empty(0, np.intp)
        return cls(places, places, places, np.empty((0, n_outputs)))

    @classmethod
    def joined(cls, parts: list[WindowShares]) -> WindowShares:
        """All windows of one part or more, in their order."""
        return cls(
            np.concatenate([part.texts for part in parts]),
            np.concatenate([part.starts for part in parts]),
            np.concatenate([part.ends for part in parts]),
            np.concatenate([part.shares for part in parts]),
        )


@dataclass(frozen=True)
class FeatureWindows:
    """The windows of the features of texts: each adds feature x weight to the outputs.

    Attributes
    ----------
    pooled : float32 ndarray of shape (n_texts, n_features)
    argmax : int32 ndarray of shape (n_texts, n_features)
        The first token of each window, which may lie before the text; `NO_WINDOW` of the kernels if there is
        none.
    widths : int32 ndarray of shape (n_features,)
        Tokens of the windows.
    weights : float32 ndarray of shape (n_outputs, n_features)
    """

    pooled: np.ndarray
    argmax: np.ndarray
    widths: np.ndarray
    weights: np.ndarray

    @classmethod
    def none(cls, n_texts: int, n_outputs: int) -> FeatureWindows:
        """No windows."""
        pooled, argmax = np.empty((n_texts, 0), np.float32), np.empty((n_texts, 0), np.int32)
        return cls(pooled, argmax, np.empty(0, np.int32), np.empty((n_outputs, 0), np.float32))


def pieces(
    ids: np.ndarray, offsets: np.ndarray, n_tokens: int, cost_per_text: int = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut a packed batch between texts into packed batches of about `n_tokens` tokens.

    Parameters
    ----------
    ids : int32 ndarray of shape (n,)
    offsets : intp ndarray of shape (n_texts + 1,)
    n_tokens : int
    cost_per_text : int, default=0
        How many tokens a text counts for beside its own.

    Returns
    -------
    list of (ids, offsets)
    """
    costs = offsets + cost_per_text * np.arange(len(offsets)) if cost_per_text else offsets
    if costs[-1] <= n_tokens:
        return [(ids, offsets)]
    cuts = np.searchsorted(costs, np.arange(n_tokens, costs[-1], n_tokens))
    edges = np.unique([0, *cuts, len(offsets) - 1])
    return [
        (ids[offsets[first] : offsets[last]], offsets[first : last + 1] - offsets[first])
        for first, last in pairwise(edges)
    ]
