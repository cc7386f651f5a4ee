"""A site's rule by its name.

@site_rule("office-hours")
def office_hours(asked: SiteQuestion) -> NotAdmitted | None: ...
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from functools import cache
from importlib import import_module

from chalicelib.admission.asking import NotAdmitted, SiteQuestion

SiteRule = Callable[[SiteQuestion], NotAdmitted | None]
"""None admits."""

_RULES: dict[str, SiteRule] = {}


class UnknownSiteRule(Exception):
    """A setting names a rule that is in no file of the folder `rules`."""


def site_rule(name: str) -> Callable[[SiteRule], SiteRule]:
    """Register a rule."""

    def keep(rule: SiteRule) -> SiteRule:
        if _RULES.setdefault(name, rule) is not rule:
            raise ValueError(f"there are two site rules named {name!r}")
        return rule

    return keep


def find(name: str) -> SiteRule:
    """The rule that a setting names.

    Raises:
        UnknownSiteRule: there is none.
    """
    _load()
    if name not in _RULES:
        known = ", ".join(sorted(_RULES)) or "none: chalicelib/admission/rules holds no rule"
        raise UnknownSiteRule(f"MUSTER_SITE_RULE: expected one of {known}; got {name!r}")
    return _RULES[name]


@cache
def _load() -> None:
    """Import every file of the folder `rules`, which registers what is in it."""
    package = import_module("chalicelib.admission.rules")
    for module in pkgutil.iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")
