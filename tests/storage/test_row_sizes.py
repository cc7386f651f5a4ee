"""No row can outgrow what DynamoDB takes: the longest of each kind that messages and rules admit, put into a table.

The two longest that devices fill, receipts and rounds, are in `tests/rounds/test_edges.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib.clients.client import REMEMBERED_ROUNDS, Client, ClientState, Fleet
from chalicelib.clients.tally import MOST_NAMES, count
from chalicelib.clients.token import EnrolmentToken
from chalicelib.monitoring.alert import Alert
from chalicelib.monitoring.record import Record
from chalicelib.monitoring.threshold import Threshold
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.model import Model, TrainingState
from chalicelib.registry.sweep import Sweep
from chalicelib.registry.version import Judged, Registration, Version
from chalicelib.rounds.evaluation import Evaluation, Measurement
from chalicelib.storage import keys
from chalicelib.storage.dynamo import Put, Table
from chalicelib.storage.rows import to_item
from muster.wire import admin
from muster.wire import messages as wire
from muster.wire.refs import CheckpointRef, DeltaRef, OptimizerState, StateFile
from tests.fleet import SESSION, World

LIMIT_BYTES = 400 * 1024
"""Amazon DynamoDB: "Service, account, and table quotas"."""

NOW = datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
MODEL, ID, HASH, LABEL = "m" * 48, "c" * 64, "f" * 64, "\\" * 64
NAMES = [f"{number:02d}".rjust(40, "m") for number in range(32)]
METRICS = dict.fromkeys(NAMES[:16], -1.2345678901234567e-30)
DELTAS = (DeltaRef(HASH, wire.MAX_CHECKPOINT_BYTES),) * 2
REF = CheckpointRef(10**8, HASH, wire.MAX_CHECKPOINT_BYTES, 1 << 20, 1 << 40, 1 << 40, DELTAS)
PARAMETERS: dict[str, Any] = dict.fromkeys(NAMES[:16], -1.2345678901234567e-30)
CONFIG = admin.RoundConfig(
    goal=100_000, quorum=100_000, hyperparameters=dict.fromkeys(NAMES, LABEL), keep_updates=True,
    aggregator=admin.Rule(name="a" * 40, parameters=PARAMETERS), optimizer=admin.Rule(name="a" * 40, parameters=PARAMETERS),
    clipping=admin.Clipping(norm=1.2345678901234567e-30, adaptive=True), outliers=admin.Outliers(),
)  # fmt: skip
TOKEN = admin.MintToken(
    uses=5000, label=LABEL, models=[f"{number:02d}".rjust(48, "m") for number in range(16)],
    device_types=[LABEL] * 16,
)  # fmt: skip
WHERE = {"shard": "15", "client": ID, "token": "t" * 32, "model": MODEL, "version": 10**7, "revision": 10**7, "sha256": HASH,
         "round": f"{MODEL}.10000000", "number": 10**7, "at": "2026-12-31T23:59:59.999999Z", "record": "round#10000000",
         "metric": NAMES[0]}  # fmt: skip
"""What the longest keys are made of."""


def longest() -> Iterator[tuple[keys.RowKind, object]]:
    """The longest row of each kind."""
    client = Client(
        ID, HASH, ClientState.REVOKED, LABEL, LABEL, NOW, NOW, dict.fromkeys(NAMES[:16], LABEL), TOKEN.models, MODEL, 10**8,
        HASH, NOW, 10**9, 10**18, (WHERE["round"],) * REMEMBERED_ROUNDS,
    )  # fmt: skip
    yield keys.CLIENT, client
    claims = {f"{number:04d}".rjust(64, "c") for number in range(TOKEN.uses)}
    yield (
        keys.TOKEN,
        EnrolmentToken("t" * 32, HASH, TOKEN.uses, LABEL, NOW, NOW, 10**10, TOKEN.models, TOKEN.device_types, NOW, claims),
    )
    yield keys.FLEET, Fleet(10**9)
    row = {"rounds": 10**9, "samples": 10**18, "state": "active", "last_seen_at": WHERE["at"]}
    fleet = ({**row, "device_type": f"{n:04d}".rjust(64, "d"), "model": f"{n:04d}".rjust(48, "m")} for n in range(1000))
    tally = count(15, fleet, NOW, 1e9)
    assert len(tally.by_device_type) == len(tally.active_by_model) == MOST_NAMES + 1
    yield keys.TALLY, tally
    yield keys.MODEL, Model(MODEL, CONFIG, NOW, TrainingState.RUNNING, 10**6)
    state = OptimizerState("o" * 40, 10**8, tuple(StateFile(letter, HASH, 1 << 40) for letter in "mv"))
    yield (
        keys.VERSION,
        Version(
            MODEL,
            10**8,
            REF,
            HASH,
            NOW,
            CONFIG,
            10**8,
            10**8,
            10**8,
            10**8,
            HASH,
            METRICS,
            METRICS,
            LABEL,
            state,
            1.23456e-30,
            Judged(10**4, 10**4, 10**4, -1.2345678901234567, 1.2345678901234567e-30, 10**9),
        ),
    )
    left = tuple(range(10**7, 10**7 + 100))  # as many as one rollback may go back
    yield keys.DEPLOYMENT, Deployment(MODEL, 10**8, REF, NOW, LABEL, 10**8, left=left, by="a" * 2048, round=10**8)
    yield keys.REGISTRATION, Registration(10**8)
    yield keys.SWEEP, Sweep(NOW, keys.DELTA.key(base_sha256=HASH, target_sha256=HASH), NOW)
    measured = {role: Measurement(10**9, METRICS, "measured") for role in ("candidate", "deployed")}
    yield keys.EVALUATION, Evaluation(WHERE["round"], ID, NOW, NOW, 10**10, measured)
    # What judges and trainers measured, 16 each, what is always recorded, and a number for each reason there could be.
    record = Record(MODEL, NOW, {f"{n:03d}".rjust(40, "m"): -1.2345678901234567e-30 for n in range(100)}, 10**10, 10**8, 10**8)
    yield from ((kind, record) for kind in (keys.ROUND_RECORD, keys.FLEET_RECORD, keys.OUTGOING))
    yield keys.THRESHOLD, Threshold(MODEL, NAMES[0], -1e-30, 1e30)
    yield keys.ALERT, Alert(MODEL, NAMES[0], 10**8, -1e-30, NOW, NOW, -1e-30, 1e30, NOW, NOW, "a" * 2048, NOW, 10**10)


@pytest.mark.parametrize(("kind", "row"), list(longest()), ids=lambda value: getattr(value, "name", ""))
def test_the_longest_row_of_each_kind_is_taken(world: World, kind: keys.RowKind, row: object) -> None:
    name = getattr(world.settings, f"{kind.table}_table")
    item = to_item(row)
    if isinstance(row, EnrolmentToken):
        item["claims"] = set(item["claims"])  # a claim adds to a set, whose elements cost a row nothing but their letters
    assert size(item) < LIMIT_BYTES * 0.85
    table = Table(SESSION.client("dynamodb"), name)
    table.put(Put(table, kind.key(**WHERE), item))
    assert table.get(kind.key(**WHERE))


def test_no_kind_of_row_was_forgotten() -> None:
    assert {kind.name for kind, _ in longest()} | {keys.ROUND.name, keys.RECEIPT.name, keys.RESTORE.name} == {
        kind.name for kind in keys.ROWS
    }


def test_a_row_that_is_too_long_would_not_be_taken(world: World) -> None:
    """The store of the tests does refuse such a row, so the tests above could fail."""
    client = next(row for kind, row in longest() if kind is keys.CLIENT)
    assert isinstance(client, Client)
    item = to_item(replace(client, sdk_version="x" * LIMIT_BYTES))
    table = Table(SESSION.client("dynamodb"), world.settings.clients_table)
    with pytest.raises(Exception, match="Item size has exceeded"):
        table.put(Put(table, keys.CLIENT.key(**WHERE), item))


def size(value: Any) -> int:
    """Bytes that a value costs an item, from above (Amazon DynamoDB: "Item sizes and formats")."""
    if isinstance(value, dict):
        return 3 + sum(1 + len(name.encode()) + size(member) for name, member in value.items())
    if isinstance(value, (list, set)):
        return 3 + sum(1 + size(member) for member in value)
    return len(value.encode()) if isinstance(value, str) else 21
