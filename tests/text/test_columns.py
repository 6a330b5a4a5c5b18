"""Column files: formats, errors with their lines, writing back, telling them from tables."""

import gzip
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textcnn.text.columns import (
    ColumnFileError,
    append_column,
    looks_like_columns,
    read_column_lines,
    read_columns,
    write_columns,
)
from textcnn.text.tags import detect_scheme, spans

CONLL = """\
-DOCSTART- -X- -X- O

Ines NNP I-NP I-PER
left VBD I-VP O
Porto NNP I-NP I-LOC

It PRP I-NP O
# NN I-NP O
-DOCSTART- -X-
Rain NN I-NP O
"""

CONLLU = """\
# newdoc
# text = We don't .
1\tWe\twe\tPRON\tPRP\t_\t3\tnsubj\t_\t_
2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
2\tdo\tdo\tAUX\tVB\t_\t0\troot\t_\t_
3\tn't\tnot\tPART\tRB\t_\t2\tadvmod\t_\t_
3.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_

# text = a b
1\ta b\ta b\tX\tFW\t_\t0\troot\t_\t_
"""


def read(text, *args, **options):
    return list(read_columns(text.split("\n"), *args, **options))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.conll"


# Formats


def test_conll_2003_has_its_tag_in_the_last_column():
    sentences = read(CONLL)
    assert [s.tokens for s in sentences] == [["Ines", "left", "Porto"], ["It", "#"], ["Rain"]]
    assert [s.tags for s in sentences] == [["I-PER", "O", "I-LOC"], ["O", "O"], ["O"]]
    assert [s.line for s in sentences] == [3, 7, 10]


@pytest.mark.parametrize(
    ("column", "tags"),
    [
        (None, ["I-PER", "O", "I-LOC"]),
        (2, ["NNP", "VBD", "NNP"]),
        ("3", ["I-NP", "I-VP", "I-NP"]),
        (-3, ["NNP", "VBD", "NNP"]),
        ("-1", ["I-PER", "O", "I-LOC"]),
    ],
)
def test_column_of_the_tags_by_number(column, tags):
    assert read(CONLL, column)[0].tags == tags


def test_column_of_the_tokens_by_number():
    assert read(CONLL, 1, 2)[0][:2] == (["NNP", "VBD", "NNP"], ["Ines", "left", "Porto"])


def test_conllu_is_told_by_its_rows_and_leaves_out_what_is_no_word():
    sentences = read(CONLLU)
    assert [s.tokens for s in sentences] == [["We", "do", "n't"], ["a b"]]
    assert [s.tags for s in sentences] == [["PRON", "AUX", "PART"], ["X"]]
    assert [s.line for s in sentences] == [3, 10]


@pytest.mark.parametrize(
    ("column", "tags"),
    [("upos", ["X"]), ("XPOS", ["FW"]), ("deprel", ["root"]), (5, ["FW"]), (-3, ["root"]), ("feats", ["_"])],
)
def test_columns_of_conllu_have_names(column, tags):
    assert read(CONLLU, column)[1].tags == tags


def test_conllu_may_begin_with_a_multiword_token_and_without_comment():
    rows = CONLLU.split("\n")
    assert [s.tokens for s in read("\n".join(rows[3:6]))] == [["do", "n't"]]


def test_hash_is_a_token_where_there_is_no_conllu():
    assert read("# NN\n1 CD\n")[0].tokens == ["#", "1"]
    assert read("#\tNN\n#1\tCD\n")[0].tokens == ["#", "#1"]


def test_chinese_files_hold_one_character_a_line():
    text = "林 B-NAME\n芳 E-NAME\n\u3000 O\n\u00a0 O\n\u2028 O\n"
    [sentence] = read_columns(io.StringIO(text, newline="\n"))
    assert sentence.tokens == ["林", "芳", "\u3000", "\u00a0", "\u2028"]


def test_tabs_divide_columns_if_the_first_row_has_one():
    [sentence] = read("New York\tB-LOC\n \tO\nsleeps\tO  \n")
    assert sentence.tokens == ["New York", " ", "sleeps"]
    assert sentence.tags == ["B-LOC", "O", "O"]


