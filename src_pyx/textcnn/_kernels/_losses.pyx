"""Losses of single elements and the cross-entropy of rows, forward and backward; see _simd_activations.h.

Sums over elements and samples run in float64 over pieces of a fixed size, in their order.
"""

from cython cimport floating
from cython.parallel cimport prange

from textcnn._kernels cimport _simd
from textcnn._kernels._openmp cimport team_size
from textcnn._kernels._simd cimport active_table, simd_table

LOSSES = ("mse", "huber", "binary_cross_entropy")
"""Names in the order of their numbers."""

# About what one element costs, in multiply-add operations: it waits for memory or takes an exponential.
# Elements of one piece; elements whose losses are held before they are summed.
cdef enum:
    ELEMENT_COST = 20
    PIECE = 4096
    BLOCK = 512


cdef int check_loss(
    int number,
    Py_ssize_t n,
    Py_ssize_t n_targets,
    const floating[::1] weights,
) except -1:
    if number < 0 or number >= _simd.TEXTCNN_N_LOSSES:
        raise ValueError(f"loss {number} does not exist")
    if n_targets != n or (weights is not None and weights.shape[0] != n):
        raise ValueError(f"targets and weights must have {n} elements")
    return 0


cdef inline const floating* at(const floating *start, Py_ssize_t i) noexcept nogil:
    """Element i of an array that may be missing."""
    return start + i if start != NULL else NULL


cdef double loss_sum_piece(
    const simd_table *table, int number, Py_ssize_t n, const floating *predictions, const floating *targets,
    const floating *weights, double parameter,
) noexcept nogil:
    cdef floating losses[BLOCK]
    cdef Py_ssize_t start = 0, size
    cdef double total = 0
    while start < n:
        size = min(BLOCK, n - start)
        _simd.loss(table, number, size, predictions + start, targets + start, at(weights, start), parameter,
                   losses)
        total += _simd.sum(table, size, losses)
        start += size
    return total


