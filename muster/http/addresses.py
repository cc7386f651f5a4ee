"""Where keys may travel in the clear: on this machine, and nowhere else unless that was asked for by name.

A key travels with every request, and a presigned URL is one. The rule is here alone; `Transport` asks before each request, of
the API's URL and of presigned ones.
"""

from __future__ import annotations

from ipaddress import ip_address

import httpx

from muster.http.errors import Insecure


def check_address(url: str, insecure_http: bool = False) -> None:
    """Let `https://` pass, `http://` to this machine, and, where it was asked for, `http://` to any.

    Raises:
        Insecure: it is anything else. The message names scheme and host only.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as invalid:
        raise Insecure("expected an https URL, got one that is none") from invalid
    if parsed.scheme == "https" and parsed.host:
        return
    if parsed.scheme == "http" and (is_loopback(parsed.host) or (insecure_http and parsed.host)):
        return
    where = f"{parsed.scheme or 'no scheme'} to {parsed.host or 'no host'}"
    raise Insecure(f"expected an https URL, got {where} (insecure_http=True lets http pass)")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name or number: `localhost`, 127.0.0.0/8 and ::1. No name is looked up."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
