"""AWS, as the server uses it: clients, the bucket, queues, and the tables' rows. Everything is made on first use (`wiring`)."""

from __future__ import annotations

from base64 import b64encode
from functools import cached_property
from typing import Any

from chalicelib import metering
from chalicelib.clients.fleet_store import FleetStore
from chalicelib.clients.store import ClientStore
from chalicelib.clients.tally_store import TallyStore
from chalicelib.clients.token_store import TokenStore
from chalicelib.instants import Clock
from chalicelib.invocations import Lambda, Platform
from chalicelib.monitoring.store import MonitoringStore
from chalicelib.registry.retained import RetentionStore
from chalicelib.registry.schemas import Schemas
from chalicelib.registry.store import RegistryStore
from chalicelib.rounds.counter_store import CounterStore
from chalicelib.rounds.store import RoundStore
from chalicelib.settings import Settings
from chalicelib.spending import Ledger, SpendingStore
from chalicelib.storage.alarms import Alarms
from chalicelib.storage.answers import watch
from chalicelib.storage.blobs import Blobs
from chalicelib.storage.dynamo import Table
from chalicelib.storage.metrics import Metrics
from chalicelib.storage.presign import Presigner
from chalicelib.storage.queues import Queue
from chalicelib.storage.signing import SigningKey
from chalicelib.storage.topics import Topic
from chalicelib.vitals import Vitals


class Resources:
    """One function instance's. `session` is a boto3 session; without one, a fresh one on first use."""

    def __init__(self, *, settings: Settings, clock: Clock, session: Any = None, platform: Platform | None = None) -> None:
        self.settings = settings
        self.clock = clock
        self.platform: Platform = platform or Lambda()
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
        return metering.watch(watch(self._session.client(service, config=config)))

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
        return Presigner(
            credentials=credentials,
            region=settings.region,
            bucket=settings.bucket,
            endpoint=settings.s3_endpoint,
            seconds=settings.grant_seconds,
        )

    @cached_property
    def inspections(self) -> Queue:
        """Reported updates that wait for inspection."""
        return Queue(self._sqs, self.settings.inspection_queue_url)

    @cached_property
    def work(self) -> Queue:
        """Parts of aggregations, requests to reconcile a model, and segments of the fleet that are to be counted."""
        return Queue(self._sqs, self.settings.work_queue_url)

    @cached_property
    def dead_letters(self) -> Queue | None:
        """Messages that failed again and again; None where nobody counts them."""
        return Queue(self._sqs, self.settings.dead_queue_url) if self.settings.dead_queue_url else None

    @cached_property
    def _cloudwatch(self) -> Any:
        return self._client("cloudwatch")

    @cached_property
    def metrics(self) -> Metrics:
        """CloudWatch's numbers."""
        return Metrics(self._cloudwatch)

    @cached_property
    def alarms(self) -> Alarms | None:
        """CloudWatch's alarms; None where the stack has none."""
        return Alarms(self._cloudwatch, self.settings.alarm_prefix) if self.settings.alarm_prefix else None

    @cached_property
    def alert_topic(self) -> Topic:
        """Where alerts are published."""
        return Topic(self._client("sns"), self.settings.alert_topic_arn)

    @cached_property
    def _signing_key(self) -> SigningKey | None:
        """Signs deployments. Its client is made when it is asked for something first: few functions ever do."""
        return SigningKey(lambda: self._client("kms"), self.settings.signing_key) if self.settings.signing_key else None

    def _shown_key(self) -> str | None:
        """The public key, as devices are given it; None where nothing is signed."""
        return b64encode(self._signing_key.public).decode() if self._signing_key else None

    # ---- stores

    @cached_property
    def clients(self) -> ClientStore:
        """Clients and cohorts."""
        return ClientStore(Table(self._dynamodb, self.settings.clients_table))

    @cached_property
    def token_rows(self) -> TokenStore:
        """Enrolment tokens and their uses."""
        return TokenStore(Table(self._dynamodb, self.settings.clients_table))

    @cached_property
    def fleet_rows(self) -> FleetStore:
        """The fleet's places."""
        return FleetStore(Table(self._dynamodb, self.settings.clients_table), self.settings.max_clients)

    @cached_property
    def tallies(self) -> TallyStore:
        """What the census has counted."""
        return TallyStore(Table(self._dynamodb, self.settings.clients_table))

    @cached_property
    def rounds(self) -> RoundStore:
        """Rounds, receipts, evaluations."""
        return RoundStore(Table(self._dynamodb, self.settings.rounds_table))

    @cached_property
    def counters(self) -> CounterStore:
        """Counters of rounds."""
        return CounterStore(Table(self._dynamodb, self.settings.rounds_table))

    @cached_property
    def registry(self) -> RegistryStore:
        """Models, versions, deployments."""
        return RegistryStore(Table(self._dynamodb, self.settings.versions_table), self._signing_key)

    @cached_property
    def retained(self) -> RetentionStore:
        """Which versions are kept."""
        return RetentionStore(Table(self._dynamodb, self.settings.versions_table))

    @cached_property
    def monitoring(self) -> MonitoringStore:
        """Records, thresholds, alerts."""
        return MonitoringStore(Table(self._dynamodb, self.settings.monitoring_table))

    @cached_property
    def vitals(self) -> Vitals:
        """What the functions say of themselves."""
        return Vitals(Table(self._dynamodb, self.settings.monitoring_table), self.clock)

    @cached_property
    def spending(self) -> SpendingStore:
        """What models have used."""
        return SpendingStore(Table(self._dynamodb, self.settings.monitoring_table))

    @cached_property
    def ledger(self) -> Ledger:
        """What this function instance has counted."""
        return Ledger(lambda: self.spending, self.clock)

    @cached_property
    def schemas(self) -> Schemas:
        """Schemas of checkpoints."""
        return Schemas(self.blobs)
