"""Model files: arrays and a configuration in one file of the safetensors format.

The file is a length in 8 bytes (little-endian), a JSON header of that length, and the arrays end to end.
The header begins with a head of fixed length::

    {"__metadata__":{"format":"textcnn","format_version":"1","n_bytes":"0000000000001234","sha256":"...",

so that a reader knows what the file is, how long it must be and where its checksum stands before it parses
anything; later versions of the format keep this head. The checksum is SHA-256 over the whole file, its own 64
characters taken as zeros: any altered byte is noticed. It guards against accidents; against files made in bad
faith every length, shape and offset is checked before it is used, and nothing in a file is ever executed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ModelFileError",
    "checked_count",
    "checked_kind",
    "checked_names",
    "checked_params",
    "decode_classes",
    "encode_classes",
    "load_arrays",
    "readable",
    "refused",
    "save_arrays",
]

_FORMAT_VERSION = 1
_ALIGNMENT = 64  # the arrays begin at a multiple of this, so that every one of them is aligned
_MAX_HEADER = 32_000_000  # bytes; of a million class labels. It is in memory several times while it is read
_MAX_DEPTH = 64  # nesting of JSON; its parser recurses
_MAX_AXES = 32  # of NumPy 1
# Bytes of memory, about, for what a character of JSON begins; these and as many as the file has are granted.
_JSON_COSTS = {b"{": 240, b"[": 80, b",": 60, b":": 60}
_JSON_MEMORY = 32 * 2**20
_LONGEST_REASON = 300  # characters of an error message that come from a file
_NO_DIGEST = b"0" * 64
_HEAD = '{{"__metadata__":{{"format":"textcnn","format_version":"{}","n_bytes":"{:016d}","sha256":"{}"'
_HEAD_PATTERN = re.compile(
    rb'.{8}\{"__metadata__":\{"format":"textcnn","format_version":"([1-9]\d{0,8})","n_bytes":"(\d{16})",'
    rb'"sha256":"([0-9a-f]{64})"',
    re.DOTALL,
)
_HEAD_LENGTH = 256  # bytes read to find the head
# All but brackets outside strings; a string without an end runs to the end of the text: the scan is linear.
_NO_BRACKETS = re.compile(r'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+"?)++', re.DOTALL)
_ONE_KIND = str.maketrans("{}", "[]")
_SPLIT_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")

_DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "F16": np.dtype(np.float16),
    "I32": np.dtype(np.int32),
    "F32": np.dtype(np.float32),
    "I64": np.dtype(np.int64),
    "F64": np.dtype(np.float64),
}
_DTYPE_NAMES = {dtype: name for name, dtype in _DTYPES.items()}

_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_FLOATS = ("float16", "float32", "float64")
_CLASS_DTYPES = ("bool", "str", "object", *_INTEGERS, *_FLOATS)


class ModelFileError(ValueError):
    """A model file is not one, is damaged, or was written by a newer version.

    Examples
    --------
    >>> import os, tempfile
    >>> from textcnn.io import ModelFileError, load_arrays
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "notes.txt")
    ...     with open(path, "w") as file:
    ...         _ = file.write("not a model")
    ...     try:
    ...         load_arrays(path)
    ...     except ModelFileError as error:
    ...         print(str(error).partition("notes.txt ")[2])
    is not a textcnn model file, or only the beginning of one: give a file written by `save`.
    """


def save_arrays(
    path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]], config: Mapping[str, Any]
) -> None:
    """Write arrays and a configuration to one file.

    The file is written under a temporary name in the same folder, flushed to the disk and then renamed, so
    that under `path` there is either the old file or the whole new one. A file that is replaced keeps its
    permissions; a symbolic link stays, and what it points to is replaced.

    Parameters
    ----------
    path : str or path-like
        The file.
    arrays : mapping of str to ndarray
        Arrays of any shape and of the types bool, uint8, int32, int64, float16, float32, float64.
    config : mapping of str to JSON values
        Anything made of dict (with string keys), list, str, int, float, bool and None. It is read back
        equal, floats to the last bit; NaN and infinities are written as Python's :mod:`json` does.

    Raises
    ------
    TypeError
        If an array has another type, or `config` holds a value that JSON would not give back as it is.
    ValueError
        If the name of an array is not plain ASCII text, or `config` is too large or too deeply nested.
    OSError
        If the file cannot be written; the old file, if any, is then untouched.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "m.textcnn")
    ...     save_arrays(path, {"bias": np.zeros(3, np.float32)}, {"kernel_sizes": [3, 4, 5]})
    ...     load_arrays(path)
    ({'bias': array([0., 0., 0.], dtype=float32)}, {'kernel_sizes': [3, 4, 5]})
    """
    _check_byte_order()
    config = dict(config)
    _check_config(config, "config", depth=0)
    # The widest types first: the format allows no gaps, and so each array is aligned to its own type.
    ordered = sorted(
        ((_check_name(name), _as_stored(array, name)) for name, array in arrays.items()),
        key=lambda item: -item[1].itemsize,
    )
    blocks = [array.reshape(-1).view(np.uint8).data for _, array in ordered]
    header = _make_header(ordered, json.dumps(config))
    digest = _digest([header, *blocks]).encode()
    header = header.replace(b'"sha256":"' + _NO_DIGEST, b'"sha256":"' + digest, 1)
    _write_atomically(os.fspath(path), [header, *blocks])


def load_arrays(
    path: str | os.PathLike[str], mmap: bool = False
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read the arrays and the configuration of a file written by :func:`save_arrays`.

    Parameters
    ----------
    path : str or path-like
        The file.
    mmap : bool, default=False
        Map the file instead of reading it: the arrays are read-only, and processes that map the same file
        share its memory. The checksum is verified all the same, which reads the file once. If someone cuts
        the file short while it is mapped, the operating system ends the process.

    Returns
    -------
    arrays : dict of str to ndarray
        The arrays, views of one block of memory.
    config : dict
        The configuration.

    Raises
    ------
    ModelFileError
        If the file is not a model file, is cut short or altered, or was written by a newer version.
    OSError
        If the file does not exist (FileNotFoundError) or cannot be read.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "m.textcnn")
    ...     save_arrays(path, {"weight": np.eye(2)}, {"alpha": 0.1})
    ...     arrays, config = load_arrays(path)
    >>> arrays["weight"]
    array([[1., 0.],
           [0., 1.]])
    >>> config
    {'alpha': 0.1}
    """
    _check_byte_order()
    name = os.fspath(path)
    with open(name, "rb") as file:
        n_bytes, digest_at = _read_head(file, name)
        if mmap:
            content = np.asarray(np.memmap(file, np.uint8, mode="r"))
        else:
            content = np.empty(n_bytes, np.uint8)
            if file.readinto(content.data) != n_bytes:
                raise ModelFileError(f"{name} became shorter while it was read: try again.")
    digest_end = digest_at + len(_NO_DIGEST)
    digest = _digest([content[:digest_at].data, _NO_DIGEST, content[digest_end:].data])
    if digest.encode() != content[digest_at:digest_end].tobytes():
        raise ModelFileError(f"{name} was altered or damaged (its checksum differs): get the file again.")
    try:
        return _parse(content)
    except _Malformed as error:
        raise ModelFileError(f"{name} is no valid model file ({one_line(error)}): do not use it.") from error


