"""Steps of optimisers, for kernels that train."""

from cython cimport floating
from libc.stdint cimport int32_t

cdef enum Method:
    ADAM
    ADADELTA
    SGD


cdef struct Step:              # what all parameters have in common
    Method method
    double lr
    double decay               # beta1 of Adam, rho of Adadelta, momentum
    double decay2              # beta2 of Adam
    double epsilon
    double scale
    bint nesterov


cdef struct Update:            # of one parameter
    Py_ssize_t itemsize
    void *param
    Py_ssize_t stride          # bytes from row to row of the parameter
    const void *grad
    void *state[2]             # as large as the parameter
    int32_t *counts            # Adam's steps of each row before this one; NULL where all have the same
    int n_steps                # of all rows, with this one
    const int32_t *rows        # NULL for all
    double l2
    Py_ssize_t n_rows          # of the gradient
    Py_ssize_t n_columns
    Py_ssize_t first           # element of the gradients of all parameters


cdef int open_param(Update *update, floating[:, :] param, list states) except -1

cdef int open_counts(Update *update, counts, Py_ssize_t n_param_rows) except -1

cdef void update_all(const Step *step, Update *updates, Py_ssize_t n, int n_threads) noexcept nogil
