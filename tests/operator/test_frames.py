"""What an operator knows, as rows and as frames."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster import Device
from muster.operator import Operator, frames, rows
from muster.operator.extras import NotInstalled
from muster.wire import admin
from tests.fleet import API, World, checkpoint

PYTHONS = {"text": str, "count": int, "number": float, "flag": bool, "time": datetime}


def answers_of(world: World) -> dict[str, list[Any]]:
    """What the client answers of `toy`, by the table that it makes rows of."""
    operator = world.operator
    rounds, versions = list(operator.rounds("toy")), list(operator.versions("toy"))
    return {
        "ROUNDS": rounds, "REASONS": rounds, "VERSIONS": versions, "MEASUREMENTS": versions,
        "DEPLOYMENTS": list(operator.deployments("toy")), "CLIENTS": list(operator.clients()),
        "POINTS": [operator.metric("toy", "accuracy", 24), operator.metric("toy", "round_seconds", 24)],
    }  # fmt: skip


@pytest.fixture
def lived(world: World) -> World:
    world.relive(a_round_and_a_rollout)
    return world


def a_round_and_a_rollout(world: World) -> list[Device]:
    """`toy` has trained for a round, and a rollout of an operator's version goes on."""
    world.model(goal=2, quorum=2, evaluators=1, rounds=1)
    devices = world.devices(3)
    world.tick()
    for device in devices[:2]:
        world.update(device)
    world.play(devices)
    world.monitor()
    world.operator.register("toy", checkpoint(1.0), {"accuracy": 0.5}, note="a lab's")
    status = world.operator.status("toy")
    strategy = admin.Strategy(kind="canary", steps=[10])
    world.operator.deploy("toy", "newest", revision=status.deployment_revision, strategy=strategy)
    return []


def test_every_row_has_every_column_in_its_order_and_holds_plain_values_of_its_kind(lived: World) -> None:
    for name, answers in answers_of(lived).items():
        table = rows.TABLES[name]
        found = list(table.rows(answers))
        assert found or name == "REASONS", name
        for row in found:
            assert list(row) == list(table.columns)
            for column, value in row.items():
                assert value is None or type(value) is PYTHONS[table.columns[column].kind], (name, column, value)


def test_rows_say_what_the_answers_say(lived: World) -> None:
    (rnd,) = rows.ROUNDS.rows(lived.operator.rounds("toy"))
    assert (rnd["model"], rnd["round"], rnd["phase"], rnd["accepted"], rnd["version"]) == ("toy", 1, "completed", 2, 1)
    assert isinstance(rnd["opened_at"], datetime)
    assert isinstance(rnd["finished_at"], datetime)
    assert rnd["seconds"] == (rnd["finished_at"] - rnd["opened_at"]).total_seconds()
    newest, made, first = rows.VERSIONS.rows(lived.operator.versions("toy"))
    assert (newest["version"], newest["round"], newest["note"], newest["judges"]) == (2, None, "a lab's", None)
    assert (made["round"], made["parent"], made["judges"]) == (1, 0, 1)
    assert first["version"] == 0
    measured = list(rows.MEASUREMENTS.rows(lived.operator.versions("toy")))
    first_of_all = measured[0]
    assert [first_of_all[name] for name in ("version", "by", "name", "value")] == [2, "operator", "accuracy", 0.5]
    assert {row["by"] for row in measured if row["version"] == 1} == {"trainers", "judges"}
    rollout, *_ = rows.DEPLOYMENTS.rows(lived.operator.deployments("toy"))
    assert (rollout["kind"], rollout["candidate"], rollout["percent"], rollout["strategy"]) == ("started", 2, 10.0, "canary")


def test_no_row_holds_a_url(lived: World) -> None:
    answers = answers_of(lived)
    assert "X-Amz-Signature" in str(answers["VERSIONS"]), "the answers hold some"
    for name, told in answers.items():
        for row in rows.TABLES[name].rows(told):
            assert "://" not in str(row)


def test_the_types_of_a_frame_do_not_depend_on_what_is_in_it(lived: World) -> None:
    for name, answers in answers_of(lived).items():
        table = rows.TABLES[name]
        full, empty = frames.frame(table, answers), frames.frame(table, [])
        assert list(full.columns) == list(empty.columns) == list(table.columns)
        assert full.dtypes.equals(empty.dtypes), name
        assert len(full) == len(list(table.rows(answers)))
    made = frames.versions(lived.operator, "toy", most=None).set_index("version")
    assert made["created_at"].dt.tz is UTC or str(made["created_at"].dt.tz) == "UTC"
    assert made["round"].isna().tolist() == [True, False, True]


def test_a_frame_is_asked_for_by_its_noun(lived: World) -> None:
    operator = lived.operator
    assert frames.rounds(operator, "toy", most=10)["accepted"].tolist() == [2]
    assert len(frames.versions(operator, "toy", most=2)) == 2
    assert set(frames.measurements(operator, "toy", most=None)["by"]) == {"operator", "trainers", "judges"}
    assert frames.reasons(operator, "toy", most=None).empty
    assert len(frames.clients(operator, most=None)) == 3
    assert frames.clients(operator, most=None, state="revoked").empty
    assert frames.deployments(operator, "toy", most=1)["kind"].tolist() == ["started"]
    assert frames.metric(operator, "toy", "round_seconds", hours=24)["value"].notna().all()


