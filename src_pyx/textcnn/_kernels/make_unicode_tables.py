"""Write `_unicode_tables.h`: the class and the lower-case form of every code point.

Run it with the Python whose Unicode version is wanted: ``python make_unicode_tables.py``. The header
is committed, and every build uses it as it stands: a saved model must give a text the same ids under
each later Python, and Python's own tables change with its version. A header of another Unicode version
may change the ids of saved models, so it needs a note in the change log.
"""

import sys
import unicodedata
from pathlib import Path

# Order matters: the scanner asks `cls <= MARK` (part of a word) and `cls >= FORMAT` (no token).
CLASSES = ("WORD", "MARK", "APOSTROPHE", "SINGLE", "FORMAT", "SPACE")
WORD, MARK, APOSTROPHE, SINGLE, FORMAT, SPACE = range(len(CLASSES))

APOSTROPHES = {0x27, 0x2019}
ZERO_WIDTH_SPACE = 0x200B  # category Cf, but its only use is to separate words (Thai, Khmer)
IDEOGRAPH_SIGNS = {0x3005, 0x3006, 0x3007, 0x303B}  # iteration marks, closing mark, ideographic zero
# Written without spaces between the words, so that a run of them would be a clause, not a word.
SINGLE_NAMES = ("CJK UNIFIED IDEOGRAPH", "CJK COMPATIBILITY IDEOGRAPH")
SINGLE_SCRIPTS = ("HIRAGANA", "KATAKANA", "HENTAIGANA")
DOTTED_CAPITAL_I = 0x130  # the only code point whose full lower-case form has two

BLOCK_BITS = 7
COLUMNS = 24


def class_of(code):
    """The class of one code point; the docstring of `textcnn.text.analyzers` tells what each is for."""
    char = chr(code)
    category = unicodedata.category(char)
    name = unicodedata.name(char, "")
    if code in APOSTROPHES:
        return APOSTROPHE
    if category[0] == "Z" or category == "Cc" or code == ZERO_WIDTH_SPACE:
        return SPACE
    if category == "Cf" or name.startswith("VARIATION SELECTOR-"):
        return FORMAT
    if category[0] == "M":
        return MARK
    if category[0] in "LN":
        single = (
            code in IDEOGRAPH_SIGNS
            or name.startswith(SINGLE_NAMES)
            or (category[0] == "L" and any(script in name for script in SINGLE_SCRIPTS))
        )
        return SINGLE if single else WORD
    return SINGLE  # punctuation, symbols, private use, lone surrogates, unassigned


def lower_of(code):
    """Simple lower-case mapping: one code point to one."""
    if code == DOTTED_CAPITAL_I:
        return ord("i")
    lower = chr(code).lower()
    if len(lower) != 1:
        raise ValueError(f"U+{code:04X} has a lower-case form of {len(lower)} code points")
    return ord(lower)


def two_stages(values):
    """Cut `values` in blocks, store equal blocks once: values[i] == blocks[index[i >> BITS]][i & MASK]."""
    size = 1 << BLOCK_BITS
    numbers, index = {}, []
    for start in range(0, len(values), size):
        block = tuple(values[start : start + size])
        index.append(numbers.setdefault(block, len(numbers)))
    return index, [value for block in numbers for value in block]


def c_array(kind, name, values):
    lines = [
        "    " + ", ".join(map(str, values[start : start + COLUMNS])) + ","
        for start in range(0, len(values), COLUMNS)
    ]
    return "\n".join([f"static const {kind} {name}[{len(values)}] = {{", *lines, "};", ""])


def main():
    records, record_of = {}, []
    for code in range(sys.maxunicode + 1):
        lower = lower_of(code)
        # The scanner reserves 2, 3 or 4 bytes a character by the width of the string.
        if any(code <= limit < lower for limit in (0xFF, 0xFFFF)):
            raise ValueError(f"U+{code:04X} has a wider lower-case form, U+{lower:04X}")
        record = (class_of(code), lower - code)
        record_of.append(records.setdefault(record, len(records)))
    index, blocks = two_stages(record_of)
    if len(records) > 256 or max(index) > 255:
        raise ValueError("the tables no longer fit in bytes")
    header = [
        "/* Class and simple lower-case form of every code point.",
        " * Written by make_unicode_tables.py; do not edit. */",
        "#ifndef TEXTCNN_UNICODE_TABLES_H",
        "#define TEXTCNN_UNICODE_TABLES_H",
        "",
        "#include <stdint.h>",
        "",
        f'#define TEXTCNN_UNICODE_VERSION "{unicodedata.unidata_version}"',
        f"#define TEXTCNN_BLOCK_BITS {BLOCK_BITS}",
        "",
        "enum {",
        *(f"    TEXTCNN_{name} = {number}," for number, name in enumerate(CLASSES)),
        "};",
        "",
        c_array("uint8_t", "textcnn_block_of", index),
        c_array("uint8_t", "textcnn_record_of", blocks),
        c_array("uint8_t", "textcnn_record_class", [cls for cls, _ in records]),
        c_array("int32_t", "textcnn_record_lower", [delta for _, delta in records]),
        "#endif",
        "",
    ]
    path = Path(__file__).with_name("_unicode_tables.h")
    path.write_text("\n".join(header), encoding="ascii", newline="\n")
    print(f"{path}: Unicode {unicodedata.unidata_version}, {len(records)} records, {len(blocks)} cells")


if __name__ == "__main__":
    main()
