"""The linear classifier over n-grams of words and of characters: features, training, scores.

Features of a text, each with the number of its occurrences as value:

- the words, by id;
- the n-grams of words of the orders 2 and up, over the ids with a mark before and one behind;
- the same over symbols, where a rare word stands for its shape: the id of a frequent word, and
  -1 - shape for another;
- the n-grams of characters inside each word, with marks at its ends. They depend on the word alone,
  so each word has one list of features: itself and its n-grams of characters.

N-grams are known by 64-bit keys, which `NGramIndex` turns into rows. It compares the upper half of a key,
and the lower half only by where it leads in the table, so two n-grams can share a row: of a million the
chance that any two do is about 1 in 10,000, and a strange one is taken for one of them once in billions.

Names: k columns of coefficients, one for each one-vs-rest problem.
"""

from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange
from libc.math cimport INFINITY, copysign, fabs, log
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

import numpy as np

cdef enum:
    BEGIN = 0                   # codes in the marked sequence; that of id i is FIRST_ID + i
    END = 1
    FIRST_ID = 2
    BEGIN_BYTE = 0xFE           # marks at the ends of a word: bytes that UTF-8 never has
    END_BYTE = 0xFF
    TOKENS_PER_TEAM = 2048      # texts of fewer tokens do not repay a second thread
    LONGEST_PROBE = 1000        # slots in a row; honest keys in a table half full need far fewer
    BLOCK = 64                  # n-grams looked up together, so that their slots arrive from memory together


# ---------------------------------------------------------------------------------------------------
# Keys. They are written to model files, so they must be the same on every machine.

cdef inline uint64_t mixed(uint64_t key, uint64_t symbol) noexcept nogil:
    key = (key ^ symbol) * <uint64_t> 0xD6E8FEB86659FD93
    return key ^ (key >> 32)


cdef inline uint64_t finished(uint64_t key) noexcept nogil:
    """The last mix of MurmurHash3."""
    key = (key ^ (key >> 33)) * <uint64_t> 0xFF51AFD7ED558CCD
    key = (key ^ (key >> 33)) * <uint64_t> 0xC4CEB9FE1A85EC53
    return key ^ (key >> 33)


cdef inline uint64_t code_at(const int32_t* symbols, Py_ssize_t n, Py_ssize_t place) noexcept nogil:
    """Code `place` of BEGIN, the n symbols, END. Shapes have codes that no id reaches."""
    cdef int64_t symbol
    if place == 0:
        return BEGIN
    if place > n:
        return END
    symbol = symbols[place - 1]
    if symbol < 0:
        return (<uint64_t> 1 << 32) + <uint64_t> (-1 - symbol)
    return FIRST_ID + <uint64_t> symbol


cdef inline uint64_t gram_key(
    const int32_t* symbols, Py_ssize_t n, Py_ssize_t start, int order, int family
) noexcept nogil:
    """Key of the n-gram of `order` codes at `start` of the marked sequence; family 0: ids, 1: symbols."""
    cdef uint64_t key = <uint64_t> (order + (family << 16)) * <uint64_t> 0x9E3779B97F4A7C15
    cdef int j
    for j in range(order):
        key = mixed(key, code_at(symbols, n, start + j))
    return finished(key)


cdef inline Py_ssize_t n_grams(Py_ssize_t n, int order) noexcept nogil:
    """How many n-grams of `order` a text of n tokens has, with a mark at each end."""
    return max(0, n + 3 - order)


def gram_offsets(
    const Py_ssize_t[::1] offsets,       # IN   (n + 1,)
    int lowest,                          # IN   orders lowest to highest, at least 2
    int highest,                         # IN
    int n_families,                      # IN   2 with n-grams of symbols, else 1
):
    """Where the n-grams of words of each text begin and end, intp (n + 1,)."""
    cdef Py_ssize_t i, place = 0, n_texts = offsets.shape[0] - 1
    cdef int order
    cdef Py_ssize_t[::1] out
    check_lowest(lowest)
    result = np.zeros(max(0, n_texts) + 1, np.intp)
    out = result
    for i in range(n_texts):
        for order in range(lowest, highest + 1):
            place += n_families * n_grams(offsets[i + 1] - offsets[i], order)
        out[i + 1] = place
    return result


def gram_keys(
    const int32_t[::1] ids,              # IN   (t,)
    const Py_ssize_t[::1] offsets,       # IN   (n + 1,)
    int lowest,                          # IN   orders lowest to highest, at least 2
    int highest,                         # IN
    const int32_t[::1] symbols=None,     # IN   (t,)
):
    """Keys of the n-grams of words of each text: uint64 (g,) and offsets intp (n + 1,).

    In each text first those of the ids, order by order, then those of the symbols if there are any.
    """
    cdef Py_ssize_t i, s, n, place = 0, n_texts = offsets.shape[0] - 1
    cdef int order, family, n_families = 1 if symbols is None else 2
    cdef const int32_t* first
    cdef uint64_t[::1] keys
    check_batch(ids, offsets)
    check_symbols(ids, symbols)
    columns = gram_offsets(offsets, lowest, highest, n_families)
    result = np.empty(columns[n_texts], np.uint64)
    keys = result
    with nogil:
        for i in range(n_texts):
            n = offsets[i + 1] - offsets[i]
            for family in range(n_families):
                first = (&symbols[0] if family else &ids[0]) + offsets[i] if n else NULL
                for order in range(lowest, highest + 1):
                    for s in range(n_grams(n, order)):
                        keys[place] = gram_key(first, n, s, order, family)
                        place += 1
    return result, columns


cdef int check_symbols(const int32_t[::1] ids, const int32_t[::1] symbols) except -1:
    if symbols is not None and symbols.shape[0] != ids.shape[0]:
        raise ValueError(f"{ids.shape[0]} tokens need as many symbols, not {symbols.shape[0]}")
    return 0


cdef int check_lowest(int lowest) except -1:
    if lowest < 2:
        raise ValueError(f"n-grams of words have an order of at least 2, not {lowest}")
    return 0


