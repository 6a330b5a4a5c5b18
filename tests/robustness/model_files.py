"""Small models of every kind, their files taken apart and altered, and what a reader must do with them.

A mutated file is a pure function of a seed and a number, so that a finding can be made again from the two.
"""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import random
import re
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import textcnn
from textcnn import ModelFileError, TextCNNClassifier, TextCNNRegressor, TextCNNTagger
from textcnn.nn import (
    Conv1d,
    Dense,
    DilatedBlock,
    LayerNorm,
    MinLength,
    Parallel,
    Pool1d,
    Residual,
    Sequential,
)
from textcnn.nn.modules import Activation, ConvTranspose1d, Dropout, LocallyConnected1d, TiledConv1d

TEXTS = ["", "a good Film, so it was", ["a", "film"], "Straße \ud800 电影 1996 😀"]
"""What every model that loads is tried on: an empty text, an ordinary one, tokens, and odd characters."""

ESTIMATORS = (TextCNNClassifier, TextCNNRegressor, TextCNNTagger)

# ---- models -----------------------------------------------------------------------------------------

REVIEWS = ["a good film", "a bad film", "the good plot", "the bad plot", "good good story", "bad bad story"]
SENTENCES = [["Ms.", "Haag", "plays", "Elianti", "."], ["Rome", "and", "Ms.", "Lee", "played", "."]]
TAGS = [["O", "B-PER", "O", "B-PER", "O"], ["B-LOC", "O", "O", "B-PER", "O", "O"]]
VECTORS = {word: np.arange(i, i + 2) / 8 for i, word in enumerate(["a", "good", "bad", "film", "plot"])}

SMALL = {
    "embedding_dim": 2, "n_filters": 2, "kernel_sizes": (1, 2), "max_iter": 1, "batch_size": 3,
    "random_state": 0, "n_jobs": 1, "early_stopping": False, "linear": 0.0,
}  # fmt: skip
SMALL_TAGGER = {
    "embedding_dim": 2, "char_dim": 2, "char_kernel_sizes": (2,), "n_char_filters": 2, "affix_dim": 1,
    "prefix_lengths": (2,), "suffix_lengths": (1, 2), "n_channels": 3, "dilations": (1, 2), "n_iterations": 2,
    "max_iter": 1, "linear_max_iter": 1, "random_state": 0, "n_jobs": 1, "early_stopping": False,
    "linear": 0.0,
}  # fmt: skip


def classifier(y: Any = "polarity", X: Any = REVIEWS, **params: Any) -> TextCNNClassifier:
    """A classifier of the six reviews."""
    if isinstance(y, str):
        y = ["good", "bad"] * 3
    return TextCNNClassifier(**(SMALL | params)).fit(X, y)


def regressor(y: Any, **params: Any) -> TextCNNRegressor:
    """A regressor of the six reviews."""
    return TextCNNRegressor(**(SMALL | params)).fit(REVIEWS, y)


def tagger(tags: Any = TAGS, **params: Any) -> TextCNNTagger:
    """A tagger of the two sentences."""
    return TextCNNTagger(**(SMALL_TAGGER | params)).fit(SENTENCES, tags)


def embedded_reviews(n_dims: int = 3, dtype: Any = np.float32) -> list[np.ndarray]:
    """Six texts that come as numbers."""
    rng = np.random.RandomState(0)
    return [rng.normal(size=(n, n_dims)).astype(dtype) for n in (3, 4, 5, 2, 6, 3)]


def sentence_body() -> Sequential:
    """Many of the layers that give one row for each text."""
    return Sequential(
        MinLength(3),
        Residual(Sequential(LayerNorm(), Conv1d(2, 3, padding="full", padding_mode="reflect", stride=2))),
        TiledConv1d(2, 2, n_kernels=2),
        Parallel(Pool1d("kmax", k=2), Pool1d("kmax", k=2)),
        Pool1d("mean", 2, stride=1, padding=1),
        Pool1d("pyramid", levels=(1, 2)),
        Dense(3, "tanh"),
    )


def decoder_body() -> Sequential:
    """A body that shortens a text and lengthens it again, before it pools."""
    return Sequential(
        Conv1d(2, 3, stride=2, padding="full"),
        ConvTranspose1d(2, 3, stride=2, output_padding=1),
        LocallyConnected1d(2, 2, length=60, padding=(1, 0)),
        Parallel(
            Pool1d("max"), Pool1d("l2"), Pool1d("weighted"), Pool1d("sum"), Pool1d("kmax", flatten=True)
        ),
    )


