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
    def joined(cls, parts: list[WindowShares]) -> WindowShares:
        """All windows of one part or more, in their order."""
        return cls(
            np.concatenate([part.texts for part in parts]),
            np.concatenate([part.starts for part in parts]),
            np.concatenate([part.ends for part in parts]),
            np.concatenate([part.shares for part in parts]),
        )


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
