"""A generated shop with customers who write letters: for the demo, suites and tests. No agent sees its truth."""
