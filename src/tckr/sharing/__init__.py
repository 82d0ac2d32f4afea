"""What may leave the owner's machine: one list of files, columns, keys and settings, and a copy of exactly that."""
