"""What the estimators share: checks of arguments, first embeddings, training with a progress bar."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from tqdm import tqdm

from textcnn.nn.training import History, Trainer
from textcnn.text.vectors import lookup


def check_sample_weight(sample_weight: Any, n: int, what: str = "texts") -> np.ndarray:
    """Weights as float64 of shape (n,); ones if there are none."""
    if sample_weight is None:
        return np.ones(n)
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != (n,):
        raise ValueError(f"sample_weight has shape {weights.shape}, but X has {n} {what}")
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        raise ValueError(
            f"sample_weight[{wrong[0]}] is {weights[wrong[0]]}, but weights must be finite and not negative"
        )
    if not weights.any():
        raise ValueError(f"sample_weight is zero for all {what}, so there is nothing to learn from")
    return weights


def random_embeddings(rng: np.random.RandomState, n: int, n_dims: int, limit: float) -> np.ndarray:
    """Uniform in +-limit, float32 of shape (n, n_dims)."""
    return rng.uniform(-1, 1, (n, n_dims)).astype(np.float32) * np.float32(limit)


def pretrained_embeddings(
    embeddings: Any, tokens: list[str], rng: np.random.RandomState, limit: float
) -> np.ndarray:
    """Vectors of tokens, float32 of shape (n_tokens, n_dims).

    Tokens without a vector get one that is uniform with the variance of the others (Kim 2014, 3.2), or in
    +-limit if no token has one, with a warning.
    """
    rows, found = lookup(embeddings, tokens)
    if not found.any():
        warnings.warn(
            f"none of the {len(tokens)} tokens has a vector in embeddings; are they of the same language "
            "and cut into words in the same way?",
            UserWarning,
            stacklevel=5,
        )
    else:
        limit = np.sqrt(3 * rows[found].var())
    rows[~found] = rng.uniform(-limit, limit, (int((~found).sum()), rows.shape[1]))
    return rows


def train_with_progress(
    trainer: Trainer,
    examples: Any,
    validate: Callable[[], float] | None,
    verbose: bool | int,
    score_name: str,
    part: str = "",
) -> History:
    """Run a trainer, with a progress bar if `verbose`.

    Raises
    ------
    ValueError
        If training ends with weights that are not finite numbers.
    """
    options = trainer.options
    total = options.max_iter * examples.n_tokens
    with tqdm(total=total, unit=" tokens", unit_scale=True, disable=not verbose) as bar:

        def show(history: History) -> None:
            bar.set_description(f"{part}epoch {history.n_epochs}/{options.max_iter}", refresh=False)
            figures = {"loss": f"{history.loss_curve[-1]:.4f}"}
            if history.validation_scores:
                figures[score_name] = f"{history.validation_scores[-1]:.4f}"
            bar.set_postfix(figures)

        history = trainer.fit(examples, validate, bar.update, show)
    if not trainer.network.is_finite():
        raise ValueError(
            "training gave weights that are not finite numbers; lower learning_rate_init (now "
            f"{options.learning_rate_init:g}) or set max_grad_norm"
        )
    return history
