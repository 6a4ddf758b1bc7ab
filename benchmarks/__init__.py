"""How fast the house is: each figure beside its floor, measured in the same run, turn by turn."""
