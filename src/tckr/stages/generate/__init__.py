"""generate: sample the synthetic set from the adapted generator, shard by shard."""
