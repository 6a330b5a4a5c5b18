"""textcnn tag."""

import gzip
import json
import os
import re
import stat
import subprocess
import sys
import threading
import time

import pytest
from checks import run_python
from textcnn.data import load_entities, load_story

import textcnn
from textcnn.cli import tag
from textcnn.metrics import span_scores
from textcnn.text.columns import read_columns

# The command in a process of its own.
RUN = "import sys; from textcnn.cli import main; sys.exit(main(sys.argv[1:]))"

STORY = ["", *load_story()[:5], "  ", "", "Brackets [like] these\\ and 3/4", "映画 in Paris"]


@pytest.fixture
def story(tmp_path):
    path = tmp_path / "story.txt"
    path.write_text("".join(f"{line}\n" for line in STORY), encoding="utf-8")
    return path


def lines_of_text(out):
    """The blocks of rows of each line of text, read by the rule that the help states."""
    blocks, lines = [[]], []
    for row in out.split("\n")[:-1]:
        if row:
            blocks[-1].append(row.split("\t"))
        elif blocks[-1]:
            blocks.append([])
        else:
            lines.append(blocks[:-1])
            blocks = [[]]
    assert blocks == [[]]
    return lines


@pytest.mark.parametrize("sentences", ["split", "line"])
def test_the_tags_are_those_of_python_line_by_line(command, tagger, story, sentences):
    finished = command("tag", tagger, story, "--sentences", sentences)
    assert (finished.status, finished.err) == (0, "")
    expected = textcnn.load(tagger).tag(STORY, sentences=sentences)
    found = lines_of_text(finished.out)
    assert len(found) == len(STORY)
    assert any(len(blocks) > 1 for blocks in found) == (sentences == "split")
    for blocks, tagged in zip(found, expected, strict=True):
        rows = [row for block in blocks for row in block]
        assert rows == [[w, t] for w, t in zip(tagged.tokens, tagged.tags, strict=True)]
        assert [len(block) for block in blocks] == [b - a for a, b in tagged.sentences if a < b]


@pytest.mark.parametrize(
    ("data", "n_lines"),
    [
        (b"", 0),
        (b"\n", 1),
        (b"a", 1),
        (b"Paris\n", 1),
        (b"a\r\n\r\nb\r\n", 3),
        (b"\xef\xbb\xbfa\n\0\n\x0c\n", 3),
        (b"\n\n\n", 3),
    ],
)
@pytest.mark.parametrize("form", ["conll", "jsonl", "inline"])
def test_a_line_in_is_a_line_out(command, tagger, data, n_lines, form):
    finished = command("tag", tagger, "--format", form, stdin=data)
    assert (finished.status, finished.err) == (0, "")
    if form == "conll":
        assert len(lines_of_text(finished.out)) == n_lines
    else:
        assert finished.out.count("\n") == n_lines


def test_probabilities_in_a_column(command, tagger, plain_tagger, story):
    rows = [
        row
        for blocks in lines_of_text(command("tag", tagger, story, "--probabilities").out)
        for block in blocks
        for row in block
    ]
    assert all((row[1] == "O") == (row[2] == "_") for row in rows)
    expected = [span for tagged in textcnn.load(tagger).tag(STORY) for span in tagged]
    shown = [float(row[2]) for row in rows if row[1].startswith("B-")]
    assert shown == pytest.approx([span.probability for span in expected], abs=6e-5)
    out = command("tag", plain_tagger, story, "--probabilities").out
    assert all(0 < float(row.split("\t")[2]) <= 1 for row in out.split("\n") if row)


def test_probabilities_leave_the_tags_in_column_2(command, tagger, tmp_path):
    assert "evaluate --column 2" in " ".join(command("tag", "--help").out.split())
    out = tmp_path / "out.conll"
    assert command("tag", tagger, "--probabilities", "-o", out, stdin=b"Anna left Paris .\n").status == 0
    found = command("evaluate", tagger, out, "--column", "2").out
    assert found.startswith("processed 4 tokens")
    assert "accuracy: 100.00%" in found


