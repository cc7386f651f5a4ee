"""Judges' measurements: stored once each, the same again is the same answer."""

from __future__ import annotations

from chalicelib.clients.credentials import Credential
from chalicelib.clients.directory import Directory
from chalicelib.errors import Refused
from chalicelib.instants import Clock, text
from chalicelib.rounds.evaluation import Measurement
from chalicelib.rounds.round import Phase, Round, parse_round_id
from chalicelib.rounds.store import RoundStore
from chalicelib.rounds.updates import unknown_round
from chalicelib.storage.dynamo import ConditionFailed
from muster.wire import messages as wire
from muster.wire.problems import Problem


class EvaluationDesk:
    """Takes what judges measured."""

    def __init__(self, directory: Directory, rounds: RoundStore, clock: Clock) -> None:
        self._directory = directory
        self._rounds = rounds
        self._clock = clock

    def report(
        self, model: str, version: int, caller: Credential | None, report: wire.EvaluationReport
    ) -> wire.EvaluationReply:
        """Store one measurement of the candidate or of the deployed version; the same may be sent again.

        Raises:
            Refused: `unauthenticated`, `unknown-round`, `unknown-version`, `not-assigned`, `round-closed`,
                `report-conflict`.

        """
        client = self._directory.authenticate(caller)
        rnd = self._round(model, report.round)
        role = _role(rnd, version)
        measurement = Measurement(report.examples, dict(report.metrics))
        known = self._rounds.evaluation(rnd.id, client.client_id)
        if known is None:
            raise Refused(
                Problem.NOT_ASSIGNED,
                f"this client is no judge of round {rnd.id}; check in first",
                expected="a client that was asked to evaluate",
                got="one that was not",
            )
        if role not in known.measured:
            now = self._clock()
            if rnd.phase is not Phase.EVALUATING or rnd.evaluate_by is None or now >= rnd.evaluate_by:
                raise Refused(
                    Problem.ROUND_CLOSED,
                    f"round {rnd.id} takes no more evaluations",
                    expected=f"a report before {text(rnd.evaluate_by)}" if rnd.evaluate_by else "an evaluating round",
                    got=f"round {rnd.phase.value} at {text(now)}",
                )
            try:
                known = self._rounds.measure(rnd.id, client.client_id, role, measurement)
            except ConditionFailed:
                known = self._rounds.evaluation(rnd.id, client.client_id) or known
        if known.measured.get(role) != measurement:
            raise Refused(
                Problem.REPORT_CONFLICT,
                f"this client already measured version {version} in round {rnd.id}",
                expected=known.measured.get(role),
                got=measurement,
            )
        return wire.EvaluationReply(round=rnd.id, version=version, client_id=client.client_id)

    def _round(self, model: str, round_id: str) -> Round:
        parsed = parse_round_id(round_id)
        rnd = self._rounds.get(*parsed) if parsed and parsed[0] == model else None
        if rnd is None:
            raise unknown_round(round_id)
        return rnd


def _role(rnd: Round, version: int) -> str:
    """Which of the round's two versions this is."""
    roles = {rnd.deployed.version: "deployed"} | ({rnd.candidate.version: "candidate"} if rnd.candidate else {})
    if version not in roles:
        raise Refused(
            Problem.UNKNOWN_VERSION,
            f"version {version} is not being evaluated in round {rnd.id}",
            expected=" or ".join(f"version {number} ({role})" for number, role in sorted(roles.items())),
            got=f"version {version}",
        )
    return roles[version]
