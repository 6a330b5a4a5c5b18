"""Pretrained word vectors: readers of the usual files, a container for them, and the look-up of tokens.

A file of word vectors may be far larger than the vocabulary that needs it (3 million words against 20
thousand), so reading keeps only the words asked for, and nothing here makes a copy of vectors that the user
already holds in memory.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NoReturn, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["WordVectors", "load_vectors", "lookup"]

_SAMPLE = 1 << 18  # bytes looked at to find the format: one line of the widest vectors
_BLOCK = 1 << 22  # bytes read at a time
_MAX_DIMS = 10_000  # a header that declares more is no header of word vectors
_MAX_WORD = 1 << 16  # bytes of one word in a binary file; anything longer is a damaged file

_BOM = b"\xef\xbb\xbf"
_HEADER = re.compile(rb"[ \t]*(\d{1,18})[ \t]+(\d{1,18})[ \t]*(?:\r?\n|\Z)")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
# What NumPy reads as a number; float() takes more, such as 1_000. No digit is given back: the time is linear.
_NUMBER = re.compile(rb"[+-]?(?:(?:\d++\.?\d*+|\.\d++)(?:e[+-]?\d++)?|nan|inf(?:inity)?)", re.IGNORECASE)
_GZIP = b"\x1f\x8b"
_OTHER_FILES = {
    b"PK\x03\x04": "a zip archive: unpack it and give the path of the vectors inside",
    b"BZh91AY&SY": "a bzip2 file: unpack it, or pack it again with gzip",
    b"\xfd7zXZ": "an xz file: unpack it, or pack it again with gzip",
    b"\x93NUMPY": "a NumPy array without its words: load it and give WordVectors(words, array)",
    b"\xff\xfe": "text in UTF-16: save it as UTF-8",
    b"\xba\x16\x4f\x2f": "a fastText model, not a file of vectors: give its .vec file",
}
_OTHER_FILES |= {
    bytes((0x80, protocol)): "a pickle: load it with the library that wrote it, for instance gensim"
    for protocol in (2, 3, 4, 5)
}
_EXPECTED = "word2vec text or binary, GloVe text or fastText .vec, each also gzipped"


class WordVectors:
    """Words and their vectors, shared and never copied.

    The words are held as one block of bytes with an index of hashes, not as Python strings, so that an object
    of a few million words is a handful of arrays. ``copy.copy``, ``copy.deepcopy`` and so
    :func:`sklearn.base.clone` give back the very same object. It pickles as its arrays, wherever it was read
    from: joblib writes large arrays once and hands them to its worker processes as memory maps, and no worker
    has to read and parse the file again or to build a dictionary.

    Parameters
    ----------
    words : iterable of str
        The words, each once.
    vectors : array-like of shape (n_words, n_dims)
        Finite numbers. A C-contiguous float32 array is used as it is; anything else is converted, which
        makes a copy.

    Attributes
    ----------
    vectors : ndarray of shape (n_words, n_dims), float32
        The vectors, in the order of the words; not to be written to.
    words : list of str
        The words, made anew at every access.
    n_dims, vector_size : int
        Length of a vector, under our name and under gensim's.

    Raises
    ------
    TypeError
        If a word is not a string, or the vectors are not real numbers.
    ValueError
        If the lengths differ, a word stands twice, or a vector holds NaN or an infinity.

    Examples
    --------
    >>> import copy
    >>> from textcnn.text.vectors import WordVectors
    >>> vectors = WordVectors(["cat", "dog"], [[1.0, 0.0], [0.5, 0.5]])
    >>> vectors
    WordVectors(2 words, 2 dimensions)
    >>> vectors["dog"]
    array([0.5, 0.5], dtype=float32)
    >>> "bird" in vectors
    False
    >>> copy.deepcopy(vectors) is vectors
    True
    """

    def __init__(self, words: Iterable[str], vectors: ArrayLike) -> None:
        if isinstance(words, str):
            raise TypeError("words is one string: give a list of words.")
        keys = [_word_key(word) for word in words]
        self._fill(keys, _as_matrix(vectors), "vectors")

    def _fill(self, keys: list[bytes], vectors: NDArray[np.float32], source: str) -> None:
        """Store `keys` and `vectors`, after checks; `source` names the origin in error messages."""
        if len(keys) != len(vectors):
            raise ValueError(
                f"{source} has {len(keys)} words and {len(vectors)} vectors: give one vector a word."
            )
        _check_finite(vectors, lambda row: _as_text(keys[row]), source)
        self.vectors = vectors.view()
        self.vectors.flags.writeable = False
        self._text = np.frombuffer(b"".join(keys) or b"\0", np.uint8)
        self._offsets = np.zeros(len(keys) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, keys), np.int64, len(keys)), out=self._offsets[1:])
        # zlib.crc32 rather than hash(): the same in every process, whatever PYTHONHASHSEED says.
        hashes = np.fromiter(map(zlib.crc32, keys), np.uint32, len(keys))
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]
        self._check_unique(keys, source)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.vectors.flags.writeable = False  # a pickle does not keep the flag

    def _check_unique(self, keys: list[bytes], source: str) -> None:
        if len(set(keys)) == len(keys):
            return
        seen: set[bytes] = set()
        for key in keys:
            if key in seen:
                raise ValueError(f"{source} has the word {_as_text(key)!r} twice: give each word once.")
            seen.add(key)

    @classmethod
    def from_dict(cls, vectors: Mapping[str, ArrayLike]) -> WordVectors:
        """Make the container from a dictionary.

        Parameters
        ----------
        vectors : mapping of str to array-like of shape (n_dims,)
            Vectors of one length, of finite numbers. They are copied into one array.

        Returns
        -------
        WordVectors

        Raises
        ------
        TypeError
            If a word is not a string, or a vector is not numeric.
        ValueError
            If the dictionary is empty, the lengths differ, or a vector holds NaN or an infinity.

        Examples
        --------
        >>> WordVectors.from_dict({"cat": [1, 0], "dog": [0.5, 0.5]})
        WordVectors(2 words, 2 dimensions)
        """
        n_dims = _first_length(vectors)
        matrix = np.empty((len(vectors), n_dims), np.float32)
        for row, (word, vector) in enumerate(vectors.items()):
            matrix[row] = _as_vector(vector, word, n_dims)
        return cls(vectors, matrix)

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], words: Iterable[str] | None = None) -> WordVectors:
        """Read a file; the same as :func:`load_vectors`.

        Parameters
        ----------
        path : str or path-like
            The file.
        words : iterable of str, default=None
            Keep the vectors of these words only; `None` keeps all.

        Returns
        -------
        WordVectors

        Raises
        ------
        ValueError
            If the file is damaged or none of the known formats.

        Examples
        --------
        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "tiny.txt")
        ...     with open(path, "w") as file:
        ...         _ = file.write("cat 1.0 0.0\\ndog 0.5 0.5\\n")
        ...     WordVectors.from_path(path)
        WordVectors(2 words, 2 dimensions)
        """
        return load_vectors(path, words)

    @property
    def n_dims(self) -> int:
        """Length of a vector."""
        return self.vectors.shape[1]

    @property
    def vector_size(self) -> int:
        """Length of a vector, under gensim's name."""
        return self.n_dims

    @property
    def words(self) -> list[str]:
        """The words in the order of their vectors, made anew at every access."""
        return list(self)

    def __iter__(self) -> Iterator[str]:
        return (_as_text(self._key(row)) for row in range(len(self)))

    def __len__(self) -> int:
        return len(self.vectors)

    def __contains__(self, word: object) -> bool:
        return self._row(word) >= 0

    def __getitem__(self, word: str) -> NDArray[np.float32]:
        row = self._row(word)
        if row < 0:
            raise KeyError(word)
        return self.vectors[row]

    def _row(self, word: object) -> int:
        """Row of the word exactly as written, -1 where it has none."""
        if not isinstance(word, str):
            return -1
        try:
            key = word.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # a lone surrogate cannot stand in any file
            return -1
        # A NumPy scalar of the same type: a Python int would make searchsorted convert the whole array.
        wanted = np.uint32(zlib.crc32(key))
        at = int(np.searchsorted(self._hashes, wanted))
        while at < len(self._hashes) and self._hashes[at] == wanted:
            row = int(self._order[at])
            if self._key(row) == key:
                return row
            at += 1
        return -1

    def _key(self, row: int) -> bytes:
        return self._text[self._offsets[row] : self._offsets[row + 1]].tobytes()

    def __copy__(self) -> WordVectors:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> WordVectors:
        return self

    def __repr__(self) -> str:
        return f"WordVectors({len(self)} words, {self.n_dims} dimensions)"