def test_jsonl(command, tagger, story):
    items = [json.loads(line) for line in command("tag", tagger, story, "--format", "jsonl").out.splitlines()]
    expected = textcnn.load(tagger).tag(STORY)
    assert [item["text"] for item in items] == STORY
    assert sum(len(item["spans"]) for item in items) > 5
    for item, tagged in zip(items, expected, strict=True):
        assert item["tokens"] == tagged.tokens
        assert item["tags"] == tagged.tags
        for span, wanted in zip(item["spans"], tagged, strict=True):
            assert item["text"][span["start"] : span["stop"]] == span["text"] == wanted.text
            assert span["label"] == wanted.label
            assert span["probability"] == pytest.approx(wanted.probability, rel=1e-5)
        assert [b - a for a, b in item["sentences"]] == [b - a for a, b in tagged.sentences if a < b]


def test_inline_can_be_read_back(command, tagger, story):
    text = re.compile(r"\\(.)|\[((?:[^\\\]]|\\.)*)\]\(((?:[^\\)]|\\.)*)\)")
    lines = command("tag", tagger, story, "--format", "inline").out.split("\n")[:-1]
    n_spans = 0
    for line, tagged in zip(lines, textcnn.load(tagger).tag(STORY), strict=True):
        spans = [(re.sub(r"\\(.)", r"\1", m[2]), m[3]) for m in text.finditer(line) if m[2] is not None]
        assert spans == [(span.text, span.label) for span in tagged]
        plain = text.sub(lambda m: m[1] or re.sub(r"\\(.)", r"\1", m[2]), line)
        assert plain == tagged.text
        n_spans += len(spans)
    assert n_spans > 5
    assert r"Brackets \[like\] these\\ and 3/4" in lines[-2]
    noted = command("tag", tagger, story, "--format", "inline", "--probabilities").out
    assert len(re.findall(r"\]\([A-Z]+ [01]\.\d{4}\)", noted)) == n_spans


def test_words_with_plain_tags(command, plain_tagger):
    stdin = b"Anna has 3/4 of a back\\slash\n"
    out = command("tag", plain_tagger, "--format", "inline", stdin=stdin).out
    pairs = [re.fullmatch(r"((?:[^\\/]|\\.)+)/((?:[^\\/]|\\.)+)", item).groups() for item in out.split()]
    tagged = textcnn.load(plain_tagger).tag(stdin.decode().rstrip())
    assert [re.sub(r"\\(.)", r"\1", word) for word, _ in pairs] == tagged.tokens
    assert [re.sub(r"\\(.)", r"\1", label) for _, label in pairs] == tagged.tags
    assert "Anna/UP has/LOW" in out
    noted = command("tag", plain_tagger, "--format", "inline", "--probabilities", stdin=stdin).out
    assert re.match(r"Anna/UP/[01]\.\d{4} has/LOW/", noted)


def test_labels_stay_in_their_line_and_brackets(command, tmp_path):
    from textcnn import TextCNNTagger

    X = [["Anna", "ran"], ["Ben", "sat"]] * 10
    y = [["B-a)\\\t\n", "O"]] * 20
    TextCNNTagger(max_iter=10, n_channels=8, random_state=0).fit(X, y).save(tmp_path / "m")
    out = command("tag", tmp_path / "m", "--format", "inline", stdin=b"Anna ran\n").out
    assert out == "[Anna](a\\)\\\\\\t\\n) ran\n"
    out = command("tag", tmp_path / "m", stdin=b"Anna ran\n").out
    assert out == "Anna\tB-a)\\\\\\t\\n\nran\tO\n\n\n"


