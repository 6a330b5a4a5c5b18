"""An ASGI application: TEXTCNN_MODEL=m.textcnn uvicorn asgi:app

Requests are answered in a pool of threads, which share one model: predictions run side by side on several
processors, and the event loop stays free for other requests.
"""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

from answers import MAX_BYTES, TOO_LONG, as_json, load_model, respond

MODEL = load_model()
POOL = ThreadPoolExecutor(os.cpu_count())


async def app(scope, receive, send):
    """Answer one request; or take part in the start and the end of the server."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "http":
        await send_answer(send, *await http(scope, receive))


async def http(scope, receive):
    """Status and JSON bytes. The server has checked that a length, where there is one, is a number."""
    body = bytearray()
    more = True
    if int(dict(scope["headers"]).get(b"content-length", 0)) > MAX_BYTES:
        return "413 Content Too Large", as_json({"error": TOO_LONG})
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return "400 Bad Request", as_json({"error": "the request was cut off"})
        body += message.get("body", b"")
        if len(body) > MAX_BYTES:
            return "413 Content Too Large", as_json({"error": TOO_LONG})
        more = message.get("more_body", False)
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(POOL, respond, MODEL, scope["method"], scope["path"], bytes(body))


async def send_answer(send, status, body):
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": int(status[:3]), "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def lifespan(receive, send):
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            POOL.shutdown()
            return