def test_any_number_of_spaces_divides_columns():
    assert read("Kim   B-PER\nleft O ")[0].tags == ["B-PER", "O"]


@pytest.mark.parametrize("blank", ["", " ", "\t", "  \t "])
def test_blank_lines_end_sentences(blank):
    sentences = read(f"{blank}\nKim O\n{blank}\n{blank}\nleft O")
    assert [(s.tokens, s.line) for s in sentences] == [(["Kim"], 2), (["left"], 5)]


def test_tokens_alone_need_one_column():
    assert [s[:2] for s in read("Kim\nleft\n\nRain\n", with_tags=False)] == [
        (["Kim", "left"], []),
        (["Rain"], []),
    ]
    assert [s[:2] for s in read(CONLLU, with_tags=False)] == [(["We", "do", "n't"], []), (["a b"], [])]
    assert read(CONLL, with_tags=False)[0][:2] == (["Ines", "left", "Porto"], [])


@pytest.mark.parametrize("text", ["", "\n\n", "-DOCSTART- -X- O\n\n"])
def test_no_rows_are_no_tokens(text):
    assert read(text, with_tags=False) == []


# Files


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("text", [CONLL, CONLLU])
def test_files_read_like_their_lines(path, packed, mark, end, text):
    data = (mark + text.replace("\n", end)).encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    assert list(read_columns(path)) == read(text)
    assert list(read_columns(str(path))) == read(text)
    assert read(mark + text.replace("\n", end)) == read(text)


def test_sentences_come_before_the_rest_is_read():
    def lines():
        yield from ["# NN", "a NN", "", "b NN"]
        raise AssertionError("read on too far")

    assert next(read_columns(lines())).tokens == ["#", "a"]


def test_bytes_that_are_no_utf8_are_located(path):
    path.write_bytes("é O\n\nè O\n".encode() + "ö O\n".encode("latin-1"))
    with pytest.raises(ColumnFileError, match=r"some.conll, line 4: the byte 0xf6 is not UTF-8"):
        list(read_columns(path))


@pytest.mark.parametrize("spoil", [lambda data: data[:-9], lambda data: data[:20] + b"\xff" * 9 + data[29:]])
def test_damaged_gzip_is_an_error(path, spoil):
    path.write_bytes(spoil(gzip.compress(CONLL.encode())))
    with pytest.raises(ColumnFileError, match=r"some.conll is a damaged gzip file"):
        list(read_columns(path))


def test_missing_file_is_an_oserror(path):
    with pytest.raises(FileNotFoundError):
        list(read_columns(path))


# Errors


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("a B O\n\nb O\n", None, "in, line 3: 2 columns between spaces, but line 1 has 3; give every row"),
        ("a O\nb\n", None, "in, line 2: 1 column between spaces, but line 1 has 2"),
        ("\n# O\na O X\n", None, "in, line 2: 2 columns between spaces, but line 3 has 3; comments"),
        ("a\tO\nb O\n", None, "in, line 2: 1 column between tabs"),
        ("a\tO\nb\t\n", None, "in, line 2: column 2, the last, is empty; fill the tag in"),
        ("a\tO\t\nb\tO\t\n", None, "in, line 1: column 3, the last, is empty; --column 2 names another"),
        ("a\tO\tx\nb\t\tx\n", 2, "in, line 2: the tag, in column 2 of 3, is empty; fill it in"),
        ("a\tO\nb\tB-X extra\n", None, "in, line 2: the tag is 'B-X extra', but a tag has no spaces"),
        (
            "# a comment\na\tO\n",
            None,
            "in, line 1: 3 columns between spaces, but line 2 has 1; comments.*only",
        ),
        ("# one\n# of these\na O\n", None, "in, line 1: .*but line 2 has 3; comments"),
        ("a O\n# a comment\n", None, "in, line 2: 3 columns.*, but line 1 has 2; comments.*take them out"),
        ("# SYM\na O\nb\n", None, "in, line 3: 1 column between spaces, but line 1 has 2; give every row"),
        ("a\tO\n\tO\n", None, "in, line 2: the token is empty"),
        ("", None, "in has no rows"),
        ("\n \n", None, "in has no rows"),
        ("-DOCSTART- O\n", None, "in has no rows"),
        ("a\nb\n", None, r"in, line 1: one column \('a'\), but a token and a tag"),
        ("a O\n", 3, "in, line 1: there is no column 3, for the row has 2 columns; .*1 to 2"),
        ("a O\n", 0, "there is no column 0"),
        ("a O\n", -3, "there is no column -3"),
        ("a O\n", "upos", "there is no column 'upos': only CoNLL-U has names"),
        (CONLLU, "pos", "line 3: there is no column 'pos': one of id, form, lemma, upos"),
        ("a O\n", 1, "tokens and tags are both to be read from column 1"),
        (CONLLU.replace("\n3\t", "\nx\t"), None, "line 6: the id is 'x'"),
        (CONLLU + "2\tb\n", None, "line 11: 2 columns between tabs, but line 3 has 10"),
    ],
)
def test_mistakes_are_located(text, column, message):
    with pytest.raises(ColumnFileError, match=message):
        read(text, column, name="in")


