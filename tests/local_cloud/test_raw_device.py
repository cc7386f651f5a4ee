"""The raw device, and a hand with curl, before the real server: what the page says is enough to take part."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from infra.local import LocalCloud
from muster.operator import Operator
from muster.wire.admin import RoundConfig
from muster.wire.arrays import decode, encode
from muster.wire.tensors import HEADER_LIMIT_BYTES
from tests.fleet import BASE, CONFIG

ROOT = Path(__file__).parent.parent.parent
ENOUGH_SECONDS = 120.0


@pytest.fixture
def operator(cloud: LocalCloud) -> Iterator[Operator]:
    made = Operator(cloud.url)
    yield made
    made.close()


def test_rounds_of_raw_devices_count_their_updates_and_their_judgement(
    cloud: LocalCloud, operator: Operator, tmp_path: Path
) -> None:
    config = {**CONFIG, "goal": 3, "quorum": 3, "over_selection": 1.0, "evaluators": 3, "evaluation_quorum": 3}
    config |= {"encoding": "int8", "keep_updates": False, "hyperparameters": {"epochs": 4, "learning_rate": 0.5}}
    operator.create_model("raw", encode(BASE), RoundConfig(**config))
    token = operator.mint_token(3).token
    operator.start("raw", 2)
    devices = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "examples.raw_device",
                cloud.url,
                token,
                f"raw-{number}",
                "raw",
                str(tmp_path / str(number)),
            ],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        for number in range(3)
    ]
    try:
        deadline = time.monotonic() + ENOUGH_SECONDS
        while operator.status("raw").training.rounds_completed < 2:
            assert time.monotonic() < deadline, cloud.log("workers")
            assert all(device.poll() is None for device in devices)
            time.sleep(0.2)
    finally:
        for device in devices:
            device.kill()
            device.wait()
    second, first = operator.rounds("raw")
    for rnd in (first, second):
        assert (rnd.phase, rnd.accepted, rnd.rejected, rnd.late) == ("completed", 3, {}, 0)
    newest = operator.version("raw", 2)
    assert newest.evaluation is not None
    base, learnt = (
        decode(operator.download(operator.version("raw", number).checkpoint), HEADER_LIMIT_BYTES) for number in (0, 2)
    )
    assert newest.evaluation["accuracy"] > 0.6, "three devices that look at one truth should have found most of it"
    assert not np.array_equal(learnt["layer.weight"], base["layer.weight"])
    assert int(learnt["norm.num_batches_tracked"]) == int(base["norm.num_batches_tracked"]) + 8


@pytest.mark.skipif(not all(map(shutil.which, ("bash", "curl", "openssl"))), reason="needs bash, curl and openssl")
def test_the_round_trip_by_hand_is_accepted_as_it_stands_on_the_page(
    cloud: LocalCloud, operator: Operator, tmp_path: Path
) -> None:
    page = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    assert script.startswith("API=http://127.0.0.1:8000 MODEL=digits\n")
    tensors = {name: array for name, array in BASE.items() if array.dtype.kind != "b"}
    operator.create_model("by-hand", encode(tensors), RoundConfig(**{**CONFIG, "goal": 1, "quorum": 1, "evaluators": 0}))
    operator.start("by-hand", 1)
    while operator.status("by-hand").round is None:
        time.sleep(0.1)
    here = script.replace("API=http://127.0.0.1:8000 MODEL=digits", f"API={cloud.url} MODEL=by-hand")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", here],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "TOKEN": operator.mint_token(1).token},
        capture_output=True,
        text=True,
        check=False,
        timeout=ENOUGH_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert '"state":"reported"' in done.stdout
    deadline = time.monotonic() + ENOUGH_SECONDS
    while operator.status("by-hand").training.rounds_completed < 1:
        assert time.monotonic() < deadline, cloud.log("workers")
        time.sleep(0.1)
    (rnd,) = operator.rounds("by-hand")
    assert rnd.accepted == 1
