"""Minimal filtering of width 3, for other modules: the weights as the products take them, and back."""

from cython cimport floating


cdef void pack_filter_panel(
    const floating *weights, Py_ssize_t taps, Py_ssize_t n_in, Py_ssize_t n, Py_ssize_t tap_stride,
    Py_ssize_t in_stride, Py_ssize_t out_stride, Py_ssize_t width, floating *panel,
    Py_ssize_t product_stride,
) noexcept nogil

cdef void unfilter(
    const floating *sums, Py_ssize_t stride, Py_ssize_t products, Py_ssize_t taps, Py_ssize_t size,
    floating *d_weights,
) noexcept nogil
