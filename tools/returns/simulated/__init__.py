"""A generated shop with customers who write letters: for the demo, for suites and for tests. No agent sees its truth."""
