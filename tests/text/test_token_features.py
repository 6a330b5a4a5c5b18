"""TokenEncoder: from token lists to features of distinct tokens."""

import copy
import json
import pickle
import random
import threading
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from textcnn import _reference as reference
from textcnn.text.token_features import TokenEncoder
from textcnn.text.vocabulary import Vocabulary

SENTENCES = [["The", "cat", "sat"], [], ["the", "dog", "SAT", ",", "THE", "end", ""], [""], ["Σ", "σ"]]
tokens_of_any_kind = st.text(st.integers(0, 0x10FFFF).map(chr), max_size=8)
likely_tokens = st.text("aAbB1.İéÉ中\ud800\0", max_size=4)
sentences_of_any_kind = st.lists(
    st.lists(st.one_of(tokens_of_any_kind, likely_tokens), max_size=6), max_size=5
)


def expected_words(sentences, lowercase=True, min_count=1, max_features=None, known=()):
    uses = Counter(reference.lower(t) if lowercase else t for tokens in sentences for t in tokens)
    taken = [word for word, count in uses.items() if count >= min_count and word not in known]
    return sorted(taken, key=lambda word: (-uses[word], word))[:max_features]


def assert_encoded(encoded, encoder, sentences):
    """Every array is what the reference makes of each token by itself."""
    tokens = [token for sentence in sentences for token in sentence]
    assert encoded.types.dtype == np.int32
    assert encoded.offsets.dtype == np.intp
    assert encoded.offsets.tolist() == np.cumsum([0, *map(len, sentences)]).tolist()
    words, chars, char_offsets, hashed = reference.token_features(
        tokens, encoder.words, char_codes=[ord(char) for char in encoder.characters], **encoder.config
    )
    features = encoded.features
    assert len(features) == len(set(tokens)) == len(features.char_offsets) - 1
    assert_array_equal(features.words[encoded.types], words)
    known = {
        value: row for row, value in enumerate(encoder.to_arrays()["attribute_values"].tolist(), start=1)
    }
    rows = [[known.get(value, 0) for value in values] for values in hashed.tolist()]
    assert_array_equal(features.hashed[encoded.types], np.array(rows, np.int32).reshape(hashed.shape))
    for i, number in enumerate(encoded.types):
        assert_array_equal(
            features.chars[features.char_offsets[number] : features.char_offsets[number + 1]],
            chars[char_offsets[i] : char_offsets[i + 1]],
        )


def assert_same_encoding(actual, expected):
    pairs = [(actual.types, expected.types), (actual.offsets, expected.offsets)]
    pairs += [(vars(actual.features)[name], array) for name, array in vars(expected.features).items()]
    for array, other in pairs:
        assert_array_equal(array, other, strict=True)


def many_sentences(n=3000, seed=0):
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdeABC1.-é中", k=rng.randint(0, 12))) for _ in range(4000)]
    return [rng.choices(words, k=rng.randint(0, 60)) for _ in range(n)]


# Building and encoding


@given(
    sentences=sentences_of_any_kind,
    others=sentences_of_any_kind,
    lowercase=st.booleans(),
    min_count=st.integers(1, 3),
    max_features=st.sampled_from([None, 1, 3]),
    max_chars=st.sampled_from([0, 3, 30]),
)
@settings(max_examples=200, deadline=None)
def test_build_and_encode_equal_the_reference(
    sentences, others, lowercase, min_count, max_features, max_chars
):
    encoder, encoded = TokenEncoder.build(
        sentences,
        lowercase=lowercase,
        min_count=min_count,
        max_features=max_features,
        max_chars=max_chars,
        n_buckets=50,
    )
    assert encoder.words == expected_words(sentences, lowercase, min_count, max_features)
    assert encoder.characters == "".join(sorted({char for tokens in sentences for t in tokens for char in t}))
    assert_encoded(encoded, encoder, sentences)
    assert_encoded(encoder.encode(others), encoder, others)
    assert_encoded(encoder.encode(sentences + others), encoder, sentences + others)


