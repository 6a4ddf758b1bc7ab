"""The demo: a generated world through the whole house, its figures, its report and its desk."""
