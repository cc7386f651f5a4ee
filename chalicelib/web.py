"""Between Chalice and the use cases: bodies in, replies and problem documents out.

What is wrong with a request is found here, in one place and before any store is asked: a path that is not exactly its route's,
a name in it that nothing can have, a body of another media type, with a key twice, or unlike its message.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from chalice.app import Chalice, Request, Response
from pydantic import BaseModel, ValidationError

from chalicelib import metering
from chalicelib.clients.credentials import Credential, parse_bearer
from chalicelib.errors import Refusal
from chalicelib.log import log
from chalicelib.metering import Charged
from chalicelib.rounds.round_id import FORM, RoundId
from muster.wire.explaining import explained
from muster.wire.messages import BODY_LIMIT_BYTES, Query
from muster.wire.messages import Request as Message
from muster.wire.problems import MEDIA_TYPE, Problem

Body = TypeVar("Body", bound=Message)
Question = TypeVar("Question", bound=Query)


@dataclass(frozen=True, slots=True, kw_only=True)
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
        return (*self.refuses, *(OF_A_BODY if self.takes else ()), *of_a_query, *OF_ALL)

    def unknown(self, name: str) -> Problem:
        """What the route answers when nothing has the name that a part of its path gives."""
        return next(problem for problem in PATH_NAMES[name].unknown if problem in self.refuses)


RETRY_AFTER = "5"
"""Seconds, of an answer that asks to be sent again; the gateway says the same (infra/resources.yaml). Devices take longer."""

OF_A_BODY = (Problem.MALFORMED_BODY, Problem.INVALID_BODY)
OF_ALL = (
    Problem.FORBIDDEN,
    Problem.BODY_TOO_LARGE,
    Problem.UNSUPPORTED_MEDIA_TYPE,
    Problem.TOO_MANY_REQUESTS,
    Problem.INTERNAL_ERROR,
    Problem.UNAVAILABLE,
)
"""What every request may meet. Most of it is said by the gateway (infra/resources.yaml), before a function runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathName:
    """What a part of a path may be: the pattern of the names that exist, and how a route says that there is no such one."""

    pattern: str
    unknown: tuple[Problem, ...]
    noun: str
    what: str
    read: Callable[[str], Any] = str
    """What the view is given of such a name."""


PATH_NAMES: dict[str, PathName] = {
    "model": PathName(
        pattern=r"[a-z][a-z0-9-]{0,47}",
        unknown=(Problem.UNKNOWN_MODEL, Problem.UNKNOWN_ROUND),
        noun="model",
        what="the name of a model",
    ),
    "cohort": PathName(
        pattern=r"[a-z][a-z0-9-]{0,47}", unknown=(Problem.UNKNOWN_COHORT,), noun="cohort", what="the name of a cohort"
    ),
    "experiment": PathName(
        pattern=r"[a-z][a-z0-9-]{0,47}",
        unknown=(Problem.UNKNOWN_EXPERIMENT,),
        noun="experiment",
        what="the name of an experiment",
    ),
    "round_id": PathName(
        pattern=FORM, unknown=(Problem.UNKNOWN_ROUND,), noun="round", what="the id of a round", read=RoundId.parse
    ),
    "round_number": PathName(
        pattern=r"[1-9][0-9]{0,7}", unknown=(Problem.UNKNOWN_ROUND,), noun="round", what="the number of a round", read=int
    ),
    "version": PathName(
        pattern=r"0|[1-9][0-9]{0,7}",
        unknown=(Problem.UNKNOWN_VERSION,),
        noun="version",
        what="the number of a version",
        read=int,
    ),
    "version_ref": PathName(
        pattern=r"[a-z0-9][a-z0-9.-]{0,63}", unknown=(Problem.UNKNOWN_VERSION,), noun="version", what="what names a version"
    ),
    "client_id": PathName(
        pattern=r"[A-Za-z0-9][A-Za-z0-9_-]{2,63}", unknown=(Problem.UNKNOWN_CLIENT,), noun="client", what="the id of a client"
    ),
    "token_id": PathName(
        pattern=r"[A-Za-z0-9]{8,32}",
        unknown=(Problem.UNKNOWN_TOKEN,),
        noun="enrolment token",
        what="the id of an enrolment token",
    ),
    "metric": PathName(
        pattern=r"[a-z][a-z0-9_]{0,39}",
        unknown=(Problem.UNKNOWN_METRIC, Problem.NO_OPEN_ALERT),
        noun="metric",
        what="the name of a metric",
    ),
}
"""Every part of a path that is a name. A name of another form is in no key (those of DynamoDB are bounded), has no alias with
leading zeros, and reads the same encoded and not encoded.
"""


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
    speech = Speech(takes=takes, asks=asks, answers=answers, status=status, refuses=refuses)

    def decorate(view: Callable[..., BaseModel | Response]) -> Callable[..., Response]:
        @wraps(view)
        def answer(**path: str) -> Response:
            try:
                _check_path(app, speech, path)
                read: list[Any] = [parse(app, takes)] if takes else []
                read += [parse_query(app, asks)] if asks else []
                names = {name: PATH_NAMES[name].read(text) for name, text in path.items()}
                reply = view(*read, **names)
            except Refusal as refused:
                log.info("refused", problem=refused.problem.value, route=view.__name__)
                return problem_response(refused)
            metering.charge(*_asked_for(names, read, reply))
            return reply if isinstance(reply, Response) else json_response(reply, status)

        answer.speech = speech  # type: ignore[attr-defined]
        return answer

    return decorate


