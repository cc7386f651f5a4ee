"""What was measured at one time, tagged with the model, the version and the round that it belongs to (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chalicelib.clients.tally import Tally
from chalicelib.instants import Instant
from chalicelib.monitoring import objectives
from chalicelib.monitoring.objectives import NO_EVENTS, Events
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.version import Version
from chalicelib.rounds.closing import is_unfilled
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.round import Round
from muster.wire.admin import MetricSummary
from muster.wire.deciding import RECORDED

LONGEST_NAME = 40
"""Characters of a metric's name (`muster.wire.messages.MetricName`)."""

ROLLOUT_TROUBLE = "rollout_trouble"
"""1 while the last that became of a rollout is that it was paused or taken back by itself, else 0."""

UNFILLED = "unfilled_rounds"
"""1 for a round that was abandoned because too few came, else 0."""

UPLOAD_SUCCESS, ACTIVE_SHARE, JUDGES_MISSING = "upload_success", "active_share", "judges_missing"
BURNED = "burned_budgets"
"""How many of the model's objectives have no error budget left."""

OVER_BUDGET = "over_budget"
"""1 while training waits because a round might exceed the model's monthly budget, else 0; of a model that has one."""

ONLY_RECORDED = frozenset({OVER_BUDGET, UPLOAD_SUCCESS, ACTIVE_SHARE, JUDGES_MISSING, BURNED})
"""Metrics that CloudWatch does not get, which bills each: they are watched and shown by the records."""

UNITS = {"round_seconds": "Seconds", "uploaded_bytes": "Bytes"}
COUNTS = (
    "accepted_updates", "rejected_updates", "late_updates", "abandoned", UNFILLED, "examples", "clients", "active_clients",
    "unreadable_rows", "trainer_failures", JUDGES_MISSING, BURNED,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Some metrics of one model at one time."""

    model: str
    at: Instant
    metrics: dict[str, float]
    ttl: int
    version: int | None = None
    round: int | None = None
    """None when it is of the fleet."""

    @property
    def sent(self) -> dict[str, float]:
        """What CloudWatch gets of it."""
        return {name: value for name, value in self.metrics.items() if name not in ONLY_RECORDED}


def of_round(rnd: Round, version: Version | None, keep: timedelta, burned: int | None = None) -> Record:
    """The record of a round that has ended and was finalised, and of the version that it made, if it made one. `burned`: how
    many error budgets are used up once it counts.

    What judges measured keeps its name, unless the server records something else under it; what trainers measured is told
    apart by `train_`. A share of uploads that is too small is recorded only where there were enough of them to say so.
    """
    if rnd.summary is None or rnd.finished_at is None:
        raise AssertionError(f"round {rnd.id} was not finalised")
    summary, rejected = rnd.summary, rnd.summary.rejected or {}
    failed = Counter(summary.failed or {}) + Counter(summary.judges_failed or {})
    metrics: dict[str, float] = {
        "accepted_updates": summary.accepted,
        "rejected_updates": sum(rejected.values()),
        "late_updates": summary.late,
        "trainer_failures": failed.total(),
        "uploaded_bytes": summary.uploaded_bytes,
        "examples": summary.examples,
        "round_seconds": (rnd.finished_at - rnd.opened_at).total_seconds(),
        "abandoned": float(rnd.phase is Phase.ABANDONED),
        UNFILLED: float(is_unfilled(rnd)),
    }
    for what, counts in (("rejected", rejected), ("failed", failed)):
        metrics |= {f"{what}_{reason.replace('-', '_')}"[:LONGEST_NAME]: count for reason, count in counts.items()}
    if rnd.gain is not None:
        metrics["gain"] = rnd.gain
    if (missing := objectives.judges_missing(rnd)) is not None:
        metrics[JUDGES_MISSING] = missing
    uploads = objectives.uploads(rnd)
    if uploads.total >= objectives.ENOUGH_UPLOADS or (uploads.total and uploads.reach(objectives.UPLOADS)):
        metrics[UPLOAD_SUCCESS] = uploads.good / uploads.total
    if burned is not None:
        metrics[BURNED] = burned
    if version is not None:
        metrics["lost_bits"] = version.lost_bits
        metrics |= {f"train_{name.removeprefix('train_')}"[:LONGEST_NAME]: v for name, v in version.metrics.items()}
        metrics |= {name: v for name, v in (version.evaluation or {}).items() if name not in RECORDED and name not in metrics}
    return Record(
        model=rnd.model,
        at=rnd.finished_at,
        metrics=metrics,
        ttl=_ttl(rnd.finished_at, keep),
        version=version.number if version else None,
        round=rnd.number,
    )


def of_fleet(
    model: str,
    fleet: Tally,
    at: datetime,
    deployment: Deployment | None,
    unreadable: int,
    keep: timedelta,
    active: Events = NO_EVENTS,
    burned: int | None = None,
    over_budget: bool | None = None,
) -> Record:
    """The record of a model's clients: those that were active and said they run it, and the whole fleet; how many rows of the
    model, and of clients, cannot be read; and whether its rollout was paused or taken back by itself. While it trains, also
    which share of its clients is active, and how many error budgets are used up; and whether it is over its monthly budget, if
    it has one.
    """
    metrics: dict[str, float] = {
        "active_clients": fleet.active_by_model.get(model, 0),
        "clients": fleet.clients,
        "unreadable_rows": unreadable + fleet.unreadable,
        ROLLOUT_TROUBLE: float(deployment is not None and deployment.is_trouble),
    }
    if active.total:
        metrics[ACTIVE_SHARE] = active.good / active.total
    if burned is not None:
        metrics[BURNED] = burned
    if over_budget is not None:
        metrics[OVER_BUDGET] = float(over_budget)
    served = deployment.stable.version if deployment else None
    return Record(model=model, at=at, metrics=metrics, ttl=_ttl(at, keep), version=served)


def is_news(record: Record, last: Record | None) -> bool:
    """Whether a fleet's record tells CloudWatch anything that its last one did not. The first one of a week is news in any
    case, because CloudWatch lists no metric that had no value for two weeks.
    """
    return last is None or record.sent != last.sent or record.at.isocalendar()[:2] != last.at.isocalendar()[:2]


def period(now: datetime, seconds: float) -> datetime:
    """The start of the period of `seconds` in which `now` lies: the time of the fleet's record, of which a period has one."""
    return datetime.fromtimestamp(now.timestamp() // seconds * seconds, UTC)


def unit(metric: str) -> str:
    """A metric's unit, in CloudWatch's words."""
    return UNITS.get(metric, "Count" if metric in COUNTS or metric.startswith(("rejected_", "failed_")) else "None")


def values(records: Iterable[Record]) -> Iterator[tuple[str, float]]:
    """Every metric of every record, in their order."""
    for record in records:
        yield from record.metrics.items()


def summarise(records: Iterable[Record]) -> dict[str, MetricSummary]:
    """Each metric over some records: count, mean, min, max, sum, last."""
    found: dict[str, list[float]] = {}
    for name, value in values(sorted(records, key=lambda record: record.at)):
        found.setdefault(name, []).append(value)
    return {
        name: MetricSummary(
            count=len(several), mean=sum(several) / len(several), min=min(several), max=max(several), sum=sum(several),
            last=several[-1],
        )
        for name, several in sorted(found.items())
    }  # fmt: skip


def newest(records: Iterable[Record]) -> Mapping[str, float]:
    """The newest value of each metric."""
    return dict(values(sorted(records, key=lambda record: record.at)))


def _ttl(at: datetime, keep: timedelta) -> int:
    return int((at + keep).timestamp())
