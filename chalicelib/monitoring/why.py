"""Why a model stands where it stands: one sentence for every state that can be stored (pure, and total).

    a row cannot be read ─▶ that
    something is due     ─▶ the tick is silent ─▶ that
                            it fails           ─▶ that
                            a round goes on, or is to open   (`waiting`)
                            a rollout or experiments go on
    nothing is due       ─▶ never trained, stopped, finished

What else is wrong, or goes on beside it, is said after it (`also`).
"""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib.monitoring.alert import Alert
from chalicelib.monitoring.standing import ModelStanding, StackNow
from chalicelib.monitoring.waiting import LOOKS, MANY, abandoned, clock, of_training, several
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.model import Model, TrainingState
from chalicelib.registry.rollout import ALL, Rollout
from chalicelib.rounds.opening import completed_rounds, goes_on
from chalicelib.rounds.round import Round
from chalicelib.storage.rows import Unreadable
from chalicelib.vitals import SELDOM
from muster.wire.admin import Waits, Why


def why(standing: ModelStanding, stack: StackNow) -> Why:
    """What a model waits for, since when, what ends that, and what somebody should do."""
    model, last, deployment = standing.model, standing.last, standing.deployment
    if isinstance(model, Unreadable):
        found = _unreadable(f"the row of model {standing.name}", model, "muster status")
    elif isinstance(last, Unreadable):
        command = f"muster round abandon {standing.name} {last.number} --because '…'"
        found = _unreadable(f"round {last.number}", last, command)
    elif isinstance(deployment, Unreadable):
        found = _unreadable(f"deployment {deployment.number}", deployment, f"muster deployment list {standing.name}")
    else:
        found = _of_rows(model, last, deployment, stack)
        also = [*_beside(found, last, deployment), *_alerts(standing.alerts)]
        return found.model_copy(update={"also": [*also, *stack_troubles(stack)] if found.waits_for is not Waits.TICK else also})
    return found.model_copy(update={"also": [*_alerts(standing.alerts), *stack_troubles(stack)]})


def _of_rows(model: Model, last: Round | None, deployment: Deployment | None, stack: StackNow) -> Why:
    trains = goes_on(model, last) or (last is not None and not (last.is_terminal and last.summary is not None))
    moves = deployment is not None and deployment.is_moving
    if not trains and not moves:
        return _resting(model, last)
    if (silent := _silent(stack)) is not None:
        return silent
    if (failing := _failing(model.name, stack)) is not None:
        return failing
    if trains:
        found = of_training(model, last, stack)
        many = last is not None and last.abandoned_in_a_row >= MANY
        if many and not found.needs_somebody:
            return found.model_copy(update={"needs_somebody": True, "command": f"muster round list {model.name}"})
        return found
    if deployment is None:
        raise AssertionError("nothing moves without a deployment")
    return _moving(deployment, stack)


# ---- nothing is due


def _resting(model: Model, last: Round | None) -> Why:
    done, since = completed_rounds(last), last.finished_at if last else model.created_at
    start = f"muster round start {model.name} --rounds 10"
    if model.rounds_wanted and done >= model.rounds_wanted:
        every = f"all {done}" if done == model.rounds_wanted else f"{done}"
        sentence = f"{every} of {model.rounds_wanted} rounds have completed" if done else "nothing was asked for"
        return Why(waits_for=Waits.FINISHED, sentence=f"{sentence}; training rests", since=since, command=start)
    if model.training is TrainingState.RUNNING or (last is None and not model.rounds_wanted):
        return Why(waits_for=Waits.IDLE, sentence="training was never started", since=since, command=start)
    sentence = f"training is stopped after {done} of {model.rounds_wanted} rounds"
    return Why(waits_for=Waits.STOPPED, sentence=sentence, since=since, command=start)


# ---- what keeps it from going on


def _unreadable(what: str, row: Unreadable, command: str) -> Why:
    sentence = f"{what} cannot be read, and nothing goes on before somebody has mended it or taken it away: {row}"
    return Why(waits_for=Waits.UNREADABLE, sentence=sentence, needs_somebody=True, command=command)


def _silent(stack: StackNow) -> Why | None:
    """What is to be said of a tick that does not come, or None: it does."""
    pulse = stack.pulse
    if pulse is None:
        sentence = "the tick has not run yet; it opens and closes rounds, once a minute"
        return Why(waits_for=Waits.TICK, sentence=sentence, command="muster status")
    ago = abs(stack.now - pulse.at)  # one of a time to come was left under a wrong clock, and says nothing of now
    if ago < LOOKS * stack.tick * (SELDOM if pulse.rests else 1):
        return None
    failing = next((trouble for trouble in stack.troubles if trouble.lasts(stack.now) and trouble.model is None), None)
    cause = f"it fails while {failing.doing}: {failing.what}" if failing else "its schedule is off, or it dies before it ends"
    sentence = f"the tick has not run for {_long(ago.total_seconds())}: {cause}; until it does no round opens or closes"
    return Why(waits_for=Waits.TICK, sentence=sentence, since=pulse.at, needs_somebody=True, command="muster status")


