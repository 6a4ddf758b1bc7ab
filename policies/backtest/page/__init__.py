"""The page that a committee decides by: one file, no script, nothing loaded from anywhere."""
