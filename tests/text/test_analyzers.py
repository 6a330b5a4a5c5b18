"""The rules of tokens, and the compiled scanner against the analyzers in plain Python."""

import random
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from textcnn._kernels import _text
from textcnn.text.analyzers import (
    CLASS_LETTERS,
    SHAPES,
    UNICODE_VERSION,
    CharAnalyzer,
    WordAnalyzer,
    shape,
)
from textcnn.text.vocabulary import Vocabulary

REFERENCES = {"word": WordAnalyzer, "char": CharAnalyzer}

# One or two of each class and of each width, so that short strings meet every rule.
TELLING = (
    "aZ9_-.'’ \t\n\0\x85\xa0\xad\xe9\xc9\xdf\xb5\xff\u0130\u0131\u03a3\u212a\u0178\u01c5"  # Latin, Greek
    "\u0301\u0338\u20e3\u093f\u094d\u0915\u0e01\u0e31\u0640\u064b\u06a9"  # marks, Devanagari, Thai, Arabic
    "\u200b\u200c\u200d\u200e\u2060\ufeff\ufe0f\U000e0100\U000e0067"  # invisible signs
    "\u4e2d\u3005\u3007\u304b\u3099\u30ab\u30fc\uff76\ud55c\u1112\uf900\U00020000\U0003134b"  # East Asia
    "\u2764\U0001f468\U0001f3fd\ud800\udbff\udc00\udfff\ue000\u0378\ufffe\U0010ffff\U00010400\U0001e900"
)
characters = st.one_of(
    st.sampled_from(TELLING),
    st.characters(max_codepoint=0x7F),
    st.characters(max_codepoint=0xFF),
    st.integers(0, sys.maxunicode).map(chr),  # every plane, lone surrogates too
)
strings = st.one_of(
    st.text(characters, max_size=60),
    st.text(st.sampled_from(TELLING), max_size=30),
    st.text(st.characters(max_codepoint=0x7F), max_size=60),
    st.text(st.characters(max_codepoint=0xFF), max_size=60),
)


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("analyzer", ["word", "char"])
@given(text=strings)
@settings(max_examples=300, deadline=None)
@example(text="")
@example(text="\0")
@example(text="\ud83d\ude00")
@example(text="a'\u0301b a\u200d\u200d\u0301 a'\u200db")
def test_compiled_scanner_equals_reference(text, analyzer, lowercase):
    reference = REFERENCES[analyzer](lowercase)
    vocabulary = Vocabulary(analyzer=analyzer, lowercase=lowercase)
    assert [*map(tuple, vocabulary.spans(text).tolist())] == reference.spans(text)
    tokens = reference.tokens(text)
    assert vocabulary.tokens(text) == tokens

    built, ids, offsets = Vocabulary.build([text], analyzer=analyzer, lowercase=lowercase)
    assert [built.id_to_token[i] for i in ids] == tokens
    assert offsets.tolist() == [0, len(tokens)]
    assert built.encode([text])[0].tolist() == ids.tolist()


@pytest.mark.parametrize("analyzer", ["word", "char"])
def test_every_code_point_alone_and_within_a_word(analyzer):
    reference, vocabulary = REFERENCES[analyzer](), Vocabulary(analyzer=analyzer)
    for start in range(0, sys.maxunicode + 1, 0x4000):
        codes = range(start, min(start + 0x4000, sys.maxunicode + 1))
        text = "".join(f"a{chr(code)}b {chr(code)} " for code in codes if code < 0x3400 or code % 61 == 0)
        assert vocabulary.tokens(text) == reference.tokens(text)
        assert [*map(tuple, vocabulary.spans(text).tolist())] == reference.spans(text)


@pytest.mark.parametrize(
    "text",
    [
        "It isn't, Is it? " * 60_000,
        "\xc9" * 1_000_000,
        "Ma\u0301'\u4e2d " * 50_000,
        "\U0001f600 Word\ud800" * 50_000,
        "a'" * 500_000,
        "a" + "\u200d" * 1_000_000,
        "!" + "\u0301" * 1_000_000,
        " " * 1_000_000,
    ],
    ids=["ascii", "one Latin-1 word", "width 2", "width 4", "apostrophes", "joiners", "marks", "spaces"],
)
def test_megabytes(text):
    tokens = WordAnalyzer().tokens(text)
    built, ids, _ = Vocabulary.build([text])
    names = built.id_to_token
    assert [names[i] for i in ids] == tokens
    assert built.encode([text])[0].tolist() == ids.tolist()


