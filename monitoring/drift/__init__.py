"""Is it other traffic than the reference? Distances, their thresholds, and the types of drift."""
