"""Linear-chain conditional random field (Lafferty et al. 2001; notation of Lample et al. 2016).

Axes: t tokens of all sentences, n sentences, c tags, m segments. A path y of a sentence scores

    s(y) = start[y_0] + sum_i emissions[i, y_i] + sum_i transitions[y_{i-1}, y_i] + stop[y_last],

P(y) = exp(s(y)) / Z, with Z the sum of exp(s) over all paths, or over those that the masks allow. An
empty sentence has one path, of score 0.

The recursions, in double whatever the type of the arguments:

    alpha_i[k] = exp(emissions[i, k]) sum_j alpha_{i-1}[j] exp(transitions[j, k])
    beta_i[j]  = sum_k exp(transitions[j, k]) exp(emissions[i + 1, k]) beta_{i+1}[k]

Every row is divided by its sum, whose logarithms add up to log Z. Exponentials are taken after the
maximum was subtracted, so nothing overflows. Whether something underflows is known: the spread of the
parameters and of each emission row is bounded by MAX_SPREAD, and so is the ratio of any two elements of a
row of alpha or beta if all transitions are allowed. Where a mask forbids some, every row is looked at.
A sentence that may underflow is done with logarithms of all quantities instead, some ten times slower.

Rows are kept for BLOCK tokens only, and one at the start of each block, from which a block that was left
is computed again: a sentence of a million tokens needs little memory.

Threads share sentences: as each row needs the one before, a single long sentence is worked on by one of
them. Cut in parts, it would need products of matrices instead of products of rows and matrices, c times the
work, for what is about a tenth of the time of tagging (17 tags).

Matrices of the tags have rows of `width` elements, a multiple of LANES, the last ones being neutral.
"""

from cython cimport floating
from cython.parallel cimport prange
from libc.float cimport DBL_MAX
from libc.math cimport INFINITY, exp, log
from libc.stdint cimport int32_t, uint8_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

import numpy as np

from textcnn._kernels._openmp cimport team_size

cdef enum:
    LANES = 4
    # Tokens whose rows are kept: with 50 tags they fill a quarter of a megabyte.
    BLOCK = 256
    MAX_PIECES = 64
    # About what one exponential, and one element of a product of a row and a matrix, cost in multiply-add
    # operations of a matrix product.
    EXP_COST = 400
    CELL_COST = 10

# exp(-200) = 1e-87: a product of a sum of the row before, a transition and an emission stays above 1e-308.
cdef double MAX_SPREAD = 200
cdef double TINY = 1e-100
# Viterbi takes larger scores, infinities and not-a-number for this or its negative: the sum of any number
# of them is finite, so that only what is forbidden scores minus infinity.
cdef double LARGEST_SCORE = 1e100

# ---- parameters --------------------------------------------------------------------------------------------


cdef struct Chain:
    Py_ssize_t c
    Py_ssize_t width
    bint masked                 # some path is forbidden
    bint bounded                # exponentials of the parameters do not underflow
    double *memory
    double *transitions         # (c, width) logarithms, -inf where forbidden
    double *transposed          # (c, width)
    double *start               # (width,)
    double *stop
    double *exp_transitions     # (c, width) exp(transitions - top_transition)
    double *exp_transposed
    double *exp_start
    double *exp_stop
    double top_transition
    double top_start
    double top_stop


cdef inline double finite_score(double x) noexcept nogil:
    return max(-LARGEST_SCORE, min(LARGEST_SCORE, x)) if x == x else -LARGEST_SCORE


cdef bint spread_is_bounded(
    Py_ssize_t c, Py_ssize_t width, Py_ssize_t rows, const double *x, double *top,
) noexcept nogil:
    """Maximum of a matrix (0 if all is -inf), and whether the exponentials of all but -inf are safe."""
    cdef Py_ssize_t j, k
    cdef double low = INFINITY, high = -INFINITY
    cdef bint numbers = True
    for j in range(rows):
        for k in range(c):
            if x[j * width + k] == -INFINITY:
                continue
            numbers &= x[j * width + k] == x[j * width + k]
            low = min(low, x[j * width + k])
            high = max(high, x[j * width + k])
    top[0] = high if high > -INFINITY else 0
    return numbers and high - low <= MAX_SPREAD


cdef int make_chain(
    Chain *chain,                     # OUT  to be freed with free(chain.memory)
    Py_ssize_t c,
    const floating *transitions,      # IN   (c, c)
    const floating *start,            # IN   (c,)
    const floating *stop,             # IN   (c,)
    const uint8_t *allowed_start,     # IN   (c,), or NULL if everything is allowed
    const uint8_t *allowed,           # IN   (c, c)
    const uint8_t *allowed_stop,      # IN   (c,)
    bint finite,                      # IN   replace what is not finite by a large number
) noexcept nogil:
    """Parameters in double with the masks applied, their transposes and exponentials; 1 without memory."""
    cdef Py_ssize_t width = (c + LANES - 1) // LANES * LANES
    cdef Py_ssize_t j, k, cells = c * width
    cdef double x
    cdef bint may
    memset(chain, 0, sizeof(Chain))
    chain.memory = <double *>malloc((4 * cells + 4 * width) * sizeof(double))
    if chain.memory == NULL:
        return 1
    chain.c, chain.width = c, width
    chain.transitions = chain.memory
    chain.transposed = chain.transitions + cells
    chain.exp_transitions = chain.transposed + cells
    chain.exp_transposed = chain.exp_transitions + cells
    chain.start = chain.exp_transposed + cells
    chain.stop = chain.start + width
    chain.exp_start = chain.stop + width
    chain.exp_stop = chain.exp_start + width
    for k in range(2 * cells):
        chain.transitions[k] = -INFINITY
    for k in range(2 * width):
        chain.start[k] = -INFINITY
    for j in range(c):
        for k in range(c):
            x = transitions[j * c + k]
            may = allowed == NULL or allowed[j * c + k]
            chain.masked |= not may
            chain.transitions[j * width + k] = (finite_score(x) if finite else x) if may else -INFINITY
            chain.transposed[k * width + j] = chain.transitions[j * width + k]
        may = allowed_start == NULL or allowed_start[j]
        chain.masked |= not may
        x = start[j]
        chain.start[j] = (finite_score(x) if finite else x) if may else -INFINITY
        may = allowed_stop == NULL or allowed_stop[j]
        chain.masked |= not may
        x = stop[j]
        chain.stop[j] = (finite_score(x) if finite else x) if may else -INFINITY
        # A parameter of -inf forbids as a mask does.
        chain.masked |= chain.start[j] == -INFINITY or chain.stop[j] == -INFINITY
        for k in range(c):
            chain.masked |= chain.transitions[j * width + k] == -INFINITY
    chain.bounded = spread_is_bounded(c, width, c, chain.transitions, &chain.top_transition)
    chain.bounded &= spread_is_bounded(c, width, 1, chain.start, &chain.top_start)
    chain.bounded &= spread_is_bounded(c, width, 1, chain.stop, &chain.top_stop)
    for k in range(2 * cells):
        chain.exp_transitions[k] = exp(chain.transitions[k] - chain.top_transition)
    for k in range(width):
        chain.exp_start[k] = exp(chain.start[k] - chain.top_start)
        chain.exp_stop[k] = exp(chain.stop[k] - chain.top_stop)
    return 0


