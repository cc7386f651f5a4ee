"""What can go wrong with a run, beside what an app's own code raises."""

from __future__ import annotations


class NoApp(Exception):
    """There is no app to run; the message says where one was looked for, and what was found."""


class BadPlan(ValueError):
    """What is asked of a run cannot be done; the message names the argument, what was expected, and what came."""


class Stuck(Exception):
    """The run does not come to its end; the message says which round, and what is known of it."""
