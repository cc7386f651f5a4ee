"""What a fleet does while its server is in trouble: real devices, in a time that only a simulation moves.

* `server`      the API and the store as devices see them, with an outage; it notes every request
* `simulation`  a thousand `Device`s and their loops, event by event
* `__main__`    `make bench-trouble`: before, during and after each outage, as a table
"""
