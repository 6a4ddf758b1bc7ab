"""Where people decide: a terminal application and plain commands over the HTTP API."""
