"""The console in a browser (make e2e-console): against a local cloud in which a round completes while a page is open.

It needs Debian's chromium (MUSTER_CHROMIUM names another), and what tests/e2e/console-requirements.txt names. Pictures of all
views are left in build/console.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, ViewportSize, expect, sync_playwright

from muster.cli.console import PAGE
from tests.e2e.console_fleet import MARKUP, ConsoleFleet

ROOT = Path(__file__).parent.parent.parent
PICTURES = ROOT / "build" / "console"
CHROMIUM = os.environ.get("MUSTER_CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
SIZES: dict[str, ViewportSize] = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
VIEWS = {
    "overview": ("/", "Overview"),
    "model": ("/models/digits", "Model digits"),
    "rollout": ("/models/pumps", "Model pumps"),
    "rounds": ("/models/digits/rounds", "Rounds of digits"),
    "round": ("/models/digits/rounds/1", "Round 1 of digits"),
    "version": ("/models/digits/versions/1", "Version 1 of digits"),
    "receipts": ("/models/digits/rounds/1/receipts?state=rejected", "Receipts of round 1 of digits"),
    "judges": ("/models/digits/rounds/1/judges", "Judges of round 1 of digits"),
    "fleet": ("/fleet", "Fleet"),
    "client": ("/fleet/boiler-01", "Client boiler-01"),
    "alerts": ("/alerts", "Alerts"),
    "cost": ("/cost", "Cost"),
    "model-cost": ("/models/digits/cost", "Cost of digits"),
}
SLOW = 30_000
"""Milliseconds that a page may take to say what is expected."""


class Serving:
    """A running `muster console`, and the link that it printed."""

    def __init__(self, url: str) -> None:
        command = [sys.executable, "-m", "muster", "--url", url, "console", "--no-open"]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        found = re.search(r"http://\S+", said)
        assert found is not None, said
        assert self.process.stdout.readline() == "The link works once. Ctrl-C stops the console.\n"
        self.link = found[0]
        self.origin = "http://" + urlsplit(self.link).netloc

    def stop(self) -> str:
        """End it as Ctrl-C does, and return what else it printed."""
        self.process.send_signal(signal.SIGINT)
        told, _ = self.process.communicate(timeout=20)
        return told


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleFleet]:
    with ConsoleFleet(tmp_path_factory.mktemp("devices")) as made:
        made.train(3)
        made.until(lambda: bool(made.operator.alerts("digits")))
        yield made


@pytest.fixture(scope="module")
def serving(fleet: ConsoleFleet) -> Iterator[Serving]:
    made = Serving(fleet.cloud.url)
    yield made
    if made.process.poll() is None:
        made.stop()


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as made:
        yield made


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    made = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield made
    made.close()


@pytest.fixture(scope="module")
def state(browser: Browser, serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """The one browser that has opened the link, by way of a file, as the command opens it."""
    leading = tmp_path_factory.mktemp("link") / "console.html"
    leading.write_text(PAGE.format(link=serving.link))
    context = browser.new_context(viewport=SIZES["desktop"])
    page = context.new_page()
    page.goto(leading.as_uri())
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview", timeout=SLOW)
    assert page.url == f"{serving.origin}/"
    page.close()
    yield context
    context.close()


class Watched:
    """A page whose every request and complaint is noted."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.page = context.new_page()
        self.origin = origin
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("requestfailed", lambda request: self.complaints.append(f"failed: {request.url}"))
        self.page.on("response", lambda got: self.complaints.append(f"{got.status} {got.url}") if got.status >= 400 else None)
        self.page.on("request", lambda request: self._hears(request.url))
        self.page.on("websocket", lambda socket: self._hears(socket.url))

    def _hears(self, url: str) -> None:
        if not url.startswith((self.origin, self.origin.replace("http", "ws"), "data:")):
            self.elsewhere.append(url)

    def visit(self, path: str, title: str) -> Page:
        """Open a page of the console and wait until it says something."""
        self.page.goto(self.origin + path)
        expect(self.page.get_by_role("heading", level=1)).to_have_text(title, timeout=SLOW)
        expect(self.page.locator(".fresh")).to_contain_text("As of", timeout=SLOW)
        expect(self.page.locator("section").first).to_be_visible(timeout=SLOW)
        return self.page

    def close(self) -> None:
        """Nothing may have gone wrong, or elsewhere."""
        self.page.close()
        assert self.complaints == []
        assert self.elsewhere == []


@pytest.fixture
def watched(state: BrowserContext, serving: Serving) -> Iterator[Watched]:
    made = Watched(state, serving.origin)
    yield made
    made.close()


