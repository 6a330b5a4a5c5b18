"""What the service answers, whatever server runs it: JSON in, JSON out, a sentence for each mistake.

A request `{"texts": ["...", "..."]}` is answered by

    {"labels": [...], "probabilities": [[...], ...], "classes": [...]}   a classifier
    {"labels": [[...], ...], "probabilities": ..., "classes": ...}       a classifier of several labels
    {"values": [...]}                                                    a regressor
    {"spans": [[{"label", "start", "stop", "text", "probability"}, ...], ...]}   a tagger

and a wrong one by `{"error": "..."}`.
"""

import gc
import json
import os

import textcnn
from textcnn.predictor import MultilabelPredictor, RegressionPredictor
from textcnn.tag_predictor import TagPredictor

MAX_BYTES = 1_000_000  # of a request
MAX_TEXTS = 1000  # in a request
TOO_LONG = f"the request is longer than {MAX_BYTES} bytes; send fewer texts at once"


class BadRequest(ValueError):
    """A request that cannot be answered; its message goes to the client."""


def load_model():
    """The model file that the variable TEXTCNN_MODEL names.

    With one thread a request, threads and processes of the server are what uses the processors. The file is
    mapped, so that all processes share its memory; `save` replaces files and never changes them. What is
    there by then stays, so Python's garbage collections, which stop all threads, need not look at it.
    """
    path = os.environ.get("TEXTCNN_MODEL")
    if not path:
        raise SystemExit(
            "TEXTCNN_MODEL is not set; let it name a model file, as `textcnn train -o` writes it"
        )
    model = textcnn.load(path, n_jobs=1, mmap=True)
    gc.collect()
    gc.freeze()
    return model


def respond(model, method, path, body):
    """Status and JSON bytes for a request whose body is not longer than MAX_BYTES."""
    if path == "/health":
        return "200 OK", as_json({"status": "ok"})
    if path != "/predict":
        return "404 Not Found", as_json({"error": f"there is no {path[:100]}; POST to /predict"})
    if method != "POST":
        return "405 Method Not Allowed", as_json({"error": f"{method[:20]} is not possible here; use POST"})
    try:
        return "200 OK", as_json(answer(model, texts_of(body)))
    except BadRequest as error:
        return "400 Bad Request", as_json({"error": str(error)})


def texts_of(body):
    """The texts of a request; raises BadRequest if it is anything but a list of strings."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f'the request is not JSON of the form {{"texts": [...]}} ({error})') from None
    texts = request.get("texts") if isinstance(request, dict) else None
    if not isinstance(texts, list):
        raise BadRequest('the request has no list of texts; send {"texts": ["...", "..."]}')
    if len(texts) > MAX_TEXTS:
        raise BadRequest(f"the request has {len(texts)} texts, but at most {MAX_TEXTS} are taken at once")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise BadRequest(f"texts[{number}] is no string, but every text must be one")
    return texts


def answer(model, texts):
    """What the model says about the texts."""
    if isinstance(model, TagPredictor):
        return {"spans": [[span._asdict() for span in text] for text in model.tag(texts)]}
    if isinstance(model, RegressionPredictor):
        return {"values": model.predict(texts).tolist()}
    probabilities = model.predict_proba(texts)
    if isinstance(model, MultilabelPredictor):
        labels = [model.classes_[row].tolist() for row in probabilities > model.threshold]
    else:
        labels = model.classes_[probabilities.argmax(axis=1)].tolist()
    return {"labels": labels, "probabilities": probabilities.tolist(), "classes": model.classes_.tolist()}


def as_json(value):
    """Bytes of plain ASCII, in which even a lone surrogate of a text can travel."""
    return json.dumps(value).encode("ascii")
