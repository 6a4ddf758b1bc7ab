"""Proofs by z3 on the same tree of conditions that decides: run when a policy is published, never for a decision."""
