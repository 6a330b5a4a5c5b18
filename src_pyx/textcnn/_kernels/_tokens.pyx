"""Features of distinct tokens: number of the word, numbers of the characters, hashed affixes and shape.

For each token, given in UTF-8 as written:

- the number of the word: that of the token, in lower case if asked, in a `TokenTable`; 0 if unknown;
- the numbers of its characters as written, between a begin and an end mark. Of a token of more than
  `max_chars` characters the first ``(max_chars + 1) // 2`` and the last ``max_chars // 2`` are taken, for
  beginning and end tell most about a word;
- a row of an embedding table for each attribute: the prefixes and suffixes of the token in lower case, of
  the lengths asked for in characters (of a shorter token all of it, but nothing of a token of a single
  character), and its shape. Attribute a has the rows
  from ``a * n_buckets`` to ``(a + 1) * n_buckets - 1``; the row is ``a * n_buckets + hash % n_buckets``.

The hash is FNV-1a in 64 bits over the UTF-8 bytes of the attribute, then the final mix of MurmurHash3::

    hash = 0xCBF29CE484222325
    for each byte:  hash = (hash ^ byte) * 0x100000001B3
    hash ^= hash >> 33;  hash *= 0xFF51AFD7ED558CCD
    hash ^= hash >> 33;  hash *= 0xC4CEB9FE1A85EC53
    hash ^= hash >> 33

all modulo 2**64. Model files depend on it.

The shape has ``d`` for the digits 0 to 9 (of full width too), ``X`` for what has another lower-case form,
``x`` for other letters and digits, ``c`` for Chinese characters, kana and their like; combining marks are
left out, and all else stands for itself. Of a run of equal signs the first four count.
"""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

import numpy as np

from textcnn._kernels._openmp cimport team_size
from textcnn._kernels._text cimport PADDING, TokenTable, bad_utf8, lower_code, put_utf8, shape_letter

cdef enum:
    UNKNOWN = 0
    BEGIN_MARK = 1
    END_MARK = 2
    FIRST_CHAR = 3              # number of the first of the known characters
    N_ASCII = 128
    LONGEST_RUN = 4             # signs of a run that count in a shape
    SMALL = 256                 # bytes of a token whose lower-case form fits on the stack
    TOKEN_COST = 500            # of a token, in multiply-add operations of a matrix product
    BYTE_COST = 50

FIRST_CHAR_ID = FIRST_CHAR


cdef struct Rules:
    bint lowercase
    Py_ssize_t max_chars
    const int32_t* char_codes
    Py_ssize_t n_codes
    int32_t ascii_chars[N_ASCII]        # numbers of the first code points, to look up at once
    const int32_t* prefix_lengths
    Py_ssize_t n_prefixes
    int32_t longest_prefix
    const int32_t* suffix_lengths
    Py_ssize_t n_suffixes
    bint shape
    int32_t n_buckets


# What the tables say of the first code points.
cdef uint32_t ASCII_SHAPE[N_ASCII]
cdef uint8_t ASCII_LOWER[N_ASCII]


cdef void fill_ascii() noexcept:
    cdef int code
    for code in range(N_ASCII):
        ASCII_SHAPE[code] = shape_letter(code)
        ASCII_LOWER[code] = <uint8_t> lower_code(code)


fill_ascii()


# ---------------------------------------------------------------------------------------------------
# Hashes

cdef inline uint64_t hash_byte(uint64_t hash_, uint8_t byte) noexcept nogil:
    return (hash_ ^ byte) * <uint64_t> 0x100000001B3


