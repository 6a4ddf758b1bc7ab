"""Who may come in, and how: tokens, people who sign in elsewhere, limits, TLS, headers."""
