"""Typed tools. A tool says what it takes, gives, changes and lets out; it does not know that it is gated."""
