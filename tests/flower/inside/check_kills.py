"""A ServerApp that is killed, before each of its calls and in the middle of them, ends with the same arrays."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import flwr.serverapp.strategy  # noqa: F401 (this and the next are what every fork would import)
import pytest
import sklearn.datasets
import sklearn.linear_model
import sklearn.metrics  # noqa: F401
import torch

from tests.flower.inside.playing import APPS, CLIENTS, NAMES, command, run_command, run_forked, state

torch.set_num_threads(1)
torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1).step()  # it imports much the first time


@pytest.mark.parametrize("name", NAMES)
def test_a_serverapp_killed_before_each_step_ends_with_the_same_arrays(name: str) -> None:
    """A step is a call of the grid, a reply that is stored, or the end of a call."""
    whole = run_forked(name, state())
    assert whole.status == 0
    assert whole.outcome["sha256"]
    same = 0
    for kill_at in range(1, len(whole.steps) + 1):
        kept = state()
        killed = run_forked(name, kept, kill_at)
        assert killed.status == -signal.SIGKILL
        again = run_forked(name, kept)
        assert again.outcome == whole.outcome, f"{name}, killed before step {kill_at}: {whole.steps[kill_at - 1]}"
        same += 1
        shutil.rmtree(kept)
    counted = ", ".join(f"{count} {step}" for step, count in Counter(whole.steps).items())
    print(f"\n{name}: {same} of {len(whole.steps)} kills end with SHA-256 {whole.outcome['sha256'][:16]}… ({counted})")


@pytest.mark.parametrize("name", ["numpy-client", "own-strategy"])
def test_a_serverapp_killed_at_every_new_step_in_one_life_ends_with_the_same_arrays(name: str) -> None:
    """Killed, begun again, killed again one step further, in one state folder, until it comes through."""
    whole = run_forked(name, state())
    kept, deaths = state(), 0
    for kill_at in range(1, len(whole.steps) + 2):
        last = run_forked(name, kept, kill_at)
        deaths += last.status == -signal.SIGKILL
    assert run_forked(name, kept).outcome == whole.outcome
    assert deaths >= whole.outcome["calls"]


@pytest.mark.parametrize("name", NAMES)
def test_the_command_gives_the_same_arrays_with_the_clients_in_processes_of_their_own(name: str) -> None:
    whole = run_forked(name, state())
    done = run_command(str(APPS / name), "--clients", str(CLIENTS), "--state", str(state()), "--json")
    assert done.returncode == 0, done.stderr
    assert f'"sha256": "{whole.outcome["sha256"]}"' in done.stdout


def test_a_command_that_is_killed_leaves_no_process_and_goes_on(tmp_path: Path) -> None:
    whole = run_forked("message-api", state())
    arguments = (str(APPS / "message-api"), "--clients", str(CLIENTS), "--state", str(tmp_path / "state"), "--json")
    process = subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(children_of(process.pid)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)  # its clients' processes begin
    children = children_of(process.pid)
    process.kill()
    process.wait()
    while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert children
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert f'"sha256": "{whole.outcome["sha256"]}"' in run_command(*arguments).stdout


def children_of(parent: int) -> set[int]:
    """The processes that a process has made."""
    try:
        return {int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()}
    except FileNotFoundError:
        return set()
