"""The laws of an outage, held by a fleet of real devices in virtual time (`make bench-trouble` is the same with a thousand)."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.trouble.server import HEARTBEAT_SECONDS, Fleet, Trouble
from bench.trouble.simulation import OutageCourse, observe

DEVICES = 60


@pytest.fixture(scope="module", params=["429 and 503", "429 and 503, Retry-After"])
def overload(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> OutageCourse:
    """A fleet that waits for a round, in half an hour of overload."""
    return observe(DEVICES, "waits", request.param, tmp_path_factory.mktemp("fleet"))


def test_an_overloaded_server_gets_at_most_a_tenth_of_the_usual_requests(overload: OutageCourse) -> None:
    assert 12 < overload.before < 16
    assert overload.share <= 0.1


def test_all_devices_are_back_within_two_intervals_and_not_all_at_once(overload: OutageCourse) -> None:
    assert len(overload.back) == DEVICES
    assert overload.back[-1] <= 2 * HEARTBEAT_SECONDS
    assert overload.back[DEVICES * 3 // 4] - overload.back[DEVICES // 4] > 300
    assert overload.busiest[2] <= 2 * overload.busiest[0]
    assert overload.after[2] == pytest.approx(overload.before, rel=0.1)


@pytest.mark.parametrize(("fleet", "trouble"), [("trains", "429 and 503"), ("waits", "500"), ("waits", "no connection")])
def test_the_same_of_a_fleet_that_trains_and_of_other_outages_which_get_fewer_requests_too(
    fleet: Fleet, trouble: Trouble, tmp_path: Path
) -> None:
    course = observe(DEVICES // 3, fleet, trouble, tmp_path)
    assert course.share <= (0.1 if fleet == "trains" else 0.6)
    assert len(course.back) == DEVICES // 3
    assert course.back[-1] <= 2 * HEARTBEAT_SECONDS


def test_heartbeats_of_a_fleet_whose_model_rests_are_not_multiplied(tmp_path: Path) -> None:
    """Heartbeats are all that it sends, and they go on: an overloaded server gets as many as ever, and no repeats."""
    course = observe(DEVICES, "rests", "429 and 503", tmp_path)
    assert course.share <= 1.15
    assert course.back[-1] <= 2 * HEARTBEAT_SECONDS
