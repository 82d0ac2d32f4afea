"""The one training loop of Teacher, Student and reference models. Knows no stage; this package file imports no torch."""
