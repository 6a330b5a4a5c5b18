"""textcnn train."""

import errno
import gzip
import inspect
import json
import os
import re
import signal
import sys

import pytest
from checks import run_python
from samples import reviews

import textcnn
from textcnn import TextCNNClassifier


def test_the_model_is_that_of_python(command, table, small, tmp_path):
    finished = command("train", table, "-o", tmp_path / "m.textcnn", "--seed", 5, *small)
    assert finished.status == 0
    assert finished.out == ""
    summary = finished.err.splitlines()
    assert summary[0] == "read 80 texts with 2 labels"
    assert summary[1].startswith("trained 25 epochs, loss 0.")
    assert summary[2].startswith(f"wrote {tmp_path / 'm.textcnn'} (")
    expected = TextCNNClassifier(n_filters=8, embedding_dim=16, max_iter=25, batch_size=10, random_state=5)
    expected.fit(*reviews())
    expected.save(tmp_path / "expected.textcnn")
    assert (tmp_path / "m.textcnn").read_bytes() == (tmp_path / "expected.textcnn").read_bytes()


def test_quiet_is_quiet_and_the_same_seed_gives_the_same_file(command, table, small, tmp_path):
    for name in "ab":
        assert command("train", table, "-o", tmp_path / name, "--quiet", *small) == (0, "", "")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    command("train", table, "-o", tmp_path / "c", "--seed", 1, *small)
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_the_number_of_threads_is_no_part_of_the_file(command, table, small, tmp_path):
    for name, more in (("a", []), ("b", ["--threads", "1"]), ("c", ["--threads", "3"])):
        assert command("train", table, "-o", tmp_path / name, *small, *more).status == 0
    assert len({(tmp_path / name).read_bytes() for name in "abc"}) == 1


def test_quiet_wins_over_verbose(command, table, small, tmp_path):
    arguments = ("train", table, "-o", tmp_path / "m", "--set", "verbose=1", *small)
    assert "epoch 25/25" in command(*arguments).err
    assert command(*arguments, "--quiet") == (0, "", "")


def test_a_full_disk_is_named(fails, table, small, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("textcnn.io.os.fsync", full)
    sentence = fails("train", table, "-o", tmp_path / "m", *small)
    assert sentence == f"{tmp_path / 'm'} cannot be written (No space left on device); " + (
        "make room, or give another place"
    )
    monkeypatch.setattr("textcnn.text.corpus._Store.append", full)
    sentence = fails("train", table, "-o", tmp_path / "m", "--stream", *small)
    assert sentence.startswith("the temporary file of --stream in ")
    assert sentence.endswith("(No space left on device); --temporary-folder chooses another disk")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("more", [[], ["--set", "early_stopping=true"], ["--dev"], ["--threads", "2"]])
def test_stream_gives_the_same_file(command, table, small, tmp_path, more):
    if more == ["--dev"]:
        more = ["--dev", table]
    packed = tmp_path / "reviews.tsv.gz"
    packed.write_bytes(gzip.compress(table.read_bytes()))
    stream = ["--stream", "--temporary-folder", tmp_path]
    assert command("train", table, "-o", tmp_path / "a", *small, *more).status == 0
    assert command("train", packed, "-o", tmp_path / "b", *stream, *small, *more).status == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "reviews.tsv.gz"]


@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_formats_and_standard_input(command, table, small, tmp_path, stream):
    texts, labels = reviews()
    items = [{"body": text, "stars": label} for text, label in zip(texts, labels, strict=True)]
    jsonl = "".join(json.dumps(item) + "\n" for item in items).encode()
    columns = ["--text-column", "body", "--label-column", "stars"]
    (tmp_path / "r.csv").write_text(
        "body,stars\n" + "".join(f'"{item["body"]}",{item["stars"]}\n' for item in items)
    )
    command("train", table, "-o", tmp_path / "tsv", *small)
    command("train", tmp_path / "r.csv", "-o", tmp_path / "csv", *columns, *small, *stream)
    command("train", "-", "-o", tmp_path / "a", "--format", "jsonl", *columns, *small, *stream, stdin=jsonl)
    command("train", "-", "-o", tmp_path / "b", *small, *stream, stdin=table.read_bytes())
    assert len({(tmp_path / name).read_bytes() for name in ("tsv", "csv", "a", "b")}) == 1


