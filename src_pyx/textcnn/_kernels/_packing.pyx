"""Packed batches: texts end to end in one array of ids, with the offsets of their starts."""

from cython cimport floating
from cython.parallel cimport prange, threadid
from libc.stdint cimport int32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from textcnn._kernels._openmp cimport team_size
from textcnn._kernels._simd cimport active_table, simd_table, weighted_sum

# About what an addition in the gather costs, in multiply-add operations: it waits for memory.
cdef enum:
    GATHER_COST = 8


def take_texts(
    const int32_t[::1] ids,              # IN   (t,)
    const Py_ssize_t[::1] offsets,       # IN   (n + 1,)
    const Py_ssize_t[::1] index,         # IN   (k,) texts to take, in this order
    int32_t[::1] out_ids,                # OUT  (number of their tokens,)
    Py_ssize_t[::1] out_offsets,         # OUT  (k + 1,)
):
    """The texts `index` of a packed batch as a packed batch."""
    cdef Py_ssize_t i, length, done = 0, n = offsets.shape[0] - 1
    if n < 0 or out_offsets.shape[0] != index.shape[0] + 1:
        raise ValueError(f"{index.shape[0]} texts need {index.shape[0] + 1} offsets")
    for i in range(index.shape[0]):
        if index[i] < 0 or index[i] >= n:
            raise ValueError(f"text {index[i]} of {n} does not exist")
        if not 0 <= offsets[index[i]] <= offsets[index[i] + 1] <= ids.shape[0]:
            raise ValueError(f"the offsets of text {index[i]} lie outside the {ids.shape[0]} tokens")
        done += offsets[index[i] + 1] - offsets[index[i]]
    if done != out_ids.shape[0]:
        raise ValueError(f"the texts have {done} tokens, but there is room for {out_ids.shape[0]}")
    done = 0
    with nogil:
        for i in range(index.shape[0]):
            length = offsets[index[i] + 1] - offsets[index[i]]
            out_offsets[i] = done
            if length > 0:
                memcpy(&out_ids[done], &ids[offsets[index[i]]], length * sizeof(int32_t))
            done += length
        out_offsets[index.shape[0]] = done


def distinct(
    const int32_t[::1] ids,              # IN      (t,)
    int32_t[::1] marks,                  # IN/OUT  (vocabulary,) all -1 before and after
    int32_t[::1] distinct_out,           # OUT     (at least min(t, vocabulary),)
    int32_t[::1] slots,                  # OUT     (t,) place of each token in distinct_out
):
    """The distinct ids in the order of their first appearance; returns their number."""
    cdef Py_ssize_t k, count = 0, t = ids.shape[0]
    if slots.shape[0] != t or distinct_out.shape[0] < min(t, marks.shape[0]):
        raise ValueError(f"{t} tokens need as many slots and room for {min(t, marks.shape[0])} ids")
    for k in range(t):
        if ids[k] < 0 or ids[k] >= marks.shape[0]:
            raise ValueError(f"token {k} has id {ids[k]}, but there are {marks.shape[0]} ids")
    with nogil:
        for k in range(t):
            if marks[ids[k]] < 0:
                marks[ids[k]] = <int32_t>count
                distinct_out[count] = ids[k]
                count += 1
            slots[k] = marks[ids[k]]
        for k in range(count):
            marks[distinct_out[k]] = -1
    return count


def gather_sums(
    const floating[:, ::1] table,        # IN   (v, d)
    const int32_t[:, ::1] rows,          # IN   (m, k)
    floating[:, ::1] out,                # OUT  (m, d)
    int n_threads=1,
):
    """out[i] = sum over j of table[rows[i, j]], in order."""
    cdef const simd_table *simd = active_table()
    cdef Py_ssize_t i, j, m = rows.shape[0], k = rows.shape[1], d = table.shape[1], v = table.shape[0]
    cdef const floating **picked
    cdef floating *ones
    cdef int team = team_size(n_threads, <double>m * k * d * GATHER_COST)
    if out.shape[0] != m or out.shape[1] != d:
        raise ValueError(f"the sums are ({out.shape[0]}, {out.shape[1]}), but they must be ({m}, {d})")
    for i in range(m):
        for j in range(k):
            if rows[i, j] < 0 or rows[i, j] >= v:
                raise ValueError(f"row {rows[i, j]} of {v} does not exist")
    if m == 0 or d == 0:
        return
    picked = <const floating **>malloc(team * max(<Py_ssize_t>1, k) * sizeof(floating *))
    ones = <floating *>malloc(max(<Py_ssize_t>1, k) * sizeof(floating))
    if picked == NULL or ones == NULL:
        free(picked)
        free(ones)
        raise MemoryError(f"no memory for sums of {k} rows")
    for j in range(k):
        ones[j] = 1
    for i in prange(m, schedule="static", num_threads=team, nogil=True):
        gather_row(simd, table, rows, i, picked + threadid() * max(<Py_ssize_t>1, k), ones, &out[i, 0])
    free(picked)
    free(ones)


cdef void gather_row(
    const simd_table *simd,
    const floating[:, ::1] table,
    const int32_t[:, ::1] rows,
    Py_ssize_t i,
    const floating **picked,
    const floating *ones,
    floating *out,
) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(rows.shape[1]):
        picked[j] = &table[rows[i, j], 0]
    weighted_sum(simd, rows.shape[1], picked, ones, False, table.shape[1], out)


def scatter_sums(
    const floating[:, :] values,         # IN   (m, d) with adjacent columns
    const int32_t[:, ::1] slots,         # IN   (m, k)
    floating[:, ::1] out,                # OUT  (u, d)
):
    """out[s] = sum over the rows i, as often as slots[i] has s, of values[i], in order."""
    cdef Py_ssize_t i, j, c, m = values.shape[0], d = values.shape[1]
    cdef const floating *value
    cdef floating *total
    if slots.shape[0] != m or out.shape[1] != d:
        raise ValueError(f"{m} rows of {d} values need {m} rows of slots and results of {d} columns")
    if m and d and values.strides[1] != <Py_ssize_t>sizeof(floating):
        raise ValueError("the columns of the values must be adjacent")
    for i in range(m):
        for j in range(slots.shape[1]):
            if slots[i, j] < 0 or slots[i, j] >= out.shape[0]:
                raise ValueError(f"row {i} belongs to row {slots[i, j]} of {out.shape[0]}")
    out[:] = 0
    if d == 0:
        return
    with nogil:
        for i in range(m):
            value = &values[i, 0]
            for j in range(slots.shape[1]):
                total = &out[slots[i, j], 0]
                for c in range(d):
                    total[c] += value[c]
