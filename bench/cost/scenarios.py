"""From runs to bills: a round, an idle month, a month of rounds, and the server that would do the same.

What is measured: every call and its units, by a run with as many clients. What is derived: a run with small tensors is brought
to the real size of an update (`at_size`): the bytes that moved grow with it, CPU time by what a byte took in two other runs,
and the parts of the aggregation are those that the pure plan makes of the real manifest.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.cost import assumptions as guess
from bench.cost.run import IDLE_MINUTES, Run, memory_mb, resources_of
from bench.cost.units import billed_seconds
from chalicelib.rounds.phases.aggregating import QUICK_BYTES
from chalicelib.settings import Settings
from infra.local.resources import template
from muster.aggregation.manifest import Entry, Manifest
from muster.aggregation.plan import Limits, Plan
from muster.aggregation.registry import find_aggregator
from muster.pacing.intervals import PaceRules, intervals
from muster.pricing import standing
from muster.pricing.guesses import UPDATE_DAYS
from muster.pricing.usage import DAYS, GB, MONTH_HOURS, Usage, added, times, usage
from muster.wire.admin import Rule
from muster.wire.magnitudes import packed
from muster.wire.refs import CheckpointRef
from muster.wire.tensors import TensorSpec

MINUTES = MONTH_HOURS * 60

CpuPerByte = dict[str, float]
"""Seconds of a core that a function takes for a byte from or to S3."""


SUM_BYTES = 8
"""An element of a partial sum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRound:
    """What a round used, beside what happens anyway (`idle_month`)."""

    clients: int
    update_bytes: int
    used: Usage
    download_bytes: float
    parts: int
    """Of its aggregation; 0 when it is done on the spot."""


def cpu_per_byte(small: Run, large: Run) -> CpuPerByte:
    """From two runs of as many clients, whose updates differ in length. What time the smaller one took would have been taken
    anyway.
    """
    found = {}
    for function, work in large.work["round"].items():
        less = small.work["round"].get(function)
        if less and work.moved_bytes > less.moved_bytes:
            found[function] = max(0.0, (work.cpu_seconds - less.cpu_seconds) / (work.moved_bytes - less.moved_bytes))
    return found


def as_run(run: Run, downloads: float = 1.0) -> MeasuredRound:
    """A round as it was run; `downloads` is the share of a checkpoint that a device fetches (1: all of it)."""
    saved = usage(egress_gb=-run.device_get_bytes * (1 - downloads) / GB)
    kept = _stored(run.clients, run.update_bytes, 0)
    used = added(run.used["round"], saved, kept)
    return MeasuredRound(
        clients=run.clients, update_bytes=run.update_bytes, used=used, download_bytes=run.device_get_bytes * downloads, parts=0
    )


def at_size(run: Run, update_bytes: int, cpu: CpuPerByte, downloads: float = 1.0) -> MeasuredRound:
    """The same round with longer updates."""
    ratio = update_bytes / run.update_bytes
    plan = real_plan(run.clients, update_bytes)
    shared = not (plan.is_small and run.clients * update_bytes <= QUICK_BYTES)
    parts = [part for stage in plan.stages for part in stage.parts] if shared else []
    sums = sum(SUM_BYTES * (part.stop - part.start) for part in parts)
    fetched = run.device_get_bytes * ratio * downloads
    grown = usage(egress_gb=(fetched - run.device_get_bytes) / GB)
    for function, work in run.work["round"].items():
        grown = added(grown, _longer(function, work.moved_bytes * (ratio - 1), cpu))
    grown = added(grown, _longer("aggregation_worker", 2 * sums, cpu))  # each is written, and read once by what follows
    messages = len(parts) + 1 if shared else 0  # and the publication
    used = added(run.used["round"], grown, times(A_PART, messages), _stored(run.clients, update_bytes, sums))
    return MeasuredRound(clients=run.clients, update_bytes=update_bytes, used=used, download_bytes=fetched, parts=len(parts))


A_PART = usage(
    lambda_requests=1, sqs_requests=3, s3_get_requests=3, s3_put_requests=2, dynamodb_read_units=1, traces=1
)  # fmt: skip
"""A worker's share: message; round; manifest, schema, and whether it is done; its result, and what else is missing."""


