"""Padding modes, strides, dilations, poolings, activations and bodies of the sentence estimators."""

import pickle

import numpy as np
import pytest
from checks import assert_same_bits
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils._param_validation import StrOptions

import textcnn
from textcnn import TextCNNClassifier, TextCNNRegressor, nn

TEXTS = [
    "good film indeed", "bad film", "a good plot and a good cast of people", "bad plot", "lovely", "awful",
    "so so good", "so so bad",
]  # fmt: skip
LABELS = ["pro", "con"] * 4
OTHERS = ["good", "", "a bad one", "x"]
SMALL = {
    "linear": 0, "n_filters": 16, "embedding_dim": 16, "max_iter": 100, "dropout": 0, "word_dropout": 0,
    "learning_rate_init": 0.01, "batch_size": 4, "random_state": 0, "n_jobs": 1,
}  # fmt: skip


def new_body():
    return nn.Sequential(
        nn.Conv1d(16, 3), nn.Residual(nn.DilatedBlock(16, n_repeats=2)), nn.Dropout(0.1), nn.Pool1d("max")
    )


EXACT = {
    **{f"pooling-{name}": {"pooling": name} for name in ("mean", "sum", "l2", "weighted", "kmax", "pyramid")},
    "poolings": {"pooling": ("max", "mean")},
    "k-max-and-l2": {"pooling": ("kmax", "l2")},
    "stride": {"stride": 2},
    "stride-valid": {"stride": 2, "padding": "valid"},
    "dilation": {"dilation": 2},
    "dilation-same": {"dilation": 3, "padding": "same", "pooling": "mean"},
    "valid-sum": {"padding": "valid", "pooling": "sum"},
    "gelu": {"activation": "gelu"},
    **{f"mean-{name}": {"activation": name, "pooling": "mean"} for name in ("tanh", "logistic", "identity")},
}
WITHOUT_EXPLANATION = {
    "reflect": {"padding_mode": "reflect"},
    "replicate": {"padding_mode": "replicate"},
    "circular": {"padding_mode": "circular"},
    "body": {"body": new_body()},
    "body-function": {"body": new_body},
    "body-two-pools": {
        # the padding keeps a row of a text of one token
        "body": nn.Sequential(
            nn.Conv1d(16, 3), nn.Pool1d("max", 2, padding=(0, 1)), nn.Conv1d(16, 3), nn.Pool1d("mean")
        )
    },
}
ALL = EXACT | WITHOUT_EXPLANATION


def fitted(name, estimator=TextCNNClassifier, y=LABELS, **options):
    return clone(estimator(**{**SMALL, **ALL[name], **options})).fit(TEXTS, y)


@pytest.mark.parametrize("name", ALL)
def test_every_option_learns_a_few_texts(name):
    assert fitted(name).score(TEXTS, LABELS) == 1


@pytest.mark.parametrize("name", ALL)
def test_regressor_learns_a_few_numbers(name):
    assert fitted(name, TextCNNRegressor, np.arange(8.0)).score(TEXTS, np.arange(8.0)) > 0.9


@pytest.mark.parametrize("name", ALL)
def test_several_labels_of_a_few_texts_are_learnt(name):
    labels = np.array([[1, 1], [0, 1], [1, 1], [0, 1], [1, 0], [0, 0], [1, 0], [0, 0]])
    assert fitted(name, y=labels).score(TEXTS, labels) == 1


def choices(name):
    """The strings that a parameter may have."""
    (options,) = [c for c in TextCNNClassifier._parameter_constraints[name] if isinstance(c, StrOptions)]
    return sorted(options.options)


# What SMALL has to be with them.
WITH = {
    "sgd": {"learning_rate_init": 0.05, "max_iter": 300},
    "adadelta": {"learning_rate_init": 1.0, "max_iter": 300},
    "invscaling": {"learning_rate_init": 0.05},
}
VALUES = [
    *[
        {name: value, **WITH.get(value, {})}
        for name in ("padding", "padding_mode", "pooling", "activation", "solver", "learning_rate")
        for value in choices(name)
    ],
    *[{"learning_rate": schedule, "warmup_steps": 30} for schedule in choices("learning_rate")],
    {"stride": 3}, {"dilation": 3}, {"max_grad_norm": 0.3}, {"alpha": 0.01},
    {"batch_size": 1, "max_iter": 40}, {"batch_size": len(TEXTS), "max_iter": 200},
]  # fmt: skip


