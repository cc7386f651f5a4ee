"""What the operators' client answers, as rows: flat dictionaries of plain values, for scripts, files and frames (pure).

    rows = list(ROUNDS.rows(operator.rounds("digits"), most=1000))

Each table says its columns, in their order, with what they mean (docs/notebook.md has them all). Every row has every column;
what is not known is None. Times are in UTC. What a reply has many of (reasons, measurements) has a table of its own, with a row
for each. No row holds a URL: a presigned one is a key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Generic, Literal, TypeVar

from muster.wire import admin

Value = str | int | float | bool | datetime | None
Row = dict[str, Value]
Kind = Literal["text", "count", "number", "flag", "time"]
"""What a column holds: str, int, float, bool, or datetime in UTC; each, or None."""

Told = TypeVar("Told")
"""What is told in one row."""
Answer = TypeVar("Answer")
"""What the client answers, of which rows are made."""


@dataclass(frozen=True, slots=True)
class Column(Generic[Told]):
    """A column: what it holds, and where that is found."""

    kind: Kind
    about: str
    of: Callable[[Told], Any]


@dataclass(frozen=True, slots=True)
class RowTable(Generic[Answer, Told]):
    """Rows of one kind."""

    columns: Mapping[str, Column[Told]]
    told: Callable[[Answer], Iterable[Told]]
    """What an answer tells: a row each."""

    def rows(self, answers: Iterable[Answer], most: int | None = None) -> Iterator[Row]:
        """The rows of the answers, as far as they are read; of `most` answers, if it is given. Of a list that comes by pages
        no page is asked for before a row of it is read.
        """
        for answer in islice(answers, most):
            for told in self.told(answer):
                yield {name: _plain(column.of(told)) for name, column in self.columns.items()}


def _plain(value: Any) -> Value:
    return _utc(value) if isinstance(value, datetime) else value


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def _alone(answer: Answer) -> tuple[Answer]:
    return (answer,)


def _seconds(begin: datetime | None, end: datetime | None) -> float | None:
    return None if begin is None or end is None else (_utc(end) - _utc(begin)).total_seconds()


def _words(values: Iterable[object] | None) -> str | None:
    return None if values is None else " ".join(map(str, values))


def _model(numbered: str) -> str:
    """The model of a round's or a version's id."""
    return numbered.rpartition(".")[0]


# ---- rounds

ROUNDS: RowTable[admin.RoundReply, admin.RoundReply] = RowTable(
    {
        "model": Column("text", "the model", lambda rnd: _model(rnd.round)),
        "round": Column("count", "the round's number", lambda rnd: rnd.number),
        "phase": Column("text", "collecting, aggregating, evaluating, completed, abandoned, unreadable", lambda rnd: rnd.phase),
        "opened_at": Column("time", "when it began to collect", lambda rnd: rnd.opened_at),
        "report_by": Column("time", "its deadline", lambda rnd: rnd.report_by),
        "closed_at": Column("time", "when it stopped collecting", lambda rnd: rnd.closed_at),
        "finished_at": Column("time", "when it was completed or abandoned", lambda rnd: rnd.finished_at),
        "collecting_seconds": Column(
            "number", "from opening to closing", lambda rnd: _seconds(rnd.opened_at, rnd.closed_at or rnd.finished_at)
        ),
        "seconds": Column("number", "from opening to its end", lambda rnd: _seconds(rnd.opened_at, rnd.finished_at)),
        "base_version": Column("count", "the version that it started from", lambda rnd: rnd.base_version),
        "version": Column("count", "the version that it made", lambda rnd: rnd.version),
        "deployed": Column("flag", "whether that version was deployed", lambda rnd: rnd.deployed),
        "metric": Column("text", "what decided", lambda rnd: rnd.metric and rnd.metric.name),
        "gain": Column("number", "over the version deployed then; above 0 is better", lambda rnd: rnd.gain),
        "assigned": Column("count", "places at work", lambda rnd: rnd.assigned),
        "reported": Column("count", "updates that await inspection", lambda rnd: rnd.reported),
        "accepted": Column("count", "updates that count", lambda rnd: rnd.accepted),
        "rejected": Column("count", "updates that do not; by reason: `REASONS`", lambda rnd: sum(rnd.rejected.values())),
        "late": Column("count", "updates after the deadline", lambda rnd: rnd.late),
        "failed": Column("count", "trainings that devices gave up", lambda rnd: sum(rnd.failed.values())),
        "judges": Column("count", "that measured its version", lambda rnd: rnd.evaluations),
        "judges_failed": Column("count", "that gave up judging", lambda rnd: sum(rnd.judges_failed.values())),
        "examples": Column("count", "that accepted updates were trained on", lambda rnd: rnd.examples),
        "uploaded_bytes": Column("count", "of updates", lambda rnd: rnd.uploaded_bytes),
        "config_revision": Column("count", "of the configuration that it opened with", lambda rnd: rnd.config_revision),
        "reason": Column("text", "why it was abandoned, or its version not deployed", lambda rnd: rnd.reason),
    },
    _alone,
)
"""Rounds, of `Operator.rounds`."""

Reasoned = tuple[admin.RoundReply, str, str, int]


def _reasoned(rnd: admin.RoundReply) -> Iterator[Reasoned]:
    for what, counts in (("rejected", rnd.rejected), ("failed", rnd.failed), ("judges_failed", rnd.judges_failed)):
        for reason, count in sorted(counts.items()):
            yield rnd, what, reason, count


REASONS: RowTable[admin.RoundReply, Reasoned] = RowTable(
    {
        "model": Column("text", "the model", lambda told: _model(told[0].round)),
        "round": Column("count", "the round's number", lambda told: told[0].number),
        "what": Column("text", "rejected, failed or judges_failed, as `ROUNDS` counts them", lambda told: told[1]),
        "reason": Column("text", "why (docs/protocol.md)", lambda told: told[2]),
        "count": Column("count", "how many", lambda told: told[3]),
    },
    _reasoned,
)
"""Why updates did not count, of `Operator.rounds`: a row for each round and reason."""

# ---- versions


def _of_judges(name: str) -> Callable[[admin.VersionReply], Any]:
    return lambda version: version.judged and getattr(version.judged, name)


VERSIONS: RowTable[admin.VersionReply, admin.VersionReply] = RowTable(
    {
        "model": Column("text", "the model", lambda version: _model(version.id)),
        "version": Column("count", "its number", lambda version: version.version),
        "round": Column("count", "that made it; none of one that an operator registered", lambda version: version.round),
        "base": Column("count", "the version that the round started from", lambda version: version.base),
        "parent": Column("count", "what was deployed when it was made", lambda version: version.parent),
        "state": Column("text", "training, staged, rolling-out, on-trial, deployed, retired or rolled-back", lambda v: v.state),
        "aliases": Column("text", "champion, challenger; both are parted by a space", lambda version: _words(version.aliases)),
        "created_at": Column("time", "when it was made", lambda version: version.created_at),
        "metric": Column("text", "what decides", lambda version: version.config.metric.name),
        "judged": Column(
            "number", "that metric, the midmean over its judges", lambda v: (v.evaluation or {}).get(v.config.metric.name)
        ),
        "gain": Column("number", "over its parent, by the same judges; above 0 is better", _of_judges("gain")),
        "p": Column("number", "how probable so many voices were, were it not better", _of_judges("p")),
        "judges": Column("count", "that measured it and its parent", _of_judges("judges")),
        "better": Column("count", "judges that found it better", _of_judges("better")),
        "worse": Column("count", "judges that found it worse", _of_judges("worse")),
        "bytes": Column("count", "of its checkpoint", lambda version: version.checkpoint.bytes),
        "sha256": Column("text", "of its checkpoint", lambda version: version.checkpoint.sha256),
        "manifest_sha256": Column("text", "of the list of its updates", lambda version: version.manifest_sha256),
        "document_sha256": Column("text", "of its document", lambda version: version.document_sha256),
        "pinned": Column("flag", "whether an operator keeps it", lambda version: version.pinned),
        "note": Column("text", "an operator's", lambda version: version.note),
        "expires_at": Column("time", "when it is deleted, as nothing keeps it", lambda version: version.expires_at),
        "deleted_at": Column("time", "since when its checkpoint is gone", lambda version: version.deleted_at),
    },
    _alone,
)
"""Versions, of `Operator.versions`."""

Measured = tuple[admin.VersionReply, str, str, float]


def _measured(version: admin.VersionReply) -> Iterator[Measured]:
    trainers = "operator" if version.round is None else "trainers"
    for who, values in ((trainers, version.metrics), ("judges", version.evaluation or {})):
        for name, value in sorted(values.items()):
            yield version, who, name, value


MEASUREMENTS: RowTable[admin.VersionReply, Measured] = RowTable(
    {
        "model": Column("text", "the model", lambda told: _model(told[0].id)),
        "version": Column("count", "its number", lambda told: told[0].version),
        "round": Column("count", "that made it", lambda told: told[0].round),
        "by": Column("text", "trainers, judges, or the operator who registered it", lambda told: told[1]),
        "name": Column("text", "the metric", lambda told: told[2]),
        "value": Column("number", "in the metric's own units", lambda told: told[3]),
    },
    _measured,
)
"""What was measured of versions, of `Operator.versions`: a row for each version, metric, and who measured."""

# ---- deployments and rollouts


def _of_rollout(name: str) -> Callable[[admin.DeploymentReply], Any]:
    return lambda deployment: deployment.rollout and getattr(deployment.rollout, name)


DEPLOYMENTS: RowTable[admin.DeploymentReply, admin.DeploymentReply] = RowTable(
    {
        "model": Column("text", "the model", lambda deployment: deployment.model),
        "revision": Column("count", "of what its clients are served", lambda deployment: deployment.revision),
        "at": Column("time", "since when", lambda deployment: deployment.at),
        "kind": Column("text", "deployed, rolled-back, started, stepped, paused, … promoted, aborted", lambda d: d.kind),
        "version": Column("count", "what is served, to all whom no rollout gives its candidate", lambda d: d.version),
        "rollout": Column("text", "the rollout that goes on", _of_rollout("rollout")),
        "strategy": Column("text", "of that rollout", lambda d: d.rollout and d.rollout.strategy.kind),
        "candidate": Column("count", "the version that it brings", _of_rollout("candidate")),
        "step": Column("count", "its step, from 0", _of_rollout("step")),
        "percent": Column("number", "of the fleet, that is given the candidate", _of_rollout("percent")),
        "paused": Column("text", "why it is paused", _of_rollout("paused")),
        "experiments": Column("text", "that go on, between spaces", lambda deployment: _words(deployment.experiments)),
        "left": Column("text", "versions that were given up, between spaces", lambda deployment: _words(deployment.left)),
        "previous": Column("count", "the revision to which one step of rollback leads", lambda d: d.previous),
        "round": Column("count", "that decided it", lambda deployment: deployment.round),
        "by": Column("text", "the operator who decided it", lambda deployment: deployment.by),
        "because": Column("text", "why", lambda deployment: deployment.because),
    },
    _alone,
)
"""The history of deployments with its rollouts, of `Operator.deployments`."""

# ---- clients

CLIENTS: RowTable[admin.ClientReply, admin.ClientReply] = RowTable(
    {
        "client": Column("text", "its id", lambda client: client.client_id),
        "state": Column("text", "active or revoked", lambda client: client.state),
        "alive": Column("flag", "whether it was seen within the heartbeat timeout", lambda client: client.alive),
        "device_type": Column("text", "as it said", lambda client: client.device_type),
        "sdk_version": Column("text", "as it said", lambda client: client.sdk_version),
        "capabilities": Column("text", "as it said, in JSON", lambda c: json.dumps(c.capabilities, sort_keys=True)),
        "enrolled_at": Column("time", "when it enrolled", lambda client: client.enrolled_at),
        "last_seen_at": Column("time", "when it was last heard of", lambda client: client.last_seen_at),
        "key_rotated_at": Column("time", "when its key was last exchanged", lambda client: client.key_rotated_at),
        "models": Column("text", "those it may train, between spaces; none: all", lambda client: _words(client.models)),
        "model": Column("text", "what it runs, as it said", lambda client: client.model),
        "version": Column("count", "of that model", lambda client: client.version),
        "rounds": Column("count", "in which its update passed inspection", lambda client: client.rounds),
        "samples": Column("count", "examples of those updates", lambda client: client.samples),
        "strikes": Column("count", "rejected updates, since one was accepted", lambda client: client.strikes),
        "quarantines": Column("count", "since an operator released it", lambda client: client.quarantines),
        "quarantined": Column("flag", "whether it is given no work now", lambda client: client.quarantined),
        "quarantined_until": Column("time", "when its last quarantine ends", lambda client: client.quarantined_until),
        "charging": Column("flag", "as it said at its last check-in", lambda client: client.charging),
        "idle": Column("flag", "as it said at its last check-in", lambda client: client.idle),
        "unmetered": Column("flag", "as it said at its last check-in", lambda client: client.unmetered),
    },
    _alone,
)
"""Clients, of `Operator.clients`."""

# ---- metrics

Point = tuple[admin.MetricReply, admin.MetricPoint]

POINTS: RowTable[admin.MetricReply, Point] = RowTable(
    {
        "model": Column("text", "the model", lambda told: told[0].model),
        "name": Column("text", "the metric", lambda told: told[0].name),
        "at": Column("time", "when it was recorded", lambda told: told[1].at),
        "value": Column("number", "in the metric's own units", lambda told: told[1].value),
        "version": Column("count", "what it was measured of", lambda told: told[1].version),
        "round": Column("count", "what it was measured in", lambda told: told[1].round),
    },
    lambda metric: ((metric, point) for point in metric.points),
)
"""The recorded points of metrics, of `Operator.metric`."""

TABLES: Mapping[str, RowTable[Any, Any]] = {
    "ROUNDS": ROUNDS, "REASONS": REASONS, "VERSIONS": VERSIONS, "MEASUREMENTS": MEASUREMENTS, "DEPLOYMENTS": DEPLOYMENTS,
    "CLIENTS": CLIENTS, "POINTS": POINTS,
}  # fmt: skip
"""All tables, by the names that they have here."""
