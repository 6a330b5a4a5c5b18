"""Word vectors: every format of file is read alike, what is wrong is named, and nothing is copied."""

import copy
import gzip
import io
import os
import pickle
import re
import tarfile
import threading
import tracemalloc
import warnings
import zlib
from collections import defaultdict
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.base import BaseEstimator, clone

from textcnn.text import vectors as vectors_module
from textcnn.text.vectors import WordVectors, load_vectors, lookup

WORDS = ["cat", "Hund", "\u72ac", "caf\xe9", "3", "\U0001f600", ",", "USA"]
MATRIX = np.array([[0.5, -1.25, 3e-8], [1, 2, 3], [-0.1, 0.2, 1e9]] * 3, np.float32)[: len(WORDS)]


def as_text(words, matrix, newline="\n", end=""):
    """GloVe text: a word and its numbers a line, nothing else."""
    rows = zip(words, matrix.tolist(), strict=True)
    return "".join(f"{word} {' '.join(map(repr, row))}{end}{newline}" for word, row in rows).encode()


def as_header(matrix, newline="\n"):
    return f"{matrix.shape[0]} {matrix.shape[1]}{newline}".encode()


def as_word2vec_text(words, matrix, newline="\n"):
    return as_header(matrix, newline) + as_text(words, matrix, newline)


def as_fasttext(words, matrix):
    """Like word2vec text, but the original tool ends each line with a space."""
    return as_header(matrix) + as_text(words, matrix, end=" ")


def as_binary(words, matrix, end=b"\n"):
    rows = zip(words, matrix.astype("<f4"), strict=True)
    return as_header(matrix) + b"".join(word.encode() + b" " + row.tobytes() + end for word, row in rows)


def as_binary_of_gensim(words, matrix):
    """The same without line feeds between the vectors."""
    return as_binary(words, matrix, end=b"")


FORMATS = [as_text, as_word2vec_text, as_fasttext, as_binary, as_binary_of_gensim]
WITH_HEADER = FORMATS[1:]
every_format = pytest.mark.parametrize("write", FORMATS)
packed_or_not = pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])


@pytest.fixture
def make(tmp_path):
    """Write bytes or text to a file, give its path."""

    def write(content, name="vectors"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture(scope="module")
def shared_path(tmp_path_factory):
    """One path for all examples of a property: a folder an example would take most of the time."""
    return tmp_path_factory.mktemp("shared") / "vectors"


@pytest.fixture
def vectors():
    return WordVectors(WORDS, MATRIX)


def check_same(vectors, words, matrix):
    assert vectors.words == list(words)
    assert vectors.vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors.vectors, matrix)


class KeyedVectors:
    """What we use of gensim's class of this name, from version 4 on."""

    def __init__(self, words, matrix):
        self.key_to_index = {word: row for row, word in enumerate(words)}
        self.vectors = matrix
        self.vector_size = matrix.shape[1]

    def get_vector(self, key):
        return self.vectors[self.key_to_index[key]]


class KeyedVectorsByItem:
    """The same with `[]` alone."""

    def __init__(self, words, matrix):
        inner = KeyedVectors(words, matrix)
        self.key_to_index = inner.key_to_index
        self.vector_size = inner.vector_size
        self._get = inner.get_vector

    def __getitem__(self, key):
        return self._get(key)


# Formats


@every_format
@packed_or_not
def test_every_format_is_found_by_its_content(write, pack, make):
    path = make(pack(write(WORDS, MATRIX)))
    check_same(load_vectors(path), WORDS, MATRIX)
    check_same(load_vectors(str(path)), WORDS, MATRIX)
    check_same(WordVectors.from_path(path), WORDS, MATRIX)


@every_format
@pytest.mark.parametrize("block", [1, 2, 3, 7, 50])
def test_blocks_end_anywhere(write, block, make, monkeypatch):
    path = make(gzip.compress(write(WORDS, MATRIX)))
    monkeypatch.setattr(vectors_module, "_BLOCK", block)
    check_same(load_vectors(path), WORDS, MATRIX)


def test_file_larger_than_a_block(make):
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((20_000, 20)).astype(np.float32)
    words = [f"w{i}" for i in range(len(matrix))]
    for write in (as_text, as_binary):
        content = write(words, matrix)
        if write is as_text:
            assert len(content) > vectors_module._BLOCK
        check_same(load_vectors(make(content)), words, matrix)


@pytest.mark.parametrize("start", ["", "\ufeff"], ids=["", "BOM"])
@pytest.mark.parametrize("write", [as_text, as_word2vec_text])
def test_windows_line_ends_and_byte_order_mark(write, start, make):
    content = start.encode() + write(WORDS, MATRIX, newline="\r\n")
    check_same(load_vectors(make(content)), WORDS, MATRIX)
    check_same(load_vectors(make(content.rstrip())), WORDS, MATRIX)


