"""What would be done, or was, in words for an operator (pure). Command line and console say the same."""

from __future__ import annotations

from muster.wire import admin


def moving(now: admin.ModelStatus, then: admin.DeploymentReply) -> str | None:
    """Who would go from which version to which one; None where a cohort decides, whose size is another matter."""
    if now.experiments or then.experiments:
        return None
    before, after = _shares(now.deployed_version, now.rollout), _shares(then.version, then.rollout)
    changes = {version: after.get(version, 0.0) - before.get(version, 0.0) for version in before | after}
    left = [version for version, change in changes.items() if change < 0.0]
    if not left:
        return "no client goes to another version now"
    come = ", ".join(f"version {version}" for version, change in changes.items() if change > 0.0)
    share, active = -sum(changes[version] for version in left), now.clients.active_by_model.get(then.model, 0)
    went = ", ".join(f"version {version}" for version in left)
    return f"some {active * share / 100:.0f} of {active} active clients ({share:g} %) go from {went} to {come}"


def _shares(version: int, rollout: admin.RolloutReply | None) -> dict[int, float]:
    """In per cent, by version."""
    candidate = {} if rollout is None else {rollout.candidate: rollout.percent}
    return {version: 100.0 - sum(candidate.values())} | candidate


def present(reply: admin.DeploymentReply) -> str:
    """What clients are served, by one revision."""
    if reply.experiments:
        return f"version {reply.version} of {reply.model} is deployed, beside {', '.join(reply.experiments)}"
    state = f"its rollout is {'paused' if reply.rollout.paused else 'going on'}" if reply.rollout else "is deployed"
    return f"version {reply.rollout.candidate if reply.rollout else reply.version} of {reply.model} {state}"


def did(reply: admin.DeploymentReply, *, would: bool = False) -> str:
    """What one revision did, or would do."""
    of_model = f"version {reply.rollout.candidate if reply.rollout else reply.version} of {reply.model}"
    percent = f"{reply.rollout.percent:g} % of the clients" if reply.rollout else ""
    past = f", past {', '.join(f'version {number}' for number in reply.left)}" if reply.left else ""
    verb, rest = {
        "deployed": (("deploy", "deployed"), of_model),
        "rolled-back": (("roll back", "rolled back"), f"to {of_model}{past}"),
        "started": (("begin", "began"), f"a rollout of {of_model}: {percent}"),
        "stepped": (("come", "came"), f"to {percent} with {of_model}"),
        "paused": (("pause", "paused"), f"the rollout of {of_model}, at {percent}"),
        "resumed": (("resume", "resumed"), f"the rollout of {of_model}, at {percent}"),
        "promoted": (("promote", "promoted"), f"{of_model}: all clients get it"),
        "aborted": (("abort", "aborted"), f"the rollout{past}: all clients get {of_model}"),
        "experiment-started": (("begin", "began"), f"{' and '.join(reply.experiments[-1:])} beside {of_model}"),
        "experiment-ended": (("end", "ended"), f"{reply.ended.name}: {reply.ended.said}" if reply.ended else of_model),
    }[reply.kind]
    return f"{verb[0] if would else verb[1]} {rest}"


def silencing(model: str, metric: str, hours: float, now: admin.AlertList) -> str:
    """What a silence of so many hours, or with 0 its end, would do, given those that go on."""
    of = f"alerts of {metric} of {'the stack' if model == admin.NO_MODEL else model}"
    present = next((one for one in now.silences if one.metric == metric), None)
    if not hours:
        return f"tell of {of} again" if present else f"change nothing: nobody has silenced {of}"
    instead = f", instead of until {present.until:%Y-%m-%d %H:%M} UTC" if present else ""
    return f"tell nobody of {of} for {hours:g} hours{instead}"


def starting(model: str, wanted: int, more: int) -> str:
    """What it means to train a model until so many rounds have completed in its whole life."""
    return f"train {model} until {wanted} rounds have completed, {more} more than now"


def stopping(now: admin.ModelStatus) -> str:
    """What it means to open no further round."""
    rnd = now.round
    going = f"; round {rnd.number} ({rnd.phase}) would go on to its end" if rnd and not rnd.finished_at else ""
    return f"stop training {now.model}{going}"


def abandoning(rnd: admin.RoundReply) -> str:
    """What it means to end a round before its time."""
    return "change nothing: the round has ended" if rnd.finished_at else f"abandon round {rnd.round}, now {rnd.phase}"


def pinning(version: admin.VersionReply, *, pinned: bool) -> str:
    """What it means to keep a version whatever else happens, or no longer."""
    return f"{'keep' if pinned else 'release'} {version.id}" if version.pinned != pinned else f"change nothing of {version.id}"


def revoking(client: admin.ClientReply) -> str:
    """What it means to take a client's key away for good."""
    if client.state == "revoked":
        return "change nothing: the key was revoked before"
    return f"revoke the key of {client.client_id}"


def releasing(client: admin.ClientReply) -> str:
    """What it means to let a client out of its quarantine."""
    if not client.strikes and not client.quarantines:
        return "change nothing: there is no strike"
    return f"release {client.client_id} ({client.strikes} strikes, {client.quarantines} quarantines)"


def bounding(then: admin.FleetPace, seen: int) -> str:
    """What it means to bound what the fleet sends, for who saw that revision of the bounds."""
    if then.revision == seen:
        return "change nothing"
    month = f" and {then.budget:,} a month" if then.budget is not None else ""
    return f"set the bounds, revision {then.revision}: {then.ceiling:,g} requests a second{month}"
