"""Tag schemes: spans written as tags, read from tags, and taken from one scheme to another.

A scheme writes a span by letters before its label. In all of them a token belongs to a span or is "O",
and its letter tells whether the span goes on from the token before, and whether it goes on to the next:

    ========  ======  =====  ======  ====  ======================================================
    scheme    single  first  middle  last
    ========  ======  =====  ======  ====  ======================================================
    BIO       B       B      I       I     also called IOB2
    IOB1      I       I      I       I     B for the first token, if right after a span of its label
    BIOES     S       B      I       E
    BMES      S       B      M       E
    BIOS      S       B      I       I
    BILOU     U       B      I       L
    ========  ======  =====  ======  ====  ======================================================

A typeless scheme ("typeless BIO") has the letters alone. Sequences that break their scheme are read as
the script conlleval reads them: a span begins at a letter that only begins spans, after "O", after a
letter that only ends spans, and wherever the label changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "OUTSIDE",
    "SCHEMES",
    "InnerTags",
    "Span",
    "allowed_transitions",
    "convert",
    "detect_scheme",
    "spans",
]

OUTSIDE = "O"

# The letter of a token by 2 * (the span comes from the token before) + (it goes on to the next one).
_LETTERS = {"BIO": "BBII", "IOB1": "IIII", "BIOES": "SBEI", "BMES": "SBEM", "BIOS": "SBII", "BILOU": "UBLI"}
_TYPELESS = "typeless "

SCHEMES = (*_LETTERS, *(_TYPELESS + name for name in _LETTERS))


class Span(NamedTuple):
    """A labelled stretch of tokens of one sentence, from `start` to ``stop - 1``."""

    label: str
    start: int
    stop: int


def detect_scheme(sentences: Iterable[Sequence[str]]) -> str | None:
    """Tell the scheme of tags, or that they are plain tags such as parts of speech.

    Every tag but "O" must be a letter of the scheme, a hyphen and a label; or, in a typeless scheme,
    the letter alone, "B" among them. Otherwise the tags are plain.

    IOB1 and BIO have the same letters. The one is taken whose rule fewer spans break (in BIO each
    begins with B; in IOB1 with I, unless it touches one of its label): BIO if as many do. Tags with
    neither I nor M could be BIOES or BMES and count as BIOES.

    Parameters
    ----------
    sentences : iterable of sequences of str

    Returns
    -------
    str or None
        A name in `SCHEMES`, or None for plain tags.

    Examples
    --------
    >>> from textcnn.text.tags import detect_scheme
    >>> detect_scheme([["B-PER", "I-PER", "O"], ["O", "B-LOC"]])
    'BIO'
    >>> detect_scheme([["I-PER", "I-PER", "O"], ["O", "I-LOC", "B-LOC"]])
    'IOB1'
    >>> detect_scheme([["DET", "NOUN", "VERB"]]) is None
    True
    """
    sentences = list(sentences)
    parts = {tag: _parts(tag) for tag in set(chain.from_iterable(sentences)) if tag != OUTSIDE}
    typeless = "B" in parts
    if not all(letter and (label == "") == typeless for letter, label in parts.values()):
        return None
    base = _base_of({letter for letter, _ in parts.values()})
    if base == "BIO" and _breaks_bio_more_than_iob1(sentences, parts):
        base = "IOB1"
    return base and (_TYPELESS + base if typeless else base)


def _parts(tag: str) -> tuple[str, str]:
    """Letter and label of a tag; the letter is "" if no scheme has such a tag."""
    letter, hyphen, label = tag.partition("-")
    sound = len(letter) == 1 and letter in "BIESMUL" and bool(hyphen) == bool(label)
    return (letter, label) if sound else ("", "")


def _base_of(letters: set[str]) -> str | None:
    """The scheme with these letters; "BIO" also stands for IOB1."""
    if not letters:
        return None
    if letters <= {"B", "I"}:
        return "BIO"
    if letters <= set("BIS") and "S" in letters and len(letters) > 1:
        return "BIOS"
    for base in ("BIOES", "BMES", "BILOU"):
        known = _LETTERS[base]
        # Spans that end must begin: "I" and "E" alone are another scheme.
        if letters <= set(known) and (set(known[1:3]) <= letters or letters == {known[0]}):
            return base
    return None


def _breaks_bio_more_than_iob1(sentences: Sequence[Sequence[str]], parts: dict[str, tuple[str, str]]) -> bool:
    """Whether more spans begin with I than with a B that IOB1 would not write."""
    n_begun_by_i = n_needless_b = 0
    for tags in sentences:
        previous = None  # the label before, None for "O"
        for tag in tags:
            letter, label = parts.get(tag, ("", None))
            if label is not None and label != previous:
                n_begun_by_i += letter == "I"
                n_needless_b += letter == "B"
            previous = label
    return n_begun_by_i > n_needless_b


def spans(tags: Sequence[str], scheme: str) -> list[Span]:
    """Read the spans of one sentence.

    Parameters
    ----------
    tags : sequence of str
    scheme : str
        A name in `SCHEMES`. Sequences that break it are read as conlleval reads them.

    Returns
    -------
    list of Span
        In their order. The label is "" in a typeless scheme.

    Raises
    ------
    ValueError
        If the scheme is unknown or does not have one of the tags.

    Examples
    --------
    >>> from textcnn.text.tags import spans
    >>> spans(["B-PER", "I-PER", "O", "I-LOC"], "BIO")
    [Span(label='PER', start=0, stop=2), Span(label='LOC', start=3, stop=4)]
    """
    table, ids, offsets = _table_of(tags, scheme)
    _, labels, starts, stops = table.find_spans(ids, offsets)
    rows = zip(labels.tolist(), starts.tolist(), stops.tolist(), strict=True)
    return [Span(table.labels[label], start, stop) for label, start, stop in rows]


def convert(tags: Sequence[str], source: str | None, target: str | None) -> list[str]:
    """Write the spans of one sentence in another scheme.

    Parameters
    ----------
    tags : sequence of str
    source, target : str or None
        Names in `SCHEMES`, both with types or both typeless; or both None, and the tags stay.

    Returns
    -------
    list of str
        Always valid in the target scheme. A valid sequence comes back the same from any other scheme.

    Raises
    ------
    ValueError
        If a scheme is unknown, does not have one of the tags, or only one of the two has types.

    Examples
    --------
    >>> from textcnn.text.tags import convert
    >>> convert(["I-PER", "I-PER", "O", "I-LOC", "B-LOC"], "IOB1", "BIOES")
    ['B-PER', 'E-PER', 'O', 'S-LOC', 'S-LOC']
    """
    if source is None and target is None:
        return list(tags)
    if source is None or target is None:
        raise ValueError(
            f"tags cannot be converted from {source!r} to {target!r}: plain tags (None) have no spans; "
            "give two schemes with spans"
        )
    if _is_typeless(source) != _is_typeless(target):
        raise ValueError(
            f"tags cannot be converted from {source!r} to {target!r}: only one of the two has labels; "
            "give two typeless schemes or two with labels"
        )
    table, ids, offsets = _table_of(tags, source)
    names = _all_tags(table.labels, target, outside=True)
    out = _Writer(names, target, table.labels).ids(*table.links(ids, offsets))
    return [names[i] for i in out.tolist()]


def allowed_transitions(
    tags: Sequence[str], scheme: str | None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Tell which tags may begin a sentence, follow each other and end a sentence.

    Parameters
    ----------
    tags : sequence of str, c tags
    scheme : str or None
        A name in `SCHEMES`, or None for plain tags, of which every sequence is allowed.

    Returns
    -------
    start : uint8 array of shape (c,)
        1 where a sentence may begin with the tag.
    between : uint8 array of shape (c, c)
        ``between[i, j]`` is 1 where tag j may follow tag i.
    stop : uint8 array of shape (c,)
        1 where a sentence may end with the tag.

    Raises
    ------
    ValueError
        If the scheme is unknown or does not have one of the tags.

    Examples
    --------
    >>> from textcnn.text.tags import allowed_transitions
    >>> start, between, stop = allowed_transitions(["O", "B-PER", "I-PER"], "BIO")
    >>> start.tolist(), between.tolist(), stop.tolist()
    ([1, 1, 0], [[1, 1, 0], [1, 1, 1], [1, 1, 1]], [1, 1, 1])
    """
    c = len(tags)
    if scheme is None:
        return np.ones(c, np.uint8), np.ones((c, c), np.uint8), np.ones(c, np.uint8)
    table = _Table(tags, scheme)
    label = table.label_of[:-1]
    same = (label[:, None] == label) & (label >= 0)
    between = table.may_end[:, None] & table.may_begin
    between |= table.may_go_on[:, None] & table.may_come & same
    start = table.may_begin.copy()
    if _base(scheme) == "IOB1":  # B only parts two spans of one label
        is_b = np.array([letter == "B" for letter in table.letters], bool)
        between &= ~is_b | same
        start &= ~is_b
    return start.astype(np.uint8), between.astype(np.uint8), table.may_end.astype(np.uint8)


