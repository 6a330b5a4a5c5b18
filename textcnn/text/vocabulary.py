"""Vocabulary: from texts to ids and back."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from textcnn._kernels._text import (
    ANALYZERS,
    TokenTable,
    count_tokens,
    split_tokens,
    token_shapes,
    token_spans,
)

__all__ = ["UNKNOWN_ID", "UNKNOWN_TOKEN", "Analyzer", "EncodedTexts", "Text", "UnknownWords", "Vocabulary"]

Analyzer: TypeAlias = str | Callable[[str], Iterable[str]]
Text: TypeAlias = str | Sequence[str]

UNKNOWN_ID = 0
UNKNOWN_TOKEN = "<unk>"  # how id 0 is shown; no token of a text is equal to it
PICKLE_FORMAT = 1


@dataclass(frozen=True)
class UnknownWords:
    """The words of some texts that a vocabulary does not have, in their order.

    Attributes
    ----------
    bytes : uint8 ndarray of shape (n_bytes,)
        In UTF-8 ("surrogatepass"), end to end.
    offsets : int64 ndarray of shape (n_words + 1,)
    """

    bytes: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def part(self, first: int, last: int) -> "UnknownWords":
        """The words from `first` to ``last - 1``."""
        offsets = self.offsets[first : last + 1]
        return UnknownWords(self.bytes[offsets[0] : offsets[-1]], offsets - offsets[0])


@dataclass(frozen=True)
class EncodedTexts:
    """Texts as a packed batch, with what their ids do not tell.

    Attributes
    ----------
    ids : int32 ndarray of shape (n_tokens,)
    offsets : intp ndarray of shape (n_texts + 1,)
    shapes : int32 ndarray of shape (n_tokens,) or (0,)
        As from `Vocabulary.shapes`; of no length if they were not asked for.
    unknown : UnknownWords
        The words whose id is 0, in their order.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.intp]
    shapes: NDArray[np.int32]
    unknown: UnknownWords


