"""The comparison of taggers runs on tiny data; its parts read, score and compute what they say."""

import itertools
import json
import random
from importlib.util import find_spec

import numpy as np
import pytest
from test_benchmarks import BENCHMARKS, run_script

import textcnn

pytestmark = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="the benchmarks are not beside the tests")

QUICK = [
    *("--rounds=1", "--epochs=2", "--passes=2", "--threads=1", "--pass-words=100", "--dev"),
    *("--wait=0", "--repeats=0"),
]

MODULES = {
    "pytorch-usual": "torch",
    "pytorch-best": "torch",
    "crfsuite": "sklearn_crfsuite",
    "spacy": "spacy",
}

CONLL_2003 = """-DOCSTART- -X- -X- O

Ann NNP I-NP I-PER
Lee NNP I-NP I-PER
left VBD I-VP O

Rome NNP I-NP I-LOC
Oslo NNP B-NP B-LOC
"""

EWT = """# text = I don't know
1\tI\ti\tPRON\tPRP\t_\t3\tnsubj\t_\t_
2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
2\tdo\tdo\tAUX\tVBP\t_\t3\taux\t_\t_
3\tn't\tnot\tPART\tRB\t_\t4\tadvmod\t_\t_
3.1\tever\tever\tADV\tRB\t_\t_\t_\t_\t_
4\tknow\tknow\tVERB\tVB\t_\t0\troot\t_\t_

"""


