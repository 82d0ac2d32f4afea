"""Steps, fingerprints, the artifact store, the runner and executors; knows no stage by name."""
