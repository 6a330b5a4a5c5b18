"""textcnn train for taggers."""

import gzip
import io
import sys

import pytest
from textcnn.data import load_entities

import textcnn
from textcnn import TextCNNTagger

QUICK = ["--set", "n_channels=8", "--set", "n_iterations=1", "--set", "max_iter=2", "--set", "linear=0"]


def test_the_model_is_that_of_python(command, entities, tmp_path):
    finished = command("train", entities / "train.conll", "-o", tmp_path / "m", "--seed", 5, *QUICK)
    assert (finished.status, finished.out) == (0, "")
    summary = finished.err.splitlines()
    assert summary[0] == "read 395 sentences, 4,845 tokens, 9 tags (BIO)"
    assert summary[1].startswith("trained 2 epochs, loss ")
    assert summary[2].startswith(f"wrote {tmp_path / 'm'} (")
    expected = TextCNNTagger(n_channels=8, n_iterations=1, max_iter=2, linear=0, random_state=5)
    expected.fit(*load_entities()).save(tmp_path / "expected")
    assert (tmp_path / "m").read_bytes() == (tmp_path / "expected").read_bytes()


def test_the_number_of_threads_is_no_part_of_the_file(command, entities, tmp_path):
    for name, more in (("a", []), ("b", ["--threads", "1"]), ("c", ["--threads", "3"])):
        finished = command("train", entities / "train.conll", "-o", tmp_path / name, "--quiet", *QUICK, *more)
        assert finished == (0, "", "")
    assert len({(tmp_path / name).read_bytes() for name in "abc"}) == 1


def test_validation_and_a_picture(command, entities, tmp_path):
    arguments = ("train", entities / "train.conll", "--dev", entities / "test.conll", "-o", tmp_path / "m")
    finished = command(*arguments, "--plot", tmp_path / "curve.png", *QUICK)
    assert finished.status == 0
    tagger = TextCNNTagger.load(tmp_path / "m")
    best = tagger.best_validation_score_
    assert f"validation F1 {best:.4f} in epoch" in finished.err
    assert "whose weights are kept" in finished.err
    assert tagger.score(*load_entities("test")) == pytest.approx(best)
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_tuples_and_a_file_of_parameters(command, entities, tmp_path):
    (tmp_path / "p.toml").write_text("dilations = [1, 2]\nchar_kernel_sizes = [2, 3]\nmax_iter = 1\n")
    arguments = ("train", entities / "train.conll", "-o", tmp_path / "m", *QUICK)
    more = ("--config", tmp_path / "p.toml", "--set", "prefix_lengths=2", "--set", "suffix_lengths=()")
    assert command(*arguments, *more, "--set", "char_kernel_sizes=3,4").status == 0
    tagger = TextCNNTagger.load(tmp_path / "m")
    assert tagger.dilations == (1, 2)
    assert tagger.char_kernel_sizes == (3, 4)
    assert tagger.prefix_lengths == (2,)
    assert tagger.suffix_lengths == ()


# ---- which task -------------------------------------------------------------------------------------

COLUMNS = "Anna\tB-PER\nleft\tO\n\nParis\tB-LOC\nsleeps\tO\n" * 3
CONLLU = (
    "# text = Anna left\n1\tAnna\t_\tPROPN\tNNP\t_\t_\t_\t_\t_\n2\tleft\t_\tVERB\tVBD\t_\t_\t_\t_\t_\n\n" * 3
)


def kind_of(path):
    """The kind of model in a file."""
    return type(textcnn.load(path)).__name__


@pytest.mark.parametrize("name", ["a.conll", "a.txt", "a.tsv", "a", "a.txt.gz"])
def test_column_files_are_recognised(command, tmp_path, name):
    data = COLUMNS.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    finished = command("train", tmp_path / name, "-o", tmp_path / "m", *QUICK)
    assert finished.status == 0
    assert "9 tags" not in finished.err
    assert kind_of(tmp_path / "m") == "TagPredictor"


@pytest.mark.parametrize("packed", [False, True])
def test_column_files_are_recognised_on_standard_input(command, tmp_path, packed):
    data = gzip.compress(COLUMNS.encode()) if packed else COLUMNS.encode()
    assert command("train", "-", "-o", tmp_path / "m", *QUICK, stdin=data).status == 0
    assert kind_of(tmp_path / "m") == "TagPredictor"


def test_labelled_texts_are_recognised(command, table, tmp_path):
    quick = ("--set", "max_iter=1", "--set", "n_filters=2")
    for source in (table, "-"):
        stdin = table.read_bytes()
        assert command("train", source, "-o", tmp_path / "m", *quick, stdin=stdin).status == 0
        assert kind_of(tmp_path / "m") == "Predictor"