def expect_content(page: Page, view: str) -> None:
    """What each view must show, so that no picture is of a page that is still empty."""
    says = {
        "overview": "open alert", "model": "What judges measured", "rollout": MARKUP,
        "rounds": "norm-overflow", "round": "norm-overflow", "receipts": "norm-overflow", "judges": "accuracy 0.",
        "version": "by its round's judges",
        "fleet": "thermostat-00", "client": "last seen",
        "alerts": "accepted_updates", "cost": "AWS's bill decides", "model-cost": "AWS's bill decides",
    }  # fmt: skip
    expect(page.locator("body")).to_contain_text(says[view], timeout=SLOW)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_each_view_is_readable_by_all_at_any_size_in_light_and_dark(
    view: str, scheme: str, size: str, watched: Watched
) -> None:
    watched.page.set_viewport_size(SIZES[size])
    watched.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    page = watched.visit(*VIEWS[view])
    expect_content(page, view)
    page.wait_for_function("[...document.querySelectorAll('figure')].every(f => f.querySelector('svg'))")
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{view}-{size}-{scheme}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "the page is wider than the screen"
    found = Axe().run(page).response["violations"]
    grave = [
        (one["id"], [node["target"] for node in one["nodes"]]) for one in found if one["impact"] in ("serious", "critical")
    ]
    assert grave == []


def test_a_round_that_completes_shows_without_reload_and_focus_stays(fleet: ConsoleFleet, watched: Watched) -> None:
    page = watched.visit("/models/digits/rounds", "Rounds of digits")
    rows = page.get_by_role("region", name="Rounds of digits, newest first").locator("tbody tr")
    expect(rows).to_have_count(3, timeout=SLOW)
    page.evaluate("window.stays = true")
    link = page.locator("tbody a").first
    link.focus()

    def while_open() -> None:
        expect(rows).to_have_count(4, timeout=SLOW)
        expect(rows.first).to_contain_text("collecting", timeout=SLOW)

    fleet.train(1, while_open)
    expect(rows.first).to_contain_text("completed", timeout=SLOW)
    assert page.evaluate("window.stays") is True
    assert page.evaluate("document.activeElement.tagName") == "A"
    page.set_viewport_size({"width": 1120, "height": 1180})
    watched.visit("/models/digits", "Model digits")
    expect(page.locator("figcaption").first).to_contain_text("Version 4", timeout=SLOW)
    page.wait_for_function("document.querySelectorAll('figure svg').length === 3")
    page.screenshot(path=PICTURES / "console-model.png")


def test_nothing_is_asked_for_a_page_that_nobody_sees_and_at_once_when_it_is_seen_again(watched: Watched) -> None:
    page = watched.visit("/", "Overview")
    hide = "Object.defineProperty(document, 'hidden', {configurable: true, get: () => %s});"
    change = "document.dispatchEvent(new Event('visibilitychange'));"
    page.evaluate(hide % "true" + change)
    expect(page.locator(".fresh")).to_contain_text(re.compile("UTC, (8|9|1[0-9]) s ago"), timeout=SLOW)
    page.evaluate(hide % "false" + change)
    expect(page.locator(".fresh")).to_contain_text("UTC, just now", timeout=SLOW)


def test_everything_is_reached_in_order_from_the_keyboard_and_focus_is_seen(watched: Watched) -> None:
    page = watched.visit("/models/pumps", "Model pumps")
    expect_content(page, "rollout")
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        told = page.evaluate(
            "(() => { const it = document.activeElement, style = getComputedStyle(it);"
            " return [it.innerText.split('\\n')[0], style.outlineStyle, parseFloat(style.outlineWidth)]; })()"
        )
        reached.append(told[0])
        assert told[1] != "none", told
        assert told[2] >= 2, told
    assert reached == [
        "Skip to what this page shows", "Overview", "Fleet", "Alerts", "Cost", "← Overview", "Start training", "Pause rollout",
        "Promote", "Abort rollout", "Roll back", "version 0 (revision 2)", "version 1", "all rounds",
    ]  # fmt: skip


