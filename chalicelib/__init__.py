"""The server: nouns as folders. `app.py` is the table of contents; `wiring.py` says how the pieces meet.

Read `rounds/round.py` first (what a round is and how it may move), then `rounds/phases/coordinator.py` (what is due, and when).
In each folder: the rules, which take values and return values; the use cases; and the store, where every write states its
one condition. Only `storage/` knows DynamoDB, S3 and SQS.

* `clients`     who may take part: registration, keys, liveness
* `admission`   a site's own word on who may come
* `registry`    models, their versions, and the log of what was deployed
* `rollouts`    which version reaches whom
* `rounds`      one pass of training: devices, phases, operators
* `monitoring`  numbers, thresholds, alerts, status, and why a model stands still
* `vitals`      what the functions say of themselves: the tick's pulse, and what fails
* `metering`, `invocations`, `spending`  what functions use, counted as they go, and written down by model, day and round
* `storage`     rows, objects, queues, in AWS
* `web`, `triggers`  from HTTP and from queues to the use cases; `errors` is how the server says no
* `wiring`      makes the pieces, each when it is first needed, from `settings`; `resources` those that are AWS's
* `tracing`     which trace of a device's a request belongs to, for the log and X-Ray
* `instants`, `log`, `recent`, `texts`  time, logs, a memory that forgets, and values that a row stores as texts
"""