# ---- rows, as exponentials or as logarithms ----------------------------------------------------------------


cdef inline double row_sum(Py_ssize_t width, const double *row) noexcept nogil:
    cdef Py_ssize_t q, i
    cdef double parts[LANES]
    for i in range(LANES):
        parts[i] = 0
    for q in range(width // LANES):
        for i in range(LANES):
            parts[i] += row[q * LANES + i]
    return (parts[0] + parts[1]) + (parts[2] + parts[3])


cdef double log_sum_exp(Py_ssize_t n, const double *x, Py_ssize_t stride_x, const double *y) noexcept nogil:
    """log sum_k exp(x[k] + y[k]); NaN and infinities give what the formula gives in the limit."""
    cdef Py_ssize_t k
    cdef double top = -INFINITY, total = 0
    for k in range(n):
        top = max(top, x[k * stride_x] + y[k])
    if top - top != 0:
        for k in range(n):
            total += x[k * stride_x] + y[k]
        return total
    for k in range(n):
        total += exp(x[k * stride_x] + y[k] - top)
    return top + log(total)


cdef void multiply(bint logs, Py_ssize_t width, const double *x, const double *y, double *out) noexcept nogil:
    cdef Py_ssize_t k
    if logs:
        for k in range(width):
            out[k] = x[k] + y[k]
    else:
        for k in range(width):
            out[k] = x[k] * y[k]


cdef double normalise(bint logs, Py_ssize_t width, const double *zeros, double *row) noexcept nogil:
    """Divide a row by its sum, and return the sum."""
    cdef Py_ssize_t k
    cdef double total, factor
    if logs:
        total = log_sum_exp(width, row, 1, zeros)
        for k in range(width):
            row[k] -= total
        return total
    total = row_sum(width, row)
    factor = 1 / total if total != 0 else 0
    for k in range(width):
        row[k] *= factor
    return total


cdef void product(
    bint logs, Py_ssize_t c, Py_ssize_t width, const double *row, const double *matrix, double *out,
) noexcept nogil:
    """out[k] = sum_j row[j] matrix[j, k]."""
    cdef Py_ssize_t j, k, q, i
    cdef double sums[LANES]
    for q in range(width // LANES):
        k = q * LANES
        if logs:
            for i in range(LANES):
                out[k + i] = log_sum_exp(c, matrix + k + i, width, row)
            continue
        for i in range(LANES):
            sums[i] = 0
        for j in range(c):
            for i in range(LANES):
                sums[i] += row[j] * matrix[j * width + k + i]
        for i in range(LANES):
            out[k + i] = sums[i]


cdef bint emission_row(
    bint logs, Py_ssize_t c, Py_ssize_t width, const floating *emissions, double *out, double *top,
) noexcept nogil:
    """exp(emissions - top), with top the maximum; False if that may underflow."""
    cdef Py_ssize_t k
    cdef floating low = emissions[0], high = emissions[0]
    if logs:
        top[0] = 0
        for k in range(c):
            out[k] = emissions[k]
        for k in range(c, width):
            out[k] = -INFINITY
        return True
    for k in range(1, c):
        low = emissions[k] if emissions[k] < low else low
        high = emissions[k] if emissions[k] > high else high
    top[0] = high
    if not (<double>high - <double>low <= MAX_SPREAD):
        return False
    for k in range(c):
        out[k] = exp(<double>emissions[k] - <double>high)
    for k in range(c, width):
        out[k] = 0
    return True


cdef bint underflows(bint logs, const Chain *chain, double total, const double *row) noexcept nogil:
    """Whether a normalised row may have lost something: see the top of the file."""
    cdef Py_ssize_t k
    if logs:
        return False
    if not (0 < total <= DBL_MAX):
        return True
    if chain.masked:
        for k in range(chain.width):
            if 0 < row[k] < TINY:
                return True
    return False


# ---- forward and backward over one sentence ----------------------------------------------------------------


cdef struct Work:
    # Scratch of one piece
    Py_ssize_t block
    double *memory
    double *alphas          # (block + 1, width) normalised; row 0 is the one before the block
    double *weights         # (block, width) exp(emissions); then what the backward pass makes of them
    double *scales          # (block,) what the row of alphas was divided by
    double *tops            # (block,) what was subtracted from the emissions
    double *beta            # (width,)
    double *marginals       # (width,)
    double *after           # (width,) exp(emissions) beta of the next token
    double *zeros           # (width,)
    double *checkpoints     # (n_blocks, width) alphas before each block


cdef int make_work(Work *work, Py_ssize_t width, Py_ssize_t longest, Py_ssize_t block) noexcept nogil:
    """Scratch for sentences of up to `longest` tokens; 1 if there is no memory."""
    cdef Py_ssize_t n_blocks
    work.block = max(1, min(block, longest))
    n_blocks = (longest + work.block - 1) // work.block
    work.memory = <double *>malloc(
        (((2 * work.block + 1) + 4 + n_blocks) * width + 2 * work.block) * sizeof(double)
    )
    if work.memory == NULL:
        return 1
    work.alphas = work.memory
    work.weights = work.alphas + (work.block + 1) * width
    work.beta = work.weights + work.block * width
    work.marginals = work.beta + width
    work.after = work.marginals + width
    work.zeros = work.after + width
    work.checkpoints = work.zeros + width
    work.scales = work.checkpoints + n_blocks * width
    work.tops = work.scales + work.block
    memset(work.zeros, 0, width * sizeof(double))
    return 0


cdef bint forward_block(
    bint logs,
    const Chain *chain,
    const floating *emissions,      # IN   (length, c) of the sentence
    Py_ssize_t length,
    Py_ssize_t b,
    Work *work,                     # OUT  alphas, weights, scales and tops of block b
    double *log_scale,              # IN/OUT  the logarithms of all that was divided by are added
) noexcept nogil:
    """Rows of alpha in block b of a sentence; False if a row may have underflowed."""
    cdef Py_ssize_t c = chain.c, width = chain.width
    cdef Py_ssize_t begin = b * work.block, r, n_rows = min(work.block, length - begin)
    cdef double scale = 1
    cdef double *row = work.alphas
    if b > 0:
        memcpy(row, work.checkpoints + b * width, width * sizeof(double))
    for r in range(n_rows):
        row += width
        if not emission_row(logs, c, width, emissions + (begin + r) * c, work.weights + r * width,
                            &work.tops[r]):
            return False
        if begin + r == 0:
            memcpy(row, chain.start if logs else chain.exp_start, width * sizeof(double))
        else:
            product(logs, c, width, row - width, chain.transitions if logs else chain.exp_transitions, row)
        multiply(logs, width, row, work.weights + r * width, row)
        work.scales[r] = normalise(logs, width, work.zeros, row)
        if underflows(logs, chain, work.scales[r], row):
            return False
        log_scale[0] += work.tops[r]
        if logs:
            log_scale[0] += work.scales[r]
            continue
        scale *= work.scales[r]
        if not 1e-100 < scale < 1e100:
            log_scale[0] += log(scale)
            scale = 1
    log_scale[0] += log(scale)
    return True


cdef bint forward(
    bint logs,
    const Chain *chain,
    const floating *emissions,      # IN   (length, c)
    Py_ssize_t length,
    Work *work,                     # OUT  the rows of the last block, and all checkpoints
    double *log_z,                  # OUT
) noexcept nogil:
    """log Z of a sentence of at least one token; False if a row may have underflowed."""
    cdef Py_ssize_t b, width = chain.width, n_blocks = (length + work.block - 1) // work.block
    cdef double *last
    log_z[0] = 0
    for b in range(n_blocks):
        if b > 0:
            memcpy(work.checkpoints + b * width, work.alphas + work.block * width, width * sizeof(double))
        if not forward_block(logs, chain, emissions, length, b, work, log_z):
            return False
    last = work.alphas + (length - (n_blocks - 1) * work.block) * width
    if logs:
        log_z[0] += log_sum_exp(width, last, 1, chain.stop)
        return True
    multiply(False, width, last, chain.exp_stop, work.marginals)
    log_z[0] += log(row_sum(width, work.marginals))
    log_z[0] += (length - 1) * chain.top_transition + chain.top_start + chain.top_stop
    return True


cdef void raw_beta(bint logs, const Chain *chain, bint last, Work *work) noexcept nogil:
    """beta of a token from `after` of the next one; a factor that they share is missing."""
    if last:
        memcpy(work.beta, chain.stop if logs else chain.exp_stop, chain.width * sizeof(double))
    else:
        product(logs, chain.c, chain.width, work.after,
                chain.transposed if logs else chain.exp_transposed, work.beta)


cdef bint finish_row(bint logs, const Chain *chain, Py_ssize_t r, Work *work, double *norm) noexcept nogil:
    """Normalise beta; marginals of row r of the block, what they were divided by, and `after`."""
    cdef double total = normalise(logs, chain.width, work.zeros, work.beta)
    if underflows(logs, chain, total, work.beta):
        return False
    multiply(logs, chain.width, work.alphas + (r + 1) * chain.width, work.beta, work.marginals)
    norm[0] = normalise(logs, chain.width, work.zeros, work.marginals)
    multiply(logs, chain.width, work.weights + r * chain.width, work.beta, work.after)
    return True


# ---- pieces ------------------------------------------------------------------------------------------------


cdef Py_ssize_t count_pieces(Py_ssize_t n, Py_ssize_t t, Py_ssize_t c) noexcept nogil:
    """Number of pieces that a batch is cut into; it depends on the batch alone."""
    return max(1, min(min(n, MAX_PIECES), t // max(32, 2 * c)))


cdef Py_ssize_t piece_start(
    const Py_ssize_t *offsets, Py_ssize_t n, Py_ssize_t piece, Py_ssize_t n_pieces,
) noexcept nogil:
    """First sentence of a piece: the first one that begins at its share of the tokens or later."""
    cdef Py_ssize_t low = 0, high = n, middle
    if piece == 0:
        return 0
    if piece == n_pieces:
        return n
    while low < high:
        middle = (low + high) // 2
        if offsets[middle] < <double>offsets[n] * piece / n_pieces:
            low = middle + 1
        else:
            high = middle
    return low


cdef Py_ssize_t longest_sentence(const Py_ssize_t *offsets, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t i, longest = 0
    for i in range(begin, end):
        longest = max(longest, offsets[i + 1] - offsets[i])
    return longest


# ---- checks ------------------------------------------------------------------------------------------------


cdef int check_batch(
    const floating[:, ::1] emissions,
    const floating[:, ::1] transitions,
    const floating[::1] start,
    const floating[::1] stop,
    const Py_ssize_t[::1] offsets,
) except -1:
    cdef Py_ssize_t i, t = emissions.shape[0], c = emissions.shape[1], n = offsets.shape[0] - 1
    if c == 0:
        raise ValueError("emissions have 0 columns, but there must be one for each of at least one tag")
    if transitions.shape[0] != c or transitions.shape[1] != c or start.shape[0] != c or stop.shape[0] != c:
        raise ValueError(
            f"transitions ({transitions.shape[0]}, {transitions.shape[1]}), start ({start.shape[0]},) and "
            f"stop ({stop.shape[0]},) do not fit emissions of {c} tags"
        )
    if n < 0 or offsets[0] != 0 or offsets[n] != t:
        raise ValueError(f"offsets must start with 0 and end with the number of tokens, {t}")
    for i in range(n):
        if offsets[i] > offsets[i + 1]:
            raise ValueError(f"offsets fall from {offsets[i]} to {offsets[i + 1]} at sentence {i}")
    return 0


cdef int check_tags(const int32_t[::1] tags, Py_ssize_t c) except -1:
    cdef Py_ssize_t i
    for i in range(tags.shape[0]):
        if tags[i] < 0 or tags[i] >= c:
            raise ValueError(f"tag {i} is {tags[i]}, but there are {c} tags")
    return 0


cdef int check_masks(
    const uint8_t[::1] allowed_start,
    const uint8_t[:, ::1] allowed,
    const uint8_t[::1] allowed_stop,
    const Py_ssize_t[::1] offsets,
    Py_ssize_t c,
) except -1:
    """Check that a sentence of every length in the batch has a path."""
    cdef Py_ssize_t i, j, k, length, n = offsets.shape[0] - 1, n_known = 1
    cdef Py_ssize_t longest = longest_sentence(&offsets[0], 0, n)
    cdef uint8_t[::1] possible, reached, following
    cdef bint same = False
    if allowed.shape[0] != c or allowed.shape[1] != c or allowed_start.shape[0] != c \
            or allowed_stop.shape[0] != c:
        raise ValueError(
            f"allowed_start ({allowed_start.shape[0]},), allowed ({allowed.shape[0]}, {allowed.shape[1]}) "
            f"and allowed_stop ({allowed_stop.shape[0]},) do not fit {c} tags"
        )
    if longest == 0:
        return 0
    # possible[l]: a tag that may stop can be reached with l tokens; reached: which tags are. Once that set
    # is the one before, it stays so.
    possible = np.ones(longest + 1, np.uint8)
    reached = np.zeros(c, np.uint8)
    following = np.zeros(c, np.uint8)
    for k in range(c):
        following[k] = allowed_start[k] != 0
    while n_known <= longest and not same:
        same = True
        possible[n_known] = 0
        for k in range(c):
            same &= reached[k] == following[k]
            reached[k] = following[k]
            possible[n_known] |= reached[k] and allowed_stop[k]
            following[k] = 0
        for j in range(c):
            if reached[j]:
                for k in range(c):
                    following[k] |= allowed[j, k] != 0
        n_known += 1
    for i in range(n):
        length = offsets[i + 1] - offsets[i]
        if not possible[min(length, n_known - 1)]:
            explain_masks(np.asarray(allowed_start), np.asarray(allowed), np.asarray(allowed_stop), i, length)
    return 0


cdef explain_masks(allowed_start, allowed, allowed_stop, i, length):
    """Raise the error for a sentence without a path."""
    if not allowed_start.any():
        raise ValueError("allowed_start forbids every tag to start a sentence; allow at least one")
    if not allowed_stop.any():
        raise ValueError("allowed_stop forbids every tag to end a sentence; allow at least one")
    if length > 1 and not allowed.any():
        raise ValueError("allowed forbids every tag to follow another; allow at least one transition")
    raise ValueError(
        f"the masks allow no path for the {length} tokens of sentence {i}; allow a way from a tag that may "
        "start to a tag that may stop in that many steps"
    )


# ---- loss --------------------------------------------------------------------------------------------------


cdef struct Gradients:
    # Sums of one piece; the gradient of the transitions is expected * exp_transitions + transitions
    double *expected         # (c, width)
    double *transitions      # (c, width)
    double *start            # (width,)
    double *stop


cdef void add_outer_products(
    Py_ssize_t c, Py_ssize_t width, Py_ssize_t n_rows, const double *left, const double *right, double *out,
) noexcept nogil:
    """out[j, k] += sum_r left[r, j] right[r, k]."""
    cdef Py_ssize_t j, k, r, q, i
    cdef double sums[LANES]
    for q in range(width // LANES):
        k = q * LANES
        for j in range(c):
            for i in range(LANES):
                sums[i] = out[j * width + k + i]
            for r in range(n_rows):
                for i in range(LANES):
                    sums[i] += left[r * width + j] * right[r * width + k + i]
            for i in range(LANES):
                out[j * width + k + i] = sums[i]


cdef double path_score(
    const Chain *chain, const floating *emissions, Py_ssize_t length, const int32_t *tags,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef double score = chain.start[tags[0]] + emissions[tags[0]]
    for i in range(1, length):
        score += chain.transitions[tags[i - 1] * chain.width + tags[i]] + emissions[i * chain.c + tags[i]]
    return score + chain.stop[tags[length - 1]]


cdef void loss_backward(
    bint logs,
    const Chain *chain,
    const floating *emissions,      # IN   (length, c)
    Py_ssize_t length,
    const int32_t *tags,            # IN   (length,)
    double weight,
    Work *work,                     # IN   as `forward` left it
    floating *d_emissions,          # OUT  (length, c)
    Gradients *gradients,           # IN/OUT
) noexcept nogil:
    """Gradient of weight * (log Z - score): expected minus observed counts, times the weight."""
    cdef Py_ssize_t c = chain.c, width = chain.width, n_blocks = (length + work.block - 1) // work.block
    cdef Py_ssize_t b, r, i, j, k, n_rows
    cdef double norm, factor, score, ignored = 0
    cdef double *alpha
    for b in range(n_blocks - 1, -1, -1):
        if b < n_blocks - 1:
            forward_block(logs, chain, emissions, length, b, work, &ignored)
        n_rows = min(work.block, length - b * work.block)
        for r in range(n_rows - 1, -1, -1):
            i = b * work.block + r
            raw_beta(logs, chain, i == length - 1, work)
            finish_row(logs, chain, r, work, &norm)
            if logs:
                for k in range(c):
                    work.marginals[k] = exp(work.marginals[k])
            work.marginals[tags[i]] -= 1
            for k in range(c):
                work.marginals[k] *= weight
                d_emissions[i * c + k] = <floating>work.marginals[k]
            if i == length - 1:
                for k in range(c):
                    gradients.stop[k] += work.marginals[k]
            if i == 0:
                for k in range(c):
                    gradients.start[k] += work.marginals[k]
                continue
            gradients.transitions[tags[i - 1] * width + tags[i]] -= weight
            if logs:
                alpha = work.alphas + r * width
                for j in range(c):
                    for k in range(c):
                        score = alpha[j] + chain.transitions[j * width + k] + work.after[k]
                        gradients.transitions[j * width + k] += weight * exp(score - work.scales[r] - norm)
            else:
                factor = weight / (work.scales[r] * norm)
                for k in range(width):
                    work.weights[r * width + k] = work.after[k] * factor
        if not logs:
            r = 1 if b == 0 else 0
            add_outer_products(c, width, n_rows - r, work.alphas + r * width, work.weights + r * width,
                               gradients.expected)


cdef int loss_piece(
    const Chain *chain,
    const floating *emissions,
    const int32_t *tags,
    const Py_ssize_t *offsets,
    Py_ssize_t begin,
    Py_ssize_t end,
    const floating *sample_weight,
    double *loss,                   # OUT  (n,)
    floating *d_emissions,          # OUT  (t, c)
    Gradients gradients,            # IN/OUT
) noexcept nogil:
    """Loss and gradients of sentences `begin` to `end`; 1 if there is no memory."""
    cdef Py_ssize_t i, length, first
    cdef const floating *rows
    cdef Work work
    cdef double log_z, excess
    cdef bint logs
    if make_work(&work, chain.width, longest_sentence(offsets, begin, end), BLOCK):
        return 1
    for i in range(begin, end):
        first, length = offsets[i], offsets[i + 1] - offsets[i]
        loss[i] = 0
        if length == 0:
            continue
        rows = emissions + first * chain.c
        # Without masks the backward pass cannot underflow if the forward pass did not.
        logs = chain.masked or not (chain.bounded and forward(False, chain, rows, length, &work, &log_z))
        if logs:
            forward(True, chain, rows, length, &work, &log_z)
        excess = log_z - path_score(chain, rows, length, tags + first)
        # No path scores more than all together but for rounding. Not max(0, .): NaN must not be hidden.
        loss[i] = sample_weight[i] * (0 if excess < 0 else excess)
        loss_backward(logs, chain, rows, length, tags + first, sample_weight[i], &work,
                      d_emissions + first * chain.c, &gradients)
    free(work.memory)
    return 0


def crf_loss(
    const floating[:, ::1] emissions,      # IN   (t, c)
    const floating[:, ::1] transitions,    # IN   (c, c) from row to column
    const floating[::1] start,             # IN   (c,)
    const floating[::1] stop,              # IN   (c,)
    const int32_t[::1] tags,               # IN   (t,)
    const Py_ssize_t[::1] offsets,         # IN   (n + 1,)
    const floating[::1] sample_weight,     # IN   (n,)
    double[::1] loss,                      # OUT  (n,)
    floating[:, ::1] d_emissions,          # OUT  (t, c)
    gradient[:, ::1] d_transitions,        # OUT  (c, c) in double or in the type of the emissions
    gradient[::1] d_start,                 # OUT  (c,)
    gradient[::1] d_stop,                  # OUT  (c,)
    int n_threads=1,
):
    """loss[i] = w_i (log Z_i - score of the tags), and the gradients of the sum of the losses."""
    cdef Py_ssize_t t = emissions.shape[0], c = emissions.shape[1], n = offsets.shape[0] - 1
    cdef int failed
    check_batch(emissions, transitions, start, stop, offsets)
    if tags.shape[0] != t or d_emissions.shape[0] != t or d_emissions.shape[1] != c:
        raise ValueError(f"tags must be ({t},) and d_emissions ({t}, {c}), as the emissions are")
    if sample_weight.shape[0] != n or loss.shape[0] != n:
        raise ValueError(f"sample_weight and loss must have one value for each of {n} sentences")
    if d_transitions.shape[0] != c or d_transitions.shape[1] != c or d_start.shape[0] != c \
            or d_stop.shape[0] != c:
        raise ValueError(f"d_transitions must be ({c}, {c}), d_start and d_stop ({c},)")
    check_tags(tags, c)
    if t == 0:
        loss[:] = 0
        d_transitions[:] = 0
        d_start[:] = 0
        d_stop[:] = 0
        return
    with nogil:
        failed = crf_batch_loss(
            &emissions[0, 0], c, &transitions[0, 0], &start[0], &stop[0], &tags[0], &offsets[0], n,
            &sample_weight[0], &loss[0], &d_emissions[0, 0], &d_transitions[0, 0], &d_start[0], &d_stop[0],
            n_threads,
        )
    if failed:
        raise MemoryError(f"no memory for the rows of {t} tokens with {c} tags")


cdef int crf_batch_loss(
    const floating *emissions,       # IN   (t, c), at least one row
    Py_ssize_t c,
    const floating *transitions,     # IN   (c, c)
    const floating *start,           # IN   (c,)
    const floating *stop,            # IN   (c,)
    const int32_t *tags,             # IN   (t,)
    const Py_ssize_t *offsets,       # IN   (n + 1,)
    Py_ssize_t n,
    const floating *sample_weight,   # IN   (n,)
    double *loss,                    # OUT  (n,)
    floating *d_emissions,           # OUT  (t, c)
    gradient *d_transitions,         # OUT  (c, c)
    gradient *d_start,               # OUT  (c,)
    gradient *d_stop,                # OUT  (c,)
    int n_threads,
) noexcept nogil:
    """What `crf_loss` does, of checked arguments; 1 if there is no memory."""
    cdef Py_ssize_t t = offsets[n], piece, n_pieces = count_pieces(n, t, c), size
    cdef Chain chain
    cdef double *sums
    cdef int failed = 0
    cdef int team = team_size(n_threads, <double>t * c * (EXP_COST + 3 * c * CELL_COST))
    if make_chain(&chain, c, transitions, start, stop, NULL, NULL, NULL, False):
        return 1
    size = 2 * c * chain.width + 2 * chain.width
    sums = <double *>calloc(n_pieces * size, sizeof(double))
    if sums == NULL:
        free(chain.memory)
        return 1
    for piece in prange(n_pieces, schedule="dynamic", chunksize=1, num_threads=team):
        failed += loss_piece(
            &chain, emissions, tags, offsets, piece_start(offsets, n, piece, n_pieces),
            piece_start(offsets, n, piece + 1, n_pieces), sample_weight, loss, d_emissions,
            gradients_at(sums + piece * size, &chain),
        )
    add_pieces(&chain, n_pieces, size, sums, d_transitions, d_start, d_stop)
    free(sums)
    free(chain.memory)
    return failed != 0


cdef void add_pieces(
    const Chain *chain, Py_ssize_t n_pieces, Py_ssize_t size, const double *sums, gradient *d_transitions,
    gradient *d_start, gradient *d_stop,
) noexcept nogil:
    """Gradients of the parameters: the sums of the pieces, in order."""
    cdef Py_ssize_t c = chain.c, width = chain.width, piece, j, k
    cdef double total
    for j in range(c):
        for k in range(c):
            total = 0
            for piece in range(n_pieces):
                if chain.bounded:
                    total += sums[piece * size + j * width + k] * chain.exp_transitions[j * width + k]
                total += sums[piece * size + (c + j) * width + k]
            d_transitions[j * c + k] = <gradient>total
        total = 0
        for piece in range(n_pieces):
            total += sums[piece * size + 2 * c * width + j]
        d_start[j] = <gradient>total
        total = 0
        for piece in range(n_pieces):
            total += sums[piece * size + (2 * c + 1) * width + j]
        d_stop[j] = <gradient>total


cdef inline Gradients gradients_at(double *memory, const Chain *chain) noexcept nogil:
    cdef Gradients gradients
    gradients.expected = memory
    gradients.transitions = memory + chain.c * chain.width
    gradients.start = memory + 2 * chain.c * chain.width
    gradients.stop = gradients.start + chain.width
    return gradients


# ---- best path ---------------------------------------------------------------------------------------------


cdef void best_scores(
    Py_ssize_t c, Py_ssize_t width, const double *before, const double *transitions, double *out,
) noexcept nogil:
    """out[k] = max_j before[j] + transitions[j, k]."""
    cdef Py_ssize_t j, k, q, i
    cdef double best[LANES]
    cdef double score
    for q in range(width // LANES):
        k = q * LANES
        for i in range(LANES):
            best[i] = -INFINITY
        for j in range(c):
            for i in range(LANES):
                score = before[j] + transitions[j * width + k + i]
                best[i] = score if score > best[i] else best[i]
        for i in range(LANES):
            out[k + i] = best[i]


cdef Py_ssize_t first_best(Py_ssize_t c, const double *x, const double *y) noexcept nogil:
    """The lowest k that maximises x[k] + y[k]."""
    cdef Py_ssize_t k, best = 0
    for k in range(1, c):
        if x[k] + y[k] > x[best] + y[best]:
            best = k
    return best


cdef void viterbi_block(
    const Chain *chain, const floating *emissions, Py_ssize_t length, Py_ssize_t b, Work *work,
) noexcept nogil:
    """Scores of the best paths to each tag, alphas of the work, in block b."""
    cdef Py_ssize_t begin = b * work.block, r, k, width = chain.width
    cdef double *row = work.alphas
    if b > 0:
        memcpy(row, work.checkpoints + b * width, width * sizeof(double))
    for r in range(min(work.block, length - begin)):
        row += width
        if begin + r == 0:
            memcpy(row, chain.start, width * sizeof(double))
        else:
            best_scores(chain.c, width, row - width, chain.transitions, row)
        for k in range(chain.c):
            row[k] += finite_score(emissions[(begin + r) * chain.c + k])


cdef double viterbi_sentence(
    const Chain *chain,
    const floating *emissions,      # IN   (length, c)
    Py_ssize_t length,
    Work *work,
    int32_t *tags,                  # OUT  (length,)
) noexcept nogil:
    """Best path and its score. No back pointers: the scores of the block say where each step came from."""
    cdef Py_ssize_t b, r, tag = 0, width = chain.width, n_blocks = (length + work.block - 1) // work.block
    cdef double score = 0
    cdef const double *row
    for b in range(n_blocks):
        if b > 0:
            memcpy(work.checkpoints + b * width, work.alphas + work.block * width, width * sizeof(double))
        viterbi_block(chain, emissions, length, b, work)
    for b in range(n_blocks - 1, -1, -1):
        if b < n_blocks - 1:
            viterbi_block(chain, emissions, length, b, work)
        for r in range(min(work.block, length - b * work.block) - 1, -1, -1):
            row = work.alphas + (r + 1) * width
            if b * work.block + r == length - 1:
                tag = first_best(chain.c, row, chain.stop)
                score = row[tag] + chain.stop[tag]
            else:
                tag = first_best(chain.c, row, chain.transposed + tag * width)
            tags[b * work.block + r] = <int32_t>tag
    return score


cdef int viterbi_piece(
    const Chain *chain,
    const floating *emissions,
    const Py_ssize_t *offsets,
    Py_ssize_t begin,
    Py_ssize_t end,
    int32_t *tags,                  # OUT  (t,)
    double *scores,                 # OUT  (n,)
) noexcept nogil:
    """Best paths of sentences `begin` to `end`; 1 if there is no memory."""
    cdef Py_ssize_t i, first, length
    cdef Work work
    if make_work(&work, chain.width, longest_sentence(offsets, begin, end), BLOCK):
        return 1
    for i in range(begin, end):
        first, length = offsets[i], offsets[i + 1] - offsets[i]
        scores[i] = 0
        if length > 0:
            scores[i] = viterbi_sentence(chain, emissions + first * chain.c, length, &work, tags + first)
    free(work.memory)
    return 0


def crf_viterbi(
    const floating[:, ::1] emissions,      # IN   (t, c)
    const floating[:, ::1] transitions,    # IN   (c, c) from row to column
    const floating[::1] start,             # IN   (c,)
    const floating[::1] stop,              # IN   (c,)
    const uint8_t[::1] allowed_start,      # IN   (c,) 0 where a sentence must not start so
    const uint8_t[:, ::1] allowed,         # IN   (c, c) 0 where the column must not follow the row
    const uint8_t[::1] allowed_stop,       # IN   (c,) 0 where a sentence must not end so
    const Py_ssize_t[::1] offsets,         # IN   (n + 1,)
    int32_t[::1] tags,                     # OUT  (t,)
    double[::1] scores,                    # OUT  (n,)
    int n_threads=1,
):
    """tags = argmax over the allowed paths of the score (at ties the lowest tag, from the last token back).

    Scores beyond 1e100 count as 1e100, and NaN as -1e100, so that there always is a best path.
    """
    cdef Py_ssize_t t = emissions.shape[0], c = emissions.shape[1], n = offsets.shape[0] - 1
    cdef Py_ssize_t piece, n_pieces = count_pieces(n, t, c)
    cdef Chain chain
    cdef int failed = 0
    check_batch(emissions, transitions, start, stop, offsets)
    if tags.shape[0] != t or scores.shape[0] != n:
        raise ValueError(f"tags must have {t} values, one a token, and scores {n}, one a sentence")
    check_masks(allowed_start, allowed, allowed_stop, offsets, c)
    if t == 0:
        scores[:] = 0
        return
    if make_chain(&chain, c, &transitions[0, 0], &start[0], &stop[0], &allowed_start[0], &allowed[0, 0],
                  &allowed_stop[0], True):
        raise MemoryError(f"no memory for the transitions of {c} tags")
    try:
        for piece in prange(n_pieces, nogil=True, schedule="dynamic", chunksize=1,
                            num_threads=team_size(n_threads, <double>t * c * c * CELL_COST)):
            failed += viterbi_piece(
                &chain, &emissions[0, 0], &offsets[0], piece_start(&offsets[0], n, piece, n_pieces),
                piece_start(&offsets[0], n, piece + 1, n_pieces), &tags[0], &scores[0],
            )
    finally:
        free(chain.memory)
    if failed:
        raise MemoryError(f"no memory for the scores of {t} tokens with {c} tags")


# ---- marginals ---------------------------------------------------------------------------------------------


cdef bint marginals_sentence(
    bint logs,
    const Chain *chain,
    const floating *emissions,      # IN   (length, c)
    Py_ssize_t length,
    Work *work,
    floating *marginals,            # OUT  (length, c)
    double *log_z,                  # OUT
) noexcept nogil:
    """Forward and backward pass; False if a row may have underflowed."""
    cdef Py_ssize_t b, r, k, c = chain.c, n_blocks = (length + work.block - 1) // work.block
    cdef double norm, p, ignored = 0
    cdef floating *out
    if not forward(logs, chain, emissions, length, work, log_z):
        return False
    for b in range(n_blocks - 1, -1, -1):
        if b < n_blocks - 1:
            forward_block(logs, chain, emissions, length, b, work, &ignored)
        for r in range(min(work.block, length - b * work.block) - 1, -1, -1):
            raw_beta(logs, chain, b * work.block + r == length - 1, work)
            if not finish_row(logs, chain, r, work, &norm):
                return False
            out = marginals + (b * work.block + r) * c
            for k in range(c):
                p = exp(work.marginals[k]) if logs else work.marginals[k]
                # A sum that was rounded down may leave one and a bit. Not min(1, .): NaN must not be hidden.
                out[k] = <floating>(1 if p > 1 else p)
    return True


cdef int marginals_piece(
    const Chain *chain,
    const floating *emissions,
    const Py_ssize_t *offsets,
    Py_ssize_t begin,
    Py_ssize_t end,
    floating *marginals,            # OUT  (t, c)
    double *log_z,                  # OUT  (n,)
) noexcept nogil:
    """Marginals of sentences `begin` to `end`; 1 if there is no memory."""
    cdef Py_ssize_t i, length, at
    cdef Work work
    if make_work(&work, chain.width, longest_sentence(offsets, begin, end), BLOCK):
        return 1
    for i in range(begin, end):
        at, length = offsets[i] * chain.c, offsets[i + 1] - offsets[i]
        log_z[i] = 0
        if length == 0:
            continue
        if not (chain.bounded and marginals_sentence(False, chain, emissions + at, length, &work,
                                                     marginals + at, &log_z[i])):
            marginals_sentence(True, chain, emissions + at, length, &work, marginals + at, &log_z[i])
    free(work.memory)
    return 0


def crf_marginals(
    const floating[:, ::1] emissions,      # IN   (t, c)
    const floating[:, ::1] transitions,    # IN   (c, c) from row to column
    const floating[::1] start,             # IN   (c,)
    const floating[::1] stop,              # IN   (c,)
    const uint8_t[::1] allowed_start,      # IN   (c,) 0 where a sentence must not start so
    const uint8_t[:, ::1] allowed,         # IN   (c, c) 0 where the column must not follow the row
    const uint8_t[::1] allowed_stop,       # IN   (c,) 0 where a sentence must not end so
    const Py_ssize_t[::1] offsets,         # IN   (n + 1,)
    floating[:, ::1] marginals,            # OUT  (t, c)
    double[::1] log_z,                     # OUT  (n,)
    int n_threads=1,
):
    """marginals[i, k] = P(tag of token i = k), among the allowed paths of its sentence."""
    cdef Py_ssize_t t = emissions.shape[0], c = emissions.shape[1], n = offsets.shape[0] - 1
    cdef Py_ssize_t piece, n_pieces = count_pieces(n, t, c)
    cdef Chain chain
    cdef int failed = 0
    check_batch(emissions, transitions, start, stop, offsets)
    if marginals.shape[0] != t or marginals.shape[1] != c or log_z.shape[0] != n:
        raise ValueError(f"marginals must be ({t}, {c}) and log_z ({n},)")
    check_masks(allowed_start, allowed, allowed_stop, offsets, c)
    if t == 0:
        log_z[:] = 0
        return
    if make_chain(&chain, c, &transitions[0, 0], &start[0], &stop[0], &allowed_start[0], &allowed[0, 0],
                  &allowed_stop[0], False):
        raise MemoryError(f"no memory for the transitions of {c} tags")
    try:
        for piece in prange(n_pieces, nogil=True, schedule="dynamic", chunksize=1,
                            num_threads=team_size(n_threads, <double>t * c * (EXP_COST + 2 * c * CELL_COST))):
            failed += marginals_piece(
                &chain, &emissions[0, 0], &offsets[0], piece_start(&offsets[0], n, piece, n_pieces),
                piece_start(&offsets[0], n, piece + 1, n_pieces), &marginals[0, 0], &log_z[0],
            )
    finally:
        free(chain.memory)
    if failed:
        raise MemoryError(f"no memory for the rows of {t} tokens with {c} tags")


# ---- probability of a segment ------------------------------------------------------------------------------


cdef struct Segments:
    # m segments, those that begin at the same token in a list, and those that end there
    const Py_ssize_t *first         # (m,)
    const Py_ssize_t *last          # (m,)
    const int32_t *path             # tags of the segments, end to end
    const Py_ssize_t *path_offsets  # (m + 1,)
    const int32_t *not_next         # (m,)
    Py_ssize_t *beginning           # (t,) a segment whose first token this is, or -1
    Py_ssize_t *other_beginning     # (m,) another one that begins there, or -1
    Py_ssize_t *ending              # (t,) a segment whose last token this is, or -1
    Py_ssize_t *other_ending        # (m,) another one that ends there, or -1


cdef double log_follow(
    bint logs,
    const Chain *chain,
    const Work *work,               # IN   beta of the last token of the segment, not normalised; its alpha
    Py_ssize_t r,                   # IN   row of that token in its block
    bint is_end,                    # IN   whether the sentence ends there
    int32_t tag,
    int32_t not_next,
) noexcept nogil:
    """Logarithm of what may follow the last tag of a segment, over Z; both relative to the row of alpha.

    So nothing of the size of log Z is subtracted.
    """
    cdef Py_ssize_t width = chain.width, k
    cdef const double *end = work.alphas + (r + 1) * width
    cdef const double *transition = (chain.transitions if logs else chain.exp_transitions) + tag * width
    cdef double rest = work.beta[tag], total = 0
    if not is_end and not_next >= 0:
        rest = -INFINITY if logs else 0
        for k in range(chain.c):
            if k == not_next:
                continue
            if logs:
                rest = log_sum(rest, transition[k] + work.after[k])
            else:
                rest += transition[k] * work.after[k]
    if logs:
        return rest - log_sum_exp(chain.c, end, 1, work.beta)
    for k in range(chain.c):
        total += end[k] * work.beta[k]
    return log(rest) - log(total)


cdef double log_steps(
    const Chain *chain,
    const floating *emissions,      # IN   (length, c)
    const double *divisors,         # IN   (length,) logarithms of what each row of alpha was divided by
    const Segments *segments,
    Py_ssize_t s,
) noexcept nogil:
    """Logarithm of the steps from the first to the last tag of a segment, relative to the rows of alpha."""
    cdef Py_ssize_t first = segments.first[s], i
    cdef const int32_t *path = segments.path + segments.path_offsets[s]
    cdef double p = 0
    for i in range(first + 1, segments.last[s]):
        p += chain.transitions[path[i - first - 1] * chain.width + path[i - first]]
        p += emissions[i * chain.c + path[i - first]]
        p -= divisors[i]
    return p


cdef inline double log_sum(double x, double y) noexcept nogil:
    """log(exp(x) + exp(y))"""
    if x == -INFINITY:
        return y
    if y == -INFINITY:
        return x
    return x + log(1 + exp(y - x)) if x > y else y + log(1 + exp(x - y))


cdef bint segments_sentence(
    bint logs,
    const Chain *chain,
    const floating *emissions,      # IN   (length, c)
    Py_ssize_t length,
    const Segments *segments,
    const Py_ssize_t *beginning,    # IN   (length,) of the sentence
    const Py_ssize_t *ending,       # IN   (length,) of the sentence
    Work *work,
    double *divisors,               # OUT  (length,) scratch
    double *probabilities,          # OUT  (m,)
) noexcept nogil:
    """Probabilities of all segments of a sentence; False if a row may have underflowed.

    alpha at the first token, the steps of the segment, and what may follow it. The backward pass meets the
    last token of a segment before the first one, maybe blocks before; the logarithm of what follows waits in
    `probabilities` until then.
    """
    cdef Py_ssize_t b, r, i, s, width = chain.width, n_blocks = (length + work.block - 1) // work.block
    cdef const int32_t *path
    cdef double log_z, norm, p, ignored = 0
    if not forward(logs, chain, emissions, length, work, &log_z):
        return False
    for b in range(n_blocks - 1, -1, -1):
        if b < n_blocks - 1:
            forward_block(logs, chain, emissions, length, b, work, &ignored)
        for r in range(min(work.block, length - b * work.block) - 1, -1, -1):
            i = b * work.block + r
            raw_beta(logs, chain, i == length - 1, work)
            divisors[i] = work.scales[r]
            if not logs:
                divisors[i] = log(work.scales[r]) + work.tops[r] + chain.top_transition
            s = ending[i]
            while s >= 0:
                path = segments.path + segments.path_offsets[s]
                probabilities[s] = log_follow(logs, chain, work, r, i == length - 1,
                                              path[i - segments.first[s]], segments.not_next[s])
                s = segments.other_ending[s]
            s = beginning[i]
            while s >= 0:
                p = work.alphas[(r + 1) * width + segments.path[segments.path_offsets[s]]]
                p = p if logs else log(p)
                p = exp(p + log_steps(chain, emissions, divisors, segments, s) + probabilities[s])
                # Not min(1, .): NaN must not be hidden.
                probabilities[s] = 1 if p > 1 else p
                s = segments.other_beginning[s]
            if not finish_row(logs, chain, r, work, &norm):
                return False
    return True


cdef int segments_piece(
    const Chain *chain,
    const floating *emissions,
    const Py_ssize_t *offsets,
    Py_ssize_t begin,
    Py_ssize_t end,
    const Segments *segments,
    double *probabilities,          # OUT  (m,)
) noexcept nogil:
    """Segments of sentences `begin` to `end`; 1 if there is no memory."""
    cdef Py_ssize_t i, k, length, at, longest = longest_sentence(offsets, begin, end)
    cdef const floating *rows
    cdef double *divisors = <double *>malloc(max(1, longest) * sizeof(double))
    cdef Work work
    cdef bint wanted
    if divisors == NULL:
        return 1
    if make_work(&work, chain.width, longest, BLOCK):
        free(divisors)
        return 1
    for i in range(begin, end):
        at, length = offsets[i], offsets[i + 1] - offsets[i]
        wanted = False
        for k in range(length):
            wanted |= segments.ending[at + k] >= 0
        if not wanted:
            continue
        rows = emissions + at * chain.c
        if not (chain.bounded and segments_sentence(
            False, chain, rows, length, segments, segments.beginning + at, segments.ending + at, &work,
            divisors, probabilities,
        )):
            segments_sentence(
                True, chain, rows, length, segments, segments.beginning + at, segments.ending + at, &work,
                divisors, probabilities,
            )
    free(work.memory)
    free(divisors)
    return 0


cdef int check_segments(
    const Py_ssize_t[::1] offsets,
    const Py_ssize_t[::1] sentence,
    const Py_ssize_t[::1] first,
    const Py_ssize_t[::1] last,
    const int32_t[::1] path,
    const Py_ssize_t[::1] path_offsets,
    const int32_t[::1] not_next,
    Py_ssize_t n_probabilities,
    Py_ssize_t c,
) except -1:
    cdef Py_ssize_t s, m = sentence.shape[0], n = offsets.shape[0] - 1, place = 0
    if first.shape[0] != m or last.shape[0] != m or not_next.shape[0] != m or n_probabilities != m:
        raise ValueError(f"first, last, not_next and probabilities must have {m} values, one a segment")
    if path_offsets.shape[0] != m + 1 or path_offsets[0] != 0 or path_offsets[m] != path.shape[0]:
        raise ValueError(
            f"path_offsets must have {m + 1} values, from 0 to the number of tags in path, {path.shape[0]}"
        )
    for s in range(m):
        if sentence[s] < 0 or sentence[s] >= n:
            raise ValueError(f"segment {s} is in sentence {sentence[s]}, but there are {n} sentences")
        if not 0 <= first[s] < last[s] <= offsets[sentence[s] + 1] - offsets[sentence[s]]:
            raise ValueError(
                f"segment {s} goes from token {first[s]} to {last[s]}, but it must have at least one token "
                f"and sentence {sentence[s]} has {offsets[sentence[s] + 1] - offsets[sentence[s]]}"
            )
        place += last[s] - first[s]
        if path_offsets[s + 1] != place:
            raise ValueError(
                f"segment {s} has {last[s] - first[s]} tokens, so its tags must end at {place} of path, but "
                f"path_offsets has {path_offsets[s + 1]}"
            )
        if not_next[s] < -1 or not_next[s] >= c:
            raise ValueError(f"not_next is {not_next[s]} for segment {s}, but it must be a tag or -1")
    check_tags(path, c)
    return 0


cdef inline void add_to_list(Py_ssize_t *head, Py_ssize_t *others, Py_ssize_t s) noexcept nogil:
    """Put s before the others of a list."""
    others[s] = head[0]
    head[0] = s


def crf_path_probabilities(
    const floating[:, ::1] emissions,      # IN   (t, c)
    const floating[:, ::1] transitions,    # IN   (c, c) from row to column
    const floating[::1] start,             # IN   (c,)
    const floating[::1] stop,              # IN   (c,)
    const uint8_t[::1] allowed_start,      # IN   (c,) 0 where a sentence must not start so
    const uint8_t[:, ::1] allowed,         # IN   (c, c) 0 where the column must not follow the row
    const uint8_t[::1] allowed_stop,       # IN   (c,) 0 where a sentence must not end so
    const Py_ssize_t[::1] offsets,         # IN   (n + 1,)
    const Py_ssize_t[::1] sentence,        # IN   (m,) the sentence of each segment
    const Py_ssize_t[::1] first,           # IN   (m,) first token, counted from the start of the sentence
    const Py_ssize_t[::1] last,            # IN   (m,) the token after the last one
    const int32_t[::1] path,               # IN   tags of the segments, end to end
    const Py_ssize_t[::1] path_offsets,    # IN   (m + 1,)
    const int32_t[::1] not_next,           # IN   (m,) tag that must not follow the segment, or -1
    double[::1] probabilities,             # OUT  (m,)
    int n_threads=1,
):
    """P(tags of tokens first to last - 1 are the given ones and the next tag is not `not_next`).

    Among the allowed paths of the sentence, by forward-backward with the segment held fixed.
    """
    cdef Py_ssize_t t = emissions.shape[0], c = emissions.shape[1], n = offsets.shape[0] - 1
    cdef Py_ssize_t m = sentence.shape[0], piece, s, i, n_pieces = count_pieces(n, t, c)
    cdef Chain chain
    cdef Segments segments
    cdef Py_ssize_t *lists
    cdef int failed = 0
    check_batch(emissions, transitions, start, stop, offsets)
    check_segments(offsets, sentence, first, last, path, path_offsets, not_next, probabilities.shape[0], c)
    check_masks(allowed_start, allowed, allowed_stop, offsets, c)
    if m == 0:
        return
    if make_chain(&chain, c, &transitions[0, 0], &start[0], &stop[0], &allowed_start[0], &allowed[0, 0],
                  &allowed_stop[0], False):
        raise MemoryError(f"no memory for the transitions of {c} tags")
    segments.first, segments.last, segments.path = &first[0], &last[0], &path[0]
    segments.path_offsets, segments.not_next = &path_offsets[0], &not_next[0]
    lists = <Py_ssize_t *>malloc(2 * (t + m) * sizeof(Py_ssize_t))
    segments.beginning, segments.ending = lists, lists + t
    segments.other_beginning, segments.other_ending = lists + 2 * t, lists + 2 * t + m
    try:
        if lists == NULL:
            raise MemoryError(f"no memory for the lists of {m} segments")
        for i in range(2 * t):
            lists[i] = -1
        for s in range(m):
            i = offsets[sentence[s]]
            add_to_list(segments.beginning + i + first[s], segments.other_beginning, s)
            add_to_list(segments.ending + i + last[s] - 1, segments.other_ending, s)
        for piece in prange(n_pieces, nogil=True, schedule="dynamic", chunksize=1,
                            num_threads=team_size(n_threads, <double>t * c * (EXP_COST + 2 * c * CELL_COST))):
            failed += segments_piece(
                &chain, &emissions[0, 0], &offsets[0], piece_start(&offsets[0], n, piece, n_pieces),
                piece_start(&offsets[0], n, piece + 1, n_pieces), &segments, &probabilities[0],
            )
    finally:
        free(lists)
        free(chain.memory)
    if failed:
        raise MemoryError(f"no memory for the rows of {t} tokens with {c} tags")
