"""Which permissions a call to AWS needs, and which ones a policy of `.chalice/` gives.

The mapping is AWS's own ("Actions, resources, and condition keys", by service): most operations are named like their action;
the exceptions stand in `_of_s3` and `_of_dynamodb`. An operation that is not known here is an error, not a gap.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chalicelib.settings import Settings
from infra.memory.calls import Call

CHALICE = Path(__file__).parent.parent / ".chalice"
REGION, ACCOUNT, STACK = "us-east-1", "123456789012", "muster"
FUNCTIONS = {
    "api": "APIHandler",
    "tick": "Tick",
    "monitor": "Monitor",
    "inspection_worker": "InspectionWorker",
    "aggregation_worker": "AggregationWorker",
}
"""Functions and their logical ids; the policy of each lies in the file of its name."""

Policy = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Need:
    """Something that a function must be allowed to do: an action, on one resource (`*` where AWS knows none)."""

    action: str
    resource: str
    namespace: str | None = None
    """`cloudwatch:namespace` of the request."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One action on one (pattern of a) resource that a policy allows."""

    sid: str
    action: str
    resource: str
    namespace: str | None = None

    def allows(self, need: Need) -> bool:
        """Whether this grant is enough."""
        if self.action != need.action or self.namespace not in (None, need.namespace):
            return False
        pattern = re.escape(self.resource).replace(r"\*", ".*").replace(r"\?", ".")
        return re.fullmatch(pattern, need.resource) is not None


# ---- what a call needs


def needs(call: Call) -> Iterator[Need]:
    """What one call needs."""
    arguments = call.arguments
    match call.service:
        case "dynamodb":
            yield from _of_dynamodb(call.operation, arguments)
        case "s3":
            yield from _of_s3(call.operation, arguments, call.status)
        case "sqs":
            actions = {"SendMessageBatch": "SendMessage"} | {name: name for name in ("SendMessage", "GetQueueAttributes")}
            yield Need(f"sqs:{actions[call.operation]}", queue_arn(arguments["QueueUrl"]))
        case "sns":
            yield Need({"Publish": "sns:Publish"}[call.operation], arguments["TopicArn"])
        case "kms":
            yield Need({"Sign": "kms:Sign", "GetPublicKey": "kms:GetPublicKey"}[call.operation], key_arn(arguments["KeyId"]))
        case "cloudwatch" if call.operation == "DescribeAlarms":
            yield Need("cloudwatch:DescribeAlarms", "*")
        case "cloudwatch":
            action = {name: name for name in ("PutMetricData", "GetMetricStatistics", "ListMetrics")}[call.operation]
            yield Need(f"cloudwatch:{action}", "*", arguments["Namespace"])
        case _:
            raise NotImplementedError(f"{call.function} calls {call.service}, whose permissions are not known here")


def _of_dynamodb(operation: str, arguments: Mapping[str, Any]) -> Iterator[Need]:
    """A transaction needs the permission of each of its writes ("Using IAM with DynamoDB transactions")."""
    if operation == "TransactWriteItems":
        kinds = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
        for item in arguments["TransactItems"]:
            for kind, write in item.items():
                yield Need(f"dynamodb:{kinds[kind]}", table_arn(write["TableName"]))
    elif operation in ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query"):
        yield Need(f"dynamodb:{operation}", table_arn(arguments["TableName"]))
    elif operation == "BatchGetItem":
        yield from (Need(f"dynamodb:{operation}", table_arn(name)) for name in arguments["RequestItems"])
    else:
        raise NotImplementedError(f"dynamodb: {operation}")


def _of_s3(operation: str, arguments: Mapping[str, Any], status: int) -> Iterator[Need]:
    """A missing object is 404 for who may list the bucket, and 403 for others (Amazon S3: "GetObject", "HeadObject")."""
    bucket = bucket_arn(arguments["Bucket"])
    if status == 404 and operation in ("HeadObject", "GetObject"):
        yield Need("s3:ListBucket", bucket)
    match operation:
        case "ListObjectsV2":
            yield Need("s3:ListBucket", bucket)
        case "HeadObject" | "GetObject":
            yield Need("s3:GetObject", f"{bucket}/{arguments['Key']}")
        case "PutObject" | "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload":
            yield Need("s3:PutObject", f"{bucket}/{arguments['Key']}")
        case "UploadPartCopy":
            source = arguments["CopySource"]
            yield Need("s3:GetObject", f"{bucket_arn(source['Bucket'])}/{source['Key']}")
            yield Need("s3:PutObject", f"{bucket}/{arguments['Key']}")
        case "AbortMultipartUpload":
            yield Need("s3:AbortMultipartUpload", f"{bucket}/{arguments['Key']}")
        case "DeleteObjects":
            for item in arguments["Delete"]["Objects"]:
                yield Need("s3:DeleteObject", f"{bucket}/{item['Key']}")
        case _:
            raise NotImplementedError(f"s3: {operation}")


