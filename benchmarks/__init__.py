"""Measurements, each a program of its own that starts the servers it needs."""
