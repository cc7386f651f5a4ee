"""The local cloud for real: processes, sockets, queues, ticks; and that it leaves nothing behind."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from chalice.app import SQSEventConfig

import app as functions
from infra import deploy as deploying
from infra.deploy import smoke
from infra.errors import Stopped
from infra.local import LocalCloud, resources, workers
from infra.local.cloud import MOST_DEATHS, _Kept
from infra.local.gateway import LIMIT_BYTES
from muster import Device, __version__
from muster.operator import Operator
from muster.wire.admin import RoundConfig
from muster.wire.arrays import encode
from muster.wire.problems import MEDIA_TYPE, Problem
from tests.fleet import BASE, CONFIG, Drift
from tests.infra.accounts import Aws

ROOT = Path(__file__).parent.parent.parent


def test_the_resources_are_those_of_the_template(cloud: LocalCloud) -> None:
    tables = cloud.client("dynamodb").list_tables()["TableNames"]
    assert sorted(tables) == sorted(
        f"muster-{name}" for name in ("ClientsTable", "MonitoringTable", "RoundsTable", "VersionsTable")
    )
    for name in tables:
        described = cloud.client("dynamodb").describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        assert (described["TimeToLiveStatus"], described["AttributeName"]) == ("ENABLED", "ttl")
    s3 = cloud.client("s3")
    assert s3.get_bucket_versioning(Bucket=resources.BUCKET_NAME)["Status"] == "Enabled"
    rules = s3.get_bucket_lifecycle_configuration(Bucket=resources.BUCKET_NAME)["Rules"]
    assert [rule["Expiration"]["Days"] for rule in rules if rule.get("Filter", {}).get("Prefix") == "updates/"] == [1]
    sqs = cloud.client("sqs")
    url = cloud.environment["MUSTER_INSPECTION_QUEUE_URL"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "1800"
    assert "muster-dead" in attributes["RedrivePolicy"]


def test_concurrent_devices_train_through_real_sockets_queues_and_ticks(cloud: LocalCloud, tmp_path: Path) -> None:
    operator = Operator(cloud.url)
    operator.create_model("toy", encode(BASE), RoundConfig(**{**CONFIG, "goal": 4, "evaluators": 2, "keep_updates": False}))
    token = operator.mint_token(6).token
    operator.start("toy", 2)
    stop = threading.Event()

    def run(number: int) -> None:
        device = Device.enrol(cloud.url, token, f"device-{number}", model="toy", state_dir=tmp_path / str(number))
        device.run(Drift(0.1 + number / 100), stop)
        device.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 60
    while operator.status("toy").training.rounds_completed < 2:
        assert time.monotonic() < deadline, cloud.log("workers")
        stop.wait(0.2)
    stop.set()
    for thread in threads:
        thread.join()

    first, second = reversed(list(operator.rounds("toy")))
    for rnd in (first, second):
        assert rnd.phase == "completed"
        assert rnd.accepted >= 4
        assert rnd.accepted + rnd.late <= 6
    assert second.base_version == first.version == 1
    newest = operator.version("toy", 2)
    assert operator.download(newest.checkpoint)
    operator.close()


def test_an_unknown_path_is_answered_as_api_gateway_does(cloud: LocalCloud) -> None:
    assert httpx.get(f"{cloud.url}/v1/health").json()["status"] == "ok"
    for method, path in (
        ("GET", "/nothing/here"),
        ("GET", "/v1/health/"),
        ("GET", "//v1/health"),
        ("GET", "/v1//health"),
        ("POST", "/v1/rounds//failure"),
        ("GET", "/v1/%68ealth"),
        ("GET", "/v1/Health"),
        ("POST", "/v1/health"),
        ("OPTIONS", "/v1/health"),
    ):
        found = httpx.request(method, f"{cloud.url}{path}")
        assert (found.status_code, found.headers["content-type"]) == (403, MEDIA_TYPE), path
        assert found.json()["type"] == Problem.FORBIDDEN.urn
        assert found.json()["status"] == 403
    too_large = httpx.post(f"{cloud.url}/v1/heartbeat", content=b" " * (LIMIT_BYTES + 1))
    assert (too_large.status_code, too_large.json()["type"]) == (413, Problem.BODY_TOO_LARGE.urn)


def until(condition: Callable[[], bool], told: Callable[[], object]) -> None:
    """Look again and again until something holds."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, told()
        threading.Event().wait(0.05)


def started_again(kept: _Kept, before: object) -> bool:
    return kept.process is not before


