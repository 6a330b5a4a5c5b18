"""Explanations: what windows of texts add to the outputs, by place, that which counts most first."""

import numpy as np

from cython.parallel cimport prange, threadid
from libc.math cimport INFINITY, fabs
from libc.stdint cimport int32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort
from libc.string cimport memcpy, memset

from textcnn._kernels._offsets cimport check_offsets
from textcnn._kernels._openmp cimport team_size
from textcnn._kernels._simd cimport TEXTCNN_NO_WINDOW

# About what a window costs beside its shares, in multiply-add operations: a look-up, its part of the sort.
cdef enum:
    WINDOW_COST = 100


# The windows of all texts, and what is asked about them; pointers to arrays without entries are NULL.
cdef struct Windows:
    Py_ssize_t k
    const Py_ssize_t* offsets
    Py_ssize_t n_features
    const float* pooled
    const int32_t* argmax
    const int32_t* widths
    const float* weights
    const Py_ssize_t* order     # of the others, by text
    const Py_ssize_t* firsts    # of each text in `order`
    const Py_ssize_t* starts
    const Py_ssize_t* ends
    const double* shares
    Py_ssize_t n_network
    double share
    const double* scale
    const double* directions


cdef struct Place:
    Py_ssize_t start
    Py_ssize_t end
    Py_ssize_t number           # places before it, as they first appear
    double favour


# The distinct places of a text: a hash table of numbers from 1 on, at least half of which stays free. Each
# thread has one, which grows.
cdef struct Table:
    Py_ssize_t most             # places that there is memory for
    Py_ssize_t* slots
    Py_ssize_t mask
    Place* found
    double* sums                # (n, 2, k) by network and linear part
    Py_ssize_t n
    Py_ssize_t k


# The places of a text in their order.
cdef struct Ranked:
    Py_ssize_t n                # -1 without memory
    Py_ssize_t* places          # (n, 2)
    double* sums                # (n, 2, k)


cdef class RankedPlaces:
    """The places of the windows of a text, those most in favour first; made by `rank_places`.

    Arrays are made when they are asked for: Python objects take the time of all threads, and most of what is
    explained is not looked at in full.
    """

    cdef Ranked ranked
    cdef Py_ssize_t k

    def __len__(self):
        return self.ranked.n

    def arrays(self):
        """Start and end of each, intp (p, 2), and what is added there to the outputs, float64 (p, 2, k).

        First what is added in all, then what of it comes from the linear part.
        """
        cdef Py_ssize_t n = self.ranked.n, k = self.k
        cdef Py_ssize_t[:, ::1] places
        cdef double[:, :, ::1] sums
        result = np.empty((n, 2), np.intp), np.empty((n, 2, k))
        if n:
            places, sums = result
            memcpy(&places[0, 0], self.ranked.places, n * 2 * sizeof(Py_ssize_t))
            memcpy(&sums[0, 0, 0], self.ranked.sums, n * 2 * k * sizeof(double))
        return result

    def __reduce__(self):
        raise TypeError("ranked places cannot be pickled; pickle their arrays")

    def __dealloc__(self):
        free(self.ranked.places)
        free(self.ranked.sums)


