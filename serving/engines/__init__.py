"""What writes for a model that writes: itself, in this process, or servers that have its weights."""
