"""Decide how a folder is read, and describe how it was understood. Rules and refusals: docs/data.md."""
