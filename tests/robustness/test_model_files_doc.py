"""What docs/model-files.md says of the format is so."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import textcnn
from textcnn import io

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "model-files.md").read_text(encoding="utf-8")
FILES = sorted((ROOT / "tests" / "data" / "model_files" / f"v{io._FORMAT_VERSION}").glob("*.textcnn"))


def block(language):
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return found


def read(path):
    """The page's own reader."""
    names = {}
    exec(block("python"), names)
    return names["read"](path)


def test_the_tiny_file_is_the_one_that_is_shown(tmp_path):
    arrays = {"w": np.array([[1, 2]], np.float32), "n": np.array([3], np.uint8)}
    io.save_arrays(tmp_path / "tiny", arrays, {"kind": "Example"})
    content = (tmp_path / "tiny").read_bytes()
    lines = [line.rstrip("\n") for line in block("text").splitlines()]
    for i, line in enumerate(lines):
        row = content[16 * i : 16 * i + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        assert line == f"{16 * i:08x}  {row.hex(' '):47}  {shown}"
    assert len(lines) == -(-len(content) // 16)
    assert read(tmp_path / "tiny") == ({"w": ([1, 2], [1.0, 2.0]), "n": ([1], [3])}, {"kind": "Example"})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_reader_of_the_page_reads_every_kind_of_model(path):
    arrays, config = io.load_arrays(path)
    found, found_config = read(path)
    assert found_config == config
    assert {name: (list(array.shape), array.ravel().tolist()) for name, array in arrays.items()} == found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_page_has_every_key_and_every_array(path):
    arrays, config = io.load_arrays(path)
    keys = {*config, *config.get("encoder", {}), *config.get("layout", {}), *(config.get("linear") or {})}
    fitted = config["params"]["fitted"].keys()
    for name in keys | fitted | {re.sub(r"body\..*", "body.…", name) for name in arrays}:
        assert f"`{name}`" in PAGE or f'"{name}"' in PAGE, name


def test_the_page_tells_the_limits():
    from textcnn.nn import body_limits

    assert f"version {io._FORMAT_VERSION}." in PAGE
    assert io._MAX_HEADER == 32_000_000
    assert "32 million bytes" in PAGE
    assert f"number more than {body_limits.MOST_LAYERS}" in PAGE
    limits = body_limits.MOST_NUMBERS_OF_TEXT, body_limits.MOST_PRODUCTS, body_limits.ROWS
    assert limits == (2**19, 2**30, 16)
    assert "2¹⁹ numbers" in PAGE
    assert "2³⁰ multiplications for a text of 16 tokens" in PAGE


def test_the_keys_of_ngrams_are_made_as_the_page_says():
    from textcnn._kernels._ngrams import gram_keys, subword_keys

    def key(start, codes, mask=2**64 - 1):
        for code in codes:
            start = (start ^ code) * 0xD6E8FEB86659FD93 & mask
            start ^= start >> 32
        start = (start ^ start >> 33) * 0xFF51AFD7ED558CCD & mask
        start = (start ^ start >> 33) * 0xC4CEB9FE1A85EC53 & mask
        return start ^ start >> 33

    ids, offsets = np.array([7], np.int32), np.array([0, 1], np.intp)
    found, _ = gram_keys(ids, offsets, 2, 2, np.array([-1 - 3], np.int32))
    plain, shaped = 2 * 0x9E3779B97F4A7C15 % 2**64, 65538 * 0x9E3779B97F4A7C15 % 2**64
    assert found.tolist() == [
        key(plain, [0, 9]), key(plain, [9, 1]), key(shaped, [0, 2**32 + 3]), key(shaped, [2**32 + 3, 1])
    ]  # fmt: skip
    characters, _ = subword_keys(np.frombuffer(b"ab", np.uint8), np.array([0, 2]), 3, 3)
    assert characters.tolist() == [key(0xA0761D6478BD642F, codes) for codes in (b"\xfeab", b"ab\xff")]


def test_the_filters_are_in_the_order_that_the_page_says():
    path = next(path for path in FILES if path.stem == "binary")
    arrays, config = io.load_arrays(path)
    model = textcnn.load(path)
    (width, wide), n = config["kernel_sizes"], config["n_filters"]
    ids, _ = model.vocabulary.encode([["good", "film"]])
    rows = np.concatenate([np.zeros((1, 2)), arrays["embedding"][ids], np.zeros((1, 2))])
    blocks = arrays["filters"].reshape(width + wide, n, 2)
    single = np.stack([blocks[0] @ row for row in rows[1:-1]]).max(axis=0)
    double = np.stack([blocks[1] @ a + blocks[2] @ b for a, b in pairwise(rows)]).max(axis=0)
    expected = np.maximum(np.concatenate([single, double]) + arrays["filter_bias"], 0)
    np.testing.assert_allclose(model.transform([["good", "film"]])[0], expected, rtol=1e-5, atol=1e-6)
