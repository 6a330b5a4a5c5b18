"""`TextCNNTagger`: continued training, weights, and input that differs from what was trained on."""

import multiprocessing
import os

import numpy as np
import pytest

from textcnn import TextCNNClassifier, TextCNNTagger

SMALL = {
    "n_channels": 8, "embedding_dim": 6, "char_dim": 4, "n_char_filters": 4, "affix_dim": 2,
    "dilations": (1, 2), "n_iterations": 2, "max_iter": 2, "linear_max_iter": 2, "random_state": 0,
}  # fmt: skip
X = [["Ms.", "Haag", "plays", "Elianti", "."], ["The", "dog", "saw", "Ms.", "Haag"], ["Rain"]]
Y = [["O", "B-PER", "O", "B-PER", "O"], ["O", "O", "O", "O", "B-PER"], ["O"]]
CLASSES = ["B-PER", "I-PER", "O"]


# ---- continued training ---------------------------------------------------------------------------


def many_texts():
    rng = np.random.RandomState(0)
    return [" ".join(f"w{i}" for i in row) for row in rng.randint(0, 50, (400, 30))]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_goes_on_with_partial_fit():
    texts = many_texts()
    classes = np.arange(len(texts)) % 2
    tags = [["O"] * len(text.split()) for text in texts]
    classifier = TextCNNClassifier(n_jobs=2, random_state=0).partial_fit(texts, classes, [0, 1])
    tagger = TextCNNTagger(**{**SMALL, "n_channels": 64}, n_jobs=2).partial_fit(texts, tags, CLASSES)

    def train():
        classifier.partial_fit(texts, classes)
        tagger.partial_fit(texts, tags)

    process = multiprocessing.get_context("fork").Process(target=train)
    process.start()
    process.join(60)
    hangs = process.is_alive()
    process.kill()
    assert not hangs
    assert process.exitcode == 0


def test_partial_fit_takes_the_parameters_of_today():
    tagger = TextCNNTagger(**SMALL).partial_fit(X, Y, CLASSES)
    before = tagger.predictor_.network.copy_arrays()
    tagger.set_params(learning_rate_init=1e-30).partial_fit(X, Y)
    after = tagger.predictor_.network.arrays
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_words_of_every_call_of_partial_fit_begin_with_vectors_of_their_own():
    tagger = TextCNNTagger(**SMALL, learning_rate_init=1e-30).partial_fit(X, Y, CLASSES)
    tagger.partial_fit([["second"]], [["O"]]).partial_fit([["third"]], [["O"]])
    words, number = tagger.predictor_.network.arrays["words"], tagger.vocabulary_
    assert not np.array_equal(words[number["second"]], words[number["third"]])
