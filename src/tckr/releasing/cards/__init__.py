"""What a release says of itself: a data card, a model card, Croissant metadata and a summary of the audit."""
