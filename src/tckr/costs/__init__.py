"""What runs, reference runs and sweeps cost in time and disk, measured or estimated, and what reference runs buy."""
