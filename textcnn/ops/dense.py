"""The dense layer, and the two ways in which it and a convolution are each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from textcnn._kernels import _blas, _convolution
from textcnn._threads import effective_n_threads
from textcnn.ops._arrays import KERNEL, Array, as_array, common_dtype, regular_offsets
from textcnn.ops.arithmetic import Padding, as_size, conv_output_length, resolve_padding

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["conv1d_as_dense", "dense", "dense_as_conv1d", "dense_backward"]


def dense(
    x: ArrayLike, weights: ArrayLike, bias: ArrayLike | None = None, *, n_jobs: int | None = None
) -> Array:
    """Dense (fully connected) layer: ``out = x @ weights + bias`` for each row.

    Applied to the rows of texts it is a convolution of kernel width 1 with ``weights[None]``.

    Parameters
    ----------
    x : array-like of shape (..., in_features)
    weights : array-like of shape (in_features, out_features)
    bias : array-like of shape (out_features,), optional
    n_jobs : int, optional
        Number of threads; by default all that this process may use.

    Returns
    -------
    ndarray of shape (..., out_features)

    Raises
    ------
    ValueError, TypeError
        If a shape is not as above.

    References
    ----------
    Goodfellow, Bengio & Courville 2016, Deep Learning, chapter 6.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.dense import dense
    >>> dense(np.array([[1.0, 2.0]]), np.array([[1.0, 0, 1], [0, 1, 1]]), np.array([0.0, 0, 10]))
    array([[ 1.,  2., 13.]])
    """
    dtype = common_dtype(x, weights, bias)
    matrix = as_array(weights, "weights", ("n_inputs", "n_outputs"), dtype)
    rows, leading = _as_rows(x, "x", matrix.shape[0], dtype)
    added = None if bias is None else as_array(bias, "bias", (matrix.shape[1],), dtype)
    out = np.empty((len(rows), matrix.shape[1]), dtype)
    _blas.matmul(rows, matrix, out, added, n_threads=effective_n_threads(n_jobs))
    return out.reshape(*leading, matrix.shape[1])


def dense_backward(
    d_out: ArrayLike, x: ArrayLike, weights: ArrayLike, *, n_jobs: int | None = None
) -> tuple[Array, Array, Array]:
    """Gradients of `dense`.

    ``d_x = d_out @ weights.T``, ``d_weights = x.T @ d_out`` and ``d_bias = sum of d_out``, the last two over
    all rows.

    Parameters
    ----------
    d_out : array-like of shape (..., out_features)
    x : array-like of shape (..., in_features)
    weights : array-like of shape (in_features, out_features)
    n_jobs : int, optional
        Number of threads; by default all that this process may use.

    Returns
    -------
    d_x : ndarray of the shape of `x`
    d_weights : ndarray of the shape of `weights`
    d_bias : ndarray of shape (out_features,)

    Raises
    ------
    ValueError, TypeError
        If a shape is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.dense import dense_backward
    >>> d_out, x, weights = np.array([[1.0, 2.0]]), np.array([[3.0]]), np.array([[5.0, 7.0]])
    >>> dense_backward(d_out, x, weights)
    (array([[19.]]), array([[3., 6.]]), array([1., 2.]))
    """
    dtype = common_dtype(d_out, x, weights)
    matrix = as_array(weights, "weights", ("n_inputs", "n_outputs"), dtype)
    rows, leading = _as_rows(x, "x", matrix.shape[0], dtype)
    d_rows, d_leading = _as_rows(d_out, "d_out", matrix.shape[1], dtype)
    if d_leading != leading:
        raise ValueError(
            f"d_out has shape {np.shape(d_out)}, but expected {(*leading, matrix.shape[1])} for this x"
        )
    n_threads = effective_n_threads(n_jobs)
    d_x, d_weights, d_bias = np.empty_like(rows), np.empty_like(matrix), np.empty(matrix.shape[1], dtype)
    _blas.matmul(d_rows, matrix.T, d_x, n_threads=n_threads)
    # As a convolution of width 1, which sums the bias's gradient beside that of the weights.
    one_text = regular_offsets(1, len(rows))
    windows = _convolution.Windows(one_text, one_text, 1, 1, 1, 0, 1, False, False)
    _convolution.weight_gradient(windows, rows, d_rows, d_weights[None, None], d_bias[None], 1, n_threads)
    return d_x.reshape(*leading, matrix.shape[0]), d_weights, d_bias


def _as_rows(array: ArrayLike, name: str, n_columns: int, dtype: np.dtype) -> tuple[Array, tuple[int, ...]]:
    """The array as a matrix, and its axes but the last."""
    result = np.asarray(array, dtype, order="C")
    if result.ndim == 0 or result.shape[-1] != n_columns:
        raise ValueError(f"{name} has shape {result.shape}, but expected (..., {n_columns})")
    leading = result.shape[:-1]
    return result.reshape(int(np.prod(leading)), n_columns), leading


def dense_as_conv1d(weights: ArrayLike, length: int) -> Array:
    """Weights of the convolution that does what a dense layer does to a whole text.

    A dense layer over the ``length * channels`` values of a text is a ``valid`` convolution whose kernel is
    as long as the text, which gives one row. On longer texts that convolution applies the layer at every
    position. (A dense layer at each row is a convolution too, of width 1: ``weights[None]``.)

    Parameters
    ----------
    weights : array-like of shape (length * channels, out_features)
        For texts flattened row by row, as ``x.reshape(n, -1)``.
    length : int

    Returns
    -------
    ndarray of shape (length, channels, out_features)

    Raises
    ------
    ValueError, TypeError
        If the number of rows of the weights is no multiple of `length`.

    References
    ----------
    Long, Shelhamer & Darrell 2015, Fully convolutional networks for semantic segmentation, section 3.1.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops import conv1d
    >>> from textcnn.ops.dense import dense, dense_as_conv1d
    >>> x, weights = np.arange(6.0).reshape(1, 3, 2), np.arange(12.0).reshape(6, 2)
    >>> dense(x.reshape(1, 6), weights)
    array([[110., 125.]])
    >>> conv1d(x, dense_as_conv1d(weights, 3))
    array([[[110., 125.]]])
    """
    matrix = as_array(weights, "weights", ("n_inputs", "n_outputs"), common_dtype(weights))
    rows = as_size(length, "length")
    if len(matrix) % rows:
        raise ValueError(
            f"weights has {len(matrix)} rows, but it must be a multiple of the length, {rows}, "
            "for they are those of a text flattened row by row"
        )
    return matrix.copy().reshape(rows, len(matrix) // rows, matrix.shape[1])


def conv1d_as_dense(
    weights: ArrayLike,
    length: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    padding: Padding = "valid",
) -> csr_array:
    """Weights of the dense layer that does what a convolution does to a text: a sparse Toeplitz matrix.

    Element ``(r C + c, t F + f)`` is ``weights[k, c, f]`` where ``r = t stride + k dilation - left`` (c
    counted within the group of f), and 0 everywhere else: few connections, and the same weights in each block
    of columns, ``stride`` rows lower. ``conv1d(x)`` of one text, flattened, is ``x.ravel() @ T``.

    Parameters
    ----------
    weights : array-like of shape (kernel_size, in_channels // groups, out_channels)
    length : int
        Rows of the text.
    stride, dilation, groups : int, default 1
    padding : {"valid", "same", "full"}, int or (int, int), default "valid"
        Rows of zeros; see `textcnn.ops.arithmetic.resolve_padding`.

    Returns
    -------
    scipy.sparse.csr_array of shape (length * in_channels, out_length * out_channels)

    Raises
    ------
    ValueError, TypeError
        If a shape or option is not as above.

    References
    ----------
    Goodfellow, Bengio & Courville 2016, Deep Learning, section 9.1.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.ops.dense import conv1d_as_dense
    >>> conv1d_as_dense(np.array([1.0, -1.0]).reshape(2, 1, 1), 4).toarray()
    array([[ 1.,  0.,  0.],
           [-1.,  1.,  0.],
           [ 0., -1.,  1.],
           [ 0.,  0., -1.]])
    """
    from scipy.sparse import coo_array

    kernel = as_array(weights, "weights", KERNEL, common_dtype(weights))
    kernel_size, group_channels, filters = kernel.shape
    n_rows, parts, step = as_size(length, "length", 0), as_size(groups, "groups"), as_size(stride, "stride")
    if filters % parts:
        raise ValueError(f"weights has {filters} out_channels, but they must be a multiple of {parts} groups")
    left, _ = resolve_padding(padding, kernel_size, dilation=dilation)
    out_length = conv_output_length(n_rows, kernel_size, stride=step, dilation=dilation, padding=padding)
    t, k = np.meshgrid(np.arange(out_length), np.arange(kernel_size), indexing="ij")
    row = t * step + k * dilation - left
    inside = (row >= 0) & (row < n_rows)
    t, k, row = t[inside], k[inside], row[inside]

    c, f = np.arange(group_channels), np.arange(filters)
    first_channel = group_channels * (f // (filters // parts)) if filters else f
    channels = group_channels * parts
    index = np.broadcast_arrays(
        row[:, None, None] * channels + first_channel + c[:, None],
        t[:, None, None] * filters + f,
    )
    shape = (n_rows * channels, out_length * filters)
    return coo_array((kernel[k].ravel(), tuple(i.ravel() for i in index)), shape).tocsr()