def test_dev_texts_are_validated_on(command, table, small, tmp_path):
    finished = command("train", table, "-o", tmp_path / "m", "--dev", table, *small)
    assert re.search(r"validation accuracy 1\.0000 in epoch \d+, whose weights are kept\n", finished.err)
    finished = command("train", table, "-o", tmp_path / "n", "--dev", table, "--set", "n_members=2", *small)
    assert ", each network keeping the weights of its best epoch\n" in finished.err
    more = ["--set", "early_stopping=false"]
    finished = command("train", table, "-o", tmp_path / "o", "--dev", table, *more, *small)
    assert "kept" not in finished.err
    assert TextCNNClassifier.load(tmp_path / "m").best_validation_score_ == 1.0


def test_dev_texts_of_a_stream_stay_on_disk(command, fails, table, small, tmp_path, monkeypatch):
    given = []
    fit = TextCNNClassifier.fit

    def watched(self, X, y, X_val=None, **options):
        given.append(X_val)
        return fit(self, X, y, X_val=X_val, **options)

    monkeypatch.setattr(TextCNNClassifier, "fit", watched)
    more = ["--set", "n_members=2", *small]
    command("train", table, "-o", tmp_path / "m", "--dev", table, *more)
    finished = command(
        "train", table, "-o", tmp_path / "n", "--dev", "-", "--stream", *more, stdin=table.read_bytes()
    )
    assert "validation accuracy 1.0000" in finished.err
    assert [type(dev).__name__ for dev in given] == ["list", "Corpus"]
    assert (tmp_path / "m").read_bytes() == (tmp_path / "n").read_bytes()
    (tmp_path / "empty.tsv").write_text("")
    sentence = fails("train", table, "-o", tmp_path / "o", "--dev", tmp_path / "empty.tsv", "--stream")
    assert "empty.tsv has no texts, but validation needs some; leave --dev out" in sentence


def test_dev_texts_from_standard_input(command, fails, table, small, tmp_path):
    dev = table.read_bytes()
    finished = command("train", table, "-o", tmp_path / "m", "--dev", "-", *small, stdin=dev)
    assert "validation accuracy 1.0000" in finished.err
    sentence = fails("train", "-", "-o", tmp_path / "m", "--dev", "-", *small, stdin=dev)
    assert "are both to come from standard input; name a file for one" in sentence


@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_an_empty_vocabulary_is_an_error(fails, table, small, tmp_path, stream):
    sentence = fails("train", table, "-o", tmp_path / "m", "--set", "min_df=1000", *small, *stream)
    assert "no token occurs in as many texts as min_df=1000 asks for" in sentence
    (tmp_path / "t.tsv").write_text("good\t\nbad\t\n")
    sentence = fails("train", tmp_path / "t.tsv", "-o", tmp_path / "m", *small, *stream)
    assert sentence.endswith("have no tokens, so there is nothing to learn from; give other texts")
    assert not (tmp_path / "m").exists()


def test_every_parameter_can_be_set(command, table, tmp_path):
    names = inspect.signature(TextCNNClassifier).parameters
    config = tmp_path / "config.toml"
    config.write_text(
        'kernel_sizes = [1, 2]\nn_filters = 7\nclass_weight = {bad = 2.0, good = 1}\nsolver = "sgd"\n'
    )
    settings = ["n_filters=3", "max_iter=2e0", "max_norm=none", "shuffle=False", "min_df=1", "dropout=0"]
    arguments = [argument for setting in settings for argument in ("--set", setting)]
    command("train", table, "-o", tmp_path / "m", "--config", config, *arguments, "--seed", 9)
    params = TextCNNClassifier.load(tmp_path / "m").get_params()
    assert set(params) == set(names)
    expected = {
        "kernel_sizes": (1, 2),
        "n_filters": 3,
        "class_weight": {"bad": 2.0, "good": 1.0},
        "solver": "sgd",
        "max_iter": 2,
        "max_norm": None,
        "shuffle": False,
        "dropout": 0,
        "random_state": 9,
    }
    assert {name: params[name] for name in expected} == expected
    assert {name: type(params[name]) for name in expected} == {n: type(v) for n, v in expected.items()}


