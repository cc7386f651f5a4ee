"""Everything that each function can do, done once: every route, every phase by the tick and by a worker, every way out.

The same rounds are driven twice, by the tick and by messages that ask for a look, because either may come first in AWS.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from chalicelib.clients import census
from chalicelib.instants import utc_now
from chalicelib.registry.retention import GRACE
from chalicelib.registry.sweep import EVERY, KEPT
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.phases.aggregating import LEASE
from chalicelib.rounds.round_id import RoundId
from chalicelib.spending import OF_THE_STACK
from chalicelib.storage import keys, spool
from infra.memory.calls import Observer
from muster import Device
from muster.operator.export import export
from muster.wire.admin import NO_MODEL, Arm, CohortRule, LayerSlice, Outliers, Rule, StartExperiment, Strategy
from muster.wire.arrays import Array, encode
from tests.aws import STORE
from tests.fleet import BASE, World, checkpoint

Drive = Callable[[], None]
"""Lets one function look at a model."""

PIECE_BYTES = 64 << 10
"""Pieces that a run of many is made of in seconds. S3 takes none below 5 MiB; here the stores take these."""

SHORTEST = {"memory": "infra.memory.s3.multipart.PART_BYTES", "moto": "moto.s3.models.S3_UPLOAD_PART_MIN_SIZE"}[STORE]
"""Where the store has written how long a piece must be."""

LONG: dict[str, Array] = {
    "layer.bias": np.zeros(3, np.float32),
    "layer.weight": np.linspace(0.5, 1.0, PIECE_BYTES // 2, dtype=np.float32),
    "z": np.full(3, 5e29, np.float32),
}
"""A model that is longer than a piece, as are its deltas, and cannot grow at its end."""

QUICK: dict[str, Any] = {"goal": 1, "quorum": 1, "evaluators": 1}
PARTS: dict[str, Any] = {"goal": 4, "quorum": 4, "evaluators": 1, "outliers": Outliers(least=4)}
ADAM = Rule(name="adam")
TENFOLD = Rule(name="sgd", parameters={"learning_rate": 10.0})


COPIES: list[tuple[int, dict[str, Any]]] = [(1, {"optimizer": ADAM}), (2, {"optimizer": ADAM}), (2, {})]
"""What is copied to its name when another worker comes between: a state, a checkpoint, a delta."""


def whole_run() -> tuple[World, Observer]:
    """A world in which everything has happened, and who saw it. The caller closes the world."""
    world, observer = World(part_reads=1, metering=True), Observer()
    try:
        world.calls.observer = observer
        with mock.patch.object(spool, "PIECE_BYTES", PIECE_BYTES), mock.patch(SHORTEST, PIECE_BYTES):
            world.operator.set_cohort("all", CohortRule(slice=LayerSlice(ends=100.0)), revision=0)
            for driver in ("look", "tick"):
                _rounds(world, driver)
        _monitoring(world)
        _help_to_count(world)
        _devices(world)
        _operators(world)
        _troubles(world)
        _sweep(world)
        _spending(world)
    except BaseException:
        world.close()
        raise
    return world, observer


# ---- rounds


def _rounds(world: World, driver: str) -> None:
    def drive(model: str) -> Drive:
        def look() -> None:
            message = json.dumps({"reconcile": model})
            world.sqs.send_message(QueueUrl=world.settings.work_queue_url, MessageBody=message)
            world.deliver()

        def advance() -> None:
            world.clock.advance(world.settings.memory_seconds)  # nobody remembers what was before
            (world.tick if driver == "tick" else look)()

        return advance

    for number, (copies, config) in enumerate(COPIES):
        name = f"{driver}-long-{number}"
        _long(world, name, drive(name), copies, config)
    for end in (_unfit, _silent, _overtaken, _in_parts):
        name = f"{driver}-{end.__name__.strip('_').replace('_', '-')}"
        end(world, name, drive(name))
        _rest(world, name)
    if driver == "look":
        for name in ("look-in-parts", "look-unfit"):
            world.operator.start(name, 9)
        world.tick()  # of two models in which something goes on, each is a message
        world.deliver()
        for name in ("look-in-parts", "look-unfit"):
            _rest(world, name)


def _rest(world: World, model: str) -> None:
    """Nothing goes on in the model any more: what a tick does for the next one, it does itself."""
    world.operator.stop(model)
    for shown in world.operator.rounds(model):
        if shown.phase not in ("completed", "abandoned"):
            world.operator.abandon(model, shown.number)
    world.tick()
    world.deliver()


def _inspect(world: World, model: str, number: int, devices: list[Device]) -> None:
    """Settle reports: by the worker, who then asks for a look, or, for the tick, without anybody who asks."""
    if not model.startswith("tick"):
        world.deliver()
        return
    for device in devices:
        world.services.inspector.inspect(RoundId(model, number), device.client_id)
    _lose_messages(world)


def _lose_messages(world: World) -> None:
    """Inspections that are asked for never arrive."""
    url = world.settings.inspection_queue_url
    while received := world.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in received:
            world.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def _trained(
    world: World, model: str, drive: Drive, *steps: float, number: int = 1, devices: list[Device] | None = None
) -> Any:
    drive()
    devices = devices or world.devices(len(steps), model)
    for device, step in zip(devices, steps, strict=True):
        world.update(device, step=step)
    _inspect(world, model, number, devices)
    return devices


def _long(world: World, model: str, drive: Drive, copies: int, config: dict[str, Any]) -> None:
    """Two rounds of a long model. In the first, another worker publishes the same while the `copies`-th of our
    objects is being copied to its name: ours then finds it there.
    """
    step = sum(model.encode()) / 100_000  # objects are named by their content, so each of these models is another
    world.model(model, rounds=2, tensors=LONG, keep_updates=True, cohort="all", **QUICK, **config)
    devices: list[Device] = []
    seen = [0]

    def race(operation: str, proceed: Callable[[], Any]) -> Any:
        seen[0] += operation == "UploadPartCopy"
        if operation == "UploadPartCopy" and seen[0] == copies:
            world.clock.advance(LEASE.total_seconds())  # our worker is slow
            world.services.coordinator.reconcile(model)
        return proceed()

    world.calls.between = race
    devices = _trained(world, model, drive, step)
    drive()
    world.calls.between = None
    assert seen[0] >= copies
    for number in (1, 2):
        if number == 2:
            _trained(world, model, drive, step, number=2, devices=devices)
            drive()
        world.judge(devices)
        drive()
        drive()
        assert world.operator.round(model, number).phase == "completed"


def _unfit(world: World, model: str, drive: Drive) -> None:
    """The end of the new model is infinite: it is abandoned when its beginning is stored already."""
    world.model(model, tensors=LONG, optimizer=TENFOLD, **QUICK)
    drive()
    (device,) = world.devices(1, model)
    world.update(device, step=0.01, spoil=lambda moved: {**moved, "z": moved["z"] * np.float32(0.5)})
    _inspect(world, model, 1, [device])
    drive()
    shown = world.operator.round(model, 1)
    assert shown.phase == "abandoned", shown.reason


def _silent(world: World, model: str, drive: Drive) -> None:
    """A report whose message was lost is sent again; its update is gone, and the round ends without a quorum."""
    world.model(model, **QUICK)
    drive()
    (device,) = world.devices(1, model)
    world.update(device)
    _lose_messages(world)
    world.s3.delete_object(Bucket=world.settings.bucket, Key=_update_key(world, f"{model}.1"))
    world.clock.advance(world.settings.resend_seconds)
    drive()
    world.deliver()
    assert device.receipt(f"{model}.1").reason == "upload-changed"
    world.clock.advance(3600 + 120)
    drive()
    assert world.operator.round(model, 1).phase == "abandoned"
    world.operator.stop(model)


def _overtaken(world: World, model: str, drive: Drive) -> None:
    """While a closed round gives its receipts their last words, an inspection that had begun before does so first."""
    world.model(model, **{**QUICK, "over_selection": 2.0})
    drive()
    first, second = world.devices(2, model)
    world.update(first)
    world.services.inspector.inspect(RoundId(model, 1), first.client_id)
    world.update(second)
    _lose_messages(world)
    overtaken: list[bool] = []

    def overtake(operation: str, proceed: Callable[[], Any]) -> Any:
        rnd = world.services.rounds.latest(model) if operation == "UpdateItem" else None
        if rnd and rnd.phase is Phase.AGGREGATING:
            world.calls.between = None
            with world.calls.by("inspection_worker"):
                overtaken.append(world.services.inspector.inspect(rnd.id, second.client_id))
        return proceed()

    world.calls.between = overtake
    drive()
    assert overtaken == [True]
    world.operator.abandon(model, 1)


def _in_parts(world: World, model: str, drive: Drive) -> None:
    """A round in several parts and stages, with an outlier; a look that was overtaken has left a manifest."""
    world.model(model, **PARTS)
    devices = _trained(world, model, drive, 0.1, 0.2, 0.3, 0.4, 50.0)
    orphan = keys.MANIFEST.key(round=f"{model}.1", sha256="0" * 64)
    world.s3.put_object(Bucket=world.settings.bucket, Key=orphan, Body=b"overtaken")
    drive()
    world.deliver()
    world.judge(devices)
    drive()
    shown = world.operator.round(model, 1)
    assert (shown.phase, shown.rejected) == ("completed", {"norm-outlier": 1})


def _update_key(world: World, round_id: str) -> str:
    return next(key for key in world.everything()[1] if f"/{round_id}/" in key)


# ---- everything else


def _help_to_count(world: World) -> None:
    """The monitor gets through nothing of a fleet that has waited for long; a worker counts it."""
    world.clock.advance(3600)
    with mock.patch.object(census, "BUDGET", timedelta(seconds=-1)):
        world.monitor()
    world.deliver()


def _monitoring(world: World) -> None:
    """Rounds are recorded; few clients are active, which somebody watches, so an alert opens; what was not published is
    published again. A message is dead, which somebody looks after.
    """
    world.sqs.send_message(QueueUrl=world.settings.dead_queue_url or "", MessageBody="{}")
    world.operator.set_threshold("tick-long-0", "active_clients", minimum=5)
    world.monitor()
    assert world.operator.alerts("tick-long-0")
    (dead,) = world.operator.alerts(NO_MODEL)
    world.operator.silence(NO_MODEL, dead.metric, 60.0)
    world.operator.acknowledge(NO_MODEL, dead.metric)


def _troubles(world: World) -> None:
    """Each function fails once, and tells of it."""
    model = world.model("trouble", goal=2, quorum=1)
    world.tick()
    (device,) = world.devices(1, model)
    world.update(device)

    def fails(broken: str) -> Callable[[str, Callable[[], Any]], Any]:
        def between(operation: str, proceed: Callable[[], Any]) -> Any:
            if operation == broken:
                raise TimeoutError("AWS is slow today")
            return proceed()

        return between

    world.calls.between = fails("GetObject")
    with pytest.raises(RuntimeError):
        world.deliver()
    world.calls.between = fails("Query")
    for run in (world.tick, world.monitor):
        world.restart()  # a function tells of the same trouble once in a while
        with pytest.raises(TimeoutError):
            run()
    message = json.dumps({"reconcile": model})
    world.sqs.send_message(QueueUrl=world.settings.work_queue_url, MessageBody=message)
    with pytest.raises(RuntimeError):
        world.deliver()
    world.calls.between = None
    world.operator.overview()
    world.operator.cost()
    world.operator.model_cost(model)
    world.operator.why(model)
    world.operator.silence(model, "loss", 60.0)
    world.operator.test_alerts()
    _rest(world, model)


def _devices(world: World) -> None:
    """What a device may ask for, beside rounds."""
    world.model("toy", goal=2, quorum=1)
    world.tick()
    first, second, third = world.devices(3)
    first.heartbeat_if_due()
    first.describe({"charging": True})
    first.rotate_key()
    first.model()
    key = world.key_of(second)
    second.check_in()
    granted = {"bytes": len(encode(BASE)), "sha256": "0" * 64, "examples": 1}
    world.request("POST", "/v1/rounds/toy.1/upload", key=key, body=granted)
    missing = world.request("POST", "/v1/rounds/toy.1/report", key=key, body={"sha256": "0" * 64})
    assert missing.json()["type"].endswith("upload-missing")
    world.request("POST", "/v1/rounds/toy.1/failure", key=key, body={"work": "train", "reason": "out-of-memory"})
    world.request("POST", "/v1/rounds/toy.1/failure", key=key, body={"work": "evaluate", "reason": "out-of-memory"})
    world.update(first)
    world.deliver()
    world.operator.revoke(first.client_id)
    world.operator.revoke(third.client_id)
    world.request("GET", "/v1/health")


def _sweep(world: World) -> None:
    """The bucket is swept, when every object is old, and versions are: they let go what they no longer need."""
    for kind in (keys.CHECKPOINT, keys.DOCUMENT, keys.STATE):
        world.s3.put_object(Bucket=world.settings.bucket, Key=kind.key(sha256="0" * 64), Body=b"nobody's")
    key = keys.DELTA.key(base_sha256="0" * 64, target_sha256="0" * 64)
    world.s3.put_object(Bucket=world.settings.bucket, Key=key, Body=b"nobody's")
    world.clock.now = max(world.clock.now, utc_now()) + KEPT + EVERY
    for _ in range(2):  # versions expire, and are deleted
        world.tick()
        world.clock.advance((GRACE + EVERY).total_seconds())
    assert any(version.deleted_at for version in world.operator.versions("tick-in-parts"))


def _spending(world: World) -> None:
    """Each function writes down what it has counted, and looks whether there is a budget left."""
    budgeted: dict[str, Any] = {"goal": 1, "quorum": 1, "monthly_budget": 1.0, "report_seconds": 43_200.0}
    world.model("spending", **budgeted)
    (device,) = world.devices(1, "spending")
    hours = OF_THE_STACK.longest.total_seconds()
    for run in (world.tick, world.deliver, world.monitor, lambda: world.update(device), world.deliver):
        world.clock.advance(hours)
        run()
    world.model("saving", **budgeted)
    world.services.work.send({"reconcile": "saving"})
    world.deliver()


def _operators(world: World) -> None:
    """Every command, as the command line gives it."""
    operator, model = world.operator, "tick-in-parts"
    operator.revoke_token(next(iter(operator.tokens())).token_id)
    client = next(iter(operator.clients()))
    operator.client(client.client_id)
    operator.release(client.client_id)
    operator.statistics()
    operator.models()
    operator.status(model)
    list(operator.rounds(model))
    list(operator.receipts(model, 1))
    list(operator.judgements(model, 1))
    operator.abandon("toy", 1)
    operator.document(operator.version(model, "newest"))
    with tempfile.TemporaryDirectory() as folder:
        export(operator, "tick-long-0", 2, Path(folder))
    for step in (3.0, 2.0, 1.0):  # of which the first one will expire
        operator.register(model, checkpoint(step))
    refused = world.request(
        "POST", f"/v1/admin/models/{model}/versions", body={"checkpoint": {"bytes": 100, "sha256": "0" * 64}}
    )
    assert refused.json()["type"].endswith("upload-missing")
    list(operator.versions(model))
    for pinned in (True, False):
        operator.pin(model, "newest", pinned=pinned)
    list(operator.retention(model))
    revision = operator.deploy(model, "newest", revision=operator.status(model).deployment_revision).revision
    revision = operator.rollback(model, revision=revision).revision
    world.operator.start("toy", 9)
    revision = _rollout(world, model, revision)  # of two models in which something goes on, each is a worker's
    _rest(world, "toy")
    revision = _rollout(world, model, revision)  # of one, it is the tick's
    _experiments(world, model, revision)
    list(operator.deployments(model))
    standing = operator.status(model)
    other = standing.config.model_copy(update={"goal": standing.config.goal + 1, "keep_versions": 2})
    operator.configure(model, other, revision=standing.config_revision)
    list(operator.configurations(model))
    operator.metric(model, "accuracy")
    operator.metric(model, "accuracy", 48)  # of which CloudWatch knows
    unknown = world.request("GET", f"/v1/admin/models/{model}/metrics?name=nonsense")
    assert unknown.json()["type"].endswith("unknown-metric")
    operator.set_threshold(model, "active_clients", minimum=50)
    world.monitor()
    operator.thresholds(model)
    operator.objectives(model)
    (alert, *_) = operator.alerts(model)
    operator.acknowledge(model, alert.metric)


# ---- rollouts


def _rollout(world: World, model: str, revision: int) -> int:
    """A canary that is heard and taken back by the tick, and two slots of which one is warmed; the revision that came of it."""
    operator, device = world.operator, world.device(world.token(), f"runner-{revision}", model)
    canary = Strategy(kind="canary", steps=[99.0], window_seconds=60.0, pause_seconds=60.0, patience=1)
    for strategy in (canary, Strategy(kind="blue-green", pause_seconds=60.0)):
        made = operator.deploy(model, "newest", strategy=strategy, revision=revision)
        name, candidate = f"{model}.r{made.revision}", operator.version(model, "newest").version
        version = device.model()[0]
        operator.rollout(model)
        report = {"rollout": name, "metrics": {"accuracy": 0.5}, "ready": candidate}
        beat = {"model": model, "version": version, "report": report}
        world.request("POST", "/v1/heartbeat", key=world.key_of(device), body=beat)
        for _ in range(4):
            world.clock.advance(120)
            world.tick()
            world.deliver()
        revision = operator.status(model).deployment_revision
        if next(iter(operator.deployments(model))).rollout is not None:
            revision = operator.move_rollout(model, "abort", revision=revision).revision
    return revision


def _experiments(world: World, model: str, revision: int) -> None:
    """Two experiments among halves of the fleet: an operator ends the one, its horizon the other."""
    operator, device = world.operator, world.device(world.token(), "tried", model)
    arms = [Arm(name="control", version="deployed", weight=50.0), Arm(name="new", version="newest", weight=50.0)]
    for name, begins in (("low", 0.0), ("high", 50.0)):
        operator.set_cohort(name, CohortRule(slice=LayerSlice(begins=begins, ends=begins + 50.0)), revision=0)
        operator.cohort(name)
        wanted = StartExperiment(name=name, arms=arms, cohort=name, horizon_seconds=60.0, revision=revision)
        revision = operator.start_experiment(model, wanted).revision
    operator.cohorts()
    operator.set_pace(operator.pace().ceiling, None, revision=0)
    world.services.census.take()
    version = device.model()[0]
    for began in (revision - 1, revision):
        report = {"rollout": f"{model}.r{began}", "metrics": {"accuracy": 0.5}}
        beat = {"model": model, "version": version, "report": report}
        world.request("POST", "/v1/heartbeat", key=world.key_of(device), body=beat)
    operator.experiments(model)
    operator.end_experiment(model, "low", revision=revision)
    world.clock.advance(120)
    world.tick()
    assert operator.experiment(model, "high") == next(operator.deployments(model)).ended
