"""How the pieces meet. Everything is made on first use, so that a function only loads what it calls.

The imports inside the methods are the point: the API never loads numpy, and importing `app` loads no AWS library at all.
"""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from chalicelib.admission.deciding import Admission
from chalicelib.admission.finding import find as find_site_rule
from chalicelib.clients.arrivals import ArrivalStore
from chalicelib.clients.census import Census
from chalicelib.clients.cohorts import Cohorts
from chalicelib.clients.conduct import StrikeRule
from chalicelib.clients.directory import Directory
from chalicelib.clients.enrolling import Enroller
from chalicelib.clients.pacing import Pacing
from chalicelib.clients.presence import Presence
from chalicelib.clients.rate import RequestRate
from chalicelib.clients.reputation import Reputation
from chalicelib.clients.tokens import Tokens
from chalicelib.instants import Clock, utc_now
from chalicelib.invocations import Platform
from chalicelib.monitoring.alerts import Alerts
from chalicelib.monitoring.budgets import ErrorBudgets
from chalicelib.monitoring.costs import Costs
from chalicelib.monitoring.metrics import MetricHistory
from chalicelib.monitoring.monitor import Monitor
from chalicelib.monitoring.overview import Overviews
from chalicelib.monitoring.paces import FleetPaces
from chalicelib.monitoring.recording import Recording
from chalicelib.monitoring.status import Status
from chalicelib.monitoring.watching import Watching
from chalicelib.registry.catalogue import Catalogue
from chalicelib.registry.checkpoints import Checkpoints
from chalicelib.registry.configurations import Configurations
from chalicelib.registry.versions import Versions
from chalicelib.resources import Resources
from chalicelib.rollouts.deployments import Deployments
from chalicelib.rollouts.experiments import Experiments
from chalicelib.rollouts.reporting import Reporting
from chalicelib.rollouts.showing import RolloutView
from chalicelib.rollouts.store import ReportStore
from chalicelib.rollouts.withdrawing import Withdrawing
from chalicelib.rounds.budget import Budgets
from chalicelib.rounds.devices.checkin import CheckIns
from chalicelib.rounds.devices.current import Current
from chalicelib.rounds.devices.failures import Failures
from chalicelib.rounds.devices.judging import Judging
from chalicelib.rounds.devices.pacing import RoundPaces
from chalicelib.rounds.devices.seating import Seating
from chalicelib.rounds.devices.serving import Serving
from chalicelib.rounds.devices.updates import Updates
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.operators.abandonment import Abandonment
from chalicelib.rounds.operators.exports import RoundExports
from chalicelib.rounds.operators.finding import RoundFinder
from chalicelib.rounds.operators.places import RoundPlaces
from chalicelib.rounds.operators.retention import RetentionView
from chalicelib.rounds.operators.revocation import Revocation
from chalicelib.rounds.reaching import Reaching
from chalicelib.settings import Settings
from chalicelib.storage.dynamo import Table
from muster.pacing.intervals import PaceRules
from muster.pricing import standing
from muster.wire.admin import RoundConfig
from muster.wire.tensors import Schema

if TYPE_CHECKING:
    from chalicelib.rounds.devices.inspection import Inspector
    from chalicelib.rounds.phases.aggregating import Aggregating
    from chalicelib.rounds.phases.coordinator import Coordinator


def secret() -> str:
    """128 random bits, in hex."""
    return secrets.token_hex(16)


