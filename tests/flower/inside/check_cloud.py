"""A strategy of Flower's own runs in a cloud, with the ClientApp as devices; the app's own code does not notice."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from muster.wire.arrays import Array, decode
from muster.wire.tensors import HEADER_LIMIT_BYTES
from tests.flower.inside.playing import APPS, CLIENTS, CLOUD, command, outside, run_command, run_here, state

pytestmark = pytest.mark.skipif(not CLOUD, reason="FLOWER_TESTS_CLOUD names no cloud")


FEDERATED = {
    "numpy-client": (),
    "message-api": ("--run-config", "fraction-train=1.0 num-server-rounds=2"),
    "sklearn-legacy": ("--run-config", "num-server-rounds=1", "--metric", "accuracy"),
    "torch-adam": ("--run-config", "num-server-rounds=1", "--metric", "eval_loss:lower"),
    "own-strategy": ("--metric", "distance:lower"),
}
"""The apps, and what their commands say beside the cloud."""


@dataclass(frozen=True)
class Begun:
    """A command that runs."""

    kept: Path
    process: subprocess.Popen[str]

    def said(self) -> str:
        """What it said, once it has ended well."""
        out, complaints = self.process.communicate(timeout=150)
        assert self.process.returncode == 0, complaints
        return out


@pytest.fixture(scope="module")
def begun() -> dict[str, Begun]:
    """All of them at once: they wait for rounds more than they compute."""
    found = {}
    for name, options in FEDERATED.items():
        kept = state()
        arguments = (str(APPS / name), "--url", CLOUD, "--clients", str(CLIENTS), "--state", str(kept), "--processes", "1")
        process = subprocess.Popen(
            command(*arguments, *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=outside(), cwd=kept
        )
        found[name] = Begun(kept, process)
    return found


def final(kept: Path) -> dict[str, Array]:
    return decode((kept / "final.safetensors").read_bytes(), HEADER_LIMIT_BYTES)


@pytest.mark.parametrize("name", ["numpy-client", "message-api"])
def test_the_cloud_makes_the_same_model_as_flowers_own_rule(begun: dict[str, Begun], name: str) -> None:
    """FedAvg and FedAvgM, of clients that draw nothing: the models differ by the rounding of Flower's sums."""
    here = state()
    run_here(APPS / name, here, *FEDERATED[name][1:])
    assert f"model {name}-" in begun[name].said()
    ours, theirs = final(begun[name].kept), final(here)
    assert ours.keys() == theirs.keys()
    for key in ours:
        np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("sklearn-legacy", "completed"),
        ("torch-adam", "there is no bias correction"),
        ("own-strategy", "NoisyFedAvg is not one of the strategies"),
    ],
)
def test_other_apps_run_beside_a_cloud(begun: dict[str, Begun], name: str, told: str) -> None:
    """FedMedian and FedAdam in it, judged by a metric of the app; a strategy of one's own as it is."""
    said = begun[name].said()
    assert told in said
    assert "SHA-256" in said


def test_a_command_that_is_killed_goes_on_with_its_model(tmp_path: Path) -> None:
    """Killed once a first round is under way; the model and the devices are the same after it."""
    where = ("--url", CLOUD, "--state", str(tmp_path / "state"), "--json")
    arguments = (str(APPS / "numpy-client"), *where, "--clients", "3", "--run-config", "num-server-rounds=1")
    process = subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("state/fleet/device-2/*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    model = json.loads((tmp_path / "state/fleet/model.json").read_bytes())["model"]
    done = run_command(*arguments)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout[done.stdout.index("{") :])["model"] == model
