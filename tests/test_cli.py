"""The command line."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

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


@pytest.mark.parametrize(
    "arguments", [[], ["nothing"], ["demo", "klingon"], ["demo", "--seed", "x"], ["demo", "--threads", "0"]]
)
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
    assert shown.err == ""  # no progress bar where there is no terminal


def test_demo_of_tagging(capsys):
    assert main(["demo", "tag"]) == 0
    shown = capsys.readouterr()
    assert float(re.search(r"FB1: +([\d.]+)\n", shown.out)[1]) > 60
    assert re.search(r"\[Florence Webb\]\(PER\s[01]\.\d\d\)", shown.out)
    assert "Next:" in shown.out
    assert shown.err == ""  # no progress bar where there is no terminal


def test_a_name_of_the_task_for_the_usual_demo(capsys, monkeypatch):
    monkeypatch.setattr("textcnn.cli.demo.N_FOLDS", 2)
    assert main(["demo", "classify"]) == 0
    assert "messages to service desks: complaint, praise" in capsys.readouterr().out


def test_versions(capsys):
    assert main(["versions"]) == 0
    shown = capsys.readouterr().out
    for name in ("textcnn", "python", "numpy", "scikit-learn", "compiler", "OpenMP", "instruction level"):
        assert f"\n{name}: " in f"\n{shown}"


def test_a_reader_that_stops_early_is_no_error():
    command = f"{sys.executable} -P -m textcnn versions | head -n 1"
    finished = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert finished.stderr == ""


def in_shell(command, tmp_path):
    """How a line of the shell ends, with `textcnn` for the command, in a folder of its own."""
    line = command.replace("textcnn ", f"{sys.executable} -P -m textcnn ", 1)
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, cwd=tmp_path)


posix = pytest.mark.skipif(os.name != "posix", reason="the line is for a POSIX shell")


@posix
def test_closed_streams_are_errors_only_where_they_are_needed(tmp_path):
    (tmp_path / "t.tsv").write_text("good\ta fine day\nbad\ta poor day\n" * 5)
    small = "--set n_filters=2 --set max_iter=1"
    finished = in_shell(f"textcnn train t.tsv -o m {small} <&- >&-", tmp_path)
    assert (finished.returncode, finished.stdout) == (0, "")
    assert finished.stderr.startswith("read 10 texts")
    finished = in_shell(f"textcnn train t.tsv -o m {small} 2>&-", tmp_path)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
    for command in ("textcnn predict m t.tsv >&-", "textcnn info m >&-"):
        finished = in_shell(command, tmp_path)
        assert finished.returncode == 1
        assert finished.stderr.startswith("textcnn: error: standard output is closed, but")
        assert len(finished.stderr.splitlines()) == 1
    finished = in_shell("textcnn predict m <&-", tmp_path)
    assert finished.returncode == 1
    assert finished.stderr == (
        "textcnn: error: standard input is closed, but the command needs it; name a file\n"
    )
    assert in_shell("textcnn predict m t.tsv -o labels >&- 2>&- <&-", tmp_path).returncode == 0
    assert len((tmp_path / "labels").read_text().splitlines()) == 10


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
def test_a_full_disk_behind_standard_output(tmp_path):
    finished = in_shell("textcnn versions > /dev/full", tmp_path)
    assert finished.returncode == 1
    assert finished.stderr.startswith("textcnn: error: standard output cannot be written (No space left")
    assert len(finished.stderr.splitlines()) == 1


@posix
def test_sigterm_leaves_no_temporary_file(tmp_path):
    (tmp_path / "t.tsv").write_text("good\ta fine day\nbad\ta poor day\n" * 5)
    assert main(["train", str(tmp_path / "t.tsv"), "-o", str(tmp_path / "m"), "--set", "max_iter=1"]) == 0
    command = [sys.executable, "-P", "-m", "textcnn", "predict", "m", "-o", "labels"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path)
    process.stdin.write(b"a fine day\n")
    process.stdin.flush()
    for _ in range(200):
        if list(tmp_path.glob(".textcnn-*.tmp")):
            break
        time.sleep(0.05)
    assert list(tmp_path.glob(".textcnn-*.tmp"))
    process.send_signal(signal.SIGTERM)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 143
    assert messages == b"textcnn: terminated\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "t.tsv"]


def test_handlers_of_signals_are_left_as_they_were(monkeypatch, capsys):
    before = signal.getsignal(signal.SIGTERM)
    main(["versions"])
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), "there is not enough memory"),
        (MemoryError("Unable to allocate 3 GiB"), "there is not enough memory: unable to allocate 3 GiB"),
        (PermissionError(13, "Permission denied", "m"), "m: Permission denied"),
    ],
)
def test_errors_of_the_system_become_sentences(error, sentence, monkeypatch, capsys):
    def fail(args):
        raise error

    monkeypatch.setattr("textcnn.cli.versions.run", fail)
    assert main(["versions"]) == 1
    assert capsys.readouterr().err == f"textcnn: error: {sentence}\n"


def test_sources_without_compiled_modules_give_a_sentence(tmp_path):
    package = Path(textcnn.__file__).parent
    shutil.copytree(package, tmp_path / "textcnn", ignore=shutil.ignore_patterns("*.so", "*.pyd"))
    finished = subprocess.run(
        [sys.executable, "-m", "textcnn", "versions"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert finished.returncode == 1
    assert len(finished.stderr.splitlines()) == 1
    assert "start Python in another folder" in finished.stderr


def test_python_m_and_ctrl_c(monkeypatch, capsys):
    def interrupt(args):
        raise KeyboardInterrupt

    monkeypatch.setattr("textcnn.cli.versions.run", interrupt)
    assert main(["versions"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_what_an_error_quotes_stays_in_its_line_and_does_not_steer_the_terminal(tmp_path, capsys):
    train, dev = tmp_path / "train.tsv", tmp_path / "dev.tsv"
    train.write_text("good\tone\nbad\ttwo\n", encoding="utf-8")
    dev.write_text("good\x1b[2J\u2028\x85\x07\tone\n", encoding="utf-8")
    assert main(["train", str(train), "-o", str(tmp_path / "model"), "--dev", str(dev)]) == 1
    err = capsys.readouterr().err
    assert r'the label "good\x1b[2J\u2028\x85\x07" does not occur' in err
    assert len(err.splitlines()) == 1