def test_the_list_of_parameters_is_the_estimators(command):
    finished = command("train", "--list-parameters")
    assert finished.status == 0
    for name in TextCNNClassifier().get_params():
        assert f"\n{name} : " in finished.out
    assert "classes_" not in finished.out


def test_kernel_sizes_without_brackets(command, table, tmp_path):
    for value, expected in (("2,3", (2, 3)), ("2", (2,)), ("[2, 3]", (2, 3))):
        command("train", table, "-o", tmp_path / "m", "--set", f"kernel_sizes={value}", "--set", "max_iter=1")
        assert TextCNNClassifier.load(tmp_path / "m").kernel_sizes == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "n_filtres=3"], 'no parameter "n_filtres"; perhaps "n_filters" was meant; the parameters'),
        (["--set", "xyz=3"], 'no parameter "xyz"; the parameters are activation, alpha,'),
        (["--set", "n_filters=many"], "--set n_filters: The 'n_filters' parameter of TextCNNClassifier must"),
        (["--set", "n_filters=1.5"], "must be an int in the range [1, inf). Got 1.5"),
        (["--set", "shuffle=perhaps"], "--set shuffle: "),
        (["--set", "solver=quick"], "--set solver: "),
        (["--seed", "-1"], "--seed: "),
        (["--config", "none.toml"], "there is no file none.toml"),
        (["--plot", "curve.doc"], "curve.doc is no picture that can be drawn; end its name with .png"),
        (["--plot", "none/curve.png"], "none/curve.png cannot be written, for there is no folder"),
        (["--stream", "--temporary-folder", "none"], "--temporary-folder none: there is no such folder"),
        (["--temporary-folder", "."], "--temporary-folder is for --stream"),
        (["--dev", "none.tsv"], "there is no file none.tsv"),
        (["--set", "kernel_sizes=0,3"], "--set kernel_sizes: kernel_sizes is (0, 3), but"),
        (["--set", "ngram_range=3,1"], "--set ngram_range: ngram_range is (3, 1), but"),
        (["--set", "char_ngram_range=3"], "--set char_ngram_range: char_ngram_range is "),
        (["--set", "n_jobs=0"], "--set n_jobs: n_jobs is 0, but"),
        (["--set", "min_df=0"], "--set min_df: min_df is 0, but it must be 1 or more"),
        (["--set", "embedding_mode=static"], "--set embedding_mode: embedding_mode is 'static', but"),
        (["--set", "embeddings=none.vec"], "--set embeddings: there is no file none.vec"),
        (["--set", "embeddings=."], "--set embeddings: . is a folder, but a file was expected"),
        (["--set", "embeddings=5"], "--set embeddings: embeddings is 5, but the name of a file"),
        (["--text-column", "body", "--label-column", "body"], 'both to be read from "body"; give'),
        (["--text-column", "label"], 'both to be read from "label"; give'),
    ],
)
def test_wrong_settings_are_noticed_before_the_texts_are_read(fails, tmp_path, arguments, message):
    broken = tmp_path / "broken.tsv"
    broken.write_text("no label\n")
    assert message in fails("train", broken, "-o", tmp_path / "m", *arguments)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("n_filters = 3\nn_filters", "config.toml is no TOML: "),
        ("n_filter = 3", 'config.toml: no parameter "n_filter"; perhaps "n_filters" was meant'),
        ("n_filters = '3'", "config.toml: The 'n_filters' parameter"),
        (b"\xff", "config.toml is no TOML: it is not UTF-8 text"),
    ],
)
def test_wrong_configurations(fails, table, tmp_path, content, message):
    config = tmp_path / "config.toml"
    config.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert message in fails("train", table, "-o", tmp_path / "m", "--config", config)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--set", "n_filters"],
        ["--set", "=3"],
        ["--threads", "0"],
        ["--encoding", "rot13"],
        ["--seed", "x"],
        ["--threads", "-5"],
        ["-o", ""],
        ["--plot", ""],
    ],
)
def test_arguments_of_the_wrong_form(fails, table, tmp_path, arguments):
    assert fails("train", table, "-o", tmp_path / "m", *arguments, status=2)