def test_megabytes_of_characters():
    text = "It isn't 中\t \n" * 50_000
    tokens = CharAnalyzer().tokens(text)
    built, ids, _ = Vocabulary.build([text], analyzer="char")
    names = built.id_to_token
    assert [names[i] for i in ids] == tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("It isn’t 'so', dogs' 3.14 x_y", "it|isn’t|'|so|'|,|dogs|'|3|.|14|x|_|y"),
        ("L'été, NAÏVE ça e\u0301te\u0301", "l'été|,|naïve|ça|e\u0301te\u0301"),
        ("Straße İ ΟΔΟΣ", "straße|i|οδοσ"),
        ("中国很大，三〇年。", "中|国|很|大|，|三|〇|年|。"),
        ("人々はカタカナ。か\u3099ー", "人|々|は|カ|タ|カ|ナ|。|か\u3099|ー"),
        ("한국어를 배워요!", "한국어를|배워요|!"),
        ("हिन्दी में लिखा।", "हिन्दी|में|लिखा|।"),
        ("العَرَبِيَّةُ، جميلة", "العَرَبِيَّةُ|،|جميلة"),
        ("می\u200cخواهم \u200fبروم\u200e", "می\u200cخواهم|بروم"),
        ("ภาษาไทย ก็\u200bดี", "ภาษาไทย|ก็|ดี"),
        ("I ❤\ufe0f you 👨\u200d👩\u200d👧 👍🏽", "i|❤|you|👨|👩|👧|👍|🏽"),
        ("\ufeffab\0cd\x85ef", "ab|cd|ef"),
        ("a\ud800b\ue000\u0378", "a|\ud800|b|\ue000|\u0378"),
        ("\u0301a \u0301", "\u0301a|\u0301"),
        ("", ""),
    ],
)
def test_tokens_of_languages(text, tokens):
    expected = tokens.split("|") if tokens else []
    assert WordAnalyzer().tokens(text) == expected
    assert Vocabulary().tokens(text) == expected


def test_analyzers_are_callables():
    assert WordAnalyzer(lowercase=False)("A b") == ["A", "b"]
    assert CharAnalyzer()("A \tb\0") == ["a", " ", "b", " "]


def test_char_analyzer_equals_count_vectorizer_on_plain_text():
    text_module = pytest.importorskip("sklearn.feature_extraction.text")
    analyze = text_module.CountVectorizer(analyzer="char").build_analyzer()
    for text in ["One  two\n\nthree ", "", "  中文 a"]:
        assert Vocabulary(analyzer="char").tokens(text) == analyze(text)


@pytest.mark.skipif(
    unicodedata.unidata_version != UNICODE_VERSION, reason="this Python has another Unicode version"
)
def test_tables_equal_unicodedata():
    names = {"L": "WS", "N": "WS", "M": "MF", "P": "SA", "S": "S", "Z": "Z"}
    others = {"Cc": "Z", "Cf": "FZ", "Cs": "S", "Co": "S", "Cn": "S"}
    for code in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        allowed = others.get(category) or names[category[0]]
        assert CLASS_LETTERS[_text.char_class(code)] in allowed, hex(code)
        lower = chr(code).lower()
        assert _text.simple_lower(code) == (ord(lower) if len(lower) == 1 else ord("i")), hex(code)


def test_tables_on_characters_that_no_version_changes():
    letters = {"a": "W", "9": "W", "\u0301": "M", "'": "A", "’": "A", "_": "S", "中": "S", "\u200d": "F"}
    letters |= {"\ufe0f": "F", " ": "Z", "\0": "Z", "\u200b": "Z", "\ud800": "S", "か": "S", "한": "W"}
    for char, letter in letters.items():
        assert CLASS_LETTERS[_text.char_class(ord(char))] == letter, hex(ord(char))
    pairs = {"A": "a", "É": "é", "İ": "i", "Σ": "σ", "K": "k", "Ÿ": "ÿ", "𐐀": "𐐨", "ß": "ß", "中": "中"}
    for char, lower in pairs.items():
        assert chr(_text.simple_lower(ord(char))) == lower


@pytest.mark.parametrize("code", [-1, sys.maxunicode + 1])
def test_what_is_no_code_point_is_refused(code):
    for function in (_text.char_class, _text.simple_lower):
        with pytest.raises(ValueError, match="not a code point"):
            function(code)


# Shapes


def shapes_of(texts, analyzer, n_threads=1):
    """Names of the shapes of all tokens, by the compiled code."""
    codes = _text.token_shapes(texts, analyzer, n_threads)
    assert codes.dtype == np.int32
    return [SHAPES[code] for code in codes]


