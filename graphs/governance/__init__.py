"""The kind of task by which the house governs itself."""
