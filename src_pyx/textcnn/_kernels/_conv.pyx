"""Convolution over token embeddings, ReLU and max over time, forward and backward.

A filter of width w over embeddings is a sum of w rows of projected tokens, so each distinct token is
projected once (``projected = rows @ weights.T``, one matrix product) and the convolution gathers
and adds. Neither the convolution's output nor a dense gradient of it is ever stored: the gradient of
the maximum reaches one window for each text and filter.

Notation, shared by all functions here
    n texts, t tokens, m distinct tokens, d embedding dimensions, f filters of each width,
    n_out = n_widths * f, r = f * sum(kernel_sizes).
    weights (r, d) : the block of width i starts at row f * sum(kernel_sizes[:i]);
                     row block + j * f + q is tap j of the filter q of that width.
    pads (n_widths, 2) : positions of zero padding to the left and right of every text.
    A text of n > 0 tokens has max(1, n + left + right - w + 1) windows; window p starts at token
    p - left; taps outside the text are left out. An empty text has no window.
"""

from cython cimport floating
from cython.parallel cimport parallel, prange, threadid
from libc.stdint cimport int32_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from textcnn._kernels._openmp cimport team_size
from textcnn._kernels._scratch cimport borrow, give_back
from textcnn._kernels._simd cimport (
    TEXTCNN_NO_WINDOW,
    active_table,
    conv_max,
    simd_table,
    weighted_sum,
)

cdef extern from "_atomic.h" nogil:
    bint row_is_ready(const uint8_t *state)
    bint claim_row(uint8_t *state)
    void publish_row(uint8_t *state)

NO_WINDOW = TEXTCNN_NO_WINDOW

# About what an addition in the gather and an entry times a number of its row cost, in multiply-add
# operations of a matrix product: both wait for memory.
cdef enum:
    GATHER_COST = 8
    SPARSE_COST = 2

# Limit of widths, padding, filters and tokens of one text: no product or sum of them overflows.
cdef enum:
    MAX_SIZE = 1 << 29


cdef inline Py_ssize_t count_windows(Py_ssize_t n_tokens, Py_ssize_t width, Py_ssize_t pad) noexcept nogil:
    return max(<Py_ssize_t>1, n_tokens + pad - width + 1) if n_tokens > 0 else 0


cdef Py_ssize_t check_layout(
    const Py_ssize_t[::1] kernel_sizes,
    const Py_ssize_t[:, ::1] pads,
    Py_ssize_t n_filters,
) except -1:
    """Check widths and padding; return the number of weight rows r."""
    cdef Py_ssize_t i, total = 0
    if pads.shape[0] != kernel_sizes.shape[0] or pads.shape[1] != 2:
        raise ValueError(f"pads is ({pads.shape[0]}, {pads.shape[1]}) for {kernel_sizes.shape[0]} widths")
    if not 0 <= n_filters <= MAX_SIZE:
        raise ValueError(f"n_filters is {n_filters}")
    for i in range(kernel_sizes.shape[0]):
        if not (1 <= kernel_sizes[i] <= MAX_SIZE and 0 <= pads[i, 0] <= MAX_SIZE
                and 0 <= pads[i, 1] <= MAX_SIZE):
            raise ValueError(f"width {kernel_sizes[i]} with padding ({pads[i, 0]}, {pads[i, 1]})")
        total += kernel_sizes[i]
    if total > MAX_SIZE:
        raise ValueError(f"the kernel sizes add up to {total}, more than {MAX_SIZE}")
    return total * n_filters


cdef int check_packed(
    const int32_t[::1] slots,
    const Py_ssize_t[::1] offsets,
    Py_ssize_t n_slots,
) except -1:
    """Check a packed batch: offsets rise from 0 to the number of tokens, slots are in range."""
    cdef Py_ssize_t i, n = offsets.shape[0] - 1
    if n < 0 or offsets[0] != 0 or offsets[n] != slots.shape[0]:
        raise ValueError(f"offsets must start with 0 and end with the number of tokens, {slots.shape[0]}")
    for i in range(n):
        if offsets[i] > offsets[i + 1]:
            raise ValueError(f"offsets fall from {offsets[i]} to {offsets[i + 1]} at text {i}")
        if offsets[i + 1] - offsets[i] > MAX_SIZE:
            raise ValueError(f"text {i} has {offsets[i + 1] - offsets[i]} tokens, more than {MAX_SIZE}")
    for i in range(slots.shape[0]):
        if slots[i] < 0 or slots[i] >= n_slots:
            raise ValueError(f"token {i} points to row {slots[i]} of {n_slots}")
    return 0


