"""The scripts under examples/ print what they teach and draw a picture; what two pages of docs/ say holds."""

import gzip
import os
import re
from pathlib import Path

import numpy as np
import pytest
from checks import run_python

from textcnn import nn, ops

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NETWORKS = EXAMPLES / "networks"

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


# What each network must reach, on the data that ships, at least; a line that it prints; and its data sets.
SCORES = {
    "characters.py": (0.5, "3 Pool1d 1 192 0 whole text", ("thucnews",)),
    "dynamic_k_max.py": (0.55, "4 Fold 10 336 0 11", ("trec",)),
    "encoder_decoder.py": (0.6, "1.1.1 Pool1d 7 64 0 4", ()),
    "pooling_in_between.py": (0.6, "3 Conv1d 6 100 30100 8", ("trec",)),
    "time_delay.py": (0.6, "five tokens look the same with and without those behind them: True", ()),
}


def run_example(name, *arguments, timeout=120):
    """Lines of standard output of an example, which must succeed."""
    result = run_python(EXAMPLES / name, *arguments, timeout=timeout, MPLBACKEND="agg")
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


@pytest.mark.parametrize("name", LINES)
def test_a_picture_without_a_folder_is_refused_before_anything_else(name, tmp_path):
    result = run_python(EXAMPLES / name, "--plot", tmp_path / "missing" / "picture.png", timeout=120)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "error: there is no folder for" in result.stderr
    assert "Traceback" not in result.stderr


def test_every_network_is_tested_and_listed():
    scripts = {path.name for path in NETWORKS.glob("*.py")} - {"datasets.py"}
    assert scripts == set(SCORES)
    overview = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [name for name in sorted(scripts) if f"`networks/{name}`" not in overview] == []


@pytest.mark.parametrize("name", SCORES)
def test_network_learns_the_data_that_ships(name, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(NETWORKS), prepend=os.pathsep)  # the tests run Python with -P
    least, line, _ = SCORES[name]
    printed = run_example(f"networks/{name}", timeout=400)
    assert line in [" ".join(found.split()) for found in printed]
    assert last_score(printed) >= least
    assert len((NETWORKS / name).read_text(encoding="utf-8").splitlines()) <= 70


@pytest.mark.parametrize("name", ["characters.py", "encoder_decoder.py"])
def test_network_says_which_file_is_missing(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(NETWORKS), prepend=os.pathsep)
    result = run_python(NETWORKS / name, "--data", tmp_path, timeout=120)
    assert result.returncode == 1
    assert "is missing, but --data needs a folder" in result.stderr
    assert "Traceback" not in result.stderr


def last_score(printed):
    return float(printed[-1].rsplit(": ", 1)[1])


@pytest.mark.parametrize("name", [name for name in SCORES if SCORES[name][2]])
def test_network_reads_labelled_texts(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(NETWORKS), prepend=os.pathsep)
    (tmp_path / "sentences").mkdir()
    lines = "good\tall of this is good\nbad\tnone of this is good\n" * 100
    for part in ("trec.train.tsv", "trec.test.tsv", "thucnews.train45k.tsv.gz", "thucnews.test.tsv.gz"):
        write = gzip.open if part.endswith("gz") else open
        with write(tmp_path / "sentences" / part, "wt", encoding="utf-8") as file:
            file.write(lines)
    assert last_score(run_example(f"networks/{name}", "--data", tmp_path)) == 1


@pytest.mark.parametrize("name", [name for name in SCORES if not SCORES[name][2]])
def test_network_reads_columns(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(NETWORKS), prepend=os.pathsep)
    block = "Haag NNP I-NP I-PER\nsaw VBD I-VP O\nAnna NNP I-NP I-PER\n. . O O\nthen RB O O\n\n"
    for part in ("conll2000/train.txt", "conll2000/test.txt", "conll2003/eng.train", "conll2003/eng.testb"):
        path = tmp_path / "tagging" / part
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("-DOCSTART- -X- O O\n\n" + 200 * block, encoding="utf-8")
    printed = run_example(f"networks/{name}", "--data", tmp_path)
    assert " 200 test sentences" in printed[-1]
    assert last_score(printed) == 1


def test_the_page_on_the_operations_lists_all_of_them():
    page = (EXAMPLES.parent / "docs" / "ops.md").read_text(encoding="utf-8")
    names = [*ops.__all__, *ops.kernels.__all__, *ops.initializers.__all__]
    forward = [name for name in names if not name.endswith("_backward")]
    assert [name for name in forward if f"`{name}`" not in page] == []


def test_the_page_on_the_layers_lists_all_of_them_and_its_snippets_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (EXAMPLES.parent / "docs" / "layers.md").read_text(encoding="utf-8")
    assert [name for name in nn.__all__ if f"`{name}" not in page] == []
    names = {"__name__": "layers"}
    for snippet in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(snippet, names)
    printed = capsys.readouterr().out.splitlines()
    assert float(printed[0]) > 0.55
    assert "['request']" in printed


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
