"""What other kernels use of the scanner: the token table, and facts about code points."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

cdef enum:
    PADDING = 8                 # zero bytes after a token in scratch: it is hashed in words of 8 bytes


cdef struct Scratch:
    uint8_t* bytes
    Py_ssize_t capacity


cdef struct Slot:
    # Four slots a cache line. A token of up to 8 bytes is compared without leaving the slot.
    uint64_t prefix
    uint32_t tag                # 24 bits of the hash, 8 bits of the length
    int32_t id                  # 0: free


cdef struct Table:
    Slot* slots
    uint64_t mask               # number of slots - 1, a power of two - 1
    int64_t n_tokens
    int64_t capacity            # of `offsets` (less 1) and `hashes`
    uint8_t* bytes              # token of id i: bytes[offsets[i - 1]:offsets[i]]
    int64_t bytes_capacity
    int64_t* offsets
    uint64_t* hashes            # to grow without reading the tokens again


cdef class TokenTable:
    cdef Table table

    cdef int append(self, const uint8_t* token, int64_t length, Scratch* scratch) except -1
    cdef int32_t find_padded(self, const uint8_t* padded, int64_t length) noexcept nogil


cdef uint32_t lower_code(uint32_t code) noexcept nogil
cdef uint32_t shape_letter(uint32_t code) noexcept nogil
cdef int64_t bad_utf8(const uint8_t* text, int64_t n) noexcept nogil


cdef inline Py_ssize_t put_utf8(uint8_t* out, uint32_t code) noexcept nogil:
    """Write one code point, lone surrogates included; return the number of bytes."""
    if code < 0x80:
        out[0] = <uint8_t> code
        return 1
    if code < 0x800:
        out[0] = <uint8_t> (0xC0 | (code >> 6))
        out[1] = <uint8_t> (0x80 | (code & 0x3F))
        return 2
    if code < 0x10000:
        out[0] = <uint8_t> (0xE0 | (code >> 12))
        out[1] = <uint8_t> (0x80 | ((code >> 6) & 0x3F))
        out[2] = <uint8_t> (0x80 | (code & 0x3F))
        return 3
    out[0] = <uint8_t> (0xF0 | (code >> 18))
    out[1] = <uint8_t> (0x80 | ((code >> 12) & 0x3F))
    out[2] = <uint8_t> (0x80 | ((code >> 6) & 0x3F))
    out[3] = <uint8_t> (0x80 | (code & 0x3F))
    return 4
