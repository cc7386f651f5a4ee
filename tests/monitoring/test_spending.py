"""What functions count while they run, and how it comes into rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib import metering
from chalicelib.metering import NOBODY, Metered, measuring
from chalicelib.spending import LARGEST, OF_MODELS, OF_THE_STACK, OFTENEST, Ledger, Spending, SpendingStore
from chalicelib.storage.rows import Unreadable, from_item
from muster.layout import Key
from muster.pricing.prices import PRICES
from muster.pricing.usage import added, dollars, usage
from tests.fleet import World

EVER = (date(2025, 1, 1), date(2030, 1, 1))
UNITS = st.sampled_from(["api_requests", "dynamodb_read_units", "dynamodb_write_units", "s3_put_requests"])
WHOM = st.sampled_from([NOBODY, ("toy", None), ("toy", 1), ("toy", 2), ("other", 1)])


class KeptStore(SpendingStore):
    """Rows in a dictionary; writing fails when it is told to."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], dict[str, float]] = {}
        self.writes = 0
        self.fails = False

    def add(self, key: Key, amounts: Mapping[str, float], ttl: int) -> None:
        if self.fails:
            raise ConnectionError("no way there")
        self.writes += 1
        row = self.rows.setdefault((key["pk"], key["sk"]), {})
        for name, amount in amounts.items():
            row[name] = row.get(name, 0.0) + amount


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 29, 10, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def used(who: metering.Charged, **amounts: float) -> Metered:
    """An invocation that used something for somebody."""
    metered = Metered()
    metered.now = who
    metered.charged |= {who} - {NOBODY}
    metered.count(usage(**amounts))
    return metered


# ---- what an invocation counts


@given(st.lists(st.tuples(WHOM, UNITS, st.integers(0, 1000))), st.sets(WHOM))
def test_shares_add_up_to_all_that_was_counted(
    counts: list[tuple[metering.Charged, str, int]], charged: set[metering.Charged]
) -> None:
    metered = Metered(charged=charged - {NOBODY})
    for who, unit, amount in counts:
        metered.now = who
        metered.count({unit: amount})
    whole = added(*metered.counted.values())
    assert added(*metered.shares.values()) == pytest.approx(whole)
    counted = {who for who, _, _ in counts} - {NOBODY}
    assert metered.shares.keys() == ((charged - {NOBODY}) or {NOBODY}) | counted


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(["dynamodb", "s3", "sqs", "sns", "kms", "cloudwatch", "sts"]), st.dictionaries(
    st.sampled_from(["ConsumedCapacity", "CancellationReasons", "ResponseMetadata", "Error"]), ANYTHING))  # fmt: skip
def test_no_answer_however_broken_breaks_the_counting(service: str, parsed: dict[str, Any]) -> None:
    counted = metering.amounts(service, "GetItem", parsed)
    assert counted.keys() <= PRICES.keys()
    assert all(0 <= amount <= 1e6 for amount in counted.values())


def test_an_invocation_that_fails_is_billed_too() -> None:
    kept: list[Metered] = []
    ticks = iter([1.0, 1.2501])

    def fail() -> None:
        with measuring("sqs", memory_mb=2048, stopwatch=lambda: next(ticks), traces=lambda: 1.0, ended=kept.append):
            metering.charge("toy", 3)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    (metered,) = kept
    assert metered.shares.keys() == {("toy", 3)}
    assert metered.shares[("toy", 3)]["lambda_gb_seconds"] == pytest.approx(2 * 0.251), "by the millisecond, rounded up"
    assert metered.shares[("toy", 3)]["sqs_requests"] == 2


def test_outside_of_an_invocation_nothing_is_counted() -> None:
    metering.charge("toy")
    metering.note(usage(api_requests=1))
    assert not metering._running


# ---- how it comes into rows


