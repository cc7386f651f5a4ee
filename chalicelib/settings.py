"""What the environment tells a function. Read once; names are those of `infra/resources.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

REQUESTS_A_PACE = 6
"""Requests of a kind that a client may send in the time after which it is asked to come again, unless another rate is set."""

LONGEST_REQUEST_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the server's resources are, and the pace at which it asks to be visited."""

    clients_table: str
    rounds_table: str
    versions_table: str
    monitoring_table: str
    bucket: str
    inspection_queue_url: str
    work_queue_url: str
    alert_topic_arn: str
    dead_queue_url: str | None
    """Where messages lie that failed again and again; None: nobody counts them."""
    alarm_prefix: str | None
    """What the names of the stack's alarms begin with; None: it has none."""
    signing_key: str | None
    """The key of KMS that signs deployments, by id or ARN; None where none are signed."""
    region: str
    s3_endpoint: str | None
    tick_seconds: float
    """Interval of the schedule, and the shortest after which a device that waits is asked to come back (docs/pace.md)."""
    memory_seconds: float
    """How long a warm function remembers a model's current round and deployment."""
    heartbeat_seconds: float
    """The longest between two heartbeats of a device, unless the ceiling or a budget asks for longer."""
    heartbeat_timeout_seconds: float | None
    """How long after its last heartbeat a client counts as active, at the least; None: twice the interval that it was told."""
    requests_per_second: float
    """The ceiling of what devices send together, until an operator sets another one."""
    max_clients: int
    """Enrolled clients that the fleet may have."""
    request_burst: int
    """Heartbeats, and as many check-ins, that a client may send at once."""
    request_seconds: float
    """One of each that it may send in so many seconds in the long run; 0: as many as it likes."""
    strikes: int
    """Updates that are rejected for what they are, with none accepted in between, after which a client is quarantined."""
    quarantine_seconds: float
    """How long a client's first quarantine is; each further one is twice as long, to a day. 0: nobody is quarantined."""
    site_rule: str
    """The site's rule for enrolments and check-ins, by its name; empty: there is none."""
    census_seconds: float
    """How old a part of the fleet's count may become before it is counted again, and the interval of its record."""
    keep_records_hours: float
    """How long records are kept beside CloudWatch."""
    part_memory_bytes: int
    """Tensors that one part of an aggregation may hold."""
    part_read_bytes: int
    """Bytes that it may read (bounds a worker's time)."""
    part_reads: int
    """Objects that it may read (bounds a worker's time too)."""
    part_connections: int
    """Updates that it reads at a time while others are added up; with 0 each is read when it is needed."""
    delta_limit_bytes: int
    """The longest checkpoint to which deltas are made; with 0 none are."""
    metering: bool = True
    """Whether functions count what they use, and write it down."""
    grant_seconds: int = 900
    """Life of a presigned URL, in seconds. It also dies with the credentials that signed it."""
    resend_seconds: float = 120.0
    """How long a queued piece of work may stay silent before the tick sends it again."""
    part_seconds: float = 900.0
    """The same for a part of an aggregation: as long as a function may run."""

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Settings:
        """Settings from environment variables.

        Raises:
            KeyError: a variable that has no default is missing; its name is the key.
            ValueError: a client would be refused that comes as often as it is asked to.
        """
        heartbeat_seconds = float(env.get("MUSTER_HEARTBEAT_SECONDS", "5400"))
        tick_seconds = float(env.get("MUSTER_TICK_SECONDS", "60"))
        timeout = env.get("MUSTER_HEARTBEAT_TIMEOUT_SECONDS")
        return cls(
            clients_table=env["MUSTER_CLIENTS_TABLE"],
            rounds_table=env["MUSTER_ROUNDS_TABLE"],
            versions_table=env["MUSTER_VERSIONS_TABLE"],
            monitoring_table=env["MUSTER_MONITORING_TABLE"],
            bucket=env["MUSTER_BUCKET"],
            inspection_queue_url=env["MUSTER_INSPECTION_QUEUE_URL"],
            work_queue_url=env["MUSTER_WORK_QUEUE_URL"],
            alert_topic_arn=env["MUSTER_ALERT_TOPIC_ARN"],
            dead_queue_url=env.get("MUSTER_DEAD_QUEUE_URL", "") or None,
            alarm_prefix=env.get("MUSTER_ALARM_PREFIX", "") or None,
            signing_key=env.get("MUSTER_SIGNING_KEY", "") or None,
            region=env["AWS_REGION"] if "AWS_REGION" in env else env["AWS_DEFAULT_REGION"],
            s3_endpoint=env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL") or None,
            tick_seconds=tick_seconds,
            memory_seconds=float(env.get("MUSTER_MEMORY_SECONDS", "2")),
            heartbeat_seconds=heartbeat_seconds,
            heartbeat_timeout_seconds=float(timeout) if timeout else None,
            requests_per_second=float(env.get("MUSTER_REQUESTS_PER_SECOND", "5000")),
            max_clients=int(env.get("MUSTER_MAX_CLIENTS", "1000000")),
            request_burst=int(env.get("MUSTER_REQUEST_BURST", "30")),
            request_seconds=request_seconds(env.get("MUSTER_REQUEST_SECONDS", ""), min(tick_seconds, heartbeat_seconds)),
            strikes=int(env.get("MUSTER_STRIKES", "3")),
            quarantine_seconds=float(env.get("MUSTER_QUARANTINE_SECONDS", "3600")),
            site_rule=env.get("MUSTER_SITE_RULE", ""),
            census_seconds=float(env.get("MUSTER_CENSUS_SECONDS", "300")),
            keep_records_hours=float(env.get("MUSTER_KEEP_RECORDS_HOURS", "24")),
            part_memory_bytes=int(env.get("MUSTER_PART_MEMORY_BYTES", str(1 << 30))),
            part_read_bytes=int(env.get("MUSTER_PART_READ_BYTES", str(16 << 30))),
            part_reads=int(env.get("MUSTER_PART_READS", "4000")),
            part_connections=int(env.get("MUSTER_PART_CONNECTIONS", "4")),
            delta_limit_bytes=int(env.get("MUSTER_DELTA_LIMIT_BYTES", str(2 << 30))),
            metering=switch("MUSTER_METERING", env.get("MUSTER_METERING", "on")),
        )


def request_seconds(said: str, pace_seconds: float) -> float:
    """What is said, or a sixth of the pace at which devices are asked to come.

    Raises:
        ValueError: that is slower than they are asked to come.
    """
    seconds = float(said) if said else min(pace_seconds / REQUESTS_A_PACE, LONGEST_REQUEST_SECONDS)
    if not 0.0 <= seconds <= pace_seconds:
        raise ValueError(
            f"MUSTER_REQUEST_SECONDS: expected 0 to {pace_seconds:g}, the pace at which devices are asked to come "
            f"(MUSTER_TICK_SECONDS, MUSTER_HEARTBEAT_SECONDS), got {seconds:g}"
        )
    return seconds


def switch(name: str, said: str) -> bool:
    """`on` or `off`.

    Raises:
        ValueError: it is neither.
    """
    if said not in ("on", "off"):
        raise ValueError(f"{name}: expected on or off, got {said!r}")
    return said == "on"
