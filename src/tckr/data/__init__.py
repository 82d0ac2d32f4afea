"""What flows between the stages: records, sources, shards, cards. Knows no stage."""
