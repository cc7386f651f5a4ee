"""Rows of rounds, receipts and judgements. Every method is one write with one condition, and says what a repeat does.

A row that cannot be read is named in the log. A receipt, or a judge's place, of that kind counts as nothing: it is neither
accepted nor waited for. A round of that kind gives nobody work, and the next one does not open, until an operator has taken it
away; who must know it apart from none asks for the `entry`, the `history` or the `latest`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from chalicelib.clients.directory import Allowance
from chalicelib.instants import text
from chalicelib.log import log
from chalicelib.rounds.failure import Failure
from chalicelib.rounds.judgement import Judgement, Measurement
from chalicelib.rounds.moves import Move, Phase, members
from chalicelib.rounds.receipt import Declared, Outcome, Receipt, ReceiptState, Uploaded, Verdict
from chalicelib.rounds.round import PlaceKind, Round, Summary
from chalicelib.rounds.round_id import RoundId
from chalicelib.storage import keys
from chalicelib.storage.dynamo import NEW, Condition, ConditionFailed, Put, Table, Update
from chalicelib.storage.rows import Item, Unreadable, each, from_item, readable, readable_one, to_item, unreadable


class NotDone(Exception):
    """A write in a client's name found another row than it expected, or none; nothing was changed."""

    def __init__(self, found: Item | None) -> None:
        super().__init__(f"expected a row that may be changed so; found {'none' if found is None else 'another'}")
        self.found = found


class OutOfScope(Exception):
    """A write in a client's name is of a model outside the client's scope; nothing was changed, or looked at."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place that was taken: the hint with it counted, and the mark that only this taking left on the round."""

    kind: PlaceKind
    counted: int
    mark: str


