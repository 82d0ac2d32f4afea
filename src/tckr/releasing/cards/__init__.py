"""The documents of a release: data card, model cards, Croissant metadata and a summary of the audit."""
