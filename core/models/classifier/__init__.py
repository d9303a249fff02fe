"""The family of encoders with a linear head, which answer with a label."""