def test_task_says_it(command, fails, table, tmp_path):
    (tmp_path / "a.txt").write_text("left O\nParis B-LOC\nragged\n")
    message = fails("train", tmp_path / "a.txt", "-o", tmp_path / "m")
    assert "does not begin like a column file" in message
    assert "give --task tag, or --format" in message
    assert "a.txt, line 3: 1 column" in fails(
        "train", tmp_path / "a.txt", "-o", tmp_path / "m", "--task", "tag"
    )
    # A table of texts read as columns, and columns as a table.
    (tmp_path / "b.tsv").write_text(COLUMNS)
    options = ("--task", "classify", "--set", "max_iter=1")
    assert command("train", tmp_path / "b.tsv", "-o", tmp_path / "m", *options).status == 0
    assert kind_of(tmp_path / "m") == "Predictor"


def test_columns_by_name_and_number(command, fails, tmp_path):
    (tmp_path / "a.conllu").write_text(CONLLU)
    arguments = ("train", tmp_path / "a.conllu", "-o", tmp_path / "m", *QUICK)
    for options, tags in (
        ([], ["PROPN", "VERB"]),
        (["--column", "xpos"], ["NNP", "VBD"]),
        (["--column", "5"], ["NNP", "VBD"]),
    ):
        assert command(*arguments, *options).status == 0
        assert textcnn.load(tmp_path / "m").classes_.tolist() == tags
    assert "there is no column 'pos'" in fails(*arguments, "--column", "pos")
    assert "there is no column 11" in fails(*arguments, "--column", "11")
    assert "tokens and tags are both to be read from" in fails(*arguments, "--column", "form")
    assert command(*arguments, "--column", "xpos", "--token-column", "upos").status == 0
    assert "PROPN" in command("info", tmp_path / "m", "--json").out.upper()


# ---- errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no rows"),
        ("\n\n\n", "has no rows"),
        ("-DOCSTART- -X- O\n\n", "has no "),
        ("Anna\nleft\n", "line 1: one column"),
        ("Anna B-PER\n\nleft O O\n", "line 3: 3 columns between spaces, but line 1 has 2"),
        ("Anna O\nleft O\n", 'every token has the tag "O"'),
        ("Anna\tO\n\tB-X\n", "line 2: the token is empty"),
    ],
)
def test_files_that_are_no_training_data(fails, tmp_path, text, reason):
    (tmp_path / "a.conll").write_text(text)
    message = fails("train", tmp_path / "a.conll", "-o", tmp_path / "m")
    assert message.startswith(str(tmp_path / "a.conll"))
    assert reason in message
    assert not (tmp_path / "m").exists()


def test_wrong_calls(fails, entities, table, tmp_path):
    conll, out = entities / "train.conll", tmp_path / "m"
    for options in (
        ["--stream"],
        ["--temporary-folder", tmp_path],
        ["--task", "tag", "--format", "tsv"],
        ["--task", "tag", "--text-column", "x"],
    ):
        message = fails("train", conll, "-o", out, *options)
        assert "is for classifiers, but" in message
        assert str(options[-2 if len(options) > 1 else -1]).lstrip("-") in message
    for option in ("--column", "--token-column"):
        message = fails("train", table, "-o", out, "--task", "classify", option, "2")
        assert f"{option} is for taggers" in message
    assert "there is no file" in fails("train", tmp_path / "none", "-o", out)
    assert "is a folder" in fails("train", tmp_path, "-o", out)
    assert "there is no file" in fails("train", conll, "--dev", tmp_path / "none", "-o", out)
    assert "both to come from standard input" in fails("train", "-", "--task", "tag", "--dev", "-", "-o", out)
    assert "is named twice" in fails("train", conll, "-o", conll)
    assert 'no parameter "n_filters"; perhaps "n_' in fails("train", conll, "-o", out, "--set", "n_filters=3")
    message = fails("train", conll, "-o", out, "--set", "dilations=0,1")
    assert message.startswith("--set dilations: dilations is (0, 1)")
    message = fails("train", conll, "-o", out, "--set", "embedding_mode=static")
    assert message.startswith("--set embedding_mode: embedding_mode is 'static', but embeddings is None")
    message = fails("train", conll, "-o", out, "--set", "embeddings=none.txt")
    assert message == "--set embeddings: there is no file none.txt"
    assert list(tmp_path.iterdir()) == []