def load_vectors(path: str | os.PathLike[str], words: Iterable[str] | None = None) -> WordVectors:
    """Read a file of word vectors.

    The format is found by looking at the content: word2vec text (a first line with the number of words and of
    dimensions) and binary, GloVe text (no such line), fastText ``.vec``, each also gzipped.

    A word may contain spaces: the last `n_dims` fields of a line are its vector. If a word stands twice, its
    first vector counts. Bytes of a word that are not UTF-8 become lone surrogates (``surrogateescape``), so
    that such a word is kept apart from all others and never meets an ordinary token.

    Parameters
    ----------
    path : str or path-like
        The file.
    words : iterable of str, default=None
        Keep only the vectors that :func:`lookup` can need for these words: of the word as written, in lower
        case, capitalised, and in upper case. Memory then depends on these words and not on the file.
        `None` keeps all vectors.

    Returns
    -------
    WordVectors
        Possibly without any word, if none of `words` is in the file.

    Raises
    ------
    OSError
        If the file does not exist (FileNotFoundError) or cannot be read.
    ValueError
        If the file is empty, cut short, of another kind, has vectors of unequal length (file and line are
        named) or another number of vectors than its header says, or if a vector holds NaN or an infinity (the
        word is named).
    TypeError
        If `words` is a single string or holds something that is not a string.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "tiny.vec")
    ...     with open(path, "w") as file:
    ...         _ = file.write("2 3\\nParis 1.0 0.0 0.5\\nnight 0.5 0.5 0.25\\n")
    ...     vectors = load_vectors(path, words=["paris"])
    >>> vectors.words
    ['Paris']
    >>> vectors["Paris"]
    array([1. , 0. , 0.5], dtype=float32)
    """
    name = os.fspath(path)
    wanted = None if words is None else _wanted_keys(_as_tokens(words, "words"))
    with _open(name) as file:
        reader = _read(file, name, wanted)
    return reader.result()


