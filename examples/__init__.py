"""Whole uses of the product, each with its data, its settings and what came out."""
