"""From plain text to tokens with their places, and from tokens to sentences."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textcnn._kernels._text import char_class
from textcnn.text.tokenizer import Tokens, _word_pattern, sentence_bounds, tokenize

SPACE, FORMAT = 5, 4
texts_of_any_kind = st.one_of(
    st.text(st.integers(0, 0x10FFFF).map(chr), max_size=60),
    st.text("aAnNtT.,'’-:/@()[]!?&$%123 \n\u0301\u200d中か。」", max_size=60),
    st.lists(
        st.sampled_from(
            ["Mr.", "http://a.b/", "a@b.c", "can't", "U.S.", ":)", "1,000", "...", " ", "The", '"']
        ),
        max_size=12,
    ).map("".join),
)


def words(text):
    return tokenize(text).words


def sentences(text):
    tokens = tokenize(text)
    bounds = sentence_bounds(tokens)
    return [text[tokens.starts[first] : tokens.stops[last - 1]] for first, last in bounds]


# Tokens


@pytest.mark.parametrize(
    "tokens",
    [
        "Ms. Haag plays Elianti .",
        "I do n't think it 's 3.5 % of $ 1,000 .",
        "We ca n’t , they ’ll , you 've and I 'd .",
        "You can not say what I 'm gon na do .",
        "CA N'T and IT 'S .",
        "O'Brien 's well-known rock'n'roll at AT&T",
        "the dogs ' bones",
        "l'homme état-major",
        "from 1996-08-22 at 10:30 to 1/2 of 192.168.0.1",
        "the 1990s , the 60's and '72 , 10th and 2nd",
        "10:30 am , 7 pm and 5 km",
        "US$ 5 and £ 3.5 , 20 % more",
        "+1.5 points and .5 less",
        "in the U.S. and the U.S.-led U.N. force , e.g. here",
        "J. Smith and R. J. Jones of Inc. and Corp. in Sept. or Nov. vs. Dr. No",
        "No. 5 , Fig. 3 and pp. 7 , but no . Never",
        "I like etc. and so on , etc .",
        "She sat . He saw the sun .",
        "see http://example.org/a(b)?c=d,e#f , www.example.com/ or example.co.uk/x .",
        "( https://example.org/path ) .",
        "mail first.last+tag@mail.example.org , please",
        "open report.doc and notes.txt",
        'He said : " Stop ! "',
        "[ a ] { b } ( c ) « d » “ e ” ‘ f ’",
        "Well ... no -- yes !!! ?!",
        "a and/or b".replace("/", " / "),
        ":-) and ;) and :D",
        "#topic by @someone",
        "中 文 和 日 本 か な 。",
        "Привет , мир !",
        "हिन्दी में नमस्ते",
        "résume\u0301 caf\u0065\u0301",
        "👍🏽 👩\u200d💻 ❤\ufe0f",
        "Bill.The end".replace(".", " . "),
        "x\u00ady",
    ],
)
def test_tokens_of_english_and_other_text(tokens):
    """Joined with as little white space as a writer would use, the tokens come out again."""
    expected = tokens.split(" ")
    text = written(expected)
    assert words(text) == expected


def written(tokens):
    text, closed = "", True
    for token, following in zip(tokens, [*tokens[1:], ""], strict=True):
        text += token
        apart = not (
            following
            in {".", ",", "!", "?", "%", ")", "]", "}", "»", "”", "’", "'", ":", "...", "!!!", "/", "。"}
            or following.lower().lstrip("'’") in {"s", "ll", "ve", "d", "m", "n't", "n’t", "na"}
            or (token.lower(), following) == ("can", "not")
            or token in {"$", "£", "US$", "(", "[", "{", "«", "“", "‘", "/"}
            or (token == "10:30" and following == "am")
            or min(token + following) >= "\u3000"
        )
        if '"' in (token, following):
            closed = not closed if token == '"' else closed
            apart = closed if token == '"' else following == '"' and closed
        text += " " if apart else ""
    return text.strip()


def test_the_texts_of_these_tests_are_written_as_usual():
    assert written(["I", "do", "n't", "say", ":", '"', "No", ".", '"']) == 'I don\'t say: "No."'
    assert written(["$", "3.5", "(", "20", "%", ")"]) == "$3.5 (20%)"


@given(text=texts_of_any_kind, analyzer=st.sampled_from(["word", "char"]))
@settings(max_examples=500, deadline=None)
def test_tokens_are_where_they_say_and_nothing_is_lost(text, analyzer):
    tokens = tokenize(text, analyzer)
    end = 0
    for word, start, stop in zip(*tokens, strict=True):
        assert end <= start < stop
        assert text[start:stop] == word
        assert_no_token(text[end:start], analyzer)
        end = stop
    assert_no_token(text[end:], analyzer)


def assert_no_token(gap, analyzer):
    """Between tokens there is white space, and in the word analyzer there may be invisible signs."""
    kinds = {char_class(ord(char)) for char in gap}
    assert kinds <= ({SPACE, FORMAT} if analyzer == "word" else {SPACE})


@given(text=texts_of_any_kind)
@settings(max_examples=200, deadline=None)
def test_what_is_cut_without_the_regular_expression_is_cut_as_by_it(text):
    spans = [match.span() for match in _word_pattern().finditer(text)]
    assert [*zip(*tokenize(text)[1:], strict=True)] == spans


LETTERS = "cannot Cannot gonna wanna gotta not otta don't a I Mr etc No"
SIGNS = " .,;()?!\"'\n\t\x0b\x1c\x1f\x85\xa0\u2028\u200d\u0301éK1中\U0001f600"


@given(text=st.lists(st.sampled_from([*LETTERS.split(), *SIGNS]), max_size=12).map("".join))
@settings(max_examples=300)
def test_words_that_may_be_cut_are_left_to_the_regular_expression(text):
    spans = [match.span() for match in _word_pattern().finditer(text)]
    assert [*zip(*tokenize(text)[1:], strict=True)] == spans


@given(text=texts_of_any_kind)
@settings(max_examples=200, deadline=None)
def test_a_token_has_no_white_space(text):
    for analyzer in ("word", "char"):
        for word in tokenize(text, analyzer).words:
            assert not any(char.isspace() for char in word)


def test_char_analyzer_takes_every_character_but_white_space():
    assert tokenize("a 中\u0301\n\u3000.\ud800\0", "char") == Tokens(
        ["a", "中", "\u0301", ".", "\ud800"], [0, 2, 3, 6, 7], [1, 3, 4, 7, 8]
    )


def test_places_count_characters_beyond_the_basic_plane_once():
    assert tokenize("😀 a 𠀀b") == Tokens(["😀", "a", "𠀀", "b"], [0, 2, 4, 5], [1, 3, 5, 6])


def test_chinese_characters_and_kana_are_single():
    single = [code for code in range(0x2E80, 0x3FFFF) if char_class(code) == 3 and chr(code).isalnum()]
    assert {ord(char) for char in "中か々〇ｶ𠀀"} <= set(single)
    for code in single[::7]:
        assert words(f"x{chr(code)}y") == ["x", chr(code), "y"]


def test_scripts_with_spaces_make_whole_words():
    for word in ["한국어", "ㄅㄆㄇ", "ภาษาไทย", "العربية", "ქართული", "Ελλάδα", "２００８"]:
        assert words(f"({word}) {word}.") == ["(", word, ")", word, "."]


@pytest.mark.parametrize("text", ["", " ", "\n\t\u3000\xa0", "\0\x07", "\u200b\u200d\ufeff"])
def test_texts_without_tokens(text):
    assert tokenize(text) == Tokens([], [], [])
    assert sentence_bounds(tokenize(text)) == []


LONG = {
    "letters": "a",
    "initials": "a.",
    "dotted words": "aa.",
    "numbers": "1,",
    "hyphens": "a-",
    "clitics": "n't",
    "apostrophes": "a'",
    "quotes": "'",
    "brackets": "(",
    "mixed stops": ".!",
    "stops and quotes": '."',
    "addresses": "http://",
    "pages": "www.",
    "at signs": "a@",
    "domains": "a.com",
    "titles": "Mr.",
    "smileys": ":(",
    "plus": "+1,",
    "times": "1:00am",
    "spaces": " ",
    "abbreviation before spaces": "no." + " " * 5000,
    "combining marks": "\u0301",
    "marked letters": "a\u0301",
    "joiners": "a\u200d",
    "joiners alone": "\u200d",
    "emoji": "😀\u200d",
    "ideographs": "中",
    "surrogates": "\ud800",
    "nulls": "\0",
}


@pytest.mark.parametrize("unit", LONG.values(), ids=LONG.keys())
def test_long_runs_of_anything(unit):
    """A search that is not linear in the text would hang here."""
    text = unit * (200_000 // len(unit))
    tokens = tokenize(text)
    assert sum(last - first for first, last in sentence_bounds(tokens)) == len(tokens.words)


def test_what_is_no_text_is_refused():
    for text in (None, b"bytes", ["a"], 3):
        with pytest.raises(TypeError, match="must be a str"):
            tokenize(text)
    with pytest.raises(ValueError, match="'words'"):
        tokenize("a", "words")


# Sentences


@pytest.mark.parametrize(
    "expected",
    [
        ["It rains.", "We stay.", "Why?", "No idea!"],
        ['He said "Stop!"', "Then he left."],
        ["(It rained.)", "We stayed."],
        ['"Why?" he asked.', '"Because."'],
        ["Mr. Smith met Dr. Jones and J. R. Brown.", "They talked."],
        ["She works for Acme Inc. in the U.S. Senate.", "He does not."],
        ["He lives in the U.S.", "The others do not."],
        ["We met at 5 p.m.", "It was dark."],
        ["It costs $3.5 in Sept. 1996.", "In 1997.", "It rose."],
        ["Wait... there is more.", "Really...", "Yes."],
        ["1. First point.", "2. Second point."],
        ["See http://example.org/a.b?c=d now.", "Mail a@b.org!", "Thanks."],
        ["No. 5 is here."],
        ["no stop at all"],
        ["Look at this!!!", "What?!", "Yes."],
    ],
)
def test_sentences(expected):
    assert sentences(" ".join(expected)) == expected


def test_sentences_of_chinese_and_japanese():
    assert sentences("今天下雨。我们走吧！「好。」他说？是") == [
        "今天下雨。",
        "我们走吧！",
        "「好。」",
        "他说？",
        "是",
    ]


def test_a_missing_space_ends_a_sentence_before_a_capital_letter_only():
    assert sentences("It rains.We stay.") == ["It rains.", "We stay."]
    assert sentences("the file a.b is here") == ["the file a.b is here"]


def test_signs_of_the_sentence_stay_with_it():
    assert sentences("He left (why ?) , she stayed . . . Then it rained.") == [
        "He left (why ?) , she stayed . . .",
        "Then it rained.",
    ]


@given(text=texts_of_any_kind)
@settings(max_examples=300, deadline=None)
def test_sentences_hold_every_token_once(text):
    tokens = tokenize(text)
    place = 0
    for first, last in sentence_bounds(tokens):
        assert first == place
        assert first < last
        place = last
    assert place == len(tokens.words)