def a_round(number: int, **told: Any) -> dict[str, Any]:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
    return {
        "round": f"toy.{number}", "number": number, "phase": "completed", "config_revision": 1, "base_version": number - 1,
        "opened_at": at.isoformat(), "report_by": at.isoformat(), "closed_at": None, "finished_at": None, "assigned": 0,
        "reported": 0, "accepted": 3, "rejected": {}, "late": 0, "uploaded_bytes": 1, "examples": 2, "evaluations": 0,
        "version": number, "gain": None, "deployed": True, "reason": None, **told,
    }  # fmt: skip


def test_ten_thousand_rounds_are_walked_by_pages_and_only_as_far_as_they_are_read() -> None:
    asked: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        before = int(request.url.params.get("before", 10_001))
        asked.append(before)
        numbers = range(before - 1, max(0, before - 101), -1)
        page = {"rounds": [a_round(number) for number in numbers], "before": numbers[-1] if numbers[-1] > 1 else None}
        return httpx.Response(200, json=page)

    operator = Operator(API, http=httpx.Client(transport=httpx.MockTransport(answer)))
    walk = rows.ROUNDS.rows(operator.rounds("toy"))
    assert asked == []
    assert next(walk)["round"] == 10_000
    assert asked == [10_001]
    assert len(list(rows.ROUNDS.rows(operator.rounds("toy"), most=250))) == 250
    assert len(asked) == 1 + 3
    assert frames.rounds(operator, "toy", most=None)["round"].tolist() == list(range(10_000, 0, -1))
    assert len(asked) == 1 + 3 + 100


COUNTS = st.integers(0, 2**63 - 1)
ZONES = st.integers(-23, 23).map(lambda hours: timezone(timedelta(hours=hours)))
FIRST, LAST = datetime(1, 1, 3), datetime(9999, 12, 29)  # noqa: DTZ001
TIMES = st.datetimes(FIRST, LAST, timezones=ZONES) | st.datetimes(FIRST, LAST)
REASONS = st.dictionaries(st.text(max_size=8), st.integers(0, 2**40), max_size=3)


@given(
    times=st.lists(st.none() | TIMES, min_size=4, max_size=4),
    counts=st.lists(COUNTS, min_size=4, max_size=4),
    reasons=st.lists(REASONS, min_size=3, max_size=3),
    gain=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    text=st.none() | st.text(),
)
def test_whatever_a_server_says_of_a_round_is_a_row_and_a_frame_of_the_same(
    times: list[datetime | None], counts: list[int], reasons: list[dict[str, int]], gain: float | None, text: str | None
) -> None:
    rnd = admin.RoundReply.model_validate(
        a_round(
            7,
            **dict(zip(("opened_at", "report_by", "closed_at", "finished_at"), times, strict=True)),
            **dict(zip(("accepted", "late", "uploaded_bytes", "examples"), counts, strict=True)),
            **dict(zip(("rejected", "failed", "judges_failed"), reasons, strict=True)),
            gain=gain,
            reason=text,
        )
    )
    (row,) = rows.ROUNDS.rows([rnd])
    assert (row["gain"], row["reason"], row["uploaded_bytes"]) == (gain, text, counts[2])
    assert [row[name] and row[name].utcoffset() for name in ("opened_at", "closed_at")] == [  # type: ignore[union-attr]
        timedelta(0) if at else None for at in (times[0], times[2])
    ]
    frame = frames.frame(rows.ROUNDS, [rnd])
    for name, value in row.items():
        assert frame[name].isna().tolist() == [value is None], name
        assert value is None or frame[name][0] == value
    told = list(rows.REASONS.rows([rnd]))
    assert {what: {row["reason"]: row["count"] for row in told if row["what"] == what} for what in ("rejected", "failed")} == {
        "rejected": reasons[0], "failed": reasons[1],
    }  # fmt: skip
    assert len(frames.frame(rows.REASONS, [rnd])) == sum(map(len, reasons))


def test_what_devices_say_of_themselves_is_text_in_json(world: World) -> None:
    world.model(rounds=0)
    world.device(world.token(), "one", capabilities={"b": True, "a": "=cmd|x"})
    (row,) = rows.CLIENTS.rows(world.operator.clients())
    assert json.loads(str(row["capabilities"])) == {"a": "=cmd|x", "b": True}
    assert row["client"] == "one"


def test_without_pandas_a_frame_says_what_to_install_and_rows_are_there(lived: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert list(rows.ROUNDS.rows(lived.operator.rounds("toy")))
    with pytest.raises(NotInstalled, match=r"frames need pandas, which pip install 'muster-fl\[notebook\]'"):
        frames.rounds(lived.operator, "toy", most=1)
