"""The `muster` command line: what operators type.

* `app`          the commands, put together; `main` is the entry point
* `models`, `rounds`, `versions`, `rollouts`, `experiments`, `clients`, `fleet`, `costs`, `monitoring`, `backups`, `conformance`
  the commands, by noun
* `simulation`   `muster simulate`; `places` finds the server that it runs
* `starting`     `muster init`
* `console`      `muster console`, which `muster.console` serves
* `flower`       apps of Flower: the one command that has devices of its own
* `recomputing`  what `rounds` and `versions` share that compute a version again
* `session`      the connection, output, dry runs
* `overview`     the page of `muster status`; `budgets` are service objectives, there and by themselves
* `render`       tables, which `layout` fits into a terminal; `sizes` are bytes, for a person
* `figures`      what is drawn, and how a terminal shows it; `pictures`: as PNG files
* `changes`      what differs between two configurations; `files`: what commands read
* `errors`       what, why, and the next command; `cloud_errors`: of AWS, and of a server that
  cannot be reached; `inputs`: of what was typed

Every command is one or two methods of `muster.operator.Operator`; only those of backups need no server, but the
cloud itself, and `conformance` is the server, and `simulate` runs one.
"""

from muster.cli.app import main

__all__ = ["main"]
