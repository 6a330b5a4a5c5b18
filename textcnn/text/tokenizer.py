"""Plain text to tokens with their places, and tokens to sentences: the text side of tagging.

The analyzers of `textcnn.text.analyzers` serve classification: they drop what it has no use for and cut
``3.5`` and ``U.S.`` at every point. A tagger is trained on files in which tokens were cut by the rules of the
Penn Treebank, CoNLL-2003 or Universal Dependencies, and its tokens must be cut alike:

- clitics are apart: ``do n't``, ``it 's``, ``can not``, ``gon na``; other words keep inner apostrophes,
  hyphens and ``&``: ``O'Brien``, ``well-known``, ``AT&T``;
- numbers, dates and times are whole (``3.5``, ``1,000``, ``1996-08-22``, ``10:30``), with ``%`` and currency
  signs apart;
- abbreviations keep their point: ``Ms.``, ``Inc.``, ``Sept.``, ``U.S.``, ``e.g.``, the initial in
  ``J. Smith``, ``No.`` before a number;
- web and e-mail addresses are whole, without the punctuation that follows them;
- of punctuation each sign is a token, but for runs of the same sign (``...``, ``--``, ``!!!``) and emoticons;
- Chinese characters and kana are tokens of their own; words of all other scripts are whole, with their
  combining marks.

White space, control characters and invisible signs between words are no tokens.
"""

import re
from functools import cache
from typing import NamedTuple

from textcnn._kernels._text import char_class
from textcnn._kernels._tokenizer import cut_words

__all__ = ["Tokens", "sentence_bounds", "tokenize"]

MARK, OTHER, FORMAT, SPACE = 1, 3, 4, 5  # classes of `textcnn.text.analyzers`

# Titles and the like: a name or a number follows, so that no sentence ends here.
TITLES = """
    Adm Atty Ave Blvd Brig Capt Cmdr Col Cpl Dir Dr Drs Eng Fr Ft Gen Gov Hon Insp Lt Maj Messrs Mgr Mme Mlle
    Mr Mrs Ms Mt Mx Ph Pres Prof Pte Pvt Rep Reps Rev Sen Sens Sgt Sir Sr Sra St Sta Ste Supt
    approx arr ca cf dept dep ed eds esp est fig tel viz vs
"""
# A sentence may end with these.
ABBREVIATIONS = """
    Assn Assoc Bhd Bros Co Corp Cos Dept Dist Esq Inc Intl Jr Lda Ltd Mfg Natl Plc Pty Univ
    Jan Feb Apr Jun Jul Aug Sep Sept Oct Nov Dec Mon Tue Tues Thu Thur Thurs Fri
    Ala Ariz Calif Colo Conn Fla Ga Ill Kan Ky Mass Md Mich Minn Mo Mont Neb Nev Okla Ont Pa Que Tenn Tex Va
    Vt Wis Wyo al ext govt hwy mfg mts oz vols yrs
"""
# Abbreviations only before a number: they are words, or names, elsewhere.
BEFORE_NUMBERS = "Art Ch Fig Figs Mar May No Nos Sat Sec Sun Vol Wed art ch no nos p pp sec vol"
# Abbreviations unless a sentence seems to end: before a small letter or a comma.
WITHIN_SENTENCES = "etc Etc mins min hrs hr lb lbs wk max avg"

ENDINGS = (
    "com|org|net|edu|gov|mil|int|info|biz|io|us|(?:com?|ac|org|net|gov|edu)\\.[a-z]{2}|"
    "docx?|xlsx?|pptx?|pdf|txt|html?|jpe?g|gif|png|mp3|mp4|zip|exe|csv|xml|json|DOC|XLS|PDF|TXT|ZIP"
)
CLITICS = "s|S|re|RE|ve|VE|ll|LL|d|D|m|M"
MARKS_CLOSED = "\"'”’»)]}」』）】》〉］｝"
CJK = (
    "\u2e80-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U0001aff0-\U0001b16f\U00020000-\U0003ffff"
)
# With these a sentence begins after an abbreviation.
STARTERS = """
    A After All Although An And Another As At Because Both But By During Each Even For From He Her His How
    However I If In It Its Many Meanwhile Most My No Not Now On One Only Other Our She Since So Some Still
    Such That The Their Then There These They This Those Though Thus To Under Until We What When Where While
    Who Why With You Your
"""
SENTENCE_STARTERS = frozenset(STARTERS.split())
TITLE_WORDS = frozenset(TITLES.split())
ENDS = frozenset(".?!")
CONTINUATIONS = frozenset(",.;:?!)]}")  # what stands after a space there belongs to the sentence before it
CJK_ENDS = frozenset("。！？｡．")


class Tokens(NamedTuple):
    """Tokens of a text and their places: ``text[starts[i]:stops[i]] == words[i]``.

    Attributes
    ----------
    words : list of str
    starts, stops : list of int
        In characters; tokens neither overlap nor have white space within.
    """

    words: list[str]
    starts: list[int]
    stops: list[int]


