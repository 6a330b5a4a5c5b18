"""Optimiser steps on whole matrices or on some of their rows, the norm limit, and norms.

A step takes all parameters at once, each as a tuple of the parameter (v, d), its gradient, the rows of the
parameter that the gradient belongs to, or None for all, its l2 penalty, and the state of the optimiser. In
every step g = scale * grad + l2 * param; `scale` clips the gradient, `l2` is the weight decay. With `rows`,
row i of the gradient belongs to row rows[i] of the parameter and only these rows and their state change; rows
must be distinct. Without, the gradient has all rows.
"""

from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport pow, sqrt
from libc.stdint cimport int32_t
from libc.stdlib cimport free, malloc

from textcnn._kernels._offsets cimport ceil_div
from textcnn._kernels._openmp cimport team_size
from textcnn._kernels._simd cimport active_table, adadelta_row, adam_row, sgd_row, simd_table

# About what one element of a step costs, in multiply-add operations: it is bound by memory.
cdef enum:
    STEP_COST = 40


cdef int check_rows(const int32_t[::1] rows, Py_ssize_t n_rows, Py_ssize_t n_param_rows) except -1:
    cdef Py_ssize_t i
    if rows is None:
        if n_rows != n_param_rows:
            raise ValueError(f"the gradient has {n_rows} rows, but the parameter has {n_param_rows}")
        return 0
    if n_rows != rows.shape[0]:
        raise ValueError(f"the gradient has {n_rows} rows, but {rows.shape[0]} are named")
    for i in range(rows.shape[0]):
        if rows[i] < 0 or rows[i] >= n_param_rows:
            raise ValueError(f"row {rows[i]} of {n_param_rows} does not exist")
    return 0


cdef int open_update(
    Update *update, floating[:, :] param, const floating[:, ::1] grad, rows, double l2, list states,
) except -1:
    """Checked pointers into the arrays of one parameter, which live as long as the list they came in."""
    cdef const int32_t[::1] named = rows
    open_param[floating](update, param, states)
    if grad.shape[1] != param.shape[1]:
        raise ValueError(f"the gradient has {grad.shape[1]} columns, but the parameter has {param.shape[1]}")
    check_rows(named, grad.shape[0], param.shape[0])
    update.l2, update.n_rows = l2, grad.shape[0]
    if grad.shape[0] and named is not None:
        update.rows = &named[0]
    if grad.shape[0] and grad.shape[1]:
        update.grad = <const void *>&grad[0, 0]
    return 0


cdef int open_param(Update *update, floating[:, :] param, list states) except -1:
    """The parameter and its state, without a gradient."""
    cdef Py_ssize_t v = param.shape[0], d = param.shape[1], i
    cdef floating[:, ::1] state
    if param.strides[1] != <Py_ssize_t>sizeof(floating):
        raise ValueError("the columns of the parameter must be adjacent")
    update.itemsize, update.stride, update.n_columns = sizeof(floating), param.strides[0], d
    update.n_rows, update.n_steps, update.l2 = 0, 0, 0
    update.rows, update.param, update.grad, update.counts = NULL, NULL, NULL, NULL
    for i in range(len(states)):
        state = states[i]
        if state.shape[0] != v or state.shape[1] != d:
            raise ValueError(
                f"the state is ({state.shape[0]}, {state.shape[1]}), but the parameter is ({v}, {d})"
            )
        if v and d:
            update.state[i] = <void *>&state[0, 0]
    if v and d:
        update.param = <void *>&param[0, 0]
    return 0


cdef int open_counts(Update *update, counts, Py_ssize_t n_param_rows) except -1:
    """Steps of Adam: of each row so far, or one number for all rows, with this step."""
    cdef int32_t[::1] of_rows
    update.n_steps = 0
    if isinstance(counts, int):
        if counts < 1:
            raise ValueError(f"the number of steps is {counts}, but it counts this one and is at least 1")
        update.n_steps = counts
        return 0
    of_rows = counts
    if of_rows.shape[0] != n_param_rows:
        raise ValueError(f"there are {of_rows.shape[0]} counts of steps for {n_param_rows} rows")
    if n_param_rows:
        update.counts = &of_rows[0]
    return 0


