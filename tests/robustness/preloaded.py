"""The example service in a process that has fitted and predicted with two threads before its workers fork.

POST /train lets a worker fit the same models again and tells whether their bits are those of the parent's.
"""

import os

from answers import as_json
from robustness import forking
from wsgi import app as example

forking.MODELS.extend(forking.fitted())
EXPECTED = forking.child()


def app(environ, start_response):
    """The example's answers, and one more."""
    if environ["PATH_INFO"] != "/train":
        return example(environ, start_response)
    body = as_json({"same": forking.child() == EXPECTED, "worker": os.getpid()})
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
