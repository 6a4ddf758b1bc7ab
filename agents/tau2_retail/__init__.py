"""The agent of the retail benchmark: its intake, its role, and what the embedded planner does of it."""
