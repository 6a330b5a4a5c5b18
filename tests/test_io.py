"""Model files: what is written is read back, and nothing else is taken for it."""

import errno
import hashlib
import json
import os
import stat
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from textcnn import io
from textcnn.io import ModelFileError, decode_classes, encode_classes, load_arrays, save_arrays

DTYPES = ["bool", "u1", "i4", "i8", "f2", "f4", "f8"]
POSIX = pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")

arrays = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9_./]{0,8}", fullmatch=True),
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
    ),
    max_size=4,
)
# Lone surrogates are drawn too, one a string: two could happen to form a pair.
texts = st.text(max_size=5) | st.characters(categories=["Cs"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
configs = st.dictionaries(texts, values, max_size=3)


@pytest.fixture
def model(tmp_path):
    """A small model file."""
    path = tmp_path / "m.textcnn"
    save_arrays(path, {"w": np.arange(3, dtype=np.float32), "ids": np.arange(2, dtype=np.uint8)}, {"a": 1})
    return path


@pytest.fixture(scope="module")
def shared_path(tmp_path_factory):
    """One path for all examples of a property: a folder an example would take most of the time."""
    return tmp_path_factory.mktemp("shared") / "m"


def write_signed(path, header, data=b""):
    """Write a file with a right head and checksum; `header` is the text that follows them."""
    zeros = "0" * 64
    rest = header.encode()
    length = len(io._HEAD.format(1, 0, zeros)) + len(rest)
    padding = -(8 + length) % 64
    head = io._HEAD.format(1, 8 + length + padding + len(data), zeros).encode()
    content = struct.pack("<Q", length + padding) + head + rest + b" " * padding + data
    digest = hashlib.sha256(content).hexdigest()
    path.write_bytes(content.replace(zeros.encode(), digest.encode(), 1))


def tail(entries, config="{}"):
    """Text of a header after the checksum."""
    return f',"config":{json.dumps(config)}}}{entries}}}'


def entry(dtype="F32", shape=(2,), offsets=(0, 8), name="w"):
    described = {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}
    return f',"{name}":{json.dumps(described)}'


# What is written is read back


@given(arrays=arrays, config=configs, mmap=st.booleans())
def test_round_trip(shared_path, arrays, config, mmap):
    save_arrays(shared_path, arrays, config)
    loaded, loaded_config = load_arrays(shared_path, mmap=mmap)
    assert loaded_config == config
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        assert loaded[name].shape == array.shape
        assert loaded[name].tobytes() == array.tobytes()
        assert loaded[name].flags.aligned
        assert loaded[name].flags.writeable is not mmap or array.size == 0


@given(arrays=arrays, config=configs)
def test_safetensors_library_reads_the_same_arrays(shared_path, arrays, config):
    safetensors = pytest.importorskip("safetensors")
    save_arrays(shared_path, arrays, config)
    with safetensors.safe_open(shared_path, "np") as file:
        assert json.loads(file.metadata()["config"]) == config
        assert file.metadata()["format"] == "textcnn"
        assert file.metadata()["format_version"] == "1"
        assert set(file.keys()) == set(arrays)
        for name, array in arrays.items():
            read = file.get_tensor(name)
            assert (read.dtype, read.shape) == (array.dtype, array.shape)
            assert read.tobytes() == array.tobytes()


def test_arrays_of_other_layouts_are_written_in_c_order_and_little_endian(tmp_path):
    path = tmp_path / "m"
    matrix = np.arange(6, dtype=np.float64).reshape(2, 3)
    save_arrays(path, {"f": matrix.T, "big": matrix.astype(">f8"), "step": matrix[:, ::2]}, {})
    loaded, _ = load_arrays(path)
    np.testing.assert_array_equal(loaded["f"], matrix.T)
    np.testing.assert_array_equal(loaded["big"], matrix)
    np.testing.assert_array_equal(loaded["step"], matrix[:, ::2])
    assert loaded["big"].dtype.isnative


def test_same_content_gives_the_same_bytes(tmp_path):
    for name in "ab":
        save_arrays(tmp_path / name, {"w": np.ones(3), "b": np.zeros(2, bool)}, {"x": [1.5, None]})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_data_begin_at_a_multiple_of_64(model):
    (length,) = struct.unpack("<Q", model.read_bytes()[:8])
    assert (8 + length) % 64 == 0


def test_loaded_memory_map_outlives_a_replaced_file(model):
    loaded, _ = load_arrays(model, mmap=True)
    if os.name == "posix":
        save_arrays(model, {"w": np.zeros(3, np.float32)}, {})
    np.testing.assert_array_equal(loaded["w"], [0, 1, 2])


def test_floats_of_the_configuration_keep_every_bit(tmp_path):
    numbers = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, float("inf")]
    save_arrays(tmp_path / "m", {}, {"numbers": numbers})
    loaded = load_arrays(tmp_path / "m")[1]["numbers"]
    assert np.array(loaded).tobytes() == np.array(numbers).tobytes()


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"class_weight": {0: 1.0}}, TypeError, r"config\['class_weight'\] has the key 0 of type int"),
        ({"kernel_sizes": [(3, 4)]}, TypeError, r"config\['kernel_sizes'\]\[0\] is of type tuple"),
        ({"analyzer": str.split}, TypeError, "method_descriptor"),
        ({"alpha": np.float64(0.1)}, TypeError, "float64"),
        ({"text": "\ud83d\ude00"}, ValueError, "surrogate pair"),
        ({"\ud83d\ude00": 1}, ValueError, "surrogate pair"),
    ],
)
def test_configuration_that_would_come_back_changed_is_refused(tmp_path, config, error, message):
    with pytest.raises(error, match=message):
        save_arrays(tmp_path / "m", {}, config)
    assert os.listdir(tmp_path) == []


