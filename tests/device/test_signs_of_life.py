"""A check-in is as good a sign of life as a heartbeat: who checks in sends no heartbeat that would hear nothing."""

from __future__ import annotations

import pytest

from tests.fleet import World


def heard(world: World, **model: object) -> bool:
    """Whether a device that waits, and has said what it runs, is told that a heartbeat would hear something."""
    (device,) = world.devices(1)
    device.model()
    device.heartbeat_if_due()
    world.clock.advance(world.settings.memory_seconds)
    found = device.check_in()
    assert found.kind == "wait"
    return found.heartbeat


def test_a_waiting_device_that_runs_what_it_should_need_not_send_heartbeats(world: World) -> None:
    world.model()
    assert heard(world) is False


def test_a_device_whose_model_rests_hears_of_work_by_its_heartbeats(world: World) -> None:
    world.model(rounds=0)
    assert heard(world) is True


def test_a_device_that_should_run_another_version_is_told_so_by_a_heartbeat(world: World) -> None:
    world.model()
    (device,) = world.devices(1)
    found = device.check_in()
    assert found.kind == "wait"
    assert found.heartbeat, "it has not said what it runs"


@pytest.mark.parametrize("postponed", [True, False])
def test_a_heartbeat_that_is_postponed_comes_an_interval_after_the_check_in(world: World, postponed: bool) -> None:
    world.model()
    (device,) = world.devices(1)
    device.clock = lambda: world.clock.now.timestamp()
    device.beat_after(100.0)
    if postponed:
        device.postpone_heartbeat()
    assert device.seconds_to_heartbeat == (device.heartbeat_seconds if postponed else 100.0)
    device.beat_after(10 * device.heartbeat_seconds)
    device.postpone_heartbeat()
    assert device.seconds_to_heartbeat == 10 * device.heartbeat_seconds, "it comes no sooner by that"
