"""Replies as tables."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

from pydantic import BaseModel
from rich.console import Group, RenderableType
from rich.text import Text

from muster.cli import sizes
from muster.cli.changes import Change
from muster.cli.changes import changes as differing
from muster.cli.layout import Facts, Listing
from muster.operator.recompute import Compared
from muster.pricing.writing import written
from muster.wire import admin
from muster.wire.deciding import DecidingMetric
from muster.wire.tracing import trace_of

STYLES = {
    "deployed": "bold green", "running": "green", "completed": "green", "active": "green",
    "training": "cyan", "collecting": "cyan", "aggregating": "cyan", "evaluating": "cyan",
    "rolled-back": "red", "abandoned": "red", "revoked": "red", "breach": "bold red", "open": "bold red",
    "acknowledged": "yellow", "expired": "dim", "used-up": "dim", "cleared": "dim",
}  # fmt: skip
"""Colours of states, where there are colours."""

BARS = "▁▂▃▄▅▆▇█"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> RenderableType:
    """A plain table; `empty` is said when it has no row."""
    made = [[cell(value) for value in row] for row in rows]
    return Listing(columns, made) if made else Text(empty, style="dim")


def cell(value: object) -> Text:
    """One value as text; what is None is a dash."""
    match value:
        case Text():
            return value
        case None | "":
            return Text("-", style="dim")
        case bool():
            return Text("yes" if value else "no")
        case datetime():
            return Text(value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"))
        case float():
            whole = value.is_integer() or abs(value) >= 1000
            return Text(f"{value:,.0f}" if whole and abs(value) < 1e15 else f"{value:.4g}")
        case int():
            return Text(f"{value:,}" if value >= 10_000 else str(value))
        case dict():
            return Text(", ".join(f"{name} {cell(number)}" for name, number in value.items()) or "-")
        case list() | tuple():
            return Text(", ".join(str(item) for item in value) or "-")
        case _:
            return Text(str(value), style=STYLES.get(str(value), ""))


def facts(pairs: Iterable[tuple[str, object]]) -> RenderableType:
    """Names and values, one pair a line."""
    return Facts([(name, cell(value)) for name, value in pairs])


def members(found: BaseModel, *, exclude_defaults: bool = False) -> str:
    """A message as JSON in one line, with spaces at which it may be wrapped."""
    return json.dumps(found.model_dump(mode="json", exclude_defaults=exclude_defaults))


def models(found: Sequence[admin.ModelSummary]) -> RenderableType:
    """The list of models."""
    rows = [(m.model, m.training, m.rounds_wanted, m.created_at) for m in found]
    return table(["model", "training", "wanted", "created"], rows, "no models yet: muster model create")


def training(found: admin.TrainingReply) -> str:
    """Where training stands, and after how many rounds."""
    done = f"{found.rounds_completed} of {found.rounds_wanted} rounds"
    return f"completed, {done}" if found.state == "completed" else f"{found.state}, {done} completed"


def rounds(found: Sequence[admin.RoundReply]) -> RenderableType:
    """The list of rounds."""
    rows = [
        (r.number, r.phase, r.base_version, r.accepted, sum(r.rejected.values()), r.late, failures(r), r.evaluations,
         _gain(r.gain, r.metric), r.version, r.reason)
        for r in found
    ]  # fmt: skip
    columns = ["round", "phase", "base", "accepted", "rejected", "late", "failed", "judges", "gain", "version", "why"]
    return _with_judges_of_their_own(
        table(columns, rows, "no rounds yet: muster round start"), sum(rnd.gain is not None for rnd in found)
    )


def round_(found: admin.RoundReply) -> RenderableType:
    """One round."""
    return facts([
        ("round", found.round), ("phase", found.phase), ("base", found.base_version), ("opened", found.opened_at),
        ("report by", found.report_by), ("closed", found.closed_at), ("finished", found.finished_at),
        ("assigned", found.assigned), ("reported", found.reported), ("accepted", found.accepted),
        ("rejected", found.rejected), ("late", found.late), ("failed", found.failed),
        ("examples", found.examples), ("bytes", found.uploaded_bytes), ("judges", judges(found)),
        ("judges failed", found.judges_failed), ("version", found.version), ("gain", _gain(found.gain, found.metric)),
        ("deployed", found.deployed), ("why", found.reason), ("lacks", found.lacks),
        ("cost", _spent(found.spent)), ("counted", found.counted_at),
    ])  # fmt: skip


def receipts(found: Sequence[admin.RoundReceipt]) -> RenderableType:
    """The places of a round. What was expected and what came is said of those that were refused."""
    rows = [(r.client_id, r.state, r.reason, r.examples, r.bytes, r.norm, r.reported_at, _expected(r)) for r in found]
    columns = ["client", "state", "reason", "examples", "bytes", "norm", "reported", "why"]
    return table(columns, rows, "no such receipts")


def _expected(found: admin.RoundReceipt) -> str | None:
    """What would have been taken, and what came."""
    return found.got if found.expected is None else f"expected {found.expected}, got {found.got}"


def judgements(found: Sequence[admin.RoundJudgement]) -> RenderableType:
    """The judges of a round. A gain is in units of the metric that decides."""
    rows = [
        (j.client_id, j.state, j.reason, j.gain, _measured(j.candidate), _measured(j.deployed),
         j.candidate.examples if j.candidate else None)
        for j in found
    ]  # fmt: skip
    columns = ["client", "state", "reason", "gain", "candidate", "deployed", "examples"]
    return table(columns, rows, "no judges")


def _measured(found: admin.RoundMeasurement | None) -> object:
    """What was measured of one version."""
    return None if found is None else found.metrics if found.is_finite else "nothing finite"


def _spent(found: admin.Bill | None) -> str | None:
    """What a round has used, in a line."""
    if found is None:
        return None
    used = found.amounts
    sent = sizes.size(round(1e9 * used.get("egress_gb", 0.0)))
    return (
        f"{written(found.dollars)} ({used.get('api_requests', 0.0):,.0f} requests, {used.get('lambda_gb_seconds', 0.0):,.1f} "
        f"GB-seconds, {sent} sent)"
    )


def versions(found: Sequence[admin.VersionReply]) -> RenderableType:
    """The list of versions. Each gain is over the version's parent, by the same judges, in the metric of the version's round;
    what different judges measured does not stand side by side.
    """
    rows = [
        (v.version, v.state, v.aliases, v.round, v.base, v.parent, v.judged and _gain(v.judged.gain, v.config.metric),
         v.judged and v.judged.judges, v.created_at, _end(v), v.checkpoint.sha256[:12])
        for v in found
    ]  # fmt: skip
    columns = ["version", "state", "alias", "round", "base", "parent", "gain", "judges", "created", "expires", "sha256"]
    return _with_judges_of_their_own(
        table(columns, rows, "no versions in this state"), sum(version.judged is not None for version in found)
    )


OWN_JUDGES = (
    "gain: over the version that was deployed then, by that round's own judges; gains of two rounds do not compare them"
)


def _with_judges_of_their_own(listed: RenderableType, gains: int) -> RenderableType:
    """A table, and below it, where several gains stand side by side, what they do not say."""
    return Group(listed, Text(OWN_JUDGES, style="dim")) if gains > 1 else listed


def version(found: admin.VersionReply) -> RenderableType:
    """One version."""
    return facts([
        ("id", found.id), ("state", found.state), ("alias", found.aliases), ("created", found.created_at),
        ("round", found.round), ("base", found.base), ("parent", found.parent), ("sha256", found.checkpoint.sha256),
        ("bytes", found.checkpoint.bytes), ("manifest", found.manifest_sha256), ("document", found.document_sha256),
        ("metrics", found.metrics), ("evaluation", found.evaluation or {}), ("judged", _judged(found)), ("note", found.note),
        ("expires", found.expires_at), ("deleted", found.deleted_at), ("pinned", found.pinned),
        *([("traces", [trace_of(parent) for parent in found.traces])] if found.traces else []),
        ("config", members(found.config, exclude_defaults=True)),
    ])  # fmt: skip


def _end(found: admin.VersionReply) -> object:
    """When a version is deleted, or that it was, or that it is not."""
    return "deleted" if found.deleted_at else "pinned" if found.pinned else found.expires_at


def compared(found: Sequence[Compared]) -> RenderableType:
    """What was published, over what was computed again."""
    rows: list[Sequence[object]] = []
    for one in found:
        rows.append((one.name, "published", one.published))
        rows.append((Text("" if one.equal else "different", "bold red"), "recomputed", one.recomputed))
    return table(["what", "", "SHA-256, or the number itself"], rows, "nothing was published")


def deployments(found: Sequence[admin.DeploymentReply]) -> RenderableType:
    """The history of deployments."""
    rows = [
        (d.revision, d.version, d.kind, _beside(d), d.left, d.is_signed, d.at, d.by or _decider(d), d.because) for d in found
    ]
    heads = ["revision", "version", "how", "beside it", "went past", "signed", "at", "by", "why"]
    return table(heads, rows, "no deployments")


def _decider(deployment: admin.DeploymentReply) -> str:
    by_round = deployment.round is not None and deployment.kind in ("deployed", "started")
    return f"round {deployment.round}" if by_round else "its strategy"


def _beside(deployment: admin.DeploymentReply) -> str:
    rollout = deployment.rollout
    return f"{rollout.candidate} at {rollout.percent:g} %" if rollout else ", ".join(deployment.experiments)


FINDINGS = {
    "worse": "it is worse",
    "not-worse": "it is not worse",
    "open": "not yet known whether it is worse",
}


def going_on(rollout: admin.RolloutReply) -> str:
    """The rollout that goes on, in one line."""
    paused = f", paused: {rollout.paused}" if rollout.paused else ""
    return f"version {rollout.candidate} at {rollout.percent:g} %, {rollout.strategy.kind}{paused}"


def rollout(found: admin.RolloutStatus) -> RenderableType:
    """The rollout that goes on."""
    deployment, guard, slots = found.deployment, found.guard, found.slots
    rows: list[tuple[str, object]] = [("model", deployment.model), ("deployed version", deployment.version)]
    if (going_on := deployment.rollout) is not None:
        last = len(going_on.strategy.steps)
        rows += [
            ("rollout", f"{going_on.rollout}, {going_on.strategy.kind}"),
            ("candidate", f"version {going_on.candidate}, {going_on.percent:g} % of the clients"),
            ("step", f"{going_on.step + 1} of {last}, since {going_on.since:%Y-%m-%d %H:%M:%S}" if last else "-"),
            ("paused", going_on.paused or "no"),
        ]
    if guard is not None:
        means = [f"{mean:.4g}" if mean is not None else "-" for mean in (guard.candidate_mean, guard.control_mean)]
        rows += [
            ("metric", f"{guard.metric}; worse by {guard.margin:g} is worse"),
            ("with it", f"{guard.candidates} clients, {guard.metric.name} {means[0]}"),
            ("beside it", f"{guard.controls} clients, {guard.metric.name} {means[1]}"),
            ("not yet looked at", f"{guard.waiting} clients"),
            ("difference", f"from {guard.low:+.4g} to {guard.high:+.4g}"),
            ("finding", FINDINGS[guard.finding] + (", and the split is broken" if guard.split_is_broken else "")),
        ]
    if slots is not None:
        rows.append(("ready", f"{slots.ready} of {slots.seen} clients that were asked"))
    return facts(rows)


def experiments(found: Sequence[admin.ExperimentReply], going_on: Collection[str]) -> RenderableType:
    """Experiments, those that go on and others."""
    rows = [
        (one.name, one.experiment, "running" if one.experiment in going_on else "over", one.cohort or "all",
         ", ".join(f"{arm.name}: {arm.version}" for arm in one.arms), one.said)
        for one in found
    ]  # fmt: skip
    return table(["name", "id", "state", "among", "arms", "what is known"], rows, "no experiments")


def experiment(found: admin.ExperimentReply) -> RenderableType:
    """One experiment: its arms, and what is known of each beside the control."""
    head = facts([
        ("experiment", f"{found.name}, {found.experiment}, since {found.since:%Y-%m-%d %H:%M:%S}"),
        ("among", found.cohort or "all clients"),
        ("metric", f"{found.metric}; level {found.level:g}"),
        ("horizon", found.horizon or "none: look when you like"),
        ("known", found.said),
    ])  # fmt: skip
    effects = {effect.arm: effect for effect in found.effects}
    rows: list[Sequence[object]] = []
    for arm in found.arms:
        effect = effects.get(arm.name)
        known = effect is not None and effect.low is not None and effect.high is not None
        interval = f"{effect.low:+.4g} to {effect.high:+.4g}" if known and effect else None
        broken = " (no such split)" if effect and effect.split_is_broken else ""
        got = f"{arm.weight:g} %" + (f", got {arm.share:.3g} %" if arm.share is not None else "") + broken
        rows.append((arm.name, arm.version, got, arm.clients, arm.mean, interval, effect.finding if effect else "control"))
    columns = ["arm", "version", "share", "clients", "mean", "beside the control", "finding"]
    return Group(head, Text(""), table(columns, rows, "no arms"))


def cohorts(found: Sequence[admin.CohortReply]) -> RenderableType:
    """Cohorts, with their rules and sizes."""
    rows = [(one.cohort, one.revision, one.active, one.counted_at, _rule(one.rule), one.because) for one in found]
    return table(["cohort", "revision", "active", "counted", "rule", "why"], rows, "no cohorts")


def cohort(found: admin.CohortReply) -> RenderableType:
    """One cohort."""
    return facts([
        ("cohort", f"{found.cohort}.{found.revision}"),
        ("rule", _rule(found.rule)),
        ("active clients", found.active),
        ("counted", found.counted_at),
        ("set", f"{found.at:%Y-%m-%d %H:%M:%S} by {found.by or 'somebody'}: {found.because}"),
    ])  # fmt: skip


def _rule(rule: admin.CohortRule) -> str:
    return members(rule, exclude_defaults=True)


def changes(found: Sequence[Change]) -> RenderableType:
    """What differs between two configurations."""
    return table(["what", "was", "is"], [(name, _shown(was), _shown(now)) for name, was, now in found], "nothing changes")


def configurations(found: Sequence[admin.ConfigurationReply], limit: int) -> RenderableType:
    """The history of a configuration: each revision, and what it changed of the one before."""
    rows = []
    for number, one in enumerate(found[:limit]):
        before = found[number + 1].config if number + 1 < len(found) else None
        what = (
            ""
            if before is None
            else ", ".join(f"{name}: {_shown(was)} → {_shown(now)}" for name, was, now in differing(before, one.config))
        )
        rows.append((one.revision, one.at, one.by, what, one.because))
    return table(["revision", "at", "by", "what changed", "why"], rows, "no configuration")


def _shown(value: object) -> str:
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value)


def clients(found: Sequence[admin.ClientReply]) -> RenderableType:
    """The list of clients."""
    rows = [
        (c.client_id, c.state, c.alive, c.device_type, c.model, c.version, c.rounds, c.samples, c.last_seen_at) for c in found
    ]
    columns = ["client", "key", "alive", "type", "model", "version", "rounds", "samples", "last seen"]
    return table(columns, rows, "no such clients")


def client(found: admin.ClientReply) -> RenderableType:
    """One client."""
    return facts([(name.replace("_", " "), value) for name, value in found])


def statistics(found: admin.FleetStatistics) -> RenderableType:
    """The fleet."""
    return facts([(name.replace("_", " "), value) for name, value in found])


def duration(seconds: float) -> str:
    """Some seconds, for a person."""
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"


def together(meeting_seconds: float | None) -> str:
    """Whether those who wait come at once."""
    return "at any time" if meeting_seconds is None else f"together, within {duration(meeting_seconds)}"


def pace(found: admin.FleetPace) -> RenderableType:
    """How often devices come."""
    head = facts([
        ("clients", found.clients), ("counted", found.counted_at),
        ("ceiling", f"{found.ceiling:,g} requests a second"),
        ("budget", "none" if found.budget is None else f"{found.budget:,} requests a month"),
        ("revision", found.revision), ("set", found.at), ("by", found.by), ("because", found.because),
        ("at rest", f"a heartbeat every {duration(found.heartbeat_seconds)}"),
        ("expected", f"{found.requests_per_second:,.3g} requests a second, {found.requests_per_month:,.0f} a month, "
                     f"${found.dollars_per_month:,.2f}"),
        *([("trouble", Text(found.trouble, style="bold red"))] if found.trouble else []),
    ])  # fmt: skip
    rows = [
        (m.model, m.active, duration(m.heartbeat_seconds), m.waiting_seconds and duration(m.waiting_seconds),
         m.waiting_seconds and together(m.meeting_seconds), m.requests_per_second)
        for m in found.models
    ]  # fmt: skip
    columns = ["model", "active", "heartbeat", "check-in", "they come", "requests/s"]
    return Group(head, Text(""), table(columns, rows, "no models yet"))


def tokens(found: Sequence[admin.TokenReply]) -> RenderableType:
    """The list of tokens."""
    rows = [
        (t.token_id, t.label, t.state, t.claimed, t.uses, t.models or "all", t.device_types or "all", t.expires_at)
        for t in found
    ]
    columns = ["token", "label", "state", "claimed", "uses", "models", "types", "expires"]
    return table(columns, rows, "no tokens: muster token mint")


def metric(found: admin.MetricReply) -> RenderableType:
    """A metric over time."""
    columns = ["metric", "hours", "count", "mean", "min", "max", "sum", "recent"]
    spark = sparkline([point.value for point in found.points])
    return table(columns, [(found.name, found.hours, found.count, found.mean, found.min, found.max, found.sum, spark)], "")


def thresholds(found: Sequence[admin.ThresholdReply]) -> RenderableType:
    """What is watched."""
    rows = [
        (t.metric, t.minimum, t.maximum, duration(t.lasting_seconds) if t.lasting_seconds else None, t.severity, t.value,
         _standing(t), "default" if t.is_default else "set")
        for t in found
    ]  # fmt: skip
    columns = ["metric", "minimum", "maximum", "for", "severity", "value", "now", "origin"]
    return table(columns, rows, "nothing is watched: muster threshold set")


def _standing(threshold: admin.ThresholdReply) -> str | None:
    if threshold.value is None:
        return None
    return "breach" if threshold.in_breach else "ok"


def alerts(found: Sequence[admin.AlertReply]) -> RenderableType:
    """Alerts."""
    rows = [
        (a.model, a.metric, a.number, a.severity, a.state, a.value, a.minimum, a.maximum, a.opened_at, a.cleared_at,
         a.acknowledged_by, a.silent_until)
        for a in found
    ]  # fmt: skip
    columns = ["model", "metric", "number", "severity", "state", "value", "minimum", "maximum", "opened", "cleared",
               "looked after by", "silent until"]  # fmt: skip
    return table(columns, rows, "no alerts")


def sparkline(values: Sequence[float]) -> str:
    """A row of bars, lowest to highest."""
    shown = values[-40:]
    if not shown:
        return ""
    low, span = min(shown), (max(shown) - min(shown)) or 1.0
    return "".join(BARS[min(len(BARS) - 1, int((value - low) / span * len(BARS)))] for value in shown)


def judges(rnd: admin.RoundReply) -> str:
    """How many judges have spoken, how many are needed, and how many are asked so that so many do."""
    if rnd.judges_needed == 0:
        return "none: nothing is deployed by itself"
    told = f"{rnd.evaluations} measured it"
    if rnd.judges_needed is None:
        return told
    return f"{told}; {rnd.judges_needed} are needed, and up to {rnd.judges_asked} are asked, because some never come back"


def failures(rnd: admin.RoundReply) -> int:
    """How many devices gave up the work of their place, to train or to judge."""
    return sum(rnd.failed.values()) + sum(rnd.judges_failed.values())


def _judged(found: admin.VersionReply) -> str | None:
    """What a version's judges said of it."""
    said = found.judged
    if said is None:
        return None
    return (
        f"{_gain(said.gain, found.config.metric)} over version {found.parent} by {said.judges} judges "
        f"(median {said.examples} examples): "
        f"{said.better} found it better, {said.worse} worse, p {said.p:.2g}"
    )


def _gain(gain: float | None, metric: DecidingMetric | None) -> str | None:
    """A gain: of accuracy in percentage points, of another metric in its own units, with its name and direction."""
    if gain is None:
        return None
    if metric is None or metric.name == "accuracy":
        return f"{100 * gain:+.1f} pt"
    return f"{gain:+.4g} in {metric}"
