"""What a rollout asks of a device is answered once, in a heartbeat; whatever server, store and trainer do meanwhile."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.trouble.server import HEARTBEAT_SECONDS, refusal
from bench.trouble.simulation import Adds
from muster.device import Evaluation, TooLittleData, Unreachable
from muster.device.rollouts import ROLLOUT_TRIES
from muster.wire.problems import Problem
from tests.device.stage import BASE, CHECK_IN, HEARTBEAT, STORE, Judge, Stage, Told

RUNS = 4
DIGEST = hashlib.sha256(BASE).hexdigest()
QUESTION = {"rollout": "toy.r7", "metrics": ["accuracy"]}


class Play(Stage):
    """A device that rests, and a server whose heartbeats are answered with `asks`, and whose model is version `version`."""

    def __init__(self, folder: Path, **asks: Any) -> None:
        super().__init__(folder, "rests")
        self.asks: dict[str, Any] | None = {**QUESTION, **asks}
        self.version: int = RUNS
        self.fails: Iterator[httpx.Response | Exception | None] = iter(())
        self.answers[HEARTBEAT] = self._beat
        self.answers["/models/toy"] = self._model

    def _beat(self) -> httpx.Response | Exception:
        running = self.bodies(HEARTBEAT)[-1].get("version")
        newer = None if running == self.version else self.version
        reply = {"next_heartbeat_seconds": HEARTBEAT_SECONDS, "work": False, "newer_version": newer, "asks": self.asks}
        return next(self.fails, None) or httpx.Response(200, json=reply)

    def _model(self) -> httpx.Response:
        base = {"version": self.version, "sha256": DIGEST, "bytes": len(BASE), "url": f"{STORE}/base/boiler"}
        return httpx.Response(200, json={"model": "toy", "revision": 7, "round": None, "checkpoint": base})

    def hours(self, trainer: Any, hours: float = 3.0) -> list[Any]:
        """Let the loop live for so long; the reports that it has sent."""
        self.play(trainer, hours * 3600.0)
        return [body["report"] for body in self.bodies(HEARTBEAT) if "report" in body]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return Play(tmp_path)


def test_a_server_that_asks_nothing_never_sees_a_report(play: Play) -> None:
    """One of an earlier release refuses a member that it does not know."""
    play.asks = None
    play.device.model()
    play.device.report({"accuracy": 0.5})
    assert play.hours(Adds()) == []
    assert set().union(*play.bodies(HEARTBEAT)) == {"model", "version"}


def test_the_loop_answers_at_the_pace_of_heartbeats_and_names_the_version(play: Play) -> None:
    assert play.hours(Adds()) == [{"rollout": "toy.r7", "metrics": {"accuracy": 1.0}}]
    assert [body.get("version") for body in play.bodies(HEARTBEAT)[:3]] == [None, RUNS, RUNS]
    assert len(play.times(HEARTBEAT)) <= 13, "no heartbeat more than before"


@pytest.mark.parametrize(
    "lost",
    [httpx.ReadError("the answer was lost"), httpx.Response(500), httpx.Response(503), httpx.Response(200, content=b"{}")],
)
def test_a_report_whose_answer_is_lost_is_sent_again(play: Play, lost: Any) -> None:
    play.fails = iter([None, *[lost] * 5])
    trainer = Judge(Evaluation(3, {"accuracy": math.nan}))
    sent = play.hours(trainer, 6.0)
    assert len(sent) > 3
    assert all(report == {"rollout": "toy.r7", "metrics": {"accuracy": None}} for report in sent)
    assert trainer.measured == 1
    del play.asked[:]
    assert play.hours(trainer) == []


def test_a_server_that_refuses_a_report_gets_heartbeats_without(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    """It may be one of an earlier release again."""
    play.fails = iter([None, refusal(Problem.INVALID_BODY)])
    assert len(play.hours(Adds())) == 1
    assert len(play.times(HEARTBEAT)) > 9
    assert "toy.r7 is told nothing more" in caplog.text


def test_a_key_that_is_doubted_costs_no_answer(play: Play) -> None:
    play.fails = iter([None, refusal(Problem.UNAUTHENTICATED)])
    assert len(play.hours(Adds())) == 2


def test_another_rollout_is_answered_too_and_measured_anew(play: Play) -> None:
    trainer = Judge(Evaluation(3, {"accuracy": 0.5}))
    play.hours(trainer)
    play.asks = {**QUESTION, "rollout": "toy.r9"}
    assert [report["rollout"] for report in play.hours(trainer)] == ["toy.r7", "toy.r9"]
    assert trainer.measured == 2


def test_a_rollout_that_asks_no_more_is_told_nothing(play: Play) -> None:
    play.play(Judge(ValueError("no data")), 60)
    play.asks = None
    play.play(Adds(), HEARTBEAT_SECONDS * 2)
    assert play.hours(Adds()) == []


def test_an_answer_that_names_another_version_did_not_count_and_that_one_is_measured(play: Play) -> None:
    trainer = Judge(Evaluation(3, {"accuracy": 0.5}))
    play.play(trainer, 60)
    play.version = RUNS + 1
    sent = play.hours(trainer)
    assert len(sent) == 2
    told = [body["version"] for body in play.bodies(HEARTBEAT) if "report" in body]
    assert told == [RUNS, RUNS + 1]
    assert trainer.measured == 2


def test_a_server_that_always_names_another_version_is_measured_for_only_so_often(play: Play) -> None:
    trainer = Judge(Evaluation(3, {"accuracy": 0.5}))
    model = play._model

    def another() -> httpx.Response:
        play.version += 1
        return model()

    play.answers["/models/toy"] = another
    play.answers[HEARTBEAT] = lambda: httpx.Response(
        200, json={"next_heartbeat_seconds": 900, "work": False, "newer_version": 99, "asks": QUESTION}
    )
    play.hours(trainer, 12.0)
    assert trainer.measured == ROLLOUT_TRIES


@pytest.mark.parametrize(
    ("found", "tries", "reason"),
    [
        (ValueError("no data today"), ROLLOUT_TRIES, "no data today"), (MemoryError(), ROLLOUT_TRIES, "MemoryError"),
        (TooLittleData("no examples"), 1, "no examples"), (None, ROLLOUT_TRIES, "NoneType"),
        (Evaluation(0, {"accuracy": 0.5}), ROLLOUT_TRIES, "greater than or equal to 1"),
        (Evaluation(3, {"loss": 0.5}), 1, "expected accuracy among the metrics, a rollout asks for it; got loss"),
        (Evaluation(3, {"accuracy": 50.0}), ROLLOUT_TRIES, "a fraction from 0 to 1"),
    ],
)  # fmt: skip
def test_a_trainer_that_cannot_measure_is_tried_a_few_times_a_rollout_and_the_loop_goes_on(
    play: Play, found: Any, tries: int, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = Judge(found)
    assert play.hours(trainer, 12.0) == []
    assert trainer.measured == tries
    assert caplog.text.count("trouble with rollout toy.r7") == tries
    assert reason in caplog.text
    assert "which is left alone" in caplog.text
    assert len(play.times(HEARTBEAT)) > 40
    play.asks = {**QUESTION, "rollout": "toy.r8"}
    assert len(play.hours(Adds())) == 1


def test_what_the_app_says_after_the_trainer_was_given_up_is_told(play: Play) -> None:
    play.asks = {**QUESTION, "metrics": ["latency_ms"]}
    play.hours(Adds())
    play.device.report({"latency_ms": 12.5, "private": 1.0}, version=RUNS)
    assert play.hours(Adds()) == [{"rollout": "toy.r7", "metrics": {"latency_ms": 12.5}}], "and no more than is asked for"


def test_the_trainer_measures_only_what_the_app_has_not_said(play: Play) -> None:
    play.asks = {**QUESTION, "metrics": ["accuracy", "latency_ms"]}
    play.device.report({"latency_ms": 12.5}, version=RUNS)
    play.device.report({"accuracy": 0.1}, version=RUNS - 1)
    play.device.report({"latency_ms": 13.5}, version=RUNS)
    (report,) = play.hours(Adds())
    assert report["metrics"] == {"accuracy": 1.0, "latency_ms": 13.5}


def test_a_device_that_does_not_evaluate_downloads_nothing_for_a_rollout(play: Play) -> None:
    play.device._can = ["train"]
    assert play.hours(Adds()) == []
    assert {path for _, path, _ in play.asked} == {"/v1/heartbeat", "/v1/models/toy/checkin"}


def test_a_trainer_is_told_for_which_rollout_it_measures(play: Play) -> None:
    trainer = Told()
    assert len(play.hours(trainer)) == 1
    assert trainer.calls == ["begin", "evaluate"]
    (context,) = trainer.contexts
    assert (context.round, context.report_by, context.seconds_left) == ("toy.r7", None, None)
    assert context.folder == play.device._contexts.folder


def test_a_store_that_does_not_answer_is_asked_again_after_the_next_heartbeat_and_costs_no_try(play: Play) -> None:
    play.answers["/base/boiler"] = lambda: httpx.Response(500)
    assert play.hours(Adds(), 6.0) == []
    assert all("version" not in body for body in play.bodies(HEARTBEAT)), "what was not downloaded does not run"
    del play.answers["/base/boiler"]
    assert len(play.hours(Adds())) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_an_overloaded_store_is_left_alone_until_a_heartbeat_is_answered(play: Play, status: int) -> None:
    play.answers["/base/boiler"] = lambda: httpx.Response(status)
    play.hours(Adds(), 6.0)
    assert len(play.times("/base/boiler")) <= len(play.times(HEARTBEAT))
    assert len(play.times(CHECK_IN)) <= 1


def test_a_version_that_is_not_what_was_announced_is_downloaded_only_so_often(play: Play) -> None:
    play.answers["/base/boiler"] = lambda: httpx.Response(200, content=b"\0" * len(BASE))
    assert play.hours(Adds(), 12.0) == []
    assert len(play.times("/base/boiler")) == ROLLOUT_TRIES


def test_what_stands_by_is_told_by_its_number(play: Play) -> None:
    play.asks = {"rollout": "toy.r7", "standby": RUNS}
    assert play.hours(Adds()) == [{"rollout": "toy.r7", "metrics": {}, "ready": RUNS}]
    assert "version" not in play.bodies(HEARTBEAT)[-1], "it does not run"


HOSTILE: dict[str, dict[str, Any]] = {
    "names that are none": {"metrics": ["Accuracy", "../..", ""]},
    "a name without end": {"metrics": ["a" * 50_000]},
    "many names": {"metrics": [f"m{number}" for number in range(10_000)]},
    "a standby that cannot be": {"metrics": [], "standby": -1},
    "a standby beyond all numbers": {"metrics": [], "standby": 10**30},
    "a standby that the server does not give": {"metrics": [], "standby": RUNS + 1},
    "metrics that nobody measures": {"metrics": ["nobody_measures_this"]},
    "nothing": {"metrics": []},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_question_that_makes_no_sense_breaks_nothing_and_is_soon_left_alone(
    play: Play, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    play.asks = {**QUESTION, **HOSTILE[name]}
    assert play.hours(Adds(), 12.0) == []
    assert len(play.times(HEARTBEAT)) > 40
    assert len(play.times("/models/toy")) <= ROLLOUT_TRIES
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) <= ROLLOUT_TRIES
    assert all(len(record.getMessage()) < 600 for record in warnings)
    play.asks = {**QUESTION, "rollout": "toy.r8"}
    assert len(play.hours(Adds())) == 1


@pytest.mark.parametrize("asks", [{"rollout": "../etc"}, {"rollout": "toy.r1", "metrics": None}, ["toy.r1"], "toy.r1"])
def test_an_answer_that_is_none_of_the_protocol_is_no_answer_and_the_loop_goes_on(play: Play, asks: Any) -> None:
    play.asks = asks
    assert play.hours(Adds()) == []
    play.asks = QUESTION
    assert len(play.hours(Adds())) == 1


def test_a_step_answers_too(play: Play) -> None:
    for _ in range(2):
        play.device.step(Adds())
        play.clock.now += 2 * HEARTBEAT_SECONDS
    assert "report" in play.bodies(HEARTBEAT)[-1]


def test_who_asks_by_himself_hears_what_failed(play: Play) -> None:
    play.device.heartbeat_if_due()
    play.answers["/models/toy"] = lambda: httpx.Response(404)
    with pytest.raises(Unreachable):
        play.device.answer_rollout(Adds())
