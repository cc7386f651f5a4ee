"""Judges' measurements: stored once each, the same again is the same answer.

As with receipts, a judge's row carries the hash of its key, so a measurement is one conditional write; only when that is not
done is more read, to say why.
"""

from __future__ import annotations

from chalicelib.clients.credentials import Credential
from chalicelib.clients.directory import Directory, unauthenticated
from chalicelib.errors import Refused
from chalicelib.instants import Clock, text
from chalicelib.rounds.current import Current
from chalicelib.rounds.evaluation import Evaluation, Measurement
from chalicelib.rounds.round import Phase, Round, parse_round_id
from chalicelib.rounds.store import RoundStore
from chalicelib.rounds.updates import unknown_round
from chalicelib.storage.rows import storable
from muster.wire import messages as wire
from muster.wire.problems import Problem


class EvaluationDesk:
    """Takes what judges measured."""

    def __init__(self, directory: Directory, rounds: RoundStore, current: Current, clock: Clock) -> None:
        self._directory = directory
        self._rounds = rounds
        self._current = current
        self._clock = clock

    def report(
        self, model: str, version: int, caller: Credential | None, report: wire.EvaluationReport
    ) -> wire.EvaluationReply:
        """Store one measurement of the candidate or of the deployed version; the same may be sent again.

        Raises:
            Refused: `unauthenticated`, `unknown-round`, `unknown-version`, `not-assigned`, `round-closed`,
                `report-conflict`.
        """
        if caller is None:
            raise unauthenticated()
        rnd = self._round(model, report.round)
        role = _roles(rnd).get(version) if rnd else None
        measurement = Measurement(report.examples, storable(report.metrics))
        if not (rnd and role and self._stored(rnd, caller, role, measurement)):
            client = self._directory.authenticate(caller)
            if rnd is None:
                raise unknown_round(report.round)
            if role is None:
                raise _unknown_version(rnd, version)
            self._check_same(rnd, role, version, self._rounds.evaluation(rnd.id, client.client_id), measurement)
        return wire.EvaluationReply(round=report.round, version=version, client_id=caller.public)

    def _stored(self, rnd: Round, caller: Credential, role: str, measurement: Measurement) -> bool:
        return rnd.phase is Phase.EVALUATING and self._rounds.measure(rnd.id, caller, role, measurement, self._clock())

    def _check_same(self, rnd: Round, role: str, version: int, known: Evaluation | None, measured: Measurement) -> None:
        """Accept a measurement that was not stored now because the very same was stored before; refuse any other."""
        if known is None:
            raise Refused(
                Problem.NOT_ASSIGNED,
                f"this client is no judge of round {rnd.id}; check in first",
                expected="a client that was asked to evaluate",
                got="one that was not",
            )
        if role not in known.measured:
            raise Refused(
                Problem.ROUND_CLOSED,
                f"round {rnd.id} takes no more evaluations",
                expected=f"a report before {text(known.report_by)} and before the round is decided",
                got=f"round {rnd.phase.value} at {text(self._clock())}",
            )
        if known.measured[role] != measured:
            raise Refused(
                Problem.REPORT_CONFLICT,
                f"this client already measured version {version} in round {rnd.id}",
                expected=known.measured[role],
                got=measured,
            )

    def _round(self, model: str, round_id: str) -> Round | None:
        """The round of that name, if it is the model's."""
        parsed = parse_round_id(round_id)
        if parsed is None or parsed[0] != model:
            return None
        remembered = self._current.round.get(model)
        return remembered if remembered and remembered.id == round_id else self._rounds.get(*parsed)


def _roles(rnd: Round) -> dict[int, str]:
    """The round's two versions."""
    return {rnd.deployed.version: "deployed"} | ({rnd.candidate.version: "candidate"} if rnd.candidate else {})


def _unknown_version(rnd: Round, version: int) -> Refused:
    return Refused(
        Problem.UNKNOWN_VERSION,
        f"version {version} is not being evaluated in round {rnd.id}",
        expected=" or ".join(f"version {number} ({role})" for number, role in sorted(_roles(rnd).items())),
        got=f"version {version}",
    )
