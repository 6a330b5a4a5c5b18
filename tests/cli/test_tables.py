"""Reading texts and labels: formats, encodings, and errors with file and line."""

import gzip
import io
import json
import sys

import pytest

from textcnn.cli import lines, tables
from textcnn.cli.lines import InputError

TEXTS = ["good, really", 'so "dull"', "naïve 映画"]
LABELS = ["pos", "neg", "pos"]


def read(path, **options):
    """Texts, labels and line numbers of a table, in one list each."""
    found = tables.format_of(str(path)) or "txt"
    source = tables.Table(str(path), options.pop("format", found), **options)
    texts, labels, numbers = [], [], []
    for batch in source.batches():
        texts += batch.texts
        labels += batch.labels or []
        numbers += batch.lines
    return texts, labels, numbers


def write(tmp_path, name, content):
    path = tmp_path / name
    data = content if isinstance(content, bytes) else content.encode("utf-8")
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


TSV = "".join(f"{label}\t{text}\n" for text, label in zip(TEXTS, LABELS, strict=True))
CSV = 'id,label,text\n1,pos,"good, really"\n2,neg,"so ""dull"""\n3,pos,naïve 映画\n'
JSONL = "".join(json.dumps({"text": t, "label": x}) + "\n" for t, x in zip(TEXTS, LABELS, strict=True))


@pytest.mark.parametrize("change", ["as is", "crlf", "no final newline", "bom", "gz", "chunks of 3 bytes"])
@pytest.mark.parametrize(("extension", "content"), [("tsv", TSV), ("csv", CSV), ("jsonl", JSONL)])
def test_every_format_gives_the_same_texts(tmp_path, monkeypatch, extension, content, change):
    name = f"reviews.{extension}" + (".gz" if change == "gz" else "")
    if change == "crlf":
        content = content.replace("\n", "\r\n")
    if change == "no final newline":
        content = content[:-1]
    if change == "bom":
        content = "\ufeff" + content
    if change == "chunks of 3 bytes":
        monkeypatch.setattr(lines, "CHUNK_SIZE", 3)
    texts, labels, numbers = read(write(tmp_path, name, content))
    assert (texts, labels) == (TEXTS, LABELS)
    assert numbers == ([2, 3, 4] if extension == "csv" else [1, 2, 3])


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8", "gb18030", "utf-32-le"])
def test_encodings(tmp_path, encoding):
    content = "pos\tcafé\nneg\tüber\n"
    texts, labels, _ = read(write(tmp_path, "a.tsv", content.encode(encoding)), encoding=encoding)
    assert texts == ["café", "über"]
    assert labels == ["pos", "neg"]


@pytest.mark.parametrize("chunk_size", [1, 4, 1000])
def test_bytes_that_are_not_utf8_are_found_with_their_line(tmp_path, monkeypatch, chunk_size):
    monkeypatch.setattr(lines, "CHUNK_SIZE", chunk_size)
    path = write(tmp_path, "a.tsv", "pos\tfine é\nneg\tfine\npos\t".encode() + b"caf\xe9 noir\nneg\tx\n")
    with pytest.raises(InputError, match=r"a\.tsv, line 3: the byte 0xe9 is not UTF-8 .*--encoding"):
        read(path)


def test_a_character_cut_off_at_the_end(tmp_path):
    with pytest.raises(InputError, match=r"line 2: the byte 0xe6 is not UTF-8"):
        read(write(tmp_path, "a.txt", "ok\n映".encode()[:-1]), with_labels=False)


def test_plain_text_keeps_empty_lines_and_odd_characters(tmp_path):
    path = write(tmp_path, "a.txt", "one\n\n two\x0b\x85\u2028three\x00\n\n")
    assert read(path, with_labels=False)[0] == ["one", "", " two\x0b\x85\u2028three\x00", ""]


