"""Takes a deployment down: `python -m infra.destroy` is what `make destroy` runs.

The stack goes. Its tables and its bucket stay, because that is where the models are, and so does the key that devices have
pinned, unless `--with-data` is given: then they go too, now or when the stack has gone already, the key after 30 days. The
stack goes first, so that nothing writes any more to what is deleted.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from botocore.exceptions import ClientError

from infra import inventory
from infra.deploy import code_bucket
from infra.errors import Stopped, told
from infra.stack import Account, Stack
from infra.steps import step

DATA = ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::KMS::Key")

KEY_DAYS = 30
"""How long KMS keeps a key that is to be deleted, in case somebody thinks better of it (AWS KMS: "Delete a KMS key")."""


def data_of(stack: Stack) -> list[tuple[str, str]]:
    """Type and name of the tables, the bucket and the key of a stack, or of those that it left behind when it was deleted."""
    found = stack.resources().values() if stack.described() else stack.retained()
    return [(kind, name) for kind, name in found if kind in DATA]


def announced(account: Account, name: str, *, with_data: bool) -> list[str]:
    """What is there, and what becomes of it, a line each: what somebody should know before the answer.

    Raises:
        Stopped: there is no such stack, nor anything of it that could be known.
    """
    stack = Stack(account, name)
    known, bucket = stack.described() is not None, code_bucket(account, stack)
    with step(f"looking at what {name} holds"):
        held = inventory.look(account, data_of(stack))
    where = f"in {account.region} of account {account.id}"
    if not held and not known and not _is_there(account, bucket):
        raise Stopped(f"there is no stack {name} {where}")
    told = [f"The stack {name} {where} is about to be deleted{'' if known else ' (it is gone; what it left is not)'}."]
    told += [f"  its functions, API, queues, alarms, and {bucket} with its code: deleted"]
    if held:
        told += [
            f"ITS DATA GO TOO, and there is no way back (a key: after {KEY_DAYS} days):" if with_data else "Its data stay:"
        ]
        told += inventory.lines(held)
    return told


def _is_there(account: Account, bucket: str) -> bool:
    try:
        account.client("s3").head_bucket(Bucket=bucket)
    except ClientError as error:
        return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] != 404)
    return True


def destroy(account: Account, name: str, *, with_data: bool) -> list[str]:
    """Take a stack down; the names of the tables, the bucket and the key, which stay, or, with data, went. Safe to repeat.

    Raises:
        Stopped: there is no such stack, nor anything of it, or a resource could not be deleted.
    """
    stack = Stack(account, name)
    known, data = stack.described() is not None, data_of(stack)
    stack.delete()
    gone = [physical for kind, physical in data if with_data and _delete(account, kind, physical)]
    # A deployment that was refused, or not agreed to, leaves this bucket and no stack.
    had_code = _delete_bucket(account, code_bucket(account, stack))
    if not (known or gone or had_code):
        raise Stopped(f"there is no stack {name} in {account.region} of account {account.id}")
    return gone if with_data else [physical for _, physical in data if known]


def _delete(account: Account, kind: str, name: str) -> bool:
    match kind:
        case "AWS::DynamoDB::Table":
            return _delete_table(account, name)
        case "AWS::KMS::Key":
            return _delete_key(account, name)
    return _delete_bucket(account, name)


def _delete_key(account: Account, name: str) -> bool:
    """Let a key be deleted after `KEY_DAYS`; whether there was one that was to stay."""
    kms = account.client("kms")
    try:
        if kms.describe_key(KeyId=name)["KeyMetadata"]["KeyState"] == "PendingDeletion":
            return False
        kms.schedule_key_deletion(KeyId=name, PendingWindowInDays=KEY_DAYS)
    except kms.exceptions.NotFoundException:
        return False
    return True


def _delete_table(account: Account, name: str) -> bool:
    """Delete a table that protects itself; whether there was one."""
    dynamodb = account.client("dynamodb")
    try:
        dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
        dynamodb.get_waiter("table_exists").wait(TableName=name)
        dynamodb.delete_table(TableName=name)
        dynamodb.get_waiter("table_not_exists").wait(TableName=name)
    except dynamodb.exceptions.ResourceNotFoundException:
        return False
    return True


def _delete_bucket(account: Account, name: str) -> bool:
    """Delete a bucket with every version of every object, and what was never finished; whether there was one."""
    s3 = account.client("s3")
    try:
        s3.head_bucket(Bucket=name, ExpectedBucketOwner=account.id)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise Stopped(f"the bucket {name} is somebody else's, or not to be seen with these credentials: {error}") from error
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=name):
        for upload in page.get("Uploads", []):
            s3.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
        found: list[Any] = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        objects = [{"Key": version["Key"], "VersionId": version["VersionId"]} for version in found]
        if objects:
            answer = s3.delete_objects(Bucket=name, Delete={"Objects": objects, "Quiet": True})
            if errors := answer.get("Errors"):
                raise Stopped(f"{name}: {errors[0]['Key']} could not be deleted: {errors[0].get('Message')}")
    s3.delete_bucket(Bucket=name)
    return True


def main() -> None:
    """Take a deployment down, after asking for its name."""
    parser = argparse.ArgumentParser(prog="python -m infra.destroy", description="Take a deployment of Muster down.")
    parser.add_argument("stack", nargs="?", default="muster", help="name of the CloudFormation stack (default: %(default)s)")
    parser.add_argument("--profile", help="AWS profile (default: what AWS_PROFILE says)")
    parser.add_argument("--region", help="AWS region (default: the profile's)")
    parser.add_argument("--with-data", action="store_true", help="delete the tables, the bucket and the key, too: no way back")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    options = parser.parse_args()
    if not options.yes and not sys.stdin.isatty():
        raise Stopped("there is nobody to ask: give --yes")
    account = Account(options.profile, options.region)
    print(*announced(account, options.stack, with_data=options.with_data), sep="\n")
    if not options.yes and input("Type its name to go on: ").strip() != options.stack:
        raise Stopped("nothing was changed")
    with step(f"taking {options.stack} down (some minutes)"):
        data = destroy(account, options.stack, with_data=options.with_data)
    print(f"{options.stack} is gone")
    if data:
        print("and so are its data:" if options.with_data else "what stays:", *data, sep="\n  ")


if __name__ == "__main__":
    with told():
        main()
