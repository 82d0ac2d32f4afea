"""Release what the audit allows: a gate, formats that others read, marks as synthetic, cards and checksums."""
