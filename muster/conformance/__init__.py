"""What checks a device from outside, whatever language it is written in: docs/conformance.md.

* `vectors`   tensor files, encodings and deltas, good and bad, as one JSON file
* `walk`      the script: what the server answers, step by step, and what goes wrong on the way
* `world`     the honest server that the script stands before: clients, checkpoints, a round, its judges
* `checks`    what is checked, in which section of docs/protocol.md it stands, and how it went
* `expecting` what the device has to do next, after something went wrong
* `http`      sockets, and the ways in which an answer can be spoilt
* `kit`       puts these together and runs them

Nothing here imports the SDK: a kit that checked a device with the device's own code would find nothing.
"""
