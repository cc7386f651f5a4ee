"""Flower apps. Beside this package's tests, which need no flwr, `python -m tests.flower` runs `inside` in two environments."""
