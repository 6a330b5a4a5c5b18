"""Pooling: what it keeps, what it forgets, and where the gradient goes."""

import argparse
from pathlib import Path

import numpy as np

from textcnn import ops

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--plot", metavar="FILE", help="draw the poolings into a picture (needs matplotlib)")
plot_file = parser.parse_args().plot
if plot_file and not Path(plot_file).parent.is_dir():
    parser.error(f"there is no folder for {plot_file}; make it first")


def signal(values):  # one text of one channel: (1, length, 1)
    return np.reshape(values, (1, -1, 1)).astype(float)


def show(name, values):
    print(f"   {name:20}", *(f"{value:6g}" for value in np.ravel(values).round(2)))


print("1. Windows of two. Four rows for eight, each a summary of its window.\n")
x = signal([1, 3, 5, 4, 2, 7, 9, 6])
show("signal", x)
out, argmax = ops.max_pool1d(x, 2)
show("maximum", out)
show("   found in row", argmax)
show("mean", ops.mean_pool1d(x, 2))
show("sum", ops.sum_pool1d(x, 2))
show("l2 norm", ops.lp_pool1d(x, 2))

print("\n2. Backwards. The error goes to the maximum, or is spread over the window; its sum stays 20.\n")
delta = signal([2, 8, 4, 6])
show("delta", delta)
show("un-pooled by max", ops.max_pool1d_backward(delta, argmax, length=8))
show("un-pooled by mean", ops.mean_pool1d_backward(delta, x, 2))

print("\n3. Over the whole time axis. One value a filter, whatever the length and wherever the n-gram.\n")
tones = {"awful": -2, "funny": 2, "not": -1, "so": 1}
for sentence in ("so funny", "the cast is so funny", "so funny that it hurts , and not awful"):
    tone = signal([tones.get(word, 0) for word in sentence.split()])
    answer = ops.conv1d(tone, signal([1, 1]).reshape(2, 1, 1))  # a bigram's sum
    (best,), (where,) = (result.ravel() for result in ops.global_max_pool1d(answer))
    mean = ops.global_mean_pool1d(answer).item()
    print(f"   max {best:g} at row {where}, mean {mean:5.2f}   {sentence}")

print("\n4. k-max pooling keeps the k largest in their order (Kalchbrenner et al. 2014).\n")
for k in (1, 2, 3):
    values, places = ops.k_max_pool1d(x, k)
    print(f"   k = {k}   values {values.ravel()}   rows {places.ravel()}")
print("\n   Dynamic k, three layers, 3 values at the top: k for texts of 6, 12 and 24 rows")
for layer in (1, 2, 3):
    print(f"   layer {layer}  {ops.dynamic_k(layer, 3, np.array([6, 12, 24]), k_top=3)}")

print("\n5. A spatial pyramid: 1 + 2 + 4 bins, so seven rows for a text of any length.\n")
for length in (3, 8, 20):
    pyramid, _ = ops.spatial_pyramid_pool1d(signal(np.arange(length)), levels=(1, 2, 4))
    show(f"maxima of 0 .. {length - 1}", pyramid)

if plot_file:
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(9, 4), layout="constrained")
    axis.bar(range(8), x.ravel(), color="0.8", label="signal")
    for name, values, colour in (("maximum", out, "C3"), ("mean", ops.mean_pool1d(x, 2), "C0")):
        for window, value in enumerate(values.ravel()):
            label = f"{name} of each window of two" if window == 0 else None
            axis.plot([2 * window - 0.4, 2 * window + 1.4], [value, value], color=colour, lw=3, label=label)
    values, places = ops.k_max_pool1d(x, 3)
    axis.plot(places.ravel(), values.ravel(), "k*", markersize=12, label="3-max over the whole text")
    for border in (1.5, 3.5, 5.5):
        axis.axvline(border, color="0.6", linestyle=":")
    axis.set(xlabel="row", ylabel="value", ylim=(0, 10.5))
    axis.legend(loc="upper left")
    figure.savefig(plot_file, dpi=120)
