"""Optimiser steps on whole matrices or on some of their rows, the norm limit, and norms.

In every step g = scale * grad + l2 * param; `scale` clips the gradient, `l2` is the weight decay.
With `rows`, row i of the gradient belongs to row rows[i] of the parameter and only these rows and
their state change; rows must be distinct. Without, the gradient has all rows.
"""

from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport pow, sqrt
from libc.stdint cimport int32_t
from libc.stdlib cimport free, malloc

from textcnn._kernels._openmp cimport team_size
from textcnn._kernels._simd cimport active_table, adadelta_row, adam_row, sgd_row, simd_table

# About what one element of a step costs, in multiply-add operations: it is bound by memory.
cdef enum:
    STEP_COST = 40


cdef int check_step(
    Py_ssize_t n_param_rows,
    Py_ssize_t n_param_columns,
    Py_ssize_t n_grad_rows,
    Py_ssize_t n_grad_columns,
    const int32_t[::1] rows,
) except -1:
    cdef Py_ssize_t i
    cdef Py_ssize_t n_rows = n_param_rows if rows is None else rows.shape[0]
    if n_grad_rows != n_rows or n_grad_columns != n_param_columns:
        raise ValueError(
            f"the gradient is ({n_grad_rows}, {n_grad_columns}), but it must be ({n_rows}, {n_param_columns})"
        )
    if rows is not None:
        for i in range(n_rows):
            if rows[i] < 0 or rows[i] >= n_param_rows:
                raise ValueError(f"row {rows[i]} of {n_param_rows} does not exist")
    return 0


cdef int check_state(
    const floating[:, :] param,
    const floating[:, ::1] state,
) except -1:
    if state.shape[0] != param.shape[0] or state.shape[1] != param.shape[1]:
        raise ValueError(
            f"the state is ({state.shape[0]}, {state.shape[1]}), but the parameter is "
            f"({param.shape[0]}, {param.shape[1]})"
        )
    if param.strides[1] != <Py_ssize_t>sizeof(floating):
        raise ValueError("the columns of the parameter must be adjacent")
    return 0


def adam_step(
    floating[:, :] param,             # IN/OUT  (v, d)
    const floating[:, ::1] grad,      # IN      (v or len(rows), d)
    floating[:, ::1] first,           # IN/OUT  (v, d) moment m
    floating[:, ::1] second,          # IN/OUT  (v, d) moment v
    int32_t[::1] steps,               # IN/OUT  (v,) updates of each row so far
    const int32_t[::1] rows,          # IN      rows of `param`, or None for all
    double lr,
    double beta1,
    double beta2,
    double epsilon,
    double scale=1.0,
    double l2=0.0,
    int n_threads=1,
):
    """Adam (Kingma & Ba 2015), with a step count t of each row's own.

    m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
    param -= lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
    """
    cdef const simd_table *table = active_table()
    cdef Py_ssize_t i, row, n = grad.shape[0], d = grad.shape[1]
    cdef floating rate, correction2
    check_step(param.shape[0], param.shape[1], n, d, rows)
    check_state(param, first)
    check_state(param, second)
    if steps.shape[0] != param.shape[0]:
        raise ValueError(f"steps must have {param.shape[0]} values")
    for i in range(n):
        steps[i if rows is None else rows[i]] += 1
    if d == 0:
        return
    for i in prange(n, nogil=True, schedule="static",
                    num_threads=team_size(n_threads, <double>n * d * STEP_COST)):
        row = i if rows is None else rows[i]
        rate = <floating>(lr / (1 - pow(beta1, steps[row])))
        correction2 = <floating>(1 / (1 - pow(beta2, steps[row])))
        adam_row(table, d, &param[row, 0], &grad[i, 0], &first[row, 0], &second[row, 0], rate,
                 beta1, beta2, correction2, <floating>epsilon, <floating>scale,
                 <floating>l2)


