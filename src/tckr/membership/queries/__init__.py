"""What one run is asked about every record, and its answers."""
