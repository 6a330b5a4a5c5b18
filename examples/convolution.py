"""Convolution: two dice, an edge, a smoothed review, and a filter that reads two words."""

import argparse
from pathlib import Path

import numpy as np

from textcnn import ops

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--plot", metavar="FILE", help="draw the review into a picture (needs matplotlib)")
plot_file = parser.parse_args().plot
if plot_file and not Path(plot_file).parent.is_dir():
    parser.error(f"there is no folder for {plot_file}; make it first")


def signal(values):  # one text of one channel: (1, length, 1)
    return np.reshape(values, (1, -1, 1)).astype(float)


def kernel(values):  # one channel in, one channel out: (kernel_size, 1, 1)
    return np.reshape(values, (-1, 1, 1)).astype(float)


print("1. Two dice. The sum is distributed as the full convolution of one die with the other.\n")
die = np.full(6, 1 / 6)
two_dice = ops.convolve1d(signal(die), kernel(die), padding="full").ravel()
for total, probability in enumerate(two_dice, start=2):
    print(f"   P({total:2}) = {probability * 36:.0f}/36  {'#' * round(probability * 36)}")

print("\n2. Convolution flips the kernel, cross-correlation does not; networks have the second.\n")
x, w = [2, 3, 5], [7, 11, 17]
print(f"   convolve1d({x}, {w})  {ops.convolve1d(signal(x), kernel(w), padding='full').ravel()}")
print(f"   conv1d({x}, {w})      {ops.conv1d(signal(x), kernel(w), padding='full').ravel()}")
print(f"   conv1d({x}, {w[::-1]})      {ops.conv1d(signal(x), kernel(w[::-1]), padding='full').ravel()}")

print("\n3. The edge detector. x[t + 1] - x[t] is 0, but where something begins or ends.\n")
box = [0, 0, 1, 1, 1, 0, 0]
print("   signal          ", *(f"{value:4}" for value in box))
print("   convolve [1,-1]   ", *(f"{v:4.0f}" for v in ops.convolve1d(signal(box), kernel([1, -1])).ravel()))

print("\n4. Classic filters, over a review whose words have a tone from -3 to 3.\n")
review = "a slow first hour , flat and dull , but then warm , witty and wonderful to the end"
words = review.split()
tones = {"slow": -2, "flat": -2, "dull": -3, "warm": 2, "witty": 3, "wonderful": 3}
tone = signal([tones.get(word, 0) for word in words])
print(f"   gaussian {ops.kernels.gaussian(5).round(2)}, then sobel {ops.kernels.sobel()}, the derivative\n")
smooth = ops.conv1d(tone, kernel(ops.kernels.gaussian(5)), padding="same")
slope = ops.conv1d(smooth, kernel(ops.kernels.sobel()), padding="same")
print(f"   {'word':10} {'tone':>5} {'gaussian':>9} {'sobel':>6}")
for word, *values in zip(words, tone.ravel(), smooth.ravel(), slope.ravel(), strict=True):
    bar = f"{'-' * round(-4 * values[1]):>8}|{'+' * round(4 * values[1])}"
    print(f"   {word:10} {values[0]:5.0f} {values[1]:9.2f} {values[2]:6.2f}  {bar}")
print(f"\n   The tone rises fastest at {words[slope.argmax()]!r}.")

print("\n5. Embeddings. A filter of width 2 over three channels (negation, quality, other) reads bigrams.\n")
embedding = {"not": (1, 0, 0), "never": (1, 0, 0), "good": (0, 1, 0), "great": (0, 1.5, 0), "bad": (0, -1, 0)}
advice = "a good cast but not good and never great"
vectors = np.array([[embedding.get(word, (0, 0, 1)) for word in advice.split()]])  # (1, length, 3)
not_good = np.array([[1, 0, 0], [0, 1, 0]], float)[:, :, np.newaxis]  # first a negation, then quality
out = ops.conv1d(vectors, not_good, bias=[-1.0]).ravel()
for first, second, value in zip(advice.split(), advice.split()[1:], out, strict=False):
    print(f"   {first:>6} {second:6} {value:5.1f}  {'#' * round(8 * max(value, 0))}".rstrip())
print("\n   With the bias of -1 only a negation *and* a quality pass the rectifier: an n-gram detector.")

if plot_file:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(3, 1, figsize=(9, 6), sharex=True, layout="constrained")
    named = {"tone of each word": tone, "smoothed: Gaussian, 5 taps": smooth, "its derivative: Sobel": slope}
    for axis, (title, values), colour in zip(axes, named.items(), ("C7", "C0", "C1"), strict=True):
        axis.bar(range(len(words)), values.ravel(), color=colour)
        axis.axhline(0, color="black", linewidth=0.8)
        axis.set_title(title, loc="left", fontsize=10)
    axes[-1].set_xticks(range(len(words)), words, rotation=35, ha="right", rotation_mode="anchor")
    figure.savefig(plot_file, dpi=120)