def test_circular_configuration_is_refused(tmp_path):
    circle = {}
    circle["self"] = circle
    with pytest.raises(ValueError, match="nested"):
        save_arrays(tmp_path / "m", {}, circle)


def test_deepest_configuration_is_read_back(tmp_path):
    config = {}
    inner = config
    for _ in range(io._MAX_DEPTH - 1):
        inner["x"] = {}
        inner = inner["x"]
    save_arrays(tmp_path / "m", {}, config)
    assert load_arrays(tmp_path / "m")[1] == config


def test_configuration_larger_than_the_format_allows_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(io, "_MAX_HEADER", 1000)
    with pytest.raises(ValueError, match="at most 1000"):
        save_arrays(tmp_path / "m", {}, {"x": "y" * 1000})


@pytest.mark.parametrize("dtype", ["O", "U3", "S3", "M8[s]", "c16", "i2", "V4"])
def test_array_of_unknown_type_is_refused(tmp_path, dtype):
    with pytest.raises(TypeError, match=r"'odd' is of type .* expected one of bool, uint8"):
        save_arrays(tmp_path / "m", {"odd": np.zeros(2, dtype)}, {})


@pytest.mark.parametrize("name", ["", "__metadata__", "é", "a\nb"])
def test_array_name_must_be_plain(tmp_path, name):
    with pytest.raises(ValueError, match="cannot be the name"):
        save_arrays(tmp_path / "m", {name: np.zeros(2)}, {})


def test_array_name_must_be_a_string(tmp_path):
    with pytest.raises(TypeError, match="name of type int"):
        save_arrays(tmp_path / "m", {1: np.zeros(2)}, {})


# Damaged files


@pytest.mark.parametrize("mmap", [False, True])
def test_every_truncation_is_noticed(model, mmap):
    content = model.read_bytes()
    for length in range(len(content)):
        model.write_bytes(content[:length])
        with pytest.raises(ModelFileError):
            load_arrays(model, mmap=mmap)
    assert length == len(content) - 1


def test_every_altered_byte_is_noticed(model):
    content = model.read_bytes()
    for position in range(len(content)):
        for flip in (0x01, 0x20, 0xFF):  # 0x20 changes the case of the letters of the checksum
            altered = bytearray(content)
            altered[position] ^= flip
            model.write_bytes(altered)
            with pytest.raises(ModelFileError):
                load_arrays(model)