def test_an_encoding(command, fails, tmp_path):
    (tmp_path / "a.conll").write_bytes("José B-PER\nleft O\n".encode("latin-1"))
    arguments = ("train", tmp_path / "a.conll", "-o", tmp_path / "m", *QUICK)
    assert "a.conll, line 1: the byte 0xe9 is not UTF-8 text" in fails(*arguments)
    assert command(*arguments, "--encoding", "latin-1").status == 0
    assert "josé" in command("info", tmp_path / "m").out


def test_tags_of_dev_that_training_lacks(command, fails, tmp_path):
    for name, text in (("a", COLUMNS), ("b", COLUMNS + "\nx\tB-NEW\n"), ("c", "x\tDET\ny\tNOUN\n")):
        (tmp_path / f"{name}.conll").write_text(text)
    arguments = ("train", tmp_path / "a.conll", "-o", tmp_path / "m", *QUICK, "--dev")
    finished = command(*arguments, tmp_path / "b.conll")
    assert finished.status == 0
    assert "b.conll has 1 tag that" in finished.err
    assert 'lacks: "B-NEW"' in finished.err
    assert "has none of the tags of" in fails(*arguments, tmp_path / "c.conll")


@pytest.mark.parametrize(
    "arguments", [["--task", "tag", "--list-parameters"], ["--list-parameters", "--task", "tag"]]
)
def test_the_parameters_of_a_tagger(command, arguments):
    finished = command("train", *arguments)
    assert finished.status == 0
    for name in TextCNNTagger().get_params():
        assert name in finished.out
    assert "n_filters" not in command("train", "--task", "tag", "--list-parameters").out.replace(
        "n_char_filters", ""
    )
    assert "n_filters" in command("train", "--list-parameters").out


def test_interrupted_training_leaves_the_older_model(entities, tmp_path, monkeypatch, capsys):
    from textcnn.cli import main

    (tmp_path / "m").write_bytes(b"older")

    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("textcnn.tagger.TextCNNTagger.fit", interrupted)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    assert main(["train", str(entities / "train.conll"), "-o", str(tmp_path / "m")]) == 130
    assert capsys.readouterr().err == "textcnn: interrupted\n"
    assert (tmp_path / "m").read_bytes() == b"older"


@pytest.mark.parametrize(
    "option", [["--format", "tsv"], ["--task", "classify"], ["--text-column", "2"], ["--label-column", "1"]]
)
def test_an_option_that_makes_a_column_file_a_table_is_named(fails, table, tmp_path, option):
    path = tmp_path / "some.conll"
    path.write_text("Anna NNP B-PER\nleft VBD O\n\nParis NNP B-LOC\n")
    message = fails("train", path, "-o", tmp_path / "m", *option)
    name = option[0] if option[0].endswith("column") else " ".join(option)
    assert f"looks like a column file, but {name} made it a table of texts for a classifier" in message
    path.write_text("good\ta bright film\nno text\n")
    assert "made it a table" not in fails("train", path, "-o", tmp_path / "m", "--format", "tsv")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (COLUMNS.replace("\n\n", "\n") * 20, "one sentence of 240 tokens; is there a blank line"),
        (
            "".join(f"X\tw{i}\nO\tv{i}\n\n" for i in range(12)),
            "24 tags, but 2 distinct tokens; have columns been",
        ),
        (COLUMNS.replace("B-", "B_"), "tags such as B_LOC are read as plain tags"),
        (COLUMNS.replace("B-PER", "PER-B").replace("B-LOC", "LOC-B"), "tags such as LOC-B are read as plain"),
        (COLUMNS.lower(), "tags such as b-loc are read as plain tags"),
        (COLUMNS, ""),
        (COLUMNS.replace("B-PER", "NNP").replace("B-LOC", "-LRB-"), ""),
    ],
)
def test_files_that_hardly_mean_what_is_read_are_noted(command, tmp_path, text, expected):
    path = tmp_path / "some.conll"
    path.write_text(text)
    finished = command("train", path, "-o", tmp_path / "m", *QUICK)
    assert finished.status == 0
    notes = finished.err.splitlines()[:-3]
    assert len(notes) == bool(expected)
    assert expected in "".join(notes)
    assert command("train", path, "-o", tmp_path / "m", "--quiet", *QUICK).err == ""


def test_the_parameters_are_those_of_the_task_that_the_file_shows(command, entities, table):
    assert "dilations" in command("train", entities / "train.conll", "--list-parameters").out
    assert "dilations" not in command("train", table, "--list-parameters").out
