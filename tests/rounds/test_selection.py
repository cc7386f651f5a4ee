"""Who may train in a round: by its state, by how often it has, by lot; and sites, without whom there is no round."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chalicelib.clients.client import Client, ClientState, Readiness
from chalicelib.rounds.closing import inspections_missing, lacking, next_phase
from chalicelib.rounds.devices.selection import EVERYBODY, HOLD, NotNow, is_resting, not_now, places_drawn, turn_to_train
from chalicelib.rounds.receipt import OF_A_SITE
from chalicelib.rounds.round import Round, Summary
from chalicelib.rounds.round_id import RoundId
from muster import Device
from muster.device import DeviceState
from muster.wire import messages as wire
from muster.wire.admin import RoundConfig
from muster.wire.admin.configuring import Frequency
from tests.fleet import World
from tests.rounds.making import CONFIG, T0, a_round
from tests.rounds.playing import counted

CLIENT = Client(
    client_id="device-1", key_hash="h", state=ClientState.ACTIVE, device_type="iot", sdk_version="1", enrolled_at=T0,
    last_seen_at=T0,
)  # fmt: skip


def round_of(number: int = 9, salt: str = "salt", **config: Any) -> Round:
    return a_round(number=number, salt=salt, config=CONFIG.model_copy(update=config))


# ---- rules


@pytest.mark.parametrize(
    ("said", "missing"),
    [
        (None, ("charging", "unmetered")),
        (Readiness(charging=True), ("unmetered",)),
        (Readiness(charging=False, unmetered=True), ("charging",)),
        (Readiness(charging=True, unmetered=True, idle=False), None),
    ],
)
def test_what_a_device_does_not_say_of_its_state_it_is_not(said: Readiness | None, missing: tuple[str, ...] | None) -> None:
    rnd, client = round_of(requires=["charging", "unmetered"]), replace(CLIENT, readiness=said)
    assert not_now(rnd, client, 0, T0) == (missing and NotNow("not-ready", missing=missing))


@pytest.mark.parametrize(
    ("credited", "rest", "often", "rests"),
    [
        (("toy.8",), 0, None, False),
        (("toy.8",), 1, None, True),
        (("toy.7",), 1, None, False),
        (("other.8", "toy.5"), 3, None, False),  # another model's rounds do not count
        (("toy.9",), 3, None, False),  # nor does the round itself: whoever is in it keeps its place
        (("toy.10",), 3, None, False),  # nor one that comes later: a message that was late
        (("toy.4", "toy.6"), 0, Frequency(times=2, rounds=5), False),  # 5 to 9 are five rounds
        (("toy.5", "toy.6"), 0, Frequency(times=2, rounds=5), True),
        (("nonsense", "", "toy.8"), 0, Frequency(times=1, rounds=2), True),
    ],
)
def test_a_client_rests_after_a_round_and_does_not_train_more_often_than_it_may(
    credited: tuple[str, ...], rest: int, often: Frequency | None, rests: bool
) -> None:
    assert is_resting(round_of(rest_rounds=rest, most_often=often), credited) is rests


def test_places_are_drawn_for_only_where_many_more_wait_and_the_model_says_so() -> None:
    plain, drawn = round_of(), round_of(lottery=True)
    assert plain.places == 15
    names = [f"client-{n}" for n in range(500)]
    assert all(turn_to_train(plain, name, 10**6) == T0 for name in names)
    assert all(turn_to_train(drawn, name, 29) == T0 for name in names)
    turns = [turn_to_train(drawn, name, 150) for name in names]
    assert 25 < sum(turn == T0 for turn in turns) < 80, "a tenth at once"
    whole = drawn.report_by - drawn.opened_at
    assert all(T0 + HOLD * whole <= turn <= T0 + EVERYBODY * whole for turn in turns if turn != T0)


def test_of_those_drawn_at_once_a_few_more_than_there_are_places_may_come() -> None:
    rnd = round_of(lottery=True)
    names = [f"client-{n}" for n in range(500)]
    at_once = {name for name in names if turn_to_train(rnd, name, 150) == T0}
    assert {places_drawn(rnd, name, 150) for name in at_once} == {15 + 12}
    assert {places_drawn(rnd, name, 150) for name in names if name not in at_once} == {15}
    assert places_drawn(rnd, names[0], 20) == places_drawn(round_of(), names[0], 150) == 15


@given(st.integers(0, 10**12), st.text(max_size=64), st.text(max_size=64), st.integers(0, 100), st.integers(1, 100_000))
def test_everybodys_turn_comes_within_a_quarter_whatever_was_counted(
    waiting: int, client_id: str, salt: str, sites: int, goal: int
) -> None:
    config = RoundConfig(goal=max(goal, sites, 1), quorum=1, lottery=True, sites=[f"site-{n:03d}" for n in range(sites)])
    rnd = a_round(config=config, salt=salt)
    assert T0 <= turn_to_train(rnd, client_id, waiting) <= T0 + EVERYBODY * (rnd.report_by - T0) + timedelta(microseconds=1)


def test_another_round_draws_others_though_its_number_is_known() -> None:
    names = [f"client-{n}" for n in range(1000)]
    first, second = ({n for n in names if turn_to_train(round_of(salt=salt, lottery=True), n, 100) == T0} for salt in "ab")
    assert 0.1 * len(first) < len(first & second) < 0.25 * len(first)


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"most_often": {"times": 3, "rounds": 3}}, "forbids nothing"),
        ({"rest_rounds": 32}, "less than 32"),
        ({"sites": ["site-1", "site-1"]}, "differ"),
        ({"sites": ["site-1", "site-2"]}, "must not be more than goal"),
        ({"sites": ["not a name"]}, "pattern"),
        ({"requires": ["asleep"]}, "charging"),
    ],
)
def test_what_could_not_be_kept_to_is_refused(config: dict[str, Any], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        RoundConfig.model_validate({"goal": 1, "quorum": 1, **config})


# ---- sites


def test_a_round_closes_with_all_of_its_sites_or_at_its_deadline_without_a_version() -> None:
    rnd = round_of(sites=["a-site", "b-site"])
    without = Summary(accepted=12, assigned=1, absent=["b-site"])
    assert next_phase(rnd, without, T0) is None
    assert next_phase(rnd, replace(without, absent=None), T0) == "aggregating"
    assert next_phase(rnd, without, T0 + timedelta(seconds=600)) == "abandoned"
    assert inspections_missing(rnd, without) == 1
    assert (
        lacking(rnd, without) == "sites-missing: b-site (1 of 2), and 12 of 4 updates accepted; 13 clients came for 15 places"
    )
    many = round_of(sites=[f"site-{n}" for n in range(9)])
    assert "site-4, … (9 of 9)" in lacking(many, Summary(absent=many.config.sites))


# ---- through the server


def wait(device: Device) -> wire.Wait:
    found = device.check_in()
    assert isinstance(found, wire.Wait), found
    return found


def test_a_device_hears_what_its_state_would_have_to_be_and_keeps_its_place_when_that_changes(world: World) -> None:
    world.model(goal=1, quorum=1, over_selection=1.0, requires=["charging", "idle"], evaluators=0)
    world.tick()
    (silent,) = world.devices(1)
    said = wait(silent)
    assert (said.reason, said.missing) == ("not-ready", ["charging", "idle"])
    assert (
        world.operator.round("toy", 1).lacks
        == "1 of 1 places are open; 0 clients are active, of which only those may come that are charging and idle"
    )
    state = [DeviceState(charging=True, idle=True)]
    ready = world.device(world.token(), "ready", state=lambda: state[0])
    assert ready.check_in().kind == "train"
    state[0] = DeviceState(charging=False, idle=True)
    assert ready.check_in().kind == "train", "whoever did not hear of its place hears of it again"


def test_a_client_that_trained_leaves_the_next_rounds_to_others(world: World) -> None:
    world.model(goal=1, quorum=1, over_selection=1.0, rest_rounds=1, evaluators=0, rounds=3)
    devices = world.devices(2)
    for number, (who, other) in enumerate([(0, 1), (1, 0), (0, 1)], 1):
        world.tick()
        world.clock.advance(world.settings.memory_seconds)
        if number > 1:
            assert wait(devices[other]).reason == "resting"
        world.update(devices[who])
        world.deliver()
        world.tick()
    assert world.operator.round("toy", 3).phase == "completed"


def test_a_site_has_a_place_that_waits_for_it_and_the_others_have_the_rest(world: World) -> None:
    world.model(goal=2, quorum=1, over_selection=1.0, sites=["device-003"], rest_rounds=5, lottery=True, evaluators=0, rounds=2)
    devices = world.devices(4)
    for number in (1, 2):
        world.tick()
        world.clock.advance(world.settings.memory_seconds)
        others = devices[:3] if number == 1 else devices[1:3]
        kinds = [device.check_in().kind for device in others]
        assert kinds == ["train", *["wait"] * (len(others) - 1)]
        world.update(others[0])
        world.deliver()
        shown = world.operator.round("toy", number)
        assert shown.lacks
        assert shown.lacks.endswith("without an update yet: device-003")
        world.update(devices[3])
        receipt = world.services.rounds.receipt(RoundId("toy", number), "device-003")
        assert receipt
        assert (receipt.part, counted(world)) == (OF_A_SITE, 1)
        world.deliver()
        world.tick()
        assert world.operator.round("toy", number).accepted == 2


def test_a_round_without_its_site_is_abandoned_by_name_and_an_alert_says_so(world: World) -> None:
    world.model(goal=1, quorum=1, over_selection=3.0, sites=["hospital-a"], report_seconds=600.0)
    world.tick()
    (device,) = world.devices(1)
    world.update(device)
    world.deliver()
    assert world.operator.round("toy", 1).phase == "collecting"
    world.clock.advance(600 + 120)
    world.tick()
    shown = world.operator.round("toy", 1)
    wanted = "sites-missing: hospital-a (1 of 1), and 1 of 1 updates accepted; 1 clients came for 3 places"
    assert (shown.phase, shown.reason) == ("abandoned", wanted)
    world.monitor()
    (alert,) = [found for found in world.operator.alerts("toy") if found.metric == "unfilled_rounds"]
    assert alert.because == wanted
