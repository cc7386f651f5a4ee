"""The resources of `infra/resources.yaml`, made by API calls.

moto's CloudFormation answers CREATE_COMPLETE and silently leaves out TTL, versioning, lifecycle and more, so the template is
read here and each resource made by the call that is meant for it. What a template says and this file does not know is an
error, not a gap.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).parent.parent / "resources.yaml"
STACK_NAME = "muster"
BUCKET_NAME = "muster-tensors"

LEFT_OUT = (
    None,  # what is added to a function, or to the API, that Chalice makes
    "AWS::Logs::LogGroup",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::TopicPolicy",
    "AWS::WAFv2::WebACL",
    "AWS::WAFv2::WebACLAssociation",
    "AWS::Budgets::Budget",
)
"""A cloud on one machine has no use for these: nobody else calls it, and nobody is woken up. The strict cloud makes them."""

Properties = dict[str, Any]
Client = Callable[[str], Any]
"""Makes a boto3 client for a service."""


def template() -> dict[str, Any]:
    """The parsed template, as a copy of the caller's own."""
    return deepcopy(_parsed())


@cache
def _parsed() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(TEMPLATE.read_text())
    return loaded


def create(aws: Client) -> dict[str, str]:
    """Make every resource, and return the environment that tells the functions where they are."""
    parsed, aws = _parsed(), cache(aws)  # to make a client costs more than most of its calls
    resolved = Resolver(parsed)
    made: dict[str, str] = {}
    makers: dict[str, Callable[[Client, str, Properties, dict[str, str]], str]] = {
        "AWS::DynamoDB::Table": _table,
        "AWS::S3::Bucket": _bucket,
        "AWS::SQS::Queue": _queue,
        "AWS::SNS::Topic": _topic,
        "AWS::KMS::Key": _key,
    }
    ours = {name: resource for name, resource in parsed["Resources"].items() if resource.get("Type") not in LEFT_OUT}
    for logical_id, resource in sorted(ours.items(), key=lambda item: "RedrivePolicy" in item[1]["Properties"]):
        made[logical_id] = makers[resource["Type"]](aws, logical_id, resolved(resource["Properties"]), made)
    variables = resolved(parsed["Globals"]["Function"]["Environment"]["Variables"])
    return {name: made[value["Ref"]] if isinstance(value, dict) else str(value) for name, value in variables.items()}


class Resolver:
    """Says what the template's parameters, conditions and names come to, with every parameter at its default.

    References to other resources stay as they are: who makes the resource knows what they mean.
    """

    def __init__(self, parsed: dict[str, Any]) -> None:
        self._parameters = {name: said["Default"] for name, said in parsed["Parameters"].items()}
        self._parameters |= {"AWS::StackName": STACK_NAME, "AWS::NoValue": None}
        self._conditions = parsed["Conditions"]

    def __call__(self, value: Any) -> Any:
        """The value, resolved; members of a mapping that come to AWS::NoValue are left out."""
        if isinstance(value, list):
            return [self(item) for item in value]
        if not isinstance(value, dict):
            return value
        match value:
            case {"Ref": str(name)} if name in self._parameters:
                return self._parameters[name]
            case {"Fn::Sub": str(text)}:
                return text.replace("${AWS::StackName}", STACK_NAME)
            case {"Fn::If": [str(condition), yes, no]}:
                return self(yes if self._holds(self._conditions[condition]) else no)
        found = {name: self(item) for name, item in value.items()}
        return {name: item for name, item in found.items() if item is not None}

    def _holds(self, condition: Any) -> bool:
        match condition:
            case {"Fn::Not": [inner]}:
                return not self._holds(inner)
            case {"Fn::Equals": [one, other]}:
                return bool(self(one) == self(other))
        raise NotImplementedError(f"infra/resources.yaml has the condition {condition}, which the local cloud does not know")


