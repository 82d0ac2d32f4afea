"""What may leave the owner's machine: lists of allowed files, columns, keys and settings, and a copy of exactly these."""
