"""The Python interface for scripts and notebooks: `tckr.run` with keyword settings, and a result with numbers."""
