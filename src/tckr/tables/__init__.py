"""Audit tables of scores and membership that came from anywhere: read them as evidence, then judge it."""
