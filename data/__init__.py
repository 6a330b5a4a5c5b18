"""Small labelled texts that ship with textcnn, for examples, tests and the demo."""

from __future__ import annotations

from importlib.resources import files

__all__ = ["load_comments", "load_messages"]


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


def _read(name: str) -> tuple[list[str], list[str]]:
    lines = files(__name__).joinpath(name).read_text(encoding="utf-8").splitlines()
    labels, texts = zip(*(line.split("\t") for line in lines), strict=True)
    return list(texts), list(labels)
