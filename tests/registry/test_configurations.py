"""How a model's rounds are run can be changed, from the next round on; who did it, when and why is kept."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from chalicelib.storage import keys
from muster.http.errors import Refused
from muster.wire.admin import RoundConfig, Rule
from muster.wire.arrays import encode
from muster.wire.problems import Problem
from tests.fleet import CONFIG, SESSION, Killed, World


def configured(world: World, **changed: Any) -> RoundConfig:
    """The model's present configuration with some members changed."""
    return RoundConfig.model_validate(world.operator.status("toy").config.model_dump() | changed)


def revisions(world: World) -> list[int]:
    return [one.revision for one in world.operator.configurations("toy")]


def test_a_new_configuration_takes_effect_at_the_next_round_and_an_open_one_goes_on_as_it_opened(world: World) -> None:
    world.model(rounds=2, goal=2, quorum=1, evaluators=0, hyperparameters={"learning_rate": 0.1})
    world.tick()
    devices = world.devices(2)
    assignment = devices[0].check_in()
    made = world.operator.configure(
        "toy", configured(world, hyperparameters={"learning_rate": 0.01}), revision=1, because="it oscillates"
    )
    assert (made.revision, made.because, made.config.hyperparameters) == (2, "it oscillates", {"learning_rate": 0.01})
    again = devices[1].check_in()
    for one in (assignment, again):
        assert one.kind == "train"
        assert one.hyperparameters == {"learning_rate": 0.1}
    for device in devices:
        world.update(device)
    world.play()
    world.tick()
    world.clock.advance(world.settings.memory_seconds)
    second = devices[0].check_in()
    assert second.kind == "train"
    assert second.hyperparameters == {"learning_rate": 0.01}
    assert [rnd.config_revision for rnd in world.operator.rounds("toy")] == [2, 1]
    assert revisions(world) == [2, 1]


def test_the_same_wish_twice_is_one_revision_and_another_one_from_the_same_sight_is_refused(world: World) -> None:
    world.model(rounds=0)
    wish = configured(world, goal=7)
    first, second = (world.operator.configure("toy", wish, revision=1, because="more") for _ in range(2))
    assert first == second
    assert revisions(world) == [2, 1]
    for other in (configured(world, goal=8), RoundConfig(**{**CONFIG, "goal": 7})):
        with pytest.raises(Refused) as refused:
            world.operator.configure("toy", other, revision=1)
        assert refused.value.problem is Problem.CONFIGURATION_MOVED
    assert world.operator.status("toy").config == wish
    with pytest.raises(Refused) as refused:
        world.operator.configure("toy", wish, revision=9)
    assert refused.value.problem is Problem.CONFIGURATION_MOVED


def test_what_is_so_already_makes_no_revision(world: World) -> None:
    world.model(rounds=0)
    same = world.operator.configure("toy", configured(world), revision=1, because="nothing")
    assert (same.revision, same.because) == (1, "the model was created")
    assert revisions(world) == [1]


def test_of_many_at_once_one_is_heard_and_the_others_are_told(world: World) -> None:
    world.model(rounds=0)
    wishes = [configured(world, goal=goal) for goal in range(10, 18)]

    def wish(config: RoundConfig) -> int | Problem | None:
        try:
            return world.operator.configure("toy", config, revision=1).config.goal
        except Refused as refused:
            return refused.problem

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(wish, wishes))
    assert told.count(Problem.CONFIGURATION_MOVED) == 7
    assert world.operator.status("toy").config.goal in told
    assert revisions(world) == [2, 1]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_function_killed_around_its_one_write_has_configured_all_or_nothing(world: World, when: str) -> None:
    world.model(rounds=0)
    wish = configured(world, goal=9)

    def kill(called: str, proceed: Callable[[], Any]) -> Any:
        if called == "TransactWriteItems":
            if when == "after":
                proceed()
            raise Killed
        return proceed()

    world.calls.between = kill
    with pytest.raises(Killed):
        world.operator.configure("toy", wish, revision=1)
    world.calls.between = None
    assert world.operator.configure("toy", wish, revision=1).revision == 2
    assert (world.operator.status("toy").config, revisions(world)) == (wish, [2, 1])


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"aggregator": {"name": "nonsense"}}, "aggregator"),
        ({"aggregator": {"name": "krum", "parameters": {"byzantine": 5}}}, "quorum"),
        ({"evaluators": 2, "evaluation_level": 0.01, "evaluation_quorum": None}, "evaluation_level"),
    ],
)
def test_what_could_never_be_carried_out_is_refused_and_changes_nothing(
    world: World, changed: dict[str, Any], word: str
) -> None:
    world.model(rounds=0)
    for dry_run in (True, False):
        with pytest.raises(Refused) as refused:
            world.operator.configure("toy", configured(world, **changed), revision=1, dry_run=dry_run)
        assert refused.value.problem is Problem.INVALID_BODY
        assert word in str(refused.value)
    assert revisions(world) == [1]


def test_hyperparameters_that_trainers_do_not_understand_are_refused_to_the_operator_and_change_nothing(world: World) -> None:
    schema = {"learning_rate": {"type": "number", "exclusive_minimum": 0}}
    world.model(rounds=0, hyperparameter_schema=schema, hyperparameters={"learning_rate": 0.1})
    body = {**world.operator.status("toy").config.model_dump(mode="json"), "hyperparameters": {"learning_rat": 0.1}}
    answer = world.request("POST", "/v1/admin/models/toy/configurations", body={"config": body, "revision": 1})
    assert answer.status_code == 422
    assert "unknown hyperparameter 'learning_rat': did you mean 'learning_rate'?" in answer.text
    assert revisions(world) == [1]


