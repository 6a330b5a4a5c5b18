"""Widths, alignment and safety of what is printed."""

import pytest

from textcnn.cli.output import aligned, display_width, printable, shortened


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("", 0),
        ("abc", 3),
        ("好评", 4),
        ("ＡＢ", 4),
        ("ｱ", 1),
        ("한국어", 6),
        ("e\u0301", 1),
        ("naïve", 5),
        ("a\u200db", 2),
    ],
)
def test_columns_on_a_terminal(text, width):
    assert display_width(text) == width


def test_a_table_with_wide_text():
    assert aligned([["", "n"], ["好评", "10"], ["ab", "9"]]) == ["       n", "好评  10", "ab     9"]


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd…"),
        ("好评好评", 8, "好评好评"),
        ("好评好评", 6, "好评…"),
        ("好评好评", 7, "好评好…"),
    ],
)
def test_long_texts_are_cut(text, width, expected):
    assert shortened(text, width) == expected
    assert display_width(shortened(text, width)) <= width


def test_control_characters_are_shown():
    assert printable("a\x1b[0m\n\t\x00\x9b\u202e\u2028\ud800b") == r"a\x1b[0m\n\t\x00\x9b\u202e\u2028\ud800b"
    assert printable("好 评\u3000é\u00a0\u200d") == "好 评\u3000é\u00a0\u200d"
