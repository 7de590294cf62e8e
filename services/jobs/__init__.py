"""Long work: what is asked for, and running it here or on a Ray cluster."""
