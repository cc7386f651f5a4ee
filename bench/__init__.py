"""Benchmarks: measured when asked for, never as tests."""