def lookup(
    embeddings: str | os.PathLike[str] | Mapping[str, ArrayLike] | WordVectors | Any,
    tokens: Iterable[str],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Find the vectors of tokens.

    A token is looked up as it is written and then, if it is absent, in lower case, capitalised, and in upper
    case: texts are usually lower-cased, while the words of some vectors ("Paris", "USA") are not.

    Parameters
    ----------
    embeddings : str, path-like, mapping, WordVectors or gensim KeyedVectors
        Where the vectors are: the path of a file (see :func:`load_vectors`; only what the tokens need is
        kept), a mapping from words to vectors, a :class:`WordVectors`, or any object with gensim's
        ``key_to_index``, ``vector_size`` and ``get_vector`` or ``[]``. It is not copied; of a mapping or a
        gensim object only the vectors that are used are looked at, and of a mapping the first one, for its
        length.
    tokens : iterable of str
        The tokens, usually a vocabulary.

    Returns
    -------
    vectors : ndarray of shape (n_tokens, n_dims), float32
        The vector of each token; zeros where there is none.
    found : ndarray of shape (n_tokens,), bool
        Which tokens have a vector.

    Raises
    ------
    TypeError
        If `embeddings` is of another type, a vector is not numeric, or `tokens` are not strings.
    ValueError
        If `embeddings` is empty, vectors have unequal lengths, or one holds NaN or an infinity.

    Examples
    --------
    >>> vectors, found = lookup({"Paris": [1.0, 0.5], "night": [0.0, 2.0]}, ["paris", "qux", "night"])
    >>> vectors
    array([[1. , 0.5],
           [0. , 0. ],
           [0. , 2. ]], dtype=float32)
    >>> found
    array([ True, False,  True])
    """
    tokens = _as_tokens(tokens, "tokens")
    if isinstance(embeddings, (str, os.PathLike)):
        embeddings = load_vectors(embeddings, tokens)
    known, get, n_dims = _open_embeddings(embeddings)
    vectors = np.zeros((len(tokens), n_dims), np.float32)
    found = np.zeros(len(tokens), np.bool_)
    for row, token in enumerate(tokens):
        word = next((form for form in case_forms(token) if form in known), None)
        if word is not None:
            vectors[row] = get(word)
            found[row] = True
    return vectors, found


def _open_embeddings(embeddings: Any) -> tuple[Any, Callable[[str], NDArray[np.float32]], int]:
    """Return what tells whether a word is known, what gives its checked vector, and the vectors' length."""
    if isinstance(embeddings, WordVectors):
        return embeddings, embeddings.__getitem__, embeddings.n_dims
    if isinstance(embeddings, Mapping):
        n_dims = _first_length(embeddings)
        return embeddings, lambda word: _as_vector(embeddings[word], word, n_dims), n_dims
    if hasattr(embeddings, "key_to_index") and hasattr(embeddings, "vector_size"):
        if not embeddings.key_to_index:
            raise ValueError("embeddings holds no words: give vectors of at least one word.")
        get = getattr(embeddings, "get_vector", None) or embeddings.__getitem__
        n_dims = int(embeddings.vector_size)
        return embeddings.key_to_index, lambda word: _as_vector(get(word), word, n_dims), n_dims
    hint = " (for a gensim model give its attribute wv)" if hasattr(embeddings, "wv") else ""
    raise TypeError(
        f"embeddings is of type {type(embeddings).__name__}{hint}: expected the path of a file of word "
        "vectors, a dict from words to vectors, a WordVectors, or a gensim KeyedVectors."
    )


def case_forms(token: str) -> tuple[str, str, str, str]:
    """Give the spellings under which a token is looked up, the first found counts."""
    return token, token.lower(), token.capitalize(), token.upper()


def _as_tokens(tokens: Iterable[str], name: str) -> Sequence[str]:
    if isinstance(tokens, (str, bytes)):
        raise TypeError(f"{name} is one string: expected a list of strings.")
    tokens = list(tokens)
    for token in tokens:
        if not isinstance(token, str):
            raise TypeError(f"{name} holds {token!r} of type {type(token).__name__}: expected strings only.")
    return tokens


def _as_text(key: bytes) -> str:
    return key.decode("utf-8", "surrogateescape")


def _quote(field: bytes) -> str:
    """Show part of a file in an error message, briefly: a damaged line may be endless."""
    return repr(_as_text(field[:60])) + ("..." if len(field) > 60 else "")


def _word_key(word: str) -> bytes:
    if not isinstance(word, str):
        raise TypeError(f"words holds {word!r} of type {type(word).__name__}: expected strings only.")
    try:
        return word.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ValueError(
            f"the word {word!r} holds half of a surrogate pair, which has no UTF-8 form: remove it."
        ) from None


def _wanted_keys(words: Sequence[str]) -> set[bytes]:
    """Encode every spelling of the words; a file is then filtered without decoding its words."""
    keys = set()
    for word in words:
        for form in case_forms(word):
            with contextlib.suppress(UnicodeEncodeError):  # such a word cannot stand in a file
                keys.add(form.encode("utf-8", "surrogateescape"))
    return keys


# Checks of vectors


def _as_numbers(values: ArrayLike, what: str) -> NDArray[np.float32]:
    try:
        array = np.asarray(values)
    except ValueError:  # a ragged list
        raise ValueError(f"{what} is ragged: give vectors of one length.") from None
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{what} is of type {array.dtype}: expected real numbers.")
    with np.errstate(over="ignore"):  # too large for float32 becomes an infinity, which is reported
        return np.asarray(array, np.float32, order="C")


def _as_matrix(vectors: ArrayLike) -> NDArray[np.float32]:
    matrix = _as_numbers(vectors, "vectors")
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise ValueError(f"vectors has shape {matrix.shape}: expected (n_words, n_dims).")
    return matrix


def _as_vector(vector: ArrayLike, word: str, n_dims: int | None = None) -> NDArray[np.float32]:
    """Check one vector against the length of the others."""
    array = _as_numbers(vector, f"the vector of {word!r}")
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"the vector of {word!r} has shape {array.shape}: expected one dimension.")
    if n_dims is not None and len(array) != n_dims:
        raise ValueError(
            f"vectors of unequal length: that of {word!r} has {len(array)} numbers where others have "
            f"{n_dims}; give vectors of one length."
        )
    _check_finite(array[np.newaxis], lambda row: word, "vectors")
    return array


