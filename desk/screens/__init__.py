"""Screens of the desk: each asks one thing of a person."""
