"""The suites, one folder each."""
