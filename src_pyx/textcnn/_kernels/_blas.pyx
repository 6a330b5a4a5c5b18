"""Matrix products in which a row's bits depend on that row alone.

The right-hand matrix is packed in panels of a few vectors' width; each element of the result is one
sum that runs over the inner dimension in order (see `_simd_template.h`). A thread takes one panel
and a block of rows at a time.
"""

from cython cimport floating
from cython.parallel cimport parallel, prange
from libc.stdlib cimport free, malloc

from textcnn._kernels._offsets cimport ceil_div
from textcnn._kernels._openmp cimport team_size
from textcnn._kernels._scratch cimport borrow, give_back
from textcnn._kernels._simd cimport active_table, gemm_panel, pack_panel, panel_width, simd_table

# Rows that one thread multiplies with a panel before it takes the next piece.
cdef enum:
    ROWS_PER_PIECE = 192


cdef void multiply(
    Py_ssize_t m,
    Py_ssize_t n,
    Py_ssize_t k,
    const floating *a,         # IN   (m, k)
    Py_ssize_t a_row_stride,
    Py_ssize_t a_col_stride,
    const floating *b,         # IN   (k, n); not read if `packed`
    Py_ssize_t b_row_stride,
    Py_ssize_t b_col_stride,
    floating *panels,          # OUT  (n_panels, k, width); IN if `packed`
    bint packed,
    const floating *bias,      # IN   (n,) or NULL
    bint relu,
    floating *out,             # OUT  (m, n)
    int n_threads,
) noexcept nogil:
    """out = a b + bias, then ReLU. Scratch for the panels is the caller's."""
    cdef const simd_table *table = active_table()
    cdef Py_ssize_t width = panel_width(table, a)
    cdef Py_ssize_t n_panels = ceil_div(n, width)
    cdef Py_ssize_t n_blocks = ceil_div(m, ROWS_PER_PIECE)
    cdef Py_ssize_t piece, panel, row
    cdef int team = team_size(n_threads, <double>m * n * k)

    with parallel(num_threads=team):
        if not packed:
            for panel in prange(n_panels, schedule="static"):
                pack_panel(table, k, min(width, n - panel * width), b + panel * width * b_col_stride,
                           b_row_stride, b_col_stride, panels + panel * width * k)
        for piece in prange(n_panels * n_blocks, schedule="static"):
            panel = piece % n_panels
            row = (piece // n_panels) * ROWS_PER_PIECE
            gemm_panel(
                table, min(<Py_ssize_t>ROWS_PER_PIECE, m - row), min(width, n - panel * width), k,
                a + row * a_row_stride, a_row_stride, a_col_stride, panels + panel * width * k,
                out + row * n + panel * width, n,
                bias + panel * width if bias != NULL else NULL, relu,
            )


cdef size_t panels_size(Py_ssize_t n, Py_ssize_t k, const floating *like):
    """Bytes of the panels of a (k, n) matrix, at least one element's."""
    cdef Py_ssize_t width = panel_width(active_table(), like)
    return max(1, ceil_div(n, width) * width * k) * sizeof(floating)


cdef Py_ssize_t element_stride(Py_ssize_t n_bytes, Py_ssize_t itemsize) except? -1:
    """A stride in elements."""
    if n_bytes % itemsize:
        raise ValueError(f"a stride is {n_bytes} bytes, no multiple of {itemsize}; make a contiguous copy")
    return n_bytes // itemsize


def matmul(
    const floating[:, :] a,     # IN   (m, k), any strides
    const floating[:, :] b,     # IN   (k, n), any strides
    floating[:, ::1] out,       # OUT  (m, n)
    const floating[::1] bias=None,
    bint relu=False,
    int n_threads=1,
):
    """out = a @ b + bias, then ReLU if asked."""
    cdef Py_ssize_t m = a.shape[0], k = a.shape[1], n = b.shape[1]
    cdef Py_ssize_t a_row_stride = element_stride(a.strides[0], sizeof(floating))
    cdef Py_ssize_t a_col_stride = element_stride(a.strides[1], sizeof(floating))
    cdef Py_ssize_t b_row_stride = element_stride(b.strides[0], sizeof(floating))
    cdef Py_ssize_t b_col_stride = element_stride(b.strides[1], sizeof(floating))
    cdef floating *panels
    if b.shape[0] != k or out.shape[0] != m or out.shape[1] != n:
        raise ValueError(
            f"shapes do not fit: a ({m}, {k}), b ({b.shape[0]}, {n}), out ({out.shape[0]}, {out.shape[1]})"
        )
    if bias is not None and bias.shape[0] != n:
        raise ValueError(f"bias has {bias.shape[0]} values for {n} columns")
    if m == 0 or n == 0:
        return
    panels = <floating *>borrow(panels_size(n, k, &out[0, 0]))
    try:
        if panels == NULL:
            raise MemoryError(f"no memory for the packed panels of a ({k}, {n}) matrix")
        with nogil:
            multiply(
                m, n, k,
                &a[0, 0] if k else NULL, a_row_stride, a_col_stride,
                &b[0, 0] if k else NULL, b_row_stride, b_col_stride,
                panels, False, &bias[0] if bias is not None else NULL, relu, &out[0, 0], n_threads,
            )
    finally:
        give_back(panels)


cdef class PackedMatrix:
    """A float32 (k, n) matrix packed once, for many products.

    Parameters
    ----------
    b : float32 array of shape (k, n), any strides
    """

    cdef float *panels
    cdef readonly Py_ssize_t n_rows
    cdef readonly Py_ssize_t n_columns

    def __cinit__(self, const float[:, :] b):
        cdef const simd_table *table = active_table()
        cdef Py_ssize_t width = table.panel_width_f32, first
        cdef Py_ssize_t row_stride = element_stride(b.strides[0], sizeof(float))
        cdef Py_ssize_t col_stride = element_stride(b.strides[1], sizeof(float))
        self.n_rows, self.n_columns = b.shape[0], b.shape[1]
        self.panels = <float *>malloc(panels_size[float](self.n_columns, self.n_rows, NULL))
        if self.panels == NULL:
            raise MemoryError(f"no memory for a packed ({self.n_rows}, {self.n_columns}) matrix")
        if self.n_rows:
            for first in range(0, self.n_columns, width):
                pack_panel(table, self.n_rows, min(width, self.n_columns - first), &b[0, first],
                           row_stride, col_stride, self.panels + first * self.n_rows)

    def __dealloc__(self):
        free(self.panels)

    def left_multiply(
        self,
        const float[:, ::1] a,     # IN   (m, k)
        float[:, ::1] out,         # OUT  (m, n)
        const float[::1] bias=None,
        bint relu=False,
        int n_threads=1,
    ):
        """out = a @ self + bias, then ReLU if asked; the same bits as `matmul`."""
        cdef Py_ssize_t m = a.shape[0]
        if a.shape[1] != self.n_rows or out.shape[0] != m or out.shape[1] != self.n_columns:
            raise ValueError(
                f"shapes do not fit: a ({m}, {a.shape[1]}), matrix ({self.n_rows}, {self.n_columns}), "
                f"out ({out.shape[0]}, {out.shape[1]})"
            )
        if bias is not None and bias.shape[0] != self.n_columns:
            raise ValueError(f"bias has {bias.shape[0]} values for {self.n_columns} columns")
        if m == 0 or self.n_columns == 0:
            return
        with nogil:
            multiply[float](
                m, self.n_columns, self.n_rows, &a[0, 0] if self.n_rows else NULL, self.n_rows, 1,
                NULL, 0, 0, self.panels, True, &bias[0] if bias is not None else NULL, relu,
                &out[0, 0], n_threads,
            )
