"""The API and the store as devices see them: answers follow from the time and from who asks, and every request is noted."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass, field
from typing import Literal

import httpx
import numpy as np

from muster.wire.arrays import encode
from muster.wire.problems import MEDIA_TYPE, Problem

API, STORE = "https://api.test", "https://store.test"
HEARTBEAT_SECONDS = 900.0
CHECK_IN_SECONDS = 60.0
ROUND_SECONDS = 600.0

BASE = encode({"w": np.zeros(4, np.float32)})

Fleet = Literal["waits", "trains", "rests"]
"""What a fleet does otherwise: it waits for a round, trains in one every 10 minutes, or its model rests."""

Trouble = Literal["429 and 503", "429 and 503, Retry-After", "500", "no connection"]


@dataclass(slots=True)
class Clock:
    """Time that only a simulation moves."""

    now: float = 0.0

    def __call__(self) -> float:
        """Seconds since the beginning."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass for the device whose turn it is."""
        self.now += seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request that reached the server, or should have."""

    at: float
    client_id: str
    path: str
    answered: bool


@dataclass(slots=True)
class Server:
    """Answers a fleet; between `start` and `end` (seconds) it answers nobody as it should."""

    clock: Clock
    fleet: Fleet
    trouble: Trouble
    start: float
    end: float
    seed: int = 0
    asked: list[Asked] = field(default_factory=list)
    _reported: dict[str, int] = field(default_factory=dict)
    _dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)  # noqa: S311 (dice)

    def http(self) -> httpx.Client:
        """A client whose requests arrive here."""
        return httpx.Client(transport=httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer one request of a device, or fail it."""
        client_id = (
            request.headers.get("authorization", "Bearer .").split()[1].partition(".")[0] or request.url.path.split("/")[-1]
        )
        down = self.start <= self.clock.now < self.end
        self.asked.append(Asked(at=self.clock.now, client_id=client_id, path=request.url.path, answered=not down))
        return self._fail() if down else self._serve(request, client_id)

    def _fail(self) -> httpx.Response:
        if self.trouble == "no connection":
            raise httpx.ConnectError("connection refused")
        if self.trouble == "500":
            return httpx.Response(500, json={"message": "Internal Server Error"})
        headers = {"Retry-After": "120"} if self.trouble.endswith("Retry-After") else {}
        return httpx.Response(self._dice.choice((429, 503)), headers=headers)

    def _serve(self, request: httpx.Request, client_id: str) -> httpx.Response:
        path, number = request.url.path, int(self.clock.now // ROUND_SECONDS) + 1
        if path == "/v1/heartbeat":
            work = self.fleet != "rests"
            return httpx.Response(200, json={"next_heartbeat_seconds": HEARTBEAT_SECONDS, "work": work, "newer_version": None})
        if path.endswith("/checkin"):
            return self._check_in(client_id, number)
        if path.endswith("/upload"):
            grant = {"url": f"{STORE}/updates/{client_id}", "headers": {}, "expires_at": "2026-01-01T00:00:00Z"}
            return httpx.Response(200, json=grant)
        if path.endswith("/report"):
            if path != f"/v1/rounds/toy.{number}/report":
                return refusal(Problem.ROUND_CLOSED)
            self._reported[client_id] = number
            return httpx.Response(202, json={"round": f"toy.{number}", "client_id": client_id, "state": "reported"})
        if path.endswith("/failure"):
            self._reported[client_id] = number
            told = json.loads(request.read())
            reply = {"round": path.split("/")[3], "client_id": client_id, "work": told["work"], "reason": told["reason"]}
            return httpx.Response(202, json=reply)
        return httpx.Response(200, content=b"" if request.method == "PUT" else BASE)

    def _check_in(self, client_id: str, number: int) -> httpx.Response:
        if self.fleet == "rests":
            return httpx.Response(200, json={"kind": "wait", "retry_after_seconds": HEARTBEAT_SECONDS, "reason": "no-training"})
        if self.fleet == "trains" and self._reported.get(client_id) != number:
            return httpx.Response(200, json=assignment(number, client_id))
        return httpx.Response(200, json={"kind": "wait", "retry_after_seconds": CHECK_IN_SECONDS, "reason": "between-rounds"})


def assignment(number: int, client_id: str = "all") -> dict[str, object]:
    """A place to train in a round."""
    digest = hashlib.sha256(BASE).hexdigest()
    base = {"version": 0, "sha256": digest, "bytes": len(BASE), "url": f"{STORE}/base/{client_id}"}
    return {"kind": "train", "round": f"toy.{number}", "base": base, "report_by": "2026-01-01T00:00:00Z", "hyperparameters": {}}


def refusal(problem: Problem) -> httpx.Response:
    """A problem document."""
    document = {"type": problem.urn, "title": problem.kind.title, "status": problem.kind.status, "detail": "as asked for"}
    return httpx.Response(problem.kind.status, headers={"content-type": MEDIA_TYPE}, content=json.dumps(document).encode())
