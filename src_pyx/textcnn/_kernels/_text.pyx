"""Text to ids: scanner, hash table and counter over the buffers of Python strings.

The work of one call, ``texts -> ids, offsets``, has three steps:

1. With the GIL: check the texts, keep a private reference to each, note the address, length and
   width (1, 2 or 4 bytes a character) of each string.
2. Without the GIL: cut the texts into pieces of roughly equal length; in each piece scan the tokens,
   write each one in UTF-8 (lower-cased if asked) into scratch, hash it, look it up, append its id to
   the buffer of the piece. The cut depends on the texts alone, so any number of threads gives the
   same result.
3. Copy the buffers of the pieces, in order, into one array.

Counting a vocabulary is the same with a growing table for each piece; the tables are then merged and
sorted by falling count, ties by code point.

Tokens are stored in UTF-8 with lone surrogates encoded like any other code point ("surrogatepass").
Byte order of that encoding is code point order. `textcnn/text/analyzers.py` defines the tokens and
states the same rules in Python, as the reference of the tests.
"""

from cpython.unicode cimport PyUnicode_DATA, PyUnicode_DecodeUTF8, PyUnicode_GET_LENGTH, PyUnicode_KIND
from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort, realloc
from libc.string cimport memcmp, memcpy, memset

import os

import numpy as np

cdef extern from "_unicode_tables.h" nogil:
    const char* TEXTCNN_UNICODE_VERSION
    const int TEXTCNN_BLOCK_BITS
    const int TEXTCNN_WORD
    const int TEXTCNN_MARK
    const int TEXTCNN_APOSTROPHE
    const int TEXTCNN_SINGLE
    const int TEXTCNN_FORMAT
    const int TEXTCNN_SPACE
    const uint8_t textcnn_block_of[]
    const uint8_t textcnn_record_of[]
    const uint8_t textcnn_record_class[]
    const int32_t textcnn_record_lower[]

cdef extern from *:
    """
    /* Until Python 3.11 a string made through the old C API may still lack its buffer. */
    #if PY_VERSION_HEX >= 0x030C0000
    #define textcnn_str_ready(text) 0
    #else
    #define textcnn_str_ready(text) PyUnicode_READY(text)
    #endif
    """
    int textcnn_str_ready(object text) except -1

ctypedef fused char_t:
    uint8_t
    uint16_t
    uint32_t

cdef enum:
    OK = 0
    NO_MEMORY = -1
    TOO_MANY_TOKENS = -2

cdef enum:
    ENCODE_PIECE = 1 << 16      # characters; small enough to balance two threads on a batch
    COUNT_PIECE = 1 << 20       # larger, because each piece has a table to be merged
    MAX_TOKENS = 2147483646     # ids are int32 and id 0 is taken
    MAX_CODE_POINT = 0x10FFFF

UNICODE_VERSION = TEXTCNN_UNICODE_VERSION.decode("ascii")
ANALYZERS = ("word", "char")


# ---------------------------------------------------------------------------------------------------
# Character tables. Most text is below 256, where one look-up does for the two stages.

cdef uint8_t CLASS_256[256]
cdef uint8_t LOWER_256[256]
cdef uint8_t SAME_256[256]


cdef inline int record_of(uint32_t code) noexcept nogil:
    cdef uint32_t block = textcnn_block_of[code >> TEXTCNN_BLOCK_BITS]
    return textcnn_record_of[
        (block << TEXTCNN_BLOCK_BITS) + (code & ((1 << TEXTCNN_BLOCK_BITS) - 1))
    ]


cdef inline int class_of(char_t code) noexcept nogil:
    if char_t is uint8_t:
        return CLASS_256[code]
    else:
        if code < 256:
            return CLASS_256[code]
        return textcnn_record_class[record_of(code)]


cdef inline uint32_t lower_of(uint32_t code) noexcept nogil:
    if code < 256:
        return LOWER_256[code]
    return <uint32_t> (<int32_t> code + textcnn_record_lower[record_of(code)])


cdef uint32_t lower_code(uint32_t code) noexcept nogil:
    """`lower_of` for other modules, into which it cannot be inlined."""
    return lower_of(code)


cdef void fill_tables() noexcept:
    cdef int code
    for code in range(256):
        CLASS_256[code] = textcnn_record_class[record_of(code)]
        LOWER_256[code] = <uint8_t> (code + textcnn_record_lower[record_of(code)])
        SAME_256[code] = <uint8_t> code


fill_tables()


def char_class(Py_ssize_t code):
    """Class of the code point `code` (0 word, 1 mark, 2 apostrophe, 3 single, 4 format, 5 space)."""
    check_code_point(code)
    return textcnn_record_class[record_of(<uint32_t> code)]


def simple_lower(Py_ssize_t code):
    """Code point of the simple lower-case form of the code point `code`."""
    check_code_point(code)
    return lower_of(<uint32_t> code)


cdef int check_code_point(Py_ssize_t code) except -1:
    if not 0 <= code <= MAX_CODE_POINT:
        raise ValueError(f"{code} is not a code point; expected an integer from 0 to {MAX_CODE_POINT}")
    return 0


# ---------------------------------------------------------------------------------------------------
# The scanner: where the next token begins and ends.

cdef inline Py_ssize_t next_word(
    const char_t* text,         # IN   n characters
    Py_ssize_t n,               # IN
    Py_ssize_t pos,             # IN   where to look from
    Py_ssize_t* start,          # OUT
) noexcept nogil:
    """End of the first token of the word analyzer at or after `pos`; -1 if there is none."""
    cdef Py_ssize_t after
    cdef int cls = TEXTCNN_SPACE
    while pos < n:
        cls = class_of(text[pos])
        if cls < TEXTCNN_FORMAT:
            break
        pos += 1
    if pos >= n:
        return -1
    start[0] = pos
    pos += 1
    if cls > TEXTCNN_MARK:  # one sign, with the marks on it
        while pos < n and class_of(text[pos]) == TEXTCNN_MARK:
            pos += 1
        return pos
    while True:
        while pos < n and class_of(text[pos]) <= TEXTCNN_MARK:
            pos += 1
        if pos >= n:
            return n
        cls = class_of(text[pos])
        after = pos + 1
        if cls == TEXTCNN_APOSTROPHE:
            if after >= n or class_of(text[after]) != TEXTCNN_WORD:
                return pos
        elif cls == TEXTCNN_FORMAT:
            while after < n and class_of(text[after]) == TEXTCNN_FORMAT:
                after += 1
            if after >= n or class_of(text[after]) > TEXTCNN_MARK:
                return pos
        else:
            return pos
        pos = after + 1


