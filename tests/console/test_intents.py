"""What can be done from the console: what it would do, its command, and doing it; in a whole server."""

from __future__ import annotations

import shlex
from datetime import timedelta

import pytest
from pydantic import ValidationError

from muster.console.doing import UnfitReason, foresee, perform
from muster.console.intents import LONGEST_REASON, Intent, IntentKind, command
from muster.console.saying import sentence
from muster.http.errors import Refused
from muster.wire.admin import SetSilence, Strategy
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


def test_a_reason_is_one_word_to_the_shell_whatever_is_in_it() -> None:
    because = "it's $(rm -rf ~) `x` --dry-run"
    words = shlex.split(command(Intent(kind="rollback", model="toy", revision=2, because=because)))
    assert words == ["muster", "rollback", "toy", "--revision", "2", "--because", because]
    assert "--because" not in command(Intent(kind="stop", model="toy", because=because))
