"""One bucket: the versions of its objects, its unfinished uploads, and the order of its keys."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectVersion:
    """An object as it was written once, or, without a body, that it was deleted."""

    key: str
    body: bytes | None
    etag: str
    modified_at: datetime
    version_id: str
    sha256: str | None = None
    """In base64, as its writer said it and S3 verified it."""
    encoding: str | None = None
    kind: str = "binary/octet-stream"

    @property
    def content(self) -> bytes:
        """What it holds."""
        if self.body is None:
            raise AssertionError(f"{self.key} is a delete marker")
        return self.body


@dataclass(slots=True)
class MultipartUpload:
    """A multipart upload that is not finished: its parts' bodies and ETags by number."""

    key: str
    upload_id: str
    begun_at: datetime
    encoding: str | None
    parts: dict[int, tuple[bytes, str]] = field(default_factory=dict)


class Bucket:
    """A bucket. Where versions are kept, nothing is ever overwritten (Amazon S3: "How S3 Versioning works")."""

    def __init__(self, name: str, now: Callable[[], datetime]) -> None:
        self.name = name
        self.keeps_versions = False
        self.settings: dict[str, Any] = {}
        self.uploads: dict[str, MultipartUpload] = {}
        self._now = now
        self._versions: dict[str, list[ObjectVersion]] = {}
        self._keys: list[str] = []
        """Of objects that are there, in order."""

    def now(self) -> datetime:
        """The time, in whole seconds."""
        return self._now().replace(microsecond=0)

    def get(self, key: str) -> ObjectVersion | None:
        """The object under a key, or None."""
        versions = self._versions.get(key)
        return versions[-1] if versions and versions[-1].body is not None else None

    def put(self, key: str, body: bytes, *, etag: str | None = None, **about: Any) -> ObjectVersion:
        """Write an object."""
        made = etag or f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        return self._add(
            ObjectVersion(key=key, body=body, etag=made, modified_at=self.now(), version_id=self._new_id(), **about)
        )

    def delete(self, key: str) -> ObjectVersion | None:
        """Delete an object; what stands for it in a bucket that keeps versions."""
        if self.keeps_versions:
            return self._add(ObjectVersion(key=key, body=None, etag="", modified_at=self.now(), version_id=self._new_id()))
        if self._versions.pop(key, None):
            self._forget(key)
        return None

    def forget(self, key: str, version_id: str) -> None:
        """Delete one version for good."""
        left = [version for version in self._versions.pop(key, []) if version.version_id != version_id]
        self._forget(key)
        for version in left:
            self._add(version)

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """The keys of objects, in order, that begin so and follow `after`."""
        start = bisect_right(self._keys, after) if after >= prefix and after else bisect_left(self._keys, prefix)
        for key in self._keys[start:]:
            if not key.startswith(prefix):
                return
            yield key

    def versions(self) -> Iterator[tuple[ObjectVersion, bool]]:
        """All versions, by key and the newest first, and whether it is the newest."""
        for key in sorted(self._versions):
            for version in reversed(self._versions[key]):
                yield version, version is self._versions[key][-1]

    def _new_id(self) -> str:
        return uuid4().hex if self.keeps_versions else "null"

    def _add(self, version: ObjectVersion) -> ObjectVersion:
        before = self._versions.get(version.key, [])
        was_there = bool(before) and before[-1].body is not None
        kept = [one for one in before if one.version_id != version.version_id]
        self._versions[version.key] = [*kept, version]
        if version.body is None:
            self._forget(version.key)
        elif not was_there:
            insort(self._keys, version.key)
        return version

    def _forget(self, key: str) -> None:
        at = bisect_left(self._keys, key)
        if self._keys[at : at + 1] == [key]:
            del self._keys[at]


def read_body(body: Any) -> bytes:
    """A body as botocore takes it: bytes, text or a file."""
    if isinstance(body, str):
        return body.encode()
    return bytes(body) if isinstance(body, (bytes, bytearray)) else bytes(body.read())
