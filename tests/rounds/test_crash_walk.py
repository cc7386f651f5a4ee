"""The walk: at every single call to AWS that the tick and the workers make in a round, something goes wrong.

Whatever it is, when the next ticks come the round ends with the very bytes that it would have had, and every update is
counted once. A device may also give its place up, at any of these calls: its receipt is then late or failed, and nothing else
is other than it would have been. A prepared world is forked for each step of the walk, so that all steps start from the same
state.

Nothing of a killed function's own outlives it. So where in between two calls it was killed is no matter: it is killed before
each call, and before it returns, which is after its last. And where AWS holds the very bytes that it held at the kill before,
because there was nothing but reads since, it is that kill, which is not done again.
"""

from __future__ import annotations

import gc
import os
import traceback
import warnings
from collections.abc import Callable
from contextlib import closing
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


def opened(world: World) -> list[Device]:
    """A model that trains, and two devices; no tick has come yet."""
    world.model(goal=2, quorum=2, evaluators=1, keep_updates=True)
    return world.devices(2)


def reported(world: World) -> list[Device]:
    """A round in which both devices have reported; nothing is inspected yet."""
    devices = opened(world)
    world.tick()
    report(world, devices)
    return devices


def with_outlier(world: World) -> list[Device]:
    """A round that is to be frozen, with three updates, and a fourth that is far too long."""
    world.model(goal=3, quorum=3, outliers=Outliers(least=3), evaluators=1, keep_updates=True)
    devices = world.devices(4)
    world.tick()
    report(world, devices)
    inspect(world, devices)
    return devices


def with_straggler(world: World) -> list[Device]:
    """A round in which both devices have reported, and a third one has a place and says nothing."""
    devices = reported(world)
    (straggler,) = world.devices(1)
    assert straggler.check_in().kind == "train"
    return devices


def give_up(world: World, devices: list[Device]) -> None:
    """Who has a place and no update says that it failed; whatever that is answered, it is no failure of the server's."""
    known = {device.client_id for device in devices}
    for receipt in list(world.services.rounds.receipts(RoundId("toy", 1))):
        if receipt.client_id not in known:
            key = world.key_of(world.device("", receipt.client_id))
            body = {"work": "train", "reason": "out-of-memory"}
            answer = world.request("POST", "/v1/rounds/toy.1/failure", key=key, body=body)
            assert answer.status_code in (202, 409), answer.text


def in_parts(world: World) -> list[Device]:
    """A round whose manifest is frozen, in a world whose workers sum one update each."""
    devices = reported(world)
    inspect(world, devices)
    rnd = world.services.rounds.latest("toy")
    assert rnd
    collecting = world.services.coordinator._phases[Phase.COLLECTING]
    assert collecting.advance(rnd)
    return devices


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
                world.restart()
            finally:
                world.calls.between = None
        rnd = world.services.rounds.latest("toy")
        if rnd and rnd.summary:
            return published(world, rnd, devices)
        if rnd and rnd.phase is Phase.COLLECTING and rnd.admitted < len(devices):
            report(world, devices)
        elif rnd and rnd.phase is Phase.EVALUATING:
            world.judge(devices[:1])
        world.clock.advance(60)
    raise AssertionError(f"the round has not ended: {rnd}")


