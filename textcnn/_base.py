"""What the estimators share: checks of arguments, first embeddings, training with a progress bar."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from tqdm import tqdm

from textcnn._threads import effective_n_threads
from textcnn.nn.checkpoints import Checkpoint, Checkpoints
from textcnn.nn.optimizers import DEFAULT_RATES
from textcnn.nn.training import History, TrainingLoop, TrainingOptions
from textcnn.text.vectors import lookup


class TextEstimator(BaseEstimator):
    """An estimator that holds a predictor, `predictor_`, and the course of its training."""

    n_iter_: int
    loss_curve_: list[float]
    validation_scores_: list[float] | None

    @property
    def loss_(self) -> float:
        """Mean training loss of the last epoch; NaN if training was stopped in the first one."""
        return self.loss_curve_[-1] if self.loss_curve_ else float("nan")

    @property
    def best_validation_score_(self) -> float | None:
        """The highest validation score, or None without validation data."""
        return max(self.validation_scores_) if self.validation_scores_ else None

    def _history(self) -> dict[str, Any]:
        """The course of training, as a model file tells it."""
        return {
            "n_iter": self.n_iter_,
            "loss_curve": self.loss_curve_,
            "validation_scores": self.validation_scores_,
        }

    def _set_history(self, history: dict[str, Any]) -> None:
        """Take what `_history` gave; a reader of files has checked it."""
        self.n_iter_ = history["n_iter"]
        self.loss_curve_ = history["loss_curve"]
        self.validation_scores_ = history["validation_scores"]

    def _fitted(self) -> Any:
        """The predictor, with the parameters of today."""
        try:
            predictor = self.predictor_
        except AttributeError:
            raise NotFittedError(
                f"this {type(self).__name__} is not fitted yet; call fit or partial_fit first"
            ) from None
        predictor.n_jobs = self.n_jobs
        return predictor

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "predictor_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags

    def _resolved_mode(self) -> str:
        """`embedding_mode` without "auto"; raises if it does not go with `embeddings`."""
        if self.embedding_mode == "auto":
            return "random" if self.embeddings is None else "fine-tuned"
        if (self.embedding_mode == "random") != (self.embeddings is None):
            others = [mode for mode in self.EMBEDDING_MODES if mode not in ("auto", "random")]
            raise ValueError(
                f"embedding_mode is {self.embedding_mode!r}, but embeddings is "
                f"{'None' if self.embeddings is None else 'given'}; give embeddings with the modes "
                f"{', '.join(others[:-1])} and {others[-1]} only, or leave embedding_mode at 'auto'"
            )
        return self.embedding_mode

    def _training_options(self, early_stopping: bool, **options: Any) -> TrainingOptions:
        """The parameters that all estimators have, as the training loop takes them."""
        common = {
            "max_iter": int(self.max_iter),
            "shuffle": bool(self.shuffle),
            "dropout": float(self.dropout),
            "word_dropout": float(self.word_dropout),
            "max_grad_norm": self.max_grad_norm,
            "alpha": float(self.alpha),
            "learning_rate": self.learning_rate,
            "learning_rate_init": self.learning_rate_init or DEFAULT_RATES[self.solver],
            "tol": float(self.tol),
            "n_iter_no_change": int(self.n_iter_no_change),
            "early_stopping": early_stopping,
            "n_threads": effective_n_threads(self.n_jobs),
        }
        return TrainingOptions(**{**common, **options})


def open_checkpoints(folder: Any, random_state: Any) -> Checkpoints | None:
    """The checkpoints in a folder, None without one; raises if training could not be repeated."""
    if folder is None:
        return None
    if random_state is None:
        raise ValueError(
            "random_state is None, but training goes on from a checkpoint with the same random numbers only; "
            "set random_state to an integer"
        )
    return Checkpoints(folder)


# Limits of the largest weight: their sums stay inside the range of float32.
SMALLEST_WEIGHT, LARGEST_WEIGHT = 1e-20, 1e20


def check_sample_weight(sample_weight: Any, n: int, what: str = "texts") -> np.ndarray:
    """Weights as float64 of shape (n,); ones if there are none."""
    if sample_weight is None:
        return np.ones(n)
    try:
        weights = np.asarray(sample_weight, dtype=np.float64)
    except ValueError as error:
        raise ValueError(
            f"sample_weight is no array of numbers ({error}), but X has {n} {what}; give one weight for each"
        ) from error
    if weights.shape != (n,):
        raise ValueError(
            f"sample_weight has shape {weights.shape}, but X has {n} {what}; give one weight for each"
        )
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        raise ValueError(
            f"sample_weight[{wrong[0]}] is {weights[wrong[0]]}, but weights must be finite and not negative"
        )
    if not weights.any():
        raise ValueError(f"sample_weight is zero for all {what}, so there is nothing to learn from")
    if not SMALLEST_WEIGHT <= weights.max() <= LARGEST_WEIGHT:
        raise ValueError(
            f"the largest sample_weight is {weights.max():g}, but it must lie between {SMALLEST_WEIGHT:g} "
            f"and {LARGEST_WEIGHT:g}; divide the weights by their mean"
        )
    return weights


# Their products with weights, and the squares of these, stay inside the range of float32.
LARGEST_VECTOR_VALUE = 1e10


def random_embeddings(rng: np.random.RandomState, n: int, n_dims: int, limit: float) -> np.ndarray:
    """Uniform in +-limit, float32 of shape (n, n_dims)."""
    return rng.uniform(-1, 1, (n, n_dims)).astype(np.float32) * np.float32(limit)


def pretrained_embeddings(
    embeddings: Any, tokens: list[str], rng: np.random.RandomState, limit: float
) -> np.ndarray:
    """Vectors of tokens, float32 of shape (n_tokens, n_dims).

    Tokens without a vector get one that is uniform with the variance of the others (Kim 2014, 3.2), or in
    +-limit if no token has one, with a warning.

    Raises
    ------
    ValueError
        If the vectors are too long to compute with.
    """
    rows, found = lookup(embeddings, tokens)
    largest = float(np.abs(rows[found]).max(initial=0.0))
    if largest > LARGEST_VECTOR_VALUE:
        raise ValueError(
            f"embeddings has vectors with values up to {largest:g}, but at most {LARGEST_VECTOR_VALUE:g} can "
            "be computed with; divide them, best so that their lengths are near 1"
        )
    if not found.any():
        warnings.warn(
            f"none of the {len(tokens)} tokens has a vector in embeddings; are they of the same language "
            "and cut into words in the same way?",
            UserWarning,
            stacklevel=5,
        )
    else:
        limit = np.sqrt(3 * rows[found].var(dtype=np.float64))
    rows[~found] = rng.uniform(-limit, limit, (int((~found).sum()), rows.shape[1]))
    return rows


def train_with_progress(
    trainer: TrainingLoop,
    examples: Any,
    validate: Callable[[], float] | None,
    verbose: bool | int,
    score_name: str,
    part: str = "",
    checkpoints: Checkpoints | None = None,
    held_out: Any = None,
) -> History:
    """Run a trainer, with a progress bar if `verbose`.

    With `checkpoints` its state is kept there; `held_out` is what `validate` looks at.

    Raises
    ------
    ValueError
        If training ends with weights that are not finite numbers.
    """
    checkpoint = checkpoints.next(trainer, examples, held_out) if checkpoints else None
    if verbose:
        history = _fit_with_bar(trainer, examples, validate, score_name, part, checkpoint)
    else:  # without tqdm, which starts a thread even where it shows nothing
        history = trainer.fit(examples, validate, checkpoint=checkpoint)
    if not trainer.network.is_finite():
        raise ValueError(
            "training gave weights that are not finite, or so large that outputs may not be; "
            f"{trainer.remedy}"
        )
    return history


def _fit_with_bar(
    trainer: TrainingLoop,
    examples: Any,
    validate: Callable[[], float] | None,
    score_name: str,
    part: str,
    checkpoint: Checkpoint | None,
) -> History:
    max_iter = trainer.options.max_iter
    with tqdm(total=max_iter * examples.n_tokens, unit=" tokens", unit_scale=True) as bar:

        def show(history: History) -> None:
            bar.set_description(f"{part}epoch {history.n_epochs}/{max_iter}", refresh=False)
            figures = {"loss": f"{history.loss_curve[-1]:.4f}"}
            if history.validation_scores:
                figures[score_name] = f"{history.validation_scores[-1]:.4f}"
            bar.set_postfix(figures)

        return trainer.fit(examples, validate, bar.update, show, checkpoint)