def test_words_are_lower_cased_by_fixed_tables():
    encoder, _ = TokenEncoder.build(SENTENCES)
    assert encoder.words == ["the", "", "sat", "σ", ",", "cat", "dog", "end"]
    assert encoder.vocabulary["sat"] == 3
    encoder, _ = TokenEncoder.build([["İ", "i", "ΟΔΟΣ"]])
    assert encoder.words == ["i", "οδοσ"]


def test_words_as_written():
    encoder, encoded = TokenEncoder.build([["The", "the", "The"]], lowercase=False)
    assert encoder.words == ["The", "the"]
    assert encoded.features.words[encoded.types].tolist() == [1, 2, 1]


def test_uses_of_all_forms_of_a_word_count():
    encoder, encoded = TokenEncoder.build([["A", "a", "b"], ["B", "c", "A"]], min_count=2)
    assert encoder.words == ["a", "b"]
    assert encoded.features.words[encoded.types].tolist() == [1, 1, 2, 2, 0, 1]
    assert TokenEncoder.build([["A", "a", "b"]], max_features=1)[0].words == ["a"]


def test_rare_characters_are_left_out():
    encoder, encoded = TokenEncoder.build([["ab", "a"], ["a", "cb"]], char_min_count=2)
    assert encoder.characters == "ab"
    assert encoder.n_chars == 5
    chars, offsets = encoded.features.chars, encoded.features.char_offsets
    assert chars[offsets[2] : offsets[3]].tolist() == [1, 0, 4, 2]


def test_numbers_stay_within_their_sizes():
    encoder, encoded = TokenEncoder.build(many_sentences(200), min_count=2, char_min_count=50, n_buckets=7)
    features = encoded.features
    assert (encoder.n_attributes, encoder.n_rows) == (7, 49)
    for array, size in [
        (features.words, encoder.n_words),
        (features.chars, encoder.n_chars),
        (features.hashed, encoder.n_rows),
    ]:
        assert array.min() >= 0
        assert array.max() == size - 1


@pytest.mark.parametrize("sentences", [[], [[]], [[], []], [()]])
def test_no_tokens(sentences):
    encoder, encoded = TokenEncoder.build(sentences)
    assert (encoder.words, encoder.characters, encoder.n_words, encoder.n_chars) == ([], "", 1, 3)
    assert_encoded(encoded, encoder, sentences)
    assert_encoded(encoder.encode([["a"], *sentences]), encoder, [["a"], *sentences])


def test_features_may_be_left_out():
    encoder, encoded = TokenEncoder.build(
        SENTENCES, max_chars=0, prefix_lengths=(), suffix_lengths=[], shape=False
    )
    assert encoded.features.chars.shape == (0,)
    assert encoded.features.hashed.shape == (len(encoded.features), 0)
    assert_encoded(encoded, encoder, SENTENCES)


def test_sentences_may_be_tuples_of_subclasses_of_str_in_any_iterable():
    class Name(str):
        pass

    encoder = TokenEncoder(["a", "b"])
    for sentences in ((("A", "b"), ["b"]), iter([["A", "b"], ("b",)]), [(Name("A"), "b"), [Name("b")]]):
        assert_encoded(encoder.encode(sentences), encoder, [["A", "b"], ["b"]])


def test_the_same_for_any_number_of_threads():
    sentences = many_sentences()
    encoder, encoded = TokenEncoder.build(sentences, min_count=20)
    for n_threads in (1, 2, 3):
        other, again = TokenEncoder.build(sentences, min_count=20, n_threads=n_threads)
        assert other.words == encoder.words
        assert_same_encoding(again, encoded)
        assert_same_encoding(encoder.encode(sentences, n_threads), encoded)


