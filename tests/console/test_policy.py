"""What a browser may do with what the console sends."""

from __future__ import annotations

import base64
import hashlib

from muster.console.policy import inline_scripts, page_policy

PAGE = (
    '<html><script src="/a.js"></script><script type="importmap">{"a": 1}</script>'
    '<body><script>run("<b>")</script></body></html>'
)


def test_the_scripts_that_a_page_holds_itself_are_found_as_a_browser_reads_them() -> None:
    assert inline_scripts(PAGE) == ['{"a": 1}', 'run("<b>")']
    assert inline_scripts("<SCRIPT>a &amp; b</SCRIPT ><p>c</p><script></script>") == ["a &amp; b", ""]


def test_each_script_of_the_library_is_named_by_its_hash_and_no_other_host_is_named() -> None:
    policy = page_policy(PAGE, scripts=2, address="127.0.0.1:8123")
    digest = base64.b64encode(hashlib.sha256(b'run("<b>")').digest()).decode()
    assert f"'sha256-{digest}'" in policy
    said = dict(part.split(" ", 1) for part in policy.split("; "))
    assert said["default-src"] == "'none'"
    assert said["frame-ancestors"] == "'none'"
    assert said["connect-src"] == "'self' ws://127.0.0.1:8123"
    assert "unsafe-inline" not in said["script-src"]
    assert not any(word in policy for word in ("*", "https:", "http:"))


def test_a_page_with_a_script_too_many_or_too_few_runs_none() -> None:
    for scripts in (1, 3):
        assert "sha256" not in page_policy(PAGE, scripts=scripts, address="127.0.0.1:8123")
