"""Dilation: how a stack of narrow filters sees far with few parameters."""

import argparse
from pathlib import Path

import numpy as np

from textcnn import ops

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--plot", metavar="FILE", help="draw the stack into a picture (needs matplotlib)")
plot_file = parser.parse_args().plot
if plot_file and not Path(plot_file).parent.is_dir():
    parser.error(f"there is no folder for {plot_file}; make it first")

K, DILATIONS = 3, (1, 2, 4)

print(f"1. A kernel of {K} taps, D rows apart: K + (K - 1) (D - 1) rows from the first to the last.\n")
for dilation in DILATIONS:
    taps = ("." * (dilation - 1)).join("#" * K)
    rows = ops.effective_kernel_size(K, dilation=dilation)
    print(f"   D = {dilation}   {taps:9}   {rows} rows, still {K} weights")

print("\n2. A stack. Each layer adds (K - 1) D: 1 + 2 = 3, 3 + 4 = 7, 7 + 8 = 15.\n")
print("   layers   D = 1, 2, 4   D = 1, 1, 1")
for depth in (1, 2, 3):
    dilated = ops.receptive_field([(K, 1, dilation) for dilation in DILATIONS[:depth]])
    plain = ops.receptive_field([(K, 1, 1)] * depth)
    print(f"   {depth:6} {dilated:13} {plain:13}")
print(f"\n   Either way three layers of 64 channels have {3 * ops.n_parameters(K, 64, 64)} parameters;")
wide = ops.n_parameters(15, 64, 64)
print(f"   one layer with a kernel of 15 would have {wide}, and no activations in between.")


def gradient_of_row(row, length, dilations, weights):
    """How much each row of the input adds to one row of the output, from the output backwards."""
    gradient = np.zeros((1, length, 1))
    gradient[0, row] = 1
    for dilation in reversed(dilations):  # of x only the shape counts here, and that is the gradient's
        gradient, _, _ = ops.conv1d_backward(gradient, gradient, weights, padding="same", dilation=dilation)
    return gradient.ravel()


print("\n3. Measured: the gradient of row 10 says from which rows it comes, and by how many paths.\n")
ones = np.ones((K, 1, 1))
for dilations in ((1,), (1, 2), (1, 2, 4), (1, 1, 1)):
    paths = gradient_of_row(10, 21, dilations, ones).astype(int)
    name = ", ".join(map(str, dilations))
    print(f"   D = {name:8} {' '.join(str(n) if n else '.' for n in paths)}")
print("\n   Both stacks of three have 3 * 3 * 3 = 27 paths: dilated they spread over 15 rows, else over 7.")

print("\n4. Why it matters: singular or plural? The verb must see its subject, seven words back.\n")
sentence = "the keys which my old neighbour lost yesterday are here"
words = sentence.split()
verb, subject = words.index("are"), words.index("keys")
for depth in (1, 2, 3):
    seen = gradient_of_row(verb, len(words), DILATIONS[:depth], ones) > 0
    marked = " ".join(word if see else "." * len(word) for word, see in zip(words, seen, strict=True))
    print(f"   layers: {depth}  {marked}   {'sees the subject' if seen[subject] else ''}".rstrip())

if plot_file:
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(10, 4), layout="constrained")
    rows, middle = 15, 7
    reached = {middle}
    for layer, dilation in reversed(list(enumerate(DILATIONS, start=1))):
        for row in range(rows):
            for source in (row - dilation, row, row + dilation):
                if 0 <= source < rows:
                    colour, order = ("C0", 2) if row in reached else ("0.88", 1)
                    axis.plot([source, row], [layer - 1, layer], color=colour, zorder=order)
        colours = ["C0" if row in reached else "0.8" for row in range(rows)]
        axis.scatter(range(rows), [layer] * rows, s=90, color=colours, zorder=3)
        reached = {row + step for row in reached for step in (-dilation, 0, dilation)}
    axis.scatter(range(rows), [0] * rows, s=90, color="C0", zorder=3)
    axis.set_yticks(range(4), ["input", *(f"layer {i}, D = {d}" for i, d in enumerate(DILATIONS, start=1))])
    axis.set(xlabel="row", xticks=range(rows), title="one row of the third layer sees 15 rows of the input")
    axis.spines[:].set_visible(False)
    figure.savefig(plot_file, dpi=120)
