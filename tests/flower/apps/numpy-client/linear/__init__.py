"""A line through points, with a NumPyClient and the older API."""
