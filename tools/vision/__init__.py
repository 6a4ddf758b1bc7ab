"""Scoring photos of goods: a port, so that a scorer can be put behind it."""
