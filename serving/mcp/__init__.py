"""The house as an MCP server: its tools and its queue of approvals, for the clients of people and of programs."""
