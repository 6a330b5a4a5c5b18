"""Backpropagation: the gradient of a convolution, a kernel that is learnt, a symmetry to be broken."""

import argparse
from pathlib import Path

import numpy as np

from textcnn import ops
from textcnn.ops import initializers

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--plot", metavar="FILE", help="draw the descent into a picture (needs matplotlib)")
plot_file = parser.parse_args().plot
if plot_file and not Path(plot_file).parent.is_dir():
    parser.error(f"there is no folder for {plot_file}; make it first")

print("1. The gradient of the input is the full convolution of the error with the kernel (flipped).\n")
x, w = np.array([5.0, 6, 7, 8]).reshape(1, 4, 1), np.array([1.0, 2, 3]).reshape(3, 1, 1)
delta = np.array([10.0, 100]).reshape(1, 2, 1)  # the gradient of a loss by the two rows of the result
d_x, d_w, d_b = ops.conv1d_backward(delta, x, w)
print(f"   conv1d_backward                 {d_x.ravel()}")
print(f"   delta * kernel, full            {ops.convolve1d(delta, w, padding='full').ravel()}")
moved = [np.vdot(delta, ops.conv1d(x + row.reshape(x.shape), w) - ops.conv1d(x, w)) for row in np.eye(4)]
print(f"   each row of x moved by one      {np.array(moved)}")
print(f"   gradient of the kernel          {d_w.ravel()}, as 10 * [5 6 7] + 100 * [6 7 8]")

print("\n2. The kernel [1, -1], learnt from what goes in and what comes out, by gradient descent.\n")
x = np.array([0.0, 1, 3, 2]).reshape(1, 4, 1)
target = ops.conv1d(x, np.array([1.0, -1]).reshape(2, 1, 1))
print(f"   in {x.ravel()}, out {target.ravel()}\n\n    step    kernel             loss")
w, path = np.zeros((2, 1, 1)), []
for step in range(65):
    out = ops.conv1d(x, w)
    path.append(w.ravel())
    if step in (0, 1, 2, 4, 8, 16, 32, 64):
        print(f"   {step:5}   [{w[0, 0, 0]:6.3f} {w[1, 0, 0]:6.3f}]  {ops.mse(out, target):9.6f}")
    d_out, _ = ops.mse_backward(1.0, out, target)
    w = w - 0.1 * ops.conv1d_backward(d_out, x, w)[1]

print("\n3. A network for text: one-hot words, convolution, rectifier, max over time, dense layer.\n")
reviews = ["a good film", "not a bad film", "it was good", "never bad at all", "good , a good film"]
reviews += ["a bad film", "not good at all", "it was bad", "it was never good"]
labels = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0])
tokens, offsets = " ".join(reviews).split(), np.cumsum([0, *(len(review.split()) for review in reviews)])
vocabulary = sorted(set(tokens))
one_hot = np.eye(len(vocabulary))[[vocabulary.index(token) for token in tokens]]  # all texts end to end


def train(filters, dense, n_steps=200):
    bias, losses = np.zeros(2), []
    for _ in range(n_steps):
        hidden, _ = ops.conv1d(one_hot, filters, padding="same", offsets=offsets)
        pooled, argmax = ops.global_max_pool1d(ops.relu(hidden), offsets=offsets)
        logits = ops.dense(pooled, dense, bias)
        losses.append(ops.cross_entropy(logits, labels))
        d_logits = ops.cross_entropy_backward(1.0, logits, labels)
        d_pooled, d_dense, d_bias = ops.dense_backward(d_logits, pooled, dense)
        d_rows = ops.global_max_pool1d_backward(d_pooled, argmax, offsets=offsets)
        d_hidden = ops.relu_backward(d_rows, hidden)
        _, d_filters, _ = ops.conv1d_backward(d_hidden, one_hot, filters, padding="same", offsets=offsets)
        filters, dense, bias = filters - 0.5 * d_filters, dense - 0.5 * d_dense, bias - 0.5 * d_bias
    return losses, filters, (logits.argmax(axis=1) == labels).sum()


shape, curves = (3, len(vocabulary), 6), {}
starts = {"constant": [initializers.constant(s, value=0.1) for s in (shape, (6, 2))]}
starts["Glorot"] = [initializers.glorot_uniform(s, random_state=0) for s in (shape, (6, 2))]
print("   initial    loss at first, at last   right    different filters")
for name, start in starts.items():
    losses, filters, n_right = train(*start)
    different = len(np.unique(filters.reshape(-1, 6).round(5), axis=1).T)
    print(f"   {name:8} {losses[0]:10.3f} {losses[-1]:14.3f} {n_right:8} of 9 {different:12} of 6")
    curves[name] = losses
print("\n   Filters that begin alike get the same gradient and stay alike: six are worth one.")

if plot_file:
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    first, second = np.meshgrid(np.linspace(-1, 1.6, 150), np.linspace(-1.5, 0.5, 150))
    kernels = np.stack([first.ravel(), second.ravel()])[:, np.newaxis]  # all of them as filters of one layer
    losses = ((ops.conv1d(x, kernels) - target) ** 2).mean(axis=(0, 1)).reshape(first.shape)
    left.contour(first, second, losses, levels=[0.03, 0.1, 0.3, 1, 2, 4, 8, 16], cmap="Greys_r")
    left.plot(*np.array(path).T, "o-", color="C0", markersize=4, label="gradient descent")
    left.plot(1, -1, "C3*", markersize=14, label="the kernel [1, -1]")
    left.set(title="mean squared error of a kernel", xlabel="w[0]", ylabel="w[1]")
    left.legend(loc="upper right")
    for name, losses in curves.items():
        right.plot(losses, label=f"{name} initialisation")
    right.set(title="nine reviews, six filters", xlabel="step", ylabel="cross-entropy", ylim=(0, None))
    right.legend()
    figure.savefig(plot_file, dpi=120)
