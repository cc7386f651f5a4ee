"""The demo's devices in a cloud that counts requests: few come at once, none oftener than it may, and each when it is told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent import futures
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from bench.trouble.simulation import Adds
from chalicelib.settings import request_seconds
from examples.digits.crew import Crew
from examples.digits.devices import LONGEST_SECONDS, Behaviour, Honest, Hostile, live
from examples.digits.place import EVERY_MINUTE, EVERY_SECOND, Pace
from muster.device import Ability, Device, Refused
from muster.pacing.intervals import TICK_SECONDS
from muster.wire.messages import ProblemDocument
from muster.wire.problems import MEDIA_TYPE, Problem
from tests.device.stage import CHECK_IN, Answer, Stage

HOUR = 3600.0
ENOUGH = 300


class VirtualStop(threading.Event):
    """Waits in a stage's time, and is set when an hour has passed there, or after so many waits that none of them was one."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._stage = stage

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        self._stage.clock.now += timeout or 0.0
        if self._stage.clock.now >= HOUR or len(self.waits) >= ENOUGH:
            self.set()
        return self.is_set()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, fleet="waits")


def honest(pace: Pace = EVERY_MINUTE) -> Honest:
    return Honest("boiler", Adds(), seed=0, pace=pace)


def hostile() -> Hostile:
    return Hostile("boiler", b"garbage", "not-finite")


def lived(stage: Stage, behaviour: Behaviour, pace: Pace = EVERY_MINUTE) -> VirtualStop:
    stop = VirtualStop(stage)
    live(stage.device, behaviour, stop, pace)
    return stop


def overloaded(status: int, **headers: str) -> Callable[[], Answer]:
    return lambda: httpx.Response(status, headers={name.replace("_", "-"): text for name, text in headers.items()})


@pytest.mark.parametrize("pace", [EVERY_SECOND, EVERY_MINUTE])
def test_a_device_that_waits_comes_as_often_as_the_pace_says_though_it_is_told_to_come_later(stage: Stage, pace: Pace) -> None:
    lived(stage, honest(pace), pace)
    found = stage.times(CHECK_IN)
    assert {round(later - sooner, 6) for sooner, later in pairwise(found)} == {pace.wait}


def test_in_a_deployed_cloud_a_device_that_waits_keeps_to_what_its_bucket_allows_in_the_long_run() -> None:
    assert EVERY_MINUTE.wait >= request_seconds("", TICK_SECONDS)


@pytest.mark.parametrize("behaviour", [honest(), hostile()])
@pytest.mark.parametrize(("said", "waited"), [("7", 7.0), ("31", 31.0), ("999999999999", LONGEST_SECONDS)])
def test_who_is_refused_for_coming_too_soon_comes_when_it_is_told_within_a_minute(
    stage: Stage, behaviour: Behaviour, said: str, waited: float
) -> None:
    stage.answers[CHECK_IN] = overloaded(429, retry_after=said)
    assert set(lived(stage, behaviour).waits) == {waited}


@pytest.mark.parametrize("answer", [overloaded(503), overloaded(500), lambda: httpx.ConnectError("refused")])
def test_who_gets_no_answer_or_is_not_told_when_to_come_lets_the_server_rest(
    stage: Stage, answer: Callable[[], Answer]
) -> None:
    stage.answers[CHECK_IN] = answer
    assert set(lived(stage, honest()).waits) == {EVERY_MINUTE.again}


@pytest.mark.parametrize(
    ("behaviour", "status", "told"),
    [(honest(), 429, True), (honest(), 503, True), (hostile(), 503, True), (hostile(), 429, False)],
)
def test_every_failure_is_told_but_that_a_device_which_comes_too_often_on_purpose_is_refused_for_it(
    stage: Stage, caplog: pytest.LogCaptureFixture, behaviour: Behaviour, status: int, told: bool
) -> None:
    stage.answers[CHECK_IN] = overloaded(status, retry_after="10")
    with caplog.at_level(logging.WARNING):
        lived(stage, behaviour)
    assert (f"boiler: POST to api.test: HTTP {status}" in caplog.messages) is told


