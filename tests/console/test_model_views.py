"""What is shown of models and their versions, from answers of the API: values in, values out."""

from __future__ import annotations

from typing import Any

import pytest

from muster.console.known import MOST_MODELS, Denied, Known, Wish
from muster.console.views import curves, fleet, model, overview, rounds, version
from muster.console.views.blocks import Sentence
from muster.console.views.lineage import KINDS, MOST, lineage
from muster.console.views.why import why
from muster.wire import admin
from muster.wire.deciding import ACCURACY, DecidingMetric
from tests.console import replies
from tests.console.reading import listing, texts
from tests.console.replies import NOW, known

STOPPED = {"state": "stopped", "rounds_completed": 0, "rounds_wanted": 0}


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
    deployment = replies.deployed(rollout=replies.rollout())
    heard = admin.RolloutStatus(deployment=deployment, guard=admin.GuardReply(**guard), slots=None)
    found = known(status_toy=replies.status(rollout=replies.rollout()), rollout_toy=heard)
    assert Wish("rollout", "toy") in model.wishes("toy", found)
    said = texts(model.view("toy", found, NOW))
    assert "accuracy: 0.5 against 0.7 (candidate against deployed)" in said
    assert "finding: the candidate is worse" in said
    assert "strategy: canary, step 2 of 2" in said


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
