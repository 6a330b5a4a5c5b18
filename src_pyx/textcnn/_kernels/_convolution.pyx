"""Convolution of packed batches with any stride, dilation, zero padding and groups; its adjoint; its weights.

One row of the result is a sum over taps, each a row of the input times a matrix of the weights:

    out[t] = bias + sum_k x[t stride + k dilation - left] weights[k],    rows outside the text being zero.

Rows of the result that take the same matrices are a phase. A convolution has one phase; a tiled
convolution with m kernels in turn has m (the locally connected layer is its end, m = length); the adjoint
of a convolution with stride s has m s, in each of which only every s-th tap meets a row (the polyphase
form). So one loop does all: gather the rows of the input that some rows of a phase read, side by side, and
multiply them with the stacked matrices of the phase.

In float32 a kernel of width 3 with stride 1 goes by minimal filtering instead (Lavin & Gray 2015), in tiles
of four rows, as in `_dilated`: 1.3 to 1.6 times as fast from 32 channels on.

Notation: n texts, t rows, c channels in, f channels out, k kernel width, m kernels in turn, g groups.
"""

from cython cimport floating
from cython.parallel cimport parallel, prange, threadid
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from textcnn._kernels._dilated cimport pack_filter_panel, unfilter
from textcnn._kernels._offsets cimport ceil_div, check_offsets
from textcnn._kernels._openmp cimport team_size
from textcnn._kernels._simd cimport (
    active_table,
    filter_delta,
    filter_input,
    filter_inputs,
    filter_outputs,
    gemm_panel,
    pack_panel,
    panel_width,
    simd_table,
)

# Rows that are gathered together; fewer if they are long.
cdef enum:
    MOST_ROWS_PER_BLOCK = 96

# Values of the gathered rows, about: they stay in the second-level cache.
cdef enum:
    VALUES_PER_BLOCK = 32768

# Rows of an inner sum of the weights' gradient: one product, then added to the total.
cdef enum:
    ROWS_PER_SUM = 512

# Columns of the gathered rows, at most, and channels of the result in one task of the weights' gradient. A
# task of fewer columns has a multiple of COLUMNS_STEP: whole tiles of `gemm_panel`.
cdef enum:
    COLUMNS_PER_TASK = 128
    COLUMNS_STEP = 12
    CHANNELS_PER_TASK = 128

# Values that are copied without a call, and in one move.
cdef enum:
    SHORT_COPY = 64
    MOVE = 16

# Minimal filtering: results and products of a tile, tiles of a block, and channels from which it pays.
cdef enum:
    TILE_OUTPUTS = 4
    TILE_PRODUCTS = 6
    TILES_PER_BLOCK = 36
    LEAST_CHANNELS = 32

# Limit of every size: no product or sum of two of them overflows.
cdef enum:
    MAX_SIZE = 1 << 28


# A row of the result, and the row of the input at which its taps count.
cdef struct Row:
    Py_ssize_t out
    Py_ssize_t base
    Py_ssize_t begin       # rows of the text in the input
    Py_ssize_t end


# Four rows of the result, `dilation` apart, and the first of the six rows of the input that they read.
cdef struct Tile:
    Py_ssize_t out
    Py_ssize_t out_end     # of the text in the result
    Py_ssize_t base
    Py_ssize_t begin
    Py_ssize_t end


cdef inline Py_ssize_t floor_mod(Py_ssize_t n, Py_ssize_t step) noexcept nogil:
    cdef Py_ssize_t rest = n % step
    return rest + step if rest < 0 else rest


# ---- which rows meet ----------------------------------------------------------------------------------


