"""What can be done from the console: what it would do, its command, and doing it; in a whole server."""

from __future__ import annotations

import shlex
from datetime import timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from muster.console.doing import DEEDS, foresee, perform
from muster.console.doing.deed import UnfitReason
from muster.console.intents import LONGEST_REASON, NUMBERS, TITLES, WITH_REASON, Intent, IntentKind, command, filled_in
from muster.console.saying import sentence
from muster.http.errors import Refused
from muster.wire.admin import Arm, SetSilence, StartExperiment, Strategy
from muster.wire.problems import Problem
from tests.fleet import World, checkpoint
from tests.operator.terminal import Terminal


@pytest.fixture
def muster(world: World) -> Terminal:
    return Terminal(world)


def in_rollout(world: World) -> None:
    """A model whose version 1 is given to a quarter of the clients."""
    world.model(rounds=0)
    world.operator.register("toy", checkpoint(1.0))
    world.operator.deploy("toy", 1, revision=1, strategy=Strategy(kind="rolling", steps=[25.0], pause_seconds=86_400.0))


def test_training_is_started_for_so_many_more_rounds_and_stopped(world: World) -> None:
    world.model(rounds=0)
    found = foresee(world.operator, Intent(kind="start", model="toy", rounds=3))
    assert found.sentence == "This would train toy until 3 rounds have completed, 3 more than now."
    assert world.operator.status("toy").training.state == "stopped"
    assert perform(world.operator, found.intent) == "toy trains until 3 rounds have completed."
    world.tick()
    found = foresee(world.operator, Intent(kind="stop", model="toy"))
    assert found.sentence == "This would stop training toy; round 1 (collecting) would go on to its end."
    assert perform(world.operator, found.intent) == "No further round of toy opens."
    assert world.operator.status("toy").training.state == "stopped"


def test_a_rollback_does_what_was_shown_and_keeps_why(world: World) -> None:
    world.model(rounds=0)
    world.operator.register("toy", checkpoint(1.0))
    world.operator.deploy("toy", 1, revision=1)
    found = foresee(world.operator, Intent(kind="rollback", model="toy", because="it is worse"))
    assert found.sentence.startswith("This would roll back to version 0 of toy, past version 1")
    assert world.operator.status("toy").deployed_version == 1
    assert perform(world.operator, found.intent) == "Rolled back to version 0 of toy, past version 1 (revision 3)."
    assert next(world.operator.deployments("toy")).because == "it is worse"


def test_what_was_confirmed_is_not_done_when_somebody_else_decided_in_between(world: World) -> None:
    in_rollout(world)
    found = foresee(world.operator, Intent(kind="promote", model="toy"))
    world.operator.move_rollout("toy", "pause", revision=2)
    with pytest.raises(Refused) as refused:
        perform(world.operator, found.intent)
    assert refused.value.problem is Problem.DEPLOYMENT_MOVED
    assert world.operator.status("toy").rollout is not None


@pytest.mark.parametrize(
    ("kind", "would", "done"),
    [
        ("pause", "pause the rollout of version 1 of toy, at 25 % of the clients", "Paused the rollout of version 1 of toy"),
        ("promote", "promote version 1 of toy: all clients get it", "Promoted version 1 of toy: all clients get it"),
        ("abort", "abort the rollout, past version 1: all clients get version 0 of toy", "Aborted the rollout, past version 1"),
    ],
)
def test_a_rollout_is_moved_as_its_dry_run_said(world: World, kind: str, would: str, done: str) -> None:
    in_rollout(world)
    found = foresee(world.operator, Intent(kind=kind, model="toy"))  # type: ignore[arg-type]
    assert found.sentence.startswith(f"This would {would}")
    assert found.intent.revision == 2
    assert perform(world.operator, found.intent).startswith(done)


def test_a_paused_rollout_goes_on(world: World) -> None:
    in_rollout(world)
    world.operator.move_rollout("toy", "pause", revision=2)
    found = foresee(world.operator, Intent(kind="resume", model="toy"))
    assert found.sentence.startswith("This would resume the rollout of version 1")
    assert perform(world.operator, found.intent).startswith("Resumed the rollout")


