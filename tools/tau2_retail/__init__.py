"""The tools of the tau2 retail benchmark as a second kind's tools: its world, its sixteen tools, facts for policy."""
