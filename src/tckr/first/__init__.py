"""What a run shows as soon as its Student exists: accuracy, agreement and pictures, while the audit goes on."""
