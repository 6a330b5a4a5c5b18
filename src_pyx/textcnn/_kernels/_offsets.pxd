"""Checks of offsets, and the whole number of pieces that something is cut into."""


cdef inline Py_ssize_t ceil_div(Py_ssize_t n, Py_ssize_t step) noexcept nogil:
    """n / step, rounded up."""
    return (n + step - 1) // step


cdef inline int check_offsets(const Py_ssize_t[::1] offsets, str name, Py_ssize_t n_rows) except -1:
    """Offsets must rise from 0 to the number of rows; -1 if any will do."""
    cdef Py_ssize_t i, n = offsets.shape[0] - 1
    if n < 0 or offsets[0] != 0:
        raise ValueError(f"{name} must start with 0")
    for i in range(n):
        if offsets[i] > offsets[i + 1]:
            raise ValueError(f"{name} fall from {offsets[i]} to {offsets[i + 1]} at text {i}")
    if n_rows >= 0 and offsets[n] != n_rows:
        raise ValueError(f"{name} end with {offsets[n]}, but there are {n_rows} rows")
    return 0
