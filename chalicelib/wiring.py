"""How the pieces meet. Everything is made on first use, so that a function only loads what it calls.

The imports inside the methods are the point: the API never loads numpy, and importing `app` loads no AWS library at all.
"""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from chalicelib.clients.census import Census
from chalicelib.clients.directory import Directory
from chalicelib.clients.store import ClientStore
from chalicelib.clients.tokens import Tokens
from chalicelib.instants import Clock, utc_now
from chalicelib.monitoring.alerts import AlertDesk
from chalicelib.monitoring.metrics import MetricDesk
from chalicelib.monitoring.monitor import Monitor
from chalicelib.monitoring.recording import Recording
from chalicelib.monitoring.status import Status
from chalicelib.monitoring.store import MonitoringStore
from chalicelib.monitoring.watching import Watching
from chalicelib.registry.catalogue import Catalogue
from chalicelib.registry.checkpoints import Checkpoints
from chalicelib.registry.deployments import Deployments
from chalicelib.registry.schemas import Schemas
from chalicelib.registry.store import RegistryStore
from chalicelib.registry.versions import Versions
from chalicelib.rounds.checkin import CheckInDesk
from chalicelib.rounds.current import Current, Memory
from chalicelib.rounds.desk import RoundDesk
from chalicelib.rounds.evaluations import EvaluationDesk
from chalicelib.rounds.files import RoundFiles
from chalicelib.rounds.revocation import Revocation
from chalicelib.rounds.round import Phase
from chalicelib.rounds.serving import Serving
from chalicelib.rounds.store import RoundStore
from chalicelib.rounds.updates import UpdateDesk
from chalicelib.settings import Settings
from chalicelib.storage.answers import watch
from chalicelib.storage.blobs import Blobs
from chalicelib.storage.dynamo import Table
from chalicelib.storage.metrics import Metrics
from chalicelib.storage.presign import Presigner
from chalicelib.storage.queues import Queue
from chalicelib.storage.topics import Topic
from muster.wire.admin import RoundConfig

if TYPE_CHECKING:
    from chalicelib.rounds.aggregating import Aggregating
    from chalicelib.rounds.coordinator import Coordinator
    from chalicelib.rounds.inspection import Inspector


