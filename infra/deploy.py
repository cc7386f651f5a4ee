"""Brings Muster into an AWS account: `python -m infra.deploy` is what `make deploy` runs; docs/deploy.md tells the story.

    check the account ──▶ package ──▶ upload ──▶ change set, shown ──▶ execute ──▶ smoke test

Before the account was checked nothing is created; before the change set was agreed to, one private bucket of code.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import httpx
import yaml
from botocore.exceptions import ClientError

from chalicelib.admission.finding import UnknownSiteRule
from chalicelib.admission.finding import find as find_site_rule
from chalicelib.settings import request_seconds
from infra import changing, package
from infra.errors import Stopped, told
from infra.stack import Account, Stack
from infra.steps import step

MUSTER = Path(sys.executable).with_name("muster")
"""The command line, as it is installed beside this interpreter."""

RESERVED = 4
"""Concurrency that the template's functions reserve: three for the tick, one for the monitor."""

UNMADE = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED")
"""States in which a stack can only be deleted (CloudFormation: "Understand stack creation events", stack status codes)."""

STACK_NAME, BUCKET_NAME_LENGTH = re.compile("[a-z][a-z0-9]*(-[a-z0-9]+)*"), 63

UNRESERVED = 100
"""What Lambda wants to keep for all other functions (AWS Lambda: "Configuring reserved concurrency")."""


def check(account: Account, stack: Stack, parameters: Mapping[str, str]) -> None:
    """Look at what would make a deployment fail half-way.

    Raises:
        Stopped: something would.
    """
    _check_name(account, stack)
    found = stack.described()
    if found and found["StackStatus"] in UNMADE:
        raise Stopped(
            f"{stack.name} is {found['StackStatus']}, what is left of one that could not be made or deleted: remove it "
            f"(make destroy STACK={stack.name}), then deploy again"
        )
    if found and found["StackStatus"] == "UPDATE_ROLLBACK_FAILED":
        raise Stopped(
            f"{stack.name} is UPDATE_ROLLBACK_FAILED: mend what its events name, then "
            f"`aws cloudformation continue-update-rollback --stack-name {stack.name}`, then deploy again"
        )
    if found and found["StackStatus"].endswith("_IN_PROGRESS"):
        raise Stopped(f"{stack.name} is {found['StackStatus']}: wait until that has ended")
    _check_settings({**_told(found), **parameters})
    if found is None:
        _check_bucket(account, parameters.get("BucketName", ""))
        if parameters.get("ReserveConcurrency", "true") == "true":
            _check_concurrency(account)


def _check_name(account: Account, stack: Stack) -> None:
    most = BUCKET_NAME_LENGTH - len(code_bucket(account, stack)) + len(stack.name)
    if not STACK_NAME.fullmatch(stack.name) or len(stack.name) > most:
        raise Stopped(
            f"{stack.name} cannot name a stack, because buckets and queues are named after it: expected a lower case letter, "
            f"then letters, digits and dashes, {most} at most"
        )


def _told(found: Mapping[str, Any] | None) -> dict[str, str]:
    """The parameters of a stack that is there: one that is not given now stays as it is."""
    said = (found or {}).get("Parameters", [])
    return {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in said}


def _check_settings(parameters: Mapping[str, str]) -> None:
    """Look at what the functions would refuse when they start."""
    pace = min(float(parameters.get("CheckInSeconds", "60")), float(parameters.get("HeartbeatSeconds", "900")))
    try:
        request_seconds(parameters.get("RequestSeconds", ""), pace)
        if rule := parameters.get("SiteRule", ""):
            find_site_rule(rule)
    except (ValueError, UnknownSiteRule) as refused:
        raise Stopped(str(refused)) from refused


def _check_bucket(account: Account, name: str) -> None:
    if not name:
        return
    try:
        account.client("s3").head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return
        raise Stopped(f"the bucket name {name} is taken by somebody else: choose another BucketName") from error
    raise Stopped(f"there is a bucket {name} already: choose another BucketName, or none")


def _check_concurrency(account: Account) -> None:
    limits = account.client("lambda").get_account_settings()["AccountLimit"]
    left = limits["UnreservedConcurrentExecutions"] - RESERVED
    if left < UNRESERVED:
        raise Stopped(
            f"Lambda's quota of concurrent executions leaves {left} unreserved where it wants {UNRESERVED}: ask for more "
            "(Service Quotas, L-B99A9384), or deploy with --parameter ReserveConcurrency=false"
        )


