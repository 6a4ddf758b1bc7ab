"""A user of the retail benchmark wants something changed."""