@contextlib.contextmanager
def refused(path: str | os.PathLike[str], what: str = "is no valid model file") -> Iterator[None]:
    """Turn what goes wrong while the content of a file is understood into one ModelFileError.

    Parameters
    ----------
    path : str or path-like
        The file.
    what : str
        What is said of it.

    Examples
    --------
    >>> from textcnn.io import refused
    >>> with refused("m.textcnn"):
    ...     {}["weights"]
    Traceback (most recent call last):
        ...
    textcnn.io.ModelFileError: m.textcnn is no valid model file (KeyError: 'weights'): do not use it.
    """
    try:
        yield
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        MemoryError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise ModelFileError(f"{os.fspath(path)} {what} ({reason}): do not use it.") from error


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """Read what is about to be written; raises ValueError if readers would refuse it.

    Examples
    --------
    >>> from textcnn.io import readable
    >>> with readable():
    ...     raise ValueError("found more than 5000 layers")
    Traceback (most recent call last):
        ...
    ValueError: a model file cannot hold this model (found more than 5000 layers); use pickle
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f"a model file cannot hold this model ({one_line(error)}); use pickle") from error


def one_line(error: object) -> str:
    """What can be said of a file's content in a message: printable, in one line, not endless."""
    text = str(error)
    if len(text) > _LONGEST_REASON:
        text = text[:_LONGEST_REASON] + "..."
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def checked_kind(config: Mapping[str, Any]) -> str:
    """The name of the class that wrote a file; raises ValueError if it is none."""
    kind = config["kind"]
    if not isinstance(kind, str) or not kind.isidentifier() or not kind.isascii() or len(kind) > 100:
        raise ValueError(f"its kind is {kind!r:.100}, which is no name of a class")
    return kind


