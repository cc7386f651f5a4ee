"""A model's monthly budget: before a round could exceed it, training pauses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.rounds.budget import MARGIN, next_month, over
from chalicelib.spending import Spending
from muster.device import Device
from muster.pricing.usage import dollars, usage
from muster.wire.admin import Waits
from tests.fleet import World

NOW = datetime(2026, 12, 30, 15, tzinfo=UTC)
REQUEST = dollars(usage(api_requests=1))
AMOUNTS = st.lists(st.integers(0, 10**7), max_size=8)


def spent(requests: float) -> Spending:
    return Spending(api_requests=requests)


@given(AMOUNTS, AMOUNTS, st.floats(0.001, 1e3))
def test_a_round_opens_only_if_one_as_dear_as_the_last_ones_would_stay_within_the_budget(
    days: list[int], rounds: list[int], budget: float
) -> None:
    found = over(budget, map(spent, days), map(spent, rounds), NOW)
    so_far, dearest = sum(days) * REQUEST, max(rounds, default=0) * REQUEST
    if found is None:
        assert so_far + dearest <= budget + 1e-9
    else:
        assert so_far + MARGIN * dearest >= budget - 1e-9
        assert found.spent == pytest.approx(so_far)
        assert found.needed == pytest.approx(MARGIN * dearest)


def test_the_first_round_of_all_opens_as_long_as_anything_is_left() -> None:
    assert over(1.0, [spent(0.99 / REQUEST)], [], NOW) is None
    found = over(1.0, [spent(1.01 / REQUEST)], [], NOW)
    assert found
    assert (found.since, found.until, found.budget, found.needed) == (NOW, datetime(2027, 1, 1, tzinfo=UTC), 1.0, 0.0)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 (naive is asked for)
def test_the_next_month_begins_within_31_days_and_not_in_this_one(now: datetime) -> None:
    then = next_month(now)
    assert timedelta(0) < then - now <= timedelta(days=31)
    assert (then.day, then.hour, then.microsecond) == (1, 0, 0)
    assert then.month != now.month


# ---- in the cloud


@pytest.fixture
def counting() -> Iterator[World]:
    world = World(metering=True)
    yield world
    world.close()


def a_round(world: World, devices: list[Device]) -> None:
    """A round, with what it used written down."""
    world.tick()
    for device in devices:
        world.update(device)
    world.deliver()
    world.play(devices)
    world.services.ledger.write_all()


def configured(world: World, budget: float | None) -> None:
    found = world.operator.status("toy")
    config = found.config.model_copy(update={"monthly_budget": budget})
    world.operator.configure("toy", config, revision=found.config_revision, because="money")


def opened(world: World) -> int:
    """The number of the last round, an hour later."""
    world.clock.advance(3600)
    world.tick()
    last = world.services.rounds.latest("toy")
    return last.number if last else 0


def test_training_pauses_before_the_budget_is_exceeded_and_goes_on_with_a_larger_one_or_in_the_next_month(
    counting: World,
) -> None:
    counting.model(goal=2, quorum=1, rounds=10, every_seconds=1800.0)
    devices = counting.devices(2)
    a_round(counting, devices)
    one = dollars(counting.services.spending.rounds("toy")[1].used)
    of_days = counting.services.spending.days("toy", date.min, date.max)
    so_far = sum(dollars(day.used) for day in of_days.values())
    configured(counting, so_far + 1.05 * one)
    before = counting.services.rounds.latest("toy")
    assert before
    assert opened(counting) == opened(counting) == before.number

    why = counting.operator.why("toy")
    assert why.waits_for is Waits.BUDGET
    assert why.until == datetime(2026, 2, 1, tzinfo=UTC)
    answer = devices[0].check_in()
    assert answer.kind == "wait"
    assert answer.reason == "no-training", "devices come as seldom as to a model that does not train"

    configured(counting, so_far + 4 * one)
    number = before.number
    while (fresh := opened(counting)) > number:
        number = fresh
        a_round(counting, devices)
    assert number > before.number
    month = counting.services.spending.days("toy", date.min, date.max)
    assert sum(dollars(day.used) for day in month.values()) <= so_far + 4 * one
    held = counting.services.registry.model("toy")
    assert held
    assert held.over_budget

    counting.clock.now = held.over_budget.until - timedelta(seconds=3601)
    assert opened(counting) == number
    assert opened(counting) == number + 1, "it is another month"
    released = counting.services.registry.model("toy")
    assert released
    assert released.over_budget is None
    assert counting.operator.why("toy").waits_for is not Waits.BUDGET


def test_while_training_is_held_back_a_tick_asks_nobody_what_was_spent(counting: World) -> None:
    counting.model(goal=2, quorum=1, rounds=10, monthly_budget=1e-6)
    counting.tick()
    counting.services.ledger.write_all()
    (device,) = counting.devices(1)
    device.heartbeat_if_due()
    counting.services.ledger.write_all()
    a_tick = []
    for _ in range(2):
        counting.clock.advance(60)
        with counting.calls.count() as calls:
            counting.tick()
        a_tick.append(len(calls))
    assert a_tick[1] <= a_tick[0]


def test_what_was_found_of_an_older_configuration_is_not_noted(world: World) -> None:
    world.model()
    stale = world.services.registry.model("toy")
    assert stale
    configured(world, 5.0)
    found = over(1.0, [spent(1e9)], [], NOW)
    assert not world.services.registry.note_budget(stale, found)
    fresh = world.services.registry.model("toy")
    assert fresh
    assert fresh.over_budget is None
    assert world.services.registry.note_budget(fresh, found)
    assert world.services.registry.note_budget(fresh, found), "a repeat is the same"


def test_without_a_budget_nobody_asks_what_was_spent(counting: World) -> None:
    counting.model(goal=2, quorum=1)
    with counting.calls.count() as calls:
        counting.services.coordinator._budgets.allows_a_round(counting.services.registry.model("toy"))  # type: ignore[arg-type]
    assert calls == ["GetItem"]


def test_a_pause_is_an_alert_that_ends_with_it(counting: World) -> None:
    counting.model(goal=2, quorum=1, rounds=10, monthly_budget=1e-7)
    device, _ = counting.devices(2)
    device.heartbeat_if_due()
    counting.services.ledger.write_all()
    assert opened(counting) == 0
    counting.monitor()
    (alert,) = [one for one in counting.operator.alerts("toy") if one.metric == "over_budget"]
    assert (alert.state, alert.severity) == ("open", "warning")
    configured(counting, 100.0)
    assert opened(counting) == 1
    counting.clock.advance(300)
    counting.monitor()
    (alert,) = [one for one in counting.operator.alerts("toy") if one.metric == "over_budget"]
    assert alert.state == "cleared"


def test_a_model_without_a_budget_has_no_such_metric(counting: World) -> None:
    counting.model()
    counting.tick()
    counting.devices(1)
    counting.monitor()
    assert "over_budget" not in counting.operator.status("toy").metrics
    assert "over_budget" not in {one.metric for one in counting.operator.thresholds("toy")}


def test_a_round_says_what_it_has_used(counting: World) -> None:
    counting.model(goal=2, quorum=1)
    a_round(counting, counting.devices(2))
    spent = counting.operator.round("toy", 1).spent
    assert spent
    assert spent.dollars > 0
    assert spent.amounts["api_requests"] > 0
    assert next(iter(counting.operator.rounds("toy"))).spent is None