class Vocabulary:
    """Tokens and their ids.

    Id 0 stands for every unknown token. `build` gives the ids 1, 2, 3 ... by falling number of uses,
    ties by code point. A text is a `str`, cut by the analyzer, or a list or tuple of `str`, whose
    tokens are taken as they are: neither cut nor lower-cased.

    Any number of threads may use one vocabulary at once. `extend` replaces the look-up table as a
    whole: a call under way in another thread goes on with the old one.

    Parameters
    ----------
    tokens : iterable of str, default=()
        Tokens with the ids 1, 2, 3 ...
    analyzer : {"word", "char"} or callable, default="word"
        How a text is cut: see `textcnn.text.analyzers`. A callable gets the text as it is and
        returns an iterable of str, which is not lower-cased.
    lowercase : bool, default=True
        Whether "word" and "char" give tokens in lower case.

    Raises
    ------
    TypeError
        If a token is no str.
    ValueError
        If the analyzer is unknown, or a token comes twice.

    Examples
    --------
    >>> from textcnn.text.vocabulary import Vocabulary
    >>> vocabulary, ids, offsets = Vocabulary.build(["A dog, a cat.", "a bird"])
    >>> vocabulary.id_to_token
    ['<unk>', 'a', ',', '.', 'bird', 'cat', 'dog']
    >>> ids.tolist(), offsets.tolist()
    ([1, 6, 2, 1, 5, 3, 1, 4], [0, 6, 8])
    >>> ids, offsets = vocabulary.encode(["a new bird", ["bird"]])
    >>> ids.tolist(), offsets.tolist()
    ([1, 0, 4, 4], [0, 3, 4])
    """

    def __init__(
        self, tokens: Iterable[str] = (), *, analyzer: Analyzer = "word", lowercase: bool = True
    ) -> None:
        self._set(TokenTable(*_to_arrays(tokens)), analyzer, lowercase)

    def _set(self, table: TokenTable, analyzer: Analyzer, lowercase: bool) -> None:
        self._table = table
        self.analyzer = _checked_analyzer(analyzer)
        self.lowercase = bool(lowercase)

    @classmethod
    def build(
        cls,
        texts: Iterable[Text],
        *,
        analyzer: Analyzer = "word",
        lowercase: bool = True,
        min_df: int | float = 1,
        max_features: int | None = None,
        n_threads: int = 1,
    ) -> tuple["Vocabulary", NDArray[np.int32], NDArray[np.intp]]:
        """Make a vocabulary of the tokens of texts, and encode the texts in the same scan.

        Parameters
        ----------
        texts : iterable of str or of list of str, n_texts items
        analyzer : {"word", "char"} or callable, default="word"
        lowercase : bool, default=True
        min_df : int or float, default=1
            Leave out tokens that occur in fewer texts: a number of texts, or as a float a share of
            them between 0.0 and 1.0.
        max_features : int, default=None
            Keep so many tokens at most, the most used ones.
        n_threads : int, default=1
            The result does not depend on it.

        Returns
        -------
        vocabulary : Vocabulary
        ids : int32 array of shape (n_tokens,)
            All texts end to end.
        offsets : intp array of shape (n_texts + 1,)
            Text i has ``ids[offsets[i]:offsets[i + 1]]``.

        Raises
        ------
        TypeError
            If a text is neither a str nor a list or tuple of str (the message tells which).
        ValueError
            If `texts` is a single str, or a parameter is out of range.

        Examples
        --------
        >>> from textcnn.text.vocabulary import Vocabulary
        >>> vocabulary, ids, offsets = Vocabulary.build(["to be", "to see"], min_df=2)
        >>> vocabulary.to_dict(), ids.tolist(), offsets.tolist()
        ({'to': 1}, [1, 0, 1, 0], [0, 2, 4])
        """
        vocabulary = cls(analyzer=analyzer, lowercase=lowercase)
        token_bytes, token_offsets, text_counts, ids, offsets = vocabulary._count(texts, n_threads)
        keep = _selection(text_counts, len(offsets) - 1, min_df, max_features)
        if not keep.all():
            new_ids = np.zeros(len(keep) + 1, dtype=np.int32)
            new_ids[1:][keep] = np.arange(1, keep.sum() + 1, dtype=np.int32)
            ids = new_ids[ids]
            token_bytes, token_offsets = _subset(token_bytes, token_offsets, keep)
        vocabulary._table = TokenTable(token_bytes, token_offsets)
        return vocabulary, ids, offsets

    def extend(
        self,
        texts: Iterable[Text],
        *,
        min_df: int | float = 1,
        max_features: int | None = None,
        n_threads: int = 1,
    ) -> int:
        """Add the new tokens of texts behind the old ones, whose ids stay.

        Parameters
        ----------
        texts : iterable of str or of list of str
        min_df : int or float, default=1
            Leave out new tokens that occur in fewer of these texts (a number, or a share of them).
        max_features : int, default=None
            Add so many tokens at most, the most used ones in these texts.
        n_threads : int, default=1

        Returns
        -------
        int
            How many tokens were added. Their ids follow their use in `texts`, ties by code point.

        Raises
        ------
        TypeError, ValueError
            As in `build`; the vocabulary is then as before.

        Examples
        --------
        >>> from textcnn.text.vocabulary import Vocabulary
        >>> vocabulary = Vocabulary(["dog", "cat"])
        >>> vocabulary.extend(["cat, bird; bird"])
        3
        >>> vocabulary.id_to_token
        ['<unk>', 'dog', 'cat', 'bird', ',', ';']
        """
        token_bytes, token_offsets, text_counts, _, offsets = self._count(texts, n_threads)
        counted = TokenTable(token_bytes, token_offsets).to_list()
        known, _ = self._table.encode([counted], "word", False, 1)
        keep = _selection(text_counts, len(offsets) - 1, min_df, max_features, known == UNKNOWN_ID)
        n_new = int(keep.sum())
        if n_new:
            old_bytes, old_offsets = self._table.to_arrays()
            new_bytes, new_offsets = _subset(token_bytes, token_offsets, keep)
            self._table = TokenTable(
                np.concatenate([old_bytes, new_bytes]),
                np.concatenate([old_offsets, new_offsets[1:] + old_offsets[-1]]),
            )
        return n_new

    def encode(self, texts: Iterable[Text], n_threads: int = 1) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
        """Ids of the tokens of texts, 0 for unknown ones.

        Parameters
        ----------
        texts : iterable of str or of list of str, n_texts items
        n_threads : int, default=1
            The result does not depend on it.

        Returns
        -------
        ids : int32 array of shape (n_tokens,)
            All texts end to end.
        offsets : intp array of shape (n_texts + 1,)
            Text i has ``ids[offsets[i]:offsets[i + 1]]``.

        Raises
        ------
        TypeError
            If a text is neither a str nor a list or tuple of str (the message tells which).
        ValueError
            If `texts` is a single str, or `n_threads` is below 1.

        Examples
        --------
        >>> from textcnn.text.vocabulary import Vocabulary
        >>> Vocabulary(["good", "bad"]).encode(["Bad, bad"])[0].tolist()
        [2, 0, 2]
        """
        return self._table.encode(*self._prepared(texts), _checked_count(n_threads, "n_threads"))

    def encode_with_unknown(
        self, texts: Iterable[Text], n_threads: int = 1
    ) -> tuple[NDArray[np.int32], NDArray[np.intp], UnknownWords]:
        """`encode`, and the words whose id is 0.

        Parameters
        ----------
        texts : iterable of str or of list of str, n_texts items
        n_threads : int, default=1

        Returns
        -------
        ids : int32 array of shape (n_tokens,)
        offsets : intp array of shape (n_texts + 1,)
        unknown : UnknownWords

        Examples
        --------
        >>> from textcnn.text.vocabulary import Vocabulary
        >>> ids, offsets, unknown = Vocabulary(["good"]).encode_with_unknown(["Bad or good"])
        >>> ids.tolist(), unknown.bytes.tobytes(), unknown.offsets.tolist()
        ([0, 0, 1], b'bador', [0, 3, 5])
        """
        ids, offsets, unknown_bytes, unknown_offsets = self._table.encode_with_unknown(
            *self._prepared(texts), _checked_count(n_threads, "n_threads")
        )
        return ids, offsets, UnknownWords(unknown_bytes, unknown_offsets)

    def encode_fully(
        self, texts: Sequence[Text], n_threads: int = 1, with_shapes: bool = True
    ) -> EncodedTexts:
        """`encode_with_unknown` and `shapes`, with one call of a callable analyzer for each text.

        Parameters
        ----------
        texts : list of str or of list of str
        n_threads : int, default=1
        with_shapes : bool, default=True
            Shapes cost another scan of the texts.

        Returns
        -------
        EncodedTexts
        """
        texts = self.analyzed(texts)
        ids, offsets, unknown = self.encode_with_unknown(texts, n_threads)
        shapes = self.shapes(texts, n_threads) if with_shapes else np.empty(0, np.int32)
        return EncodedTexts(ids, offsets, shapes, unknown)

    def shapes(self, texts: Iterable[Text], n_threads: int = 1) -> NDArray[np.int32]:
        """Shape of each token of texts, as written: see `textcnn.text.analyzers.shape`.

        Parameters
        ----------
        texts : iterable of str or of list of str
        n_threads : int, default=1

        Returns
        -------
        int32 array of shape (n_tokens,)
            Places in `textcnn.text.analyzers.SHAPES`.

        Examples
        --------
        >>> from textcnn.text.vocabulary import Vocabulary
        >>> Vocabulary().shapes(["NASA, in Houston"]).tolist()
        [2, 5, 0, 1]
        """
        prepared, analyzer, _ = self._prepared(texts)
        return token_shapes(prepared, analyzer, _checked_count(n_threads, "n_threads"))

    def analyzed(self, texts: Sequence[Text]) -> Sequence[Text]:
        """The texts, a callable analyzer already applied: calls with these do not call it again.

        Parameters
        ----------
        texts : list of str or of list of str

        Returns
        -------
        list of str or of list of str
        """
        return texts if isinstance(self.analyzer, str) else list(self._prepared(texts)[0])

    def tokens(self, text: Text) -> list[str]:
        """Tokens of one text.

        Parameters
        ----------
        text : str or list of str

        Returns
        -------
        list of str

        Examples
        --------
        >>> from textcnn.text.vocabulary import Vocabulary
        >>> Vocabulary().tokens("Isn't it?")
        ["isn't", 'it', '?']
        """
        if not isinstance(text, str):
            return _checked_tokens(text)
        if isinstance(self.analyzer, str):
            return split_tokens(text, self.analyzer, self.lowercase)
        return _checked_tokens(_called(self.analyzer, text))

    def spans(self, text: str, tokens: Iterable[str] | None = None) -> np.ndarray:
        """Start and end of each token in a text, in characters of the text as given.

        With a callable analyzer each token is searched from the end of the one before, as it is and
        then in the text in lower case; one that is not found (a stem, say) has an empty span.

        Parameters
        ----------
        text : str
        tokens : iterable of str, default=None
            What a callable analyzer made of the text, so that it is not called again.

        Returns
        -------
        intp ndarray of shape (n_tokens, 2)

        Examples
        --------
        >>> from textcnn.text.vocabulary import Vocabulary
        >>> Vocabulary().spans("Isn't it?").tolist()
        [[0, 5], [6, 8], [8, 9]]
        """
        if not isinstance(text, str):
            raise TypeError(f"only a str has spans, but the text is a {type(text).__name__}")
        if isinstance(self.analyzer, str):
            return token_spans(text, self.analyzer)
        return _searched_spans(text, self.tokens(text) if tokens is None else list(tokens))

    def __len__(self) -> int:
        """Number of ids, with that of the unknown token."""
        return len(self._table) + 1

    def __contains__(self, token: object) -> bool:
        return isinstance(token, str) and self._table.find(token) != UNKNOWN_ID

    def __getitem__(self, token: str) -> int:
        """Id of a token; 0 if it is unknown."""
        return self._table.find(token)

    def __repr__(self) -> str:
        analyzer = f"analyzer={self.analyzer!r}, lowercase={self.lowercase}"
        return f"<{type(self).__name__} of {len(self)} ids, {analyzer}>"

    @property
    def id_to_token(self) -> list[str]:
        """Tokens by id, a new list; ``"<unk>"`` at 0."""
        return [UNKNOWN_TOKEN, *self._table.to_list()]

    def to_dict(self) -> dict[str, int]:
        """Id of each token, a new dict without the unknown token.

        Examples
        --------
        >>> from textcnn.text.vocabulary import Vocabulary
        >>> Vocabulary(["good", "bad"]).to_dict()
        {'good': 1, 'bad': 2}
        """
        return {token: number for number, token in enumerate(self._table.to_list(), start=1)}

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The tokens as two new arrays, for a model file.

        Returns
        -------
        dict
            ``"bytes"``: uint8 (n_bytes,), the tokens in UTF-8 ("surrogatepass") from id 1, end to end;
            ``"offsets"``: int64 (n_tokens + 1,).

        Examples
        --------
        >>> from textcnn.text.vocabulary import Vocabulary
        >>> arrays = Vocabulary(["good", "bad"]).to_arrays()
        >>> arrays["bytes"].tobytes(), arrays["offsets"].tolist()
        (b'goodbad', [0, 4, 7])
        """
        token_bytes, offsets = self._table.to_arrays()
        return {"bytes": token_bytes, "offsets": offsets}

    @classmethod
    def from_arrays(
        cls,
        bytes_: NDArray[np.uint8],
        offsets: NDArray[np.int64],
        *,
        analyzer: Analyzer,
        lowercase: bool,
    ) -> "Vocabulary":
        """The vocabulary whose `to_arrays` gave these arrays; they are checked, then copied.

        Parameters
        ----------
        bytes_ : uint8 array of shape (n_bytes,)
        offsets : int64 array of shape (n_tokens + 1,)
        analyzer : {"word", "char"} or callable
        lowercase : bool

        Returns
        -------
        Vocabulary

        Raises
        ------
        ValueError
            If the arrays have another type or number of dimensions, the offsets do not rise from 0 to
            n_bytes, a token is not UTF-8, or two are equal.

        Examples
        --------
        >>> from textcnn.text.vocabulary import Vocabulary
        >>> arrays = Vocabulary(["good", "bad"]).to_arrays()
        >>> Vocabulary.from_arrays(
        ...     arrays["bytes"], arrays["offsets"], analyzer="word", lowercase=True
        ... )["bad"]
        2
        """
        vocabulary = cls.__new__(cls)
        table = TokenTable(
            _checked_array(bytes_, "bytes", np.uint8), _checked_array(offsets, "offsets", np.int64)
        )
        vocabulary._set(table, analyzer, lowercase)
        return vocabulary

    def __getstate__(self) -> dict[str, Any]:
        return {
            "format": PICKLE_FORMAT,
            "analyzer": self.analyzer,
            "lowercase": self.lowercase,
            **self.to_arrays(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state["format"] != PICKLE_FORMAT:
            raise ValueError(
                f"this vocabulary was pickled in format {state['format']!r}, but this version of textcnn "
                f"reads format {PICKLE_FORMAT}"
            )
        self._set(TokenTable(state["bytes"], state["offsets"]), state["analyzer"], state["lowercase"])

    def _prepared(self, texts: Iterable[Text]) -> tuple[Iterable[Text], str, bool]:
        """Texts, analyzer and lower-casing for the compiled code, which takes no callable."""
        if isinstance(self.analyzer, str) or isinstance(texts, (str, bytes)):
            return texts, str(self.analyzer) if isinstance(self.analyzer, str) else "word", self.lowercase
        analyzer = self.analyzer
        # What is no str goes on as it is: token lists are fine, the rest is refused with its index.
        lists = [_called(analyzer, text) if isinstance(text, str) else text for text in texts]
        return lists, "word", False

    def _count(self, texts: Iterable[Text], n_threads: int) -> tuple[NDArray[Any], ...]:
        """Distinct tokens (bytes, offsets, texts that have each), and the texts as ids and offsets."""
        token_bytes, token_offsets, _, text_counts, ids, offsets = count_tokens(
            *self._prepared(texts), _checked_count(n_threads, "n_threads")
        )
        return token_bytes, token_offsets, text_counts, ids, offsets


def _to_arrays(tokens: Iterable[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    encoded = [token.encode("utf-8", "surrogatepass") for token in _checked_tokens(tokens)]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(token) for token in encoded], out=offsets[1:])
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets


def _subset(
    token_bytes: NDArray[np.uint8], offsets: NDArray[np.int64], keep: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    lengths = np.diff(offsets)
    kept = np.zeros(int(keep.sum()) + 1, dtype=np.int64)
    np.cumsum(lengths[keep], out=kept[1:])
    return token_bytes[np.repeat(keep, lengths)], kept


def _selection(
    text_counts: NDArray[np.int64],
    n_texts: int,
    min_df: int | float,
    max_features: int | None,
    among: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Which tokens, given by falling use, pass `min_df` and `max_features`: a mask (n_tokens,)."""
    keep = text_counts >= _least_texts(min_df, n_texts)
    if among is not None:
        keep &= among
    if max_features is not None:
        keep &= np.cumsum(keep) <= _checked_count(max_features, "max_features")
    return keep