def test_csv_fields_may_hold_newlines_and_errors_name_the_true_line(tmp_path):
    content = 'text,label\n"one\ntwo\nthree",pos\nfour,neg\n"five\nsix",neg,more\n'
    with pytest.raises(InputError, match=r"line 6: 3 fields, but the header on line 1 has 2 fields"):
        read(write(tmp_path, "a.csv", content))
    texts, labels, numbers = read(write(tmp_path, "b.csv", content.replace(",more", "")))
    assert texts == ["one\ntwo\nthree", "four", "five\nsix"]
    assert labels == ["pos", "neg", "neg"]
    assert numbers == [2, 5, 6]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "pos\tfine\nfine\n", r"line 2: 1 field, but a line is a label, a tab and a text"),
        (
            "a.tsv",
            "pos\tfine\nneg\ta\tb\n",
            r"line 2: 3 fields, but a line is a label, a tab and a text; replace tabs inside texts by",
        ),
        ("a.tsv", "id\tbody\tstars\n", r"by spaces; for a file with a header give --text-column and"),
        ("a.tsv", "text\tlabel\nfine\n", r"line 2: 1 field, but the header on line 1 has 2 fields; give"),
        ("a.csv", "text;label\nx;pos\n", r'among "text;label"; the fields of a \.csv are .* commas, .*\';\''),
        ("a.csv", "TEXT,Text,label\n", r'line 1: no column "text" among "TEXT", "Text", "label"'),
        ("a.tsv", "pos\tfine\n\n\n \tmissing\n", r"line 4: the label is missing"),
        ("a.tsv", "pos\0\tfine\n", r"line 1: the label ends with a NUL"),
        ("a.tsv", "a text" * 500 + "\tpos\n", r"line 1: the label has 3,000 characters; is it the text\?"),
        ("a.csv", "", r"a\.csv is empty, but a \.csv needs a first line"),
        ("a.csv", "body,label\nx,pos\n", r'line 1: no column "text" among "body", "label"; .*--text-column'),
        ("a.csv", "text,text,label\n", r'line 1: two columns have the name "text"'),
        ("a.csv", 'text,label\n"a,pos\n', r"line 2: a quoted field begins here and never ends"),
        ("a.csv", 'text,label\n"a" b,pos\n', r"line 2: this is no CSV"),
        ("a.csv", "text,label\na,\n", r"line 2: the label is missing"),
        (
            "a.jsonl",
            '{"text": "a", "label": 1}\n{"text": "a"\n',
            r"line 2: this is no JSON \(.* character 13\)",
        ),
        ("a.jsonl", "[1]\n", r"line 1: an object \{\.\.\.\} was expected, but this is a list"),
        ("a.jsonl", '\n{"body": "a", "label": 1}\n', r'line 2: no key "text" among "body", "label"'),
        ("a.jsonl", '{"text": 5, "label": 1}\n', r'line 1: "text" is a number, but a text in quotes'),
        (
            "a.jsonl",
            '{"text": "a", "label": null}\n',
            r'line 1: "label" is null, but a string or a number was expected',
        ),
        ("a.jsonl", '{"text": "a"}\n', r'line 1: the label is missing: no "label" among "text"'),
        (
            "a.jsonl",
            '{"text": "a", "label": ["x"]}\n',
            r'line 1: "label" is a list, but a string or a number',
        ),
        ("a.jsonl", '{"text": "a", "label": "\\ud800"}\n', r"line 1: the label .* half a surrogate pair"),
        ("a.jsonl", "[" * 100_000 + "\n", r"line 1: the JSON is nested too deeply"),
        ("a.jsonl", '{"text": "a", "label": ' + "1" * 5000 + "}\n", r"line 1: this is no JSON"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, name, content, message):
    with pytest.raises(InputError, match=message):
        read(write(tmp_path, name, content))


def test_columns_by_name(tmp_path):
    csv = write(tmp_path, "a.csv", "stars,body\n5,fine\n")
    assert read(csv, text_column="body", label_column="stars") == (["fine"], ["5"], [2])
    tsv = write(tmp_path, "a.tsv", "id\tbody\tstars\n1\tfine, so\t5\n")
    assert read(tsv, text_column="body", label_column="stars") == (["fine, so"], ["5"], [2])
    jsonl = write(tmp_path, "a.jsonl", '{"body": "fine", "stars": 5}\n')
    assert read(jsonl, text_column="body", label_column="stars") == (["fine"], ["5"], [1])


def test_a_tsv_with_the_usual_names_in_its_first_line_has_a_header(tmp_path):
    assert read(write(tmp_path, "a.tsv", "text\tlabel\nfine\tpos\n")) == (["fine"], ["pos"], [2])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "Text\tLabel\nfine\tpos\n"),
        ("a.csv", "TEXT, Label\nfine,pos\n"),
        ("a.csv", "Text,text,LABEL\nother,fine,pos\n"),
        ("a.jsonl", '{"Text": "fine", "Label": "pos"}\n'),
    ],
)
def test_names_of_columns_in_any_case(tmp_path, name, content):
    assert read(write(tmp_path, name, content))[:2] == (["fine"], ["pos"])


