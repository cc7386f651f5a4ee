"""What is spent, as operators are told it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.monitoring.months import Month
from muster.http.errors import Refused
from muster.pacing.costing import Size, plan
from muster.pacing.intervals import PaceRules
from muster.pricing.usage import dollars, usage
from muster.wire.problems import Problem
from tests.fleet import World
from tests.operator.terminal import Terminal

NOVEMBER = Month(date(2026, 11, 1))
DAYS = st.dictionaries(st.dates(date(2026, 11, 1), date(2026, 11, 30)), st.floats(0.0, 1e6))


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=UTC)


# ---- how a month ends


@pytest.mark.parametrize(
    ("spent", "now", "expected"),
    [
        ({}, at(10), 0.0),
        ({1: 1.0}, at(1, 12), 1.0 + 2.0 * 29.5),  # a dollar in half a day
        (dict.fromkeys(range(1, 11), 1.0), at(11), 30.0),
        (dict.fromkeys(range(1, 11), 1.0) | {11: 0.5}, at(11, 12), 30.0),
        ({1: 100.0, **dict.fromkeys(range(2, 16), 1.0)}, at(16), 114.0 + 15.0),  # what was a week ago is over
        (dict.fromkeys(range(1, 31), 1.0), datetime(2026, 12, 24, tzinfo=UTC), 30.0),  # a past month is what it was
    ],
)
def test_a_month_goes_on_as_its_last_week_went(spent: dict[int, float], now: datetime, expected: float) -> None:
    by_day = {date(2026, 11, day): amount for day, amount in spent.items()}
    assert NOVEMBER.forecast(by_day, now) == pytest.approx(expected)


@given(DAYS, st.datetimes(datetime(2026, 11, 1), datetime(2027, 3, 1), timezones=st.just(UTC)))  # noqa: DTZ001 (naive is asked for)
def test_a_month_never_comes_to_less_than_was_spent_and_in_the_end_to_that(by_day: dict[date, float], now: datetime) -> None:
    seen = {day: amount for day, amount in by_day.items() if day <= now.date()}
    spent, forecast = sum(seen.values()), NOVEMBER.forecast(seen, now)
    assert forecast >= spent
    if NOVEMBER.passed(now) == 1.0:
        assert forecast == spent


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)))
def test_a_day_lies_in_its_month(day: date) -> None:
    month = Month.of(day)
    assert month.first <= day <= month.last < month.next
    assert Month.parse(str(month)) == month


# ---- in the cloud


@pytest.fixture
def spent() -> Iterator[World]:
    """A model has had a round, and what it used is written down; another one has had none."""
    world = World(metering=True)
    world.model(goal=2, quorum=1, monthly_budget=5.0)
    world.model("other", rounds=0)
    world.tick()
    devices = world.devices(2)
    for device in devices:
        world.update(device)
    world.deliver()
    world.play(devices)
    world.services.ledger.write_all()
    yield world
    world.close()


def test_a_month_is_told_by_model_and_service_and_adds_up(spent: World) -> None:
    found = spent.operator.cost()
    assert found.month == "2026-01"
    by_model = {one.model: one for one in found.models}
    assert by_model.keys() == {None, "toy", "other"}
    toy = by_model["toy"]
    assert sum(toy.spent.by_service.values()) == pytest.approx(toy.spent.dollars)
    assert toy.spent.dollars == pytest.approx(dollars(toy.spent.amounts))
    assert toy.forecast > toy.spent.dollars > by_model["other"].spent.dollars
    assert toy.budget == 5.0
    assert not toy.over_budget
    passed = Month(date(2026, 1, 1)).passed(spent.clock())
    there = sum(found.there.values())
    assert found.dollars == pytest.approx(sum(one.spent.dollars for one in found.models) + there * passed)
    assert found.forecast == pytest.approx(sum(one.forecast for one in found.models) + there)


def test_a_models_month_is_told_by_day_and_round(spent: World) -> None:
    found = spent.operator.model_cost("toy")
    assert sum(day.dollars for day in found.days) == pytest.approx(found.total.spent.dollars)
    (one,) = found.rounds
    assert one.round == 1
    assert 0 < one.spent.dollars < found.total.spent.dollars
    assert one.spent.amounts["s3_put_requests"] > 0


def test_another_month_has_what_was_used_in_it(spent: World) -> None:
    spent.clock.now += timedelta(days=40)
    assert spent.operator.model_cost("toy").days == []
    past = spent.operator.cost("2026-01")
    assert past.is_whole
    assert past.forecast == pytest.approx(past.dollars)
    assert spent.operator.model_cost("toy", "2026-01").days != []


@pytest.mark.parametrize("month", ["2026-13", "26-01", "2026-1", "2026-01-01", "0000-00", "2026-01\n", "٢٠٢٦-٠١"])
def test_what_is_no_month_is_refused(spent: World, month: str) -> None:
    with pytest.raises(ValueError, match="month"):
        spent.operator.cost(month)
    answer = spent.request("GET", f"/v1/admin/cost?month={month.strip()}x")
    assert answer.status_code == 422 or answer.json()["type"] == Problem.INVALID_QUERY.urn


def test_a_model_that_is_none_is_refused(spent: World) -> None:
    with pytest.raises(Refused) as refused:
        spent.operator.model_cost("tox")
    assert refused.value.problem is Problem.UNKNOWN_MODEL


def test_costs_are_shown_in_the_terminal(spent: World) -> None:
    terminal = Terminal(spent)
    shown = terminal.text("cost")
    for words in ("2026-01", "toy", "(no model)", "DynamoDB", "alarms", "as functions counted it", "$5.00"):
        assert words in shown, words
    assert terminal.json("cost show")["models"][0]["spent"]["dollars"] > 0
    of_model = terminal.text("cost model toy")
    for words in ("2026-01-01", "GB-seconds", "API Gateway"):
        assert words in of_model, words
    assert "toy" in terminal.fails("cost model tox", 1), "a name that is near"


# ---- plans


def test_a_plan_asks_no_server_and_grows_with_what_is_planned(world: World) -> None:
    muster, size = Terminal(world), "--megabytes 1.4 --goal 50"
    small, large = (muster.json(f"cost plan --clients {fleet} {size}")["dollars_per_month"] for fleet in (100, 10_000))
    assert 0 < small < large
    shown = muster.text("cost plan --clients 100 --megabytes 1.4")
    for words in ("rounds at", "devices that live and wait", "alarms", "census"):
        assert words in shown, words
    assert "30 clients" in muster.fails("cost plan --clients 30 --megabytes 1.4 --goal 50", 2)


@given(
    st.integers(1, 10**9), st.floats(1e3, 1e11), st.floats(1.0, 1e5), st.floats(0.0, 1e4), st.floats(1.0, 43_200.0),
    st.floats(0.0, 1e6),
)  # fmt: skip
def test_every_plan_is_a_positive_number_of_dollars(
    clients: int, model_bytes: float, places: float, judges: float, report_seconds: float, every_seconds: float
) -> None:
    size = Size(
        clients=clients, model_bytes=model_bytes, places=places, updates=places, judges=judges,
        report_seconds=report_seconds, every_seconds=every_seconds,
    )  # fmt: skip
    found = plan(size, PaceRules())
    assert found.dollars > 0
    assert all(amount >= 0 for amount in found.by_cause.values())


def test_a_metric_is_billed_once_an_hour(spent: World) -> None:
    def billed() -> float:
        spent.services.ledger.write_all()
        days = spent.services.spending.days("toy", date.min, date.max).values()
        return sum(day.metric_months for day in days)

    spent.monitor()
    first = billed()
    assert first > 0
    spent.clock.advance(60)
    spent.monitor()
    assert billed() == first, "of the same hour"
    assert dollars(usage(metric_months=first)) < 0.3


def test_a_months_costs_are_one_request_for_each_model_and_three_more(world: World) -> None:
    for name in ("first", "second", "third"):
        world.model(name)
    world.operator.cost()
    with world.calls.count() as calls:
        assert len(world.operator.cost().models) == 4
    assert sorted(calls) == ["BatchGetItem", *["Query"] * 5]
