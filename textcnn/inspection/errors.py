"""Where a model goes wrong: confusion matrix, predicted numbers beside true ones, and worst errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from textcnn.inspection._models import (
    checked_count,
    labeller_of,
    regressor_of,
    sentence_model_of,
    tagger_of,
)
from textcnn.inspection.tagging import ReceptiveField, receptive_field
from textcnn.predictor import (
    Explanation,
    MultilabelPredictor,
    Predictor,
    RegressionPredictor,
    SentencePredictor,
)
from textcnn.tag_predictor import TagPredictor
from textcnn.text.inputs import as_sentences, as_texts
from textcnn.text.tags import convert


@dataclass(frozen=True)
class ConfusionMatrix:
    """How often each label was predicted for each.

    Attributes
    ----------
    labels : list
        Those of the model in its order, then others of `y`, sorted.
    counts : intp ndarray of shape (n_labels, n_labels)
        Texts (or tokens) by true label, the row, and predicted label, the column.
    name : object, default=None
        With several labels a text, the label that this is about: texts without and with it, 0 and 1.
    """

    labels: list[Any]
    counts: np.ndarray
    name: Any = None

    @property
    def accuracy(self) -> float:
        """Share of the diagonal; NaN without texts."""
        total = self.counts.sum()
        return float(np.trace(self.counts) / total) if total else float("nan")


@dataclass(frozen=True)
class TextError:
    """A text with a wrong prediction.

    Attributes
    ----------
    index : int
        Its place among the texts.
    text : str or list of str
    label, predicted : object
        Its own label and the predicted one.
    loss : float
        ``-log`` of the probability of its own label; infinity if the model does not know that label.
    explanation : Explanation
        Of the predicted label.
    """

    index: int
    text: Any
    label: Any
    predicted: Any
    loss: float
    explanation: Explanation


@dataclass(frozen=True)
class LabelError:
    """A label that a text has and was not given, or has not and was given.

    Attributes
    ----------
    index : int
        Place of the text among the texts.
    text : str or list of str
    label : object
    is_true : bool
        Whether the text has the label; the opposite was predicted.
    probability : float
        Of the label, as predicted.
    loss : float
        ``-log`` of the probability of what is true.
    output : int
        Place of the label in the arrays of the explanation.
    explanation : Explanation
    """

    index: int
    text: Any
    label: Any
    is_true: bool
    probability: float
    loss: float
    output: int
    explanation: Explanation


@dataclass(frozen=True)
class NumberError:
    """A text and how far its predicted number is from its own.

    Attributes
    ----------
    index : int
        Its place among the texts.
    text : str or list of str
    target, predicted : float
        Its own number and the predicted one.
    output : int
        Which of several targets; 0 with one.
    explanation : Explanation
    """

    index: int
    text: Any
    target: float
    predicted: float
    output: int
    explanation: Explanation

    @property
    def error(self) -> float:
        """Predicted less own number."""
        return self.predicted - self.target


@dataclass(frozen=True)
class Predictions:
    """True numbers and the predicted ones.

    Attributes
    ----------
    true, predicted : float64 ndarrays of shape (n_texts, n_targets)
    """

    true: np.ndarray
    predicted: np.ndarray

    @property
    def r2(self) -> float:
        """Coefficient of determination, the mean over the targets; NaN for fewer than two texts.

        ``1 - sum (true - predicted)^2 / sum (true - mean of true)^2``; where all true numbers are one, 1 if
        they are met and 0 if not, as in `sklearn.metrics.r2_score`.
        """
        if len(self.true) < 2:
            return float("nan")
        wrong = ((self.true - self.predicted) ** 2).sum(axis=0)
        all_in_all = ((self.true - self.true.mean(axis=0)) ** 2).sum(axis=0)
        varies = all_in_all > 0
        ratios = np.divide(wrong, all_in_all, out=(wrong > 0).astype(np.float64), where=varies)
        return float((1 - ratios).mean())

    @property
    def mean_absolute_error(self) -> float:
        """Mean over texts and targets; NaN without texts."""
        return float(np.abs(self.predicted - self.true).mean()) if self.true.size else float("nan")

    @property
    def root_mean_squared_error(self) -> float:
        """Root of the mean over texts and targets; NaN without texts."""
        return float(np.sqrt(((self.predicted - self.true) ** 2).mean())) if self.true.size else float("nan")


@dataclass(frozen=True)
class TagError:
    """A token with a wrong tag.

    Attributes
    ----------
    index : int
        Place of its sentence.
    position : int
        Place of the token in the sentence.
    tokens : list of str
        The sentence.
    tag, predicted : str
        The token's own tag and the predicted one.
    loss : float
        ``-log`` of the probability of its own tag; infinity if the model does not know that tag.
    field : ReceptiveField
        What speaks for the tag that the model scores.
    """

    index: int
    position: int
    tokens: list[str]
    tag: str
    predicted: str
    loss: float
    field: ReceptiveField


def confusion_matrix(model: Any, X: Any, y: Any) -> ConfusionMatrix | list[ConfusionMatrix]:
    """Count how often each label was predicted for each; for a tagger tags, by tokens.

    Parameters
    ----------
    model : fitted TextCNNClassifier or TextCNNTagger, or what `textcnn.load` gives
    X : texts or sentences, as for `predict`
    y : labels of shape (n_texts,), or for a tagger a list of tags for each sentence
        Of a classifier of several labels a matrix of 0 and 1, of shape (n_texts, n_labels).

    Returns
    -------
    ConfusionMatrix, or with several labels a text a list of them
        One for each label then, of the texts without it and those with it.

    Examples
    --------
    >>> from textcnn import TextCNNClassifier
    >>> from textcnn.inspection import confusion_matrix
    >>> clf = TextCNNClassifier(random_state=0).fit(["good", "bad"], ["yes", "no"])
    >>> found = confusion_matrix(clf, ["good", "bad", "bad"], ["yes", "no", "maybe"])
    >>> found.labels, found.counts.tolist()
    (['no', 'yes', 'maybe'], [[1, 0, 0], [0, 1, 0], [1, 0, 0]])
    """
    predictor = labeller_of(model)
    if isinstance(predictor, MultilabelPredictor):
        texts, truth = _with_targets(predictor, X, y)
        predicted = predictor.predict(texts) if texts else np.empty_like(truth, np.int64)
        return [
            ConfusionMatrix([0, 1], _two_by_two(truth[:, k] > 0, predicted[:, k] > 0), label)
            for k, label in enumerate(predictor.classes_.tolist())
        ]
    known = predictor.classes_.tolist()
    if isinstance(predictor, TagPredictor):
        sentences, tags = _tagged(predictor, X, y)
        true = [tag for sentence in tags for tag in sentence]
        found = [tag for sentence in predictor.predict(sentences) for tag in sentence]
    else:
        texts, true = _labelled(predictor, X, y)
        found = predictor.predict(texts).tolist() if texts else []
    labels = known + sorted(set(true) - set(known))
    place = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), np.intp)
    np.add.at(counts, ([place[label] for label in true], [place[label] for label in found]), 1)
    return ConfusionMatrix(labels, counts)


def _two_by_two(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return np.bincount(2 * true + predicted, minlength=4).reshape(2, 2).astype(np.intp)


def predictions(model: Any, X: Any, y: Any) -> Predictions:
    """The numbers that a regressor predicts, beside the true ones.

    Parameters
    ----------
    model : fitted TextCNNRegressor, or RegressionPredictor
    X : texts, as for `predict`
    y : numbers of shape (n_texts,) or (n_texts, n_targets)

    Returns
    -------
    Predictions

    Examples
    --------
    >>> from textcnn import TextCNNRegressor
    >>> from textcnn.inspection import predictions
    >>> stars = TextCNNRegressor(random_state=0).fit(["good film", "bad film"], [4.5, 1.5])
    >>> found = predictions(stars, ["good play", "bad play"], [4.0, 2.0])
    >>> found.predicted.shape, bool(found.r2 > 0)
    ((2, 1), True)
    """
    predictor = regressor_of(model)
    texts, true = _with_targets(predictor, X, y)
    predicted = predictor.predict(texts) if texts else np.empty(true.shape)
    return Predictions(true, predicted.reshape(true.shape))


def worst_errors(
    model: Any, X: Any, y: Any, n: int = 10
) -> list[TextError] | list[LabelError] | list[NumberError]:
    """The texts with a wrong prediction whose own label has the lowest probability.

    With several labels a text: the wrong decisions on a text and a label, of the lowest probability of what
    is true. For a regressor: the texts whose predicted number is farthest off, in units of the standard
    deviation that each target had in `fit`.

    Parameters
    ----------
    model : fitted TextCNNClassifier or TextCNNRegressor, or what `textcnn.load` gives
    X : texts, as for `predict`
    y : labels of shape (n_texts,), or as `fit` had it
    n : int, default=10
        Errors, at most.

    Returns
    -------
    list of TextError, with several labels of LabelError, of a regressor of NumberError
        By falling loss or size; at ties in the order of the texts.

    Examples
    --------
    >>> from textcnn import TextCNNClassifier, TextCNNRegressor
    >>> from textcnn.inspection import worst_errors
    >>> clf = TextCNNClassifier(random_state=0).fit(["good", "bad"], ["yes", "no"])
    >>> [(found.text, found.label, found.predicted) for found in worst_errors(clf, ["bad"], ["yes"])]
    [('bad', 'yes', 'no')]
    >>> stars = TextCNNRegressor(random_state=0).fit(["good", "bad"], [5.0, 1.0])
    >>> worst_errors(stars, ["good", "bad"], [4.9, 5.0], n=1)[0].text
    'bad'
    """
    predictor, n = sentence_model_of(model), checked_count(n)
    if isinstance(predictor, MultilabelPredictor):
        return _worst_labels(predictor, X, y, n)
    if isinstance(predictor, RegressionPredictor):
        return _worst_numbers(predictor, X, y, n)
    assert isinstance(predictor, Predictor)
    texts, labels = _labelled(predictor, X, y)
    if not texts:
        return []
    classes = predictor.classes_.tolist()
    place = {label: i for i, label in enumerate(classes)}
    true = np.array([place.get(label, -1) for label in labels])
    logs = predictor.predict_log_proba(texts)
    losses = -logs[np.arange(len(texts)), true].astype(np.float64)
    losses[true < 0] = np.inf
    predicted = logs.argmax(axis=1)
    wrong = np.flatnonzero(predicted != true)
    worst = wrong[np.argsort(-losses[wrong], kind="stable")][:n].tolist()
    return [
        TextError(
            i, texts[i], labels[i], classes[predicted[i]], float(losses[i]), predictor.explain([texts[i]])[0]
        )
        for i in worst
    ]


def _worst_labels(predictor: MultilabelPredictor, X: Any, y: Any, n: int) -> list[LabelError]:
    texts, targets = _with_targets(predictor, X, y)
    if not texts:
        return []
    true = targets > 0
    probabilities = predictor.predict_proba(texts)
    # log(1 - p) is that of the logit with the sign turned
    logits = predictor.decision_function(texts).astype(np.float64)
    losses = np.logaddexp(0, np.where(true, -logits, logits))
    rows, columns = np.nonzero((probabilities > predictor.threshold) != true)
    worst = np.argsort(-losses[rows, columns], kind="stable")[:n]
    explanations = {i: predictor.explain([texts[i]])[0] for i in sorted(set(rows[worst].tolist()))}
    labels = predictor.classes_.tolist()
    return [
        LabelError(
            i,
            texts[i],
            labels[k],
            bool(true[i, k]),
            float(probabilities[i, k]),
            float(losses[i, k]),
            k,
            explanations[i],
        )
        for i, k in zip(rows[worst].tolist(), columns[worst].tolist(), strict=True)
    ]


def _worst_numbers(predictor: RegressionPredictor, X: Any, y: Any, n: int) -> list[NumberError]:
    texts, true = _with_targets(predictor, X, y)
    if not texts:
        return []
    predicted = predictor.predict(texts).reshape(true.shape)
    sizes = np.abs((predicted - true) / predictor.target_scale)
    outputs = sizes.argmax(axis=1)  # of a text the target that is farthest off
    worst = np.argsort(-sizes.max(axis=1), kind="stable")[:n].tolist()
    return [
        NumberError(
            i,
            texts[i],
            float(true[i, outputs[i]]),
            float(predicted[i, outputs[i]]),
            int(outputs[i]),
            predictor.explain([texts[i]])[0],
        )
        for i in worst
    ]


def worst_tag_errors(model: Any, X: Any, y: Any, n: int = 10) -> list[TagError]:
    """The tokens with a wrong tag whose own tag has the lowest probability, one of a sentence at most.

    Parameters
    ----------
    model : fitted TextCNNTagger, or TagPredictor
    X : list of lists of str, sentences
    y : list of lists of str
        Their tags.
    n : int, default=10
        Errors, at most.

    Returns
    -------
    list of TagError
        By falling loss; at ties in the order of the sentences.

    Examples
    --------
    >>> from textcnn import TextCNNTagger
    >>> from textcnn.inspection import worst_tag_errors
    >>> X, y = [["Ms.", "Haag", "plays"]] * 4, [["O", "B-PER", "O"]] * 4
    >>> tagger = TextCNNTagger(max_iter=10, random_state=0).fit(X, y)
    >>> [(found.position, found.tag) for found in worst_tag_errors(tagger, X[:1], [["O", "O", "O"]])]
    [(1, 'O')]
    """
    predictor, n = tagger_of(model), checked_count(n)
    sentences, tags = _tagged(predictor, X, y)
    column = {tag: i for i, tag in enumerate(predictor.marginal_tags)}
    scheme = _marginal_scheme(predictor)
    found: list[tuple[float, int, int, str]] = []
    predictions = predictor.predict(sentences)
    for i, marginals in enumerate(predictor.predict_marginals(sentences)):
        wrong = [j for j, (a, b) in enumerate(zip(tags[i], predictions[i], strict=True)) if a != b]
        if not wrong:
            continue
        names = _in_scheme(tags[i], predictor, scheme)
        losses = [_loss(marginals[j], column.get(names[j])) for j in wrong]
        worst = max(range(len(wrong)), key=losses.__getitem__)
        found.append((losses[worst], i, wrong[worst], predictions[i][wrong[worst]]))
    found.sort(key=lambda item: (-item[0], item[1]))
    return [
        TagError(
            i, j, list(sentences[i]), tags[i][j], predicted, loss, receptive_field(predictor, sentences[i], j)
        )
        for loss, i, j, predicted in found[:n]
    ]


def _loss(probabilities: np.ndarray, column: int | None) -> float:
    if column is None:
        return float("inf")
    return -float(np.log(max(float(probabilities[column]), np.finfo(np.float64).tiny)))


def _marginal_scheme(predictor: TagPredictor) -> str | None:
    """The scheme of `TagPredictor.marginal_tags`."""
    inner, scheme = predictor.tags.inner_scheme, predictor.scheme
    if inner is None or scheme is None or inner == scheme:
        return scheme
    if scheme.endswith("IOB1") or inner.endswith("BIO"):
        return "typeless BIO" if inner.startswith("typeless") else "BIO"
    return scheme


def _in_scheme(tags: list[str], predictor: TagPredictor, scheme: str | None) -> list[str]:
    """Tags of a sentence as the marginals call them; those that the model does not know stay."""
    if scheme == predictor.scheme or not set(tags) <= set(predictor.classes_.tolist()):
        return tags
    return convert(tags, predictor.scheme, scheme)


def _texts(predictor: SentencePredictor, X: Any) -> list[Any]:
    """Texts in a list; embedded ones as an array each."""
    if predictor.vocabulary is not None:
        return as_texts(X)
    embedded = predictor.embedded(X)
    texts = np.split(embedded.rows, embedded.offsets[1:-1])
    return texts if embedded.n_features is None else [rows[:, 0] for rows in texts]


def _labelled(predictor: SentencePredictor, X: Any, y: Any) -> tuple[list[Any], list[Any]]:
    """Texts and as many labels, as lists of plain Python values."""
    texts = _texts(predictor, X)
    labels = y.tolist() if hasattr(y, "tolist") else list(y)
    if len(texts) != len(labels):
        raise ValueError(f"X has {len(texts)} texts, but y has {len(labels)} labels; give one for each")
    return texts, labels


def _with_targets(
    predictor: MultilabelPredictor | RegressionPredictor, X: Any, y: Any
) -> tuple[list[Any], np.ndarray]:
    """Texts and their targets, float64 of shape (n_texts, n_outputs)."""
    texts = _texts(predictor, X)
    n_outputs = len(predictor.network.bias)
    try:
        targets = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"y is no array of numbers ({error}), but this model needs one") from None
    expected = f"({len(texts)}, {n_outputs})" + (f" or ({len(texts)},)" if n_outputs == 1 else "")
    if targets.shape not in ((len(texts), n_outputs), *([(len(texts),)] if n_outputs == 1 else [])):
        raise ValueError(f"y has shape {targets.shape}, but {expected} was expected: a row for each text")
    if isinstance(predictor, MultilabelPredictor) and not np.isin(targets, (0, 1)).all():
        raise ValueError(
            "y has other numbers than 0 and 1, but it must say of each label whether a text has it"
        )
    if not np.isfinite(targets).all():
        raise ValueError("y has NaN or infinity, but every number must be finite; leave such texts out")
    return texts, targets.reshape(len(texts), n_outputs)


def _tagged(predictor: TagPredictor, X: Any, y: Any) -> tuple[list[list[str]], list[list[str]]]:
    """Sentences and as many tags as tokens in each."""
    sentences = [list(sentence) for sentence in predictor._sentences(X)]
    tags = [list(sentence) for sentence in as_sentences(y, "y")]
    if len(sentences) != len(tags):
        raise ValueError(f"X has {len(sentences)} sentences, but y has {len(tags)}; give tags for each")
    for i, (sentence, own) in enumerate(zip(sentences, tags, strict=True)):
        if len(sentence) != len(own):
            raise ValueError(f"X[{i}] has {len(sentence)} tokens, but y[{i}] has {len(own)} tags")
    return sentences, tags
