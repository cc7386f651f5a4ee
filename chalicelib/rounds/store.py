"""Rows of rounds, receipts and judgements. Every method is one write with one condition, and says what a repeat does.

A row that cannot be read is named in the log. A receipt, or a judge's place, of that kind counts as nothing: it is neither
accepted nor waited for. A round of that kind gives nobody work, and the next one does not open, until an operator has taken it
away; who must know it apart from none asks for the `entry`, the `history` or the `latest`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from chalicelib.clients.directory import Allowance
from chalicelib.instants import text
from chalicelib.log import log
from chalicelib.recent import Recent
from chalicelib.rounds.counters import MOST_PARTS
from chalicelib.rounds.failure import Failure
from chalicelib.rounds.judgement import Judgement, Measurement
from chalicelib.rounds.moves import Move, Phase, members
from chalicelib.rounds.receipt import Declared, Outcome, Receipt, ReceiptState, Uploaded, Verdict
from chalicelib.rounds.round import Round, Summary
from chalicelib.rounds.round_id import RoundId
from chalicelib.storage import keys
from chalicelib.storage.dynamo import NEW, Condition, ConditionFailed, Put, Table, Update
from chalicelib.storage.rows import Item, Unreadable, each, from_item, readable, readable_one, to_item, unreadable
from muster.layout import Key


class NotDone(Exception):
    """A write in a client's name found another row than it expected, or none; nothing was changed."""

    def __init__(self, found: Item | None) -> None:
        super().__init__(f"expected a row that may be changed so; found {'none' if found is None else 'another'}")
        self.found = found


class OutOfScope(Exception):
    """A write in a client's name is of a model outside the client's scope; nothing was changed, or looked at."""


MOST_GRANTS = 8
"""Declarations that a client may make in a round: each may leave an object in the bucket."""

EXAMINED = 50
"""Rounds of a model that are looked at for such as cannot be read."""


