"""First results of a run, shown as soon as its Student exists, before the audit: accuracy, agreement and images."""
