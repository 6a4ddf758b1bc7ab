"""What governs the house, as tools: policy comes into force, versions come back, people get their roles."""