def expected_shapes(texts, analyzer):
    """Those of each token as written."""
    cut = REFERENCES[analyzer](lowercase=False).tokens
    return [shape(token) for text in texts for token in (cut(text) if isinstance(text, str) else text)]


@pytest.mark.parametrize("analyzer", ["word", "char"])
@given(texts=st.lists(st.one_of(strings, st.lists(st.text(characters, max_size=6), max_size=6)), max_size=4))
@settings(max_examples=200, deadline=None)
def test_shapes_equal_the_reference(texts, analyzer):
    assert shapes_of(texts, analyzer) == expected_shapes(texts, analyzer)


def test_shapes_of_every_code_point():
    for start in range(0, sys.maxunicode + 1, 0x4000):
        codes = range(start, min(start + 0x4000, sys.maxunicode + 1))
        chars = [chr(code) for code in codes if code < 0x3400 or 0xF000 <= code < 0x12000 or code % 61 == 0]
        tokens = [form for char in chars for form in (char, f"a{char}", f"A{char}", f"{char}B", f"3{char}")]
        assert shapes_of([tokens], "word") == [shape(token) for token in tokens]


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("analyzer", ["word", "char"])
def test_shapes_of_many_pieces(analyzer, n_threads):
    rng = random.Random(0)
    words = ["plain", "Word", "NATO", "iPhone", "3rd", "4", "?!", "\u4e2d\u6587", "\xc9t\xe9", "\U0001f600"]
    texts = [" ".join(rng.choices(words, k=rng.randint(0, 60))) for _ in range(600)]
    texts += ["", words, "Word " * 20_000]
    assert sum(map(len, texts)) > 2 * 2**16  # characters of a piece
    assert shapes_of(texts, analyzer, n_threads) == expected_shapes(texts, analyzer)


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("analyzer", ["word", "char", str.split, WordAnalyzer(), CharAnalyzer(False)])
def test_shapes_of_a_vocabulary_are_of_tokens_as_written(analyzer, lowercase):
    text = "The NATO summit, 3rd iPhone I"
    vocabulary = Vocabulary(analyzer=analyzer, lowercase=lowercase)
    cut = REFERENCES[analyzer](False) if isinstance(analyzer, str) else analyzer
    expected = [SHAPES.index(shape(token)) for token in cut(text)]
    assert vocabulary.shapes([text, ["A", "b"]], 2).tolist() == [*expected, 1, 0]
    assert vocabulary.shapes([]).tolist() == []


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("plain", "word isn't \xdf \u4e2d \u304b \u30ab \ud55c \u0301a ma\u0301 b2b \u0915 \xaa"),
        ("capitalized", "Word A \xc9t\xe9 I'm \u0130 \u01c5 B2b A1 E\u0301t\u0301 \u03a3 \u212a"),
        ("capitals", "NATO AB U2B I'M 3D 2ND \xc9\xc9 \u039f\u0394 A\u0301B \u0301A"),
        ("mixed", "iPhone McDonald NATOs 2Nd O'Neill aB \u0301Ab"),
        ("number", "3 2000 3rd 0x"),
        ("sign", "? _ -- ' \u2019em \u20ac \u3002 \uff0c \uff1f \U0001f600 \u2764 \u200b \u2026 \ufe30"),
    ],
)
def test_tokens_of_each_shape(name, tokens):
    tokens = tokens.split(" ")
    assert {token: shape(token) for token in tokens} == dict.fromkeys(tokens, name)
    assert shapes_of([tokens], "word") == [name] * len(tokens)


def test_empty_tokens_and_white_space_are_signs():
    assert (
        shapes_of([["", " ", "\n", " Word"]], "word")
        == ["sign"] * 4
        == [*map(shape, ["", " ", "\n", " Word"])]
    )


def test_codes_of_shapes_are_those_of_saved_models():
    # Keys of n-grams are made of them, and a Corpus has three bits for them.
    assert SHAPES == ("plain", "capitalized", "capitals", "mixed", "number", "sign")
    tokens = ["word", "Word", "NATO", "iPhone", "3rd", "?"]
    assert _text.token_shapes([tokens], "word", 1).tolist() == [0, 1, 2, 3, 4, 5]


def test_wrong_calls_of_shapes():
    with pytest.raises(ValueError, match="analyzer must be 'word' or 'char'"):
        _text.token_shapes(["a"], "syllable", 1)
    with pytest.raises(TypeError):
        _text.token_shapes([3], "word", 1)
    with pytest.raises(ValueError, match="n_threads"):
        Vocabulary().shapes(["a"], 0)
    with pytest.raises(ValueError, match=r"."):
        Vocabulary().shapes("a single text")
