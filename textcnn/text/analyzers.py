"""How a text is cut into tokens.

This module states the rules in plain Python; `Vocabulary` follows them in compiled code, which the
tests hold equal to this one on every string. Each code point has one class, from tables of one fixed
Unicode version (`UNICODE_VERSION`), so that a saved model cuts a text alike under each later Python:

==========  =====================================================  =====================================
class       code points                                            in the word analyzer
==========  =====================================================  =====================================
WORD        letters and digits (L*, N*) of scripts with spaces     a run of them is a token
            between words or phrases: Latin, Arabic, Devanagari,
            Hangul, Thai and so on
MARK        combining marks (M*)                                   belong to the word or sign before
                                                                   them; elsewhere they begin a word
APOSTROPHE  ``'`` and ``’``                                        part of a word between a word and a
                                                                   letter or digit; else as SINGLE
SINGLE      Chinese characters, kana, ``_`` and all other          a token of its own, with its marks
            punctuation and symbols, private use, unassigned,
            lone surrogates
FORMAT      invisible signs (Cf: joiners, soft hyphen, bidi        part of a word within a word;
            marks, byte order mark) and variation selectors        elsewhere dropped
SPACE       separators (Z*), control characters (Cc, NUL too),     between tokens
            zero-width space
==========  =====================================================  =====================================

Chinese and Japanese are written without spaces, so each of their characters is a token: filters of
width 2 to 5 then see words. Thai is too, but its syllables are not single characters: a run stays one
token, and ``analyzer="char"`` or a callable with a word cutter serves it better. Numbers are cut at
their point (``3 . 14``), contractions are not (``isn't``).

The char analyzer makes a token of every code point; a run of SPACE is one ``" "``.

Each token has a shape, of the text as written, which says what it looks like when its letters are of no
use: see `shape`.

Lower-casing maps one code point to one (the simple mapping of Unicode), whatever stands beside it:
``"İ"`` becomes ``"i"``, and every ``"Σ"`` becomes ``"σ"``. Classes are those of the text as written.
"""

import re
from functools import cache
from typing import ClassVar

from textcnn._kernels._text import UNICODE_VERSION, char_class, simple_lower

__all__ = ["SHAPES", "UNICODE_VERSION", "CharAnalyzer", "WordAnalyzer", "shape"]

SHAPES = ("plain", "capitalized", "capitals", "mixed", "number", "sign")
"""Names of the shapes, in the order of their codes."""

CLASS_LETTERS = "WMASFZ"  # WORD, MARK, APOSTROPHE, SINGLE, FORMAT, SPACE


@cache
def _class_letter(char: str) -> str:
    return CLASS_LETTERS[char_class(ord(char))]


def _classes(text: str) -> str:
    """One letter for the class of each character."""
    return "".join(map(_class_letter, text))


def _lower(text: str) -> str:
    return "".join(chr(simple_lower(ord(char))) for char in text)


def shape(token: str) -> str:
    """What a token looks like: one of `SHAPES`.

    "sign" is punctuation, a symbol or white space; "number" begins with one of the digits 0 to 9 and has
    no capital letter; then capital letters count: none ("plain", Chinese characters too), the first
    character alone ("capitalized"), others beside no small letters ("capitals", also of ``3D``), or else
    ("mixed").

    Parameters
    ----------
    token : str
        As written, not in lower case.

    Returns
    -------
    str

    Examples
    --------
    >>> from textcnn.text.analyzers import shape
    >>> [shape(token) for token in ["word", "Word", "NATO", "iPhone", "3rd", "?"]]
    ['plain', 'capitalized', 'capitals', 'mixed', 'number', 'sign']
    """
    classes = _classes(token)
    if not token or (classes[0] not in "WM" and not (classes[0] == "S" and _is_ideograph(token[0]))):
        return "sign"
    capitals = [_lower(char) != char for char in token]
    others = [
        not capital and letter == "W" and char not in "0123456789"
        for char, letter, capital in zip(token, classes, capitals, strict=True)
    ]
    if not any(capitals):
        return "number" if token[0] in "0123456789" else "plain"
    if sum(capitals) == 1 and capitals[0]:
        return "capitalized"
    return "mixed" if any(others) else "capitals"


def _is_ideograph(char: str) -> bool:
    """Whether a SINGLE character is rather a letter than a sign: what lies beyond the CJK radicals, but for
    CJK punctuation, the forms for vertical text and of full width, and pictures such as emoji."""
    return char >= "\u2e80" and not (
        "\u3000" <= char < "\u3040" or "\ufe00" <= char < "\ufff0" or "\U0001f000" <= char < "\U00020000"
    )


class _Analyzer:
    """Cut a text where a pattern matches its string of classes."""

    pattern: ClassVar[re.Pattern[str]]

    def __init__(self, lowercase: bool = True) -> None:
        self.lowercase = lowercase

    def __call__(self, text: str) -> list[str]:
        """Tokens of the text: the same as `tokens`."""
        return self.tokens(text)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Start and end of each token in the text, in characters.

        Parameters
        ----------
        text : str

        Returns
        -------
        list of (int, int)
        """
        return [match.span() for match in self.pattern.finditer(_classes(text))]

    def tokens(self, text: str) -> list[str]:
        """Tokens of the text, in lower case if `lowercase`.

        Parameters
        ----------
        text : str

        Returns
        -------
        list of str
        """
        tokens = [text[start:end] for start, end in self.spans(text)]
        return [_lower(token) for token in tokens] if self.lowercase else tokens


class WordAnalyzer(_Analyzer):
    """The rules of ``analyzer="word"`` in plain Python; the table above tells them.

    Parameters
    ----------
    lowercase : bool, default=True
        Map each code point to its simple lower-case form.

    Examples
    --------
    >>> from textcnn.text.analyzers import WordAnalyzer
    >>> analyzer = WordAnalyzer()
    >>> analyzer.tokens("It isn't 100% 中文!")
    ['it', "isn't", '100', '%', '中', '文', '!']
    >>> analyzer.spans("so what?")
    [(0, 2), (3, 7), (7, 8)]
    """

    pattern = re.compile("[WM]+(?:(?:A(?=W)|F+(?=[WM]))[WM]+)*|[SA]M*")


class CharAnalyzer(_Analyzer):
    """The rules of ``analyzer="char"`` in plain Python: a token for each code point.

    A run of white space and control characters is one token, ``" "``.

    Parameters
    ----------
    lowercase : bool, default=True
        Map each code point to its simple lower-case form.

    Examples
    --------
    >>> from textcnn.text.analyzers import CharAnalyzer
    >>> analyzer = CharAnalyzer()
    >>> analyzer.tokens("No\\n\\n1")
    ['n', 'o', ' ', '1']
    >>> analyzer.spans("No\\n\\n1")
    [(0, 1), (1, 2), (2, 4), (4, 5)]
    """

    pattern = re.compile("Z+|[^Z]")

    def tokens(self, text: str) -> list[str]:
        """Tokens of the text, in lower case if `lowercase`.

        Parameters
        ----------
        text : str

        Returns
        -------
        list of str
        """
        tokens = super().tokens(text)
        return [" " if _class_letter(token[0]) == "Z" else token for token in tokens]
