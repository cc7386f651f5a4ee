"""A device of Muster in nothing but Python's standard library: no SDK, no numpy. Written from docs/protocol.md alone.

    python -m examples.raw_device URL TOKEN CLIENT_ID MODEL FOLDER

Read it in this order, with the page beside it, if you write a device in another language:

* `web`       one request: bounded, never redirected, never decompressed, repeated when it failed     (section 1)
* `device`    enrol, heartbeat, check in, train, upload, report, judge; and what it keeps on its disk  (sections 2 to 7)
* `tensors`   the tensor file, and the encodings of an update                                          (sections 8 and 9)
* `deltas`    a checkpoint made of another one                                                         (section 10)
* `learning`  what it learns: the mean of numbers that it alone has seen

Lists instead of arrays make it slow: a model of a million numbers takes it some seconds. That is no part of the protocol.
"""
