"""Which versions are kept, how the others go, and that nobody is served what is gone.

The store dates objects by the machine's clock, so these worlds begin at that time; nothing here waits for it to pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from chalicelib.instants import utc_now
from chalicelib.registry.retention import GRACE
from chalicelib.registry.sweep import EVERY, KEPT_STEPS
from chalicelib.storage import keys
from muster.http.errors import Refused
from muster.wire.admin import Strategy
from muster.wire.problems import Problem
from tests.fleet import BASE, Killed, World, checkpoint
from tests.operator.terminal import Terminal

SWEEPS = int(GRACE / EVERY) + 2
"""The first of so many marks a version, and the last deletes it."""


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.clock.now = utc_now()
    yield made
    made.close()


@pytest.fixture
def muster(world: World) -> Terminal:
    return Terminal(world)


def at(world: World, when: str | int, act: Callable[[], object]) -> None:
    """Let something happen right before the next call of an operation, or before the call of a number."""
    seen = 0

    def between(called: str, proceed: Callable[[], Any]) -> Any:
        nonlocal seen
        if when in (called, seen):
            world.calls.between = None
            act()
        seen += 1
        return proceed()

    world.calls.between = between


def registered(world: World, count: int, **config: Any) -> None:
    """A model with some versions that were never served. The first sweep is due, and nobody younger than it."""
    world.model(rounds=0, **config)
    for number in range(1, count + 1):
        world.operator.register("toy", checkpoint(number / 16))
    world.tick()


def sweep(world: World, times: int = 1) -> None:
    for _ in range(times):
        world.clock.advance(EVERY.total_seconds())
        world.tick()


def fates(world: World, **query: Any) -> dict[int, tuple[str, list[str]]]:
    return {one.version: (one.fate, one.because) for one in world.operator.retention("toy", **query)}


def deleted(world: World) -> set[int]:
    return {one.version for one in world.operator.versions("toy") if one.deleted_at}


def expiring(world: World) -> set[int]:
    return {one.version for one in world.operator.versions("toy") if one.expires_at}


def there(world: World, number: int) -> bool:
    """Whether a version's checkpoint and document are in the bucket."""
    version = world.services.registry.known("toy", number)
    wanted = {
        keys.CHECKPOINT.key(sha256=version.checkpoint.sha256),
        keys.DOCUMENT.key(sha256=version.document_sha256),
    }
    return wanted <= world.everything()[1]


def refused(act: Callable[[], object]) -> Problem | None:
    with pytest.raises(Refused) as said:
        act()
    return said.value.problem


def test_a_model_that_says_nothing_keeps_all_of_its_versions(world: World) -> None:
    registered(world, 4)
    sweep(world, 2 * SWEEPS)
    assert (deleted(world), expiring(world)) == (set(), set())
    assert fates(world)[2] == ("kept", ["all"])


def test_versions_expire_then_are_deleted_and_then_their_objects_go(world: World) -> None:
    registered(world, 6, keep_versions=2)
    sweep(world)
    assert (expiring(world), deleted(world)) == ({1, 2, 3, 4}, set())
    assert fates(world) == {
        6: ("kept", ["last", "challenger"]),
        5: ("kept", ["last"]),
        **{number: ("expiring", []) for number in (4, 3, 2, 1)},
        0: ("kept", ["first", "deployed", "next-base"]),
    }
    shown = world.operator.version("toy", 3)
    assert shown.expires_at == world.clock() + GRACE
    sweep(world, SWEEPS - 2)
    assert deleted(world) == set()
    sweep(world)
    assert (expiring(world), deleted(world)) == (set(), {1, 2, 3, 4})
    assert there(world, 3), "the objects are the next sweep's"
    sweep(world)
    assert [number for number in range(7) if there(world, number)] == [0, 5, 6]
    tombstone = world.operator.version("toy", 3)
    assert (tombstone.deleted_at is not None, tombstone.expires_at, tombstone.state) == (True, None, "staged")
    assert tombstone.checkpoint.sha256 == shown.checkpoint.sha256
    assert tombstone.document_sha256 == shown.document_sha256
    assert world.operator.register("toy", checkpoint(0.9)).version == 7, "no number is given out twice"