def all_within(
    const floating[::1] x,   # IN   (n,)
    double least,            # IN
    double most,             # IN
    int n_threads=1,
):
    """Whether least <= x[i] <= most for every i; NaN is outside."""
    cdef Py_ssize_t piece, n = x.shape[0], n_outside = 0
    cdef const simd_table *table = active_table()
    for piece in prange((n + PIECE - 1) // PIECE, nogil=True, num_threads=team_size(n_threads, n)):
        n_outside += 1 - _simd.all_within(table, min(PIECE, n - piece * PIECE), &x[piece * PIECE], least,
                                          most)
    return n_outside == 0


def n_pieces(Py_ssize_t n):
    """Sums that `loss_sums` makes of n elements."""
    return (n + PIECE - 1) // PIECE


def loss(
    int number,                        # IN   place in LOSSES
    const floating[::1] predictions,   # IN   (n,)
    const floating[::1] targets,       # IN   (n,)
    const floating[::1] weights,       # IN   (n,) weights of the positive class, or None
    double parameter,                  # IN   delta of huber; the others do not read it
    floating[::1] out,                 # OUT  (n,)
    int n_threads=1,
):
    """out[i] = loss of element i."""
    cdef Py_ssize_t piece, n = predictions.shape[0]
    cdef const simd_table *table = active_table()
    cdef const floating *first_weight = NULL
    check_loss(number, n, targets.shape[0], weights)
    if out.shape[0] != n:
        raise ValueError(f"out must have {n} elements")
    if weights is not None and n > 0:
        first_weight = &weights[0]
    for piece in prange((n + PIECE - 1) // PIECE, nogil=True,
                        num_threads=team_size(n_threads, <double>n * ELEMENT_COST)):
        _simd.loss(table, number, min(PIECE, n - piece * PIECE), &predictions[piece * PIECE],
                   &targets[piece * PIECE], at(first_weight, piece * PIECE), parameter, &out[piece * PIECE])


def loss_sums(
    int number,                        # IN   place in LOSSES
    const floating[::1] predictions,   # IN   (n,)
    const floating[::1] targets,       # IN   (n,)
    const floating[::1] weights,       # IN   (n,) weights of the positive class, or None
    double parameter,                  # IN   delta of huber; the others do not read it
    double[::1] sums,                  # OUT  (n_pieces(n),)
    int n_threads=1,
):
    """sums[p] = sum of the losses of piece p."""
    cdef Py_ssize_t piece, n = predictions.shape[0]
    cdef const simd_table *table = active_table()
    cdef const floating *first_weight = NULL
    check_loss(number, n, targets.shape[0], weights)
    if sums.shape[0] != (n + PIECE - 1) // PIECE:
        raise ValueError(f"sums must have {(n + PIECE - 1) // PIECE} elements")
    if weights is not None and n > 0:
        first_weight = &weights[0]
    for piece in prange(sums.shape[0], nogil=True,
                        num_threads=team_size(n_threads, <double>n * ELEMENT_COST)):
        sums[piece] = loss_sum_piece(
            table, number, min(PIECE, n - piece * PIECE), &predictions[piece * PIECE],
            &targets[piece * PIECE], at(first_weight, piece * PIECE), parameter)


def loss_backward(
    int number,                        # IN   place in LOSSES
    const floating[::1] predictions,   # IN   (n,)
    const floating[::1] targets,       # IN   (n,)
    const floating[::1] weights,       # IN   (n,) weights of the positive class, or None
    const floating[::1] d_loss,        # IN   (n,), or None: all are `scale`
    double scale,                      # IN
    double parameter,                  # IN   delta of huber; the others do not read it
    floating[::1] d_predictions,       # OUT  (n,)
    floating[::1] d_targets,           # OUT  (n,)
    int n_threads=1,
):
    """Gradients of sum_i d_loss[i] loss[i]."""
    cdef Py_ssize_t piece, start, n = predictions.shape[0]
    cdef const simd_table *table = active_table()
    cdef const floating *first_weight = NULL
    cdef const floating *first_d_loss = NULL
    check_loss(number, n, targets.shape[0], weights)
    if d_predictions.shape[0] != n or d_targets.shape[0] != n:
        raise ValueError(f"d_predictions and d_targets must have {n} elements")
    if d_loss is not None and d_loss.shape[0] != n:
        raise ValueError(f"d_loss must have {n} elements")
    if weights is not None and n > 0:
        first_weight = &weights[0]
    if d_loss is not None and n > 0:
        first_d_loss = &d_loss[0]
    for piece in prange((n + PIECE - 1) // PIECE, nogil=True,
                        num_threads=team_size(n_threads, <double>n * ELEMENT_COST)):
        start = piece * PIECE
        _simd.loss_backward(table, number, min(PIECE, n - start), at(first_d_loss, start), scale,
                            &predictions[start], &targets[start], at(first_weight, start), parameter,
                            &d_predictions[start], &d_targets[start])


cdef int check_rows(
    const floating[:, ::1] logits,
    const floating[:, ::1] probabilities,
    const floating[::1] scale,
    const floating[::1] shift,
    const Py_ssize_t[::1] targets,
    const double[::1] target_weights,
) except -1:
    cdef Py_ssize_t i
    cdef Py_ssize_t n = logits.shape[0], c = logits.shape[1]
    if c == 0 and n > 0:
        raise ValueError("there must be at least one class")
    if probabilities is not None and (probabilities.shape[0] != n or probabilities.shape[1] != c):
        raise ValueError(f"probabilities must be ({n}, {c})")
    if (scale is not None and scale.shape[0] != c) or (shift is not None and shift.shape[0] != c):
        raise ValueError(f"scale and shift must have {c} elements")
    if targets is None:
        return 0
    if targets.shape[0] != n or (target_weights is not None and target_weights.shape[0] != n):
        raise ValueError(f"targets and target_weights must have {n} elements")
    i = find_no_class(targets, c)
    if i >= 0:
        raise ValueError(f"target {i} is {targets[i]}, but there are {c} classes")
    return 0


cdef Py_ssize_t find_no_class(const Py_ssize_t[::1] targets, Py_ssize_t n_classes) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(targets.shape[0]):
        if targets[i] < 0 or targets[i] >= n_classes:
            return i
    return -1


def first_no_class(
    const Py_ssize_t[::1] targets,   # IN   (n,)
    Py_ssize_t n_classes,            # IN
):
    """Place of the first target that is no class, or -1."""
    return find_no_class(targets, n_classes)


def cross_entropy(
    const floating[:, ::1] logits,          # IN   (n, c)
    const floating[:, ::1] probabilities,   # IN   (n, c), or None: zeros
    const floating[::1] scale,              # IN   (c,), or None: ones
    const floating[::1] shift,              # IN   (c,), or None: zeros
    const Py_ssize_t[::1] targets,          # IN   (n,) classes, or None
    const double[::1] target_weights,       # IN   (n,), or None: ones
    double[::1] loss,                       # OUT  (n,)
    int n_threads=1,
):
    """loss[i] = -sum_k q[i, k] log softmax(logits[i])[k].

    q[i, k] = scale[k] probabilities[i, k] + shift[k], plus target_weights[i] at k = targets[i].
    """
    cdef Py_ssize_t i, n = logits.shape[0], c = logits.shape[1]
    cdef const simd_table *table = active_table()
    cdef const floating *first_probability = NULL
    cdef const floating *first_scale = NULL
    cdef const floating *first_shift = NULL
    cdef bint have_targets = targets is not None
    cdef bint have_weights = target_weights is not None
    check_rows(logits, probabilities, scale, shift, targets, target_weights)
    if loss.shape[0] != n:
        raise ValueError(f"loss must have {n} elements")
    if n == 0:
        return
    if probabilities is not None:
        first_probability = &probabilities[0, 0]
    if scale is not None:
        first_scale = &scale[0]
    if shift is not None:
        first_shift = &shift[0]
    for i in prange(n, nogil=True, num_threads=team_size(n_threads, <double>n * c * ELEMENT_COST)):
        loss[i] = _simd.cross_entropy_row(
            table, c, &logits[i, 0], at(first_probability, i * c), first_scale, first_shift,
            targets[i] if have_targets else -1, target_weights[i] if have_weights else 1)


def cross_entropy_backward(
    const double[::1] d_loss,               # IN   (n,)
    const floating[:, ::1] logits,          # IN   (n, c)
    const floating[:, ::1] probabilities,   # IN   (n, c), or None: zeros
    const floating[::1] scale,              # IN   (c,), or None: ones
    const floating[::1] shift,              # IN   (c,), or None: zeros
    const Py_ssize_t[::1] targets,          # IN   (n,) classes, or None
    const double[::1] target_weights,       # IN   (n,), or None: ones
    floating[:, ::1] d_logits,              # OUT  (n, c)
    floating[:, ::1] d_probabilities,       # OUT  (n, c), or None without probabilities
    int n_threads=1,
):
    """Gradients of sum_i d_loss[i] loss[i], with q as in the forward pass.

    d_logits[i, k] = d_loss[i] (softmax(logits[i])[k] sum_l q[i, l] - q[i, k])
    d_probabilities[i, k] = -d_loss[i] scale[k] log softmax(logits[i])[k]
    """
    cdef Py_ssize_t i, n = logits.shape[0], c = logits.shape[1]
    cdef const simd_table *table = active_table()
    cdef const floating *first_probability = NULL
    cdef const floating *first_scale = NULL
    cdef const floating *first_shift = NULL
    cdef floating *first_d_probability = NULL
    cdef bint have_targets = targets is not None
    cdef bint have_weights = target_weights is not None
    check_rows(logits, probabilities, scale, shift, targets, target_weights)
    if d_loss.shape[0] != n or d_logits.shape[0] != n or d_logits.shape[1] != c:
        raise ValueError(f"d_loss must have {n} elements and d_logits be ({n}, {c})")
    if (probabilities is None) != (d_probabilities is None):
        raise ValueError("d_probabilities must be given with probabilities, and only then")
    if d_probabilities is not None and (d_probabilities.shape[0] != n or d_probabilities.shape[1] != c):
        raise ValueError(f"d_probabilities must be ({n}, {c})")
    if n == 0:
        return
    if probabilities is not None:
        first_probability = &probabilities[0, 0]
        first_d_probability = &d_probabilities[0, 0]
    if scale is not None:
        first_scale = &scale[0]
    if shift is not None:
        first_shift = &shift[0]
    for i in prange(n, nogil=True, num_threads=team_size(n_threads, <double>n * c * ELEMENT_COST)):
        _simd.cross_entropy_backward_row(
            table, d_loss[i], c, &logits[i, 0], at(first_probability, i * c), first_scale, first_shift,
            targets[i] if have_targets else -1, target_weights[i] if have_weights else 1, &d_logits[i, 0],
            first_d_probability + i * c if first_d_probability != NULL else NULL)
