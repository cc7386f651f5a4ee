"""The Deny that docs/operations.md recommends for those who may not fetch updates."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FILES = "/v1/admin/models/digits/rounds/1/files"


def deny() -> str:
    """The resource that it names; in IAM `*` matches `/` too."""
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    (found,) = re.findall(r'\{"Effect": "Deny", "Action": "execute-api:Invoke",\s+"Resource": "([^"]+)"\}', page)
    return str(found)


@pytest.mark.parametrize("stage", ["v", "prod"])
@pytest.mark.parametrize(
    "path", [FILES, f"{FILES}/", f"{FILES}//", f"/{FILES}", FILES.replace("/rounds", "//rounds"), FILES.replace("/1/", "/1//")]
)
def test_the_recommended_deny_fits_every_path_that_a_gateway_takes_for_the_routes(path: str, stage: str) -> None:
    assert fnmatchcase(f"arn:aws:execute-api:REGION:ACCOUNT:API/{stage}/GET{path}", deny())


def test_it_leaves_a_round_itself_to_be_read() -> None:
    assert not fnmatchcase("arn:aws:execute-api:REGION:ACCOUNT:API/v/GET/v1/admin/models/digits/rounds/1", deny())
