"""Operators who register, deploy and roll back against each other, and rounds that decide, in any order.

Every operator acts on the revision that it saw last, which may be long gone. A plain list is what the log should be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chalicelib.clients.client import Client, ClientState
from chalicelib.clients.credentials import Credential
from chalicelib.rounds.judgement import Judgement, Measurement
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.round import Round
from muster.http.errors import Refused
from muster.wire.arrays import encode
from muster.wire.problems import Problem
from tests.fleet import BASE, World

OPERATORS = st.sampled_from(["ann", "bob"])
JUDGE = Credential("judge-1", "s" * 43)


@dataclass(frozen=True)
class Row:
    """What the log should hold: a version, the revision beneath it, and the versions that were left."""

    version: int
    previous: int | None
    left: tuple[int, ...] = ()
    rolled_back: bool = False


class Registry(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.model(rounds=0)
        now = self.world.clock()
        self.world.add(
            Client(
                client_id=JUDGE.public,
                key_hash=JUDGE.hashed,
                state=ClientState.ACTIVE,
                device_type="edge",
                sdk_version="1.0",
                enrolled_at=now,
                last_seen_at=now,
            )
        )
        self.log = [Row(0, None)]
        self.versions = 1
        self.seen = {"ann": 1, "bob": 1}
        self.history: list[Any] = []
        self.round: Round | None = None
        self.in_training: int | None = None

    def teardown(self) -> None:
        self.world.close()

    # ---- what operators and rounds do

    @initialize()
    def two_versions(self) -> None:
        self.register()
        self.register()

    @rule(operator=OPERATORS)
    def look(self, operator: str) -> None:
        self.seen[operator] = self.world.operator.status("toy").deployment_revision
        assert self.seen[operator] == len(self.log)

    @rule()
    def register(self) -> None:
        data = encode({**BASE, "layer.bias": np.full(3, self.versions, np.float32)})
        made = self.world.operator.register("toy", data)
        assert (made.version, made.state) == (self.versions, "staged")
        assert self.world.operator.register("toy", data).id == made.id, "the same again is the same"
        self.versions += 1

    @rule(operator=OPERATORS, version=st.integers(0, 9), repeats=st.integers(1, 2))
    def deploy(self, operator: str, version: int, repeats: int) -> None:
        version %= self.versions
        if version == self.in_training:
            return
        seen = self.seen[operator]
        wanted = Row(version, seen)
        for _ in range(repeats):
            kept = self.log[seen - 1].version == version and seen == len(self.log)
            self._act(seen, wanted, kept, lambda: self.world.operator.deploy("toy", version, revision=seen).revision)

    @rule(operator=OPERATORS, steps=st.integers(1, 3), repeats=st.integers(1, 2))
    def roll_back(self, operator: str, steps: int, repeats: int) -> None:
        seen = self.seen[operator]
        wanted = self._rolled_back(seen, steps)
        for _ in range(repeats):
            if wanted is None:
                stale = seen < len(self.log)
                problem = Problem.DEPLOYMENT_MOVED if stale else Problem.NOTHING_TO_ROLL_BACK_TO
                self._refused(problem, lambda: self.world.operator.rollback("toy", steps, revision=seen))
            else:
                self._act(seen, wanted, False, lambda: self.world.operator.rollback("toy", steps, revision=seen).revision)

    @rule(version=st.integers(0, 9), rival=st.integers(0, 9))
    def two_deploy_at_once(self, version: int, rival: int) -> None:
        """The rival's whole request falls between the reading and the writing of another."""
        version, rival, seen = version % self.versions, rival % self.versions, len(self.log)
        present = self.log[-1].version
        if self.in_training in (version, rival) or present in (version, rival):
            return

        def between(operation: str, proceed: Callable[[], Any]) -> Any:
            if operation == "TransactWriteItems":
                self.world.calls.between = None
                self._act(seen, Row(rival, seen), False, lambda: self._deploy(rival, seen))
            return proceed()

        self.world.calls.between = between
        self._act(seen, Row(version, seen), False, lambda: self._deploy(version, seen), settled_inside=Row(rival, seen))

    @precondition(lambda self: self.round is None)
    @rule()
    def publish(self) -> None:
        """A round publishes a candidate, as the aggregation does, and is to be judged."""
        registry, rounds = self.world.services.registry, self.world.services.rounds
        newest, present, model = registry.newest("toy"), registry.deployment("toy"), registry.model("toy")
        assert newest
        assert present
        assert model
        candidate = replace(newest.checkpoint, version=newest.number + 1)
        number = 1 + max((r.number for r in self.world.operator.rounds("toy")), default=0)
        now = self.world.clock()
        opened = Round(
            model="toy",
            number=number,
            phase=Phase.EVALUATING,
            fence=2,
            config=model.config,
            base=newest.checkpoint,
            deployed=present.stable,
            deployment_revision=present.revision,
            opened_at=now,
            report_by=now + timedelta(seconds=60),
            completed_before=0,
            manifest_sha256="0" * 64,
            candidate=candidate,
            evaluate_by=now + timedelta(seconds=60),
        )
        put = registry.put_version(
            replace(
                newest, number=candidate.version, checkpoint=candidate, round=number, revision=present.revision, evaluation=None
            )
        )
        put.table.put(put)
        self.round, self.in_training = rounds.open(opened), candidate.version
        self.versions += 1

    @precondition(lambda self: self.round is not None)
    @rule(gain=st.sampled_from([-0.2, 0.0, 0.2]))
    def evaluate(self, gain: float) -> None:
        """The round's judges speak, and the tick decides."""
        rnd, now = self.round, self.world.clock()
        assert rnd
        assert rnd.candidate
        rounds, own = self.world.services.rounds, self.world.services.directory.allowance(JUDGE, "toy")
        rounds.appoint(
            Judgement(round=rnd.id, client_id=JUDGE.public, assigned_at=now, report_by=now + timedelta(seconds=60), ttl=0)
        )
        for role, accuracy in (("deployed", 0.5), ("candidate", 0.5 + gain)):
            rounds.measure(rnd.id, own, role, Measurement(10, {"accuracy": accuracy}), now)
        self.world.clock.advance(60)
        self.world.tick()
        overtaken = len(self.log) != rnd.deployment_revision
        if gain > 0 and not overtaken:
            self.log.append(Row(rnd.candidate.version, len(self.log)))
        self.round = self.in_training = None

    # ---- what must hold after each of them

    @invariant()
    def the_log_is_what_it_should_be_and_only_grows(self) -> None:
        found = list(self.world.services.registry.deployments("toy"))[::-1]
        assert [d.revision for d in found] == list(range(1, len(self.log) + 1))
        assert [(d.stable.version, d.previous, d.left) for d in found] == [(r.version, r.previous, r.left) for r in self.log]
        assert found[: len(self.history)] == self.history
        self.history = found

    @invariant()
    def exactly_one_version_is_deployed(self) -> None:
        versions = list(self.world.operator.versions("toy"))
        assert [v.version for v in versions] == list(range(self.versions - 1, -1, -1))
        assert [v.version for v in versions if v.state == "deployed"] == [self.log[-1].version]
        assert [v.version for v in versions if "champion" in v.aliases] == [self.log[-1].version]
        assert [v.version for v in versions if v.state == "training"] == ([self.in_training] if self.in_training else [])

    @invariant()
    def no_pointer_dangles(self) -> None:
        _, objects = self.world.everything()
        for deployment in self.history:
            assert deployment.stable.version < self.versions
            assert f"checkpoints/{deployment.stable.sha256}.safetensors" in objects
            assert deployment.previous is None or 1 <= deployment.previous < deployment.revision

    # ---- helpers

    def _deploy(self, version: int, seen: int) -> int:
        return self.world.operator.deploy("toy", version, revision=seen).revision

    def _act(self, seen: int, wanted: Row, kept: bool, send: Callable[[], int], settled_inside: Row | None = None) -> None:
        """Send a wish, and hold its outcome against the list."""
        made = settled_inside or (self.log[seen] if seen < len(self.log) else None)
        if kept:
            assert send() == seen
        elif made is None:
            assert send() == seen + 1
            self.log.append(wanted)
        elif (made.version, made.left, made.rolled_back) == (wanted.version, wanted.left, wanted.rolled_back):
            assert send() == seen + 1
        else:
            self._refused(Problem.DEPLOYMENT_MOVED, send)

    def _refused(self, problem: Problem, send: Callable[[], object]) -> None:
        try:
            send()
        except Refused as refused:
            assert refused.problem is problem  # noqa: PT017
        else:
            raise AssertionError(f"expected {problem}")

    def _rolled_back(self, seen: int, steps: int) -> Row | None:
        target, left = self.log[seen - 1], set[int]()
        for _ in range(steps):
            left.add(target.version)
            if target.previous is None:
                return None
            target = self.log[target.previous - 1]
        return Row(target.version, target.previous, tuple(sorted(left - {target.version})), rolled_back=True)


TestRegistry = Registry.TestCase
TestRegistry.settings = settings(
    max_examples=6, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