def test_a_dry_run_says_what_the_next_sweep_does_also_for_a_number_that_is_not_configured(world: World) -> None:
    registered(world, 5)
    sweep(world)
    wanted = {number for number, (fate, _) in fates(world, keep_versions=3).items() if fate == "marked"}
    assert wanted == {1, 2}
    assert fates(world)[1] == ("kept", ["all"])
    configure(world, keep_versions=3)
    assert {number for number, (fate, _) in fates(world).items() if fate == "marked"} == wanted
    sweep(world)
    assert expiring(world) == wanted


def configure(world: World, **config: Any) -> None:
    status = world.operator.status("toy")
    world.operator.configure("toy", status.config.model_copy(update=config), revision=status.config_revision)


def deploy(world: World, number: int) -> int:
    return world.operator.deploy("toy", number, revision=world.operator.status("toy").deployment_revision).revision


def test_nothing_is_deleted_before_it_is_a_day_old_and_then_has_its_grace(world: World) -> None:
    world.model(rounds=0, keep_versions=2)
    world.tick()
    world.clock.advance(EVERY.total_seconds() - 60)
    for number in range(1, 5):
        world.operator.register("toy", checkpoint(number / 16))
    world.clock.advance(60)
    world.tick()
    assert expiring(world) == set()
    assert fates(world)[1] == ("kept", ["young"])
    sweep(world)
    assert expiring(world) == {1, 2}


@pytest.mark.parametrize("how", ["deploy", "roll out", "keep", "register again", "keep more", "keep all"])
def test_what_expires_is_brought_back_in_the_grace_period(world: World, how: str) -> None:
    registered(world, 5, keep_versions=2)
    sweep(world)
    assert 2 in expiring(world)
    match how:
        case "deploy":
            deploy(world, 2)
        case "roll out":
            strategy = Strategy(kind="rolling", steps=[10.0], pause_seconds=10**6)
            world.operator.deploy("toy", 2, strategy=strategy, revision=1)
        case "keep":
            world.operator.pin("toy", 2)
        case "register again":
            assert world.operator.register("toy", checkpoint(2 / 16)).version == 2
        case "keep more":
            configure(world, keep_versions=4)
        case _:
            configure(world, keep_versions=None)
    at_once = how not in ("keep more", "keep all")
    assert (2 not in expiring(world)) == at_once, "the others are found by the next sweep"
    sweep(world)
    assert (2 in expiring(world)) == (how == "register again"), "which gives it another week"
    sweep(world, SWEEPS - 2)
    assert 2 not in deleted(world)
    assert there(world, 2)
    assert (1 in deleted(world)) == (how != "keep all")


def test_a_pinned_version_stays_until_it_is_released(world: World) -> None:
    registered(world, 4, keep_versions=2)
    assert world.operator.pin("toy", 1).pinned
    assert world.operator.pin("toy", "toy.v1").pinned, "twice is once"
    sweep(world, SWEEPS + 1)
    assert deleted(world) == {2}
    assert fates(world)[1] == ("kept", ["pinned"])
    assert not world.operator.pin("toy", 1, pinned=False).pinned
    sweep(world)
    assert expiring(world) == {1}


def test_a_version_is_kept_and_released_from_the_terminal(world: World, muster: Terminal) -> None:
    registered(world, 4, keep_versions=2)
    sweep(world)
    assert "keep toy.v1" in muster.text("version keep toy 1 --dry-run")
    assert 1 in expiring(world)
    assert muster.json("version keep toy 1")["pinned"]
    assert "change nothing" in muster.text("version keep toy 1 --dry-run")
    assert expiring(world) == {2}
    assert "pinned" in muster.text("version list toy")
    assert not muster.json("version release toy 1")["pinned"]
    sweep(world)
    assert expiring(world) == {1, 2}


