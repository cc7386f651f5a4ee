"""The three rollouts and the experiment, and what is expected of each.

a good canary  ──▶ 5 %, 25 %, all, by itself
a spoilt one   ──▶ 5 %, taken back by itself, with an alert
blue-green     ──▶ on all disks, one switch, one way back, and no download in either
an experiment  ──▶ three versions at once; at its horizon it ends by itself, and says which is better
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from examples.rollouts.watching import Watch
from muster.wire import admin


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPace:
    """How fast things go, and what counts as worse. Times are in seconds, shares in per cent."""

    tick: float = 1.0
    heartbeat: float = 10.0
    window: float = 20.0
    pause: float = 20.0
    steps: tuple[float, ...] = (5.0, 25.0)
    margin: float = 0.1
    """Of accuracy: of so few devices no smaller loss could be ruled out."""
    warm: float = 90.0
    beats: float = 3.5
    """Heartbeats from the beginning of the experiment to its horizon."""
    patience: float = 150.0
    """No part of a rollout takes longer, whatever happens to it."""

    def canary(self) -> admin.Strategy:
        """Step by step, as long as the guard finds nothing."""
        return admin.Strategy(
            kind="canary",
            steps=list(self.steps),
            pause_seconds=self.pause,
            window_seconds=self.window,
            guard=admin.GuardRule(margin=self.margin),
        )

    def blue_green(self) -> admin.Strategy:
        """All at once, when it is on the disks; then the old version is kept for longer than the demo lasts."""
        return admin.Strategy(kind="blue-green", warm=self.warm, pause_seconds=3_600.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A revision of the deployments' log."""

    seconds: float
    """Since the first look."""
    kind: str
    percent: float | None
    because: str
    by: str | None

    @classmethod
    def of(cls, watch: Watch, one: admin.DeploymentReply) -> Move:
        """What a revision was, in the demo's time."""
        percent = one.rollout.percent if one.rollout else None
        return cls(seconds=watch.seconds(one.at), kind=one.kind, percent=percent, because=one.because, by=one.by)


@dataclass(slots=True, kw_only=True)
class Act:
    """A rollout that was played, its figures, and what was expected of it and did not come."""

    name: str
    candidate: int
    stable: int
    moves: list[Move] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    unmet: list[str] = field(default_factory=list)

    def expect(self, holds: bool, what: str, got: object) -> None:
        """Note what does not hold."""
        if not holds:
            self.unmet.append(f"{self.name}: expected {what}, got {got}")

    def as_json(self) -> dict[str, Any]:
        """For `rollout.json`."""
        return asdict(self)


def canary(watch: Watch, candidate: int, pace: RolloutPace) -> Act:
    """A good candidate comes to all by itself."""
    act = _begin(watch, "canary", candidate, pace.canary(), "it has learnt longer")
    watch.until(_ended_and_settled(watch), 2 * pace.patience, "the good candidate to be with all devices")
    _close(watch, act)
    expected = ["started", *["stepped"] * (len(pace.steps) - 1), "promoted"]
    kinds = [move.kind for move in act.moves]
    act.expect(kinds == expected, " ".join(expected), " ".join(kinds))
    act.expect(_by_itself(act), "nobody to move it but its strategy", [move.by for move in act.moves])
    act.expect(watch.all_run(candidate), f"all devices to run v{candidate}", watch.looks[-1].running)
    act.figures |= {
        "seconds": round(act.moves[-1].seconds - act.moves[0].seconds, 2),
        "settled_seconds": _until_last(watch, watch.present.at),
    }
    return act


def sabotage(watch: Watch, candidate: int, pace: RolloutPace) -> Act:
    """A spoilt candidate is taken back by itself before more than the first few have run it."""
    act = _begin(watch, "sabotage", candidate, pace.canary(), "somebody thinks that it is better")
    watch.until(lambda: _unreported_ends(watch), pace.patience, "a device to report the spoilt candidate")
    silent_until = watch.unreported or watch.present.at
    watch.until(_ended_and_settled(watch), pace.patience, "the spoilt candidate to be taken back")
    watch.until(lambda: _trouble(watch) is not None, pace.patience, "the alert rollout_trouble")
    _close(watch, act)
    last, alert = watch.of_act()[-1], _trouble(watch)
    ran = watch.fleet.ever_ran(candidate)
    took = (last.at - silent_until).total_seconds()
    act.expect([move.kind for move in act.moves] == ["started", "aborted"], "started aborted", [m.kind for m in act.moves])
    act.expect(_by_itself(act), "nobody to move it but its strategy", [move.by for move in act.moves])
    act.expect(last.because.startswith("the candidate is worse"), "it to be found worse", last.because)
    act.expect(0 < ran < 2 * pace.steps[0] / 100 * len(watch.fleet), "few devices to have run it", ran)
    act.expect(watch.all_run(act.stable), f"all devices to run v{act.stable}", watch.looks[-1].running)
    act.expect(alert is not None and alert.because is not None, "an alert with the figures", alert)
    act.figures |= {
        "ever_ran": ran,
        "ever_ran_share": round(ran / len(watch.fleet), 4),
        "seconds": round(act.moves[-1].seconds - act.moves[0].seconds, 2),
        "first_report_to_abort_seconds": round(took, 2),
        "two_windows_seconds": 2 * pace.window,
        "because": last.because,
        "settled_seconds": _until_last(watch, last.at),
        "alert": alert and {"metric": alert.metric, "because": alert.because, "seconds": watch.seconds(alert.opened_at)},
    }
    return act


