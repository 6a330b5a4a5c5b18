"""The services of examples/serve/, asked over HTTP on this machine."""

import http.client
import importlib.util
import json
import queue
import re
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from robustness.processes import end, start_python
from samples import reviews

import textcnn
from textcnn import TextCNNClassifier, TextCNNRegressor, TextCNNTagger

TESTS = Path(__file__).resolve().parents[1]
EXAMPLE = TESTS.parent / "examples" / "serve"
TEXTS, LABELS = reviews()
SMALL = {"embedding_dim": 8, "max_iter": 2, "random_state": 0}
SECONDS = 60  # for any answer

pytestmark = pytest.mark.skipif(not EXAMPLE.is_dir(), reason="the examples are not beside the tests")


def needs(server):
    return pytest.mark.skipif(importlib.util.find_spec(server) is None, reason=f"{server} is not installed")


GUNICORN = ["gunicorn", "--preload", "-w", "2", "--bind", "127.0.0.1:0"]
UVICORN = ["uvicorn", "--host", "127.0.0.1", "--port", "0"]
SERVERS = [
    pytest.param([*GUNICORN, "wsgi:app"], marks=needs("gunicorn"), id="gunicorn"),
    pytest.param([*UVICORN, "asgi:app"], marks=needs("uvicorn"), id="uvicorn"),
]


@contextmanager
def service(command, model_path):
    """The port of a server that is started, and ended with all its workers."""
    process = start_python(
        "-m",
        *command,
        cwd=EXAMPLE,
        env={"TEXTCNN_MODEL": str(model_path)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    lines: queue.Queue = queue.Queue()
    threading.Thread(target=lambda: [lines.put(line) for line in process.stdout], daemon=True).start()
    try:
        log = ""
        while not (found := re.search(r"http://127\.0\.0\.1:(\d+)", log)):
            log += lines.get(timeout=SECONDS)
        yield int(found.group(1))
    except queue.Empty:
        pytest.fail(f"the server did not start: {log}")
    finally:
        end(process)


def asked(port, path="/predict", body=b"", method="POST", headers=()):
    """Status and JSON of one answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        assert response.headers["Content-Type"] == "application/json"
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def predicted(port, texts):
    status, answer = asked(port, body=json.dumps({"texts": texts}))
    assert status == 200
    return answer


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A fitted model of each kind, and its file."""
    fitted = {
        "classifier": TextCNNClassifier(**SMALL).fit(TEXTS, LABELS),
        "labels": TextCNNClassifier(**SMALL).fit(TEXTS, np.array([[i % 2, i % 3 == 0] for i in range(80)])),
        "regressor": TextCNNRegressor(**SMALL).fit(TEXTS, np.arange(80.0)),
        "tagger": TextCNNTagger(**SMALL).fit(
            [text.split() for text in TEXTS],
            [["B-X" if len(word) == 5 else "O" for word in text.split()] for text in TEXTS],
        ),
    }
    folder = tmp_path_factory.mktemp("models")
    for name, model in fitted.items():
        model.save(folder / name)
    return {name: (model, folder / name) for name, model in fitted.items()}


@pytest.mark.parametrize("command", SERVERS)
def test_a_service_answers_many_clients_at_once_and_refuses_in_one_sentence(command, models):
    model, path = models["classifier"]
    batches = [TEXTS[i : i + 20] for i in range(0, 80, 5)]
    with service(command, path) as port:
        with ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(lambda texts: predicted(port, texts), batches * 4))
        for texts, answer in zip(batches * 4, answers, strict=True):
            assert answer["labels"] == model.predict(texts).tolist()
            assert answer["probabilities"] == model.predict_proba(texts).tolist()
            assert answer["classes"] == ["bad", "good"]
        assert predicted(port, [])["labels"] == []
        assert predicted(port, ["", "\ud800", "\0", "a " * 100_000])["labels"]
        for body, said in WRONG:
            status, answer = asked(port, body=body)
            assert (status, list(answer)) == (400, ["error"])
            assert said in answer["error"]
            assert "\n" not in answer["error"]
        assert asked(port, "/health", method="GET") == (200, {"status": "ok"})
        assert asked(port, "/predict", method="GET")[0] == 405
        assert asked(port, "/elsewhere")[0] == 404
        assert status_of_a_promise(port, 2_000_000) == 413
        assert predicted(port, TEXTS[:1])["labels"] == model.predict(TEXTS[:1]).tolist()


WRONG = [
    (b"", "is not JSON"),
    (b"{", "is not JSON"),
    (b"\xff\xfe\xff", "is not JSON"),
    (b"[" * 100_000, "is not JSON"),
    (b"9" * 10_000, "is not JSON"),
    (b'["text"]', "has no list of texts"),
    (b"{}", "has no list of texts"),
    (b'{"texts": "one text"}', "has no list of texts"),
    (b'{"texts": ["one", 2]}', "texts[1] is no string"),
    (b'{"texts": [["a", "b"]]}', "texts[0] is no string"),
    (json.dumps({"texts": ["a"] * 1001}).encode(), "has 1001 texts, but at most 1000"),
]


def status_of_a_promise(port, length):
    """Status of the answer to a request that is announced with a length, and not yet sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        connection.sendall(f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
        return int(connection.recv(100).split()[1])


@pytest.mark.parametrize("command", SERVERS)
@pytest.mark.parametrize("kind", ["labels", "regressor", "tagger"])
def test_a_service_serves_every_kind_of_model(command, kind, models):
    model, path = models[kind]
    with service(command, path) as port:
        answer = predicted(port, TEXTS)
    if kind == "labels":
        found = [sorted(model.classes_[row == 1].tolist()) for row in model.predict(TEXTS)]
        assert [sorted(labels) for labels in answer["labels"]] == found
    elif kind == "regressor":
        assert answer["values"] == model.predict(TEXTS).tolist()
    else:
        assert answer["spans"] == [[span._asdict() for span in text] for text in model.tag(TEXTS)]


@needs("gunicorn")
def test_forked_workers_train_after_threads_in_the_parent(models):
    command = [*GUNICORN, "--pythonpath", f"{EXAMPLE},{TESTS}", "robustness.preloaded:app"]
    with service(command, models["classifier"][1]) as port:
        with ThreadPoolExecutor(4) as clients:
            answers = list(clients.map(lambda _: asked(port, "/train"), range(4)))
        assert [(status, answer["same"]) for status, answer in answers] == [(200, True)] * 4
        assert (
            predicted(port, TEXTS)["labels"] == textcnn.load(models["classifier"][1]).predict(TEXTS).tolist()
        )


@pytest.mark.parametrize("command", SERVERS)
def test_a_service_without_a_model_says_what_to_set(command):
    process = start_python(
        "-m", *command, cwd=EXAMPLE, env={"TEXTCNN_MODEL": ""}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        assert "TEXTCNN_MODEL is not set" in process.communicate(timeout=SECONDS)[0]
    finally:
        end(process)