def test_a_rollout_is_paused_after_its_dry_run_and_the_history_says_why(fleet: ConsoleFleet, watched: Watched) -> None:
    page = watched.visit("/models/pumps", "Model pumps")
    page.get_by_role("button", name="Pause rollout").click()
    dialog = page.get_by_role("dialog", name="Pause the rollout: pumps")
    expect(dialog.get_by_role("status")).to_contain_text("This would pause the rollout of version 1 of pumps", timeout=SLOW)
    dialog.get_by_label("Why").fill("it's too early")
    expect(dialog.locator("code")).to_have_text(
        "muster rollout pause pumps --revision 2 --because 'it'\"'\"'s too early'", timeout=SLOW
    )
    page.wait_for_timeout(400)  # the dialog's entry, for the picture
    page.screenshot(path=PICTURES / "question-desktop-light.png")
    grave = [one["id"] for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
    assert grave == []
    dialog.get_by_role("button", name="Pause the rollout").click()
    expect(page.get_by_role("button", name="Resume rollout")).to_be_visible(timeout=SLOW)
    assert next(fleet.operator.deployments("pumps")).because == "it's too early"
    expect(dialog).to_have_count(0)


def test_the_fleet_is_bounded_by_what_is_filled_in_and_shown_again_before_it_is_done(
    fleet: ConsoleFleet, watched: Watched
) -> None:
    page = watched.visit("/fleet", "Fleet")
    page.get_by_role("button", name="Bound what the fleet sends").click()
    dialog = page.get_by_role("dialog", name="Bound what the fleet sends: all devices")
    expect(dialog.get_by_role("status")).to_contain_text("This would set the bounds, revision 1: 5,000", timeout=SLOW)
    dialog.get_by_label("Requests a second, at most").fill("1234")
    dialog.get_by_label("Why").click()
    expect(dialog.get_by_role("status")).to_contain_text("This would set the bounds, revision 1: 1,234 requests", timeout=SLOW)
    expect(dialog.locator("code")).to_have_text("muster fleet pace --ceiling 1234 --no-budget", timeout=SLOW)
    grave = [one["id"] for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
    assert grave == []
    page.screenshot(path=PICTURES / "bounds-desktop-light.png")
    assert fleet.operator.pace().revision == 0
    dialog.get_by_role("button", name="Bound what the fleet sends").click()
    expect(dialog).to_have_count(0, timeout=SLOW)
    assert fleet.operator.pace().ceiling == 1234.0


def test_a_page_may_be_closed_while_it_asks_something(watched: Watched) -> None:
    """What is printed by the console meanwhile is looked at in the end: nothing."""
    page = watched.visit("/fleet", "Fleet")
    page.get_by_role("button", name="Bound what the fleet sends").click()
    expect(page.get_by_role("dialog").get_by_role("status")).to_contain_text("This would", timeout=SLOW)
    page.goto("about:blank")
    watched.visit("/", "Overview")


def test_an_alert_is_acknowledged(fleet: ConsoleFleet, watched: Watched) -> None:
    page = watched.visit("/alerts", "Alerts")
    page.get_by_role("button", name="Acknowledge accepted_updates of digits").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("status")).to_contain_text("This would acknowledge alert", timeout=SLOW)
    dialog.get_by_role("button", name="Acknowledge an alert").click()
    expect(page.locator("tbody").first).to_contain_text("acknowledged", timeout=SLOW)


def test_markup_is_shown_as_it_was_written_and_scripts_that_were_smuggled_in_do_not_run(
    state: BrowserContext, serving: Serving
) -> None:
    page = state.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text))
    page.goto(f"{serving.origin}/models/pumps")
    expect(page.locator("body")).to_contain_text(MARKUP, timeout=SLOW)
    page.evaluate(
        "() => { const it = document.createElement('script'); it.textContent = 'window.evil = 2'; document.body.append(it);"
        " document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.evil = 3\">'); }"
    )
    page.wait_for_function("document.images.length && [...document.images].every(one => one.complete)")
    assert page.evaluate("window.evil") is None
    assert any("Content Security Policy" in text for text in complaints)
    page.close()


def test_an_address_that_names_nothing_says_so(watched: Watched) -> None:
    page = watched.page
    page.goto(f"{watched.origin}/models/nobody")
    expect(page.locator("section")).to_contain_text("nobody", timeout=SLOW)


def test_who_comes_with_another_name_or_without_a_session_sees_nothing(browser: Browser, serving: Serving) -> None:
    for address in (serving.link, serving.origin, serving.origin.replace("127.0.0.1", "localhost")):
        context = browser.new_context()
        page = context.new_page()
        got = page.goto(address)
        assert got is not None
        assert got.status in (403, 421)
        assert "muster console again" in page.content() or "only at the address" in page.content()
        context.close()


def test_a_server_that_is_gone_shows_as_a_sentence_and_the_page_stays(
    fleet: ConsoleFleet, serving: Serving, watched: Watched
) -> None:
    page = watched.visit("/", "Overview")
    expect_content(page, "overview")
    fleet.cloud.close()
    expect(page.locator(".trouble")).to_contain_text("No usable answer", timeout=60_000)
    expect(page.locator(".trouble")).to_contain_text("What is shown is of")
    expect(page.locator("tbody")).to_contain_text("digits")
    page.screenshot(path=PICTURES / "trouble-desktop-light.png")


def test_it_ends_at_once_and_has_printed_nothing_but_its_link(serving: Serving) -> None:
    assert serving.stop() == ""
    assert serving.process.returncode in (0, 130)
