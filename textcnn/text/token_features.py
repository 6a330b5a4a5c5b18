"""Features of tokens for tagging: number of the word, characters, hashed prefixes, suffixes and shape.

All that a tagger knows of a token beside its neighbours depends on its string, so it is computed once for
each distinct token of a call. How the hashes and shapes are made is told in `TokenEncoder`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textcnn._kernels._text import TokenTable, count_tokens, simple_lower
from textcnn._kernels._tokens import FIRST_CHAR_ID, token_features
from textcnn.text.vocabulary import Vocabulary

__all__ = ["EncodedTokens", "TokenEncoder", "TypeFeatures"]

PICKLE_FORMAT = 1
MAX_VALUES = 2**31 - 1  # of all attributes together: their numbers are int32
ARRAYS = ("word_bytes", "word_offsets", "char_codes", "attribute_values")


@dataclass(frozen=True, eq=False)
class TypeFeatures:
    """What is known of each distinct token.

    Attributes
    ----------
    words : int32 ndarray of shape (n_types,)
        Number of the word, 0 for an unknown one.
    chars : int32 ndarray of shape (n_chars,)
        Numbers of the characters, with the begin and the end mark, of all distinct tokens end to end.
    char_offsets : intp ndarray of shape (n_types + 1,)
        Distinct token i has ``chars[char_offsets[i]:char_offsets[i + 1]]``.
    hashed : int32 ndarray of shape (n_types, n_attributes)
        For each attribute the row of its value in one embedding table, 0 for a value that no training
        sentence has.
    """

    words: NDArray[np.int32]
    chars: NDArray[np.int32]
    char_offsets: NDArray[np.intp]
    hashed: NDArray[np.int32]

    def __len__(self) -> int:
        """Number of distinct tokens."""
        return len(self.words)


@dataclass(frozen=True, eq=False)
class EncodedTokens:
    """Sentences as a packed batch of distinct tokens, and the features of these.

    Attributes
    ----------
    types : int32 ndarray of shape (n_tokens,)
        Number of the distinct token, a row of `features`, of each token of all sentences end to end.
    offsets : intp ndarray of shape (n_sentences + 1,)
        Sentence i has ``types[offsets[i]:offsets[i + 1]]``.
    features : TypeFeatures
        Distinct tokens by falling use in these sentences, ties by code point.
    """

    types: NDArray[np.int32]
    offsets: NDArray[np.intp]
    features: TypeFeatures


@dataclass(frozen=True)
class _Counts:
    """The distinct tokens of some sentences and where they are."""

    token_bytes: NDArray[np.uint8]
    token_offsets: NDArray[np.int64]
    uses: NDArray[np.int64]
    types: NDArray[np.int32]
    offsets: NDArray[np.intp]

    def tokens(self) -> list[str]:
        return TokenTable(self.token_bytes, self.token_offsets).to_list()


class TokenEncoder:
    """The text side of a tagger: from token lists to numbers of words, characters and attributes.

    A token has

    - the number of its *word*, from 1 in the order of `words`, looked up in lower case if `lowercase`; 0
      stands for every unknown word;
    - the numbers of its *characters* as written: 1 a begin mark, 2 an end mark, from 3 the characters in
      the order of their code points, 0 for every unknown one. A token of n characters has n + 2 numbers. Of
      one with more than `max_chars` characters the first ``(max_chars + 1) // 2`` and the last
      ``max_chars // 2`` are taken: beginning and end tell most about a word;
    - *attributes*: its prefixes and suffixes in lower case, counted in characters (of a shorter token all
      of it, but nothing of a token of a single character, which as a word says all), and its shape. The
      value of attribute a is ``a * n_buckets + hash % n_buckets``; the values that training sentences have
      are numbered from 1 in their order, and 0 stands for all others. (Values that were never trained must
      not share a row with others: on CoNLL-2003 that costs one point of F1.)

    The *shape* has ``d`` for the digits 0 to 9 (of full width too), ``X`` for what has another lower-case
    form, ``x`` for other letters and digits, ``c`` for Chinese characters, kana and their like; combining
    marks are left out, and all else stands for itself. Of a run of equal signs the first four count:
    ``Mr.`` is ``Xx.``, ``1996-08`` is ``dddd-dd``, ``Bloomington`` is ``Xxxxx``.

    The *hash* is FNV-1a in 64 bits over the UTF-8 bytes ("surrogatepass") of the attribute, then the final
    mix of MurmurHash3, all modulo 2**64, and so the same on every platform and in every version::

        hash = 0xCBF29CE484222325
        for each byte:  hash = (hash ^ byte) * 0x100000001B3
        hash = (hash ^ hash >> 33) * 0xFF51AFD7ED558CCD
        hash = (hash ^ hash >> 33) * 0xC4CEB9FE1A85EC53
        hash = hash ^ hash >> 33

    Lower-casing maps one code point to one, by tables of a fixed Unicode version (see
    `textcnn.text.analyzers`), so that the numbers do not depend on the version of Python.

    Any number of threads may use one encoder at once. `extend` replaces the vocabulary as a whole: a call
    under way in another thread goes on with the old one.

    Parameters
    ----------
    words : iterable of str, default=()
        Words with the numbers 1, 2, 3 ..., in lower case if `lowercase`.
    characters : iterable of str, default=()
        Characters that are known, such as a str, in any order.
    lowercase : bool, default=True
        Whether words are looked up in lower case.
    max_chars : int, default=30
        Characters of a token that count; 0 leaves the characters out altogether.
    prefix_lengths, suffix_lengths : sequence of int, default=(2, 3) and (1, 2, 3, 4)
        Attributes, in this order; may be empty.
    shape : bool, default=True
        Whether the shape is an attribute, the last one.
    n_buckets : int, default=2**24
        Values of each attribute that are told apart at most.

    Raises
    ------
    TypeError
        If a word is no str.
    ValueError
        If a parameter is out of range, or a word comes twice.

    Examples
    --------
    >>> from textcnn.text.token_features import TokenEncoder
    >>> sentences = [["Ms.", "Haag", "plays", "Elianti", "."], ["She", "plays", "."]]
    >>> encoder, encoded = TokenEncoder.build(sentences, min_count=2)
    >>> encoder.words
    ['.', 'plays']
    >>> encoded.types.tolist(), encoded.offsets.tolist()
    ([4, 3, 1, 2, 0, 5, 1, 0], [0, 5, 8])
    >>> encoded.features.words[encoded.types].tolist()
    [0, 0, 2, 0, 1, 0, 2, 1]
    >>> encoded.features.hashed.shape  # 2 prefixes, 4 suffixes, the shape
    (6, 7)
    """

    def __init__(
        self,
        words: Iterable[str] = (),
        characters: Iterable[str] = (),
        *,
        lowercase: bool = True,
        max_chars: int = 30,
        prefix_lengths: Sequence[int] = (2, 3),
        suffix_lengths: Sequence[int] = (1, 2, 3, 4),
        shape: bool = True,
        n_buckets: int = 2**24,
    ) -> None:
        self._vocabulary = Vocabulary(words, lowercase=lowercase)
        self._char_codes = np.array(sorted({ord(char) for char in characters}), np.int32)
        self.lowercase = bool(lowercase)
        self.max_chars = min(_checked_int(max_chars, "max_chars", 0), MAX_VALUES)
        self.prefix_lengths = _checked_lengths(prefix_lengths, "prefix_lengths")
        self.suffix_lengths = _checked_lengths(suffix_lengths, "suffix_lengths")
        self.shape = bool(shape)
        self.n_buckets = _checked_int(n_buckets, "n_buckets", 1)
        self._attribute_values = np.empty(0, np.int32)
        most = MAX_VALUES // max(1, self.n_attributes)
        if self.n_buckets > most:
            raise ValueError(
                f"n_buckets is {n_buckets}, but with {self.n_attributes} attributes it may be {most} at most"
            )

    @classmethod
    def build(
        cls,
        sentences: Iterable[Sequence[str]],
        *,
        min_count: int = 1,
        max_features: int | None = None,
        char_min_count: int = 1,
        n_threads: int = 1,
        **options: Any,
    ) -> tuple["TokenEncoder", EncodedTokens]:
        """Make an encoder of the words and characters of sentences, and encode them.

        Parameters
        ----------
        sentences : iterable of list of str
        min_count : int, default=1
            Leave out words (in lower case if `lowercase`) with fewer uses.
        max_features : int, default=None
            Keep so many words at most, the most used ones, ties by code point.
        char_min_count : int, default=1
            Leave out characters with fewer uses.
        n_threads : int, default=1
            The result does not depend on it.
        **options
            `lowercase`, `max_chars`, `prefix_lengths`, `suffix_lengths`, `shape` and `n_buckets` of the
            class.

        Returns
        -------
        encoder : TokenEncoder
        encoded : EncodedTokens
            What ``encoder.encode(sentences)`` gives.

        Raises
        ------
        TypeError
            If a sentence is no list or tuple, or a token no str (the message tells which).
        ValueError
            If `sentences` is a single str, or a parameter is out of range.

        Examples
        --------
        >>> from textcnn.text.token_features import TokenEncoder
        >>> encoder, encoded = TokenEncoder.build([["A", "cab"], ["a"]], suffix_lengths=(), n_buckets=100)
        >>> encoder.words, encoder.characters
        (['a', 'cab'], 'Aabc')
        >>> encoded.features.chars.tolist(), encoded.features.char_offsets.tolist()
        ([1, 3, 2, 1, 4, 2, 1, 6, 4, 5, 2], [0, 3, 6, 11])
        """
        encoder = cls(**options)
        min_count = _checked_int(min_count, "min_count", 1)
        char_min_count = _checked_int(char_min_count, "char_min_count", 1)
        counts = _count(sentences, n_threads)
        tokens = counts.tokens()
        words = encoder._ranked_words(tokens, counts.uses, min_count, max_features)
        encoder._vocabulary = Vocabulary(words, lowercase=encoder.lowercase)
        encoder._char_codes = _used_codes(tokens, counts.uses, char_min_count)
        encoder._attribute_values = np.unique(encoder._features(counts, n_threads).hashed)
        return encoder, encoder._encoded(counts, n_threads)

    def encode(self, sentences: Iterable[Sequence[str]], n_threads: int = 1) -> EncodedTokens:
        """Numbers of the tokens of sentences.

        Parameters
        ----------
        sentences : iterable of list of str
        n_threads : int, default=1
            The result does not depend on it.

        Returns
        -------
        EncodedTokens

        Raises
        ------
        TypeError
            If a sentence is no list or tuple, or a token no str (the message tells which).
        ValueError
            If `sentences` is a single str, or `n_threads` is below 1.

        Examples
        --------
        >>> from textcnn.text.token_features import TokenEncoder
        >>> encoded = TokenEncoder(["good", "bad"]).encode([["Good", "or", "bad"], [], ["good"]])
        >>> encoded.features.words[encoded.types].tolist(), encoded.offsets.tolist()
        ([1, 0, 2, 1], [0, 3, 3, 4])
        """
        return self._encoded(_count(sentences, n_threads), n_threads)

    def extend(
        self,
        sentences: Iterable[Sequence[str]],
        *,
        min_count: int = 1,
        max_features: int | None = None,
        n_threads: int = 1,
    ) -> int:
        """Add the new words of sentences behind the old ones, whose numbers stay.

        The characters stay as they are: new ones remain unknown.

        Parameters
        ----------
        sentences : iterable of list of str
        min_count : int, default=1
            Leave out new words with fewer uses in these sentences.
        max_features : int, default=None
            Add so many words at most, the most used ones in these sentences.
        n_threads : int, default=1

        Returns
        -------
        int
            How many words were added. Their numbers follow their use in `sentences`, ties by code point.

        Raises
        ------
        TypeError, ValueError
            As in `build`; the encoder is then as before.

        Examples
        --------
        >>> from textcnn.text.token_features import TokenEncoder
        >>> encoder = TokenEncoder(["dog", "cat"])
        >>> encoder.extend([["Cat", "and", "Bird"], ["bird"]])
        2
        >>> encoder.words
        ['dog', 'cat', 'bird', 'and']
        """
        min_count = _checked_int(min_count, "min_count", 1)
        counts = _count(sentences, n_threads)
        new = self._ranked_words(counts.tokens(), counts.uses, min_count, max_features, self._vocabulary)
        if new:
            self._vocabulary = Vocabulary([*self.words, *new], lowercase=self.lowercase)
        return len(new)

    @property
    def vocabulary(self) -> Vocabulary:
        """The words and their numbers."""
        return self._vocabulary

    @property
    def words(self) -> list[str]:
        """The words from number 1, a new list."""
        return self._vocabulary.id_to_token[1:]

    @property
    def characters(self) -> str:
        """The known characters from number 3, in the order of their code points."""
        return "".join(map(chr, self._char_codes.tolist()))

    @property
    def n_words(self) -> int:
        """Numbers of words, that of the unknown one included."""
        return len(self._vocabulary)

    @property
    def n_chars(self) -> int:
        """Numbers of characters, those of the unknown one and of the two marks included."""
        return len(self._char_codes) + FIRST_CHAR_ID

    @property
    def n_attributes(self) -> int:
        """Prefixes, suffixes and the shape."""
        return len(self.prefix_lengths) + len(self.suffix_lengths) + self.shape

    @property
    def n_rows(self) -> int:
        """Rows of the embedding table of the attributes, that of unknown values included."""
        return len(self._attribute_values) + 1

    @property
    def config(self) -> dict[str, Any]:
        """The parameters, but for words and characters, as JSON can hold them.

        Examples
        --------
        >>> from textcnn.text.token_features import TokenEncoder
        >>> TokenEncoder(suffix_lengths=(3,)).config["suffix_lengths"]
        [3]
        """
        return {
            "lowercase": self.lowercase,
            "max_chars": self.max_chars,
            "prefix_lengths": list(self.prefix_lengths),
            "suffix_lengths": list(self.suffix_lengths),
            "shape": self.shape,
            "n_buckets": self.n_buckets,
        }

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Words and characters as new arrays, for a model file.

        Returns
        -------
        dict
            ``"word_bytes"``: uint8 (n_bytes,), the words in UTF-8 ("surrogatepass") from number 1, end to
            end; ``"word_offsets"``: int64 (n_words + 1,); ``"char_codes"``: int32, rising code points;
            ``"attribute_values"``: int32, rising.

        Examples
        --------
        >>> from textcnn.text.token_features import TokenEncoder
        >>> arrays = TokenEncoder(["good", "bad"], "ba").to_arrays()
        >>> arrays["word_bytes"].tobytes(), arrays["word_offsets"].tolist(), arrays["char_codes"].tolist()
        (b'goodbad', [0, 4, 7], [97, 98])
        """
        words = self._vocabulary.to_arrays()
        arrays = (words["bytes"], words["offsets"], self._char_codes.copy(), self._attribute_values.copy())
        return dict(zip(ARRAYS, arrays, strict=True))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], config: Mapping[str, Any]) -> "TokenEncoder":
        """The encoder whose `to_arrays` and `config` gave these; they are checked, and the arrays copied.

        Parameters
        ----------
        arrays : mapping of str to array
        config : mapping of str to value

        Returns
        -------
        TokenEncoder

        Raises
        ------
        ValueError
            If an array or a parameter is missing, unknown, of another type or out of bounds.

        Examples
        --------
        >>> from textcnn.text.token_features import TokenEncoder
        >>> encoder = TokenEncoder(["good", "bad"], "abc")
        >>> TokenEncoder.from_arrays(encoder.to_arrays(), encoder.config).words
        ['good', 'bad']
        """
        _check_names(arrays, ARRAYS, "arrays")
        _check_names(config, cls().config, "parameters")
        for name in ("lowercase", "shape"):
            if not isinstance(config[name], bool):
                raise ValueError(f"{name} of a token encoder must be true or false, but is {config[name]!r}")
        encoder = cls(**config)
        encoder._vocabulary = Vocabulary.from_arrays(
            arrays["word_bytes"],
            arrays["word_offsets"],
            analyzer="word",
            lowercase=encoder.lowercase,
        )
        encoder._char_codes = _checked_codes(arrays["char_codes"])
        encoder._attribute_values = _checked_values(
            arrays["attribute_values"], encoder.n_attributes * encoder.n_buckets
        )
        return encoder

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} of {self.n_words} words, {self.n_chars} characters and "
            f"{self.n_attributes} attributes>"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {"format": PICKLE_FORMAT, "arrays": self.to_arrays(), "config": self.config}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state["format"] != PICKLE_FORMAT:
            raise ValueError(
                f"this token encoder was pickled in format {state['format']!r}, but this version of textcnn "
                f"reads format {PICKLE_FORMAT}"
            )
        self.__dict__.update(self.from_arrays(state["arrays"], state["config"]).__dict__)

    def _ranked_words(
        self,
        tokens: list[str],
        uses: NDArray[np.int64],
        min_count: int,
        max_features: int | None,
        known: Vocabulary | None = None,
    ) -> list[str]:
        """The words to take, by falling use, ties by code point, without those that are known."""
        if max_features is not None:
            max_features = _checked_int(max_features, "max_features", 1)
        words: dict[str, int] = {}
        for word, count in zip(_lowered(tokens) if self.lowercase else tokens, uses.tolist(), strict=True):
            words[word] = words.get(word, 0) + count
        taken = [w for w, count in words.items() if count >= min_count and (known is None or w not in known)]
        return sorted(taken, key=lambda word: (-words[word], word))[:max_features]

    def _encoded(self, counts: _Counts, n_threads: int) -> EncodedTokens:
        features = self._features(counts, n_threads)
        known = self._attribute_values
        places = np.searchsorted(known, features.hashed)
        if len(known):
            found = known[np.minimum(places, len(known) - 1)] == features.hashed
            rows = np.where(found, places + 1, 0).astype(np.int32)
        else:
            rows = np.zeros_like(features.hashed)
        return EncodedTokens(counts.types, counts.offsets, replace(features, hashed=rows))

    def _features(self, counts: _Counts, n_threads: int) -> TypeFeatures:
        """Features in which `hashed` has the values of the attributes instead of their rows."""
        features = token_features(
            counts.token_bytes,
            counts.token_offsets,
            self._vocabulary._table,
            self.lowercase,
            self._char_codes,
            self.max_chars,
            np.array(self.prefix_lengths, np.int32),
            np.array(self.suffix_lengths, np.int32),
            self.shape,
            self.n_buckets,
            n_threads,
        )
        return TypeFeatures(*features)


