"""What a model that trains waits for, by its round (pure): one sentence for each state that a round can be in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from chalicelib.monitoring.standing import StackNow
from chalicelib.registry.model import Model, OverBudget
from chalicelib.rounds.closing import MOST_NAMED
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.opening import completed_rounds
from chalicelib.rounds.round import Round, Summary
from muster.wire.admin import Waits, Why

MANY = 3
"""So many rounds in a row that were abandoned are a person's business."""

LOOKS = 3
"""Ticks within which somebody should have looked at what is due."""


def clock(at: datetime, now: datetime) -> str:
    """A time as people say it, with its day if that is not today's."""
    return at.strftime("%H:%M UTC" if at.date() == now.date() else "%Y-%m-%d %H:%M UTC")


def several(count: int, one: str) -> str:
    """`1 device`, `2 devices`."""
    return f"{count} {one}{'' if count == 1 else 's'}"


def of_training(model: Model, last: Round | None, stack: StackNow) -> Why:
    """What a model waits for whose training goes on, or whose last round is not done."""
    if last is None or (last.is_terminal and last.summary is not None):
        return _between(model, last, stack)
    match last.phase:
        case Phase.COLLECTING:
            return _collecting(last, stack)
        case Phase.AGGREGATING:
            return _aggregating(last, stack)
        case Phase.EVALUATING:
            return _evaluating(last, stack)
        case Phase.COMPLETED | Phase.ABANDONED:
            return Why(
                waits_for=Waits.LOOK,
                sentence=f"round {last.number} is {last.phase}; what became of its updates is being counted",
                since=last.finished_at,
            )


def abandoned(last: Round) -> str | None:
    """What is to be said of rounds before this one, or None: the last one completed, or few were abandoned."""
    several_of_them = last.abandoned_in_a_row
    if several_of_them < MANY:
        return None
    reason = last.reason if last.phase is Phase.ABANDONED else last.abandoned_because
    return f"{several_of_them} rounds in a row were abandoned, the last because of {reason}"


def _between(model: Model, last: Round | None, stack: StackNow) -> Why:
    number = last.number + 1 if last else 1
    if model.over_budget is not None and stack.now < model.over_budget.until:
        return _over_budget(model.name, model.over_budget, stack)
    done = f"{completed_rounds(last)} of {model.rounds_wanted} rounds have completed"
    since = last.finished_at if last else None
    opens = last.opened_at + timedelta(seconds=model.config.every_seconds) if last else None
    if opens is not None and opens > stack.now:
        when = clock(opens, stack.now)
        sentence = f"{done}; round {number} opens at {when} at the earliest (every {model.config.every_seconds:g} s)"
        return Why(waits_for=Waits.INTERVAL, sentence=sentence, since=since, until=opens)
    return Why(waits_for=Waits.OPENING, sentence=f"{done}; round {number} opens within a tick", since=since)


def _over_budget(name: str, found: OverBudget, stack: StackNow) -> Why:
    left = max(0.0, found.budget - found.spent)
    sentence = (
        f"the budget of ${found.budget:,.2f} a month has ${left:,.2f} left, and a round takes up to ${found.needed:,.2f}: "
        f"training goes on at {clock(found.until, stack.now)}, or with a larger budget"
    )
    command = f"muster model configure {name} --set monthly_budget={max(2 * found.budget, 0.01):.2f}"
    return Why(waits_for=Waits.BUDGET, sentence=sentence, since=found.since, until=found.until, command=command)


def _collecting(rnd: Round, stack: StackNow) -> Why:
    so_far, config = rnd.so_far or Summary(), rnd.config
    closes = rnd.report_by if stack.now < rnd.report_by else rnd.report_by + timedelta(seconds=config.grace_seconds)
    counts = [f"{so_far.accepted} of {config.goal} updates accepted"]
    if so_far.reported:
        counts.append(f"{so_far.reported} being inspected")
    if rejected := sum((so_far.rejected or {}).values()):
        reasons = sorted((so_far.rejected or {}).items(), key=lambda each: (-each[1], each[0]))
        counts.append(f"{rejected} rejected ({', '.join(f'{count} {reason}' for reason, count in reasons[:MOST_NAMED])})")
    if so_far.given_up:
        counts.append(f"{several(so_far.given_up, 'training')} failed")
    head = f"collecting round {rnd.number}: {', '.join(counts)}"
    if stack.now >= closes:
        return _due(rnd, f"{head}; its time was up at {clock(closes, stack.now)}", stack, since=closes)
    if stack.now >= rnd.report_by:
        sentence = f"{head}; it closes when those are inspected, at {clock(closes, stack.now)} at the latest"
        return Why(waits_for=Waits.INSPECTION, sentence=sentence, since=rnd.report_by, until=closes)
    left = rnd.places - so_far.held
    open_places = f"{left} of {rnd.places} places open"
    if so_far.absent and so_far.accepted >= config.quorum:
        return Why(
            waits_for=Waits.SITES,
            sentence=f"{head}; without an update yet: {_named(so_far.absent)}; it closes at {clock(closes, stack.now)}",
            since=rnd.opened_at,
            until=closes,
        )
    if (few := _too_few(rnd, so_far, stack)) is not None:
        sentence = (
            f"{head}, {open_places}; {few}; at {clock(closes, stack.now)} it is abandoned with fewer than {config.quorum}"
        )
        return Why(
            waits_for=Waits.DEVICES,
            sentence=sentence,
            since=rnd.opened_at,
            until=closes,
            needs_somebody=True,
            command=f"muster token mint --model {rnd.model}" if not _enrolled(stack) else "muster client list",
        )
    sentence = f"{head}, {open_places}{_awake(rnd, stack)}; it closes at {config.goal} updates or at {clock(closes, stack.now)}"
    if so_far.accepted < config.quorum:
        sentence += f", and needs {config.quorum}"
    return Why(waits_for=Waits.UPDATES, sentence=sentence, since=rnd.opened_at, until=closes)


