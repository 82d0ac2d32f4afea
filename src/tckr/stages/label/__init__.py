"""label: compute the Teacher's soft labels of every synthetic image."""
