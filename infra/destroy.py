"""Takes a deployment down: `python -m infra.destroy` is what `make destroy` runs.

The stack goes; its tables and its bucket stay, because that is where the models are, unless `--with-data` is given. The stack
goes first, so that nothing writes any more to what is deleted after it.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from botocore.exceptions import ClientError

from infra.deploy import code_bucket
from infra.errors import Stopped, told
from infra.stack import Account, Stack

DATA = ("AWS::DynamoDB::Table", "AWS::S3::Bucket")


def destroy(account: Account, name: str, *, with_data: bool) -> list[str]:
    """Take a stack down; the names of what stays.

    Raises:
        Stopped: there is no such stack, or a resource could not be deleted.
    """
    stack = Stack(account, name)
    known = stack.described() is not None
    data = [(kind, physical) for kind, physical in stack.resources().values() if kind in DATA] if known else []
    stack.delete()
    if with_data:
        for kind, physical in data:
            (_delete_table if kind == "AWS::DynamoDB::Table" else _delete_bucket)(account, physical)
    # A deployment that was refused, or not agreed to, leaves this bucket and no stack.
    if not _delete_bucket(account, code_bucket(account, stack)) and not known:
        raise Stopped(f"there is no stack {name} in {account.region} of account {account.id}")
    return [] if with_data else [physical for _, physical in data]


def _delete_table(account: Account, name: str) -> None:
    dynamodb = account.client("dynamodb")
    try:
        dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
        dynamodb.get_waiter("table_exists").wait(TableName=name)
        dynamodb.delete_table(TableName=name)
        dynamodb.get_waiter("table_not_exists").wait(TableName=name)
    except dynamodb.exceptions.ResourceNotFoundException:
        return


def _delete_bucket(account: Account, name: str) -> bool:
    """Delete a bucket with every version of every object, and what was never finished; whether there was one."""
    s3 = account.client("s3")
    try:
        s3.head_bucket(Bucket=name, ExpectedBucketOwner=account.id)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
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
    parser.add_argument("--with-data", action="store_true", help="delete the tables and the bucket, too: there is no way back")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    options = parser.parse_args()
    if not options.yes and not sys.stdin.isatty():
        raise Stopped("there is nobody to ask: give --yes")
    account = Account(options.profile, options.region)
    what = "with all models, clients and history" if options.with_data else "but its tables and its bucket"
    question = f"Delete the stack {options.stack} in {account.region} of account {account.id}, {what}? Type its name: "
    if not options.yes and input(question).strip() != options.stack:
        raise Stopped("nothing was changed")
    left = destroy(account, options.stack, with_data=options.with_data)
    print(f"{options.stack} is gone")
    if left:
        print("what stays:", *left, sep="\n  ")


if __name__ == "__main__":
    with told():
        main()
