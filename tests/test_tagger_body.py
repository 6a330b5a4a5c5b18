"""`TextCNNTagger` with layers of one's own in place of the dilated block."""

import pickle

import numpy as np
import pytest
from checks import assert_same_bits, run_python
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from taggers import LAYOUT, OPTIONS, WITH_DROPOUT, random_batch, random_features

import textcnn
from textcnn import TextCNNTagger, nn
from textcnn.inspection import receptive_field
from textcnn.io import ModelFileError, load_arrays, save_arrays
from textcnn.nn.layer_tagging_cnn import LayerTaggingCNN
from textcnn.nn.modules import new_layer
from textcnn.nn.tagging_cnn import TokenLayout

X = [
    ["Ms.", "Haag", "plays", "Elianti", "."],
    ["The", "dog", "saw", "Ms.", "Haag", "in", "New", "York"],
    ["New", "York", "City", "Hall", "is", "large"],
    [],
    ["Paris", "New", "York"],
] * 4
Y = [
    ["O", "B-PER", "O", "B-PER", "O"],
    ["O", "O", "O", "O", "B-PER", "O", "B-LOC", "I-LOC"],
    ["B-LOC", "I-LOC", "I-LOC", "I-LOC", "O", "O"],
    [],
    ["B-LOC", "B-LOC", "I-LOC"],
] * 4
OTHERS = [["Haag"], [], ["An", "unknown", "sentence", "about", "Paris", "and", "so", "on"]]
SMALL = {
    "embedding_dim": 6, "char_dim": 4, "n_char_filters": 4, "affix_dim": 3, "linear": 0, "max_iter": 3,
    "learning_rate_init": 0.01, "random_state": 0, "n_jobs": 1,
}  # fmt: skip
LEARNING = SMALL | {"max_iter": 60, "dropout": 0, "feature_dropout": 0.1}


def u_net():
    """Down by two and up again, beside what did not go down."""
    down = nn.Sequential(nn.MinLength(2), nn.Pool1d("max", 2, padding=(0, 1)), nn.Conv1d(8, 3))
    deep = nn.Sequential(down, nn.ConvTranspose1d(8, 2, stride=2))
    return nn.Sequential(nn.Conv1d(8, 3), nn.Parallel(nn.Activation("identity"), deep), nn.Conv1d(8, 3))


BODIES = {
    "dense": nn.Dense(8, "tanh"),
    "dilated": nn.Sequential(
        nn.Conv1d(8, 3), nn.DilatedBlock(8, n_repeats=2, join="concat"), nn.Dropout(0.1)
    ),
    "causal": nn.DilatedBlock(8, n_repeats=1, dilations=(1, 2), causal=True),
    "residual": nn.Sequential(nn.Residual(nn.Conv1d(8, 3)), nn.LayerNorm()),
    "circular": nn.Conv1d(8, 3, padding_mode="circular"),
    "u-net": u_net,
}


def fitted(name, **options):
    return clone(TextCNNTagger(**SMALL | {"body": BODIES[name]} | options)).fit(X, Y)


def all_marginals(model):
    return np.concatenate(model.predict_marginals(OTHERS))


@pytest.mark.parametrize("name", BODIES)
def test_every_body_learns_a_few_sentences(name):
    options = {"body": nn.Sequential(nn.Conv1d(16, 3), BODIES[name])} if name == "dense" else {}
    assert fitted(name, **LEARNING | {"max_iter": 100} | options).predict(X[:5]) == Y[:5]


