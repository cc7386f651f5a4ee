"""The operator's tour at the end: a few commands of the `muster` command line, typed against the running cloud."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from muster.operator import Operator

MUSTER = Path(sys.executable).with_name("muster")
"""The command as pip installs it, beside this interpreter."""


@dataclass(frozen=True, slots=True)
class TourStep:
    """One command, what it printed, and its exit status."""

    command: str
    output: str
    status: int


@dataclass(frozen=True, slots=True)
class Tour:
    """The whole tour, and whether it left the model as it found it."""

    steps: tuple[TourStep, ...]
    deployed_before: int
    deployed_after: int

    def unmet(self) -> list[str]:
        """What did not go as it should, one sentence each."""
        failed = [f"expected `{step.command}` to succeed, got status {step.status}" for step in self.steps if step.status]
        if self.deployed_after != self.deployed_before:
            failed.append(f"expected version {self.deployed_before} to be deployed after the tour, got {self.deployed_after}")
        return failed


def take(url: str, model: str) -> Tour:
    """Look at a model, roll it back, and undo that; without a deployment to go back to, only look."""
    operator = Operator.connect(url)
    before = operator.status(model).deployed_version
    commands = [["status", model], ["version", "list", model, "--limit", "4"]]
    if next(operator.deployments(model)).previous is not None:
        commands += [
            ["rollback", model, "--because", "a tour"],
            ["version", "list", model, "--limit", "4"],
            ["deploy", model, str(before), "--because", "the tour is over"],
            ["deployment", "list", model, "--limit", "3"],
        ]
    steps = tuple(_type(url, words) for words in commands)
    after = operator.status(model).deployed_version
    operator.close()
    return Tour(steps, before, after)


def _type(url: str, words: list[str]) -> TourStep:
    environment = {**os.environ, "MUSTER_URL": url, "NO_COLOR": "1"}
    done = subprocess.run(
        [str(MUSTER), *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    output = "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())
    shown = " ".join(f"'{word}'" if " " in word else word for word in words)
    return TourStep(f"muster {shown}", output, done.returncode)
