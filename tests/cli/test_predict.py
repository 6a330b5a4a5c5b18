"""textcnn predict."""

import gzip
import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from checks import run_python

import textcnn
from textcnn import TextCNNClassifier

# The command in a process of its own.
RUN = "import sys; from textcnn.cli import main; sys.exit(main(sys.argv[1:]))"

TEXTS = ["a witty story", "", "the noisy town", "映画", "so grim a play"]


@pytest.fixture
def new(tmp_path):
    path = tmp_path / "new.txt"
    path.write_text("".join(f"{text}\n" for text in TEXTS), encoding="utf-8")
    return path


def test_one_label_a_line(command, model, new):
    finished = command("predict", model, new)
    assert finished.status == 0
    assert finished.err == ""
    assert finished.out.splitlines() == textcnn.load(model).predict(TEXTS).tolist()
    assert finished.out.startswith("good\n")


def test_options_may_stand_between_model_and_file(command, fails, model, new):
    assert command("predict", model, "--format", "txt", new) == command("predict", model, new)
    assert "unrecognized arguments" in fails("predict", model, "--format", "txt", new, new, status=2)
    assert "unrecognized arguments" in fails("predict", model, new, "--nothing", status=2)
    assert "unrecognized arguments" in fails("predict", model, "-", "--format", "txt", new, status=2)


@pytest.mark.parametrize(
    ("data", "n_lines"),
    [
        (b"", 0),
        (b"\n", 1),
        (b"a", 1),
        (b"a\n", 1),
        (b"a\r\n\r\nb\r\n", 3),
        (b"\xef\xbb\xbfa\n\0\n", 2),
        (b"\n\n\n", 3),
    ],
)
def test_as_many_lines_out_as_in(command, model, data, n_lines):
    finished = command("predict", model, stdin=data)
    assert finished.status == 0
    assert finished.out.count("\n") == n_lines == len(finished.out.splitlines())


def test_probabilities(command, model, new):
    header, *rows = command("predict", model, new, "--proba", "--header").out.splitlines()
    assert header == "label\tbad\tgood"
    predictor = textcnn.load(model)
    assert [row.split("\t")[0] for row in rows] == predictor.predict(TEXTS).tolist()
    shown = np.array([[float(value) for value in row.split("\t")[1:]] for row in rows])
    np.testing.assert_allclose(shown, predictor.predict_proba(TEXTS), rtol=1e-5)
    assert len(command("predict", model, new, "--proba").out.splitlines()) == len(TEXTS)


def test_jsonl(command, model, new):
    assert json.loads(command("predict", model, new, "--jsonl").out.splitlines()[0]) == {"label": "good"}
    items = [
        json.loads(line) for line in command("predict", model, new, "--jsonl", "--proba").out.splitlines()
    ]
    assert len(items) == len(TEXTS)
    for item in items:
        assert max(item["probabilities"], key=item["probabilities"].get) == item["label"]


def test_labels_of_other_types(command, tmp_path):
    texts = ["good", "bad"] * 10
    for labels, shown in (
        ([1, 0], ["1", "0"]),
        ([True, False], ["true", "false"]),
        ([2.0, -1.0], ["2.0", "-1.0"]),
    ):
        path = tmp_path / "m"
        TextCNNClassifier(n_filters=4, max_iter=20, random_state=0).fit(texts, labels * 10).save(path)
        assert command("predict", path, stdin=b"good\nbad\n").out.splitlines() == shown
        out = command("predict", path, "--jsonl", stdin=b"good\nbad\n").out
        assert [json.loads(line)["label"] for line in out.splitlines()] == labels


def test_a_label_stays_in_its_line(command, tmp_path):
    labels = ["a\tb\nc\\d\r", "plain"]
    model = TextCNNClassifier(n_filters=4, max_iter=20, random_state=0).fit(["good", "bad"] * 10, labels * 10)
    model.save(tmp_path / "m")
    assert command("predict", tmp_path / "m", stdin=b"good\n").out == "a\\tb\\nc\\\\d\\r\n"
    assert (
        json.loads(command("predict", tmp_path / "m", "--jsonl", stdin=b"good\n").out)["label"] == labels[0]
    )


