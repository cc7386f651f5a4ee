"""What all looks at a round that collects cost together, and those who ask: ten ticks, and batch after batch of inspections."""

from __future__ import annotations

from dataclasses import dataclass

from bench.fleet.places import BATCH
from bench.fleet.stack import MODEL, FleetStack
from chalicelib.rounds.receipt import Accepted, Declared, Receipt, ReceiptState
from chalicelib.rounds.round import Round
from chalicelib.rounds.round_id import RoundId
from chalicelib.storage import keys
from chalicelib.storage.dynamo import Put, Table
from chalicelib.storage.rows import to_item
from infra.memory.session import SESSION
from muster.wire.admin import RoundConfig

TICKS = 10
LOOK = "look"


@dataclass(frozen=True, slots=True, kw_only=True)
class LookCost:
    """Of a round with so many receipts."""

    receipts: int
    requests: int
    read_units: float
    write_units: float
    cpu_seconds: float
    """Of the functions, without the services' own and without botocore's."""
    messages: int
    """That asked for a look."""


def looks(receipts: int) -> LookCost:
    """All looks of a round in whose every place a client has reported, until all but the last ten were inspected."""
    with FleetStack(0, RoundConfig(goal=receipts, quorum=1, over_selection=1.0, report_seconds=3600.0, evaluators=0)) as stack:
        rnd = stack.cloud.services.rounds.latest(MODEL)
        if rnd is None:
            raise RuntimeError("no round has opened")
        _store(stack, rnd, receipts)
        ticks = 0
        for done in range(0, receipts - BATCH, BATCH):
            for number in range(done, done + BATCH):
                _settle(stack, rnd, number)
            with stack.metered(LOOK):
                with stack.cloud.calls.by("inspection_worker"):
                    stack.cloud.services.inspector.ask_to_reconcile([rnd.id] * BATCH)
                stack.cloud.deliver()
                if done * TICKS >= ticks * receipts:
                    ticks += 1
                    stack.cloud.clock.advance(60)
                    stack.cloud.tick()
        return _cost(stack, receipts)


def _cost(stack: FleetStack, receipts: int) -> LookCost:
    used, counts, work = stack.meter.used[LOOK], stack.meter.counts[LOOK], stack.meter.work[LOOK]
    return LookCost(
        receipts=receipts,
        requests=sum(counts.values()),
        read_units=used["dynamodb_read_units"],
        write_units=used["dynamodb_write_units"],
        cpu_seconds=sum(each.cpu_seconds for each in work.values()),
        messages=counts["inspection_worker sqs:SendMessage"],
    )


def _store(stack: FleetStack, rnd: Round, receipts: int) -> None:
    """No inspection of them is ever silent for so long that it is asked for again."""
    table = Table(SESSION.client("dynamodb"), stack.cloud.settings.rounds_table)
    for number in range(receipts):
        receipt = Receipt(
            round=rnd.id, client_id=_name(number), state=ReceiptState.REPORTED, assigned_at=stack.cloud.clock(),
            report_by=rnd.report_by, min_bytes=1, max_bytes=10**6, ttl=10**10, part=number % rnd.parts,
            declared=Declared(key="u", sha256="0" * 64, nbytes=500, examples=10), grants=1, etag="e",
            reported_at=rnd.report_by,
        )  # fmt: skip
        place = keys.RECEIPT.key(round=rnd.id, part=keys.part_of(receipt.client_id, rnd.parts), client=receipt.client_id)
        table.put(Put(table=table, key=place, item=to_item(receipt)))


def _settle(stack: FleetStack, rnd: Round, number: int) -> None:
    rounds = stack.cloud.services.rounds
    receipt = rounds.receipt(rnd.id, _name(number))
    if receipt is None or not rounds.settle(receipt, Accepted(norm=1.0, magnitudes="", header_bytes=10)):
        raise RuntimeError(f"receipt {number} is not as it was written")


def _name(number: int) -> str:
    return f"client-{number:08d}"


def aggregations_at_the_edge(batches: int) -> int:
    """How many aggregations begin when so many batches of inspections, each by a function of its own, end within a second in
    which the goal is reached: what tries to publish is counted.
    """
    with FleetStack(batches + 1, RoundConfig(goal=batches, quorum=1, over_selection=2.0, evaluators=0)) as stack:
        round_id = RoundId(MODEL, 1)
        for number in range(batches + 1):
            stack.check_in(number)
            stack.put(stack.grant(number, str(round_id)))
            stack.report(number, str(round_id))
        stack.cloud.sqs.purge_queue(QueueUrl=stack.cloud.settings.inspection_queue_url)
        for number in range(batches + 1):
            stack.cloud.restart()
            inspector = stack.cloud.services.inspector
            if inspector.inspect(round_id, f"client-{number:08d}"):
                inspector.ask_to_reconcile([round_id])
        with stack.metered("edge"):
            stack.cloud.deliver()
            stack.cloud.clock.advance(1)
            stack.cloud.deliver()
        return sum(count for call, count in stack.meter.counts["edge"].items() if call.endswith(":TransactWriteItems"))