@pytest.mark.parametrize(
    "content",
    [
        "cat\t1\t2\ndog\t3\t4\n",
        "cat  1   2\ndog 3\t4  \n",
        "\n \ncat 1 2\n\n\ndog 3 4\n\n",
        " cat 1 2\n dog 3 4\n",
        "2 2\n\ncat 1 2\n \ndog 3 4",
        " 2\t2 \r\ncat 1 2\r\ndog 3 4",
        "2 2\ncat +1 2.\ndog .3e1 40E-1",
    ],
)
def test_white_space_and_spellings_of_numbers(content, make):
    check_same(load_vectors(make(content)), ["cat", "dog"], [[1, 2], [3, 4]])


@pytest.mark.parametrize("header", ["", "7 3\n"], ids=["GloVe", "word2vec"])
def test_words_with_spaces(header, make):
    words = ["plain", ". . .", "at name@domain.com", "June 4", "1 2", "New York 7", "last one"]
    matrix = np.arange(21, dtype=np.float32).reshape(7, 3) + np.float32(0.5)
    path = make(header.encode() + as_text(words, matrix))
    check_same(load_vectors(path), words, matrix)
    check_same(load_vectors(path, ["June 4", "york"]), words[3:4], matrix[3:4])


def test_empty_word_and_words_that_look_like_something_else(make):
    path = make("nan 1.5 2\n 3 4\n1e5 5 6\n-7 7 8\n#x 9 10\n\xa0 11 12\na\xa0b 13 14\n")
    words = ["nan", "", "1e5", "-7", "#x", "\xa0", "a\xa0b"]
    check_same(load_vectors(path), words, np.array([1.5, *range(2, 15)]).reshape(7, 2))


@every_format
def test_words_that_are_not_utf8_are_kept_apart(write, make):
    content = write(["caf\xe9", "b"], MATRIX[:2]).replace("\xe9".encode(), b"\xe9")
    vectors = load_vectors(make(content))
    assert vectors.words == ["caf\udce9", "b"]
    assert "caf\xe9" not in vectors
    np.testing.assert_array_equal(vectors["caf\udce9"], MATRIX[0])
    assert load_vectors(make(content), ["caf\udce9", "\ud800"]).words == ["caf\udce9"]


@every_format
def test_first_of_duplicates_wins(write, make):
    path = make(write(["a", "b", "a", "A", "b"], MATRIX[:5]))
    check_same(load_vectors(path), ["a", "b", "A"], MATRIX[[0, 1, 3]])
    check_same(load_vectors(path, ["b"]), ["b"], MATRIX[1:2])


def test_header_of_no_words(make):
    vectors = load_vectors(make("0 5\n"))
    assert len(vectors) == 0
    assert vectors.n_dims == 5


words_for_files = st.builds(
    lambda first, rest: " ".join([first, *rest]),
    # Any characters but what ASCII knows as white space, and no mark of the byte order at the beginning.
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters=" \t\n\r\x0b\x0c\ufeff"), min_size=1),
    st.lists(st.text("ab\xe9\u4e2d,.'", min_size=1), max_size=2),
)
contents = st.lists(words_for_files, min_size=1, max_size=5, unique=True).flatmap(
    lambda words: st.tuples(
        st.just(words),
        hnp.arrays(
            np.float32,
            st.integers(1, 4).map(lambda n_dims: (len(words), n_dims)),
            elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
        ),
    )
)


@given(contents, st.sampled_from(FORMATS), st.sampled_from([bytes, gzip.compress]), st.data())
def test_written_vectors_are_read_back(shared_path, content, write, pack, data):
    words, matrix = content
    if write in (as_binary, as_binary_of_gensim):
        # A space ends the word there; and zeros show that a very small file is binary.
        words = [f"{row}:{word.replace(' ', '_')}" for row, word in enumerate([*words, "zero"])]
        matrix = np.concatenate([matrix, np.zeros_like(matrix[:1])])
    shared_path.write_bytes(pack(write(words, matrix)))
    vectors = load_vectors(shared_path)
    check_same(vectors, words, matrix)
    for word, row in zip(words, matrix, strict=True):
        np.testing.assert_array_equal(vectors[word], row)

    wanted = data.draw(st.lists(st.sampled_from(words)))
    part = load_vectors(shared_path, wanted)
    forms = {form for word in wanted for form in (word, word.lower(), word.capitalize(), word.upper())}
    assert part.words == [word for word in words if word in forms]
    for word in part:
        np.testing.assert_array_equal(part[word], vectors[word])


# Damaged files, and other files


