"""A device gives up the work of its place: the place is free for another client, and operators see why.

One transaction checks the key, the scope and the place, and changes the place; nothing else is written. The round has no
counter of failures: what operators see is counted from the places, and the tick gives free ones out again (`places_gone`). So a
report that comes twice, late, or beside the update's own changes nothing that it should not, and ten thousand at once meet on
no row.
"""

from __future__ import annotations

from typing import NoReturn

from chalicelib.clients.credentials import Credential
from chalicelib.clients.directory import Directory
from chalicelib.errors import Refusal
from chalicelib.instants import Clock, text
from chalicelib.log import log
from chalicelib.rounds.devices.updates import no_place, unknown_round
from chalicelib.rounds.failure import Failure
from chalicelib.rounds.judgement import Judgement
from chalicelib.rounds.receipt import Receipt, ReceiptState, late
from chalicelib.rounds.round_id import RoundId
from chalicelib.rounds.store import NotDone, OutOfScope, RoundStore
from chalicelib.storage.rows import Item, readable_one
from muster.wire import messages as wire
from muster.wire.problems import Problem


class Failures:
    """Takes what devices say of work that failed."""

    def __init__(self, *, directory: Directory, rounds: RoundStore, clock: Clock) -> None:
        self._directory = directory
        self._rounds = rounds
        self._clock = clock

    def report(self, round_id: RoundId, caller: Credential | None, report: wire.FailureReport) -> wire.FailureReply:
        """Let a client give up its place; the same report may be sent again.

        Raises:
            Refusal: `unauthenticated`, `unknown-round`, `not-assigned`, `report-conflict` (an update, both measurements or
                another failure was reported before, and stands), `round-closed`.
        """
        by = self._directory.allowance(caller, round_id.model)
        failure = Failure(reason=report.reason, at=self._clock(), error=report.error)
        fail = self._rounds.fail_training if report.work == "train" else self._rounds.fail_judging
        try:
            fail(round_id, by, failure)
        except OutOfScope as foreign:
            raise unknown_round(round_id) from foreign
        except NotDone as other:
            check = self._check_training if report.work == "train" else self._check_judging
            check(round_id, failure, other.found)
        else:
            about = {"round": str(round_id), "client": by.caller.public, "work": report.work, "error": report.error}
            log.info("work failed", extra={**about, "reason": failure.reason.value})
        return wire.FailureReply(round=str(round_id), client_id=by.caller.public, work=report.work, reason=report.reason.value)

    def _check_training(self, round_id: RoundId, failure: Failure, found: Item | None) -> None:
        """Accept a report that changed nothing because the very same was stored before; refuse any other."""
        receipt = readable_one(Receipt, found)
        if receipt is None:
            raise no_place(self._rounds, round_id)
        if receipt.failure is not None:
            _check_same(round_id, receipt.failure, failure)
        elif receipt.state in (ReceiptState.ASSIGNED, ReceiptState.LATE):
            verdict = late(failure.at, receipt.report_by)
            raise _closed(round_id, verdict.expected, verdict.got)
        else:
            _refuse(round_id, f"an update that is {receipt.state.value}", failure)

    def _check_judging(self, round_id: RoundId, failure: Failure, found: Item | None) -> None:
        judge = readable_one(Judgement, found)
        if judge is None:
            raise no_place(self._rounds, round_id)
        if judge.failure is not None:
            _check_same(round_id, judge.failure, failure)
        elif judge.is_complete:
            _refuse(round_id, "measurements of both versions", failure)
        else:
            raise _closed(round_id, f"a report before {text(judge.report_by)}", f"it is {text(failure.at)}")


def _check_same(round_id: RoundId, known: Failure, failure: Failure) -> None:
    if known.reason is not failure.reason:
        _refuse(round_id, known.reason.value, failure)


def _refuse(round_id: RoundId, stands: str, failure: Failure) -> NoReturn:
    raise Refusal(
        Problem.REPORT_CONFLICT,
        f"this client reported something else for round {round_id}, and that stands",
        expected=stands,
        got=failure.reason.value,
    )


def _closed(round_id: RoundId, expected: str, got: str) -> Refusal:
    return Refusal(
        Problem.ROUND_CLOSED,
        f"round {round_id} has no place for this client any more; check in again for the next one",
        expected=expected,
        got=got,
    )
