"""Operators list a round's judges, page after page: what each measured of both versions, and what became of its place."""

from __future__ import annotations

import pytest

from chalicelib.rounds.operators import places
from muster.http.errors import Refused
from muster.wire import admin
from tests.fleet import World
from tests.rounds.playing import judged

JUDGEMENTS = "/v1/admin/models/toy/rounds/1/judgements"


def by_client(world: World) -> dict[str, admin.RoundJudgement]:
    found = list(world.operator.judgements("toy", 1))
    assert len(found) == len({judgement.client_id for judgement in found})
    return {judgement.client_id: judgement for judgement in found}


def test_each_judge_is_listed_with_what_it_measured_and_what_became_of_its_place(world: World) -> None:
    devices = world.relive(judged)
    first, second, third = (by_client(world)[device.client_id] for device in devices)
    assert (first.state, second.state, third.state) == ("measured", "assigned", "failed")
    assert first.candidate
    assert first.deployed
    assert first.gain == pytest.approx(first.candidate.metrics["accuracy"] - first.deployed.metrics["accuracy"])
    assert (second.candidate, second.gain, second.reason) == (None, None, None)
    assert (third.reason, third.error) == ("no-time", "TimeoutError")


def test_judges_come_in_pages_each_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = world.relive(judged)
    monkeypatch.setattr(places, "PAGE", 2)
    page = world.operator.judgements_page("toy", 1)
    assert len(page.judgements) == 2
    assert by_client(world).keys() == {device.client_id for device in devices}


def test_a_judge_whose_key_was_revoked_is_said_to_be_withdrawn(world: World) -> None:
    devices = world.relive(judged)
    world.operator.revoke(devices[0].client_id)
    assert by_client(world)[devices[0].client_id].state == "withdrawn"


def test_of_a_round_that_nobody_judged_there_are_none(world: World) -> None:
    world.model()
    world.tick()
    assert list(world.operator.judgements("toy", 1)) == []
    with pytest.raises(Refused):
        list(world.operator.judgements("toy", 7))


@pytest.mark.parametrize("query", ["after=../x", "state=measured"])
def test_what_no_judge_can_be_is_refused(world: World, query: str) -> None:
    world.relive(judged)
    assert world.request("GET", f"{JUDGEMENTS}?{query}").status_code == 422
