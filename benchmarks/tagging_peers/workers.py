"""Tagging in forked processes, for peers that have one thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from tagging_peers.base import TaggingPeer

# What forked processes find in their memory, so that no model is sent to them.
_peer_of_workers: list[TaggingPeer] = []


class Workers:
    """Calls a function of a peer and a list, on parts of the list at once."""

    def __init__(self, peer: TaggingPeer) -> None:
        self.peer = peer
        self.n_parts = 1
        self.pool: ProcessPoolExecutor | None = None

    def start(self, n_processes: int) -> None:
        """Share the work among so many; one is this process itself."""
        if self.pool:
            self.pool.shutdown()
        _peer_of_workers[:] = [self.peer]
        self.n_parts = n_processes
        self.pool = ProcessPoolExecutor(n_processes, get_context("fork")) if n_processes > 1 else None

    def map(self, function: Callable[[Any, list], list], items: list) -> list:
        """``function(peer, items)``."""
        if self.pool is None:
            return function(self.peer, items)
        size = -(-len(items) // self.n_parts)
        parts = [items[first : first + size] for first in range(0, len(items), size)]
        found = self.pool.map(_call_in_worker, [function] * len(parts), parts)
        return [each for part in found for each in part]


def _call_in_worker(function: Callable[[Any, list], list], items: list) -> list:
    return function(_peer_of_workers[0], items)
