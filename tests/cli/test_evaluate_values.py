"""Every command with models of several labels, and of numbers."""

import json

import numpy as np
import pytest
from samples import GOOD, reviews
from sklearn.metrics import mean_absolute_error, precision_recall_fscore_support, r2_score

import textcnn
from textcnn import MultilabelPredictor, RegressionPredictor, TextCNNRegressor


def rows(n, seed):
    """Texts with their labels, good and town, and with numbers."""
    texts, _ = reviews(n, seed)
    words = [set(text.split()) for text in texts]
    labels = [
        [*(["good"] if found & set(GOOD) else []), *(["town"] if "town" in found else [])] for found in words
    ]
    return texts, labels, [1.5 + 3 * ("good" in names) + ("town" in names) for names in labels]


X, LABELS, NUMBERS = rows(100, 0)
X_NEW, LABELS_NEW, NUMBERS_NEW = rows(30, 1)


def tsv(path, labels, texts):
    path.write_text("".join(f"{label}\t{text}\n" for label, text in zip(labels, texts, strict=True)))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Training and test files by task."""
    folder = tmp_path_factory.mktemp("values")
    return {
        "multilabel": (
            tsv(folder / "labels.tsv", map("|".join, LABELS), X),
            tsv(folder / "labels-test.tsv", map("|".join, LABELS_NEW), X_NEW),
        ),
        "regress": (
            tsv(folder / "numbers.tsv", NUMBERS, X),
            tsv(folder / "numbers-test.tsv", NUMBERS_NEW, X_NEW),
        ),
        "new": tsv(folder / "new.txt", X_NEW, [""] * 30),
    }


@pytest.fixture
def trained(command, files, small, tmp_path):
    """Trains a model for a task; returns its path and what was said."""

    def train(task, *options):
        path = tmp_path / f"{task}.textcnn"
        arguments = ["train", files[task][0], "-o", path, "--task", task, *small, *options]
        finished = command(*arguments)
        assert finished.status == 0, finished.err
        return path, finished.err

    return train


def test_several_labels_from_end_to_end(command, files, trained):
    path, said = trained("multilabel", "--dev", files["multilabel"][1])
    assert "read 100 texts with 2 labels" in said
    assert "validation subset accuracy" in said
    model = textcnn.load(path)
    assert isinstance(model, MultilabelPredictor)
    assert model.classes_.tolist() == ["good", "town"]
    predicted = model.predict(X_NEW)
    expected = ["|".join(np.array(["good", "town"])[row == 1]) for row in predicted]
    assert command("predict", path, stdin="\n".join(X_NEW).encode()).out.splitlines() == expected
    lines = command("predict", path, "--proba", "--header", stdin=b"a lovely town").out.splitlines()
    assert lines[0] == "labels\tgood\ttown"
    assert lines[1].startswith("good|town\t")
    item = json.loads(command("predict", path, "--jsonl", "--proba", stdin=b"a dull town").out)
    assert item["labels"] == ["town"]
    assert item["probabilities"]["town"] > 0.5 > item["probabilities"]["good"]

    found = json.loads(command("evaluate", path, files["multilabel"][1], "--json").out)
    true = np.array([[name in names for name in ("good", "town")] for names in LABELS_NEW]).astype(int)
    for average in ("micro", "macro"):
        figures = precision_recall_fscore_support(true, predicted, average=average)[:3]
        assert list(found[f"{average}_average"].values()) == pytest.approx(figures)
    assert found["subset_accuracy"] == np.mean((true == predicted).all(axis=1)) > 0.8
    report = command("evaluate", path, files["multilabel"][1]).out
    assert report.startswith("all labels right ")
    assert "micro average" in report
    assert "good" in report
    info = command("info", path).out
    assert "2 labels: good, town" in info


def test_several_labels_in_jsonl(command, fails, small, tmp_path):
    path, model = tmp_path / "labels.jsonl", tmp_path / "m.textcnn"
    lines = [{"text": text, "label": names} for text, names in zip(X, LABELS, strict=True)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    arguments = ["train", path, "-o", model, "--task", "multilabel", *small]
    assert command(*arguments).status == 0
    assert textcnn.load(model).classes_.tolist() == ["good", "town"]
    path.write_text('{"text": "a", "label": ["x|y"]}\n')
    assert "labels without | were expected" in fails(*arguments)


def test_numbers_from_end_to_end(command, files, trained):
    path, said = trained("regress", "--dev", files["regress"][1])
    assert "read 100 texts\n" in said
    assert "validation R2" in said
    model = textcnn.load(path)
    assert isinstance(model, RegressionPredictor)
    predicted = model.predict(X_NEW)
    lines = command("predict", path, "--header", stdin="\n".join(X_NEW).encode()).out.splitlines()
    assert lines[0] == "value"
    np.testing.assert_allclose([float(line) for line in lines[1:]], predicted, rtol=1e-8)
    item = json.loads(command("predict", path, "--jsonl", stdin=X_NEW[0].encode()).out)
    assert item == {"value": pytest.approx(predicted[0], rel=1e-8)}

    found = json.loads(command("evaluate", path, files["regress"][1], "--json").out)
    assert found["r2"] == pytest.approx(r2_score(NUMBERS_NEW, predicted))
    assert found["mean_absolute_error"] == pytest.approx(mean_absolute_error(NUMBERS_NEW, predicted))
    assert found["texts"] == 30
    report = command("evaluate", path, files["regress"][1]).out
    assert report.startswith(f"R2 {found['r2']:.4f} on 30 texts")
    assert "mean absolute error" in report
    info = command("info", path, "--filters", "2").out
    assert "1 target: mean" in info
    assert "more" in info or "less" in info


def test_several_targets(command, fails, tmp_path):
    path = tmp_path / "m.textcnn"
    y = np.stack([NUMBERS, NUMBERS], axis=1)
    model = TextCNNRegressor(n_filters=4, embedding_dim=8, max_iter=2, activation="tanh", random_state=0)
    model.fit(X, y).save(path)
    lines = command("predict", path, "--header", stdin=b"a lovely town").out.splitlines()
    assert lines[0] == "value_1\tvalue_2"
    expected = model.predict(["a lovely town"])[0]
    np.testing.assert_allclose(np.array(lines[1].split("\t"), float), expected, rtol=1e-8)
    item = json.loads(command("predict", path, "--jsonl", stdin=b"a lovely town").out)
    assert len(item["values"]) == 2
    facts = json.loads(command("info", path, "--json").out)
    assert all(found["label"].split(" of ")[1] in ("target 1", "target 2") for found in facts["filters"])
    assert all(-1 <= found["activation"] <= 1 for found in facts["filters"])
    test = tsv(tmp_path / "test.tsv", NUMBERS_NEW, X_NEW)
    assert "predicts 2 numbers" in fails("evaluate", path, test)
    assert "predicts 2 numbers" in fails("report", path, test, "-o", tmp_path / "page.html")
    lines = command("explain", path, "--top", "1", stdin=b"a lovely town").out.splitlines()
    assert [line.strip() for line in lines if line.endswith(":")] == ["target 1:", "target 2:"]


def test_plots(command, files, trained, tmp_path):
    pytest.importorskip("matplotlib")
    for task in ("multilabel", "regress"):
        picture = tmp_path / f"{task}.svg"
        assert command("evaluate", trained(task)[0], files[task][1], "--plot", picture).status == 0
        assert "<svg" in picture.read_text("utf-8")


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        (
            ["good|town", "good", "bad"],
            'labels such as "good|town" were taken as they are; --task multilabel',
        ),
        (["a|b", "c|d", "e"], ""),
        (["a", "b", "c"], ""),
        ([str(i / 4) for i in range(12)], "12 different numbers were taken as labels; --task regress"),
        ([str(i) for i in range(5)], ""),
        (["1|2|", "1", "2"], ""),
    ],
)
def test_a_note_tells_of_the_task_that_labels_look_like(command, small, tmp_path, labels, note):
    table = tsv(tmp_path / "t.tsv", labels, ["a text"] * len(labels))
    arguments = ["train", table, "-o", tmp_path / "m", *small]
    said = command(*arguments).err.splitlines()
    assert [line for line in said if "--task" in line and note in line] == said[: bool(note)]
    assert len(said) == 3 + bool(note)
    assert "--task" not in command(*arguments, "--task", "classify").err


def test_what_makes_no_sense_is_refused_in_a_sentence(command, fails, files, trained, tmp_path):
    labels, numbers = trained("multilabel")[0], trained("regress")[0]
    for command_name in ("evaluate", "report"):
        arguments = [numbers, files["regress"][1], "--allow-unknown-labels"]
        more = ["-o", tmp_path / "page.html"] if command_name == "report" else []
        assert "--allow-unknown-labels is for classifiers" in fails(command_name, *arguments, *more)
    assert "--proba is for classifiers" in fails("predict", numbers, "--proba", stdin=b"a text")
    test = tsv(tmp_path / "test.tsv", ["good|ugly", "3"], ["a", "b"])
    assert 'line 1: the label "ugly" is unknown' in fails("evaluate", labels, test)
    found = json.loads(command("evaluate", labels, test, "--allow-unknown-labels", "--json").out)
    assert [row["label"] for row in found["labels"]] == ["good", "town", "ugly", "3"]
    assert '"good|ugly" is no finite number' in fails("evaluate", numbers, test)
    assert "--allow-unknown-labels is for classifiers" in fails(
        "evaluate", numbers, test, "--allow-unknown-labels"
    )


@pytest.mark.parametrize(
    ("task", "lines", "options", "message"),
    [
        ("regress", ["good\ta"], [], 'line 1: "good" is no finite number'),
        ("regress", ["1\ta", "nan\tb"], [], 'line 2: "nan" is no finite number'),
        ("regress", ["1\ta", "\tb"], [], "line 2: the label is missing"),
        ("regress", [], [], "has no texts, but training needs some"),
        ("regress", ["1\ta"], ["--stream"], "--stream is for --task classify"),
        ("regress", ["1\ta"], ["--set", "class_weight=balanced"], 'no parameter "class_weight"'),
        ("multilabel", ["a|\tx"], [], "line 1: an empty label stands beside |"),
        ("multilabel", ["a\tx", "\ty"], [], 'has the labels "a", but --task multilabel needs two or more'),
        ("multilabel", ["\tx"], [], "has the labels none"),
        ("multilabel", ["a|b\tx"], ["--stream"], "--stream is for --task classify"),
    ],
)
def test_files_that_do_not_fit(fails, tmp_path, task, lines, options, message):
    path = tmp_path / "train.tsv"
    path.write_text("".join(f"{line}\n" for line in lines))
    output = tmp_path / "m.textcnn"
    assert message in fails("train", path, "-o", output, "--task", task, *options)
    assert not output.exists()


def test_a_label_that_only_the_dev_file_has(fails, files, small, tmp_path):
    dev = tsv(tmp_path / "dev.tsv", ["good", "good|odd"], ["a", "b"])
    arguments = ["train", files["multilabel"][0], "-o", tmp_path / "m.textcnn", "--task", "multilabel"]
    assert 'line 2: the label "odd" does not occur' in fails(*arguments, "--dev", dev, *small)


def test_parameters_of_the_regressor_are_listed(command):
    listed = command("train", "--list-parameters", "--task", "regress").out
    assert "loss : " in listed
    assert "warmup_steps : " in listed
    assert "class_weight" not in listed