def of_the_platform(function: str, settings: Settings) -> dict[Need, str]:
    """What Lambda does with a function's role, and why."""
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/{STACK}-{function.replace('_', '-')}"
    found = {
        Need("logs:CreateLogStream", f"{group}:log-stream:2026/11/24/[$LATEST]0"): "each instance begins a log stream",
        Need("logs:PutLogEvents", f"{group}:log-stream:2026/11/24/[$LATEST]0"): "what the function prints",
        Need("xray:PutTraceSegments", "*"): "active tracing sends segments",
        Need("xray:PutTelemetryRecords", "*"): "active tracing sends what it counted",
    }
    polls = {"inspection_worker": settings.inspection_queue_url, "aggregation_worker": settings.work_queue_url}
    if function in polls:
        for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
            found[Need(f"sqs:{action}", queue_arn(polls[function]))] = "the event source polls the queue with the role"
    return found


# ---- what a policy gives


def read(function: str) -> Policy:
    """A function's policy, as it lies in `.chalice/`."""
    loaded: Policy = json.loads((CHALICE / f"{function}.json").read_text())
    return loaded


def grants(policy: Policy, settings: Settings) -> Iterator[Grant]:
    """What a policy allows, with CloudFormation's intrinsics resolved to the names of a test's world."""
    for statement in policy["Statement"]:
        unknown = statement.keys() - {"Sid", "Effect", "Action", "Resource", "Condition"}
        if unknown or statement["Effect"] != "Allow":
            raise NotImplementedError(f"statement {statement['Sid']}: {unknown or statement['Effect']}")
        namespace = _namespace(statement.get("Condition"))
        for action in statement["Action"]:
            for resource in _listed(statement["Resource"]):
                yield Grant(statement["Sid"], action, _resolved(resource, settings), namespace)


def _namespace(condition: Any) -> str | None:
    if condition is None:
        return None
    ((operator, test),) = condition.items()
    ((key, value),) = test.items()
    if (operator, key) != ("StringEqualsIfExists", "cloudwatch:namespace"):
        raise NotImplementedError(f"condition {condition}")
    return str(value)


def _listed(resource: Any) -> Iterable[Any]:
    return resource if isinstance(resource, list) else [resource]


def _resolved(resource: Any, settings: Settings) -> str:
    if isinstance(resource, str):
        return resource
    arns = _arns(settings)
    ((intrinsic, argument),) = resource.items()
    match intrinsic:
        case "Fn::GetAtt":
            return arns[".".join(argument)]
        case "Ref":
            return arns[argument]
        case "Fn::If":
            return _resolved(argument[1] if argument[0] == "KeyIsNew" else argument[2], settings)
        case "Fn::Sub":
            return re.sub(r"\$\{([^}]+)\}", lambda found: arns[found[1]], argument)
    raise NotImplementedError(intrinsic)


def _arns(settings: Settings) -> dict[str, str]:
    """What CloudFormation would put in the place of an attribute, a reference or a pseudo parameter."""
    return {
        "ClientsTable.Arn": table_arn(settings.clients_table),
        "RoundsTable.Arn": table_arn(settings.rounds_table),
        "VersionsTable.Arn": table_arn(settings.versions_table),
        "MonitoringTable.Arn": table_arn(settings.monitoring_table),
        "TensorBucket.Arn": bucket_arn(settings.bucket),
        "InspectionQueue.Arn": queue_arn(settings.inspection_queue_url),
        "WorkQueue.Arn": queue_arn(settings.work_queue_url),
        "DeadLetters.Arn": queue_arn(settings.dead_queue_url or "none"),
        "AlertTopic": settings.alert_topic_arn,
        "DeploymentsKey.Arn": key_arn(settings.signing_key or "none"),
        "AWS::Partition": "aws",
        "AWS::Region": REGION,
        "AWS::AccountId": ACCOUNT,
        "AWS::StackName": STACK,
    }


def table_arn(name: str) -> str:
    """A table's ARN."""
    return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}"


def bucket_arn(name: str) -> str:
    """A bucket's ARN."""
    return f"arn:aws:s3:::{name}"


def queue_arn(url: str) -> str:
    """A queue's ARN, of its URL."""
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{url.rpartition('/')[2]}"


def key_arn(key: str) -> str:
    """A key's ARN, of its id."""
    return f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{key}"