@given(keep=st.integers(0, 600), content=st.binary(min_size=1, max_size=600))
def test_random_bytes_are_no_model(shared_path, keep, content):
    save_arrays(shared_path, {"w": np.zeros(2)}, {})
    shared_path.write_bytes(shared_path.read_bytes()[:keep] + content)
    with pytest.raises(ModelFileError):
        load_arrays(shared_path)


@given(header=st.text(max_size=200), data=st.binary(max_size=16))
def test_random_header_with_a_right_checksum_is_no_model(shared_path, header, data):
    write_signed(shared_path, header, data)
    with pytest.raises(ModelFileError):
        load_arrays(shared_path)


def test_messages_say_what_was_found_and_what_to_do(model):
    content = model.read_bytes()
    for changed, message in [
        (b"", "not a textcnn model file"),
        (b"PK\x03\x04" + content, "not a textcnn model file"),
        (content[:-1], rf"cut short \({len(content) - 1} bytes where {len(content)} were expected\)"),
        (content + b"\0", "too long"),
        (content[:-1] + b"\xff", "altered or damaged .its checksum differs"),
        (content.replace(b'_version":"1"', b'_version":"2"'), "newer version of textcnn.* upgrade"),
    ]:
        model.write_bytes(changed)
        with pytest.raises(ModelFileError, match=message) as caught:
            load_arrays(model)
        assert str(model) in str(caught.value)
        assert str(caught.value).endswith(".")


def test_missing_file_and_folder_are_reported_by_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_arrays(tmp_path / "absent")
    with pytest.raises(OSError, match=r"directory|denied"):
        load_arrays(tmp_path)


def test_big_endian_machine_is_refused(model, monkeypatch):
    monkeypatch.setattr(sys, "byteorder", "big")
    with pytest.raises(ModelFileError, match="big-endian"):
        load_arrays(model)
    with pytest.raises(ModelFileError, match="big-endian"):
        save_arrays(model, {}, {})


# Files made in bad faith: head and checksum are right


def test_signed_file_of_the_tests_is_valid(tmp_path):
    write_signed(tmp_path / "m", tail(entry()), struct.pack("<2f", 1, 2))
    loaded, config = load_arrays(tmp_path / "m")
    assert loaded["w"].tolist() == [1, 2]
    assert config == {}


