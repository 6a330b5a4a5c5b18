"""Texts, labels and tables from pandas, polars and pyarrow; what is not installed is skipped."""

import numpy as np
import pytest

from textcnn import TextCNNClassifier, TextCNNRegressor, TextCNNTagger

TEXTS = ["good film", "bad film", "good book", "bad book"] * 5
TOKENS = [text.split() for text in TEXTS]
LABELS = ["yes", "no"] * 10
NUMBERS = [1.5, 0.5] * 10
TABLE = np.random.RandomState(0).randn(20, 3)
FAST = {"n_filters": 4, "embedding_dim": 8, "max_iter": 2, "random_state": 0}


def pandas():
    return pytest.importorskip("pandas")


def polars():
    return pytest.importorskip("polars")


def pyarrow():
    return pytest.importorskip("pyarrow")


COLUMNS = {
    "pandas Series": lambda values: pandas().Series(values, index=range(100, 100 + len(values))),
    "pandas one-column frame": lambda values: pandas().DataFrame({"a": values}),
    "polars Series": lambda values: polars().Series(values),
    "polars one-column frame": lambda values: polars().DataFrame({"a": values}),
    "Arrow array": lambda values: pyarrow().array(values),
    "Arrow chunked array": lambda values: pyarrow().chunked_array([values[:7], values[7:]]),
    "Arrow one-column table": lambda values: pyarrow().table({"a": values}),
}
VECTORS = {name: form for name, form in COLUMNS.items() if "one-column" not in name}
columns = pytest.mark.parametrize("form", COLUMNS.values(), ids=COLUMNS)
vectors = pytest.mark.parametrize("form", VECTORS.values(), ids=VECTORS)


@columns
def test_texts(form):
    expected = TextCNNClassifier(**FAST).fit(TEXTS, LABELS)
    model = TextCNNClassifier(**FAST).fit(form(TEXTS), LABELS)
    assert model.vocabulary_ == expected.vocabulary_
    np.testing.assert_array_equal(model.predict_proba(form(TEXTS)), expected.predict_proba(TEXTS))


@vectors
def test_lists_of_tokens(form):
    model = TextCNNClassifier(**FAST).fit(form(TOKENS), LABELS)
    np.testing.assert_array_equal(model.predict_proba(form(TOKENS)), model.predict_proba(TOKENS))


@vectors
def test_labels(form):
    model = TextCNNClassifier(**FAST).fit(TEXTS, form(LABELS))
    assert model.classes_.tolist() == ["no", "yes"]
    assert set(model.predict(TEXTS)) <= {"no", "yes"}


@vectors
def test_targets_and_weights(form):
    weight = [1.0, 2.0] * 10
    model = TextCNNRegressor(**FAST).fit(TEXTS, form(NUMBERS), sample_weight=form(weight))
    expected = TextCNNRegressor(**FAST).fit(TEXTS, NUMBERS, sample_weight=weight)
    np.testing.assert_array_equal(model.predict(TEXTS), expected.predict(TEXTS))


@vectors
def test_sentences_and_tags(form):
    tags = [["O", "B-X"]] * 20
    model = TextCNNTagger(max_iter=1, random_state=0).fit(form(TOKENS), form(tags))
    assert model.predict(form(TOKENS)) == model.predict(TOKENS)


TABLES = {
    "pandas": lambda: pandas().DataFrame(TABLE, columns=["a", "b", "c"]),
    "polars": lambda: polars().DataFrame(TABLE, schema=["a", "b", "c"]),
    "Arrow": lambda: pyarrow().table(dict(zip("abc", TABLE.T, strict=True))),
}


@pytest.mark.parametrize("frame", TABLES.values(), ids=TABLES)
def test_tables_of_numbers(frame):
    model = TextCNNRegressor(**FAST).fit(frame(), NUMBERS)
    assert model.n_features_in_ == 3
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(
        model.predict(frame()), TextCNNRegressor(**FAST).fit(TABLE, NUMBERS).predict(TABLE)
    )


@vectors
def test_missing_texts_are_named(form):
    with pytest.raises(TypeError, match=r"X\[19\] is .*replace or drop it"):
        TextCNNClassifier(**FAST).fit(form([*TEXTS[:19], None]), LABELS)


@pytest.mark.parametrize("frame", TABLES.values(), ids=TABLES)
def test_a_frame_of_several_columns_is_no_text(frame):
    model = TextCNNClassifier(**FAST).fit(TEXTS, LABELS)
    with pytest.raises(ValueError, match=r"X has shape \(20, 3\).*choose one column"):
        model.predict(frame())


@pytest.mark.parametrize(("library", "module"), [("pandas", pandas), ("polars", polars)])
@pytest.mark.parametrize("kind", [TextCNNClassifier, TextCNNRegressor])
def test_set_output(kind, library, module):
    frame_type = module().DataFrame
    model = kind(**FAST).set_output(transform=library)
    frame = model.fit(TEXTS, NUMBERS if kind is TextCNNRegressor else LABELS).transform(TEXTS)
    assert isinstance(frame, frame_type)
    assert list(frame.columns) == model.get_feature_names_out().tolist()


def test_arrays_of_tokens():
    """A column of lists comes as arrays of str from pandas' reader of Parquet."""
    arrays = [np.array(tokens, object if i % 2 else None) for i, tokens in enumerate(TOKENS)]
    model = TextCNNClassifier(**FAST).fit(arrays, LABELS)
    np.testing.assert_array_equal(model.predict_proba(arrays), model.predict_proba(TOKENS))
    with pytest.raises(TypeError, match=r"X\[0\] is an array of int64 of shape \(2,\)"):
        model.predict_proba([np.array([1, 2]), *arrays])