def test_what_changes_nothing_says_so(world: World) -> None:
    in_rollout(world)
    world.operator.move_rollout("toy", "pause", revision=2)
    assert foresee(world.operator, Intent(kind="pause", model="toy")).sentence.startswith("This would change nothing:")
    nothing = foresee(world.operator, Intent(kind="acknowledge", model="toy", metric="accuracy"))
    assert nothing.sentence == "This would change nothing: no open alert waits for that."


def test_an_alert_is_acknowledged(world: World) -> None:
    world.model(rounds=0)
    world.operator.set_threshold("toy", "active_clients", minimum=5.0)
    world.counted()
    world.monitor()
    found = foresee(world.operator, Intent(kind="acknowledge", model="toy", metric="active_clients"))
    assert found.sentence == "This would acknowledge alert 1 of active_clients."
    assert "Alert 1 of active_clients is looked after by" in perform(world.operator, found.intent)
    assert world.operator.alerts("toy")[0].state == "acknowledged"


def test_a_metric_is_silenced_for_some_hours_and_told_of_again(world: World, muster: Terminal) -> None:
    world.model(rounds=0)
    silence = Intent(kind="silence", model="toy", metric="loss", hours=2.5, because="we retrain")
    found = foresee(world.operator, silence)
    assert found.sentence == "This would tell nobody of alerts of loss of toy for 2.5 hours."
    said = muster.text("alerts silence toy loss --hours 2.5 --dry-run").splitlines()[0]
    assert found.sentence == f"This {said}.", "the command's dry run says the same"
    assert command(silence) == "muster alerts silence toy loss --hours 2.5 --because 'we retrain'"
    assert world.operator.alerts_and_silences("toy").silences == [], "nothing was done yet"
    said = perform(world.operator, found.intent)
    (going_on,) = world.operator.alerts_and_silences("toy").silences
    assert going_on.until - world.clock() == timedelta(hours=2.5)
    assert (going_on.metric, going_on.because) == ("loss", "we retrain")
    assert said == f"Nobody is told of loss before {going_on.until:%Y-%m-%d %H:%M} UTC."
    assert ", instead of until " in foresee(world.operator, silence).sentence
    ending = Intent(kind="unsilence", model="toy", metric="loss")
    assert foresee(world.operator, ending).sentence == "This would tell of alerts of loss of toy again."
    assert perform(world.operator, ending) == "Alerts of loss are told of again."
    assert foresee(world.operator, ending).sentence.startswith("This would change nothing")
    assert world.operator.alerts_and_silences("toy").silences == []
    assert command(ending) == "muster alerts silence toy loss --hours 0"


def test_the_stacks_alert_is_silenced_as_a_models_is(world: World) -> None:
    world.model(rounds=0)
    found = foresee(world.operator, Intent(kind="silence", model="-", metric="dead_letters"))
    assert found.sentence == "This would tell nobody of alerts of dead_letters of the stack for 8 hours."
    perform(world.operator, found.intent)
    assert [one.metric for one in world.operator.alerts_and_silences("-").silences] == ["dead_letters"]


def test_of_a_model_that_is_not_there_nothing_is_silenced(world: World) -> None:
    with pytest.raises(Refused) as refused:
        foresee(world.operator, Intent(kind="silence", model="toy", metric="loss"))
    assert refused.value.problem is Problem.UNKNOWN_MODEL


def test_a_reason_is_as_long_as_what_takes_it() -> None:
    SetSilence(seconds=1.0, because="x" * LONGEST_REASON)
    with pytest.raises(ValidationError):
        SetSilence(seconds=1.0, because="x" * (LONGEST_REASON + 1))


@pytest.mark.parametrize("because", ["f\xfcr immer", "a\nb", "x" * (LONGEST_REASON + 1)])
@pytest.mark.parametrize("kind", ["silence", "pause"])
def test_a_reason_that_the_server_would_not_take_is_told_as_what_it_is_and_nothing_is_done(
    world: World, kind: IntentKind, because: str
) -> None:
    in_rollout(world)
    found = foresee(world.operator, Intent(kind=kind, model="toy", metric="loss", because=because))
    with pytest.raises(UnfitReason) as unfit:
        perform(world.operator, found.intent)
    assert sentence(unfit.value) == "Expected a reason of at most 64 characters of plain ASCII."
    assert world.operator.status("toy").deployment_revision == 2
    assert world.operator.alerts_and_silences("toy").silences == []