def tagger_body() -> Sequential:
    """Layers that give one row for each token."""
    return Sequential(
        Dense(3, "relu"),
        DilatedBlock(3, dilations=(1, 2), n_repeats=2, join="concat"),
        Dropout(0.2),
        Activation("gelu"),
        Residual(DilatedBlock(2, dilations=(1,), n_repeats=2, shared=False, causal=True)),
    )


def shared_body() -> Sequential:
    """A layer that stands in the network twice, and dropout, whose state is kept."""
    conv = Conv1d(4, 3, activation="relu", padding="same")
    return Sequential(Dense(4), conv, Dropout(0.5), conv, Pool1d("max"))


MAKERS: dict[str, Callable[[], Any]] = {
    "binary": classifier,
    "binary linear": lambda: classifier(linear=0.5, ngram_range=(1, 2), char_ngram_range=(3, 3)),
    "multiclass": lambda: classifier(
        [1, 2, 3, 1, 2, 3], linear=0.3, char_ngram_range=None, shape_ngrams=False
    ),
    "multilabel": lambda: classifier(
        np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0]] * 2), linear=0.5, ngram_range=(1, 2),
        char_ngram_range=(3, 3),
    ),
    "characters": lambda: classifier(analyzer="char", padding="same", activation="tanh"),
    "static vectors": lambda: classifier(embeddings=VECTORS, embedding_mode="static", padding="valid"),
    "two channels": lambda: classifier(embeddings=VECTORS, embedding_mode="multichannel"),
    "three members": lambda: classifier(n_members=3),
    "pooled": lambda: classifier(pooling=("max", "mean"), dilation=2, padding_mode="replicate"),
    "body": lambda: classifier(body=sentence_body()),
    "decoder": lambda: classifier(body=decoder_body()),
    "shared layers": lambda: classifier(body=shared_body()),
    "embedded": lambda: classifier(X=embedded_reviews()),
    "embedded table": lambda: classifier(X=np.stack([x[:2, 0] for x in embedded_reviews(1, np.float64)])),
    "regressor": lambda: regressor([1.0, 2.0, 3.0, 1.5, 2.5, 3.5], linear=0.5, ngram_range=(1, 2)),
    "targets": lambda: regressor(np.arange(12.0).reshape(6, 2)),
    "tagger": tagger,
    "tagger linear": lambda: tagger(linear=0.5, head="crf", tag_scheme="BIOES"),
    "tagger softmax": lambda: tagger(head="softmax", join="every", linear=0.5, share_weights=False),
    "plain tags": lambda: tagger(
        [["X", "N", "V", "N", "."], ["N", "C", "X", "N", "V", "."]], n_char_filters=0, join="last"
    ),
    "tagger body": lambda: tagger(body=tagger_body()),
}  # fmt: skip
"""How each kind of model is made."""


def write_small_models(folder: Path) -> dict[str, bytes]:
    """The files of all models of `MAKERS`, written to a folder and read again."""
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, make in MAKERS.items():
            make().save(folder / f"{name}.textcnn")
    return read_models(folder)


def read_models(folder: Path) -> dict[str, bytes]:
    """The model files of a folder, by name."""
    return {path.stem: path.read_bytes() for path in sorted(folder.glob("*.textcnn"))}


# ---- the format, written here a second time -----------------------------------------------------------

HEAD = '{"__metadata__":{"format":"textcnn","format_version":"1","n_bytes":"%016d","sha256":"%s"'
HEAD_PATTERN = re.compile(
    rb'.{8}\{"__metadata__":\{"format":"textcnn","format_version":"\d+","n_bytes":"(\d{16})","sha256":"(.{64})"',
    re.DOTALL,
)
ITEMSIZES = {"BOOL": 1, "U8": 1, "F16": 2, "I32": 4, "F32": 4, "I64": 8, "F64": 8}
NUMPY_NAMES = {"BOOL": "u1", "U8": "u1", "F16": "<f2", "I32": "<i4", "F32": "<f4", "I64": "<i8", "F64": "<f8"}


@dataclass
class StoredArray:
    """An array of a file; `offsets` are those of its data unless they were altered."""

    dtype: Any
    shape: Any
    data: bytes
    offsets: Any = None


