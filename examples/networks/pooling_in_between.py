"""Convolution, pooling, convolution, pooling: each step sees twice as far as the one before."""

import datasets

from textcnn import TextCNNClassifier
from textcnn.nn import Conv1d, MinLength, Parallel, Pool1d, Sequential

folder = datasets.data_folder(__doc__)
X_train, X_test, y_train, y_test = datasets.texts(folder, "trec.train.tsv", "trec.test.tsv")

body = Sequential(
    MinLength(4),  # shorter texts get zeros, so that every pooling finds something
    Conv1d(100, 3),
    Pool1d("max", 2),  # half as many rows
    Conv1d(100, 3),  # three of them are eight tokens
    Parallel(Pool1d("max"), Pool1d("mean")),  # one row for each text, the two side by side
)
clf = TextCNNClassifier(body=body, linear=0, embedding_dim=100, max_iter=15, random_state=0).fit(
    X_train, y_train
)

print(clf.predictor_.network.body.summary(length=12))
print(f"\naccuracy on {len(X_test)} test texts: {clf.score(X_test, y_test):.3f}")
