"""Features of distinct tokens: words, characters, affixes and shapes."""

import numpy as np
import pytest
from checks import THREADS, read_only
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from textcnn import _reference as reference
from textcnn._kernels import _tokens
from textcnn._kernels._text import TokenTable

HARD_TOKENS = [
    "",
    "\0",
    "a\0b",
    "\ud800",
    "x\udfff\ud800y",
    "İstanbul",
    "ΣΊΣΥΦΟΣ",
    "ȺȺȺȺ",  # two bytes each, three in lower case
    "e\u0301te\u0301",
    "\u0301",
    "中文和日本語かな",
    "２００８年",
    "U.S.",
    "1996-08-22",
    "......",
    "iPhone",
    "\U0001f600\U0001f600",
    "\U0001e900\U0010ffff",
    "A" * 128 + "b" * 128,
    "a" * 257,
    "Ⱥ" * 129,
    "Ⱥ" * 5000,
    "中" * 300 + "z",
]
tokens_of_any_kind = st.text(st.integers(0, 0x10FFFF).map(chr), max_size=12)
likely_tokens = st.text("aAbB1.-'\u0301éÉ中か\U0001f600\ud800\0", max_size=30)


def utf8(tokens):
    encoded = [token.encode("utf-8", "surrogatepass") for token in tokens]
    offsets = np.cumsum([0, *map(len, encoded)]).astype(np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8), offsets


def int32(values):
    return np.array(values, np.int32)


def features(
    tokens,
    words=("the", "a", "", "中"),
    lowercase=True,
    char_codes=(),
    max_chars=20,
    prefix_lengths=(2, 3),
    suffix_lengths=(1, 2, 3, 4),
    shape=True,
    n_buckets=1000,
    n_threads=1,
):
    lengths = int32(prefix_lengths), int32(suffix_lengths)
    return _tokens.token_features(
        *utf8(tokens),
        TokenTable(*utf8(words)),
        lowercase,
        int32(char_codes),
        max_chars,
        *lengths,
        shape,
        n_buckets,
        n_threads,
    )


def assert_equals_the_reference(tokens, **options):
    defaults = {
        "words": ("the", "a", "", "中"),
        "lowercase": True,
        "char_codes": (),
        "max_chars": 20,
        "prefix_lengths": (2, 3),
        "suffix_lengths": (1, 2, 3, 4),
        "shape": True,
        "n_buckets": 1000,
    }
    expected = reference.token_features(tokens, **(defaults | options))
    for actual, wanted in zip(features(tokens, **options), expected, strict=True):
        assert actual.dtype == wanted.dtype
        assert_array_equal(actual, wanted, strict=True)


@given(
    tokens=st.lists(st.one_of(tokens_of_any_kind, likely_tokens), max_size=8),
    lowercase=st.booleans(),
    shape=st.booleans(),
    max_chars=st.integers(0, 9),
    prefix_lengths=st.lists(st.integers(1, 6), max_size=3),
    suffix_lengths=st.lists(st.integers(1, 6), max_size=3),
    n_buckets=st.sampled_from([1, 2, 1000, 2**20]),
    data=st.data(),
)
@settings(max_examples=300, deadline=None)
def test_features_equal_the_reference(tokens, data, **options):
    known = [token for token in tokens if data.draw(st.booleans())]
    words = list(
        dict.fromkeys(reference.lower(token) if data.draw(st.booleans()) else token for token in known)
    )
    char_codes = sorted({ord(char) for token in known for char in token})
    assert_equals_the_reference(tokens, words=words, char_codes=char_codes, **options)


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("max_chars", [0, 1, 2, 3, 7, 20, 256, 10_000])
def test_hard_tokens(lowercase, max_chars):
    words = list(dict.fromkeys([*HARD_TOKENS, *map(reference.lower, HARD_TOKENS)]))
    char_codes = sorted({ord(char) for token in HARD_TOKENS for char in token})[::2]
    assert_equals_the_reference(
        HARD_TOKENS,
        words=words,
        lowercase=lowercase,
        char_codes=char_codes,
        max_chars=max_chars,
        prefix_lengths=(1, 3, 200, 5000, 2**31 - 1),
        suffix_lengths=(2**31 - 1, 200, 4, 1),
    )
    found = features(HARD_TOKENS, words=words, lowercase=lowercase)[0]
    wanted = [reference.lower(token) if lowercase else token for token in HARD_TOKENS]
    assert [words[number - 1] for number in found] == wanted


