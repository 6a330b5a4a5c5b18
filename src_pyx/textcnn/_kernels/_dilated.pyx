"""Dilated convolution along sentences, through a stack of layers, forward and backward.

A layer of kernel width k and dilation d computes, inside each sentence,

    y[t] = bias + sum_j x[t + (j - (k - 1) // 2) d] weights[j],    rows outside the sentence being zero,

and then ReLU. It is worked out in tiles by minimal filtering (Lavin & Gray 2015): a tile holds the
results t, t + d, t + 2d, t + 3d, which need six rows and six matrix products instead of twelve. Tiles are
counted from the start of each sentence, so that a row's bits do not depend on its neighbours in the batch.
In float64, and for widths other than 3, a tile is one row and the convolution direct.

Sentences are shared out in pieces whose number depends on the batch alone; a thread takes a piece
through all layers, so that the activations stay in its cache.

Notation: t tokens of all sentences, n sentences, c channels in, f channels out, k kernel width.
A level is the activation between two layers: level 0 is the input of the first layer.
"""

from cython cimport floating
from cython.parallel cimport prange, threadid
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from textcnn._kernels._openmp cimport team_size
from textcnn._kernels._scratch cimport borrow, give_back
from textcnn._kernels._simd cimport (
    active_table,
    filter_delta,
    filter_input,
    filter_inputs,
    filter_outputs,
    gemm_panel,
    panel_width,
    simd_table,
)

# Tiles that pass through the products together: their inputs and one panel of weights fit in the
# first-level cache; a multiple of the rows of a register tile.
cdef enum:
    TILES_PER_BLOCK = 36

# Tiles of a weight gradient's inner sums that are transformed at once.
cdef enum:
    TILES_PER_SUM = 1024

# Tokens of a piece, about: few enough for the cache, enough to fill blocks of tiles.
cdef enum:
    TOKENS_PER_PIECE = 128

# Limit of sizes: no product or sum of them overflows.
cdef enum:
    MAX_SIZE = 1 << 28

# Rows of results in a tile of width 3 in float32.
cdef enum:
    OUTPUTS_PER_TILE = 4


cdef struct Tile:
    Py_ssize_t first       # row of the first result
    Py_ssize_t begin       # rows of the sentence
    Py_ssize_t end


