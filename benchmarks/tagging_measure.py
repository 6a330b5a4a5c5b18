"""One run of the comparison of taggers: a peer trains and tags, in a process of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from common import resident_mb
from measure import seconds_of
from tagging_datasets import TaggingSplit, Tokens
from tagging_peers import ReadyTaggingPeer, TaggingPeer, TaggingSettings, peer_class
from tagging_scores import score


@dataclass(frozen=True)
class TaggingPlan:
    """How much is measured in a run.

    Parameters
    ----------
    passes : int
        Over the sentences on which tagging is timed, for each number of threads.
    pass_words : int
        So many words at most.
    dev : bool
        The score is that of the development part; the test part is only tagged for its time.
    """

    passes: int
    pass_words: int
    dev: bool


def run(name: str, settings: TaggingSettings, split: TaggingSplit, plan: TaggingPlan) -> dict:
    """Times and score of one peer."""
    cls = peer_class(name)
    before = resident_mb()
    peer = cls(settings)
    start = time.perf_counter()
    peer.fit(split.X_train, split.y_train, split.X_dev, split.y_dev)
    seconds = time.perf_counter() - start
    training = {"fit_s": seconds, "epoch_s": warm(peer.epoch_seconds), "before_mb": before}
    return training | tagging(peer, split, plan)


def warm(epoch_seconds: list[float]) -> list[float]:
    """All epochs but the first, in which code is loaded and threads are started, if there are others."""
    return epoch_seconds[1:] or epoch_seconds


def tagging(peer: TaggingPeer, split: TaggingSplit, plan: TaggingPlan) -> dict:
    """Score, then the times of tagging."""
    X, y = (split.X_dev, split.y_dev) if plan.dev else (split.X_test, split.y_test)
    reached = score(y, peer.predict(X), split.spans)
    sentences = split.speed_sentences(plan.pass_words)
    by_threads = {
        str(n): times_of_tagging(peer, sentences, plan.passes)
        for n in sorted({1, peer.settings.threads})
        if peer.use_threads(n)
    }
    peer.use_threads(1)  # ends processes that share the work, without which this one would wait for them
    return {"score": reached, "tagging": by_threads}


def times_of_tagging(peer: TaggingPeer, sentences: Tokens, passes: int) -> dict[str, Any]:
    """Seconds of passes over all sentences, after one pass to warm up."""
    peer.predict(sentences)
    result = {"tokens_s": seconds_of(passes, lambda: peer.predict(sentences))}
    if isinstance(peer, ReadyTaggingPeer):
        prepared = peer.prepare(sentences)
        result["ready_s"] = seconds_of(passes, lambda: peer.predict_prepared(prepared))
    return result
