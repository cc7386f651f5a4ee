"""Muster at work; `python -m examples.digits` is what `make demo` runs."""
