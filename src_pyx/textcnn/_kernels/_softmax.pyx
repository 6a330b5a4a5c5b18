"""Softmax and its cross-entropy, row by row."""

from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport exp, log

from textcnn._kernels._openmp cimport team_size

# About what one exponential costs, in multiply-add operations.
cdef enum:
    EXP_COST = 400


cdef void softmax_row(const floating *logits, Py_ssize_t c, floating *out) noexcept nogil:
    cdef Py_ssize_t k
    cdef double total = 0
    cdef floating top = row_maximum(logits, c)
    for k in range(c):
        out[k] = <floating>exp(<double>(logits[k] - top))
        total += out[k]
    for k in range(c):
        out[k] = <floating>(out[k] / total)


cdef inline floating row_maximum(const floating *logits, Py_ssize_t c) noexcept nogil:
    cdef Py_ssize_t k
    cdef floating top = logits[0]
    for k in range(1, c):
        top = max(top, logits[k])
    return top


cdef double log_sum_exp(const floating *logits, Py_ssize_t c) noexcept nogil:
    cdef Py_ssize_t k
    cdef double total = 0, top = row_maximum(logits, c)
    for k in range(c):
        total += exp(logits[k] - top)
    return top + log(total)


def softmax(
    const floating[:, ::1] logits,    # IN   (n, c)
    floating[:, ::1] out,             # OUT  (n, c)
    int n_threads=1,
):
    """out[i, k] = exp(logits[i, k]) / sum_l exp(logits[i, l])."""
    cdef Py_ssize_t i, n = logits.shape[0], c = logits.shape[1]
    if out.shape[0] != n or out.shape[1] != c:
        raise ValueError(f"out must be ({n}, {c})")
    if c > 0:
        for i in prange(n, nogil=True, num_threads=team_size(n_threads, <double>n * c * EXP_COST)):
            softmax_row(&logits[i, 0], c, &out[i, 0])


def log_softmax(
    const floating[:, ::1] logits,    # IN   (n, c)
    floating[:, ::1] out,             # OUT  (n, c)
    int n_threads=1,
):
    """out[i, k] = logits[i, k] - log sum_l exp(logits[i, l])."""
    cdef Py_ssize_t i, k, n = logits.shape[0], c = logits.shape[1]
    cdef double total
    if out.shape[0] != n or out.shape[1] != c:
        raise ValueError(f"out must be ({n}, {c})")
    if c > 0:
        for i in prange(n, nogil=True, num_threads=team_size(n_threads, <double>n * c * EXP_COST)):
            total = log_sum_exp(&logits[i, 0], c)
            for k in range(c):
                out[i, k] = <floating>(logits[i, k] - total)


def softmax_cross_entropy(
    const floating[:, ::1] logits,         # IN   (n, c)
    const Py_ssize_t[::1] targets,         # IN   (n,) classes
    const floating[::1] sample_weight,     # IN   (n,)
    double[::1] loss,                      # OUT  (n,)
    floating[:, ::1] d_logits,             # OUT  (n, c)
    int n_threads=1,
):
    """loss[i] = w_i (log sum_k exp(logits[i, k]) - logits[i, target]), d_logits = w_i (softmax - one-hot)."""
    cdef Py_ssize_t i, n = logits.shape[0], c = logits.shape[1]
    if d_logits.shape[0] != n or d_logits.shape[1] != c:
        raise ValueError(f"d_logits must be ({n}, {c})")
    if targets.shape[0] != n or sample_weight.shape[0] != n or loss.shape[0] != n:
        raise ValueError(f"targets, sample_weight and loss must have {n} values")
    for i in range(n):
        if targets[i] < 0 or targets[i] >= c:
            raise ValueError(f"target {i} is {targets[i]}, but there are {c} classes")
    for i in prange(n, nogil=True, num_threads=team_size(n_threads, <double>n * c * EXP_COST)):
        loss[i] = cross_entropy_row(&logits[i, 0], c, targets[i], sample_weight[i], &d_logits[i, 0])


cdef double cross_entropy_row(
    const floating *logits, Py_ssize_t c, Py_ssize_t target, floating weight, floating *d_logits,
) noexcept nogil:
    cdef Py_ssize_t k
    cdef double loss = weight * (log_sum_exp(logits, c) - logits[target])
    softmax_row(logits, c, d_logits)
    d_logits[target] -= 1
    for k in range(c):
        d_logits[k] *= weight
    return loss