def test_one_column_under_two_names(tmp_path):
    path = write(tmp_path, "a.csv", "Body,stars\nfine,5\n")
    with pytest.raises(InputError, match=r'line 1: texts and labels are both to be read from "Body"'):
        read(path, text_column="body", label_column="BODY")


def test_labels_lose_blanks_around_them_and_json_values_become_text(tmp_path):
    assert read(write(tmp_path, "a.tsv", " pos \tfine\n"))[1] == ["pos"]
    values = [json.dumps({"text": "a", "label": label}) for label in ("x", 3, 1.5, True, False)]
    assert read(write(tmp_path, "a.jsonl", "\n".join(values)))[1] == ["x", "3", "1.5", "true", "false"]


def test_texts_to_predict_need_no_labels(tmp_path):
    assert read(write(tmp_path, "a.tsv", "\na\nb\n"), with_labels=False)[0] == ["", "a", "b"]
    assert read(write(tmp_path, "b.tsv", "x\ta\n\n\tb\n"), with_labels=False)[0] == ["a", "", "b"]
    assert read(write(tmp_path, "a.csv", "text,other\na,1\n\nb,2\n"), with_labels=False)[0] == ["a", "", "b"]
    assert read(write(tmp_path, "a.jsonl", '{"text": "a"}\n\n'), with_labels=False)[0] == ["a", ""]


def test_a_tab_in_a_text_to_predict(tmp_path):
    with pytest.raises(InputError, match=r"line 2: 2 fields, but the first line has no tab; --format txt"):
        read(write(tmp_path, "a.tsv", "a\nb\tc\n"), with_labels=False)


def test_more_tabs_than_one_in_a_text_to_predict(tmp_path):
    with pytest.raises(
        InputError, match=r"line 1: 3 fields, but a line is .*, or a text alone; replace tabs"
    ):
        read(write(tmp_path, "a.tsv", "a\tb\tc\n"), with_labels=False)
    with pytest.raises(InputError, match=r"line 2: 3 fields, but .*; replace tabs inside texts by spaces$"):
        read(write(tmp_path, "b.tsv", "a\tb\na\tb\tc\n"), with_labels=False)


def test_gzip_data_are_known_by_their_begin_or_name(tmp_path, monkeypatch):
    packed = gzip.compress(TSV.encode())
    for name in ("a.tsv", "a.tsv.GZ", "A.TSV.gz"):
        (tmp_path / name).write_bytes(packed)
        assert read(tmp_path / name)[0] == TEXTS
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(packed))))
    assert read("-", format="tsv")[0] == TEXTS
    (tmp_path / "a.tsv").write_bytes(packed[:-20])
    with pytest.raises(InputError, match=r"a\.tsv ends in the middle of its gzip data"):
        read(tmp_path / "a.tsv")


def test_very_long_fields(tmp_path):
    text = "word " * 100_000
    assert read(write(tmp_path, "a.csv", f'text,label\n"{text}",pos\n'))[0] == [text]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(TSV.encode() * 1000, mtime=0)[:-20], "ends in the middle of its gzip data"),
        (b"no gzip at all", "is no gzip file"),
        (gzip.compress(TSV.encode(), mtime=0)[:10] + b"\xff" * 30, "is no gzip file, or a damaged one"),
    ],
)
def test_damaged_gzip_files(tmp_path, data, message):
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        read(path)


def test_chunks_come_as_soon_as_there_is_a_line(monkeypatch):
    class Pipe(io.RawIOBase):
        """Gives what it is given, piece by piece."""

        pieces = [b"one\ntw", b"o\n", b"three"]  # noqa: RUF012

        def read1(self, size):
            return self.pieces.pop(0) if self.pieces else b""

    pipe = Pipe()
    monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": pipe}))
    chunks = lines.read_chunks("-")
    assert next(chunks) == (1, ["one"])
    assert len(pipe.pieces) == 2  # no piece was asked for before it was needed
    assert list(chunks) == [(2, ["two"]), (3, ["three"])]


def test_a_csv_record_is_given_before_more_is_read(monkeypatch):
    served = []

    class Pipe:
        pieces = (b"text\n", b"one\n", b'"two\n', b'more"\n')

        def read1(self, size):
            served.append(None)
            return self.pieces[len(served) - 1] if len(served) <= len(self.pieces) else b""

    monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": Pipe()}))
    batches = (batch for batch in tables.Table("-", "csv", with_labels=False).batches() if batch.texts)
    assert next(batches).texts == ["one"]
    assert len(served) == 2
    assert next(batches).texts == ["two\nmore"]
