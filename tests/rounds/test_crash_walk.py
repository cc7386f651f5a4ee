"""The walk: at every single call to AWS that the tick and the workers make in a round, something goes wrong.

Whatever it is, when the next ticks come the round ends with the very bytes that it would have had, and every update is
counted once. A prepared world is forked for each step of the walk, so that all steps start from the same state.
"""

from __future__ import annotations

import gc
import os
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chalicelib.rounds.moves import Phase
from chalicelib.rounds.round import Round
from chalicelib.rounds.round_id import RoundId
from chalicelib.storage import keys
from muster import Device
from muster.aggregation.manifest import Manifest
from muster.wire.admin import Outliers
from tests.fleet import Drift, Killed, World

OUTLYING = 3
"""The number of the device whose update is far too long, where there are so many."""

Hook = Callable[[str, Callable[[], Any]], Any]


@pytest.fixture
def opened(world: World) -> tuple[World, list[Device]]:
    """A model that trains, and two devices; no tick has come yet."""
    world.model(goal=2, quorum=2, evaluators=1, keep_updates=True)
    return world, world.devices(2)


@pytest.fixture
def reported(opened: tuple[World, list[Device]]) -> tuple[World, list[Device]]:
    """A round in which both devices have reported; nothing is inspected yet."""
    world, devices = opened
    world.tick()
    report(world, devices)
    return world, devices


@pytest.fixture
def with_outlier(world: World) -> tuple[World, list[Device]]:
    """A round that is to be frozen, with three updates, and a fourth that is far too long."""
    world.model(goal=3, quorum=3, outliers=Outliers(least=3), evaluators=1, keep_updates=True)
    devices = world.devices(4)
    world.tick()
    report(world, devices)
    inspect(world, devices)
    return world, devices


@pytest.fixture
def in_parts() -> Iterator[tuple[World, list[Device]]]:
    """A round whose manifest is frozen, in a world whose workers sum one update each."""
    world = World(part_reads=1)
    world.model(goal=2, quorum=2, evaluators=1, keep_updates=True)
    devices = world.devices(2)
    world.tick()
    report(world, devices)
    inspect(world, devices)
    rnd = world.services.rounds.latest("toy")
    assert rnd
    collecting = world.services.coordinator._phases[Phase.COLLECTING]
    assert collecting.advance(rnd)
    yield world, devices
    world.close()


def report(world: World, devices: list[Device]) -> None:
    for number, device in enumerate(devices):
        assignment = device.check_in()
        if assignment.kind == "train":
            device.take_part(assignment, Drift(50.0 if number == OUTLYING else 0.1 + 0.2 * number, examples=10 + number))


def inspect(world: World, devices: list[Device]) -> None:
    for device in devices:
        world.services.inspector.inspect(RoundId("toy", 1), device.client_id)
    world.sqs.purge_queue(QueueUrl=world.settings.inspection_queue_url)


def finish(world: World, devices: list[Device], hook: Hook | None) -> str:
    """Let ticks come until the round has ended, `hook` standing between the functions and AWS; what was published."""
    for _ in range(12):
        for act in (world.tick, world.deliver):
            world.calls.between = hook
            try:
                act()
            except Killed:
                pass
            finally:
                world.calls.between = None
        rnd = world.services.rounds.latest("toy")
        if rnd and rnd.summary:
            return published(world, rnd, devices)
        if rnd and rnd.phase is Phase.COLLECTING and rnd.admitted < len(devices):
            report(world, devices)
        elif rnd and rnd.phase is Phase.EVALUATING:
            world.judge(devices)
        world.clock.advance(60)
    raise AssertionError(f"the round has not ended: {rnd}")


