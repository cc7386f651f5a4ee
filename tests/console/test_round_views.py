"""What is shown of rounds and their receipts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from muster.console.known import Denied, Known, Learnt, Wish
from muster.console.views import judges, receipts, rounds
from muster.console.views.blocks import Terms, Ways
from muster.wire.admin.rounds import phases
from tests.console import replies
from tests.console.reading import charts, listing, texts
from tests.console.replies import NOW, known

EVIL = '<img src=x onerror="alert(1)">'


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


# ---- judges


def test_a_round_shows_who_judged_its_version_and_what_each_measured_of_both() -> None:
    worse = {"examples": 7, "metrics": {}, "is_finite": False}
    found = known(
        round_toy_3=replies.round_(3),
        judges_toy_3=replies.judgements(
            replies.judgement("a-1"),
            replies.judgement("b-2", candidate=worse, gain=-1.0),
            replies.judgement("c-3", state="failed", candidate=None, deployed=None, gain=None, reason="no-time", error="Slow"),
            *(replies.judgement(f"d-{at}") for at in range(40)),
            after="d-39",
        ),
    )
    view = rounds.view_of_one("toy", 3, found, NOW)
    rows = [[span.text for span in row] for row in listing(view, "Judges in round 3 of toy").rows]
    assert len(rows) == judges.FEW
    assert rows[:3] == [
        ["a-1", "measured", "+0.02", "accuracy 0.9", "accuracy 0.88", "20", "–"],
        ["b-2", "measured", "-1", "nothing finite", "accuracy 0.88", "7", "–"],
        ["c-3", "failed", "–", "–", "–", "–", "no-time Slow"],
    ]
    tones = [row[2].tone for row in listing(view, "Judges in round 3 of toy").rows[:3]]
    assert tones == ["good", "bad", ""]
    assert Wish("judges", "toy", "3") in rounds.wishes_of_one("toy", 3, found)


def test_judges_are_asked_for_once_there_is_something_to_judge() -> None:
    found = known(round_toy_3=replies.collecting())
    assert Wish("judges", "toy", "3") not in rounds.wishes_of_one("toy", 3, found)
    assert "Judges" not in texts(rounds.view_of_one("toy", 3, found, NOW))


def test_judges_are_paged() -> None:
    found = Known(
        learnt={
            Wish("judges", "toy", "3", only=(("after", "a-1"),)): Learnt(value=replies.judgements(after="b-2"), at=NOW),
            Wish("judges", "toy", "4"): Learnt(value=Denied("no round 4 of toy"), at=NOW),
        }
    )
    view = judges.view("toy", 3, "a-1", found, NOW)
    (ways,) = [block for section in view.sections for block in section.blocks if isinstance(block, Ways)]
    assert [span.href for span in ways.spans] == ["/models/toy/rounds/3/judges", "/models/toy/rounds/3/judges?after=b-2"]
    assert "Nobody was asked to judge." in texts(view)
    assert "no round 4 of toy" in texts(judges.view("toy", 4, "", found, NOW))
    assert judges.ASKING in texts(judges.view("toy", 5, "", found, NOW))
