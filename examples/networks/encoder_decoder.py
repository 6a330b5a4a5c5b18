"""An encoder and a decoder with skip connections (U-Net: Ronneberger, Fischer & Brox 2015, arXiv 1505.04597).

Going down, pooling halves the rows and the convolutions see twice as far; going up, transposed convolutions
double them; beside every step down a skip connection keeps each token in its place.
"""

import datasets

from textcnn import TextCNNTagger
from textcnn.nn import Activation, Conv1d, ConvTranspose1d, MinLength, Parallel, Pool1d, Sequential

folder = datasets.data_folder(__doc__)
X_train, X_test, y_train, y_test = datasets.sentences(folder, "conll2003/eng.train", "conll2003/eng.testb")


def level(n_filters, *deeper):
    """A convolution, what lies deeper beside the skip connection, and a convolution over the two."""
    if not deeper:
        return Conv1d(n_filters, 3)
    below = Sequential(
        MinLength(2),
        Pool1d("max", 2, padding=(0, 1)),  # half as many rows, rounded up
        *deeper,
        ConvTranspose1d(n_filters, 2, stride=2),  # twice as many; Parallel cuts the one too many
    )
    skip = Activation("identity")
    return Sequential(Conv1d(n_filters, 3), Parallel(skip, below), Conv1d(n_filters, 3))


body = level(64, level(64, level(64)))
tagger = TextCNNTagger(body=body, linear=0, max_iter=12 if folder is None else 4, random_state=0)
tagger.fit(X_train, y_train)

print(tagger.predictor_.network.body.summary(length=13))
print(f"\nF1 on {len(X_test)} test sentences: {tagger.score(X_test, y_test):.3f}")
