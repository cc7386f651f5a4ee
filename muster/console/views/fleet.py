"""The fleet: how many, of which kinds, how often they come; and one client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime

from muster.console import words
from muster.console.intents import Intent
from muster.console.known import MOST_ROWS, Known, Wish
from muster.console.views import charts
from muster.console.views.blocks import (
    Block,
    Chart,
    Choice,
    DataTable,
    Section,
    Sentence,
    Span,
    Terms,
    View,
    plain,
    state,
    to_client,
    to_model,
    unknown,
)
from muster.wire import admin

MOST_BARS = 12
"""Bars in a picture: the most frequent device types, or releases."""
MOST_CURVES = 5
"""Models of which it is drawn how many clients were active."""


def wishes(known: Known) -> frozenset[Wish]:
    """The counts, the pace, the first page of clients, and how many were active of those models that have the most."""
    active = {Wish("active", one.model) for one in _busiest(known)}
    return frozenset({Wish("statistics"), Wish("pace"), Wish("clients")}) | active


def view(known: Known, now: datetime) -> View:
    """The page."""
    clients: list[admin.ClientReply] = known.found(Wish("clients"), list) or []
    sections = [
        *_counts(known),
        *_active(known),
        *_pace(known),
        Section("Clients", (_clients(clients, Wish("clients") in known.learnt),)),
    ]
    pace = known.found(Wish("pace"), admin.FleetPace)
    bound = Intent(kind="set-pace", ceiling=pace.ceiling, budget=pace.budget or 0) if pace else None
    return View(
        title="Fleet", sections=tuple(sections), choices=(Choice("Bound what the fleet sends", bound),) if bound else ()
    )


def _counts(known: Known) -> Iterator[Section]:
    fleet = known.found(Wish("statistics"), admin.FleetStatistics)
    if fleet is None:
        yield Section("Counts", (Sentence("Nothing was heard of the fleet yet.", "quiet"),))
        return
    facts = Terms((
        ("enrolled", Span(f"{words.number(fleet.clients)} of {words.number(fleet.max_clients)} at most")),
        ("active", Span(f"{words.number(fleet.active)}, seen within {words.duration(fleet.heartbeat_timeout_seconds)}",
                        tone="good" if fleet.active else "")),
        ("revoked", Span(words.number(fleet.revoked))),
        ("updates that passed inspection", Span(words.number(fleet.rounds))),
        ("examples in them", Span(words.number(fleet.samples))),
        ("counted", Span(words.time(fleet.counted_at))),
    ))  # fmt: skip
    yield Section("Counts", (facts,))
    blocks: list[Block] = [
        _bars(what, counts)
        for what, counts in (("device type", fleet.by_device_type), ("SDK version", fleet.by_sdk_version))
        if counts
    ]
    for caption, column, counts in (
        ("Active clients by the model that they run", "model", fleet.active_by_model),
        ("Active clients by cohort", "cohort", fleet.active_by_cohort),
    ):
        if counts:
            blocks.append(_counted(caption, column, counts))
    if blocks:
        yield Section("Of which kinds", tuple(blocks))


def _bars(what: str, counts: Mapping[str, int]) -> Chart:
    most = Counter(counts).most_common(MOST_BARS)
    label = f"Enrolled clients by {what}: " + ", ".join(f"{name} ({words.number(count)})" for name, count in most) + "."
    return charts.stacks(label, [name for name, _ in most], {"clients": [count for _, count in most]}, sideways=True)


def _busiest(known: Known) -> list[admin.ModelPace]:
    """The models that have the most active clients now, also where that is none."""
    pace = known.found(Wish("pace"), admin.FleetPace)
    return sorted(pace.models, key=lambda one: (-one.active, one.model))[:MOST_CURVES] if pace else []


def _active(known: Known) -> Iterator[Section]:
    """How many clients were active, model by model, as far back as records are kept."""
    told = [known.found(Wish("active", one.model), admin.MetricReply) for one in _busiest(known)]
    counted = {found.model: [(point.at, point.value) for point in found.points] for found in told if found and found.points}
    if not counted:
        return
    hours = max(found.hours for found in told if found)
    now = ", ".join(
        f"{words.number(points[-1][1])} of {model} (at most {words.number(max(value for _, value in points))})"
        for model, points in counted.items()
    )
    label = f"Active clients by the model that they run, over the last {hours} hours. At the last count: {now}."
    yield Section("Active over time", (charts.over_time(label, counted),))


def _counted(caption: str, column: str, counts: Mapping[str, int]) -> DataTable:
    return DataTable(
        caption=caption,
        columns=(column, "active"),
        rows=tuple(
            (to_model(name) if column == "model" else Span(name), Span(words.number(count)))
            for name, count in Counter(counts).most_common(MOST_ROWS)
        ),
        empty="None.",
        numbers=frozenset({"active"}),
    )


def _pace(known: Known) -> Iterator[Section]:
    pace = known.found(Wish("pace"), admin.FleetPace)
    if pace is None:
        return
    listing = DataTable(
        caption="How often the devices of each model come",
        columns=("model", "active", "a heartbeat every", "a check-in every", "requests a second"),
        rows=tuple(
            (
                to_model(one.model),
                *plain(
                    words.number(one.active),
                    words.duration(one.heartbeat_seconds),
                    words.duration(one.waiting_seconds) if one.waiting_seconds is not None else "–",
                    words.number(one.requests_per_second),
                ),
            )
            for one in pace.models
        ),
        empty="There are no models yet.",
        numbers=frozenset({"active", "requests a second"}),
    )
    said = (
        f"{words.number(pace.requests_per_second)} requests a second are expected, of {words.number(pace.ceiling)} at most; "
        f"a device whose model rests sends a heartbeat every {words.duration(pace.heartbeat_seconds)}."
    )
    trouble = (Sentence(pace.trouble, "bad"),) if pace.trouble else ()
    yield Section("How often they come", (Sentence(said), *trouble, listing))


def _clients(clients: list[admin.ClientReply], asked: bool) -> DataTable:
    return DataTable(
        caption=f"Up to {MOST_ROWS} clients, in no particular order; muster client list has all",
        columns=("client", "key", "now", "type", "SDK", "model", "version", "rounds", "last seen"),
        rows=tuple(_row(client) for client in clients),
        empty="No client is enrolled: muster token mint." if asked else "Asking which clients there are.",
        numbers=frozenset({"version", "rounds"}),
    )


def _row(client: admin.ClientReply) -> tuple[Span, ...]:
    return (
        to_client(client.client_id),
        state(client.state),
        _now(client),
        *plain(client.device_type, client.sdk_version),
        to_model(client.model) if client.model else Span("–"),
        *plain(words.number(client.version), words.number(client.rounds), words.time(client.last_seen_at)),
    )


def _now(client: admin.ClientReply) -> Span:
    if client.quarantined:
        return Span("quarantined", tone="bad")
    return state("alive" if client.alive else "silent")


def _runs(client: admin.ClientReply) -> Span:
    """What it said at its last heartbeat."""
    if client.model is None:
        return Span("nothing that it said")
    said = f"version {client.version} of {client.model}" if client.version is not None else f"{client.model}, no version yet"
    return Span(said, to_model(client.model).href)


# ---- one client


def wishes_of_one(client_id: str, known: Known) -> frozenset[Wish]:
    """The client."""
    return frozenset({Wish("client", name=client_id)})


def view_of_one(client_id: str, known: Known, now: datetime) -> View:
    """The page of one client."""
    wish = Wish("client", name=client_id)
    client = known.found(wish, admin.ClientReply)
    if client is None:
        return unknown(f"Client {client_id}", known.denied(wish))
    said = "It is alive: it" if client.alive else "It is silent: it"
    sentence = Sentence(f"{said} was last seen {words.ago(client.last_seen_at, now)}.", "" if client.alive else "quiet")
    flags = (("charging", client.charging), ("idle", client.idle), ("on an unmetered network", client.unmetered))
    facts = Terms((
        ("key", state(client.state)), ("now", _now(client)), ("type", Span(client.device_type)),
        ("SDK", Span(client.sdk_version)),
        ("runs", _runs(client)),
        ("may train", Span(", ".join(client.models) if client.models is not None else "all models")),
        ("rounds", Span(words.number(client.rounds))), ("examples", Span(words.number(client.samples))),
        ("enrolled", Span(words.time(client.enrolled_at))), ("last seen", Span(words.time(client.last_seen_at))),
        ("key rotated", Span(words.time(client.key_rotated_at))),
        ("strikes", Span(words.number(client.strikes), tone="bad" if client.strikes else "")),
        ("quarantines", Span(words.number(client.quarantines))),
        ("in quarantine until", Span(words.time(client.quarantined_until) if client.quarantined else "–")),
        *((name, Span({None: "not known", True: "yes", False: "no"}[value])) for name, value in flags),
    ))  # fmt: skip
    sections = [Section("Now", (sentence, facts))]
    if client.capabilities:
        rows = tuple(plain(name, str(value)) for name, value in sorted(client.capabilities.items()))
        columns = ("capability", "value")
        listing = DataTable(caption="What it says that it has", columns=columns, rows=rows, empty="Nothing.")
        sections.append(Section("Capabilities", (listing,)))
    choices = tuple(_choices(client))
    return View(title=f"Client {client_id}", sections=tuple(sections), choices=choices, back=Span("Fleet", "/fleet"))


def _choices(client: admin.ClientReply) -> Iterator[Choice]:
    if client.strikes or client.quarantines:
        yield Choice("Release from quarantine", Intent(kind="release-client", client=client.client_id))
    if client.state == "active":
        yield Choice("Revoke the key", Intent(kind="revoke-client", client=client.client_id), is_grave=True)