def test_file_is_named_in_errors(path):
    path.write_text("a O\nb\n")
    with pytest.raises(ColumnFileError, match=r"some\.conll, line 2: "):
        list(read_columns(path))
    with pytest.raises(ColumnFileError, match=r"the input, line 2: "):
        list(read_columns(["a O", "b"]))


# Writing

fields = st.text(st.characters(exclude_characters=" \t\r\n\ufeff", codec="utf-8"), min_size=1, max_size=4)


@given(st.lists(st.lists(st.tuples(fields, fields), min_size=1, max_size=4), min_size=1, max_size=4))
def test_what_is_written_is_read(rows):
    rows = [[(token.replace("-DOCSTART-", "-"), tag) for token, tag in sentence] for sentence in rows]
    sentences = [[token for token, _ in row] for row in rows]
    tags = [[tag for _, tag in row] for row in rows]
    out = io.StringIO(newline="\n")
    write_columns(sentences, tags, out)
    found = list(read_columns(io.StringIO(out.getvalue(), newline="\n")))
    assert [s.tokens for s in found] == sentences
    assert [s.tags for s in found] == tags


@pytest.mark.parametrize(
    ("sentences", "tags", "message"),
    [
        ([["a"], ["b", "c"]], [["O"], ["O"]], "sentence 1 has 2 tokens, but 1 tags"),
        ([["a b"]], [["O"]], "sentence 0 holds 'a b'"),
        ([["a"]], [[""]], "sentence 0 holds ''"),
        ([["a"]], [], "shorter"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(sentences, tags, message):
    with pytest.raises(ValueError, match=message):
        write_columns(sentences, tags, io.StringIO())


def appended(text, tag):
    """The lines of a text with the same tag behind each token, a blank line after each sentence."""
    blocks = read_column_lines(text.split("\n"), with_tags=False)
    return "\n\n".join("\n".join(append_column(block, [tag] * len(block.tokens))) for block in blocks)


def test_tags_are_appended_to_the_rows_of_the_user():
    expected = """\
-DOCSTART- -X- -X- O O

Ines NNP I-NP I-PER X
left VBD I-VP O X
Porto NNP I-NP I-LOC X

It PRP I-NP O X
# NN I-NP O X

-DOCSTART- -X- O

Rain NN I-NP O X"""
    assert appended(CONLL, "X") == expected


def test_conllu_keeps_its_comments_and_multiword_tokens():
    lines = appended(CONLLU, "X").split("\n")
    assert lines[:2] == CONLLU.split("\n")[:2]
    assert [line.rsplit("\t", 1)[1] for line in lines[2:7]] == ["X", "_", "X", "X", "_"]
    assert [line.rsplit("\t", 1)[0] for line in lines[2:7]] == CONLLU.split("\n")[2:7]


def test_hash_is_a_row_of_its_own_where_it_is_a_token():
    assert appended("#", "X") == "# X"
    assert appended("#1 O", "X") == "#1 O X"


def test_tags_to_append_must_be_as_many_as_tokens():
    [sentence] = read_column_lines(["a O", "b O"])
    with pytest.raises(ValueError, match="1 tags were given for a sentence of 2 tokens"):
        append_column(sentence, ["O"])


# Telling them from tables


@pytest.mark.parametrize(
    "text",
    [
        CONLL,
        CONLLU,
        "\ufeff" + CONLL,
        CONLL.split("\n")[0],
        "Kim B-PER\nleft O",
        "Kim\tNNP\tB-PER\nleft\tVBD\tO\n",
        "林 B-NAME\r\n芳 E-NAME\r\n\r\n",
        "\u3000\tO\n \tO\n林\tS-NAME\n",
        "the DT\nmill NN\n\nturns VBZ\n",
        "{ -LRB-\nthe DT\n} -RRB-\n\n{ -LRB-\n",
    ],
)
def test_column_files_are_recognised(text):
    assert looks_like_columns(text.split("\n"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "label\ttext\ngood\ta bright film\nbad\ta dull film\n",
        "good\tbright\nbad\tdull\ngood\twitty\n",
        "good\tbright\n\nbad\tdull\n\ngood\twitty\n",
        "good\ta bright film\n\nbad\ta dull film\nbad\tgrim\n",
        "体育\t今晚开赛\n财经\t股市上涨\n",
        "text,label\na bright film,good\na dull film,bad\n",
        '{"text": "bright", "label": "good"}\n{"text": "dull", "label": "bad"}\n\n'
        '{"text": "grim", "label": "bad"}\n',
        "Rain fell all night.\nThe mill stood still, and nobody came.\n\nThen it stopped.\n",
        "Good morning\n",
        "one\ntwo\n\nthree\n",
        "the DT\nmill NN\nturns VBZ\n",
    ],
)
def test_other_texts_are_not(text):
    assert not looks_like_columns(text.split("\n"))


# Public data sets


@pytest.mark.skipif("TEXTCNN_DATA" not in os.environ, reason="TEXTCNN_DATA names no folder of data")
@pytest.mark.parametrize(
    ("name", "n_sentences", "n_tokens", "scheme", "n_spans"),
    [
        ("conll2003/eng.train", 14041, 203621, "IOB1", 23499),
        ("conll2003/eng.testa", 3250, 51362, "IOB1", 5942),
        ("conll2003/eng.testb", 3453, 46435, "IOB1", 5648),
        ("conll2000/train.txt", 8936, 211727, "BIO", 106978),
        ("conll2000/test.txt", 2012, 47377, "BIO", 23852),
        ("ud_en_ewt/en_ewt-ud-train.conllu", 12544, 204577, None, None),
        ("ud_en_ewt/en_ewt-ud-dev.conllu", 2001, 25147, None, None),
        ("ud_en_ewt/en_ewt-ud-test.conllu", 2077, 25094, None, None),
        ("resumener/train.char.bmes", 3821, 124099, "BMES", 13440),
        ("resumener/dev.char.bmes", 463, 13890, "BMES", 1497),
        ("resumener/test.char.bmes", 477, 15100, "BMES", 1630),
    ],
)
def test_public_data_sets_have_their_published_counts(name, n_sentences, n_tokens, scheme, n_spans):
    path = Path(os.environ["TEXTCNN_DATA"]) / "tagging" / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    with path.open(encoding="utf-8", newline="\n") as file:
        assert looks_like_columns([line for line, _ in zip(file, range(100), strict=False)])
    y = [sentence.tags for sentence in read_columns(path)]
    assert (len(y), sum(map(len, y))) == (n_sentences, n_tokens)
    assert detect_scheme(y) == scheme
    assert scheme is None or sum(len(spans(tags, scheme)) for tags in y) == n_spans
