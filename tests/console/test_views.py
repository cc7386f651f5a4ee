"""What each page shows, from answers of the API: values in, values out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.console.known import MOST_MODELS, Denied, Known, Learnt, Wish
from muster.console.views import alerts, costs, curves, fleet, model, overview, receipts, rounds, version
from muster.console.views.blocks import Chart, DataTable, Sentence, Span, Terms, View, Ways
from muster.console.views.lineage import KINDS, MOST, lineage
from muster.console.views.why import why
from muster.wire import admin
from muster.wire.admin.rounds import phases
from muster.wire.deciding import ACCURACY, DecidingMetric
from tests.console import replies
from tests.console.replies import NOW, known

STOPPED = {"state": "stopped", "rounds_completed": 0, "rounds_wanted": 0}
EVIL = '<img src=x onerror="alert(1)">'


def texts(view: View) -> list[str]:
    """All words of a page."""
    return [said for section in view.sections for said in (section.heading, *_words(section.blocks))]


def _words(blocks: Any) -> Iterator[str]:
    for block in blocks:
        match block:
            case Sentence(text=text):
                yield text
            case Terms(pairs=pairs):
                yield from (f"{name}: {span.text}" for name, span in pairs)
            case DataTable():
                yield block.caption
                yield from (span.text for row in block.rows for span in row)
                yield from () if block.rows else (block.empty,)
            case Ways(spans=spans):
                yield from (span.text for span in spans)
            case Chart():
                yield block.label


def listing(view: View, caption: str) -> DataTable:
    found = [block for section in view.sections for block in section.blocks if isinstance(block, DataTable)]
    return next(block for block in found if block.caption.startswith(caption))


def charts(view: View) -> list[Chart]:
    return [block for section in view.sections for block in section.blocks if isinstance(block, Chart)]


# ---- why, and the overview


def test_why_a_model_stands_so_is_what_the_server_says_and_what_to_type_next() -> None:
    found = replies.why(
        sentence="its rollout is paused", needs_somebody=True, command="muster rollout resume toy", also=["2 are late"]
    )
    assert why(found) == (
        Sentence("Its rollout is paused.", "bad"), Sentence("2 are late."),
        Sentence("Next: muster rollout resume toy", "quiet"),
    )  # fmt: skip
    assert why(replies.why()) == (Sentence("It was never trained."),)
    assert why(None) == (Sentence("Asking what it waits for.", "quiet"),)
    shown = known(status_toy=replies.status(), why_toy=found)
    assert Wish("why", "toy") in model.wishes("toy", shown)
    assert "Its rollout is paused." in texts(model.view("toy", shown, NOW))


def test_the_overview_says_of_each_model_what_it_waits_for_and_leads_to_it() -> None:
    one = replies.glance(
        round=3, phase="collecting", accepted=4, goal=10, candidate_version=1, percent=25.0,
        alerts=[replies.alert(), replies.alert(metric="gain")], why=replies.why(also=["the tick is silent", "2 are late"]),
    )  # fmt: skip
    view = overview.view(known(overview=replies.overview(one, troubles=["the tick is silent"])), NOW)
    (row,) = listing(view, "Models").rows
    assert [span.text for span in row] == [
        "toy", "It was never trained. 2 are late.", "running, 2 of 5", "0", "3, collecting, 4 of 10", "version 1 at 25 %", "4",
        "2 open alerts",
    ]  # fmt: skip
    assert [span.href for span in row] == ["/models/toy", "", "", "", "/models/toy/rounds/3", "", "", "/alerts"]
    assert texts(view)[:2] == ["Of the whole stack", "The tick is silent."]


def test_a_model_whose_row_cannot_be_read_is_listed_all_the_same() -> None:
    one = replies.glance(training=None, deployed_version=None, active=None, why=replies.why(needs_somebody=True))
    view = overview.view(known(overview=replies.overview(one)), NOW)
    (row,) = listing(view, "Models").rows
    assert [span.text for span in row[2:]] == ["cannot be read", "–", "–", "–", "–", "none"]
    assert row[1].tone == "bad"


def test_all_models_cost_one_request_and_the_page_says_which_are_left_out() -> None:
    many = known(overview=replies.overview(*(replies.glance(f"m{number}") for number in range(MOST_MODELS + 7))))
    assert overview.wishes(many) == {Wish("overview")}
    view = overview.view(many, NOW)
    assert len(listing(view, "Models").rows) == MOST_MODELS
    assert any(text.startswith("7 more models are not shown") for text in texts(view))


def test_before_the_first_answer_it_does_not_say_that_there_are_no_models() -> None:
    assert "Asking which models there are." in texts(overview.view(Known(), NOW))
    none = texts(overview.view(known(overview=replies.overview()), NOW))
    assert any(text.startswith("There are no models yet") for text in none)


# ---- a model


def test_a_candidate_stands_beside_what_was_deployed_then_as_the_same_judges_found_them() -> None:
    versions = [
        replies.version(2, evaluation={"accuracy": 0.7, "loss": 0.5}, judged=replies.judged(0.05), metrics={"loss": 0.6}),
        replies.version(1, evaluation={"accuracy": 0.6}, judged=replies.judged(0.1), metrics={"loss": 0.9}),
        replies.version(0),
    ]
    chart = curves.deciding("toy", ACCURACY, versions)
    assert chart is not None
    version, deployed = chart.options["series"]
    assert version["data"] == [[1, 0.6], [2, 0.7]]
    assert deployed["data"] == [[1, pytest.approx(0.5)], [2, pytest.approx(0.65)]]
    losses = curves.losses("toy", ACCURACY, versions)
    assert losses is not None
    assert {one["name"]: one["data"] for one in losses.options["series"]} == {
        "in training: loss": [[1, 0.9], [2, 0.6]], "judged: loss": [[2, 0.5]],
    }  # fmt: skip


def test_where_lower_is_better_what_was_deployed_lies_above_by_the_gain() -> None:
    metric = DecidingMetric(name="error", direction="lower")
    config = admin.RoundConfig(goal=10, quorum=2, metric=metric, min_gain=0.1, max_regression=0.1)
    chart = curves.deciding(
        "toy", metric, [replies.version(1, config=config, evaluation={"error": 2.0}, judged=replies.judged(0.5))]
    )
    assert chart is not None
    assert chart.options["series"][1]["data"] == [[1, 2.5]]


def test_versions_that_another_metric_decided_about_are_not_in_the_curve() -> None:
    metric = DecidingMetric(name="error", direction="lower")
    assert curves.deciding("toy", metric, [replies.version(1, evaluation={"error": 2.0})]) is None


def test_the_lineage_has_an_arrow_from_each_base_and_what_nothing_came_of_lies_beneath() -> None:
    versions = [
        replies.version(3, base=1, state="deployed"), replies.version(2, base=1, state="rolled-back"), replies.version(1),
        replies.version(0),
    ]  # fmt: skip
    chart = lineage("toy", versions)
    assert chart is not None
    (series,) = chart.options["series"]
    assert [(link["source"], link["target"]) for link in series["links"]] == [("v0", "v1"), ("v1", "v2"), ("v1", "v3")]
    assert [node["value"] for node in series["data"]] == [[0, 0], [1, 0], [2, -1], [3, 0]]
    kinds = [one["name"] for one in series["categories"]]
    assert [kinds[node["category"]] for node in series["data"]] == [KINDS[1], KINDS[1], KINDS[3], KINDS[0]]


def test_the_lineage_has_the_newest_versions_only_and_none_of_a_single_one() -> None:
    chart = lineage("toy", [replies.version(number) for number in range(40)])
    assert chart is not None
    assert [node["name"] for node in chart.options["series"][0]["data"]] == [f"v{number}" for number in range(40 - MOST, 40)]
    assert lineage("toy", [replies.version(0)]) is None


def test_what_can_be_done_is_what_the_model_can_do_now() -> None:
    def labels(**said: Any) -> list[str]:
        return [choice.label for choice in model.view("toy", known(status_toy=replies.status(**said)), NOW).choices]

    assert labels(training=STOPPED) == ["Start training"]
    assert labels(deployment_revision=2) == ["Stop training", "Start training", "Roll back"]
    going = labels(training=STOPPED, rollout=replies.rollout(), deployment_revision=2)
    assert going == ["Start training", "Pause rollout", "Promote", "Abort rollout", "Roll back"]
    assert "Resume rollout" in labels(rollout=replies.rollout(paused="an operator decided it"))


def test_a_rollout_shows_both_versions_figures_and_what_they_mean() -> None:
    guard = {
        "metric": ACCURACY, "margin": 0.05, "finding": "worse", "candidates": 30, "controls": 40, "waiting": 2,
        "candidate_mean": 0.5, "control_mean": 0.7, "low": -0.3, "high": -0.1, "split_is_broken": False,
        "last_of_candidate": NOW,
    }  # fmt: skip
    deployment = deployed(rollout=replies.rollout())
    heard = admin.RolloutStatus(deployment=deployment, guard=admin.GuardReply(**guard), slots=None)
    found = known(status_toy=replies.status(rollout=replies.rollout()), rollout_toy=heard)
    assert Wish("rollout", "toy") in model.wishes("toy", found)
    said = texts(model.view("toy", found, NOW))
    assert "accuracy: 0.5 against 0.7 (candidate against deployed)" in said
    assert "finding: the candidate is worse" in said
    assert "strategy: canary, step 2 of 2" in said


def deployed(**said: Any) -> admin.DeploymentReply:
    plain = {
        "model": "toy", "revision": 2, "version": 0, "kind": "started", "left": [], "previous": 1, "at": NOW, "because": EVIL,
        "by": None, "round": None,
    }  # fmt: skip
    return admin.DeploymentReply(**{**plain, **said})


def test_an_experiment_shows_its_arms_and_what_is_known() -> None:
    arms = [admin.ArmReply(name=name, version=at, weight=50.0, clients=9, share=50.0, mean=0.5 + at / 10) for at, name in
            enumerate(("control", "new"))]  # fmt: skip
    effect = admin.EffectReply(arm="new", finding="better", effect=0.1, low=0.05, high=0.15, split_is_broken=False)
    one = admin.ExperimentReply(
        experiment="toy.r2", name="warm", model="toy", since=NOW, cohort=None, metric=ACCURACY, level=0.05, horizon=None,
        arms=arms, effects=[effect], said="new is better.",
    )  # fmt: skip
    heard = admin.ExperimentList(revision=2, experiments=[one])
    view = model.view("toy", known(status_toy=replies.status(experiments=["warm"]), experiments_toy=heard), NOW)
    assert [[span.text for span in row] for row in listing(view, "The arms of warm").rows] == [
        ["control", "0", "50 %", "9", "0.5", "–", "control"], ["new", "1", "50 %", "9", "0.6", "+0.05 to +0.15", "better"],
    ]  # fmt: skip


@pytest.mark.parametrize("view", [model.view, rounds.view])
def test_a_model_that_is_not_there_says_what_the_server_said(view: Any) -> None:
    refused = known(status_nobody=Denied("There is no such model: nobody."))
    assert "There is no such model: nobody." in texts(view("nobody", refused, NOW))
    assert "Nothing is known of it yet." in texts(view("nobody", Known(), NOW))


# ---- rounds


def test_phases_are_seconds_also_of_a_round_that_goes_on_and_never_below_zero() -> None:
    assert phases(replies.round_(), NOW) == (600.0, 300.0)
    assert phases(replies.collecting(), NOW) == (300.0, 0.0)
    assert phases(replies.collecting(phase="evaluating", closed_at=replies.ago(minutes=2)), NOW) == (180.0, 120.0)
    assert phases(replies.collecting(), NOW - timedelta(hours=1)) == (0.0, 0.0)
    assert phases(replies.round_(opened_at=None), NOW) == (0.0, 0.0)


def test_rounds_are_listed_newest_first_with_rejections_by_reason() -> None:
    older = replies.round_(2, rejected={"not-finite": 2, "norm-overflow": 1}, late=3, failed={"out-of-memory": 1})
    view = rounds.view("toy", known(status_toy=replies.status(round=replies.collecting()), rounds_toy=[older]), NOW)
    first, second = listing(view, "Rounds of toy").rows
    assert (first[0].text, first[1].text) == ("3", "collecting")
    assert [span.text for span in second[:9]] == [
        "2", "completed", "10", "1 norm-overflow, 2 not-finite", "3", "1", "2 kB", "2", "+2.1 points",
    ]  # fmt: skip
    timeline, places = charts(view)
    assert [one["data"] for one in timeline.options["series"]] == [[5.0, 10.0], [0.0, 5.0]]
    assert {one["name"]: one["data"] for one in places.options["series"]} == {
        "accepted": [10, 4], "rejected": [3, 0], "late": [3, 0], "failed": [1, 0],
    }  # fmt: skip


def test_the_newest_round_is_as_the_status_has_it_which_is_asked_more_often() -> None:
    found = known(status_toy=replies.status(round=replies.round_(3)), rounds_toy=[replies.collecting(), replies.round_(2)])
    assert [row[1].text for row in listing(rounds.view("toy", found, NOW), "Rounds of toy").rows] == ["completed", "completed"]


def test_one_round_tells_its_story_and_what_each_reason_means() -> None:
    rnd = replies.round_(3, rejected={"not-finite": 2, "of-a-later-release": 1}, reason="accuracy rose")
    view = rounds.view_of_one("toy", 3, known(round_toy_3=rnd), NOW)
    assert (
        "It is completed; 10 updates were accepted. It made version 3, with a gain of +2.1 points, which was deployed."
        in texts(view)
    )
    assert "Accuracy rose." in texts(view)
    assert [[span.text for span in row] for row in listing(view, "Updates that were rejected").rows] == [
        ["not-finite", "2", "holds NaN or an infinity"], ["of-a-later-release", "1", "–"],
    ]  # fmt: skip


def test_a_round_whose_row_cannot_be_read_has_a_page_all_the_same() -> None:
    blank: dict[str, Any] = dict.fromkeys(
        ("config_revision", "base_version", "opened_at", "report_by", "closed_at", "finished_at", "version", "gain")
    )
    rnd = replies.round_(3, **{**blank, "phase": "unreadable", "accepted": 0})
    assert "It is unreadable; 0 updates were accepted." in texts(rounds.view_of_one("toy", 3, known(round_toy_3=rnd), NOW))
    listed = rounds.view("toy", known(status_toy=replies.status(round=rnd), rounds_toy=[]), NOW)
    assert listing(listed, "Rounds").rows[0][1].tone == "bad"


def test_rounds_that_were_not_heard_of_yet_are_not_said_to_be_none() -> None:
    asked = known(status_toy=replies.status(round=replies.round_()))
    assert rounds.ASKING in texts(rounds.view("toy", asked, NOW))


# ---- one version


def test_a_version_tells_where_it_came_from_what_was_measured_and_what_can_be_done_with_it() -> None:
    found = replies.version(
        2, round=7, parent=1, judged=replies.judged(), metrics={"train_loss": 0.5}, evaluation={"accuracy": 0.9}, pinned=True
    )
    view = version.view("toy", 2, known(version_toy_2=found, status_toy=replies.status(deployed_version=1)), NOW)
    said = texts(view)
    assert {"It is retired.", "by: round 7", "made from: version 1", "gain: +2.0 points", "kept: whatever else happens"} <= set(
        said
    )
    rows = [[span.text for span in row] for row in listing(view, "Each number").rows]
    assert rows == [["train_loss", "by its round's trainers", "0.5"], ["accuracy", "by its round's judges", "0.9"]]
    assert [choice.intent.kind for choice in view.choices] == ["deploy", "begin-rollout", "release-version"]
    assert version.wishes("toy", 2, known()) == {Wish("version", "toy", "2"), Wish("status", "toy")}


@pytest.mark.parametrize(
    ("said", "now", "story", "kinds"),
    [
        ({}, {"deployed_version": 2}, "It is what clients are given: all.", ["keep-version"]),
        ({}, {"deployed_version": 2, "rollout": replies.rollout(candidate=3)},
         "It is what clients are given: all but 25 %, who get version 3.", ["deploy", "keep-version"]),
        ({}, {"deployed_version": 1, "rollout": replies.rollout(candidate=2)},
         "It is being rolled out: 25 % of the clients are given it.", ["deploy", "keep-version"]),
        ({"deleted_at": NOW}, {}, version.DELETED, []),
    ],
)  # fmt: skip
def test_a_version_says_what_clients_have_of_it(said: Any, now: Any, story: str, kinds: list[str]) -> None:
    view = version.view("toy", 2, known(version_toy_2=replies.version(2, **said), status_toy=replies.status(**now)), NOW)
    assert texts(view)[1] == story
    assert [choice.intent.kind for choice in view.choices] == kinds


def test_a_version_that_is_not_there_says_what_the_server_said() -> None:
    view = version.view("toy", 9, known(version_toy_9=Denied("no version 9 of toy")), NOW)
    assert "no version 9 of toy" in texts(view)


def test_what_can_be_done_with_a_round_a_client_and_the_fleet_is_what_can_change_something() -> None:
    going_on, ended = (
        rounds.view_of_one("toy", 3, known(round_toy_3=rnd), NOW) for rnd in (replies.collecting(), replies.round_())
    )
    assert [choice.intent.round for choice in going_on.choices] == [3]
    assert ended.choices == ()
    for said, kinds in (
        ({}, ["revoke-client"]), ({"strikes": 1}, ["release-client", "revoke-client"]), ({"state": "revoked"}, []),
    ):  # fmt: skip
        view = fleet.view_of_one("boiler-1", known(**{"client__boiler-1": replies.client(**said)}), NOW)
        assert [choice.intent.kind for choice in view.choices] == kinds
    (bound,) = fleet.view(known(pace=replies.pace(budget=10**9)), NOW).choices
    assert (bound.intent.ceiling, bound.intent.budget) == (5000.0, 10**9)
    assert fleet.view(known(), NOW).choices == ()


# ---- receipts


REFUSED = replies.receipt("b-2", state="rejected", reason="wrong-shape", expected="shape (3,)", got="shape (4,)", norm=None)


def test_a_round_shows_its_first_receipts_and_each_count_leads_to_the_places_that_were_counted() -> None:
    many = replies.receipts(*(replies.receipt(f"c-{at}") for at in range(100)), after="c-99")
    rnd = replies.round_(3, rejected={"wrong-shape": 2, "of-a-later-release": 1})
    view = rounds.view_of_one("toy", 3, known(round_toy_3=rnd, receipts_toy_3=many), NOW)
    assert len(listing(view, "Places in round 3 of toy").rows) == receipts.FEW
    facts = {name: span for section in view.sections for block in section.blocks if isinstance(block, Terms)
             for name, span in block.pairs}  # fmt: skip
    assert (facts["accepted"].text, facts["accepted"].href) == ("10", "/models/toy/rounds/3/receipts?state=accepted")
    assert facts["late"].href == ""
    ways = [row[0].href for row in listing(view, "Updates that were rejected").rows]
    assert ways == ["/models/toy/rounds/3/receipts?state=rejected&reason=wrong-shape", ""], (
        "no page of a word that is not known"
    )


def test_receipts_say_what_was_expected_and_what_came_and_where_to_go_on() -> None:
    only = receipts.chosen("rejected", "wrong-shape", "a-1")
    assert only is not None
    found = Known(
        learnt={Wish("receipts", "toy", "3", only=only): Learnt(value=replies.receipts(REFUSED, after="b-2"), at=NOW)}
    )
    view = receipts.view("toy", 3, only, found, NOW)
    (row,) = listing(view, "Places").rows
    assert [span.text for span in row] == [
        "b-2", "rejected", "wrong-shape", "40", "2 kB", "–", "train_loss 0.5", "2026-05-01 11:38:00",
        "shape (3,); got: shape (4,)",
    ]  # fmt: skip
    states, pages = [block for section in view.sections for block in section.blocks if isinstance(block, Ways)]
    assert [span.text for span in states.spans] == ["all", *receipts.STATES]
    here = "/models/toy/rounds/3/receipts?state=rejected&reason=wrong-shape"
    assert [span.href for span in pages.spans] == [here, f"{here}&after=b-2"]


def test_what_is_shown_is_no_link_and_an_empty_page_says_whether_it_is_the_last() -> None:
    found = Known(
        learnt={
            Wish("receipts", "toy", "3", only=only): Learnt(value=replies.receipts(after=after), at=NOW)
            for only, after in (((), None), ((("state", "late"),), "x-1"))
        }
    )
    everyone, late = (receipts.view("toy", 3, only, found, NOW) for only in ((), (("state", "late"),)))
    for view, shown in ((everyone, "all"), (late, "late")):
        states = next(block for section in view.sections for block in section.blocks if isinstance(block, Ways))
        assert [span.text for span in states.spans if not span.href] == [shown]
    assert "No such place." in texts(everyone)
    assert "No such place among those that were looked at; the next page goes on." in texts(late)
    assert receipts.ASKING in texts(receipts.view("toy", 4, (), found, NOW))


@pytest.mark.parametrize("wrong", [("lost", "", ""), ("", "none-such", ""), ("", "", "../x"), ("", "", "a"), (EVIL, "", "")])
def test_an_address_that_names_no_receipts_leads_nowhere(wrong: tuple[str, str, str]) -> None:
    assert receipts.chosen(*wrong) is None


# ---- fleet and alerts


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


# ---- all of them


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
        deployments_toy=[deployed()], clients=[client], alerts_toy=replies.told(
            replies.alert(because=EVIL, metric=EVIL), silences=[replies.silence(metric=EVIL, because=EVIL, by=EVIL)]
        ),
        statistics=replies.fleet(by_device_type={":js": 1, EVIL: 2}, active_by_model={EVIL: 1}, active_by_cohort={":js": 1},
                                 by_sdk_version={EVIL: 2}),
        version_toy_2=replies.version(2, metrics={EVIL: 1.0}, evaluation={EVIL: 0.5}, note=EVIL, traces=[EVIL]),
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


# ---- costs


def test_a_month_is_shown_by_model_and_service_with_its_forecast_and_budgets() -> None:
    found = replies.cost(
        replies.model_bill(budget=1.0, over_budget=True), replies.model_bill("other", budget=9.0), replies.model_bill(None)
    )
    view = costs.view(known(cost=found), NOW)
    rows = listing(view, "What each model has used").rows
    assert [row[0].text for row in rows] == ["toy", "other", "of no model"]
    assert (rows[0][0].href, rows[2][0].href) == ("/models/toy/cost", "")
    assert (rows[0][-1].text, rows[0][-1].tone) == ("$1.00, used up: training waits", "bad")
    assert rows[1][-1] == Span("$9.00")
    said = texts(view)
    assert "so far: $1.50" in said
    assert any("AWS's bill decides" in text for text in said)
    (chart,) = charts(view)
    assert "DynamoDB $1.50" in chart.label


def test_before_anything_was_counted_the_cost_pages_say_so() -> None:
    assert "Asking what was spent." in texts(costs.view(known(), NOW))
    assert "Nothing was counted yet." in texts(costs.view(known(cost=replies.cost()), NOW))
    empty = replies.model_cost(days=[], rounds=[])
    assert "No round was counted yet." in texts(costs.view_of_one("toy", known(**{"model-cost_toy": empty}), NOW))


def test_a_models_month_is_shown_by_day_and_round_and_what_another_size_would_cost() -> None:
    answers = {
        "model-cost_toy": replies.model_cost(), "status_toy": replies.status(clients=replies.fleet(clients=100)),
        "versions_toy": [replies.version()], "pace": replies.pace(),
    }  # fmt: skip
    shown = known(**answers)
    assert costs.wishes_of_one("toy", shown) == {
        Wish("model-cost", "toy"),
        Wish("status", "toy"),
        Wish("versions", "toy"),
        Wish("pace"),
    }
    view = costs.view_of_one("toy", shown, NOW)
    (row,) = listing(view, "What the last rounds took").rows
    assert [span.text for span in row] == ["3", "$0.010", "100", "0", "2 MB"]
    plans = listing(view, "What a month of it would cost").rows
    assert plans[0][0].text == "as it is"
    assert len(plans) == 6
    without = costs.view_of_one("toy", known(**{**answers, "status_toy": replies.status()}), NOW)
    assert not any("would cost" in text for text in texts(without)), "of no client there is no plan"


@given(st.floats(0.0, 1e12), st.integers(1, 10**7), st.integers(0, 10**12))
def test_whatever_was_spent_can_be_shown(dollars: float, clients: int, nbytes: int) -> None:
    total = replies.model_bill(spent=replies.bill(Lambda=dollars), forecast=dollars, budget=dollars + 1e-9)
    version = replies.version()
    large = version.model_copy(update={"checkpoint": version.checkpoint.model_copy(update={"bytes": nbytes})})
    answers = {
        "model-cost_toy": replies.model_cost(total=total), "status_toy": replies.status(clients=replies.fleet(clients=clients)),
        "versions_toy": [large], "pace": replies.pace(), "cost": replies.cost(total),
    }  # fmt: skip
    for view in (costs.view_of_one("toy", known(**answers), NOW), costs.view(known(**answers), NOW)):
        assert all(text.strip() for text in texts(view))