HOSTILE = {
    "overlap": entry() + entry(offsets=(4, 12), name="v"),
    "gap": entry(offsets=(4, 12)),
    "too few data": entry(shape=[4], offsets=(0, 16)),
    "data left over": entry(shape=[1], offsets=(0, 4)),
    "negative offset": entry(offsets=(-8, 0)),
    "offsets reversed": entry(offsets=(8, 0)),
    "overflowing offset": entry(shape=[2**62], offsets=(0, 2**64)),
    "one offset": entry(offsets=(0,)),
    "float offset": entry(offsets=(0, 8.0)),
    "bool offset": entry(shape=[], dtype="U8", offsets=(False, True)),
    "wrong product": entry(shape=[3]),
    "negative axis": entry(shape=[-2]),
    "two negative axes": entry(shape=[-1, -2]),
    "huge axes with zero": entry(shape=[0, 2**62, 2**62], offsets=(0, 0)) + entry(name="v"),
    "huge integer": entry(shape=[10**4000]),
    "integer beyond parsing": ',"w":{"dtype":"F32","shape":[' + "9" * 5000 + '],"data_offsets":[0,8]}',
    "many axes": entry(shape=[2] + [1] * 40),
    "unknown dtype": entry(dtype="F8_E4M3"),
    "dtype is a list": ',"w":{"dtype":["F32"],"shape":[2],"data_offsets":[0,8]}',
    "not aligned": entry("U8", [4], (0, 4)) + entry("F32", [1], (4, 8), "v").replace("4, 8", "3, 7"),
    "aligned to another type": entry("U8", [1], (0, 1), "a")
    + entry("U8", [7], (1, 8), "b").replace("U8", "F16"),
    "truth value of 7": entry("BOOL", [8]),
    "key missing": ',"w":{"dtype":"F32","shape":[2]}',
    "key too many": ',"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"code":"x"}',
    "key twice": entry() + entry(),
    "key twice inside": ',"w":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}',
    "metadata twice": entry() + ',"__metadata__":{"config":"{}"}',
    "entry is a number": ',"w":5',
    "name not plain": entry(name="\\u0000"),
    "deep nesting": ',"w":' + "[" * 100_000 + "]" * 100_000,
    "unfinished strings": ',"w":' + '"' * 99_999,
    "backslashes": ',"w":"' + "\\" * 99_999,
    "not ASCII": entry(name="\u00e9"),
    "no end": entry() + ',"v"',
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_header_is_refused(tmp_path, case):
    write_signed(tmp_path / "m", tail(HOSTILE[case]), b"\x07" * 8)
    with pytest.raises(ModelFileError, match="no valid model file"):
        load_arrays(tmp_path / "m")


@pytest.mark.parametrize(
    "config",
    [
        "",
        "[]",
        "1",
        '{"a":1,"a":2}',
        "{" * 1000,
        '{"x":' + "[" * 100_000 + "]" * 100_000 + "}",
        "\ud800",
        '{"é":1}',
    ],
)
def test_hostile_configuration_is_refused(tmp_path, config):
    write_signed(tmp_path / "m", tail(entry(), config), b"\0" * 8)
    with pytest.raises(ModelFileError, match="no valid model file"):
        load_arrays(tmp_path / "m")


@pytest.mark.parametrize("header", [',"config":1}}', "}}", ',"config":"{}"}', ',"config":"{}"}}}'])
def test_header_without_configuration_or_end_is_refused(tmp_path, header):
    write_signed(tmp_path / "m", header)
    with pytest.raises(ModelFileError, match="no valid model file"):
        load_arrays(tmp_path / "m")


@pytest.mark.parametrize("length", [0, 1, 56, 2**31, 2**63 - 1, 2**64 - 1])
def test_hostile_header_length_is_refused(tmp_path, length):
    path = tmp_path / "m"
    write_signed(path, tail(entry()), b"\0" * 8)
    content = path.read_bytes()
    digest = content[io._HEAD_PATTERN.match(content).start(3) :][:64]
    content = struct.pack("<Q", length) + content[8:].replace(digest, b"0" * 64)
    path.write_bytes(content.replace(b"0" * 64, hashlib.sha256(content).hexdigest().encode(), 1))
    with pytest.raises(ModelFileError, match="no valid model file"):
        load_arrays(path)


# Writing is atomic


class DiskFull(OSError):
    pass


@pytest.mark.parametrize("function", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("error", [DiskFull, KeyboardInterrupt])
def test_old_file_stays_when_writing_fails(model, monkeypatch, function, error):
    before = model.read_bytes()

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(error):
        save_arrays(model, {"w": np.ones(5)}, {})
    assert model.read_bytes() == before
    assert os.listdir(model.parent) == [model.name]


def test_old_file_stays_when_the_disk_is_full_in_the_middle(model):
    before = model.read_bytes()

    def parts():
        yield b"begun"
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        io._write_atomically(str(model), parts())
    assert model.read_bytes() == before
    assert os.listdir(model.parent) == [model.name]


def test_missing_folder_is_reported_by_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        save_arrays(tmp_path / "absent" / "m", {}, {})


def test_folder_as_target_is_refused(tmp_path):
    with pytest.raises(IsADirectoryError):
        save_arrays(tmp_path, {}, {})
    assert os.listdir(tmp_path) == []


@POSIX
def test_device_as_target_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        save_arrays(tmp_path / "pipe", {}, {})


@POSIX
def test_new_file_honours_the_umask(tmp_path):
    script = (
        "import os, sys; os.umask(0o027)\n"
        "from textcnn.io import save_arrays\n"
        "save_arrays(sys.argv[1], {}, {})"
    )
    subprocess.run([sys.executable, "-P", "-c", script, tmp_path / "m"], check=True)
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == 0o640


@POSIX
def test_replaced_file_keeps_its_permissions(model):
    model.chmod(0o604)
    save_arrays(model, {}, {})
    assert stat.S_IMODE(model.stat().st_mode) == 0o604


@POSIX
def test_symbolic_link_stays_and_its_target_is_replaced(model, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    link = folder / "link"
    link.symlink_to(model)
    save_arrays(link, {}, {"new": True})
    assert link.is_symlink()
    assert load_arrays(model)[1] == {"new": True}
    assert os.listdir(folder) == ["link"]


# Class labels

LABELS = [
    np.array([-(2**63), 2**63 - 1]),
    np.array([0, 2**64 - 1], np.uint64),
    np.array([1, 2], np.int8),
    np.array([1, 2], ">i4"),
    np.array([False, True]),
    np.array([0.1, 1 / 3, -0.0]),
    np.array([0.1, 3e38], np.float32),
    np.array([0.1], np.float16),
    np.array(["neg", "", "\ud800", "日本"]),
    np.array([], "<U1"),
    np.array([], np.int64),
    np.array(["a", 1, True, None, 2**70, 1.5], object),
    np.array([None, None], object),
]


@pytest.mark.parametrize("labels", LABELS, ids=lambda labels: labels.dtype.str)
def test_labels_keep_values_and_type(tmp_path, labels):
    save_arrays(tmp_path / "m", {}, {"classes": encode_classes(labels)})
    decoded = decode_classes(load_arrays(tmp_path / "m")[1]["classes"])
    assert decoded.dtype == labels.dtype.newbyteorder("=")
    assert decoded.tolist() == labels.tolist()
    assert [type(label) for label in decoded.tolist()] == [type(label) for label in labels.tolist()]


def test_width_of_strings_is_that_of_the_longest():
    assert decode_classes(encode_classes(np.array(["a", "bc"], "<U9"))).dtype == "<U2"


def test_numpy_scalars_among_objects_become_python_values():
    labels = np.array([np.str_("a"), np.int32(3), np.bool_(True)], object)
    assert [type(label) for label in decode_classes(encode_classes(labels))] == [str, int, bool]


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (np.array([b"a"]), TypeError, r"class labels of type \|S1"),
        (np.array(["2020-01-01"], "M8[D]"), TypeError, "datetime64"),
        (np.array([1j]), TypeError, "complex128"),
        (np.array([1], np.longdouble), TypeError, "float128|longdouble|float96"),
        (np.array([b"a", "b"], object), TypeError, "label b'a' of type bytes"),
        (np.array([(1, 2), None], object), TypeError, "of type tuple"),
        (np.array([1.0, np.nan]), ValueError, "NaN"),
        (np.array(["a", float("nan")], object), ValueError, "NaN"),
        (np.array([[1, 2]]), ValueError, "one dimension"),
    ],
)
def test_labels_that_cannot_be_saved_are_refused(labels, error, message):
    with pytest.raises(error, match=message):
        encode_classes(labels)


@pytest.mark.parametrize(
    "encoded",
    [
        None,
        [],
        {"dtype": "int64"},
        {"dtype": "int64", "values": "12"},
        {"dtype": "int8", "values": [300]},
        {"dtype": "int64", "values": [True]},
        {"dtype": "int64", "values": [1.0]},
        {"dtype": "bool", "values": [1]},
        {"dtype": "str", "values": [None]},
        {"dtype": "float32", "values": [1e300]},
        {"dtype": "float64", "values": [float("nan")]},
        {"dtype": "object", "values": [[]]},
        {"dtype": "datetime64", "values": []},
        {"dtype": ["int64"], "values": []},
        {"dtype": "int64", "values": [1], "more": 1},
    ],
)
def test_damaged_labels_are_refused(encoded):
    with pytest.raises(ModelFileError, match="class labels"):
        decode_classes(encoded)
