"""Plain NumPy form of the kernels of the networks, of text, and of the optimisers.

Letters for the axes: n documents, t tokens of all documents, m distinct tokens, d embedding
dimensions, f filters of one width, c classes, v rows of a parameter, r rows of its gradient, k columns
of coefficients.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textcnn._kernels._text import char_class, simple_lower

FloatArray = NDArray[Any]
IntArray = NDArray[Any]

NO_WINDOW = -(2**31)
"""Value of `argmax` where no window of the text decides the output: it is 0 and has no gradient."""


# Matrix products


def matmul(a: FloatArray, b: FloatArray, bias: FloatArray | None = None, relu: bool = False) -> FloatArray:
    """Matrix product, with a bias and a ReLU on top.

    ``out[i, j] = ((0 + a[i, 0] b[0, j]) + a[i, 1] b[1, j]) + ... + bias[j]``, one accumulator for each
    element, the inner index in increasing order; then ``max(out, 0)`` if `relu`.

    Parameters
    ----------
    a : array of shape (m, k)
    b : array of shape (k, n)
    bias : array of shape (n,), optional
    relu : bool

    Returns
    -------
    out : array of shape (m, n)
    """
    out = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    for k in range(a.shape[1]):
        out += a[:, k, np.newaxis] * b[k]
    if bias is not None:
        out += bias
    if relu:
        out = np.maximum(out, 0)
    return out


# Convolution over embeddings and maximum over time


def n_windows(n_tokens: int, kernel_size: int, left: int, right: int) -> int:
    """Number of windows of one text, padded by `left` and `right` positions.

    An empty text has none; any other has at least one, so that a text shorter than the kernel is not
    lost (its window runs over the right end). The count for the rest is the usual one (Dumoulin &
    Visin 2016, arXiv 1603.07285, relationship 5 with stride 1).
    """
    if n_tokens == 0:
        return 0
    return max(1, n_tokens + left + right - kernel_size + 1)


def block_starts(kernel_sizes: Sequence[int] | IntArray, n_filters: int) -> list[int]:
    """First row, in the stacked weights, of the block that belongs to each width.

    The blocks follow one another; within one, row ``tap * n_filters + f`` is tap `tap` of filter `f`.
    """
    starts = []
    start = 0
    for kernel_size in kernel_sizes:
        starts.append(start)
        start += int(kernel_size) * n_filters
    return starts


def conv_max_forward(
    projected: FloatArray,
    bias: FloatArray,
    slots: IntArray,
    offsets: IntArray,
    kernel_sizes: Sequence[int] | IntArray,
    pads: IntArray,
    n_filters: int,
    relu: bool,
) -> tuple[FloatArray, IntArray]:
    """Convolution of several widths over embeddings, then the maximum over time.

    The layer of Kim 2014 (arXiv 1408.5882, equations 2 and 3) for a packed batch, computed from
    projected tokens. With ``P = rows @ weights.T`` the output of filter f of width w (block of the
    weights starting at `start`) for the window that begins at token s of a text x is::

        z[s, f] = bias[f] + sum over j = 0 .. w-1 of P[x[s + j], start + j * n_filters + f]

    where taps outside the text are left out, and ``out[f]`` is the maximum of ``z[s, f]`` over the
    windows s = -left, -left + 1, ... (see `n_windows`); with `relu` it is ``max(0, ...)`` of that.

    Parameters
    ----------
    projected : array of shape (m, n_filters * sum(kernel_sizes))
        One row for each distinct token.
    bias : array of shape (n_widths * n_filters,)
    slots : int32 array of shape (t,)
        Row of `projected` for each token.
    offsets : intp array of shape (n + 1,)
        Text i is ``slots[offsets[i]:offsets[i + 1]]``.
    kernel_sizes : intp array of shape (n_widths,)
    pads : intp array of shape (n_widths, 2)
        Positions of padding on the left and on the right.
    n_filters : int
        Filters of each width.
    relu : bool

    Returns
    -------
    out : array of shape (n, n_widths * n_filters)
    argmax : int32 array of the same shape
        Start of the first window that attains the maximum, counted from the first token of the text
        (negative within the left padding); `NO_WINDOW` where the text is empty or `relu` cut the
        maximum to 0.
    """
    n_texts = len(offsets) - 1
    n_out = len(kernel_sizes) * n_filters
    out = np.zeros((n_texts, n_out), projected.dtype)
    argmax = np.full((n_texts, n_out), NO_WINDOW, np.int32)
    starts = block_starts(kernel_sizes, n_filters)
    for i in range(n_texts):
        text = slots[offsets[i] : offsets[i + 1]]
        for width, kernel_size in enumerate(kernel_sizes):
            left, right = pads[width]
            columns = slice(width * n_filters, (width + 1) * n_filters)
            for p in range(n_windows(len(text), kernel_size, left, right)):
                z = bias[columns].copy()
                for tap in range(kernel_size):
                    position = p - left + tap
                    if 0 <= position < len(text):
                        row = starts[width] + tap * n_filters
                        z += projected[text[position], row : row + n_filters]
                # A later window must be greater, so that the first of equals stays.
                better = z > out[i, columns] if p > 0 else np.ones(n_filters, bool)
                out[i, columns][better] = z[better]
                argmax[i, columns][better] = p - left
    if relu:
        cut = out <= 0
        out[cut] = 0
        argmax[cut] = NO_WINDOW
    return out, argmax


def window_shares(
    pooled: FloatArray, argmax: IntArray, widths: IntArray, weights: FloatArray, offsets: IntArray
) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    """What the window of every feature that has one adds to the outputs.

    Parameters
    ----------
    pooled : ndarray of shape (n, q)
    argmax : ndarray of shape (n, q)
        Where the window of each feature starts, or NO_WINDOW.
    widths : ndarray of shape (q,)
        Tokens of the windows.
    weights : ndarray of shape (k, q)
        Of the outputs.
    offsets : ndarray of shape (n + 1,)

    Returns
    -------
    tuple (texts, starts, ends, shares)
        By text, then by feature; shares are float64 of shape (n_windows, k).
    """
    found = []
    for i, q in np.ndindex(*argmax.shape):
        if argmax[i, q] != NO_WINDOW:
            end = min(offsets[i + 1] - offsets[i], argmax[i, q] + widths[q])
            found.append((i, max(0, argmax[i, q]), end, pooled[i, q].astype(np.float64) * weights[:, q]))
    texts, starts, ends, shares = zip(*found, strict=True) if found else ((), (), (), ())
    return np.array(texts), np.array(starts), np.array(ends), np.array(shares).reshape(-1, len(weights))


def conv_max_backward(
    d_out: FloatArray,
    argmax: IntArray,
    rows: FloatArray,
    weights: FloatArray,
    slots: IntArray,
    offsets: IntArray,
    kernel_sizes: Sequence[int] | IntArray,
    pads: IntArray,
    n_filters: int,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gradients of `conv_max_forward` with respect to weights, bias and embedding rows.

    Per text and filter a single window s = argmax receives the gradient g = d_out. With u the slot of
    token s + j and R = start + j * n_filters + f the row of tap j (taps outside the text left out)::

        d_bias[f]    += g
        d_weights[R] += g * rows[u]
        d_rows[u]    += g * weights[R]

    Entries with g = 0 or argmax = `NO_WINDOW` are skipped.

    Parameters
    ----------
    d_out : array of shape (n, n_widths * n_filters)
    argmax : int32 array of the same shape
        From the forward pass.
    rows : array of shape (m, d)
        Embedding of each distinct token.
    weights : array of shape (n_filters * sum(kernel_sizes), d2)
        The weights, or only their columns for the embeddings that are trained.
    slots, offsets, kernel_sizes, pads, n_filters
        As in the forward pass. (`pads` does not enter: the starts in `argmax` contain it.)

    Returns
    -------
    d_weights : array of shape (n_filters * sum(kernel_sizes), d)
    d_bias : array of shape (n_widths * n_filters,)
    d_rows : array of shape (m, d2)
    """
    starts = block_starts(kernel_sizes, n_filters)
    d_weights = np.zeros((weights.shape[0], rows.shape[1]))
    d_bias = np.zeros(len(kernel_sizes) * n_filters)
    d_rows = np.zeros((rows.shape[0], weights.shape[1]))
    for i in range(len(offsets) - 1):
        text = slots[offsets[i] : offsets[i + 1]]
        for width, kernel_size in enumerate(kernel_sizes):
            for f in range(n_filters):
                column = width * n_filters + f
                g = float(d_out[i, column])
                window = int(argmax[i, column])
                if g == 0 or window == NO_WINDOW:
                    continue
                d_bias[column] += g
                for tap in range(kernel_size):
                    if 0 <= window + tap < len(text):
                        u = text[window + tap]
                        row = starts[width] + tap * n_filters + f
                        d_weights[row] += g * rows[u].astype(float)
                        d_rows[u] += g * weights[row].astype(float)
    dtype = d_out.dtype
    return d_weights.astype(dtype), d_bias.astype(dtype), d_rows.astype(dtype)