def test_html_is_one_page(command, tagger, story, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("<b>Paris</b> & Walter Finch\n")
    assert command("tag", tagger, story, other, "--format", "html", "-o", tmp_path / "p.html").status == 0
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert page.count("<html") == page.count("</html>") == 1
    assert page.count('<div dir="auto"') == len(STORY) + 1
    assert "&lt;b&gt;" in page
    heads = [page.index(f"{path}</bdi></h2>") for path in (story, other)]
    assert heads[0] < page.index("映画") < heads[1] < page.index("&lt;b&gt;")
    assert "<h2" not in command("tag", tagger, story, "--format", "html").out
    n_spans = sum(map(len, textcnn.load(tagger).tag([*STORY, other.read_text().rstrip()])))
    assert page.count("<mark") == n_spans
    for name in ("story.txt", "other.txt", ";PER<", ";LOC<"):
        assert name in page


# ---- column files in --------------------------------------------------------------------------------

CONLL = """\
-DOCSTART- -X- O

Anna NNP I-PER
left VBD O


Paris NNP I-LOC
-DOCSTART- -X- O
Ben NNP I-PER
"""

CONLLU = """\
# text = Anna can't
1\tAnna\tanna\tPROPN\t_\t_\t_\t_\t_\t_
2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\t_
2\tca\tcan\tAUX\t_\t_\t_\t_\t_\t_
3\tn't\tnot\tPART\t_\t_\t_\t_\t_\t_

# a comment alone

1\tParis\tparis\tPROPN\t_\t_\t_\t_\t_\t_

"""


@pytest.mark.parametrize(
    "text", [CONLL, CONLLU, "", "\n\n", "a\n", "\n\na\n\n\n\nb\n\n", "a", "a b\r\n\r\nc d"]
)
def test_every_row_comes_back_with_a_column_more(command, tagger, text):
    finished = command("tag", tagger, "--input", "conll", stdin=text.encode())
    assert (finished.status, finished.err) == (0, "")
    given, found = text.splitlines(), finished.out.split("\n")[:-1]
    assert len(found) == len(given)
    for before, after in zip(given, found, strict=True):
        if not before or before.startswith("# "):
            assert after == before
        else:
            assert after.startswith(before)
            assert len(after.split()) == len(before.split()) + 1


def test_rows_without_a_token_of_their_own(command, tagger):
    rows = command("tag", tagger, "--input", "conll", stdin=CONLL.encode()).out.splitlines()
    assert rows[0] == "-DOCSTART- -X- O O"
    rows = command("tag", tagger, "--input", "conll", stdin=CONLLU.encode()).out.splitlines()
    assert rows[2].endswith("\t_\t_")
    expected = textcnn.load(tagger).predict([["Anna", "ca", "n't"], ["Paris"]])
    assert [row.split("\t")[-1] for row in (rows[1], rows[3], rows[4], rows[8])] == [
        *expected[0],
        *expected[1],
    ]


def test_the_output_is_the_input_of_conlleval(command, tagger, entities):
    out = command("tag", tagger, "--input", "conll", entities / "test.conll").out
    found = list(read_columns(out.splitlines()))
    sentences, tags = load_entities("test")
    assert [each.tokens for each in found] == sentences
    shown = command("evaluate", tagger, entities / "test.conll").out
    assert f"FB1: {100 * span_scores(tags, [each.tags for each in found]).f1:6.2f}\n" in shown


def test_tagged_conllu_can_be_evaluated(command, plain_tagger, tmp_path):
    rows = ["# text = Anna left", "1-2\tAnnaleft" + "\t_" * 8]
    rows += [f"{i}\t{w}\t_\t{t}" + "\t_" * 6 for i, (w, t) in enumerate([("Anna", "UP"), ("left", "LOW")], 1)]
    source, out = tmp_path / "gold.conllu", tmp_path / "tagged.conllu"
    source.write_text("\n".join(rows) + "\n\n")
    assert command("tag", plain_tagger, source, "--input", "conll", "-o", out).status == 0
    gold = command("evaluate", plain_tagger, source)
    assert gold.status == 0
    for options in ([], ["--column", "upos"]):
        assert command("evaluate", plain_tagger, out, *options) == gold
    assert command("evaluate", plain_tagger, out, "--column", "-1").out.startswith(
        "accuracy 1.0000 on 2 tokens"
    )


def test_sentences_of_two_files_stay_apart(command, tagger, tmp_path):
    for name, text in (("a", "x A\ny B"), ("b", "z\n\n"), ("c", "w B-LOC I\n")):
        (tmp_path / name).write_text(text)
    out = command("tag", tagger, "--input", "conll", *(tmp_path / name for name in "abc")).out
    assert [len(each.tokens) for each in read_columns(out.split("\n")[:3])] == [2]
    assert [row.split(" ")[0] for row in out.split("\n")] == ["x", "y", "", "z", "", "w", ""]


def test_another_token_column(command, tagger):
    stdin = b"1 Paris\n2 sleeps\n"
    out = command("tag", tagger, "--input", "conll", "--token-column", "2", stdin=stdin).out
    expected = textcnn.load(tagger).predict([["Paris", "sleeps"]])[0]
    assert out == f"1 Paris {expected[0]}\n2 sleeps {expected[1]}\n"


def test_errors_in_column_files(command, fails, tagger, tmp_path):
    path = tmp_path / "ragged.conll"
    path.write_text("Anna X O\nran Y O\n\nBen X O\nran\n")
    assert "ragged.conll, line 5: 1 column between spaces" in fails("tag", tagger, path, "--input", "conll")
    # What came before it is there.
    finished = command("tag", tagger, path, "--input", "conll")
    assert [line.split()[0] for line in finished.out.splitlines() if line] == ["Anna", "ran"]
    found = fails("tag", tagger, path, "--input", "conll", "--token-column", "4")
    assert "there is no column 4" in found
    assert "there is no column 'form'" in fails(
        "tag", tagger, path, "--input", "conll", "--token-column", "form"
    )


# ---- files and streams ------------------------------------------------------------------------------


def test_many_files_packed_or_not(command, tagger, tmp_path):
    (tmp_path / "a.txt").write_text("Anna lives in Harwick.\n")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"Paris is far."))
    (tmp_path / "c.txt").write_bytes("Café in Otterholm\n".encode("latin-1"))
    paths = [tmp_path / name for name in ("a.txt", "b.txt.gz")]
    both = command("tag", tagger, *paths).out
    assert both == "".join(command("tag", tagger, path).out for path in paths)
    assert command("tag", tagger, paths[0], "-", stdin=paths[1].read_bytes()).out == both
    assert command("tag", tagger, "--quiet", *paths, "--threads", "1").out == both
    assert command("tag", tagger, paths[0], "--threads", "1", paths[1]).out == both
    assert command("tag", tagger, tmp_path / "c.txt", "--encoding", "latin-1").out.startswith("Café\t")


