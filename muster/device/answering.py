"""The work that a rollout asks for: the version that the device should run is measured, another one stands by.

What was asked, and what there is to say to it, is remembered in `muster.device.rollouts`; a heartbeat tells it.
"""

from __future__ import annotations

from muster.device.contexts import Contexts
from muster.device.results import begun, observed
from muster.device.rollouts import RolloutAnswers
from muster.device.trainer import Trainer
from muster.device.versions import DeviceVersions
from muster.http.errors import Refused, Unreachable


class RolloutWork:
    """Does what the rollout that goes on lacks."""

    def __init__(self, rollouts: RolloutAnswers, versions: DeviceVersions, contexts: Contexts) -> None:
        self._rollouts = rollouts
        self._versions = versions
        self._contexts = contexts

    def do(self, trainer: Trainer, *, measures: bool) -> None:
        """Do it, if there is anything to do; `measures` says whether the device offers to measure. What fails of the work
        itself is logged and counted.

        Raises:
            Refused: the server does not give a version.
            Unreachable: the server or the store did not answer.
        """
        lacks = self._rollouts.lacks(self._versions.running, self._versions.given)
        if lacks is None:
            return
        try:
            if lacks.standby is not None:
                self._versions.stand_by(lacks.standby)
                self._rollouts.stands_by(lacks.rollout, lacks.standby)
            if lacks.metrics and measures:
                self._observe(lacks.rollout, trainer)
        except (Refused, Unreachable):
            raise
        except Exception as error:  # noqa: BLE001 (it is logged, and a rollout may end nothing)
            self._rollouts.failed(lacks.rollout, error)

    def _observe(self, rollout: str, trainer: Trainer) -> None:
        """Let the trainer measure what is not known of the version that the device should run, and runs from now on."""
        version, arrays = self._versions.current()
        names = self._rollouts.missing(version)
        if names:
            begun(trainer, self._contexts.of_rollout(rollout))
            self._rollouts.measured(rollout, version, observed(trainer, arrays, names))
