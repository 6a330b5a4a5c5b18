"""The loss of a batch of tag sequences, for kernels that train."""

from cython cimport floating
from libc.stdint cimport int32_t

# The gradients of the parameters may be in the type of the parameters or in double.
ctypedef fused gradient:
    float
    double


cdef int crf_batch_loss(
    const floating *emissions, Py_ssize_t c, const floating *transitions, const floating *start,
    const floating *stop, const int32_t *tags, const Py_ssize_t *offsets, Py_ssize_t n,
    const floating *sample_weight, double *loss, floating *d_emissions, gradient *d_transitions,
    gradient *d_start, gradient *d_stop, int n_threads,
) noexcept nogil
