"""The command line."""

import re
import subprocess
import sys

import pytest

import textcnn
from textcnn.cli import main


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"textcnn {textcnn.__version__}\n"


def test_the_version_comes_without_numpy():
    code = (
        "import sys, textcnn.cli\n"
        "try: textcnn.cli.main(['--version'])\n"
        "except SystemExit: print('numpy' in sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["demo", "klingon"], ["demo", "--seed", "x"], ["demo", "--threads", "0"]])
def test_a_wrong_call_is_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: textcnn" in capsys.readouterr().err


def test_an_error_is_one_sentence_and_status_1(capsys):
    assert main(["info", "no-such-file"]) == 1
    assert capsys.readouterr().err == "textcnn: error: there is no file no-such-file\n"


@pytest.mark.parametrize(("data", "label"), [("english", "request"), ("chinese", "好评")])
def test_demo_reports_accuracy_and_explains(data, label, capsys, monkeypatch):
    monkeypatch.setattr("textcnn.cli.demo.N_FOLDS", 3)
    assert main(["demo", data]) == 0
    shown = capsys.readouterr()
    accuracy = float(shown.out.split("all parts together: ")[1].split("%")[0])
    assert accuracy > {"english": 60, "chinese": 50}[data]
    assert f"{label} (" in shown.out
    # The n-grams come by the figure that is printed beside them.
    rows = re.findall(rf"{label} \(\d+%\): (.*)", shown.out)
    assert rows
    for row in rows:
        figures = [float(figure) for figure in re.findall(r'" ([+-]\d\.\d\d)', row)]
        assert len(figures) == 3
        assert figures == sorted(figures, reverse=True)
    assert "Next:" in shown.out
    assert "epoch" in shown.err


def test_versions(capsys):
    assert main(["versions"]) == 0
    shown = capsys.readouterr().out
    for name in ("textcnn", "python", "numpy", "scikit-learn", "compiler", "OpenMP", "instruction level"):
        assert f"\n{name}: " in f"\n{shown}"


def test_a_reader_that_stops_early_is_no_error():
    command = f"{sys.executable} -P -m textcnn versions | head -n 1"
    finished = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert finished.stderr == ""


def test_python_m_and_ctrl_c(monkeypatch, capsys):
    def interrupt(args):
        raise KeyboardInterrupt

    monkeypatch.setattr("textcnn.cli.versions.run", interrupt)
    assert main(["versions"]) == 130
    assert "interrupted" in capsys.readouterr().err