def rank_places(
    const Py_ssize_t[::1] offsets,       # IN   (n + 1,) tokens of the texts
    const float[:, ::1] pooled,          # IN   (n, q) features
    const int32_t[:, ::1] argmax,        # IN   (n, q) where their windows start, as from the forward pass
    const int32_t[::1] widths,           # IN   (q,) tokens of the window of each feature
    const float[:, ::1] weights,         # IN   (k, q) of the outputs
    const Py_ssize_t[::1] texts,         # IN   (m,) the text of each other window
    const Py_ssize_t[::1] starts,        # IN   (m,) its first token
    const Py_ssize_t[::1] ends,          # IN   (m,) the one after its last
    const double[:, ::1] shares,         # IN   (m, k) what it adds to the outputs
    Py_ssize_t n_network,                # IN   others from here on are those of the linear part
    double share,                        # IN   weight of the linear part; the network has the rest of 1
    const double[::1] scale,             # IN   (k,) what is added is multiplied by it in the end
    const double[:, ::1] directions,     # IN   (n, k) what counts in favour in each text; None: any change
    int n_threads=1,
):
    """What windows with the same text, start and end add up to, in each text those most in favour first.

    A feature that has a window adds ``pooled * weights`` there; tokens of the window before the text and
    behind it do not count.

    Returns a list with the `RankedPlaces` of each text.

    The favour of a place is the sum over the outputs of its direction times what is added there, before the
    multiplication by `scale`; without directions that of the magnitudes of what is added. Equal ones keep the
    order of their first windows, those of the features first; NaN counts as minus infinity.
    """
    cdef Py_ssize_t n = pooled.shape[0], q = pooled.shape[1], m = texts.shape[0], k = weights.shape[0]
    cdef Py_ssize_t i, wrong
    cdef Py_ssize_t[::1] order, firsts
    cdef Windows windows
    cdef Ranked* ranked
    cdef Table* tables
    cdef int t, team = team_size(n_threads, (<double> n * q + m) * (WINDOW_COST + 2 * k))
    check_offsets(offsets, "the offsets of texts", -1)
    if (
        offsets.shape[0] != n + 1 or argmax.shape[0] != n or argmax.shape[1] != q or widths.shape[0] != q
        or weights.shape[1] != q
    ):
        raise ValueError(f"{n} texts of {q} features need as many offsets, places, widths and weights")
    if starts.shape[0] != m or ends.shape[0] != m or shares.shape[0] != m or not 0 <= n_network <= m:
        raise ValueError(f"{m} windows need as many texts, starts, ends and shares, and parts of them")
    if k == 0 or shares.shape[1] != k or scale.shape[0] != k:
        raise ValueError(f"{k} outputs need as many shares and scales, and at least one")
    if directions is not None and (directions.shape[0] != n or directions.shape[1] != k):
        raise ValueError(f"{n} texts need directions of the shape ({n}, {k})")
    order, firsts = np.empty(m, np.intp), np.zeros(n + 1, np.intp)
    with nogil:
        wrong = group_by_text(texts, order, firsts)
    if wrong >= 0:
        raise ValueError(f"window {wrong} is of text {texts[wrong]}, but there are {n} texts")
    memset(&windows, 0, sizeof(Windows))
    windows.k, windows.n_features, windows.n_network, windows.share = k, q, n_network, share
    windows.offsets, windows.firsts, windows.scale = &offsets[0], &firsts[0], &scale[0]
    if n and q:
        windows.pooled, windows.argmax = &pooled[0, 0], &argmax[0, 0]
        windows.widths, windows.weights = &widths[0], &weights[0, 0]
    if m:
        windows.order, windows.starts, windows.ends = &order[0], &starts[0], &ends[0]
        windows.shares = &shares[0, 0]
    if n and directions is not None:
        windows.directions = &directions[0, 0]
    ranked = <Ranked*> calloc(max(1, n), sizeof(Ranked))
    tables = <Table*> calloc(team, sizeof(Table))
    try:
        if ranked == NULL or tables == NULL:
            raise MemoryError(f"no memory for the places of {n} texts")
        for i in prange(n, schedule="dynamic", chunksize=8, num_threads=team, nogil=True):
            rank_text(&windows, i, &tables[threadid()], &ranked[i])
        return [taken(&ranked[i], k) for i in range(n)]
    finally:
        if ranked != NULL:
            for i in range(n):
                free(ranked[i].places)
                free(ranked[i].sums)
        if tables != NULL:
            for t in range(team):
                free_table(&tables[t])
        free(ranked)
        free(tables)


cdef RankedPlaces taken(Ranked* ranked, Py_ssize_t k):
    """The object to which the memory of `ranked` belongs from now on."""
    cdef RankedPlaces places
    if ranked.n < 0:
        raise MemoryError("no memory for the places of a text")
    places = RankedPlaces.__new__(RankedPlaces)
    places.ranked, places.k = ranked[0], k
    ranked.places, ranked.sums = NULL, NULL
    return places


cdef Py_ssize_t group_by_text(
    const Py_ssize_t[::1] texts, Py_ssize_t[::1] order, Py_ssize_t[::1] firsts
) noexcept nogil:
    """Windows in the order of their texts, and the first of each; returns a window of no text, or -1.

    `firsts` (n + 1,) must be 0 before.
    """
    cdef Py_ssize_t w, i, place, n = firsts.shape[0] - 1
    for w in range(texts.shape[0]):
        if not 0 <= texts[w] < n:
            return w
        firsts[texts[w] + 1] += 1
    for i in range(n):
        firsts[i + 1] += firsts[i]
    for w in range(texts.shape[0]):
        place = firsts[texts[w]]
        order[place] = w
        firsts[texts[w]] += 1
    for i in range(n, 0, -1):  # each stands at the end of its text now
        firsts[i] = firsts[i - 1]
    firsts[0] = 0
    return -1


