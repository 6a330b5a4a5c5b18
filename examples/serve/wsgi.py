"""A WSGI application: TEXTCNN_MODEL=m.textcnn gunicorn --preload -w 2 wsgi:app

`--preload` loads the model once, before the workers are forked, and they share its memory. A forked worker
works on one thread, so let there be as many workers as processors.
"""

from answers import MAX_BYTES, TOO_LONG, as_json, load_model, respond

MODEL = load_model()


def app(environ, start_response):
    """Answer one request. The server has checked that a length, where there is one, is a number."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if "HTTP_TRANSFER_ENCODING" in environ:
        status, body = "411 Length Required", as_json({"error": "send the request with its Content-Length"})
    elif length > MAX_BYTES:
        status, body = "413 Content Too Large", as_json({"error": TOO_LONG})
    else:
        sent = environ["wsgi.input"].read(length)
        status, body = respond(MODEL, environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""), sent)
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