def conv_max_forward(
    const floating[:, ::1] projected,      # IN   (m, r)
    const floating[::1] bias,              # IN   (n_out,)
    const int32_t[::1] slots,              # IN   (t,) row of `projected` of each token
    const Py_ssize_t[::1] offsets,         # IN   (n + 1,)
    const Py_ssize_t[::1] kernel_sizes,    # IN   (n_widths,)
    const Py_ssize_t[:, ::1] pads,         # IN   (n_widths, 2)
    Py_ssize_t n_filters,
    bint relu,
    floating[:, ::1] out,                  # OUT  (n, n_out)
    int32_t[:, ::1] argmax,                # OUT  (n, n_out)
    int n_threads=1,
):
    """out[i, q] = max over windows p of bias[q] + sum_j projected[slot of token p - left + j, row (j, q)].

    With `relu`, max(0, .). argmax is the start p - left of the first window that attains the maximum,
    NO_WINDOW where there is none or where ReLU gave 0.
    """
    cdef Py_ssize_t n_widths = kernel_sizes.shape[0]
    cdef Py_ssize_t n_rows = check_layout(kernel_sizes, pads, n_filters)
    cdef Py_ssize_t n = offsets.shape[0] - 1, t = slots.shape[0]
    check_packed(slots, offsets, projected.shape[0])
    if projected.shape[1] != n_rows or bias.shape[0] != n_widths * n_filters:
        raise ValueError(
            f"projected ({projected.shape[0]}, {projected.shape[1]}) and bias ({bias.shape[0]},) do not "
            f"fit {n_rows} weight rows and {n_widths * n_filters} filters"
        )
    if (out.shape[0] != n or argmax.shape[0] != n or out.shape[1] != n_widths * n_filters
            or argmax.shape[1] != n_widths * n_filters):
        raise ValueError(f"out and argmax must be ({n}, {n_widths * n_filters})")
    if n == 0 or n_widths * n_filters == 0:
        return

    cdef const floating **rows = <const floating **>malloc(max(1, t) * sizeof(floating *))
    cdef Py_ssize_t k
    if rows == NULL:
        raise MemoryError(f"no memory for the row pointers of {t} tokens")
    with nogil:
        for k in range(t):
            rows[k] = &projected[0, 0] + slots[k] * n_rows
        conv_max_texts(rows, bias, offsets, kernel_sizes, pads, n_filters, relu, out, argmax,
                       team_size(n_threads, <double>t * n_rows * GATHER_COST))
    free(rows)


cdef void conv_max_texts(
    const floating **rows,                 # IN   (t,) projected row of each token
    const floating[::1] bias,
    const Py_ssize_t[::1] offsets,
    const Py_ssize_t[::1] kernel_sizes,
    const Py_ssize_t[:, ::1] pads,
    Py_ssize_t n_filters,
    bint relu,
    floating[:, ::1] out,                  # OUT  (n, n_out)
    int32_t[:, ::1] argmax,                # OUT  (n, n_out)
    int n_threads,
) noexcept nogil:
    """Share out the texts and widths among the threads."""
    cdef const simd_table *table = active_table()
    cdef Py_ssize_t n_widths = kernel_sizes.shape[0], n = offsets.shape[0] - 1
    cdef Py_ssize_t task, i, w, n_tokens
    for task in prange(n * n_widths, schedule="dynamic", chunksize=4, num_threads=n_threads):
        i = task // n_widths
        w = task % n_widths
        n_tokens = offsets[i + 1] - offsets[i]
        if n_tokens == 0:
            empty_text(n_filters, &out[i, w * n_filters], &argmax[i, w * n_filters])
        else:
            conv_max(
                table, rows + offsets[i], n_tokens, kernel_sizes[w], pads[w, 0],
                count_windows(n_tokens, kernel_sizes[w], pads[w, 0] + pads[w, 1]), n_filters,
                first_row(kernel_sizes, w) * n_filters, n_filters, &bias[w * n_filters], relu,
                &out[i, w * n_filters], &argmax[i, w * n_filters],
            )


