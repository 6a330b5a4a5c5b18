"""Wide convolutions and dynamic k-max pooling (Kalchbrenner, Grefenstette & Blunsom 2014, arXiv 1404.2188).

Each dimension of the embedding has filters of its own; of each filter the k largest values remain, in their
order, and k falls from layer to layer with the length of the sentence. Two layers that textcnn does not have
are written here: `forward` keeps what `backward` needs.
"""

import datasets
import numpy as np

from textcnn import TextCNNClassifier, ops
from textcnn.nn import Activation, Conv1d, Layer, Packed, Pool1d, Sequential

N_DIMS, MAPS, WIDTHS, K_TOP = 48, (6, 14), (7, 5), 4


class DynamicKMax(Layer):
    """k-max pooling with k of the length of each sentence, behind a wide convolution of width `width`."""

    def __init__(self, layer, n_layers, width, k_top):
        super().__init__()
        self.layer, self.n_layers, self.width, self.k_top = layer, n_layers, width, k_top

    def _build(self, in_channels, rng):
        return in_channels

    def _forward(self, x, train, n_jobs):
        lengths = np.diff(x.offsets) - (self.width - 1)  # of the sentences
        k = ops.dynamic_k(self.layer, self.n_layers, lengths, self.k_top)
        out, argmax, offsets = ops.k_max_pool1d(x.rows, k, offsets=x.offsets, n_jobs=n_jobs)
        return Packed(out, offsets), (x, argmax, offsets)

    def _backward(self, d_out, kept, n_jobs):
        x, argmax, offsets = kept
        return ops.k_max_pool1d_backward(d_out, argmax, offsets=x.offsets, out_offsets=offsets, n_jobs=n_jobs)


class Fold(Layer):
    """The sum of every two neighbouring dimensions, for each of `n_maps` filters."""

    def __init__(self, n_maps):
        super().__init__()
        self.n_maps = n_maps

    def _build(self, in_channels, rng):
        return in_channels // 2

    def _forward(self, x, train, n_jobs):
        pairs = x.rows.reshape(len(x.rows), -1, 2, self.n_maps)
        return Packed(pairs.sum(axis=2).reshape(len(x.rows), -1), x.offsets), None

    def _backward(self, d_out, kept, n_jobs):
        halves = d_out.reshape(len(d_out), -1, 1, self.n_maps)
        return np.repeat(halves, 2, axis=2).reshape(len(d_out), -1)


folder = datasets.data_folder(__doc__)
X_train, X_test, y_train, y_test = datasets.texts(folder, "trec.train.tsv", "trec.test.tsv")
wide = {"padding": "full", "groups": N_DIMS, "activation": "identity"}
body = Sequential(
    *(Conv1d(N_DIMS * MAPS[0], WIDTHS[0], **wide), DynamicKMax(1, 2, WIDTHS[0], K_TOP), Activation("tanh")),
    *(Conv1d(N_DIMS * MAPS[1], WIDTHS[1], **wide), Fold(MAPS[1])),
    *(Pool1d("kmax", k=K_TOP, flatten=True), Activation("tanh")),
)
clf = TextCNNClassifier(
    body=body, linear=0, embedding_dim=N_DIMS, max_iter=15, batch_size=25, random_state=0
).fit(X_train, y_train)
print(clf.predictor_.network.body.summary(length=12))
print(f"\naccuracy on {len(X_test)} test texts: {clf.score(X_test, y_test):.3f}")
