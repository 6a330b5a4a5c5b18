"""Little data sets that several test modules use."""

import numpy as np

GOOD = ["splendid", "lovely", "bright", "witty", "tender", "fresh"]
BAD = ["dull", "clumsy", "grim", "stale", "hollow", "noisy"]
REST = ["the", "play", "was", "a", "story", "in", "town", "of", "late", "evening"]


def reviews(n=80, seed=0):
    """Texts whose label is given by one word among others, and the labels."""
    rng = np.random.RandomState(seed)
    texts, labels = [], []
    for i in range(n):
        words = list(rng.choice(REST, rng.randint(2, 9)))
        words.insert(rng.randint(len(words) + 1), rng.choice([BAD, GOOD][i % 2]))
        texts.append(" ".join(words))
        labels.append(["bad", "good"][i % 2])
    return texts, labels


def cased(texts, seed=0):
    """The texts with words in capitals, capitalised or in mixed case here and there."""
    rng = np.random.default_rng(seed)
    forms = [str, str, str.capitalize, str.upper, lambda word: word[0] + word[1:].upper()]
    return [" ".join(forms[rng.integers(len(forms))](word) for word in text.split()) for text in texts]


def arrays_of(model):
    """The arrays of a fitted classifier's network."""
    network = model.predictor_.network
    return {name: getattr(network, name) for name in network.ARRAYS}


def same_bits(model, other):
    """True if all arrays of two classifiers are equal to the bit."""
    pairs = zip(arrays_of(model).values(), arrays_of(other).values(), strict=True)
    return all(a.tobytes() == b.tobytes() for a, b in pairs)
