"""Studies: several ways to start a detector, compared on the same images, shots and seeds."""
