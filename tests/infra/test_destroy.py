"""Taking a deployment down: what stays, what goes, and that the same command goes on where one died."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from infra import destroy as destroying
from infra.deploy import code_bucket
from infra.destroy import destroy
from infra.errors import Stopped
from infra.stack import Account, Stack
from tests.infra.accounts import Aws

REGION = "eu-north-1"
TABLES, BUCKET = ("clients", "rounds"), "tensors"
RESOURCES = {
    **{name: ("AWS::DynamoDB::Table", name) for name in TABLES},
    "bucket": ("AWS::S3::Bucket", BUCKET),
    "tick": ("AWS::Lambda::Function", "muster-tick"),
}


class Known:
    """CloudFormation's part: whether the stack is there, and what it has."""

    there = True
    key = ""

    def __init__(self, account: Account, name: str) -> None:
        self.account, self.name = account, name

    def described(self) -> dict[str, str] | None:
        return {"StackStatus": "CREATE_COMPLETE"} if Known.there and self.name == "muster" else None

    def resources(self) -> dict[str, tuple[str, str]]:
        assert self.described()
        return {**RESOURCES, "key": ("AWS::KMS::Key", Known.key)}

    def retained(self) -> list[tuple[str, str]]:
        assert not self.described()
        kept = [found for name, found in RESOURCES.items() if name != "tick"]
        return [*kept, ("AWS::KMS::Key", Known.key)] if self.name == "muster" else []

    def delete(self) -> None:
        Known.there = False


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    monkeypatch.setattr(destroying, "Stack", Known)
    monkeypatch.setattr(Known, "there", True)
    with mock_aws():
        made = Account(region=REGION)
        key = made.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
        monkeypatch.setattr(Known, "key", key["KeyMetadata"]["KeyId"])
        for name in TABLES:
            made.client("dynamodb").create_table(
                TableName=name,
                BillingMode="PAY_PER_REQUEST",
                DeletionProtectionEnabled=True,
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            )
        s3, where = made.client("s3"), {"LocationConstraint": REGION}
        for bucket in (BUCKET, code_bucket(made, Stack(made, "muster"))):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
            for content in (b"old", b"new"):
                s3.put_object(Bucket=bucket, Key="a", Body=content)
            s3.delete_object(Bucket=bucket, Key="a")
            s3.create_multipart_upload(Bucket=bucket, Key="unfinished")
        yield made


def key_state(account: Account) -> str:
    state: str = account.client("kms").describe_key(KeyId=Known.key)["KeyMetadata"]["KeyState"]
    return state


def left(account: Account) -> tuple[list[str], list[str]]:
    buckets = account.client("s3").list_buckets()["Buckets"]
    return account.client("dynamodb").list_tables()["TableNames"], [bucket["Name"] for bucket in buckets]


def test_tables_bucket_and_key_stay_and_are_named(account: Account) -> None:
    assert destroy(account, "muster", with_data=False) == ["clients", "rounds", "tensors", Known.key]
    assert left(account) == (["clients", "rounds"], ["tensors"])
    assert not Known.there
    assert key_state(account) == "Enabled"


def test_with_its_data_everything_goes_protected_tables_and_every_version_of_every_object(account: Account) -> None:
    assert destroy(account, "muster", with_data=True) == ["clients", "rounds", "tensors", Known.key]
    assert left(account) == ([], [])


def test_data_that_stayed_can_go_later(account: Account) -> None:
    destroy(account, "muster", with_data=False)
    assert destroy(account, "muster", with_data=True) == ["clients", "rounds", "tensors", Known.key]
    assert left(account) == ([], [])
    with pytest.raises(Stopped, match="there is no stack muster in eu-north-1"):
        destroy(account, "muster", with_data=True)


@pytest.mark.parametrize("dies_at", range(1, 5))
def test_a_destruction_that_died_goes_on(account: Account, monkeypatch: pytest.MonkeyPatch, dies_at: int) -> None:
    calls, original = 0, destroying._delete

    def dying(*given: Any) -> bool:
        nonlocal calls
        calls += 1
        if calls == dies_at:
            raise KeyboardInterrupt
        return original(*given)

    monkeypatch.setattr(destroying, "_delete", dying)
    with pytest.raises(KeyboardInterrupt):
        destroy(account, "muster", with_data=True)
    destroy(account, "muster", with_data=True)
    assert left(account) == ([], [])
    assert key_state(account) == "PendingDeletion"


