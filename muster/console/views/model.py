"""One model: how it stands, how good it is, where its versions come from, and what is being tried."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from muster.console import words
from muster.console.intents import Intent
from muster.console.known import Known, Wish
from muster.console.views import curves
from muster.console.views.blocks import (
    Block,
    Choice,
    DataTable,
    Section,
    Sentence,
    Span,
    Terms,
    View,
    plain,
    state,
    to_cost,
    to_round,
    to_rounds,
    to_version,
    unknown,
)
from muster.console.views.lineage import lineage
from muster.console.views.objectives import objectives
from muster.console.views.why import why
from muster.wire import admin

SHOWN = 12
"""Rows of a list on this page."""

FINDINGS = {
    "worse": "the candidate is worse",
    "not-worse": "the candidate is not worse",
    "open": "not yet known whether the candidate is worse",
}


def wishes(model: str, known: Known) -> frozenset[Wish]:
    """How it stands, its versions and deployments; and what goes on, if something does."""
    wanted = {Wish("status", model)}
    status = known.status(model)
    if status is not None:
        wanted |= {Wish("why", model), Wish("objectives", model), Wish("versions", model), Wish("deployments", model)}
        wanted |= {Wish("rollout", model)} if status.rollout else set()
        wanted |= {Wish("experiments", model)} if status.experiments else set()
    return frozenset(wanted)


def view(model: str, known: Known, now: datetime) -> View:
    """The page."""
    status = known.status(model)
    if status is None:
        return unknown(f"Model {model}", known.denied(Wish("status", model)))
    versions = known.versions(model)
    sections = [
        Section("Now", (*why(known.found(Wish("why", model), admin.Why)), _facts(status))),
        *([Section("How good it is", tuple(_curves(model, status, versions)))] if versions else []),
        *_rollout(known, status),
        *_experiments(known, status),
        Section("Objectives", objectives(known.found(Wish("objectives", model), admin.ObjectiveList))),
        Section("Versions", tuple(_versions(model, versions))),
        Section("Deployments", (_deployments(known.deployments(model)),)),
    ]
    return View(title=f"Model {model}", sections=tuple(sections), choices=tuple(_choices(status)), back=Span("Overview", "/"))


def _facts(status: admin.ModelStatus) -> Terms:
    rnd, training = status.round, status.training
    return Terms((
        ("training", Span(f"{training.state}: {training.rounds_completed} of {training.rounds_wanted} rounds",
                          tone=state(training.state).tone)),
        ("deployed", Span(f"version {status.deployed_version} (revision {status.deployment_revision})",
                          to_version(status.model, status.deployed_version).href)),
        ("newest", Span(f"version {status.newest_version}", to_version(status.model, status.newest_version).href)),
        ("round", Span(f"{rnd.number}, {rnd.phase}", to_round(status.model, rnd.number).href) if rnd else Span("none yet")),
        ("rounds", to_rounds(status.model)),
        ("cost", to_cost(status.model)),
        ("judged by", Span(f"{status.config.metric}; deployed above a gain of {words.number(status.config.min_gain)}")),
        ("active clients", Span(words.number(status.clients.active_by_model.get(status.model, 0)), "/fleet")),
        ("open alerts", Span(", ".join(alert.metric for alert in status.alerts), "/alerts", "bad") if status.alerts
         else Span("none", tone="good")),
    ))  # fmt: skip


def _curves(model: str, status: admin.ModelStatus, versions: list[admin.VersionReply]) -> Iterator[Block]:
    metric = status.config.metric
    found = [curves.deciding(model, metric, versions), curves.losses(model, metric, versions)]
    if found == [None, None]:
        yield Sentence("No version was judged yet, and no trainer has reported a loss.", "quiet")
    yield from (chart for chart in found if chart is not None)


def _versions(model: str, versions: list[admin.VersionReply]) -> Iterator[Block]:
    picture = lineage(model, versions)
    if picture is not None:
        yield picture
    yield DataTable(
        caption="The newest versions; each gain is over the one that was deployed then, by the same judges",
        columns=("version", "state", "round", "base", "gain", "judges", "made", "SHA-256"),
        rows=tuple(
            (
                to_version(model, version.version),
                state(version.state),
                to_round(model, version.round) if version.round is not None else Span("registered", tone="quiet"),
                *plain(
                    words.number(version.base),
                    words.gain(version.judged.gain, version.config.metric) if version.judged else "–",
                    words.number(version.judged.judges) if version.judged else "–",
                    words.time(version.created_at),
                    version.checkpoint.sha256[:12],
                ),
            )
            for version in versions[:SHOWN]
        ),
        empty="Asking which versions there are.",
        numbers=frozenset({"version", "round", "base", "gain", "judges"}),
    )


def _deployments(found: list[admin.DeploymentReply]) -> DataTable:
    return DataTable(
        caption="What clients were served, newest first",
        columns=("revision", "version", "how", "candidate", "at", "by", "why"),
        rows=tuple(
            plain(
                str(one.revision),
                str(one.version),
                one.kind,
                f"{one.rollout.candidate} at {words.percent(one.rollout.percent)}" if one.rollout else "–",
                words.time(one.at),
                one.by or (f"round {one.round}" if one.round is not None else "its strategy"),
                one.because,
            )
            for one in found[:SHOWN]
        ),
        empty="Asking what was deployed.",
        numbers=frozenset({"revision", "version"}),
    )


def _rollout(known: Known, status: admin.ModelStatus) -> Iterator[Section]:
    rollout = status.rollout
    if rollout is None:
        return
    pairs = [
        ("candidate", Span(f"version {rollout.candidate}, beside version {status.deployed_version}")),
        ("given to", Span(f"{words.percent(rollout.percent)} of the clients, since {words.time(rollout.since)}")),
        ("strategy", Span(f"{rollout.strategy.kind}{_step(rollout)}")),
        ("paused", Span(rollout.paused, tone="bad") if rollout.paused else Span("no", tone="good")),
    ]
    heard = known.found(Wish("rollout", status.model), admin.RolloutStatus)
    guard = heard.guard if heard else None
    if guard is not None:
        means = f"{words.number(guard.candidate_mean)} against {words.number(guard.control_mean)}"
        pairs += [
            (guard.metric.name, Span(f"{means} (candidate against deployed)")),
            ("difference", Span(f"from {guard.low:+.4g} to {guard.high:+.4g}; worse by {guard.margin:g} is worse")),
            ("reports", Span(f"{guard.candidates} of the candidate, {guard.controls} beside it, {guard.waiting} waiting")),
            ("finding", Span(FINDINGS[guard.finding], tone="bad" if guard.finding == "worse" else "")),
        ]
    if heard is not None and heard.slots is not None:
        pairs.append(("ready", Span(f"{heard.slots.ready} of {heard.slots.seen} clients have it on their disks")))
    yield Section("Rollout in progress", (Terms(tuple(pairs)),))


def _step(rollout: admin.RolloutReply) -> str:
    steps = len(rollout.strategy.steps)
    return f", step {min(rollout.step + 1, steps)} of {steps}" if steps else ""


def _experiments(known: Known, status: admin.ModelStatus) -> Iterator[Section]:
    heard = known.found(Wish("experiments", status.model), admin.ExperimentList)
    for one in heard.experiments if heard and status.experiments else ():
        effects = {effect.arm: effect for effect in one.effects}
        rows = []
        for arm in one.arms:
            effect = effects.get(arm.name)
            is_known = effect is not None and effect.low is not None and effect.high is not None
            between = f"{effect.low:+.4g} to {effect.high:+.4g}" if is_known and effect else "–"
            rows.append((
                *plain(arm.name, str(arm.version), words.percent(arm.weight), words.number(arm.clients),
                       words.number(arm.mean), between),
                _finding(effect),
            ))  # fmt: skip
        listing = DataTable(
            caption=f"The arms of {one.name}",
            columns=("arm", "version", "share", "clients", one.metric.name, "beside the control", "finding"),
            rows=tuple(rows),
            empty="It has no arms.",
            numbers=frozenset({"version", "clients", one.metric.name}),
        )
        yield Section(f"Experiment {one.name}", (Sentence(one.said), listing))


def _finding(effect: admin.EffectReply | None) -> Span:
    if effect is None:
        return Span("control")
    return Span("not known yet") if effect.finding == "open" else state(effect.finding)


def _choices(status: admin.ModelStatus) -> Iterator[Choice]:
    model, rollout = status.model, status.rollout
    if status.training.state == "running":
        yield Choice("Stop training", Intent(kind="stop", model=model))
    yield Choice("Start training", Intent(kind="start", model=model))
    if rollout is not None:
        paused = rollout.paused is not None
        yield (
            Choice("Resume rollout", Intent(kind="resume", model=model))
            if paused
            else Choice("Pause rollout", Intent(kind="pause", model=model))
        )
        yield Choice("Promote", Intent(kind="promote", model=model), is_grave=True)
        yield Choice("Abort rollout", Intent(kind="abort", model=model), is_grave=True)
    for name in status.experiments:
        yield Choice(f"End experiment {name}", Intent(kind="end-experiment", model=model, experiment=name), is_grave=True)
    if status.deployment_revision > 1:
        yield Choice("Roll back", Intent(kind="rollback", model=model), is_grave=True)