def _first_length(vectors: Mapping[str, ArrayLike]) -> int:
    for word, vector in vectors.items():
        return len(_as_vector(vector, word))
    raise ValueError("the mapping from words to vectors is empty: give at least one word.")


def _check_finite(vectors: NDArray[np.float32], name: Callable[[int], str], source: str) -> None:
    """Refuse NaN and infinities, in pieces: the mask of a large array would be large too."""
    for start in range(0, len(vectors), 4096):
        bad = ~np.isfinite(vectors[start : start + 4096]).all(axis=1)
        if bad.any():
            row = start + int(bad.argmax())
            value = vectors[row][~np.isfinite(vectors[row])][0]
            raise ValueError(
                f"{source}: the vector of {name(row)!r} holds {value}, in float32: correct or remove it."
            )


# Files


@contextlib.contextmanager
def _open(path: str) -> Iterator[BinaryIO]:
    """Open a plain or gzipped file; a damaged gzip becomes a ValueError wherever it is noticed."""
    with open(path, "rb") as file:
        packed = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        if not packed:
            yield file
            return
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                # GzipFile gives lines through Python code; a buffer around it gives them from C.
                yield cast(BinaryIO, io.BufferedReader(cast(Any, unpacked), _BLOCK))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(
                f"{path} is a gzip file cut short or damaged ({error}): get it again."
            ) from error


