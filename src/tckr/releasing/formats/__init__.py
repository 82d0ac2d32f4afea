"""The layouts in which a synthetic set is released, one file each; every one is deterministic, byte for byte."""
