"""`prepare`: turn a data source into an image pool, a locked test split, a membership matrix and a data card."""