def real_plan(clients: int, update_bytes: int) -> Plan:
    """How the aggregation would be cut, within the limits of the functions as deployed."""
    schema = (TensorSpec(name="layer.weight", dtype="F32", shape=(update_bytes // 4,)),)
    base = CheckpointRef(
        version=0,
        sha256="0" * 64,
        nbytes=update_bytes,
        header_bytes=100,
        min_update_bytes=update_bytes,
        max_update_bytes=update_bytes,
    )
    entries = tuple(
        Entry(
            client_id=f"device-{n:06d}",
            key="",
            etag="",
            sha256="0" * 64,
            nbytes=update_bytes,
            examples=1,
            norm=1.0,
            header_bytes=100,
            magnitudes=packed([0], [-18]),
        )
        for n in range(clients)
    )
    rule = Rule(name="mean")
    manifest = Manifest(
        round="toy.1",
        base=base,
        weighting="examples",
        max_examples=10_000,
        aggregator=rule,
        optimizer=Rule(name="sgd"),
        state=None,
        clip_norm=None,
        entries=entries,
    )
    made = Settings.from_environment(_Anything())
    return find_aggregator(rule).plan(manifest, schema, Limits(made.part_memory_bytes, made.part_read_bytes, made.part_reads))


class _Anything(dict[str, str]):
    """An environment in which the resources have some name, and everything else its default."""

    def __missing__(self, name: str) -> str:
        return name


def _longer(function: str, nbytes: float, cpu: CpuPerByte) -> Usage:
    """More bytes from and to S3."""
    memory = memory_mb()[function]
    seconds = billed_seconds(cpu.get(function, 0.0) * nbytes, nbytes / guess.BYTES_PER_SECOND, memory)
    return usage(lambda_gb_seconds=seconds * memory / 1024)


def _stored(clients: int, update_bytes: int, sums_bytes: int) -> Usage:
    """Updates and partial sums until they are gone; the new checkpoint for a month."""
    nbytes = (clients * update_bytes * UPDATE_DAYS + sums_bytes * guess.SUM_DAYS) / DAYS + update_bytes
    return usage(s3_gb_months=nbytes / GB)


# ---- months


def idle_month(run: Run) -> dict[str, Usage]:
    """What is used when nobody comes, by cause. The fleet is as large as the run's."""
    callers = 2 + 4  # the tick reads two tables, the monitor four
    return {
        "ticks": times(run.used["tick"], MINUTES / IDLE_MINUTES),
        "monitor and census": times(run.used["monitor"], MINUTES / IDLE_MINUTES),
        "metrics of one model's fleet": usage(
            metric_months=guess.FLEET_METRICS / guess.NEWS_HOURS, metric_requests=MONTH_HOURS / guess.NEWS_HOURS
        ),
        **standing.there(alarms=len(resources_of("AWS::CloudWatch::Alarm")), keys=len(resources_of("AWS::KMS::Key"))),
        "keys of the tables": _table_keys(callers),
    }


def _table_keys(callers: int) -> Usage:
    """What it costs that so many functions' reads of a table ask for its key: nothing, where the key is AWS's own."""
    parameters = template()["Parameters"]
    asked = callers * MONTH_HOURS * 3600 / guess.KMS_CACHE_SECONDS if parameters["TableKeys"]["Default"] == "managed" else 0
    return usage(kms_requests=asked)


def waiting(run: Run, clients: int, questions: float) -> Usage:
    """Devices that each ask so often whether there is work, and are told to come again."""
    return times(run.used["waiting"], clients * questions / (run.clients - 1))


def heartbeats(run: Run, clients: int, hours: float) -> Usage:
    """Devices that say that they live, as often as a fleet of that size is asked to."""
    beats = clients * hours * 3600 / intervals(PaceRules(), clients).heartbeat_seconds
    return times(run.used["heartbeats"], beats / run.clients)


def resting_month(run: Run, clients: int) -> dict[str, Usage]:
    """No rounds, and devices that are always on and run the SDK's loop, by cause."""
    return {
        "heartbeats": heartbeats(run, clients, MONTH_HOURS),
        "what is used anyway": added(*idle_month(run).values(), _metrics(guess.FLEET_METRICS)),
    }


def _metrics(count: int) -> Usage:
    """Metrics that are sent in every hour, each time that the fleet was counted."""
    return usage(metric_months=count, metric_requests=MINUTES / 5)


def busy_month(run: Run, rnd: MeasuredRound) -> dict[str, Usage]:
    """A round an hour, by cause; the devices are always on and run the SDK's loop."""
    callers = 4 + 2 + 2  # tables that the API and the two workers read, beside the schedules
    return {
        "rounds": times(rnd.used, MONTH_HOURS),
        "waiting devices": waiting(run, rnd.clients, MONTH_HOURS * guess.ROUND_MINUTES),
        "heartbeats": heartbeats(run, rnd.clients, MONTH_HOURS),
        "what is used anyway": added(
            *idle_month(run).values(),
            _metrics(run.metrics),
            _table_keys(callers),
        ),
    }


def server_month(rnd: MeasuredRound, rounds: float) -> dict[str, Usage]:
    """One server that is always on, behind a balancer through which everything passes, and the same egress."""
    through = (rnd.download_bytes + rnd.clients * rnd.update_bytes) * rounds / GB
    return {
        "server": usage(server_hours=MONTH_HOURS),
        "balancer": usage(balancer_hours=MONTH_HOURS, balancer_capacity_unit_hours=through, address_hours=2 * MONTH_HOURS),
        "disk": usage(disk_gb_months=guess.DISK_GB),
        "egress": usage(egress_gb=rnd.download_bytes * rounds / GB),
    }
