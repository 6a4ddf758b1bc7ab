"""Tools of MCP servers that belong to somebody else, as tools of a kind. What such a server says is data."""
