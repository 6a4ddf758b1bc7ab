"""The chat: any client that speaks OpenAI's chat completions talks to an agent, and what it asks for becomes a case."""
