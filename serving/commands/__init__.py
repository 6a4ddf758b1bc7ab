"""Commands over a running server, and over a data folder."""
