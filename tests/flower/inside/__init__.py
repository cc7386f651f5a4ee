"""What runs in the environments of `python -m tests.flower`: with flwr, and without most of what other tests need."""
