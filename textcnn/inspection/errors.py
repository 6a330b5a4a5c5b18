"""Where a model goes wrong: confusion matrix and worst errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from textcnn.inspection._models import checked_count, classifier_of, labeller_of, tagger_of
from textcnn.inspection.tagging import ReceptiveField, receptive_field
from textcnn.predictor import Explanation
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
    """

    labels: list[Any]
    counts: np.ndarray

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


def confusion_matrix(model: Any, X: Any, y: Any) -> ConfusionMatrix:
    """Count how often each label was predicted for each; for a tagger tags, by tokens.

    Parameters
    ----------
    model : fitted TextCNNClassifier or TextCNNTagger, Predictor or TagPredictor
    X : texts or sentences, as for `predict`
    y : labels of shape (n_texts,), or for a tagger a list of tags for each sentence

    Returns
    -------
    ConfusionMatrix

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
    known = predictor.classes_.tolist()
    if isinstance(predictor, TagPredictor):
        sentences, tags = _tagged(predictor, X, y)
        true = [tag for sentence in tags for tag in sentence]
        predicted = [tag for sentence in predictor.predict(sentences) for tag in sentence]
    else:
        texts, true = _labelled(X, y)
        predicted = predictor.predict(texts).tolist() if texts else []
    labels = known + sorted(set(true) - set(known))
    place = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), np.intp)
    np.add.at(counts, ([place[label] for label in true], [place[label] for label in predicted]), 1)
    return ConfusionMatrix(labels, counts)


def worst_errors(model: Any, X: Any, y: Any, n: int = 10) -> list[TextError]:
    """The texts with a wrong prediction whose own label has the lowest probability.

    Parameters
    ----------
    model : fitted TextCNNClassifier, or Predictor
    X : texts, as for `predict`
    y : labels of shape (n_texts,)
    n : int, default=10
        Errors, at most.

    Returns
    -------
    list of TextError
        By falling loss; at ties in the order of the texts.

    Examples
    --------
    >>> from textcnn import TextCNNClassifier
    >>> from textcnn.inspection import worst_errors
    >>> clf = TextCNNClassifier(random_state=0).fit(["good", "bad"], ["yes", "no"])
    >>> [(found.text, found.label, found.predicted) for found in worst_errors(clf, ["bad"], ["yes"])]
    [('bad', 'yes', 'no')]
    """
    predictor, n = classifier_of(model), checked_count(n)
    texts, labels = _labelled(X, y)
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


def _labelled(X: Any, y: Any) -> tuple[list[Any], list[Any]]:
    """Texts and as many labels, as lists of plain Python values."""
    texts = as_texts(X)
    labels = y.tolist() if hasattr(y, "tolist") else list(y)
    if len(texts) != len(labels):
        raise ValueError(f"X has {len(texts)} texts, but y has {len(labels)} labels; give one for each text")
    return texts, labels


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
