"""Offline suites: what a release has to pass. They drive the real house, through `serving.house`."""
