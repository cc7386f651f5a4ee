"""The quick check of a call's parameters says what botocore's own would say, of right ones and of any other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import botocore.session
from botocore.model import Shape
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from infra.memory.parameters import Parameters

ROW = {"pk": {"S": "a"}, "n": {"N": "1"}, "b": {"B": b"x"}, "none": {"NULL": True}, "is": {"BOOL": False}}
ROW |= {"set": {"SS": ["a"]}, "map": {"M": {"list": {"L": [{"S": ""}, {"NS": ["1", "2"]}, {"BS": [b"x"]}]}}}}
PUT = {"TableName": "t", "Item": ROW, "ConditionExpression": "attribute_not_exists(pk)"}

CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("dynamodb", "PutItem", PUT),
    ("dynamodb", "Query", {"TableName": "t", "Limit": 1, "ExpressionAttributeValues": {":a": {"S": "a"}}}),
    ("dynamodb", "TransactWriteItems", {"TransactItems": [{"Put": PUT}], "ClientRequestToken": "c"}),
    ("s3", "PutObject", {"Bucket": "b", "Key": "k", "Body": b"x", "ContentLength": 1, "Metadata": {"a": "b"}}),
    ("s3", "GetObject", {"Bucket": "b", "Key": "k", "IfModifiedSince": datetime(2026, 1, 1, tzinfo=UTC)}),
    ("sqs", "SendMessage", {"QueueUrl": "q", "MessageBody": "m", "DelaySeconds": 3}),
    ("cloudwatch", "PutMetricData", {"Namespace": "n", "MetricData": [{"MetricName": "m", "Value": 0.5}]}),
]  # fmt: skip

SESSION = botocore.session.get_session()

junk = st.sampled_from(
    [None, "", "x", 0, -1, 2, 0.5, True, b"", b"x", bytearray(b"x"), [], ["x"], [1], {}, {"S": "x"}, {"x": "x"}]
)
names = st.sampled_from(["", "x", "S", "N", "Key", "Item", "Bucket", "TableName"])


@st.composite
def spoilt(draw: st.DrawFn, value: Any) -> Any:
    """A value of which one part is another, is gone, or is there too much."""
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 4)) == 0:
        return draw(junk)
    changed: Any = value.copy()
    place = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
    match draw(st.integers(0, 5)):
        case 0:
            del changed[place]
        case 1 if isinstance(changed, dict):
            changed[draw(names)] = draw(junk)
        case 1:
            changed.append(draw(junk))
        case _:
            changed[place] = draw(spoilt(value[place]))
    return changed


def shape_of(service: str, operation: str) -> Shape:
    shape = SESSION.get_service_model(service).operation_model(operation).input_shape
    assert shape
    return shape


def both(service: str, operation: str, parameters: Any) -> tuple[str, str]:
    """What the quick check and botocore's say."""
    shape = shape_of(service, operation)
    return (
        Parameters().validate(parameters, shape).generate_report(),
        ParamValidator().validate(parameters, shape).generate_report(),
    )


def test_of_right_parameters_nothing_is_left_to_botocore() -> None:
    for service, operation, parameters in CALLS:
        assert Parameters().is_sure(shape_of(service, operation))(parameters), operation
        assert both(service, operation, parameters) == ("", "")


@given(st.sampled_from(CALLS).flatmap(lambda call: st.tuples(st.just(call[0]), st.just(call[1]), spoilt(call[2]))))
def test_of_any_other_parameters_it_says_what_botocore_says(call: tuple[str, str, Any]) -> None:
    quick, own = both(*call)
    assert quick == own
