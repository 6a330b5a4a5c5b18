"""Processes that are killed, disks that are full, folders that cannot be written to."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time

import pytest

resource = pytest.importorskip("resource", reason="Windows has neither limits nor SIGKILL")

SMALL_TEXT = ["max_iter=4", "n_filters=8", "embedding_dim=16", "batch_size=10"]
SMALL_TAGS = ["n_channels=16", "embedding_dim=16", "n_iterations=1", "max_iter=3", "linear_max_iter=3"]


def arguments(settings):
    return [word for setting in settings for word in ("--set", setting)]


def textcnn(*words):
    return [sys.executable, "-P", "-m", "textcnn", *map(str, words)]


def run(*words, **options):
    return subprocess.run(textcnn(*words), capture_output=True, text=True, timeout=300, **options)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def killed_after(command, seconds):
    """Start a command and kill it after some seconds; whether it was still running then."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return True
        assert process.returncode == 0, process.stderr.read()
        return False


def number_of_kills(few):
    """The test is run with a few kills, and with 200 of them where `-m long` asks for it."""
    return pytest.mark.parametrize("n_kills", [few, pytest.param(200, marks=pytest.mark.long)])


SAVE_IN_TURN = """
import sys, textcnn
from textcnn import TextCNNClassifier
models = [TextCNNClassifier.load(path) for path in sys.argv[1:3]]
print(flush=True)
while True:
    for model in models:
        model.save(sys.argv[3])
"""


@number_of_kills(5)
def test_a_kill_leaves_one_of_two_models_that_are_saved_in_turn(table, model, tmp_path, n_kills):
    other, target = tmp_path / "other.textcnn", tmp_path / "model.textcnn"
    settings = arguments([*SMALL_TEXT, "n_filters=30"])
    assert run("train", table, "-o", other, "--quiet", *settings).returncode == 0
    target.write_bytes(model.read_bytes())
    whole = {digest(model): 0, digest(other): 0}
    moment = random.Random(0)
    command = [sys.executable, "-P", "-c", SAVE_IN_TURN, model, other, target]
    # Few kills may all find the same model: then go on, until the other shows that the file is written.
    while sum(whole.values()) < n_kills or (min(whole.values()) == 0 and sum(whole.values()) < n_kills + 50):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(moment.uniform(0, 0.1))
            process.kill()
        whole[digest(target)] += 1  # a broken file would have another digest
    assert min(whole.values()) > 0


@number_of_kills(4)
def test_a_kill_of_training_leaves_the_old_model_or_the_new_one(table, model, tmp_path, n_kills):
    target = tmp_path / "model.textcnn"
    command = textcnn("train", table, "-o", target, "--quiet", *arguments(SMALL_TEXT))
    begin = time.monotonic()
    assert not killed_after(command, 300)
    duration = time.monotonic() - begin
    old, new = digest(model), digest(target)
    moment = random.Random(1)
    found = []
    for _ in range(n_kills):
        target.write_bytes(model.read_bytes())
        killed_after(command, moment.uniform(0, duration))
        found.append(digest(target))
    assert set(found) <= {old, new}
    assert old in found


@number_of_kills(4)
def test_a_kill_of_tagging_leaves_the_old_file_or_the_new_one(tagger, tmp_path, n_kills):
    story, target = tmp_path / "story.txt", tmp_path / "story.conll"
    story.write_text("Ms. Haag plays Elianti in Paris.\n" * 4000, encoding="utf-8")
    command = textcnn("tag", tagger, story, "-o", target)
    begin = time.monotonic()
    assert not killed_after(command, 300)
    duration = time.monotonic() - begin
    new = target.read_bytes()
    moment = random.Random(2)
    for _ in range(n_kills):
        target.write_bytes(b"old")
        was_killed = killed_after(command, moment.uniform(0, duration))
        assert target.read_bytes() in ((b"old", new) if was_killed else (new,))


def kill_until_done(command, duration, seed):
    """Start a command again and again, each time killed at a random moment, until it ends by itself."""
    moment = random.Random(seed)
    n_kills = 0
    while killed_after(command, moment.uniform(0.3, 1 + n_kills / 10) * duration):
        n_kills += 1
    return n_kills


@pytest.mark.parametrize(
    ("source", "settings"),
    [
        ("texts", [*SMALL_TEXT, "n_members=2", "early_stopping=true", "learning_rate='adaptive'"]),
        ("tags", SMALL_TAGS),
    ],
)
@pytest.mark.parametrize("n_rounds", [1, pytest.param(40, marks=pytest.mark.long)])
def test_training_goes_on_from_a_checkpoint_to_the_same_bits(
    source, settings, table, entities, tmp_path, n_rounds
):
    file = table if source == "texts" else entities / "train.conll"
    expected, target, folder = (tmp_path / name for name in ("expected", "model", "state"))
    common = ["train", file, "--quiet", *arguments(settings)]
    begin = time.monotonic()
    assert run(*common, "-o", expected).returncode == 0
    duration = time.monotonic() - begin
    for seed in range(n_rounds):
        n_kills = kill_until_done(textcnn(*common, "-o", target, "--checkpoint", folder), duration, seed)
        assert digest(target) == digest(expected), f"after {n_kills} kills"
        assert list(folder.iterdir()) == []


