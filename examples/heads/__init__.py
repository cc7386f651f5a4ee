"""Forty devices that see two or three digits each share a body, and keep a head of their own.

* `federated`  the data, the networks and the app; `shared` beside it, whose head travels too
"""
