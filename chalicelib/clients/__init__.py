"""Clients: who may speak, and for whom.

* `credentials`  keys and tokens: made, parsed, hashed, compared (pure);
* `rate`         how often a client may ask (pure); `arrivals` is the write with which it comes;
* `conduct`      strikes and quarantine (pure);
* `client`       what is stored of a client, `token` of an enrolment token;
* `shares`       how an exact bound is counted in many rows (pure);
* `tally`        counting clients (pure), `segments` which of them at a time; `census` does it in the background;
* `cohort`       a named set of clients, and who belongs to it (pure); `cohorts` makes and lists them;
* `splits`       a client's place on a line: a hash, and no memory;
* `store`        rows of clients and cohorts, one condition a write;
* `token_store`  rows of tokens and their uses, `fleet_store` of the fleet's places, `tally_store` of what was counted;
* `enrolling`    the one transaction by which a device becomes a client;
* `bounds`       how many requests the operator allows (pure); `pacing` says by them when devices come again;
* `directory`    the use cases: enrol, rotate, authenticate, revoke, list;
* `presence`     the use cases of a client that comes: heartbeat, check-in;
* `reputation`     the use cases of what it has sent: credit, strike, release;
* `tokens`       the use cases of enrolment tokens: mint, list, revoke.
"""
