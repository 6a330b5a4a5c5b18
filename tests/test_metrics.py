"""Scores of tags: golden output of conlleval, its rules line by line, the letters that it lacks, errors."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textcnn.metrics import SpanScores, TypeScores, conlleval_report, span_scores, token_accuracy
from textcnn.text.tags import convert, spans

GOLDEN = Path(__file__).parent / "data" / "conlleval"
CASES = sorted(path.stem for path in GOLDEN.glob("*.txt"))


def golden_tags(case):
    """True and predicted tags of a file with a token, a true tag and a predicted one a line."""
    text = (GOLDEN / f"{case}.txt").read_text(encoding="utf-8")
    sentences = [[line.split(" ") for line in part.split("\n")] for part in text.strip().split("\n\n")]
    return tuple([[row[column] for row in rows] for rows in sentences] for column in (1, 2))


def golden_report(case):
    return (GOLDEN / f"{case}.out").read_text(encoding="utf-8")


# The rules of the script, one line of a file after the other


def reference_start(before, letter, type_before, type_here):
    return (
        before + letter in ("BB", "IB", "OB", "OI", "EE", "EI", "OE")
        or (letter not in ("O", ".") and type_before != type_here)
        or letter in ("[", "]")
    )


def reference_end(before, letter, type_before, type_here):
    return (
        before + letter in ("BB", "BO", "IB", "IO", "EE", "EI", "EO")
        or (before not in ("O", ".") and type_before != type_here)
        or before in ("[", "]")
    )


def reference_split(tag):
    letter, hyphen, label = tag.partition("-")
    return (letter, label) if hyphen else (tag, "")


def reference_counts(y_true, y_pred):
    """True, predicted and right spans by type, and right tags."""
    true_counts, pred_counts, right_counts, n_right_tags = {}, {}, {}, 0
    last_true = last_pred = ("O", "")
    under_way = False
    for true_tags, pred_tags in zip(y_true, y_pred, strict=True):
        for i in range(len(true_tags) + 1):
            at_break = i == len(true_tags)
            true = ("O", "") if at_break else reference_split(true_tags[i])
            pred = ("O", "") if at_break else reference_split(pred_tags[i])
            true_place = (last_true[0], true[0], last_true[1], true[1])
            pred_place = (last_pred[0], pred[0], last_pred[1], pred[1])
            true_ends, pred_ends = reference_end(*true_place), reference_end(*pred_place)
            true_starts, pred_starts = reference_start(*true_place), reference_start(*pred_place)
            if under_way:
                if true_ends and pred_ends and last_true[1] == last_pred[1]:
                    under_way = False
                    right_counts[last_true[1]] = right_counts.get(last_true[1], 0) + 1
                elif true_ends != pred_ends or true[1] != pred[1]:
                    under_way = False
            if true_starts and pred_starts and true[1] == pred[1]:
                under_way = True
            if true_starts:
                true_counts[true[1]] = true_counts.get(true[1], 0) + 1
            if pred_starts:
                pred_counts[pred[1]] = pred_counts.get(pred[1], 0) + 1
            n_right_tags += not at_break and true == pred
            last_true, last_pred = true, pred
    if under_way:
        right_counts[last_true[1]] = right_counts.get(last_true[1], 0) + 1
    return true_counts, pred_counts, right_counts, n_right_tags


@st.composite
def tagged_pairs(draw, letters, labels):
    """True and predicted tags of some sentences, with tokens; most tags agree."""
    tags = ["O", *(f"{letter}-{label}" if label else letter for letter in letters for label in labels)]
    pairs = st.sampled_from(tags).flatmap(
        lambda tag: st.tuples(st.just(tag), st.sampled_from([tag] * 2 + tags))
    )
    sentences = draw(st.lists(st.lists(pairs, max_size=7), min_size=1, max_size=4).filter(any))
    return tuple([[pair[side] for pair in pairs] for pairs in sentences] for side in (0, 1))


def assert_counts_are_those_of_the_script(y_true, y_pred):
    scores = span_scores(y_true, y_pred, "BIO")
    true_counts, pred_counts, right_counts, n_right_tags = reference_counts(y_true, y_pred)
    found = {name: (s.n_true, s.n_pred, s.n_correct) for name, s in scores.by_type.items()}
    names = sorted(true_counts.keys() | pred_counts.keys())
    assert list(found) == names
    assert found == {
        name: tuple(counts.get(name, 0) for counts in (true_counts, pred_counts, right_counts))
        for name in names
    }
    sums = [sum(counts.values()) for counts in (true_counts, pred_counts, right_counts)]
    assert [scores.n_true, scores.n_pred, scores.n_correct] == sums
    assert scores.n_correct_tokens == n_right_tags


@given(tagged_pairs("BI", ["PER", "LOC"]))
def test_counts_of_bio_are_those_of_the_script(y):
    assert_counts_are_those_of_the_script(*y)
    assert span_scores(*y) == span_scores(*y, "BIO")


@given(tagged_pairs(["B", "I", "E", "S", "[", "]", ".", "NN"], ["", "X", "A-B"]))
def test_counts_of_any_letters_are_those_of_the_script(y):
    assert_counts_are_those_of_the_script(*y)


# Golden output


@pytest.mark.parametrize("case", CASES)
def test_report_is_that_of_conlleval(case):
    y_true, y_pred = golden_tags(case)
    assert conlleval_report(span_scores(y_true, y_pred, "BIO")) == golden_report(case)


@pytest.mark.parametrize("case", [case for case in CASES if case != "ioe"])
def test_scheme_need_not_be_named(case):
    y_true, y_pred = golden_tags(case)
    assert conlleval_report(span_scores(y_true, y_pred)) == golden_report(case)


def test_golden_files_are_there():
    assert len(CASES) == 9


# Letters that the script lacks


@given(tagged_pairs("BI", ["PER", "LOC"]), st.sampled_from(["BIOES", "BMES", "BIOS", "BILOU", "IOB1"]))
def test_spans_score_the_same_in_every_scheme(y, scheme):
    bio = span_scores(*([convert(tags, "BIO", "BIO") for tags in side] for side in y))
    other = span_scores(*([convert(tags, "BIO", scheme) for tags in side] for side in y), scheme)
    for name in ("precision", "recall", "f1", "n_true", "n_pred", "n_correct", "n_tokens", "by_type"):
        assert getattr(other, name) == getattr(bio, name)


@given(tagged_pairs("BMES", ["X", "Y"]))
def test_invalid_bmes_is_read_span_by_span(y):
    scores = span_scores(*y, "BMES")
    true, pred = ({(i, *span) for i, tags in enumerate(side) for span in spans(tags, "BMES")} for side in y)
    assert (scores.n_true, scores.n_pred, scores.n_correct) == (len(true), len(pred), len(true & pred))


def test_single_token_spans_that_touch_stay_apart():
    y = [["S-X", "S-X", "B-X", "E-X", "B-X", "I-X", "E-X"]]
    assert span_scores(y, y).n_true == 4
    assert span_scores(y, y, "typeless BIO").n_true == 1  # the script has no rule for S, and none for E B


def test_accuracy_is_that_of_the_tags_as_given():
    scores = span_scores([["B-X", "M-X", "E-X", "S-X"]], [["B-X", "E-X", "S-X", "S-X"]])
    assert scores.accuracy == 0.5
    assert scores.n_correct == 1


# Figures


def test_figures_by_hand():
    scores = span_scores(
        [["B-A", "I-A", "O", "B-B"], ["B-A"]], [["B-A", "I-A", "B-C", "B-B"], ["I-A"]], scheme="BIO"
    )
    assert scores == SpanScores(
        precision=0.75,
        recall=1.0,
        f1=1.5 / 1.75,
        n_true=3,
        n_pred=4,
        n_correct=3,
        accuracy=0.6,
        n_tokens=5,
        n_correct_tokens=3,
        by_type={
            "A": TypeScores(1.0, 1.0, 1.0, 2, 2, 2),
            "B": TypeScores(1.0, 1.0, 1.0, 1, 1, 1),
            "C": TypeScores(0.0, 0.0, 0.0, 0, 1, 0),
        },
    )


def test_sentences_may_be_arrays_and_tuples_and_empty():
    listed = [["B-X", "O"], [], ["B-X", "O"]]
    scores = span_scores(iter([np.array(listed[0]), (), listed[2]]), listed)
    assert scores == span_scores(listed, listed)
    assert scores.f1 == 1.0
    assert token_accuracy(np.array([["A", "B"], ["A", "A"]]), [["A", "B"], ["B", "A"]]) == 0.75


def test_token_accuracy_does_not_count_sentence_ends():
    assert token_accuracy([["A"], [], ["B"]], [["B"], [], ["A"]]) == 0.0
    assert token_accuracy([["O"], ["O", "A"]], [["O"], ["O", "A"]]) == 1.0


# Errors

scorers = pytest.mark.parametrize("scorer", [span_scores, token_accuracy])


@scorers
@pytest.mark.parametrize(
    ("y_true", "y_pred", "error", "message"),
    [
        ([["O"]], [["O"], ["O"]], ValueError, "y_true has 1 sentences, but y_pred has 2"),
        ([["O"], ["O", "O"]], [["O"], ["O"]], ValueError, "sentence 1 has 2 tags in y_true, but 1 in y_pred"),
        ("O O", [["O"]], ValueError, "y_true is a single string"),
        ([["O"]], ["O"], TypeError, r"y_pred\[0\] is 'O', but expected a list"),
        ([["O"]], [b"O"], TypeError, r"y_pred\[0\] is b'O'"),
        (["O"], ["O"], TypeError, r"y_true\[0\] is 'O'"),
        ([["O"], 3], [["O"], ["O"]], TypeError, r"y_true\[1\] is 3"),
        ([["O", None]], [["O", "O"]], TypeError, r"y_true\[0\]\[1\] is None"),
        ([[["O"]]], [["O"]], TypeError, r"y_true\[0\]\[0\] is \['O'\]"),
        ([], [], ValueError, "no tokens"),
        ([[], []], [[], []], ValueError, "no tokens"),
    ],
)
def test_wrong_arguments_are_refused(scorer, y_true, y_pred, error, message):
    with pytest.raises(error, match=message):
        scorer(y_true, y_pred)


def test_wrong_scheme_is_refused():
    with pytest.raises(ValueError, match="the tag scheme is 'anyBIO', but one of BIO, IOB1"):
        span_scores([["O"]], [["O"]], "anyBIO")
    with pytest.raises(ValueError, match="'NOUN' is no tag of the scheme BIOES"):
        span_scores([["S-X"]], [["NOUN"]], "BIOES")
