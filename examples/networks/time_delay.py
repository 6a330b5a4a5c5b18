"""A time-delay network (Waibel et al. 1989): each tag from the tokens read so far, none of those to come."""

import datasets
import numpy as np

from textcnn import TextCNNTagger
from textcnn.nn import Conv1d, DilatedBlock, Sequential

folder = datasets.data_folder(__doc__)
X_train, X_test, y_train, y_test = datasets.sentences(folder, "conll2000/train.txt", "conll2000/test.txt")


def stack(causal):
    """Dilations 1, 2 and 4: with those of the first convolution 17 tokens, itself and 16 others."""
    first = Conv1d(64, 3, padding=(2, 0) if causal else "same")  # zeros on the left alone
    return Sequential(first, DilatedBlock(64, 3, dilations=(1, 2, 4), n_repeats=1, causal=causal))


for causal in (True, False):
    # independent tags, since a random field looks ahead, and BIO, since the end of a span lies ahead
    tagger = TextCNNTagger(
        body=stack(causal), linear=0, head="softmax", tag_scheme="BIO",
        max_iter=10 if folder is None else 3, random_state=0,
    ).fit(X_train, y_train)  # fmt: skip
    if causal:
        print(tagger.predictor_.network.body.summary(length=12))
        whole, part = tagger.transform([X_test[0], X_test[0][:5]])  # what the output layer sees
        same = np.allclose(whole[:5], part, atol=1e-4)  # up to rounding
        print(f"\nfive tokens look the same with and without those behind them: {same}")
    name = "the past alone" if causal else "both sides"
    print(f"F1 on {len(X_test)} test sentences, {name}: {tagger.score(X_test, y_test):.3f}")
