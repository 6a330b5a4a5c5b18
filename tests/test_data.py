"""The sentences with entities that ship: their format, their counts, and that the two parts are apart."""

import re
from collections import Counter

import pytest
from textcnn.data import load_entities, load_story

PARTS = ("train", "test")
TYPES = ("PER", "ORG", "LOC", "DATE")
WITH_FULL_STOP = {"Dr.", "Ltd.", "Mr.", "Ms.", "p.m."}


def starts_and_breaks(tags):
    """The types of the entities, and the tags that continue an entity which is not there."""
    starts = [tag[2:] for tag in tags if tag.startswith("B-")]
    broken = [
        tag
        for previous, tag in zip(["O", *tags], tags, strict=False)
        if tag.startswith("I-") and previous not in (f"B-{tag[2:]}", tag)
    ]
    return starts, broken


@pytest.mark.parametrize("part", PARTS)
def test_each_token_has_a_valid_tag(part):
    sentences, tags = load_entities(part)
    assert [len(sentence) for sentence in sentences] == [len(tagged) for tagged in tags]
    assert min(map(len, sentences)) > 0
    allowed = {"O", *(f"{prefix}-{kind}" for prefix in "BI" for kind in TYPES)}
    assert {tag for tagged in tags for tag in tagged} <= allowed
    assert [tagged for tagged in tags if starts_and_breaks(tagged)[1]] == []


@pytest.mark.parametrize(
    ("part", "n_sentences", "n_tokens", "n_entities"),
    [
        ("train", 395, 4845, {"PER": 136, "LOC": 132, "DATE": 104, "ORG": 92}),
        ("test", 96, 1133, {"PER": 38, "LOC": 29, "DATE": 23, "ORG": 23}),
    ],
)
def test_counts_are_those_of_the_readme(part, n_sentences, n_tokens, n_entities):
    sentences, tags = load_entities(part)
    starts = [starts_and_breaks(tagged)[0] for tagged in tags]
    assert len(sentences) == n_sentences
    assert sum(map(len, sentences)) == n_tokens
    assert Counter(kind for kinds in starts for kind in kinds) == n_entities
    # Sentences without any are needed too, or the tagger learns that there is always one.
    assert 0.6 < sum(bool(kinds) for kinds in starts) / len(starts) < 0.72


def test_no_sentence_occurs_twice_in_the_two_parts():
    texts = [" ".join(sentence) for part in PARTS for sentence in load_entities(part)[0]]
    assert [text for text, count in Counter(texts).items() if count > 1] == []


@pytest.mark.parametrize("part", PARTS)
def test_tokens_are_cut_as_in_the_penn_treebank(part):
    tokens = {token for sentence in load_entities(part)[0] for token in sentence}
    # A clitic or a punctuation mark that still hangs on its word.
    uncut = re.compile(r".+n't|.+'(s|d|m|re|ve|ll)|.+[.,;:!?\"]|[\"$£(].+|\d+%|cannot", re.IGNORECASE)
    assert {token for token in tokens if uncut.fullmatch(token)} <= WITH_FULL_STOP


def test_an_unknown_part_is_refused():
    with pytest.raises(ValueError, match="'dev', which is not a part of the data"):
        load_entities("dev")


def test_the_story_is_plain_text_with_names_of_the_training_sentences():
    paragraphs = load_story()
    sentences, tags = load_entities("train")
    persons = {
        token
        for sentence, tagged in zip(sentences, tags, strict=True)
        for token, tag in zip(sentence, tagged, strict=True)
        if tag.endswith("-PER")
    }
    words = Counter(re.findall(r"\w+", " ".join(paragraphs)))
    assert all(paragraph.strip() for paragraph in paragraphs)
    assert sum(words[person] > 0 for person in persons) > 20