cdef inline uint64_t hash_bytes(uint64_t hash_, const uint8_t* bytes, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        hash_ = hash_byte(hash_, bytes[i])
    return hash_


cdef inline int32_t bucket(uint64_t hash_, int32_t n_buckets) noexcept nogil:
    hash_ = (hash_ ^ (hash_ >> 33)) * <uint64_t> 0xFF51AFD7ED558CCD
    hash_ = (hash_ ^ (hash_ >> 33)) * <uint64_t> 0xC4CEB9FE1A85EC53
    return <int32_t> ((hash_ ^ (hash_ >> 33)) % <uint64_t> n_buckets)


cdef inline uint64_t empty_hash() noexcept nogil:
    return <uint64_t> 0xCBF29CE484222325


# ---------------------------------------------------------------------------------------------------
# Code points of valid UTF-8

cdef inline Py_ssize_t next_code(const uint8_t* token, Py_ssize_t pos, uint32_t* code) noexcept nogil:
    """Read the code point at `pos`; return where the next one begins."""
    cdef uint32_t lead = token[pos]
    if lead < 0x80:
        code[0] = lead
        return pos + 1
    if lead < 0xE0:
        code[0] = ((lead & 0x1F) << 6) | (token[pos + 1] & 0x3F)
        return pos + 2
    if lead < 0xF0:
        code[0] = ((lead & 0x0F) << 12) | ((token[pos + 1] & 0x3F) << 6) | (token[pos + 2] & 0x3F)
        return pos + 3
    code[0] = (
        ((lead & 0x07) << 18) | ((token[pos + 1] & 0x3F) << 12)
        | ((token[pos + 2] & 0x3F) << 6) | (token[pos + 3] & 0x3F)
    )
    return pos + 4


cdef inline Py_ssize_t char_before(const uint8_t* token, Py_ssize_t pos) noexcept nogil:
    """Where the character that ends before `pos` > 0 begins."""
    pos -= 1
    while token[pos] & 0xC0 == 0x80:
        pos -= 1
    return pos


cdef inline Py_ssize_t count_chars(const uint8_t* token, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i, n_chars = 0
    for i in range(n):
        n_chars += token[i] & 0xC0 != 0x80
    return n_chars


cdef int32_t find_char(const int32_t* codes, Py_ssize_t n, uint32_t code) noexcept nogil:
    """Number of a code point, by bisection of the known ones in rising order; UNKNOWN if not among them."""
    cdef Py_ssize_t first = 0, last = n, middle
    while first < last:
        middle = (first + last) >> 1
        if codes[middle] < <int32_t> code:
            first = middle + 1
        else:
            last = middle
    return <int32_t> (first + FIRST_CHAR) if first < n and codes[first] == <int32_t> code else UNKNOWN


# ---------------------------------------------------------------------------------------------------
# One token

cdef inline Py_ssize_t put_lower(uint8_t* out, uint32_t code) noexcept nogil:
    if code < N_ASCII:
        out[0] = ASCII_LOWER[code]
        return 1
    return put_utf8(out, lower_code(code))


cdef Py_ssize_t write_lower(
    const uint8_t* token,       # IN   n bytes
    Py_ssize_t n,               # IN
    uint8_t* out,               # OUT  room for 2 n bytes: no form has more than twice the bytes
) noexcept nogil:
    """Write the token in lower case; return its number of bytes."""
    cdef Py_ssize_t pos = 0, used = 0
    cdef uint32_t code
    while pos < n:
        pos = next_code(token, pos, &code)
        used += put_lower(out + used, code)
    return used


cdef int32_t find_word(TokenTable table, uint8_t* token, Py_ssize_t n) noexcept nogil:
    """Number of the token, which has room for PADDING bytes behind it."""
    cdef int i
    for i in range(PADDING):
        token[n + i] = 0
    return table.find_padded(token, n)


cdef void put_chars(
    const uint8_t* token,       # IN   n bytes
    Py_ssize_t n,               # IN
    const Rules* rules,         # IN
    int32_t* chars,             # OUT  (n_ids,)
    Py_ssize_t n_ids,           # IN   with the two marks
) noexcept nogil:
    cdef Py_ssize_t pos = 0, place = 0, _
    cdef Py_ssize_t n_last = (n_ids - 2) // 2, n_first = n_ids - 2 - n_last
    cdef uint32_t code
    chars[0] = BEGIN_MARK
    while place < n_ids - 2:
        if place == n_first:  # a token that is not too long goes on where it is
            pos = n
            for _ in range(n_last):
                pos = char_before(token, pos)
        pos = next_code(token, pos, &code)
        place += 1
        if code < N_ASCII:
            chars[place] = rules.ascii_chars[code]
        else:
            chars[place] = find_char(rules.char_codes, rules.n_codes, code)
    chars[n_ids - 1] = END_MARK


cdef void put_prefixes(
    const uint8_t* lowered,     # IN   n bytes
    Py_ssize_t n,               # IN
    const Rules* rules,         # IN
    int32_t* buckets,           # OUT  (n_prefixes,)
) noexcept nogil:
    cdef Py_ssize_t a, pos = 0, start
    cdef int32_t length = 0
    cdef uint32_t code
    cdef uint64_t hash_ = empty_hash()
    while pos < n and length < rules.longest_prefix:
        start, pos = pos, next_code(lowered, pos, &code)
        hash_ = hash_bytes(hash_, lowered + start, pos - start)
        length += 1
        for a in range(rules.n_prefixes):
            if rules.prefix_lengths[a] == length:
                buckets[a] = bucket(hash_, rules.n_buckets)
    if length < 2 and pos == n:  # a single character says all as a word
        hash_ = empty_hash()
    for a in range(rules.n_prefixes):
        if rules.prefix_lengths[a] > length or length < 2 and pos == n:
            buckets[a] = bucket(hash_, rules.n_buckets)


cdef void put_suffixes(
    const uint8_t* lowered,     # IN   n bytes
    Py_ssize_t n,               # IN
    const Rules* rules,         # IN
    int32_t* buckets,           # OUT  (n_suffixes,)
) noexcept nogil:
    cdef Py_ssize_t a, start
    cdef int32_t length
    for a in range(rules.n_suffixes):
        start, length = n, 0
        while start > 0 and length < rules.suffix_lengths[a]:
            start = char_before(lowered, start)
            length += 1
        if length < 2 and start == 0:  # a single character says all as a word
            start = n
        buckets[a] = bucket(hash_bytes(empty_hash(), lowered + start, n - start), rules.n_buckets)


cdef int32_t shape_bucket(
    const uint8_t* token,       # IN   n bytes
    Py_ssize_t n,               # IN
    int32_t n_buckets,          # IN
) noexcept nogil:
    cdef Py_ssize_t pos = 0
    cdef uint32_t code, letter, last = 0
    cdef int run = 0
    cdef uint8_t bytes[4]
    cdef uint64_t hash_ = empty_hash()
    while pos < n:
        pos = next_code(token, pos, &code)
        letter = ASCII_SHAPE[code] if code < N_ASCII else shape_letter(code)
        if letter == 0 and code != 0:
            continue  # a combining mark
        run = run + 1 if letter == last and run > 0 else 1
        last = letter
        if run > LONGEST_RUN:
            continue
        if letter < N_ASCII:
            hash_ = hash_byte(hash_, <uint8_t> letter)
        else:
            hash_ = hash_bytes(hash_, bytes, put_utf8(bytes, letter))
    return bucket(hash_, n_buckets)


cdef bint put_token(
    const uint8_t* token,       # IN   n bytes
    Py_ssize_t n,               # IN
    TokenTable table,           # IN
    const Rules* rules,         # IN
    int32_t* word,              # OUT
    int32_t* chars,             # OUT  (n_chars,)
    Py_ssize_t n_chars,         # IN
    int32_t* hashed,            # OUT  (n_attributes,)
) noexcept nogil:
    """Write all features of one token; False if there is no memory for its lower-case form."""
    cdef uint8_t[2 * SMALL + PADDING] small
    cdef uint8_t* lowered = &small[0]
    cdef Py_ssize_t n_lowered, a
    if n > SMALL:
        lowered = <uint8_t*> malloc(2 * n + PADDING)
    if lowered == NULL:
        return False
    n_lowered = write_lower(token, n, lowered)
    put_prefixes(lowered, n_lowered, rules, hashed)
    put_suffixes(lowered, n_lowered, rules, hashed + rules.n_prefixes)
    if rules.shape:
        hashed[rules.n_prefixes + rules.n_suffixes] = shape_bucket(token, n, rules.n_buckets)
    for a in range(1, rules.n_prefixes + rules.n_suffixes + rules.shape):
        hashed[a] += <int32_t> a * rules.n_buckets
    if not rules.lowercase and n > 0:
        memcpy(lowered, token, n)
        n_lowered = n
    word[0] = find_word(table, lowered, n_lowered)
    if n_chars > 0:
        put_chars(token, n, rules, chars, n_chars)
    if n > SMALL:
        free(lowered)
    return True


# ---------------------------------------------------------------------------------------------------
# What Python sees

def token_features(
    const uint8_t[::1] token_bytes,     # IN   tokens in UTF-8 ("surrogatepass"), end to end
    const int64_t[::1] token_offsets,   # IN   (n + 1,)
    TokenTable table not None,          # IN   words
    bint lowercase,                     # IN   whether words are looked up in lower case
    const int32_t[::1] char_codes,      # IN   known code points, rising
    Py_ssize_t max_chars,               # IN   0: no characters at all
    const int32_t[::1] prefix_lengths,  # IN
    const int32_t[::1] suffix_lengths,  # IN
    bint shape,                         # IN
    int32_t n_buckets,                  # IN
    int n_threads=1,
):
    """Features of distinct tokens, as the top of this file tells.

    Returns
    -------
    tuple (words, chars, char_offsets, hashed)
        int32 (n,), int32 (n_chars,), intp (n + 1,) and int32 (n, n_attributes), new arrays.
    """
    cdef Rules rules
    cdef Py_ssize_t i, n = token_offsets.shape[0] - 1
    cdef Py_ssize_t n_attributes = prefix_lengths.shape[0] + suffix_lengths.shape[0] + shape
    cdef Py_ssize_t n_failed = 0  # a reduction: the assignment of a thread alone would be lost
    cdef const uint8_t* tokens = &token_bytes[0] if token_bytes.shape[0] else NULL
    cdef int32_t[::1] words, chars, hashed
    cdef int32_t* first_char
    cdef int32_t* first_hashed
    cdef double cost
    cdef Py_ssize_t[::1] char_offsets
    check_lengths(prefix_lengths, suffix_lengths, max_chars)
    check_buckets(n_buckets, n_attributes)
    check_codes(char_codes)
    check_tokens(token_bytes, token_offsets)
    set_rules(&rules, lowercase, char_codes, max_chars, prefix_lengths, suffix_lengths, shape, n_buckets)
    result = [np.empty(n, np.int32), None, np.zeros(n + 1, np.intp), np.empty(n * n_attributes, np.int32)]
    words, char_offsets, hashed = result[0], result[2], result[3]
    for i in range(n if max_chars > 0 else 0):
        char_offsets[i + 1] = char_offsets[i] + 2 + min(
            max_chars, count_chars(tokens + token_offsets[i], token_offsets[i + 1] - token_offsets[i])
        )
    chars = result[1] = np.empty(char_offsets[n], np.int32)
    first_char = &chars[0] if chars.shape[0] else NULL
    first_hashed = &hashed[0] if hashed.shape[0] else NULL
    cost = <double> n * TOKEN_COST + <double> token_bytes.shape[0] * BYTE_COST
    for i in prange(n, nogil=True, schedule="static", num_threads=team_size(n_threads, cost)):
        n_failed += not put_token(
            tokens + token_offsets[i],
            token_offsets[i + 1] - token_offsets[i],
            table,
            &rules,
            &words[i],
            first_char + char_offsets[i],
            char_offsets[i + 1] - char_offsets[i],
            first_hashed + i * n_attributes,
        )
    if n_failed:
        raise MemoryError("there is no memory for the lower-case form of a very long token")
    result[3] = result[3].reshape(n, n_attributes)
    return tuple(result)


cdef void set_rules(
    Rules* rules,                       # OUT
    bint lowercase,                     # IN
    const int32_t[::1] char_codes,      # IN
    Py_ssize_t max_chars,               # IN
    const int32_t[::1] prefix_lengths,  # IN
    const int32_t[::1] suffix_lengths,  # IN
    bint shape,                         # IN
    int32_t n_buckets,                  # IN
) noexcept:
    cdef int code
    cdef Py_ssize_t a
    rules.lowercase, rules.shape = lowercase, shape
    rules.max_chars, rules.n_buckets = max_chars, n_buckets
    rules.n_codes = char_codes.shape[0]
    rules.char_codes = &char_codes[0] if rules.n_codes else NULL
    for code in range(N_ASCII):
        rules.ascii_chars[code] = find_char(rules.char_codes, rules.n_codes, code)
    rules.n_prefixes, rules.n_suffixes = prefix_lengths.shape[0], suffix_lengths.shape[0]
    rules.prefix_lengths = &prefix_lengths[0] if rules.n_prefixes else NULL
    rules.suffix_lengths = &suffix_lengths[0] if rules.n_suffixes else NULL
    rules.longest_prefix = 0
    for a in range(rules.n_prefixes):
        rules.longest_prefix = max(rules.longest_prefix, prefix_lengths[a])


cdef int check_tokens(const uint8_t[::1] token_bytes, const int64_t[::1] offsets) except -1:
    cdef Py_ssize_t i, n = offsets.shape[0] - 1
    if n < 0 or offsets[0] != 0 or offsets[n] != token_bytes.shape[0]:
        raise ValueError(
            f"the offsets of tokens must rise from 0 to the number of their bytes, {token_bytes.shape[0]}"
        )
    for i in range(n):
        if not offsets[i] <= offsets[i + 1] <= offsets[n]:
            raise ValueError(
                f"the offsets of tokens must never fall, but token {i} is from {offsets[i]} to "
                f"{offsets[i + 1]}"
            )
        if (
            offsets[i] < offsets[i + 1]
            and bad_utf8(&token_bytes[0] + offsets[i], offsets[i + 1] - offsets[i]) >= 0
        ):
            raise ValueError(f"token {i} is not valid UTF-8")
    return 0


cdef int check_codes(const int32_t[::1] codes) except -1:
    cdef Py_ssize_t i
    for i in range(codes.shape[0]):
        if not 0 <= codes[i] <= 0x10FFFF or (i > 0 and codes[i - 1] >= codes[i]):
            raise ValueError(
                f"the known characters must be code points in rising order, but number {i} is {codes[i]}"
            )
    return 0


cdef int check_lengths(
    const int32_t[::1] prefix_lengths,
    const int32_t[::1] suffix_lengths,
    Py_ssize_t max_chars,
) except -1:
    cdef Py_ssize_t a
    for a in range(prefix_lengths.shape[0]):
        if prefix_lengths[a] < 1:
            raise ValueError(f"a prefix has at least 1 character, not {prefix_lengths[a]}")
    for a in range(suffix_lengths.shape[0]):
        if suffix_lengths[a] < 1:
            raise ValueError(f"a suffix has at least 1 character, not {suffix_lengths[a]}")
    if max_chars < 0:
        raise ValueError(f"max_chars must be at least 0, but is {max_chars}")
    return 0


cdef int check_buckets(int32_t n_buckets, Py_ssize_t n_attributes) except -1:
    if n_buckets < 1 or <double> n_buckets * n_attributes > 0x7FFFFFFF:
        raise ValueError(
            f"n_buckets must be at least 1, and at most {0x7FFFFFFF} divided by the {n_attributes} "
            f"attributes, but is {n_buckets}"
        )
    return 0
