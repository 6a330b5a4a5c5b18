"""Padding and stride: which windows there are, what lies beyond the ends, how long the result is."""

import argparse
from pathlib import Path

import numpy as np

from textcnn import ops

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--plot", metavar="FILE", help="draw the windows into a picture (needs matplotlib)")
plot_file = parser.parse_args().plot
if plot_file and not Path(plot_file).parent.is_dir():
    parser.error(f"there is no folder for {plot_file}; make it first")

sentence = "a plot without an end in sight"
words = sentence.split()
length, kernel_size = len(words), 3

print(f"1. Padding: a window of {kernel_size} over {length} words, a result for each place where it fits.\n")
print(f"   {'padding':8} {'left':>4} {'right':>5} {'rows':>5}   the first and the last window")
for padding in ("valid", "same", "full"):
    left, right = ops.resolve_padding(padding, kernel_size)
    padded = ["_"] * left + words + ["_"] * right
    rows = ops.conv_output_length(length, kernel_size, padding=padding)
    first, last = " ".join(padded[:kernel_size]), " ".join(padded[-kernel_size:])
    print(f"   {padding:8} {left:4} {right:5} {rows:5}   [{first}] ... [{last}]")
print("\n   An even kernel cannot be centred: 'same' has its extra row on the right, for 4 taps", end=" ")
print(ops.resolve_padding("same", 4))

print("\n2. What the padding holds: two rows before and after the letters of 'abcd'.\n")
letters = np.array([[[1.0], [2], [3], [4]]])
for mode in ("zeros", "constant", "reflect", "replicate", "circular"):
    padded = ops.pad1d(letters, 2, padding_mode=mode, padding_value=5 if mode == "constant" else 0).ravel()
    text = "".join("0abcd*"[int(value)] for value in padded)
    print(f"   {mode:10} {text[:2]} | {text[2:-2]} | {text[-2:]}")

print("\n3. Zeros are seen at the ends: a moving average of ones drops there, a replicated end does not.\n")
ones, mean = np.ones((1, 6, 1)), ops.kernels.mean(3).reshape(3, 1, 1)
for mode in ("zeros", "replicate"):
    print(f"   {mode:10} {ops.conv1d(ones, mean, padding='same', padding_mode=mode).ravel().round(2)}")

print("\n4. Stride: every S-th window, floor((L + left + right - K) / S) + 1 rows.\n")
ramp = np.arange(float(length)).reshape(1, length, 1)
for stride in (1, 2, 3):
    out = ops.conv1d(ramp, mean, stride=stride)  # the mean of three neighbours is their middle
    print(f"   S = {stride}   ({length} - {kernel_size}) // {stride} + 1 = {out.shape[1]} rows")
    for t, middle in enumerate(out.ravel().round()):
        marks = [word if abs(i - middle) <= 1 else "." * len(word) for i, word in enumerate(words)]
        print(f"      {t}  {' '.join(marks)}")

print("\n5. Texts of different lengths are packed end to end; padding keeps them apart.\n")
packed, offsets = np.ones((5, 1)), [0, 2, 5]  # a text of two rows and one of three
out, out_offsets = ops.conv1d(packed, np.ones((3, 1, 1)), padding="same", offsets=offsets)
print(f"   sums of three neighbours {out.ravel()}, texts begin at {out_offsets}")
print("   2 2 | 2 3 2: beyond the end of a text there are zeros, not the rows of the next")

if plot_file:
    import matplotlib.pyplot as plt

    settings = [("valid", 1), ("same", 1), ("full", 1), ("valid", 2), ("same", 2), ("full", 2)]
    figure, axes = plt.subplots(2, 3, figsize=(11, 6), sharex=True, sharey=True, layout="constrained")
    for axis, (padding, stride) in zip(axes.flat, settings, strict=True):
        left, right = ops.resolve_padding(padding, kernel_size)
        rows = ops.conv_output_length(length, kernel_size, stride=stride, padding=padding)
        for t in range(rows):
            axis.barh(t, kernel_size - 0.2, left=t * stride - left - 0.4, height=0.6, color=f"C{t % 2}")
        axis.axvspan(-left - 0.5, -0.5, color="0.85", zorder=0)
        axis.axvspan(length - 0.5, length + right - 0.5, color="0.85", zorder=0)
        axis.set_title(f"{padding}, stride {stride}: {rows} rows")
        axis.set_xticks(range(length), words, rotation=45, ha="right", rotation_mode="anchor")
        axis.set_yticks(range(length + 2))
    axes[0, 0].invert_yaxis()
    figure.supylabel("row of the result")
    figure.supxlabel("what its window sees (grey: padding)")
    figure.savefig(plot_file, dpi=120)