cdef void empty_text(Py_ssize_t n_filters, floating *out, int32_t *argmax) noexcept nogil:
    cdef Py_ssize_t q
    for q in range(n_filters):
        out[q] = 0
        argmax[q] = TEXTCNN_NO_WINDOW


def look_up_rows(
    const int32_t[::1] ids,                # IN   (t,)
    const uint8_t[::1] state,              # IN   (n_cached,) of the cache's rows
    int32_t[::1] missing,                  # OUT  (t,) positions of tokens whose row is not there
):
    """Number of tokens whose projected row is not in the cache."""
    cdef Py_ssize_t k, count = 0
    if missing.shape[0] < ids.shape[0]:
        raise ValueError(f"there is room for {missing.shape[0]} of {ids.shape[0]} tokens")
    with nogil:
        for k in range(ids.shape[0]):
            if not (0 <= ids[k] < state.shape[0] and row_is_ready(&state[ids[k]])):
                missing[count] = <int32_t>k
                count += 1
    return count


def store_rows(
    const int32_t[::1] ids,                # IN      (k,) distinct
    const float[:, ::1] rows,              # IN      (k, r)
    float[:, ::1] cached,                  # IN/OUT  (n_cached, r)
    uint8_t[::1] state,                    # IN/OUT  (n_cached,)
):
    """Copy the rows of ids below n_cached into the cache, except those that another thread fills."""
    cdef Py_ssize_t k, r = cached.shape[1]
    if rows.shape[0] != ids.shape[0] or rows.shape[1] != r or state.shape[0] != cached.shape[0]:
        raise ValueError(f"rows must be ({ids.shape[0]}, {r})")
    with nogil:
        for k in range(ids.shape[0]):
            if 0 <= ids[k] < state.shape[0] and claim_row(&state[ids[k]]):
                memcpy(&cached[ids[k], 0], &rows[k, 0], r * sizeof(float))
                publish_row(&state[ids[k]])


def conv_max_cached(
    const float[:, ::1] cached,            # IN   (n_cached, r)
    const float[:, ::1] extra,             # IN   (k, r) rows of this batch that are not in the cache
    const int32_t[::1] slots,              # IN   (t,) row of `cached`, or n_cached + row of `extra`
    const float[::1] bias,                 # IN   (n_out,)
    const Py_ssize_t[::1] offsets,         # IN   (n + 1,)
    const Py_ssize_t[::1] kernel_sizes,    # IN   (n_widths,)
    const Py_ssize_t[:, ::1] pads,         # IN   (n_widths, 2)
    Py_ssize_t n_filters,
    float[:, ::1] out,                     # OUT  (n, n_out)
    int32_t[:, ::1] argmax,                # OUT  (n, n_out)
    int n_threads=1,
    bint relu=True,
):
    """`conv_max_forward` on projected rows from two places."""
    cdef Py_ssize_t n_out = kernel_sizes.shape[0] * n_filters
    cdef Py_ssize_t n_rows = check_layout(kernel_sizes, pads, n_filters)
    cdef Py_ssize_t n = offsets.shape[0] - 1, t = slots.shape[0], n_cached = cached.shape[0], k
    check_packed(slots, offsets, n_cached + extra.shape[0])
    if cached.shape[1] != n_rows or extra.shape[1] != n_rows or bias.shape[0] != n_out:
        raise ValueError(f"cached and extra must have {n_rows} columns, and bias ({n_out},)")
    if out.shape[0] != n or argmax.shape[0] != n or out.shape[1] != n_out or argmax.shape[1] != n_out:
        raise ValueError(f"out and argmax must be ({n}, {n_out})")
    if n == 0 or n_out == 0:
        return
    cdef const float **rows = <const float **>malloc(max(1, t) * sizeof(float *))
    if rows == NULL:
        raise MemoryError(f"no memory for the row pointers of {t} tokens")
    with nogil:
        for k in range(t):
            if slots[k] < n_cached:
                rows[k] = &cached[0, 0] + slots[k] * n_rows
            else:
                rows[k] = &extra[0, 0] + (slots[k] - n_cached) * n_rows
        conv_max_texts[float](rows, bias, offsets, kernel_sizes, pads, n_filters, relu, out, argmax,
                              team_size(n_threads, <double>t * n_rows * GATHER_COST))
    free(rows)


