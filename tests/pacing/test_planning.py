"""What a fleet of a size asks for and costs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cost import scale
from muster.pacing.intervals import PaceRules
from muster.pacing.planning import REQUEST_DOLLARS, RequestLoad, Rounds, plan

CONTINUOUS = Rounds(places=65, judges=20)


def test_a_plan_and_the_page_on_scale_reckon_with_the_same_dollars() -> None:
    assert scale.HEARTBEAT_DOLLARS == REQUEST_DOLLARS
    beats = RequestLoad(per_second=1000 / 5400)
    assert beats.dollars_per_month == pytest.approx(scale.heartbeat_dollars_a_month(1000, 5400))


@pytest.mark.parametrize(("clients", "a_day"), [(10, 96), (150, 96), (900, 16), (1000, 16), (10**5, 16), (10**6, 16)])
def test_an_idle_device_sends_at_most_a_sixth_of_what_it_sent(clients: int, a_day: float) -> None:
    found = plan(PaceRules(), clients, CONTINUOUS)
    assert found.resting.per_day_of_each(clients) == pytest.approx(a_day)


def test_a_device_that_waits_by_hand() -> None:
    found = plan(PaceRules(), 100_000, Rounds(places=1300, judges=0))
    # F n / 1.5 P = 60 x 100,000 / 1,950 s; 16 heartbeats; 3 requests of 1,300 places in 144 rounds a day
    by_hand = 86_400 / (60 * 100_000 / 1950) + 16 + 144 * 3 * 1300 / 100_000
    assert found.in_training.per_day_of_each(100_000) == pytest.approx(by_hand)


def test_between_rounds_that_open_once_a_day_nobody_asks() -> None:
    always, daily = (
        plan(PaceRules(), 1000, Rounds(places=65, every_seconds=every)).in_training.per_second for every in (0.0, 86_400.0)
    )
    assert daily < always / 5


@given(
    clients=st.integers(0, 10**9), places=st.integers(1, 10**5), report=st.floats(1.0, 43_200.0), every=st.floats(0.0, 2e6),
    budget=st.none() | st.integers(1, 10**15),
)  # fmt: skip
def test_a_plan_is_finite_for_every_fleet(clients: int, places: int, report: float, every: float, budget: int | None) -> None:
    rounds = Rounds(places=places, report_seconds=report, every_seconds=every)
    found = plan(PaceRules(budget=budget), clients, rounds)
    for rate in (found.resting, found.in_training):
        assert 0.0 <= rate.per_second < float("inf")
        assert 0.0 <= rate.dollars_per_month < float("inf")
    assert found.resting.per_second <= found.in_training.per_second * (1 + 1e-9) or budget is not None