def test_every_code_point_has_its_shape_and_lower_case_form():
    tokens = [chr(code) + "\0" for code in range(0, 0x110000, 7)]
    assert_equals_the_reference(tokens, n_buckets=2**28, suffix_lengths=(2,), prefix_lengths=(1,))


@given(code=st.integers(0, 0x10FFFF), codes=st.sets(st.integers(0, 0x10FFFF), max_size=40))
@example(code=0x10FFFF, codes={0x10FFFF})
@example(code=0, codes={0})
def test_characters_are_found(code, codes):
    codes = sorted(codes)
    _, chars, _, _ = features([chr(code)], char_codes=codes)
    assert chars.tolist() == [1, codes.index(code) + 3 if code in codes else 0, 2]


@pytest.mark.parametrize(
    ("token", "shape"),
    [
        ("Mr.", "Xx."),
        ("1996-08-22", "dddd-dd-dd"),
        ("iPhone", "xXxxxx"),
        ("Bloomington", "Xxxxx"),
        ("NATO", "XXXX"),
        ("UNESCO", "XXXX"),
        ("10,000,000", "dd,ddd,ddd"),
        ("123456", "dddd"),
        ("--", "--"),
        (".......", "...."),
        ("été", "xxx"),
        ("e\u0301te\u0301", "xxx"),
        ("Москва", "Xxxxx"),
        ("हिन्दी", "xxx"),
        ("中国", "cc"),
        ("２００８年", "ddddc"),
        ("カメラ", "ccc"),
        ("\U0001f600", "\U0001f600"),
        ("a\0\0\0\0\0b", "x\0\0\0\0x"),
        ("", ""),
    ],
)
def test_shapes(token, shape):
    assert reference.word_shape(token) == shape
    row = features([token], prefix_lengths=(), suffix_lengths=(), n_buckets=2**31 - 1)[3]
    assert row.tolist() == [[reference.stable_hash(shape) % (2**31 - 1)]]


def test_hashes_are_fnv_1a_and_the_final_mix_of_murmur_hash_3():
    # FNV-1a of "foobar" is 0x85944171F73967E8 in the test vectors of its authors.
    mixed = 0x85944171F73967E8
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        mixed = (mixed ^ mixed >> 33) * factor % 2**64
    assert reference.stable_hash("foobar") == mixed ^ mixed >> 33


def test_hashes_do_not_change():
    # Model files depend on these numbers.
    rows = features(["foobar", ""], prefix_lengths=(3, 6), suffix_lengths=(3,), n_buckets=2**20)[3]
    assert rows.tolist() == [
        [531788, 1140523, 2109677, 3709735],
        [600358, 1648934, 2697510, 3746086],
    ]


def test_a_word_of_n_characters_has_n_and_two_numbers():
    _, chars, offsets, _ = features(["abc", "", "ca"], char_codes=[ord("a"), ord("c")])
    assert chars.tolist() == [1, 3, 0, 4, 2, 1, 2, 1, 4, 3, 2]
    assert offsets.tolist() == [0, 5, 7, 11]


@pytest.mark.parametrize(
    ("max_chars", "kept"), [(1, "a"), (2, "ag"), (3, "abg"), (4, "abfg"), (6, "abcefg"), (7, "abcdefg")]
)
def test_a_long_word_is_cut_in_its_middle(max_chars, kept):
    codes = [ord(char) for char in "abcdefg"]
    _, chars, _, _ = features(["abcdefg"], char_codes=codes, max_chars=max_chars)
    assert chars.tolist() == [1, *(codes.index(ord(char)) + 3 for char in kept), 2]


