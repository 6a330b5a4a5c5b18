"""Model files made in bad faith: every reader refuses them, without a crash, a long wait or much memory."""

import gc
import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from robustness import model_files
from robustness.model_files import Finding, StoredArray, as_models, check_file, mutated, packed, unpacked

import textcnn
from textcnn import ModelFileError, nn
from textcnn.io import load_arrays, save_arrays
from textcnn.nn.modules import MOST_LAYERS

FUZZ = Path(__file__).with_name("fuzz_model_files.py")
CONV = {"kind": "Conv1d", "n_filters": 2, "kernel_size": 3, "padding": "same"}
POOL = {"kind": "Pool1d", "mode": "max"}
SIZE = 2**20


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The files of small models of every kind."""
    return model_files.write_small_models(tmp_path_factory.mktemp("models"))


def assert_refused(path, match=None):
    """Every reader refuses the file within a second, and within the memory that a file may take."""
    limit = 3 * os.path.getsize(path) + 64 * SIZE
    for reader in (textcnn.load, *(kind.load for kind in model_files.ESTIMATORS)):
        gc.collect()
        tracemalloc.start()
        begin = time.process_time()
        try:
            with pytest.raises(ModelFileError, match=match) as refusal:
                reader(path)
            assert time.process_time() - begin < 1, reader
            assert tracemalloc.get_traced_memory()[1] < limit, reader
        finally:
            tracemalloc.stop()
        model_files.check_message(str(refusal.value), str(path))


def write(path, parts):
    path.write_bytes(packed(parts))
    return path


# ---- all models, mutated -----------------------------------------------------------------------------


def test_every_small_model_is_sound(files, tmp_path):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        assert check_file(str(tmp_path / name)) == "loaded", name
        assert packed(unpacked(content))[:200] != content[:200]  # other spaces in the JSON
        write(tmp_path / name, unpacked(content))
        assert check_file(str(tmp_path / name)) == "loaded", name


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of processes as Linux has them")
def test_mutated_files_are_refused_or_work(tmp_path):
    done = subprocess.run(
        [sys.executable, FUZZ, "--n", "2000", "--seed", "1", "--keep", tmp_path / "found"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2000 files" in done.stdout


def test_a_mutation_can_be_made_again(files):
    models = as_models(files)
    first = [mutated(models, 3, number) for number in range(50)]
    assert first == [mutated(models, 3, number) for number in range(50)]
    assert len({content for _, content in first}) > 45


# ---- the judge can fail ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError("weights"), "KeyError in a reader"),
        (ModelFileError("two\nlines"), "the message"),
        (ModelFileError("x" * 5000), "the message"),
    ],
)
def test_a_reader_that_fails_otherwise_is_found(monkeypatch, error, message):
    def fail(path, **_):
        raise error

    monkeypatch.setattr(textcnn, "load", fail)
    with pytest.raises(Finding, match=message):
        check_file("m", ())


def test_memory_that_runs_out_is_found_behind_a_refusal():
    error = ModelFileError("refused")
    error.__cause__ = MemoryError()
    with pytest.raises(Finding, match="memory ran out"):
        model_files.without_memory_error(error)


def test_results_that_are_not_finite_are_found(files, tmp_path, monkeypatch):
    (tmp_path / "m").write_bytes(files["binary"])
    model = textcnn.load(tmp_path / "m")
    monkeypatch.setattr(type(model), "transform", lambda self, X: np.array([1, np.nan]))
    with pytest.raises(Finding, match="not finite"):
        model_files.use(model)
    monkeypatch.setattr(type(model), "transform", lambda self, X: [][0])
    with pytest.raises(Finding, match="IndexError in prediction"):
        model_files.use(model)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of processes as Linux has them")
def test_child_processes_report_what_stops_them(tmp_path):
    faults = """
                if number == 0:
                    while True: pass
                if number == 1:
                    os.abort()
                if number == 2:
                    bytes(200_000_000)
                result = check_file(path, """
    script = FUZZ.read_text()
    assert script.count("result = check_file(path, ") == 1
    script = script.replace("result = check_file(path, ", faults)
    (tmp_path / "robustness").mkdir()
    (tmp_path / "robustness" / "model_files.py").write_text(Path(model_files.__file__).read_text())
    (tmp_path / "robustness" / "fuzz.py").write_text(script)
    done = subprocess.run(
        [sys.executable, tmp_path / "robustness" / "fuzz.py", "--n", "4", "--keep", tmp_path / "found"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "4 files" in done.stdout
    assert "3 findings" in done.stdout
    for number, message in enumerate(["hangs for 1 s", "status -6", "MemoryError"]):
        assert f"number {number}, " in done.stdout
        assert message in done.stdout
    assert len(list((tmp_path / "found").glob("0-*.textcnn"))) == 3


# ---- layers that make much out of little -------------------------------------------------------------


def up(stride):
    return {"kind": "ConvTranspose1d", "n_filters": 2, "kernel_size": 1, "stride": stride}


def block(n_repeats, n_dilations, **options):
    dilations = [1] * n_dilations
    return {"kind": "DilatedBlock", "n_filters": 2, "n_repeats": n_repeats, "dilations": dilations, **options}


@pytest.mark.parametrize(
    "layers",
    [
        [CONV | {"padding": "full", "dilation": 2**28}],
        [CONV | {"padding": "same", "dilation": 2**28, "padding_mode": "circular"}],
        [CONV | {"padding": 99_999}],
        [CONV | {"padding": 10_000}] * 40,
        [CONV | {"padding": [10_000, 0], "padding_mode": "replicate"}] * 40,
        [up(1000), up(1000), up(1000)],
        [up(100_000), up(100_000), up(100_000), up(100_000)],
        [{"kind": "MinLength", "length": 10_000}, up(1000)],
        [POOL | {"mode": "kmax", "k": 100_000}] * 2
        + [POOL | {"mode": "kmax", "k": 100_000, "kernel_size": 1}],
        [{"kind": "Parallel", "layers": [POOL | {"mode": "kmax", "k": 100_000}] * 100}],
        [POOL | {"mode": "mean", "kernel_size": 1, "stride": 1, "padding": 10_000}] * 50,
        [block(1000, 3000, shared=True)],
        [block(1000, 3000, shared=False)],
        [block(100_000, 1)],
        [block(10**30, 1)],
        [{"kind": "Dropout"}] * 6000,
        [{"kind": "LayerNorm", "epsilon": 0}],
        [{"kind": "LayerNorm", "epsilon": -1.0}],
        [{"kind": "LayerNorm", "epsilon": float("nan")}],
        [{"kind": "LayerNorm", "epsilon": "small"}],
        [{"kind": "Embedding", "n_ids": 2**62, "n_dims": 2**62}],
        [{"kind": "Dense", "n_outputs": 2**62}],
        [CONV | {"kernel_size": 2**62}],
        [CONV | {"n_filters": 10**400}],
        ["Conv1d"],
        [None],
        [{"kind": ["Conv1d"]}],
        [{"kind": "Sequential", "layers": {"0": CONV}}],
        [{"kind": "Sequential", "layers": [], "name": 1}],
        [{"kind": "Parallel", "layers": []}],
        [{"kind": "Residual", "layers": []}],
        [POOL | {"kernel_size": 0}],
        [POOL | {"kernel_size": 2, "stride": 0}],
        [POOL | {"kernel_size": 2, "padding": -1}],
        [POOL | {"levels": [0]}],
        [POOL | {"levels": 5}],
    ],
    ids=lambda layers: str(layers)[:60],
)
def test_layers_that_make_much_out_of_little_are_refused(files, tmp_path, layers):
    parts = unpacked(files["body"])
    body = {"kind": "Sequential", "layers": [*layers, POOL]}
    parts.config["body"] = parts.config["params"]["body"] = body
    # arrays for whatever the layers may ask, so that it is not their lack that is noticed
    for i in range(60):
        for name, shape in {"weights": [1, 2, 2], "bias": [2], "scale": [2], "shift": [2]}.items():
            if layers and isinstance(layers[0], dict) and layers[0].get("kernel_size") == 3:
                shape = [3, 2, 2] if name == "weights" else shape
            parts.arrays[f"body.{i}.{name}"] = zeros(shape)
    parts.arrays["weights"] = zeros([2, 2])
    assert_refused(write(tmp_path / "m", parts))
    parts = unpacked(files["tagger body"])
    parts.config["body"] = body
    assert_refused(write(tmp_path / "m", parts))


def zeros(shape):
    return StoredArray("F32", shape, bytes(4 * int(np.prod(shape))))


def test_what_the_limits_are_for_is_not_refused(tmp_path):
    body = textcnn.nn.Sequential(
        textcnn.nn.MinLength(500), textcnn.nn.Conv1d(64, 5, padding="full"), textcnn.nn.Pool1d("kmax", k=50),
        textcnn.nn.Conv1d(64, 3, dilation=8), textcnn.nn.DilatedBlock(64, n_repeats=50), textcnn.nn.Pool1d(),
    )  # fmt: skip
    model = model_files.classifier(body=body)
    model.save(tmp_path / "m")
    loaded = textcnn.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.predict_proba(["a film"]), model.predict_proba(["a film"]))


def test_what_cannot_be_read_is_not_written(tmp_path):
    body = textcnn.nn.Sequential(textcnn.nn.Conv1d(2, 2, padding=(6_000, 6_000)), textcnn.nn.Pool1d())
    model = model_files.classifier(X=["a", "b"], y=[0, 1], body=body)
    model.predictor_.network.body.layer_list[0].padding = 2_000_000, 0
    with pytest.raises(ValueError, match="must be at most 10000"):
        model.save(tmp_path / "m")
    assert not os.path.exists(tmp_path / "m")


# ---- numbers of things that no array backs -----------------------------------------------------------


def test_tags_without_arrays_for_them_are_refused_before_their_tables_are_made(files, tmp_path):
    for tags in ([f"B-{i}" for i in range(40_000)], [str(i) for i in range(40_000)], ["B-PER", "B-"]):
        for scheme in ("BIO", "IOB1", "typeless BIO", None):
            parts = unpacked(files["tagger"])
            parts.config |= {"tags": tags, "scheme": scheme}
            assert_refused(write(tmp_path / "m", parts))


@pytest.mark.parametrize("name", ["embedding", "filters"])
def test_arrays_without_columns_are_refused(files, tmp_path, name):
    parts = unpacked(files["binary"])
    parts.config["kernel_sizes"] = [2**30, 2**30]
    n_rows = 2 * 2**31
    for array, shape in {"embedding": [8, 0], "filters": [n_rows, 0]}.items():
        parts.arrays[array] = StoredArray("F32", shape, b"")
    parts.arrays[name].shape = [*parts.arrays[name].shape[:1], 0]
    assert_refused(write(tmp_path / "m", parts))


@pytest.mark.parametrize(
    "change",
    [
        {"dilations": [1] * 5000, "n_iterations": 3},
        {"dilations": [], "n_iterations": 2**24 - 1, "join": "concat"},
        {"n_channels": 2**23},
        {"n_tags": 0},
        {"n_iterations": 2**23},
        {"char_kernel_sizes": [2**23] * 1000},
        {"dilations": {"0": 1}},
        {"char_kernel_sizes": "23"},
        {"word_dim": 0},
        {"n_char_filters": True},
        {"head": ["crf"]},
    ],
    ids=str,
)
def test_layouts_of_taggers_that_no_array_backs_are_refused(files, tmp_path, change):
    parts = unpacked(files["tagger"])
    parts.config["layout"] |= change
    assert_refused(write(tmp_path / "m", parts))


@pytest.mark.parametrize("unit", ["[],", "{},", '{"a":1},', "[[]],", '"",', "1,", '{"a":{"b":[1,2]}},'])
def test_a_header_of_many_small_values_takes_no_more_memory_than_a_file_may(files, tmp_path, unit):
    content = files["binary"]
    where = b'\\"kernel_sizes\\": [1, 2]'
    assert where in content
    values = (unit * (4_000_000 // len(unit)) + "0").replace('"', '\\"').encode()
    content = content.replace(where, b'\\"kernel_sizes\\": [' + values + b"]", 1)
    length = int.from_bytes(content[:8], "little") + len(content) - len(files["binary"])
    length += -(8 + length) % 64
    data = content[8 + int.from_bytes(content[:8], "little") + len(content) - len(files["binary"]) :]
    header = content[8 : len(content) - len(data)].ljust(length)
    (tmp_path / "m").write_bytes(model_files.signed(length.to_bytes(8, "little") + header + data))
    assert_refused(tmp_path / "m")


def test_a_header_beyond_the_limit_is_refused_unread(files, tmp_path):
    length = 40_000_000 - 8
    content = length.to_bytes(8, "little") + files["binary"][8:1000].ljust(length)
    (tmp_path / "m").write_bytes(model_files.signed(content))
    assert_refused(tmp_path / "m", match="a header of 39999992 bytes")


def test_a_million_labels_are_not_too_many_values(tmp_path):
    labels = [f"label {i}" for i in range(1_000_000)]
    arrays = {"weights": np.zeros((1_000_000, 10), np.float32)}
    save_arrays(tmp_path / "m", arrays, {"classes": {"dtype": "str", "values": labels}})
    assert load_arrays(tmp_path / "m")[1]["classes"]["values"] == labels


def with_vocabulary(content, tokens):
    """A file with other tokens of 8 bytes in the vocabulary, and rows for them."""
    parts = unpacked(content)
    offsets = np.arange(len(tokens) + 1, dtype=np.int64) * 8
    parts.arrays["vocabulary.bytes"] = StoredArray("U8", [8 * len(tokens)], tokens.tobytes())
    parts.arrays["vocabulary.offsets"] = StoredArray("I64", [len(offsets)], offsets.tobytes())
    parts.arrays["embedding"] = zeros([len(tokens) + 1, 2])
    return parts


def test_a_vocabulary_of_a_million_tokens_is_read(files, tmp_path):
    letters = np.frombuffer(b"abcdefghijklmnop", np.uint8)
    numbers = np.arange(1_000_000)[:, np.newaxis] >> np.arange(0, 32, 4)
    tokens = np.ascontiguousarray(letters[numbers & 15]).view(np.uint64)[:, 0]
    write(tmp_path / "m", with_vocabulary(files["binary"], tokens))
    assert len(textcnn.load(tmp_path / "m").vocabulary) == 1_000_001


def test_the_most_crowded_index_of_ngrams_takes_no_second(files, tmp_path):
    # as many keys to one place as are allowed, and as many such places as there is room for
    parts = unpacked(files["binary linear"])
    places = np.repeat(np.arange(300, dtype=np.uint64) * np.uint64(2000), 990)
    keys = places + (np.arange(len(places), dtype=np.uint64) + np.uint64(1) << np.uint64(32))
    parts.arrays["linear.keys"] = StoredArray("I64", [len(keys)], keys.tobytes())
    parts.arrays["linear.coef"] = zeros([len(keys), 1])
    write(tmp_path / "m", parts)
    begin = time.process_time()
    assert textcnn.load(tmp_path / "m").predict(["good"]).shape == (1,)
    assert time.process_time() - begin < 1


# ---- numbers that lead to NaN ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["binary", "multilabel", "regressor", "targets", "three members", "characters"]
)
@pytest.mark.parametrize("names", [["embedding"], ["weights"], ["embedding", "filters"], ["bias"]], ids=str)
def test_weights_that_could_overflow_are_refused(files, tmp_path, kind, names):
    parts = unpacked(files[kind])
    for name in names:
        array = parts.arrays[name]
        array.data = np.full(array.shape, 2e19 if len(names) > 1 else -3e38, np.float32).tobytes()
    assert_refused(write(tmp_path / "m", parts), match="so large|holds a")


@pytest.mark.parametrize("name", ["coef", "word_scores", "intercept"])
def test_coefficients_that_could_overflow_are_refused(files, tmp_path, name):
    parts = unpacked(files["binary linear"])
    array = parts.arrays[f"linear.{name}"]
    array.data = np.full(array.shape, 1e30, {"F32": "f4", "F64": "f8"}[array.dtype]).tobytes()
    assert_refused(write(tmp_path / "m", parts), match="too large|holds a")


@pytest.mark.parametrize("name", ["transitions", "start", "stop"])
def test_transitions_that_could_overflow_are_refused(files, tmp_path, name):
    for part in ("network", "linear"):
        parts = unpacked(files["tagger linear"])
        array = parts.arrays[f"{part}.{name}"]
        array.data = np.full(array.shape, 3e38, np.float32).tobytes()
        assert_refused(write(tmp_path / "m", parts), match="scores above|holds a")


@pytest.mark.parametrize("kind", ["decoder", "embedded", "tagger", "tagger body", "tagger softmax"])
def test_a_deep_network_with_absurd_weights_says_so(files, tmp_path, kind):
    parts = unpacked(files[kind])
    for array in parts.arrays.values():
        if array.dtype == "F32":
            array.data = np.full(array.shape, 1e25, np.float32).tobytes()
    write(tmp_path / "m", parts)
    X = [np.ones((3, 3), np.float32)] if kind == "embedded" else [["good", "film"]]
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=r"too large|not finite|scores above"):
        textcnn.load(tmp_path / "m").predict(X)


def test_embedded_text_that_overflows_is_a_clear_error(files, tmp_path):
    (tmp_path / "m").write_bytes(files["embedded"])
    model = textcnn.load(tmp_path / "m")
    with (
        np.errstate(all="ignore"),
        pytest.raises(ValueError, match=r"outputs for 1 of 2 texts are not finite"),
    ):
        model.predict([np.ones((3, 3), np.float32), np.full((3, 3), 3e38, np.float32)])


# ---- configuration -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [-1, 1e7, float("inf"), float("nan"), "200", None, True, [200], 10**400])
def test_a_cache_of_no_possible_size_is_refused(files, tmp_path, size):
    parts = unpacked(files["binary"])
    parts.config["params"]["cache_size"] = size
    assert_refused(write(tmp_path / "m", parts))


@pytest.mark.parametrize(
    "kind", ["", "Text CNN", "a\nb", "\x1b[31m", "é", "x" * 101, None, ["TextCNNTagger"]]
)
@pytest.mark.parametrize("of", ["binary", "tagger"])
def test_a_kind_that_is_no_name_is_refused(files, tmp_path, of, kind):
    parts = unpacked(files[of])
    parts.config["kind"] = kind
    assert_refused(write(tmp_path / "m", parts), match="no name of a class|'kind'")


MANY = [nn.Activation()] * MOST_LAYERS
CLASSIFIER = textcnn.TextCNNClassifier, ["a b", "c"], ["x", "y"]
TAGGER = textcnn.TextCNNTagger, [["a", "b"], ["c"]], [["x", "y"], ["x"]]


@pytest.mark.parametrize(
    ("of", "layers", "found"),
    [
        (CLASSIFIER, [*MANY, nn.Pool1d("max")], "found more than 5000 layers"),
        (
            CLASSIFIER,
            [nn.MinLength(10_000), nn.Dense(64), nn.Pool1d("max")],
            "the layers make 640000 numbers",
        ),
        (TAGGER, MANY, "found more than 5000 layers"),
        (TAGGER, [nn.Dense(2**16)], "the layers make 1048576 numbers"),
    ],
    ids=["layers", "numbers", "layers of a tagger", "numbers of a tagger"],
)
def test_what_readers_would_refuse_is_not_written(tmp_path, of, layers, found):
    estimator, X, y = of
    body = nn.Sequential(*layers)
    model = estimator(body=body, max_iter=1, embedding_dim=2, linear=0, random_state=0).fit(X, y)
    path = tmp_path / "m"
    path.write_text("an older model")
    for save in (model.save, model.predictor_.save):
        with pytest.raises(
            ValueError, match=rf"^a model file cannot hold this model \({found}.*\); use pickle$"
        ):
            save(path)
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_text() == "an older model"


@pytest.mark.parametrize("of", ["binary", "regressor", "tagger"])
@pytest.mark.parametrize(
    "change",
    [
        {"n_iter": -1}, {"n_iter": 1.5}, {"n_iter": "1"}, {"n_iter": True}, {"n_iter": 10**30},
        {"loss_curve": "1"}, {"loss_curve": [None]}, {"loss_curve": [[1]]}, {"loss_curve": {"0": 1}},
        {"loss_curve": [10**400]}, {"validation_scores": 3}, {"validation_scores": ["a"]},
        {"validation_scores": True},
    ],
    ids=str,
)  # fmt: skip
def test_an_odd_history_is_refused(files, tmp_path, of, change):
    parts = unpacked(files[of])
    parts.config["params"]["fitted"] |= change
    write(tmp_path / "m", parts)
    estimator = next(e for e in model_files.ESTIMATORS if e.__name__ == parts.config["kind"])
    for load in (estimator.load, textcnn.load):
        with pytest.raises(ModelFileError, match="is no valid model file"):
            load(tmp_path / "m")


@pytest.mark.parametrize(
    "change",
    [{"n_members": 0}, {"n_members": "3"}, {"n_features_in": -1}, {"feature_names_in": [1]},
     {"feature_names_in": "ab"}],
    ids=str,
)  # fmt: skip
def test_an_odd_past_of_a_classifier_is_refused(files, tmp_path, change):
    parts = unpacked(files["binary"])
    parts.config["params"]["fitted"] |= change
    with pytest.raises(ModelFileError, match="has parameters that do not fit this version"):
        textcnn.TextCNNClassifier.load(write(tmp_path / "m", parts))


@pytest.mark.parametrize("threshold", [False, 0.3, [0.5, 0.5], None, "0.5"])
def test_a_threshold_that_classes_do_not_have_is_refused(files, tmp_path, threshold):
    parts = unpacked(files["binary"])
    parts.config["params"]["threshold"] = threshold
    with pytest.raises(ModelFileError, match="has parameters that do not fit this version"):
        textcnn.TextCNNClassifier.load(write(tmp_path / "m", parts))


@pytest.mark.parametrize(
    ("of", "change"),
    [
        ("regressor", {"target_mean": [1e300]}),
        ("regressor", {"target_scale": [1e300]}),
        ("regressor", {"target_scale": [0.0]}),
        ("regressor", {"target_scale": "1"}),
        ("regressor", {"target_scale": [True]}),
        ("regressor", {"one_dimensional": 1}),
        ("regressor", {"target_mean": [], "target_scale": []}),
        ("targets", {"one_dimensional": True}),
        ("multilabel", {"threshold": [0.5, 0.5, float("nan")]}),
        ("multilabel", {"threshold": 0.5}),
        ("multilabel", {"threshold": [0.5, 0.5, "0.5"]}),
        ("multilabel", {"task": ["multilabel"]}),
        ("binary", {"lowercase": 1}),
        ("binary", {"params": [["cache_size", 1]]}),
        ("binary", {"kernel_sizes": []}),
        ("binary", {"kernel_sizes": {"1": 1}}),
        ("binary", {"kernel_sizes": [1, 2.0]}),
        ("binary", {"analyzer": ["word"]}),
        ("embedded table", {"n_features": 0}),
        ("embedded table", {"n_features": -2}),
        ("embedded", {"n_features": 7}),
        ("body", {"n_features": 2}),
    ],
    ids=str,
)
def test_settings_that_no_model_has_are_refused(files, tmp_path, of, change):
    parts = unpacked(files[of])
    parts.config |= change
    assert_refused(write(tmp_path / "m", parts))


def test_a_fault_of_the_caller_is_none_of_the_file(files, tmp_path):
    for name in ("binary", "tagger"):
        (tmp_path / "m").write_bytes(files[name])
        with pytest.raises(ValueError, match="n_jobs is 0") as error:
            textcnn.load(tmp_path / "m", n_jobs=0)
        assert not isinstance(error.value, ModelFileError)


# ---- saving ------------------------------------------------------------------------------------------


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        save_arrays(tmp_path / "none" / "m", {}, {})
    assert error.value.filename == str(tmp_path / "none")


def test_a_file_in_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError) as error:
        save_arrays(tmp_path / "file" / "m", {}, {})
    assert error.value.filename == str(tmp_path / "file" / "m")
    assert "tmp" not in os.listdir(tmp_path)
