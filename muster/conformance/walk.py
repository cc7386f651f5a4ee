"""The walk: answers every request of a device by the script, and notes what the device does right and wrong.

Check-ins move it on: each step says what a check-in is answered with until the step is done. Everything else the honest server
answers (`world`), unless the step has a fault for that route.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from muster.conformance.checks import Board
from muster.conformance.expecting import EARLY, Expectation, Expectations
from muster.conformance.faults import USES, Fault
from muster.conformance.http import ENDLESS_BYTES, Answer, Seen
from muster.conformance.requests import RoutedRequest, problem
from muster.conformance.script import UNKNOWN_REASON, WAIT_SECONDS, script
from muster.conformance.world import HEARTBEAT_SECONDS, World
from muster.wire.problems import Problem

MOST_IN_A_SECOND = 40
MOST_WITHOUT_KEY = 10
"""Requests that a device may still send in the last seconds, when each is answered 401."""

MOST_PLACES = 25
"""How often a device may be given the same place."""

LAST_SECONDS = 2.0
_OF_REASONS = {"no-training": "rests", UNKNOWN_REASON: "unknown-reason"}
"""The checks of waits for some reasons."""


class Walk:
    """Answers every request of the device under test. One request at a time."""

    def __init__(self, world: World, board: Board, *, can_restart: bool) -> None:
        self._world = world
        self._board = board
        self._expectations = Expectations(board)
        self._steps = script(world, can_restart=can_restart)
        self._step = next(self._steps)
        self._faults = {route: deque(some) for route, some in self._step.faults.items()}
        self._begun = self._done = False
        self._pace = _Pace(board)
        self.seen = 0
        """Requests so far."""
        self.last_at = 0.0
        """When the last one came (seconds of a monotonic clock); 0 before the first."""
        self.gone_at: float | None = None
        """When the key was first refused."""
        self._places = 0
        """Places that were given in this step."""
        self.restart_wanted = False
        """Whether the answer that was returned last is to kill the device."""
        self._without_key = 0

    @property
    def step(self) -> str:
        """Where it is."""
        return self._step.name

    @property
    def is_stuck(self) -> bool:
        """Whether the device was given the same place so often that it will not do its work any more."""
        return self._places > MOST_PLACES

    def answer(self, seen: Seen) -> Answer:
        """The answer to a request, after everything about it was noted."""
        self.seen, self.last_at, self.restart_wanted = self.seen + 1, seen.at, False
        request, refusal = self._world.read(seen)
        self._expectations.look(request)
        self._pace.look(request)
        if request.route == "elsewhere":
            self._board.failed("no-redirects", "it followed a redirect")
            if "authorization" in seen.headers:
                self._board.failed("key-stays-home", "it sent its key to where a redirect pointed")
        if self._world.is_gone:
            return self._without(request, refusal)
        if refusal is not None:
            return refusal
        if request.route == "check-in":
            self._move_on(request)
            if self._step.work == "gone":
                return self._without(request, problem(Problem.UNAUTHENTICATED, "the key was revoked"))
        spoilt = self._next_fault(request.route)
        honest = self._honest(request) if spoilt is None or spoilt.happens else Answer(status=500)
        if spoilt is not None:
            return self._spoilt(spoilt, request, honest)
        if request.route == "delta":
            self._expectations.add(_applied(request))
        return honest

    def end(self, why: str) -> None:
        """Nothing more will come."""
        self._expectations.give_up(f"nothing of the kind came: {why}")
        if self.seen:
            self._board.passed("calm")
            self._board.passed("key-stays-home")
        if self._world.is_gone:
            self._board.passed("stops-without-key", f"{self._without_key} requests in {LAST_SECONDS:g} s")

    def _move_on(self, request: RoutedRequest) -> None:
        """Take the next step that the device offers to do, if this one is done."""
        self._world.can = frozenset(request.said.can)
        self._world.encodings = list(request.said.encodings)
        if not self._done:
            return
        self._step = next(
            step for step in self._steps if step.work not in ("train", "evaluate") or step.work in self._world.can
        )
        self._faults = {route: deque(some) for route, some in self._step.faults.items()}
        self._begun, self._done, self._places = False, False, 0

    # ---- answers

    def _next_fault(self, route: str) -> Fault | None:
        waiting = self._faults.get(route)
        return waiting.popleft() if waiting else None

    def _spoilt(self, spoilt: Fault, request: RoutedRequest, honest: Answer) -> Answer:
        expectation = spoilt.then(request)
        if expectation:
            self._expectations.add(expectation)
        if spoilt.expires:
            self._world.store.expire(request.seen.target)
        if spoilt.loses_upload and self._world.round:
            self._world.round.stored = None
        if spoilt.kills:
            self.restart_wanted = True
            self._pace.forget()
        if spoilt.ends_step:
            self._done = True
        answer = spoilt.spoil(honest)
        return replace(answer, after=lambda taken: self._read_on(spoilt.endless, taken)) if spoilt.endless else answer

    def _read_on(self, check: str, taken: int) -> None:
        if taken >= ENDLESS_BYTES:
            self._board.failed(check, f"it read {taken >> 20} MiB beyond the announced length")

    def _honest(self, request: RoutedRequest) -> Answer:
        if request.route != "check-in":
            answer = self._world.answer(request)
            if request.route == "heartbeat":
                self._pace.after_heartbeat(request.seen.at)
            return answer
        if request.names[0] != self._world.model:
            return problem(Problem.UNKNOWN_MODEL, "no such model")
        step = self._step
        if step.work == "wait":
            self._done = True
            return self._wait(request, step.reason, step.seconds)
        if not self._begun:
            self._begun = True
            self._world.open(step.base, step.encoding, step.judging)
        rnd = self._world.round
        if self._done or (rnd is not None and (rnd.report is not None or rnd.is_judged or rnd.failure is not None)):
            if step.work == "train" and rnd is not None and rnd.report is not None:
                self._board.passed("one-update-a-round")
            self._done = True
            return self._wait(request, "already-done", WAIT_SECONDS)
        self._places += 1
        return self._world.place(request)

    def _wait(self, request: RoutedRequest, reason: str, seconds: float) -> Answer:
        self._pace.after_wait(request.seen.at, seconds, _OF_REASONS.get(reason, "waits"))
        return self._world.wait(reason, seconds)

    def _without(self, request: RoutedRequest, refusal: Answer | None) -> Answer:
        """The last step: no key is good any more."""
        self._world.is_gone = True
        if self.gone_at is None:
            self.gone_at = request.seen.at
        self._without_key += 1
        if self._without_key > MOST_WITHOUT_KEY:
            self._board.failed("stops-without-key", f"{self._without_key} requests in {request.seen.at - self.gone_at:.1f} s")
        return refusal or problem(Problem.UNAUTHENTICATED, "the key was revoked")


def _applied(delta: RoutedRequest) -> Expectation:
    """After a good delta: the checkpoint is used without being read whole."""

    def wrong(request: RoutedRequest) -> str | None:
        whole = request.route == "checkpoint" and request.names == delta.names
        return "it read the whole checkpoint after a delta that was in order" if whole else None

    return Expectation("delta-applied", lambda request: request.route in USES, wrong)


class _Pace:
    """Holds requests against what the device was asked to wait. Times are in seconds of a monotonic clock."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._recent: deque[float] = deque()
        self._no_check_in_before: tuple[float, str] | None = None
        self._no_heartbeat_before: float | None = None

    def look(self, request: RoutedRequest) -> None:
        """Note a request that came too early, and one that came when it should."""
        now = request.seen.at
        self._recent.append(now)
        while now - self._recent[0] > 1.0:
            self._recent.popleft()
        if len(self._recent) > MOST_IN_A_SECOND:
            self._board.failed("calm", f"{len(self._recent)} requests in a second")
        if request.route == "check-in" and self._no_check_in_before:
            until, check = self._no_check_in_before
            self._no_check_in_before = None
            if now < until:
                self._board.failed(check, f"it checked in {until - now:.2f} s before its wait was over")
            else:
                self._board.passed(check)
        if request.route == "heartbeat" and self._no_heartbeat_before is not None:
            early = self._no_heartbeat_before - now
            if early > 0:
                self._board.failed("heartbeats", f"a heartbeat came {early:.2f} s before it was due")
            else:
                self._board.passed("heartbeats")

    def after_wait(self, now: float, seconds: float, check: str) -> None:
        """The device was told to wait, which this check is about."""
        self._no_check_in_before = (now + EARLY * seconds, check)

    def after_heartbeat(self, now: float) -> None:
        """A heartbeat was answered: the next one has its time, and a device that rests may ask."""
        self._no_heartbeat_before = now + EARLY * HEARTBEAT_SECONDS
        if self._no_check_in_before and self._no_check_in_before[1] == "rests":
            self._no_check_in_before = (now, "rests")

    def forget(self) -> None:
        """The device is started again."""
        self._no_check_in_before = self._no_heartbeat_before = None
