"""Scores that are sums over a window of tokens, each of which adds some rows of a table, and their gradient.

A row has a part for each place in the window: the part for place j counts at the token that has the row's own
token at that place, of which the first is (width - 1) // 2 tokens before it. Tokens outside the sentence add
nothing.
"""

from cython cimport floating
from cython.parallel cimport prange, threadid
from libc.stdint cimport int32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from textcnn._kernels._offsets cimport check_offsets
from textcnn._kernels._openmp cimport team_size
from textcnn._kernels._simd cimport active_table, simd_table, weighted_sum

cdef enum:
    # About what an addition costs, in multiply-add operations: it waits for memory.
    GATHER_COST = 8
    # Places of a window at most; products of sizes then stay far from overflow.
    MAX_WIDTH = 1 << 20


cdef int check_windows(
    const int32_t[:, ::1] rows, const Py_ssize_t[::1] offsets, Py_ssize_t width, Py_ssize_t n_rows,
    Py_ssize_t n_columns, Py_ssize_t n_tokens, Py_ssize_t n_outputs,
) except -1:
    cdef Py_ssize_t t, k
    check_offsets(offsets, "offsets", rows.shape[0])
    if n_tokens != rows.shape[0]:
        raise ValueError(f"there are rows for {rows.shape[0]} tokens, but scores for {n_tokens}")
    if not 1 <= width <= MAX_WIDTH:
        raise ValueError(f"width is {width}, but it must lie between 1 and {MAX_WIDTH}")
    if n_columns != width * n_outputs:
        raise ValueError(f"{width} places of {n_outputs} scores do not fit rows of {n_columns} columns")
    for t in range(rows.shape[0]):
        for k in range(rows.shape[1]):
            if rows[t, k] < 0 or rows[t, k] >= n_rows:
                raise ValueError(f"row {rows[t, k]} of {n_rows} does not exist")
    return 0


def window_scores(
    const floating[:, ::1] table,        # IN      (v, width * f) score q of place j in column j * f + q
    const int32_t[:, ::1] rows,          # IN      (t, k) of each token
    const Py_ssize_t[::1] offsets,       # IN      (n + 1,)
    Py_ssize_t width,
    bint add,
    floating[:, ::1] out,                # IN/OUT  (t, f)
    int n_threads=1,
):
    """out[t, q] = sum over j and k of table[rows[t - (width - 1) // 2 + j, k], (j, q)], in order.

    With `add` the sum goes on from what `out` holds.
    """
    cdef const simd_table *simd = active_table()
    cdef Py_ssize_t i, most = max(1, width * rows.shape[1])
    cdef const floating **picked
    cdef floating *ones
    cdef int team
    check_windows(rows, offsets, width, table.shape[0], table.shape[1], out.shape[0], out.shape[1])
    if out.shape[0] == 0 or out.shape[1] == 0:
        return
    team = team_size(n_threads, <double>out.shape[0] * most * out.shape[1] * GATHER_COST)
    picked = <const floating **>malloc(team * most * sizeof(floating *))
    ones = <floating *>malloc(most * sizeof(floating))
    try:
        if picked == NULL or ones == NULL:
            raise MemoryError(f"no memory for windows of {most} rows")
        for i in range(most):
            ones[i] = 1
        for i in prange(offsets.shape[0] - 1, schedule="dynamic", chunksize=4, num_threads=team, nogil=True):
            score_sentence(simd, table, rows, offsets[i], offsets[i + 1], width, add, out,
                           picked + threadid() * most, ones)
    finally:
        free(picked)
        free(ones)


cdef void score_sentence(
    const simd_table *simd,
    const floating[:, ::1] table,
    const int32_t[:, ::1] rows,
    Py_ssize_t begin,
    Py_ssize_t end,
    Py_ssize_t width,
    bint add,
    floating[:, ::1] out,
    const floating **picked,             # scratch (width * k,)
    const floating *ones,                # (width * k,)
) noexcept nogil:
    cdef Py_ssize_t t, at, k, first, count, f = out.shape[1]
    for t in range(begin, end):
        first = t - (width - 1) // 2
        count = 0
        for at in range(max(begin, first), min(end, first + width)):
            for k in range(rows.shape[1]):
                picked[count] = &table[rows[at, k], (at - first) * f]
                count += 1
        weighted_sum(simd, count, picked, ones, add, f, &out[t, 0])


def window_gradient(
    const floating[:, ::1] d_out,        # IN      (t, f)
    const int32_t[:, ::1] rows,          # IN      (t, k) of each token
    const Py_ssize_t[::1] offsets,       # IN      (n + 1,)
    Py_ssize_t width,
    Py_ssize_t fixed,                    # row that needs no gradient, or -1
    int32_t[::1] marks,                  # IN/OUT  (v,) all -1 before and after
    int32_t[::1] found,                  # OUT     (at least min(t * k, v),) the distinct rows
    floating[:, ::1] d_rows,             # OUT     (at least min(t * k, v), width * f) their gradient
):
    """The gradient of the table of `window_scores`; returns the number of distinct rows.

    They come in the order of their first appearance, and the sums run in the order of the batch.
    """
    cdef Py_ssize_t count, most = min(rows.shape[0] * rows.shape[1], marks.shape[0])
    cdef floating *window
    check_windows(rows, offsets, width, marks.shape[0], d_rows.shape[1], d_out.shape[0], d_out.shape[1])
    if found.shape[0] < most or d_rows.shape[0] < most:
        raise ValueError(f"there is no room for {most} distinct rows and their gradient")
    window = <floating *>malloc(max(1, d_rows.shape[1]) * sizeof(floating))
    try:
        if window == NULL:
            raise MemoryError(f"no memory for a window of {d_rows.shape[1]} columns")
        with nogil:
            count = add_windows(d_out, rows, offsets, width, fixed, marks, found, d_rows, window)
    finally:
        free(window)
    return count


cdef Py_ssize_t add_windows(
    const floating[:, ::1] d_out,
    const int32_t[:, ::1] rows,
    const Py_ssize_t[::1] offsets,
    Py_ssize_t width,
    Py_ssize_t fixed,
    int32_t[::1] marks,
    int32_t[::1] found,
    floating[:, ::1] d_rows,
    floating *window,                    # scratch (width * f,)
) noexcept nogil:
    cdef Py_ssize_t i, t, k, c, count = 0, d = d_rows.shape[1]
    cdef int32_t row
    cdef floating *total
    for i in range(offsets.shape[0] - 1):
        for t in range(offsets[i], offsets[i + 1]):
            if d:
                window_around(d_out, t, offsets[i], offsets[i + 1], width, window)
            for k in range(rows.shape[1]):
                row = rows[t, k]
                if row == fixed:
                    continue
                if marks[row] < 0:
                    marks[row] = <int32_t>count
                    found[count] = row
                    if d:
                        memcpy(&d_rows[count, 0], window, d * sizeof(floating))
                    count += 1
                elif d:
                    total = &d_rows[marks[row], 0]
                    for c in range(d):
                        total[c] += window[c]
    for i in range(count):
        marks[found[i]] = -1
    return count


cdef void window_around(
    const floating[:, ::1] d_out, Py_ssize_t t, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t width,
    floating *window,                    # OUT  (width * f,)
) noexcept nogil:
    """The gradients of the scores at which the rows of token t count, place by place."""
    cdef Py_ssize_t j, at, f = d_out.shape[1]
    for j in range(width):
        at = t + (width - 1) // 2 - j
        if begin <= at < end:
            memcpy(window + j * f, &d_out[at, 0], f * sizeof(floating))
        else:
            memset(window + j * f, 0, f * sizeof(floating))
