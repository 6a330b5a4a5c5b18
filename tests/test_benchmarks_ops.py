"""The benchmark of operations: its statistics, its table, and a run on tiny arrays."""

import argparse
import json
import sys

import numpy as np
import pytest
from test_benchmarks import BENCHMARKS, run_script

pytestmark = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="the benchmarks are not beside the tests")


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def bench_ops(scripts):
    import bench_ops

    return bench_ops


@pytest.fixture
def paired(scripts):
    import paired

    return paired


def test_quartiles_are_those_of_the_ratios_of_each_round(paired):
    found = paired.Paired([1.0, 2.0, 4.0, 1.0, 1.0], [1.0, 4.0, 12.0, 4.0, 5.0])
    assert found.ratios == [1, 2, 3, 4, 5]
    assert found.quartiles == (2, 3, 4)
    assert paired.Paired([2.0], [1.0]).quartiles == (0.5, 0.5, 0.5)


def test_sides_take_turns_in_being_first(paired, monkeypatch):
    calls = []
    monkeypatch.setattr(paired, "PAUSE", 0)
    monkeypatch.setattr(paired, "calls_in", lambda call: 1)
    found = paired.measure(lambda: calls.append("ours"), lambda: calls.append("theirs"), 3)
    # each sample is a call before the time and one in it
    assert calls == [side for side in ("ours", "theirs", "theirs", "ours", "ours", "theirs") for _ in "12"]
    assert len(found.ours) == len(found.theirs) == 3


def test_calls_in_a_sample_fill_its_time(paired, monkeypatch):
    monkeypatch.setattr(paired, "sample", lambda call, n_calls: 3e-5)
    n_calls = paired.calls_in(lambda: None)
    assert n_calls * 3e-5 >= paired.SAMPLE_SECONDS
    assert n_calls < 200


def row(bench_ops, paired, name, ratios):
    return bench_ops.row_of(name, "forward", paired.Paired([1.0] * len(ratios), ratios), 0.0)


def test_only_an_upper_quartile_below_one_is_slower(bench_ops, paired):
    rows = [
        row(bench_ops, paired, "clearly", [0.5, 0.6, 0.7]),
        row(bench_ops, paired, "perhaps", [0.8, 0.9, 1.2]),
        row(bench_ops, paired, "most", [0.2, 0.3, 0.4]),
    ]
    assert bench_ops.summary(rows, 0.25) == [
        "",
        "1 of 3 are no slower than PyTorch",
        "  slower: most, forward, ratio 0.30",
        "  slower: clearly, forward, ratio 0.60",
        "other processes took 25% of the machine",
    ]
    assert bench_ops.summary(rows, None)[-1].startswith("  slower")


def test_row_of_the_table(bench_ops, paired):
    found = bench_ops.row_of("relu", "forward", paired.Paired([1e-6, 2e-6, 3e-6], [2e-6, 2e-6, 9e-6]), 0.5)
    assert found.pop("ratios") == pytest.approx([2, 1, 3])
    assert found == pytest.approx(
        {
            "operation": "relu",
            "part": "forward",
            "ours us": 2.0,
            "PyTorch us": 2.0,
            "ratio": 2.0,
            "lower quartile": 1.5,
            "upper quartile": 2.5,
            "difference": 0.5,
        }
    )


class Tensor(np.ndarray):
    """An array with the two methods of tensors that the comparison calls."""

    def detach(self):
        return self

    def numpy(self):
        return np.asarray(self)


def test_other_work_is_not_timed(bench_ops):
    ours, theirs = np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(2, 3).T.copy().view(Tensor)
    layouts = (np.transpose,)
    assert bench_ops.difference("it", ours, theirs, layouts) == 0
    assert bench_ops.difference("it", (ours + 0.001, "argmax"), (theirs, "argmax"), layouts) <= 0.0011
    with pytest.raises(SystemExit, match="it: the results differ by 1"):
        bench_ops.difference("it", ours + 1, theirs, layouts)
    with pytest.raises(SystemExit, match="the results differ by nan"):
        bench_ops.difference("it", ours * np.nan, theirs, layouts)
    with pytest.raises(SystemExit, match=r"our result is \(2, 3\), PyTorch's is \(3, 2\)"):
        bench_ops.difference("it", ours, theirs, (lambda array: array,))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rounds", "0"], "--threads, --rounds and --shape must be 1 or more"),
        ([], "PyTorch is not installed (pip install '.[bench]')"),
    ],
)
def test_wrong_arguments_are_a_sentence(bench_ops, arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench_ops.py", *arguments])
    monkeypatch.setattr(bench_ops, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        bench_ops.main()
    assert message in capsys.readouterr().err


def test_defaults_are_the_sizes_of_the_headline(bench_ops):
    args = bench_ops.arguments().parse_args([])
    assert args == argparse.Namespace(
        threads=2, rounds=15, operations=None, shape=(32, 256, 128), wait=60, json=None
    )


def test_an_operation_beside_pytorch(tmp_path):
    pytest.importorskip("torch")
    path = tmp_path / "rows.json"
    tiny = ("--shape", 2, 8, 4, "--rounds", 2, "--threads", 1, "--wait", 0)
    printed = run_script("bench_ops.py", *tiny, "--operations", "dense", "relu", "--json", path)
    rows = json.loads(path.read_text())
    expected = [(name, part) for name in ("dense 4 to 4", "dense 4 to 10", "relu")
                for part in ("forward", "backward", "fwd+bwd")]  # fmt: skip
    assert [(row["operation"], row["part"]) for row in rows] == expected
    for found in rows:
        assert found["ours us"] > 0
        assert found["PyTorch us"] > 0
        assert len(found["ratios"]) == 2
        assert found["difference"] < 1e-5
    assert "of 9 are no slower than PyTorch" in printed


def test_every_case_computes_what_pytorch_does(bench_ops):
    pytest.importorskip("torch")
    from ops_cases import cases

    checked = set()
    for case in cases((2, 16, 8), 1):
        for part, ours, theirs, layouts in case.parts():
            assert bench_ops.difference(f"{case.operation} {part}", ours(), theirs(), layouts) < 1e-3
        checked.add(case.operation)
    assert checked >= {"conv1d", "conv_transpose1d", "pad1d", "im2col", "max_pool1d", "gelu", "cross_entropy"}