def conv_max_backward(
    const floating[:, ::1] d_out,          # IN   (n, n_out)
    const int32_t[:, ::1] argmax,          # IN   (n, n_out) of the forward pass
    const floating[:, ::1] rows,           # IN   (m, d) embeddings of the distinct tokens
    const floating[:, :] weights,          # IN   (r, d2) the columns whose embeddings are trained
    const int32_t[::1] slots,              # IN   (t,)
    const Py_ssize_t[::1] offsets,         # IN   (n + 1,)
    const Py_ssize_t[::1] kernel_sizes,    # IN   (n_widths,)
    const Py_ssize_t[:, ::1] pads,         # IN   (n_widths, 2)
    Py_ssize_t n_filters,
    floating[:, ::1] d_weights,            # OUT  (r, d)
    floating[::1] d_bias,                  # OUT  (n_out,)
    floating[:, ::1] d_rows=None,          # OUT  (m, d2) or None
    int n_threads=1,
):
    """Gradients of `conv_max_forward` with ``projected = rows @ weights.T``.

    With G = d loss / d projected, which has one entry d_out[i, q] for each text i, filter q and tap j
    inside the text, in the row of the token at argmax[i, q] + j:
    d_weights = G' rows and d_rows = G weights.

    A thread owns the filters (d_weights) or the tokens (d_rows) that it adds to; the order of every
    sum is given by the batch alone. Entries with d_out = 0 cost nothing.
    """
    cdef Py_ssize_t n_widths = kernel_sizes.shape[0]
    cdef Py_ssize_t n_rows = check_layout(kernel_sizes, pads, n_filters)
    cdef Py_ssize_t n_out = n_widths * n_filters, n = offsets.shape[0] - 1
    check_packed(slots, offsets, rows.shape[0])
    if d_out.shape[0] != n or argmax.shape[0] != n or d_out.shape[1] != n_out or argmax.shape[1] != n_out:
        raise ValueError(f"d_out and argmax must be ({n}, {n_out})")
    if d_weights.shape[0] != n_rows or d_weights.shape[1] != rows.shape[1] or d_bias.shape[0] != n_out:
        raise ValueError(f"d_weights must be ({n_rows}, {rows.shape[1]}) and d_bias ({n_out},)")
    if d_rows is not None:
        if weights.shape[0] != n_rows or weights.strides[1] != <Py_ssize_t>sizeof(floating):
            raise ValueError(f"weights must have {n_rows} rows with adjacent columns")
        if d_rows.shape[0] != rows.shape[0] or d_rows.shape[1] != weights.shape[1]:
            raise ValueError(f"d_rows must be ({rows.shape[0]}, {weights.shape[1]})")
    if n_out == 0:
        if d_rows is not None:
            d_rows[:] = 0
        return
    weight_gradient(d_out, argmax, rows, slots, offsets, kernel_sizes, n_filters, d_weights, d_bias,
                    n_threads)
    if d_rows is not None:
        row_gradient(d_out, argmax, weights, slots, offsets, kernel_sizes, n_filters, d_rows, n_threads)


