"""Muster at work.

* `digits`      what `make demo` runs: thirty devices learn to read handwritten digits together
* `raw_device`  a device in plain Python, written from docs/protocol.md alone
"""
