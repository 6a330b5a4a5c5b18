"""Small labelled texts and sentences that ship with textcnn, for examples, tests and the demo."""

from __future__ import annotations

from importlib.resources import files

__all__ = ["load_comments", "load_entities", "load_messages", "load_story"]


def load_messages() -> tuple[list[str], list[str]]:
    """English messages to service desks: "complaint", "praise", "question" or "request".

    Returns
    -------
    texts : list of str
    labels : list of str

    Examples
    --------
    >>> from textcnn.data import load_messages
    >>> texts, labels = load_messages()
    >>> len(texts), sorted(set(labels))
    (704, ['complaint', 'praise', 'question', 'request'])
    """
    return _read("messages.tsv")


def load_comments() -> tuple[list[str], list[str]]:
    """Chinese comments of customers: "好评" (satisfied) or "差评" (dissatisfied).

    Returns
    -------
    texts : list of str
    labels : list of str

    Examples
    --------
    >>> from textcnn.data import load_comments
    >>> texts, labels = load_comments()
    >>> len(texts), labels.count("好评")
    (360, 180)
    """
    return _read("comments.zh.tsv")


def load_entities(part: str = "train") -> tuple[list[list[str]], list[list[str]]]:
    """English sentences with the names of persons, organisations and places and with dates.

    Parameters
    ----------
    part : {"train", "test"}, default="train"
        The sentences to learn from, or other sentences of the same kind to measure on.

    Returns
    -------
    sentences : list of list of str
        Tokens, cut as in CoNLL-2003.
    tags : list of list of str
        A BIO tag for each token; the types are PER, ORG, LOC and DATE.

    Raises
    ------
    ValueError
        If there is no such part.

    Examples
    --------
    >>> from textcnn.data import load_entities
    >>> sentences, tags = load_entities("test")
    >>> len(sentences)
    96
    >>> list(zip(sentences[1], tags[1]))[:4]
    [('Wendline', 'B-ORG'), ('and', 'O'), ('the', 'O'), ('Ellerby', 'B-ORG')]
    """
    if part not in ("train", "test"):
        raise ValueError(f'part is {part!r}, which is not a part of the data; give "train" or "test"')
    blocks = _text(f"entities.{part}.conll").rstrip("\n").split("\n\n")
    rows = [[line.split("\t") for line in block.split("\n")] for block in blocks]
    sentences = [[token for token, _ in sentence] for sentence in rows]
    return sentences, [[tag for _, tag in sentence] for sentence in rows]


def load_story() -> list[str]:
    """Paragraphs of a short story without tags, in which entities of the same kinds occur.

    Returns
    -------
    paragraphs : list of str
        The first one is the title.

    Examples
    --------
    >>> from textcnn.data import load_story
    >>> paragraphs = load_story()
    >>> len(paragraphs), paragraphs[0]
    (25, 'The Lamp at Cape Sorrow')
    """
    return _text("story.txt").splitlines()


def _text(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def _read(name: str) -> tuple[list[str], list[str]]:
    lines = _text(name).splitlines()
    labels, texts = zip(*(line.split("\t") for line in lines), strict=True)
    return list(texts), list(labels)