cdef inline Py_ssize_t next_char(
    const char_t* text,         # IN   n characters
    Py_ssize_t n,               # IN
    Py_ssize_t pos,             # IN   where to look from
    Py_ssize_t* start,          # OUT
) noexcept nogil:
    """End of the token of the char analyzer at `pos`; -1 if there is none."""
    if pos >= n:
        return -1
    start[0] = pos
    if class_of(text[pos]) != TEXTCNN_SPACE:
        return pos + 1
    while pos < n and class_of(text[pos]) == TEXTCNN_SPACE:
        pos += 1
    return pos


cdef struct Rules:
    bint chars                  # the char analyzer, else the word analyzer
    bint lowercase
    bint shapes                 # give the shape of each token in place of its id


cdef inline Py_ssize_t next_token(
    const char_t* text,         # IN   n characters
    Py_ssize_t n,               # IN
    Py_ssize_t pos,             # IN
    Rules rules,                # IN
    Py_ssize_t* start,          # OUT
) noexcept nogil:
    if rules.chars:
        return next_char(text, n, pos, start)
    return next_word(text, n, pos, start)


# ---------------------------------------------------------------------------------------------------
# Shapes: what a token looks like, whatever its letters are.

cdef enum:
    PLAIN = 0                   # no capital letter
    CAPITALIZED = 1             # the first letter only
    CAPITALS = 2                # other words with capital letters and no small ones
    MIXED = 3
    NUMBER = 4                  # begins with a digit, without capital letters
    SIGN = 5                    # punctuation, symbols and white space


cdef inline bint is_ideograph(uint32_t code) noexcept nogil:
    """Whether a SINGLE code point is rather a letter than a sign: what lies beyond the CJK radicals,
    but for CJK punctuation, the forms for vertical text and of full width, and pictures such as emoji."""
    return code >= 0x2E80 and not (
        0x3000 <= code < 0x3040 or 0xFE00 <= code < 0xFFF0 or 0x1F000 <= code < 0x20000
    )


cdef inline int32_t shape_of(const char_t* text, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    cdef Py_ssize_t i, n_capitals = 0, n_others = 0
    cdef bint digit
    cdef int cls
    if start == stop:
        return SIGN
    cls = class_of(text[start])
    if cls > TEXTCNN_MARK and not (cls == TEXTCNN_SINGLE and is_ideograph(text[start])):
        return SIGN
    for i in range(start, stop):
        digit = 48 <= text[i] <= 57
        if lower_of(text[i]) != text[i]:
            n_capitals += 1
        elif not digit and class_of(text[i]) == TEXTCNN_WORD:
            n_others += 1
    if n_capitals == 0:
        return NUMBER if 48 <= text[start] <= 57 else PLAIN
    if n_capitals == 1 and lower_of(text[start]) != text[start]:
        return CAPITALIZED
    return MIXED if n_others else CAPITALS


cdef uint32_t shape_letter(uint32_t code) noexcept nogil:
    """What stands for a code point in a word shape (see `_tokens.pyx`); 0 for a combining mark."""
    cdef int cls = textcnn_record_class[record_of(code)]
    if 48 <= code <= 57 or 0xFF10 <= code <= 0xFF19:
        return c"d"
    if cls == TEXTCNN_MARK:
        return 0
    if lower_of(code) != code:
        return c"X"
    if cls == TEXTCNN_WORD:
        return c"x"
    return c"c" if cls == TEXTCNN_SINGLE and is_ideograph(code) else code


# ---------------------------------------------------------------------------------------------------
# Keys: a token in UTF-8 with its hash.

cdef struct Key:
    const uint8_t* bytes
    int64_t length
    uint64_t prefix             # the first 8 bytes, zeros after the end
    uint64_t hash


cdef int reserve(Scratch* scratch, Py_ssize_t size) noexcept nogil:
    cdef void* grown
    if size <= scratch.capacity:
        return OK
    size += size >> 1
    grown = realloc(scratch.bytes, size)
    if grown == NULL:
        return NO_MEMORY
    scratch.bytes = <uint8_t*> grown
    scratch.capacity = size
    return OK


cdef inline Py_ssize_t write_token(
    const char_t* text,         # IN
    Py_ssize_t start,           # IN   first character of the token
    Py_ssize_t stop,            # IN
    bint lowercase,             # IN
    bint space,                 # IN   write a run of white space as one space
    Scratch* scratch,           # OUT  the token in UTF-8 and PADDING zero bytes
) noexcept nogil:
    """Return the number of bytes, or NO_MEMORY."""
    cdef Py_ssize_t i, n = 0, width = 4
    cdef const uint8_t* fold
    cdef uint8_t* out
    if space and class_of(text[start]) == TEXTCNN_SPACE:
        stop = start + 1
    if char_t is uint8_t:
        width = 2
    elif char_t is uint16_t:
        width = 3
    # A lower-case form is never wider than its string: make_unicode_tables.py sees to that.
    if reserve(scratch, (stop - start) * width + PADDING) != OK:
        return NO_MEMORY
    out = scratch.bytes
    if space and class_of(text[start]) == TEXTCNN_SPACE:
        out[0] = b" "
        n = 1
    elif char_t is uint8_t:
        fold = &LOWER_256[0] if lowercase else &SAME_256[0]
        for i in range(start, stop):
            if fold[text[i]] < 0x80:
                out[n] = fold[text[i]]
                n += 1
            else:
                n += put_utf8(out + n, fold[text[i]])
    elif lowercase:
        for i in range(start, stop):
            n += put_utf8(out + n, lower_of(text[i]))
    else:
        for i in range(start, stop):
            n += put_utf8(out + n, text[i])
    for i in range(PADDING):
        out[n + i] = 0
    return n


cdef inline uint64_t word_at(const uint8_t* bytes) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, bytes, 8)
    return word


cdef uint64_t HASH_KEY[2]
HASH_KEY[:] = [int.from_bytes(os.urandom(8)) for _ in range(2)]  # drawn anew at each import


cdef inline uint64_t rotated(uint64_t word, int n) noexcept nogil:
    return word << n | word >> (64 - n)


cdef inline void sip_round(uint64_t* v) noexcept nogil:
    v[0] += v[1]
    v[2] += v[3]
    v[1] = rotated(v[1], 13) ^ v[0]
    v[3] = rotated(v[3], 16) ^ v[2]
    v[0] = rotated(v[0], 32) + v[3]
    v[2] += v[1]
    v[1] = rotated(v[1], 17) ^ v[2]
    v[3] = rotated(v[3], 21) ^ v[0]
    v[2] = rotated(v[2], 32)


