"""What changed: shares that shifted, words that came and went, texts that are typical of the change."""
