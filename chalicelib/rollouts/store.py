"""Rows of reports: one a client and rollout or experiment, so that nobody counts twice, and no two clients meet in one row."""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib.registry.experiment import Experiment
from chalicelib.registry.rollout import Rollout
from chalicelib.rollouts.report import RolloutReport, Verification
from chalicelib.rollouts.trial import ExperimentReport
from chalicelib.storage import keys
from chalicelib.storage.dynamo import NEW, Condition, ConditionFailed, Put, Table
from chalicelib.storage.rows import readable, to_item

_KINDS = {
    RolloutReport: keys.REPORT, Verification: keys.VERIFICATION, ExperimentReport: keys.EXPERIMENT_REPORT,
}  # fmt: skip

_COUNTS = Condition("attribute_not_exists(#withdrawn) OR #withdrawn = :no", "it was not withdrawn yet", {":no": False})


class ReportStore:
    """What clients say in rollouts, in the `rounds` table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, model: str, rollout: Rollout, report: RolloutReport) -> bool:
        """Store what a client says; False when it has said something before, which stands."""
        key = keys.REPORT.key(model=model, revision=rollout.began, client=report.client_id)
        return self._put(Put(table=self._table, key=key, item=to_item(report), condition=NEW))

    def verify(self, model: str, rollout: Rollout, said: Verification) -> bool:
        """Store that a client was there, and whether it has the candidate; False when as much is known. A client that once had
        it has it.
        """
        key = keys.VERIFICATION.key(model=model, revision=rollout.began, client=said.client_id)
        better = Condition(
            "attribute_not_exists(#pk) OR "
            "(#is_ready = :no AND :ready = :yes AND (attribute_not_exists(#withdrawn) OR #withdrawn = :no))",
            "nothing better is known, and it was not withdrawn",
            {":no": False, ":yes": True, ":ready": said.is_ready},
        )
        return self._put(Put(table=self._table, key=key, item=to_item(said), condition=better))

    def reports(self, model: str, rollout: Rollout) -> Iterator[RolloutReport]:
        """All reports of a rollout that count, by client; one that cannot be read is passed over."""
        partition = keys.REPORT.partition(model=model, revision=rollout.began)
        found = readable(RolloutReport, self._table.query(partition, keys.REPORT.prefix))
        return (report for report in found if not report.withdrawn)

    def verifications(self, model: str, rollout: Rollout) -> Iterator[Verification]:
        """Who was there while a rollout warmed up."""
        partition = keys.VERIFICATION.partition(model=model, revision=rollout.began)
        found = readable(Verification, self._table.query(partition, keys.VERIFICATION.prefix))
        return (said for said in found if not said.withdrawn)

    def add_trial(self, model: str, experiment: Experiment, report: ExperimentReport) -> bool:
        """Store what a client of an experiment says; False when it has said something before, which stands."""
        key = keys.EXPERIMENT_REPORT.key(model=model, revision=experiment.began, client=report.client_id)
        return self._put(Put(table=self._table, key=key, item=to_item(report), condition=NEW))

    def trials(self, model: str, experiment: Experiment) -> Iterator[ExperimentReport]:
        """All reports of an experiment that count, by client; one that cannot be read is passed over."""
        partition = keys.EXPERIMENT_REPORT.partition(model=model, revision=experiment.began)
        found = readable(ExperimentReport, self._table.query(partition, keys.EXPERIMENT_REPORT.prefix))
        return (report for report in found if not report.withdrawn)

    def withdraw(self, model: str, began: int, gone: RolloutReport | Verification | ExperimentReport) -> None:
        """Put a row that counts for nothing in the place of what a client has said, or may be about to say; a repeat changes
        nothing.
        """
        kind = _KINDS[type(gone)]
        key = kind.key(model=model, revision=began, client=gone.client_id)
        self._put(Put(table=self._table, key=key, item=to_item(gone), condition=_COUNTS))

    def _put(self, put: Put) -> bool:
        try:
            self._table.put(put)
        except ConditionFailed:
            return False
        return True