class Services(Resources):
    """The server's pieces, for one function instance. `draw_secret` draws what nobody can guess, `draw` a number from 0 to 1
    that anybody may.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        clock: Clock = utc_now,
        session: Any = None,
        draw_secret: Callable[[], str] = secret,
        draw: Callable[[], float] = random.random,
        platform: Platform | None = None,
    ) -> None:
        super().__init__(settings=settings, clock=clock, session=session, platform=platform)
        self.draw_secret = draw_secret
        self.draw = draw

    # ---- what devices ask for

    @cached_property
    def directory(self) -> Directory:
        """Enrolment, keys, heartbeats, the list of clients."""
        settings = self.settings
        table = Table(self._dynamodb, settings.clients_table)
        return Directory(
            store=self.clients,
            enroller=Enroller(table=table, tokens=self.token_rows, fleet=self.fleet_rows),
            fleet=self.fleet_rows,
            clock=self.clock,
            pacing=self.pacing,
            signing_key=self._shown_key,
            admission=self.admission,
        )

    @cached_property
    def admission(self) -> Admission:
        """The site's rule."""
        name = self.settings.site_rule
        return Admission(name, find_site_rule(name)) if name else Admission()

    @cached_property
    def presence(self) -> Presence:
        """Heartbeats and check-ins: who comes."""
        settings = self.settings
        rate = RequestRate(burst=settings.request_burst, seconds=settings.request_seconds)
        arrivals = ArrivalStore(Table(self._dynamodb, settings.clients_table), rate)
        return Presence(store=arrivals, admission=self.admission, clock=self.clock)

    @cached_property
    def reputation(self) -> Reputation:
        """What clients' updates came to."""
        rule = StrikeRule(most=self.settings.strikes, first_seconds=self.settings.quarantine_seconds)
        return Reputation(store=self.clients, directory=self.directory, rule=rule, clock=self.clock)

    @cached_property
    def pacing(self) -> Pacing:
        """When devices come again."""
        settings = self.settings
        rules = PaceRules(
            tick_seconds=settings.tick_seconds,
            heartbeat_seconds=settings.heartbeat_seconds,
            ceiling=settings.requests_per_second,
        )
        return Pacing(
            store=self.clients,
            tallies=self.tallies,
            clock=self.clock,
            draw=self.draw,
            rules=rules,
            timeout_seconds=settings.heartbeat_timeout_seconds,
            memory_seconds=settings.census_seconds,
        )

    @cached_property
    def current(self) -> Current:
        """What is current, remembered for a moment."""
        return Current(rounds=self.rounds, registry=self.registry, clock=self.clock, seconds=self.settings.memory_seconds)

    @cached_property
    def serving(self) -> Serving:
        """Heartbeats and the deployed version."""
        return Serving(
            directory=self.directory,
            presence=self.presence,
            current=self.current,
            reporting=self._reporting,
            presigner=self.presigner,
            pacing=self.pacing,
            paces=self.round_paces,
            clock=self.clock,
        )

    @cached_property
    def round_paces(self) -> RoundPaces:
        """When devices come again that wait for rounds."""
        return RoundPaces(self.pacing, self.current)

    def _active(self, model: str) -> int:
        """How many clients of a model live, as last counted."""
        return self.pacing.steering().active(model)

    def _members(self, cohort: str) -> int | None:
        """How many clients of a cohort live, as last counted."""
        counted = self.pacing.steering().counted
        return counted.active_by_cohort.get(cohort) if counted else None

    @cached_property
    def reports(self) -> ReportStore:
        """What clients say in rollouts."""
        return ReportStore(Table(self._dynamodb, self.settings.rounds_table))

    @cached_property
    def _reporting(self) -> Reporting:
        return Reporting(store=self.reports, active=self._active, members=self._members, clock=self.clock)

    @cached_property
    def checkin(self) -> CheckIns:
        """Assignments."""
        return CheckIns(
            presence=self.presence,
            rounds=self.rounds,
            seating=Seating(self.counters, self.settings.memory_seconds),
            current=self.current,
            presigner=self.presigner,
            clock=self.clock,
            paces=self.round_paces,
        )

    @cached_property
    def updates(self) -> Updates:
        """Grants, reports, receipts."""
        return Updates(
            directory=self.directory,
            rounds=self.rounds,
            blobs=self.blobs,
            presigner=self.presigner,
            inspections=self.inspections,
            clock=self.clock,
        )

    @cached_property
    def judging(self) -> Judging:
        """Measurements of candidates."""
        return Judging(directory=self.directory, rounds=self.rounds, current=self.current, clock=self.clock)

    @cached_property
    def failures(self) -> Failures:
        """Work that devices give up."""
        return Failures(directory=self.directory, rounds=self.rounds, clock=self.clock)

    # ---- what operators ask for

    @cached_property
    def tokens(self) -> Tokens:
        """Enrolment tokens."""
        return Tokens(self.token_rows, self.clock)

    @cached_property
    def census(self) -> Census:
        """The fleet, counted."""
        settings = self.settings
        return Census(
            store=self.clients,
            tallies=self.tallies,
            ask=lambda messages: self.work.send_all(messages),
            clock=self.clock,
            census_seconds=settings.census_seconds,
            pacing=self.pacing,
            max_clients=settings.max_clients,
        )

    @cached_property
    def cohorts(self) -> Cohorts:
        """Named sets of clients."""
        return Cohorts(store=self.clients, census=self.census, clock=self.clock)

    @cached_property
    def _checkpoints(self) -> Checkpoints:
        return Checkpoints(self.blobs)

    @cached_property
    def catalogue(self) -> Catalogue:
        """Models."""
        return Catalogue(
            store=self.registry,
            checkpoints=self._checkpoints,
            schemas=self.schemas,
            presigner=self.presigner,
            clock=self.clock,
            check_rules=_check_rules,
            check_model=_check_model,
            check_cohort=self.cohorts.find,
        )

    @cached_property
    def versions(self) -> Versions:
        """Versions."""
        return Versions(
            catalogue=self.catalogue,
            store=self.registry,
            retained=self.retained,
            checkpoints=self._checkpoints,
            schemas=self.schemas,
            presigner=self.presigner,
            clock=self.clock,
            in_training=self.rounds.undecided,
        )

    @cached_property
    def configurations(self) -> Configurations:
        """How rounds are run."""
        return Configurations(
            catalogue=self.catalogue,
            store=self.registry,
            schemas=self.schemas,
            check_rules=_check_rules,
            check_model=_check_model,
            check_cohort=self.cohorts.find,
            clock=self.clock,
        )

    @cached_property
    def deployments(self) -> Deployments:
        """What clients are served."""
        return Deployments(
            catalogue=self.catalogue,
            versions=self.versions,
            store=self.registry,
            clock=self.clock,
            draw_secret=self.draw_secret,
        )

    @cached_property
    def experiments(self) -> Experiments:
        """Two or more versions at once."""
        return Experiments(
            catalogue=self.catalogue,
            versions=self.versions,
            deployments=self.deployments,
            registry=self.registry,
            reports=self.reports,
            cohort=self.cohorts.find,
            clock=self.clock,
            draw_secret=self.draw_secret,
        )

    @cached_property
    def rollout_view(self) -> RolloutView:
        """The rollout that goes on."""
        return RolloutView(catalogue=self.catalogue, registry=self.registry, reports=self.reports, clock=self.clock)

    @cached_property
    def _finder(self) -> RoundFinder:
        return RoundFinder(self.catalogue, self.rounds)

    @cached_property
    def abandonment(self) -> Abandonment:
        """Ends rounds before their time."""
        return Abandonment(
            catalogue=self.catalogue, registry=self.registry, rounds=self.rounds, finder=self._finder, clock=self.clock
        )

    @cached_property
    def places(self) -> RoundPlaces:
        """What became of the places of rounds."""
        return RoundPlaces(finder=self._finder, rounds=self.rounds)

    @cached_property
    def exports(self) -> RoundExports:
        """What versions were made of."""
        return RoundExports(finder=self._finder, registry=self.registry, blobs=self.blobs, presigner=self.presigner)

    @cached_property
    def _reaching(self) -> Reaching:
        return Reaching(registry=self.registry, rounds=self.rounds)

    @cached_property
    def retention(self) -> RetentionView:
        """Which versions are kept, and why."""
        return RetentionView(catalogue=self.catalogue, registry=self.registry, reaching=self._reaching, clock=self.clock)

    @cached_property
    def metric_history(self) -> MetricHistory:
        """Metrics over time."""
        return MetricHistory(
            catalogue=self.catalogue, store=self.monitoring, metrics=self.metrics, clock=self.clock, keep=self._keep
        )

    @cached_property
    def error_budgets(self) -> ErrorBudgets:
        """Service objectives."""
        return ErrorBudgets(catalogue=self.catalogue, store=self.monitoring, spending=self.spending, clock=self.clock)

    @cached_property
    def alerts(self) -> Alerts:
        """Thresholds and alerts."""
        return Alerts(
            catalogue=self.catalogue,
            rounds=self.rounds,
            store=self.monitoring,
            topic=lambda: self.alert_topic,
            clock=self.clock,
            keep=self._keep,
        )

    @cached_property
    def fleet_paces(self) -> FleetPaces:
        """How often devices come."""
        return FleetPaces(
            store=self.clients,
            pacing=self.pacing,
            rounds=self.rounds,
            registry=self.registry,
            clock=self.clock,
        )

    @cached_property
    def status(self) -> Status:
        """Models and rounds, as they stand."""
        return Status(
            catalogue=self.catalogue,
            registry=self.registry,
            retained=self.retained,
            rounds=self.rounds,
            finder=self._finder,
            census=self.census,
            paces=self.fleet_paces,
            alerts=self.alerts,
            monitoring=self.monitoring,
            spending=self.spending,
            clock=self.clock,
        )

    @property
    def _keep(self) -> timedelta:
        return timedelta(hours=self.settings.keep_records_hours)

    @cached_property
    def revocation(self) -> Revocation:
        """Takes clients out."""
        return Revocation(
            directory=self.directory,
            registry=self.registry,
            rounds=self.rounds,
            withdrawing=Withdrawing(reports=self.reports, clock=self.clock),
            clock=self.clock,
        )

    # ---- what the schedules and the workers do

    @cached_property
    def monitor(self) -> Monitor:
        """Counts, records, watches."""
        settings = self.settings
        recording = Recording(
            store=self.monitoring,
            rounds=self.rounds,
            registry=self.registry,
            metrics=self.metrics,
            clock=self.clock,
            census_seconds=settings.census_seconds,
            keep=self._keep,
        )
        watching = Watching(
            store=self.monitoring,
            registry=self.registry,
            rounds=self.rounds,
            topic=self.alert_topic,
            clock=self.clock,
            keep=self._keep,
            republish_seconds=settings.resend_seconds,
            why=self._overviews(looks_at_aws=False).why,
        )
        return Monitor(
            census=self.census,
            registry=self.registry,
            recording=recording,
            watching=watching,
            vitals=self.vitals,
            dead_letters=self.dead_letters.waiting if self.dead_letters else None,
        )

    @cached_property
    def overviews(self) -> Overviews:
        """Why models stand where they stand."""
        return self._overviews(looks_at_aws=True)

    def _overviews(self, *, looks_at_aws: bool) -> Overviews:
        """Who sends an alert needs no more than what is stored."""
        dead, alarms = (self.dead_letters, self.alarms) if looks_at_aws else (None, None)
        return Overviews(
            registry=self.registry,
            rounds=self.rounds,
            monitoring=self.monitoring,
            census=self.census,
            dead_letters=dead.waiting if dead else None,
            alarms=alarms.ringing if alarms else None,
            clock=self.clock,
            tick_seconds=self.settings.tick_seconds,
            census_seconds=self.settings.census_seconds,
        )

    @cached_property
    def costs(self) -> Costs:
        """What was spent."""
        return Costs(
            catalogue=self.catalogue,
            registry=self.registry,
            retained=self.retained,
            spending=self.spending,
            clock=self.clock,
            alarms=standing.ALARMS if self.settings.alarm_prefix else 0,
            keys=1 if self.settings.signing_key else 0,
        )

    @cached_property
    def inspector(self) -> Inspector:
        """Looks into uploads."""
        from chalicelib.rounds.devices.inspection import Inspector
        from chalicelib.rounds.looks import Looks

        return Inspector(
            directory=self.directory,
            reputation=self.reputation,
            rounds=self.rounds,
            counters=self.counters,
            schemas=self.schemas,
            blobs=self.blobs,
            looks=Looks(Table(self._dynamodb, self.settings.rounds_table), self.work, self.clock),
            clock=self.clock,
        )

    @cached_property
    def aggregating(self) -> Aggregating:
        """Sums, merges, publishes."""
        from chalicelib.registry.deltas import Deltas
        from chalicelib.rounds.phases.aggregating import Aggregating
        from chalicelib.rounds.phases.publishing import Publishing
        from muster.aggregation.plan import Limits

        settings = self.settings
        limits = Limits(settings.part_memory_bytes, settings.part_read_bytes, settings.part_reads)
        deltas = Deltas(self.blobs, settings.delta_limit_bytes)
        publishing = Publishing(rounds=self.rounds, registry=self.registry, blobs=self.blobs, deltas=deltas, clock=self.clock)
        return Aggregating(
            rounds=self.rounds,
            schemas=self.schemas,
            blobs=self.blobs,
            settling=self._settling,
            publishing=publishing,
            work=self.work,
            clock=self.clock,
            limits=limits,
            connections=settings.part_connections,
            part_seconds=settings.part_seconds,
        )

    @cached_property
    def coordinator(self) -> Coordinator:
        """Reconciles models."""
        from chalicelib.rollouts.advancing import Rollouts
        from chalicelib.rounds.phases.collecting import Collecting
        from chalicelib.rounds.phases.coordinator import Coordinator, PhaseWork
        from chalicelib.rounds.phases.evaluating import Evaluating
        from chalicelib.rounds.phases.sweeping import Sweeper

        collecting = Collecting(
            rounds=self.rounds,
            registry=self.registry,
            blobs=self.blobs,
            counters=self.counters,
            inspections=self.inspections,
            clock=self.clock,
            resend_seconds=self.settings.resend_seconds,
        )
        phases: dict[Phase, PhaseWork] = {
            Phase.COLLECTING: collecting,
            Phase.AGGREGATING: self.aggregating,
            Phase.EVALUATING: Evaluating(
                rounds=self.rounds,
                counters=self.counters,
                registry=self.registry,
                clock=self.clock,
                draw_secret=self.draw_secret,
            ),
        }
        rollouts = Rollouts(
            registry=self.registry,
            reports=self.reports,
            clock=self.clock,
            timeout_seconds=lambda: self.pacing.timeout_seconds,
        )
        sweeper = Sweeper(
            registry=self.registry, retained=self.retained, reaching=self._reaching, blobs=self.blobs, clock=self.clock
        )
        return Coordinator(
            rounds=self.rounds,
            registry=self.registry,
            settling=self._settling,
            phases=phases,
            rollouts=rollouts,
            sweeper=sweeper,
            work=self.work,
            cohort=self.cohorts.find,
            draw_secret=self.draw_secret,
            clock=self.clock,
            vitals=self.vitals,
            budgets=Budgets(spending=self.spending, registry=self.registry, clock=self.clock),
        )

    @cached_property
    def _settling(self) -> Any:
        from chalicelib.rounds.phases.settling import Settling

        return Settling(rounds=self.rounds, counters=self.counters, blobs=self.blobs, clock=self.clock)


def _check_rules(config: RoundConfig) -> None:
    from chalicelib.registry.feasibility import check_rules

    check_rules(config)


def _check_model(config: RoundConfig, schema: Callable[[], Schema]) -> None:
    from chalicelib.registry.feasibility import check_model

    check_model(config, schema)


def check_site_rule(env: Mapping[str, str]) -> None:
    """Find the site's rule as a function starts: one that is not there is an error of the deployment, not of a request.

    Raises:
        UnknownSiteRule: it is not there.
    """
    if name := env.get("MUSTER_SITE_RULE", ""):
        find_site_rule(name)


@cache
def services() -> Services:
    """The pieces of this function instance, from its environment. Tests put their own in place with `replace`."""
    return _replacement[-1] if _replacement else Services(settings=Settings.from_environment(os.environ))


_replacement: list[Services] = []


def replace(instead: Services | None) -> None:
    """Use these pieces from now on, or, with None, those of the environment again."""
    _replacement.clear()
    if instead is not None:
        _replacement.append(instead)
    services.cache_clear()