@pytest.mark.parametrize("estimator", [TextCNNClassifier, TextCNNRegressor])
@pytest.mark.parametrize("options", VALUES, ids=str)
def test_every_value_fits_a_few_texts_and_takes_short_ones(options, estimator):
    """Kernels of three and four tokens, wherever an option allows a text of one or none."""
    wide = SMALL | {"kernel_sizes": (3, 4), "n_filters": 12, **options}
    y = np.arange(8.0) if estimator is TextCNNRegressor else LABELS
    model = estimator(**wide).fit(TEXTS, y)
    assert model.score(TEXTS, y) > 0.97
    assert model.predict(["", "good", "x"]).shape == (3,)
    assert np.isfinite(model.transform(["", "good", "x"])).all()


@pytest.mark.parametrize("options", [{"label_smoothing": 0.1}, {"label_smoothing": 0.5}], ids=str)
def test_smoothed_labels_are_learnt(options):
    assert TextCNNClassifier(**SMALL | options).fit(TEXTS, LABELS).score(TEXTS, LABELS) == 1


@pytest.mark.parametrize("estimator", [TextCNNClassifier, TextCNNRegressor])
@pytest.mark.parametrize(
    "change", [{"body": new_body()}, {"pooling": "mean"}, {"n_filters": 3}, {"kernel_sizes": (2,)}], ids=str
)
def test_going_on_needs_the_network_that_is_there(change, estimator):
    y = np.arange(8.0)
    for first in ({}, {"body": nn.Pool1d("mean")}, {"pooling": "sum"}):
        model = estimator(**SMALL | {"max_iter": 1, "warm_start": True} | first).fit(TEXTS, y)
        model.set_params(body=first.get("body"), max_iter=2).fit(TEXTS, y)
        if "body" in first and "body" not in change:
            continue  # the other options are not used beside a body
        with pytest.raises(ValueError, match=r"network of the last fit has .*, but the parameters ask for"):
            model.set_params(**change).fit(TEXTS, y)
        if estimator is TextCNNRegressor:
            with pytest.raises(ValueError, match="the network of the last fit"):
                model.partial_fit(TEXTS, y)


@pytest.mark.parametrize("estimator", [TextCNNClassifier, TextCNNRegressor])
def test_a_loaded_model_goes_on_as_the_one_that_was_saved(estimator, tmp_path):
    y = np.arange(8.0)
    conv = nn.Conv1d(16, 3)
    body = nn.Sequential(conv, nn.Dropout(0.5), conv, nn.Pool1d("max"), nn.Dropout(0.2))
    model = estimator(**SMALL | {"body": body, "warm_start": True, "max_iter": 3}).fit(TEXTS, y)
    model.save(tmp_path / "model")
    again = estimator.load(tmp_path / "model")
    assert len(again.predictor_.network.body.layers()) == 5  # the convolution stands there twice
    expected = model.fit(TEXTS, y).transform(OTHERS)
    assert_same_bits(again.fit(TEXTS, y).transform(OTHERS), expected)


def test_layers_that_do_not_keep_their_arguments_can_be_trained_shown_and_pickled(tmp_path):
    model = TextCNNClassifier(**SMALL | {"body": nn.Sequential(Forgetful(2), nn.Pool1d()), "max_iter": 1})
    assert "Forgetful()" in repr(model.fit(TEXTS, LABELS))
    assert_same_bits(pickle.loads(pickle.dumps(model)).transform(TEXTS), model.transform(TEXTS))
    with pytest.raises(ValueError, match="the body has a Forgetful"):
        model.save(tmp_path / "model")


class Forgetful(nn.Activation):
    """A layer of one's own."""

    def __init__(self, secret):
        super().__init__("tanh")


@pytest.mark.parametrize("name", ALL)
def test_files_and_pickles_give_the_same_bits(name, tmp_path):
    classifier = fitted(name, max_iter=2)
    expected = classifier.predict_proba(OTHERS)
    assert np.isfinite(expected).all()
    classifier.save(tmp_path / "model")
    assert_same_bits(textcnn.load(tmp_path / "model").predict_proba(OTHERS), expected)
    again = TextCNNClassifier.load(tmp_path / "model")
    assert_same_bits(again.predict_proba(OTHERS), expected)
    assert again.fit(TEXTS, LABELS).loss_ == pytest.approx(classifier.loss_)
    assert_same_bits(pickle.loads(pickle.dumps(classifier)).predict_proba(OTHERS), expected)


@pytest.mark.parametrize("name", EXACT)
def test_explanation_adds_up_to_the_logits(name):
    classifier = fitted(name, linear=0.5, max_iter=5)
    for text, explanation in zip(OTHERS, classifier.explain(OTHERS), strict=True):
        total = explanation.bias + sum(ngram.contributions for ngram in explanation.ngrams)
        np.testing.assert_allclose(total, explanation.logits, rtol=1e-4, atol=1e-5)
        assert all(0 <= ngram.start <= ngram.end <= len(text.split()) for ngram in explanation.ngrams)


