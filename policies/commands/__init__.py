"""`countersign policy`: a module for each command, listed in `group.py`."""
