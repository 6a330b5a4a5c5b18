"""Activations of single elements and the rows of softmax, forward and backward; see _simd_activations.h.

Elements are shared out in pieces of a fixed size; the bits of an element depend on its value alone, those of
a row on that row alone.
"""

from cython cimport floating
from cython.parallel cimport prange

from textcnn._kernels cimport _simd
from textcnn._kernels._openmp cimport team_size
from textcnn._kernels._simd cimport active_table, simd_table

ACTIVATIONS = ("relu", "leaky_relu", "gelu", "gelu_tanh", "tanh", "sigmoid")
"""Names in the order of their numbers."""

# About what one element costs, in multiply-add operations: it waits for memory or takes an exponential.
# Elements of one piece: it fits into the first-level cache.
cdef enum:
    ELEMENT_COST = 20
    PIECE = 4096


cdef int check_activation(int number) except -1:
    if number < 0 or number >= _simd.TEXTCNN_N_ACTIVATIONS:
        raise ValueError(f"activation {number} does not exist")
    return 0


def activation(
    int number,                  # IN   place in ACTIVATIONS
    const floating[::1] x,       # IN   (n,)
    double parameter,            # IN   slope of leaky_relu; the others do not read it
    floating[::1] out,           # OUT  (n,)
    int n_threads=1,
):
    """out[i] = activation(x[i])."""
    cdef Py_ssize_t piece, n = x.shape[0], n_pieces = (n + PIECE - 1) // PIECE
    cdef const simd_table *table = active_table()
    check_activation(number)
    if out.shape[0] != n:
        raise ValueError(f"out must have {n} elements")
    for piece in prange(n_pieces, nogil=True, num_threads=team_size(n_threads, <double>n * ELEMENT_COST)):
        _simd.activation(table, number, min(PIECE, n - piece * PIECE), &x[piece * PIECE], parameter,
                         &out[piece * PIECE])


def activation_backward(
    int number,                  # IN   place in ACTIVATIONS
    const floating[::1] d_out,   # IN   (n,)
    const floating[::1] x,       # IN   (n,)
    double parameter,            # IN   slope of leaky_relu; the others do not read it
    floating[::1] d_x,           # OUT  (n,)
    int n_threads=1,
):
    """d_x[i] = d_out[i] activation'(x[i])."""
    cdef Py_ssize_t piece, n = x.shape[0], n_pieces = (n + PIECE - 1) // PIECE
    cdef const simd_table *table = active_table()
    check_activation(number)
    if d_out.shape[0] != n or d_x.shape[0] != n:
        raise ValueError(f"d_out and d_x must have {n} elements")
    for piece in prange(n_pieces, nogil=True, num_threads=team_size(n_threads, <double>n * ELEMENT_COST)):
        _simd.activation_backward(table, number, min(PIECE, n - piece * PIECE), &d_out[piece * PIECE],
                                  &x[piece * PIECE], parameter, &d_x[piece * PIECE])


def softmax(
    const floating[:, ::1] x,        # IN   (n, c)
    floating[:, ::1] out,            # OUT  (n, c)
    bint log=False,
    int n_threads=1,
):
    """out[i, k] = exp(x[i, k]) / sum_l exp(x[i, l]), or its logarithm."""
    cdef Py_ssize_t i, n = x.shape[0], c = x.shape[1]
    cdef const simd_table *table = active_table()
    if out.shape[0] != n or out.shape[1] != c:
        raise ValueError(f"out must be ({n}, {c})")
    if c == 0:
        return
    for i in prange(n, nogil=True, num_threads=team_size(n_threads, <double>n * c * ELEMENT_COST)):
        if log:
            _simd.log_softmax_row(table, c, &x[i, 0], &out[i, 0])
        else:
            _simd.softmax_row(table, c, &x[i, 0], &out[i, 0])


def softmax_backward(
    const floating[:, ::1] d_out,    # IN   (n, c)
    const floating[:, ::1] x,        # IN   (n, c)
    const floating[:, ::1] out,      # IN   (n, c) softmax(x), or None; that of the logarithm is not read
    floating[:, ::1] d_x,            # OUT  (n, c)
    bint log=False,
    int n_threads=1,
):
    """With p = softmax(x) d_x[i, k] = p[i, k] (d_out[i, k] - sum_l d_out[i, l] p[i, l]).

    Of the logarithm d_x[i, k] = d_out[i, k] - p[i, k] sum_l d_out[i, l].
    """
    cdef Py_ssize_t i, n = x.shape[0], c = x.shape[1]
    cdef const simd_table *table = active_table()
    cdef const floating *p = NULL
    if d_out.shape[0] != n or d_out.shape[1] != c or d_x.shape[0] != n or d_x.shape[1] != c:
        raise ValueError(f"d_out and d_x must be ({n}, {c})")
    if out is not None and (out.shape[0] != n or out.shape[1] != c):
        raise ValueError(f"out must be ({n}, {c})")
    if n == 0 or c == 0:
        return
    if out is not None:
        p = &out[0, 0]
    for i in prange(n, nogil=True, num_threads=team_size(n_threads, <double>n * c * ELEMENT_COST)):
        if log:
            _simd.log_softmax_backward_row(table, c, &d_out[i, 0], &x[i, 0], &d_x[i, 0])
        elif p != NULL:
            _simd.softmax_backward_row(table, c, &d_out[i, 0], p + i * c, &d_x[i, 0])
        else:
            _simd.softmax_row(table, c, &x[i, 0], &d_x[i, 0])
            _simd.softmax_backward_row(table, c, &d_out[i, 0], &d_x[i, 0], &d_x[i, 0])