def upload(account: Account, stack: Stack, made: Path) -> str:
    """Put code and template into the stack's bucket of code, under the names of their content; the template's URL."""
    s3, bucket = account.client("s3"), code_bucket(account, stack)
    try:
        s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account.id)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise Stopped(f"the bucket {bucket}, which is to hold the code, belongs to somebody else") from error
        where: dict[str, Any] = {"CreateBucketConfiguration": {"LocationConstraint": account.region}}
        s3.create_bucket(Bucket=bucket, **(where if account.region != "us-east-1" else {}))
        nobody = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=nobody)
    template: dict[str, Any] = yaml.safe_load((made / "template.yaml").read_text())
    keys = {path.name: _put(s3, bucket, path.read_bytes(), ".zip") for path in sorted(made.glob("*.zip"))}
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = {"Bucket": bucket, "Key": keys[resource["Properties"]["CodeUri"]]}
    key = _put(s3, bucket, yaml.safe_dump(template, width=128).encode(), ".yaml")
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    return f"{endpoint}/{bucket}/{key}" if endpoint else f"https://{bucket}.s3.{account.region}.amazonaws.com/{key}"


def code_bucket(account: Account, stack: Stack) -> str:
    """Where a stack's code lies."""
    return f"{stack.name}-code-{account.id}-{account.region}"


def _put(s3: Any, bucket: str, content: bytes, suffix: str) -> str:
    key = hashlib.sha256(content).hexdigest() + suffix
    s3.put_object(Bucket=bucket, Key=key, Body=content)
    return key


def show(stack: Stack, change_set: str, template: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
    """Print what would change: first what would be made anew, or go."""
    print(f"{stack.name} in {stack.account.region} of account {stack.account.id}:")
    print(*changing.lines(stack.changes(change_set), template, parameters), sep="\n")


def api_url(outputs: Mapping[str, str]) -> str:
    """Where the API answers. An emulator of AWS serves it under its own address."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        return f"{endpoint}/restapis/{outputs['RestAPIId']}/v/_user_request_"
    return outputs["EndpointURL"].rstrip("/")


def smoke(url: str, account: Account) -> None:
    """One request as a device would send it, and one that an operator types.

    Raises:
        Stopped: one of them is not answered as it should be.
    """
    try:
        release = httpx.get(f"{url}/v1/health", timeout=30.0).raise_for_status().json()["release"]
    except (httpx.HTTPError, ValueError, KeyError) as error:  # the last two: an answer that is none of ours
        raise Stopped(f"it was deployed, but {url} does not answer as it should: {error}") from error
    profile = ["--profile", account.profile] if account.profile else []
    command = [str(MUSTER), "--url", url, "--region", account.region, *profile, "model", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Stopped(f"it was deployed, but `muster model list` ends with {done.returncode}:\n{done.stderr.rstrip()}")
    print(f"release {release} answers, and `muster model list`:\n{done.stdout.rstrip()}\n")


def deploy(
    account: Account, name: str, architecture: package.Architecture, parameters: Mapping[str, str], *, agreed: bool
) -> str:
    """Deploy a stack; the URL of its API.

    Raises:
        Stopped: it cannot be deployed, or was not agreed to; or it failed, and was rolled back.
    """
    stack = Stack(account, name)
    with step(f"looking at account {account.id} in {account.region}"):
        check(account, stack, parameters)
        before = _told(stack.described())
    with step(f"packaging for {architecture}"):
        made = package.package(architecture)
    with step(f"uploading to {code_bucket(account, stack)}"):
        url = upload(account, stack, made)
    with step("asking CloudFormation what would change"):
        change_set = stack.propose(url, parameters)
    if change_set is None:
        print(f"{name} is up to date")
    else:
        show(stack, change_set, yaml.safe_load((made / "template.yaml").read_text()), {**before, **parameters})
        if not agreed and input("Go on? [y/N] ").strip().lower() != "y":
            stack.withdraw(change_set)
            raise Stopped("nothing was changed")
        with step(f"changing the stack {name} (some minutes; what happens: aws cloudformation describe-stack-events)"):
            stack.execute(change_set)
    outputs = stack.outputs()
    with step("asking it something, as a device and as an operator"):
        smoke(api_url(outputs), account)
    for key in sorted(outputs):
        print(f"{key:<24} {outputs[key]}")
    print(f"\nexport MUSTER_URL={api_url(outputs)}")
    return api_url(outputs)


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected Name=Value, got {text}")
    return name, value


def main() -> None:
    """Deploy, after asking."""
    parser = argparse.ArgumentParser(prog="python -m infra.deploy", description="Deploy Muster into an AWS account.")
    parser.add_argument("stack", nargs="?", default="muster", help="name of the CloudFormation stack (default: %(default)s)")
    parser.add_argument("--profile", help="AWS profile (default: what AWS_PROFILE says)")
    parser.add_argument("--region", help="AWS region (default: the profile's)")
    parser.add_argument(
        "--architecture", choices=get_args(package.Architecture), default="x86_64", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--parameter", type=_parameter, action="append", default=[], metavar="NAME=VALUE", help="a parameter of the template"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    options = parser.parse_args()
    if not options.yes and not sys.stdin.isatty():
        raise Stopped("there is nobody to ask: give --yes")
    account = Account(options.profile, options.region)
    deploy(account, options.stack, options.architecture, dict(options.parameter), agreed=options.yes)


if __name__ == "__main__":
    with told():
        main()
