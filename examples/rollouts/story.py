"""The whole demo: a cloud, a fleet, one rollout after the other, and an experiment."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from examples.rollouts.acts import Act, RolloutPace, blue_green, canary, experiment, sabotage
from examples.rollouts.fleet import ScannerFleet
from examples.rollouts.versions import candidates, trainers
from examples.rollouts.watching import Look, NotInTime, Watch
from infra.local import LocalCloud
from muster.operator import Operator
from muster.wire import admin

MODEL = "digits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What came of it."""

    devices: int
    pace: RolloutPace
    acts: tuple[Act, ...]
    looks: tuple[Look, ...]
    seconds: float
    too_late: str | None
    """What did not happen as long as it was waited for: there the story ends."""

    def unmet(self) -> list[str]:
        """What was expected and did not come, one sentence each."""
        return [sentence for act in self.acts for sentence in act.unmet] + ([self.too_late] if self.too_late else [])

    def as_json(self) -> dict[str, Any]:
        """The content of `rollout.json`: every figure."""
        return {
            "devices": self.devices,
            "pace": asdict(self.pace),
            "seconds": round(self.seconds, 1),
            "acts": {act.name: act.as_json() for act in self.acts},
            "unmet": self.unmet(),
            "series": [asdict(look) for look in self.looks],
        }


def play(devices: int, seed: int, pace: RolloutPace, tell: Callable[[str], None]) -> Story:
    """Play the four acts, as far as they go.

    Raises:
        RuntimeError: a device or a process of the cloud gave up.
    """
    started = time.monotonic()
    made = candidates(seed)
    settings = {"MUSTER_HEARTBEAT_SECONDS": str(pace.heartbeat)}
    acts: list[Act] = []
    too_late = None
    with (
        LocalCloud(api_processes=2, tick_seconds=pace.tick, settings=settings) as cloud,
        closing(Operator.connect(cloud.url)) as operator,
        TemporaryDirectory(prefix="muster-") as folder,
    ):
        operator.create_model(MODEL, made.first, admin.RoundConfig(goal=1, quorum=1, evaluators=0))
        good, spoilt, later = (
            operator.register(MODEL, data, note=note).version
            for data, note in ((made.good, "good"), (made.spoilt, "spoilt"), (made.later, "later"))
        )
        token = operator.mint_token(devices, label="scanners", models=[MODEL]).token
        own = trainers(devices, seed)
        with ScannerFleet(
            url=cloud.url,
            token=token,
            model=MODEL,
            trainers=own,
            folder=Path(folder),
            heartbeat_seconds=pace.heartbeat,
        ) as fleet:

            def healthy() -> None:
                fleet.check()
                cloud.check()

            watch = Watch(operator=operator, model=MODEL, fleet=fleet, healthy=healthy, tell=tell)
            try:
                watch.until(lambda: watch.all_run(0), pace.patience, "all devices to run v0")
                tell(
                    f"All have enrolled and run v0 ({time.monotonic() - started:.0f} s).\n\n   time  they run          the log"
                )
                acts_to_play = ((canary, good), (sabotage, spoilt), (blue_green, later), (experiment, later))
                for played, candidate in acts_to_play:
                    acts.append(played(watch, candidate, pace))
                    if acts[-1].unmet:  # what comes next would begin from something else
                        break
            except NotInTime as late:
                too_late = str(late)
    return Story(
        devices=devices,
        pace=pace,
        acts=tuple(acts),
        looks=tuple(watch.looks),
        seconds=time.monotonic() - started,
        too_late=too_late,
    )
