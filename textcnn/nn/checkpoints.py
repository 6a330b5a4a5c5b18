"""Checkpoints: the state of training on disk, from which a killed run goes on to the same bits."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from functools import partial
from glob import escape, glob
from typing import Any, cast

import numpy as np

from textcnn._version import __version__
from textcnn.io import load_arrays, save_arrays
from textcnn.nn.modules import Layer, dropout_states, set_dropout_states
from textcnn.nn.training import History, Progress, TrainingLoop

# Writing may take this share of the time: a state is written when the last one has paid for itself.
MOST_TIME_WRITING = 0.05

_TEMPORARY = ".textcnn-*.tmp"  # what a process that is killed while it writes leaves behind


class Checkpoints:
    """A folder with the states of the networks that one `fit` trains, a file for each.

    Parameters
    ----------
    folder : str or path-like
        Made if it is missing. Only one process may use it at a time.

    Raises
    ------
    OSError
        If the folder cannot be made.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = os.fspath(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.n_networks = 0
        self._remove(_TEMPORARY)

    def next(self, trainer: TrainingLoop, *data: Any) -> Checkpoint:
        """The checkpoint of the next network, which `trainer` trains on `data`."""
        path = os.path.join(self.folder, f"network-{self.n_networks}.checkpoint")
        self.n_networks += 1
        return Checkpoint(path, fingerprint(trainer, data))

    def are_there(self) -> bool:
        """Whether there is a state to go on from."""
        return bool(self._files("network-*.checkpoint"))

    def clear(self) -> None:
        """Remove the states; the folder stays."""
        self._remove("network-*.checkpoint")

    def _files(self, pattern: str) -> list[str]:
        return glob(os.path.join(escape(self.folder), pattern))

    def _remove(self, pattern: str) -> None:
        for path in self._files(pattern):
            os.unlink(path)


class Checkpoint:
    """The state of one training run in a file.

    Parameters
    ----------
    path : str
    fingerprint : str
        Of everything that decides what training does; a file with another one is refused.
    """

    def __init__(self, path: str, fingerprint: str) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self.due_at = 0.0

    def restore(self, trainer: TrainingLoop) -> Progress:
        """Bring a trainer and its network back to where they were; how far that is, nothing without a file.

        Raises
        ------
        ValueError
            If the file is damaged (a `ModelFileError`), or of another training.
        """
        if not os.path.exists(self.path):
            return Progress()
        arrays, config = load_arrays(self.path)
        if config.get("fingerprint") != self.fingerprint:
            raise ValueError(
                f"{self.path} is of another training (texts, labels, parameters, random_state or the version "
                "of textcnn differ); give the same as then to go on with it, or another folder to start anew"
            )
        trainer.network.restore_arrays(_group(arrays, "network"))
        trainer.optimizer.set_state(_group(arrays, "optimizer"), config["optimizer"])
        position, has_gauss, gauss = config["rng"]
        trainer.rng.set_state(("MT19937", arrays["rng"].view(np.uint32), position, has_gauss, gauss))
        trainer.rate, trainer.n_steps = config["rate"], config["n_steps"]
        if body := _body(trainer):
            set_dropout_states(body, config["dropout_states"])
        return Progress(
            History(**config["history"]),
            config["best"],
            config["n_stalled"],
            _group(arrays, "best") if config["has_best"] else None,
        )

    def save(self, trainer: TrainingLoop, progress: Progress, is_last: bool) -> None:
        """Write the state after an epoch, unless it is not `is_last` and the one before is fresh."""
        begin = time.monotonic()
        if begin < self.due_at and not is_last:
            return
        state, counts = trainer.optimizer.get_state()
        key, position, has_gauss, gauss = _random_state(trainer)
        arrays = {
            "rng": key.view(np.int32),
            **_named("network", trainer.network.copy_arrays()),
            **_named("optimizer", state),
            **_named("best", progress.best_arrays or {}),
        }
        config = {
            "fingerprint": self.fingerprint,
            "optimizer": counts,
            "dropout_states": dropout_states(body) if (body := _body(trainer)) else [],
            "rng": [position, has_gauss, gauss],
            "rate": float(trainer.rate),
            "n_steps": trainer.n_steps,
            "history": dataclasses.asdict(progress.history),
            "best": float(progress.best),
            "n_stalled": progress.n_stalled,
            "has_best": progress.best_arrays is not None,
        }
        save_arrays(self.path, arrays, config)
        now = time.monotonic()
        self.due_at = now + (now - begin) / MOST_TIME_WRITING


def _body(trainer: TrainingLoop) -> Layer | None:
    """The layers of a network of one's own."""
    return getattr(trainer.network, "body", None)


def _random_state(trainer: TrainingLoop) -> tuple[np.ndarray, int, int, float]:
    """The state of the trainer's Mersenne Twister."""
    _, key, position, has_gauss, gauss = cast(Any, trainer.rng.get_state(legacy=True))
    return key, int(position), int(has_gauss), float(gauss)


def _named(group: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{group}/{name}": array for name, array in arrays.items()}


def _group(arrays: Mapping[str, np.ndarray], group: str) -> dict[str, np.ndarray]:
    """The arrays of a group, in memory of their own that may be written to."""
    start = f"{group}/"
    return {name[len(start) :]: array.copy() for name, array in arrays.items() if name.startswith(start)}


def fingerprint(trainer: TrainingLoop, data: Iterable[Any]) -> str:
    """SHA-256 of what decides a training run: its data, options, first weights and random numbers.

    The number of threads is left out: it does not change the result.
    """
    options = {**_fields(trainer.options), "n_threads": None}
    begin = [__version__, type(trainer.network).__name__, type(trainer.optimizer).__name__, options]
    digest = hashlib.sha256()
    for value in (*begin, trainer.network.copy_arrays(), _random_state(trainer), *data):
        _update(digest, value)
    return digest.hexdigest()


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _update(digest: Any, value: Any) -> None:
    """Add a value to a digest, with its type and its length, so that no two values look alike."""
    if isinstance(value, np.ndarray):
        digest.update(f"array {value.dtype.str} {value.shape}".encode())
        digest.update(np.ascontiguousarray(value).data)
    elif dataclasses.is_dataclass(value):
        _update(digest, _fields(value))
    elif isinstance(value, dict):
        digest.update(f"dict {len(value)}".encode())
        for name, item in value.items():
            _update(digest, name)
            _update(digest, item)
    elif isinstance(value, (list, tuple)):
        digest.update(f"list {len(value)}".encode())
        for item in value:
            _update(digest, item)
    elif isinstance(value, partial):
        _update(digest, [value.func, list(value.args), value.keywords])
    elif callable(value):
        _update(digest, value.__qualname__)
    else:
        digest.update(json.dumps(value.item() if isinstance(value, np.generic) else value).encode())