def test_threads_of_python_share_an_encoder():
    sentences = many_sentences(300)
    encoder, encoded = TokenEncoder.build(sentences)
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(encoder.encode(sentences, n_threads=2)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for result in results:
        assert_same_encoding(result, encoded)


def test_input_is_not_changed():
    sentences = copy.deepcopy(SENTENCES)
    encoder, _ = TokenEncoder.build(sentences)
    encoder.extend(sentences)
    encoder.encode(sentences)
    assert sentences == SENTENCES


# Extending


def test_extend_keeps_old_numbers_and_adds_by_use():
    encoder, encoded = TokenEncoder.build(SENTENCES)
    before = encoder.words
    new = [["Zoo", "yak"], ["zoo", "the", "xi", "yak"]]
    assert encoder.extend(new) == 3
    assert encoder.words == [*before, "yak", "zoo", "xi"]
    assert encoder.extend(new) == 0
    assert_same_encoding(encoder.encode(SENTENCES), encoded)
    assert_encoded(encoder.encode(new), encoder, new)


@given(
    first=sentences_of_any_kind,
    second=sentences_of_any_kind,
    lowercase=st.booleans(),
    min_count=st.integers(1, 2),
    max_features=st.sampled_from([None, 2]),
)
@settings(max_examples=100, deadline=None)
def test_extend_equals_the_reference(first, second, lowercase, min_count, max_features):
    encoder, _ = TokenEncoder.build(first, lowercase=lowercase)
    old, characters = encoder.words, encoder.characters
    new = expected_words(second, lowercase, min_count, max_features, known=old)
    assert encoder.extend(second, min_count=min_count, max_features=max_features) == len(new)
    assert encoder.words == old + new
    assert encoder.characters == characters


def test_failed_extend_changes_nothing():
    encoder = TokenEncoder(["a"])
    with pytest.raises(TypeError, match=r"X\[1\]"):
        encoder.extend([["b"], None])
    assert encoder.words == ["a"]


# Arrays and pickles


@given(
    words=st.lists(tokens_of_any_kind, unique=True, max_size=10),
    characters=tokens_of_any_kind,
    lowercase=st.booleans(),
    lengths=st.lists(st.integers(1, 5), max_size=3),
)
@settings(max_examples=100, deadline=None)
def test_round_trip(words, characters, lowercase, lengths):
    encoder = TokenEncoder(
        words, characters, lowercase=lowercase, prefix_lengths=lengths, max_chars=5, n_buckets=9
    )
    for other in (
        TokenEncoder.from_arrays(encoder.to_arrays(), json.loads(json.dumps(encoder.config))),
        pickle.loads(pickle.dumps(encoder)),
        copy.deepcopy(encoder),
    ):
        assert (other.words, other.characters, other.config) == (words, encoder.characters, encoder.config)
        assert_same_encoding(other.encode([words]), encoder.encode([words]))


def test_arrays_are_copied_both_ways():
    encoder = TokenEncoder(["ab"], "ab")
    arrays = encoder.to_arrays()
    other = TokenEncoder.from_arrays(arrays, encoder.config)
    for array in arrays.values():
        array[:] = 0
    assert (other.words, other.characters) == (encoder.words, encoder.characters) == (["ab"], "ab")


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("word_bytes", np.array([98, 0xFF], np.uint8), "UTF-8"),
        ("word_bytes", np.array([97, 98], np.int8), "uint8"),
        ("word_bytes", np.array([98], np.uint8), "rise from 0"),
        ("word_offsets", np.array([0, 3, 2]), "never fall"),
        ("word_offsets", np.array([0, 1, 1, 1, 2]), "twice"),
        ("word_offsets", None, "NoneType"),
        ("char_codes", np.array([97], np.int64), "int32"),
        ("char_codes", np.array([[97]], np.int32), "1-D"),
        ("char_codes", [97], "list"),
        ("char_codes", np.array([98, 97], np.int32), "rising"),
        ("char_codes", np.array([97, 97], np.int32), "rising"),
        ("char_codes", np.array([-1, 97], np.int32), "rising"),
        ("char_codes", np.array([97, 0x110000], np.int32), "rising"),
    ],
)
def test_from_arrays_refuses_arrays(name, array, message):
    encoder = TokenEncoder(["a", "b"], "a")
    with pytest.raises(ValueError, match=message):
        TokenEncoder.from_arrays(encoder.to_arrays() | {name: array}, encoder.config)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lowercase", 1),
        ("shape", None),
        ("max_chars", -1),
        ("max_chars", 2.5),
        ("prefix_lengths", [0]),
        ("prefix_lengths", "23"),
        ("prefix_lengths", None),
        ("suffix_lengths", [1, True]),
        ("suffix_lengths", ["1"]),
        ("n_buckets", 0),
        ("n_buckets", 2**30),
        ("n_buckets", "many"),
    ],
)
def test_from_arrays_refuses_parameters(name, value):
    encoder = TokenEncoder(["a", "b"], "a")
    with pytest.raises(ValueError, match=name):
        TokenEncoder.from_arrays(encoder.to_arrays(), encoder.config | {name: value})