cdef inline uint64_t sip_hash(
    const uint8_t* padded,      # IN   bytes, with PADDING zeros behind them
    int64_t length,             # IN
    uint64_t key_0,             # IN
    uint64_t key_1,             # IN
) noexcept nogil:
    """SipHash-1-3 (Aumasson and Bernstein, 2012): nobody who lacks the key can choose tokens that collide."""
    cdef uint64_t[4] v
    cdef uint64_t word
    cdef int64_t i = 0
    v[0], v[1] = key_0 ^ <uint64_t> 0x736F6D6570736575, key_1 ^ <uint64_t> 0x646F72616E646F6D
    v[2], v[3] = key_0 ^ <uint64_t> 0x6C7967656E657261, key_1 ^ <uint64_t> 0x7465646279746573
    while i <= length:
        # the last word has what is left of the bytes, none maybe, and the length
        word = word_at(padded + i) if i + 8 <= length else word_at(padded + i) | <uint64_t> length << 56
        v[3] ^= word
        sip_round(v)
        v[0] ^= word
        i += 8
    v[2] ^= 0xFF
    sip_round(v)
    sip_round(v)
    sip_round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def siphash13(bytes token, uint64_t key_0, uint64_t key_1):
    """The hash of tokens with a known key, for tests."""
    padded = token + bytes(PADDING)
    return sip_hash(<const uint8_t*> <const char*> padded, len(token), key_0, key_1)


cdef inline void set_key(Key* key, const uint8_t* padded, int64_t length) noexcept nogil:
    """The key of `length` bytes with PADDING zeros behind them; nothing of its hash is saved."""
    key.hash = sip_hash(padded, length, HASH_KEY[0], HASH_KEY[1])
    key.bytes = padded
    key.length = length
    key.prefix = word_at(padded)  # an empty token too has its padding


cdef int set_key_from(
    Key* key,                   # OUT
    const uint8_t* bytes,       # IN   without padding
    int64_t length,             # IN
    Scratch* scratch,           # OUT
) noexcept nogil:
    cdef int i
    if reserve(scratch, length + PADDING) != OK:
        return NO_MEMORY
    if length > 0:
        memcpy(scratch.bytes, bytes, length)
    for i in range(PADDING):
        scratch.bytes[length + i] = 0
    set_key(key, scratch.bytes, length)
    return OK


# ---------------------------------------------------------------------------------------------------
# The table: open addressing, linear probing, at most half full.

cdef inline uint32_t tag_of(const Key* key) noexcept nogil:
    cdef uint32_t length = 255 if key.length > 255 else <uint32_t> key.length
    return (<uint32_t> (key.hash >> 32) & <uint32_t> 0xFFFFFF00) | length


cdef inline bint same_tail(const Table* table, int32_t token, const Key* key) noexcept nogil:
    """Whether a token of more than 8 bytes, equal in prefix and tag, is the key."""
    cdef int64_t start = table.offsets[token - 1]
    return (
        table.offsets[token] - start == key.length
        and memcmp(table.bytes + start, key.bytes, key.length) == 0
    )


cdef inline int32_t find(const Table* table, const Key* key) noexcept nogil:
    """Id of the key; 0, which is the unknown token, if the table does not have it."""
    cdef uint64_t place = key.hash & table.mask
    cdef uint32_t tag = tag_of(key)
    cdef const Slot* slot
    while True:
        slot = &table.slots[place]
        if slot.id == 0:
            return 0
        if slot.prefix == key.prefix and slot.tag == tag:
            if key.length <= 8 or same_tail(table, slot.id, key):
                return slot.id
        place = (place + 1) & table.mask


cdef inline void place_slot(Table* table, uint64_t hash_, Slot slot) noexcept nogil:
    cdef uint64_t place = hash_ & table.mask
    while table.slots[place].id != 0:
        place = (place + 1) & table.mask
    table.slots[place] = slot


cdef int open_table(Table* table) noexcept nogil:
    """Make `table`, a struct of zeros, an empty table."""
    table.slots = <Slot*> calloc(64, sizeof(Slot))
    table.offsets = <int64_t*> calloc(1, sizeof(int64_t))
    table.mask = 63
    return NO_MEMORY if table.slots == NULL or table.offsets == NULL else OK


cdef void close_table(Table* table) noexcept nogil:
    free(table.slots)
    free(table.bytes)
    free(table.offsets)
    free(table.hashes)


cdef int grow_slots(Table* table) noexcept nogil:
    cdef uint64_t n_old = table.mask + 1, i
    cdef Slot* old = table.slots
    cdef Slot* grown = <Slot*> calloc(n_old * 2, sizeof(Slot))
    if grown == NULL:
        return NO_MEMORY
    table.slots = grown
    table.mask = n_old * 2 - 1
    for i in range(n_old):
        if old[i].id != 0:
            place_slot(table, table.hashes[old[i].id - 1], old[i])
    free(old)
    return OK


cdef int grow_tokens(Table* table) noexcept nogil:
    cdef int64_t capacity = table.capacity * 2 + 32
    cdef void* grown = realloc(table.offsets, (capacity + 1) * sizeof(int64_t))
    if grown == NULL:
        return NO_MEMORY
    table.offsets = <int64_t*> grown
    grown = realloc(table.hashes, capacity * sizeof(uint64_t))
    if grown == NULL:
        return NO_MEMORY
    table.hashes = <uint64_t*> grown
    table.capacity = capacity
    return OK


cdef int grow_bytes(Table* table, int64_t size) noexcept nogil:
    cdef void* grown
    size += (size >> 1) + 256
    grown = realloc(table.bytes, size)
    if grown == NULL:
        return NO_MEMORY
    table.bytes = <uint8_t*> grown
    table.bytes_capacity = size
    return OK


cdef int32_t add(Table* table, const Key* key) noexcept nogil:
    """Give a key that the table does not have the next id; return it, or a negative status."""
    cdef int64_t used = table.offsets[table.n_tokens]
    cdef Slot slot
    if table.n_tokens >= MAX_TOKENS:
        return TOO_MANY_TOKENS
    if table.n_tokens == table.capacity and grow_tokens(table) != OK:
        return NO_MEMORY
    if used + key.length > table.bytes_capacity and grow_bytes(table, used + key.length) != OK:
        return NO_MEMORY
    if <uint64_t> (table.n_tokens + 1) * 2 > table.mask + 1 and grow_slots(table) != OK:
        return NO_MEMORY
    if key.length > 0:
        memcpy(table.bytes + used, key.bytes, key.length)
    table.hashes[table.n_tokens] = key.hash
    table.n_tokens += 1
    table.offsets[table.n_tokens] = used + key.length
    slot.prefix = key.prefix
    slot.tag = tag_of(key)
    slot.id = <int32_t> table.n_tokens
    place_slot(table, key.hash, slot)
    return slot.id


