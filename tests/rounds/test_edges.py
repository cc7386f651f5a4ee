"""The edges: rounds that can never become a version are abandoned by name; rows stay within what DynamoDB takes."""

from __future__ import annotations

from bisect import bisect_left
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from chalicelib.rounds.moves import Phase
from chalicelib.rounds.receipt import Declared, Receipt, ReceiptState, Verdict
from chalicelib.rounds.round import Round
from chalicelib.rounds.round_id import RoundId
from chalicelib.storage import keys
from chalicelib.storage.rows import to_item, to_stored
from muster import Device
from muster.wire.admin import RoundConfig, Rule
from muster.wire.arrays import encode
from muster.wire.hyperparameters import HyperparameterSchema
from muster.wire.magnitudes import packed
from muster.wire.reasons import Reason
from muster.wire.refs import CheckpointRef, DeltaRef
from muster.wire.tensors import HEADER_LIMIT_BYTES, TensorSpec, build_header
from tests.fleet import SESSION, World

ITEM_BYTES = 400 * 1024


def ended(world: World, devices: list[Device], **update: Any) -> Round:
    """The round after its updates have come and it has been aggregated, or not."""
    for device in devices:
        world.update(device, **update)
    world.deliver()
    world.tick()
    rnd = world.services.rounds.get("toy", 1)
    assert rnd
    return rnd


def test_too_few_updates_for_a_rule_abandon_the_round_by_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.model(goal=3, quorum=3, aggregator={"name": "trimmed-mean", "parameters": {"trim": 1}})
    world.tick()
    monkeypatch.setattr("muster.aggregation.rules.coordinatewise.TrimmedMean.needs", 10)
    rnd = ended(world, world.devices(3))
    assert (rnd.phase, rnd.reason) == (Phase.ABANDONED, "too-few-updates: TrimmedMean needs at least 10 updates, got 3")
    assert world.operator.status("toy").deployed_version == 0


def test_too_many_updates_for_a_rule_abandon_the_round_by_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.model(goal=3, quorum=3, aggregator={"name": "krum", "parameters": {"byzantine": 0}})
    world.tick()
    monkeypatch.setattr("muster.aggregation.rules.krum.MOST_UPDATES", 2)
    rnd = ended(world, world.devices(3))
    assert (rnd.phase, rnd.reason) == (Phase.ABANDONED, "too-many-updates: Krum takes at most 2 updates, got 3")


def test_a_sum_that_cannot_be_exact_abandons_the_round_by_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.model(goal=2, quorum=2, encoding="int8", max_examples=10**6)
    world.tick()
    monkeypatch.setattr("muster.aggregation.exact._COARSEST", 60)
    rnd = ended(world, world.devices(2), examples=9000)
    assert rnd.phase is Phase.ABANDONED
    assert rnd.reason == "sum-out-of-range: expected magnitudes below 2**-9, got up to 2**-3"


def test_one_client_and_an_update_of_zeros_are_a_round(world: World) -> None:
    world.model(goal=1, quorum=1, evaluators=0)
    world.tick()
    assert ended(world, world.devices(1), step=0.0).phase is not Phase.ABANDONED
    assert world.operator.version("toy", 1).checkpoint.sha256 == world.operator.version("toy", 0).checkpoint.sha256


def test_when_all_updates_are_rejected_the_round_is_abandoned_and_says_how_many_were_wanted(world: World) -> None:
    world.model(goal=2, quorum=2)
    devices = world.devices(2)
    world.tick()
    update = encode({"layer.weight": np.zeros((3, 4), "f4"), "layer.bias": np.full(3, np.nan, "f4"),
                     "norm.num_batches_tracked": np.array(0, "i8")})  # fmt: skip
    for device in devices:
        device.check_in()
        device.submit("toy.1", update, 10, {})
    world.deliver()
    assert {device.receipt("toy.1").reason for device in devices} == {"not-finite"}
    world.clock.advance(3600)
    world.tick()
    rnd = world.services.rounds.get("toy", 1)
    assert rnd
    assert (rnd.phase, rnd.reason) == (
        Phase.ABANDONED,
        "quorum-not-reached: 0 of 2 updates accepted; 2 clients came for 4 places",
    )


