"""Numbers with their intervals, computed from arrays."""
