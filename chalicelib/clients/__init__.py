"""Clients: who may speak, and for whom.

* `credentials`  keys and tokens: made, parsed, hashed, compared (pure);
* `client`       what is stored of a client, `token` of an enrolment token;
* `tally`        counting clients (pure); `census` does it in the background;
* `store`        their rows, one condition a write;
* `directory`    the use cases: enrol, rotate, authenticate, heartbeat, credit, revoke, list;
* `tokens`       the use cases of enrolment tokens: mint, list, revoke.
"""