# ---------------------------------------------------------------------------------------------------
# Counting: a table with, for each token, its number of uses and of texts.

cdef struct Counter:
    Table table
    int64_t capacity
    int64_t* term_counts
    int64_t* text_counts
    Py_ssize_t* last_text       # the last text that had the token


cdef void close_counter(Counter* counter) noexcept nogil:
    close_table(&counter.table)
    free(counter.term_counts)
    free(counter.text_counts)
    free(counter.last_text)


cdef int grow_counts(Counter* counter) noexcept nogil:
    cdef int64_t capacity = counter.capacity * 2 + 32
    cdef void* grown = realloc(counter.term_counts, capacity * sizeof(int64_t))
    if grown == NULL:
        return NO_MEMORY
    counter.term_counts = <int64_t*> grown
    grown = realloc(counter.text_counts, capacity * sizeof(int64_t))
    if grown == NULL:
        return NO_MEMORY
    counter.text_counts = <int64_t*> grown
    grown = realloc(counter.last_text, capacity * sizeof(Py_ssize_t))
    if grown == NULL:
        return NO_MEMORY
    counter.last_text = <Py_ssize_t*> grown
    counter.capacity = capacity
    return OK


cdef inline int32_t find_or_add(Counter* counter, const Key* key) noexcept nogil:
    """Id of the key, a new one with counts of zero if need be; or a negative status."""
    cdef int32_t token = find(&counter.table, key)
    if token != 0:
        return token
    if counter.table.n_tokens == counter.capacity and grow_counts(counter) != OK:
        return NO_MEMORY
    token = add(&counter.table, key)
    if token > 0:
        counter.term_counts[token - 1] = 0
        counter.text_counts[token - 1] = 0
        counter.last_text[token - 1] = -1
    return token


cdef inline int32_t count_one(Counter* counter, const Key* key, Py_ssize_t text) noexcept nogil:
    cdef int32_t token = find_or_add(counter, key)
    if token > 0:
        counter.term_counts[token - 1] += 1
        if counter.last_text[token - 1] != text:
            counter.last_text[token - 1] = text
            counter.text_counts[token - 1] += 1
    return token


cdef int merge_counter(
    Counter* whole,             # IN/OUT
    const Counter* part,        # IN
    int32_t* new_ids,           # OUT  (part.table.n_tokens + 1,) id in `whole` of each id in `part`
    Scratch* scratch,           # OUT
) noexcept nogil:
    cdef const Table* table = &part.table
    cdef int64_t i
    cdef int32_t token
    cdef Key key
    new_ids[0] = 0
    for i in range(table.n_tokens):
        if set_key_from(
            &key, table.bytes + table.offsets[i], table.offsets[i + 1] - table.offsets[i], scratch
        ) != OK:
            return NO_MEMORY
        token = find_or_add(whole, &key)
        if token < 0:
            return token
        whole.term_counts[token - 1] += part.term_counts[i]
        whole.text_counts[token - 1] += part.text_counts[i]
        new_ids[i + 1] = token
    return OK


cdef struct Ranked:
    int64_t count
    const uint8_t* bytes
    int64_t length
    int32_t token


cdef int compare_ranked(const void* left, const void* right) noexcept nogil:
    """Falling count, then rising code points, which is the order of the UTF-8 bytes."""
    cdef const Ranked* a = <const Ranked*> left
    cdef const Ranked* b = <const Ranked*> right
    cdef int64_t shorter = a.length if a.length < b.length else b.length
    cdef int order
    if a.count != b.count:
        return 1 if a.count < b.count else -1
    order = memcmp(a.bytes, b.bytes, shorter) if shorter > 0 else 0
    if order != 0:
        return order
    return (a.length > b.length) - (a.length < b.length)


# ---------------------------------------------------------------------------------------------------
# Texts and pieces of work.

cdef struct Source:
    const void* data
    Py_ssize_t length           # characters
    int kind                    # bytes a character: 1, 2 or 4


cdef struct Piece:
    Py_ssize_t first            # texts first:last
    Py_ssize_t last
    int32_t* ids
    Py_ssize_t n_ids
    Py_ssize_t capacity
    Scratch scratch
    bint keeps_unknown          # note the unknown tokens too
    Scratch unknown             # they, end to end
    int64_t* unknown_stops      # where each ends in `unknown`
    Py_ssize_t n_unknown
    Py_ssize_t unknown_capacity
    Counter* counter            # NULL when ids are looked up
    int32_t* new_ids            # id in the merged table of each id of `counter`
    int status


cdef int set_source(Source* source, object text) except -1:
    """`text` is a str or of a subclass; an argument typed `str` would refuse the subclass."""
    textcnn_str_ready(text)
    source.data = PyUnicode_DATA(text)
    source.length = PyUnicode_GET_LENGTH(text)
    source.kind = PyUnicode_KIND(text)
    return 0


cdef str found(object item):
    """What an error message says about an item of the wrong type."""
    if item is None:
        return "None"
    if isinstance(item, bytes):
        return "bytes"
    if isinstance(item, (int, float)):
        return f"{type(item).__name__} {item!r}"
    return f"of type {type(item).__name__}"


