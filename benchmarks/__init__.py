"""Scripts that print both sides of a speed claim from one run, as a ratio."""