cdef int weight_gradient(
    const floating[:, ::1] d_out,
    const int32_t[:, ::1] argmax,
    const floating[:, ::1] rows,
    const int32_t[::1] slots,
    const Py_ssize_t[::1] offsets,
    const Py_ssize_t[::1] kernel_sizes,
    Py_ssize_t n_filters,
    floating[:, ::1] d_weights,
    floating[::1] d_bias,
    int n_threads,
) except -1:
    """d_weights[row (j, q)] = sum over texts of d_out[i, q] * rows[token at argmax[i, q] + j]."""
    cdef Py_ssize_t n = offsets.shape[0] - 1, n_out = d_out.shape[1], q
    cdef int team = team_size(n_threads, <double>n * d_weights.shape[0] * rows.shape[1] * SPARSE_COST)
    # each thread's entries of one tap: n embedding rows and their factors
    cdef const floating **picked = <const floating **>malloc(max(1, team * n) * sizeof(floating *))
    cdef floating *values = <floating *>malloc(max(1, team * n) * sizeof(floating))
    if picked == NULL or values == NULL:
        free(picked)
        free(values)
        raise MemoryError(f"no memory for the gradient of {n} texts")
    for q in prange(n_out, schedule="static", num_threads=team, nogil=True):
        filter_gradient(
            q, d_out, argmax, rows, slots, offsets, kernel_sizes, n_filters, d_weights, d_bias,
            picked + threadid() * n, values + threadid() * n,
        )
    free(picked)
    free(values)
    return 0


cdef void filter_gradient(
    Py_ssize_t q,
    const floating[:, ::1] d_out,
    const int32_t[:, ::1] argmax,
    const floating[:, ::1] rows,
    const int32_t[::1] slots,
    const Py_ssize_t[::1] offsets,
    const Py_ssize_t[::1] kernel_sizes,
    Py_ssize_t n_filters,
    floating[:, ::1] d_weights,
    floating[::1] d_bias,
    const floating **picked,           # scratch (n,)
    floating *values,                  # scratch (n,)
) noexcept nogil:
    """The gradients of filter q: its bias and its taps."""
    cdef const simd_table *table = active_table()
    cdef Py_ssize_t n = offsets.shape[0] - 1, d = rows.shape[1], w = q // n_filters
    cdef Py_ssize_t row = first_row(kernel_sizes, w) * n_filters + q % n_filters
    cdef Py_ssize_t i, j, at, count
    d_bias[q] = 0
    for i in range(n):
        if argmax[i, q] != TEXTCNN_NO_WINDOW:
            d_bias[q] += d_out[i, q]
    if d == 0:
        return
    for j in range(kernel_sizes[w]):
        count = 0
        for i in range(n):
            at = <Py_ssize_t>argmax[i, q] + j
            if d_out[i, q] != 0 and 0 <= at < offsets[i + 1] - offsets[i]:
                picked[count] = &rows[0, 0] + slots[offsets[i] + at] * d
                values[count] = d_out[i, q]
                count += 1
        weighted_sum(table, count, picked, values, False, d, &d_weights[row + j * n_filters, 0])


cdef inline Py_ssize_t first_row(const Py_ssize_t[::1] kernel_sizes, Py_ssize_t w) noexcept nogil:
    """Sum of the kernel sizes before width w."""
    cdef Py_ssize_t i, total = 0
    for i in range(w):
        total += kernel_sizes[i]
    return total


