"""The nine stages, one folder each; stages never import one another."""
