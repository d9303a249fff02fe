"""Laws that every policy of a stage keeps: ours, and those of other packages."""
