"""The packaged template on the strict cloud, from its deployment to its end: real queues, real schedules, real roles.

What is typed and pasted is read from docs/deploy.md and docs/operations.md. The tests are one story and run in this order, in
one process (`make e2e`).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import ssl
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import unquote, urlsplit

import boto3
import httpx
import pytest
import yaml
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from chalicelib.storage.presign import Presigner
from infra import package
from infra.deploy import api_url, deploy
from infra.destroy import destroy
from infra.errors import Stopped
from infra.stack import Account, Stack
from infra.strict import REGION, ROOT_KEY, ROOT_SECRET, StrictCloud
from muster import Device
from muster.operator import Operator
from muster.operator.signing import SigV4
from muster.simulation.outcome import SimulationOutcome
from muster.wire import messages as wire
from muster.wire.arrays import encode
from muster.wire.problems import MEDIA_TYPE, Problem
from tests.e2e import canary
from tests.e2e.page import ROOT, block, typed
from tests.fleet import BASE
from tests.simulation.places import digests, in_this_process, there

DEVICES, FEW = 20, 4
FUNCTIONS = ("api", "tick", "monitor", "inspection-worker", "aggregation-worker")
TABLES_AND_BUCKET = ("ClientsTableName", "RoundsTableName", "VersionsTableName", "MonitoringTableName", "TensorBucketName")


@dataclass
class Deployed:
    """A stack that runs, and who asks it for something."""

    cloud: StrictCloud
    account: Account
    url: str
    outputs: dict[str, str]
    operator: Operator
    person: dict[str, str]
    """The environment of somebody who may do what an operator may, and nothing else."""
    ended: dict[str, float] = field(default_factory=dict)
    """When a stack was taken down that ran, in milliseconds."""


@pytest.fixture(scope="module")
def cloud() -> Iterator[StrictCloud]:
    with StrictCloud() as made, pytest.MonkeyPatch.context() as patch:
        for name, value in made.environment.items():
            patch.setenv(name, value)
        yield made


@pytest.fixture(scope="module")
def deployed(cloud: StrictCloud) -> Iterator[Deployed]:
    account = Account()
    more = {"ARGS": "--parameter CheckInSeconds=5"}  # devices come again as soon as a tick may have opened a round
    output = typed(block("deploy.md", "Deploy", "sh"), more, answers="y\n")
    (url,) = re.findall(r"^export MUSTER_URL=(\S+)$", output, re.MULTILINE)
    outputs = Stack(account, "muster").outputs()
    keys = principal(account, "operator", policy(account, outputs, "deploy.md", "Operators"))
    person = {"AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1], "MUSTER_URL": url}
    with closing(Operator(url, auth=signer(keys))) as operator:
        yield Deployed(cloud, account, url, outputs, operator, person)


def policy(account: Account, outputs: dict[str, str], page: str, heading: str, stack: str = "muster") -> str:
    """A policy that a document gives, with the names of a stack in the place of its capitals."""
    names = {"REGION": REGION, "ACCOUNT": account.id, "API": outputs["RestAPIId"], "STACK": stack}
    kinds = ("CLIENTS", "ROUNDS", "VERSIONS", "MONITORING", "BUCKET")
    names |= dict(zip(kinds, (outputs[name] for name in TABLES_AND_BUCKET), strict=True))
    return re.sub(rf"\b({'|'.join(names)})\b", lambda match: names[match[1]], block(page, heading, "json"))


def principal(account: Account, name: str, allowed: str | None = None) -> tuple[str, str]:
    """A user who may do what a policy allows, or nothing; the keys."""
    iam = account.client("iam")
    iam.create_user(UserName=name)
    if allowed:
        iam.put_user_policy(UserName=name, PolicyName="allowed", PolicyDocument=allowed)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return made["AccessKeyId"], made["SecretAccessKey"]


def signer(keys: tuple[str, str]) -> SigV4:
    return SigV4(Credentials(*keys), REGION)


@pytest.fixture(scope="module")
def let_loose(deployed: Deployed) -> Iterator[Future[SimulationOutcome]]:
    """A simulated fleet, which trains here while other devices do."""
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(there, deployed.operator, clients=FEW, rounds=1)


@pytest.fixture(scope="module")
def worse_canary(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> int:
    """A rollout whose devices have reported it worse; the schedule finds it while others train."""
    return canary.reported(deployed.operator, deployed.url, tmp_path_factory.mktemp("sensors"))


@pytest.mark.usefixtures("worse_canary")
def test_twenty_devices_train_to_a_published_version_over_real_queues_and_the_real_schedule(
    deployed: Deployed, let_loose: Future[SimulationOutcome], tmp_path: Path
) -> None:
    fewer = f"--rounds 1 --devices {DEVICES - 2} --out {tmp_path}"
    commands = block("deploy.md", "The first rounds", "sh").replace("--rounds 12", fewer)
    typed(commands, deployed.person, status=2)  # make's, because one round is too few to learn all
    told = json.loads((tmp_path / "demo.json").read_text())
    assert [sentence for sentence in told["unmet"] if "accuracy" not in sentence] == []
    assert (told["rounds_completed"], told["deployed_version"]) == (1, 1)
    assert told["accepted"] >= 14
    assert told["rejected"] == {"not-finite": 1, "wrong-shape": 1}
    assert told["final_accuracy"] > 0.3
    assert set(told["tour"].values()) == {0}
    assert "muster rollback digits --because 'a tour'" in told["tour"]
    version = deployed.operator.version("digits", 1)
    assert hashlib.sha256(deployed.operator.download(version.checkpoint)).hexdigest() == told["checkpoint_sha256"]
    let_loose.result()
    assert len(list(deployed.operator.clients())) == DEVICES + FEW + canary.CLIENTS


def test_what_is_simulated_in_one_process_is_what_happens_here_to_the_last_bit(
    let_loose: Future[SimulationOutcome],
) -> None:
    outcome = let_loose.result()
    assert digests(outcome) == digests(in_this_process(clients=FEW, rounds=1))
    assert [rnd.accepted for rnd in outcome.rounds] == [FEW]


def test_the_functions_have_counted_what_they_used(deployed: Deployed) -> None:
    spent = deployed.operator.model_cost("digits").total.spent
    assert spent.amounts["api_requests"] >= 20
    assert spent.amounts["dynamodb_write_units"] > spent.amounts["api_requests"]
    assert spent.amounts["lambda_gb_seconds"] > 0
    assert 1e-5 < spent.dollars < 1


def test_the_overview_may_look_at_dead_letters_and_alarms(deployed: Deployed) -> None:
    found = deployed.operator.overview()
    assert found.dead_letters == 0
    assert [trouble for trouble in found.troubles if "AccessDenied" in trouble] == []


def test_a_canary_that_is_worse_is_taken_back_by_the_schedule(deployed: Deployed, worse_canary: int) -> None:
    deadline = time.monotonic() + 180
    while (last := next(iter(deployed.operator.deployments(canary.MODEL)))).revision == worse_canary:
        assert time.monotonic() < deadline, deployed.operator.rollout(canary.MODEL)
        time.sleep(2.0)
    assert (last.kind, last.version, last.left, last.by) == ("aborted", 0, [1], None)
    assert last.because.startswith("the candidate is worse: accuracy differs by "), last.because
    with_it, beside = map(int, re.findall(r"(\d+) clients with it, (\d+) beside", last.because)[0])
    assert with_it + beside == canary.CLIENTS


def test_an_operator_brings_a_model_of_their_own(deployed: Deployed, tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "comfort.safetensors").write_bytes(encode(BASE))
    output = typed(block("deploy.md", "Your own model", "sh"), deployed.person, folder=tmp_path)
    assert "running, 0 of 10 rounds completed" in output
    status = deployed.operator.status("comfort")
    assert (status.training.state, status.deployed_version) == ("running", 0)


def test_an_operator_rolls_back(deployed: Deployed) -> None:
    typed(f"{ROOT}/.venv/bin/muster rollback digits --because 'a drill'", deployed.person)
    assert deployed.operator.status("digits").deployed_version == 0


def test_without_the_permission_to_sign_or_with_one_for_another_key_nothing_is_deployed(deployed: Deployed) -> None:
    iam, functions, kms = (deployed.account.client(service) for service in ("iam", "lambda", "kms"))
    role = functions.get_function_configuration(FunctionName="muster-api")["Role"].rpartition("/")[2]
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    given = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    others = [statement for statement in given["Statement"] if statement["Sid"] != "SignDeployments"]
    (signs,) = [statement for statement in given["Statement"] if statement["Sid"] == "SignDeployments"]
    assert signs["Resource"] == deployed.outputs["SigningKeyArn"]
    other = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]
    revision = deployed.operator.status("digits").deployment_revision
    keys = deployed.person["AWS_ACCESS_KEY_ID"], deployed.person["AWS_SECRET_ACCESS_KEY"]

    def deployed_with(*statements: Any) -> httpx.Response:
        document = json.dumps({**given, "Statement": [*others, *statements]})
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=document)
        body, url = {"version": "1", "revision": revision}, f"{deployed.url}/v1/admin/models/digits/deployments"
        return httpx.post(url, json=body, auth=signer(keys), timeout=30.0)

    for statements in ([], [{**signs, "Resource": other["Arn"]}], [{**signs, "Action": ["kms:GetPublicKey"]}]):
        refused = deployed_with(*statements)
        assert (refused.status_code, refused.json()["type"]) == (503, Problem.SIGNING_FAILED.urn), refused.text
        assert refused.json()["got"] == "KMS says AccessDenied"
        assert deployed.operator.status("digits").deployment_revision == revision
    assert deployed_with(signs).json()["revision"] == revision + 1
    deployed.operator.rollback("digits", revision=revision + 1)
    kms.schedule_key_deletion(KeyId=other["KeyId"], PendingWindowInDays=7)


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
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": f"{api}/GET/v1/admin/models"}
    reader = signer(principal(deployed.account, "reader", json.dumps({"Version": "2012-10-17", "Statement": [statement]})))
    assert httpx.get(f"{deployed.url}/v1/admin/models", auth=reader).status_code == 200
    assert httpx.get(f"{deployed.url}/v1/admin/statistics", auth=reader).status_code == 403


FILES = "/v1/admin/models/digits/rounds/1/files"
VARIANTS = (
    f"{FILES}/", f"{FILES}//", f"/{FILES}", FILES.replace("/admin", "//admin"), FILES.replace("/rounds", "//rounds"),
    FILES.replace("/1/", "/1//"), FILES.replace("files", "%66iles"), FILES.replace("/files", "%2Ffiles"),
    FILES.replace("files", "FILES"), FILES.replace("/v1", "/V1"), FILES.replace("/1/", "/01/"), FILES.replace("/1/", "/./1/"),
    FILES.replace("/1/", "/2/../1/"), f"{FILES}/.", f"{FILES};x", f"{FILES}%00", f"{FILES}%20", f"{FILES}?after=device-01",
)  # fmt: skip
"""A path, and what might be taken for it. The last one is no variant, but the path with a query."""


def asked(deployed: Deployed, keys: tuple[str, str], path: str) -> tuple[int, str]:
    """Status and media type of a signed GET of a path that is sent exactly as it stands here."""
    parts = urlsplit(deployed.url)
    signed = AWSRequest("GET", f"{deployed.url}{path}")
    SigV4Auth(Credentials(*keys), "execute-api", REGION).add_auth(signed)
    with closing(HTTPSConnection(str(parts.hostname), parts.port, context=ssl.create_default_context())) as connection:
        connection.request("GET", f"{parts.path}{path}", headers=dict(signed.headers))
        answer = connection.getresponse()
        answer.read()
        return answer.status, str(answer.getheader("Content-Type"))


def test_a_deny_holds_against_every_variant_of_its_path_and_so_does_the_server(deployed: Deployed) -> None:
    everything = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}
    denied = json.loads(policy(deployed.account, deployed.outputs, "operations.md", "Checking a version by recomputing it"))

    def person(name: str, *statements: Any) -> tuple[str, str]:
        return principal(deployed.account, name, json.dumps({"Version": "2012-10-17", "Statement": statements}))

    trusted, other = person("trusted", everything), person("not-trusted", everything, denied)
    answered = asked(deployed, trusted, FILES)
    assert answered[0] in (200, 409, 410), "who may ask is told what became of the updates"
    assert asked(deployed, other, "/v1/admin/models/digits/rounds/1")[0] == 200
    found = {path: (asked(deployed, trusted, path), asked(deployed, other, path)) for path in (FILES, *VARIANTS)}
    print(*(f"{theirs[0]} {others[0]} {path}" for path, (theirs, others) in found.items()), sep="\n")
    for path, (theirs, others) in found.items():
        assert others[0] == 403, f"{path} goes past the Deny"
        if path in (FILES, VARIANTS[-1]):
            assert theirs == answered, path
        elif theirs == answered:
            assert unquote(path) == FILES, (
                f"{path} is answered as the route is, which a gateway may only do that decodes it first"
            )
        else:
            assert theirs[0] in (403, 404), f"{path} is answered"
        if theirs[1] == MEDIA_TYPE:
            assert others[1] != MEDIA_TYPE, f"{path} reached the function, so the Deny does not fit it"


def test_what_is_no_route_or_no_json_is_refused_by_name(deployed: Deployed) -> None:
    for path, headers, problem in (
        ("/v1/heartbeat/", {"Content-Type": "application/json"}, Problem.FORBIDDEN),
        ("/v1//heartbeat", {"Content-Type": "application/json"}, Problem.FORBIDDEN),
        ("/v1/heartbeat", {}, Problem.UNSUPPORTED_MEDIA_TYPE),
        ("/v1/heartbeat", {"Content-Type": "image/png"}, Problem.UNSUPPORTED_MEDIA_TYPE),
        ("/v1/heartbeat", {"Content-Type": "*/*"}, Problem.UNSUPPORTED_MEDIA_TYPE),
        ("/v1/rounds/digits.01/upload", {"Content-Type": "application/json"}, Problem.UNKNOWN_ROUND),
        (f"/v1/rounds/{'x' * 2048}/upload", {"Content-Type": "application/json"}, Problem.UNKNOWN_ROUND),
    ):
        found = httpx.post(f"{deployed.url}{path}", content=b"{}", headers=headers)
        assert (found.status_code, found.headers["content-type"]) == (problem.kind.status, MEDIA_TYPE), (path, found.text)
        assert found.json()["type"] == problem.urn


def test_an_operator_cannot_read_updates_nor_tables(deployed: Deployed) -> None:
    keys = deployed.person["AWS_ACCESS_KEY_ID"], deployed.person["AWS_SECRET_ACCESS_KEY"]
    session = boto3.Session(*keys, region_name=REGION)
    with pytest.raises(ClientError) as refused:
        session.client("s3").get_object(Bucket=deployed.outputs["TensorBucketName"], Key="updates/anything")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    with pytest.raises(ClientError, match="AccessDenied"):
        session.client("dynamodb").scan(TableName=deployed.outputs["ClientsTableName"])


# ---- what the store refuses


def presigner(deployed: Deployed) -> Presigner:
    endpoint = deployed.cloud.environment["AWS_ENDPOINT_URL"]
    return Presigner(
        credentials=Credentials(ROOT_KEY, ROOT_SECRET),
        region=REGION,
        bucket=deployed.outputs["TensorBucketName"],
        endpoint=endpoint,
        seconds=900,
    )


def test_a_grant_is_good_for_its_own_bytes_once_and_for_nothing_else(deployed: Deployed, tmp_path: Path) -> None:
    token, bucket = deployed.operator.mint_token(1, models=["comfort"]).token, deployed.outputs["TensorBucketName"]
    with closing(Device.enrol(deployed.url, token, "uploader", model="comfort", state_dir=tmp_path)) as device:
        deadline = time.monotonic() + 120
        while (assignment := device.check_in()).kind != "train":
            assert time.monotonic() < deadline, assignment
            time.sleep(2.0)
        content = b"exactly these bytes".ljust(100, b".")
        request = wire.UploadRequest(bytes=len(content), sha256=hashlib.sha256(content).hexdigest(), examples=1)
        grant = device.keys.call("POST", f"/v1/rounds/{assignment.round}/upload", wire.UploadGrant, request)
        with httpx.Client() as http:

            def put(body: bytes, url: str = grant.url, **headers: str) -> int:
                return http.put(url, content=body, headers={**grant.headers, **headers}).status_code

            assert put(content.upper()) == 400, "another body of the same length"
            assert put(content + b"!", **{"Content-Length": str(len(content) + 1)}) == 403, "another length"
            assert put(content, grant.url.replace("/uploader/", "/device-01/")) == 403, "another client's key"
            assert put(content, **{"If-None-Match": "x"}) == 403, "another condition"
            assert put(content, **{"x-amz-acl": "public-read"}) == 403, "an ACL"
            assert put(content, **{"x-amz-server-side-encryption": "AES256"}) == 403, "another encryption"
            assert put(content, **{"Content-Encoding": "gzip"}) == 200
            assert put(content) == 412, "a second time"
            stored = http.get(presigner(deployed).get(unquote(urlsplit(grant.url).path).partition(f"/{bucket}/")[2]))
            assert (stored.headers["content-encoding"], stored.content) == ("identity", content), "as it was stored"


def test_an_expired_url_is_refused(deployed: Deployed) -> None:
    content = b"too late"
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    with mock.patch("botocore.auth.get_current_datetime", return_value=an_hour_ago.replace(tzinfo=None)):
        url, headers = presigner(deployed).put("updates/late", len(content), hashlib.sha256(content).hexdigest())
    assert httpx.put(url, content=content, headers=headers).status_code == 403


# ---- backup and restore


def told(device: Device) -> tuple[int, bytes]:
    """Version and content of the model that a device is to run."""
    version, arrays = device.model()
    return version, encode(arrays)


def lineage(operator: Operator, model: str) -> list[dict[str, Any]]:
    """All that is known of each version, but the URLs that were signed for this answer."""
    return [version.model_dump(exclude={"checkpoint", "document_url"}) for version in operator.versions(model)]


def test_a_backup_restored_into_an_empty_stack_has_the_same_versions_and_knows_the_same_devices(
    deployed: Deployed, tmp_path: Path
) -> None:
    account, muster, stored = deployed.account, f"{ROOT}/.venv/bin/muster", tmp_path / "device"
    token = deployed.operator.mint_token(1).token
    with closing(Device.enrol(deployed.url, token, "survivor", model="digits", state_dir=stored)) as device:
        before = told(device)

    def may(heading: str, outputs: dict[str, str], stack: str) -> dict[str, str]:
        allowed = policy(account, outputs, "operations.md", heading, stack)
        key, secret = principal(account, heading.split()[-1], allowed)
        return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}

    backup = may("Permissions of a backup", deployed.outputs, "muster")
    typed(f"{muster} backup {tmp_path}/copy --stack muster", backup)
    assert "whole:" in typed(f"{muster} backup {tmp_path}/copy --verify", {})
    typed(f"make deploy STACK=muster-2 ARGS='--yes --parameter SigningKey={deployed.outputs['SigningKeyArn']}'", {})
    outputs = Stack(account, "muster-2").outputs()
    restore = may("Permissions of a restore", outputs, "muster-2")
    typed(f"{muster} restore {tmp_path}/copy --stack muster-2 --dry-run", restore)
    typed(f"{muster} restore {tmp_path}/copy --stack muster-2", restore)
    url = api_url(outputs)
    with closing(Operator.connect(url)) as restored:
        old, new = deployed.operator, restored
        assert new.status("digits").deployed_version == old.status("digits").deployed_version
        for model in ("digits", "comfort"):
            assert lineage(old, model) == lineage(new, model)
            for version in new.versions(model):
                content = new.download(new.version(model, version.version).checkpoint)
                assert hashlib.sha256(content).hexdigest() == old.version(model, version.version).checkpoint.sha256
        assert new.round("comfort", 1).phase == "abandoned"
        ids = [{client.client_id for client in one.clients()} for one in (old, new)]
        assert ids[0] == ids[1]
    Device.move(stored, url)
    with closing(Device.enrol(url, "none is needed", "survivor", model="digits", state_dir=stored)) as device:
        assert told(device) == before
        assert device.heartbeat_if_due() is not None
        assert device.check_in().kind == "wait"
        with closing(Operator.connect(url)) as restored:
            restored.deploy("digits", 1, revision=restored.status("digits").deployment_revision)
        deadline = time.monotonic() + 60
        while told(device)[0] != 1:  # which it runs only if the new stack signs with the old one's key
            assert time.monotonic() < deadline, "a warm function remembers for seconds"
            time.sleep(0.2)


# ---- what the functions said


def test_no_function_was_refused_anything_and_each_one_ran(deployed: Deployed) -> None:
    lines: dict[str, list[str]] = defaultdict(list)
    logs = deployed.account.client("logs")
    for name in [f"{stack}-{function}" for stack in ("muster", "muster-2") for function in FUNCTIONS]:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}")
        lines[name] += [event["message"] for page in pages for event in page["events"]]
    denied = {name: [line for line in found if "AccessDenied" in line] for name, found in lines.items()}
    said = deployed.cloud.log()
    print("\nmilliseconds, medians; as many of the longest calls as there were starts are taken for cold")
    print(f"{'function':<28} {'calls':>6} {'starts':>6} {'cold':>8} {'warm':>8} {'longest':>8}")
    for name, found in lines.items():
        durations = sorted(float(match[1]) for line in found if (match := re.search(r"\tDuration: ([\d.]+) ms", line)))
        if not durations and name.startswith("muster-2-"):
            continue  # nobody trained there
        assert durations, f"{name} never ran"
        starts = min(len(durations), said.count(f"worker spawned for {name} "))
        warm, cold = durations[: len(durations) - starts], durations[len(durations) - starts :]
        medians = [f"{statistics.median(some):.0f}" if some else "-" for some in (cold, warm)]
        print(f"{name:<28} {len(durations):>6} {starts:>6} {medians[0]:>8} {medians[1]:>8} {durations[-1]:>8.0f}")
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


def test_deploying_the_same_again_changes_nothing(deployed: Deployed) -> None:
    assert "muster is up to date" in typed(block("deploy.md", "A new release", "sh"), {}, answers="y\n")


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


def test_tables_and_bucket_outlive_their_stack_and_can_go_later(deployed: Deployed) -> None:
    outputs, command = Stack(deployed.account, "muster-2").outputs(), "make destroy STACK=muster-2"
    names = {outputs[name] for name in TABLES_AND_BUCKET}
    tables, s3 = deployed.account.client("dynamodb").list_tables, deployed.account.client("s3")
    deployed.ended["muster-2"] = 1000 * time.time()
    said = typed(command, {}, answers="muster-2\n").partition("what stays:")[2].split()
    assert set(said) == names
    assert names - {outputs["TensorBucketName"]} < set(tables()["TableNames"])
    s3.head_bucket(Bucket=outputs["TensorBucketName"])
    assert "nothing was changed" in typed(f"{command} ARGS=--with-data", {}, answers="muster\n", status=2)
    typed(f"{command} ARGS=--with-data", {}, answers="muster-2\n")
    assert not names & {*tables()["TableNames"], *(bucket["Name"] for bucket in s3.list_buckets()["Buckets"])}


def signing_keys(account: Account) -> list[Any]:
    """The keys of the account that sign."""
    kms = account.client("kms")
    found = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
    return [key for key in found if key["KeyUsage"] == "SIGN_VERIFY"]


def _is_made_anew(group: Any, ended: Mapping[str, float]) -> bool:
    """Whether the emulator made a log group for a run that outlived its group; in AWS no function of ours may."""
    stacks = [stack for stack in ended if group["logGroupName"].startswith(f"/aws/lambda/{stack}-")]
    return bool(stacks) and group["creationTime"] >= ended[max(stacks, key=len)]


def test_when_the_stack_is_destroyed_with_its_data_nothing_is_left(deployed: Deployed) -> None:
    account = deployed.account
    deployed.ended["muster"] = 1000 * time.time()
    typed(block("deploy.md", "Take it down", "sh").rstrip() + " ARGS=--with-data", {}, answers="muster\n")
    groups = account.client("logs").describe_log_groups()["logGroups"]
    left = {
        "tables": account.client("dynamodb").list_tables()["TableNames"],
        "buckets": account.client("s3").list_buckets()["Buckets"],
        "queues": account.client("sqs").list_queues().get("QueueUrls", []),
        "functions": account.client("lambda").list_functions()["Functions"],
        "sources": account.client("lambda").list_event_source_mappings()["EventSourceMappings"],
        "roles": account.client("iam").list_roles()["Roles"],
        "topics": account.client("sns").list_topics()["Topics"],
        "logs": [group for group in groups if not _is_made_anew(group, deployed.ended)],
        "alarms": account.client("cloudwatch").describe_alarms()["MetricAlarms"],
        "rules": account.client("events").list_rules()["Rules"],
        "apis": account.client("apigateway").get_rest_apis()["items"],
        "keys": [key for key in signing_keys(account) if key["KeyState"] != "PendingDeletion"],
    }
    assert {name: found for name, found in left.items() if found} == {}