class RoundStore:
    """The `rounds` table."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._known_parts: Recent[str, int] = Recent()

    # ---- rounds

    def get(self, model: str, number: int) -> Round | None:
        """A round, or None when there is none, or none that can be read."""
        return readable_one(Round, self._seen(self._table.get(keys.ROUND.key(model=model, number=number))))

    def entry(self, model: str, number: int) -> Round | Unreadable | None:
        """A round, what says that it cannot be read, or None."""
        item = self._seen(self._table.get(keys.ROUND.key(model=model, number=number)))
        return next(each(Round, [item] if item else []), None)

    def place(self, model: str, number: int) -> tuple[Table, Key]:
        """Where a round's row lies, for who reads rows of several tables at once."""
        return self._table, keys.ROUND.key(model=model, number=number)

    def latest(self, model: str) -> Round | None:
        """The model's current or last round, or None when it never had one.

        Raises:
            Unreadable: there is one, and it cannot be read.
        """
        item = self._seen(self._table.last(keys.ROUND.partition(model=model), keys.ROUND.prefix))
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
        """How many rows of a model cannot be read: of its last rounds, and of the places in the last one until it is finalised.
        After that they decide nothing, and a resting model's census would read them all each time.
        """
        items = list(self._table.query(keys.ROUND.partition(model=model), keys.ROUND.prefix, newest_first=True, limit=EXAMINED))
        found = unreadable(Round, items)
        last = next(iter(each(Round, items[:1])), None)
        if last is not None and (isinstance(last, Unreadable) or last.summary is None):
            name = RoundId(model, int(keys.ROUND.name_in(items[0]["sk"])))
            for kind, row in ((keys.RECEIPT, Receipt), (keys.EVALUATION, Judgement)):
                found += unreadable(row, self._of_round(kind, name, parts_in(items[0]), consistent=False))
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
        self._known_parts.put(str(rnd.id), rnd.parts)
        log.info("round opened", extra=_told(rnd))
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
        log.info("round moved", extra={"was": rnd.phase, **_told(moved)})
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
        log.info("round finalised", extra={**counted, **_told(rnd)})
        return from_item(Round, item)

    def note_parts_sent(self, rnd: Round, stage: int, now: datetime) -> bool:
        """Note that a stage's parts were queued at `now`, if no other actor noted so since the round was read."""
        condition = Condition(
            "#fence = :was_fence AND (attribute_not_exists(#parts_sent_at) OR #parts_sent_at = :was_sent)",
            "nobody queued the parts since",
            {":was_fence": rnd.fence, ":was_sent": text(rnd.parts_sent_at) if rnd.parts_sent_at else "never"},
        )
        return self._changed(self._change(rnd, condition, {"parts_sent_at": text(now), "parts_stage": stage}))

    def note_look(self, rnd: Round, *, look_at: int, so_far: Summary, now: datetime, resent_at: datetime | None) -> bool:
        """Note what a look at all receipts of a collecting round has counted, if nobody looked since the round was read."""
        stored = to_item(so_far)
        condition = Condition(
            "#fence = :was_fence AND (attribute_not_exists(#looked_at) OR #looked_at = :was_looked)",
            "the round is still as it was read, and nobody looked since",
            {":was_fence": rnd.fence, ":was_looked": text(rnd.looked_at) if rnd.looked_at else "never"},
        )
        change = {"looked_at": text(now), "look_at": look_at, "so_far": stored}
        return self._changed(
            self._change(rnd, condition, change | ({"resent_at": text(resent_at)} if resent_at is not None else {}))
        )

    def note_settled(self, rnd: Round) -> bool:
        """Note that all receipts which were there when a round closed have had their last word; a repeat is the same."""
        condition = Condition("#fence = :was_fence", "the round is still as it was read", {":was_fence": rnd.fence})
        return self._changed(self._change(rnd, condition, {"settled": True}))

    def lease(self, rnd: Round, until: datetime, now: datetime) -> bool:
        """Keep a round's aggregation to oneself for a while; False when another actor has it, or the round has moved on."""
        condition = Condition(
            "#fence = :was_fence AND (attribute_not_exists(#busy_until) OR #busy_until <= :now)",
            "the round is still as it was read, and nobody is at it",
            {":was_fence": rnd.fence, ":now": text(now)},
        )
        return self._changed(self._change(rnd, condition, {"busy_until": text(until)}))

    def release(self, rnd: Round, until: datetime) -> bool:
        """End one's own lease before its time; False when it is over, or another actor's."""
        condition = Condition("#busy_until = :mine", "the lease is one's own", {":mine": text(until)})
        return self._changed(
            Update(
                table=self._table,
                key=keys.ROUND.key(model=rnd.model, number=rnd.number),
                condition=condition,
                remove=("busy_until",),
            )
        )

    def _change(self, rnd: Round, condition: Condition, change: Item) -> Update:
        return Update(
            table=self._table, key=keys.ROUND.key(model=rnd.model, number=rnd.number), condition=condition, set=change
        )

    # ---- receipts

    def receipt(self, round_id: RoundId, client_id: str) -> Receipt | None:
        """A client's receipt, or None: it has no place in that round."""
        return readable_one(Receipt, self._table.get(self._key(keys.RECEIPT, round_id, client_id)))

    def receipts(self, round_id: RoundId) -> Iterator[Receipt]:
        """All receipts of a round, part by part."""
        return readable(Receipt, self._of_round(keys.RECEIPT, round_id, self._parts(round_id)))

    def browse(self, round_id: RoundId, after: str | None = None, limit: int | None = None) -> Iterator[Receipt | Unreadable]:
        """Receipts of a round, part by part, those that follow the client `after`; up to `limit` a part. Also those that cannot
        be read. May miss the last second.
        """
        return each(Receipt, self._after(keys.RECEIPT, round_id, after, limit))

    def assign(self, receipt: Receipt) -> Receipt | None:
        """Give a client its place, and return its receipt: this one, or the one that it already had; None when that cannot be
        read.
        """
        key = self._key(keys.RECEIPT, receipt.round, receipt.client_id)
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
                return self._in_the_name_of(by, keys.RECEIPT, round_id, condition, change)
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

    def report(
        self,
        round_id: RoundId,
        by: Allowance,
        uploaded: Uploaded,
        metrics: dict[str, float],
        now: datetime,
        *,
        traceparent: str | None = None,
    ) -> None:
        """Count an upload as reported, if it is the one that was declared; the trace is that of the report that was counted.

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
        if traceparent is not None:
            change["traceparent"] = traceparent
        self._in_the_name_of(by, keys.RECEIPT, round_id, condition, change)

    def settle(self, receipt: Receipt, outcome: Outcome) -> bool:
        """Settle a receipt, if it is still in the state in which it was read; False when it no longer is."""
        settled = to_item(receipt.after(outcome))
        condition = Condition("#state = :was_state", "the receipt is as it was read", {":was_state": receipt.state})
        key = self._key(keys.RECEIPT, receipt.round, receipt.client_id)
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
        receipt_key = self._key(keys.RECEIPT, receipt.round, receipt.client_id)
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
        self._in_the_name_of(by, keys.RECEIPT, round_id, condition, change)

    # ---- judgements

    def judgement(self, round_id: RoundId, client_id: str) -> Judgement | None:
        """A judge's place, or None."""
        return readable_one(Judgement, self._table.get(self._key(keys.EVALUATION, round_id, client_id)))

    def judgements(self, round_id: RoundId) -> list[Judgement]:
        """All judges of a round's candidate, by client."""
        found = readable(Judgement, self._of_round(keys.EVALUATION, round_id, self._parts(round_id)))
        return sorted(found, key=lambda judgement: judgement.client_id)

    def browse_judgements(
        self, round_id: RoundId, after: str | None = None, limit: int | None = None
    ) -> Iterator[Judgement | Unreadable]:
        """The same of judges as `browse` of receipts."""
        return each(Judgement, self._after(keys.EVALUATION, round_id, after, limit))

    def appoint(self, judgement: Judgement) -> Judgement | None:
        """Give a client its place among the judges, and return it: this one, or the one that it already had; None when that
        cannot be read.
        """
        key = self._key(keys.EVALUATION, judgement.round, judgement.client_id)
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
        change = {f"measured.{role}": to_item(measurement)}
        self._in_the_name_of(by, keys.EVALUATION, round_id, condition, change)

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
        change = {"failure": to_item(failure)}
        self._in_the_name_of(by, keys.EVALUATION, round_id, condition, change)

    def withdraw_judge(self, rnd: Round, judge: Judgement) -> bool:
        """Take a judge out while its round evaluates, whatever it measured, and move the round's fence so that no decision
        that was made before can be written; False when the round no longer evaluates.
        """
        undecided = Condition("#phase = :evaluating", "the round is not decided", {":evaluating": Phase.EVALUATING})
        appointed = Condition("attribute_exists(#pk)", "the judge has a place")
        round_key = keys.ROUND.key(model=rnd.model, number=rnd.number)
        judge_key = self._key(keys.EVALUATION, judge.round, judge.client_id)
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

    def _parts(self, round_id: RoundId) -> int:
        """Over how many partitions a round's rows are spread. It never changes, so it is read once."""
        if (parts := self._known_parts.get(str(round_id))) is not None:
            return parts
        item = self._seen(self._table.get(keys.ROUND.key(model=round_id.model, number=round_id.number)))
        return 1 if item is None else parts_in(item)  # a round that is not there has no rows

    def _seen(self, item: Item | None) -> Item | None:
        """A round's row; how many partitions it has is remembered."""
        if item is not None:
            model, number = item["pk"].partition("#")[2], int(keys.ROUND.name_in(item["sk"]))
            self._known_parts.put(f"{model}.{number}", parts_in(item))
        return item

    def _key(self, kind: keys.RowKind, round_id: RoundId, client_id: str) -> Key:
        return kind.key(round=round_id, part=keys.part_of(client_id, self._parts(round_id)), client=client_id)

    def _of_round(self, kind: keys.RowKind, round_id: RoundId, parts: int, *, consistent: bool = True) -> Iterator[Item]:
        """All rows of a kind, part by part."""
        for number in range(parts):
            partition = kind.partition(round=round_id, part=keys.part(number, parts))
            yield from self._table.query(partition, kind.prefix, consistent=consistent)

    def _after(self, kind: keys.RowKind, round_id: RoundId, after: str | None, limit: int | None) -> Iterator[Item]:
        """Rows of a kind that follow a client's, part by part, up to `limit` of each part."""
        parts = self._parts(round_id)
        names = [keys.part(number, parts) for number in range(parts)]
        first = names.index(keys.part_of(after, parts)) if after else 0
        for at, name in enumerate(names[first:]):
            last_seen = kind.key(round=round_id, part=name, client=after)["sk"] if after and at == 0 else None
            partition = kind.partition(round=round_id, part=name)
            yield from self._table.query(partition, kind.prefix, after=last_seen, limit=limit, consistent=False)

    def _in_the_name_of(self, by: Allowance, kind: keys.RowKind, round_id: RoundId, condition: Condition, change: Item) -> None:
        """Change a row of a client's, if at that instant the key is the client's and the model in its scope: both or neither,
        one request.
        """
        known = self._known_parts.get(str(round_id)) is not None
        write = Update(table=self._table, key=self._key(kind, round_id, by.caller.public), condition=condition, set=change)
        try:
            self._table.transact([by.check, write])
        except ConditionFailed as lost:
            if by.is_missing(lost):
                if known:  # to a stranger, a round that is there takes as many reads as one that is not
                    self._table.get(keys.ROUND.key(model=round_id.model, number=round_id.number))
                raise OutOfScope from lost
            raise NotDone(lost.found) from lost

    def _changed(self, write: Update) -> bool:
        try:
            self._table.update(write)
        except ConditionFailed:
            return False
        return True


def _told(rnd: Round) -> dict[str, object]:
    """What the log says of a round, whatever happened to it and whoever did it."""
    about: dict[str, object] = {"round": str(rnd.id), "phase": rnd.phase, "fence": rnd.fence, "base": rnd.base.version}
    if rnd.candidate:
        about["version"] = rnd.candidate.version
    if rnd.reason:
        about["reason"] = rnd.reason
    return about


def parts_in(item: Item) -> int:
    """The partitions of a round, from its row, of which nothing else need be readable."""
    parts = item.get("parts", 1)
    return parts if isinstance(parts, int) and 1 <= parts <= MOST_PARTS else 1