def test_from_arrays_refuses_other_names():
    encoder = TokenEncoder(["a"], "a")
    arrays, config = encoder.to_arrays(), encoder.config
    with pytest.raises(ValueError, match=r"but found word_bytes, word_offsets$"):
        TokenEncoder.from_arrays({name: arrays[name] for name in list(arrays)[:2]}, config)
    with pytest.raises(ValueError, match=r"but found .*colour$"):
        TokenEncoder.from_arrays(arrays, config | {"colour": 1})
    with pytest.raises(ValueError, match=r"but found none$"):
        TokenEncoder.from_arrays(arrays, {})


def test_pickle_of_another_format_is_refused():
    state = TokenEncoder(["a"]).__getstate__()
    with pytest.raises(ValueError, match="format 99"):
        TokenEncoder.__new__(TokenEncoder).__setstate__({**state, "format": 99})


# Wrong calls


@pytest.mark.parametrize(
    ("sentences", "error", "message"),
    [
        ("a text", ValueError, "single str"),
        (b"bytes", ValueError, "single bytes"),
        ([["a"], "b c"], TypeError, r"X\[1\] is of type str"),
        ([["a"], None], TypeError, r"X\[1\] is None"),
        ([["a"], 3], TypeError, r"X\[1\] is of type int"),
        ([["a"], [], ["b", None]], TypeError, r"X\[2\]\[1\] is None"),
        ([["a", b"b"]], TypeError, r"X\[0\]\[1\] is bytes"),
        ([["a", 1.5]], TypeError, r"X\[0\]\[1\] is float 1.5"),
    ],
)
def test_what_is_no_list_of_token_lists_is_refused(sentences, error, message):
    encoder = TokenEncoder(["a"])
    for call in (TokenEncoder.build, encoder.encode, encoder.extend):
        with pytest.raises(error, match=message):
            call(sentences)
    assert encoder.words == ["a"]


@pytest.mark.parametrize(
    "options",
    [{"min_count": 0}, {"max_features": 0}, {"char_min_count": 0}, {"n_threads": 0}, {"n_buckets": -1}],
)
def test_parameters_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        TokenEncoder.build([["a"]], **options)


def test_words_that_come_twice_or_are_no_str_are_refused():
    with pytest.raises(ValueError, match="twice"):
        TokenEncoder(["a", "a"])
    with pytest.raises(TypeError, match="token 1"):
        TokenEncoder(["a", None])


def test_vocabulary_and_repr():
    encoder = TokenEncoder(["a", "b"], "xyz", shape=False)
    assert isinstance(encoder.vocabulary, Vocabulary)
    assert encoder.vocabulary.to_dict() == {"a": 1, "b": 2}
    assert repr(encoder) == "<TokenEncoder of 3 words, 6 characters and 6 attributes>"
