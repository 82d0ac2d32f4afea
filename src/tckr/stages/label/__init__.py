"""label: let the Teacher say what it sees in every synthetic image."""