cdef int check_batch(const int32_t[::1] ids, const Py_ssize_t[::1] offsets) except -1:
    cdef Py_ssize_t i, n_texts = offsets.shape[0] - 1
    if n_texts < 0 or offsets[0] != 0 or offsets[n_texts] != ids.shape[0]:
        raise ValueError(
            f"the offsets of a batch must rise from 0 to the number of its tokens, {ids.shape[0]}"
        )
    for i in range(n_texts):
        if offsets[i] > offsets[i + 1]:
            raise ValueError(f"the offsets of a batch must never fall, but text {i} ends before it begins")
    return 0


cdef struct Word:
    const uint8_t* bytes        # UTF-8
    Py_ssize_t n_bytes
    Py_ssize_t n_chars


cdef inline Word word_at(const uint8_t* bytes, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    cdef Word word = Word(bytes + start, stop - start, 0)
    cdef Py_ssize_t i
    for i in range(word.n_bytes):
        word.n_chars += word.bytes[i] & 0xC0 != 0x80
    return word


cdef inline Py_ssize_t n_subwords(const Word* word, int shortest, int longest) noexcept nogil:
    """How many n-grams of characters a word has: none if it is one character, and never all of it."""
    cdef Py_ssize_t total = 0
    cdef int length
    if word.n_chars < 2:
        return 0
    for length in range(shortest, min(longest, word.n_chars + 1) + 1):
        total += word.n_chars + 3 - length
    return total


cdef inline uint8_t marked_byte(const Word* word, Py_ssize_t place) noexcept nogil:
    """Byte `place` of the word between its marks."""
    if place == 0:
        return BEGIN_BYTE
    return END_BYTE if place > word.n_bytes else word.bytes[place - 1]


cdef inline Py_ssize_t next_char(const Word* word, Py_ssize_t place) noexcept nogil:
    """Where the character after that at `place` of the marked word begins."""
    place += 1
    while place <= word.n_bytes and marked_byte(word, place) & 0xC0 == 0x80:
        place += 1
    return place


cdef Py_ssize_t put_subwords(const Word* word, int shortest, int longest, uint64_t* keys) noexcept nogil:
    """Write the keys of the n-grams of characters of a word; return their number, `n_subwords`."""
    cdef Py_ssize_t start = 0, stop, i, n_chars, total = 0, n_marked = word.n_bytes + 2
    cdef uint64_t key
    if word.n_chars < 2:
        return 0
    while start < n_marked:
        key = <uint64_t> 0xA0761D6478BD642F
        stop, n_chars = start, 0
        while stop < n_marked and n_chars < min(longest, word.n_chars + 1):
            i, stop = stop, next_char(word, stop)
            while i < stop:
                key = mixed(key, marked_byte(word, i))
                i += 1
            n_chars += 1
            if n_chars >= shortest:
                keys[total] = finished(key)
                total += 1
        start = next_char(word, start)
    return total


def subword_keys(
    const uint8_t[::1] token_bytes,      # IN   words in UTF-8, end to end
    const int64_t[::1] offsets,          # IN   (w + 1,)
    int shortest,                        # IN   characters, marks included
    int longest,                         # IN
):
    """Keys of the n-grams of characters of each word: uint64 (s,) and offsets intp (w + 1,)."""
    cdef Py_ssize_t i, place = 0, n_words = offsets.shape[0] - 1
    cdef Word word
    cdef Py_ssize_t[::1] key_offsets
    cdef uint64_t[::1] keys
    check_words(token_bytes, offsets)
    check_shortest(shortest)
    columns = np.zeros(n_words + 1, np.intp)
    key_offsets = columns
    for i in range(n_words):
        word = word_at(&token_bytes[0] if token_bytes.shape[0] else NULL, offsets[i], offsets[i + 1])
        place += n_subwords(&word, shortest, longest)
        key_offsets[i + 1] = place
    result = np.empty(place, np.uint64)
    keys = result
    for i in range(n_words):
        if key_offsets[i] < key_offsets[i + 1]:
            word = word_at(&token_bytes[0], offsets[i], offsets[i + 1])
            put_subwords(&word, shortest, longest, &keys[key_offsets[i]])
    return result, columns


cdef int check_shortest(int shortest) except -1:
    if shortest < 1:
        raise ValueError(f"n-grams of characters have at least 1 character, not {shortest}")
    return 0


cdef int check_words(const uint8_t[::1] token_bytes, const int64_t[::1] offsets) except -1:
    cdef Py_ssize_t i, n_words = offsets.shape[0] - 1
    if n_words < 0 or offsets[0] != 0 or offsets[n_words] != token_bytes.shape[0]:
        raise ValueError(
            f"the offsets of words must rise from 0 to the number of their bytes, {token_bytes.shape[0]}"
        )
    for i in range(n_words):
        if offsets[i] > offsets[i + 1]:
            raise ValueError(f"the offsets of words must never fall, but word {i} ends before it begins")
    return 0


# ---------------------------------------------------------------------------------------------------
# From keys to rows: open addressing, linear probing, at most half full.

cdef struct Slot:
    uint32_t tag                # the upper half of the key; the lower half tells the place
    uint32_t row                # row + 1; 0: free


cdef class NGramIndex:
    """Rows of n-grams by their keys; immutable, so that threads can share it.

    Parameters
    ----------
    keys : uint64 array of shape (f,)
        Key of each row. Of equal keys the first one counts.

    Raises
    ------
    ValueError
        If so many keys lead to one place that a look-up would take long: those of a file made to harm.
    """

    cdef Slot* slots
    cdef uint64_t mask
    cdef readonly Py_ssize_t n_rows

    def __cinit__(self, const uint64_t[::1] keys):
        cdef uint64_t n_slots = 16
        cdef Py_ssize_t row
        self.n_rows = keys.shape[0]
        if self.n_rows >= 2**31 - 1:
            raise OverflowError(f"an index can have at most {2**31 - 2} n-grams, not {self.n_rows}")
        while n_slots < 2 * <uint64_t> self.n_rows:
            n_slots *= 2
        self.slots = <Slot*> calloc(n_slots, sizeof(Slot))
        if self.slots == NULL:
            raise MemoryError
        self.mask = n_slots - 1
        for row in range(self.n_rows):
            if not self.put(keys[row], row):
                raise ValueError(f"more than {LONGEST_PROBE} keys of n-grams lead to one place of the index")

    def __dealloc__(self):
        free(self.slots)

    cdef bint put(self, uint64_t key, Py_ssize_t row) noexcept nogil:
        """Give a key its row, unless it has one; false if there is no free slot near its place."""
        cdef uint64_t place = key & self.mask
        cdef uint32_t tag = <uint32_t> (key >> 32)
        cdef int _
        for _ in range(LONGEST_PROBE):
            if self.slots[place].row == 0:
                self.slots[place] = Slot(tag, <uint32_t> (row + 1))
                return True
            if self.slots[place].tag == tag:
                return True
            place = (place + 1) & self.mask
        return False

    cdef inline int32_t find(self, uint64_t key) noexcept nogil:
        """Row of a key, or -1."""
        cdef uint64_t place = key & self.mask
        cdef uint32_t tag = <uint32_t> (key >> 32)
        while self.slots[place].row:
            if self.slots[place].tag == tag:
                return <int32_t> (self.slots[place].row - 1)
            place = (place + 1) & self.mask
        return -1

    def rows(self, const uint64_t[::1] keys, int n_threads):
        """Row of each key, -1 where there is none: int32 (n,)."""
        cdef Py_ssize_t i, n = keys.shape[0]
        cdef int32_t[::1] out
        result = np.empty(n, np.int32)
        out = result
        if n_threads > 1 and n > TOKENS_PER_TEAM:
            for i in prange(n, nogil=True, num_threads=n_threads, schedule="static"):
                out[i] = self.find(keys[i])
        else:
            with nogil:
                for i in range(n):
                    out[i] = self.find(keys[i])
        return result


# ---------------------------------------------------------------------------------------------------
# Training.

cdef struct Weight:
    # Side by side, because each step needs both of a feature.
    double value                # w
    double scale                # r^2


cdef struct Texts:
    const int32_t* ids          # (t,)
    const Py_ssize_t* offsets
    const int32_t* grams        # (g,) features of the n-grams of words; -1: not among the features
    const Py_ssize_t* gram_offsets
    const int32_t* features     # features of each word
    const Py_ssize_t* feature_offsets


cdef inline double dot(const Texts* texts, Py_ssize_t i, const Weight* weights) noexcept nogil:
    """Sum of the weights of the features of text i."""
    cdef double total = 0.0
    cdef Py_ssize_t t, j
    for t in range(texts.offsets[i], texts.offsets[i + 1]):
        for j in range(texts.feature_offsets[texts.ids[t]], texts.feature_offsets[texts.ids[t] + 1]):
            total += weights[texts.features[j]].value
    for j in range(texts.gram_offsets[i], texts.gram_offsets[i + 1]):
        if texts.grams[j] >= 0:
            total += weights[texts.grams[j]].value
    return total


cdef inline void add(const Texts* texts, Py_ssize_t i, double step, Weight* weights) noexcept nogil:
    """w += step * r^2 * x_i."""
    cdef Py_ssize_t t, j
    cdef Weight* weight
    for t in range(texts.offsets[i], texts.offsets[i + 1]):
        for j in range(texts.feature_offsets[texts.ids[t]], texts.feature_offsets[texts.ids[t] + 1]):
            weight = &weights[texts.features[j]]
            weight.value += step * weight.scale
    for j in range(texts.gram_offsets[i], texts.gram_offsets[i + 1]):
        if texts.grams[j] >= 0:
            weight = &weights[texts.grams[j]]
            weight.value += step * weight.scale


cdef inline double squared_norm(const Texts* texts, Py_ssize_t i, Weight* weights) noexcept nogil:
    """Sum of (r x)^2 over the features of text i; all values of `weights` are 0 before and after."""
    cdef double total = 0.0
    cdef Py_ssize_t t, j
    add(texts, i, 1.0, weights)  # x r^2 for each feature
    total = dot(texts, i, weights)  # each of its x occurrences adds x r^2
    for t in range(texts.offsets[i], texts.offsets[i + 1]):
        for j in range(texts.feature_offsets[texts.ids[t]], texts.feature_offsets[texts.ids[t] + 1]):
            weights[texts.features[j]].value = 0.0
    for j in range(texts.gram_offsets[i], texts.gram_offsets[i + 1]):
        if texts.grams[j] >= 0:
            weights[texts.grams[j]].value = 0.0
    return total


cdef inline uint64_t next_random(uint64_t* state) noexcept nogil:
    """Marsaglia's xorshift64*."""
    state[0] ^= state[0] >> 12
    state[0] ^= state[0] << 25
    state[0] ^= state[0] >> 27
    return (state[0] * <uint64_t> 2685821657736338717) >> 32


cdef inline void shuffle(int32_t* order, Py_ssize_t n, uint64_t* state) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(n - 1, 0, -1):
        j = <Py_ssize_t> ((next_random(state) * <uint64_t> (i + 1)) >> 32)
        order[i], order[j] = order[j], order[i]


cdef inline void minimise_on_line(
    double* alpha,              # IN/OUT  the variable, in (0, cost)
    double* rest,               # IN/OUT  cost - alpha: where alpha is nearly the cost, only this is exact
    double cost,                # IN
    double curvature,           # IN      squared norm of the text
    double margin,              # IN      y w'x
    double tolerance,           # IN
    double* slope,              # OUT     absolute derivative at the start
    Py_ssize_t* n_steps,        # OUT     increased by the number of Newton steps
) noexcept nogil:
    """Move to the alpha at which the dual, as a function of this variable alone, is smallest.

    Newton's method on the derivative ``a (z - alpha) +- margin + log(z / (cost - z))``, for z = alpha or
    z = cost - alpha, whichever leads towards 0: Yu, Huang & Lin (2011), algorithm 4.
    """
    cdef bint mirrored = 0.5 * curvature * (rest[0] - alpha[0]) + margin < 0.0
    cdef double start = rest[0] if mirrored else alpha[0]
    cdef double linear = -margin if mirrored else margin
    cdef double least = 1e-300 * cost  # where z / cost is 0 the logarithm has no use
    cdef double z = max(start, least), derivative, proposed
    cdef int _
    if cost - z < 0.5 * cost:
        z *= 0.1
    derivative = curvature * (z - start) + linear + log(z / (cost - z))
    slope[0] = fabs(derivative)
    for _ in range(100):
        if fabs(derivative) < tolerance:
            break
        proposed = z - derivative / (curvature + 1.0 / z + 1.0 / (cost - z))
        z = max(proposed if proposed > 0.0 else 0.1 * z, least)
        derivative = curvature * (z - start) + linear + log(z / (cost - z))
        n_steps[0] += 1
    if mirrored:
        rest[0], alpha[0] = z, cost - z
    else:
        alpha[0], rest[0] = z, cost - z


cdef struct Problem:
    # One class or label against the rest, or one target.
    Py_ssize_t n_texts
    const double* cost          # (n,)
    bint logistic               # the logistic loss, else that of Huber
    double delta                # errors beyond it count linearly; infinity for the squared loss
    Py_ssize_t n_features
    double tolerance
    int max_iter
    uint64_t seed
    int* stop                   # set when the user wants to stop


cdef struct Work:
    Weight* weights             # (n_features,)
    double* alpha               # (n,)
    double* rest                # (n,) cost - alpha
    double* norms               # (n,)
    double* goals               # (n,) y: -1 or 1, or a number
    int32_t* order              # (n,)


cdef bint take_memory(Work* work, Py_ssize_t n_features, Py_ssize_t n_texts) noexcept nogil:
    work.weights = <Weight*> calloc(n_features + 1, sizeof(Weight))
    work.alpha = <double*> malloc((n_texts + 1) * sizeof(double))
    work.rest = <double*> malloc((n_texts + 1) * sizeof(double))
    work.norms = <double*> malloc((n_texts + 1) * sizeof(double))
    work.goals = <double*> malloc((n_texts + 1) * sizeof(double))
    work.order = <int32_t*> malloc((n_texts + 1) * sizeof(int32_t))
    return not (
        work.weights == NULL or work.alpha == NULL or work.rest == NULL or work.norms == NULL
        or work.goals == NULL or work.order == NULL
    )


cdef void give_back(Work* work) noexcept nogil:
    free(work.weights)
    free(work.alpha)
    free(work.rest)
    free(work.norms)
    free(work.goals)
    free(work.order)


cdef bint interrupted(int* stop) noexcept nogil:
    """Whether Ctrl-C was pressed; only the thread that Python's signals go to notices, and tells others."""
    if not stop[0]:
        with gil:
            try:
                PyErr_CheckSignals()
            except KeyboardInterrupt:
                stop[0] = True
    return stop[0]


cdef int descend(const Texts* texts, const Problem* problem, Work* work, double* intercept) noexcept nogil:
    """Dual coordinate descent; returns the number of passes.

    `weights[:].scale` and `goals` are filled before; `weights[:].value` and `intercept` are the result.
    """
    cdef Py_ssize_t i, n = 0
    intercept[0] = 0.0
    for i in range(problem.n_texts):
        if problem.cost[i] > 0.0:
            work.order[n] = <int32_t> i
            n += 1
            work.norms[i] = 1.0 + squared_norm(texts, i, work.weights)
    if problem.logistic:
        return descend_logistic(texts, problem, work, n, intercept)
    return descend_huber(texts, problem, work, n, intercept)


cdef int descend_logistic(
    const Texts* texts, const Problem* problem, Work* work, Py_ssize_t n, double* intercept
) noexcept nogil:
    """Logistic regression over the n texts of `order`: Yu, Huang & Lin (2011), algorithm 5."""
    cdef Py_ssize_t i, k, n_steps
    cdef uint64_t state = problem.seed | 1
    cdef double y, before, moved, slope = 0.0, steepest
    cdef double tolerance = 0.01
    cdef int n_passes = 0
    for k in range(n):
        i = work.order[k]
        y = work.goals[i]
        # Small beside the solution of a text that is well on its side, as in the paper.
        work.alpha[i] = min(0.001 * problem.cost[i], 1e-8)
        work.rest[i] = problem.cost[i] - work.alpha[i]
        add(texts, i, y * work.alpha[i], work.weights)
        intercept[0] += y * work.alpha[i]
    while n_passes < problem.max_iter and not interrupted(problem.stop):
        n_passes += 1
        steepest = 0.0
        n_steps = 0
        shuffle(work.order, n, &state)
        for k in range(n):
            i = work.order[k]
            y = work.goals[i]
            before = work.alpha[i]
            minimise_on_line(
                &work.alpha[i], &work.rest[i], problem.cost[i], work.norms[i],
                y * (dot(texts, i, work.weights) + intercept[0]), tolerance, &slope, &n_steps,
            )
            steepest = max(steepest, slope)
            moved = work.alpha[i] - before
            if moved != 0.0:
                add(texts, i, y * moved, work.weights)
                intercept[0] += y * moved
        if steepest < problem.tolerance:
            break
        if n_steps <= n // 10:  # most texts are where the tolerance wants them
            tolerance = max(min(0.1 * problem.tolerance, 1e-8), 0.1 * tolerance)
    return n_passes


cdef int descend_huber(
    const Texts* texts, const Problem* problem, Work* work, Py_ssize_t n, double* intercept
) noexcept nogil:
    """Ridge regression over the n texts of `order`: Ho & Lin (2012), algorithm 4 with epsilon = 0.

    The dual is smallest in one variable where ``y - b - w'x - alpha / C`` is 0. With errors e that count
    ``delta (|e| - delta / 2)`` beyond delta, the conjugate of the loss keeps alpha within +-C delta.
    """
    cdef Py_ssize_t i, k
    cdef uint64_t state = problem.seed | 1
    cdef double slope, curvature, end, moved, steepest
    cdef int n_passes = 0
    for k in range(n):
        work.alpha[work.order[k]] = 0.0
    while n_passes < problem.max_iter and not interrupted(problem.stop):
        n_passes += 1
        steepest = 0.0
        shuffle(work.order, n, &state)
        for k in range(n):
            i = work.order[k]
            slope = work.goals[i] - dot(texts, i, work.weights) - intercept[0]
            slope -= work.alpha[i] / problem.cost[i]
            curvature = work.norms[i] + 1.0 / problem.cost[i]
            moved = slope / curvature
            end = problem.cost[i] * problem.delta
            if fabs(work.alpha[i] + moved) > end:
                moved = copysign(end, moved) - work.alpha[i]
                slope = moved * curvature
            steepest = max(steepest, fabs(slope))
            work.alpha[i] += moved
            add(texts, i, moved, work.weights)
            intercept[0] += moved
        if steepest < problem.tolerance:
            break
    return n_passes


cdef class NGramFeatures:
    """The features of the texts of a packed batch, for training.

    Parameters
    ----------
    ids : int32 array of shape (t,)
    offsets : intp array of shape (n + 1,)
    features : int32 array of shape (s,)
        Features of each word: those of id w are ``features[feature_offsets[w]:feature_offsets[w + 1]]``.
    feature_offsets : intp array of shape (n_ids + 1,)
    grams : int32 array of shape (g,)
        Features of the n-grams of words of each text; -1 for those that are none.
    gram_offsets : intp array of shape (n + 1,)
    n_features : int
    """

    cdef const int32_t[::1] ids, features, grams
    cdef const Py_ssize_t[::1] offsets, feature_offsets, gram_offsets
    cdef readonly Py_ssize_t n_texts, n_features

    def __init__(self, ids, offsets, features, feature_offsets, grams, gram_offsets, n_features):
        self.ids, self.offsets = ids, offsets
        self.features, self.feature_offsets = features, feature_offsets
        self.grams, self.gram_offsets = grams, gram_offsets
        self.n_texts, self.n_features = self.offsets.shape[0] - 1, n_features
        check_batch(self.ids, self.offsets)
        check_batch(self.features, self.feature_offsets)
        check_batch(self.grams, self.gram_offsets)
        if self.gram_offsets.shape[0] != self.offsets.shape[0]:
            raise ValueError(
                f"{self.n_texts} texts need as many lists of n-grams, not {self.gram_offsets.shape[0] - 1}"
            )
        check_range(self.ids, 0, self.feature_offsets.shape[0] - 1, "id")
        check_range(self.features, 0, n_features, "feature of a word")
        check_range(self.grams, -1, n_features, "feature of an n-gram")

    cdef Texts pointers(self):
        cdef Texts texts
        texts.ids = &self.ids[0] if self.ids.shape[0] else NULL
        texts.offsets = &self.offsets[0]
        texts.grams = &self.grams[0] if self.grams.shape[0] else NULL
        texts.gram_offsets = &self.gram_offsets[0]
        texts.features = &self.features[0] if self.features.shape[0] else NULL
        texts.feature_offsets = &self.feature_offsets[0]
        return texts

    def count_by_class(
        self,
        const Py_ssize_t[::1] targets,       # IN      (n,)
        const double[::1] weights,           # IN      (n,)
        double[:, ::1] counts,               # IN/OUT  (n_features, c)
    ):
        """Add the weighted number of occurrences of each feature in the texts of each class."""
        cdef Texts texts = self.pointers()
        cdef Py_ssize_t i, t, j, target
        cdef double weight
        check_targets(self.n_texts, targets, weights, counts.shape[1])
        if counts.shape[0] != self.n_features:
            raise ValueError(f"{self.n_features} features need as many rows of counts, not {counts.shape[0]}")
        with nogil:
            for i in range(self.n_texts):
                target, weight = targets[i], weights[i]
                for t in range(texts.offsets[i], texts.offsets[i + 1]):
                    for j in range(
                        texts.feature_offsets[texts.ids[t]], texts.feature_offsets[texts.ids[t] + 1]
                    ):
                        counts[texts.features[j], target] += weight
                for j in range(texts.gram_offsets[i], texts.gram_offsets[i + 1]):
                    if texts.grams[j] >= 0:
                        counts[texts.grams[j], target] += weight

    def fit_logistic(
        self,
        const Py_ssize_t[::1] targets,       # IN   (n,)
        const double[::1] cost,              # IN   (n,) C of each text; texts of cost 0 are left out
        const Py_ssize_t[::1] positive,      # IN   (k,) the class against the rest, of each problem
        const float[:, ::1] scales,          # IN   (n_features, k) r; may be the same array as coef
        double tolerance,                    # IN
        int max_iter,                        # IN   passes over the texts at most
        uint64_t seed,                       # IN   of the order of the texts
        float[:, ::1] coef,                  # OUT  (n_features, k) w
        double[::1] intercept,               # OUT  (k,)
        int n_threads,                       # IN   problems worked on at once
    ):
        """Minimise ``|u|^2 / 2 + sum_i C_i log(1 + exp(-y_i (b + w'x_i)))`` with ``w = r u`` and b in u.

        Returns the passes of each problem: int32 (k,). The result does not depend on `n_threads`. Ctrl-C
        raises KeyboardInterrupt after the pass at hand.
        """
        cdef Texts texts = self.pointers()
        cdef Problem problem = self.problem(True, tolerance, max_iter, seed)
        cdef Py_ssize_t p, n_problems = positive.shape[0]
        cdef int stop = False
        cdef int32_t[::1] n_passes
        check_targets(self.n_texts, targets, cost, 2**31)
        self.check_columns(n_problems, scales, coef, intercept)
        result = np.zeros(n_problems, np.int32)
        n_passes = result
        problem.stop = &stop
        problem.cost = &cost[0] if self.n_texts else NULL
        if n_threads > 1 and n_problems > 1:
            for p in prange(n_problems, nogil=True, num_threads=n_threads, schedule="dynamic"):
                n_passes[p] = fit_class(&texts, problem, targets, positive[p], scales, p, coef, intercept)
        else:
            with nogil:
                for p in range(n_problems):
                    n_passes[p] = fit_class(&texts, problem, targets, positive[p], scales, p, coef, intercept)
        return self.checked_passes(result, stop)

    def fit_columns(
        self,
        const float[:, ::1] goals,           # IN   (n, k) y: -1 or 1 if logistic, else numbers
        const double[:, ::1] cost,           # IN   (1 or k, n) C of each text, of each text and problem
        bint logistic,                       # IN   the logistic loss, else that of Huber
        const float[:, ::1] scales,          # IN   (n_features, k) r; may be the same array as coef
        double tolerance,                    # IN
        int max_iter,                        # IN   passes over the texts at most
        uint64_t seed,                       # IN   of the order of the texts
        float[:, ::1] coef,                  # OUT  (n_features, k) w
        double[::1] intercept,               # OUT  (k,)
        int n_threads,                       # IN   problems worked on at once
        double delta=INFINITY,               # IN   without logistic: errors beyond it count linearly
    ):
        """`fit_logistic` for problems with targets of their own: several labels, or numbers.

        The squared loss of an error ``e = y_i - b - w'x_i`` is ``C_i / 2 e^2``; with a delta that of Huber
        (1964) is ``C_i delta (|e| - delta / 2)`` beyond it.
        """
        cdef Texts texts = self.pointers()
        cdef Problem problem = self.problem(logistic, tolerance, max_iter, seed, delta)
        cdef Py_ssize_t p, n_problems = goals.shape[1]
        cdef int stop = False
        cdef int32_t[::1] n_passes
        if goals.shape[0] != self.n_texts or cost.shape[1] != self.n_texts:
            raise ValueError(
                f"{self.n_texts} texts need as many targets and weights, not {goals.shape[0]} and "
                f"{cost.shape[1]}"
            )
        if cost.shape[0] != 1 and cost.shape[0] != n_problems:
            raise ValueError(f"{n_problems} problems need one row of weights or as many, not {cost.shape[0]}")
        for p in range(cost.shape[0]):
            check_weights(cost[p])
        if not np.isfinite(goals).all() or (logistic and not (np.abs(goals) == 1).all()):
            raise ValueError("targets must be finite numbers, and -1 or 1 for the logistic loss")
        if not delta > 0:
            raise ValueError(f"delta is {delta}, but it must be positive")
        self.check_columns(n_problems, scales, coef, intercept)
        result = np.zeros(n_problems, np.int32)
        n_passes = result
        problem.stop = &stop
        if n_threads > 1 and n_problems > 1:
            for p in prange(n_problems, nogil=True, num_threads=n_threads, schedule="dynamic"):
                n_passes[p] = fit_column(&texts, problem, goals, cost, scales, p, coef, intercept)
        else:
            with nogil:
                for p in range(n_problems):
                    n_passes[p] = fit_column(&texts, problem, goals, cost, scales, p, coef, intercept)
        return self.checked_passes(result, stop)

    cdef Problem problem(
        self, bint logistic, double tolerance, int max_iter, uint64_t seed, double delta=INFINITY
    ):
        cdef Problem problem
        problem.n_texts, problem.n_features = self.n_texts, self.n_features
        problem.logistic, problem.delta, problem.seed = logistic, delta, seed
        problem.tolerance, problem.max_iter = tolerance, max_iter
        problem.cost, problem.stop = NULL, NULL
        return problem

    cdef int check_columns(
        self, Py_ssize_t n_problems, const float[:, ::1] scales, float[:, ::1] coef, double[::1] intercept
    ) except -1:
        for matrix, name in ((scales, "scales"), (coef, "coef")):
            if matrix.shape[0] != self.n_features or matrix.shape[1] != n_problems:
                raise ValueError(
                    f"{name} is {matrix.shape[0]} x {matrix.shape[1]}, not {self.n_features} x {n_problems}"
                )
        if intercept.shape[0] != n_problems:
            raise ValueError(f"{n_problems} problems need as many intercepts, not {intercept.shape[0]}")
        return 0

    cdef object checked_passes(self, object n_passes, bint stopped):
        if stopped:
            raise KeyboardInterrupt
        if np.any(n_passes < 0):
            raise MemoryError(f"there is no memory for {self.n_features} features")
        return n_passes


cdef int fit_class(
    const Texts* texts,
    Problem problem,
    const Py_ssize_t[::1] targets,
    Py_ssize_t positive,
    const float[:, ::1] scales,
    Py_ssize_t column,
    float[:, ::1] coef,
    double[::1] intercept,
) noexcept nogil:
    """Fit one column, a class against the rest; returns the passes, or -1 without memory."""
    cdef Work work
    cdef Py_ssize_t i
    memset(&work, 0, sizeof(Work))
    cdef bint has_memory = take_memory(&work, problem.n_features, problem.n_texts)
    if has_memory:
        for i in range(problem.n_texts):
            work.goals[i] = 1.0 if targets[i] == positive else -1.0
    return solve(texts, &problem, &work, has_memory, scales, column, coef, intercept)


cdef int fit_column(
    const Texts* texts,
    Problem problem,
    const float[:, ::1] goals,
    const double[:, ::1] cost,
    const float[:, ::1] scales,
    Py_ssize_t column,
    float[:, ::1] coef,
    double[::1] intercept,
) noexcept nogil:
    """Fit one column to the goals of its own; returns the passes, or -1 without memory."""
    cdef Work work
    cdef Py_ssize_t i
    memset(&work, 0, sizeof(Work))
    if problem.n_texts:
        problem.cost = &cost[column if cost.shape[0] > 1 else 0, 0]
    cdef bint has_memory = take_memory(&work, problem.n_features, problem.n_texts)
    if has_memory:
        for i in range(problem.n_texts):
            work.goals[i] = goals[i, column]
    return solve(texts, &problem, &work, has_memory, scales, column, coef, intercept)


cdef int solve(
    const Texts* texts,
    const Problem* problem,
    Work* work,
    bint has_memory,
    const float[:, ::1] scales,
    Py_ssize_t column,
    float[:, ::1] coef,
    double[::1] intercept,
) noexcept nogil:
    """Descend if there is memory, write the column and give the memory back."""
    cdef Py_ssize_t f
    cdef int n_passes = -1
    if has_memory:
        for f in range(problem.n_features):
            work.weights[f].scale = <double> scales[f, column] * scales[f, column]
        n_passes = descend(texts, problem, work, &intercept[column])
        for f in range(problem.n_features):
            coef[f, column] = <float> work.weights[f].value
    give_back(work)
    return n_passes


cdef int check_range(const int32_t[::1] values, Py_ssize_t low, Py_ssize_t high, str name) except -1:
    cdef Py_ssize_t i
    for i in range(values.shape[0]):
        if not low <= values[i] < high:
            raise ValueError(f"{name} {values[i]} lies outside {low} to {high - 1}")
    return 0


cdef int check_targets(
    Py_ssize_t n_texts, const Py_ssize_t[::1] targets, const double[::1] weights, Py_ssize_t n_classes
) except -1:
    cdef Py_ssize_t i
    if targets.shape[0] != n_texts or weights.shape[0] != n_texts:
        raise ValueError(
            f"{n_texts} texts need as many classes and weights, not {targets.shape[0]} and {weights.shape[0]}"
        )
    for i in range(n_texts):
        if not 0 <= targets[i] < n_classes:
            raise ValueError(f"class {targets[i]} lies outside 0 to {n_classes - 1}")
    return check_weights(weights)


cdef int check_weights(const double[::1] weights) except -1:
    cdef Py_ssize_t i
    for i in range(weights.shape[0]):
        if not 0 <= weights[i] < np.inf:
            raise ValueError(f"the weight of text {i} is {weights[i]}, but must be finite and not negative")
    return 0


# ---------------------------------------------------------------------------------------------------
# Prediction.

def subword_scores(
    const uint8_t[::1] token_bytes,      # IN   words in UTF-8, end to end
    const int64_t[::1] offsets,          # IN   (w + 1,)
    int shortest,                        # IN   characters, marks included
    int longest,                         # IN
    NGramIndex index,                    # IN
    const float[:, ::1] coef,            # IN   (f, k)
    double[:, ::1] out,                  # OUT  (w, k)
    int n_threads,                       # IN
):
    """Sum of the coefficients of the n-grams of characters of each word."""
    cdef Py_ssize_t i, n_words = offsets.shape[0] - 1
    cdef Py_ssize_t n_failed = 0  # a reduction: the assignment of a thread alone would be lost
    check_words(token_bytes, offsets)
    check_shortest(shortest)
    check_coef(index, coef)
    check_out(coef, out, n_words)
    if n_threads > 1 and n_words > TOKENS_PER_TEAM:
        for i in prange(n_words, nogil=True, num_threads=n_threads, schedule="static"):
            n_failed += not score_word(
                &token_bytes[0] if token_bytes.shape[0] else NULL,
                offsets[i], offsets[i + 1], shortest, longest, index, coef, out[i],
            )
    else:
        for i in range(n_words):
            n_failed += not score_word(
                &token_bytes[0] if token_bytes.shape[0] else NULL,
                offsets[i], offsets[i + 1], shortest, longest, index, coef, out[i],
            )
    if n_failed:
        raise MemoryError("there is no memory for the n-grams of a very long word")


cdef bint score_word(
    const uint8_t* token_bytes,
    Py_ssize_t start,
    Py_ssize_t stop,
    int shortest,
    int longest,
    NGramIndex index,
    const float[:, ::1] coef,
    double[::1] out,
) noexcept nogil:
    """`subword_scores` of one word; false if there is no memory for its keys."""
    cdef uint64_t[256] room
    cdef Word word = word_at(token_bytes, start, stop)
    cdef Py_ssize_t i, c, n = n_subwords(&word, shortest, longest)
    cdef uint64_t* keys = &room[0]
    cdef int32_t row
    if n > 256:
        keys = <uint64_t*> malloc(n * sizeof(uint64_t))
    if keys == NULL:
        return False
    put_subwords(&word, shortest, longest, keys)
    for c in range(out.shape[0]):
        out[c] = 0.0
    for i in range(n):
        row = index.find(keys[i])
        if row >= 0:
            for c in range(out.shape[0]):
                out[c] += coef[row, c]
    if n > 256:
        free(keys)
    return True


def text_scores(
    const int32_t[::1] ids,              # IN   (t,) 0 for unknown words
    const Py_ssize_t[::1] offsets,       # IN   (n + 1,)
    const float[:, ::1] word_scores,     # IN   (n_ids, k)
    const double[:, ::1] unknown,        # IN   (u, k) scores of the unknown words, in their order
    int lowest,                          # IN   orders of the n-grams of words, lowest to highest
    int highest,                         # IN
    NGramIndex index,                    # IN
    const float[:, ::1] coef,            # IN   (f, k)
    double[:, ::1] out,                  # OUT  (n, k)
    int n_threads,                       # IN
    const int32_t[::1] symbols=None,     # IN   (t,)
):
    """Sum of the scores of the words and n-grams of each text, those of the symbols included if given."""
    cdef Py_ssize_t i, t, n_unknown = 0, n_texts = offsets.shape[0] - 1
    cdef Py_ssize_t[::1] first_unknown
    check_batch(ids, offsets)
    check_lowest(lowest)
    check_symbols(ids, symbols)
    check_coef(index, coef)
    check_out(coef, out, n_texts)
    check_range(ids, 0, word_scores.shape[0], "id")
    check_score_columns(coef, word_scores, unknown)
    first_unknown = np.empty(n_texts + 1, np.intp)
    for i in range(n_texts):
        first_unknown[i] = n_unknown
        for t in range(offsets[i], offsets[i + 1]):
            n_unknown += ids[t] == 0
    check_unknown(n_unknown, unknown)
    if n_threads > 1 and ids.shape[0] > TOKENS_PER_TEAM:
        for i in prange(n_texts, nogil=True, num_threads=n_threads, schedule="dynamic", chunksize=16):
            score_words(ids, offsets, i, word_scores, unknown, first_unknown[i], out)
            score_grams(ids, offsets, i, lowest, highest, 0, index, coef, out)
            if symbols is not None:
                score_grams(symbols, offsets, i, lowest, highest, 1, index, coef, out)
    else:
        with nogil:
            for i in range(n_texts):
                score_words(ids, offsets, i, word_scores, unknown, first_unknown[i], out)
                score_grams(ids, offsets, i, lowest, highest, 0, index, coef, out)
                if symbols is not None:
                    score_grams(symbols, offsets, i, lowest, highest, 1, index, coef, out)


cdef inline void score_words(
    const int32_t[::1] ids,
    const Py_ssize_t[::1] offsets,
    Py_ssize_t i,
    const float[:, ::1] word_scores,
    const double[:, ::1] unknown,
    Py_ssize_t next_unknown,
    double[:, ::1] out,
) noexcept nogil:
    """Set the scores of text i to the sum of those of its words."""
    cdef Py_ssize_t t, c, k = out.shape[1]
    for c in range(k):
        out[i, c] = 0.0
    for t in range(offsets[i], offsets[i + 1]):
        for c in range(k):
            out[i, c] += word_scores[ids[t], c]
        if ids[t] == 0:
            for c in range(k):
                out[i, c] += unknown[next_unknown, c]
            next_unknown += 1


cdef inline void score_grams(
    const int32_t[::1] symbols,
    const Py_ssize_t[::1] offsets,
    Py_ssize_t i,
    int lowest,
    int highest,
    int family,
    NGramIndex index,
    const float[:, ::1] coef,
    double[:, ::1] out,
) noexcept nogil:
    """Add the coefficients of the n-grams of words of text i to its scores."""
    cdef int32_t[BLOCK] rows
    cdef Py_ssize_t n = offsets[i + 1] - offsets[i], start, stop, s, c, k = out.shape[1]
    cdef const int32_t* first = &symbols[0] + offsets[i] if n else NULL
    cdef int order
    for order in range(lowest, highest + 1):
        start = 0
        while start < n_grams(n, order):
            stop = min(start + BLOCK, n_grams(n, order))
            for s in range(start, stop):
                rows[s - start] = index.find(gram_key(first, n, s, order, family))
            for s in range(stop - start):
                if rows[s] >= 0:
                    for c in range(k):
                        out[i, c] += coef[rows[s], c]
            start = stop


def text_terms(
    const int32_t[::1] ids,              # IN   (t,) 0 for unknown words
    const Py_ssize_t[::1] offsets,       # IN   (n + 1,)
    const float[:, ::1] word_scores,     # IN   (n_ids, k)
    const double[:, ::1] unknown,        # IN   (u, k) scores of the unknown words, in their order
    int lowest,                          # IN   orders of the n-grams of words, lowest to highest
    int highest,                         # IN
    NGramIndex index,                    # IN
    const float[:, ::1] coef,            # IN   (f, k)
    int n_threads,                       # IN
    const int32_t[::1] symbols=None,     # IN   (t,)
):
    """The words of each text and its n-grams that have a row: what `text_scores` adds up.

    Returns intp texts (m,), starts (m,) and ends (m,), from the first token to before the last, and scores,
    float64 (m, k). In each text first the words, then the n-grams of the ids, order by order, then those of
    the symbols. N-grams with the mark before or behind the text are cut to its tokens.
    """
    cdef Py_ssize_t i, t, n, s, c, n_unknown = 0, gram = 0, m = ids.shape[0], n_texts = offsets.shape[0] - 1
    cdef Py_ssize_t k = coef.shape[1]
    cdef int order, _
    cdef const int32_t[::1] rows
    cdef Py_ssize_t[::1] texts, starts, ends
    cdef double[:, ::1] scores
    check_lowest(lowest)
    check_range(ids, 0, word_scores.shape[0], "id")
    check_coef(index, coef)
    check_score_columns(coef, word_scores, unknown)
    rows = index.rows(gram_keys(ids, offsets, lowest, highest, symbols)[0], n_threads)
    with nogil:
        for gram in range(rows.shape[0]):
            m += rows[gram] >= 0
        for t in range(ids.shape[0]):
            n_unknown += ids[t] == 0
    check_unknown(n_unknown, unknown)
    texts, starts, ends = np.empty(m, np.intp), np.empty(m, np.intp), np.empty(m, np.intp)
    scores = np.empty((m, k))
    m = n_unknown = gram = 0
    with nogil:
        for i in range(n_texts):
            n = offsets[i + 1] - offsets[i]
            for t in range(n):
                texts[m], starts[m], ends[m] = i, t, t + 1
                for c in range(k):
                    scores[m, c] = word_scores[ids[offsets[i] + t], c]
                if ids[offsets[i] + t] == 0:
                    for c in range(k):
                        scores[m, c] += unknown[n_unknown, c]
                    n_unknown += 1
                m += 1
            for _ in range(1 if symbols is None else 2):
                for order in range(lowest, highest + 1):
                    for s in range(n_grams(n, order)):
                        if rows[gram] >= 0:
                            texts[m], starts[m], ends[m] = i, max(0, s - 1), min(n, s - 1 + order)
                            for c in range(k):
                                scores[m, c] = coef[rows[gram], c]
                            m += 1
                        gram += 1
    return np.asarray(texts), np.asarray(starts), np.asarray(ends), np.asarray(scores)


cdef int check_score_columns(
    const float[:, ::1] coef, const float[:, ::1] word_scores, const double[:, ::1] unknown
) except -1:
    if word_scores.shape[1] != coef.shape[1] or unknown.shape[1] != coef.shape[1]:
        raise ValueError(f"all scores need {coef.shape[1]} columns")
    return 0


cdef int check_unknown(Py_ssize_t n_unknown, const double[:, ::1] unknown) except -1:
    if n_unknown != unknown.shape[0]:
        raise ValueError(f"{n_unknown} unknown words need as many rows of scores, not {unknown.shape[0]}")
    return 0


cdef int check_coef(NGramIndex index, const float[:, ::1] coef) except -1:
    if coef.shape[0] != index.n_rows:
        raise ValueError(
            f"an index of {index.n_rows} n-grams needs as many rows of coef, not {coef.shape[0]}"
        )
    return 0


cdef int check_out(const float[:, ::1] coef, double[:, ::1] out, Py_ssize_t n) except -1:
    if out.shape[0] != n or out.shape[1] != coef.shape[1]:
        raise ValueError(f"out is {out.shape[0]} x {out.shape[1]}, not {n} x {coef.shape[1]}")
    return 0
