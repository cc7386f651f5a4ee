"""`muster conformance`: a device is checked from outside; no server and no AWS credentials are needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from muster.cli import render
from muster.cli.errors import DIFFERENT
from muster.cli.session import Session, of
from muster.conformance.checks import Outcome
from muster.conformance.kit import Introduction, KitSettings, NoPlace, Report, check

STYLES = {Outcome.PASS: "green", Outcome.FAIL: "bold red", Outcome.SKIP: "dim"}
ADVICE = "yellow"


def conformance(
    ctx: typer.Context,
    url: Annotated[
        str, typer.Argument(help="Where the kit stands: the base URL of the device. Port 0 is any that is free.")
    ] = "http://127.0.0.1:0/api",
    run: Annotated[
        str | None,
        typer.Option(
            help="Start the device with this command, in which {url}, {token}, {client_id}, {model} and {folder} are replaced.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="The name of the model.")] = "toy",
    metric: Annotated[str, typer.Option(help="The metric by which the device is asked to judge.")] = "accuracy",
    client_id: Annotated[str, typer.Option(help="The id that the device is told to use.")] = "under-test",
    base: Annotated[
        Path | None, typer.Option(help="The checkpoint to begin with, instead of a toy.", exists=True, dir_okay=False)
    ] = None,
    patience_seconds: Annotated[float, typer.Option(min=1.0, help="It is over after so long without a request.")] = 20.0,
    file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write every check to a file, for machines.", show_default=False),
    ] = None,
) -> None:
    """Lead a device through the whole protocol, as operator and server, and say what it does right and wrong.

    Replies get lost, downloads break off, URLs expire, the server is busy: docs/conformance.md. Without --run the kit says what
    the device has to be told, and waits for it. Exit status 5: a required check has failed.
    """
    session = of(ctx)
    data = base.read_bytes() if base else None
    settings = KitSettings(
        url=url,
        command=run,
        model=model,
        metric=metric,
        client_id=client_id,
        base=data,
        patience_seconds=patience_seconds,
    )
    try:
        with session.errors.status("walking a device through the protocol"):
            report = check(settings, lambda told: _introduce(session, told, run))
    except NoPlace as nowhere:
        raise typer.BadParameter(str(nowhere)) from nowhere
    if file:
        file.write_text(json.dumps(summary(report), indent=2) + "\n", encoding="utf-8")
    _tell(session, report)
    if not report.conforms:
        raise typer.Exit(DIFFERENT)


def summary(report: Report) -> dict[str, Any]:
    """A report for machines."""
    return {
        "conforms": report.conforms,
        "ended": report.ended,
        "requests": report.requests,
        "seconds": round(report.seconds, 3),
        "checks": [
            {
                "name": found.check.name,
                "section": found.check.section,
                "required": found.check.required,
                "outcome": found.outcome.value,
                "about": found.check.about,
                "why": found.why,
            }
            for found in report.results
        ],
    }


def _introduce(session: Session, told: Introduction, run: str | None) -> None:
    if run is None:
        rows = [("url", told.url), ("token", told.token), ("client id", told.client_id), ("model", told.model)]
        session.print(render.facts(rows))
        session.say("start the device with these; Ctrl-C gives up", "dim")


def _tell(session: Session, report: Report) -> None:
    rows = []
    for found in report.results:
        style = ADVICE if found.outcome is Outcome.FAIL and not found.check.required else STYLES[found.outcome]
        said = found.why if found.outcome is not Outcome.PASS and found.why else found.check.about
        rows.append((Text(found.outcome.value, style=style), found.check.name, f"§{found.check.section}", said))
    session.print(render.table(["", "check", "page", "what it is about, or what was seen"], rows, ""))
    failed = [found for found in report.results if found.outcome is Outcome.FAIL]
    if not report.conforms and report.output:
        session.say("the last that the device printed:", "bold")
        for line in report.output:
            session.say(f"  {line}", "dim")
    counts = {outcome: sum(found.outcome is outcome for found in report.results) for outcome in Outcome}
    session.say(f"{report.ended}: {report.requests} requests in {report.seconds:.1f} s")
    advice = sum(not found.check.required for found in failed)
    session.say(
        f"{'conforms' if report.conforms else 'DOES NOT CONFORM'}: {counts[Outcome.PASS]} passed, "
        f"{len(failed) - advice} failed, {advice} failed that are advice, {counts[Outcome.SKIP]} skipped",
        "green" if report.conforms else "bold red",
    )
