"""Dropout masks from a counter-based generator: Philox4x32-10 (Salmon et al. 2011, "Parallel random
numbers: as easy as 1, 2, 3").

A number is a function of (seed, step, row, column) alone, so that masks do not depend on the number
of threads or on the order of the work.
"""

from cython cimport floating
from cython.parallel cimport prange
from libc.stdint cimport uint32_t, uint64_t

from textcnn._kernels._openmp cimport team_size

# About what four numbers cost, in multiply-add operations.
cdef enum:
    PHILOX_COST = 400


cdef void philox(uint32_t *counter, uint32_t key0, uint32_t key1) noexcept nogil:
    """Ten rounds in place."""
    cdef int _round
    cdef uint64_t product0, product1
    for _round in range(10):
        product0 = <uint64_t>0xD2511F53 * counter[0]
        product1 = <uint64_t>0xCD9E8D57 * counter[2]
        counter[0] = <uint32_t>(product1 >> 32) ^ counter[1] ^ key0
        counter[1] = <uint32_t>product1
        counter[2] = <uint32_t>(product0 >> 32) ^ counter[3] ^ key1
        counter[3] = <uint32_t>product0
        key0 += <uint32_t>0x9E3779B9
        key1 += <uint32_t>0xBB67AE85


def philox4x32(
    const uint32_t[::1] counter,    # IN   (4,)
    const uint32_t[::1] key,        # IN   (2,)
):
    """The four random words of one counter and key."""
    cdef uint32_t words[4]
    cdef int k
    if counter.shape[0] != 4 or key.shape[0] != 2:
        raise ValueError(
            f"a counter has 4 words and a key 2, but these have {counter.shape[0]} and {key.shape[0]}"
        )
    for k in range(4):
        words[k] = counter[k]
    philox(words, key[0], key[1])
    return words[0], words[1], words[2], words[3]


cdef void mask_row(
    uint64_t seed,
    uint64_t step,
    uint32_t row,
    uint64_t threshold,
    floating kept,
    Py_ssize_t c,
    floating *out,
) noexcept nogil:
    cdef uint32_t words[4]
    cdef Py_ssize_t j, k
    for j in range(0, c, 4):
        words[0] = <uint32_t>(j // 4)
        words[1] = row
        words[2] = <uint32_t>step
        words[3] = <uint32_t>(step >> 32)
        philox(words, <uint32_t>seed, <uint32_t>(seed >> 32))
        for k in range(min(<Py_ssize_t>4, c - j)):
            out[j + k] = kept if words[k] >= threshold else 0


def dropout_mask(
    uint64_t seed,
    uint64_t step,
    double rate,
    floating[:, ::1] out,    # OUT  (n, c) of 0 and 1 / (1 - rate)
    int n_threads=1,
):
    """out[i, j] = 0 with probability `rate`, else 1 / (1 - rate): a function of seed, step, i and j."""
    cdef Py_ssize_t i, n = out.shape[0], c = out.shape[1]
    cdef uint64_t threshold
    cdef floating kept
    if not 0 <= rate < 1:
        raise ValueError(f"the dropout rate is {rate}, but it must be at least 0 and below 1")
    threshold = <uint64_t>(rate * 4294967296.0)
    kept = <floating>(1 / (1 - rate))
    if c > 0:
        for i in prange(n, nogil=True, num_threads=team_size(n_threads, <double>n * c * PHILOX_COST / 4)):
            mask_row(seed, step, <uint32_t>i, threshold, kept, c, &out[i, 0])