def test_an_output_file_is_whole_or_not_there(command, fails, tagger, story, tmp_path):
    out = tmp_path / "out.conll"
    finished = command("tag", tagger, story, "-o", out)
    assert (finished.status, finished.out) == (0, "")
    assert finished.err == f"wrote {out}, {len(STORY)} lines read\n"
    before = command("tag", tagger, story).out
    assert out.read_text(encoding="utf-8") == before
    assert command("tag", tagger, story, "-o", out, "--quiet") == (0, "", "")
    story.write_bytes(b"fine\n" * 9 + b"caf\xe9\n")
    assert "story.txt, line 10: the byte 0xe9" in fails("tag", tagger, story, "-o", out)
    assert out.read_text(encoding="utf-8") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.conll", "story.txt"]
    assert "is named twice" in fails("tag", tagger, story, "-o", story)


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="no such device")
def test_a_device_is_written_directly(command, tagger, story, tmp_path):
    link = tmp_path / "link"
    link.symlink_to("/dev/null")
    for place in ("/dev/null", link):
        assert command("tag", tagger, story, "-o", place, "--quiet") == (0, "", "")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert link.is_symlink()


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals")
@pytest.mark.parametrize("options", [[], ["--quiet"]])
def test_a_terminal_as_input_is_noted(tagger, options):
    ours, theirs = os.openpty()
    os.write(ours, b"Anna left\n\x04")
    try:
        finished = subprocess.run(
            [sys.executable, "-c", RUN, "tag", str(tagger), *options],
            stdin=theirs,
            capture_output=True,
            cwd=_root(),
            timeout=60,
            check=True,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert finished.stdout.startswith(b"Anna\t")
    assert finished.stderr == (b"" if options else b"reading from the terminal, end with Ctrl-D\n")


def test_what_came_before_a_wrong_line_is_written(command, tagger, story, tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"\xff\n")
    finished = command("tag", tagger, story, tmp_path / "bad.txt")
    assert finished.status == 1
    assert "bad.txt, line 1" in finished.err
    assert finished.out == command("tag", tagger, story).out


def test_errors(fails, model, tagger, story, tmp_path):
    assert "there is no file" in fails("tag", tagger, story, tmp_path / "none.txt")
    assert "is a folder" in fails("tag", tagger, story, tmp_path)
    assert "there is no file" in fails("tag", tmp_path / "none.textcnn", story)
    assert "is not a textcnn model file" in fails("tag", story, story)
    assert "holds a classifier, but a tagger was expected" in fails("tag", model, story)
    assert "with textcnn predict" in fails("tag", model, story)
    assert "no folder" in fails("tag", tagger, story, "-o", tmp_path / "none" / "out")
    assert "standard input is named twice" in fails("tag", tagger, "-", "-")
    for options, reason in (
        (["--input", "conll", "--format", "html"], "--format html is for plain text"),
        (["--input", "conll", "--probabilities"], "--probabilities is for plain text"),
        (["--input", "conll", "--sentences", "line"], "--sentences is for plain text"),
        (["--token-column", "2"], "--token-column is for column files"),
        (["--format", "jsonl", "--probabilities"], "has the probabilities anyway"),
        (["--format", "html", "--probabilities"], "has the probabilities anyway"),
    ):
        assert reason in fails("tag", tagger, story, *options)
    assert "invalid choice" in fails("tag", tagger, story, "--format", "xml", status=2)
    assert "unrecognized arguments" in fails("tag", tagger, story, "--nothing", status=2)
    assert "is no number of threads" in fails("tag", tagger, story, "--threads", "-5", status=2)
    assert "is no encoding" in fails("tag", tagger, story, "--encoding", "klingon", status=2)


@pytest.mark.parametrize("name", ["predict", "explain"])
def test_commands_for_classifiers_refuse_a_tagger(fails, tagger, story, name):
    assert "holds a tagger, but a classifier was expected; find spans" in fails(name, tagger, story)


@pytest.mark.parametrize("threads", ["1", "2", "3", "7"])
def test_batches_come_in_order_with_any_number_of_threads(command, tagger, story, threads, monkeypatch):
    whole = command("tag", tagger, story, story, story).out
    columns = command("tag", tagger, "--input", "conll", stdin=CONLL.encode() * 20).out
    monkeypatch.setattr(tag, "BATCH_CHARS", 20)
    monkeypatch.setattr(tag, "BATCH_TOKENS", 2)
    assert command("tag", tagger, story, story, story, "--threads", threads).out == whole
    options = ("--input", "conll", "--threads", threads)
    assert command("tag", tagger, *options, stdin=CONLL.encode() * 20).out == columns


def test_a_long_line(command, tagger):
    text = "Anna Webb lives in Harwick and works for the Coast Office . " * 20_000
    out = command("tag", tagger, "--sentences", "line", "--quiet", stdin=text.encode()).out
    [[rows]] = lines_of_text(out)
    assert len(rows) == 12 * 20_000
    assert rows[:6] != rows[6:12]
    assert rows[240:1200] == rows[1200:2160]  # far from the ends all repetitions are alike


@pytest.mark.parametrize(
    ("options", "pieces"),
    [
        ([], [(b"Anna left.\n", 5), (b"Paris\n", 3), (b"\n", 1)]),
        ([], [(b"Anna left.\nPar", 5), (b"is\n", 3)]),
        (["--input", "conll"], [(b"Anna\nleft\n\n", 3), (b"Paris\n\n", 2), (b"\n", 0)]),
        (["--input", "conll"], [(b"Anna\nleft\n\nParis\n", 3), (b"is\n\nfar\n", 3), (b"\nx\n\n", 4)]),
    ],
)
def test_each_line_is_answered_at_once(tagger, options, pieces):
    arguments = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": _root()}
    arguments["env"] = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen([sys.executable, "-c", RUN, "tag", tagger, *options], **arguments) as process:
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        for piece, n_lines in pieces:
            process.stdin.write(piece)
            process.stdin.flush()
            found = [process.stdout.readline() for _ in range(n_lines)]  # nothing comes if it is held back
            assert all(found)
            assert found[-1:] in ([], [b"\n"])
        watchdog.cancel()
        process.stdin.close()
        assert process.stdout.read().strip() == b""
    assert process.returncode == 0


@pytest.mark.parametrize("options", [[], ["--input", "conll"]])
def test_a_file_is_answered_before_standard_input_is_waited_for(tagger, tmp_path, options):
    path = tmp_path / "first"
    path.write_text("Anna\nleft\n\n")
    expected = subprocess.run(
        [sys.executable, "-c", RUN, "tag", tagger, path, *options], capture_output=True, cwd=_root()
    ).stdout
    assert expected.count(b"\n") >= 3
    command = [sys.executable, "-c", RUN, "tag", tagger, path, "-", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_root()) as process:
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        assert b"".join(process.stdout.readline() for _ in range(expected.count(b"\n"))) == expected
        process.stdin.close()
        watchdog.cancel()
    assert process.returncode == 0


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "status", "word"), [(2, 130, "interrupted"), (15, 143, "terminated")])
def test_a_signal_ends_it_and_leaves_no_file(tagger, tmp_path, number, status, word):
    command = [sys.executable, "-c", RUN, "tag", str(tagger), "-", "-o", str(tmp_path / "out")]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": _root()}
    with subprocess.Popen(command, **pipes) as process:
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        process.stdin.write(b"Anna left.\n")
        process.stdin.flush()
        while not list(tmp_path.iterdir()) and process.poll() is None:
            time.sleep(0.02)
        time.sleep(0.2)
        process.send_signal(number)
        assert process.stderr.read().decode() == f"textcnn: {word}\n"
        watchdog.cancel()
    assert process.returncode == status
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_had_enough(tagger, tmp_path):
    path = tmp_path / "many.txt"
    path.write_text("Anna Webb left Harwick.\n" * 100_000)
    pipeline = f"{sys.executable} -c '{RUN}' tag {tagger} {path} --format inline | head -n 2"
    finished = subprocess.run(["sh", "-c", pipeline], capture_output=True, text=True, cwd=_root())
    assert len(finished.stdout.splitlines()) == 2
    assert finished.stderr == ""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_read_once(command, tagger, story, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(story.read_bytes()))
    writer.start()
    finished = command("tag", tagger, pipe)
    writer.join()
    assert finished == command("tag", tagger, story)


