"""Each condition of the store has a test here that fails without it: what is not as it was read is not changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.clients.client import Client, ClientState
from chalicelib.clients.credentials import Credential
from chalicelib.clients.directory import Allowance
from chalicelib.errors import Refusal
from chalicelib.registry.version import Judged
from chalicelib.rounds.judgement import Judgement, Measurement
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.receipt import REVOKED, Accepted, Declared, Late, Receipt, ReceiptState, Uploaded, late
from chalicelib.rounds.round import Round, Summary
from chalicelib.rounds.store import NotDone, OutOfScope, RoundStore
from tests.fleet import World
from tests.rounds.making import FROZEN, PUBLISHED, reached

OWNER = Credential("device-1", "a" * 43)
UPLOADED = Uploaded("0" * 64, 100, '"etag"')
MEASURED = Measurement(10, {"accuracy": 0.5})
JUDGED = Judged(judges=5, better=5, worse=0, gain=0.1, p=0.0625, examples=10)


@pytest.fixture
def store(world: World) -> RoundStore:
    world.model(goal=1, quorum=1)
    world.tick()
    return world.services.rounds


@pytest.fixture
def rnd(store: RoundStore) -> Round:
    found = store.latest("toy")
    assert found
    return found


@pytest.fixture
def own(world: World, store: RoundStore) -> Allowance:
    """What the client's own key may do."""
    now = world.clock()
    client = Client(
        client_id="device-1",
        key_hash=OWNER.hashed,
        state=ClientState.ACTIVE,
        device_type="iot",
        sdk_version="1.0",
        enrolled_at=now,
        last_seen_at=now,
        models=["toy"],
    )
    world.add(client)
    return world.services.directory.allowance(OWNER, "toy")


@pytest.fixture
def receipt(world: World, store: RoundStore, rnd: Round, own: Allowance) -> Receipt:
    """An assigned receipt that has declared what `UPLOADED` is."""
    now = world.clock()
    store.assign(
        Receipt(
            round=rnd.id,
            client_id="device-1",
            state=ReceiptState.ASSIGNED,
            assigned_at=now,
            report_by=rnd.report_by,
            min_bytes=10,
            max_bytes=1000,
            ttl=0,
        )
    )
    store.declare(rnd.id, own, Declared(key="key", sha256=UPLOADED.sha256, nbytes=UPLOADED.nbytes, examples=10), now)
    return stored(store, rnd)


@pytest.fixture
def judge(world: World, store: RoundStore, rnd: Round, own: Allowance) -> Judgement:
    now = world.clock()
    appointed = store.appoint(
        Judgement(round=rnd.id, client_id="device-1", assigned_at=now, report_by=now + timedelta(seconds=60), ttl=0)
    )
    assert appointed
    return appointed


def stored(store: RoundStore, rnd: Round) -> Receipt:
    found = store.receipt(rnd.id, "device-1")
    assert found
    return found


Attempt = Callable[[World, RoundStore, Receipt, Allowance], None]

MEASURED_FIT = Accepted(norm=1.0, magnitudes="", header_bytes=100)

OTHER = Declared(key="k", sha256="1" * 64, nbytes=100, examples=1)

REPORTS: dict[str, Attempt] = {
    "at the deadline": lambda _, s, r, own: s.report(r.round, own, UPLOADED, {}, r.report_by),
    "another digest": lambda w, s, r, own: s.report(r.round, own, replace(UPLOADED, sha256="1" * 64), {}, w.clock()),
    "another length": lambda w, s, r, own: s.report(r.round, own, replace(UPLOADED, nbytes=101), {}, w.clock()),
    "declared at the deadline": lambda _, s, r, own: s.declare(r.round, own, OTHER, r.report_by),
    "declared too short": lambda w, s, r, own: s.declare(r.round, own, replace(OTHER, nbytes=9), w.clock()),
    "declared too long": lambda w, s, r, own: s.declare(r.round, own, replace(OTHER, nbytes=1001), w.clock()),
}


@pytest.mark.parametrize("attempt", REPORTS.values(), ids=REPORTS.keys())
def test_a_write_on_a_receipt_that_is_not_due_changes_nothing(
    world: World, store: RoundStore, receipt: Receipt, own: Allowance, attempt: Attempt
) -> None:
    with pytest.raises(NotDone) as other:
        attempt(world, store, receipt, own)
    assert other.value.found
    assert store.receipt(receipt.round, receipt.client_id) == receipt


@pytest.mark.parametrize("credential", [Credential("device-1", "b" * 43), Credential("device-2", "a" * 43)])
def test_a_write_with_a_key_that_is_not_the_clients_changes_nothing_and_shows_nothing(
    world: World, store: RoundStore, rnd: Round, receipt: Receipt, judge: Judgement, credential: Credential
) -> None:
    by, now = world.services.directory.allowance(credential, "toy"), world.clock()
    attempts: tuple[Callable[[], object], ...] = (
        lambda: store.declare(rnd.id, by, OTHER, now),
        lambda: store.report(rnd.id, by, UPLOADED, {}, now),
        lambda: store.measure(rnd.id, by, "candidate", MEASURED, now),
    )
    for attempt in attempts:
        with pytest.raises(Refusal, match="unauthenticated"):
            attempt()
    assert stored(store, rnd) == receipt
    assert store.judgement(rnd.id, "device-1") == judge


