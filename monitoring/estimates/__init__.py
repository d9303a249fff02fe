"""How often the answers were right, where few of them have a label, or none."""
