"""Who is asked: everybody in a small fleet, a bounded number of a large one, and of both sides alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.registry.rollout import Rollout
from chalicelib.rollouts.assigning import Side, side_of
from chalicelib.rollouts.report import MOST_REPORTS, RolloutReport, Verification, is_asked, kept_until
from muster.wire.admin import Strategy
from tests.fleet import World
from tests.rollouts.making import T0, ref

CLIENTS = [f"device-{number:06d}" for number in range(8_000)]


def rollout(share: int) -> Rollout:
    strategy = Strategy(kind="canary", steps=[share / 100])
    return Rollout(began=7, beneath=None, candidate=ref(1), strategy=strategy, reached=T0, since=T0, share=share)


@pytest.mark.parametrize("share", [1, 500, 2_500, 9_900])
def test_in_a_small_fleet_all_are_asked(share: int) -> None:
    one = rollout(share)
    assert all(is_asked("toy", one, client, one.share + one.control, 5_000) for client in CLIENTS[:500])


@pytest.mark.parametrize("active", [20_000, 1_000_000, 10**9])
@pytest.mark.parametrize("share", [500, 2_500])
def test_in_a_large_fleet_a_bounded_number_is_asked_of_both_sides_alike(active: int, share: int) -> None:
    one = rollout(share)
    concerned = one.share + one.control
    sides = {side: [client for client in CLIENTS if side_of("toy", one, client) is side] for side in Side}
    asked = {
        side: sum(is_asked("toy", one, client, concerned, active) for client in clients) / max(1, len(clients))
        for side, clients in sides.items()
    }
    wanted = min(1.0, MOST_REPORTS / (active * concerned / 10_000))
    for side in (Side.CANDIDATE, Side.CONTROL):
        spread = (wanted * (1 - wanted) / len(sides[side])) ** 0.5
        assert asked[side] == pytest.approx(wanted, abs=5 * spread + 1e-4)


def test_who_is_asked_of_a_growing_fleet_is_asked_of_a_smaller_one_too() -> None:
    one = rollout(500)
    concerned = one.share + one.control
    few, many = (
        {client for client in CLIENTS if is_asked("toy", one, client, concerned, active)} for active in (200_000, 40_000)
    )
    assert few < many


@pytest.mark.parametrize(
    ("said", "days"),
    [
        ({"steps": [5.0]}, 30),
        ({"steps": [5.0, 25.0], "pause_seconds": 31 * 86_400.0}, 30 + 62),
        ({"steps": [5.0], "window_seconds": 7 * 86_400.0, "patience": 52}, 30 + 364),
    ],
)
def test_what_was_said_is_kept_until_the_slowest_rollout_is_over(said: dict[str, Any], days: int) -> None:
    one = replace(rollout(500), strategy=Strategy.model_validate({"kind": "canary", **said}))
    assert kept_until(one, T0) >= (T0 + timedelta(days=days)).timestamp()


def test_who_once_was_ready_stays_ready_and_who_has_reported_reports_no_more(world: World) -> None:
    one, store = rollout(500), world.services.reports
    not_ready, ready = (Verification(client_id="a", at=T0, is_ready=is_ready, ttl=0) for is_ready in (False, True))
    assert [store.verify("toy", one, said) for said in (not_ready, not_ready, ready, ready, not_ready)] == [
        True, False, True, False, False,
    ]  # fmt: skip
    assert [said.is_ready for said in store.verifications("toy", one)] == [True]
    reports = [
        RolloutReport(client_id="a", version=1, at=T0, is_candidate=True, value=value, ttl=0) for value in (0.5, None, 0.9)
    ]
    assert [store.add("toy", one, report) for report in reports] == [True, False, False]
    assert [report.value for report in store.reports("toy", one)] == [0.5]
