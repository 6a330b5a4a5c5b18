"""Small taggers' networks, batches and their plain NumPy form, for several test modules."""

from dataclasses import replace

import numpy as np

from textcnn import _reference as reference
from textcnn.nn.crf import chain_arrays
from textcnn.nn.tagging_cnn import KERNEL_SIZE, TaggedExamples, TaggerLayout, TaggingCNN
from textcnn.nn.training import TrainingOptions
from textcnn.text.token_features import TypeFeatures

N_WORDS, N_CHARS, N_HASHED_ROWS = 7, 6, 9

LAYOUT = TaggerLayout(
    n_tags=4,
    word_dim=3,
    char_dim=2,
    char_kernel_sizes=(2, 3),
    n_char_filters=2,
    hashed_dim=2,
    n_attributes=2,
    n_channels=3,
    dilations=(1, 2),
    n_iterations=2,
    share_weights=True,
    join="concat",
    head="crf",
)

OPTIONS = TrainingOptions(
    max_iter=5,
    batch_size=3,
    shuffle=True,
    dropout=0.0,
    word_dropout=0.0,
    max_norm=None,
    max_grad_norm=None,
    alpha=0.0,
    learning_rate="constant",
    learning_rate_init=0.01,
    tol=0.0,
    n_iter_no_change=100,
    early_stopping=False,
    n_threads=1,
)

WITH_DROPOUT = replace(OPTIONS, dropout=0.4, feature_dropout=0.3, word_dropout=0.2, rare_word_dropout=0.5)


def random_network(
    layout, dtype=np.float64, seed=0, frozen_words=False, sizes=(N_WORDS, N_CHARS, N_HASHED_ROWS)
):
    """A network with random numbers everywhere, biases and transitions among them."""
    rng = np.random.RandomState(seed)
    words = rng.normal(size=(sizes[0], layout.word_dim)).astype(np.float32)
    network = TaggingCNN.initialized(rng, layout, words, sizes[1], sizes[2], frozen_words)
    arrays = {}
    for name, array in network.arrays.items():
        scale = 0.5 if name in ("first", "block", "char_filters") else 0.7
        arrays[name] = (rng.normal(size=array.shape) * scale).astype(dtype)
    if layout.head == "softmax":
        arrays |= {name: array.astype(dtype) for name, array in chain_arrays(layout.n_tags).items()}
    return TaggingCNN(layout, arrays, frozen_words)


def random_features(n_types, layout, rng, sizes=(N_WORDS, N_CHARS, N_HASHED_ROWS)):
    """Features of distinct tokens of one to five characters."""
    lengths = rng.integers(1, 6, n_types) if layout.char_outputs else np.zeros(n_types, int)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
    return TypeFeatures(
        words=rng.integers(0, sizes[0], n_types).astype(np.int32),
        chars=rng.integers(0, sizes[1], offsets[-1]).astype(np.int32),
        char_offsets=offsets,
        hashed=rng.integers(0, sizes[2], (n_types, layout.n_attributes)).astype(np.int32),
    )


def random_batch(layout, lengths=(4, 1, 0, 5), n_types=8, seed=0, sizes=(N_WORDS, N_CHARS, N_HASHED_ROWS)):
    """Sentences of random tokens and tags, with weights that differ."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
    return TaggedExamples(
        types=rng.integers(0, n_types, offsets[-1]).astype(np.int32),
        offsets=offsets,
        targets=rng.integers(0, layout.n_tags, offsets[-1]).astype(np.int32),
        sample_weight=rng.uniform(0.5, 2, len(lengths)).astype(np.float32),
        features=random_features(n_types, layout, rng, sizes),
        rare=rng.random(n_types) < 0.5,
    )


def plain_features(network, features):
    """Features of every distinct token in float64, one by one."""
    layout, arrays = network.layout, network.arrays
    rows = []
    for i in range(len(features)):
        parts = [arrays["words"][features.words[i]]]
        if layout.char_outputs:
            chars = features.chars[features.char_offsets[i] : features.char_offsets[i + 1]]
            parts.append(plain_characters(network, arrays["chars"][chars]))
        if layout.hashed_outputs:
            parts += [arrays["hashed"][row] for row in features.hashed[i]]
        rows.append(np.concatenate(parts).astype(float))
    return np.array(rows).reshape(len(features), layout.n_features)


def plain_characters(network, embedded):
    """Maximum over a token's characters of each filter, after ReLU."""
    layout, arrays = network.layout, network.arrays
    n, found, first = layout.n_char_filters, [], 0
    for i, size in enumerate(layout.char_kernel_sizes):
        taps = arrays["char_filters"][first : first + size * n].reshape(size, n, -1)
        bias = arrays["char_bias"][i * n : (i + 1) * n]
        offsets = np.array([0, len(embedded)])
        z = reference.dilated_conv(embedded, taps.transpose(0, 2, 1), bias, offsets, 1)
        found.append(np.maximum(z.max(axis=0, initial=0), 0))
        first += size * n
    return np.concatenate(found)


def plain_levels(network, types, offsets, features):
    """Outputs of the first convolution and of every dilated layer in float64."""
    layout, arrays = network.layout, network.arrays
    x = plain_features(network, features)[types]
    taps = arrays["first"].reshape(KERNEL_SIZE, layout.n_channels, -1).transpose(0, 2, 1)
    first = np.maximum(reference.dilated_conv(x, taps, arrays["first_bias"], offsets, 1), 0)
    block, biases = arrays["block"], arrays["block_bias"]
    levels = reference.conv_stack_forward(
        first, [block[k] for k in layout.layer_sets], [biases[k] for k in layout.layer_sets], offsets,
        layout.layer_dilations,
    )  # fmt: skip
    return [first, *levels]


def plain_outputs(network, types, offsets, features):
    """What is scored in training: one array, or one of each iteration with join="every"."""
    layout = network.layout
    levels = plain_levels(network, types, offsets, features)
    depth = len(layout.dilations)
    ends = [levels[depth * (i + 1)] for i in range(layout.n_iterations)] if depth else [levels[0]]
    if layout.join == "concat":
        return [np.concatenate(ends, axis=1)]
    return ends if layout.join == "every" else ends[-1:]


def plain_emissions(network, types, offsets, features):
    """Scores of the tags in prediction in float64."""
    output = plain_outputs(network, types, offsets, features)[-1]
    return output @ network.arrays["weights"].T.astype(float) + network.arrays["bias"]


def plain_loss(network, batch, weight):
    """The training loss without dropout, by the references of the losses."""
    arrays, layout = network.arrays, network.layout
    outputs = plain_outputs(network, batch.types, batch.offsets, batch.features)
    total = 0.0
    for output in outputs:
        emissions = output @ arrays["weights"].T.astype(float) + arrays["bias"]
        if layout.head == "crf":
            total += reference.crf_loss(
                emissions, arrays["transitions"], arrays["start"], arrays["stop"], batch.targets,
                batch.offsets, batch.sample_weight.astype(float),
            )[0].sum()  # fmt: skip
        else:
            weights = np.repeat(batch.sample_weight.astype(float), np.diff(batch.offsets))
            total += reference.softmax_cross_entropy(emissions, batch.targets, weights)[0].sum()
    return total / weight / len(outputs)