def test_a_progress_bar_on_a_terminal_only(command, tagger, story, tmp_path, monkeypatch):
    packed = tmp_path / "b.txt.gz"
    packed.write_bytes(gzip.compress(story.read_bytes() * 100))
    arguments = ("tag", tagger, story, packed, "-o", tmp_path / "out")
    assert "tagging" not in command(*arguments).err
    monkeypatch.setattr("textcnn.cli.tag._on_terminal", lambda stream: stream is sys.stderr)
    shown = command(*arguments).err
    total = story.stat().st_size + packed.stat().st_size
    assert "tagging: 100%" in shown
    assert re.search(rf"{total / 1000:.2f}k/{total / 1000:.2f}k", shown)
    assert command(*arguments, "--quiet").err == ""
    assert "B/s" in command("tag", tagger, "-o", tmp_path / "out", stdin=b"a\n").err


def _root():
    """The folder from which this textcnn is imported."""
    return textcnn.__path__[0].removesuffix("textcnn")


@pytest.mark.parametrize("arguments", [["tag"], ["tag", "--format", "html"], ["info"]])
def test_neither_scikit_learn_nor_scipy_is_imported(tagger, story, arguments):
    name, *options = arguments
    files = [str(tagger)] if name == "info" else [str(tagger), str(story)]
    code = (
        "import sys\nfrom textcnn.cli import main\n"
        f"status = main({[name, *files, *options]!r})\n"
        "print(status, [name for name in ('sklearn', 'scipy', 'tqdm', 'matplotlib') if name in sys.modules])"
    )
    assert run_python("-c", code, timeout=60).stdout.splitlines()[-1] == "0 []"


def test_a_column_file_given_as_text_is_noted(command, tagger, tmp_path):
    path = tmp_path / "some.conll"
    path.write_text("Kim\tB-PER\nleft\tO\n\nSo\tO\nit\tO\n")
    assert "looks like a column file; --input conll keeps its tokens" in command("tag", tagger, path).err
    assert command("tag", tagger, path, "--input", "conll").err == ""
    assert command("tag", tagger, path, "--quiet").err == ""