def _failing(name: str, stack: StackNow) -> Why | None:
    """What is to be said of what fails in a model, or None: nothing does, or not again since it was tried again."""
    told = [trouble for trouble in stack.troubles if trouble.model == name and trouble.lasts(stack.now)]
    if not told:
        return None
    trouble = max(told, key=lambda each: each.at)
    times = "" if trouble.times == 1 else f", {trouble.times} times"
    sentence = f"{trouble.doing} has failed since {clock(trouble.since, stack.now)}{times}: {trouble.what}; it is tried again"
    again = trouble.times >= MANY
    return Why(
        waits_for=Waits.FAILING,
        sentence=sentence,
        since=trouble.since,
        needs_somebody=again,
        command=f"muster status {name}" if again else None,
    )


# ---- rollouts and experiments


def _moving(deployment: Deployment, stack: StackNow) -> Why:
    if deployment.rollout is None:
        names = ", ".join(experiment.name for experiment in deployment.experiments)
        ends = [experiment.horizon for experiment in deployment.experiments if experiment.horizon]
        first = deployment.experiments[0]
        return Why(
            waits_for=Waits.EXPERIMENT,
            sentence=f"experiment {names} goes on" + (f"; it ends at {clock(min(ends), stack.now)}" if ends else ""),
            since=first.since,
            until=min(ends) if ends else None,
            command=f"muster experiment show {deployment.model} {first.name}",
        )
    rollout = deployment.rollout
    if rollout.paused is not None:
        return Why(
            waits_for=Waits.PAUSED,
            sentence=f"{_rolling(rollout)} is paused: {rollout.paused}",
            since=deployment.at,
            needs_somebody=True,
            command=f"muster rollout show {deployment.model}",
        )
    command = f"muster rollout show {deployment.model}"
    return Why(waits_for=Waits.ROLLOUT, sentence=f"{_rolling(rollout)} goes on", since=rollout.since, command=command)


def _rolling(rollout: Rollout) -> str:
    steps = len(rollout.strategy.steps)
    where = f"at {100 * rollout.share / ALL:g} %" if rollout.strategy.kind != "blue-green" else "warming up"
    step = f", step {min(rollout.step + 1, steps)} of {steps}" if steps else ""
    return f"the {rollout.strategy.kind} rollout of version {rollout.candidate.version} {where}{step}"


# ---- beside it


def _beside(found: Why, last: Round | None, deployment: Deployment | None) -> Iterator[str]:
    if last is not None and (said := abandoned(last)) is not None:
        yield said
    if deployment is None:
        return
    if deployment.rollout is not None and found.waits_for not in (Waits.ROLLOUT, Waits.PAUSED):
        paused = deployment.rollout.paused
        yield _rolling(deployment.rollout) + (" goes on" if paused is None else f" is paused: {paused}")
    if deployment.experiments and found.waits_for is not Waits.EXPERIMENT:
        yield f"experiment {', '.join(experiment.name for experiment in deployment.experiments)} goes on"
    if deployment.is_trouble and deployment.rollout is None:
        yield f"a rollout was taken back by itself: {deployment.because}"


def _alerts(alerts: tuple[Alert, ...]) -> Iterator[str]:
    for alert in alerts:
        yield f"alert: {alert.sentence}"


def stack_troubles(stack: StackNow) -> list[str]:
    """What concerns all models, each as a sentence."""
    found = [f"the stack's alarm {alarm.name} rings: {alarm.description}" for alarm in stack.alarms]
    if stack.dead_letters:
        dead = several(stack.dead_letters, "message")
        found.append(f"{dead} in the dead-letter queue: what was asked for failed again and again")
    if (silent := _silent(stack)) is not None and silent.needs_somebody:
        found.append(silent.sentence)
    found += [
        f"{trouble.doing} has failed since {clock(trouble.since, stack.now)}: {trouble.what}"
        for trouble in stack.troubles
        if trouble.model is None and trouble.lasts(stack.now)
    ]
    counted_at = stack.fleet.counted_at if stack.fleet else stack.begun_at
    if counted_at is not None and (ago := stack.now - counted_at) > LOOKS * stack.census:
        last = f"was last counted {_long(ago.total_seconds())} ago" if stack.fleet else "was never counted"
        found.append(f"the fleet {last}: the monitor does not run, or fails")
    return [*found, *stack.unknown]


def _long(seconds: float) -> str:
    if seconds < 120:
        return several(int(seconds), "second")
    minutes = int(seconds // 60)
    return several(minutes, "minute") if minutes < 120 else several(minutes // 60, "hour")
