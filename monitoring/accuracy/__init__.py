"""How often the answers were right, where few of them have a label; what users said of them."""
