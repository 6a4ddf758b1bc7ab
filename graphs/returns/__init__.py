"""A customer wants to give something back."""