@pytest.mark.parametrize("name", WITHOUT_EXPLANATION)
def test_no_explanation_is_better_than_a_wrong_one(name):
    with pytest.raises(ValueError, match="no sum over n-grams"):
        fitted(name, max_iter=1).explain(TEXTS)


@pytest.mark.parametrize("name", ALL)
def test_threads_do_not_change_a_bit(name):
    one, three = fitted(name, max_iter=2), fitted(name, max_iter=2, n_jobs=3)
    assert_same_bits(three.predict_proba(OTHERS), one.predict_proba(OTHERS))


def test_text_has_the_same_bits_alone_and_in_company():
    classifier = fitted("poolings", max_iter=2)
    together = classifier.predict_proba(TEXTS)
    assert_same_bits(np.concatenate([classifier.predict_proba([text]) for text in TEXTS]), together)


def test_fit_leaves_the_body_as_it_was():
    body = new_body()
    TextCNNClassifier(**SMALL | {"max_iter": 1, "body": body}).fit(TEXTS, LABELS)
    assert not body.layers()["0"].arrays


def test_grid_search_over_bodies_and_poolings():
    grid = {"pooling": ["max", ("max", "mean")], "body": [None, new_body()]}
    search = GridSearchCV(TextCNNClassifier(**SMALL | {"max_iter": 2}), grid, cv=2).fit(TEXTS, LABELS)
    assert len(search.cv_results_["params"]) == 4


def test_partial_fit_goes_on_with_a_body():
    classifier = TextCNNClassifier(**SMALL | {"body": new_body()})
    for _ in range(30):
        classifier.partial_fit(TEXTS, LABELS, classes=["con", "pro"])
    before = len(classifier.vocabulary_)
    classifier.partial_fit(["a splendid surprise"], ["pro"])
    assert len(classifier.vocabulary_) == before + 2
    assert classifier.score(TEXTS, LABELS) == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"pooling": "median"}, ValueError, "'pooling' parameter"),
        ({"pooling": ("max", "median")}, ValueError, "the pooling is 'median'"),
        ({"pooling": ()}, ValueError, "pooling is empty"),
        ({"activation": "elu", "pooling": "mean"}, ValueError, "activation is 'elu', which goes with max"),
        ({"stride": 0}, ValueError, "'stride' parameter"),
        ({"body": nn.Conv1d(8, 3)}, ValueError, "end it with a Pool1d over whole texts"),
        ({"body": lambda: 3}, TypeError, "body made a int"),
        ({"pooling": "mean", "n_members": 2}, ValueError, "n_members is 2"),
    ],
)
def test_what_does_not_fit_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        TextCNNClassifier(**SMALL | {"max_iter": 1} | options).fit(TEXTS, LABELS)


def test_layer_of_ones_own_needs_pickle(tmp_path):
    class Halve(nn.Activation):
        def _forward(self, x, train, n_jobs):
            return nn.Packed(x.rows / 2, x.offsets), None

        def _backward(self, d_out, kept, n_jobs):
            return d_out / 2

    body = nn.Sequential(nn.Conv1d(16, 3), Halve(), nn.Pool1d())
    classifier = TextCNNClassifier(**SMALL | {"body": body}).fit(TEXTS, LABELS)
    assert classifier.score(TEXTS, LABELS) == 1
    with pytest.raises(ValueError, match="the body has a Halve"):
        classifier.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.update(kind="Nothing"),
        lambda body: body["layers"][0].update(n_filters=10**9),
        lambda body: body["layers"][0].update(n_filters=-1),
        lambda body: body["layers"][0].update(kernel_size="3"),
        lambda body: body["layers"].pop(),
        lambda body: body.update(layers=body["layers"] * 2),
        lambda body: body.update(colour="red"),
    ],
)
def test_altered_file_is_refused(change, tmp_path):
    from textcnn.io import ModelFileError, load_arrays, save_arrays

    fitted("body", max_iter=1).save(tmp_path / "model")
    arrays, config = load_arrays(tmp_path / "model")
    change(config["body"])
    save_arrays(tmp_path / "altered", arrays, config)
    with pytest.raises(ModelFileError):
        textcnn.load(tmp_path / "altered")


@pytest.mark.parametrize("padding", ["full", "same", "valid"])
@pytest.mark.parametrize("options", EXACT.values(), ids=EXACT)
def test_empty_text_pools_to_zeros(options, padding):
    classifier = TextCNNClassifier(**SMALL | {"max_iter": 1} | options | {"padding": padding})
    classifier.fit(TEXTS, LABELS)
    assert not classifier.transform([""]).any()
    assert classifier.transform(["good"]).any()
