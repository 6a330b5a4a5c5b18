"""Tag schemes: detection, spans, conversion, transitions, inner tags."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textcnn.text.tags import SCHEMES, InnerTags, Span, allowed_transitions, convert, detect_scheme, spans

WITH_LABELS = [scheme for scheme in SCHEMES if not scheme.startswith("typeless")]
schemes = st.sampled_from(SCHEMES)
inner_schemes = st.sampled_from(["BIO", "BIOES"])


def written(sentence_spans, n_tokens, scheme):
    """Spans as tags, by the definitions of the schemes."""
    base = scheme.split()[-1]
    tags = ["O"] * n_tokens
    before = None
    for label, start, stop in sentence_spans:
        for i in range(start, stop):
            first, last = i == start, i == stop - 1
            if base == "BIO":
                letter = "B" if first else "I"
            elif base == "IOB1":
                touches = before is not None and before.stop == start and before.label == label
                letter = "B" if first and touches else "I"
            else:
                single, begin, middle, end = {
                    "BIOES": "SBIE",
                    "BMES": "SBME",
                    "BIOS": "SBII",
                    "BILOU": "UBIL",
                }[base]
                letter = single if first and last else begin if first else end if last else middle
            tags[i] = f"{letter}-{label}" if label else letter
        before = Span(label, start, stop)
    return tags


@st.composite
def sentences_of_spans(draw, labels):
    """Spans in order, and the length of their sentence."""
    shapes = st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from(labels))
    found, end = [], 0
    for gap, length, label in draw(st.lists(shapes, max_size=5)):
        found.append(Span(label, end + gap, end + gap + length))
        end += gap + length
    return found, end + draw(st.integers(0, 2))


def labels_for(scheme):
    return [""] if scheme.startswith("typeless") else ["PER", "S-ADV"]


def all_tags(scheme, labels=("X", "Y")):
    """Every tag that spans of one to three tokens can have, touching or not."""
    labels = [""] if scheme.startswith("typeless") else labels
    tags = {"O"}
    for label in labels:
        for length in (1, 2, 3):
            twice = [Span(label, 0, length), Span(label, length, 2 * length)]
            tags |= set(written(twice, 2 * length, scheme))
    return sorted(tags)


# Detection


@pytest.mark.parametrize(
    ("sentences", "scheme"),
    [
        ([["B-PER", "I-PER", "O", "B-LOC"]], "BIO"),
        ([["O", "B-PER", "B-PER"]], "BIO"),
        ([["I-PER", "I-PER", "O", "I-LOC"]], "IOB1"),
        ([["I-PER", "B-PER"], ["I-LOC"]], "IOB1"),
        ([["I-PER", "I-LOC", "O"], ["I-LOC", "B-LOC", "I-LOC"]], "IOB1"),
        ([["B-PER", "I-PER", "E-PER", "O", "S-LOC"]], "BIOES"),
        ([["B-PER", "E-PER", "O", "S-LOC"]], "BIOES"),
        ([["S-LOC", "O"]], "BIOES"),
        ([["B-NAME", "M-NAME", "E-NAME", "O"]], "BMES"),
        ([["B-X", "I-X", "I-X", "S-X", "O"]], "BIOS"),
        ([["B-X", "I-X", "L-X", "U-X", "O"]], "BILOU"),
        ([["U-X", "O"]], "BILOU"),
        ([["B", "I", "O"]], "typeless BIO"),
        ([["O", "B"]], "typeless BIO"),
        ([["I", "B", "O"]], "typeless IOB1"),
        ([["B", "M", "E", "S"]], "typeless BMES"),
        ([["B", "I", "E", "S", "O"]], "typeless BIOES"),
        ([["B-S-ADV", "I-S-ADV"]], "BIO"),
    ],
)
def test_scheme_is_told_from_the_tags(sentences, scheme):
    assert detect_scheme(sentences) == scheme
    assert detect_scheme(iter(tuple(tags) for tags in sentences)) == scheme


@pytest.mark.parametrize(
    "sentences",
    [
        [],
        [[]],
        [["O", "O"]],
        [["DET", "NOUN", "PROPN", "X"]],
        [["NN", "-LRB-", "B-NP", "O"]],
        [["S-ADV", "NN"]],
        [["B-", "O"]],
        [["-PER", "O"]],
        [["I", "O"]],
        [["B", "B-PER", "O"]],
        [["I-PER", "E-PER", "O"]],
        [["I-PER", "M-PER", "B-PER", "E-PER"]],
        [["b-per", "i-per", "O"]],
        [["B-PER", "NOUN-PHRASE"]],
    ],
)
def test_other_tags_are_plain(sentences):
    assert detect_scheme(sentences) is None


@pytest.mark.parametrize(
    ("n_begun_by_i", "n_needless_b", "scheme"), [(1, 5, "BIO"), (2, 2, "BIO"), (5, 1, "IOB1")]
)
def test_inconsistent_bio_is_read_as_the_scheme_that_fewer_spans_break(n_begun_by_i, n_needless_b, scheme):
    assert detect_scheme([["O", "I-X"]] * n_begun_by_i + [["O", "B-X"]] * n_needless_b) == scheme


@pytest.mark.parametrize("scheme", SCHEMES)
def test_all_tags_of_a_scheme_tell_it(scheme):
    label = "" if scheme.startswith("typeless") else "X"
    found = [Span(label, 0, 1), Span(label, 1, 3), Span(label, 4, 7), Span(label, 8, 9)]
    assert detect_scheme([written(found, 9, scheme)]) == scheme


# Spans and conversion


@given(data=st.data(), scheme=schemes)
def test_spans_are_those_that_were_written(data, scheme):
    found, n_tokens = data.draw(sentences_of_spans(labels_for(scheme)))
    assert spans(written(found, n_tokens, scheme), scheme) == found


@given(data=st.data(), source=schemes, target=schemes)
def test_conversion_writes_the_same_spans_and_comes_back(data, source, target):
    if source.startswith("typeless") != target.startswith("typeless"):
        target = source
    found, n_tokens = data.draw(sentences_of_spans(labels_for(source)))
    tags = written(found, n_tokens, source)
    converted = convert(tags, source, target)
    assert converted == written(found, n_tokens, target)
    assert convert(converted, target, source) == tags


@given(data=st.data(), scheme=schemes)
def test_any_sequence_becomes_a_valid_one_with_the_same_spans(data, scheme):
    tags = data.draw(st.lists(st.sampled_from(all_tags(scheme)), max_size=8))
    repaired = convert(tags, scheme, scheme)
    assert is_valid(repaired, scheme)
    assert spans(repaired, scheme) == spans(tags, scheme)


@pytest.mark.parametrize(
    ("tags", "scheme", "expected"),
    [
        ("O I-X I-X O", "BIO", [("X", 1, 3)]),
        ("B-X I-Y I-Y", "BIO", [("X", 0, 1), ("Y", 1, 3)]),
        ("B-X I-X", "IOB1", [("X", 0, 2)]),
        ("I-X B-Y I-Y", "IOB1", [("X", 0, 1), ("Y", 1, 3)]),
        ("B-X O E-X I-X", "BIOES", [("X", 0, 1), ("X", 2, 3), ("X", 3, 4)]),
        ("S-X I-X E-X E-X", "BIOES", [("X", 0, 1), ("X", 1, 3), ("X", 3, 4)]),
        ("M-X M-X B-X B-X", "BMES", [("X", 0, 2), ("X", 2, 3), ("X", 3, 4)]),
    ],
)
def test_invalid_sequences_are_read_as_conlleval_reads_them(tags, scheme, expected):
    assert spans(tags.split(), scheme) == expected


def test_plain_tags_stay():
    assert convert(("DET", "NOUN"), None, None) == ["DET", "NOUN"]


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("BIO", None, "plain tags"),
        (None, "BIO", "plain tags"),
        ("BIO", "typeless BIO", "only one of the two has labels"),
        ("BIO", "BOI", "'BOI', but one of BIO, IOB1"),
        (3, "BIO", "the tag scheme is 3"),
        ("BIOES", "BIO", "'M-X' is no tag of the scheme BIOES"),
        ("typeless BIO", "typeless BIOES", "'M-X' is no tag"),
    ],
)
def test_impossible_conversions_are_refused(source, target, message):
    with pytest.raises(ValueError, match=message):
        convert(["O", "M-X"], source, target)


def test_spans_of_plain_tags_are_refused():
    with pytest.raises(ValueError, match="the tag scheme is None"):
        spans(["NOUN"], None)


# Transitions


def is_valid(tags, scheme):
    """Whether the tags are just those with which the scheme writes some spans."""
    n = len(tags)
    labels = sorted({tag.partition("-")[2] for tag in tags if tag != "O"})
    found = spans(tags, scheme)
    assert all(span.label in labels for span in found)
    return written(found, n, scheme) == list(tags)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_transitions_allow_just_the_valid_sequences(scheme):
    tags = all_tags(scheme)
    start, between, stop = allowed_transitions(tags, scheme)
    for n in (1, 2, 3):
        for ids in product(range(len(tags)), repeat=n):
            allowed = start[ids[0]] and stop[ids[-1]] and all(between[i, j] for i, j in pairwise(ids))
            assert bool(allowed) == is_valid([tags[i] for i in ids], scheme)


def test_transitions_of_plain_tags_are_all_allowed():
    start, between, stop = allowed_transitions(["B-X", "NOUN", "I"], None)
    assert [a.dtype for a in (start, between, stop)] == [np.uint8] * 3
    assert (start.shape, between.shape, stop.shape) == ((3,), (3, 3), (3,))
    assert start.all()
    assert between.all()
    assert stop.all()


def test_transitions_do_not_depend_on_the_order_of_the_tags():
    tags = all_tags("BIOES")
    _, between, _ = allowed_transitions(tags, "BIOES")
    order = np.random.default_rng(0).permutation(len(tags))
    start, shuffled, stop = allowed_transitions([tags[i] for i in order], "BIOES")
    assert [a.dtype for a in (start, shuffled, stop)] == [np.uint8] * 3
    np.testing.assert_array_equal(shuffled, between[np.ix_(order, order)])


# Inner tags


@st.composite
def batches(draw, scheme):
    """Valid sentences, empty ones among them, and their spans."""
    drawn = draw(st.lists(sentences_of_spans(labels_for(scheme)), max_size=5))
    return [written(found, n, scheme) for found, n in drawn], [found for found, _ in drawn]


@given(data=st.data(), scheme=schemes, inner_scheme=inner_schemes)
def test_inner_tags_are_those_of_conversion_and_come_back(data, scheme, inner_scheme):
    sentences, found = data.draw(batches(scheme))
    inner = InnerTags(all_tags(scheme, labels_for(scheme)), scheme, inner_scheme)
    ids, offsets = inner.encode(sentences)
    assert ids.dtype == np.int32
    assert offsets.tolist() == np.cumsum([0, *map(len, sentences)]).tolist()
    flat = [tag for tags in sentences for tag in convert(tags, scheme, inner.inner_scheme)]
    assert [inner.inner_tags[i] for i in ids] == flat
    decoded = inner.decode(ids, offsets)
    assert decoded.dtype == np.int32
    assert [inner.tags[i] for i in decoded] == [tag for tags in sentences for tag in tags]
    sentence, label, start, stop = inner.find_spans(ids, offsets)
    rows = [(i, inner.labels[j], *place) for i, j, *place in zip(sentence, label, start, stop, strict=True)]
    assert rows == [(i, *span) for i, listed in enumerate(found) for span in listed]


@given(data=st.data(), scheme=schemes, inner_scheme=inner_schemes)
def test_any_inner_sequence_decodes_to_valid_tags(data, scheme, inner_scheme):
    inner = InnerTags(all_tags(scheme, labels_for(scheme)), scheme, inner_scheme)
    ids = np.array(data.draw(st.lists(st.integers(0, len(inner.inner_tags) - 1), max_size=8)), np.int32)
    cut = data.draw(st.integers(0, len(ids)))
    decoded = inner.decode(ids, np.array([0, cut, cut, len(ids)], np.intp))
    for part in (slice(0, cut), slice(cut, None)):
        names = [inner.inner_tags[i] for i in ids[part]]
        assert [inner.tags[i] for i in decoded[part]] == convert(names, inner.inner_scheme, scheme)


def test_invalid_training_tags_are_read_as_conlleval_reads_them():
    inner = InnerTags(["O", "B-X", "I-Y"], "BIO", "BIOES")
    ids, _ = inner.encode([["O", "I-Y"], ["I-Y", "B-X"]])
    assert [inner.inner_tags[i] for i in ids] == ["O", "S-Y", "S-Y", "S-X"]


def test_tags_are_completed_and_sorted_and_o_is_not_invented():
    inner = InnerTags(["S", "B"], "typeless BMES", "BIO")
    assert inner.tags == ["B", "E", "M", "S"]
    assert inner.inner_tags == ["B", "I"]
    assert inner.labels == [""]
    assert inner.inner_scheme == "typeless BIO"


def test_plain_tags_are_the_same_inside():
    inner = InnerTags(["VERB", "NOUN", "VERB"], None, "BIOES")
    assert inner.tags == inner.inner_tags == ["NOUN", "VERB"]
    assert inner.inner_scheme is None
    ids, offsets = inner.encode([["VERB"], [], ["NOUN", "VERB"]])
    assert ids.tolist() == inner.decode(ids, offsets).tolist() == [1, 0, 1]
    assert offsets.tolist() == [0, 1, 1, 3]
    assert [len(column) for column in inner.find_spans(ids, offsets)] == [0, 0, 0, 0]


def test_unknown_tag_is_located():
    with pytest.raises(ValueError, match=r"token 1 of sentence 2 is 'B-Z'.*B-X, I-X, O"):
        InnerTags(["O", "B-X"], "BIO").encode([["O"], [], ["O", "B-Z"]])


def test_unknown_inner_scheme_is_refused():
    with pytest.raises(ValueError, match="inner_scheme is 'IOB1', but 'BIO' or 'BIOES'"):
        InnerTags(["O"], "BIO", "IOB1")