def test_each_command_is_one_that_the_command_line_takes_and_does_the_same(world: World, muster: Terminal) -> None:
    in_rollout(world)
    for kind in ("pause", "resume", "abort"):
        found = foresee(world.operator, Intent(kind=kind, model="toy", because="try"))
        words = shlex.split(command(found.intent))
        assert words[0] == "muster"
        said = muster.text(" ".join([*words[1:], "--dry-run"])).splitlines()[0]
        assert found.sentence == f"This {' '.join(said.split())}."
        muster.text(" ".join(words[1:]))
    for intent in (Intent(kind="start", model="toy", rounds=2), Intent(kind="stop", model="toy")):
        found = foresee(world.operator, intent)
        said = muster.text(command(intent).removeprefix("muster ") + " --dry-run").splitlines()[0]
        assert found.sentence == f"This {said}."
    assert command(Intent(kind="acknowledge", model="toy", metric="accuracy")) == "muster alerts ack toy accuracy"
    assert command(Intent(kind="rollback", model="toy", revision=3)) == "muster rollback toy --revision 3"


def test_every_kind_has_a_title_an_act_and_a_command_that_the_command_line_knows(muster: Terminal) -> None:
    assert TITLES.keys() == DEEDS.keys() == set(get_args(IntentKind))
    assert WITH_REASON | NUMBERS.keys() <= TITLES.keys()
    for kind in TITLES:
        words = shlex.split(command(Intent(kind=kind, model="toy", metric="m", experiment="e", client="c-1")))
        parents = [word for word in words[1:3] if word.isalpha() and word != "toy"]
        assert muster(" ".join([*parents, "--help"])).exit_code == 0


OTHERS: list[tuple[Intent, str, str]] = [
    (Intent(kind="abandon-round", model="toy", round=1), "abandon round toy.1, now collecting", "Round toy.1 is abandoned"),
    (Intent(kind="deploy", model="toy", version=1), "deploy version 1 of toy; some", "Deployed version 1 of toy (revision 2)."),
    (
        Intent(kind="begin-rollout", model="toy", version=1),
        "begin a rollout of version 1 of toy: 5 % of the clients",
        "Began a",
    ),
    (Intent(kind="keep-version", model="toy", version=1), "keep toy.v1", "toy.v1 is kept whatever else happens."),
    (Intent(kind="release-version", model="toy", version=1), "change nothing of toy.v1", "toy.v1 is kept as long as"),
    (Intent(kind="revoke-client", client="device-000"), "revoke the key of device-000", "The key of device-000 is revoked."),
    (
        Intent(kind="release-client", client="device-000"),
        "change nothing: there is no strike",
        "device-000 is given work again",
    ),
    (
        Intent(kind="set-pace", ceiling=100.0, budget=10**9),
        "set the bounds, revision 1: 100 requests a second and",
        "The fleet",
    ),
]


@pytest.mark.parametrize(("intent", "would", "done"), OTHERS, ids=[intent.kind for intent, _, _ in OTHERS])
def test_what_is_foreseen_is_what_the_commands_dry_run_says_and_nothing_is_done_before_it_is_confirmed(
    world: World, muster: Terminal, intent: Intent, would: str, done: str
) -> None:
    world.model()
    world.tick()
    world.devices(1)
    world.operator.register("toy", checkpoint(1.0))
    before = world.everything()
    found = foresee(world.operator, intent)
    assert found.sentence.startswith(f"This would {would}")
    said = muster.text(command(found.intent).removeprefix("muster ") + " --dry-run").splitlines()[0]
    assert found.sentence == f"This {' '.join(said.split())}."
    assert world.everything() == before
    assert perform(world.operator, found.intent).startswith(done)


