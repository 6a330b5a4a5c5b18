"""Pooling over ranges of rows of a packed batch.

A range w is the rows starts[w]:ends[w]. Sliding windows, whole texts and the bins of a pyramid are all
such ranges, so that there is one kernel for each way to pool. Ranges may overlap and may be empty.

Forward, a piece of work is some ranges, and some channels when there are few ranges. Backward, a piece owns
the rows, or the channels of the texts, that it adds to, and goes through the ranges in their order: the split
changes no result.
"""

from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport INFINITY, fabs, pow, sqrt
from libc.stdint cimport int32_t
from libc.stdlib cimport free, malloc

from textcnn._kernels._offsets cimport ceil_div
from textcnn._kernels._openmp cimport team_size
from textcnn._kernels._simd cimport active_table, add_squares, weighted_sum

# About what one element costs, in multiply-add operations of a matrix product: it waits for memory.
cdef enum:
    ELEMENT_COST = 16
    POWER_COST = 400

# Channels with running values in the first-level cache; numbers of a cache line; rows of a
# backward piece; rows that are added in float32.
cdef enum:
    BLOCK = 256
    LINE = 16
    ROWS = 32
    GROUP = 128

# A second type beside `floating`.
ctypedef fused result_t:
    float
    double


cdef struct Split:
    Py_ssize_t units       # ranges, or texts, of a piece
    Py_ssize_t channels    # channels of a piece, at most BLOCK
    Py_ssize_t n_blocks    # pieces side by side along the channels
    Py_ssize_t n_pieces