def _read(file: BinaryIO, path: str, wanted: set[bytes] | None) -> _Reader:
    """Find the format and read the whole file."""
    sample = file.read(_SAMPLE)
    if not sample.strip():
        raise ValueError(f"{path} is empty: expected word vectors ({_EXPECTED}).")
    for magic, what in _OTHER_FILES.items():
        if sample.startswith(magic):
            raise ValueError(f"{path} is {what}.")
    if sample[257:262] == b"ustar":
        raise ValueError(f"{path} is a tar archive: unpack it and give the path of the vectors inside.")
    start = len(_BOM) if sample.startswith(_BOM) else 0
    header = _HEADER.match(sample, start)
    if header is None:
        file.seek(start)
        fields = sample[start:].lstrip().partition(b"\n")[0].split()
        return _Reader(path, _count_numbers(fields), None, wanted).read_text(file, first_line=1)
    file.seek(header.end())
    reader = _Reader(path, int(header[2]), int(header[1]), wanted)
    if _is_binary(sample[header.end() :], reader.n_dims):
        return reader.read_binary(file)
    return reader.read_text(file, first_line=2)


def _is_binary(sample: bytes, n_dims: int) -> bool:
    """Tell word2vec binary from text by what follows the header."""
    fields = sample.partition(b"\n")[0].rsplit(None, n_dims)
    if len(fields) == n_dims + 1 and _count_numbers(fields) == n_dims:
        return False
    # Not a line of numbers: raw floats, or a text with a wrong first line, which has no such bytes.
    numbers = b"".join(fields[1:])
    return _CONTROL.search(sample) is not None or _NOT_ASCII.search(numbers) is not None


def _count_numbers(fields: list[bytes]) -> int:
    """Count the numbers at the end of a line; the first field is always (part of) the word."""
    n_numbers = 0
    for field in reversed(fields[1:]):
        if _NUMBER.fullmatch(field) is None:
            break
        n_numbers += 1
    return n_numbers


