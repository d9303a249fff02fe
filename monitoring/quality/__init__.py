"""What the rows look like: Great Expectations checks, text statistics, novelty and duplicates."""