def tokenize(text: str, analyzer: str = "word") -> Tokens:
    """Cut a text in tokens, by rules of the Penn Treebank, CoNLL and Universal Dependencies.

    Parameters
    ----------
    text : str
    analyzer : {"word", "char"}, default="word"
        "word" follows the rules at the top of this module. "char" makes a token of every character but
        white space: for taggers of characters, as is usual in Chinese.

    Returns
    -------
    Tokens

    Raises
    ------
    TypeError
        If the text is no str.
    ValueError
        If the analyzer is unknown.

    Examples
    --------
    >>> from textcnn.text.tokenizer import tokenize
    >>> tokenize("Ms. Haag didn't pay $3.5 (in the U.S.).").words
    ['Ms.', 'Haag', 'did', "n't", 'pay', '$', '3.5', '(', 'in', 'the', 'U.S.', ')', '.']
    >>> tokenize("It's 中文").starts
    [0, 2, 5, 6]
    >>> tokenize("很 好!", analyzer="char")
    Tokens(words=['很', '好', '!'], starts=[0, 2, 3], stops=[1, 3, 4])
    """
    if not isinstance(text, str):
        raise TypeError(f"a text must be a str, but is of type {type(text).__name__}")
    if analyzer not in ("word", "char"):
        raise ValueError(f"analyzer must be 'word' or 'char' here, but is {analyzer!r}")
    if analyzer == "word":
        return Tokens(*cut_words(text, _word_pattern().search))
    starts = [match.start() for match in _char_pattern().finditer(text)]
    return Tokens([text[start] for start in starts], starts, [start + 1 for start in starts])


def sentence_bounds(tokens: Tokens) -> list[tuple[int, int]]:
    """Where sentences begin and end.

    A sentence ends with ``.``, ``?``, ``!`` (or a run of them) and the quotes and brackets that close behind
    it, unless a small letter or another such sign follows, or a number is all there is before it
    (``1. First``). It ends with an abbreviation only if a word such as ``The`` follows, and never with a
    title or an initial. The stops of Chinese and Japanese always end one.

    Parameters
    ----------
    tokens : Tokens
        As from `tokenize`.

    Returns
    -------
    list of (int, int)
        First token of each sentence and the one behind its last; together they hold every token.

    Examples
    --------
    >>> from textcnn.text.tokenizer import sentence_bounds, tokenize
    >>> tokens = tokenize('Mr. J. Smith left at 5 p.m. He said "Why?" and went. 好。走吧！')
    >>> [" ".join(tokens.words[start:stop]) for start, stop in sentence_bounds(tokens)]
    ['Mr. J. Smith left at 5 p.m.', 'He said " Why ? " and went .', '好 。', '走 吧 ！']
    """
    words, n = tokens.words, len(tokens.words)
    bounds, first = [], 0
    for i, word in enumerate(words):
        if i < first or word[-1] not in ".?!…。！？｡．":
            continue
        stop = _end_of_closing(tokens, i + 1)
        if stop < n and _ends_sentence(words, first, i, words[stop]):
            bounds.append((first, stop))
            first = stop
    return [*bounds, (first, n)] if first < n else bounds


def _end_of_closing(tokens: Tokens, place: int) -> int:
    """The first token from `place` that is no quote or bracket closing right behind the one before it."""
    while (
        place < len(tokens.words)
        and tokens.words[place][0] in MARKS_CLOSED
        and tokens.starts[place] == tokens.stops[place - 1]
    ):
        place += 1
    return place


def _ends_sentence(words: list[str], first: int, place: int, following: str) -> bool:
    """Whether the sentence from `first` ends with the word at `place`, which ends like a sentence."""
    word = words[place]
    if word in CJK_ENDS:
        return True
    if following[0] in CONTINUATIONS or (following[0].islower() and "://" not in following):
        return False
    if ENDS.issuperset(word) or word == "…":
        return not (word == "." and place == first + 1 and words[first].isdecimal())
    if word[-1] != "." or word[:-1] in TITLE_WORDS or len(word) == 2:
        return False  # a title, an initial, or something else that ends in such a sign
    return following in SENTENCE_STARTERS


@cache
def _char_pattern() -> re.Pattern[str]:
    return re.compile(f"[^{_code_ranges(SPACE)}]")


