"""Who may judge, and from when on: drawn by lot, whoever comes first."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.clients.client import Client, ClientState
from chalicelib.clients.segments import TallyChange
from chalicelib.clients.tally import Tally
from chalicelib.rounds.devices.drawing import EVERYBODY, HOLD, places, turn
from chalicelib.rounds.devices.lots import lot
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.round import Round
from muster.wire.admin import RoundConfig
from muster.wire.refs import CheckpointRef
from tests.fleet import World, readable

PUBLISHED = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = timedelta(seconds=400)
CONFIG = RoundConfig(goal=100, quorum=50, over_selection=2.0, evaluators=10, evaluate_seconds=400)
ACTIVE = 1100
"""A thousand besides those who train; twenty are wanted."""

digests = st.binary(max_size=8).map(lambda seed: hashlib.sha256(seed).hexdigest())


def evaluating(sha256: str = "0" * 64, **config: Any) -> Round:
    base = CheckpointRef(version=0, sha256="f" * 64, nbytes=100, header_bytes=50, min_update_bytes=10, max_update_bytes=1000)
    candidate = replace(base, version=1, sha256=sha256)
    return Round(
        model="toy",
        number=7,
        phase=Phase.EVALUATING,
        fence=3,
        config=CONFIG.model_copy(update=config),
        base=base,
        deployed=base,
        deployment_revision=1,
        opened_at=PUBLISHED - WINDOW,
        report_by=PUBLISHED,
        completed_before=0,
        manifest_sha256="0" * 64,
        candidate=candidate,
        evaluate_by=PUBLISHED + WINDOW,
    )


def a_client(name: str, **changes: Any) -> Client:
    made = Client(
        client_id=name,
        key_hash="hash",
        state=ClientState.ACTIVE,
        device_type="iot",
        sdk_version="1.0",
        enrolled_at=PUBLISHED - WINDOW,
        last_seen_at=PUBLISHED,
    )
    return replace(made, **changes)


def drawn_at_once(rnd: Round, names: list[str], active: int = ACTIVE) -> list[str]:
    return [name for name in names if turn(rnd, a_client(name), active) == PUBLISHED]


@given(digests)
def test_about_as_many_as_are_wanted_are_drawn_at_once_and_each_of_a_fleet_alike(sha256: str) -> None:
    """In a thousand draws of 20 of 1,000, 55 and more do not happen by chance (p < 1e-10)."""
    names = [f"device-{number}" for number in range(1000)]
    assert len(drawn_at_once(evaluating(sha256), names)) < 55
    everyone = sorted(lot(sha256, name) for name in names)
    assert all(abs(value - rank / 1000) < 0.1 for rank, value in enumerate(everyone)), "lots are spread evenly (p < 1e-8)"


@given(digests)
def test_ids_that_were_chosen_for_an_earlier_candidate_are_worth_no_more_than_others(sha256: str) -> None:
    """Whoever made 2,000 ids and kept the hundred that had done best has its share of the next draw: about 2 of 20, and 14
    and more do not happen by chance (p < 1e-7).
    """
    before = hashlib.sha256(b"a candidate that no draw is about").hexdigest()
    chosen = sorted((f"sybil-{number}" for number in range(2000)), key=lambda name: lot(before, name))[:100]
    assert len(drawn_at_once(evaluating(before), chosen)) > 30
    assert len(drawn_at_once(evaluating(sha256), chosen)) < 14


@given(digests, st.lists(st.sampled_from([f"device-{number}" for number in range(50)]), unique=True))
def test_whose_turn_it_is_depends_on_nobody_else(sha256: str, arriving: list[str]) -> None:
    rnd = evaluating(sha256)
    turns = {name: turn(rnd, a_client(name), ACTIVE) for name in arriving}
    assert turns == {name: turn(rnd, a_client(name), ACTIVE) for name in reversed(arriving)}
    ordered = sorted(arriving, key=lambda name: lot(sha256, name))
    assert [turns[name] for name in ordered] == sorted(turns.values()), "a lower lot never waits longer"


@given(digests, st.text("abcdef", min_size=3, max_size=8), st.integers(0, 10**6))
def test_everybodys_turn_comes_by_half_of_the_time(sha256: str, name: str, active: int) -> None:
    at = turn(evaluating(sha256), a_client(name), active)
    assert at == PUBLISHED or PUBLISHED + HOLD * WINDOW <= at <= PUBLISHED + EVERYBODY * WINDOW


def test_those_who_trained_the_candidate_come_last_where_the_fleet_has_others() -> None:
    rnd = evaluating()
    trainer, other = a_client("a", credited=("toy.6", "toy.7")), a_client("a", credited=("toy.6", "other.7"))
    assert turn(rnd, trainer, ACTIVE) == PUBLISHED + EVERYBODY * WINDOW
    assert turn(rnd, other, ACTIVE) < PUBLISHED + EVERYBODY * WINDOW
    assert turn(rnd, trainer, 139) == PUBLISHED, "39 others are too few to draw 20 from"
    assert turn(rnd, trainer, 0) == PUBLISHED, "nobody counted them"


def test_those_who_enrolled_since_the_publication_come_last_in_every_fleet() -> None:
    late = a_client("a", enrolled_at=PUBLISHED + timedelta(seconds=1))
    for active in (0, 139, ACTIVE):
        assert turn(evaluating(), late, active) == PUBLISHED + EVERYBODY * WINDOW


def test_a_round_that_wants_no_judges_draws_nobody_and_fails_nobody() -> None:
    assert turn(evaluating(evaluators=0), a_client("a"), ACTIVE) == PUBLISHED


def test_those_who_come_later_only_fill_up_what_is_missing_of_the_judges_that_decide() -> None:
    rnd = evaluating()
    later = PUBLISHED + 0.3 * WINDOW
    assert places(rnd, PUBLISHED, PUBLISHED) == places(rnd, PUBLISHED, later) == 20
    assert places(rnd, later, later) == 10
    assert places(rnd, later, PUBLISHED + EVERYBODY * WINDOW) == 20


def test_the_share_grows_from_those_who_are_wanted_to_all() -> None:
    """At three eighths of the time, halfway of the growth, the share is the geometric mean of its ends: √0.02 = 0.141."""
    names = [f"device-{number}" for number in range(5000)]
    halfway = PUBLISHED + (HOLD + EVERYBODY) / 2 * WINDOW
    share = sum(turn(evaluating(), a_client(name), ACTIVE) <= halfway for name in names) / len(names)
    assert math.isclose(share, math.sqrt(0.02), abs_tol=0.03)


# ---- at the check-in


def publish(world: World, *, active: int, **config: Any) -> Round:
    """A round that evaluates, of a model that so many run; its one trainer is of no further use."""
    world.model(**{"goal": 1, "quorum": 1, "over_selection": 1.0, "evaluators": 2, "evaluate_seconds": 400.0, **config})
    world.services.tallies.change(
        [TallyChange(None, Tally(shard=0, counted_at=world.clock(), active_by_model={"toy": active}))]
    )
    world.tick()
    (trainer,) = world.devices(1)
    world.update(trainer)
    world.deliver()
    world.tick()
    found = world.services.rounds.latest("toy")
    assert found
    assert found.phase is Phase.EVALUATING
    world.services.pacing.refresh()  # what was remembered of the fleet is a while ago
    return found


def test_a_client_that_is_not_drawn_waits_until_its_turn_and_then_judges(world: World) -> None:
    devices = world.devices(2)
    rnd = publish(world, active=600)
    for device in devices:
        client = world.services.clients.get(device.client_id)
        assert client
        its_turn = turn(rnd, client, 600)
        early, late = world.clock(), its_turn - timedelta(seconds=5)
        for moment, seconds in ((early, (its_turn - early).total_seconds()), (late, 5.0)):
            world.clock.now = moment
            reply = device.check_in()
            assert reply.kind == "wait"
            assert reply.reason == "not-drawn"
            assert reply.retry_after_seconds == pytest.approx(seconds)
        world.clock.now = its_turn
        assert device.check_in().kind == "evaluate"
        world.clock.now = its_turn - timedelta(seconds=100)


def test_who_is_drawn_at_once_judges_at_once_and_the_others_do_not_whoever_comes_first(world: World) -> None:
    devices = world.devices(8)
    rnd = publish(world, active=9, evaluators=4)
    assert rnd.candidate
    for device in devices:
        drawn = lot(rnd.candidate.sha256, device.client_id) < 4 / 8
        assert device.check_in().kind == ("evaluate" if drawn else "wait")


def test_who_trained_the_candidate_does_not_judge_it_before_others_could(world: World) -> None:
    publish(world, active=1000)
    found = [row for row in readable(world.services.clients.browse()) if "toy.1" in row.credited]
    assert len(found) == 1
    rnd = world.services.rounds.latest("toy")
    assert rnd
    assert turn(rnd, found[0], 1000) == world.clock() + timedelta(seconds=200)


def test_a_judge_keeps_its_place_when_the_fleet_grows_and_its_lot_is_no_longer_among_the_first(world: World) -> None:
    (device,) = world.devices(1)
    publish(world, active=0)
    assert device.check_in().kind == "evaluate"
    world.services.tallies.change([TallyChange(None, Tally(shard=0, counted_at=world.clock(), active_by_model={"toy": 10**6}))])
    world.restart()
    assert device.check_in().kind == "evaluate"


def test_a_check_in_of_a_judge_is_three_requests_and_two_more_where_the_fleet_was_not_looked_at_yet(world: World) -> None:
    one, other, third = world.devices(3)
    publish(world, active=0, evaluators=2)
    world.restart()
    requests = []
    for device in (one, other, third):
        with world.calls.count() as calls:
            device.check_in()
        requests.append(list(calls))
    first = ["UpdateItem", "Query", "Query", "GetItem", "UpdateItem", "PutItem"]
    assert requests[0] == first, "client; round, fleet and its bounds; place, judge"
    assert requests[1] == ["UpdateItem", "UpdateItem", "PutItem"]
    assert requests[2] == ["UpdateItem", "UpdateItem", "GetItem", "Query"], "and what is deployed, for who waits"
