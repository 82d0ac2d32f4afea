"""Release what the audit allows: a gate, file formats of images, marks as synthetic, cards and checksums."""
