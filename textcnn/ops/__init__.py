"""Every operation of the textbooks on convolutional networks, in one dimension, forward and backward.

Arrays go in and come out. A batch is either one array ``(n, length, channels)`` or, for texts of different
lengths, a packed one: all rows end to end, ``(n_rows, channels)``, with ``offsets`` of length n + 1 that say
where each text begins. A function that gets ``offsets`` and may change the lengths returns the new offsets
as the last of its results.

Each operation has a partner ``..._backward`` that takes the gradient of the result and gives the gradient of
every array that went in. float32 stays float32, and float16 becomes it; everything else is computed in
float64. With the same input the result has the same bits for any number of threads.
"""

from textcnn.ops import initializers, kernels
from textcnn.ops.activations import *  # noqa: F403
from textcnn.ops.activations import __all__ as _activations
from textcnn.ops.arithmetic import *  # noqa: F403
from textcnn.ops.arithmetic import __all__ as _arithmetic
from textcnn.ops.columns import *  # noqa: F403
from textcnn.ops.columns import __all__ as _columns
from textcnn.ops.convolution import *  # noqa: F403
from textcnn.ops.convolution import __all__ as _convolution
from textcnn.ops.dense import *  # noqa: F403
from textcnn.ops.dense import __all__ as _dense
from textcnn.ops.losses import *  # noqa: F403
from textcnn.ops.losses import __all__ as _losses
from textcnn.ops.padding import *  # noqa: F403
from textcnn.ops.padding import __all__ as _padding
from textcnn.ops.pooling import *  # noqa: F403
from textcnn.ops.pooling import __all__ as _pooling
from textcnn.ops.resampling import *  # noqa: F403
from textcnn.ops.resampling import __all__ as _resampling
from textcnn.ops.spectral import *  # noqa: F403
from textcnn.ops.spectral import __all__ as _spectral

__all__ = [
    "initializers",
    "kernels",
    *_activations,
    *_arithmetic,
    *_columns,
    *_convolution,
    *_dense,
    *_losses,
    *_padding,
    *_pooling,
    *_resampling,
    *_spectral,
]