def test_an_object_that_somebody_else_is_writing_is_not_taken_for_written(world: World) -> None:
    """S3 answers 409 to a conditional PUT that races another one; the step is taken again."""
    refusal = ClientError(
        {"Error": {"Code": "ConditionalRequestConflict"}, "ResponseMetadata": {"HTTPStatusCode": 409}},  # type: ignore[typeddict-item]
        "PutObject",
    )

    def conflict(operation: str, proceed: Any) -> Any:
        if operation == "PutObject":
            raise refusal
        return proceed()

    world.calls.between = conflict
    with pytest.raises(ClientError):
        world.services.blobs.put_once("key", b"content")
    world.calls.between = None
    assert world.services.blobs.put_once("key", b"content")


def stored(world: World, row: object) -> int:
    """Put a row into a table, which refuses it beyond 400 KB (Amazon DynamoDB: "Quotas"); and about how many bytes it has."""
    item = to_stored(to_item(row))
    table = SESSION.resource("dynamodb").Table(world.settings.rounds_table)
    table.put_item(Item=item | keys.ROUND.key(model="large", number=1))
    return len(repr(item))


def most_tensors() -> int:
    """How many float tensors a header of the greatest length can hold."""

    def header_bytes(count: int) -> int:
        return len(build_header(tuple(TensorSpec(name=f"{n:x}", dtype="F32", shape=()) for n in range(count))))

    counts = range(0, 50_000, 500)
    return counts[bisect_left(counts, HEADER_LIMIT_BYTES, key=header_bytes)]


def test_the_largest_receipt_stays_within_what_a_row_may_hold(world: World) -> None:
    now, name = world.clock(), "c" * 64
    receipt = Receipt(
        round=RoundId("m" * 48, 10**7), client_id=name, state=ReceiptState.REJECTED, assigned_at=now,
        report_by=now + timedelta(days=1), min_bytes=10**12, max_bytes=10**12, ttl=10**10, encoding="bfloat16",
        declared=Declared(key="k" * 300, sha256="0" * 64, nbytes=10**12, examples=10**9), etag="e" * 64,
        metrics={"m" * 38 + f"{n:02d}": -1.2345678901234567e-300 for n in range(16)}, reported_at=now,
        verdict=Verdict(Reason.WRONG_TENSORS, "x" * 2000, "y" * 2000), norm=1.2345678901234567e-99,
        traceparent="f" * 55,
        magnitudes=packed((5,) * most_tensors(), (-9,) * most_tensors()), header_bytes=HEADER_LIMIT_BYTES,
    )  # fmt: skip
    assert stored(world, receipt) < ITEM_BYTES / 2


def test_the_largest_round_stays_within_what_a_row_may_hold(world: World) -> None:
    deltas = (DeltaRef("0" * 64, 10**12),) * 2
    now, ref = (
        world.clock(),
        CheckpointRef(
            version=10**8,
            sha256="0" * 64,
            nbytes=10**12,
            header_bytes=10**6,
            min_update_bytes=10**12,
            max_update_bytes=10**12,
            deltas=deltas,
        ),
    )
    config = RoundConfig(
        goal=100_000, quorum=1, hyperparameters={"h" * 38 + f"{n:02d}": "v" * 64 for n in range(32)},
        hyperparameter_schema={"h" * 38 + f"{n:02d}": HyperparameterSchema(type="string") for n in range(32)},
        aggregator=Rule(name="a" * 40, parameters={"p" * 38 + f"{n:02d}": 1e-30 for n in range(16)}),
        optimizer=Rule(name="a" * 40, parameters={"p" * 38 + f"{n:02d}": 1e-30 for n in range(16)}),
    )  # fmt: skip
    rnd = Round(
        model="m" * 48, number=10**7, phase=Phase.ABANDONED, fence=9, config=config, base=ref, deployed=ref, candidate=ref,
        deployment_revision=10**8, opened_at=now, report_by=now, completed_before=10**6, reason="r" * 5000,
        manifest_sha256="0" * 64,
    )  # fmt: skip
    assert stored(world, rnd) < ITEM_BYTES / 8
