"""Rounds to be exported and replayed, and how the tests of both look at them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from muster.aggregation.manifest import Manifest
from muster.cli.app import app
from muster.cli.session import Session
from muster.operator.client import NoAddress
from muster.operator.folder import update_content
from muster.wire.admin import Clipping, Rule
from muster.wire.refs import canonical_json, digest
from tests.fleet import World
from tests.operator.terminal import Output
from tests.rounds.playing import run_round

ROBUST: dict[str, Any] = {
    "aggregator": Rule(name="trimmed-mean", parameters={"trim": 1}),
    "optimizer": Rule(name="yogi"),
    "clipping": Clipping(norm=0.3, adaptive=True),
}
"""A rule that reads all updates of a coordinate, an optimizer with state, and a norm that goes along with the version."""


def offline(line: str) -> tuple[int, str, str]:
    """A command where no server can be reached: status, what it prints, what it complains of."""

    def nowhere() -> Any:
        raise NoAddress("there is no network")

    out, err = Output(), Output()
    session = Session(nowhere, Console(file=out, width=160), Console(file=err, width=160))
    found = CliRunner().invoke(app, line.split(), obj=session)
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    said, complained = out.getvalue(), err.getvalue()
    return found.exit_code, said, complained


def two_rounds(world: World) -> None:
    """Two rounds of a robust rule: the second starts from a version with state."""
    run_round(world, rounds=2, keep_updates=True, quorum=3, **ROBUST)
    run_round(world, number=2)


def fetched(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The digests of the files that exports fetch from now on."""
    seen: list[str] = []
    save = world.operator.save

    def noting(url: str, sha256: str, limit: int, file: IO[bytes]) -> None:
        seen.append(sha256)
        save(url, sha256, limit, file)

    monkeypatch.setattr(world.operator, "save", noting)
    return seen


def forge(folder: Path, *, update: bytes | None = None, **changes: Any) -> None:
    """What a server could have published instead: another manifest, or another first update, with digests that fit together."""
    document = json.loads((folder / "version.json").read_bytes())
    manifest = json.loads((folder / "manifest.json").read_bytes()) | changes
    if update is not None:
        manifest["entries"][0] |= {"sha256": digest(update), "nbytes": len(update)}
    (folder / "manifest.json").write_bytes(canonical_json(manifest))
    if update is not None:
        first = Manifest.from_bytes(canonical_json(manifest)).entries[0]
        (folder / update_content(first).path).write_bytes(update)
    document["manifest_sha256"] = digest((folder / "manifest.json").read_bytes())
    (folder / "version.json").write_bytes(canonical_json(document))
    about = json.loads((folder / "round.json").read_bytes())
    about["document_sha256"] = digest((folder / "version.json").read_bytes())
    (folder / "round.json").write_text(json.dumps(about))