def test_a_process_that_dies_is_started_again_but_a_store_took_everything_with_it_and_that_is_said(tmp_path: Path) -> None:
    with LocalCloud(api_processes=1, tick_seconds=0.2) as cloud:
        operator = Operator(cloud.url)
        operator.create_model("toy", encode(BASE), RoundConfig(**CONFIG))
        for name in ("workers", "api"):
            kept = cloud._running[name]
            before = kept.process
            before.kill()
            before.wait()
            until(partial(started_again, kept, before), partial(cloud.log, name))
            cloud.check()
        assert httpx.get(f"{cloud.url}/v1/health", timeout=60).status_code == 200
        operator.start("toy", 1)
        until(lambda: operator.status("toy").round is not None, lambda: cloud.log("workers"))
        operator.close()

        store = cloud._running["dynamodb"]
        store.process.kill()
        store.process.wait()
        with pytest.raises(RuntimeError, match="dynamodb ended"):
            cloud.check()


class Process:
    """A process that died at once."""

    def poll(self) -> int:
        return 1


def test_a_process_that_dies_again_and_again_gets_longer_breaks_and_then_none() -> None:
    started: list[float] = []
    now = 100.0

    def start() -> Any:
        started.append(now)
        return Process()

    kept = _Kept(start, start(), True, now)
    while not kept.is_lost:
        now += 0.01
        kept.revive(now)
    breaks = [later - earlier for earlier, later in pairwise(started)]
    assert len(breaks) == MOST_DEATHS - 1
    assert all(later > 1.5 * earlier for earlier, later in pairwise(breaks))
    kept.revive(now + 1000)
    assert len(started) == MOST_DEATHS


def test_a_pump_outlives_an_error_of_its_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, troubles = threading.Event(), [EndpointConnectionError(endpoint_url="x"), ClientError({}, "ReceiveMessage")]
    handed: list[Any] = []

    class Queue:
        def get_queue_url(self, **_: Any) -> dict[str, str]:
            return {"QueueUrl": "url"}

        def receive_message(self, **_: Any) -> dict[str, Any]:
            if troubles:
                raise troubles.pop()
            return {"Messages": [{"MessageId": "1", "ReceiptHandle": "r", "Body": "{}"}]}

        def delete_message(self, **_: Any) -> None:
            stop.set()

    def invoked(handler: str, event: dict[str, Any]) -> None:
        handed.extend(event["Records"])

    monkeypatch.setattr("boto3.client", lambda service: Queue())
    monkeypatch.setattr(workers, "invoke", invoked)
    (source,) = [each for each in functions.app.event_sources if each.name == "inspection_worker"]
    assert isinstance(source, SQSEventConfig)
    workers.pump(source, stop)
    assert [record["messageId"] for record in handed] == ["1"]


def test_ctrl_c_stops_it_cleanly_and_leaves_nothing_behind(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "infra.local", "--port", "0", "--api-processes", "1"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    assert process.stdout
    said = ""
    while "Ctrl-C" not in said:
        assert select.select([process.stdout], [], [], 60)[0], said
        more = os.read(process.stdout.fileno(), 4096).decode()
        assert more, f"it ended before it began: {said}"
        said += more
    url = re.findall(r"http://\S+", said)[0]
    assert httpx.get(f"{url}/v1/health").status_code == 200
    children = _children(process.pid)
    assert len(children) >= 3

    process.send_signal(signal.SIGINT)

    assert process.wait(30) == 0
    assert process.stdout.read().strip() == b"stopped"
    process.stdout.close()
    _await_end_of(children)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/v1/health")
    assert list(tmp_path.glob("muster-local-*")) == []


def _await_end_of(processes: list[int]) -> None:
    """Wait until none of them is there: who has lost its parent is reaped by the system, in its own time."""
    until = time.monotonic() + 30
    while left := [pid for pid in processes if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < until, f"{left} are still there"
        time.sleep(0.05)


def _children(parent: int) -> list[int]:
    """Processes whose parent this is, and theirs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        if int(fields[1]) == parent:
            pid = int(path.parent.name)
            found += [pid, *_children(pid)]
    return found


def test_the_smoke_test_asks_as_a_device_and_as_an_operator(
    cloud: LocalCloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    smoke(cloud.url, Aws())  # type: ignore[arg-type]
    assert f"release {__version__} answers, and `muster model list`:" in capsys.readouterr().out
    with pytest.raises(Stopped, match=r"it was deployed, but http://127\.0\.0\.1:9 does not answer"):
        smoke("http://127.0.0.1:9", Aws())  # type: ignore[arg-type]
    monkeypatch.setattr(deploying, "MUSTER", Path("/bin/false"))
    with pytest.raises(Stopped, match="`muster model list` ends with 1"):
        smoke(cloud.url, Aws())  # type: ignore[arg-type]