class Services:
    """The server's pieces, for one function instance. `session` is a boto3 session; without one, a fresh one on first use."""

    def __init__(self, settings: Settings, clock: Clock = utc_now, session: Any = None) -> None:
        self.settings = settings
        self.clock = clock
        self._given_session = session

    # ---- AWS

    @cached_property
    def _session(self) -> Any:
        import boto3

        return self._given_session or boto3.Session(region_name=self.settings.region)

    def _client(self, service: str) -> Any:
        from botocore.config import Config

        retries: Any = {"mode": "standard", "total_max_attempts": 4}
        # What is read is verified against our own SHA-256 where that matters; botocore would hash it once more in between.
        s3: Any = {"signature_version": "s3v4", "response_checksum_validation": "when_required"} if service == "s3" else {}
        config = Config(retries=retries, connect_timeout=5, read_timeout=60, **s3)
        return watch(self._session.client(service, config=config))

    @cached_property
    def _dynamodb(self) -> Any:
        return self._client("dynamodb")

    @cached_property
    def _sqs(self) -> Any:
        return self._client("sqs")

    @cached_property
    def blobs(self) -> Blobs:
        """The bucket."""
        return Blobs(self._client("s3"), self.settings.bucket)

    @cached_property
    def presigner(self) -> Presigner:
        """Signs URLs with this function's own credentials."""
        settings = self.settings
        credentials = self._session.get_credentials()
        return Presigner(credentials, settings.region, settings.bucket, settings.s3_endpoint, settings.grant_seconds)

    @cached_property
    def inspections(self) -> Queue:
        """Reported updates that wait for inspection."""
        return Queue(self._sqs, self.settings.inspection_queue_url)

    @cached_property
    def work(self) -> Queue:
        """Parts of aggregations, and requests for a look."""
        return Queue(self._sqs, self.settings.work_queue_url)

    @cached_property
    def metrics(self) -> Metrics:
        """CloudWatch."""
        return Metrics(self._client("cloudwatch"))

    @cached_property
    def alert_topic(self) -> Topic:
        """Where alerts are published."""
        return Topic(self._client("sns"), self.settings.alert_topic_arn)

    # ---- stores

    @cached_property
    def clients(self) -> ClientStore:
        """Clients and tokens."""
        return ClientStore(Table(self._dynamodb, self.settings.clients_table))

    @cached_property
    def rounds(self) -> RoundStore:
        """Rounds, receipts, evaluations."""
        return RoundStore(Table(self._dynamodb, self.settings.rounds_table))

    @cached_property
    def registry(self) -> RegistryStore:
        """Models, versions, deployments."""
        return RegistryStore(Table(self._dynamodb, self.settings.versions_table))

    @cached_property
    def monitoring(self) -> MonitoringStore:
        """Records, thresholds, alerts."""
        return MonitoringStore(Table(self._dynamodb, self.settings.monitoring_table))

    @cached_property
    def schemas(self) -> Schemas:
        """Schemas of checkpoints."""
        return Schemas(self.blobs)

    # ---- what devices ask for

    @cached_property
    def directory(self) -> Directory:
        """Enrolment, keys, heartbeats, the list of clients."""
        settings = self.settings
        return Directory(
            self.clients, self.clock, settings.heartbeat_seconds, settings.heartbeat_timeout_seconds, settings.max_clients
        )

    @cached_property
    def current(self) -> Current:
        """What is current, remembered for a moment."""
        return Current(self.rounds, self.registry, self.clock, self.settings.memory_seconds)

    @cached_property
    def serving(self) -> Serving:
        """Heartbeats and the deployed version."""
        return Serving(self.directory, self.current, self.presigner, self.settings.heartbeat_seconds)

    @cached_property
    def checkin(self) -> CheckInDesk:
        """Assignments."""
        settings, clock = self.settings, self.clock
        fleet = Memory(lambda model: self.census.statistics().active_by_model.get(model, 0), clock, settings.census_seconds)
        return CheckInDesk(
            self.directory, self.rounds, self.current, self.presigner, clock, fleet,
            settings.tick_seconds, settings.heartbeat_seconds,
        )  # fmt: skip

    @cached_property
    def updates(self) -> UpdateDesk:
        """Grants, reports, receipts."""
        return UpdateDesk(self.directory, self.rounds, self.blobs, self.presigner, self.inspections, self.clock)

    @cached_property
    def evaluations(self) -> EvaluationDesk:
        """Measurements of candidates."""
        return EvaluationDesk(self.directory, self.rounds, self.current, self.clock)

    # ---- what operators ask for

    @cached_property
    def tokens(self) -> Tokens:
        """Enrolment tokens."""
        return Tokens(self.clients, self.clock)

    @cached_property
    def census(self) -> Census:
        """The fleet, counted."""
        settings = self.settings
        return Census(
            self.clients, self.clock, settings.census_seconds, settings.heartbeat_timeout_seconds, settings.max_clients
        )

    @cached_property
    def _checkpoints(self) -> Checkpoints:
        return Checkpoints(self.blobs)

    @cached_property
    def catalogue(self) -> Catalogue:
        """Models."""
        return Catalogue(self.registry, self._checkpoints, self.presigner, self.clock, _check_rules)

    @cached_property
    def versions(self) -> Versions:
        """Versions."""
        return Versions(
            self.catalogue, self.registry, self._checkpoints, self.schemas, self.presigner, self.clock, self.rounds.undecided
        )

    @cached_property
    def deployments(self) -> Deployments:
        """What clients are served."""
        return Deployments(self.catalogue, self.versions, self.registry, self.clock)

    @cached_property
    def round_desk(self) -> RoundDesk:
        """Rounds."""
        return RoundDesk(self.catalogue, self.registry, self.rounds, self.clock)

    @cached_property
    def round_files(self) -> RoundFiles:
        """What versions were made of."""
        return RoundFiles(self.round_desk, self.blobs, self.presigner)

    @cached_property
    def metric_desk(self) -> MetricDesk:
        """Metrics over time."""
        return MetricDesk(self.catalogue, self.monitoring, self.metrics, self.clock, self._keep)

    @cached_property
    def alert_desk(self) -> AlertDesk:
        """Thresholds and alerts."""
        return AlertDesk(self.catalogue, self.monitoring, self.clock, self._keep)

    @cached_property
    def status(self) -> Status:
        """Models and rounds, as they stand."""
        return Status(
            self.catalogue,
            self.registry,
            self.rounds,
            self.round_desk,
            self.census,
            self.alert_desk,
            self.monitoring,
            self.clock,
        )

    @property
    def _keep(self) -> timedelta:
        return timedelta(hours=self.settings.keep_records_hours)

    @cached_property
    def revocation(self) -> Revocation:
        """Takes clients out."""
        return Revocation(self.directory, self.registry, self.rounds, self.clock)

    # ---- what the schedules and the workers do

    @cached_property
    def monitor(self) -> Monitor:
        """Counts, records, watches."""
        settings = self.settings
        recording = Recording(
            self.monitoring, self.rounds, self.registry, self.metrics, self.clock, settings.census_seconds, self._keep
        )
        watching = Watching(self.monitoring, self.alert_topic, self.clock, self._keep, settings.resend_seconds)
        return Monitor(self.census, self.registry, recording, watching)

    @cached_property
    def inspector(self) -> Inspector:
        """Looks into uploads."""
        from chalicelib.rounds.inspection import Inspector

        return Inspector(self.directory, self.rounds, self.schemas, self.blobs, self.work, self.clock)

    @cached_property
    def aggregating(self) -> Aggregating:
        """Sums, merges, publishes."""
        from chalicelib.rounds.aggregating import Aggregating
        from chalicelib.rounds.deltas import Deltas
        from chalicelib.rounds.publishing import Publishing
        from muster.aggregation.plan import Limits

        settings = self.settings
        limits = Limits(settings.part_memory_bytes, settings.part_read_bytes, settings.part_reads)
        deltas = Deltas(self.blobs, settings.delta_limit_bytes)
        publishing = Publishing(self.rounds, self.registry, self.blobs, deltas, self.clock)
        return Aggregating(
            self.rounds, self.schemas, self.blobs, self._settling, publishing, self.work, self.clock,
            limits, settings.part_connections, settings.part_seconds,
        )  # fmt: skip

    @cached_property
    def coordinator(self) -> Coordinator:
        """Looks at models and does what is due."""
        from chalicelib.rounds.collecting import Collecting
        from chalicelib.rounds.coordinator import Coordinator, PhaseWork
        from chalicelib.rounds.evaluating import Evaluating
        from chalicelib.rounds.sweeping import Sweeper

        collecting = Collecting(
            self.rounds, self.registry, self.blobs, self.inspections, self.clock, self.settings.resend_seconds
        )
        phases: dict[Phase, PhaseWork] = {
            Phase.COLLECTING: collecting,
            Phase.AGGREGATING: self.aggregating,
            Phase.EVALUATING: Evaluating(self.rounds, self.registry, self.clock),
        }
        sweeper = Sweeper(self.registry, self.rounds, self.blobs, self.clock)
        return Coordinator(self.rounds, self.registry, self._settling, phases, sweeper, self.clock)

    @cached_property
    def _settling(self) -> Any:
        from chalicelib.rounds.settling import Settling

        return Settling(self.rounds, self.blobs, self.clock)


def _check_rules(config: RoundConfig) -> None:
    from chalicelib.rounds.configuring import check_rules

    check_rules(config)


@cache
def services() -> Services:
    """The pieces of this function instance, from its environment. Tests put their own in place with `replace`."""
    return _replacement[-1] if _replacement else Services(Settings.from_environment(os.environ))


_replacement: list[Services] = []


def replace(instead: Services | None) -> None:
    """Use these pieces from now on, or, with None, those of the environment again."""
    _replacement.clear()
    if instead is not None:
        _replacement.append(instead)
    services.cache_clear()