cdef class Texts:
    """The buffers of some texts, and references that keep them alive and unchanged.

    A text is one string to analyse (one source) or a sequence of tokens (a source for each).
    """

    cdef list held
    cdef Source* sources
    cdef Py_ssize_t* first      # sources of text i: first[i]:first[i + 1]
    cdef uint8_t* analysed      # 1: one string to analyse; 0: tokens
    cdef readonly Py_ssize_t n_texts

    def __cinit__(self, texts):
        cdef Py_ssize_t n_sources = 0, i
        if isinstance(texts, (str, bytes)):
            raise ValueError(
                f"X is a single {type(texts).__name__}, but a list of texts is expected; "
                "put the text in a list: [text]"
            )
        self.held = list(texts)  # a private list: the caller's may change while we work
        self.n_texts = len(self.held)
        for i in range(self.n_texts):
            text = self.held[i]
            if isinstance(text, str):
                n_sources += 1
            elif isinstance(text, (list, tuple)):
                self.held[i] = tokens = tuple(text)
                n_sources += len(tokens)
            else:
                raise TypeError(
                    f"X[{i}] is {found(text)}, but every text must be a str or a list of str; "
                    "replace or drop it before the call"
                )
        self.sources = <Source*> malloc((n_sources + 1) * sizeof(Source))
        self.first = <Py_ssize_t*> malloc((self.n_texts + 1) * sizeof(Py_ssize_t))
        self.analysed = <uint8_t*> malloc(self.n_texts + 1)
        if self.sources == NULL or self.first == NULL or self.analysed == NULL:
            raise MemoryError
        self.collect()

    def __dealloc__(self):
        free(self.sources)
        free(self.first)
        free(self.analysed)

    cdef int collect(self) except -1:
        cdef Py_ssize_t n_sources = 0, i, t
        cdef tuple tokens
        self.first[0] = 0
        for i in range(self.n_texts):
            text = self.held[i]
            self.analysed[i] = isinstance(text, str)
            if self.analysed[i]:
                set_source(&self.sources[n_sources], text)
                n_sources += 1
            else:
                tokens = text
                for t in range(len(tokens)):
                    token = tokens[t]
                    if not isinstance(token, str):
                        raise TypeError(f"X[{i}][{t}] is {found(token)}, but every token must be a str")
                    set_source(&self.sources[n_sources], token)
                    n_sources += 1
            self.first[i + 1] = n_sources
        return 0

    cdef Py_ssize_t n_chars(self, Py_ssize_t text) noexcept nogil:
        """Rough amount of work: characters, and one for each source."""
        cdef Py_ssize_t total = 0, s
        for s in range(self.first[text], self.first[text + 1]):
            total += self.sources[s].length + 1
        return total


