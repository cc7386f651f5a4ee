"""A rollout's moves: each is one revision, nobody is sent back by a growing share, and the history stays a stack."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.clients.client import Described
from chalicelib.registry.deployment import Deployment, DeploymentKind, roll_back, states
from chalicelib.rollouts import moves
from chalicelib.rollouts.assigning import Side, given_to, side_of
from muster.wire.admin import IMMEDIATE, Strategy
from tests.rollouts.making import T0, ref

CANARY = Strategy(kind="canary", steps=[5.0, 25.0])
ROLLING = Strategy(kind="rolling", steps=[10.0, 50.0])
SLOTS = Strategy(kind="blue-green")
CLIENTS = [f"device-{number:04d}" for number in range(2_000)]


class Log:
    """A log that grows by the rules."""

    def __init__(self) -> None:
        self.rows = [Deployment(model="toy", revision=1, stable=ref(0), at=T0, because="created")]

    @property
    def present(self) -> Deployment:
        return self.rows[-1]

    def start(self, version: int, strategy: Strategy = CANARY) -> Deployment:
        return self._write(moves.start(self.present, ref(version), strategy, self._now, "because", secret="s"))

    def move(self, how: Any) -> Deployment:
        return self._write(how(self.present, self._now, "because"))

    def abort(self) -> Deployment:
        return self._write(moves.abort(self.present, self._now, "because"))

    def roll_back(self, steps: int = 1) -> Deployment:
        return self._write(roll_back(self.present, lambda revision: self.rows[revision - 1], steps, self._now, "because", "me"))

    @property
    def states(self) -> dict[int, str]:
        return {version: str(state) for version, state in states(range(4), reversed(self.rows), None).items()}

    @property
    def _now(self) -> datetime:
        return T0 + timedelta(hours=len(self.rows))

    def _write(self, made: Deployment) -> Deployment:
        if made is not self.present:
            assert made.revision == self.present.revision + 1
            self.rows.append(made)
        return made


def _version(client: str, deployment: Deployment) -> int:
    return given_to(Described(client_id=client), deployment).version


def percent_with(deployment: Deployment, version: int) -> float:
    return 100 * sum(_version(client, deployment) == version for client in CLIENTS) / len(CLIENTS)


def test_a_candidate_comes_to_more_and_more_clients_and_then_to_all() -> None:
    log = Log()
    assert percent_with(log.start(1), 1) == pytest.approx(5.0, abs=1.5)
    assert (log.states[0], log.states[1]) == ("deployed", "rolling-out")
    assert percent_with(log.move(moves.step), 1) == pytest.approx(25.0, abs=3.0)
    done = log.move(moves.step)
    assert (done.kind, done.stable.version, done.rollout, done.previous) == (DeploymentKind.PROMOTED, 1, None, 1)
    assert percent_with(done, 1) == 100.0
    assert (log.states[0], log.states[1]) == ("retired", "deployed")
    back = log.roll_back()
    assert (back.stable.version, back.left) == (0, (1,))


@given(st.lists(st.integers(1, 9_999), min_size=1, max_size=8, unique=True), st.integers(0, 2**32))
def test_a_growing_share_sends_nobody_back_and_no_control_is_given_the_candidate(steps: list[int], seed: int) -> None:
    log = Log()
    log.start(1, Strategy(kind="rolling", steps=[step / 100 for step in sorted(steps)]))
    clients = [f"c{seed}-{number}" for number in range(60)]
    had: set[str] = set()
    before, added = (0, 0), list[tuple[int, int]]()
    while (rollout := log.present.rollout) is not None:
        have = {client for client in clients if _version(client, log.present) == 1}
        assert had <= have
        for client in clients:
            assert (side_of("toy", rollout, client) is Side.CANDIDATE) == (client in have)
        assert rollout.share + rollout.control <= 10_000
        for candidates, controls in added:
            assert abs(candidates * rollout.control - controls * rollout.share) <= 2 * (rollout.share + rollout.control)
        added.append((rollout.share - before[0], rollout.control - before[1]))
        before = rollout.share, rollout.control
        had = have
        log.move(moves.step)


def test_of_two_slots_nobody_is_given_the_second_until_the_switch_and_then_all_are_with_a_way_back() -> None:
    log = Log()
    warming = log.start(1, SLOTS)
    assert percent_with(warming, 1) == 0.0
    switched = log.move(moves.step)
    assert percent_with(switched, 1) == 100.0
    assert switched.stable.version == 0, "which is kept ready"
    back = log.abort()
    assert percent_with(back, 0) == 100.0
    assert log.states[1] == "rolled-back"


def test_an_immediate_strategy_is_a_deployment() -> None:
    made = Log().start(1, IMMEDIATE)
    assert (made.kind, made.stable.version, made.rollout, made.previous) == (DeploymentKind.DEPLOYED, 1, None, 1)


@pytest.mark.parametrize("moved", [0, 1])
@pytest.mark.parametrize("paused", [False, True])
def test_one_step_back_takes_the_candidate_away_and_the_next_one_goes_beneath(moved: int, paused: bool) -> None:
    for how in ("abort", "roll_back"):
        log = Log()
        log.start(1, IMMEDIATE)
        log.start(2, ROLLING)
        for _ in range(moved):
            log.move(moves.step)
        if paused:
            log.move(moves.pause)
        back = log.abort() if how == "abort" else log.roll_back()
        assert (back.stable.version, back.rollout, back.left) == (1, None, (2,))
        assert log.states[2] == "rolled-back"
        assert log.roll_back().stable.version == 0


def test_two_steps_back_from_a_rollout_pass_the_stable_version_too() -> None:
    log = Log()
    log.start(1, IMMEDIATE)
    log.start(2)
    back = log.roll_back(2)
    assert (back.stable.version, back.rollout, back.left) == (0, None, (1, 2))


def test_what_was_taken_back_may_be_tried_again_and_has_other_places() -> None:
    log = Log()
    first = log.start(1)
    log.abort()
    second = log.start(1)
    assert log.states[1] == "rolling-out"
    with_it = [
        {client for client in CLIENTS if given_to(Described(client_id=client), one).version == 1} for one in (first, second)
    ]
    assert len(with_it[0] & with_it[1]) < 0.2 * len(with_it[0]), "another revision, another draw"


def test_a_paused_rollout_is_given_to_the_same_clients_and_resumed_begins_its_step_anew() -> None:
    log = Log()
    before = log.start(1)
    paused = log.move(moves.pause)
    assert moves.going_on(paused).paused == "because"
    assert all(
        given_to(Described(client_id=client), paused) == given_to(Described(client_id=client), before)
        for client in CLIENTS[:200]
    )
    assert log.move(moves.pause) is not paused, "a pause of its own accord also ends so: an operator's comes on top"
    log.rows[-1] = paused = replace(log.present, by="me")
    assert log.move(moves.pause) is paused
    resumed = log.move(moves.resume)
    going_on = moves.going_on(resumed)
    assert (going_on.paused, going_on.step, going_on.since) == (None, 0, resumed.at)
    assert log.move(moves.resume) is resumed


def test_one_rollout_at_a_time_and_none_of_what_is_deployed() -> None:
    log = Log()
    with pytest.raises(ValueError, match="version 0 is deployed"):
        log.start(0)
    log.start(1)
    with pytest.raises(ValueError, match="a rollout of version 1 goes on"):
        log.start(2)


@pytest.mark.parametrize("move", [moves.step, moves.pause, moves.resume, moves.promote])
def test_without_a_rollout_there_is_nothing_to_move(move: Any) -> None:
    with pytest.raises(moves.NoRollout):
        Log().move(move)


BAD = {
    "no steps": ({"kind": "canary"}, r"steps must be given with canary, such as \[5, 25\]"),
    "steps without need": ({"kind": "blue-green", "steps": [5.0]}, "steps must not be given with blue-green"),
    "a share that shrinks": ({"kind": "rolling", "steps": [25.0, 5.0]}, "nobody is sent back"),
    "the same share": ({"kind": "rolling", "steps": [5.0, 5.0]}, "nobody is sent back"),
    "all as a step": ({"kind": "rolling", "steps": [5.0, 100.0]}, "steps must be below 100"),
    "too fine": ({"kind": "rolling", "steps": [0.013]}, "hundredths of a per cent, such as 2.25, got 0.013"),
    "nobody": ({"kind": "rolling", "steps": [0.0]}, "greater than or equal to 0.01"),
    "a guard of two slots": ({"kind": "blue-green", "guard": {}}, "guard must not be given with blue-green"),
    "no kind": ({"steps": [5.0]}, "kind"),
    "not a number": ({"kind": "rolling", "steps": [float("nan")]}, "less than or equal to 100"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_strategy_that_means_nothing_is_refused_with_what_would_be_taken(case: str) -> None:
    said, told = BAD[case]
    with pytest.raises(ValueError, match=told):
        Strategy.model_validate(said)
