"""What a rollout asks of a device is answered once, in a heartbeat; and a version that stands by needs no download."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from bench.trouble.server import HEARTBEAT_SECONDS, refusal
from bench.trouble.simulation import Adds
from chalicelib.registry.rollout import Rollout
from chalicelib.rollouts.report import RolloutReport
from muster import Device
from muster.device import Evaluation, TooLittleData, Unreachable
from muster.device import checkpoints as checkpoints_module
from muster.device.rollouts import ROLLOUT_TRIES
from muster.wire.admin import RoundConfig, Strategy
from muster.wire.problems import Problem
from tests.device.stage import BASE, CHECK_IN, HEARTBEAT, STORE, Judge, Stage, Told
from tests.fleet import CONFIG, Drift, World, checkpoint, readable

CANARY = Strategy(kind="canary", steps=[50.0], window_seconds=60.0, pause_seconds=60.0)
BLUE_GREEN = Strategy(kind="blue-green", pause_seconds=600.0)


# ---- with the server


def beginning(world: World, strategy: Strategy) -> str:
    """A rollout of version 1 goes on; its name."""
    world.operator.register("toy", checkpoint(0.2))
    made = world.operator.deploy("toy", 1, strategy=strategy, revision=1)
    world.clock.advance(60)
    return f"toy.r{made.revision}"


def beat(device: Device, trainer: Any = None) -> Any:
    """A heartbeat of a device, and what its loop does with the answer."""
    device.beat_after(0.0)
    reply = device.heartbeat_if_due()
    if trainer:
        device.answer_rollout(trainer)
    return reply


def going_on(world: World) -> Rollout:
    deployment = world.services.registry.deployment("toy")
    assert deployment
    assert deployment.rollout
    return deployment.rollout


def reports(world: World) -> dict[str, RolloutReport]:
    """What was counted, by client."""
    return {one.client_id: one for one in readable(world.services.reports.reports("toy", going_on(world)))}


def ready(world: World) -> dict[str, bool]:
    """Whether the candidate stands by, by client."""
    return {one.client_id: one.is_ready for one in readable(world.services.reports.verifications("toy", going_on(world)))}


def test_a_device_that_merely_loops_fetches_its_version_measures_it_and_is_counted_on_its_side(world: World) -> None:
    world.model(rounds=0)
    beginning(world, CANARY)
    devices = world.devices(8)
    for device in devices:
        beat(device, Drift(0.0))
        assert reports(world).get(device.client_id) is None, "it tells with its next heartbeat"
        beat(device, Drift(0.0))
    counted = reports(world)
    assert {one.client_id for one in devices} == counted.keys()
    assert {one.is_candidate for one in counted.values()} == {False, True}
    for one in counted.values():
        assert (one.version, one.value) == ((1, pytest.approx(0.7)) if one.is_candidate else (0, 0.5))


def test_a_device_answers_once_although_the_server_goes_on_asking(world: World) -> None:
    world.model(rounds=0)
    beginning(world, CANARY)
    (device,) = world.devices(1)
    trainer = Judge(Evaluation(10, {"accuracy": 0.5}))
    for _ in range(5):
        reply = beat(device, trainer)
    assert reply.asks is not None, "it asks whoever says nothing"
    assert trainer.measured == 1


def test_without_a_rollout_a_loop_downloads_no_version(world: World) -> None:
    world.model(rounds=0)
    world.operator.register("toy", checkpoint(0.2))
    world.operator.deploy("toy", 1, revision=1)
    world.clock.advance(60)
    (device,) = world.devices(1)
    assert beat(device, Drift(0.0)).newer_version == 1
    assert world.downloaded_bytes == 0


def test_a_device_that_comes_to_the_other_side_before_it_was_heard_measures_again(world: World) -> None:
    """What it measured is not of the version that it is given now, and does not count."""
    world.model(rounds=0)
    beginning(world, CANARY)
    devices = world.devices(8)
    for device in devices:
        beat(device, Drift(0.0))
    (stable, *_) = [device for device in devices if device.model()[0] == 0]
    revision = next(iter(world.operator.deployments("toy"))).revision
    world.operator.move_rollout("toy", "abort", revision=revision)
    again = Strategy(kind="canary", steps=[99.99], window_seconds=60.0, pause_seconds=60.0)
    world.operator.deploy("toy", 1, strategy=again, revision=revision + 1)
    world.clock.advance(60)
    assert beat(stable, Drift(0.0)).newer_version == 1
    beat(stable)
    found = reports(world)[stable.client_id]
    assert (found.version, found.is_candidate) == (1, True)


def test_what_the_app_says_of_the_version_that_runs_is_told_when_a_rollout_asks(world: World) -> None:
    world.model(rounds=0)
    (device,) = world.devices(1)
    number, _ = device.model()
    device.report({"accuracy": 0.25, "latency_ms": 12})
    device.report({"accuracy": math.nan}, version=number)
    beginning(world, CANARY)
    if (number := device.model()[0]) == 1:
        device.report({"accuracy": math.nan})
    assert beat(device, Judge(Evaluation(1, {"accuracy": 1.0}))).asks
    beat(device)
    found = reports(world)[device.client_id]
    assert (found.version, found.value) == (number, None)


def test_a_model_with_a_metric_of_its_own_is_asked_for_that(world: World) -> None:
    metric = {"name": "test_mse", "direction": "lower", "minimum": 0.0, "maximum": 4.0}
    config = RoundConfig(**{**CONFIG, "metric": metric, "min_gain": 0.0, "max_regression": 1.0})
    world.operator.create_model("toy", checkpoint(0.0), config)
    beginning(world, CANARY)
    (device,) = world.devices(1)
    for _ in range(2):
        beat(device, Judge(Evaluation(3, {"test_mse": 2.5, "other": math.nan})))
    assert reports(world)[device.client_id].value == 2.5


def test_a_version_that_stands_by_is_run_without_a_download_and_so_is_the_way_back(world: World) -> None:
    world.model(rounds=0)
    (device,) = world.devices(1)
    device.model()
    before = world.downloaded_bytes
    beginning(world, BLUE_GREEN)
    assert beat(device, Drift(0.0)).asks.standby == 1
    warmed = world.downloaded_bytes
    assert before < warmed <= before + len(checkpoint(0.2))
    assert device.model()[0] == 0, "it is not run"
    assert beat(device).asks is None
    assert ready(world) == {device.client_id: True}
    world.clock.advance(3600)
    world.tick()
    world.clock.advance(60)
    assert beat(device, Drift(0.0)).newer_version == 1
    assert device.model()[0] == 1
    revision = next(iter(world.operator.deployments("toy"))).revision
    world.operator.move_rollout("toy", "abort", revision=revision)
    world.clock.advance(60)
    assert device.model()[0] == 0
    assert world.downloaded_bytes == warmed


def test_what_stands_by_and_what_runs_outlast_what_rounds_download(world: World) -> None:
    world.model(rounds=0)
    (device,) = world.devices(1)
    device.model()
    beginning(world, BLUE_GREEN)
    beat(device, Drift(0.0))
    for bias in (0.3, 0.4, 0.5):
        made = world.operator.register("toy", checkpoint(bias))
        device._versions.arrays(world.operator.version("toy", made.version).checkpoint)
    assert len(device._checkpoints.held) == 3
    warmed = world.downloaded_bytes
    revision = next(iter(world.operator.deployments("toy"))).revision
    for move, version in (("promote", 1), (None, 0)):
        if move:
            world.operator.move_rollout("toy", "promote", revision=revision)
        else:
            world.operator.rollback("toy", revision=revision + 1)
        world.clock.advance(60)
        assert device.model()[0] == version
    assert world.downloaded_bytes == warmed
    world.operator.deploy("toy", 4, revision=revision + 2)
    world.clock.advance(60)
    assert device.model()[0] == 4
    assert not device._checkpoints.pinned, "nobody goes back and forth between those two any more"


def test_what_stood_by_before_anything_ran_stays_beside_what_runs_then(world: World) -> None:
    world.model(rounds=0)
    (device,) = world.devices(1)
    beginning(world, BLUE_GREEN)
    beat(device, Drift(0.0))
    assert device.model()[0] == 0
    for bias in (0.3, 0.4):
        made = world.operator.register("toy", checkpoint(bias))
        device._versions.arrays(world.operator.version("toy", made.version).checkpoint)
    warmed = world.downloaded_bytes
    world.operator.move_rollout("toy", "promote", revision=next(iter(world.operator.deployments("toy"))).revision)
    world.clock.advance(60)
    assert device.model()[0] == 1
    assert world.downloaded_bytes == warmed


def test_a_restarted_device_says_again_that_it_is_ready_and_downloads_nothing(world: World) -> None:
    world.model(rounds=0)
    token = world.token(1)
    device = world.device(token, "thermostat-7")
    device.model()
    beginning(world, BLUE_GREEN)
    for _ in range(2):
        beat(device, Drift(0.0))
    warmed = world.downloaded_bytes
    again = world.device(token, "thermostat-7")
    assert beat(again, Drift(0.0)).asks.standby == 1
    assert beat(again).asks is None
    assert world.downloaded_bytes == warmed
    assert ready(world) == {"thermostat-7": True}


def test_a_version_that_the_disk_does_not_take_does_not_stand_by(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.model(rounds=0)
    (device,) = world.devices(1)
    device.model()
    beginning(world, BLUE_GREEN)

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints_module, "replace_file", full)
    for _ in range(3):
        beat(device, Drift(0.0))
    assert ready(world) == {device.client_id: False}
    assert "does not stand by" in caplog.text


# ---- what an app says


@pytest.mark.parametrize(
    ("metrics", "why"),
    [
        ({"Accuracy": 1.0}, "expected names as"), ({"": 1.0}, "expected names as"), ({7: 1.0}, "expected names as"),
        ({f"m{number}": 1.0 for number in range(17)}, "expected at most 16 names, got 17"),
        ({"accuracy": 87.0}, "metric accuracy: expected a fraction from 0 to 1, got 87"),
        ({"loss": "3"}, "metric loss: expected a number, got '3'"), ({"loss": None}, "metric loss: expected a number"),
    ],
)  # fmt: skip
def test_what_the_protocol_does_not_take_is_refused_at_the_call(world: World, metrics: Any, why: str) -> None:
    world.model()
    (device,) = world.devices(1)
    with pytest.raises(ValueError, match="expected a version that runs"):
        device.report({"loss": 1.0})
    device.model()
    with pytest.raises(ValueError, match=why):
        device.report(metrics)


def test_names_add_up_to_no_more_than_the_protocol_takes_and_another_version_begins_anew(world: World) -> None:
    world.model()
    (device,) = world.devices(1)
    some: Any = {f"m{number}": np.float32(number) for number in range(16)}
    device.report(some, version=4)
    device.report({"m3": math.inf}, version=4)
    with pytest.raises(ValueError, match="at most 16 names for a version, got 17"):
        device.report({"n": 1.0}, version=4)
    device.report({"n": 1.0}, version=5)


# ---- scripted

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
    assert context.folder == play.device._training_folder


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
