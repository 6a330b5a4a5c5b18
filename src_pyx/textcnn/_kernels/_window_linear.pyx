"""Scores that are sums over a window of tokens, each of which adds some rows of a table, and their training.

A row has a part for each place in the window: the part for place j counts at the token that has the row's own
token at that place, of which the first is (width - 1) // 2 tokens before it. Tokens outside the sentence add
nothing.
"""

from cython cimport floating
from cython.parallel cimport prange, threadid
from libc.math cimport isfinite
from libc.stdint cimport int32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

import numpy as np

from textcnn._kernels._crf cimport crf_batch_loss
from textcnn._kernels._offsets cimport check_offsets
from textcnn._kernels._openmp cimport team_size
from textcnn._kernels._optim cimport ADAM, Step, Update, open_counts, open_param, update_all
from textcnn._kernels._softmax cimport cross_entropy_row
from textcnn._kernels._simd cimport active_table, simd_table, weighted_sum

cdef enum:
    # About what an addition costs, in multiply-add operations: it waits for memory.
    GATHER_COST = 8
    # About what one exponential costs.
    EXP_COST = 400
    # Places of a window at most; products of sizes then stay far from overflow.
    MAX_WIDTH = 1 << 20
    # Row of unknown n-grams, which keeps its zeros, and of no n-gram and no attribute.
    UNKNOWN_ROW = 0
    NO_ROW = -1


cdef int check_places(Py_ssize_t width, Py_ssize_t n_columns, Py_ssize_t n_outputs) except -1:
    if not 1 <= width <= MAX_WIDTH:
        raise ValueError(f"width is {width}, but it must lie between 1 and {MAX_WIDTH}")
    if n_columns != width * n_outputs:
        raise ValueError(f"{width} places of {n_outputs} scores do not fit rows of {n_columns} columns")
    return 0


cdef inline int check_row(const int32_t[:, ::1] rows, Py_ssize_t t, Py_ssize_t n_rows) except -1:
    cdef Py_ssize_t k
    for k in range(rows.shape[1]):
        if rows[t, k] < 0 or rows[t, k] >= n_rows:
            raise ValueError(f"row {rows[t, k]} of {n_rows} does not exist")
    return 0


def window_scores(
    const floating[:, ::1] table,        # IN      (v, width * f) score q of place j in column j * f + q
    const int32_t[:, ::1] rows,          # IN      (t, k) of each token
    const Py_ssize_t[::1] offsets,       # IN      (n + 1,)
    Py_ssize_t width,
    bint add,
    floating[:, ::1] out,                # IN/OUT  (t, f)
    int n_threads=1,
):
    """out[t, q] = sum over j and k of table[rows[t - (width - 1) // 2 + j, k], (j, q)], in order.

    With `add` the sum goes on from what `out` holds.
    """
    cdef Py_ssize_t t, most = max(1, width * rows.shape[1])
    cdef const floating **picked
    cdef floating *ones
    cdef int team
    check_offsets(offsets, "offsets", rows.shape[0])
    if out.shape[0] != rows.shape[0]:
        raise ValueError(f"there are rows for {rows.shape[0]} tokens, but scores for {out.shape[0]}")
    check_places(width, table.shape[1], out.shape[1])
    for t in range(rows.shape[0]):
        check_row(rows, t, table.shape[0])
    if out.shape[0] == 0 or out.shape[1] == 0:
        return
    team = team_size(n_threads, score_cost(out.shape[0], most, out.shape[1]))
    picked = <const floating **>malloc(team * most * sizeof(floating *))
    ones = <floating *>malloc(most * sizeof(floating))
    try:
        if picked == NULL or ones == NULL:
            raise MemoryError(f"no memory for windows of {most} rows")
        with nogil:
            fill_with_ones(ones, most)
            score_sentences(table, rows, &offsets[0], offsets.shape[0] - 1, width, add, out, picked, most,
                            ones, team)
    finally:
        free(picked)
        free(ones)


cdef inline double score_cost(Py_ssize_t n_tokens, Py_ssize_t most, Py_ssize_t n_outputs) noexcept nogil:
    return <double>n_tokens * most * n_outputs * GATHER_COST


