"""Layouts that people have, as folders that carry their own truth."""
