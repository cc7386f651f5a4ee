"""Judges' measurements: stored once each, the same again is the same answer.

What a judge measured must hold the metric that decides in its round, within its bounds; else nothing of it is stored.

The judge and its scope are looked at first, so that a model which is not for it costs and answers what no model does. The
measurement checks the key again, in one transaction: a key that ends meanwhile measures nothing.
"""

from __future__ import annotations

from chalicelib.clients.credentials import Credential
from chalicelib.clients.directory import Allowance, Directory
from chalicelib.errors import Refusal
from chalicelib.instants import Clock, text
from chalicelib.rounds.devices.current import Current
from chalicelib.rounds.devices.updates import unknown_round, words
from chalicelib.rounds.judgement import Measurement
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.round import Round
from chalicelib.rounds.round_id import RoundId
from chalicelib.rounds.store import NotDone, OutOfScope, RoundStore
from chalicelib.storage.rows import storable
from muster.wire import messages as wire
from muster.wire.problems import Problem


class Judging:
    """Takes what judges measured."""

    def __init__(self, *, directory: Directory, rounds: RoundStore, current: Current, clock: Clock) -> None:
        self._directory = directory
        self._rounds = rounds
        self._current = current
        self._clock = clock

    def report(
        self, model: str, version: int, caller: Credential | None, report: wire.EvaluationReport
    ) -> wire.EvaluationReply:
        """Store one measurement of the candidate or of the deployed version; the same may be sent again.

        Raises:
            Refusal: `unauthenticated`, `unknown-round`, `unknown-version`, `invalid-body` (without the metric that decides),
                `not-assigned`, `round-closed`, `report-conflict`.
        """
        if not self._directory.authenticate(caller).may_use(model):
            raise unknown_round(report.round)
        by = self._directory.allowance(caller, model)
        measured = Measurement(report.examples, storable(report.metrics), report.verdict)
        if not self._stored(self._remembered(model, report.round), version, by, measured):
            # What is remembered may be older than the assignment: another instance may have given it a moment ago.
            rnd = self._fresh(model, report.round)
            if rnd is None:
                raise unknown_round(report.round)
            if not self._stored(rnd, version, by, measured):
                self._check_same(rnd, version, by.caller.public, measured)
        return wire.EvaluationReply(round=report.round, version=version, client_id=by.caller.public)

    def _stored(self, rnd: Round | None, version: int, by: Allowance, measured: Measurement) -> bool:
        if rnd is None or rnd.phase is not Phase.EVALUATING or version not in _roles(rnd):
            return False
        _check_metric(rnd, measured)
        try:
            self._rounds.measure(rnd.id, by, _roles(rnd)[version], measured, self._clock())
        except OutOfScope as foreign:
            raise unknown_round(rnd.id) from foreign
        except NotDone:
            return False
        return True

    def _check_same(self, rnd: Round, version: int, client_id: str, measured: Measurement) -> None:
        """Accept a measurement that was not stored now because the very same was stored before; refuse any other."""
        role = _roles(rnd).get(version)
        if role is None:
            raise _unknown_version(rnd, version)
        _check_metric(rnd, measured)
        known = self._rounds.judgement(rnd.id, client_id)
        if known is None:
            raise Refusal(
                Problem.NOT_ASSIGNED,
                f"this client is no judge of round {rnd.id}; check in first",
                expected="a client that was asked to evaluate",
                got="one that was not",
            )
        if role not in known.measured:
            raise Refusal(
                Problem.ROUND_CLOSED,
                f"round {rnd.id} takes no more evaluations",
                expected=f"a report before {text(known.report_by)} and before the round is decided",
                got=f"round {rnd.phase.value} at {text(self._clock())}",
            )
        if known.measured[role] != measured:
            raise Refusal(
                Problem.REPORT_CONFLICT,
                f"this client already measured version {version} in round {rnd.id}",
                expected=_told(known.measured[role]),
                got=_told(measured),
            )

    def _remembered(self, model: str, round_id: str) -> Round | None:
        """The model's current round as this instance remembers it, if it has that name."""
        rnd = self._current.round.get(model)
        return rnd if rnd and rnd.id == RoundId.parse(round_id) else None

    def _fresh(self, model: str, round_id: str) -> Round | None:
        """The round of that name as it stands, if it is the model's."""
        named = RoundId.parse(round_id)
        return self._rounds.get(model, named.number) if named and named.model == model else None


def _roles(rnd: Round) -> dict[int, str]:
    """The round's two versions."""
    return {rnd.deployed.version: "deployed"} | ({rnd.candidate.version: "candidate"} if rnd.candidate else {})


def _check_metric(rnd: Round, measured: Measurement) -> None:
    """Refuse a measurement that says nothing about the metric that decides, or what cannot be said of it."""
    unfit = rnd.config.metric.unfit(measured.metrics) if measured.verdict == "measured" else None
    if unfit is not None:
        expected, got = unfit
        raise Refusal(
            Problem.INVALID_BODY,
            f"metrics.{rnd.config.metric.name}: versions of {rnd.model} are judged by it",
            expected=expected,
            got=got,
        )


def _told(measured: Measurement) -> str:
    what = words(measured.metrics) if measured.verdict == "measured" else measured.verdict
    return f"{what} on {measured.examples} examples"


def _unknown_version(rnd: Round, version: int) -> Refusal:
    return Refusal(
        Problem.UNKNOWN_VERSION,
        f"version {version} is not being evaluated in round {rnd.id}",
        expected=" or ".join(f"version {number} ({role})" for number, role in sorted(_roles(rnd).items())),
        got=f"version {version}",
    )
