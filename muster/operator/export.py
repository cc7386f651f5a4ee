"""Fills a folder with all that a version was made of; goes on where it was interrupted.

    version ──▶ document ──▶ manifest ──▶ base, state, updates: each file is held against its digest while it is written

A file that is there with the right digest is not fetched again. The manifest says what is missing, so an export that goes on
asks only for the pages of what it still needs, and every page brings fresh URLs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from muster.aggregation.manifest import MANIFEST_LIMIT_BYTES, Manifest
from muster.http.errors import Missing, Untrusted
from muster.operator.client import Operator
from muster.operator.folder import (
    BASE,
    DOCUMENT,
    MANIFEST,
    ROUND,
    UPDATES,
    About,
    Content,
    PublishedVersion,
    RoundFolder,
    contents,
    state_path,
    update_content,
)
from muster.operator.private import PARTIAL

CONNECTIONS = 8
"""Updates that are fetched at a time."""

WHEN_DELETED = (
    "updates are deleted when their round has ended, unless its configuration says keep_updates, and by the bucket's lifecycle "
    "a day after they came"
)

Name = tuple[str, str | None]
"""What the server calls a file: its kind, and its name within that."""

Told = Callable[[int, int], None]
"""Hears how many of how many updates are there."""


class OtherRound(Exception):
    """The folder is not empty, and what is in it is not this round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export came to."""

    about: About
    published: PublishedVersion
    manifest: Manifest
    files: int
    """Those that the manifest names."""
    nbytes: int
    fetched: int
    """Those of them that were not there already."""


def export(operator: Operator, model: str, number: int, root: Path, told: Told = lambda done, of: None) -> Exported:
    """Export a round into a folder, which is made, or holds an export of the same round.

    Raises:
        Refused: `nothing-published`, `updates-deleted` and what else the server refuses.
        Missing: a file is no longer in the store.
        Untrusted: what came is not what was announced.
        OtherRound: the folder holds something else.
    """
    version = operator.version(model, operator.round_files(model, number).version)
    document = operator.document(version)
    about = About(round=f"{model}.{number}", version=version.version, document_sha256=version.document_sha256)
    folder = _claimed(root, about)
    folder.write(DOCUMENT, lambda file: file.write(document))
    published = folder.published(about)
    if (published.model, published.round, published.version) != (model, number, version.version):
        raise Untrusted(f"{about.round} should have made version {version.version}; its document says otherwise")
    fetching = _Fetching(operator=operator, model=model, number=number, folder=folder)
    manifest = fetching.manifest(published)
    wanted = list(contents(manifest))
    fetched = fetching.shared(manifest) + fetching.updates(manifest, told)
    return Exported(
        about=about,
        published=published,
        manifest=manifest,
        files=len(wanted),
        nbytes=sum(content.nbytes for content in wanted),
        fetched=fetched,
    )


def _claimed(root: Path, about: About) -> RoundFolder:
    """The folder, with its round.json."""
    folder = RoundFolder(root)
    folder.make()
    if (root / ROUND).exists():
        if (there := folder.about()) != about:
            raise OtherRound(f"{root} holds {there.round}, version {there.version}, document {there.document_sha256[:12]}")
    elif any(path.suffix != PARTIAL for path in root.iterdir()):
        raise OtherRound(f"{root} is not empty, and holds no exported round")
    else:
        folder.write(ROUND, lambda file: file.write(about.model_dump_json(indent=1).encode() + b"\n"))
    return folder


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fetching:
    """One export on its way."""

    operator: Operator
    model: str
    number: int
    folder: RoundFolder

    def manifest(self, published: PublishedVersion) -> Manifest:
        """The manifest, fetched unless it is there."""
        path = self.folder.root / MANIFEST
        nbytes = path.stat().st_size if path.exists() else MANIFEST_LIMIT_BYTES
        wanted = Content(MANIFEST, str(published.manifest_sha256), nbytes)
        if not self.folder.holds(wanted):
            self._fetch_shared(("manifest", None), Content(MANIFEST, wanted.sha256, MANIFEST_LIMIT_BYTES))
        return self.folder.manifest(published)

    def shared(self, manifest: Manifest) -> int:
        """Fetch what all updates share, as far as it is missing; how many files that were."""
        base = Content(BASE, manifest.base.sha256, manifest.base.nbytes)
        wanted: dict[Name, Content] = {("base", None): base}
        for file in manifest.state.files if manifest.state else ():
            wanted["state", file.letter] = Content(state_path(file.letter), file.sha256, file.nbytes)
        missing = {name: content for name, content in wanted.items() if not self.folder.holds(content)}
        for name, content in missing.items():
            self._fetch_shared(name, content)
        return len(missing)

    def updates(self, manifest: Manifest, told: Told) -> int:
        """Fetch the updates that are missing, page by page; how many they were."""
        entries = manifest.entries
        missing = [at for at, entry in enumerate(entries) if not self.folder.holds(update_content(entry))]
        count = len(missing)
        while missing:
            told(len(entries) - len(missing), len(entries))
            urls = self._urls(entries[missing[0] - 1].client_id if missing[0] else None)
            listed = {at: urls["update", entries[at].client_id] for at in missing if ("update", entries[at].client_id) in urls}
            if not listed:
                raise Untrusted(
                    f"the server does not list {update_content(entries[missing[0]]).path}, which is in the manifest"
                )
            self._fetch_all((update_content(entries[at]), url) for at, url in listed.items())
            missing = [at for at in missing if at not in listed]
        told(len(entries), len(entries))
        return count

    def _urls(self, after: str | None) -> dict[Name, str]:
        page = self.operator.round_files(self.model, self.number, after)
        return {(file.kind, file.name): file.url for file in page.files}

    def _fetch_shared(self, name: Name, content: Content) -> None:
        urls = self._urls(None)
        if name not in urls:
            raise Untrusted(f"the server does not list {content.path}")
        self._fetch(content, urls[name])

    def _fetch_all(self, wanted: Iterable[tuple[Content, str]]) -> None:
        """Several at a time; the first failure ends it, and what is there by then stays."""
        with ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="export") as pool:
            for _ in pool.map(lambda pair: self._fetch(*pair), list(wanted)):
                pass

    def _fetch(self, content: Content, url: str) -> None:
        try:
            self.folder.write(content.path, lambda file: self.operator.save(url, content.sha256, content.nbytes, file))
        except Missing as missing:
            why = f": {WHEN_DELETED}" if content.path.startswith(UPDATES) else ""
            raise Missing(f"{content.path} is no longer in the store{why}") from missing
        except Untrusted as other:
            raise Untrusted(f"{content.path}: {other}") from other