def blue_green(watch: Watch, candidate: int, pace: RolloutPace) -> Act:
    """A candidate lies ready everywhere, all devices come to it, and all go back; nobody downloads anything on the way."""
    act = _begin(watch, "blue-green", candidate, pace.blue_green(), "all at once, and back if need be")
    before = watch.fleet.downloads()
    watch.until(lambda: watch.present.kind == "stepped", pace.patience, f"{pace.warm:.0f} % of the devices to be ready")
    switched = watch.present
    watch.until(lambda: watch.all_run(candidate), pace.patience, "all devices to run the candidate")
    to, to_downloads = _until_last(watch, switched.at), watch.fleet.downloads(switched.at)
    to_beats = watch.fleet.most_beats(switched.at)
    warmed = watch.fleet.downloads() - before - to_downloads
    back = watch.operator.move_rollout(watch.model, "abort", revision=switched.revision, because="to show the way back")
    watch.until(lambda: watch.all_run(act.stable), pace.patience, "all devices to run the old version again")
    fro, fro_downloads = _until_last(watch, back.at), watch.fleet.downloads(back.at)
    fro_beats = watch.fleet.most_beats(back.at)
    _close(watch, act)
    kinds, late = [move.kind for move in act.moves], (100.0 - pace.warm) / 100 * len(watch.fleet)
    act.expect(kinds == ["started", "stepped", "aborted"], "started stepped aborted", kinds)
    act.expect(warmed >= len(watch.fleet) - late, "nearly all devices to download it beforehand", warmed)
    act.expect(to_downloads <= late, "no downloads in the switch but of those that were not ready", to_downloads)
    act.expect(fro_downloads == 0, "no download on the way back", fro_downloads)
    act.expect(max(to_beats, fro_beats) <= 2, "all to hear of either with their second heartbeat", (to_beats, fro_beats))
    act.figures |= {
        "warmed_seconds": round(act.moves[1].seconds - act.moves[0].seconds, 2),
        "warmed_downloads": warmed,
        "switch_seconds": to,
        "switch_beats": to_beats,
        "switch_downloads": to_downloads,
        "way_back_seconds": fro,
        "way_back_beats": fro_beats,
        "way_back_downloads": fro_downloads,
    }
    return act


ARMS = {"good": 40.0, "first": 20.0, "later": 40.0}
"""Of the experiment, in per cent; the first is the control."""


def experiment(watch: Watch, candidate: int, pace: RolloutPace) -> Act:
    """Three versions at once: what was deployed, what was deployed before it, and a later one."""
    watch.look()
    watch.act, stable, before = "experiment", watch.present.version, len(watch.revisions)
    act = Act(name="experiment", candidate=candidate, stable=stable)
    versions = {"good": stable, "first": 0, "later": candidate}
    wanted = admin.StartExperiment(
        name="epochs",
        arms=[admin.Arm(name=name, version=str(versions[name]), weight=weight) for name, weight in ARMS.items()],
        horizon_seconds=pace.beats * pace.heartbeat,
        revision=watch.present.revision,
        because="does it pay to learn for longer",
    )
    watch.operator.start_experiment(watch.model, wanted)
    watch.until(lambda: watch.present.kind == "experiment-ended", pace.patience, "the experiment to come to its horizon")
    most = max((look.running for look in watch.looks if look.act == act.name), key=len)
    watch.until(lambda: watch.all_run(stable), pace.patience, "all devices to run the deployed version again")
    act.moves = [Move.of(watch, one) for one in watch.revisions[before:]]
    found = next(one.ended for one in watch.revisions[before:] if one.ended is not None)
    findings = {effect.arm: effect.finding for effect in found.effects}
    kinds = [move.kind for move in act.moves]
    act.expect(kinds == ["experiment-started", "experiment-ended"], "it to begin and to end", kinds)
    act.expect(_by_itself(act), "its horizon to end it", [move.by for move in act.moves])
    act.expect(len(most) == len(ARMS), "three versions to run at once", most)
    act.expect(findings["first"] == "worse", "the first version to be found worse", found.said)
    act.expect(findings["later"] != "worse", "the later version not to be found worse", found.said)
    act.expect(not any(effect.split_is_broken for effect in found.effects), "arms as large as their weights", found.said)
    act.expect(all(abs((arm.share or 0.0) - arm.weight) < 10.0 for arm in found.arms), "shares near the weights", found.arms)
    act.figures |= {
        "seconds": round(act.moves[-1].seconds - act.moves[0].seconds, 2),
        "running": most,
        "result": found.model_dump(mode="json"),
    }
    return act


def _begin(watch: Watch, name: str, candidate: int, strategy: admin.Strategy, because: str) -> Act:
    watch.look()
    watch.act = name
    act = Act(name=name, candidate=candidate, stable=watch.present.version)
    revision = watch.present.revision
    watch.operator.deploy(watch.model, candidate, revision=revision, strategy=strategy, because=because)
    watch.look()
    return act


def _close(watch: Watch, act: Act) -> None:
    watch.look()
    act.moves = [Move.of(watch, one) for one in watch.of_act()]


def _ended_and_settled(watch: Watch) -> Callable[[], bool]:
    """Whether the rollout is over, and every device runs what it came to."""
    return lambda: watch.present.rollout is None and watch.all_run(watch.present.version)


def _unreported_ends(watch: Watch) -> bool:
    return watch.present.rollout is None or watch.unreported != watch.looked_at


def _by_itself(act: Act) -> bool:
    return all(move.by is None for move in act.moves[1:])


def _until_last(watch: Watch, since: datetime) -> float:
    """Seconds until the last device had come to the version that it runs."""
    return round((watch.fleet.last_change() - since).total_seconds(), 2)


def _trouble(watch: Watch) -> admin.AlertReply | None:
    open_ones = (one for one in watch.operator.alerts(watch.model) if one.metric == "rollout_trouble" and not one.cleared_at)
    return next(open_ones, None)
