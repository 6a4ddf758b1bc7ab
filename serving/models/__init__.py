"""The models that agents think with: embedded, or behind any server that speaks the OpenAI protocol."""
