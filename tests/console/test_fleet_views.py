"""What is shown of the fleet, of alerts, and of objectives."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from muster.console.known import Known, Wish
from muster.console.views import alerts, fleet, model
from tests.console import replies
from tests.console.reading import charts, listing, texts
from tests.console.replies import NOW, known


def test_the_fleet_is_counted_by_type_model_cohort_and_release() -> None:
    counts = replies.fleet(
        clients=7,
        active=5,
        by_device_type={"boiler": 2, "thermostat": 5},
        by_sdk_version={"1.2.0": 6, "1.1.0": 1},
        active_by_model={"toy": 4},
        active_by_cohort={"lab.1": 2},
    )
    clients = [
        replies.client("a-1"),
        replies.client("a-2"),
        replies.client("a-3", alive=False, quarantined=True),
    ]
    view = fleet.view(known(statistics=counts, clients=clients), NOW)
    types, releases = charts(view)
    assert types.options["yAxis"]["data"] == ["thermostat", "boiler"]
    assert types.options["series"][0]["data"] == [5, 2]
    assert releases.label == "Enrolled clients by SDK version: 1.2.0 (6), 1.1.0 (1)."
    assert [span.text for span in listing(view, "Active clients by cohort").rows[0]] == ["lab.1", "2"]
    assert [row[2].text for row in listing(view, "Up to").rows] == ["alive", "alive", "quarantined"]
    assert listing(view, "Up to").rows[0][0].href == "/fleet/a-1"


def test_how_many_were_active_is_drawn_over_time_of_the_models_that_have_the_most_also_when_all_have_gone() -> None:
    counts = {"pumps": [3.0, 4.0, 0.0], "digits": [30.0], "none": []}
    drawn: dict[str, Any] = {f"active_{name}": replies.active(name, *values) for name, values in counts.items()}
    some = known(pace=replies.paces(**{f"m-{at}": 9 - at for at in range(3)}, pumps=0, digits=20, none=0), **drawn)
    assert sorted(wish.model for wish in fleet.wishes(some) if wish.kind == "active") == ["digits", "m-0", "m-1", "m-2", "none"]
    (chart,) = charts(fleet.view(known(pace=replies.paces(pumps=0, digits=20, none=0), **drawn), NOW))
    assert chart.label == (
        "Active clients by the model that they run, over the last 24 hours. "
        "At the last count: 30 of digits (at most 30), 0 of pumps (at most 4)."
    )
    (digits, pumps) = chart.options["series"]
    assert (digits["name"], pumps["name"], [value for _, value in pumps["data"]]) == ("digits", "pumps", [3.0, 4.0, 0.0])
    assert pumps["data"][-1][0] == NOW.timestamp() * 1000
    assert pumps["showSymbol"] is True
    many = known(pace=replies.paces(digits=1), active_digits=replies.active("digits", *[1.0] * 288))
    assert charts(fleet.view(many, NOW))[0].options["series"][0]["showSymbol"] is False


def test_one_client_is_shown_without_anything_that_is_not_known() -> None:
    found = replies.client(alive=False, charging=True, capabilities={"gpu": False}, model=None, version=None)
    view = fleet.view_of_one("boiler-1", known(**{"client__boiler-1": found}), NOW)
    said = texts(view)
    assert "It is silent: it was last seen 30 s ago." in said
    assert {"charging: yes", "idle: not known", "runs: nothing that it said", "may train: all models"} <= set(said)
    assert [span.text for span in listing(view, "What it says").rows[0]] == ["gpu", "False"]
    fresh = known(**{"client__boiler-1": replies.client(version=None)})
    assert "runs: toy, no version yet" in texts(fleet.view_of_one("boiler-1", fresh, NOW))


OF_TOY = replies.overview(replies.glance())


def test_open_alerts_come_first_and_each_that_waits_can_be_acknowledged() -> None:
    found = replies.told(
        replies.alert(number=2), replies.alert(metric="gain", state="acknowledged", acknowledged_by="ada"),
        replies.alert(number=1, state="cleared", cleared_at=NOW),
    )  # fmt: skip
    view = alerts.view(known(overview=OF_TOY, alerts_toy=found), NOW)
    assert [row[0].text for row in listing(view, "Alerts that are not").rows] == ["accuracy (2)", "gain (1)"]
    assert [row[0].text for row in listing(view, "The last alerts").rows] == ["accuracy (1)"]
    assert [choice.label for choice in view.choices] == [
        "Acknowledge accuracy of toy", "Silence accuracy of toy", "Silence gain of toy",
    ]  # fmt: skip


def test_alerts_show_how_soon_somebody_should_look_and_until_when_nobody_is_told() -> None:
    silent = replies.alert(metric="gain", severity="critical", silent_until=NOW + timedelta(hours=8))
    shown = known(overview=OF_TOY, alerts_toy=replies.told(silent, silences=[replies.silence()]))
    view = alerts.view(shown, NOW)
    (row,) = listing(view, "Alerts that are not").rows
    assert (row[2].text, row[2].tone, row[9].text) == ("critical", "bad", "2026-05-01 20:00:00")
    (silence,) = listing(view, "Metrics of whose").rows
    assert [span.text for span in silence] == ["gain", "toy", "2026-05-01 20:00:00", "ada", "we retrain"]
    assert [choice.label for choice in view.choices] == ["Acknowledge gain of toy", "End the silence of gain of toy"]


def test_the_stack_has_alerts_of_its_own_and_no_page() -> None:
    dead = replies.alert(model="-", metric="dead_letters", severity="critical")
    shown = known(overview=OF_TOY, alerts_toy=replies.told(), **{"alerts_-": replies.told(dead)})
    assert Wish("alerts", "-") in alerts.wishes(shown)
    view = alerts.view(shown, NOW)
    (row,) = listing(view, "Alerts that are not").rows
    assert (row[0].text, row[1].text, row[1].href) == ("dead_letters (1)", "the stack", "")
    assert [choice.label for choice in view.choices] == [
        "Acknowledge dead_letters of the stack", "Silence dead_letters of the stack",
    ]  # fmt: skip
    assert {choice.intent.model for choice in view.choices} == {"-"}


def test_alerts_that_were_not_heard_of_are_not_said_to_be_none() -> None:
    stack = {"alerts_-": replies.told()}
    all_heard = known(overview=OF_TOY, alerts_toy=replies.told(), **stack)
    assert "No alert is open." in texts(alerts.view(all_heard, NOW))
    assert "Nothing was heard of toy." in texts(alerts.view(known(overview=OF_TOY, **stack), NOW))
    assert "Nothing was heard of the stack, toy." in texts(alerts.view(known(overview=OF_TOY), NOW))
    assert "Asking which models there are." in texts(alerts.view(Known(), NOW))


def test_a_model_shows_its_objectives_what_is_left_and_what_was_not_measured() -> None:
    burned = replies.objective(name="uploads", what="uploads", good=90, total=100, share=0.9, budget_left=0.0, is_burned=True)
    never = replies.objective(name="availability", target=0.999, good=0, total=0, share=None, budget_left=None)
    soon = replies.objective(used_up_at=NOW)
    shown = known(status_toy=replies.status(), objectives_toy=replies.objectives(soon, burned, never))
    assert Wish("objectives", "toy") in model.wishes("toy", shown)
    rows = listing(model.view("toy", shown, NOW), "Service objectives").rows
    assert [[span.text for span in row] for row in rows] == [
        ["rounds", "98", "100 rounds", "98 %", "95 %", "60 %", "2026-05-01 12:00:00"],
        ["uploads", "90", "100 uploads", "90 %", "95 %", "none", "–"],
        ["availability", "–", "–", "not measured", "99.9 %", "–", "–"],
    ]
    assert rows[1][5].tone == "bad"
    told = known(status_toy=replies.status(), objectives_toy=replies.objectives(unreadable=["row a / b"]))
    assert "Not in these figures: row a / b" in texts(model.view("toy", told, NOW))
    assert "Asking how its objectives stand." in texts(model.view("toy", known(status_toy=replies.status()), NOW))
