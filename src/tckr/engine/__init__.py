"""Steps, fingerprints, the artifact store, the runner and executors. Independent of the stages."""