cdef inline void fill_with_ones(floating *ones, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        ones[i] = 1


cdef void score_sentences(
    const floating[:, ::1] table,
    const int32_t[:, ::1] rows,
    const Py_ssize_t *offsets,           # (n + 1,)
    Py_ssize_t n,
    Py_ssize_t width,
    bint add,
    floating[:, ::1] out,
    const floating **picked,             # scratch (team, most)
    Py_ssize_t most,                     # at least width * k
    const floating *ones,                # (most,)
    int team,
) noexcept nogil:
    cdef const simd_table *simd = active_table()
    cdef Py_ssize_t i
    for i in prange(n, schedule="dynamic", chunksize=4, num_threads=team):
        score_sentence(simd, table, rows, offsets[i], offsets[i + 1], width, add, out,
                       picked + threadid() * most, ones)


cdef void score_sentence(
    const simd_table *simd,
    const floating[:, ::1] table,
    const int32_t[:, ::1] rows,
    Py_ssize_t begin,
    Py_ssize_t end,
    Py_ssize_t width,
    bint add,
    floating[:, ::1] out,
    const floating **picked,             # scratch (width * k,)
    const floating *ones,                # (width * k,)
) noexcept nogil:
    cdef Py_ssize_t t, at, k, first, count, f = out.shape[1]
    for t in range(begin, end):
        first = t - (width - 1) // 2
        count = 0
        for at in range(max(begin, first), min(end, first + width)):
            for k in range(rows.shape[1]):
                picked[count] = &table[rows[at, k], (at - first) * f]
                count += 1
        weighted_sum(simd, count, picked, ones, add, f, &out[t, 0])


cdef Py_ssize_t add_windows(
    const floating[:, ::1] d_out,        # IN      (t, f)
    const int32_t[:, ::1] rows,          # IN      (t, k) of each token
    const Py_ssize_t *offsets,           # IN      (n + 1,)
    Py_ssize_t n,
    Py_ssize_t width,
    Py_ssize_t fixed,                    # row that needs no gradient, or -1
    int32_t[::1] marks,                  # IN/OUT  (v,) all -1 before and after
    int32_t[::1] found,                  # OUT     (at least min(t * k, v),) the distinct rows
    floating[:, ::1] d_rows,             # OUT     (at least min(t * k, v), width * f) their gradient
    floating *window,                    # scratch (width * f,)
) noexcept nogil:
    """The gradient of the table of `window_scores`; returns the number of distinct rows.

    They come in the order of their first appearance, and the sums run in the order of the batch.
    """
    cdef Py_ssize_t i, t, k, c, count = 0, d = d_rows.shape[1]
    cdef int32_t row
    cdef floating *total
    for i in range(n):
        for t in range(offsets[i], offsets[i + 1]):
            if d:
                window_around(d_out, t, offsets[i], offsets[i + 1], width, window)
            for k in range(rows.shape[1]):
                row = rows[t, k]
                if row == fixed:
                    continue
                if marks[row] < 0:
                    marks[row] = <int32_t>count
                    found[count] = row
                    if d:
                        memcpy(&d_rows[count, 0], window, d * sizeof(floating))
                    count += 1
                elif d:
                    total = &d_rows[marks[row], 0]
                    for c in range(d):
                        total[c] += window[c]
    for i in range(count):
        marks[found[i]] = -1
    return count


cdef void window_around(
    const floating[:, ::1] d_out, Py_ssize_t t, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t width,
    floating *window,                    # OUT  (width * f,)
) noexcept nogil:
    """The gradients of the scores at which the rows of token t count, place by place."""
    cdef Py_ssize_t j, at, f = d_out.shape[1]
    for j in range(width):
        at = t + (width - 1) // 2 - j
        if begin <= at < end:
            memcpy(window + j * f, &d_out[at, 0], f * sizeof(floating))
        else:
            memset(window + j * f, 0, f * sizeof(floating))


# ---- training ----------------------------------------------------------------------------------------------


def train_batches(
    const int32_t[::1] types,              # IN      (t,) distinct token of each token
    const int32_t[::1] targets,            # IN      (t,) tags
    const Py_ssize_t[::1] offsets,         # IN      (n + 1,) of the sentences
    const floating[::1] sample_weight,     # IN      (n,)
    const int32_t[:, ::1] type_rows,       # IN      (u, k) rows of the first table of each distinct token
    const int32_t[:, ::1] token_rows,      # IN      (t, p) rows of the second table of each token
    Py_ssize_t width,                      # of the windows of the first table
    Py_ssize_t pair_width,                 # of the second
    list params not None,                  # IN/OUT  of both tables and, with a random field, its transitions,
    #                                                start (1, f), stop (1, f): value, both moments, counts
    const Py_ssize_t[::1] order,           # IN      sentences of the batches
    const Py_ssize_t[::1] batch_offsets,   # IN      (b + 1,) of the batches in `order`
    const double[::1] rates,               # IN      (b,) learning rates
    double alpha,                          # l2 penalty of the tables, divided by the sentences of a batch
    double beta1,
    double beta2,
    double epsilon,
    double[::1] loss,                      # OUT     (b,)
    int n_threads=1,
):
    """Steps of Adam on the losses of batches, one after another; returns the number of steps.

    The score of a tag is the sum of those of both tables. The loss of a batch is that of a random field, or
    the cross-entropy of each token's tag without one, each sentence times its weight, over the number of
    tokens. A loss that is not finite ends the training before its step. Row 0 of the second table, of
    unknown n-grams, has no gradient. No batch may be without tokens.
    """
    cdef Py_ssize_t n_params = len(params), n_batches = rates.shape[0], i, j, n, t, done = 0
    cdef Py_ssize_t most_sentences = 0, most_tokens = 0, most, k = type_rows.shape[1], p = token_rows.shape[1]
    cdef Update updates[5]
    cdef Step step
    cdef int failed = 0, team = max(1, n_threads)
    cdef floating[:, ::1] table, pair_table, transitions, start, stop
    if n_params != 2 and n_params != 5:
        raise ValueError(f"there are {n_params} parameters, but two tables, or also three of a random field")
    opened = [tuple(param) for param in params]  # which keeps the arrays while the updates point into them
    for j in range(n_params):
        if len(opened[j]) != 4:
            raise ValueError(f"parameter {j} has {len(opened[j])} parts, but a value, two moments and counts")
        value, moment, moment2, counts = opened[j]
        open_param[floating](updates + j, value, [moment, moment2])
        if isinstance(counts, int):
            raise TypeError(f"the counts of parameter {j} are an int, but must be an array, one for each row")
        open_counts(updates + j, counts, len(value))
    table, pair_table = opened[0][0], opened[1][0]
    cdef Py_ssize_t c = table.shape[1] // width if width > 0 else 0
    check_places(width, table.shape[1], c)
    check_places(pair_width, pair_table.shape[1], c)
    check_offsets(offsets, "offsets", types.shape[0])
    if targets.shape[0] != types.shape[0] or token_rows.shape[0] != types.shape[0]:
        raise ValueError(f"targets and token_rows must have one for each of {types.shape[0]} tokens")
    if sample_weight.shape[0] != offsets.shape[0] - 1 or loss.shape[0] != n_batches:
        raise ValueError("sample_weight needs a value for each sentence, loss for each learning rate")
    check_batches(order, batch_offsets, n_batches, offsets, &most_sentences, &most_tokens)
    check_tokens(types, targets, offsets, type_rows, token_rows, order, table.shape[0], pair_table.shape[0],
                 c)
    if n_params == 5:
        transitions, start, stop = opened[2][0], opened[3][0], opened[4][0]
        if transitions.shape[0] != c or transitions.shape[1] != c or start.shape[0] != 1 \
                or start.shape[1] != c or stop.shape[0] != 1 or stop.shape[1] != c:
            raise ValueError(f"transitions must be ({c}, {c}), start and stop (1, {c})")
    if n_batches == 0:
        return 0

    dtype = np.float32 if sizeof(floating) == sizeof(float) else np.float64
    cdef int32_t[:, ::1] rows = np.empty((most_tokens, k), np.int32)
    cdef int32_t[:, ::1] pair_rows = np.empty((most_tokens, p), np.int32)
    cdef int32_t[::1] tags = np.empty(most_tokens, np.int32)
    cdef Py_ssize_t[::1] ends = np.empty(most_sentences + 1, np.intp)
    cdef floating[::1] weights = np.empty(most_sentences, dtype)
    cdef double[::1] losses = np.empty(most_sentences)
    cdef floating[:, ::1] emissions = np.empty((most_tokens, c), dtype)
    cdef floating[:, ::1] d_emissions = np.empty((most_tokens, c), dtype)
    cdef int32_t[::1] marks = np.full(table.shape[0], -1, np.int32)
    cdef int32_t[::1] pair_marks = np.full(pair_table.shape[0], -1, np.int32)
    cdef int32_t[::1] found = np.empty(max(1, min(most_tokens * k, table.shape[0])), np.int32)
    cdef int32_t[::1] pair_found = np.empty(max(1, min(most_tokens * p, pair_table.shape[0])), np.int32)
    cdef floating[:, ::1] d_rows = np.empty((found.shape[0], width * c), dtype)
    cdef floating[:, ::1] d_pair_rows = np.empty((pair_found.shape[0], pair_width * c), dtype)
    cdef floating[:, ::1] d_chain = np.empty((c + 2, c), dtype)  # transitions, start, stop
    cdef floating[::1] window = np.empty(max(width, pair_width) * c, dtype)
    most = max(1, max(width * k, pair_width * p))
    cdef floating[::1] ones = np.ones(most, dtype)
    cdef Py_ssize_t[::1] picked_memory = np.empty(team * most, np.intp)
    cdef const floating **picked = <const floating **>&picked_memory[0]

    updates[0].rows, updates[0].grad = &found[0], &d_rows[0, 0]
    updates[1].rows, updates[1].grad = &pair_found[0], &d_pair_rows[0, 0]
    for j in range(2, n_params):
        updates[j].n_rows = c if j == 2 else 1
        updates[j].grad = &d_chain[0 if j == 2 else c + j - 3, 0]
    step.method, step.decay, step.decay2, step.epsilon = ADAM, beta1, beta2, epsilon
    step.scale, step.nesterov = 1, False
    with nogil:
        for i in range(n_batches):
            n = batch_offsets[i + 1] - batch_offsets[i]
            t = take_batch(types, targets, offsets, sample_weight, type_rows, token_rows,
                           &order[batch_offsets[i]], n, rows, pair_rows, tags, ends, weights)
            team = team_size(n_threads, score_cost(t, most, c))
            score_sentences(table, rows, &ends[0], n, width, False, emissions, picked, most, &ones[0], team)
            score_sentences(pair_table, pair_rows, &ends[0], n, pair_width, True, emissions, picked, most,
                            &ones[0], team)
            if n_params == 5:
                failed = crf_batch_loss(
                    &emissions[0, 0], c, &transitions[0, 0], &start[0, 0], &stop[0, 0], &tags[0], &ends[0], n,
                    &weights[0], &losses[0], &d_emissions[0, 0], &d_chain[0, 0], &d_chain[c, 0],
                    &d_chain[c + 1, 0], n_threads,
                )
                if failed:
                    break
            else:
                softmax_batch_loss(emissions, tags, ends, n, weights, losses, d_emissions, n_threads)
            loss[i] = 0
            for j in range(n):
                loss[i] += losses[j]
            if not isfinite(loss[i]):
                break
            updates[0].n_rows = add_windows(d_emissions, rows, &ends[0], n, width, NO_ROW, marks, found,
                                            d_rows, &window[0])
            updates[1].n_rows = add_windows(d_emissions, pair_rows, &ends[0], n, pair_width, UNKNOWN_ROW,
                                            pair_marks, pair_found, d_pair_rows, &window[0])
            updates[0].l2 = updates[1].l2 = alpha / n
            step.lr = rates[i]
            update_all(&step, updates, n_params, n_threads)
            done += 1
    if failed:
        raise MemoryError(f"no memory for the rows of {most_tokens} tokens with {c} tags")
    return done


cdef int check_tokens(
    const int32_t[::1] types, const int32_t[::1] targets, const Py_ssize_t[::1] offsets,
    const int32_t[:, ::1] type_rows, const int32_t[:, ::1] token_rows, const Py_ssize_t[::1] order,
    Py_ssize_t n_rows, Py_ssize_t n_pair_rows, Py_ssize_t n_tags,
) except -1:
    """Check the tokens of the sentences in `order`: those of all would be too many for a call on a few."""
    cdef Py_ssize_t j, t
    for j in range(order.shape[0]):
        for t in range(offsets[order[j]], offsets[order[j] + 1]):
            if types[t] < 0 or types[t] >= type_rows.shape[0]:
                raise ValueError(f"type {types[t]} of {type_rows.shape[0]} does not exist")
            if targets[t] < 0 or targets[t] >= n_tags:
                raise ValueError(f"target {t} is {targets[t]}, but there are {n_tags} tags")
            check_row(type_rows, types[t], n_rows)
            check_row(token_rows, t, n_pair_rows)
    return 0


cdef int check_batches(
    const Py_ssize_t[::1] order, const Py_ssize_t[::1] batch_offsets, Py_ssize_t n_batches,
    const Py_ssize_t[::1] offsets, Py_ssize_t *most_sentences, Py_ssize_t *most_tokens,
) except -1:
    """Check the batches, and find the most sentences and the most tokens of any."""
    cdef Py_ssize_t i, j, n_tokens, n = offsets.shape[0] - 1
    check_offsets(batch_offsets, "batch_offsets", order.shape[0])
    if batch_offsets.shape[0] - 1 != n_batches:
        raise ValueError(f"there are {batch_offsets.shape[0] - 1} batches, but {n_batches} learning rates")
    for j in range(order.shape[0]):
        if order[j] < 0 or order[j] >= n:
            raise ValueError(f"sentence {order[j]} of {n} does not exist")
    for i in range(n_batches):
        n_tokens = 0
        for j in range(batch_offsets[i], batch_offsets[i + 1]):
            n_tokens += offsets[order[j] + 1] - offsets[order[j]]
        if n_tokens == 0:
            raise ValueError(f"batch {i} has no tokens")
        most_tokens[0] = max(most_tokens[0], n_tokens)
        most_sentences[0] = max(most_sentences[0], batch_offsets[i + 1] - batch_offsets[i])
    return 0


cdef Py_ssize_t take_batch(
    const int32_t[::1] types,
    const int32_t[::1] targets,
    const Py_ssize_t[::1] offsets,
    const floating[::1] sample_weight,
    const int32_t[:, ::1] type_rows,
    const int32_t[:, ::1] token_rows,
    const Py_ssize_t *sentences,         # (n,)
    Py_ssize_t n,
    int32_t[:, ::1] rows,                # OUT  (t, k)
    int32_t[:, ::1] pair_rows,           # OUT  (t, p)
    int32_t[::1] tags,                   # OUT  (t,)
    Py_ssize_t[::1] ends,                # OUT  (n + 1,) offsets of the batch
    floating[::1] weights,               # OUT  (n,) over the number of tokens
) noexcept nogil:
    """The sentences of a batch, end to end; returns the number of their tokens."""
    cdef Py_ssize_t i, t, j, at = 0
    for i in range(n):
        ends[i] = at
        for t in range(offsets[sentences[i]], offsets[sentences[i] + 1]):
            for j in range(rows.shape[1]):
                rows[at, j] = type_rows[types[t], j]
            for j in range(pair_rows.shape[1]):
                pair_rows[at, j] = token_rows[t, j]
            tags[at] = targets[t]
            at += 1
    ends[n] = at
    for i in range(n):
        weights[i] = sample_weight[sentences[i]] / <floating>at
    return at


cdef void softmax_batch_loss(
    const floating[:, ::1] emissions,
    const int32_t[::1] tags,
    const Py_ssize_t[::1] ends,
    Py_ssize_t n,
    const floating[::1] weights,
    double[::1] losses,                  # OUT  (n,)
    floating[:, ::1] d_emissions,        # OUT  (t, c)
    int n_threads,
) noexcept nogil:
    """The cross-entropy of the tags of each sentence, times its weight."""
    cdef Py_ssize_t i, c = emissions.shape[1]
    cdef int team = team_size(n_threads, <double>ends[n] * c * EXP_COST)
    for i in prange(n, schedule="dynamic", chunksize=4, num_threads=team):
        losses[i] = sentence_loss(emissions, tags, ends[i], ends[i + 1], weights[i], d_emissions)


cdef double sentence_loss(
    const floating[:, ::1] emissions, const int32_t[::1] tags, Py_ssize_t begin, Py_ssize_t end,
    floating weight, floating[:, ::1] d_emissions,
) noexcept nogil:
    cdef Py_ssize_t t
    cdef double total = 0
    for t in range(begin, end):
        total += cross_entropy_row(&emissions[t, 0], emissions.shape[1], tags[t], weight, &d_emissions[t, 0])
    return total
