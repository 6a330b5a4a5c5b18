"""Explanations: windows of texts gathered by place, those that count most first."""

import numpy as np

from cython.parallel cimport prange
from libc.math cimport INFINITY, fabs
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort
from libc.string cimport memcpy

from textcnn._kernels._openmp cimport team_size

# About what a window costs beside its shares, in multiply-add operations: a look-up, its part of the sort.
cdef enum:
    WINDOW_COST = 100


cdef struct Place:
    Py_ssize_t start
    Py_ssize_t end
    Py_ssize_t number           # places before it, as they first appear
    double favour


# What is asked about all texts.
cdef struct Question:
    const Py_ssize_t* starts
    const Py_ssize_t* ends
    const double* shares
    Py_ssize_t n_network        # windows from here on are those of the linear part
    double share
    const double* scale
    const double* directions    # NULL if changes in either direction count alike
    Py_ssize_t k


def rank_places(
    const Py_ssize_t[::1] texts,         # IN   (m,) the text of each window, of n
    const Py_ssize_t[::1] starts,        # IN   (m,) its first token
    const Py_ssize_t[::1] ends,          # IN   (m,) the one after its last
    const double[:, ::1] shares,         # IN   (m, k) what it adds to the outputs
    Py_ssize_t n_network,                # IN   windows from here on are those of the linear part
    double share,                        # IN   weight of the linear part; the network has the rest of 1
    const double[::1] scale,             # IN   (k,) outputs are given in these units
    Py_ssize_t n,                        # IN   texts
    const double[:, ::1] directions,     # IN   (n, k) what counts in favour in each text; None: any change
    int n_threads=1,
):
    """Windows with the same text, start and end added up, in each text those most in favour first.

    Returns for each text its places, intp (p, 2), and what is added there to the outputs, float64 (p, 2, k):
    in all, and by the linear part alone.

    The favour of a place is the sum over the outputs of its direction times what is added there, in units of
    `scale`, or without directions of the magnitude of what is added. Equal ones keep the order of their first
    windows; NaN comes last.
    """
    cdef Py_ssize_t i, wrong, m = texts.shape[0], k = shares.shape[1]
    cdef Py_ssize_t[::1] order = np.empty(m, np.intp)
    cdef Py_ssize_t[:, ::1] bounds, places
    cdef double[:, :, ::1] sums
    cdef Question question
    cdef int team = team_size(n_threads, <double> m * (WINDOW_COST + 2 * k))
    if starts.shape[0] != m or ends.shape[0] != m or shares.shape[0] != m or not 0 <= n_network <= m:
        raise ValueError(f"{m} windows need as many texts, starts, ends and shares, and parts of them")
    if k == 0 or scale.shape[0] != k:
        raise ValueError(f"windows that add to {k} outputs need as many scales, and at least one")
    if n < 0 or (directions is not None and (directions.shape[0] != n or directions.shape[1] != k)):
        raise ValueError(f"{n} texts need directions of the shape ({n}, {k})")
    bounds, places, sums = np.empty((n, 2), np.intp), np.empty((m, 2), np.intp), np.empty((m, 2, k))
    with nogil:
        wrong = group_by_text(texts, bounds, order)
    if wrong >= 0:
        raise ValueError(f"window {wrong} is of text {texts[wrong]}, but there are {n} texts")
    if m:
        question = Question(&starts[0], &ends[0], &shares[0, 0], n_network, share, &scale[0], NULL, k)
        if directions is not None:
            question.directions = &directions[0, 0]
        for i in prange(n, schedule="dynamic", chunksize=8, num_threads=team, nogil=True):
            bounds[i, 1] = rank_text(&question, i, &order[0], bounds[i, 0], bounds[i, 1], places, sums)
    return [copied(places, sums, bounds[i, 0], bounds[i, 1]) for i in range(n)]


cdef object copied(Py_ssize_t[:, ::1] places, double[:, :, ::1] sums, Py_ssize_t first, Py_ssize_t last):
    """The rows of one text, so that who keeps them does not keep those of all texts."""
    cdef Py_ssize_t p = last - first, k = sums.shape[2]
    cdef Py_ssize_t[:, ::1] to_places
    cdef double[:, :, ::1] to_sums
    if last < 0:
        raise MemoryError(f"no memory for the places of {places.shape[0]} windows")
    own_places, own_sums = np.empty((p, 2), np.intp), np.empty((p, 2, k))
    if p:
        to_places, to_sums = own_places, own_sums
        memcpy(&to_places[0, 0], &places[first, 0], p * 2 * sizeof(Py_ssize_t))
        memcpy(&to_sums[0, 0, 0], &sums[first, 0, 0], p * 2 * k * sizeof(double))
    return own_places, own_sums


