"""The one place that decides how a folder is read, and says how it was understood. Rules and refusals: docs/data.md."""