@pytest.mark.parametrize(
    ("method", "path", "body", "problem"),
    [
        ("PUT", "versions/1/pin", {}, Problem.INVALID_BODY),
        ("PUT", "versions/1/pin", {"pinned": "yes"}, Problem.INVALID_BODY),
        ("PUT", "versions/1/pin", {"pinned": True, "until": 1}, Problem.INVALID_BODY),
        ("PUT", "versions/9/pin", {"pinned": True}, Problem.UNKNOWN_VERSION),
        ("PUT", "versions/A/pin", {"pinned": True}, Problem.UNKNOWN_VERSION),
        ("GET", "retention?keep_versions=1", None, Problem.INVALID_QUERY),
        ("GET", "retention?keep_versions=1e9", None, Problem.INVALID_QUERY),
        ("GET", "retention?newer=-1", None, Problem.INVALID_QUERY),
        ("GET", "retention?before=99999999999", None, Problem.INVALID_QUERY),
        ("GET", "retention?after=x", None, Problem.INVALID_QUERY),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name_and_changes_nothing(
    world: World, method: str, path: str, body: Any, problem: Problem
) -> None:
    registered(world, 1)
    before = world.everything()
    answer = world.request(method, f"/v1/admin/models/toy/{path}", body=body)
    assert answer.json()["type"] == problem.urn
    assert world.everything() == before


def test_a_list_of_what_is_kept_comes_in_pages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    registered(world, 6, keep_versions=3)
    sweep(world, SWEEPS + 1)
    world.operator.register("toy", checkpoint(0.9))
    whole = fates(world)
    monkeypatch.setattr("chalicelib.rounds.operators.retention.PAGE", 2)
    assert fates(world) == whole
    assert [number for number, (fate, _) in whole.items() if fate == "deleted"] == [3, 2, 1]


def test_nothing_is_deleted_by_a_configuration_that_is_no_longer_the_present_one(world: World) -> None:
    registered(world, 4, keep_versions=2)
    sweep(world, SWEEPS - 1)
    at(world, "TransactWriteItems", lambda: configure(world, keep_versions=None))
    sweep(world)
    assert deleted(world) == set()
    sweep(world)
    assert expiring(world) == set()


def test_what_was_deleted_is_refused_by_name_and_the_refusal_says_what_there_is(world: World, muster: Terminal) -> None:
    registered(world, 4, keep_versions=2)
    for number in (1, 2, 0, *(3 + step % 2 for step in range(KEPT_STEPS - 1))):
        deploy(world, number)
    sweep(world, SWEEPS + 1)
    assert deleted(world) == {1}, "ten steps lead to version 2"
    seen = world.operator.status("toy").deployment_revision
    before = world.everything()
    for act in (
        lambda: world.operator.deploy("toy", 1, revision=seen),
        lambda: world.operator.deploy("toy", 1, revision=seen, dry_run=True),
        lambda: world.operator.rollback("toy", KEPT_STEPS + 1, revision=seen),
        lambda: world.operator.pin("toy", 1),
        lambda: world.operator.pin("toy", 1, pinned=False),
        lambda: world.operator.kept("toy", 1),
    ):
        assert refused(act) is Problem.VERSION_DELETED
    assert world.everything() == before
    with pytest.raises(Refused, match=f"the most: {KEPT_STEPS}, to version 2"):
        world.operator.rollback("toy", KEPT_STEPS + 1, revision=seen)
    assert "muster model retention toy" in muster.fails("deploy toy 1", 1)
    for command in ("version download toy 1", "version verify toy 1", "version keep toy 1"):
        assert "was deleted" in muster.fails(command, 1)
    assert muster.json("version show toy 1")["deleted_at"]
    assert "deleted" in muster.text("version list toy")
    assert world.operator.rollback("toy", KEPT_STEPS, revision=seen).version == 2, "a rollback wins"


@pytest.mark.parametrize("when", ["expiring", "deleted", "gone"])
def test_a_checkpoint_that_is_registered_again_is_the_old_version_or_where_that_was_deleted_a_new_one(
    world: World, when: str
) -> None:
    registered(world, 4, keep_versions=2)
    sweep(world, {"expiring": SWEEPS - 1, "deleted": SWEEPS, "gone": SWEEPS + 1}[when])
    first = world.operator.register("toy", checkpoint(1 / 16))
    again = world.operator.register("toy", checkpoint(1 / 16))
    assert again.id == first.id
    assert first.version == (1 if when == "expiring" else 5)
    sweep(world, 2)
    assert there(world, first.version)
    assert world.operator.download(world.operator.version("toy", first.version).checkpoint) == checkpoint(1 / 16)
    assert (1 in deleted(world)) == (when != "expiring")


@pytest.mark.parametrize("operation", ["GetItem", "HeadObject", "TransactWriteItems"])
def test_a_registration_into_which_the_deletion_or_the_sweep_of_its_objects_falls_has_its_objects(
    world: World, operation: str
) -> None:
    registered(world, 4, keep_versions=2)
    sweep(world, SWEEPS - 1)
    for _ in range(2):  # first the version is deleted in between, then its objects
        upload = world.operator._upload(checkpoint(1 / 16))
        world.clock.advance(EVERY.total_seconds())
        at(world, operation, world.tick)
        answer = world.request("POST", "/v1/admin/models/toy/versions", body={"checkpoint": upload.model_dump()})
        assert answer.status_code == 201 or answer.json()["type"] == Problem.UPLOAD_MISSING.urn
        if answer.status_code == 201:
            found = world.operator.version("toy", answer.json()["version"])
            assert found.deleted_at is None
        for version in world.operator.versions("toy"):
            assert version.deleted_at or there(world, version.version)


def test_objects_that_two_versions_share_stay_as_long_as_one_of_them_does(world: World) -> None:
    registered(world, 4, keep_versions=2)
    world.model("other", rounds=0, tensors={**BASE, "layer.bias": np.full(3, 1 / 16, np.float32)})
    sweep(world, SWEEPS + 1)
    assert 1 in deleted(world)
    assert world.operator.download(world.operator.version("other", 0).checkpoint) == checkpoint(1 / 16)
    document = keys.DOCUMENT.key(sha256=world.services.registry.known("toy", 1).document_sha256)
    assert document not in world.everything()[1]


@pytest.mark.parametrize("what", ["deploy", "keep", "configure"])
def test_of_an_operator_and_a_deletion_at_any_call_of_a_sweep_one_wins_and_nothing_is_served_that_is_gone(
    world: World, what: str
) -> None:
    world.relive(overdue)
    with world.calls.count() as calls:
        sweep(world)
    assert deleted(world) == {1, 2}
    for number in range(calls.index("ListObjectsV2")):
        with closing(World()) as other:
            other.relive(overdue)
            at(other, number, lambda: _wanted(other, what))
            sweep(other)
            gone, present = deleted(other), other.services.registry.present("toy")
            assert not gone & present.mentions
            if what != "configure":
                assert (1 in gone) != _is_wanted(other), "one of the two wins"
            if what == "configure" and gone:
                assert number > 0, "what was configured before the sweep counts"
            sweep(other)
            for version in other.operator.versions("toy"):
                assert there(other, version.version) == (version.version not in gone)


def overdue(world: World) -> None:
    """Two versions that the next sweep deletes, and one that it marks."""
    world.clock.now = utc_now()
    registered(world, 4, keep_versions=2)
    sweep(world)
    world.operator.register("toy", checkpoint(5 / 16))
    sweep(world, SWEEPS - 2)


def _wanted(world: World, what: str) -> None:
    """Somebody wants version 1."""
    try:
        match what:
            case "deploy":
                deploy(world, 1)
            case "keep":
                world.operator.pin("toy", 1)
            case _:
                configure(world, keep_versions=None)
    except Refused as no:
        assert no.problem is Problem.VERSION_DELETED  # noqa: PT017
        assert 1 in deleted(world)


def _is_wanted(world: World) -> bool:
    present = world.services.registry.present("toy")
    return 1 in present.mentions or world.operator.version("toy", 1).pinned


WRITES = {"UpdateItem", "PutItem", "TransactWriteItems", "DeleteObjects"}


@pytest.mark.parametrize("happens", ["killed before", "killed after", "sent twice", "overtaken"])
def test_a_sweep_that_is_killed_or_doubled_at_any_write_comes_to_the_same_end(happens: str) -> None:
    with closing(World()) as world:
        world.relive(overdue)
        with world.calls.count() as calls:
            sweep(world)
        expected = _end(world)
    assert expected[0] == {1, 2, 3}
    for number in (number for number, operation in enumerate(calls) if operation in WRITES):
        with closing(World()) as world:
            world.relive(overdue)
            world.calls.between = _at_call(world, number, happens)
            try:
                sweep(world)
            except Killed:
                world.restart()
            finally:
                world.calls.between = None
            assert _end(world) == expected, f"{happens} call {number}, {calls[number]}"


def _end(world: World) -> tuple[set[int], set[str]]:
    """What is deleted, and which objects there are, when everything had its time."""
    sweep(world, SWEEPS + 2)
    return deleted(world), world.everything()[1]


def _at_call(world: World, at_number: int, happens: str) -> Callable[[str, Callable[[], Any]], Any]:
    seen = -1

    def between(called: str, proceed: Callable[[], Any]) -> Any:
        nonlocal seen
        seen += 1
        if seen != at_number:
            return proceed()
        match happens:
            case "killed before":
                raise Killed(called)
            case "killed after":
                proceed()
                raise Killed(called)
            case "sent twice":  # botocore lost the answer
                proceed()
            case _:
                world.calls.between = None
                sweep(world)
        return proceed()

    return between
