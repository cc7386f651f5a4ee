"""Rounds, played: a whole one of three updates, two whose places end in every way, and one of many, written by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from chalicelib.rounds.counters import PlaceKind
from chalicelib.rounds.receipt import Declared, Receipt, ReceiptState
from chalicelib.rounds.round import Round
from chalicelib.storage import keys
from chalicelib.storage.dynamo import Put, Table
from chalicelib.storage.rows import to_item
from muster import Device
from muster.wire.arrays import Array
from tests.fleet import SESSION, Drift, World

STEPS = [0.1, 0.25, 0.4]
EXAMPLES = [10, 20, 70]


def counted(world: World, kind: PlaceKind = "admitted") -> int:
    """Places of the toy model's last round that were given, as its counters have it."""
    rnd = world.services.rounds.latest("toy")
    assert rnd
    return sum(counters.counted(kind) for counters in world.services.counters.read(rnd))


def run_round(world: World, number: int = 1, **config: Any) -> str:
    """A round of three updates; the SHA-256 of the version that it published. The first makes the model."""
    if number == 1:
        world.model(**config)
    world.tick()
    devices = world.devices(3)
    for device, step, examples in zip(devices, STEPS, EXAMPLES, strict=True):
        world.update(device, step=step, examples=examples)
    world.play(devices)
    return world.operator.version("toy", number).checkpoint.sha256


def far(moved: dict[str, Array]) -> dict[str, Array]:
    """Numbers that are finite, and too large for any model."""
    return {name: array + np.float32(1e20) if array.dtype.kind == "f" else array for name, array in moved.items()}


def mixed(world: World) -> list[Device]:
    """A round in which one update was accepted, one rejected, one given up, and one is still at work."""
    world.model(goal=4, quorum=4, over_selection=1.0)
    world.tick()
    devices = world.devices(4)
    world.update(devices[0], step=0.1, examples=10)
    world.update(devices[1], step=0.1, examples=20, spoil=far)
    devices[2].check_in()
    body = {"work": "train", "reason": "wrong-shape", "error": "ValueError"}
    assert world.request("POST", "/v1/rounds/toy.1/failure", key=world.key_of(devices[2]), body=body).status_code == 202
    devices[3].check_in()
    world.deliver()
    return devices


def judged(world: World) -> list[Device]:
    """A round whose candidate three were asked to judge: one has, one has measured one version, one has given up."""
    world.model(goal=3, quorum=3, over_selection=1.0, evaluators=3, evaluation_quorum=3)
    world.tick()
    devices = world.devices(3)
    for device in devices:
        world.update(device, step=0.1)
    for _ in range(4):
        world.deliver()
        world.tick()
    world.clock.advance(world.settings.memory_seconds)  # nobody remembers the round as it was
    first, second, third = devices
    assignment = first.check_in()
    assert assignment.kind == "evaluate"
    first.judge(assignment, Drift(0.0))
    second.check_in()
    third.check_in()
    give_up = {"work": "evaluate", "reason": "no-time", "error": "TimeoutError"}
    assert world.request("POST", "/v1/rounds/toy.1/failure", key=world.key_of(third), body=give_up).status_code == 202
    return devices


def crowd(world: World, count: int) -> Round:
    """A round in whose every place a client has reported; nothing is inspected yet."""
    world.model(goal=count, quorum=1, over_selection=1.0, evaluators=0)
    world.tick()
    rnd = world.services.rounds.latest("toy")
    assert rnd
    table = Table(SESSION.client("dynamodb"), world.settings.rounds_table)
    for number in range(count):
        declared = Declared(key="u", sha256="0" * 64, nbytes=500, examples=10)
        receipt = Receipt(
            round=rnd.id, client_id=f"client-{number:06d}", state=ReceiptState.REPORTED, assigned_at=world.clock(),
            report_by=rnd.report_by, min_bytes=1, max_bytes=10**6, ttl=10**10, part=number % rnd.parts, declared=declared,
            grants=1, etag="e", reported_at=world.clock(),
        )  # fmt: skip
        part = keys.part_of(receipt.client_id, rnd.parts)
        key = keys.RECEIPT.key(round=rnd.id, part=part, client=receipt.client_id)
        table.put(Put(table=table, key=key, item=to_item(receipt)))
    return rnd