def _asked_for(names: Mapping[str, Any], read: Sequence[Any], reply: object) -> Charged:
    """The model, and the round, for which a request was answered. What was refused is for nobody: it may name anything."""
    said = (names.get("round_id"), *(getattr(each, "round", None) for each in (*read, reply)))
    rounds = (RoundId.parse(each) if isinstance(each, str) else each for each in said)
    if found := next((each for each in rounds if isinstance(each, RoundId)), None):
        return found.model, found.number
    bodies = (each for each in read if isinstance(each, Message))  # a question may name a model that there is not
    model = names.get("model") or next((m for each in bodies if isinstance(m := getattr(each, "model", None), str)), None)
    return model, names.get("round_number")


def names_request(request: Request, respond: Callable[[Request], Response]) -> Response:
    """A middleware: each line of the log names its request as the gateway does. The gateway's answer has that name too
    (`x-amzn-RequestId`), so whoever is told that the server failed can find out why.
    """
    name = request.context.get("requestId")
    if isinstance(name, str):
        log.append_keys(request=name)
    else:
        log.remove_keys(["request"])
    return respond(request)


def only_problems(request: Request, respond: Callable[[Request], Response]) -> Response:
    """A middleware: Chalice's own refusals (415, 405) and its 500 become problem documents too."""
    response = respond(request)
    body = response.body
    if not (response.status_code >= 400 and isinstance(body, dict) and "Code" in body):
        return response
    match response.status_code:
        case 415:
            return problem_response(_not_json(header_of(request, "content-type")))
        case 405:  # the gateway lets no such request through
            return problem_response(_no_route())
    return problem_response(Refusal(Problem.INTERNAL_ERROR, "the server failed; it has written down why"))


def _no_route() -> Refusal:
    return Refusal(Problem.FORBIDDEN, "no route has this path and this method, or it asks for a signature")


def _not_json(media_type: str | None) -> Refusal:
    return Refusal(
        Problem.UNSUPPORTED_MEDIA_TYPE,
        "a body must say that it is JSON",
        expected="Content-Type: application/json",
        got=_shortened(media_type) if media_type is not None else "no Content-Type",
    )


def _check_path(app: Chalice, speech: Speech, names: Mapping[str, str]) -> None:
    """Refuse a path that only resembles its route's, and a name in it that nothing can have.

    API Gateway routes a path with a slash at its end, or two in its middle, like the one without; permissions (IAM, the
    resource policy) name the one without. So the path as it was asked for must be the route's, letter by letter. Before it
    may stand the stage, or the base path of a domain of one's own.

    Raises:
        Refusal: `forbidden`, or that there is no such thing.
    """
    request = _request(app)
    _check_form(request, re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(request.path)))
    for name, text in names.items():
        known = PATH_NAMES[name]
        if not re.fullmatch(known.pattern, text):
            shown = text[:64].encode("ascii", "backslashreplace").decode()
            raise Refusal(speech.unknown(name), f"no {known.noun} '{shown}'", expected=known.what, got=shown)
    _check_form(request, re.escape(re.sub(r"\{(\w+)\}", lambda part: names[part[1]], request.path)))