class _Reader:
    """What has been read of one file: the words kept, in order, and their vectors, end to end."""

    def __init__(self, path: str, n_dims: int, n_declared: int | None, wanted: set[bytes] | None) -> None:
        if n_declared is None and n_dims == 0:
            raise ValueError(
                f"{path} is no file of word vectors: its first line is not a word and numbers; "
                f"expected {_EXPECTED}."
            )
        if not 0 < n_dims <= _MAX_DIMS:
            raise ValueError(
                f"{path} has vectors of {n_dims} dimensions by its first line: expected 1 to {_MAX_DIMS}."
            )
        self.path = path
        self.n_dims = n_dims
        self.n_declared = n_declared
        self.wanted = wanted
        self.n_read = 0
        self.keys: dict[bytes, None] = {}  # a set that keeps the order
        # It grows as rows arrive: what a header announces is never allocated on its word.
        self.data = bytearray()

    def result(self) -> WordVectors:
        if self.n_declared is not None and self.n_read != self.n_declared:
            raise ValueError(
                f"{self.path} holds {self.n_read} vectors where its first line announces {self.n_declared}: "
                "get the file again, or correct that line."
            )
        little = np.ndarray((len(self.keys), self.n_dims), "<f4", buffer=self.data)
        vectors = WordVectors.__new__(WordVectors)
        vectors._fill(list(self.keys), little.astype(np.float32, copy=False), self.path)
        return vectors

    def is_new(self, key: bytes) -> bool:
        return key not in self.keys and (self.wanted is None or key in self.wanted)

    def read_text(self, file: BinaryIO, first_line: int) -> _Reader:
        while lines := file.readlines(_BLOCK):
            self.add_lines(lines, first_line)
            first_line += len(lines)
        return self

    def add_lines(self, lines: list[bytes], first_line: int) -> None:
        texts, numbers = [], []
        for number, line in enumerate(lines, first_line):
            line = line.rstrip()
            if not line:
                continue
            self.n_read += 1
            # The plain line, one space between fields, must not be cut into its fields to get the word.
            if line.count(b" ") == self.n_dims and b"  " not in line and b"\t" not in line:
                key, _, text = line.partition(b" ")
            else:
                key, text = self.split_line(line, number)
            if self.is_new(key):
                self.keys[key] = None
                texts.append(text)
                numbers.append(number)
        if texts:
            self.data += self.parse(texts, numbers)

    def split_line(self, line: bytes, number: int) -> tuple[bytes, bytes]:
        """Split a line with other white space, with spaces in its word, or with too few or many numbers."""
        fields = line.split()
        if len(fields) == self.n_dims and line[:1].isspace():
            fields.insert(0, b"")  # the word is empty
        n_extra = len(fields) - 1 - self.n_dims
        if n_extra < 0:
            self.refuse_line(fields, number)
        word, vector = fields[: n_extra + 1], fields[n_extra + 1 :]
        if n_extra > 0:
            n_numbers = _count_numbers(fields)
            # A word may end with whole numbers unlike the rest, as in "June 4 0.12 -0.7"; any other number
            # before the vector is one too many of them.
            surplus = fields[len(fields) - n_numbers : n_extra + 1]
            unlike = all(map(bytes.isdigit, surplus)) and not all(map(bytes.isdigit, vector))
            if n_numbers < self.n_dims or (surplus and not unlike):
                self.refuse_line(fields, number)
        return b" ".join(word), b" ".join(vector)

    def refuse_line(self, fields: list[bytes], number: int) -> NoReturn:
        raise ValueError(
            f"vectors of unequal length: {self.path}, line {number}, word {_quote(fields[0])} has "
            f"{_count_numbers(fields)} numbers where {self.n_dims} were expected; correct or remove the line."
        )

    def parse(self, texts: list[bytes], numbers: list[int]) -> memoryview:
        """Parse the numbers of many lines in one call, which is what makes reading quick."""
        # Where NumPy finds a text that is no number it raises an exception; older versions warn and return
        # what they had so far, which is less than all, thanks to the number at the end. The warning is not
        # turned into an exception here, for filters of warnings are shared by all threads.
        try:
            values = np.fromstring(b" ".join([*texts, b"0"]), np.float32, sep=" ")[:-1]
        except (ValueError, DeprecationWarning):
            values = np.empty(0, np.float32)
        # Every line has n_dims fields and each gives at least one number, so an equal sum means that
        # every field is one number.
        if values.size == len(texts) * self.n_dims:
            return values.astype("<f4", copy=False).data
        raise self.not_numeric(texts, numbers)

    def not_numeric(self, texts: list[bytes], numbers: list[int]) -> ValueError:
        for text, number in zip(texts, numbers, strict=True):
            for field in text.split(b" "):
                if _NUMBER.fullmatch(field) is None:
                    return ValueError(
                        f"{self.path}, line {number}: found {_quote(field)} where a number was expected; "
                        "correct or remove the line."
                    )
        return ValueError(f"{self.path}, lines {numbers[0]} to {numbers[-1]}: not all fields are numbers.")

    def read_binary(self, file: BinaryIO) -> _Reader:
        n_bytes = 4 * self.n_dims
        block, at = b"", 0
        while self.n_read < cast(int, self.n_declared):
            space = block.find(b" ", at, at + _MAX_WORD)
            if space < 0 or space + 1 + n_bytes > len(block):
                more = file.read(_BLOCK)
                if not more or (space < 0 and len(block) - at >= _MAX_WORD):
                    raise ValueError(
                        f"{self.path} is cut short or damaged: {self.n_read} of the {self.n_declared} "
                        "vectors that its first line announces can be read; get the file again."
                    )
                block, at = block[at:] + more, 0
                continue
            # The original tool ends each vector with a line feed, others do not.
            key = block[at:space].lstrip(b"\n")
            at = space + 1 + n_bytes
            self.n_read += 1
            if self.is_new(key):
                self.keys[key] = None
                self.data += block[space + 1 : at]
        if (block[at:] + file.read(_MAX_WORD)).strip():
            raise ValueError(
                f"{self.path} goes on after the {self.n_declared} vectors that its first line announces: "
                "get the file again, or correct that line."
            )
        return self