def test_places_that_cannot_be_written(fails, table, tmp_path):
    (tmp_path / "file").touch()
    for place, message in (
        (tmp_path, "is a folder; give the name of a file to write"),
        (tmp_path / "none" / "m", "cannot be written, for there is no folder"),
        (tmp_path / "file" / "m", "cannot be written, for there is no folder"),
        (table, "is named twice and would be overwritten"),
        ("/dev/null", "is not a regular file"),
    ):
        assert message in fails("train", table, "-o", place)
    assert table.read_text().startswith("bad\t")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(fails, table, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    assert "cannot be written (Permission denied)" in fails("train", table, "-o", folder / "m")


@pytest.mark.parametrize("stream", [[], ["--stream"]])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "reviews.tsv has no texts, but training needs texts of two or more labels"),
        (b"label\ttext\n", "reviews.tsv has no texts"),
        (b"pos\ta\npos\tb\n", 'reviews.tsv: every text has the label "pos", but training needs'),
        (b"pos\ta\nneg\tb\n\t\n", "reviews.tsv, line 3: the label is missing"),
        (b"pos\ta\nneg\tb\xe9\n", "reviews.tsv, line 2: the byte 0xe9 is not UTF-8 text"),
    ],
)
def test_a_failed_training_leaves_the_old_model_alone(fails, tmp_path, content, message, stream):
    (tmp_path / "reviews.tsv").write_bytes(content)
    (tmp_path / "m").write_text("an older model")
    assert message in fails("train", tmp_path / "reviews.tsv", "-o", tmp_path / "m", *stream)
    assert (tmp_path / "m").read_text() == "an older model"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("name", "line", "found"),
    [
        ("r.tsv", "\tc\n", "the label is missing; give one, or take the line out; a blank label"),
        (
            "r.jsonl",
            '{"label": "", "text": "c"}\n',
            "the label is missing; give one, or take the line out; a bl",
        ),
        (
            "r.jsonl",
            '{"label": ["a"], "text": "c"}\n',
            '"label" is a list, but a string or a number was expected; a list',
        ),
    ],
)
@pytest.mark.parametrize("of", ["FILE", "--dev"])
def test_labels_of_another_task_are_told_of_it(command, fails, small, tmp_path, name, line, found, of):
    lines = ['{"label": "a", "text": "x"}\n', '{"label": "b", "text": "y"}\n']
    good, bad, model = tmp_path / f"good-{name}", tmp_path / name, tmp_path / "m"
    good.write_text("a\tx\nb\ty\n" if name.endswith("tsv") else "".join(lines))
    bad.write_text(good.read_text() + line)
    arguments = ("train", *((bad,) if of == "FILE" else (good, "--dev", bad)), "-o", model)
    sentence = fails(*arguments)
    assert f"{name}, line 3: {found}" in sentence
    assert sentence.endswith(" is for --task multilabel, where a text has any number of labels")
    assert "multilabel" not in fails(*arguments, "--task", "classify")
    assert command(*arguments, *small, "--quiet", "--task", "multilabel").status == 0


def test_nul_bytes_and_empty_texts_are_texts(command, tmp_path):
    (tmp_path / "r.tsv").write_bytes(b"pos\ta\0b\nneg\t\npos\tc\nneg\td\n")
    finished = command("train", tmp_path / "r.tsv", "-o", tmp_path / "m", "--set", "max_iter=1")
    assert finished.status == 0
    assert "read 4 texts" in finished.err