@every_format
def test_gzip_cut_short_anywhere(write, make):
    content = gzip.compress(write(WORDS, MATRIX))
    for n_bytes in range(2, len(content)):
        path = make(content[:n_bytes])
        with pytest.raises(ValueError, match=f"^{re.escape(str(path))} is a gzip file cut short or damaged"):
            load_vectors(path)


@pytest.mark.parametrize("write", [as_text, as_binary])
def test_gzip_altered_anywhere(write, make):
    content = gzip.compress(write(WORDS, MATRIX))
    for at in range(10, len(content)):  # the first 10 bytes are the time and the like
        path = make(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        with pytest.raises(ValueError, match=re.escape(str(path))):
            load_vectors(path)


@pytest.mark.parametrize("write", [as_binary, as_binary_of_gensim])
def test_binary_cut_short_anywhere(write, make):
    content = write(WORDS, MATRIX)
    body = content.index(b"\n") + 1
    for n_bytes in range(body, len(content.rstrip(b"\n"))):
        path = make(content[:n_bytes])
        with pytest.raises(ValueError, match=re.escape(str(path))):
            load_vectors(path)
    path = make(content[: body + 40])
    with pytest.raises(ValueError, match="cut short or damaged: 2 of the 8 vectors"):
        load_vectors(path)


@pytest.mark.parametrize("write", [as_word2vec_text, as_fasttext])
def test_text_cut_between_lines(write, make):
    lines = write(WORDS, MATRIX).splitlines(keepends=True)
    for n_lines in range(1, len(lines)):
        with pytest.raises(ValueError, match=f"holds {n_lines - 1} vectors where its first line announces 8"):
            load_vectors(make(b"".join(lines[:n_lines])))


@pytest.mark.parametrize("write", WITH_HEADER)
@pytest.mark.parametrize("n_words", [0, 1, 7, 9, 10**6, 10**17])
def test_header_with_a_wrong_number_of_words(write, n_words, make):
    content = write(WORDS, MATRIX).replace(b"8 3\n", f"{n_words} 3\n".encode(), 1)
    for words in (None, ["cat"]):
        with pytest.raises(ValueError, match=r"vectors.* first line announces.*get the file again"):
            load_vectors(make(content), words)


@pytest.mark.parametrize("write", WITH_HEADER)
@pytest.mark.parametrize("n_dims", [1, 2, 4, 300, 10_000])
def test_header_with_a_wrong_number_of_dimensions(write, n_dims, make):
    content = write(WORDS, MATRIX).replace(b"8 3\n", f"8 {n_dims}\n".encode(), 1)
    if write in (as_word2vec_text, as_fasttext):
        message = f"line 2, word 'cat' has 3 numbers where {n_dims} were expected"
    else:
        message = "is cut short or damaged|goes on after the 8 vectors"
    with pytest.raises(ValueError, match=message):
        load_vectors(make(content))


@pytest.mark.parametrize("n_dims", [0, 10_001, 10**17])
def test_header_with_an_impossible_number_of_dimensions(n_dims, make):
    with pytest.raises(ValueError, match=f"has vectors of {n_dims} dimensions by its first line"):
        load_vectors(make(f"1 {n_dims}\ncat 1 2\n"))


@pytest.mark.parametrize("header", ["", "4 3\n"], ids=["GloVe", "word2vec"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("line", "word", "n_numbers"),
    [
        ("dog 1 2", "dog", 2),
        ("dog", "dog", 0),
        ("dog 1 2 3 4", "dog", 4),
        ("dog 0.5 1.5 2.5 3.5", "dog", 4),
        ("big dog 0.5 1.5 2.5 3.5", "big", 4),
        ("dog 1 2.5 3 0.5 1.5 2.5", "dog", 6),
        ("dog\t1\t2", "dog", 2),
        ("a dog of two 1 2", "a", 2),
        ("caf\xe9 1", "caf\xe9", 1),
        ("x" * 70 + " 1", "x" * 60, 1),
    ],
)
def test_vectors_of_unequal_length(header, newline, line, word, n_numbers, make):
    lines = [*header.splitlines(), "cat 0.1 0.2 0.3", "", line, "bird 0.1 0.2 0.3", "fish 1 2 3", ""]
    path = make(newline.join(lines))
    number = 4 if header else 3
    shown = repr(word) + ("..." if len(line) > 60 else "")
    message = (
        f"vectors of unequal length: {path}, line {number}, word {shown} has {n_numbers} numbers "
        "where 3 were expected"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        load_vectors(path)


def test_line_numbers_go_on_from_block_to_block(make, monkeypatch):
    monkeypatch.setattr(vectors_module, "_BLOCK", 100)
    path = make("2000 2\n" + "cat 1 2\n" * 998 + "dog 1\n" + "cat 1 2\n" * 1001)
    with pytest.raises(ValueError, match="line 1000, word 'dog' has 1 numbers where 2"):
        load_vectors(path)


@pytest.mark.parametrize(
    "field", ["x", "1,5", "0x1f", "1_000", "--1", "1-", "3abc", "\x00", "1.5.2", "1e", ".", "\u0663"]
)
@pytest.mark.parametrize("place", [0, 2])
def test_field_that_is_no_number(field, place, make):
    """Also in the very last place, where NumPy may have read all the numbers that it should."""
    fields = ["1", "2", "3"]
    fields[place] = field
    path = make(f"3 3\ncat 1 2 3\nbird 1 2 3\ndog {' '.join(fields)}\n")
    with pytest.raises(ValueError, match=re.escape(f"{path}, line 4: found {field!r} where a number")):
        load_vectors(path)
    assert load_vectors(path, ["cat"]).words == ["cat"]


@pytest.mark.parametrize("action", ["ignore", "error"])
@pytest.mark.parametrize("field", ["x", "3abc"])
def test_field_that_is_no_number_where_numpy_only_warns(field, action, make, monkeypatch):
    """Older versions of NumPy return what they could read, with a warning."""

    def fromstring(text, dtype, sep):
        numbers = re.match(rb"(?: ?[0-9]+)*", text)[0]
        if numbers != text:
            warnings.warn("unmatched data", DeprecationWarning, stacklevel=2)
        return np.array(numbers.split(), dtype)

    monkeypatch.setattr(np, "fromstring", fromstring)
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        check_same(load_vectors(make("cat 1 2\ndog 3 4\n")), ["cat", "dog"], [[1, 2], [3, 4]])
        with pytest.raises(ValueError, match=f"line 2: found '{field}' where a number"):
            load_vectors(make(f"cat 1 2\ndog 3 {field}\n"))


@pytest.mark.parametrize(
    "field", [b"1" * 300_000 + b"x", b"1." + b"2" * 300_000 + b"x", b"1" * 300_000 + b".x"]
)
def test_endless_digits_are_read_once(field, make):
    """A search that gave digits back one by one would take hours."""
    for before in (b"word 1 ", b"word 1 2\nother 1 "):
        with pytest.raises(ValueError, match="where a number was expected"):
            load_vectors(make(before + field))


def test_endless_field_is_shown_briefly(make):
    with pytest.raises(ValueError, match=r"line 2: found 'x{60}'\.\.\. where") as caught:
        load_vectors(make("cat 1 2\ndog 1 " + "x" * 10_000))
    assert len(str(caught.value)) < 400


@every_format
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_name_the_word(write, value, make):
    matrix = MATRIX.copy()
    matrix[3, 1] = value
    path = make(write(WORDS, matrix))
    with pytest.raises(ValueError, match=re.escape(f"{path}: the vector of 'caf\xe9' holds {value}")):
        load_vectors(path)
    assert load_vectors(path, ["cat"]).words == ["cat"]


@pytest.mark.parametrize("line", ["cat nan 2", "cat 1 -inf", "cat 1e39 2", "cat 1 Infinity"])
def test_nan_in_the_first_line_and_too_large_for_float32(line, make):
    with pytest.raises(ValueError, match=r"the vector of 'cat' holds (nan|-?inf), in float32"):
        load_vectors(make(f"{line}\ndog 1 2\n"))


@packed_or_not
@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\n\t"])
def test_empty_file(content, pack, make):
    with pytest.raises(ValueError, match="is empty: expected word vectors"):
        load_vectors(make(pack(content)))


@pytest.mark.parametrize(
    "content",
    [
        b"import os\nprint(1)\n",
        b'{"cat": [1.0, 2.0]}',
        b"<!DOCTYPE html>\n<html></html>",
        b"word,d0,d1\ncat,1,2\n",
        b"A sentence of text.\nAnother one.\n",
        b"Chapter 1\nIt was a dark night\n",
        b"cat\ndog\n",
        b"1.0 2.0 x\n",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"\0" * 1000,
        bytes(range(256)) * 4,
        "cat 1 2\n".encode("utf-16-be"),
        gzip.compress(gzip.compress(b"cat 1 2\n", mtime=0), mtime=0),
    ],
)
@pytest.mark.parametrize("words", [None, ["missing"]])
def test_files_that_are_no_vectors(content, words, make):
    path = make(content)
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))}( is no file of word vectors|, line \d)"):
        load_vectors(path, words)