cdef int take_step(list updates, int n_states, const Step *step, int n_threads) except -1:
    """The same step of all parameters, after a look at all of them: if one is refused, none has changed."""
    cdef Py_ssize_t i, n = len(updates)
    cdef Update *opened = <Update *>malloc(max(1, n) * sizeof(Update))
    if opened == NULL:
        raise MemoryError(f"no memory for a step of {n} parameters")
    try:
        for i in range(n):
            param, grad, rows, l2, *states = updates[i]
            if len(states) != n_states + (step.method == ADAM):
                raise ValueError(f"the state of parameter {i} has {len(states)} parts, too few or too many")
            counts = states.pop() if step.method == ADAM else None
            if param.itemsize == sizeof(float):
                open_update[float](opened + i, param, grad, rows, l2, states)
            else:
                open_update[double](opened + i, param, grad, rows, l2, states)
            if step.method == ADAM:
                open_counts(opened + i, counts, len(param))
        with nogil:
            update_all(step, opened, n, n_threads)
    finally:
        free(opened)
    return 0


cdef void update_all(const Step *step, Update *updates, Py_ssize_t n, int n_threads) noexcept nogil:
    """The step of all parameters, by a team that shares their elements equally."""
    cdef const simd_table *table = active_table()
    cdef Py_ssize_t i, total = 0
    cdef int team, thread
    for i in range(n):
        updates[i].first = total
        total += updates[i].n_rows * max(1, updates[i].n_columns)  # rows of no columns are counted, too
    team = team_size(n_threads, <double>total * STEP_COST)
    for thread in prange(team, schedule="static", num_threads=team):
        update_share(table, step, updates, n, total * thread // team, total * (thread + 1) // team)


cdef void update_share(
    const simd_table *table, const Step *step, const Update *updates, Py_ssize_t n, Py_ssize_t start,
    Py_ssize_t stop,
) noexcept nogil:
    """Update the rows whose gradient begins at one of the elements from `start` to `stop`."""
    cdef Py_ssize_t i, first, last
    for i in range(n):
        first = rows_before(start - updates[i].first, updates[i].n_rows, updates[i].n_columns)
        last = rows_before(stop - updates[i].first, updates[i].n_rows, updates[i].n_columns)
        if first == last:
            continue
        if updates[i].itemsize == sizeof(float):
            update_rows[float](table, step, updates + i, first, last, NULL)
        else:
            update_rows[double](table, step, updates + i, first, last, NULL)


cdef Py_ssize_t rows_before(Py_ssize_t element, Py_ssize_t n_rows, Py_ssize_t n_columns) noexcept nogil:
    """How many rows of a matrix begin before an element of it."""
    return min(n_rows, ceil_div(max(0, element), max(1, n_columns)))


cdef void update_rows(
    const simd_table *table, const Step *step, const Update *update, Py_ssize_t first, Py_ssize_t last,
    const floating *like,                  # tells the dtype
) noexcept nogil:
    cdef Py_ssize_t i, row, d = update.n_columns
    cdef int n_steps, count = -1           # of the row at hand, and that which lr and correction2 are for
    cdef floating *param
    cdef const floating *grad
    cdef floating *state
    cdef floating *state2
    cdef floating lr = <floating>step.lr, correction2 = 1, epsilon = <floating>step.epsilon
    cdef floating scale = <floating>step.scale, l2 = <floating>update.l2
    for i in range(first, last):
        row = i if update.rows == NULL else update.rows[i]
        n_steps = update.n_steps
        if update.counts != NULL:
            update.counts[row] += 1
            n_steps = update.counts[row]
        if d == 0:
            continue
        param = <floating *>(<char *>update.param + row * update.stride)
        grad = <const floating *>update.grad + i * d
        state = <floating *>update.state[0] + row * d
        if step.method == SGD:
            sgd_row(table, d, param, grad, state, lr, <floating>step.decay, step.nesterov, scale, l2)
            continue
        state2 = <floating *>update.state[1] + row * d
        if step.method == ADADELTA:
            adadelta_row(table, d, param, grad, state, state2, lr, step.decay, epsilon, scale, l2)
            continue
        if n_steps != count:  # powers cost more than a short row
            count = n_steps
            lr = <floating>(step.lr / (1 - pow(step.decay, count)))
            correction2 = <floating>(1 / (1 - pow(step.decay2, count)))
        adam_row(table, d, param, grad, state, state2, lr, step.decay, step.decay2, correction2, epsilon,
                 scale, l2)


def adam_step(
    list updates not None,  # IN/OUT  (param, grad, rows, l2, first moment m, second moment v, steps) of each
    double lr,
    double beta1,
    double beta2,
    double epsilon,
    double scale=1.0,
    int n_threads=1,
):
    """Adam (Kingma & Ba 2015), with a step count t of each row's own, or one of all rows.

    m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
    param -= lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)

    The steps of a parameter: an int32 array (v,) of the updates of each row so far, which is counted up, or
    an int, t itself.
    """
    cdef Step step
    step.method, step.lr, step.decay, step.decay2, step.epsilon = ADAM, lr, beta1, beta2, epsilon
    step.scale, step.nesterov = scale, False
    take_step(updates, 2, &step, n_threads)


def adadelta_step(
    list updates not None,  # IN/OUT  (param, grad, rows, l2, E[g^2], E[u^2]) of each
    double lr,
    double rho,
    double epsilon,
    double scale=1.0,
    int n_threads=1,
):
    """Adadelta (Zeiler 2012, algorithm 1).

    E[g^2] = rho E[g^2] + (1 - rho) g^2;  u = sqrt(E[u^2] + epsilon) / sqrt(E[g^2] + epsilon) g;
    E[u^2] = rho E[u^2] + (1 - rho) u^2;  param -= lr u
    """
    cdef Step step
    step.method, step.lr, step.decay, step.decay2, step.epsilon = ADADELTA, lr, rho, 0, epsilon
    step.scale, step.nesterov = scale, False
    take_step(updates, 2, &step, n_threads)


def sgd_step(
    list updates not None,  # IN/OUT  (param, grad, rows, l2, velocity) of each
    double lr,
    double momentum,
    bint nesterov=False,
    double scale=1.0,
    int n_threads=1,
):
    """Gradient descent with momentum, as in scikit-learn's multi-layer perceptron.

    velocity = momentum velocity - lr g;  param += velocity, or with Nesterov's momentum
    param += momentum velocity - lr g
    """
    cdef Step step
    step.method, step.lr, step.decay, step.decay2, step.epsilon = SGD, lr, momentum, 0, 0
    step.scale, step.nesterov = scale, nesterov
    take_step(updates, 1, &step, n_threads)


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


cdef struct Matrix:
    Py_ssize_t itemsize
    const void *values
    Py_ssize_t n_rows
    Py_ssize_t n_columns


cdef int open_matrix(Matrix *matrix, const floating[:, ::1] x) except -1:
    matrix.itemsize, matrix.n_rows, matrix.n_columns = sizeof(floating), x.shape[0], x.shape[1]
    if x.shape[0] and x.shape[1]:
        matrix.values = <const void *>&x[0, 0]
    else:
        matrix.n_rows = 0
    return 0


def sum_of_squares(
    list matrices not None,      # IN   of shapes (r, d)
    int n_threads=1,
):
    """Sum of the squares of all elements in double: each row by itself, then the rows, then the matrices."""
    cdef Py_ssize_t k, n = len(matrices), most = 0
    cdef double total = 0
    cdef double *sums = NULL
    cdef Matrix *opened = <Matrix *>malloc(max(1, n) * sizeof(Matrix))
    try:
        if opened == NULL:
            raise MemoryError(f"no memory for a look at {n} matrices")
        for k in range(n):
            matrix = matrices[k]
            if matrix.itemsize == sizeof(float):
                open_matrix[float](opened + k, matrix)
            else:
                open_matrix[double](opened + k, matrix)
            most = max(most, opened[k].n_rows)
        sums = <double *>malloc(max(1, most) * sizeof(double))
        if sums == NULL:
            raise MemoryError(f"no memory for the sums of {most} rows")
        with nogil:
            for k in range(n):
                total += matrix_sum_of_squares(opened + k, sums, n_threads)
    finally:
        free(opened)
        free(sums)
    return total


cdef double matrix_sum_of_squares(const Matrix *x, double *sums, int n_threads) noexcept nogil:
    cdef Py_ssize_t i, d = x.n_columns
    cdef double total = 0
    cdef int team = team_size(n_threads, <double>x.n_rows * d * STEP_COST)
    for i in prange(x.n_rows, schedule="static", num_threads=team):
        if x.itemsize == sizeof(float):
            sums[i] = row_sum_of_squares(<const float *>x.values + i * d, d)
        else:
            sums[i] = row_sum_of_squares(<const double *>x.values + i * d, d)
    for i in range(x.n_rows):
        total += sums[i]
    return total