# Softmax


def softmax(logits: FloatArray) -> FloatArray:
    """``out[i, j] = exp(logits[i, j]) / sum over k of exp(logits[i, k])``, rows of shape (n, c).

    The maximum of the row is subtracted first, which changes nothing but keeps exp from overflowing.
    """
    out = np.empty(logits.shape)
    for i, row in enumerate(logits.astype(float)):
        if len(row):
            powers = np.exp(row - row.max())
            out[i] = powers / powers.sum()
    return out.astype(logits.dtype)


def _logsumexp(row: FloatArray) -> float:
    """``log(sum(exp(row)))`` of a float64 row of at least one element, without overflow."""
    top = row.max()
    return float(top + np.log(np.exp(row - top).sum()))


def log_softmax(logits: FloatArray) -> FloatArray:
    """``out[i, j] = logits[i, j] - log(sum over k of exp(logits[i, k]))``, rows of shape (n, c)."""
    out = np.empty(logits.shape)
    for i, row in enumerate(logits.astype(float)):
        if len(row):
            out[i] = row - _logsumexp(row)
    return out.astype(logits.dtype)


def softmax_cross_entropy(
    logits: FloatArray, targets: IntArray, sample_weight: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Weighted cross-entropy of a softmax, and its gradient.

    With target y and weight w of row i::

        loss[i]        = w * (logsumexp(logits[i]) - logits[i, y])
        d_logits[i, j] = w * (softmax(logits[i])[j] - [j = y])

    Parameters
    ----------
    logits : array of shape (n, c)
    targets : intp array of shape (n,)
        Class of each row.
    sample_weight : array of shape (n,)

    Returns
    -------
    loss : float64 array of shape (n,)
    d_logits : array of shape (n, c)
    """
    loss = np.empty(len(logits))
    d_logits = np.empty(logits.shape)
    for i, row in enumerate(logits.astype(float)):
        weight = float(sample_weight[i])
        loss[i] = weight * (_logsumexp(row) - row[targets[i]])
        probabilities = np.exp(row - _logsumexp(row))
        probabilities[targets[i]] -= 1
        d_logits[i] = weight * probabilities
    return loss, d_logits.astype(logits.dtype)


# Random numbers


def philox4x32(counter: Sequence[int] | IntArray, key: Sequence[int] | IntArray) -> IntArray:
    """Philox4x32-10: four random 32-bit words as a function of a counter and a key.

    Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", section 3.3, with
    the multipliers and Weyl constants of its reference implementation (Random123). One round maps the
    counter (c0, c1, c2, c3) under the key (k0, k1) to::

        (high(M1 c2) ^ c1 ^ k0,  low(M1 c2),  high(M0 c0) ^ c3 ^ k1,  low(M0 c0))

    with the upper and lower halves of 64-bit products; before each round but the first the key is
    bumped by (W0, W1). There are ten rounds.

    Parameters
    ----------
    counter : four 32-bit words
    key : two 32-bit words

    Returns
    -------
    words : uint32 array of shape (4,)
    """
    mask = 0xFFFFFFFF
    c0, c1, c2, c3 = (int(word) for word in counter)
    k0, k1 = (int(word) for word in key)
    for round_number in range(10):
        if round_number > 0:
            k0 = (k0 + 0x9E3779B9) & mask
            k1 = (k1 + 0xBB67AE85) & mask
        product0 = 0xD2511F53 * c0
        product1 = 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (
            (product1 >> 32) ^ c1 ^ k0,
            product1 & mask,
            (product0 >> 32) ^ c3 ^ k1,
            product0 & mask,
        )
    return np.array([c0, c1, c2, c3], np.uint32)


def dropout_mask(seed: int, step: int, rate: float, shape: tuple[int, int], dtype: Any) -> FloatArray:
    """Mask of inverted dropout: 0 with probability `rate`, otherwise ``1 / (1 - rate)``.

    Element (i, j) is a function of (seed, step, i, j) alone: word j % 4 of `philox4x32` with the
    counter ``(j // 4, i, low(step), high(step))`` and the key ``(low(seed), high(seed))`` (32-bit
    halves). It is kept where the word is at least ``floor(rate * 2**32)``. Hinton et al. 2012 (arXiv
    1207.0580); the scale is applied in training, so that prediction needs none.
    """
    low = 0xFFFFFFFF
    threshold = int(np.floor(rate * 2**32))
    kept = np.dtype(dtype).type(1.0 / (1.0 - rate))
    out = np.zeros(shape, dtype)
    for i in range(shape[0]):
        for block in range(0, shape[1], 4):
            words = philox4x32((block // 4, i, step & low, step >> 32), (seed & low, seed >> 32))
            for j in range(block, min(block + 4, shape[1])):
                if words[j - block] >= threshold:
                    out[i, j] = kept
    return out


# Optimisers
#
# `rows` names the rows of the parameter to which the rows of the gradient belong (all of them, in
# order, if None). No other row, nor its state, changes: this is the lazy form for embeddings.


def _gradient(
    param: FloatArray, grad: FloatArray, rows: IntArray | None, scale: float, l2: float
) -> tuple[IntArray, FloatArray]:
    """Rows that are touched, and for each the gradient ``scale * grad + l2 * param`` in float64."""
    touched = np.arange(len(param)) if rows is None else np.asarray(rows)
    return touched, scale * grad.astype(float) + l2 * param[touched].astype(float)


def _with_rows(old: FloatArray, touched: IntArray, new_rows: FloatArray) -> FloatArray:
    """Copy of `old` in which the rows `touched` are `new_rows`, rounded to its dtype."""
    new = old.copy()
    new[touched] = new_rows
    return new


def adam_step(
    param: FloatArray,
    grad: FloatArray,
    first: FloatArray,
    second: FloatArray,
    steps: IntArray,
    rows: IntArray | None,
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    scale: float,
    l2: float,
) -> tuple[FloatArray, FloatArray, FloatArray, IntArray]:
    """One step of Adam (Kingma & Ba 2015, arXiv 1412.6980, algorithm 1), row by row.

    For each row that is touched, with g = scale * grad + l2 * param and t = its new step count::

        t     += 1
        first  = beta1 * first  + (1 - beta1) * g
        second = beta2 * second + (1 - beta2) * g * g
        param -= lr * (first / (1 - beta1**t)) / (sqrt(second / (1 - beta2**t)) + epsilon)

    Parameters
    ----------
    param, first, second : arrays of shape (v, d)
    grad : array of shape (r, d)
    steps : int32 array of shape (v,)
    rows : int32 array of shape (r,), or None for every row (then r = v)
    lr, beta1, beta2, epsilon, scale, l2 : float

    Returns
    -------
    param, first, second, steps : arrays, after the step
    """
    touched, g = _gradient(param, grad, rows, scale, l2)
    t = (steps[touched].astype(float) + 1)[:, np.newaxis]
    m = beta1 * first[touched].astype(float) + (1 - beta1) * g
    v = beta2 * second[touched].astype(float) + (1 - beta2) * g * g
    update = lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
    return (
        _with_rows(param, touched, param[touched].astype(float) - update),
        _with_rows(first, touched, m),
        _with_rows(second, touched, v),
        _with_rows(steps, touched, steps[touched] + 1),
    )


def adadelta_step(
    param: FloatArray,
    grad: FloatArray,
    acc_grad: FloatArray,
    acc_update: FloatArray,
    rows: IntArray | None,
    lr: float,
    rho: float,
    epsilon: float,
    scale: float,
    l2: float,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """One step of Adadelta (Zeiler 2012, arXiv 1212.5701, algorithm 1), row by row.

    For each row that is touched, with g = scale * grad + l2 * param::

        acc_grad   = rho * acc_grad + (1 - rho) * g * g
        u          = sqrt(acc_update + epsilon) / sqrt(acc_grad + epsilon) * g
        acc_update = rho * acc_update + (1 - rho) * u * u
        param     -= lr * u

    Parameters
    ----------
    param, acc_grad, acc_update : arrays of shape (v, d)
    grad : array of shape (r, d)
    rows : int32 array of shape (r,), or None for every row (then r = v)
    lr, rho, epsilon, scale, l2 : float

    Returns
    -------
    param, acc_grad, acc_update : arrays, after the step
    """
    touched, g = _gradient(param, grad, rows, scale, l2)
    mean_grad = rho * acc_grad[touched].astype(float) + (1 - rho) * g * g
    old_mean_update = acc_update[touched].astype(float)
    u = np.sqrt(old_mean_update + epsilon) / np.sqrt(mean_grad + epsilon) * g
    mean_update = rho * old_mean_update + (1 - rho) * u * u
    return (
        _with_rows(param, touched, param[touched].astype(float) - lr * u),
        _with_rows(acc_grad, touched, mean_grad),
        _with_rows(acc_update, touched, mean_update),
    )


def sgd_step(
    param: FloatArray,
    grad: FloatArray,
    velocity: FloatArray,
    rows: IntArray | None,
    lr: float,
    momentum: float,
    nesterov: bool,
    scale: float,
    l2: float,
) -> tuple[FloatArray, FloatArray]:
    """One step of gradient descent with momentum, row by row, as in scikit-learn's `MLPClassifier`.

    For each row that is touched, with g = scale * grad + l2 * param::

        velocity = momentum * velocity - lr * g
        param   += velocity                        without nesterov
        param   += momentum * velocity - lr * g    with it

    Parameters
    ----------
    param, velocity : arrays of shape (v, d)
    grad : array of shape (r, d)
    rows : int32 array of shape (r,), or None for every row (then r = v)
    lr, momentum, scale, l2 : float
    nesterov : bool

    Returns
    -------
    param, velocity : arrays, after the step
    """
    touched, g = _gradient(param, grad, rows, scale, l2)
    new_velocity = momentum * velocity[touched].astype(float) - lr * g
    update = momentum * new_velocity - lr * g if nesterov else new_velocity
    return (
        _with_rows(param, touched, param[touched].astype(float) + update),
        _with_rows(velocity, touched, new_velocity),
    )


def limit_row_norms(weights: FloatArray, max_norm: float) -> FloatArray:
    """Rows whose l2 norm is above `max_norm` scaled to it; the others as they are.

    Hinton et al. 2012 (arXiv 1207.0580), applied to the output weights by Kim 2014.
    """
    out = weights.copy()
    for i, row in enumerate(weights.astype(float)):
        norm = np.sqrt((row * row).sum())
        if norm > max_norm:
            out[i] = row * (max_norm / norm)
    return out


def sum_of_squares(x: FloatArray) -> float:
    """Sum of the squares of all elements of a matrix, in double: each row, then the rows in order."""
    total = 0.0
    for row in x.astype(float):
        total += float((row * row).sum())
    return total


# Packed batches


def take_texts(ids: IntArray, offsets: IntArray, index: IntArray) -> tuple[IntArray, IntArray]:
    """Packed batch of the texts `index` of a packed batch, in that order (repetitions are allowed).

    Parameters
    ----------
    ids : int32 array of shape (t,)
    offsets : intp array of shape (n + 1,)
        Text i is ``ids[offsets[i]:offsets[i + 1]]``.
    index : intp array of shape (k,)

    Returns
    -------
    out_ids : int32 array
    out_offsets : intp array of shape (k + 1,)
    """
    out_ids: list[int] = []
    out_offsets = [0]
    for i in index:
        out_ids.extend(ids[offsets[i] : offsets[i + 1]])
        out_offsets.append(len(out_ids))
    return np.array(out_ids, np.int32), np.array(out_offsets, np.intp)


def distinct(ids: IntArray) -> tuple[IntArray, IntArray]:
    """Distinct ids in order of first appearance, and for each token its index among them.

    Parameters
    ----------
    ids : int32 array of shape (t,)

    Returns
    -------
    distinct_ids : int32 array of shape (m,)
    slots : int32 array of shape (t,)
        ``distinct_ids[slots]`` equals `ids`.
    """
    slot_of: dict[int, int] = {}
    slots = [slot_of.setdefault(int(token), len(slot_of)) for token in ids]
    return np.array(list(slot_of), np.int32), np.array(slots, np.int32)


# N-grams

# Where a kernel is a method of `NGramFeatures`, the function here takes the dense matrix `x` of
# `count_features`, which has the arguments of that class.

BEGIN_BYTE, END_BYTE = b"\xfe", b"\xff"
"""Marks at the ends of a word."""


def mixed(key: int, symbol: int) -> int:
    """One step of the hash of n-grams: a key and the next symbol, modulo 2**64."""
    key = ((key ^ symbol) * 0xD6E8FEB86659FD93) % 2**64
    return key ^ (key >> 32)


def finished(key: int) -> int:
    """The last step: `fmix64` of MurmurHash3."""
    key = ((key ^ (key >> 33)) * 0xFF51AFD7ED558CCD) % 2**64
    key = ((key ^ (key >> 33)) * 0xC4CEB9FE1A85EC53) % 2**64
    return key ^ (key >> 33)


def ngrams(sequence: Sequence[Any], n: int) -> list[Sequence[Any]]:
    """All n-grams of a sequence, from left to right."""
    return [sequence[start : start + n] for start in range(len(sequence) - n + 1)]


def gram_keys(
    ids: IntArray, offsets: IntArray, lowest: int, highest: int, symbols: IntArray | None = None
) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
    """Keys of the n-grams of words of each text: those of the ids order by order, then those of the symbols.

    The codes of a text are 0, then 2 more than each id, then 1; the symbol -1 - s has the code 2**32 + s.
    A key begins as the order times 0x9E3779B97F4A7C15, with 2**16 more than the order for symbols, and
    takes in the codes of the n-gram with `mixed` and `finished`.

    Parameters
    ----------
    ids : int32 array of shape (t,)
    offsets : intp array of shape (n + 1,)
    lowest, highest : int
        Orders, from 2.
    symbols : int32 array of shape (t,), optional

    Returns
    -------
    keys : uint64 array of shape (g,)
    key_offsets : intp array of shape (n + 1,)
    """
    keys: list[int] = []
    key_offsets = [0]
    for i in range(len(offsets) - 1):
        for family, sequence in enumerate([ids] if symbols is None else [ids, symbols]):
            text = [int(x) for x in sequence[offsets[i] : offsets[i + 1]]]
            codes = [0, *(x + 2 if x >= 0 else 2**32 - 1 - x for x in text), 1]
            for order in range(lowest, highest + 1):
                for gram in ngrams(codes, order):
                    key = (order + 2**16 * family) * 0x9E3779B97F4A7C15 % 2**64
                    for code in gram:
                        key = mixed(key, code)
                    keys.append(finished(key))
        key_offsets.append(len(keys))
    return np.array(keys, np.uint64), np.array(key_offsets, np.intp)


def subword_keys(
    token_bytes: IntArray, offsets: IntArray, shortest: int, longest: int
) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
    """Keys of the n-grams of characters of each word: of all starts in order, the short ones first.

    The characters are those of the word and a mark at each end. A word of one character has no
    n-grams, and no n-gram is the whole word with both marks. A key takes in the bytes one by one.

    Parameters
    ----------
    token_bytes : uint8 array
        Words in UTF-8 ("surrogatepass"), end to end.
    offsets : int64 array of shape (w + 1,)
    shortest, longest : int
        Characters, from 1.

    Returns
    -------
    keys : uint64 array of shape (s,)
    key_offsets : intp array of shape (w + 1,)
    """
    keys: list[int] = []
    key_offsets = [0]
    for i in range(len(offsets) - 1):
        word = token_bytes[offsets[i] : offsets[i + 1]].tobytes().decode("utf-8", "surrogatepass")
        characters = [BEGIN_BYTE, *(c.encode("utf-8", "surrogatepass") for c in word), END_BYTE]
        for start in range(len(characters) if len(word) > 1 else 0):
            for length in range(shortest, min(longest, len(word) + 1) + 1):
                if start + length <= len(characters):
                    key = 0xA0761D6478BD642F
                    for byte in b"".join(characters[start : start + length]):
                        key = mixed(key, byte)
                    keys.append(finished(key))
        key_offsets.append(len(keys))
    return np.array(keys, np.uint64), np.array(key_offsets, np.intp)


def index_rows(index: IntArray, keys: IntArray) -> IntArray:
    """Place of each key in `index`, the first of equal ones; -1 where it is not: int32."""
    places: dict[int, int] = {}
    for place, key in enumerate(index.tolist()):
        places.setdefault(key, place)
    return np.array([places.get(key, -1) for key in keys.tolist()], np.int32)


def count_features(
    ids: IntArray,
    offsets: IntArray,
    features: IntArray,
    feature_offsets: IntArray,
    grams: IntArray,
    gram_offsets: IntArray,
    n_features: int,
) -> FloatArray:
    """How often each text has each feature: float64 (n, n_features).

    Parameters
    ----------
    ids : int32 array of shape (t,)
    offsets : intp array of shape (n + 1,)
    features : int32 array
        Id w stands for ``features[feature_offsets[w]:feature_offsets[w + 1]]``.
    feature_offsets : intp array of shape (n_ids + 1,)
    grams : int32 array
        More features of each text; -1 is none.
    gram_offsets : intp array of shape (n + 1,)
    n_features : int
    """
    counts = np.zeros((len(offsets) - 1, n_features))
    for i in range(len(counts)):
        for word in ids[offsets[i] : offsets[i + 1]]:
            for feature in features[feature_offsets[word] : feature_offsets[word + 1]]:
                counts[i, feature] += 1
        for feature in grams[gram_offsets[i] : gram_offsets[i + 1]]:
            if feature >= 0:
                counts[i, feature] += 1
    return counts


def count_by_class(x: FloatArray, targets: IntArray, weights: FloatArray, n_classes: int) -> FloatArray:
    """Weighted number of occurrences of each feature in the texts of each class: (n_features, c)."""
    counts = np.zeros((x.shape[1], n_classes))
    for row, target, weight in zip(x, targets, weights, strict=True):
        counts[:, target] += weight * row
    return counts


def logistic_objective(x: FloatArray, y: FloatArray, cost: FloatArray, u: FloatArray) -> float:
    """``|u|^2 / 2 + sum_i cost_i log(1 + exp(-y_i x_i'u))`` for y of -1 and 1."""
    return float(u @ u / 2 + cost @ np.logaddexp(0, -y * (x @ u)))


def logistic_gradient(x: FloatArray, y: FloatArray, cost: FloatArray, u: FloatArray) -> FloatArray:
    """Gradient of `logistic_objective` with respect to u."""
    p = np.exp(-np.logaddexp(0, y * (x @ u)))
    return u - x.T @ (cost * y * p)


def fit_logistic(
    x: FloatArray, targets: IntArray, cost: FloatArray, positive: IntArray, scales: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Logistic regression of each class in `positive` against the rest, by Newton's method.

    Column k minimises `logistic_objective` for the rows ``(r x_i, 1)``, r being column k of `scales`:
    the bias is the last element of u and is penalised too. Each step is halved until the objective falls.

    Parameters
    ----------
    x : array of shape (n, n_features)
    targets : intp array of shape (n,)
    cost : array of shape (n,)
    positive : intp array of shape (k,)
    scales : array of shape (n_features, k)

    Returns
    -------
    coef : array of shape (n_features, k)
        ``r u``, the coefficients of x as it is.
    intercept : array of shape (k,)
    """
    coef, intercept = np.zeros(scales.shape), np.zeros(len(positive))
    for k, number in enumerate(positive):
        r = scales[:, k].astype(float)
        rows = np.hstack([x * r, np.ones((len(x), 1))])
        y = np.where(targets == number, 1.0, -1.0)
        u = np.zeros(rows.shape[1])
        for _ in range(200):
            gradient = logistic_gradient(rows, y, cost, u)
            margin = y * (rows @ u)
            curvature = cost * np.exp(-np.logaddexp(0, margin) - np.logaddexp(0, -margin))
            hessian = np.eye(len(u)) + rows.T @ (curvature[:, np.newaxis] * rows)
            step = np.linalg.solve(hessian, gradient)
            before, size = logistic_objective(rows, y, cost, u), 1.0
            while size > 1e-9 and logistic_objective(rows, y, cost, u - size * step) > before:
                size /= 2
            u = u - size * step
            if np.abs(step).max() < 1e-10 * max(1.0, np.abs(u).max()):
                break  # convergence is quadratic: the next step would be below the rounding
        coef[:, k], intercept[k] = r * u[:-1], u[-1]
    return coef, intercept


def fit_ridge(x: FloatArray, y: FloatArray, cost: FloatArray, scales: FloatArray) -> FloatArray:
    """Ridge regression in closed form: coefficients of x and the intercept, which is penalised too.

    ``u`` minimises ``|u|^2 / 2 + sum_i cost_i / 2 (y_i - (r x_i, 1)'u)^2``; those of x are ``r u``.

    Parameters
    ----------
    x : array of shape (n, n_features)
    y, cost : arrays of shape (n,)
    scales : array of shape (n_features,)

    Returns
    -------
    array of shape (n_features + 1,)
    """
    r = np.append(scales.astype(float), 1.0)
    rows = np.hstack([x, np.ones((len(x), 1))]) * r
    u = np.linalg.solve(np.eye(len(r)) + rows.T @ (cost[:, np.newaxis] * rows), rows.T @ (cost * y))
    return r * u


def fit_huber(x: FloatArray, y: FloatArray, cost: FloatArray, scales: FloatArray, delta: float) -> FloatArray:
    """`fit_ridge` with the loss of Huber (1964), by reweighting: errors e have weights min(1, delta / |e|).

    Parameters
    ----------
    x, y, cost, scales : arrays, as in `fit_ridge`
    delta : float
        Errors beyond it count linearly.

    Returns
    -------
    array of shape (n_features + 1,)
    """
    coef = fit_ridge(x, y, cost, scales)
    for _ in range(2000):
        errors = np.abs(y - x @ coef[:-1] - coef[-1])
        coef = fit_ridge(x, y, cost * delta / np.maximum(errors, delta), scales)
    return coef


def subword_scores(
    token_bytes: IntArray,
    offsets: IntArray,
    shortest: int,
    longest: int,
    index: IntArray,
    coef: FloatArray,
) -> FloatArray:
    """Sum of the coefficients of the n-grams of characters of each word: float64 (w, k).

    Row i of `coef` belongs to key i of `index`; see `subword_keys` for the rest.
    """
    keys, key_offsets = subword_keys(token_bytes, offsets, shortest, longest)
    rows = index_rows(index, keys)
    out = np.zeros((len(offsets) - 1, coef.shape[1]))
    for i in range(len(out)):
        for row in rows[key_offsets[i] : key_offsets[i + 1]]:
            if row >= 0:
                out[i] += coef[row]
    return out


def text_scores(
    ids: IntArray,
    offsets: IntArray,
    word_scores: FloatArray,
    unknown: FloatArray,
    lowest: int,
    highest: int,
    index: IntArray,
    coef: FloatArray,
    symbols: IntArray | None = None,
) -> FloatArray:
    """Sum of the scores of the words and of the n-grams of words of each text: float64 (n, k).

    An unknown word, of id 0, has row 0 of `word_scores` and the next row of `unknown`.
    """
    keys, key_offsets = gram_keys(ids, offsets, lowest, highest, symbols)
    rows = index_rows(index, keys)
    out = np.zeros((len(offsets) - 1, coef.shape[1]))
    next_unknown = 0
    for i in range(len(out)):
        for word in ids[offsets[i] : offsets[i + 1]]:
            out[i] += word_scores[word]
            if word == 0:
                out[i] += unknown[next_unknown]
                next_unknown += 1
        for row in rows[key_offsets[i] : key_offsets[i + 1]]:
            if row >= 0:
                out[i] += coef[row]
    return out


def text_terms(
    ids: IntArray,
    offsets: IntArray,
    word_scores: FloatArray,
    unknown: FloatArray,
    lowest: int,
    highest: int,
    index: IntArray,
    coef: FloatArray,
    symbols: IntArray | None = None,
) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    """The words of each text and its n-grams that have a row: what `text_scores` adds up.

    Returns
    -------
    tuple (texts, starts, ends, scores)
        In each text first the words, then the n-grams of the ids, order by order, then those of the symbols,
        all without the marks before and behind the text; scores are float64 of shape (n_terms, k).
    """
    rows = iter(index_rows(index, gram_keys(ids, offsets, lowest, highest, symbols)[0]))
    of_unknown = iter(unknown)
    found = []
    for i in range(len(offsets) - 1):
        text = ids[offsets[i] : offsets[i + 1]]
        for t, word in enumerate(text):
            score = word_scores[word].astype(np.float64)
            found.append((i, t, t + 1, score + next(of_unknown) if word == 0 else score))
        for _ in range(1 if symbols is None else 2):
            for order in range(lowest, highest + 1):
                for start in range(-1, len(text) + 2 - order):
                    row = next(rows)
                    if row >= 0:
                        found.append((i, max(0, start), min(len(text), start + order), coef[row]))
    *places, scores = zip(*found, strict=True) if found else ((), (), (), ())
    texts, starts, ends = np.array(places, np.intp)
    return texts, starts, ends, np.reshape(scores, (-1, coef.shape[1])).astype(np.float64)


def rank_places(
    offsets: IntArray,
    pooled: FloatArray,
    argmax: IntArray,
    widths: IntArray,
    weights: FloatArray,
    texts: IntArray,
    starts: IntArray,
    ends: IntArray,
    shares: FloatArray,
    n_network: int,
    share: float,
    scale: FloatArray,
    directions: FloatArray | None,
) -> list[tuple[IntArray, FloatArray]]:
    """What windows with the same text, start and end add up to, in each text those most in favour first.

    Parameters
    ----------
    offsets : intp array of shape (n + 1,)
    pooled, argmax : arrays of shape (n, q), widths : (q,), weights : (k, q)
        The features: each adds pooled x weights at its window, which `window_shares` has.
    texts, starts, ends : intp arrays of shape (m,), shares : float64 array of shape (m, k)
        The other windows, and what they add to the outputs.
    n_network : int
        Others from here on are those of the linear part.
    share : float
        Weight of the linear part; the network has the rest of 1.
    scale : float64 array of shape (k,)
        Units of the outputs.
    directions : float64 array of shape (n, k) or None
        The favour of a place is the scalar product with what is added there, or the sum of magnitudes.

    Returns
    -------
    list of (places, sums), one for each text
        Start and end, (p, 2), and what is added there in all and by the linear part, (p, 2, k). Of equal
        favour the place with the earlier first window comes first, and NaN comes last.
    """
    sums: list[dict[tuple[int, int], FloatArray]] = [{} for _ in pooled]
    of_features = zip(*window_shares(pooled, argmax, widths, weights, offsets), strict=True)
    windows = [(*window, 0) for window in of_features]
    others = enumerate(zip(texts, starts, ends, shares, strict=True))
    windows += [(*window, int(w >= n_network)) for w, window in others]
    for text, start, end, added, part in windows:
        sums[text].setdefault((int(start), int(end)), np.zeros((2, len(scale))))[part] += added
    parts = np.array([[1 - share], [share]])
    results = []
    for i, of_text in enumerate(sums):
        weighted = [parts * total for total in of_text.values()]
        both = [total.sum(axis=0) for total in weighted]
        favours = [np.abs(b).sum() if directions is None else directions[i] @ b for b in both]
        order = sorted(range(len(both)), key=lambda p: np.inf if np.isnan(favours[p]) else -favours[p])
        places = np.array(list(of_text), np.intp).reshape(-1, 2)[order]
        in_order = [[scale * both[p], scale * weighted[p][1]] for p in order]
        results.append((places, np.array(in_order).reshape(-1, 2, len(scale))))
    return results


# Features of tokens


def token_features(
    tokens: Sequence[str],
    words: Sequence[str],
    lowercase: bool,
    char_codes: Sequence[int],
    max_chars: int,
    prefix_lengths: Sequence[int],
    suffix_lengths: Sequence[int],
    shape: bool,
    n_buckets: int,
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Numbers of words and characters, and hashed affixes and shapes, of distinct tokens.

    Here the tokens and the known words, with the numbers 1, 2, 3 ..., are str.

    Returns
    -------
    tuple (words, chars, char_offsets, hashed)
        int32 (n,), int32 (n_chars,), intp (n + 1,) and int32 (n, n_attributes).
    """
    number = {word: i for i, word in enumerate(words, start=1)}
    found, chars, char_offsets, rows = [], [], [0], []
    for token in tokens:
        lowered = lower(token)
        found.append(number.get(lowered if lowercase else token, 0))
        chars += char_numbers(token, char_codes, max_chars)
        char_offsets.append(len(chars))
        whole = lowered if len(lowered) > 1 else ""
        attributes = [whole[:length] for length in prefix_lengths]
        attributes += [whole[-length:] for length in suffix_lengths]
        attributes += [word_shape(token)] if shape else []
        rows.append([a * n_buckets + stable_hash(text) % n_buckets for a, text in enumerate(attributes)])
    n_attributes = len(prefix_lengths) + len(suffix_lengths) + shape
    return (
        np.array(found, np.int32),
        np.array(chars, np.int32),
        np.array(char_offsets, np.intp),
        np.array(rows, np.int32).reshape(len(tokens), n_attributes),
    )


def lower(token: str) -> str:
    """The token with the simple lower-case form of each code point."""
    return "".join(chr(simple_lower(ord(char))) for char in token)


def char_numbers(token: str, char_codes: Sequence[int], max_chars: int) -> list[int]:
    """Numbers of the characters between a begin mark, 1, and an end mark, 2; known ones from 3, others 0."""
    if max_chars == 0:
        return []
    if len(token) > max_chars:
        n_last = max_chars // 2
        token = token[: max_chars - n_last] + token[len(token) - n_last :]
    number = {code: i for i, code in enumerate(char_codes, start=3)}
    return [1, *(number.get(ord(char), 0) for char in token), 2]


def word_shape(token: str) -> str:
    """Signs for the characters of a token, of a run of equal ones the first four."""
    shape = ""
    for char in token:
        sign = shape_sign(char)
        if not (len(shape) >= 4 and shape.endswith(sign * 4)):
            shape += sign
    return shape


def shape_sign(char: str) -> str:
    """Sign for one character in a shape; none for a combining mark."""
    word, mark, single = 0, 1, 3
    kind = char_class(ord(char))
    pictures = "\ufe00" <= char < "\ufff0" or "\U0001f000" <= char < "\U00020000"
    if char in "0123456789０１２３４５６７８９":
        return "d"
    if kind == mark:
        return ""
    if simple_lower(ord(char)) != ord(char):
        return "X"
    if kind == word:
        return "x"
    if kind == single and char >= "\u2e80" and not ("\u3000" <= char < "\u3040" or pictures):
        return "c"
    return char


def stable_hash(text: str) -> int:
    """FNV-1a in 64 bits of the text in UTF-8, and the final mix of MurmurHash3."""
    mask = 2**64 - 1
    value = 0xCBF29CE484222325
    for byte in text.encode("utf-8", "surrogatepass"):
        value = (value ^ byte) * 0x100000001B3 & mask
    value = (value ^ value >> 33) * 0xFF51AFD7ED558CCD & mask
    value = (value ^ value >> 33) * 0xC4CEB9FE1A85EC53 & mask
    return value ^ value >> 33


# Linear-chain conditional random field

# A path y of a sentence of l tokens scores start[y[0]] + sum of emissions[i, y[i]] + sum of
# transitions[y[i - 1], y[i]] + stop[y[l - 1]]; its probability is exp(score) / Z. All recursions are on
# logarithms. The last arguments, `allowed_start` (c,), `allowed` (c, c) and `allowed_stop` (c,), are 0
# where a path must not start, step or stop.


def _logsumexp_columns(x: FloatArray) -> FloatArray:
    """``log(sum(exp(column)))`` of each column; minus infinity for a column of nothing else."""
    top = x.max(axis=0)
    top = np.where(np.isneginf(top), 0, top)
    with np.errstate(divide="ignore"):
        out: FloatArray = top + np.log(np.exp(x - top).sum(axis=0))
    return out


def _masked(scores: FloatArray, allowed: IntArray | None) -> FloatArray:
    """Scores in float64, minus infinity where they are not allowed."""
    scores = scores.astype(float)
    return scores if allowed is None else np.where(allowed != 0, scores, -np.inf)


def crf_alpha(emissions: FloatArray, transitions: FloatArray, start: FloatArray) -> FloatArray:
    """Logarithm of the sum over the paths that end at each token with each tag: float64 (l, c)."""
    alpha = np.empty(emissions.shape)
    for i in range(len(emissions)):
        arriving = start if i == 0 else _logsumexp_columns(alpha[i - 1][:, np.newaxis] + transitions)
        alpha[i] = arriving + emissions[i]
    return alpha


def crf_beta(emissions: FloatArray, transitions: FloatArray, stop: FloatArray) -> FloatArray:
    """Logarithm of the sum over the ways on from each token with each tag: float64 (l, c)."""
    beta = np.empty(emissions.shape)
    for i in reversed(range(len(emissions))):
        if i == len(emissions) - 1:
            beta[i] = stop
        else:
            beta[i] = _logsumexp_columns((transitions + emissions[i + 1] + beta[i + 1]).T)
    return beta


def crf_score(
    emissions: FloatArray, transitions: FloatArray, start: FloatArray, stop: FloatArray, tags: IntArray
) -> float:
    """Score of one path of a sentence of at least one token."""
    score = float(start[tags[0]]) + float(stop[tags[-1]])
    for i, tag in enumerate(tags):
        score += float(emissions[i, tag])
        if i > 0:
            score += float(transitions[tags[i - 1], tag])
    return score


def crf_loss(
    emissions: FloatArray,
    transitions: FloatArray,
    start: FloatArray,
    stop: FloatArray,
    tags: IntArray,
    offsets: IntArray,
    sample_weight: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Negative log-likelihood of the tags, and its gradients.

    ``loss[i] = w[i] (log Z of sentence i - score of its tags)``; the gradient is the expected minus the
    observed count of each tag and of each transition, times the weight.

    Parameters
    ----------
    emissions : array of shape (t, c)
    transitions : array of shape (c, c)
        From the tag of the row to the tag of the column.
    start, stop : arrays of shape (c,)
    tags : int32 array of shape (t,)
    offsets : intp array of shape (n + 1,)
    sample_weight : array of shape (n,)

    Returns
    -------
    loss : float64 array of shape (n,)
    d_emissions : array of shape (t, c)
    d_transitions : float64 array of shape (c, c)
    d_start, d_stop : float64 arrays of shape (c,)
    """
    n, c = len(offsets) - 1, len(start)
    loss, d_emissions = np.zeros(n), np.zeros(emissions.shape)
    d_transitions, d_start, d_stop = np.zeros((c, c)), np.zeros(c), np.zeros(c)
    begin_scores, steps, end_scores = (_masked(x, None) for x in (start, transitions, stop))
    for i in range(n):
        rows = emissions[offsets[i] : offsets[i + 1]].astype(float)
        path, weight = tags[offsets[i] : offsets[i + 1]], float(sample_weight[i])
        if len(rows) == 0:
            continue
        alpha, beta = crf_alpha(rows, steps, begin_scores), crf_beta(rows, steps, end_scores)
        log_z = _logsumexp(alpha[-1] + end_scores)
        loss[i] = weight * (log_z - crf_score(rows, steps, begin_scores, end_scores, path))
        d_rows = np.exp(alpha + beta - log_z)
        for token, tag in enumerate(path):
            d_rows[token, tag] -= 1
            if token > 0:
                ways_on = rows[token] + beta[token]
                d_transitions += weight * np.exp(alpha[token - 1][:, np.newaxis] + steps + ways_on - log_z)
                d_transitions[path[token - 1], tag] -= weight
        d_emissions[offsets[i] : offsets[i + 1]] = weight * d_rows
        d_start += weight * d_rows[0]
        d_stop += weight * d_rows[-1]
    return loss, d_emissions.astype(emissions.dtype), d_transitions, d_start, d_stop


def crf_viterbi(
    emissions: FloatArray,
    transitions: FloatArray,
    start: FloatArray,
    stop: FloatArray,
    allowed_start: IntArray,
    allowed: IntArray,
    allowed_stop: IntArray,
    offsets: IntArray,
) -> tuple[IntArray, FloatArray]:
    """Best allowed path of each sentence, and its score; 0 for an empty sentence.

    At ties the lowest tag, from the last token back. A score above 1e100 counts as 1e100, one below
    -1e100 or NaN as -1e100.

    Returns
    -------
    tags : int32 array of shape (t,)
    scores : float64 array of shape (n,)
    """

    def finite(x: FloatArray) -> FloatArray:
        return np.nan_to_num(x.astype(float), nan=-1e100).clip(-1e100, 1e100)

    begin_scores, end_scores = _masked(finite(start), allowed_start), _masked(finite(stop), allowed_stop)
    steps = _masked(finite(transitions), allowed)
    tags, scores = np.empty(len(emissions), np.int32), np.zeros(len(offsets) - 1)
    for i in range(len(scores)):
        rows = finite(emissions[offsets[i] : offsets[i + 1]])
        if len(rows) == 0:
            continue
        best = begin_scores + rows[0]
        origins = np.zeros(rows.shape, np.intp)
        for token in range(1, len(rows)):
            arriving = best[:, np.newaxis] + steps
            origins[token] = arriving.argmax(axis=0)
            best = arriving.max(axis=0) + rows[token]
        tag = int((best + end_scores).argmax())
        scores[i] = (best + end_scores)[tag]
        for token in reversed(range(len(rows))):
            tags[offsets[i] + token] = tag
            tag = int(origins[token, tag])
    return tags, scores


def crf_marginals(
    emissions: FloatArray,
    transitions: FloatArray,
    start: FloatArray,
    stop: FloatArray,
    allowed_start: IntArray,
    allowed: IntArray,
    allowed_stop: IntArray,
    offsets: IntArray,
) -> tuple[FloatArray, FloatArray]:
    """Probability of each tag of each token among the allowed paths, and log Z of each sentence.

    Returns
    -------
    marginals : array of shape (t, c)
    log_z : float64 array of shape (n,)
        0 for an empty sentence.
    """
    begin_scores, end_scores = _masked(start, allowed_start), _masked(stop, allowed_stop)
    steps = _masked(transitions, allowed)
    marginals, log_z = np.empty(emissions.shape), np.zeros(len(offsets) - 1)
    for i in range(len(log_z)):
        rows = emissions[offsets[i] : offsets[i + 1]].astype(float)
        if len(rows):
            alpha, beta = crf_alpha(rows, steps, begin_scores), crf_beta(rows, steps, end_scores)
            log_z[i] = _logsumexp(alpha[-1] + end_scores)
            marginals[offsets[i] : offsets[i + 1]] = np.exp(alpha + beta - log_z[i])
    return marginals.astype(emissions.dtype), log_z


def crf_path_probabilities(
    emissions: FloatArray,
    transitions: FloatArray,
    start: FloatArray,
    stop: FloatArray,
    allowed_start: IntArray,
    allowed: IntArray,
    allowed_stop: IntArray,
    offsets: IntArray,
    sentence: IntArray,
    first: IntArray,
    last: IntArray,
    path: IntArray,
    path_offsets: IntArray,
    not_next: IntArray,
) -> FloatArray:
    """Probability that tokens `first` to ``last - 1`` have given tags and that another one follows.

    Parameters
    ----------
    sentence, first, last : intp arrays of shape (m,)
        Sentence of each segment, its first token and the one after its last, counted from the start of
        the sentence.
    path : int32 array of shape (sum of the lengths,)
        Tags of all segments, end to end.
    path_offsets : intp array of shape (m + 1,)
    not_next : int32 array of shape (m,)
        Tag that must not follow the segment; -1 if any may. At the end of a sentence none does.

    Returns
    -------
    probabilities : float64 array of shape (m,)
    """
    begin_scores, end_scores = _masked(start, allowed_start), _masked(stop, allowed_stop)
    steps = _masked(transitions, allowed)
    probabilities = np.empty(len(sentence))
    for s, i in enumerate(sentence):
        rows = emissions[offsets[i] : offsets[i + 1]].astype(float)
        tags = path[path_offsets[s] : path_offsets[s + 1]]
        alpha, beta = crf_alpha(rows, steps, begin_scores), crf_beta(rows, steps, end_scores)
        total = alpha[first[s], tags[0]]
        for k in range(1, len(tags)):
            total += steps[tags[k - 1], tags[k]] + rows[first[s] + k, tags[k]]
        if last[s] == len(rows):
            total += end_scores[tags[-1]]
        else:
            ways_on = steps[tags[-1]] + rows[last[s]] + beta[last[s]]
            if not_next[s] >= 0:
                ways_on[not_next[s]] = -np.inf
            total += _logsumexp_columns(ways_on)
        probabilities[s] = np.exp(total - _logsumexp(alpha[-1] + end_scores))
    return probabilities


# Dilated convolution


def dilated_conv(
    x: FloatArray, weights: FloatArray, bias: FloatArray, offsets: IntArray, dilation: int
) -> FloatArray:
    """One layer before its ReLU: ``y[t] = bias + sum_j x[t + (j - (k - 1) // 2) d] weights[j]``.

    Rows outside the sentence are zero.

    Parameters
    ----------
    x : array of shape (t, c)
    weights : array of shape (k, c, f)
    bias : array of shape (f,)
    offsets : intp array of shape (n + 1,)
    dilation : int

    Returns
    -------
    y : float64 array of shape (t, f)
    """
    y = np.tile(bias.astype(float), (len(x), 1))
    for t, tap, row in _taps(offsets, len(weights), dilation):
        y[t] += x[row].astype(float) @ weights[tap].astype(float)
    return y


def _taps(offsets: IntArray, kernel_size: int, dilation: int) -> list[tuple[int, int, int]]:
    """Each row, tap and row under the tap, where that lies in the sentence."""
    return [
        (t, tap, row)
        for begin, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
        for t in range(begin, end)
        for tap in range(kernel_size)
        for row in [t + (tap - (kernel_size - 1) // 2) * dilation]
        if begin <= row < end
    ]


def conv_stack_forward(
    x: FloatArray,
    weights: Sequence[FloatArray],
    biases: Sequence[FloatArray],
    offsets: IntArray,
    dilations: Sequence[int],
) -> list[FloatArray]:
    """Convolution and ReLU, layer after layer.

    Parameters
    ----------
    x : array of shape (t, c)
    weights, biases : sequences of arrays of shapes (k, c, f) and (f,), one of each for a layer
    offsets : intp array of shape (n + 1,)
    dilations : sequence of int

    Returns
    -------
    levels : list of float64 arrays of shape (t, f)
        What each layer gives.
    """
    levels: list[FloatArray] = []
    for w, bias, dilation in zip(weights, biases, dilations, strict=True):
        levels.append(np.maximum(dilated_conv(levels[-1] if levels else x, w, bias, offsets, dilation), 0))
    return levels


def conv_stack_backward(
    x: FloatArray,
    levels: Sequence[FloatArray],
    d_levels: Sequence[FloatArray | None],
    weights: Sequence[FloatArray],
    offsets: IntArray,
    dilations: Sequence[int],
    gate: bool = False,
) -> tuple[list[FloatArray], FloatArray]:
    """Gradients before the ReLU of every layer, and of x.

    Parameters
    ----------
    x : array of shape (t, c)
    levels : sequence of arrays of shape (t, f)
        What `conv_stack_forward` gave.
    d_levels : sequence of arrays of shape (t, f) or None
        Gradient of each level from elsewhere than the next layer.
    weights, offsets, dilations : as in `conv_stack_forward`
    gate : bool
        Whether x itself comes from a ReLU, before which its gradient is wanted.

    Returns
    -------
    deltas : list of float64 arrays of shape (t, f)
    d_x : float64 array of shape (t, c)
    """
    deltas: list[FloatArray] = []
    d_level = np.zeros(levels[-1].shape)
    for layer in range(len(weights) - 1, -1, -1):
        other = d_levels[layer]
        delta = np.where(levels[layer] > 0, d_level if other is None else d_level + other, 0)
        deltas.insert(0, delta)
        w = weights[layer].astype(float)
        d_level = np.zeros((len(x), w.shape[1]))
        for t, tap, row in _taps(offsets, len(w), dilations[layer]):
            d_level[row] += w[tap] @ delta[t]
    return deltas, np.where(x > 0, d_level, 0) if gate else d_level


def conv_stack_weight_gradients(
    x: FloatArray,
    levels: Sequence[FloatArray],
    deltas: Sequence[FloatArray],
    sets: Sequence[int],
    kernel_size: int,
    offsets: IntArray,
    dilations: Sequence[int],
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Gradients of each set of weights and biases, summed over the layers that use it.

    Parameters
    ----------
    x : array of shape (t, c)
    levels, deltas : sequences of arrays of shape (t, f)
    sets : sequence of int
        Number of the weights of each layer.
    kernel_size : int
    offsets : intp array of shape (n + 1,)
    dilations : sequence of int

    Returns
    -------
    d_weights : list of float64 arrays of shape (k, c, f)
    d_biases : list of float64 arrays of shape (f,)
    """
    inputs = [x, *levels[:-1]]
    layer_of = {which: layer for layer, which in enumerate(sets)}
    shapes = [(inputs[layer_of[k]].shape[1], levels[layer_of[k]].shape[1]) for k in range(len(layer_of))]
    d_weights = [np.zeros((kernel_size, c, f)) for c, f in shapes]
    d_biases = [np.zeros(f) for _, f in shapes]
    for layer, which in enumerate(sets):
        delta = deltas[layer].astype(float)
        d_biases[which] += delta.sum(axis=0)
        for t, tap, row in _taps(offsets, kernel_size, dilations[layer]):
            d_weights[which][tap] += np.outer(inputs[layer][row].astype(float), delta[t])
    return d_weights, d_biases


# Minimal filtering F(4, 3) with the points 0, 1, -1, 2, -2 and infinity (Lavin & Gray 2015, section 4.3):
# four results of a filter of width 3 are A' [(G g) * (B' d)], six products instead of twelve.

FILTER_INPUT = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    float,
)
"""B': from the six rows that a tile covers to the inputs of its products."""

FILTER_WEIGHTS = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
"""G: from the three taps to the weights of the products."""

FILTER_OUTPUT = np.array(
    [
        [1, 1, 1, 1, 1, 0],
        [0, 1, -1, 2, -2, 0],
        [0, 1, 1, 4, 4, 0],
        [0, 1, -1, 8, -8, 1],
    ],
    float,
)
"""A': from the products to the four results."""


def tiles(offsets: IntArray, dilation: int, n_outputs: int = 4) -> list[tuple[int, int, int]]:
    """Row of the first result of every tile, with the first row of its sentence and the one behind its last.

    A tile has the results ``first + i * dilation`` for i below `n_outputs`, as far as the sentence reaches.
    Tiles are counted from the begin of the sentence, in each of the `dilation` interleaved sequences.
    """
    return [
        (first, begin, end)
        for begin, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
        for phase in range(dilation)
        for first in range(begin + phase, end, dilation * n_outputs)
    ]


def dilated_conv_in_tiles(
    x: FloatArray, weights: FloatArray, bias: FloatArray, offsets: IntArray, dilation: int
) -> FloatArray:
    """What `dilated_conv` gives for width 3, by minimal filtering.

    Parameters and result as there.
    """
    filters = np.einsum("pj,jcf->pcf", FILTER_WEIGHTS, weights.astype(float))
    y = np.zeros((len(x), weights.shape[2]))
    for first, begin, end in tiles(offsets, dilation):
        rows = [first + (i - 1) * dilation for i in range(6)]
        d = np.array([x[row] if begin <= row < end else np.zeros(x.shape[1]) for row in rows], float)
        products = np.einsum("pc,pcf->pf", FILTER_INPUT @ d, filters)
        for i, result in enumerate(FILTER_OUTPUT @ products):
            if first + i * dilation < end:
                y[first + i * dilation] = result + bias
    return y


def weight_gradient_in_tiles(
    x: FloatArray, delta: FloatArray, offsets: IntArray, dilation: int
) -> FloatArray:
    """Gradient of the weights of one layer of width 3, ``G' sum over tiles of (B' d) (A delta)'``.

    Parameters
    ----------
    x, delta : arrays of shapes (t, c) and (t, f)
    offsets : intp array of shape (n + 1,)
    dilation : int

    Returns
    -------
    d_weights : float64 array of shape (3, c, f)
    """
    sums = np.zeros((6, x.shape[1], delta.shape[1]))
    for first, begin, end in tiles(offsets, dilation):
        rows = [first + (i - 1) * dilation for i in range(6)]
        d = np.array([x[row] if begin <= row < end else np.zeros(x.shape[1]) for row in rows], float)
        results = [first + i * dilation for i in range(4)]
        e = np.array([delta[row] if row < end else np.zeros(delta.shape[1]) for row in results], float)
        sums += np.einsum("pc,pf->pcf", FILTER_INPUT @ d, FILTER_OUTPUT.T @ e)
    return np.einsum("pj,pcf->jcf", FILTER_WEIGHTS, sums)


# Convolution over projected tokens with one result a token, and scores that are sums over windows


def conv_same_forward(
    projected: FloatArray,
    bias: FloatArray,
    slots: IntArray,
    offsets: IntArray,
    kernel_size: int,
    relu: bool,
) -> FloatArray:
    """``out[t, q] = bias[q] + sum_j projected[slots[t - (k - 1) // 2 + j], j * f + q]``, then ReLU if asked.

    Parameters
    ----------
    projected : array of shape (m, k * f)
    bias : array of shape (f,)
    slots : int32 array of shape (t,)
    offsets : intp array of shape (n + 1,)
    kernel_size : int
    relu : bool

    Returns
    -------
    out : array of shape (t, f)
        Summed in order, in the dtype of `projected`.
    """
    f = len(bias)
    out = np.tile(bias, (len(slots), 1))
    for t, tap, row in _taps(offsets, kernel_size, 1):
        out[t] += projected[slots[row], tap * f : (tap + 1) * f]
    return np.maximum(out, 0) if relu else out


def conv_same_backward(
    d_out: FloatArray, slots: IntArray, offsets: IntArray, kernel_size: int, n_rows: int
) -> FloatArray:
    """Gradient of `projected`, for the gradient before the ReLU.

    Parameters
    ----------
    d_out : array of shape (t, f)
    slots, offsets, kernel_size : as in `conv_same_forward`
    n_rows : int

    Returns
    -------
    d_projected : array of shape (n_rows, k * f)
    """
    f = d_out.shape[1]
    d_projected = np.zeros((n_rows, kernel_size * f))
    for t, tap, row in _taps(offsets, kernel_size, 1):
        d_projected[slots[row], tap * f : (tap + 1) * f] += d_out[t]
    return d_projected.astype(d_out.dtype)


def scatter_sums(values: FloatArray, slots: IntArray, n_rows: int) -> FloatArray:
    """``out[s] = sum of values[i]`` over all i with ``slots[i] == s``, in order.

    Parameters
    ----------
    values : array of shape (m, d)
    slots : int32 array of shape (m,)
    n_rows : int

    Returns
    -------
    out : array of shape (n_rows, d)
    """
    out = np.zeros((n_rows, values.shape[1]), values.dtype)
    for value, slot in zip(values, slots, strict=True):
        out[slot] += value
    return out


def window_scores(table: FloatArray, rows: IntArray, offsets: IntArray, width: int) -> FloatArray:
    """``out[t, q] = sum over j and k of table[rows[t - (width - 1) // 2 + j, k], j * f + q]``, in order.

    Tokens outside the sentence add nothing.

    Parameters
    ----------
    table : array of shape (v, width * f)
    rows : int32 array of shape (t, k)
    offsets : intp array of shape (n + 1,)
    width : int

    Returns
    -------
    out : array of shape (t, f)
        Summed in the dtype of `table`.
    """
    f = table.shape[1] // width
    out = np.zeros((len(rows), f), table.dtype)
    for t, place, token in _taps(offsets, width, 1):
        for row in rows[token]:
            out[t] += table[row, place * f : (place + 1) * f]
    return out


def window_gradient(
    d_out: FloatArray, rows: IntArray, offsets: IntArray, width: int, fixed: int, n_rows: int
) -> tuple[IntArray, FloatArray]:
    """Gradient of the table of `window_scores`.

    Parameters
    ----------
    d_out : array of shape (t, f)
    rows, offsets, width : as in `window_scores`
    fixed : int
        Row that needs no gradient, or -1.
    n_rows : int

    Returns
    -------
    found : int32 array of shape (n_found,)
        The distinct rows, in the order of their first appearance.
    d_rows : array of shape (n_found, width * f)
    """
    f = d_out.shape[1]
    d_table = np.zeros((n_rows, width * f))
    for t, place, token in _taps(offsets, width, 1):
        for row in rows[token]:
            d_table[row, place * f : (place + 1) * f] += d_out[t]
    distinct = [row for row in dict.fromkeys(rows.ravel().tolist()) if row != fixed]
    found = np.array(distinct, np.int32)
    return found, d_table[found].astype(d_out.dtype)


def train_batches(
    types: IntArray,
    targets: IntArray,
    offsets: IntArray,
    sample_weight: FloatArray,
    type_rows: IntArray,
    token_rows: IntArray,
    width: int,
    pair_width: int,
    params: list[tuple[Any, ...]],
    order: IntArray,
    batch_offsets: IntArray,
    rates: FloatArray,
    alpha: float,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> tuple[list[tuple[Any, ...]], FloatArray]:
    """Steps of Adam on batches of sentences whose tags are scored by two tables of windows.

    Parameters
    ----------
    types, targets : int32 arrays of shape (t,)
    offsets : intp array of shape (n + 1,)
    sample_weight : array of shape (n,)
    type_rows : int32 array of shape (u, k)
        Rows of the first table of each type.
    token_rows : int32 array of shape (t, p)
        Rows of the second table of each token; its row 0 has no gradient.
    width, pair_width : int
        Of the windows of both tables.
    params : list of tuples (value, first moment, second moment, counts of steps)
        Of both tables and, with a random field, of transitions (c, c), start (1, c) and stop (1, c).
    order : intp array
        Sentences of all batches.
    batch_offsets : intp array of shape (b + 1,)
        Where each batch begins in `order`.
    rates : array of shape (b,)
        Learning rates.
    alpha : float
        The l2 penalty of a table is alpha over the sentences of the batch.
    beta1, beta2, epsilon : float

    Returns
    -------
    params : list of tuples
        After the steps: all, or those before the first loss that is not finite.
    losses : array of shape (b,), or shorter
        Of the batches over their tokens.
    """
    losses = []
    for i, rate in enumerate(rates):
        sentences = order[batch_offsets[i] : batch_offsets[i + 1]]
        tokens = np.concatenate([np.arange(offsets[s], offsets[s + 1]) for s in sentences])
        ends = np.cumsum([0, *(offsets[sentences + 1] - offsets[sentences])])
        weight = sample_weight[sentences] / sample_weight.dtype.type(len(tokens))
        tables = [(type_rows[types[tokens]], width, -1), (token_rows[tokens], pair_width, 0)]
        values = [param[0] for param in params]
        emissions = np.add(
            *(
                window_scores(values[j].astype(float), rows, ends, places)
                for j, (rows, places, _) in enumerate(tables)
            )
        )
        if len(params) == 5:
            loss, d_emissions, *chain = crf_loss(
                emissions, values[2], values[3][0], values[4][0], targets[tokens], ends, weight
            )
        else:
            loss, d_emissions = softmax_cross_entropy(
                emissions, targets[tokens], np.repeat(weight, np.diff(ends))
            )
            chain = []
        losses.append(loss.sum())
        if not np.isfinite(losses[-1]):
            break
        gradients: list[tuple[IntArray | None, FloatArray]] = [
            window_gradient(d_emissions, rows, ends, places, fixed, len(values[j]))
            for j, (rows, places, fixed) in enumerate(tables)
        ]
        gradients += [(None, d_value.reshape(-1, d_value.shape[-1])) for d_value in chain]
        params = [
            adam_step(
                value, gradient, first, second, counts, touched, rate, beta1, beta2, epsilon, 1.0,
                alpha / len(sentences) if j < 2 else 0.0,
            )
            for j, ((value, first, second, counts), (touched, gradient)) in enumerate(
                zip(params, gradients, strict=True)
            )
        ]  # fmt: skip
    return params, np.array(losses)
