"""Who may come in: rules about one request, and nothing else (pure but for the token, which is good once).

    /open?token=…  ──▶ the session's cookie, once    everything else ──▶ needs the cookie

The console signs for whoever reaches it, so it must be reached by one browser only, and by that browser's own pages:

* by its address as it was printed, letter by letter, so that a name that somebody points at this machine leads nowhere (DNS
  rebinding);
* from a page of its own: another page's script sends its own `Origin`, or the browser says that it is another's
  (`Sec-Fetch-Site`);
* with the cookie of the session, for which the token of the printed link was exchanged, once.

It reads only: nothing is sent to it over HTTP, so no other method is answered. What a page asks for comes by its websocket.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Literal
from urllib.parse import parse_qs

HOST = "127.0.0.1"
"""Where the console listens, and the only name by which it answers."""

OPEN_PATH = "/open"
SECRET_BYTES = 32
LONGEST_QUERY = 4096
LONGEST_COOKIES = 8192

ELSEWHERE = "This console answers only at the address that it printed."
NOT_FROM_HERE = "This request comes from another page; the console answers only its own."
USED = "This link was used, or is not this console's. Stop the console and run muster console again for another one."
NO_SESSION = (
    "This browser has no session of this console. Open the link that muster console printed; it works once. For another "
    "browser, run muster console again."
)
NO_METHOD = "The console is only read over HTTP: GET, or HEAD."
TOO_LONG = "This request is longer than any that the console makes."


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """What a request says of itself, as far as the door looks. Names of headers are in lower case."""

    kind: Literal["http", "websocket"]
    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]

    def values(self, name: str) -> list[str]:
        """All that it says under one header."""
        return [value for found, value in self.headers if found == name]


@dataclass(frozen=True, slots=True)
class Enter:
    """Let it in."""


@dataclass(frozen=True, slots=True)
class Welcome:
    """The token was good: give the browser its session, and lead it to the first page."""

    cookie: str
    """The whole `Set-Cookie`."""


@dataclass(frozen=True, slots=True)
class TurnAway:
    """Say no, with a status and a sentence."""

    status: int
    sentence: str


class Door:
    """The door of one run of the console, at one port."""

    def __init__(self, port: int) -> None:
        self.address = f"{HOST}:{port}"
        self.origin = f"http://{self.address}"
        self._token: str | None = secrets.token_urlsafe(SECRET_BYTES)
        self._session = secrets.token_urlsafe(SECRET_BYTES)
        self._cookie = f"muster-console-{port}"
        """Browsers keep cookies by host and not by port: two consoles on this machine do not take each other's away."""

    @property
    def link(self) -> str:
        """What is printed: it opens the console once.

        Raises:
            RuntimeError: it was used.
        """
        if self._token is None:
            raise RuntimeError("the link of this console was used")
        return f"{self.origin}{OPEN_PATH}?token={self._token}"

    def answer(self, knock: Knock) -> Enter | Welcome | TurnAway:
        """Whether a request may come in."""
        if knock.values("host") != [self.address]:
            return TurnAway(421, ELSEWHERE)
        if not self._is_from_here(knock):
            return TurnAway(403, NOT_FROM_HERE)
        if knock.kind == "http" and knock.method not in ("GET", "HEAD"):
            return TurnAway(405, NO_METHOD)
        if len(knock.query) > LONGEST_QUERY or sum(map(len, knock.values("cookie"))) > LONGEST_COOKIES:
            return TurnAway(431, TOO_LONG)
        if knock.kind == "http" and knock.path == OPEN_PATH:
            return self._open(knock)
        return Enter() if self._has_session(knock) else TurnAway(403, NO_SESSION)

    def _is_from_here(self, knock: Knock) -> bool:
        """Whether no other page can have sent it.

        A websocket always says where it comes from. Of what browsers fetch without `Origin` (pictures, scripts) they say
        whether it is of the same origin; another port of this machine is only the same site. Whoever follows a link comes from
        elsewhere and may: the cookie, which is then not sent (`SameSite=Strict`), decides.
        """
        origins = knock.values("origin")
        if knock.kind == "websocket":
            return origins == [self.origin]
        if any(origin != self.origin for origin in origins):
            return False
        sites, modes = knock.values("sec-fetch-site"), knock.values("sec-fetch-mode")
        return all(site in ("same-origin", "none") for site in sites) or modes == ["navigate"]

    def _open(self, knock: Knock) -> Welcome | TurnAway:
        given = parse_qs(knock.query, max_num_fields=8).get("token", [])
        if knock.method != "GET" or self._token is None or len(given) != 1 or not _same(given[0], self._token):
            return TurnAway(403, USED)
        self._token = None
        return Welcome(f"{self._cookie}={self._session}; Path=/; HttpOnly; SameSite=Strict")

    def _has_session(self, knock: Knock) -> bool:
        for sent in knock.values("cookie"):
            for part in sent.split(";"):
                if part.strip().startswith(f"{self._cookie}=") and _same(_value(part, self._cookie), self._session):
                    return True
        return False


def _value(part: str, name: str) -> str:
    """What one cookie says; nothing, if it is none that can be read."""
    try:
        return SimpleCookie(part.strip())[name].value
    except (CookieError, KeyError):
        return ""


def _same(given: str, secret: str) -> bool:
    """Whether they are equal, in a time that says nothing about where they differ."""
    return hmac.compare_digest(given.encode(), secret.encode())
