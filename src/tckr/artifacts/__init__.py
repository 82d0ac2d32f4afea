"""Files that one stage writes and others read: a type for each, with functions to read and write it."""