def _too_few(rnd: Round, so_far: Summary, stack: StackNow) -> str | None:
    """Why a round cannot reach its quorum with those who are there, or None: it can, or nobody has counted them."""
    eligible = _eligible(rnd, stack)
    if eligible is None or rnd.config.sites:
        return None
    others = max(0, eligible - so_far.held - so_far.given_up)
    if so_far.accepted + so_far.open + others >= rnd.config.quorum:
        return None
    if not eligible:
        return f"no device{_of_cohort(rnd)} that runs {rnd.model} is active" if _enrolled(stack) else "no device is enrolled"
    few = f"only {several(eligible, 'device')}{_of_cohort(rnd)} that may run it are active"
    return f"{few}, and it needs {rnd.config.quorum} updates"


def _enrolled(stack: StackNow) -> int:
    return stack.fleet.clients if stack.fleet else 0


def _eligible(rnd: Round, stack: StackNow) -> int | None:
    """Clients of which the round's updates may come, also those that have not said yet which model they run; None: nobody has
    counted them since it opened.
    """
    fleet = stack.fleet
    if fleet is None or fleet.counted_at < rnd.opened_at:
        return None
    silent = max(0, fleet.active - sum(fleet.by_model.values()))
    active = fleet.by_model.get(rnd.model, 0) + silent
    return active if rnd.cohort is None else min(active, fleet.by_cohort.get(rnd.cohort, 0))


def _awake(rnd: Round, stack: StackNow) -> str:
    eligible = _eligible(rnd, stack)
    if eligible is None:
        return ""
    state = f", of which those may come that are {' and '.join(rnd.config.requires)}" if rnd.config.requires else ""
    return f", {several(eligible, 'device')}{_of_cohort(rnd)} active{state}"


def _of_cohort(rnd: Round) -> str:
    return "" if rnd.cohort is None else f" of cohort {rnd.cohort}"


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")


def _aggregating(rnd: Round, stack: StackNow) -> Why:
    since = rnd.frozen.closed_at
    until = since + timedelta(seconds=rnd.config.aggregate_seconds)
    accepted = (rnd.so_far or Summary()).accepted
    sentence = f"aggregating round {rnd.number}" + (f": {several(accepted, 'update')}" if accepted else "")
    if stack.now >= until:
        return _due(rnd, f"{sentence}; its time was up at {clock(until, stack.now)}", stack, since=until)
    if rnd.parts_sent_at is not None:
        stage = f"stage {rnd.parts_stage + 1}" if rnd.parts_stage is not None else "its parts"
        sentence += f"; workers were given {stage} at {clock(rnd.parts_sent_at, stack.now)}"
    sentence += f"; it is given up at {clock(until, stack.now)}"
    return Why(waits_for=Waits.AGGREGATION, sentence=sentence, since=since, until=until)


def _evaluating(rnd: Round, stack: StackNow) -> Why:
    published = rnd.published
    version, until = published.candidate.version, published.evaluate_by
    since = until - timedelta(seconds=rnd.config.evaluate_seconds)
    head = f"evaluating version {version} of round {rnd.number}"
    if not rnd.config.evaluators:
        return _due(rnd, f"{head}, which no judges are asked about", stack, since=since)
    if stack.now >= until:
        return _due(rnd, f"{head}; its judges' time was up at {clock(until, stack.now)}", stack, since=until)
    asked = f"{rnd.config.evaluators} judges are waited for"
    if rnd.judges_wanted > rnd.config.evaluators:
        asked += f", and {rnd.judges_wanted} may come"
    sentence = f"{head}: {asked}; it is decided at {clock(until, stack.now)} at the latest"
    return Why(waits_for=Waits.JUDGES, sentence=sentence, since=since, until=until)


def _due(rnd: Round, head: str, stack: StackNow, *, since: datetime) -> Why:
    """Something is due, and the next look does it; if none has for some ticks, workers are asked and do not come."""
    if stack.now - since < LOOKS * stack.tick:
        return Why(waits_for=Waits.LOOK, sentence=f"{head}; the next look goes on with it", since=since)
    return Why(
        waits_for=Waits.LOOK,
        sentence=f"{head}, and nobody has looked since: the tick runs, and the workers that it asks do not come",
        since=since,
        needs_somebody=True,
        command=f"muster round show {rnd.model} {rnd.number}",
    )