def _count(sentences: Iterable[Sequence[str]], n_threads: int) -> _Counts:
    n_threads = _checked_int(n_threads, "n_threads", 1)
    if isinstance(sentences, (str, bytes)):
        raise ValueError(
            f"X is a single {type(sentences).__name__}, but a list of sentences, each a list of tokens, is "
            "expected; cut the text in tokens first"
        )
    sentences = list(sentences)
    for number, sentence in enumerate(sentences):
        if not isinstance(sentence, (list, tuple)):
            kind = "None" if sentence is None else f"of type {type(sentence).__name__}"
            raise TypeError(f"X[{number}] is {kind}, but every sentence must be a list of str, its tokens")
    token_bytes, token_offsets, uses, _, ids, offsets = count_tokens(sentences, "word", False, n_threads)
    return _Counts(token_bytes, token_offsets, uses, ids - 1, offsets)


def _lowered(tokens: list[str]) -> list[str]:
    lower = {ord(char): simple_lower(ord(char)) for char in set("".join(tokens))}
    return [token.translate(lower) for token in tokens]


def _used_codes(tokens: list[str], uses: NDArray[np.int64], min_count: int) -> NDArray[np.int32]:
    """Code points, rising, of the characters with at least `min_count` uses."""
    codes = np.frombuffer("".join(tokens).encode("utf-32-le", "surrogatepass"), "<u4")
    codes, numbers = np.unique(codes, return_inverse=True)
    code_uses = np.bincount(numbers, np.repeat(uses, [len(token) for token in tokens]))
    return codes[code_uses >= min_count].astype(np.int32)


