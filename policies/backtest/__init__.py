"""Tries a policy on recorded decisions. Pure: records in, figures out; whoever has a ledger brings the records."""
