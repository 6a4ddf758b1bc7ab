"""The retail domain of tau2-bench: recorded gold actions through graph, gate, reviewers and executor."""
