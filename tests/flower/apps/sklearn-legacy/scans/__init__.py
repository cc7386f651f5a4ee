"""Scans of digits that come with scikit-learn, a linear model, and the older API."""