def checked_params(config: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the parameters in a file; raises ValueError if there are none, or no history of the fit.

    What stands under "fitted" tells the history as a fitted estimator has it.
    """
    params = config["params"]
    if type(params) is not dict or type(params.get("fitted", {})) is not dict:
        raise ValueError(f"its parameters are {params!r:.100}, and not named values")
    if fitted := params.get("fitted"):
        scores = fitted["validation_scores"]
        history = {
            "n_iter": checked_count(fitted["n_iter"], "n_iter", least=0),
            "loss_curve": _checked_curve(fitted["loss_curve"]),
            "validation_scores": None if scores is None else _checked_curve(scores),
        }
        return {**params, "fitted": {**fitted, **history}}
    return dict(params)


def checked_count(value: Any, name: str, least: int = 1) -> int:
    """A number of things in a file; raises ValueError if it is no integer of at least `least`."""
    if type(value) is not int or not least <= value <= sys.maxsize:
        raise ValueError(f"{name} is {value!r:.100}, which is no number of them")
    return value


def _checked_curve(values: Any) -> list[float]:
    """The values after each epoch that a file tells; raises ValueError if they are no list of numbers."""
    if type(values) is not list or not all(type(value) in (int, float) for value in values):
        raise ValueError(f"the history {values!r:.100} is no list of numbers")
    return [float(value) for value in values]


def checked_names(values: Any) -> NDArray[Any]:
    """Names of columns in a file as an array of objects; raises ValueError if they are no list of strings."""
    if type(values) is not list or not all(type(value) is str for value in values):
        raise ValueError(f"the names {values!r:.100} are no list of strings")
    names = np.empty(len(values), object)
    names[:] = values
    return names


# Writing


def _check_byte_order() -> None:
    if sys.byteorder != "little":
        raise ModelFileError(
            "model files are little-endian and this machine is big-endian: use a little-endian machine."
        )


def _check_name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"arrays has a name of type {type(name).__name__}: expected str.")
    if not _is_plain(name):
        raise ValueError(f"{name!r} cannot be the name of an array: use printable ASCII characters.")
    return name


def _is_plain(name: str) -> bool:
    return name != "" and name != "__metadata__" and name.isascii() and name.isprintable()


def _as_stored(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Give the array as it is written: C order, little-endian."""
    array = np.asarray(array)
    dtype = array.dtype.newbyteorder("=")
    if dtype not in _DTYPE_NAMES:
        known = ", ".join(str(known) for known in _DTYPE_NAMES)
        raise TypeError(f"the array {name!r} is of type {array.dtype}: expected one of {known}.")
    return np.asarray(array, dtype, order="C")


def _check_config(value: Any, where: str, depth: int) -> None:
    """Refuse what JSON cannot hold or would give back changed, such as a tuple or a key that is no string."""
    if depth == _MAX_DEPTH:
        raise ValueError(f"config is nested more than {_MAX_DEPTH} deep: make it flatter.")
    if type(value) is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise TypeError(
                    f"{where} has the key {key!r} of type {type(key).__name__}: JSON allows str only."
                )
            _check_config(key, f"{where}, key {key!r},", depth + 1)
            _check_config(item, f"{where}[{key!r}]", depth + 1)
    elif type(value) is list:
        for position, item in enumerate(value):
            _check_config(item, f"{where}[{position}]", depth + 1)
    elif type(value) is str:
        # One half of a surrogate pair is read back as it is, two halves would become one character.
        if _SPLIT_PAIR.search(value):
            raise ValueError(f"{where} holds a surrogate pair as two characters: join them to one.")
    elif value is not None and type(value) not in (int, float, bool):
        raise TypeError(
            f"{where} is of type {type(value).__name__}: expected dict, list, str, int, float, bool or None."
        )


def _make_header(arrays: Iterable[tuple[str, NDArray[Any]]], config: str) -> bytes:
    """Make the 8 bytes of length and the JSON header, with zeros for the checksum."""
    entries = []
    end = 0
    for name, array in arrays:
        begin, end = end, end + array.nbytes
        entry = {
            "dtype": _DTYPE_NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
        entries.append(f",{json.dumps(name)}:{json.dumps(entry, separators=(',', ':'))}")
    tail = f',"config":{json.dumps(config)}}}{"".join(entries)}}}'.encode("ascii")
    head_length = len(_HEAD.format(_FORMAT_VERSION, 0, _NO_DIGEST.decode()))
    padding = -(8 + head_length + len(tail)) % _ALIGNMENT
    length = head_length + len(tail) + padding
    if length > _MAX_HEADER:
        raise ValueError(f"config makes a header of {length} bytes: at most {_MAX_HEADER} are possible.")
    head = _HEAD.format(_FORMAT_VERSION, 8 + length + end, _NO_DIGEST.decode()).encode("ascii")
    return length.to_bytes(8, "little") + head + tail + b" " * padding


def _digest(parts: Iterable[bytes | memoryview]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _write_atomically(path: str, parts: Iterable[bytes | memoryview]) -> None:
    target = os.path.realpath(path)  # a symbolic link stays one
    mode = _mode_of(target)
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".textcnn-{secrets.token_hex(8)}.tmp")
    try:
        # Not tempfile.mkstemp: it makes files that nobody else may read, whatever the umask allows.
        with _create(temporary) as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:  # Ctrl-C too
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _create(temporary: str) -> BinaryIO:
    """The new file; an error names its folder, for nobody has heard of the file."""
    try:
        return open(temporary, "xb")
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.path.dirname(temporary)) from None


def _mode_of(path: str) -> int | None:
    """Permissions of the file to be replaced, None if there is none; anything but a file is refused."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):  # to replace /dev/null by a file would be a bad surprise
        raise OSError(errno.EINVAL, "not a regular file", path)
    return stat.S_IMODE(mode)


def _sync_folder(folder: str) -> None:
    """Make the new name last through a power failure, on systems that can open a folder."""
    # The file itself is in place by now: a system that cannot do this is no reason to report a failure.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# Reading


class _Malformed(Exception):
    """The content contradicts itself; the message is completed with the name of the file."""


class _Entry(NamedTuple):
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


def _read_head(file: BinaryIO, path: str) -> tuple[int, int]:
    """Check the first bytes; give the length of the file and the position of the checksum."""
    size = os.fstat(file.fileno()).st_size
    match = _HEAD_PATTERN.match(file.read(_HEAD_LENGTH))
    file.seek(0)
    if match is None:
        raise ModelFileError(
            f"{path} is not a textcnn model file, or only the beginning of one: give a file written by "
            "`save`."
        )
    version, n_bytes = int(match[1]), int(match[2])
    if version > _FORMAT_VERSION:
        raise ModelFileError(
            f"{path} was written by a newer version of textcnn (format {version}, this one reads up to "
            f"{_FORMAT_VERSION}): upgrade textcnn."
        )
    if size < n_bytes:
        raise ModelFileError(
            f"{path} is cut short ({size} bytes where {n_bytes} were expected): get the file again."
        )
    if size > n_bytes:
        raise ModelFileError(
            f"{path} is too long ({size} bytes where {n_bytes} were expected): get the file again."
        )
    return n_bytes, match.start(3)


def _parse(content: NDArray[np.uint8]) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Take the verified bytes apart."""
    length = int.from_bytes(content[:8].tobytes(), "little")
    if length > min(_MAX_HEADER, len(content) - 8):
        raise _Malformed(f"a header of {length} bytes")
    _check_cost(content[8 : 8 + length], len(content))
    header = _parse_json(content[8 : 8 + length].tobytes(), "header")
    metadata = header.pop("__metadata__")  # _HEAD_PATTERN has seen it
    if (8 + length) % _ALIGNMENT:
        raise _Malformed("its data are not aligned")
    config = metadata.get("config")
    if not isinstance(config, str):
        raise _Malformed("no configuration")
    data = content[8 + length :]
    entries = [_parse_entry(name, entry) for name, entry in header.items()]
    _check_offsets(entries, len(data))
    arrays = {entry.name: _make_array(entry, data) for entry in entries}
    return arrays, _parse_json(config.encode("utf-8", "surrogatepass"), "configuration")


def _parse_json(text: bytes, what: str) -> dict[str, Any]:
    try:
        decoded = text.decode("ascii")
        _check_depth(decoded, what)
        value = json.loads(decoded, object_pairs_hook=_unique_keys)
    except ValueError as error:
        raise _Malformed(f"its {what} is no JSON") from error
    if not isinstance(value, dict):
        raise _Malformed(f"its {what} is no JSON object")
    return value


def _check_cost(header: NDArray[np.uint8], n_bytes: int) -> None:
    """Refuse a header, and the configuration in it, that would take many times the memory of the file."""
    cost = sum(np.count_nonzero(header == ord(char)) * bytes_ for char, bytes_ in _JSON_COSTS.items())
    if cost > _JSON_MEMORY + n_bytes:
        raise _Malformed("its header has too many values for a file of this size")


def _check_depth(text: str, what: str) -> None:
    brackets = _NO_BRACKETS.sub("", text).translate(_ONE_KIND)
    for _ in range(_MAX_DEPTH):
        brackets = brackets.replace("[]", "")
    if brackets:  # or they do not pair, and so are no JSON
        raise _Malformed(f"its {what} is no JSON, or nested more than {_MAX_DEPTH} deep")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _Malformed("a key stands twice")
    return result


def _parse_entry(name: str, entry: Any) -> _Entry:
    if not _is_plain(name):
        raise _Malformed(f"an array with the name {name!r}")
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise _Malformed(f"array {name!r} is not described by dtype, shape and data_offsets")
    dtype = _DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None:
        raise _Malformed(f"array {name!r} has an unknown type")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _are_sizes(shape) or len(shape) > _MAX_AXES:
        raise _Malformed(f"array {name!r} has an impossible shape")
    # NumPy multiplies the axes without the zeros; the product must be a size even so.
    if math.prod(max(size, 1) for size in shape) * dtype.itemsize > sys.maxsize:
        raise _Malformed(f"array {name!r} has an impossible shape")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise _Malformed(f"array {name!r} has impossible offsets")
    begin, end = offsets
    if begin % dtype.itemsize:
        raise _Malformed(f"array {name!r} is not aligned")
    if end - begin != math.prod(shape) * dtype.itemsize:
        raise _Malformed(f"array {name!r} has a shape that does not fit its data")
    return _Entry(name, dtype, tuple(shape), begin, end)


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and 0 <= size <= sys.maxsize for size in value)


