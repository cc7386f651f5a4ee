"""The devices that play a Flower strategy's rounds, before the real server; what they train with needs no flwr here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.local import LocalCloud
from muster.device import Evaluation, TrainingResult
from muster.flower.errors import OtherRun, UnfitReply
from muster.flower.fleet import CloudFleet, FleetPlace
from muster.operator import Operator
from muster.wire.admin import RoundConfig
from muster.wire.arrays import Array, encode

BASE = {"0": np.zeros(3, np.float32)}
CONFIG = RoundConfig(goal=2, quorum=2, over_selection=1.0, evaluators=0)


class Adds:
    """Adds one to every number; or is unfit."""

    def __init__(self, sentence: str | None = None) -> None:
        self._sentence = sentence

    def begin(self, context: object) -> None:
        pass

    def train(self, base: Mapping[str, Array], hyperparameters: Mapping[str, Any]) -> TrainingResult:
        if self._sentence:
            raise UnfitReply(self._sentence)
        return TrainingResult({name: array + np.float32(1) for name, array in base.items()}, 10)

    def evaluate(self, weights: Mapping[str, Array]) -> Evaluation:
        return Evaluation(10, {"accuracy": 1.0})


@pytest.fixture
def place(cloud: LocalCloud, tmp_path: Path) -> Iterator[FleetPlace]:
    operator = Operator(cloud.url)
    yield FleetPlace(operator=operator, url=cloud.url, folder=tmp_path / "fleet")
    operator.close()


def test_rounds_come_as_they_complete_and_come_again_when_the_command_is_given_again(place: FleetPlace) -> None:
    model = place.model("Toy App")
    assert model.startswith("toy-app-")
    for _ in range(2):
        fleet = CloudFleet(place, place.model("Toy App"), [Adds(), Adds()])
        found = list(fleet.rounds(encode(BASE), CONFIG, 2))
        assert [rnd.id for rnd in found] == [f"{model}.1", f"{model}.2"]
        assert [float(rnd.arrays["0"][0]) for rnd in found] == [1.0, 2.0]
    assert oct((place.folder / "token").stat().st_mode)[-3:] == "600"


def test_a_trainer_that_cannot_be_used_ends_the_rounds_with_its_sentence(place: FleetPlace) -> None:
    fleet = CloudFleet(place, place.model("bad"), [Adds("client 0, train: got nothing"), Adds()])
    with pytest.raises(UnfitReply, match="client 0, train: got nothing"):
        list(fleet.rounds(encode(BASE), CONFIG, 1))


def test_the_folder_of_another_app_is_refused(place: FleetPlace) -> None:
    place.model("one")
    with pytest.raises(OtherRun, match=r"is of the app one at .*, this is two at"):
        place.model("two")
