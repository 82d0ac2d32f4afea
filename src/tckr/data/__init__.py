"""Data that the stages share: records, sources, shards, images, groups and seeds."""