def test_what_never_was_is_told_and_changes_nothing(account: Account) -> None:
    with pytest.raises(Stopped, match="there is no stack other in eu-north-1"):
        destroy(account, "other", with_data=True)
    assert len(left(account)[1]) == 2


def test_what_a_refused_deployment_uploaded_can_be_taken_away(account: Account) -> None:
    Known(account, "muster").delete()
    assert destroy(account, "muster", with_data=False) == []
    assert left(account) == (["clients", "rounds"], ["tensors"])


def test_somebody_elses_bucket_is_not_touched() -> None:
    with pytest.raises(Stopped, match="the bucket tensors is somebody else's"):
        destroying._delete_bucket(Aws(bucket=403), BUCKET)  # type: ignore[arg-type]


# ---- what is said before it is asked


def row(account: Account, table: str, pk: str, sk: str, **more: object) -> None:
    account.resource("dynamodb").Table(table).put_item(Item={"pk": pk, "sk": sk, **more})


@pytest.fixture
def filled(account: Account) -> Account:
    """Two models with versions, and a fleet that was counted."""
    for model, versions in (("digits", 3), ("voices", 1)):
        row(account, "rounds", "models", f"model#{model}")
        for number in range(versions):
            row(account, "rounds", f"model#{model}", f"version#{number:08d}")
        row(account, "rounds", f"model#{model}", "storage")
    for segment, clients in (("00", 30), ("01", 12)):
        row(account, "clients", "fleet", f"tally#{segment}", clients=clients)
    row(account, "clients", "fleet", "pace", clients=99)
    return account


def test_what_a_deployment_holds_is_said_and_that_it_stays(filled: Account) -> None:
    told = destroying.announced(filled, "muster", with_data=False)
    text = "\n".join(told)
    assert told[0] == f"The stack muster in {REGION} of account {filled.id} is about to be deleted."
    assert "Its data stay:" in told
    assert "model digits with 3 versions; model voices with 1 version" in text
    assert "42 clients, as last counted" in text
    assert "tensors" in text
    assert "2 objects (each version of them), 6 bytes" in text
    assert "the key that signs what devices are given to run" in text
    assert left(filled)[0] == ["clients", "rounds"], "looking changes nothing"


def test_that_the_data_go_too_is_said_before_anything_else_of_them(filled: Account) -> None:
    told = destroying.announced(filled, "muster", with_data=True)
    assert any(line.startswith("ITS DATA GO TOO, and there is no way back") for line in told)
    assert "Its data stay:" not in told


def test_what_a_deleted_stack_left_is_said_and_what_has_gone_since(filled: Account) -> None:
    destroy(filled, "muster", with_data=False)
    destroying._delete_table(filled, "rounds")
    told = destroying.announced(filled, "muster", with_data=True)
    assert "it is gone; what it left is not" in told[0]
    assert next(line for line in told if "rounds" in line).endswith("is not there any more")
    assert any("42 clients" in line for line in told)


def test_what_never_was_is_told_before_anything_is_asked(account: Account) -> None:
    with pytest.raises(Stopped, match="there is no stack other in eu-north-1"):
        destroying.announced(account, "other", with_data=True)


def test_a_bucket_too_large_to_be_counted_is_said_to_be_more(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.inventory.MOST_PAGES", 0)
    assert any("more than 0 objects" in line for line in destroying.announced(account, "muster", with_data=False))


def test_what_may_not_be_seen_is_said_and_keeps_nobody_from_deleting(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(account: Account, name: str) -> str:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "Query")

    monkeypatch.setattr("infra.inventory._of_table", forbidden)
    told = destroying.announced(account, "muster", with_data=False)
    assert sum("cannot be seen with these credentials (AccessDeniedException)" in line for line in told) == len(TABLES)