def _least_texts(min_df: int | float, n_texts: int) -> float:
    if isinstance(min_df, Integral) and not isinstance(min_df, bool) and min_df >= 1:
        return int(min_df)
    if isinstance(min_df, Real) and not isinstance(min_df, Integral) and 0.0 <= min_df <= 1.0:
        return float(min_df) * n_texts
    raise ValueError(f"min_df must be an int of at least 1 or a float between 0.0 and 1.0, but is {min_df!r}")


def _checked_count(value: int, name: str) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be an int of at least 1, but is {value!r}")
    return int(value)


def _checked_analyzer(analyzer: Analyzer) -> Analyzer:
    if not (callable(analyzer) or (isinstance(analyzer, str) and analyzer in ANALYZERS)):
        raise ValueError(f"analyzer must be 'word', 'char' or a callable, but is {analyzer!r}")
    return analyzer


def _checked_tokens(tokens: Iterable[str]) -> list[str]:
    if isinstance(tokens, (str, bytes)) or not isinstance(tokens, Iterable):
        raise TypeError(f"a list of str is expected as tokens, but found a {type(tokens).__name__}")
    tokens = list(tokens)
    for number, token in enumerate(tokens):
        if not isinstance(token, str):
            raise TypeError(f"every token must be a str, but token {number} is a {type(token).__name__}")
    return tokens


def _called(analyzer: Callable[[str], Iterable[str]], text: str) -> list[str]:
    tokens = analyzer(text)
    if isinstance(tokens, (str, bytes)) or not isinstance(tokens, Iterable):
        raise TypeError(
            f"the analyzer must return an iterable of str, but {analyzer!r} returned a "
            f"{type(tokens).__name__}"
        )
    return list(tokens)


def _checked_array(array: NDArray[Any], name: str, dtype: type[np.generic]) -> NDArray[Any]:
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != 1:
        kind = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(
            f"the {name} of a vocabulary must be a 1-D array of {np.dtype(dtype)}, but found {kind}"
        )
    return np.ascontiguousarray(array)


def _searched_spans(text: str, tokens: list[str]) -> np.ndarray:
    lowered = "".join(char.lower() if len(char.lower()) == 1 else char for char in text)
    spans, end = [], 0
    for token in tokens:
        start = text.find(token, end)
        if start < 0:
            start = lowered.find(token, end)
        if start < 0:
            spans.append((end, end))
            continue
        end = start + len(token)
        spans.append((start, end))
    return np.array(spans, np.intp).reshape(-1, 2)
