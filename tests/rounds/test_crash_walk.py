"""The walk: at every single call to AWS that the tick and the workers make in a round, something goes wrong.

Whatever it is, when the next ticks come the round ends with the very bytes that it would have had, and every update is
counted once. A device may also give its place up, at any of these calls: its receipt is then late or failed, and nothing else
is other than it would have been. Each step of the walk is a round of its own, in a world that begins with the same past.

Nothing of a killed function's own outlives it. So where in between two calls it was killed is no matter: it is killed before
each call, and before it returns, which is after its last. And where AWS holds the very bytes that it held at the kill before,
because there was nothing but reads since, it is that kill, which is not done again.
"""

from __future__ import annotations

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
from tests.rounds.playing import counted

OUTLYING = 3
"""The number of the device whose update is far too long, where there are so many."""

STRAGGLER = "device-002"
"""Who has a place and says nothing, where there is one."""

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
    assert straggler.client_id == STRAGGLER
    assert straggler.check_in().kind == "train"
    return devices


def in_parts(world: World) -> list[Device]:
    """A round whose manifest is frozen, in a world whose workers sum one update each."""
    devices = reported(world)
    inspect(world, devices)
    rnd = world.services.rounds.latest("toy")
    assert rnd
    collecting = world.services.coordinator._phases[Phase.COLLECTING]
    assert collecting.advance(rnd)
    return devices


def while_counting(world: World) -> list[Device]:
    """The same as `reported`, where the functions count what they use, and have to write it down."""
    devices = reported(world)
    world.clock.advance(20)
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
        if rnd and rnd.phase is Phase.COLLECTING and counted(world) < len(devices):
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
    """One run of a round, and its stops: each call to AWS that a function makes, and each return. At one, something happens."""

    def __init__(self, world: World, at: int | None = None, happen: Callable[[World], None] = lambda world: None) -> None:
        self._world = world
        self._at = at
        self._happen = happen
        self.stops: list[str] = []
        """The operation that is about to be called, or `RETURN`."""
        self.held: list[bytes | None] = []
        """What AWS held at each stop."""
        world.calls.returning = self._returning

    def between(self, operation: str, proceed: Callable[[], Any]) -> Any:
        """A function calls AWS."""
        self._stop(operation)
        return proceed()

    def _returning(self) -> None:
        if self._world.calls.between is not None:  # a device's request is nobody's walk
            self._stop(RETURN)

    def _stop(self, what: str) -> None:
        self.stops.append(what)
        self.held.append(self._world.held() if self._at is None else None)
        if len(self.stops) - 1 == self._at:
            self._happen(self._world)


RETURN = "its return"


def killed(world: World) -> None:
    """The function's process is gone; it makes no more calls, whatever its handlers try."""

    def dead(operation: str, proceed: Callable[[], Any]) -> Any:
        raise Killed(operation)

    world.calls.between = dead
    raise Killed


def second_tick(world: World) -> None:
    """Another tick comes meanwhile, and whole workers after it."""
    world.calls.between = None
    world.tick()
    world.deliver()


def place_given_up(world: World) -> None:
    """The straggler says that it failed; whatever that is answered, it is no failure of the server's."""
    world.calls.between = None
    body = {"work": "train", "reason": "out-of-memory"}
    key = world.key_of(world.device("", STRAGGLER))
    answer = world.request("POST", "/v1/rounds/toy.1/failure", key=key, body=body)
    assert answer.status_code in (202, 409), answer.text


@pytest.mark.parametrize(
    ("prepare", "until"),
    [
        (opened, "PutItem"),
        (reported, None),
        (in_parts, None),
        (with_outlier, "TransactWriteItems"),
        (with_straggler, None),
        (while_counting, None),
    ],
)
def test_a_function_killed_at_any_call_and_a_second_tick_at_any_call_change_nothing(
    prepare: Callable[[World], list[Device]], until: str | None
) -> None:
    """The last kill is the one after the first call of the operation `until`."""
    settings: dict[str, Any] = {"part_reads": 1} if prepare is in_parts else {"metering": prepare is while_counting}

    def run(at: int | None = None, happen: Callable[[World], None] = lambda world: None) -> tuple[str, Walk]:
        with closing(World(**settings)) as world:
            devices = world.relive(prepare)
            walk = Walk(world, at, happen)
            return finish(world, devices, walk.between), walk

    expected, undisturbed = run()
    stops, held = undisturbed.stops, undisturbed.held
    last = stops.index(until) + 1 if until else len(stops)
    steps: list[tuple[int, Callable[[World], None]]] = []
    for at in range(len(stops[: last + 1])):
        begins = at == 0 or stops[at - 1] == RETURN
        if begins or held[at] is None or held[at] != held[at - 1]:
            steps.append((at, killed))
        if stops[at] != RETURN and at < last:
            steps += [(at, second_tick), *([(at, place_given_up)] if prepare is with_straggler else [])]
    assert len(steps) >= 6
    for at, happen in steps:
        came_to, walk = run(at, happen)
        assert walk.stops[: at + 1] == stops[: at + 1], "each run comes to the same stops"
        assert came_to == expected, f"{happen.__name__} right before call {at}, {stops[at]}"


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
