"""A device in trouble: whatever fails, it goes on, and asks less."""

from __future__ import annotations

import itertools
import logging
import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from bench.trouble.server import ROUND_SECONDS, refusal
from bench.trouble.simulation import Adds
from muster.device import Evaluation, Overloaded, Refused, TrainingResult
from muster.device.loop import DOUBTS_SECONDS, LONGEST_RETRY_AFTER_SECONDS, TRIES, Loop
from muster.device.pace import LONGEST_BACK_OFF_SECONDS
from muster.wire.messages import ProblemDocument
from muster.wire.problems import MEDIA_TYPE, Problem
from tests.device.stage import CHECK_IN, GET, HEARTBEAT, PUT, REPORT, ROUTES, UPLOAD, Judge, Stage, assignment, judging

HALF_HOUR, HOUR = 1800.0, 3600.0


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def unknown(status: int) -> httpx.Response:
    """A refusal of a release to come."""
    document = {"type": "urn:muster:problem:of-tomorrow", "title": "t", "status": status, "detail": "d"}
    return httpx.Response(status, headers={"content-type": MEDIA_TYPE}, json=document)


def gaps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(times)]


# ---- a key that is refused


@pytest.mark.parametrize("answer", [lambda: refusal(Problem.UNAUTHENTICATED), lambda: unknown(401)])
def test_a_refused_key_is_tried_again_over_hours_and_then_the_device_says_that_it_gives_up(
    stage: Stage, answer: Callable[[], httpx.Response], caplog: pytest.LogCaptureFixture
) -> None:
    stage.answers[""] = answer
    with pytest.raises(Refused) as given_up:
        stage.play(Adds(), 24 * HOUR)
    assert given_up.value.unauthenticated
    found = gaps([at for at, _, _ in stage.asked])
    assert len(found) == len(DOUBTS_SECONDS) == 4
    assert all(asked <= gap <= 1.25 * asked + 0.01 for asked, gap in zip(DOUBTS_SECONDS, found, strict=True))
    assert 7.1 * HOUR < stage.clock.now < 9.1 * HOUR
    (said,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "gives up" in said.getMessage()
    assert "enrol this device again" in said.getMessage()


@pytest.mark.parametrize("route", [HEARTBEAT, CHECK_IN, UPLOAD, REPORT])
@pytest.mark.parametrize("times", [1, 4])
def test_a_key_that_is_refused_for_a_while_is_good_again_afterwards(stage: Stage, route: str, times: int) -> None:
    left = iter([refusal(Problem.UNAUTHENTICATED)] * times)
    stage.answers[route] = lambda: next(left, None)
    stage.play(Adds(), 10 * HOUR)
    assert stage.times(REPORT)[-1] > 9.5 * HOUR


def test_a_key_is_doubted_anew_after_each_answer(stage: Stage) -> None:
    """Five refusals that do not follow each other are no proof."""
    refused = itertools.cycle([True, True, True, False])
    stage.answers[HEARTBEAT] = lambda: refusal(Problem.UNAUTHENTICATED) if next(refused) else None
    stage.server.fleet = "rests"
    stage.play(Adds(), 48 * HOUR)
    assert len(stage.times(HEARTBEAT)) > 20


# ---- trainers


class Odd(Adds):
    """A trainer that does something else."""

    def __init__(self, does: Callable[[dict[str, Any]], Any]) -> None:
        self.does = does
        self.trained: list[float] = []
        self.stage: Stage | None = None

    def train(self, base: Any, hyperparameters: Any) -> Any:
        if self.stage:
            self.trained.append(self.stage.clock.now)
        return self.does(dict(base))


def throws(error: BaseException) -> Callable[[Any], Any]:
    def thrower(_: Any) -> Any:
        raise error

    return thrower


def gives(examples: Any = 10, metrics: Any = None, **weights: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda base: TrainingResult({**base, **weights}, examples, metrics or {})


DOCUMENT = ProblemDocument(type=Problem.UNAUTHENTICATED.urn, title="t", status=401, detail="d")

ODD: dict[str, tuple[Callable[[Any], Any], str]] = {
    "throws": (throws(ValueError("no data today")), "no data today"),
    "has no memory": (throws(MemoryError()), "MemoryError"),
    "has no file": (throws(FileNotFoundError(2, "No such file", "data.csv")), "data.csv"),
    "throws StopIteration": (throws(StopIteration()), "StopIteration"),
    "throws a refusal of its own": (throws(Refused(DOCUMENT)), "training failed: Refused"),
    "throws an overload of its own": (throws(Overloaded("its own", 503, 9e9)), "its own"),
    "returns nothing": (lambda _: None, "NoneType"),
    "returns weights alone": (lambda base: base, "weights"),
    "NaN": (gives(w=np.array([0, np.nan, 0, 0], "f4")), "not-finite"),
    "infinite": (gives(w=np.full(4, np.inf, "f4")), "not-finite"),
    "another shape": (gives(w=np.zeros((4, 1), "f4")), "wrong-shape"),
    "another dtype": (gives(w=np.zeros(4)), "wrong-dtype"),
    "complex": (gives(w=np.zeros(4, "c8")), "complex"),
    "objects": (gives(w=np.array([None] * 4)), "object"),
    "ragged": (gives(w=[[1], [2, 3]]), "training failed"),
    "one too many": (gives(v=np.zeros(4, "f4")), "wrong-tensors"),
    "one too few": (lambda _: TrainingResult({}, 10), "wrong-tensors"),
    "no examples": (gives(0), "greater than or equal to 1"),
    "negative examples": (gives(-5), "greater than or equal to 1"),
    "a billion and one": (gives(10**9 + 1), "1000000000"),
    "half an example": (gives(2.5), "float"),
    "NaN examples": (gives(math.nan), "float"),
    "examples in words": (gives("10"), "str"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_whatever_a_trainer_returns_or_throws_the_device_tries_thrice_a_round_and_goes_on(
    stage: Stage, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    does, reason = ODD[name]
    trainer = Odd(does)
    trainer.stage = stage
    stage.play(trainer, 6 * ROUND_SECONDS)
    by_round = [sum(at // ROUND_SECONDS == number for at in trainer.trained) for number in range(6)]
    assert max(by_round) <= TRIES
    assert sum(by_round) >= 3
    assert stage.times(UPLOAD) == stage.times(REPORT) == []
    assert reason in caplog.text
    assert max(gaps(stage.times(CHECK_IN))) < LONGEST_BACK_OFF_SECONDS + 1
    assert len(stage.times(CHECK_IN)) <= 60, "no more than a device that waits"
    stage.play(Adds(), 3 * ROUND_SECONDS)
    assert stage.times(REPORT), "a trainer that is mended takes part again"


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_who_ends_the_process_ends_the_loop(stage: Stage, end: type[BaseException]) -> None:
    with pytest.raises(end):
        stage.play(Odd(throws(end())), HOUR)


def test_numpys_numbers_are_numbers(stage: Stage) -> None:
    stage.play(Odd(gives(np.int64(7), {"train_loss": np.float32(0.5)})), 60)
    assert stage.bodies(UPLOAD)[0]["examples"] == 7
    assert stage.bodies(REPORT)[0]["metrics"] == {"train_loss": 0.5}


@pytest.mark.parametrize(
    ("metrics", "sent"),
    [
        ({"loss": math.nan, "kept": 1}, {"kept": 1.0}), ({"loss": math.inf}, {}), ({"loss": 1e31}, {}), ({"loss": 10**400}, {}),
        ({"Loss": 1.0, "": 1.0, "a" * 41: 1.0, "a-b": 1.0, 7: 1.0, "kept": 2}, {"kept": 2.0}),
        ({"loss": None, "text": "much", "list": [1, 2], "kept": "3"}, {"kept": 3.0}),
        ({f"m{number:02d}": number for number in range(30)}, {f"m{number:02d}": float(number) for number in range(16)}),
        ([1.0], {}), ("loss", {}),
    ],
)  # fmt: skip
def test_a_metric_that_the_protocol_does_not_take_is_left_out_and_the_update_is_sent(
    stage: Stage, metrics: Any, sent: dict[str, float], caplog: pytest.LogCaptureFixture
) -> None:
    stage.play(Odd(gives(10, metrics)), 60)
    assert stage.bodies(REPORT)[0]["metrics"] == sent
    assert "left out" in caplog.text


@pytest.fixture
def bench(stage: Stage) -> Stage:
    """A stage on which the device is asked to judge until it has."""

    def answer() -> httpx.Response | None:
        number = int(stage.clock.now // ROUND_SECONDS) + 1
        done = [body for body in stage.bodies("/metrics") if body["round"] == f"toy.{number}"]
        return None if len(done) == 2 else judging(number)

    stage.server.fleet = "waits"
    stage.answers[CHECK_IN] = answer
    stage.answers["/metrics"] = lambda: httpx.Response(202, json={"round": "toy.1", "version": 1, "client_id": "boiler"})
    return stage


@pytest.mark.parametrize(
    "metrics", [{"accuracy": math.nan}, {"accuracy": -math.inf, "loss": 1.0}, {"accuracy": 0.1, "loss": math.nan},
                {"accuracy": 0.1, "loss": math.inf}, {"accuracy": np.float32("nan")}, {"accuracy": 0.5, "loss": 1e38}],
)  # fmt: skip
def test_a_version_whose_accuracy_or_loss_is_not_finite_is_judged_worse(bench: Stage, metrics: dict[str, float]) -> None:
    bench.play(Judge(Evaluation(12, metrics)), 60)
    assert bench.bodies("/metrics") == [{"round": "toy.1", "examples": 12, "metrics": {}, "verdict": "worse"}] * 2


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"loss": 0.5, "mse": 12.5}, {"mse": 12.5, "loss": 0.5}),
        ({"mse": -1e30, "accuracy": 0.5}, {"mse": -1e30, "accuracy": 0.5}),
        ({"accuracy": 5.4, "mse": 1.0}, {"mse": 1.0}), ({"accuracy": math.nan, "mse": np.float32(1.0)}, {"mse": 1.0}),
        ({f"m{number:02}": 0.0 for number in range(20)} | {"mse": 2.0}, {"mse": 2.0} | {f"m{n:02}": 0.0 for n in range(15)}),
        ({"mse": math.nan}, None), ({"mse": math.inf}, None), ({"mse": 1e31}, None), ({"mse": 1.0, "loss": math.nan}, None),
    ],
)  # fmt: skip
def test_a_judge_measures_by_the_metric_that_its_assignment_names(bench: Stage, metrics: Any, said: Any) -> None:
    """An accuracy that is no fraction, as of what is no classifier, is left out. None: the verdict `worse`."""
    found, verdict = ({}, "worse") if said is None else (said, "measured")
    bench.answers[CHECK_IN] = lambda: None if bench.bodies("/metrics") else judging(1, metric="mse")
    bench.play(Judge(Evaluation(12, metrics)), 60)
    assert bench.bodies("/metrics") == [{"round": "toy.1", "examples": 12, "metrics": found, "verdict": verdict}] * 2


@pytest.mark.parametrize("metrics", [{"accuracy": 0.5, "loss": 1.0}, {}])
def test_a_judge_that_does_not_measure_what_decides_says_so_and_sends_nothing(
    bench: Stage, metrics: dict[str, float], caplog: pytest.LogCaptureFixture
) -> None:
    bench.answers[CHECK_IN] = lambda: judging(1, metric="mse")
    judge = Judge(Evaluation(10, metrics))
    bench.play(judge, ROUND_SECONDS - 1)
    assert 1 <= judge.measured <= TRIES
    assert bench.bodies("/metrics") == []
    assert f"expected mse among the metrics, by which this model's versions are judged; got {', '.join(metrics) or 'none'}" in (
        caplog.text
    )


def test_a_version_that_can_be_measured_is_measured(bench: Stage) -> None:
    bench.play(Judge(Evaluation(12, {"loss": 0.5, "auc": math.nan, "accuracy": np.float64(0.75)})), 60)
    said = {"round": "toy.1", "examples": 12, "metrics": {"accuracy": 0.75, "loss": 0.5}, "verdict": "measured"}
    assert bench.bodies("/metrics") == [said] * 2


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (ValueError("no data today"), "no data today"), (None, "NoneType"), (Evaluation(10, {}), "accuracy"),
        (Evaluation(0, {"accuracy": 0.5}), "greater than"), (Evaluation(10, {"accuracy": 92.0}), "from 0 to 1"),
        (Evaluation(10, {"accuracy": -0.1}), "from 0 to 1"),
        # What the types forbid, and a judge may return all the same:
        (Evaluation(10, {"accuracy": "good"}), "could not convert"),  # type: ignore[dict-item]
        (Evaluation(10, None), "NoneType"), (Evaluation(1.5, {"accuracy": 0.5}), "float"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_a_judge_that_cannot_measure_tries_thrice_a_round_and_goes_on(
    bench: Stage, found: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    judge = Judge(found)
    bench.play(judge, ROUND_SECONDS - 1)
    assert 1 <= judge.measured <= TRIES
    assert bench.bodies("/metrics") == []
    assert reason in caplog.text
    bench.play(Judge(Evaluation(10, {"accuracy": 0.5})), 3 * ROUND_SECONDS)
    assert bench.bodies("/metrics")


# ---- refusals


REFUSALS = [
    Problem.INVALID_BODY, Problem.FLEET_FULL, Problem.UNKNOWN_MODEL, Problem.UNKNOWN_ROUND, Problem.NOT_ASSIGNED,
    Problem.ROUND_CLOSED, Problem.WRONG_LENGTH, Problem.UPLOAD_MISSING, Problem.UPLOAD_MISMATCH, Problem.REPORT_CONFLICT,
]  # fmt: skip


@pytest.mark.parametrize("route", [HEARTBEAT, CHECK_IN, UPLOAD, REPORT])
@pytest.mark.parametrize("problem", [*REFUSALS, 400, 403, 404, 409, 418])
def test_no_refusal_leads_to_more_requests_than_usual_or_ends_the_loop(
    stage: Stage, problem: Problem | int, route: str, caplog: pytest.LogCaptureFixture
) -> None:
    stage.answers[route] = lambda: refusal(problem) if isinstance(problem, Problem) else unknown(problem)
    trainer = Odd(gives())
    trainer.stage = stage
    stage.play(trainer, HOUR)
    refused = stage.times(route)
    assert "trouble with a refusal" in caplog.text
    assert len(refused) <= (20 if route == CHECK_IN else 6 * TRIES)
    assert min(gaps(refused)) >= 5.0
    assert len(stage.asked) <= 90, "as many as a device that trains sends"
    if route in (UPLOAD, REPORT):
        assert all(sum(at // ROUND_SECONDS == number for at in trainer.trained) <= TRIES for number in range(6))


def test_an_update_that_is_refused_for_good_is_not_sent_again_in_that_round(stage: Stage) -> None:
    stage.answers[UPLOAD] = lambda: refusal(Problem.WRONG_LENGTH)
    stage.play(Adds(), ROUND_SECONDS - 1)
    assert len(stage.times(UPLOAD)) == 1
    del stage.answers[UPLOAD]
    stage.play(Adds(), ROUND_SECONDS)
    assert stage.bodies(REPORT)


@pytest.mark.parametrize("problem", [Problem.UPLOAD_MISSING, Problem.UPLOAD_MISMATCH, Problem.NOT_ASSIGNED])
def test_an_update_whose_refusal_can_be_mended_is_sent_again_and_not_trained_again(stage: Stage, problem: Problem) -> None:
    left = iter([refusal(problem)])
    stage.answers[REPORT] = lambda: next(left, None)
    trainer = Odd(gives())
    trainer.stage = stage
    stage.play(trainer, ROUND_SECONDS - 1)
    assert (len(trainer.trained), len(stage.times(PUT)), len(stage.times(REPORT))) == (1, 2, 2)


def test_a_place_that_is_given_again_after_its_update_was_taken_is_not_worked_for_without_end(stage: Stage) -> None:
    stage.answers[CHECK_IN] = lambda: httpx.Response(200, json=assignment(1, "boiler"))
    stage.play(Adds(), ROUND_SECONDS - 1)
    assert len(stage.times(REPORT)) == TRIES
    assert len(stage.times(CHECK_IN)) < 30


# ---- the network, and servers in trouble


FAILURES: dict[str, Callable[[], httpx.Response | Exception]] = {
    "500": lambda: httpx.Response(500), "503": lambda: httpx.Response(503), "429": lambda: httpx.Response(429),
    "no connection": lambda: httpx.ConnectError("refused"), "broken": lambda: httpx.ReadError("reset"),
    "nonsense": lambda: httpx.Response(200, content=b"<html>"), "a captive portal": lambda: httpx.Response(302),
    "403 without a document": lambda: httpx.Response(403), "401 without a document": lambda: httpx.Response(401),
    "invalid": lambda: httpx.InvalidURL("no URL"), "an error of this SDK": lambda: RuntimeError("a bug"),
}  # fmt: skip


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("failure", FAILURES)
def test_an_outage_of_any_route_ends_no_loop_and_leads_to_no_storm(stage: Stage, failure: str, route: str) -> None:
    """In half an hour no device sends more than half as much again as usual (403 for a PUT is the dearest: a URL that may have
    expired is asked for once more). Afterwards the device takes part within two intervals between heartbeats.
    """
    stage.play(Adds(), 2 * ROUND_SECONDS - 1)
    usual = len(stage.asked) * 3 / 2
    del stage.asked[:]
    stage.answers[route] = FAILURES[failure]
    stage.play(Adds(), HALF_HOUR)
    assert len(stage.asked) <= 1.5 * usual
    before = len(stage.times(REPORT))
    del stage.answers[route]
    stage.play(Adds(), 1800 + ROUND_SECONDS)
    assert len(stage.times(REPORT)) > before


@pytest.mark.parametrize("route", [UPLOAD, PUT, REPORT])
@pytest.mark.parametrize("failure", ["500", "503", "429", "no connection"])
def test_an_update_that_could_not_be_delivered_is_not_trained_again(stage: Stage, failure: str, route: str) -> None:
    stage.answers[route] = FAILURES[failure]
    trainer = Odd(gives())
    trainer.stage = stage
    stage.play(trainer, 120)
    del stage.answers[route]
    stage.play(trainer, ROUND_SECONDS - stage.clock.now - 1)
    assert len(trainer.trained) == 1
    assert 2 <= len(stage.times(UPLOAD)) <= 20
    assert stage.bodies(REPORT)


@pytest.mark.parametrize("failure", ["500", "503", "429", "no connection", "nonsense"])
def test_heartbeats_go_on_at_their_interval_while_a_device_cannot_check_in(stage: Stage, failure: str) -> None:
    stage.answers[CHECK_IN] = FAILURES[failure]
    stage.play(Adds(), 10 * HOUR)
    found = gaps(stage.times(HEARTBEAT))
    assert all((450.0 if failure in ("429", "503") else 900.0) <= gap <= 1350.1 for gap in found)
    assert len(found) >= 30


@pytest.mark.parametrize("failure", [*FAILURES, "unknown-model"])
def test_heartbeats_that_are_not_answered_do_not_go_faster(stage: Stage, failure: str) -> None:
    stage.answers[HEARTBEAT] = FAILURES.get(failure, lambda: refusal(Problem.UNKNOWN_MODEL))
    stage.server.fleet = "waits"
    stage.play(Adds(), 4 * HOUR)
    turns = [at for at, gap in zip(stage.times(HEARTBEAT), [math.inf, *gaps(stage.times(HEARTBEAT))], strict=True) if gap > 5]
    found = gaps(turns)
    assert all(450.0 <= gap <= 1350.1 for gap in found)
    assert sum(found) / len(found) > 800.0


@pytest.mark.parametrize("status", [429, 503])
def test_an_overloaded_server_gets_only_heartbeats_until_one_is_answered(stage: Stage, status: int) -> None:
    stage.server.fleet = "waits"
    stage.play(Adds(), 70)
    del stage.asked[:]
    stage.answers[""] = lambda: httpx.Response(status)
    stage.play(Adds(), 10 * HOUR)
    asked = stage.times(CHECK_IN)
    assert len(asked) == 1
    found = gaps(stage.times(HEARTBEAT))
    assert all(450.0 <= gap <= 1350.1 for gap in found)
    assert 800.0 < sum(found) / len(found) < 1000.0, "no more often than when all is well, and not all at once"
    del stage.answers[""]
    stage.play(Adds(), 1351)
    assert len(stage.times(CHECK_IN)) > 1


@pytest.mark.parametrize("route", [HEARTBEAT, CHECK_IN, UPLOAD])
@pytest.mark.parametrize(("asked", "least"), [("1500", 1500.0), ("86400", LONGEST_RETRY_AFTER_SECONDS), ("0", 0.0)])
def test_nothing_is_sent_before_the_time_that_an_overloaded_server_has_asked_for(
    stage: Stage, route: str, asked: str, least: float
) -> None:
    left = iter([httpx.Response(503, headers={"Retry-After": asked})])
    stage.answers[route] = lambda: next(left, None)
    stage.play(Adds(), 3 * HOUR)
    times = [at for at, _, _ in stage.asked]
    refused = stage.times(route)[0]
    following = min(at for at in times if at > refused)
    assert max(least, 1.0) <= following - refused <= max(1.25 * least, 1800.0)


def test_what_the_server_has_drawn_is_taken_as_it_is(stage: Stage) -> None:
    beat = {"next_heartbeat_seconds": 1000.0, "drawn": True, "work": True, "newer_version": None}
    wait = {"kind": "wait", "retry_after_seconds": 60.0, "drawn": True, "reason": "round-full"}
    stage.answers = {HEARTBEAT: lambda: httpx.Response(200, json=beat), CHECK_IN: lambda: httpx.Response(200, json=wait)}
    stage.play(Adds(), 4 * HOUR)
    assert gaps(stage.times(HEARTBEAT)) == pytest.approx([1000.0] * 14, abs=0.1)
    assert all(gap == pytest.approx(60.0, abs=0.1) for gap in gaps(stage.times(CHECK_IN)))


ODD_SECONDS = [math.nan, math.inf, -math.inf, -1.0, 0.0, 1e300]


@pytest.mark.parametrize("seconds", ODD_SECONDS)
def test_a_pace_that_is_none_is_held_within_bounds(stage: Stage, seconds: float) -> None:
    said = str(seconds).replace("inf", "Infinity").replace("nan", "NaN")
    beat = f'{{"next_heartbeat_seconds": {said}, "work": true, "newer_version": null}}'
    wait = f'{{"kind": "wait", "retry_after_seconds": {said}, "reason": "round-full"}}'
    stage.answers = {
        HEARTBEAT: lambda: httpx.Response(200, content=beat.encode()),
        CHECK_IN: lambda: httpx.Response(200, content=wait.encode()),
    }
    stage.play(Adds(), 5)
    assert len(stage.asked) <= 2 * 5 / 0.05


# ---- stopping


class Never(Adds):
    def train(self, base: Any, hyperparameters: Any) -> TrainingResult:
        raise AssertionError("it was to stop")


@pytest.mark.parametrize("failure", FAILURES)
def test_a_device_that_is_to_stop_waits_for_nothing_and_tries_nothing_again(stage: Stage, failure: str) -> None:
    stop = threading.Event()
    stage.device._transport._sleep = stage.device._transport._pause

    def fail() -> httpx.Response | Exception:
        stop.set()
        return FAILURES[failure]()

    stage.answers[""] = fail
    stage.device.run(Never(), stop)
    assert len(stage.asked) == 1


def test_a_wait_ends_when_the_device_is_to_stop(stage: Stage) -> None:
    """Whoever sets it is another thread; here it does so when the wait has begun."""

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0.0)
            self.set()
            return super().wait(timeout)

    waits: list[float] = []
    stage.answers[CHECK_IN] = lambda: httpx.Response(503)
    stage.device.run(Never(), Stop())
    assert len(waits) == 1
    assert waits[0] > 100.0


def test_after_it_was_stopped_a_device_can_be_used_and_run_again(stage: Stage) -> None:
    stop = threading.Event()
    stop.set()
    stage.device.run(Adds(), stop)
    assert not stage.device._transport.stop.is_set()
    assert Loop(stage.device, Adds()).turn() == 0.0, "it has trained"
    assert stage.times(REPORT)
    assert stage.times(GET)


def test_a_back_off_grows_to_its_cap_and_begins_again_after_a_success(stage: Stage) -> None:
    stage.server.fleet = "waits"
    stage.answers[CHECK_IN] = FAILURES["nonsense"]
    stage.play(Adds(), 10 * HOUR)
    found = gaps(stage.times(CHECK_IN))
    assert all(5.0 <= gap <= LONGEST_BACK_OFF_SECONDS + 0.1 for gap in found)
    assert 300 < sum(found[-20:]) / 20 < 600
    assert len(set(found)) == len(found)
    left: Iterator[None] = iter([None])
    stage.answers[CHECK_IN] = lambda: next(left, httpx.Response(200, content=b""))
    del stage.asked[:]
    stage.play(Adds(), 1200)
    assert 30.0 <= gaps(stage.times(CHECK_IN))[1] <= 90.1, "as if it had been told to wait again"
