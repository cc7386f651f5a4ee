"""Pages full of what hostile devices and operators may have written, and rules that hold for all pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from muster.console.views import alerts, fleet, judges, model, overview, receipts, rounds, version
from muster.console.views.blocks import DataTable, Terms, View, Ways
from tests.console import replies
from tests.console.reading import charts
from tests.console.replies import NOW, known

EVIL = '<img src=x onerror="alert(1)">'


def everything() -> Iterator[View]:
    """Pages full of what hostile devices and operators may have written."""
    rnd = replies.round_(3, reason=EVIL, rejected={EVIL: 1}, failed={":formatter": 1}, judges_failed={EVIL: 2}, lacks=EVIL)
    status = replies.status(
        round=rnd, rollout=replies.rollout(paused=EVIL), experiments=[EVIL], alerts=[replies.alert(metric=EVIL)]
    )
    client = replies.client(device_type=EVIL, sdk_version=":x", capabilities={":js": EVIL}, model=EVIL)
    versions = [
        replies.version(at, metrics={":loss": 1.0, f"{EVIL}loss": 2.0}, evaluation={"accuracy": 0.5}, note=EVIL)
        for at in (0, 1, 2)
    ]
    told = replies.why(sentence=EVIL, also=[EVIL], command=EVIL)
    hostile = replies.overview(replies.glance(why=told, round=3, phase=EVIL), troubles=[EVIL])
    found = known(
        overview=hostile, why_toy=told,
        status_toy=status, rounds_toy=[rnd], round_toy_3=rnd, versions_toy=versions,
        objectives_toy=replies.objectives(replies.objective(name=EVIL, what=EVIL), unreadable=[EVIL]),
        deployments_toy=[replies.deployed(because=EVIL)], clients=[client], alerts_toy=replies.told(
            replies.alert(because=EVIL, metric=EVIL), silences=[replies.silence(metric=EVIL, because=EVIL, by=EVIL)]
        ),
        statistics=replies.fleet(by_device_type={":js": 1, EVIL: 2}, active_by_model={EVIL: 1}, active_by_cohort={":js": 1},
                                 by_sdk_version={EVIL: 2}),
        version_toy_2=replies.version(2, metrics={EVIL: 1.0}, evaluation={EVIL: 0.5}, note=EVIL, traces=[EVIL]),
        judges_toy_3=replies.judgements(
            replies.judgement(
                EVIL, reason=EVIL, error=EVIL, candidate={"examples": 1, "metrics": {EVIL: 1.0}, "is_finite": True}
            ),
            after=EVIL,
        ),
        receipts_toy_3=replies.receipts(
            replies.receipt(EVIL, reason=EVIL, metrics={EVIL: 1.0}, state="rejected", expected=EVIL, got=EVIL), after=EVIL
        ),
        pace=replies.paces(**{EVIL: 1, "toy": 1}), **{"client__boiler-1": client, "active_toy": replies.active(EVIL, 1.0)},
    )  # fmt: skip
    yield overview.view(found, NOW)
    yield model.view("toy", found, NOW)
    yield rounds.view("toy", found, NOW)
    yield rounds.view_of_one("toy", 3, found, NOW)
    yield receipts.view("toy", 3, (), found, NOW)
    yield judges.view("toy", 3, "", found, NOW)
    yield version.view("toy", 2, found, NOW)
    yield fleet.view(found, NOW)
    yield fleet.view_of_one("boiler-1", found, NOW)
    yield alerts.view(found, NOW)


def keys(value: Any) -> Iterator[str]:
    match value:
        case dict():
            for key, inner in value.items():
                yield key
                yield from keys(inner)
        case list() | tuple():
            for inner in value:
                yield from keys(inner)


def test_nothing_that_a_device_says_is_a_key_of_a_picture_or_markup_in_it() -> None:
    """The library takes a key that begins with a colon for code, and ECharts a tooltip's text for HTML unless it is told."""
    drawn = [chart for view in everything() for chart in charts(view)]
    assert len(drawn) >= 6
    for chart in drawn:
        assert not any(key.startswith(":") or "<" in key for key in keys(dict(chart.options)))
        assert chart.options.get("tooltip", {}).get("renderMode", "richText") == "richText"


def test_every_way_leads_to_a_page_of_the_console_whatever_is_named() -> None:
    ways = [
        span.href for view in everything() for section in view.sections for block in section.blocks
        for span in (
            [span for row in block.rows for span in row] if isinstance(block, DataTable)
            else [span for _, span in block.pairs] if isinstance(block, Terms)
            else block.spans if isinstance(block, Ways) else []
        ) if span.href
    ]  # fmt: skip
    assert any("?" in way for way in ways)
    for way in ways:
        path, _, query = way.partition("?")
        assert path.startswith(("/models/", "/fleet", "/alerts"))
        assert not set(path + query) & set(" <>\"':?#")


def test_every_table_has_as_many_cells_as_columns_and_says_what_it_is() -> None:
    for view in everything():
        for section in view.sections:
            for block in section.blocks:
                if isinstance(block, DataTable):
                    assert block.caption
                    assert block.empty
                    assert block.numbers <= set(block.columns)
                    assert {len(row) for row in block.rows} <= {len(block.columns)}


def test_the_same_answers_make_the_same_page_so_that_nothing_is_drawn_anew() -> None:
    assert list(everything()) == list(everything())
