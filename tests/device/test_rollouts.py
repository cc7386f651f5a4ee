"""What a rollout asks of a device, with the server: each device is counted once; what stands by needs no download."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chalicelib.registry.rollout import Rollout
from chalicelib.rollouts.report import RolloutReport
from muster import Device
from muster.device import Evaluation
from muster.device import checkpoints as checkpoints_module
from muster.wire.admin import RoundConfig, Strategy
from tests.device.stage import Judge
from tests.fleet import CONFIG, Drift, World, checkpoint, readable

CANARY = Strategy(kind="canary", steps=[50.0], window_seconds=60.0, pause_seconds=60.0)
BLUE_GREEN = Strategy(kind="blue-green", pause_seconds=600.0)


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
