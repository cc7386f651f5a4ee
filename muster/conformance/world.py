"""An honest server, as a device sees one: its API, and its store. What goes wrong is the walk's business.

It knows one token, one device, one model and one round at a time. What the real server would refuse it refuses, and notes it.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import secrets
from base64 import b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from muster.conformance.checks import Board
from muster.conformance.http import Answer, Seen
from muster.conformance.versions import Version, Versions
from muster.wire import gate
from muster.wire import messages as wire
from muster.wire.encodings import Encoding, update_lengths
from muster.wire.problems import MEDIA_TYPE, Problem
from muster.wire.tensors import Unfit

HEARTBEAT_SECONDS = 1.0
FAR_AWAY = "2099-01-01T00:00:00Z"
LATER = {"of_a_later_release": {"anything": [1, None, "x"]}}
"""A member of every reply that no device knows."""

HYPERPARAMETERS = {"epochs": 2, "learning_rate": 0.1}

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
    ("health", "GET", "/v1/health", None),
)
"""Name, method, path and body of every route that a device may use."""

_FREE = frozenset({"host", "user-agent", "accept", "accept-encoding", "accept-language", "connection", "content-length"})
"""Headers that a PUT may have besides those of its grant."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request, and what it is for."""

    seen: Seen
    route: str
    """A route of the API, or `checkpoint`, `delta` or `put` of the store, or `elsewhere`, or `unknown`."""
    names: tuple[str, ...] = ()
    """Of a path: the model, the round, the version; of the store: what the object is."""
    said: Any = None
    """The body, parsed: None where there is none, or where it cannot be taken."""


@dataclass
class Round:
    """One round, of one device."""

    number: int
    base: Version
    encoding: Encoding
    candidate: Version | None = None
    declared: wire.UploadRequest | None = None
    stored: bytes | None = None
    report: wire.UpdateReport | None = None
    verdict: Unfit | None = None
    measured: dict[int, wire.EvaluationReport] = field(default_factory=dict)
    had: frozenset[str] = frozenset()
    """The checkpoints that the device said it has, when it got its place."""
    read: list[str] = field(default_factory=list)
    """Digests of the checkpoints that it has read whole since."""

    @property
    def is_judged(self) -> bool:
        """Whether both versions were measured."""
        return self.candidate is not None and self.measured.keys() >= {self.base.number, self.candidate.number}