@pytest.mark.parametrize("head", ["crf", "softmax"])
@pytest.mark.parametrize("frozen_words", [False, True])
@pytest.mark.parametrize("name", ["dilated", "u-net"])
def test_gradients_are_those_of_differences(name, head, frozen_words):
    network = float64_network(name, head, frozen_words)
    batch, options = random_batch(LAYOUT, lengths=(4, 1, 0, 5, 2)), OPTIONS
    loss, gradients = network.batch_gradients(batch, 3.0, options, 0, 0)
    assert loss > 0
    found = {key: dense_gradient(network, key, gradient) for key, gradient in gradients.items()}
    assert ("words" in found) != frozen_words
    for key, matrix in network.parameters().items():
        for place in list(np.ndindex(matrix.shape))[:: max(1, matrix.size // 10)]:
            expected = difference(network, matrix, place, batch, options)
            assert found[key][place] == pytest.approx(expected, rel=1e-5, abs=1e-7), (key, place)


def float64_network(name, head="crf", frozen_words=False):
    """A network with smooth layers, whose gradient differences can tell."""
    body = new_layer(BODIES[name])
    for layer in body.layers().values():
        if getattr(layer, "activation", None) == "relu":
            layer.activation = "tanh"
        if isinstance(layer, nn.Dropout):
            layer.rate = 0.0
    fields = {field: getattr(LAYOUT, field) for field in TokenLayout.__dataclass_fields__} | {"head": head}
    rng = np.random.RandomState(0)
    words = rng.normal(size=(7, LAYOUT.word_dim)).astype(np.float32)
    network = LayerTaggingCNN.initialized(rng, TokenLayout(**fields), words, 6, 9, body, frozen_words)
    for layer in network.body.layers().values():
        layer.arrays = {key: rng.normal(size=array.shape) * 0.5 for key, array in layer.arrays.items()}
    chain = ("transitions", "start", "stop")
    for key, array in network.arrays.items():
        scale = 0.0 if head == "softmax" and key in chain else 0.5
        network.arrays[key] = rng.normal(size=array.shape) * scale
    return network


def dense_gradient(network, key, gradient):
    dense = np.zeros_like(network.parameters()[key])
    rows = slice(None) if gradient.rows is None else gradient.rows
    dense[rows] = gradient.value
    return dense


def difference(network, matrix, place, batch, options, step=1e-4):
    """The fourth-order central difference of the loss."""
    was, losses = matrix[place], []
    for steps in (-2, -1, 1, 2):
        matrix[place] = was + steps * step
        losses.append(network.batch_gradients(batch, 3.0, options, 0, 0)[0])
    matrix[place] = was
    return (losses[0] - 8 * losses[1] + 8 * losses[2] - losses[3]) / (12 * step)


def test_dropout_of_every_kind_takes_part_in_training():
    network = float64_network("dilated")
    batch = random_batch(LAYOUT)
    plain = network.batch_gradients(batch, 3.0, OPTIONS, 0, 0)[0]
    assert network.batch_gradients(batch, 3.0, WITH_DROPOUT, 0, 0)[0] != plain
    assert network.batch_gradients(batch, 3.0, WITH_DROPOUT, 0, 0)[0] != plain


@pytest.mark.parametrize("name", BODIES)
def test_files_and_pickles_give_the_same_bits(name, tmp_path):
    model = fitted(name, linear=0.5)
    expected = all_marginals(model)
    assert np.isfinite(expected).all()
    model.save(tmp_path / "model")
    predictor = textcnn.load(tmp_path / "model", mmap=True)
    assert_same_bits(all_marginals(predictor), expected)
    predictor.save(tmp_path / "again")
    assert_same_bits(all_marginals(textcnn.load(tmp_path / "again")), expected)
    again = TextCNNTagger.load(tmp_path / "model")
    assert_same_bits(all_marginals(again), expected)
    assert again.fit(X, Y).loss_ == pytest.approx(model.loss_)
    assert_same_bits(all_marginals(pickle.loads(pickle.dumps(model))), expected)


@pytest.mark.parametrize("name", BODIES)
def test_threads_and_company_do_not_change_a_bit(name):
    one, three = fitted(name, linear=0.5), fitted(name, linear=0.5, n_jobs=3)
    assert_same_bits(all_marginals(three), all_marginals(one))
    alone = np.concatenate([one.predict_marginals([sentence])[0] for sentence in OTHERS])
    assert_same_bits(alone, all_marginals(one))


def test_long_sentences_are_taken_as_a_whole():
    model = fitted("circular")
    tokens = X[1] * 1000
    ends = [model.predict_marginals([[*tokens, last]])[0][0] for last in ("Haag", ".")]
    assert len(model.predict([tokens])[0]) == len(tokens) == 8000
    assert not np.array_equal(*ends)  # the first token sees the last one


def test_all_ways_of_prediction():
    model = fitted("dilated", **LEARNING)
    assert [features.shape for features in model.transform(X[:4])] == [(5, 16), (8, 16), (6, 16), (0, 16)]
    assert [(span.label, span.start) for span in model.spans(X[:1])[0]] == [("PER", 1), ("PER", 3)]
    assert [span.text for span in model.tag("Ms. Haag plays Elianti.")] == ["Haag", "Elianti"]
    assert "layers" in repr(model.predictor_)
    assert model.score(X, Y) == 1


def test_fit_leaves_the_body_as_it_was():
    body = nn.Sequential(nn.Conv1d(8, 3))
    TextCNNTagger(**SMALL | {"body": body}).fit(X, Y)
    assert not body.layer_list[0].arrays


def test_grid_search_over_bodies():
    grid = {"body": [None, nn.Conv1d(8, 3), u_net]}
    search = GridSearchCV(TextCNNTagger(**SMALL), grid, cv=2).fit(X, Y)
    assert len(search.cv_results_["params"]) == 3
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_partial_fit_goes_on_with_a_body():
    model = TextCNNTagger(**LEARNING | {"body": BODIES["dilated"], "linear": 0.3})
    classes = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    for _ in range(40):
        model.partial_fit(X, Y, classes=classes)
    before = len(model.vocabulary_)
    model.partial_fit([["Gudrun", "smiled"]], [["B-PER", "O"]])
    assert len(model.vocabulary_) == before + 2
    assert model.score(X, Y) == 1


def test_warm_start_goes_on_with_a_body_and_new_words():
    model = fitted("residual", warm_start=True)
    before, loss = len(model.vocabulary_), model.loss_
    network = model.predictor_.network
    model.fit([*X, ["Gudrun", "smiled"]], [*Y, ["B-PER", "O"]])
    assert len(model.vocabulary_) == before + 2
    assert model.loss_ < loss
    assert model.predictor_.network is not network


@pytest.mark.parametrize(("first", "second"), [("dense", "causal"), ("dense", None), (None, "dense")])
def test_warm_start_refuses_another_body(first, second):
    model = TextCNNTagger(**SMALL | {"warm_start": True, "body": BODIES.get(first)}).fit(X, Y)
    with pytest.raises(ValueError, match="but the parameters ask for"):
        model.set_params(body=BODIES.get(second)).fit(X, Y)


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (nn.Sequential(nn.Conv1d(8, 3), nn.Pool1d()), ValueError, "it must give one for each token"),
        (nn.Conv1d(8, 3, padding="valid"), ValueError, "0 rows for a sentence of 1 tokens"),
        (nn.Pool1d("max", 2), ValueError, "it must give one for each token"),
        (nn.DilatedBlock(8), ValueError, "repeats that share weights need n_filters"),
        (lambda: 3, TypeError, "body made a int"),
        (3, ValueError, "'body' parameter"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(body, error, message):
    with pytest.raises(error, match=message):
        TextCNNTagger(**SMALL | {"body": body}).fit(X, Y)


def test_body_that_fails_for_some_lengths_only_is_refused_in_prediction():
    class Shortening(nn.Activation):
        def _forward(self, x, train, n_jobs):
            kept = np.minimum(np.diff(x.offsets), 20)
            offsets = np.concatenate([[0], np.cumsum(kept)]).astype(np.intp)
            return nn.Packed(x.rows[: offsets[-1]], offsets), x.rows

    model = TextCNNTagger(**SMALL | {"body": nn.Sequential(nn.Conv1d(8, 3), Shortening())}).fit(X, Y)
    assert len(model.predict(X)) == len(X)
    with pytest.raises(ValueError, match="20 rows for a sentence of 24 tokens"):
        model.predict([X[1] * 3])


def test_layer_of_ones_own_needs_pickle(tmp_path):
    class Halve(nn.Activation):
        def _forward(self, x, train, n_jobs):
            return nn.Packed(x.rows / 2, x.offsets), None

        def _backward(self, d_out, kept, n_jobs):
            return d_out / 2

    model = TextCNNTagger(**SMALL | {"body": nn.Sequential(nn.Conv1d(8, 3), Halve())}).fit(X, Y)
    with pytest.raises(ValueError, match="the body has a Halve"):
        model.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config["body"].update(kind="Nothing"),
        lambda config: config["body"]["layers"][0].update(n_filters=10**9),
        lambda config: config["body"]["layers"][0].update(kernel_size=-1),
        lambda config: config["body"]["layers"][0].update(padding=10**8),
        lambda config: config["body"]["layers"].append({"kind": "MinLength", "length": 10**9}),
        lambda config: config["body"]["layers"].append({"kind": "Pool1d", "mode": "kmax", "k": 10**9}),
        lambda config: config["body"]["layers"].pop(0),
        lambda config: config["body"].update(layers=config["body"]["layers"] * 2),
        lambda config: config["body"]["layers"].append({"kind": "Pool1d"}),
        lambda config: config["body"].update(colour="red"),
        lambda config: config.update(body=None),
        lambda config: config.update(body=[1]),
        lambda config: config.pop("body"),
        lambda config: config["layout"].pop("head"),
        lambda config: config["layout"].update(word_dim=7),
        lambda config: config["layout"].update(char_kernel_sizes=[0]),
    ],
)
def test_altered_file_is_refused(change, tmp_path):
    fitted("dilated").save(tmp_path / "model")
    arrays, config = load_arrays(tmp_path / "model")
    change(config)
    save_arrays(tmp_path / "altered", arrays, config)
    with pytest.raises(ModelFileError):
        textcnn.load(tmp_path / "altered")


@pytest.mark.parametrize("name", ["network.weights", "network.body.0.weights", "network.words"])
def test_file_with_an_array_too_few_or_of_another_shape_is_refused(name, tmp_path):
    fitted("dilated").save(tmp_path / "model")
    arrays, config = load_arrays(tmp_path / "model")
    for i, altered in enumerate([{}, {name: arrays[name][:-1]}, {name: arrays[name] * np.nan}]):
        others = {key: array for key, array in arrays.items() if key != name}
        save_arrays(tmp_path / f"altered{i}", others | altered, config)
        with pytest.raises(ModelFileError):
            textcnn.load(tmp_path / f"altered{i}")


@pytest.mark.parametrize(
    ("name", "seen"),
    [("dense", range(3, 4)), ("causal", range(0, 4)), ("u-net", range(0, 8)), ("circular", range(0, 8))],
)
def test_receptive_field_is_that_of_the_body(name, seen):
    model = fitted(name)
    found = receptive_field(model, X[1], 3)
    assert np.flatnonzero(found.visible).tolist() == list(seen)
    assert found.effects[3] != 0
    assert (found.effects[~found.visible] == 0).all()


def test_effects_of_a_body_are_those_of_the_whole_sentence():
    model, tokens, position = fitted("u-net"), X[1] * 4, 13
    found = receptive_field(model, tokens, position)
    assert not found.visible.all()
    assert model.predictor_.network.receptive_field == 10
    # what is out of sight changes nothing
    for j in np.flatnonzero(~found.visible):
        other = [*tokens[:j], "Elsewhere", *tokens[j + 1 :]]
        assert_same_bits(model.transform([other])[0][position], model.transform([tokens])[0][position])


def test_info_and_report_show_a_body(tmp_path):
    fitted("circular").save(tmp_path / "model")
    result = run_python("-m", "textcnn", "info", tmp_path / "model", timeout=60)
    assert "Conv1d(n_filters=8" in result.stdout
    assert '"whole sentence"' in result.stdout
    (tmp_path / "test.conll").write_text("Haag B-LOC\nplays O\n", encoding="utf-8")
    page = tmp_path / "page.html"
    run_python("-m", "textcnn", "report", tmp_path / "model", tmp_path / "test.conll", "-o", page, timeout=60)
    assert "network sees the whole sentence." in page.read_text(encoding="utf-8")


def test_features_of_tokens_do_not_depend_on_the_body():
    network, other = float64_network("dilated"), float64_network("u-net")
    assert network.layout == other.layout
    features = random_features(5, LAYOUT, np.random.default_rng(0))
    assert network.token_features(features, np.arange(5), 1).shape == (5, network.layout.n_features)
