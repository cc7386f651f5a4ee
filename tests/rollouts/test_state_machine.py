"""Two operators, a fleet that reports, rounds that open, days that pass, and ticks at any time: one stable version, a rollout
or experiments beside it, a rollback wins, and nobody is pointed at a version that was deleted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chalicelib.clients.client import Described
from chalicelib.clients.cohort import belongs
from chalicelib.instants import utc_now
from chalicelib.registry.deployment import MOVES, VersionState
from chalicelib.registry.sweep import EVERY
from chalicelib.rollouts.assigning import given_to
from chalicelib.rounds.opening import next_base
from muster.http.errors import Refused
from muster.wire.admin import Arm, CohortRule, DeploymentReply, LayerSlice, StartExperiment, Strategy
from muster.wire.arrays import encode
from muster.wire.problems import Problem
from tests.fleet import BASE, Killed, World
from tests.rollouts.fleet import all_say

OPERATORS = st.sampled_from(["ann", "bob"])
STRATEGIES = [
    None,
    Strategy(kind="rolling", steps=[20.0, 60.0], pause_seconds=60.0),
    Strategy(kind="canary", steps=[50.0], pause_seconds=60.0, window_seconds=60.0, patience=2, guard={"least": 4}),  # type: ignore[arg-type]
    Strategy(kind="blue-green", pause_seconds=120.0),
]
CLIENTS = [f"client-{number:02d}" for number in range(40)]
MOVED = {Problem.DEPLOYMENT_MOVED}
NEVER: set[Problem] = set()
KEPT_STEPS = 1
"""Fewer than in truth, so that what is deployed in turn is deleted too."""


class Fleet(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("chalicelib.rounds.reaching.KEPT_STEPS", KEPT_STEPS)
        self.world = World(heartbeat_seconds=30.0, heartbeat_timeout_seconds=60.0)
        self.world.clock.now = utc_now()  # the store dates objects by the machine's clock
        self.world.model(rounds=0, keep_versions=2)
        self.world.tick()
        self.seen = {"ann": 1, "bob": 1}
        self.versions = 1
        self.history: list[Any] = []
        self.states: dict[int, str] = {0: "deployed"}
        self.had: tuple[int, set[str]] = (0, set())
        self.gone: set[int] = set()

    def teardown(self) -> None:
        self.patch.undo()
        self.world.close()

    @initialize()
    def three_versions(self) -> None:
        for _ in range(3):
            self.register()
        for name, begins in {"low": 0.0, "high": 50.0}.items():
            half = CohortRule(slice=LayerSlice(begins=begins, ends=begins + 50.0))
            self.world.operator.set_cohort(name, half, revision=0)

    # ---- what may happen

    @rule()
    def register(self) -> None:
        """A version that is one more; or one that was deleted becomes a new one."""
        data = encode({**BASE, "layer.bias": np.full(3, self.versions % 5, np.float32)})
        made = self.world.operator.register("toy", data)
        assert made.deleted_at is None
        assert made.expires_at is None
        self.versions += 1

    @rule()
    def a_round_opens_or_ends(self) -> None:
        last = self.world.services.rounds.latest("toy")
        if last is None or last.is_terminal:
            self.world.operator.start("toy", 9)
        else:
            self.world.operator.stop("toy")
            self.world.operator.abandon("toy", last.number)
        self.world.tick()

    @rule(sweeps=st.integers(1, 9))
    def days_pass(self, sweeps: int) -> None:
        for _ in range(sweeps):
            self.world.clock.advance(EVERY.total_seconds())
            self.world.tick()

    @rule(version=st.integers(0, 9), operator=OPERATORS, call=st.integers(0, 25))
    def a_deployment_falls_into_a_sweep(self, version: int, operator: str, call: int) -> None:
        seen = [0]

        def between(operation: str, proceed: Any) -> Any:
            seen[0] += 1
            if seen[0] == call + 1:
                self.world.calls.between = None
                self.look(operator)
                self.deploy(operator, version, None)
            return proceed()

        self.world.calls.between = between
        try:
            self.days_pass(1)
        finally:
            self.world.calls.between = None

    @rule(call=st.integers(0, 25))
    def a_sweep_dies(self, call: int) -> None:
        seen = [0]

        def between(operation: str, proceed: Any) -> Any:
            seen[0] += 1
            if seen[0] == call + 1:
                raise Killed(operation)
            return proceed()

        self.world.calls.between = between
        try:
            self.days_pass(1)
        except Killed:
            self.world.restart()
        finally:
            self.world.calls.between = None

    @rule(operator=OPERATORS)
    def look(self, operator: str) -> None:
        self.seen[operator] = self.world.operator.status("toy").deployment_revision

    @rule(operator=OPERATORS, version=st.integers(0, 9), strategy=st.sampled_from(STRATEGIES))
    def deploy(self, operator: str, version: int, strategy: Strategy | None) -> None:
        seen = self.seen[operator]
        version %= self._newest + 1
        is_deleted = self._deleted(version)
        self._ask(
            seen,
            {Problem.VERSION_DELETED} if is_deleted else {Problem.ROLLOUT_GOES_ON, Problem.EXPERIMENTS_GO_ON},
            lambda: self.world.operator.deploy("toy", version, revision=seen, strategy=strategy),
            always={Problem.VERSION_DELETED} if is_deleted else set(),
        )

    @rule(operator=OPERATORS, move=st.sampled_from(["pause", "resume", "promote", "abort"]))
    def move(self, operator: str, move: Any) -> None:
        seen = self.seen[operator]
        self._ask(seen, {Problem.NO_ROLLOUT}, lambda: self.world.operator.move_rollout("toy", move, revision=seen))

    @rule(
        operator=OPERATORS,
        name=st.sampled_from(["one", "two"]),
        cohort=st.sampled_from([None, "low", "high"]),
        new=st.integers(1, 3),
        horizon=st.sampled_from([None, 60.0]),
    )
    def begin_experiment(self, operator: str, name: str, cohort: str | None, new: int, horizon: float | None) -> None:
        seen, is_deleted = self.seen[operator], self._deleted(new)
        arms = [Arm(name="control", version="0", weight=50.0), Arm(name="new", version=str(new), weight=50.0)]
        wanted = StartExperiment(name=name, arms=arms, cohort=cohort, horizon_seconds=horizon, least=2, revision=seen)
        self._ask(
            seen,
            {Problem.VERSION_DELETED} if is_deleted else {Problem.ROLLOUT_GOES_ON, Problem.EXPERIMENTS_OVERLAP},
            lambda: self.world.operator.start_experiment("toy", wanted),
            always={Problem.VERSION_DELETED} if is_deleted else set(),
        )

    @rule(operator=OPERATORS, name=st.sampled_from(["one", "two"]))
    def end_experiment(self, operator: str, name: str) -> None:
        seen = self.seen[operator]
        self._ask(seen, {Problem.UNKNOWN_EXPERIMENT}, lambda: self.world.operator.end_experiment("toy", name, revision=seen))

    @rule(operator=OPERATORS, steps=st.integers(1, 2))
    def roll_back(self, operator: str, steps: int) -> None:
        seen = self.seen[operator]
        present = self._present
        reply = self._ask(
            seen,
            {Problem.VERSION_DELETED} if self._leads_to_nothing(steps) else {Problem.NOTHING_TO_ROLL_BACK_TO},
            lambda: self.world.operator.rollback("toy", steps, revision=seen),
        )
        if reply is not None and reply.revision == present.revision + 1:
            assert self._present.rollout is None
            assert self._present.experiments == ()
            taken = {ref.version for ref in present.beside or (present.stable,)}
            assert taken <= {*reply.left, reply.version}

    @rule(candidate=st.sampled_from([0.9, 0.3, None]), number=st.integers(1, len(CLIENTS)))
    def report(self, candidate: float | None, number: int) -> None:
        """Some clients say what they measured, and that they have what they should."""
        if self._present.rollout is not None:
            all_say(self.world, CLIENTS[:number], candidate)

    @rule(seconds=st.sampled_from([1, 30, 90, 300]))
    def tick(self, seconds: int) -> None:
        self.world.clock.advance(seconds)
        self.world.tick()

    @rule(seconds=st.sampled_from([30, 90]), steps=st.integers(1, 2))
    def a_rollback_falls_into_a_tick(self, seconds: int, steps: int) -> None:
        """Between what a tick reads and what it writes, an operator rolls back: then that is what counts."""
        self.world.clock.advance(seconds)
        replies: list[DeploymentReply] = []

        def between(operation: str, proceed: Any) -> Any:
            if operation in ("PutItem", "TransactWriteItems") and not replies:
                self.world.calls.between = None
                seen = self._present.revision
                try:
                    replies.append(self.world.operator.rollback("toy", steps, revision=seen))
                except Refused as refused:
                    gone = Problem.VERSION_DELETED if self._leads_to_nothing(steps) else None
                    assert refused.problem in (Problem.NOTHING_TO_ROLL_BACK_TO, gone)  # noqa: PT017
            return proceed()

        self.world.calls.between = between
        try:
            self.world.tick()
        finally:
            self.world.calls.between = None
        if replies:
            assert self._present.revision == replies[0].revision
            assert self._present.rollout is None
            assert self._present.experiments == ()

    # ---- what always holds

    @invariant()
    def the_log_only_grows(self) -> None:
        found = list(self.world.services.registry.deployments("toy"))[::-1]
        assert [one.revision for one in found] == list(range(1, len(found) + 1))
        assert found[: len(self.history)] == self.history
        self.history = found

    @invariant()
    def one_version_is_deployed_and_at_most_one_is_on_its_way(self) -> None:
        present = self._present
        states = {one.version: str(one.state) for one in self.world.operator.versions("toy")}
        assert [version for version, state in states.items() if state == "deployed"] == [present.stable.version]
        on_their_way = [version for version, state in states.items() if state == "rolling-out"]
        assert on_their_way == ([present.rollout.candidate.version] if present.rollout else [])
        on_trial = {version for version, state in states.items() if state == "on-trial"}
        assert on_trial == ({ref.version for ref in present.beside} if present.experiments else set())
        assert not (present.rollout and present.experiments)

    @invariant()
    def no_client_is_in_two_experiments_and_each_is_given_what_is_offered(self) -> None:
        present = self._present
        rules = [experiment.rule for experiment in present.experiments]
        assert len(rules) < 2 or None not in rules
        for client in (Described(client_id=name) for name in CLIENTS):
            assert given_to(client, present) in present.offered
            assert sum(rule is None or belongs(rule, client) for rule in rules) <= 1

    @invariant()
    def states_move_as_the_table_says(self) -> None:
        for before, after in zip(self.history, self.history[1:], strict=False):
            for version in before.mentions & after.mentions:
                was, now = _state(before, version), _state(after, version)
                assert now == was or VersionState(now) in MOVES[VersionState(was)], (version, was, now)

    @invariant()
    def nobody_is_sent_back_while_a_rollout_stands(self) -> None:
        present = self._present
        if present.rollout is None:
            self.had = (0, set())
            return
        have = {
            client
            for client in CLIENTS
            if given_to(Described(client_id=client), present).version == present.rollout.candidate.version
        }
        assert self.had[0] != present.rollout.began or self.had[1] <= have
        self.had = (present.rollout.began, have)

    @invariant()
    def no_pointer_dangles(self) -> None:
        _, objects = self.world.everything()
        registry, present = self.world.services.registry, self._present
        for version in registry.versions("toy"):
            if version.deleted_at is None:
                assert f"checkpoints/{version.checkpoint.sha256}.safetensors" in objects
                assert f"versions/{version.document_sha256}.json" in objects
        last = self.world.services.rounds.latest("toy")
        pointed = {0, self._newest, present.stable.version, present.top.version, next_base(last, present).version}
        pointed |= {last.base.version, last.deployed.version} if last else set()
        assert not any(map(self._deleted, pointed))
        for one in self.history:
            assert one.previous is None or 1 <= one.previous < one.revision

    @invariant()
    def what_was_deleted_stays_deleted(self) -> None:
        now = {version.number for version in self.world.services.registry.versions("toy") if version.deleted_at}
        assert self.gone <= now
        self.gone = now

    # ---- helpers

    @property
    def _present(self) -> Any:
        return self.world.services.registry.present("toy")

    @property
    def _newest(self) -> int:
        return self.world.services.registry.newest_number("toy")

    def _deleted(self, number: int) -> bool:
        return self.world.services.registry.known("toy", number).deleted_at is not None

    def _leads_to_nothing(self, steps: int) -> bool:
        """Whether a rollback would lead to a version that was deleted."""
        target = self._present
        for _ in range(steps):
            if target.previous is None:
                return False
            target = self.world.services.registry.revision("toy", target.previous)
        return self._deleted(target.stable.version)

    def _ask(self, seen: int, may_be: set[Problem], send: Any, always: set[Problem] = NEVER) -> DeploymentReply | None:
        """Ask for something; what is refused changes nothing, and says why."""
        before = self._present.revision
        try:
            reply: DeploymentReply = send()
        except Refused as refused:
            assert refused.problem in (MOVED | always if seen < before else may_be)  # noqa: PT017
            assert self._present.revision == before
            return None
        assert reply.revision <= seen + 1
        assert self._present.revision in (before, seen + 1)
        return reply


def _state(deployment: Any, version: int) -> str:
    if version == deployment.stable.version:
        return "deployed"
    if version in deployment.left:
        return "rolled-back"
    return "rolling-out" if deployment.rollout else "on-trial"


TestFleet = Fleet.TestCase
TestFleet.settings = settings(
    max_examples=6, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