def tar_of(content):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("vectors.txt")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


@packed_or_not
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04" + b"\0" * 50, "a zip archive: unpack it"),
        (b"BZh91AY&SY" + b"\0" * 50, "a bzip2 file: unpack it"),
        (b"\xfd7zXZ\0" + b"\0" * 50, "an xz file: unpack it"),
        (tar_of(b"2 2\ncat 1 2\ndog 3 4\n"), "a tar archive: unpack it"),
        (b"\x93NUMPY\x01\0", "a NumPy array without its words: load it"),
        (b"\xba\x16\x4f\x2f\x0c\0\0\0", r"a fastText model, not a file of vectors: give its \.vec"),
        ("cat 1 2\n".encode("utf-16"), "text in UTF-16: save it as UTF-8"),
        (pickle.dumps({"cat": [1]}, 4), "a pickle: load it with the library"),
    ],
    ids=["zip", "bzip2", "xz", "tar", "npy", "fastText", "UTF-16", "pickle"],
)
def test_known_files_of_another_kind_say_what_to_do(content, message, pack, make):
    with pytest.raises(ValueError, match=message):
        load_vectors(make(pack(content)))


def test_path_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_vectors(tmp_path / "missing.txt")
    with pytest.raises(OSError, match=re.escape(tmp_path.name)):
        load_vectors(tmp_path)


