"""Status: a model, its training, what is deployed, the current round, the fleet, the alerts and the metrics, in one call."""

from __future__ import annotations

from datetime import datetime, timedelta

from chalicelib.clients.census import Census
from chalicelib.instants import Clock
from chalicelib.monitoring.alerts import Alerts
from chalicelib.monitoring.costs import billed
from chalicelib.monitoring.paces import FleetPaces
from chalicelib.monitoring.record import summarise as summarise_records
from chalicelib.monitoring.store import MonitoringStore
from chalicelib.monitoring.training import completed, last_round, standing, standing_of
from chalicelib.registry.catalogue import Catalogue
from chalicelib.registry.retained import RetentionStore
from chalicelib.registry.retention import Amount, Storage
from chalicelib.registry.store import RegistryStore
from chalicelib.rollouts.deployments import rollout_reply
from chalicelib.rounds.closing import MOST_NAMED
from chalicelib.rounds.failure import by_reason
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.operators.finding import RoundFinder
from chalicelib.rounds.receipt import summarise
from chalicelib.rounds.round import Round, Summary
from chalicelib.rounds.round_id import RoundId
from chalicelib.rounds.store import RoundStore
from chalicelib.spending import SpendingStore
from chalicelib.storage.rows import Unreadable
from muster.wire import admin

PAGE = 50
LATELY = timedelta(hours=1)


