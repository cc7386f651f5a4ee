"""Clients: who may speak, and for whom.

* `credentials`  keys and tokens: made, parsed, hashed (pure);
* `client`       what is stored of a client and of an enrolment token;
* `store`        their rows, one condition a write;
* `directory`    the use cases: mint, enrol, authenticate, heartbeat, revoke.
"""
