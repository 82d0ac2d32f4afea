"""What Python scripts and notebooks call: `tckr.run` with keyword settings, and a result with numbers."""
