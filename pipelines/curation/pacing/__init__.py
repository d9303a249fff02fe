"""When labels are spent."""