def adadelta_step(
    floating[:, :] param,             # IN/OUT  (v, d)
    const floating[:, ::1] grad,      # IN      (v or len(rows), d)
    floating[:, ::1] acc_grad,        # IN/OUT  (v, d) E[g^2]
    floating[:, ::1] acc_update,      # IN/OUT  (v, d) E[u^2]
    const int32_t[::1] rows,          # IN      rows of `param`, or None for all
    double lr,
    double rho,
    double epsilon,
    double scale=1.0,
    double l2=0.0,
    int n_threads=1,
):
    """Adadelta (Zeiler 2012, algorithm 1).

    E[g^2] = rho E[g^2] + (1 - rho) g^2;  u = sqrt(E[u^2] + epsilon) / sqrt(E[g^2] + epsilon) g;
    E[u^2] = rho E[u^2] + (1 - rho) u^2;  param -= lr u
    """
    cdef const simd_table *table = active_table()
    cdef Py_ssize_t i, row, n = grad.shape[0], d = grad.shape[1]
    check_step(param.shape[0], param.shape[1], n, d, rows)
    check_state(param, acc_grad)
    check_state(param, acc_update)
    if d == 0:
        return
    for i in prange(n, nogil=True, schedule="static",
                    num_threads=team_size(n_threads, <double>n * d * STEP_COST)):
        row = i if rows is None else rows[i]
        adadelta_row(table, d, &param[row, 0], &grad[i, 0], &acc_grad[row, 0], &acc_update[row, 0],
                     <floating>lr, rho, <floating>epsilon, <floating>scale, <floating>l2)


def sgd_step(
    floating[:, :] param,             # IN/OUT  (v, d)
    const floating[:, ::1] grad,      # IN      (v or len(rows), d)
    floating[:, ::1] velocity,        # IN/OUT  (v, d)
    const int32_t[::1] rows,          # IN      rows of `param`, or None for all
    double lr,
    double momentum,
    bint nesterov=False,
    double scale=1.0,
    double l2=0.0,
    int n_threads=1,
):
    """Gradient descent with momentum, as in scikit-learn's multi-layer perceptron.

    velocity = momentum velocity - lr g;  param += velocity, or with Nesterov's momentum
    param += momentum velocity - lr g
    """
    cdef const simd_table *table = active_table()
    cdef Py_ssize_t i, row, n = grad.shape[0], d = grad.shape[1]
    check_step(param.shape[0], param.shape[1], n, d, rows)
    check_state(param, velocity)
    if d == 0:
        return
    for i in prange(n, nogil=True, schedule="static",
                    num_threads=team_size(n_threads, <double>n * d * STEP_COST)):
        row = i if rows is None else rows[i]
        sgd_row(table, d, &param[row, 0], &grad[i, 0], &velocity[row, 0], <floating>lr,
                <floating>momentum, nesterov, <floating>scale, <floating>l2)


cdef double row_sum_of_squares(const floating *x, Py_ssize_t d) noexcept nogil:
    """In four interleaved sums: one alone would wait for each addition."""
    cdef double s0 = 0, s1 = 0, s2 = 0, s3 = 0
    cdef Py_ssize_t j = 0
    while j + 4 <= d:
        s0 += <double>x[j] * x[j]
        s1 += <double>x[j + 1] * x[j + 1]
        s2 += <double>x[j + 2] * x[j + 2]
        s3 += <double>x[j + 3] * x[j + 3]
        j += 4
    while j < d:
        s0 += <double>x[j] * x[j]
        j += 1
    return (s0 + s1) + (s2 + s3)


def limit_row_norms(
    floating[:, ::1] weights,    # IN/OUT  (r, d)
    double max_norm,
    int n_threads=1,
):
    """Scale rows whose l2 norm is above max_norm to max_norm (Hinton et al. 2012; Kim 2014, 2.1)."""
    cdef Py_ssize_t i, j, n = weights.shape[0], d = weights.shape[1]
    cdef double norm
    if not max_norm > 0:
        raise ValueError(f"max_norm is {max_norm}, but it must be positive")
    if d == 0:
        return
    for i in prange(n, nogil=True, num_threads=team_size(n_threads, <double>n * d * STEP_COST)):
        norm = sqrt(row_sum_of_squares(&weights[i, 0], d))
        if norm > max_norm:
            for j in range(d):
                weights[i, j] = <floating>(weights[i, j] * (max_norm / norm))


def sum_of_squares(
    const floating[:, ::1] x,    # IN   (r, d)
    int n_threads=1,
):
    """Sum of x[i, j]^2 in double, each row by itself, then the rows in order."""
    cdef Py_ssize_t i, n = x.shape[0], d = x.shape[1]
    cdef double total = 0
    cdef double *sums
    if n == 0 or d == 0:
        return 0.0
    sums = <double *>malloc(n * sizeof(double))
    if sums == NULL:
        raise MemoryError(f"no memory for the sums of {n} rows")
    for i in prange(n, nogil=True, schedule="static",
                    num_threads=team_size(n_threads, <double>n * d * STEP_COST)):
        sums[i] = row_sum_of_squares(&x[i, 0], d)
    for i in range(n):
        total += sums[i]
    free(sums)
    return total
