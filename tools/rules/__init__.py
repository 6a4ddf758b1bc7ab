"""Pure rules: what a return is entitled to, and what speaks against it."""