cdef void rank_text(const Windows* windows, Py_ssize_t i, Table* table, Ranked* ranked) noexcept nogil:
    """The places of text i in their order."""
    cdef Py_ssize_t most = windows.n_features + windows.firsts[i + 1] - windows.firsts[i]
    cdef Py_ssize_t p, n, k = windows.k
    cdef const double* sums
    ranked.n = -1
    if not clear(table, most, k):
        return
    add_up(windows, i, table)
    n = table.n
    for p in range(n):
        table.found[p].favour = weighed(windows, i, table.sums + 2 * p * k)
    qsort(table.found, n, sizeof(Place), &compared)
    ranked.places = <Py_ssize_t*> malloc(max(1, n) * 2 * sizeof(Py_ssize_t))
    ranked.sums = <double*> malloc(max(1, n) * 2 * k * sizeof(double))
    if ranked.places == NULL or ranked.sums == NULL:
        return
    for p in range(n):
        ranked.places[2 * p] = table.found[p].start
        ranked.places[2 * p + 1] = table.found[p].end
        sums = table.sums + 2 * table.found[p].number * k
        memcpy(ranked.sums + 2 * p * k, sums, 2 * k * sizeof(double))
    ranked.n = n


cdef bint clear(Table* table, Py_ssize_t most, Py_ssize_t k) noexcept nogil:
    """Make a table empty, with room for so many places; false without memory."""
    cdef Py_ssize_t n_slots = 4
    while n_slots < 2 * most:
        n_slots *= 2
    if table.slots == NULL or most > table.most:
        free_table(table)
        table.most = most
        table.slots = <Py_ssize_t*> malloc(n_slots * sizeof(Py_ssize_t))
        table.found = <Place*> malloc(max(1, most) * sizeof(Place))
        table.sums = <double*> malloc(max(1, most) * 2 * k * sizeof(double))
        if table.slots == NULL or table.found == NULL or table.sums == NULL:
            free_table(table)
            return False
    memset(table.slots, 0, n_slots * sizeof(Py_ssize_t))
    table.mask, table.n, table.k = n_slots - 1, 0, k
    return True


cdef void free_table(Table* table) noexcept nogil:
    free(table.slots)
    free(table.found)
    free(table.sums)
    memset(table, 0, sizeof(Table))


cdef void add_up(const Windows* windows, Py_ssize_t i, Table* table) noexcept nogil:
    """The distinct places of the windows of text i, as they first appear, and what is added there."""
    cdef Py_ssize_t f, j, w, c, k = windows.k, length = windows.offsets[i + 1] - windows.offsets[i]
    cdef Py_ssize_t first = i * windows.n_features
    cdef int32_t start
    cdef double value
    cdef double* sums
    for f in range(windows.n_features):
        start = windows.argmax[first + f]
        if start == TEXTCNN_NO_WINDOW:
            continue
        sums = sums_at(table, max(0, start), min(length, <Py_ssize_t> start + windows.widths[f]))
        value = windows.pooled[first + f]
        for c in range(k):
            sums[c] += value * windows.weights[c * windows.n_features + f]
    for j in range(windows.firsts[i], windows.firsts[i + 1]):
        w = windows.order[j]
        sums = sums_at(table, windows.starts[w], windows.ends[w])
        if w >= windows.n_network:
            sums += k
        for c in range(k):
            sums[c] += windows.shares[w * k + c]


cdef inline double* sums_at(Table* table, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    """The sums of a place, 0 if it is new."""
    cdef uint64_t key = (<uint64_t> start * <uint64_t> 0x9E3779B97F4A7C15) ^ <uint64_t> end
    cdef Py_ssize_t slot = <Py_ssize_t> ((key * <uint64_t> 0xD6E8FEB86659FD93) >> 32) & table.mask
    cdef Place* place
    while table.slots[slot]:
        place = &table.found[table.slots[slot] - 1]
        if place.start == start and place.end == end:
            return table.sums + 2 * place.number * table.k
        slot = (slot + 1) & table.mask
    table.found[table.n] = Place(start, end, table.n, 0.0)
    memset(table.sums + 2 * table.n * table.k, 0, 2 * table.k * sizeof(double))
    table.n += 1
    table.slots[slot] = table.n
    return table.sums + 2 * (table.n - 1) * table.k


cdef inline double weighed(const Windows* windows, Py_ssize_t i, double* sums) noexcept nogil:
    """The favour of a place, whose sums of network and linear part become those of both and of the latter."""
    cdef Py_ssize_t c, k = windows.k
    cdef double network, linear, favour = 0.0
    for c in range(k):
        network = (1 - windows.share) * sums[c]
        linear = windows.share * sums[k + c]
        if windows.directions == NULL:
            favour += fabs(network + linear)
        else:
            favour += windows.directions[i * k + c] * (network + linear)
        sums[c] = windows.scale[c] * network + windows.scale[c] * linear
        sums[k + c] = windows.scale[c] * linear
    return favour if favour == favour else -INFINITY


cdef int compared(const void* a, const void* b) noexcept nogil:
    """Order of two places for qsort: that with the larger favour first, of equal ones the earlier."""
    cdef const Place* x = <const Place*> a
    cdef const Place* y = <const Place*> b
    if x.favour != y.favour:
        return 1 if x.favour < y.favour else -1
    return (x.number > y.number) - (x.number < y.number)