def _checked_int(value: Any, name: str, least: int) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be an int of at least {least}, but is {value!r}")
    return int(value)


def _checked_lengths(lengths: Any, name: str) -> tuple[int, ...]:
    if isinstance(lengths, (str, bytes)) or not isinstance(lengths, Iterable):
        raise ValueError(f"{name} must be a list of ints, but is {lengths!r}")
    return tuple(min(_checked_int(length, f"each of {name}", 1), 2**31 - 1) for length in lengths)


def _checked_codes(codes: Any) -> NDArray[np.int32]:
    if not isinstance(codes, np.ndarray) or codes.dtype != np.int32 or codes.ndim != 1:
        kind = f"{codes.dtype} {codes.shape}" if isinstance(codes, np.ndarray) else type(codes).__name__
        raise ValueError(f"the characters of a token encoder must be a 1-D array of int32, but found {kind}")
    if len(codes) and (codes[0] < 0 or codes[-1] > 0x10FFFF or (codes[1:] <= codes[:-1]).any()):
        raise ValueError("the characters of a token encoder must be code points in rising order")
    return codes.copy()


def _checked_values(values: Any, n_values: int) -> NDArray[np.int32]:
    if not isinstance(values, np.ndarray) or values.dtype != np.int32 or values.ndim != 1:
        raise ValueError("attribute_values of a token encoder must be a one-dimensional int32 array")
    if len(values) and (values[0] < 0 or values[-1] >= n_values or (values[1:] <= values[:-1]).any()):
        raise ValueError(f"attribute_values of a token encoder must rise, from 0 to below {n_values}")
    return values.copy()


def _check_names(found: Mapping[str, Any], expected: Iterable[str], kind: str) -> None:
    if set(found) != set(expected):
        raise ValueError(
            f"a token encoder has the {kind} {', '.join(expected)}, but found {', '.join(found) or 'none'}"
        )