@given(st.data())
def test_any_bytes_give_vectors_or_a_value_error(shared_path, data):
    content = data.draw(st.sampled_from([write(WORDS, MATRIX) for write in FORMATS]))
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, len(content)))
    content = content[:start] + data.draw(st.binary(max_size=8)) + content[end:]
    if data.draw(st.booleans()):
        content = gzip.compress(content)
        content = content[: data.draw(st.integers(0, len(content)))]
    shared_path.write_bytes(content)
    try:
        vectors = load_vectors(shared_path)
    except ValueError as error:
        assert str(shared_path) in str(error)  # noqa: PT017
    else:
        assert vectors.vectors.shape == (len(vectors.words), vectors.n_dims)


def test_reading_in_threads_leaves_the_warning_filters_alone(make, monkeypatch):
    monkeypatch.setattr(vectors_module, "_BLOCK", 16)
    path = make(as_text([f"w{i}" for i in range(300)], np.ones((300, 2))))
    before = list(warnings.filters)
    seen = []
    from_string = np.fromstring

    def spy(*args, **kwargs):
        seen.append(list(warnings.filters) == before)
        return from_string(*args, **kwargs)

    monkeypatch.setattr(np, "fromstring", spy)
    threads = [threading.Thread(target=load_vectors, args=(path,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) >= 4 * 100
    assert all(seen)
    assert list(warnings.filters) == before


# Some words of a large file


@every_format
def test_words_keeps_what_lookup_can_need(write, make):
    words = ["paris", "PARIS", "Paris", "pARIS", "usa", "USA", "cat", "Usa"]
    path = make(write(words, MATRIX))
    assert load_vectors(path, ["pARIS"]).words == ["paris", "PARIS", "Paris", "pARIS"]
    assert load_vectors(path, ["paris"]).words == ["paris", "PARIS", "Paris"]
    assert load_vectors(path, (word for word in ["uSa", "cat", "cat"])).words == ["usa", "USA", "cat", "Usa"]
    tokens = ["PARIS", "uSA", "CAT", "dog"]
    for of_all, of_part in zip(
        lookup(load_vectors(path), tokens), lookup(load_vectors(path, tokens), tokens), strict=True
    ):
        np.testing.assert_array_equal(of_all, of_part)


@every_format
@pytest.mark.parametrize("words", [[], ["missing"]])
def test_none_of_the_words_is_there(write, words, make):
    vectors = load_vectors(make(write(WORDS, MATRIX)), words)
    assert vectors.words == []
    assert vectors.n_dims == 3
    assert "cat" not in vectors
    rows, found = lookup(vectors, ["cat"])
    assert rows.tolist() == [[0, 0, 0]]
    assert found.tolist() == [False]


@pytest.mark.parametrize("words", ["cat", b"cat"])
def test_words_is_no_single_string(words, make):
    with pytest.raises(TypeError, match="words is one string: expected a list"):
        load_vectors(make("cat 1 2\n"), words)


def test_words_are_strings(make):
    with pytest.raises(TypeError, match="words holds 3 of type int"):
        load_vectors(make("cat 1 2\n"), ["cat", 3])


@packed_or_not
@pytest.mark.parametrize("write", [as_text, as_binary])
def test_words_bounds_memory(write, pack, make, monkeypatch):
    n_words, n_dims = 20_000, 50
    monkeypatch.setattr(vectors_module, "_BLOCK", 1 << 16)
    monkeypatch.setattr(vectors_module, "_SAMPLE", 1 << 14)
    row = np.full((1, n_dims), 0.5, np.float32)
    line = write(["word"], row).removeprefix(b"1 50\n")
    names = (b"%d" % i for i in range(n_words))
    body = b"".join(name + line.removeprefix(b"word") for name in names)
    header = b"" if write is as_text else b"%d %d\n" % (n_words, n_dims)
    path = make(pack(header + body))
    del body

    def peak(words):
        tracemalloc.start()
        try:
            vectors = load_vectors(path, words)
            return tracemalloc.get_traced_memory()[1], len(vectors)
        finally:
            tracemalloc.stop()

    n_bytes, n_kept = peak(["17", "missing"])
    assert n_kept == 1
    assert n_bytes < 1_000_000
    if pack is bytes:
        n_bytes, n_kept = peak(None)
        assert n_kept == n_words
        assert n_bytes > n_words * n_dims * 4  # so that the bound above means something


# The container


def test_behaves_like_a_read_only_mapping(vectors):
    assert len(vectors) == len(WORDS)
    assert list(vectors) == vectors.words == WORDS
    assert vectors.n_dims == vectors.vector_size == 3
    assert repr(vectors) == "WordVectors(8 words, 3 dimensions)"
    for word, row in zip(WORDS, MATRIX, strict=True):
        assert word in vectors
        np.testing.assert_array_equal(vectors[word], row)
        assert np.shares_memory(vectors[word], MATRIX)
    for absent in ("dog", "CAT", "", "cat ", "\ud800", 3, None, b"cat"):
        assert absent not in vectors
        with pytest.raises(KeyError, match=re.escape(repr(absent))):
            vectors[absent]
    with pytest.raises(ValueError, match="read-only"):
        vectors["cat"][0] = 1
    assert MATRIX.flags.writeable  # what the caller may do with his array has not changed


def test_words_with_the_same_hash_are_distinct():
    words = ["plumless", "buckeroo"]  # a well-known collision of CRC-32
    assert len({zlib.crc32(word.encode()) for word in words}) == 1
    vectors = WordVectors(words, [[1], [2]])
    assert [vectors[word].tolist() for word in words] == [[1], [2]]
    assert WordVectors(words[:1], [[1]])._row(words[1]) == -1


def test_arrays_are_taken_as_they_are_or_converted():
    assert np.shares_memory(WordVectors(WORDS, MATRIX).vectors, MATRIX)
    read_only = MATRIX.copy()
    read_only.flags.writeable = False
    assert np.shares_memory(WordVectors(WORDS, read_only).vectors, read_only)
    for other in (
        MATRIX.astype(np.float64),
        MATRIX.astype(">f4"),
        np.asfortranarray(MATRIX),
        np.repeat(MATRIX, 2, axis=1)[:, ::2],
        MATRIX.tolist(),
    ):
        check_same(WordVectors(iter(WORDS), other), WORDS, MATRIX)
    check_same(WordVectors(np.array(["a", "b"]), np.eye(2, dtype=int)), ["a", "b"], np.eye(2))
    check_same(WordVectors([], np.zeros((0, 4))), [], np.zeros((0, 4)))


@pytest.mark.parametrize(
    ("words", "matrix", "error", "message"),
    [
        ("ab", [[1], [2]], TypeError, "words is one string"),
        (["a", 2], [[1], [2]], TypeError, "words holds 2 of type int"),
        ([b"a"], [[1]], TypeError, "words holds b'a' of type bytes"),
        (["a", "b", "a"], [[1], [2], [3]], ValueError, "vectors has the word 'a' twice"),
        (["a"], [[1], [2]], ValueError, "has 1 words and 2 vectors"),
        (["a", "b"], [[1, 2]], ValueError, "has 2 words and 1 vectors"),
        (["a", "b"], [[1, 2], [3]], ValueError, "vectors is ragged"),
        (["a"], [1.0], ValueError, r"vectors has shape \(1,\)"),
        (["a"], [[]], ValueError, r"vectors has shape \(1, 0\)"),
        ([], [], ValueError, r"vectors has shape \(0,\)"),
        (["a"], [["x"]], TypeError, "vectors is of type <U1: expected real numbers"),
        (["a"], [[1j]], TypeError, "expected real numbers"),
        (["a"], [[None]], TypeError, "expected real numbers"),
        (["a", "b"], [[1], [np.nan]], ValueError, "the vector of 'b' holds nan"),
        (["a"], [[1e39]], ValueError, "the vector of 'a' holds inf, in float32"),
        (["\ud800"], [[1]], ValueError, "half of a surrogate pair"),
    ],
)
def test_what_is_no_word_vectors(words, matrix, error, message):
    with pytest.raises(error, match=message):
        WordVectors(words, matrix)


def test_nan_far_down_a_large_array_is_found():
    matrix = np.zeros((10_000, 2), np.float32)
    matrix[9_999, 1] = np.inf
    with pytest.raises(ValueError, match="the vector of '9999' holds inf"):
        WordVectors(map(str, range(10_000)), matrix)


def test_from_dict():
    mapping = {"a": [1, 2], "b": (0.5, 1), "c": np.array([3, 4], np.float16)}
    check_same(WordVectors.from_dict(mapping), ["a", "b", "c"], [[1, 2], [0.5, 1], [3, 4]])
    check_same(WordVectors.from_dict(MappingProxyType({"a": [1]})), ["a"], [[1]])


@pytest.mark.parametrize(
    ("mapping", "error", "message"),
    [
        ({}, ValueError, "the mapping from words to vectors is empty"),
        (
            {"a": [1, 2], "b": [1]},
            ValueError,
            "unequal length: that of 'b' has 1 numbers where others have 2",
        ),
        ({"a": 1}, ValueError, r"the vector of 'a' has shape \(\): expected one dimension"),
        ({"a": [[1]]}, ValueError, r"the vector of 'a' has shape \(1, 1\)"),
        ({"a": [[1], [2, 3]]}, ValueError, "the vector of 'a' is ragged"),
        ({"a": []}, ValueError, r"the vector of 'a' has shape \(0,\)"),
        ({"a": [1], "b": ["x"]}, TypeError, "the vector of 'b' is of type <U1"),
        ({"a": [1], "b": [np.nan]}, ValueError, "the vector of 'b' holds nan"),
    ],
)
def test_mapping_that_is_no_word_vectors(mapping, error, message):
    with pytest.raises(error, match=message):
        WordVectors.from_dict(mapping)
    with pytest.raises(error, match=message):
        lookup(mapping, mapping.keys())


def test_from_dict_refuses_other_keys():
    with pytest.raises(TypeError, match="words holds 3 of type int"):
        WordVectors.from_dict({"a": [1], 3: [2]})


class Estimator(BaseEstimator):
    def __init__(self, embeddings=None):
        self.embeddings = embeddings


def test_copies_are_the_same_object(vectors):
    assert copy.copy(vectors) is vectors
    assert copy.deepcopy(vectors) is vectors
    assert copy.deepcopy({"v": [vectors]})["v"][0] is vectors
    assert clone(vectors, safe=False) is vectors
    assert clone(Estimator(vectors)).embeddings is vectors


def check_pickled(again):
    check_same(again, WORDS, MATRIX)
    assert repr(again) == "WordVectors(8 words, 3 dimensions)"
    for word, row in zip(WORDS, MATRIX, strict=True):
        np.testing.assert_array_equal(again[word], row)
    assert "dog" not in again
    assert not again.vectors.flags.writeable
    assert copy.deepcopy(again) is again


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(vectors, protocol):
    check_pickled(pickle.loads(pickle.dumps(vectors, protocol)))


def test_pickle_of_a_file_needs_the_file_no_more(make):
    path = make(as_binary(WORDS, MATRIX))
    content = pickle.dumps(load_vectors(path))
    path.unlink()
    check_pickled(pickle.loads(content))


def test_pickle_with_buffers_out_of_band(vectors):
    buffers = []
    content = pickle.dumps(vectors, 5, buffer_callback=buffers.append)
    again = pickle.loads(content, buffers=buffers)
    check_pickled(again)
    assert np.shares_memory(again.vectors, MATRIX)


@pytest.mark.parametrize("mmap_mode", [None, "r", "c"])
def test_joblib(vectors, mmap_mode, tmp_path):
    path = tmp_path / "vectors.joblib"
    joblib.dump(vectors, path)
    again = joblib.load(path, mmap_mode=mmap_mode)
    check_pickled(again)
    assert isinstance(again.vectors, np.memmap) == (mmap_mode is not None)


# Lookup


def sources(words, matrix, make):
    """The same vectors in every form that lookup takes."""
    path = make(as_text(words, matrix))
    return [
        path,
        str(path),
        dict(zip(words, matrix, strict=True)),
        MappingProxyType(dict(zip(words, matrix.tolist(), strict=True))),
        WordVectors(words, matrix),
        KeyedVectors(words, matrix),
        KeyedVectorsByItem(words, matrix),
    ]


def test_every_source_gives_the_same(make):
    tokens = ["usa", "Cat", "missing", "\u72ac", "", "cat", "CAF\xc9", "cat"]
    rows = [7, 0, None, 2, None, 0, 3, 0]
    for source in sources(WORDS, MATRIX, make):
        for given_tokens in (tokens, tuple(tokens), iter(tokens), np.array(tokens)):
            vectors, found = lookup(source, given_tokens)
            assert vectors.dtype == np.float32
            assert found.dtype == np.bool_
            assert found.tolist() == [row is not None for row in rows]
            for vector, row in zip(vectors, rows, strict=True):
                np.testing.assert_array_equal(vector, 0 if row is None else MATRIX[row])


def test_case_falls_back_in_order(make):
    matrix = np.array([[1], [2], [3], [4]], np.float32)
    words = ["pARIS", "paris", "Paris", "PARIS"]
    for first in range(4):
        for source in sources(words[first:], matrix[first:], make):
            vectors, _ = lookup(source, ["pARIS"])
            assert vectors.tolist() == [[first + 1]]
    # A token as it is written always comes first.
    for source in sources(words, matrix, make):
        assert lookup(source, words)[0].ravel().tolist() == [1, 2, 3, 4]
        assert lookup(source, ["pArIs"])[0].tolist() == [[2]]


def test_no_tokens(make):
    for source in sources(WORDS, MATRIX, make):
        vectors, found = lookup(source, [])
        assert vectors.shape == (0, 3)
        assert found.shape == (0,)


def test_result_is_a_copy_that_may_be_written_to(make):
    before = MATRIX.copy()
    for source in sources(WORDS, MATRIX, make):
        vectors, found = lookup(source, WORDS)
        vectors += 1
        found[:] = False
    np.testing.assert_array_equal(MATRIX, before)


def test_mapping_that_makes_missing_words_is_not_filled():
    mapping = defaultdict(lambda: [9.0], cat=[1.0])
    assert lookup(mapping, ["cat", "dog"])[1].tolist() == [True, False]
    assert list(mapping) == ["cat"]


def test_only_the_vectors_that_are_used_are_looked_at():
    words = {"cat": [1.0, 2.0], "bad": [np.nan], "worse": "text"}
    matrix = np.array([[1, 2], [np.nan, 0]])
    for source in (words, KeyedVectors(["cat", "bad"], matrix)):
        assert lookup(source, ["cat"])[0].tolist() == [[1, 2]]
        with pytest.raises(ValueError, match="of 'bad' h"):
            lookup(source, ["cat", "bad"])


def test_keyed_vectors_that_are_wrong():
    with pytest.raises(ValueError, match="embeddings holds no words"):
        lookup(KeyedVectors([], np.zeros((0, 3))), ["cat"])
    keyed = KeyedVectors(["cat"], np.ones((1, 2)))
    keyed.vector_size = 3
    with pytest.raises(ValueError, match="that of 'cat' has 2 numbers where others have 3"):
        lookup(keyed, ["cat"])


@pytest.mark.parametrize("embeddings", [None, 3, b"path", ["cat"], np.ones((2, 2)), {"cat"}, WordVectors])
def test_unsupported_type(embeddings):
    name = type(embeddings).__name__
    with pytest.raises(TypeError, match=f"embeddings is of type {name}: expected the path .* gensim"):
        lookup(embeddings, ["cat"])


def test_model_in_place_of_its_vectors():
    model = SimpleNamespace(wv=KeyedVectors(["cat"], np.ones((1, 2))))
    with pytest.raises(TypeError, match="for a gensim model give its attribute wv"):
        lookup(model, ["cat"])
    assert lookup(model.wv, ["cat"])[1].all()


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ("cat", "tokens is one string"),
        (b"cat", "tokens is one string"),
        (["cat", None], "tokens holds None of type NoneType"),
        ([["cat"]], r"tokens holds \['cat'\] of type list"),
    ],
)
def test_tokens_are_strings(tokens, message, vectors):
    with pytest.raises(TypeError, match=message):
        lookup(vectors, tokens)


