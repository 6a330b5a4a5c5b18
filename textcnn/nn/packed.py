"""Packed batches: texts end to end in one array of ids, with the offsets of their starts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np


def pieces(ids: np.ndarray, offsets: np.ndarray, n_tokens: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut a packed batch between texts into packed batches of about `n_tokens` tokens.

    Parameters
    ----------
    ids : int32 ndarray of shape (n,)
    offsets : intp ndarray of shape (n_texts + 1,)
    n_tokens : int

    Returns
    -------
    list of (ids, offsets)
    """
    if len(ids) <= n_tokens:
        return [(ids, offsets)]
    cuts = np.searchsorted(offsets, np.arange(n_tokens, len(ids), n_tokens))
    edges = np.unique([0, *cuts, len(offsets) - 1])
    return [
        (ids[offsets[first] : offsets[last]], offsets[first : last + 1] - offsets[first])
        for first, last in pairwise(edges)
    ]
