"""Transposed convolution: from few rows to many, as the exact adjoint of convolution."""

import argparse
from pathlib import Path

import numpy as np

from textcnn import ops

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--plot", metavar="FILE", help="draw the overlaps into a picture (needs matplotlib)")
plot_file = parser.parse_args().plot
if plot_file and not Path(plot_file).parent.is_dir():
    parser.error(f"there is no folder for {plot_file}; make it first")


def signal(values):  # one text of one channel: (1, length, 1)
    return np.reshape(values, (1, -1, 1)).astype(float)


def kernel(values):  # one channel in, one channel out: (kernel_size, 1, 1)
    return np.reshape(values, (-1, 1, 1)).astype(float)


def show(name, values):
    print(f"   {name:24}", *(f"{value:5g}" for value in np.ravel(values).round(2)))


w, stride = kernel([1, 2, 3]), 2
print("1. Each value puts down a copy of the kernel, S rows after the last; the copies are added.\n")
values = [1, 10, 100]
for t, value in enumerate(values):
    copy = np.zeros(7)
    copy[t * stride : t * stride + 3] = value * w.ravel()
    show(f"{value} * [1, 2, 3]", copy)
show("conv_transpose1d, S = 2", ops.conv_transpose1d(signal(values), w, stride=stride))

print("\n2. Convolution is multiplication by a sparse matrix A, transposed convolution by A transposed.\n")
matrix = ops.conv1d_as_dense(w, 7, stride=stride).toarray()  # text @ matrix: (7, 3)
for t, column in enumerate(matrix.T):
    show(f"row {t} of A", column)
x, y = signal([3, 1, 4, 1, 5, 9, 2]), signal([2, 7, 1])
forward, back = ops.conv1d(x, w, stride=stride), ops.conv_transpose1d(y, w, stride=stride)
show("A x", forward)
show("A' y", back)
print(f"\n   <A x, y> = {np.vdot(forward, y):g} = {np.vdot(x, back):g} = <x, A' y>: it is the adjoint.")
d_x, _, _ = ops.conv1d_backward(y, x, w, stride=stride)
print(f"   The gradient of conv1d is the same operation: {np.array_equal(d_x, back)}.")

print("\n3. The same again with zeros between the rows: a convolution with a 'fractional' stride 1/S.\n")
stuffed = ops.upsample(y, stride, mode="zeros")
show("zeros between", stuffed)
show("its full convolution", ops.convolve1d(stuffed, w, padding="full"))

print(
    "\n4. Lengths: (L - 1) S + K + output_padding. A stride of S makes S lengths one; output_padding picks.\n"
)
for length in (7, 8):
    rows = ops.conv_output_length(length, 3, stride=stride)
    back_to = ops.conv_transpose_output_length(rows, 3, stride=stride, output_padding=length - 7)
    print(f"   {length} rows -> conv1d -> {rows} rows -> output_padding={length - 7} -> {back_to} rows")

print("\n5. Overlaps: with K = 3, S = 2 every other row gets two copies, a checkerboard; with K = 4 all.\n")
ones = signal([1, 1, 1, 1])
overlaps = {k: ops.conv_transpose1d(ones, kernel([1] * k), stride=2) for k in (3, 4)}
for k, counts in overlaps.items():
    show(f"K = {k}, S = 2", counts)
print("\n   The other way up has no such pattern: interpolate, then convolve.\n")
for mode in ("nearest", "linear"):
    show(f"upsample, {mode}", ops.upsample(signal([0, 4, 2]), 2, mode=mode))

if plot_file:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 3.5), sharey=True, layout="constrained")
    for axis, (k, counts) in zip(axes, overlaps.items(), strict=True):
        height = np.zeros(counts.shape[1])
        for t in range(4):  # one copy of the kernel on top of the others
            rows = slice(t * stride, t * stride + k)
            axis.bar(np.arange(len(height))[rows], 1, bottom=height[rows], width=0.9, label=f"from row {t}")
            height[rows] += 1
        axis.set(title=f"K = {k}, S = 2", xlabel="row of the result", xticks=range(len(height)))
    axes[0].set(ylabel="copies of the kernel", yticks=(0, 1, 2), ylim=(0, 2.6))
    axes[0].legend(ncols=4, loc="upper center", fontsize=8, frameon=False)
    figure.savefig(plot_file, dpi=120)
