"""What API Gateway does: an HTTP request becomes the app's event, its answer an HTTP response.

Chalice's own local gateway makes the event; around it stands a WSGI application, so that a real HTTP server can carry it.
One request at a time in a process, as in Lambda: a Chalice app's `current_request` belongs to all threads. More processes
give more at once. What the gateway itself refuses, it refuses with the documents that the real one gets from
`infra/resources.yaml`. Operators' routes are open here, because only this machine can reach them; in AWS they are
IAM-authorised.
"""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from chalice.config import Config
from chalice.local import LocalGateway

from app import app
from infra.local.resources import template

LIMIT_BYTES = 10 * 1024 * 1024
"""API Gateway's limit on a payload."""

_CONFIG = json.loads((Path(__file__).parents[2] / ".chalice/config.json").read_text())
_gateway = LocalGateway(app, Config("dev", config_from_disk=_CONFIG))
_one_at_a_time = threading.Lock()
warnings.filterwarnings("ignore", message="IAMAuthorizer is not a supported in local mode")

StartResponse = Callable[[str, list[tuple[str, str]]], object]


@dataclass(frozen=True, slots=True)
class GatewayAnswer:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    content: bytes


def answer(method: str, path: str, headers: Mapping[str, str], body: bytes) -> GatewayAnswer:
    """The response to a request; `path` is as it was sent, with its query. One call at a time in a process."""
    if len(body) > LIMIT_BYTES:
        return _refusal("REQUEST_TOO_LARGE")
    if "" in path.partition("?")[0].split("/")[1:]:  # Chalice takes nothing for a name, and a slash at the end for none
        return _refusal("MISSING_AUTHENTICATION_TOKEN")
    try:
        route = _gateway.event_converter.create_lambda_event(method, path, {}, None)["requestContext"]["resourcePath"]
    except ValueError:  # Chalice's way of saying that no route has the path
        return _refusal("MISSING_AUTHENTICATION_TOKEN")
    if method not in app.routes[route]:
        return _refusal("MISSING_AUTHENTICATION_TOKEN")
    found = _gateway.handle_request(method, path, {name.lower(): value for name, value in headers.items()}, body)
    several = {name: value for name, values in found.get("multiValueHeaders", {}).items() for value in values}
    content = (found.get("body") or "").encode()
    return GatewayAnswer(found["statusCode"], {**several, **found["headers"]}, content)


def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """The app as WSGI (PEP 3333), of a server that says how the path was sent (`RAW_URI`: gunicorn)."""
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(min(length, LIMIT_BYTES + 1))
    with _one_at_a_time:
        found = answer(environ["REQUEST_METHOD"], environ["RAW_URI"], headers, body)
    fields = {name: str(value) for name, value in found.headers.items()} | {"Content-Length": str(len(found.content))}
    start_response(f"{found.status} {HTTPStatus(found.status).phrase}", list(fields.items()))
    return [found.content]


def _refusal(kind: str) -> GatewayAnswer:
    """What the gateway itself answers, by API Gateway's name of it."""
    said = _refusals()[kind]
    headers = {name.rpartition(".")[2]: value.strip("'") for name, value in said["responseParameters"].items()}
    document = json.loads(said["responseTemplates"]["application/json"])
    return GatewayAnswer(int(said["statusCode"]), headers, json.dumps(document).encode())


@cache
def _refusals() -> dict[str, Any]:
    definition = template()["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]
    found: dict[str, Any] = definition["x-amazon-apigateway-gateway-responses"]
    return found