REVOKED = ProblemDocument(type=Problem.UNAUTHENTICATED.urn, title="not valid", status=401, detail="the key was revoked")


def revoked() -> httpx.Response:
    return httpx.Response(401, json=REVOKED.model_dump(mode="json"), headers={"content-type": MEDIA_TYPE})


@pytest.mark.parametrize("behaviour", [honest(), hostile()])
def test_a_device_whose_key_was_revoked_says_so_and_leaves(
    stage: Stage, caplog: pytest.LogCaptureFixture, behaviour: Behaviour
) -> None:
    stage.answers[CHECK_IN] = revoked
    with caplog.at_level(logging.WARNING):
        assert lived(stage, behaviour).waits == []
    assert caplog.messages == ["boiler: its key is good no more, so it leaves"]


class Rests:
    """A member of a crew that asks for nothing."""

    can: Sequence[Ability] = ("train",)
    hasty = False

    def __init__(self, client_id: str) -> None:
        self.client_id = client_id

    def step(self, device: Device, stop: threading.Event) -> float:
        """Nothing."""
        return HOUR


class Counting(httpx.BaseTransport):
    """A server that answers when `enough` requests are under way, and counts how many are at most."""

    def __init__(self, enough: int) -> None:
        self.most = 0
        self._here = 0
        self._lock = threading.Lock()
        self._together = threading.Barrier(enough)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            self._here += 1
            self.most = max(self.most, self._here)
        self._together.wait(30.0)
        with self._lock:
            self._here -= 1
        return httpx.Response(200)


class Leaves(Rests):
    """One whose key is good no more, or who fails at something else."""

    def __init__(self, client_id: str, error: Exception) -> None:
        super().__init__(client_id)
        self._error = error

    def step(self, device: Device, stop: threading.Event) -> float:
        raise self._error


@pytest.mark.parametrize(
    ("leaving", "error", "says"),
    [(1, Refused(REVOKED), None),
     (2, Refused(REVOKED), "all devices have left"),
     (1, OSError("no disk"), "device-0 gave up: no disk")],
)  # fmt: skip
def test_a_crew_goes_on_without_who_was_revoked_and_not_without_anybody_or_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaving: int, error: Exception, says: str | None
) -> None:
    stages = {f"device-{number}": Stage(tmp_path / str(number)) for number in range(2)}
    monkeypatch.setattr(Device, "enrol", lambda _, __, client_id, **___: stages[client_id].device)
    members = [Leaves(name, error) if number < leaving else Rests(name) for number, name in enumerate(stages)]
    with Crew(url="https://api.test", token="t", model="toy", members=members, folder=tmp_path, pace=EVERY_MINUTE) as crew:
        futures.wait(list(crew._lives.values())[:leaving])
        if says is None:
            crew.check()
        else:
            with pytest.raises(RuntimeError, match=says):
                crew.check()


@pytest.mark.parametrize("at_once", [1, 4, 8])
def test_no_more_requests_of_a_crew_are_under_way_than_its_pace_says_and_as_many_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    stages = {f"device-{number}": Stage(tmp_path / str(number)) for number in range(8)}
    server = Counting(at_once)

    def enrol(url: str, token: str, client_id: str, *, http: httpx.Client, **_: object) -> Device:
        assert http.get(url).status_code == 200
        return stages[client_id].device

    monkeypatch.setattr(httpx, "HTTPTransport", lambda: server)
    monkeypatch.setattr(Device, "enrol", enrol)
    members, pace = [Rests(client_id) for client_id in stages], replace(EVERY_MINUTE, at_once=at_once)
    with Crew(url="https://api.test", token="t", model="toy", members=members, folder=tmp_path, pace=pace) as crew:
        crew.check()
    assert server.most == at_once


def test_a_deployed_cloud_sees_fewer_requests_at_once_than_a_new_account_runs_functions() -> None:
    operator, tick, monitor, workers, quota = 1, 1, 1, 2, 10
    assert EVERY_MINUTE.at_once + operator + tick + monitor + workers < quota
