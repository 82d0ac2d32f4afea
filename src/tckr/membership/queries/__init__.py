"""Queries of one run about every record, and its answers."""