def test_what_trainers_understand_makes_no_rounds_row_longer(world: World) -> None:
    schema = {f"h{number}": {"type": "number", "minimum": 0, "maximum": 1} for number in range(32)}
    world.model(hyperparameter_schema=schema, hyperparameters={"h7": 0.5})
    world.tick()
    rnd = world.services.rounds.latest("toy")
    assert rnd is not None
    assert (rnd.config.hyperparameters, rnd.config.hyperparameter_schema) == ({"h7": 0.5}, None)
    kept = world.operator.status("toy").config.hyperparameter_schema
    assert kept is not None
    assert len(kept) == 32


def test_an_encoding_that_cannot_hold_the_model_is_refused_and_one_that_can_is_used(world: World) -> None:
    world.operator.create_model("toy", encode({"w": np.zeros(4, "f4"), "scale:w": np.zeros(4, "f4")}), RoundConfig(**CONFIG))
    with pytest.raises(Refused) as refused:
        world.operator.configure("toy", configured(world, encoding="int8"), revision=1)
    assert refused.value.problem is Problem.INVALID_BODY
    assert "encoding" in str(refused.value)
    world.model("other", goal=1, quorum=1, evaluators=0)
    config = RoundConfig.model_validate(world.operator.status("other").config.model_dump() | {"encoding": "int8"})
    world.operator.configure("other", config, revision=1)
    world.tick()
    (device,) = world.devices(1, "other")
    assignment = device.check_in()
    assert assignment.kind == "train"
    assert assignment.encoding == "int8"


def test_another_optimizer_begins_without_the_state_of_the_one_before(world: World) -> None:
    world.model(rounds=1, goal=1, quorum=1, evaluators=0, optimizer=Rule(name="adam"))
    (device,) = world.devices(1)
    world.tick()
    world.update(device)
    world.play()
    world.operator.start("toy", 2)
    world.operator.configure("toy", configured(world, optimizer={"name": "yogi"}), revision=1)
    world.clock.advance(world.settings.memory_seconds)
    world.tick()
    world.update(device)
    world.play()
    newest = world.services.registry.newest("toy")
    assert newest
    assert newest.optimizer
    assert (newest.optimizer.optimizer, newest.optimizer.step) == ("yogi", 1)


def test_a_creation_that_comes_again_after_a_configuration_is_still_the_same(world: World) -> None:
    world.model(rounds=0)
    first = configured(world)
    world.operator.configure("toy", configured(world, goal=9), revision=1)
    base = world.operator.download(world.operator.version("toy", 0).checkpoint)
    assert world.operator.create_model("toy", base, first).config.goal == 9


def test_a_model_of_before_the_history_can_be_configured(world: World) -> None:
    world.model(rounds=0)
    table = SESSION.resource("dynamodb").Table(world.settings.versions_table)
    table.delete_item(Key=keys.CONFIGURATION.key(model="toy", revision=1))
    table.update_item(Key=keys.MODEL.key(model="toy"), UpdateExpression="REMOVE config_revision")
    assert world.operator.configure("toy", configured(world), revision=1).because == "the model was created"
    assert world.operator.configure("toy", configured(world, goal=5), revision=1).revision == 2
    assert revisions(world) == [2]


def test_the_history_is_read_page_by_page(world: World) -> None:
    world.model(rounds=0)
    for revision in range(1, 60):
        world.operator.configure("toy", configured(world, goal=10 + revision), revision=revision)
    assert revisions(world) == list(range(60, 0, -1))


def test_a_scheduled_hyperparameter_is_another_in_each_round_and_each_place_has_a_seed_of_its_own(world: World) -> None:
    rate = {"schedule": "linear", "start": 1.0, "end": 0.0, "rounds": 3}
    world.model(
        rounds=2, goal=2, quorum=2, over_selection=1.0, evaluators=0, hyperparameters={"rate": rate, "epochs": 2}, seed=7
    )
    devices = world.devices(2)
    seeds = set()
    for expected in (1.0, 0.5):
        world.tick()
        world.clock.advance(world.settings.memory_seconds)
        for device in devices:
            place, again = device.check_in(), device.check_in()
            assert place.kind == again.kind == "train"
            assert place.hyperparameters == {"rate": expected, "epochs": 2}
            assert place.seed == again.seed
            seeds.add(place.seed)
            world.update(device)
        world.play()
    assert len(seeds) == 4


def test_another_model_of_the_same_configuration_draws_the_same_seeds(world: World) -> None:
    seeds = []
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        world.model(name, goal=1, quorum=1, evaluators=0, seed=seed)
        world.tick()
        world.deliver()
        place = world.device(world.token(), "device-0", name).check_in()
        assert place.kind == "train"
        seeds.append(place.seed)
    assert seeds[0] == seeds[1] != seeds[2]


def test_a_revision_is_written_only_after_the_one_before_it(world: World) -> None:
    world.model(rounds=0)
    before, store = world.everything(), world.services.registry
    made = store.configuration("toy", 1)
    assert made
    for name, revision in (("toy", 5), ("toy", 1), ("nosuch", 2)):
        assert not store.configure(replace(made, model=name, revision=revision))
    assert world.everything() == before
