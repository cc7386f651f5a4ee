"""Monitoring: what operators see. `status` puts a model, its rounds and its deployment into one answer."""