class World:
    """Token, device, model, round, and the store."""

    def __init__(self, model: str, versions: Versions, board: Board) -> None:
        self.model = model
        self.token = f"kit{secrets.token_hex(5)}.{secrets.token_urlsafe(32)}"
        self.round: Round | None = None
        self.can: frozenset[str] = frozenset()
        self.encodings: list[Encoding] = ["plain"]
        self.offers_deltas = False
        self.is_gone = False
        """From now on no key is good."""
        self._versions = versions
        self._board = board
        self._origin = self._prefix = ""
        self._enrolments: dict[str, tuple[wire.Enrolment, str]] = {}
        self._rotations: dict[tuple[str, str], str] = {}
        self._key = ""
        self._urls: dict[str, tuple[str, str]] = {}
        """What a target of the store is for: its kind, and which one."""
        self._expired: set[str] = set()
        self._known: dict[str, Version] = {}
        """Those that a URL was made for, by digest."""

    def stand_at(self, url: str) -> None:
        """Say where the API is; the store is beside it."""
        parts = urlsplit(url)
        self._origin, self._prefix = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")

    @property
    def elsewhere(self) -> str:
        """Where a redirect points."""
        return f"{self._origin}/elsewhere"

    # ---- reading a request

    def read(self, seen: Seen) -> tuple[Request, Answer | None]:
        """What a request is for; and its refusal, if it is none that the server would act upon."""
        path = seen.target.partition("?")[0]
        if path.startswith("/elsewhere"):
            return Request(seen, "elsewhere"), Answer(404)
        if path.startswith("/store/"):
            return self._read_store(seen)
        for name, method, pattern, body in _ROUTES:
            found = re.fullmatch(self._prefix + pattern, path)
            if found and method == seen.method:
                request = Request(seen, name, found.groups())
                refusal = self._authorised(request)
                return (request, refusal) if refusal or body is None else self._with_body(request, body)
        self._board.failed("base-url", f"{seen.method} {path[:80]} is no route of {self._origin}{self._prefix}")
        return Request(seen, "unknown"), Answer(403, b'{"message":"Missing Authentication Token"}')

    def _authorised(self, request: Request) -> Answer | None:
        if request.route in ("enrol", "health"):
            return None
        scheme, _, key = request.seen.headers.get("authorization", "").partition(" ")
        if self.is_gone:
            return problem(Problem.UNAUTHENTICATED, "the key was revoked")
        rotating = request.route == "rotate" and any(old == key for old, _ in self._rotations)
        if scheme.lower() != "bearer" or not self._key or (key != self._key and not rotating):
            self._board.failed("authorization", f"{request.route} without `Authorization: Bearer` and the key of the enrolment")
            return problem(Problem.UNAUTHENTICATED, "the key is not the one of the enrolment")
        self._board.passed("authorization")
        return None

    def _with_body(self, request: Request, kind: type[BaseModel]) -> tuple[Request, Answer | None]:
        seen = request.seen
        if not seen.headers.get("content-type", "").lower().startswith("application/json"):
            self._board.failed("bodies", f"{request.route}: Content-Type is {seen.headers.get('content-type')!r}")
            return request, problem(Problem.UNSUPPORTED_MEDIA_TYPE, "the body must be application/json")
        if len(seen.body) > wire.BODY_LIMIT_BYTES:
            self._board.failed("bodies", f"{request.route}: {len(seen.body)} bytes")
            return request, problem(Problem.BODY_TOO_LARGE, "the body is too large")
        try:
            json.loads(seen.body, object_pairs_hook=_once)
            said = kind.model_validate_json(seen.body)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            why = f"{'.'.join(str(part) for part in first['loc']) or 'body'}: {first['msg']}"
            self._board.failed("bodies", f"{request.route}: {why}")
            return request, problem(Problem.INVALID_BODY, why)
        except ValueError as error:
            self._board.failed("bodies", f"{request.route}: {error}")
            return request, problem(Problem.MALFORMED_BODY, "the body is not JSON")
        self._board.passed("bodies")
        return Request(seen, request.route, request.names, said), None

    def _read_store(self, seen: Seen) -> tuple[Request, Answer | None]:
        kind, which = self._urls.get(seen.target, ("unknown", ""))
        if "authorization" in seen.headers:
            self._board.failed("key-stays-home", f"the key was sent to the store, with {seen.method} of a {kind}")
        if kind == "unknown":
            self._board.failed("urls-as-given", "the store was asked for a URL that was not given like this")
            return Request(seen, "unknown"), Answer(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
        self._board.passed("urls-as-given")
        if seen.method != ("PUT" if kind == "put" else "GET"):
            self._board.failed("urls-as-given", f"{seen.method} to a URL that was signed for another method")
            return Request(seen, "unknown"), Answer(403)
        request = Request(seen, kind, (which,))
        expired = seen.target in self._expired
        return request, Answer(403, b"<Error><Code>AccessDenied</Code></Error>") if expired else None

    # ---- answering it

    def answer(self, request: Request) -> Answer:
        """The honest answer to everything but a check-in, which the walk decides."""
        match request.route:
            case "enrol":
                return self._enrol(request.said)
            case "rotate":
                return self._rotate(request)
            case "describe":
                said: wire.ProfileUpdate = request.said
                client = self._client
                profile = wire.Profile(client_id=client.client_id, device_type=client.device_type, **said.model_dump())
                return reply(profile)
            case "heartbeat":
                heard = wire.HeartbeatReply(next_heartbeat_seconds=HEARTBEAT_SECONDS, work=True, newer_version=None)
                return reply(heard)
            case "model":
                return self._served(request)
            case "grant":
                return self._grant(request)
            case "report":
                return self._report(request)
            case "receipt":
                return self._receipt(request)
            case "metrics":
                return self._measure(request)
            case "checkpoint" | "delta":
                return self._download(request)
            case "put":
                return self._put(request)
            case _:
                return reply(wire.Health(release="kit"))

    def wait(self, reason: str, seconds: float) -> Answer:
        """Nothing to do."""
        return reply(wire.Wait(retry_after_seconds=seconds, reason=reason))

    def place(self, request: Request) -> Answer:
        """The place in the present round: to train, or, where it has a candidate, to judge."""
        rnd, have = self._open, frozenset(request.said.have)
        rnd.had, rnd.read = have, []
        if rnd.candidate is None:
            return reply(
                wire.TrainAssignment.model_validate({
                    "round": self.round_id, "base": self._checkpoint(rnd.base, have), "report_by": FAR_AWAY,
                    "hyperparameters": HYPERPARAMETERS, "encoding": rnd.encoding,
                })
            )  # fmt: skip
        return reply(
            wire.EvaluateAssignment.model_validate({
                "round": self.round_id, "deployed": self._checkpoint(rnd.base, have),
                "candidate": self._checkpoint(rnd.candidate, have | {rnd.base.sha256}), "report_by": FAR_AWAY,
            })
        )  # fmt: skip

    def open(self, base: int, encoding: Encoding, judging: Literal["the next", "a wild one"] | None = None) -> None:
        """Open the next round, from this version on; or let a candidate be judged beside it."""
        number = self.round.number + 1 if self.round else 1
        candidate = self._versions[base + 1] if judging == "the next" else self._versions.wild(base + 1) if judging else None
        self.round = Round(number, self._versions[base], encoding, candidate)

    @property
    def round_id(self) -> str:
        """The present round's name."""
        return f"{self.model}.{self._open.number}"

    @property
    def _open(self) -> Round:
        if self.round is None:
            raise AssertionError("no round is open")
        return self.round

    @property
    def _client(self) -> wire.Enrolment:
        return next(enrolment for enrolment, _ in self._enrolments.values())

    def expire(self, target: str) -> None:
        """A URL is good no more."""
        self._expired.add(target)

    def is_own(self, key: str) -> bool:
        """Whether this is the device's key."""
        return bool(self._key) and key == self._key

    def is_known(self, enrolment: wire.Enrolment) -> bool:
        """Whether this very device has enrolled, or has tried to, with this proof."""
        known = self._enrolments.get(enrolment.client_id)
        return known is not None and known[0].proof == enrolment.proof

    # ---- the API

    def _enrol(self, said: wire.Enrolment) -> Answer:
        if said.token != self.token:
            self._board.failed("enrolment", "it enrolled with another token than it was given")
            return problem(Problem.ENROLMENT_REFUSED, "this token does not admit this client")
        known = self._enrolments.get(said.client_id)
        if (known and known[0].proof != said.proof) or (not known and self._enrolments):
            self._board.failed("enrol-again", "another proof, or another id, came from what should be the same device")
            return problem(Problem.CLIENT_EXISTS, "the id belongs to another device")
        if known is None:
            known = (said, f"{said.client_id}.{secrets.token_urlsafe(32)}")
            self._enrolments[said.client_id] = known
            self._key = known[1]
        self._board.passed("enrolment")
        self._board.passed("base-url")
        return reply(wire.Enrolled(client_id=said.client_id, key=known[1], heartbeat_seconds=HEARTBEAT_SECONDS), 201)

    def _rotate(self, request: Request) -> Answer:
        old = request.seen.headers["authorization"].partition(" ")[2]
        made = self._rotations.get((old, request.said.proof))
        if made is None:
            if old != self._key:
                self._board.failed("rotation", "a rotated key was used for another rotation")
                return problem(Problem.UNAUTHENTICATED, "the key was rotated")
            made = f"{self._client.client_id}.{secrets.token_urlsafe(32)}"
            self._rotations[old, request.said.proof] = made
            self._key = made
        self._board.passed("rotation")
        return reply(wire.Enrolled(client_id=self._client.client_id, key=made, heartbeat_seconds=HEARTBEAT_SECONDS))

    def _served(self, request: Request) -> Answer:
        if request.names[0] != self.model:
            return problem(Problem.UNKNOWN_MODEL, "no such model")
        deployed = self._versions[1]
        tag = f'"{deployed.number}.{deployed.sha256}"'
        if request.seen.headers.get("if-none-match") == tag:
            self._board.passed("not-modified")
            return Answer(304, headers={"ETag": tag})
        asked = re.search(r"[?&]have=([0-9a-f,]+)", request.seen.target)
        checkpoint = self._checkpoint(deployed, frozenset(asked[1].split(",") if asked else ()))
        told = wire.ModelReply.model_validate({"model": self.model, "revision": 1, "round": None, "checkpoint": checkpoint})
        answer = reply(told)
        return Answer(200, answer.body, {**answer.headers, "ETag": tag})

    def _grant(self, request: Request) -> Answer:
        refusal = self._other_round(request)
        if refusal:
            return refusal
        rnd, said = self._open, request.said
        self._board.passed("unknown-members")
        if rnd.report is not None:
            self._board.failed("one-update-a-round", "it asked for a grant in a round in which it had reported")
            return problem(Problem.REPORT_CONFLICT, "an update was reported already")
        low, high = update_lengths(self._versions.update)
        if not low <= said.bytes <= high:
            self._board.failed(f"update-{rnd.encoding}", f"wrong-length: expected {low} to {high} bytes, got {said.bytes}")
            return problem(Problem.WRONG_LENGTH, "an update of this length cannot fit the model")
        self._note_kept(rnd)
        if rnd.declared is None or rnd.declared.sha256 != said.sha256:
            rnd.stored = None
        rnd.declared = said
        url = self._url("put", said.sha256)
        grant = wire.UploadGrant.model_validate({"url": url, "headers": _headers(said), "expires_at": FAR_AWAY})
        return reply(grant)

    def _note_kept(self, rnd: Round) -> None:
        if rnd.base.sha256 in rnd.had and rnd.base.sha256 not in rnd.read:
            self._board.passed("keeps-checkpoints")

    def _report(self, request: Request) -> Answer:
        refusal = self._other_round(request)
        if refusal:
            return refusal
        rnd, said = self._open, request.said
        if rnd.report is None:
            if rnd.declared is None or rnd.declared.sha256 != said.sha256 or rnd.stored is None:
                self._board.failed("put-as-granted", "it reported what was not uploaded")
                return problem(Problem.UPLOAD_MISSING, "nothing was uploaded under the grant")
            rnd.report = said
            self._inspect(rnd, rnd.declared, rnd.stored)
        elif rnd.report.sha256 != said.sha256:
            self._board.failed("report-again", "it reported another update in the place of the first")
            return problem(Problem.REPORT_CONFLICT, "another update was reported already")
        return self._receipt(request, 202)

    def _inspect(self, rnd: Round, declared: wire.UploadRequest, data: bytes) -> None:
        """Let the server's own gate look at an update."""
        try:
            measured = gate.inspect(io.BytesIO(data), len(data), self._versions.update, declared.sha256, rnd.encoding)
        except Unfit as unfit:
            rnd.verdict = unfit
            self._board.failed(f"update-{rnd.encoding}", str(unfit))
        else:
            what = f"{len(data)} bytes, L2 norm {measured.norm:.4g}, {declared.examples} examples"
            self._board.passed(f"update-{rnd.encoding}", what)

    def _receipt(self, request: Request, status: int = 200) -> Answer:
        refusal = self._other_round(request)
        if refusal:
            return refusal
        rnd = self._open
        receipt: dict[str, Any] = {"round": self.round_id, "client_id": self._client.client_id, "state": "reported"}
        if rnd.report is None:
            receipt["state"] = "assigned"
        elif status == 200:
            self._board.passed("receipt")
            receipt["state"] = "rejected" if rnd.verdict else "accepted"
            if rnd.verdict:
                receipt |= {"reason": rnd.verdict.reason, "expected": rnd.verdict.expected, "got": rnd.verdict.got}
        return reply(wire.ReceiptReply.model_validate(receipt), status)

    def _measure(self, request: Request) -> Answer:
        said: wire.EvaluationReport = request.said
        rnd, number = self._open, int(request.names[1])
        self._board.passed("unknown-members")
        if rnd.candidate is None or said.round != self.round_id or number not in (rnd.base.number, rnd.candidate.number):
            self._board.failed("judges-both", f"it measured version {number} in {said.round}, which nobody had asked for")
            return problem(Problem.UNKNOWN_VERSION, "this version is not being evaluated")
        self._note_kept(rnd)
        known = rnd.measured.setdefault(number, said)
        if known != said:
            return problem(Problem.REPORT_CONFLICT, "another measurement of this version is stored")
        if rnd.is_judged:
            check = "judges-both" if rnd.candidate.delta else "judges-wild"
            self._board.passed(check, "; ".join(f"version {n}: {m.metrics}" for n, m in sorted(rnd.measured.items())))
            if len({measured.examples for measured in rnd.measured.values()}) == 1:
                self._board.passed("same-data")
            else:
                self._board.failed("same-data", "the two measurements are of different numbers of examples")
        told = wire.EvaluationReply(round=said.round, version=number, client_id=self._client.client_id)
        return reply(told, 202)

    def _other_round(self, request: Request) -> Answer | None:
        if self.round is not None and request.names[0] == self.round_id and self.round.candidate is None:
            return None
        if request.route == "receipt":
            return problem(Problem.NOT_ASSIGNED, "this client has no place in that round")
        self._board.failed("one-update-a-round", f"{request.route} in round {request.names[0][:60]}, in which it has no place")
        return problem(Problem.NOT_ASSIGNED, "this client has no place in that round")

    # ---- the store

    def _checkpoint(self, version: Version, have: Collection[str]) -> dict[str, Any]:
        self._known[version.sha256] = version
        made: dict[str, Any] = {
            "version": version.number,
            "sha256": version.sha256,
            "bytes": len(version.data),
            "url": self._url("checkpoint", version.sha256),
        }
        before = self._versions[version.number - 1] if version.delta else None
        if self.offers_deltas and before and before.sha256 in have and version.sha256 not in have:
            url = self._url("delta", version.sha256)
            made["delta"] = {"base_sha256": before.sha256, "bytes": len(version.delta), "url": url}
        return made

    def _url(self, kind: str, which: str) -> str:
        """A fresh presigned URL."""
        signed = f"X-Amz-Credential=kit%2F20260101%2Fs3%2Faws4_request&X-Amz-Signature={secrets.token_hex(16)}"
        target = f"/store/{kind}/{which}?{signed}"
        self._urls[target] = (kind, which)
        return self._origin + target

    def _download(self, request: Request) -> Answer:
        version = self._version(request.names[0])
        if request.route == "delta":
            return Answer(200, version.delta)
        if self.round:
            self.round.read.append(version.sha256)
            if version.sha256 in self.round.had and version in (self.round.base, self.round.candidate):
                self._board.failed("keeps-checkpoints", f"it read version {version.number}, which it says it has")
        return Answer(200, version.data)

    def _version(self, sha256: str) -> Version:
        return self._known[sha256]

    def _put(self, request: Request) -> Answer:
        rnd, seen = self._open, request.seen
        wanted = {name.lower(): value for name, value in _headers(rnd.declared).items()} if rnd.declared else {}
        got = {name: value for name, value in seen.headers.items() if name in wanted or name not in _FREE}
        if rnd.declared is None or rnd.declared.sha256 != request.names[0] or got != wanted:
            differ = sorted(name for name in got.keys() | wanted.keys() if got.get(name) != wanted.get(name))
            self._board.failed("put-as-granted", f"other headers than the grant's: {', '.join(differ)}")
            return Answer(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
        if hashlib.sha256(seen.body).hexdigest() != rnd.declared.sha256:
            self._board.failed("put-as-granted", "the body has another SHA-256 than was declared")
            return Answer(400, b"<Error><Code>BadDigest</Code></Error>")
        if rnd.stored is not None:
            return Answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        self._board.passed("put-as-granted")
        rnd.stored = seen.body
        return Answer(200)


def reply(body: BaseModel, status: int = 200) -> Answer:
    """A reply of the API, with a member that no device knows."""
    return said(body.model_dump(mode="json"), status)


def said(content: Mapping[str, Any], status: int = 200) -> Answer:
    """A reply of these members."""
    return Answer(status, json.dumps({**content, **LATER}).encode(), {"Content-Type": "application/json"})


def problem(kind: Problem, detail: str) -> Answer:
    """A refusal."""
    status = kind.kind.status
    document = {"type": kind.urn, "title": kind.kind.title, "status": status, "detail": detail, **LATER}
    return Answer(status, json.dumps(document).encode(), {"Content-Type": MEDIA_TYPE})


def _headers(declared: wire.UploadRequest) -> dict[str, str]:
    checksum = b64encode(bytes.fromhex(declared.sha256)).decode()
    return {"Content-Length": str(declared.bytes), "If-None-Match": "*", "x-amz-checksum-sha256": checksum}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is there twice")
    return found
