"""Rows of rounds, receipts and evaluations. Every method is one write with one condition, and says what a repeat does.

A row that cannot be read is named in the log. A receipt, or a judge's place, of that kind counts as nothing: it is neither
accepted nor waited for. A round of that kind gives nobody work, and the next one does not open, until an operator has taken it
away; who must know it apart from none asks for the `entry`, the `history` or the `latest`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from chalicelib.clients.credentials import Credential
from chalicelib.instants import text
from chalicelib.rounds.evaluation import Evaluation, Measurement
from chalicelib.rounds.receipt import Declared, Receipt, ReceiptState, Uploaded, Verdict
from chalicelib.rounds.round import Phase, Round, Summary, check_move, round_id
from chalicelib.storage import keys
from chalicelib.storage.dynamo import NEW, Condition, ConditionFailed, Put, Table, Update
from chalicelib.storage.rows import Item, Unreadable, each, from_item, readable, readable_one, to_item, unreadable


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a write on a receipt came to: whether it was done, and the receipt as it now is (None: there is none)."""

    done: bool
    receipt: Receipt | None


Desk = Literal["admitted", "judges"]
"""The two counters at which places are given out."""

EXAMINED = 50
"""Rounds of a model that are looked at for such as cannot be read."""


class RoundStore:
    """The `rounds` table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    # ---- rounds

    def get(self, model: str, number: int) -> Round | None:
        """A round, or None when there is none, or none that can be read."""
        return readable_one(Round, self._table.get(keys.ROUND.key(model=model, number=number)))

    def entry(self, model: str, number: int) -> Round | Unreadable | None:
        """A round, what says that it cannot be read, or None."""
        item = self._table.get(keys.ROUND.key(model=model, number=number))
        return next(each(Round, [item] if item else []), None)

    def latest(self, model: str) -> Round | None:
        """The model's current or last round, or None when it never had one.

        Raises:
            Unreadable: there is one, and it cannot be read.
        """
        item = self._table.last(keys.ROUND.partition(model=model), keys.ROUND.prefix)
        return from_item(Round, item) if item else None

    def current(self, model: str) -> Round | None:
        """The model's current or last round, for those who ask for work: None when it never had one, or one that cannot be
        read, for then there is no work until an operator has taken it away.
        """
        try:
            return self.latest(model)
        except Unreadable as unknown:
            unknown.tell()
            return None

    def undecided(self, model: str) -> int | None:
        """The version that the model's round has published and not decided about, or None."""
        rnd = self.current(model)
        return rnd.candidate.version if rnd and rnd.phase is Phase.EVALUATING and rnd.candidate else None

    def history(self, model: str, before: int | None, limit: int) -> list[Round | Unreadable]:
        """Rounds of a model, newest first, those below `before` if it is given; also those that cannot be read."""
        below = None if before is None else keys.ROUND.key(model=model, number=before - 1)["sk"]
        partition = keys.ROUND.partition(model=model)
        items = self._table.query(partition, keys.ROUND.prefix, newest_first=True, below=below, limit=limit)
        return list(each(Round, items))

    def unreadable(self, model: str) -> int:
        """How many rows of a model cannot be read: of its last rounds, and of the places in the last one."""
        items = list(self._table.query(keys.ROUND.partition(model=model), keys.ROUND.prefix, newest_first=True, limit=EXAMINED))
        found = unreadable(Round, items)
        if items:
            name = round_id(model, int(keys.ROUND.name_in(items[0]["sk"])))
            for kind, row in ((keys.RECEIPT, Receipt), (keys.EVALUATION, Evaluation)):
                found += unreadable(row, self._table.query(kind.partition(round=name), kind.prefix, consistent=False))
        return found

    def replace_unreadable(self, unknown: Unreadable, rnd: Round) -> bool:
        """Put a round in the place of one that cannot be read, if nobody wrote to that since; False when somebody did."""
        op_id = unknown.item.get("op_id")
        as_read = Condition("#op_id = :was", "nobody wrote to the row since", {":was": op_id})
        there = Condition("attribute_exists(#pk) AND attribute_not_exists(#op_id)", "the row is there, and nobody's")
        key = keys.ROUND.key(model=rnd.model, number=rnd.number)
        try:
            self._table.put(Put(self._table, key, to_item(rnd), as_read if isinstance(op_id, str) else there))
        except ConditionFailed:
            return False
        return True

    def open(self, rnd: Round) -> Round:
        """Store a new round, and return the round of that number: this one, or the one that another tick opened first."""
        key = keys.ROUND.key(model=rnd.model, number=rnd.number)
        try:
            self._table.put(Put(self._table, key, to_item(rnd), NEW))
        except ConditionFailed as lost:
            if lost.found:
                return from_item(Round, lost.found)
            raise
        return rnd

    def move(self, rnd: Round, to: Phase, together_with: Sequence[Put | Update] = (), **changes: object) -> Round | None:
        """Move a round on, all or nothing with the other writes, and return it as it then is.

        None when the round, or one of the other rows, is no longer as it was read: another actor was faster, or acts on
        newer knowledge. Nothing has changed then, and the caller reads again.
        """
        check_move(rnd.phase, to)
        moved = replace(rnd, phase=to, fence=rnd.fence + 1, **changes)  # type: ignore[arg-type]
        stored = to_item(moved)
        condition = Condition(
            "#phase = :was_phase AND #fence = :was_fence",
            "the round is still as it was read",
            {":was_phase": rnd.phase, ":was_fence": rnd.fence},
        )
        change = {name: stored[name] for name in ("phase", "fence", *changes) if name in stored}
        write = Update(self._table, keys.ROUND.key(model=rnd.model, number=rnd.number), condition, set=change)
        try:
            if together_with:
                self._table.transact([write, *together_with])
            else:
                self._table.update(write)
        except ConditionFailed:
            return None
        return moved

    def wind_up(self, rnd: Round, summary: Summary) -> Round | None:
        """Store, once, what became of an ended round's places, and return the round; None when that was stored before."""
        condition = Condition("attribute_not_exists(#summary)", "the round was not wound up before")
        key = keys.ROUND.key(model=rnd.model, number=rnd.number)
        try:
            item = self._table.update_and_read(Update(self._table, key, condition, set={"summary": to_item(summary)}))
        except ConditionFailed:
            return None
        return from_item(Round, item)

    def note_parts_sent(self, rnd: Round, stage: int, now: datetime) -> bool:
        """Note that a stage's parts were queued at `now`, if no other actor noted so since the round was read."""
        condition = Condition(
            "#fence = :was_fence AND (attribute_not_exists(#parts_sent_at) OR #parts_sent_at = :was_sent)",
            "nobody queued the parts since",
            {":was_fence": rnd.fence, ":was_sent": text(rnd.parts_sent_at) if rnd.parts_sent_at else "never"},
        )
        key = keys.ROUND.key(model=rnd.model, number=rnd.number)
        return self._changed(Update(self._table, key, condition, set={"parts_sent_at": text(now), "parts_stage": stage}))

    def take_place(self, rnd: Round, desk: Desk, phase: Phase, places: int) -> tuple[bool, Round | None]:
        """Take one of the round's places; whether one was left, and, when none was, the round as it is now.

        The counter is a hint: a place may be taken and not used, or counted twice by a repeat. It only ever errs towards
        admitting fewer, and the tick corrects it.
        """
        condition = Condition(
            f"#phase = :phase AND #{desk} < :places",
            "the round takes clients and has a place left",
            {":phase": phase, ":places": places},
        )
        key = keys.ROUND.key(model=rnd.model, number=rnd.number)
        try:
            self._table.update(Update(self._table, key, condition, add={desk: 1}))
        except ConditionFailed as lost:
            return False, readable_one(Round, lost.found)
        return True, rnd

    def give_back(self, rnd: Round, desk: Desk) -> None:
        """Give back a place that a client took though it had one already."""
        condition = Condition(f"#{desk} > :none", "a place was taken", {":none": 0})
        key = keys.ROUND.key(model=rnd.model, number=rnd.number)
        self._changed(Update(self._table, key, condition, add={desk: -1}))

    def correct_places(self, rnd: Round, counted: int) -> None:
        """Set the hint of places given to what the receipts say, if it did not change since the round was read."""
        condition = Condition(
            "#fence = :was_fence AND #admitted = :was_admitted",
            "no place was given since the receipts were counted",
            {":was_fence": rnd.fence, ":was_admitted": rnd.admitted},
        )
        key = keys.ROUND.key(model=rnd.model, number=rnd.number)
        self._changed(Update(self._table, key, condition, set={"admitted": counted}))

    def note_inspected(self, model: str, number: int, count: int) -> Round | None:
        """Add to the hint of settled receipts, and return the round, or None when there is none, or none that can be read."""
        condition = Condition("attribute_exists(#pk)", "the round exists")
        key = keys.ROUND.key(model=model, number=number)
        try:
            item = self._table.update_and_read(Update(self._table, key, condition, add={"inspected": count}))
        except ConditionFailed:
            return None
        return readable_one(Round, item)

    # ---- receipts

    def receipt(self, round_id: str, client_id: str) -> Receipt | None:
        """A client's receipt, or None: it has no place in that round."""
        return readable_one(Receipt, self._table.get(keys.RECEIPT.key(round=round_id, client=client_id)))

    def receipts(self, round_id: str) -> Iterator[Receipt]:
        """All receipts of a round, by client."""
        items = self._table.query(keys.RECEIPT.partition(round=round_id), keys.RECEIPT.prefix)
        return readable(Receipt, items)

    def assign(self, receipt: Receipt) -> Receipt | None:
        """Give a client its place, and return its receipt: this one, or the one that it already had; None when that cannot be
        read.
        """
        key = keys.RECEIPT.key(round=receipt.round, client=receipt.client_id)
        try:
            self._table.put(Put(self._table, key, to_item(receipt), NEW))
        except ConditionFailed as lost:
            if lost.found:
                return readable_one(Receipt, lost.found)
            raise
        return receipt

    def declare(self, round_id: str, caller: Credential, declared: Declared, now: datetime) -> Outcome:
        """Note what an assigned client is about to upload; a later declaration replaces an earlier one.

        Not done when the receipt is another key's, is reported already, is out of time, or takes no update of that length.
        """
        condition = Condition(
            "#key_hash = :key_hash AND #state = :assigned AND #report_by > :now AND :nbytes BETWEEN #min_bytes AND #max_bytes",
            "the receipt is this key's, nothing is reported, there is time, and an update may be so long",
            {
                ":key_hash": caller.hashed, ":assigned": ReceiptState.ASSIGNED, ":now": text(now), ":nbytes": declared.nbytes,
            },
        )  # fmt: skip
        return self._write_receipt(round_id, caller.public, condition, {"declared": to_item(declared)})

    def report(
        self, round_id: str, caller: Credential, uploaded: Uploaded, metrics: dict[str, float], now: datetime
    ) -> Outcome:
        """Count an upload as reported, if it is the one that was declared.

        Not done when the receipt is another key's, is reported already, is out of time, or declared other bytes.
        """
        condition = Condition(
            "#key_hash = :key_hash AND #state = :assigned AND #report_by > :now "
            "AND #declared.#sha256 = :sha256 AND #declared.#nbytes = :nbytes",
            "the receipt is this key's, nothing was reported, there is time, and these bytes were declared",
            {
                ":key_hash": caller.hashed, ":assigned": ReceiptState.ASSIGNED, ":now": text(now),
                ":sha256": uploaded.sha256, ":nbytes": uploaded.nbytes,
            },
        )  # fmt: skip
        change = {"state": ReceiptState.REPORTED, "reported_at": text(now), "etag": uploaded.etag, "metrics": metrics}
        return self._write_receipt(round_id, caller.public, condition, change)

    def adopt(self, receipt: Receipt, key_hash: str) -> None:
        """Hand a receipt to its client's new key, if it still is the old key's; done before, or by another, is as good."""
        condition = Condition(
            "#key_hash = :was_key_hash", "the receipt is still the old key's", {":was_key_hash": receipt.key_hash}
        )
        self._write_receipt(receipt.round, receipt.client_id, condition, {"key_hash": key_hash})

    def settle(self, receipt: Receipt, state: ReceiptState, **changes: object) -> bool:
        """Settle a receipt, if it is still in the state in which it was read; False when it no longer is."""
        settled = to_item(replace(receipt, state=state, **changes))  # type: ignore[arg-type]
        condition = Condition("#state = :was_state", "the receipt is as it was read", {":was_state": receipt.state})
        key = keys.RECEIPT.key(round=receipt.round, client=receipt.client_id)
        change = {name: settled[name] for name in ("state", *changes)}
        return self._changed(Update(self._table, key, condition, set=change))

    def withdraw(self, rnd: Round, receipt: Receipt, verdict: Verdict) -> bool:
        """Reject an accepted receipt while its round still collects, and move the round's fence so that no manifest that
        was made before can be frozen; False when either is no longer as it was read.
        """
        still_open = Condition("#phase = :collecting", "the round still collects", {":collecting": Phase.COLLECTING})
        as_read = Condition("#state = :was_state", "the receipt is as it was read", {":was_state": receipt.state})
        rejected = {"state": ReceiptState.REJECTED, "verdict": to_item(verdict)}
        round_key = keys.ROUND.key(model=rnd.model, number=rnd.number)
        receipt_key = keys.RECEIPT.key(round=receipt.round, client=receipt.client_id)
        try:
            self._table.transact(
                [
                    Update(self._table, round_key, still_open, add={"fence": 1}),
                    Update(self._table, receipt_key, as_read, set=rejected),
                ]
            )
        except ConditionFailed:
            return False
        return True

    # ---- evaluations

    def evaluation(self, round_id: str, client_id: str) -> Evaluation | None:
        """A judge's place, or None."""
        return readable_one(Evaluation, self._table.get(keys.EVALUATION.key(round=round_id, client=client_id)))

    def evaluations(self, round_id: str) -> list[Evaluation]:
        """All judges of a round's candidate, by client."""
        items = self._table.query(keys.EVALUATION.partition(round=round_id), keys.EVALUATION.prefix)
        return list(readable(Evaluation, items))

    def appoint(self, evaluation: Evaluation) -> Evaluation | None:
        """Give a client its place among the judges, and return it: this one, or the one that it already had; None when that
        cannot be read.
        """
        key = keys.EVALUATION.key(round=evaluation.round, client=evaluation.client_id)
        try:
            self._table.put(Put(self._table, key, to_item(evaluation), NEW))
        except ConditionFailed as lost:
            if lost.found:
                return readable_one(Evaluation, lost.found)
            raise
        return evaluation

    def measure(self, round_id: str, caller: Credential, role: str, measurement: Measurement, now: datetime) -> bool:
        """Store, once, what a judge measured of one of the two versions.

        False when the caller is no judge or has another key, already measured that version, or is out of time.
        """
        condition = Condition(
            f"#key_hash = :key_hash AND #report_by > :now AND attribute_not_exists(#measured.#{role})",
            "the caller is a judge, in time, and has not measured this version",
            {":key_hash": caller.hashed, ":now": text(now)},
        )
        key = keys.EVALUATION.key(round=round_id, client=caller.public)
        change = {f"measured.{role}": to_item(measurement)}
        return self._changed(Update(self._table, key, condition, set=change))

    # ---- common

    def _write_receipt(self, round_id: str, client_id: str, condition: Condition, change: Item) -> Outcome:
        key = keys.RECEIPT.key(round=round_id, client=client_id)
        try:
            written = readable_one(Receipt, self._table.update_and_read(Update(self._table, key, condition, set=change)))
        except ConditionFailed as lost:
            return Outcome(False, readable_one(Receipt, lost.found))
        return Outcome(written is not None, written)

    def _changed(self, write: Update) -> bool:
        try:
            self._table.update(write)
        except ConditionFailed:
            return False
        return True