cdef Split split(Py_ssize_t n_units, Py_ssize_t n_channels) noexcept nogil:
    """About 64 pieces, or one a unit; few units are split along the channels too, in whole cache lines."""
    cdef Split result
    cdef Py_ssize_t n_groups, wanted
    result.units = max(<Py_ssize_t>1, n_units // 64)
    n_groups = ceil_div(n_units, result.units)
    wanted = ceil_div(n_channels, max(<Py_ssize_t>1, 16 // max(<Py_ssize_t>1, n_groups)))
    result.channels = max(<Py_ssize_t>1, min(<Py_ssize_t>BLOCK, ceil_div(wanted, LINE) * LINE))
    result.n_blocks = ceil_div(n_channels, result.channels)
    result.n_pieces = n_groups * result.n_blocks
    return result


cdef double check_ranges(
    const Py_ssize_t[::1] starts, const Py_ssize_t[::1] ends, Py_ssize_t n_rows,
) except -1:
    """Number of rows in all ranges together."""
    cdef Py_ssize_t w
    cdef double total = 0
    if ends.shape[0] != starts.shape[0]:
        raise ValueError(f"there are {starts.shape[0]} starts, but {ends.shape[0]} ends")
    for w in range(starts.shape[0]):
        if not 0 <= starts[w] <= ends[w] <= n_rows:
            raise ValueError(f"range {w} is {starts[w]}:{ends[w]}, but there are {n_rows} rows")
        total += ends[w] - starts[w]
    return total


def check_shape(name, found, expected):
    if found != expected:
        raise ValueError(f"{name} is {found}, but must be {expected}")


# ---- maximum ------------------------------------------------------------------------------------


def max_forward(
    const floating[:, ::1] x,            # IN   (t, c)
    const Py_ssize_t[::1] starts,        # IN   (m,)
    const Py_ssize_t[::1] ends,          # IN   (m,)
    const Py_ssize_t[::1] origins,       # IN   (m,) row from which positions are counted
    floating[:, ::1] out,                # OUT  (m, c)
    Py_ssize_t[:, ::1] argmax,           # OUT  (m, c)
    int n_threads=1,
):
    """out[w, j] = max of x[starts[w]:ends[w], j], and argmax its row less origins[w].

    An empty range gives 0 and -1. The first of equal maxima counts. NaN is above everything.
    """
    cdef Py_ssize_t piece, m = starts.shape[0], c = x.shape[1]
    cdef int team
    cdef double n = check_ranges(starts, ends, x.shape[0])
    cdef Split s = split(m, c)
    check_shape("origins", origins.shape[0], m)
    check_shape("out", (out.shape[0], out.shape[1]), (m, c))
    check_shape("argmax", (argmax.shape[0], argmax.shape[1]), (m, c))
    if m == 0 or c == 0:
        return
    team = team_size(n_threads, (n + m) * c * ELEMENT_COST)
    for piece in prange(s.n_pieces, nogil=True, schedule="static", num_threads=team):
        max_piece(x, starts, ends, origins, s, piece, out, argmax)


cdef void max_piece(
    const floating[:, ::1] x,
    const Py_ssize_t[::1] starts,
    const Py_ssize_t[::1] ends,
    const Py_ssize_t[::1] origins,
    Split s,
    Py_ssize_t piece,
    floating[:, ::1] out,
    Py_ssize_t[:, ::1] argmax,
) noexcept nogil:
    cdef Py_ssize_t w, c = x.shape[1]
    cdef Py_ssize_t first = piece // s.n_blocks * s.units, channel = piece % s.n_blocks * s.channels
    cdef Py_ssize_t last = min(first + s.units, starts.shape[0]), width = min(s.channels, c - channel)
    for w in range(first, last):
        if starts[w] == ends[w]:
            fill(&out[w, channel], width, <floating>0)
            fill(&argmax[w, channel], width, <Py_ssize_t>-1)
        else:
            max_range(&x[starts[w], channel], c, ends[w] - starts[w], starts[w] - origins[w], width,
                      &out[w, channel], &argmax[w, channel])


ctypedef fused filled:
    float
    double
    Py_ssize_t


cdef inline void fill(filled *out, Py_ssize_t n, filled value) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        out[j] = value


cdef void max_range(
    const floating *x,
    Py_ssize_t row_stride,
    Py_ssize_t n_rows,
    Py_ssize_t position,
    Py_ssize_t width,
    floating *out,
    Py_ssize_t *argmax,
) noexcept nogil:
    cdef floating best[BLOCK]
    cdef floating value
    cdef int32_t at[BLOCK]
    cdef int32_t above
    cdef Py_ssize_t i, j, from_row = 0, n
    cdef const floating *row
    for j in range(width):
        best[j] = x[j]
        argmax[j] = position
    while from_row < n_rows:  # positions in 32 bits, as wide as a float, for as long as they fit
        n = min(n_rows - from_row, <Py_ssize_t>1 << 30)
        for j in range(width):
            at[j] = -1
        for i in range(n):
            row = x + (from_row + i) * row_stride
            for j in range(width):
                value = row[j]
                # Not "value > best", which would lose a NaN; and nothing displaces a NaN.
                above = (not value <= best[j]) & (best[j] == best[j])
                best[j] = value if above else best[j]
                at[j] = <int32_t>i if above else at[j]
        for j in range(width):
            if at[j] >= 0:
                argmax[j] = position + from_row + at[j]
        from_row += n
    for j in range(width):
        out[j] = best[j]


def max_backward(
    const floating[:, ::1] d_out,            # IN   (m, c)
    const Py_ssize_t[:, ::1] argmax,         # IN   (m, c) rows of the text, or -1
    const Py_ssize_t[::1] out_offsets,       # IN   (n + 1,) rows of d_out of each text
    const Py_ssize_t[::1] offsets,           # IN   (n + 1,) rows of d_x of each text
    floating[:, ::1] d_x,                    # OUT  (t, c)
    int n_threads=1,
):
    """d_x[offsets[i] + r, j] = sum of d_out[w, j] over the rows w of text i with argmax[w, j] == r."""
    cdef Py_ssize_t piece, m = d_out.shape[0], c = d_out.shape[1], n = offsets.shape[0] - 1
    cdef int team
    cdef Py_ssize_t n_outside = 0
    cdef Split s = split(n, c)
    check_shape("argmax", (argmax.shape[0], argmax.shape[1]), (m, c))
    check_shape("out_offsets", out_offsets.shape[0], offsets.shape[0])
    check_shape("columns of d_x", d_x.shape[1], c)
    check_ranges(offsets[:n], offsets[1:], d_x.shape[0])
    check_ranges(out_offsets[:n], out_offsets[1:], m)
    if n < 0 or offsets[0] != 0 or offsets[n] != d_x.shape[0]:
        raise ValueError(f"the offsets do not cover the {d_x.shape[0]} rows")
    if n == 0 or c == 0:
        return
    team = team_size(n_threads, (<double>m + d_x.shape[0]) * c * ELEMENT_COST)
    for piece in prange(s.n_pieces, nogil=True, schedule="static", num_threads=team):
        n_outside += max_backward_piece(d_out, argmax, out_offsets, offsets, s, piece, d_x)
    if n_outside:
        raise ValueError(f"{n_outside} values of argmax lie outside their text; they must be its rows, or -1")


cdef Py_ssize_t max_backward_piece(
    const floating[:, ::1] d_out,
    const Py_ssize_t[:, ::1] argmax,
    const Py_ssize_t[::1] out_offsets,
    const Py_ssize_t[::1] offsets,
    Split s,
    Py_ssize_t piece,
    floating[:, ::1] d_x,
) noexcept nogil:
    cdef Py_ssize_t i, w, j, row, length, n_outside = 0, c = d_x.shape[1]
    cdef Py_ssize_t first = piece // s.n_blocks * s.units, channel = piece % s.n_blocks * s.channels
    cdef Py_ssize_t last = min(first + s.units, offsets.shape[0] - 1), width = min(s.channels, c - channel)
    cdef floating *target
    cdef const floating *gradient
    cdef const Py_ssize_t *at
    for i in range(first, last):
        length = offsets[i + 1] - offsets[i]
        for row in range(length):
            fill(&d_x[offsets[i] + row, channel], width, <floating>0)
        target = &d_x[offsets[i], channel] if length else NULL  # an empty text may stand behind the last row
        for w in range(out_offsets[i], out_offsets[i + 1]):
            gradient = &d_out[w, channel]
            at = &argmax[w, channel]
            for j in range(width):
                row = at[j]
                if 0 <= row < length:
                    target[row * c + j] += gradient[j]
                elif row != -1:
                    n_outside += 1
    return n_outside


# ---- weighted sums ------------------------------------------------------------------------------


def sum_forward(
    const floating[:, ::1] x,                # IN   (t, c)
    const Py_ssize_t[::1] starts,            # IN   (m,)
    const Py_ssize_t[::1] ends,              # IN   (m,)
    const double[::1] scales,                # IN   (m,)
    const double[::1] weights,               # IN   (k,), or (0,) for weights of 1
    const Py_ssize_t[::1] shifts,            # IN   (m,) row r of range w has weights[r - shifts[w]]
    floating[:, ::1] out,                    # OUT  (m, c)
    int n_threads=1,
):
    """out[w, j] = scales[w] * sum over rows r of range w of weights[r - shifts[w]] * x[r, j]."""
    cdef Py_ssize_t piece, m = starts.shape[0], c = x.shape[1]
    cdef int team
    cdef double n = check_ranges(starts, ends, x.shape[0])
    cdef Split s = split(m, c)
    check_shape("scales", scales.shape[0], m)
    if weights.shape[0]:
        check_weights(starts, ends, shifts, weights.shape[0])
    check_shape("out", (out.shape[0], out.shape[1]), (m, c))
    if m == 0 or c == 0:
        return
    team = team_size(n_threads, (n + m) * c * ELEMENT_COST)
    for piece in prange(s.n_pieces, nogil=True, schedule="static", num_threads=team):
        sum_piece(x, starts, ends, scales, weights, shifts, s, piece, out)


cdef int check_weights(
    const Py_ssize_t[::1] starts,
    const Py_ssize_t[::1] ends,
    const Py_ssize_t[::1] shifts,
    Py_ssize_t k,
) except -1:
    cdef Py_ssize_t w
    check_shape("shifts", shifts.shape[0], starts.shape[0])
    for w in range(starts.shape[0]):
        if starts[w] < ends[w] and not (shifts[w] <= starts[w] and ends[w] - shifts[w] <= k):
            raise ValueError(f"range {w} needs weights {starts[w] - shifts[w]}:{ends[w] - shifts[w]} of {k}")
    return 0


cdef void sum_piece(
    const floating[:, ::1] x,
    const Py_ssize_t[::1] starts,
    const Py_ssize_t[::1] ends,
    const double[::1] scales,
    const double[::1] weights,
    const Py_ssize_t[::1] shifts,
    Split s,
    Py_ssize_t piece,
    floating[:, ::1] out,
) noexcept nogil:
    cdef Py_ssize_t w, c = x.shape[1]
    cdef Py_ssize_t first = piece // s.n_blocks * s.units, channel = piece % s.n_blocks * s.channels
    cdef Py_ssize_t last = min(first + s.units, starts.shape[0]), width = min(s.channels, c - channel)
    cdef const double *taps
    for w in range(first, last):
        if starts[w] == ends[w]:
            fill(&out[w, channel], width, <floating>0)
        else:
            taps = &weights[starts[w] - shifts[w]] if weights.shape[0] else NULL
            sum_range(&x[starts[w], channel], c, ends[w] - starts[w], taps, scales[w], width,
                      &out[w, channel])


cdef void sum_range(
    const floating *x,
    Py_ssize_t row_stride,
    Py_ssize_t n_rows,
    const double *weights,
    double scale,
    Py_ssize_t width,
    floating *out,
) noexcept nogil:
    cdef double total[BLOCK]
    cdef Py_ssize_t i, j
    fill(total, width, <double>0)
    if weights == NULL:
        add_rows(x, row_stride, n_rows, width, total)
    else:
        for i in range(n_rows):
            for j in range(width):
                total[j] += weights[i] * x[i * row_stride + j]
    for j in range(width):
        out[j] = <floating>(scale * total[j])


cdef void add_rows(
    const floating *x, Py_ssize_t row_stride, Py_ssize_t n_rows, Py_ssize_t width, double *total,
) noexcept nogil:
    """Many rows in groups that are summed in their own type, few in double.

    A column that overflows its type is summed again in double, and no other: its neighbours in a block
    depend on the batch.
    """
    cdef Py_ssize_t i, j
    if n_rows < 8:
        for i in range(n_rows):
            for j in range(width):
                total[j] += x[i * row_stride + j]
        return
    for i in range(ceil_div(n_rows, GROUP)):
        add_group(x + i * GROUP * row_stride, row_stride, min(n_rows - i * GROUP, <Py_ssize_t>GROUP), width,
                  total)
    for j in range(width):
        if not fabs(total[j]) < INFINITY:
            total[j] = 0
            for i in range(n_rows):
                total[j] += x[i * row_stride + j]


cdef void add_group(
    const floating *x, Py_ssize_t row_stride, Py_ssize_t n_rows, Py_ssize_t width, double *total,
) noexcept nogil:
    cdef const floating *rows[GROUP]
    cdef floating ones[GROUP]
    cdef floating part[BLOCK]
    cdef Py_ssize_t i, j
    for i in range(n_rows):
        rows[i] = x + i * row_stride
        ones[i] = 1
    weighted_sum(active_table(), n_rows, rows, ones, False, width, part)
    for j in range(width):
        total[j] += part[j]


def sum_backward(
    const floating[:, ::1] d_out,            # IN   (m, c)
    const Py_ssize_t[::1] starts,            # IN   (m,)
    const Py_ssize_t[::1] ends,              # IN   (m,)
    const double[::1] scales,                # IN   (m,)
    const double[::1] weights,               # IN   (k,), or (0,) for weights of 1
    const Py_ssize_t[::1] shifts,            # IN   (m,) as in `sum_forward`
    floating[:, ::1] d_x,                    # OUT  (t, c)
    int n_threads=1,
):
    """d_x[r, j] = sum over the ranges w with row r of scales[w] * weights[r - shifts[w]] * d_out[w, j]."""
    cdef Py_ssize_t n_pieces, piece, m = starts.shape[0], c = d_x.shape[1]
    cdef int team
    cdef double n = check_ranges(starts, ends, d_x.shape[0])
    cdef Py_ssize_t *bounds
    check_shape("scales", scales.shape[0], m)
    if weights.shape[0]:
        check_weights(starts, ends, shifts, weights.shape[0])
    check_shape("d_out", (d_out.shape[0], d_out.shape[1]), (m, c))
    if d_x.shape[0] == 0 or c == 0:
        return
    bounds = ranges_of_pieces(starts, ends, d_x.shape[0])
    n_pieces = ceil_div(d_x.shape[0], ROWS)
    team = team_size(n_threads, (n + d_x.shape[0]) * c * ELEMENT_COST)
    for piece in prange(n_pieces, nogil=True, schedule="static", num_threads=team):
        sum_backward_piece(d_out, starts, ends, scales, weights, shifts, bounds, piece, d_x)
    free(bounds)


cdef Py_ssize_t *ranges_of_pieces(
    const Py_ssize_t[::1] starts, const Py_ssize_t[::1] ends, Py_ssize_t n_rows,
) except NULL:
    """First and last + 1 range that reaches into each piece of ROWS rows; to be freed by the caller."""
    cdef Py_ssize_t w, piece, n_pieces = ceil_div(n_rows, ROWS)
    cdef Py_ssize_t *bounds = <Py_ssize_t *>malloc(2 * max(<Py_ssize_t>1, n_pieces) * sizeof(Py_ssize_t))
    if bounds == NULL:
        raise MemoryError(f"no memory for the ranges of {n_pieces} pieces")
    for piece in range(n_pieces):
        bounds[2 * piece] = bounds[2 * piece + 1] = 0
    for w in range(starts.shape[0]):
        for piece in range(starts[w] // ROWS, ceil_div(ends[w], ROWS) if ends[w] > starts[w] else 0):
            if bounds[2 * piece + 1] == 0:
                bounds[2 * piece] = w
            bounds[2 * piece + 1] = w + 1
    return bounds


cdef void sum_backward_piece(
    const floating[:, ::1] d_out,
    const Py_ssize_t[::1] starts,
    const Py_ssize_t[::1] ends,
    const double[::1] scales,
    const double[::1] weights,
    const Py_ssize_t[::1] shifts,
    const Py_ssize_t *bounds,
    Py_ssize_t piece,
    floating[:, ::1] d_x,
) noexcept nogil:
    cdef Py_ssize_t w, row, begin, end, c = d_x.shape[1]
    cdef Py_ssize_t first = piece * ROWS, last = min(first + ROWS, d_x.shape[0])
    cdef Py_ssize_t written = first        # the rows before it
    cdef floating weight
    for w in range(bounds[2 * piece], bounds[2 * piece + 1]):
        begin, end = max(first, starts[w]), min(last, ends[w])
        for row in range(begin, end):
            weight = <floating>(scales[w] * weights[row - shifts[w]] if weights.shape[0] else scales[w])
            if row < written:
                add_scaled(&d_out[w, 0], weight, c, &d_x[row, 0])
            else:
                fill(&d_x[written, 0], (row - written) * c, <floating>0)
                set_scaled(&d_out[w, 0], weight, c, &d_x[row, 0])
                written = row + 1
    if written < last:
        fill(&d_x[written, 0], (last - written) * c, <floating>0)


cdef inline void set_scaled(const floating *x, floating scale, Py_ssize_t n, floating *out) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        out[j] = 0 + scale * x[j]  # -0 becomes 0, as in a sum that begins with 0


cdef inline void add_scaled(const floating *x, floating scale, Py_ssize_t n, floating *out) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        out[j] += scale * x[j]


def weights_backward(
    const floating[:, ::1] d_out,            # IN   (m, c)
    const floating[:, ::1] x,                # IN   (t, c)
    const Py_ssize_t[::1] starts,            # IN   (m,)
    const Py_ssize_t[::1] ends,              # IN   (m,)
    const Py_ssize_t[::1] shifts,            # IN   (m,) as in `sum_forward`
    double[:, ::1] parts,                    # OUT  (any number of parts, k)
    int n_threads=1,
):
    """Gradient of the weights of `sum_forward` with scales of 1, in parts that the caller adds.

    Together d_weights[i] = sum over w and j of d_out[w, j] * x[shifts[w] + i, j].
    """
    cdef Py_ssize_t part, m = starts.shape[0], c = x.shape[1], n_parts = parts.shape[0], k = parts.shape[1]
    cdef double n = check_ranges(starts, ends, x.shape[0])
    check_shape("d_out", (d_out.shape[0], d_out.shape[1]), (m, c))
    check_weights(starts, ends, shifts, k)
    if k == 0 or c == 0:
        parts[:] = 0
        return
    for part in prange(n_parts, nogil=True, num_threads=team_size(n_threads, n * c * ELEMENT_COST)):
        weights_backward_part(d_out, x, starts, ends, shifts, part, parts)


cdef void weights_backward_part(
    const floating[:, ::1] d_out,
    const floating[:, ::1] x,
    const Py_ssize_t[::1] starts,
    const Py_ssize_t[::1] ends,
    const Py_ssize_t[::1] shifts,
    Py_ssize_t part,
    double[:, ::1] parts,
) noexcept nogil:
    cdef Py_ssize_t w, row, each = ceil_div(starts.shape[0], parts.shape[0])
    fill(&parts[part, 0], parts.shape[1], <double>0)
    for w in range(part * each, min((part + 1) * each, starts.shape[0])):
        for row in range(starts[w], ends[w]):
            parts[part, row - shifts[w]] += dot(&d_out[w, 0], &x[row, 0], x.shape[1])


cdef double dot(const floating *a, const floating *b, Py_ssize_t n) noexcept nogil:
    """In eight sums side by side, so that an addition need not wait for the one before."""
    cdef double sums[8]
    cdef Py_ssize_t i, j, full = n - n % 8
    for j in range(8):
        sums[j] = 0
    for i in range(0, full, 8):
        for j in range(8):
            sums[j] += <double>a[i + j] * b[i + j]
    for i in range(full, n):
        sums[i - full] += <double>a[i] * b[i]
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]))


# ---- norms --------------------------------------------------------------------------------------


def lp_forward(
    const floating[:, ::1] x,            # IN   (t, c)
    const Py_ssize_t[::1] starts,        # IN   (m,)
    const Py_ssize_t[::1] ends,          # IN   (m,)
    double p,                            # IN   at least 1
    result_t[:, ::1] out,                # OUT  (m, c)
    int n_threads=1,
):
    """out[w, j] = (sum over rows r of range w of |x[r, j]| ** p) ** (1 / p)."""
    cdef Py_ssize_t piece, m = starts.shape[0], c = x.shape[1]
    cdef int team
    cdef double n = check_ranges(starts, ends, x.shape[0])
    cdef double cost = ELEMENT_COST if p == 1 or p == 2 else POWER_COST
    cdef Split s = split(m, c)
    check_exponent(p)
    check_shape("out", (out.shape[0], out.shape[1]), (m, c))
    if m == 0 or c == 0:
        return
    team = team_size(n_threads, (n + m) * c * cost)
    for piece in prange(s.n_pieces, nogil=True, schedule="static", num_threads=team):
        lp_piece(x, starts, ends, p, s, piece, out)


cdef int check_exponent(double p) except -1:
    if not 1 <= p < INFINITY:
        raise ValueError(f"p is {p}, but must be a finite number of at least 1")
    return 0


cdef void lp_piece(
    const floating[:, ::1] x,
    const Py_ssize_t[::1] starts,
    const Py_ssize_t[::1] ends,
    double p,
    Split s,
    Py_ssize_t piece,
    result_t[:, ::1] out,
) noexcept nogil:
    cdef Py_ssize_t w, c = x.shape[1]
    cdef Py_ssize_t first = piece // s.n_blocks * s.units, channel = piece % s.n_blocks * s.channels
    cdef Py_ssize_t last = min(first + s.units, starts.shape[0]), width = min(s.channels, c - channel)
    for w in range(first, last):
        if starts[w] == ends[w]:
            fill(&out[w, channel], width, <result_t>0)
        else:
            lp_range(&x[starts[w], channel], c, ends[w] - starts[w], p, width, &out[w, channel])


cdef void lp_range(
    const floating *x,
    Py_ssize_t row_stride,
    Py_ssize_t n_rows,
    double p,
    Py_ssize_t width,
    result_t *out,
) noexcept nogil:
    cdef double unit[BLOCK]
    cdef double total[BLOCK]
    cdef Py_ssize_t i, j
    fill(total, width, <double>0)
    if floating is float and (p == 1 or p == 2):  # squares of floats fit in a double as they are
        fill(unit, width, <double>1)
        if p == 2:
            add_squares(active_table(), n_rows, x, row_stride, width, total)
        else:
            for i in range(n_rows):
                for j in range(width):
                    total[j] += fabs(x[i * row_stride + j])
    else:  # powers of |x| / max |x| neither overflow nor vanish
        largest(x, row_stride, n_rows, width, unit)
        for i in range(n_rows):
            add_scaled_power(x + i * row_stride, unit, p, width, total)
    for j in range(width):
        if p == 2:
            total[j] = sqrt(total[j])
        elif p != 1:
            total[j] = pow(total[j], 1 / p)
        out[j] = <result_t>(total[j] * unit[j])


cdef inline void add_scaled_power(
    const floating *x, const double *unit, double p, Py_ssize_t width, double *total,
) noexcept nogil:
    cdef Py_ssize_t j
    cdef double value
    if p == 1 or p == 2:
        for j in range(width):
            value = fabs(x[j] / unit[j])
            total[j] += value if p == 1 else value * value
    else:
        for j in range(width):
            total[j] += pow(fabs(x[j] / unit[j]), p)


cdef void largest(
    const floating *x, Py_ssize_t row_stride, Py_ssize_t n_rows, Py_ssize_t width, double *out,
) noexcept nogil:
    """Largest absolute value of each column; 1 where that is 0 or not finite, which a division would hide."""
    cdef Py_ssize_t i, j
    cdef double value
    for j in range(width):
        out[j] = 0
    for i in range(n_rows):
        for j in range(width):
            value = fabs(x[i * row_stride + j])
            out[j] = value if value > out[j] else out[j]
    for j in range(width):
        out[j] = out[j] if 0 < out[j] < INFINITY else 1


def lp_backward(
    const floating[:, ::1] d_out,            # IN   (m, c)
    const floating[:, ::1] x,                # IN   (t, c)
    const double[:, ::1] norms,              # IN   (m, c) result of `lp_forward`
    const Py_ssize_t[::1] starts,            # IN   (m,)
    const Py_ssize_t[::1] ends,              # IN   (m,)
    double p,                                # IN   at least 1
    floating[:, ::1] d_x,                    # OUT  (t, c)
    int n_threads=1,
):
    """d_x[r] = sum over ranges w with row r of d_out[w] * sign(x[r]) * (|x[r]| / norms[w]) ** (p - 1).

    Where the derivative is 0, as at a norm of 0, nothing is added, however large d_out is.
    """
    cdef Py_ssize_t n_pieces, piece, m = starts.shape[0], c = x.shape[1]
    cdef int team
    cdef double n = check_ranges(starts, ends, x.shape[0])
    cdef double cost = ELEMENT_COST if p == 1 or p == 2 else POWER_COST
    cdef Py_ssize_t *bounds
    check_exponent(p)
    check_shape("d_out", (d_out.shape[0], d_out.shape[1]), (m, c))
    check_shape("norms", (norms.shape[0], norms.shape[1]), (m, c))
    check_shape("d_x", (d_x.shape[0], d_x.shape[1]), (x.shape[0], c))
    if x.shape[0] == 0 or c == 0:
        return
    bounds = ranges_of_pieces(starts, ends, x.shape[0])
    n_pieces = ceil_div(x.shape[0], ROWS)
    team = team_size(n_threads, (n + x.shape[0]) * c * cost)
    for piece in prange(n_pieces, nogil=True, schedule="static", num_threads=team):
        lp_backward_piece(d_out, x, norms, starts, ends, p, bounds, piece, d_x)
    free(bounds)


cdef void lp_backward_piece(
    const floating[:, ::1] d_out,
    const floating[:, ::1] x,
    const double[:, ::1] norms,
    const Py_ssize_t[::1] starts,
    const Py_ssize_t[::1] ends,
    double p,
    const Py_ssize_t *bounds,
    Py_ssize_t piece,
    floating[:, ::1] d_x,
) noexcept nogil:
    cdef Py_ssize_t w, row, c = x.shape[1]
    cdef Py_ssize_t first = piece * ROWS, last = min(first + ROWS, x.shape[0])
    fill(&d_x[first, 0], (last - first) * c, <floating>0)
    for w in range(bounds[2 * piece], bounds[2 * piece + 1]):
        for row in range(max(first, starts[w]), min(last, ends[w])):
            lp_row_backward(&d_out[w, 0], &x[row, 0], &norms[w, 0], p, c, &d_x[row, 0])


cdef void lp_row_backward(
    const floating *d_out, const floating *x, const double *norms, double p, Py_ssize_t n, floating *d_x,
) noexcept nogil:
    cdef Py_ssize_t j
    cdef double ratio, product
    if p == 1:
        for j in range(n):
            ratio = (x[j] > 0) - (x[j] < 0)
            ratio = ratio if x[j] == x[j] else x[j]  # NaN stays
            product = d_out[j] * ratio
            d_x[j] += <floating>(product if ratio != 0 else 0)
    elif p == 2:
        for j in range(n):
            ratio = x[j] / (norms[j] if norms[j] != 0 else 1)
            product = d_out[j] * ratio
            d_x[j] += <floating>(product if ratio != 0 else 0)
    else:
        for j in range(n):
            ratio = fabs(x[j]) / (norms[j] if norms[j] != 0 else 1)
            ratio = pow(ratio, p - 1)
            product = d_out[j] * (ratio if x[j] >= 0 else -ratio)
            d_x[j] += <floating>(product if ratio != 0 else 0)


# ---- the k largest ------------------------------------------------------------------------------


def k_max_forward(
    const floating[:, ::1] x,                # IN   (t, c)
    const Py_ssize_t[::1] starts,            # IN   (m,)
    const Py_ssize_t[::1] ends,              # IN   (m,)
    const Py_ssize_t[::1] origins,           # IN   (m,) row from which positions are counted
    const Py_ssize_t[::1] places,            # IN   (m + 1,) rows of out that each range fills
    floating[:, ::1] out,                    # OUT  (places[m], c)
    Py_ssize_t[:, ::1] argmax,               # OUT  (places[m], c)
    int n_threads=1,
):
    """The k = places[w + 1] - places[w] largest of x[starts[w]:ends[w], j], in the order of their rows.

    Of equal ones the first count; NaN is above everything. Places left over get 0 and argmax -1.
    """
    cdef Py_ssize_t piece, m = starts.shape[0], c = x.shape[1], n_failed = 0
    cdef int team
    cdef double n = check_ranges(starts, ends, x.shape[0])
    cdef Split s = split(m, c)
    check_shape("origins", origins.shape[0], m)
    check_shape("places", places.shape[0], m + 1)
    check_ranges(places[:m], places[1:], out.shape[0])
    check_shape("out", (out.shape[0], out.shape[1]), (places[m], c))
    check_shape("argmax", (argmax.shape[0], argmax.shape[1]), (places[m], c))
    if m == 0 or c == 0 or out.shape[0] == 0:
        return
    team = team_size(n_threads, (n + out.shape[0]) * c * ELEMENT_COST)
    for piece in prange(s.n_pieces, nogil=True, schedule="static", num_threads=team):
        n_failed += k_max_piece(x, starts, ends, origins, places, s, piece, out, argmax)
    if n_failed:
        raise MemoryError("no memory for the largest values")


cdef int k_max_piece(
    const floating[:, ::1] x,
    const Py_ssize_t[::1] starts,
    const Py_ssize_t[::1] ends,
    const Py_ssize_t[::1] origins,
    const Py_ssize_t[::1] places,
    Split s,
    Py_ssize_t piece,
    floating[:, ::1] out,
    Py_ssize_t[:, ::1] argmax,
) noexcept nogil:
    """1 if there was no memory."""
    cdef Py_ssize_t w, i, k, n_kept, most = 1, c = x.shape[1]
    cdef Py_ssize_t first = piece // s.n_blocks * s.units, channel = piece % s.n_blocks * s.channels
    cdef Py_ssize_t last = min(first + s.units, starts.shape[0]), width = min(s.channels, c - channel)
    cdef floating *heaps
    for w in range(first, last):
        most = max(most, min(places[w + 1] - places[w], ends[w] - starts[w]))
    heaps = <floating *>malloc(most * width * sizeof(floating))
    if heaps == NULL:
        return 1
    for w in range(first, last):
        k = places[w + 1] - places[w]
        n_kept = min(k, ends[w] - starts[w])
        if n_kept > 0:
            k_max_range(&x[starts[w], channel], c, ends[w] - starts[w], starts[w] - origins[w], n_kept, width,
                        heaps, &out[places[w], channel], &argmax[places[w], channel])
        for i in range(places[w] + n_kept, places[w + 1]):
            fill(&out[i, channel], width, <floating>0)
            fill(&argmax[i, channel], width, <Py_ssize_t>-1)
    free(heaps)
    return 0


cdef void k_max_range(
    const floating *x,
    Py_ssize_t row_stride,
    Py_ssize_t n_rows,
    Py_ssize_t position,
    Py_ssize_t k,
    Py_ssize_t width,
    floating *heaps,
    floating *out,
    Py_ssize_t *argmax,
) noexcept nogil:
    """The k-th largest value of each column by a heap; then all above it, and the first ones equal to it."""
    cdef Py_ssize_t i, j
    cdef Py_ssize_t n_equal[BLOCK]
    cdef Py_ssize_t n_found[BLOCK]
    cdef const floating *row
    cdef floating *heap
    for i in range(n_rows):
        row = x + i * row_stride
        for j in range(width):
            heap = heaps + j * k
            if i < k:
                heap[k - 1 - i] = row[j]
                sift_down(heap, k - 1 - i, k)
            elif above(row[j], heap[0]):
                heap[0] = row[j]
                sift_down(heap, 0, k)
    for j in range(width):
        n_found[j] = 0
        n_equal[j] = k
        for i in range(k):
            n_equal[j] -= above(heaps[j * k + i], heaps[j * k])
    for i in range(n_rows):
        row = x + i * row_stride
        for j in range(width):
            if above(heaps[j * k], row[j]):
                continue
            if not above(row[j], heaps[j * k]):
                if n_equal[j] == 0:
                    continue
                n_equal[j] -= 1
            out[n_found[j] * row_stride + j] = row[j]
            argmax[n_found[j] * row_stride + j] = position + i
            n_found[j] += 1


cdef inline bint above(floating a, floating b) noexcept nogil:
    """a is larger than b, where NaN is larger than every number."""
    return (not a <= b) & (b == b)


cdef inline void sift_down(floating *heap, Py_ssize_t root, Py_ssize_t n) noexcept nogil:
    """Restore the order of a heap, least value at 0, below a new value at `root`."""
    cdef Py_ssize_t child = 2 * root + 1
    cdef floating value = heap[root]
    while child < n:
        if child + 1 < n and above(heap[child], heap[child + 1]):
            child += 1
        if not above(value, heap[child]):
            break
        heap[root] = heap[child]
        root = child
        child = 2 * root + 1
    heap[root] = value
