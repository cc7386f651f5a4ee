"""The operator's eye: a look every second, at what the server says and at what the devices run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from examples.rollouts.fleet import ScannerFleet
from muster.http.errors import Refused
from muster.operator import Operator
from muster.wire import admin
from muster.wire.problems import Problem

LOOK_SECONDS = 1.0


class NotInTime(Exception):
    """Something did not happen as long as it was waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen at one time."""

    seconds: float
    """Since the first look."""
    act: str
    percent: float | None
    """Of the fleet that is given the candidate; None when no rollout goes on."""
    running: dict[int, int]
    """Devices by the version that they run."""
    low: float | None
    """The candidate's mean accuracy minus the other's lies from here …"""
    high: float | None
    """… to here; None as long as too few have reported."""
    candidates: int | None
    """Devices that have reported the candidate."""
    controls: int | None
    """… and the deployed version beside them."""
    ready: int | None
    """Devices that have the candidate of a blue-green rollout on their disks."""
    downloads: int
    """Requests to the store so far."""


class Watch:
    """Looks, remembers what it saw, and tells each revision of the deployments' log."""

    def __init__(
        self, *, operator: Operator, model: str, fleet: ScannerFleet, healthy: Callable[[], None], tell: Callable[[str], None]
    ) -> None:
        self.operator = operator
        self.model = model
        self.fleet = fleet
        self.looks: list[Look] = []
        self.revisions: list[admin.DeploymentReply] = []
        """Oldest first."""
        self.act = ""
        self.began_at = datetime.now(UTC)
        self.unreported: datetime | None = None
        """When the last look was that saw no report of the present candidate."""
        self.looked_at = self.began_at
        self._healthy = healthy
        self._tell = tell

    @property
    def present(self) -> admin.DeploymentReply:
        """The newest revision that was seen."""
        return self.revisions[-1]

    def until(self, holds: Callable[[], bool], patience_seconds: float, what: str) -> None:
        """Look until something holds.

        Raises:
            NotInTime: it did not.
        """
        give_up_at = time.monotonic() + patience_seconds
        while True:
            began = time.monotonic()
            self.look()
            if holds():
                return
            if began >= give_up_at:
                raise NotInTime(f"expected {what} within {patience_seconds:.0f} s, got {self.present.kind}, {self._running()}")
            time.sleep(max(0.0, began + LOOK_SECONDS - time.monotonic()))

    def look(self) -> None:
        """Take one look."""
        self._healthy()
        asked_at = self.looked_at = datetime.now(UTC)
        status = self._status()
        guard = status.guard if status else None
        if guard is None or guard.last_of_candidate is None:
            self.unreported = asked_at
        self._note_revisions()
        is_known = guard is not None and (guard.low, guard.high) != (-guard.metric.span, guard.metric.span)
        self.looks.append(
            Look(
                seconds=self.seconds(asked_at),
                act=self.act,
                percent=status.deployment.rollout.percent if status and status.deployment.rollout else None,
                running=dict(sorted(self.fleet.running().items())),
                low=guard.low if guard and is_known else None,
                high=guard.high if guard and is_known else None,
                candidates=guard.candidates if guard else None,
                controls=guard.controls if guard else None,
                ready=status.slots.ready if status and status.slots else None,
                downloads=self.fleet.downloads(),
            )
        )

    def seconds(self, at: datetime) -> float:
        """Since the first look."""
        return round((at - self.began_at).total_seconds(), 2)

    def all_run(self, version: int) -> bool:
        """Whether every device runs this version."""
        return self.fleet.running() == {version: len(self.fleet)}

    def of_act(self) -> list[admin.DeploymentReply]:
        """The revisions of the present rollout, or of the last one, oldest first."""
        begun = max((at for at, one in enumerate(self.revisions) if one.kind == "started"), default=0)
        return self.revisions[begun:]

    def _status(self) -> admin.RolloutStatus | None:
        try:
            return self.operator.rollout(self.model)
        except Refused as refused:
            if refused.problem is not Problem.NO_ROLLOUT:
                raise
            return None

    def _note_revisions(self) -> None:
        known = self.revisions[-1].revision if self.revisions else -1
        fresh = []
        for one in self.operator.deployments(self.model):
            if one.revision <= known:
                break
            fresh.append(one)
        for one in reversed(fresh):
            self.revisions.append(one)
            if one.at < self.began_at:
                continue
            self._tell(f"{self.seconds(one.at):>5.0f} s  {self._running():<16}  {told(one)}")

    def _running(self) -> str:
        return " ".join(f"v{version}:{count}" for version, count in sorted(self.fleet.running().items()))


def told(one: admin.DeploymentReply) -> str:
    """A revision in a line."""
    if one.kind in ("experiment-started", "experiment-ended"):
        return f"{one.kind}: {one.because}"
    version = one.rollout.candidate if one.rollout else one.version
    percent = f" {one.rollout.percent:g} %" if one.rollout else ""
    return f"v{version} {one.kind}{percent}: {one.because}"
