"""Containers of texts."""

import numpy as np
import pytest

from textcnn.text.inputs import as_texts

TEXTS = ["one", "two words", ""]


@pytest.mark.parametrize("form", [list, tuple, iter, np.array, lambda x: np.array(x, object), dict.fromkeys])
def test_containers(form):
    container = form(TEXTS)
    if isinstance(container, dict):
        container = container.keys()
    assert as_texts(container) == TEXTS


def test_a_list_is_not_copied():
    assert as_texts(TEXTS) is TEXTS


class Arrow:
    """The part of an Arrow array that matters."""

    def to_pylist(self):
        return list(TEXTS)


def test_arrow_arrays():
    assert as_texts(Arrow()) == TEXTS


def test_frames_of_one_column():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": TEXTS, "other": TEXTS})
    assert as_texts(frame[["text"]]) == as_texts(frame["text"]) == TEXTS
    with pytest.raises(ValueError, match=r"X has shape \(3, 2\)"):
        as_texts(frame)


@pytest.mark.parametrize("value", [1, 1.5, b"x", {"a"}, object()])
def test_items_of_other_types_are_named_by_position(value):
    with pytest.raises(TypeError, match=r"docs\[1\] is"):
        as_texts(["a", value], "docs")