# A small file may be written, but not a model: as on a disk that is almost full.
ALMOST_FULL = 20_000


def limited():
    resource.setrlimit(resource.RLIMIT_FSIZE, (ALMOST_FULL, ALMOST_FULL))


def assert_fails_in_a_sentence(finished, *words):
    assert finished.returncode == 1
    assert finished.stderr.count("\n") == 1
    assert finished.stderr.startswith("textcnn: error: ")
    for word in words:
        assert word in finished.stderr


def test_a_full_disk_gives_a_sentence_and_leaves_no_litter(table, tagger, tmp_path):
    target, story = tmp_path / "out" / "model", tmp_path / "story.txt"
    target.parent.mkdir()
    target.write_text("old")
    story.write_text("Ms. Haag plays Elianti in Paris.\n" * 4000, encoding="utf-8")
    train = ["train", table, "-o", target, "--quiet", *arguments(SMALL_TEXT)]
    for words in (
        train,
        [*train, "--checkpoint", tmp_path / "state"],
        [*train, "--stream", "--temporary-folder", tmp_path],
        ["tag", tagger, story, "-o", target],
    ):
        finished = run(*words, preexec_fn=limited)
        assert_fails_in_a_sentence(finished, "cannot be written (File too large)")
        assert target.read_text() == "old"
        assert [path.name for path in target.parent.iterdir()] == ["model"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "state", "story.txt"]
    assert list((tmp_path / "state").iterdir()) == []


def locked_folders(tmp_path):
    """Folders that cannot be written to; the superuser may write to all that the system does not forbid."""
    if os.path.isdir("/proc/self"):
        yield "/proc/self"
    if os.geteuid() != 0:
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
        yield str(locked)


def test_a_read_only_folder_gives_a_sentence(table, model, tagger, tmp_path):
    folders = list(locked_folders(tmp_path))
    if not folders:
        pytest.skip("there is no folder that this user cannot write to")
    texts = tmp_path / "texts.txt"
    texts.write_text("good\n")
    for folder in folders:
        for words in (
            ["train", table, "-o", f"{folder}/model"],
            ["train", table, "-o", tmp_path / "model", "--checkpoint", f"{folder}/state"],
            ["train", table, "-o", tmp_path / "model", "--checkpoint", folder],
            ["tag", tagger, texts, "-o", f"{folder}/tags"],
            ["explain", model, texts, "--html", f"{folder}/page.html"],
            ["report", model, table, "-o", f"{folder}/page.html"],
        ):
            assert_fails_in_a_sentence(run(*words), folder)
    assert not (tmp_path / "model").exists()


def wait_for_checkpoint(folder, process):
    while not any(folder.glob("network-*.checkpoint")):
        assert process.poll() is None
        time.sleep(0.01)


def test_a_checkpoint_of_another_training_is_refused(table, tmp_path):
    folder, target = tmp_path / "state", tmp_path / "model"
    common = ["train", table, "-o", target, "--quiet", "--checkpoint", folder, *arguments(SMALL_TEXT)]
    common += ["--set", "max_iter=100000"]
    with subprocess.Popen(textcnn(*common)) as process:
        wait_for_checkpoint(folder, process)
        process.kill()
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert_fails_in_a_sentence(run(*common, "--seed", "5"), "is of another training", "another folder")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    (path,) = before
    path.write_bytes(before[path][:-1])
    assert_fails_in_a_sentence(run(*common), "cut short")
    assert not target.exists()


def test_control_c_with_a_checkpoint_ends_with_130_and_keeps_it(table, tmp_path):
    folder, target = tmp_path / "state", tmp_path / "model"
    command = textcnn("train", table, "-o", target, "--checkpoint", folder, "--set", "max_iter=100000")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        wait_for_checkpoint(folder, process)
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=60)[1]
    assert (process.returncode, err) == (130, "textcnn: interrupted\n")
    assert [path.name for path in folder.iterdir()] == ["network-0.checkpoint"]
    assert not target.exists()


@pytest.mark.parametrize("words", [["tag", "tagger"], ["predict", "model"], ["explain", "model"]])
def test_a_closed_pipe_is_quiet(words, model, tagger, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("Ms. Haag plays Elianti in Paris.\n" * 20000, encoding="utf-8")
    command = textcnn(words[0], {"tagger": tagger, "model": model}[words[1]], texts)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (0, b"")
