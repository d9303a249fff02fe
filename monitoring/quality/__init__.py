"""What the rows look like: checks of each row, text statistics, novelty and duplicates."""