def test_other_formats(command, model, table, tmp_path):
    (tmp_path / "a.csv").write_text('id,body\n1,"a witty\nstory"\n2,noisy\n')
    assert command("predict", model, tmp_path / "a.csv", "--text-column", "body").out == "good\nbad\n"
    (tmp_path / "a.jsonl").write_text('{"text": "a witty story"}\n{"text": "noisy"}\n')
    assert command("predict", model, tmp_path / "a.jsonl").out == "good\nbad\n"
    assert command("predict", model, table).out.splitlines()[:2] == ["bad", "good"]
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"witty\nnoisy\n"))
    assert command("predict", model, tmp_path / "a.txt.gz").out == "good\nbad\n"
    (tmp_path / "a.txt").write_bytes("witty café\n".encode("latin-1"))
    assert command("predict", model, tmp_path / "a.txt", "--encoding", "latin-1").out == "good\n"
    stdin = b'{"text": "witty"}'
    assert command("predict", model, "-", "--format", "jsonl", stdin=stdin).out == "good\n"


def test_an_output_file_is_whole_or_not_there(command, fails, model, new, tmp_path):
    out = tmp_path / "labels.tsv"
    assert command("predict", model, new, "-o", out) == (0, "", "")
    assert out.read_text() == command("predict", model, new).out
    new.write_bytes(b"fine\n" * 9 + b"caf\xe9\n")
    before = out.read_text()
    assert "new.txt, line 10: the byte 0xe9" in fails("predict", model, new, "-o", out)
    assert out.read_text() == before
    assert "is named twice" in fails("predict", model, new, "-o", new)
    assert "no folder" in fails("predict", model, new, "-o", tmp_path / "none" / "out")


def test_errors(fails, model, table, tmp_path):
    assert "there is no file" in fails("predict", model, tmp_path / "none.txt")
    assert "there is no file" in fails("predict", tmp_path / "none.textcnn", table)
    assert "is not a textcnn model file" in fails("predict", table, table)
    assert "is a folder" in fails("predict", model, tmp_path)
    assert "has no columns" in fails("predict", model, tmp_path / "a.txt", "--text-column", "body")


def test_each_line_is_answered_at_once(model):
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": _root()}
    options["env"] = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen([sys.executable, "-c", RUN, "predict", model], **options) as process:
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        for text, label in ((b"witty\n", b"good\n"), (b"noisy\n", b"bad\n"), (b"tender\n", b"good\n")):
            process.stdin.write(text)
            process.stdin.flush()
            assert process.stdout.readline() == label  # nothing comes if it is held back
        watchdog.cancel()
        process.stdin.close()
        assert process.stdout.read() == b""
    assert process.returncode == 0


def test_a_reader_that_has_had_enough(model, tmp_path):
    path = tmp_path / "many.txt"
    path.write_text("a witty story\n" * 200_000)
    pipeline = f"{sys.executable} -c '{RUN}' predict {model} {path} | head -n 2"
    finished = subprocess.run(["sh", "-c", pipeline], capture_output=True, text=True, cwd=_root())
    assert finished.stdout == "good\ngood\n"
    assert finished.stderr == ""


def _root():
    """The folder from which this textcnn is imported."""
    return textcnn.__path__[0].removesuffix("textcnn")


@pytest.mark.parametrize("name", ["predict", "explain", "info"])
def test_neither_scikit_learn_nor_scipy_is_imported(model, new, name):
    files = [str(model)] if name == "info" else [str(model), str(new)]
    code = (
        "import sys\nfrom textcnn.cli import main\n"
        f"status = main({[name, *files]!r})\n"
        "print(status, [name for name in ('sklearn', 'scipy', 'tqdm', 'matplotlib') if name in sys.modules])"
    )
    assert run_python("-c", code, timeout=60).stdout.splitlines()[-1] == "0 []"


def test_help_comes_without_numpy_and_has_examples():
    code = (
        "import sys\nfrom textcnn.cli import COMMANDS, main\n"
        "for name in COMMANDS:\n"
        "    try: main([name, '--help'])\n"
        "    except SystemExit as stop: assert not stop.code\n"
        "print('numpy' in sys.modules)"
    )
    shown = run_python("-c", code, timeout=60).stdout
    assert shown.splitlines()[-1] == "False"
    for name in ("train", "predict", "evaluate", "explain", "info"):
        assert f"\n  textcnn {name} reviews.textcnn" in shown or f"\n  textcnn {name} reviews.tsv" in shown
    for name in ("tag", "evaluate", "info"):
        assert f"\n  textcnn {name} ner.textcnn" in shown