cdef class Windows:
    """Which rows of the input each row of the result reads, and with which matrices.

    Parameters
    ----------
    offsets, out_offsets : intp arrays of shape (n + 1,)
        Rows of each text in the input and the result of the convolution.
    kernel_size, stride, dilation : int
    left : int
        Zero rows before each text.
    n_kernels : int
        Kernels in turn: row o of the result uses kernel o mod n_kernels.
    adjoint : bool
        The other direction: rows of the convolution's input from those of its result.
    minimal : bool
        List tiles for minimal filtering instead; kernel_size 3, stride 1 and one kernel only.
    """

    cdef readonly Py_ssize_t n_in_rows
    cdef readonly Py_ssize_t n_out_rows
    cdef readonly Py_ssize_t n_phases
    cdef readonly bint adjoint
    cdef Py_ssize_t n_kernels
    cdef Py_ssize_t kernel_size
    cdef Py_ssize_t dilation
    cdef Py_ssize_t most_taps              # of a phase
    cdef Py_ssize_t *phase_rows            # (n_phases + 1,), and one place more to count in
    cdef Py_ssize_t *phase_taps            # (n_phases + 1,)
    cdef Py_ssize_t *shifts                # (n_kernels * kernel_size,) of each tap, in rows of the input
    cdef Py_ssize_t *matrices              # (n_kernels * kernel_size,) of each tap
    cdef Row *rows                         # (n_out_rows,)
    cdef Py_ssize_t n_tiles
    cdef Tile *tiles                       # (n_tiles,)

    def __cinit__(
        self,
        const Py_ssize_t[::1] offsets,
        const Py_ssize_t[::1] out_offsets,
        Py_ssize_t kernel_size,
        Py_ssize_t stride=1,
        Py_ssize_t dilation=1,
        Py_ssize_t left=0,
        Py_ssize_t n_kernels=1,
        bint adjoint=False,
        bint minimal=False,
    ):
        for name, value, least in (
            ("kernel_size", kernel_size, 1), ("stride", stride, 1), ("dilation", dilation, 1),
            ("left", left, 0), ("n_kernels", n_kernels, 1),
        ):
            if not least <= value <= MAX_SIZE:
                raise ValueError(f"{name} is {value}, but it must be {least} to {MAX_SIZE}")
        check_offsets(offsets, "offsets", -1)
        check_offsets(out_offsets, "out_offsets", -1)
        if offsets.shape[0] != out_offsets.shape[0]:
            raise ValueError(
                f"there are {offsets.shape[0] - 1} texts in offsets, but {out_offsets.shape[0] - 1} in "
                "out_offsets"
            )
        if minimal and (kernel_size != 3 or stride != 1 or n_kernels != 1):
            raise ValueError("minimal filtering needs a kernel size of 3, a stride of 1 and one kernel")
        if n_kernels * kernel_size > MAX_SIZE:
            raise ValueError(f"{n_kernels} kernels of width {kernel_size} are too many")
        self.adjoint = adjoint
        self.n_kernels = n_kernels
        self.kernel_size = kernel_size
        self.dilation = dilation
        # adjoint: a stride wider than the texts has phases without a row, which are left out
        self.n_phases = n_kernels
        if adjoint:
            self.n_phases = max(<Py_ssize_t>1, min(n_kernels * stride, longest_text(offsets)))
        self.phase_rows = <Py_ssize_t *>calloc(self.n_phases + 2, sizeof(Py_ssize_t))
        self.phase_taps = <Py_ssize_t *>calloc(self.n_phases + 1, sizeof(Py_ssize_t))
        self.shifts = <Py_ssize_t *>malloc(n_kernels * kernel_size * sizeof(Py_ssize_t))
        self.matrices = <Py_ssize_t *>malloc(n_kernels * kernel_size * sizeof(Py_ssize_t))
        if self.phase_rows == NULL or self.phase_taps == NULL or self.shifts == NULL or self.matrices == NULL:
            raise MemoryError(f"no memory for {n_kernels} kernels of width {kernel_size}")
        self.list_taps(stride, left)
        if adjoint:
            offsets, out_offsets = out_offsets, offsets
        self.n_in_rows = offsets[offsets.shape[0] - 1]
        self.n_out_rows = out_offsets[out_offsets.shape[0] - 1]
        if minimal:
            self.list_tiles(offsets, out_offsets, left)
        else:
            self.list_rows(offsets, out_offsets, stride, left)

    def __dealloc__(self):
        free(self.phase_rows)
        free(self.phase_taps)
        free(self.shifts)
        free(self.matrices)
        free(self.rows)
        free(self.tiles)

    cdef void list_taps(self, Py_ssize_t stride, Py_ssize_t left) noexcept:
        """Taps of each phase. Adjoint: result row o = (i + left - k d) / s of the convolution read row i
        with tap k; where i + left = r (mod s m), it exists if s divides r - k d."""
        cdef Py_ssize_t phase, i, k, start, count = 0
        for phase in range(self.n_phases):
            for i in range(self.kernel_size):
                # in order of the rows that they meet, so that without dilation a window is one run of values
                k = self.kernel_size - 1 - i if self.adjoint else i
                # adjoint: from r, the rest that belongs to row `phase`
                start = (phase + left) % (self.n_kernels * stride) - k * self.dilation
                if not self.adjoint:
                    self.shifts[count] = k * self.dilation
                    self.matrices[count] = phase * self.kernel_size + k
                elif start % stride == 0:
                    self.shifts[count] = start // stride
                    self.matrices[count] = floor_mod(start // stride, self.n_kernels) * self.kernel_size + k
                else:
                    continue
                count += 1
            self.phase_taps[phase + 1] = count
            self.most_taps = max(self.most_taps, count - self.phase_taps[phase])

    cdef int list_rows(self, const Py_ssize_t[::1] offsets, const Py_ssize_t[::1] out_offsets,
                       Py_ssize_t stride, Py_ssize_t left) except -1:
        """Rows of the result by phase, in order of text and position: every n_phases-th of a text."""
        cdef Py_ssize_t phase, i, t, length, base, step, period = self.n_kernels * stride
        cdef Row *row
        self.rows = <Row *>malloc(max(1, self.n_out_rows) * sizeof(Row))
        if self.rows == NULL:
            raise MemoryError(f"no memory for {self.n_out_rows} rows")
        for i in range(offsets.shape[0] - 1):
            length = out_offsets[i + 1] - out_offsets[i]
            for phase in range(min(self.n_phases, length)):
                self.phase_rows[phase + 2] += ceil_div(length - phase, self.n_phases)
        # summed one place further on, so that the sums say where each phase begins and, filled, ends
        for phase in range(self.n_phases):
            self.phase_rows[phase + 2] += self.phase_rows[phase + 1]
        for i in range(offsets.shape[0] - 1):
            length = out_offsets[i + 1] - out_offsets[i]
            for phase in range(min(self.n_phases, length)):
                row = self.rows + self.phase_rows[phase + 1]
                # rows of the result that are n_phases apart read input that is so many rows apart
                if self.adjoint:
                    base, step = offsets[i] + (phase + left) // period * self.n_kernels, self.n_kernels
                else:
                    base, step = offsets[i] + phase * stride - left, self.n_phases * stride
                t = phase
                while t < length:
                    row[0] = Row(out_offsets[i] + t, base, offsets[i], offsets[i + 1])
                    row += 1
                    base += step
                    t += self.n_phases
                self.phase_rows[phase + 1] += ceil_div(length - phase, self.n_phases)
        return 0

    cdef int list_tiles(self, const Py_ssize_t[::1] offsets, const Py_ssize_t[::1] out_offsets,
                        Py_ssize_t left) except -1:
        """Tiles of each text, counted from its first row so that its neighbours do not matter."""
        cdef Py_ssize_t i, first, t, length, count = 0, step = TILE_OUTPUTS * self.dilation
        # the first of the rows that a tile reads: of tap 0, or of the last tap of the flipped kernel
        cdef Py_ssize_t shift = left - 2 * self.dilation if self.adjoint else -left
        for i in range(offsets.shape[0] - 1):
            length = out_offsets[i + 1] - out_offsets[i]
            for first in range(min(self.dilation, length)):
                count += ceil_div(length - first, step)
        self.tiles = <Tile *>malloc(max(1, count) * sizeof(Tile))
        if self.tiles == NULL:
            raise MemoryError(f"no memory for {count} tiles")
        for i in range(offsets.shape[0] - 1):
            length = out_offsets[i + 1] - out_offsets[i]
            for first in range(min(self.dilation, length)):
                t = first
                while t < length:
                    self.tiles[self.n_tiles] = Tile(
                        out_offsets[i] + t, out_offsets[i + 1],
                        offsets[i] + t + shift, offsets[i], offsets[i + 1],
                    )
                    self.n_tiles += 1
                    t += step
        return 0


cdef Py_ssize_t longest_text(const Py_ssize_t[::1] offsets) noexcept:
    cdef Py_ssize_t i, longest = 0
    for i in range(offsets.shape[0] - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    return longest


# ---- shapes of a call ---------------------------------------------------------------------------------


# Sizes of one convolution; `c` and `f` are those of one group, in the direction of the product.
cdef struct Sizes:
    Py_ssize_t taps
    Py_ssize_t c
    Py_ssize_t f
    Py_ssize_t groups
    Py_ssize_t weight_columns      # f of the weights, of all groups


cdef int measure(
    Sizes *sizes,
    Windows windows,
    const Py_ssize_t *x_shape,
    const Py_ssize_t *w_shape,
    const Py_ssize_t *out_shape,
    Py_ssize_t groups,
) except -1:
    """Fill `sizes`, or say what does not fit; x and out in the direction of the product."""
    cdef Py_ssize_t c = x_shape[1], f = out_shape[1]
    cdef bint adjoint = windows.adjoint
    if x_shape[0] != windows.n_in_rows or out_shape[0] != windows.n_out_rows:
        raise ValueError(
            f"there are {x_shape[0]} rows of input and {out_shape[0]} of output, but the offsets tell of "
            f"{windows.n_in_rows} and {windows.n_out_rows}"
        )
    if groups < 1 or c % groups or f % groups:
        raise ValueError(f"{c} and {f} channels cannot be cut into {groups} groups")
    for size in (w_shape[0], w_shape[1], w_shape[2], c, f):
        if size > MAX_SIZE:
            raise ValueError(f"a size is {size}, but it must be at most {MAX_SIZE}")
    sizes.taps, sizes.c, sizes.f, sizes.groups = w_shape[1], c // groups, f // groups, groups
    sizes.weight_columns = w_shape[3]
    if adjoint:
        c, f = f, c
    if w_shape[2] != c // groups or w_shape[3] != f:
        raise ValueError(
            f"the weights are ({w_shape[0]}, {w_shape[1]}, {w_shape[2]}, {w_shape[3]}), but {c} and {f} "
            f"channels in {groups} groups need (n_kernels, kernel_size, {c // groups}, {f})"
        )
    return 0


# ---- product: forward, and the gradient of the input -----------------------------------------------------


def convolve(
    Windows windows not None,
    const floating[:, ::1] x,              # IN   (t, c) rows of the input
    const floating[:, :, :, ::1] weights,  # IN   (m, k, c / g, f)
    floating[:, ::1] out,                  # OUT  (t', f)
    const floating[:, ::1] bias=None,      # IN   (m, f); adjoint (1, c)
    Py_ssize_t groups=1,
    int n_threads=1,
):
    """out[t] = bias + sum of taps x[...] weights[...]; with adjoint windows x has f channels and out c."""
    cdef Sizes sizes
    cdef Py_ssize_t n_biases = 1 if windows.adjoint else weights.shape[0]
    measure(&sizes, windows, x.shape, weights.shape, out.shape, groups)
    check_kernels(windows, weights.shape[0], weights.shape[1], sizeof(floating), groups)
    if bias is not None and (bias.shape[0] != n_biases or bias.shape[1] != out.shape[1]):
        raise ValueError(
            f"bias is ({bias.shape[0]}, {bias.shape[1]}), but it must be ({n_biases}, {out.shape[1]})"
        )
    if out.shape[0] == 0 or out.shape[1] == 0:
        return
    if windows.tiles != NULL:
        convolve_tiles[floating](windows, &sizes, x, weights, out, bias, n_threads)
    elif sizes.c == 1 and sizes.f == 1:
        convolve_channels[floating](windows, x, weights, out, bias, n_threads)
    else:
        convolve_rows[floating](windows, &sizes, x, weights, out, bias, n_threads)


cdef int check_kernels(Windows windows, Py_ssize_t n_kernels, Py_ssize_t kernel_size, Py_ssize_t itemsize,
                       Py_ssize_t groups) except -1:
    """The windows were made for as many matrices as there are, and minimal filtering can do it."""
    if windows.tiles != NULL and (itemsize != 4 or groups != 1):
        raise ValueError("minimal filtering takes float32 and one group")
    if n_kernels != windows.n_kernels or kernel_size != windows.kernel_size:
        raise ValueError(
            f"the windows are of {windows.n_kernels} kernels of width {windows.kernel_size}, but the weights "
            f"hold {n_kernels} of width {kernel_size}"
        )
    return 0


cdef const floating* first_value(const floating[:, ::1] array) noexcept:
    """Address of an array that may be None or empty."""
    if array is None or array.shape[0] == 0 or array.shape[1] == 0:
        return NULL
    return &array[0, 0]


cdef int convolve_rows(
    Windows windows,
    const Sizes *sizes,
    const floating[:, ::1] x,
    const floating[:, :, :, ::1] weights,
    floating[:, ::1] out,
    const floating[:, ::1] bias,
    int n_threads,
) except -1:
    """Blocks of gathered rows times the stacked matrices of their phase."""
    cdef const simd_table *table = active_table()
    cdef floating *target = &out[0, 0]
    cdef const floating *source = first_value(x)
    cdef const floating *biases = first_value(bias)
    cdef Py_ssize_t width = panel_width(table, target), n_panels = ceil_div(sizes.f, width)
    cdef Py_ssize_t depth = sizes.c * windows.most_taps
    cdef Py_ssize_t fitting = VALUES_PER_BLOCK // max(<Py_ssize_t>1, depth)
    cdef Py_ssize_t per_block = max(<Py_ssize_t>12, min(<Py_ssize_t>MOST_ROWS_PER_BLOCK, fitting))
    cdef Py_ssize_t n_taps = windows.phase_taps[windows.n_phases]
    cdef Py_ssize_t group_size = n_taps * sizes.c * n_panels * width, group
    cdef Py_ssize_t n_blocks, piece, block_size = per_block * (depth + sizes.f)
    cdef int team = team_size(n_threads, <double>windows.n_out_rows * depth * out.shape[1])
    cdef floating *panels = NULL
    cdef floating *scratch = NULL
    cdef Py_ssize_t *blocks = NULL
    try:
        panels = <floating *>malloc(max(<Py_ssize_t>1, sizes.groups * group_size) * sizeof(floating))
        scratch = <floating *>malloc(team * block_size * sizeof(floating))
        blocks = list_blocks(windows, per_block, &n_blocks)
        if panels == NULL or scratch == NULL or blocks == NULL:
            raise MemoryError(f"no memory for the product of {windows.n_out_rows} rows and {n_taps} matrices")
        with nogil, parallel(num_threads=team):
            if sizes.c > 0:
                for piece in prange(windows.n_phases * sizes.groups * n_panels, schedule="static"):
                    group = piece // n_panels % sizes.groups
                    pack_phase_panel(
                        table, windows, sizes, &weights[0, 0, 0, 0], piece // (sizes.groups * n_panels),
                        group, piece % n_panels, panels + group * group_size,
                    )
            for piece in prange(n_blocks * sizes.groups, schedule="dynamic"):
                group = piece % sizes.groups
                product_of_block(
                    table, windows, sizes, blocks + 2 * (piece // sizes.groups), group, source,
                    panels + group * group_size, biases, target, scratch + threadid() * block_size, per_block,
                )
    finally:
        free(panels)
        free(scratch)
        free(blocks)
    return 0


cdef Py_ssize_t* list_blocks(Windows windows, Py_ssize_t per_block, Py_ssize_t *n_blocks) noexcept:
    """Phase and first row of every block, (n_blocks, 2)."""
    cdef Py_ssize_t phase, row, count = 0
    cdef Py_ssize_t *blocks
    for phase in range(windows.n_phases):
        count += ceil_div(windows.phase_rows[phase + 1] - windows.phase_rows[phase], per_block)
    blocks = <Py_ssize_t *>malloc(max(<Py_ssize_t>1, 2 * count) * sizeof(Py_ssize_t))
    n_blocks[0] = count
    if blocks == NULL:
        return NULL
    count = 0
    for phase in range(windows.n_phases):
        row = windows.phase_rows[phase]
        while row < windows.phase_rows[phase + 1]:
            blocks[2 * count], blocks[2 * count + 1] = phase, row
            count += 1
            row += per_block
    return blocks


cdef void pack_phase_panel(
    const simd_table *table,
    Windows windows,
    const Sizes *sizes,
    const floating *weights,
    Py_ssize_t phase,
    Py_ssize_t group,
    Py_ssize_t panel,
    floating *panels,                      # OUT  of the group
) noexcept nogil:
    """One panel of the stacked matrices of a phase, transposed if the windows are adjoint."""
    cdef Py_ssize_t width = panel_width(table, weights), n_panels = ceil_div(sizes.f, width)
    cdef Py_ssize_t first = windows.phase_taps[phase], n_taps = windows.phase_taps[phase + 1] - first, tap
    cdef Py_ssize_t n = min(width, sizes.f - panel * width), row_stride, col_stride
    cdef const floating *matrix
    cdef floating *target = panels + (first * n_panels + panel * n_taps) * sizes.c * width
    for tap in range(n_taps):
        matrix = weights + windows.matrices[first + tap] * sizes.weight_columns * (
            sizes.f if windows.adjoint else sizes.c)
        if windows.adjoint:
            row_stride, col_stride = 1, sizes.weight_columns
            matrix += group * sizes.c
        else:
            row_stride, col_stride = sizes.weight_columns, 1
            matrix += group * sizes.f
        pack_panel(table, sizes.c, n, matrix + panel * width * col_stride, row_stride, col_stride,
                   target + tap * sizes.c * width)


cdef void product_of_block(
    const simd_table *table,
    Windows windows,
    const Sizes *sizes,
    const Py_ssize_t *block,               # IN   phase, first row
    Py_ssize_t group,
    const floating *x,
    const floating *panels,                # IN   of the group
    const floating *biases,                # IN   (m, f of all groups) or NULL
    floating *out,
    floating *scratch,
    Py_ssize_t per_block,
) noexcept nogil:
    cdef Py_ssize_t phase = block[0], first = windows.phase_taps[phase]
    cdef Py_ssize_t n_taps = windows.phase_taps[phase + 1] - first, depth = n_taps * sizes.c
    cdef Py_ssize_t n = min(per_block, windows.phase_rows[phase + 1] - block[1]), i, panel
    cdef Py_ssize_t width = panel_width(table, x), n_panels = ceil_div(sizes.f, width)
    cdef Py_ssize_t columns = sizes.f * sizes.groups, ldc = columns
    cdef const Row *rows = windows.rows + block[1]
    cdef const floating *bias = NULL
    cdef const floating *inputs = scratch
    cdef Py_ssize_t row_stride = depth
    # a block of neighbouring rows is written where it belongs, another is spread afterwards
    cdef bint adjacent = rows[n - 1].out - rows[0].out == n - 1
    cdef floating *results = out + rows[0].out * columns + group * sizes.f
    if biases != NULL:
        bias = biases + (0 if windows.adjoint else phase * columns) + group * sizes.f
    if lie_in_place(rows, n, windows.shifts + first, n_taps, sizes.groups):
        # than gathering 1.3 times as fast with 16 channels, 1.1 times with width 1 and 128 channels
        row_stride = sizes.c * sizes.groups
        inputs = x + group * sizes.c + (rows[0].base + windows.shifts[first]) * row_stride
        if n > 1:
            row_stride *= rows[1].base - rows[0].base
    else:
        gather(rows, n, windows.shifts + first, 0, depth, sizes.c, x + group * sizes.c,
               sizes.c * sizes.groups, scratch)
    if not adjacent:
        results, ldc = scratch + n * depth, sizes.f
    for panel in range(n_panels):
        gemm_panel(
            table, n, min(width, sizes.f - panel * width), depth, inputs, row_stride, 1,
            panels + (first * n_panels + panel * n_taps) * sizes.c * width, results + panel * width, ldc,
            bias + panel * width if bias != NULL else NULL, False,
        )
    if not adjacent:
        for i in range(n):
            memcpy(out + rows[i].out * columns + group * sizes.f, results + i * ldc,
                   sizes.f * sizeof(floating))


cdef bint lie_in_place(
    const Row *rows,
    Py_ssize_t n,
    const Py_ssize_t *shifts,              # IN   of each tap
    Py_ssize_t n_taps,
    Py_ssize_t groups,
) noexcept nogil:
    """The windows of these rows are runs of values of x, at equal distances, with nothing outside a text."""
    cdef Py_ssize_t i
    if n_taps == 0 or (n_taps > 1 and groups > 1) or not follow_each_other(shifts, n_taps):
        return False
    for i in range(n):
        if rows[i].base + shifts[0] < rows[i].begin or rows[i].base + shifts[n_taps - 1] >= rows[i].end:
            return False
        if i > 1 and rows[i].base - rows[i - 1].base != rows[1].base - rows[0].base:
            return False
    return True


cdef void gather(
    const Row *rows,
    Py_ssize_t n,
    const Py_ssize_t *shifts,              # IN   of each tap
    Py_ssize_t first,                      # columns first to last of the taps side by side
    Py_ssize_t last,
    Py_ssize_t c,                          # columns of a tap
    const floating *x,
    Py_ssize_t stride,                     # between rows of x
    floating *out,                         # OUT  (n, last - first)
) noexcept nogil:
    """The rows that some results read, tap beside tap; rows outside the text are zero."""
    cdef Py_ssize_t i, tap, row, begin, end, last_tap
    cdef bint adjacent
    if first == last:
        return
    last_tap = (last - 1) // c
    # a window is then one run of values
    adjacent = stride == c and follow_each_other(shifts, last_tap + 1)
    for i in range(n):
        if (adjacent and rows[i].begin <= rows[i].base + shifts[0]
                and rows[i].base + shifts[last_tap] < rows[i].end):
            copy_values(x + (rows[i].base + shifts[0]) * c + first, last - first, out)
            out += last - first
            continue
        begin = first
        while begin < last:
            tap = begin // c
            end = min(last, (tap + 1) * c)
            row = rows[i].base + shifts[tap]
            if rows[i].begin <= row < rows[i].end:
                copy_values(x + row * stride + begin - tap * c, end - begin, out)
            else:
                memset(out, 0, (end - begin) * sizeof(floating))
            out += end - begin
            begin = end


cdef inline void copy_values(const floating *x, Py_ssize_t n, floating *out) noexcept nogil:
    """Few values by moves that are compiled here: a call for 32 of them takes as long as the copy."""
    cdef Py_ssize_t i = 0
    if n <= SHORT_COPY:
        while i + MOVE <= n:
            memcpy(out + i, x + i, MOVE * sizeof(floating))
            i += MOVE
    if i < n:
        memcpy(out + i, x + i, (n - i) * sizeof(floating))


cdef bint follow_each_other(const Py_ssize_t *shifts, Py_ssize_t n_taps) noexcept nogil:
    cdef Py_ssize_t tap
    for tap in range(1, n_taps):
        if shifts[tap] != shifts[tap - 1] + 1:
            return False
    return True


# ---- one filter for each channel -------------------------------------------------------------------------


cdef int convolve_channels(
    Windows windows,
    const floating[:, ::1] x,
    const floating[:, :, :, ::1] weights,
    floating[:, ::1] out,
    const floating[:, ::1] bias,
    int n_threads,
) except -1:
    """Depthwise convolution: a product would have one column."""
    cdef Py_ssize_t c = out.shape[1], n_pieces = 0, piece
    cdef const floating *source = first_value(x)
    cdef const floating *matrices = &weights[0, 0, 0, 0] if weights.shape[0] * weights.shape[1] else NULL
    cdef const floating *biases = first_value(bias)
    cdef floating *target = &out[0, 0]
    cdef int team = team_size(n_threads, <double>windows.n_out_rows * windows.most_taps * c)
    cdef Py_ssize_t *blocks = list_blocks(windows, MOST_ROWS_PER_BLOCK, &n_pieces)
    if blocks == NULL:
        raise MemoryError(f"no memory for the blocks of {windows.n_out_rows} rows")
    for piece in prange(n_pieces, schedule="static", num_threads=team, nogil=True):
        channels_of_block(windows, blocks + 2 * piece, c, source, matrices, biases, target)
    free(blocks)
    return 0


cdef void channels_of_block(
    Windows windows,
    const Py_ssize_t *block,
    Py_ssize_t c,
    const floating *x,
    const floating *weights,
    const floating *biases,
    floating *out,
) noexcept nogil:
    cdef Py_ssize_t phase = block[0], i, j, tap, source
    cdef Py_ssize_t n = min(<Py_ssize_t>MOST_ROWS_PER_BLOCK, windows.phase_rows[phase + 1] - block[1])
    cdef const Row *row
    cdef const floating *value
    cdef const floating *weight
    cdef floating *sums
    for i in range(n):
        row = windows.rows + block[1] + i
        sums = out + row.out * c
        if biases == NULL:
            memset(sums, 0, c * sizeof(floating))
        else:
            memcpy(sums, biases + (0 if windows.adjoint else phase * c), c * sizeof(floating))
        for tap in range(windows.phase_taps[phase], windows.phase_taps[phase + 1]):
            source = row.base + windows.shifts[tap]
            if row.begin <= source < row.end:
                value = x + source * c
                weight = weights + windows.matrices[tap] * c
                for j in range(c):
                    sums[j] += value[j] * weight[j]


# ---- minimal filtering -----------------------------------------------------------------------------------


cdef void point_to_inputs(
    const Tile *tiles, Py_ssize_t n, Py_ssize_t dilation, const floating *x, Py_ssize_t c,
    const floating *zeros, const floating **rows,
) noexcept nogil:
    """The six rows of every tile; rows outside the text are zero."""
    cdef Py_ssize_t i, k, row
    for i in range(n):
        for k in range(TILE_PRODUCTS):
            row = tiles[i].base + k * dilation
            rows[i * TILE_PRODUCTS + k] = x + row * c if tiles[i].begin <= row < tiles[i].end else zeros


cdef void point_to_outputs(
    const Tile *tiles, Py_ssize_t n, Py_ssize_t dilation, const floating *out, Py_ssize_t f,
    const floating *outside, const floating **rows,
) noexcept nogil:
    """The four results of every tile; `outside` stands for those beyond the text."""
    cdef Py_ssize_t i, k, row
    for i in range(n):
        for k in range(TILE_OUTPUTS):
            row = tiles[i].out + k * dilation
            rows[i * TILE_OUTPUTS + k] = out + row * f if row < tiles[i].out_end else outside


cdef int convolve_tiles(
    Windows windows,
    const Sizes *sizes,
    const floating[:, ::1] x,
    const floating[:, :, :, ::1] weights,
    floating[:, ::1] out,
    const floating[:, ::1] bias,
    int n_threads,
) except -1:
    cdef const simd_table *table = active_table()
    cdef floating *target = &out[0, 0]
    cdef const floating *source = first_value(x)
    cdef const floating *first = &weights[0, 0, 0, 0] if sizes.c else NULL
    cdef Py_ssize_t width = panel_width(table, target), n_panels = ceil_div(sizes.f, width)
    cdef Py_ssize_t product_size = sizes.c * n_panels * width, most = max(sizes.c, sizes.f)
    cdef Py_ssize_t matrix = sizes.c * sizes.f, tap_stride = matrix, in_stride = sizes.f, out_stride = 1
    cdef Py_ssize_t block_size = TILES_PER_BLOCK * TILE_PRODUCTS * (sizes.c + sizes.f) + most
    cdef Py_ssize_t n_blocks = ceil_div(windows.n_tiles, TILES_PER_BLOCK), piece
    cdef Py_ssize_t n_pointers = TILES_PER_BLOCK * (TILE_PRODUCTS + 2 * TILE_OUTPUTS)
    cdef int team = team_size(n_threads, <double>windows.n_out_rows * 3 * matrix)
    cdef floating *panels = NULL
    cdef floating *scratch = NULL
    cdef floating *zeros = NULL
    cdef const floating *biases = first_value(bias)
    cdef const floating **pointers = NULL
    if sizes.c and windows.adjoint:
        first += 2 * matrix
        tap_stride, in_stride, out_stride = -matrix, 1, sizes.c
    try:
        panels = <floating *>malloc(max(<Py_ssize_t>1, TILE_PRODUCTS * product_size) * sizeof(floating))
        scratch = <floating *>malloc(team * block_size * sizeof(floating))
        zeros = <floating *>calloc(most, sizeof(floating))
        pointers = <const floating **>malloc(team * n_pointers * sizeof(void *))
        if panels == NULL or scratch == NULL or zeros == NULL or pointers == NULL:
            raise MemoryError(f"no memory for the product of {windows.n_out_rows} rows")
        if biases == NULL:
            biases = zeros
        with nogil, parallel(num_threads=team):
            for piece in prange(n_panels, schedule="static"):
                pack_filter_panel(
                    first + piece * width * out_stride, 3, sizes.c, min(width, sizes.f - piece * width),
                    tap_stride, in_stride, out_stride, width, panels + piece * sizes.c * width, product_size,
                )
            for piece in prange(n_blocks, schedule="dynamic"):
                tiles_of_block(
                    table, windows, sizes, piece * TILES_PER_BLOCK, source, panels,
                    biases, zeros, target, scratch + threadid() * block_size,
                    pointers + threadid() * n_pointers,
                )
    finally:
        free(panels)
        free(scratch)
        free(zeros)
        free(pointers)
    return 0


cdef void tiles_of_block(
    const simd_table *table,
    Windows windows,
    const Sizes *sizes,
    Py_ssize_t first,
    const floating *x,
    const floating *panels,
    const floating *bias,
    const floating *zeros,
    floating *out,
    floating *scratch,
    const floating **pointers,
) noexcept nogil:
    cdef Py_ssize_t n = min(<Py_ssize_t>TILES_PER_BLOCK, windows.n_tiles - first), k, panel, i
    cdef Py_ssize_t c = sizes.c, f = sizes.f, width = panel_width(table, x), n_panels = ceil_div(f, width)
    cdef const Tile *tiles = windows.tiles + first
    cdef const floating **results = pointers + TILES_PER_BLOCK * TILE_PRODUCTS
    cdef const floating **added = results + TILES_PER_BLOCK * TILE_OUTPUTS
    cdef floating *products = scratch + TILES_PER_BLOCK * TILE_PRODUCTS * c
    cdef floating *waste = products + TILES_PER_BLOCK * TILE_PRODUCTS * f
    point_to_inputs(tiles, n, windows.dilation, x, c, zeros, pointers)
    filter_inputs(table, TILE_OUTPUTS, TILE_PRODUCTS, n, pointers, c, scratch)
    for k in range(TILE_PRODUCTS):
        for panel in range(n_panels):
            gemm_panel(
                table, n, min(width, f - panel * width), c, scratch + k * n * c, c, 1,
                panels + (k * n_panels + panel) * c * width, products + k * n * f + panel * width, f, NULL,
                False,
            )
    point_to_outputs(tiles, n, windows.dilation, <const floating *>out, f, <const floating *>waste, results)
    for i in range(n * TILE_OUTPUTS):
        added[i] = bias
    filter_outputs(table, TILE_OUTPUTS, TILE_PRODUCTS, n, <const floating *>products, f,
                   <floating **>results, NULL, added, NULL)


# ---- gradients of the weights ------------------------------------------------------------------------------


def weight_gradient(
    Windows windows not None,
    const floating[:, ::1] x,              # IN   (t, c)
    const floating[:, ::1] d_out,          # IN   (t', f)
    floating[:, :, :, ::1] d_weights,      # OUT  (m, k, c / g, f)
    floating[:, ::1] d_bias=None,          # OUT  (m, f)
    Py_ssize_t groups=1,
    int n_threads=1,
):
    """d_weights[k] = sum_t x[t stride + k dilation - left]' d_out[t], d_bias = sum_t d_out[t].

    The windows are those of the convolution, not of its adjoint.
    """
    cdef Sizes sizes
    if windows.adjoint:
        raise ValueError("the windows are those of the adjoint, but those of the convolution are needed")
    measure(&sizes, windows, x.shape, d_weights.shape, d_out.shape, groups)
    check_kernels(windows, d_weights.shape[0], d_weights.shape[1], sizeof(floating), groups)
    if d_bias is not None and (d_bias.shape[0] != d_weights.shape[0] or d_bias.shape[1] != d_out.shape[1]):
        raise ValueError(
            f"d_bias is ({d_bias.shape[0]}, {d_bias.shape[1]}), but it must be ({d_weights.shape[0]}, "
            f"{d_out.shape[1]})"
        )
    if d_out.shape[1] == 0:
        return
    if windows.tiles != NULL:
        tile_gradients[floating](windows, &sizes, x, d_out, d_weights, d_bias, n_threads)
    elif sizes.c == 1 and sizes.f == 1:
        channel_gradients[floating](windows, x, d_out, d_weights, d_bias, n_threads)
    else:
        row_gradients[floating](windows, &sizes, x, d_out, d_weights, d_bias, n_threads)


cdef int row_gradients(
    Windows windows,
    const Sizes *sizes,
    const floating[:, ::1] x,
    const floating[:, ::1] d_out,
    floating[:, :, :, ::1] d_weights,
    floating[:, ::1] d_bias,
    int n_threads,
) except -1:
    """A task owns some rows (taps and channels) and some columns of one kernel's gradient."""
    cdef int team = team_size(n_threads, <double>windows.n_out_rows * sizes.taps * sizes.c * d_out.shape[1])
    cdef Py_ssize_t n_columns = ceil_div(sizes.f, CHANNELS_PER_TASK)
    cdef Py_ssize_t per_task = columns_per_task(sizes, windows.n_phases * sizes.groups * n_columns, team)
    cdef Py_ssize_t n_rows = max(<Py_ssize_t>1, ceil_div(sizes.taps * sizes.c, per_task))
    cdef Py_ssize_t per_phase = sizes.groups * n_rows * n_columns, task
    # gathered rows, panels of d_out with room for a last one, and products
    cdef Py_ssize_t block_size = (ROWS_PER_SUM * (COLUMNS_PER_TASK + 2 * CHANNELS_PER_TASK)
                                  + COLUMNS_PER_TASK * CHANNELS_PER_TASK)
    cdef const floating *source = first_value(x)
    cdef const floating *deltas = first_value(d_out)
    cdef floating *target = &d_weights[0, 0, 0, 0] if sizes.taps and sizes.c else NULL
    cdef floating *biases = &d_bias[0, 0] if d_bias is not None else NULL
    cdef floating *scratch = <floating *>malloc(team * block_size * sizeof(floating))
    if scratch == NULL:
        raise MemoryError(f"no memory for the gradients of {d_weights.shape[0]} kernels")
    for task in prange(windows.n_phases * per_phase, schedule="dynamic", num_threads=team, nogil=True):
        row_gradient(
            windows, sizes, task // per_phase, task // (n_rows * n_columns) % sizes.groups,
            task // n_columns % n_rows * per_task, per_task, task % n_columns * CHANNELS_PER_TASK,
            source, deltas, target, biases, scratch + threadid() * block_size,
        )
    free(scratch)
    return 0


cdef Py_ssize_t columns_per_task(const Sizes *sizes, Py_ssize_t n_others, int team) noexcept nogil:
    """As many as fit, or fewer so that all of a team have a task; it changes no sum."""
    cdef Py_ssize_t wanted = ceil_div(sizes.taps * sizes.c, ceil_div(team, n_others))
    wanted = max(<Py_ssize_t>1, ceil_div(wanted, COLUMNS_STEP)) * COLUMNS_STEP
    return min(<Py_ssize_t>COLUMNS_PER_TASK, wanted)


cdef void row_gradient(
    Windows windows,
    const Sizes *sizes,
    Py_ssize_t phase,
    Py_ssize_t group,
    Py_ssize_t first,              # row of the stacked matrices (taps, c)
    Py_ssize_t most_rows,          # of the stacked matrices
    Py_ssize_t column,             # of the group
    const floating *x,
    const floating *d_out,
    floating *d_weights,           # OUT  or NULL
    floating *d_bias,              # OUT  or NULL; written by the task of row 0
    floating *scratch,
) noexcept nogil:
    cdef const simd_table *table = active_table()
    cdef Py_ssize_t width = panel_width(table, x), columns = sizes.f * sizes.groups
    cdef Py_ssize_t n_rows = min(most_rows, sizes.taps * sizes.c - first)
    cdef Py_ssize_t n_columns = min(<Py_ssize_t>CHANNELS_PER_TASK, sizes.f - column)
    cdef Py_ssize_t origin = group * sizes.f + column, tap = windows.phase_taps[phase]
    cdef Py_ssize_t n_taps = windows.phase_taps[phase + 1] - tap, stride = sizes.c * sizes.groups
    cdef Py_ssize_t row = windows.phase_rows[phase], end = windows.phase_rows[phase + 1], n, i
    cdef const Row *rows
    cdef floating *panels = scratch + ROWS_PER_SUM * COLUMNS_PER_TASK
    cdef floating *product = panels + 2 * ROWS_PER_SUM * CHANNELS_PER_TASK
    cdef floating *target = d_weights + (phase * sizes.taps * sizes.c + first) * columns + origin
    cdef floating *bias = d_bias + phase * columns + origin if d_bias != NULL and first == 0 else NULL
    cdef floating one = 1
    for i in range(n_rows):
        memset(target + i * columns, 0, n_columns * sizeof(floating))
    if bias != NULL:
        memset(bias, 0, n_columns * sizeof(floating))
    while row < end:
        n = min(<Py_ssize_t>ROWS_PER_SUM, end - row)
        rows = windows.rows + row
        gather_panels(rows, n, d_out + origin, columns, n_columns, width, panels)
        if bias != NULL:  # the weights of a column of ones
            add_product(table, 1, n_columns, n, &one, 0, 0, panels, product, bias, columns)
        if lie_in_place(rows, n, windows.shifts + tap, n_taps, sizes.groups):
            i = rows[1].base - rows[0].base if n > 1 else 1
            add_product(table, n_rows, n_columns, n,
                        x + group * sizes.c + (rows[0].base + windows.shifts[tap]) * stride + first, 1,
                        i * stride, panels, product, target, columns)
        elif n_rows > 0:
            gather(rows, n, windows.shifts + tap, first, first + n_rows, sizes.c, x + group * sizes.c, stride,
                   scratch)
            add_product(table, n_rows, n_columns, n, scratch, 1, n_rows, panels, product, target, columns)
        row += n


cdef void add_product(
    const simd_table *table,
    Py_ssize_t m,
    Py_ssize_t n,
    Py_ssize_t k,
    const floating *a,             # IN   (m, k)
    Py_ssize_t row_stride,
    Py_ssize_t col_stride,
    const floating *panels,        # IN   (ceil(n / width), k, width)
    floating *product,             # scratch (m, n)
    floating *total,               # IN/OUT  (m, n)
    Py_ssize_t ldc,                # between rows of the total
) noexcept nogil:
    """total += a panels."""
    cdef Py_ssize_t width = panel_width(table, a), panel, i, j
    if m <= 0:
        return
    for panel in range(ceil_div(n, width)):
        j = panel * width
        gemm_panel(table, m, min(width, n - j), k, a, row_stride, col_stride, panels + j * k, product + j, n,
                   NULL, False)
    for i in range(m):
        for j in range(n):
            total[i * ldc + j] += product[i * n + j]


cdef void gather_panels(
    const Row *rows, Py_ssize_t n, const floating *d_out, Py_ssize_t stride, Py_ssize_t n_columns,
    Py_ssize_t width,
    floating *panels,              # OUT  (ceil(n_columns / width), n, width)
) noexcept nogil:
    """Rows of the gradient as panels of a right-hand matrix; missing columns are zero."""
    cdef Py_ssize_t i, panel, first, count
    cdef const floating *delta
    cdef floating *out
    for i in range(n):
        delta = d_out + rows[i].out * stride
        for panel in range(ceil_div(n_columns, width)):
            first = panel * width
            count = min(width, n_columns - first)
            out = panels + first * n + i * width
            copy_values(delta + first, count, out)
            if count < width:
                memset(out + count, 0, (width - count) * sizeof(floating))


cdef int channel_gradients(
    Windows windows,
    const floating[:, ::1] x,
    const floating[:, ::1] d_out,
    floating[:, :, :, ::1] d_weights,
    floating[:, ::1] d_bias,
    int n_threads,
) except -1:
    """Depthwise: a task owns some channels of one kernel."""
    cdef Py_ssize_t c = d_out.shape[1], taps = d_weights.shape[1]
    cdef Py_ssize_t n_columns = ceil_div(c, CHANNELS_PER_TASK), task
    cdef Py_ssize_t block_size = (taps + 1) * CHANNELS_PER_TASK
    cdef const floating *source = first_value(x)
    cdef const floating *deltas = first_value(d_out)
    cdef floating *target = &d_weights[0, 0, 0, 0] if taps else NULL
    cdef floating *biases = &d_bias[0, 0] if d_bias is not None else NULL
    cdef int team = team_size(n_threads, <double>windows.n_out_rows * taps * c)
    cdef floating *scratch = <floating *>malloc(team * block_size * sizeof(floating))
    if scratch == NULL:
        raise MemoryError(f"no memory for the gradients of {c} filters")
    for task in prange(windows.n_phases * n_columns, schedule="dynamic", num_threads=team, nogil=True):
        channel_gradient(windows, task // n_columns, task % n_columns * CHANNELS_PER_TASK, taps, c, source,
                         deltas, target, biases, scratch + threadid() * block_size)
    free(scratch)
    return 0


cdef void channel_gradient(
    Windows windows,
    Py_ssize_t phase,
    Py_ssize_t column,
    Py_ssize_t taps,
    Py_ssize_t c,
    const floating *x,
    const floating *d_out,
    floating *d_weights,
    floating *d_bias,
    floating *sums,                # scratch (taps + 1, CHANNELS_PER_TASK)
) noexcept nogil:
    cdef Py_ssize_t n = min(<Py_ssize_t>CHANNELS_PER_TASK, c - column), row, end, last, tap, source, j
    cdef Py_ssize_t first = windows.phase_taps[phase]
    cdef const Row *at
    cdef const floating *delta
    cdef const floating *value
    cdef floating *sum_
    cdef floating *target = d_weights + phase * taps * c + column
    for tap in range(taps):
        memset(target + tap * c, 0, n * sizeof(floating))
    if d_bias != NULL:
        memset(d_bias + phase * c + column, 0, n * sizeof(floating))
    row, last = windows.phase_rows[phase], windows.phase_rows[phase + 1]
    while row < last:
        end = min(last, row + ROWS_PER_SUM)
        memset(sums, 0, (taps + 1) * CHANNELS_PER_TASK * sizeof(floating))
        while row < end:
            at = windows.rows + row
            delta = d_out + at.out * c + column
            sum_ = sums + taps * CHANNELS_PER_TASK
            for j in range(n):
                sum_[j] += delta[j]
            for tap in range(taps):
                source = at.base + windows.shifts[first + tap]
                if at.begin <= source < at.end:
                    value = x + source * c + column
                    sum_ = sums + tap * CHANNELS_PER_TASK
                    for j in range(n):
                        sum_[j] += value[j] * delta[j]
            row += 1
        for tap in range(taps):
            for j in range(n):
                target[tap * c + j] += sums[tap * CHANNELS_PER_TASK + j]
        if d_bias != NULL:
            for j in range(n):
                d_bias[phase * c + column + j] += sums[taps * CHANNELS_PER_TASK + j]


cdef int tile_gradients(
    Windows windows,
    const Sizes *sizes,
    const floating[:, ::1] x,
    const floating[:, ::1] d_out,
    floating[:, :, :, ::1] d_weights,
    floating[:, ::1] d_bias,
    int n_threads,
) except -1:
    """d_weights = G' sum over tiles of (B' x)' (A d_out): a task owns some columns of one of the products."""
    cdef Py_ssize_t c = sizes.c, f = sizes.f, matrix = c * f, task
    cdef Py_ssize_t n_columns = ceil_div(f, CHANNELS_PER_TASK), block_size, n_pointers
    cdef const floating *source = first_value(x)
    cdef const floating *deltas = first_value(d_out)
    cdef floating *biases = &d_bias[0, 0] if d_bias is not None else NULL
    cdef int team = team_size(n_threads, <double>windows.n_out_rows * 3 * matrix)
    cdef floating *sums = NULL
    cdef floating *zeros = NULL
    cdef floating *scratch = NULL
    cdef const floating **pointers = NULL
    block_size = ROWS_PER_SUM * (c + 2 * CHANNELS_PER_TASK) + max(c, <Py_ssize_t>1) * CHANNELS_PER_TASK
    n_pointers = TILES_PER_BLOCK * (TILE_PRODUCTS + TILE_OUTPUTS)
    try:
        sums = <floating *>calloc(max(<Py_ssize_t>1, TILE_PRODUCTS * matrix), sizeof(floating))
        zeros = <floating *>calloc(max(c, f), sizeof(floating))
        scratch = <floating *>malloc(team * block_size * sizeof(floating))
        pointers = <const floating **>malloc(team * n_pointers * sizeof(void *))
        if sums == NULL or zeros == NULL or scratch == NULL or pointers == NULL:
            raise MemoryError(f"no memory for the gradients of ({sizes.taps}, {c}, {f}) weights")
        with nogil, parallel(num_threads=team):
            for task in prange(TILE_PRODUCTS * n_columns, schedule="dynamic"):
                tile_gradient(
                    windows, sizes, task // n_columns, task % n_columns * CHANNELS_PER_TASK, source, deltas,
                    zeros, sums + task // n_columns * matrix, scratch + threadid() * block_size,
                    pointers + threadid() * n_pointers,
                )
            if biases != NULL:
                for task in prange(n_columns, schedule="static"):
                    sum_of_rows(windows.n_out_rows, deltas, f, task * CHANNELS_PER_TASK,
                                scratch + threadid() * block_size, biases)
        if matrix:
            unfilter(sums, matrix, TILE_PRODUCTS, 3, matrix, &d_weights[0, 0, 0, 0])
    finally:
        free(sums)
        free(zeros)
        free(scratch)
        free(pointers)
    return 0


cdef void tile_gradient(
    Windows windows,
    const Sizes *sizes,
    Py_ssize_t k,
    Py_ssize_t column,
    const floating *x,
    const floating *d_out,
    const floating *zeros,
    floating *total,               # IN/OUT  (c, f) zeros before
    floating *scratch,
    const floating **pointers,
) noexcept nogil:
    """total = sum over tiles of (row k of B' x)' (row k of A d_out), some columns."""
    cdef const simd_table *table = active_table()
    cdef Py_ssize_t c = sizes.c, f = sizes.f, width = panel_width(table, x)
    cdef Py_ssize_t n_columns = min(<Py_ssize_t>CHANNELS_PER_TASK, f - column)
    cdef Py_ssize_t done = 0, filled = 0, n, i, j, panel
    cdef floating *panels = scratch + ROWS_PER_SUM * c
    cdef floating *product = panels + 2 * ROWS_PER_SUM * CHANNELS_PER_TASK
    cdef const floating **results = pointers + TILES_PER_BLOCK * TILE_PRODUCTS
    while done < windows.n_tiles:
        n = min(min(<Py_ssize_t>TILES_PER_BLOCK, windows.n_tiles - done), ROWS_PER_SUM - filled)
        point_to_inputs(windows.tiles + done, n, windows.dilation, x, c, zeros, pointers)
        filter_input(table, TILE_OUTPUTS, TILE_PRODUCTS, k, n, pointers, c, scratch + filled * c)
        point_to_outputs(windows.tiles + done, n, windows.dilation, d_out + column, f, zeros, results)
        filter_delta(table, TILE_OUTPUTS, k, n, results, n_columns, panels + filled * width,
                     ROWS_PER_SUM * width)
        done += n
        filled += n
        if filled == ROWS_PER_SUM or done == windows.n_tiles:
            for panel in range(ceil_div(n_columns, width)):
                j = panel * width
                gemm_panel(table, c, min(width, n_columns - j), filled, scratch, 1, c,
                           panels + j * ROWS_PER_SUM, product + j, n_columns, NULL, False)
            for i in range(c):
                for j in range(n_columns):
                    total[i * f + column + j] += product[i * n_columns + j]
            filled = 0


cdef void sum_of_rows(
    Py_ssize_t n_rows, const floating *d_out, Py_ssize_t f, Py_ssize_t column, floating *sums, floating *out,
) noexcept nogil:
    """Some columns of the sum over all rows, in pieces of ROWS_PER_SUM."""
    cdef Py_ssize_t n = min(<Py_ssize_t>CHANNELS_PER_TASK, f - column), row = 0, end, j
    cdef const floating *delta
    memset(out + column, 0, n * sizeof(floating))
    while row < n_rows:
        end = min(n_rows, row + ROWS_PER_SUM)
        memset(sums, 0, n * sizeof(floating))
        while row < end:
            delta = d_out + row * f + column
            for j in range(n):
                sums[j] += delta[j]
            row += 1
        for j in range(n):
            out[column + j] += sums[j]


def column_sums(
    const floating[:, ::1] x,              # IN   (t, c)
    floating[::1] out,                     # OUT  (c,)
    int n_threads=1,
):
    """out = sum_t x[t], the gradient of a bias."""
    cdef Py_ssize_t c = x.shape[1], n_columns = ceil_div(c, CHANNELS_PER_TASK), task
    cdef const floating *source = first_value(x)
    cdef int team = team_size(n_threads, <double>x.shape[0] * c)
    cdef floating *scratch
    if out.shape[0] != c:
        raise ValueError(f"out has {out.shape[0]} values for {c} columns")
    if c == 0:
        return
    scratch = <floating *>malloc(team * CHANNELS_PER_TASK * sizeof(floating))
    if scratch == NULL:
        raise MemoryError(f"no memory for the sums of {c} columns")
    for task in prange(n_columns, schedule="static", num_threads=team, nogil=True):
        sum_of_rows(x.shape[0], source, c, task * CHANNELS_PER_TASK,
                    scratch + threadid() * CHANNELS_PER_TASK, &out[0])
    free(scratch)


def prefers_minimal_filtering(
    Py_ssize_t kernel_size,
    Py_ssize_t stride,
    Py_ssize_t n_kernels,
    Py_ssize_t groups,
    Py_ssize_t c,
    Py_ssize_t f,
    Py_ssize_t dtype_size,
):
    """True if a convolution of this shape is faster by minimal filtering."""
    return (dtype_size == 4 and kernel_size == 3 and stride == 1 and n_kernels == 1 and groups == 1
            and min(c, f) >= LEAST_CHANNELS)