def published(world: World, rnd: Round, devices: list[Device]) -> str:
    """Digest of the deployed version, once everything that must hold does."""
    assert (rnd.phase, rnd.number) == (Phase.COMPLETED, 1)
    assert rnd.summary
    counted, outlying = devices[:OUTLYING], devices[OUTLYING:]
    rejected = {"norm-outlier": len(outlying)} if outlying else {}
    assert (rnd.summary.accepted, rnd.summary.rejected) == (len(counted), rejected)
    known = {device.client_id for device in devices}
    stragglers = [receipt for receipt in world.services.rounds.receipts(RoundId("toy", 1)) if receipt.client_id not in known]
    assert all(receipt.state.value in ("late", "failed") for receipt in stragglers)
    assert rnd.summary.late + rnd.summary.given_up == len(stragglers)
    assert rnd.summary.open == 0
    for device in outlying:
        assert device.receipt("toy.1").reason == "norm-outlier"
    clients = [world.services.clients.get(device.client_id) for device in devices]
    assert [client.rounds for client in clients if client] == [1] * len(devices)
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
    """One undisturbed run that, at every call, sends copies of itself down other paths.

    A copy is a fork: it shares everything up to that call, meets with what disturbs it there, lets the next ticks come, and
    tells what it published. The kill after the first call of the operation `until` is the last.
    """

    def __init__(self, world: World, devices: list[Device], *, until: str | None = None, straggles: bool = False) -> None:
        self._world = world
        self._devices = devices
        self._until = until
        self._straggles = straggles
        """Whether somebody has a place to give up."""
        self._calls = 0
        self._one_kill_left = self._over = False
        self._held: bytes | None = None
        self._came_to = ""
        """What AWS held at the last kill of the present function, and what that kill came to."""
        self._pipe: int | None = None
        self.outcomes: list[tuple[str, str]] = []

    def run(self) -> str:
        """Walk to the end; what the undisturbed run published."""
        gc.collect()
        gc.freeze()
        self._world.calls.returning = self._returning
        try:
            answer = finish(self._world, self._devices, self._between)
        except BaseException:
            if self._pipe is None:
                raise
            answer = traceback.format_exc()
        if self._pipe is not None:
            os.write(self._pipe, answer[-60_000:].encode())
            os._exit(0)
        gc.unfreeze()
        return answer

    def _between(self, operation: str, proceed: Callable[[], Any]) -> Any:
        self._kill(operation)
        if self._forks(f"a second tick right before call {self._calls}, {operation}"):
            self._world.calls.between = None
            self._world.tick()
            self._world.deliver()
            return proceed()
        if self._straggles and self._forks(f"a place given up right before call {self._calls}, {operation}"):
            self._world.calls.between = None
            give_up(self._world, self._devices)
            return proceed()
        answer = proceed()
        self._calls += 1
        self._one_kill_left |= operation == self._until
        return answer

    def _returning(self) -> None:
        if self._world.calls.between is not None:  # a device's request is nobody's walk
            self._kill("its return")
            self._held = None

    def _kill(self, what: str) -> None:
        if self._pipe is not None or self._over:
            return
        path, held = f"killed right before call {self._calls}, {what}", self._world.held()
        if held is not None and held == self._held:
            self.outcomes.append((path, self._came_to))
        elif self._forks(path):
            self._world.calls.between = dead
            raise Killed
        self._held, self._came_to = held, self.outcomes[-1][1]
        self._over = self._one_kill_left

    def _forks(self, path: str) -> bool:
        """True in a copy that was made here; in the original, False, after the copy has told its outcome."""
        if self._over or self._pipe is not None:
            return False
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            self._pipe = writing
            gc.disable()  # a collection would copy the pages of what both have
            return True
        os.close(writing)
        with os.fdopen(reading) as pipe:
            self.outcomes.append((path, pipe.read()))
        os.waitpid(child, 0)
        return False


def dead(operation: str, proceed: Callable[[], Any]) -> Any:
    """What was killed makes no more calls, whatever its handlers try."""
    raise Killed(operation)


@pytest.mark.parametrize(
    ("prepare", "until"),
    [(opened, "PutItem"), (reported, None), (in_parts, None), (with_outlier, "TransactWriteItems"), (with_straggler, None)],
)
def test_a_function_killed_at_any_call_and_a_second_tick_at_any_call_change_nothing(
    prepare: Callable[[World], list[Device]], until: str | None
) -> None:
    settings: dict[str, Any] = {"part_reads": 1} if prepare is in_parts else {}
    with closing(World(**settings)) as world:  # it goes first also so that no copy makes what a process makes on first use
        expected = finish(world, prepare(world), None)
    with closing(World(**settings)) as world:
        walk = Walk(world, prepare(world), until=until, straggles=prepare is with_straggler)
        assert walk.run() == expected

    assert len(walk.outcomes) >= 9
    assert [(path, outcome) for path, outcome in walk.outcomes if outcome != expected] == []


def test_every_call_sent_twice_because_its_response_was_lost_changes_nothing() -> None:
    def twice(operation: str, proceed: Callable[[], Any]) -> Any:
        proceed()
        return proceed()

    outcomes = []
    for hook in (None, twice):
        with closing(World()) as world:
            world.calls.between = hook
            devices = reported(world)
            outcomes.append(finish(world, devices, hook))
    assert outcomes[0] == outcomes[1]
