"""Time and disk that runs, reference runs and sweeps take, measured or estimated, and the precision they gain."""
