"""The rules of deployments, without any store: the log is a stack, and states are read off it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.registry.deployment import (
    MOVES,
    Deployment,
    DeploymentKind,
    NothingBeneath,
    VersionState,
    is_repeat,
    roll_back,
    states,
)
from chalicelib.registry.version import Version
from chalicelib.rollouts.moves import start
from muster.wire.admin import IMMEDIATE, RoundConfig
from muster.wire.refs import CheckpointRef

T0 = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = RoundConfig(goal=1, quorum=1)


def version(number: int) -> Version:
    return Version(
        model="toy",
        number=number,
        checkpoint=CheckpointRef(
            version=number, sha256=f"{number:064d}", nbytes=100, header_bytes=50, min_update_bytes=10, max_update_bytes=1000
        ),
        document_sha256="d",
        created_at=T0,
        config=CONFIG,
        revision=0,
    )


def deploy(seen: Deployment, wanted: Version, because: str, by: str) -> Deployment:
    if seen.stable.version == wanted.number:
        return seen
    return replace(start(seen, wanted.checkpoint, IMMEDIATE, T0, because, secret=""), by=by)


class Log:
    """A log that grows by the rules."""

    def __init__(self) -> None:
        self.rows = [Deployment(model="toy", revision=1, stable=version(0).checkpoint, at=T0, because="created")]

    @property
    def present(self) -> Deployment:
        return self.rows[-1]

    def deploy(self, number: int) -> None:
        self._write(deploy(self.present, version(number), "because", "me"))

    def roll_back(self, steps: int = 1) -> None:
        self._write(roll_back(self.present, lambda revision: self.rows[revision - 1], steps, T0, "because", "me"))

    def states(self, *versions: int) -> list[VersionState]:
        found = states(versions, reversed(self.rows), None)
        return [found[number] for number in versions]

    def _write(self, made: Deployment) -> None:
        if made is not self.present:
            assert made.revision == self.present.revision + 1
            self.rows.append(made)


def test_a_rollback_leads_to_what_was_deployed_before_and_marks_what_it_left() -> None:
    log = Log()
    log.deploy(1)
    log.deploy(3)
    log.roll_back()
    assert log.present.stable.version == 1
    assert log.states(0, 1, 2, 3) == [
        VersionState.RETIRED, VersionState.DEPLOYED, VersionState.STAGED, VersionState.ROLLED_BACK,
    ]  # fmt: skip


def test_rolling_back_twice_goes_back_twice_and_not_to_and_fro() -> None:
    log = Log()
    for number in (1, 3):
        log.deploy(number)
    log.roll_back()
    log.roll_back()
    assert log.present.stable.version == 0
    assert log.states(1, 3) == [VersionState.ROLLED_BACK] * 2


def test_several_steps_are_the_same_as_one_after_another_and_mark_all_that_they_pass() -> None:
    at_once, one_by_one = Log(), Log()
    for log in (at_once, one_by_one):
        for number in (1, 2, 3):
            log.deploy(number)
    at_once.roll_back(3)
    for _ in range(3):
        one_by_one.roll_back()
    assert at_once.present.stable == one_by_one.present.stable
    assert at_once.states(0, 1, 2, 3) == one_by_one.states(0, 1, 2, 3)
    assert at_once.present.left == (1, 2, 3)


def test_what_was_rolled_back_may_be_deployed_again_and_then_the_rollback_undone() -> None:
    log = Log()
    log.deploy(1)
    log.roll_back()
    log.deploy(1)
    assert log.states(0, 1) == [VersionState.RETIRED, VersionState.DEPLOYED]
    log.roll_back()
    assert log.states(0, 1) == [VersionState.DEPLOYED, VersionState.ROLLED_BACK]


def test_there_is_nothing_beneath_the_first_deployment() -> None:
    log = Log()
    log.deploy(1)
    with pytest.raises(NothingBeneath) as bottom:
        log.roll_back(2)
    assert bottom.value.steps == 1


def test_to_deploy_what_is_deployed_is_nothing() -> None:
    log = Log()
    log.deploy(0)
    assert len(log.rows) == 1


def test_a_wish_that_came_twice_is_told_from_another_one() -> None:
    log = Log()
    log.deploy(1)
    seen = log.present
    wanted = deploy(seen, version(2), "because", "me")
    assert is_repeat(deploy(seen, version(2), "in other words", "another"), wanted)
    assert not is_repeat(deploy(seen, version(3), "because", "me"), wanted)
    back = roll_back(seen, lambda revision: log.rows[revision - 1], 1, T0, "because", "me")
    assert not is_repeat(deploy(seen, version(0), "because", "me"), back)


def test_a_version_whose_round_has_not_decided_is_in_training() -> None:
    assert states([7], [], 7) == {7: VersionState.TRAINING}


ACTIONS = st.lists(
    st.one_of(st.integers(0, 5).map(lambda n: ("deploy", n)), st.integers(1, 3).map(lambda n: ("back", n))), max_size=25
)


@given(ACTIONS)
def test_whatever_happens_one_version_is_deployed_and_every_move_is_in_the_table(actions: list[tuple[str, int]]) -> None:
    log, seen = Log(), []
    seen.append(log.states(*range(6)))
    for action, number in actions:
        try:
            log.deploy(number) if action == "deploy" else log.roll_back(number)
        except NothingBeneath:
            continue
        seen.append(log.states(*range(6)))
    for now in seen:
        assert now.count(VersionState.DEPLOYED) == 1
    for before, after in pairwise(seen):
        for was, is_ in zip(before, after, strict=True):
            assert was is is_ or is_ in MOVES[was], f"{was} → {is_}"
    for row in log.rows[1:]:
        assert row.previous is None or row.previous < row.revision
        assert (row.kind is DeploymentKind.ROLLED_BACK) == bool(row.left) or row.kind is DeploymentKind.ROLLED_BACK
