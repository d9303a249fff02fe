"""What is bad: limits that a signal must keep to."""
