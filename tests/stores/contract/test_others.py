"""SNS, CloudWatch, and what botocore's clients do by themselves."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ParamValidationError
from botocore.stub import ANY, Stubber

from chalicelib.storage.answers import watch
from tests.stores.contract.places import Place, Rows, refusal
from tests.stores.contract.shorthand import Queue

AT = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)
TOY = [{"Name": "Model", "Value": "toy"}]
WANTED = ["SampleCount", "Sum", "Minimum", "Maximum", "Average"]


@pytest.fixture
def topic(place: Place) -> tuple[Any, str]:
    sns = place.client("sns")
    return sns, sns.create_topic(Name=f"t-{uuid4().hex}")["TopicArn"]


def test_what_is_published_reaches_the_queues_that_are_subscribed(place: Place, topic: tuple[Any, str]) -> None:
    sns, arn = topic
    queue = Queue(place)
    where = {"TopicArn": arn, "Protocol": "sqs", "Endpoint": queue.attributes("QueueArn")["QueueArn"]}
    assert sns.subscribe(**where)["SubscriptionArn"] == sns.subscribe(**where)["SubscriptionArn"]
    sent = sns.publish(TopicArn=arn, Subject="s" * 99, Message="ä")
    (received,) = queue.receive()
    body = json.loads(received["Body"])
    assert (body["Type"], body["Subject"], body["Message"]) == ("Notification", "s" * 99, "ä")
    assert (body["MessageId"], body["TopicArn"]) == (sent["MessageId"], arn)


def test_a_topic_is_made_once(topic: tuple[Any, str]) -> None:
    sns, arn = topic
    assert sns.create_topic(Name=arn.rpartition(":")[2])["TopicArn"] == arn
    assert arn in [found["TopicArn"] for found in sns.list_topics()["Topics"]]


@pytest.mark.parametrize("subject", ["s" * 100, "two\nlines", "ä", ""], ids=["long", "lines", "letters", "empty"])
def test_a_subject_is_a_short_line_of_ascii(topic: tuple[Any, str], subject: str) -> None:
    sns, arn = topic
    refusal(lambda: sns.publish(TopicArn=arn, Subject=subject, Message="m"), "InvalidParameter")


@pytest.mark.parametrize("message", ["", "m" * (256 * 1024 + 1)], ids=["empty", "long"])
def test_a_message_is_neither_empty_nor_long(topic: tuple[Any, str], message: str) -> None:
    sns, arn = topic
    refusal(lambda: sns.publish(TopicArn=arn, Message=message), "InvalidParameter")


def test_a_topic_that_is_not_there_is_named(topic: tuple[Any, str]) -> None:
    sns, arn = topic
    refusal(lambda: sns.publish(TopicArn=f"{arn}-gone", Message="m"), "NotFound", status=404)


# ---- CloudWatch


def datum(value: float, minutes: int = 0, metric: str = "loss", **other: Any) -> dict[str, Any]:
    at = AT + timedelta(minutes=minutes)
    return {"MetricName": metric, "Dimensions": TOY, "Timestamp": at, "Value": value, "Unit": "None", **other}


def put(place: Place, *data: dict[str, Any]) -> None:
    place.client("cloudwatch").put_metric_data(Namespace="Muster", MetricData=list(data))


def points(place: Place, hours: int = 1, period: int = 60, **other: Any) -> list[dict[str, Any]]:
    request = {
        "Namespace": "Muster", "MetricName": "loss", "Dimensions": TOY, "StartTime": AT - timedelta(hours=hours),
        "EndTime": AT + timedelta(hours=1), "Period": period, "Statistics": WANTED, **other,
    }  # fmt: skip
    found: list[dict[str, Any]] = place.client("cloudwatch").get_metric_statistics(**request)["Datapoints"]
    return sorted(found, key=lambda point: point["Timestamp"])


def test_values_are_added_up_by_periods(place: Place) -> None:
    put(place, datum(1.0), datum(3.0), datum(-5.0, 2))
    first, second = points(place)
    assert [first[statistic] for statistic in WANTED] == [2.0, 4.0, 1.0, 3.0, 2.0]
    assert [second[statistic] for statistic in WANTED] == [1.0, -5.0, -5.0, -5.0, -5.0]
    assert second["Timestamp"] - first["Timestamp"] == timedelta(minutes=2)
    assert first["Timestamp"].utcoffset() is not None
    (both,) = points(place, period=7200)
    assert [both[statistic] for statistic in WANTED] == [3.0, -1.0, -5.0, 3.0, pytest.approx(-1 / 3)]


def test_a_period_begins_at_a_whole_minute(place: Place) -> None:
    put(place, datum(1.0))
    (point,) = points(place)
    assert point["Timestamp"] == AT.replace(second=0)


def test_only_what_was_asked_is_added_up(place: Place) -> None:
    put(place, datum(1.0), datum(2.0, metric="other"), datum(2.0, Dimensions=[{"Name": "Model", "Value": "x"}]), datum(2.0, 90))
    assert [point["Sum"] for point in points(place)] == [1.0]
    assert points(place, EndTime=AT) == [], "the end does not belong to it"
    assert [point["Sum"] for point in points(place, StartTime=AT)] == [1.0], "the beginning does"


def test_a_metric_with_dimensions_is_not_the_one_without(place: Place) -> None:
    put(place, datum(1.0))
    assert points(place, Dimensions=[]) == []


def test_a_statistic_of_nothing_has_no_points(place: Place) -> None:
    assert points(place) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e120])
def test_a_value_is_a_number_that_cloudwatch_holds(place: Place, value: float) -> None:
    refusal(lambda: put(place, datum(1.0), datum(value)), "InvalidParameterValue")
    assert points(place) == []


def test_at_most_a_thousand_values_are_put_at_once(place: Place) -> None:
    put(place, *[datum(1.0)] * 1000)
    refusal(lambda: put(place, *[datum(1.0)] * 1001), "InvalidParameterValue")


def test_at_most_1440_points_are_asked_for(place: Place) -> None:
    refusal(lambda: points(place, hours=24), "InvalidParameterCombination")
    refusal(lambda: points(place, hours=-2), "InvalidParameterValue", "StartTime")


def test_a_period_is_of_whole_minutes(place: Place) -> None:
    refusal(lambda: points(place, period=61), "InvalidParameterValue")


def test_metrics_are_listed_page_after_page(place: Place) -> None:
    put(place, *[datum(1.0, metric=f"m{number:03d}") for number in range(600)])
    put(place, datum(1.0, metric="other", Dimensions=[{"Name": "Model", "Value": "x"}]))
    pages = place.client("cloudwatch").get_paginator("list_metrics").paginate(Namespace="Muster", Dimensions=TOY)
    found = [metric for page in pages for metric in page["Metrics"]]
    assert sorted(metric["MetricName"] for metric in found) == [f"m{number:03d}" for number in range(600)]
    assert found[0]["Dimensions"] == TOY


# ---- clients


def test_botocore_refuses_what_it_would_not_send(place: Place) -> None:
    with pytest.raises(ParamValidationError, match="Missing required parameter"):
        place.client("dynamodb").put_item(TableName="t")
    with pytest.raises(ParamValidationError, match="Invalid type for parameter Key"):
        place.client("s3").get_object(Bucket="bucket", Key=1)
    with pytest.raises(ParamValidationError, match="Unknown parameter"):
        place.client("sqs").send_message(QueueUrl="u", MessageBody="m", Colour="red")


def test_a_watched_client_finds_its_answers_whole(place: Place) -> None:
    s3 = watch(boto3.client("s3", region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing"))
    s3.create_bucket(Bucket="watched")
    s3.put_object(Bucket="watched", Key="a", Body=b"content")
    assert s3.get_object(Bucket="watched", Key="a")["Body"].read() == b"content"


def test_an_answer_can_be_stubbed(place: Place) -> None:
    s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing")
    with Stubber(s3) as stubber:
        stubber.add_response("get_object", {"ETag": '"stubbed"'}, {"Bucket": "bucket", "Key": ANY})
        assert s3.get_object(Bucket="bucket", Key="a")["ETag"] == '"stubbed"'
        stubber.add_client_error("put_object", "ConditionalRequestConflict", http_status_code=409)
        refusal(lambda: s3.put_object(Bucket="bucket", Key="a"), "ConditionalRequestConflict", status=409)


def test_a_resource_translates_on_both_ways(place: Place) -> None:
    made = Rows(place)
    session = boto3.Session(region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing")
    table = session.resource("dynamodb").Table(made.table)
    with table.batch_writer() as batch:
        for number in range(30):
            batch.put_item(Item={"pk": "p", "sk": f"{number:02d}", "list": [number, {"b": True}], "set": {"x"}, "none": None})
    assert table.get_item(Key={"pk": "p", "sk": "07"})["Item"] == {
        "pk": "p", "sk": "07", "list": [7, {"b": True}], "set": {"x"}, "none": None
    }  # fmt: skip
    assert table.scan()["Count"] == 30


def test_what_no_store_here_knows_is_an_error() -> None:
    from tests.stores.contract.places import opened

    with opened("memory") as memory:
        rows = Rows(memory)
        with pytest.raises(NotImplementedError, match="Query with FilterExpression"):
            rows.call("query", KeyConditionExpression="pk = :p", FilterExpression="a = :p")
        with pytest.raises(NotImplementedError, match="ListExports is not a call"):
            rows.dynamodb.list_exports()
        with pytest.raises(NotImplementedError, match="list_append"):
            rows.update("SET a = list_append(a, :v)", ExpressionAttributeValues={":v": {"L": []}})
