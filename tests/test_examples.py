"""The scripts under examples/ print what they teach and draw a picture; docs/ops.md lists all operations."""

import re
from pathlib import Path

import numpy as np
import pytest
from checks import run_python

from textcnn import ops

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the examples are not beside the tests")

# What each script must print: numbers that can be worked out by hand.
LINES = {
    "backpropagation.py": [
        "   conv1d_backward                 [ 10. 120. 230. 300.]",
        "   delta * kernel, full            [ 10. 120. 230. 300.]",
        "      64   [ 1.000 -1.000]   0.000000",
    ],
    "convolution.py": [
        "   P( 4) = 3/36  ###",
        "   convolve1d([2, 3, 5], [7, 11, 17])  [ 14.  43. 102. 106.  85.]",
        "   The tone rises fastest at 'but'.",
        "      not good     1.0  ########",
    ],
    "dilation.py": [
        "        3            15             7",
        "   D = 1, 2, 4  . . . 1 1 2 1 3 2 3 1 3 2 3 1 2 1 1 . . .",
        "   layers: 3  ... keys which my old neighbour lost yesterday are here   sees the subject",
    ],
    "padding_and_stride.py": [
        "   full        2     2     9   [_ _ a] ... [sight _ _]",
        "   reflect    cb | abcd | cb",
        "   S = 2   (7 - 3) // 2 + 1 = 3 rows",
        "      3  . .... ....... an end in .....",
    ],
    "pooling.py": [
        "   un-pooled by max          0      2      8      0      0      4      6      0",
        "   un-pooled by mean         1      1      4      4      2      2      3      3",
    ],
    "transposed_convolution.py": [
        "   conv_transpose1d, S = 2      1     2    13    20   130   200   300",
        "   <A x, y> = 210 = 210 = <x, A' y>: it is the adjoint.",
    ],
}


def run_example(name, *arguments):
    """Lines of standard output of an example, which must succeed."""
    result = run_python(EXAMPLES / name, *arguments, timeout=120, MPLBACKEND="agg")
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_every_example_is_tested_and_listed():
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    assert scripts == set(LINES)
    overview = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [name for name in sorted(scripts) if f"`{name}`" not in overview] == []


@pytest.mark.parametrize("name", LINES)
def test_example_prints_what_it_teaches(name):
    printed = run_example(name)
    assert [line for line in LINES[name] if line not in printed] == []
    assert max(map(len, printed)) <= 110


def test_filters_that_begin_alike_stay_alike_in_the_example():
    table = {
        line.split()[0]: line.split()[1:] for line in run_example("backpropagation.py") if " of 6" in line
    }
    # loss at first and at last, texts that are right of 9, different filters of 6
    assert table["constant"][0] == "0.693"  # log 2
    assert table["constant"][2:] == ["9", "of", "9", "1", "of", "6"]
    assert table["Glorot"][2:] == ["9", "of", "9", "6", "of", "6"]


@pytest.mark.parametrize("name", LINES)
def test_example_draws_a_picture(name, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "picture.png"
    run_example(name, "--plot", picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 10_000


def test_the_page_on_the_operations_lists_all_of_them():
    page = (EXAMPLES.parent / "docs" / "ops.md").read_text(encoding="utf-8")
    names = [*ops.__all__, *ops.kernels.__all__, *ops.initializers.__all__]
    forward = [name for name in names if not name.endswith("_backward")]
    assert [name for name in forward if f"`{name}`" not in page] == []


def test_the_code_on_the_page_runs_and_its_comments_are_right():
    page = (EXAMPLES.parent / "docs" / "ops.md").read_text(encoding="utf-8")
    names = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, names)
    assert names["out"].shape == (2, 7, 5)
    assert names["rows"].shape == (10, 4)
    assert names["offsets"].tolist() == [0, 3, 10]
    assert names["hidden"].shape == (6, 5)
    assert names["hidden_offsets"].tolist() == [0, 1, 6]
    assert names["pooled"].shape == (2, 5)
    # a text has the same result alone
    alone, _ = ops.global_max_pool1d(ops.relu(ops.conv1d(names["x"][1:], names["weights"])))
    np.testing.assert_array_equal(names["pooled"][1:], alone)
    assert names["d_rows"].shape == names["rows"].shape