cdef int row_gradient(
    const floating[:, ::1] d_out,
    const int32_t[:, ::1] argmax,
    const floating[:, :] weights,
    const int32_t[::1] slots,
    const Py_ssize_t[::1] offsets,
    const Py_ssize_t[::1] kernel_sizes,
    Py_ssize_t n_filters,
    floating[:, ::1] d_rows,
    int n_threads,
) except -1:
    """d_rows[u] = sum over the entries of G in row u of d_out[i, q] * weights[row (j, q)].

    First the entries of each text are sorted by token, then each distinct token adds those of its
    occurrences, in the order of the batch.
    """
    cdef const simd_table *table = active_table()
    cdef Py_ssize_t n = offsets.shape[0] - 1, t = slots.shape[0], m = d_rows.shape[0]
    cdef Py_ssize_t n_rows = weights.shape[0], d = d_rows.shape[1], i, u, o, token
    # entries of token k of the batch: [starts[k], starts[k] + counts[k])
    cdef const floating **picked = <const floating **>borrow(n * n_rows * sizeof(floating *))
    cdef floating *values = <floating *>borrow(n * n_rows * sizeof(floating))
    cdef Py_ssize_t *starts = <Py_ssize_t *>malloc(max(1, t) * sizeof(Py_ssize_t))
    cdef Py_ssize_t *counts = <Py_ssize_t *>malloc(max(1, t) * sizeof(Py_ssize_t))
    # occurrences of slot u: occurrences[first[u]], ..., occurrences[first[u + 1] - 1]
    cdef Py_ssize_t *first = <Py_ssize_t *>malloc((m + 2) * sizeof(Py_ssize_t))
    cdef Py_ssize_t *occurrences = <Py_ssize_t *>malloc(max(1, t) * sizeof(Py_ssize_t))
    cdef int team = team_size(n_threads, <double>n * n_rows * d * SPARSE_COST)
    cdef bint resume
    try:
        if (picked == NULL or values == NULL or starts == NULL or counts == NULL or first == NULL
                or occurrences == NULL):
            raise MemoryError(f"no memory for the gradient of {t} tokens")
        if d == 0:
            return 0
        with nogil:
            index_occurrences(slots, m, first, occurrences)
            with parallel(num_threads=team):
                for i in prange(n, schedule="static"):
                    sort_entries(
                        &d_out[i, 0], &argmax[i, 0], &weights[0, 0],
                        weights.strides[0] // <Py_ssize_t>sizeof(floating), kernel_sizes, n_filters,
                        offsets[i + 1] - offsets[i], i * n_rows, picked, values, starts + offsets[i],
                        counts + offsets[i],
                    )
                for u in prange(m, schedule="dynamic", chunksize=16):
                    resume = False
                    for o in range(first[u], first[u + 1]):
                        token = occurrences[o]
                        if counts[token] > 0:
                            weighted_sum(table, counts[token], picked + starts[token],
                                         values + starts[token], resume, d, &d_rows[u, 0])
                            resume = True
                    if not resume:
                        weighted_sum(table, 0, picked, values, False, d, &d_rows[u, 0])
    finally:
        give_back(picked)
        give_back(values)
        free(starts)
        free(counts)
        free(first)
        free(occurrences)
    return 0


cdef void index_occurrences(
    const int32_t[::1] slots,
    Py_ssize_t m,
    Py_ssize_t *first,
    Py_ssize_t *occurrences,
) noexcept nogil:
    """Counting sort of the token positions by slot."""
    cdef Py_ssize_t k, u
    for u in range(m + 2):
        first[u] = 0
    for k in range(slots.shape[0]):
        first[slots[k] + 2] += 1
    for u in range(2, m + 2):
        first[u] += first[u - 1]
    for k in range(slots.shape[0]):  # first[u + 1] walks from the start of slot u to its end
        occurrences[first[slots[k] + 1]] = k
        first[slots[k] + 1] += 1


cdef void sort_entries(
    const floating *d_out,             # IN   (n_out,) of one text
    const int32_t *argmax,             # IN   (n_out,)
    const floating *weights,           # IN   (r, .)
    Py_ssize_t weight_stride,
    const Py_ssize_t[::1] kernel_sizes,
    Py_ssize_t n_filters,
    Py_ssize_t n_tokens,
    Py_ssize_t base,                   # the text's first place in `picked` and `values`
    const floating **picked,           # OUT
    floating *values,                  # OUT
    Py_ssize_t *starts,                # OUT  (n_tokens,)
    Py_ssize_t *counts,                # OUT  (n_tokens,)
) noexcept nogil:
    """Counting sort of one text's entries (weight row, gradient) by token."""
    cdef Py_ssize_t w, j, q, k, at, row, place
    cdef floating g
    for k in range(n_tokens):
        counts[k] = 0
    for w in range(kernel_sizes.shape[0]):
        for q in range(w * n_filters, (w + 1) * n_filters):
            if d_out[q] != 0:
                for j in range(kernel_sizes[w]):
                    at = <Py_ssize_t>argmax[q] + j
                    if 0 <= at < n_tokens:
                        counts[at] += 1
    for k in range(n_tokens):
        starts[k] = base
        base += counts[k]
        counts[k] = 0
    row = 0
    for w in range(kernel_sizes.shape[0]):
        for q in range(n_filters):
            g = d_out[w * n_filters + q]
            if g != 0:
                for j in range(kernel_sizes[w]):
                    at = <Py_ssize_t>argmax[w * n_filters + q] + j
                    if 0 <= at < n_tokens:
                        place = starts[at] + counts[at]
                        picked[place] = weights + (row + j * n_filters + q) * weight_stride
                        values[place] = g
                        counts[at] += 1
        row += kernel_sizes[w] * n_filters


