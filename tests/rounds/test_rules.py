"""The rules of a round, without any store: when it opens, closes, and from where the next one starts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.registry.deployment import Deployment, DeploymentKind
from chalicelib.registry.model import TrainingState
from chalicelib.rounds.closing import next_phase
from chalicelib.rounds.judgement import is_due
from chalicelib.rounds.moves import MOVES, Phase
from chalicelib.rounds.opening import next_base, open_next
from chalicelib.rounds.round import NoSuchMove, NotReached, Round, Summary
from chalicelib.rounds.round_id import RoundId
from chalicelib.storage.rows import Unreadable, from_item, to_item
from tests.rounds.making import CONFIG, DEPLOYED, FROZEN, PUBLISHED, T0, a_model, a_round, reached, ref

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
    assert settled.held == a_round().places == 15
    assert next_phase(a_round(), settled, T0) is Phase.AGGREGATING
    assert next_phase(a_round(), replace(settled, accepted=3, rejected={"not-finite": 12}), T0) is Phase.ABANDONED
    assert next_phase(a_round(), replace(settled, accepted=5, assigned=1), T0) is None


@given(*[st.integers(0, 20)] * 4, st.integers(0, 2000))
def test_every_round_is_decided_when_deadline_and_grace_are_over(a: int, b: int, c: int, d: int, extra: int) -> None:
    summary = Summary(assigned=a, reported=b, accepted=c, rejected={"not-finite": d})
    assert next_phase(a_round(), summary, T0 + timedelta(seconds=660 + extra)) is not None


def test_the_moves_are_the_ones_in_the_diagram() -> None:
    assert {(before.value, after.value) for befores, after in MOVES.values() for before in befores} == {
        ("collecting", "aggregating"), ("aggregating", "evaluating"), ("evaluating", "completed"),
        ("collecting", "abandoned"), ("aggregating", "abandoned"), ("evaluating", "abandoned"),
    }  # fmt: skip
    with pytest.raises(NoSuchMove, match=r"toy\.1 is completed; Frozen leads from collecting"):
        a_round(Phase.COMPLETED).after(FROZEN)


@pytest.mark.parametrize(
    ("phase", "missing"),
    [
        (Phase.AGGREGATING, "manifest_sha256"), (Phase.EVALUATING, "candidate"), (Phase.EVALUATING, "evaluate_by"),
        (Phase.COMPLETED, "candidate"), (Phase.COMPLETED, "manifest_sha256"),
    ],
)  # fmt: skip
def test_a_round_that_lacks_what_its_phase_promises_cannot_be_written_down_nor_read(phase: Phase, missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        a_round(phase, **{missing: None})
    stored = {name: value for name, value in to_item(a_round(phase)).items() if name != missing}
    with pytest.raises(Unreadable, match=missing):
        from_item(Round, stored)
    assert from_item(Round, to_item(a_round(phase))) == a_round(phase)


def test_a_move_adds_one_to_the_fence_and_sets_what_it_carries_and_nothing_else() -> None:
    before = a_round(fence=3, parts=7)
    after = before.after(FROZEN)
    assert after == replace(before, fence=4, **reached(Phase.AGGREGATING))
    assert (after.frozen, after.after(PUBLISHED).published) == (FROZEN, PUBLISHED)
    with pytest.raises(NotReached):
        _ = before.frozen
    with pytest.raises(NotReached):
        _ = after.published


def test_a_round_opens_when_training_runs_and_the_last_one_was_finalised() -> None:
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
        (
            {"phase": Phase.COMPLETED, "candidate": ref(3), "gain": 0.2},
            Deployment(model="toy", revision=2, stable=ref(2), at=T0, because="operator", previous=1),
            2,
        ),
        (
            {"phase": Phase.COMPLETED, "candidate": ref(3), "gain": 0.2},
            Deployment(model="toy", revision=2, stable=ref(3), at=T0, because="gain", previous=1, round=1),
            3,
        ),
        ({"phase": Phase.ABANDONED}, DEPLOYED, 0),
        (
            {"phase": Phase.ABANDONED},
            Deployment(model="toy", revision=2, stable=ref(2), at=T0, because="operator", previous=1),
            2,
        ),
    ],
)
def test_from_where_the_next_round_starts(last: dict[str, Any], deployment: Deployment, expected: int) -> None:
    assert next_base(a_round(**last), deployment).version == expected


def test_what_was_taken_back_is_no_base_also_when_something_else_has_begun_since() -> None:
    last = a_round(phase=Phase.COMPLETED, candidate=ref(3), deployment_revision=1)
    began = replace(DEPLOYED, revision=4, kind=DeploymentKind.STARTED, round=7)
    aborted = replace(began, revision=3, kind=DeploymentKind.ABORTED, left=(3,))
    assert next_base(last, began, [began]).version == 3
    assert next_base(last, began, [began, aborted]) == began.stable


def test_a_round_is_decided_when_its_judges_are_done_or_their_time_is_up() -> None:
    rnd = a_round(phase=Phase.EVALUATING, evaluate_by=T0 + timedelta(seconds=10))
    assert is_due(rnd, CONFIG.evaluators, T0)
    assert not is_due(rnd, CONFIG.evaluators - 1, T0)
    assert is_due(rnd, 0, T0 + timedelta(seconds=10))


@pytest.mark.parametrize(
    "text", ["", "toy", "toy.", ".1", "toy.x", "toy.-1", "toy.١", "toy.123456789", "toy.0", "toy.01", "Toy.1", "toy.1\n"]
)
def test_what_is_no_round_id(text: str) -> None:
    assert RoundId.parse(text) is None
    assert RoundId.parse("my-toy.12") == RoundId("my-toy", 12)


@given(st.from_regex(r"[a-z][a-z0-9-]{0,47}", fullmatch=True), st.integers(1, 99_999_999))
def test_a_rounds_id_reads_back_from_what_it_is_written_as(model: str, number: int) -> None:
    assert RoundId.parse(str(RoundId(model, number))) == RoundId(model, number)
