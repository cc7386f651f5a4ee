"""What API Gateway does: an HTTP request becomes the app's event, its answer an HTTP response.

Chalice's own local gateway makes the event; around it stands a WSGI application, so that a real HTTP server can carry it.
One request at a time in a process, as in Lambda: a Chalice app's `current_request` belongs to all threads. More processes
give more at once. Operators' routes are open here, because only this machine can reach them; in AWS they are IAM-authorised.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from chalice.config import Config
from chalice.local import LocalGateway, LocalGatewayException

from app import app

LIMIT_BYTES = 10 * 1024 * 1024
"""API Gateway's limit on a payload."""

_gateway = LocalGateway(app, Config(chalice_stage="local"))
_one_at_a_time = threading.Lock()
warnings.filterwarnings("ignore", message="IAMAuthorizer is not a supported in local mode")

StartResponse = Callable[[str, list[tuple[str, str]]], object]


def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """The app as WSGI (PEP 3333)."""
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    length = int(environ.get("CONTENT_LENGTH") or 0)
    path = environ["PATH_INFO"] + (f"?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else "")
    if length > LIMIT_BYTES:
        return _respond(start_response, 413, {"content-type": "application/json"}, b'{"message": "Request Too Long"}')
    body = environ["wsgi.input"].read(length)
    try:
        with _one_at_a_time:
            answer = _gateway.handle_request(environ["REQUEST_METHOD"], path, headers, body)
    except LocalGatewayException as error:
        return _respond(start_response, error.CODE, dict(error.headers), error.body or b"")
    several = {name: value for name, values in answer.get("multiValueHeaders", {}).items() for value in values}
    content = (answer.get("body") or "").encode()
    return _respond(start_response, answer["statusCode"], {**several, **answer["headers"]}, content)


def _respond(start_response: StartResponse, status: int, headers: dict[str, str], content: bytes) -> Iterable[bytes]:
    fields = {name: str(value) for name, value in headers.items()} | {"Content-Length": str(len(content))}
    start_response(f"{status} {HTTPStatus(status).phrase}", list(fields.items()))
    return [content]
