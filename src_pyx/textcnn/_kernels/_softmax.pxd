"""The cross-entropy of one row, for kernels that train."""

from cython cimport floating


cdef double cross_entropy_row(
    const floating *logits,     # IN   (c,)
    Py_ssize_t c,
    Py_ssize_t target,
    floating weight,
    floating *d_logits,         # OUT  (c,) weight * (softmax - one-hot)
) noexcept nogil