def _table(aws: Client, logical_id: str, properties: Properties, _: dict[str, str]) -> str:
    dynamodb = aws("dynamodb")
    name = f"muster-{logical_id}"
    ttl = properties.pop("TimeToLiveSpecification")
    recovery = properties.pop("PointInTimeRecoverySpecification")
    encryption = properties.pop("SSESpecification")
    properties["DeletionProtectionEnabled"] = properties["DeletionProtectionEnabled"] == "true"
    dynamodb.create_table(TableName=name, SSESpecification={"Enabled": encryption["SSEEnabled"]}, **properties)
    dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=ttl)
    dynamodb.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=recovery)
    return name


def _bucket(aws: Client, _: str, properties: Properties, __: dict[str, str]) -> str:
    s3 = aws("s3")
    s3.create_bucket(Bucket=BUCKET_NAME)
    s3.put_bucket_versioning(Bucket=BUCKET_NAME, VersioningConfiguration=properties.pop("VersioningConfiguration"))
    s3.put_public_access_block(
        Bucket=BUCKET_NAME, PublicAccessBlockConfiguration=properties.pop("PublicAccessBlockConfiguration")
    )
    s3.put_bucket_ownership_controls(Bucket=BUCKET_NAME, OwnershipControls=properties.pop("OwnershipControls"))
    rules = [_lifecycle_rule(dict(rule)) for rule in properties.pop("LifecycleConfiguration")["Rules"]]
    s3.put_bucket_lifecycle_configuration(Bucket=BUCKET_NAME, LifecycleConfiguration={"Rules": rules})
    encryption = properties.pop("BucketEncryption")["ServerSideEncryptionConfiguration"]
    by_default = [
        {
            "ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"],
            "BucketKeyEnabled": rule["BucketKeyEnabled"],
        }
        for rule in encryption
    ]
    s3.put_bucket_encryption(Bucket=BUCKET_NAME, ServerSideEncryptionConfiguration={"Rules": by_default})
    _nothing_left(properties)
    return BUCKET_NAME


def _lifecycle_rule(rule: Properties) -> Any:
    """A rule in S3's own words; CloudFormation's differ in two places."""
    words = {"ID": rule.pop("Id"), "Filter": {"Prefix": rule.pop("Prefix")}, "Status": rule.pop("Status")}
    if "ExpirationInDays" in rule:
        words["Expiration"] = {"Days": rule.pop("ExpirationInDays")}
    if "ExpiredObjectDeleteMarker" in rule:
        words["Expiration"] = {"ExpiredObjectDeleteMarker": rule.pop("ExpiredObjectDeleteMarker")}
    for same in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        if same in rule:
            words[same] = rule.pop(same)
    _nothing_left(rule)
    return words


def _queue(aws: Client, _: str, properties: Properties, made: dict[str, str]) -> str:
    sqs = aws("sqs")
    name = properties.pop("QueueName")
    attributes: dict[str, str] = {}
    if redrive := properties.pop("RedrivePolicy", None):
        dead_letters = made[redrive["deadLetterTargetArn"]["Fn::GetAtt"][0]]
        arn = sqs.get_queue_attributes(QueueUrl=dead_letters, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        attributes["RedrivePolicy"] = json.dumps({**redrive, "deadLetterTargetArn": arn})
    attributes |= {key: str(value).lower() for key, value in properties.items()}
    return str(sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])


def _topic(aws: Client, _: str, properties: Properties, __: dict[str, str]) -> str:
    name = properties.pop("TopicName")
    attributes = {key: str(value) for key, value in properties.items()}
    return str(aws("sns").create_topic(Name=name, Attributes=attributes)["TopicArn"])


def _key(aws: Client, _: str, properties: Properties, __: dict[str, str]) -> str:
    words = {word: properties.pop(word) for word in ("KeySpec", "KeyUsage", "Description")}
    for left_out in ("KeyPolicy", "Tags"):  # nobody else calls this cloud, and nobody pays for it
        properties.pop(left_out)
    _nothing_left(properties)
    return str(aws("kms").create_key(**words)["KeyMetadata"]["KeyId"])


def _nothing_left(properties: Properties) -> None:
    if properties:
        raise NotImplementedError(f"infra/resources.yaml says {sorted(properties)}, which the local cloud does not make")