@pytest.mark.parametrize(("kind", "shown"), [("deploy", "immediate"), ("begin-rollout", "canary")])
def test_a_version_comes_to_the_clients_as_it_was_shown_whatever_the_model_was_configured_to_meanwhile(
    world: World, kind: IntentKind, shown: str
) -> None:
    world.model(rounds=0)
    world.operator.register("toy", checkpoint(1.0))
    found = foresee(world.operator, Intent(kind=kind, model="toy", version=1))
    standing = world.operator.status("toy")
    rolling = Strategy(kind="rolling", steps=[50.0], pause_seconds=60.0)
    config = standing.config.model_copy(update={"strategy": rolling})
    world.operator.configure("toy", config, revision=standing.config_revision)
    perform(world.operator, found.intent)
    rollout = world.operator.status("toy").rollout
    assert (rollout.strategy.kind if rollout else "immediate") == shown


def test_a_round_that_ends_meanwhile_is_not_abandoned_again(world: World) -> None:
    world.model()
    world.tick()
    found = foresee(world.operator, Intent(kind="abandon-round", model="toy", round=1, because="it is stuck"))
    world.operator.abandon("toy", 1, "somebody else was faster")
    assert "somebody else was faster" in perform(world.operator, found.intent)
    assert foresee(world.operator, found.intent).sentence == "This would change nothing: the round has ended."


def test_a_fleet_is_not_bound_when_somebody_else_has_bound_it_in_between(world: World) -> None:
    found = foresee(world.operator, Intent(kind="set-pace", ceiling=100.0))
    world.operator.set_pace(200.0, None, revision=0)
    with pytest.raises(Refused):
        perform(world.operator, found.intent)
    assert world.operator.pace().ceiling == 200.0


def test_bounds_that_serve_nobody_are_refused_before_anything_is_confirmed(world: World) -> None:
    world.counted(clients=10**6)
    with pytest.raises(Refused):
        foresee(world.operator, Intent(kind="set-pace", ceiling=5000.0, budget=1000))


def test_an_experiment_is_ended_with_its_reason(world: World, muster: Terminal) -> None:
    world.model(rounds=0)
    world.operator.register("toy", checkpoint(1.0))
    arms = [Arm(name="old", version="0", weight=50.0), Arm(name="new", version="1", weight=50.0)]
    world.operator.start_experiment("toy", StartExperiment(name="try", arms=arms, revision=1))
    found = foresee(world.operator, Intent(kind="end-experiment", model="toy", experiment="try", because="we know"))
    assert found.sentence.startswith("This would end try: ")
    said = muster.text(command(found.intent).removeprefix("muster ").replace("'we know'", "known") + " --dry-run")
    assert found.sentence == f"This {' '.join(said.splitlines()[0].split())}."
    assert perform(world.operator, found.intent).startswith("Ended try: ")
    assert world.operator.status("toy").experiments == []
    assert next(world.operator.deployments("toy")).because == "we know"


NUMBERS_TYPED = st.none() | st.floats() | st.integers(-(10**30), 10**30).map(float)


TYPED = st.dictionaries(st.sampled_from(["rounds", "hours", "ceiling", "budget"]), NUMBERS_TYPED)


@given(st.sampled_from(sorted(TITLES)), TYPED, st.text(max_size=200))
def test_whatever_is_typed_comes_to_numbers_within_their_bounds(
    kind: IntentKind, typed: dict[str, float | None], because: str
) -> None:
    found = filled_in(Intent(kind=kind, model="toy"), typed, because)
    for asked in NUMBERS.get(kind, ()):
        value = getattr(found, asked.member)
        assert asked.least <= value <= asked.most
        assert isinstance(value, int) or not asked.is_whole
    assert len(found.because) <= LONGEST_REASON
    assert found.because == "" or kind in WITH_REASON


def test_a_reason_is_one_word_to_the_shell_whatever_is_in_it() -> None:
    because = "it's $(rm -rf ~) `x` --dry-run"
    words = shlex.split(command(Intent(kind="rollback", model="toy", revision=2, because=because)))
    assert words == ["muster", "rollback", "toy", "--revision", "2", "--because", because]
    assert "--because" not in command(Intent(kind="stop", model="toy", because=because))