def published(world: World, rnd: Round, devices: list[Device]) -> str:
    """Digest of the deployed version, once everything that must hold does."""
    assert (rnd.phase, rnd.number) == (Phase.COMPLETED, 1)
    assert rnd.summary
    counted, outlying = devices[:OUTLYING], devices[OUTLYING:]
    rejected = {"norm-outlier": len(outlying)} if outlying else {}
    assert (rnd.summary.accepted, rnd.summary.rejected, rnd.summary.late) == (len(counted), rejected, 0)
    assert rnd.summary.open == 0
    for device in outlying:
        assert device.receipt("toy.1").reason == "norm-outlier"
    assert [world.operator.client(device.client_id).rounds for device in devices] == [1] * len(devices)
    version, older = world.services.registry.versions("toy")
    assert (version.number, older.number) == (1, 0)
    (delta,) = version.checkpoint.deltas
    assert delta.base_sha256 == older.checkpoint.sha256
    stat = world.services.blobs.stat(keys.DELTA.key(base_sha256=delta.base_sha256, target_sha256=version.checkpoint.sha256))
    assert stat
    assert stat.nbytes == delta.nbytes
    deployment = world.services.registry.deployment("toy")
    assert deployment
    assert (deployment.revision, deployment.stable) == (2, version.checkpoint)
    assert version.manifest_sha256 == rnd.manifest_sha256
    key = keys.MANIFEST.key(round="toy.1", sha256=rnd.manifest_sha256)
    manifest = Manifest.from_bytes(world.services.blobs.read(key, 1 << 20))
    assert [entry.client_id for entry in manifest.entries] == [device.client_id for device in counted]
    assert [entry.client_id for entry in manifest.quarantined] == [device.client_id for device in outlying]
    return version.checkpoint.sha256


class Walk:
    """One undisturbed run that, at every call, sends a copy of itself down another path.

    The copy is a fork: it shares everything up to that call, meets with what `disturb` does there, lets the next ticks come,
    and tells what it published.
    """

    def __init__(self, world: World, devices: list[Device], *, until: str | None = None) -> None:
        self._world = world
        self._devices = devices
        self._until = until
        self._pipe: int | None = None
        self.outcomes: list[tuple[str, str]] = []

    def run(self) -> str:
        """Walk to the end; what the undisturbed run published."""
        gc.collect()
        gc.freeze()
        try:
            answer = finish(self._world, self._devices, self._between)
        except BaseException:
            if self._pipe is None:
                raise
            answer = traceback.format_exc()
        if self._pipe is not None:
            os.write(self._pipe, answer[-60_000:].encode())
            os._exit(0)
        return answer

    def _between(self, operation: str, proceed: Callable[[], Any]) -> Any:
        if self._pipe is not None or self._until == "reached":
            return proceed()
        at = f"call {len(self.outcomes) // 3}, {operation}"
        if self._fork(f"killed right before {at}"):
            raise Killed(at)
        if self._fork(f"a second tick right before {at}"):
            self._world.calls.between = None
            self._world.tick()
            self._world.deliver()
            return proceed()
        answer = proceed()
        if self._fork(f"killed right after {at}"):
            raise Killed(at)
        if operation == self._until:
            self._until = "reached"
        return answer

    def _fork(self, path: str) -> bool:
        """True in the copy; in the original, False, after the copy has told its outcome."""
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            self._pipe = writing
            return True
        os.close(writing)
        with os.fdopen(reading) as pipe:
            self.outcomes.append((path, pipe.read()))
        os.waitpid(child, 0)
        return False


@pytest.mark.parametrize(
    ("state", "until"),
    [("opened", "PutItem"), ("reported", None), ("in_parts", None), ("with_outlier", "TransactWriteItems")],
)
def test_a_function_killed_at_any_call_and_a_second_tick_at_any_call_change_nothing(
    state: str, until: str | None, request: pytest.FixtureRequest
) -> None:
    walk = Walk(*request.getfixturevalue(state), until=until)

    expected = walk.run()

    assert len(walk.outcomes) >= 12
    assert [(path, outcome) for path, outcome in walk.outcomes if outcome != expected] == []


def test_every_call_sent_twice_because_its_response_was_lost_changes_nothing() -> None:
    def twice(operation: str, proceed: Callable[[], Any]) -> Any:
        proceed()
        return proceed()

    outcomes = []
    for hook in (None, twice):
        world = World()
        try:
            world.calls.between = hook
            world.model(goal=2, quorum=2, evaluators=1, keep_updates=True)
            devices = world.devices(2)
            world.tick()
            report(world, devices)
            outcomes.append(finish(world, devices, hook))
        finally:
            world.close()
    assert outcomes[0] == outcomes[1]
