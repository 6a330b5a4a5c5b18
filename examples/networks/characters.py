"""A network over characters: it needs no words, which in Chinese have no spaces between them."""

import datasets

from textcnn import TextCNNClassifier
from textcnn.nn import Conv1d, Dense, MinLength, Parallel, Pool1d, Residual, Sequential

folder = datasets.data_folder(__doc__)
X_train, X_test, y_train, y_test = datasets.texts(folder, "thucnews.train45k.tsv.gz", "thucnews.test.tsv.gz")

body = Sequential(
    MinLength(2),
    Parallel(Conv1d(64, 2), Conv1d(64, 3), Conv1d(64, 4)),  # what stands for words
    Residual(Conv1d(192, 3, groups=4)),  # what stands for phrases
    Pool1d("max"),
    Dense(64, "relu"),
)
clf = TextCNNClassifier(
    analyzer="char", body=body, linear=0, embedding_dim=64, max_iter=10 if folder is None else 3,
    batch_size=20 if folder is None else 50, learning_rate_init=0.005, random_state=0,
).fit(X_train, y_train)  # fmt: skip

print(clf.predictor_.network.body.summary(length=20))
print(f"\naccuracy on {len(X_test)} test texts: {clf.score(X_test, y_test):.3f}")
