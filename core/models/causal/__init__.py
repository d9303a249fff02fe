"""The family of causal language models, which write their answer token by token."""
