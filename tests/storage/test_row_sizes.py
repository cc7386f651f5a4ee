"""No row can outgrow what DynamoDB takes: the longest of each kind that messages and rules admit, put into a table.

The two longest that devices fill, receipts and rounds, are in `tests/rounds/test_edges.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib.clients.bounds import PaceBounds
from chalicelib.clients.client import REMEMBERED_ROUNDS, Client, ClientState, Conduct, Fleet, Readiness
from chalicelib.clients.cohort import Cohort
from chalicelib.clients.tally import MOST_NAMES, count
from chalicelib.clients.tally_store import CountLease
from chalicelib.clients.token import EnrolmentToken, TokenUses
from chalicelib.monitoring.alert import Alert, Silence
from chalicelib.monitoring.objectives import OF_A_MODEL, ObjectiveDay
from chalicelib.monitoring.record import Record
from chalicelib.monitoring.threshold import Threshold
from chalicelib.registry.configuration import Configuration
from chalicelib.registry.deployment import Deployment, Signed
from chalicelib.registry.experiment import Experiment, ExperimentArm
from chalicelib.registry.model import Model, TrainingState
from chalicelib.registry.retention import Amount, Storage
from chalicelib.registry.rollout import Rollout
from chalicelib.registry.sweep import Sweep
from chalicelib.registry.version import Judged, Registration, Version
from chalicelib.rollouts.report import RolloutReport, Verification
from chalicelib.rollouts.trial import ExperimentReport, outcome
from chalicelib.rounds.counters import Counters
from chalicelib.rounds.judgement import Judgement, Measurement
from chalicelib.rounds.looks import LookStamp
from chalicelib.rounds.phases.traces import MOST_TRACES
from chalicelib.rounds.round_id import RoundId
from chalicelib.spending import AMOUNTS, Spending
from chalicelib.storage import keys
from chalicelib.storage.dynamo import Put, Table
from chalicelib.storage.rows import to_item
from chalicelib.vitals import Newest, Pulse, Trouble
from muster.wire import admin
from muster.wire import messages as wire
from muster.wire.deciding import DecidingMetric
from muster.wire.refs import CheckpointRef, DeltaRef, OptimizerState, StateFile
from muster.wire.scheduling import RoundTable
from muster.wire.statements import LONGEST_SIGNATURE, LONGEST_STATEMENT
from tests.fleet import SESSION, World

LIMIT_BYTES = 400 * 1024
"""Amazon DynamoDB: "Service, account, and table quotas"."""

NOW = datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
MODEL, ID, HASH, LABEL = "m" * 48, "c" * 64, "f" * 64, "\\" * 64
NAMES = [f"{number:02d}".rjust(40, "m") for number in range(32)]
TABLE = RoundTable(schedule="table", values=[-1.2345678901234567e-30] * 100)
METRICS = dict.fromkeys(NAMES[:16], -1.2345678901234567e-30)
DELTAS = (DeltaRef(HASH, wire.MAX_CHECKPOINT_BYTES),) * 2
REF = CheckpointRef(
    version=10**8,
    sha256=HASH,
    nbytes=wire.MAX_CHECKPOINT_BYTES,
    header_bytes=1 << 20,
    min_update_bytes=1 << 40,
    max_update_bytes=1 << 40,
    deltas=DELTAS,
)
PARAMETERS: dict[str, Any] = dict.fromkeys(NAMES[:16], -1.2345678901234567e-30)
STRATEGY = admin.Strategy(
    kind="canary", steps=[1.01 + number for number in range(20)], pause_seconds=1.2345678901234, window_seconds=1.2345678901234,
    guard=admin.GuardRule(
        metric=DecidingMetric(name="m" * 40, direction="higher", minimum=-1.23456789012345e-30, maximum=1.23456789012345e29),
        margin=1.2345678901234567e-30, level=0.012345678901234567, liars=0.012345678901234567, least=100_000,
    ),
)  # fmt: skip
CONFIG = admin.RoundConfig(
    goal=100_000, quorum=100_000, hyperparameters=dict.fromkeys(NAMES, TABLE), keep_updates=True,
    aggregator=admin.Rule(name="a" * 40, parameters=PARAMETERS), optimizer=admin.Rule(name="a" * 40, parameters=PARAMETERS),
    clipping=admin.Clipping(norm=1.2345678901234567e-30, adaptive=True), outliers=admin.Outliers(),
    metric=DecidingMetric(name="m" * 40, direction="higher", minimum=-1.2345678901234567e-30, maximum=1.2345678901234567e29),
    min_gain=1.2345678901234567e-30, max_regression=1.2345678901234567e-30, strategy=STRATEGY,
)  # fmt: skip
TOKEN = admin.MintToken(
    uses=5000, label=LABEL, models=[f"{number:02d}".rjust(48, "m") for number in range(16)],
    device_types=[LABEL] * 16,
)  # fmt: skip
RULE = admin.CohortRule(
    device_types=[LABEL] * 16, sdk_versions=[LABEL] * 16, capabilities=dict.fromkeys(NAMES[:16], LABEL),
    slice=admin.LayerSlice(layer="l" * 40, begins=12.34, ends=56.78),
)  # fmt: skip
EXPERIMENT = Experiment(
    name="e" * 48, began=10**8, since=NOW, metric=CONFIG.metric, level=0.012345678901234567, least=10**5, secret=HASH,
    cohort=f"{'c' * 48}.{10**8}", rule=RULE, horizon=NOW, beneath=10**8,
    arms=tuple(ExperimentArm(name=f"{n}".rjust(32, "a"), checkpoint=replace(REF, version=n), weight=1_250) for n in range(8)),
)  # fmt: skip
FOUND = outcome(MODEL, EXPERIMENT, [], NOW)
ROUND = RoundId(MODEL, 10**7)
WHERE: dict[str, Any] = {
    "shard": "15", "share": "63", "segment": f"15#{ID}",
    "client": ID, "token": "t" * 32, "model": MODEL, "version": 10**7, "revision": 10**7, "sha256": HASH,
    "round": str(ROUND), "number": 10**7, "at": "2026-12-31T23:59:59.999999Z", "record": "round#10000000",
    "metric": NAMES[0], "day": "2026-12-31", "cohort": "c" * 48, "doing": "d" * 64,
}  # fmt: skip
"""What the longest keys are made of."""


def longest() -> Iterator[tuple[keys.RowKind, object]]:
    """The longest row of each kind."""
    client = Client(
        client_id=ID,
        key_hash=HASH,
        state=ClientState.REVOKED,
        device_type=LABEL,
        sdk_version=LABEL,
        enrolled_at=NOW,
        last_seen_at=NOW,
        capabilities=dict.fromkeys(NAMES[:16], LABEL),
        models=TOKEN.models,
        model=MODEL,
        version=10**8,
        previous_key_hash=HASH,
        key_rotated_at=NOW,
        rounds=10**9,
        samples=10**18,
        credited=(str(ROUND),) * REMEMBERED_ROUNDS,
        readiness=Readiness(charging=False, idle=False, unmetered=False),
        heartbeat_arrival=1.2345678901234567e9,
        checkin_arrival=1.2345678901234567e9,
        conduct=Conduct(strikes=10**9, rounds=(str(ROUND),) * REMEMBERED_ROUNDS, quarantines=10**9, quarantined_until=NOW),
    )
    yield keys.CLIENT, client
    yield (
        keys.TOKEN,
        EnrolmentToken(
            token_id="t" * 32,
            secret_hash=HASH,
            uses=TOKEN.uses,
            shares=64,
            label=LABEL,
            created_at=NOW,
            expires_at=NOW,
            ttl=10**10,
            models=TOKEN.models,
            device_types=TOKEN.device_types,
            revoked_at=NOW,
        ),
    )
    yield keys.TOKEN_USES, TokenUses(claimed=10**9, ttl=10**10, revoked_at=NOW)
    yield from ((kind, Fleet(10**9)) for kind in (keys.FLEET, keys.FLEET_SHARE))
    row = {"rounds": 10**9, "samples": 10**18, "state": "active", "last_seen_at": WHERE["at"]}
    fleet = (
        {**row, "device_type": f"{n:04d}".rjust(64, "d"), "sdk_version": f"{n:04d}".rjust(64, "s"),
         "model": f"{n:04d}".rjust(48, "m")}
        for n in range(1000)
    )  # fmt: skip
    cohorts = [Cohort(name=f"{n:02d}".rjust(48, "c"), revision=10**8, rule=RULE, at=NOW, because="x") for n in range(64)]
    tally = count(15, fleet, NOW, 1e9, cohorts)
    names = (tally.by_device_type, tally.by_sdk_version, tally.by_model, tally.active_by_model)
    assert {len(counts) for counts in names} == {MOST_NAMES + 1}
    yield keys.TALLY, replace(tally, begins=ID, ends=ID, ttl=10**10)
    yield keys.COUNTING, CountLease(until=NOW, ttl=10**10)
    yield keys.MODEL, Model(name=MODEL, config=CONFIG, created_at=NOW, training=TrainingState.RUNNING, rounds_wanted=10**6)
    configured = Configuration(model=MODEL, revision=10**8, config=CONFIG, at=NOW, because=LABEL, by="a" * 2048)
    yield keys.CONFIGURATION, configured
    state = OptimizerState("o" * 40, 10**8, tuple(StateFile(letter, HASH, 1 << 40) for letter in "mv"))
    yield (
        keys.VERSION,
        Version(
            model=MODEL,
            number=10**8,
            checkpoint=REF,
            document_sha256=HASH,
            created_at=NOW,
            config=CONFIG,
            revision=10**8,
            round=10**8,
            base=10**8,
            parent=10**8,
            manifest_sha256=HASH,
            metrics=METRICS,
            evaluation=METRICS,
            note=LABEL,
            optimizer=state,
            clip_norm=1.23456e-30,
            expires_at=NOW,
            deleted_at=NOW,
            pinned=True,
            traces=(f"00-{HASH[:32]}-{HASH[:16]}-01",) * MOST_TRACES,
            judged=Judged(
                judges=10**4, better=10**4, worse=10**4, gain=-1.2345678901234567, p=1.2345678901234567e-30, examples=10**9
            ),
        ),
    )
    left = tuple(range(10**7, 10**7 + 100))  # as many as one rollback may go back
    yield (
        keys.DEPLOYMENT,
        Deployment(
            model=MODEL,
            revision=10**8,
            stable=REF,
            at=NOW,
            because=LABEL,
            previous=10**8,
            left=left,
            by="a" * 2048,
            round=10**8,
            rollout=Rollout(
                began=10**8,
                beneath=10**8,
                candidate=REF,
                strategy=STRATEGY,
                reached=NOW,
                since=NOW,
                step=20,
                share=10**4,
                paused=LABEL * 3,
            ),
            signed=Signed(statement="s" * LONGEST_STATEMENT, signature="A" * LONGEST_SIGNATURE, key="k" * 2048),
        ),
    )
    yield (
        keys.DEPLOYMENT,
        Deployment(
            model=MODEL,
            revision=10**8,
            stable=REF,
            at=NOW,
            because=FOUND.said,
            left=left,
            by="a" * 2048,
            experiments=(EXPERIMENT,) * admin.MOST_EXPERIMENTS,
            ended=FOUND,
            signed=Signed(statement="s" * LONGEST_STATEMENT, signature="A" * LONGEST_SIGNATURE, key="k" * 2048),
        ),
    )
    yield (
        keys.PACE,
        PaceBounds(
            revision=10**8,
            ceiling=999_999.999_999,
            budget=10**15,
            at=NOW,
            because=LABEL,
            by="a" * 2048,
            heartbeat_seconds_before=57_599.999_999,
        ),
    )
    yield keys.COHORT, Cohort(name="c" * 48, revision=10**8, rule=RULE, at=NOW, because=LABEL, by="a" * 2048)
    yield (
        keys.EXPERIMENT_REPORT,
        ExperimentReport(client_id=ID, version=10**8, arm="a" * 32, at=NOW, ttl=10**10, value=-1.2345678901234567e-30),
    )
    yield (
        keys.REPORT,
        RolloutReport(client_id=ID, version=10**8, at=NOW, is_candidate=True, value=-1.2345678901234567e-30, ttl=10**10),
    )
    yield keys.VERIFICATION, Verification(client_id=ID, at=NOW, is_ready=True, ttl=10**10)
    yield keys.REGISTRATION, Registration(10**8)
    most = Amount(10**8, 10**15)
    yield keys.STORAGE, Storage(counted_at=NOW, checkpoints=most, states=most, deltas=most, expiring=most, deleted=10**8)
    yield keys.SWEEP, Sweep(NOW, keys.DELTA.key(base_sha256=HASH, target_sha256=HASH), NOW)
    yield keys.LOOK, LookStamp(10**10)
    yield (
        keys.COUNTERS,
        Counters(
            round=ROUND,
            part=63,
            ttl=10**10,
            admitted=10**6,
            judges=10**6,
            inspected=10**6,
            place_mark=f"{'m' * 32} given back",
            place_taken_at=NOW,
            closed={"admitted", "judges"},
        ),
    )
    measured = {role: Measurement(10**9, METRICS, "measured") for role in ("candidate", "deployed")}
    yield (
        keys.EVALUATION,
        Judgement(round=ROUND, client_id=ID, assigned_at=NOW, report_by=NOW, ttl=10**10, measured=measured),
    )
    # What judges and trainers measured, 16 each, what is always recorded, and a number for each reason there could be.
    record = Record(
        model=MODEL,
        at=NOW,
        metrics={f"{n:03d}".rjust(40, "m"): -1.2345678901234567e-30 for n in range(100)},
        ttl=10**10,
        version=10**8,
        round=10**8,
    )
    yield from ((kind, record) for kind in (keys.ROUND_RECORD, keys.FLEET_RECORD, keys.OUTGOING))
    events = {f"{each.name}_{what}": 10**37 for each in OF_A_MODEL for what in ("good", "total")}
    yield keys.OBJECTIVE_DAY, ObjectiveDay(model=MODEL, day=NOW.date(), ttl=10**10, **events)
    yield keys.THRESHOLD, Threshold(model=MODEL, metric=NAMES[0], minimum=-1e-30, maximum=1e30)
    alert = Alert(
        model=MODEL,
        metric=NAMES[0],
        number=10**8,
        value=-1e-30,
        opened_at=NOW,
        publishing_at=NOW,
        minimum=-1e-30,
        maximum=1e30,
        published_at=NOW,
        acknowledged_at=NOW,
        acknowledged_by="a" * 2048,
        cleared_at=NOW,
        ttl=10**10,
    )
    yield (
        keys.PULSE,
        Pulse(at=NOW, newest={f"{'m' * 44}{number:04d}": Newest(round=10**8, revision=10**8) for number in range(999)}),
    )
    yield keys.TROUBLE, Trouble(model=MODEL, doing="d" * 64, what="w" * 240, since=NOW, at=NOW, times=10**9, ttl=10**10)
    yield keys.SILENCE, Silence(model=MODEL, metric=NAMES[0], until=NOW, because=LABEL, by="a" * 2048, ttl=10**10)
    yield keys.ALERT, alert
    yield keys.PAST_ALERT, alert
    amounts: Any = {**dict.fromkeys(AMOUNTS, 1234567890123.123456789012), "api_answered": 10**18, "api_failed": 10**18}
    spent = Spending(**amounts, ttl=10**10)
    yield keys.SPENDING, spent
    yield keys.ROUND_SPENDING, spent


@pytest.mark.parametrize(("kind", "row"), list(longest()), ids=lambda value: getattr(value, "name", ""))
def test_the_longest_row_of_each_kind_is_taken(world: World, kind: keys.RowKind, row: object) -> None:
    name = getattr(world.settings, f"{kind.table}_table")
    item = to_item(row)
    assert size(item) < LIMIT_BYTES * 0.85
    table = Table(SESSION.client("dynamodb"), name)
    table.put(Put(table=table, key=kind.key(**WHERE), item=item))
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
        table.put(Put(table=table, key=keys.CLIENT.key(**WHERE), item=item))


def size(value: Any) -> int:
    """Bytes that a value costs an item, from above (Amazon DynamoDB: "Item sizes and formats")."""
    if isinstance(value, dict):
        return 3 + sum(1 + len(name.encode()) + size(member) for name, member in value.items())
    if isinstance(value, (list, set)):
        return 3 + sum(1 + size(member) for member in value)
    return len(value.encode()) if isinstance(value, str) else 21
