"""What models share whose state is a dictionary of arrays."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from textcnn.nn.training import TrainingOptions


class ArrayModel:
    """A trainable model with its state in `arrays`, and scratch memory that is made anew after unpickling."""

    SCRATCH: ClassVar[tuple[str, ...]] = ()
    """Attributes that are scratch memory."""

    arrays: dict[str, np.ndarray]

    def _prepare(self) -> None:
        """Make the scratch memory, if there is any."""

    def limit_norms(self, options: TrainingOptions) -> None:
        """Nothing to do: no weights have limits."""

    def all_arrays(self) -> dict[str, np.ndarray]:
        """Every array by name, shared."""
        return self.arrays

    def copy_arrays(self) -> dict[str, np.ndarray]:
        """A copy of every array, to come back to with `restore_arrays`."""
        return {name: array.copy() for name, array in self.all_arrays().items()}

    def restore_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the values of `copy_arrays` back."""
        for name, array in self.all_arrays().items():
            array[...] = arrays[name]

    def is_finite(self) -> bool:
        """True if no array holds NaN or infinity."""
        return all(np.isfinite(array).all() for array in self.all_arrays().values())

    def __getstate__(self) -> dict[str, Any]:
        """Without the scratch memory."""
        return {name: value for name, value in self.__dict__.items() if name not in self.SCRATCH}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()