MOST_GRANTS = 8
"""Declarations that a client may make in a round: each may leave an object in the bucket."""

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
            name = RoundId(model, int(keys.ROUND.name_in(items[0]["sk"])))
            for kind, row in ((keys.RECEIPT, Receipt), (keys.EVALUATION, Judgement)):
                found += unreadable(row, self._table.query(kind.partition(round=name), kind.prefix, consistent=False))
        return found

    def replace_unreadable(self, unknown: Unreadable, rnd: Round) -> bool:
        """Put a round in the place of one that cannot be read, if nobody wrote to that since; False when somebody did."""
        op_id = unknown.item.get("op_id")
        as_read = Condition("#op_id = :was", "nobody wrote to the row since", {":was": op_id})
        there = Condition("attribute_exists(#pk) AND attribute_not_exists(#op_id)", "the row is there, and nobody's")
        key = keys.ROUND.key(model=rnd.model, number=rnd.number)
        try:
            self._table.put(
                Put(table=self._table, key=key, item=to_item(rnd), condition=as_read if isinstance(op_id, str) else there)
            )
        except ConditionFailed:
            return False
        return True

    def open(self, rnd: Round) -> Round:
        """Store a new round, and return the round of that number: this one, or the one that another tick opened first."""
        key = keys.ROUND.key(model=rnd.model, number=rnd.number)
        try:
            self._table.put(Put(table=self._table, key=key, item=to_item(rnd), condition=NEW))
        except ConditionFailed as lost:
            if lost.found:
                return from_item(Round, lost.found)
            raise
        log.info("round opened", extra=_about(rnd))
        return rnd

    def move(self, rnd: Round, move: Move, together_with: Sequence[Put | Update] = ()) -> Round | None:
        """Move a round on, all or nothing with the other writes, and return it as it then is.

        None when the round, or one of the other rows, is no longer as it was read: another actor was faster, or acts on
        newer knowledge. Nothing has changed then, and the caller reads again.
        """
        moved = rnd.after(move)
        stored = to_item(moved)
        condition = Condition(
            "#phase = :was_phase AND #fence = :was_fence",
            "the round is still as it was read",
            {":was_phase": rnd.phase, ":was_fence": rnd.fence},
        )
        change = {name: stored[name] for name in ("phase", "fence", *members(move)) if name in stored}
        write = Update(
            table=self._table, key=keys.ROUND.key(model=rnd.model, number=rnd.number), condition=condition, set=change
        )
        try:
            if together_with:
                self._table.transact([write, *together_with])
            else:
                self._table.update(write)
        except ConditionFailed:
            return None
        log.info("round moved", extra={"was": rnd.phase, **_about(moved)})
        return moved

    def finalise(self, rnd: Round, summary: Summary) -> Round | None:
        """Store, once, what became of an ended round's places, and return the round; None when that was stored before."""
        condition = Condition("attribute_not_exists(#summary)", "the round was not finalised before")
        key = keys.ROUND.key(model=rnd.model, number=rnd.number)
        try:
            item = self._table.update_and_read(
                Update(table=self._table, key=key, condition=condition, set={"summary": to_item(summary)})
            )
        except ConditionFailed:
            return None
        counted = {
            "accepted": summary.accepted, "late": summary.late, "rejected": summary.rejected, "failed": summary.failed,
            "judges_failed": summary.judges_failed,
        }  # fmt: skip
        log.info("round finalised", extra={**counted, **_about(rnd)})
        return from_item(Round, item)

    def note_parts_sent(self, rnd: Round, stage: int, now: datetime) -> bool:
        """Note that a stage's parts were queued at `now`, if no other actor noted so since the round was read."""
        condition = Condition(
            "#fence = :was_fence AND (attribute_not_exists(#parts_sent_at) OR #parts_sent_at = :was_sent)",
            "nobody queued the parts since",
            {":was_fence": rnd.fence, ":was_sent": text(rnd.parts_sent_at) if rnd.parts_sent_at else "never"},
        )
        key = keys.ROUND.key(model=rnd.model, number=rnd.number)
        return self._changed(
            Update(table=self._table, key=key, condition=condition, set={"parts_sent_at": text(now), "parts_stage": stage})
        )

    def take_place(
        self, rnd: Round, kind: PlaceKind, phase: Phase, places: int, now: datetime
    ) -> tuple[Place | None, Round | None]:
        """Take one of the round's places; when none was left, None and the round as it is now.

        The counter is a hint: a place may be taken and not used, or counted twice by a repeat. It only ever errs towards
        admitting fewer, and the tick corrects it.
        """
        condition = Condition(
            f"#phase = :phase AND #{kind} < :places",
            "the round takes clients and has a place left",
            {":phase": phase, ":places": places},
        )
        key = keys.ROUND.key(model=rnd.model, number=rnd.number)
        mark = uuid4().hex
        change = {"place_mark": mark, "place_taken_at": text(now)}
        try:
            item = self._table.update_and_read(
                Update(table=self._table, key=key, condition=condition, set=change, add={kind: 1})
            )
        except ConditionFailed as lost:
            return None, readable_one(Round, lost.found)
        return Place(kind, int(item[kind]), mark), rnd

    def give_back(self, rnd: Round, place: Place) -> bool:
        """Give back a place that a client took though it had one already; False when that is left to the tick.

        It is given back only while nobody else has taken or given back one since: the counter is then what it was with this
        place. So no repeat, however late, takes away a place that is another's.
        """
        condition = Condition(
            f"#place_mark = :mark AND #{place.kind} = :counted",
            "this place was the last that was taken",
            {":mark": place.mark, ":counted": place.counted},
        )
        key = keys.ROUND.key(model=rnd.model, number=rnd.number)
        change = {place.kind: place.counted - 1, "place_mark": f"{place.mark} given back"}
        return self._changed(Update(table=self._table, key=key, condition=condition, set=change))

    def correct_places(self, rnd: Round, kind: PlaceKind, given: int) -> bool:
        """Set the hint of a kind of places to those that were given; False when a place was taken since the round was read.

        Whoever calls it has seen, by `counts_too_many`, that no check-in is under way.
        """
        same_mark = "#place_mark = :was_mark" if rnd.place_mark else "attribute_not_exists(#place_mark)"
        condition = Condition(
            f"#fence = :was_fence AND #{kind} = :was_counted AND {same_mark}",
            "no place was taken or given back since the places were counted",
            {":was_fence": rnd.fence, ":was_counted": getattr(rnd, kind)}
            | ({":was_mark": rnd.place_mark} if rnd.place_mark else {}),
        )
        key = keys.ROUND.key(model=rnd.model, number=rnd.number)
        return self._changed(Update(table=self._table, key=key, condition=condition, set={kind: given}))

    def note_inspected(self, round_id: RoundId, count: int) -> Round | None:
        """Add to the hint of settled receipts, and return the round, or None when there is none, or none that can be read."""
        condition = Condition("attribute_exists(#pk)", "the round exists")
        key = keys.ROUND.key(model=round_id.model, number=round_id.number)
        try:
            item = self._table.update_and_read(
                Update(table=self._table, key=key, condition=condition, add={"inspected": count})
            )
        except ConditionFailed:
            return None
        return readable_one(Round, item)

    # ---- receipts

    def receipt(self, round_id: RoundId, client_id: str) -> Receipt | None:
        """A client's receipt, or None: it has no place in that round."""
        return readable_one(Receipt, self._table.get(keys.RECEIPT.key(round=round_id, client=client_id)))

    def receipts(self, round_id: RoundId) -> Iterator[Receipt]:
        """All receipts of a round, by client."""
        items = self._table.query(keys.RECEIPT.partition(round=round_id), keys.RECEIPT.prefix)
        return readable(Receipt, items)

    def assign(self, receipt: Receipt) -> Receipt | None:
        """Give a client its place, and return its receipt: this one, or the one that it already had; None when that cannot be
        read.
        """
        key = keys.RECEIPT.key(round=receipt.round, client=receipt.client_id)
        try:
            self._table.put(Put(table=self._table, key=key, item=to_item(receipt), condition=NEW))
        except ConditionFailed as lost:
            if lost.found:
                return readable_one(Receipt, lost.found)
            raise
        return receipt

    def declare(self, round_id: RoundId, by: Allowance, declared: Declared, now: datetime) -> None:
        """Note what an assigned client is about to upload; a later declaration replaces an earlier one, a few times. The same
        declaration again is done without a write, and counts nothing.

        Raises:
            NotDone: there is no receipt, or it is reported already, is out of time, takes no update of that length, or has had
                all its grants.
            OutOfScope: the model is not for that client.
            Refusal: `unauthenticated`.
        """
        key = keys.RECEIPT.key(round=round_id, client=by.caller.public)
        takes = "#state = :assigned AND #report_by > :now AND :nbytes BETWEEN #min_bytes AND #max_bytes"
        values = {":assigned": ReceiptState.ASSIGNED, ":now": text(now), ":nbytes": declared.nbytes}
        condition = Condition(
            f"{takes} AND attribute_not_exists(#declared)",
            "nothing is declared, there is time, and an update may be so long",
            values,
        )
        grants = 0
        while True:
            change = {"declared": to_item(declared), "grants": grants + 1}
            try:
                return self._in_the_name_of(by, Update(table=self._table, key=key, condition=condition, set=change))
            except NotDone as other:
                found = readable_one(Receipt, other.found)
                if found is None or found.declared is None or not found.takes(declared, now):
                    raise
                if found.declared == declared:
                    return None
                if found.grants >= MOST_GRANTS:
                    raise
            grants = found.grants
            condition = Condition(
                f"{takes} AND #declared.#sha256 = :was_sha256 AND (#grants = :was_grants OR attribute_not_exists(#grants))",
                "what was declared is still what was read, there is time, and an update may be so long",
                {**values, ":was_sha256": found.declared.sha256, ":was_grants": grants},
            )

    def report(self, round_id: RoundId, by: Allowance, uploaded: Uploaded, metrics: dict[str, float], now: datetime) -> None:
        """Count an upload as reported, if it is the one that was declared.

        Raises:
            NotDone: there is no receipt, or it is reported already, is out of time, or declared other bytes.
            OutOfScope: the model is not for that client.
            Refusal: `unauthenticated`.
        """
        condition = Condition(
            "#state = :assigned AND #report_by > :now AND #declared.#sha256 = :sha256 AND #declared.#nbytes = :nbytes",
            "nothing was reported, there is time, and these bytes were declared",
            {
                ":assigned": ReceiptState.ASSIGNED, ":now": text(now),
                ":sha256": uploaded.sha256, ":nbytes": uploaded.nbytes,
            },
        )  # fmt: skip
        change = {"state": ReceiptState.REPORTED, "reported_at": text(now), "etag": uploaded.etag, "metrics": metrics}
        key = keys.RECEIPT.key(round=round_id, client=by.caller.public)
        self._in_the_name_of(by, Update(table=self._table, key=key, condition=condition, set=change))

    def settle(self, receipt: Receipt, outcome: Outcome) -> bool:
        """Settle a receipt, if it is still in the state in which it was read; False when it no longer is."""
        settled = to_item(receipt.after(outcome))
        condition = Condition("#state = :was_state", "the receipt is as it was read", {":was_state": receipt.state})
        key = keys.RECEIPT.key(round=receipt.round, client=receipt.client_id)
        change = {name: settled[name] for name in ("state", *members(outcome))}
        return self._changed(Update(table=self._table, key=key, condition=condition, set=change))

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
                    Update(table=self._table, key=round_key, condition=still_open, add={"fence": 1}),
                    Update(table=self._table, key=receipt_key, condition=as_read, set=rejected),
                ]
            )
        except ConditionFailed:
            return False
        return True

    def fail_training(self, round_id: RoundId, by: Allowance, failure: Failure) -> None:
        """Let a client give up its place to train. Its receipt stays, so it is given no other in this round.

        Raises:
            NotDone: there is no receipt, it is reported or given up already, or is out of time.
            OutOfScope: the model is not for that client.
            Refusal: `unauthenticated`.
        """
        condition = Condition(
            "#state = :assigned AND #report_by > :now",
            "nothing was reported, and there is time",
            {":assigned": ReceiptState.ASSIGNED, ":now": text(failure.at)},
        )
        change = {"state": ReceiptState.FAILED, "failure": to_item(failure)}
        key = keys.RECEIPT.key(round=round_id, client=by.caller.public)
        self._in_the_name_of(by, Update(table=self._table, key=key, condition=condition, set=change))

    # ---- judgements

    def judgement(self, round_id: RoundId, client_id: str) -> Judgement | None:
        """A judge's place, or None."""
        return readable_one(Judgement, self._table.get(keys.EVALUATION.key(round=round_id, client=client_id)))

    def judgements(self, round_id: RoundId) -> list[Judgement]:
        """All judges of a round's candidate, by client."""
        items = self._table.query(keys.EVALUATION.partition(round=round_id), keys.EVALUATION.prefix)
        return list(readable(Judgement, items))

    def appoint(self, judgement: Judgement) -> Judgement | None:
        """Give a client its place among the judges, and return it: this one, or the one that it already had; None when that
        cannot be read.
        """
        key = keys.EVALUATION.key(round=judgement.round, client=judgement.client_id)
        try:
            self._table.put(Put(table=self._table, key=key, item=to_item(judgement), condition=NEW))
        except ConditionFailed as lost:
            if lost.found:
                return readable_one(Judgement, lost.found)
            raise
        return judgement

    def measure(self, round_id: RoundId, by: Allowance, role: str, measurement: Measurement, now: datetime) -> None:
        """Store, once, what a judge measured of one of the two versions.

        Raises:
            NotDone: the caller is no judge (any more), already measured that version, has given up, or is out of time.
            OutOfScope: the model is not for that client.
            Refusal: `unauthenticated`.
        """
        condition = Condition(
            f"#report_by > :now AND attribute_not_exists(#measured.#{role}) "
            "AND (attribute_not_exists(#withdrawn) OR #withdrawn = :no) AND attribute_not_exists(#failure)",
            "the caller is a judge, in time, has not measured this version, was not taken out, and has not given up",
            {":now": text(now), ":no": False},
        )
        key = keys.EVALUATION.key(round=round_id, client=by.caller.public)
        change = {f"measured.{role}": to_item(measurement)}
        self._in_the_name_of(by, Update(table=self._table, key=key, condition=condition, set=change))

    def fail_judging(self, round_id: RoundId, by: Allowance, failure: Failure) -> None:
        """Let a judge give up its place, as long as it has not measured both versions. What it measured stays, and counts for
        nothing.

        Raises:
            NotDone: the caller is no judge (any more), has measured both or given up already, or is out of time.
            OutOfScope: the model is not for that client.
            Refusal: `unauthenticated`.
        """
        condition = Condition(
            "#report_by > :now AND (attribute_not_exists(#measured.#candidate) OR attribute_not_exists(#measured.#deployed)) "
            "AND (attribute_not_exists(#withdrawn) OR #withdrawn = :no) AND attribute_not_exists(#failure)",
            "the caller is a judge, in time, has not measured both versions, was not taken out, and has not given up",
            {":now": text(failure.at), ":no": False},
        )
        key = keys.EVALUATION.key(round=round_id, client=by.caller.public)
        change = {"failure": to_item(failure)}
        self._in_the_name_of(by, Update(table=self._table, key=key, condition=condition, set=change))

    def withdraw_judge(self, rnd: Round, judge: Judgement) -> bool:
        """Take a judge out while its round evaluates, whatever it measured, and move the round's fence so that no decision
        that was made before can be written; False when the round no longer evaluates.
        """
        undecided = Condition("#phase = :evaluating", "the round is not decided", {":evaluating": Phase.EVALUATING})
        appointed = Condition("attribute_exists(#pk)", "the judge has a place")
        round_key = keys.ROUND.key(model=rnd.model, number=rnd.number)
        judge_key = keys.EVALUATION.key(round=judge.round, client=judge.client_id)
        try:
            self._table.transact(
                [
                    Update(table=self._table, key=round_key, condition=undecided, add={"fence": 1}),
                    Update(table=self._table, key=judge_key, condition=appointed, set={"withdrawn": True}),
                ]
            )
        except ConditionFailed:
            return False
        return True

    # ---- common

    def _in_the_name_of(self, by: Allowance, write: Update) -> None:
        """Change a row, if at that instant the key is its client's and the model in its scope: both or neither, one request."""
        try:
            self._table.transact([by.check, write])
        except ConditionFailed as lost:
            if by.is_missing(lost):
                raise OutOfScope from lost
            raise NotDone(lost.found) from lost

    def _changed(self, write: Update) -> bool:
        try:
            self._table.update(write)
        except ConditionFailed:
            return False
        return True


def _about(rnd: Round) -> dict[str, object]:
    """What the log says of a round, whatever happened to it and whoever did it."""
    about: dict[str, object] = {"round": str(rnd.id), "phase": rnd.phase, "fence": rnd.fence, "base": rnd.base.version}
    if rnd.candidate:
        about["version"] = rnd.candidate.version
    if rnd.reason:
        about["reason"] = rnd.reason
    return about
