"""Every operation of the textbooks on convolutional networks, in one dimension, forward and backward.

Arrays go in and come out. A batch is either one array ``(n, length, channels)`` or, for texts of different
lengths, a packed one: all rows end to end, ``(n_rows, channels)``, with ``offsets`` of length n + 1 that say
where each text begins. A function that gets ``offsets`` and may change the lengths returns the new offsets
as the last of its results.

Each operation has a partner ``..._backward`` that takes the gradient of the result and gives the gradient of
every array that went in. float32 stays float32; everything else is computed in float64. With the same input
the result has the same bits for any number of threads.
"""

from textcnn.ops import arithmetic, convolution, padding
from textcnn.ops.arithmetic import *  # noqa: F403
from textcnn.ops.convolution import *  # noqa: F403
from textcnn.ops.padding import *  # noqa: F403

__all__ = [*arithmetic.__all__, *convolution.__all__, *padding.__all__]
