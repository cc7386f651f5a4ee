"""What checks a device from outside, whatever language it is written in: docs/conformance.md.

* `vectors`   tensor files, encodings and deltas, good and bad, as one JSON file
* `kit`       runs a walk: the server, the device, the end; read this first
* `script`    what each check-in is answered with, and what goes wrong on the way; `walk` goes by it, and notes
* `faults`    the ways in which answers go wrong, and `expecting`, what a device has to do then
* `world`     the honest server behind all that; `requests` reads for it, `store` and `rounds` remember
* `versions`  checkpoints and deltas to give out
* `http`      sockets, and answers that are spoilt on their way
* `checks`    what is checked, in which section of docs/protocol.md it stands, and how it went

Nothing here imports the SDK: a kit that checked a device with the device's own code would find nothing.
"""
