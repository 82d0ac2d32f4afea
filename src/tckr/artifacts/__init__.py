"""What crosses the border of a stage: one typed file for each, with its reading and writing. Imports no torch."""