@settings(max_examples=50)
@given(st.lists(st.tuples(WHOM, UNITS, st.integers(1, 10_000), st.integers(0, 4000), st.booleans())))
def test_what_was_counted_is_written_once_whatever_fails_and_in_whatever_time(
    counts: list[tuple[metering.Charged, str, int, int, bool]],
) -> None:
    store, clock = KeptStore(), Hands()
    ledger = Ledger(lambda: store, clock)
    for who, unit, amount, seconds, fails in counts:
        store.fails = fails
        ledger.keep(used(who, **{unit: amount}))
        clock.now += timedelta(seconds=seconds)
        ledger.write_due()
    store.fails = False
    ledger.write_all()
    days = [row for (_, sk), row in store.rows.items() if sk.startswith("spending#")]
    rounds = [row for (_, sk), row in store.rows.items() if sk.startswith("round#")]
    assert added(*days) == pytest.approx(added(*({unit: amount} for _, unit, amount, _, _ in counts)))
    of_rounds = ({unit: amount} for who, unit, amount, _, _ in counts if who[1] is not None)
    assert added(*rounds) == pytest.approx(added(*of_rounds))
    written = store.writes
    ledger.write_all()
    assert store.writes == written, "nothing is left to be written"


def test_a_write_waits_until_it_is_worth_it_and_never_for_ever() -> None:
    store, clock = KeptStore(), Hands()
    ledger = Ledger(lambda: store, clock)
    little = OF_MODELS.worth / 4 / dollars(usage(api_requests=1))
    ledger.keep(used(("toy", None), api_requests=little))
    clock.now += OF_MODELS.longest - timedelta(seconds=1)
    ledger.write_due()
    assert store.writes == 0
    clock.now += timedelta(seconds=1)
    ledger.write_due()
    assert store.writes == 1
    ledger.keep(used(("toy", None), api_requests=4 * little))
    ledger.write_due()
    assert store.writes == 1, "a thousand instances would meet at this row"
    clock.now += OFTENEST
    ledger.write_due()
    assert store.writes == 2
    ledger.keep(used(NOBODY, api_requests=4 * little))
    clock.now += OF_MODELS.longest
    ledger.write_due()
    assert store.writes == 2, "what is for no model waits for longer"
    clock.now += OF_THE_STACK.longest
    ledger.write_due()
    assert store.writes == 3


def test_one_request_waits_for_few_writes_and_the_others_write_the_rest() -> None:
    store, clock = KeptStore(), Hands()
    ledger = Ledger(lambda: store, clock)
    for number in range(20):
        ledger.keep(used((f"model-{number:02d}", None), api_requests=1000))
        clock.now += OFTENEST
    written = []
    for _ in range(6):
        before = store.writes
        ledger.write_due()
        written.append(store.writes - before)
    assert written == [4, 4, 4, 4, 4, 0]
    assert sum(row["api_requests"] for row in store.rows.values()) == 20_000


def test_midnight_divides_what_was_used() -> None:
    store, clock = KeptStore(), Hands()
    ledger = Ledger(lambda: store, clock)
    clock.now = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
    ledger.keep(used(("toy", None), api_requests=3))
    clock.now += timedelta(seconds=1)
    ledger.keep(used(("toy", None), api_requests=5))
    ledger.write_all()
    by_day = {sk: row["api_requests"] for (pk, sk), row in store.rows.items() if pk == "days#toy"}
    assert by_day == {"spending#2026-11-30": 3, "spending#2026-12-01": 5}


def test_a_repeated_write_adds_nothing(world: World) -> None:
    store = world.services.spending
    key = {"pk": "days#toy", "sk": "spending#2026-11-29"}
    world.calls.between = lambda operation, proceed: (proceed(), proceed())[1]
    store.add(key, {"api_requests": 2, "egress_gb": 1e-9}, 10**10)
    world.calls.between = None
    store.add(key, {"api_requests": 2, "egress_gb": 1e-9}, 10**10)
    (spent,) = store.days("toy", *EVER).values()
    assert (spent.api_requests, spent.egress_gb) == (4, 2e-9)


# ---- in the cloud


