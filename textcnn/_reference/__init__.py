"""Plain NumPy form of every kernel: the oracle of the tests.

Each function states what the kernel of the same name in `textcnn._kernels` computes, in loops that
follow the formula and with no thought of speed. Two differences of form: a function here returns its
results where the kernel fills arrays of the caller, and it has no `n_threads`.

Where the order of operations is part of what is promised (`matmul`, `conv_max_forward`), the
arithmetic is done in the dtype of the arguments and in that order. Everywhere else it is done in
float64 and rounded once, at the end.

The kernels of the networks and of text are in `networks`; those of `textcnn.ops` have a module each.
"""

from textcnn._reference.networks import *  # noqa: F403