def test_a_write_for_a_model_outside_the_scope_changes_nothing(
    world: World, store: RoundStore, rnd: Round, receipt: Receipt, judge: Judgement
) -> None:
    by, now = world.services.directory.allowance(OWNER, "other"), world.clock()
    attempts: tuple[Callable[[], object], ...] = (
        lambda: store.declare(rnd.id, by, OTHER, now),
        lambda: store.report(rnd.id, by, UPLOADED, {}, now),
        lambda: store.measure(rnd.id, by, "candidate", MEASURED, now),
    )
    for attempt in attempts:
        with pytest.raises(OutOfScope):
            attempt()
    assert stored(store, rnd) == receipt
    assert store.judgement(rnd.id, "device-1") == judge


def test_a_reported_update_is_neither_reported_again_nor_declared_anew(
    world: World, store: RoundStore, rnd: Round, receipt: Receipt, own: Allowance
) -> None:
    store.report(rnd.id, own, UPLOADED, {}, world.clock())
    first = stored(store, rnd)
    assert first.state is ReceiptState.REPORTED
    world.clock.advance(1)
    with pytest.raises(NotDone):
        store.report(rnd.id, own, UPLOADED, {}, world.clock())
    with pytest.raises(NotDone):
        store.declare(rnd.id, own, OTHER, world.clock())
    assert stored(store, rnd) == first


def test_a_receipt_that_moved_on_is_not_settled_by_who_read_it_before(store: RoundStore, receipt: Receipt) -> None:
    assert store.settle(receipt, Late(late(receipt.report_by, receipt.report_by)))
    assert not store.settle(receipt, MEASURED_FIT)
    found = store.receipt(receipt.round, receipt.client_id)
    assert found
    assert found.state is ReceiptState.LATE


def test_an_update_is_withdrawn_only_while_its_round_collects(store: RoundStore, rnd: Round, receipt: Receipt) -> None:
    store.settle(receipt, MEASURED_FIT)
    accepted = receipt.after(MEASURED_FIT)
    closed = store.move(rnd, FROZEN)
    assert closed
    assert not store.withdraw(rnd, accepted, REVOKED)
    assert store.receipt(receipt.round, receipt.client_id) == accepted
    assert store.get("toy", 1) == closed


def test_a_move_by_who_read_another_phase_or_an_older_fence_changes_nothing(store: RoundStore, rnd: Round) -> None:
    assert store.move(replace(rnd, **reached(Phase.AGGREGATING)), PUBLISHED) is None
    assert store.move(replace(rnd, fence=rnd.fence + 1), FROZEN) is None
    assert store.get("toy", 1) == rnd


def test_a_measurement_is_in_time_and_once(
    world: World, store: RoundStore, rnd: Round, judge: Judgement, own: Allowance
) -> None:
    with pytest.raises(NotDone):
        store.measure(rnd.id, own, "candidate", MEASURED, judge.report_by)
    assert store.judgement(rnd.id, "device-1") == judge
    store.measure(rnd.id, own, "candidate", MEASURED, world.clock())
    with pytest.raises(NotDone):
        store.measure(rnd.id, own, "candidate", replace(MEASURED, examples=11), world.clock())
    found = store.judgement(rnd.id, "device-1")
    assert found
    assert found.measured == {"candidate": MEASURED}


def test_a_version_is_judged_once(world: World, store: RoundStore, rnd: Round) -> None:
    registry = world.services.registry
    moved = store.move(rnd, FROZEN, [registry.put_evaluation("toy", 0, {"accuracy": 0.5}, JUDGED)])
    assert moved
    assert store.move(moved, PUBLISHED, [registry.put_evaluation("toy", 0, {"accuracy": 0.9}, JUDGED)]) is None
    assert store.get("toy", 1) == moved
    version = registry.version("toy", 0)
    assert version
    assert (version.evaluation, version.judged) == ({"accuracy": 0.5}, JUDGED)


def test_a_round_is_finalised_once_and_its_parts_are_noted_once(world: World, store: RoundStore, rnd: Round) -> None:
    assert store.note_parts_sent(rnd, 0, world.clock())
    world.clock.advance(1)
    assert not store.note_parts_sent(rnd, 0, world.clock())
    assert store.finalise(rnd, Summary(accepted=1, rejected={}))
    assert store.finalise(rnd, Summary(accepted=2, rejected={})) is None


def test_a_model_is_not_made_twice_nor_a_deployment_revision(world: World, store: RoundStore, rnd: Round) -> None:
    registry = world.services.registry
    served = registry.deployment("toy")
    assert served
    assert store.move(rnd, FROZEN, [registry.put_deployment(replace(served, because="a second one"))]) is None
    assert registry.deployment("toy") == served
