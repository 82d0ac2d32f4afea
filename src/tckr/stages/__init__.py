"""The nine stages, one folder per verb; they never import one another."""