def test_tokens_that_no_file_can_hold(make):
    for source in sources(WORDS, MATRIX, make):
        assert not lookup(source, ["\ud800", "\udcff", "a\0b", "a\nb"])[1].any()


# Real files


@pytest.mark.skipif("TEXTCNN_DATA" not in os.environ, reason="TEXTCNN_DATA names no folder of data")
def test_real_files():
    paths = sorted(Path(os.environ["TEXTCNN_DATA"]).glob("vectors/*.gz"))
    if not paths:
        pytest.skip("TEXTCNN_DATA has no vectors/*.gz")
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
            lines = file.read().splitlines()
        if len(lines[0].split(" ")) == 2:
            n_words, n_dims = map(int, lines.pop(0).split(" "))
            assert n_words == len(lines)
        else:
            n_dims = lines[0].count(" ")
        fields = [line.split(" ") for line in lines[::97]]
        vectors = load_vectors(path)
        assert vectors.vectors.shape == (len(lines), n_dims)
        assert vectors.words == [line.partition(" ")[0] for line in lines]
        for word, *numbers in fields:
            np.testing.assert_array_equal(vectors[word], np.array(numbers, np.float64).astype(np.float32))
        tokens = [word for word, *_ in fields] + ["no such word"]
        rows, found = lookup(path, tokens)
        assert found.tolist() == [True] * len(fields) + [False]
        np.testing.assert_array_equal(rows[:-1], [vectors[word] for word in tokens[:-1]])
