"""New topics: clusters of texts that the model has not learnt, followed from window to window."""