@cache
def _word_pattern() -> re.Pattern[str]:
    """Every part is possessive or of bounded length, so that the time is linear in the text."""
    letter = f"[^\\W{CJK}]"
    marks, formats = f"[{_code_ranges(MARK)}]", f"[{_code_ranges(FORMAT)}]"
    clitic = f"['’](?:{CLITICS})\\b"
    joiner = f"(?:[-‐‑&]|(?!{clitic})['’]|(?<=\\d)[.,:/](?=\\d))"
    # The look at ASCII saves a search in long lists of ranges at the end of nearly every word.
    word = (
        f"{letter}++(?:{joiner}{letter}++|"
        f"(?![\\x00-\\x7f])(?:{marks}++|{formats}++(?=\\w|{marks})){letter}*+)*+"
    )
    address = "(?:[.,;:!?'\")\\]}>*_]*+[^\\s<>\".,;:!?')\\]}>*_]++)*+/?+"
    emoji = "[\u2190-\u21ff\u2300-\u2bff\U0001f000-\U0001faff]"
    wordlike = [
        # Parts of what is written as one word
        "(?=[cgwCGW])(?:can(?=not\\b)|Can(?=not\\b)|[Gg]on(?=na\\b)|[Ww]an(?=na\\b)|[Gg]ot(?=ta\\b))",
        "(?<=[A-Za-z])[nN]['’][tT]\\b",
        "(?=[A-Za-z]{2,20}+['’][tT]\\b)[A-Za-z]{1,19}?(?=[nN]['’][tT]\\b)",
        # Addresses and file names
        f"(?:https?|ftp|file)://{address}",
        f"[wW]{{3}}\\.{address}",
        "[\\w.+%-]{1,64}+@[A-Za-z][\\w-]{0,62}+(?:\\.[\\w-]{1,63}+)*+",
        f"(?=[\\w-]{{1,63}}+\\.\\w)(?:[\\w-]{{1,63}}\\.){{1,6}}(?:{ENDINGS})\\b(?![-\\w])(?:/{address})?+",
        # Abbreviations
        "(?<!\\w)(?:[^\\W\\d_]\\.){2,}+(?:[^\\W\\d_]\\b)?+(?:-\\w++)*+",
        f"(?<!\\w)(?:{_words(TITLES + ABBREVIATIONS)})\\.(?!\\w)(?:-\\w++)*+",
        f"(?<!\\w)(?:{_words(BEFORE_NUMBERS)})\\.(?=\\s*+\\d)",
        f"(?<!\\w)(?:{_words(WITHIN_SENTENCES)})\\.(?=\\s*+[a-z,;:)])",
        "(?<!\\w)(?:[A-HJ-Z]\\.(?=\\s?[^\\W\\d_a-z])|I\\.(?=\\s?[A-Z]\\.))",
        # Numbers
        "\\d{1,4}+(?:[:.]\\d\\d)?(?=(?:[ap]\\.?m|[AP]\\.?M|[kmKM]|bn|mm|cm|km|kg|ft)\\b)",
        "(?<!\\w)(?:US|C|A|HK|NZ|NT|S)\\$",
        "\\d++['’]s\\b",
        word,
    ]
    signs = [
        f"(?<=\\S){clitic}",
        "(?<![\\w.])\\.\\d++",
        "(?<!\\S)\\+\\d[\\d.,-]*+(?<=\\d)",
        "(?<!\\w)['’]\\d\\ds?\\b(?!['’])",
        "(?<!\\w)[:;=][-o'^]?(?:[()]++|[\\[\\]DPp|*/\\\\](?!\\w))",
        "(?<!\\S)\\([-o'^]?[:;=](?!\\S)",
        "<3\\b",
        "[#@][^\\W\\d_]\\w*+",
        "\\.*+[!?][!?.]++|\\.++[!?]++",
        "([-!#$%&'*+,./:;<=>@\\\\^`|~‘’])\\1++",
        f"{emoji}(?:[\ufe0f\u20e3\U0001f3fb-\U0001f3ff]|\u200d{emoji})*+",
        f"[^{_code_ranges(SPACE)}{_code_ranges(FORMAT)}]{marks}*+",
    ]
    parts = [
        # Nearly every token, but for what is cut or joined below; `cut_words` finds most of these on its own
        '[A-Za-z]++(?=[\\s,;()?!"]|\\Z)(?<!annot)(?<!onna)(?<!anna)(?<!otta)',
        '[.,;"()](?!\\S)',
        "\\d++(?!\\S)",
        f"[{CJK}]{marks}*+",
        f"(?=\\w)(?:{'|'.join(wordlike)})",
        *signs,
    ]
    return re.compile(f"(?=\\S)(?:{'|'.join(parts)})")


def _words(text: str) -> str:
    """Alternatives for the words of a text, by their first letters."""
    words = text.split()
    initials = sorted({word[0] for word in words})
    return "|".join(
        f"{initial}(?:{'|'.join(sorted((w[1:] for w in words if w[0] == initial), reverse=True))})"
        for initial in initials
    )


@cache
def _code_ranges(kind: int) -> str:
    """The code points of a class, for a set of a regular expression."""
    return "".join(
        f"\\U{match.start():08x}-\\U{match.end() - 1:08x}"
        for match in re.finditer(bytes([kind]) + b"+", _classes())
    )


@cache
def _classes() -> bytes:
    """The class of each code point, as far as marks, invisible signs and white space go."""
    tags_and_variations = range(0xE0000, 0xE0200)
    classes = bytearray(map(char_class, range(0x20000))) + bytes([OTHER]) * 0xC0000
    return bytes(classes) + bytes(map(char_class, tags_and_variations))
