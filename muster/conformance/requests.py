"""Requests as the API reads them, and its replies: which route a path is, and whether a body can be taken."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from muster.conformance.checks import Board
from muster.conformance.http import Answer, Seen
from muster.wire import messages as wire
from muster.wire.problems import MEDIA_TYPE, Problem

LATER = {"of_a_later_release": {"anything": [1, None, "x"]}}
"""A member of every reply that no device knows."""

_ROUTES: tuple[tuple[str, str, str, type[BaseModel] | None], ...] = (
    ("enrol", "POST", "/v1/clients", wire.Enrolment),
    ("rotate", "POST", "/v1/clients/me/key", wire.KeyRotation),
    ("describe", "PUT", "/v1/clients/me", wire.ProfileUpdate),
    ("heartbeat", "POST", "/v1/heartbeat", wire.Heartbeat),
    ("check-in", "POST", "/v1/models/([^/]+)/checkin", wire.CheckIn),
    ("model", "GET", "/v1/models/([^/]+)", None),
    ("metrics", "POST", "/v1/models/([^/]+)/versions/([0-9]+)/metrics", wire.EvaluationReport),
    ("grant", "POST", "/v1/rounds/([^/]+)/upload", wire.UploadRequest),
    ("report", "POST", "/v1/rounds/([^/]+)/report", wire.UpdateReport),
    ("receipt", "GET", "/v1/rounds/([^/]+)/report", None),
    ("failure", "POST", "/v1/rounds/([^/]+)/failure", wire.FailureReport),
    ("health", "GET", "/v1/health", None),
)
"""Name, method, path and body of every route that a device may use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedRequest:
    """A request, and what it is for."""

    seen: Seen
    route: str
    """A route of the API, or `checkpoint`, `delta` or `put` of the store, or `elsewhere`, or `unknown`."""
    names: tuple[str, ...] = ()
    """Of a path: the model, the round, the version; of the store: what the object is."""
    said: Any = None
    """The body, parsed: None where there is none, or where it cannot be taken."""


def route_of(seen: Seen, prefix: str) -> tuple[RoutedRequest, type[BaseModel] | None] | None:
    """The route that a request is for, under a prefix of the path, and the body that it takes; None when there is none."""
    path = seen.target.partition("?")[0]
    for name, method, pattern, body in _ROUTES:
        found = re.fullmatch(re.escape(prefix) + pattern, path)
        if found and method == seen.method:
            return RoutedRequest(seen=seen, route=name, names=found.groups()), body
    return None


def with_body(request: RoutedRequest, kind: type[BaseModel], board: Board) -> tuple[RoutedRequest, Answer | None]:
    """The request with its body, or its refusal, which is noted."""
    seen = request.seen
    if not seen.headers.get("content-type", "").lower().startswith("application/json"):
        board.failed("bodies", f"{request.route}: Content-Type is {seen.headers.get('content-type')!r}")
        return request, problem(Problem.UNSUPPORTED_MEDIA_TYPE, "the body must be application/json")
    if len(seen.body) > wire.BODY_LIMIT_BYTES:
        board.failed("bodies", f"{request.route}: {len(seen.body)} bytes")
        return request, problem(Problem.BODY_TOO_LARGE, "the body is too large")
    try:
        json.loads(seen.body, object_pairs_hook=_once)
        said = kind.model_validate_json(seen.body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        why = f"{'.'.join(str(part) for part in first['loc']) or 'body'}: {first['msg']}"
        board.failed("bodies", f"{request.route}: {why}")
        return request, problem(Problem.INVALID_BODY, why)
    except ValueError as error:
        board.failed("bodies", f"{request.route}: {error}")
        return request, problem(Problem.MALFORMED_BODY, "the body is not JSON")
    board.passed("bodies")
    return RoutedRequest(seen=seen, route=request.route, names=request.names, said=said), None


def reply(body: BaseModel, status: int = 200) -> Answer:
    """A reply of the API, with a member that no device knows."""
    return said(body.model_dump(mode="json"), status)


def said(content: Mapping[str, Any], status: int = 200) -> Answer:
    """A reply of these members."""
    return Answer(status=status, body=json.dumps({**content, **LATER}).encode(), headers={"Content-Type": "application/json"})


def problem(kind: Problem, detail: str) -> Answer:
    """A refusal."""
    status = kind.kind.status
    document = {"type": kind.urn, "title": kind.kind.title, "status": status, "detail": detail, **LATER}
    return Answer(status=status, body=json.dumps(document).encode(), headers={"Content-Type": MEDIA_TYPE})


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is there twice")
    return found
