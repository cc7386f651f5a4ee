"""The packaged template on the strict cloud, from its deployment to its end: real queues, real schedules, real roles.

The tests are one story and run in this order, in one process (`make e2e`).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import boto3
import httpx
import pytest
import yaml
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from chalicelib.storage.presign import Presigner
from infra import package
from infra.deploy import deploy
from infra.destroy import destroy
from infra.errors import Stopped
from infra.stack import Account, Stack
from infra.strict import REGION, ROOT_KEY, ROOT_SECRET, StrictCloud
from muster import Device
from muster.device.errors import DeviceError, Refused
from muster.operator import Operator
from muster.operator.signing import SigV4
from muster.wire import messages as wire
from muster.wire.admin import RoundConfig
from muster.wire.arrays import encode
from muster.wire.problems import Problem
from tests.fleet import BASE, CONFIG, Drift

DEVICES = 20
PATIENCE_SECONDS = 300.0
FUNCTIONS = ("api", "tick", "monitor", "inspection-worker", "aggregation-worker")


@dataclass
class Deployed:
    """A stack that runs, and who asks it for something."""

    cloud: StrictCloud
    account: Account
    url: str
    outputs: dict[str, str]
    operator: Operator
    operator_keys: tuple[str, str]
    token: str


@pytest.fixture(scope="module")
def cloud() -> Iterator[StrictCloud]:
    with StrictCloud() as made, pytest.MonkeyPatch.context() as patch:
        for name, value in made.environment.items():
            patch.setenv(name, value)
        yield made


@pytest.fixture(scope="module")
def deployed(cloud: StrictCloud) -> Iterator[Deployed]:
    account = Account()
    url = deploy(account, "muster", "x86_64", {"LogRetentionDays": "7"}, agreed=True)
    outputs = Stack(account, "muster").outputs()
    allowed = f"arn:aws:execute-api:{REGION}:{account.id}:{outputs['RestAPIId']}/v/*/v1/admin/*"
    keys = principal(account, "operator", allowed)
    operator = Operator(url, auth=signer(keys))
    operator.create_model("toy", encode(BASE), RoundConfig(**{**CONFIG, "goal": 12, "quorum": 8, "evaluators": 4}))
    yield Deployed(cloud, account, url, outputs, operator, keys, operator.mint_token(DEVICES + 2).token)
    operator.close()


def principal(account: Account, name: str, *allowed: str) -> tuple[str, str]:
    """A user who may call these parts of the API; the keys."""
    iam = account.client("iam")
    iam.create_user(UserName=name)
    if allowed:
        statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": list(allowed)}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName=name, PolicyName="invoke", PolicyDocument=policy)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return made["AccessKeyId"], made["SecretAccessKey"]


def signer(keys: tuple[str, str]) -> SigV4:
    return SigV4(Credentials(*keys), REGION)


def test_twenty_devices_train_to_a_published_version_over_real_queues_and_the_real_schedule(
    deployed: Deployed, tmp_path: Path
) -> None:
    operator = deployed.operator
    operator.start("toy", 1)
    done = threading.Event()
    problems: list[Exception] = []

    def live(number: int) -> None:
        name, folder = f"device-{number:02d}", tmp_path / str(number)
        try:
            with closing(Device.enrol(deployed.url, deployed.token, name, model="toy", state_dir=folder)) as device:
                while not done.is_set():
                    done.wait(min(_stepped(device, 0.1 + number / 100), 3.0))
        except DeviceError as error:
            problems.append(error)

    threads = [threading.Thread(target=live, args=(number,)) for number in range(DEVICES)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while operator.status("toy").training.rounds_completed < 1:
            assert not problems
            assert time.monotonic() < deadline, (operator.status("toy"), deployed.cloud.log()[-3000:])
            done.wait(2.0)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    (rnd,) = operator.rounds("toy")
    assert rnd.phase == "completed"
    assert rnd.accepted >= 12
    version = operator.version("toy", 1)
    assert hashlib.sha256(operator.download(version.checkpoint)).hexdigest() == version.checkpoint.sha256
    assert operator.status("toy").deployed_version == 1
    assert problems == []


def _stepped(device: Device, drift: float) -> float:
    """One step; who comes when enough have come waits."""
    try:
        return device.step(Drift(drift))
    except Refused as refused:
        if refused.problem is not Problem.ROUND_CLOSED:
            raise
        return 1.0


def test_an_operator_rolls_back(deployed: Deployed) -> None:
    status = deployed.operator.status("toy")
    reply = deployed.operator.rollback("toy", revision=status.deployment_revision, because="a drill")
    assert reply.version == 0
    assert deployed.operator.status("toy").deployed_version == 0


# ---- what the store refuses


def presigner(deployed: Deployed) -> Presigner:
    endpoint = deployed.cloud.environment["AWS_ENDPOINT_URL"]
    return Presigner(Credentials(ROOT_KEY, ROOT_SECRET), REGION, deployed.outputs["TensorBucketName"], endpoint, 900)


def test_a_grant_is_good_for_its_own_bytes_once_and_for_nothing_else(deployed: Deployed, tmp_path: Path) -> None:
    deployed.operator.start("toy", 2)
    with closing(Device.enrol(deployed.url, deployed.token, "uploader", model="toy", state_dir=tmp_path)) as device:
        deadline = time.monotonic() + 120
        while (assignment := device.check_in()).kind != "train":
            assert time.monotonic() < deadline, assignment
            threading.Event().wait(2.0)
        content = b"exactly these bytes".ljust(100, b".")
        request = wire.UploadRequest(bytes=len(content), sha256=hashlib.sha256(content).hexdigest(), examples=1)
        grant = device._call("POST", f"/v1/rounds/{assignment.round}/upload", wire.UploadGrant, request)
        with httpx.Client() as http:

            def put(body: bytes, url: str = grant.url, **headers: str) -> int:
                return http.put(url, content=body, headers={**grant.headers, **headers}).status_code

            assert put(content.upper()) == 400, "another body of the same length"
            assert put(content + b"!", **{"Content-Length": str(len(content) + 1)}) == 403, "another length"
            assert put(content, grant.url.replace("/uploader/", "/device-01/")) == 403, "another client's key"
            assert put(content, **{"If-None-Match": "x"}) == 403, "another condition"
            assert put(content) == 200
            assert put(content) == 412, "a second time"


def test_an_expired_url_is_refused(deployed: Deployed) -> None:
    content = b"too late"
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    with mock.patch("botocore.auth.get_current_datetime", return_value=an_hour_ago.replace(tzinfo=None)):
        url, headers = presigner(deployed).put("updates/late", len(content), hashlib.sha256(content).hexdigest())
    assert httpx.put(url, content=content, headers=headers).status_code == 403


# ---- what the gateway refuses


@pytest.mark.parametrize(("method", "path"), [("GET", "models"), ("POST", "tokens"), ("POST", "models/toy/rollbacks")])
def test_an_operators_route_takes_neither_nobody_nor_a_device_nor_who_may_not_invoke_it(
    deployed: Deployed, method: str, path: str
) -> None:
    url = f"{deployed.url}/v1/admin/{path}"
    assert httpx.request(method, url).status_code == 403
    key = {"Authorization": "Bearer device-01.whatever"}
    assert httpx.request(method, url, headers=key).status_code == 403
    other = signer(principal(deployed.account, f"other-{path.replace('/', '-')}"))
    assert httpx.request(method, url, auth=other).status_code == 403


def test_who_may_invoke_one_route_may_not_invoke_another(deployed: Deployed) -> None:
    api = f"arn:aws:execute-api:{REGION}:{deployed.account.id}:{deployed.outputs['RestAPIId']}/v"
    reader = signer(principal(deployed.account, "reader", f"{api}/GET/v1/admin/models"))
    assert httpx.get(f"{deployed.url}/v1/admin/models", auth=reader).status_code == 200
    assert httpx.get(f"{deployed.url}/v1/admin/statistics", auth=reader).status_code == 403


def test_an_operator_cannot_read_updates_nor_tables(deployed: Deployed) -> None:
    key, secret = deployed.operator_keys
    session = boto3.Session(key, secret, region_name=REGION)
    with pytest.raises(ClientError) as refused:
        session.client("s3").get_object(Bucket=deployed.outputs["TensorBucketName"], Key="updates/anything")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    with pytest.raises(ClientError, match="AccessDenied"):
        session.client("dynamodb").scan(TableName=deployed.outputs["ClientsTableName"])


# ---- what the functions said


def test_no_function_was_refused_anything_and_each_one_ran(deployed: Deployed) -> None:
    lines: dict[str, list[str]] = defaultdict(list)
    logs = deployed.account.client("logs")
    for name in FUNCTIONS:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/muster-{name}")
        lines[name] += [event["message"] for page in pages for event in page["events"]]
    denied = {name: [line for line in found if "AccessDenied" in line] for name, found in lines.items()}
    print(f"\n{'function':<20} {'calls':>6} {'first':>9} {'median':>9} {'longest':>9}   milliseconds; the first is cold")
    for name, found in lines.items():
        durations = [float(match[1]) for line in found if (match := re.search(r"\tDuration: ([\d.]+) ms", line))]
        assert durations, f"{name} never ran"
        first, *warm = durations
        print(f"{name:<20} {len(durations):>6} {first:>9.0f} {statistics.median(warm or [first]):>9.0f} {max(durations):>9.0f}")
    print(f"AccessDenied: {sum(map(len, denied.values()))}")
    assert not any(denied.values()), denied
    errors = {
        name: [line for line in found if '"level":"ERROR"' in line or "Traceback" in line] for name, found in lines.items()
    }
    assert not any(errors.values()), errors


# ---- the end


def test_a_deployment_that_fails_is_rolled_back_and_says_which_resource_and_why(
    deployed: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = shutil.copytree(package.package("x86_64"), tmp_path / "broken")
    template = yaml.safe_load((broken / "template.yaml").read_text())
    secret = {"Type": "SecureString", "Value": "x"}  # CloudFormation makes no such parameter
    template["Resources"]["Broken"] = {"Type": "AWS::SSM::Parameter", "Properties": secret}
    (broken / "template.yaml").write_text(yaml.safe_dump(template))
    monkeypatch.setattr(package, "package", lambda architecture: broken)
    why = r"second could not be created and is ROLLBACK_COMPLETE: Broken .AWS::SSM::Parameter.: .*SecureString"
    with pytest.raises(Stopped, match=why):
        deploy(deployed.account, "second", "x86_64", {}, agreed=True)
    with pytest.raises(Stopped, match="make destroy STACK=second"):
        deploy(deployed.account, "second", "x86_64", {}, agreed=True)
    destroy(deployed.account, "second", with_data=True)


def test_deploying_the_same_again_changes_nothing(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    deploy(deployed.account, "muster", "x86_64", {}, agreed=True)
    assert "muster is up to date" in capsys.readouterr().out


def test_a_parameter_that_the_template_does_not_know_is_refused_and_what_was_uploaded_can_be_taken_away(
    deployed: Deployed,
) -> None:
    with pytest.raises(Stopped, match="CloudFormation does not take it"):
        deploy(deployed.account, "third", "x86_64", {"LogRetentionDays": "8"}, agreed=True)
    assert destroy(deployed.account, "third", with_data=False) == []
    with pytest.raises(Stopped, match="there is no stack third"):
        destroy(deployed.account, "third", with_data=False)


def test_a_bucket_name_that_is_taken_is_noticed_before_anything_is_made(deployed: Deployed) -> None:
    with pytest.raises(Stopped, match="choose another BucketName"):
        deploy(deployed.account, "third", "x86_64", {"BucketName": deployed.outputs["TensorBucketName"]}, agreed=True)
    assert Stack(deployed.account, "third").described() is None


def test_when_the_stack_is_destroyed_with_its_data_nothing_is_left(deployed: Deployed) -> None:
    account = deployed.account
    assert destroy(account, "muster", with_data=True) == []
    left = {
        "tables": account.client("dynamodb").list_tables()["TableNames"],
        "buckets": account.client("s3").list_buckets()["Buckets"],
        "queues": account.client("sqs").list_queues().get("QueueUrls", []),
        "functions": account.client("lambda").list_functions()["Functions"],
        "sources": account.client("lambda").list_event_source_mappings()["EventSourceMappings"],
        "roles": account.client("iam").list_roles()["Roles"],
        "topics": account.client("sns").list_topics()["Topics"],
        "logs": account.client("logs").describe_log_groups()["logGroups"],
        "alarms": account.client("cloudwatch").describe_alarms()["MetricAlarms"],
        "rules": account.client("events").list_rules()["Rules"],
        "apis": account.client("apigateway").get_rest_apis()["items"],
    }
    assert {name: found for name, found in left.items() if found} == {}