# ---- convolution over projected tokens, one result a token ----------------------------------------


cdef int check_same(
    Py_ssize_t n_columns,
    Py_ssize_t kernel_size,
    Py_ssize_t n_filters,
    Py_ssize_t n_tokens,
    Py_ssize_t n_out_rows,
    Py_ssize_t n_out_columns,
) except -1:
    if not (1 <= kernel_size <= MAX_SIZE and n_filters <= MAX_SIZE):
        raise ValueError(f"the kernel size is {kernel_size}, for {n_filters} filters")
    if n_columns != kernel_size * n_filters:
        raise ValueError(f"projected rows have {n_columns} columns, not {kernel_size} times {n_filters}")
    if n_out_rows != n_tokens or n_out_columns != n_filters:
        raise ValueError(
            f"the results are ({n_out_rows}, {n_out_columns}), but they must be ({n_tokens}, {n_filters})"
        )
    return 0


def conv_same_forward(
    const floating[:, ::1] projected,      # IN   (m, k * f) tap j of filter q at column j * f + q
    const floating[::1] bias,              # IN   (f,)
    const int32_t[::1] slots,              # IN   (t,) row of `projected` of each token
    const Py_ssize_t[::1] offsets,         # IN   (n + 1,)
    Py_ssize_t kernel_size,
    bint relu,
    floating[:, ::1] out,                  # OUT  (t, f)
    int n_threads=1,
):
    """out[t, q] = bias[q] + sum_j projected[slot of token t - (k - 1) // 2 + j, (j, q)], then ReLU if asked.

    Taps outside the sentence are left out ("same" padding with zeros).
    """
    cdef const simd_table *table = active_table()
    cdef Py_ssize_t f = bias.shape[0], t = slots.shape[0], n = offsets.shape[0] - 1, i
    check_packed(slots, offsets, projected.shape[0])
    check_same(projected.shape[1], kernel_size, f, t, out.shape[0], out.shape[1])
    if t == 0 or f == 0:
        return
    cdef int team = team_size(n_threads, <double>t * kernel_size * f * GATHER_COST)
    cdef const floating **rows = <const floating **>malloc(team * (kernel_size + 1) * sizeof(floating *))
    cdef floating *ones = <floating *>malloc((kernel_size + 1) * sizeof(floating))
    if rows == NULL or ones == NULL:
        free(rows)
        free(ones)
        raise MemoryError(f"no memory for {kernel_size} taps")
    for i in range(kernel_size + 1):
        ones[i] = 1
    for i in prange(n, schedule="dynamic", chunksize=4, num_threads=team, nogil=True):
        same_sentence(table, projected, bias, slots, offsets[i], offsets[i + 1], kernel_size, relu, out,
                      rows + threadid() * (kernel_size + 1), ones)
    free(rows)
    free(ones)


cdef void same_sentence(
    const simd_table *table,
    const floating[:, ::1] projected,
    const floating[::1] bias,
    const int32_t[::1] slots,
    Py_ssize_t begin,
    Py_ssize_t end,
    Py_ssize_t kernel_size,
    bint relu,
    floating[:, ::1] out,
    const floating **rows,                 # scratch (k + 1,)
    const floating *ones,                  # (k + 1,)
) noexcept nogil:
    cdef Py_ssize_t t, j, at, count, q, f = bias.shape[0]
    for t in range(begin, end):
        rows[0] = &bias[0]
        count = 1
        for j in range(kernel_size):
            at = t - (kernel_size - 1) // 2 + j
            if begin <= at < end:
                rows[count] = &projected[slots[at], j * f]
                count += 1
        weighted_sum(table, count, rows, ones, False, f, &out[t, 0])
        if relu:
            for q in range(f):
                out[t, q] = 0 if out[t, q] < 0 else out[t, q]  # NaN stays


