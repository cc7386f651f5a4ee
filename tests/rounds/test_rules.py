"""The rules of a round, without any store: when it opens, closes, and from where the next one starts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.registry.deployment import Deployment
from chalicelib.registry.model import Model, TrainingState
from chalicelib.rounds.evaluation import is_due
from chalicelib.rounds.round import MOVES, Phase, Round, Summary, check_move, next_base, next_phase, open_next, parse_round_id
from muster.wire.admin import RoundConfig
from muster.wire.refs import CheckpointRef

T0 = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = RoundConfig(goal=10, quorum=4, over_selection=1.5, report_seconds=600, grace_seconds=60)


def ref(version: int) -> CheckpointRef:
    return CheckpointRef(version, f"{version:064d}", 100, 50, 10, 1000)


def a_round(**changes: Any) -> Round:
    made = Round("toy", 1, Phase.COLLECTING, 0, CONFIG, ref(0), ref(0), 1, T0, T0 + timedelta(seconds=600), completed_before=0)
    return replace(made, **changes)


def a_model(**changes: Any) -> Model:
    return replace(Model("toy", CONFIG, T0, TrainingState.RUNNING, 5), **changes)


DEPLOYED = Deployment("toy", 1, ref(0), T0, "created", None)

# (accepted, reported, assigned, seconds since opening) → phase
CASES = [
    ((0, 0, 0, 0), None),
    ((9, 0, 5, 599), None),
    ((10, 0, 5, 1), Phase.AGGREGATING),
    ((12, 3, 0, 1), Phase.AGGREGATING),
    ((4, 0, 11, 600), Phase.AGGREGATING),
    ((3, 0, 11, 600), Phase.ABANDONED),
    ((3, 1, 11, 600), None),
    ((9, 1, 5, 659), None),
    ((9, 1, 5, 660), Phase.AGGREGATING),
    ((3, 1, 5, 660), Phase.ABANDONED),
    ((0, 0, 0, 600), Phase.ABANDONED),
]


@pytest.mark.parametrize(("state", "expected"), CASES)
def test_a_round_closes_at_its_goal_or_at_the_deadline_with_quorum(state: tuple[int, ...], expected: Phase | None) -> None:
    accepted, reported, assigned, seconds = state
    summary = Summary(assigned=assigned, reported=reported, accepted=accepted, rejected={})
    assert next_phase(a_round(), summary, T0 + timedelta(seconds=seconds)) is expected


def test_a_round_whose_every_place_is_settled_need_not_wait_for_its_deadline() -> None:
    settled = Summary(accepted=6, rejected={"not-finite": 9})
    assert settled.places == a_round().places == 15
    assert next_phase(a_round(), settled, T0) is Phase.AGGREGATING
    assert next_phase(a_round(), replace(settled, accepted=3, rejected={"not-finite": 12}), T0) is Phase.ABANDONED
    assert next_phase(a_round(), replace(settled, accepted=5, assigned=1), T0) is None


@given(*[st.integers(0, 20)] * 4, st.integers(0, 2000))
def test_every_round_is_decided_when_deadline_and_grace_are_over(a: int, b: int, c: int, d: int, extra: int) -> None:
    summary = Summary(assigned=a, reported=b, accepted=c, rejected={"not-finite": d})
    assert next_phase(a_round(), summary, T0 + timedelta(seconds=660 + extra)) is not None


def test_the_moves_are_the_ones_in_the_diagram() -> None:
    assert {(a.value, b.value) for a, targets in MOVES.items() for b in targets} == {
        ("collecting", "aggregating"), ("aggregating", "evaluating"), ("evaluating", "completed"),
        ("collecting", "abandoned"), ("aggregating", "abandoned"), ("evaluating", "abandoned"),
    }  # fmt: skip
    with pytest.raises(AssertionError):
        check_move(Phase.COMPLETED, Phase.COLLECTING)


def test_a_round_opens_when_training_runs_and_the_last_one_was_wound_up() -> None:
    first = open_next(a_model(), None, DEPLOYED, T0)
    assert first
    assert (first.number, first.base, first.phase) == (1, ref(0), Phase.COLLECTING)
    ended = a_round(phase=Phase.COMPLETED, candidate=ref(1), summary=Summary())
    second = open_next(a_model(), ended, DEPLOYED, T0)
    assert second
    assert (second.number, second.completed_before) == (2, 1)
    assert open_next(a_model(), a_round(), DEPLOYED, T0) is None
    assert open_next(a_model(), replace(ended, summary=None), DEPLOYED, T0) is None
    assert open_next(a_model(training=TrainingState.STOPPED), None, DEPLOYED, T0) is None
    assert open_next(a_model(rounds_wanted=1), ended, DEPLOYED, T0) is None


def test_an_abandoned_round_does_not_count_toward_the_rounds_wanted() -> None:
    failed = a_round(phase=Phase.ABANDONED, summary=Summary())
    again = open_next(a_model(rounds_wanted=1), failed, DEPLOYED, T0)
    assert again
    assert (again.number, again.completed_before, again.base) == (2, 0, failed.base)


@pytest.mark.parametrize(
    ("last", "deployment", "expected"),
    [
        # A staged candidate is trained further, so that small gains add up.
        ({"phase": Phase.COMPLETED, "candidate": ref(1), "gain": 0.001}, DEPLOYED, 1),
        ({"phase": Phase.COMPLETED, "candidate": ref(1), "gain": -0.05}, DEPLOYED, 1),
        # One that lost too much is not.
        ({"phase": Phase.COMPLETED, "candidate": ref(1), "gain": -0.06}, DEPLOYED, 0),
        # Nor is anything when an operator deployed in the meantime; the round's own deployment is no such thing.
        ({"phase": Phase.COMPLETED, "candidate": ref(3), "gain": 0.2}, Deployment("toy", 2, ref(2), T0, "operator", 1), 2),
        ({"phase": Phase.COMPLETED, "candidate": ref(3), "gain": 0.2}, Deployment("toy", 2, ref(3), T0, "gain", 1, round=1), 3),
        ({"phase": Phase.ABANDONED}, DEPLOYED, 0),
        ({"phase": Phase.ABANDONED}, Deployment("toy", 2, ref(2), T0, "operator", 1), 2),
    ],
)
def test_from_where_the_next_round_starts(last: dict[str, Any], deployment: Deployment, expected: int) -> None:
    assert next_base(a_round(**last), deployment).version == expected


def test_a_round_is_decided_when_its_judges_are_done_or_their_time_is_up() -> None:
    rnd = a_round(phase=Phase.EVALUATING, evaluate_by=T0 + timedelta(seconds=10))
    assert is_due(rnd, CONFIG.evaluators, T0)
    assert not is_due(rnd, CONFIG.evaluators - 1, T0)
    assert is_due(rnd, 0, T0 + timedelta(seconds=10))


@pytest.mark.parametrize("text", ["", "toy", "toy.", ".1", "toy.x", "toy.-1", "toy.١", "toy.123456789"])
def test_what_is_no_round_id(text: str) -> None:
    assert parse_round_id(text) is None
    assert parse_round_id("my-toy.12") == ("my-toy", 12)
