"""Windows over the rows of packed texts and rows between them, and the sums that lead back.

A text of L rows is read as if rows of padding stood before and after it. Window t of K taps holds the rows
``t * stride + k * dilation - left`` for k = 0 .. K - 1, and a row outside of the text stands for another of
its rows, or for a constant, by the mode of padding. Padding alone is the case K = 1.

Every row of a result is made by one iteration, in a fixed order: the pieces that threads take change nothing.
"""

from cython cimport floating
from cython.parallel cimport prange
from libc.string cimport memcpy

from textcnn._kernels._offsets cimport ceil_div, check_offsets
from textcnn._kernels._openmp cimport team_size

# Modes of padding, as `textcnn.ops.padding` numbers them.
cdef enum:
    CONSTANT = 0
    REFLECT = 1
    REPLICATE = 2
    CIRCULAR = 3

cdef enum:
    # Elements of a result that a thread makes before it takes the next piece.
    PIECE = 16384
    # About what copying an element costs, in multiply-add operations: it waits for memory.
    COPY_COST = 8


ctypedef struct Windows:
    Py_ssize_t kernel_size
    Py_ssize_t stride
    Py_ssize_t dilation
    Py_ssize_t left
    int mode


cdef Windows as_windows(
    Py_ssize_t kernel_size, Py_ssize_t stride, Py_ssize_t dilation, Py_ssize_t left, int mode,
):
    if kernel_size < 1 or stride < 1 or dilation < 1 or left < 0:
        raise ValueError("kernel_size, stride and dilation must be positive, and the padding not negative")
    if not CONSTANT <= mode <= CIRCULAR:
        raise ValueError(f"mode is {mode}, but it must lie between {CONSTANT} and {CIRCULAR}")
    return Windows(kernel_size, stride, dilation, left, mode)


cdef Py_ssize_t text_of(const Py_ssize_t *offsets, Py_ssize_t n, Py_ssize_t row) noexcept nogil:
    """The text that holds a row."""
    cdef Py_ssize_t low = 0, high = n - 1, middle
    while low < high:
        middle = (low + high + 1) // 2
        if offsets[middle] <= row:
            low = middle
        else:
            high = middle - 1
    return low


cdef inline Py_ssize_t source_row(Py_ssize_t p, Py_ssize_t length, int mode) noexcept nogil:
    """The row of a text that position p stands for, or -1 for the constant."""
    cdef Py_ssize_t period
    if 0 <= p < length:
        return p
    if mode == CONSTANT or length == 0:
        return -1
    if mode == REPLICATE:
        return 0 if p < 0 else length - 1
    period = reflection_period(length) if mode == REFLECT else length
    p = p % period
    if p < 0:
        p += period
    return p if p < length else period - p


cdef inline Py_ssize_t reflection_period(Py_ssize_t length) noexcept nogil:
    """Rows after which a text repeats that is reflected at its first and last row."""
    return max(<Py_ssize_t>1, 2 * (length - 1))