class Status:
    """Reads only."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        registry: RegistryStore,
        retained: RetentionStore,
        rounds: RoundStore,
        finder: RoundFinder,
        census: Census,
        paces: FleetPaces,
        alerts: Alerts,
        monitoring: MonitoringStore,
        spending: SpendingStore,
        clock: Clock,
    ) -> None:
        self._spending = spending
        self._catalogue = catalogue
        self._registry = registry
        self._retained = retained
        self._rounds = rounds
        self._finder = finder
        self._census = census
        self._paces = paces
        self._alerts = alerts
        self._monitoring = monitoring
        self._clock = clock

    def model(self, name: str) -> admin.ModelStatus:
        """Everything about one model. What it costs depends on the model's thresholds and its round, not on the fleet.

        Raises:
            Refusal: `unknown-model`.
        """
        model = self._catalogue.model(name)
        deployment, newest = self._registry.present(name), self._registry.newest_number(name)
        last = last_round(name, self._rounds)
        storage, counted = self._retained.storage(name), self._census.statistics()
        return admin.ModelStatus(
            model=name,
            config=model.config,
            config_revision=model.config_revision,
            training=admin.TrainingReply(
                state=standing(model, last),
                rounds_completed=completed(last),
                rounds_wanted=model.rounds_wanted,
            ),
            deployed_version=deployment.stable.version,
            deployment_revision=deployment.revision,
            rollout=deployment.rollout and rollout_reply(name, deployment.rollout),
            experiments=[experiment.name for experiment in deployment.experiments],
            newest_version=newest,
            round=self._reply(name, last, counted) if last else None,
            clients=counted,
            pace=self._paces.of_model(model, None if isinstance(last, Unreadable) else last),
            alerts=self._alerts.open(name),
            metrics=summarise_records(self._monitoring.recent(name, self._clock() - LATELY)),
            storage=storage and _storage(storage),
        )

    def models(self) -> admin.ModelList:
        """All models, by name. A read more for each that was started and not stopped."""
        return admin.ModelList(
            models=[
                admin.ModelSummary(
                    model=model.name,
                    created_at=model.created_at,
                    training=standing_of(model, self._rounds),
                    rounds_wanted=model.rounds_wanted,
                )
                for model in self._registry.models()
            ]
        )

    def rounds(self, name: str, query: admin.Page) -> admin.RoundList:
        """A page of a model's rounds, newest first, those below `before`.

        Raises:
            Refusal: `unknown-model`.
        """
        self._catalogue.model(name)
        page = self._rounds.history(name, query.before, PAGE)
        more = page[-1].number if page and page[-1].number > 1 else None
        return admin.RoundList(rounds=[self._reply(name, row) for row in page], before=more)

    def round(self, name: str, number: int) -> admin.RoundReply:
        """One round, and what it has used.

        Raises:
            Refusal: `unknown-model`, `unknown-round`.
        """
        found = self._reply(name, self._finder.find(name, number))
        spent = self._spending.round(name, number)
        return found.model_copy(update={"spent": billed(spent)}) if spent else found

    def _reply(self, name: str, rnd: Round | Unreadable, counted: admin.FleetStatistics | None = None) -> admin.RoundReply:
        if isinstance(rnd, Unreadable):
            return _unknown(name, rnd)
        summary, counted_at = self._counted(rnd)
        judges = self._rounds.judgements(rnd.id) if rnd.phase in (Phase.EVALUATING, Phase.COMPLETED) else []
        judges_failed = by_reason(judge.failure for judge in judges if judge.failure)
        return admin.RoundReply(
            round=str(rnd.id),
            number=rnd.number,
            phase=rnd.phase.value,
            config_revision=rnd.config_revision,
            base_version=rnd.base.version,
            opened_at=rnd.opened_at,
            report_by=rnd.report_by,
            closed_at=rnd.closed_at,
            finished_at=rnd.finished_at,
            assigned=summary.assigned,
            reported=summary.reported,
            accepted=summary.accepted,
            rejected=summary.rejected or {},
            late=summary.late,
            failed=summary.failed or {},
            judges_failed=judges_failed if summary.judges_failed is None else summary.judges_failed,
            uploaded_bytes=summary.uploaded_bytes,
            examples=summary.examples,
            evaluations=sum(judge.counts for judge in judges),
            judges_needed=rnd.config.evaluators,
            judges_asked=rnd.judges_wanted,
            version=rnd.candidate.version if rnd.candidate else None,
            metric=rnd.config.metric,
            gain=rnd.gain,
            deployed=rnd.was_deployed,
            reason=rnd.reason,
            lacks=self._lacks(rnd, summary, counted),
            counted_at=counted_at,
        )

    def _lacks(self, rnd: Round, summary: Summary, known: admin.FleetStatistics | None) -> str | None:
        """What a round that collects still waits for."""
        left = rnd.places - summary.held
        if rnd.phase is not Phase.COLLECTING or left <= 0:
            return None
        counted = known or self._census.statistics()
        active = counted.active_by_model.get(rnd.model, 0) if rnd.cohort is None else counted.active_by_cohort.get(rnd.cohort)
        who = "" if rnd.cohort is None else f" of cohort {rnd.cohort}"
        state = (
            "" if not rnd.config.requires else f", of which only those may come that are {' and '.join(rnd.config.requires)}"
        )
        many = "uncounted" if active is None else active
        found = f"{left} of {rnd.places} places are open; {many} clients{who} are active{state}"
        absent = ", ".join((summary.absent or [])[:MOST_NAMED])
        return f"{found}; without an update yet: {absent}" if absent else found

    def _counted(self, rnd: Round) -> tuple[Summary, datetime | None]:
        """What became of a round's places, and when that was counted. While a round of many goes on, nobody reads all its
        receipts to answer that: the last look has.
        """
        if rnd.summary is not None:
            return rnd.summary, None
        if rnd.parts == 1:
            return summarise(self._rounds.receipts(rnd.id), rnd.config.sites), None
        return rnd.so_far or Summary(), rnd.looked_at or rnd.opened_at


def _storage(counted: Storage) -> admin.StorageReply:
    def amount(of: Amount) -> admin.StorageAmount:
        return admin.StorageAmount(count=of.count, bytes=of.nbytes)

    return admin.StorageReply(
        checkpoints=amount(counted.checkpoints),
        states=amount(counted.states),
        deltas=amount(counted.deltas),
        expiring=amount(counted.expiring),
        deleted=counted.deleted,
        counted_at=counted.counted_at,
    )


def _unknown(model: str, row: Unreadable) -> admin.RoundReply:
    """A round of which nothing is known but its number: `abandon` takes it away."""
    row.tell()
    return admin.RoundReply(
        round=str(RoundId(model, row.number)),
        number=row.number,
        phase="unreadable",
        config_revision=None,
        base_version=None,
        opened_at=None,
        report_by=None,
        closed_at=None,
        finished_at=None,
        assigned=0,
        reported=0,
        accepted=0,
        rejected={},
        late=0,
        uploaded_bytes=0,
        examples=0,
        evaluations=0,
        version=None,
        gain=None,
        deployed=False,
        reason=f"its row cannot be read; to take it away: muster round abandon {model} {row.number} --because …",
    )