def test_rows_of_attributes_do_not_overlap():
    rows = features(["a"] * 3 + ["b", "zebra"], n_buckets=5)[3]
    assert_array_equal(rows // 5, np.tile(np.arange(7), (5, 1)))
    assert_array_equal(rows[0], rows[1])


def test_the_same_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefgABCDEFG123.-é中Ⱥ"))
    tokens = ["".join(rng.choice(letters, rng.integers(0, 20))) for _ in range(20_000)]
    tokens[7777] = "É" * 40_000
    options = {"words": sorted({token.lower() for token in tokens[:5000]}), "char_codes": [97, 98, 0x4E2D]}
    one = features(tokens, **options)
    for n_threads in THREADS[1:]:
        for actual, expected in zip(features(tokens, **options, n_threads=n_threads), one, strict=True):
            assert_array_equal(actual, expected)


def test_no_tokens_and_no_features():
    words, chars, offsets, hashed = features([])
    assert (words.shape, chars.shape, offsets.tolist(), hashed.shape) == ((0,), (0,), [0], (0, 7))
    words, chars, offsets, hashed = features(
        ["a", ""], words=(), max_chars=0, prefix_lengths=(), suffix_lengths=(), shape=False, n_threads=2
    )
    assert words.tolist() == [0, 0]
    assert (chars.shape, offsets.tolist(), hashed.shape) == ((0,), [0, 0, 0], (2, 0))


def test_inputs_may_be_read_only():
    arrays = [read_only(array) for array in (*utf8(["The", "x"]), int32([97]), int32([1]), int32([2]))]
    table = TokenTable(*utf8(["the"]))
    words, _, _, _ = _tokens.token_features(
        arrays[0], arrays[1], table, True, arrays[2], 5, arrays[3], arrays[4], True, 10
    )
    assert words.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"token_offsets": np.array([], np.int64)}, "rise from 0"),
        ({"token_offsets": np.array([1, 3])}, "rise from 0"),
        ({"token_offsets": np.array([0, 4])}, "rise from 0"),
        ({"token_offsets": np.array([0, 2, 1, 3])}, "never fall"),
        ({"token_offsets": np.array([0, 2**62, 3])}, "never fall"),
        ({"token_offsets": np.array([0, -5, 3])}, "never fall"),
        ({"token_bytes": np.array([97, 0xE4, 0xB8], np.uint8)}, "token 0 is not valid UTF-8"),
        ({"char_codes": int32([98, 97])}, "rising order"),
        ({"char_codes": int32([97, 97])}, "rising order"),
        ({"char_codes": int32([-1])}, "rising order"),
        ({"char_codes": int32([0x110000])}, "rising order"),
        ({"max_chars": -1}, "max_chars"),
        ({"prefix_lengths": int32([2, 0])}, "prefix"),
        ({"suffix_lengths": int32([-1])}, "suffix"),
        ({"n_buckets": 0}, "n_buckets"),
        ({"n_buckets": 2**30}, "n_buckets"),
    ],
)
def test_wrong_arguments_are_refused(changes, message):
    token_bytes, token_offsets = utf8(["abc"])
    right = {
        "token_bytes": token_bytes,
        "token_offsets": token_offsets,
        "table": TokenTable(*utf8(["the"])),
        "lowercase": True,
        "char_codes": int32([97]),
        "max_chars": 20,
        "prefix_lengths": int32([2]),
        "suffix_lengths": int32([3]),
        "shape": True,
        "n_buckets": 100,
    }
    with pytest.raises(ValueError, match=message):
        _tokens.token_features(**(right | changes))


def test_a_table_is_needed():
    with pytest.raises(TypeError, match="table"):
        _tokens.token_features(*utf8(["a"]), None, True, int32([]), 5, int32([1]), int32([1]), True, 10)
