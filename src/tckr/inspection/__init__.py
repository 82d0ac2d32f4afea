"""Inspect a data set before any model is used: layout, image sizes and formats, duplicates, groups."""