cdef class Pieces:
    """Consecutive texts, cut where `size` characters are reached; each piece has its own buffers."""

    cdef Piece* items
    cdef Py_ssize_t n_pieces

    def __cinit__(self, Texts texts, Py_ssize_t size, bint counting):
        cdef Py_ssize_t capacity = 1, total = 0, i, p = 0
        for i in range(texts.n_texts):
            total += texts.n_chars(i)
        capacity = min(texts.n_texts, total // size + 1)
        self.items = <Piece*> calloc(capacity + 1, sizeof(Piece))
        if self.items == NULL:
            raise MemoryError
        total = 0
        for i in range(texts.n_texts):
            total += texts.n_chars(i)
            self.items[p].last = i + 1
            if total >= size:
                p += 1
                self.items[p].first = i + 1
                total = 0
        self.n_pieces = p + (total > 0)
        for p in range(self.n_pieces if counting else 0):
            self.items[p].counter = <Counter*> calloc(1, sizeof(Counter))
            if self.items[p].counter == NULL or open_table(&self.items[p].counter.table) != OK:
                raise MemoryError

    def __dealloc__(self):
        cdef Py_ssize_t p
        for p in range(self.n_pieces):
            free(self.items[p].ids)
            free(self.items[p].scratch.bytes)
            free(self.items[p].unknown.bytes)
            free(self.items[p].unknown_stops)
            free(self.items[p].new_ids)
            if self.items[p].counter != NULL:
                close_counter(self.items[p].counter)
                free(self.items[p].counter)
        free(self.items)

    cdef int check(self) except -1:
        """Raise the error that a thread met."""
        cdef Py_ssize_t p
        for p in range(self.n_pieces):
            raise_status(self.items[p].status)
        return 0


cdef int raise_status(int status) except -1:
    if status == NO_MEMORY:
        raise MemoryError
    if status == TOO_MANY_TOKENS:
        raise OverflowError(f"a vocabulary can have at most {MAX_TOKENS} tokens")
    return 0


cdef inline int push(Piece* piece, int32_t token) noexcept nogil:
    cdef Py_ssize_t capacity
    cdef void* grown
    if piece.n_ids == piece.capacity:
        capacity = piece.capacity * 2 + 256
        grown = realloc(piece.ids, capacity * sizeof(int32_t))
        if grown == NULL:
            return NO_MEMORY
        piece.ids = <int32_t*> grown
        piece.capacity = capacity
    piece.ids[piece.n_ids] = token
    piece.n_ids += 1
    return OK


cdef int push_unknown(Piece* piece, const Key* key) noexcept nogil:
    cdef int64_t used = piece.unknown_stops[piece.n_unknown - 1] if piece.n_unknown else 0
    cdef Py_ssize_t capacity
    cdef void* grown
    if piece.n_unknown == piece.unknown_capacity:
        capacity = piece.unknown_capacity * 2 + 32
        grown = realloc(piece.unknown_stops, capacity * sizeof(int64_t))
        if grown == NULL:
            return NO_MEMORY
        piece.unknown_stops = <int64_t*> grown
        piece.unknown_capacity = capacity
    if reserve(&piece.unknown, used + key.length + 1) != OK:
        return NO_MEMORY
    memcpy(piece.unknown.bytes + used, key.bytes, key.length)
    piece.unknown_stops[piece.n_unknown] = used + key.length
    piece.n_unknown += 1
    return OK


cdef inline int take(
    Piece* piece,               # IN/OUT
    const char_t* text,         # IN
    Py_ssize_t start,           # IN   first character of the token
    Py_ssize_t stop,            # IN
    Rules rules,                # IN
    const Table* table,         # IN   not used when counting
    Py_ssize_t number,          # IN   which text this is
) noexcept nogil:
    """Append the id, or the shape, of one token to the piece."""
    cdef Key key
    cdef int32_t token
    cdef Py_ssize_t length
    if rules.shapes:
        return push(piece, shape_of(text, start, stop))
    length = write_token(text, start, stop, rules.lowercase, rules.chars, &piece.scratch)
    if length < 0:
        return NO_MEMORY
    set_key(&key, piece.scratch.bytes, length)
    if piece.counter == NULL:
        token = find(table, &key)
        if token == 0 and piece.keeps_unknown and push_unknown(piece, &key) != OK:
            return NO_MEMORY
    else:
        token = count_one(piece.counter, &key, number)
        if token < 0:
            return token
    return push(piece, token)


cdef int scan(
    Piece* piece,               # IN/OUT
    const char_t* text,         # IN   n characters
    Py_ssize_t n,               # IN
    bint analysed,              # IN   else the text is one token
    Rules rules,                # IN
    const Table* table,         # IN
    Py_ssize_t number,          # IN
) noexcept nogil:
    """Append the ids of all tokens of one source to the piece."""
    cdef Py_ssize_t start = 0, stop = 0
    cdef int status
    if not analysed:
        rules.chars = rules.lowercase = False
        return take(piece, text, 0, n, rules, table, number)
    while True:
        stop = next_token(text, n, stop, rules, &start)
        if stop < 0:
            return OK
        status = take(piece, text, start, stop, rules, table, number)
        if status != OK:
            return status


cdef int scan_source(
    Piece* piece,               # IN/OUT
    const Source* source,       # IN
    bint analysed,              # IN
    Rules rules,                # IN
    const Table* table,         # IN
    Py_ssize_t number,          # IN
) noexcept nogil:
    if source.kind == 1:
        return scan[uint8_t](
            piece, <const uint8_t*> source.data, source.length, analysed, rules, table, number
        )
    if source.kind == 2:
        return scan[uint16_t](
            piece, <const uint16_t*> source.data, source.length, analysed, rules, table, number
        )
    return scan[uint32_t](
        piece, <const uint32_t*> source.data, source.length, analysed, rules, table, number
    )


cdef void run_piece(
    Piece* piece,               # IN/OUT
    const Source* sources,      # IN
    const Py_ssize_t* first,    # IN
    const uint8_t* analysed,    # IN
    Rules rules,                # IN
    const Table* table,         # IN
    int64_t* sizes,             # OUT  number of tokens of each text of the piece
) noexcept nogil:
    cdef Py_ssize_t i, s, before
    for i in range(piece.first, piece.last):
        before = piece.n_ids
        for s in range(first[i], first[i + 1]):
            piece.status = scan_source(piece, &sources[s], analysed[i], rules, table, i)
            if piece.status != OK:
                return
        sizes[i] = piece.n_ids - before


cdef object run_pieces(Texts texts, Pieces pieces, Rules rules, const Table* table, int n_threads):
    """Work on all pieces; return the offsets (n_texts + 1,) of the texts in the joined ids."""
    cdef Py_ssize_t i, p, n_texts = texts.n_texts
    cdef int64_t* sizes = <int64_t*> calloc(n_texts + 1, sizeof(int64_t))
    cdef Py_ssize_t[::1] offsets
    if sizes == NULL:
        raise MemoryError
    try:
        n_threads = <int> min(n_threads, pieces.n_pieces)
        with nogil:
            if n_threads <= 1:
                # Without an OpenMP region: cheaper for one short text, and safe after a fork.
                for p in range(pieces.n_pieces):
                    run_piece(
                        &pieces.items[p], texts.sources, texts.first, texts.analysed, rules, table, sizes
                    )
            else:
                for p in prange(pieces.n_pieces, num_threads=n_threads, schedule="dynamic"):
                    run_piece(
                        &pieces.items[p], texts.sources, texts.first, texts.analysed, rules, table, sizes
                    )
        pieces.check()
        result = np.empty(n_texts + 1, dtype=np.intp)
        offsets = result
        offsets[0] = 0
        for i in range(n_texts):
            offsets[i + 1] = offsets[i] + <Py_ssize_t> sizes[i]
        return result
    finally:
        free(sizes)


cdef object join_ids(Pieces pieces, const int32_t* ranks):
    """Ids of all pieces, end to end; when counting, each replaced by its rank."""
    cdef Py_ssize_t p, i, n = 0
    cdef Piece* piece
    cdef int32_t[::1] ids
    cdef int32_t* out
    for p in range(pieces.n_pieces):
        n += pieces.items[p].n_ids
    result = np.empty(n, dtype=np.int32)
    if n == 0:
        return result
    ids = result
    out = &ids[0]
    with nogil:
        for p in range(pieces.n_pieces):
            piece = &pieces.items[p]
            if piece.n_ids == 0:
                continue
            if piece.new_ids == NULL:
                memcpy(out, piece.ids, piece.n_ids * sizeof(int32_t))
            else:
                for i in range(piece.n_ids):
                    out[i] = ranks[piece.new_ids[piece.ids[i]]]
            out += piece.n_ids
    return result


cdef object join_unknown(Pieces pieces):
    """Unknown tokens of all pieces: uint8 (n_bytes,) and int64 (n_unknown + 1,)."""
    cdef Py_ssize_t p, i, n = 0
    cdef int64_t used = 0
    cdef Piece* piece
    cdef uint8_t[::1] token_bytes
    cdef int64_t[::1] offsets
    for p in range(pieces.n_pieces):
        piece = &pieces.items[p]
        n += piece.n_unknown
        used += piece.unknown_stops[piece.n_unknown - 1] if piece.n_unknown else 0
    result = np.empty(used, dtype=np.uint8), np.empty(n + 1, dtype=np.int64)
    token_bytes, offsets = result
    offsets[0] = n = used = 0
    for p in range(pieces.n_pieces):
        piece = &pieces.items[p]
        if piece.n_unknown == 0:
            continue
        if piece.unknown_stops[piece.n_unknown - 1]:
            memcpy(&token_bytes[used], piece.unknown.bytes, piece.unknown_stops[piece.n_unknown - 1])
        for i in range(piece.n_unknown):
            offsets[n + i + 1] = used + piece.unknown_stops[i]
        n += piece.n_unknown
        used = offsets[n]
    return result


cdef Rules make_rules(object analyzer, bint lowercase) except *:
    cdef Rules rules
    if analyzer not in ANALYZERS:
        raise ValueError(f"analyzer must be 'word' or 'char' here, but is {analyzer!r}")
    rules.chars = analyzer == "char"
    rules.lowercase = lowercase
    rules.shapes = False
    return rules


# ---------------------------------------------------------------------------------------------------
# What Python sees.

def count_tokens(
    texts,                      # IN   str to analyse, or lists of tokens
    analyzer,                   # IN   "word" or "char"
    bint lowercase,             # IN
    int n_threads,              # IN
):
    """Find and count the distinct tokens of `texts`.

    Returns
    -------
    tuple (bytes, token_offsets, term_counts, text_counts, ids, offsets)
        The distinct tokens in UTF-8, end to end, by falling count, ties by code point: uint8 (n_bytes,)
        and int64 (n_tokens + 1,); how often each occurs, and in how many texts: int64 (n_tokens,);
        the texts as ids, 1 for the first token: int32 (n_ids,); and their offsets: intp (n_texts + 1,).
    """
    cdef Rules rules = make_rules(analyzer, lowercase)
    cdef Texts sources = Texts(texts)
    cdef Pieces pieces = Pieces(sources, COUNT_PIECE, True)
    cdef Counter whole
    cdef Scratch scratch = Scratch(NULL, 0)
    cdef int32_t* ranks = NULL
    cdef int status
    offsets = run_pieces(sources, pieces, rules, NULL, n_threads)
    memset(&whole, 0, sizeof(Counter))
    try:
        with nogil:
            status = merge_pieces(pieces.items, pieces.n_pieces, &whole, &scratch)
        raise_status(status)
        ranks = <int32_t*> malloc((whole.table.n_tokens + 1) * sizeof(int32_t))
        if ranks == NULL:
            raise MemoryError
        columns = sorted_columns(&whole, ranks)
        return (*columns, join_ids(pieces, ranks), offsets)
    finally:
        free(ranks)
        free(scratch.bytes)
        close_counter(&whole)


cdef int merge_pieces(
    Piece* pieces,              # IN/OUT
    Py_ssize_t n_pieces,        # IN
    Counter* whole,             # OUT
    Scratch* scratch,           # OUT
) noexcept nogil:
    cdef Py_ssize_t p
    cdef int status = open_table(&whole.table)
    for p in range(n_pieces):
        if status != OK:
            break
        pieces[p].new_ids = <int32_t*> malloc(
            (pieces[p].counter.table.n_tokens + 1) * sizeof(int32_t)
        )
        if pieces[p].new_ids == NULL:
            return NO_MEMORY
        status = merge_counter(whole, pieces[p].counter, pieces[p].new_ids, scratch)
    return status


cdef object sorted_columns(const Counter* counter, int32_t* ranks):
    """The four arrays of tokens of `count_tokens`; `ranks` gets the place of each id, from 1."""
    cdef const Table* table = &counter.table
    cdef Py_ssize_t n = table.n_tokens, i
    cdef int64_t used = table.offsets[n], place = 0
    cdef int64_t[::1] token_offsets, term_counts, text_counts
    cdef uint8_t[::1] token_bytes
    cdef Ranked* order = <Ranked*> malloc((n + 1) * sizeof(Ranked))
    if order == NULL:
        raise MemoryError
    try:
        columns = (
            np.empty(used, dtype=np.uint8),
            np.empty(n + 1, dtype=np.int64),
            np.empty(n, dtype=np.int64),
            np.empty(n, dtype=np.int64),
        )
        token_bytes, token_offsets, term_counts, text_counts = columns
        with nogil:
            for i in range(n):
                order[i].count = counter.term_counts[i]
                order[i].bytes = table.bytes + table.offsets[i]
                order[i].length = table.offsets[i + 1] - table.offsets[i]
                order[i].token = <int32_t> (i + 1)
            qsort(order, n, sizeof(Ranked), compare_ranked)
            ranks[0] = 0
            token_offsets[0] = 0
            for i in range(n):
                ranks[order[i].token] = <int32_t> (i + 1)
                term_counts[i] = order[i].count
                text_counts[i] = counter.text_counts[order[i].token - 1]
                if order[i].length > 0:
                    memcpy(&token_bytes[place], order[i].bytes, order[i].length)
                place += order[i].length
                token_offsets[i + 1] = place
        return columns
    finally:
        free(order)


cdef int64_t bad_utf8(const uint8_t* text, int64_t n) noexcept nogil:
    """Position of the first byte that is not UTF-8 (surrogates allowed); -1 if all is well."""
    cdef int64_t i = 0, j
    cdef int follow
    cdef uint32_t code, least
    while i < n:
        code = text[i]
        if code < 0x80:
            i += 1
            continue
        if code < 0xC2 or code > 0xF4:
            return i
        follow = 1 if code < 0xE0 else 2 if code < 0xF0 else 3
        least = 0x80 if follow == 1 else 0x800 if follow == 2 else 0x10000
        code &= 0x3F >> follow
        if i + follow >= n:
            return i
        for j in range(i + 1, i + 1 + follow):
            if text[j] & 0xC0 != 0x80:
                return i
            code = (code << 6) | (text[j] & 0x3F)
        if code < least or code > MAX_CODE_POINT:
            return i
        i += 1 + follow
    return -1


cdef str decode(const uint8_t* text, Py_ssize_t length):
    return PyUnicode_DecodeUTF8(<const char*> text, length, "surrogatepass")


cdef class TokenTable:
    """Tokens with the ids 1, 2, 3 ... in the order given; immutable, so that threads can share it.

    Parameters
    ----------
    token_bytes : uint8 array of shape (n_bytes,)
        The tokens in UTF-8 with "surrogatepass", end to end.
    offsets : int64 array of shape (n_tokens + 1,)
        Token of id i: ``token_bytes[offsets[i - 1]:offsets[i]]``.

    Raises
    ------
    ValueError
        If the offsets do not rise from 0 to n_bytes, a token is not UTF-8, or two are equal.
    """

    def __cinit__(
        self,
        const uint8_t[::1] token_bytes,     # IN
        const int64_t[::1] offsets,         # IN
    ):
        cdef Scratch scratch = Scratch(NULL, 0)
        cdef int64_t i, n = offsets.shape[0] - 1
        raise_status(open_table(&self.table))
        if n < 0 or offsets[0] != 0 or offsets[n] != token_bytes.shape[0]:
            raise ValueError(
                f"the offsets of a vocabulary must rise from 0 to the number of its bytes, "
                f"{token_bytes.shape[0]}, but begin and end otherwise"
            )
        for i in range(n):
            if not 0 <= offsets[i] <= offsets[i + 1] <= offsets[n]:
                raise ValueError(
                    f"the offsets of a vocabulary must never fall, but offsets[{i + 1}] is "
                    f"{offsets[i + 1]} after {offsets[i]}"
                )
        try:
            for i in range(n):
                self.append(
                    &token_bytes[0] + offsets[i] if token_bytes.shape[0] else NULL,
                    offsets[i + 1] - offsets[i],
                    &scratch,
                )
        finally:
            free(scratch.bytes)
        free(self.table.hashes)  # needed to grow only
        self.table.hashes = NULL

    def __dealloc__(self):
        close_table(&self.table)

    cdef int append(self, const uint8_t* token, int64_t length, Scratch* scratch) except -1:
        cdef int64_t number = self.table.n_tokens + 1
        cdef int32_t other
        cdef Key key
        if bad_utf8(token, length) >= 0:
            raise ValueError(f"token {number} of the vocabulary is not valid UTF-8")
        raise_status(set_key_from(&key, token, length, scratch))
        other = find(&self.table, &key)
        if other != 0:
            raise ValueError(
                f"the vocabulary has the token {decode(token, length)!r} twice, as {other} and {number}"
            )
        other = add(&self.table, &key)
        raise_status(other if other < 0 else OK)
        return 0

    cdef int32_t find_padded(self, const uint8_t* padded, int64_t length) noexcept nogil:
        """Id of the token of `length` bytes of UTF-8 with PADDING zeros behind them; 0 if unknown."""
        cdef Key key
        set_key(&key, padded, length)
        return find(&self.table, &key)

    def __len__(self):
        return self.table.n_tokens

    def find(self, token):
        """Id of a token; 0 if the table does not have it."""
        cdef Scratch scratch = Scratch(NULL, 0)
        cdef Source source
        cdef Py_ssize_t length
        cdef Key key
        if not isinstance(token, str):
            raise TypeError(f"a token must be a str, but is {found(token)}")
        set_source(&source, token)
        length = write_span(&source, 0, source.length, Rules(False, False, False), &scratch)
        try:
            if length < 0:
                raise MemoryError
            set_key(&key, scratch.bytes, length)
            return find(&self.table, &key)
        finally:
            free(scratch.bytes)

    def to_list(self):
        """The tokens in the order of their ids, from 1."""
        cdef int64_t i
        cdef const int64_t* offsets = self.table.offsets
        return [
            decode(self.table.bytes + offsets[i], offsets[i + 1] - offsets[i])
            for i in range(self.table.n_tokens)
        ]

    def to_arrays(self):
        """New arrays like those that the table was made of."""
        cdef Py_ssize_t n = self.table.n_tokens, size = self.table.offsets[n]
        cdef int64_t[::1] offsets
        cdef uint8_t[::1] token_bytes
        result = np.empty(size, dtype=np.uint8), np.empty(n + 1, dtype=np.int64)
        token_bytes, offsets = result
        memcpy(&offsets[0], self.table.offsets, (n + 1) * sizeof(int64_t))
        if size > 0:
            memcpy(&token_bytes[0], self.table.bytes, size)
        return result

    def encode(
        self,
        texts,                              # IN   str to analyse, or lists of tokens
        analyzer,                           # IN   "word" or "char"
        bint lowercase,                     # IN
        int n_threads,                      # IN
    ):
        """Ids int32 (n_ids,), 0 for tokens that the table does not have, and offsets intp (n_texts + 1,)."""
        cdef Rules rules = make_rules(analyzer, lowercase)
        cdef Texts sources = Texts(texts)
        cdef Pieces pieces = Pieces(sources, ENCODE_PIECE, False)
        offsets = run_pieces(sources, pieces, rules, &self.table, n_threads)
        return join_ids(pieces, NULL), offsets

    def encode_with_unknown(
        self,
        texts,                              # IN   str to analyse, or lists of tokens
        analyzer,                           # IN   "word" or "char"
        bint lowercase,                     # IN
        int n_threads,                      # IN
    ):
        """`encode`, and the unknown tokens in the order of their zeros.

        Returns
        -------
        tuple (ids, offsets, unknown_bytes, unknown_offsets)
            The unknown tokens are in UTF-8, end to end: uint8 (n_bytes,) and int64 (n_unknown + 1,).
        """
        cdef Rules rules = make_rules(analyzer, lowercase)
        cdef Texts sources = Texts(texts)
        cdef Pieces pieces = Pieces(sources, ENCODE_PIECE, False)
        cdef Py_ssize_t p
        for p in range(pieces.n_pieces):
            pieces.items[p].keeps_unknown = True
        offsets = run_pieces(sources, pieces, rules, &self.table, n_threads)
        return (join_ids(pieces, NULL), offsets, *join_unknown(pieces))


cdef Py_ssize_t next_span(
    const Source* source,       # IN
    Py_ssize_t pos,             # IN
    Rules rules,                # IN
    Py_ssize_t* start,          # OUT
) noexcept nogil:
    """`next_token` for a string of any width."""
    if source.kind == 1:
        return next_token[uint8_t](<const uint8_t*> source.data, source.length, pos, rules, start)
    if source.kind == 2:
        return next_token[uint16_t](<const uint16_t*> source.data, source.length, pos, rules, start)
    return next_token[uint32_t](<const uint32_t*> source.data, source.length, pos, rules, start)


cdef Py_ssize_t write_span(
    const Source* source,       # IN
    Py_ssize_t start,           # IN
    Py_ssize_t stop,            # IN
    Rules rules,                # IN
    Scratch* scratch,           # OUT
) noexcept nogil:
    """`write_token` for a string of any width."""
    if source.kind == 1:
        return write_token[uint8_t](
            <const uint8_t*> source.data, start, stop, rules.lowercase, rules.chars, scratch
        )
    if source.kind == 2:
        return write_token[uint16_t](
            <const uint16_t*> source.data, start, stop, rules.lowercase, rules.chars, scratch
        )
    return write_token[uint32_t](
        <const uint32_t*> source.data, start, stop, rules.lowercase, rules.chars, scratch
    )


cdef int set_text(Source* source, object text) except -1:
    if not isinstance(text, str):
        raise TypeError(f"a text must be a str, but is {found(text)}")
    return set_source(source, text)


def token_spans(text, analyzer):
    """Start and end, in characters, of each token of a text: intp (n_tokens, 2)."""
    cdef Rules rules = make_rules(analyzer, False)
    cdef Source source
    cdef Py_ssize_t start = 0, stop = 0, n = 0, i
    cdef Py_ssize_t[:, ::1] spans
    set_text(&source, text)
    while stop >= 0:
        stop = next_span(&source, stop, rules, &start)
        n += stop >= 0
    out = np.empty((n, 2), np.intp)
    spans = out
    stop = 0
    for i in range(n):
        stop = next_span(&source, stop, rules, &start)
        spans[i, 0] = start
        spans[i, 1] = stop
    return out


def token_shapes(
    texts,                      # IN   str to analyse, or lists of tokens
    analyzer,                   # IN   "word" or "char"
    int n_threads,              # IN
):
    """Shape of each token of `texts`: int32 (n_ids,), codes as in `textcnn.text.analyzers.SHAPES`."""
    cdef Rules rules = make_rules(analyzer, False)
    cdef Texts sources = Texts(texts)
    cdef Pieces pieces = Pieces(sources, ENCODE_PIECE, False)
    rules.shapes = True
    run_pieces(sources, pieces, rules, NULL, n_threads)
    return join_ids(pieces, NULL)


def split_tokens(text, analyzer, bint lowercase):
    """Tokens of a text: a list of str."""
    cdef Rules rules = make_rules(analyzer, lowercase)
    cdef Scratch scratch = Scratch(NULL, 0)
    cdef Source source
    cdef Py_ssize_t start = 0, stop = 0, length
    tokens = []
    set_text(&source, text)
    try:
        while True:
            stop = next_span(&source, stop, rules, &start)
            if stop < 0:
                return tokens
            length = write_span(&source, start, stop, rules, &scratch)
            if length < 0:
                raise MemoryError
            tokens.append(decode(scratch.bytes, length))
    finally:
        free(scratch.bytes)
