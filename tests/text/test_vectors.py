"""Word-vector files and the look-up of tokens."""

import copy
import gzip
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from textcnn import TextCNNClassifier, WordVectors, load_vectors
from textcnn.text.vectors import lookup

WORDS = ["the", "Paris", "naïve", "深度", "co-op"]
VECTORS = np.random.RandomState(0).normal(size=(5, 4)).astype(np.float32)


def lines():
    return [f"{w} {' '.join(repr(float(x)) for x in v)}" for w, v in zip(WORDS, VECTORS, strict=True)]


def binary():
    rows = [w.encode() + b" " + struct.pack("<4f", *v) + b"\n" for w, v in zip(WORDS, VECTORS, strict=True)]
    return b"5 4\n" + b"".join(rows)


FILES = {
    "glove.txt": "\n".join(lines()).encode() + b"\n",
    "word2vec.txt": ("5 4\n" + "\n".join(lines())).encode() + b"\n",
    "fasttext.vec": ("5 4\n" + " \n".join(lines()) + " \n").encode(),
    "crlf.txt": ("5 4\r\n" + "\r\n".join(lines()) + "\r\n").encode(),
    "word2vec.bin": binary(),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_vectors(tmp_path, name, zipped):
    path = tmp_path / (name + (".gz" if zipped else ""))
    path.write_bytes(gzip.compress(FILES[name]) if zipped else FILES[name])
    loaded = load_vectors(path)
    assert loaded.words == WORDS
    np.testing.assert_array_equal(np.stack([loaded[word] for word in WORDS]), VECTORS)
    some = load_vectors(path, words=["深度", "absent"])
    assert some.words == ["深度"]


def test_words_with_spaces(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("a 1 2\nnew york 3 4\nb 5 6\n")
    assert load_vectors(path)["new york"].tolist() == [3, 4]


def test_the_first_of_two_vectors_wins(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("a 1 2\na 3 4\n")
    assert load_vectors(path)["a"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "v.txt"),
        (b"a 1 2\nb 3\n", "line 2"),
        (b"a 1 2\nb 3 4 5\n", "line 2"),
        (b"a 1 2\nb 3 nan\n", "b"),
        (b"a 1 2\nb 3 inf\n", "b"),
        (b"just some words here\nand more of them there\n", "v.txt"),
        (b"PK\x03\x04" + b"x" * 50, "zip"),
        (gzip.compress(FILES["glove.txt"])[:-20], "v.txt"),
        (binary()[:-7], "v.txt"),
    ],
    ids=repr,
)
def test_files_that_are_wrong_are_refused(tmp_path, content, message):
    path = tmp_path / "v.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_vectors(path)


class Keyed:
    """gensim's interface."""

    vector_size = 4
    key_to_index = {word: i for i, word in enumerate(WORDS)}  # noqa: RUF012

    def __getitem__(self, word):
        return VECTORS[self.key_to_index[word]]


@pytest.mark.parametrize(
    "source",
    [dict(zip(WORDS, VECTORS, strict=True)), dict(zip(WORDS, VECTORS.tolist(), strict=True)), Keyed()],
    ids=["arrays", "lists", "gensim"],
)
def test_lookup_falls_back_on_other_cases(source):
    rows, found = lookup(source, ["paris", "THE", "qux", "深度"])
    assert found.tolist() == [True, True, False, True]
    np.testing.assert_array_equal(rows, np.stack([VECTORS[1], VECTORS[0], np.zeros(4), VECTORS[3]]))


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ({}, ValueError, "empty"),
        ({"a": [1.0], "b": [1.0, 2.0]}, ValueError, "b"),
        ({"a": [1.0, np.inf]}, ValueError, "a"),
        ({"a": "text"}, TypeError, "a"),
        (3, TypeError, "int"),
    ],
)
def test_wrong_sources_are_refused(source, error, message):
    with pytest.raises(error, match=message):
        lookup(source, ["a", "b"])


def test_word_vectors_are_shared_not_copied():
    vectors = WordVectors(WORDS, VECTORS)
    assert copy.deepcopy(vectors) is vectors
    assert clone(TextCNNClassifier(embeddings=vectors)).embeddings is vectors
    twin = pickle.loads(pickle.dumps(vectors))
    assert twin.words == WORDS
    np.testing.assert_array_equal(twin["深度"], VECTORS[3])


@pytest.mark.skipif("TEXTCNN_DATA" not in os.environ, reason="TEXTCNN_DATA names no folder of data sets")
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("word2vec.googlenews.300d.top8k.txt.gz", (8000, 300)),
        ("glove.100d.top10k.q8.txt.gz", (10000, 100)),
        ("tencent.chars.200d.thucnews.txt.gz", (4729, 200)),
    ],
)
def test_published_files(name, shape):
    vectors = load_vectors(Path(os.environ["TEXTCNN_DATA"]) / "vectors" / name)
    assert (len(vectors), vectors.n_dims) == shape
