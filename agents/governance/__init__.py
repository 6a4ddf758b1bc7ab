"""The agent that brings a change of policy or of roles before people: its intake, its role, its procedure."""
