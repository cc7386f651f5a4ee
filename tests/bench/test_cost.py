"""The arithmetic of bills, by hand, and that what a run counts grows as it should."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest

from bench.cost import assumptions, scenarios
from bench.cost.run import Run, play, resources_of
from bench.cost.units import billed_seconds, item_bytes, read_units, sqs_requests, write_units
from chalicelib.clients.tally import Tally
from chalicelib.monitoring.record import of_fleet
from muster.pricing import standing
from muster.pricing.guesses import UPDATE_DAYS
from muster.pricing.prices import PRICES
from muster.pricing.profile import of_round
from muster.pricing.usage import DAYS, added, bill, dollars, times, usage
from tests.rounds.making import T0

# ---- units, by hand


def test_an_item_is_as_long_as_its_names_and_values() -> None:
    assert item_bytes({"pk": {"S": "abc"}}) == 2 + 3
    assert item_bytes({"é": {"S": "€"}}) == 2 + 3, "in UTF-8"
    assert item_bytes({"n": {"N": "0"}}) == 1 + 1
    assert item_bytes({"n": {"N": "-1234.5"}}) == 1 + 3 + 1 + 1, "five digits in three bytes, one more, and the sign"
    assert item_bytes({"n": {"N": "1200000"}}) == 1 + 1 + 1, "zeros at the end are no digits"
    assert item_bytes({"b": {"BOOL": True}, "s": {"SS": ["ab", "c"]}}) == (1 + 1) + (1 + 3)
    assert item_bytes({"m": {"M": {"x": {"S": "y"}}}}) == 1 + 3 + 1 + 1 + 1
    assert item_bytes({"l": {"L": [{"S": "y"}, {"NULL": True}]}}) == 1 + 3 + (1 + 1) + (1 + 1)


@pytest.mark.parametrize(("before", "after", "units"), [(0, 0, 1), (0, 1024, 1), (0, 1025, 2), (3000, 10, 3), (10, 3000, 3)])
def test_a_write_takes_a_unit_for_each_begun_kilobyte_of_the_longer_item(before: int, after: int, units: int) -> None:
    assert write_units(before, after) == units
    assert write_units(before, after, transactional=True) == 2 * units


@pytest.mark.parametrize(("sizes", "units"), [([], 1), ([4096], 1), ([4097], 2), ([3000, 3000], 2), ([100] * 40, 1)])
def test_a_read_takes_a_unit_for_each_begun_four_kilobytes_together_and_half_if_it_may_be_stale(
    sizes: list[int], units: int
) -> None:
    assert read_units(sizes, consistent=True) == units
    assert read_units(sizes, consistent=False) == units / 2


def test_a_message_is_a_request_for_each_begun_64_kilobytes() -> None:
    assert [sqs_requests(n) for n in (0, 65536, 65537, 262144)] == [1, 1, 2, 4]


def test_part_of_a_core_takes_longer_and_waiting_takes_as_long_as_it_takes() -> None:
    assert billed_seconds(0.1, 0.05, 1769) == 0.15
    assert billed_seconds(0.1, 0.05, 3538) == 0.15, "one thread has nothing of a second core"
    assert billed_seconds(0.1, 0.05, 512) == math.ceil(1000 * (0.1 * 1769 / 512 + 0.05)) / 1000
    assert billed_seconds(0.0001, 0.0, 1769) == 0.001


def test_a_bill_multiplies_and_adds_by_service() -> None:
    used = added(usage(dynamodb_write_units=2e6, dynamodb_read_units=8e6), times(usage(egress_gb=2), 5))
    assert bill(used) == pytest.approx({"DynamoDB": 2 * 0.625 + 8 * 0.125, "Egress": 0.9})
    assert list(bill(added(usage(sqs_requests=1), usage(egress_gb=1)))) == ["Egress", "SQS"], "dearest first"


def test_what_has_no_price_is_an_error() -> None:
    with pytest.raises(KeyError, match="free_lunches"):
        usage(free_lunches=1)


def test_every_price_names_the_page_that_it_is_from() -> None:
    assert all(price.source.startswith("https://aws.amazon.com/") and price.dollars > 0 for price in PRICES.values())


# ---- what runs count


@pytest.fixture(scope="module")
def runs() -> tuple[Run, Run, Run]:
    """Few clients, three times as many, and the few with longer updates."""
    return play(4, 1_000, metering=False), play(12, 1_000, metering=False), play(4, 100_000, metering=False)


pytestmark = pytest.mark.xdist_group("cost")


def test_what_each_client_asks_for_grows_with_the_clients_and_the_rest_does_not(runs: tuple[Run, Run, Run]) -> None:
    few, many, _ = runs
    for call in ("api dynamodb:PutItem", "api s3:HeadObject", "api sqs:SendMessage", "inspection_worker s3:GetObject"):
        assert many.counts["round"][call] - few.counts["round"][call] in (8, 8 + 8), call  # and up to fifteen judges
    for call in ("aggregation_worker s3:PutObject", "tick s3:DeleteObjects", "aggregation_worker dynamodb:TransactWriteItems"):
        assert many.counts["round"][call] == few.counts["round"][call], call
    assert (few.device_put_bytes, many.device_put_bytes) == (4 * few.update_bytes, 12 * few.update_bytes)
    assert (few.device_get_bytes, many.device_get_bytes) == ((4 + 4) * few.update_bytes, (12 + 12) * few.update_bytes)


def test_functions_count_of_themselves_what_is_counted_around_them() -> None:
    run = play(12, 10_000)
    around = added(*run.used.values())
    assert run.counted.pop("metric_months") == pytest.approx(run.metrics / 730, rel=0.5), "of each in an hour, or in two"
    assert run.counted.pop("s3_gb_months") == pytest.approx(12 * run.update_bytes * UPDATE_DAYS / DAYS / 1e9)
    for unit in around.keys() | run.counted.keys():
        tolerance = 0.05 if unit == "lambda_gb_seconds" else 1e-9  # time is measured; everything else is counted
        assert run.counted[unit] == pytest.approx(around[unit], rel=tolerance), unit
    assert dollars(run.counted) == pytest.approx(dollars(around), rel=0.01)


def test_a_planned_round_costs_what_it_costs_when_it_is_run(runs: tuple[Run, Run, Run]) -> None:
    for run in runs:
        planned = of_round(participants=run.clients, judges=run.clients, model_bytes=run.update_bytes)
        measured = added(run.used["round"], usage(s3_gb_months=run.clients * run.update_bytes * UPDATE_DAYS / DAYS / 1e9))
        assert dollars(planned) == pytest.approx(dollars(measured), rel=0.08)


def test_the_template_has_as_many_alarms_as_are_reckoned_with() -> None:
    assert len(resources_of("AWS::CloudWatch::Alarm")) == standing.ALARMS


def test_to_count_costs_a_twentieth_at_most() -> None:
    without, counting = (dollars(added(*play(12, 10_000, metering=on).used.values())) for on in (False, True))
    assert without < counting < 1.05 * without


def test_a_client_costs_no_more_requests_than_the_budget_says(runs: tuple[Run, Run, Run]) -> None:
    used = runs[1].used
    assert used["heartbeats"]["dynamodb_write_units"] == 12
    assert used["waiting"]["api_requests"] == 11
    assert used["waiting"]["dynamodb_write_units"] == 11, "a check-in is the write that authenticates it"
    assert used["tick"]["dynamodb_write_units"] == 12, "without anything to do a tick writes in five minutes once that it runs"


def test_longer_updates_are_the_same_calls_and_more_bytes(runs: tuple[Run, Run, Run]) -> None:
    small, _, large = runs
    assert small.counts["round"] == large.counts["round"]
    assert large.device_put_bytes / small.device_put_bytes == large.update_bytes / small.update_bytes


def test_a_round_that_is_derived_is_the_round_that_is_run(runs: tuple[Run, Run, Run]) -> None:
    small, _, large = runs
    derived = scenarios.at_size(small, large.update_bytes, scenarios.cpu_per_byte(small, large))
    measured = scenarios.as_run(large)
    assert derived.parts == 0
    for name in measured.used:
        # time is measured; a longer file has a longer length, which replies name; everything else is counted
        tolerance = {"lambda_gb_seconds": 0.15, "egress_gb": 1e-4}.get(name, 1e-9)
        assert derived.used[name] == pytest.approx(measured.used[name], rel=tolerance), name


def test_a_smaller_download_takes_off_egress_and_nothing_else(runs: tuple[Run, Run, Run]) -> None:
    *_, large = runs
    whole, tenth = scenarios.as_run(large), scenarios.as_run(large, downloads=0.1)
    saved = {name: whole.used[name] - tenth.used[name] for name in whole.used if whole.used[name] != tenth.used[name]}
    assert saved == {"egress_gb": pytest.approx(0.9 * large.device_get_bytes / 1e9)}


def test_the_parts_of_a_large_round_are_those_of_the_plan(runs: tuple[Run, Run, Run]) -> None:
    assert [len(stage.parts) for stage in scenarios.real_plan(1000, 1_400_000).stages] == [1]
    tiles = [len(stage.parts) for stage in scenarios.real_plan(1000, 45_000_000).stages]
    assert tiles == [math.ceil(1000 / ((16 << 30) // 45_000_000)), 1]
    thousand = replace(runs[0], clients=1000)
    assert scenarios.at_size(thousand, 1_000_000, {}).parts == 0, "a look sums a gigabyte on the spot"
    assert scenarios.at_size(thousand, 1_400_000, {}).parts == 1, "a worker does more"


def test_an_idle_month_is_not_free_and_says_why(runs: tuple[Run, Run, Run]) -> None:
    month = scenarios.idle_month(runs[0])
    assert standing.polls() == 5 * 2 * 730 * 180, "an empty receive every 20 s, by five pollers, of two queues"
    assert month["ticks"]["lambda_requests"] == 730 * 60
    assert (month["alarms"]["alarm_months"], month["the key that signs deployments"]["kms_key_months"]) == (10, 1)
    assert all(used["traces"] == 0 for used in month.values())
    assert month["monitor and census"]["metric_requests"] == 0, "nothing is news"
    free = [name for name, used in month.items() if not sum(bill(used).values())]
    assert free == ["keys of the tables"], "they are AWS's own"
    assert 2 < sum(bill(added(*month.values())).values()) <= 3


def test_a_fleet_has_as_many_metrics_as_are_billed() -> None:
    fleet = of_fleet("toy", Tally(shard=0, counted_at=T0), T0, None, 0, timedelta(0))
    assert len(fleet.sent) == assumptions.FLEET_METRICS
