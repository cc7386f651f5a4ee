"""The drill: a stack is backed up while it goes on, lost, and restored into empty tables; and training goes on there."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.session import Session
from rich.console import Console

from chalicelib.rounds.round import Phase
from chalicelib.settings import Settings
from chalicelib.storage import keys
from muster import Device
from muster.operator.backup import cloud as backup_cloud
from muster.operator.backup import cut as backup_cut
from muster.operator.backup import layout
from muster.operator.backup.check import check
from muster.operator.backup.cloud import OUTPUTS, Cloud, Places, places_of
from muster.operator.backup.errors import (
    BackupError,
    DoesNotHold,
    NoBackup,
    NoStack,
    NotAsBackedUp,
    NotEmpty,
    OtherRestore,
    OtherStack,
    UnknownRow,
    Unsteady,
)
from muster.operator.backup.folder import MANIFEST, BackupFolder, object_path, rows_path
from muster.operator.backup.making import Made, back_up
from muster.operator.backup.restoring import Restored, abandoned, restore
from muster.operator.cli.errors import EXPECTED, explain
from muster.operator.cli.session import Session as CliSession
from muster.wire.admin import RoundConfig
from muster.wire.arrays import encode
from tests.fleet import BASE, SESSION, Drift, Killed, World
from tests.operator.test_cli import Terminal

AWS = Session()
ROOT = Path(__file__).parent.parent.parent


def cloud_of(settings: Settings, connections: int = 1, page_rows: int | None = 4) -> Cloud:
    places = Places(
        settings.clients_table, settings.rounds_table, settings.versions_table, settings.monitoring_table, settings.bucket
    )
    clients = [AWS.create_client(service, region_name="us-east-1") for service in ("dynamodb", "s3")]
    return Cloud(*clients, places, connections, page_rows)


def made(world: World, root: Path, **options: Any) -> Made:
    return back_up(cloud_of(world.settings, **options), BackupFolder(root), now=world.clock)


def restored(world: World, root: Path, target: Settings, **options: Any) -> Restored:
    return restore(cloud_of(target), BackupFolder(root), world.clock, chunk_rows=10, **options)


def revision(world: World) -> int:
    return next(world.operator.deployments("toy")).revision


def train(world: World, devices: list[Device], step: float = 0.1) -> None:
    """One round of the toy model, from its opening to its end."""
    world.tick()
    for device in devices[:2]:
        world.update(device, step=step)
    world.deliver()
    world.play(devices)


def cloudwatch_is_down(operation: str, proceed: Callable[[], Any]) -> Any:
    if operation == "PutMetricData":
        raise TimeoutError
    return proceed()


def lived(world: World) -> list[Device]:
    """A stack with a past: versions with an optimizer's state, a rollback, alerts, metrics that CloudWatch does not have yet, a
    revoked device, a token with uses left, and a round in which one update is accepted and another device still trains.
    """
    world.model(rounds=50, goal=2, quorum=2, over_selection=4.0, evaluators=1, min_gain=0.0, optimizer={"name": "adam"})
    token = world.token(uses=6)
    devices = [world.device(token, f"device-{number}") for number in range(4)]
    world.operator.revoke(world.device(token, "lost-device").client_id)
    for _ in range(2):
        train(world, devices)
    world.operator.rollback("toy", revision=revision(world))
    train(world, devices, step=0.3)
    world.operator.set_threshold("toy", "accepted_updates", minimum=100.0)
    world.calls.between = cloudwatch_is_down
    with pytest.raises(ExceptionGroup):
        world.monitor()
    world.calls.between = None
    world.tick()
    world.update(devices[0])
    world.deliver()
    assert devices[1].check_in().kind == "train"
    return devices


def began(world: World) -> None:
    """A stack that has trained one version, and trains on."""
    world.model(rounds=50, goal=1, quorum=1, evaluators=1, optimizer={"name": "adagrad"})
    devices = world.devices(1)
    world.tick()
    world.update(devices[0])
    world.deliver()
    world.play(devices)
    world.monitor()


def everything(world: World, settings: Settings) -> tuple[dict[str, Any], set[str]]:
    """All rows and all object keys of a stack, under names that do not depend on it."""
    before, world.settings = world.settings, settings
    rows, objects = world.everything()
    world.settings = before
    tables = ("clients_table", "rounds_table", "versions_table", "monitoring_table")
    named = {getattr(settings, table): table for table in tables}
    listed = world.s3.list_objects_v2(Bucket=settings.bucket).get("Contents", [])
    assert {found["Key"] for found in listed} == objects
    return {f"{named[name.split('/')[0]]}/{name.split('/', 1)[1]}": row for name, row in rows.items()}, objects


def dump(folder: BackupFolder, table: layout.TableName) -> list[Any]:
    return list(folder.rows(table, folder.manifest().tables[table]))


@pytest.fixture
def old(world: World) -> tuple[World, list[Device]]:
    return world, lived(world)


# ---- what is there, decided one by one


def test_every_kind_of_row_and_object_is_decided_about() -> None:
    server = {(kind.name, kind.table, kind.pk, kind.sk) for kind in keys.ROWS}
    assert server == {(kind.name, kind.table, kind.pk, kind.sk) for kind in layout.KINDS}
    assert {kind.name: kind.template for kind in keys.OBJECTS} == {**layout.OBJECTS, **layout.OBJECTS_LEFT}


def test_what_is_pointed_at_is_restored_before_what_points_at_it() -> None:
    order = [layout.VERSION, layout.DEPLOYMENT, layout.CLIENT, layout.TOKEN, layout.ROUND, layout.RECEIPT, layout.MODEL]
    stages = [kind.stage for kind in order]
    assert stages == sorted(set(stages))
    assert layout.MODEL.stage == max(layout.STAGES), "nothing moves before a model is there"


# ---- the drill


def test_a_restored_stack_is_the_old_one_but_for_open_rounds_and_what_is_not_copied(
    old: tuple[World, list[Device]], tmp_path: Path
) -> None:
    world, _ = old
    before, objects = everything(world, world.settings)
    target = world.second_stack()
    made(world, tmp_path)
    done = restored(world, tmp_path, target)
    after, copied = everything(world, target)

    assert done.abandoned == ("toy.4",)
    outbox = {name for name in before if "/outbox/" in name}
    assert outbox
    copied_rows = {row["pk"]["S"] for table in layout.TABLES for row in dump(BackupFolder(tmp_path), table)}
    assert not copied_rows & {"outbox", "restore"}
    assert before.keys() - outbox == after.keys() - {"versions_table/restore/restore"}
    different = {name for name in before.keys() - outbox if before[name] != after[name]}
    assert different == {"clients_table/fleet/fleet", "rounds_table/model#toy/round#00000004"}
    assert after["clients_table/fleet/fleet"]["enrolled"] == before["clients_table/fleet/fleet"]["enrolled"] == 4
    assert objects - copied == {key for key in objects if key.startswith(("updates/", "deltas/"))}
    for key in copied:
        bodies = [world.s3.get_object(Bucket=s.bucket, Key=key)["Body"].read() for s in (world.settings, target)]
        assert bodies[0] == bodies[1]


def test_training_goes_on_in_the_restored_stack(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, devices = old
    deployed = world.operator.version("toy", "champion")
    statistics = world.operator.statistics()
    tokens = [(token.uses, token.claimed) for token in world.operator.tokens()]
    alerts = {alert.metric for alert in world.operator.alerts("toy")}
    target = world.second_stack()
    made(world, tmp_path)
    restored(world, tmp_path, target)
    world.move_to(target)

    assert world.operator.version("toy", "champion").checkpoint.sha256 == deployed.checkpoint.sha256
    for version in world.operator.versions("toy"):
        document = json.loads(world.operator.document(version))
        assert document["checkpoint"]["sha256"] == version.checkpoint.sha256
        world.operator.download(version.checkpoint)
    assert world.operator.version("toy", 2).state == "rolled-back"
    assert [device.model()[0] for device in devices] == [deployed.version] * 4
    assert [(token.uses, token.claimed) for token in world.operator.tokens()] == tokens
    assert {alert.metric for alert in world.operator.alerts("toy")} == alerts

    world.monitor()
    found = world.operator.statistics()
    assert (found.clients, found.revoked, found.samples) == (statistics.clients, statistics.revoked, statistics.samples)

    world.tick()
    rnd = world.services.rounds.get("toy", 4)
    assert rnd
    assert (rnd.phase, rnd.summary is not None) == (Phase.ABANDONED, True)
    receipt = devices[0].receipt("toy.4")
    assert (receipt.state, receipt.reason) == ("late", "round-abandoned")
    newest = world.operator.version("toy", "newest")
    train(world, devices)
    after = world.operator.version("toy", "newest")
    assert (after.version, after.base) == (newest.version + 1, newest.version)
    optimizer = world.services.registry.version("toy", after.version)
    assert optimizer
    assert optimizer.optimizer
    assert optimizer.optimizer.step == 4, "the optimizer went on from its state"


def test_a_round_that_evaluates_is_abandoned_and_its_version_stays_staged(world: World, tmp_path: Path) -> None:
    world.model(goal=2, quorum=2, evaluators=1, rounds=9)
    devices = world.devices(3)
    world.tick()
    for device in devices[:2]:
        world.update(device)
    world.deliver()
    world.tick()
    assert world.services.rounds.undecided("toy") == 1
    made(world, tmp_path)
    target = world.second_stack()
    restored(world, tmp_path, target)
    world.move_to(target)
    assert world.operator.version("toy", 1).state == "staged"
    train(world, devices)
    assert world.operator.version("toy", "newest").version == 2


# ---- the cut


def row(table: layout.TableName, pk: str, sk: str, **attributes: Any) -> layout.Row:
    found = layout.recognise(table, {"pk": {"S": pk}, "sk": {"S": sk}, **attributes})
    assert found
    return found


@pytest.mark.parametrize(
    ("table", "pk", "sk", "attributes", "is_old"),
    [
        ("versions", "model#toy", "version#00000002", {}, True),
        ("versions", "model#toy", "version#00000003", {}, False),  # an end: it is taken from the cut
        ("versions", "model#toy", "deployment#00000004", {}, True),
        ("versions", "model#toy", "deployment#00000005", {}, False),
        ("versions", "model#toy", "registration#" + "0" * 64, {"version": {"N": "3"}}, True),
        ("versions", "model#toy", "registration#" + "0" * 64, {"version": {"N": "4"}}, False),
        ("versions", "models", "model#toy", {}, False),
        ("versions", "model#later", "version#00000000", {}, False),
        ("rounds", "model#toy", "round#00000006", {}, True),
        ("rounds", "model#toy", "round#00000007", {}, False),
        ("rounds", "round#toy.7", "receipt#pump-1", {}, True),
        ("rounds", "round#toy.8", "receipt#pump-1", {}, False),
        ("rounds", "round#toy.8", "evaluation#pump-1", {}, False),
        ("monitoring", "records#toy", "round#00000006", {}, True),
        ("monitoring", "records#toy", "round#00000007", {}, False),  # it will end in another way
        ("monitoring", "alerts#toy", "alert#loss#00000009", {}, True),
        ("monitoring", "thresholds#later", "threshold#loss", {}, False),
        ("clients", "clients#03", "client#pump-1", {}, True),
    ],
)  # fmt: skip
def test_what_is_newer_than_the_cut_is_left_out(
    table: layout.TableName, pk: str, sk: str, attributes: dict[str, Any], is_old: bool
) -> None:
    ends = backup_cut.Ends("toy", round=7, recorded=6, version=3, revision=5, items=())
    assert backup_cut.belongs(row(table, pk, sk, **attributes), {"toy": ends}) is is_old


@pytest.mark.parametrize("taken_at", ["2026-01-01T12:00:00.000000Z", "2026-01-01T14:00:00.000000Z"])
def test_an_abandoned_round_does_not_end_before_it_began(taken_at: str) -> None:
    opened_at = "2026-01-01T13:00:00.000000Z"
    rnd = row("rounds", "model#toy", "round#00000001", opened_at={"S": opened_at}, fence={"N": "1"})
    ended = abandoned(rnd, taken_at)
    assert ended["finished_at"] == ended["closed_at"] == {"S": max(taken_at, opened_at)}
    assert ended["fence"] == {"N": "2"}


# ---- while it goes on


def moves(world: World, devices: list[Device]) -> Iterator[object]:
    """A life: rounds open, are trained, judged and decided; devices are enrolled; an operator deploys and rolls back."""
    token = world.token(uses=500)
    for number in count():
        world.tick()
        yield
        for device in devices:
            assignment = device.check_in()
            if assignment.kind == "train":
                device.take_part(assignment, Drift(0.1))
            elif assignment.kind == "evaluate":
                device.judge(assignment, Drift(0.0))
            yield
        yield world.deliver()
        devices.append(world.device(token, f"latecomer-{number}"))
        yield
        world.clock.advance(60)
        yield world.monitor()
        if number % 4 == 3:
            yield world.operator.deploy("toy", 1, revision=revision(world))
            yield world.operator.rollback("toy", revision=revision(world))
        if number % 5 == 4:
            yield world.operator.create_model(f"other-{number}", encode(BASE), RoundConfig(goal=2, quorum=1))


@pytest.mark.parametrize("pace", [1, 3])
def test_a_backup_of_a_stack_that_moves_between_all_its_reads_holds_together(
    old: tuple[World, list[Device]], tmp_path: Path, pace: int
) -> None:
    world, devices = old
    life, inside, reads = moves(world, devices), False, 0

    def lively(operation: str, proceed: Callable[[], Any]) -> Any:
        nonlocal inside, reads
        if not inside and operation in ("Scan", "Query", "TransactGetItems", "GetObject"):
            reads += 1
            if reads % pace == 0:
                inside = True
                next(life)
                inside = False
        return proceed()

    first = world.services.rounds.latest("toy")
    world.calls.between = lively
    done = made(world, tmp_path, page_rows=2)
    world.calls.between = None
    last = world.services.rounds.latest("toy")
    assert first
    assert last
    assert last.number > first.number + (1 if pace == 1 else 0), "rounds went by while it was read"
    check(BackupFolder(tmp_path))

    target = world.second_stack()
    restored(world, tmp_path, target)
    rounds = [r["sk"]["S"] for r in dump(BackupFolder(tmp_path), "rounds") if r["sk"]["S"].startswith("round#")]
    world.move_to(target)
    there = world.services.rounds.latest("toy")
    assert there
    assert there.number == len(set(rounds)) == len(rounds)
    assert done.manifest.tables["clients"].rows > 0
    fleet = {client.client_id for client in world.operator.clients()}
    claimed = {name for token in world.services.clients.tokens(None, 100) for name in token.claims}
    assert fleet <= claimed, "who is there has used its token"
    train(world, world.devices(3))
    assert world.operator.version("toy", "newest").round == there.number + 1


def test_devices_that_are_enrolled_and_admitted_while_rows_are_read_are_there(
    old: tuple[World, list[Device]], tmp_path: Path
) -> None:
    world, _ = old
    token, numbers = world.token(), iter(range(2))

    def enrolling(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "Scan" and (number := next(numbers, None)) is not None:
            assert world.device(token, f"latecomer-{number}").check_in().kind == "train"
        return proceed()

    world.calls.between = enrolling
    made(world, tmp_path, page_rows=None)
    world.calls.between = None
    there = {row["sk"]["S"] for row in dump(BackupFolder(tmp_path), "clients")}
    assert {"client#latecomer-0", "client#latecomer-1"} <= there


def test_a_device_that_reported_a_round_that_is_lost_sits_out_the_one_that_gets_its_number(
    old: tuple[World, list[Device]], tmp_path: Path
) -> None:
    world, devices = old
    made(world, tmp_path)
    world.update(devices[1])
    world.deliver()
    world.play(devices)
    world.update(devices[2])
    target = world.second_stack()
    restored(world, tmp_path, target)
    world.move_to(target)
    world.tick()
    assert devices[2].check_in().reason == "already-done"  # type: ignore[union-attr]
    train(world, devices)
    assert devices[2].check_in().kind == "train"


def test_a_model_that_moves_while_its_ends_are_read_is_looked_at_again(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    obstacles = iter(["moved", "conflict"])

    def once_each(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "TransactGetItems":
            match next(obstacles, None):
                case "moved":
                    world.operator.deploy("toy", 0, revision=revision(world))
                case "conflict":
                    raise ClientError({"Error": {"Code": "TransactionCanceledException", "Message": ""}}, operation)
        return proceed()

    world.calls.between = once_each
    made(world, tmp_path)
    world.calls.between = None
    deployed = [row for row in dump(BackupFolder(tmp_path), "versions") if row["sk"]["S"].startswith("deployment#")]
    assert len(deployed) == revision(world)


def test_the_record_of_a_round_that_ends_after_the_cut_is_left_out(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, devices = old

    def ending(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "Scan":
            world.calls.between = None
            world.update(devices[1])
            world.deliver()
            world.play(devices)
            world.monitor()
        return proceed()

    world.calls.between = ending
    made(world, tmp_path)
    records = {row["sk"]["S"] for row in dump(BackupFolder(tmp_path), "monitoring") if row["pk"]["S"] == "records#toy"}
    assert "round#00000003" in records
    assert "round#00000004" not in records
    target = world.second_stack()
    restored(world, tmp_path, target)
    world.move_to(target)
    world.tick()
    world.monitor()
    assert world.operator.metric("toy", "abandoned").max == 1


def test_a_model_that_never_stands_still_is_named(
    old: tuple[World, list[Device]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, _ = old
    monkeypatch.setattr(backup_cut, "TRIES", 3)

    def restless(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "TransactGetItems":
            world.calls.between = None
            latest = world.operator.version("toy", "champion").version
            world.operator.deploy("toy", 0 if latest else 1, revision=revision(world))
            world.calls.between = restless
        return proceed()

    world.calls.between = restless
    with pytest.raises(Unsteady, match="toy"):
        made(world, tmp_path)


# ---- again, and after an interruption


def test_a_backup_that_was_killed_at_any_call_goes_on_and_fetches_only_what_is_missing(world: World, tmp_path: Path) -> None:
    began(world)
    whole = made(world, tmp_path / "whole")
    for step in count():
        root = tmp_path / str(step)
        if not killed_at(world, step, lambda root=root: made(world, root)):  # type: ignore[misc]
            break
        assert not (root / MANIFEST).exists()
        again = made(world, root)
        assert again.manifest == whole.manifest
        assert check(BackupFolder(root)) == whole.manifest
    assert step > len(whole.manifest.objects)


def killed_at(world: World, step: int, run: Callable[[], object]) -> bool:
    """Run, and die before the call of this number; False when there were not so many."""
    number = count()

    def deadly(_: str, proceed: Callable[[], Any]) -> Any:
        if next(number) == step:
            raise Killed
        return proceed()

    world.calls.between = deadly
    try:
        run()
    except Killed:
        return True
    finally:
        world.calls.between = None
    return False


def test_a_later_backup_copies_only_new_objects_and_the_one_before_counts_until_it_is_finished(
    old: tuple[World, list[Device]], tmp_path: Path
) -> None:
    world, devices = old
    first = made(world, tmp_path)
    assert first.fetched == len(first.manifest.objects)
    assert made(world, tmp_path).fetched == 0
    world.update(devices[1])
    world.deliver()
    world.play(devices)
    assert killed_at(world, 6, lambda: made(world, tmp_path))
    assert check(BackupFolder(tmp_path)) == first.manifest
    later = made(world, tmp_path)
    assert 0 < later.fetched < len(later.manifest.objects)
    assert check(BackupFolder(tmp_path)) == later.manifest
    assert len(list((tmp_path / "rows").iterdir())) == 4, "the rows of the one before are gone"


def test_many_connections_read_and_write_the_same(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    one, many = made(world, tmp_path / "one"), made(world, tmp_path / "many", connections=4)
    assert one.manifest.objects == many.manifest.objects
    for table in layout.TABLES:
        rows = [
            sorted(json.dumps(row, sort_keys=True) for row in dump(BackupFolder(tmp_path / name), table))
            for name in ("one", "many")
        ]
        assert rows[0] == rows[1]
    target = world.second_stack()
    restore(cloud_of(target, connections=4), BackupFolder(tmp_path / "many"), world.clock, chunk_rows=50)
    assert len(everything(world, target)[0]) == sum(file.rows for file in many.manifest.tables.values()) + 2


def test_a_restore_that_was_killed_at_any_call_goes_on_to_the_same_end(world: World, tmp_path: Path) -> None:
    began(world)
    made(world, tmp_path)
    whole = world.second_stack("whole")
    restored(world, tmp_path, whole)
    expected = everything(world, whole)
    for step in count():
        target = world.second_stack(f"step-{step}")
        if not killed_at(world, step, lambda target=target: restored(world, tmp_path, target)):  # type: ignore[misc]
            break
        half = everything(world, target)
        if any("/models/" in name for name in half[0]):
            assert (half[0].keys(), half[1]) == (expected[0].keys(), expected[1]), "a model is there only when all else is"
        restored(world, tmp_path, target)
        assert everything(world, target) == expected, step
    assert step > 30


def test_a_restore_that_goes_on_overwrites_nothing_that_has_moved_since(
    old: tuple[World, list[Device]], tmp_path: Path
) -> None:
    world, devices = old
    source = world.settings
    made(world, tmp_path)
    target = world.second_stack()

    def dies_when_finished(operation: str, proceed: Callable[[], Any]) -> Any:
        answer = proceed()
        models = SESSION.resource("dynamodb").Table(target.versions_table)
        if operation == "BatchWriteItem" and models.get_item(Key=keys.MODEL.key(model="toy")).get("Item"):
            raise Killed
        return answer

    world.calls.between = dies_when_finished
    with pytest.raises(Killed):
        restored(world, tmp_path, target)
    world.calls.between = None
    world.move_to(target)
    world.operator.stop("toy")
    devices[0].rotate_key()
    moved, _ = everything(world, target)
    again = restored(world, tmp_path, target)
    assert (again.went_on, again.objects) == (True, 0), "no object is sent twice"
    after, _ = everything(world, target)
    mark = "versions_table/restore/restore"
    assert {name for name in after if after[name] != moved[name]} == {mark}
    assert after[mark]["finished_at"]
    assert source is not target


def test_rows_that_dynamodb_left_unprocessed_are_written_again(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    done = made(world, tmp_path)
    target, refused = world.second_stack(), count()

    def hesitant(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "BatchWriteItem" and next(refused) % 2 == 0:
            return {"UnprocessedItems": requested[-1]}
        return proceed()

    requested: list[Any] = []
    cloud = cloud_of(target)
    write = cloud._dynamodb.batch_write_item
    cloud._dynamodb.batch_write_item = lambda **request: (requested.append(request["RequestItems"]), write(**request))[1]
    world.calls.between = hesitant
    restore(cloud, BackupFolder(tmp_path), world.clock, chunk_rows=5)
    world.calls.between = None
    assert next(refused) > 4
    assert len(everything(world, target)[0]) == sum(file.rows for file in done.manifest.tables.values()) + 2


# ---- refusals


def test_a_target_with_anything_in_it_is_refused_and_nothing_is_written(
    old: tuple[World, list[Device]], tmp_path: Path
) -> None:
    world, _ = old
    made(world, tmp_path)
    for number, table in enumerate(("clients_table", "rounds_table", "versions_table", "monitoring_table")):
        target = world.second_stack(f"target-{number}")
        name = getattr(target, table)
        SESSION.resource("dynamodb").Table(name).put_item(Item={"pk": "models", "sk": "model#other"})
        with pytest.raises(NotEmpty, match=name):
            restored(world, tmp_path, target)
        rows, objects = everything(world, target)
        assert (len(rows), len(objects)) == (1, 0)
    target = world.second_stack("with-object")
    world.s3.put_object(Bucket=target.bucket, Key="states/" + "0" * 64 + ".safetensors", Body=b"")
    with pytest.raises(NotEmpty, match="states/"):
        restored(world, tmp_path, target)
    assert everything(world, target)[0] == {}


def test_what_an_empty_stack_counts_by_itself_is_no_matter(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    made(world, tmp_path)
    source, target = world.settings, world.second_stack()
    world.move_to(target)
    world.monitor()
    assert len(everything(world, target)[0]) == 16
    world.s3.put_object(Bucket=target.bucket, Key="somebody-elses", Body=b"")
    restored(world, tmp_path, target)
    world.clock.advance(301)
    world.monitor()
    assert world.operator.statistics().clients == 4
    assert source is not target


def test_a_stack_is_filled_once_and_from_one_backup(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, devices = old
    made(world, tmp_path / "first")
    world.update(devices[1])
    world.deliver()
    made(world, tmp_path / "second")
    target = world.second_stack()
    assert killed_at(world, 20, lambda: restored(world, tmp_path / "first", target))
    before = everything(world, target)
    with pytest.raises(OtherRestore, match="begun here"):
        restored(world, tmp_path / "second", target)
    assert everything(world, target) == before
    restored(world, tmp_path / "first", target)
    with pytest.raises(NotEmpty, match="was restored here at"):
        restored(world, tmp_path / "first", target)


def test_a_dry_run_checks_all_and_writes_nothing(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    made(world, tmp_path)
    target = world.second_stack()
    assert restored(world, tmp_path, target, dry_run=True).abandoned == ("toy.4",)
    assert everything(world, target) == ({}, set())


def spoil_object(folder: BackupFolder) -> str:
    path = object_path(next(o.key for o in folder.manifest().objects if o.key.startswith("states/")))
    data = bytearray((folder.root / path).read_bytes())
    data[-1] ^= 1
    (folder.root / path).write_bytes(data)
    return f"changed: {path}"


def lose_object(folder: BackupFolder) -> str:
    path = object_path(next(o.key for o in folder.manifest().objects if o.key.startswith("checkpoints/")))
    (folder.root / path).unlink()
    return f"missing: {path}"


def cut_rows(folder: BackupFolder) -> str:
    path = rows_path("rounds", folder.manifest().tables["rounds"].sha256)
    (folder.root / path).write_bytes((folder.root / path).read_bytes()[:-20])
    return f"changed: {path}"


def lose_rows(folder: BackupFolder) -> str:
    path = rows_path("versions", folder.manifest().tables["versions"].sha256)
    (folder.root / path).unlink()
    return f"missing: {path}"


@pytest.mark.parametrize("damage", [spoil_object, lose_object, cut_rows, lose_rows])
def test_a_damaged_backup_is_refused_by_the_file_and_backing_up_again_heals_it(
    old: tuple[World, list[Device]], tmp_path: Path, damage: Callable[[BackupFolder], str]
) -> None:
    world, _ = old
    made(world, tmp_path)
    folder = BackupFolder(tmp_path)
    named = damage(folder)
    target = world.second_stack()
    with pytest.raises(NotAsBackedUp, match=named):
        restored(world, tmp_path, target)
    assert everything(world, target) == ({}, set())
    made(world, tmp_path)
    check(folder)


def without(folder: BackupFolder, table: layout.TableName, wanted: Callable[[Any], bool]) -> None:
    """Write a backup anew with some rows left out, as if they had never been read."""
    manifest = folder.manifest()
    file = folder.write_rows(table, [row for row in dump(folder, table) if wanted(row)])
    folder.finish(manifest.model_copy(update={"tables": {**manifest.tables, table: file}}))


@pytest.mark.parametrize(
    ("table", "sk", "named"),
    [
        ("versions", "version#00000001", r"version toy\.v1"),
        ("versions", "deployment#00000002", "revision 2 of toy"),
        ("versions", "model#toy", "model toy"),
        ("rounds", "round#00000002", r"round toy\.2"),
        ("clients", "client#device-0", "client device-0"),
    ],
)
def test_a_backup_in_which_something_is_named_that_is_not_there_is_refused(
    old: tuple[World, list[Device]], tmp_path: Path, table: layout.TableName, sk: str, named: str
) -> None:
    world, _ = old
    made(world, tmp_path)
    folder = BackupFolder(tmp_path)
    without(folder, table, lambda row: row["sk"]["S"] != sk)
    with pytest.raises(DoesNotHold, match=named):
        check(folder)


def test_every_object_that_a_row_names_must_be_in_the_backup(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    made(world, tmp_path)
    folder = BackupFolder(tmp_path)
    manifest = folder.manifest()
    kinds = {stored.key.split("/")[0] for stored in manifest.objects}
    assert kinds == {"checkpoints", "states", "versions", "rounds"}
    for stored in manifest.objects:
        folder.finish(manifest.model_copy(update={"objects": [other for other in manifest.objects if other != stored]}))
        with pytest.raises(DoesNotHold, match=f"object {stored.key}"):
            check(folder)


def test_a_stack_whose_bucket_has_lost_or_damaged_something_is_named(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    key = keys.CHECKPOINT.key(sha256=world.operator.version("toy", 1).checkpoint.sha256)
    world.s3.put_object(Bucket=world.settings.bucket, Key=key, Body=b"another")
    with pytest.raises(DoesNotHold, match=key):
        made(world, tmp_path)
    world.s3.delete_object(Bucket=world.settings.bucket, Key=key)
    with pytest.raises(DoesNotHold, match=f"{key} is not in bucket"):
        made(world, tmp_path)
    with pytest.raises(NoBackup):
        check(BackupFolder(tmp_path))


def test_a_stack_in_which_a_row_is_gone_that_others_name_is_named(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    table = SESSION.resource("dynamodb").Table(world.settings.versions_table)
    table.delete_item(Key=keys.VERSION.key(model="toy", version=1))
    with pytest.raises(DoesNotHold, match=r"names version toy\.v1"):
        made(world, tmp_path)
    assert not (tmp_path / MANIFEST).exists()


def test_a_row_of_an_unknown_kind_stops_the_backup(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    SESSION.resource("dynamodb").Table(world.settings.versions_table).put_item(Item={"pk": "cohorts", "sk": "cohort#a"})
    with pytest.raises(UnknownRow, match="cohorts cohort#a"):
        made(world, tmp_path)


def test_a_folder_that_holds_something_else_is_left_alone(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(OtherStack, match=r"thesis\.tex"):
        made(world, tmp_path)
    made(world, tmp_path / "backup")
    world.move_to(world.second_stack())
    with pytest.raises(OtherStack, match="second-versions"):
        made(world, tmp_path / "backup")
    outside = {**json.loads((tmp_path / "backup" / MANIFEST).read_bytes()), "objects": [{"key": "../../keys", "bytes": 1}]}
    (tmp_path / "backup" / MANIFEST).write_text(json.dumps(outside))
    with pytest.raises(NoBackup, match="objects that cannot be"):
        check(BackupFolder(tmp_path / "backup"))
    (tmp_path / "backup" / MANIFEST).write_text('{"format":2}')
    with pytest.raises(NoBackup, match="not what this release writes"):
        check(BackupFolder(tmp_path / "backup"))


def test_only_its_owner_can_read_a_backup(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    made(world, tmp_path / "backup")
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o700
    files = [path for path in (tmp_path / "backup").rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    for path in (tmp_path / "backup" / "rows").iterdir():
        assert b"Bearer" not in gzip.decompress(path.read_bytes())


def test_a_long_object_is_uploaded_in_pieces(
    old: tuple[World, list[Device]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, _ = old
    monkeypatch.setattr(backup_cloud, "PIECE_BYTES", 5 << 20)
    target = world.second_stack()
    world.s3.put_bucket_versioning(Bucket=target.bucket, VersioningConfiguration={"Status": "Enabled"})
    data = bytes(11 << 20)
    sha256 = backup_cloud.hashlib.sha256(data).hexdigest()
    (tmp_path / "long").write_bytes(data)
    cloud = cloud_of(target)
    for _ in range(2):
        with (tmp_path / "long").open("rb") as file:
            cloud.upload(f"checkpoints/{sha256}.safetensors", sha256, file, len(data))
    assert world.s3.get_object(Bucket=target.bucket, Key=f"checkpoints/{sha256}.safetensors")["Body"].read() == data
    with (tmp_path / "long").open("rb") as file, pytest.raises(DoesNotHold):
        cloud.upload(f"checkpoints/{'0' * 64}.safetensors", "0" * 64, file, len(data))
    assert world.s3.list_multipart_uploads(Bucket=target.bucket).get("Uploads", []) == []
    assert len(world.s3.list_object_versions(Bucket=target.bucket)["Versions"]) == 1, "what is there is left alone"


def test_a_file_that_changes_after_the_check_is_not_uploaded(world: World, tmp_path: Path) -> None:
    target = world.second_stack()
    (tmp_path / "short").write_bytes(b"another")
    with (tmp_path / "short").open("rb") as file, pytest.raises(DoesNotHold, match="in the folder"):
        cloud_of(target).upload(f"states/{'0' * 64}.safetensors", "0" * 64, file, 7)
    assert everything(world, target) == ({}, set())


def actions(section: str) -> set[str]:
    """The actions that a policy in docs/operations.md allows."""
    page = (ROOT / "docs/operations.md").read_text()
    policy = json.loads(page.split(f"### {section}\n")[1].split("```json\n")[1].split("```")[0])
    found = [statement["Action"] for statement in policy["Statement"]]
    return {action for one in found for action in ([one] if isinstance(one, str) else one)} - {"cloudformation:DescribeStacks"}


ACTIONS = {
    "TransactGetItems": "dynamodb:GetItem", "ListObjectsV2": "s3:ListBucket", "GetObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
}  # fmt: skip
"""Actions that are not called like their operations (AWS: "Actions, resources, and condition keys")."""


def test_the_documented_permissions_are_exactly_those_that_are_used(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    with world.calls.count() as reading:
        made(world, tmp_path)
    target = world.second_stack()
    with world.calls.count() as writing:
        restored(world, tmp_path, target)
    used = [{ACTIONS.get(operation, f"dynamodb:{operation}") for operation in seen} for seen in (reading, writing)]
    assert used[0] == actions("Permissions of a backup")
    assert used[1] | {"s3:AbortMultipartUpload"} == actions("Permissions of a restore")


# ---- from the terminal


def names(settings: Settings) -> str:
    return (
        f"--clients-table {settings.clients_table} --rounds-table {settings.rounds_table} --bucket {settings.bucket} "
        f"--versions-table {settings.versions_table} --monitoring-table {settings.monitoring_table} --region us-east-1"
    )


def test_backup_verify_and_restore_from_the_terminal(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    muster, target, folder = Terminal(world), world.second_stack(), tmp_path / "backup"
    said = muster.text(f"backup {{}} {names(world.settings)} --connections 1", folder)
    assert "rows of versions" in said
    found = muster.json("backup {} --verify", folder)
    assert (found["verified"], found["fetched"], found["release"]) == (True, 0, "0.1.0")
    assert found["rows"]["clients"] == 5 + 16 + 1
    assert "whole" in muster.text("backup {} --verify", folder)
    restore_ = f"restore {{}} {names(target)} --connections 1"
    assert "nothing was changed" in muster.text(f"{restore_} --dry-run", folder)
    assert everything(world, target) == ({}, set())
    done = muster.json(restore_, folder)
    assert (done["abandoned"], done["went_on"], done["backup"]) == (["toy.4"], False, found["backup"])
    assert done["objects_written"] == found["objects"]
    complaint = muster.fails(restore_, 1, folder)
    assert "The target is not empty" in complaint
    assert "was restored here" in complaint


def test_errors_from_the_terminal_have_names_and_statuses(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    muster = Terminal(world)
    assert "There is no backup" in muster.fails("backup {} --verify", 2, tmp_path)
    assert "neither --stack nor the names" in muster.fails("backup {} --bucket only", 2, tmp_path)
    complaint = muster.fails(f"backup {{}} {names(world.settings)}x".replace("us-east-1x", "us-east-1 --bucket x"), 2, tmp_path)
    assert "A table or the bucket is not there" in complaint
    folder = BackupFolder(tmp_path / "whole")
    made(world, folder.root)
    named = spoil_object(folder)
    complaint = muster.fails("backup {} --verify", 4, folder.root)
    assert "Files are not what was backed up" in complaint
    assert named in complaint


@pytest.mark.parametrize("kind", BackupError.__subclasses__())
def test_every_error_says_what_and_what_to_type_next(kind: type[BackupError]) -> None:
    out = StringIO()
    console = Console(file=out, width=160)
    status = explain(kind("for a reason"), CliSession(lambda: None), console)  # type: ignore[arg-type, return-value]
    assert status in (1, 2, 3, 4)
    assert [line[:5] for line in out.getvalue().splitlines()] == ["error", "why  ", "next "]
    assert issubclass(kind, EXPECTED)


# ---- where a stack is


class Outputs:
    """CloudFormation, as far as it is asked."""

    def __init__(self, *names: str) -> None:
        self._said = [{"OutputKey": name, "OutputValue": f"the-{name}"} for name in names]

    def describe_stacks(self, *, StackName: str) -> Any:  # noqa: N803
        return {"Stacks": [{"StackName": StackName, "Outputs": self._said}]}


def test_a_stack_says_in_its_outputs_where_everything_is() -> None:
    found = places_of(Outputs(*OUTPUTS.values(), "AlertTopicArn"), "muster")
    assert found == Places(
        "the-ClientsTableName",
        "the-RoundsTableName",
        "the-VersionsTableName",
        "the-MonitoringTableName",
        "the-TensorBucketName",
    )
    with pytest.raises(NoStack, match="has no output ClientsTableName, MonitoringTableName"):
        places_of(Outputs("TensorBucketName", "RoundsTableName", "VersionsTableName"), "muster")
