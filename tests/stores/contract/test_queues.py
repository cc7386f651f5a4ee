"""SQS: a message is seen by one at a time, until it is deleted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.memory.sqs import SQS
from tests.stores.contract.places import Place, refusal
from tests.stores.contract.shorthand import Queue

QUEUE = "AWS.SimpleQueueService."
LIMIT = 1 << 20


@pytest.fixture
def queue(place: Place) -> Queue:
    return Queue(place)


def test_a_message_is_handed_out_once_and_gone_when_it_is_deleted(queue: Queue) -> None:
    sent = queue.call("send_message", MessageBody="ä")
    (message,) = queue.receive()
    assert (message["Body"], message["MessageId"]) == ("ä", sent["MessageId"])
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"]
    assert queue.receive() == []
    for _ in range(2):
        queue.call("delete_message", ReceiptHandle=message["ReceiptHandle"])
    assert "Messages" not in queue.call("receive_message")


def test_a_receive_takes_one_message_or_up_to_ten(queue: Queue) -> None:
    queue.send(*(str(number) for number in range(13)))
    assert len(queue.call("receive_message")["Messages"]) == 1
    assert len(queue.receive(10)) == 10
    assert len(queue.receive(10)) == 2


@pytest.mark.parametrize("most", [0, 11])
def test_a_receive_takes_no_other_number(queue: Queue, most: int) -> None:
    refusal(lambda: queue.receive(most), "InvalidParameterValue", "between 1 and 10")


def test_a_message_can_be_given_back_at_once(queue: Queue) -> None:
    queue.send("a")
    (message,) = queue.receive()
    queue.call("change_message_visibility", ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    (again,) = queue.receive()
    assert again["MessageId"] == message["MessageId"]
    assert again["ReceiptHandle"] != message["ReceiptHandle"]


def test_a_message_that_nobody_hides_is_seen_again(queue: Queue) -> None:
    queue.send("a")
    assert queue.bodies(VisibilityTimeout=0) == queue.bodies(VisibilityTimeout=0) == ["a"]


def test_a_hidden_message_is_seen_again_when_its_time_is_up() -> None:
    now = [0.0]
    queues = SQS(lambda: now[0])
    where = {
        "QueueUrl": queues.answer("CreateQueue", {"QueueName": "q", "Attributes": {"VisibilityTimeout": "60"}})["QueueUrl"]
    }
    queues.answer("SendMessage", {**where, "MessageBody": "a"})
    counts = []
    for _ in range(5):
        counts.append(len(queues.answer("ReceiveMessage", dict(where)).get("Messages", [])))
        now[0] += 30.0
    assert counts == [1, 0, 1, 0, 1]


def test_visibility_is_changed_of_what_was_handed_out(queue: Queue) -> None:
    queue.send("a")
    (message,) = queue.receive()
    change = {"ReceiptHandle": message["ReceiptHandle"]}
    refusal(lambda: queue.call("change_message_visibility", VisibilityTimeout=43_201, **change), "InvalidParameterValue")
    refusal(
        lambda: queue.call("change_message_visibility", VisibilityTimeout=1, ReceiptHandle="nobody's"), "ReceiptHandleIsInvalid"
    )
    refusal(lambda: queue.call("delete_message", ReceiptHandle="nobody's"), "ReceiptHandleIsInvalid")


def test_visibility_is_not_changed_of_what_was_given_back(queue: Queue) -> None:
    queue.send("a")
    (message,) = queue.receive()
    give_back = {"ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
    queue.call("change_message_visibility", **give_back)
    refusal(lambda: queue.call("change_message_visibility", **give_back), f"{QUEUE}MessageNotInflight")


def test_a_batch_is_sent_at_once(queue: Queue) -> None:
    entries = [{"Id": str(number), "MessageBody": f"m{number}"} for number in range(10)]
    answer = queue.call("send_message_batch", Entries=entries)
    assert [one["Id"] for one in answer["Successful"]] == [entry["Id"] for entry in entries]
    assert answer.get("Failed", []) == []
    assert sorted(queue.bodies()) == sorted(entry["MessageBody"] for entry in entries)


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([], "EmptyBatchRequest"), ([(str(number), "m") for number in range(11)], "TooManyEntriesInBatchRequest"),
        ([("1", "a"), ("1", "b")], "BatchEntryIdsNotDistinct"),
        ([(str(number), "m" * (LIMIT // 4)) for number in range(5)], "BatchRequestTooLong"),
    ],
    ids=["none", "many", "ids", "long"],
)  # fmt: skip
def test_a_batch_that_cannot_be_is_refused_as_a_whole(queue: Queue, entries: Any, code: str) -> None:
    said = [{"Id": number, "MessageBody": body} for number, body in entries]
    refusal(lambda: queue.call("send_message_batch", Entries=said), f"{QUEUE}{code}")
    assert queue.receive() == []
    with pytest.raises(getattr(queue.sqs.exceptions, code)):
        queue.call("send_message_batch", Entries=said)


def test_a_message_has_a_megabyte_at_most(queue: Queue) -> None:
    queue.send("ä" * (LIMIT // 2))
    refusal(lambda: queue.send("m" * (LIMIT + 1)), "InvalidParameterValue", "shorter than 1048576 bytes")


def test_a_message_has_a_body(queue: Queue) -> None:
    refusal(lambda: queue.send(""), "MissingParameter")


def test_a_purged_queue_is_empty_though_a_message_is_handed_out(queue: Queue) -> None:
    queue.send("a", "b")
    assert len(queue.receive(1, VisibilityTimeout=0)) == 1
    queue.call("purge_queue")
    assert queue.receive() == []


def test_a_queue_counts_what_it_holds(queue: Queue) -> None:
    queue.send("a", "b", "c")
    queue.receive(1)
    found = queue.attributes("All")
    assert (found["ApproximateNumberOfMessages"], found["ApproximateNumberOfMessagesNotVisible"]) == ("2", "1")
    assert queue.attributes("QueueArn") == {"QueueArn": f"arn:aws:sqs:us-east-1:123456789012:{queue.name}"}


def test_a_queue_is_found_by_its_name_and_made_once(place: Place, queue: Queue) -> None:
    assert queue.sqs.get_queue_url(QueueName=queue.name)["QueueUrl"] == queue.url
    assert queue.sqs.create_queue(QueueName=queue.name)["QueueUrl"] == queue.url
    other = {"VisibilityTimeout": "77"}
    refusal(lambda: queue.sqs.create_queue(QueueName=queue.name, Attributes=other), "QueueAlreadyExists")
    with pytest.raises(queue.sqs.exceptions.QueueNameExists):
        queue.sqs.create_queue(QueueName=queue.name, Attributes=other)
    answer = refusal(lambda: queue.sqs.get_queue_url(QueueName="nowhere"), f"{QUEUE}NonExistentQueue", "does not exist")
    assert answer["Error"]["Message"]
    with pytest.raises(queue.sqs.exceptions.QueueDoesNotExist):
        queue.sqs.send_message(QueueUrl=f"{queue.url}-gone", MessageBody="a")


def test_a_message_that_was_handed_out_too_often_lies_among_the_dead_letters(place: Place, queue: Queue) -> None:
    policy = {"deadLetterTargetArn": queue.attributes("QueueArn")["QueueArn"], "maxReceiveCount": 2}
    living = Queue(place, RedrivePolicy=json.dumps(policy))
    living.send("a")
    assert [living.bodies(VisibilityTimeout=0) for _ in range(4)] == [["a"], ["a"], [], []]
    assert queue.bodies() == ["a"]