def conv_same_backward(
    const floating[:, ::1] d_out,          # IN   (t, f)
    const int32_t[::1] slots,              # IN   (t,)
    const Py_ssize_t[::1] offsets,         # IN   (n + 1,)
    Py_ssize_t kernel_size,
    floating[:, ::1] d_projected,          # OUT  (m, k * f)
    int n_threads=1,
):
    """d_projected[u, (j, q)] = sum over the tokens t with slot u of d_out[t + (k - 1) // 2 - j, q].

    For the gradient before a ReLU. A thread owns the rows u; the sums run in the order of the batch.
    """
    cdef Py_ssize_t m = d_projected.shape[0], f = d_out.shape[1], t = slots.shape[0], u, i, most = 1
    check_packed(slots, offsets, m)
    check_same(d_projected.shape[1], kernel_size, f, t, d_out.shape[0], f)
    if m == 0 or f == 0:
        return
    cdef const simd_table *table = active_table()
    cdef int team = team_size(n_threads, <double>t * kernel_size * f * GATHER_COST)
    cdef Py_ssize_t *first = <Py_ssize_t *>malloc((m + 2) * sizeof(Py_ssize_t))
    cdef Py_ssize_t *occurrences = <Py_ssize_t *>malloc(max(1, t) * sizeof(Py_ssize_t))
    cdef Py_ssize_t *sentences = <Py_ssize_t *>malloc(max(1, t) * sizeof(Py_ssize_t))
    cdef const floating **rows = NULL
    cdef floating *ones = NULL
    try:
        if first == NULL or occurrences == NULL or sentences == NULL:
            raise MemoryError(f"no memory for the gradient of {t} tokens")
        for i in range(offsets.shape[0] - 1):
            for u in range(offsets[i], offsets[i + 1]):
                sentences[u] = i
        index_occurrences(slots, m, first, occurrences)
        for u in range(m):
            most = max(most, first[u + 1] - first[u])
        rows = <const floating **>malloc(team * most * sizeof(floating *))
        ones = <floating *>malloc(most * sizeof(floating))
        if rows == NULL or ones == NULL:
            raise MemoryError(f"no memory for the gradient of {t} tokens")
        for i in range(most):
            ones[i] = 1
        for u in prange(m, schedule="dynamic", chunksize=16, num_threads=team, nogil=True):
            same_row_gradient(table, d_out, offsets, kernel_size, occurrences + first[u],
                              first[u + 1] - first[u], sentences, &d_projected[u, 0],
                              rows + threadid() * most, ones)
    finally:
        free(first)
        free(occurrences)
        free(sentences)
        free(rows)
        free(ones)


cdef void same_row_gradient(
    const simd_table *table,
    const floating[:, ::1] d_out,
    const Py_ssize_t[::1] offsets,
    Py_ssize_t kernel_size,
    const Py_ssize_t *occurrences,         # IN   (n_occurrences,) tokens with the row's slot
    Py_ssize_t n_occurrences,
    const Py_ssize_t *sentences,           # IN   (t,) sentence of each token
    floating *d_row,                       # OUT  (k * f,)
    const floating **rows,                 # scratch (n_occurrences,)
    const floating *ones,
) noexcept nogil:
    cdef Py_ssize_t j, o, at, sentence, count, f = d_out.shape[1]
    for j in range(kernel_size):
        count = 0
        for o in range(n_occurrences):
            at = occurrences[o] + (kernel_size - 1) // 2 - j
            sentence = sentences[occurrences[o]]
            if offsets[sentence] <= at < offsets[sentence + 1]:
                rows[count] = &d_out[at, 0]
                count += 1
        weighted_sum(table, count, rows, ones, False, f, d_row + j * f)
