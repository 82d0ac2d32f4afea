"""Audit tables of scores and membership from any source: read them and judge them."""