@dataclass
class Parts:
    """A model file taken apart."""

    config: Any
    arrays: dict[str, StoredArray]


def unpacked(content: bytes) -> Parts:
    """The parts of a sound file."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    metadata = header.pop("__metadata__")
    data = content[8 + length :]
    arrays = {
        name: StoredArray(entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])])
        for name, entry in header.items()
    }
    return Parts(json.loads(metadata["config"]), arrays)


def packed(parts: Parts) -> bytes:
    """The file of some parts, with the right length and checksum."""
    entries, blocks, at = [], [], 0
    arrays = sorted(parts.arrays.items(), key=lambda item: -ITEMSIZES.get(str(item[1].dtype), 1))
    for name, array in arrays:
        offsets = [at, at + len(array.data)] if array.offsets is None else array.offsets
        entry = {"dtype": array.dtype, "shape": array.shape, "data_offsets": offsets}
        entries.append(f",{json.dumps(name)}:{json.dumps(entry)}")
        blocks.append(array.data)
        at += len(array.data)
    config = json.dumps(parts.config)
    for name, text in RAW.items():
        config = config.replace(f'"{name}"', text)
    tail = f',"config":{json.dumps(config)}}}{"".join(entries)}}}'
    length = len(HEAD % (0, "0" * 64)) + len(tail)
    padding = -(8 + length) % 64
    head = HEAD % (8 + length + padding + at, "0" * 64)
    return signed(
        struct.pack("<Q", length + padding) + (head + tail).encode() + b" " * padding + b"".join(blocks)
    )


def signed(content: bytes) -> bytes:
    """The same bytes with the length and the checksum that they should have, if the head is whole."""
    match = HEAD_PATTERN.match(content)
    if match is None:
        return content
    size = b"%016d" % len(content)
    content = content[: match.start(1)] + size + content[match.end(1) :]
    zeros = content[: match.start(2)] + b"0" * 64 + content[match.end(2) :]
    digest = hashlib.sha256(zeros).hexdigest().encode()
    return content[: match.start(2)] + digest + content[match.end(2) :]


# ---- mutations ------------------------------------------------------------------------------------------

SIZES = [0, 1, 2, 3, 7, 19, 20, 63, 64, 1000, 9_999, 10_000, 99_999, 100_000]
SIZES += [2**24, 2**31 - 1, 2**31, 2**32, 2**53, 2**62]
HUGE = [2**63 - 1, 2**63, 2**64, 10**30, 10**400]
FLOATS = [0.0, -0.0, 0.5, 1.0, -1.0, 1e-320, 1e-30, 1e30, 1e38, 3.4e38, 1e200, 1e308]
NOT_FINITE = [float("nan"), float("inf"), float("-inf")]
STRINGS = ["", "x", "word", "char", "relu", "same", "full", "max", "crf", "O", "B-", "\ud800", "a" * 300, "1"]


RAW = {
    "deep lists": "[" * 5000 + "]" * 5000,
    "deep objects": '{"x":' * 5000 + "1" + "}" * 5000,
    "many digits": "1" * 5000,
    "large exponent": "-1e999",
    "open": "[[",
    "two values": '{"x":1,"x":2}',
    "many values": "[" + "[],{}," * 3000 + "0]",
}
"""Strings that become this JSON text when a file is put together."""


def deep(depth: int, rng: random.Random) -> Any:
    """A value that is nested so deep."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if rng.random() < 0.5 else {"x": value}
    return value


def any_value(rng: random.Random) -> Any:
    """A JSON value of any kind."""
    kind = rng.randrange(11)
    if kind < 3:
        return rng.choice(SIZES) * rng.choice([1, 1, 1, -1])
    if kind == 3:
        return rng.choice(HUGE) * rng.choice([1, -1])
    if kind < 6:
        return rng.choice(FLOATS) * rng.choice([1, -1])
    if kind == 6:
        return rng.choice(NOT_FINITE)
    if kind == 7:
        return rng.choice(STRINGS)
    if kind == 8:
        return rng.choice([None, True, False])
    if kind == 9:
        return [any_value(rng) for _ in range(rng.choice([0, 1, 2, 2, 3]))]
    return rng.choice([{}, {"kind": "Dropout"}, deep(rng.choice([1, 5, 60, 70]), rng), rng.choice(list(RAW))])