def im2col(
    const floating[:, ::1] rows,             # IN   (n_rows, c)
    const Py_ssize_t[::1] offsets,           # IN   (n + 1,)
    const Py_ssize_t[::1] out_offsets,       # IN   (n + 1,) of the windows
    Py_ssize_t kernel_size,
    Py_ssize_t stride,
    Py_ssize_t dilation,
    Py_ssize_t left,
    int mode,
    double value,                            # of the positions that stand for no row
    floating[:, ::1] out,                    # OUT  (n_windows, kernel_size * c)
    int n_threads=1,
):
    """out[t, k * c + j] = row(t * stride + k * dilation - left)[j] for the windows t of each text."""
    cdef Windows windows = as_windows(kernel_size, stride, dilation, left, mode)
    cdef Py_ssize_t n = offsets.shape[0] - 1, c = rows.shape[1], n_windows = out.shape[0]
    cdef Py_ssize_t piece, step, n_pieces
    cdef int team
    check_offsets(offsets, "offsets", rows.shape[0])
    check_offsets(out_offsets, "out_offsets", n_windows)
    if out_offsets.shape[0] != n + 1 or out.shape[1] != kernel_size * c:
        raise ValueError(f"out must hold windows of {n} texts, {kernel_size * c} columns each")
    if n_windows == 0 or c == 0:
        return
    step = max(<Py_ssize_t>1, PIECE // out.shape[1])
    n_pieces = ceil_div(n_windows, step)
    team = team_size(n_threads, <double>n_windows * out.shape[1] * COPY_COST)
    for piece in prange(n_pieces, nogil=True, schedule="static", num_threads=team):
        copy_piece(&rows[0, 0] if rows.shape[0] else NULL, &offsets[0], &out_offsets[0], n, windows,
                   <floating>value, c, piece * step, min(n_windows, (piece + 1) * step), &out[0, 0])


cdef void copy_piece(
    const floating *rows,
    const Py_ssize_t *offsets,
    const Py_ssize_t *out_offsets,
    Py_ssize_t n,
    Windows windows,
    floating value,
    Py_ssize_t c,
    Py_ssize_t first,
    Py_ssize_t last,
    floating *out,
) noexcept nogil:
    """The windows from `first` to `last` of all texts."""
    cdef Py_ssize_t end, i = text_of(out_offsets, n, first)
    while first < last:
        while out_offsets[i + 1] <= first:
            i += 1
        end = min(last, out_offsets[i + 1])
        copy_windows(rows + offsets[i] * c, offsets[i + 1] - offsets[i], windows, value, c,
                     first - out_offsets[i], end - out_offsets[i], out + first * windows.kernel_size * c)
        first = end


cdef void copy_windows(
    const floating *text,
    Py_ssize_t length,
    Windows windows,
    floating value,
    Py_ssize_t c,
    Py_ssize_t first,
    Py_ssize_t last,
    floating *out,
) noexcept nogil:
    """The windows from `first` to `last` of a text."""
    cdef Py_ssize_t p, k, adjacent, size, t = first, taps = windows.kernel_size
    cdef Py_ssize_t reach = windows.dilation * (taps - 1)
    while t < last:
        p = t * windows.stride - windows.left
        adjacent = 1
        if 0 <= p and p + reach < length and (windows.dilation == 1 or taps == 1):
            if taps == 1 and windows.stride == 1:
                adjacent = min(last - t, length - p)
            size = adjacent * taps * c
            memcpy(out, text + p * c, size * sizeof(floating))
        else:
            for k in range(taps):
                copy_row(text, source_row(p + k * windows.dilation, length, windows.mode), value, c,
                         out + k * c)
        out += adjacent * taps * c
        t += adjacent


cdef inline void copy_row(
    const floating *text, Py_ssize_t row, floating value, Py_ssize_t c, floating *out,
) noexcept nogil:
    cdef Py_ssize_t j
    if row >= 0:
        memcpy(out, text + row * c, c * sizeof(floating))
    else:
        for j in range(c):
            out[j] = value


def col2im(
    const floating[:, ::1] columns,          # IN   (n_windows, kernel_size * c)
    const Py_ssize_t[::1] column_offsets,    # IN   (n + 1,) of the windows
    const Py_ssize_t[::1] offsets,           # IN   (n + 1,)
    Py_ssize_t kernel_size,
    Py_ssize_t stride,
    Py_ssize_t dilation,
    Py_ssize_t left,
    int mode,
    floating[:, ::1] out,                    # OUT  (n_rows, c)
    int n_threads=1,
):
    """out[r, j] = sum of columns[t, k * c + j] over the windows t and taps k that `im2col` reads r for.

    The terms are added in the order of the positions that stand for r, and of k.
    """
    cdef Windows windows = as_windows(kernel_size, stride, dilation, left, mode)
    cdef Py_ssize_t n = offsets.shape[0] - 1, c = out.shape[1], n_rows = out.shape[0], piece, step, n_pieces
    cdef double n_values
    cdef int team
    check_offsets(offsets, "offsets", n_rows)
    check_offsets(column_offsets, "column_offsets", columns.shape[0])
    if column_offsets.shape[0] != n + 1 or columns.shape[1] != kernel_size * c:
        raise ValueError(f"columns must hold windows of {n} texts, {kernel_size * c} columns each")
    if n_rows == 0 or c == 0:
        return
    step = max(<Py_ssize_t>1, PIECE // columns.shape[1])
    n_pieces = ceil_div(n_rows, step)
    n_values = <double>columns.shape[0] * columns.shape[1] + <double>n_rows * c
    team = team_size(n_threads, n_values * COPY_COST)
    for piece in prange(n_pieces, nogil=True, schedule="static", num_threads=team):
        sum_piece(&columns[0, 0] if columns.shape[0] else NULL, &column_offsets[0], &offsets[0], n, windows,
                  c, piece * step, min(n_rows, (piece + 1) * step), &out[0, 0])


cdef void sum_piece(
    const floating *columns,
    const Py_ssize_t *column_offsets,
    const Py_ssize_t *offsets,
    Py_ssize_t n,
    Windows windows,
    Py_ssize_t c,
    Py_ssize_t first,
    Py_ssize_t last,
    floating *out,
) noexcept nogil:
    """The rows from `first` to `last` of all texts."""
    cdef Py_ssize_t end, i = text_of(offsets, n, first)
    while first < last:
        while offsets[i + 1] <= first:
            i += 1
        end = min(last, offsets[i + 1])
        sum_rows(columns + column_offsets[i] * windows.kernel_size * c,
                 column_offsets[i + 1] - column_offsets[i], offsets[i + 1] - offsets[i], windows, c,
                 first - offsets[i], end - offsets[i], out + first * c)
        first = end


cdef void sum_rows(
    const floating *columns,
    Py_ssize_t n_windows,
    Py_ssize_t length,
    Windows windows,
    Py_ssize_t c,
    Py_ssize_t first,
    Py_ssize_t last,
    floating *out,
) noexcept nogil:
    """The rows from `first` to `last` of a text; the positions of its windows run from -left to `top`."""
    cdef Py_ssize_t t = first, j, adjacent, begin = 0, end = 0
    cdef Py_ssize_t low = -windows.left
    cdef Py_ssize_t reach = windows.dilation * (windows.kernel_size - 1)
    cdef Py_ssize_t top = (n_windows - 1) * windows.stride + reach + low
    if windows.kernel_size == 1 and windows.stride == 1:
        # Of padding alone, the rows that only their own position stands for are copied.
        begin, end = lone_rows(length, windows.mode, low, top)
        end = min(end, top + 1)
    while t < last:
        adjacent = 1
        if begin <= t < end:
            adjacent = min(last, end) - t
            memcpy(out, columns + (t - low) * c, adjacent * c * sizeof(floating))
        else:
            for j in range(c):
                out[j] = 0
            sum_row(columns, n_windows, length, windows, low, top, t, c, out)
        out += adjacent * c
        t += adjacent


cdef (Py_ssize_t, Py_ssize_t) lone_rows(
    Py_ssize_t length, int mode, Py_ssize_t low, Py_ssize_t top,
) noexcept nogil:
    """Begin and end of rows for which no position of the padding stands."""
    if mode == CONSTANT:
        return 0, length
    if mode == REPLICATE:
        return 1, length - 1
    if mode == CIRCULAR:
        return max(<Py_ssize_t>0, top - length + 1), min(length, length + low)
    return max(<Py_ssize_t>0, -low) + 1, min(length - 1, 2 * (length - 1) - top)


cdef void sum_row(
    const floating *columns,
    Py_ssize_t n_windows,
    Py_ssize_t length,
    Windows windows,
    Py_ssize_t low,
    Py_ssize_t top,
    Py_ssize_t t,
    Py_ssize_t c,
    floating *out,
) noexcept nogil:
    """Add what was read at each position that stands for row t, in increasing order."""
    cdef Py_ssize_t p = t, last = t, period
    if n_windows == 0:
        return
    if windows.mode == CONSTANT:
        add_position(columns, n_windows, windows, p, c, out)
    elif windows.mode == REPLICATE:
        p = low if t == 0 else t
        last = top if t == length - 1 else t
        while p <= last:
            add_position(columns, n_windows, windows, p, c, out)
            p += 1
    elif windows.mode == CIRCULAR or length == 1:
        # t + m * length
        p -= (p - low) // length * length
        while p <= top:
            add_position(columns, n_windows, windows, p, c, out)
            p += length
    else:
        # m * period - t and m * period + t, which are one for the first row, and in turn for the last.
        period = reflection_period(length)
        p = -t - (t - low) // period * period
        while p <= top:
            if p >= low and 0 < t < length - 1:
                add_position(columns, n_windows, windows, p, c, out)
            if p + 2 * t <= top:
                add_position(columns, n_windows, windows, p + 2 * t, c, out)
            p += period


cdef inline void add_position(
    const floating *columns, Py_ssize_t n_windows, Windows windows, Py_ssize_t p, Py_ssize_t c, floating *out,
) noexcept nogil:
    """Add the columns of every window and tap that reads position p."""
    cdef Py_ssize_t k, j, q = p + windows.left, t
    cdef const floating *column
    for k in range(windows.kernel_size):
        if q < 0:
            break
        t = q // windows.stride
        if t * windows.stride == q and t < n_windows:
            column = columns + (t * windows.kernel_size + k) * c
            for j in range(c):
                out[j] += column[j]
        q -= windows.dilation


# Upsampling

cdef enum:
    NEAREST = 0
    LINEAR = 1
    ZEROS = 2


cdef int check_upsampling(
    const Py_ssize_t[::1] offsets,
    const Py_ssize_t[::1] out_offsets,
    Py_ssize_t n_rows,
    Py_ssize_t n_out,
    Py_ssize_t factor,
    int mode,
) except -1:
    cdef Py_ssize_t i, length, expected
    check_offsets(offsets, "offsets", n_rows)
    check_offsets(out_offsets, "out_offsets", n_out)
    if factor < 1 or not NEAREST <= mode <= ZEROS:
        raise ValueError(f"factor is {factor} and mode is {mode}, but they must be positive and 0, 1 or 2")
    if offsets.shape[0] != out_offsets.shape[0]:
        raise ValueError(f"both must hold {offsets.shape[0] - 1} texts")
    for i in range(offsets.shape[0] - 1):
        length = offsets[i + 1] - offsets[i]
        expected = length * factor
        if mode == ZEROS and length:
            expected -= factor - 1
        if out_offsets[i + 1] - out_offsets[i] != expected:
            raise ValueError(f"text {i} must have {expected} upsampled rows")
    return 0


cdef inline (Py_ssize_t, double) interpolation(
    Py_ssize_t t, Py_ssize_t length, Py_ssize_t factor,
) noexcept nogil:
    """The row before position (t + 1/2) / factor - 1/2 of a text, and the weight of the row after it."""
    cdef Py_ssize_t doubled = 2 * t + 1 - factor, row
    if doubled <= 0:
        return 0, 0.0
    row = doubled // (2 * factor)
    if row >= length - 1:
        return length - 1, 0.0
    return row, <double>(doubled - row * 2 * factor) / (2 * factor)


def upsample(
    const floating[:, ::1] rows,             # IN   (n_rows, c)
    const Py_ssize_t[::1] offsets,           # IN   (n + 1,)
    const Py_ssize_t[::1] out_offsets,       # IN   (n + 1,)
    Py_ssize_t factor,
    int mode,                                # NEAREST, LINEAR or ZEROS
    floating[:, ::1] out,                    # OUT  (n_out, c)
    int n_threads=1,
):
    """Row t of a text's result is row t // factor, a mean of the two next to it, or that row or zeros."""
    cdef Py_ssize_t n = offsets.shape[0] - 1, c = rows.shape[1], n_out = out.shape[0], piece, step, n_pieces
    cdef int team
    check_upsampling(offsets, out_offsets, rows.shape[0], n_out, factor, mode)
    if out.shape[1] != c:
        raise ValueError(f"out must have {c} columns")
    if n_out == 0 or c == 0:
        return
    step = max(<Py_ssize_t>1, PIECE // c)
    n_pieces = ceil_div(n_out, step)
    team = team_size(n_threads, <double>n_out * c * COPY_COST)
    for piece in prange(n_pieces, nogil=True, schedule="static", num_threads=team):
        upsample_piece(&rows[0, 0], &offsets[0], &out_offsets[0], n, factor, mode, c, piece * step,
                       min(n_out, (piece + 1) * step), &out[0, 0])


cdef void upsample_piece(
    const floating *rows,
    const Py_ssize_t *offsets,
    const Py_ssize_t *out_offsets,
    Py_ssize_t n,
    Py_ssize_t factor,
    int mode,
    Py_ssize_t c,
    Py_ssize_t first,
    Py_ssize_t last,
    floating *out,
) noexcept nogil:
    """The upsampled rows from `first` to `last` of all texts."""
    cdef Py_ssize_t row, t, i = text_of(out_offsets, n, first)
    cdef double weight
    cdef const floating *text
    for row in range(first, last):
        while out_offsets[i + 1] <= row:
            i += 1
        text = rows + offsets[i] * c
        t = row - out_offsets[i]
        if mode == LINEAR:
            t, weight = interpolation(t, offsets[i + 1] - offsets[i], factor)
            interpolate(text + t * c, <floating>weight, c, out + row * c)
        else:
            copy_row(text, t // factor if mode == NEAREST or t % factor == 0 else -1, <floating>0, c,
                     out + row * c)


cdef inline void interpolate(
    const floating *row, floating weight, Py_ssize_t c, floating *out,
) noexcept nogil:
    """(1 - weight) row + weight times the row after it."""
    cdef Py_ssize_t j
    cdef floating rest = 1 - weight
    if weight == 0:
        memcpy(out, row, c * sizeof(floating))
    else:
        for j in range(c):
            out[j] = rest * row[j] + weight * row[c + j]


def upsample_backward(
    const floating[:, ::1] d_out,            # IN   (n_out, c)
    const Py_ssize_t[::1] out_offsets,       # IN   (n + 1,)
    const Py_ssize_t[::1] offsets,           # IN   (n + 1,)
    Py_ssize_t factor,
    int mode,
    floating[:, ::1] d_rows,                 # OUT  (n_rows, c)
    int n_threads=1,
):
    """d_rows[r] = sum over the upsampled rows t, in order, of the weight of r in t, times d_out[t]."""
    cdef Py_ssize_t n = offsets.shape[0] - 1, c = d_rows.shape[1], n_rows = d_rows.shape[0]
    cdef Py_ssize_t piece, step, n_pieces
    cdef int team
    check_upsampling(offsets, out_offsets, n_rows, d_out.shape[0], factor, mode)
    if d_out.shape[1] != c:
        raise ValueError(f"d_out must have {c} columns")
    if n_rows == 0 or c == 0:
        return
    step = max(<Py_ssize_t>1, PIECE // (c * factor))
    n_pieces = ceil_div(n_rows, step)
    team = team_size(n_threads, <double>d_out.shape[0] * c * COPY_COST)
    for piece in prange(n_pieces, nogil=True, schedule="static", num_threads=team):
        upsample_backward_piece(&d_out[0, 0], &out_offsets[0], &offsets[0], n, factor, mode, c, piece * step,
                                min(n_rows, (piece + 1) * step), &d_rows[0, 0])


cdef void upsample_backward_piece(
    const floating *d_out,
    const Py_ssize_t *out_offsets,
    const Py_ssize_t *offsets,
    Py_ssize_t n,
    Py_ssize_t factor,
    int mode,
    Py_ssize_t c,
    Py_ssize_t first,
    Py_ssize_t last,
    floating *d_rows,
) noexcept nogil:
    """The rows from `first` to `last` of all texts."""
    cdef Py_ssize_t row, t, i = text_of(offsets, n, first)
    cdef const floating *d_text
    for row in range(first, last):
        while offsets[i + 1] <= row:
            i += 1
        d_text = d_out + out_offsets[i] * c
        t = row - offsets[i]
        if mode == ZEROS:
            memcpy(d_rows + row * c, d_text + t * factor * c, c * sizeof(floating))
        elif mode == NEAREST:
            sum_adjacent(d_text + t * factor * c, factor, c, d_rows + row * c)
        else:
            sum_interpolated(d_text, t, offsets[i + 1] - offsets[i], factor, c, d_rows + row * c)


cdef inline void sum_adjacent(
    const floating *rows, Py_ssize_t n, Py_ssize_t c, floating *out,
) noexcept nogil:
    cdef Py_ssize_t i, j
    memcpy(out, rows, c * sizeof(floating))
    for i in range(1, n):
        for j in range(c):
            out[j] += rows[i * c + j]


cdef inline void sum_interpolated(
    const floating *d_text, Py_ssize_t row, Py_ssize_t length, Py_ssize_t factor, Py_ssize_t c, floating *out,
) noexcept nogil:
    """Sum over the results between the row before this one and the row after it."""
    cdef Py_ssize_t t, j, before
    cdef double weight
    cdef floating share
    for j in range(c):
        out[j] = 0
    for t in range(max(<Py_ssize_t>0, (row - 1) * factor), min(length, row + 2) * factor):
        before, weight = interpolation(t, length, factor)
        if before == row:
            weight = 1 - weight
        elif before != row - 1:
            continue
        share = <floating>weight
        for j in range(c):
            out[j] += share * d_text[t * c + j]
