"""The returns agent: its role, how it reads letters, its written procedure, and what it writes to customers."""