def test_folders_and_unknown_names_as_input(fails, tmp_path):
    assert "is a folder, but a file was expected" in fails("train", tmp_path, "-o", tmp_path / "m")
    (tmp_path / "r.dat").write_text("good film\nbad one here\n")
    assert "name tells no other format" in fails("train", tmp_path / "r.dat", "-o", tmp_path / "m")
    options = ("--task", "classify")
    assert "does not tell the format" in fails("train", tmp_path / "r.dat", "-o", tmp_path / "m", *options)
    assert "there is no file" in fails("train", tmp_path / "r.tsv", "-o", tmp_path / "m")


def test_a_dev_label_that_is_not_learned(fails, table, tmp_path):
    dev = tmp_path / "dev.tsv"
    dev.write_text("good\ta\nfair\tb\n")
    for stream in ([], ["--stream"]):
        sentence = fails("train", table, "-o", tmp_path / "m", "--dev", dev, *stream)
        assert f'dev.tsv, line 2: the label "fair" does not occur in {table}' in sentence


def test_plot_draws_a_picture(command, table, small, tmp_path):
    for name, dev in (("a.png", []), ("b.svg", ["--dev", table])):
        finished = command("train", table, "-o", tmp_path / "m", "--plot", tmp_path / name, *dev, *small)
        assert finished.status == 0
        assert f"drew {tmp_path / name}" in finished.err
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "b.svg").read_text()


def test_a_missing_matplotlib_is_noticed_before_the_texts_are_read(fails, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "broken.tsv").write_text("no label\n")
    sentence = fails("train", tmp_path / "broken.tsv", "-o", tmp_path / "m", "--plot", tmp_path / "c.png")
    assert sentence.endswith("python -m pip install matplotlib")


def test_the_progress_bar_is_for_terminals_only(command, table, small, tmp_path, monkeypatch):
    assert "epoch" not in command("train", table, "-o", tmp_path / "a", *small).err.splitlines()[0]
    monkeypatch.setattr("textcnn.cli.train.sys", type("Sys", (), {"stderr": _Terminal()}))
    assert "epoch 25/25" in command("train", table, "-o", tmp_path / "b", *small).err
    assert command("train", table, "-o", tmp_path / "c", "--quiet", *small).err == ""
    assert len({(tmp_path / name).read_bytes() for name in "abc"}) == 1


class _Terminal:
    def isatty(self):
        return True


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_writes_nothing(table, tmp_path):
    code = (
        "import os, signal, sys, textcnn.nn.training as t\n"
        "from textcnn.cli import main\n"
        "step = t.Trainer._step\n"
        "def interrupted(self, *args):\n"
        "    os.kill(os.getpid(), signal.SIGINT) if self.n_steps == 5 else None\n"
        "    return step(self, *args)\n"
        "t.Trainer._step = interrupted\n"
        f"sys.exit(main(['train', {str(table)!r}, '-o', {str(tmp_path / 'm')!r}]))"
    )
    finished = run_python("-c", code, timeout=120)
    assert finished.returncode == 130
    assert finished.stderr == "textcnn: interrupted\n"
    assert list(tmp_path.iterdir()) == []


def test_the_handler_of_ctrl_c_is_given_back(command, table, small, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    command("train", table, "-o", tmp_path / "m", *small)
    assert signal.getsignal(signal.SIGINT) is before


def test_warnings_are_one_line(command, table, small, tmp_path):
    (tmp_path / "v.txt").write_text("elsewhere 1 2\n")
    finished = command(
        "train", table, "-o", tmp_path / "m", "--quiet", "--set", f"embeddings={tmp_path / 'v.txt'}", *small
    )
    assert finished.status == 0
    assert finished.err.startswith("textcnn: warning: none of the ")
    assert len(finished.err.splitlines()) == 1


def test_a_model_from_the_command_line_predicts_in_python(model):
    assert textcnn.load(model).predict(["a witty story", "the noisy town"]).tolist() == ["good", "bad"]
