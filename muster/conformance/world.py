"""An honest server, as a device sees one: the API. Its store is in `store`, and what goes wrong is the walk's business.

It knows one token, one device, one model and one round at a time. What the real server would refuse it refuses, and notes it.
"""

from __future__ import annotations

import io
import re
import secrets
from typing import Any, Literal
from urllib.parse import urlsplit

from muster.conformance.checks import Board
from muster.conformance.http import Answer, Seen
from muster.conformance.requests import RoutedRequest, problem, reply, route_of, with_body
from muster.conformance.rounds import ScriptedRound
from muster.conformance.store import PREFIX, Store, headers_of
from muster.conformance.versions import ServedVersions
from muster.wire import gate
from muster.wire import messages as wire
from muster.wire.encodings import Encoding, update_lengths
from muster.wire.problems import Problem
from muster.wire.tensors import Unfit

HEARTBEAT_SECONDS = 1.0
FAR_AWAY = "2099-01-01T00:00:00Z"
HYPERPARAMETERS = {"epochs": 2, "learning_rate": 0.1}


class World:
    """Token, device, model, round, and the store."""

    def __init__(self, model: str, versions: ServedVersions, board: Board) -> None:
        self.model = model
        self.metric = "accuracy"
        """By which versions are judged."""
        self.token = f"kit{secrets.token_hex(5)}.{secrets.token_urlsafe(32)}"
        self.store = Store(versions, board)
        self.round: ScriptedRound | None = None
        self.can: frozenset[str] = frozenset()
        self.encodings: list[Encoding] = ["plain"]
        self.is_gone = False
        """From now on no key is good."""
        self._versions = versions
        self._board = board
        self._prefix = ""
        self._enrolments: dict[str, tuple[wire.Enrolment, str]] = {}
        self._rotations: dict[tuple[str, str], str] = {}
        self._key = ""
        self._rounds: dict[str, ScriptedRound] = {}

    def stand_at(self, url: str) -> None:
        """Say where the API is; the store is beside it."""
        parts = urlsplit(url)
        self.store.origin, self._prefix = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")

    @property
    def elsewhere(self) -> str:
        """Where a redirect points."""
        return f"{self.store.origin}/elsewhere"

    # ---- reading a request

    def read(self, seen: Seen) -> tuple[RoutedRequest, Answer | None]:
        """What a request is for; and its refusal, if it is none that the server would act upon."""
        path = seen.target.partition("?")[0]
        if path.startswith("/elsewhere"):
            return RoutedRequest(seen=seen, route="elsewhere"), Answer(status=404)
        if path.startswith(PREFIX):
            return self.store.read(seen)
        found = route_of(seen, self._prefix)
        if found is None:
            self._board.failed("base-url", f"{seen.method} {path[:80]} is no route of {self.store.origin}{self._prefix}")
            return RoutedRequest(seen=seen, route="unknown"), Answer(
                status=403, body=b'{"message":"Missing Authentication Token"}'
            )
        request, body = found
        refusal = self._authorised(request)
        return (request, refusal) if refusal or body is None else with_body(request, body, self._board)

    def _authorised(self, request: RoutedRequest) -> Answer | None:
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

    # ---- answering it

    def answer(self, request: RoutedRequest) -> Answer:
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
            case "failure":
                return self._give_up(request)
            case "checkpoint" | "delta":
                return self.store.download(request, self.round)
            case "put":
                return self.store.put(request, self._open)
            case _:
                return reply(wire.Health(release="kit"))

    def wait(self, reason: str, seconds: float) -> Answer:
        """Nothing to do."""
        return reply(wire.Wait(retry_after_seconds=seconds, reason=reason))

    def place(self, request: RoutedRequest) -> Answer:
        """The place in the present round: to train, or, where it has a candidate, to judge."""
        rnd, have = self._open, frozenset(request.said.have)
        rnd.had, rnd.read = have, []
        if rnd.candidate is None:
            return reply(
                wire.TrainAssignment.model_validate({
                    "round": self.round_id, "base": self.store.checkpoint(rnd.base, have), "report_by": FAR_AWAY,
                    "hyperparameters": HYPERPARAMETERS, "encoding": rnd.encoding,
                })
            )  # fmt: skip
        return reply(
            wire.EvaluateAssignment.model_validate({
                "round": self.round_id, "deployed": self.store.checkpoint(rnd.base, have),
                "candidate": self.store.checkpoint(rnd.candidate, have | {rnd.base.sha256}), "report_by": FAR_AWAY,
                "metric": self.metric,
            })
        )  # fmt: skip

    def open(self, base: int, encoding: Encoding, judging: Literal["the next", "a wild one"] | None = None) -> None:
        """Open the next round, from this version on; or let a candidate be judged beside it."""
        number = self.round.number + 1 if self.round else 1
        candidate = self._versions[base + 1] if judging == "the next" else self._versions.wild(base + 1) if judging else None
        self.round = ScriptedRound(number, self._versions[base], encoding, candidate)
        self._rounds[self.round_id] = self.round

    @property
    def round_id(self) -> str:
        """The present round's name."""
        return f"{self.model}.{self._open.number}"

    @property
    def _open(self) -> ScriptedRound:
        if self.round is None:
            raise AssertionError("no round is open")
        return self.round

    @property
    def _client(self) -> wire.Enrolment:
        return next(enrolment for enrolment, _ in self._enrolments.values())

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

    def _rotate(self, request: RoutedRequest) -> Answer:
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

    def _served(self, request: RoutedRequest) -> Answer:
        if request.names[0] != self.model:
            return problem(Problem.UNKNOWN_MODEL, "no such model")
        deployed = self._versions[1]
        tag = f'"{deployed.number}.{deployed.sha256}"'
        if request.seen.headers.get("if-none-match") == tag:
            self._board.passed("not-modified")
            return Answer(status=304, headers={"ETag": tag})
        asked = re.search(r"[?&]have=([0-9a-f,]+)", request.seen.target)
        checkpoint = self.store.checkpoint(deployed, frozenset(asked[1].split(",") if asked else ()))
        told = wire.ModelReply.model_validate({"model": self.model, "revision": 1, "round": None, "checkpoint": checkpoint})
        answer = reply(told)
        return Answer(status=200, body=answer.body, headers={**answer.headers, "ETag": tag})

    def _grant(self, request: RoutedRequest) -> Answer:
        refusal = self._other_round(request)
        if refusal:
            return refusal
        rnd, said = self._open, request.said
        self._board.passed("unknown-members")
        if rnd.failure is not None:
            return self._given_up(request)
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
        url = self.store.url("put", said.sha256)
        grant = wire.UploadGrant.model_validate({"url": url, "headers": headers_of(said), "expires_at": FAR_AWAY})
        return reply(grant)

    def _note_kept(self, rnd: ScriptedRound) -> None:
        if rnd.base.sha256 in rnd.had and rnd.base.sha256 not in rnd.read:
            self._board.passed("keeps-checkpoints")

    def _report(self, request: RoutedRequest) -> Answer:
        refusal = self._other_round(request)
        if refusal:
            return refusal
        rnd, said = self._open, request.said
        if rnd.failure is not None:
            return self._given_up(request)
        if rnd.report is None:
            if rnd.declared is None or rnd.declared.sha256 != said.sha256 or rnd.stored is None:
                self._board.failed("put-as-granted", "it reported what was not uploaded")
                return problem(Problem.UPLOAD_MISSING, "nothing was uploaded under the grant")
            rnd.report = said
            self._inspect(rnd, rnd.declared, rnd.stored)
        elif rnd.report != said:
            self._board.failed("report-again", "it reported another update in the place of the first")
            return problem(Problem.REPORT_CONFLICT, "another update was reported already")
        return self._receipt(request, 202)

    def _inspect(self, rnd: ScriptedRound, declared: wire.UploadRequest, data: bytes) -> None:
        """Let the server's own gate look at an update."""
        try:
            measured = gate.inspect(io.BytesIO(data), len(data), self._versions.update, declared.sha256, rnd.encoding)
        except Unfit as unfit:
            rnd.verdict = unfit
            self._board.failed(f"update-{rnd.encoding}", str(unfit))
        else:
            what = f"{len(data)} bytes, L2 norm {measured.norm:.4g}, {declared.examples} examples"
            self._board.passed(f"update-{rnd.encoding}", what)

    def _receipt(self, request: RoutedRequest, status: int = 200) -> Answer:
        rnd = self._rounds.get(request.names[0])
        if rnd is None or rnd.candidate is not None:
            return problem(Problem.NOT_ASSIGNED, "this client has no place in that round")
        receipt: dict[str, Any] = {"round": request.names[0], "client_id": self._client.client_id, "state": "reported"}
        if rnd.failure is not None:
            receipt |= {"state": "failed", "reason": rnd.failure.reason.value}
        elif rnd.report is None:
            receipt["state"] = "assigned"
        elif status == 200:
            self._board.passed("receipt")
            receipt["state"] = "rejected" if rnd.verdict else "accepted"
            if rnd.verdict:
                receipt |= {"reason": rnd.verdict.reason, "expected": rnd.verdict.expected, "got": rnd.verdict.got}
        return reply(wire.ReceiptReply.model_validate(receipt), status)

    def _measure(self, request: RoutedRequest) -> Answer:
        said: wire.EvaluationReport = request.said
        rnd, number = self.round, int(request.names[1])
        self._board.passed("unknown-members")
        if (
            rnd is None
            or rnd.candidate is None
            or said.round != self.round_id
            or number not in (rnd.base.number, rnd.candidate.number)
        ):
            self._board.failed("judges-both", f"it measured version {number} in {said.round}, which nobody had asked for")
            return problem(Problem.UNKNOWN_VERSION, "this version is not being evaluated")
        if rnd.failure is not None:
            return self._given_up(request)
        if said.verdict == "measured" and self.metric not in said.metrics:
            came = ", ".join(sorted(said.metrics)) or "none"
            self._board.failed("judging-metric", f"expected {self.metric} among the metrics of version {number}, got {came}")
            return problem(Problem.INVALID_BODY, f"metrics.{self.metric}: versions are judged by it")
        self._board.passed("judging-metric")
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

    def _give_up(self, request: RoutedRequest) -> Answer:
        said: wire.FailureReport = request.said
        rnd = self.round
        self._board.passed("unknown-members")
        if rnd is None or request.names[0] != self.round_id or (said.work == "evaluate") != (rnd.candidate is not None):
            self._board.failed(
                "gives-up", f"it gave up a place to {said.work} in {request.names[0][:60]}, which it does not have"
            )
            return problem(Problem.NOT_ASSIGNED, "this client has no such place in that round")
        if rnd.report is not None or rnd.is_judged:
            self._board.failed("gives-up", "it gave up a place whose work it had reported")
            return problem(Problem.REPORT_CONFLICT, "the work was reported already")
        if rnd.failure is not None and rnd.failure.reason is not said.reason:
            return self._given_up(request)
        rnd.failure = said
        self._board.passed("gives-up", f"{said.work}: {said.reason}")
        told = wire.FailureReply(
            round=self.round_id, client_id=self._client.client_id, work=said.work, reason=said.reason.value
        )
        return reply(told, 202)

    def _given_up(self, request: RoutedRequest) -> Answer:
        self._board.failed("gives-up", f"after it had given up its place there came another thing: {request.route}")
        return problem(Problem.REPORT_CONFLICT, "the place was given up")

    def _other_round(self, request: RoutedRequest) -> Answer | None:
        if self.round is not None and request.names[0] == self.round_id and self.round.candidate is None:
            return None
        self._board.failed("one-update-a-round", f"{request.route} in round {request.names[0][:60]}, in which it has no place")
        return problem(Problem.NOT_ASSIGNED, "this client has no place in that round")
