"""The counts of `make bench-fleet`, at sizes at which they take no time."""

from __future__ import annotations

import pytest

from bench.fleet import calls, looks, pages, places
from bench.fleet.calls import CallCost
from bench.fleet.places import Admissions, most

pytestmark = pytest.mark.xdist_group("cost")

SHARD, PART, OTHER = ("clients", "clients#00", "one"), ("rounds", "round#toy.1", "one"), ("rounds", "round#toy.1", "other")


@pytest.fixture(scope="module")
def costs() -> dict[int, dict[str, CallCost]]:
    return {size: calls.costs(size) for size in (50, 200)}


@pytest.fixture(scope="module")
def admitted() -> Admissions:
    return places.admissions(goal=200, sample=30)


def test_a_call_costs_the_same_however_many_clients_are_stored(costs: dict[int, dict[str, CallCost]]) -> None:
    assert calls.unlike(costs[50], costs[200]) == []


def test_a_difference_is_found() -> None:
    one = CallCost(requests=1, read_units=1.0, write_units=0.0, row_bytes=1000, reply_bytes=100)
    dearer = CallCost(requests=1, read_units=2.0, write_units=0.0, row_bytes=1000, reply_bytes=100)
    longer = CallCost(requests=1, read_units=1.0, write_units=0.0, row_bytes=1021, reply_bytes=100)
    as_long = CallCost(requests=1, read_units=1.0, write_units=0.0, row_bytes=1020, reply_bytes=116)
    assert calls.unlike({"a": one, "b": one, "c": one}, {"a": dearer, "b": longer, "c": as_long}) == ["a", "b"]


def test_a_heartbeat_is_one_write_a_model_one_read_and_a_check_in_three_requests(costs: dict[int, dict[str, CallCost]]) -> None:
    found = costs[200]
    heartbeat, model = found["heartbeat"], found["model"]
    assert (heartbeat.requests, heartbeat.read_units, heartbeat.write_units) == (1, 0, 1)
    assert (model.requests, model.read_units, model.write_units) == (1, 1, 0)
    assert found["check-in, a place given"].requests == 3
    assert found["check-in, the round is full"].requests <= 3
    assert found["grant"].requests == 1
    assert found["report"].requests <= 3


def test_how_many_a_second_by_hand() -> None:
    written = {SHARD: 4.0, PART: 6.0, OTHER: 2.0}
    found = most("check-in", 2, written, {("clients", "tokens", "one"): 4.0})
    assert found.units == 6
    assert found.by_row == pytest.approx(2 * 1000 / 6)
    assert (found.by_partition, found.partition) == (2 * 1000 / 8, "round#toy.1")
    assert found.by_table == 2 * 40_000 / 8
    assert found.a_second == 250
    assert most("read", 2, {}, {("clients", "tokens", "one"): 2.0}).a_second == 3000


def test_a_participant_takes_six_units_of_its_own_row_and_six_and_two_of_the_rounds(admitted: Admissions) -> None:
    assert (admitted.places, admitted.parts, admitted.clients) == (260, 3, 30)
    by_step = {step: found.units for step, found in admitted.steps.items()}
    assert (by_step["check-in"], by_step["grant"], by_step["report"]) == (3, 4, 4)
    assert by_step["inspection"] == pytest.approx(2.1)
    assert by_step[places.ALL] == pytest.approx(sum(units for step, units in by_step.items() if step != places.ALL))


def test_an_enrolment_reads_its_token_and_writes_three_rows_in_a_transaction() -> None:
    found = places.enrolments(uses=10**6, sample=4)
    assert found.units == 6
    assert found.by_row <= 3000, "the token's row is read by each"
    assert places.heartbeats(4).units == 1


def test_inspections_at_the_goals_edge_cause_one_aggregation() -> None:
    assert looks.aggregations_at_the_edge(4) == 1


def test_looks_are_counted_and_all_of_it_is_shown(costs: dict[int, dict[str, CallCost]], admitted: Admissions) -> None:
    found = [looks.looks(30), looks.looks(60)]
    assert 0 < found[0].requests < found[1].requests
    assert "| 30 receipts | 60 receipts |" in pages.looks(found)
    assert pages.calls(costs).count("\n") == len(costs[50]) + 1
    assert "| check-in | 260 places in 3 parts | 3 |" in pages.places([admitted])
    assert "| check-in | 3 |" in pages.alone([admitted.steps["check-in"]])
