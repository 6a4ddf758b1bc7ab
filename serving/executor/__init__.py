"""`countersign executor`: the one process that holds credentials of the outside, and its API for workers."""