class InnerTags:
    """The tags of a user, and those of the scheme in which a network learns them.

    Tags with spans become tags of the inner scheme at the border and come back in the user's scheme;
    plain tags are the same on both sides. Each label has all tags of either scheme, whether they have
    been seen or not; "O" is there if it is among the tags given.

    Parameters
    ----------
    tags : iterable of str
        The user's tags.
    scheme : str or None
        Their scheme: a name in `SCHEMES`, or None for plain tags.
    inner_scheme : {"BIO", "BIOES"}, default="BIO"
        Without meaning for plain tags.

    Attributes
    ----------
    scheme : str or None
    inner_scheme : str or None
        None for plain tags, typeless if `scheme` is.
    tags : list of str
        Those of the user and their completion, sorted; `decode` gives places in it.
    inner_tags : list of str
        Sorted; `encode` gives places in it.
    labels : list of str
        The labels of spans, sorted; [""] in a typeless scheme, [] for plain tags.

    Raises
    ------
    ValueError
        If a scheme is unknown or does not have one of the tags.

    Examples
    --------
    >>> from textcnn.text.tags import InnerTags
    >>> inner = InnerTags({"O", "I-LOC"}, "IOB1", "BIOES")
    >>> inner.tags, inner.inner_tags
    (['B-LOC', 'I-LOC', 'O'], ['B-LOC', 'E-LOC', 'I-LOC', 'O', 'S-LOC'])
    >>> ids, offsets = inner.encode([["I-LOC", "I-LOC"], ["O", "I-LOC"]])
    >>> [inner.inner_tags[i] for i in ids]
    ['B-LOC', 'E-LOC', 'O', 'S-LOC']
    >>> [inner.tags[i] for i in inner.decode(ids, offsets)]
    ['I-LOC', 'I-LOC', 'O', 'I-LOC']
    """

    def __init__(self, tags: Iterable[str], scheme: str | None, inner_scheme: str = "BIO") -> None:
        names = sorted(set(tags))
        self.scheme = scheme
        self.inner_scheme: str | None = None
        self.tags = self.inner_tags = names
        self.labels: list[str] = []
        if scheme is not None:
            if inner_scheme not in ("BIO", "BIOES"):
                raise ValueError(f"inner_scheme is {inner_scheme!r}, but 'BIO' or 'BIOES' was expected")
            self.inner_scheme = _TYPELESS + inner_scheme if _is_typeless(scheme) else inner_scheme
            self.labels = _Table(names, scheme).labels
            self.tags = _all_tags(self.labels, scheme, OUTSIDE in names)
            self.inner_tags = _all_tags(self.labels, self.inner_scheme, OUTSIDE in names)
            self._outer = _Table(self.tags, scheme)
            self._inner = _Table(self.inner_tags, self.inner_scheme)
            self._to_inner = _Writer(self.inner_tags, self.inner_scheme, self.labels)
            self._to_outer = _Writer(self.tags, scheme, self.labels)
        self._index = {tag: i for i, tag in enumerate(self.tags)}

    def encode(self, sentences: Sequence[Sequence[str]]) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
        """Turn the user's tags into ids of inner tags.

        Parameters
        ----------
        sentences : sequence of sequences of str

        Returns
        -------
        ids : int32 array of shape (n_tokens,)
            Places in `inner_tags`, all sentences end to end.
        offsets : intp array of shape (n_sentences + 1,)

        Raises
        ------
        ValueError
            If a tag is not among `tags`; the message tells its sentence and token.

        Examples
        --------
        >>> from textcnn.text.tags import InnerTags
        >>> InnerTags(["NOUN", "VERB"], None).encode([["NOUN", "VERB"], ["NOUN"]])[0].tolist()
        [0, 1, 0]
        """
        offsets = _offsets_of(sentences)
        flat = chain.from_iterable(sentences)
        try:
            ids = np.fromiter(map(self._index.__getitem__, flat), np.int32, offsets[-1])
        except KeyError as error:
            raise ValueError(self._unknown(sentences, error.args[0])) from None
        if self.scheme is not None:
            ids = self._to_inner.ids(*self._outer.links(ids, offsets))
        return ids, offsets

    def _unknown(self, sentences: Sequence[Sequence[str]], tag: str) -> str:
        i = next(i for i, tags in enumerate(sentences) if tag in tags)
        j = list(sentences[i]).index(tag)
        shown = ", ".join(self.tags[:10]) + (", ..." if len(self.tags) > 10 else "")
        return f"the tag of token {j} of sentence {i} is {tag!r}, but a known one was expected: {shown}"

    def decode(self, ids: NDArray[np.int32], offsets: NDArray[np.intp]) -> NDArray[np.int32]:
        """Turn ids of inner tags into ids of the user's tags.

        Parameters
        ----------
        ids : int32 array of shape (n_tokens,)
            Places in `inner_tags`. Sequences that break the inner scheme are read as conlleval does.
        offsets : intp array of shape (n_sentences + 1,)

        Returns
        -------
        int32 array of shape (n_tokens,)
            Places in `tags`, always valid in the user's scheme.

        Examples
        --------
        >>> import numpy as np
        >>> from textcnn.text.tags import InnerTags
        >>> inner = InnerTags(["B-X", "M-X", "E-X", "S-X", "O"], "BMES")
        >>> inner.inner_tags, inner.tags
        (['B-X', 'I-X', 'O'], ['B-X', 'E-X', 'M-X', 'O', 'S-X'])
        >>> inner.decode(np.array([0, 1, 1, 0, 2], np.int32), np.array([0, 5])).tolist()
        [0, 2, 1, 4, 3]
        """
        if self.scheme is None:
            return ids
        return self._to_outer.ids(*self._inner.links(ids, offsets))

    def find_spans(
        self, ids: NDArray[np.int32], offsets: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Find the spans of a packed batch of inner tags.

        Parameters
        ----------
        ids : int32 array of shape (n_tokens,)
            Places in `inner_tags`.
        offsets : intp array of shape (n_sentences + 1,)

        Returns
        -------
        sentence, label, start, stop : intp arrays of shape (n_spans,)
            In the order of the text. Labels are places in `labels`; a span has the tokens from `start`
            to ``stop - 1`` of its sentence. All are empty for plain tags.

        Examples
        --------
        >>> import numpy as np
        >>> from textcnn.text.tags import InnerTags
        >>> inner = InnerTags(["B-X", "I-X", "O"], "BIO")
        >>> found = inner.find_spans(np.array([2, 0, 1, 0], np.int32), np.array([0, 3, 4]))
        >>> [column.tolist() for column in found]
        [[0, 1], [0, 0], [1, 0], [3, 1]]
        """
        if self.scheme is None:
            none = np.zeros(0, np.intp)
            return none, none, none, none
        return self._inner.find_spans(ids, offsets)


# ---- tables -----------------------------------------------------------------------------------------


class _Table:
    """What the tags of a scheme say, as arrays.

    Attributes
    ----------
    letters : list of str, c items
        "" for "O".
    labels : list of str
        Sorted.
    label_of : intp ndarray of shape (c + 1,)
        Place of the label of each tag; -1 for "O", -2 for what stands before a sentence.
    may_begin, may_end, may_come, may_go_on : bool ndarrays of shape (c,)
        Whether a tag may be the first of a span, the last, and neither of them. "O" begins and ends.
    starts : bool ndarray of shape (c + 1, c)
        Whether a span starts at this tag [1] after that tag [0].
    """

    def __init__(self, tags: Sequence[str], scheme: str) -> None:
        letters, after_same = _letters(scheme), _letters(scheme, after_same=True)
        parts = [_checked_parts(tag, scheme) for tag in tags]
        self.letters = [letter for letter, _ in parts]
        self.labels = sorted({label for letter, label in parts if letter})
        place = {label: i for i, label in enumerate(self.labels)}
        self.label_of = np.array([place[y] if x else -1 for x, y in parts] + [-2], np.intp)

        def among(*places: int) -> NDArray[np.bool_]:
            some = {x[i] for x in (letters, after_same) for i in places}
            return np.array([letter in some for letter in self.letters], bool)

        outside = self.label_of[:-1] < 0
        self.may_begin = outside | among(0, 1)
        self.may_end = outside | among(0, 2)
        self.may_come = among(2, 3)
        self.may_go_on = among(1, 3)
        only_ends = np.append(~self.may_go_on, True)
        changes = self.label_of[:, None] != self.label_of[:-1]
        self.starts = (~self.may_come | only_ends[:, None] | changes) & ~outside

    def links(
        self, ids: NDArray[np.int32], offsets: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Where each token of a packed batch stands in its span.

        Returns
        -------
        label : intp array of shape (n_tokens,)
            -1 outside of spans.
        after_same : intp array of shape (n_tokens,)
            1 if the token before has the same label.
        place : intp array of shape (n_tokens,)
            2 * (the span comes from the token before) + (it goes on to the next one).
        """
        previous = np.empty(len(ids) + 1, np.intp)
        previous[1:] = ids
        previous[offsets[:-1]] = len(self.letters)
        previous = previous[: len(ids)]
        label = self.label_of[ids]
        place = ((label >= 0) & ~self.starts[previous, ids]).astype(np.intp)
        goes_on = np.append(place[1:], 0)[: len(ids)]
        return label, (self.label_of[previous] == label).astype(np.intp), 2 * place + goes_on

    def find_spans(
        self, ids: NDArray[np.int32], offsets: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """As `InnerTags.find_spans`."""
        label, _, place = self.links(ids, offsets)
        inside = label >= 0
        first = np.flatnonzero(inside & (place < 2))
        last = np.flatnonzero(inside & (place % 2 == 0))
        sentence = np.searchsorted(offsets, first, side="right") - 1
        begin = offsets[sentence]
        return sentence, label[first], first - begin, last + 1 - begin


class _Writer:
    """Tags of a scheme by label and place in the span."""

    def __init__(self, tags: Sequence[str], scheme: str, labels: Sequence[str]) -> None:
        index = {tag: i for i, tag in enumerate(tags)}
        self._table = np.full((len(labels) + 1, 2, 4), index.get(OUTSIDE, -1), np.int32)
        for i, label in enumerate(labels):
            for after_same in (0, 1):
                letters = _letters(scheme, bool(after_same))
                self._table[i, after_same] = [index[_joined(letter, label)] for letter in letters]

    def ids(
        self, label: NDArray[np.intp], after_same: NDArray[np.intp], place: NDArray[np.intp]
    ) -> NDArray[np.int32]:
        """Ids of the tags of tokens; label -1, "O", is the last row of the table."""
        return self._table[label, after_same, place]


def _letters(scheme: str, after_same: bool = False) -> str:
    """The letters of a scheme, for spans that touch one of their label before them, or for others."""
    base = _base(scheme)
    return "BBII" if after_same and base == "IOB1" else _LETTERS[base]


def _base(scheme: str) -> str:
    base = scheme.removeprefix(_TYPELESS) if isinstance(scheme, str) else scheme
    if base not in _LETTERS:
        raise ValueError(f"the tag scheme is {scheme!r}, but one of {', '.join(SCHEMES)} was expected")
    return base


def _is_typeless(scheme: str) -> bool:
    _base(scheme)
    return scheme.startswith(_TYPELESS)


def _checked_parts(tag: str, scheme: str) -> tuple[str, str]:
    """Letter and label of a tag of the scheme; ("", "") for "O"."""
    if tag == OUTSIDE:
        return "", ""
    letter, label = _parts(tag)
    known = _letters(scheme) + _letters(scheme, after_same=True)
    if not letter or letter not in known or (label == "") != _is_typeless(scheme):
        raise ValueError(f"{tag!r} is no tag of the scheme {scheme}; give the scheme of the tags")
    return letter, label


def _joined(letter: str, label: str) -> str:
    return f"{letter}-{label}" if label else letter


def _all_tags(labels: Sequence[str], scheme: str, outside: bool) -> list[str]:
    """Every tag of these labels in a scheme, sorted."""
    letters = set(_letters(scheme) + _letters(scheme, after_same=True))
    tags = [_joined(letter, label) for letter in letters for label in labels]
    return sorted([*tags, OUTSIDE] if outside else tags)


def _offsets_of(sentences: Sequence[Sequence[str]]) -> NDArray[np.intp]:
    offsets = np.zeros(len(sentences) + 1, np.intp)
    np.cumsum([len(tags) for tags in sentences], out=offsets[1:])
    return offsets


def _table_of(tags: Sequence[str], scheme: str) -> tuple[_Table, NDArray[np.int32], NDArray[np.intp]]:
    """The table of the tags of one sentence, and the sentence as a packed batch."""
    names = sorted(set(tags))
    index = {tag: i for i, tag in enumerate(names)}
    ids = np.array([index[tag] for tag in tags], np.int32)
    return _Table(names, scheme), ids, np.array([0, len(ids)], np.intp)
