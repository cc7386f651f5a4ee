"""`muster client` and `muster token`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Any

import typer

from muster.cli import render
from muster.cli.session import DryRun, Json, Session, of
from muster.operator.telling import releasing, revoking
from muster.wire import admin
from muster.wire.spelling import near

app = typer.Typer(no_args_is_help=True, help="The fleet: list, show, revoke and release clients.")
tokens = typer.Typer(no_args_is_help=True, help="Enrolment tokens: what lets a device join.")

ClientId = Annotated[str, typer.Argument(help="The client's id.", show_default=False)]
TokenId = Annotated[str, typer.Argument(help="The token's id: the part before the dot.", show_default=False)]
Limit = Annotated[int, typer.Option(min=1, help="How many to list.")]


def _note_unknown(session: Session, models: Sequence[str]) -> None:
    """Say of which models there is none. That is no error: one may be created after its devices' token was minted."""
    known = {one.model for one in session.operator.models()} if models else set()
    for model in models:
        if model not in known:
            session.note(f"there is no model {model!r}: {near(model, known)}")


@app.command("list")
def list_(
    ctx: typer.Context,
    state: Annotated[
        str | None, typer.Option(help="Only those whose key is 'active' or 'revoked'.", show_default=False)
    ] = None,
    device_type: Annotated[str | None, typer.Option(help="Only those of this type.", show_default=False)] = None,
    model: Annotated[str | None, typer.Option(help="Only those that run this model.", show_default=False)] = None,
    alive: Annotated[
        bool | None,
        typer.Option("--alive/--silent", help="Only those that were, or were not, seen lately.", show_default=False),
    ] = None,
    quarantined: Annotated[
        bool | None,
        typer.Option("--quarantined/--free", help="Only those that are, or are not, in quarantine.", show_default=False),
    ] = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Clients, in no particular order."""
    session = of(ctx)
    only: dict[str, Any] = {
        "state": state, "device_type": device_type, "model": model, "alive": alive, "quarantined": quarantined,
    }  # fmt: skip
    found = list(islice(session.operator.clients(**only), limit))
    if not found and model is not None:
        _note_unknown(session, [model])
    session.show(found, as_json, lambda: render.clients(found))


@app.command()
def show(ctx: typer.Context, client: ClientId, as_json: Json = False) -> None:
    """One client."""
    session = of(ctx)
    found = session.operator.client(client)
    session.show(found, as_json, lambda: render.client(found))


@app.command()
def statistics(ctx: typer.Context, as_json: Json = False) -> None:
    """The fleet, counted: clients, active, by device type, rounds, samples."""
    session = of(ctx)
    found = session.operator.statistics()
    session.show(found, as_json, lambda: render.statistics(found))


@app.command()
def revoke(ctx: typer.Context, client: ClientId, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Take a client's key away for good, and its updates out of rounds that still collect."""
    session = of(ctx)
    if dry_run:
        found = session.operator.client(client)
        session.would(revoking(found), as_json, found.model_dump(mode="json") if as_json else None)
        return
    reply = session.operator.revoke(client)
    session.show(reply, as_json, lambda: render.client(reply))


@app.command()
def release(ctx: typer.Context, client: ClientId, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Let a client out of its quarantine, and forget its strikes."""
    session = of(ctx)
    if dry_run:
        found = session.operator.client(client)
        session.would(releasing(found), as_json, found.model_dump(mode="json") if as_json else None)
        return
    reply = session.operator.release(client)
    session.show(reply, as_json, lambda: render.client(reply))


@tokens.command()
def mint(
    ctx: typer.Context,
    uses: Annotated[int, typer.Option(min=1, max=admin.MOST_USES, help="How many devices may enrol with it.")] = 1,
    hours: Annotated[float, typer.Option(min=0.01, max=2160, help="How long it is good.")] = 24.0,
    label: Annotated[str, typer.Option(help="A few words for the list.")] = "devices",
    model: Annotated[
        list[str] | None, typer.Option(help="A model that its devices may use; may be repeated.", show_default="all")
    ] = None,
    device_type: Annotated[
        list[str] | None, typer.Option(help="A device type that may enrol; may be repeated.", show_default="all")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Mint a token. It is shown this once: the server keeps only a hash."""
    session = of(ctx)
    words: dict[str, Any] = {
        "label": label, "models": model or None, "device_types": device_type or None, "expires_in_seconds": hours * 3600,
    }  # fmt: skip
    if dry_run:
        _note_unknown(session, model or [])
        request = admin.MintToken(uses=uses, **words)
        session.would(f"mint a token for {uses} devices", as_json, request.model_dump(mode="json", exclude_none=True))
        return
    reply = session.operator.mint_token(uses, **words)
    pairs = [("token", reply.token), ("uses", reply.uses), ("expires", reply.expires_at)]
    session.show(reply, as_json, lambda: render.facts([*pairs, ("note", "keep it now: it is not shown again")]))


@tokens.command("list")
def list_tokens(ctx: typer.Context, limit: Limit = 50, as_json: Json = False) -> None:
    """Tokens that are kept, without their secrets."""
    session = of(ctx)
    found = list(islice(session.operator.tokens(), limit))
    session.show(found, as_json, lambda: render.tokens(found))


@tokens.command("revoke")
def revoke_token(ctx: typer.Context, token: TokenId, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Let a token admit nobody any more. Who enrolled with it stays."""
    session = of(ctx)
    token_id = token.partition(".")[0]
    if dry_run:
        known = next((t for t in session.operator.tokens() if t.token_id == token_id), None)
        what = f"revoke token {token_id} ({known.claimed} of {known.uses} uses taken)" if known else "be refused: no such token"
        session.would(what, as_json)
        return
    reply = session.operator.revoke_token(token_id)
    session.show(reply, as_json, lambda: render.tokens([reply]))
