"""A site's own rule: what it is asked, what its words do, and that whatever is no clear yes admits nobody."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from chalicelib.admission import NotAdmitted, SiteQuestion, finding, site_rule
from chalicelib.admission.deciding import Admission, SiteRuleFailed
from chalicelib.errors import Refusal
from infra.deploy import _check_settings
from infra.errors import Stopped
from muster.wire.problems import Problem
from tests.clients.enrolling import beats, enrol, enrolment
from tests.fleet import World
from tests.rounds.refusing import refused

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs/site-rules.md").read_text()
CHECK_IN = "/v1/models/toy/checkin"
SATURDAY = datetime(2026, 1, 3, 12, tzinfo=UTC)


@pytest.fixture
def rules() -> Iterator[dict[str, finding.SiteRule]]:
    """The rules of this process, as they were."""
    before = dict(finding._RULES)
    yield finding._RULES
    finding._RULES.clear()
    finding._RULES.update(before)


@pytest.fixture
def site(rules: dict[str, finding.SiteRule]) -> Iterator[World]:
    """A world with the rule of the page."""
    (example,) = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/site-rules.md", "exec"), {})
    with closing(World(site_rule="office-hours")) as world:
        world.model(rounds=0)
        yield world


def minted(world: World, label: str, uses: int = 1) -> str:
    return world.operator.mint_token(uses, label=label).token


def asked(**more: Any) -> SiteQuestion:
    told: dict[str, Any] = {
        "what": "check-in", "client_id": "c-1", "device_type": "x", "sdk_version": "1", "at": SATURDAY,
    }  # fmt: skip
    return SiteQuestion(**{**told, **more})


# ---- the example of the page


def test_the_pages_rule_refuses_an_enrolment_before_its_token_is_used(site: World) -> None:
    foreign, ours = minted(site, "elsewhere"), minted(site, "batch-7")
    document = refused(site, Problem.REFUSED_BY_SITE, "POST", "/v1/clients", body=enrolment(foreign))
    assert document["got"] == "a token of another site"
    assert "a token of another site" in document["detail"]
    assert {token.label: token.claimed for token in site.operator.tokens()} == {"elsewhere": 0, "batch-7": 0}
    assert enrol(site, enrolment(ours))[0] == 201


def test_the_pages_rule_gives_no_work_at_the_weekend_and_devices_live_on(site: World) -> None:
    _, reply = enrol(site, enrolment(minted(site, "batch-7")))
    key = reply["key"]
    assert site.request("POST", CHECK_IN, key=key, body={}).status_code == 200
    charging = {"state": {"charging": False}}
    assert refused(site, Problem.REFUSED_BY_SITE, "POST", CHECK_IN, key=key, body=charging)["got"] == "not on mains"
    site.clock.now = SATURDAY
    assert refused(site, Problem.REFUSED_BY_SITE, "POST", CHECK_IN, key=key, body={})["got"] == "closed at the weekend"
    assert beats(site, key) == 200
    assert site.request("GET", "/v1/models/toy", key=key).status_code == 200


def test_whoever_has_no_good_token_or_key_hears_nothing_of_the_rule(site: World) -> None:
    good = minted(site, "elsewhere")
    secret = "x" * len(good.partition(".")[2])
    for token in (f"{good.partition('.')[0]}.{secret}", "a" * 16 + "." + secret):
        refused(site, Problem.ENROLMENT_REFUSED, "POST", "/v1/clients", body=enrolment(token))
    site.clock.now = SATURDAY
    refused(site, Problem.UNAUTHENTICATED, "POST", CHECK_IN, key="thermostat-7." + secret, body={})


def test_who_is_refused_by_the_site_takes_from_its_bucket_all_the_same(site: World) -> None:
    _, reply = enrol(site, enrolment(minted(site, "batch-7")))
    site.clock.now = SATURDAY
    said = [site.request("POST", CHECK_IN, key=reply["key"], body={}).status_code for _ in range(31)]
    assert said == [403] * 30 + [429]


def test_a_check_in_under_a_rule_is_as_many_requests_and_an_enrolment_one_more(site: World) -> None:
    site.services.pacing.refresh()
    token = minted(site, "batch-7")
    with site.calls.count() as calls:
        _, reply = enrol(site, enrolment(token))
    assert list(calls).count("GetItem") == 2, "the token, and once more for the rule"
    site.request("POST", CHECK_IN, key=reply["key"], body={})
    site.clock.advance(site.settings.request_seconds)
    with site.calls.count() as calls:
        site.request("POST", CHECK_IN, key=reply["key"], body={})
    assert next(iter(calls)) == "UpdateItem"


# ---- what a rule is asked


def test_a_rule_is_told_who_asks_for_what_and_cannot_change_it(rules: dict[str, finding.SiteRule]) -> None:
    heard: list[SiteQuestion] = []
    site_rule("hears")(heard.append)
    with closing(World(site_rule="hears")) as world:
        world.model(rounds=0)
        token = world.operator.mint_token(1, label="batch 1")
        _, reply = enrol(world, enrolment(token.token, capabilities={"memory_mb": 512}))
        world.request("POST", CHECK_IN, key=reply["key"], body={"state": {"idle": True}})
        who: dict[str, Any] = {
            "client_id": "thermostat-7", "device_type": "iot", "sdk_version": "0.1.0", "capabilities": {"memory_mb": 512},
            "at": world.clock(),
        }  # fmt: skip
        assert heard == [
            SiteQuestion(what="enrolment", token_id=token.token_id, token_label="batch 1", **who),
            SiteQuestion(what="check-in", model="toy", idle=True, **who),
        ]
    with pytest.raises(AttributeError):
        heard[0].client_id = "another"  # type: ignore[misc]
    with pytest.raises(TypeError):
        heard[1].capabilities["memory_mb"] = 4096  # type: ignore[index]


# ---- what is no clear word


def raises(_: SiteQuestion) -> NotAdmitted | None:
    raise KeyError("memory_mb")


def leaves(_: SiteQuestion) -> NotAdmitted | None:
    raise SystemExit


def badly(_: SiteQuestion) -> NotAdmitted | None:
    return NotAdmitted("a reason\nof two lines")


def at_length(_: SiteQuestion) -> NotAdmitted | None:
    return NotAdmitted("x" * 65)


def says(what: Any) -> finding.SiteRule:
    return lambda _: what


NONSENSE = [raises, leaves, badly, at_length, *map(says, (True, False, "", "no", 0, []))]


@pytest.mark.parametrize("rule", NONSENSE)
def test_a_rule_that_says_neither_yes_nor_no_admits_nobody_and_is_named(rule: finding.SiteRule) -> None:
    admission = Admission("odd", rule)
    for _ in range(2):
        with pytest.raises(SiteRuleFailed, match=r"the site's rule 'odd' failed: (it raised|expected None or NotAdmitted)"):
            admission.check(asked())


def test_a_rule_that_hangs_admits_nobody_and_holds_one_thread(rules: dict[str, finding.SiteRule]) -> None:
    ends, begun = Event(), []

    def hangs(question: SiteQuestion) -> NotAdmitted | None:
        begun.append(question)
        ends.wait(30)
        return None

    admission = Admission("slow", hangs, seconds=0.02)
    for why in ("it has not answered within 0.02 s", "an earlier question has not been answered yet"):
        with pytest.raises(SiteRuleFailed, match=why):
            admission.check(asked())
    assert len(begun) == 1
    ends.set()


def test_two_who_ask_at_once_are_answered_one_after_the_other() -> None:
    begun, goes_on, failed = Event(), Event(), list[str]()

    def waits(_: SiteQuestion) -> NotAdmitted | None:
        begun.set()
        goes_on.wait(20)
        return None

    admission = Admission("slow", waits, seconds=20.0)

    def ask() -> None:
        try:
            admission.check(asked())
        except SiteRuleFailed as failure:
            failed.append(str(failure))

    threads = [Thread(target=ask) for _ in range(3)]
    threads[0].start()
    assert begun.wait(20)
    for thread in threads[1:]:
        thread.start()
    goes_on.set()
    for thread in threads:
        thread.join()
    assert failed == []


def test_a_rule_that_fails_is_a_500_and_the_device_is_not_enrolled(
    rules: dict[str, finding.SiteRule], caplog: pytest.LogCaptureFixture
) -> None:
    site_rule("broken")(raises)
    with closing(World(site_rule="broken")) as world:
        assert enrol(world, enrolment(world.token()))[0] == 500
        assert list(world.operator.clients()) == []
        assert [token.claimed for token in world.operator.tokens()] == [0]
    assert "the site's rule 'broken' failed: it raised KeyError" in caplog.text


def test_a_refusal_has_a_reason_that_can_be_shown() -> None:
    with pytest.raises(Refusal) as refusal:
        Admission("closed", lambda _: NotAdmitted("closed")).check(asked())
    assert (refusal.value.problem, refusal.value.got) == (Problem.REFUSED_BY_SITE, "closed")
    for reason in ("", "x" * 65, "naïve", "a\nb", 5, None):
        with pytest.raises(ValueError, match="a reason: expected 1 to 64 printable ASCII characters"):
            NotAdmitted(reason)  # type: ignore[arg-type]


# ---- by its name


def test_two_rules_of_one_name_are_refused(rules: dict[str, finding.SiteRule]) -> None:
    site_rule("one")(raises)
    site_rule("one")(raises)
    with pytest.raises(ValueError, match="two site rules named 'one'"):
        site_rule("one")(leaves)


def test_a_name_that_is_not_there_is_refused_at_deployment(rules: dict[str, finding.SiteRule]) -> None:
    with pytest.raises(Stopped, match=r"MUSTER_SITE_RULE: expected one of none.*; got 'office-hours'"):
        _check_settings({"SiteRule": "office-hours"})
    site_rule("office-hours")(raises)
    _check_settings({"SiteRule": "office-hours"})
    _check_settings({"SiteRule": ""})
    _check_settings({})


def test_a_rate_below_the_pace_is_refused_at_deployment() -> None:
    with pytest.raises(Stopped, match="MUSTER_REQUEST_SECONDS: expected 0 to 30"):
        _check_settings({"RequestSeconds": "31", "CheckInSeconds": "30"})
    _check_settings({"RequestSeconds": "30", "CheckInSeconds": "30"})


def test_a_function_with_a_name_that_is_not_there_does_not_start() -> None:
    code = f"import sys, os; sys.path.insert(0, {str(ROOT)!r}); os.environ['MUSTER_SITE_RULE'] = 'nowhere'; import app"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "UnknownSiteRule: MUSTER_SITE_RULE: expected one of none" in done.stderr


def test_a_file_in_the_folder_is_found_because_it_lies_there(
    rules: dict[str, finding.SiteRule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chalicelib.admission import rules as folder

    (example,) = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)
    (tmp_path / "hours_of_a_test.py").write_text(example)
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path)])
    finding._load.cache_clear()
    try:
        assert finding.find("office-hours")(asked()) == NotAdmitted("closed at the weekend")
    finally:
        finding._load.cache_clear()
        sys.modules.pop("chalicelib.admission.rules.hours_of_a_test", None)
