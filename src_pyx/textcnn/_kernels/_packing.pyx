"""Packed batches: texts end to end in one array of ids, with the offsets of their starts."""

from cython cimport floating
from libc.stdint cimport int32_t
from libc.string cimport memcpy


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


def scatter_sums(
    const floating[:, :] values,         # IN   (m, d) with adjacent columns
    const int32_t[::1] slots,            # IN   (m,)
    floating[:, ::1] out,                # OUT  (u, d)
):
    """out[s] = sum over the rows i with slots[i] = s of values[i], in order."""
    cdef Py_ssize_t i, c, m = values.shape[0], d = values.shape[1]
    cdef const floating *value
    cdef floating *total
    if slots.shape[0] != m or out.shape[1] != d:
        raise ValueError(f"{m} rows of {d} values need {m} slots and results of {d} columns")
    if m and d and values.strides[1] != <Py_ssize_t>sizeof(floating):
        raise ValueError("the columns of the values must be adjacent")
    for i in range(m):
        if slots[i] < 0 or slots[i] >= out.shape[0]:
            raise ValueError(f"row {i} belongs to row {slots[i]} of {out.shape[0]}")
    out[:] = 0
    if d == 0:
        return
    with nogil:
        for i in range(m):
            value = &values[i, 0]
            total = &out[slots[i], 0]
            for c in range(d):
                total[c] += value[c]
