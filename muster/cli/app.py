"""The commands, put together."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from muster import __version__
from muster.cli import (
    backups,
    clients,
    conformance,
    console,
    costs,
    experiments,
    fleet,
    flower,
    models,
    monitoring,
    rollouts,
    rounds,
    simulation,
    starting,
    versions,
)
from muster.cli.errors import EXPECTED, explain
from muster.cli.session import Session
from muster.operator.client import NoAddress, Operator


class Commands(TyperGroup):
    """The group of all commands: an expected error becomes three lines and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was typed."""
        try:
            return super().invoke(ctx)
        except EXPECTED as error:
            session = ctx.find_object(Session) or Session(_nowhere)
            raise typer.Exit(explain(error, session, session.errors)) from error


app = typer.Typer(
    name="muster",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Steer federated learning: models, rounds, versions, clients, metrics.",
    epilog="The server is named by --url or MUSTER_URL. Requests to AWS are signed with your AWS credentials; a server on this "
    "machine (make cloud) asks for none.",
)
app.add_typer(models.app, name="model")
app.add_typer(rounds.app, name="round")
app.add_typer(versions.app, name="version")
app.add_typer(versions.deployments, name="deployment")
app.add_typer(rollouts.app, name="rollout")
app.add_typer(experiments.app, name="experiment")
app.add_typer(experiments.cohorts, name="cohort")
app.command("deploy")(versions.deploy)
app.command("rollback")(versions.rollback)
app.add_typer(fleet.app, name="fleet")
app.add_typer(costs.app, name="cost")
app.add_typer(clients.app, name="client")
app.add_typer(clients.tokens, name="token")
app.add_typer(monitoring.metrics, name="metrics")
app.add_typer(monitoring.alerts, name="alerts")
app.add_typer(monitoring.thresholds, name="threshold")
app.command("status")(monitoring.status)
app.command("console")(console.console)
app.command("why")(monitoring.why)
app.command("objectives")(monitoring.objectives)
app.command("backup")(backups.backup)
app.command("restore")(backups.restore)
app.add_typer(flower.app, name="flower")
app.command("conformance")(conformance.conformance)
app.command("simulate")(simulation.simulate)
app.command("init")(starting.init)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"muster {__version__}\n")
        raise typer.Exit


@app.callback()
def connect(
    ctx: typer.Context,
    url: Annotated[str | None, typer.Option(envvar="MUSTER_URL", help="Where the API is.", show_default=False)] = None,
    profile: Annotated[
        str | None, typer.Option(envvar="AWS_PROFILE", help="The AWS profile that signs.", show_default=False)
    ] = None,
    region: Annotated[
        str | None, typer.Option(envvar="AWS_REGION", help="The API's region, where its URL does not say.", show_default=False)
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version, and end.")
    ] = False,
) -> None:
    """Make the session; the connection itself is made when a command needs it."""
    if not isinstance(ctx.obj, Session):
        ctx.obj = Session(lambda: Operator.connect(url, profile, region) if url else _nowhere(), profile=profile, region=region)
    ctx.call_on_close(ctx.obj.close)


def _nowhere() -> Operator:
    raise NoAddress("neither --url nor MUSTER_URL is given")


def main() -> None:
    """Run the command line."""
    app()
