"""The HTTP API: routes turn requests into calls of the house, and rows into the wire's models."""