def a_round(world: World) -> None:
    """A round of three devices, with their heartbeats."""
    world.model(goal=3, quorum=1)
    world.tick()
    devices = world.devices(3)
    for device in devices:
        device.heartbeat_if_due()
        world.update(device)
    world.deliver()
    world.play(devices)


@pytest.fixture
def counting() -> Any:
    world = World(metering=True)
    yield world
    world.close()


def test_a_rounds_work_is_the_rounds_a_models_the_models_and_the_rest_the_stacks(counting: World) -> None:
    a_round(counting)
    counting.monitor()
    counting.services.ledger.write_all()
    store = counting.services.spending
    (of_model,), (of_stack,) = store.days("toy", *EVER).values(), store.days(None, *EVER).values()
    of_round = store.rounds("toy")[1]
    assert 0 < of_round.api_requests < of_model.api_requests, "there are devices that only say that they live"
    assert of_round.s3_put_requests > 0
    assert of_round.egress_gb > 0
    assert of_stack.lambda_requests > 0
    assert of_stack.api_answered == of_stack.api_requests + of_model.api_requests
    assert of_stack.api_failed == 0


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/models/tox", None),
        ("POST", "/v1/models/tox/checkin", {}),
        ("POST", "/v1/heartbeat", {"model": "tox"}),
        ("GET", "/v1/rounds/tox.1/report", None),
        ("GET", "/v1/admin/models/tox", None),
    ],
)
def test_a_name_that_is_no_models_gets_no_row(counting: World, method: str, path: str, body: dict[str, str] | None) -> None:
    counting.model()
    (device,) = counting.devices(1)
    answer = counting.request(method, path, key=counting.key_of(device), body=body)
    assert answer.status_code == 404
    counting.services.ledger.write_all()
    assert counting.services.spending.days("tox", *EVER) == {}
    assert counting.services.spending.rounds("tox") == {}
    assert counting.services.spending.days(None, *EVER)


def test_a_list_that_is_asked_for_a_model_that_there_is_not_gets_it_no_row(counting: World) -> None:
    assert list(counting.operator.clients(model="tox")) == []
    counting.services.ledger.write_all()
    assert counting.services.spending.days("tox", *EVER) == {}


@given(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from(["api_requests", "egress_gb", "metric_months"]))
def test_a_row_that_no_function_can_have_written_is_not_believed(amount: float, name: str) -> None:
    item = {"pk": "days#toy", "sk": "spending#2026-11-29", name: amount}
    if 0 <= amount <= LARGEST:
        assert getattr(from_item(Spending, item), name) == amount
    else:
        with pytest.raises(Unreadable):
            from_item(Spending, item)


def test_an_answer_of_five_hundred_is_counted_as_failed(counting: World) -> None:
    counting.model()

    def down(operation: str, proceed: Any) -> Any:
        raise ConnectionError("no way to DynamoDB")

    counting.calls.between = down
    assert counting.request("GET", "/v1/admin/models/toy").status_code >= 500
    counting.calls.between = None
    counting.services.ledger.write_all()
    (of_stack,) = counting.services.spending.days(None, *EVER).values()
    assert of_stack.api_failed == 1


def test_who_counts_nothing_writes_nothing(world: World) -> None:
    a_round(world)
    world.services.ledger.write_all()
    assert world.services.spending.days("toy", *EVER) == {}
    assert world.services.spending.days(None, *EVER) == {}


def test_that_it_cannot_be_written_down_fails_no_request_and_it_is_kept(counting: World) -> None:
    counting.model()

    def refuse(operation: str, proceed: Any) -> Any:
        if operation == "UpdateItem" and counting.calls.function == "api":
            raise ConnectionError("no way to DynamoDB")
        return proceed()

    counting.calls.between = refuse
    counting.clock.advance(OF_THE_STACK.longest.total_seconds())
    assert counting.request("GET", "/v1/health").status_code == 200
    counting.calls.between = None
    counting.clock.advance(OF_THE_STACK.longest.total_seconds())
    assert counting.request("GET", "/v1/health").status_code == 200
    assert sum(spent.api_requests for spent in counting.services.spending.days(None, *EVER).values()) >= 1
