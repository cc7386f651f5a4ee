"""Cohorts: who belongs to one, which two can share nobody, and how operators make, change and size them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.clients.client import Client, ClientState, Described
from chalicelib.clients.cohort import Cohort, are_disjoint, belongs
from chalicelib.clients.splits import PLACES
from chalicelib.clients.tally import count, total
from chalicelib.instants import text
from muster.http.errors import Refused
from muster.wire.admin import MOST_COHORTS, Between, CohortRule, LayerSlice
from muster.wire.problems import Problem
from tests.fleet import World

PHONE = Described(client_id="kitchen-1", device_type="phone", sdk_version="1.2", capabilities={"gpu": True, "ram_gb": 4})

labels = st.lists(st.sampled_from(["phone", "edge", "iot"]), max_size=3)
values = st.sampled_from([True, False, 0, 1, 2, 0.5, "eu", "1"])
bounds = st.sampled_from([None, -1.0, 0.0, 1.0, 2.0])
betweens = st.tuples(bounds, bounds).filter(
    lambda two: two != (None, None) and (None in two or float(str(two[0])) <= float(str(two[1])))
)
wishes = st.one_of(values, betweens.map(lambda two: Between(minimum=two[0], maximum=two[1])))
slices = st.tuples(st.sampled_from(["fleet", "beta"]), st.integers(0, 9), st.integers(1, 10)).filter(lambda s: s[1] < s[2])
rules = st.builds(
    CohortRule,
    device_types=labels.filter(bool),
    sdk_versions=st.lists(st.sampled_from(["1", "2"]), max_size=2),
    capabilities=st.dictionaries(st.sampled_from(["gpu", "ram"]), wishes, max_size=2),
    slice=st.none() | slices.map(lambda s: LayerSlice(layer=s[0], begins=10.0 * s[1], ends=10.0 * s[2])),
)
clients = st.builds(
    Described,
    client_id=st.text("abcdefghij0123456789", min_size=3, max_size=8),
    device_type=st.sampled_from(["phone", "edge", "iot", ""]),
    sdk_version=st.sampled_from(["1", "2", "3"]),
    capabilities=st.dictionaries(st.sampled_from(["gpu", "ram"]), values, max_size=2),
)


def rule(**said: Any) -> CohortRule:
    return CohortRule.model_validate(said)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"device_types": ["phone", "edge"]}, True),
        ({"device_types": ["edge"]}, False),
        ({"sdk_versions": ["1.2"]}, True),
        ({"sdk_versions": ["1.3"]}, False),
        ({"capabilities": {"gpu": True}}, True),
        ({"capabilities": {"gpu": 1}}, False),
        ({"capabilities": {"ram_gb": 4.0}}, True),
        ({"capabilities": {"ram_gb": {"minimum": 4}}}, True),
        ({"capabilities": {"ram_gb": {"maximum": 3.9}}}, False),
        ({"capabilities": {"gpu": {"minimum": 0}}}, False),
        ({"capabilities": {"npu": False}}, False),
        ({"slice": {"ends": 100.0}}, True),
        ({"device_types": ["phone"], "sdk_versions": ["2"]}, False),
    ],
)
def test_a_client_belongs_if_all_that_a_rule_says_holds_of_it(said: dict[str, Any], expected: bool) -> None:
    assert belongs(rule(**said), PHONE) is expected


def test_slices_of_a_layer_share_nobody_and_leave_nobody_out() -> None:
    parts = [rule(slice={"begins": float(begin), "ends": float(end)}) for begin, end in ((0, 20), (20, 50.5), (50.5, 100))]
    ids = [Described(client_id=f"device-{number}") for number in range(4_000)]
    assert all(sum(belongs(part, one) for part in parts) == 1 for one in ids)
    shares = [100 * sum(belongs(part, one) for one in ids) / len(ids) for part in parts]
    assert shares == pytest.approx([20.0, 30.5, 49.5], abs=2.0)


@given(rules, rules, clients)
def test_of_two_that_are_disjoint_no_client_is_in_both(one: CohortRule, other: CohortRule, client: Described) -> None:
    assert are_disjoint(one, other) == are_disjoint(other, one)
    if belongs(one, client) and belongs(other, client):
        assert not are_disjoint(one, other)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"slice": {"ends": 20.0}}, {"slice": {"begins": 20.0, "ends": 30.0}}, True),
        ({"slice": {"ends": 20.0}}, {"slice": {"layer": "beta", "begins": 20.0, "ends": 30.0}}, False),
        ({"slice": {"ends": 20.01}}, {"slice": {"begins": 20.0, "ends": 30.0}}, False),
        ({"device_types": ["a"]}, {"device_types": ["b"]}, True),
        ({"device_types": ["a"]}, {"sdk_versions": ["b"]}, False),
        ({"capabilities": {"gpu": True}}, {"capabilities": {"gpu": False}}, True),
        ({"capabilities": {"gpu": True}}, {"capabilities": {"npu": False}}, False),
        ({"capabilities": {"ram": {"minimum": 4}}}, {"capabilities": {"ram": {"maximum": 3}}}, True),
        ({"capabilities": {"ram": {"minimum": 4}}}, {"capabilities": {"ram": {"maximum": 4}}}, False),
        ({"capabilities": {"ram": 8}}, {"capabilities": {"ram": {"maximum": 4}}}, True),
    ],
)
def test_two_rules_are_disjoint_only_if_nobody_can_be_in_both(one: Any, other: Any, expected: bool) -> None:
    assert are_disjoint(rule(**one), rule(**other)) is expected


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({}, "give at least one of"),
        ({"slice": {"begins": 20.0, "ends": 20.0}}, "begins must be below ends"),
        ({"slice": {"ends": 100.01}}, "less than or equal to 100"),
        ({"slice": {"ends": 10.001}}, "hundredths of a per cent"),
        ({"capabilities": {"ram": {"minimum": 4, "maximum": 3}}}, "minimum must not be above maximum"),
        ({"capabilities": {"ram": {}}}, "give minimum, maximum, or both"),
        ({"capabilities": {"ram": float("nan")}}, "finite"),
        ({"device_types": ["x"] * 17}, "at most 16"),
        ({"percent": 20}, "Extra inputs"),
    ],
)
def test_a_rule_that_says_nothing_or_too_much_is_refused_by_name(said: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        rule(**said)


def test_a_cohort_is_made_changed_by_a_revision_and_every_request_may_come_twice(world: World) -> None:
    first, second = rule(device_types=["phone"]), rule(device_types=["phone"], slice={"ends": 10.0})
    for _ in range(2):
        assert world.operator.set_cohort("phones", first, revision=0).revision == 1
    would = world.operator.set_cohort("phones", second, revision=1, dry_run=True)
    assert (would.revision, world.operator.cohort("phones").rule) == (2, first)
    for _ in range(2):
        assert world.operator.set_cohort("phones", second, revision=1, because="fewer").revision == 2
    with pytest.raises(Refused) as moved:
        world.operator.set_cohort("phones", first, revision=1)
    assert moved.value.problem is Problem.COHORT_MOVED
    assert "revision 2" in str(moved.value.document.expected)
    with pytest.raises(Refused) as unknown:
        world.operator.cohort("phonse")
    assert unknown.value.problem is Problem.UNKNOWN_COHORT
    assert "phones" in str(unknown.value.document.expected)
    (listed,) = world.operator.cohorts()
    assert (listed.cohort, listed.revision, listed.rule, listed.because) == ("phones", 2, second, "fewer")


@given(slices)
def test_a_slice_is_as_many_places_as_it_says(ends: tuple[str, int, int]) -> None:
    layer, begins, until = ends
    found = LayerSlice(layer=layer, begins=10.0 * begins, ends=10.0 * until).places
    assert (found.start, len(found)) == (begins * PLACES // 10, (until - begins) * PLACES // 10)


def test_of_two_who_change_a_cohort_at_once_one_is_told_that_it_moved(world: World) -> None:
    world.operator.set_cohort("phones", rule(device_types=["phone"]), revision=0)

    def between(operation: str, proceed: Any) -> Any:
        if operation == "PutItem":
            world.calls.between = None
            world.operator.set_cohort("phones", rule(device_types=["edge"]), revision=1)
        return proceed()

    world.calls.between = between
    with pytest.raises(Refused) as moved:
        world.operator.set_cohort("phones", rule(device_types=["iot"]), revision=1)
    assert moved.value.problem is Problem.COHORT_MOVED
    assert world.operator.cohort("phones").rule.device_types == ["edge"]


def test_there_are_no_more_cohorts_than_a_census_can_count(world: World) -> None:
    for number in range(MOST_COHORTS):
        world.operator.set_cohort(f"cohort-{number}", rule(device_types=["phone"]), revision=0)
    with pytest.raises(Refused) as full:
        world.operator.set_cohort("one-more", rule(device_types=["phone"]), revision=0)
    assert full.value.problem is Problem.TOO_MANY_COHORTS
    assert world.operator.set_cohort("cohort-1", rule(device_types=["edge"]), revision=1).revision == 2


def test_a_cohort_has_the_size_that_the_census_counted_of_that_revision(world: World) -> None:
    now = world.clock()
    for number in range(60):
        one = Client(
            client_id=f"many-{number}", key_hash="h", state=ClientState.ACTIVE, device_type="phone" if number % 3 else "edge",
            sdk_version="1", enrolled_at=now, last_seen_at=now, capabilities={"ram": number},
        )  # fmt: skip
        world.add(one)
    world.operator.set_cohort("phones", rule(device_types=["phone"]), revision=0)
    world.operator.set_cohort("large", rule(capabilities={"ram": {"minimum": 50}}), revision=0)
    assert world.operator.cohort("phones").active is None
    world.services.census.take()
    sizes = {one.cohort: one.active for one in world.operator.cohorts()}
    assert sizes == {"phones": 40, "large": 10}
    world.operator.set_cohort("phones", rule(device_types=["edge"]), revision=1)
    assert world.operator.cohort("phones").active is None, "what was counted was another rule"
    world.clock.advance(3600)
    world.services.census.take()
    assert world.operator.cohort("phones").active == 0, "and nobody is active any more"


def test_a_row_that_says_nonsense_of_itself_is_counted_and_in_no_cohort() -> None:
    strange = Described.of_row({"client_id": 7, "capabilities": "none", "device_type": None})
    assert not belongs(rule(device_types=["phone"]), strange)
    assert not belongs(rule(capabilities={"gpu": True}), strange)


def test_only_the_cohorts_clients_train_in_a_round_that_opened_for_it(world: World) -> None:
    world.operator.set_cohort("few", rule(device_types=["phone"]), revision=0)
    world.model(cohort="few")
    world.tick()
    device = world.device(world.token(), "device-000")
    assignment = device.check_in()
    assert (assignment.kind, getattr(assignment, "reason", None)) == ("wait", "not-eligible")
    world.operator.set_cohort("few", rule(device_types=["edge"]), revision=1)
    assert device.check_in().kind == "wait", "an open round keeps the rule with which it opened"
    world.operator.abandon("toy", 1)
    world.tick()
    world.clock.advance(60)
    assert device.check_in().kind == "train"
    rounds = [world.services.rounds.get("toy", number) for number in (1, 2)]
    assert [rnd and rnd.cohort for rnd in rounds] == ["few.1", "few.2"]


def test_a_configuration_names_a_cohort_that_is_there(world: World) -> None:
    world.model(rounds=0)
    config = world.operator.status("toy").config
    with pytest.raises(Refused) as unknown:
        world.operator.configure("toy", config.model_copy(update={"cohort": "few"}), revision=1)
    assert unknown.value.problem is Problem.UNKNOWN_COHORT
    assert world.operator.status("toy").config == config


def test_a_cohort_that_only_some_shards_have_counted_has_no_size_yet() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    cohort = Cohort(name="phones", revision=1, rule=rule(device_types=["phone"]), at=now, because="x")
    row = {"rounds": 0, "samples": 0, "state": "active", "device_type": "phone", "last_seen_at": text(now)}
    old, new = count(0, [row], now, 60.0), count(1, [row], now, 60.0, [cohort])
    sums = [total(tallies) for tallies in ([old, new], [count(0, [row], now, 60.0, [cohort]), new])]
    assert [found and found.active_by_cohort for found in sums] == [{}, {"phones.1": 2}]
