"""Linear models of scikit-learn over words and pairs of words."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import LinearSVC

from peers.base import Peer, Settings


class SklearnPeer(Peer):
    """A pipeline; characters instead of words for Chinese."""

    seeded = False

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        analyzer = "char" if settings.chinese else "word"
        self.pipeline = self.build({"analyzer": analyzer, "ngram_range": (1, 2)})

    @abstractmethod
    def build(self, options: dict[str, Any]) -> Pipeline:
        """The pipeline, with the options of its vectorizer."""

    def fit(self, texts: list[str], labels: list[str]) -> None:
        self.pipeline.fit(texts, labels)

    def predict(self, texts: list[str]) -> list[str]:
        return self.pipeline.predict(texts).tolist()


class TfidfLogistic(SklearnPeer):
    """TF-IDF and logistic regression; C = 10 chosen once, by cross-validation on MR."""

    def build(self, options: dict[str, Any]) -> Pipeline:
        return make_pipeline(
            TfidfVectorizer(sublinear_tf=True, **options), LogisticRegression(C=10.0, max_iter=1000)
        )


class NBSVM(SklearnPeer):
    """NB-weighted linear SVM (Wang & Manning 2012) over words and punctuation marks."""

    def build(self, options: dict[str, Any]) -> Pipeline:
        if options["analyzer"] == "word":
            options = options | {"token_pattern": r"\w+|[^\w\s]"}
        return make_pipeline(CountVectorizer(binary=True, dtype=np.float32, **options), NBSVMClassifier())


class NBSVMClassifier(ClassifierMixin, BaseEstimator):
    """Linear SVMs on binary features times their log-count ratios, one class against the rest.

    The ratio is ``r = log((p / |p|_1) / (q / |q|_1))`` with ``p`` and ``q`` the smoothed counts of the
    class and the rest; the weights are interpolated, ``(1 - beta) * mean(|w|) + beta * w`` (equation 6),
    with the constants of the paper.

    Parameters
    ----------
    alpha : float
        Smoothing.
    C : float
    beta : float
    """

    def __init__(self, alpha: float = 1.0, C: float = 1.0, beta: float = 0.25) -> None:
        self.alpha, self.C, self.beta = alpha, C, beta

    def fit(self, X: Any, y: Any) -> NBSVMClassifier:
        y = np.asarray(y)
        self.classes_ = np.unique(y)
        positive = self.classes_[1:] if len(self.classes_) == 2 else self.classes_
        models = [self._fit_one(X, y == label) for label in positive]
        self.coef_ = np.column_stack([weights for weights, _ in models])
        self.intercept_ = np.array([intercept for _, intercept in models])
        return self

    def _fit_one(self, X: Any, is_class: np.ndarray) -> tuple[np.ndarray, float]:
        p = self.alpha + np.asarray(X[is_class].sum(axis=0)).ravel()
        q = self.alpha + np.asarray(X[~is_class].sum(axis=0)).ravel()
        ratio = np.log(p / p.sum()) - np.log(q / q.sum())
        svm = LinearSVC(C=self.C).fit(X.multiply(ratio).tocsr(), is_class)
        weights = svm.coef_.ravel()
        weights = (1 - self.beta) * np.abs(weights).mean() + self.beta * weights
        return ratio * weights, self.beta * float(svm.intercept_[0])

    def predict(self, X: Any) -> np.ndarray:
        scores = X @ self.coef_ + self.intercept_
        if len(self.classes_) == 2:
            return self.classes_[(scores[:, 0] > 0).astype(np.intp)]
        return self.classes_[scores.argmax(axis=1)]