def _check_offsets(entries: Iterable[_Entry], n_bytes: int) -> None:
    """Check that the arrays follow each other without gap or overlap and fill the data."""
    at = 0
    for entry in sorted(entries, key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != at:
            raise _Malformed(f"array {entry.name!r} does not begin where another ends")
        at = entry.end
    if at != n_bytes:
        raise _Malformed(f"arrays of {at} bytes in {n_bytes} bytes of data")


def _make_array(entry: _Entry, data: NDArray[np.uint8]) -> NDArray[Any]:
    stored = data[entry.begin : entry.end]
    if entry.dtype == np.bool_ and (stored > 1).any():
        raise _Malformed(f"array {entry.name!r} has truth values other than 0 and 1")
    return stored.view(entry.dtype).reshape(entry.shape)


# Class labels


def encode_classes(classes: NDArray[Any]) -> dict[str, Any]:
    """Turn class labels into JSON values that keep their type.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        Labels of an integer type, bool, float16 to float64, strings, or objects that are str, int, float,
        bool or None (NumPy scalars among them come back as the Python values equal to them).

    Returns
    -------
    dict
        ``{"dtype": ..., "values": [...]}``, for `config` of :func:`save_arrays`.

    Raises
    ------
    TypeError
        If labels are of another type.
    ValueError
        If the array is not one-dimensional, or a label is NaN.

    Examples
    --------
    >>> encode_classes(np.array(["neg", "pos"]))
    {'dtype': 'str', 'values': ['neg', 'pos']}
    """
    classes = np.asarray(classes)
    if classes.ndim != 1:
        raise ValueError(f"classes has shape {classes.shape}: expected one dimension.")
    name = "str" if classes.dtype.kind == "U" else classes.dtype.name
    if name not in _CLASS_DTYPES:
        raise TypeError(
            f"class labels of type {classes.dtype} cannot be saved: expected strings, integers, floats "
            "or bool."
        )
    values = classes.tolist()
    if name == "object":
        values = [value.item() if isinstance(value, np.generic) else value for value in values]
    for value in values:
        if value is not None and type(value) not in (str, int, float, bool):
            raise TypeError(
                f"the class label {value!r} of type {type(value).__name__} cannot be saved: expected str, "
                "int, float, bool or None."
            )
        if value != value:
            raise ValueError("a class label is NaN and cannot be saved: replace it by another label.")
    return {"dtype": name, "values": values}


def decode_classes(encoded: Any) -> NDArray[Any]:
    """Make class labels from what :func:`encode_classes` returned.

    Parameters
    ----------
    encoded : dict
        ``{"dtype": ..., "values": [...]}``, as found in a file.

    Returns
    -------
    ndarray of shape (n_classes,)
        The labels, of the type that they had.

    Raises
    ------
    ModelFileError
        If `encoded` is anything else.

    Examples
    --------
    >>> decode_classes({"dtype": "int64", "values": [1, 2]})
    array([1, 2])
    """
    if not isinstance(encoded, dict) or encoded.keys() != {"dtype", "values"}:
        raise ModelFileError("the class labels of a model file are not a type and values: do not use it.")
    name, values = encoded["dtype"], encoded["values"]
    if name not in _CLASS_DTYPES or not isinstance(values, list):
        raise ModelFileError("the class labels of a model file are of an unknown type: do not use it.")
    if not all(_fits(value, name) for value in values):
        raise ModelFileError(f"the class labels of a model file are not all of type {name}: do not use it.")
    if name == "object":
        classes = np.empty(len(values), object)
        classes[:] = values
        return classes
    return np.array(values, name)


def _fits(value: Any, name: str) -> bool:
    """Tell whether a JSON value can be an element of an array of the named type."""
    if name in _INTEGERS:
        return type(value) is int and np.iinfo(name).min <= value <= np.iinfo(name).max
    if name in _FLOATS:
        with np.errstate(over="ignore"):  # a number that the type cannot hold becomes an infinity
            return type(value) is float and float(np.dtype(name).type(value)) == value
    if name == "object":
        return value is None or type(value) in (str, int, float, bool)
    return (name == "bool" and type(value) is bool) or (name == "str" and type(value) is str)