cdef class Tiling:
    """The tiles and pieces of a packed batch, for every dilation that a stack of layers has.

    Parameters
    ----------
    offsets : intp array of shape (n + 1,)
    dilations : sequence of int
        Dilation of each layer.
    kernel_size : int
    dtype_size : int
        4 for float32, 8 for float64.
    """

    cdef readonly tuple dilations
    cdef readonly Py_ssize_t n_rows
    cdef readonly Py_ssize_t kernel_size
    cdef readonly Py_ssize_t n_pieces
    cdef readonly Py_ssize_t n_outputs     # rows of results in a tile
    cdef readonly Py_ssize_t n_products    # rows of input, and matrix products, of a tile
    cdef Py_ssize_t most_rows              # of a piece
    cdef Py_ssize_t n_distinct             # dilations
    cdef Py_ssize_t *distinct              # (n_distinct,)
    cdef Py_ssize_t *of_layer              # (n_layers,) place in `distinct`
    cdef Tile **tiles                      # (n_distinct,) tiles of all sentences
    cdef Py_ssize_t *piece_tiles           # (n_distinct, n_pieces + 1)
    cdef Py_ssize_t *piece_sentences       # (n_pieces + 1,)
    cdef Py_ssize_t *piece_rows            # (n_pieces + 1,)

    def __cinit__(self, const Py_ssize_t[::1] offsets, dilations, Py_ssize_t kernel_size,
                  Py_ssize_t dtype_size):
        cdef Py_ssize_t n = offsets.shape[0] - 1, i, k
        self.dilations = tuple(dilations)
        if not 1 <= kernel_size <= MAX_SIZE:
            raise ValueError(f"the kernel size is {kernel_size}, but it must be at least 1")
        for dilation in self.dilations:
            if not 1 <= dilation <= MAX_SIZE:
                raise ValueError(f"a dilation is {dilation}, but it must be at least 1")
        if n < 0 or offsets[0] != 0:
            raise ValueError("offsets must start with 0")
        for i in range(n):
            if offsets[i] > offsets[i + 1]:
                raise ValueError(f"offsets fall from {offsets[i]} to {offsets[i + 1]} at sentence {i}")
        if dtype_size not in (4, 8):
            raise ValueError(f"dtype_size is {dtype_size}, but it must be 4 or 8")
        self.n_rows = offsets[n]
        self.kernel_size = kernel_size
        self.n_outputs = OUTPUTS_PER_TILE if kernel_size == 3 and dtype_size == 4 else 1
        self.n_products = self.n_outputs + kernel_size - 1
        self.n_pieces = max(<Py_ssize_t>1, min(n, (self.n_rows + TOKENS_PER_PIECE - 1) // TOKENS_PER_PIECE))
        values = sorted(set(self.dilations))
        self.n_distinct = len(values)
        self.distinct = <Py_ssize_t *>calloc(max(1, self.n_distinct), sizeof(Py_ssize_t))
        self.of_layer = <Py_ssize_t *>calloc(max(1, <Py_ssize_t>len(self.dilations)), sizeof(Py_ssize_t))
        self.tiles = <Tile **>calloc(max(1, self.n_distinct), sizeof(Tile *))
        self.piece_tiles = <Py_ssize_t *>calloc(max(1, self.n_distinct) * (self.n_pieces + 1),
                                                sizeof(Py_ssize_t))
        self.piece_sentences = <Py_ssize_t *>calloc(self.n_pieces + 1, sizeof(Py_ssize_t))
        self.piece_rows = <Py_ssize_t *>calloc(self.n_pieces + 1, sizeof(Py_ssize_t))
        if (self.distinct == NULL or self.of_layer == NULL or self.tiles == NULL or self.piece_tiles == NULL
                or self.piece_sentences == NULL or self.piece_rows == NULL):
            raise MemoryError(f"no memory for the tiles of {n} sentences")
        for i in range(len(self.dilations)):
            self.of_layer[i] = values.index(self.dilations[i])
        self.cut_pieces(offsets)
        for k in range(self.n_distinct):
            self.distinct[k] = values[k]
            self.list_tiles(offsets, k)

    def __dealloc__(self):
        cdef Py_ssize_t k
        if self.tiles != NULL:
            for k in range(self.n_distinct):
                free(self.tiles[k])
        free(self.tiles)
        free(self.distinct)
        free(self.of_layer)
        free(self.piece_tiles)
        free(self.piece_sentences)
        free(self.piece_rows)

    cdef int cut_pieces(self, const Py_ssize_t[::1] offsets) except -1:
        """Whole sentences, about the same number of tokens in each piece."""
        cdef Py_ssize_t n = offsets.shape[0] - 1, i = 0, piece
        for piece in range(1, self.n_pieces + 1):
            while i < n and offsets[i + 1] <= self.n_rows * piece // self.n_pieces:
                i += 1
            if piece == self.n_pieces:
                i = n
            self.piece_sentences[piece] = i
            self.piece_rows[piece] = offsets[i]
            self.most_rows = max(self.most_rows, offsets[i] - self.piece_rows[piece - 1])
        return 0

    cdef int list_tiles(self, const Py_ssize_t[::1] offsets, Py_ssize_t k) except -1:
        cdef Py_ssize_t dilation = self.distinct[k], step = dilation * self.n_outputs
        cdef Py_ssize_t piece, i, phase, length, first, count = 0
        for i in range(offsets.shape[0] - 1):
            length = offsets[i + 1] - offsets[i]
            for phase in range(min(dilation, length)):
                count += (length - phase + step - 1) // step
        cdef Tile *tiles = <Tile *>malloc(max(1, count) * sizeof(Tile))
        if tiles == NULL:
            raise MemoryError(f"no memory for {count} tiles")
        self.tiles[k] = tiles
        count = 0
        for piece in range(self.n_pieces):
            for i in range(self.piece_sentences[piece], self.piece_sentences[piece + 1]):
                for phase in range(min(dilation, offsets[i + 1] - offsets[i])):
                    first = offsets[i] + phase
                    while first < offsets[i + 1]:
                        tiles[count] = Tile(first, offsets[i], offsets[i + 1])
                        count += 1
                        first += step
            self.piece_tiles[k * (self.n_pieces + 1) + piece + 1] = count
        return 0


cdef inline Py_ssize_t round_up(Py_ssize_t n, Py_ssize_t step) noexcept nogil:
    return (n + step - 1) // step * step


# ---- weights as the products take them -----------------------------------------------------------


def filters_size(const floating[:, :, ::1] weights, bint transposed=False):
    """Length of the array that `pack_filters` fills."""
    cdef Py_ssize_t taps = weights.shape[0]
    cdef Py_ssize_t n_in = weights.shape[2 if transposed else 1]
    cdef Py_ssize_t n_out = weights.shape[1 if transposed else 2]
    cdef const floating *like = NULL
    return products_of[floating](taps, like) * n_in * round_up(n_out, panel_width(active_table(), like))


cdef inline Py_ssize_t products_of(Py_ssize_t taps, const floating *like) noexcept nogil:
    if floating is float:
        return OUTPUTS_PER_TILE + 2 if taps == 3 else taps
    else:
        return taps


def pack_filters(
    const floating[:, :, ::1] weights,    # IN   (k, c, f)
    floating[::1] panels,                 # OUT  (filters_size(weights, transposed),)
    bint transposed=False,
    int n_threads=1,
):
    """G weights, in panels; with `transposed` those of the gradient, weights[k - 1 - j] transposed."""
    cdef Py_ssize_t taps = weights.shape[0], n_in = weights.shape[1], n_out = weights.shape[2]
    cdef Py_ssize_t tap_stride = n_in * n_out, in_stride = n_out, out_stride = 1, panel, width
    cdef const floating *first
    if panels.shape[0] != filters_size(weights, transposed):
        raise ValueError(f"panels must have {filters_size(weights, transposed)} values")
    if panels.shape[0] == 0:
        return
    first = &weights[0, 0, 0]
    if transposed:
        first += (taps - 1) * tap_stride
        tap_stride, in_stride, out_stride = -tap_stride, 1, n_out
        n_in, n_out = n_out, n_in
    width = panel_width(active_table(), first)
    for panel in prange((n_out + width - 1) // width, nogil=True,
                        num_threads=team_size(n_threads, <double>taps * n_in * n_out * 30)):
        pack_filter_panel(first + panel * width * out_stride, taps, n_in, min(width, n_out - panel * width),
                          tap_stride, in_stride, out_stride, width,
                          &panels[0] + panel * n_in * width,
                          n_in * round_up(n_out, width))


cdef void pack_filter_panel(
    const floating *weights,
    Py_ssize_t taps,
    Py_ssize_t n_in,
    Py_ssize_t n,
    Py_ssize_t tap_stride,
    Py_ssize_t in_stride,
    Py_ssize_t out_stride,
    Py_ssize_t width,
    floating *panel,               # OUT  (n_in, width) of each product
    Py_ssize_t product_stride,
) noexcept nogil:
    cdef Py_ssize_t products = products_of(taps, weights), i, o, k
    cdef const floating *w
    cdef floating *out
    cdef floating sides, middle, wide
    for i in range(n_in):
        for o in range(width):
            out = panel + i * width + o
            if o >= n:
                for k in range(products):
                    out[k * product_stride] = 0
                continue
            w = weights + i * in_stride + o * out_stride
            if products == taps:
                for k in range(products):
                    out[k * product_stride] = w[k * tap_stride]
                continue
            sides = w[0] + w[2 * tap_stride]
            middle = w[tap_stride]
            wide = w[0] + 4 * w[2 * tap_stride]
            out[0] = w[0] / 4
            out[product_stride] = -(sides + middle) / 6
            out[2 * product_stride] = -(sides - middle) / 6
            out[3 * product_stride] = (wide + 2 * middle) / 24
            out[4 * product_stride] = (wide - 2 * middle) / 24
            out[5 * product_stride] = w[2 * tap_stride]


# ---- levels --------------------------------------------------------------------------------------


# Where the rows of each level and the weights of each layer are; void, since no struct is fused.
cdef struct Layout:
    Py_ssize_t n_layers
    Py_ssize_t most_columns
    Py_ssize_t *columns      # (n_layers + 1,) of each level
    void **levels            # (n_layers + 1,) first row, or NULL for a level that nobody keeps
    Py_ssize_t *strides      # (n_layers + 1,)
    void **others            # (n_layers + 1,) gradients of the levels
    Py_ssize_t *other_strides
    void **deltas            # (n_layers + 1,) gradients before ReLU
    Py_ssize_t *delta_strides
    void **panels            # (n_layers,)
    void **biases            # (n_layers,)


cdef int open_layout(Layout *layout, Py_ssize_t n_layers) except -1:
    """Zeroed memory for the pointers; `close_layout` frees it, also after an error here."""
    cdef Py_ssize_t n = n_layers + 1
    layout.n_layers = n_layers
    layout.most_columns = 0
    layout.columns = <Py_ssize_t *>calloc(n, sizeof(Py_ssize_t))
    layout.levels = <void **>calloc(n, sizeof(void *))
    layout.strides = <Py_ssize_t *>calloc(n, sizeof(Py_ssize_t))
    layout.others = <void **>calloc(n, sizeof(void *))
    layout.other_strides = <Py_ssize_t *>calloc(n, sizeof(Py_ssize_t))
    layout.deltas = <void **>calloc(n, sizeof(void *))
    layout.delta_strides = <Py_ssize_t *>calloc(n, sizeof(Py_ssize_t))
    layout.panels = <void **>calloc(n, sizeof(void *))
    layout.biases = <void **>calloc(n, sizeof(void *))
    if (layout.columns == NULL or layout.levels == NULL or layout.strides == NULL or layout.others == NULL
            or layout.other_strides == NULL or layout.deltas == NULL or layout.delta_strides == NULL
            or layout.panels == NULL or layout.biases == NULL):
        raise MemoryError(f"no memory for the pointers of {n_layers} layers")
    return 0


cdef void close_layout(Layout *layout) noexcept:
    free(layout.columns)
    free(layout.levels)
    free(layout.strides)
    free(layout.others)
    free(layout.other_strides)
    free(layout.deltas)
    free(layout.delta_strides)
    free(layout.panels)
    free(layout.biases)


cdef int check_rows(const Py_ssize_t *shape, const Py_ssize_t *strides, Py_ssize_t expected_rows,
                    Py_ssize_t expected_columns, Py_ssize_t itemsize, what) except -1:
    if shape[0] != expected_rows or shape[1] != expected_columns:
        raise ValueError(
            f"{what} is ({shape[0]}, {shape[1]}), but it must be ({expected_rows}, {expected_columns})"
        )
    if strides[1] != itemsize:
        raise ValueError(f"the columns of {what} must be adjacent")
    if strides[0] % itemsize:
        raise ValueError(
            f"the rows of {what} are {strides[0]} bytes apart, no multiple of {itemsize}; make a contiguous "
            "copy"
        )
    return 0


cdef Py_ssize_t columns_of(array, what) except -1:
    """The columns of what must be an array of two dimensions."""
    cdef tuple shape = shape_of(array)
    if len(shape) != 2:
        raise ValueError(f"{what} must be an array with two dimensions, but found {type(array).__name__}")
    return shape[1]


cdef Py_ssize_t length_of(bias) except -1:
    """The values of what must be an array of one dimension."""
    cdef tuple shape = shape_of(bias)
    if len(shape) != 1:
        raise ValueError(f"each bias must be an array with one dimension, but found {type(bias).__name__}")
    return shape[0]


cdef tuple shape_of(array):
    """The shape of an array, () for anything else."""
    shape = getattr(array, "shape", ())
    return shape if isinstance(shape, tuple) else ()


cdef int set_written(
    void **places, Py_ssize_t *strides, Py_ssize_t level, const floating *like, object array,
    Py_ssize_t n_rows, Py_ssize_t n_columns, what,
) except -1:
    """Note the place of an array that is written; None leaves it NULL."""
    cdef floating[:, :] rows
    if array is None:
        return 0
    rows = array
    check_rows(rows.shape, rows.strides, n_rows, n_columns, sizeof(floating), what)
    if n_rows and n_columns:
        places[level] = &rows[0, 0]
    strides[level] = rows.strides[0] // <Py_ssize_t>sizeof(floating)
    return 0


cdef int set_read(
    void **places, Py_ssize_t *strides, Py_ssize_t level, const floating *like, object array,
    Py_ssize_t n_rows, Py_ssize_t n_columns, what,
) except -1:
    """Note the place of an array that is read only; None leaves it NULL."""
    cdef const floating[:, :] rows
    if array is None:
        return 0
    rows = array
    check_rows(rows.shape, rows.strides, n_rows, n_columns, sizeof(floating), what)
    if n_rows and n_columns:
        places[level] = <void *>&rows[0, 0]
    strides[level] = rows.strides[0] // <Py_ssize_t>sizeof(floating)
    return 0


cdef int set_panels(
    Layout *layout, Py_ssize_t layer, const floating *like, object array, Py_ssize_t taps,
    Py_ssize_t n_in, Py_ssize_t n_out,
) except -1:
    cdef const floating[::1] panels = array
    cdef Py_ssize_t size = products_of(taps, like) * n_in * round_up(n_out, panel_width(active_table(), like))
    if panels.shape[0] != size:
        raise ValueError(f"the panels of layer {layer} have {panels.shape[0]} values, but it needs {size}")
    if size:
        layout.panels[layer] = <void *>&panels[0]
    return 0


# The memory of one thread.
cdef struct Scratch:
    void *inputs         # (products, TILES_PER_BLOCK, columns)
    void *products       # (products, TILES_PER_BLOCK, columns)
    void *waste          # (columns,) a row that nobody reads
    void **rows          # (TILES_PER_BLOCK * products,)
    void **results       # (TILES_PER_BLOCK * outputs,)
    void **added
    void **gates
    void *level[2]       # (most_rows, columns) levels that nobody keeps, in turn


cdef int open_scratch(Scratch *scratch, Tiling tiling, Py_ssize_t columns, bint levels,
                      Py_ssize_t itemsize) except -1:
    cdef Py_ssize_t block = TILES_PER_BLOCK * tiling.n_products
    columns = max(1, columns)
    scratch.inputs = borrow(block * columns * itemsize)
    scratch.products = borrow(block * columns * itemsize)
    scratch.waste = malloc(columns * itemsize)
    scratch.rows = <void **>malloc(block * sizeof(void *))
    scratch.results = <void **>malloc(block * sizeof(void *))
    scratch.added = <void **>malloc(block * sizeof(void *))
    scratch.gates = <void **>malloc(block * sizeof(void *))
    scratch.level[0] = scratch.level[1] = NULL
    if levels:
        scratch.level[0] = malloc(max(1, tiling.most_rows) * columns * itemsize)
        scratch.level[1] = malloc(max(1, tiling.most_rows) * columns * itemsize)
    if (scratch.inputs == NULL or scratch.products == NULL or scratch.waste == NULL or scratch.rows == NULL
            or scratch.results == NULL or scratch.added == NULL or scratch.gates == NULL
            or (levels and (scratch.level[0] == NULL or scratch.level[1] == NULL))):
        raise MemoryError(f"no memory for the convolution of {tiling.most_rows} rows of {columns} channels")
    return 0


cdef void close_scratch(Scratch *scratches, int n) noexcept:
    cdef int i
    if scratches == NULL:
        return
    for i in range(n):
        give_back(scratches[i].inputs)
        give_back(scratches[i].products)
        free(scratches[i].waste)
        free(scratches[i].rows)
        free(scratches[i].results)
        free(scratches[i].added)
        free(scratches[i].gates)
        free(scratches[i].level[0])
        free(scratches[i].level[1])
    free(scratches)


# ---- one layer over some tiles -------------------------------------------------------------------


cdef void point_to_rows(
    const Tile *tiles,
    Py_ssize_t n_tiles,
    Py_ssize_t dilation,
    Py_ssize_t shift,              # of the first row of a tile from its first result
    Py_ssize_t n_each,             # rows of a tile
    const floating *base,          # row `origin`
    Py_ssize_t origin,
    Py_ssize_t stride,
    const floating *outside,       # stands for rows outside the sentence
    const floating **rows,         # OUT  (n_tiles * n_each,)
) noexcept nogil:
    cdef Py_ssize_t i, k, row
    for i in range(n_tiles):
        for k in range(n_each):
            row = tiles[i].first + shift + k * dilation
            if tiles[i].begin <= row < tiles[i].end:
                rows[i * n_each + k] = base + (row - origin) * stride
            else:
                rows[i * n_each + k] = outside


cdef void convolve(
    Tiling tiling,
    Py_ssize_t layer,
    Py_ssize_t piece,
    Py_ssize_t left,               # taps to the left of the row of a result
    const floating *x,             # IN   row `x_origin`
    Py_ssize_t x_origin,
    Py_ssize_t x_stride,
    Py_ssize_t c,
    const floating *panels,        # IN
    const floating *bias,          # IN   (f,) or NULL; with it ReLU
    const floating *added,         # IN   or NULL; `added_stride` is then 0
    Py_ssize_t added_stride,
    const floating *gates,         # IN   or NULL
    Py_ssize_t gate_stride,
    floating *y,                   # OUT  row `y_origin`
    Py_ssize_t y_origin,
    Py_ssize_t y_stride,
    Py_ssize_t f,
    const floating *zeros,         # IN   (max(c, f),)
    Scratch *scratch,
) noexcept nogil:
    """The tiles of one piece through one layer."""
    cdef const simd_table *table = active_table()
    cdef Py_ssize_t which = tiling.of_layer[layer], dilation = tiling.distinct[which]
    cdef Py_ssize_t products = tiling.n_products, outputs = tiling.n_outputs
    cdef Py_ssize_t width = panel_width(table, x), n_panels = (f + width - 1) // width
    cdef Py_ssize_t *ends = tiling.piece_tiles + which * (tiling.n_pieces + 1) + piece
    cdef Py_ssize_t done = ends[0], n, k, panel
    cdef const Tile *tiles
    while done < ends[1]:
        n = min(<Py_ssize_t>TILES_PER_BLOCK, ends[1] - done)
        tiles = tiling.tiles[which] + done
        point_to_rows(tiles, n, dilation, -left * dilation, products, x, x_origin, x_stride, zeros,
                      <const floating **>scratch.rows)
        filter_inputs(table, outputs, products, n, <const floating **>scratch.rows, c,
                      <floating *>scratch.inputs)
        for k in range(products):
            for panel in range(n_panels):
                gemm_panel(
                    table, n, min(width, f - panel * width), c, <floating *>scratch.inputs + k * n * c, c, 1,
                    panels + (k * n_panels + panel) * c * width,
                    <floating *>scratch.products + k * n * f + panel * width, f, NULL, False,
                )
        point_to_rows(tiles, n, dilation, 0, outputs, <const floating *>y, y_origin, y_stride,
                      <const floating *>scratch.waste, <const floating **>scratch.results)
        if bias == NULL:
            point_to_rows(tiles, n, dilation, 0, outputs, zeros if added == NULL else added, 0,
                          added_stride, zeros, <const floating **>scratch.added)
        if gates != NULL:
            point_to_rows(tiles, n, dilation, 0, outputs, gates, 0, gate_stride, zeros,
                          <const floating **>scratch.gates)
        filter_outputs(
            table, outputs, products, n, <const floating *>scratch.products, f,
            <floating **>scratch.results, bias, <const floating **>scratch.added,
            <const floating **>scratch.gates if gates != NULL else NULL,
        )
        done += n


# ---- forward -------------------------------------------------------------------------------------


cdef double stack_cost(Tiling tiling, const Layout *layout) noexcept nogil:
    cdef Py_ssize_t layer
    cdef double total = 0
    for layer in range(layout.n_layers):
        total += <double>layout.columns[layer] * layout.columns[layer + 1]
    return total * tiling.n_rows * tiling.kernel_size


cdef int set_levels(
    Layout *layout,
    Tiling tiling,
    const floating[:, :] x,
    list widths,
) except -1:
    """The columns of every level, and the place of level 0."""
    cdef Py_ssize_t level
    layout.columns[0] = x.shape[1]
    for level in range(1, layout.n_layers + 1):
        layout.columns[level] = widths[level - 1]
    for level in range(layout.n_layers + 1):
        if not 1 <= layout.columns[level] <= MAX_SIZE:
            raise ValueError(f"level {level} has {layout.columns[level]} channels, but it needs at least 1")
        layout.most_columns = max(layout.most_columns, layout.columns[level])
    set_read[floating](layout.levels, layout.strides, 0, NULL, x, tiling.n_rows, x.shape[1], "x")
    return 0


cdef int check_length(list items, Py_ssize_t n, what) except -1:
    if len(items) != n:
        raise ValueError(f"{what} has {len(items)} items, but there are {n}")
    return 0


def conv_stack_forward(
    Tiling tiling not None,
    const floating[:, :] x not None,  # IN   (t, c)
    list levels not None,         # OUT  arrays (t, f) after each layer, or None for what nobody keeps
    list panels not None,         # IN   arrays of `pack_filters`
    list biases not None,         # IN   arrays (f,)
    int n_threads=1,
):
    """y[t] = ReLU(bias + sum_j x[t + (j - (k - 1) // 2) d] weights[j]), layer after layer."""
    cdef Layout layout
    cdef Py_ssize_t n_layers = len(tiling.dilations), layer, columns
    cdef const floating[::1] bias
    cdef Scratch *scratches = NULL
    cdef floating *zeros = NULL
    cdef Py_ssize_t piece
    cdef int team = 1, i
    check_length(levels, n_layers, "levels")
    check_length(panels, n_layers, "panels")
    check_length(biases, n_layers, "biases")
    if (tiling.n_outputs > 1) != (sizeof(floating) == 4 and tiling.kernel_size == 3):
        raise ValueError(f"the tiling is for the other dtype than that of x, {sizeof(floating)} bytes")
    try:
        open_layout(&layout, n_layers)
        set_levels(&layout, tiling, x, [length_of(bias_) for bias_ in biases])
        for layer in range(n_layers):
            columns = layout.columns[layer + 1]
            set_written[floating](layout.levels, layout.strides, layer + 1, NULL, levels[layer],
                                  tiling.n_rows, columns, f"level {layer + 1}")
            set_panels[floating](&layout, layer, NULL, panels[layer], tiling.kernel_size,
                                 layout.columns[layer], columns)
            bias = biases[layer]
            if columns:
                layout.biases[layer] = <void *>&bias[0]
        if tiling.n_rows == 0 or layout.most_columns == 0:
            return
        team = team_size(min(n_threads, <int>tiling.n_pieces), stack_cost(tiling, &layout))
        zeros = <floating *>calloc(layout.most_columns, sizeof(floating))
        scratches = <Scratch *>calloc(team, sizeof(Scratch))
        if zeros == NULL or scratches == NULL:
            raise MemoryError(f"no memory for the scratch of {team} threads")
        for i in range(team):
            open_scratch(scratches + i, tiling, layout.most_columns,
                         any(level is None for level in levels), sizeof(floating))
        for piece in prange(tiling.n_pieces, schedule="dynamic", num_threads=team, nogil=True):
            forward_piece(tiling, &layout, piece, <const floating *>zeros, scratches + threadid())
    finally:
        close_scratch(scratches, team)
        free(zeros)
        close_layout(&layout)


cdef void forward_piece(
    Tiling tiling, const Layout *layout, Py_ssize_t piece, const floating *zeros, Scratch *scratch,
) noexcept nogil:
    cdef Py_ssize_t layer, origin, next_origin, stride, next_stride, first = tiling.piece_rows[piece]
    cdef floating *x = <floating *>layout.levels[0]
    cdef floating *y
    origin, stride = 0, layout.strides[0]
    for layer in range(layout.n_layers):
        y = <floating *>layout.levels[layer + 1]
        next_origin, next_stride = 0, layout.strides[layer + 1]
        if y == NULL:
            y = <floating *>scratch.level[layer % 2]
            next_origin, next_stride = first, layout.columns[layer + 1]
        convolve[floating](
            tiling, layer, piece, (tiling.kernel_size - 1) // 2, x, origin, stride, layout.columns[layer],
            <const floating *>layout.panels[layer], <const floating *>layout.biases[layer], NULL, 0, NULL, 0,
            y, next_origin, next_stride, layout.columns[layer + 1], zeros, scratch,
        )
        x, origin, stride = y, next_origin, next_stride


# ---- backward ------------------------------------------------------------------------------------


def conv_stack_backward(
    Tiling tiling not None,
    const floating[:, :] x not None,  # IN   (t, c)
    list levels not None,         # IN   arrays (t, f) that the forward pass gave, of every layer
    list d_levels not None,       # IN   gradients (t, f) that reach the levels from elsewhere, or None
    list panels not None,         # IN   arrays of `pack_filters`, transposed
    list deltas not None,         # OUT  arrays (t, f): gradients before the ReLU of every layer
    floating[:, :] d_x=None,      # OUT  (t, c) gradient of x, or None
    bint gate=False,
    int n_threads=1,
):
    """delta[l] = (d_levels[l] + the convolution of delta[l + 1] with the flipped weights) [level l > 0].

    With `gate`, d_x is zero where x is not positive, as it must be where x is the output of a ReLU.
    """
    cdef Layout layout
    cdef Py_ssize_t n_layers = len(tiling.dilations), level
    cdef Scratch *scratches = NULL
    cdef floating *zeros = NULL
    cdef Py_ssize_t piece
    cdef int team = 1, i
    check_length(levels, n_layers, "levels")
    check_length(d_levels, n_layers, "d_levels")
    check_length(panels, n_layers, "panels")
    check_length(deltas, n_layers, "deltas")
    if n_layers == 0:
        raise ValueError("the tiling has no dilations, but the gradient needs at least one layer")
    if (tiling.n_outputs > 1) != (sizeof(floating) == 4 and tiling.kernel_size == 3):
        raise ValueError(f"the tiling is for the other dtype than that of x, {sizeof(floating)} bytes")
    try:
        open_layout(&layout, n_layers)
        set_levels(&layout, tiling, x, [columns_of(level_, "each level") for level_ in levels])
        for level in range(1, n_layers + 1):
            columns = layout.columns[level]
            set_read[floating](layout.levels, layout.strides, level, NULL, levels[level - 1], tiling.n_rows,
                               columns, f"level {level}")
            set_read[floating](layout.others, layout.other_strides, level, NULL, d_levels[level - 1],
                               tiling.n_rows, columns, f"the gradient of level {level}")
            set_written[floating](layout.deltas, layout.delta_strides, level, NULL, deltas[level - 1],
                                  tiling.n_rows, columns, f"delta {level}")
            set_panels[floating](&layout, level - 1, NULL, panels[level - 1], tiling.kernel_size, columns,
                                 layout.columns[level - 1])
            if deltas[level - 1] is None:
                raise ValueError(f"delta {level} is None, but every layer needs one")
        set_written[floating](layout.deltas, layout.delta_strides, 0, NULL, d_x, tiling.n_rows, x.shape[1],
                              "d_x")
        if tiling.n_rows == 0 or layout.most_columns == 0:
            return
        team = team_size(min(n_threads, <int>tiling.n_pieces), stack_cost(tiling, &layout))
        zeros = <floating *>calloc(layout.most_columns, sizeof(floating))
        scratches = <Scratch *>calloc(team, sizeof(Scratch))
        if zeros == NULL or scratches == NULL:
            raise MemoryError(f"no memory for the scratch of {team} threads")
        for i in range(team):
            open_scratch(scratches + i, tiling, layout.most_columns, False, sizeof(floating))
        for piece in prange(tiling.n_pieces, schedule="dynamic", num_threads=team, nogil=True):
            backward_piece(tiling, &layout, piece, gate, <const floating *>zeros, scratches + threadid())
    finally:
        close_scratch(scratches, team)
        free(zeros)
        close_layout(&layout)


cdef void backward_piece(
    Tiling tiling, const Layout *layout, Py_ssize_t piece, bint gate, const floating *zeros, Scratch *scratch,
) noexcept nogil:
    cdef Py_ssize_t level = layout.n_layers, row, i
    cdef Py_ssize_t right = tiling.kernel_size - 1 - (tiling.kernel_size - 1) // 2
    cdef const floating *value
    cdef const floating *d_value
    cdef floating *delta
    for row in range(tiling.piece_rows[piece], tiling.piece_rows[piece + 1]):
        delta = <floating *>layout.deltas[level] + row * layout.delta_strides[level]
        value = <const floating *>layout.levels[level] + row * layout.strides[level]
        d_value = zeros
        if layout.others[level] != NULL:
            d_value = <const floating *>layout.others[level] + row * layout.other_strides[level]
        for i in range(layout.columns[level]):
            delta[i] = d_value[i] if value[i] > 0 else 0
    for level in range(layout.n_layers - 1, -1, -1):
        if layout.deltas[level] == NULL:
            return
        convolve[floating](
            tiling, level, piece, right, <const floating *>layout.deltas[level + 1], 0,
            layout.delta_strides[level + 1], layout.columns[level + 1],
            <const floating *>layout.panels[level], NULL,
            <const floating *>layout.others[level], layout.other_strides[level],
            <const floating *>layout.levels[level] if level > 0 or gate else NULL, layout.strides[level],
            <floating *>layout.deltas[level], 0, layout.delta_strides[level], layout.columns[level], zeros,
            scratch,
        )


# ---- gradients of the weights --------------------------------------------------------------------


def conv_stack_weight_gradients(
    Tiling tiling not None,
    const floating[:, :] x not None,  # IN   (t, c)
    list levels not None,         # IN   arrays (t, f) of the forward pass
    list deltas not None,         # IN   arrays (t, f) of the backward pass
    list sets not None,           # IN   number of the weights of each layer
    list d_weights not None,      # OUT  arrays (k, c, f)
    list d_biases not None,       # OUT  arrays (f,)
    int n_threads=1,
):
    """d_weights[j] = sum_t x[t + (j - (k - 1) // 2) d]' delta[t], over all layers of the weights.

    In tiles: d_weights = G' sum over tiles of (B' x) (A delta)'. A task owns one of the products of
    one set of weights, and the inner sum runs over its layers and tiles in order.
    """
    cdef Layout layout
    cdef Py_ssize_t n_layers = len(tiling.dilations), n_sets = len(d_weights), level, k, task, c, f
    cdef Py_ssize_t products = tiling.n_products, most = 1
    cdef Py_ssize_t *of_layer = NULL
    cdef Py_ssize_t *first_layer = NULL
    cdef void **biases = NULL
    cdef floating *sums = NULL
    cdef floating *zeros = NULL
    cdef floating *blocks = NULL
    cdef const floating **rows = NULL
    cdef floating[:, :, ::1] weights
    cdef floating[::1] bias
    cdef Py_ssize_t width, block_size
    cdef int team = 1
    check_length(levels, n_layers, "levels")
    check_length(deltas, n_layers, "deltas")
    check_length(sets, n_layers, "sets")
    check_length(d_biases, n_sets, "d_biases")
    if (tiling.n_outputs > 1) != (sizeof(floating) == 4 and tiling.kernel_size == 3):
        raise ValueError(f"the tiling is for the other dtype than that of x, {sizeof(floating)} bytes")
    if sorted(set(sets)) != list(range(n_sets)):
        raise ValueError(f"the layers use the weights {sorted(set(sets))}, but there are {n_sets}")
    try:
        open_layout(&layout, n_layers)
        set_levels(&layout, tiling, x, [columns_of(level_, "each level") for level_ in levels])
        of_layer = <Py_ssize_t *>calloc(max(1, n_layers), sizeof(Py_ssize_t))
        first_layer = <Py_ssize_t *>calloc(max(1, n_sets), sizeof(Py_ssize_t))
        biases = <void **>calloc(max(1, n_sets), sizeof(void *))
        if of_layer == NULL or first_layer == NULL or biases == NULL:
            raise MemoryError(f"no memory for the gradients of {n_layers} layers")
        for level in range(1, n_layers + 1):
            set_read[floating](layout.levels, layout.strides, level, NULL, levels[level - 1], tiling.n_rows,
                               layout.columns[level], f"level {level}")
            set_read[floating](layout.deltas, layout.delta_strides, level, NULL, deltas[level - 1],
                               tiling.n_rows, layout.columns[level], f"delta {level}")
            if deltas[level - 1] is None:
                raise ValueError(f"delta {level} is None, but every layer needs one")
            k = of_layer[level - 1] = sets[level - 1]
            weights, bias = d_weights[k], d_biases[k]
            c, f = layout.columns[level - 1], layout.columns[level]
            if weights.shape[0] != tiling.kernel_size or weights.shape[1] != c or weights.shape[2] != f:
                raise ValueError(
                    f"d_weights {k} is ({weights.shape[0]}, {weights.shape[1]}, {weights.shape[2]}), but "
                    f"layer {level - 1} needs ({tiling.kernel_size}, {c}, {f})"
                )
            if bias.shape[0] != f:
                raise ValueError(f"d_biases {k} has {bias.shape[0]} values, but layer {level - 1} has {f}")
            most = max(most, c * f)
            if f:
                biases[k] = &bias[0]
        for level in range(n_layers - 1, -1, -1):
            first_layer[of_layer[level]] = level
        width = panel_width(active_table(), <const floating *>NULL)
        # one thread's inputs (TILES_PER_SUM, c), panels of deltas, and products (c, f)
        block_size = TILES_PER_SUM * (layout.most_columns + round_up(layout.most_columns, width)) + most
        team = team_size(n_threads, stack_cost(tiling, &layout))
        sums = <floating *>borrow(max(1, n_sets * products) * most * sizeof(floating))
        zeros = <floating *>calloc(max(1, layout.most_columns), sizeof(floating))
        blocks = <floating *>borrow(team * block_size * sizeof(floating))
        rows = <const floating **>malloc(team * TILES_PER_BLOCK * products * sizeof(void *))
        if sums == NULL or zeros == NULL or blocks == NULL or rows == NULL:
            raise MemoryError(f"no memory for the gradients of {n_sets} sets of weights")
        memset(sums, 0, n_sets * products * most * sizeof(floating))
        for task in prange(n_sets * (products + 1), schedule="dynamic", num_threads=team, nogil=True):
            if task < n_sets:
                bias_gradient(tiling, &layout, of_layer, task, <floating *>biases[task],
                              layout.columns[first_layer[task] + 1])
            else:
                product_gradient(
                    tiling, &layout, of_layer, (task - n_sets) // products, (task - n_sets) % products,
                    layout.columns[first_layer[(task - n_sets) // products]],
                    layout.columns[first_layer[(task - n_sets) // products] + 1],
                    sums + (task - n_sets) * most, <const floating *>zeros, blocks + threadid() * block_size,
                    rows + threadid() * TILES_PER_BLOCK * products,
                )
        for k in range(n_sets):
            weights = d_weights[k]
            if weights.shape[1] and weights.shape[2]:
                with nogil:
                    unfilter(sums + k * products * most, most, products, tiling.kernel_size,
                             weights.shape[1] * weights.shape[2], &weights[0, 0, 0])
    finally:
        free(of_layer)
        free(first_layer)
        free(biases)
        give_back(sums)
        free(zeros)
        give_back(blocks)
        free(rows)
        close_layout(&layout)


cdef void bias_gradient(
    Tiling tiling, const Layout *layout, const Py_ssize_t *of_layer, Py_ssize_t which, floating *d_bias,
    Py_ssize_t f,
) noexcept nogil:
    """d_bias = sum over layers and rows of delta."""
    cdef Py_ssize_t layer, row, i
    cdef const floating *delta
    for i in range(f):
        d_bias[i] = 0
    for layer in range(layout.n_layers):
        if of_layer[layer] == which and f > 0:
            for row in range(tiling.n_rows):
                delta = <const floating *>layout.deltas[layer + 1] + row * layout.delta_strides[layer + 1]
                for i in range(f):
                    d_bias[i] += delta[i]


cdef void product_gradient(
    Tiling tiling,
    const Layout *layout,
    const Py_ssize_t *of_layer,
    Py_ssize_t which,
    Py_ssize_t k,
    Py_ssize_t c,
    Py_ssize_t f,
    floating *total,               # IN/OUT  (c, f) zeros before
    const floating *zeros,
    floating *block,               # scratch
    const floating **rows,         # scratch
) noexcept nogil:
    """total = sum over layers and tiles of (row k of B' x)' (row k of A delta)."""
    cdef const simd_table *table = active_table()
    cdef Py_ssize_t width = panel_width(table, zeros), left = (tiling.kernel_size - 1) // 2
    cdef Py_ssize_t layer, dilations, dilation, n_tiles, done, n, filled = 0
    cdef floating *inputs = block
    cdef floating *panels = inputs + TILES_PER_SUM * layout.most_columns
    cdef floating *product = panels + TILES_PER_SUM * round_up(layout.most_columns, width)
    cdef const Tile *tiles
    if c == 0 or f == 0:
        return
    for layer in range(layout.n_layers):
        if of_layer[layer] != which:
            continue
        dilations = tiling.of_layer[layer]
        dilation = tiling.distinct[dilations]
        n_tiles = tiling.piece_tiles[dilations * (tiling.n_pieces + 1) + tiling.n_pieces]
        done = 0
        while done < n_tiles:
            n = min(min(<Py_ssize_t>TILES_PER_BLOCK, n_tiles - done), TILES_PER_SUM - filled)
            tiles = tiling.tiles[dilations] + done
            point_to_rows(tiles, n, dilation, -left * dilation, tiling.n_products,
                          <const floating *>layout.levels[layer], 0, layout.strides[layer], zeros, rows)
            filter_input(table, tiling.n_outputs, tiling.n_products, k, n, rows, c, inputs + filled * c)
            point_to_rows(tiles, n, dilation, 0, tiling.n_outputs,
                          <const floating *>layout.deltas[layer + 1], 0, layout.delta_strides[layer + 1],
                          zeros, rows)
            filter_delta(table, tiling.n_outputs, k, n, rows, f, panels + filled * width,
                         TILES_PER_SUM * width)
            done += n
            filled += n
            if filled == TILES_PER_SUM:
                add_product(table, filled, c, f, inputs, panels, product, total)
                filled = 0
    if filled:
        add_product(table, filled, c, f, inputs, panels, product, total)


cdef void add_product(
    const simd_table *table,
    Py_ssize_t n,
    Py_ssize_t c,
    Py_ssize_t f,
    const floating *inputs,        # IN   (n, c)
    const floating *panels,        # IN   (f / width, TILES_PER_SUM, width)
    floating *product,             # scratch (c, f)
    floating *total,               # IN/OUT  (c, f)
) noexcept nogil:
    cdef Py_ssize_t width = panel_width(table, inputs), panel, i
    for panel in range((f + width - 1) // width):
        gemm_panel(table, c, min(width, f - panel * width), n, inputs, 1, c,
                   panels + panel * width * TILES_PER_SUM, product + panel * width, f, NULL, False)
    for i in range(c * f):
        total[i] += product[i]


cdef void unfilter(
    const floating *sums,          # IN   (products, stride)
    Py_ssize_t stride,
    Py_ssize_t products,
    Py_ssize_t taps,
    Py_ssize_t size,
    floating *d_weights,           # OUT  (taps, size)
) noexcept nogil:
    """d_weights = G' sums."""
    cdef Py_ssize_t i, k
    cdef floating near, near_difference, far, far_difference
    if products == taps:
        for k in range(taps):
            for i in range(size):
                d_weights[k * size + i] = sums[k * stride + i]
        return
    for i in range(size):
        near = sums[stride + i] + sums[2 * stride + i]
        near_difference = sums[2 * stride + i] - sums[stride + i]
        far = sums[3 * stride + i] + sums[4 * stride + i]
        far_difference = sums[3 * stride + i] - sums[4 * stride + i]
        d_weights[i] = sums[i] / 4 - near / 6 + far / 24
        d_weights[size + i] = near_difference / 6 + far_difference / 12
        d_weights[2 * size + i] = far / 6 - near / 6 + sums[5 * stride + i]