@pytest.fixture(autouse=True)
def _benchmarks_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Made-up sentences in the layout of the data sets: names are persons, cities are places."""
    folder = tmp_path_factory.mktemp("data")
    rng = random.Random(0)

    def write(name, n_sentences, row):
        path = folder / "tagging" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = []
        for _ in range(n_sentences):
            names = [rng.choice(["Ann", "Bob", "Eve"]), rng.choice(["Oslo", "Rome", "Lima"])]
            words = [(names[0], "B-PER", "PROPN"), ("visited", "O", "VERB"), (names[1], "B-LOC", "PROPN")]
            words += [("today", "O", "NOUN")] * rng.randrange(3)
            lines += [row(i, *word) + "\n" for i, word in enumerate(words, 1)] + ["\n"]
        path.write_text("".join(lines), encoding="utf-8")

    for part, n_sentences in (("train", 60), ("testa", 20), ("testb", 20)):
        write(f"conll2003/eng.{part}", n_sentences, lambda i, word, tag, _: f"{word} X X {tag}")
    for part, n_sentences in (("train", 60), ("dev", 20), ("test", 20)):
        write(
            f"ud_en_ewt/en_ewt-ud-{part}.conllu",
            n_sentences,
            lambda i, word, _, pos: f"{i}\t{word}\t_\t{pos}\t_\t_\t0\t_\t_\t_",
        )
    for part, n_sentences in (("train", 60), ("test", 20)):
        write(f"conll2000/{part}.txt", n_sentences, lambda i, word, tag, _: f"{word} X {tag}")
    return folder


def test_iob1_is_read_as_bio_without_lines_between_documents(tmp_path):
    from tagging_datasets import SOURCES, read_part

    (tmp_path / "part").write_text(CONLL_2003)
    X, y = read_part(tmp_path / "part", SOURCES["conll2003"])
    assert X == [["Ann", "Lee", "left"], ["Rome", "Oslo"]]
    assert y == [["B-PER", "I-PER", "O"], ["B-LOC", "B-LOC"]]


def test_words_of_a_treebank_are_those_with_a_whole_number(tmp_path):
    from tagging_datasets import SOURCES, read_part

    (tmp_path / "part").write_text(EWT)
    X, y = read_part(tmp_path / "part", SOURCES["ewt"])
    assert X == [["I", "do", "n't", "know"]]
    assert y == [["PRON", "AUX", "PART", "VERB"]]


def test_a_fixed_tenth_of_training_is_the_missing_development_part(data):
    from tagging_datasets import read_tagging_split

    split, again = read_tagging_split(data, "conll2000"), read_tagging_split(data, "conll2000")
    assert (len(split.X_train), len(split.X_dev), len(split.X_test)) == (54, 6, 20)
    assert split == again


def test_timed_sentences_stop_at_the_limit(data):
    from tagging_datasets import count_words, read_tagging_split

    split = read_tagging_split(data, "conll2003")
    assert 90 < count_words(split.speed_sentences(100)) <= 100
    assert split.speed_sentences(1) == split.X_test[:1]
    assert len(split.speed_sentences(10_000)) == 80


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-A I-A O B-B", [(0, 2, "A"), (3, 4, "B")]),
        ("B-A B-A I-A", [(0, 1, "A"), (1, 3, "A")]),
        ("I-A I-B O I-B", [(0, 1, "A"), (1, 2, "B"), (3, 4, "B")]),  # no tag before it fits
        ("B-A M-A E-A S-A S-A", [(0, 3, "A"), (3, 4, "A"), (4, 5, "A")]),
        ("B-A E-A M-A E-A", [(0, 2, "A"), (2, 4, "A")]),
        ("B I O B", [(0, 2, ""), (3, 4, "")]),
        ("O O", []),
    ],
)
def test_spans(tags, expected):
    from tagging_scores import spans_of

    assert spans_of(tags.split()) == expected


def test_scores():
    from tagging_scores import score

    expected = [["B-A", "I-A", "O"], ["B-B", "O", "B-A"]]
    found = [["B-A", "O", "O"], ["B-B", "O", "O"]]
    assert score(expected, found, spans=True) == pytest.approx(2 * 1 / (3 + 2))
    assert score(expected, found, spans=False) == pytest.approx(4 / 6)
    assert score(expected, [["O"] * 3] * 2, spans=True) == 0


def is_installed(peer):
    """Whether what the peer needs is there."""
    return hasattr(textcnn, "TextCNNTagger") if peer == "textcnn" else find_spec(MODULES[peer]) is not None


@pytest.mark.parametrize("peer", ["textcnn", "pytorch-usual", "pytorch-best", "crfsuite", "spacy"])
def test_each_peer_learns_the_made_up_sentences(peer, data, tmp_path):
    if not is_installed(peer):
        pytest.skip(f"{peer} is not installed")
    path = tmp_path / "found.json"
    arguments = ["--data", data, "--sets", "conll2003,ewt", "--peers", peer, "--json", path, *QUICK]
    printed = run_script("compare_tagging.py", *arguments)
    found = json.loads(path.read_text())
    modes = ["default"] if peer in ("crfsuite", "spacy") else ["matched", "default"]
    assert [(run["set"], run["mode"]) for run in found["runs"]] == [
        (name, mode) for name in ("conll2003", "ewt") for mode in modes
    ]
    for run in found["runs"]:
        assert run["fit_s"] > 0
        assert run["peak_mb"] > run["before_mb"] > 10
        assert len(run["tagging"]["1"]["tokens_s"]) == 2
        assert run["score"] > 0.9 or run["mode"] == "matched"  # two epochs are few
    assert printed.count("F1 %, dev") == printed.count("accuracy %, dev") == len(modes)
    assert run_script("compare_tagging.py", "--show", path) == printed


def test_processes_share_the_sentences(data, tmp_path):
    pytest.importorskip("sklearn_crfsuite")
    path = tmp_path / "found.json"
    arguments = ["--data", data, "--sets", "conll2003", "--peers", "crfsuite", "--json", path, *QUICK]
    run_script("compare_tagging.py", *arguments, "--threads=2")
    (run,) = json.loads(path.read_text())["runs"]
    assert run["tagging"].keys() == {"1", "2"}


def test_missing_peer_is_a_line_and_no_failure(data, tmp_path):
    arguments = ["--data", data, "--peers", "crfsuite,spacy", "--sets", "ewt", *QUICK]
    printed = run_script("compare_tagging.py", *arguments, hidden="sklearn_crfsuite,spacy")
    assert (
        "sklearn-crfsuite is left out: sklearn-crfsuite is not installed (pip install '.[bench]')" in printed
    )
    assert "spaCy is left out" in printed


def run_of(peer, mode, epoch_s, tagging):
    """A run as `compare_tagging.py` writes it."""
    facts = {"set": "conll2003", "mode": mode, "peer": peer, "round": 0, "fit_s": 9.0, "others": 0.0}
    return facts | {"epoch_s": epoch_s, "tagging": tagging, "peak_mb": 100.0, "score": 0.9}


def test_ratios_are_those_of_medians():
    from tagging_results import tables

    found = {
        "date": "2026-01-01",
        "machine": {"cpu": "C", "cores": 2, "system": "Linux"},
        "versions": {"python": "3.11"},
        "settings": {"epochs": 1, "threads": 1, "dev": False},
        "missing": {},
        "sets": {"conll2003": {"spans": True, "train_words": 1000, "speed_words": 500}},
        "runs": [
            run_of("textcnn", "matched", [1.0, 2.0, 9.0], {"1": {"tokens_s": [0.1]}}),
            run_of("pytorch-best", "matched", [8.0], {"1": {"tokens_s": [0.9], "ready_s": [0.5]}}),
            run_of("spacy", "default", [3.0], {"1": {"tokens_s": [2.0]}}),
            {"set": "conll2003", "mode": "default", "peer": "crfsuite", "round": 0, "failed": "it died"},
        ],
    }
    lines = tables(found, markdown=True)
    assert "- training is 4.0 times PyTorch ID-CNN-CRF, best" in lines
    assert "- tagging of tokens is 5.0 times PyTorch ID-CNN-CRF, best from ready ids" in lines
    assert "- tagging (matched, 1 thread) is 20.0 times spaCy in 1 process" in lines
    assert "sklearn-crfsuite on conll2003, default: it died" in lines
    assert any(line.startswith("| textcnn | 0.50 (0.11–1.00) | 9.00 | 5.00 | ") for line in lines)


def test_missing_data_is_a_sentence(tmp_path):
    from tagging_datasets import read_tagging_split

    with pytest.raises(SystemExit, match=r"train\.txt; --data must name the folder with tagging/"):
        read_tagging_split(tmp_path, "conll2000")


def test_both_pytorch_forms_compute_the_same_network(monkeypatch):
    torch = pytest.importorskip("torch")
    from tagging_peers.pytorch_best import BestIDCNN
    from tagging_peers.pytorch_usual import UsualIDCNN

    torch.manual_seed(0)
    usual, best = UsualIDCNN(20, 5).eval(), BestIDCNN(20, 5).eval()
    best.load_state_dict(
        {name: value.unsqueeze(2) if value.ndim == 3 else value for name, value in usual.state_dict().items()}
    )
    ids = torch.tensor([[3, 4, 5, 6, 7, 8], [9, 3, 9, 0, 0, 0], [2, 0, 0, 0, 0, 0]])
    with torch.no_grad():
        expected = usual(ids, ids != 0)
        np.testing.assert_allclose(best(ids, ids != 0), expected, atol=1e-6)
        alone = usual(ids[1:2, :3], ids[1:2, :3] != 0)
    np.testing.assert_allclose(alone, expected[1:2, :3], atol=1e-6)  # padding reaches no token


def test_crf_of_the_pytorch_forms_agrees_with_all_paths():
    torch = pytest.importorskip("torch")
    from tagging_peers import TaggingSettings
    from tagging_peers.pytorch_best import BestPyTorch
    from tagging_peers.pytorch_common import CRF
    from tagging_peers.pytorch_usual import UsualPyTorch

    torch.manual_seed(0)
    n_tags, lengths = 3, [4, 2, 1]
    crf = CRF(n_tags).requires_grad_(False)
    emissions = torch.randn(len(lengths), max(lengths), n_tags)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    tags = torch.randint(n_tags, mask.shape) * mask
    losses, best = [], []
    for i, length in enumerate(lengths):
        paths = list(itertools.product(range(n_tags), repeat=length))
        scores = torch.stack([path_score(crf, emissions[i], path) for path in paths])
        losses.append(torch.logsumexp(scores, 0) - path_score(crf, emissions[i], tags[i, :length].tolist()))
        best.append(list(paths[int(scores.argmax())]))

    np.testing.assert_allclose(crf.loss(emissions, tags, mask), torch.stack(losses).mean(), rtol=1e-5)
    for form in (UsualPyTorch, BestPyTorch):
        peer = form(TaggingSettings("matched", 1, 1, 0, True, False))
        peer.build(9, n_tags)
        peer.network.crf = crf
        assert [found.tolist() for found in peer.best_tags(emissions, mask)] == best


def path_score(crf, emissions, path):
    """Score of one path, term by term."""
    score = crf.start[path[0]] + crf.end[path[-1]] + sum(emissions[t, tag] for t, tag in enumerate(path))
    return score + sum(crf.transitions[one, other] for one, other in itertools.pairwise(path))


def test_stack_of_dilated_convolutions_beside_matrix_products(tmp_path):
    path = tmp_path / "rates.json"
    run_script("bench_dilated.py", "--threads=1", "--rounds=1", "--wait=0", "--json", path)
    rows = json.loads(path.read_text())
    assert all(row["best GFLOP/s"] > 0 for row in rows)
    assert max(row["best %"] for row in rows if row["what"].startswith("GEMM")) == pytest.approx(100)
    assert {row["what"] for row in rows} >= {"32 sentences", "GEMM 512 x 128 x 128, NumPy"}