def _check_form(request: Request, form: str) -> None:
    """Refuse a path that has not this form (a regular expression), before which a stage or a base path may stand."""
    for asked in (request.to_original_event().get("path"), request.context.get("path")):
        if asked is not None and not re.fullmatch(r"(/[A-Za-z0-9_-]+)*" + form, str(asked)):
            raise _no_route()


def parse(app: Chalice, kind: type[Body]) -> Body:
    """The request's body.

    Raises:
        Refusal: `unsupported-media-type`, `body-too-large`, `malformed-body`, `invalid-body` (with the first field that is
            wrong).
    """
    media_type = header(app, "content-type")
    if not re.fullmatch(r'application/json *(; *charset="?utf-8"? *)?', (media_type or "").strip(), re.IGNORECASE):
        raise _not_json(media_type)
    raw = _request(app).raw_body or b""
    if len(raw) > BODY_LIMIT_BYTES:
        raise Refusal(
            Problem.BODY_TOO_LARGE,
            "the body is too large",
            expected=f"at most {BODY_LIMIT_BYTES} bytes",
            got=f"{len(raw)} bytes",
        )
    content = _json(raw if isinstance(raw, bytes) else raw.encode())
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "json_invalid":  # nested too deeply, or a text that is no Unicode
            raise _malformed("a JSON object", "something else") from error
        field, what = explained(first, content)
        raise Refusal(
            Problem.INVALID_BODY,
            f"{field or 'body'}: {what}",
            expected=f"{kind.__name__}, as docs/openapi.json has it",
            got=_shortened(first["input"]),
        ) from error


def _json(raw: bytes) -> Any:
    """What a body says, every key of it once: where one parser takes the first of two and another the last, what was checked
    is not what is used.

    Raises:
        Refusal: `malformed-body`.
    """
    try:
        return json.loads(raw.decode(), object_pairs_hook=_once)
    except UnicodeDecodeError as error:
        raise _malformed("JSON in UTF-8", "other bytes") from error
    except (ValueError, RecursionError) as error:
        raise _malformed("a JSON object", "something else, or a part of one") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _malformed("every key of an object once", "one twice")
    return found


def _malformed(expected: str, got: str) -> Refusal:
    return Refusal(Problem.MALFORMED_BODY, "the body is not JSON as it must be", expected=expected, got=got)


def parse_query(app: Chalice, kind: type[Question]) -> Question:
    """The request's query string.

    Raises:
        Refusal: `invalid-query` (with the first parameter that is wrong).
    """
    query = _request(app).query_params
    given = {name: query.getlist(name) for name in query} if query is not None else {}
    for name, values in given.items():
        if len(values) > 1:
            raise Refusal(
                Problem.INVALID_QUERY, f"{_shortened(name)}: stands more than once", expected="once", got=f"{len(values)} times"
            )
    content = {name: values[0] for name, values in given.items()}
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name, what = explained(first, content)
        raise Refusal(
            Problem.INVALID_QUERY,
            f"{name or 'query'}: {what}",
            expected=f"a query of {', '.join(sorted(kind.model_fields))}",
            got=_shortened(first["input"]),
        ) from error


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
    return header_of(_request(app), name)


def header_of(request: Request, name: str) -> str | None:
    """A header of a request, or None."""
    value = request.headers.get(name)
    return None if value is None else str(value)


def json_response(body: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A reply as JSON."""
    return Response(body.model_dump_json(), {"Content-Type": "application/json", **(headers or {})}, status)


def problem_response(refused: Refusal, headers: Mapping[str, str] | None = None) -> Response:
    """A refusal as a problem document (RFC 9457)."""
    document = refused.document()
    more = {"WWW-Authenticate": "Bearer"} if document.status == 401 else {}
    if document.retry_after_seconds is not None:
        more["Retry-After"] = str(math.ceil(document.retry_after_seconds))
    elif document.status == 503:
        more["Retry-After"] = RETRY_AFTER
    return Response(
        document.model_dump_json(exclude_none=True), {"Content-Type": MEDIA_TYPE, **more, **(headers or {})}, document.status
    )


def _request(app: Chalice) -> Request:
    if app.current_request is None:
        raise AssertionError("there is no request: this was called outside a view")
    return app.current_request


def _shortened(value: object) -> str:
    """What came, short, as JSON writes it."""
    text = json.dumps(value, default=lambda _: "something else")
    return text if len(text) <= 120 else text[:117] + "..."