cdef Py_ssize_t group_by_text(
    const Py_ssize_t[::1] texts, Py_ssize_t[:, ::1] bounds, Py_ssize_t[::1] order
) noexcept nogil:
    """Windows in the order of their texts; the first one of a text that is not there, or -1."""
    cdef Py_ssize_t w, i, count, done = 0
    for i in range(bounds.shape[0]):
        bounds[i, 1] = 0
    for w in range(texts.shape[0]):
        if not 0 <= texts[w] < bounds.shape[0]:
            return w
        bounds[texts[w], 1] += 1
    for i in range(bounds.shape[0]):
        count = bounds[i, 1]
        bounds[i, 0] = bounds[i, 1] = done
        done += count
    for w in range(texts.shape[0]):
        order[bounds[texts[w], 1]] = w
        bounds[texts[w], 1] += 1
    return -1


cdef Py_ssize_t rank_text(
    const Question* question,
    Py_ssize_t i,
    const Py_ssize_t* order,
    Py_ssize_t first,
    Py_ssize_t last,
    Py_ssize_t[:, ::1] places,
    double[:, :, ::1] sums,
) noexcept nogil:
    """The places of text i, whose windows are first to last - 1 of `order`; returns their end, or -1."""
    cdef Py_ssize_t n_windows = last - first, n_slots = 4, n_found, stop = -1, p, c, k = question.k
    cdef Py_ssize_t* slots
    cdef Place* found
    cdef double* added
    cdef const double* total
    cdef const double* direction = NULL
    if n_windows == 0:
        return first
    if question.directions != NULL:
        direction = question.directions + i * k
    while n_slots < 2 * n_windows:
        n_slots *= 2
    slots = <Py_ssize_t*> calloc(n_slots, sizeof(Py_ssize_t))
    found = <Place*> malloc(n_windows * sizeof(Place))
    added = <double*> calloc(n_windows * 2 * k, sizeof(double))
    if slots != NULL and found != NULL and added != NULL:
        n_found = add_up(question, order + first, n_windows, slots, n_slots - 1, found, added)
        for p in range(n_found):
            found[p].favour = weighed(question, direction, added + p * 2 * k)
        qsort(found, n_found, sizeof(Place), &compared)
        for p in range(n_found):
            places[first + p, 0] = found[p].start
            places[first + p, 1] = found[p].end
            total = added + found[p].number * 2 * k
            for c in range(k):
                sums[first + p, 0, c] = total[c]
                sums[first + p, 1, c] = total[k + c]
        stop = first + n_found
    free(slots)
    free(found)
    free(added)
    return stop


cdef Py_ssize_t add_up(
    const Question* question,
    const Py_ssize_t* windows,
    Py_ssize_t n_windows,
    Py_ssize_t* slots,
    Py_ssize_t mask,
    Place* found,
    double* added,
) noexcept nogil:
    """The distinct places of windows as they first appear, and what is added there; returns their number.

    `slots` is a hash table with the number of each place, from 1 on; at least half of it stays free.
    """
    cdef Py_ssize_t i, w, c, slot, start, end, n_found = 0, k = question.k
    cdef const double* more
    cdef double* total
    for i in range(n_windows):
        w = windows[i]
        start, end = question.starts[w], question.ends[w]
        slot = mixed(start, end) & mask
        while slots[slot] and (found[slots[slot] - 1].start != start or found[slots[slot] - 1].end != end):
            slot = (slot + 1) & mask
        if slots[slot] == 0:
            found[n_found] = Place(start, end, n_found, 0.0)
            n_found += 1
            slots[slot] = n_found
        total = added + (2 * (slots[slot] - 1) + (w >= question.n_network)) * k
        more = question.shares + w * k
        for c in range(k):
            total[c] += more[c]
    return n_found


cdef inline Py_ssize_t mixed(Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    cdef uint64_t key = (<uint64_t> start * <uint64_t> 0x9E3779B97F4A7C15) ^ <uint64_t> end
    return <Py_ssize_t> ((key * <uint64_t> 0xD6E8FEB86659FD93) >> 32)


cdef inline double weighed(const Question* question, const double* direction, double* sums) noexcept nogil:
    """The favour of a place, whose sums of network and linear part become those of both and of the latter."""
    cdef Py_ssize_t c, k = question.k
    cdef double network, linear, favour = 0.0
    for c in range(k):
        network = (1 - question.share) * sums[c]
        linear = question.share * sums[k + c]
        favour += fabs(network + linear) if direction == NULL else direction[c] * (network + linear)
        sums[c] = question.scale[c] * network + question.scale[c] * linear
        sums[k + c] = question.scale[c] * linear
    return favour if favour == favour else -INFINITY


cdef int compared(const void* a, const void* b) noexcept nogil:
    """Order of two places for qsort: that with the larger favour first, of equal ones the earlier."""
    cdef const Place* x = <const Place*> a
    cdef const Place* y = <const Place*> b
    if x.favour != y.favour:
        return 1 if x.favour < y.favour else -1
    return 1 if x.number > y.number else -1
