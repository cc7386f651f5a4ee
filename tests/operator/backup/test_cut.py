"""What is newer than the cut is left out."""

from __future__ import annotations

from typing import Any

import pytest

from muster.layout import TableName
from muster.operator.backup import cut as backup_cut
from muster.operator.backup import kinds
from muster.operator.backup.restoring import abandoned


def row(table: TableName, pk: str, sk: str, **attributes: Any) -> kinds.Row:
    found = kinds.recognise(table, {"pk": {"S": pk}, "sk": {"S": sk}, **attributes})
    assert found
    return found


@pytest.mark.parametrize(
    ("table", "pk", "sk", "attributes", "is_old"),
    [
        ("versions", "model#toy", "version#00000002", {}, True),
        ("versions", "model#toy", "version#00000003", {}, False),  # an end: it is taken from the cut
        ("versions", "model#toy", "deployment#00000004", {}, True),
        ("versions", "model#toy", "deployment#00000005", {}, False),
        ("versions", "model#toy", "configuration#00000002", {}, True),
        ("versions", "model#toy", "configuration#00000003", {}, False),
        ("versions", "model#toy", "registration#" + "0" * 64, {"version": {"N": "3"}}, True),
        ("versions", "model#toy", "registration#" + "0" * 64, {"version": {"N": "4"}}, False),
        ("versions", "models", "model#toy", {}, False),
        ("versions", "model#later", "version#00000000", {}, False),
        ("rounds", "model#toy", "round#00000006", {}, True),
        ("rounds", "model#toy", "round#00000007", {}, False),
        ("rounds", "round#toy.7", "receipt#pump-1", {}, True),
        ("rounds", "round#toy.8", "receipt#pump-1", {}, False),
        ("rounds", "round#toy.8", "evaluation#pump-1", {}, False),
        ("monitoring", "records#toy", "round#00000006", {}, True),
        ("monitoring", "records#toy", "round#00000007", {}, False),  # it will end in another way
        ("monitoring", "now", "alert#toy#loss", {}, True),
        ("monitoring", "alerts#toy", "alert#loss#00000009", {}, True),
        ("monitoring", "thresholds#later", "threshold#loss", {}, False),
        ("clients", "clients#03", "client#pump-1", {}, True),
    ],
)  # fmt: skip
def test_what_is_newer_than_the_cut_is_left_out(
    table: TableName, pk: str, sk: str, attributes: dict[str, Any], is_old: bool
) -> None:
    ends = backup_cut.ModelEnds(model="toy", round=7, recorded=6, version=3, revision=5, configured=2, items=())
    assert backup_cut.belongs(row(table, pk, sk, **attributes), {"toy": ends}) is is_old


@pytest.mark.parametrize("taken_at", ["2026-01-01T12:00:00.000000Z", "2026-01-01T14:00:00.000000Z"])
def test_an_abandoned_round_does_not_end_before_it_began(taken_at: str) -> None:
    opened_at = "2026-01-01T13:00:00.000000Z"
    rnd = row("rounds", "model#toy", "round#00000001", opened_at={"S": opened_at}, fence={"N": "1"})
    ended = abandoned(rnd, taken_at)
    assert ended["finished_at"] == ended["closed_at"] == {"S": max(taken_at, opened_at)}
    assert ended["fence"] == {"N": "2"}
