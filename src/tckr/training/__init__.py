"""The training loop of Teacher, Student and reference models. This package file imports no torch."""