def places(value: Any, holders: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every value inside, as what holds it and its key or index there."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        holders.append((value, key))
        places(item, holders)
    return holders


def alter_number(number: Any, rng: random.Random) -> Any:
    """A number near another one."""
    return rng.choice(
        [
            number + 1,
            number - 1,
            -number,
            2 * number,
            number * 1000,
            0,
            number / 3 if abs(number) < 1e300 else 0.5,
            f"{number:g}" if abs(number) < 1e300 else "",
        ]
    )


def alter_config(parts: Parts, others: list[Parts], rng: random.Random) -> None:
    """Change, drop, add, exchange or borrow values of the configuration."""
    everything = places(parts.config, [])
    if not everything:
        return
    # half of the time not the parameters, of which there are most
    some = [(holder, key) for holder, key in everything if holder is not parts.config.get("params")]
    holder, key = rng.choice(some if some and rng.random() < 0.6 else everything)
    value = holder[key]
    kind = rng.randrange(10)
    if kind < 3:
        holder[key] = any_value(rng)
    elif kind < 6 and isinstance(value, (int, float)) and not isinstance(value, bool):
        holder[key] = rng.choice(SIZES) if rng.random() < 0.5 else alter_number(value, rng)
    elif kind < 6 and isinstance(value, list):
        alter_list(value, rng)
    elif kind == 6:
        del holder[key]
    elif kind == 7:
        other, place = rng.choice(everything)
        if not contains(value, other) and not contains(other[place], holder):
            holder[key], other[place] = other[place], value
    elif kind == 8:
        strange = rng.choice(places(rng.choice(others).config, []))
        holder[key] = deepcopy(strange[0][strange[1]])
    elif isinstance(holder, dict):
        holder[rng.choice([*STRINGS, "body", "n_features", "linear", "family", "task"])] = any_value(rng)
    else:
        holder[key] = [value] * rng.choice([0, 1, 2, 3])


def alter_list(values: list[Any], rng: random.Random) -> None:
    """Make a list longer, shorter, or another in its order."""
    kind = rng.randrange(4)
    if kind == 0 and values:
        values.append(deepcopy(rng.choice(values)))
    elif kind == 1 and values:
        del values[rng.randrange(len(values))]
    elif kind == 2:
        rng.shuffle(values)
    else:
        values.extend(deepcopy(values) * rng.choice([1, 3, 1000 // (len(values) + 1)]))


def contains(value: Any, inner: Any) -> bool:
    """Whether a value is `inner` or has it inside, so that the one cannot stand in the other."""
    if value is inner:
        return True
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(contains(item, inner) for item in items)


def alter_array(parts: Parts, others: list[Parts], rng: random.Random) -> None:
    """Change the numbers, the type, the shape or the place of an array, or give it to another name."""
    if not parts.arrays:
        return
    name = rng.choice(list(parts.arrays))
    array = parts.arrays[name]
    kind = rng.randrange(10)
    if kind < 4:
        alter_numbers(array, rng)
    elif kind == 4:
        alter_lengths(parts, rng)
    elif kind == 5:
        alter_shape(array, rng)
    elif kind == 6:
        array.dtype = rng.choice([*ITEMSIZES, "I8", "BF16", "", None, 1])
    elif kind == 7:
        begin = rng.choice([0, 1, 4, 8, -8, 2**62, 2**63, 10**30, 0.5, None, "0"])
        end = begin + len(array.data) if type(begin) is int else begin
        array.offsets = rng.choice([[begin, end], [end, begin], [begin], [0, 8], [], {}, None, end])
    elif kind == 8:
        other = rng.choice([parts, *others])
        source = rng.choice(list(other.arrays) or [name])
        parts.arrays[name] = deepcopy(other.arrays.get(source, array))
    elif rng.random() < 0.5:
        del parts.arrays[name]
    else:
        new = rng.choice(["", "x", "é", "__metadata__", "body.0.weights", rng.choice(list(parts.arrays))])
        parts.arrays[new] = parts.arrays.pop(name)


def alter_numbers(array: StoredArray, rng: random.Random) -> None:
    """Overwrite elements by extreme or random ones."""
    kind = NUMPY_NAMES.get(str(array.dtype))
    if not array.data or kind is None or len(array.data) % ITEMSIZES[array.dtype]:
        return
    values = np.frombuffer(array.data, kind).copy()
    where = rng.randrange(len(values)) if rng.random() < 0.7 else slice(None)
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            choices = np.array([*FLOATS, *NOT_FINITE] if rng.random() < 0.5 else [1e10, -1e19, 1e37, -3e38])
            values[where] = choices.astype(values.dtype)[rng.randrange(len(choices))]
    else:
        limits = np.iinfo(values.dtype)
        numbers = [
            limits.min,
            limits.max,
            limits.max - 1,
            0,
            1,
            2,
            127,
            255,
            int(values[0]),
            int(values[-1]) - 1,
        ]
        values[where] = np.clip(rng.choice(numbers), limits.min, limits.max)
        if rng.random() < 0.2:
            values = values[::-1]
    array.data = values.tobytes()


def alter_shape(array: StoredArray, rng: random.Random) -> None:
    """Another shape, of which the data may know nothing."""
    shape = list(array.shape) if isinstance(array.shape, list) else [1]
    kind = rng.randrange(5)
    if kind == 0 and shape:
        shape[rng.randrange(len(shape))] = rng.choice([*SIZES, *HUGE, -1, None, 1.5, True])
    elif kind == 1:
        shape.insert(rng.randint(0, len(shape)), rng.choice([0, 1, 1, 2, 2**31]))
    elif kind == 2:
        shape.reverse()
    elif kind == 3:
        array.shape = rng.choice([None, {}, 4, "2", [1] * 40, [2**62, 0], [0], [[2]]])
        return
    elif len(shape) > 1 and are_integers(shape):
        shape[:2] = [shape[0] * shape[1]]
    array.shape = shape


def are_integers(shape: Any) -> bool:
    """Whether a shape that may have been altered is a list of integers."""
    return isinstance(shape, list) and all(type(size) is int for size in shape)


def alter_lengths(parts: Parts, rng: random.Random) -> None:
    """Make an axis longer or shorter in every array that has one of that length, or in one of them."""
    arrays = [a for a in parts.arrays.values() if are_integers(a.shape) and a.dtype in ITEMSIZES]
    axes = [size for array in arrays for size in array.shape]
    if not axes:
        return
    old = rng.choice(axes)
    new = rng.choice([0, 1, old - 1, old + 1, 2 * old, 100])
    chosen = arrays if rng.random() < 0.6 else [rng.choice(arrays)]
    for array in chosen:
        if len(array.data) % ITEMSIZES[array.dtype]:
            continue
        values = np.frombuffer(array.data, NUMPY_NAMES[array.dtype])
        if old not in array.shape or values.size != math.prod(array.shape) or values.size == 0:
            continue
        shape = [max(0, new) if size == old else size for size in array.shape]
        if math.prod(shape) < 20_000:
            array.shape = shape
            array.data = np.resize(values, shape).tobytes()


def alter_bytes(content: bytes, rng: random.Random) -> bytes:
    """Flip, overwrite, insert, delete, copy or cut off bytes."""
    raw = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5])):
        if not raw:
            break
        at, kind = rng.randrange(len(raw)), rng.randrange(7)
        if rng.random() < 0.3:
            at = rng.randrange(min(len(raw), 300))
        if kind < 2:
            raw[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            raw[at] = rng.choice([0, 1, 0x20, 0x22, 0x2C, 0x5B, 0x7B, 0x7F, 0x80, 0xFF])
        elif kind == 3:
            raw[at:at] = rng.randbytes(rng.choice([1, 8, 64]))
        elif kind == 4:
            del raw[at : at + rng.choice([1, 8, 64, 1000])]
        elif kind == 5:
            source = rng.randrange(len(raw))
            raw[at:at] = raw[source : source + rng.choice([1, 16, 200])]
        else:
            del raw[at:]
    return bytes(raw)


@dataclass(frozen=True)
class Model:
    """A sound file to make mutations of."""

    name: str
    content: bytes
    pickled: bytes

    @property
    def parts(self) -> Parts:
        """Its parts, a new copy."""
        return pickle.loads(self.pickled)


def as_models(files: dict[str, bytes]) -> list[Model]:
    """Sound files to make mutations of."""
    return [Model(name, content, pickle.dumps(unpacked(content))) for name, content in files.items()]


def mutated(models: list[Model], seed: int, number: int) -> tuple[str, bytes]:
    """Mutation `number` of a seed: the name of the model that was altered, and the file."""
    rng = random.Random(seed * 2**40 + number)
    model = rng.choice(models)
    kind = rng.random()
    if kind < 0.1:
        return model.name, alter_bytes(model.content, rng)
    if kind < 0.3:
        return model.name, signed(alter_bytes(model.content, rng))
    parts, others = model.parts, [rng.choice(models).parts]
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        if isinstance(parts.config, dict):
            (alter_config if rng.random() < 0.55 else alter_array)(parts, others, rng)
    return model.name, packed(parts)


# ---- what a reader must do --------------------------------------------------------------------------------

# What a sound file's model may answer: a ValueError that tells the user what is wrong with this text.
CLEAR = re.compile(
    "outputs are no sum over n-grams that explain could give|are not finite, or above|"
    r"model was fitted to a 2-D array with|the weights hold \d+ kernels, but the result has"
)


class Finding(AssertionError):
    """A file that was not treated as it must be."""


def without_memory_error(error: BaseException) -> None:
    """Raise a Finding if an error is there because memory ran out."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            raise Finding("memory ran out") from error
        cause = cause.__cause__ or cause.__context__


def check_file(path: str, estimators: Sequence[Any] = ESTIMATORS) -> str:
    """Load a file with `textcnn.load` and with `estimators`, and use what loads; tells what became of it.

    Returns
    -------
    str
        "refused", or "loaded" if at least one reader took it.

    Raises
    ------
    Finding
        If a reader raises anything but ModelFileError, or a model that was loaded fails.
    """
    result = "refused"
    readers: tuple[Callable[[str], Any], ...] = (lambda path: textcnn.load(path, n_jobs=1),)
    readers += tuple(kind.load for kind in estimators)
    for reader in readers:
        try:
            model = reader(path)
        except ModelFileError as error:
            without_memory_error(error)
            check_message(str(error), path)
            continue
        except Exception as error:
            raise Finding(f"{type(error).__name__} in a reader: {error!s:.300}") from error
        model.n_jobs = 1
        result = "loaded"
        use(model)
    return result


def check_message(message: str, path: str) -> None:
    """A message is one printable line that is not endless."""
    if len(message) > 1000 + len(path) or not message.isprintable():
        raise Finding(f"the message {message!r:.500}")


def use(model: Any) -> None:
    """Predict and explain the texts, and check that all results are finite."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            repr(model)
            for results in results_of(model):
                check_results(results)
    except Finding:
        raise
    except ValueError as error:
        without_memory_error(error)
        if not CLEAR.search(str(error)):
            raise Finding(f"ValueError in prediction: {error!s:.300}") from error
    except Exception as error:
        raise Finding(f"{type(error).__name__} in prediction: {error!s:.300}") from error


def results_of(model: Any) -> Iterator[Any]:
    """All that a model can tell of the texts."""
    predictor = getattr(model, "predictor_", model)
    if hasattr(predictor, "tag"):
        sentences = [[], ["Ms.", "Lee", "1996"], ["電影", "", "x" * 40]]
        yield model.predict(sentences)
        yield model.predict_marginals(sentences)
        if predictor is model:
            yield model.spans(sentences)
            yield model.transform(sentences)
            yield model.tag("Ms. Lee plays.\n\nIn Rome")
            yield model.marginal_tags
        return
    X: Any = TEXTS
    if predictor.vocabulary is None:
        n_dims = predictor.network.embedding.shape[1]
        X = [np.zeros((0, n_dims), np.float32), np.ones((3, n_dims), np.float32)]
        if predictor.network.n_features is not None:
            X = np.ones((2, min(predictor.network.n_features, 1000)))
    yield model.predict(X)
    if hasattr(model, "predict_proba"):
        probabilities = model.predict_proba(X)
        if type(predictor).__name__ == "Predictor" and not np.allclose(
            probabilities.sum(axis=1), 1, atol=1e-5
        ):
            raise Finding(f"probabilities sum to {probabilities.sum(axis=1)}")
        yield probabilities
        yield model.decision_function(X)
    yield model.transform(X)
    if predictor is model:
        yield [(e.logits, e.bias, *(n.contributions for n in e.ngrams)) for e in model.explain(X)]


def check_results(results: Any) -> None:
    """No number among the results is NaN or infinite."""
    if isinstance(results, np.ndarray):
        if results.dtype.kind == "f" and not np.isfinite(results).all():
            raise Finding("a result is not finite")
    elif isinstance(results, (list, tuple)):
        for result in results:
            check_results(result)
    elif isinstance(results, float) and not np.isfinite(results):
        raise Finding("a probability is not finite")
