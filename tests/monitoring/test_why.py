"""Why a model stands where it stands: a sentence for every state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
import typer.main

from chalicelib.monitoring.alert import Alert
from chalicelib.monitoring.standing import CountedFleet, ModelStanding, StackNow
from chalicelib.monitoring.why import stack_troubles, why
from chalicelib.registry.deployment import Deployment, DeploymentKind
from chalicelib.registry.experiment import Experiment, ExperimentArm
from chalicelib.registry.model import Model, OverBudget, TrainingState
from chalicelib.registry.rollout import Rollout
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.round import Round, Summary
from chalicelib.storage.alarms import Alarm
from chalicelib.storage.rows import Unreadable
from chalicelib.vitals import Pulse, Trouble
from muster.cli.app import app
from muster.wire.admin import Strategy, Waits, Why
from tests.rounds.making import CONFIG, DEPLOYED, T0, a_model, a_round, ref

NOW = T0 + timedelta(minutes=5)
TICK = timedelta(minutes=1)
ALIVE = Pulse(at=NOW - timedelta(seconds=20))
FLEET = CountedFleet(counted_at=NOW, clients=50, active=40, by_model={"toy": 20, "other": 10}, by_cohort={"north.1": 3})
ENDED = {"finished_at": T0 + timedelta(minutes=4), "summary": Summary(accepted=6)}


def unreadable(sk: str) -> Unreadable:
    return Unreadable("Row", {"pk": "model#toy", "sk": sk}, "state: unknown")


def stack(**changes: Any) -> StackNow:
    return replace(StackNow(now=NOW, tick=TICK, census=timedelta(minutes=5), pulse=ALIVE, fleet=FLEET), **changes)


def standing(**changes: Any) -> ModelStanding:
    return replace(ModelStanding(name="toy", model=a_model(), last=None, deployment=DEPLOYED), **changes)


def failing(**changes: Any) -> Trouble:
    made = Trouble(model="toy", doing="reconciling", what="AccessDenied at PutObject", since=T0, at=NOW, times=4, ttl=0)
    return replace(made, **changes)


def rolling(kind: str = "rolling", **changes: Any) -> Deployment:
    steps = [] if kind == "blue-green" else [10.0, 50.0]
    strategy = Strategy.model_validate({"kind": kind, "steps": steps})
    rollout = Rollout(began=2, candidate=ref(1), strategy=strategy, reached=T0, since=T0, step=1, share=5_000, **changes)
    return replace(DEPLOYED, revision=2, rollout=rollout)


EXPERIMENT = Experiment(
    name="wider", began=2, since=T0, metric=CONFIG.metric, level=0.95, least=100, secret="s", horizon=T0 + timedelta(days=2),
    arms=(ExperimentArm(name="control", checkpoint=ref(0), weight=1), ExperimentArm(name="new", checkpoint=ref(1), weight=1)),
)  # fmt: skip
TRIED = replace(DEPLOYED, revision=2, experiments=(EXPERIMENT,))


SPENT = OverBudget(since=T0, until=T0 + timedelta(days=2), budget=5.0, spent=4.97, needed=0.08)


CASES: list[tuple[ModelStanding, StackNow, Waits, str]] = [
    (standing(model=a_model(training=TrainingState.STOPPED, rounds_wanted=0)), stack(), Waits.IDLE,
     "training was never started"),
    (standing(model=a_model(training=TrainingState.STOPPED), last=a_round(Phase.COMPLETED, **ENDED)), stack(), Waits.STOPPED,
     "training is stopped after 1 of 5 rounds"),
    (standing(model=a_model(rounds_wanted=1), last=a_round(Phase.COMPLETED, **ENDED)), stack(), Waits.FINISHED,
     "all 1 of 1 rounds have completed; training rests"),
    (standing(), stack(), Waits.OPENING, "0 of 5 rounds have completed; round 1 opens within a tick"),
    (standing(model=a_model(config=CONFIG.model_copy(update={"every_seconds": 3600.0})),
              last=a_round(Phase.COMPLETED, **ENDED)), stack(), Waits.INTERVAL,
     "1 of 5 rounds have completed; round 2 opens at 01:00 UTC at the earliest (every 3600 s)"),
    (standing(model=a_model(over_budget=SPENT), last=a_round(Phase.COMPLETED, **ENDED)), stack(), Waits.BUDGET,
     "the budget of $5.00 a month has $0.03 left, and a round takes up to $0.08: training goes on at 2026-01-03 00:00 UTC, or "
     "with a larger budget"),
    (standing(model=a_model(over_budget=replace(SPENT, until=NOW))), stack(), Waits.OPENING,
     "0 of 5 rounds have completed; round 1 opens within a tick"),
    (standing(last=a_round(so_far=Summary(assigned=3, reported=2, accepted=5, rejected={"wrong-shape": 1}))), stack(),
     Waits.UPDATES,
     "collecting round 1: 5 of 10 updates accepted, 2 being inspected, 1 rejected (1 wrong-shape), 4 of 15 places open, "
     "30 devices active; it closes at 10 updates or at 00:10 UTC"),
    (standing(last=a_round()), stack(), Waits.UPDATES,
     "collecting round 1: 0 of 10 updates accepted, 15 of 15 places open, 30 devices active; it closes at 10 updates or at "
     "00:10 UTC, and needs 4"),
    (standing(last=a_round()), stack(fleet=replace(FLEET, active=33, by_model={"toy": 3, "other": 30})), Waits.DEVICES,
     "collecting round 1: 0 of 10 updates accepted, 15 of 15 places open; only 3 devices that may run it are active, and it "
     "needs 4 updates; at 00:10 UTC it is abandoned with fewer than 4"),
    (standing(last=a_round()), stack(fleet=replace(FLEET, active=0, by_model={})), Waits.DEVICES,
     "collecting round 1: 0 of 10 updates accepted, 15 of 15 places open; no device that runs toy is active; at 00:10 UTC it "
     "is abandoned with fewer than 4"),
    (standing(last=a_round()), stack(fleet=replace(FLEET, clients=0, active=0, by_model={})), Waits.DEVICES,
     "collecting round 1: 0 of 10 updates accepted, 15 of 15 places open; no device is enrolled; at 00:10 UTC it is abandoned "
     "with fewer than 4"),
    (standing(last=a_round(cohort="north.1")), stack(), Waits.DEVICES,
     "collecting round 1: 0 of 10 updates accepted, 15 of 15 places open; only 3 devices of cohort north.1 that may run it are "
     "active, and it needs 4 updates; at 00:10 UTC it is abandoned with fewer than 4"),
    (standing(last=a_round(so_far=Summary(accepted=5, absent=["site-a", "site-b"]))), stack(), Waits.SITES,
     "collecting round 1: 5 of 10 updates accepted; without an update yet: site-a, site-b; it closes at 00:10 UTC"),
    (standing(last=a_round(so_far=Summary(accepted=3, reported=4))),
     stack(now=T0 + timedelta(seconds=620), pulse=Pulse(at=T0 + timedelta(seconds=600))), Waits.INSPECTION,
     "collecting round 1: 3 of 10 updates accepted, 4 being inspected; it closes when those are inspected, at 00:11 UTC at the "
     "latest"),
    (standing(last=a_round(so_far=Summary(accepted=3))),
     stack(now=T0 + timedelta(seconds=700), pulse=Pulse(at=T0 + timedelta(seconds=690))), Waits.LOOK,
     "collecting round 1: 3 of 10 updates accepted; its time was up at 00:11 UTC; the next look goes on with it"),
    (standing(last=a_round(so_far=Summary(accepted=3))),
     stack(now=T0 + timedelta(seconds=1000), pulse=Pulse(at=T0 + timedelta(seconds=990))), Waits.LOOK,
     "collecting round 1: 3 of 10 updates accepted; its time was up at 00:11 UTC, and nobody has looked since: the tick runs, "
     "and the workers that it asks do not come"),
    (standing(last=a_round(Phase.AGGREGATING, so_far=Summary(accepted=10), parts_stage=0, parts_sent_at=T0)), stack(),
     Waits.AGGREGATION,
     "aggregating round 1: 10 updates; workers were given stage 1 at 00:00 UTC; it is given up at 06:10 UTC"),
    (standing(last=a_round(Phase.EVALUATING)), stack(), Waits.JUDGES,
     "evaluating version 1 of round 1: 15 judges are waited for, and 23 may come; it is decided at 00:20 UTC at the latest"),
    (standing(last=a_round(Phase.ABANDONED, finished_at=T0)), stack(), Waits.LOOK,
     "round 1 is abandoned; what became of its updates is being counted"),
    (standing(), stack(pulse=None), Waits.TICK,
     "the tick has not run yet; it opens and closes rounds, once a minute"),
    (standing(), stack(pulse=Pulse(at=NOW - timedelta(minutes=4))), Waits.TICK,
     "the tick has not run for 4 minutes: its schedule is off, or it dies before it ends; until it does no round opens or "
     "closes"),
    (standing(), stack(pulse=Pulse(at=NOW - timedelta(hours=4)), troubles=(failing(model=None, doing="looking"),)), Waits.TICK,
     "the tick has not run for 4 hours: it fails while looking: AccessDenied at PutObject; until it does no round opens or "
     "closes"),
    (standing(last=a_round()), stack(troubles=(failing(model="other"), failing())), Waits.FAILING,
     "reconciling has failed since 00:00 UTC, 4 times: AccessDenied at PutObject; it is tried again"),
    (standing(model=unreadable("model#toy")), stack(), Waits.UNREADABLE,
     "the row of model toy cannot be read, and nothing goes on before somebody has mended it or taken it away: row model#toy / "
     "model#toy cannot be read as a Row: state: unknown"),
    (standing(last=unreadable("round#00000007")), stack(), Waits.UNREADABLE,
     "round 7 cannot be read, and nothing goes on before somebody has mended it or taken it away: row model#toy / "
     "round#00000007 cannot be read as a Row: state: unknown"),
    (standing(model=a_model(training=TrainingState.STOPPED), deployment=rolling()), stack(), Waits.ROLLOUT,
     "the rolling rollout of version 1 at 50 %, step 2 of 2 goes on"),
    (standing(model=a_model(training=TrainingState.STOPPED), deployment=rolling(paused="worse by 3 points")), stack(),
     Waits.PAUSED, "the rolling rollout of version 1 at 50 %, step 2 of 2 is paused: worse by 3 points"),
    (standing(model=a_model(training=TrainingState.STOPPED), deployment=TRIED), stack(), Waits.EXPERIMENT,
     "experiment wider goes on; it ends at 2026-01-03 00:00 UTC"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "now", "waits_for", "sentence"), CASES, ids=[case[3][:60] for case in CASES])
def test_the_sentence_of_a_state(model: ModelStanding, now: StackNow, waits_for: Waits, sentence: str) -> None:
    found = why(model, now)
    assert (found.waits_for, found.sentence) == (waits_for, sentence)


def test_what_else_is_wrong_is_said_after_it() -> None:
    alert = Alert(model="toy", metric="loss", number=1, value=9.0, opened_at=T0, publishing_at=T0, maximum=5.0)
    taken_back = replace(DEPLOYED, kind=DeploymentKind.ABORTED, because="version 1 was worse")
    now = stack(
        dead_letters=2,
        alarms=(Alarm(name="tick-fails", description="The schedule fails.", since=T0),),
        troubles=(failing(model=None, doing="counting the fleet"),),
        fleet=replace(FLEET, counted_at=NOW - timedelta(minutes=21)),
        unknown=("alarms could not be read: Slow",),
    )
    last = a_round(abandoned_before=3, abandoned_because="quorum-not-reached: 1 of 4")
    found = why(standing(last=last, deployment=taken_back, alerts=(alert,)), now)
    assert found.also == [
        "3 rounds in a row were abandoned, the last because of quorum-not-reached: 1 of 4",
        "a rollout was taken back by itself: version 1 was worse",
        "alert: loss of toy is 9, above 5",
        "the stack's alarm tick-fails rings: The schedule fails.",
        "2 messages in the dead-letter queue: what was asked for failed again and again",
        "counting the fleet has failed since 00:00 UTC: AccessDenied at PutObject",
        "the fleet was last counted 21 minutes ago: the monitor does not run, or fails",
        "alarms could not be read: Slow",
    ]
    assert found.needs_somebody, "three rounds in a row are a person's business"


def test_a_trouble_of_which_nothing_was_heard_for_a_while_is_over() -> None:
    old = failing(at=NOW - timedelta(minutes=3))
    assert why(standing(last=a_round()), stack(troubles=(old,))).waits_for is Waits.UPDATES
    assert stack_troubles(stack(troubles=(replace(old, model=None),))) == []


def test_a_model_that_rests_does_not_wait_for_a_tick_that_is_silent() -> None:
    model = a_model(rounds_wanted=1)
    found = why(standing(model=model, last=a_round(Phase.COMPLETED, **ENDED)), stack(pulse=Pulse(at=T0 - timedelta(hours=1))))
    assert found.waits_for is Waits.FINISHED
    assert [said for said in found.also if said.startswith("the tick has not run for 65 minutes")]


def test_while_all_models_rest_the_tick_may_be_silent_for_longer() -> None:
    seen = [stack(pulse=Pulse(at=NOW - timedelta(minutes=minutes), rests=True)) for minutes in (3, 14, 15)]
    assert [why(standing(), now).waits_for for now in seen] == [Waits.OPENING, Waits.OPENING, Waits.TICK]


# ---- every state


def lasts() -> Iterator[Round | Unreadable | None]:
    yield None
    yield unreadable("round#00000001")
    various = Summary(assigned=2, reported=3, accepted=4, late=1, rejected={"stale": 2}, failed={"no-time": 1})
    counted = [None, Summary(), various, Summary(accepted=9, absent=["site-a"])]
    for phase, so_far, row in product(Phase, counted, (0, 5)):
        for summary in (None, Summary(accepted=1)) if phase in (Phase.COMPLETED, Phase.ABANDONED) else (None,):
            for cohort in (None, "north.1"):
                last = a_round(phase, so_far=so_far, summary=summary, abandoned_before=row, cohort=cohort)
                yield last
                yield replace(last, config=CONFIG.model_copy(update={"evaluators": 0}))


def models() -> Iterator[Model | Unreadable]:
    yield unreadable("model#toy")
    for state, wanted in product(TrainingState, (0, 1, 5)):
        yield a_model(training=state, rounds_wanted=wanted)
    yield a_model(config=CONFIG.model_copy(update={"every_seconds": 7200.0}))
    for budget in (0.001, 5.0, 1e9):
        yield a_model(over_budget=replace(SPENT, budget=budget))


DEPLOYMENTS = [
    DEPLOYED, None, unreadable("deployment#00000001"), rolling(), rolling("blue-green"), rolling(paused="worse"), TRIED,
    replace(DEPLOYED, kind=DeploymentKind.ABORTED),
]  # fmt: skip

STACKS = [
    stack(now=now, pulse=pulse, fleet=fleet, troubles=troubles)
    for now in (T0, NOW, T0 + timedelta(seconds=620), T0 + timedelta(days=3))
    for pulse in (None, Pulse(at=now), Pulse(at=now - timedelta(days=1)))
    for fleet in (None, replace(FLEET, counted_at=now), replace(FLEET, counted_at=now, clients=0, active=0, by_model={}))
    for troubles in ((), (failing(at=now),), (failing(at=now, model=None),))
]


def commands() -> dict[str, Any]:
    """Every command that there is, by its words."""

    def below(group: Any, words: str) -> Iterator[tuple[str, Any]]:
        for name, command in group.commands.items():
            yield f"{words} {name}", command
            if hasattr(command, "commands"):
                yield from below(command, f"{words} {name}")

    return dict(below(typer.main.get_command(app), "muster"))


def test_every_state_that_can_be_stored_has_its_sentence() -> None:
    found: dict[Waits, Why] = {}
    named: set[str] = set()
    for number, (model, last, deployment) in enumerate(product(models(), lasts(), DEPLOYMENTS)):
        now = STACKS[number % len(STACKS)]
        said = why(ModelStanding(name="toy", model=model, last=last, deployment=deployment), now)
        assert 10 < len(said.sentence) < 500, said.sentence
        assert said.sentence == " ".join(said.sentence.split()), "one line"
        assert "None" not in said.sentence
        assert said.command or not said.needs_somebody, said
        found[said.waits_for] = said
        named.add(said.command or "muster status")
    assert set(Waits) - found.keys() == set()
    known = commands()
    for command in named:
        words = [word for word in command.split() if word.isalpha() and word != "toy"]
        assert " ".join(words[:3]) in known or " ".join(words[:2]) in known, command
