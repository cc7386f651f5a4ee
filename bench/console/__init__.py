"""What an update of the console takes, with many models and clients: `make bench-console`.

* `stack`     models at different points of their lives, and the rows of a fleet
* `answers`   the server's share: each question that the console asks
* `updates`   the console's share: asking, the view, the drawing
"""
