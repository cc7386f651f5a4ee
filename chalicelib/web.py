"""Between Chalice and the use cases: bodies in, replies and problem documents out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from chalice.app import Chalice, Request, Response
from pydantic import BaseModel, ValidationError

from chalicelib.clients.credentials import Credential, parse_bearer
from chalicelib.errors import Refused
from chalicelib.log import log
from muster.wire.messages import BODY_LIMIT_BYTES, Query
from muster.wire.messages import Request as Message
from muster.wire.problems import MEDIA_TYPE, Problem

Body = TypeVar("Body", bound=Message)
Question = TypeVar("Question", bound=Query)


@dataclass(frozen=True, slots=True)
class Speech:
    """What a route takes, answers and may refuse. The decorator acts on it and `docs/openapi.json` is made from it."""

    takes: type[Message] | None
    asks: type[Query] | None
    """What the query string may say."""
    answers: Any
    """A message, or a union of messages."""
    status: int
    refuses: tuple[Problem, ...]

    @property
    def all_refusals(self) -> tuple[Problem, ...]:
        """Its own refusals, and those that every body, and every request, may meet."""
        of_a_query = (Problem.INVALID_QUERY,) if self.asks else ()
        return (
            *self.refuses,
            *(OF_A_BODY if self.takes else ()),
            *of_a_query,
            Problem.METHOD_NOT_ALLOWED,
            Problem.INTERNAL_ERROR,
        )


OF_A_BODY = (Problem.MALFORMED_BODY, Problem.BODY_TOO_LARGE, Problem.INVALID_BODY, Problem.UNSUPPORTED_MEDIA_TYPE)


def speaks(
    app: Chalice,
    answers: Any,
    *refuses: Problem,
    takes: type[Message] | None = None,
    asks: type[Query] | None = None,
    status: int = 200,
) -> Callable[[Callable[..., BaseModel | Response]], Callable[..., Response]]:
    """Make a view of a function over messages: its body and its query string are parsed (the first arguments, where the route
    has them), its reply sent, its refusal a problem document.

    On the view itself, because Chalice answers an exception before a middleware sees it.
    """
    speech = Speech(takes, asks, answers, status, refuses)

    def decorate(view: Callable[..., BaseModel | Response]) -> Callable[..., Response]:
        @wraps(view)
        def answer(**path: str) -> Response:
            try:
                read: list[Any] = [parse(app, takes)] if takes else []
                read += [parse_query(app, asks)] if asks else []
                reply = view(*read, **path)
            except Refused as refused:
                log.info("refused", problem=refused.problem.value, route=view.__name__)
                return problem_response(refused)
            return reply if isinstance(reply, Response) else json_response(reply, status)

        answer.speech = speech  # type: ignore[attr-defined]
        return answer

    return decorate


def only_problems(request: Request, respond: Callable[[Request], Response]) -> Response:
    """A middleware: Chalice's own refusals (415, 405) and its 500 become problem documents too."""
    response = respond(request)
    body = response.body
    if not (response.status_code >= 400 and isinstance(body, dict) and "Code" in body):
        return response
    problem = _CHALICE.get(response.status_code, Problem.INTERNAL_ERROR)
    refused = Refused(problem, str(body.get("Message", problem.kind.title)))
    return problem_response(refused, {k: str(v) for k, v in response.headers.items() if k == "Allow"})


_CHALICE = {415: Problem.UNSUPPORTED_MEDIA_TYPE, 405: Problem.METHOD_NOT_ALLOWED}


def parse(app: Chalice, kind: type[Body]) -> Body:
    """The request's body.

    Raises:
        Refused: `body-too-large`, `malformed-body`, `invalid-body` (with the first field that is wrong).
    """
    raw = _request(app).raw_body or b""
    if len(raw) > BODY_LIMIT_BYTES:
        raise Refused(
            Problem.BODY_TOO_LARGE,
            "the body is too large",
            expected=f"at most {BODY_LIMIT_BYTES} bytes",
            got=f"{len(raw)} bytes",
        )
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        if first["type"] == "json_invalid":
            raise Refused(Problem.MALFORMED_BODY, "the body is not JSON", expected="a JSON object", got=first["msg"]) from error
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise Refused(
            Problem.INVALID_BODY,
            f"{field}: {first['msg']}",
            expected=f"a {kind.__name__} as docs/openapi.json has it",
            got=_shortened(first["input"]),
        ) from error


def parse_query(app: Chalice, kind: type[Question]) -> Question:
    """The request's query string.

    Raises:
        Refused: `invalid-query` (with the first parameter that is wrong).
    """
    query: Mapping[str, str] = _request(app).query_params or {}
    try:
        return kind.model_validate(dict(query))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = ".".join(str(part) for part in first["loc"]) or "query"
        raise Refused(
            Problem.INVALID_QUERY,
            f"{name}: {first['msg']}",
            expected=f"a query of {', '.join(sorted(kind.model_fields))}",
            got=_shortened(first["input"]),
        ) from error


def number(text: str, problem: Problem) -> int:
    """A whole number of a path.

    Raises:
        Refused: `problem`: what has no such number does not exist.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 8):
        raise Refused(problem, f"no such number: {text[:20]!r}", expected="a whole number", got=text[:20])
    return int(text)


def caller(app: Chalice) -> Credential | None:
    """The device key that the request bears, or None; whether it is valid is not asked here."""
    return parse_bearer(header(app, "authorization"))


def operator(app: Chalice) -> str:
    """Who the operator is that sent the request: the ARN that signed it, as API Gateway vouches for it.

    A local cloud has no such thing; only this machine can reach it.
    """
    identity = (_request(app).context or {}).get("identity") or {}
    return str(identity.get("userArn") or "local")


def header(app: Chalice, name: str) -> str | None:
    """A request header, or None."""
    value = _request(app).headers.get(name)
    return None if value is None else str(value)


def json_response(body: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A reply as JSON."""
    return Response(body.model_dump_json(), {"Content-Type": "application/json", **(headers or {})}, status)


def problem_response(refused: Refused, headers: Mapping[str, str] | None = None) -> Response:
    """A refusal as a problem document (RFC 9457)."""
    document = refused.document()
    more = {"WWW-Authenticate": "Bearer"} if document.status == 401 else {}
    return Response(
        document.model_dump_json(exclude_none=True), {"Content-Type": MEDIA_TYPE, **more, **(headers or {})}, document.status
    )


def _request(app: Chalice) -> Request:
    if app.current_request is None:
        raise AssertionError("there is no request: this was called outside a view")
    return app.current_request


def _shortened(value: object) -> str:
    """What came, short, for a person."""
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
